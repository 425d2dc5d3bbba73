#include "format/jsonschema/check_int.h"

#include "unit/format/jsonschema/schema.h"

static void types_are_told_and_integers_by_value(void **state)
{
    (void)state;
    expect_good("{\"type\":\"integer\"}", "1.0");
    expect_good("{\"type\":\"integer\"}", "1e400");
    expect_good("{\"type\":[\"null\",\"boolean\"]}", "false");
    expect_good("{\"type\":[\"null\",\"boolean\"]}", "true");
    expect_good("{\"type\":\"number\"}", "-0.5");
    expect_refused("{\"type\":\"integer\"}", "1.5", "", "expected integer, got number (type)");
    expect_refused("{\"type\":\"object\"}", "[]", "", "expected object, got array (type)");
    expect_refused("{\"type\":[\"null\",\"string\",\"integer\"]}", "{}", "",
                   "expected null or string or integer, got object (type)");
    expect_refused("{\"type\":\"boolean\"}", "null", "", "expected boolean, got null (type)");
}

static void const_and_enum_compare_by_value(void **state)
{
    (void)state;
    expect_good("{\"const\":{\"a\":[1,2.0]}}", "{\"a\":[1.0,2]}");
    expect_good("{\"enum\":[\"a\",null,10]}", "1e1");
    expect_good("{\"const\":\"\\u00e9\"}", "\"\xC3\xA9\"");
    expect_refused("{\"const\":0}", "false", "", "expected 0 (const)");
    expect_refused("{\"const\":[0]}", "[false]", "", "expected [...] (const)");
    expect_refused("{\"const\":{}}", "1", "", "expected {} (const)");
    expect_refused("{\"enum\":[\"EUR\",\"US\\u0007D\",3,null]}", "\"x\"", "",
                   "expected one of \"EUR\", \"US\\u0007D\", 3, null (enum)");
    expect_refused("{\"enum\":[\"0123456789012345678901234567890123456789\","
                   "\"0123456789012345678901234567890123456789\","
                   "\"0123456789012345678901234567890123456789\"]}",
                   "1", "",
                   "expected one of \"0123456789012345678901234567890123456789\", "
                   "\"0123456789012345678901234567890123456789\", \"0... (enum)");
}

static void numbers_are_compared_exactly(void **state)
{
    (void)state;
    expect_good("{\"maximum\":9007199254740993}", "9007199254740993");
    expect_refused("{\"maximum\":9007199254740992}", "9007199254740993", "",
                   "expected at most 9007199254740992 (maximum)");
    expect_refused("{\"minimum\":0.1}", "0.09999999999999999999999", "",
                   "expected at least 0.1 (minimum)");
    expect_refused("{\"exclusiveMaximum\":3}", "3.0", "",
                   "expected less than 3 (exclusiveMaximum)");
    expect_refused("{\"exclusiveMinimum\":3}", "3e0", "",
                   "expected more than 3 (exclusiveMinimum)");
    expect_good("{\"exclusiveMinimum\":3}", "3.0000000000000000000000000001");
    expect_good("{\"minimum\":5}", "\"1\"");
    expect_refused("{\"multipleOf\":0.01}", "19.999", "",
                   "expected a multiple of 0.01 (multipleOf)");
    expect_good("{\"multipleOf\":0.01}", "19.99");
    expect_good("{\"multipleOf\":0.01}", "\"a\"");
}

static void lengths_count_code_points(void **state)
{
    (void)state;
    expect_good("{\"minLength\":2,\"maxLength\":2}", "\"\xF0\x9F\x98\x80\\ud83d\\ude00\"");
    expect_good("{\"maxLength\":2.0}", "\"e\xCC\x81\"");
    expect_good("{\"maxLength\":1}", "123");
    expect_refused("{\"maxLength\":1}", "\"e\xCC\x81\"", "",
                   "expected at most 1 characters, got 2 (maxLength)");
    expect_refused("{\"minLength\":3}", "\"\xC3\xA9t\"", "",
                   "expected at least 3 characters, got 2 (minLength)");
}

