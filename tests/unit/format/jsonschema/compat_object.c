#include "format/jsonschema/compat_int.h"

#include "unit/format/jsonschema/compat.h"

#define S "{\"type\":\"string\"}"
#define I "{\"type\":\"integer\"}"
#define OPEN(properties) "{\"type\":\"object\",\"properties\":{" properties "}}"
#define CLOSED(properties)                                                                         \
    "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{" properties "}}"
#define PARTLY(rest, properties)                                                                   \
    "{\"type\":\"object\",\"additionalProperties\":" rest ",\"properties\":{" properties "}}"

static void properties_are_removed_from_an_open_model_and_added_to_a_closed_one(void **state)
{
    (void)state;
    expect_widens(OPEN("\"a\":" S ",\"b\":" S), OPEN("\"a\":" S),
                  "#/properties/b PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL");
    expect_widens(CLOSED("\"a\":" S), CLOSED("\"a\":" S ",\"b\":" S),
                  "#/properties/b PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL");
    /* One that says nothing or allows nothing changes nothing. */
    expect_breaks(OPEN("\"a\":" S), OPEN("\"a\":" S ",\"b\":{}"), "");
    expect_breaks(CLOSED("\"a\":" S ",\"b\":false"), CLOSED("\"a\":" S), "");
}

static void a_partially_open_model_covers_or_does_not(void **state)
{
    (void)state;
    expect_breaks(PARTLY(S, ""), PARTLY(S, "\"a\":" S), "");
    expect_breaks(PARTLY(S, "\"a\":" S), PARTLY(S, ""), "");
    expect_breaks(PARTLY(S, ""), PARTLY(S, "\"a\":" I),
                  "#/properties/a/type TYPE_CHANGED; #/properties/a "
                  "PROPERTY_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL");
    expect_breaks(PARTLY(S, "\"a\":" I), PARTLY(S, ""),
                  "#/additionalProperties/type TYPE_CHANGED; #/properties/a "
                  "PROPERTY_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL");
    expect_breaks("{\"type\":\"object\",\"patternProperties\":{\"^x_\":" S
                  "},\"additionalProperties\":false}",
                  "{\"type\":\"object\",\"patternProperties\":{\"^x_\":" S
                  "},\"additionalProperties\":false,\"properties\":{\"x_a\":" S "}}",
                  "");
}

static void a_name_becomes_required_only_with_a_default(void **state)
{
    (void)state;
    expect_widens("{\"required\":[\"a\",\"b\"]}", "{\"required\":[\"b\"]}",
                  "#/required/0 REQUIRED_ATTRIBUTE_ADDED");
    expect_breaks(OPEN("\"a\":{\"default\":1}"),
                  "{\"type\":\"object\",\"required\":[\"a\"],\"properties\":{\"a\":"
                  "{\"default\":1}}}",
                  "");
    expect_breaks(CLOSED(""),
                  "{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"a\",\"b\"],"
                  "\"properties\":{\"a\":{\"type\":\"string\",\"default\":\"x\"},\"b\":" S "}}",
                  "#/required/1 REQUIRED_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL");
}

static void the_model_may_be_opened(void **state)
{
    (void)state;
    expect_widens(CLOSED("\"a\":" S), OPEN("\"a\":" S),
                  "#/additionalProperties ADDITIONAL_PROPERTIES_REMOVED");
    expect_widens(PARTLY(S, ""), OPEN(""), "#/additionalProperties ADDITIONAL_PROPERTIES_NARROWED");
    expect_widens(PARTLY(I, ""), PARTLY("{\"type\":\"number\"}", ""),
                  "#/additionalProperties/type TYPE_NARROWED");
    expect_widens("{\"unevaluatedProperties\":false}", "{}",
                  "#/unevaluatedProperties ADDITIONAL_PROPERTIES_REMOVED");
}

static void patterns_of_names_are_compared(void **state)
{
    (void)state;
    expect_widens("{\"patternProperties\":{\"a\":" I "}}",
                  "{\"patternProperties\":{\"a\":{\"type\":\"number\"}}}",
                  "#/patternProperties/a/type TYPE_NARROWED");
    expect_widens("{\"patternProperties\":{\"a\":" I "}}", "{}",
                  "#/patternProperties/a PATTERN_PROPERTY_ADDED");
    expect_breaks("{\"patternProperties\":{\"a\":" I "},\"additionalProperties\":false}",
                  "{\"additionalProperties\":false}",
                  "#/patternProperties/a PATTERN_PROPERTY_REMOVED");
    expect_widens("{\"propertyNames\":{\"maxLength\":4}}", "{\"propertyNames\":{\"maxLength\":5}}",
                  "#/propertyNames/maxLength MAX_LENGTH_DECREASED");
    expect_widens("{\"propertyNames\":{\"maxLength\":4}}", "{}",
                  "#/propertyNames PROPERTY_NAMES_ADDED");
}

static void dependencies_may_be_dropped(void **state)
{
    (void)state;
    expect_widens("{\"dependentRequired\":{\"a\":[\"b\",\"c\"]}}",
                  "{\"dependentRequired\":{\"a\":[\"c\"]}}",
                  "#/dependentRequired/a DEPENDENCY_ARRAY_EXTENDED");
    expect_widens("{\"dependentRequired\":{\"a\":[\"b\"]}}", "{}",
                  "#/dependentRequired/a DEPENDENCY_ARRAY_ADDED");
    expect_widens("{\"dependentSchemas\":{\"a\":{\"minProperties\":2}}}", "{}",
                  "#/dependentSchemas/a DEPENDENCY_SCHEMA_ADDED");
    expect_widens("{\"dependentSchemas\":{\"a\":{\"minProperties\":2}}}",
                  "{\"dependentSchemas\":{\"a\":{\"minProperties\":1}}}",
                  "#/dependentSchemas/a/minProperties MIN_PROPERTIES_INCREASED");
    static const struct format_jsonschema_options seven = {.draft = FORMAT_JSONSCHEMA_7};
    expect_breaks_with("{\"dependencies\":{\"a\":[\"b\"],\"c\":{\"minProperties\":2}}}",
                       "{\"dependencies\":{\"c\":{\"minProperties\":3},\"a\":[\"b\",\"d\"]}}",
                       "#/dependencies/a DEPENDENCY_ARRAY_EXTENDED; "
                       "#/dependencies/c/minProperties MIN_PROPERTIES_INCREASED",
                       &seven);
}

static void sizes_may_be_loosened(void **state)
{
    (void)state;
    expect_widens("{\"maxProperties\":1}", "{\"maxProperties\":2}",
                  "#/maxProperties MAX_PROPERTIES_DECREASED");
    expect_widens("{\"maxProperties\":1}", "{}", "#/maxProperties MAX_PROPERTIES_ADDED");
    expect_widens("{\"minProperties\":1}", "{}", "#/minProperties MIN_PROPERTIES_ADDED");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(properties_are_removed_from_an_open_model_and_added_to_a_closed_one),
        cmocka_unit_test(a_partially_open_model_covers_or_does_not),
        cmocka_unit_test(a_name_becomes_required_only_with_a_default),
        cmocka_unit_test(the_model_may_be_opened),
        cmocka_unit_test(patterns_of_names_are_compared),
        cmocka_unit_test(dependencies_may_be_dropped),
        cmocka_unit_test(sizes_may_be_loosened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
