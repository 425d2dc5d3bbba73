#pragma once

/* What the log's tests share: payloads of frames, entry by entry, and batches to put in them. */

#include "base/cursor.h"
#include "flow/batch.h"
#include "lib/unit.h"
#include "log/frame.h"

#define assert_code(error, expected) assert_string_equal(err_name(error), #expected)

struct payload {
    size_t size;
    uint8_t bytes[1 << 16];
};

static inline struct slice payload_slice(const struct payload *p)
{
    return slice_make(p->bytes, p->size);
}

/* A finished batch of `count` records, each with a value of `value_size` bytes. */
static inline struct slice payload_build(struct flow_batch_builder *builder, uint32_t count,
                                         size_t value_size)
{
    uint8_t *value = calloc(1, value_size + 1);
    assert_non_null(value);
    flow_batch_builder_init(builder);
    for (uint32_t i = 0; i < count; i++)
        assert_true(err_is_ok(flow_batch_builder_add(builder, 1, slice_make(NULL, 0),
                                                     slice_make(value, value_size), NULL, 0)));
    free(value);
    return flow_batch_builder_finish(builder);
}

static inline void payload_batch_of(struct payload *p, enum flow_append_kind kind,
                                    uint32_t topic_id, uint32_t partition, int64_t base_offset,
                                    uint32_t count)
{
    struct flow_batch_builder builder;
    struct slice batch = payload_build(&builder, count, 10);
    struct flow_append append = {
        .topic_id = topic_id,
        .partition = partition,
        .kind = kind,
        .record_count = count,
        .batch = builder.bytes.data,
        .batch_size = batch.size,
    };
    flow_batch_set_base_offset(append.batch, base_offset);
    assert_true(p->size + 100 + batch.size < sizeof p->bytes);
    p->size += log_entry_put_batch(p->bytes + p->size, &append);
    flow_batch_builder_done(&builder);
}

static inline void payload_batch(struct payload *p, uint32_t topic_id, uint32_t partition,
                                 int64_t base_offset, uint32_t count)
{
    payload_batch_of(p, FLOW_APPEND_RECORDS, topic_id, partition, base_offset, count);
}

static inline void payload_counts(struct payload *p, uint32_t topic_id, uint64_t received,
                                  uint64_t duplicates, uint64_t refused)
{
    struct flow_count counts = {topic_id, received, duplicates, refused};
    p->size += log_entry_put_counts(p->bytes + p->size, &counts);
}

static inline void payload_topic(struct payload *p, uint32_t id, const char *name,
                                 uint32_t partition_count, uint32_t parent_id)
{
    struct flow_topic_change change = {
        .op = FLOW_TOPIC_CREATE,
        .topic_id = id,
        .uuid = {{(uint8_t)id}},
        .name = slice_string(name),
        .partition_count = partition_count,
        .parent_id = parent_id,
    };
    p->size += log_entry_put_topic(p->bytes + p->size, &change);
}

static inline void payload_partitions(struct payload *p, uint32_t id, uint32_t partition_count)
{
    struct flow_topic_change change = {
        .op = FLOW_TOPIC_PARTITIONS,
        .topic_id = id,
        .partition_count = partition_count,
    };
    p->size += log_entry_put_topic(p->bytes + p->size, &change);
}

static inline void payload_sink(struct payload *p, const struct flow_sink_change *change)
{
    p->size += log_entry_put_sink(p->bytes + p->size, change);
}

static inline void payload_sink_open(struct payload *p, uint32_t id, const char *name,
                                     const uint32_t *topic_ids, uint32_t topic_count)
{
    payload_sink(p, &(struct flow_sink_change){.op = FLOW_SINK_OPEN,
                                               .sink_id = id,
                                               .name = slice_string(name),
                                               .topic_ids = topic_ids,
                                               .topic_count = topic_count});
}

static inline void payload_sink_prepare(struct payload *p, uint32_t id, uint64_t epoch,
                                        const struct flow_sink_range *ranges, uint32_t range_count,
                                        const char *outputs)
{
    payload_sink(p, &(struct flow_sink_change){.op = FLOW_SINK_PREPARE,
                                               .sink_id = id,
                                               .epoch = epoch,
                                               .ranges = ranges,
                                               .range_count = range_count,
                                               .outputs = slice_string(outputs)});
}

static inline void payload_sink_redrive(struct payload *p, uint32_t id, uint64_t epoch,
                                        const struct flow_sink_range *ranges, uint32_t range_count)
{
    payload_sink(p, &(struct flow_sink_change){.op = FLOW_SINK_REDRIVE,
                                               .sink_id = id,
                                               .epoch = epoch,
                                               .ranges = ranges,
                                               .range_count = range_count,
                                               .outputs = SLICE_LITERAL("letters")});
}

static inline void payload_sink_commit(struct payload *p, uint32_t id, uint64_t epoch)
{
    payload_sink(p,
                 &(struct flow_sink_change){.op = FLOW_SINK_COMMIT, .sink_id = id, .epoch = epoch});
}

static inline void payload_sink_close(struct payload *p, uint32_t id)
{
    payload_sink(p, &(struct flow_sink_change){.op = FLOW_SINK_CLOSE, .sink_id = id});
}

static inline void payload_settle(struct payload *p, enum flow_settle_kind kind, uint32_t topic_id,
                                  int64_t first, int64_t end)
{
    p->size += log_entry_put_settle(p->bytes + p->size, &(struct flow_settle){
                                                            .topic_id = topic_id,
                                                            .kind = kind,
                                                            .record_count = (uint32_t)(end - first),
                                                            .first_offset = first,
                                                            .end_offset = end,
                                                        });
}

static inline void payload_clean_stop(struct payload *p)
{
    p->size += log_entry_put_clean_stop(p->bytes + p->size);
}

/* An entry of any kind and body. */
static inline void payload_raw(struct payload *p, uint8_t kind, uint8_t flags, const uint8_t *body,
                               size_t size)
{
    uint8_t *out = p->bytes + p->size;
    out[0] = kind;
    out[1] = flags;
    put_u16le(out + 2, 0);
    put_u32le(out + 4, (uint32_t)size);
    if (size > 0)
        memcpy(out + LOG_ENTRY_HEADER_SIZE, body, size);
    p->size += LOG_ENTRY_HEADER_SIZE + size;
}
