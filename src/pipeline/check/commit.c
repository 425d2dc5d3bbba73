#include "pipeline/check/check_int.h"

#include "base/alloc.h"

/*
 * The open commit takes the records of every request of a turn, each straight into the batch of
 * its partition. Before a request begins, its state is marked: counts of slots and parts here,
 * the length of a batch when the request first touches it. A request that fails half way is cut
 * off at the marks, and its neighbours in the same commit do not notice.
 *
 * A batch is begun behind one that has grown large, for the same partition: builders double, and a
 * large one would have twice its memory, and three times while it moves.
 *
 * Failure modes: memory, or the check's budget of it, may run out at any append; arrays are grown
 * before anything is changed, and handing over allocates nothing, so that what was kept is also
 * sent.
 */

/* Of an array that grows. */
#define SLOTS_MIN 4u
/* The largest block that a builder grows to, but for a single record that is larger. */
#define BATCH_TARGET (1u << 20)
/* A record's lengths and deltas, at the most (flow/batch.h). */
#define RECORD_EXTRA 64u

/* The pool keeps so many commits, each with so much memory at the most: enough for a stream of
 * requests of 1 MiB, and little for a server without work. */
#define POOL_COMMITS_MAX 4u
#define POOL_COMMIT_SLOTS_MAX 64u
#define POOL_COMMIT_BYTES_MAX (4u << 20)

static uint64_t slots_bytes(uint32_t count)
{
    return count * (uint64_t)(sizeof(struct pipeline_check_slot) + sizeof(struct flow_append));
}

/* Everything else of a commit is made when it is first needed, and kept for the next use. */
static struct pipeline_check_commit *commit_new(struct pipeline_check *check)
{
    struct pipeline_check_commit *commit = mem_zalloc(1, sizeof(*commit));
    if (!commit)
        return NULL;
    commit->check = check;
    list_init(&commit->requests);
    return commit;
}

void pipeline_check_commit_free(struct pipeline_check_commit *commit)
{
    ASSERT(list_empty(&commit->requests));
    buf_budget_give(&commit->check->budget, slots_bytes(commit->slot_capacity));
    for (uint32_t i = 0; i < commit->slot_ready; i++) {
        flow_batch_builder_done(&commit->slots[i].builder);
        buf_done(&commit->slots[i].keys);
        buf_done(&commit->slots[i].spans);
        buf_done(&commit->slots[i].duplicates);
    }
    mem_free(commit->slots);
    mem_free(commit->appends);
    mem_free(commit->parts);
    mem_free(commit->counts);
    mem_free(commit->settles);
    buf_done(&commit->answer);
    buf_done(&commit->kept);
    mem_free(commit);
}

/* Two arrays of one length, which grow together; a half that has grown alone is not used. */
static err_t grow_pair(void **a, size_t a_size, void **b, size_t b_size, uint32_t *capacity)
{
    uint32_t wanted = *capacity ? *capacity * 2 : SLOTS_MIN;
    void *grown = mem_realloc(*a, wanted, a_size);
    if (!grown)
        return err_make(ERR_MEMORY);
    *a = grown;
    grown = mem_realloc(*b, wanted, b_size);
    if (!grown)
        return err_make(ERR_MEMORY);
    *b = grown;
    *capacity = wanted;
    return err_ok();
}

static err_t grow_slots(struct pipeline_check_commit *commit)
{
    void *slots = commit->slots;
    void *appends = commit->appends;
    struct buf_budget *budget = &commit->check->budget;
    uint32_t before = commit->slot_capacity;
    /* With ten thousand partitions they are megabytes themselves. */
    if (!buf_budget_take(budget, slots_bytes(before ? before * 2 : SLOTS_MIN)))
        return err_make(ERR_MEMORY);
    err_t err = grow_pair(&slots, sizeof(*commit->slots), &appends, sizeof(*commit->appends),
                          &commit->slot_capacity);
    commit->slots = slots;
    commit->appends = appends;
    buf_budget_give(budget, slots_bytes(err_is_ok(err) ? before : before ? before * 2 : SLOTS_MIN));
    return err;
}

static err_t grow_parts(struct pipeline_check_commit *commit)
{
    void *parts = commit->parts;
    void *counts = commit->counts;
    err_t err = grow_pair(&parts, sizeof(*commit->parts), &counts, sizeof(*commit->counts),
                          &commit->part_capacity);
    commit->parts = parts;
    commit->counts = counts;
    return err;
}

