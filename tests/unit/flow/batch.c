#include "flow/batch.h"

#include "base/alloc.h"
#include "base/cursor.h"
#include "base/hash.h"
#include "base/time.h"
#include "lib/unit.h"

#define NONE ((struct slice){0})

/* Three records as kafka-python 3.0.12 encodes them: key, value and two headers; no key and an
 * empty value, a second earlier; an empty key and a null value. */
static const uint8_t golden[] = {
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x59, 0x00, 0x00, 0x00,
    0x00, 0x02, 0xa4, 0x32, 0x96, 0xdd, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x01,
    0x8b, 0xcf, 0xe5, 0x68, 0x00, 0x00, 0x00, 0x01, 0x8b, 0xcf, 0xe8, 0x75, 0x40, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00,
    0x03, 0x2c, 0x00, 0x00, 0x00, 0x06, 0x6b, 0x65, 0x79, 0x0a, 0x76, 0x61, 0x6c, 0x75, 0x65,
    0x04, 0x02, 0x61, 0x02, 0x31, 0x04, 0x62, 0x62, 0x01, 0x0e, 0x00, 0xcf, 0x0f, 0x02, 0x01,
    0x00, 0x00, 0x10, 0x00, 0x80, 0xb5, 0x18, 0x04, 0x00, 0x01, 0x00};

static const struct flow_header two_headers[] = {
    {SLICE_LITERAL("a"), SLICE_LITERAL("1")},
    {SLICE_LITERAL("bb"), {0}},
};

static void add(struct flow_batch_builder *b, int64_t ms, struct slice key, struct slice value)
{
    assert_true(err_is_ok(flow_batch_builder_add(b, ms, key, value, NULL, 0)));
}

static void add_golden(struct flow_batch_builder *b)
{
    assert_true(err_is_ok(flow_batch_builder_add(b, 1700000000000, SLICE_LITERAL("key"),
                                                 SLICE_LITERAL("value"), two_headers, 2)));
    add(b, 1699999999000, NONE, SLICE_LITERAL(""));
    add(b, 1700000200000, SLICE_LITERAL(""), NONE);
}

static void assert_bytes(struct slice got, struct slice expected)
{
    assert_int_equal(got.data == NULL, expected.data == NULL);
    assert_int_equal(got.size, expected.size);
    assert_true(!got.data || slice_equal(got, expected));
}

static void assert_code(err_t err, enum err_code code)
{
    assert_int_equal(err.code, code);
}

static void a_batch_has_exactly_kafkas_bytes(void **state)
{
    (void)state;
    struct flow_batch_builder b;
    flow_batch_builder_init(&b);
    add_golden(&b);
    struct slice batch = flow_batch_builder_finish(&b);
    assert_int_equal(batch.size, sizeof(golden));
    assert_memory_equal(batch.data, golden, sizeof(golden));
    flow_batch_builder_done(&b);
}

static void a_batch_is_ended_again_with_fewer_records_and_other_values(void **state)
{
    (void)state;
    struct flow_batch_builder whole, part;
    flow_batch_builder_init(&whole);
    flow_batch_builder_init(&part);
    size_t size = 0;
    for (int i = 0; i < 3; i++) {
        assert_code(
            flow_batch_builder_add(&whole, 0, slice_make(NULL, 0), SLICE_LITERAL("value"), NULL, 0),
            ERR_OK);
        size = i == 1 ? whole.bytes.size : size;
    }
    for (int i = 0; i < 2; i++)
        assert_code(flow_batch_builder_add(&part, 12345, slice_make(NULL, 0),
                                           i == 1 ? SLICE_LITERAL("VALUE") : SLICE_LITERAL("value"),
                                           NULL, 0),
                    ERR_OK);
    uint8_t *batch = (uint8_t *)(uintptr_t)flow_batch_builder_finish(&whole).data;
    memcpy(batch + size - 6, "VALUE", 5);
    flow_batch_end(batch, size, 2, 12345);
    struct slice expected = flow_batch_builder_finish(&part);
    assert_int_equal(expected.size, size);
    assert_memory_equal(expected.data, batch, size);
    flow_batch_builder_done(&whole);
    flow_batch_builder_done(&part);
}

