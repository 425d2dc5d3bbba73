/*
 * Our JSON pass against a second implementation, written here as plainly as it gets: recursive
 * descent, a byte and a code point at a time, nothing shared with the product but its interface.
 * Compared are the verdict, what paths find, decoded strings, and the elements of an array.
 */

#include "fuzz/fuzz.h"

#include <stdbool.h>
#include <string.h>

#include "format/json/array.h"

/* Small, so that mutations reach it. */
#define DEPTH_MAX 9

static const char *const path_texts[] = {"id", "a", "a.b", "a.b.c", "/x~1y/~0", "/\xC3\xA9"};
/* The same with each key behind its size: no two paths look alike. */
static const char *const path_keys[] = {"2:id",      "1:a",      "1:a1:b",
                                        "1:a1:b1:c", "3:x/y1:~", "2:\xC3\xA9"};
#define PATHS (sizeof(path_texts) / sizeof(path_texts[0]))

/* The second implementation. Functions return false once something is wrong. */
struct oracle {
    const uint8_t *data;
    size_t size;
    size_t at;
    size_t depth;
    bool too_deep;
    size_t elements; /* of the outermost array */
    char path[8192]; /* to the value that is read, as in path_keys; '[' for an array */
    size_t path_size;
    struct format_json_value found[PATHS];
};

static bool read_value(struct oracle *o);

static int look(const struct oracle *o)
{
    return o->at < o->size ? o->data[o->at] : -1;
}

static bool take(struct oracle *o, int byte)
{
    if (look(o) != byte)
        return false;
    o->at++;
    return true;
}

static void read_space(struct oracle *o)
{
    while (take(o, ' ') || take(o, '\t') || take(o, '\n') || take(o, '\r'))
        continue;
}

static void add_utf8(struct buf *out, uint32_t point)
{
    if (point < 0x80) {
        buf_add_byte(out, (uint8_t)point);
    } else if (point < 0x800) {
        buf_add_byte(out, (uint8_t)(0xC0 + point / 64));
        buf_add_byte(out, (uint8_t)(0x80 + point % 64));
    } else if (point < 0x10000) {
        buf_add_byte(out, (uint8_t)(0xE0 + point / 4096));
        buf_add_byte(out, (uint8_t)(0x80 + point / 64 % 64));
        buf_add_byte(out, (uint8_t)(0x80 + point % 64));
    } else {
        buf_add_byte(out, (uint8_t)(0xF0 + point / 262144));
        buf_add_byte(out, (uint8_t)(0x80 + point / 4096 % 64));
        buf_add_byte(out, (uint8_t)(0x80 + point / 64 % 64));
        buf_add_byte(out, (uint8_t)(0x80 + point % 64));
    }
}

/* A code point written as itself: read, then refused if it was not written the shortest way. */
static bool read_utf8(struct oracle *o, uint32_t *point)
{
    int lead = look(o);
    int more = lead >= 0xF0 && lead < 0xF8 ? 3 : lead >= 0xE0 ? 2 : 1;
    if (lead < 0xC0 || lead >= 0xF8)
        return false;
    *point = (uint32_t)lead & (0x3FU >> more);
    for (o->at++; more > 0; more--, o->at++) {
        if (look(o) < 0x80 || look(o) > 0xBF)
            return false;
        *point = *point * 64 + (uint32_t)(look(o) - 0x80);
    }
    struct buf shortest = {0};
    add_utf8(&shortest, *point);
    bool good = *point <= 0x10FFFF && (*point < 0xD800 || *point > 0xDFFF) &&
                o->at >= shortest.size &&
                memcmp(o->data + o->at - shortest.size, shortest.data, shortest.size) == 0 &&
                o->data[o->at - shortest.size] == lead;
    buf_done(&shortest);
    return good;
}

static bool read_hex(struct oracle *o, uint32_t *unit)
{
    *unit = 0;
    for (int i = 0; i < 4; i++, o->at++) {
        const char *digits = "0123456789abcdef0123456789ABCDEF";
        const char *digit = look(o) > 0 ? strchr(digits, look(o)) : NULL;
        if (!digit)
            return false;
        *unit = *unit * 16 + (uint32_t)(digit - digits) % 16;
    }
    return true;
}

