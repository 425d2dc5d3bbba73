#include "unit/format/jsonschema/schema.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "format/jsonschema/schema_int.h"

static struct format_jsonschema *compile_text(const char *text)
{
    const struct format_jsonschema_options options = {.assert_formats = true};
    struct format_jsonschema *schema = NULL;
    struct err_text why = {0};
    err_t err = format_jsonschema_compile(slice_string(text), &options, &schema, &why);
    if (!err_is_ok(err))
        fail_msg("%s: %s", text, why.text);
    return schema;
}

/* Both halves over one record, in a block of its own so that a read past its end shows. */
static bool fits(const struct format_jsonschema *schema, const char *record, bool good)
{
    struct format_jsonschema_scratch *scratch = NULL;
    size_t size = strlen(record);
    uint8_t *copy = mem_alloc(size + 1);
    memcpy(copy, record, size);
    struct slice text = slice_make(mem_realloc(copy, size > 0 ? size : 1, 1), size);
    assert_true(err_is_ok(format_jsonschema_scratch_new(&scratch)));
    bool taken = format_jsonschema_fits(schema, scratch, text, NULL, NULL);
    bool right = err_is_ok(format_jsonschema_check_plainly(schema, scratch, text, NULL));
    if (right != good || (taken && !right))
        fail_msg("%s: fast %d, plain %d, expected %d", record, taken, right, good);
    format_jsonschema_scratch_free(&scratch);
    mem_free((void *)(uintptr_t)text.data);
    return taken;
}

/* The fast pass takes `good` and not `bad`; the plain check agrees. */
static void splits(const char *text, const char *good, const char *bad)
{
    struct format_jsonschema *schema = compile_text(text);
    if (!fits(schema, good, true))
        fail_msg("%s is not taken by %s", good, text);
    assert_false(fits(schema, bad, false));
    format_jsonschema_free(&schema);
}

