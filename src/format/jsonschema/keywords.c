#include "base/assert.h"
#include "format/jsonschema/check_int.h"

/*
 * The table of words, and what each makes of its value when a schema is compiled. Values are
 * looked at as if nobody had done so before: the metaschema comes last, and not at all to what a
 * reference found where no schema was expected.
 */

static err_t refuse_kind(struct format_jsonschema_compiler *c,
                         const struct format_jsonschema_node *node, const char *expected)
{
    return format_jsonschema_refuse(c, node, "expected %s, got %s", expected,
                                    format_jsonschema_kind_name(node->kind));
}

/* A keyword that says nothing is left out. */
static err_t drop(struct format_jsonschema_keyword *k)
{
    ASSERT(k->word);
    k->word = NULL;
    return err_ok();
}

/* Every place where a schema may stand has been found before keywords are compiled, so that
 * references may lead forwards. */
static const struct format_jsonschema_schema *schema_of(const struct format_jsonschema_node *node)
{
    ASSERT(node->mark);
    return node->mark;
}

static err_t compile_ref(struct format_jsonschema_compiler *c,
                         struct format_jsonschema_schema *owner,
                         struct format_jsonschema_keyword *k)
{
    struct slice unused = {NULL, 0};
    return format_jsonschema_follow(c, owner, k->value, &k->schema, &unused);
}

static err_t compile_dynamic_ref(struct format_jsonschema_compiler *c,
                                 struct format_jsonschema_schema *owner,
                                 struct format_jsonschema_keyword *k)
{
    return format_jsonschema_follow(c, owner, k->value, &k->schema, &k->dynamic);
}

static err_t compile_one(struct format_jsonschema_compiler *c,
                         struct format_jsonschema_schema *owner,
                         struct format_jsonschema_keyword *k)
{
    (void)c;
    (void)owner;
    k->schema = schema_of(k->value);
    return err_ok();
}

/* then and else say nothing without an if, and belong to it (core, section 10.2.2). */
static err_t compile_if(struct format_jsonschema_compiler *c,
                        struct format_jsonschema_schema *owner, struct format_jsonschema_keyword *k)
{
    const struct format_jsonschema_node *then_node =
        format_jsonschema_tree_find(owner->node, "then");
    const struct format_jsonschema_node *else_node =
        format_jsonschema_tree_find(owner->node, "else");
    k->then_schema = then_node ? schema_of(then_node) : NULL;
    k->else_schema = else_node ? schema_of(else_node) : NULL;
    return compile_one(c, owner, k);
}

/* A part for each child of the value. */
static err_t make_parts(struct format_jsonschema_compiler *c, struct format_jsonschema_keyword *k,
                        struct format_jsonschema_part **out)
{
    struct format_jsonschema_part *parts =
        format_jsonschema_alloc(c, k->value->count * sizeof(*parts));
    if (!parts)
        return err_make(ERR_MEMORY);
    for (size_t i = 0; i < k->value->count; i++) {
        parts[i].name = k->value->children[i]->key;
        parts[i].schema = k->value->children[i]->mark;
    }
    k->parts = parts;
    k->part_count = k->value->count;
    *out = parts;
    return err_ok();
}

/* allOf and the like, prefixItems, dependentSchemas. */
static err_t compile_parts(struct format_jsonschema_compiler *c,
                           struct format_jsonschema_schema *owner,
                           struct format_jsonschema_keyword *k)
{
    struct format_jsonschema_part *parts;
    (void)owner;
    return make_parts(c, k, &parts);
}

/* Remembered by its owner: additionalProperties asks which names are taken (core, section
 * 10.3.2.3). */
static err_t compile_properties(struct format_jsonschema_compiler *c,
                                struct format_jsonschema_schema *owner,
                                struct format_jsonschema_keyword *k)
{
    owner->properties = k;
    return compile_parts(c, owner, k);
}

static err_t compile_patterns(struct format_jsonschema_compiler *c,
                              struct format_jsonschema_schema *owner,
                              struct format_jsonschema_keyword *k)
{
    struct format_jsonschema_part *parts;
    TRY(make_parts(c, k, &parts));
    for (size_t i = 0; i < k->part_count; i++)
        TRY(format_jsonschema_pattern(c, k->value->children[i], parts[i].name, &parts[i].regex));
    owner->patterns = k;
    return err_ok();
}

