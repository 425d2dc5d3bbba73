#include "format/json/json.h"

#include "base/utf8.h"
#include "format/json/bytes_int.h"
#include "format/json/lines.h"

#include "lib/unit.h"
#include "unit/format/json/exact.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static err_t check(struct slice text, struct format_json_error *why)
{
    return format_json_check(text, NULL, FORMAT_JSON_DEPTH_MAX, NULL, why);
}

static void assert_taken(struct slice text)
{
    struct format_json_error why = {0};
    err_t err = check(text, &why);
    if (!err_is_ok(err))
        fail_msg("refused at %zu (%s): %.*s", why.offset, why.message, SLICE_PRINTF(text));
}

static void assert_refused(struct slice text, size_t offset, const char *message)
{
    struct format_json_error why = {0};
    err_t err = check(text, &why);
    if (!err_is(err, ERR_SYNTAX))
        fail_msg("%s instead of refused: %.*s", err_name(err), SLICE_PRINTF(text));
    if (why.offset != offset || strcmp(why.message, message) != 0)
        fail_msg("%.*s\nrefused at %zu (%s), not at %zu (%s)", SLICE_PRINTF(text), why.offset,
                 why.message, offset, message);
    assert_true(err_is(check(text, NULL), ERR_SYNTAX));
}

static void every_kind_of_value_is_taken(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "null",
        "true",
        "false",
        "0",
        "-0",
        "7",
        "-12",
        "10",
        "0.5",
        "-0.0",
        "1e1",
        "1E+10",
        "123.456e-789",
        "1e9999",
        "\"\"",
        "\"a\"",
        "[]",
        "{}",
        "[[]]",
        "[{}]",
        "{\"a\":{}}",
        "[1,2,3]",
        "[null,true,false,\"x\",-1.5,{},[]]",
        "{\"\":0}",
        "{\"a\":1,\"a\":2}",
        "{\"a\":[],\"b\":[{\"c\":{}}],\"d\":\"e\"}",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\"",
        "\"\\u0000\"",
        "\"\\uD834\\udd1e\"",
        "\"\x7F\"",
        "\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\"",
        "[1,[2,[3,{\"a\":[4]}]],5]",
    };
    for (size_t i = 0; i < LENGTH(texts); i++) {
        struct slice text = exact_text(texts[i]);
        assert_taken(text);
        exact_free(&text);
    }
}

static void white_space_may_stand_between_any_two_tokens(void **state)
{
    (void)state;
    static const char *const tokens[] = {"{", "\"a\"", ":",     "[", "1", ",", "true",
                                         "]", ",",     "\"b\"", ":", "{", "}", "}"};
    static const char *const spaces[] = {"", " ", "\t", "\r\n", " \n\t\r "};
    for (size_t s = 0; s < LENGTH(spaces); s++) {
        struct buf text = {0};
        buf_add_string(&text, spaces[s]);
        for (size_t i = 0; i < LENGTH(tokens); i++) {
            buf_add_string(&text, tokens[i]);
            buf_add_string(&text, spaces[s]);
        }
        struct slice exact = exact_bytes(text.data, text.size);
        assert_taken(exact);
        exact_free(&exact);
        buf_done(&text);
    }
}

static void other_bytes_are_no_white_space(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        uint8_t around[3] = {(uint8_t)byte, '1', (uint8_t)byte};
        struct slice text = exact_bytes(around, sizeof(around));
        bool space = byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
        bool token = byte == '"' || (byte >= '1' && byte <= '9');
        assert_int_equal(err_is_ok(check(text, NULL)), space || token);
        exact_free(&text);
    }
}

