#include "base/alloc.h"
#include "base/assert.h"
#include "format/jsonschema/compat_int.h"

/*
 * Happy path: a schema is a conjunction of groups of keywords: a reference, the types with all that
 * speaks of one type, enum, const, not, allOf, anyOf, oneOf, if. Each group of `b` has to follow
 * from `a`: from the same group of `a`, where there is one, so that a break is told at its exact
 * place; else from all of `a` taken as the premise of each branch; else from a branch of `a`.
 * What is only a try tells nothing.
 *
 * References make circles: a pair of schemas that is being compared further up, with a property or
 * an item between, holds if all else does, and is not gone into again. Without anything between,
 * the schema says nothing by itself: a break.
 *
 * Failure: steps and depth are bounded, since tries within tries multiply; what is beyond them is a
 * break of its own, so that "compatible" is never said of what was not looked at.
 */

#define STEPS (UINT64_C(1) << 21)
#define DEPTH_MAX 600u
/* More branches in a oneOf are not matched with each other. */
#define BRANCHES_MAX 128u

enum group {
    GROUP_TYPES,
    GROUP_REF,
    GROUP_ENUM,
    GROUP_CONST,
    GROUP_NOT,
    GROUP_ALL,
    GROUP_ANY,
    GROUP_ONE,
    GROUP_IF,
    GROUPS, /* how many there are */
};

static const char *const group_words[GROUPS] = {
    [GROUP_REF] = "$ref",  [GROUP_ENUM] = "enum", [GROUP_CONST] = "const", [GROUP_NOT] = "not",
    [GROUP_ALL] = "allOf", [GROUP_ANY] = "anyOf", [GROUP_ONE] = "oneOf",   [GROUP_IF] = "if"};

/* What is told of a group that follows from nothing. */
static const enum format_jsonschema_break_code group_codes[GROUPS] = {
    [GROUP_TYPES] = FORMAT_JSONSCHEMA_BREAK_TYPE_CHANGED,
    [GROUP_REF] = FORMAT_JSONSCHEMA_BREAK_TYPE_CHANGED,
    [GROUP_ENUM] = FORMAT_JSONSCHEMA_BREAK_ENUM_ARRAY_NARROWED,
    [GROUP_CONST] = FORMAT_JSONSCHEMA_BREAK_ENUM_ARRAY_NARROWED,
    [GROUP_NOT] = FORMAT_JSONSCHEMA_BREAK_NOT_TYPE_EXTENDED,
    [GROUP_ALL] = FORMAT_JSONSCHEMA_BREAK_PRODUCT_TYPE_EXTENDED,
    [GROUP_ANY] = FORMAT_JSONSCHEMA_BREAK_COMBINED_TYPE_CHANGED,
    [GROUP_ONE] = FORMAT_JSONSCHEMA_BREAK_COMBINED_TYPE_CHANGED,
    [GROUP_IF] = FORMAT_JSONSCHEMA_BREAK_CONDITION_CHANGED};

static const struct {
    const char *name;
    const char *text;
} break_table[] = {
#define BREAK_ROW(name, text) {#name, text},
    FORMAT_JSONSCHEMA_BREAK_TABLE(BREAK_ROW)
#undef BREAK_ROW
};

const char *format_jsonschema_break_name(enum format_jsonschema_break_code code)
{
    ASSERT(code < FORMAT_JSONSCHEMA_BREAK_CODES);
    return break_table[code].name;
}

const char *format_jsonschema_break_text(enum format_jsonschema_break_code code)
{
    ASSERT(code < FORMAT_JSONSCHEMA_BREAK_CODES);
    return break_table[code].text;
}

/* In a try the first break settles it: nobody hears of the others. */
bool format_jsonschema_compat_over(const struct format_jsonschema_compat_run *r)
{
    return r->budget.spent || !err_is_ok(r->error) || (r->quiet > 0 && r->broken);
}

