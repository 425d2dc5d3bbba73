#include "sim/world.h"

/*
 * One thing at a time, each on what a snapshot of its own says. Topic lives: an index is used once,
 * and its number is in the topic's uuid, so that a deleted one that came back would be seen.
 */

static void janitor_rests(struct world_janitor *janitor)
{
    janitor->busy = false;
    world_actor_rests(janitor->world, janitor->loop, &janitor->timer, 60 * IO_MS);
}

static void check_answer(struct world_janitor *janitor, err_t err)
{
    struct world *w = janitor->world;
    enum model_topic *known = &w->model.topics[janitor->topic];
    bool expected = world_expects(w, err);
    switch (janitor->change.op) {
    case FLOW_TOPIC_CREATE:
        expected = expected || err_is(err, ERR_EXISTS);
        if (err_is_ok(err)) {
            MODEL_EXPECT(&w->model, *known == MODEL_TOPIC_ASKED);
            *known = MODEL_TOPIC_LIVE;
            w->partitions[janitor->topic] = janitor->change.partition_count;
            w->topic_ids[janitor->topic] = janitor->change.topic_id;
        }
        break;
    case FLOW_TOPIC_DELETE:
        expected = expected || err_is(err, ERR_NOT_FOUND);
        if (err_is_ok(err))
            *known = MODEL_TOPIC_GONE;
        break;
    case FLOW_TOPIC_LOG_START:
        /* A queue's start may have followed what is settled meanwhile. */
        expected = expected || (err_is(err, ERR_OFFSET_RANGE) && janitor->topic >= MODEL_PARENTS &&
                                janitor->topic < MODEL_STATIC);
        break;
    case FLOW_TOPIC_CONFIG:
    case FLOW_TOPIC_PARTITIONS:
    default: break;
    }
    if (!expected)
        model_fail(&w->model, "topic %u change %d: %s", janitor->topic, (int)janitor->change.op,
                   err_name(err));
}

static void changed(struct flow_commit *commit)
{
    struct world_janitor *janitor = CONTAINER_OF(commit, struct world_janitor, commit);
    world_say(janitor->world, "topic %u change %d: %s", janitor->topic, (int)janitor->change.op,
              err_name(commit->error));
    check_answer(janitor, commit->error);
    janitor_rests(janitor);
}

static void ask(struct world_janitor *janitor)
{
    janitor->commit = (struct flow_commit){
        .home = janitor->loop, .done = changed, .topics = &janitor->change, .topic_count = 1};
    flow_log_commit(log_flow(janitor->world->log), &janitor->commit);
}

static void moves_start(struct world_janitor *janitor)
{
    struct world *w = janitor->world;
    uint32_t t = chance(w, 1, 3) && w->coming > 0 ? w->coming : (uint32_t)below(w, MODEL_STATIC);
    const struct flow_topic_state *topic =
        flow_snapshot_topic_by_id(&janitor->snapshot, w->topic_ids[t]);
    if (w->retention[t] != WORLD_BY_HAND || !topic) {
        janitor_rests(janitor);
        return;
    }
    uint32_t p = (uint32_t)below(w, topic->partition_count);
    int64_t start = topic->start_offset[p];
    int64_t length = topic->end_offset[p] - start;
    /* Seldom all of it, or little would be left to look at. */
    int64_t most = chance(w, 1, 4) ? length : length / 4;
    start += (int64_t)below(w, (uint64_t)most + 1);
    if (w->asked_start[t][p] < start)
        w->asked_start[t][p] = start;
    janitor->topic = t;
    janitor->change = (struct flow_topic_change){
        .op = FLOW_TOPIC_LOG_START, .topic_id = topic->id, .partition = p, .start_offset = start};
    ask(janitor);
}

static void configures(struct world_janitor *janitor)
{
    struct world *w = janitor->world;
    static const enum flow_codec codecs[] = {FLOW_CODEC_NONE, FLOW_CODEC_LZ4, FLOW_CODEC_ZSTD};
    uint32_t t = (uint32_t)below(w, MODEL_STATIC);
    w->configs[t].codec = codecs[below(w, 3)];
    janitor->topic = t;
    janitor->change = (struct flow_topic_change){
        .op = FLOW_TOPIC_CONFIG, .topic_id = w->topic_ids[t], .config = w->configs[t]};
    ask(janitor);
}

static void creates(struct world_janitor *janitor)
{
    struct world *w = janitor->world;
    uint32_t t = w->coming;
    w->model.topics[t] = MODEL_TOPIC_ASKED;
    w->retention[t] = WORLD_BY_HAND;
    janitor->topic = t;
    janitor->change = (struct flow_topic_change){
        .op = FLOW_TOPIC_CREATE,
        .uuid = {{(uint8_t)(t + 1)}},
        .name = slice_string(WORLD_COMING_NAME),
        .partition_count = 1 + (uint32_t)below(w, 2),
        .config = world_coming_config(t),
    };
    ask(janitor);
}

