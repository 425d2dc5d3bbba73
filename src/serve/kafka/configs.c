#include "serve/kafka/kafka_int.h"

#include "base/assert.h"

/*
 * DescribeConfigs lists every setting with its value, its default and where it comes from;
 * AlterConfigs says all that a topic is given, IncrementalAlterConfigs one setting after the other.
 * The broker's settings are those of the configuration file and are changed there.
 *
 * A setting has three layers where Kafka has six: what the topic was given, what the file says of
 * the broker, and a default. Clients tell them apart by the source: a tool that copies a topic, or
 * that compares it with what it wants, takes what is not a default and leaves the rest.
 *
 * Failure modes: a resource that is wrong is an error of its own and the others are answered; one
 * setting that is wrong leaves all of its resource as it was.
 */

#define TOPIC 2
#define BROKER 4

/* Where a value comes from (Kafka protocol, DescribeConfigs). */
#define SOURCE_TOPIC 1
#define SOURCE_BROKER 4
#define SOURCE_DEFAULT 5

enum operation { OP_SET, OP_DELETE, OP_APPEND, OP_SUBTRACT };

int8_t serve_kafka_setting_source(const struct serve_kafka_setting *setting,
                                  const struct flow_topic_config *config)
{
    return config->given & setting->given ? SOURCE_TOPIC : SOURCE_DEFAULT;
}

/* Numbers are written into room of the caller's, everything else is constant: only those need a
 * place in the answer. */
bool serve_kafka_setting_answer(struct serve_kafka_call *call,
                                const struct serve_kafka_setting *setting,
                                const struct flow_topic_config *config, uint32_t partition_count,
                                struct slice *out)
{
    char room[SERVE_KAFKA_SETTING_SIZE];
    const char *text = serve_kafka_setting_render(setting, config, partition_count, room);
    if (text == room) {
        text = arena_string(&call->arena, slice_string(room));
        if (!text) {
            serve_kafka_refuse(call);
            return false;
        }
    }
    *out = slice_string(text);
    return true;
}

/* Null asks for all, and so does an empty list, as Kafka's own brokers take it. */
static bool is_asked(const struct proto_kafka_describe_configs_request_resource *asked,
                     const char *name)
{
    for (uint32_t i = 0; i < asked->configuration_keys.count; i++)
        if (slice_equal_string(asked->configuration_keys.items[i], name))
            return true;
    return asked->configuration_keys.count == 0;
}

/* The value itself first, where it was given, then what would stand in its place. */
static bool add_synonyms(struct serve_kafka_call *call, const struct serve_kafka_setting *setting,
                         struct proto_kafka_describe_configs_response_config *out)
{
    const struct proto_kafka_describe_configs_request *request = call->message;
    if (!request->include_synonyms)
        return true;
    out->synonyms.items = serve_kafka_alloc(call, 2, sizeof(*out->synonyms.items));
    if (!out->synonyms.items)
        return false;
    if (out->config_source != SOURCE_DEFAULT)
        out->synonyms.items[out->synonyms.count++] =
            (struct proto_kafka_describe_configs_response_synonym){out->name, out->value,
                                                                   out->config_source};
    if (setting->broker && setting->text)
        out->synonyms.items[out->synonyms.count++] =
            (struct proto_kafka_describe_configs_response_synonym){
                slice_string(setting->broker), slice_string(setting->text), SOURCE_DEFAULT};
    return true;
}

/* A contract's values are no client's: they can be read only. */
static int8_t source_of(const struct serve_kafka_setting *setting,
                        const struct flow_topic_config *config, struct slice value)
{
    if (config->open)
        return serve_kafka_setting_source(setting, config);
    return slice_equal_string(value, setting->text) ? SOURCE_DEFAULT : SOURCE_TOPIC;
}

