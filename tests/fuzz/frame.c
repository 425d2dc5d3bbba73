/*
 * Bytes of the write-ahead log. The front of the input is a frame's header, whose CRC is made to
 * fit, and the whole of it a payload: what is decoded is written again and has to be the same
 * bytes. Then the payload is applied to a state that knows two topics and a sink: refused, or
 * taken with a snapshot that adds up.
 */

#include "fuzz/fuzz.h"

#include <string.h>

#include "base/alloc.h"
#include "base/cursor.h"
#include "base/hash.h"
#include "log/state.h"

/* Topics of thousands of partitions, by the thousand, are only slow. */
#define PARTITIONS_MAX 40000u
#define ENTRIES_MAX 1000u

static void check_header(const uint8_t *data)
{
    uint8_t bytes[LOG_FRAME_HEADER_SIZE];
    uint8_t again[LOG_FRAME_HEADER_SIZE];
    memcpy(bytes, data, sizeof bytes);
    put_u32le(bytes, LOG_FRAME_MAGIC);
    put_u32le(bytes + LOG_FRAME_HEADER_SIZE - 4, crc32c(0, bytes, LOG_FRAME_HEADER_SIZE - 4));
    struct log_frame_header first, second;
    if (!err_is_ok(log_frame_decode(slice_make(bytes, sizeof bytes), &first)))
        return;
    uint32_t crc = first.header_crc;
    log_frame_encode(&first, again);
    FUZZ_EXPECT(err_is_ok(log_frame_decode(slice_make(again, sizeof again), &second)));
    FUZZ_EXPECT(second.lsn == first.lsn && second.epoch == first.epoch);
    FUZZ_EXPECT(second.block == first.block && second.file_blocks == first.file_blocks);
    FUZZ_EXPECT(second.payload_size == first.payload_size && second.flags == first.flags);
    /* Without bits that nobody knows it is the same to the byte. */
    bool same = memcmp(bytes, again, sizeof bytes) == 0;
    FUZZ_EXPECT(same == (crc == first.header_crc));
}

static size_t put_sink(uint8_t *out, const struct log_entry *entry)
{
    uint32_t count = entry->sink.range_count;
    uint32_t id_count = entry->sink.topic_count;
    struct flow_sink_range *ranges = mem_zalloc(count + 1u, sizeof *ranges);
    uint32_t *ids = mem_zalloc(id_count + 1u, sizeof *ids);
    FUZZ_EXPECT(ranges && ids);
    bool sane = true;
    for (uint32_t i = 0; i < count; i++) {
        ranges[i] = log_entry_range(entry, i);
        sane = sane && ranges[i].first_offset <= ranges[i].end_offset;
    }
    for (uint32_t i = 0; i < id_count; i++)
        ids[i] = log_entry_topic_id(entry, i);
    struct flow_sink_change change = entry->sink;
    change.ranges = ranges;
    change.topic_ids = ids;
    size_t size = sane ? log_entry_put_sink(out, &change) : 0;
    mem_free(ranges);
    mem_free(ids);
    return size;
}

static size_t put_keys(uint8_t *out, const struct log_entry_keys *keys)
{
    uint32_t count = (uint32_t)(keys->fingerprints.size / LOG_KEY_SIZE);
    size_t size = log_entry_put_keys_head(out, keys->topic_id, keys->partition, count);
    for (uint32_t i = 0; i < count; i++, size += LOG_KEY_SIZE)
        log_key_put(out + size, log_key_get(keys->fingerprints.data + (size_t)i * LOG_KEY_SIZE));
    return size;
}

static size_t put_request(uint8_t *out, const struct log_entry *entry)
{
    const struct log_entry_sequence *sequence = &entry->sequence;
    const struct log_entry_answer *answer = &entry->answer;
    bool numbered = entry->kind == LOG_ENTRY_SEQUENCE;
    if (entry->kind == LOG_ENTRY_SEQUENCED)
        return log_entry_put_request(
            out, &(struct flow_request){.kind = FLOW_REQUEST_SEQUENCED,
                                        .topic_id = entry->sequenced.topic_id,
                                        .batch = entry->sequenced.batch,
                                        .base_offset = entry->sequenced.base_offset});
    FUZZ_EXPECT(answer->answer.size <= FLOW_ANSWER_MAX);
    struct flow_request request = {
        .kind = numbered ? FLOW_REQUEST_NUMBERED : FLOW_REQUEST_KEYED,
        .topic_id = numbered ? sequence->topic_id : answer->topic_id,
        .id = numbered ? sequence->producer : answer->key,
        .sequence = sequence->sequence,
        .forgets = sequence->forgets,
        .body = answer->body,
        .duplicates = answer->duplicates,
        .answer = answer->answer,
    };
    return log_entry_put_request(out, &request);
}

