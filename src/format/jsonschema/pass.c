#include "base/alloc.h"
#include "base/assert.h"
#include "base/list.h"
#include "format/json/walk.h"
#include "format/jsonschema/check_int.h"
#include "format/jsonschema/program_int.h"

/*
 * Happy path: the JSON pass tells of each key, scalar and bracket; the frame of the innermost open
 * container knows the shape of what stands in it. A scalar is held against its shape at once. An
 * object notes which properties it has had, an array counts; when either closes, what is required
 * is compared, and only keywords that need the value as a whole have its span read as a tree.
 *
 * Equal keys: of the properties with a name a bit each tells; of the others fingerprints are kept,
 * and two equal ones send the record to the plain checker, which looks at the keys themselves.
 *
 * Failure modes: whatever is refused, dear or rare ends the walk, and the plain checker begins
 * anew. So nothing here words an error, and nothing has to be exact but what is accepted.
 */

/* Keys without a name in their shape, in one object and in all open ones together. */
#define UNKNOWN_MAX 256
#define KEYS_MAX 4096

struct frame {
    const struct format_jsonschema_place *shape;
    const uint8_t *start;
    size_t count;    /* of members or items */
    uint32_t expect; /* index of the property that may come next */
    uint32_t key_at; /* of its first fingerprint */
    uint64_t filter; /* bit of each fingerprint in it */
    uint64_t seen[FORMAT_JSONSCHEMA_SEEN_WORDS];
    bool object;
};

struct format_jsonschema_frames {
    struct frame frames[FORMAT_JSON_DEPTH_MAX + 1]; /* by depth; 0 is not used */
    uint64_t keys[KEYS_MAX];
};

struct pass {
    struct format_json_walk walk;
    struct format_jsonschema_run *run;
    struct frame *frames;
    uint64_t *keys;
    uint32_t key_count;
    const struct format_jsonschema_place *next; /* of the member whose key was read, or the root */
};

err_t format_jsonschema_frames_new(struct format_jsonschema_frames **out)
{
    ASSERT(out);
    *out = mem_alloc(sizeof(**out));
    return *out ? err_ok() : err_make(ERR_MEMORY);
}

static inline struct pass *pass_of(struct format_json_walk *walk)
{
    return CONTAINER_OF(walk, struct pass, walk);
}

/* A key that its shape does not know: false when it may have been there before. */
static inline bool note_unknown(struct pass *p, struct frame *f, uint64_t fingerprint)
{
    uint64_t bit = UINT64_C(1) << (fingerprint >> 58);
    uint32_t count = p->key_count - f->key_at;
    if ((f->filter & bit) != 0)
        for (uint32_t i = f->key_at; i < p->key_count; i++)
            if (p->keys[i] == fingerprint)
                return false;
    if (count == UNKNOWN_MAX || p->key_count == KEYS_MAX)
        return false;
    f->filter |= bit;
    p->keys[p->key_count++] = fingerprint;
    return true;
}

/* The property of a key; NULL, and its fingerprint, where its shape does not know it. */
static inline const struct format_jsonschema_property *find(struct frame *f, struct slice raw,
                                                            uint64_t *fingerprint)
{
    const struct format_jsonschema_place *shape = f->shape;
    const struct format_jsonschema_property *p = &shape->properties[f->expect];
    if (f->expect < shape->property_count && format_jsonschema_same(p->name, raw))
        return p;
    *fingerprint = format_jsonschema_fingerprint(raw);
    return format_jsonschema_shape_find(shape, raw, *fingerprint);
}

/* An escaped name is left to the plain checker: it would have to be decoded to be compared, and
 * next to no record has one. */
static inline bool on_key(struct format_json_walk *walk, struct slice raw, bool plain)
{
    struct pass *p = pass_of(walk);
    struct frame *f = &p->frames[walk->depth];
    if (!plain && memchr(raw.data, '\\', raw.size))
        return false;
    f->count++;
    uint64_t fingerprint = 0;
    const struct format_jsonschema_property *property = find(f, raw, &fingerprint);
    if (!property) {
        p->next = f->shape->other;
        return note_unknown(p, f, fingerprint);
    }
    size_t index = (size_t)(property - f->shape->properties);
    f->expect = (uint32_t)index + 1;
    uint64_t bit = UINT64_C(1) << (index & 63);
    uint64_t *word = &f->seen[index / 64];
    p->next = property->shape;
    bool again = (*word & bit) != 0;
    *word |= bit;
    return !again;
}

/* The shape of the value that comes now, in the container at `depth`. */
static inline const struct format_jsonschema_place *shape_here(struct pass *p, uint32_t depth)
{
    if (depth == 0 || p->frames[depth].object)
        return p->next;
    struct frame *f = &p->frames[depth];
    size_t index = f->count++;
    return index < f->shape->prefix_count ? f->shape->prefix[index] : f->shape->items;
}