static void each_keyword_is_held_in_the_pass(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"true", "{\"a\":[1,{\"b\":null}]}", "{\"a\":[1,{\"b\":null}]"},
        {"{\"type\":\"integer\"}", "-12", "1.5"},
        {"{\"type\":\"integer\"}", "1.0e2", "1e-1"},
        {"{\"type\":[\"integer\",\"string\"]}", "\"x\"", "null"},
        {"{\"type\":\"number\"}", "1e5", "\"1\""},
        {"{\"enum\":[\"a\",1,null,[2]]}", "\"a\"", "\"b\""},
        {"{\"enum\":[\"a\",1,null,[2]]}", "1.0", "2"},
        {"{\"enum\":[\"a\",1,null,[2]]}", " [ 2.0 ] ", "[3]"},
        {"{\"enum\":[\"a\",1,null,[2]]}", "null", "true"},
        {"{\"const\":\"\\u00e4\"}", "\"\xC3\xA4\"", "\"a\""},
        {"{\"const\":\"a\\\"b\"}", "\"\\u0061\\\"b\"", "\"ab\""},
        {"{\"minimum\":3,\"exclusiveMaximum\":5}", "3", "5"},
        {"{\"minimum\":3,\"exclusiveMaximum\":5}", "4.999", "2.999"},
        {"{\"minimum\":-1.5}", "-1.5", "-2"},
        {"{\"exclusiveMinimum\":999999999999999999}", "1000000000000000000", "999999999999999999"},
        {"{\"multipleOf\":0.1}", "0.3", "0.35"},
        {"{\"minLength\":2,\"maxLength\":3}", "\"\xC3\xA4\xC3\xA4\xC3\xA4\"", "\"\xC3\xA4\""},
        {"{\"maxLength\":1}", "\"\\ud83d\\ude00\"", "\"ab\""},
        {"{\"pattern\":\"^a+$\"}", "\"aa\"", "\"ab\""},
        {"{\"format\":\"date\"}", "\"2026-02-28\"", "\"2026-02-30\""},
        {"{\"required\":[\"a\",\"b\"]}", "{\"b\":1,\"a\":2}", "{\"a\":1}"},
        {"{\"properties\":{\"a\":{\"type\":\"string\"}}}", "{\"a\":\"\",\"b\":1}", "{\"a\":1}"},
        {"{\"properties\":{\"a\":true},\"additionalProperties\":false}", "{\"a\":1}", "{\"b\":1}"},
        {"{\"properties\":{\"a\":true},\"additionalProperties\":{\"type\":\"null\"}}",
         "{\"a\":1,\"b\":null}", "{\"b\":1}"},
        {"{\"patternProperties\":{\"^x\":{\"type\":\"null\"}},\"additionalProperties\":false}",
         "{\"xy\":null}", "{\"y\":null}"},
        {"{\"minProperties\":1,\"maxProperties\":2}", "{\"a\":1}", "{}"},
        {"{\"prefixItems\":[{\"type\":\"string\"}],\"items\":{\"type\":\"null\"}}",
         "[\"a\",null,null]", "[\"a\",null,1]"},
        {"{\"items\":{\"items\":{\"type\":\"integer\"}}}", "[[1],[],[2,3]]", "[[1],[2,\"\"]]"},
        {"{\"minItems\":1,\"maxItems\":2}", "[1,2]", "[1,2,3]"},
        {"{\"uniqueItems\":true}", "[1,2]", "[1,1.0]"},
        {"{\"contains\":{\"const\":1}}", "[0,1]", "[0]"},
        {"{\"propertyNames\":{\"maxLength\":1}}", "{\"a\":1}", "{\"aa\":1}"},
        {"{\"dependentRequired\":{\"a\":[\"b\"]}}", "{\"a\":1,\"b\":2}", "{\"a\":1}"},
        {"{\"anyOf\":[{\"type\":\"null\"},{\"minimum\":2,\"type\":\"number\"}]}", "2", "1"},
        {"{\"oneOf\":[{\"required\":[\"a\"]},{\"required\":[\"b\"]}]}", "{\"a\":1}",
         "{\"a\":1,\"b\":1}"},
        {"{\"not\":{\"type\":\"null\"}}", "1", "null"},
        {"{\"if\":{\"required\":[\"a\"]},\"then\":{\"required\":[\"b\"]}}", "{}", "{\"a\":1}"},
        {"{\"allOf\":[{\"properties\":{\"a\":{\"type\":\"integer\"}}},"
         "{\"properties\":{\"a\":{\"minimum\":3}}}]}",
         "{\"a\":3}", "{\"a\":2}"},
        {"{\"$ref\":\"#/$defs/x\",\"$defs\":{\"x\":{\"type\":\"null\"}}}", "null", "1"},
        {"{\"type\":\"object\",\"properties\":{\"next\":{\"$ref\":\"#\"}}}",
         "{\"next\":{\"next\":{}}}", "{\"next\":{\"next\":1}}"},
        {"{\"properties\":{\"a\":true},\"unevaluatedProperties\":false}", "{\"a\":1}", "{\"b\":1}"},
        {"{\"items\":{\"properties\":{\"a\":true},\"unevaluatedProperties\":false}}", "[{\"a\":1}]",
         "[{\"a\":1},{\"b\":1}]"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        splits(cases[i][0], cases[i][1], cases[i][2]);
}

static void equal_keys_are_never_taken(void **state)
{
    (void)state;
    const char *text = "{\"properties\":{\"a\":true,\"o\":{\"properties\":{\"a\":true}}}}";
    splits(text, "{\"a\":1,\"b\":2,\"o\":{\"a\":1,\"b\":2}}", "{\"a\":1,\"a\":2}");
    splits(text, "{\"x\":[{\"b\":1},{\"b\":2}]}", "{\"b\":1,\"b\":2}");
    splits(text, "{\"x\":{\"b\":1},\"b\":1}", "{\"x\":{\"b\":1,\"c\":1,\"b\":1}}");
    splits(text, "{\"\":1}", "{\"\":1,\"\":1}");
    splits(text, "{\"o\":{\"a\":1}}", "{\"o\":{\"\\u0061\":1,\"a\":1}}");
}