static void kafkas_bytes_are_read_back(void **state)
{
    (void)state;
    struct flow_batch batch;
    assert_code(flow_batch_parse(slice_make(golden, sizeof(golden)), &batch), ERR_OK);
    assert_code(flow_batch_check(&batch), ERR_OK);
    assert_int_equal(batch.base_offset, 0);
    assert_int_equal(batch.last_offset_delta, 2);
    assert_int_equal(batch.record_count, 3);
    assert_int_equal(batch.attributes, 0);
    assert_int_equal(batch.first_timestamp_ms, 1700000000000);
    assert_int_equal(batch.max_timestamp_ms, 1700000200000);
    assert_int_equal(batch.producer_id, -1);
    assert_int_equal(batch.producer_epoch, -1);
    assert_int_equal(batch.base_sequence, -1);

    struct flow_batch_iterator it = flow_batch_records(&batch);
    struct flow_record r;
    struct flow_header h;
    assert_code(flow_batch_next(&it, &r), ERR_OK);
    assert_int_equal(r.timestamp_ms, 1700000000000);
    assert_bytes(r.key, SLICE_LITERAL("key"));
    assert_bytes(r.value, SLICE_LITERAL("value"));
    assert_int_equal(r.header_count, 2);
    assert_true(flow_record_header(&r.headers, &h));
    assert_bytes(h.key, SLICE_LITERAL("a"));
    assert_bytes(h.value, SLICE_LITERAL("1"));
    assert_true(flow_record_header(&r.headers, &h));
    assert_bytes(h.key, SLICE_LITERAL("bb"));
    assert_bytes(h.value, NONE);
    assert_false(flow_record_header(&r.headers, &h));

    assert_code(flow_batch_next(&it, &r), ERR_OK);
    assert_int_equal(r.offset, 1);
    assert_int_equal(r.timestamp_ms, 1699999999000);
    assert_bytes(r.key, NONE);
    assert_bytes(r.value, SLICE_LITERAL(""));
    assert_code(flow_batch_next(&it, &r), ERR_OK);
    assert_bytes(r.key, SLICE_LITERAL(""));
    assert_bytes(r.value, NONE);
    assert_code(flow_batch_next(&it, &r), ERR_END);
}

static void the_base_offset_lies_outside_the_crc(void **state)
{
    (void)state;
    uint8_t bytes[sizeof(golden)];
    memcpy(bytes, golden, sizeof(golden));
    memset(bytes + 12, 0xff, 4);
    flow_batch_set_base_offset(bytes, 4711);
    /* The leader's epoch is the log's to say, too. */
    for (size_t i = 12; i < 16; i++)
        assert_int_equal(bytes[i], 0);
    struct flow_batch batch;
    assert_code(flow_batch_parse(slice_make(bytes, sizeof(bytes)), &batch), ERR_OK);
    assert_code(flow_batch_check(&batch), ERR_OK);
    struct flow_batch_iterator it = flow_batch_records(&batch);
    struct flow_record r;
    for (int64_t offset = 4711; offset < 4714; offset++) {
        assert_code(flow_batch_next(&it, &r), ERR_OK);
        assert_int_equal(r.offset, offset);
    }
}

static void what_follows_a_batch_is_not_part_of_it(void **state)
{
    (void)state;
    uint8_t bytes[sizeof(golden) + 7] = {0};
    memcpy(bytes, golden, sizeof(golden));
    struct flow_batch batch;
    assert_code(flow_batch_parse(slice_make(bytes, sizeof(bytes)), &batch), ERR_OK);
    assert_int_equal(batch.bytes.size, sizeof(golden));
}

static void every_torn_batch_is_told_as_short(void **state)
{
    (void)state;
    struct flow_batch batch = {.record_count = 99};
    for (size_t size = 0; size < sizeof(golden); size++) {
        /* A block of its own size, so that the sanitizer sees a read past its end. */
        uint8_t *part = mem_alloc(size);
        memcpy(part, golden, size);
        assert_code(flow_batch_parse(slice_make(part, size), &batch), ERR_END);
        mem_free(part);
    }
    assert_int_equal(batch.record_count, 99);
}

