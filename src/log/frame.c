#include "log/frame.h"

#include "base/assert.h"
#include "base/cursor.h"
#include "base/hash.h"
#include "flow/batch.h"

/* Bytes of frames and entries, both ways; docs/formats/wal.md draws them. What is encoded comes
 * from this program and is asserted. What is decoded comes from a disk: its sizes are held
 * against the bytes that are there, and what nobody has given a meaning to is refused rather
 * than passed over, since an entry that is not understood may be the one that the others rely
 * on. */
enum header_offset {
    AT_MAGIC = 0,
    AT_VERSION = 4,
    AT_FLAGS = 6,
    AT_UUID = 8,
    AT_EPOCH = 24,
    AT_RESERVED = 28,
    AT_LSN = 32,
    AT_DURABLE_LSN = 40,
    AT_PAYLOAD_SIZE = 48,
    AT_PAYLOAD_CRC = 52,
    AT_PREVIOUS_CRC = 56,
    AT_BLOCK = 60,
    AT_COMMIT_TIME = 64,
    AT_VALID_TO_LSN = 72,
    AT_FILE_NUMBER = 80,
    AT_FILE_BLOCKS = 88,
    AT_HEADER_CRC = 92,
};
_Static_assert(AT_HEADER_CRC + 4 == LOG_FRAME_HEADER_SIZE, "the header ends with its CRC");
_Static_assert(LOG_FRAME_HEADER_SIZE <= IO_BLOCK, "a header lies in one block");

uint64_t log_frame_disk_size(uint64_t payload_size)
{
    uint64_t size = LOG_FRAME_HEADER_SIZE + payload_size;
    ASSERT(size > payload_size);
    return (size + IO_BLOCK - 1) / IO_BLOCK * IO_BLOCK;
}

/* The header has a checksum of its own, so that the size of a payload is believed only where it
 * cannot be rot: a start would otherwise read whatever a flipped bit asks for. */
void log_frame_encode(struct log_frame_header *header, uint8_t out[static LOG_FRAME_HEADER_SIZE])
{
    ASSERT(header->lsn > header->durable_lsn);
    ASSERT(header->epoch > 0 && header->block < header->file_blocks);
    memset(out, 0, LOG_FRAME_HEADER_SIZE);
    put_u32le(out + AT_MAGIC, LOG_FRAME_MAGIC);
    put_u16le(out + AT_VERSION, LOG_FRAME_VERSION);
    put_u16le(out + AT_FLAGS, header->flags);
    memcpy(out + AT_UUID, header->uuid.bytes, sizeof header->uuid.bytes);
    put_u32le(out + AT_EPOCH, header->epoch);
    put_u64le(out + AT_LSN, header->lsn);
    put_u64le(out + AT_DURABLE_LSN, header->durable_lsn);
    put_u32le(out + AT_PAYLOAD_SIZE, header->payload_size);
    put_u32le(out + AT_PAYLOAD_CRC, header->payload_crc);
    put_u32le(out + AT_PREVIOUS_CRC, header->previous_crc);
    put_u64le(out + AT_COMMIT_TIME, (uint64_t)header->commit_time_ms);
    put_u64le(out + AT_VALID_TO_LSN, header->valid_to_lsn);
    put_u64le(out + AT_FILE_NUMBER, header->file_number);
    put_u32le(out + AT_BLOCK, header->block);
    put_u32le(out + AT_FILE_BLOCKS, header->file_blocks);
    header->header_crc = crc32c(0, out, AT_HEADER_CRC);
    put_u32le(out + AT_HEADER_CRC, header->header_crc);
}

/* The checksum before the version: a version that is rot would send people to look for another
 * program. */
err_t log_frame_decode(struct slice bytes, struct log_frame_header *out)
{
    ASSERT(bytes.data || bytes.size == 0);
    const uint8_t *in = bytes.data;
    if (bytes.size < LOG_FRAME_HEADER_SIZE || get_u32le(in + AT_MAGIC) != LOG_FRAME_MAGIC ||
        get_u32le(in + AT_HEADER_CRC) != crc32c(0, in, AT_HEADER_CRC))
        return err_make(ERR_CORRUPT);
    if (get_u16le(in + AT_VERSION) > LOG_FRAME_VERSION)
        return err_make(ERR_VERSION);
    struct log_frame_header header = {
        .flags = get_u16le(in + AT_FLAGS),
        .epoch = get_u32le(in + AT_EPOCH),
        .lsn = get_u64le(in + AT_LSN),
        .durable_lsn = get_u64le(in + AT_DURABLE_LSN),
        .payload_size = get_u32le(in + AT_PAYLOAD_SIZE),
        .payload_crc = get_u32le(in + AT_PAYLOAD_CRC),
        .previous_crc = get_u32le(in + AT_PREVIOUS_CRC),
        .commit_time_ms = (int64_t)get_u64le(in + AT_COMMIT_TIME),
        .valid_to_lsn = get_u64le(in + AT_VALID_TO_LSN),
        .file_number = get_u64le(in + AT_FILE_NUMBER),
        .block = get_u32le(in + AT_BLOCK),
        .file_blocks = get_u32le(in + AT_FILE_BLOCKS),
        .header_crc = get_u32le(in + AT_HEADER_CRC),
    };
    memcpy(header.uuid.bytes, in + AT_UUID, sizeof header.uuid.bytes);
    if (header.epoch == 0 || header.lsn <= header.durable_lsn || header.block >= header.file_blocks)
        return err_make(ERR_CORRUPT);
    *out = header;
    return err_ok();
}

