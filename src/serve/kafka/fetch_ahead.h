#pragma once

/*
 * Reading ahead of a client that fetches a partition from one answer to the next: while it takes an
 * answer the log reads what follows, so that disk and socket work at the same time. What was read
 * belongs to the connection, counts in the door's fetch_bytes, and is given up when it was not
 * asked for soon, when others need the memory, and with the connection. On the door's loop.
 *
 * Life: begun, home (the log has answered), then taken or given up; or taken before it is home.
 * One that is given up on its way lives until it is home: the door stops behind the last of them.
 */

#include "serve/kafka/kafka_int.h"

/* Begins to read the partition at `offset`, up to `size` bytes; the one for the same partition that
 * was not taken is given up. Does nothing where there is no room for it, or where the connection
 * did not ask for what was read ahead for it. */
void serve_kafka_fetch_ahead_begin(struct serve_kafka_door *door, struct serve_kafka_conn *conn,
                                   uint32_t topic_id, uint32_t partition, int64_t offset,
                                   uint32_t size);
/* True when what `read` is to read (topic, partition, offset) is read ahead: `read` is answered as
 * if it had been asked for, maybe with more than its size. Else it is the caller's to ask for. */
bool serve_kafka_fetch_ahead_take(struct serve_kafka_door *door, struct serve_kafka_conn *conn,
                                  struct flow_read *read);
/* Gives up what is read ahead for a connection. */
void serve_kafka_fetch_ahead_close(struct serve_kafka_door *door, struct serve_kafka_conn *conn);
/* Gives up all that is home and not taken. */
void serve_kafka_fetch_ahead_yield(struct serve_kafka_door *door);
