#pragma once

/* The inside of net/tls: context.c makes what stream.c gives its sockets. */

#include <openssl/ssl.h>

#include "net/tls/tls.h"

struct net_tls {
    SSL_CTX *context;
};