static void every_flipped_bit_under_the_crc_is_found(void **state)
{
    (void)state;
    for (size_t bit = (size_t)16 * 8; bit < sizeof(golden) * 8; bit++) {
        uint8_t bytes[sizeof(golden)];
        memcpy(bytes, golden, sizeof(golden));
        bytes[bit / 8] = (uint8_t)(bytes[bit / 8] ^ 1u << bit % 8);
        struct flow_batch batch;
        err_t err = flow_batch_parse(slice_make(bytes, sizeof(bytes)), &batch);
        if (err_is_ok(err))
            err = flow_batch_check(&batch);
        assert_code(err, ERR_CORRUPT);
    }
}

/* Parses `golden` with `size` bytes of it replaced at `at`. */
static err_t parse_patched(size_t at, const void *patch, size_t size)
{
    uint8_t bytes[sizeof(golden)];
    memcpy(bytes, golden, sizeof(golden));
    memcpy(bytes + at, patch, size);
    struct flow_batch batch;
    return flow_batch_parse(slice_make(bytes, sizeof(bytes)), &batch);
}

static void headers_that_contradict_themselves_are_corrupt(void **state)
{
    (void)state;
    uint8_t be[8];
    put_u32be(be, 48);
    assert_code(parse_patched(8, be, 4), ERR_CORRUPT);
    put_u32be(be, UINT32_C(0x80000059));
    assert_code(parse_patched(8, be, 4), ERR_CORRUPT);
    assert_code(parse_patched(16, "\1", 1), ERR_CORRUPT);
    put_u64be(be, UINT64_MAX);
    assert_code(parse_patched(0, be, 8), ERR_CORRUPT);
    put_u64be(be, INT64_MAX - 1);
    assert_code(parse_patched(0, be, 8), ERR_CORRUPT);
    put_u32be(be, UINT32_MAX);
    assert_code(parse_patched(23, be, 4), ERR_CORRUPT);
    put_u32be(be, 1);
    assert_code(parse_patched(23, be, 4), ERR_CORRUPT);
    put_u32be(be, UINT32_MAX);
    assert_code(parse_patched(57, be, 4), ERR_CORRUPT);
}

static void the_offset_behind_the_last_is_a_number_too(void **state)
{
    (void)state;
    uint8_t be[8];
    put_u64be(be, INT64_MAX - 2);
    assert_code(parse_patched(0, be, 8), ERR_CORRUPT);
    put_u64be(be, INT64_MAX - 3);
    assert_code(parse_patched(0, be, 8), ERR_OK);
}

static void more_records_than_bytes_is_corrupt(void **state)
{
    (void)state;
    uint8_t bytes[sizeof(golden)];
    memcpy(bytes, golden, sizeof(golden));
    put_u32be(bytes + 23, 1000000);
    put_u32be(bytes + 57, 1000000);
    struct flow_batch batch;
    assert_code(flow_batch_parse(slice_make(bytes, sizeof(bytes)), &batch), ERR_CORRUPT);
}

static void a_batch_with_holes_keeps_its_offsets(void **state)
{
    (void)state;
    struct flow_batch_builder b;
    flow_batch_builder_init(&b);
    add(&b, 5, NONE, SLICE_LITERAL("x"));
    struct slice whole = flow_batch_builder_finish(&b);
    /* The record of delta 0 stands for the only survivor of ten. */
    put_u32be(b.bytes.data + 23, 9);
    struct flow_batch batch;
    assert_code(flow_batch_parse(whole, &batch), ERR_OK);
    assert_int_equal(batch.last_offset_delta, 9);
    assert_int_equal(batch.record_count, 1);
    flow_batch_builder_done(&b);
}

static void records_of_a_compressed_batch_are_not_walked(void **state)
{
    (void)state;
    uint8_t bytes[sizeof(golden)];
    memcpy(bytes, golden, sizeof(golden));
    put_u16be(bytes + 21, 4);
    struct flow_batch batch;
    assert_code(flow_batch_parse(slice_make(bytes, sizeof(bytes)), &batch), ERR_OK);
    struct flow_batch_iterator it = flow_batch_records(&batch);
    struct flow_record r;
    assert_code(flow_batch_next(&it, &r), ERR_UNSUPPORTED);
}

