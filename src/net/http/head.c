/*
 * A head is looked through twice: first for its line ends, up to the empty line, so that nothing
 * is judged before it is whole; then line by line, each byte against a table of what may stand
 * there. What does not depend on the rest is refused before the head is whole: a first byte that
 * begins no method (TLS, a binary protocol), an LF without its CR, a line or a head too long.
 *
 * Framing is decided once, when all fields are known: any two statements about the body's size
 * refuse the request, whether or not they agree, because the next hop may believe the other one.
 */

#include "net/http/head.h"

#include "base/assert.h"
#include "base/err.h"
#include "base/number.h"

enum {
    TOKEN = 1,  /* tchar, RFC 9110 section 5.6.2 */
    TARGET = 2, /* RFC 3986: unreserved, reserved but "#", and "%" */
    HOST = 4,   /* RFC 3986: reg-name, an IP literal, a port */
    VALUE = 8,  /* field-vchar, SP and HTAB, RFC 9110 section 5.5 */
};

static const uint8_t classes[256] = {
    ['\t'] = VALUE,
    [' '] = VALUE,
    ['!'] = TOKEN | TARGET | HOST | VALUE,
    ['"'] = VALUE,
    ['#'] = TOKEN | VALUE,
    ['$' ... '\''] = TOKEN | TARGET | HOST | VALUE,
    ['(' ... ')'] = TARGET | HOST | VALUE,
    ['*' ... '+'] = TOKEN | TARGET | HOST | VALUE,
    [','] = TARGET | HOST | VALUE,
    ['-' ... '.'] = TOKEN | TARGET | HOST | VALUE,
    ['/'] = TARGET | VALUE,
    ['0' ... '9'] = TOKEN | TARGET | HOST | VALUE,
    [':' ... ';'] = TARGET | HOST | VALUE,
    ['<'] = VALUE,
    ['='] = TARGET | HOST | VALUE,
    ['>'] = VALUE,
    ['?' ... '@'] = TARGET | VALUE,
    ['A' ... 'Z'] = TOKEN | TARGET | HOST | VALUE,
    ['['] = TARGET | HOST | VALUE,
    ['\\'] = VALUE,
    [']'] = TARGET | HOST | VALUE,
    ['^'] = TOKEN | VALUE,
    ['_'] = TOKEN | TARGET | HOST | VALUE,
    ['`'] = TOKEN | VALUE,
    ['a' ... 'z'] = TOKEN | TARGET | HOST | VALUE,
    ['{'] = VALUE,
    ['|'] = TOKEN | VALUE,
    ['}'] = VALUE,
    ['~'] = TOKEN | TARGET | HOST | VALUE,
    [0x80 ... 0xff] = VALUE,
};

static enum net_http_parse refuse(struct net_http_refusal *refusal, int status, const char *detail)
{
    ASSERT(status >= 400 && status < 600);
    *refusal = (struct net_http_refusal){status, detail};
    return NET_HTTP_REFUSED;
}

/* The whole of `s` is looked at, without a branch a byte: values are short and nearly always
 * fine. */
static bool all_of(struct slice s, uint8_t class)
{
    uint8_t common = class;
    for (size_t i = 0; i < s.size; i++)
        common &= classes[s.data[i]];
    return common == class;
}

/* Looks for the empty line; with DONE `*size` is where the head ends. One empty line in front is
 * skipped (RFC 9112 section 2.2): `start` is 2 then. */
static enum net_http_parse find_end(struct slice in, size_t start, size_t *scanned, size_t *size,
                                    struct net_http_refusal *refusal)
{
    size_t at = *scanned;
    ASSERT(at <= in.size);
    while (at < in.size) {
        const uint8_t *lf = memchr(in.data + at, '\n', in.size - at);
        if (!lf)
            break;
        at = (size_t)(lf - in.data);
        /* RFC 9112 section 2.2 lets a recipient take a bare LF as a line's end. Who does and who
         * does not then see different fields: refused. A bare CR is no TARGET or VALUE byte and
         * falls there. */
        if (at == 0 || in.data[at - 1] != '\r')
            return refuse(refusal, 400, "a line ends in LF without CR");
        if (at > start && (at == start + 1 || in.data[at - 2] == '\n')) {
            *size = at + 1;
            return NET_HTTP_DONE;
        }
        at++;
    }
    /* A head that comes a byte at a time is looked through once, not once a byte. */
    *scanned = in.size;
    return NET_HTTP_MORE;
}