static void what_is_rare_is_left_to_the_plain_check(void **state)
{
    (void)state;
    struct format_jsonschema *schema = compile_text("{\"minProperties\":1}");
    assert_non_null(schema->program);
    assert_false(fits(schema, "{\"\\u0061\":1}", true));
    assert_false(fits(schema, "{\"a\":1e9999999999999999}", false));
    assert_false(fits(schema, "", false));
    assert_false(fits(schema, " ", false));
    assert_false(fits(schema, "{} 1", false));
    struct buf wide = {0};
    for (int i = 0; i < 300; i++)
        buf_add_format(&wide, "%s\"k%d\":%d", i ? "," : "{", i, i);
    buf_add_string(&wide, "}");
    buf_add_byte(&wide, 0);
    assert_false(fits(schema, (const char *)wide.data, true));
    buf_done(&wide);
    format_jsonschema_free(&schema);
}

struct random {
    uint64_t seed;
    struct buf out;
};

static uint32_t draw(struct random *r, uint32_t below)
{
    r->seed = r->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((r->seed >> 33) % below);
}

/* Values at a look and values that are walked, with bounds on either side of them. */
static void short_numbers_and_words_are_what_the_plain_check_says(void **state)
{
    (void)state;
    static const char *const schemas[] = {
        "{\"minimum\":-2,\"exclusiveMaximum\":7}", "{\"exclusiveMinimum\":-2,\"maximum\":7}",
        "{\"type\":\"integer\",\"minimum\":1}",    "{\"minimum\":9999999,\"maximum\":10000000}",
        "{\"enum\":[\"ab\",\"a\",null,7]}",        "{\"minLength\":1,\"maxLength\":2}",
        "{\"type\":[\"boolean\",\"null\"]}",       "true"};
    static const char *const values[] = {
        "0",         "-0",       "7",     "-2",      "-2.0",     "-2.5",        "-1.5",
        "6.9999999", "6.999999", "7.0",   "7.1",     "01",       "1.",          "1e1",
        "1E1",       "1.5e1",    "-",     "9999999", "10000000", "9999999.5",   "0.0000001",
        "1.x",       "12a",      "true",  "false",   "null",     "tru",         "falsf",
        "nulls",     "\"\"",     "\"a\"", "\"ab\"",  "\"abc\"",  "\"\\u0061\"", "\"\xC3\xA4\"",
        "\"a",       "[]",       "{}",    "1.25",    "-7",       "1 ",          " 1",
        "- 1",       "1.2.3"};
    struct format_jsonschema_scratch *scratch = NULL;
    assert_true(err_is_ok(format_jsonschema_scratch_new(&scratch)));
    for (size_t i = 0; i < sizeof(schemas) / sizeof(schemas[0]); i++) {
        char text[256], record[128];
        snprintf(text, sizeof(text), "{\"properties\":{\"key\":%s}}", schemas[i]);
        struct format_jsonschema *schema = compile_text(text);
        for (size_t j = 0; j < sizeof(values) / sizeof(values[0]); j++) {
            for (int spaces = 0; spaces < 3; spaces++) {
                snprintf(record, sizeof(record), "{%*s\"key\":%*s%s,\"z\":\"%32s\"}", spaces, "",
                         spaces, "", values[j], "");
                struct slice r = slice_string(record);
                bool right = err_is_ok(format_jsonschema_check_plainly(schema, scratch, r, NULL));
                bool taken = format_jsonschema_fits(schema, scratch, r, NULL, NULL);
                if (taken != right)
                    fail_msg("%s: %s: %d", text, record, taken);
            }
        }
        format_jsonschema_free(&schema);
    }
    format_jsonschema_scratch_free(&scratch);
}

