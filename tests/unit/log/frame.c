#include "log/frame.h"

#include "base/hash.h"
#include "unit/log/payload.h"

static struct log_frame_header some_header(void)
{
    struct log_frame_header header = {
        .flags = LOG_FRAME_EPOCH_START,
        .epoch = 0x0a0b0c0d,
        .lsn = 0x1112131415161718,
        .durable_lsn = 0x1112131415161717,
        .payload_size = 0x21222324,
        .payload_crc = 0x31323334,
        .previous_crc = 0x41424344,
        .commit_time_ms = 0x5152535455565758,
        .valid_to_lsn = 0x6162636465666768,
        .file_number = 0x7172737475767778,
        .block = 0x01020304,
        .file_blocks = 0x02030405,
    };
    for (size_t i = 0; i < sizeof header.uuid.bytes; i++)
        header.uuid.bytes[i] = (uint8_t)(0xe0 + i);
    return header;
}

static void assert_same_header(const struct log_frame_header *a, const struct log_frame_header *b)
{
    assert_int_equal(a->flags, b->flags);
    assert_true(uuid_equal(&a->uuid, &b->uuid));
    assert_int_equal(a->epoch, b->epoch);
    assert_int_equal(a->lsn, b->lsn);
    assert_int_equal(a->durable_lsn, b->durable_lsn);
    assert_int_equal(a->payload_size, b->payload_size);
    assert_int_equal(a->payload_crc, b->payload_crc);
    assert_int_equal(a->previous_crc, b->previous_crc);
    assert_int_equal(a->commit_time_ms, b->commit_time_ms);
    assert_int_equal(a->valid_to_lsn, b->valid_to_lsn);
    assert_int_equal(a->file_number, b->file_number);
    assert_int_equal(a->block, b->block);
    assert_int_equal(a->file_blocks, b->file_blocks);
    assert_int_equal(a->header_crc, b->header_crc);
}

static err_t decode(const uint8_t *bytes, struct log_frame_header *out)
{
    return log_frame_decode(slice_make(bytes, LOG_FRAME_HEADER_SIZE), out);
}

/* Makes the CRC of a header fit what was done to it. */
static void fix_crc(uint8_t *bytes)
{
    put_u32le(bytes + 92, crc32c(0, bytes, 92));
}

static void a_header_has_its_bytes_at_fixed_offsets(void **state)
{
    (void)state;
    static const uint8_t expected[92] = {
        'G',  'W',  'A',  'L',  0x01, 0x00, 0x01, 0x00, 0xe0, 0xe1, 0xe2, 0xe3, 0xe4, 0xe5,
        0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xeb, 0xec, 0xed, 0xee, 0xef, 0x0d, 0x0c, 0x0b, 0x0a,
        0x00, 0x00, 0x00, 0x00, 0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11, 0x17, 0x17,
        0x16, 0x15, 0x14, 0x13, 0x12, 0x11, 0x24, 0x23, 0x22, 0x21, 0x34, 0x33, 0x32, 0x31,
        0x44, 0x43, 0x42, 0x41, 0x04, 0x03, 0x02, 0x01, 0x58, 0x57, 0x56, 0x55, 0x54, 0x53,
        0x52, 0x51, 0x68, 0x67, 0x66, 0x65, 0x64, 0x63, 0x62, 0x61, 0x78, 0x77, 0x76, 0x75,
        0x74, 0x73, 0x72, 0x71, 0x05, 0x04, 0x03, 0x02};
    uint8_t bytes[LOG_FRAME_HEADER_SIZE];
    memset(bytes, 0xff, sizeof bytes);
    struct log_frame_header header = some_header();
    log_frame_encode(&header, bytes);
    assert_memory_equal(bytes, expected, sizeof expected);
    assert_int_equal(get_u32le(bytes + 92), crc32c(0, expected, sizeof expected));
    assert_int_equal(header.header_crc, get_u32le(bytes + 92));
}

static void random_headers_come_back(void **state)
{
    (void)state;
    uint64_t seed = unit_seed();
    for (int i = 0; i < 2000; i++) {
        struct log_frame_header in = {
            .flags = (uint16_t)unit_random(&seed),
            .epoch = (uint32_t)unit_random(&seed) | 1,
            .lsn = unit_random(&seed) | 1,
            .payload_size = (uint32_t)unit_random(&seed),
            .payload_crc = (uint32_t)unit_random(&seed),
            .previous_crc = (uint32_t)unit_random(&seed),
            .commit_time_ms = (int64_t)unit_random(&seed),
            .valid_to_lsn = unit_random(&seed),
            .file_number = unit_random(&seed),
            .file_blocks = (uint32_t)unit_random(&seed) | 1,
        };
        in.durable_lsn = unit_random(&seed) % in.lsn;
        in.block = (uint32_t)(unit_random(&seed) % in.file_blocks);
        for (size_t b = 0; b < sizeof in.uuid.bytes; b++)
            in.uuid.bytes[b] = (uint8_t)unit_random(&seed);
        uint8_t bytes[LOG_FRAME_HEADER_SIZE];
        log_frame_encode(&in, bytes);
        struct log_frame_header out = {0};
        assert_code(decode(bytes, &out), OK);
        assert_same_header(&in, &out);
    }
}

