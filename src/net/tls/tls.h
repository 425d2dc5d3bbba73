#pragma once

/*
 * TLS on a loop's sockets, from OpenSSL. A net_tls is what a server shows and asks for (its
 * certificate, its key, whose clients it takes) or whom a client trusts. A net_tls_loop stands
 * before another loop and is one itself: tasks, timers and clocks are those of the loop behind it,
 * and the sockets that are opened on it, or connected from it, speak TLS. Whoever uses sockets of
 * an io_loop uses TLS without knowing of it.
 *
 * TLS 1.2 and 1.3, with forward secrecy and authenticated ciphers only; no renegotiation, no
 * compression, no resumption. An idle connection holds no buffer. With a server's net_tls sockets
 * are opened, with a client's they are connected, and not the other way round.
 *
 * What is as io/tcp.h says, with this besides: reading begins with the handshake, by itself;
 * `ended` is ERR_END when the peer has said that it ends, ERR_CLOSED when its bytes only stopped,
 * ERR_TIMEOUT when the handshake took too long, and ERR_INVALID for what is not TLS or fails in it.
 * What is written before the handshake is done is ERR_CLOSED.
 *
 * A client's `connected` comes behind the handshake, with what `ended` would say where that fails:
 * ERR_INVALID when the server is not who it should be, refuses, or speaks no TLS, and trying again
 * would be the same; net_tls_loop_why says more. The certificate has to lead to one that is
 * trusted, and to be of the name that was meant, which the server is told (SNI) where it is no
 * number.
 */

#include "base/logger.h"
#include "base/slice.h"
#include "io/disk.h"
#include "io/tcp.h"

struct net_tls;
struct net_tls_loop;

/* PEM files, read by the caller; names are for messages. */
struct net_tls_files {
    struct slice certificate; /* the server's, then those that lead to its issuer */
    struct slice key;
    struct slice client_ca; /* size 0: clients need no certificate; else one that this leads to */
    const char *certificate_name;
    const char *key_name;
    const char *client_ca_name;
};

/* ERR_CONFIG with a detail that names the file and says what to do; ERR_MEMORY. */
err_t net_tls_new(const struct net_tls_files *files, struct net_tls **out, struct err_text *why);
/* The same from files on the disk, at the paths that are the names of `files`; no `client_ca_name`:
 * none is asked for. Blocks. ERR_CONFIG also where one cannot be read. */
err_t net_tls_read(struct io_disk *disk, const struct net_tls_files *files, struct net_tls **out,
                   struct err_text *why);
/* A client's: `ca` are certificates in PEM, of those who sign servers' certificates, or a server's
 * own; without data, those that the system has. `name` is for messages. ERR_CONFIG with a detail;
 * ERR_MEMORY. */
err_t net_tls_client_new(struct slice ca, const char *name, struct net_tls **out,
                         struct err_text *why);
/* The same from a file, whose path is the name; NULL: those of the system. Blocks. ERR_CONFIG also
 * where it cannot be read. */
err_t net_tls_client_read(struct io_disk *disk, const char *path, struct net_tls **out,
                          struct err_text *why);
/* Frees and clears it; loops that use it go on. NULL in it is fine. */
void net_tls_free(struct net_tls **tls);

/* Each only grows. */
struct net_tls_counters {
    uint64_t handshakes; /* that were done */
    uint64_t failures;   /* that were not, for what the peer sent or left out */
    uint64_t plain;      /* of these: no TLS at all */
    uint64_t timeouts;   /* and those that took too long */
};

/* Adds `from` to `into`. */
void net_tls_counters_merge(struct net_tls_counters *into, const struct net_tls_counters *from);

struct net_tls_options {
    struct io_loop *loop;      /* the one behind it */
    const struct net_tls *tls; /* need not live longer than the call */
    uint64_t handshake_ms;     /* 0: 10 seconds */
    struct logger *logger;     /* told of peers that speak no TLS, once a minute; may be NULL */
    const char *name; /* a client's: whom certificates are to be of, kept by the caller; NULL: the
                         host of the address that is connected to */
};

/* Before the loop runs, or on its thread. ERR_MEMORY. */
err_t net_tls_loop_new(const struct net_tls_options *options, struct net_tls_loop **out);
/* Frees it, when all of its sockets are closed; NULL in it is fine. */
void net_tls_loop_free(struct net_tls_loop **loop);
/* The loop to open sockets on. */
struct io_loop *net_tls_loop_io(struct net_tls_loop *loop);
/* What the next handshakes show; connections that are there go on. On the loop's thread. */
void net_tls_loop_use(struct net_tls_loop *loop, const struct net_tls *tls);
/* What a client's last connection that ended with ERR_INVALID did so for; for a person. */
const char *net_tls_loop_why(const struct net_tls_loop *loop);
/* On the loop's thread. */
const struct net_tls_counters *net_tls_loop_counters(const struct net_tls_loop *loop);