static void members_are_found_in_any_order_and_however_many_are_missing(void **state)
{
    (void)state;
    struct format_jsonschema_scratch *scratch = NULL;
    struct format_jsonschema *schema = compile_text(
        "{\"properties\":{\"a\":{\"type\":\"integer\"},\"bb\":{\"type\":\"string\"},\"c\":true,"
        "\"d_with_a_name_of_26_bytes__\":{\"type\":\"null\"},\"d_with_a_name_of_26_bytes_2\":{"
        "\"type\":"
        "\"boolean\"},\"e\":{\"type\":\"array\"},\"f\":{\"type\":\"object\"}},\"required\":[\"a\"],"
        "\"additionalProperties\":{\"type\":\"number\"},\"maxProperties\":7}");
    static const char *const members[] = {
        "\"a\":1",      "\"bb\":\"x\"",    "\"c\":0.5", "\"d_with_a_name_of_26_bytes__\":null",
        "\"e\":[1,{}]", "\"f\":{\"a\":2}", "\"g\":3",   "\"d_with_a_name_of_26_bytes_2\":true"};
    struct random r = {.seed = unit_seed()};
    unsigned good = 0;
    assert_true(err_is_ok(format_jsonschema_scratch_new(&scratch)));
    for (int i = 0; i < 20000; i++) {
        uint32_t count = 1 + draw(&r, 8);
        buf_reset(&r.out);
        for (uint32_t j = 0; j < count; j++)
            buf_add_format(&r.out, "%s%s", j ? "," : "{", members[draw(&r, 8)]);
        buf_add_string(&r.out, "}");
        bool right =
            err_is_ok(format_jsonschema_check_plainly(schema, scratch, buf_slice(&r.out), NULL));
        if (format_jsonschema_fits(schema, scratch, buf_slice(&r.out), NULL, NULL) != right)
            fail_msg("%.*s: %d", SLICE_PRINTF(buf_slice(&r.out)), !right);
        good += right;
    }
    assert_true(good > 1000);
    format_jsonschema_scratch_free(&scratch);
    format_jsonschema_free(&schema);
    buf_done(&r.out);
}

static void paths_are_found_in_the_same_pass(void **state)
{
    (void)state;
    static const char *const texts[] = {"a.b", "c"};
    struct format_json_paths *paths = NULL;
    struct format_json_value found[2];
    struct format_jsonschema_scratch *scratch = NULL;
    struct format_jsonschema *schema =
        compile_text("{\"properties\":{\"a\":{\"type\":\"object\"}}}");
    assert_true(err_is_ok(format_json_paths_new(texts, 2, &paths, NULL)));
    assert_true(err_is_ok(format_jsonschema_scratch_new(&scratch)));
    assert_true(format_jsonschema_fits(
        schema, scratch, SLICE_LITERAL("{\"c\":[1],\"a\":{\"b\":\"x\"}}"), paths, found));
    assert_true(slice_equal_string(found[0].raw, "\"x\""));
    assert_true(slice_equal_string(found[1].raw, "[1]"));
    format_jsonschema_free(&schema);
    /* In the branch that holds, behind one that does not, and in a condition. */
    schema = compile_text(
        "{\"properties\":{\"a\":{\"oneOf\":[{\"required\":[\"z\"]},{\"required\":[\"b\"]}"
        "]},\"c\":{\"type\":\"string\"}},\"not\":{\"required\":[\"d\"]},"
        "\"if\":{\"required\":[\"c\"]},\"then\":{\"required\":[\"a\"]}}");
    assert_true(format_jsonschema_fits(
        schema, scratch, SLICE_LITERAL("{\"a\":{\"y\":[],\"b\":7},\"c\":\"1234567890123456789\"}"),
        paths, found));
    assert_true(slice_equal_string(found[0].raw, "7"));
    assert_int_equal(found[1].kind, FORMAT_JSON_STRING);
    assert_int_equal(found[1].raw.size, 21);
    assert_true(format_jsonschema_fits(schema, scratch, SLICE_LITERAL("{}"), paths, found));
    assert_int_equal(found[0].kind, FORMAT_JSON_MISSING);
    format_json_paths_free(&paths);
    format_jsonschema_scratch_free(&scratch);
    format_jsonschema_free(&schema);
}

/* ---- random schemas and records ---- */

