#include "unit/serve/kafka/admin.h"

static struct flow_topic_config config;
static struct err_text why;

static err_t parse(const char *name, const char *text)
{
    config = (struct flow_topic_config){0};
    why = (struct err_text){0};
    return serve_kafka_setting_parse(
        slice_string(name), text ? slice_string(text) : slice_make(NULL, 0), &config, &why);
}

static void assert_refused(const char *name, const char *text, const char *told)
{
    assert_string_equal(err_name(parse(name, text)), "INVALID");
    assert_text(slice_string(why.text), told);
    assert_int_equal(config.given, 0);
}

static void assert_taken(const char *name, const char *text, unsigned given)
{
    assert_string_equal(err_name(parse(name, text)), "OK");
    assert_int_equal(config.given, given);
}

static const char *render(const char *name, uint32_t partition_count, char *room)
{
    const struct serve_kafka_setting *setting = serve_kafka_setting_find(slice_string(name));
    assert_non_null(setting);
    return serve_kafka_setting_render(setting, &config, partition_count, room);
}

static void what_is_set_is_what_is_shown(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *text;
        unsigned given;
    } values[] = {
        {"retention.ms", "1", FLOW_TOPIC_RETENTION_MS},
        {"retention.ms", "-1", FLOW_TOPIC_RETENTION_MS},
        {"retention.ms", "9223372036854775807", FLOW_TOPIC_RETENTION_MS},
        {"retention.bytes", "-1", FLOW_TOPIC_RETENTION_BYTES},
        {"retention.bytes", "12345678901", FLOW_TOPIC_RETENTION_BYTES},
        {"compression.type", "producer", FLOW_TOPIC_CODEC},
        {"compression.type", "gzip", FLOW_TOPIC_CODEC},
        {"compression.type", "snappy", FLOW_TOPIC_CODEC},
        {"compression.type", "lz4", FLOW_TOPIC_CODEC},
        {"compression.type", "zstd", FLOW_TOPIC_CODEC},
        {"max.message.bytes", "1", FLOW_TOPIC_BATCH_BYTES},
        {"max.message.bytes", "2147483647", FLOW_TOPIC_BATCH_BYTES},
        {"cleanup.policy", "delete", 0},
        {"min.insync.replicas", "1", 0},
    };
    char room[SERVE_KAFKA_SETTING_SIZE];
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        assert_taken(values[i].name, values[i].text, values[i].given);
        config.open = true;
        assert_string_equal(render(values[i].name, 7, room), values[i].text);
    }
}

/* Nothing is kept for no time, and no bytes are none: what is least. */
static void nothing_is_the_least_that_there_is(void **state)
{
    (void)state;
    char room[SERVE_KAFKA_SETTING_SIZE];
    assert_taken("retention.ms", "0", FLOW_TOPIC_RETENTION_MS);
    assert_int_equal(config.retention_ms, 1);
    assert_taken("retention.bytes", "0", FLOW_TOPIC_RETENTION_BYTES);
    assert_int_equal(config.retention_bytes, 1);
    config.open = true;
    assert_string_equal(render("retention.bytes", 2, room), "1");
}

/* The bytes of a contract are those of all partitions, those of an open topic of each. */
static void retention_is_shown_for_one_partition(void **state)
{
    (void)state;
    char room[SERVE_KAFKA_SETTING_SIZE];
    config = (struct flow_topic_config){.retention_bytes = 1001};
    assert_string_equal(render("retention.bytes", 2, room), "500");
    config.open = true;
    assert_string_equal(render("retention.bytes", 2, room), "1001");
    assert_int_equal(flow_topic_bytes_max(&config, 2), 2002);
    config.retention_bytes = UINT64_MAX / 2;
    assert_int_equal(flow_topic_bytes_max(&config, 10000), UINT64_MAX);
    assert_string_equal(render("retention.bytes", 1, room), "9223372036854775807");
}

static void what_cannot_be_says_what_can(void **state)
{
    (void)state;
    assert_refused("no.such", "1", "there is no setting 'no.such'");
    assert_refused("retention.ms", NULL, "retention.ms: null is no value");
    assert_refused("retention.ms", "-2", "a number from -1 to 9223372036854775807, got '-2'");
    assert_refused("retention.ms", "9223372036854775808", "a number");
    assert_refused("retention.ms", "", "a number");
    assert_refused("retention.bytes", "1 GiB", "got '1 GiB'");
    assert_refused("max.message.bytes", "0", "from 1 to 2147483647");
    assert_refused("max.message.bytes", "2147483648", "from 1 to 2147483647");
    assert_refused("compression.type", "brotli", "lz4 or zstd, got 'brotli'");
    assert_refused("compression.type", "uncompressed", "expected producer");
    assert_refused("cleanup.policy", "compact", "expected delete, got 'compact'");
    assert_refused("cleanup.policy", "compact,delete", "compacted topics are not there yet");
    assert_refused("segment.bytes", "1", "segment.bytes: it is '1073741824' and cannot be set");
    assert_refused("message.timestamp.type", "LogAppendTime", "it is 'CreateTime'");
    assert_refused("min.insync.replicas", "2", "one copy");
    char longest[300];
    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    assert_refused(longest, longest, "there is no setting 'xxx");
    assert_refused("retention.ms", longest, "got 'xxx");
}

static void each_setting_is_there_once_with_a_default_that_can_be_set(void **state)
{
    (void)state;
    unsigned given = 0;
    assert_int_equal(serve_kafka_topic_setting_count, 33);
    for (size_t i = 0; i < serve_kafka_topic_setting_count; i++) {
        const struct serve_kafka_setting *setting = &serve_kafka_topic_settings[i];
        if (i > 0)
            assert_true(strcmp(setting->name, setting[-1].name) > 0);
        assert_taken(setting->name, setting->text, setting->given);
        assert_int_equal(given & setting->given, 0);
        given |= setting->given;
        assert_true(strlen(setting->help) > 0);
    }
    assert_int_equal(given, FLOW_TOPIC_GIVEN_ALL);
    for (size_t i = 1; i < serve_kafka_broker_setting_count; i++)
        assert_true(strcmp(serve_kafka_broker_settings[i].name,
                           serve_kafka_broker_settings[i - 1].name) > 0);
}

/* Told to clients in one place, and used in another. */
static void defaults_are_those_of_open_topics(void **state)
{
    (void)state;
    assert_taken("retention.ms", serve_kafka_setting_find(SLICE_LITERAL("retention.ms"))->text,
                 FLOW_TOPIC_RETENTION_MS);
    assert_int_equal(config.retention_ms, FLOW_TOPICS_RETENTION_MS);
    assert_taken("max.message.bytes",
                 serve_kafka_setting_find(SLICE_LITERAL("max.message.bytes"))->text,
                 FLOW_TOPIC_BATCH_BYTES);
    assert_int_equal(config.batch_bytes_max, FLOW_TOPICS_BATCH_BYTES_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_set_is_what_is_shown),
        cmocka_unit_test(nothing_is_the_least_that_there_is),
        cmocka_unit_test(retention_is_shown_for_one_partition),
        cmocka_unit_test(what_cannot_be_says_what_can),
        cmocka_unit_test(each_setting_is_there_once_with_a_default_that_can_be_set),
        cmocka_unit_test(defaults_are_those_of_open_topics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
