#include "sim/world.h"

#include <stdlib.h>
#include <string.h>

/*
 * Settles letters of the DLQs, a few at a time: redriven ones with the records that they become in
 * the same commit, purged ones alone. Each is remembered with its answer; behind a recovery all
 * those that were acknowledged are settled, none that was refused is, and of a redrive there are
 * both halves or neither.
 */

static void redriver_rests(struct world_redriver *redriver)
{
    redriver->busy = false;
    world_actor_rests(redriver->world, redriver->loop, &redriver->timer, 80 * IO_MS);
}

static struct world_settle *remember(struct world *w)
{
    w->settles = realloc(w->settles, (w->settle_count + 1) * sizeof *w->settles);
    if (!w->settles)
        abort();
    return &w->settles[w->settle_count++];
}

static void settled(struct flow_commit *commit)
{
    struct world_redriver *redriver = CONTAINER_OF(commit, struct world_redriver, commit);
    struct world *w = redriver->world;
    struct world_settle *settle = &w->settles[redriver->number];
    err_t err = commit->error;
    world_say(w, "settle %u: %s", redriver->number, err_name(err));
    /* The start has passed them meanwhile. */
    bool passed = err_is(err, ERR_OFFSET_RANGE) && world_may_expire(w, settle->topic);
    if (!passed && !world_expects(w, err))
        model_fail(&w->model, "settle %u: %s", redriver->number, err_name(err));
    settle->state = err_is_ok(err) ? MODEL_OK : err_is(err, ERR_FENCED) ? MODEL_UNKNOWN : MODEL_NOT;
    if (settle->commit > 0) {
        model_answer(&w->model, settle->commit - 1, commit, false);
        flow_batch_builder_done(&redriver->records);
        flow_batch_builder_init(&redriver->records);
    }
    redriver_rests(redriver);
}

/* The records that the letters become. False without memory. */
static bool add_records(struct world_redriver *redriver, struct world_settle *settle)
{
    struct world *w = redriver->world;
    uint32_t parent = settle->topic - MODEL_PARENTS;
    uint32_t number = model_add(&w->model, MODEL_PRODUCERS - 2);
    struct model_commit *commit = &w->model.commits[number];
    settle->commit = number + 1;
    commit->topic = parent;
    commit->sent_ms = io_wall_ms(w->loops[0]);
    commit->received = settle->settle.record_count;
    commit->append_count = 1;
    commit->appends[0] = (struct model_append){.topic = parent,
                                               .partition = 0,
                                               .kind = FLOW_APPEND_RECORDS,
                                               .count = settle->settle.record_count,
                                               .value_size_max = w->value_size_max,
                                               .base_offset = -1,
                                               .found_at = -1};
    if (!model_build(&w->model, number, 0, &redriver->records)) {
        commit->state = MODEL_NOT;
        return false;
    }
    struct slice batch = flow_batch_builder_finish(&redriver->records);
    redriver->append = (struct flow_append){.topic_id = w->topic_ids[parent],
                                            .kind = FLOW_APPEND_RECORDS,
                                            .record_count = settle->settle.record_count,
                                            .batch = (uint8_t *)(uintptr_t)batch.data,
                                            .batch_size = batch.size};
    redriver->count = (struct flow_count){.topic_id = w->topic_ids[parent],
                                          .received = settle->settle.record_count};
    return true;
}

static void send(struct world_redriver *redriver, struct flow_settle wanted)
{
    struct world *w = redriver->world;
    redriver->number = w->settle_count;
    struct world_settle *settle = remember(w);
    *settle =
        (struct world_settle){.topic = redriver->topic, .settle = wanted, .state = MODEL_SENT};
    bool redrives = wanted.kind == FLOW_SETTLE_REDRIVEN;
    if (redrives && !add_records(redriver, settle)) {
        settle->state = MODEL_NOT;
        flow_batch_builder_done(&redriver->records);
        flow_batch_builder_init(&redriver->records);
        redriver_rests(redriver);
        return;
    }
    redriver->settle = wanted;
    redriver->commit = (struct flow_commit){.home = redriver->loop,
                                            .done = settled,
                                            .appends = &redriver->append,
                                            .append_count = redrives ? 1 : 0,
                                            .counts = &redriver->count,
                                            .count_count = redrives ? 1 : 0,
                                            .settles = &redriver->settle,
                                            .settle_count = 1};
    if (redrives)
        w->model.commits[settle->commit - 1].size = log_entries_size(&redriver->commit);
    flow_log_commit(log_flow(w->log), &redriver->commit);
}

