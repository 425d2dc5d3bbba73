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
    bool last;      /* the size is 0 */
};

/* Takes bytes off the front of `*in`. Returns MORE with a run of body bytes in `*data` (a view
 * into `in`, may be empty) and all of `*in` used unless `*data` is not empty; DONE behind the last
 * chunk, with what follows left in `*in`; REFUSED. Call again while it returns MORE and `*in` is
 * not empty. */
enum net_http_parse net_http_chunk_decode(struct net_http_chunk *chunk, struct slice *in,
                                          struct slice *data, struct net_http_refusal *refusal);
