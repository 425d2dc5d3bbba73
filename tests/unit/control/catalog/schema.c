#include "control/catalog/schema.h"

#include "base/sha256.h"
#include "control/config/yaml.h"
#include "format/jsonschema/jsonschema.h"
#include "unit/control/world.h"

#define CONTRACT "topic: flights\nschema: { type: jsonschema, file: s.json }\n"

/* Decodes a contract and loads its schema, s.json being `text` (NULL: it is not there). */
static struct format_jsonschema *load(const char *contract_text, const char *text,
                                      const char *errors)
{
    struct world w;
    struct arena arena = {0};
    struct control_catalog_contract contract;
    struct format_jsonschema *schema = NULL;
    world_init(&w);
    world_again(&w);
    if (text)
        world_put(&w, "s.json", text);
    struct control_config_node *root =
        control_config_yaml_parse(slice_string(contract_text), "f", &arena, &w.report);
    const struct control_config_decoder decoder = {&arena, &w.report, "/here"};
    assert_true(control_catalog_contract_decode(&decoder, root, &contract));
    bool right = control_catalog_schema_load(&w.disk, &arena, &contract, &w.report, &schema);
    world_expect(&w.report.errors, errors);
    assert_int_equal(right, errors[0] == '\0');
    assert_ptr_equal(contract.topic.schema.json, schema);
    if (schema) {
        char digits[SHA256_TEXT_SIZE];
        sha256_text(slice_string(text), digits);
        assert_slice(contract.topic.schema.text, text);
        assert_string_equal(contract.topic.schema.fingerprint, digits);
    }
    arena_done(&arena);
    world_done(&w);
    return schema;
}

static err_t check(const struct format_jsonschema *schema, const char *record)
{
    struct format_jsonschema_scratch *scratch;
    assert_ok(format_jsonschema_scratch_new(&scratch));
    err_t err = format_jsonschema_check(schema, scratch, slice_string(record), NULL);
    format_jsonschema_scratch_free(&scratch);
    return err;
}

static void a_contract_without_a_schema_has_none(void **state)
{
    (void)state;
    assert_null(load("topic: a\n", NULL, ""));
    assert_null(load("topic: a\nschema: none\n", NULL, ""));
}

static void a_schema_is_compiled_and_outlives_its_file(void **state)
{
    (void)state;
    struct format_jsonschema *schema = load(CONTRACT, "{\"type\": \"integer\"}", "");
    assert_ok(check(schema, "1"));
    assert_true(err_is(check(schema, "\"1\""), ERR_RECORD_REFUSED));
    format_jsonschema_free(&schema);
}

static void formats_are_asserted_where_the_contract_says_so(void **state)
{
    (void)state;
    const char *text = "{\"format\": \"ipv4\"}";
    struct format_jsonschema *schema = load(CONTRACT, text, "");
    assert_ok(check(schema, "\"1.2.3\""));
    format_jsonschema_free(&schema);
    schema = load("topic: a\nschema: { type: jsonschema, file: s.json, format_assertion: true }\n",
                  text, "");
    assert_true(err_is(check(schema, "\"1.2.3\""), ERR_RECORD_REFUSED));
    format_jsonschema_free(&schema);
}

static void a_wrong_schema_is_told_with_its_file_and_pointer(void **state)
{
    (void)state;
    load(CONTRACT, "{\"properties\": {\"a\": {\"type\": \"int\"}}}",
         "f:2:35: schema.file: expected a JSON Schema: s.json#/properties/a/type: expected null, "
         "boolean, number, integer, string, object or array\n");
    load(CONTRACT, "{\"type\": }",
         "f:2:35: schema.file: expected a JSON Schema: s.json#: byte 9: expected a value\n");
    load(CONTRACT, "{\"$ref\": \"http://example.com/x\"}",
         "f:2:35: schema.file: expected a JSON Schema: s.json#/$ref: refers to "
         "http://example.com/x, which is not here; nothing is fetched\n");
}

static void a_schema_that_cannot_be_read_is_told(void **state)
{
    (void)state;
    load(CONTRACT, NULL,
         "f:2:35: schema.file: expected a JSON Schema: s.json: /here/s.json: no such file or "
         "directory\n");
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    struct world w;
    struct arena arena = {0};
    struct control_catalog_contract contract;
    world_init(&w);
    world_again(&w);
    world_put(&w, "s.json", "{\"properties\": {\"a\": {\"pattern\": \"^x\"}}}");
    struct control_config_node *root =
        control_config_yaml_parse(slice_string(CONTRACT), "f", &arena, &w.report);
    const struct control_config_decoder decoder = {&arena, &w.report, "/here"};
    assert_true(control_catalog_contract_decode(&decoder, root, &contract));
    bool right = false;
    unsigned n = 0;
    while (!right) {
        struct format_jsonschema *schema = NULL;
        world_again(&w);
        mem_fail_after(++n);
        right = control_catalog_schema_load(&w.disk, &arena, &contract, &w.report, &schema);
        mem_fail_after(0);
        assert_int_equal(w.report.memory_failed, !right);
        assert_true((schema != NULL) == right);
        format_jsonschema_free(&schema);
    }
    assert_true(n > 10);
    arena_done(&arena);
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_contract_without_a_schema_has_none),
        cmocka_unit_test(a_schema_is_compiled_and_outlives_its_file),
        cmocka_unit_test(formats_are_asserted_where_the_contract_says_so),
        cmocka_unit_test(a_wrong_schema_is_told_with_its_file_and_pointer),
        cmocka_unit_test(a_schema_that_cannot_be_read_is_told),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
