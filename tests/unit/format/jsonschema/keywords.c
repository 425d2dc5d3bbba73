#include "format/jsonschema/schema_int.h"

#include "unit/format/jsonschema/schema.h"

static void words_stand_in_an_order_that_checks_rely_on(void **state)
{
    (void)state;
    size_t count = 0, behind = 0;
    assert_string_equal(format_jsonschema_words[0].name, "$ref");
    for (const struct format_jsonschema_word *w = format_jsonschema_words; w->name; w++, count++) {
        assert_true(!w->compile || w->check);
        if (w->vocabulary == FORMAT_JSONSCHEMA_UNEVALUATED)
            behind++;
        else
            assert_int_equal(behind, 0);
    }
    assert_int_equal(behind, 2);
    assert_true(count > 40);
}

static void wrong_values_of_keywords_are_refused_with_their_place(void **state)
{
    (void)state;
    static const char *const wrong[][2] = {
        {"{\"type\":\"strin\"}",
         "#/type: expected null, boolean, number, integer, string, object or array"},
        {"{\"type\":[\"null\",3]}",
         "#/type/1: expected null, boolean, number, integer, string, object or array"},
        {"{\"properties\":{\"a\":{\"minLength\":-1}}}",
         "#/properties/a/minLength: expected an integer that is not negative"},
        {"{\"minItems\":1.5}", "#/minItems: expected an integer that is not negative"},
        {"{\"maxItems\":\"1\"}", "#/maxItems: expected an integer, got string"},
        {"{\"contains\":{},\"minContains\":true}",
         "#/minContains: expected an integer, got boolean"},
        {"{\"contains\":{},\"maxContains\":-1}",
         "#/maxContains: expected an integer that is not negative"},
        {"{\"maximum\":\"1\"}", "#/maximum: expected a number, got string"},
        {"{\"multipleOf\":0}", "#/multipleOf: expected a number over 0"},
        {"{\"multipleOf\":-2}", "#/multipleOf: expected a number over 0"},
        {"{\"enum\":{}}", "#/enum: expected an array, got object"},
        {"{\"required\":\"a\"}", "#/required: expected an array of strings, got string"},
        {"{\"required\":[\"a\",1]}", "#/required/1: expected a string, got number"},
        {"{\"dependentRequired\":[]}", "#/dependentRequired: expected an object, got array"},
        {"{\"dependentRequired\":{\"a\":[null]}}",
         "#/dependentRequired/a/0: expected a string, got null"},
        {"{\"uniqueItems\":1}", "#/uniqueItems: expected a boolean, got number"},
        {"{\"format\":1}", "#/format: expected a string, got number"},
        {"{\"pattern\":1}", "#/pattern: expected a string, got number"},
        {"{\"pattern\":\"(?i)a\"}",
         "#/pattern: expected a pattern of ECMA-262: unknown kind of group"},
        {"{\"patternProperties\":{\"*\":{}}}",
         "#/patternProperties/*: expected a pattern of ECMA-262: nothing to repeat"},
        {"{\"$ref\":1}", "#/$ref: expected a string, got number"},
        {"{\"allOf\":[]}", "#/allOf: expected an array of schemas, not empty"},
        {"{\"anyOf\":{}}", "#/anyOf: expected an array of schemas, not empty"},
        {"{\"properties\":[]}", "#/properties: expected an object, got array"},
        {"{\"properties\":{\"a\":1}}",
         "#/properties/a: expected a schema (an object or a boolean), got number"},
        {"{\"items\":[{}]}", "#/items: expected a schema (an object or a boolean), got array"},
        {"{\"not\":null}", "#/not: expected a schema (an object or a boolean), got null"},
        {"3", "#: expected a schema (an object or a boolean), got number"},
        /* What only the metaschema knows. */
        {"{\"title\":1}", "#/title: expected string, got number (type)"},
        {"{\"type\":[]}", "#/type: expected one of 2 schemas to hold (anyOf)"},
        {"{\"required\":[\"a\",\"a\"]}",
         "#/required/1: expected another value than at index 0 (uniqueItems)"},
    };
    for (size_t i = 0; i < LENGTH(wrong); i++)
        expect_no_schema(wrong[i][0], wrong[i][1]);
}

static void keywords_of_the_other_draft_say_nothing(void **state)
{
    (void)state;
    expect_good("{\"dependencies\":{\"a\":[\"b\"]}}", "{\"a\":1}");
    expect_good("{\"additionalItems\":false}", "[1]");
    expect_good_7("{\"prefixItems\":[false]}", "[1]");
    expect_good_7("{\"unevaluatedProperties\":false}", "{\"a\":1}");
    expect_good_7("{\"dependentRequired\":{\"a\":[\"b\"]}}", "{\"a\":1}");
    expect_good_7("{\"contains\":{},\"minContains\":3}", "[1]");
    expect_good_7("{\"$dynamicRef\":\"#nowhere\"}", "1");
}

static void items_of_draft_7_have_two_shapes(void **state)
{
    (void)state;
    expect_refused_7("{\"items\":{\"type\":\"null\"}}", "[null,1]", "/1",
                     "expected null, got number (type)");
    expect_refused_7("{\"items\":[{\"type\":\"null\"}]}", "[1]", "/0",
                     "expected null, got number (type)");
    expect_good_7("{\"items\":[{\"type\":\"null\"}]}", "[null,1]");
    expect_refused_7("{\"items\":[true],\"additionalItems\":false}", "[1,2]", "/1",
                     "expected nothing of this index (additionalItems)");
    expect_good_7("{\"items\":{},\"additionalItems\":false}", "[1,2]");
    expect_good_7("{\"additionalItems\":false}", "[1,2]");
}

static void dependencies_of_draft_7_are_names_or_schemas(void **state)
{
    (void)state;
    const char *schema = "{\"dependencies\":{\"a\":[\"b\",\"c\"],\"d\":{\"maxProperties\":1}}}";
    expect_good_7(schema, "{\"a\":1,\"b\":1,\"c\":1}");
    expect_good_7(schema, "{\"d\":1}");
    expect_good_7(schema, "[]");
    expect_refused_7(schema, "{\"a\":1,\"b\":1}", "", "expected property \"c\" (dependencies)");
    expect_refused_7(schema, "{\"d\":1,\"e\":1}", "",
                     "expected at most 1 properties, got 2 (maxProperties)");
}

static void a_reference_of_draft_7_stands_alone(void **state)
{
    (void)state;
    const char *schema = "{\"definitions\":{\"a\":{\"type\":\"integer\"}},"
                         "\"properties\":{\"x\":{\"$ref\":\"#/definitions/a\",\"maximum\":3}}}";
    expect_good_7(schema, "{\"x\":5}");
    expect_refused(schema, "{\"x\":5}", "/x", "expected at most 3 (maximum)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_stand_in_an_order_that_checks_rely_on),
        cmocka_unit_test(wrong_values_of_keywords_are_refused_with_their_place),
        cmocka_unit_test(keywords_of_the_other_draft_say_nothing),
        cmocka_unit_test(items_of_draft_7_have_two_shapes),
        cmocka_unit_test(dependencies_of_draft_7_are_names_or_schemas),
        cmocka_unit_test(a_reference_of_draft_7_stands_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