/* Walks everything in `bytes` as far as it lets itself be read; returns how it ended. */
static err_t walk(struct slice bytes)
{
    struct flow_batch batch;
    TRY(flow_batch_parse(bytes, &batch));
    struct flow_batch_iterator it = flow_batch_records(&batch);
    struct flow_record r;
    uint32_t seen = 0;
    for (;;) {
        err_t err = flow_batch_next(&it, &r);
        if (!err_is_ok(err)) {
            assert_true(seen <= batch.record_count);
            return err;
        }
        seen++;
        struct flow_header h;
        while (flow_record_header(&r.headers, &h))
            assert_non_null(h.key.data);
    }
}

static void records_that_lie_about_sizes_are_corrupt(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        uint8_t byte;
    } lies[] = {
        {61, 0x7e}, /* a length past the batch's end */
        {61, 0x03}, /* a negative length */
        {61, 0x01}, /* no record at all */
        {64, 0x01}, /* a negative offset delta */
        {64, 0x06}, /* an offset delta past the last */
        {65, 0x03}, /* a key of -2 bytes */
        {65, 0x7e}, /* a key past the record's end */
        {75, 0x01}, /* a negative count of headers */
    };
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        uint8_t bytes[sizeof(golden)];
        memcpy(bytes, golden, sizeof(golden));
        bytes[lies[i].at] = lies[i].byte;
        assert_code(walk(slice_make(bytes, sizeof(bytes))), ERR_CORRUPT);
    }
}

static void bytes_behind_the_last_record_are_corrupt(void **state)
{
    (void)state;
    uint8_t bytes[sizeof(golden) + 1] = {0};
    memcpy(bytes, golden, sizeof(golden));
    put_u32be(bytes + 8, (uint32_t)sizeof(bytes) - 12);
    assert_code(walk(slice_make(bytes, sizeof(bytes))), ERR_CORRUPT);
}

static void a_header_without_a_key_ends_the_headers(void **state)
{
    (void)state;
    struct slice headers = slice_make("\x01\x02x", 3);
    struct flow_header h;
    assert_false(flow_record_header(&headers, &h));
    headers = slice_make("\x08x", 2);
    assert_false(flow_record_header(&headers, &h));
}

static void damaged_records_never_lead_out_of_the_batch(void **state)
{
    (void)state;
    uint64_t random = unit_seed();
    for (int round = 0; round < 20000; round++) {
        uint8_t *bytes = mem_alloc(sizeof(golden));
        memcpy(bytes, golden, sizeof(golden));
        for (uint64_t n = 1 + unit_random(&random) % 4; n > 0; n--)
            bytes[21 + unit_random(&random) % (sizeof(golden) - 21)] =
                (uint8_t)unit_random(&random);
        err_t err = walk(slice_make(bytes, sizeof(golden)));
        assert_true(err_is(err, ERR_END) || err_is(err, ERR_CORRUPT) ||
                    err_is(err, ERR_UNSUPPORTED));
        mem_free(bytes);
    }
}

static void any_records_come_back_as_they_were(void **state)
{
    (void)state;
    static uint8_t noise[70000];
    uint64_t random = unit_seed();
    for (size_t i = 0; i < sizeof(noise); i++)
        noise[i] = (uint8_t)unit_random(&random);
    for (int round = 0; round < 50; round++) {
        struct flow_batch_builder b;
        flow_batch_builder_init(&b);
        uint64_t start = random;
        uint32_t count = 1 + (uint32_t)(unit_random(&random) % 300);
        for (int pass = 0; pass < 2; pass++) {
            random = start;
            (void)unit_random(&random);
            struct flow_batch batch;
            struct flow_batch_iterator it = {0};
            if (pass == 1) {
                assert_code(flow_batch_parse(flow_batch_builder_finish(&b), &batch), ERR_OK);
                assert_code(flow_batch_check(&batch), ERR_OK);
                it = flow_batch_records(&batch);
            }
            for (uint32_t i = 0; i < count; i++) {
                size_t value_max = i == 7 ? sizeof(noise) : 200;
                struct slice key = slice_make(noise, unit_random(&random) % 100);
                struct slice value = slice_make(noise, unit_random(&random) % value_max);
                if (unit_random(&random) % 4 == 0)
                    key = NONE;
                int64_t ms = (int64_t)unit_random(&random);
                struct flow_record r;
                if (pass == 0) {
                    add(&b, ms, key, value);
                    continue;
                }
                assert_code(flow_batch_next(&it, &r), ERR_OK);
                assert_bytes(r.key, key);
                assert_bytes(r.value, value);
                assert_int_equal(r.timestamp_ms, ms);
                assert_int_equal(r.offset, i);
            }
            struct flow_record r;
            if (pass == 1)
                assert_code(flow_batch_next(&it, &r), ERR_END);
        }
        flow_batch_builder_done(&b);
    }
}

