#include "cli/contract.h"

#include "unit/control/world.h"

#define SCHEMA "{\"type\":\"object\",\"properties\":{\"n\":{\"type\":\"integer\"}}}"

/* Two topics: "a" with a schema and examples, "b" with nothing. */
static void put_topics(struct world *w, const char *examples)
{
    static char contract[512];
    world_init(w);
    world_put(w, "garner.yaml", "intake: { record_limit: 20B }\n");
    snprintf(contract, sizeof(contract),
             "topic: a\nschema: { type: jsonschema, file: s.json }\n%s\n", examples);
    world_put(w, "contracts/a.yaml", contract);
    world_put(w, "contracts/b.yaml", "topic: b\n");
    world_put(w, "contracts/s.json", SCHEMA);
}

static void test(struct world *w, const char *topic, bool json, int code, const char *out,
                 const char *messages)
{
    struct buf printed = {0};
    struct buf said = {0};
    assert_int_equal(
        cli_contract_test(&w->host, "garner.yaml", &topic, topic ? 1 : 0, json, &printed, &said),
        code);
    assert_slice(buf_slice(&printed), out);
    assert_slice(buf_slice(&said), messages);
    buf_done(&printed);
    buf_done(&said);
}

#define EXAMPLES "examples: { valid: [v.ndjson, one.json], invalid: ['x?.ndjson'] }"

static void put_good(struct world *w)
{
    put_topics(w, EXAMPLES);
    world_put(w, "contracts/v.ndjson", "{\"n\":1}\n\n {} \r\n");
    world_put(w, "contracts/one.json", "{\n  \"n\": 12\n}\n");
    world_put(w, "contracts/x1.ndjson", "{\"n\":\"1\"}\n{\"n\":1,\"n\":2}\n{\n");
    world_put(w, "contracts/x2.ndjson", "{\"long\":\"0123456789\"}");
}

static void examples_with_the_verdict_they_stand_for_are_counted(void **state)
{
    (void)state;
    struct world w;
    put_good(&w);
    test(&w, NULL, false, CLI_OK, "a: 3 valid, 4 invalid, 0 failed\nb: no examples\n", "");
    test(&w, "a", false, CLI_OK, "a: 3 valid, 4 invalid, 0 failed\n", "");
    test(&w, "a", true, CLI_OK,
         "{\"topics\":[{\"topic\":\"a\",\"failures\":[],\"valid\":3,\"invalid\":4,\"failed\":0}],"
         "\"errors\":[],\"errors_omitted\":0,\"ok\":true}\n",
         "");
    world_done(&w);
}

static void put_wrong(struct world *w)
{
    put_good(w);
    world_put(w, "contracts/v.ndjson",
              "{}\n\n{\"n\":\"\"}\n{\"n\" 1}\r\n{\"a\":\"0123456789012\"}");
    world_put(w, "contracts/one.json", "[{\"n\":1}]");
    world_put(w, "contracts/x1.ndjson", "\n{\"n\":1}");
}

static void a_failure_is_a_line_with_its_place(void **state)
{
    (void)state;
    struct world w;
    put_wrong(&w);
    test(&w, NULL, false, CLI_FAILED,
         "contracts/v.ndjson:3: expected to be accepted, got schema /n: expected integer, got "
         "string (type)\n"
         "contracts/v.ndjson:4: expected to be accepted, got json byte 5: expected ':' after a "
         "key\n"
         "contracts/v.ndjson:5: expected to be accepted, got oversize 21 bytes, the limit is 20\n"
         "contracts/one.json:1: expected to be accepted, got schema expected object, got array "
         "(type)\n"
         "contracts/x1.ndjson:2: expected to be refused, but it is accepted\n"
         "a: 5 valid, 2 invalid, 5 failed\n"
         "b: no examples\n",
         "");
    world_done(&w);
}

static void failures_in_json(void **state)
{
    (void)state;
    struct world w;
    put_topics(&w, "examples: { valid: [v.ndjson], invalid: [x.ndjson] }");
    world_put(&w, "contracts/v.ndjson", "7\n");
    world_put(&w, "contracts/x.ndjson", "{}\n");
    test(&w, NULL, true, CLI_FAILED,
         "{\"topics\":[{\"topic\":\"a\",\"failures\":["
         "{\"file\":\"contracts/v.ndjson\",\"line\":1,\"expected\":\"accepted\","
         "\"reason\":\"schema\",\"detail\":\"expected object, got number (type)\"},"
         "{\"file\":\"contracts/x.ndjson\",\"line\":1,\"expected\":\"refused\"}],"
         "\"valid\":1,\"invalid\":1,\"failed\":2},"
         "{\"topic\":\"b\",\"failures\":[],\"valid\":0,\"invalid\":0,\"failed\":0}],"
         "\"errors\":[],\"errors_omitted\":0,\"ok\":false}\n",
         "");
    world_done(&w);
}

