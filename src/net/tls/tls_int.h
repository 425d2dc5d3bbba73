#pragma once

/* The inside of net/tls: context.c and trust.c make what stream.c gives its sockets. */

#include <openssl/ssl.h>

#include "net/tls/tls.h"

struct net_tls {
    SSL_CTX *context;
    bool client;
};

/* context.c */

/* To be freed by the caller; NULL without memory. */
BIO *net_tls_open_pem(struct slice pem);
/* Versions and ciphers, for either side. */
bool net_tls_set_rules(SSL_CTX *context);
/* Those who sign the peers' certificates; `tell_clients` whose to send. */
err_t net_tls_use_ca(SSL_CTX *context, BIO *pem, bool tell_clients, const char *name,
                     struct err_text *why);
/* `*bytes` is a view into `out`. Blocks. ERR_CONFIG, ERR_MEMORY. */
err_t net_tls_read_file(struct io_disk *disk, const char *path, struct buf *out,
                        struct slice *bytes, struct err_text *why);

/* trust.c */

/* The longest host in an address, with its zero. */
#define NET_TLS_HOST_SIZE 256u

/* The host of "host:port", without the brackets of an IPv6 address. ERR_INVALID. */
err_t net_tls_trust_host(const char *address, char out[static NET_TLS_HOST_SIZE],
                         struct err_text *why);
/* The server has to be `name`, a number or a name. ERR_MEMORY. */
err_t net_tls_trust_expect(SSL *ssl, const char *name);
/* Why the last call failed for good, and what can be done about it. */
void net_tls_trust_why(const SSL *ssl, struct err_text *why);
