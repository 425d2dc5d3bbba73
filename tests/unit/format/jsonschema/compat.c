#include "format/jsonschema/compat_int.h"

#include "unit/format/jsonschema/compat.h"

#define S "{\"type\":\"string\"}"
#define S5 "{\"type\":\"string\",\"maxLength\":5}"
#define S9 "{\"type\":\"string\",\"maxLength\":9}"
#define I "{\"type\":\"integer\"}"
#define B "{\"type\":\"boolean\"}"
#define N "{\"type\":\"null\"}"

static void a_schema_follows_itself(void **state)
{
    (void)state;
    static const char *const schemas[] = {
        "true",
        "false",
        "{}",
        S5,
        "{\"enum\":[1,\"a\",{\"b\":[]}]}",
        "{\"not\":" S "}",
        "{\"allOf\":[" S "," S5 "]}",
        "{\"anyOf\":[" S "," I "]}",
        "{\"oneOf\":[" S "," I "]}",
        "{\"if\":" S ",\"then\":" S5 ",\"else\":" I "}",
        "{\"type\":\"object\",\"properties\":{\"next\":{\"$ref\":\"#\"},\"v\":" I "}}",
        "{\"$ref\":\"#/$defs/a\",\"$defs\":{\"a\":" S "},\"type\":\"string\"}"};
    for (size_t i = 0; i < LENGTH(schemas); i++)
        expect_breaks(schemas[i], schemas[i], "");
}

static void true_takes_all_and_false_gives_nothing(void **state)
{
    (void)state;
    expect_widens(S, "true", "#/type TYPE_NARROWED");
    expect_widens("false", S, "# TYPE_CHANGED");
    expect_widens("false", "{}", "# TYPE_CHANGED");
}

static void an_enum_may_grow(void **state)
{
    (void)state;
    expect_widens("{\"enum\":[\"a\",1.0]}", "{\"enum\":[1,\"b\",\"a\"]}",
                  "#/enum ENUM_ARRAY_NARROWED");
    expect_breaks("{\"enum\":[1,2]}", "{\"enum\":[2,3]}", "#/enum ENUM_ARRAY_CHANGED");
    expect_widens("{\"const\":1}", "{\"enum\":[2,1.0]}", "#/const ENUM_ARRAY_NARROWED");
    expect_breaks("{\"const\":1}", "{\"const\":2}", "#/const ENUM_ARRAY_CHANGED");
    expect_widens("{\"type\":\"string\",\"enum\":[\"a\"]}", S, "#/enum ENUM_ARRAY_NARROWED");
}

static void more_may_be_excluded_never(void **state)
{
    (void)state;
    expect_widens("{\"not\":" S9 "}", "{\"not\":" S5 "}", "#/not NOT_TYPE_EXTENDED");
    expect_widens("{\"type\":\"string\",\"not\":" S5 "}", S, "#/not NOT_TYPE_EXTENDED");
}

static void all_of_may_lose_parts(void **state)
{
    (void)state;
    expect_widens("{\"allOf\":[" S5 ",{\"pattern\":\"a\"}]}", "{\"allOf\":[" S5 "]}",
                  "#/allOf/1 PRODUCT_TYPE_EXTENDED");
    expect_widens("{\"allOf\":[" S5 "]}", "{\"allOf\":[" S9 "]}",
                  "#/allOf/0/maxLength MAX_LENGTH_DECREASED");
    /* Alone or in a list, it says the same. */
    expect_breaks("{\"allOf\":[" S "]}", S, "");
    expect_breaks(S, "{\"allOf\":[" S "]}", "");
    expect_breaks(S, "{\"allOf\":[" S "," S5 "]}", "#/allOf/1/maxLength MAX_LENGTH_ADDED");
}

static void any_of_may_gain_branches(void **state)
{
    (void)state;
    expect_widens("{\"anyOf\":[" S "," I "]}", "{\"anyOf\":[" B "," I "," S "]}",
                  "#/anyOf/0/type TYPE_CHANGED");
    expect_breaks("{\"anyOf\":[" S "," I "," B "]}", "{\"anyOf\":[" S "," I "]}",
                  "#/anyOf/2 SUM_TYPE_NARROWED");
    expect_widens(S, "{\"anyOf\":[" I "," S "]}", "#/type TYPE_CHANGED");
    expect_widens("{\"type\":[\"string\",\"null\"]}", "{\"anyOf\":[" I "," S9 "," N "," S "]}",
                  "#/type TYPE_CHANGED");
    expect_breaks("{\"type\":[\"string\",\"null\"]}", "{\"anyOf\":[" I "," S "]}",
                  "#/anyOf COMBINED_TYPE_CHANGED");
}

