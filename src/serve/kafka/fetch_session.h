#pragma once

/*
 * Fetch sessions (KIP-227): the partitions that a client fetches are kept from request to request,
 * so that a request says only what it changes, and an answer only what is new. A session belongs to
 * its connection, ends with it, and there is one a connection at the most: a client that comes back
 * is told that its session is not there, and begins another. All of a door's share a limit in bytes
 * (struct serve_kafka_door); who finds no room in it fetches without one.
 */

#include "serve/kafka/kafka_int.h"

/* A partition as the client wants it, and what it was told last. */
struct serve_kafka_fetch_part {
    int32_t partition;
    int32_t leader_epoch;
    int32_t bytes_max;
    int64_t offset;
    int64_t high_watermark; /* -1: is told in any case */
    int64_t log_start_offset;
};

struct serve_kafka_fetch_topic {
    struct list link;                     /* the session's */
    struct serve_kafka_fetch_part *parts; /* by their partition */
    uint32_t part_count;
    uint32_t part_capacity;
    size_t name_size;
    char name[];
};

struct serve_kafka_fetch_session {
    struct list link; /* the door's; the one used last is at the end */
    struct serve_kafka_door *door;
    struct serve_kafka_conn *conn;
    int32_t id;
    int32_t epoch; /* that the next request has to have */
    uint64_t used_ns;
    uint64_t bytes;
    struct map by_name; /* of `topics` */
    struct list topics;
    uint32_t part_count;
    uint32_t first; /* the part where the next fetch begins to read */
};

/* Takes a fetch request into the session that it begins or goes on with; `*out` is NULL when there
 * is none, and the request says all. An error code, which is the whole answer. */
int16_t serve_kafka_fetch_session_take(struct serve_kafka_call *call,
                                       struct serve_kafka_fetch_session **out);
/* The session that the call went on with, unless something has changed it since: then NULL. */
struct serve_kafka_fetch_session *serve_kafka_fetch_session_of(struct serve_kafka_call *call,
                                                               int32_t id, int32_t epoch);