static void any_flipped_bit_of_a_header_is_corrupt(void **state)
{
    (void)state;
    struct log_frame_header header = some_header();
    uint8_t bytes[LOG_FRAME_HEADER_SIZE];
    log_frame_encode(&header, bytes);
    for (size_t bit = 0; bit < sizeof bytes * 8; bit++) {
        struct log_frame_header out = {.lsn = 42};
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_code(decode(bytes, &out), CORRUPT);
        assert_int_equal(out.lsn, 42);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    struct log_frame_header out;
    assert_code(decode(bytes, &out), OK);
}

static void a_header_cut_short_is_corrupt(void **state)
{
    (void)state;
    struct log_frame_header header = some_header();
    uint8_t bytes[LOG_FRAME_HEADER_SIZE];
    log_frame_encode(&header, bytes);
    for (size_t size = 0; size < sizeof bytes; size++) {
        struct log_frame_header out;
        assert_code(log_frame_decode(slice_make(bytes, size), &out), CORRUPT);
    }
}

static void another_magic_with_a_good_crc_is_corrupt(void **state)
{
    (void)state;
    struct log_frame_header header = some_header();
    uint8_t bytes[LOG_FRAME_HEADER_SIZE];
    log_frame_encode(&header, bytes);
    put_u32le(bytes, LOG_FRAME_MAGIC + 1);
    fix_crc(bytes);
    assert_code(decode(bytes, &header), CORRUPT);
}

static void a_newer_version_is_told_from_damage(void **state)
{
    (void)state;
    struct log_frame_header header = some_header();
    uint8_t bytes[LOG_FRAME_HEADER_SIZE];
    log_frame_encode(&header, bytes);
    put_u16le(bytes + 4, LOG_FRAME_VERSION + 1);
    assert_code(decode(bytes, &header), CORRUPT);
    fix_crc(bytes);
    assert_code(decode(bytes, &header), VERSION);
}

static void a_header_that_cannot_be_is_corrupt(void **state)
{
    (void)state;
    struct log_frame_header header = some_header();
    uint8_t good[LOG_FRAME_HEADER_SIZE];
    uint8_t bytes[LOG_FRAME_HEADER_SIZE];
    log_frame_encode(&header, good);

    memcpy(bytes, good, sizeof good);
    put_u32le(bytes + 24, 0);
    fix_crc(bytes);
    assert_code(decode(bytes, &header), CORRUPT);

    memcpy(bytes, good, sizeof good);
    put_u64le(bytes + 40, header.lsn);
    fix_crc(bytes);
    assert_code(decode(bytes, &header), CORRUPT);

    memcpy(bytes, good, sizeof good);
    put_u32le(bytes + 60, header.file_blocks);
    fix_crc(bytes);
    assert_code(decode(bytes, &header), CORRUPT);
}

static void frames_take_whole_blocks(void **state)
{
    (void)state;
    assert_int_equal(log_frame_disk_size(0), 4096);
    assert_int_equal(log_frame_disk_size(4000), 4096);
    assert_int_equal(log_frame_disk_size(4001), 8192);
    assert_int_equal(log_frame_disk_size(8192 - 96), 8192);
    assert_int_equal(log_frame_disk_size(UINT32_MAX), UINT64_C(4294967296) + 4096);
}

/* The only entry of `p`. */
static struct log_entry only_entry(const struct payload *p)
{
    struct slice rest = payload_slice(p);
    struct log_entry entry = {0};
    struct log_entry unused;
    assert_code(log_entry_next(&rest, &entry), OK);
    assert_int_equal(rest.size, 0);
    assert_code(log_entry_next(&rest, &unused), END);
    return entry;
}

static void a_batch_comes_back_as_it_was(void **state)
{
    (void)state;
    static const enum flow_append_kind kinds[] = {FLOW_APPEND_RECORDS, FLOW_APPEND_DEAD_LETTERS,
                                                  FLOW_APPEND_SINK_LETTERS};
    for (size_t i = 0; i < 3; i++) {
        struct payload p = {0};
        payload_batch_of(&p, kinds[i], 7, 3, 1000, 5);
        struct log_entry entry = only_entry(&p);
        assert_int_equal(entry.kind, LOG_ENTRY_BATCH);
        assert_int_equal(entry.append.kind, kinds[i]);
        assert_int_equal(entry.append.topic_id, 7);
        assert_int_equal(entry.append.partition, 3);
        assert_int_equal(entry.append.record_count, 5);
        assert_ptr_equal(entry.append.batch,
                         p.bytes + LOG_ENTRY_HEADER_SIZE + LOG_ENTRY_BATCH_SIZE);
        struct flow_batch batch;
        struct slice bytes = slice_make(entry.append.batch, entry.append.batch_size);
        assert_code(flow_batch_parse(bytes, &batch), OK);
        assert_int_equal(batch.bytes.size, bytes.size);
        assert_int_equal(batch.base_offset, 1000);
    }
}

static void a_batch_entry_has_its_bytes_at_fixed_offsets(void **state)
{
    (void)state;
    struct payload p = {0};
    payload_batch_of(&p, FLOW_APPEND_SINK_LETTERS, 0x01020304, 0x05060708, 0, 3);
    static const uint8_t head[] = {1, 2, 0, 0};
    static const uint8_t body[] = {4, 3, 2, 1, 8, 7, 6, 5, 3, 0, 0, 0, 0, 0, 0, 0};
    assert_memory_equal(p.bytes, head, sizeof head);
    assert_int_equal(get_u32le(p.bytes + 4), p.size - 8);
    assert_memory_equal(p.bytes + 8, body, sizeof body);
}

static void counts_come_back(void **state)
{
    (void)state;
    struct payload p = {0};
    payload_counts(&p, 9, UINT64_MAX, 2, 3);
    assert_int_equal(p.size, LOG_ENTRY_HEADER_SIZE + 28);
    struct log_entry entry = only_entry(&p);
    assert_int_equal(entry.kind, LOG_ENTRY_COUNTS);
    assert_int_equal(entry.counts.topic_id, 9);
    assert_int_equal(entry.counts.received, UINT64_MAX);
    assert_int_equal(entry.counts.duplicates, 2);
    assert_int_equal(entry.counts.refused, 3);
}

static void topic_changes_come_back(void **state)
{
    (void)state;
    struct payload p = {0};
    payload_topic(&p, 4, "flights.dlq", 10000, 3);
    struct log_entry entry = only_entry(&p);
    assert_int_equal(entry.kind, LOG_ENTRY_TOPIC_CREATE);
    assert_int_equal(entry.topic.op, FLOW_TOPIC_CREATE);
    assert_int_equal(entry.topic.topic_id, 4);
    assert_int_equal(entry.topic.partition_count, 10000);
    assert_int_equal(entry.topic.parent_id, 3);
    assert_int_equal(entry.topic.uuid.bytes[0], 4);
    assert_slice(entry.topic.name, "flights.dlq");

    p.size = 0;
    payload_partitions(&p, 4, 12);
    entry = only_entry(&p);
    assert_int_equal(entry.kind, LOG_ENTRY_TOPIC_PARTITIONS);
    assert_int_equal(entry.topic.op, FLOW_TOPIC_PARTITIONS);
    assert_int_equal(entry.topic.topic_id, 4);
    assert_int_equal(entry.topic.partition_count, 12);
    assert_int_equal(entry.topic.name.size, 0);
}

static void the_longest_topic_name_comes_back(void **state)
{
    (void)state;
    char name[FLOW_TOPIC_NAME_MAX + 1];
    memset(name, 'x', FLOW_TOPIC_NAME_MAX);
    name[FLOW_TOPIC_NAME_MAX] = 0;
    struct payload p = {0};
    payload_topic(&p, 1, name, 1, 0);
    assert_slice(only_entry(&p).topic.name, name);
}

static void a_sinks_opening_comes_back(void **state)
{
    (void)state;
    static const uint32_t ids[] = {1, 0x01020304, UINT32_MAX};
    struct payload p = {0};
    payload_sink_open(&p, 2, "lake", ids, 3);
    struct log_entry entry = only_entry(&p);
    assert_int_equal(entry.kind, LOG_ENTRY_SINK_OPEN);
    assert_int_equal(entry.sink.op, FLOW_SINK_OPEN);
    assert_int_equal(entry.sink.sink_id, 2);
    assert_slice(entry.sink.name, "lake");
    assert_int_equal(entry.sink.topic_count, 3);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(log_entry_topic_id(&entry, i), ids[i]);

    p.size = 0;
    payload_sink_open(&p, 2, "idle", NULL, 0);
    assert_int_equal(only_entry(&p).sink.topic_count, 0);
}

static void an_epoch_of_a_sink_comes_back(void **state)
{
    (void)state;
    struct flow_sink_range ranges[] = {{1, 2, 3, 4, 5, 6}, {7, 8, 9, INT64_MAX, 11, UINT64_MAX}};
    struct payload p = {0};
    payload_sink_prepare(&p, 3, 77, ranges, 2, "three files");
    struct log_entry entry = only_entry(&p);
    assert_int_equal(entry.kind, LOG_ENTRY_SINK_PREPARE);
    assert_int_equal(entry.sink.op, FLOW_SINK_PREPARE);
    assert_int_equal(entry.sink.sink_id, 3);
    assert_int_equal(entry.sink.epoch, 77);
    assert_int_equal(entry.sink.range_count, 2);
    assert_slice(entry.sink.outputs, "three files");
    for (uint32_t i = 0; i < 2; i++) {
        struct flow_sink_range range = log_entry_range(&entry, i);
        assert_memory_equal(&range, &ranges[i], sizeof range);
    }

    p.size = 0;
    payload_sink_redrive(&p, 3, 77, ranges, 2);
    entry = only_entry(&p);
    assert_int_equal(entry.kind, LOG_ENTRY_SINK_REDRIVE);
    assert_int_equal(entry.sink.op, FLOW_SINK_REDRIVE);
    assert_int_equal(entry.sink.epoch, 77);
    assert_int_equal(entry.sink.range_count, 2);
    assert_slice(entry.sink.outputs, "letters");
    assert_int_equal(log_entry_range(&entry, 1).topic_id, 7);

    p.size = 0;
    payload_sink_commit(&p, 3, 77);
    entry = only_entry(&p);
    assert_int_equal(entry.kind, LOG_ENTRY_SINK_COMMIT);
    assert_int_equal(entry.sink.op, FLOW_SINK_COMMIT);
    assert_int_equal(entry.sink.sink_id, 3);
    assert_int_equal(entry.sink.epoch, 77);

    p.size = 0;
    payload_sink_close(&p, 3);
    entry = only_entry(&p);
    assert_int_equal(entry.kind, LOG_ENTRY_SINK_CLOSE);
    assert_int_equal(entry.sink.op, FLOW_SINK_CLOSE);
    assert_int_equal(entry.sink.sink_id, 3);
}

static void the_mark_of_a_clean_stop_comes_back(void **state)
{
    (void)state;
    struct payload p = {0};
    payload_clean_stop(&p);
    assert_int_equal(p.size, LOG_ENTRY_HEADER_SIZE);
    assert_int_equal(only_entry(&p).kind, LOG_ENTRY_CLEAN_STOP);
}

/* One of each kind. */
static void put_everything(struct payload *p)
{
    static const uint32_t ids[] = {1};
    static const struct flow_sink_range range = {1, 0, 0, 5, 4, 1};
    payload_topic(p, 1, "flights", 2, 0);
    payload_partitions(p, 1, 3);
    payload_batch(p, 1, 0, 0, 5);
    payload_counts(p, 1, 5, 0, 0);
    payload_sink_open(p, 1, "lake", ids, 1);
    payload_sink_prepare(p, 1, 1, &range, 1, "file");
    payload_sink_commit(p, 1, 1);
    payload_sink_close(p, 1);
    payload_clean_stop(p);
}

static void entries_come_in_their_order(void **state)
{
    (void)state;
    static const enum log_entry_kind kinds[] = {
        LOG_ENTRY_TOPIC_CREATE, LOG_ENTRY_TOPIC_PARTITIONS, LOG_ENTRY_BATCH,
        LOG_ENTRY_COUNTS,       LOG_ENTRY_SINK_OPEN,        LOG_ENTRY_SINK_PREPARE,
        LOG_ENTRY_SINK_COMMIT,  LOG_ENTRY_SINK_CLOSE,       LOG_ENTRY_CLEAN_STOP};
    struct payload p = {0};
    put_everything(&p);
    struct slice rest = payload_slice(&p);
    struct log_entry entry;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        assert_code(log_entry_next(&rest, &entry), OK);
        assert_int_equal(entry.kind, kinds[i]);
    }
    assert_code(log_entry_next(&rest, &entry), END);
}

