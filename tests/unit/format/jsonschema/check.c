#include "format/jsonschema/check_int.h"

#include "base/utf8.h"
#include "unit/format/jsonschema/schema.h"

static void the_path_leads_to_what_is_wrong(void **state)
{
    (void)state;
    expect_refused("{\"properties\":{\"a\":{\"items\":{\"properties\":{\"b/c\":{\"type\":"
                   "\"string\"}}}}}}",
                   "{\"a\":[{},{\"b/c\":1}]}", "/a/1/b~1c", "expected string, got number (type)");
    expect_refused("{\"additionalProperties\":false}", "{\"x\\ty\":1}", "/x\\u0009y",
                   "expected nothing of this name (additionalProperties)");
    expect_refused("{\"propertyNames\":{\"maxLength\":1}}", "{\"a\":1,\"bc\":2}", "/bc",
                   "expected at most 1 characters, got 2 (maxLength)");
    expect_refused("{\"required\":[\"a\",\"b\\u0001\"]}", "{\"a\":1}", "",
                   "expected property \"b\\u0001\" (required)");
    expect_refused("false", "1", "", "expected nothing here (false)");
}

static void nothing_of_the_record_is_shown_but_names(void **state)
{
    (void)state;
    struct format_jsonschema *schema =
        schema_with("{\"additionalProperties\":{\"anyOf\":[{\"type\":\"integer\"},{\"type\":"
                    "\"string\",\"pattern\":\"^b\"},"
                    "{\"uniqueItems\":true,\"type\":\"array\"}],\"not\":{\"enum\":[17]}}}",
                    NULL);
    static const char *const records[] = {"{\"a\":\"SECRET\"}", "{\"a\":[\"SECRET\",\"SECRET\"]}",
                                          "{\"a\":{\"b\":\"SECRET\"}}", "{\"a\":SECRET}",
                                          "{\"a\":\"SECRET\",\"a\":\"SECRET\"}"};
    for (size_t i = 0; i < LENGTH(records); i++) {
        struct format_jsonschema_error why;
        assert_false(err_is_ok(schema_check(schema, slice_string(records[i]), &why)));
        assert_null(strstr(why.message, "SECRET"));
        assert_null(strstr(why.path, "SECRET"));
    }
    format_jsonschema_free(&schema);
}

static void branches_are_counted(void **state)
{
    (void)state;
    static const char any[] = "{\"anyOf\":[{\"type\":\"integer\"},{\"minimum\":2}]}";
    static const char one[] = "{\"oneOf\":[{\"type\":\"integer\"},{\"minimum\":2}]}";
    static const char all[] = "{\"allOf\":[{\"type\":\"integer\"},{\"minimum\":2}]}";
    expect_good(any, "1");
    expect_good(any, "2.5");
    expect_refused(any, "1.5", "", "expected one of 2 schemas to hold (anyOf)");
    expect_good(one, "1");
    expect_refused(one, "3", "", "expected exactly one of 2 schemas to hold, got several (oneOf)");
    expect_refused(one, "1.5", "", "expected exactly one of 2 schemas to hold, got none (oneOf)");
    expect_good(all, "3");
    expect_refused(all, "1", "", "expected at least 2 (minimum)");
    expect_refused("{\"not\":{\"type\":\"null\"}}", "null", "",
                   "expected a schema not to hold (not)");
    expect_good("{\"not\":false}", "null");
}

static void conditions_choose(void **state)
{
    (void)state;
    const char *schema = "{\"if\":{\"type\":\"integer\"},\"then\":{\"minimum\":5},"
                         "\"else\":{\"type\":\"string\"}}";
    expect_good(schema, "5");
    expect_good(schema, "\"a\"");
    expect_refused(schema, "4", "", "expected at least 5 (minimum)");
    expect_refused(schema, "null", "", "expected string, got null (type)");
    expect_good("{\"if\":false,\"then\":false}", "1");
    expect_good("{\"then\":false,\"else\":false}", "1");
}

static void items_that_fit_are_counted(void **state)
{
    (void)state;
    const char *schema = "{\"contains\":{\"type\":\"null\"},\"minContains\":2,\"maxContains\":3}";
    expect_good(schema, "[null,1,null]");
    expect_refused(schema, "[null]", "", "expected at least 2 items that fit, got 1 (contains)");
    expect_refused(schema, "[null,null,null,null]", "",
                   "expected at most 3 items that fit, got 4 (contains)");
    expect_good("{\"contains\":{},\"minContains\":0}", "[]");
    expect_refused("{\"contains\":{}}", "[]", "",
                   "expected at least 1 items that fit, got 0 (contains)");
}