static void add_value(struct random *r, int depth)
{
    static const char *const scalars[] = {"null",
                                          "true",
                                          "false",
                                          "0",
                                          "1",
                                          "1.0",
                                          "-2",
                                          "2.5",
                                          "1e2",
                                          "\"\"",
                                          "\"a\"",
                                          "\"bb\"",
                                          "\"\\u0061\"",
                                          "\"\xC3\xA4\"",
                                          "17",
                                          "1e-1",
                                          "\"2026-01-02\"",
                                          "12345678901234567890"};
    uint32_t kind = draw(r, depth > 3 ? 4 : 8);
    if (kind < 4) {
        buf_add_string(&r->out, scalars[draw(r, sizeof(scalars) / sizeof(scalars[0]))]);
        return;
    }
    bool object = kind < 7;
    uint32_t count = draw(r, 4);
    buf_add_string(&r->out, object ? "{" : "[");
    for (uint32_t i = 0; i < count; i++) {
        buf_add_string(&r->out, i ? "," : "");
        if (object)
            buf_add_format(&r->out, "\"%c\":", (int)('a' + draw(r, 6)));
        add_value(r, depth + 1);
    }
    buf_add_string(&r->out, object ? "}" : "]");
}

static void add_schema(struct random *r, int depth);

static void add_schemas(struct random *r, int depth, const char *open, bool named)
{
    uint32_t count = 1 + draw(r, 3);
    buf_add_string(&r->out, open);
    for (uint32_t i = 0; i < count; i++) {
        buf_add_string(&r->out, i ? "," : "");
        if (named)
            buf_add_format(&r->out, "\"%c\":", (int)('a' + 2 * i + draw(r, 2)));
        add_schema(r, depth + 1);
    }
    buf_add_string(&r->out, named ? "}" : "]");
}

/* One keyword; each at the most once, so that the schema has no equal keys. */
static void add_keyword(struct random *r, uint32_t which, int depth)
{
    static const char *const simple[] = {"\"type\":\"object\"",
                                         "\"type\":[\"integer\",\"string\"]",
                                         "\"minimum\":1",
                                         "\"exclusiveMaximum\":2.5",
                                         "\"multipleOf\":0.5",
                                         "\"minLength\":1",
                                         "\"maxLength\":1",
                                         "\"pattern\":\"^a\"",
                                         "\"required\":[\"a\"]",
                                         "\"maxProperties\":2",
                                         "\"minItems\":1",
                                         "\"maxItems\":2",
                                         "\"uniqueItems\":true",
                                         "\"enum\":[\"a\",1,null,{},[]]",
                                         "\"const\":1",
                                         "\"$ref\":\"#/$defs/a\"",
                                         "\"dependentRequired\":{\"a\":[\"b\"]}",
                                         "\"propertyNames\":{\"pattern\":\"[a-d]\"}",
                                         "\"unevaluatedProperties\":false",
                                         "\"unevaluatedItems\":{\"type\":\"integer\"}",
                                         "\"format\":\"date\""};
    static const char *const lists[] = {"allOf", "anyOf", "oneOf", "prefixItems"};
    static const char *const ones[] = {"not",   "if",       "then",
                                       "items", "contains", "additionalProperties"};
    uint32_t simple_count = sizeof(simple) / sizeof(simple[0]);
    if (which < simple_count) {
        buf_add_string(&r->out, simple[which]);
    } else if (which < simple_count + 4) {
        buf_add_format(&r->out, "\"%s\":", lists[which - simple_count]);
        add_schemas(r, depth, "[", false);
    } else if (which < simple_count + 10) {
        buf_add_format(&r->out, "\"%s\":", ones[which - simple_count - 4]);
        add_schema(r, depth + 1);
    } else {
        buf_add_string(&r->out, which & 1 ? "\"properties\":" : "\"patternProperties\":");
        add_schemas(r, depth, "{", true);
    }
}

