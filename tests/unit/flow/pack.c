#include "base/hash.h"
#include "unit/flow/batches.h"
#include "unit/flow/hollow.h"

static const enum flow_codec codecs[] = {FLOW_CODEC_GZIP, FLOW_CODEC_SNAPPY, FLOW_CODEC_LZ4,
                                         FLOW_CODEC_ZSTD};
#define CODEC_COUNT (sizeof(codecs) / sizeof(codecs[0]))

/* Three records as kafka-python 3.0.12 packs them with python-snappy 0.7.3, lz4 4.4.5 and zstandard
 * 0.25.0. */
static const uint8_t gzip_golden[] = {
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x68, 0x00, 0x00, 0x00,
    0x00, 0x02, 0x2b, 0x34, 0xf7, 0x76, 0x00, 0x01, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x01,
    0x8b, 0xcf, 0xe5, 0x68, 0x00, 0x00, 0x00, 0x01, 0x8b, 0xcf, 0xe5, 0x6f, 0xd0, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00,
    0x03, 0x1f, 0x8b, 0x08, 0x00, 0x9b, 0xed, 0x0a, 0x6b, 0x02, 0xff, 0xbb, 0xc3, 0xc8, 0xc0,
    0xc0, 0xc0, 0x96, 0x9d, 0x5a, 0x79, 0x82, 0xb1, 0x2c, 0x31, 0xa7, 0x34, 0x55, 0x81, 0xb6,
    0x24, 0xc3, 0x3d, 0x46, 0x86, 0x0b, 0xfc, 0x4c, 0xf4, 0xb5, 0x70, 0x81, 0x3c, 0x0b, 0x1d,
    0x2d, 0x04, 0x00, 0x10, 0xe3, 0xae, 0x2c, 0x52, 0x01, 0x00, 0x00};
static const uint8_t snappy_golden[] = {
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x77, 0x00, 0x00, 0x00,
    0x00, 0x02, 0xc6, 0x9d, 0x7b, 0x52, 0x00, 0x02, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x01,
    0x8b, 0xcf, 0xe5, 0x68, 0x00, 0x00, 0x00, 0x01, 0x8b, 0xcf, 0xe5, 0x6f, 0xd0, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00,
    0x03, 0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00,
    0x00, 0x01, 0x00, 0x00, 0x00, 0x32, 0xd2, 0x02, 0x40, 0xdc, 0x01, 0x00, 0x00, 0x00, 0x06,
    0x6b, 0x65, 0x79, 0xc8, 0x01, 0x76, 0x61, 0x6c, 0x75, 0x65, 0x20, 0xfe, 0x06, 0x00, 0x76,
    0x06, 0x00, 0x18, 0x00, 0xde, 0x01, 0x00, 0xd0, 0x0f, 0x02, 0xfe, 0x71, 0x00, 0xb6, 0x71,
    0x00, 0x08, 0xa0, 0x1f, 0x04, 0xfe, 0x71, 0x00, 0xaa, 0x71, 0x00};
static const uint8_t lz4_golden[] = {
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x76, 0x00, 0x00, 0x00,
    0x00, 0x02, 0xe8, 0xf0, 0x4a, 0x4d, 0x00, 0x03, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x01,
    0x8b, 0xcf, 0xe5, 0x68, 0x00, 0x00, 0x00, 0x01, 0x8b, 0xcf, 0xe5, 0x6f, 0xd0, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00,
    0x03, 0x04, 0x22, 0x4d, 0x18, 0x68, 0x40, 0x52, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x7e, 0x2e, 0x00, 0x00, 0x00, 0xff, 0x02, 0xdc, 0x01, 0x00, 0x00, 0x00, 0x06, 0x6b, 0x65,
    0x79, 0xc8, 0x01, 0x76, 0x61, 0x6c, 0x75, 0x65, 0x20, 0x06, 0x00, 0x4b, 0x7f, 0x00, 0xde,
    0x01, 0x00, 0xd0, 0x0f, 0x02, 0x71, 0x00, 0x5b, 0x3f, 0xa0, 0x1f, 0x04, 0x71, 0x00, 0x53,
    0x50, 0x76, 0x61, 0x6c, 0x75, 0x00, 0x00, 0x00, 0x00, 0x00};
