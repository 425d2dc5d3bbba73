#include "base/assert.h"
#include "format/jsonschema/compat_int.h"

/*
 * The types of a schema, and what is said of strings and numbers. A keyword speaks of one type
 * only: it is compared where both schemas allow that type.
 */

#define NUMBERS (1U << FORMAT_JSON_NUMBER | 1U)
#define STRINGS (1U << FORMAT_JSON_STRING)
#define OBJECTS (1U << FORMAT_JSON_OBJECT)
#define ARRAYS (1U << FORMAT_JSON_ARRAY)
#define BREAK(name) FORMAT_JSONSCHEMA_BREAK_##name

static const struct format_jsonschema_compat_bound string_bounds[] = {
    {"maxLength", true, true, BREAK(MAX_LENGTH_ADDED), BREAK(MAX_LENGTH_DECREASED)},
    {"minLength", false, true, BREAK(MIN_LENGTH_ADDED), BREAK(MIN_LENGTH_INCREASED)},
};
static const struct format_jsonschema_compat_bound number_bounds[] = {
    {"maximum", true, false, BREAK(MAXIMUM_ADDED), BREAK(MAXIMUM_DECREASED)},
    {"minimum", false, false, BREAK(MINIMUM_ADDED), BREAK(MINIMUM_INCREASED)},
    {"exclusiveMaximum", true, false, BREAK(EXCLUSIVE_MAXIMUM_ADDED),
     BREAK(EXCLUSIVE_MAXIMUM_DECREASED)},
    {"exclusiveMinimum", false, false, BREAK(EXCLUSIVE_MINIMUM_ADDED),
     BREAK(EXCLUSIVE_MINIMUM_INCREASED)},
};

/* Words that are a group of their own, or only hold schemas for others. */
static bool speaks_of_types(const char *word)
{
    static const char *const others[] = {"$ref",  "$dynamicRef", "enum",  "const", "not",
                                         "allOf", "anyOf",       "oneOf", "if"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (strcmp(word, others[i]) == 0)
            return false;
    return true;
}

bool format_jsonschema_compat_has_types(const struct format_jsonschema_schema *schema)
{
    for (const struct format_jsonschema_keyword *k = schema->keywords; k; k = k->next)
        if (speaks_of_types(k->word->name))
            return true;
    return false;
}

/* Without the word all kinds are allowed (validation, section 6.1.1). */
uint32_t format_jsonschema_compat_types_of(const struct format_jsonschema_schema *schema)
{
    const struct format_jsonschema_keyword *k = format_jsonschema_compat_find(schema, "type");
    if (!k)
        return FORMAT_JSONSCHEMA_TYPES_ALL;
    uint32_t types = k->kinds | (k->integers ? 1U : 0U);
    /* Numbers are integers and others. */
    return (types & 1U << FORMAT_JSON_NUMBER) != 0 ? types | 1U : types;
}

/* No least number of anything is the same as a least number of none. */
static bool is_zero(const struct format_jsonschema_decimal *d)
{
    return d->count == 0;
}

void format_jsonschema_compat_bounds(struct format_jsonschema_compat_run *r,
                                     const struct format_jsonschema_schema *a,
                                     const struct format_jsonschema_schema *b,
                                     const struct format_jsonschema_compat_bound *bounds,
                                     size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct format_jsonschema_compat_bound *bound = &bounds[i];
        const struct format_jsonschema_keyword *from =
            format_jsonschema_compat_find(a, bound->name);
        const struct format_jsonschema_keyword *to = format_jsonschema_compat_find(b, bound->name);
        struct format_jsonschema_decimal x;
        struct format_jsonschema_decimal y;
        if (!to || !format_jsonschema_decimal_parse(to->value->text, &y) ||
            (bound->count && !bound->upper && is_zero(&y)))
            continue;
        if (!from || !format_jsonschema_decimal_parse(from->value->text, &x) ||
            (bound->count && !bound->upper && is_zero(&x))) {
            format_jsonschema_compat_break(r, bound->added, to->value);
            continue;
        }
        int order = format_jsonschema_decimal_compare(&y, &x);
        if (bound->upper ? order < 0 : order > 0)
            format_jsonschema_compat_break(r, bound->tightened, to->value);
    }
}

/* A keyword with a text: added, or another. */
static void compare_text(struct format_jsonschema_compat_run *r,
                         const struct format_jsonschema_schema *a,
                         const struct format_jsonschema_schema *b, const char *name,
                         enum format_jsonschema_break_code added,
                         enum format_jsonschema_break_code changed)
{
    const struct format_jsonschema_keyword *from = format_jsonschema_compat_find(a, name);
    const struct format_jsonschema_keyword *to = format_jsonschema_compat_find(b, name);
    if (to && !from)
        format_jsonschema_compat_break(r, added, to->value);
    else if (to && !slice_equal(from->value->text, to->value->text))
        format_jsonschema_compat_break(r, changed, to->value);
}

/* Multiples of 6 are multiples of 3, and not the other way round. */
static void compare_multiples(struct format_jsonschema_compat_run *r,
                              const struct format_jsonschema_schema *a,
                              const struct format_jsonschema_schema *b)
{
    const struct format_jsonschema_keyword *from = format_jsonschema_compat_find(a, "multipleOf");
    const struct format_jsonschema_keyword *to = format_jsonschema_compat_find(b, "multipleOf");
    if (!to)
        return;
    if (!from)
        format_jsonschema_compat_break(r, BREAK(MULTIPLE_OF_ADDED), to->value);
    else if (format_jsonschema_decimal_is_multiple(&from->decimal, &to->decimal, &r->budget))
        return;
    else if (format_jsonschema_decimal_is_multiple(&to->decimal, &from->decimal, &r->budget))
        format_jsonschema_compat_break(r, BREAK(MULTIPLE_OF_EXPANDED), to->value);
    else
        format_jsonschema_compat_break(r, BREAK(MULTIPLE_OF_CHANGED), to->value);
}

void format_jsonschema_compat_types(struct format_jsonschema_compat_run *r,
                                    const struct format_jsonschema_schema *a, uint32_t types,
                                    const struct format_jsonschema_schema *b)
{
    types &= format_jsonschema_compat_types_of(a);
    uint32_t to = format_jsonschema_compat_types_of(b);
    uint32_t both = types & to;
    if ((types & ~to) != 0) {
        const struct format_jsonschema_keyword *k = format_jsonschema_compat_find(b, "type");
        ASSERT(k);
        format_jsonschema_compat_break(r, both ? BREAK(TYPE_NARROWED) : BREAK(TYPE_CHANGED),
                                       k->value);
    }
    if ((both & STRINGS) != 0) {
        format_jsonschema_compat_bounds(r, a, b, string_bounds, 2);
        compare_text(r, a, b, "pattern", BREAK(PATTERN_ADDED), BREAK(PATTERN_CHANGED));
        compare_text(r, a, b, "format", BREAK(FORMAT_ADDED), BREAK(FORMAT_CHANGED));
    }
    if ((both & NUMBERS) != 0) {
        format_jsonschema_compat_bounds(r, a, b, number_bounds, 4);
        compare_multiples(r, a, b);
    }
    if ((both & OBJECTS) != 0)
        format_jsonschema_compat_objects(r, a, b);
    if ((both & ARRAYS) != 0)
        format_jsonschema_compat_arrays(r, a, b);
}
