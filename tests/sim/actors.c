#include "sim/world.h"

#include <stdio.h>
#include <string.h>

#include "base/cursor.h"
#include "base/hash.h"

#define DLQ(topic) ((topic) + MODEL_PARENTS)

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

/* Producers. */

static void free_slot(struct world_slot *slot)
{
    for (uint32_t i = 0; i < MODEL_APPENDS; i++)
        flow_batch_builder_done(&slot->builders[i]);
    slot->busy = false;
}

/* A repeat of a batch is told where that lies. One that was answered before its flush may have been
 * lost with it, and lie where it was sent the next time. */
static void check_told_offset(struct world_slot *slot)
{
    struct world *w = slot->producer->world;
    uint32_t repeats = w->model.commits[slot->number].repeats;
    const struct model_commit *first = &w->model.commits[repeats > 0 ? repeats - 1 : slot->number];
    const struct model_append *append = &first->appends[0];
    int64_t known = append->base_offset >= 0 ? append->base_offset : append->found_at;
    if (known >= 0 && first->state != MODEL_EARLY && slot->request.base_offset != known)
        model_fail(&w->model, "commit %u was told offset %lld, it repeats one at %lld",
                   slot->number, (long long)slot->request.base_offset, (long long)known);
}

/* A repeat is one as a whole, and is told what was answered first. */
static uint32_t request_duplicates(struct world_slot *slot)
{
    struct world *w = slot->producer->world;
    const struct flow_request *request = &slot->request;
    bool repeat = request->result == FLOW_REQUEST_REPEAT;
    bool same = request->kept_size == sizeof slot->answer &&
                memcmp(slot->kept, slot->answer, sizeof slot->answer) == 0;
    if (repeat && request->kind == FLOW_REQUEST_KEYED && !same)
        model_fail(&w->model, "commit %u was told another answer", slot->number);
    if (repeat && request->kind == FLOW_REQUEST_SEQUENCED && !request->forgotten)
        check_told_offset(slot);
    return repeat ? (uint32_t)slot->counts.received : 0;
}

static void produced(struct flow_commit *commit)
{
    struct world_slot *slot = CONTAINER_OF(commit, struct world_slot, commit);
    struct world *w = slot->producer->world;
    bool left = err_is(commit->error, ERR_NOT_FOUND) &&
                w->model.commits[slot->number].topic >= MODEL_STATIC;
    bool gap = err_is(commit->error, ERR_SEQUENCE_GAP) && w->model.commits[slot->number].may_gap;
    if (!left && !gap && !world_expects(w, commit->error))
        model_fail(&w->model, "commit %u: %s", slot->number, err_name(commit->error));
    world_say(w, "commit %u: %s", slot->number, err_name(commit->error));
    const struct model_commit *sent = &w->model.commits[slot->number];
    uint32_t duplicates = 0;
    for (uint32_t i = 0; i < commit->append_count && err_is_ok(commit->error); i++)
        duplicates += commit->appends[i].duplicate_count;
    if (commit->request && err_is_ok(commit->error))
        duplicates += request_duplicates(slot);
    if (sent->repeats) {
        model_repeated(&w->model, slot->number, commit, duplicates, w->options.early_answers);
    } else {
        model_answer(&w->model, slot->number, commit, w->options.early_answers);
        model_fresh(&w->model, slot->number, duplicates);
    }
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
        .found_at = -1,
    };
    return append;
}

static bool is_repeatable(const struct world *w, uint32_t number)
{
    const struct model_commit *commit = &w->model.commits[number];
    int64_t window_ms = (int64_t)w->configs[WORLD_KEYED].dedup_window_ms;
    int64_t now_ms = io_wall_ms(w->loops[0]);
    now_ms = now_ms > w->newest_ms ? now_ms : w->newest_ms;
    return commit->keyed && !commit->repeats && !commit->repeating && commit->state != MODEL_SENT &&
           commit->state != MODEL_HIDDEN && now_ms - commit->sent_ms < window_ms / 2;
}