static void each_branch_of_one_of_needs_its_own(void **state)
{
    (void)state;
    expect_widens("{\"oneOf\":[" S9 "," I "]}", "{\"oneOf\":[" I "," B "," S9 "]}",
                  "#/oneOf SUM_TYPE_NARROWED");
    /* S5 fits both, S9 only one: S5 has to make room. */
    expect_breaks("{\"oneOf\":[" S5 "," S9 "]}", "{\"oneOf\":[" S9 "," S5 "]}", "");
    expect_breaks("{\"oneOf\":[" S "," I "]}", "{\"oneOf\":[" S5 "," I "]}",
                  "#/oneOf COMBINED_TYPE_SUBSCHEMAS_CHANGED");
    expect_breaks("{\"oneOf\":[" S9 "]}", "{\"oneOf\":[" S5 "]}",
                  "#/oneOf/0/maxLength MAX_LENGTH_DECREASED");
}

static void one_of_becomes_any_of_and_not_back(void **state)
{
    (void)state;
    expect_widens("{\"oneOf\":[" S "," I "]}", "{\"anyOf\":[" S "," I "]}",
                  "#/oneOf COMBINED_TYPE_CHANGED");
    expect_breaks("{\"anyOf\":[" S "]}", "{\"oneOf\":[" S "]}", "");
    expect_breaks("{\"allOf\":[" S "," S5 "]}", "{\"anyOf\":[" S "," I "]}", "");
}

static void equal_conditions_are_compared_by_what_follows(void **state)
{
    (void)state;
    expect_widens("{\"if\":" S ",\"then\":" S5 "}", "{\"if\":" S ",\"then\":" S9 "}",
                  "#/then/maxLength MAX_LENGTH_DECREASED");
    expect_breaks("{\"if\":" S ",\"then\":" S5 "}", "{\"if\":" I ",\"then\":" S5 "}",
                  "#/if CONDITION_CHANGED");
    expect_widens("{\"if\":" S ",\"then\":" S5 "}",
                  "{\"type\":[\"string\",\"integer\",\"null\","
                  "\"number\",\"boolean\",\"object\",\"array\"]}",
                  "#/if CONDITION_CHANGED");
    expect_breaks("{\"if\":" S ",\"then\":" S5 "}", "{\"if\":" S ",\"then\":" S5 ",\"else\":" I "}",
                  "#/else CONDITION_CHANGED");
}

static void references_are_followed_and_told_where_they_lead(void **state)
{
    (void)state;
    expect_widens("{\"$ref\":\"#/$defs/a\",\"$defs\":{\"a\":" S5 "}}",
                  "{\"$ref\":\"#/$defs/b\",\"$defs\":{\"b\":" S9 "}}",
                  "#/$defs/a/maxLength MAX_LENGTH_DECREASED");
    expect_breaks(S5, "{\"$ref\":\"#/$defs/b\",\"$defs\":{\"b\":" S9 "}}", "");
    expect_breaks("{\"$ref\":\"#/$defs/b\",\"$defs\":{\"b\":" S9 "}}", S5,
                  "#/maxLength MAX_LENGTH_DECREASED");
    /* Used twice, told once. */
    expect_breaks("{\"properties\":{\"x\":" S ",\"y\":" S "}}",
                  "{\"properties\":{\"x\":{\"$ref\":\"#/$defs/b\"},\"y\":{\"$ref\":\"#/$defs/b\"}},"
                  "\"$defs\":{\"b\":" S9 "}}",
                  "#/$defs/b/maxLength MAX_LENGTH_ADDED");
}

static void circles_end(void **state)
{
    (void)state;
    expect_widens("{\"properties\":{\"next\":{\"$ref\":\"#\"},\"v\":" I "}}",
                  "{\"properties\":{\"next\":{\"$ref\":\"#\"},\"v\":{\"type\":\"number\"}}}",
                  "#/properties/v/type TYPE_NARROWED");
    /* The same twice as long around. */
    expect_breaks("{\"properties\":{\"next\":{\"$ref\":\"#\"}}}",
                  "{\"properties\":{\"next\":{\"properties\":{\"next\":{\"$ref\":\"#\"}}}}}", "");
    /* Nothing between a schema and itself: it says nothing. */
    expect_breaks(I, "{\"anyOf\":[{\"$ref\":\"#\"}," S "]}", "#/anyOf COMBINED_TYPE_CHANGED");
    expect_breaks(I, "{\"$ref\":\"#\"}", "# TOO_COMPLEX");
}

