#pragma once

/*
 * Addresses as operators write them. Names are not looked up here: that would block. Any thread.
 */

#include <sys/socket.h>

#include "base/err.h"

struct io_uv_address {
    struct sockaddr_storage storage;
    socklen_t size;
};

/* Parses "host:port", where host is a literal IPv4 address, an IPv6 address in brackets or
 * "localhost" (127.0.0.1). ERR_INVALID with a detail that shows the text. */
err_t io_uv_address_parse(const char *text, struct io_uv_address *out, struct err_text *why);

/* The longest name of a host (RFC 1035 section 2.3.4), and a port, each with a zero. */
struct io_uv_name {
    char host[254];
    char port[6];
};

/* Takes "host:port" apart whose host would have to be looked up; false, with `out` untouched, where
 * it is what io_uv_address_parse takes, or is no host and port at all. */
bool io_uv_address_is_name(const char *text, struct io_uv_name *out);