static const uint8_t zstd_golden[] = {
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x63, 0x00, 0x00, 0x00, 0x00,
    0x02, 0xd5, 0xa1, 0x70, 0xaf, 0x00, 0x04, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x01, 0x8b, 0xcf,
    0xe5, 0x68, 0x00, 0x00, 0x00, 0x01, 0x8b, 0xcf, 0xe5, 0x6f, 0xd0, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x03, 0x28, 0xb5, 0x2f,
    0xfd, 0x60, 0x52, 0x00, 0x45, 0x01, 0x00, 0xd8, 0xdc, 0x01, 0x00, 0x00, 0x00, 0x06, 0x6b, 0x65,
    0x79, 0xc8, 0x01, 0x76, 0x61, 0x6c, 0x75, 0x65, 0x20, 0x00, 0xde, 0x01, 0x00, 0xd0, 0x0f, 0x02,
    0xa0, 0x1f, 0x04, 0x03, 0x00, 0x08, 0xd2, 0xb1, 0xe8, 0x90, 0x9a, 0x9b, 0xa9, 0x2c, 0x01};

/* In the order of `codecs`. */
static const struct slice goldens[] = {
    {gzip_golden, sizeof(gzip_golden)},
    {snappy_golden, sizeof(snappy_golden)},
    {lz4_golden, sizeof(lz4_golden)},
    {zstd_golden, sizeof(zstd_golden)},
};

static void packed_batches_of_kafka_python_are_walked(void **state)
{
    (void)state;
    struct buf out = {0};
    for (size_t i = 0; i < CODEC_COUNT; i++) {
        struct flow_batch batch = batches_parse(goldens[i]);
        assert_int_equal(flow_batch_codec(&batch), codecs[i]);
        batches_assert_code(flow_batch_unpack(&batch, 10000, &out), ERR_OK);
        batches_assert_code(flow_batch_check(&batch), ERR_OK);
        assert_int_equal(flow_batch_codec(&batch), FLOW_CODEC_NONE);
        assert_int_equal(batch.record_count, 3);
        struct flow_batch_iterator it = flow_batch_records(&batch);
        struct flow_record r;
        for (int64_t n = 0; n < 3; n++) {
            batches_assert_code(flow_batch_next(&it, &r), ERR_OK);
            assert_int_equal(r.offset, n);
            assert_int_equal(r.timestamp_ms, 1700000000000 + n * 1000);
            assert_slice(r.key, "key");
            assert_int_equal(r.value.size, 100);
            assert_slice(slice_sub(r.value, 0, 9), "value val");
        }
        batches_assert_end(&it);
    }
    buf_done(&out);
}

static void packing_makes_a_smaller_batch_that_says_the_same(void **state)
{
    (void)state;
    uint64_t random = unit_seed();
    struct buf packed = {0};
    struct buf out = {0};
    for (size_t i = 0; i < CODEC_COUNT; i++) {
        struct flow_batch_builder b;
        struct flow_batch plain =
            batches_random(&b, 500, BATCHES_BASE_OFFSET, 1700000000000, &random);
        buf_reset(&packed);
        buf_add_string(&packed, "before");
        batches_assert_code(flow_batch_pack(&plain, codecs[i], &packed), ERR_OK);
        assert_slice(slice_sub(buf_slice(&packed), 0, 6), "before");
        struct slice bytes = slice_sub(buf_slice(&packed), 6, packed.size);
        assert_in_range(bytes.size, FLOW_BATCH_HEADER_SIZE, plain.bytes.size / 2);
        struct flow_batch batch = batches_parse(bytes);
        assert_int_equal(batch.bytes.size, bytes.size);
        assert_int_equal(flow_batch_codec(&batch), codecs[i]);
        assert_int_equal(batch.base_offset, BATCHES_BASE_OFFSET);
        assert_int_equal(batch.record_count, 500);
        /* Byte by byte what it was. */
        batches_assert_code(flow_batch_unpack(&batch, 1 << 20, &out), ERR_OK);
        batches_assert_bytes(batch.bytes, plain.bytes);
        assert_ptr_equal(batch.bytes.data, out.data);
        flow_batch_builder_done(&b);
    }
    buf_done(&out);
    buf_done(&packed);
}

