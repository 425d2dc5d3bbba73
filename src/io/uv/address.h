#pragma once

/*
 * Addresses as operators write them. Names are not looked up: that would block. Any thread.
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