/* An array of different strings. */
static err_t check_names(struct format_jsonschema_compiler *c,
                         const struct format_jsonschema_node *names)
{
    if (names->kind != FORMAT_JSON_ARRAY)
        return refuse_kind(c, names, "an array of strings");
    for (size_t i = 0; i < names->count; i++)
        if (names->children[i]->kind != FORMAT_JSON_STRING)
            return refuse_kind(c, names->children[i], "a string");
    return err_ok();
}

static err_t compile_required(struct format_jsonschema_compiler *c,
                              struct format_jsonschema_schema *owner,
                              struct format_jsonschema_keyword *k)
{
    (void)owner;
    return check_names(c, k->value);
}

/* dependentRequired, and dependencies where they are no schemas. */
static err_t compile_dependencies(struct format_jsonschema_compiler *c,
                                  struct format_jsonschema_schema *owner,
                                  struct format_jsonschema_keyword *k)
{
    struct format_jsonschema_part *parts;
    (void)owner;
    if (k->value->kind != FORMAT_JSON_OBJECT)
        return refuse_kind(c, k->value, "an object");
    TRY(make_parts(c, k, &parts));
    for (size_t i = 0; i < k->part_count; i++) {
        if (parts[i].schema)
            continue;
        parts[i].names = k->value->children[i];
        TRY(check_names(c, parts[i].names));
    }
    return err_ok();
}

/* In draft 7 an array of schemas is what 2020-12 calls prefixItems. */
static err_t compile_items(struct format_jsonschema_compiler *c,
                           struct format_jsonschema_schema *owner,
                           struct format_jsonschema_keyword *k)
{
    const struct format_jsonschema_node *prefix =
        format_jsonschema_tree_find(owner->node, "prefixItems");
    if (owner->resource->dialect.draft == FORMAT_JSONSCHEMA_2020_12 && prefix)
        k->min = prefix->count;
    if (k->value->kind != FORMAT_JSON_ARRAY)
        return compile_one(c, owner, k);
    /* The word behind this one in the table checks a prefix. */
    k->word++;
    ASSERT(k->word->check == format_jsonschema_check_prefix);
    return compile_parts(c, owner, k);
}

/* Draft 7: what comes behind the items that have a schema each. */
static err_t compile_additional_items(struct format_jsonschema_compiler *c,
                                      struct format_jsonschema_schema *owner,
                                      struct format_jsonschema_keyword *k)
{
    const struct format_jsonschema_node *items = format_jsonschema_tree_find(owner->node, "items");
    if (!items || items->kind != FORMAT_JSON_ARRAY)
        return drop(k);
    k->min = items->count;
    return compile_one(c, owner, k);
}

/* A number that counts: an integer, not negative, in any notation. */
static err_t read_count(struct format_jsonschema_compiler *c,
                        const struct format_jsonschema_node *node, uint64_t *out)
{
    struct format_jsonschema_decimal decimal;
    if (node->kind != FORMAT_JSON_NUMBER)
        return refuse_kind(c, node, "an integer");
    if (!format_jsonschema_decimal_parse(node->text, &decimal) || decimal.negative ||
        !format_jsonschema_decimal_is_integer(&decimal))
        return format_jsonschema_refuse(c, node, "expected an integer that is not negative");
    *out = format_jsonschema_decimal_u64(&decimal);
    return err_ok();
}

/* The bounds are words of their own that say nothing alone, and draft 7 has none. */
static err_t compile_contains(struct format_jsonschema_compiler *c,
                              struct format_jsonschema_schema *owner,
                              struct format_jsonschema_keyword *k)
{
    const struct format_jsonschema_node *min =
        format_jsonschema_tree_find(owner->node, "minContains");
    const struct format_jsonschema_node *max =
        format_jsonschema_tree_find(owner->node, "maxContains");
    k->min = 1;
    k->max = UINT64_MAX;
    bool bounds = owner->resource->dialect.draft == FORMAT_JSONSCHEMA_2020_12 &&
                  (owner->resource->dialect.vocabularies & FORMAT_JSONSCHEMA_VALIDATION) != 0;
    if (min && bounds)
        TRY(read_count(c, min, &k->min));
    if (max && bounds)
        TRY(read_count(c, max, &k->max));
    return compile_one(c, owner, k);
}