/* The topic's part of the commit is there from here on, so that keeping cannot fail. */
static err_t ensure_part(struct pipeline_check_commit *commit, struct flow_inlet_topic *topic)
{
    if (topic->part_at)
        return err_ok();
    if (commit->part_count == commit->part_capacity)
        TRY(grow_parts(commit));
    uint32_t at = commit->part_count++;
    commit->parts[at] = (struct pipeline_check_part){.topic_index = topic->index};
    commit->counts[at] = (struct flow_count){.topic_id = topic->topic_id};
    topic->part_at = at + 1;
    return err_ok();
}

err_t pipeline_check_commit_begin(struct pipeline_check *check, struct flow_inlet_topic *topic)
{
    /* One that was used has memory of about the right size already. */
    if (!check->open && !list_empty(&check->pool)) {
        check->open = CONTAINER_OF(list_pop(&check->pool), struct pipeline_check_commit, link);
        check->pool_count--;
    }
    if (!check->open)
        check->open = commit_new(check);
    struct pipeline_check_commit *commit = check->open;
    if (!commit)
        return err_make(ERR_MEMORY);
    check->request_number++;
    /* What a request adds is behind these marks, so that refusing it leaves the others' records as
     * they were. */
    commit->mark_slot_count = commit->slot_count;
    commit->mark_part_count = commit->part_count;
    commit->mark_size = commit->size;
    return ensure_part(commit, topic);
}

/* One more slot, which no record has touched yet. */
static err_t add_slot(struct pipeline_check_commit *commit, const struct flow_inlet_topic *topic,
                      uint32_t place, struct pipeline_check_slot **out)
{
    if (commit->slot_count == commit->slot_capacity)
        TRY(grow_slots(commit));
    struct pipeline_check_slot *fresh = &commit->slots[commit->slot_count++];
    /* Builders of earlier uses keep their memory; only those never used have to be made. */
    if (commit->slot_count > commit->slot_ready) {
        flow_batch_builder_init(&fresh->builder);
        buf_init(&fresh->keys, 0);
        buf_init(&fresh->spans, 0);
        buf_init(&fresh->duplicates, 0);
        fresh->builder.bytes.budget = &commit->check->budget;
        fresh->keys.budget = &commit->check->budget;
        commit->slot_ready = commit->slot_count;
    }
    ASSERT(fresh->builder.record_count == 0);
    fresh->topic_index = topic->index;
    fresh->place = place;
    fresh->mark_request = 0;
    fresh->whole = NULL;
    fresh->as_sent = slice_make(NULL, 0);
    *out = fresh;
    return err_ok();
}

/* True when the batch is to be another's than what a record of `size` bytes goes to. */
static bool is_full(const struct pipeline_check_slot *slot, size_t size)
{
    const struct flow_batch_builder *builder = &slot->builder;
    return builder->record_count > 0 && builder->bytes.size + size > BATCH_TARGET;
}

/* The slot for `place` that takes `size` bytes more, marked for the current request. */
static err_t touch_slot(struct pipeline_check *check, struct flow_inlet_topic *topic,
                        uint32_t place, size_t size, struct pipeline_check_slot **out)
{
    struct pipeline_check_commit *commit = check->open;
    ASSERT(place <= topic->partition_count);
    if (topic->slot_at[place] && is_full(&commit->slots[topic->slot_at[place] - 1], size))
        topic->slot_at[place] = 0;
    /* The table makes this one look for every record but the first of a place; a search over
     * thousands of partitions would cost more than the record itself. */
    if (!topic->slot_at[place]) {
        TRY(add_slot(commit, topic, place, out));
        topic->slot_at[place] = commit->slot_count;
    }
    struct pipeline_check_slot *slot = &commit->slots[topic->slot_at[place] - 1];
    if (slot->mark_request != check->request_number) {
        slot->mark = flow_batch_builder_mark(&slot->builder);
        slot->mark_request = check->request_number;
    }
    *out = slot;
    return err_ok();
}

/* A latched failure would stay with the slot for its next use. */
static err_t add_or_undo(struct buf *b, const void *data, size_t size)
{
    size_t before = b->size;
    buf_add(b, data, size);
    err_t err = buf_error(b);
    if (err_is_ok(err))
        return err;
    buf_reset(b);
    b->size = before;
    return err;
}

/* The key of the record that is added next, and whose it is. What has been added by an append that
 * fails is taken out with the request. */
