#include "base/compress/gzip.h"

#define ZLIB_CONST
#include <zlib.h>

#include "unit/base/compress/samples.h"

static const struct samples_codec codec = {gzip_compress, gzip_decompress};

/* A name, a comment and a CRC of the header (RFC 1952 section 2.3), the highest level. */
static void members_of_other_writers_are_read(void **state)
{
    (void)state;
    uint64_t random = unit_seed();
    struct buf lines = samples_lines(300000, &random);
    struct buf packed = {0};
    unsigned char name[] = "batch";
    gz_header header = {.name = name, .comment = name, .hcrc = 1};
    z_stream stream = {.next_in = lines.data, .avail_in = (unsigned)lines.size};
    assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, 31, 9, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflateSetHeader(&stream, &header), Z_OK);
    stream.avail_out = (unsigned)lines.size;
    stream.next_out = buf_reserve(&packed, lines.size);
    assert_non_null(stream.next_out);
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    buf_advance(&packed, lines.size - stream.avail_out);
    assert_int_equal(deflateEnd(&stream), Z_OK);
    struct buf out = {0};
    samples_assert_code(gzip_decompress(buf_slice(&packed), lines.size, &out), ERR_OK);
    assert_true(slice_equal(buf_slice(&out), buf_slice(&lines)));
    buf_done(&out);
    /* The sum of the content and its size stand at the end. */
    for (size_t back = 1; back <= 8; back++) {
        packed.data[packed.size - back] ^= 1;
        samples_assert_refused(&codec, buf_slice(&packed), lines.size, ERR_CORRUPT);
        packed.data[packed.size - back] ^= 1;
    }
    buf_done(&packed);
    buf_done(&lines);
}

/* Bytes that Python's gzip.compress(b"one,two,three" * 3, mtime=0) gave, and zlib's and raw
 * deflate's forms, which are no gzip. */
static void only_gzip_is_gzip(void **state)
{
    (void)state;
    static const uint8_t member[] = {0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02,
                                     0x03, 0xcb, 0xcf, 0x4b, 0xd5, 0x29, 0x29, 0xcf, 0xd7,
                                     0x29, 0xc9, 0x28, 0x4a, 0x4d, 0xcd, 0xc7, 0xc9, 0x01,
                                     0x00, 0x21, 0xb2, 0x1f, 0x4d, 0x27, 0x00, 0x00, 0x00};
    struct buf out = {0};
    samples_assert_code(gzip_decompress(slice_make(member, sizeof(member)), 39, &out), ERR_OK);
    assert_slice(buf_slice(&out), "one,two,threeone,two,threeone,two,three");
    buf_done(&out);
    samples_assert_refused(&codec, slice_make(member + 10, sizeof(member) - 18), 39, ERR_CORRUPT);
    samples_assert_refused(&codec, SLICE_LITERAL("\x78\x9c\x4b\x04\x00\x00\x62\x00\x62"), 39,
                           ERR_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SAMPLES_TESTS(&codec),
        cmocka_unit_test(members_of_other_writers_are_read),
        cmocka_unit_test(only_gzip_is_gzip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
