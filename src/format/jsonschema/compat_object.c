#include "base/assert.h"
#include "format/jsonschema/compat_int.h"

/*
 * Objects. What a schema allows under a name that it does not list is its content model: anything
 * (open), something (partially open: by patterns or a schema for all others) or nothing (closed).
 * Adding a property is safe where records could not hold the name yet, removing one where they
 * still may.
 */

#define BREAK(name) FORMAT_JSONSCHEMA_BREAK_##name

static const struct format_jsonschema_compat_bound bounds[] = {
    {"maxProperties", true, true, BREAK(MAX_PROPERTIES_ADDED), BREAK(MAX_PROPERTIES_DECREASED)},
    {"minProperties", false, true, BREAK(MIN_PROPERTIES_ADDED), BREAK(MIN_PROPERTIES_INCREASED)},
};

/* The keyword for names that are not listed, NULL for an open model. */
static const struct format_jsonschema_keyword *
rest_of(const struct format_jsonschema_schema *schema)
{
    const struct format_jsonschema_keyword *k =
        format_jsonschema_compat_find(schema, "additionalProperties");
    k = k ? k : format_jsonschema_compat_find(schema, "unevaluatedProperties");
    return k && !format_jsonschema_compat_open(k->schema) ? k : NULL;
}

static const struct format_jsonschema_schema *
property_of(const struct format_jsonschema_schema *schema, struct slice name)
{
    const struct format_jsonschema_node *node =
        schema->properties ? format_jsonschema_tree_get(schema->properties->value, name) : NULL;
    return node ? node->mark : NULL;
}

/* What the model says of a name that is not listed: NULL for anything. */
static const struct format_jsonschema_schema *
model_of(struct format_jsonschema_compat_run *r, const struct format_jsonschema_schema *schema,
         struct slice name)
{
    const struct format_jsonschema_keyword *patterns = schema->patterns;
    for (size_t i = 0; patterns && i < patterns->part_count; i++) {
        bool found = false;
        err_t err = format_jsonschema_regex_match(patterns->parts[i].regex, r->matcher, name,
                                                  &r->budget, &found);
        if (err_is(err, ERR_TOO_LARGE))
            r->budget.spent = true;
        else if (!err_is_ok(err))
            r->error = err;
        if (found)
            return patterns->parts[i].schema;
    }
    const struct format_jsonschema_keyword *rest = rest_of(schema);
    return rest ? rest->schema : NULL;
}

static void property_added(struct format_jsonschema_compat_run *r,
                           const struct format_jsonschema_schema *a, struct slice name,
                           const struct format_jsonschema_schema *added)
{
    const struct format_jsonschema_schema *model = model_of(r, a, name);
    if (!model) {
        if (!format_jsonschema_compat_open(added))
            format_jsonschema_compat_break(r, BREAK(PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL),
                                           added->node);
        return;
    }
    if (!format_jsonschema_compat_try_inner(r, model, added)) {
        format_jsonschema_compat_inner(r, model, added);
        format_jsonschema_compat_break(
            r, BREAK(PROPERTY_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL), added->node);
    }
}

static void property_removed(struct format_jsonschema_compat_run *r,
                             const struct format_jsonschema_schema *b, struct slice name,
                             const struct format_jsonschema_schema *removed)
{
    const struct format_jsonschema_schema *model = model_of(r, b, name);
    if (!model || removed->never)
        return;
    if (model->never) {
        format_jsonschema_compat_break(r, BREAK(PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL),
                                       removed->node);
    } else if (!format_jsonschema_compat_try_inner(r, removed, model)) {
        format_jsonschema_compat_inner(r, removed, model);
        format_jsonschema_compat_break(
            r, BREAK(PROPERTY_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL), removed->node);
    }
}

