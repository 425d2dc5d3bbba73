#include "format/jsonschema/schema_int.h"

#include "unit/format/jsonschema/schema.h"

#define URI_7 "\"$schema\":\"http://json-schema.org/draft-07/schema#\""
#define URI_2020_12 "\"$schema\":\"https://json-schema.org/draft/2020-12/schema\""

static void the_schema_decides_which_draft_it_is_in(void **state)
{
    (void)state;
    const char *in_7 = "{" URI_7 ",\"items\":[false]}";
    expect_refused(in_7, "[1]", "/0", "expected nothing of this index (items)");
    expect_refused_7("{" URI_2020_12 ",\"prefixItems\":[false]}", "[1]", "/0",
                     "expected nothing of this index (prefixItems)");
    expect_good_7("{\"prefixItems\":[false]}", "[1]");
    expect_good("{" URI_7 "}", "1");
    expect_no_schema("{\"$schema\":\"http://json-schema.org/draft-04/schema#\"}",
                     "#/$schema: expected https://json-schema.org/draft/2020-12/schema or "
                     "http://json-schema.org/draft-07/schema#");
    expect_no_schema("{\"$schema\":7}", "#/$schema: expected a string, got number");
}

static void what_is_no_json_is_no_schema(void **state)
{
    (void)state;
    expect_no_schema("", "#: byte 0: nothing but white space");
    expect_no_schema("{\"type\":}", "#: byte 8: expected a value");
    expect_no_schema("{\"a\":{\"b\":1,\"b\":1}}", "#/a/b: expected each key once");
    struct format_jsonschema *schema = NULL;
    struct err_text why = {0};
    err_t err = format_jsonschema_compile(slice_string("{\"minimum\":1e9999999999999999}"), NULL,
                                          &schema, &why);
    assert_true(err_is(err, ERR_TOO_LARGE));
    struct slice huge =
        slice_make(mem_zalloc(1, FORMAT_JSONSCHEMA_SIZE_MAX + 1), FORMAT_JSONSCHEMA_SIZE_MAX + 1);
    assert_true(err_is(format_jsonschema_compile(huge, NULL, &schema, &why), ERR_TOO_LARGE));
    mem_free((void *)(uintptr_t)huge.data);
}

static void references_lead_by_pointer_anchor_and_identifier(void **state)
{
    (void)state;
    const char *schema =
        "{\"$id\":\"http://x/root.json\",\"properties\":{"
        "\"pointer\":{\"$ref\":\"#/$defs/a~1b%25/items\"},"
        "\"anchor\":{\"$ref\":\"#word\"},"
        "\"id\":{\"$ref\":\"other.json\"},"
        "\"inside\":{\"$ref\":\"other.json#/properties/c\"},"
        "\"urn\":{\"$ref\":\"urn:a:b\"},"
        "\"root\":{\"$ref\":\"#\"}},"
        "\"$defs\":{\"a/b%\":{\"items\":{\"type\":\"null\"}},"
        "\"w\":{\"$anchor\":\"word\",\"type\":\"string\"},"
        "\"o\":{\"$id\":\"other.json\",\"type\":\"object\",\"properties\":{\"c\":{\"const\":1}}},"
        "\"u\":{\"$id\":\"urn:a:b\",\"minimum\":3}}}";
    expect_good(schema, "{\"pointer\":null,\"anchor\":\"\",\"id\":{\"c\":1},\"inside\":1,\"urn\":3,"
                        "\"root\":{\"anchor\":\"\"}}");
    expect_refused(schema, "{\"pointer\":1}", "/pointer", "expected null, got number (type)");
    expect_refused(schema, "{\"anchor\":1}", "/anchor", "expected string, got number (type)");
    expect_refused(schema, "{\"id\":{\"c\":2}}", "/id/c", "expected 1 (const)");
    expect_refused(schema, "{\"inside\":2}", "/inside", "expected 1 (const)");
    expect_refused(schema, "{\"urn\":2}", "/urn", "expected at least 3 (minimum)");
    expect_refused(schema, "{\"root\":{\"anchor\":1}}", "/root/anchor",
                   "expected string, got number (type)");
}

static void references_may_lead_where_no_schema_was_expected(void **state)
{
    (void)state;
    const char *schema = "{\"x-types\":[{\"type\":\"null\",\"items\":{\"$ref\":\"#/x-types/1\"}},"
                         "{\"type\":\"string\"}],\"$ref\":\"#/x-types/0\"}";
    expect_good(schema, "null");
    expect_refused(schema, "1", "", "expected null, got number (type)");
    expect_no_schema("{\"$ref\":\"#/x\",\"x\":1}",
                     "#/x: expected a schema (an object or a boolean), got number");
    /* An $id there names nothing. */
    expect_no_schema("{\"x\":{\"$id\":\"http://a/b\"},\"$ref\":\"http://a/b\"}",
                     "#/$ref: refers to http://a/b, which is not here; nothing is fetched");
}