/* The first batch of the last ones that is not known to be there, as a client would send it. */
static uint32_t find_open(const struct world *w)
{
    const struct model *m = &w->model;
    for (uint32_t number = m->count < 30 ? 0 : m->count - 30; number < m->count; number++) {
        const struct model_commit *commit = &m->commits[number];
        bool open = commit->state == MODEL_UNKNOWN || commit->state == MODEL_NOT;
        if (open && commit->named == MODEL_NAMED_BY_SEQUENCE && is_repeatable(w, number))
            return number + 1;
    }
    return 0;
}

/* An answered commit with keys that count, to be sent again; 0 without one. */
static uint32_t find_repeatable(struct world *w)
{
    const struct model *m = &w->model;
    uint32_t open = chance(w, 1, 2) ? find_open(w) : 0;
    if (open > 0)
        return open;
    for (uint32_t tries = 0; tries < 8 && m->count > 0; tries++) {
        /* Mostly one of the last. */
        uint64_t back = below(w, chance(w, 1, 4) ? m->count : m->count < 20 ? m->count : 20);
        uint32_t number = m->count - 1 - (uint32_t)back;
        if (is_repeatable(w, number))
            return number + 1;
    }
    return 0;
}

static bool is_there(const struct world *w, uint32_t number)
{
    return number == 0 || w->model.commits[number - 1].state == MODEL_OK;
}

static void plan_repeat(struct world *w, struct model_commit *commit, uint32_t number)
{
    struct model_commit *first = &w->model.commits[number - 1];
    commit->topic = first->topic;
    commit->keyed = true;
    commit->repeats = number;
    commit->may_gap = !is_there(w, first->before);
    first->resent = first->repeating = true;
    for (uint32_t i = 0; i < first->append_count; i++)
        commit->received += first->appends[i].count;
    if (first->state == MODEL_UNKNOWN || first->state == MODEL_EARLY)
        first->counts = first->counts == MODEL_COUNTS ? MODEL_COUNTS_MAYBE : first->counts;
    /* Not there, and perhaps by this one. */
    if (first->state == MODEL_NOT) {
        first->counts = MODEL_COUNTS_NOT;
        first->state = MODEL_UNKNOWN;
        for (uint32_t i = 0; i < first->append_count; i++)
            first->appends[i].base_offset = -1;
    }
}

/* Some commits to the keyed topic have keys in their records, others are named themselves. */
static void plan_name(struct world *w, struct world_producer *producer, uint32_t number)
{
    struct model_commit *commit = &w->model.commits[number];
    commit->named = (enum model_named)below(w, 3);
    if (commit->append_count == 1 && chance(w, 1, 2))
        commit->named = MODEL_NAMED_BY_SEQUENCE;
    if (commit->named != MODEL_NAMED_BY_NUMBER && commit->named != MODEL_NAMED_BY_SEQUENCE)
        return;
    bool numbered = commit->named == MODEL_NAMED_BY_NUMBER;
    struct world_stream *stream =
        numbered ? &producer->numbered : &producer->sequenced[commit->appends[0].partition];
    enum model_state last = stream->last ? w->model.commits[stream->last - 1].state : MODEL_OK;
    /* What nobody will know any more ends the stream: another producer begins at 0. */
    if (last == MODEL_HIDDEN || last == MODEL_EARLY) {
        stream->stream++;
        stream->next = 0;
        stream->last = 0;
    } else if (last != MODEL_OK && (numbered || last != MODEL_SENT)) {
        /* Its turn comes when the one before is known to be there, be it sent again; of batches
         * several are on their way. */
        commit->named = MODEL_NAMED_BY_KEY;
        return;
    }
    if (!numbered && stream->last == 0) {
        /* One begins when there is an id for it. */
        commit->named = producer->id ? commit->named : MODEL_NAMED_BY_KEY;
        stream->id = producer->id;
        producer->id = 0;
    }
    if (commit->named == MODEL_NAMED_BY_KEY)
        return;
    if (!numbered) {
        commit->producer_id = stream->id;
        commit->before = stream->last;
        commit->may_gap = !is_there(w, stream->last);
    }
    commit->stream = stream->stream;
    commit->sequence = stream->next;
    stream->next += numbered ? 1 : commit->appends[0].count;
    stream->last = number + 1;
}

