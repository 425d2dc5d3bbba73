#include "base/assert.h"
#include "format/jsonschema/compat_int.h"

/*
 * Arrays: items that have a schema each, then what holds of all others, by the names of either
 * draft. The content model is that of objects, with positions for names.
 */

#define BREAK(name) FORMAT_JSONSCHEMA_BREAK_##name

static const struct format_jsonschema_compat_bound bounds[] = {
    {"maxItems", true, true, BREAK(MAX_ITEMS_ADDED), BREAK(MAX_ITEMS_DECREASED)},
    {"minItems", false, true, BREAK(MIN_ITEMS_ADDED), BREAK(MIN_ITEMS_INCREASED)},
};

struct items {
    const struct format_jsonschema_part *parts; /* from the first item on */
    size_t count;
    const struct format_jsonschema_schema *rest; /* of all others; NULL: anything */
};

/* Draft 7 has an array of schemas in items and the rest in additionalItems; 2020-12 has
 * prefixItems, and the rest in items. Compared is what they say, whichever says it. */
static struct items items_of(const struct format_jsonschema_schema *schema)
{
    struct items items = {0};
    const struct format_jsonschema_keyword *k = format_jsonschema_compat_find(schema, "items");
    const struct format_jsonschema_keyword *prefix =
        format_jsonschema_compat_find(schema, "prefixItems");
    const struct format_jsonschema_keyword *rest = k;
    if (k && !k->schema) {
        prefix = k;
        rest = format_jsonschema_compat_find(schema, "additionalItems");
    }
    rest = rest ? rest : format_jsonschema_compat_find(schema, "unevaluatedItems");
    if (prefix) {
        items.parts = prefix->parts;
        items.count = prefix->part_count;
    }
    if (rest && !format_jsonschema_compat_open(rest->schema))
        items.rest = rest->schema;
    return items;
}

/* In an array whose further items may be anything, records have anything there already; a schema
 * for the next place narrows that. */
static void item_added(struct format_jsonschema_compat_run *r, const struct items *a,
                       const struct format_jsonschema_schema *added)
{
    if (!a->rest) {
        if (!format_jsonschema_compat_open(added))
            format_jsonschema_compat_break(r, BREAK(ITEM_ADDED_TO_OPEN_CONTENT_MODEL), added->node);
        return;
    }
    if (format_jsonschema_compat_try_inner(r, a->rest, added))
        return;
    format_jsonschema_compat_inner(r, a->rest, added);
    format_jsonschema_compat_break(r, BREAK(ITEM_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL),
                                   added->node);
}

/* What had a place of its own falls to the schema of the rest, which has to allow it. */
static void item_removed(struct format_jsonschema_compat_run *r, const struct items *b,
                         const struct format_jsonschema_schema *removed)
{
    if (!b->rest || removed->never)
        return;
    if (b->rest->never) {
        format_jsonschema_compat_break(r, BREAK(ITEM_REMOVED_FROM_CLOSED_CONTENT_MODEL),
                                       removed->node);
    } else if (!format_jsonschema_compat_try_inner(r, removed, b->rest)) {
        format_jsonschema_compat_inner(r, removed, b->rest);
        format_jsonschema_compat_break(
            r, BREAK(ITEM_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL), removed->node);
    }
}

static void compare_items(struct format_jsonschema_compat_run *r, const struct items *a,
                          const struct items *b)
{
    size_t most = a->count > b->count ? a->count : b->count;
    for (size_t i = 0; i < most && !format_jsonschema_compat_over(r); i++) {
        if (i >= b->count)
            item_removed(r, b, a->parts[i].schema);
        else if (i >= a->count)
            item_added(r, a, b->parts[i].schema);
        else
            format_jsonschema_compat_inner(r, a->parts[i].schema, b->parts[i].schema);
    }
    if (!b->rest || (a->rest && a->rest->never))
        return;
    if (b->rest->never)
        format_jsonschema_compat_break(r, BREAK(ADDITIONAL_ITEMS_REMOVED), b->rest->node);
    else if (!a->rest)
        format_jsonschema_compat_break(r, BREAK(ADDITIONAL_ITEMS_NARROWED), b->rest->node);
    else
        format_jsonschema_compat_inner(r, a->rest, b->rest);
}

static void compare_contains(struct format_jsonschema_compat_run *r,
                             const struct format_jsonschema_schema *a,
                             const struct format_jsonschema_schema *b)
{
    const struct format_jsonschema_keyword *from = format_jsonschema_compat_find(a, "contains");
    const struct format_jsonschema_keyword *to = format_jsonschema_compat_find(b, "contains");
    if (!to || (to->min == 0 && to->max == UINT64_MAX))
        return;
    if (!from) {
        format_jsonschema_compat_break(r, BREAK(CONTAINS_ADDED), to->value);
        return;
    }
    bool least = to->min <= from->min &&
                 (to->min == 0 || format_jsonschema_compat_try_inner(r, from->schema, to->schema));
    /* What counts against an upper bound has to have counted before. */
    bool most =
        to->max == UINT64_MAX ||
        (to->max >= from->max && format_jsonschema_compat_try_inner(r, to->schema, from->schema));
    if (!least || !most)
        format_jsonschema_compat_break(r, BREAK(CONTAINS_CHANGED), to->value);
}

void format_jsonschema_compat_arrays(struct format_jsonschema_compat_run *r,
                                     const struct format_jsonschema_schema *a,
                                     const struct format_jsonschema_schema *b)
{
    struct items from = items_of(a);
    struct items to = items_of(b);
    ASSERT(from.parts || from.count == 0);
    compare_items(r, &from, &to);
    compare_contains(r, a, b);
    format_jsonschema_compat_bounds(r, a, b, bounds, 2);
    const struct format_jsonschema_keyword *unique =
        format_jsonschema_compat_find(b, "uniqueItems");
    if (unique && !format_jsonschema_compat_find(a, "uniqueItems"))
        format_jsonschema_compat_break(r, BREAK(UNIQUE_ITEMS_ADDED), unique->value);
}
