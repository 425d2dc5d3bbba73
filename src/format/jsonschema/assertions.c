#include "base/assert.h"
#include "format/jsonschema/check_int.h"

/*
 * The keywords that look at a value and at no schema (validation, section 6). Each is silent about
 * kinds of values that it is not for.
 */

/* How much of a list of values a message shows. */
#define SHOWN_SIZE 90

static struct format_jsonschema_decimal decimal_of(const struct format_jsonschema_node *node)
{
    struct format_jsonschema_decimal decimal;
    bool fits = format_jsonschema_decimal_parse(node->text, &decimal);
    /* Exponents that are too long were refused when the text was read. */
    ASSERT(fits);
    return decimal;
}

/* By value: 1.0 and 10e-1 are integers too. */
static bool is_integer(const struct format_jsonschema_node *node)
{
    if (node->kind != FORMAT_JSON_NUMBER)
        return false;
    struct format_jsonschema_decimal decimal = decimal_of(node);
    return format_jsonschema_decimal_is_integer(&decimal);
}

/* A long text is compared or searched as long as it is, and takes its share of the work that a
 * record is given. */
static uint64_t steps_of(const struct format_jsonschema_node *node)
{
    return 1 + node->text.size / 64;
}

/* The names that "type" has for a set of kinds, as a list. */
static void add_kinds(struct buf *out, const struct format_jsonschema_keyword *k)
{
    const char *separator = "";
    for (int kind = FORMAT_JSON_NULL; kind <= FORMAT_JSON_ARRAY; kind++) {
        if ((k->kinds >> kind & 1) == 0 || kind == FORMAT_JSON_FALSE)
            continue;
        buf_add_format(out, "%s%s", separator,
                       format_jsonschema_kind_name((enum format_json_kind)kind));
        separator = " or ";
    }
    if (k->integers)
        buf_add_format(out, "%sinteger", separator);
}

FORMAT_JSONSCHEMA_CHECK(type)
{
    (void)seen;
    if ((k->kinds >> node->kind & 1) != 0)
        return true;
    if (k->integers && node->kind == FORMAT_JSON_NUMBER) {
        if (!format_jsonschema_step(r, steps_of(node)))
            return false;
        if (is_integer(node))
            return true;
    }
    char expected[96];
    buf_reset(&r->text);
    add_kinds(&r->text, k);
    snprintf(expected, sizeof(expected), "%.*s", SLICE_PRINTF(buf_slice(&r->text)));
    return format_jsonschema_fail(r, k, node, "expected %s, got %s", expected,
                                  format_jsonschema_kind_name(node->kind));
}

/* A value of the schema; of containers only their kind. */
static void add_value(struct buf *out, const struct format_jsonschema_node *value)
{
    switch (value->kind) {
    case FORMAT_JSON_STRING: buf_add_json_string(out, value->text); break;
    case FORMAT_JSON_OBJECT: buf_add_string(out, value->count > 0 ? "{...}" : "{}"); break;
    case FORMAT_JSON_ARRAY: buf_add_string(out, value->count > 0 ? "[...]" : "[]"); break;
    case FORMAT_JSON_NUMBER:
    case FORMAT_JSON_TRUE:
    case FORMAT_JSON_FALSE:
    case FORMAT_JSON_NULL: buf_add_slice(out, value->text); break;
    case FORMAT_JSON_MISSING: UNREACHABLE("a node is always of a kind");
    }
}

/* Refuses with the `count` values that were allowed, as far as there is room. */
static bool fail_values(struct format_jsonschema_run *r, const struct format_jsonschema_keyword *k,
                        const struct format_jsonschema_node *node, const char *before,
                        const struct format_jsonschema_node *const *values, size_t count)
{
    char shown[SHOWN_SIZE + 8];
    if (r->quiet > 0)
        return false;
    buf_reset(&r->text);
    for (size_t i = 0; i < count && r->text.size < SHOWN_SIZE; i++) {
        buf_add_string(&r->text, i > 0 ? ", " : "");
        add_value(&r->text, values[i]);
    }
    struct slice text = format_jsonschema_clip(buf_slice(&r->text), SHOWN_SIZE);
    snprintf(shown, sizeof(shown), "%.*s%s", SLICE_PRINTF(text),
             text.size < r->text.size ? "..." : "");
    return format_jsonschema_fail(r, k, node, "expected %s%s", before, shown);
}

FORMAT_JSONSCHEMA_CHECK(enum)
{
    (void)seen;
    for (size_t i = 0; i < k->value->count; i++) {
        if (format_jsonschema_tree_compare(node, k->value->children[i], &r->budget) == 0)
            return !r->budget.spent || format_jsonschema_stop(r, ERR_TOO_LARGE);
    }
    return fail_values(r, k, node, "one of ",
                       (const struct format_jsonschema_node *const *)k->value->children,
                       k->value->count);
}

FORMAT_JSONSCHEMA_CHECK(const)
{
    (void)seen;
    if (format_jsonschema_tree_compare(node, k->value, &r->budget) == 0)
        return !r->budget.spent || format_jsonschema_stop(r, ERR_TOO_LARGE);
    return fail_values(r, k, node, "", &k->value, 1);
}

FORMAT_JSONSCHEMA_CHECK(multiple_of)
{
    (void)seen;
    if (node->kind != FORMAT_JSON_NUMBER)
        return true;
    struct format_jsonschema_decimal decimal = decimal_of(node);
    if (format_jsonschema_decimal_is_multiple(&decimal, &k->decimal, &r->budget))
        return true;
    if (r->budget.spent)
        return format_jsonschema_stop(r, ERR_TOO_LARGE);
    return format_jsonschema_fail(r, k, node, "expected a multiple of %.*s",
                                  SLICE_PRINTF(k->value->text));
}