/* kind (1), flags (1), zero (2), size of the body (4) */
static void put_entry_header(uint8_t *out, enum log_entry_kind kind, uint8_t flags, size_t size)
{
    ASSERT(size <= UINT32_MAX);
    out[0] = (uint8_t)kind;
    out[1] = flags;
    put_u16le(out + 2, 0);
    put_u32le(out + 4, (uint32_t)size);
}

/* topic (4), partition (4), kind (4), records (4), first offset (8), end offset (8) */
#define SETTLE_SIZE 32u

/* topic (4), zero (4), two fingerprints (16 each), sequence or duplicates (8) */
#define REQUEST_SIZE 48u

/* topic (4), codec (1), zero (1), given (2), retention (8), bytes a partition (8), bytes a batch
 * (4), zero (4) */
#define OPEN_SIZE 32u
/* topic (4), partition (4), producer (8), base offset (8), first number (4), count (4), epoch (2),
 * zero (6) */
#define SEQUENCED_SIZE 40u
#define PRODUCER_ID_SIZE 8u
_Static_assert(SEQUENCED_SIZE <= REQUEST_SIZE, "room for any request is enough for each");
/* topic (4), partition (4), offset (8), leader epoch (4), size of the group's name (2), zero (2) */
#define OFFSET_SIZE 24u

/* A config without keys does without their fields, as frames of format 2 do: the same lines read
 * both. */
static uint64_t topic_body_size(const struct flow_topic_change *change)
{
    ASSERT(change->name.size <= FLOW_TOPIC_NAME_MAX);
    switch (change->op) {
    case FLOW_TOPIC_CREATE: return 28 + change->name.size;
    case FLOW_TOPIC_PARTITIONS: return 8;
    case FLOW_TOPIC_CONFIG:
        if (change->config.open)
            return OPEN_SIZE;
        return change->config.dedup_window_ms > 0 ? 56 : 24;
    case FLOW_TOPIC_DELETE: return 4;
    case FLOW_TOPIC_LOG_START: return 16;
    }
    UNREACHABLE("unknown topic operation");
}

/* An open topic is made with its config, in two entries that no crash can part. */
static bool creates_open(const struct flow_topic_change *change)
{
    ASSERT(!change->config.open || change->config.dedup_window_ms == 0);
    return change->op == FLOW_TOPIC_CREATE && change->config.open;
}

static uint64_t sink_body_size(const struct flow_sink_change *change)
{
    switch (change->op) {
    case FLOW_SINK_OPEN: return 8 + 4 * (uint64_t)change->topic_count + change->name.size;
    case FLOW_SINK_PREPARE:
    case FLOW_SINK_REDRIVE:
        return 16 + (uint64_t)LOG_RANGE_SIZE * change->range_count + change->outputs.size;
    case FLOW_SINK_COMMIT: return 16;
    case FLOW_SINK_CLOSE: return 4;
    }
    UNREACHABLE("unknown sink operation");
}

/* With the keys of all records, of which fewer are written where some repeat: what a commit may
 * take is known before it is decided. */
static uint64_t append_size(const struct flow_append *append)
{
    uint64_t size = LOG_ENTRY_HEADER_SIZE + LOG_ENTRY_BATCH_SIZE + append->batch_size;
    ASSERT(append->batch_size > 0);
    if (append->keys)
        size += LOG_ENTRY_HEADER_SIZE + LOG_ENTRY_KEYS_SIZE +
                (uint64_t)LOG_KEY_SIZE * append->record_count;
    return size;
}

/* The room that a commit needs at the most: with it in hand nothing can fail half way through
 * its entries. */
uint64_t log_entries_size(const struct flow_commit *commit)
{
    ASSERT(commit->append_count == 0 || commit->appends);
    uint64_t size = 0;
    for (uint32_t i = 0; i < commit->append_count; i++)
        size += append_size(&commit->appends[i]);
    size += (uint64_t)commit->count_count * (LOG_ENTRY_HEADER_SIZE + 28);
    for (uint32_t i = 0; i < commit->topic_count; i++)
        size += LOG_ENTRY_HEADER_SIZE + topic_body_size(&commit->topics[i]) +
                (creates_open(&commit->topics[i]) ? LOG_ENTRY_HEADER_SIZE + OPEN_SIZE : 0);
    for (uint32_t i = 0; i < commit->sink_count; i++)
        size += LOG_ENTRY_HEADER_SIZE + sink_body_size(&commit->sinks[i]);
    size += (uint64_t)commit->settle_count * (LOG_ENTRY_HEADER_SIZE + SETTLE_SIZE);
    if (commit->request)
        size += LOG_ENTRY_HEADER_SIZE + REQUEST_SIZE + commit->request->answer.size;
    if (commit->gives_producer_id)
        size += LOG_ENTRY_HEADER_SIZE + PRODUCER_ID_SIZE;
    for (uint32_t i = 0; i < commit->offset_count; i++)
        size += LOG_ENTRY_HEADER_SIZE + OFFSET_SIZE + commit->offsets[i].group.size +
                commit->offsets[i].metadata.size;
    return size;
}

/* Without the batch, for whoever puts that in its place himself: one that loses records to
 * duplicates is written where it belongs and never copied. */
