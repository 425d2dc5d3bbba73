#pragma once

/*
 * The chunked transfer coding (RFC 9112 section 7.1), decoding. Stricter than the RFC where
 * leniency has been used for smuggling: chunk extensions and trailers are refused, so is white
 * space round the size. Pure; any thread.
 */

#include "net/http/head.h"

/* Where in the coding we are; zero-initialise. */
struct net_http_chunk {
    uint64_t left;  /* bytes of the current chunk still to come */
    uint8_t state;  /* this module's */
    uint8_t digits; /* of the size read so far */
};

/* Takes bytes off the front of `*in`. Returns MORE with a run of body bytes in `*data` (a view
 * into `in`), or with an empty one once all of `*in` is used; DONE behind the last chunk, with
 * what follows left in `*in`; REFUSED. */
enum net_http_parse net_http_chunk_decode(struct net_http_chunk *chunk, struct slice *in,
                                          struct slice *data, struct net_http_refusal *refusal);
/* Bytes of the body that come next without anything of the coding between them: they may be read
 * straight to where they belong and counted with net_http_chunk_advance. */
size_t net_http_chunk_pending(const struct net_http_chunk *chunk);
void net_http_chunk_advance(struct net_http_chunk *chunk, size_t size);
