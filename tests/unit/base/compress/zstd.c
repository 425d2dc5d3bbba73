#include "base/compress/zstd.h"

#include <zstd.h>

#include "unit/base/compress/samples.h"

static const struct samples_codec codec = {zstd_compress, zstd_decompress};

static void a_frame_says_how_large_its_content_is(void **state)
{
    (void)state;
    struct buf packed = {0};
    samples_assert_code(zstd_compress(SLICE_LITERAL("some bytes"), &packed), ERR_OK);
    assert_memory_equal(packed.data, "\x28\xb5\x2f\xfd", 4);
    assert_int_equal(ZSTD_getFrameContentSize(packed.data, packed.size), 10);
    buf_done(&packed);
}

/* As a stream: no size, a window of 128 MiB, and blocks that end where the writer flushed. */
static void frames_of_other_writers_are_read(void **state)
{
    (void)state;
    uint64_t random = unit_seed();
    struct buf lines = samples_lines(300000, &random);
    struct buf packed = {0};
    size_t bound = ZSTD_compressBound(lines.size) + 1000;
    ZSTD_outBuffer to = {buf_reserve(&packed, bound), bound, 0};
    ZSTD_CCtx *context = ZSTD_createCCtx();
    assert_non_null(context);
    assert_false(ZSTD_isError(ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, 27)));
    assert_false(ZSTD_isError(ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1)));
    for (size_t at = 0; at < lines.size; at += 100000) {
        ZSTD_inBuffer from = {lines.data + at, 100000, 0};
        assert_int_equal(ZSTD_compressStream2(context, &to, &from, ZSTD_e_flush), 0);
    }
    ZSTD_inBuffer nothing = {NULL, 0, 0};
    assert_int_equal(ZSTD_compressStream2(context, &to, &nothing, ZSTD_e_end), 0);
    (void)ZSTD_freeCCtx(context);
    buf_advance(&packed, to.pos);
    assert_int_equal(ZSTD_getFrameContentSize(packed.data, packed.size), ZSTD_CONTENTSIZE_UNKNOWN);
    struct buf out = {0};
    samples_assert_code(zstd_decompress(buf_slice(&packed), lines.size, &out), ERR_OK);
    assert_true(slice_equal(buf_slice(&out), buf_slice(&lines)));
    buf_done(&out);
    samples_assert_refused(&codec, buf_slice(&packed), lines.size - 1, ERR_TOO_LARGE);
    packed.data[packed.size - 1] ^= 1;
    samples_assert_refused(&codec, buf_slice(&packed), lines.size, ERR_CORRUPT);
    buf_done(&packed);
    buf_done(&lines);
}

/* The magic numbers of versions 0.5 to 0.7, and of a frame to be skipped. */
static void formats_from_before_the_standard_are_refused(void **state)
{
    (void)state;
    static const char *const frames[] = {"\x25\xb5\x2f\xfd", "\x26\xb5\x2f\xfd", "\x27\xb5\x2f\xfd",
                                         "\x50\x2a\x4d\x18"};
    for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
        uint8_t bytes[64] = {0};
        memcpy(bytes, frames[i], 4);
        for (size_t size = 4; size <= sizeof(bytes); size++)
            samples_assert_refused(&codec, slice_make(bytes, size), 1000, ERR_CORRUPT);
    }
}

/* A header that promises 1 GiB of content takes no more than the limit. */
static void a_promise_is_not_believed(void **state)
{
    (void)state;
    static const uint8_t frame[] = {0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0x00, 0x00,
                                    0x00, 0x40, 0x09, 0x00, 0x00, 'x'};
    struct buf out = {0};
    err_t err = zstd_decompress(slice_make(frame, sizeof(frame)), 5000, &out);
    assert_true(err_is(err, ERR_CORRUPT) || err_is(err, ERR_TOO_LARGE));
    assert_in_range(out.capacity, 0, 5000);
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SAMPLES_TESTS(&codec),
        cmocka_unit_test(a_frame_says_how_large_its_content_is),
        cmocka_unit_test(frames_of_other_writers_are_read),
        cmocka_unit_test(formats_from_before_the_standard_are_refused),
        cmocka_unit_test(a_promise_is_not_believed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
