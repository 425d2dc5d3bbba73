#include "control/catalog/contract.h"

#include "control/config/yaml.h"
#include "flow/commit.h"
#include "unit/control/world.h"

struct decoded {
    struct arena arena;
    struct control_report report;
    struct control_catalog_contract contract;
};

static void decode(struct decoded *d, const char *text, const char *errors, const char *notes)
{
    *d = (struct decoded){0};
    control_report_init(&d->report);
    struct control_config_node *root =
        control_config_yaml_parse(slice_string(text), "f", &d->arena, &d->report);
    assert_non_null(root);
    const struct control_config_decoder decoder = {&d->arena, &d->report, "/here"};
    bool right = control_catalog_contract_decode(&decoder, root, &d->contract);
    world_expect(&d->report.errors, errors);
    world_expect(&d->report.notes, notes);
    assert_int_equal(right, errors[0] == '\0');
}

static void done(struct decoded *d)
{
    arena_done(&d->arena);
    control_report_done(&d->report);
}

static void refuse(const char *text, const char *errors)
{
    struct decoded d;
    decode(&d, text, errors, "");
    done(&d);
}

static void a_name_is_enough(void **state)
{
    (void)state;
    struct decoded d;
    decode(&d, "topic: flights\n", "", "");
    const struct control_catalog_topic *t = &d.contract.topic;
    assert_string_equal(t->name, "flights");
    assert_string_equal(t->file, "f");
    assert_int_equal(t->line, 1);
    assert_int_equal(t->column, 8);
    assert_null(t->description);
    assert_null(t->owner);
    assert_int_equal(t->partitions, 1);
    assert_null(t->key);
    assert_null(t->event_time);
    assert_int_equal(t->on_invalid, CONTROL_CATALOG_DLQ);
    assert_int_equal(t->dlq.retention_ms, 7 * 86400000);
    assert_int_equal(t->dlq.size_bytes, 1 << 30);
    assert_int_equal(t->dlq.when_full, CONTROL_CATALOG_REFUSE);
    assert_int_equal(t->retention.time_ms, 7 * 86400000);
    assert_int_equal(t->retention.size_bytes, 0);
    assert_false(t->retention.expire_undelivered);
    assert_int_equal(t->compression, CONTROL_CATALOG_NONE);
    done(&d);
}

static void every_field_is_read(void **state)
{
    (void)state;
    struct decoded d;
    decode(&d,
           "topic: flights\n"
           "description: one record a scheduled flight\n"
           "owner: data-platform@example.com\n"
           "partitions: 3\n"
           "key: carrier\n"
           "event_time: /times/departed_at\n"
           "schema: { type: none }\n"
           "compatibility: FULL_TRANSITIVE\n"
           "on_invalid: reject\n"
           "dlq: { retention: 1d, size: 2MiB, when_full: drop_oldest }\n"
           "retention: { time: 2d, size: 10GiB, expire_undelivered: true }\n"
           "compression: zstd\n",
           "", "");
    const struct control_catalog_topic *t = &d.contract.topic;
    assert_string_equal(t->description, "one record a scheduled flight");
    assert_string_equal(t->owner, "data-platform@example.com");
    assert_int_equal(t->partitions, 3);
    assert_int_equal(t->line, 4);
    assert_int_equal(t->column, 13);
    assert_string_equal(t->key, "carrier");
    assert_string_equal(t->event_time, "/times/departed_at");
    assert_int_equal(t->on_invalid, CONTROL_CATALOG_REJECT);
    assert_int_equal(t->dlq.retention_ms, 86400000);
    assert_int_equal(t->dlq.size_bytes, 2 << 20);
    assert_int_equal(t->dlq.when_full, CONTROL_CATALOG_DROP_OLDEST);
    assert_int_equal(t->retention.time_ms, 2 * 86400000);
    assert_int_equal(t->retention.size_bytes, UINT64_C(10) << 30);
    assert_true(t->retention.expire_undelivered);
    assert_int_equal(t->compression, CONTROL_CATALOG_ZSTD);
    assert_int_equal(d.contract.topic.compatibility, 6);
    done(&d);
}

static void a_name_must_fit_the_log_and_a_directory(void **state)
{
    (void)state;
    refuse("topic: a b\n", "f:1:8: topic: expected 1 to 245 characters of [a-zA-Z0-9._-], got "
                           "'a b'\n");
    refuse("topic: ''\n", "f:1:8: topic: expected 1 to 245 characters of [a-zA-Z0-9._-], got "
                          "''\n");
    refuse("topic: ..\n", "f:1:8: topic: expected a name other than . and .., got '..'\n");
    refuse("topic: .\n", "f:1:8: topic: expected a name other than . and .., got '.'\n");
    refuse("topic: _x\n", "f:1:8: topic: expected a name that does not begin with _, as garner's "
                          "own topics do, got '_x'\n");
    refuse("topic: x.dlq\n", "f:1:8: topic: expected a name that does not end in .dlq, as "
                             "dead-letter topics do, got 'x.dlq'\n");
    refuse("owner: me\n", "f:1:1: topic: expected text, the field is required\n");
}

static void a_name_leaves_room_for_its_dead_letter_topic(void **state)
{
    (void)state;
    char text[300];
    struct decoded d;
    snprintf(text, sizeof(text), "topic: %0245d\n", 1);
    decode(&d, text, "", "");
    assert_int_equal(strlen(d.contract.topic.name) + strlen(".dlq"), FLOW_TOPIC_NAME_MAX);
    done(&d);
    snprintf(text, sizeof(text), "topic: %0246d\n", 1);
    refuse(text, "f:1:8: topic: expected 1 to 245 characters of [a-zA-Z0-9._-], got "
                 "'000000000000000000000000000000000000000000000000000000000000'\n");
}

