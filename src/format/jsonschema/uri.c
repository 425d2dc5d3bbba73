#include "format/jsonschema/uri_int.h"

#include "base/assert.h"
#include "base/number.h"

/*
 * References are resolved as RFC 3986 section 5.2 has it, on bytes: parts are views of the text,
 * and what is put together from two is written once, into one buffer. Equal URIs have to be equal
 * bytes afterwards, since schemas are found by them: dot segments go, and nothing else is
 * normalized, as the specification of JSON Schema does not ask for it.
 *
 * The second half says whether a text is one at all, by the grammar of the same document, for the
 * formats of that name. It is strict where other checks are lenient: a space, a bare % or a
 * bracket in the wrong place is no URI.
 */

static bool is_alpha(uint8_t byte)
{
    return (uint8_t)((byte | 0x20) - 'a') < 26;
}

static bool is_digit(uint8_t byte)
{
    return (uint8_t)(byte - '0') < 10;
}

static bool is_hex(uint8_t byte)
{
    return is_digit(byte) || (uint8_t)((byte | 0x20) - 'a') < 6;
}

/* Where the first of `stops` stands in `s`, or its end. */
static size_t find_any(struct slice s, const char *stops)
{
    size_t at = 0;
    while (at < s.size && (s.data[at] == 0 || !strchr(stops, s.data[at])))
        at++;
    return at;
}

static struct slice from(struct slice s, size_t start)
{
    ASSERT(start <= s.size);
    return slice_sub(s, start, s.size);
}

struct format_jsonschema_uri format_jsonschema_uri_split(struct slice text)
{
    struct format_jsonschema_uri uri = {0};
    if (text.size == 0)
        text = SLICE_LITERAL("");
    size_t hash = find_any(text, "#");
    if (hash < text.size)
        uri.fragment = from(text, hash + 1);
    text = slice_sub(text, 0, hash);
    size_t mark = find_any(text, "?");
    if (mark < text.size)
        uri.query = from(text, mark + 1);
    text = slice_sub(text, 0, mark);
    size_t colon = find_any(text, ":/");
    if (colon > 0 && colon < text.size && text.data[colon] == ':') {
        uri.scheme = slice_sub(text, 0, colon);
        text = from(text, colon + 1);
    }
    if (slice_starts_with(text, SLICE_LITERAL("//"))) {
        text = from(text, 2);
        size_t end = find_any(text, "/");
        uri.authority = slice_sub(text, 0, end);
        text = from(text, end);
    }
    uri.path = text;
    return uri;
}

/* Drops the last segment of what was written to `out` since `start`, with its slash. */
static void drop_segment(struct buf *out, size_t start)
{
    while (out->size > start && out->data[out->size - 1] != '/')
        out->size--;
    if (out->size > start)
        out->size--;
}

/* The size of a segment at the front of `path` that is dropped, without the slash that stays; 0
 * when it is kept. `*up` tells whether it takes the one before it along. */
static size_t dots_size(struct slice path, bool *up)
{
    static const struct {
        const char *segment;
        uint8_t size;
        bool up;
    } rules[] = {{"../", 3, false}, {"./", 2, false}, {"/./", 2, false}, {"/../", 3, true}};
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        if (slice_starts_with(path, slice_string(rules[i].segment))) {
            *up = rules[i].up;
            return rules[i].size;
        }
    }
    return 0;
}

/* RFC 3986 section 5.2.4. */
static void add_without_dots(struct buf *out, struct slice path)
{
    size_t start = out->size;
    while (path.size > 0 && buf_ok(out)) {
        bool up = false;
        size_t size = dots_size(path, &up);
        if (up || slice_equal_string(path, "/.."))
            drop_segment(out, start);
        if (size > 0) {
            path = from(path, size);
        } else if (slice_equal_string(path, "/.") || slice_equal_string(path, "/..")) {
            path = SLICE_LITERAL("/");
        } else if (slice_equal_string(path, ".") || slice_equal_string(path, "..")) {
            return;
        } else {
            size = 1 + find_any(from(path, 1), "/");
            buf_add_slice(out, slice_sub(path, 0, size));
            path = from(path, size);
        }
    }
}

/* RFC 3986 section 5.2.3: what stands before the last slash of the base, then the reference. */
static void add_merged(struct buf *out, const struct format_jsonschema_uri *base, struct slice path)
{
    struct buf merged = {0};
    size_t keep = base->path.size;
    while (keep > 0 && base->path.data[keep - 1] != '/')
        keep--;
    if (base->authority.data && base->path.size == 0)
        buf_add_byte(&merged, '/');
    buf_add_slice(&merged, slice_sub(base->path, 0, keep));
    buf_add_slice(&merged, path);
    add_without_dots(out, buf_slice(&merged));
    /* Of the two buffers one failing is enough. */
    out->failed = out->failed || !buf_ok(&merged);
    buf_done(&merged);
}

static void add_head(struct buf *out, struct slice scheme, struct slice authority)
{
    if (scheme.data) {
        buf_add_slice(out, scheme);
        buf_add_byte(out, ':');
    }
    if (authority.data) {
        buf_add_string(out, "//");
        buf_add_slice(out, authority);
    }
}

