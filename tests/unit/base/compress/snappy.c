#include "base/compress/snappy.h"

#include <snappy-c.h>

#include "base/cursor.h"
#include "unit/base/compress/samples.h"

static const struct samples_codec codec = {snappy_pack, snappy_unpack};

/* What snappy-java's streams begin with, and blocks of 32 KiB. */
static void a_stream_has_javas_header_and_blocks(void **state)
{
    (void)state;
    struct buf plain = {0};
    struct buf packed = {0};
    uint8_t *room = buf_reserve(&plain, 40000);
    assert_non_null(room);
    memset(room, 'a', 40000);
    buf_advance(&plain, 40000);
    samples_assert_code(snappy_pack(buf_slice(&plain), &packed), ERR_OK);
    assert_memory_equal(packed.data, "\x82SNAPPY\0\0\0\0\1\0\0\0\1", 16);
    size_t at = 16;
    size_t total = 0;
    for (uint32_t blocks = 0; blocks < 2; blocks++) {
        uint32_t size = get_u32be(packed.data + at);
        size_t length;
        assert_in_range(size, 1, packed.size - at - 4);
        assert_int_equal(
            snappy_uncompressed_length((const char *)packed.data + at + 4, size, &length),
            SNAPPY_OK);
        assert_int_equal(length, blocks == 0 ? 32768 : 40000 - 32768);
        at += 4 + size;
        total += length;
    }
    assert_int_equal(at, packed.size);
    assert_int_equal(total, 40000);
    buf_done(&packed);
    buf_done(&plain);
}

/* As librdkafka sends it. */
static void a_bare_block_is_read(void **state)
{
    (void)state;
    uint64_t random = unit_seed();
    struct buf lines = samples_lines(100000, &random);
    struct buf packed = {0};
    size_t size = snappy_max_compressed_length(lines.size);
    uint8_t *room = buf_reserve(&packed, size);
    assert_non_null(room);
    assert_int_equal(snappy_compress((const char *)lines.data, lines.size, (char *)room, &size),
                     SNAPPY_OK);
    buf_advance(&packed, size);
    struct buf out = {0};
    samples_assert_code(snappy_unpack(buf_slice(&packed), lines.size, &out), ERR_OK);
    assert_true(slice_equal(buf_slice(&out), buf_slice(&lines)));
    buf_done(&out);
    samples_assert_refused(&codec, buf_slice(&packed), lines.size - 1, ERR_TOO_LARGE);
    for (size_t cut = 1; cut < 100; cut++)
        samples_assert_refused(&codec, slice_make(packed.data, packed.size - cut), lines.size,
                               ERR_CORRUPT);
    buf_done(&packed);
    buf_done(&lines);
}

/* 4 GiB by its own word, and a version that came after ours. */
static void what_a_stream_says_is_not_believed(void **state)
{
    (void)state;
    samples_assert_refused(&codec, SLICE_LITERAL("\xff\xff\xff\xff\x0f\x00x"), 1000, ERR_CORRUPT);
    samples_assert_refused(&codec, SLICE_LITERAL("\x82SNAPPY\0\0\0\0\1\0\0\0\1\xff\xff\xff\xffx"),
                           1000, ERR_CORRUPT);
    samples_assert_refused(&codec, SLICE_LITERAL("\x82SNAPPY\0\0\0\0\2\0\0\0\2\0\0\0\3\1\0x"), 1000,
                           ERR_CORRUPT);
    struct buf out = {0};
    samples_assert_code(
        snappy_unpack(SLICE_LITERAL("\x82SNAPPY\0\0\0\0\2\0\0\0\1\0\0\0\3\1\0x"), 1000, &out),
        ERR_OK);
    assert_slice(buf_slice(&out), "x");
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SAMPLES_TESTS(&codec),
        cmocka_unit_test(a_stream_has_javas_header_and_blocks),
        cmocka_unit_test(a_bare_block_is_read),
        cmocka_unit_test(what_a_stream_says_is_not_believed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
