#pragma once

/*
 * Topics that are made and changed while the server runs, by clients and without a contract: open
 * topics, which take any bytes. Asked for on any loop, answered there through `done`, once what was
 * asked is on disk and every inlet goes by it. Changes are done one after the other, in the order
 * in which they come, and never while contracts are being exchanged.
 *
 * What a contract declares, what holds dead letters and what is the server's own is not touched:
 * ERR_POLICY, with a detail that says where to change it instead.
 */

#include "base/assert.h"
#include "base/err.h"
#include "base/list.h"
#include "base/task.h"
#include "base/uuid.h"
#include "flow/commit.h"

/* What an open topic has as long as it is not given anything else: as a contract's defaults. */
#define FLOW_TOPICS_RETENTION_MS (UINT64_C(7) * 24 * 3600 * 1000)
/* The largest batch of a producer, where a topic says nothing else (Kafka's message.max.bytes). */
#define FLOW_TOPICS_BATCH_BYTES_MAX 1048588u

/* The largest batch that a producer may send to a topic of that configuration. */
static inline uint32_t flow_topics_batch_bytes_max(const struct flow_topic_config *config)
{
    ASSERT(config->open || config->batch_bytes_max == 0);
    return config->batch_bytes_max ? config->batch_bytes_max : FLOW_TOPICS_BATCH_BYTES_MAX;
}

enum flow_topics_op {
    FLOW_TOPICS_CREATE,     /* ERR_EXISTS; ERR_INVALID for more partitions than there may be */
    FLOW_TOPICS_DELETE,     /* by name, or by uuid where the name is empty */
    FLOW_TOPICS_PARTITIONS, /* ERR_INVALID unless it is more than before and not too many */
    FLOW_TOPICS_CONFIG,     /* of its values some are set and some go back to their defaults */
    FLOW_TOPICS_LOG_START,  /* what is before an offset of a partition goes. ERR_OFFSET_RANGE */
};

/* One topic, or one partition of it. Names are different, but for LOG_START. */
struct flow_topics_item {
    struct slice name;
    uint32_t partition_count; /* CREATE, PARTITIONS */
    /* PARTITIONS: places were given, which have to be as many as partitions come. Result: they are
     * not, which is why it is ERR_INVALID. */
    bool placed;
    uint32_t placed_count;
    bool misplaced;
    /* CREATE, CONFIG: the values that are in its `given`; the rest is not looked at. */
    struct flow_topic_config config;
    uint16_t resets;      /* CONFIG: enum flow_topic_given */
    uint32_t partition;   /* LOG_START */
    int64_t start_offset; /* LOG_START; -1: the end. Result: where the partition begins */

    /* The answer. An item that comes with an error is left alone. */
    err_t error; /* ERR_NOT_FOUND and those above, or the log's */
    struct err_text why;
    struct uuid uuid; /* CREATE: result. DELETE: of the topic that is meant, or zero */
};

struct flow_topics_change {
    struct task task; /* the implementation's, as `link` */
    struct list link;
    void *topics;
    struct io_loop *home;
    void (*done)(struct flow_topics_change *change);
    enum flow_topics_op op;
    bool dry; /* only answers what would be answered */
    struct flow_topics_item *items;
    uint32_t item_count;
};

struct flow_topics {
    void (*change)(struct flow_topics *topics, struct flow_topics_change *change);
};

/* Hands a change over, with all that it points to, until `done`, which is not called within. */
static inline void flow_topics_change(struct flow_topics *topics, struct flow_topics_change *change)
{
    ASSERT(change->home && change->done);
    topics->change(topics, change);
}
