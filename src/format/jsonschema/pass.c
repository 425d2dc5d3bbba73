#include "base/alloc.h"
#include "base/assert.h"
#include "base/list.h"
#include "format/json/walk.h"
#include "format/jsonschema/check_int.h"
#include "format/jsonschema/program_int.h"
#include "format/jsonschema/quick_int.h"

/*
 * Happy path: the JSON pass tells of each key, scalar and bracket; the frame of the innermost open
 * container knows the shape of what stands in it. A scalar is held against its shape at once. An
 * object notes which properties it has had, an array counts; when either closes, what is required
 * is compared, and only keywords that need the value as a whole have its span read as a tree.
 *
 * Equal keys: of the properties with a name a bit each tells; of the others fingerprints are kept,
 * and two equal ones send the record to the plain checker, which looks at the keys themselves.
 *
 * Most keys are the one that followed last time, and most values are short: both are taken at a
 * look, without being walked.
 *
 * Where a place leaves a choice, the value is walked with each branch that its kind may have, one
 * after the other; a branch that it does not fit ends at the first byte that says so. The last that
 * can be right needs no trial: the walk goes on with it.
 *
 * Failure modes: whatever is refused ends the walk, and the plain checker begins anew; so nothing
 * here words an error. Within a trial a refusal is an answer, and has to be exact. What is dear,
 * rare or no JSON ends all trials at once (`gave_up`, or the walk's own code).
 */

/* Keys without a name in their shape, in one object and in all open ones together. */
#define UNKNOWN_MAX 256
#define KEYS_MAX 4096

/* Trials within each other: what leads back to itself without end is for the plain checker. */
#define TRIALS_MAX 128

struct frame {
    const struct format_jsonschema_place *shape;
    const uint8_t *start;
    size_t count; /* of items, and of members without a name in the shape */
    const struct format_jsonschema_property *next; /* behind the one that came last */
    uint32_t key_at;                               /* of its first fingerprint */
    uint64_t filter;                               /* bit of each fingerprint in it */
    uint64_t seen[FORMAT_JSONSCHEMA_SEEN_WORDS];
    bool object;
};

struct format_jsonschema_frames {
    struct frame frames[FORMAT_JSON_DEPTH_MAX + 1]; /* by depth; 0 is not used */
    uint64_t keys[KEYS_MAX];
    /* Index of the property that followed last time, by the slot of the one before. Stays from
     * record to record, for whichever schema, since it is only tried. */
    uint8_t guesses[FORMAT_JSONSCHEMA_GUESSES];
};

struct pass {
    struct format_json_walk walk;
    struct format_jsonschema_run *run;
    struct frame *top; /* of the innermost open container */
    struct format_jsonschema_frames *room;
    uint32_t key_count;
    uint32_t trials;                             /* within each other */
    bool gave_up;                                /* the verdict is the plain checker's */
    const struct format_jsonschema_place *next;  /* of the member whose key was read */
    const struct format_jsonschema_place *place; /* of the value that is walked */
    const uint8_t *reached;                      /* where that is, within a container */
};

err_t format_jsonschema_frames_new(struct format_jsonschema_frames **out)
{
    ASSERT(out);
    *out = mem_zalloc(1, sizeof(**out));
    return *out ? err_ok() : err_make(ERR_MEMORY);
}

static inline struct pass *pass_of(struct format_json_walk *walk)
{
    return CONTAINER_OF(walk, struct pass, walk);
}

static bool give_up(struct pass *p)
{
    p->gave_up = true;
    return false;
}

/* A key that its shape does not know: false when it may have been there before. */
static inline bool note_unknown(struct pass *p, struct frame *f, uint64_t fingerprint)
{
    uint64_t bit = UINT64_C(1) << (fingerprint >> 58);
    uint32_t count = p->key_count - f->key_at;
    if ((f->filter & bit) != 0)
        for (uint32_t i = f->key_at; i < p->key_count; i++)
            if (p->room->keys[i] == fingerprint)
                return false;
    if (count == UNKNOWN_MAX || p->key_count == KEYS_MAX)
        return false;
    f->filter |= bit;
    p->room->keys[p->key_count++] = fingerprint;
    return true;
}

/* Notes a member's property: false if it was there before. */
static inline bool note_known(struct pass *p, struct frame *f,
                              const struct format_jsonschema_property *property)
{
    uint64_t *word = &f->seen[property->word];
    if ((*word & property->bit) != 0)
        return false;
    *word |= property->bit;
    p->next = property->shape;
    f->next = property + 1;
    return true;
}