void format_jsonschema_compat_break(struct format_jsonschema_compat_run *r,
                                    enum format_jsonschema_break_code code,
                                    const struct format_jsonschema_node *node)
{
    struct format_jsonschema_breaks *out = r->out;
    if (r->quiet > 0) {
        r->broken = true;
        return;
    }
    /* A try that ended for want of steps has failed, which does not make its schemas other ones. */
    if (r->budget.spent && code != FORMAT_JSONSCHEMA_BREAK_TOO_COMPLEX)
        return;
    struct buf text = {0};
    struct format_jsonschema_break item = {.code = code};
    buf_add_byte(&text, '#');
    format_jsonschema_add_pointer(&text, node, sizeof(item.path) - 60);
    struct slice path = format_jsonschema_clip(buf_slice(&text), sizeof(item.path) - 1);
    if (!buf_ok(&text))
        r->error = err_make(ERR_MEMORY);
    else
        memcpy(item.path, path.data, path.size);
    buf_done(&text);
    /* A definition that is used twice breaks once. */
    for (size_t i = 0; i < out->count; i++) {
        if (out->items[i].code == code && strcmp(out->items[i].path, item.path) == 0)
            return;
    }
    if (out->count == FORMAT_JSONSCHEMA_BREAKS_MAX)
        out->omitted++;
    else
        out->items[out->count++] = item;
}

const struct format_jsonschema_keyword *
format_jsonschema_compat_find(const struct format_jsonschema_schema *schema, const char *name)
{
    for (const struct format_jsonschema_keyword *k = schema->keywords; k; k = k->next)
        if (strcmp(k->word->name, name) == 0)
            return k;
    return NULL;
}

/* An empty object and true allow everything (JSON Schema core, section 4.3.2), and so does a
 * schema of annotations alone. */
bool format_jsonschema_compat_open(const struct format_jsonschema_schema *schema)
{
    return !schema->never && !schema->keywords;
}

/* The keyword that a group stands for; of types there may be many. A $dynamicRef is taken for a
 * $ref: where it leads without anything around it. */
static const struct format_jsonschema_keyword *
find_group(const struct format_jsonschema_schema *schema, enum group group)
{
    ASSERT(group != GROUP_TYPES);
    const struct format_jsonschema_keyword *k =
        format_jsonschema_compat_find(schema, group_words[group]);
    return k || group != GROUP_REF ? k : format_jsonschema_compat_find(schema, "$dynamicRef");
}

static void compare(struct format_jsonschema_compat_run *r,
                    const struct format_jsonschema_schema *a, uint32_t types,
                    const struct format_jsonschema_schema *b);

/* As if for its own sake: what it finds is forgotten. */
static bool try_types(struct format_jsonschema_compat_run *r,
                      const struct format_jsonschema_schema *a, uint32_t types,
                      const struct format_jsonschema_schema *b)
{
    bool broken = r->broken;
    r->quiet++;
    r->broken = false;
    compare(r, a, types, b);
    bool holds = !format_jsonschema_compat_over(r);
    r->quiet--;
    r->broken = broken;
    return holds;
}

bool format_jsonschema_compat_try(struct format_jsonschema_compat_run *r,
                                  const struct format_jsonschema_schema *a,
                                  const struct format_jsonschema_schema *b)
{
    return try_types(r, a, FORMAT_JSONSCHEMA_TYPES_ALL, b);
}

/* One level into the value: a pair that is met again further inside is another question than one
 * that leads back to itself at the same place. */
bool format_jsonschema_compat_try_inner(struct format_jsonschema_compat_run *r,
                                        const struct format_jsonschema_schema *a,
                                        const struct format_jsonschema_schema *b)
{
    r->level++;
    bool holds = format_jsonschema_compat_try(r, a, b);
    r->level--;
    return holds;
}

/* True when `value` is one of those of an enum or const. */
static bool has_value(struct format_jsonschema_compat_run *r,
                      const struct format_jsonschema_keyword *k, bool one,
                      const struct format_jsonschema_node *value)
{
    size_t count = one ? 1 : k->value->count;
    for (size_t i = 0; i < count && format_jsonschema_spend(&r->budget, 1); i++) {
        const struct format_jsonschema_node *node = one ? k->value : k->value->children[i];
        if (format_jsonschema_tree_compare(node, value, &r->budget) == 0)
            return true;
    }
    return false;
}

/* Narrowed where `b` is a part of `a`, changed where each has what the other has not. */
static void compare_values(struct format_jsonschema_compat_run *r,
                           const struct format_jsonschema_keyword *a,
                           const struct format_jsonschema_keyword *b)
{
    bool one_a = strcmp(a->word->name, "const") == 0;
    bool one_b = strcmp(b->word->name, "const") == 0;
    size_t count_a = one_a ? 1 : a->value->count;
    size_t count_b = one_b ? 1 : b->value->count;
    bool missing = false;
    bool added = false;
    for (size_t i = 0; i < count_a && !missing; i++)
        missing = !has_value(r, b, one_b, one_a ? a->value : a->value->children[i]);
    for (size_t i = 0; i < count_b && missing && !added; i++)
        added = !has_value(r, a, one_a, one_b ? b->value : b->value->children[i]);
    if (missing)
        format_jsonschema_compat_break(r,
                                       added ? FORMAT_JSONSCHEMA_BREAK_ENUM_ARRAY_CHANGED
                                             : FORMAT_JSONSCHEMA_BREAK_ENUM_ARRAY_NARROWED,
                                       b->value);
}

