#include "sim/world.h"

#include <stdio.h>
#include <string.h>

#define DLQ(topic) ((topic) + MODEL_TOPICS / 2)

static void rest(struct world *w, struct io_loop *loop, struct io_timer *timer, uint64_t most_ns)
{
    io_timer_start(loop, timer, below(w, most_ns));
}

static bool is_expected(const struct world *w, err_t err)
{
    (void)w;
    return err_is_ok(err) || err_is(err, ERR_FENCED) || err_is(err, ERR_LOG_FULL) ||
           err_is(err, ERR_BUSY) || err_is(err, ERR_CANCELLED) || err_is(err, ERR_TOO_LARGE) ||
           err_is(err, ERR_NO_SPACE) || err_is(err, ERR_IO) || err_is(err, ERR_MEMORY);
}

/* Producers. */

static void free_slot(struct world_slot *slot)
{
    for (uint32_t i = 0; i < MODEL_APPENDS; i++)
        flow_batch_builder_done(&slot->builders[i]);
    slot->busy = false;
}

static void produced(struct flow_commit *commit)
{
    struct world_slot *slot = CONTAINER_OF(commit, struct world_slot, commit);
    struct world *w = slot->producer->world;
    if (!is_expected(w, commit->error))
        model_fail(&w->model, "commit %u: %s", slot->number, err_name(commit->error));
    world_say(w, "commit %u: %s", slot->number, err_name(commit->error));
    model_answer(&w->model, slot->number, commit, w->options.early_answers);
    free_slot(slot);
}

static struct model_append *add_append(struct world *w, struct model_commit *commit, uint32_t topic,
                                       enum flow_append_kind kind, uint32_t count)
{
    struct model_append *append = &commit->appends[commit->append_count++];
    *append = (struct model_append){
        .topic = topic,
        .partition = (uint32_t)below(w, w->partitions[topic]),
        .kind = kind,
        .count = count,
        .value_size_max = w->value_size_max,
        .base_offset = -1,
    };
    return append;
}

/* What the next commit holds. */
static void plan(struct world *w, struct model_commit *commit)
{
    commit->topic = (uint32_t)below(w, MODEL_TOPICS / 2);
    uint32_t records = (uint32_t)(1 + below(w, 50));
    struct model_append *first = add_append(w, commit, commit->topic, FLOW_APPEND_RECORDS, records);
    if (chance(w, 1, 100)) {
        records = first->count = 2;
        first->value_size_max = MODEL_VALUE_SIZE_MAX;
    }
    if (chance(w, 1, 3)) {
        uint32_t more = (uint32_t)(1 + below(w, 20));
        add_append(w, commit, commit->topic, FLOW_APPEND_RECORDS, more);
        records += more;
    }
    commit->duplicates = below(w, 3);
    commit->refused = below(w, 2);
    commit->received = records + commit->duplicates + commit->refused;
    if (chance(w, 1, 4)) {
        uint32_t letters = (uint32_t)(1 + below(w, 5));
        add_append(w, commit, DLQ(commit->topic), FLOW_APPEND_DEAD_LETTERS, letters);
        commit->received += letters;
    }
}

/* False without memory. */
static bool build(struct world *w, struct world_slot *slot)
{
    const struct model_commit *commit = &w->model.commits[slot->number];
    for (uint32_t i = 0; i < commit->append_count; i++) {
        const struct model_append *append = &commit->appends[i];
        if (!model_build(&w->model, slot->number, i, &slot->builders[i]))
            return false;
        struct slice batch = flow_batch_builder_finish(&slot->builders[i]);
        slot->appends[i] = (struct flow_append){
            .topic_id = w->topic_ids[append->topic],
            .partition = append->partition,
            .kind = append->kind,
            .record_count = append->count,
            .batch = (uint8_t *)(uintptr_t)batch.data,
            .batch_size = batch.size,
        };
    }
    slot->counts = (struct flow_count){
        .topic_id = w->topic_ids[commit->topic],
        .received = commit->received,
        .duplicates = commit->duplicates,
        .refused = commit->refused,
    };
    return true;
}

static void produce(struct world_producer *producer, struct world_slot *slot)
{
    struct world *w = producer->world;
    slot->number = model_add(&w->model, producer->index);
    plan(w, &w->model.commits[slot->number]);
    if (!build(w, slot)) {
        w->model.commits[slot->number].state = MODEL_NOT;
        free_slot(slot);
        return;
    }
    slot->busy = true;
    slot->commit = (struct flow_commit){
        .home = producer->loop,
        .done = produced,
        .appends = slot->appends,
        .append_count = w->model.commits[slot->number].append_count,
        .counts = &slot->counts,
        .count_count = 1,
    };
    w->model.commits[slot->number].size = log_entries_size(&slot->commit);
    flow_log_commit(log_flow(w->log), &slot->commit);
}

