#include "log/checkpoint.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/cursor.h"
#include "base/hash.h"

/*
 * The body is one walk over the state in a fixed order; decoding is the same walk. What is read is
 * believed no more than a frame is: every count is held against the bytes that are left before
 * memory is taken for it, and what the rest of the log relies on (rising offsets, ids, ranges) is
 * checked here, once.
 */

#define HEADER_SIZE 40u
#define AT_HEADER_CRC 36u
#define SEGMENT_SIZE 104u
#define INDEX_SIZE 48u
#define CURSOR_SIZE 40u
#define PARTITION_SIZE 40u
#define DOOMED_SIZE 16u
#define LETTERS_SIZE 40u
#define RUN_SIZE 24u
#define KEYS_SIZE 48u
#define BUCKET_SIZE 40u
#define DOOMED_KEYS_SIZE 16u
#define PREPARED_REDRIVE 2u /* of a sink's `prepared`: an epoch of letters */
/* topic id (4), counts (8), one of the smallest of what they count */
#define REQUESTS_SIZE 44u
#define OPEN_SIZE 12u
#define SIZE_GUESS ((size_t)1 << 20)

static void add_segment(struct buf *out, const struct log_segment *segment)
{
    ASSERT(segment->size > 0 && segment->end_offset > segment->base_offset);
    buf_add_u64le(out, (uint64_t)segment->base_offset);
    buf_add_u64le(out, (uint64_t)segment->end_offset);
    buf_add_u64le(out, segment->records_before);
    buf_add_u64le(out, segment->records);
    buf_add_u64le(out, segment->size);
    buf_add_u64le(out, segment->next_index);
    buf_add_u64le(out, (uint64_t)segment->first_commit_ms);
    buf_add_u64le(out, (uint64_t)segment->last_commit_ms);
    buf_add_u64le(out, (uint64_t)segment->max_timestamp_ms);
    buf_add_u64le(out, (uint64_t)segment->max_timestamp_offset);
    buf_add_u64le(out, (uint64_t)segment->indexed_timestamp_ms);
    buf_add_u32le(out, segment->index_entries);
    buf_add_u32le(out, segment->time_entries);
    buf_add_u64le(out, 0);
}

/* Entries lie in memory as they do in the file, and are copied as one run: there may be half a
 * million of them, and commits wait meanwhile. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "fields are little-endian");
_Static_assert(sizeof(struct log_index_entry) == INDEX_SIZE &&
                   offsetof(struct log_index_entry, records_before) == 8 &&
                   offsetof(struct log_index_entry, max_timestamp_ms) == 16 &&
                   offsetof(struct log_index_entry, commit_time_ms) == 24 &&
                   offsetof(struct log_index_entry, file_number) == 32 &&
                   offsetof(struct log_index_entry, file_offset) == 36 &&
                   offsetof(struct log_index_entry, size) == 40 &&
                   offsetof(struct log_index_entry, record_count) == 44,
               "the format's order");

static void add_partition(struct buf *out, const struct log_partition *partition)
{
    ASSERT(partition->start_offset <= partition->end_offset);
    /* Both counts stand before both lists, and segments before the index: who decodes holds each
     * entry against what lies before it. */
    buf_add_u64le(out, (uint64_t)partition->start_offset);
    buf_add_u64le(out, (uint64_t)partition->end_offset);
    buf_add_u64le(out, partition->records);
    buf_add_u64le(out, partition->records_start);
    buf_add_u32le(out, partition->segment_count);
    buf_add_u32le(out, (uint32_t)partition->index_count);
    for (uint32_t i = 0; i < partition->segment_count; i++)
        add_segment(out, &partition->segments[i]);
    if (partition->index_count > 0)
        buf_add(out, partition->index, partition->index_count * sizeof *partition->index);
}

static void add_name(struct buf *out, const char *name)
{
    struct slice text = slice_string(name);
    ASSERT(text.size > 0 && text.size <= UINT32_MAX);
    buf_add_u32le(out, (uint32_t)text.size);
    buf_add_slice(out, text);
}

static void add_topic(struct buf *out, const struct log_topic *topic)
{
    ASSERT(!topic->deleted || topic->partition_count == 0);
    /* A deleted topic keeps its row, without partitions: the place in this list is the id. */
    add_name(out, topic->name);
    buf_add(out, topic->uuid.bytes, sizeof topic->uuid.bytes);
    buf_add_u32le(out, topic->parent_id);
    buf_add_byte(out, topic->deleted);
    buf_add_byte(out, (uint8_t)topic->config.codec);
    buf_add_byte(out, topic->config.expire_undelivered);
    buf_add_byte(out, 0);
    buf_add_u64le(out, topic->config.retention_ms);
    buf_add_u64le(out, topic->config.retention_bytes);
    buf_add_u64le(out, topic->received);
    buf_add_u64le(out, topic->duplicates);
    buf_add_u64le(out, topic->dead_lettered);
    buf_add_u64le(out, topic->refused);
    buf_add_u64le(out, topic->damaged);
    buf_add_u32le(out, topic->partition_count);
    for (uint32_t i = 0; i < topic->partition_count; i++)
        add_partition(out, &topic->partitions[i]);
}

/* Bits of what is said of a cursor. */
#define CURSOR_ACTIVE UINT64_C(1)
#define CURSOR_AT_LEAST UINT64_C(2)

static void add_cursor(struct buf *out, const struct log_cursor *cursor)
{
    ASSERT(cursor->offset >= 0);
    buf_add_u32le(out, cursor->topic_id);
    buf_add_u32le(out, cursor->partition);
    buf_add_u64le(out, (uint64_t)cursor->offset);
    buf_add_u64le(out, cursor->records_first);
    buf_add_u64le(out, cursor->records);
    buf_add_u64le(out,
                  (cursor->active ? CURSOR_ACTIVE : 0) | (cursor->at_least ? CURSOR_AT_LEAST : 0));
}

