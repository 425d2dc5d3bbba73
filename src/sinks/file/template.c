#include "sinks/file/template.h"

#include "base/assert.h"
#include "base/time.h"

/*
 * A path is cut at its first component with a template: what stands before is the root, a directory
 * of its own that is cleaned once, at the start; what follows are parts, rendered for each record.
 * A part never spans components, so what a value holds can make no directory of its own.
 *
 * Values come from records, that is from anyone: every byte but a few plain ones is
 * percent-encoded, a component that would be "." or ".." is encoded whole, and one that no file
 * system takes is refused as the record's fault. Null and the empty string have words of their own,
 * and a value that is such a word is encoded, so that two values never meet in one directory.
 */

#define ALLOWED "{topic}, {partition}, {key} and {event_time:%%Y-%%m-%%d}"
#define NULL_WORD "__null__"
#define EMPTY_WORD "__empty__"

/* The longest span in which the result of a time format cannot change, by its letters. */
static int64_t format_period_ms(struct slice format)
{
    int64_t period = INT64_C(86400000);
    for (size_t i = 0; i + 1 < format.size; i++) {
        if (format.data[i] != '%')
            continue;
        uint8_t letter = format.data[++i];
        int64_t of_letter = letter == 'H' ? 3600000 : letter == 'M' ? 60000 : 1000;
        if ((letter == 'H' || letter == 'M' || letter == 'S') && of_letter < period)
            period = of_letter;
    }
    return period;
}

static err_t parse_time(struct slice format, struct sinks_file_template *t, struct err_text *why)
{
    struct buf probe = {0};
    err_t err = buf_add_time_format(&probe, format, 0);
    if (err_is_ok(err))
        err = buf_error(&probe);
    bool empty = probe.size == 0;
    buf_done(&probe);
    if (err_is(err, ERR_MEMORY))
        return err;
    if (!err_is_ok(err) || empty)
        return err_set(why, ERR_CONFIG,
                       "path: \"%.*s\" is no time format: allowed are %%Y %%m %%d %%H %%M %%S %%j "
                       "%%%%",
                       SLICE_PRINTF(format));
    int64_t period = format_period_ms(format);
    if (t->period_ms == 0 || period < t->period_ms)
        t->period_ms = period;
    return err_ok();
}

/* `name` is what stands between braces. */
static err_t parse_name(struct slice name, struct sinks_file_template *t,
                        struct sinks_file_part *part, struct err_text *why)
{
    static const struct {
        const char *name;
        enum sinks_file_part_kind kind;
    } names[] = {
        {"topic", SINKS_FILE_PART_TOPIC},
        {"partition", SINKS_FILE_PART_PARTITION},
        {"key", SINKS_FILE_PART_KEY},
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (slice_equal_string(name, names[i].name)) {
            part->kind = names[i].kind;
            t->uses_key = t->uses_key || part->kind == SINKS_FILE_PART_KEY;
            return err_ok();
        }
    }
    if (slice_starts_with(name, SLICE_LITERAL("event_time:"))) {
        part->kind = SINKS_FILE_PART_TIME;
        part->text = slice_sub(name, strlen("event_time:"), name.size);
        return parse_time(part->text, t, why);
    }
    return err_set(why, ERR_CONFIG, "path: {%.*s} is unknown: allowed are " ALLOWED,
                   SLICE_PRINTF(name));
}

/* Parts are counted by their first bytes, so there is always room. */
static struct sinks_file_part *next_part(struct sinks_file_template *t)
{
    return &t->parts[t->part_count++];
}

