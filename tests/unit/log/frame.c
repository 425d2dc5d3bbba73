#include "lib/unit.h"

#include "base/cursor.h"
#include "base/hash.h"
#include "flow/batch.h"
#include "log/frame.h"

#define assert_err(actual, expected) assert_string_equal(err_name(actual), #expected)

static struct log_frame_header example(void)
{
    return (struct log_frame_header){
        .flags = LOG_FRAME_EPOCH_START,
        .uuid = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}},
        .epoch = 0x01020304,
        .lsn = 0x1112131415161718,
        .durable_lsn = 0x1112131415161717,
        .payload_size = 0x21222324,
        .payload_crc = 0x31323334,
        .previous_crc = 0x41424344,
        .commit_time_ms = 0x5152535455565758,
        .valid_to_lsn = 0x6162636465666768,
        .file_number = 0x7172737475767778,
        .block = 0x01828384,
        .file_blocks = 0x02000000,
    };
}

static void a_header_has_its_fields_at_fixed_places(void **state)
{
    (void)state;
    uint8_t bytes[LOG_FRAME_HEADER_SIZE];
    struct log_frame_header header = example();
    log_frame_encode(&header, bytes);
    assert_memory_equal(bytes, "GWAL", 4);
    assert_int_equal(get_u16le(bytes + 4), 1);
    assert_int_equal(get_u16le(bytes + 6), 1);
    assert_memory_equal(bytes + 8, header.uuid.bytes, 16);
    assert_int_equal(get_u32le(bytes + 24), 0x01020304);
    assert_int_equal(get_u32le(bytes + 28), 0);
    assert_int_equal(get_u64le(bytes + 32), 0x1112131415161718);
    assert_int_equal(get_u64le(bytes + 40), 0x1112131415161717);
    assert_int_equal(get_u32le(bytes + 48), 0x21222324);
    assert_int_equal(get_u32le(bytes + 52), 0x31323334);
    assert_int_equal(get_u32le(bytes + 56), 0x41424344);
    assert_int_equal(get_u32le(bytes + 60), 0x01828384);
    assert_int_equal(get_u64le(bytes + 64), 0x5152535455565758);
    assert_int_equal(get_u64le(bytes + 72), 0x6162636465666768);
    assert_int_equal(get_u64le(bytes + 80), 0x7172737475767778);
    assert_int_equal(get_u32le(bytes + 88), 0x02000000);
    assert_int_equal(get_u32le(bytes + 92), crc32c(0, bytes, 92));
    assert_int_equal(header.header_crc, crc32c(0, bytes, 92));
}

static void a_header_comes_back_as_it_was(void **state)
{
    (void)state;
    uint8_t bytes[LOG_FRAME_HEADER_SIZE];
    struct log_frame_header header = example(), read;
    log_frame_encode(&header, bytes);
    assert_err(log_frame_decode(slice_make(bytes, sizeof bytes), &read), OK);
    uint8_t again[LOG_FRAME_HEADER_SIZE];
    log_frame_encode(&read, again);
    assert_memory_equal(bytes, again, sizeof bytes);
    assert_true(uuid_equal(&header.uuid, &read.uuid));
    assert_int_equal(read.header_crc, header.header_crc);
}

