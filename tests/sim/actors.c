#include "sim/world.h"

#include <stdio.h>
#include <string.h>

void world_actor_rests(struct world *w, struct io_loop *loop, struct io_timer *timer,
                       uint64_t most_ns)
{
    io_timer_start(loop, timer, below(w, most_ns));
}

bool world_expects(const struct world *w, err_t err)
{
    (void)w;
    return err_is_ok(err) || err_is(err, ERR_FENCED) || err_is(err, ERR_LOG_FULL) ||
           err_is(err, ERR_BUSY) || err_is(err, ERR_CANCELLED) || err_is(err, ERR_TOO_LARGE) ||
           err_is(err, ERR_NO_SPACE) || err_is(err, ERR_IO) || err_is(err, ERR_MEMORY);
}

/* Sinks. */

static void sink_rests(struct world_sink *sink, uint64_t most_ns)
{
    sink->busy = false;
    world_actor_rests(sink->world, sink->loop, &sink->timer, most_ns);
}

static void sink_commits(struct world_sink *sink, void (*done)(struct flow_commit *commit))
{
    sink->commit = (struct flow_commit){
        .home = sink->loop,
        .done = done,
        .sinks = &sink->change,
        .sink_count = 1,
    };
    flow_log_commit(log_flow(sink->world->log), &sink->commit);
}

static void epoch_committed(struct world_sink *sink)
{
    const struct flow_sink_range *range = &sink->next.range;
    sink->epoch++;
    sink->delivered += range->delivered;
    sink->dead_lettered += range->dead_lettered;
    sink->cursors[sink->next.topic][range->partition] = range->end_offset;
    sink->next = (struct world_epoch){0};
}

static void commit_answered(struct flow_commit *commit)
{
    struct world_sink *sink = CONTAINER_OF(commit, struct world_sink, commit);
    struct world *w = sink->world;
    world_say(w, "sink %u commit %llu: %s", sink->index, (unsigned long long)sink->change.epoch,
              err_name(commit->error));
    if (sink->commit.append_count > 0)
        model_answer(&w->model, sink->number, commit, false);
    flow_batch_builder_done(&sink->letters);
    if (err_is_ok(commit->error))
        epoch_committed(sink);
    else if (!world_expects(w, commit->error))
        model_fail(&w->model, "sink %u commit: %s", sink->index, err_name(commit->error));
    sink_rests(sink, err_is_ok(commit->error) ? IO_MS : 100 * IO_MS);
}

/* The dead letters of the epoch go into the commit that ends it. */
static bool add_letters(struct world_sink *sink)
{
    struct world *w = sink->world;
    uint32_t count = (uint32_t)sink->next.range.dead_lettered;
    sink->number = model_add(&w->model, MODEL_PRODUCERS - 1);
    struct model_commit *commit = &w->model.commits[sink->number];
    commit->topic = MODEL_TOPICS;
    commit->sink = sink->index + 1;
    commit->sink_epoch = sink->epoch + 1;
    struct model_append *append =
        world_add_append(w, commit, WORLD_DLQ(sink->next.topic), FLOW_APPEND_SINK_LETTERS, count);
    if (!model_build(&w->model, sink->number, 0, &sink->letters)) {
        commit->state = MODEL_NOT;
        return false;
    }
    struct slice batch = flow_batch_builder_finish(&sink->letters);
    sink->append = (struct flow_append){
        .topic_id = w->topic_ids[append->topic],
        .partition = append->partition,
        .kind = FLOW_APPEND_SINK_LETTERS,
        .record_count = count,
        .batch = (uint8_t *)(uintptr_t)batch.data,
        .batch_size = batch.size,
    };
    return true;
}

static void sink_ends_epoch(struct world_sink *sink)
{
    bool letters = sink->next.range.dead_lettered > 0;
    if (letters && !add_letters(sink)) {
        flow_batch_builder_done(&sink->letters);
        sink_rests(sink, 100 * IO_MS);
        return;
    }
    sink->next.commit_asked = true;
    sink->change = (struct flow_sink_change){
        .op = FLOW_SINK_COMMIT, .sink_id = sink->id, .epoch = sink->epoch + 1};
    sink->commit = (struct flow_commit){
        .home = sink->loop,
        .done = commit_answered,
        .appends = &sink->append,
        .append_count = letters ? 1 : 0,
        .sinks = &sink->change,
        .sink_count = 1,
    };
    flow_log_commit(log_flow(sink->world->log), &sink->commit);
}