/* The part that requests and responses share: from the bytes to the head's extent. */
static enum net_http_parse delimit(struct slice in, size_t *scanned, size_t *start, size_t *size,
                                   struct net_http_refusal *refusal)
{
    *start = in.size >= 2 && in.data[0] == '\r' && in.data[1] == '\n' ? 2 : 0;
    if (in.size > *start) {
        uint8_t first = in.data[*start];
        /* A lone CR at the front may be the first half of the empty line that is skipped. */
        if (!(classes[first] & TOKEN) && !(first == '\r' && in.size == *start + 1))
            return refuse(refusal, 400, "this is not HTTP/1.1");
    }
    if (in.size >= *start + NET_HTTP_LINE_MAX && !memchr(in.data + *start, '\n', NET_HTTP_LINE_MAX))
        return refuse(refusal, 414, "the request line is over 8 KiB");
    /* A head that fits is taken even if more has come with it: only the first 16 KiB are looked
     * at. */
    bool full = in.size >= NET_HTTP_HEAD_MAX;
    enum net_http_parse found =
        find_end(slice_sub(in, 0, NET_HTTP_HEAD_MAX), *start, scanned, size, refusal);
    if (found == NET_HTTP_MORE && full)
        return refuse(refusal, 431, "the head is over 16 KiB");
    return found;
}

/* Takes one line, without its CRLF, off a head that is known to be whole. */
static struct slice take_line(struct slice *rest)
{
    const uint8_t *lf = memchr(rest->data, '\n', rest->size);
    ASSERT(lf && lf > rest->data);
    size_t size = (size_t)(lf - rest->data);
    struct slice line = slice_make(rest->data, size - 1);
    *rest = slice_make(lf + 1, rest->size - size - 1);
    return line;
}

static struct slice trim_blanks(struct slice s)
{
    while (s.size && (s.data[0] == ' ' || s.data[0] == '\t'))
        s = slice_make(s.data + 1, s.size - 1);
    while (s.size && (s.data[s.size - 1] == ' ' || s.data[s.size - 1] == '\t'))
        s.size--;
    return s;
}

/* Field lines up to the empty one (RFC 9112 section 5). */
static enum net_http_parse parse_fields(struct slice rest, struct net_http_fields *fields,
                                        struct net_http_refusal *refusal)
{
    fields->count = 0;
    for (struct slice line = take_line(&rest); line.size; line = take_line(&rest)) {
        /* obs-fold (RFC 9112 section 5.2): one hop joins the lines, another takes two fields. */
        if (line.data[0] == ' ' || line.data[0] == '\t')
            return refuse(refusal, 400, "a field line begins with white space");
        size_t colon = 0;
        while (colon < line.size && (classes[line.data[colon]] & TOKEN))
            colon++;
        /* White space before the colon is refused here too (section 5.1: a server MUST). */
        if (colon == 0 || colon == line.size || line.data[colon] != ':')
            return refuse(refusal, 400, "a field name is not a token followed by a colon");
        struct slice value = trim_blanks(slice_make(line.data + colon + 1, line.size - colon - 1));
        if (!all_of(value, VALUE))
            return refuse(refusal, 400, "a field value has a control character");
        if (fields->count == NET_HTTP_HEADERS_MAX)
            return refuse(refusal, 431, "the head has more than 100 fields");
        fields->items[fields->count++] =
            (struct net_http_header){slice_make(line.data, colon), value};
    }
    return NET_HTTP_DONE;
}

static struct slice find_field(const struct net_http_fields *fields, struct slice name,
                               uint32_t *index)
{
    ASSERT(fields->count <= NET_HTTP_HEADERS_MAX);
    for (uint32_t i = *index; i < fields->count; i++) {
        const struct net_http_header *item = &fields->items[i];
        if (item->name.size == name.size && slice_equal_nocase(item->name, name)) {
            *index = i + 1;
            return item->value;
        }
    }
    *index = fields->count;
    return (struct slice){0};
}