static err_t add_key(const struct pipeline_check_pass *pass, struct pipeline_check_slot *slot,
                     const struct flow_fingerprint *key)
{
    uint32_t at = slot->builder.record_count;
    ASSERT(slot->keys.size == at * sizeof(*key));
    /* The first of the request's: its mark was set when the slot was touched. */
    if (at == slot->mark.record_count) {
        const struct pipeline_check_span span = {pass->request, at};
        TRY(add_or_undo(&slot->spans, &span, sizeof(span)));
    }
    /* Room for the answer grows along, a bit a record. */
    while (slot->duplicates.size * 8 <= at)
        TRY(add_or_undo(&slot->duplicates, "", 1));
    return add_or_undo(&slot->keys, key, sizeof(*key));
}

err_t pipeline_check_commit_append(struct pipeline_check_pass *pass, uint32_t place,
                                   const struct flow_record *record,
                                   const struct flow_header *headers, uint32_t header_count,
                                   const struct flow_fingerprint *key)
{
    struct pipeline_check *check = pass->check;
    struct pipeline_check_commit *commit = check->open;
    struct pipeline_check_slot *slot;
    size_t size = RECORD_EXTRA + record->key.size + record->value.size + record->headers.size;
    for (uint32_t i = 0; i < header_count; i++)
        size += RECORD_EXTRA + headers[i].key.size + headers[i].value.size;
    TRY(touch_slot(check, pass->topic, place, size, &slot));
    if (key) {
        TRY(add_key(pass, slot, key));
        commit->size += sizeof(*key);
    }
    size_t before = slot->builder.bytes.size;
    TRY(flow_batch_builder_add_record(&slot->builder, record, headers, header_count));
    commit->size += slot->builder.bytes.size - before;
    /* Looked at after the fact: one record over is little, and is rolled back with the rest. */
    if (commit->size - commit->mark_size > check->request_size_max)
        return err_make(ERR_TOO_LARGE);
    return err_ok();
}

/* In a slot of its own, behind those that hold what came before it for the same partition: the log
 * takes them in their order. */
err_t pipeline_check_commit_whole(struct pipeline_check_pass *pass, struct slice batch,
                                  uint32_t record_count, const struct flow_fingerprint *keys)
{
    struct pipeline_check *check = pass->check;
    struct pipeline_check_commit *commit = check->open;
    struct flow_inlet_topic *topic = pass->topic;
    struct pipeline_check_slot *slot;
    uint32_t place = pass->request->partition;
    ASSERT(batch.size >= FLOW_BATCH_HEADER_SIZE && place < topic->partition_count);
    TRY(add_slot(commit, topic, place, &slot));
    slot->mark = flow_batch_builder_mark(&slot->builder);
    slot->mark_request = check->request_number;
    slot->whole = pass->request;
    /* The request keeps its own bytes until it is answered, so they are not copied. */
    if (batch.data == pass->request->body.data)
        slot->as_sent = batch;
    else
        TRY(add_or_undo(&slot->builder.bytes, batch.data, batch.size));
    if (keys) {
        const struct pipeline_check_span span = {pass->request, 0};
        TRY(add_or_undo(&slot->keys, keys, record_count * sizeof(*keys)));
        TRY(add_or_undo(&slot->spans, &span, sizeof(span)));
        while (slot->duplicates.size * 8 < record_count)
            TRY(add_or_undo(&slot->duplicates, "", 1));
    }
    slot->builder.record_count = record_count;
    /* What comes for the partition behind it has to lie behind it. */
    topic->slot_at[place] = 0;
    commit->size += batch.size + slot->keys.size;
    if (commit->size - commit->mark_size > check->request_size_max)
        return err_make(ERR_TOO_LARGE);
    return err_ok();
}

err_t pipeline_check_commit_settle(struct pipeline_check *check, const struct flow_settle *settle)
{
    struct pipeline_check_commit *commit = check->open;
    ASSERT(commit && commit->settle_count <= commit->settle_capacity);
    if (commit->settle_count == commit->settle_capacity) {
        uint32_t wanted = commit->settle_capacity ? commit->settle_capacity * 2 : 16;
        void *grown = mem_realloc(commit->settles, wanted, sizeof(*commit->settles));
        if (!grown)
            return err_make(ERR_MEMORY);
        commit->settles = grown;
        commit->settle_capacity = wanted;
    }
    ASSERT(commit->settles);
    struct flow_settle *last =
        commit->settle_count > 0 ? &commit->settles[commit->settle_count - 1] : NULL;
    /* Neighbours are one entry. Nothing of a request fails behind this, so none is taken out. */
    bool joins = last && last->topic_id == settle->topic_id &&
                 last->partition == settle->partition && last->kind == settle->kind &&
                 last->end_offset == settle->first_offset;
    if (joins) {
        last->end_offset = settle->end_offset;
        last->record_count += settle->record_count;
    } else {
        commit->settles[commit->settle_count++] = *settle;
    }
    return err_ok();
}