static bool read_escape(struct oracle *o, uint32_t *point)
{
    const char *letters = "\"\\/bfnrt", *meant = "\"\\/\b\f\n\r\t";
    const char *letter = look(o) > 0 ? strchr(letters, look(o)) : NULL;
    if (letter) {
        *point = (uint32_t)meant[letter - letters];
        o->at++;
        return true;
    }
    uint32_t low;
    if (!take(o, 'u') || !read_hex(o, point))
        return false;
    if (*point >= 0xDC00 && *point <= 0xDFFF)
        return false;
    if (*point < 0xD800 || *point > 0xDFFF)
        return true;
    if (!take(o, '\\') || !take(o, 'u') || !read_hex(o, &low) || low < 0xDC00 || low > 0xDFFF)
        return false;
    *point = 0x10000 + (*point - 0xD800) * 0x400 + (low - 0xDC00);
    return true;
}

/* Its characters go to `out`. */
static bool read_string(struct oracle *o, struct buf *out)
{
    if (!take(o, '"'))
        return false;
    while (!take(o, '"')) {
        uint32_t point = (uint32_t)look(o);
        if (look(o) < 0x20)
            return false;
        if (take(o, '\\')) {
            if (!read_escape(o, &point))
                return false;
        } else if (look(o) < 0x80) {
            o->at++;
        } else if (!read_utf8(o, &point)) {
            return false;
        }
        add_utf8(out, point);
    }
    return true;
}

static bool read_digits(struct oracle *o)
{
    size_t start = o->at;
    while (look(o) >= '0' && look(o) <= '9')
        o->at++;
    return o->at > start;
}

static bool read_number(struct oracle *o)
{
    take(o, '-');
    if (take(o, '0')) {
        if (look(o) >= '0' && look(o) <= '9')
            return false;
    } else if (!read_digits(o)) {
        return false;
    }
    if (take(o, '.') && !read_digits(o))
        return false;
    if (take(o, 'e') || take(o, 'E')) {
        if (!take(o, '+'))
            take(o, '-');
        return read_digits(o);
    }
    return true;
}

static bool read_word(struct oracle *o, const char *word)
{
    for (; *word; word++)
        if (!take(o, *word))
            return false;
    return true;
}

/* Makes the path one key longer, and forgets what was found there under an equal key. */
static void go_below(struct oracle *o, struct slice key)
{
    char size[24];
    int size_size = snprintf(size, sizeof(size), "%zu:", key.size);
    FUZZ_EXPECT(o->path_size + key.size + sizeof(size) < sizeof(o->path));
    memcpy(o->path + o->path_size, size, (size_t)size_size);
    memcpy(o->path + o->path_size + size_size, key.data, key.size);
    o->path_size += (size_t)size_size + key.size;
    for (size_t i = 0; i < PATHS; i++)
        if (strlen(path_keys[i]) >= o->path_size &&
            memcmp(path_keys[i], o->path, o->path_size) == 0)
            o->found[i] = (struct format_json_value){0};
}

static bool read_member(struct oracle *o)
{
    struct buf key = {0};
    size_t path_size = o->path_size;
    bool good = read_string(o, &key);
    if (good) {
        go_below(o, key.size ? buf_slice(&key) : SLICE_LITERAL(""));
        read_space(o);
        good = take(o, ':');
    }
    buf_done(&key);
    if (!good)
        return false;
    read_space(o);
    good = read_value(o);
    o->path_size = path_size;
    return good;
}

static bool read_element(struct oracle *o)
{
    o->elements += o->depth == 1;
    o->path[o->path_size++] = '[';
    bool good = read_value(o);
    o->path_size--;
    return good;
}

static bool read_items(struct oracle *o, int end, bool (*read_item)(struct oracle *))
{
    read_space(o);
    if (take(o, end))
        return true;
    do {
        read_space(o);
        if (!read_item(o))
            return false;
        read_space(o);
    } while (take(o, ','));
    return take(o, end);
}

static bool read_container(struct oracle *o, int end)
{
    if (o->depth == DEPTH_MAX) {
        o->too_deep = true;
        return false;
    }
    o->at++;
    o->depth++;
    bool good = read_items(o, end, end == '}' ? read_member : read_element);
    o->depth--;
    return good;
}

static bool read_kind(struct oracle *o, enum format_json_kind *kind)
{
    switch (look(o)) {
    case '{': *kind = FORMAT_JSON_OBJECT; return read_container(o, '}');
    case '[': *kind = FORMAT_JSON_ARRAY; return read_container(o, ']');
    case 't': *kind = FORMAT_JSON_TRUE; return read_word(o, "true");
    case 'f': *kind = FORMAT_JSON_FALSE; return read_word(o, "false");
    case 'n': *kind = FORMAT_JSON_NULL; return read_word(o, "null");
    case '"': {
        struct buf text = {0};
        *kind = FORMAT_JSON_STRING;
        bool good = read_string(o, &text);
        buf_done(&text);
        return good;
    }
    default: *kind = FORMAT_JSON_NUMBER; return read_number(o);
    }
}