static void files_that_say_nothing_are_mistakes(void **state)
{
    (void)state;
    struct world w;
    put_topics(&w, "examples: { valid: [empty.ndjson, empty.json], invalid: [locked.ndjson] }");
    world_put(&w, "contracts/empty.ndjson", "\n \r\n");
    world_put(&w, "contracts/empty.json", "");
    world_put(&w, "contracts/locked.ndjson", "1");
    world_fail(&w, "contracts/locked.ndjson", ERR_IO);
    test(&w, "a", false, CLI_CONFIG, "a: no examples\n",
         "contracts/a.yaml:3:20: examples.valid: expected records in contracts/empty.ndjson, there "
         "are none\n"
         "contracts/a.yaml:3:20: examples.valid: expected records in contracts/empty.json, there "
         "are none\n"
         "contracts/a.yaml:3:57: examples.invalid: expected files that can be read: "
         "contracts/locked.ndjson: input/output error\n");
    put_topics(&w, "examples: { valid: [gone.ndjson] }");
    test(&w, NULL, true, CLI_CONFIG,
         "{\"topics\":[{\"topic\":\"a\",\"failures\":[],\"valid\":0,\"invalid\":0,\"failed\":0},"
         "{\"topic\":\"b\",\"failures\":[],\"valid\":0,\"invalid\":0,\"failed\":0}],"
         "\"errors\":[{\"file\":\"contracts/a.yaml\",\"line\":3,\"column\":21,"
         "\"path\":\"examples.valid[0]\",\"message\":\"expected a pattern that matches a file, got "
         "'gone.ndjson'\"}],\"errors_omitted\":0,\"ok\":false}\n",
         "contracts/a.yaml:3:21: examples.valid[0]: expected a pattern that matches a file, got "
         "'gone.ndjson'\n");
    world_done(&w);
}

static void a_broken_configuration_is_told_as_check_tells_it(void **state)
{
    (void)state;
    struct world w;
    put_topics(&w, "examples: valid.ndjson");
    test(&w, NULL, false, CLI_CONFIG, "",
         "contracts/a.yaml:3:11: examples: expected a mapping, got 'valid.ndjson'\n");
    put_topics(&w, "examples: { vald: [x] }");
    test(&w, NULL, false, CLI_CONFIG, "",
         "contracts/a.yaml:3:13: examples.vald: unknown field 'vald', did you mean 'valid'?\n");
    world_done(&w);
}

static void a_topic_that_is_named_has_a_contract_and_examples(void **state)
{
    (void)state;
    struct world w;
    put_good(&w);
    test(&w, "b", false, CLI_CONFIG, "b: no examples\n",
         "contracts/b.yaml:1:8: examples: expected { valid: [ file ], invalid: [ file ] }, there "
         "are no examples\n");
    test(&w, "aa", false, CLI_USAGE, "",
         "expected a topic with a contract, got 'aa', did you mean 'a'?\n");
    world_done(&w);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    struct world w;
    put_wrong(&w);
    int code = CLI_INTERNAL;
    for (uint64_t n = 1; code == CLI_INTERNAL; n++) {
        struct buf out = {0};
        struct buf messages = {0};
        mem_fail_after(n);
        code = cli_contract_test(&w.host, "garner.yaml", NULL, 0, true, &out, &messages);
        mem_fail_after(0);
        buf_done(&out);
        buf_done(&messages);
    }
    assert_int_equal(code, CLI_FAILED);
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(examples_with_the_verdict_they_stand_for_are_counted),
        cmocka_unit_test(a_failure_is_a_line_with_its_place),
        cmocka_unit_test(failures_in_json),
        cmocka_unit_test(files_that_say_nothing_are_mistakes),
        cmocka_unit_test(a_broken_configuration_is_told_as_check_tells_it),
        cmocka_unit_test(a_topic_that_is_named_has_a_contract_and_examples),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