/* It depends on what all others of its schema, and below references, have looked at; so that
 * schema keeps count. */
static err_t compile_unevaluated(struct format_jsonschema_compiler *c,
                                 struct format_jsonschema_schema *owner,
                                 struct format_jsonschema_keyword *k)
{
    owner->looks_back = true;
    k->kinds = 1U << (strcmp(k->word->name, "unevaluatedItems") == 0 ? FORMAT_JSON_ARRAY
                                                                     : FORMAT_JSON_OBJECT);
    return compile_one(c, owner, k);
}

/* The list of kinds is the tokenizer's own, whose names are those of the drafts, but for
 * integer. */
static err_t add_type(struct format_jsonschema_compiler *c,
                      const struct format_jsonschema_node *node,
                      struct format_jsonschema_keyword *k)
{
    bool known = node->kind == FORMAT_JSON_STRING && slice_equal_string(node->text, "integer");
    k->integers = k->integers || known;
    for (int kind = FORMAT_JSON_NULL; kind <= FORMAT_JSON_ARRAY; kind++) {
        const char *name = format_jsonschema_kind_name((enum format_json_kind)kind);
        if (node->kind == FORMAT_JSON_STRING && slice_equal_string(node->text, name)) {
            k->kinds |= 1U << kind;
            known = true;
        }
    }
    return known ? err_ok()
                 : format_jsonschema_refuse(c, node,
                                            "expected null, boolean, number, integer, string, "
                                            "object or array");
}

static err_t compile_type(struct format_jsonschema_compiler *c,
                          struct format_jsonschema_schema *owner,
                          struct format_jsonschema_keyword *k)
{
    (void)owner;
    if (k->value->kind != FORMAT_JSON_ARRAY)
        return add_type(c, k->value, k);
    for (size_t i = 0; i < k->value->count; i++)
        TRY(add_type(c, k->value->children[i], k));
    return err_ok();
}

static err_t compile_enum(struct format_jsonschema_compiler *c,
                          struct format_jsonschema_schema *owner,
                          struct format_jsonschema_keyword *k)
{
    (void)owner;
    return k->value->kind == FORMAT_JSON_ARRAY ? err_ok() : refuse_kind(c, k->value, "an array");
}

/* Any value is one. */
static err_t compile_const(struct format_jsonschema_compiler *c,
                           struct format_jsonschema_schema *owner,
                           struct format_jsonschema_keyword *k)
{
    (void)c;
    (void)owner;
    (void)k;
    return err_ok();
}

/* maximum, minimum and their exclusive kin. */
static err_t compile_bound(struct format_jsonschema_compiler *c,
                           struct format_jsonschema_schema *owner,
                           struct format_jsonschema_keyword *k)
{
    (void)owner;
    if (k->value->kind != FORMAT_JSON_NUMBER)
        return refuse_kind(c, k->value, "a number");
    bool fits = format_jsonschema_decimal_parse(k->value->text, &k->decimal);
    ASSERT(fits);
    k->min = k->word->name[0] != 'e';
    return err_ok();
}

/* Long division takes steps for each digit of the divisor, whose number is therefore bounded
 * here. */
static err_t compile_multiple_of(struct format_jsonschema_compiler *c,
                                 struct format_jsonschema_schema *owner,
                                 struct format_jsonschema_keyword *k)
{
    TRY(compile_bound(c, owner, k));
    if (k->decimal.count == 0 || k->decimal.negative)
        return format_jsonschema_refuse(c, k->value, "expected a number over 0");
    if (k->decimal.count > FORMAT_JSONSCHEMA_DIVISOR_DIGITS)
        return format_jsonschema_refuse(c, k->value, "expected at most %d digits",
                                        FORMAT_JSONSCHEMA_DIVISOR_DIGITS);
    return err_ok();
}