static void references_that_lead_nowhere_are_refused(void **state)
{
    (void)state;
    expect_no_schema("{\"$ref\":\"other.json\"}",
                     "#/$ref: refers to other.json, which is not here; nothing is fetched");
    expect_no_schema("{\"$ref\":\"#/$defs/a\"}", "#/$ref: refers to nothing");
    expect_no_schema("{\"$ref\":\"#/allOf/1\",\"allOf\":[{}]}", "#/$ref: refers to nothing");
    expect_no_schema("{\"$ref\":\"#/allOf/x\",\"allOf\":[{}]}", "#/$ref: refers to nothing");
    expect_no_schema("{\"$ref\":\"#/allOf/99999999999999999999\",\"allOf\":[{}]}",
                     "#/$ref: refers to nothing");
    expect_no_schema("{\"$ref\":\"#word\"}", "#/$ref: refers to an anchor that is not there");
    expect_no_schema("{\"$dynamicRef\":\"#word\"}",
                     "#/$dynamicRef: refers to an anchor that is not there");
    expect_no_schema("{\"$ref\":\"#/%zz\"}", "#/$ref: expected % before two digits");
}

static void names_are_given_once(void **state)
{
    (void)state;
    expect_no_schema("{\"$anchor\":\"a\",\"not\":{\"$anchor\":\"a\"}}",
                     "#/not: expected a name that no other schema has");
    expect_no_schema("{\"$id\":\"http://a/b\",\"not\":{\"$id\":\"b\"}}",
                     "#/not: expected a name that no other schema has");
    expect_no_schema("{\"$id\":\"#a\"}", "#/$id: expected a URI without a fragment");
    expect_no_schema("{\"$id\":3}", "#/$id: expected a string, got number");
    expect_no_schema("{\"$anchor\":\"\"}", "#: expected a name for an anchor");
    expect_good("{\"$anchor\":\"a\",\"$dynamicAnchor\":\"a\",\"$id\":\"http://a/b#\"}", "1");
    expect_good("{\"$anchor\":\"a\",\"not\":{\"$id\":\"c\",\"$anchor\":\"a\",\"not\":true}}", "1");
}

static void draft_7_has_anchors_in_its_identifiers(void **state)
{
    (void)state;
    const char *schema = "{\"$id\":\"http://x/y\",\"properties\":{\"a\":{\"$ref\":\"#n\"},"
                         "\"b\":{\"$ref\":\"z#m\"}},\"definitions\":{"
                         "\"n\":{\"$id\":\"#n\",\"type\":\"null\"},"
                         "\"m\":{\"$id\":\"z#m\",\"type\":\"string\"},"
                         "\"r\":{\"$id\":\"#n\",\"$ref\":\"#n\"}}}";
    expect_good_7(schema, "{\"a\":null,\"b\":\"\"}");
    expect_refused_7(schema, "{\"a\":1}", "/a", "expected null, got number (type)");
    expect_refused_7(schema, "{\"b\":1}", "/b", "expected string, got number (type)");
}

static void documents_are_referred_to_by_their_uri(void **state)
{
    (void)state;
    struct format_jsonschema_document documents[] = {
        {SLICE_LITERAL("http://x/int.json"), SLICE_LITERAL("{\"type\":\"integer\"}")},
        {SLICE_LITERAL("http://x/old.json"),
         SLICE_LITERAL("{" URI_7
                       ",\"$id\":\"http://y/\",\"items\":[{\"$ref\":\"http://x/int.json\"}]}")},
        {SLICE_LITERAL("http://x/bad.json"), SLICE_LITERAL("{\"type\":")},
    };
    struct format_jsonschema_options o = {.documents = documents,
                                          .document_count = LENGTH(documents)};
    const char *schema = "{\"$id\":\"http://x/a\",\"$ref\":\"old.json\"}";
    expect_with(schema, &o, "[1]", NULL, NULL);
    expect_with(schema, &o, "[\"a\"]", "/0", "expected integer, got string (type)");
    struct format_jsonschema *product = NULL;
    struct err_text why = {0};
    err_t err = format_jsonschema_compile(slice_string("{\"$ref\":\"http://x/bad.json\"}"), &o,
                                          &product, &why);
    assert_true(err_is(err, ERR_INVALID));
    assert_string_equal(why.text, "http://x/bad.json: #: byte 8: expected a value");
}