static bool run_keyword(struct pass *p, const struct format_jsonschema_keyword *k,
                        const struct format_jsonschema_node *node)
{
    return k->word->check(p->run, k, node, FORMAT_JSONSCHEMA_NONE);
}

/* Last, being the dearest: what they need to look at may be read anew for each. */
static bool holds_wholes(struct pass *p, const struct format_jsonschema_place *shape,
                         const struct format_jsonschema_node *node)
{
    for (size_t i = 0; i < shape->whole_count; i++)
        if (!format_jsonschema_holds(p->run, shape->wholes[i], node, FORMAT_JSONSCHEMA_NONE))
            return false;
    return p->run->stopped == ERR_OK;
}

/* By the decoded text: a word may be written with escapes in the schema, in the record or in
 * both. */
static bool is_word(const struct format_jsonschema_step_of *s, struct slice text)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->values[i]->kind == FORMAT_JSON_STRING &&
            format_jsonschema_same(s->values[i]->text, text))
            return true;
    return false;
}

/* A byte that goes on with a code point begins none (RFC 3629 section 3). */
static bool has_length(const struct format_jsonschema_step_of *s, struct slice text, bool plain)
{
    uint64_t count = plain ? text.size : 0;
    for (size_t i = 0; !plain && i < text.size; i++)
        count += (text.data[i] & 0xC0) != 0x80;
    return count >= s->min && count <= s->max;
}

static __attribute__((noinline)) bool check_string(struct pass *p,
                                                   const struct format_jsonschema_place *shape,
                                                   struct slice raw, bool plain)
{
    struct format_jsonschema_node node = {.kind = FORMAT_JSON_STRING,
                                          .text = slice_make(raw.data + 1, raw.size - 2)};
    struct buf decoded = {0};
    if (!plain && memchr(raw.data, '\\', raw.size)) {
        if (!err_is_ok(format_json_string_decode(raw, &decoded))) {
            buf_done(&decoded);
            return false;
        }
        node.text = buf_slice(&decoded);
    }
    bool good = true;
    for (size_t i = 0; good && i < shape->strings.count; i++) {
        const struct format_jsonschema_step_of *s = &shape->strings.items[i];
        if (s->operation == FORMAT_JSONSCHEMA_DO_WORDS)
            good = is_word(s, node.text);
        else if (s->operation == FORMAT_JSONSCHEMA_DO_LENGTH)
            good = has_length(s, node.text, plain);
        else
            good = run_keyword(p, s->keyword, &node);
    }
    good = good && holds_wholes(p, shape, &node);
    buf_done(&decoded);
    return good;
}

/* The value of a number of digits alone, few enough. */
static bool short_number(struct slice raw, int64_t *out)
{
    bool negative = raw.data[0] == '-';
    int64_t value = 0;
    if (raw.size > 18)
        return false;
    for (size_t i = negative; i < raw.size; i++) {
        if (!format_json_is_digit(raw.data[i]))
            return false;
        value = value * 10 + (raw.data[i] - '0');
    }
    *out = negative ? -value : value;
    return true;
}

static __attribute__((noinline)) bool
check_number(struct pass *p, const struct format_jsonschema_place *shape, struct slice raw)
{
    int64_t value = 0;
    bool is_short = short_number(raw, &value);
    struct format_jsonschema_decimal decimal;
    /* An exponent with too many digits is for the plain checker to refuse. */
    if (!is_short && !format_jsonschema_decimal_parse(raw, &decimal))
        return false;
    if (shape->integers && !is_short && !format_jsonschema_decimal_is_integer(&decimal))
        return false;
    const struct format_jsonschema_node node = {.kind = FORMAT_JSON_NUMBER, .text = raw};
    for (size_t i = 0; i < shape->numbers.count; i++) {
        const struct format_jsonschema_step_of *s = &shape->numbers.items[i];
        bool good = s->operation == FORMAT_JSONSCHEMA_DO_RANGE && is_short
                        ? value >= s->low && value <= s->high
                        : run_keyword(p, s->keyword, &node);
        if (!good)
            return false;
    }
    return holds_wholes(p, shape, &node);
}

static __attribute__((noinline)) bool check_other(struct pass *p,
                                                  const struct format_jsonschema_place *shape,
                                                  enum format_json_kind kind, struct slice raw)
{
    const struct format_jsonschema_node node = {.kind = kind, .text = raw};
    for (size_t i = 0; i < shape->others.count; i++)
        if (!run_keyword(p, shape->others.items[i].keyword, &node))
            return false;
    return holds_wholes(p, shape, &node);
}