/* maxLength, minItems and so on: by the first three letters of the name. */
static err_t compile_count(struct format_jsonschema_compiler *c,
                           struct format_jsonschema_schema *owner,
                           struct format_jsonschema_keyword *k)
{
    (void)owner;
    bool max = strncmp(k->word->name, "max", 3) == 0;
    k->max = UINT64_MAX;
    return read_count(c, k->value, max ? &k->max : &k->min);
}

static err_t compile_pattern(struct format_jsonschema_compiler *c,
                             struct format_jsonschema_schema *owner,
                             struct format_jsonschema_keyword *k)
{
    (void)owner;
    if (k->value->kind != FORMAT_JSON_STRING)
        return refuse_kind(c, k->value, "a string");
    return format_jsonschema_pattern(c, k->value, k->value->text, &k->regex);
}

/* false says nothing, and costs nothing then. */
static err_t compile_unique(struct format_jsonschema_compiler *c,
                            struct format_jsonschema_schema *owner,
                            struct format_jsonschema_keyword *k)
{
    (void)owner;
    if (k->value->kind != FORMAT_JSON_TRUE && k->value->kind != FORMAT_JSON_FALSE)
        return refuse_kind(c, k->value, "a boolean");
    return k->value->kind == FORMAT_JSON_TRUE ? err_ok() : drop(k);
}

/* An annotation unless asked for, by whoever compiles or by the vocabulary of the metaschema
 * (validation, section 7.2). */
static err_t compile_format(struct format_jsonschema_compiler *c,
                            struct format_jsonschema_schema *owner,
                            struct format_jsonschema_keyword *k)
{
    if (k->value->kind != FORMAT_JSON_STRING)
        return refuse_kind(c, k->value, "a string");
    bool asserted = c->options->assert_formats ||
                    (owner->resource->dialect.vocabularies & FORMAT_JSONSCHEMA_ASSERTION) != 0;
    k->format = format_jsonschema_format_find(k->value->text);
    return asserted && k->format ? err_ok() : drop(k);
}

#define BOTH (1 << FORMAT_JSONSCHEMA_2020_12 | 1 << FORMAT_JSONSCHEMA_7)
#define ONLY_2020_12 (1 << FORMAT_JSONSCHEMA_2020_12)
#define ONLY_7 (1 << FORMAT_JSONSCHEMA_7)
#define CORE FORMAT_JSONSCHEMA_CORE
#define APPLICATOR FORMAT_JSONSCHEMA_APPLICATOR
#define VALIDATION FORMAT_JSONSCHEMA_VALIDATION
#define UNEVALUATED FORMAT_JSONSCHEMA_UNEVALUATED
#define FORMATS FORMAT_JSONSCHEMA_FORMATS
#define NO_SCHEMAS FORMAT_JSONSCHEMA_NO_SCHEMAS
#define ONE FORMAT_JSONSCHEMA_ONE
#define LIST FORMAT_JSONSCHEMA_LIST
#define MAP FORMAT_JSONSCHEMA_MAP
#define CHECK(name) format_jsonschema_check_##name