static void add_range(struct buf *out, const struct flow_sink_range *range)
{
    uint8_t bytes[LOG_RANGE_SIZE];
    ASSERT(range->first_offset <= range->end_offset);
    log_range_put(bytes, range);
    buf_add(out, bytes, sizeof bytes);
}

static void add_sink(struct buf *out, const struct log_sink *sink)
{
    ASSERT(sink->outputs.size <= UINT32_MAX);
    add_name(out, sink->name);
    buf_add_byte(out, sink->open);
    buf_add_byte(out, sink->redrives ? PREPARED_REDRIVE : sink->prepared);
    buf_add_u16le(out, 0);
    buf_add_u64le(out, sink->epoch);
    buf_add_u64le(out, sink->delivered);
    buf_add_u64le(out, sink->dead_lettered);
    buf_add_u64le(out, sink->expired);
    buf_add_u64le(out, sink->damaged);
    buf_add_u64le(out, sink->lost);
    buf_add_u32le(out, sink->cursor_count);
    buf_add_u32le(out, sink->range_count);
    buf_add_u32le(out, (uint32_t)sink->outputs.size);
    for (uint32_t i = 0; i < sink->cursor_count; i++)
        add_cursor(out, &sink->cursors[i]);
    for (uint32_t i = 0; i < sink->range_count; i++)
        add_range(out, &sink->ranges[i]);
    buf_add_slice(out, sink->outputs);
}

static bool has_settled(const struct log_topic *topic)
{
    ASSERT(topic->parent_id < topic->id);
    return !topic->deleted &&
           topic->letters.redriven + topic->letters.purged + topic->letters.lost > 0;
}

static void add_settled(struct buf *out, const struct log_settled *settled)
{
    ASSERT(settled->runs || settled->count == 0);
    buf_add_u32le(out, settled->count);
    buf_add_u32le(out, 0);
    for (uint32_t i = 0; i < settled->count; i++) {
        buf_add_u64le(out, (uint64_t)settled->runs[i].first_offset);
        buf_add_u64le(out, (uint64_t)settled->runs[i].end_offset);
        buf_add_u64le(out, settled->runs[i].record_count);
    }
}

static void add_letters(struct buf *out, const struct log_state *state)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < state->topic_count; i++)
        count += has_settled(state->topics[i]);
    ASSERT(count <= state->topic_count);
    buf_add_u32le(out, count);
    for (uint32_t i = 0; i < state->topic_count; i++) {
        const struct log_topic *topic = state->topics[i];
        if (!has_settled(topic))
            continue;
        buf_add_u32le(out, topic->id);
        buf_add_u32le(out, topic->partition_count);
        buf_add_u64le(out, topic->letters.redriven);
        buf_add_u64le(out, topic->letters.purged);
        buf_add_u64le(out, topic->letters.expired);
        buf_add_u64le(out, topic->letters.lost);
        for (uint32_t p = 0; p < topic->partition_count; p++)
            add_settled(out, &topic->partitions[p].settled);
    }
}

/* What is on its way is in no durable frame, and so in no checkpoint. */
static bool has_requests(const struct log_topic *topic)
{
    ASSERT(topic->id > 0);
    return topic->requests && !log_requests_are_none(topic->requests);
}

/* Whole, and not in files as keys are: their bytes are bounded, and small beside the index. */
static void add_requests(struct buf *out, const struct log_state *state)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < state->topic_count; i++)
        count += has_requests(state->topics[i]);
    ASSERT(count <= state->topic_count);
    buf_add_u32le(out, count);
    for (uint32_t i = 0; i < state->topic_count; i++) {
        if (!has_requests(state->topics[i]))
            continue;
        buf_add_u32le(out, state->topics[i]->id);
        log_requests_encode(state->topics[i]->requests, out);
    }
}

static void add_open(struct buf *out, const struct log_state *state)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < state->topic_count; i++)
        count += state->topics[i]->config.open && !state->topics[i]->deleted;
    ASSERT(count <= state->topic_count);
    buf_add_u32le(out, count);
    for (uint32_t i = 0; i < state->topic_count; i++) {
        const struct log_topic *topic = state->topics[i];
        if (!topic->config.open || topic->deleted)
            continue;
        buf_add_u32le(out, topic->id);
        buf_add_u32le(out, topic->config.batch_bytes_max);
        buf_add_u32le(out, topic->config.given);
    }
}

static void add_bucket(struct buf *out, const struct log_keys_bucket *bucket)
{
    ASSERT(bucket->saving >= bucket->saved);
    buf_add_u64le(out, bucket->number);
    buf_add_u64le(out, (uint64_t)bucket->first_ms);
    buf_add_u64le(out, (uint64_t)bucket->last_ms);
    buf_add_u32le(out, bucket->saving);
    buf_add_u32le(out, bucket->sorted ? 0 : bucket->saving_crc);
    buf_add_u64le(out, bucket->sorted);
}

/* The keys themselves are in files of their own: thousands of checkpoints may name the same ones.
 */