static bool read_value(struct oracle *o)
{
    size_t start = o->at, path_size = o->path_size;
    enum format_json_kind kind;
    if (!read_kind(o, &kind))
        return false;
    for (size_t i = 0; i < PATHS; i++)
        if (strlen(path_keys[i]) == path_size && memcmp(path_keys[i], o->path, path_size) == 0)
            o->found[i] =
                (struct format_json_value){slice_make(o->data + start, o->at - start), kind};
    return true;
}

/* What the whole text is to the second implementation. */
static enum err_code judge(struct oracle *o, struct slice text)
{
    memset(o, 0, sizeof(*o));
    o->data = text.data;
    o->size = text.size;
    read_space(o);
    if (read_value(o)) {
        read_space(o);
        return o->at == o->size ? ERR_OK : ERR_SYNTAX;
    }
    return o->too_deep ? ERR_TOO_DEEP : ERR_SYNTAX;
}

static void compare_string(struct format_json_value value)
{
    struct buf ours = {0}, theirs = {0};
    struct oracle o = {.data = value.raw.data, .size = value.raw.size};
    FUZZ_EXPECT(read_string(&o, &theirs) && o.at == o.size);
    FUZZ_EXPECT(err_is_ok(format_json_string_decode(value.raw, &ours)));
    FUZZ_EXPECT(slice_equal(buf_slice(&ours), buf_slice(&theirs)));
    buf_done(&ours);
    buf_done(&theirs);
}

static void compare_text(struct slice text, const struct format_json_paths *paths, struct oracle *o)
{
    struct format_json_value found[PATHS];
    struct format_json_error why = {0};
    enum err_code expected = judge(o, text);
    err_t err = format_json_check(text, paths, DEPTH_MAX, found, &why);
    FUZZ_EXPECT(err_is(err, expected));
    FUZZ_EXPECT(err_is(format_json_check(text, NULL, DEPTH_MAX, NULL, NULL), expected));
    if (!err_is_ok(err)) {
        FUZZ_EXPECT(why.message && why.offset <= text.size);
        return;
    }
    for (size_t i = 0; i < PATHS; i++) {
        FUZZ_EXPECT(found[i].kind == o->found[i].kind);
        FUZZ_EXPECT(found[i].raw.data == o->found[i].raw.data);
        FUZZ_EXPECT(found[i].raw.size == o->found[i].raw.size);
        if (found[i].kind == FORMAT_JSON_STRING)
            compare_string(found[i]);
    }
}

/* Elements come in order and apart; the good ones are what the second implementation takes, the
 * others what it refuses; and if it takes the whole array, all are good and none is missing. */
static void compare_array(struct slice text, const struct format_json_paths *paths,
                          struct oracle *o)
{
    struct format_json_array a;
    struct format_json_element e;
    struct format_json_value found[PATHS];
    enum format_json_step step;
    bool whole = judge(o, text) == ERR_OK && format_json_peek(text) == FORMAT_JSON_ARRAY;
    size_t elements = o->elements, count = 0;
    if (!err_is_ok(format_json_array_begin(&a, text, NULL))) {
        FUZZ_EXPECT(!whole && format_json_peek(text) != FORMAT_JSON_ARRAY);
        return;
    }
    const uint8_t *behind = text.data + 1;
    while ((step = format_json_array_next(&a, paths, DEPTH_MAX, found, &e))) {
        FUZZ_EXPECT(e.raw.data >= behind && e.raw.data + e.raw.size <= text.data + text.size);
        behind = e.raw.data + e.raw.size;
        count++;
        if (step != FORMAT_JSON_ARRAY_ELEMENT)
            FUZZ_EXPECT(!whole && !err_is_ok(e.err) && e.why.message && e.why.offset <= e.raw.size);
        if (step == FORMAT_JSON_ARRAY_BROKEN)
            FUZZ_EXPECT(err_is(format_json_check(e.raw, NULL, DEPTH_MAX, NULL, NULL), e.err.code));
        if (step != FORMAT_JSON_ARRAY_REST)
            FUZZ_EXPECT((judge(o, e.raw) == ERR_OK) == (step == FORMAT_JSON_ARRAY_ELEMENT));
    }
    FUZZ_EXPECT(!whole || count == elements);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct oracle o;
    struct format_json_paths *paths = NULL;
    if (size > sizeof(o.path) / 2)
        return 0;
    FUZZ_EXPECT(err_is_ok(format_json_paths_new(path_texts, PATHS, &paths, NULL)));
    compare_text(slice_make(data, size), paths, &o);
    compare_array(slice_make(data, size), paths, &o);
    format_json_paths_free(&paths);
    return 0;
}