static void compare_properties(struct format_jsonschema_compat_run *r,
                               const struct format_jsonschema_schema *a,
                               const struct format_jsonschema_schema *b)
{
    const struct format_jsonschema_keyword *k = b->properties;
    for (size_t i = 0; k && i < k->part_count && !format_jsonschema_compat_over(r); i++) {
        const struct format_jsonschema_schema *was = property_of(a, k->parts[i].name);
        if (was)
            format_jsonschema_compat_inner(r, was, k->parts[i].schema);
        else
            property_added(r, a, k->parts[i].name, k->parts[i].schema);
    }
    k = a->properties;
    for (size_t i = 0; k && i < k->part_count && !format_jsonschema_compat_over(r); i++)
        if (!property_of(b, k->parts[i].name))
            property_removed(r, b, k->parts[i].name, k->parts[i].schema);
}

static bool has_name(struct format_jsonschema_compat_run *r,
                     const struct format_jsonschema_node *names, struct slice name)
{
    for (size_t i = 0; names && i < names->count && format_jsonschema_spend(&r->budget, 1); i++)
        if (slice_equal(names->children[i]->text, name))
            return true;
    return false;
}

static void compare_required(struct format_jsonschema_compat_run *r,
                             const struct format_jsonschema_schema *a,
                             const struct format_jsonschema_schema *b)
{
    const struct format_jsonschema_keyword *from = format_jsonschema_compat_find(a, "required");
    const struct format_jsonschema_keyword *to = format_jsonschema_compat_find(b, "required");
    for (size_t i = 0; to && i < to->value->count && !format_jsonschema_compat_over(r); i++) {
        const struct format_jsonschema_node *node = to->value->children[i];
        const struct format_jsonschema_schema *property = property_of(b, node->text);
        if (has_name(r, from ? from->value : NULL, node->text))
            continue;
        if (property && format_jsonschema_tree_find(property->node, "default"))
            continue;
        bool fresh = property && !property_of(a, node->text) && model_of(r, a, node->text);
        format_jsonschema_compat_break(r,
                                       fresh
                                           ? BREAK(REQUIRED_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL)
                                           : BREAK(REQUIRED_ATTRIBUTE_ADDED),
                                       node);
    }
}

static void compare_rest(struct format_jsonschema_compat_run *r,
                         const struct format_jsonschema_schema *a,
                         const struct format_jsonschema_schema *b)
{
    const struct format_jsonschema_keyword *from = rest_of(a);
    const struct format_jsonschema_keyword *to = rest_of(b);
    if (!to || (from && from->schema->never))
        return;
    if (to->schema->never)
        format_jsonschema_compat_break(r, BREAK(ADDITIONAL_PROPERTIES_REMOVED), to->value);
    else if (!from)
        format_jsonschema_compat_break(r, BREAK(ADDITIONAL_PROPERTIES_NARROWED), to->value);
    else
        format_jsonschema_compat_inner(r, from->schema, to->schema);
}

/* Patterns are compared by their text. */
static void compare_patterns(struct format_jsonschema_compat_run *r,
                             const struct format_jsonschema_schema *a,
                             const struct format_jsonschema_schema *b)
{
    const struct format_jsonschema_keyword *from = a->patterns;
    const struct format_jsonschema_keyword *to = b->patterns;
    const struct format_jsonschema_keyword *rest_a = rest_of(a);
    const struct format_jsonschema_keyword *rest_b = rest_of(b);
    for (size_t i = 0; to && i < to->part_count; i++) {
        const struct format_jsonschema_schema *schema = to->parts[i].schema;
        const struct format_jsonschema_node *was =
            from ? format_jsonschema_tree_get(from->value, to->parts[i].name) : NULL;
        if (was)
            format_jsonschema_compat_inner(r, was->mark, schema);
        else if (!(rest_a && format_jsonschema_compat_try_inner(r, rest_a->schema, schema)) &&
                 !format_jsonschema_compat_open(schema))
            format_jsonschema_compat_break(r, BREAK(PATTERN_PROPERTY_ADDED), schema->node);
    }
    for (size_t i = 0; from && rest_b && i < from->part_count; i++) {
        const struct format_jsonschema_schema *schema = from->parts[i].schema;
        if (!(to && format_jsonschema_tree_get(to->value, from->parts[i].name)) &&
            !format_jsonschema_compat_try_inner(r, schema, rest_b->schema))
            format_jsonschema_compat_break(r, BREAK(PATTERN_PROPERTY_REMOVED), schema->node);
    }
}

