#include <stdarg.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "format/jsonschema/check_int.h"

/*
 * A record becomes a tree, to which the root schema is applied; a schema applies its keywords one
 * after the other, and keywords apply schemas to the value or its children. The first refusal
 * unwinds everything, unless it came from a branch that was only tried.
 *
 * What unevaluatedItems and unevaluatedProperties ask for is kept as a bit a child, on a stack of
 * words: a schema with one of these has bits of its own, and hands them up when it holds; a branch
 * that is tried has some as well, which are dropped if it fails.
 *
 * Recursion is bounded by FORMAT_JSONSCHEMA_DEPTH_MAX, and everything that loops spends steps.
 */

struct format_jsonschema_scratch {
    struct format_jsonschema_run run;
};

err_t format_jsonschema_scratch_new(struct format_jsonschema_scratch **out)
{
    ASSERT(out);
    struct format_jsonschema_scratch *scratch = mem_zalloc(1, sizeof(*scratch));
    if (!scratch)
        return err_make(ERR_MEMORY);
    arena_init(&scratch->run.arena, 65536);
    err_t err = format_jsonschema_matcher_new(&scratch->run.matcher);
    if (err_is_ok(err))
        err = format_jsonschema_frames_new(&scratch->run.frames);
    if (!err_is_ok(err)) {
        format_jsonschema_scratch_free(&scratch);
        return err;
    }
    *out = scratch;
    return err_ok();
}

void format_jsonschema_scratch_free(struct format_jsonschema_scratch **scratch)
{
    struct format_jsonschema_scratch *s = *scratch;
    if (!s)
        return;
    format_jsonschema_matcher_free(&s->run.matcher);
    arena_done(&s->run.arena);
    buf_done(&s->run.text);
    mem_free(s->run.words);
    mem_free(s->run.frames);
    mem_free(s);
    *scratch = NULL;
}

bool format_jsonschema_stop(struct format_jsonschema_run *r, enum err_code code)
{
    ASSERT(code == ERR_MEMORY || code == ERR_TOO_LARGE);
    if (r->stopped == ERR_OK)
        r->stopped = code;
    return false;
}

bool format_jsonschema_step(struct format_jsonschema_run *r, uint64_t steps)
{
    if (r->stopped != ERR_OK)
        return false;
    return format_jsonschema_spend(&r->budget, steps) || format_jsonschema_stop(r, ERR_TOO_LARGE);
}

/* Copies `text` into a field of an error; what does not fit is cut between code points. */
static void put(char *field, size_t capacity, struct slice text)
{
    ASSERT(capacity > 4);
    bool cut = text.size >= capacity;
    text = format_jsonschema_clip(text, cut ? capacity - 4 : text.size);
    if (text.size > 0)
        memcpy(field, text.data, text.size);
    memcpy(field + text.size, cut ? "..." : "", cut ? 4 : 1);
}

/* Fills in an error: `message`, then the keyword. */
static void explain(struct format_jsonschema_run *r, const struct format_jsonschema_node *node,
                    const char *keyword, const char *message)
{
    struct format_jsonschema_error *why = r->why;
    why->keyword = keyword;
    buf_reset(&r->text);
    if (node)
        format_jsonschema_add_pointer(&r->text, node, 200);
    put(why->path, sizeof(why->path), buf_slice(&r->text));
    buf_reset(&r->text);
    format_jsonschema_add_visible(&r->text, slice_string(message));
    /* The keyword's own room is kept free, so that a long expectation never hides it. */
    put(why->message, sizeof(why->message) - 32, buf_slice(&r->text));
    size_t size = strlen(why->message);
    snprintf(why->message + size, sizeof(why->message) - size, " (%s)", keyword);
    if (!buf_ok(&r->text))
        (void)format_jsonschema_stop(r, ERR_MEMORY);
}

bool format_jsonschema_fail(struct format_jsonschema_run *r,
                            const struct format_jsonschema_keyword *k,
                            const struct format_jsonschema_node *node, const char *format, ...)
{
    if (r->quiet > 0 || r->stopped != ERR_OK)
        return false;
    char message[512];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    ASSERT(k->word);
    explain(r, node, k->word->name, message);
    return false;
}

bool format_jsonschema_matches(struct format_jsonschema_run *r,
                               const struct format_jsonschema_regex *regex, struct slice text)
{
    bool found = false;
    if (r->stopped != ERR_OK)
        return false;
    err_t err = format_jsonschema_regex_match(regex, r->matcher, text, &r->budget, &found);
    if (!err_is_ok(err))
        return format_jsonschema_stop(r, err_is(err, ERR_MEMORY) ? ERR_MEMORY : ERR_TOO_LARGE);
    return found;
}