struct slice net_http_fields_next(const struct net_http_fields *fields, const char *name,
                                  uint32_t *index)
{
    return find_field(fields, slice_string(name), index);
}

struct slice net_http_fields_get(const struct net_http_fields *fields, const char *name)
{
    uint32_t index = 0;
    return find_field(fields, slice_string(name), &index);
}

/* The only field of a name; `*several` is set when there are more. */
static struct slice single_field(const struct net_http_fields *fields, struct slice name,
                                 bool *several)
{
    uint32_t index = 0;
    struct slice value = find_field(fields, name, &index);
    *several = value.data && find_field(fields, name, &index).data;
    return value;
}

/* Options that are unknown name fields for the next hop, and there is none behind us. */
static void parse_connection(struct net_http_fields *fields)
{
    fields->close = fields->keep_alive = false;
    for (uint32_t index = 0;;) {
        struct slice value = find_field(fields, SLICE_LITERAL("connection"), &index);
        if (!value.data)
            return;
        while (value.data) {
            struct slice option = trim_blanks(slice_split(&value, ','));
            fields->close |= slice_equal_nocase(option, SLICE_LITERAL("close"));
            fields->keep_alive |= slice_equal_nocase(option, SLICE_LITERAL("keep-alive"));
        }
    }
}

/* Between a value and the end of its line, which is known to be there. */
static bool tab_behind(struct slice value)
{
    ASSERT(value.data);
    const uint8_t *at = value.data + value.size;
    while (*at == ' ')
        at++;
    return *at == '\t';
}

/* What the fields say of the body's size (RFC 9112 section 6). */
static enum net_http_parse parse_framing(struct net_http_fields *fields, uint8_t minor,
                                         struct net_http_refusal *refusal)
{
    bool lengths, codings;
    struct slice length = single_field(fields, SLICE_LITERAL("content-length"), &lengths);
    struct slice coding = single_field(fields, SLICE_LITERAL("transfer-encoding"), &codings);
    if (lengths || codings)
        return refuse(refusal, 400, "Content-Length or Transfer-Encoding is given twice");
    /* RFC 9112 section 6.1 lets the coding win. The hop before us may have let the length win. */
    if (length.data && coding.data)
        return refuse(refusal, 400, "Content-Length and Transfer-Encoding exclude each other");
    struct slice framing = length.data ? length : coding;
    /* White space as any other (RFC 9110 section 5.6.3), which some parsers do not take there: a
     * hop that sees no length or another coding cuts the stream elsewhere. */
    if (framing.data && tab_behind(framing))
        return refuse(refusal, 400, "Content-Length or Transfer-Encoding is followed by a tab");
    fields->has_length = length.data;
    fields->length = 0;
    /* Digits alone: "+5" and "5, 5" have been read as 5 by some and refused by others. */
    if (length.data && !err_is_ok(number_parse_u64(length, &fields->length)))
        return refuse(refusal, 400, "Content-Length is not a number");
    fields->chunked = coding.data;
    /* Section 6.1: an HTTP/1.0 message with a coding has faulty framing. */
    if (coding.data && minor == 0)
        return refuse(refusal, 400, "Transfer-Encoding is not HTTP/1.0");
    if (coding.data && !slice_equal_nocase(coding, SLICE_LITERAL("chunked"))) {
        /* Without chunked at its end the body's size is unknown: 400. A coding that we do not know
         * in front of a chunked is well framed: 501. */
        struct slice last = coding;
        for (struct slice rest = coding; rest.data;)
            last = trim_blanks(slice_split(&rest, ','));
        if (!slice_equal_nocase(last, SLICE_LITERAL("chunked")))
            return refuse(refusal, 400, "Transfer-Encoding does not end in chunked");
        return refuse(refusal, 501, "the only transfer coding accepted is chunked");
    }
    return NET_HTTP_DONE;
}