static void add_schema(struct random *r, int depth)
{
    uint32_t count = depth > 3 ? draw(r, 2) : 1 + draw(r, 3), used[4], last = 0;
    if (draw(r, 12) == 0) {
        buf_add_string(&r->out, draw(r, 4) ? "true" : "false");
        return;
    }
    buf_add_string(&r->out, "{");
    for (uint32_t i = 0; i < count; i++) {
        used[i] = draw(r, depth > 3 ? 21 : 36);
        bool again = false;
        for (uint32_t j = 0; j < i; j++)
            again = again || used[j] == used[i] || used[i] > 30 || (used[i] < 2 && used[j] < 2);
        if (again)
            continue;
        buf_add_string(&r->out, last++ ? "," : "");
        add_keyword(r, used[i], depth);
    }
    buf_add_string(&r->out, "}");
}

/* The record is checked by both halves and by the check that joins them. */
static void compare(struct format_jsonschema *schema, struct format_jsonschema_scratch *scratch,
                    struct slice schema_text, struct slice record, unsigned counts[static 2])
{
    struct format_jsonschema_error plain, both;
    bool taken = format_jsonschema_fits(schema, scratch, record, NULL, NULL);
    /* With room behind it, where keys and values are taken at a look. */
    struct buf roomy = {0};
    buf_add_slice(&roomy, record);
    buf_add_format(&roomy, "%48s", "");
    taken = format_jsonschema_fits(schema, scratch, buf_slice(&roomy), NULL, NULL) || taken;
    buf_done(&roomy);
    err_t right = format_jsonschema_check_plainly(schema, scratch, record, &plain);
    err_t joined = format_jsonschema_check(schema, scratch, record, &both);
    /* A reference to itself ends the plain check by its depth; the pass sees that it says nothing.
     */
    if (err_is(right, ERR_TOO_LARGE))
        return;
    if (taken && !err_is_ok(right))
        fail_msg("%.*s is taken by %.*s: %s %s", SLICE_PRINTF(record), SLICE_PRINTF(schema_text),
                 plain.path, plain.message);
    assert_int_equal(joined.code, right.code);
    if (!err_is_ok(right)) {
        assert_string_equal(plain.path, both.path);
        assert_string_equal(plain.message, both.message);
    }
    counts[0] += taken;
    counts[1] += err_is_ok(right);
}

static void both_halves_agree_on_random_schemas_and_records(void **state)
{
    (void)state;
    struct random r = {.seed = unit_seed()};
    struct format_jsonschema_scratch *scratch = NULL;
    unsigned counts[2] = {0};
    const struct format_jsonschema_options options = {.assert_formats = true};
    assert_true(err_is_ok(format_jsonschema_scratch_new(&scratch)));
    for (int i = 0; i < 3000; i++) {
        buf_reset(&r.out);
        buf_add_string(&r.out, "{\"$defs\":{\"a\":");
        add_schema(&r, 2);
        buf_add_string(&r.out, "},\"allOf\":[");
        add_schema(&r, 0);
        buf_add_string(&r.out, "]}");
        struct slice text = slice_make(mem_string(r.out.data, r.out.size), r.out.size);
        struct format_jsonschema *schema = NULL;
        struct err_text why = {0};
        if (!err_is_ok(format_jsonschema_compile(text, &options, &schema, &why)))
            fail_msg("%.*s: %s", SLICE_PRINTF(text), why.text);
        for (int j = 0; j < 20; j++) {
            buf_reset(&r.out);
            add_value(&r, 0);
            compare(schema, scratch, text, buf_slice(&r.out), counts);
        }
        format_jsonschema_free(&schema);
        mem_free((void *)(uintptr_t)text.data);
    }
    /* It would agree as well if it took nothing. */
    assert_true(counts[1] > 3000 && counts[0] > counts[1] * 8 / 10);
    format_jsonschema_scratch_free(&scratch);
    buf_done(&r.out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_keyword_is_held_in_the_pass),
        cmocka_unit_test(equal_keys_are_never_taken),
        cmocka_unit_test(what_is_rare_is_left_to_the_plain_check),
        cmocka_unit_test(short_numbers_and_words_are_what_the_plain_check_says),
        cmocka_unit_test(members_are_found_in_any_order_and_however_many_are_missing),
        cmocka_unit_test(paths_are_found_in_the_same_pass),
        cmocka_unit_test(both_halves_agree_on_random_schemas_and_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