static void a_header_with_any_bit_turned_over_is_refused(void **state)
{
    (void)state;
    uint8_t bytes[LOG_FRAME_HEADER_SIZE];
    struct log_frame_header header = example(), read = {.lsn = 77};
    log_frame_encode(&header, bytes);
    for (size_t bit = 0; bit < sizeof bytes * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_err(log_frame_decode(slice_make(bytes, sizeof bytes), &read), CORRUPT);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(read.lsn, 77);
    for (size_t size = 0; size < sizeof bytes; size++)
        assert_err(log_frame_decode(slice_make(bytes, size), &read), CORRUPT);
}

/* Writes the CRC again after a field was changed. */
static err_t decode_changed(uint8_t bytes[static LOG_FRAME_HEADER_SIZE])
{
    struct log_frame_header read;
    put_u32le(bytes + 92, crc32c(0, bytes, 92));
    return log_frame_decode(slice_make(bytes, LOG_FRAME_HEADER_SIZE), &read);
}

static void a_header_of_a_newer_program_or_without_sense_is_refused(void **state)
{
    (void)state;
    uint8_t good[LOG_FRAME_HEADER_SIZE], bytes[LOG_FRAME_HEADER_SIZE];
    struct log_frame_header header = example();
    log_frame_encode(&header, good);
    memcpy(bytes, good, sizeof good);
    put_u16le(bytes + 4, LOG_FRAME_VERSION + 1);
    assert_err(decode_changed(bytes), VERSION);
    memcpy(bytes, good, sizeof good);
    put_u32le(bytes + 24, 0);
    assert_err(decode_changed(bytes), CORRUPT);
    memcpy(bytes, good, sizeof good);
    put_u64le(bytes + 40, header.lsn);
    assert_err(decode_changed(bytes), CORRUPT);
    memcpy(bytes, good, sizeof good);
    put_u32le(bytes + 60, header.file_blocks);
    assert_err(decode_changed(bytes), CORRUPT);
}

static void a_frame_takes_whole_blocks(void **state)
{
    (void)state;
    assert_int_equal(log_frame_disk_size(0), 4096);
    assert_int_equal(log_frame_disk_size(4000), 4096);
    assert_int_equal(log_frame_disk_size(4001), 8192);
    assert_int_equal(log_frame_disk_size(UINT32_MAX), UINT64_C(4294971392));
}

/* A batch of one record. */
static size_t make_batch(uint8_t out[static 128])
{
    struct flow_batch_builder builder;
    flow_batch_builder_init(&builder);
    struct slice none = {0};
    err_t err = flow_batch_builder_add(&builder, 1, none, slice_string("value"), NULL, 0);
    assert_true(err_is_ok(err));
    struct slice batch = flow_batch_builder_finish(&builder);
    assert_true(batch.size <= 128);
    memcpy(out, batch.data, batch.size);
    flow_batch_builder_done(&builder);
    return batch.size;
}

static void take_only(const uint8_t *bytes, size_t size, struct log_entry *out)
{
    struct slice payload = slice_make(bytes, size);
    assert_err(log_entry_next(&payload, out), OK);
    assert_int_equal(payload.size, 0);
    struct log_entry none;
    assert_err(log_entry_next(&payload, &none), END);
}

static void a_batch_comes_back_as_it_was(void **state)
{
    (void)state;
    uint8_t batch[128], bytes[256];
    struct flow_append append = {.topic_id = 7,
                                 .partition = 3,
                                 .kind = FLOW_APPEND_DEAD_LETTERS,
                                 .record_count = 1,
                                 .batch = batch,
                                 .batch_size = make_batch(batch)};
    size_t size = log_entry_put_batch(bytes, &append);
    struct flow_commit commit = {.appends = &append, .append_count = 1};
    assert_int_equal(size, log_entries_size(&commit));
    assert_int_equal(bytes[0], 1);
    assert_int_equal(bytes[1], 1);
    assert_int_equal(get_u32le(bytes + 4), size - 8);
    assert_int_equal(get_u32le(bytes + 8), 7);
    assert_int_equal(get_u32le(bytes + 12), 3);
    assert_int_equal(get_u32le(bytes + 16), 1);
    struct log_entry entry;
    take_only(bytes, size, &entry);
    assert_int_equal(entry.kind, LOG_ENTRY_BATCH);
    assert_int_equal(entry.append.topic_id, 7);
    assert_int_equal(entry.append.partition, 3);
    assert_int_equal(entry.append.kind, FLOW_APPEND_DEAD_LETTERS);
    assert_ptr_equal(entry.append.batch, bytes + 24);
    assert_int_equal(entry.append.batch_size, append.batch_size);
}

static void counts_come_back_as_they_were(void **state)
{
    (void)state;
    uint8_t bytes[64];
    struct flow_count counts = {.topic_id = 5, .received = 1, .duplicates = 2, .refused = 3};
    struct log_entry entry;
    take_only(bytes, log_entry_put_counts(bytes, &counts), &entry);
    assert_int_equal(entry.kind, LOG_ENTRY_COUNTS);
    assert_memory_equal(&entry.counts, &counts, sizeof counts);
    struct flow_commit commit = {.counts = &counts, .count_count = 1};
    assert_int_equal(log_entries_size(&commit), log_entry_put_counts(bytes, &counts));
}

static void changes_of_topics_come_back_as_they_were(void **state)
{
    (void)state;
    uint8_t bytes[128];
    struct flow_topic_change create = {.op = FLOW_TOPIC_CREATE,
                                       .topic_id = 9,
                                       .uuid = {{1, 2, 3}},
                                       .name = SLICE_LITERAL("flights.dlq"),
                                       .partition_count = 12,
                                       .parent_id = 8};
    struct flow_commit commit = {.topics = &create, .topic_count = 1};
    struct log_entry entry;
    size_t size = log_entry_put_topic(bytes, &create);
    assert_int_equal(size, log_entries_size(&commit));
    take_only(bytes, size, &entry);
    assert_int_equal(entry.kind, LOG_ENTRY_TOPIC_CREATE);
    assert_int_equal(entry.topic.topic_id, 9);
    assert_int_equal(entry.topic.partition_count, 12);
    assert_int_equal(entry.topic.parent_id, 8);
    assert_true(uuid_equal(&entry.topic.uuid, &create.uuid));
    assert_slice(entry.topic.name, "flights.dlq");
    struct flow_topic_change raise = {
        .op = FLOW_TOPIC_PARTITIONS, .topic_id = 9, .partition_count = 13};
    take_only(bytes, log_entry_put_topic(bytes, &raise), &entry);
    assert_int_equal(entry.kind, LOG_ENTRY_TOPIC_PARTITIONS);
    assert_int_equal(entry.topic.partition_count, 13);
}

static void changes_of_sinks_come_back_as_they_were(void **state)
{
    (void)state;
    uint8_t bytes[256];
    struct log_entry entry;
    uint32_t ids[] = {4, 6};
    struct flow_sink_change open = {.op = FLOW_SINK_OPEN,
                                    .sink_id = 2,
                                    .name = SLICE_LITERAL("lake"),
                                    .topic_ids = ids,
                                    .topic_count = 2};
    take_only(bytes, log_entry_put_sink(bytes, &open), &entry);
    assert_int_equal(entry.kind, LOG_ENTRY_SINK_OPEN);
    assert_int_equal(entry.sink.topic_count, 2);
    assert_int_equal(log_entry_topic_id(&entry, 1), 6);
    assert_slice(entry.sink.name, "lake");
    struct flow_sink_range ranges[] = {{1, 2, 3, 4, 5, 6}, {7, 8, 9, 10, 11, 12}};
    struct flow_sink_change prepare = {.op = FLOW_SINK_PREPARE,
                                       .sink_id = 2,
                                       .epoch = 44,
                                       .ranges = ranges,
                                       .range_count = 2,
                                       .outputs = SLICE_LITERAL("files")};
    struct flow_commit commit = {.sinks = &prepare, .sink_count = 1};
    size_t size = log_entry_put_sink(bytes, &prepare);
    assert_int_equal(size, log_entries_size(&commit));
    take_only(bytes, size, &entry);
    assert_int_equal(entry.kind, LOG_ENTRY_SINK_PREPARE);
    assert_int_equal(entry.sink.epoch, 44);
    struct flow_sink_range second = log_entry_range(&entry, 1);
    assert_memory_equal(&second, &ranges[1], sizeof second);
    assert_slice(entry.sink.outputs, "files");
    struct flow_sink_change end = {.op = FLOW_SINK_COMMIT, .sink_id = 2, .epoch = 44};
    take_only(bytes, log_entry_put_sink(bytes, &end), &entry);
    assert_int_equal(entry.kind, LOG_ENTRY_SINK_COMMIT);
    assert_int_equal(entry.sink.epoch, 44);
    struct flow_sink_change close = {.op = FLOW_SINK_CLOSE, .sink_id = 2};
    take_only(bytes, log_entry_put_sink(bytes, &close), &entry);
    assert_int_equal(entry.kind, LOG_ENTRY_SINK_CLOSE);
    take_only(bytes, log_entry_put_clean_stop(bytes), &entry);
    assert_int_equal(entry.kind, LOG_ENTRY_CLEAN_STOP);
}

static err_t decode_raw(uint8_t kind, uint8_t flags, uint16_t zero, const uint8_t *body,
                        size_t size)
{
    uint8_t bytes[512] = {kind, flags};
    put_u16le(bytes + 2, zero);
    put_u32le(bytes + 4, (uint32_t)size);
    if (size > 0)
        memcpy(bytes + 8, body, size);
    struct slice payload = slice_make(bytes, 8 + size);
    struct log_entry entry;
    return log_entry_next(&payload, &entry);
}

static void an_entry_that_is_cut_or_too_long_is_refused(void **state)
{
    (void)state;
    /* Sizes of bodies that have no end of their own. */
    static const struct {
        uint8_t kind;
        size_t size;
    } fixed[] = {{2, 28}, {4, 8}, {8, 16}, {9, 4}, {10, 0}};
    /* A body in which every number is 1, but for ranges there are none of. */
    uint8_t body[64] = {1, 0, 0, 0, 1};
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
        if (fixed[i].kind == 8)
            body[4] = 0;
        assert_err(decode_raw(fixed[i].kind, 0, 0, body, fixed[i].size), OK);
        body[4] = 1;
        for (size_t size = 0; size < fixed[i].size; size++)
            assert_err(decode_raw(fixed[i].kind, 0, 0, body, size), CORRUPT);
        assert_err(decode_raw(fixed[i].kind, 0, 0, body, fixed[i].size + 1), CORRUPT);
    }
    struct log_entry entry;
    const uint8_t cut[] = {10, 0, 0, 0, 1, 0, 0, 0};
    for (size_t size = 1; size <= sizeof cut; size++) {
        struct slice payload = slice_make(cut, size);
        assert_err(log_entry_next(&payload, &entry), CORRUPT);
        assert_int_equal(payload.size, size);
    }
}

