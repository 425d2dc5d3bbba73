#pragma once

/* A checkpoint of a state with some of everything. */

#include "base/alloc.h"
#include "log/checkpoint.h"
#include "unit/log/payload.h"

/* A state with all that a checkpoint can hold, as frames and a sealing would have made it. */
struct held {
    struct log_state state;
    struct log_checkpoint checkpoint;
    struct buf bytes;
};

static void apply(struct log_state *state, const struct payload *p, uint64_t file_number)
{
    struct log_position at = {.file_number = file_number, .offset = 8192, .commit_time_ms = 5000};
    assert_code(log_state_apply(state, payload_slice(p), at), OK);
}

static void put_topic(struct payload *p, struct flow_topic_change change)
{
    p->size += log_entry_put_topic(p->bytes + p->size, &change);
}

static const struct log_segment segments[] = {
    {.base_offset = 0,
     .end_offset = 10,
     .records = 10,
     .size = 700,
     .next_index = 65536,
     .first_commit_ms = 1000,
     .last_commit_ms = 2000,
     .max_timestamp_ms = 99,
     .max_timestamp_offset = 9,
     .index_entries = 2,
     .time_entries = 1},
    {.base_offset = 10,
     .end_offset = 20,
     .records_before = 10,
     .records = 10,
     .size = 800,
     .max_timestamp_offset = 19},
};

static void build_topics(struct log_state *state)
{
    struct payload p = {0};
    payload_topic(&p, 1, "flights", 3, 0);
    payload_topic(&p, 2, "flights.dlq", 1, 1);
    payload_topic(&p, 3, "old", 2, 0);
    put_topic(&p, (struct flow_topic_change){.op = FLOW_TOPIC_CONFIG,
                                             .topic_id = 1,
                                             .config = {.retention_ms = 60000,
                                                        .retention_bytes = UINT64_C(5) << 32,
                                                        .codec = FLOW_CODEC_ZSTD,
                                                        .expire_undelivered = true}});
    payload_counts(&p, 1, 100, 7, 3);
    payload_batch(&p, 1, 0, 0, 20);
    payload_batch_of(&p, FLOW_APPEND_DEAD_LETTERS, 2, 0, 0, 4);
    apply(state, &p, 1);
}

static void build_sinks(struct log_state *state)
{
    static const uint32_t ids[] = {1};
    struct payload p = {0};
    payload_sink_open(&p, 1, "lake", ids, 1);
    payload_sink_open(&p, 2, "gone", ids, 1);
    payload_batch(&p, 1, 0, 20, 5);
    payload_batch(&p, 1, 2, 0, 6);
    struct flow_sink_range ranges[] = {{1, 0, 0, 12, 11, 1}, {1, 2, 0, 6, 6, 0}};
    payload_sink_prepare(&p, 1, 1, ranges, 1, "one");
    payload_sink_commit(&p, 1, 1);
    ranges[0] = (struct flow_sink_range){1, 0, 12, 25, 13, 0};
    payload_sink_prepare(&p, 1, 2, ranges, 2, "two files");
    payload_sink_close(&p, 2);
    put_topic(&p, (struct flow_topic_change){.op = FLOW_TOPIC_DELETE, .topic_id = 3});
    apply(state, &p, 2);
}

static void build(struct held *held)
{
    *held = (struct held){0};
    log_state_init(&held->state, 42);
    build_topics(&held->state);
    struct log_partition *partition = log_state_partition(&held->state, 1, 0);
    assert_code(log_partition_put_segments(partition, segments, 2), OK);
    log_partition_drop_index(partition, 1, &held->state.index_bytes);
    build_sinks(&held->state);
    struct payload p = {0};
    put_topic(&p, (struct flow_topic_change){
                      .op = FLOW_TOPIC_LOG_START, .topic_id = 1, .start_offset = 10});
    apply(&held->state, &p, 2);
    log_state_sink(&held->state, 1)->cursors[1].at_least = true;
    held->checkpoint = (struct log_checkpoint){
        .uuid = {{1, 2, 3}},
        .last = {.epoch = 1, .lsn = 9, .durable_lsn = 8, .file_number = 2, .file_blocks = 16},
        .sealed_file = 1,
    };
    log_checkpoint_encode(&held->checkpoint, &held->state, &held->bytes);
    assert_true(buf_ok(&held->bytes));
}

static void done(struct held *held)
{
    log_state_done(&held->state);
    buf_done(&held->bytes);
}

static err_t decode(struct slice bytes)
{
    struct log_state state;
    struct log_checkpoint checkpoint;
    log_state_init(&state, 7);
    err_t err = log_checkpoint_decode(bytes, &checkpoint, &state);
    log_state_done(&state);
    return err;
}