size_t log_entry_put_batch_head(uint8_t *out, const struct flow_append *append)
{
    ASSERT(append->topic_id > 0 && append->batch_size >= FLOW_BATCH_HEADER_SIZE);
    size_t size = LOG_ENTRY_BATCH_SIZE + append->batch_size;
    put_entry_header(out, LOG_ENTRY_BATCH, (uint8_t)append->kind, size);
    uint8_t *body = out + LOG_ENTRY_HEADER_SIZE;
    put_u32le(body, append->topic_id);
    put_u32le(body + 4, append->partition);
    put_u32le(body + 8, append->record_count);
    put_u32le(body + 12, 0);
    return LOG_ENTRY_HEADER_SIZE + LOG_ENTRY_BATCH_SIZE;
}

size_t log_entry_put_batch(uint8_t *out, const struct flow_append *append)
{
    ASSERT(append->batch);
    size_t head = log_entry_put_batch_head(out, append);
    memcpy(out + head, append->batch, append->batch_size);
    return head + append->batch_size;
}

void log_key_put(uint8_t *out, struct flow_fingerprint key)
{
    ASSERT(out);
    put_u64le(out, key.low);
    put_u64le(out + 8, key.high);
}

struct flow_fingerprint log_key_get(const uint8_t *in)
{
    ASSERT(in);
    return (struct flow_fingerprint){get_u64le(in), get_u64le(in + 8)};
}

size_t log_entry_put_keys_head(uint8_t *out, uint32_t topic_id, uint32_t partition, uint32_t count)
{
    ASSERT(topic_id > 0 && count > 0);
    put_entry_header(out, LOG_ENTRY_KEYS, 0, LOG_ENTRY_KEYS_SIZE + (size_t)LOG_KEY_SIZE * count);
    uint8_t *body = out + LOG_ENTRY_HEADER_SIZE;
    put_u32le(body, topic_id);
    put_u32le(body + 4, partition);
    put_u32le(body + 8, count);
    put_u32le(body + 12, 0);
    return LOG_ENTRY_HEADER_SIZE + LOG_ENTRY_KEYS_SIZE;
}

size_t log_entry_put_counts(uint8_t *out, const struct flow_count *counts)
{
    ASSERT(counts->topic_id > 0);
    put_entry_header(out, LOG_ENTRY_COUNTS, 0, 28);
    uint8_t *body = out + LOG_ENTRY_HEADER_SIZE;
    put_u32le(body, counts->topic_id);
    put_u64le(body + 4, counts->received);
    put_u64le(body + 12, counts->duplicates);
    put_u64le(body + 20, counts->refused);
    return LOG_ENTRY_HEADER_SIZE + 28;
}

static void put_open(uint8_t *body, const struct flow_topic_change *change)
{
    const struct flow_topic_config *config = &change->config;
    ASSERT(change->topic_id > 0 && config->open && config->given <= FLOW_TOPIC_GIVEN_ALL);
    put_u32le(body, change->topic_id);
    body[4] = (uint8_t)config->codec;
    body[5] = 0;
    put_u16le(body + 6, config->given);
    put_u64le(body + 8, config->retention_ms);
    put_u64le(body + 16, config->retention_bytes);
    put_u32le(body + 24, config->batch_bytes_max);
    put_u32le(body + 28, 0);
}

static size_t put_open_entry(uint8_t *out, const struct flow_topic_change *change)
{
    ASSERT(out);
    put_entry_header(out, LOG_ENTRY_TOPIC_OPEN, 0, OPEN_SIZE);
    put_open(out + LOG_ENTRY_HEADER_SIZE, change);
    return LOG_ENTRY_HEADER_SIZE + OPEN_SIZE;
}

static void put_topic_body(uint8_t *body, const struct flow_topic_change *change)
{
    ASSERT(change->topic_id > 0);
    put_u32le(body, change->topic_id);
    switch (change->op) {
    case FLOW_TOPIC_CREATE:
        put_u32le(body + 8, change->parent_id);
        memcpy(body + 12, change->uuid.bytes, sizeof change->uuid.bytes);
        memcpy(body + 28, change->name.data, change->name.size);
        put_u32le(body + 4, change->partition_count);
        break;
    case FLOW_TOPIC_PARTITIONS: put_u32le(body + 4, change->partition_count); break;
    case FLOW_TOPIC_CONFIG:
        body[4] = (uint8_t)change->config.codec;
        body[5] = change->config.expire_undelivered;
        put_u16le(body + 6, 0);
        put_u64le(body + 8, change->config.retention_ms);
        put_u64le(body + 16, change->config.retention_bytes);
        if (change->config.dedup_window_ms == 0)
            break;
        put_u64le(body + 24, change->config.dedup_window_ms);
        put_u64le(body + 32, change->config.dedup_memory_bytes);
        memcpy(body + 40, change->config.dedup_secret.bytes, 16);
        break;
    case FLOW_TOPIC_LOG_START:
        put_u32le(body + 4, change->partition);
        put_u64le(body + 8, (uint64_t)change->start_offset);
        break;
    case FLOW_TOPIC_DELETE: break;
    }
}