/* Cheap and telling ones first; $ref before all, for draft 7; unevaluated* behind all. */
const struct format_jsonschema_word format_jsonschema_words[] = {
    {"$ref", BOTH, CORE, NO_SCHEMAS, compile_ref, CHECK(ref)},
    {"$dynamicRef", ONLY_2020_12, CORE, NO_SCHEMAS, compile_dynamic_ref, CHECK(ref)},
    {"$defs", ONLY_2020_12, CORE, MAP, NULL, NULL},
    {"definitions", BOTH, CORE, MAP, NULL, NULL},
    {"type", BOTH, VALIDATION, NO_SCHEMAS, compile_type, CHECK(type)},
    {"const", BOTH, VALIDATION, NO_SCHEMAS, compile_const, CHECK(const)},
    {"enum", BOTH, VALIDATION, NO_SCHEMAS, compile_enum, CHECK(enum)},
    {"required", BOTH, VALIDATION, NO_SCHEMAS, compile_required, CHECK(required)},
    {"minimum", BOTH, VALIDATION, NO_SCHEMAS, compile_bound, CHECK(minimum)},
    {"maximum", BOTH, VALIDATION, NO_SCHEMAS, compile_bound, CHECK(maximum)},
    {"exclusiveMinimum", BOTH, VALIDATION, NO_SCHEMAS, compile_bound, CHECK(minimum)},
    {"exclusiveMaximum", BOTH, VALIDATION, NO_SCHEMAS, compile_bound, CHECK(maximum)},
    {"multipleOf", BOTH, VALIDATION, NO_SCHEMAS, compile_multiple_of, CHECK(multiple_of)},
    {"minLength", BOTH, VALIDATION, NO_SCHEMAS, compile_count, CHECK(length)},
    {"maxLength", BOTH, VALIDATION, NO_SCHEMAS, compile_count, CHECK(length)},
    {"pattern", BOTH, VALIDATION, NO_SCHEMAS, compile_pattern, CHECK(pattern)},
    {"format", BOTH, FORMATS, NO_SCHEMAS, compile_format, CHECK(format)},
    {"minItems", BOTH, VALIDATION, NO_SCHEMAS, compile_count, CHECK(item_count)},
    {"maxItems", BOTH, VALIDATION, NO_SCHEMAS, compile_count, CHECK(item_count)},
    {"uniqueItems", BOTH, VALIDATION, NO_SCHEMAS, compile_unique, CHECK(unique)},
    {"minProperties", BOTH, VALIDATION, NO_SCHEMAS, compile_count, CHECK(property_count)},
    {"maxProperties", BOTH, VALIDATION, NO_SCHEMAS, compile_count, CHECK(property_count)},
    {"dependentRequired", ONLY_2020_12, VALIDATION, NO_SCHEMAS, compile_dependencies,
     CHECK(dependencies)},
    {"propertyNames", BOTH, APPLICATOR, ONE, compile_one, CHECK(names)},
    {"properties", BOTH, APPLICATOR, MAP, compile_properties, CHECK(properties)},
    {"patternProperties", BOTH, APPLICATOR, MAP, compile_patterns, CHECK(patterns)},
    {"additionalProperties", BOTH, APPLICATOR, ONE, compile_one, CHECK(additional)},
    {"prefixItems", ONLY_2020_12, APPLICATOR, LIST, compile_parts, CHECK(prefix)},
    {"items", ONLY_2020_12, APPLICATOR, ONE, compile_items, CHECK(items)},
    {"items", ONLY_7, APPLICATOR, FORMAT_JSONSCHEMA_ITEMS, compile_items, CHECK(items)},
    {"items", 0, APPLICATOR, NO_SCHEMAS, NULL, CHECK(prefix)}, /* see compile_items */
    {"additionalItems", ONLY_7, APPLICATOR, ONE, compile_additional_items, CHECK(items)},
    {"contains", BOTH, APPLICATOR, ONE, compile_contains, CHECK(contains)},
    {"dependentSchemas", ONLY_2020_12, APPLICATOR, MAP, compile_parts, CHECK(dependencies)},
    {"dependencies", ONLY_7, APPLICATOR, FORMAT_JSONSCHEMA_MIXED, compile_dependencies,
     CHECK(dependencies)},
    {"allOf", BOTH, APPLICATOR, LIST, compile_parts, CHECK(all_of)},
    {"anyOf", BOTH, APPLICATOR, LIST, compile_parts, CHECK(any_of)},
    {"oneOf", BOTH, APPLICATOR, LIST, compile_parts, CHECK(one_of)},
    {"not", BOTH, APPLICATOR, ONE, compile_one, CHECK(not )},
    {"if", BOTH, APPLICATOR, ONE, compile_if, CHECK(if)},
    {"then", BOTH, APPLICATOR, ONE, NULL, NULL},
    {"else", BOTH, APPLICATOR, ONE, NULL, NULL},
    {"unevaluatedItems", ONLY_2020_12, UNEVALUATED, ONE, compile_unevaluated, CHECK(unevaluated)},
    {"unevaluatedProperties", ONLY_2020_12, UNEVALUATED, ONE, compile_unevaluated,
     CHECK(unevaluated)},
    {0},
};
