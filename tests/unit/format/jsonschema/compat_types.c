#include "format/jsonschema/compat_int.h"

#include "unit/format/jsonschema/compat.h"

static void types_may_be_added(void **state)
{
    (void)state;
    expect_widens("{\"type\":\"string\"}", "{\"type\":[\"string\",\"null\"]}",
                  "#/type TYPE_NARROWED");
    expect_widens("{\"type\":\"integer\"}", "{\"type\":\"number\"}", "#/type TYPE_NARROWED");
    expect_widens("{\"type\":\"boolean\"}", "{\"maxLength\":1}", "#/type TYPE_NARROWED");
    expect_breaks("{\"type\":\"string\"}", "{\"type\":\"boolean\"}", "#/type TYPE_CHANGED");
    expect_breaks("{\"type\":[\"string\",\"number\"]}", "{\"type\":[\"number\",\"string\"]}", "");
}

static void lengths_and_patterns_may_be_loosened(void **state)
{
    (void)state;
    expect_widens("{\"maxLength\":5}", "{\"maxLength\":5.5e1}", "#/maxLength MAX_LENGTH_DECREASED");
    expect_widens("{\"maxLength\":5}", "{}", "#/maxLength MAX_LENGTH_ADDED");
    expect_widens("{\"minLength\":5}", "{\"minLength\":4}", "#/minLength MIN_LENGTH_INCREASED");
    expect_widens("{\"minLength\":5}", "{\"minLength\":0}", "#/minLength MIN_LENGTH_ADDED");
    expect_breaks("{}", "{\"minLength\":0}", "");
    expect_widens("{\"pattern\":\"a\"}", "{}", "#/pattern PATTERN_ADDED");
    expect_breaks("{\"pattern\":\"a\"}", "{\"pattern\":\"a|b\"}", "#/pattern PATTERN_CHANGED");
}

static void formats_count_where_they_are_asserted(void **state)
{
    (void)state;
    static const struct format_jsonschema_options asserted = {.assert_formats = true};
    expect_breaks("{}", "{\"format\":\"date\"}", "");
    expect_breaks_with("{}", "{\"format\":\"date\"}", "#/format FORMAT_ADDED", &asserted);
    expect_breaks_with("{\"format\":\"time\"}", "{\"format\":\"date\"}", "#/format FORMAT_CHANGED",
                       &asserted);
    expect_breaks_with("{\"format\":\"time\"}", "{}", "", &asserted);
}

static void bounds_may_be_loosened(void **state)
{
    (void)state;
    expect_widens("{\"maximum\":0.1}", "{\"maximum\":1e-1}", "");
    expect_widens("{\"maximum\":9007199254740992}", "{\"maximum\":9007199254740993}",
                  "#/maximum MAXIMUM_DECREASED");
    expect_widens("{\"maximum\":1}", "{}", "#/maximum MAXIMUM_ADDED");
    expect_widens("{\"minimum\":-1}", "{\"minimum\":-1.5}", "#/minimum MINIMUM_INCREASED");
    /* Zero is a bound of numbers as any other. */
    expect_widens("{\"minimum\":0}", "{}", "#/minimum MINIMUM_ADDED");
    expect_widens("{\"exclusiveMaximum\":1}", "{\"exclusiveMaximum\":2}",
                  "#/exclusiveMaximum EXCLUSIVE_MAXIMUM_DECREASED");
    expect_widens("{\"exclusiveMaximum\":1}", "{}", "#/exclusiveMaximum EXCLUSIVE_MAXIMUM_ADDED");
    expect_widens("{\"exclusiveMinimum\":1}", "{\"exclusiveMinimum\":0}",
                  "#/exclusiveMinimum EXCLUSIVE_MINIMUM_INCREASED");
    expect_widens("{\"exclusiveMinimum\":1}", "{}", "#/exclusiveMinimum EXCLUSIVE_MINIMUM_ADDED");
}

static void a_divisor_may_be_divided(void **state)
{
    (void)state;
    expect_widens("{\"multipleOf\":10}", "{\"multipleOf\":2.5}",
                  "#/multipleOf MULTIPLE_OF_EXPANDED");
    expect_widens("{\"multipleOf\":10}", "{}", "#/multipleOf MULTIPLE_OF_ADDED");
    expect_breaks("{\"multipleOf\":10}", "{\"multipleOf\":4}", "#/multipleOf MULTIPLE_OF_CHANGED");
}

static void what_is_said_of_types_that_cannot_come_is_not_compared(void **state)
{
    (void)state;
    expect_breaks("{\"type\":\"integer\"}", "{\"maxLength\":1,\"minItems\":2,\"required\":[\"a\"]}",
                  "");
    expect_breaks("{\"type\":\"string\"}", "{\"maximum\":1,\"multipleOf\":2}", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_may_be_added),
        cmocka_unit_test(lengths_and_patterns_may_be_loosened),
        cmocka_unit_test(formats_count_where_they_are_asserted),
        cmocka_unit_test(bounds_may_be_loosened),
        cmocka_unit_test(a_divisor_may_be_divided),
        cmocka_unit_test(what_is_said_of_types_that_cannot_come_is_not_compared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