size_t log_entry_put_topic(uint8_t *out, const struct flow_topic_change *change)
{
    static const enum log_entry_kind kinds[] = {
        [FLOW_TOPIC_CREATE] = LOG_ENTRY_TOPIC_CREATE,
        [FLOW_TOPIC_PARTITIONS] = LOG_ENTRY_TOPIC_PARTITIONS,
        [FLOW_TOPIC_CONFIG] = LOG_ENTRY_TOPIC_CONFIG,
        [FLOW_TOPIC_DELETE] = LOG_ENTRY_TOPIC_DELETE,
        [FLOW_TOPIC_LOG_START] = LOG_ENTRY_LOG_START,
    };
    ASSERT(change->op <= FLOW_TOPIC_LOG_START);
    if (change->op == FLOW_TOPIC_CONFIG && change->config.open)
        return put_open_entry(out, change);
    size_t size = topic_body_size(change);
    put_entry_header(out, kinds[change->op], 0, size);
    put_topic_body(out + LOG_ENTRY_HEADER_SIZE, change);
    size += LOG_ENTRY_HEADER_SIZE;
    return creates_open(change) ? size + put_open_entry(out + size, change) : size;
}

void log_range_put(uint8_t *out, const struct flow_sink_range *range)
{
    ASSERT(range->first_offset <= range->end_offset);
    put_u32le(out, range->topic_id);
    put_u32le(out + 4, range->partition);
    put_u64le(out + 8, (uint64_t)range->first_offset);
    put_u64le(out + 16, (uint64_t)range->end_offset);
    put_u64le(out + 24, range->delivered);
    put_u64le(out + 32, range->dead_lettered);
}

static void put_sink_body(uint8_t *body, const struct flow_sink_change *change)
{
    ASSERT(change->topic_ids || change->topic_count == 0);
    ASSERT(change->ranges || change->range_count == 0);
    put_u32le(body, change->sink_id);
    if (change->op == FLOW_SINK_OPEN) {
        put_u32le(body + 4, change->topic_count);
        for (uint32_t i = 0; i < change->topic_count; i++)
            put_u32le(body + 8 + (size_t)4 * i, change->topic_ids[i]);
        memcpy(body + 8 + (size_t)4 * change->topic_count, change->name.data, change->name.size);
        return;
    }
    if (change->op == FLOW_SINK_CLOSE)
        return;
    put_u32le(body + 4, change->range_count);
    put_u64le(body + 8, change->epoch);
    for (uint32_t i = 0; i < change->range_count; i++)
        log_range_put(body + 16 + (size_t)LOG_RANGE_SIZE * i, &change->ranges[i]);
    if (change->outputs.size > 0)
        memcpy(body + 16 + (size_t)LOG_RANGE_SIZE * change->range_count, change->outputs.data,
               change->outputs.size);
}

size_t log_entry_put_sink(uint8_t *out, const struct flow_sink_change *change)
{
    static const enum log_entry_kind kinds[] = {
        [FLOW_SINK_OPEN] = LOG_ENTRY_SINK_OPEN,       [FLOW_SINK_PREPARE] = LOG_ENTRY_SINK_PREPARE,
        [FLOW_SINK_COMMIT] = LOG_ENTRY_SINK_COMMIT,   [FLOW_SINK_CLOSE] = LOG_ENTRY_SINK_CLOSE,
        [FLOW_SINK_REDRIVE] = LOG_ENTRY_SINK_REDRIVE,
    };
    ASSERT(change->sink_id > 0);
    ASSERT(change->op == FLOW_SINK_PREPARE || change->op == FLOW_SINK_REDRIVE ||
           (change->range_count == 0 && change->outputs.size == 0));
    size_t size = sink_body_size(change);
    put_entry_header(out, kinds[change->op], 0, size);
    put_sink_body(out + LOG_ENTRY_HEADER_SIZE, change);
    return LOG_ENTRY_HEADER_SIZE + size;
}

/* A range and not a letter: a queue that is redriven whole is one entry a step. */
size_t log_entry_put_settle(uint8_t *out, const struct flow_settle *settle)
{
    ASSERT(settle->topic_id > 0 && settle->first_offset < settle->end_offset);
    put_entry_header(out, LOG_ENTRY_SETTLED, 0, SETTLE_SIZE);
    uint8_t *body = out + LOG_ENTRY_HEADER_SIZE;
    put_u32le(body, settle->topic_id);
    put_u32le(body + 4, settle->partition);
    put_u32le(body + 8, (uint32_t)settle->kind);
    put_u32le(body + 12, settle->record_count);
    put_u64le(body + 16, (uint64_t)settle->first_offset);
    put_u64le(body + 24, (uint64_t)settle->end_offset);
    return LOG_ENTRY_HEADER_SIZE + SETTLE_SIZE;
}

/* What of the batch was appended is in entries of its own: these are the numbers, as they came. */
static size_t put_sequenced(uint8_t *out, const struct flow_request *request)
{
    const struct flow_sequence *batch = &request->batch;
    ASSERT(request->topic_id > 0 && request->base_offset >= -1);
    ASSERT(batch->producer_id >= 0 && batch->epoch >= 0 && batch->first >= 0 && batch->count > 0);
    put_entry_header(out, LOG_ENTRY_SEQUENCED, 0, SEQUENCED_SIZE);
    uint8_t *body = out + LOG_ENTRY_HEADER_SIZE;
    memset(body, 0, SEQUENCED_SIZE);
    put_u32le(body, request->topic_id);
    put_u32le(body + 4, batch->partition);
    put_u64le(body + 8, (uint64_t)batch->producer_id);
    put_u64le(body + 16, (uint64_t)request->base_offset);
    put_u32le(body + 24, (uint32_t)batch->first);
    put_u32le(body + 28, batch->count);
    put_u16le(body + 32, (uint16_t)batch->epoch);
    return LOG_ENTRY_HEADER_SIZE + SEQUENCED_SIZE;
}

