#include "format/jsonschema/judge.h"

#include "format/json/lines.h"
#include "unit/format/jsonschema/schema.h"

#define SCHEMA "{\"type\":\"object\",\"properties\":{\"n\":{\"type\":\"integer\"}}}"

struct court {
    struct format_jsonschema *schema;
    struct format_jsonschema_judge by;
};

static void court_init(struct court *c, const char *schema, uint64_t steps)
{
    const struct format_jsonschema_options how = {.steps = steps};
    *c = (struct court){.schema = schema ? schema_with(schema, &how) : NULL};
    c->by.schema = c->schema;
    c->by.size_max = 64;
    assert_true(err_is_ok(format_jsonschema_scratch_new(&c->by.scratch)));
}

static void court_done(struct court *c)
{
    format_jsonschema_free(&c->schema);
    format_jsonschema_scratch_free(&c->by.scratch);
}

/* Asserts the verdict on `text`; `reason` NULL: it is good. */
static void expect_verdict(const struct court *c, const char *text, const char *reason,
                           const char *detail)
{
    struct format_jsonschema_refusal why = {0};
    struct slice original = slice_string(text);
    err_t err = format_jsonschema_judge(&c->by, original, format_json_trim(original), NULL, &why);
    if (!reason) {
        assert_string_equal(err_name(err), "OK");
        return;
    }
    assert_string_equal(err_name(err), "RECORD_REFUSED");
    assert_string_equal(format_jsonschema_reason_name(why.reason), reason);
    assert_string_equal(why.detail.text, detail);
}

static void each_reason_has_its_detail(void **state)
{
    (void)state;
    struct court c;
    court_init(&c, SCHEMA, 0);
    expect_verdict(&c, " {\"n\":1} ", NULL, NULL);
    expect_verdict(&c, " {\"n\" 1}", "json", "byte 6: expected ':' after a key");
    expect_verdict(&c, "{\"n\":\"x\"}", "schema", "/n: expected integer, got string (type)");
    expect_verdict(&c, "7", "schema", "expected object, got number (type)");
    expect_verdict(&c, "", "json", "byte 0: nothing but white space");
    court_done(&c);
}

static void size_is_counted_without_white_space_and_before_anything_is_read(void **state)
{
    (void)state;
    struct court c;
    court_init(&c, NULL, 0);
    c.by.size_max = 4;
    expect_verdict(&c, "      1234      ", NULL, NULL);
    expect_verdict(&c, "[[[[[", "oversize", "5 bytes, the limit is 4");
    court_done(&c);
}

static void without_a_schema_any_json_is_good(void **state)
{
    (void)state;
    struct court c;
    court_init(&c, NULL, 0);
    expect_verdict(&c, "{\"n\":\"x\",\"n\":2}", NULL, NULL);
    expect_verdict(&c, "{", "json", "byte 1: expected a key");
    court_done(&c);
}

static void what_takes_too_much_work_is_too_complex(void **state)
{
    (void)state;
    struct court c;
    court_init(&c, "{\"items\":{\"type\":\"integer\"}}", 4);
    struct format_jsonschema_refusal why = {0};
    struct slice record = SLICE_LITERAL("[1,2,3,4,5,6,7,8,\"\"]");
    err_t err = format_jsonschema_judge(&c.by, record, record, NULL, &why);
    assert_string_equal(err_name(err), "RECORD_REFUSED");
    assert_string_equal(format_jsonschema_reason_name(why.reason), "complexity");
    assert_true(why.detail.text[0]);
    court_done(&c);
}

static void paths_are_found_in_the_same_pass(void **state)
{
    (void)state;
    static const char *const texts[] = {"n"};
    struct format_json_paths *paths = NULL;
    assert_true(err_is_ok(format_json_paths_new(texts, 1, &paths, NULL)));
    struct court c;
    for (int schema = 0; schema < 2; schema++) {
        court_init(&c, schema ? SCHEMA : NULL, 0);
        c.by.paths = paths;
        struct format_json_value found = {0};
        struct format_jsonschema_refusal why;
        struct slice record = SLICE_LITERAL("{\"a\":0,\"n\":17}");
        assert_true(err_is_ok(format_jsonschema_judge(&c.by, record, record, &found, &why)));
        assert_true(slice_equal_string(found.raw, "17"));
        court_done(&c);
    }
    format_json_paths_free(&paths);
}

static void elements_of_an_array_are_judged_alone(void **state)
{
    (void)state;
    static const char *const expected[] = {NULL, "schema", "json", NULL, "oversize", "json"};
    struct court c;
    court_init(&c, SCHEMA, 0);
    c.by.size_max = 12;
    struct format_json_array array;
    struct slice text = SLICE_LITERAL(
        "[{\"n\":1}, {\"n\":\"\"},{\"n\":01}, {},{\"n\":123456789}, [{\"n\":123456789}");
    assert_true(err_is_ok(format_json_array_begin(&array, text, NULL)));
    for (size_t i = 0;; i++) {
        struct format_json_element element;
        enum format_json_step step =
            format_json_array_next(&array, NULL, FORMAT_JSON_DEPTH_MAX, NULL, &element);
        if (step == FORMAT_JSON_ARRAY_END) {
            assert_int_equal(i, LENGTH(expected));
            break;
        }
        struct format_jsonschema_refusal why;
        err_t err = format_jsonschema_judge_element(&c.by, step, &element, &why);
        assert_true(i < LENGTH(expected));
        assert_string_equal(err_name(err), expected[i] ? "RECORD_REFUSED" : "OK");
        if (expected[i])
            assert_string_equal(format_jsonschema_reason_name(why.reason), expected[i]);
    }
    court_done(&c);
}

static void a_lack_of_memory_is_no_verdict(void **state)
{
    (void)state;
    struct slice record = SLICE_LITERAL("{\"n\":\"x\"}");
    bool failed = true;
    unsigned seen = 0;
    for (uint64_t n = 1; failed; n++) {
        struct court c;
        court_init(&c, SCHEMA, 0);
        struct format_jsonschema_refusal why;
        mem_fail_after(n);
        err_t err = format_jsonschema_judge(&c.by, record, record, NULL, &why);
        failed = mem_alloc_count() >= n;
        mem_fail_after(0);
        /* The fast pass may do without what it did not get. */
        assert_true(err_is(err, ERR_RECORD_REFUSED) || (failed && err_is(err, ERR_MEMORY)));
        seen += err_is(err, ERR_MEMORY);
        court_done(&c);
    }
    assert_true(seen > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_reason_has_its_detail),
        cmocka_unit_test(size_is_counted_without_white_space_and_before_anything_is_read),
        cmocka_unit_test(without_a_schema_any_json_is_good),
        cmocka_unit_test(what_takes_too_much_work_is_too_complex),
        cmocka_unit_test(paths_are_found_in_the_same_pass),
        cmocka_unit_test(elements_of_an_array_are_judged_alone),
        cmocka_unit_test(a_lack_of_memory_is_no_verdict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