static void compare_names(struct format_jsonschema_compat_run *r,
                          const struct format_jsonschema_schema *a,
                          const struct format_jsonschema_schema *b)
{
    const struct format_jsonschema_keyword *from =
        format_jsonschema_compat_find(a, "propertyNames");
    const struct format_jsonschema_keyword *to = format_jsonschema_compat_find(b, "propertyNames");
    if (to && from)
        format_jsonschema_compat_inner(r, from->schema, to->schema);
    else if (to && !format_jsonschema_compat_open(to->schema))
        format_jsonschema_compat_break(r, BREAK(PROPERTY_NAMES_ADDED), to->value);
}

/* What a name requires, by the keyword of either draft. */
static const struct format_jsonschema_part *
dependency_of(const struct format_jsonschema_schema *schema, struct slice name, bool names)
{
    static const char *const words[] = {"dependencies", "dependentRequired", "dependentSchemas"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        const struct format_jsonschema_keyword *k = format_jsonschema_compat_find(schema, words[i]);
        for (size_t j = 0; k && j < k->part_count; j++)
            if (slice_equal(k->parts[j].name, name) && !k->parts[j].names == !names)
                return &k->parts[j];
    }
    return NULL;
}

static void compare_dependency(struct format_jsonschema_compat_run *r,
                               const struct format_jsonschema_schema *a,
                               const struct format_jsonschema_part *to,
                               const struct format_jsonschema_node *node)
{
    const struct format_jsonschema_part *from = dependency_of(a, to->name, to->names != NULL);
    if (!to->names) {
        if (from)
            format_jsonschema_compat_schemas(r, from->schema, to->schema);
        else if (!format_jsonschema_compat_open(to->schema))
            format_jsonschema_compat_break(r, BREAK(DEPENDENCY_SCHEMA_ADDED), node);
        return;
    }
    for (size_t i = 0; i < to->names->count; i++) {
        if (from && has_name(r, from->names, to->names->children[i]->text))
            continue;
        format_jsonschema_compat_break(
            r, from ? BREAK(DEPENDENCY_ARRAY_EXTENDED) : BREAK(DEPENDENCY_ARRAY_ADDED), node);
        return;
    }
}

static void compare_dependencies(struct format_jsonschema_compat_run *r,
                                 const struct format_jsonschema_schema *a,
                                 const struct format_jsonschema_schema *b)
{
    static const char *const words[] = {"dependencies", "dependentRequired", "dependentSchemas"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        const struct format_jsonschema_keyword *k = format_jsonschema_compat_find(b, words[i]);
        for (size_t j = 0; k && j < k->part_count && !format_jsonschema_compat_over(r); j++) {
            /* A search through the other's, which costs what they are. */
            if (!format_jsonschema_spend(&r->budget, k->part_count))
                return;
            compare_dependency(r, a, &k->parts[j], k->value->children[j]);
        }
    }
}

void format_jsonschema_compat_objects(struct format_jsonschema_compat_run *r,
                                      const struct format_jsonschema_schema *a,
                                      const struct format_jsonschema_schema *b)
{
    ASSERT(r->matcher);
    compare_required(r, a, b);
    compare_properties(r, a, b);
    compare_patterns(r, a, b);
    compare_rest(r, a, b);
    compare_names(r, a, b);
    compare_dependencies(r, a, b);
    format_jsonschema_compat_bounds(r, a, b, bounds, 2);
}