static void the_years_1_and_9999_share_a_batch(void **state)
{
    (void)state;
    struct flow_batch_builder b;
    flow_batch_builder_init(&b);
    add(&b, TIME_MS_MAX, NONE, SLICE_LITERAL("late"));
    add(&b, TIME_MS_MIN, NONE, SLICE_LITERAL("early"));
    struct flow_batch batch;
    assert_code(flow_batch_parse(flow_batch_builder_finish(&b), &batch), ERR_OK);
    assert_int_equal(batch.max_timestamp_ms, TIME_MS_MAX);
    struct flow_batch_iterator it = flow_batch_records(&batch);
    struct flow_record r;
    assert_code(flow_batch_next(&it, &r), ERR_OK);
    assert_int_equal(r.timestamp_ms, TIME_MS_MAX);
    assert_code(flow_batch_next(&it, &r), ERR_OK);
    assert_int_equal(r.timestamp_ms, TIME_MS_MIN);
    flow_batch_builder_done(&b);
}

static void a_rollback_leaves_what_was_there_before_the_mark(void **state)
{
    (void)state;
    struct flow_batch_builder b;
    flow_batch_builder_init(&b);
    struct flow_batch_mark empty = flow_batch_builder_mark(&b);
    add(&b, 9999999999999, NONE, SLICE_LITERAL("not this"));
    flow_batch_builder_rollback(&b, &empty);
    add_golden(&b);
    struct flow_batch_mark mark = flow_batch_builder_mark(&b);
    add(&b, 9999999999999, NONE, SLICE_LITERAL("nor this"));
    flow_batch_builder_rollback(&b, &mark);
    struct slice batch = flow_batch_builder_finish(&b);
    assert_int_equal(batch.size, sizeof(golden));
    assert_memory_equal(batch.data, golden, sizeof(golden));
    flow_batch_builder_done(&b);
}

static void a_reset_builder_keeps_only_as_much_as_it_may(void **state)
{
    (void)state;
    struct flow_batch_builder b;
    flow_batch_builder_init(&b);
    add_golden(&b);
    flow_batch_builder_reset(&b, 1 << 20);
    assert_non_null(b.bytes.data);
    add_golden(&b);
    assert_memory_equal(flow_batch_builder_finish(&b).data, golden, sizeof(golden));
    flow_batch_builder_reset(&b, 16);
    assert_null(b.bytes.data);
    add_golden(&b);
    assert_memory_equal(flow_batch_builder_finish(&b).data, golden, sizeof(golden));
    flow_batch_builder_done(&b);
}