static void what_no_keyword_has_looked_at_is_unevaluated(void **state)
{
    (void)state;
    const char *schema =
        "{\"allOf\":[{\"properties\":{\"a\":true}}],\"anyOf\":[{\"required\":[\"b\"],"
        "\"properties\":{\"b\":true}},{\"patternProperties\":{\"^c\":{\"type\":\"null\"}}}],"
        "\"unevaluatedProperties\":false}";
    expect_good(schema, "{\"a\":1,\"b\":2,\"c\":null}");
    expect_refused(schema, "{\"a\":1,\"b\":2,\"d\":3}", "/d",
                   "expected nothing of this name (unevaluatedProperties)");
    /* What a branch that failed has seen does not count. */
    expect_refused(schema, "{\"b\":2,\"c\":3}", "/c",
                   "expected nothing of this name (unevaluatedProperties)");
    expect_refused("{\"prefixItems\":[true],\"contains\":{\"const\":7},\"unevaluatedItems\":false}",
                   "[1,7,2]", "/2", "expected nothing of this index (unevaluatedItems)");
    expect_good("{\"contains\":{\"const\":7},\"unevaluatedItems\":{\"type\":\"string\"}}",
                "[\"a\",7,\"b\"]");
    /* A schema inside has bits of its own: it does not see what is beside it. */
    expect_refused("{\"properties\":{\"a\":true},\"allOf\":[{\"unevaluatedProperties\":false}]}",
                   "{\"a\":1}", "/a", "expected nothing of this name (unevaluatedProperties)");
    expect_good("{\"not\":{\"not\":{\"properties\":{\"a\":true},\"unevaluatedProperties\":false}}}",
                "{\"a\":1}");
}

static void many_children_have_a_bit_each(void **state)
{
    (void)state;
    struct buf record = {0};
    for (int i = 0; i < 200; i++)
        buf_add_format(&record, "%s\"%c%d\":1", i == 0 ? "{" : ",", i == 130 ? 'b' : 'a', i);
    buf_add_string(&record, "}");
    struct format_jsonschema *schema =
        schema_with("{\"patternProperties\":{\"^a\":true},\"unevaluatedProperties\":false}", NULL);
    struct format_jsonschema_error why;
    err_t err = schema_check(schema, buf_slice(&record), &why);
    assert_true(err_is(err, ERR_RECORD_REFUSED));
    assert_string_equal(why.path, "/b130");
    assert_string_equal(why.keyword, "unevaluatedProperties");
    format_jsonschema_free(&schema);
    buf_done(&record);
}

static void dynamic_references_lead_to_the_outermost(void **state)
{
    (void)state;
    const char *schema =
        "{\"$id\":\"http://x/strict\",\"$dynamicAnchor\":\"node\",\"$ref\":\"tree\","
        "\"unevaluatedProperties\":false,\"$defs\":{\"tree\":{\"$id\":\"tree\","
        "\"$dynamicAnchor\":\"node\",\"properties\":{\"data\":true,\"children\":{\"items\":"
        "{\"$dynamicRef\":\"#node\"}}}}}}";
    expect_good(schema, "{\"children\":[{\"data\":1}]}");
    expect_refused(schema, "{\"children\":[{\"daat\":1}]}", "/children/0/daat",
                   "expected nothing of this name (unevaluatedProperties)");
}

static void what_is_no_json_and_equal_keys_are_refused(void **state)
{
    (void)state;
    struct format_jsonschema *schema = schema_with("true", NULL);
    struct format_jsonschema_error why;
    assert_true(err_is(schema_check(schema, slice_string("{\"a\":}"), &why), ERR_SYNTAX));
    assert_string_equal(why.message, "byte 5: expected a value (json)");
    assert_string_equal(why.keyword, "json");
    err_t err = schema_check(schema, slice_string("[{\"a\":1,\"\\u0061\":2}]"), &why);
    assert_true(err_is(err, ERR_RECORD_REFUSED));
    assert_string_equal(why.path, "/0/a");
    assert_string_equal(why.message, "expected each key once (duplicate)");
    err = schema_check(schema, slice_string("1e9999999999999999"), &why);
    assert_true(err_is(err, ERR_TOO_LARGE));
    assert_string_equal(why.keyword, "complexity");
    assert_true(err_is(schema_check(schema, slice_string("[1,]"), NULL), ERR_SYNTAX));
    format_jsonschema_free(&schema);
}