static void add_keys(struct buf *out, const struct log_state *state)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < state->topic_count; i++)
        count += state->topics[i]->keys != NULL;
    buf_add_u32le(out, count);
    for (uint32_t i = 0; i < state->topic_count; i++) {
        const struct log_topic *topic = state->topics[i];
        if (!topic->keys)
            continue;
        ASSERT(!topic->deleted && topic->config.dedup_window_ms > 0);
        buf_add_u32le(out, topic->id);
        buf_add_u64le(out, topic->config.dedup_window_ms);
        buf_add_u64le(out, topic->config.dedup_memory_bytes);
        buf_add(out, topic->config.dedup_secret.bytes, sizeof topic->config.dedup_secret.bytes);
        buf_add_u64le(out, topic->keys->next_number);
        buf_add_u32le(out, topic->keys->count);
        for (uint32_t b = 0; b < topic->keys->count; b++)
            add_bucket(out, topic->keys->buckets[b]);
    }
    buf_add_u32le(out, (uint32_t)state->doomed_keys_count);
    for (size_t i = 0; i < state->doomed_keys_count; i++) {
        buf_add_u32le(out, state->doomed_keys[i].topic_id);
        buf_add_u16le(out, (uint16_t)state->doomed_keys[i].kind);
        buf_add_u16le(out, (uint16_t)state->doomed_keys[i].saving_age);
        buf_add_u64le(out, state->doomed_keys[i].number);
    }
}

void log_checkpoint_encode(const struct log_checkpoint *checkpoint, const struct log_state *state,
                           struct buf *out)
{
    ASSERT(checkpoint->last.lsn > 0);
    buf_reset(out);
    /* Room at once for what there is most of, so that it is not moved as it grows; without it the
     * appends find out. */
    (void)buf_reserve(out, (size_t)state->index_bytes + SIZE_GUESS);
    uint8_t frame[LOG_FRAME_HEADER_SIZE];
    struct log_frame_header last = checkpoint->last;
    log_frame_encode(&last, frame);
    /* Room, filled in at the end, when size and checksum of what follows are known. */
    uint8_t header[HEADER_SIZE] = {0};
    buf_add(out, header, sizeof header);
    /* The last frame's own header: recovery goes on behind its place, and knows by its checksum
     * what the next frame has to name as its forerunner. */
    buf_add(out, frame, sizeof frame);
    buf_add_u64le(out, checkpoint->sealed_file);
    buf_add_u64le(out, checkpoint->clean);
    buf_add_u32le(out, state->topic_count);
    for (uint32_t i = 0; i < state->topic_count; i++)
        add_topic(out, state->topics[i]);
    buf_add_u32le(out, state->sink_count);
    for (uint32_t i = 0; i < state->sink_count; i++)
        add_sink(out, state->sinks[i]);
    buf_add_u32le(out, (uint32_t)state->doomed_count);
    for (size_t i = 0; i < state->doomed_count; i++) {
        buf_add_u32le(out, state->doomed[i].topic_id);
        buf_add_u32le(out, state->doomed[i].partition);
        buf_add_u64le(out, (uint64_t)state->doomed[i].base_offset);
    }
    add_keys(out, state);
    add_letters(out, state);
    add_requests(out, state);
    add_open(out, state);
    log_sequences_encode(&state->sequences, out);
    log_offsets_encode(&state->offsets, out);
    /* The latch tells the caller; what there is of the body is not worth a header. */
    if (!buf_ok(out))
        return;
    size_t body = out->size - HEADER_SIZE;
    put_u32le(out->data, LOG_CHECKPOINT_MAGIC);
    put_u32le(out->data + 4, LOG_CHECKPOINT_VERSION);
    put_u64le(out->data + 8, body);
    memcpy(out->data + 16, checkpoint->uuid.bytes, sizeof checkpoint->uuid.bytes);
    put_u32le(out->data + 32, crc32c(0, out->data + HEADER_SIZE, body));
    put_u32le(out->data + AT_HEADER_CRC, crc32c(0, out->data, AT_HEADER_CRC));
}

/* Magic and the header's own checksum come first: a version is believed only where it cannot be
 * rot, since a later one asks for another program and the rest for another file. */
static err_t check_header(struct slice bytes)
{
    ASSERT(bytes.data || bytes.size == 0);
    if (bytes.size < HEADER_SIZE || get_u32le(bytes.data) != LOG_CHECKPOINT_MAGIC ||
        get_u32le(bytes.data + AT_HEADER_CRC) != crc32c(0, bytes.data, AT_HEADER_CRC))
        return err_make(ERR_CORRUPT);
    bool newer = get_u32le(bytes.data + 4) > LOG_CHECKPOINT_VERSION;
    return err_make(newer ? ERR_VERSION : ERR_OK);
}

err_t log_checkpoint_check(struct slice bytes)
{
    TRY(check_header(bytes));
    struct slice body = slice_sub(bytes, HEADER_SIZE, SIZE_MAX);
    bool fits = get_u64le(bytes.data + 8) == body.size &&
                get_u32le(bytes.data + 32) == crc32c(0, body.data, body.size);
    ASSERT(bytes.size >= HEADER_SIZE);
    return err_make(fits ? ERR_OK : ERR_CORRUPT);
}

err_t log_checkpoint_sealed(struct slice front, uint64_t *sealed_file)
{
    TRY(check_header(front));
    struct cursor c = cursor_make(slice_sub(front, HEADER_SIZE + LOG_FRAME_HEADER_SIZE, SIZE_MAX));
    uint64_t value = cursor_u64le(&c);
    ASSERT(sealed_file);
    if (!cursor_ok(&c))
        return err_make(ERR_CORRUPT);
    *sealed_file = value;
    return err_ok();
}

/* A count of things that take at least `size` bytes each; fails when so many cannot follow. */
static uint32_t take_count(struct cursor *c, size_t size)
{
    ASSERT(size > 0);
    uint32_t count = cursor_u32le(c);
    /* So memory that is taken for a list is never much more than the file itself. */
    if (count > c->rest.size / size)
        cursor_fail(c);
    return cursor_ok(c) ? count : 0;
}