static void a_refusal_says_where_and_why(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t offset;
        const char *message;
    } refused[] = {
        {"", 0, "nothing but white space"},
        {" \n", 2, "nothing but white space"},
        {"nul", 0, "expected a value"},
        {"nulL", 0, "expected a value"},
        {"True", 0, "expected a value"},
        {"[tru]", 1, "expected a value"},
        {"NaN", 0, "expected a value"},
        {"'a'", 0, "expected a value"},
        {"+1", 0, "expected a value"},
        {".5", 0, "expected a value"},
        {"]", 0, "expected a value"},
        {"}", 0, "expected a value"},
        {",", 0, "expected a value"},
        {"-", 1, "expected a digit"},
        {"-a", 1, "expected a digit"},
        {"1.", 2, "expected a digit"},
        {"1.e1", 2, "expected a digit"},
        {"1e", 2, "expected a digit"},
        {"1e+", 3, "expected a digit"},
        {"01", 0, "number with a leading zero"},
        {"[-012]", 2, "number with a leading zero"},
        {"1 2", 2, "bytes after the value"},
        {"{}}", 2, "bytes after the value"},
        {"0x1", 1, "bytes after the value"},
        {"1.5.5", 3, "bytes after the value"},
        {"[1 2]", 3, "expected ',' or ']'"},
        {"[1}", 2, "expected ',' or ']'"},
        {"[1:2]", 2, "expected ',' or ']'"},
        {"{\"a\":1]", 6, "expected ',' or '}'"},
        {"{\"a\":1 \"b\":2}", 7, "expected ',' or '}'"},
        {"[1,]", 3, "expected a value"},
        {"[,1]", 1, "expected a value"},
        {"[1,,2]", 3, "expected a value"},
        {"{\"a\":}", 5, "expected a value"},
        {"{\"a\":", 5, "expected a value"},
        {"{\"a\":1,}", 7, "expected a key"},
        {"{,}", 1, "expected a key"},
        {"{a:1}", 1, "expected a key"},
        {"{1:1}", 1, "expected a key"},
        {"{]", 1, "expected a key"},
        {"{", 1, "expected a key"},
        {"{\"a\"}", 4, "expected ':' after a key"},
        {"{\"a\"", 4, "expected ':' after a key"},
        {"{\"a\",1}", 4, "expected ':' after a key"},
        {"[", 1, "expected a value"},
        {"[1", 2, "array without an end"},
        {"[[1]", 4, "array without an end"},
        {"{\"a\":1", 6, "object without an end"},
        {"\"", 1, "string without an end"},
        {"\"abc", 4, "string without an end"},
        {"\"a\\", 2, "string without an end"},
        {"\"a\\\"", 4, "string without an end"},
        {"{\"a", 3, "string without an end"},
        {"\"a\nb\"", 2, "control character in a string"},
        {"\"\x1F\"", 1, "control character in a string"},
        {"{\"\t\":1}", 2, "control character in a string"},
        {"\"\\x\"", 1, "unknown escape"},
        {"\"\\U0041\"", 1, "unknown escape"},
        {"\"\\u12\"", 1, "expected four hexadecimal digits after \\u"},
        {"\"\\u12G4\"", 1, "expected four hexadecimal digits after \\u"},
        {"\"\\uD800\"", 1, "\\u escape with half a surrogate pair"},
        {"\"\\uD800\\n\"", 1, "\\u escape with half a surrogate pair"},
        {"\"\\uD800\\u0041\"", 1, "\\u escape with half a surrogate pair"},
        {"\"\\uDC00\\uD800\"", 1, "\\u escape with half a surrogate pair"},
        {"\"\x80\"", 1, "invalid UTF-8"},
        {"\"a\xC3\"", 2, "invalid UTF-8"},
        {"\"\xE2\x82\"", 1, "invalid UTF-8"},
        {"\"\xC0\xAF\"", 1, "invalid UTF-8"},
        {"\"\xED\xA0\x80\"", 1, "invalid UTF-8"},
        {"\"\xF4\x90\x80\x80\"", 1, "invalid UTF-8"},
        {"\"\xFF\"", 1, "invalid UTF-8"},
        {"\xC3\xA9", 0, "expected a value"},
        {"\xEF\xBB\xBF{}", 0, "byte order mark before the value"},
        {"/* */1", 0, "expected a value"},
    };
    for (size_t i = 0; i < LENGTH(refused); i++) {
        struct slice text = exact_text(refused[i].text);
        assert_refused(text, refused[i].offset, refused[i].message);
        exact_free(&text);
    }
    assert_refused((struct slice){NULL, 0}, 0, "nothing but white space");
}

static void a_zero_byte_is_refused_wherever_it_stands(void **state)
{
    (void)state;
    static const char text[] = "{\"a\": [1, true, \"b\\n\"] }";
    assert_taken(slice_string(text));
    for (size_t i = 0; i <= sizeof(text) - 1; i++) {
        struct buf with = {0};
        buf_add(&with, text, i);
        buf_add_byte(&with, 0);
        buf_add(&with, text + i, sizeof(text) - 1 - i);
        assert_true(err_is(check(buf_slice(&with), NULL), ERR_SYNTAX));
        buf_done(&with);
    }
}