size_t log_entry_put_producer_id(uint8_t *out, int64_t producer_id)
{
    ASSERT(producer_id >= 0);
    put_entry_header(out, LOG_ENTRY_PRODUCER_ID, 0, PRODUCER_ID_SIZE);
    put_u64le(out + LOG_ENTRY_HEADER_SIZE, (uint64_t)producer_id);
    return LOG_ENTRY_HEADER_SIZE + PRODUCER_ID_SIZE;
}

/* Two kinds of one shape, so that one place writes both. */
size_t log_entry_put_request(uint8_t *out, const struct flow_request *request)
{
    if (request->kind == FLOW_REQUEST_SEQUENCED)
        return put_sequenced(out, request);
    bool numbered = request->kind == FLOW_REQUEST_NUMBERED;
    size_t size = REQUEST_SIZE + (numbered ? 0 : request->answer.size);
    ASSERT(request->topic_id > 0 && request->sequence <= FLOW_SEQUENCE_MAX);
    ASSERT(request->answer.size <= FLOW_ANSWER_MAX);
    put_entry_header(out, numbered ? LOG_ENTRY_SEQUENCE : LOG_ENTRY_ANSWER, 0, size);
    uint8_t *body = out + LOG_ENTRY_HEADER_SIZE;
    put_u32le(body, request->topic_id);
    put_u32le(body + 4, 0);
    log_key_put(body + 8, request->id);
    log_key_put(body + 24, numbered ? request->forgets : request->body);
    put_u64le(body + 40, numbered ? request->sequence : request->duplicates);
    if (!numbered && request->answer.size > 0)
        memcpy(body + REQUEST_SIZE, request->answer.data, request->answer.size);
    return LOG_ENTRY_HEADER_SIZE + size;
}

/* Two kinds of one shape, as above; topic 0 is all of the group. */
size_t log_entry_put_offset(uint8_t *out, const struct flow_offset *offset)
{
    bool commits = offset->op == FLOW_OFFSET_COMMIT;
    bool all = offset->op == FLOW_OFFSET_DELETE_GROUP;
    struct slice metadata = commits ? offset->metadata : slice_make(NULL, 0);
    size_t size = OFFSET_SIZE + offset->group.size + metadata.size;
    ASSERT(offset->group.size > 0 && offset->group.size <= FLOW_GROUP_NAME_MAX);
    ASSERT(metadata.size <= FLOW_OFFSET_METADATA_MAX && (all || offset->topic_id > 0));
    put_entry_header(out, commits ? LOG_ENTRY_OFFSET : LOG_ENTRY_OFFSET_DELETE, 0, size);
    uint8_t *body = out + LOG_ENTRY_HEADER_SIZE;
    put_u32le(body, all ? 0 : offset->topic_id);
    put_u32le(body + 4, all ? 0 : offset->partition);
    put_u64le(body + 8, commits ? (uint64_t)offset->offset : 0);
    put_u32le(body + 16, commits ? (uint32_t)offset->leader_epoch : 0);
    put_u16le(body + 20, (uint16_t)offset->group.size);
    put_u16le(body + 22, 0);
    memcpy(body + OFFSET_SIZE, offset->group.data, offset->group.size);
    if (metadata.size > 0)
        memcpy(body + OFFSET_SIZE + offset->group.size, metadata.data, metadata.size);
    return LOG_ENTRY_HEADER_SIZE + size;
}

/* Alone in its frame, so that taking the mark away takes nothing else with it. */
size_t log_entry_put_clean_stop(uint8_t *out)
{
    ASSERT(out);
    put_entry_header(out, LOG_ENTRY_CLEAN_STOP, 0, 0);
    return LOG_ENTRY_HEADER_SIZE;
}

/* The bytes that end a body. */
static struct slice take_rest(struct cursor *c)
{
    ASSERT(c->rest.data || c->rest.size == 0);
    return cursor_bytes(c, c->rest.size);
}

/* The batch itself is looked at where it is used: recovery has its checksum in the frame's, and
 * reads no record. */
static err_t decode_batch(struct cursor *c, uint8_t flags, struct log_entry *out)
{
    ASSERT(out->kind == LOG_ENTRY_BATCH);
    struct flow_append *append = &out->append;
    append->topic_id = cursor_u32le(c);
    append->partition = cursor_u32le(c);
    append->record_count = cursor_u32le(c);
    uint32_t reserved = cursor_u32le(c);
    struct slice batch = take_rest(c);
    if (reserved != 0 || flags > FLOW_APPEND_SINK_LETTERS || append->topic_id == 0 ||
        (append->record_count == 0 && flags != FLOW_APPEND_RECORDS) ||
        batch.size < FLOW_BATCH_HEADER_SIZE)
        return err_make(ERR_CORRUPT);
    append->kind = (enum flow_append_kind)flags;
    append->batch = (uint8_t *)(uintptr_t)batch.data;
    append->batch_size = batch.size;
    return err_ok();
}

static void decode_counts(struct cursor *c, struct log_entry *out)
{
    ASSERT(out->kind == LOG_ENTRY_COUNTS);
    out->counts.topic_id = cursor_u32le(c);
    out->counts.received = cursor_u64le(c);
    out->counts.duplicates = cursor_u64le(c);
    out->counts.refused = cursor_u64le(c);
    if (out->counts.topic_id == 0)
        cursor_fail(c);
}