/* The property whose key and colon are at `at`: `e` or one close behind it, NULL if none is. Where
 * some are often left out, guessing how many is dearer than looking at all. */
static inline const struct format_jsonschema_property *
property_near(const struct format_jsonschema_property *e, const uint8_t *at, const uint8_t *end)
{
    uint32_t hits = 0;
    if (!format_jsonschema_begins(at, &e->pattern)) {
        for (uint32_t i = 1; i < FORMAT_JSONSCHEMA_AHEAD; i++)
            hits |= (uint32_t)format_jsonschema_begins(at, &e[i].pattern) << i;
        if (hits == 0)
            return NULL;
        e += __builtin_ctz(hits);
    }
    return format_jsonschema_goes_on(at, end, &e->pattern) ? e : NULL;
}

/* Where it is kept which property followed the last one of the frame. */
static inline uint8_t *guess_of(const struct pass *p, const struct frame *f)
{
    const struct format_jsonschema_place *shape = f->shape;
    return &p->room->guesses[f->next > shape->properties ? f->next[-1].slot : shape->slot];
}

/* As property_near where the order is another than the schema's: what followed last time. */
static __attribute__((noinline)) const struct format_jsonschema_property *
property_guessed(const struct pass *p, const struct frame *f, const uint8_t *at)
{
    size_t index = *guess_of(p, f);
    return index < f->shape->property_count
               ? property_near(&f->shape->properties[index], at, p->walk.end)
               : NULL;
}

/* Members whose key and value a look is enough for, one after the other; the first whose value it
 * is not is walked. */
static inline const uint8_t *on_members(struct format_json_walk *walk, const uint8_t *at,
                                        bool *keyed)
{
    struct pass *p = pass_of(walk);
    struct frame *f = p->top;
    const uint8_t *const end = walk->end;
    const uint64_t watched = walk->depth == walk->watch.depth ? walk->watch.node->sizes : 0;
    const uint8_t *behind = at;
    /* Room for a pattern, and a byte behind it. */
    while (end - at > FORMAT_JSONSCHEMA_PATTERN_SIZE) {
        if (*at <= ' ' && format_json_is_space(*at)) {
            at++;
            continue;
        }
        const struct format_jsonschema_property *e = property_near(f->next, at, end);
        if (!e)
            e = property_guessed(p, f, at);
        if (!e || !note_known(p, f, e))
            break;
        const uint8_t *value = at + e->pattern.size;
        if (*value <= ' ')
            value = format_json_walk_skip_space(value, end);
        const uint32_t size = e->pattern.size - 3;
        if ((watched >> size & 1) != 0)
            format_json_watch_key(&walk->watch, walk->depth, (struct slice){at + 1, size}, true);
        behind = walk->watch.wanted ? value : format_jsonschema_quick_value(e->shape, value, end);
        *keyed = behind == value;
        if (*keyed || behind == end || *behind != ',')
            break;
        at = behind + 1;
    }
    return behind;
}

/* An escaped name is left to the plain checker: it would have to be decoded to be compared, and
 * next to no record has one. */
static inline bool on_key(struct format_json_walk *walk, struct slice raw, bool plain)
{
    struct pass *p = pass_of(walk);
    struct frame *f = p->top;
    if (!plain && memchr(raw.data, '\\', raw.size))
        return give_up(p);
    uint64_t fingerprint = format_jsonschema_fingerprint(raw);
    const struct format_jsonschema_property *property =
        format_jsonschema_shape_find(f->shape, raw, fingerprint);
    if (property) {
        *guess_of(p, f) = (uint8_t)property->index;
        return note_known(p, f, property) || give_up(p);
    }
    f->count++;
    p->next = f->shape->other;
    return note_unknown(p, f, fingerprint) || give_up(p);
}