static void producer_runs(struct io_timer *timer)
{
    struct world_producer *producer = CONTAINER_OF(timer, struct world_producer, timer);
    struct world *w = producer->world;
    if (!w->acting)
        return;
    for (uint32_t i = 0; i < WORLD_SLOTS; i++)
        if (!producer->slots[i].busy && chance(w, 1, 2))
            produce(producer, &producer->slots[i]);
    rest(w, producer->loop, timer, 2 * IO_MS);
}

/* Sinks. */

static void sink_rests(struct world_sink *sink, uint64_t most_ns)
{
    sink->busy = false;
    rest(sink->world, sink->loop, &sink->timer, most_ns);
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
    else if (!is_expected(w, commit->error))
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
        add_append(w, commit, DLQ(sink->next.topic), FLOW_APPEND_SINK_LETTERS, count);
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
    world_say(w, "sink %u prepare %llu: %s", sink->index, (unsigned long long)sink->change.epoch,
              err_name(commit->error));
    if (err_is_ok(commit->error)) {
        sink->next.prepared = true;
        sink_ends_epoch(sink);
        return;
    }
    if (!is_expected(w, commit->error))
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

static uint64_t count_records(const struct flow_read *read, int64_t from)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < read->batch_count; i++) {
        struct flow_batch batch;
        struct flow_record record;
        if (!err_is_ok(flow_batch_parse(read->batches[i], &batch)))
            return 0;
        struct flow_batch_iterator it = flow_batch_records(&batch);
        while (err_is_ok(flow_batch_next(&it, &record)))
            count += record.offset >= from;
    }
    return count;
}