static size_t words_for(const struct format_jsonschema_node *node)
{
    return node->count / 64 + 1;
}

/* Cleared bits for the children of `node`; NONE when there is no room. */
static size_t push_bits(struct format_jsonschema_run *r, const struct format_jsonschema_node *node)
{
    size_t size = words_for(node), start = r->word_count;
    if (!format_jsonschema_step(r, size))
        return FORMAT_JSONSCHEMA_NONE;
    if (start + size > r->word_capacity) {
        size_t capacity = (start + size) * 2;
        void *grown = start + size > FORMAT_JSONSCHEMA_WORDS_MAX
                          ? NULL
                          : mem_realloc(r->words, capacity, sizeof(uint64_t));
        if (!grown) {
            (void)format_jsonschema_stop(
                r, start + size > FORMAT_JSONSCHEMA_WORDS_MAX ? ERR_TOO_LARGE : ERR_MEMORY);
            return FORMAT_JSONSCHEMA_NONE;
        }
        r->words = grown;
        r->word_capacity = capacity;
    }
    memset(r->words + start, 0, size * sizeof(uint64_t));
    r->word_count += size;
    return start;
}

/* Drops the bits from `own` on, after handing them to `seen` if `keep`. */
static void pop_bits(struct format_jsonschema_run *r, const struct format_jsonschema_node *node,
                     size_t own, size_t seen, bool keep)
{
    ASSERT(own <= r->word_count);
    if (keep && seen != FORMAT_JSONSCHEMA_NONE)
        for (size_t i = 0; i < words_for(node); i++)
            r->words[seen + i] |= r->words[own + i];
    r->word_count = own;
}

static void mark(struct format_jsonschema_run *r, size_t seen,
                 const struct format_jsonschema_node *child)
{
    if (seen != FORMAT_JSONSCHEMA_NONE)
        r->words[seen + child->index / 64] |= UINT64_C(1) << (child->index & 63);
}

static bool is_marked(const struct format_jsonschema_run *r, size_t seen,
                      const struct format_jsonschema_node *child)
{
    return (r->words[seen + child->index / 64] >> (child->index & 63) & 1) != 0;
}

static bool apply_keywords(struct format_jsonschema_run *r,
                           const struct format_jsonschema_schema *schema,
                           const struct format_jsonschema_node *node, size_t seen)
{
    for (const struct format_jsonschema_keyword *k = schema->keywords; k; k = k->next)
        if (!k->word->check(r, k, node, seen))
            return false;
    return r->stopped == ERR_OK;
}

static bool apply(struct format_jsonschema_run *r, const struct format_jsonschema_schema *schema,
                  const struct format_jsonschema_node *node, size_t seen)
{
    if (!schema->looks_back || node->count == 0)
        return apply_keywords(r, schema, node, seen);
    size_t own = push_bits(r, node);
    if (own == FORMAT_JSONSCHEMA_NONE)
        return false;
    bool good = apply_keywords(r, schema, node, own);
    pop_bits(r, node, own, seen, good);
    return good;
}

bool format_jsonschema_holds(struct format_jsonschema_run *r,
                             const struct format_jsonschema_schema *schema,
                             const struct format_jsonschema_node *node, size_t seen)
{
    if (!format_jsonschema_step(r, 1))
        return false;
    if (schema->never) {
        if (r->quiet == 0)
            explain(r, node, "false", "expected nothing here");
        return false;
    }
    if (r->depth == FORMAT_JSONSCHEMA_DEPTH_MAX)
        return format_jsonschema_stop(r, ERR_TOO_LARGE);
    const struct format_jsonschema_scope *outer = r->scope;
    struct format_jsonschema_scope inner = {schema->resource, outer};
    if (!outer || outer->resource != schema->resource)
        r->scope = &inner;
    r->depth++;
    bool good = apply(r, schema, node, seen);
    r->depth--;
    r->scope = outer;
    return good;
}

/* Applies the schema of a keyword to a child; a `false` there is the keyword's own refusal. */
static bool holds_child(struct format_jsonschema_run *r, const struct format_jsonschema_keyword *k,
                        const struct format_jsonschema_schema *schema,
                        const struct format_jsonschema_node *child)
{
    if (schema->never)
        return format_jsonschema_fail(r, k, child, "expected nothing of this %s",
                                      child->parent->kind == FORMAT_JSON_ARRAY ? "index" : "name");
    return format_jsonschema_holds(r, schema, child, FORMAT_JSONSCHEMA_NONE);
}