static bool take_flag(struct cursor *c, uint64_t value)
{
    ASSERT(c->rest.data || c->rest.size == 0);
    if (value > 1)
        cursor_fail(c);
    return value == 1;
}

static bool take_bool(struct cursor *c)
{
    return take_flag(c, cursor_u8(c));
}

/* What is written as zero. */
static void take_zero(struct cursor *c, uint64_t value)
{
    ASSERT(c->rest.data || c->rest.size == 0);
    if (value != 0)
        cursor_fail(c);
}

static void take_uuid(struct cursor *c, struct uuid *out)
{
    struct slice bytes = cursor_bytes(c, sizeof out->bytes);
    ASSERT(bytes.size == 0 || bytes.size == sizeof out->bytes);
    if (cursor_ok(c))
        memcpy(out->bytes, bytes.data, bytes.size);
}

static struct slice take_name(struct cursor *c)
{
    uint32_t size = take_count(c, 1);
    struct slice name = cursor_bytes(c, size);
    ASSERT(name.size <= size);
    if (name.size == 0 || memchr(name.data, 0, name.size))
        cursor_fail(c);
    return name;
}

static struct log_segment take_segment(struct cursor *c)
{
    struct log_segment s = {
        .base_offset = (int64_t)cursor_u64le(c),
        .end_offset = (int64_t)cursor_u64le(c),
        .records_before = cursor_u64le(c),
        .records = cursor_u64le(c),
        .size = cursor_u64le(c),
        .next_index = cursor_u64le(c),
        .first_commit_ms = (int64_t)cursor_u64le(c),
        .last_commit_ms = (int64_t)cursor_u64le(c),
        .max_timestamp_ms = (int64_t)cursor_u64le(c),
        .max_timestamp_offset = (int64_t)cursor_u64le(c),
        .indexed_timestamp_ms = (int64_t)cursor_u64le(c),
        .index_entries = cursor_u32le(c),
        .time_entries = cursor_u32le(c),
    };
    take_zero(c, cursor_u64le(c));
    ASSERT(c->rest.data || c->rest.size == 0);
    /* What the code that reads segments relies on: positions fit the 32 bits that Kafka's indexes
     * have, differences of offsets do not overflow, no index is longer than its batches. Fewer
     * records than offsets are holes. */
    if (s.base_offset < 0 || s.end_offset <= s.base_offset || s.size == 0 || s.size > INT32_MAX ||
        (uint64_t)(s.end_offset - s.base_offset) < s.records || s.time_entries > s.index_entries ||
        s.index_entries > s.size / LOG_SEGMENT_INDEX_ENTRY ||
        s.max_timestamp_offset < s.base_offset || s.max_timestamp_offset >= s.end_offset)
        cursor_fail(c);
    return s;
}

static void take_segments(struct cursor *c, struct log_partition *partition, uint32_t count,
                          bool *no_memory)
{
    ASSERT(!partition->segments);
    for (uint32_t i = 0; i < count && cursor_ok(c) && !*no_memory; i++) {
        struct log_segment segment = take_segment(c);
        const struct log_segment *last =
            i > 0 ? &partition->segments[partition->segment_count - 1] : NULL;
        /* Both offsets and counts rise, so that halving finds what is looked for and no difference
         * is below zero. What is missing in between is a hole, as fsck leaves one. */
        uint64_t before = last ? last->records_before + last->records : 0;
        if (!cursor_ok(c) || segment.end_offset > partition->end_offset ||
            (last && segment.base_offset < last->end_offset) || segment.records_before < before ||
            segment.records_before > partition->records ||
            segment.records > partition->records - segment.records_before)
            cursor_fail(c);
        else
            /* Apart from the cursor: a lack of memory says nothing about the file. */
            *no_memory = !err_is_ok(log_partition_put_segments(partition, &segment, 1));
    }
}

static struct log_index_entry take_index_entry(struct cursor *c)
{
    ASSERT(c->rest.data || c->rest.size == 0);
    struct log_index_entry entry = {
        .base_offset = (int64_t)cursor_u64le(c),
        .records_before = cursor_u64le(c),
        .max_timestamp_ms = (int64_t)cursor_u64le(c),
        .commit_time_ms = (int64_t)cursor_u64le(c),
        .file_number = cursor_u32le(c),
        .file_offset = cursor_u32le(c),
        .size = cursor_u32le(c),
        .record_count = cursor_u32le(c),
    };
    /* Files count from 1, and no batch is smaller than its header. */
    if (entry.base_offset < 0 || entry.size < FLOW_BATCH_HEADER_SIZE || entry.file_number == 0)
        cursor_fail(c);
    return entry;
}

static void take_index(struct cursor *c, struct log_partition *partition, uint32_t count,
                       uint64_t *index_bytes, bool *no_memory)
{
    ASSERT(partition->index_count == 0);
    const struct log_segment *last =
        partition->segment_count > 0 ? &partition->segments[partition->segment_count - 1] : NULL;
    int64_t least = last ? last->end_offset : 0;
    uint64_t before = last ? last->records_before + last->records : 0;
    for (uint32_t i = 0; i < count && cursor_ok(c) && !*no_memory; i++) {
        struct log_index_entry entry = take_index_entry(c);
        if (entry.base_offset < least || entry.base_offset >= partition->end_offset ||
            entry.records_before < before || entry.records_before > partition->records ||
            entry.record_count > partition->records - entry.records_before)
            cursor_fail(c);
        least = entry.base_offset + 1;
        before = entry.records_before + entry.record_count;
        if (cursor_ok(c))
            *no_memory = !err_is_ok(log_partition_add(partition, &entry, index_bytes));
    }
}