/* `count` branches that differ, each with as many below it, `depth` times. */
static void add_tree(struct buf *out, int count, int depth)
{
    buf_add_string(out, depth > 0 ? "{\"oneOf\":[" : "{\"type\":\"string\",\"minLength\":1");
    for (int i = 0; i < count && depth > 0; i++) {
        if (i > 0)
            buf_add_byte(out, ',');
        add_tree(out, count, depth - 1);
    }
    buf_add_string(out, depth > 0 ? "]}" : "}");
}

static void work_is_bounded_and_then_nothing_is_called_compatible(void **state)
{
    (void)state;
    struct buf a = {0};
    struct buf b = {0};
    add_tree(&a, 6, 5);
    add_tree(&b, 6, 5);
    buf_add_byte(&a, '\0');
    buf_add_byte(&b, '\0');
    char *other = (char *)b.data;
    for (char *at = strstr(other, ":1}"); at; at = strstr(at, ":1}"))
        at[1] = '2';
    expect_breaks((const char *)a.data, other, "# TOO_COMPLEX");
    buf_done(&a);
    buf_done(&b);
}

static void breaks_beyond_the_list_are_counted(void **state)
{
    (void)state;
    struct buf a = {0};
    struct buf b = {0};
    buf_add_string(&a, "{\"properties\":{\"z\":true");
    buf_add_string(&b, "{\"properties\":{\"z\":true");
    for (int i = 0; i < 130; i++) {
        buf_add_format(&a, ",\"p%d\":" S, i);
        buf_add_format(&b, ",\"p%d\":" I, i);
    }
    buf_add_string(&a, "}}");
    buf_add_string(&b, "}}");
    buf_add_byte(&a, '\0');
    buf_add_byte(&b, '\0');
    struct format_jsonschema *from = schema_with((const char *)a.data, NULL);
    struct format_jsonschema *to = schema_with((const char *)b.data, NULL);
    struct format_jsonschema_breaks *breaks = mem_zalloc(1, sizeof(*breaks));
    assert_non_null(breaks);
    assert_true(err_is_ok(format_jsonschema_compat(from, to, breaks)));
    assert_int_equal(breaks->count, FORMAT_JSONSCHEMA_BREAKS_MAX);
    assert_int_equal(breaks->omitted, 30);
    mem_free(breaks);
    format_jsonschema_free(&from);
    format_jsonschema_free(&to);
    buf_done(&a);
    buf_done(&b);
}

static void memory_that_is_out_is_an_error(void **state)
{
    (void)state;
    struct format_jsonschema *from = schema_with("{\"oneOf\":[" S "]}", NULL);
    struct format_jsonschema *to = schema_with("{\"oneOf\":[" I "]}", NULL);
    struct format_jsonschema_breaks *breaks = mem_zalloc(1, sizeof(*breaks));
    assert_non_null(breaks);
    err_t err = err_make(ERR_MEMORY);
    for (uint64_t n = 0; !err_is_ok(err); n++) {
        assert_true(n < 100);
        mem_fail_after(n);
        err = format_jsonschema_compat(from, to, breaks);
        mem_fail_after(UINT64_MAX);
        assert_true(err_is_ok(err) || err_is(err, ERR_MEMORY));
    }
    assert_int_equal(breaks->count, 1);
    mem_free(breaks);
    format_jsonschema_free(&from);
    format_jsonschema_free(&to);
}

static void every_code_has_its_name_and_text(void **state)
{
    (void)state;
    for (int i = 0; i < FORMAT_JSONSCHEMA_BREAK_CODES; i++) {
        assert_true(strlen(format_jsonschema_break_name((enum format_jsonschema_break_code)i)) > 5);
        assert_true(strlen(format_jsonschema_break_text((enum format_jsonschema_break_code)i)) > 5);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_schema_follows_itself),
        cmocka_unit_test(true_takes_all_and_false_gives_nothing),
        cmocka_unit_test(an_enum_may_grow),
        cmocka_unit_test(more_may_be_excluded_never),
        cmocka_unit_test(all_of_may_lose_parts),
        cmocka_unit_test(any_of_may_gain_branches),
        cmocka_unit_test(each_branch_of_one_of_needs_its_own),
        cmocka_unit_test(one_of_becomes_any_of_and_not_back),
        cmocka_unit_test(equal_conditions_are_compared_by_what_follows),
        cmocka_unit_test(references_are_followed_and_told_where_they_lead),
        cmocka_unit_test(circles_end),
        cmocka_unit_test(work_is_bounded_and_then_nothing_is_called_compatible),
        cmocka_unit_test(breaks_beyond_the_list_are_counted),
        cmocka_unit_test(memory_that_is_out_is_an_error),
        cmocka_unit_test(every_code_has_its_name_and_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