/* One part of an allOf follows from any part of the other, or from all that stands around it. */
static void compare_all(struct format_jsonschema_compat_run *r,
                        const struct format_jsonschema_schema *a,
                        const struct format_jsonschema_keyword *all_a,
                        const struct format_jsonschema_keyword *all_b)
{
    for (size_t i = 0; i < all_b->part_count && !format_jsonschema_compat_over(r); i++) {
        const struct format_jsonschema_schema *part = all_b->parts[i].schema;
        bool holds = false;
        for (size_t j = 0; j < all_a->part_count && !holds && !r->budget.spent; j++)
            holds = format_jsonschema_compat_try(r, all_a->parts[j].schema, part);
        if (holds || format_jsonschema_compat_try(r, a, part))
            continue;
        if (all_a->part_count == all_b->part_count)
            format_jsonschema_compat_schemas(r, all_a->parts[i].schema, part);
        else
            format_jsonschema_compat_break(r, FORMAT_JSONSCHEMA_BREAK_PRODUCT_TYPE_EXTENDED,
                                           part->node);
    }
}

/* Each branch of the old one has to fit a branch of the other, any. Where none fits, what it
 * lacks is told by the branch in the same place, which is the one that whoever wrote both had in
 * mind. */
static void compare_any(struct format_jsonschema_compat_run *r,
                        const struct format_jsonschema_keyword *a,
                        const struct format_jsonschema_keyword *b)
{
    for (size_t i = 0; i < a->part_count && !format_jsonschema_compat_over(r); i++) {
        const struct format_jsonschema_schema *part = a->parts[i].schema;
        bool holds = false;
        for (size_t j = 0; j < b->part_count && !holds && !r->budget.spent; j++)
            holds = format_jsonschema_compat_try(r, part, b->parts[j].schema);
        if (holds)
            continue;
        if (i < b->part_count)
            format_jsonschema_compat_schemas(r, part, b->parts[i].schema);
        else
            format_jsonschema_compat_break(r, FORMAT_JSONSCHEMA_BREAK_SUM_TYPE_NARROWED,
                                           part->node);
    }
}

struct matching {
    bool fits[BRANCHES_MAX][BRANCHES_MAX]; /* branch of a, of b */
    bool seen[BRANCHES_MAX];
    uint32_t taken[BRANCHES_MAX]; /* branch of b: its branch of a, plus one */
    size_t count_b;
};

/* An augmenting path from branch `i`: the others are moved to make room (Kuhn's algorithm). */
static bool place(struct matching *m, size_t i)
{
    for (size_t j = 0; j < m->count_b; j++) {
        if (!m->fits[i][j] || m->seen[j])
            continue;
        m->seen[j] = true;
        if (m->taken[j] == 0 || place(m, m->taken[j] - 1)) {
            m->taken[j] = (uint32_t)i + 1;
            return true;
        }
    }
    return false;
}

/* With oneOf two branches must not fit the same one: a value of both would then be refused. So
 * it is a matching, and not a search for each. */
static size_t match(struct format_jsonschema_compat_run *r, struct matching *m,
                    const struct format_jsonschema_keyword *a,
                    const struct format_jsonschema_keyword *b)
{
    size_t matched = 0;
    m->count_b = b->part_count;
    for (size_t i = 0; i < a->part_count; i++)
        for (size_t j = 0; j < b->part_count && !r->budget.spent; j++)
            m->fits[i][j] = format_jsonschema_compat_try(r, a->parts[i].schema, b->parts[j].schema);
    for (size_t i = 0; i < a->part_count; i++) {
        memset(m->seen, 0, sizeof(m->seen));
        matched += place(m, i);
    }
    return matched;
}