static void a_text_cut_anywhere_is_refused(void **state)
{
    (void)state;
    static const char text[] =
        "{\"id\":\"a\\u00e9\\uD834\\uDD1Eb\xE2\x82\xAC\",\"n\":[-1.5e+3,true,"
        "false,null,{}],\"long enough for a whole vector\":[[],\"\"]}";
    assert_taken(slice_string(text));
    for (size_t size = 0; size < sizeof(text) - 1; size++) {
        struct slice cut = exact_bytes(text, size);
        assert_true(err_is(check(cut, NULL), ERR_SYNTAX));
        exact_free(&cut);
    }
}

static void every_byte_in_a_string_is_judged_at_every_place(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        for (size_t size = 1; size < 40; size += 6) {
            for (size_t place = 0; place < size; place++) {
                uint8_t text[64];
                memset(text, 'x', sizeof(text));
                text[0] = text[size + 1] = '"';
                text[place + 1] = (uint8_t)byte;
                struct slice exact = exact_bytes(text, size + 2);
                bool good = byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
                assert_int_equal(err_is_ok(check(exact, NULL)), good);
                exact_free(&exact);
            }
        }
    }
}

/* Compares with base's judgement, which has tests of its own. */
static void sequences_are_utf8_or_refused(void **state)
{
    (void)state;
    static const uint8_t edges[] = {0x00, 0x22, 0x5C, 0x7F, 0x80, 0x8F,
                                    0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xFF};
    for (unsigned lead = 0x80; lead < 0x100; lead++) {
        for (unsigned second = 0x80; second < 0x100; second++) {
            for (size_t i = 0; i < LENGTH(edges) * LENGTH(edges); i++) {
                uint8_t sequence[] = {(uint8_t)lead, (uint8_t)second, edges[i % LENGTH(edges)],
                                      edges[i / LENGTH(edges)]};
                struct slice s = slice_make(sequence, sizeof(sequence));
                size_t valid = utf8_valid_prefix(s);
                size_t size = format_json_sequence_size(s.data, s.data + s.size);
                assert_int_equal(size != 0, valid != 0);
                assert_true(size <= valid);
                for (size_t less = 1; less < size; less++)
                    assert_int_equal(format_json_sequence_size(s.data, s.data + less), 0);
            }
        }
    }
}

static void both_versions_of_the_inner_loops_agree(void **state)
{
    (void)state;
    uint64_t seed = unit_seed();
    for (size_t round = 0; round < 20000; round++) {
        uint8_t bytes[48];
        size_t size = round % (sizeof(bytes) + 1);
        for (size_t i = 0; i < size; i++) {
            uint64_t any = unit_random(&seed);
            bytes[i] = (uint8_t)(any % 16 ? '0' + (any >> 8) % 10 : any >> 8);
        }
        struct slice s = exact_bytes(bytes, size);
        const uint8_t *end = s.data + size;
        assert_ptr_equal(format_json_plain_end(s.data, end),
                         format_json_plain_end_portable(s.data, end));
        assert_ptr_equal(format_json_digits_end(s.data, end),
                         format_json_digits_end_portable(s.data, end));
        if (size >= 16) {
            assert_int_equal(format_json_digits_16(s.data), format_json_digits_16_portable(s.data));
            assert_int_equal(format_json_hex_16(s.data), format_json_hex_16_portable(s.data));
        }
        exact_free(&s);
    }
}

static void sixteen_bytes_are_told_apart_by_their_kind(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        for (unsigned place = 0; place < 16; place++) {
            uint8_t bytes[16] = {0};
            bytes[place] = (uint8_t)byte;
            bool digit = byte >= '0' && byte <= '9';
            bool hex = digit || (byte >= 'a' && byte <= 'f') || (byte >= 'A' && byte <= 'F');
            assert_int_equal(format_json_digits_16(bytes), digit ? 1U << place : 0);
            assert_int_equal(format_json_digits_16_portable(bytes), digit ? 1U << place : 0);
            assert_int_equal(format_json_hex_16(bytes), hex ? 1U << place : 0);
            assert_int_equal(format_json_hex_16_portable(bytes), hex ? 1U << place : 0);
        }
    }
}