static void dialects_of_others_may_leave_vocabularies_out(void **state)
{
    (void)state;
#define VOCABULARY(name, value) "\"https://json-schema.org/draft/2020-12/vocab/" name "\":" value
    struct format_jsonschema_document documents[] = {
        {SLICE_LITERAL("http://x/bare"),
         SLICE_LITERAL("{" URI_2020_12 ",\"$vocabulary\":{" VOCABULARY(
             "core", "true") "," VOCABULARY("applicator", "true") ",\"http://x/own\":false}}")},
        {SLICE_LITERAL("http://x/formats"),
         SLICE_LITERAL("{" URI_2020_12 ",\"$vocabulary\":{" VOCABULARY(
             "core", "true") "," VOCABULARY("format-assertion", "true") "}}")},
        {SLICE_LITERAL("http://x/unknown"),
         SLICE_LITERAL("{" URI_2020_12 ",\"$vocabulary\":{\"http://x/own\":true}}")},
        {SLICE_LITERAL("http://x/circle"), SLICE_LITERAL("{\"$schema\":\"http://x/circle\"}")},
    };
    struct format_jsonschema_options o = {.documents = documents,
                                          .document_count = LENGTH(documents)};
    const char *bare = "{\"$schema\":\"http://x/bare\",\"properties\":{\"a\":{\"minimum\":3},"
                       "\"b\":false}}";
    expect_with(bare, &o, "{\"a\":1}", NULL, NULL);
    expect_with(bare, &o, "{\"b\":1}", "/b", "expected nothing of this name (properties)");
    const char *formats = "{\"$schema\":\"http://x/formats\",\"format\":\"date\",\"minimum\":3}";
    expect_with(formats, &o, "1", NULL, NULL);
    expect_with(formats, &o, "\"x\"", "", "expected date (RFC 3339) (format)");
    static const char *const wrong[] = {"{\"$schema\":\"http://x/unknown\"}",
                                        "{\"$schema\":\"http://x/circle\"}"};
    for (size_t i = 0; i < LENGTH(wrong); i++) {
        struct format_jsonschema *product = NULL;
        err_t err = format_jsonschema_compile(slice_string(wrong[i]), &o, &product, NULL);
        assert_true(err_is(err, ERR_INVALID));
    }
}

static void a_schema_outlives_its_text(void **state)
{
    (void)state;
    char text[] = "{\"required\":[\"name\"],\"pattern\":\"^a\"}";
    struct format_jsonschema *schema = schema_with(text, NULL);
    memset(text, 'x', sizeof(text));
    struct format_jsonschema_error why;
    assert_false(err_is_ok(schema_check(schema, slice_string("{}"), &why)));
    assert_string_equal(why.message, "expected property \"name\" (required)");
    format_jsonschema_free(&schema);
    assert_null(schema);
    format_jsonschema_free(&schema);
}

static void large_schemas_are_checked_whole(void **state)
{
    (void)state;
    struct buf text = {0};
    buf_add_string(&text, "{\"properties\":{");
    for (int i = 0; i < 4000; i++)
        buf_add_format(&text, "%s\"p%d\":{\"type\":[\"null\",\"integer\"],\"minimum\":%d}",
                       i == 0 ? "" : ",", i, i);
    buf_add_string(&text, "}}");
    buf_add_byte(&text, 0);
    expect_good((const char *)text.data, "{\"p3999\":3999}");
    expect_refused((const char *)text.data, "{\"p3999\":3998}", "/p3999",
                   "expected at least 3999 (minimum)");
    buf_done(&text);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    static const char text[] =
        "{\"$id\":\"http://x/"
        "y\",\"$dynamicAnchor\":\"n\",\"properties\":{\"a\\n\":{\"pattern\":\"^a\"},"
        "\"b\":{\"$ref\":\"#/$defs/c\"}},\"$defs\":{\"c\":{\"$anchor\":\"k\",\"enum\":[1]}}}";
    bool failed = true;
    size_t refused = 0;
    for (uint64_t n = 1; failed; n++) {
        struct format_jsonschema *schema = NULL;
        mem_fail_after(n);
        err_t err = format_jsonschema_compile(slice_string(text), NULL, &schema, NULL);
        failed = mem_alloc_count() >= n;
        mem_fail_after(0);
        /* Where it is the JIT that gets no memory, it works without. */
        assert_true(err_is_ok(err) || (failed && err_is(err, ERR_MEMORY)));
        assert_int_equal(err_is_ok(err), schema != NULL);
        refused += !err_is_ok(err);
        format_jsonschema_free(&schema);
    }
    assert_true(refused > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_schema_decides_which_draft_it_is_in),
        cmocka_unit_test(what_is_no_json_is_no_schema),
        cmocka_unit_test(references_lead_by_pointer_anchor_and_identifier),
        cmocka_unit_test(references_may_lead_where_no_schema_was_expected),
        cmocka_unit_test(references_that_lead_nowhere_are_refused),
        cmocka_unit_test(names_are_given_once),
        cmocka_unit_test(draft_7_has_anchors_in_its_identifiers),
        cmocka_unit_test(documents_are_referred_to_by_their_uri),
        cmocka_unit_test(dialects_of_others_may_leave_vocabularies_out),
        cmocka_unit_test(a_schema_outlives_its_text),
        cmocka_unit_test(large_schemas_are_checked_whole),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