/* Where clients find the broker and how they speak to it, as Kafka writes it. */
static void render_listener(const struct serve_kafka_door *door, char *room, size_t size)
{
    static const char *const protocols[2][2] = {{"PLAINTEXT", "SASL_PLAINTEXT"},
                                                {"SSL", "SASL_SSL"}};
    const struct serve_kafka *kafka = door->kafka;
    bool brackets = strchr(kafka->host, ':');
    ASSERT(kafka->port > 0);
    snprintf(room, size, "%s://%s%s%s:%d", protocols[door->tls != NULL][door->users != NULL],
             brackets ? "[" : "", kafka->host, brackets ? "]" : "", kafka->port);
}

/* What only the door knows. */
static struct slice broker_value(struct serve_kafka_call *call, const char *name)
{
    const struct serve_kafka *kafka = call->door->kafka;
    char room[sizeof(kafka->host) + 32];
    if (strcmp(name, "auto.create.topics.enable") == 0)
        return slice_string(kafka->auto_create ? "true" : "false");
    if (strcmp(name, "num.partitions") == 0)
        snprintf(room, sizeof(room), "%u", kafka->partitions);
    else
        render_listener(call->door, room, sizeof(room));
    const char *text = arena_string(&call->arena, slice_string(room));
    return text ? slice_string(text) : slice_make(NULL, 0);
}

/* Without a topic it is the broker's: all read-only, since what can be changed while the server
 * runs is reloaded, and nothing of this is. */
static bool describe_setting(struct serve_kafka_call *call,
                             const struct serve_kafka_setting *setting,
                             const struct flow_topic_state *topic,
                             struct proto_kafka_describe_configs_response_config *out)
{
    const struct proto_kafka_describe_configs_request *request = call->message;
    out->name = slice_string(setting->name);
    out->config_type = setting->type;
    if (request->include_documentation)
        out->documentation = slice_string(setting->help);
    if (topic) {
        if (!serve_kafka_setting_answer(call, setting, &topic->config, topic->partition_count,
                                        &out->value))
            return false;
        out->config_source = source_of(setting, &topic->config, out->value);
        out->read_only = setting->given == 0 || !topic->config.open;
    } else {
        out->value =
            setting->text ? slice_string(setting->text) : broker_value(call, setting->name);
        out->config_source = setting->text ? SOURCE_DEFAULT : SOURCE_BROKER;
        out->read_only = true;
    }
    return add_synonyms(call, setting, out);
}

static bool describe_settings(struct serve_kafka_call *call,
                              const struct proto_kafka_describe_configs_request_resource *asked,
                              const struct serve_kafka_setting *settings, size_t count,
                              const struct flow_topic_state *topic,
                              struct proto_kafka_describe_configs_response_result *result)
{
    if (!SERVE_KAFKA_ALLOC_LIST(call, &result->configs, count))
        return false;
    result->configs.count = 0;
    for (size_t i = 0; i < count; i++)
        if (is_asked(asked, settings[i].name) &&
            !describe_setting(call, &settings[i], topic,
                              &result->configs.items[result->configs.count++]))
            return false;
    return true;
}

/* From the view that was asked for behind the request: who has just set something sees it. */
static bool describe_topic(struct serve_kafka_call *call,
                           const struct proto_kafka_describe_configs_request_resource *asked,
                           struct proto_kafka_describe_configs_response_result *result)
{
    const struct flow_topic_state *topic =
        serve_kafka_view_topic(&call->door->view, asked->resource_name);
    if (topic)
        return describe_settings(call, asked, serve_kafka_topic_settings,
                                 serve_kafka_topic_setting_count, topic, result);
    result->error_code = SERVE_KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    result->error_message = SLICE_LITERAL("there is no such topic");
    return true;
}

/* The one broker is called by its number; an empty name is that of all brokers. */
static bool is_broker(struct slice name)
{
    char room[16];
    snprintf(room, sizeof(room), "%d", SERVE_KAFKA_NODE_ID);
    return name.size == 0 || slice_equal_string(name, room);
}