static err_t parse_component(struct slice component, struct sinks_file_template *t,
                             struct err_text *why)
{
    /* Behind a template ".." would undo what the template chose. */
    if (slice_equal_string(component, ".."))
        return err_set(why, ERR_CONFIG, "path: \"..\" may not follow a template");
    while (component.size) {
        size_t open = slice_find(component, '{');
        struct slice text = slice_sub(component, 0, open);
        if (slice_find(text, '}') < text.size)
            return err_set(why, ERR_CONFIG, "path: '}' without '{' in \"%.*s\"",
                           SLICE_PRINTF(component));
        if (text.size)
            *next_part(t) = (struct sinks_file_part){SINKS_FILE_PART_TEXT, text};
        struct slice rest = slice_sub(component, open, component.size);
        if (rest.size == 0)
            break;
        size_t close = slice_find(rest, '}');
        if (close == rest.size)
            return err_set(why, ERR_CONFIG,
                           "path: '{' is not closed in \"%.*s\"; a template holds no '/', write "
                           "{event_time:%%Y}/{event_time:%%m}",
                           SLICE_PRINTF(component));
        TRY(parse_name(slice_sub(rest, 1, close - 1), t, next_part(t), why));
        component = slice_sub(rest, close + 1, rest.size);
    }
    *next_part(t) = (struct sinks_file_part){.kind = SINKS_FILE_PART_SEPARATOR};
    return err_ok();
}

/* Adds one component of the root to `root`, in which each but the first follows a slash. */
static void add_root_component(struct buf *root, struct slice component)
{
    size_t last = root->size;
    while (last && root->data[last - 1] != '/')
        last--;
    struct slice above = slice_sub(buf_slice(root), last, root->size);
    /* By text alone, before any directory is there. Two sinks are compared by their roots, so each
     * has to have one way to be written. */
    bool up = slice_equal_string(component, "..");
    if (up && above.size && !slice_equal_string(above, "..")) {
        root->size = last ? last - 1 : 0;
        return;
    }
    /* Above "/" there is "/". */
    if (up && root->size == 1 && root->data[0] == '/')
        return;
    if (root->size && root->data[root->size - 1] != '/')
        buf_add_byte(root, '/');
    buf_add_slice(root, component);
}

/* Splits `text` into the root, appended to `root`, and parts. */
static err_t parse_components(struct slice text, struct sinks_file_template *t, struct buf *root,
                              struct err_text *why)
{
    bool absolute = slice_starts_with(text, SLICE_LITERAL("/"));
    bool in_root = true;
    while (text.data) {
        struct slice component = slice_split(&text, '/');
        if (component.size == 0 || slice_equal_string(component, "."))
            continue;
        bool plain = slice_find(component, '{') == component.size &&
                     slice_find(component, '}') == component.size;
        in_root = in_root && plain;
        if (!in_root) {
            TRY(parse_component(component, t, why));
            continue;
        }
        if (absolute && root->size == 0)
            buf_add_byte(root, '/');
        add_root_component(root, component);
    }
    TRY(buf_error(root));
    struct slice all = buf_slice(root);
    if (all.size == 0 || slice_equal_string(all, "/") || slice_equal_string(all, "..") ||
        slice_ends_with(all, SLICE_LITERAL("/..")))
        return err_set(why, ERR_CONFIG,
                       "path: needs a directory of its own before the first template, like "
                       "./lake/{topic}");
    return err_ok();
}

err_t sinks_file_template_parse(struct slice text, struct sinks_file_template *out,
                                struct err_text *why)
{
    ASSERT(out);
    if (text.size == 0 || memchr(text.data, 0, text.size))
        return err_set(why, ERR_CONFIG, "path: expected a directory, like ./lake/{topic}");
    struct sinks_file_template t = {0};
    arena_init(&t.arena, 0);
    /* The parts point into it. */
    struct slice copy = arena_slice(&t.arena, text);
    /* A part has at least one byte of its own, but for the separator of the last component. */
    t.parts = arena_alloc(&t.arena, (text.size + 1) * sizeof(*t.parts));
    struct buf root = {0};
    err_t err =
        copy.data && t.parts ? parse_components(copy, &t, &root, why) : err_make(ERR_MEMORY);
    if (err_is_ok(err)) {
        t.root = slice_make(arena_string(&t.arena, buf_slice(&root)), root.size);
        err = t.root.data ? err_ok() : err_make(ERR_MEMORY);
    }
    buf_done(&root);
    if (!err_is_ok(err)) {
        arena_done(&t.arena);
        return err;
    }
    *out = t;
    return err_ok();
}