/* Of a oneOf each branch needs one of its own. */
static void compare_one(struct format_jsonschema_compat_run *r,
                        const struct format_jsonschema_keyword *a,
                        const struct format_jsonschema_keyword *b)
{
    if (a->part_count > BRANCHES_MAX || b->part_count > BRANCHES_MAX) {
        format_jsonschema_compat_break(r, FORMAT_JSONSCHEMA_BREAK_TOO_COMPLEX, b->value);
        return;
    }
    struct matching *m = mem_zalloc(1, sizeof(*m));
    if (!m) {
        r->error = err_make(ERR_MEMORY);
        return;
    }
    if (a->part_count > b->part_count)
        format_jsonschema_compat_break(r, FORMAT_JSONSCHEMA_BREAK_SUM_TYPE_NARROWED, b->value);
    size_t matched = match(r, m, a, b);
    mem_free(m);
    size_t least = a->part_count < b->part_count ? a->part_count : b->part_count;
    if (matched >= least)
        return;
    if (a->part_count == b->part_count && a->part_count == 1)
        format_jsonschema_compat_schemas(r, a->parts[0].schema, b->parts[0].schema);
    else
        format_jsonschema_compat_break(r, FORMAT_JSONSCHEMA_BREAK_COMBINED_TYPE_SUBSCHEMAS_CHANGED,
                                       b->value);
}

/* By value, as enum compares: the order of members and the way in which numbers are written make
 * no difference. */
static bool same_text(struct format_jsonschema_compat_run *r,
                      const struct format_jsonschema_schema *a,
                      const struct format_jsonschema_schema *b)
{
    return a && b ? format_jsonschema_tree_compare(a->node, b->node, &r->budget) == 0 : a == b;
}

/* Of two equal conditions the consequences are compared; others cannot be. */
static void compare_condition(struct format_jsonschema_compat_run *r,
                              const struct format_jsonschema_keyword *a,
                              const struct format_jsonschema_keyword *b)
{
    if (!same_text(r, a->schema, b->schema)) {
        format_jsonschema_compat_break(r, FORMAT_JSONSCHEMA_BREAK_CONDITION_CHANGED, b->value);
        return;
    }
    const struct format_jsonschema_schema *from[] = {a->then_schema, a->else_schema};
    const struct format_jsonschema_schema *to[] = {b->then_schema, b->else_schema};
    for (size_t i = 0; i < 2; i++) {
        if (to[i] && from[i])
            format_jsonschema_compat_schemas(r, from[i], to[i]);
        else if (to[i] && !format_jsonschema_compat_open(to[i]))
            format_jsonschema_compat_break(r, FORMAT_JSONSCHEMA_BREAK_CONDITION_CHANGED,
                                           to[i]->node);
    }
}

/* Of the words that branch each is compared with its like alone. What can be said of unlike ones
 * (an enum that a type follows from) is asked before. */
static void compare_group(struct format_jsonschema_compat_run *r, enum group group,
                          const struct format_jsonschema_schema *a,
                          const struct format_jsonschema_keyword *in_a,
                          const struct format_jsonschema_keyword *in_b)
{
    switch (group) {
    case GROUP_REF: format_jsonschema_compat_schemas(r, in_a->schema, in_b->schema); return;
    case GROUP_NOT:
        if (!format_jsonschema_compat_try(r, in_b->schema, in_a->schema))
            format_jsonschema_compat_break(r, FORMAT_JSONSCHEMA_BREAK_NOT_TYPE_EXTENDED,
                                           in_b->value);
        return;
    case GROUP_ALL: compare_all(r, a, in_a, in_b); return;
    case GROUP_ANY: compare_any(r, in_a, in_b); return;
    case GROUP_ONE: compare_one(r, in_a, in_b); return;
    case GROUP_IF: compare_condition(r, in_a, in_b); return;
    case GROUP_ENUM:
    case GROUP_CONST: compare_values(r, in_a, in_b); return;
    case GROUP_TYPES:
    case GROUPS: break;
    }
    ASSERT(false);
}

/* True when all of `b` follows from something within `a`: where a reference leads, one part of
 * what all hold, every branch of what may hold. */
static bool follows_from_within(struct format_jsonschema_compat_run *r,
                                const struct format_jsonschema_schema *a,
                                const struct format_jsonschema_schema *b, bool exclusive)
{
    const struct format_jsonschema_keyword *k = find_group(a, GROUP_REF);
    if (k && format_jsonschema_compat_try(r, k->schema, b))
        return true;
    k = find_group(a, GROUP_ALL);
    for (size_t i = 0; k && i < k->part_count && !r->budget.spent; i++)
        if (format_jsonschema_compat_try(r, k->parts[i].schema, b))
            return true;
    for (int group = GROUP_ANY; group <= GROUP_ONE; group++) {
        k = find_group(a, (enum group)group);
        /* Two branches that both hold make two of a oneOf, which is one too many. */
        if (!k || (exclusive && group == GROUP_ANY && k->part_count > 1))
            continue;
        size_t i = 0;
        while (i < k->part_count && format_jsonschema_compat_try(r, k->parts[i].schema, b))
            i++;
        if (i == k->part_count)
            return true;
    }
    return false;
}

