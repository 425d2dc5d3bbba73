#include "format/json/member.h"

#include "base/alloc.h"
#include "format/json/json.h"
#include "lib/unit.h"

#define NONE                                                                                       \
    {                                                                                              \
        NULL, 0                                                                                    \
    }

struct row {
    struct slice bytes;
    const char *text;
};

static void expect(void (*add)(struct buf *, const char *, struct slice), const struct row *rows,
                   size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct buf out = {0};
        buf_add_byte(&out, '\n');
        add(&out, "it", rows[i].bytes);
        assert_slice(slice_sub(buf_slice(&out), 0, 1), "\n");
        assert_slice(slice_sub(buf_slice(&out), 1, out.size), rows[i].text);
        buf_done(&out);
    }
}

static void text_that_is_no_utf_8_is_in_base64(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {NONE, "\"it\":null"},
        {SLICE_LITERAL(""), "\"it\":\"\""},
        {SLICE_LITERAL("a\"\n\xC3\xA9"), "\"it\":\"a\\\"\\n\xC3\xA9\""},
        {SLICE_LITERAL("\xC3"), "\"it_base64\":\"ww==\""},
        {SLICE_LITERAL("\xED\xA0\x80"), "\"it_base64\":\"7aCA\""},
    };
    expect(format_json_add_text, rows, sizeof(rows) / sizeof(rows[0]));
}

static void a_value_that_is_no_json_is_in_base64(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {NONE, "\"it\":null"},
        {SLICE_LITERAL("null"), "\"it\":null"},
        {SLICE_LITERAL("{\"a\":\r\n[1]}\n"), "\"it\":{\"a\":  [1]} "},
        {SLICE_LITERAL("\"a\\n\""), "\"it\":\"a\\n\""},
        {SLICE_LITERAL(""), "\"it_base64\":\"\""},
        {SLICE_LITERAL("1,\"offset\":99"), "\"it_base64\":\"MSwib2Zmc2V0Ijo5OQ==\""},
        {SLICE_LITERAL("\"\xFF\""), "\"it_base64\":\"Iv8i\""},
        {SLICE_LITERAL("\"\0\""), "\"it_base64\":\"IgAi\""},
    };
    expect(format_json_add_value, rows, sizeof(rows) / sizeof(rows[0]));
}

/* What stands in an answer with levels of its own can be read with the same limit. */
static void the_deepest_values_are_in_base64(void **state)
{
    (void)state;
    for (size_t depth = FORMAT_JSON_DEPTH_MAX - 9; depth < FORMAT_JSON_DEPTH_MAX; depth++) {
        struct buf value = {0};
        struct buf out = {0};
        for (size_t i = 0; i < 2 * depth; i++)
            buf_add_byte(&value, i < depth ? '[' : ']');
        format_json_add_value(&out, "it", buf_slice(&value));
        buf_add_byte(&out, '\0');
        bool deep = depth > FORMAT_JSON_DEPTH_MAX - 8;
        assert_int_equal(strstr((const char *)out.data, "it_base64") != NULL, deep);
        buf_done(&value);
        buf_done(&out);
    }
}

static void a_failure_is_latched(void **state)
{
    (void)state;
    struct buf out = {0};
    mem_fail_after(1);
    format_json_add_value(&out, "it", SLICE_LITERAL("[1,\n2]"));
    format_json_add_text(&out, "it", SLICE_LITERAL("text"));
    mem_fail_after(0);
    assert_true(err_is(buf_error(&out), ERR_MEMORY));
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_that_is_no_utf_8_is_in_base64),
        cmocka_unit_test(a_value_that_is_no_json_is_in_base64),
        cmocka_unit_test(the_deepest_values_are_in_base64),
        cmocka_unit_test(a_failure_is_latched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