/* Holes, producer, kind of time: bytes of the header that the codec has nothing to do with. */
static void packing_leaves_the_rest_of_the_header(void **state)
{
    (void)state;
    uint64_t random = unit_seed();
    for (size_t i = 0; i < CODEC_COUNT; i++) {
        struct flow_batch_builder b;
        (void)batches_random(&b, 100, 7, 0, &random);
        uint8_t *bytes = b.bytes.data;
        put_u16be(bytes + 21, 0x18);
        put_u32be(bytes + 23, 250);
        put_u64be(bytes + 43, 4711);
        put_u16be(bytes + 51, 3);
        put_u32be(bytes + 53, 99);
        put_u32be(bytes + 17, crc32c(0, bytes + 21, b.bytes.size - 21));
        struct flow_batch plain = batches_parse(buf_slice(&b.bytes));
        struct buf packed = {0};
        struct buf out = {0};
        batches_assert_code(flow_batch_pack(&plain, codecs[i], &packed), ERR_OK);
        struct flow_batch batch = batches_parse(buf_slice(&packed));
        assert_int_equal(batch.attributes, 0x18 | codecs[i]);
        assert_int_equal(batch.last_offset_delta, 250);
        assert_int_equal(batch.producer_id, 4711);
        assert_int_equal(batch.producer_epoch, 3);
        assert_int_equal(batch.base_sequence, 99);
        batches_assert_code(flow_batch_unpack(&batch, 1 << 20, &out), ERR_OK);
        batches_assert_bytes(batch.bytes, plain.bytes);
        buf_done(&packed);
        buf_done(&out);
        flow_batch_builder_done(&b);
    }
}

static void a_batch_that_does_not_get_smaller_stays_plain(void **state)
{
    (void)state;
    struct flow_batch_builder b;
    flow_batch_builder_init(&b);
    batches_assert_code(
        flow_batch_builder_add(&b, 1, slice_make(NULL, 0), SLICE_LITERAL("x"), NULL, 0), ERR_OK);
    struct slice bytes = flow_batch_builder_finish(&b);
    /* Of one record, then of none. */
    for (size_t i = 0; i < 2 * CODEC_COUNT; i++) {
        struct buf out = {0};
        if (i == CODEC_COUNT)
            bytes.size = hollow(b.bytes.data, bytes.size);
        struct flow_batch plain = batches_parse(bytes);
        buf_add_string(&out, "before");
        batches_assert_code(flow_batch_pack(&plain, codecs[i % CODEC_COUNT], &out), ERR_OK);
        batches_assert_bytes(slice_sub(buf_slice(&out), 6, out.size), plain.bytes);
        buf_done(&out);
    }
    flow_batch_builder_done(&b);
}

static void what_is_packed_or_is_to_stay_plain_is_copied(void **state)
{
    (void)state;
    struct flow_batch packed = batches_parse(slice_make(lz4_golden, sizeof(lz4_golden)));
    struct buf out = {0};
    batches_assert_code(flow_batch_pack(&packed, FLOW_CODEC_ZSTD, &out), ERR_OK);
    batches_assert_bytes(buf_slice(&out), packed.bytes);
    uint64_t random = unit_seed();
    struct flow_batch_builder b;
    struct flow_batch plain = batches_random(&b, 50, 0, 0, &random);
    buf_reset(&out);
    batches_assert_code(flow_batch_pack(&plain, FLOW_CODEC_NONE, &out), ERR_OK);
    batches_assert_bytes(buf_slice(&out), plain.bytes);
    flow_batch_builder_done(&b);
    buf_done(&out);
}

static void a_plain_batch_is_unpacked_where_it_is(void **state)
{
    (void)state;
    uint64_t random = unit_seed();
    struct flow_batch_builder b;
    struct flow_batch batch = batches_random(&b, 50, 0, 0, &random);
    const uint8_t *data = batch.bytes.data;
    struct buf out = {0};
    batches_assert_code(flow_batch_unpack(&batch, 1, &out), ERR_OK);
    assert_ptr_equal(batch.bytes.data, data);
    assert_null(out.data);
    flow_batch_builder_done(&b);
}

/* A copy of a packed golden batch with `size` bytes of it replaced at `at`, unpacked. */
static void assert_patched(struct slice golden, size_t at, const char *patch, size_t size,
                           size_t size_max, enum err_code code)
{
    uint8_t bytes[256];
    assert_in_range(golden.size, 1, sizeof(bytes));
    memcpy(bytes, golden.data, golden.size);
    memcpy(bytes + at, patch, size);
    struct flow_batch batch;
    batches_assert_code(flow_batch_parse(slice_make(bytes, golden.size), &batch), ERR_OK);
    struct flow_batch before = batch;
    struct buf out = {0};
    batches_assert_code(flow_batch_unpack(&batch, size_max, &out), code);
    assert_ptr_equal(batch.bytes.data, before.bytes.data);
    assert_int_equal(batch.attributes, before.attributes);
    assert_true(buf_ok(&out));
    buf_done(&out);
}

