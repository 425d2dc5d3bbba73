#include "format/jsonschema/program_int.h"

#include "unit/format/jsonschema/schema.h"

static const struct format_jsonschema_property *
property(const struct format_jsonschema_place *shape, const char *name)
{
    struct slice key = slice_string(name);
    return format_jsonschema_shape_find(shape, key, format_jsonschema_fingerprint(key));
}

static void schemas_of_one_place_become_one_shape(void **state)
{
    (void)state;
    struct format_jsonschema *schema =
        schema_with("{\"type\":[\"object\",\"null\"],\"allOf\":[{\"type\":[\"object\",\"string\"],"
                    "\"properties\":{\"a\":{\"type\":\"integer\"}}},{\"required\":[\"a\",\"b\"],"
                    "\"minProperties\":2,\"properties\":{\"a\":{\"minimum\":1}}}]}",
                    NULL);
    const struct format_jsonschema_place *root = schema->program;
    assert_int_equal(root->kinds, 1U << FORMAT_JSON_OBJECT);
    assert_int_equal(root->property_count, 2);
    assert_int_equal(root->property_min, 2);
    assert_int_equal(root->required[0], 3);
    const struct format_jsonschema_place *a = property(root, "a")->shape;
    assert_int_equal(a->kinds, 1U << FORMAT_JSON_NUMBER);
    assert_true(a->integers);
    assert_int_equal(a->numbers.count, 1);
    assert_int_equal(a->numbers.items[0].operation, FORMAT_JSONSCHEMA_DO_RANGE);
    assert_int_equal(a->numbers.items[0].low, 1);
    assert_ptr_equal(property(root, "b")->shape, root->other);
    assert_null(property(root, "c"));
    format_jsonschema_free(&schema);
}

static void a_schema_that_holds_itself_has_one_shape_for_all_depths(void **state)
{
    (void)state;
    struct format_jsonschema *schema =
        schema_with("{\"type\":\"object\",\"properties\":{\"next\":{\"$ref\":\"#\"}},"
                    "\"additionalProperties\":{\"items\":{\"$ref\":\"#\"}}}",
                    NULL);
    const struct format_jsonschema_place *next = property(schema->program, "next")->shape;
    assert_ptr_equal(property(next, "next")->shape, next);
    assert_ptr_equal(property(next->other->items, "next")->shape, next);
    format_jsonschema_free(&schema);
}

static void a_branch_is_a_choice_between_shapes_with_all_that_is_said_in_them(void **state)
{
    (void)state;
    struct format_jsonschema *schema =
        schema_with("{\"type\":\"object\",\"required\":[\"a\"],\"anyOf\":[{\"type\":\"null\"},"
                    "{\"required\":[\"b\"]}],\"if\":{\"minProperties\":2},\"then\":{\"required\":"
                    "[\"c\"]},\"not\":{\"required\":[\"d\"]}}",
                    NULL);
    const struct format_jsonschema_choice *choice = schema->program->choice;
    assert_int_equal(choice->rule, FORMAT_JSONSCHEMA_ANY_OF);
    assert_int_equal(choice->count, 2);
    assert_int_equal(choice->branches[0]->kinds, 0);
    /* The further choices are made one after the other, in whatever order. */
    const struct format_jsonschema_place *place = choice->branches[1];
    int choices = 0;
    for (; place->choice; choices++)
        place = place->choice->branches[place->choice->branches[0] ? 0 : 1];
    assert_int_equal(choices, 2);
    assert_int_equal(place->property_count, 3);
    assert_int_equal(place->required[0], 7);
    format_jsonschema_free(&schema);
}