static void has_snapshot(struct flow_snapshot *snapshot)
{
    struct world_redriver *redriver = CONTAINER_OF(snapshot, struct world_redriver, snapshot);
    struct world *w = redriver->world;
    if (!err_is_ok(snapshot->error)) {
        flow_snapshot_done(snapshot);
        redriver_rests(redriver);
        return;
    }
    const struct flow_topic_state *dlq =
        flow_snapshot_topic_by_id(snapshot, w->topic_ids[redriver->topic]);
    MODEL_EXPECT(&w->model, dlq && dlq->settled);
    const struct flow_settled *known = &dlq->settled[0];
    int64_t from = dlq->start_offset[0];
    int64_t held = dlq->end_offset[0] - from;
    /* From the start on mostly, so that it moves; pieces else. */
    if (held > 0 && chance(w, 1, 3))
        from += (int64_t)below(w, (uint64_t)held);
    from = flow_settled_skip(known, from);
    int64_t end = from + 1 + (int64_t)below(w, 6);
    end = end < dlq->end_offset[0] ? end : dlq->end_offset[0];
    int64_t last = from;
    while (last < end && flow_settled_skip(known, last) == last)
        last++;
    uint32_t id = dlq->id;
    flow_snapshot_done(snapshot);
    if (last <= from) {
        redriver_rests(redriver);
        return;
    }
    bool purges = chance(w, 1, 3);
    send(redriver, (struct flow_settle){
                       .topic_id = id,
                       .kind = purges ? FLOW_SETTLE_PURGED : FLOW_SETTLE_REDRIVEN,
                       .record_count = (uint32_t)(last - from),
                       .first_offset = from,
                       .end_offset = last,
                   });
}

static void redriver_runs(struct io_timer *timer)
{
    struct world_redriver *redriver = CONTAINER_OF(timer, struct world_redriver, timer);
    struct world *w = redriver->world;
    if (!w->acting)
        return;
    redriver->busy = true;
    redriver->topic = MODEL_PARENTS + (uint32_t)below(w, MODEL_STATIC - MODEL_PARENTS);
    redriver->snapshot =
        (struct flow_snapshot){.home = redriver->loop,
                               .done = has_snapshot,
                               .settled_of = slice_string(world_topic_name(redriver->topic))};
    flow_log_snapshot(log_flow(w->log), &redriver->snapshot);
}

void world_redriver_init(struct world *w)
{
    w->redriver =
        (struct world_redriver){.world = w, .loop = w->loops[1], .timer = {.run = redriver_runs}};
    flow_batch_builder_init(&w->redriver.records);
}

void world_redriver_forget(struct world *w)
{
    flow_batch_builder_done(&w->redriver.records);
    flow_snapshot_done(&w->redriver.snapshot);
    w->redriver.snapshot = (struct flow_snapshot){0};
    w->redriver.busy = false;
    for (uint32_t i = 0; i < w->settle_count; i++)
        if (w->settles[i].state == MODEL_SENT)
            w->settles[i].state = MODEL_UNKNOWN;
}

bool world_may_be_settled(const struct world *w, uint32_t topic, int64_t first, int64_t end)
{
    for (int64_t at = first; at < end; at++) {
        bool covered = false;
        for (uint32_t i = 0; i < w->settle_count && !covered; i++) {
            const struct world_settle *s = &w->settles[i];
            covered = s->topic == topic && s->state != MODEL_NOT && s->settle.first_offset <= at &&
                      at < s->settle.end_offset;
        }
        if (!covered)
            return false;
    }
    return true;
}

