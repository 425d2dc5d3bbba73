#include "serve/kafka/kafka_int.h"

#include "base/assert.h"

/*
 * A client that has just made a topic, or written to one, and asks, has to see it: an answer that
 * was under way when it asked is too old. So there is one question on its way at the most, and
 * those who come meanwhile wait for the next one, however many they are.
 */

static void ask(struct serve_kafka_view *view);

static void take_answer(struct serve_kafka_view *view)
{
    struct map by_name;
    map_init(&by_name, 0);
    view->stale = true;
    if (!err_is_ok(view->asked.error)) {
        flow_snapshot_done(&view->asked);
        return;
    }
    for (size_t i = 0; i < view->asked.topic_count; i++) {
        struct flow_topic_state *topic = &view->asked.topics[i];
        if (!err_is_ok(map_put(&by_name, slice_string(topic->name), topic))) {
            map_done(&by_name);
            flow_snapshot_done(&view->asked);
            return;
        }
    }
    if (view->valid)
        flow_snapshot_done(&view->snapshot);
    map_done(&view->by_name);
    /* Its arena's blocks stay where they are when the struct moves. */
    view->snapshot = view->asked;
    view->by_name = by_name;
    view->valid = true;
    view->doubted = false;
    view->stale = false;
}

static void answered(struct flow_snapshot *snapshot)
{
    struct serve_kafka_view *view = CONTAINER_OF(snapshot, struct serve_kafka_view, asked);
    struct list *link;
    ASSERT(view->asking);
    take_answer(view);
    view->asking = false;
    struct list waited;
    list_init(&waited);
    while ((link = list_pop(&view->waiting)))
        list_add_tail(&waited, link);
    while ((link = list_pop(&view->next)))
        list_add_tail(&view->waiting, link);
    if (!list_empty(&view->waiting))
        ask(view);
    while ((link = list_pop(&waited))) {
        struct serve_kafka_call *call = CONTAINER_OF(link, struct serve_kafka_call, view_link);
        /* That there is nothing would be a lie. */
        if (view->valid)
            call->viewed(call);
        else
            serve_kafka_refuse(call);
    }
}

static void ask(struct serve_kafka_view *view)
{
    ASSERT(!view->asking);
    view->asking = true;
    view->asked = (struct flow_snapshot){.home = view->door->loop, .done = answered};
    flow_log_snapshot(view->door->kafka->log, &view->asked);
}

void serve_kafka_view_init(struct serve_kafka_view *view, struct serve_kafka_door *door)
{
    view->door = door;
    list_init(&view->waiting);
    list_init(&view->next);
}

void serve_kafka_view_done(struct serve_kafka_view *view)
{
    ASSERT(!view->asking && list_empty(&view->next));
    if (view->valid)
        flow_snapshot_done(&view->snapshot);
    map_done(&view->by_name);
}

void serve_kafka_view_refresh(struct serve_kafka_call *call,
                              void (*viewed)(struct serve_kafka_call *call))
{
    struct serve_kafka_view *view = &call->door->view;
    call->viewed = viewed;
    list_add_tail(view->asking ? &view->next : &view->waiting, &call->view_link);
    if (!view->asking)
        ask(view);
}

const struct flow_topic_state *serve_kafka_view_topic(const struct serve_kafka_view *view,
                                                      struct slice name)
{
    /* With what is held of passwords they can be guessed, and this server played to their users. */
    if (!view->valid || slice_equal_string(name, CONTROL_AUTH_USERS_TOPIC))
        return NULL;
    return map_get(&view->by_name, name);
}