err_t pipeline_check_commit_once(struct pipeline_check_pass *pass)
{
    struct pipeline_check_commit *commit = pass->check->open;
    const struct flow_inlet_once *once = pass->request->once;
    ASSERT(commit->part_count == 1 && commit->mark_part_count == 0 && !commit->once);
    commit->request = (struct flow_request){
        .kind = once->kind,
        .topic_id = pass->topic->topic_id,
        .id = once->id,
        .sequence = once->sequence,
        .batch = once->batch,
        /* It takes no numbers: sent again it is refused again. But when it was taken, by a contract
         * that was another one or a queue that had room, it is not refused for being sent again. */
        .refused =
            once->kind == FLOW_REQUEST_SEQUENCED && pass->tally.records[PIPELINE_CHECK_REFUSED] > 0,
    };
    /* What will be answered if the log takes it, made before it does: behind the flush nothing may
     * fail. */
    buf_reset(&commit->answer);
    if (once->kind == FLOW_REQUEST_KEYED) {
        struct hash128 body = hash_bytes_128(pass->request->body, pass->topic->request_secret);
        TRY(pipeline_check_answer_encode(&pass->tally, pass->request, &commit->answer));
        buf_reset(&commit->kept);
        commit->request.kept = buf_reserve(&commit->kept, FLOW_ANSWER_MAX);
        if (!commit->request.kept) {
            err_t err = buf_error(&commit->kept);
            buf_reset(&commit->kept);
            return err;
        }
        commit->request.body = (struct flow_fingerprint){body.low, body.high};
        commit->request.answer = buf_slice(&commit->answer);
    }
    /* The last step: a request that failed half way must not leave its name to the next. */
    commit->once = pass->request;
    return err_ok();
}

void pipeline_check_commit_keep(struct pipeline_check *check, struct flow_inlet_topic *topic,
                                uint64_t received, const struct pipeline_check_tally *tally)
{
    struct pipeline_check_commit *commit = check->open;
    ASSERT((received > 0 || commit->once) && topic->part_at &&
           topic->part_at <= commit->part_count);
    pipeline_check_tally_add(&commit->parts[topic->part_at - 1].tally, tally);
    struct flow_count *count = &commit->counts[topic->part_at - 1];
    /* With the same commit as the records: the ledger has both or neither. */
    count->received += received;
    count->refused += tally->records[PIPELINE_CHECK_REFUSED];
}

/* Forgets where the topics have slots and parts of the commit from these positions on. */
static void forget_places(struct pipeline_check_commit *commit, uint32_t slot, uint32_t part)
{
    struct flow_inlet_topic *const *topics = commit->check->topics;
    for (uint32_t i = slot; i < commit->slot_count; i++)
        if (!commit->slots[i].whole)
            topics[commit->slots[i].topic_index]->slot_at[commit->slots[i].place] = 0;
    for (uint32_t i = part; i < commit->part_count; i++)
        topics[commit->parts[i].topic_index]->part_at = 0;
}

static void rollback_slot(struct pipeline_check_slot *slot)
{
    uint32_t kept = slot->mark.record_count;
    flow_batch_builder_rollback(&slot->builder, &slot->mark);
    size_t keys = kept * sizeof(struct flow_fingerprint);
    if (slot->keys.size > keys)
        slot->keys.size = keys;
    const struct pipeline_check_span *spans = (const void *)slot->spans.data;
    size_t count = slot->spans.size / sizeof(*spans);
    while (count > 0 && spans[count - 1].first >= kept)
        count--;
    slot->spans.size = count * sizeof(*spans);
}

