#include "format/json/string_int.h"

#include "base/alloc.h"
#include "base/utf8.h"
#include "format/json/json.h"

#include "lib/unit.h"
#include "unit/format/json/exact.h"

static void assert_decoded(const char *raw, struct slice expected)
{
    struct slice exact = exact_text(raw);
    struct buf out = {0};
    assert_true(err_is_ok(format_json_check(exact, NULL, 1, NULL, NULL)));
    assert_true(err_is_ok(format_json_string_decode(exact, &out)));
    assert_int_equal(out.size, expected.size);
    assert_true(slice_equal(buf_slice(&out), expected));
    assert_true(format_json_string_equal(slice_sub(exact, 1, exact.size - 2), expected));
    buf_done(&out);
    exact_free(&exact);
}

static void strings_are_decoded_to_their_characters(void **state)
{
    (void)state;
    assert_decoded("\"\"", SLICE_LITERAL(""));
    assert_decoded("\"abc\"", SLICE_LITERAL("abc"));
    assert_decoded("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", SLICE_LITERAL("\"\\/\b\f\n\r\t"));
    assert_decoded("\"a\\nb\\nc\"", SLICE_LITERAL("a\nb\nc"));
    assert_decoded("\"\\u0041\\u00e9\\u20AC\\uD834\\udd1e\"",
                   SLICE_LITERAL("A\xC3\xA9\xE2\x82\xAC\xF0\x9D\x84\x9E"));
    assert_decoded("\"\xC3\xA9\\u0000\xE2\x82\xAC\"", SLICE_LITERAL("\xC3\xA9\0\xE2\x82\xAC"));
    assert_decoded("\"\\\\u0041\"", SLICE_LITERAL("\\u0041"));
}

static void every_code_point_is_read_from_its_escape(void **state)
{
    (void)state;
    for (uint32_t point = 0; point <= 0x10FFFF; point += point < 0x11000 ? 1 : 37) {
        char escape[16];
        uint8_t utf8[4];
        if (point >= 0xD800 && point <= 0xDFFF)
            continue;
        if (point < 0x10000)
            snprintf(escape, sizeof(escape), "\\u%04x", point);
        else
            snprintf(escape, sizeof(escape), "\\u%04X\\u%04x", 0xD800 + ((point - 0x10000) >> 10),
                     0xDC00 + ((point - 0x10000) & 0x3FF));
        struct slice raw = slice_string(escape);
        uint32_t read = 1;
        const char *message = NULL;
        const uint8_t *end = raw.data + raw.size;
        assert_ptr_equal(format_json_escape(raw.data, end, &read, &message), end);
        assert_int_equal(read, point);
        struct slice key = slice_make(utf8, utf8_encode(point, utf8));
        assert_true(format_json_string_equal(raw, key));
    }
}

static void every_letter_behind_a_backslash_is_judged(void **state)
{
    (void)state;
    static const char letters[] = "\"\\/bfnrt";
    for (unsigned letter = 0; letter < 256; letter++) {
        uint8_t raw[2] = {'\\', (uint8_t)letter};
        struct slice exact = exact_bytes(raw, sizeof(raw));
        uint32_t point;
        const char *message = NULL;
        bool good = letter != 0 && strchr(letters, (int)letter);
        const uint8_t *end = exact.data + exact.size;
        assert_ptr_equal(format_json_escape(exact.data, end, &point, &message), good ? end : NULL);
        assert_int_equal(message != NULL, !good);
        exact_free(&exact);
    }
}

static void hexadecimal_digits_are_exactly_those(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        for (size_t place = 2; place < 6; place++) {
            uint8_t raw[6] = {'\\', 'u', '0', '0', '0', '0'};
            raw[place] = (uint8_t)byte;
            bool good = (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'f') ||
                        (byte >= 'A' && byte <= 'F');
            uint32_t point;
            const char *message = NULL;
            assert_int_equal(format_json_escape(raw, raw + 6, &point, &message) != NULL, good);
        }
    }
}

