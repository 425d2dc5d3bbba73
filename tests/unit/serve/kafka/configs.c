#include "unit/serve/kafka/admin.h"

#define TOPIC 2
#define BROKER 4

typedef struct proto_kafka_describe_configs_response_result result_t;
typedef struct proto_kafka_describe_configs_response_config config_t;

static const result_t *describe(struct admin *a, int16_t version, int8_t type, const char *name)
{
    struct proto_kafka_describe_configs_request_resource resource = {
        .resource_type = type, .resource_name = slice_string(name)};
    struct proto_kafka_describe_configs_request request = {.include_synonyms = true,
                                                           .include_documentation = true};
    request.resources.items = &resource;
    request.resources.count = 1;
    const struct proto_kafka_describe_configs_response *response =
        admin_ask(a, PROTO_KAFKA_DESCRIBE_CONFIGS, version, &request);
    assert_int_equal(response->results.count, 1);
    assert_int_equal(response->results.items[0].resource_type, type);
    assert_true(slice_equal_string(response->results.items[0].resource_name, name));
    return response->results.items;
}

static const config_t *config_of(const result_t *result, const char *name)
{
    for (uint32_t i = 0; i < result->configs.count; i++)
        if (slice_equal_string(result->configs.items[i].name, name))
            return &result->configs.items[i];
    fail_msg("no %s", name);
    return NULL;
}

static void assert_config(const result_t *result, const char *name, const char *value,
                          int8_t source, bool read_only)
{
    const config_t *config = config_of(result, name);
    assert_true(slice_equal_string(config->value, value));
    assert_int_equal(config->config_source, source);
    assert_int_equal(config->read_only, read_only);
    assert_false(config->is_sensitive);
}

static void all_that_an_open_topic_has_is_told_in_every_version(void **state)
{
    (void)state;
    struct admin *a = admin_open();
    for (int16_t version = 1; version <= 4; version++) {
        const result_t *result = describe(a, version, TOPIC, "made");
        assert_int_equal(result->error_code, SERVE_KAFKA_NONE);
        assert_int_equal(result->configs.count, serve_kafka_topic_setting_count);
        assert_config(result, "retention.ms", "5000", 1, false);
        assert_config(result, "retention.bytes", "100", 1, false);
        assert_config(result, "compression.type", "producer", 5, false);
        assert_config(result, "max.message.bytes", "1048588", 5, false);
        assert_config(result, "cleanup.policy", "delete", 5, true);
        const config_t *config = config_of(result, "retention.ms");
        assert_int_equal(config->synonyms.count, 2);
        assert_text(config->synonyms.items[0].name, "retention.ms");
        assert_int_equal(config->synonyms.items[0].source, 1);
        assert_text(config->synonyms.items[1].name, "log.retention.ms");
        assert_text(config->synonyms.items[1].value, "604800000");
        assert_int_equal(config_of(result, "cleanup.policy")->synonyms.count, 1);
        if (version >= 3) {
            assert_int_equal(config->config_type, SERVE_KAFKA_LONG);
            assert_text(config->documentation, "How long records are kept");
        }
    }
    admin_done(a);
}

static void what_a_contract_says_can_only_be_read(void **state)
{
    (void)state;
    struct admin *a = admin_open();
    const result_t *result = describe(a, 4, TOPIC, "cars");
    assert_config(result, "retention.ms", "86400000", 1, true);
    assert_config(result, "retention.bytes", "500", 1, true);
    assert_config(result, "compression.type", "zstd", 1, true);
    assert_config(result, "max.message.bytes", "1048588", 5, true);
    for (uint32_t i = 0; i < result->configs.count; i++)
        assert_true(result->configs.items[i].read_only);
    admin_done(a);
}