/* 0 for what the log itself would never write. */
static size_t put_again(uint8_t *out, const struct log_entry *entry)
{
    switch (entry->kind) {
    case LOG_ENTRY_BATCH: return log_entry_put_batch(out, &entry->append);
    case LOG_ENTRY_COUNTS: return log_entry_put_counts(out, &entry->counts);
    case LOG_ENTRY_TOPIC_CREATE:
    case LOG_ENTRY_TOPIC_PARTITIONS:
    case LOG_ENTRY_TOPIC_CONFIG:
    case LOG_ENTRY_TOPIC_OPEN:
    case LOG_ENTRY_TOPIC_DELETE:
    case LOG_ENTRY_LOG_START: return log_entry_put_topic(out, &entry->topic);
    case LOG_ENTRY_SINK_OPEN:
    case LOG_ENTRY_SINK_PREPARE:
    case LOG_ENTRY_SINK_COMMIT:
    case LOG_ENTRY_SINK_REDRIVE:
    case LOG_ENTRY_SINK_CLOSE: return put_sink(out, entry);
    case LOG_ENTRY_SETTLED: return log_entry_put_settle(out, &entry->settle);
    case LOG_ENTRY_CLEAN_STOP: return log_entry_put_clean_stop(out);
    case LOG_ENTRY_KEYS: return put_keys(out, &entry->keys);
    case LOG_ENTRY_SEQUENCE:
    case LOG_ENTRY_SEQUENCED:
    case LOG_ENTRY_ANSWER: return put_request(out, entry);
    case LOG_ENTRY_PRODUCER_ID: return log_entry_put_producer_id(out, entry->producer_id);
    case LOG_ENTRY_OFFSET:
    case LOG_ENTRY_OFFSET_DELETE: return log_entry_put_offset(out, &entry->offset);
    case LOG_ENTRY_TRANSACTION:
    default: break;
    }
    /* A kind that is only reserved was decoded. */
    abort();
}

/* True when it is worth applying. */
static bool check_entries(struct slice payload)
{
    uint8_t *out = mem_alloc(payload.size + 1);
    FUZZ_EXPECT(out);
    uint32_t partitions = 0;
    uint32_t entries = 0;
    struct log_entry entry;
    for (;;) {
        const uint8_t *begin = payload.data;
        if (!err_is_ok(log_entry_next(&payload, &entry)))
            break;
        size_t size = put_again(out, &entry);
        FUZZ_EXPECT(size == 0 || (begin + size == payload.data || payload.size == 0));
        FUZZ_EXPECT(size == 0 || memcmp(begin, out, size) == 0);
        partitions += entry.topic.partition_count;
        entries++;
    }
    mem_free(out);
    return partitions <= PARTITIONS_MAX && entries <= ENTRIES_MAX;
}

/* Two topics, the second the first one's DLQ, and a sink that takes the first. */
static size_t put_world(uint8_t *out)
{
    struct flow_topic_change topic = {
        .op = FLOW_TOPIC_CREATE, .topic_id = 1, .name = SLICE_LITERAL("t"), .partition_count = 2};
    size_t size = log_entry_put_topic(out, &topic);
    topic.topic_id = 2;
    topic.parent_id = 1;
    topic.name = SLICE_LITERAL("t.dlq");
    size += log_entry_put_topic(out + size, &topic);
    uint32_t id = 1;
    struct flow_sink_change sink = {.op = FLOW_SINK_OPEN,
                                    .sink_id = 1,
                                    .name = SLICE_LITERAL("s"),
                                    .topic_ids = &id,
                                    .topic_count = 1};
    return size + log_entry_put_sink(out + size, &sink);
}

static void check_apply(struct slice payload)
{
    struct log_state state;
    uint8_t world[256];
    struct log_position at = {1, 4096};
    log_state_init(&state, 7);
    FUZZ_EXPECT(err_is_ok(log_state_apply(&state, slice_make(world, put_world(world)), at)));
    err_t err = log_state_apply(&state, payload, at);
    FUZZ_EXPECT(err_is_ok(err) || err_is(err, ERR_CORRUPT) || err_is(err, ERR_VERSION));
    if (err_is_ok(err)) {
        struct flow_snapshot snapshot = {0};
        FUZZ_EXPECT(err_is_ok(log_state_snapshot(&state, &snapshot)));
        FUZZ_EXPECT(snapshot.sink_count >= 1);
        for (uint32_t t = 0; t < snapshot.topic_count; t++) {
            const struct flow_topic_state *topic = &snapshot.topics[t];
            for (uint32_t i = 0; i < topic->partition_count; i++)
                FUZZ_EXPECT(topic->start_offset[i] <= topic->end_offset[i]);
            FUZZ_EXPECT(topic->dlq_total == topic->dlq_held + topic->dlq_redriven +
                                                topic->dlq_purged + topic->dlq_expired);
        }
        flow_snapshot_done(&snapshot);
    }
    log_state_done(&state);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size >= LOG_FRAME_HEADER_SIZE)
        check_header(data);
    struct slice payload = slice_make(data, size);
    if (check_entries(payload))
        check_apply(payload);
    return 0;
}