static void a_circle_of_references_ends(void **state)
{
    (void)state;
    static const char *const circles[] = {
        "{\"$ref\":\"#\"}",
        "{\"anyOf\":[{\"$ref\":\"#\"},{\"$ref\":\"#\"}]}",
        "{\"not\":{\"not\":{\"$ref\":\"#\"}}}",
        "{\"$dynamicAnchor\":\"a\",\"if\":{\"$dynamicRef\":\"#a\"},\"unevaluatedItems\":false}",
    };
    for (size_t i = 0; i < LENGTH(circles); i++)
        expect_refused(circles[i], "[1]", "", "expected less work to check it (complexity)");
    expect_good("{\"items\":{\"$ref\":\"#\"}}", "[[[[1]]]]");
}

static void a_scratch_serves_one_record_after_another(void **state)
{
    (void)state;
    struct format_jsonschema *strict =
        schema_with("{\"unevaluatedItems\":{\"pattern\":\"^a\"}}", NULL);
    struct format_jsonschema *loop = schema_with("{\"$ref\":\"#\"}", NULL);
    struct format_jsonschema_scratch *scratch = NULL;
    struct format_jsonschema_error why;
    assert_true(err_is_ok(format_jsonschema_scratch_new(&scratch)));
    for (int i = 0; i < 3; i++) {
        struct slice bad = SLICE_LITERAL("[\"b\"]"), good = SLICE_LITERAL("[\"a\"]");
        assert_true(
            err_is(format_jsonschema_check(strict, scratch, bad, &why), ERR_RECORD_REFUSED));
        assert_string_equal(why.path, "/0");
        assert_true(err_is(format_jsonschema_check(loop, scratch, good, &why), ERR_TOO_LARGE));
        assert_true(err_is_ok(format_jsonschema_check(strict, scratch, good, &why)));
    }
    format_jsonschema_scratch_free(&scratch);
    assert_null(scratch);
    format_jsonschema_free(&strict);
    format_jsonschema_free(&loop);
}

static void long_messages_keep_the_keyword(void **state)
{
    (void)state;
    struct buf text = {0};
    buf_add_string(&text, "{\"pattern\":\"^");
    for (int i = 0; i < 200; i++)
        buf_add_string(&text, "\xC3\xA9");
    buf_add_string(&text, "\"}");
    buf_add_byte(&text, 0);
    struct format_jsonschema *schema = schema_with((const char *)text.data, NULL);
    struct format_jsonschema_error why;
    err_t err = schema_check(schema, slice_string("\"a\""), &why);
    assert_true(err_is(err, ERR_RECORD_REFUSED));
    assert_true(slice_ends_with(slice_string(why.message), SLICE_LITERAL(" (pattern)")));
    assert_true(utf8_valid(slice_string(why.message)));
    format_jsonschema_free(&schema);
    buf_done(&text);
}

static void properties_patterns_and_the_rest_share_an_object(void **state)
{
    (void)state;
    const char *schema = "{\"properties\":{\"a\":{\"type\":\"integer\"},\"xa\":true},"
                         "\"patternProperties\":{\"^x\":{\"type\":\"string\"}},"
                         "\"additionalProperties\":{\"type\":\"null\"}}";
    expect_good(schema, "{\"a\":1,\"x\":\"\",\"xa\":\"\",\"other\":null}");
    expect_good(schema, "[1]");
    expect_good(schema, "{}");
    expect_refused(schema, "{\"other\":1}", "/other", "expected null, got number (type)");
    expect_refused(schema, "{\"x\":1}", "/x", "expected string, got number (type)");
    /* Named twice, both have a say. */
    expect_refused(schema, "{\"xa\":1}", "/xa", "expected string, got number (type)");
    expect_refused("{\"patternProperties\":{\"b\":false}}", "{\"abc\":1}", "/abc",
                   "expected nothing of this name (patternProperties)");
    expect_refused("{\"properties\":{\"b\":false}}", "{\"b\":1}", "/b",
                   "expected nothing of this name (properties)");
    expect_refused("{\"propertyNames\":false}", "{\"b\":1}", "/b",
                   "expected nothing of this name (propertyNames)");
    /* What is beside it counts, what is elsewhere does not. */
    expect_refused("{\"allOf\":[{\"properties\":{\"a\":true}}],\"additionalProperties\":false}",
                   "{\"a\":1}", "/a", "expected nothing of this name (additionalProperties)");
}

