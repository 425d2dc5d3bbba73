#include "net/http/target.h"

#include "base/number.h"

/*
 * Paths, queries, hosts and origins: what a handler asks about a target that head.c has found well
 * formed. Nothing here normalises: "/a/../b" and "/a//b" are other paths than "/b" and "/a/b" and
 * match nothing, so no rule about a path can be passed by writing it in another way.
 *
 * Host and Origin are how a page in somebody's browser is kept from talking to a server on that
 * person's own machine: by DNS rebinding (a foreign name that resolves to 127.0.0.1) or by a
 * request from a foreign page. A browser always sends the name it looked up; a literal address was
 * not looked up and is fine.
 */

/* `plus_is_space`: in a query, as HTML forms write it (application/x-www-form-urlencoded). */
static err_t decode(struct slice in, bool plus_is_space, uint8_t *out, size_t capacity,
                    struct slice *decoded)
{
    size_t size = 0;
    for (size_t i = 0; i < in.size; i++) {
        uint8_t byte = in.data[i];
        if (byte == '%') {
            /* Decoded bytes may be anything, NUL too: `decoded` has a size, and names are judged by
             * who takes them. */
            uint64_t value;
            struct slice digits = slice_sub(in, i + 1, 2);
            if (digits.size != 2 || !err_is_ok(number_parse_hex(digits, &value)))
                return err_make(ERR_SYNTAX);
            byte = (uint8_t)value;
            i += 2;
        } else if (byte == '+' && plus_is_space) {
            byte = ' ';
        }
        if (size == capacity)
            return err_make(ERR_TOO_LARGE);
        out[size++] = byte;
    }
    *decoded = slice_make(out, size);
    return err_ok();
}

err_t net_http_percent_decode(struct slice in, void *out, size_t capacity, struct slice *decoded)
{
    return decode(in, false, out, capacity, decoded);
}

bool net_http_path_match(struct slice path, const char *pattern, struct slice *value)
{
    struct slice expected = slice_string(pattern);
    struct slice found = {0};
    while (expected.data) {
        if (!path.data)
            return false;
        struct slice want = slice_split(&expected, '/');
        struct slice have = slice_split(&path, '/');
        if (slice_equal_string(want, "{}") && have.size)
            found = have;
        else if (!slice_equal(want, have))
            return false;
    }
    if (path.data)
        return false;
    if (value)
        *value = found;
    return true;
}

err_t net_http_query_get(struct slice query, const char *name, void *out, size_t capacity,
                         struct slice *value)
{
    while (query.data) {
        struct slice pair = slice_split(&query, '&');
        struct slice key = slice_split(&pair, '=');
        /* The first one of a name counts. The key itself is not decoded: ours need no escapes. */
        if (slice_equal_string(key, name))
            return decode(pair, true, out, capacity, value);
    }
    return err_make(ERR_NOT_FOUND);
}

/* A host without its port: "[::1]:80" gives "[::1]". */
static struct slice without_port(struct slice host)
{
    if (host.size && host.data[0] == '[') {
        size_t end = slice_find(host, ']');
        struct slice rest = slice_sub(host, end + 1, host.size);
        return rest.size == 0 || rest.data[0] == ':' ? slice_sub(host, 0, end + 1) : host;
    }
    return slice_sub(host, 0, slice_find(host, ':'));
}

/* An IPv4 address in four decimal parts, or anything in brackets: no name resolves to these. */
static bool is_literal_address(struct slice host)
{
    if (host.size > 2 && host.data[0] == '[')
        return host.data[host.size - 1] == ']';
    int parts = 0;
    while (host.data) {
        uint64_t number;
        struct slice part = slice_split(&host, '.');
        if (!err_is_ok(number_parse_u64(part, &number)) || number > 255)
            return false;
        parts++;
    }
    return parts == 4;
}

bool net_http_host_allowed(struct slice host, const char *listen, const char *const *names,
                           size_t count)
{
    /* HTTP/1.0 without Host: no browser sends that. */
    if (host.size == 0)
        return true;
    struct slice name = without_port(host);
    if (is_literal_address(name) || slice_equal_nocase(name, SLICE_LITERAL("localhost")) ||
        slice_equal_nocase(name, without_port(slice_string(listen))))
        return true;
    for (size_t i = 0; i < count; i++)
        if (slice_equal_nocase(name, slice_string(names[i])))
            return true;
    return false;
}

bool net_http_origin_allowed(const struct net_http_head *head)
{
    uint32_t index = 0;
    struct slice origin = net_http_fields_next(&head->fields, "origin", &index);
    if (!origin.data)
        return true;
    /* Two Origins: no browser sends them, and which one counts is anybody's guess. */
    if (net_http_fields_next(&head->fields, "origin", &index).data)
        return false;
    static const struct slice schemes[] = {SLICE_LITERAL("http://"), SLICE_LITERAL("https://")};
    for (size_t i = 0; i < 2; i++)
        /* https too: a proxy in front of us may have ended TLS. "null" and other schemes are
         * foreign. */
        if (slice_starts_with(origin, schemes[i]))
            return head->host.size &&
                   slice_equal_nocase(slice_sub(origin, schemes[i].size, origin.size), head->host);
    return false;
}