/* "HTTP/1.0" or "HTTP/1.1" (RFC 9112 section 2.3). */
static enum net_http_parse parse_version(struct slice s, uint8_t *minor,
                                         struct net_http_refusal *refusal)
{
    if (s.size != 8 || memcmp(s.data, "HTTP/", 5) != 0 || s.data[6] != '.' || s.data[5] < '0' ||
        s.data[5] > '9' || s.data[7] < '0' || s.data[7] > '9')
        return refuse(refusal, 400, "the request line does not end in HTTP/1.1");
    /* A higher minor version is to be read as 1.1 (RFC 9110 section 2.5); none exists, and what
     * says so is a probe. */
    if (s.data[5] != '1' || s.data[7] > '1')
        return refuse(refusal, 505, "the version is neither HTTP/1.0 nor HTTP/1.1");
    *minor = (uint8_t)(s.data[7] - '0');
    return NET_HTTP_DONE;
}

/* Methods are case-sensitive (RFC 9110 section 9.1). */
static enum net_http_method method_of(struct slice name)
{
    static const struct slice names[NET_HTTP_OTHER] = {
        [NET_HTTP_GET] = SLICE_LITERAL("GET"),       [NET_HTTP_HEAD] = SLICE_LITERAL("HEAD"),
        [NET_HTTP_POST] = SLICE_LITERAL("POST"),     [NET_HTTP_PUT] = SLICE_LITERAL("PUT"),
        [NET_HTTP_DELETE] = SLICE_LITERAL("DELETE"), [NET_HTTP_OPTIONS] = SLICE_LITERAL("OPTIONS"),
    };
    for (uint32_t i = 0; i < NET_HTTP_OTHER; i++)
        if (slice_equal(name, names[i]))
            return (enum net_http_method)i;
    return NET_HTTP_OTHER;
}

/* Splits "http://host/path" and leaves path and query in `*origin`; false when it is not of that
 * form (RFC 9112 section 3.2.2). */
static bool split_absolute(struct slice target, struct slice *host, struct slice *origin)
{
    static const struct slice schemes[] = {SLICE_LITERAL("http://"), SLICE_LITERAL("https://")};
    for (size_t i = 0; i < 2; i++) {
        size_t size = schemes[i].size;
        if (!slice_equal_nocase(slice_sub(target, 0, size), schemes[i]))
            continue;
        struct slice rest = slice_sub(target, size, target.size);
        size_t end = 0;
        while (end < rest.size && rest.data[end] != '/' && rest.data[end] != '?')
            end++;
        *host = slice_sub(rest, 0, end);
        *origin = slice_sub(rest, end, rest.size);
        return true;
    }
    return false;
}

static enum net_http_parse parse_target(struct net_http_head *head,
                                        struct net_http_refusal *refusal)
{
    struct slice origin = head->target;
    head->host = (struct slice){0};
    if (!all_of(origin, TARGET) || origin.size == 0)
        return refuse(refusal, 400, "the request target has a character that must be encoded");
    if (slice_equal_string(head->method_name, "CONNECT"))
        return refuse(refusal, 501, "CONNECT is not served");
    /* Asterisk-form is OPTIONS' alone (RFC 9112 section 3.2.4). */
    bool asterisk = head->method == NET_HTTP_OPTIONS && slice_equal_string(origin, "*");
    if (origin.data[0] != '/' && !asterisk && !split_absolute(origin, &head->host, &origin))
        return refuse(refusal, 400, "the request target is neither a path nor an http URI");
    head->path = slice_split(&origin, '?');
    head->query = origin;
    if (head->path.size == 0)
        head->path = SLICE_LITERAL("/");
    return NET_HTTP_DONE;
}

/* RFC 9112 section 3.2. */
static enum net_http_parse parse_host(struct net_http_head *head, struct net_http_refusal *refusal)
{
    bool several;
    struct slice field = single_field(&head->fields, SLICE_LITERAL("host"), &several);
    if (several)
        return refuse(refusal, 400, "Host is given twice");
    if (!field.data && head->minor == 1)
        return refuse(refusal, 400, "Host is missing");
    /* Section 3.2.2 lets the target's host win; whoever routed by Host would then have been
     * fooled. */
    if (field.data && head->host.data && !slice_equal_nocase(field, head->host))
        return refuse(refusal, 400, "Host and the request target name different hosts");
    bool given = field.data || head->host.data;
    if (!head->host.data)
        head->host = field;
    if (given && (head->host.size == 0 || !all_of(head->host, HOST)))
        return refuse(refusal, 400, "Host is not a host");
    return NET_HTTP_DONE;
}