/* Whether a schema that may fail holds; what it has seen counts only if it does. */
static bool holds_branch(struct format_jsonschema_run *r,
                         const struct format_jsonschema_schema *schema,
                         const struct format_jsonschema_node *node, size_t seen)
{
    size_t own = FORMAT_JSONSCHEMA_NONE;
    if (seen != FORMAT_JSONSCHEMA_NONE)
        own = push_bits(r, node);
    r->quiet++;
    bool good = format_jsonschema_holds(r, schema, node, own);
    r->quiet--;
    if (own != FORMAT_JSONSCHEMA_NONE)
        pop_bits(r, node, own, seen, good);
    return good;
}

/* Core, section 8.2.3. A dynamic reference leads to the outermost resource on the way here that
 * has the anchor. */
FORMAT_JSONSCHEMA_CHECK(ref)
{
    const struct format_jsonschema_schema *target = k->schema;
    if (k->dynamic.data) {
        for (const struct format_jsonschema_scope *s = r->scope; s; s = s->outer) {
            if (!format_jsonschema_step(r, 1))
                return false;
            for (const struct format_jsonschema_anchor *a = s->resource->dynamic; a; a = a->next)
                if (slice_equal(a->name, k->dynamic))
                    target = a->schema;
        }
    }
    return format_jsonschema_holds(r, target, node, seen);
}

FORMAT_JSONSCHEMA_CHECK(all_of)
{
    for (size_t i = 0; i < k->part_count; i++)
        if (!format_jsonschema_holds(r, k->parts[i].schema, node, seen))
            return false;
    return true;
}

FORMAT_JSONSCHEMA_CHECK(any_of)
{
    bool good = false;
    /* All of them where somebody wants to know what each has seen. */
    for (size_t i = 0; i < k->part_count && (!good || seen != FORMAT_JSONSCHEMA_NONE); i++)
        good = holds_branch(r, k->parts[i].schema, node, seen) || good;
    return good ||
           format_jsonschema_fail(r, k, node, "expected one of %zu schemas to hold", k->part_count);
}

FORMAT_JSONSCHEMA_CHECK(one_of)
{
    size_t good = 0;
    for (size_t i = 0; i < k->part_count && good < 2; i++)
        good += holds_branch(r, k->parts[i].schema, node, seen);
    if (good == 1)
        return true;
    return format_jsonschema_fail(r, k, node, "expected exactly one of %zu schemas to hold, got %s",
                                  k->part_count, good == 0 ? "none" : "several");
}

FORMAT_JSONSCHEMA_CHECK(not )
{
    (void)seen;
    return !holds_branch(r, k->schema, node, FORMAT_JSONSCHEMA_NONE) ||
           format_jsonschema_fail(r, k, node, "expected a schema not to hold");
}

FORMAT_JSONSCHEMA_CHECK(if)
{
    const struct format_jsonschema_schema *next =
        holds_branch(r, k->schema, node, seen) ? k->then_schema : k->else_schema;
    return !next || format_jsonschema_holds(r, next, node, seen);
}

/* All of `names` are members; `because` is the one that wants them. */
static bool has_names(struct format_jsonschema_run *r, const struct format_jsonschema_keyword *k,
                      const struct format_jsonschema_node *node,
                      const struct format_jsonschema_node *names)
{
    for (size_t i = 0; i < names->count; i++) {
        struct slice name = names->children[i]->text;
        if (!format_jsonschema_step(r, 1))
            return false;
        if (!format_jsonschema_tree_get(node, name))
            return format_jsonschema_fail(r, k, node, "expected property \"%.*s\"",
                                          SLICE_PRINTF(format_jsonschema_clip(name, 100)));
    }
    return true;
}

FORMAT_JSONSCHEMA_CHECK(required)
{
    (void)seen;
    return node->kind != FORMAT_JSON_OBJECT || has_names(r, k, node, k->value);
}

/* dependentSchemas, dependentRequired, and draft 7's dependencies, which are both. */
FORMAT_JSONSCHEMA_CHECK(dependencies)
{
    if (node->kind != FORMAT_JSON_OBJECT)
        return true;
    for (size_t i = 0; i < k->part_count; i++) {
        const struct format_jsonschema_part *part = &k->parts[i];
        if (!format_jsonschema_step(r, 1))
            return false;
        if (!format_jsonschema_tree_get(node, part->name))
            continue;
        if (part->schema ? !format_jsonschema_holds(r, part->schema, node, seen)
                         : !has_names(r, k, node, part->names))
            return false;
    }
    return true;
}

