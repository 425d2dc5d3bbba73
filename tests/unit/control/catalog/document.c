#include "control/catalog/document.h"

#include "control/catalog/versions.h"

#include "control/catalog/change.h"
#include "format/json/json.h"
#include "format/jsonschema/compat.h"
#include "unit/control/world.h"

static struct control_catalog *load(struct world *w)
{
    struct control_config *config = NULL;
    struct control_catalog *catalog = NULL;
    world_put(w, "garner.yaml", "");
    assert_ok(control_config_load(&w->host, "garner.yaml", &config, &w->report));
    assert_ok(control_catalog_load(&w->host, config, &catalog, &w->report));
    control_config_free(&config);
    return catalog;
}

/* Three contracts: with everything, with a quote in what is for people, with nothing. */
static struct control_catalog *three(struct world *w)
{
    world_init(w);
    world_put(w, "contracts/all.yaml",
              "topic: all\ndescription: \"a \\\"b\\\"\"\nowner: me\npartitions: 3\nkey: a.b\n"
              "event_time: /t\nschema: { type: jsonschema, file: s.json, format_assertion: true }\n"
              "compatibility: FULL_TRANSITIVE\non_invalid: reject\n"
              "dedup: { key: id, window: 36h, memory: 1025KiB, rate: 5 }\n"
              "dlq: { retention: 90s, size: 2MiB, when_full: drop_oldest }\n"
              "retention: { time: 36h, size: 10GiB, expire_undelivered: true }\n"
              "compression: zstd\n");
    world_put(w, "contracts/s.json", "{\"type\": \"object\"}");
    world_put(w, "contracts/bare.yaml", "topic: bare\n");
    world_put(w, "contracts/other.yaml", "topic: other\nretention: { size: 1B }\n");
    return load(w);
}

static void every_field_is_there_with_its_value(void **state)
{
    (void)state;
    struct world w;
    struct buf out = {0};
    struct control_catalog *catalog = three(&w);
    control_catalog_come_into_force(catalog, NULL, 1000);
    control_catalog_render_topic(catalog, &catalog->topics[0], &out);
    assert_slice(
        buf_slice(&out),
        "{\"topic\":\"all\",\"since\":\"1970-01-01T00:00:01.000Z\",\"file\":\"contracts/all.yaml\","
        "\"contract\":{\"topic\":\"all\",\"description\":\"a \\\"b\\\"\",\"owner\":\"me\","
        "\"partitions\":3,\"key\":\"a.b\",\"event_time\":\"/"
        "t\",\"schema\":{\"type\":\"jsonschema\","
        "\"file\":\"/here/contracts/s.json\",\"format_assertion\":true},"
        "\"compatibility\":\"FULL_TRANSITIVE\",\"on_invalid\":\"reject\","
        "\"examples\":{\"valid\":[],\"invalid\":[]},"
        "\"dedup\":{\"key\":\"id\",\"window\":\"36h\",\"memory\":\"1025KiB\",\"rate\":5},"
        "\"dlq\":{\"retention\":\"90s\",\"size\":\"2MiB\",\"when_full\":\"drop_oldest\"},"
        "\"retention\":{\"time\":\"36h\",\"size\":\"10GiB\",\"expire_undelivered\":true},"
        "\"compression\":\"zstd\"},\"schema\":{\"fingerprint\":\""
        "ff419ebbeba438f66900abe77818ce940702bdfe70fa173cb94beecee8d3f112\",\"document\":{\"type\":"
        " \"object\"}}}");
    buf_reset(&out);
    control_catalog_render_topic(catalog, &catalog->topics[1], &out);
    assert_slice(buf_slice(&out),
                 "{\"topic\":\"bare\",\"since\":\"1970-01-01T00:00:01.000Z\",\"file\":\"contracts/"
                 "bare.yaml\","
                 "\"contract\":{\"topic\":\"bare\",\"description\":null,\"owner\":null,"
                 "\"partitions\":1,\"key\":null,\"event_time\":null,\"schema\":{\"type\":\"none\","
                 "\"file\":null,\"format_assertion\":false},"
                 "\"compatibility\":\"BACKWARD\",\"on_invalid\":\"dlq\","
                 "\"examples\":{\"valid\":[],\"invalid\":[]},"
                 "\"dedup\":{\"key\":null,\"window\":\"1d\",\"memory\":\"64MiB\",\"rate\":null},"
                 "\"dlq\":{\"retention\":\"7d\",\"size\":\"1GiB\",\"when_full\":\"refuse\"},"
                 "\"retention\":{\"time\":\"7d\",\"size\":null,\"expire_undelivered\":false},"
                 "\"compression\":\"none\"},\"schema\":null}");
    buf_done(&out);
    control_catalog_free(&catalog);
    world_done(&w);
}

