#include "control/catalog/versions.h"

#include "base/alloc.h"
#include "lib/unit.h"

#define SCHEMA_NO_STRING                                                                           \
    "{\"topic\":\"a\",\"topic_uuid\":\"01000000-0000-0000-0000-000000000000\","                    \
    "\"time\":\"2015-10-21T07:28:00Z\",\"schema\":7}"

static const struct uuid first = {{1}};
static const struct uuid second = {{2}};

static struct control_catalog_version version(const char *topic, const struct uuid *uuid,
                                              const char *text)
{
    return (struct control_catalog_version){
        .topic = topic,
        .topic_uuid = *uuid,
        .since_ms = 1445412480000,
        .text = text ? slice_string(text) : slice_make(NULL, 0),
    };
}

static struct control_catalog_versions *make(void)
{
    struct control_catalog_versions *versions = NULL;
    assert_true(err_is_ok(control_catalog_versions_new(&versions)));
    return versions;
}

static void add(struct control_catalog_versions *versions, struct control_catalog_version version)
{
    assert_true(err_is_ok(control_catalog_versions_add(versions, &version)));
}

static void a_record_is_read_as_it_was_written(void **state)
{
    (void)state;
    static const char *const texts[] = {"{\"type\": \"object\",\n \"x\": \"\\u00e9\"}", NULL, ""};
    struct control_catalog_versions *versions = make();
    for (size_t i = 0; i < 3; i++) {
        struct control_catalog_version written = version("flights", &first, texts[i]);
        written.format_assertion = i == 0;
        struct buf record = {0};
        control_catalog_version_render(&written, &record);
        assert_true(err_is_ok(control_catalog_versions_read(versions, buf_slice(&record))));
        buf_done(&record);
        const struct control_catalog_version *read =
            control_catalog_versions_last(versions, "flights");
        assert_string_equal(read->topic, "flights");
        assert_true(uuid_equal(&read->topic_uuid, &first));
        assert_int_equal(read->since_ms, written.since_ms);
        assert_int_equal(read->format_assertion, i == 0);
        assert_int_equal(read->text.data == NULL, texts[i] == NULL);
        assert_true(slice_equal(read->text, written.text));
    }
    assert_int_equal(versions->count, 3);
    assert_null(control_catalog_versions_last(versions, "other"));
    control_catalog_versions_free(&versions);
    assert_null(versions);
}

static void what_is_no_record_is_an_error_and_adds_nothing(void **state)
{
    (void)state;
    static const char *const records[] = {
        "",
        "[]",
        "{}",
        "{\"topic\":1}",
        "{\"topic\":\"\"}",
        "{\"topic\":\"a\\u0000b\"}",
        "{\"topic\":\"a\",\"topic_uuid\":\"x\"}",
        "{\"topic\":\"a\",\"topic_uuid\":\"01000000-0000-0000-0000-000000000000\",\"time\":\"no\"}",
        SCHEMA_NO_STRING,
    };
    struct control_catalog_versions *versions = make();
    for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++)
        assert_true(
            err_is(control_catalog_versions_read(versions, slice_string(records[i])), ERR_SYNTAX));
    assert_int_equal(versions->count, 0);
    control_catalog_versions_free(&versions);
}

static void a_topic_that_was_made_again_has_no_earlier_ones(void **state)
{
    (void)state;
    struct control_catalog_versions *versions = make();
    add(versions, version("a", &first, "1"));
    add(versions, version("b", &first, "2"));
    add(versions, version("a", &first, "3"));
    add(versions, version("a", &second, "4"));
    assert_int_equal(versions->count, 2);
    assert_slice(control_catalog_versions_last(versions, "a")->text, "4");
    assert_slice(control_catalog_versions_last(versions, "b")->text, "2");
    control_catalog_versions_free(&versions);
}

static void only_what_differs_from_the_newest_is_next(void **state)
{
    (void)state;
    struct control_catalog_versions *versions = make();
    struct control_catalog_version out;
    struct control_catalog_topic topic = {.name = "a"};
    assert_false(control_catalog_versions_next(versions, &topic, &first, 5, &out));
    topic.schema.json = (const void *)"any";
    topic.schema.text = SLICE_LITERAL("{}");
    assert_true(control_catalog_versions_next(versions, &topic, &first, 5, &out));
    assert_int_equal(out.since_ms, 5);
    add(versions, out);
    assert_false(control_catalog_versions_next(versions, &topic, &first, 6, &out));
    assert_true(control_catalog_versions_next(versions, &topic, &second, 6, &out));
    topic.schema.format_assertion = true;
    assert_true(control_catalog_versions_next(versions, &topic, &first, 6, &out));
    add(versions, out);
    topic.schema.json = NULL;
    assert_true(control_catalog_versions_next(versions, &topic, &first, 7, &out));
    assert_null(out.text.data);
    add(versions, out);
    assert_false(control_catalog_versions_next(versions, &topic, &first, 8, &out));
    control_catalog_versions_free(&versions);
}

static void without_memory_nothing_is_added(void **state)
{
    (void)state;
    struct control_catalog_versions *versions = NULL;
    mem_fail_after(1);
    assert_true(err_is(control_catalog_versions_new(&versions), ERR_MEMORY));
    mem_fail_after(0);
    versions = make();
    struct control_catalog_version one = version("a", &first, "1");
    for (unsigned at = 1; at <= 2; at++) {
        mem_fail_after(at);
        assert_true(err_is(control_catalog_versions_add(versions, &one), ERR_MEMORY));
        mem_fail_after(0);
        assert_int_equal(versions->count, 0);
    }
    control_catalog_versions_free(&versions);
    control_catalog_versions_free(&versions);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_is_read_as_it_was_written),
        cmocka_unit_test(what_is_no_record_is_an_error_and_adds_nothing),
        cmocka_unit_test(a_topic_that_was_made_again_has_no_earlier_ones),
        cmocka_unit_test(only_what_differs_from_the_newest_is_next),
        cmocka_unit_test(without_memory_nothing_is_added),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