/* The first record of a batch that is built of the golden one's by copying it behind `before`. */
static void assert_copied(const struct flow_record *original, const struct flow_header *before,
                          uint32_t before_count, uint32_t own_count, size_t own_size)
{
    struct flow_batch_builder b;
    struct flow_batch batch;
    struct flow_record r;
    struct flow_header h;
    flow_batch_builder_init(&b);
    assert_code(flow_batch_builder_add_record(&b, original, before, before_count), ERR_OK);
    assert_code(flow_batch_parse(flow_batch_builder_finish(&b), &batch), ERR_OK);
    struct flow_batch_iterator it = flow_batch_records(&batch);
    assert_code(flow_batch_next(&it, &r), ERR_OK);
    assert_int_equal(r.timestamp_ms, original->timestamp_ms);
    assert_bytes(r.key, original->key);
    assert_bytes(r.value, original->value);
    assert_int_equal(r.header_count, before_count + own_count);
    for (uint32_t i = 0; i < before_count; i++) {
        assert_true(flow_record_header(&r.headers, &h));
        assert_bytes(h.key, before[i].key);
        assert_bytes(h.value, before[i].value);
    }
    assert_int_equal(r.headers.size, own_size);
    assert_true(slice_equal(r.headers, slice_sub(original->headers, 0, own_size)));
    assert_code(flow_batch_next(&it, &r), ERR_END);
    flow_batch_builder_done(&b);
}

static void a_records_own_headers_are_copied_as_they_are(void **state)
{
    (void)state;
    struct flow_batch batch;
    struct flow_record records[3];
    assert_code(flow_batch_parse(slice_make(golden, sizeof(golden)), &batch), ERR_OK);
    struct flow_batch_iterator it = flow_batch_records(&batch);
    for (size_t i = 0; i < 3; i++) {
        assert_code(flow_batch_next(&it, &records[i]), ERR_OK);
        uint32_t own = records[i].header_count;
        assert_copied(&records[i], NULL, 0, own, records[i].headers.size);
        assert_copied(&records[i], two_headers, 2, own, records[i].headers.size);
    }
    /* A count that is a lie, and bytes that are no header: "a" and its value take four bytes. */
    records[0].header_count = UINT32_MAX;
    assert_copied(&records[0], two_headers, 1, 2, records[0].headers.size);
    records[0].headers.size--;
    assert_copied(&records[0], two_headers, 1, 1, 4);
    records[0].headers.size = 3;
    assert_copied(&records[0], two_headers, 1, 0, 0);
}

static void a_failed_allocation_adds_nothing_and_spoils_nothing(void **state)
{
    (void)state;
    static uint8_t large[100000];
    struct flow_batch_builder b;
    flow_batch_builder_init(&b);
    mem_fail_after(1);
    assert_code(flow_batch_builder_add(&b, 1, NONE, SLICE_LITERAL("x"), NULL, 0), ERR_MEMORY);
    add_golden(&b);
    mem_fail_after(1);
    struct slice value = slice_make(large, sizeof(large));
    assert_code(flow_batch_builder_add(&b, 1, NONE, value, NULL, 0), ERR_MEMORY);
    mem_fail_after(0);
    assert_memory_equal(flow_batch_builder_finish(&b).data, golden, sizeof(golden));
    flow_batch_builder_done(&b);
}

static void a_batch_never_passes_2_gib(void **state)
{
    (void)state;
    struct flow_batch_builder b;
    flow_batch_builder_init(&b);
    b.bytes.size_max = 200;
    add_golden(&b);
    static const uint8_t value[150];
    assert_code(flow_batch_builder_add(&b, 1, NONE, slice_make(value, sizeof(value)), NULL, 0),
                ERR_TOO_LARGE);
    assert_memory_equal(flow_batch_builder_finish(&b).data, golden, sizeof(golden));
    flow_batch_builder_done(&b);
}