/* The payload is read from a block of exactly its size, so that a sanitizer sees what is read
 * behind it. */
static err_t read_all(const uint8_t *bytes, size_t size)
{
    uint8_t *copy = malloc(size + (size == 0));
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    struct slice rest = slice_make(copy, size);
    struct log_entry entry;
    err_t err;
    do {
        struct slice before = rest;
        err = log_entry_next(&rest, &entry);
        if (!err_is_ok(err))
            assert_true(rest.data == before.data && rest.size == before.size);
    } while (err_is_ok(err));
    free(copy);
    return err;
}

static void a_payload_cut_within_an_entry_is_corrupt(void **state)
{
    (void)state;
    struct payload p = {0};
    put_everything(&p);
    size_t boundaries = 0;
    for (size_t size = 0; size < p.size; size++) {
        err_t err = read_all(p.bytes, size);
        boundaries += err_is(err, ERR_END);
        assert_true(err_is(err, ERR_END) || err_is(err, ERR_CORRUPT));
    }
    assert_int_equal(boundaries, 9);
}

static void an_entry_longer_than_the_payload_is_corrupt(void **state)
{
    (void)state;
    struct payload p = {0};
    payload_counts(&p, 1, 1, 0, 0);
    put_u32le(p.bytes + 4, UINT32_MAX);
    assert_code(read_all(p.bytes, p.size), CORRUPT);
    put_u32le(p.bytes + 4, 29);
    assert_code(read_all(p.bytes, p.size), CORRUPT);
}