static bool describe(struct serve_kafka_call *call,
                     const struct proto_kafka_describe_configs_request_resource *asked,
                     struct proto_kafka_describe_configs_response_result *result)
{
    result->resource_type = asked->resource_type;
    result->resource_name = asked->resource_name;
    if (asked->resource_type == TOPIC)
        return describe_topic(call, asked, result);
    if (asked->resource_type == BROKER && is_broker(asked->resource_name))
        return describe_settings(call, asked, serve_kafka_broker_settings,
                                 serve_kafka_broker_setting_count, NULL, result);
    result->error_code = SERVE_KAFKA_INVALID_REQUEST;
    result->error_message =
        SLICE_LITERAL("expected a topic (type 2) by its name or the broker (type 4), 1");
    return true;
}

static void viewed(struct serve_kafka_call *call)
{
    const struct proto_kafka_describe_configs_request *request = call->message;
    struct proto_kafka_describe_configs_response response;
    uint32_t count = request->resources.count;
    proto_kafka_init(call->api->response, &response);
    if (!SERVE_KAFKA_ALLOC_LIST(call, &response.results, count))
        return;
    for (uint32_t i = 0; i < count; i++)
        if (!describe(call, &request->resources.items[i], &response.results.items[i]))
            return;
    serve_kafka_reply(call, &response);
}

void serve_kafka_describe_configs(struct serve_kafka_call *call)
{
    serve_kafka_view_refresh(call, viewed);
}

/* Only topics are changed here; false where that is the answer. */
static bool begin_resource(struct serve_kafka_change *change, uint32_t index, int8_t type,
                           struct slice name)
{
    change->flow.items[index].name = name;
    if (type == BROKER) {
        serve_kafka_change_refuse(change, index, SERVE_KAFKA_POLICY_VIOLATION,
                                  "the broker's settings are those of its configuration file: "
                                  "change it there and restart");
    } else if (type != TOPIC) {
        serve_kafka_change_refuse(change, index, SERVE_KAFKA_INVALID_REQUEST,
                                  "expected a topic (type 2), got type %d", type);
    } else if (name.size == 0) {
        serve_kafka_change_refuse(change, index, SERVE_KAFKA_INVALID_TOPIC,
                                  "a topic's name is not empty");
    }
    return change->codes[index] == SERVE_KAFKA_NONE;
}

/* A setting that is always the same adds nothing to what is given. */
static void set(struct serve_kafka_change *change, uint32_t index, struct slice name,
                struct slice value)
{
    struct err_text why = {0};
    err_t err = serve_kafka_setting_parse(name, value, &change->flow.items[index].config, &why);
    if (!err_is_ok(err))
        serve_kafka_change_refuse(change, index, SERVE_KAFKA_INVALID_CONFIG, "%s", why.text);
}

/* The two answers have the same fields and different types, which C cannot see as one. */
static void altered(struct serve_kafka_call *call)
{
    const struct proto_kafka_alter_configs_request *request = call->message;
    const struct serve_kafka_change *change = call->work;
    struct proto_kafka_alter_configs_response response;
    uint32_t count = change->flow.item_count;
    proto_kafka_init(call->api->response, &response);
    if (!SERVE_KAFKA_ALLOC_LIST(call, &response.responses, count))
        return;
    for (uint32_t i = 0; i < count; i++)
        response.responses.items[i] = (struct proto_kafka_alter_configs_response_topic){
            .error_code = serve_kafka_change_code(change, i),
            .error_message = serve_kafka_change_text(change, i),
            .resource_type = request->resources.items[i].resource_type,
            .resource_name = request->resources.items[i].resource_name,
        };
    serve_kafka_reply(call, &response);
}