static void the_first_wrong_member_as_written_is_told(void **state)
{
    (void)state;
    const char *schema = "{\"additionalProperties\":{\"type\":\"null\"}}";
    expect_refused(schema, "{\"z\":1,\"a\":2}", "/z", "expected null, got number (type)");
    expect_refused(schema, "{\"b\":null,\"a\":2,\"0\":3}", "/a",
                   "expected null, got number (type)");
}

static void dependencies_hold_for_who_is_there(void **state)
{
    (void)state;
    const char *schema = "{\"dependentRequired\":{\"a\":[\"b\",\"c\"],\"\":[\"a\"]},"
                         "\"dependentSchemas\":{\"d\":{\"maxProperties\":2},\"e\":false}}";
    expect_good(schema, "{\"b\":1}");
    expect_good(schema, "{\"a\":1,\"b\":1,\"c\":1}");
    expect_good(schema, "{\"d\":1,\"x\":1}");
    expect_good(schema, "\"a\"");
    expect_refused(schema, "{\"a\":1,\"b\":1}", "", "expected property \"c\" (dependentRequired)");
    expect_refused(schema, "{\"\":1}", "", "expected property \"a\" (dependentRequired)");
    expect_refused(schema, "{\"d\":1,\"x\":1,\"y\":1}", "",
                   "expected at most 2 properties, got 3 (maxProperties)");
    expect_refused(schema, "{\"e\":1}", "", "expected nothing here (false)");
}

static void items_follow_their_prefix(void **state)
{
    (void)state;
    const char *schema = "{\"prefixItems\":[{\"type\":\"string\"},true],"
                         "\"items\":{\"type\":\"null\"}}";
    expect_good(schema, "[]");
    expect_good(schema, "[\"a\"]");
    expect_good(schema, "[\"a\",1,null,null]");
    expect_good(schema, "{\"0\":1}");
    expect_refused(schema, "[1]", "/0", "expected string, got number (type)");
    expect_refused(schema, "[\"a\",1,null,2]", "/3", "expected null, got number (type)");
    expect_refused("{\"prefixItems\":[true],\"items\":false}", "[1,2]", "/1",
                   "expected nothing of this index (items)");
}

static void conditions_and_references_evaluate_too(void **state)
{
    (void)state;
    const char *conditions =
        "{\"if\":{\"properties\":{\"k\":{\"const\":1}},\"required\":[\"k\"]},"
        "\"then\":{\"properties\":{\"a\":true}},\"else\":{\"properties\":{\"b\":true}},"
        "\"unevaluatedProperties\":false}";
    expect_good(conditions, "{\"k\":1,\"a\":1}");
    expect_good(conditions, "{\"b\":1}");
    expect_refused(conditions, "{\"k\":1,\"b\":1}", "/b",
                   "expected nothing of this name (unevaluatedProperties)");
    expect_refused(conditions, "{\"k\":2}", "/k",
                   "expected nothing of this name (unevaluatedProperties)");
    const char *reference = "{\"$ref\":\"#/$defs/a\",\"dependentSchemas\":{\"c\":{\"properties\":"
                            "{\"d\":true}}},\"unevaluatedProperties\":false,\"$defs\":{\"a\":{"
                            "\"properties\":{\"a\":true,\"c\":true}}}}";
    expect_good(reference, "{\"a\":1,\"c\":1,\"d\":1}");
    expect_refused(reference, "{\"a\":1,\"d\":1}", "/d",
                   "expected nothing of this name (unevaluatedProperties)");
    expect_good("{\"allOf\":[{\"unevaluatedProperties\":true}],\"unevaluatedProperties\":false}",
                "{\"a\":1}");
    expect_good("{\"oneOf\":[{\"items\":{\"type\":\"null\"}},{\"prefixItems\":[{\"const\":1}]}],"
                "\"unevaluatedItems\":false}",
                "[1]");
    expect_refused("{\"oneOf\":[{\"items\":{\"type\":\"null\"}},{\"prefixItems\":[{\"const\":1}]}],"
                   "\"unevaluatedItems\":false}",
                   "[1,2]", "/1", "expected nothing of this index (unevaluatedItems)");
}