static void codecs_that_are_not_built_in_are_told(void **state)
{
    (void)state;
    struct slice golden = slice_make(lz4_golden, sizeof(lz4_golden));
    static const char *const numbers[] = {"\5", "\6", "\7"};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        assert_patched(golden, 22, numbers[i], 1, 10000, ERR_UNSUPPORTED);
}

static void packed_records_that_are_no_records_are_corrupt(void **state)
{
    (void)state;
    struct slice lz4 = slice_make(lz4_golden, sizeof(lz4_golden));
    struct slice zstd = slice_make(zstd_golden, sizeof(zstd_golden));
    /* The other one's codec, and a first byte that is not the magic number's. */
    assert_patched(lz4, 22, "\4", 1, 10000, ERR_CORRUPT);
    assert_patched(zstd, 22, "\3", 1, 10000, ERR_CORRUPT);
    assert_patched(lz4, 61, "x", 1, 10000, ERR_CORRUPT);
    assert_patched(zstd, 61, "x", 1, 10000, ERR_CORRUPT);
    /* A hundred thousand records, which so few bytes cannot hold. */
    uint8_t bytes[sizeof(lz4_golden)];
    memcpy(bytes, lz4_golden, sizeof(bytes));
    put_u32be(bytes + 23, 99999);
    put_u32be(bytes + 57, 100000);
    assert_patched(slice_make(bytes, sizeof(bytes)), 61, "\4", 1, 10000, ERR_CORRUPT);
}

static void more_than_is_allowed_is_too_large(void **state)
{
    (void)state;
    for (size_t i = 0; i < CODEC_COUNT; i++) {
        struct flow_batch batch = batches_parse(goldens[i]);
        struct buf out = {0};
        batches_assert_code(flow_batch_unpack(&batch, 1000, &out), ERR_OK);
        size_t size = batch.bytes.size - FLOW_BATCH_HEADER_SIZE;
        buf_done(&out);
        assert_patched(goldens[i], 61, (const char *)goldens[i].data + 61, 1, size - 1,
                       ERR_TOO_LARGE);
    }
}

static void failed_allocations_leave_the_buffer_as_it_was(void **state)
{
    (void)state;
    uint64_t random = unit_seed();
    struct flow_batch_builder b;
    struct flow_batch plain = batches_random(&b, 300, 0, 0, &random);
    for (size_t i = 0; i < CODEC_COUNT; i++) {
        struct buf packed = {0};
        err_t err = err_make(ERR_MEMORY);
        uint64_t failed = 0;
        for (; err_is(err, ERR_MEMORY); failed++) {
            buf_done(&packed);
            mem_fail_after(failed + 1);
            err = flow_batch_pack(&plain, codecs[i], &packed);
            assert_true(buf_ok(&packed) && (packed.size == 0) == !err_is_ok(err));
        }
        assert_in_range(failed, 2, 20);
        batches_assert_code(err, ERR_OK);
        struct buf out = {0};
        err = err_make(ERR_MEMORY);
        for (failed = 0; err_is(err, ERR_MEMORY); failed++) {
            buf_done(&out);
            struct flow_batch batch = batches_parse(buf_slice(&packed));
            mem_fail_after(failed + 1);
            err = flow_batch_unpack(&batch, 1 << 20, &out);
            assert_true(buf_ok(&out));
        }
        assert_in_range(failed, 3, 20);
        batches_assert_code(err, ERR_OK);
        batches_assert_bytes(buf_slice(&out), plain.bytes);
        buf_done(&out);
        buf_done(&packed);
    }
    mem_fail_after(0);
    flow_batch_builder_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packed_batches_of_kafka_python_are_walked),
        cmocka_unit_test(packing_makes_a_smaller_batch_that_says_the_same),
        cmocka_unit_test(packing_leaves_the_rest_of_the_header),
        cmocka_unit_test(a_batch_that_does_not_get_smaller_stays_plain),
        cmocka_unit_test(what_is_packed_or_is_to_stay_plain_is_copied),
        cmocka_unit_test(a_plain_batch_is_unpacked_where_it_is),
        cmocka_unit_test(codecs_that_are_not_built_in_are_told),
        cmocka_unit_test(packed_records_that_are_no_records_are_corrupt),
        cmocka_unit_test(more_than_is_allowed_is_too_large),
        cmocka_unit_test(failed_allocations_leave_the_buffer_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