static void a_cut_escape_is_none(void **state)
{
    (void)state;
    static const char escape[] = "\\uD834\\uDD1E";
    for (size_t size = 1; size < sizeof(escape) - 1; size++) {
        struct slice cut = exact_bytes(escape, size);
        uint32_t point;
        const char *message = NULL;
        assert_null(format_json_escape(cut.data, cut.data + cut.size, &point, &message));
        assert_non_null(message);
        exact_free(&cut);
    }
}

static void half_a_surrogate_pair_is_refused(void **state)
{
    (void)state;
    static const char *const halves[] = {
        "\\uD800",       "\\uDBFF",        "\\uDC00",        "\\uDFFF",        "\\uD800xuDC00",
        "\\uD800\\nDC0", "\\uD800\\uD800", "\\uD800\\uDBFF", "\\uD800\\uE000", "\\uD800\\uDCxx",
    };
    for (size_t i = 0; i < sizeof(halves) / sizeof(halves[0]); i++) {
        struct slice raw = exact_text(halves[i]);
        uint32_t point;
        const char *message = NULL;
        assert_null(format_json_escape(raw.data, raw.data + raw.size, &point, &message));
        assert_string_equal(message, "\\u escape with half a surrogate pair");
        exact_free(&raw);
    }
}

static void a_different_or_longer_or_shorter_key_is_not_equal(void **state)
{
    (void)state;
    struct slice raw = SLICE_LITERAL("a\\u0062c");
    assert_true(format_json_string_equal(raw, SLICE_LITERAL("abc")));
    assert_false(format_json_string_equal(raw, SLICE_LITERAL("abd")));
    assert_false(format_json_string_equal(raw, SLICE_LITERAL("abcd")));
    assert_false(format_json_string_equal(raw, SLICE_LITERAL("ab")));
    assert_false(format_json_string_equal(raw, SLICE_LITERAL("a")));
    assert_false(format_json_string_equal(raw, SLICE_LITERAL("")));
    assert_false(format_json_string_equal(SLICE_LITERAL(""), SLICE_LITERAL("a")));
    assert_false(format_json_string_equal(SLICE_LITERAL("\\u00e9"), SLICE_LITERAL("\xC3")));
    assert_true(format_json_string_equal(SLICE_LITERAL(""), SLICE_LITERAL("")));
}

static void decoding_appends_and_reports_what_the_buffer_could_not_hold(void **state)
{
    (void)state;
    struct slice raw = SLICE_LITERAL("\"one\\ntwo\"");
    struct buf out = {0};
    buf_add_string(&out, "> ");
    assert_true(err_is_ok(format_json_string_decode(raw, &out)));
    assert_true(slice_equal_string(buf_slice(&out), "> one\ntwo"));
    buf_done(&out);

    buf_init(&out, 6);
    assert_true(err_is(format_json_string_decode(raw, &out), ERR_TOO_LARGE));
    buf_done(&out);
    buf_init(&out, 7);
    assert_true(err_is_ok(format_json_string_decode(raw, &out)));
    buf_done(&out);

    mem_fail_after(1);
    assert_true(err_is(format_json_string_decode(raw, &out), ERR_MEMORY));
    mem_fail_after(0);
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_are_decoded_to_their_characters),
        cmocka_unit_test(every_code_point_is_read_from_its_escape),
        cmocka_unit_test(every_letter_behind_a_backslash_is_judged),
        cmocka_unit_test(hexadecimal_digits_are_exactly_those),
        cmocka_unit_test(a_cut_escape_is_none),
        cmocka_unit_test(half_a_surrogate_pair_is_refused),
        cmocka_unit_test(a_different_or_longer_or_shorter_key_is_not_equal),
        cmocka_unit_test(decoding_appends_and_reports_what_the_buffer_could_not_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