/* The place of the value that comes now. */
static inline const struct format_jsonschema_place *place_here(struct pass *p)
{
    struct frame *f = p->top;
    if (f->object)
        return p->next;
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
            return give_up(p);
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
        return give_up(p);
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
    const struct format_jsonschema_place *shape = p->place;
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
    const struct format_jsonschema_place *shape = p->place;
    struct frame *f = ++p->top;
    enum format_json_kind kind = walk->in_object ? FORMAT_JSON_OBJECT : FORMAT_JSON_ARRAY;
    f->shape = shape;
    f->start = at;
    f->count = 0;
    f->key_at = p->key_count;
    f->filter = 0;
    f->object = walk->in_object;
    for (int i = 0; i < FORMAT_JSONSCHEMA_SEEN_WORDS; i++)
        f->seen[i] = 0;
    f->next = shape->properties;
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
        return give_up(p);
    ASSERT(tree);
    for (size_t i = 0; i < steps->count; i++)
        if (!run_keyword(p, steps->items[i].keyword, tree))
            return false;
    return holds_wholes(p, f->shape, tree);
}

/* Whether the object has as many members as it may have. */
static bool has_count(const struct frame *f)
{
    size_t count = f->count;
    for (int i = 0; i < FORMAT_JSONSCHEMA_SEEN_WORDS; i++)
        count += (size_t)__builtin_popcountll(f->seen[i]);
    return count >= f->shape->property_min && count <= f->shape->property_max;
}

/* What can only be said of the whole: which names were missing, and how many there were. */
static inline bool on_close(struct format_json_walk *walk, const uint8_t *end)
{
    struct pass *p = pass_of(walk);
    struct frame *f = p->top--;
    const struct format_jsonschema_place *shape = f->shape;
    const struct format_jsonschema_steps *steps = f->object ? &shape->objects : &shape->arrays;
    if (f->object) {
        p->key_count = f->key_at;
        for (int i = 0; i < FORMAT_JSONSCHEMA_SEEN_WORDS; i++)
            if ((shape->required[i] & ~f->seen[i]) != 0)
                return false;
        if ((shape->property_min > 0 || shape->property_max < UINT64_MAX) && !has_count(f))
            return false;
    } else if (f->count < shape->item_min || f->count > shape->item_max) {
        return false;
    }
    return (steps->count == 0 && shape->whole_count == 0) || check_span(p, f, steps, end);
}

static const uint8_t *choose(struct pass *p, const uint8_t *at,
                             const struct format_jsonschema_place *place);

/* For what is no member: once, since the code is large. */
static __attribute__((noinline)) const uint8_t *
quick_value(const struct format_jsonschema_place *place, const uint8_t *at, const uint8_t *end)
{
    return format_jsonschema_quick_value(place, at, end);
}

/* A value that begins at `at` with its place: the byte behind it where that was enough. What leads
 * to a path is walked, since the watch is told there. */
static inline const uint8_t *begin_value(struct pass *p, const uint8_t *at,
                                         const struct format_jsonschema_place *place)
{
    if (place->choice)
        return choose(p, at, place);
    p->place = place;
    return p->walk.watch.wanted ? at : quick_value(place, at, p->walk.end);
}

static inline const uint8_t *on_value(struct format_json_walk *walk, const uint8_t *at)
{
    struct pass *p = pass_of(walk);
    p->reached = at;
    return begin_value(p, at, place_here(p));
}

static const struct format_json_hooks hooks = {.members = on_members,
                                               .key = on_key,
                                               .value = on_value,
                                               .scalar = on_scalar,
                                               .open = on_open,
                                               .close = on_close};

/* The byte behind the value at `at`, NULL where it does not fit its place. */
static __attribute__((noinline)) const uint8_t *
walk_value(struct pass *p, const uint8_t *at, const struct format_jsonschema_place *place)
{
    const uint8_t *behind = at < p->walk.end ? begin_value(p, at, place) : at;
    return behind == at ? format_json_walk_value(&p->walk, at, &hooks) : behind;
}

/* As walk_value, with everything as it was before where the value does not fit. */
static const uint8_t *try_value(struct pass *p, const uint8_t *at,
                                const struct format_jsonschema_place *place)
{
    const struct format_json_watch watch = p->walk.watch;
    struct frame *top = p->top;
    const uint32_t depth = p->walk.depth, key_count = p->key_count;
    const bool in_object = p->walk.in_object;
    if (p->trials == TRIALS_MAX) {
        (void)give_up(p);
        return NULL;
    }
    p->trials++;
    p->reached = at;
    const uint8_t *end = walk_value(p, at, place);
    p->trials--;
    uint64_t walked = (uint64_t)((end ? end : p->reached) - at);
    if (!format_jsonschema_spend(&p->run->budget, 1 + walked / 16))
        (void)give_up(p);
    if (end)
        return end;
    p->walk.watch = watch;
    p->walk.depth = depth;
    p->walk.in_object = in_object;
    p->top = top;
    p->key_count = key_count;
    return NULL;
}