static enum net_http_parse parse_expect(struct net_http_head *head,
                                        struct net_http_refusal *refusal)
{
    bool several;
    struct slice expect = single_field(&head->fields, SLICE_LITERAL("expect"), &several);
    bool known = slice_equal_nocase(expect, SLICE_LITERAL("100-continue"));
    /* RFC 9110 section 10.1.1: an HTTP/1.0 client's expectation is ignored. */
    head->expect_continue = expect.data && head->minor == 1;
    if (head->expect_continue && (several || !known))
        return refuse(refusal, 417, "the only expectation met is 100-continue");
    return NET_HTTP_DONE;
}

static enum net_http_parse parse_request_line(struct slice line, struct net_http_head *head,
                                              struct net_http_refusal *refusal)
{
    size_t space = slice_find(line, ' ');
    head->method_name = slice_sub(line, 0, space);
    struct slice rest = slice_sub(line, space + 1, line.size);
    space = slice_find(rest, ' ');
    head->target = slice_sub(rest, 0, space);
    struct slice version = slice_sub(rest, space + 1, rest.size);
    if (head->method_name.size == 0 || !all_of(head->method_name, TOKEN))
        return refuse(refusal, 400, "the request line does not begin with a method");
    enum net_http_parse result = parse_version(version, &head->minor, refusal);
    if (result != NET_HTTP_DONE)
        return result;
    head->method = method_of(head->method_name);
    return parse_target(head, refusal);
}

enum net_http_parse net_http_head_parse(struct slice in, size_t *scanned,
                                        struct net_http_head *head,
                                        struct net_http_refusal *refusal)
{
    size_t start;
    size_t size = 0;
    enum net_http_parse result = delimit(in, scanned, &start, &size, refusal);
    if (result != NET_HTTP_DONE)
        return result;
    struct slice rest = slice_sub(in, start, size - start);
    result = parse_request_line(take_line(&rest), head, refusal);
    if (result == NET_HTTP_DONE)
        result = parse_fields(rest, &head->fields, refusal);
    if (result == NET_HTTP_DONE)
        result = parse_framing(&head->fields, head->minor, refusal);
    if (result == NET_HTTP_DONE)
        result = parse_host(head, refusal);
    if (result == NET_HTTP_DONE)
        result = parse_expect(head, refusal);
    if (result != NET_HTTP_DONE)
        return result;
    parse_connection(&head->fields);
    const struct net_http_fields *fields = &head->fields;
    head->persistent = !fields->close && (head->minor == 1 || fields->keep_alive);
    head->size = size;
    return NET_HTTP_DONE;
}

enum net_http_parse net_http_response_head_parse(struct slice in, size_t *scanned,
                                                 struct net_http_response_head *head,
                                                 struct net_http_refusal *refusal)
{
    size_t start;
    size_t size = 0;
    enum net_http_parse result = delimit(in, scanned, &start, &size, refusal);
    if (result != NET_HTTP_DONE)
        return result;
    struct slice rest = slice_sub(in, start, size - start);
    struct slice line = take_line(&rest);
    uint64_t status = 0;
    /* A client is no door: it reads what our own server and a few known ones send, and refuses the
     * same doubtful framings, since an answer that is misread reports a record as safe. */
    result = parse_version(slice_sub(line, 0, 8), &head->minor, refusal);
    if (result != NET_HTTP_DONE)
        return result;
    if (line.size < 12 || line.data[8] != ' ' || (line.size > 12 && line.data[12] != ' ') ||
        !err_is_ok(number_parse_u64(slice_sub(line, 9, 3), &status)) || status < 100 ||
        status > 599 || !all_of(slice_sub(line, 12, line.size), VALUE))
        return refuse(refusal, 400, "the status line is malformed");
    result = parse_fields(rest, &head->fields, refusal);
    if (result == NET_HTTP_DONE)
        result = parse_framing(&head->fields, head->minor, refusal);
    if (result != NET_HTTP_DONE)
        return result;
    parse_connection(&head->fields);
    head->persistent = !head->fields.close && (head->minor == 1 || head->fields.keep_alive);
    head->status = (int)status;
    head->size = size;
    return NET_HTTP_DONE;
}