/* `k->min` is 1 where the bound itself is allowed. */
FORMAT_JSONSCHEMA_CHECK(maximum)
{
    (void)seen;
    if (node->kind != FORMAT_JSON_NUMBER)
        return true;
    if (!format_jsonschema_step(r, steps_of(node)))
        return false;
    struct format_jsonschema_decimal decimal = decimal_of(node);
    int order = format_jsonschema_decimal_compare(&decimal, &k->decimal);
    return order < 0 || (order == 0 && k->min == 1) ||
           format_jsonschema_fail(r, k, node, "expected %s %.*s",
                                  k->min == 1 ? "at most" : "less than",
                                  SLICE_PRINTF(k->value->text));
}

FORMAT_JSONSCHEMA_CHECK(minimum)
{
    (void)seen;
    if (node->kind != FORMAT_JSON_NUMBER)
        return true;
    if (!format_jsonschema_step(r, steps_of(node)))
        return false;
    struct format_jsonschema_decimal decimal = decimal_of(node);
    int order = format_jsonschema_decimal_compare(&decimal, &k->decimal);
    return order > 0 || (order == 0 && k->min == 1) ||
           format_jsonschema_fail(r, k, node, "expected %s %.*s",
                                  k->min == 1 ? "at least" : "more than",
                                  SLICE_PRINTF(k->value->text));
}

/* `count` against the bounds; a keyword that has only one leaves the other at its end. */
static bool in_bounds(struct format_jsonschema_run *r, const struct format_jsonschema_keyword *k,
                      const struct format_jsonschema_node *node, uint64_t count, const char *unit)
{
    if (count < k->min)
        return format_jsonschema_fail(r, k, node, "expected at least %llu %s, got %llu",
                                      (unsigned long long)k->min, unit, (unsigned long long)count);
    if (count > k->max)
        return format_jsonschema_fail(r, k, node, "expected at most %llu %s, got %llu",
                                      (unsigned long long)k->max, unit, (unsigned long long)count);
    return true;
}

/* Code points are what stands between bytes that continue one. */
FORMAT_JSONSCHEMA_CHECK(length)
{
    (void)seen;
    if (node->kind != FORMAT_JSON_STRING)
        return true;
    if (!format_jsonschema_step(r, steps_of(node)))
        return false;
    uint64_t count = 0;
    for (size_t i = 0; i < node->text.size; i++)
        count += (node->text.data[i] & 0xC0) != 0x80;
    return in_bounds(r, k, node, count, "characters");
}

FORMAT_JSONSCHEMA_CHECK(item_count)
{
    (void)seen;
    return node->kind != FORMAT_JSON_ARRAY || in_bounds(r, k, node, node->count, "items");
}

FORMAT_JSONSCHEMA_CHECK(property_count)
{
    (void)seen;
    return node->kind != FORMAT_JSON_OBJECT || in_bounds(r, k, node, node->count, "properties");
}

FORMAT_JSONSCHEMA_CHECK(pattern)
{
    (void)seen;
    if (node->kind != FORMAT_JSON_STRING)
        return true;
    if (format_jsonschema_matches(r, k->regex, node->text))
        return true;
    struct slice pattern = format_jsonschema_clip(k->value->text, 120);
    return format_jsonschema_fail(r, k, node, "expected a match of %.*s", SLICE_PRINTF(pattern));
}

/* Sorted, equal items are neighbours. */
FORMAT_JSONSCHEMA_CHECK(unique)
{
    (void)seen;
    if (node->kind != FORMAT_JSON_ARRAY || node->count < 2)
        return true;
    if (!format_jsonschema_step(r, node->count))
        return false;
    size_t size = node->count * sizeof(struct format_jsonschema_node *);
    struct format_jsonschema_node **items = arena_alloc(&r->arena, 2 * size);
    if (!items)
        return format_jsonschema_stop(r, ERR_MEMORY);
    memcpy(items, node->children, size);
    format_jsonschema_tree_sort(items, items + node->count, node->count,
                                format_jsonschema_tree_compare, &r->budget);
    for (size_t i = 1; i < node->count; i++) {
        if (format_jsonschema_tree_compare(items[i - 1], items[i], &r->budget) != 0)
            continue;
        if (r->budget.spent)
            return format_jsonschema_stop(r, ERR_TOO_LARGE);
        return format_jsonschema_fail(r, k, items[i], "expected another value than at index %u",
                                      items[i - 1]->index);
    }
    return !r->budget.spent || format_jsonschema_stop(r, ERR_TOO_LARGE);
}

FORMAT_JSONSCHEMA_CHECK(format)
{
    (void)seen;
    if (node->kind != FORMAT_JSON_STRING)
        return true;
    if (!format_jsonschema_step(r, 1 + node->text.size / 8 + k->format->steps))
        return false;
    switch (k->format->is(node->text)) {
    case FORMAT_JSONSCHEMA_YES: return true;
    case FORMAT_JSONSCHEMA_MEMORY: return format_jsonschema_stop(r, ERR_MEMORY);
    case FORMAT_JSONSCHEMA_NO: break;
    }
    return format_jsonschema_fail(r, k, node, "expected %s (%s)", k->format->name,
                                  k->format->specification);
}