static void plan_epoch(struct world_sink *sink)
{
    struct world *w = sink->world;
    const struct flow_read *read = &sink->read;
    uint64_t count = count_records(read, read->offset);
    uint64_t dead = chance(w, 1, 4) ? below(w, count < 4 ? count + 1 : 4) : 0;
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

static void check_read_error(struct world *w, const struct flow_read *read)
{
    bool expected = err_is_ok(read->error) || err_is(read->error, ERR_CANCELLED) ||
                    (err_class(read->error) == ERR_CLASS_IO && w->read_faults) ||
                    (err_is(read->error, ERR_CORRUPT) && w->rotten);
    if (!expected)
        model_fail(&w->model, "read of topic id %u partition %u offset %lld: %s", read->topic_id,
                   read->partition, (long long)read->offset, err_name(read->error));
}

static void sink_has_read(struct flow_read *read)
{
    struct world_sink *sink = CONTAINER_OF(read, struct world_sink, read);
    struct world *w = sink->world;
    check_read_error(w, read);
    bool found = err_is_ok(read->error) && read->batch_count > 0;
    if (found) {
        model_batches(&w->model, sink->next.topic, read->partition, read->batches,
                      read->batch_count);
        model_end(&w->model, sink->next.topic, read->partition, read->end_offset);
        plan_epoch(sink);
    }
    flow_log_release(log_flow(w->log), read);
    if (found)
        sink_prepares(sink);
    else
        sink_rests(sink, 10 * IO_MS);
}

/* A sink of number n takes topic n. */
static void sink_reads(struct world_sink *sink)
{
    struct world *w = sink->world;
    sink->next = (struct world_epoch){.topic = sink->index};
    uint32_t partition = (uint32_t)below(w, w->partitions[sink->index]);
    sink->read = (struct flow_read){
        .home = sink->loop,
        .done = sink_has_read,
        .topic_id = w->topic_ids[sink->index],
        .partition = partition,
        .offset = sink->cursors[sink->index][partition],
        .size_max = 1u << (8 + below(w, 10)),
    };
    flow_log_read(log_flow(w->log), &sink->read);
}

static const char *sink_name(const struct world_sink *sink)
{
    return sink->index == 0 ? "first" : "second";
}

static void sink_opened(struct flow_commit *commit)
{
    struct world_sink *sink = CONTAINER_OF(commit, struct world_sink, commit);
    struct world *w = sink->world;
    if (err_is_ok(commit->error))
        sink->id = sink->change.sink_id;
    else if (!is_expected(w, commit->error))
        model_fail(&w->model, "sink %u open: %s", sink->index, err_name(commit->error));
    sink_rests(sink, 10 * IO_MS);
}

static void sink_opens(struct world_sink *sink)
{
    sink->topic_ids[0] = sink->world->topic_ids[sink->index];
    sink->change = (struct flow_sink_change){
        .op = FLOW_SINK_OPEN,
        .name = slice_string(sink_name(sink)),
        .topic_ids = sink->topic_ids,
        .topic_count = 1,
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

/* The log's state of a sink against what the sink was told; unknown outcomes are settled. */
static void sink_learns(struct world_sink *sink, const struct flow_sink_state *state)
{
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
    for (uint32_t i = 0; i < state->cursor_count; i++) {
        const struct flow_cursor_state *cursor = &state->cursors[i];
        MODEL_EXPECT(model, cursor->topic_id == w->topic_ids[sink->index]);
        MODEL_EXPECT(model, cursor->offset == sink->cursors[sink->index][cursor->partition]);
    }
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
    sink_learns(sink, flow_snapshot_sink(snapshot, slice_string(sink_name(sink))));
    flow_snapshot_done(snapshot);
    if (sink->id == 0)
        sink_opens(sink);
    else if (sink->next.prepared)
        sink_ends_epoch(sink);
    else if (sink->next.prepare_asked)
        sink_prepares(sink);
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
    sink->snapshot = (struct flow_snapshot){.home = sink->loop, .done = sink_has_snapshot};
    flow_log_snapshot(log_flow(w->log), &sink->snapshot);
}

void world_sinks_check(struct world *w, const struct flow_snapshot *snapshot)
{
    for (uint32_t i = 0; i < WORLD_SINKS; i++) {
        struct world_sink *sink = &w->sinks[i];
        bool letters = sink->next.commit_asked && sink->next.range.dead_lettered > 0;
        uint64_t epoch = sink->epoch;
        sink_learns(sink, flow_snapshot_sink(snapshot, slice_string(sink_name(sink))));
        if (letters)
            MODEL_EXPECT(&w->model,
                         model_letters(&w->model, i, epoch + 1) == (sink->epoch > epoch ? 1 : 0));
    }
}

/* Probers. */

static void prober_has_read(struct flow_read *read)
{
    struct world_prober *prober = CONTAINER_OF(read, struct world_prober, read);
    struct world *w = prober->world;
    check_read_error(w, read);
    if (err_is_ok(read->error)) {
        model_batches(&w->model, prober->topic, read->partition, read->batches, read->batch_count);
        model_end(&w->model, prober->topic, read->partition, read->end_offset);
    }
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
    prober->topic = (uint32_t)below(w, MODEL_TOPICS);
    uint32_t partition = (uint32_t)below(w, w->partitions[prober->topic]);
    int64_t end = w->model.partitions[prober->topic][partition].durable_end;
    bool wait = chance(w, 1, 2);
    prober->read = (struct flow_read){
        .home = prober->loop,
        .done = prober_has_read,
        .topic_id = w->topic_ids[prober->topic],
        .partition = partition,
        .offset = chance(w, 1, 3) ? end : (int64_t)below(w, (uint64_t)end + 1),
        .size_max = 1u << (4 + below(w, 16)),
        .wait = wait,
    };
    prober->reading = true;
    prober->cancelled = false;
    flow_log_read(log_flow(w->log), &prober->read);
    if (wait || chance(w, 1, 4))
        rest(w, prober->loop, &prober->cancel, 20 * IO_MS);
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
    rest(w, prober->loop, timer, 5 * IO_MS);
}

/* All of them. */

void world_actors_init(struct world *w)
{
    for (uint32_t i = 0; i < WORLD_PRODUCERS; i++) {
        struct world_producer *producer = &w->producers[i];
        *producer = (struct world_producer){
            .world = w, .loop = w->loops[1 + i % 2], .timer = {.run = producer_runs}, .index = i};
        for (uint32_t s = 0; s < WORLD_SLOTS; s++) {
            producer->slots[s].producer = producer;
            for (uint32_t b = 0; b < MODEL_APPENDS; b++)
                flow_batch_builder_init(&producer->slots[s].builders[b]);
        }
    }
    for (uint32_t i = 0; i < WORLD_SINKS; i++) {
        w->sinks[i] = (struct world_sink){
            .world = w, .loop = w->loops[2 - i % 2], .timer = {.run = sink_runs}, .index = i};
        flow_batch_builder_init(&w->sinks[i].letters);
    }
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
        rest(w, w->producers[i].loop, &w->producers[i].timer, 5 * IO_MS);
    for (uint32_t i = 0; i < WORLD_SINKS && !w->no_sinks; i++)
        rest(w, w->sinks[i].loop, &w->sinks[i].timer, 5 * IO_MS);
    for (uint32_t i = 0; i < WORLD_PROBERS; i++)
        rest(w, w->probers[i].loop, &w->probers[i].timer, 5 * IO_MS);
}

bool world_actors_idle(const struct world *w)
{
    for (uint32_t i = 0; i < WORLD_PRODUCERS; i++)
        for (uint32_t s = 0; s < WORLD_SLOTS; s++)
            if (w->producers[i].slots[s].busy)
                return false;
    for (uint32_t i = 0; i < WORLD_SINKS; i++)
        if (w->sinks[i].busy)
            return false;
    for (uint32_t i = 0; i < WORLD_PROBERS; i++)
        if (w->probers[i].reading || w->probers[i].asking)
            return false;
    return true;
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
    for (uint32_t i = 0; i < WORLD_PRODUCERS; i++) {
        struct world_producer *producer = &w->producers[i];
        for (uint32_t s = 0; s < WORLD_SLOTS; s++)
            free_slot(&producer->slots[s]);
    }
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
}