static void prepare_answered(struct flow_commit *commit)
{
    struct world_sink *sink = CONTAINER_OF(commit, struct world_sink, commit);
    struct world *w = sink->world;
    /* What it has read may expire, with its topic or without, before it says so. */
    bool passed = world_may_expire(w, sink->next.topic) &&
                  (err_is(commit->error, ERR_INVALID) || err_is(commit->error, ERR_NOT_FOUND));
    world_say(w, "sink %u prepare %llu: %s", sink->index, (unsigned long long)sink->change.epoch,
              err_name(commit->error));
    if (err_is_ok(commit->error)) {
        sink->next.prepared = true;
        sink_ends_epoch(sink);
        return;
    }
    if (passed)
        sink->next = (struct world_epoch){0};
    else if (!world_expects(w, commit->error))
        model_fail(&w->model, "sink %u prepare: %s", sink->index, err_name(commit->error));
    sink_rests(sink, 100 * IO_MS);
}

static void sink_prepares(struct world_sink *sink)
{
    sink->next.prepare_asked = true;
    sink->change = (struct flow_sink_change){
        .op = FLOW_SINK_PREPARE,
        .sink_id = sink->id,
        .epoch = sink->epoch + 1,
        .ranges = &sink->next.range,
        .range_count = 1,
        .outputs = slice_make(sink->next.outputs, sizeof sink->next.outputs),
    };
    sink_commits(sink, prepare_answered);
}

static void plan_epoch(struct world_sink *sink)
{
    struct world *w = sink->world;
    const struct flow_read *read = &sink->read;
    uint64_t count = model_records(&w->model, sink->next.topic, read->partition, read->offset,
                                   read->next_offset);
    bool letters = sink->next.topic < MODEL_PARENTS && chance(w, 1, 4);
    uint64_t dead = letters ? below(w, count < 4 ? count + 1 : 4) : 0;
    sink->next.range = (struct flow_sink_range){
        .topic_id = read->topic_id,
        .partition = read->partition,
        .first_offset = read->offset,
        .end_offset = read->next_offset,
        .delivered = count - dead,
        .dead_lettered = dead,
    };
    sim_random_bytes(&w->random, sink->next.outputs, sizeof sink->next.outputs);
}

void world_check_read(struct world *w, uint32_t topic, const struct flow_read *read)
{
    bool expected = err_is_ok(read->error) || err_is(read->error, ERR_CANCELLED) ||
                    (err_class(read->error) == ERR_CLASS_IO && w->read_faults) ||
                    (err_is(read->error, ERR_MEMORY) && w->read_faults) ||
                    (err_is(read->error, ERR_CORRUPT) && w->rotten) ||
                    (err_is(read->error, ERR_NOT_FOUND) && topic >= MODEL_STATIC) ||
                    (err_is(read->error, ERR_OFFSET_RANGE) && world_may_expire(w, topic));
    if (!expected)
        model_fail(&w->model, "read of topic %u partition %u offset %lld: %s", topic,
                   read->partition, (long long)read->offset, err_name(read->error));
    struct model_partition *p = &w->model.partitions[topic][read->partition];
    if (err_is(read->error, ERR_OFFSET_RANGE) && p->start_claimed <= read->offset)
        p->start_claimed = read->offset + 1;
}

static void sink_has_read(struct flow_read *read)
{
    struct world_sink *sink = CONTAINER_OF(read, struct world_sink, read);
    struct world *w = sink->world;
    world_check_read(w, sink->next.topic, read);
    bool found = err_is_ok(read->error) && read->batch_count > 0;
    if (found) {
        model_read(&w->model, sink->next.topic, read);
        plan_epoch(sink);
    }
    flow_log_release(log_flow(w->log), read);
    if (found)
        sink_prepares(sink);
    else
        sink_rests(sink, 10 * IO_MS);
}