void pipeline_check_commit_rollback(struct pipeline_check *check)
{
    struct pipeline_check_commit *commit = check->open;
    if (!commit)
        return;
    /* Slots that the request made go with the count; all others it touched know so by its
     * number. */
    for (uint32_t i = 0; i < commit->slot_count; i++) {
        struct pipeline_check_slot *slot = &commit->slots[i];
        if (slot->mark_request == check->request_number)
            rollback_slot(slot);
    }
    forget_places(commit, commit->mark_slot_count, commit->mark_part_count);
    /* What it has grown to without being taken is what others may need. */
    for (uint32_t i = commit->mark_slot_count; check->budget.refused && i < commit->slot_ready;
         i++) {
        buf_done(&commit->slots[i].builder.bytes);
        buf_done(&commit->slots[i].keys);
    }
    commit->slot_count = commit->mark_slot_count;
    commit->part_count = commit->mark_part_count;
    commit->size = commit->mark_size;
    /* An open commit always holds something, so that it can always be handed over. */
    if (commit->part_count == 0) {
        ASSERT(commit->slot_count == 0 && list_empty(&commit->requests));
        check->open = NULL;
        pipeline_check_commit_release(commit);
    }
}

void pipeline_check_commit_hand_over(struct pipeline_check *check,
                                     void (*done)(struct flow_commit *flow))
{
    struct pipeline_check_commit *commit = check->open;
    ASSERT(commit && commit->part_count > 0);
    /* The topics' tables speak of the open commit only. */
    forget_places(commit, 0, 0);
    for (uint32_t i = 0; i < commit->slot_count; i++) {
        struct pipeline_check_slot *slot = &commit->slots[i];
        const struct flow_inlet_topic *topic = check->topics[slot->topic_index];
        /* The place behind the last partition is that of the dead letters. */
        bool dead = slot->place == topic->partition_count;
        struct slice batch = slot->as_sent;
        if (!batch.data)
            batch = slot->whole ? buf_slice(&slot->builder.bytes)
                                : flow_batch_builder_finish(&slot->builder);
        commit->appends[i] = (struct flow_append){
            .topic_id = dead ? topic->dlq_id : topic->topic_id,
            .partition = dead ? 0 : slot->place,
            .kind = dead ? FLOW_APPEND_DEAD_LETTERS : FLOW_APPEND_RECORDS,
            .record_count = slot->builder.record_count,
            .batch = (uint8_t *)(uintptr_t)batch.data,
            .batch_size = batch.size,
            .holes = slot->whole,
            .keys = slot->keys.size > 0 ? (const void *)slot->keys.data : NULL,
            .duplicates = slot->duplicates.data,
        };
    }
    commit->flow = (struct flow_commit){
        .home = check->loop,
        .done = done,
        .appends = commit->appends,
        .append_count = commit->slot_count,
        .counts = commit->counts,
        .count_count = commit->part_count,
        .settles = commit->settles,
        .settle_count = commit->settle_count,
        .request = commit->once ? &commit->request : NULL,
    };
    commit->came_back = false;
    commit->handed_over_ns = io_now_ns(check->loop);
    /* Held against the memory limit until it comes back. */
    check->size_under_way += commit->size;
    check->open = NULL;
    list_add_tail(&check->under_way, &commit->link);
    /* Last: from here on the commit is the log's. */
    flow_log_commit(check->log, &commit->flow);
}

/* Bytes of the values that were left out. */
static uint64_t duplicate_bytes(const struct flow_append *append)
{
    struct flow_batch batch;
    struct flow_record record;
    uint64_t bytes = 0;
    err_t err = flow_batch_parse(slice_make(append->batch, append->batch_size), &batch);
    ASSERT(err_is_ok(err));
    struct flow_batch_iterator it = flow_batch_records(&batch);
    for (uint32_t i = 0; err_is_ok(flow_batch_next(&it, &record)); i++)
        bytes += flow_bit(append->duplicates, i) ? record.value.size : 0;
    return bytes;
}

static void learn_slot(const struct pipeline_check_slot *slot, const struct flow_append *append)
{
    const struct pipeline_check_span *spans = (const void *)slot->spans.data;
    size_t count = slot->spans.size / sizeof(*spans);
    ASSERT(count > 0);
    for (size_t i = 0; i < count; i++) {
        uint32_t end = i + 1 < count ? spans[i + 1].first : append->record_count;
        for (uint32_t r = spans[i].first; r < end; r++) {
            if (!flow_bit(append->duplicates, r))
                continue;
            spans[i].request->accepted--;
            spans[i].request->duplicates++;
        }
    }
}

void pipeline_check_commit_learn_refusal(const struct pipeline_check_commit *commit)
{
    ASSERT(commit->once && !err_is_ok(commit->flow.error));
    commit->once->expected = commit->request.expected;
}