/* As deep as a record may be, each level through a reference. */
static void deep_records_are_checked_to_the_bottom(void **state)
{
    (void)state;
    char record[6 * FORMAT_JSON_DEPTH_MAX];
    for (int bad = 0; bad < 2; bad++) {
        struct buf text = {0};
        for (int i = 0; i < FORMAT_JSON_DEPTH_MAX; i++)
            buf_add_string(&text, "[");
        buf_add_string(&text, bad ? "\"x\"" : "1");
        for (int i = 0; i < FORMAT_JSON_DEPTH_MAX; i++)
            buf_add_string(&text, "]");
        buf_add_byte(&text, 0);
        assert_true(text.size < sizeof(record));
        memcpy(record, text.data, text.size);
        buf_done(&text);
        struct format_jsonschema *schema =
            schema_with("{\"items\":{\"$ref\":\"#\"},\"type\":[\"array\",\"integer\"]}", NULL);
        struct format_jsonschema_error why = {.keyword = ""};
        err_t err = schema_check(schema, slice_string(record), &why);
        assert_int_equal(err_is_ok(err), !bad);
        assert_string_equal(why.keyword, bad ? "type" : "");
        format_jsonschema_free(&schema);
    }
}

static void the_steps_of_a_record_are_those_of_the_schema(void **state)
{
    (void)state;
    /* The tree is one step, the root schema another, each item one of each. */
    struct format_jsonschema_options o = {.steps = 8};
    const char *schema = "{\"items\":{\"type\":\"integer\"}}";
    expect_with("{\"items\":true}", &o, "[1,2,3]", NULL, NULL);
    o.steps = 7;
    expect_with("{\"items\":true}", &o, "[1,2,3]", "",
                "expected less work to check it (complexity)");
    o.steps = 3;
    expect_with(schema, &o, "[1,2,3]", "",
                "expected fewer values and shorter exponents (complexity)");
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    struct format_jsonschema *schema = schema_with(
        "{\"properties\":{\"a\":{\"uniqueItems\":true}},\"patternProperties\":{\"b\":{\"enum\":"
        "[1]}},\"unevaluatedProperties\":{\"format\":\"regex\"}}",
        &(struct format_jsonschema_options){.assert_formats = true});
    err_t err = err_make(ERR_MEMORY);
    for (uint64_t n = 1; err_is(err, ERR_MEMORY); n++) {
        struct format_jsonschema_scratch *scratch = NULL;
        struct format_jsonschema_error why;
        mem_fail_after(n);
        err = format_jsonschema_scratch_new(&scratch);
        if (err_is_ok(err))
            err = format_jsonschema_check(
                schema, scratch, SLICE_LITERAL("{\"a\":[1,2],\"c\":\"x\\n\",\"b\":2}"), &why);
        mem_fail_after(0);
        format_jsonschema_scratch_free(&scratch);
        assert_false(err_is_ok(err));
    }
    assert_true(err_is(err, ERR_RECORD_REFUSED));
    format_jsonschema_free(&schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_path_leads_to_what_is_wrong),
        cmocka_unit_test(nothing_of_the_record_is_shown_but_names),
        cmocka_unit_test(branches_are_counted),
        cmocka_unit_test(conditions_choose),
        cmocka_unit_test(items_that_fit_are_counted),
        cmocka_unit_test(what_no_keyword_has_looked_at_is_unevaluated),
        cmocka_unit_test(many_children_have_a_bit_each),
        cmocka_unit_test(dynamic_references_lead_to_the_outermost),
        cmocka_unit_test(what_is_no_json_and_equal_keys_are_refused),
        cmocka_unit_test(a_circle_of_references_ends),
        cmocka_unit_test(a_scratch_serves_one_record_after_another),
        cmocka_unit_test(long_messages_keep_the_keyword),
        cmocka_unit_test(properties_patterns_and_the_rest_share_an_object),
        cmocka_unit_test(the_first_wrong_member_as_written_is_told),
        cmocka_unit_test(dependencies_hold_for_who_is_there),
        cmocka_unit_test(items_follow_their_prefix),
        cmocka_unit_test(conditions_and_references_evaluate_too),
        cmocka_unit_test(deep_records_are_checked_to_the_bottom),
        cmocka_unit_test(the_steps_of_a_record_are_those_of_the_schema),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
