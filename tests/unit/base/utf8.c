#include "base/utf8.h"

#include "base/alloc.h"
#include "lib/unit.h"

static void text_of_every_length_is_valid(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "plain",
        "\x7f",
        "\xc2\x80",
        "\xdf\xbf",
        "\xe0\xa0\x80",
        "\xed\x9f\xbf",
        "\xee\x80\x80",
        "\xef\xbf\xbf",
        "\xf0\x90\x80\x80",
        "\xf4\x8f\xbf\xbf",
        "Gr\xc3\xbcn, \xe4\xb8\x96\xe7\x95\x8c \xf0\x9f\x9a\x80 and more",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_true(utf8_valid(slice_string(texts[i])));
    assert_true(utf8_valid(slice_make(NULL, 0)));
    assert_true(utf8_valid(SLICE_LITERAL("a\0b")));
}

static void what_is_not_utf8_is_found_where_it_stands(void **state)
{
    (void)state;
    static const char *const broken[] = {
        "\x80", /* a continuation alone */
        "\xbf",
        "\xc0\x80", /* overlong */
        "\xc1\xbf",
        "\xe0\x9f\xbf",
        "\xf0\x8f\xbf\xbf",
        "\xed\xa0\x80", /* surrogates */
        "\xed\xbf\xbf",
        "\xf4\x90\x80\x80", /* over U+10FFFF */
        "\xf5\x80\x80\x80",
        "\xff",
        "\xc3", /* cut short */
        "\xe4\xb8",
        "\xf0\x9f\x9a",
        "\xc3(", /* no continuation */
        "\xe4(\x96",
        "\xe4\xb8(",
        "\xf0\x9f(\x80",
        "\xf0\x9f\x9a(",
    };
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        for (size_t before = 0; before < 20; before++) {
            char text[40] = "0123456789abcdefghij";
            size_t size = strlen(broken[i]);
            memcpy(text + before, broken[i], size);
            assert_int_equal(utf8_valid_prefix(slice_make(text, before + size)), before);
            assert_false(utf8_valid(slice_make(text, before + size)));
        }
    }
}

/* Decodes slowly and by definition: the size of the character at the front, 0 when none is. */
static size_t oracle(const uint8_t *in, size_t size)
{
    size_t length = in[0] < 0x80 ? 1 : in[0] >> 5 == 6 ? 2 : in[0] >> 4 == 14 ? 3 : 4;
    if (length > size || (length == 4 && in[0] >> 3 != 30))
        return 0;
    uint32_t code = length == 1 ? in[0] : in[0] & (0xffu >> (length + 1));
    for (size_t i = 1; i < length; i++) {
        if (in[i] >> 6 != 2)
            return 0;
        code = code << 6 | (in[i] & 0x3fu);
    }
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    bool surrogate = code >= 0xd800 && code <= 0xdfff;
    return code < least[length] || surrogate || code > 0x10ffff ? 0 : length;
}

static void every_three_bytes_are_judged_as_the_definition_does(void **state)
{
    (void)state;
    for (uint32_t n = 0; n < 1u << 24; n++) {
        uint8_t in[4] = {(uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n, 0xbf};
        if (in[0] < 0x80)
            continue;
        size_t length = oracle(in, 4);
        bool valid = utf8_valid(slice_make(in, length ? length : 4));
        if (valid != (length > 0))
            fail_msg("%02x %02x %02x", in[0], in[1], in[2]);
    }
}

static void random_bytes_have_the_prefix_that_the_definition_gives(void **state)
{
    (void)state;
    uint64_t random = unit_seed();
    static const uint8_t likely[] = {0x80, 0xbf, 0xc2, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xa0, 0x9f};
    for (int round = 0; round < 20000; round++) {
        size_t size = unit_random(&random) % 64;
        uint8_t *in = mem_alloc(size);
        assert_non_null(in);
        for (size_t i = 0; i < size; i++) {
            uint64_t draw = unit_random(&random);
            in[i] = draw % 4 ? (uint8_t)(draw >> 8 & 0x7f) : likely[(draw >> 8) % sizeof(likely)];
        }
        size_t expected = 0;
        for (size_t step = 1; expected < size && step; expected += step)
            step = oracle(in + expected, size - expected);
        assert_int_equal(utf8_valid_prefix(slice_make(in, size)), expected);
        mem_free(in);
    }
}

static void every_code_point_is_written_as_it_is_read(void **state)
{
    (void)state;
    for (uint32_t code = 0; code <= 0x110000; code++) {
        uint8_t out[4];
        size_t size = utf8_encode(code, out);
        bool none = (code >= 0xd800 && code <= 0xdfff) || code > 0x10ffff;
        assert_int_equal(size > 0, !none);
        if (size && oracle(out, size) != size)
            fail_msg("U+%04X", code);
    }
    uint8_t out[4];
    assert_int_equal(utf8_encode(0xffffffff, out), 0);
    assert_int_equal(utf8_encode(0x1f680, out), 4);
    assert_memory_equal(out, "\xf0\x9f\x9a\x80", 4);
    assert_int_equal(utf8_encode(0xe9, out), 2);
    assert_memory_equal(out, "\xc3\xa9", 2);
    assert_int_equal(utf8_encode(0x20ac, out), 3);
    assert_memory_equal(out, "\xe2\x82\xac", 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_of_every_length_is_valid),
        cmocka_unit_test(what_is_not_utf8_is_found_where_it_stands),
        cmocka_unit_test(every_three_bytes_are_judged_as_the_definition_does),
        cmocka_unit_test(random_bytes_have_the_prefix_that_the_definition_gives),
        cmocka_unit_test(every_code_point_is_written_as_it_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