static void sink_reads(struct world_sink *sink)
{
    struct world *w = sink->world;
    uint32_t topic = sink->topics[below(w, sink->topic_count)];
    sink->next = (struct world_epoch){.topic = topic};
    uint32_t partition = (uint32_t)below(w, w->partitions[topic]);
    if (sink->cursors[topic][partition] < 0) {
        sink_rests(sink, 10 * IO_MS);
        return;
    }
    sink->read = (struct flow_read){
        .home = sink->loop,
        .done = sink_has_read,
        .topic_id = w->topic_ids[topic],
        .partition = partition,
        .offset = sink->cursors[topic][partition],
        .size_max = 1u << (8 + below(w, 10)),
    };
    flow_log_read(log_flow(w->log), &sink->read);
}

const char *world_sink_name(const struct world_sink *sink)
{
    return sink->index == 0 ? "first" : "second";
}

/* Sink n takes topic n, and the second the one that comes and goes too. Returns how many. */
static uint32_t wanted_topics(const struct world_sink *sink, uint32_t topics[static 2])
{
    const struct world *w = sink->world;
    topics[0] = sink->index;
    enum model_topic coming = w->model.topics[w->coming];
    bool more = sink->index == 1 && w->coming > 0 && w->topic_ids[w->coming] > 0 &&
                (coming == MODEL_TOPIC_LIVE || coming == MODEL_TOPIC_LEAVING);
    topics[1] = more ? w->coming : 0;
    return more ? 2 : 1;
}

static void sink_opened(struct flow_commit *commit)
{
    struct world_sink *sink = CONTAINER_OF(commit, struct world_sink, commit);
    struct world *w = sink->world;
    if (err_is_ok(commit->error))
        sink->id = sink->change.sink_id;
    else
        sink->topic_count = 0;
    bool left = err_is(commit->error, ERR_NOT_FOUND);
    if (!left && !world_expects(w, commit->error))
        model_fail(&w->model, "sink %u open: %s", sink->index, err_name(commit->error));
    sink_rests(sink, 10 * IO_MS);
}

static void sink_opens(struct world_sink *sink)
{
    sink->topic_count = wanted_topics(sink, sink->topics);
    for (uint32_t i = 0; i < sink->topic_count; i++)
        sink->topic_ids[i] = sink->world->topic_ids[sink->topics[i]];
    sink->change = (struct flow_sink_change){
        .op = FLOW_SINK_OPEN,
        .name = slice_string(world_sink_name(sink)),
        .topic_ids = sink->topic_ids,
        .topic_count = sink->topic_count,
    };
    sink_commits(sink, sink_opened);
}

/* What is prepared is what was asked for. */
static void check_prepared(const struct world_sink *sink, const struct flow_sink_state *state)
{
    const struct model *model = &sink->world->model;
    const struct world_epoch *next = &sink->next;
    MODEL_EXPECT(model, next->prepare_asked && state->range_count == 1);
    MODEL_EXPECT(model, memcmp(&state->ranges[0], &next->range, sizeof next->range) == 0);
    MODEL_EXPECT(model,
                 slice_equal(state->outputs, slice_make(next->outputs, sizeof next->outputs)));
}

/* Records from `first` up to `end` are gone before it came to them. Where a start is moved in among
 * holes, the log counts no more than it is sure of until the sink has read what is left. */
static void miss(struct world_sink *sink, uint32_t t, uint32_t p, int64_t first, int64_t end)
{
    const struct model *model = &sink->world->model;
    bool open = model->partitions[t][p].holed && sink->world->retention[t] == WORLD_BY_HAND;
    uint64_t holes = (uint64_t)first - model_records(model, t, p, 0, first);
    uint64_t records = model_records(model, t, p, first, end);
    uint64_t sure = records > holes && !open ? records - holes : 0;
    sink->skipped[t][p] += sure;
    sink->skipped_unseen[t][p] += (uint64_t)(end - first) - sure + holes;
}

/* A cursor that the sink has not moved stands past what expired before the sink came to it. */
static void learn_cursor(struct world_sink *sink, const struct flow_cursor_state *cursor)
{
    struct world *w = sink->world;
    uint32_t t = world_topic(w, cursor->topic_id);
    uint32_t p = cursor->partition;
    int64_t known = sink->cursors[t][p];
    MODEL_EXPECT(&w->model, cursor->offset >= known);
    if (known < 0)
        sink->skipped_unseen[t][p] += (uint64_t)cursor->offset;
    else
        miss(sink, t, p, known, cursor->offset);
    bool may = w->retention[t] == WORLD_BY_HAND ||
               (w->retention[t] != WORLD_KEEPS && w->configs[t].expire_undelivered);
    MODEL_EXPECT(&w->model, may || cursor->offset == known);
    sink->cursors[t][p] = cursor->offset;
}

