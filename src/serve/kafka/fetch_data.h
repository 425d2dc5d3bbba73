#pragma once

/*
 * Batches on their way from the log into an answer. They are not copied: the log's lease is kept
 * until the kernel has the bytes. Where a lease is large and little in it is wanted, it is given
 * back at once, and that little copied. What is held counts in the door's fetch_bytes until it is
 * in an answer, and from there on in what its peers have not taken. On the door's loop.
 */

#include "serve/kafka/kafka_int.h"

/* The first `count` batches of the read, behind those in `held`; those without records at their end
 * as one marker. The read's lease is not the caller's any more. Returns the bytes that it is in an
 * answer; 0 without memory: `held` is as it was. */
size_t serve_kafka_fetch_hold(struct serve_kafka_door *door, struct flow_read *read, uint32_t count,
                              struct list *held);
/* Lets go of all of them. */
void serve_kafka_fetch_drop(struct serve_kafka_door *door, struct list *held);

/* An answer's body without pieces; NULL without memory. */
struct net_kafka_body *serve_kafka_fetch_body_new(struct serve_kafka_door *door);
/* Moves what is held into it, as bytes that stand at `at` of the answer. False without memory:
 * `held` and the body are as they were. */
bool serve_kafka_fetch_body_add(struct net_kafka_body *body, size_t at, struct list *held);