static void decode_new_topic(struct cursor *c, struct flow_topic_change *topic)
{
    ASSERT(topic->op == FLOW_TOPIC_CREATE);
    topic->partition_count = cursor_u32le(c);
    topic->parent_id = cursor_u32le(c);
    struct slice uuid = cursor_bytes(c, sizeof topic->uuid.bytes);
    if (cursor_ok(c))
        memcpy(topic->uuid.bytes, uuid.data, uuid.size);
    topic->name = take_rest(c);
    if (topic->name.size == 0 || topic->name.size > FLOW_TOPIC_NAME_MAX)
        cursor_fail(c);
}

/* The secret cannot be made anew: keys of another one would all be keys that nobody has sent. */
static void decode_config(struct cursor *c, struct flow_topic_config *config)
{
    ASSERT(config->codec == FLOW_CODEC_NONE);
    uint8_t codec = cursor_u8(c);
    uint8_t expire = cursor_u8(c);
    uint16_t reserved = cursor_u16le(c);
    config->retention_ms = cursor_u64le(c);
    config->retention_bytes = cursor_u64le(c);
    if (codec > FLOW_CODEC_ZSTD || expire > 1 || reserved != 0)
        cursor_fail(c);
    if (c->rest.size > 0) {
        config->dedup_window_ms = cursor_u64le(c);
        config->dedup_memory_bytes = cursor_u64le(c);
        struct slice secret = cursor_bytes(c, sizeof config->dedup_secret.bytes);
        if (cursor_ok(c))
            memcpy(config->dedup_secret.bytes, secret.data, secret.size);
        if (config->dedup_window_ms == 0 || config->dedup_window_ms > INT64_MAX)
            cursor_fail(c);
    }
    config->codec = codec <= FLOW_CODEC_ZSTD ? (enum flow_codec)codec : FLOW_CODEC_NONE;
    config->expire_undelivered = expire == 1;
}

static void decode_open(struct cursor *c, struct flow_topic_config *config)
{
    ASSERT(!config->open);
    uint8_t codec = cursor_u8(c);
    uint8_t reserved = cursor_u8(c);
    config->given = cursor_u16le(c);
    config->retention_ms = cursor_u64le(c);
    config->retention_bytes = cursor_u64le(c);
    config->batch_bytes_max = cursor_u32le(c);
    if (codec > FLOW_CODEC_ZSTD || reserved != 0 || config->given > FLOW_TOPIC_GIVEN_ALL ||
        cursor_u32le(c) != 0)
        cursor_fail(c);
    config->codec = codec <= FLOW_CODEC_ZSTD ? (enum flow_codec)codec : FLOW_CODEC_NONE;
    config->open = true;
}

static void decode_topic(struct cursor *c, enum flow_topic_op op, struct log_entry *out)
{
    ASSERT(op <= FLOW_TOPIC_LOG_START);
    struct flow_topic_change *topic = &out->topic;
    topic->op = op;
    topic->topic_id = cursor_u32le(c);
    if (op == FLOW_TOPIC_CREATE)
        decode_new_topic(c, topic);
    else if (op == FLOW_TOPIC_PARTITIONS)
        topic->partition_count = cursor_u32le(c);
    else if (out->kind == LOG_ENTRY_TOPIC_OPEN)
        decode_open(c, &topic->config);
    else if (op == FLOW_TOPIC_CONFIG)
        decode_config(c, &topic->config);
    else if (op == FLOW_TOPIC_LOG_START) {
        topic->partition = cursor_u32le(c);
        topic->start_offset = (int64_t)cursor_u64le(c);
    }
    bool counts = op == FLOW_TOPIC_CREATE || op == FLOW_TOPIC_PARTITIONS;
    if (topic->topic_id == 0 || topic->start_offset < 0 ||
        (counts && (topic->partition_count == 0 || topic->partition_count > FLOW_PARTITIONS_MAX)))
        cursor_fail(c);
}

/* An epoch that is prepared has its ranges and the sink's own bytes, its end has neither. */
static void decode_epoch(struct cursor *c, struct log_entry *out)
{
    ASSERT(out->kind != LOG_ENTRY_SINK_OPEN && out->kind != LOG_ENTRY_SINK_CLOSE);
    struct flow_sink_change *sink = &out->sink;
    sink->op = out->kind == LOG_ENTRY_SINK_PREPARE   ? FLOW_SINK_PREPARE
               : out->kind == LOG_ENTRY_SINK_REDRIVE ? FLOW_SINK_REDRIVE
                                                     : FLOW_SINK_COMMIT;
    sink->range_count = cursor_u32le(c);
    sink->epoch = cursor_u64le(c);
    out->ranges = cursor_bytes(c, (size_t)LOG_RANGE_SIZE * sink->range_count);
    if (sink->op != FLOW_SINK_COMMIT)
        sink->outputs = take_rest(c);
    else if (sink->range_count > 0)
        cursor_fail(c);
}