void sinks_file_template_done(struct sinks_file_template *t)
{
    arena_done(&t->arena);
    *t = (struct sinks_file_template){0};
}

/* Plain on every file system and in every shell and URL; "=" as Hive's partitions have it. */
static bool plain_byte(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != 0 && strchr("._=~-", c));
}

static void add_encoded_byte(struct buf *out, uint8_t c)
{
    static const char digits[] = "0123456789ABCDEF";
    buf_add_byte(out, '%');
    buf_add_byte(out, (uint8_t)digits[c >> 4]);
    buf_add_byte(out, (uint8_t)digits[c & 15]);
}

static void add_value_byte(struct buf *out, uint8_t c)
{
    if (plain_byte(c))
        buf_add_byte(out, c);
    else
        add_encoded_byte(out, c);
}

static void add_key(struct buf *out, struct slice key)
{
    if (!key.data || key.size == 0) {
        buf_add_string(out, key.data ? EMPTY_WORD : NULL_WORD);
        return;
    }
    bool word = slice_equal_string(key, NULL_WORD) || slice_equal_string(key, EMPTY_WORD);
    if (word)
        add_encoded_byte(out, key.data[0]);
    for (size_t i = word; i < key.size; i++)
        add_value_byte(out, key.data[i]);
}

static void add_time(struct buf *out, struct slice format, int64_t time_ms)
{
    /* Kafka's clients may send any time; a year of ten digits has no place in a format of four. */
    if (time_ms < TIME_MS_MIN || time_ms > TIME_MS_MAX) {
        buf_add_string(out, NULL_WORD);
        return;
    }
    for (size_t i = 0; i < format.size; i++) {
        bool field = format.data[i] == '%' && format.data[i + 1] != '%';
        if (field) {
            err_t err = buf_add_time_format(out, slice_sub(format, i, 2), time_ms);
            ASSERT(err_is_ok(err));
        } else {
            add_value_byte(out, format.data[i]);
        }
        i += format.data[i] == '%';
    }
}

/* Ends the component that begins at `start` of `out`. */
static err_t end_component(struct buf *out, size_t start, struct err_text *why)
{
    struct slice component = slice_sub(buf_slice(out), start, out->size);
    if (slice_equal_string(component, ".") || slice_equal_string(component, "..")) {
        out->size = start;
        for (size_t i = 0; i < component.size; i++)
            add_encoded_byte(out, '.');
    }
    if (out->size - start > SINKS_FILE_NAME_MAX)
        return err_set(why, ERR_TOO_LARGE, "a directory's name would have %zu bytes, over %u",
                       out->size - start, SINKS_FILE_NAME_MAX);
    buf_add_byte(out, '/');
    return err_ok();
}

err_t sinks_file_template_render(const struct sinks_file_template *t,
                                 const struct sinks_file_values *values, struct buf *out,
                                 struct err_text *why)
{
    ASSERT(t->root.data && values->topic);
    size_t start = out->size;
    for (size_t i = 0; i < t->part_count; i++) {
        const struct sinks_file_part *part = &t->parts[i];
        switch (part->kind) {
        case SINKS_FILE_PART_TEXT: buf_add_slice(out, part->text); break;
        case SINKS_FILE_PART_TOPIC: add_key(out, slice_string(values->topic)); break;
        case SINKS_FILE_PART_PARTITION: buf_add_u64(out, values->partition); break;
        case SINKS_FILE_PART_KEY: add_key(out, values->key); break;
        case SINKS_FILE_PART_TIME: add_time(out, part->text, values->time_ms); break;
        case SINKS_FILE_PART_SEPARATOR:
            TRY(end_component(out, start, why));
            start = out->size;
            break;
        default: UNREACHABLE("a part of no kind");
        }
    }
    return err_ok();
}