/* Kinds first: it is one look at a bit, and most schemas say no more of most values. */
static inline bool on_scalar(struct format_json_walk *walk, enum format_json_kind kind,
                             struct slice raw, bool plain)
{
    struct pass *p = pass_of(walk);
    const struct format_jsonschema_place *shape = shape_here(p, walk->depth);
    if ((shape->kinds >> kind & 1) == 0)
        return false;
    if (kind == FORMAT_JSON_STRING)
        return (shape->strings.count == 0 && shape->whole_count == 0) ||
               check_string(p, shape, raw, plain);
    if (kind == FORMAT_JSON_NUMBER)
        return (shape->numbers.count == 0 && shape->whole_count == 0 && !shape->integers &&
                raw.size <= FORMAT_JSONSCHEMA_EXPONENT_DIGITS) ||
               check_number(p, shape, raw);
    return (shape->others.count == 0 && shape->whole_count == 0) ||
           check_other(p, shape, kind, raw);
}

/* Fields one by one: a frame is filled for each object and array, and its list of unknown names
 * need not be touched. */
static inline bool on_open(struct format_json_walk *walk, const uint8_t *at)
{
    struct pass *p = pass_of(walk);
    const struct format_jsonschema_place *shape = shape_here(p, walk->depth - 1);
    struct frame *f = &p->frames[walk->depth];
    enum format_json_kind kind = walk->in_object ? FORMAT_JSON_OBJECT : FORMAT_JSON_ARRAY;
    f->shape = shape;
    f->start = at;
    f->count = 0;
    f->expect = 0;
    f->key_at = p->key_count;
    f->filter = 0;
    f->object = walk->in_object;
    for (int i = 0; i < FORMAT_JSONSCHEMA_SEEN_WORDS; i++)
        f->seen[i] = 0;
    return (shape->kinds >> kind & 1) != 0;
}

/* The keywords that need the container as a whole. */
static __attribute__((noinline)) bool check_span(struct pass *p, const struct frame *f,
                                                 const struct format_jsonschema_steps *steps,
                                                 const uint8_t *end)
{
    struct format_jsonschema_tree_error why;
    struct format_jsonschema_node *tree = NULL;
    struct slice span = slice_make(f->start, (size_t)(end - f->start));
    if (!err_is_ok(format_jsonschema_tree_read(span, &p->run->arena, &p->run->budget, &tree, &why)))
        return false;
    ASSERT(tree);
    for (size_t i = 0; i < steps->count; i++)
        if (!run_keyword(p, steps->items[i].keyword, tree))
            return false;
    return holds_wholes(p, f->shape, tree);
}

/* What can only be said of the whole: which names were missing, and how many there were. */
static inline bool on_close(struct format_json_walk *walk, const uint8_t *end)
{
    struct pass *p = pass_of(walk);
    struct frame *f = &p->frames[walk->depth];
    const struct format_jsonschema_place *shape = f->shape;
    const struct format_jsonschema_steps *steps = f->object ? &shape->objects : &shape->arrays;
    if (f->object) {
        p->key_count = f->key_at;
        for (int i = 0; i < FORMAT_JSONSCHEMA_SEEN_WORDS; i++)
            if ((shape->required[i] & ~f->seen[i]) != 0)
                return false;
        if (f->count < shape->property_min || f->count > shape->property_max)
            return false;
    } else if (f->count < shape->item_min || f->count > shape->item_max) {
        return false;
    }
    return (steps->count == 0 && shape->whole_count == 0) || check_span(p, f, steps, end);
}

static const struct format_json_hooks hooks = {
    .key = on_key, .scalar = on_scalar, .open = on_open, .close = on_close};

bool format_jsonschema_pass(struct format_jsonschema_run *r, const struct format_jsonschema *schema,
                            struct slice text, const struct format_json_paths *paths,
                            struct format_json_value *found)
{
    ASSERT(schema->program && r->quiet == 0);
    /* A value is a step of the plain check at the least, and a byte is more than a value. */
    if (text.size == 0 || text.size >= r->budget.steps)
        return false;
    struct pass p;
    p.run = r;
    p.frames = r->frames->frames;
    p.keys = r->frames->keys;
    p.key_count = 0;
    p.next = schema->program;
    format_json_walk_init(&p.walk, text, paths, FORMAT_JSON_DEPTH_MAX, found);
    /* Nobody is told why. */
    r->quiet++;
    const uint8_t *at = format_json_walk_begin(&p.walk, text, &hooks);
    r->quiet--;
    return at && r->stopped == ERR_OK && format_json_walk_skip_space(at, p.walk.end) == p.walk.end;
}