static void an_entry_without_sense_is_refused(void **state)
{
    (void)state;
    uint8_t body[256] = {0};
    /* Batch: too short; then topic 0, no records, an unknown kind of append, reserved bytes. */
    put_u32le(body, 1);
    put_u32le(body + 8, 1);
    assert_err(decode_raw(1, 0, 0, body, 16 + 60), CORRUPT);
    assert_err(decode_raw(1, 0, 0, body, 16 + 61), OK);
    assert_err(decode_raw(1, 3, 0, body, 16 + 61), CORRUPT);
    body[12] = 1;
    assert_err(decode_raw(1, 0, 0, body, 16 + 61), CORRUPT);
    body[12] = 0;
    put_u32le(body + 8, 0);
    assert_err(decode_raw(1, 0, 0, body, 16 + 61), CORRUPT);
    put_u32le(body + 8, 1);
    put_u32le(body, 0);
    assert_err(decode_raw(1, 0, 0, body, 16 + 61), CORRUPT);
    assert_err(decode_raw(2, 0, 0, body, 28), CORRUPT);
    /* Topics: id 0, no or too many partitions, no or too long a name. */
    put_u32le(body, 1);
    put_u32le(body + 4, 1);
    assert_err(decode_raw(3, 0, 0, body, 28), CORRUPT);
    assert_err(decode_raw(3, 0, 0, body, 28 + 1), OK);
    assert_err(decode_raw(3, 0, 0, body, 28 + FLOW_TOPIC_NAME_MAX - 30), OK);
    put_u32le(body + 4, FLOW_PARTITIONS_MAX + 1);
    assert_err(decode_raw(4, 0, 0, body, 8), CORRUPT);
    put_u32le(body + 4, 0);
    assert_err(decode_raw(4, 0, 0, body, 8), CORRUPT);
    put_u32le(body, 0);
    put_u32le(body + 4, 1);
    assert_err(decode_raw(4, 0, 0, body, 8), CORRUPT);
    /* Sinks: id 0, more ids or ranges than there are, no name, ranges where none belong. */
    assert_err(decode_raw(9, 0, 0, body, 4), CORRUPT);
    put_u32le(body, 1);
    put_u32le(body + 4, 1);
    assert_err(decode_raw(6, 0, 0, body, 8 + 3), CORRUPT);
    assert_err(decode_raw(6, 0, 0, body, 8 + 4), CORRUPT);
    assert_err(decode_raw(6, 0, 0, body, 8 + 4 + 1), OK);
    assert_err(decode_raw(7, 0, 0, body, 16 + 39), CORRUPT);
    assert_err(decode_raw(7, 0, 0, body, 16 + 40), OK);
    assert_err(decode_raw(8, 0, 0, body, 16 + 40), CORRUPT);
    put_u32le(body + 4, UINT32_MAX);
    assert_err(decode_raw(7, 0, 0, body, 16 + 40), CORRUPT);
}