static void decode_sink(struct cursor *c, struct log_entry *out)
{
    ASSERT(out->kind >= LOG_ENTRY_SINK_OPEN && out->kind <= LOG_ENTRY_SINK_REDRIVE);
    struct flow_sink_change *sink = &out->sink;
    sink->sink_id = cursor_u32le(c);
    if (out->kind == LOG_ENTRY_SINK_OPEN) {
        sink->op = FLOW_SINK_OPEN;
        sink->topic_count = cursor_u32le(c);
        out->ids = cursor_bytes(c, (size_t)4 * sink->topic_count);
        sink->name = take_rest(c);
        if (sink->name.size == 0)
            cursor_fail(c);
    } else if (out->kind == LOG_ENTRY_SINK_CLOSE) {
        sink->op = FLOW_SINK_CLOSE;
    } else {
        decode_epoch(c, out);
    }
    if (sink->sink_id == 0)
        cursor_fail(c);
}

static err_t decode_settle(struct cursor *c, struct log_entry *out)
{
    ASSERT(out->kind == LOG_ENTRY_SETTLED);
    struct flow_settle *settle = &out->settle;
    settle->topic_id = cursor_u32le(c);
    settle->partition = cursor_u32le(c);
    uint32_t kind = cursor_u32le(c);
    settle->record_count = cursor_u32le(c);
    settle->first_offset = (int64_t)cursor_u64le(c);
    settle->end_offset = (int64_t)cursor_u64le(c);
    if (!cursor_ok(c) || kind == 0)
        return err_make(ERR_CORRUPT);
    /* Another fate of a letter is one that a later program knows. */
    if (kind > FLOW_SETTLE_PURGED)
        return err_make(ERR_VERSION);
    settle->kind = (enum flow_settle_kind)kind;
    bool valid = settle->topic_id > 0 && settle->first_offset >= 0 &&
                 settle->first_offset < settle->end_offset && settle->record_count > 0;
    return err_make(valid ? ERR_OK : ERR_CORRUPT);
}

/* Fingerprints are left where they are; they are bytes to whoever looks no closer. */
static void decode_keys(struct cursor *c, struct log_entry_keys *keys)
{
    ASSERT(!keys->fingerprints.data);
    keys->topic_id = cursor_u32le(c);
    keys->partition = cursor_u32le(c);
    uint32_t count = cursor_u32le(c);
    uint32_t reserved = cursor_u32le(c);
    keys->fingerprints = cursor_bytes(c, (size_t)LOG_KEY_SIZE * count);
    if (keys->topic_id == 0 || count == 0 || reserved != 0)
        cursor_fail(c);
}

static struct flow_fingerprint take_key(struct cursor *c)
{
    struct slice bytes = cursor_bytes(c, LOG_KEY_SIZE);
    ASSERT(bytes.size == 0 || bytes.size == LOG_KEY_SIZE);
    return cursor_ok(c) ? log_key_get(bytes.data) : (struct flow_fingerprint){0};
}

static void decode_sequence(struct cursor *c, struct log_entry_sequence *sequence)
{
    ASSERT(sequence->topic_id == 0);
    sequence->topic_id = cursor_u32le(c);
    uint32_t reserved = cursor_u32le(c);
    sequence->producer = take_key(c);
    sequence->forgets = take_key(c);
    sequence->sequence = cursor_u64le(c);
    if (sequence->topic_id == 0 || reserved != 0 || sequence->sequence > FLOW_SEQUENCE_MAX)
        cursor_fail(c);
}

/* What the answer's bytes mean is known to whoever made them. */
static void decode_answer(struct cursor *c, struct log_entry_answer *answer)
{
    ASSERT(answer->topic_id == 0);
    answer->topic_id = cursor_u32le(c);
    uint32_t reserved = cursor_u32le(c);
    answer->key = take_key(c);
    answer->body = take_key(c);
    answer->duplicates = cursor_u64le(c);
    answer->answer = take_rest(c);
    if (answer->topic_id == 0 || reserved != 0 || answer->answer.size > FLOW_ANSWER_MAX)
        cursor_fail(c);
}

static void decode_sequenced(struct cursor *c, struct log_entry_sequenced *sequenced)
{
    ASSERT(sequenced->topic_id == 0);
    struct flow_sequence *batch = &sequenced->batch;
    sequenced->topic_id = cursor_u32le(c);
    batch->partition = cursor_u32le(c);
    batch->producer_id = (int64_t)cursor_u64le(c);
    sequenced->base_offset = (int64_t)cursor_u64le(c);
    batch->first = (int32_t)cursor_u32le(c);
    batch->count = cursor_u32le(c);
    batch->epoch = (int16_t)cursor_u16le(c);
    uint32_t reserved = cursor_u16le(c);
    reserved |= cursor_u32le(c);
    if (sequenced->topic_id == 0 || batch->producer_id < 0 || sequenced->base_offset < -1 ||
        batch->first < 0 || batch->count == 0 || batch->count > INT32_MAX || batch->epoch < 0 ||
        reserved != 0)
        cursor_fail(c);
}

static void decode_producer_id(struct cursor *c, int64_t *producer_id)
{
    ASSERT(*producer_id == 0);
    *producer_id = (int64_t)cursor_u64le(c);
    if (*producer_id < 0 || *producer_id == INT64_MAX)
        cursor_fail(c);
}

