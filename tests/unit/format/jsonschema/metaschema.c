#include "format/jsonschema/schema_int.h"

#include "unit/format/jsonschema/schema.h"

static const char *const uris[] = {
    FORMAT_JSONSCHEMA_URI_2020_12,
    "https://json-schema.org/draft/2020-12/meta/core",
    "https://json-schema.org/draft/2020-12/meta/applicator",
    "https://json-schema.org/draft/2020-12/meta/unevaluated",
    "https://json-schema.org/draft/2020-12/meta/validation",
    "https://json-schema.org/draft/2020-12/meta/meta-data",
    "https://json-schema.org/draft/2020-12/meta/format-annotation",
    "https://json-schema.org/draft/2020-12/meta/format-assertion",
    "https://json-schema.org/draft/2020-12/meta/content",
    FORMAT_JSONSCHEMA_URI_7,
};

static void every_metaschema_is_there_under_its_own_id(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(uris); i++) {
        struct slice text = format_jsonschema_metaschema(slice_string(uris[i]));
        struct format_json_value id;
        char expected[128];
        assert_true(err_is_ok(format_json_get(text, "$id", &id)));
        snprintf(expected, sizeof(expected), "\"%s%s\"", uris[i], i == 9 ? "#" : "");
        assert_slice(id.raw, expected);
    }
}

static void other_uris_are_none(void **state)
{
    (void)state;
    static const char *const others[] = {"", "http://json-schema.org/draft-04/schema",
                                         "http://json-schema.org/draft-07/schema#",
                                         "https://json-schema.org/draft/2020-12"};
    for (size_t i = 0; i < LENGTH(others); i++)
        assert_int_equal(format_jsonschema_metaschema(slice_string(others[i])).size, 0);
}

static void each_holds_for_itself(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(uris); i++) {
        struct slice text = format_jsonschema_metaschema(slice_string(uris[i]));
        struct format_jsonschema *schema = NULL;
        struct err_text why = {0};
        if (!err_is_ok(format_jsonschema_compile(text, NULL, &schema, &why)))
            fail_msg("%s: %s", uris[i], why.text);
        assert_true(err_is_ok(schema_check(schema, text, NULL)));
        format_jsonschema_free(&schema);
    }
}

static void they_can_be_referred_to(void **state)
{
    (void)state;
    const char *schema = "{\"$ref\":\"" FORMAT_JSONSCHEMA_URI_2020_12 "\"}";
    expect_good(schema, "{\"properties\":{\"a\":{\"minimum\":1}}}");
    expect_refused(schema, "{\"properties\":{\"a\":{\"minimum\":\"1\"}}}", "/properties/a/minimum",
                   "expected number, got string (type)");
    expect_refused_7("{\"$ref\":\"" FORMAT_JSONSCHEMA_URI_7 "#/definitions/nonNegativeInteger\"}",
                     "-1", "", "expected at least 0 (minimum)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_metaschema_is_there_under_its_own_id),
        cmocka_unit_test(other_uris_are_none),
        cmocka_unit_test(each_holds_for_itself),
        cmocka_unit_test(they_can_be_referred_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