static struct flow_sequence sequence_of(const struct world *w, uint32_t number)
{
    const struct model_commit *commit = &w->model.commits[number];
    const struct model_append *append = &commit->appends[0];
    return (struct flow_sequence){.producer_id = commit->producer_id,
                                  .partition = append->partition,
                                  .first = (int32_t)commit->sequence,
                                  .count = append->count,
                                  .epoch = 3};
}

/* As a client builds it: the numbers are in the header, under its checksum. */
static void put_sequence(struct slice batch, const struct flow_sequence *sequence)
{
    uint8_t *bytes = (uint8_t *)(uintptr_t)batch.data;
    put_u64be(bytes + 43, (uint64_t)sequence->producer_id);
    put_u16be(bytes + 51, (uint16_t)sequence->epoch);
    put_u32be(bytes + 53, (uint32_t)sequence->first);
    put_u32be(bytes + 17, crc32c(0, bytes + 21, batch.size - 21));
}

/* What the next commit holds. */
static void plan(struct world *w, struct world_producer *producer, uint32_t number)
{
    struct model_commit *commit = &w->model.commits[number];
    uint32_t again = chance(w, 1, 4) ? find_repeatable(w) : 0;
    commit->sent_ms = io_wall_ms(w->loops[0]);
    if (again > 0) {
        plan_repeat(w, commit, again);
        return;
    }
    commit->topic = (uint32_t)below(w, MODEL_PARENTS);
    if (w->coming > 0 && w->topic_ids[w->coming] > 0 && chance(w, 1, 4))
        commit->topic = w->coming;
    commit->sent_ms = io_wall_ms(w->loops[0]);
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
    commit->keyed = commit->topic == WORLD_KEYED && chance(w, 2, 3);
    if (commit->keyed)
        plan_name(w, producer, number);
    bool letters_fit = !commit->keyed || commit->named != MODEL_NAMED_NOT;
    if (letters_fit && commit->topic < MODEL_PARENTS && chance(w, 1, 4)) {
        uint32_t letters = (uint32_t)(1 + below(w, 5));
        add_append(w, commit, DLQ(commit->topic), FLOW_APPEND_DEAD_LETTERS, letters);
        commit->received += letters;
    }
}

/* False without memory. */
static bool build(struct world *w, struct world_slot *slot)
{
    const struct model_commit *own = &w->model.commits[slot->number];
    uint32_t number = own->repeats ? own->repeats - 1 : slot->number;
    const struct model_commit *commit = &w->model.commits[number];
    for (uint32_t i = 0; i < commit->append_count; i++) {
        const struct model_append *append = &commit->appends[i];
        if (!model_build(&w->model, number, i, &slot->builders[i]))
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
        if (commit->named == MODEL_NAMED_BY_SEQUENCE && append->kind == FLOW_APPEND_RECORDS) {
            struct flow_sequence sequence = sequence_of(w, number);
            put_sequence(batch, &sequence);
            slot->appends[i].holes = true;
        }
        if (!commit->keyed || commit->named != MODEL_NAMED_NOT)
            continue;
        model_keys(&w->model, number, i, slot->keys[i]);
        slot->appends[i].keys = slot->keys[i];
        slot->appends[i].duplicates = slot->duplicates[i];
    }
    slot->counts = (struct flow_count){
        .topic_id = w->topic_ids[own->topic],
        .received = own->received,
        .duplicates = own->duplicates,
        .refused = own->refused,
    };
    return true;
}

