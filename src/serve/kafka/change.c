#include "serve/kafka/kafka_int.h"

#include <stdarg.h>

#include "base/assert.h"

/*
 * What all requests that change topics have in common: items that are wrong by themselves are
 * refused here, with Kafka's codes; the others go to whoever makes topics, in one change, and each
 * comes back with an error of its own.
 */

struct serve_kafka_change *serve_kafka_change_new(struct serve_kafka_call *call,
                                                  enum flow_topics_op op, uint32_t count)
{
    struct serve_kafka_change *change = serve_kafka_alloc(call, 1, sizeof(*change));
    if (!change)
        return NULL;
    call->work = change;
    change->call = call;
    change->flow.op = op;
    change->flow.home = call->door->loop;
    change->flow.item_count = count;
    change->flow.items = serve_kafka_alloc(call, count, sizeof(*change->flow.items));
    if (!change->flow.items)
        return NULL;
    change->codes = serve_kafka_alloc(call, count, sizeof(*change->codes));
    return change->codes ? change : NULL;
}

void serve_kafka_change_refuse(struct serve_kafka_change *change, uint32_t index, int16_t code,
                               const char *format, ...)
{
    struct flow_topics_item *item = &change->flow.items[index];
    ASSERT(index < change->flow.item_count && code != SERVE_KAFKA_NONE);
    /* The first thing that is wrong is the one that is said. */
    if (change->codes[index] != SERVE_KAFKA_NONE)
        return;
    change->codes[index] = code;
    item->error = err_make(ERR_INVALID);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(item->why.text, sizeof(item->why.text), format, arguments);
    va_end(arguments);
}

/* The first of them is done, as the only one would be. */
void serve_kafka_change_refuse_repeats(struct serve_kafka_change *change)
{
    struct map names;
    uint64_t seed;
    io_random(change->call->door->loop, &seed, sizeof(seed));
    map_init(&names, seed);
    for (uint32_t i = 0; i < change->flow.item_count; i++) {
        struct slice name = change->flow.items[i].name;
        if (name.size == 0)
            continue;
        if (map_get(&names, name))
            serve_kafka_change_refuse(change, i, SERVE_KAFKA_INVALID_REQUEST,
                                      "%.*s is there twice in the request", SLICE_PRINTF(name));
        else if (!err_is_ok(map_put(&names, name, &change->flow.items[i])))
            serve_kafka_change_refuse(change, i, SERVE_KAFKA_UNKNOWN_SERVER_ERROR, "out of memory");
    }
    map_done(&names);
}

/* Kafka's own rule. Which of those names are kept for something else is not for here to say. */
bool serve_kafka_is_name(struct slice name)
{
    bool dots = slice_equal_string(name, ".") || slice_equal_string(name, "..");
    if (name.size == 0 || name.size > FLOW_TOPIC_NAME_MAX || dots)
        return false;
    for (size_t i = 0; i < name.size; i++) {
        uint8_t c = name.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && c != '.' && c != '_' && c != '-')
            return false;
    }
    return true;
}

void serve_kafka_change_check_name(struct serve_kafka_change *change, uint32_t index)
{
    ASSERT(index < change->flow.item_count);
    if (!serve_kafka_is_name(change->flow.items[index].name))
        serve_kafka_change_refuse(change, index, SERVE_KAFKA_INVALID_TOPIC,
                                  "a topic's name is 1 to %u characters of [a-zA-Z0-9._-], and "
                                  "neither . nor ..",
                                  FLOW_TOPIC_NAME_MAX);
}

/* On the loop that asked: the change has come home by mail. */
static void answered(struct flow_topics_change *flow)
{
    struct serve_kafka_change *change = CONTAINER_OF(flow, struct serve_kafka_change, flow);
    change->done(change->call);
}

void serve_kafka_change_run(struct serve_kafka_change *change,
                            void (*done)(struct serve_kafka_call *call))
{
    change->done = done;
    change->flow.done = answered;
    flow_topics_change(change->call->door->kafka->topics, &change->flow);
}

int16_t serve_kafka_change_code(const struct serve_kafka_change *change, uint32_t index)
{
    const struct flow_topics_item *item = &change->flow.items[index];
    ASSERT(index < change->flow.item_count);
    if (change->codes[index] != SERVE_KAFKA_NONE)
        return change->codes[index];
    /* Of a change that is well formed, only how many partitions there are can be wrong. */
    if (err_is(item->error, ERR_INVALID))
        return item->misplaced ? SERVE_KAFKA_INVALID_REPLICA_ASSIGNMENT
                               : SERVE_KAFKA_INVALID_PARTITIONS;
    if (err_is(item->error, ERR_NOT_FOUND) && !uuid_is_zero(&item->uuid))
        return SERVE_KAFKA_UNKNOWN_TOPIC_ID;
    return serve_kafka_error_code(item->error);
}

struct slice serve_kafka_change_text(const struct serve_kafka_change *change, uint32_t index)
{
    const struct flow_topics_item *item = &change->flow.items[index];
    ASSERT(index < change->flow.item_count);
    if (err_is_ok(item->error))
        return slice_make(NULL, 0);
    return slice_string(err_detail(item->error, &item->why));
}