/* A value of several types may go to a branch for each. */
/* A type of several kinds of value is the same as a branch for each: every kind alone has to fit
 * one. */
static bool types_go_to_branches(struct format_jsonschema_compat_run *r,
                                 const struct format_jsonschema_schema *a, uint32_t types,
                                 const struct format_jsonschema_keyword *any);

/* A group of `b` that `a` has not. */
static void compare_added(struct format_jsonschema_compat_run *r, enum group group,
                          const struct format_jsonschema_schema *a, uint32_t types,
                          const struct format_jsonschema_schema *b,
                          const struct format_jsonschema_keyword *k)
{
    if (group == GROUP_REF) {
        format_jsonschema_compat_schemas(r, a, k->schema);
        return;
    }
    if (group == GROUP_ALL) {
        for (size_t i = 0; i < k->part_count; i++)
            format_jsonschema_compat_schemas(r, a, k->parts[i].schema);
        return;
    }
    if (group == GROUP_ANY || group == GROUP_ONE) {
        for (size_t i = 0; i < k->part_count && !r->budget.spent; i++)
            if (format_jsonschema_compat_try(r, a, k->parts[i].schema))
                return;
        if (group == GROUP_ANY && types_go_to_branches(r, a, types, k))
            return;
    }
    if (!follows_from_within(r, a, b, group == GROUP_ONE))
        format_jsonschema_compat_break(r, group_codes[group], k->value);
}

/* An enum follows from a const and the other way round. */
static const struct format_jsonschema_keyword *
same_group(const struct format_jsonschema_schema *schema, enum group group)
{
    const struct format_jsonschema_keyword *k = find_group(schema, group);
    if (!k && (group == GROUP_ENUM || group == GROUP_CONST))
        k = find_group(schema, group == GROUP_ENUM ? GROUP_CONST : GROUP_ENUM);
    return k;
}

/* True when what types there are may be said by something other than `type`. */
static bool says_types_otherwise(const struct format_jsonschema_schema *schema)
{
    for (int group = GROUP_REF; group <= GROUP_ONE; group++)
        if (group != GROUP_NOT && find_group(schema, (enum group)group))
            return true;
    return false;
}

/* Types first, since a break of a type explains most of what would be found behind it. */
static void compare_groups(struct format_jsonschema_compat_run *r,
                           const struct format_jsonschema_schema *a, uint32_t types,
                           const struct format_jsonschema_schema *b)
{
    if (format_jsonschema_compat_has_types(b)) {
        const struct format_jsonschema_keyword *type = format_jsonschema_compat_find(b, "type");
        if (!says_types_otherwise(a) || format_jsonschema_compat_has_types(a))
            format_jsonschema_compat_types(r, a, types, b);
        else if (!follows_from_within(r, a, b, false))
            format_jsonschema_compat_break(r, FORMAT_JSONSCHEMA_BREAK_TYPE_CHANGED,
                                           type ? type->value : b->node);
    }
    for (int group = GROUP_TYPES + 1; group < GROUPS && !format_jsonschema_compat_over(r);
         group++) {
        const struct format_jsonschema_keyword *in_b = find_group(b, (enum group)group);
        const struct format_jsonschema_keyword *in_a = same_group(a, (enum group)group);
        if (in_b && in_a)
            compare_group(r, (enum group)group, a, in_a, in_b);
        else if (in_b)
            compare_added(r, (enum group)group, a, types, b, in_b);
    }
}

/* Steps that a pair costs, and whether it is one that is under way. */
static bool is_under_way(struct format_jsonschema_compat_run *r,
                         const struct format_jsonschema_pair *pair)
{
    for (const struct format_jsonschema_pair *p = pair->above; p; p = p->above) {
        if (!format_jsonschema_spend(&r->budget, 1))
            return true;
        if (p->a != pair->a || p->b != pair->b || p->types != pair->types)
            continue;
        if (p->level == pair->level)
            format_jsonschema_compat_break(r, FORMAT_JSONSCHEMA_BREAK_TOO_COMPLEX, pair->b->node);
        return true;
    }
    return false;
}