void serve_kafka_alter_configs(struct serve_kafka_call *call)
{
    const struct proto_kafka_alter_configs_request *request = call->message;
    struct serve_kafka_change *change =
        serve_kafka_change_new(call, FLOW_TOPICS_CONFIG, request->resources.count);
    if (!change)
        return;
    for (uint32_t i = 0; i < request->resources.count; i++) {
        const struct proto_kafka_alter_configs_request_resource *asked =
            &request->resources.items[i];
        struct flow_topics_item *item = &change->flow.items[i];
        if (!begin_resource(change, i, asked->resource_type, asked->resource_name))
            continue;
        for (uint32_t c = 0; c < asked->configs.count; c++)
            set(change, i, asked->configs.items[c].name, asked->configs.items[c].value);
        /* What is not said goes back to its default: that is what the request means (KIP-133), and
         * why there is an incremental one (KIP-339). */
        item->resets = (uint16_t)(FLOW_TOPIC_GIVEN_ALL & ~(unsigned)item->config.given);
    }
    change->flow.dry = request->validate_only;
    serve_kafka_change_refuse_repeats(change);
    serve_kafka_change_run(change, altered);
}

static void incrementally_altered(struct serve_kafka_call *call)
{
    const struct proto_kafka_incremental_alter_configs_request *request = call->message;
    const struct serve_kafka_change *change = call->work;
    struct proto_kafka_incremental_alter_configs_response response;
    uint32_t count = change->flow.item_count;
    proto_kafka_init(call->api->response, &response);
    if (!SERVE_KAFKA_ALLOC_LIST(call, &response.responses, count))
        return;
    for (uint32_t i = 0; i < count; i++)
        response.responses.items[i] = (struct proto_kafka_incremental_alter_configs_response_topic){
            .error_code = serve_kafka_change_code(change, i),
            .error_message = serve_kafka_change_text(change, i),
            .resource_type = request->resources.items[i].resource_type,
            .resource_name = request->resources.items[i].resource_name,
        };
    serve_kafka_reply(call, &response);
}

/* Setting and resetting the same would depend on an order that nobody has promised. */
static void change_one(struct serve_kafka_change *change, uint32_t index,
                       const struct proto_kafka_incremental_alter_configs_request_config *asked)
{
    struct flow_topics_item *item = &change->flow.items[index];
    const struct serve_kafka_setting *setting = serve_kafka_setting_find(asked->name);
    unsigned seen = item->resets | (unsigned)item->config.given;
    if (!setting) {
        serve_kafka_change_refuse(change, index, SERVE_KAFKA_INVALID_CONFIG,
                                  "there is no setting '%.*s'",
                                  SLICE_PRINTF(slice_sub(asked->name, 0, 60)));
    } else if (seen & setting->given) {
        serve_kafka_change_refuse(change, index, SERVE_KAFKA_INVALID_REQUEST,
                                  "%s is there twice in the request", setting->name);
    } else if (asked->config_operation == OP_SET) {
        set(change, index, asked->name, asked->value);
    } else if (asked->config_operation == OP_DELETE) {
        item->resets |= setting->given;
    } else {
        serve_kafka_change_refuse(
            change, index, SERVE_KAFKA_INVALID_CONFIG,
            "%s: expected to set it (0) or to delete what was set (1); no list "
            "can be changed",
            setting->name);
    }
}

void serve_kafka_incremental_alter_configs(struct serve_kafka_call *call)
{
    const struct proto_kafka_incremental_alter_configs_request *request = call->message;
    struct serve_kafka_change *change =
        serve_kafka_change_new(call, FLOW_TOPICS_CONFIG, request->resources.count);
    if (!change)
        return;
    for (uint32_t i = 0; i < request->resources.count; i++) {
        const struct proto_kafka_incremental_alter_configs_request_resource *asked =
            &request->resources.items[i];
        if (!begin_resource(change, i, asked->resource_type, asked->resource_name))
            continue;
        for (uint32_t c = 0; c < asked->configs.count; c++)
            change_one(change, i, &asked->configs.items[c]);
    }
    change->flow.dry = request->validate_only;
    serve_kafka_change_refuse_repeats(change);
    serve_kafka_change_run(change, incrementally_altered);
}