static void what_is_not_in_force_has_no_time(void **state)
{
    (void)state;
    struct world w;
    struct buf out = {0};
    struct control_catalog *catalog = three(&w);
    control_catalog_render_topic(catalog, &catalog->topics[2], &out);
    assert_true(
        slice_starts_with(buf_slice(&out), SLICE_LITERAL("{\"topic\":\"other\",\"since\":null,")));
    buf_done(&out);
    control_catalog_free(&catalog);
    world_done(&w);
}

static void nothing_is_a_list_too(void **state)
{
    (void)state;
    struct buf out = {0};
    struct err_text why = {0};
    struct control_catalog *catalog = NULL;
    control_catalog_render(&(struct control_catalog){0}, &out);
    assert_slice(buf_slice(&out), "{\"contracts\":[\n]}");
    assert_ok(control_catalog_parse(buf_slice(&out), &catalog, &why));
    assert_int_equal(catalog->topic_count, 0);
    control_catalog_free(&catalog);
    buf_done(&out);
}

static void what_is_read_back_is_the_same(void **state)
{
    (void)state;
    struct world w;
    struct buf out = {0};
    struct buf again = {0};
    struct err_text why = {0};
    struct control_catalog *catalog = three(&w);
    struct control_catalog *back = NULL;
    assert_ok(control_catalog_versions_new(&catalog->versions));
    static const char *const texts[] = {"{\"type\": [\"object\"]}", NULL, "{\"type\": \"object\"}"};
    for (size_t i = 0; i < 3; i++)
        assert_ok(control_catalog_versions_add(
            catalog->versions,
            &(struct control_catalog_version){.topic = "all",
                                              .since_ms = 1445412480000 + (int64_t)i,
                                              .format_assertion = i == 0,
                                              .text = texts[i] ? slice_string(texts[i])
                                                               : slice_make(NULL, 0)}));
    control_catalog_render(catalog, &out);
    assert_ok(format_json_check(buf_slice(&out), NULL, 8, NULL, NULL));
    assert_ok(control_catalog_parse(buf_slice(&out), &back, &why));
    assert_int_equal(back->topic_count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_true(control_catalog_same(&catalog->topics[i], &back->topics[i]));
        assert_string_equal(catalog->topics[i].name, back->topics[i].name);
    }
    assert_string_equal(back->topics[0].description, "a \"b\"");
    assert_int_equal(back->topics[0].dedup.rate, 5);
    assert_true(
        format_jsonschema_same(catalog->topics[0].schema.json, back->topics[0].schema.json));
    assert_slice(back->topics[0].schema.text, "{\"type\": \"object\"}");
    /* Two earlier ones of one topic, and of each topic the one in force. */
    assert_int_equal(back->versions->count, 5);
    assert_slice(back->versions->items[0].text, texts[0]);
    assert_true(back->versions->items[0].format_assertion);
    assert_null(back->versions->items[1].text.data);
    control_catalog_render(back, &again);
    buf_add_byte(&out, '\0');
    buf_add_byte(&again, '\0');
    assert_string_equal((char *)again.data, (char *)out.data);
    buf_done(&again);
    buf_done(&out);
    control_catalog_free(&catalog);
    control_catalog_free(&back);
    world_done(&w);
}

static void other_versions_are_understood(void **state)
{
    (void)state;
    struct err_text why = {0};
    struct control_catalog *catalog = NULL;
    assert_ok(control_catalog_parse(
        SLICE_LITERAL("{\"more\":1,\"contracts\":[{\"contract\":{\"topic\":\"a\",\"color\":\"red\","
                      "\"dlq\":{\"taste\":1}}}]}"),
        &catalog, &why));
    assert_int_equal(catalog->topics[0].partitions, 1);
    assert_int_equal(catalog->topics[0].compatibility, CONTROL_CATALOG_BACKWARD);
    assert_true(catalog->topics[0].dlq.retention_ms == 7 * UINT64_C(86400000));
    control_catalog_free(&catalog);
}

