#include "sim/world.h"

#include <string.h>

#include "base/cursor.h"
#include "base/hash.h"

/*
 * Commits batches of records, dead letters and counts, several at a time, and sends some of them
 * again: by the keys of their records, or by what their requests are named. Some batches are as
 * a producer's of which a part, or all, was not taken: what is left of them is appended, and the
 * rest of their offsets are holes.
 */

static void free_slot(struct world_slot *slot)
{
    for (uint32_t i = 0; i < MODEL_APPENDS; i++)
        flow_batch_builder_done(&slot->builders[i]);
    for (uint32_t i = 0; i < MODEL_APPENDS; i++)
        buf_done(&slot->rests[i]);
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

struct model_append *world_add_append(struct world *w, struct model_commit *commit, uint32_t topic,
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
    for (uint32_t i = 0; i < first->append_count; i++) {
        commit->received += first->appends[i].count;
        commit->duplicates += first->appends[i].count - model_left(&first->appends[i]);
    }
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

/* What is not taken of a batch is counted as duplicates. Where nothing is left, a number of its own
 * or another batch of the commit tells whether it is there. */
static void plan_holes(struct world *w, struct model_commit *commit, struct model_append *append)
{
    bool told = commit->named == MODEL_NAMED_BY_SEQUENCE || commit->append_count > 1;
    uint64_t all = UINT64_MAX >> (64 - append->count);
    uint64_t draw = below(w, 6);
    append->holes = draw == 0   ? all
                    : draw == 1 ? all & sim_random_next(&w->random)
                    : draw == 2 ? all & ~(UINT64_C(1) << below(w, append->count))
                                : 0;
    if (append->holes == all && !told)
        append->holes = 0;
    commit->duplicates += append->count - model_left(append);
}

/* Whoever appends to these topics may have given the records numbers or keys. */
static void plan_all_holes(struct world *w, struct model_commit *commit)
{
    bool by_keys = commit->keyed && commit->named == MODEL_NAMED_NOT;
    bool may = commit->topic == WORLD_KEYED || commit->topic >= MODEL_STATIC;
    for (uint32_t i = 0; may && i < commit->append_count; i++) {
        struct model_append *append = &commit->appends[i];
        if (append->kind != FLOW_APPEND_RECORDS)
            continue;
        if (!by_keys)
            plan_holes(w, commit, append);
        append->holed = append->holes != 0 || (by_keys && chance(w, 1, 2));
        w->model.partitions[append->topic][append->partition].holed |= append->holed;
    }
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
    struct model_append *first =
        world_add_append(w, commit, commit->topic, FLOW_APPEND_RECORDS, records);
    if (chance(w, 1, 100)) {
        records = first->count = 2;
        first->value_size_max = MODEL_VALUE_SIZE_MAX;
    }
    if (chance(w, 1, 3)) {
        uint32_t more = (uint32_t)(1 + below(w, 20));
        world_add_append(w, commit, commit->topic, FLOW_APPEND_RECORDS, more);
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
        world_add_append(w, commit, WORLD_DLQ(commit->topic), FLOW_APPEND_DEAD_LETTERS, letters);
        commit->received += letters;
    }
    plan_all_holes(w, commit);
}

/* The batch as it is appended: without what is not taken. False without memory. */
static bool leave_out(struct flow_append *append, uint64_t holes, struct buf *rest)
{
    uint8_t left_out[8];
    struct flow_batch batch;
    put_u64le(left_out, holes);
    if (!err_is_ok(flow_batch_parse(slice_make(append->batch, append->batch_size), &batch)))
        return false;
    buf_init(rest, 0);
    uint8_t *room = buf_reserve(rest, append->batch_size);
    if (!room)
        return false;
    append->batch_size = flow_batch_without(&batch, left_out, true, room);
    append->batch = room;
    return true;
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
            .record_count = model_left(append),
            .batch = (uint8_t *)(uintptr_t)batch.data,
            .batch_size = batch.size,
            .holes = append->holed,
        };
        if (append->holes != 0 && !leave_out(&slot->appends[i], append->holes, &slot->rests[i]))
            return false;
        if (commit->named == MODEL_NAMED_BY_SEQUENCE && append->kind == FLOW_APPEND_RECORDS) {
            struct flow_sequence sequence = sequence_of(w, number);
            put_sequence(slice_make(slot->appends[i].batch, slot->appends[i].batch_size),
                         &sequence);
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

void world_producers_init(struct world *w)
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
}

void world_producers_forget(struct world *w)
{
    for (uint32_t i = 0; i < WORLD_PRODUCERS; i++) {
        struct world_producer *producer = &w->producers[i];
        for (uint32_t s = 0; s < WORLD_SLOTS; s++)
            free_slot(&producer->slots[s]);
        producer->id_asked = false;
    }
}