static void an_entry_of_a_newer_program_says_so(void **state)
{
    (void)state;
    const uint8_t body[4] = {1, 0, 0, 0};
    static const uint8_t kinds[] = {0, 5, 11, 16, 17, 18, 19, 20, 255};
    for (size_t i = 0; i < sizeof kinds; i++)
        assert_err(decode_raw(kinds[i], 0, 0, body, 4), VERSION);
    assert_err(decode_raw(9, 1, 0, body, 4), VERSION);
    assert_err(decode_raw(9, 0, 1, body, 4), VERSION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_header_has_its_fields_at_fixed_places),
        cmocka_unit_test(a_header_comes_back_as_it_was),
        cmocka_unit_test(a_header_with_any_bit_turned_over_is_refused),
        cmocka_unit_test(a_header_of_a_newer_program_or_without_sense_is_refused),
        cmocka_unit_test(a_frame_takes_whole_blocks),
        cmocka_unit_test(a_batch_comes_back_as_it_was),
        cmocka_unit_test(counts_come_back_as_they_were),
        cmocka_unit_test(changes_of_topics_come_back_as_they_were),
        cmocka_unit_test(changes_of_sinks_come_back_as_they_were),
        cmocka_unit_test(an_entry_that_is_cut_or_too_long_is_refused),
        cmocka_unit_test(an_entry_without_sense_is_refused),
        cmocka_unit_test(an_entry_of_a_newer_program_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