static void refused(const char *document, const char *reason)
{
    struct err_text why = {0};
    struct control_catalog *catalog = NULL;
    err_t err = control_catalog_parse(slice_string(document), &catalog, &why);
    assert_false(err_is_ok(err));
    assert_null(catalog);
    assert_string_equal(err_detail(err, &why), reason);
}

static void what_is_no_such_answer_is_refused(void **state)
{
    (void)state;
    refused("", "it cannot be read as JSON");
    refused("{\"contracts\":[}", "it cannot be read as JSON");
    refused("{}", "there is no list of contracts");
    refused("[]", "there is no list of contracts");
    refused("{\"contracts\":{}}", "there is no list of contracts");
    refused("{\"contracts\":[1]}", "what should be a contract is none");
    refused("{\"contracts\":[{\"topic\":\"a\"}]}", "what should be a contract is none");
    refused("{\"contracts\":[{\"contract\":{}}]}", "a topic has no name that it could have");
    refused("{\"contracts\":[{\"contract\":{\"topic\":\"\\u001b[31m\"}}]}",
            "a topic has no name that it could have");
    refused("{\"contracts\":[{\"contract\":{\"topic\":\"a\\u0000\"}}]}",
            "topic: a value holds a zero");
    refused("{\"contracts\":[{\"contract\":{\"topic\":\"b\"}},{\"contract\":{\"topic\":\"a\"}}]}",
            "topics are not in the order of their names");
    refused("{\"contracts\":[{\"contract\":{\"topic\":\"a\"}},{\"contract\":{\"topic\":\"a\"}}]}",
            "topics are not in the order of their names");
}

static void a_value_that_cannot_be_is_named(void **state)
{
    (void)state;
    refused("{\"contracts\":[{\"contract\":{\"topic\":\"a\",\"partitions\":0}}]}",
            "partitions: expected a whole number from 1 to 10000");
    refused("{\"contracts\":[{\"contract\":{\"topic\":\"a\",\"dlq\":{\"size\":true}}}]}",
            "dlq: size: expected a size such as 64MiB of at least 1B");
    refused("{\"contracts\":[{\"contract\":{\"topic\":\"a\",\"schema\":{\"type\":\"avro\"}}}]}",
            "a: its kind of schema is not known to this version");
    refused("{\"contracts\":[{\"contract\":{\"topic\":\"a\",\"schema\":{\"type\":\"jsonschema\"}},"
            "\"schema\":null}]}",
            "a: its schema is not there");
    refused("{\"contracts\":[{\"contract\":{\"topic\":\"a\",\"schema\":{\"type\":\"jsonschema\"}},"
            "\"schema\":{\"document\":{\"type\":1}}}]}",
            "a: #/type: expected null, boolean, number, integer, string, object or array");
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    struct world w;
    struct buf out = {0};
    struct control_catalog *catalog = three(&w);
    control_catalog_render(catalog, &out);
    unsigned n = 0;
    bool done = false;
    while (!done) {
        struct err_text why = {0};
        struct control_catalog *back = NULL;
        mem_fail_after(++n);
        err_t err = control_catalog_parse(buf_slice(&out), &back, &why);
        mem_fail_after(0);
        done = err_is_ok(err);
        assert_true(done || err_is(err, ERR_MEMORY));
        assert_true((back != NULL) == done);
        control_catalog_free(&back);
    }
    assert_true(n > 10);
    buf_done(&out);
    for (unsigned i = 1; i < 30; i++) {
        struct buf part = {0};
        mem_fail_after(i);
        control_catalog_render(catalog, &part);
        mem_fail_after(0);
        /* Whole or failed, never cut off in silence. */
        assert_true(!buf_ok(&part) ||
                    err_is_ok(format_json_check(buf_slice(&part), NULL, 8, NULL, NULL)));
        buf_done(&part);
    }
    control_catalog_free(&catalog);
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_is_there_with_its_value),
        cmocka_unit_test(what_is_not_in_force_has_no_time),
        cmocka_unit_test(nothing_is_a_list_too),
        cmocka_unit_test(what_is_read_back_is_the_same),
        cmocka_unit_test(other_versions_are_understood),
        cmocka_unit_test(what_is_no_such_answer_is_refused),
        cmocka_unit_test(a_value_that_cannot_be_is_named),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