static void records_can_be_left_out_of_a_batch(void **state)
{
    (void)state;
    uint64_t seed = unit_seed();
    for (int round = 0; round < 600; round++) {
        bool holes = round % 2;
        struct flow_batch_builder b;
        struct flow_batch batch, rest;
        uint8_t left_out[16] = {0};
        uint32_t count = 2 + (uint32_t)(unit_random(&seed) % 100);
        uint32_t kept = 0;
        flow_batch_builder_init(&b);
        for (uint32_t i = 0; i < count; i++) {
            uint8_t value[2] = {(uint8_t)i, (uint8_t)(i * 7)};
            int64_t ms = (int64_t)(unit_random(&seed) % 4 == 0 ? unit_random(&seed) >> 2 : i);
            add(&b, ms, i % 3 ? NONE : SLICE_LITERAL("k"),
                slice_make(value, unit_random(&seed) % 3));
            bool may = holes || kept > 0 || i + 1 < count;
            if (may && (round % 20 == 1 || unit_random(&seed) % 2))
                flow_set_bit(left_out, i);
            else
                kept++;
        }
        struct slice bytes = flow_batch_builder_finish(&b);
        assert_true(err_is_ok(flow_batch_parse(bytes, &batch)));
        uint8_t *out = mem_alloc(bytes.size);
        size_t size = flow_batch_without(&batch, left_out, holes, out);
        assert_true(err_is_ok(flow_batch_parse(slice_make(out, size), &rest)));
        assert_true(err_is_ok(flow_batch_check(&rest)));
        assert_int_equal(rest.bytes.size, size);
        assert_int_equal(rest.record_count, kept);
        /* With holes the last offset is the producer's, also where its record is left out. */
        assert_int_equal(rest.last_offset_delta, holes ? count - 1 : kept - 1);
        struct flow_batch_iterator all = flow_batch_records(&batch);
        struct flow_batch_iterator some = flow_batch_records(&rest);
        struct flow_record wanted, got;
        int64_t latest = INT64_MIN;
        int64_t offset = 0;
        for (uint32_t i = 0; i < count; i++) {
            assert_true(err_is_ok(flow_batch_next(&all, &wanted)));
            if (flow_bit(left_out, i))
                continue;
            assert_true(err_is_ok(flow_batch_next(&some, &got)));
            assert_int_equal(got.offset, holes ? i : offset++);
            assert_int_equal(got.timestamp_ms, wanted.timestamp_ms);
            assert_bytes(got.key, wanted.key);
            assert_bytes(got.value, wanted.value);
            latest = got.timestamp_ms > latest ? got.timestamp_ms : latest;
        }
        assert_code(flow_batch_next(&some, &got), ERR_END);
        assert_int_equal(rest.max_timestamp_ms, kept > 0 ? latest : -1);
        mem_free(out);
        flow_batch_builder_done(&b);
    }
}

/* Left out of one that has holes already, as the log does with what repeats a key. */
static void holes_stay_where_they_are_when_more_come(void **state)
{
    (void)state;
    struct flow_batch_builder b;
    struct flow_batch batch;
    struct flow_record record;
    uint8_t out[2][512];
    flow_batch_builder_init(&b);
    for (int64_t i = 0; i < 6; i++)
        add(&b, 100 + i, NONE, SLICE_LITERAL("v"));
    struct slice bytes = flow_batch_builder_finish(&b);
    flow_batch_set_base_offset(b.bytes.data, 1000);
    assert_true(err_is_ok(flow_batch_parse(bytes, &batch)));
    /* 1 and 5 of 0 to 5, then of 0, 2, 3, 4 the first and the third. */
    const uint8_t first = 0x22;
    const uint8_t then = 0x05;
    size_t size = flow_batch_without(&batch, &first, true, out[0]);
    assert_true(err_is_ok(flow_batch_parse(slice_make(out[0], size), &batch)));
    size = flow_batch_without(&batch, &then, true, out[1]);
    assert_true(err_is_ok(flow_batch_parse(slice_make(out[1], size), &batch)));
    assert_true(err_is_ok(flow_batch_check(&batch)));
    assert_int_equal(batch.base_offset, 1000);
    assert_int_equal(batch.record_count, 2);
    assert_int_equal(batch.last_offset_delta, 5);
    assert_int_equal(batch.max_timestamp_ms, 104);
    struct flow_batch_iterator it = flow_batch_records(&batch);
    for (int64_t offset = 1002; offset <= 1004; offset += 2) {
        assert_true(err_is_ok(flow_batch_next(&it, &record)));
        assert_int_equal(record.offset, offset);
        assert_int_equal(record.timestamp_ms, 100 + offset - 1000);
    }
    assert_code(flow_batch_next(&it, &record), ERR_END);
    flow_batch_builder_done(&b);
}