static void deletes(struct world_janitor *janitor)
{
    struct world *w = janitor->world;
    w->model.topics[w->coming] = MODEL_TOPIC_LEAVING;
    janitor->topic = w->coming;
    janitor->change =
        (struct flow_topic_change){.op = FLOW_TOPIC_DELETE, .topic_id = w->topic_ids[w->coming]};
    ask(janitor);
}

/* One step in the life of the topic that comes and goes. */
static void comes_or_goes(struct world_janitor *janitor)
{
    struct world *w = janitor->world;
    enum model_topic known = w->coming > 0 ? w->model.topics[w->coming] : MODEL_TOPIC_GONE;
    if (known == MODEL_TOPIC_GONE && w->coming + 1 < MODEL_TOPICS) {
        w->coming = w->coming > 0 ? w->coming + 1 : MODEL_STATIC;
        creates(janitor);
    } else if (known == MODEL_TOPIC_ASKED) {
        creates(janitor);
    } else if (known == MODEL_TOPIC_LEAVING || (known == MODEL_TOPIC_LIVE && chance(w, 1, 3))) {
        deletes(janitor);
    } else {
        janitor_rests(janitor);
    }
}

/* Where the topic begins after the search is known, so that what expired during it is not
 * missed. */
static void has_start(struct flow_snapshot *snapshot)
{
    struct world_janitor *janitor = CONTAINER_OF(snapshot, struct world_janitor, snapshot);
    struct world *w = janitor->world;
    if (err_is_ok(snapshot->error)) {
        world_learn(w, snapshot, false);
        /* An index that rotted may lead too far: it has no checksum, as Kafka's has none. */
        if (!w->rotten)
            model_found(&w->model, janitor->topic, &janitor->find, janitor->seen_end);
    }
    flow_snapshot_done(snapshot);
    janitor_rests(janitor);
}

static void found(struct flow_find *find)
{
    struct world_janitor *janitor = CONTAINER_OF(find, struct world_janitor, find);
    struct world *w = janitor->world;
    bool expected = err_is_ok(find->error) || err_is(find->error, ERR_CANCELLED) ||
                    (w->read_faults && err_class(find->error) == ERR_CLASS_IO) ||
                    (w->read_faults && err_is(find->error, ERR_MEMORY)) ||
                    (w->rotten && err_is(find->error, ERR_CORRUPT));
    if (!expected)
        model_fail(&w->model, "a search in topic %u: %s", janitor->topic, err_name(find->error));
    if (!err_is_ok(find->error)) {
        janitor_rests(janitor);
        return;
    }
    janitor->snapshot = (struct flow_snapshot){.home = janitor->loop, .done = has_start};
    flow_log_snapshot(log_flow(w->log), &janitor->snapshot);
}

static void searches(struct world_janitor *janitor)
{
    struct world *w = janitor->world;
    janitor->topic = (uint32_t)below(w, MODEL_STATIC);
    uint32_t partition = (uint32_t)below(w, w->partitions[janitor->topic]);
    janitor->find = (struct flow_find){
        .home = janitor->loop,
        .done = found,
        .topic_id = w->topic_ids[janitor->topic],
        .partition = partition,
        .timestamp_ms = model_some_time(&w->model, below(w, UINT32_MAX)),
    };
    if (below(w, 4) == 0)
        janitor->find.timestamp_ms = FLOW_FIND_MAX;
    janitor->seen_end = w->model.partitions[janitor->topic][partition].seen_end;
    flow_log_find(log_flow(w->log), &janitor->find);
}

static void has_snapshot(struct flow_snapshot *snapshot)
{
    struct world_janitor *janitor = CONTAINER_OF(snapshot, struct world_janitor, snapshot);
    struct world *w = janitor->world;
    if (!err_is_ok(snapshot->error)) {
        flow_snapshot_done(snapshot);
        janitor_rests(janitor);
        return;
    }
    world_learn(w, snapshot, false);
    switch (below(w, 6)) {
    case 0: moves_start(janitor); break;
    case 1: configures(janitor); break;
    case 2:
    case 3: comes_or_goes(janitor); break;
    default: searches(janitor); break;
    }
    flow_snapshot_done(snapshot);
}

static void janitor_runs(struct io_timer *timer)
{
    struct world_janitor *janitor = CONTAINER_OF(timer, struct world_janitor, timer);
    if (!janitor->world->acting)
        return;
    janitor->busy = true;
    janitor->snapshot = (struct flow_snapshot){.home = janitor->loop, .done = has_snapshot};
    flow_log_snapshot(log_flow(janitor->world->log), &janitor->snapshot);
}

void world_janitor_init(struct world *w)
{
    w->janitor =
        (struct world_janitor){.world = w, .loop = w->loops[2], .timer = {.run = janitor_runs}};
}