static void every_single_byte_stops_the_portable_loop_where_it_should(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        for (size_t place = 0; place < 20; place++) {
            uint8_t bytes[20];
            memset(bytes, 'x', sizeof(bytes));
            bytes[place] = (uint8_t)byte;
            bool plain = byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
            const uint8_t *end = bytes + sizeof(bytes);
            assert_ptr_equal(format_json_plain_end_portable(bytes, end),
                             plain ? end : bytes + place);
        }
    }
}

static void numbers_of_any_length_are_taken(void **state)
{
    (void)state;
    for (size_t size = 1; size < 100; size++) {
        struct buf text = {0};
        buf_add_byte(&text, '-');
        for (size_t i = 0; i < size; i++)
            buf_add_byte(&text, (uint8_t)('1' + i % 9));
        buf_add_byte(&text, '.');
        for (size_t i = 0; i < size; i++)
            buf_add_byte(&text, (uint8_t)('0' + i % 10));
        buf_add_string(&text, "E-00");
        for (size_t i = 0; i < size; i++)
            buf_add_byte(&text, '0');
        struct slice exact = exact_bytes(text.data, text.size);
        assert_taken(exact);
        exact_free(&exact);
        buf_done(&text);
    }
}

/* `depth` brackets, kinds by the bits of a pattern that repeats every 7 levels. */
static void add_nested(struct buf *out, size_t depth, bool closed)
{
    for (size_t i = 0; i < depth; i++)
        buf_add_string(out, i % 7 % 3 ? "[" : "{\"k\":");
    buf_add_string(out, "0");
    for (size_t i = depth; closed && i-- > 0;)
        buf_add_byte(out, i % 7 % 3 ? ']' : '}');
}

static void nesting_is_allowed_down_to_the_limit_and_no_deeper(void **state)
{
    (void)state;
    static const uint32_t limits[] = {1, 2, 63, 64, 65, 127, 128, 129, 511, 512};
    for (size_t i = 0; i < LENGTH(limits); i++) {
        struct buf text = {0};
        struct format_json_error why;
        add_nested(&text, limits[i], true);
        assert_true(err_is_ok(format_json_check(buf_slice(&text), NULL, limits[i], NULL, &why)));
        if (limits[i] > 1) {
            err_t err = format_json_check(buf_slice(&text), NULL, limits[i] - 1, NULL, &why);
            assert_true(err_is(err, ERR_TOO_DEEP));
            assert_string_equal(why.message, "nested too deep");
            uint8_t at = text.data[why.offset];
            assert_true(at == '[' || at == '{');
        }
        buf_done(&text);
    }
}

static void the_limit_is_met_at_its_first_bracket(void **state)
{
    (void)state;
    struct format_json_error why;
    err_t err = format_json_check(SLICE_LITERAL("[[],[1,[2]]]"), NULL, 2, NULL, &why);
    assert_true(err_is(err, ERR_TOO_DEEP));
    assert_int_equal(why.offset, 7);
    assert_true(err_is_ok(format_json_check(SLICE_LITERAL("[[],[1,{}]]"), NULL, 3, NULL, NULL)));
    assert_true(err_is_ok(format_json_check(SLICE_LITERAL("1"), NULL, 1, NULL, NULL)));
}

static void ten_thousand_brackets_are_too_deep(void **state)
{
    (void)state;
    struct buf text = {0};
    add_nested(&text, 10000, true);
    assert_true(err_is(check(buf_slice(&text), NULL), ERR_TOO_DEEP));
    buf_done(&text);
}

static void the_wrong_closing_bracket_is_refused_at_every_depth(void **state)
{
    (void)state;
    const size_t depth = 200;
    for (size_t wrong = 0; wrong < depth; wrong++) {
        struct buf text = {0};
        add_nested(&text, depth, true);
        uint8_t *byte = &text.data[text.size - 1 - wrong];
        *byte = *byte == ']' ? '}' : ']';
        struct format_json_error why;
        assert_true(err_is(check(buf_slice(&text), &why), ERR_SYNTAX));
        assert_int_equal(why.offset, text.size - 1 - wrong);
        buf_done(&text);
    }
}