/* The topic is gone: with it, what the sink had not come to, as far as anybody knows. */
static void close_topic(struct world_sink *sink, uint32_t t)
{
    struct world *w = sink->world;
    for (uint32_t p = 0; p < MODEL_PARTITIONS; p++) {
        int64_t most = model_records_max(&w->model, t, p);
        int64_t known = sink->cursors[t][p] < 0 ? 0 : sink->cursors[t][p];
        int64_t least = w->model.partitions[t][p].durable_end;
        if (sink->cursors[t][p] < 0 || least < known)
            least = known;
        miss(sink, t, p, known, least);
        sink->skipped_unseen[t][p] += most > least ? (uint64_t)(most - least) : 0;
    }
    sink->closed[t] = true;
}

static void check_expired(struct world_sink *sink, const struct flow_sink_state *state)
{
    uint64_t least = 0;
    uint64_t unseen = 0;
    for (uint32_t t = 0; t < MODEL_TOPICS; t++)
        for (uint32_t p = 0; p < MODEL_PARTITIONS; p++) {
            least += sink->skipped[t][p];
            unseen += sink->skipped_unseen[t][p];
            /* It may be over, and nobody is sure. */
            if (t >= sink->gone_below)
                unseen += (uint64_t)model_records_max(&sink->world->model, t, p);
        }
    if (state->expired < least || state->expired > least + unseen)
        model_fail(&sink->world->model,
                   "sink %u: %llu records have expired, it has missed %llu (or %llu more)",
                   sink->index, (unsigned long long)state->expired, (unsigned long long)least,
                   (unsigned long long)unseen);
}

/* The log's state of a sink against what the sink was told; unknown outcomes are settled. */
static void sink_learns(struct world_sink *sink, const struct flow_snapshot *snapshot)
{
    const struct flow_sink_state *state =
        flow_snapshot_sink(snapshot, slice_string(world_sink_name(sink)));
    struct world *w = sink->world;
    const struct model *model = &w->model;
    if (!state) {
        MODEL_EXPECT(model, sink->id == 0);
        return;
    }
    MODEL_EXPECT(model, sink->id == 0 || sink->id == state->id);
    sink->id = state->id;
    if (state->epoch == sink->epoch + 1 && sink->next.commit_asked && !state->prepared)
        epoch_committed(sink);
    MODEL_EXPECT(model, state->epoch == sink->epoch);
    MODEL_EXPECT(model, state->delivered == sink->delivered);
    MODEL_EXPECT(model, state->dead_lettered == sink->dead_lettered);
    MODEL_EXPECT(model, state->prepared || !sink->next.prepared);
    if (state->prepared) {
        check_prepared(sink, state);
        sink->next.prepared = true;
    }
    for (uint32_t i = 0; i < state->cursor_count; i++)
        learn_cursor(sink, &state->cursors[i]);
    for (uint32_t t = MODEL_STATIC; t < sink->gone_below; t++)
        if (!sink->closed[t])
            close_topic(sink, t);
    check_expired(sink, state);
}

static void sink_has_snapshot(struct flow_snapshot *snapshot)
{
    struct world_sink *sink = CONTAINER_OF(snapshot, struct world_sink, snapshot);
    struct world *w = sink->world;
    if (!err_is_ok(snapshot->error)) {
        flow_snapshot_done(snapshot);
        sink_rests(sink, 10 * IO_MS);
        return;
    }
    MODEL_EXPECT(&w->model, flow_snapshot_balanced(snapshot));
    sink_learns(sink, snapshot);
    flow_snapshot_done(snapshot);
    uint32_t topics[2];
    bool opened = wanted_topics(sink, topics) == sink->topic_count && topics[1] == sink->topics[1];
    if (sink->id == 0)
        sink_opens(sink);
    else if (sink->next.prepared)
        sink_ends_epoch(sink);
    else if (sink->next.prepare_asked)
        sink_prepares(sink);
    else if (!opened)
        sink_opens(sink);
    else
        sink_reads(sink);
}