/* The part for a property; parts are in the order of their names. */
static const struct format_jsonschema_part *find_part(const struct format_jsonschema_keyword *k,
                                                      struct slice name)
{
    size_t low = 0, high = k->part_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = slice_compare(k->parts[middle].name, name);
        if (order == 0)
            return &k->parts[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

FORMAT_JSONSCHEMA_CHECK(properties)
{
    if (node->kind != FORMAT_JSON_OBJECT)
        return true;
    for (const struct format_jsonschema_node *child = node->first; child; child = child->next) {
        if (!format_jsonschema_step(r, 1))
            return false;
        const struct format_jsonschema_part *part = find_part(k, child->key);
        if (!part)
            continue;
        if (!holds_child(r, k, part->schema, child))
            return false;
        mark(r, seen, child);
    }
    return true;
}

FORMAT_JSONSCHEMA_CHECK(patterns)
{
    if (node->kind != FORMAT_JSON_OBJECT)
        return true;
    for (const struct format_jsonschema_node *child = node->first; child; child = child->next) {
        for (size_t i = 0; i < k->part_count; i++) {
            if (!format_jsonschema_matches(r, k->parts[i].regex, child->key)) {
                if (r->stopped != ERR_OK)
                    return false;
                continue;
            }
            if (!holds_child(r, k, k->parts[i].schema, child))
                return false;
            mark(r, seen, child);
        }
    }
    return true;
}

/* Whether properties or patternProperties beside `k` speak of the member. */
static bool is_named(struct format_jsonschema_run *r, const struct format_jsonschema_keyword *k,
                     const struct format_jsonschema_node *child)
{
    const struct format_jsonschema_keyword *patterns = k->owner->patterns;
    if (k->owner->properties && find_part(k->owner->properties, child->key))
        return true;
    for (size_t i = 0; patterns && i < patterns->part_count; i++)
        if (format_jsonschema_matches(r, patterns->parts[i].regex, child->key))
            return true;
    return false;
}

FORMAT_JSONSCHEMA_CHECK(additional)
{
    if (node->kind != FORMAT_JSON_OBJECT)
        return true;
    for (const struct format_jsonschema_node *child = node->first; child; child = child->next) {
        if (!format_jsonschema_step(r, 1))
            return false;
        if (is_named(r, k, child))
            continue;
        if (r->stopped != ERR_OK || !holds_child(r, k, k->schema, child))
            return false;
        mark(r, seen, child);
    }
    return true;
}

FORMAT_JSONSCHEMA_CHECK(names)
{
    (void)seen;
    if (node->kind != FORMAT_JSON_OBJECT)
        return true;
    for (const struct format_jsonschema_node *child = node->first; child; child = child->next) {
        /* A string in the member's place, so that a refusal tells which it is. */
        const struct format_jsonschema_node name = {.kind = FORMAT_JSON_STRING,
                                                    .index = child->index,
                                                    .key = child->key,
                                                    .text = child->key,
                                                    .parent = child->parent};
        if (!holds_child(r, k, k->schema, &name))
            return false;
    }
    return true;
}

FORMAT_JSONSCHEMA_CHECK(prefix)
{
    if (node->kind != FORMAT_JSON_ARRAY)
        return true;
    for (size_t i = 0; i < node->count && i < k->part_count; i++) {
        if (!holds_child(r, k, k->parts[i].schema, node->children[i]))
            return false;
        mark(r, seen, node->children[i]);
    }
    return true;
}

FORMAT_JSONSCHEMA_CHECK(items)
{
    if (node->kind != FORMAT_JSON_ARRAY)
        return true;
    for (size_t i = k->min; i < node->count; i++) {
        if (!holds_child(r, k, k->schema, node->children[i]))
            return false;
        mark(r, seen, node->children[i]);
    }
    return true;
}

FORMAT_JSONSCHEMA_CHECK(contains)
{
    uint64_t found = 0;
    if (node->kind != FORMAT_JSON_ARRAY)
        return true;
    for (size_t i = 0; i < node->count && r->stopped == ERR_OK; i++) {
        if (!holds_branch(r, k->schema, node->children[i], FORMAT_JSONSCHEMA_NONE))
            continue;
        mark(r, seen, node->children[i]);
        found++;
    }
    if (found < k->min)
        return format_jsonschema_fail(r, k, node, "expected at least %llu items that fit, got %llu",
                                      (unsigned long long)k->min, (unsigned long long)found);
    if (found > k->max)
        return format_jsonschema_fail(r, k, node, "expected at most %llu items that fit, got %llu",
                                      (unsigned long long)k->max, (unsigned long long)found);
    return true;
}

/* unevaluatedItems or unevaluatedProperties, by the kind that `k->kinds` has. */
FORMAT_JSONSCHEMA_CHECK(unevaluated)
{
    if ((k->kinds >> node->kind & 1) == 0 || node->count == 0)
        return true;
    ASSERT(seen != FORMAT_JSONSCHEMA_NONE);
    for (const struct format_jsonschema_node *child = node->first; child; child = child->next) {
        if (!format_jsonschema_step(r, 1))
            return false;
        if (is_marked(r, seen, child))
            continue;
        if (!holds_child(r, k, k->schema, child))
            return false;
        mark(r, seen, child);
    }
    return true;
}

/* A text that did not even become a tree. */
static err_t explain_tree(struct format_jsonschema_run *r, err_t err,
                          const struct format_jsonschema_tree_error *why)
{
    char message[128];
    if (err_is(err, ERR_EXISTS)) {
        explain(r, why->node, "duplicate", "expected each key once");
        err = err_make(ERR_RECORD_REFUSED);
    } else if (err_is(err, ERR_SYNTAX) || err_is(err, ERR_TOO_DEEP)) {
        snprintf(message, sizeof(message), "byte %zu: %s", why->json.offset, why->json.message);
        explain(r, NULL, "json", message);
    } else if (err_is(err, ERR_TOO_LARGE)) {
        explain(r, NULL, "complexity", "expected fewer values and shorter exponents");
    }
    return r->stopped == ERR_MEMORY ? err_make(ERR_MEMORY) : err;
}

static err_t check_record(struct format_jsonschema_run *r, const struct format_jsonschema *schema,
                          struct slice record)
{
    struct format_jsonschema_tree_error why;
    struct format_jsonschema_node *tree;
    err_t err = format_jsonschema_tree_read(record, &r->arena, &r->budget, &tree, &why);
    if (!err_is_ok(err))
        return explain_tree(r, err, &why);
    bool good = format_jsonschema_holds(r, schema->root, tree, FORMAT_JSONSCHEMA_NONE);
    if (r->stopped == ERR_TOO_LARGE)
        explain(r, NULL, "complexity", "expected less work to check it");
    if (r->stopped != ERR_OK)
        return err_make(r->stopped);
    return good ? err_ok() : err_make(ERR_RECORD_REFUSED);
}

static void begin_run(struct format_jsonschema_run *r, const struct format_jsonschema *schema,
                      struct format_jsonschema_error *why)
{
    ASSERT(schema && schema->root && !r->scope);
    r->budget = (struct format_jsonschema_budget){schema->steps, false};
    r->stopped = ERR_OK;
    r->why = why;
}

static void end_run(struct format_jsonschema_run *r)
{
    ASSERT(r->depth == 0 && r->quiet == 0 && r->word_count == 0);
    arena_done(&r->arena);
}

bool format_jsonschema_fits(const struct format_jsonschema *schema,
                            struct format_jsonschema_scratch *scratch, struct slice text,
                            const struct format_json_paths *paths, struct format_json_value *found)
{
    struct format_jsonschema_error unused;
    if (!schema->program)
        return false;
    begin_run(&scratch->run, schema, &unused);
    bool fits = format_jsonschema_pass(&scratch->run, schema, text, paths, found);
    end_run(&scratch->run);
    return fits;
}

err_t format_jsonschema_check(const struct format_jsonschema *schema,
                              struct format_jsonschema_scratch *scratch, struct slice record,
                              struct format_jsonschema_error *why)
{
    if (format_jsonschema_fits(schema, scratch, record, NULL, NULL))
        return err_ok();
    return format_jsonschema_check_plainly(schema, scratch, record, why);
}

err_t format_jsonschema_check_plainly(const struct format_jsonschema *schema,
                                      struct format_jsonschema_scratch *scratch,
                                      struct slice record, struct format_jsonschema_error *why)
{
    struct format_jsonschema_run *r = &scratch->run;
    struct format_jsonschema_error unused;
    begin_run(r, schema, why ? why : &unused);
    err_t err = check_record(r, schema, record);
    end_run(r);
    return err;
}