/* By what the commit, or the one that it repeats, is named. */
static struct flow_request *name_request(struct world *w, struct world_slot *slot, uint32_t number)
{
    const struct model_commit *held = &w->model.commits[number];
    if (held->named == MODEL_NAMED_NOT)
        return NULL;
    slot->request = (struct flow_request){.topic_id = w->topic_ids[held->topic]};
    if (held->named == MODEL_NAMED_BY_NUMBER) {
        slot->request.kind = FLOW_REQUEST_NUMBERED;
        slot->request.id = (struct flow_fingerprint){held->producer + 1u, held->stream};
        slot->request.sequence = held->sequence;
        return &slot->request;
    }
    if (held->named == MODEL_NAMED_BY_SEQUENCE) {
        slot->request.kind = FLOW_REQUEST_SEQUENCED;
        slot->request.batch = sequence_of(w, number);
        return &slot->request;
    }
    put_u64le(slot->answer, number);
    slot->request.kind = FLOW_REQUEST_KEYED;
    slot->request.id = (struct flow_fingerprint){number, 1};
    slot->request.body = (struct flow_fingerprint){number, 2};
    slot->request.answer = slice_make(slot->answer, sizeof slot->answer);
    slot->request.kept = slot->kept;
    return &slot->request;
}

static void produce(struct world_producer *producer, struct world_slot *slot)
{
    struct world *w = producer->world;
    slot->number = model_add(&w->model, producer->index);
    plan(w, producer, slot->number);
    if (!build(w, slot)) {
        struct model_commit *own = &w->model.commits[slot->number];
        own->state = MODEL_NOT;
        if (own->repeats)
            w->model.commits[own->repeats - 1].repeating = false;
        free_slot(slot);
        return;
    }
    const struct model_commit *own = &w->model.commits[slot->number];
    uint32_t number = own->repeats ? own->repeats - 1 : slot->number;
    const struct model_commit *held = &w->model.commits[number];
    slot->busy = true;
    slot->commit = (struct flow_commit){
        .home = producer->loop,
        .done = produced,
        .appends = slot->appends,
        .append_count = held->append_count,
        .counts = &slot->counts,
        .count_count = 1,
        .request = name_request(w, slot, number),
    };
    w->model.commits[slot->number].size = log_entries_size(&slot->commit);
    flow_log_commit(log_flow(w->log), &slot->commit);
}

static void id_given(struct flow_commit *commit)
{
    struct world_producer *producer = CONTAINER_OF(commit, struct world_producer, id_commit);
    struct model *model = &producer->world->model;
    producer->id_asked = false;
    if (!err_is_ok(commit->error) && !world_expects(producer->world, commit->error))
        model_fail(model, "a producer id: %s", err_name(commit->error));
    if (!err_is_ok(commit->error))
        return;
    model_id(model, commit->producer_id);
    producer->id = commit->producer_id;
}

static void ask_id(struct world_producer *producer)
{
    producer->id_asked = true;
    producer->id_commit =
        (struct flow_commit){.home = producer->loop, .done = id_given, .gives_producer_id = true};
    flow_log_commit(log_flow(producer->world->log), &producer->id_commit);
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
    if (!producer->id && !producer->id_asked)
        ask_id(producer);
    world_actor_rests(w, producer->loop, timer, 2 * IO_MS);
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

/* Records that the read gave: no partition of the simulation has holes. */
static uint64_t count_records(const struct flow_read *read)
{
    return (uint64_t)(read->next_offset - read->offset);
}

static void plan_epoch(struct world_sink *sink)
{
    struct world *w = sink->world;
    const struct flow_read *read = &sink->read;
    uint64_t count = count_records(read);
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
        sink->skipped[t][p] += (uint64_t)(cursor->offset - known);
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
        sink->skipped[t][p] += (uint64_t)(least - known);
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
    for (uint32_t i = 0; i < WORLD_PRODUCERS; i++) {
        struct world_producer *producer = &w->producers[i];
        for (uint32_t s = 0; s < WORLD_SLOTS; s++)
            free_slot(&producer->slots[s]);
        producer->id_asked = false;
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
    forget_snapshot(&w->janitor.snapshot);
    w->janitor.busy = false;
    w->copier.busy = false;
    w->copier.id = 0;
    world_redriver_forget(w);
    world_grouper_forget(w);
}