static void a_scan_ends_where_the_value_ends(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t size;
    } cases[] = {
        {"1,2", 1},     {" {\"a\":1} x", 8}, {"[1]]", 3}, {"\"a\"b", 3}, {"true,", 4},
        {"-1.5e3}", 6}, {"{}{}", 2},         {"null", 4}, {" 7 ", 2},    {"truely", 4},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct slice text = exact_text(cases[i].text);
        size_t size = 0;
        assert_true(
            err_is_ok(format_json_scan(text, NULL, FORMAT_JSON_DEPTH_MAX, NULL, &size, NULL)));
        assert_int_equal(size, cases[i].size);
        exact_free(&text);
    }
}

static void a_failed_scan_leaves_the_size_alone(void **state)
{
    (void)state;
    size_t size = 77;
    struct format_json_error why;
    assert_true(
        err_is(format_json_scan(SLICE_LITERAL("[1,x]"), NULL, 9, NULL, &size, &why), ERR_SYNTAX));
    assert_int_equal(size, 77);
    assert_int_equal(why.offset, 3);
}

static void peek_names_the_kind_by_the_first_byte(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum format_json_kind kind;
    } cases[] = {
        {"", FORMAT_JSON_MISSING},
        {" \t\r\n", FORMAT_JSON_MISSING},
        {" {", FORMAT_JSON_OBJECT},
        {"\n[", FORMAT_JSON_ARRAY},
        {"\"", FORMAT_JSON_STRING},
        {"t", FORMAT_JSON_TRUE},
        {"f", FORMAT_JSON_FALSE},
        {"n", FORMAT_JSON_NULL},
        {"-", FORMAT_JSON_NUMBER},
        {"0", FORMAT_JSON_NUMBER},
        {"9", FORMAT_JSON_NUMBER},
        {"]", FORMAT_JSON_MISSING},
        {"\xEF\xBB\xBF[", FORMAT_JSON_MISSING},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct slice text = exact_text(cases[i].text);
        assert_int_equal(format_json_peek(text), cases[i].kind);
        exact_free(&text);
    }
    assert_int_equal(format_json_peek((struct slice){NULL, 0}), FORMAT_JSON_MISSING);
}

static void an_explanation_names_the_place_and_shows_no_byte_of_the_text(void **state)
{
    (void)state;
    struct format_json_error why;
    struct err_text text = {0};
    err_t err = check(SLICE_LITERAL("{\"secret\" \"\x1b[31m\"}"), &why);
    assert_true(err_is(format_json_explain(err, &why, &text), ERR_SYNTAX));
    assert_string_equal(text.text, "byte 10: expected ':' after a key");
    assert_true(err_is(format_json_explain(err, &why, NULL), ERR_SYNTAX));
}

static void a_key_is_looked_up_in_an_object(void **state)
{
    (void)state;
    struct slice answer =
        SLICE_LITERAL(" {\"accepted\":497,\"a.b\":true,\"errors\":[{\"index\":17}],\"\":null,"
                      "\"twice\":1,\"twice\":\"2\",\"o\":{\"accepted\":1}} ");
    struct format_json_value value;
    assert_true(err_is_ok(format_json_get(answer, "accepted", &value)));
    assert_int_equal(value.kind, FORMAT_JSON_NUMBER);
    assert_true(slice_equal_string(value.raw, "497"));
    assert_true(err_is_ok(format_json_get(answer, "errors", &value)));
    assert_int_equal(value.kind, FORMAT_JSON_ARRAY);
    assert_true(slice_equal_string(value.raw, "[{\"index\":17}]"));
    assert_true(err_is_ok(format_json_get(answer, "a.b", &value)));
    assert_int_equal(value.kind, FORMAT_JSON_TRUE);
    assert_true(err_is_ok(format_json_get(answer, "", &value)));
    assert_int_equal(value.kind, FORMAT_JSON_NULL);
    assert_true(err_is_ok(format_json_get(answer, "twice", &value)));
    assert_true(slice_equal_string(value.raw, "\"2\""));
    assert_true(err_is_ok(format_json_get(answer, "index", &value)));
    assert_int_equal(value.kind, FORMAT_JSON_MISSING);
    assert_int_equal(value.raw.size, 0);
}