static void sink_runs(struct io_timer *timer)
{
    struct world_sink *sink = CONTAINER_OF(timer, struct world_sink, timer);
    struct world *w = sink->world;
    if (!w->acting)
        return;
    sink->busy = true;
    sink->gone_below = world_gone_below(w);
    sink->snapshot = (struct flow_snapshot){.home = sink->loop, .done = sink_has_snapshot};
    flow_log_snapshot(log_flow(w->log), &sink->snapshot);
}

void world_sinks_check(struct world *w, const struct flow_snapshot *snapshot)
{
    for (uint32_t i = 0; i < WORLD_SINKS; i++) {
        struct world_sink *sink = &w->sinks[i];
        bool letters = sink->next.commit_asked && sink->next.range.dead_lettered > 0;
        uint64_t epoch = sink->epoch;
        sink->gone_below = world_gone_below(w);
        sink_learns(sink, snapshot);
        uint32_t ended = sink->epoch > epoch ? 1 : 0;
        MODEL_EXPECT(&w->model, !letters || model_letters(&w->model, i, epoch + 1, ended));
    }
}

/* Probers. */

static void prober_has_read(struct flow_read *read)
{
    struct world_prober *prober = CONTAINER_OF(read, struct world_prober, read);
    struct world *w = prober->world;
    world_check_read(w, prober->topic, read);
    if (err_is_ok(read->error))
        model_read(&w->model, prober->topic, read);
    flow_log_release(log_flow(w->log), read);
    prober->reading = false;
    io_timer_stop(prober->loop, &prober->cancel);
}

static void prober_cancels(struct io_timer *timer)
{
    struct world_prober *prober = CONTAINER_OF(timer, struct world_prober, cancel);
    if (prober->reading && !prober->cancelled) {
        prober->cancelled = true;
        flow_log_cancel(log_flow(prober->world->log), &prober->read);
    }
}

static void prober_reads(struct world_prober *prober)
{
    struct world *w = prober->world;
    prober->topic = (uint32_t)below(w, MODEL_STATIC);
    if (w->coming > 0 && w->topic_ids[w->coming] > 0 && chance(w, 1, 4))
        prober->topic = w->coming;
    uint32_t partition = (uint32_t)below(w, w->partitions[prober->topic]);
    int64_t start = w->model.partitions[prober->topic][partition].start;
    int64_t end = w->model.partitions[prober->topic][partition].durable_end;
    bool wait = chance(w, 1, 2);
    prober->read = (struct flow_read){
        .home = prober->loop,
        .done = prober_has_read,
        .topic_id = w->topic_ids[prober->topic],
        .partition = partition,
        .offset = chance(w, 1, 3) ? end : start + (int64_t)below(w, (uint64_t)(end - start) + 1),
        .size_max = 1u << (4 + below(w, 16)),
        .wait = wait,
    };
    prober->reading = true;
    prober->cancelled = false;
    flow_log_read(log_flow(w->log), &prober->read);
    if (wait || chance(w, 1, 4))
        world_actor_rests(w, prober->loop, &prober->cancel, 20 * IO_MS);
}

static void prober_has_snapshot(struct flow_snapshot *snapshot)
{
    struct world_prober *prober = CONTAINER_OF(snapshot, struct world_prober, snapshot);
    bool balanced = !err_is_ok(snapshot->error) || flow_snapshot_balanced(snapshot);
    MODEL_EXPECT(&prober->world->model, balanced);
    flow_snapshot_done(snapshot);
    prober->asking = false;
}

static void prober_runs(struct io_timer *timer)
{
    struct world_prober *prober = CONTAINER_OF(timer, struct world_prober, timer);
    struct world *w = prober->world;
    if (!w->acting)
        return;
    if (!prober->reading)
        prober_reads(prober);
    if (!prober->asking && chance(w, 1, 8)) {
        prober->asking = true;
        prober->snapshot =
            (struct flow_snapshot){.home = prober->loop, .done = prober_has_snapshot};
        flow_log_snapshot(log_flow(w->log), &prober->snapshot);
    }
    world_actor_rests(w, prober->loop, timer, 5 * IO_MS);
}

