#include "admin/admin_int.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/number.h"
#include "net/http/target.h"

/*
 * Topics without a contract, made and changed by an operator as by a Kafka client: the same change
 * (flow/topics.h), asked for by a query. Partitions are raised first and settings follow, in a
 * change of their own; where that fails the answer says so, and the same request again does the
 * rest but for the partitions, of which it says that they are there.
 */

/* A number of twenty digits, or a word. */
#define VALUE_SIZE 24u

struct changing {
    struct admin *admin;
    struct net_http_request *request;
    struct admin_target target;
    struct flow_topics_change flow;
    struct flow_topics_item item;
    bool configures; /* still to come, behind the partitions */
    bool raised;
};

/* One of the query's parameters; false when it is wrong, with the answer given. */
struct parameter {
    const char *name;
    uint16_t given; /* enum flow_topic_given; 0: partitions */
    uint64_t most;
};

static const struct parameter parameters[] = {
    {"partitions", 0, FLOW_PARTITIONS_MAX},
    {"retention_ms", FLOW_TOPIC_RETENTION_MS, INT64_MAX},
    {"partition_bytes", FLOW_TOPIC_RETENTION_BYTES, INT64_MAX},
    {"compression", FLOW_TOPIC_CODEC, 0},
    {"batch_bytes", FLOW_TOPIC_BATCH_BYTES, INT32_MAX},
};

/* As contracts write them. */
static bool take_codec(struct slice text, struct flow_topic_config *config)
{
    static const char *const names[] = {"none", "gzip", "snappy", "lz4", "zstd"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (slice_equal_string(text, names[i])) {
            config->codec = (enum flow_codec)i;
            return true;
        }
    }
    return false;
}

/* False when it says nothing that the parameter can be. */
static bool take_value(struct flow_topics_item *item, const struct parameter *parameter,
                       struct slice text)
{
    struct flow_topic_config *config = &item->config;
    uint64_t number = 0;
    if (parameter->given && slice_equal_string(text, "default")) {
        item->resets |= parameter->given;
        return true;
    }
    config->given |= parameter->given;
    if (parameter->given == FLOW_TOPIC_CODEC)
        return take_codec(text, config);
    if (!err_is_ok(number_parse_u64(text, &number)) || number > parameter->most)
        return false;
    switch (parameter->given) {
    case FLOW_TOPIC_RETENTION_MS: config->retention_ms = number; break;
    case FLOW_TOPIC_RETENTION_BYTES: config->retention_bytes = number; break;
    case FLOW_TOPIC_BATCH_BYTES: config->batch_bytes_max = (uint32_t)number; return number > 0;
    default: item->partition_count = (uint32_t)number; return number > 0;
    }
    return true;
}

static size_t parameter_count(struct slice query)
{
    size_t count = 0;
    while (query.size > 0)
        count += slice_split(&query, '&').size > 0;
    return count;
}

/* Every one that is there has to be known: a setting that is passed over would be one that somebody
 * relies on. */
static bool read_query(struct net_http_request *request, struct slice query,
                       struct flow_topics_item *item)
{
    size_t found = 0;
    for (size_t i = 0; i < sizeof parameters / sizeof parameters[0]; i++) {
        uint8_t room[VALUE_SIZE];
        struct slice value = {0};
        err_t err = net_http_query_get(query, parameters[i].name, room, sizeof room, &value);
        if (err_is(err, ERR_NOT_FOUND))
            continue;
        if (!err_is_ok(err) || !take_value(item, &parameters[i], value)) {
            net_http_reply_error(request, 400, "query", NULL, "%s: expected %s", parameters[i].name,
                                 parameters[i].given == FLOW_TOPIC_CODEC
                                     ? "none, gzip, snappy, lz4, zstd or default"
                                 : parameters[i].given ? "a number (0: no limit) or default"
                                                       : "a number from 1 to 10000");
            return false;
        }
        found++;
    }
    if (found == parameter_count(query))
        return true;
    net_http_reply_error(request, 400, "query", NULL,
                         "expected partitions, retention_ms, partition_bytes, compression and "
                         "batch_bytes, each once at the most");
    return false;
}

static void end(struct changing *changing)
{
    admin_inquiry_end(changing->admin);
    mem_free(changing);
}

/* The detail is the maker's, which says what to do and where. */
static void reply(struct changing *changing)
{
    const struct flow_topics_item *item = &changing->item;
    if (!err_is_ok(item->error)) {
        net_http_reply_error(changing->request, err_http_status(item->error), "refused",
                             err_retriable(item->error) ? "Retry-After: 1\r\n" : NULL, "%s%s",
                             changing->raised ? "the partitions are there, and then: " : "",
                             err_detail(item->error, &item->why));
        end(changing);
        return;
    }
    struct buf body = {0};
    buf_add_string(&body,
                   changing->flow.op == FLOW_TOPICS_CREATE ? "{\"created\":" : "{\"changed\":");
    buf_add_json_string(&body, item->name);
    buf_add_string(&body, "}\n");
    admin_reply(changing->request, 200, NULL, &body);
    buf_done(&body);
    end(changing);
}

static void changed(struct flow_topics_change *flow)
{
    struct changing *changing = CONTAINER_OF(flow, struct changing, flow);
    if (!changing->configures || !err_is_ok(changing->item.error)) {
        reply(changing);
        return;
    }
    changing->configures = false;
    changing->raised = true;
    flow->op = FLOW_TOPICS_CONFIG;
    flow_topics_change(changing->admin->options.topics, flow);
}

static void begin(struct admin *admin, struct net_http_request *request,
                  const struct admin_target *target, bool creates)
{
    struct flow_topics_item item = {0};
    ASSERT(target->topic_size > 0 && target->topic_size <= FLOW_TOPIC_NAME_MAX);
    if (!admin->options.topics) {
        net_http_reply_error(request, 503, "unavailable", NULL, "this server makes no topics");
        return;
    }
    if (!read_query(request, slice_make(target->query, target->query_size), &item) ||
        !admin_inquiry_begin(admin, request))
        return;
    struct changing *changing = mem_zalloc(1, sizeof *changing);
    if (!changing) {
        admin_reply_busy(request);
        admin_inquiry_end(admin);
        return;
    }
    /* One of the two or both; none of them changes nothing, and finds out whether it might. */
    bool raises = item.partition_count > 0;
    if (creates && !raises)
        item.partition_count = 1;
    changing->admin = admin;
    changing->request = request;
    changing->target = *target;
    changing->item = item;
    changing->item.name = slice_make(changing->target.topic, target->topic_size);
    changing->configures = !creates && raises && (item.config.given || item.resets);
    changing->flow = (struct flow_topics_change){
        .home = admin->options.loop,
        .done = changed,
        .op = creates  ? FLOW_TOPICS_CREATE
              : raises ? FLOW_TOPICS_PARTITIONS
                       : FLOW_TOPICS_CONFIG,
        .items = &changing->item,
        .item_count = 1,
    };
    flow_topics_change(admin->options.topics, &changing->flow);
}

void admin_topic_create(struct admin *admin, struct net_http_request *request,
                        const struct admin_target *target)
{
    begin(admin, request, target, true);
}

void admin_topic_alter(struct admin *admin, struct net_http_request *request,
                       const struct admin_target *target)
{
    begin(admin, request, target, false);
}