static void take_partition(struct cursor *c, struct log_partition *partition, uint64_t *index_bytes,
                           bool *no_memory)
{
    /* First of all: the topic counts the partition already, and whoever frees it looks at the
     * list. */
    list_init(&partition->waiters);
    partition->start_offset = (int64_t)cursor_u64le(c);
    partition->end_offset = (int64_t)cursor_u64le(c);
    /* Nothing is on its way at a start. */
    partition->next_offset = partition->end_offset;
    partition->records = cursor_u64le(c);
    partition->records_start = cursor_u64le(c);
    uint32_t segments = take_count(c, SEGMENT_SIZE);
    uint32_t entries = take_count(c, INDEX_SIZE);
    ASSERT(partition->segment_count == 0);
    if (partition->start_offset < 0 || partition->end_offset < partition->start_offset ||
        partition->records < partition->records_start)
        cursor_fail(c);
    take_segments(c, partition, segments, no_memory);
    take_index(c, partition, entries, index_bytes, no_memory);
}

static err_t take_partitions(struct cursor *c, struct log_topic *topic, uint64_t *index_bytes)
{
    uint32_t count = take_count(c, PARTITION_SIZE);
    ASSERT(!topic->partitions);
    /* Only a deleted topic has none: elsewhere the first one stands for its topic. */
    if (!cursor_ok(c) || count > FLOW_PARTITIONS_MAX || (count == 0) != topic->deleted)
        return err_make(ERR_CORRUPT);
    topic->partitions = mem_zalloc(count + 1u, sizeof *topic->partitions);
    if (!topic->partitions)
        return err_make(ERR_MEMORY);
    bool no_memory = false;
    while (topic->partition_count < count && cursor_ok(c) && !no_memory)
        take_partition(c, &topic->partitions[topic->partition_count++], index_bytes, &no_memory);
    if (no_memory)
        return err_make(ERR_MEMORY);
    return err_make(cursor_ok(c) ? ERR_OK : ERR_CORRUPT);
}

static err_t take_topic(struct cursor *c, struct log_state *state, struct log_topic *topic)
{
    ASSERT(topic->id > 0);
    struct slice name = take_name(c);
    take_uuid(c, &topic->uuid);
    topic->parent_id = cursor_u32le(c);
    topic->deleted = take_bool(c);
    uint8_t codec = cursor_u8(c);
    topic->config.expire_undelivered = take_bool(c);
    take_zero(c, cursor_u8(c));
    topic->config.retention_ms = cursor_u64le(c);
    topic->config.retention_bytes = cursor_u64le(c);
    topic->received = cursor_u64le(c);
    topic->duplicates = cursor_u64le(c);
    topic->dead_lettered = cursor_u64le(c);
    topic->refused = cursor_u64le(c);
    topic->damaged = cursor_u64le(c);
    /* A parent is older than its child; so there are no circles. */
    if (!cursor_ok(c) || codec > FLOW_CODEC_ZSTD || topic->parent_id >= topic->id ||
        name.size > FLOW_TOPIC_NAME_MAX)
        return err_make(ERR_CORRUPT);
    topic->config.codec = (enum flow_codec)codec;
    topic->name = mem_string(name.data, name.size);
    if (!topic->name)
        return err_make(ERR_MEMORY);
    TRY(take_partitions(c, topic, &state->index_bytes));
    if (topic->deleted)
        /* Its name may be that of another one, further back in the list. */
        return err_ok();
    if (map_get(&state->topics_by_name, name))
        return err_make(ERR_CORRUPT);
    return map_put(&state->topics_by_name, slice_string(topic->name), topic);
}

static err_t take_topics(struct cursor *c, struct log_state *state)
{
    uint32_t count = take_count(c, sizeof(uint32_t));
    ASSERT(state->topic_count == 0);
    state->topics = mem_zalloc(count + 1u, sizeof(struct log_topic *));
    if (!state->topics)
        return err_make(ERR_MEMORY);
    for (uint32_t i = 0; i < count; i++) {
        struct log_topic *topic = mem_zalloc(1, sizeof *topic);
        if (!topic)
            return err_make(ERR_MEMORY);
        /* Counted before anything of it can fail, so that it is freed with the rest. */
        state->topics[state->topic_count++] = topic;
        topic->id = state->topic_count;
        TRY(take_topic(c, state, topic));
    }
    return err_make(cursor_ok(c) ? ERR_OK : ERR_CORRUPT);
}

static void take_cursors(struct cursor *c, const struct log_state *state, struct log_sink *sink,
                         uint32_t count)
{
    ASSERT(sink->cursors && sink->cursor_count == 0);
    for (uint32_t i = 0; i < count && cursor_ok(c); i++) {
        struct log_cursor *cursor = &sink->cursors[i];
        cursor->topic_id = cursor_u32le(c);
        cursor->partition = cursor_u32le(c);
        cursor->offset = (int64_t)cursor_u64le(c);
        cursor->records_first = cursor_u64le(c);
        cursor->records = cursor_u64le(c);
        uint64_t flags = cursor_u64le(c);
        cursor->active = flags & CURSOR_ACTIVE;
        cursor->at_least = flags & CURSOR_AT_LEAST;
        const struct log_partition *partition =
            log_state_partition(state, cursor->topic_id, cursor->partition);
        const struct log_cursor *last = i > 0 ? cursor - 1 : NULL;
        bool rises = !last || cursor->topic_id > last->topic_id ||
                     (cursor->topic_id == last->topic_id && cursor->partition > last->partition);
        /* The cursor of a deleted topic is there for what it counted, and delivers nothing. */
        bool inside = partition ? cursor->offset <= partition->end_offset &&
                                      cursor->records <= partition->records
                                : !cursor->active;
        if (flags > (CURSOR_ACTIVE | CURSOR_AT_LEAST) || !rises || !inside || cursor->offset < 0 ||
            cursor->records < cursor->records_first)
            cursor_fail(c);
        sink->cursor_count++;
    }
}