/* All of them. */

void world_actors_init(struct world *w)
{
    world_producers_init(w);
    for (uint32_t i = 0; i < WORLD_SINKS; i++) {
        w->sinks[i] = (struct world_sink){
            .world = w, .loop = w->loops[2 - i % 2], .timer = {.run = sink_runs}, .index = i};
        flow_batch_builder_init(&w->sinks[i].letters);
        for (uint32_t t = MODEL_STATIC; t < MODEL_TOPICS; t++)
            for (uint32_t p = 0; p < MODEL_PARTITIONS; p++)
                w->sinks[i].cursors[t][p] = -1;
    }
    world_janitor_init(w);
    world_copier_init(w);
    world_redriver_init(w);
    world_grouper_init(w);
    for (uint32_t i = 0; i < WORLD_PROBERS; i++)
        w->probers[i] = (struct world_prober){.world = w,
                                              .loop = w->loops[1 + i % 2],
                                              .timer = {.run = prober_runs},
                                              .cancel = {.run = prober_cancels}};
}

void world_actors_start(struct world *w)
{
    w->acting = true;
    for (uint32_t i = 0; i < WORLD_PRODUCERS; i++)
        world_actor_rests(w, w->producers[i].loop, &w->producers[i].timer, 5 * IO_MS);
    for (uint32_t i = 0; i < WORLD_SINKS && !w->no_sinks; i++)
        if (!w->sinks[i].busy)
            world_actor_rests(w, w->sinks[i].loop, &w->sinks[i].timer, 5 * IO_MS);
    for (uint32_t i = 0; i < WORLD_PROBERS; i++)
        world_actor_rests(w, w->probers[i].loop, &w->probers[i].timer, 5 * IO_MS);
    if (!w->janitor.busy && !w->no_sinks)
        world_actor_rests(w, w->janitor.loop, &w->janitor.timer, 50 * IO_MS);
    if (!w->copier.busy && !w->no_sinks)
        world_actor_rests(w, w->copier.loop, &w->copier.timer, 300 * IO_MS);
    if (!w->redriver.busy && !w->no_sinks)
        world_actor_rests(w, w->redriver.loop, &w->redriver.timer, 30 * IO_MS);
    if (!w->grouper.busy)
        world_actor_rests(w, w->grouper.loop, &w->grouper.timer, 20 * IO_MS);
}

bool world_actors_idle(const struct world *w)
{
    for (uint32_t i = 0; i < WORLD_PRODUCERS; i++)
        for (uint32_t s = 0; s < WORLD_SLOTS; s++)
            if (w->producers[i].slots[s].busy || w->producers[i].id_asked)
                return false;
    for (uint32_t i = 0; i < WORLD_SINKS; i++)
        if (w->sinks[i].busy)
            return false;
    for (uint32_t i = 0; i < WORLD_PROBERS; i++)
        if (w->probers[i].reading || w->probers[i].asking)
            return false;
    return !w->janitor.busy && !w->copier.busy && !w->redriver.busy && !w->grouper.busy;
}

static void forget_read(struct flow_read *read)
{
    if (read->lease)
        log_reader_release(NULL, read);
    *read = (struct flow_read){0};
}

static void forget_snapshot(struct flow_snapshot *snapshot)
{
    flow_snapshot_done(snapshot);
    *snapshot = (struct flow_snapshot){0};
}

void world_actors_forget(struct world *w)
{
    w->acting = false;
    world_producers_forget(w);
    for (uint32_t i = 0; i < WORLD_SINKS; i++) {
        struct world_sink *sink = &w->sinks[i];
        forget_read(&sink->read);
        forget_snapshot(&sink->snapshot);
        flow_batch_builder_done(&sink->letters);
        sink->busy = false;
    }
    for (uint32_t i = 0; i < WORLD_PROBERS; i++) {
        struct world_prober *prober = &w->probers[i];
        forget_read(&prober->read);
        forget_snapshot(&prober->snapshot);
        prober->reading = prober->asking = false;
    }
    forget_snapshot(&w->janitor.snapshot);
    w->janitor.busy = false;
    w->copier.busy = false;
    w->copier.id = 0;
    world_redriver_forget(w);
    world_grouper_forget(w);
}