static void the_largest_time_can_be_put_right(void **state)
{
    (void)state;
    uint8_t bytes[sizeof(golden)];
    struct flow_batch batch;
    memcpy(bytes, golden, sizeof(golden));
    flow_batch_set_max_timestamp(bytes, sizeof(bytes), INT64_C(-1));
    assert_true(err_is_ok(flow_batch_parse(slice_make(bytes, sizeof(bytes)), &batch)));
    assert_true(err_is_ok(flow_batch_check(&batch)));
    assert_int_equal(batch.max_timestamp_ms, -1);
    /* Eight bytes of time and four of CRC are all that has changed. */
    assert_false(flow_batch_is_control(&batch));
    assert_memory_equal(bytes, golden, 17);
    assert_memory_equal(bytes + 21, golden + 21, 14);
    assert_memory_equal(bytes + 43, golden + 43, sizeof(golden) - 43);
}

static void a_marker_is_a_commit_and_no_consumers(void **state)
{
    (void)state;
    uint8_t bytes[FLOW_BATCH_MARKER_SIZE];
    struct flow_batch batch;
    struct flow_record record;
    flow_batch_put_marker(bytes, INT64_MAX - 2);
    assert_code(flow_batch_parse(slice_make(bytes, sizeof(bytes)), &batch), ERR_OK);
    assert_int_equal(batch.bytes.size, sizeof(bytes));
    assert_code(flow_batch_check(&batch), ERR_OK);
    /* Of no transaction, and control. */
    assert_int_equal(batch.attributes, 0x20);
    assert_true(flow_batch_is_control(&batch));
    assert_int_equal(batch.last_offset_delta, 0);
    assert_int_equal(batch.producer_id, -1);
    assert_int_equal(batch.max_timestamp_ms, -1);
    struct flow_batch_iterator it = flow_batch_records(&batch);
    assert_code(flow_batch_next(&it, &record), ERR_OK);
    assert_int_equal(record.offset, INT64_MAX - 2);
    assert_int_equal(record.timestamp_ms, -1);
    assert_true(slice_equal(record.key, slice_make("\0\0\0\1", 4)));
    assert_true(slice_equal(record.value, slice_make("\0\0\0\0\0\0", 6)));
    assert_int_equal(record.header_count, 0);
    assert_code(flow_batch_next(&it, &record), ERR_END);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_has_exactly_kafkas_bytes),
        cmocka_unit_test(kafkas_bytes_are_read_back),
        cmocka_unit_test(a_batch_is_ended_again_with_fewer_records_and_other_values),
        cmocka_unit_test(the_base_offset_lies_outside_the_crc),
        cmocka_unit_test(what_follows_a_batch_is_not_part_of_it),
        cmocka_unit_test(every_torn_batch_is_told_as_short),
        cmocka_unit_test(every_flipped_bit_under_the_crc_is_found),
        cmocka_unit_test(headers_that_contradict_themselves_are_corrupt),
        cmocka_unit_test(the_offset_behind_the_last_is_a_number_too),
        cmocka_unit_test(more_records_than_bytes_is_corrupt),
        cmocka_unit_test(a_batch_with_holes_keeps_its_offsets),
        cmocka_unit_test(records_of_a_compressed_batch_are_not_walked),
        cmocka_unit_test(records_that_lie_about_sizes_are_corrupt),
        cmocka_unit_test(bytes_behind_the_last_record_are_corrupt),
        cmocka_unit_test(a_header_without_a_key_ends_the_headers),
        cmocka_unit_test(damaged_records_never_lead_out_of_the_batch),
        cmocka_unit_test(any_records_come_back_as_they_were),
        cmocka_unit_test(the_years_1_and_9999_share_a_batch),
        cmocka_unit_test(a_rollback_leaves_what_was_there_before_the_mark),
        cmocka_unit_test(a_reset_builder_keeps_only_as_much_as_it_may),
        cmocka_unit_test(a_records_own_headers_are_copied_as_they_are),
        cmocka_unit_test(a_failed_allocation_adds_nothing_and_spoils_nothing),
        cmocka_unit_test(a_batch_never_passes_2_gib),
        cmocka_unit_test(records_can_be_left_out_of_a_batch),
        cmocka_unit_test(holes_stay_where_they_are_when_more_come),
        cmocka_unit_test(the_largest_time_can_be_put_right),
        cmocka_unit_test(a_marker_is_a_commit_and_no_consumers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