static void decode_offset(struct cursor *c, struct log_entry *out)
{
    struct flow_offset *offset = &out->offset;
    bool commits = out->kind == LOG_ENTRY_OFFSET;
    ASSERT(commits || out->kind == LOG_ENTRY_OFFSET_DELETE);
    offset->topic_id = cursor_u32le(c);
    offset->partition = cursor_u32le(c);
    offset->offset = (int64_t)cursor_u64le(c);
    offset->leader_epoch = (int32_t)cursor_u32le(c);
    uint16_t group_size = cursor_u16le(c);
    uint16_t reserved = cursor_u16le(c);
    offset->group = cursor_bytes(c, group_size);
    offset->metadata = take_rest(c);
    offset->op = commits                 ? FLOW_OFFSET_COMMIT
                 : offset->topic_id == 0 ? FLOW_OFFSET_DELETE_GROUP
                                         : FLOW_OFFSET_DELETE;
    bool says = offset->offset != 0 || offset->leader_epoch != 0 || offset->metadata.size > 0 ||
                (offset->topic_id == 0 && offset->partition != 0);
    if (reserved != 0 || group_size == 0 || group_size > FLOW_GROUP_NAME_MAX ||
        offset->metadata.size > FLOW_OFFSET_METADATA_MAX || offset->offset < 0 ||
        (commits ? offset->topic_id == 0 : says))
        cursor_fail(c);
}

static err_t decode_body(struct slice body, uint8_t flags, struct log_entry *out)
{
    ASSERT(body.data || body.size == 0);
    struct cursor c = cursor_make(body);
    switch (out->kind) {
    case LOG_ENTRY_BATCH: TRY(decode_batch(&c, flags, out)); break;
    case LOG_ENTRY_COUNTS: decode_counts(&c, out); break;
    case LOG_ENTRY_TOPIC_CREATE: decode_topic(&c, FLOW_TOPIC_CREATE, out); break;
    case LOG_ENTRY_TOPIC_PARTITIONS: decode_topic(&c, FLOW_TOPIC_PARTITIONS, out); break;
    case LOG_ENTRY_TOPIC_CONFIG:
    case LOG_ENTRY_TOPIC_OPEN: decode_topic(&c, FLOW_TOPIC_CONFIG, out); break;
    case LOG_ENTRY_TOPIC_DELETE: decode_topic(&c, FLOW_TOPIC_DELETE, out); break;
    case LOG_ENTRY_LOG_START: decode_topic(&c, FLOW_TOPIC_LOG_START, out); break;
    case LOG_ENTRY_SINK_OPEN:
    case LOG_ENTRY_SINK_PREPARE:
    case LOG_ENTRY_SINK_COMMIT:
    case LOG_ENTRY_SINK_REDRIVE:
    case LOG_ENTRY_SINK_CLOSE: decode_sink(&c, out); break;
    case LOG_ENTRY_SETTLED: TRY(decode_settle(&c, out)); break;
    case LOG_ENTRY_KEYS: decode_keys(&c, &out->keys); break;
    case LOG_ENTRY_SEQUENCE: decode_sequence(&c, &out->sequence); break;
    case LOG_ENTRY_ANSWER: decode_answer(&c, &out->answer); break;
    case LOG_ENTRY_SEQUENCED: decode_sequenced(&c, &out->sequenced); break;
    case LOG_ENTRY_PRODUCER_ID: decode_producer_id(&c, &out->producer_id); break;
    case LOG_ENTRY_OFFSET:
    case LOG_ENTRY_OFFSET_DELETE: decode_offset(&c, out); break;
    case LOG_ENTRY_CLEAN_STOP: break;
    case LOG_ENTRY_TRANSACTION:
    default: return err_make(ERR_VERSION);
    }
    return cursor_ok(&c) && c.rest.size == 0 ? err_ok() : err_make(ERR_CORRUPT);
}

/* Nothing is taken off when it fails: whoever salvages goes on from where he was. */
err_t log_entry_next(struct slice *payload, struct log_entry *out)
{
    ASSERT(payload->data || payload->size == 0);
    if (payload->size == 0)
        return err_make(ERR_END);
    if (payload->size < LOG_ENTRY_HEADER_SIZE)
        return err_make(ERR_CORRUPT);
    const uint8_t *in = payload->data;
    uint32_t size = get_u32le(in + 4);
    if (size > payload->size - LOG_ENTRY_HEADER_SIZE)
        return err_make(ERR_CORRUPT);
    struct log_entry entry = {.kind = (enum log_entry_kind)in[0]};
    /* Bits that this program gives no meaning to came from one that does. */
    if ((in[1] != 0 && entry.kind != LOG_ENTRY_BATCH) || get_u16le(in + 2) != 0)
        return err_make(ERR_VERSION);
    TRY(decode_body(slice_make(in + LOG_ENTRY_HEADER_SIZE, size), in[1], &entry));
    *payload = slice_sub(*payload, LOG_ENTRY_HEADER_SIZE + (size_t)size, SIZE_MAX);
    *out = entry;
    return err_ok();
}

struct flow_sink_range log_range_get(const uint8_t *in)
{
    ASSERT(in);
    return (struct flow_sink_range){
        .topic_id = get_u32le(in),
        .partition = get_u32le(in + 4),
        .first_offset = (int64_t)get_u64le(in + 8),
        .end_offset = (int64_t)get_u64le(in + 16),
        .delivered = get_u64le(in + 24),
        .dead_lettered = get_u64le(in + 32),
    };
}

struct flow_sink_range log_entry_range(const struct log_entry *entry, uint32_t index)
{
    ASSERT(index < entry->sink.range_count);
    return log_range_get(entry->ranges.data + (size_t)LOG_RANGE_SIZE * index);
}

uint32_t log_entry_topic_id(const struct log_entry *entry, uint32_t index)
{
    ASSERT(index < entry->sink.topic_count);
    return get_u32le(entry->ids.data + (size_t)4 * index);
}