static void take_ranges(struct cursor *c, struct log_sink *sink, uint32_t count)
{
    ASSERT(sink->ranges && sink->range_count == 0);
    for (uint32_t i = 0; i < count && cursor_ok(c); i++) {
        struct slice bytes = cursor_bytes(c, LOG_RANGE_SIZE);
        if (!cursor_ok(c))
            return;
        struct flow_sink_range range = log_range_get(bytes.data);
        /* Committing the epoch moves cursors: a range that has none would leave it prepared for
         * ever. Letters are looked at when all is read. */
        if (range.first_offset < 0 || range.end_offset < range.first_offset ||
            (!sink->redrives && !log_sink_cursor(sink, range.topic_id, range.partition)))
            cursor_fail(c);
        else
            sink->ranges[sink->range_count++] = range;
    }
}

static err_t take_sink(struct cursor *c, struct log_state *state, struct log_sink *sink)
{
    ASSERT(sink->id > 0);
    struct slice name = take_name(c);
    sink->open = take_bool(c);
    uint8_t prepared = cursor_u8(c);
    if (prepared > PREPARED_REDRIVE)
        cursor_fail(c);
    sink->prepared = prepared > 0;
    sink->redrives = prepared == PREPARED_REDRIVE;
    take_zero(c, cursor_u16le(c));
    sink->epoch = cursor_u64le(c);
    sink->delivered = cursor_u64le(c);
    sink->dead_lettered = cursor_u64le(c);
    sink->expired = cursor_u64le(c);
    sink->damaged = cursor_u64le(c);
    sink->lost = cursor_u64le(c);
    uint32_t cursors = take_count(c, CURSOR_SIZE);
    uint32_t ranges = take_count(c, LOG_RANGE_SIZE);
    uint32_t outputs = take_count(c, 1);
    if (!cursor_ok(c) || map_get(&state->sinks_by_name, name))
        return err_make(ERR_CORRUPT);
    sink->name = mem_string(name.data, name.size);
    sink->cursors = mem_zalloc(cursors + 1u, sizeof *sink->cursors);
    sink->ranges = mem_zalloc(ranges + 1u, sizeof *sink->ranges);
    uint8_t *bytes = mem_alloc(outputs + 1u);
    /* The sink's from here on, whatever fails next; its size counts once the bytes are there. */
    sink->outputs = slice_make(bytes, 0);
    if (!sink->name || !sink->cursors || !sink->ranges || !bytes)
        return err_make(ERR_MEMORY);
    take_cursors(c, state, sink, cursors);
    take_ranges(c, sink, ranges);
    struct slice given = cursor_bytes(c, outputs);
    if (!cursor_ok(c))
        return err_make(ERR_CORRUPT);
    memcpy(bytes, given.data, given.size);
    sink->outputs = slice_make(bytes, given.size);
    return map_put(&state->sinks_by_name, slice_string(sink->name), sink);
}

static err_t take_sinks(struct cursor *c, struct log_state *state)
{
    uint32_t count = take_count(c, sizeof(uint32_t));
    ASSERT(state->sink_count == 0);
    state->sinks = mem_zalloc(count + 1u, sizeof(struct log_sink *));
    if (!state->sinks)
        return err_make(ERR_MEMORY);
    for (uint32_t i = 0; i < count; i++) {
        struct log_sink *sink = mem_zalloc(1, sizeof *sink);
        if (!sink)
            return err_make(ERR_MEMORY);
        state->sinks[state->sink_count++] = sink;
        sink->id = state->sink_count;
        TRY(take_sink(c, state, sink));
    }
    return err_make(cursor_ok(c) ? ERR_OK : ERR_CORRUPT);
}

static err_t take_doomed(struct cursor *c, struct log_state *state)
{
    uint32_t count = take_count(c, DOOMED_SIZE);
    ASSERT(!state->doomed);
    state->doomed = mem_zalloc(count + 1u, sizeof *state->doomed);
    if (!state->doomed)
        return err_make(ERR_MEMORY);
    state->doomed_capacity = count + 1u;
    for (; state->doomed_count < count; state->doomed_count++) {
        struct log_doomed *doomed = &state->doomed[state->doomed_count];
        doomed->topic_id = cursor_u32le(c);
        doomed->partition = cursor_u32le(c);
        doomed->base_offset = (int64_t)cursor_u64le(c);
        if (doomed->topic_id == 0 || doomed->topic_id > state->topic_count ||
            doomed->base_offset < -1)
            cursor_fail(c);
    }
    return err_make(cursor_ok(c) ? ERR_OK : ERR_CORRUPT);
}

static err_t take_settled(struct cursor *c, struct log_partition *partition)
{
    uint32_t count = take_count(c, RUN_SIZE);
    take_zero(c, cursor_u32le(c));
    ASSERT(partition->settled.count == 0);
    int64_t least = partition->start_offset;
    TRY(log_settled_reserve(&partition->settled, cursor_ok(c) ? count : 0));
    for (uint32_t i = 0; i < count && cursor_ok(c); i++) {
        struct flow_settled_run run = {.first_offset = (int64_t)cursor_u64le(c),
                                       .end_offset = (int64_t)cursor_u64le(c),
                                       .record_count = cursor_u64le(c)};
        /* Runs that touch would be one. */
        if (!cursor_ok(c) || run.first_offset < least || run.end_offset > partition->end_offset ||
            run.end_offset == INT64_MAX || count > FLOW_SETTLED_RUNS_MAX)
            return err_make(ERR_CORRUPT);
        TRY(log_settled_add(&partition->settled, &run));
        least = run.end_offset + 1;
    }
    bool fits = partition->settled.records <= partition->records - partition->records_start;
    return err_make(cursor_ok(c) && fits ? ERR_OK : ERR_CORRUPT);
}