/* All of it was there, whatever it would have become. */
static void learn_repeat(struct pipeline_check_commit *commit)
{
    const struct flow_request *request = &commit->request;
    struct flow_inlet_request *once = commit->once;
    struct pipeline_check_tally *tally = &commit->parts[0].tally;
    struct pipeline_check_tally repeated = {0};
    ASSERT(commit->part_count == 1);
    for (int i = 0; i < PIPELINE_CHECK_OUTCOMES; i++) {
        repeated.records[PIPELINE_CHECK_DUPLICATE] += tally->records[i];
        repeated.bytes[PIPELINE_CHECK_DUPLICATE] += tally->bytes[i];
    }
    *tally = repeated;
    /* What was found wrong with its records is not told: they were not looked at by the log. */
    flow_inlet_request_done(once);
    once->accepted = 0;
    once->dead_lettered = 0;
    once->refused = 0;
    once->duplicates = commit->counts[0].received;
    once->base_offset = request->kind == FLOW_REQUEST_SEQUENCED ? request->base_offset : -1;
    once->forgotten = request->forgotten;
    if (request->kind != FLOW_REQUEST_KEYED)
        return;
    once->replayed = true;
    /* Its records are counted as duplicates all the same: the ledger is about records. */
    once->error = pipeline_check_answer_decode(slice_make(request->kept, request->kept_size),
                                               request->duplicates, once);
}

void pipeline_check_commit_learn(struct pipeline_check_commit *commit)
{
    ASSERT(err_is_ok(commit->flow.error));
    if (commit->once && commit->request.result == FLOW_REQUEST_REPEAT) {
        learn_repeat(commit);
        return;
    }
    for (uint32_t i = 0; i < commit->slot_count; i++) {
        const struct flow_append *append = &commit->appends[i];
        const struct pipeline_check_slot *slot = &commit->slots[i];
        if (slot->whole)
            slot->whole->base_offset = append->base_offset;
        if (append->duplicate_count == 0)
            continue;
        learn_slot(slot, append);
        uint64_t bytes = duplicate_bytes(append);
        for (uint32_t p = 0; p < commit->part_count; p++) {
            struct pipeline_check_tally *tally = &commit->parts[p].tally;
            if (commit->parts[p].topic_index != slot->topic_index)
                continue;
            tally->records[PIPELINE_CHECK_ACCEPTED] -= append->duplicate_count;
            tally->records[PIPELINE_CHECK_DUPLICATE] += append->duplicate_count;
            tally->bytes[PIPELINE_CHECK_ACCEPTED] -= bytes;
            tally->bytes[PIPELINE_CHECK_DUPLICATE] += bytes;
        }
    }
}

/* Kept with the slot for its next use, like the builder's. */
static void reset_slot(struct pipeline_check_slot *slot)
{
    flow_batch_builder_reset(&slot->builder, POOL_COMMIT_BYTES_MAX);
    buf_reset(&slot->keys);
    buf_reset(&slot->spans);
    buf_reset(&slot->duplicates);
}

void pipeline_check_commit_release(struct pipeline_check_commit *commit)
{
    struct pipeline_check *check = commit->check;
    ASSERT(check->open != commit && list_empty(&commit->requests));
    size_t kept = 0;
    for (uint32_t i = 0; i < commit->slot_ready; i++)
        /* All that were ever used, not only this time's: it is memory that is kept, whoever filled
         * it. */
        kept += commit->slots[i].builder.bytes.capacity + commit->slots[i].keys.capacity;
    bool scarce = check->budget.used_bytes > check->budget.limit_bytes / 2;
    if (check->pool_count >= POOL_COMMITS_MAX || kept > POOL_COMMIT_BYTES_MAX || scarce ||
        commit->slot_ready > POOL_COMMIT_SLOTS_MAX) {
        pipeline_check_commit_free(commit);
        return;
    }
    for (uint32_t i = 0; i < commit->slot_count; i++)
        reset_slot(&commit->slots[i]);
    commit->slot_count = 0;
    commit->part_count = 0;
    commit->settle_count = 0;
    commit->once = NULL;
    commit->size = 0;
    /* At the head: the one whose memory is warm is taken first. */
    list_add_head(&check->pool, &commit->link);
    check->pool_count++;
}

bool pipeline_check_commit_drain(struct pipeline_check *check)
{
    bool any = !list_empty(&check->pool);
    ASSERT(any == (check->pool_count > 0));
    for (struct list *link = list_pop(&check->pool); link; link = list_pop(&check->pool))
        pipeline_check_commit_free(CONTAINER_OF(link, struct pipeline_check_commit, link));
    check->pool_count = 0;
    return any;
}