static void the_broker_is_told_and_what_is_not_there_is_not(void **state)
{
    (void)state;
    struct admin *a = admin_open_with(1 << 20, true);
    const result_t *result = describe(a, 4, BROKER, "1");
    assert_int_equal(result->configs.count, serve_kafka_broker_setting_count);
    assert_config(result, "auto.create.topics.enable", "true", 4, true);
    assert_config(result, "num.partitions", "4", 4, true);
    assert_config(result, "message.max.bytes", "1048588", 5, true);
    assert_text(config_of(result, "advertised.listeners")->value, "PLAINTEXT://127.0.0.1:");
    assert_int_equal(describe(a, 4, BROKER, "")->error_code, SERVE_KAFKA_NONE);
    assert_int_equal(describe(a, 4, BROKER, "2")->error_code, SERVE_KAFKA_INVALID_REQUEST);
    assert_int_equal(describe(a, 4, 8, "1")->error_code, SERVE_KAFKA_INVALID_REQUEST);
    result = describe(a, 4, TOPIC, "none");
    assert_int_equal(result->error_code, SERVE_KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_text(result->error_message, "no such topic");
    assert_int_equal(result->configs.count, 0);
    admin_done(a);
}

static void only_what_is_asked_for_is_told(void **state)
{
    (void)state;
    struct admin *a = admin_open();
    struct slice keys[] = {SLICE_LITERAL("retention.ms"), SLICE_LITERAL("none")};
    struct proto_kafka_describe_configs_request_resource resource = {
        .resource_type = TOPIC, .resource_name = SLICE_LITERAL("made")};
    struct proto_kafka_describe_configs_request request = {0};
    resource.configuration_keys.items = keys;
    resource.configuration_keys.count = 2;
    request.resources.items = &resource;
    request.resources.count = 1;
    const struct proto_kafka_describe_configs_response *response =
        admin_ask(a, PROTO_KAFKA_DESCRIBE_CONFIGS, 1, &request);
    assert_int_equal(response->results.items[0].configs.count, 1);
    assert_int_equal(response->results.items[0].configs.items[0].synonyms.count, 0);
    resource.configuration_keys.count = 0;
    response = admin_ask(a, PROTO_KAFKA_DESCRIBE_CONFIGS, 1, &request);
    assert_int_equal(response->results.items[0].configs.count, serve_kafka_topic_setting_count);
    admin_done(a);
}

static void a_listener_is_told_as_clients_reach_it(void **state)
{
    (void)state;
    struct admin *a = admin_open();
    struct serve_kafka_door *door = &a->kafka->doors[0];
    int tls;
    /* Not looked into once a client is there. */
    door->tls = (void *)&tls;
    const result_t *result = describe(a, 4, BROKER, "1");
    assert_text(config_of(result, "advertised.listeners")->value, "SSL://127.0.0.1:");
    door->tls = NULL;
    strcpy(a->kafka->host, "::1");
    result = describe(a, 4, BROKER, "1");
    assert_text(config_of(result, "advertised.listeners")->value, "PLAINTEXT://[::1]:");
    admin_done(a);
}

/* What the maker of topics is asked for, as the last of these functions has seen it. */
static struct flow_topics_item seen;

static void see(struct flow_topics_change *change)
{
    assert_int_equal(change->op, FLOW_TOPICS_CONFIG);
    seen = change->items[0];
}

static int16_t alter(struct admin *a, const char *name, const char *value, bool only)
{
    struct proto_kafka_alter_configs_request_config config = {slice_string(name),
                                                              slice_string(value)};
    struct proto_kafka_alter_configs_request_resource resource = {
        .resource_type = TOPIC, .resource_name = SLICE_LITERAL("made")};
    struct proto_kafka_alter_configs_request request = {.validate_only = only};
    resource.configs.items = &config;
    resource.configs.count = 1;
    request.resources.items = &resource;
    request.resources.count = 1;
    const struct proto_kafka_alter_configs_response *response =
        admin_ask(a, PROTO_KAFKA_ALTER_CONFIGS, 2, &request);
    assert_text(response->responses.items[0].resource_name, "made");
    assert_int_equal(response->responses.items[0].resource_type, TOPIC);
    return response->responses.items[0].error_code;
}

static void altering_resets_what_is_not_said(void **state)
{
    (void)state;
    struct admin *a = admin_open();
    a->answer = see;
    assert_int_equal(alter(a, "max.message.bytes", "77", false), SERVE_KAFKA_NONE);
    assert_int_equal(seen.config.given, FLOW_TOPIC_BATCH_BYTES);
    assert_int_equal(seen.config.batch_bytes_max, 77);
    assert_int_equal(seen.resets, FLOW_TOPIC_GIVEN_ALL & ~FLOW_TOPIC_BATCH_BYTES);
    assert_false(a->asked.dry);
    assert_int_equal(alter(a, "cleanup.policy", "delete", true), SERVE_KAFKA_NONE);
    assert_int_equal(seen.resets, FLOW_TOPIC_GIVEN_ALL);
    assert_true(a->asked.dry);
    assert_int_equal(alter(a, "cleanup.policy", "compact", false), SERVE_KAFKA_INVALID_CONFIG);
    admin_done(a);
}

typedef struct proto_kafka_incremental_alter_configs_request_config change_t;

static int16_t change(struct admin *a, const change_t *changes, uint32_t count, int8_t type,
                      const char *name)
{
    struct proto_kafka_incremental_alter_configs_request_resource resource = {
        .resource_type = type, .resource_name = slice_string(name)};
    struct proto_kafka_incremental_alter_configs_request request = {0};
    change_t copy[4];
    memcpy(copy, changes, count * sizeof(*changes));
    resource.configs.items = copy;
    resource.configs.count = count;
    request.resources.items = &resource;
    request.resources.count = 1;
    const struct proto_kafka_incremental_alter_configs_response *response =
        admin_ask(a, PROTO_KAFKA_INCREMENTAL_ALTER_CONFIGS, 1, &request);
    assert_int_equal(response->responses.items[0].resource_type, type);
    return response->responses.items[0].error_code;
}

static void settings_are_set_and_reset_one_by_one(void **state)
{
    (void)state;
    struct admin *a = admin_open();
    a->answer = see;
    const change_t good[] = {{SLICE_LITERAL("retention.ms"), 0, SLICE_LITERAL("9")},
                             {SLICE_LITERAL("compression.type"), 1, {0}},
                             {SLICE_LITERAL("segment.ms"), 1, {0}}};
    assert_int_equal(change(a, good, 3, TOPIC, "made"), SERVE_KAFKA_NONE);
    assert_int_equal(seen.config.given, FLOW_TOPIC_RETENTION_MS);
    assert_int_equal(seen.config.retention_ms, 9);
    assert_int_equal(seen.resets, FLOW_TOPIC_CODEC);
    const change_t twice[] = {good[0], {SLICE_LITERAL("retention.ms"), 1, {0}}};
    assert_int_equal(change(a, twice, 2, TOPIC, "made"), SERVE_KAFKA_INVALID_REQUEST);
    const change_t wrong[] = {{SLICE_LITERAL("none"), 1, {0}},
                              {SLICE_LITERAL("none"), 0, SLICE_LITERAL("1")},
                              {SLICE_LITERAL("cleanup.policy"), 2, SLICE_LITERAL("delete")},
                              {SLICE_LITERAL("cleanup.policy"), 3, SLICE_LITERAL("delete")},
                              {SLICE_LITERAL("retention.ms"), 9, SLICE_LITERAL("1")},
                              {SLICE_LITERAL("retention.ms"), 0, {0}}};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(change(a, &wrong[i], 1, TOPIC, "made"), SERVE_KAFKA_INVALID_CONFIG);
    assert_int_equal(change(a, good, 1, BROKER, "1"), SERVE_KAFKA_POLICY_VIOLATION);
    assert_int_equal(change(a, good, 1, 8, "1"), SERVE_KAFKA_INVALID_REQUEST);
    assert_int_equal(change(a, good, 1, TOPIC, ""), SERVE_KAFKA_INVALID_TOPIC);
    admin_done(a);
}

/* A resource's answer is large: so many of them are no way to memory that the door has not. */
static void more_than_there_is_memory_for_closes_the_connection(void **state)
{
    (void)state;
    struct admin *a = admin_open();
    static struct proto_kafka_describe_configs_request_resource resources[1000];
    struct proto_kafka_describe_configs_request request = {0};
    for (size_t i = 0; i < 1000; i++)
        resources[i] = (struct proto_kafka_describe_configs_request_resource){
            .resource_type = TOPIC, .resource_name = SLICE_LITERAL("made")};
    request.resources.items = resources;
    request.resources.count = 3;
    assert_non_null(admin_ask(a, PROTO_KAFKA_DESCRIBE_CONFIGS, 4, &request));
    request.resources.count = 1000;
    admin_send(a, PROTO_KAFKA_DESCRIBE_CONFIGS, 4, &request);
    fake_run(a->fake);
    assert_true(admin_silent(a));
    assert_true(a->fake->tcps[0]->closed);
    admin_done(a);
}

static void any_allocation_may_fail(void **state)
{
    (void)state;
    struct proto_kafka_describe_configs_request_resource resources[] = {
        {.resource_type = TOPIC, .resource_name = SLICE_LITERAL("made")},
        {.resource_type = BROKER, .resource_name = SLICE_LITERAL("1")}};
    struct proto_kafka_describe_configs_request request = {.include_synonyms = true};
    request.resources.items = resources;
    request.resources.count = 2;
    admin_each_allocation(PROTO_KAFKA_DESCRIBE_CONFIGS, 4, &request);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_that_an_open_topic_has_is_told_in_every_version),
        cmocka_unit_test(what_a_contract_says_can_only_be_read),
        cmocka_unit_test(the_broker_is_told_and_what_is_not_there_is_not),
        cmocka_unit_test(only_what_is_asked_for_is_told),
        cmocka_unit_test(a_listener_is_told_as_clients_reach_it),
        cmocka_unit_test(altering_resets_what_is_not_said),
        cmocka_unit_test(settings_are_set_and_reset_one_by_one),
        cmocka_unit_test(more_than_there_is_memory_for_closes_the_connection),
        cmocka_unit_test(any_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