static err_t read_raw(uint8_t kind, uint8_t flags, const uint8_t *body, size_t size)
{
    struct payload p = {0};
    payload_raw(&p, kind, flags, body, size);
    return read_all(p.bytes, p.size);
}

static void malformed_batches_are_corrupt(void **state)
{
    (void)state;
    struct payload p = {0};
    payload_batch(&p, 1, 0, 0, 2);
    uint8_t *body = p.bytes + LOG_ENTRY_HEADER_SIZE;
    size_t size = p.size - LOG_ENTRY_HEADER_SIZE;
    assert_code(read_raw(LOG_ENTRY_BATCH, 0, body, size), END);
    assert_code(read_raw(LOG_ENTRY_BATCH, FLOW_APPEND_SINK_LETTERS + 1, body, size), CORRUPT);
    assert_code(read_raw(LOG_ENTRY_BATCH, 0x80, body, size), CORRUPT);
    size_t least = LOG_ENTRY_BATCH_SIZE + FLOW_BATCH_HEADER_SIZE;
    for (size_t cut = 0; cut < least; cut++)
        assert_code(read_raw(LOG_ENTRY_BATCH, 0, body, cut), CORRUPT);
    /* Letters have no holes that nothing could be left of them. */
    put_u32le(body + 8, 0);
    assert_code(read_raw(LOG_ENTRY_BATCH, FLOW_APPEND_RECORDS, body, size), END);
    assert_code(read_raw(LOG_ENTRY_BATCH, FLOW_APPEND_DEAD_LETTERS, body, size), CORRUPT);
}

static void malformed_counts_are_corrupt(void **state)
{
    (void)state;
    static const uint8_t body[40] = {1};
    for (size_t size = 0; size < sizeof body; size++) {
        err_t err = read_raw(LOG_ENTRY_COUNTS, 0, body, size);
        assert_int_equal(err.code, size == 28 ? ERR_END : ERR_CORRUPT);
    }
}

static void malformed_topics_are_corrupt(void **state)
{
    (void)state;
    uint8_t body[28 + FLOW_TOPIC_NAME_MAX + 1] = {0};
    put_u32le(body, 1);
    put_u32le(body + 4, 1);
    for (size_t size = 0; size <= sizeof body; size++) {
        bool good = size > 28 && size <= 28 + FLOW_TOPIC_NAME_MAX;
        err_t err = read_raw(LOG_ENTRY_TOPIC_CREATE, 0, body, size);
        assert_int_equal(err.code, good ? ERR_END : ERR_CORRUPT);
        err = read_raw(LOG_ENTRY_TOPIC_PARTITIONS, 0, body, size);
        assert_int_equal(err.code, size == 8 ? ERR_END : ERR_CORRUPT);
    }
    static const uint32_t bad[][2] = {
        {0, 1}, {1, 0}, {1, FLOW_PARTITIONS_MAX + 1}, {1, UINT32_MAX}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        put_u32le(body, bad[i][0]);
        put_u32le(body + 4, bad[i][1]);
        assert_code(read_raw(LOG_ENTRY_TOPIC_CREATE, 0, body, 30), CORRUPT);
        assert_code(read_raw(LOG_ENTRY_TOPIC_PARTITIONS, 0, body, 8), CORRUPT);
    }
}

static void malformed_sink_openings_are_corrupt(void **state)
{
    (void)state;
    uint8_t body[24] = {0};
    put_u32le(body, 1);
    put_u32le(body + 4, 2);
    for (size_t size = 0; size < sizeof body; size++) {
        err_t err = read_raw(LOG_ENTRY_SINK_OPEN, 0, body, size);
        assert_int_equal(err.code, size > 16 ? ERR_END : ERR_CORRUPT);
    }
    put_u32le(body + 4, UINT32_MAX);
    assert_code(read_raw(LOG_ENTRY_SINK_OPEN, 0, body, sizeof body), CORRUPT);
    put_u32le(body + 4, 0x40000001);
    assert_code(read_raw(LOG_ENTRY_SINK_OPEN, 0, body, sizeof body), CORRUPT);
    put_u32le(body + 4, 2);
    put_u32le(body, 0);
    assert_code(read_raw(LOG_ENTRY_SINK_OPEN, 0, body, sizeof body), CORRUPT);
}

static void malformed_sink_epochs_are_corrupt(void **state)
{
    (void)state;
    uint8_t body[16 + LOG_RANGE_SIZE + 4] = {0};
    put_u32le(body, 1);
    put_u32le(body + 4, 1);
    for (size_t size = 0; size < sizeof body; size++) {
        err_t err = read_raw(LOG_ENTRY_SINK_PREPARE, 0, body, size);
        assert_int_equal(err.code, size >= 16 + LOG_RANGE_SIZE ? ERR_END : ERR_CORRUPT);
        err = read_raw(LOG_ENTRY_SINK_REDRIVE, 0, body, size);
        assert_int_equal(err.code, size >= 16 + LOG_RANGE_SIZE ? ERR_END : ERR_CORRUPT);
        assert_code(read_raw(LOG_ENTRY_SINK_COMMIT, 0, body, size), CORRUPT);
        err = read_raw(LOG_ENTRY_SINK_CLOSE, 0, body, size);
        assert_int_equal(err.code, size == 4 ? ERR_END : ERR_CORRUPT);
    }
    put_u32le(body + 4, UINT32_MAX);
    assert_code(read_raw(LOG_ENTRY_SINK_PREPARE, 0, body, sizeof body), CORRUPT);
    put_u32le(body + 4, 0);
    assert_code(read_raw(LOG_ENTRY_SINK_COMMIT, 0, body, 16), END);
    assert_code(read_raw(LOG_ENTRY_SINK_COMMIT, 0, body, 17), CORRUPT);
    put_u32le(body, 0);
    assert_code(read_raw(LOG_ENTRY_SINK_PREPARE, 0, body, sizeof body), CORRUPT);
    assert_code(read_raw(LOG_ENTRY_SINK_COMMIT, 0, body, 16), CORRUPT);
    assert_code(read_raw(LOG_ENTRY_SINK_CLOSE, 0, body, 4), CORRUPT);
}