/* After a trial that failed: whether that says something about the value. */
static bool is_answer(const struct pass *p)
{
    return !p->gave_up && p->walk.code == ERR_OK && p->run->stopped == ERR_OK;
}

/* Whether the first member of the object at `at` has none of the words that the place wants there:
 * what tells events of many kinds apart mostly comes first, and a look is cheaper than a trial. */
static bool is_ruled_out(const struct format_jsonschema_place *place, const uint8_t *at,
                         const uint8_t *end)
{
    if (*at != '{' || place->choice)
        return false;
    at = format_json_walk_skip_space(at + 1, end);
    if (end - at <= FORMAT_JSONSCHEMA_PATTERN_SIZE)
        return false;
    const struct format_jsonschema_property *e = property_near(place->properties, at, end);
    if (!e || !e->shape->all_words)
        return false;
    at = format_json_walk_skip_space(at + e->pattern.size, end);
    if (end - at < 16 || *at != '"' || format_jsonschema_quick_word(e->shape, at) != at)
        return false;
    /* With an escape it might be one of them all the same. */
    at = format_json_plain_end(at + 1, end);
    return at < end && *at == '"';
}

/* The next branch from `from` on that the value may fit, by its kind and first member; the count
 * where there is none. */
static size_t next_branch(const struct pass *p, const uint8_t *at,
                          const struct format_jsonschema_choice *c, size_t from,
                          enum format_json_kind kind)
{
    while (from < c->count && ((c->branches[from]->kinds >> kind & 1) == 0 ||
                               is_ruled_out(c->branches[from], at, p->walk.end)))
        from++;
    return from;
}

/* anyOf and oneOf. Returns the byte behind the value, or, with `*place` the one that is left to be
 * right, `at`; NULL where the value does not fit, or it is not known. */
static const uint8_t *choose_branch(struct pass *p, const uint8_t *at, enum format_json_kind kind,
                                    const struct format_jsonschema_choice *c,
                                    const struct format_jsonschema_place **place)
{
    const uint8_t *good = NULL;
    size_t i = next_branch(p, at, c, 0, kind);
    while (i < c->count) {
        size_t next = next_branch(p, at, c, i + 1, kind);
        if (next == c->count && !good) {
            *place = c->branches[i];
            return at;
        }
        const uint8_t *end = try_value(p, at, c->branches[i]);
        if (!end && !is_answer(p))
            return NULL;
        if (end && (good || c->rule == FORMAT_JSONSCHEMA_ANY_OF))
            return good ? NULL : end;
        good = end ? end : good;
        i = next;
    }
    return good;
}

/* if and not. The value is walked again with what follows from it. */
static bool choose_by_condition(struct pass *p, const uint8_t *at,
                                const struct format_jsonschema_choice *c,
                                const struct format_jsonschema_place **place)
{
    const struct format_json_watch watch = p->walk.watch;
    bool holds = try_value(p, at, c->condition);
    if (!holds && !is_answer(p))
        return false;
    p->walk.watch = watch;
    *place = c->branches[holds ? 0 : 1];
    return *place != NULL;
}

/* Choices are made until there is one place for the value. */
static __attribute__((noinline)) const uint8_t *choose(struct pass *p, const uint8_t *at,
                                                       const struct format_jsonschema_place *place)
{
    enum format_json_kind kind = format_json_peek((struct slice){at, 1});
    while (place->choice) {
        const struct format_jsonschema_choice *c = place->choice;
        if (c->rule == FORMAT_JSONSCHEMA_IF) {
            if (!choose_by_condition(p, at, c, &place))
                return NULL;
            continue;
        }
        const uint8_t *end = choose_branch(p, at, kind, c, &place);
        if (end != at)
            return end;
    }
    return begin_value(p, at, place);
}

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
    p.room = r->frames;
    p.top = r->frames->frames;
    p.key_count = 0;
    p.trials = 0;
    p.gave_up = false;
    format_json_walk_init(&p.walk, text, paths, FORMAT_JSON_DEPTH_MAX, found);
    /* Nobody is told why. */
    r->quiet++;
    const uint8_t *at = format_json_walk_begin(&p.walk, text);
    at = at ? walk_value(&p, at, schema->program) : NULL;
    r->quiet--;
    return at && r->stopped == ERR_OK && format_json_walk_skip_space(at, p.walk.end) == p.walk.end;
}