/* Of a reference alone, which stands for what it leads to; else NULL. */
static const struct format_jsonschema_keyword *
reference_of(const struct format_jsonschema_schema *schema)
{
    bool alone = schema->keywords && !schema->keywords->next;
    return alone ? find_group(schema, GROUP_REF) : NULL;
}

static void compare(struct format_jsonschema_compat_run *r,
                    const struct format_jsonschema_schema *a, uint32_t types,
                    const struct format_jsonschema_schema *b)
{
    if (format_jsonschema_compat_over(r) || !format_jsonschema_spend(&r->budget, 8))
        return;
    if (a->never || format_jsonschema_compat_open(b))
        return;
    if (b->never) {
        format_jsonschema_compat_break(r, FORMAT_JSONSCHEMA_BREAK_TYPE_CHANGED, b->node);
        return;
    }
    if (r->depth == DEPTH_MAX) {
        r->budget.spent = true;
        return;
    }
    struct format_jsonschema_pair pair = {a, b, types, r->level, r->pairs};
    if (is_under_way(r, &pair))
        return;
    r->pairs = &pair;
    r->depth++;
    const struct format_jsonschema_keyword *reference = reference_of(a);
    if (reference)
        compare(r, reference->schema, types, b);
    else
        compare_groups(r, a, types, b);
    r->depth--;
    r->pairs = pair.above;
}

static bool types_go_to_branches(struct format_jsonschema_compat_run *r,
                                 const struct format_jsonschema_schema *a, uint32_t types,
                                 const struct format_jsonschema_keyword *any)
{
    types &= format_jsonschema_compat_types_of(a);
    if ((types & (types - 1)) == 0)
        return false;
    /* Both of true and false, integers with other numbers. */
    static const uint32_t one_type[] = {
        1U << FORMAT_JSON_NULL,        1U << FORMAT_JSON_FALSE | 1U << FORMAT_JSON_TRUE,
        1U << FORMAT_JSON_NUMBER | 1U, 1U << FORMAT_JSON_STRING,
        1U << FORMAT_JSON_OBJECT,      1U << FORMAT_JSON_ARRAY};
    for (size_t i = 0; i < sizeof(one_type) / sizeof(one_type[0]); i++) {
        bool holds = (types & one_type[i]) == 0;
        for (size_t j = 0; j < any->part_count && !holds && !r->budget.spent; j++)
            holds = try_types(r, a, types & one_type[i], any->parts[j].schema);
        if (!holds)
            return false;
    }
    return true;
}

void format_jsonschema_compat_schemas(struct format_jsonschema_compat_run *r,
                                      const struct format_jsonschema_schema *a,
                                      const struct format_jsonschema_schema *b)
{
    ASSERT(a && b);
    compare(r, a, FORMAT_JSONSCHEMA_TYPES_ALL, b);
}

void format_jsonschema_compat_inner(struct format_jsonschema_compat_run *r,
                                    const struct format_jsonschema_schema *a,
                                    const struct format_jsonschema_schema *b)
{
    ASSERT(a && b);
    r->level++;
    compare(r, a, FORMAT_JSONSCHEMA_TYPES_ALL, b);
    r->level--;
}

err_t format_jsonschema_compat(const struct format_jsonschema *from,
                               const struct format_jsonschema *to,
                               struct format_jsonschema_breaks *out)
{
    ASSERT(from->root && to->root);
    struct format_jsonschema_compat_run run = {.out = out, .budget = {STEPS, false}};
    *out = (struct format_jsonschema_breaks){.count = 0};
    TRY(format_jsonschema_matcher_new(&run.matcher));
    format_jsonschema_compat_schemas(&run, from->root, to->root);
    format_jsonschema_matcher_free(&run.matcher);
    ASSERT(run.quiet == 0 && run.depth == 0 && run.level == 0);
    /* What was found holds, but it may not be all. */
    if (run.budget.spent)
        format_jsonschema_compat_break(&run, FORMAT_JSONSCHEMA_BREAK_TOO_COMPLEX, to->root->node);
    return run.error;
}

/* Without steps left they are taken for different: a reload then compares them, and nothing is
 * skipped that should not be. */
bool format_jsonschema_same(const struct format_jsonschema *a, const struct format_jsonschema *b)
{
    ASSERT(a->root && b->root);
    struct format_jsonschema_budget budget = {STEPS, false};
    return format_jsonschema_tree_compare(a->root->node, b->root->node, &budget) == 0 &&
           !budget.spent;
}