static void requests_are_read_as_they_were_written(void **state)
{
    (void)state;
    struct payload p = {0};
    struct log_entry entry;
    struct flow_request request = {.kind = FLOW_REQUEST_NUMBERED,
                                   .topic_id = 3,
                                   .id = {1, 2},
                                   .sequence = FLOW_SEQUENCE_MAX,
                                   .forgets = {3, 4}};
    struct flow_commit commit = {.request = &request};
    assert_int_equal(log_entries_size(&commit), log_entry_put_request(p.bytes, &request));
    p.size = log_entries_size(&commit);
    struct slice rest = payload_slice(&p);
    assert_code(log_entry_next(&rest, &entry), OK);
    assert_int_equal(entry.kind, LOG_ENTRY_SEQUENCE);
    assert_int_equal(entry.sequence.topic_id, 3);
    assert_int_equal(entry.sequence.producer.high, 2);
    assert_int_equal(entry.sequence.forgets.low, 3);
    assert_true(entry.sequence.sequence == FLOW_SEQUENCE_MAX);
    /* A number out of range, and no topic. */
    p.bytes[p.size - 1] = 0x80;
    rest = payload_slice(&p);
    assert_code(log_entry_next(&rest, &entry), CORRUPT);
    request.kind = FLOW_REQUEST_KEYED;
    request.body = (struct flow_fingerprint){5, 6};
    request.answer = SLICE_LITERAL("told");
    request.duplicates = 9;
    assert_int_equal(log_entries_size(&commit), log_entry_put_request(p.bytes, &request));
    p.size = log_entries_size(&commit);
    rest = payload_slice(&p);
    assert_code(log_entry_next(&rest, &entry), OK);
    assert_int_equal(entry.kind, LOG_ENTRY_ANSWER);
    assert_int_equal(entry.answer.body.low, 5);
    assert_int_equal(entry.answer.duplicates, 9);
    assert_slice(entry.answer.answer, "told");
    put_u32le(p.bytes + LOG_ENTRY_HEADER_SIZE, 0);
    rest = payload_slice(&p);
    assert_code(log_entry_next(&rest, &entry), CORRUPT);
}

static void sequenced_batches_are_read_as_they_were_written(void **state)
{
    (void)state;
    struct payload p = {0};
    struct log_entry entry;
    struct flow_request request = {.kind = FLOW_REQUEST_SEQUENCED,
                                   .topic_id = 3,
                                   .base_offset = -1,
                                   .batch = {.producer_id = INT64_MAX,
                                             .partition = 9,
                                             .first = INT32_MAX,
                                             .count = INT32_MAX,
                                             .epoch = INT16_MAX}};
    struct flow_commit commit = {.request = &request};
    p.size = log_entry_put_request(p.bytes, &request);
    assert_true(p.size <= log_entries_size(&commit));
    struct slice rest = payload_slice(&p);
    assert_code(log_entry_next(&rest, &entry), OK);
    assert_int_equal(entry.kind, LOG_ENTRY_SEQUENCED);
    assert_int_equal(entry.sequenced.topic_id, 3);
    assert_int_equal(entry.sequenced.base_offset, -1);
    assert_memory_equal(&entry.sequenced.batch, &request.batch, sizeof request.batch);
    /* No topic, negative numbers, no record, what is written as zero. */
    static const struct {
        size_t at;
        uint8_t value;
    } wrongs[] = {{0, 0},     {15, 0x80}, {16, 0xfe}, {27, 0x80},
                  {31, 0x80}, {33, 0x80}, {34, 1},    {39, 1}};
    for (size_t i = 0; i < sizeof wrongs / sizeof wrongs[0]; i++) {
        uint8_t *at = p.bytes + LOG_ENTRY_HEADER_SIZE + wrongs[i].at;
        uint8_t good = *at;
        *at = wrongs[i].value;
        rest = payload_slice(&p);
        assert_code(log_entry_next(&rest, &entry), CORRUPT);
        *at = good;
    }
    put_u32le(p.bytes + LOG_ENTRY_HEADER_SIZE + 28, 0);
    rest = payload_slice(&p);
    assert_code(log_entry_next(&rest, &entry), CORRUPT);
}

static void producer_ids_are_read_as_they_were_written(void **state)
{
    (void)state;
    struct payload p = {0};
    struct log_entry entry;
    struct flow_commit commit = {.gives_producer_id = true};
    p.size = log_entry_put_producer_id(p.bytes, INT64_MAX - 1);
    assert_int_equal(log_entries_size(&commit), p.size);
    struct slice rest = payload_slice(&p);
    assert_code(log_entry_next(&rest, &entry), OK);
    assert_int_equal(entry.kind, LOG_ENTRY_PRODUCER_ID);
    assert_true(entry.producer_id == INT64_MAX - 1);
    uint8_t body[9] = {0};
    assert_code(read_raw(LOG_ENTRY_PRODUCER_ID, 0, body, 8), END);
    assert_code(read_raw(LOG_ENTRY_PRODUCER_ID, 0, body, 7), CORRUPT);
    assert_code(read_raw(LOG_ENTRY_PRODUCER_ID, 0, body, 9), CORRUPT);
    put_u64le(body, INT64_MAX);
    assert_code(read_raw(LOG_ENTRY_PRODUCER_ID, 0, body, 8), CORRUPT);
    put_u64le(body, UINT64_MAX);
    assert_code(read_raw(LOG_ENTRY_PRODUCER_ID, 0, body, 8), CORRUPT);
}