static err_t take_topic_letters(struct cursor *c, struct log_state *state, uint32_t *last_id)
{
    struct log_topic *topic = log_state_topic(state, cursor_u32le(c));
    uint32_t partitions = cursor_u32le(c);
    if (!cursor_ok(c) || !topic || topic->id <= *last_id || topic->parent_id == 0 ||
        partitions != topic->partition_count)
        return err_make(ERR_CORRUPT);
    ASSERT(topic->letters.redriven == 0);
    topic->letters = (struct log_letters){.redriven = cursor_u64le(c),
                                          .purged = cursor_u64le(c),
                                          .expired = cursor_u64le(c),
                                          .lost = cursor_u64le(c)};
    for (uint32_t p = 0; p < partitions; p++)
        TRY(take_settled(c, &topic->partitions[p]));
    *last_id = topic->id;
    return err_make(cursor_ok(c) && has_settled(topic) ? ERR_OK : ERR_CORRUPT);
}

/* Where no letter was ever settled, nothing but the start moving on has taken one out. */
static void count_expired(struct log_state *state)
{
    for (uint32_t i = 0; i < state->topic_count; i++) {
        struct log_topic *topic = state->topics[i];
        ASSERT(topic->partitions || topic->partition_count == 0);
        for (uint32_t p = 0; topic->parent_id && p < topic->partition_count; p++)
            topic->letters.expired += topic->partitions[p].records_start;
    }
}

static err_t take_letters(struct cursor *c, struct log_state *state, uint32_t version)
{
    uint32_t last_id = 0;
    count_expired(state);
    ASSERT(version <= LOG_CHECKPOINT_VERSION);
    uint32_t count = version > 1 ? take_count(c, LETTERS_SIZE) : 0;
    for (uint32_t i = 0; i < count; i++)
        TRY(take_topic_letters(c, state, &last_id));
    return err_make(cursor_ok(c) ? ERR_OK : ERR_CORRUPT);
}

static err_t take_requests(struct cursor *c, struct log_state *state)
{
    uint32_t count = take_count(c, REQUESTS_SIZE);
    uint32_t last_id = 0;
    ASSERT(state->topics || state->topic_count == 0);
    for (uint32_t i = 0; i < count; i++) {
        struct log_topic *topic = log_state_topic(state, cursor_u32le(c));
        if (!cursor_ok(c) || !topic || topic->id <= last_id)
            return err_make(ERR_CORRUPT);
        last_id = topic->id;
        TRY(log_state_ensure_requests(state, topic));
        TRY(log_requests_decode(topic->requests, c));
    }
    return err_make(cursor_ok(c) ? ERR_OK : ERR_CORRUPT);
}

static bool has_partition(const void *context, uint32_t topic_id, uint32_t partition)
{
    ASSERT(context);
    return log_state_partition(context, topic_id, partition) != NULL;
}

static err_t take_sequences(struct cursor *c, struct log_state *state)
{
    ASSERT(state->topics || state->topic_count == 0);
    return log_sequences_decode(&state->sequences, c, has_partition, state);
}

static err_t take_open(struct cursor *c, struct log_state *state)
{
    uint32_t count = take_count(c, OPEN_SIZE);
    uint32_t last_id = 0;
    ASSERT(state->topics || state->topic_count == 0);
    for (uint32_t i = 0; i < count; i++) {
        struct log_topic *topic = log_state_topic(state, cursor_u32le(c));
        uint32_t batch_bytes_max = cursor_u32le(c);
        uint32_t given = cursor_u32le(c);
        if (!cursor_ok(c) || !topic || topic->id <= last_id || given > FLOW_TOPIC_GIVEN_ALL ||
            topic->keys || topic->config.expire_undelivered)
            return err_make(ERR_CORRUPT);
        last_id = topic->id;
        topic->config.open = true;
        topic->config.batch_bytes_max = batch_bytes_max;
        topic->config.given = (uint16_t)given;
    }
    return err_make(cursor_ok(c) ? ERR_OK : ERR_CORRUPT);
}

static bool has_no_partition(void *state, struct slice group,
                             const struct flow_group_offset *offset)
{
    ASSERT(group.size > 0 && offset->topic_id > 0);
    return !log_state_partition(state, offset->topic_id, offset->partition);
}

static err_t take_offsets(struct cursor *c, struct log_state *state)
{
    ASSERT(state->offsets.count == 0);
    TRY(log_offsets_decode(&state->offsets, c));
    bool wrong = log_offsets_any(&state->offsets, has_no_partition, state);
    return err_make(wrong ? ERR_CORRUPT : ERR_OK);
}

static err_t take_bucket(struct cursor *c, struct log_keys *keys, uint64_t next_number)
{
    ASSERT(keys->count <= keys->capacity);
    uint64_t number = cursor_u64le(c);
    int64_t first_ms = (int64_t)cursor_u64le(c);
    int64_t last_ms = (int64_t)cursor_u64le(c);
    uint32_t count = cursor_u32le(c);
    uint32_t crc = cursor_u32le(c);
    bool sorted = take_flag(c, cursor_u64le(c));
    const struct log_keys_bucket *before = keys->count > 0 ? keys->buckets[keys->count - 1] : NULL;
    if (!cursor_ok(c) || first_ms > last_ms || number >= next_number ||
        count > LOG_KEYS_TABLE_MAX || (sorted && (count == 0 || crc != 0)) ||
        (before && (before->number >= number || (sorted && !before->sorted))))
        return err_make(ERR_CORRUPT);
    struct log_keys_bucket *bucket = log_keys_add_bucket(keys);
    if (!bucket)
        return err_make(ERR_MEMORY);
    bucket->number = number;
    bucket->first_ms = first_ms;
    bucket->last_ms = last_ms;
    bucket->saving = count;
    bucket->saving_crc = crc;
    bucket->sorted = sorted;
    return err_ok();
}