static void containers_are_counted(void **state)
{
    (void)state;
    expect_good("{\"minItems\":1,\"maxItems\":1,\"minProperties\":3}", "[1]");
    expect_good("{\"minProperties\":1,\"maxProperties\":1,\"minItems\":3}", "{\"a\":1}");
    expect_refused("{\"minItems\":1}", "[]", "", "expected at least 1 items, got 0 (minItems)");
    expect_refused("{\"maxItems\":1}", "[1,2]", "", "expected at most 1 items, got 2 (maxItems)");
    expect_refused("{\"minProperties\":1}", "{}", "",
                   "expected at least 1 properties, got 0 (minProperties)");
    expect_refused("{\"maxProperties\":0}", "{\"a\":1}", "",
                   "expected at most 0 properties, got 1 (maxProperties)");
}

static void patterns_are_searched_for(void **state)
{
    (void)state;
    expect_good("{\"pattern\":\"b\"}", "\"abc\"");
    expect_good("{\"pattern\":\"b\"}", "1");
    expect_good("{\"pattern\":\"^\\\\n$\"}", "\"\\n\"");
    expect_refused("{\"pattern\":\"^b\\u0009\"}", "\"abc\"", "",
                   "expected a match of ^b\\u0009 (pattern)");
}

static void equal_items_are_found_wherever_they_stand(void **state)
{
    (void)state;
    const char *schema = "{\"uniqueItems\":true}";
    expect_good(schema, "[1,true,\"1\",[1],{\"a\":1},null,0,false,[],{}]");
    expect_good(schema, "[]");
    expect_good(schema, "{\"a\":1}");
    expect_good("{\"uniqueItems\":false}", "[1,1]");
    expect_refused(schema, "[3,1,2,1.0]", "/3",
                   "expected another value than at index 1 (uniqueItems)");
    expect_refused(schema, "[{\"a\":1,\"b\":2},0,{\"b\":2,\"a\":1e0}]", "/2",
                   "expected another value than at index 0 (uniqueItems)");
}

static void formats_are_asserted_when_asked_for(void **state)
{
    (void)state;
    struct format_jsonschema_options o = {.assert_formats = true};
    expect_good("{\"format\":\"date\"}", "\"no\"");
    expect_with("{\"format\":\"date\"}", &o, "\"2024-01-01\"", NULL, NULL);
    expect_with("{\"format\":\"date\"}", &o, "1", NULL, NULL);
    expect_with("{\"format\":\"nobody's\"}", &o, "\"x\"", NULL, NULL);
    expect_with("{\"format\":\"date\"}", &o, "\"no\"", "", "expected date (RFC 3339) (format)");
    o.draft = FORMAT_JSONSCHEMA_7;
    expect_with("{\"format\":\"ipv4\"}", &o, "\"no\"", "", "expected ipv4 (RFC 2673) (format)");
}

/* Each of them has to stop, whatever it would say otherwise. */
static void everything_that_loops_spends_steps(void **state)
{
    (void)state;
    static const char *const schemas[] = {
        "{\"enum\":[[1,2,3,4,5,6,7,8],2,3,4,5,6,7,8,9,10,11,12,13,14,15]}",
        "{\"not\":{\"uniqueItems\":true}}",
        "{\"items\":{\"not\":{\"type\":\"integer\"}}}",
        "{\"items\":{\"maximum\":3}}",
        "{\"items\":{\"multipleOf\":3}}",
        "{\"const\":[1,2,3,4,5,6,7,9]}",
        "{\"contains\":{\"const\":99}}",
        "{\"anyOf\":[{\"items\":{\"pattern\":\"a\"}},{\"items\":{\"const\":7}}]}",
    };
    for (size_t i = 0; i < LENGTH(schemas); i++) {
        struct format_jsonschema_options o = {.steps = 10};
        expect_with(schemas[i], &o, "[1,2,3,4,5,6,7,8]", "",
                    "expected less work to check it (complexity)");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_are_told_and_integers_by_value),
        cmocka_unit_test(const_and_enum_compare_by_value),
        cmocka_unit_test(numbers_are_compared_exactly),
        cmocka_unit_test(lengths_count_code_points),
        cmocka_unit_test(containers_are_counted),
        cmocka_unit_test(patterns_are_searched_for),
        cmocka_unit_test(equal_items_are_found_wherever_they_stand),
        cmocka_unit_test(formats_are_asserted_when_asked_for),
        cmocka_unit_test(everything_that_loops_spends_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