/* What one change is read as after it was written. */
static struct log_entry offset_again(struct payload *p, const struct flow_offset *change)
{
    struct log_entry entry;
    struct flow_commit commit = {.offsets = change, .offset_count = 1};
    p->size = log_entry_put_offset(p->bytes, change);
    assert_true(p->size <= log_entries_size(&commit));
    struct slice rest = payload_slice(p);
    assert_code(log_entry_next(&rest, &entry), OK);
    assert_int_equal(rest.size, 0);
    return entry;
}

static void offsets_of_groups_are_read_as_they_were_written(void **state)
{
    (void)state;
    struct payload p = {0};
    struct flow_offset change = {.group = SLICE_LITERAL("readers"),
                                 .topic_id = 3,
                                 .partition = 2,
                                 .offset = INT64_C(1) << 40,
                                 .leader_epoch = -1,
                                 .metadata = SLICE_LITERAL("said")};
    struct log_entry entry = offset_again(&p, &change);
    assert_int_equal(entry.kind, LOG_ENTRY_OFFSET);
    assert_int_equal(entry.offset.op, FLOW_OFFSET_COMMIT);
    assert_slice(entry.offset.group, "readers");
    assert_slice(entry.offset.metadata, "said");
    assert_int_equal(entry.offset.topic_id, 3);
    assert_int_equal(entry.offset.partition, 2);
    assert_true(entry.offset.offset == INT64_C(1) << 40);
    assert_int_equal(entry.offset.leader_epoch, -1);
    change.op = FLOW_OFFSET_DELETE;
    entry = offset_again(&p, &change);
    assert_int_equal(entry.kind, LOG_ENTRY_OFFSET_DELETE);
    assert_int_equal(entry.offset.op, FLOW_OFFSET_DELETE);
    assert_int_equal(entry.offset.topic_id, 3);
    assert_int_equal(entry.offset.metadata.size, 0);
    change.op = FLOW_OFFSET_DELETE_GROUP;
    entry = offset_again(&p, &change);
    assert_int_equal(entry.offset.op, FLOW_OFFSET_DELETE_GROUP);
    assert_slice(entry.offset.group, "readers");
}

static void offsets_of_groups_that_cannot_be_are_corrupt(void **state)
{
    (void)state;
    uint8_t body[24 + FLOW_GROUP_NAME_MAX + FLOW_OFFSET_METADATA_MAX + 1] = {0};
    put_u32le(body, 1);
    put_u16le(body + 20, 2);
    assert_code(read_raw(LOG_ENTRY_OFFSET, 0, body, 26), END);
    assert_code(read_raw(LOG_ENTRY_OFFSET_DELETE, 0, body, 26), END);
    /* Without all of the name; a deletion that says something; more than may be said. */
    assert_code(read_raw(LOG_ENTRY_OFFSET, 0, body, 25), CORRUPT);
    assert_code(read_raw(LOG_ENTRY_OFFSET_DELETE, 0, body, 27), CORRUPT);
    assert_code(read_raw(LOG_ENTRY_OFFSET, 0, body, 26 + FLOW_OFFSET_METADATA_MAX), END);
    assert_code(read_raw(LOG_ENTRY_OFFSET, 0, body, 26 + FLOW_OFFSET_METADATA_MAX + 1), CORRUPT);
    put_u64le(body + 8, UINT64_MAX);
    assert_code(read_raw(LOG_ENTRY_OFFSET, 0, body, 26), CORRUPT);
    put_u64le(body + 8, 1);
    assert_code(read_raw(LOG_ENTRY_OFFSET, 0, body, 26), END);
    assert_code(read_raw(LOG_ENTRY_OFFSET_DELETE, 0, body, 26), CORRUPT);
    /* No topic, no name, bytes that mean nothing. */
    put_u32le(body, 0);
    assert_code(read_raw(LOG_ENTRY_OFFSET, 0, body, 26), CORRUPT);
    put_u32le(body, 1);
    put_u16le(body + 20, 0);
    assert_code(read_raw(LOG_ENTRY_OFFSET, 0, body, 24), CORRUPT);
    put_u16le(body + 20, FLOW_GROUP_NAME_MAX + 1);
    assert_code(read_raw(LOG_ENTRY_OFFSET, 0, body, 25 + FLOW_GROUP_NAME_MAX), CORRUPT);
    put_u16le(body + 20, 2);
    put_u16le(body + 22, 1);
    assert_code(read_raw(LOG_ENTRY_OFFSET, 0, body, 26), CORRUPT);
}

static void settled_letters_are_read_as_they_were_written(void **state)
{
    (void)state;
    struct flow_settle settle = {.topic_id = 2,
                                 .partition = 1,
                                 .kind = FLOW_SETTLE_PURGED,
                                 .record_count = 7,
                                 .first_offset = INT64_C(1) << 40,
                                 .end_offset = (INT64_C(1) << 40) + 9};
    struct payload p = {0};
    p.size = log_entry_put_settle(p.bytes, &settle);
    struct slice rest = payload_slice(&p);
    struct log_entry entry;
    assert_code(log_entry_next(&rest, &entry), OK);
    assert_int_equal(entry.kind, LOG_ENTRY_SETTLED);
    assert_int_equal(entry.settle.topic_id, 2);
    assert_int_equal(entry.settle.partition, 1);
    assert_int_equal(entry.settle.kind, FLOW_SETTLE_PURGED);
    assert_int_equal(entry.settle.record_count, 7);
    assert_int_equal(entry.settle.first_offset, settle.first_offset);
    assert_int_equal(entry.settle.end_offset, settle.end_offset);
    assert_int_equal(log_entries_size(&(struct flow_commit){.settles = &settle, .settle_count = 1}),
                     p.size);
}