/* Another one of this state had some of the same letters. */
static bool overlaps(const struct world *w, const struct world_settle *s, enum model_state state)
{
    for (uint32_t i = 0; i < w->settle_count; i++) {
        const struct world_settle *other = &w->settles[i];
        if (other != s && other->topic == s->topic && other->state == state &&
            other->settle.first_offset < s->settle.end_offset &&
            s->settle.first_offset < other->settle.end_offset)
            return true;
    }
    return false;
}

/* What nobody had been told is told by the records, or by the queue itself. */
static void resolve(struct world *w, struct world_settle *s, const struct flow_topic_state *dlq)
{
    enum model_state records = s->commit > 0 ? w->model.commits[s->commit - 1].state : MODEL_HIDDEN;
    bool is_settled =
        flow_settled_skip(&dlq->settled[0], s->settle.first_offset) >= s->settle.end_offset;
    if (records == MODEL_OK || records == MODEL_NOT)
        s->state = records;
    else if (overlaps(w, s, MODEL_OK))
        s->state = MODEL_NOT;
    else if (is_settled && overlaps(w, s, MODEL_UNKNOWN))
        s->state = MODEL_HIDDEN;
    else if (s->settle.first_offset >= dlq->start_offset[0])
        s->state = is_settled ? MODEL_OK : MODEL_NOT;
    else
        s->state = MODEL_HIDDEN;
}

void world_settles_check(struct world *w, uint32_t topic, const struct flow_snapshot *snapshot)
{
    uint64_t sums[2][2] = {0};
    const struct flow_topic_state *dlq = flow_snapshot_topic_by_id(snapshot, w->topic_ids[topic]);
    /* Not made yet. */
    if (!dlq)
        return;
    MODEL_EXPECT(&w->model, dlq->settled);
    for (uint32_t i = 0; i < w->settle_count; i++) {
        struct world_settle *s = &w->settles[i];
        if (s->topic != topic)
            continue;
        if (s->state == MODEL_UNKNOWN)
            resolve(w, s, dlq);
        int64_t first = s->settle.first_offset;
        if (s->state == MODEL_OK && overlaps(w, s, MODEL_OK))
            model_fail(&w->model, "the letters of settle %u were settled twice", i);
        bool below_start = first < dlq->start_offset[0];
        if (s->state == MODEL_OK && !below_start &&
            flow_settled_skip(&dlq->settled[0], first) < s->settle.end_offset)
            model_fail(&w->model, "settle %u was acknowledged and is not there", i);
        if (s->commit > 0 && s->state == MODEL_OK)
            MODEL_EXPECT(&w->model, w->model.commits[s->commit - 1].state == MODEL_OK ||
                                        w->model.commits[s->commit - 1].state == MODEL_HIDDEN);
        uint64_t *sum = sums[s->settle.kind == FLOW_SETTLE_PURGED];
        sum[0] += s->state == MODEL_OK ? s->settle.record_count : 0;
        sum[1] += s->state != MODEL_NOT ? s->settle.record_count : 0;
    }
    if (dlq->dlq_redriven < sums[0][0] || dlq->dlq_redriven > sums[0][1] ||
        dlq->dlq_purged < sums[1][0] || dlq->dlq_purged > sums[1][1])
        model_fail(&w->model,
                   "topic %u: %llu redriven and %llu purged, and %llu and %llu were settled", topic,
                   (unsigned long long)dlq->dlq_redriven, (unsigned long long)dlq->dlq_purged,
                   (unsigned long long)sums[0][0], (unsigned long long)sums[1][0]);
    /* Whatever is settled somebody had asked for. */
    for (uint32_t r = 0; r < dlq->settled[0].count; r++)
        MODEL_EXPECT(&w->model, world_may_be_settled(w, topic, dlq->settled[0].runs[r].first_offset,
                                                     dlq->settled[0].runs[r].end_offset));
}