static void a_branch_that_leads_back_to_itself_is_no_choice(void **state)
{
    (void)state;
    struct format_jsonschema *schema =
        schema_with("{\"anyOf\":[{\"$ref\":\"#\"},{\"type\":\"null\"}]}", NULL);
    assert_null(schema->program->choice);
    assert_int_equal(schema->program->objects.count, 1);
    assert_false(err_is_ok(schema_check(schema, SLICE_LITERAL("[]"), NULL)));
    format_jsonschema_free(&schema);
    schema = schema_with("{\"not\":{\"not\":{\"$ref\":\"#\"}}}", NULL);
    assert_false(err_is_ok(schema_check(schema, SLICE_LITERAL("[]"), NULL)));
    format_jsonschema_free(&schema);
}

static void what_a_look_is_enough_for_is_known_beforehand(void **state)
{
    (void)state;
    static const struct {
        const char *schema;
        uint32_t quick;
    } cases[] = {
        {"true", FORMAT_JSONSCHEMA_QUICK_STRING | FORMAT_JSONSCHEMA_QUICK_NUMBER |
                     FORMAT_JSONSCHEMA_QUICK_LITERAL},
        {"{\"type\":\"string\",\"minLength\":2}",
         FORMAT_JSONSCHEMA_QUICK_STRING | FORMAT_JSONSCHEMA_QUICK_LITERAL},
        {"{\"type\":\"string\",\"pattern\":\"a\"}", FORMAT_JSONSCHEMA_QUICK_LITERAL},
        {"{\"type\":\"string\",\"minLength\":2,\"maxLength\":1}", FORMAT_JSONSCHEMA_QUICK_LITERAL},
        {"{\"enum\":[\"a\",\"b\"]}",
         FORMAT_JSONSCHEMA_QUICK_WORDS | FORMAT_JSONSCHEMA_QUICK_LITERAL},
        {"{\"type\":\"number\",\"minimum\":0}",
         FORMAT_JSONSCHEMA_QUICK_NUMBER | FORMAT_JSONSCHEMA_QUICK_LITERAL},
        {"{\"type\":\"number\",\"minimum\":0.5}", FORMAT_JSONSCHEMA_QUICK_LITERAL},
        {"{\"type\":\"number\",\"minimum\":3,\"maximum\":2}", FORMAT_JSONSCHEMA_QUICK_LITERAL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct format_jsonschema *schema = schema_with(cases[i].schema, NULL);
        assert_int_equal(schema->program->quick, cases[i].quick);
        format_jsonschema_free(&schema);
    }
    /* A format that takes steps is asked where they are spent. */
    const struct format_jsonschema_options options = {.assert_formats = true};
    for (int dear = 0; dear < 2; dear++) {
        struct format_jsonschema *schema =
            schema_with(dear ? "{\"format\":\"regex\"}" : "{\"format\":\"uuid\"}", &options);
        assert_int_equal((schema->program->quick & FORMAT_JSONSCHEMA_QUICK_STRING) == 0, dear);
        format_jsonschema_free(&schema);
    }
}

static void what_needs_the_whole_value_stays_a_keyword(void **state)
{
    (void)state;
    struct format_jsonschema *schema =
        schema_with("{\"contains\":{\"type\":\"null\"},\"uniqueItems\":true,"
                    "\"patternProperties\":{\"x\":true},\"additionalProperties\":false}",
                    NULL);
    const struct format_jsonschema_place *root = schema->program;
    assert_int_equal(root->others.count, 0);
    assert_int_equal(root->arrays.count, 2);
    assert_int_equal(root->objects.count, 2);
    /* What is additional depends on the patterns, so nothing is said of it here. */
    assert_true(root->other->kinds != 0);
    format_jsonschema_free(&schema);
    schema = schema_with("{\"allOf\":[{\"properties\":{\"a\":true}}],"
                         "\"unevaluatedProperties\":false}",
                         NULL);
    assert_int_equal(schema->program->whole_count, 1);
    assert_int_equal(schema->program->property_count, 0);
    format_jsonschema_free(&schema);
}

static void false_allows_nothing_and_true_all(void **state)
{
    (void)state;
    struct format_jsonschema *schema =
        schema_with("{\"properties\":{\"a\":false},\"prefixItems\":[true],\"items\":false}", NULL);
    const struct format_jsonschema_place *root = schema->program;
    assert_int_equal(property(root, "a")->shape->kinds, 0);
    assert_int_equal(root->prefix_count, 1);
    assert_ptr_equal(root->prefix[0], root->other);
    assert_int_equal(root->items->kinds, 0);
    format_jsonschema_free(&schema);
}

static void a_schema_too_large_or_too_dynamic_has_no_program(void **state)
{
    (void)state;
    struct format_jsonschema *schema =
        schema_with("{\"$dynamicAnchor\":\"x\",\"items\":{\"$dynamicRef\":\"#x\"}}", NULL);
    assert_null(schema->program);
    assert_true(err_is_ok(schema_check(schema, SLICE_LITERAL("[[]]"), NULL)));
    format_jsonschema_free(&schema);
    for (int count = FORMAT_JSONSCHEMA_PROPERTIES_MAX;
         count <= FORMAT_JSONSCHEMA_PROPERTIES_MAX + 1; count++) {
        struct buf text = {0};
        buf_add_string(&text, "{\"properties\":{");
        for (int i = 0; i < count; i++)
            buf_add_format(&text, "%s\"p%d\":{\"type\":\"null\"}", i ? "," : "", i);
        buf_add_string(&text, "}}");
        buf_add_byte(&text, 0);
        schema = schema_with((const char *)text.data, NULL);
        assert_int_equal(schema->program != NULL, count == FORMAT_JSONSCHEMA_PROPERTIES_MAX);
        assert_true(err_is_ok(schema_check(schema, SLICE_LITERAL("{\"p255\":null}"), NULL)));
        assert_false(err_is_ok(schema_check(schema, SLICE_LITERAL("{\"p255\":1}"), NULL)));
        format_jsonschema_free(&schema);
        buf_done(&text);
    }
}

static void fingerprints_differ_with_any_byte_and_need_none_beyond(void **state)
{
    (void)state;
    for (size_t size = 0; size < 40; size++) {
        uint8_t *key = mem_zalloc(1, size);
        struct slice s = slice_make(key, size);
        uint64_t zeros = format_jsonschema_fingerprint(s);
        for (size_t i = 0; i < size; i++) {
            key[i] = 1;
            assert_true(format_jsonschema_fingerprint(s) != zeros);
            key[i] = 0;
        }
        assert_int_equal(format_jsonschema_fingerprint(s), zeros);
        mem_free(key);
    }
}

static void short_texts_are_the_same_in_every_byte(void **state)
{
    (void)state;
    for (size_t size = 0; size < 40; size++) {
        char *a = mem_zalloc(1, size), *b = mem_zalloc(1, size);
        assert_true(format_jsonschema_same(slice_make(a, size), slice_make(b, size)));
        for (size_t i = 0; i < size; i++) {
            b[i] = 1;
            assert_false(format_jsonschema_same(slice_make(a, size), slice_make(b, size)));
            assert_false(format_jsonschema_same(slice_make(a, size - 1), slice_make(a, size)));
            b[i] = 0;
        }
        mem_free(a);
        mem_free(b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(schemas_of_one_place_become_one_shape),
        cmocka_unit_test(a_schema_that_holds_itself_has_one_shape_for_all_depths),
        cmocka_unit_test(a_branch_is_a_choice_between_shapes_with_all_that_is_said_in_them),
        cmocka_unit_test(a_branch_that_leads_back_to_itself_is_no_choice),
        cmocka_unit_test(what_a_look_is_enough_for_is_known_beforehand),
        cmocka_unit_test(what_needs_the_whole_value_stays_a_keyword),
        cmocka_unit_test(false_allows_nothing_and_true_all),
        cmocka_unit_test(a_schema_too_large_or_too_dynamic_has_no_program),
        cmocka_unit_test(short_texts_are_the_same_in_every_byte),
        cmocka_unit_test(fingerprints_differ_with_any_byte_and_need_none_beyond),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