static err_t take_topic_keys(struct cursor *c, struct log_state *state, uint32_t *last_id)
{
    struct log_topic *topic = log_state_topic(state, cursor_u32le(c));
    uint64_t window_ms = cursor_u64le(c);
    uint64_t memory_bytes = cursor_u64le(c);
    struct uuid secret = {0};
    take_uuid(c, &secret);
    uint64_t next_number = cursor_u64le(c);
    uint32_t count = take_count(c, BUCKET_SIZE);
    ASSERT(count <= c->rest.size);
    if (!cursor_ok(c) || !topic || topic->id <= *last_id || window_ms == 0 || window_ms > INT64_MAX)
        return err_make(ERR_CORRUPT);
    *last_id = topic->id;
    topic->config.dedup_window_ms = window_ms;
    topic->config.dedup_memory_bytes = memory_bytes;
    topic->config.dedup_secret = secret;
    topic->keys = log_keys_new(next_number);
    if (!topic->keys)
        return err_make(ERR_MEMORY);
    for (uint32_t i = 0; i < count; i++)
        TRY(take_bucket(c, topic->keys, next_number));
    topic->keys->next_number = next_number;
    return err_ok();
}

static err_t take_doomed_keys(struct cursor *c, struct log_state *state)
{
    uint32_t count = take_count(c, DOOMED_KEYS_SIZE);
    ASSERT(!state->doomed_keys);
    state->doomed_keys = mem_zalloc(count + 1u, sizeof *state->doomed_keys);
    if (!state->doomed_keys)
        return err_make(ERR_MEMORY);
    state->doomed_keys_capacity = count + 1u;
    for (uint32_t i = 0; i < count; i++) {
        struct log_doomed_keys *doomed = &state->doomed_keys[i];
        doomed->topic_id = cursor_u32le(c);
        uint16_t kind = cursor_u16le(c);
        doomed->age = doomed->saving_age = cursor_u16le(c);
        doomed->number = cursor_u64le(c);
        doomed->kind = kind == LOG_KEYS_SORTED ? LOG_KEYS_SORTED : LOG_KEYS_RAW;
        if (kind > LOG_KEYS_SORTED || doomed->age > LOG_CHECKPOINTS_KEPT ||
            !log_state_topic(state, doomed->topic_id))
            cursor_fail(c);
    }
    state->doomed_keys_count = count;
    return err_make(cursor_ok(c) ? ERR_OK : ERR_CORRUPT);
}

static err_t take_keys(struct cursor *c, struct log_state *state)
{
    uint32_t count = take_count(c, KEYS_SIZE);
    uint32_t last_id = 0;
    ASSERT(state->keys_installs == 0);
    for (uint32_t i = 0; i < count; i++)
        TRY(take_topic_keys(c, state, &last_id));
    return take_doomed_keys(c, state);
}

/* Behind all else, since letters are held against what is settled. */
static err_t check_redrives(const struct log_state *state)
{
    ASSERT(state->sinks || state->sink_count == 0);
    for (uint32_t i = 0; i < state->sink_count; i++) {
        const struct log_sink *sink = state->sinks[i];
        if (sink->redrives &&
            !err_is_ok(log_state_may_redrive(state, sink, sink->ranges, sink->range_count)))
            return err_make(ERR_CORRUPT);
    }
    return err_ok();
}

err_t log_checkpoint_decode(struct slice bytes, struct log_checkpoint *out, struct log_state *state)
{
    ASSERT(state->topic_count == 0 && state->sink_count == 0);
    TRY(log_checkpoint_check(bytes));
    struct log_checkpoint checkpoint = {0};
    memcpy(checkpoint.uuid.bytes, bytes.data + 16, sizeof checkpoint.uuid.bytes);
    struct cursor c = cursor_make(slice_sub(bytes, HEADER_SIZE, SIZE_MAX));
    struct slice frame = cursor_bytes(&c, LOG_FRAME_HEADER_SIZE);
    checkpoint.sealed_file = cursor_u64le(&c);
    checkpoint.clean = take_flag(&c, cursor_u64le(&c));
    if (!cursor_ok(&c))
        return err_make(ERR_CORRUPT);
    TRY(log_frame_decode(frame, &checkpoint.last));
    /* The file with the last frame is where the log goes on, and so never sealed. */
    if (checkpoint.sealed_file >= checkpoint.last.file_number)
        return err_make(ERR_CORRUPT);
    /* In this order: sinks are held against the partitions, and notes of removals against
     * topics. */
    TRY(take_topics(&c, state));
    TRY(take_sinks(&c, state));
    TRY(take_doomed(&c, state));
    uint32_t version = get_u32le(bytes.data + 4);
    if (version >= 2)
        TRY(take_keys(&c, state));
    TRY(take_letters(&c, state, version));
    if (version >= 3)
        TRY(take_requests(&c, state));
    if (version >= 4) {
        TRY(take_open(&c, state));
        TRY(take_sequences(&c, state));
        TRY(take_offsets(&c, state));
    }
    /* What were left behind the last list, this version would lose with its next checkpoint. */
    if (c.rest.size > 0)
        return err_make(ERR_CORRUPT);
    TRY(check_redrives(state));
    *out = checkpoint;
    return err_ok();
}