static void settled_letters_that_make_no_sense_are_corrupt(void **state)
{
    (void)state;
    uint8_t body[33] = {0};
    put_u32le(body, 2);
    put_u32le(body + 8, FLOW_SETTLE_REDRIVEN);
    put_u32le(body + 12, 1);
    put_u64le(body + 24, 1);
    assert_code(read_raw(LOG_ENTRY_SETTLED, 0, body, 32), END);
    assert_code(read_raw(LOG_ENTRY_SETTLED, 0, body, 31), CORRUPT);
    assert_code(read_raw(LOG_ENTRY_SETTLED, 0, body, 33), CORRUPT);
    put_u32le(body + 8, 3);
    assert_code(read_raw(LOG_ENTRY_SETTLED, 0, body, 32), VERSION);
    put_u32le(body + 8, 0);
    assert_code(read_raw(LOG_ENTRY_SETTLED, 0, body, 32), CORRUPT);
    put_u32le(body + 8, FLOW_SETTLE_REDRIVEN);
    put_u32le(body, 0);
    assert_code(read_raw(LOG_ENTRY_SETTLED, 0, body, 32), CORRUPT);
    put_u32le(body, 2);
    put_u32le(body + 12, 0);
    assert_code(read_raw(LOG_ENTRY_SETTLED, 0, body, 32), CORRUPT);
    put_u32le(body + 12, 1);
    put_u64le(body + 16, 1);
    assert_code(read_raw(LOG_ENTRY_SETTLED, 0, body, 32), CORRUPT);
    put_u64le(body + 16, UINT64_MAX);
    assert_code(read_raw(LOG_ENTRY_SETTLED, 0, body, 32), CORRUPT);
}

static void a_stop_mark_with_a_body_is_corrupt(void **state)
{
    (void)state;
    static const uint8_t body[1] = {0};
    assert_code(read_raw(LOG_ENTRY_CLEAN_STOP, 0, body, 0), END);
    assert_code(read_raw(LOG_ENTRY_CLEAN_STOP, 0, body, 1), CORRUPT);
}

static void an_open_topic_is_made_with_its_config_in_two_entries(void **state)
{
    (void)state;
    struct flow_topic_change made = {
        .op = FLOW_TOPIC_CREATE,
        .topic_id = 7,
        .name = SLICE_LITERAL("made"),
        .partition_count = 3,
        .config = {.retention_ms = 60000,
                   .retention_bytes = UINT64_C(5) << 32,
                   .codec = FLOW_CODEC_ZSTD,
                   .open = true,
                   .given = FLOW_TOPIC_CODEC | FLOW_TOPIC_BATCH_BYTES,
                   .batch_bytes_max = 12345},
    };
    struct payload p = {0};
    p.size += log_entry_put_topic(p.bytes + p.size, &made);
    struct flow_commit commit = {.topics = &made, .topic_count = 1};
    assert_int_equal(p.size, log_entries_size(&commit));
    struct slice rest = payload_slice(&p);
    struct log_entry entry;
    assert_code(log_entry_next(&rest, &entry), OK);
    assert_int_equal(entry.kind, LOG_ENTRY_TOPIC_CREATE);
    assert_false(entry.topic.config.open);
    assert_code(log_entry_next(&rest, &entry), OK);
    assert_int_equal(entry.kind, LOG_ENTRY_TOPIC_OPEN);
    assert_int_equal(entry.topic.op, FLOW_TOPIC_CONFIG);
    assert_int_equal(entry.topic.topic_id, 7);
    const struct flow_topic_config *config = &entry.topic.config;
    assert_true(config->open);
    assert_int_equal(config->retention_ms, 60000);
    assert_int_equal(config->retention_bytes, UINT64_C(5) << 32);
    assert_int_equal(config->codec, FLOW_CODEC_ZSTD);
    assert_int_equal(config->given, FLOW_TOPIC_CODEC | FLOW_TOPIC_BATCH_BYTES);
    assert_int_equal(config->batch_bytes_max, 12345);
    assert_code(log_entry_next(&rest, &entry), END);
    /* A change of what it has is the second of them alone. */
    made.op = FLOW_TOPIC_CONFIG;
    size_t both = p.size;
    p.size += log_entry_put_topic(p.bytes + p.size, &made);
    assert_int_equal(p.size - both, LOG_ENTRY_HEADER_SIZE + 32);
}

static void an_open_topics_config_that_means_nothing_is_corrupt(void **state)
{
    (void)state;
    uint8_t body[32] = {1, [6] = 3};
    assert_code(read_raw(LOG_ENTRY_TOPIC_OPEN, 0, body, sizeof body), END);
    assert_code(read_raw(LOG_ENTRY_TOPIC_OPEN, 0, body, sizeof body - 1), CORRUPT);
    static const struct {
        size_t at;
        uint8_t value;
    } wrong[] = {{0, 0}, {4, 5}, {5, 1}, {6, 16}, {7, 1}, {28, 1}, {31, 1}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        uint8_t good = body[wrong[i].at];
        body[wrong[i].at] = wrong[i].value;
        assert_code(read_raw(LOG_ENTRY_TOPIC_OPEN, 0, body, sizeof body), CORRUPT);
        body[wrong[i].at] = good;
    }
}

static void kinds_without_a_meaning_here_need_a_newer_program(void **state)
{
    (void)state;
    static const uint8_t body[64] = {1};
    for (unsigned kind = 0; kind < 256; kind++) {
        bool known = (kind >= LOG_ENTRY_BATCH && kind <= LOG_ENTRY_SINK_REDRIVE) ||
                     kind == LOG_ENTRY_KEYS || kind == LOG_ENTRY_LOG_START ||
                     kind == LOG_ENTRY_TOPIC_CONFIG || kind == LOG_ENTRY_SETTLED ||
                     kind == LOG_ENTRY_SEQUENCE || kind == LOG_ENTRY_ANSWER ||
                     kind == LOG_ENTRY_SEQUENCED || kind == LOG_ENTRY_PRODUCER_ID ||
                     kind == LOG_ENTRY_OFFSET || kind == LOG_ENTRY_OFFSET_DELETE ||
                     kind == LOG_ENTRY_TOPIC_OPEN;
        err_t err = read_raw((uint8_t)kind, 0, body, sizeof body);
        assert_int_equal(err_is(err, ERR_VERSION), !known);
    }
}

static void bits_without_a_meaning_here_need_a_newer_program(void **state)
{
    (void)state;
    struct payload p = {0};
    payload_counts(&p, 1, 1, 0, 0);
    p.bytes[1] = 1;
    assert_code(read_all(p.bytes, p.size), VERSION);
    p.bytes[1] = 0;
    p.bytes[3] = 1;
    assert_code(read_all(p.bytes, p.size), VERSION);
}