static void partitions_have_a_range(void **state)
{
    (void)state;
    refuse("topic: a\npartitions: 0\n",
           "f:2:13: partitions: expected a whole number from 1 to 10000, got '0'\n");
    refuse("topic: a\npartitions: 10001\n",
           "f:2:13: partitions: expected a whole number from 1 to 10000, got '10001'\n");
}

static void paths_are_checked(void **state)
{
    (void)state;
    refuse("topic: a\nkey: a..b\nevent_time: '/a~2'\n",
           "f:2:6: key: expected a path such as a.b or /a/b, got 'a..b': empty key: write the path "
           "as a JSON Pointer (/a//b)\n"
           "f:3:13: event_time: expected a path such as a.b or /a/b, got '/a~2': \"~\" in a JSON "
           "Pointer is written ~0\n");
}

static void what_cannot_be_kept_is_refused(void **state)
{
    (void)state;
    refuse("topic: a\nschema: { type: protobuf, file: x.proto }\n",
           "f:2:17: schema.type: expected none or jsonschema, 'protobuf' is not supported by this "
           "version yet\n");
    refuse("topic: a\nschema: jsonschema\n",
           "f:2:9: schema: expected a file too: { type: jsonschema, file: ... }\n");
    refuse("topic: a\nschema: { type: jsonschema }\n",
           "f:2:17: schema.type: expected a file too: { type: jsonschema, file: ... }\n");
    refuse("topic: a\nschema: avro\n",
           "f:2:9: schema: expected none or jsonschema, 'avro' is not supported by this "
           "version yet\n");
    refuse("topic: a\nschema: { file: x.json }\n",
           "f:2:17: schema.file: expected only with a schema's type\n");
    refuse("topic: a\ndedup: { key: id..x }\n",
           "f:2:15: dedup.key: expected a path such as a.b or /a/b, got 'id..x': "
           "empty key: write the path as a JSON Pointer (/a//b)\n");
    refuse("topic: a\ndedup: { window: 24h }\n",
           "f:2:8: dedup: expected key, the path of what makes a record the same as another\n");
}

static void mistakes_have_their_place(void **state)
{
    (void)state;
    struct decoded d;
    decode(&d,
           "topic: a\npartition: 3\non_invalid: drop\ndlq: { sise: 1GiB, when_full: maybe }\n"
           "retention: { time: 7 }\n",
           "f:2:1: partition: unknown field 'partition', did you mean 'partitions'?\n"
           "f:3:13: on_invalid: expected dlq or reject, got 'drop'\n"
           "f:4:8: dlq.sise: unknown field 'sise', did you mean 'size'?\n"
           "f:4:31: dlq.when_full: expected refuse or drop_oldest, got 'maybe'\n"
           "f:5:20: retention.time: expected a duration such as 30s from 1ms to 36500d, got '7'\n",
           "");
    done(&d);
}

static void what_is_kept_has_bounds(void **state)
{
    (void)state;
    refuse("topic: a\nretention: { time: 36501d, size: 0, expire_undelivered: yes }\n",
           "f:2:20: retention.time: expected a duration such as 30s from 1ms to 36500d, got "
           "'36501d'\n"
           "f:2:34: retention.size: expected a size such as 64MiB of at least 1B, got '0'\n"
           "f:2:57: retention.expire_undelivered: expected true or false, got 'yes'\n");
    refuse("topic: a\ndlq: { retention: 0s, size: 0B }\n",
           "f:2:19: dlq.retention: expected a duration such as 30s from 1ms to 36500d, got '0s'\n"
           "f:2:29: dlq.size: expected a size such as 64MiB of at least 1B, got '0B'\n");
    refuse("topic: a\ncompression: brotli\n",
           "f:2:14: compression: expected none, gzip, snappy, lz4 or zstd, got 'brotli'\n");
    refuse("topic: a\nretention: 7d\n", "f:2:12: retention: expected a mapping, got '7d'\n");
}

static void a_limit_given_alone_leaves_the_other_as_it_is(void **state)
{
    (void)state;
    struct decoded d;
    decode(&d, "topic: a\nretention: { size: 1GiB }\ndlq: { when_full: drop_oldest }\n", "", "");
    const struct control_catalog_topic *t = &d.contract.topic;
    assert_int_equal(t->retention.time_ms, 7 * 86400000);
    assert_int_equal(t->retention.size_bytes, 1 << 30);
    assert_int_equal(t->dlq.retention_ms, 7 * 86400000);
    assert_int_equal(t->dlq.size_bytes, 1 << 30);
    assert_int_equal(t->dlq.when_full, CONTROL_CATALOG_DROP_OLDEST);
    done(&d);
}

static void no_mapping_is_no_contract(void **state)
{
    (void)state;
    refuse("[a]\n", "f:1:1: (root): expected a mapping, got a list\n");
    refuse("", "f:1:1: topic: expected text, the field is required\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_is_enough),
        cmocka_unit_test(every_field_is_read),
        cmocka_unit_test(a_name_must_fit_the_log_and_a_directory),
        cmocka_unit_test(a_name_leaves_room_for_its_dead_letter_topic),
        cmocka_unit_test(partitions_have_a_range),
        cmocka_unit_test(paths_are_checked),
        cmocka_unit_test(what_cannot_be_kept_is_refused),
        cmocka_unit_test(mistakes_have_their_place),
        cmocka_unit_test(what_is_kept_has_bounds),
        cmocka_unit_test(a_limit_given_alone_leaves_the_other_as_it_is),
        cmocka_unit_test(no_mapping_is_no_contract),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
