#pragma once

/*
 * memory_limit, divided by name: who may hold how much, whatever comes in. Each share is held to by
 * what is allocated, and what its holder does when it is full is said here. Together they are no
 * more than the limit (of which 32 MiB is the least there is). Beside it are the program's code and
 * stacks, what the log knows of topics and keys, and what sinks hold (a share of their own each).
 *
 *   share    of the limit   for                                   when full
 *   tail     1/8, 64 MiB    newest frames of the log              the oldest are read from disk
 *   large    3/32 + 1 MiB   frames larger than a quarter of that  the next waits for the flush
 *   index    1/8            what of the log is not sealed         LOG_FULL until it is
 *   redrive  3/32           what dead letters become, going back  they wait
 *   bodies   1/8            requests that are not answered        not read; HTTP: 503 later
 *   held     3/128          read ahead of what is taken           HTTP: 503; Kafka reads less
 *   batches  3/16           what requests become, unpacked too    BUSY, or TOO_LARGE
 *   fetches  1/16           what Kafka clients fetch              fetches wait
 *   unsent   1/16           answers that they do not take         fetches are throttled
 *   calls    1/16           Kafka requests that ask for much      the connection is closed
 *
 * Those from `bodies` on are divided among the loops.
 */

#include "control/config/config.h"

struct server_memory {
    size_t loop_count;
    uint64_t tail_bytes;
    uint64_t large_bytes;
    uint64_t index_bytes;
    uint64_t redrive_bytes;
    uint64_t sink_bytes;        /* of one sink; beside the limit */
    uint64_t request_bytes_max; /* what one request becomes in the log */
    /* Of one loop. */
    uint64_t bodies_bytes;
    uint64_t http_held_bytes;
    uint64_t kafka_held_bytes;
    uint64_t batches_bytes;
    uint64_t fetch_bytes;    /* fetched, and as much not taken; and as much for calls */
    uint64_t body_bytes_max; /* of a request over HTTP: the configuration's, if there is room */
};

/* `core_count` is the machine's. Where the configuration leaves it open, there are as many loops as
 * have room for a whole body each, and at most one a core. */
void server_memory_divide(const struct control_config *config, size_t core_count,
                          struct server_memory *out);
/* What all of them may hold at once, in bytes. */
uint64_t server_memory_sum(const struct server_memory *memory);