static void the_size_of_a_commit_is_what_its_entries_take(void **state)
{
    (void)state;
    struct flow_batch_builder builder;
    struct slice batch = payload_build(&builder, 3, 100);
    struct flow_append append = {
        .topic_id = 1, .record_count = 3, .batch = builder.bytes.data, .batch_size = batch.size};
    struct flow_count counts[2] = {{.topic_id = 1}, {.topic_id = 2}};
    struct flow_topic_change topics[2] = {
        {.op = FLOW_TOPIC_CREATE, .topic_id = 1, .name = SLICE_LITERAL("a"), .partition_count = 1},
        {.op = FLOW_TOPIC_PARTITIONS, .topic_id = 1, .partition_count = 2}};
    static const uint32_t ids[] = {1, 2};
    struct flow_sink_range range = {.topic_id = 1};
    struct flow_sink_change sinks[5] = {{.op = FLOW_SINK_OPEN,
                                         .sink_id = 1,
                                         .name = SLICE_LITERAL("lake"),
                                         .topic_ids = ids,
                                         .topic_count = 2},
                                        {.op = FLOW_SINK_PREPARE,
                                         .sink_id = 1,
                                         .ranges = &range,
                                         .range_count = 1,
                                         .outputs = SLICE_LITERAL("abc")},
                                        {.op = FLOW_SINK_COMMIT, .sink_id = 1},
                                        {.op = FLOW_SINK_CLOSE, .sink_id = 1},
                                        {.op = FLOW_SINK_REDRIVE,
                                         .sink_id = 1,
                                         .ranges = &range,
                                         .range_count = 1,
                                         .outputs = SLICE_LITERAL("ab")}};
    struct flow_commit commit = {.appends = &append,
                                 .append_count = 1,
                                 .counts = counts,
                                 .count_count = 2,
                                 .topics = topics,
                                 .topic_count = 2,
                                 .sinks = sinks,
                                 .sink_count = 4};
    struct payload p = {0};
    p.size += log_entry_put_batch(p.bytes + p.size, &append);
    for (size_t i = 0; i < 2; i++)
        p.size += log_entry_put_counts(p.bytes + p.size, &counts[i]);
    for (size_t i = 0; i < 2; i++)
        p.size += log_entry_put_topic(p.bytes + p.size, &topics[i]);
    for (size_t i = 0; i < 4; i++)
        p.size += log_entry_put_sink(p.bytes + p.size, &sinks[i]);
    assert_int_equal(log_entries_size(&commit), p.size);
    assert_int_equal(log_entries_size(&(struct flow_commit){0}), 0);
    flow_batch_builder_done(&builder);
}

static void random_damage_is_an_error_or_another_entry(void **state)
{
    (void)state;
    uint64_t seed = unit_seed();
    struct payload p = {0};
    put_everything(&p);
    for (int i = 0; i < 5000; i++) {
        struct payload damaged = p;
        for (uint64_t n = unit_random(&seed) % 4; n < 4; n++)
            damaged.bytes[unit_random(&seed) % p.size] = (uint8_t)unit_random(&seed);
        err_t err = read_all(damaged.bytes, 1 + unit_random(&seed) % p.size);
        assert_true(err_is(err, ERR_END) || err_is(err, ERR_CORRUPT) || err_is(err, ERR_VERSION));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_header_has_its_bytes_at_fixed_offsets),
        cmocka_unit_test(random_headers_come_back),
        cmocka_unit_test(any_flipped_bit_of_a_header_is_corrupt),
        cmocka_unit_test(a_header_cut_short_is_corrupt),
        cmocka_unit_test(another_magic_with_a_good_crc_is_corrupt),
        cmocka_unit_test(a_newer_version_is_told_from_damage),
        cmocka_unit_test(a_header_that_cannot_be_is_corrupt),
        cmocka_unit_test(frames_take_whole_blocks),
        cmocka_unit_test(a_batch_comes_back_as_it_was),
        cmocka_unit_test(a_batch_entry_has_its_bytes_at_fixed_offsets),
        cmocka_unit_test(counts_come_back),
        cmocka_unit_test(topic_changes_come_back),
        cmocka_unit_test(the_longest_topic_name_comes_back),
        cmocka_unit_test(a_sinks_opening_comes_back),
        cmocka_unit_test(an_epoch_of_a_sink_comes_back),
        cmocka_unit_test(the_mark_of_a_clean_stop_comes_back),
        cmocka_unit_test(entries_come_in_their_order),
        cmocka_unit_test(a_payload_cut_within_an_entry_is_corrupt),
        cmocka_unit_test(an_entry_longer_than_the_payload_is_corrupt),
        cmocka_unit_test(malformed_batches_are_corrupt),
        cmocka_unit_test(malformed_counts_are_corrupt),
        cmocka_unit_test(malformed_topics_are_corrupt),
        cmocka_unit_test(malformed_sink_openings_are_corrupt),
        cmocka_unit_test(malformed_sink_epochs_are_corrupt),
        cmocka_unit_test(requests_are_read_as_they_were_written),
        cmocka_unit_test(sequenced_batches_are_read_as_they_were_written),
        cmocka_unit_test(producer_ids_are_read_as_they_were_written),
        cmocka_unit_test(offsets_of_groups_are_read_as_they_were_written),
        cmocka_unit_test(offsets_of_groups_that_cannot_be_are_corrupt),
        cmocka_unit_test(settled_letters_are_read_as_they_were_written),
        cmocka_unit_test(settled_letters_that_make_no_sense_are_corrupt),
        cmocka_unit_test(a_stop_mark_with_a_body_is_corrupt),
        cmocka_unit_test(an_open_topic_is_made_with_its_config_in_two_entries),
        cmocka_unit_test(an_open_topics_config_that_means_nothing_is_corrupt),
        cmocka_unit_test(kinds_without_a_meaning_here_need_a_newer_program),
        cmocka_unit_test(bits_without_a_meaning_here_need_a_newer_program),
        cmocka_unit_test(the_size_of_a_commit_is_what_its_entries_take),
        cmocka_unit_test(random_damage_is_an_error_or_another_entry),
    };
    return cmocka_run_group_tests_name("log/frame", tests, NULL, NULL);
}
