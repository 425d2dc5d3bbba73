/*
 * The last colon parts host and port, since an IPv6 address has colons of its own; the brackets
 * say which family it is. "localhost" is the one name that needs no lookup, and means 127.0.0.1:
 * what /etc/hosts or a resolver says of it could open a door on another interface.
 */

#include "io/uv/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "base/assert.h"
#include "base/number.h"
#include "base/slice.h"

static err_t wrong(const char *text, const char *expected, struct err_text *why)
{
    ASSERT(text);
    return err_set(why, ERR_INVALID, "address \"%s\": expected %s", text, expected);
}

/* inet_pton wants a zero at the end; a host that is too long is none. */
static bool parse_host(int family, struct slice host, void *out)
{
    char text[INET6_ADDRSTRLEN + 1];
    ASSERT(family == AF_INET || family == AF_INET6);
    if (host.size == 0 || host.size >= sizeof(text) || memchr(host.data, '\0', host.size))
        return false;
    memcpy(text, host.data, host.size);
    text[host.size] = '\0';
    return inet_pton(family, text, out) == 1;
}

static bool parse_ipv4(struct slice host, uint16_t port, struct io_uv_address *out)
{
    ASSERT(out);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (slice_equal_string(host, "localhost"))
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else if (!parse_host(AF_INET, host, &address.sin_addr))
        return false;
    /* Copied, not cast: the storage's declared type is another. */
    memcpy(&out->storage, &address, sizeof(address));
    out->size = sizeof(address);
    return true;
}

static bool parse_ipv6(struct slice host, uint16_t port, struct io_uv_address *out)
{
    ASSERT(out);
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    if (!parse_host(AF_INET6, host, &address.sin6_addr))
        return false;
    memcpy(&out->storage, &address, sizeof(address));
    out->size = sizeof(address);
    return true;
}

static err_t split(const char *text, struct slice *host, uint16_t *port, struct err_text *why)
{
    ASSERT(text);
    struct slice all = slice_string(text);
    size_t colon = all.size;
    while (colon > 0 && all.data[colon - 1] != ':')
        colon--;
    if (colon == 0)
        return wrong(text, "host:port", why);
    uint64_t number = 0;
    err_t err = number_parse_u64(slice_sub(all, colon, all.size), &number);
    if (!err_is_ok(err) || number > UINT16_MAX)
        return wrong(text, "a port from 0 to 65535 after the last colon", why);
    *host = slice_make(all.data, colon - 1);
    *port = (uint16_t)number;
    return err_ok();
}

err_t io_uv_address_parse(const char *text, struct io_uv_address *out, struct err_text *why)
{
    struct slice host = {0};
    uint16_t port = 0;
    ASSERT(out);
    TRY(split(text, &host, &port, why));
    bool bracketed = host.size > 2 && host.data[0] == '[' && host.data[host.size - 1] == ']';
    struct io_uv_address parsed = {0};
    if (bracketed ? !parse_ipv6(slice_sub(host, 1, host.size - 2), port, &parsed)
                  : !parse_ipv4(host, port, &parsed))
        return wrong(text, "an IPv4 address, an [IPv6] address or localhost before the port", why);
    *out = parsed;
    return err_ok();
}

bool io_uv_address_is_name(const char *text, struct io_uv_name *out)
{
    struct slice host = {0};
    uint16_t port = 0;
    struct io_uv_address number;
    ASSERT(out);
    if (err_is_ok(io_uv_address_parse(text, &number, NULL)) ||
        !err_is_ok(split(text, &host, &port, NULL)))
        return false;
    /* Colons and brackets are of an IPv6 address that is wrong, which no resolver makes right. */
    if (host.size == 0 || host.size >= sizeof(out->host))
        return false;
    for (size_t i = 0; i < host.size; i++)
        if (strchr(":[]", host.data[i]))
            return false;
    memcpy(out->host, host.data, host.size);
    out->host[host.size] = '\0';
    snprintf(out->port, sizeof(out->port), "%u", port);
    return true;
}
