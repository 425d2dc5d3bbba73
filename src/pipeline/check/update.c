#include "base/alloc.h"
#include "pipeline/check/check_int.h"

/*
 * Requests hold a pointer to their topic from their head to their answer, so a topic never moves:
 * an update makes each anew beside it and then exchanges what is inside. The table of all and the
 * names are made anew as well, with room for those that come, since the exchange must not allocate.
 *
 * Nobody adds topics but updates, one at a time, so what is read here of a check at work (its
 * table's length, the names) does not change meanwhile.
 */

struct pipeline_check_update {
    struct flow_inlet_topic **fresh;  /* as the contracts say; afterwards the old insides */
    struct flow_inlet_topic **target; /* where the insides go; NULL: a topic of its own */
    size_t count;
    struct flow_inlet_topic **table;
    uint32_t table_count;
    struct map names;
};

static err_t add_name(struct pipeline_check_update *update, struct flow_inlet_topic *topic)
{
    return map_put(&update->names, slice_string(topic->name), topic);
}

static err_t fill(struct pipeline_check_update *update, struct pipeline_check *check,
                  struct io_loop *loop, const struct pipeline_check_topic *topics,
                  struct err_text *why)
{
    for (uint32_t i = 0; i < check->topic_count; i++) {
        update->table[i] = check->topics[i];
        TRY(add_name(update, check->topics[i]));
    }
    update->table_count = check->topic_count;
    for (size_t i = 0; i < update->count; i++) {
        struct flow_inlet_topic **fresh = &update->fresh[i];
        TRY(pipeline_check_topic_new(loop, &topics[i], fresh, why));
        update->target[i] = map_get(&update->names, slice_string((*fresh)->name));
        if (update->target[i])
            continue;
        (*fresh)->index = update->table_count;
        update->table[update->table_count++] = *fresh;
        TRY(add_name(update, *fresh));
    }
    return err_ok();
}

err_t pipeline_check_update_new(struct pipeline_check *check, struct io_loop *loop,
                                const struct pipeline_check_topic *topics, size_t topic_count,
                                struct pipeline_check_update **out, struct err_text *why)
{
    struct pipeline_check_update *update = mem_zalloc(1, sizeof(*update));
    if (!update)
        return err_make(ERR_MEMORY);
    size_t pointer = sizeof(struct flow_inlet_topic *);
    map_init(&update->names, check->topics_by_name.seed);
    update->count = topic_count;
    update->fresh = mem_zalloc(topic_count + 1, pointer);
    update->target = mem_zalloc(topic_count + 1, pointer);
    update->table = mem_zalloc(check->topic_count + topic_count + 1, pointer);
    err_t err = update->fresh && update->target && update->table
                    ? fill(update, check, loop, topics, why)
                    : err_make(ERR_MEMORY);
    if (err_is_ok(err))
        *out = update;
    else
        pipeline_check_update_free(&update);
    return err;
}

/* Everything that a contract says changes its place; what the check has learned and counted, and
 * the name that the table of names views, stays. */
static void exchange(struct flow_inlet_topic *topic, struct flow_inlet_topic *fresh)
{
    struct flow_inlet_topic was = *topic;
    ASSERT(was.part_at == 0 && fresh->part_at == 0);
    *topic = *fresh;
    *fresh = was;
    fresh->name = topic->name;
    topic->name = was.name;
    topic->index = was.index;
    topic->total = was.total;
    /* Full is what its DLQ is, until a snapshot says otherwise; without a cap none is looked at. */
    if (topic->dlq_size_max > 0) {
        topic->dlq_full = was.dlq_full;
        topic->dlq_watch = was.dlq_watch;
    }
}

void pipeline_check_update_apply(struct pipeline_check *check, struct pipeline_check_update *update)
{
    /* The open commit knows topics by the places of their old partitions. */
    pipeline_check_flush(check);
    for (uint32_t i = 0; i < check->topic_count; i++)
        check->topics[i]->gone = true;
    for (size_t i = 0; i < update->count; i++) {
        if (update->target[i])
            exchange(update->target[i], update->fresh[i]);
        else
            update->fresh[i] = NULL;
    }
    struct flow_inlet_topic **table = check->topics;
    struct map names = check->topics_by_name;
    check->topics = update->table;
    check->topic_count = update->table_count;
    check->topics_by_name = update->names;
    update->table = table;
    update->names = names;
}

void pipeline_check_update_free(struct pipeline_check_update **update_pointer)
{
    struct pipeline_check_update *update = *update_pointer;
    if (!update)
        return;
    for (size_t i = 0; update->fresh && i < update->count; i++)
        pipeline_check_topic_free(&update->fresh[i]);
    mem_free(update->fresh);
    mem_free(update->target);
    mem_free(update->table);
    map_done(&update->names);
    mem_free(update);
    *update_pointer = NULL;
}
