#pragma once

/*
 * The plug-in of the small world: counts how often it made each record visible, and fails what it
 * is told to fail.
 */

#include "unit/sinks/world_loop.h"

/* What the plug-in of one sink did and is to do. Its options point here. */
struct world_plug {
    enum err_code fail[SINKS_VERB_CLOSE + 1];
    uint32_t fail_times[SINKS_VERB_CLOSE + 1]; /* UINT32_MAX: for ever */
    uint32_t calls[SINKS_VERB_CLOSE + 1];
    uint64_t roll_time_ms;
    uint32_t roll_records; /* records after which it asks for the end; 0: never */
    int64_t refuse_every;  /* offsets that it refuses; 0: none */
    bool open;
    struct buf epoch_records; /* struct world_delivery of the open epoch */
    uint8_t visible[WORLD_TOPICS + 1][WORLD_PARTITIONS][WORLD_OFFSETS];
    uint64_t published[256]; /* epochs */
    uint32_t published_count;
};

struct world_delivery {
    uint32_t topic_id;
    uint32_t partition;
    int64_t offset;
};

static inline err_t plug_call(struct world_plug *plug, enum sinks_verb verb)
{
    plug->calls[verb]++;
    if (plug->fail_times[verb] == 0)
        return err_ok();
    if (plug->fail_times[verb] != UINT32_MAX)
        plug->fail_times[verb]--;
    return err_make(plug->fail[verb]);
}

static inline uint64_t plug_roll_time_ms(const void *options)
{
    const struct world_plug *plug = options;
    return plug->roll_time_ms;
}

static inline err_t plug_open(const struct sinks_open *open, void **instance, struct err_text *why)
{
    struct world_plug *plug = (struct world_plug *)(uintptr_t)open->options;
    (void)why;
    assert_false(plug->open);
    TRY(plug_call(plug, SINKS_VERB_OPEN));
    plug->open = true;
    *instance = plug;
    return err_ok();
}

static inline void plug_close(void *instance)
{
    struct world_plug *plug = instance;
    (void)plug_call(plug, SINKS_VERB_CLOSE);
    plug->open = false;
    buf_done(&plug->epoch_records);
}

static inline err_t plug_write(void *instance, const struct sinks_batch *batch,
                               struct sinks_result *result, struct err_text *why)
{
    struct world_plug *plug = instance;
    err_t err = plug_call(plug, SINKS_VERB_WRITE);
    if (!err_is_ok(err))
        return err_set(why, err.code, "the plug-in says no");
    struct flow_batch_iterator it = flow_batch_records(&batch->batch);
    struct flow_record record;
    while (err_is_ok(flow_batch_next(&it, &record))) {
        if (record.offset < batch->offset_min)
            continue;
        if (plug->refuse_every && record.offset % plug->refuse_every == 0) {
            TRY(sinks_refuse(result, record.offset, "sink", "no %d", (int)record.offset));
            continue;
        }
        struct world_delivery delivery = {batch->topic_id, batch->partition, record.offset};
        buf_add(&plug->epoch_records, &delivery, sizeof(delivery));
        result->delivered++;
    }
    size_t records = plug->epoch_records.size / sizeof(struct world_delivery);
    result->roll = plug->roll_records && records >= plug->roll_records;
    return buf_error(&plug->epoch_records);
}

static inline err_t plug_prepare(void *instance, uint64_t epoch,
                                 const struct flow_sink_range *ranges, uint32_t range_count,
                                 struct buf *outputs, struct err_text *why)
{
    struct world_plug *plug = instance;
    (void)why;
    assert_true(ranges && range_count > 0);
    TRY(plug_call(plug, SINKS_VERB_PREPARE));
    buf_add(outputs, &epoch, sizeof(epoch));
    buf_add_slice(outputs, buf_slice(&plug->epoch_records));
    buf_reset(&plug->epoch_records);
    return buf_error(outputs);
}

static inline err_t plug_publish(void *instance, struct slice outputs, struct err_text *why)
{
    struct world_plug *plug = instance;
    (void)why;
    uint64_t epoch;
    assert_true(outputs.size >= sizeof(epoch));
    memcpy(&epoch, outputs.data, sizeof(epoch));
    bool again = plug->published_count && plug->published[plug->published_count - 1] == epoch;
    if (!again) {
        assert_true(plug->published_count < 256);
        plug->published[plug->published_count++] = epoch;
        for (size_t i = sizeof(epoch); i < outputs.size; i += sizeof(struct world_delivery)) {
            struct world_delivery d;
            memcpy(&d, outputs.data + i, sizeof(d));
            plug->visible[d.topic_id][d.partition][d.offset]++;
        }
    }
    /* A failure comes after the deed: it must be done again without harm. */
    return plug_call(plug, SINKS_VERB_PUBLISH);
}

static inline void plug_discard(void *instance)
{
    struct world_plug *plug = instance;
    (void)plug_call(plug, SINKS_VERB_DISCARD);
    buf_reset(&plug->epoch_records);
}

static const struct sinks_plugin world_plugin = {
    .name = "test",
    .roll_time_ms = plug_roll_time_ms,
    .open = plug_open,
    .close = plug_close,
    .write = plug_write,
    .prepare = plug_prepare,
    .publish = plug_publish,
    .discard = plug_discard,
};
