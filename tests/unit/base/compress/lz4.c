#include "base/compress/lz4.h"

#include <lz4frame.h>

#include "unit/base/compress/samples.h"

static const struct samples_codec codec = {lz4_compress, lz4_decompress};

/* Kafka's readers want this descriptor and no other: version 1, independent blocks, no checksums,
 * no size of the content; blocks of 64 KiB. */
static void a_frame_has_kafkas_descriptor(void **state)
{
    (void)state;
    struct buf packed = {0};
    samples_assert_code(lz4_compress(SLICE_LITERAL("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), &packed),
                        ERR_OK);
    assert_memory_equal(packed.data, "\x04\x22\x4d\x18\x60\x40\x82", 7);
    assert_memory_equal(packed.data + packed.size - 4, "\0\0\0\0", 4);
    buf_done(&packed);
}

/* Blocks that depend on each other, the size of the content, checksums of it and of the blocks. */
static void frames_of_other_writers_are_read(void **state)
{
    (void)state;
    uint64_t random = unit_seed();
    struct buf lines = samples_lines(300000, &random);
    const LZ4F_preferences_t preferences = {
        .frameInfo = {.blockSizeID = LZ4F_max256KB,
                      .blockMode = LZ4F_blockLinked,
                      .contentChecksumFlag = LZ4F_contentChecksumEnabled,
                      .contentSize = 1,
                      .blockChecksumFlag = LZ4F_blockChecksumEnabled},
        .compressionLevel = 9,
    };
    struct buf packed = {0};
    size_t bound = LZ4F_compressFrameBound(lines.size, &preferences);
    uint8_t *room = buf_reserve(&packed, bound);
    assert_non_null(room);
    size_t size = LZ4F_compressFrame(room, bound, lines.data, lines.size, &preferences);
    assert_false(LZ4F_isError(size));
    buf_advance(&packed, size);
    struct buf out = {0};
    samples_assert_code(lz4_decompress(buf_slice(&packed), lines.size, &out), ERR_OK);
    assert_true(slice_equal(buf_slice(&out), buf_slice(&lines)));
    buf_done(&out);
    /* Here a flip is found. */
    packed.data[packed.size - 100] ^= 1;
    samples_assert_refused(&codec, buf_slice(&packed), lines.size, ERR_CORRUPT);
    buf_done(&packed);
    buf_done(&lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SAMPLES_TESTS(&codec),
        cmocka_unit_test(a_frame_has_kafkas_descriptor),
        cmocka_unit_test(frames_of_other_writers_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