static void a_lookup_in_no_object_finds_nothing_and_in_no_json_fails(void **state)
{
    (void)state;
    struct format_json_value value = {.kind = FORMAT_JSON_TRUE};
    assert_true(err_is(format_json_get(SLICE_LITERAL("{\"a\":1"), "a", &value), ERR_SYNTAX));
    assert_int_equal(value.kind, FORMAT_JSON_TRUE);
    assert_true(err_is_ok(format_json_get(SLICE_LITERAL("[{\"a\":1}]"), "a", &value)));
    assert_int_equal(value.kind, FORMAT_JSON_MISSING);
    value.kind = FORMAT_JSON_TRUE;
    assert_true(err_is_ok(format_json_get(SLICE_LITERAL("\"a\""), "a", &value)));
    assert_int_equal(value.kind, FORMAT_JSON_MISSING);
}

/* Walks `text` and asserts its lines and records, `count` of each. */
static void expect_lines(const char *text, const char *const (*expected)[2], size_t count)
{
    struct slice rest = slice_string(text);
    struct slice line;
    struct slice record;
    size_t i = 0;
    for (; format_json_next_line(&rest, &line, &record); i++) {
        assert_true(i < count);
        assert_true(slice_equal_string(line, expected[i][0]));
        assert_true(slice_equal_string(record, expected[i][1]));
    }
    assert_int_equal(i, count);
    assert_int_equal(rest.size, 0);
}

static void lines_end_with_lf_or_crlf_and_the_last_with_neither(void **state)
{
    (void)state;
    static const char *const three[][2] = {{"1", "1"}, {" {} ", "{}"}, {"x", "x"}};
    expect_lines("1\n {} \r\nx", three, 3);
    expect_lines("1\n {} \r\nx\n", three, 3);
}

static void a_blank_line_is_a_line_without_a_record(void **state)
{
    (void)state;
    static const char *const lines[][2] = {{"", ""}, {" \t", ""}, {"\r", ""}, {"1", "1"}};
    expect_lines("\n \t\n\r\r\n1", lines, 4);
    expect_lines("", lines, 0);
}

static void only_the_white_space_of_json_is_trimmed(void **state)
{
    (void)state;
    assert_true(slice_equal_string(format_json_trim(SLICE_LITERAL(" \t\r\n\fx\v \n")), "\fx\v"));
    assert_int_equal(format_json_trim(SLICE_LITERAL(" \n ")).size, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_value_is_taken),
        cmocka_unit_test(white_space_may_stand_between_any_two_tokens),
        cmocka_unit_test(other_bytes_are_no_white_space),
        cmocka_unit_test(a_refusal_says_where_and_why),
        cmocka_unit_test(a_zero_byte_is_refused_wherever_it_stands),
        cmocka_unit_test(a_text_cut_anywhere_is_refused),
        cmocka_unit_test(every_byte_in_a_string_is_judged_at_every_place),
        cmocka_unit_test(sequences_are_utf8_or_refused),
        cmocka_unit_test(both_versions_of_the_inner_loops_agree),
        cmocka_unit_test(sixteen_bytes_are_told_apart_by_their_kind),
        cmocka_unit_test(every_single_byte_stops_the_portable_loop_where_it_should),
        cmocka_unit_test(numbers_of_any_length_are_taken),
        cmocka_unit_test(nesting_is_allowed_down_to_the_limit_and_no_deeper),
        cmocka_unit_test(the_limit_is_met_at_its_first_bracket),
        cmocka_unit_test(ten_thousand_brackets_are_too_deep),
        cmocka_unit_test(the_wrong_closing_bracket_is_refused_at_every_depth),
        cmocka_unit_test(a_scan_ends_where_the_value_ends),
        cmocka_unit_test(a_failed_scan_leaves_the_size_alone),
        cmocka_unit_test(peek_names_the_kind_by_the_first_byte),
        cmocka_unit_test(an_explanation_names_the_place_and_shows_no_byte_of_the_text),
        cmocka_unit_test(a_key_is_looked_up_in_an_object),
        cmocka_unit_test(a_lookup_in_no_object_finds_nothing_and_in_no_json_fails),
        cmocka_unit_test(lines_end_with_lf_or_crlf_and_the_last_with_neither),
        cmocka_unit_test(a_blank_line_is_a_line_without_a_record),
        cmocka_unit_test(only_the_white_space_of_json_is_trimmed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