void format_jsonschema_uri_resolve(struct slice base, struct slice reference, struct buf *out)
{
    struct format_jsonschema_uri b = format_jsonschema_uri_split(base);
    struct format_jsonschema_uri r = format_jsonschema_uri_split(reference);
    struct slice query = r.query;
    if (r.scheme.data) {
        add_head(out, r.scheme, r.authority);
        add_without_dots(out, r.path);
    } else if (r.authority.data) {
        add_head(out, b.scheme, r.authority);
        add_without_dots(out, r.path);
    } else {
        add_head(out, b.scheme, b.authority);
        if (r.path.size == 0) {
            buf_add_slice(out, b.path);
            query = r.query.data ? r.query : b.query;
        } else if (r.path.data[0] == '/') {
            add_without_dots(out, r.path);
        } else {
            add_merged(out, &b, r.path);
        }
    }
    if (query.data) {
        buf_add_byte(out, '?');
        buf_add_slice(out, query);
    }
}

bool format_jsonschema_uri_decode(struct slice s, struct buf *out)
{
    for (size_t i = 0; i < s.size; i++) {
        uint64_t byte = s.data[i];
        if (byte == '%') {
            if (!err_is_ok(number_parse_hex(slice_sub(s, i + 1, 2), &byte)) || s.size - i < 3)
                return false;
            i += 2;
        }
        buf_add_byte(out, (uint8_t)byte);
    }
    return true;
}

/* Only unreserved characters, sub-delims, those of `more` and percent-encoded bytes. */
static bool only(struct slice s, const char *more)
{
    for (size_t i = 0; i < s.size; i++) {
        uint8_t byte = s.data[i];
        if (byte == '%') {
            if (s.size - i < 3 || !is_hex(s.data[i + 1]) || !is_hex(s.data[i + 2]))
                return false;
            i += 2;
        } else if (!is_alpha(byte) && !is_digit(byte) &&
                   (byte == 0 || (!strchr("-._~!$&'()*+,;=", byte) && !strchr(more, byte)))) {
            return false;
        }
    }
    return true;
}

static bool scheme_valid(struct slice s)
{
    if (s.size == 0 || !is_alpha(s.data[0]))
        return false;
    for (size_t i = 1; i < s.size; i++)
        if (!is_alpha(s.data[i]) && !is_digit(s.data[i]) && s.data[i] != '+' && s.data[i] != '-' &&
            s.data[i] != '.')
            return false;
    return true;
}

/* "[...]": IPv6, or an address of a later version. */
static bool literal_valid(struct slice s)
{
    if (s.size == 0 || (s.data[0] | 0x20) != 'v')
        return format_jsonschema_ipv6_valid(s);
    size_t dot = slice_find(s, '.');
    if (dot < 2 || dot + 1 >= s.size || slice_find(s, '%') < s.size)
        return false;
    for (size_t i = 1; i < dot; i++)
        if (!is_hex(s.data[i]))
            return false;
    return only(from(s, dot + 1), ":");
}

static bool authority_valid(struct slice s)
{
    size_t at = slice_find(s, '@');
    if (at < s.size) {
        if (!only(slice_sub(s, 0, at), ":"))
            return false;
        s = from(s, at + 1);
    }
    size_t host = slice_find(s, ':');
    if (s.size > 0 && s.data[0] == '[') {
        size_t close = slice_find(s, ']');
        if (close == s.size || !literal_valid(slice_sub(s, 1, close - 1)))
            return false;
        host = close + 1;
    } else if (!only(slice_sub(s, 0, host), "")) {
        return false;
    }
    if (host < s.size && s.data[host] != ':')
        return false;
    for (size_t i = host + 1; i < s.size; i++)
        if (!is_digit(s.data[i]))
            return false;
    return true;
}

bool format_jsonschema_uri_valid(struct slice text, bool relative)
{
    struct format_jsonschema_uri uri = format_jsonschema_uri_split(text);
    if (uri.scheme.data ? !scheme_valid(uri.scheme) : !relative)
        return false;
    if (uri.authority.data && !authority_valid(uri.authority))
        return false;
    /* A relative path's first segment has no colon, or it would be a scheme. */
    size_t colon = find_any(uri.path, ":/");
    if (!uri.scheme.data && !uri.authority.data && colon < uri.path.size &&
        uri.path.data[colon] == ':')
        return false;
    return only(uri.path, ":@/") && only(uri.query, ":@/?") && only(uri.fragment, ":@/?");
}

bool format_jsonschema_ipv4_valid(struct slice text)
{
    for (int part = 0; part < 4; part++) {
        size_t dot = slice_find(text, '.');
        if ((dot < text.size) != (part < 3) || dot == 0 || dot > 3)
            return false;
        uint32_t value = 0;
        for (size_t i = 0; i < dot; i++) {
            if (!is_digit(text.data[i]))
                return false;
            value = value * 10 + (uint32_t)(text.data[i] - '0');
        }
        if (value > 255 || (dot > 1 && text.data[0] == '0'))
            return false;
        text = part < 3 ? from(text, dot + 1) : text;
    }
    return true;
}

bool format_jsonschema_ipv6_valid(struct slice text)
{
    int groups = 0;
    bool gap = false;
    if (slice_starts_with(text, SLICE_LITERAL("::"))) {
        gap = true;
        text = from(text, 2);
    }
    while (text.size > 0) {
        size_t end = slice_find(text, ':');
        struct slice group = slice_sub(text, 0, end);
        if (end == text.size && slice_find(group, '.') < group.size) {
            groups += 2;
            if (!format_jsonschema_ipv4_valid(group))
                return false;
            break;
        }
        uint64_t value;
        if (group.size > 4 || !err_is_ok(number_parse_hex(group, &value)) || ++groups > 8)
            return false;
        if (end == text.size)
            break;
        text = from(text, end + 1);
        if (text.size == 0)
            return false;
        if (text.data[0] == ':') {
            if (gap)
                return false;
            gap = true;
            text = from(text, 1);
        }
    }
    return gap ? groups < 8 : groups == 8;
}
