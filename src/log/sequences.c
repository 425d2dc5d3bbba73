#include "log/sequences.h"

#include "base/alloc.h"
#include "base/assert.h"

/*
 * The happy path: a batch begins with the number behind the last one, so its pair's composed run is
 * told so when the commit is composed; its frame does the same to the durable run, and moves the
 * pair to the end of those in use.
 *
 * Failure modes: a frame that fails leaves numbers that were never there; every composed run is
 * then what the durable one is. A repeat is known by its numbers alone, so it must never be told
 * that it was there where it may not have been: only numbers within an unbroken run count.
 *
 * Forgetting goes by durable frames and their times alone, so that recovery lets go of the same. A
 * pair with something on its way only loses what is durable of it.
 */

/* topic (4), partition (4), producer (8), time (8), length (8), epoch (2), batches (2), zero (4) */
#define PAIR_SIZE 40u
/* first number (4), count (4), base offset (8) */
#define BATCH_SIZE 16u
#define SEQUENCE_MASK ((uint32_t)INT32_MAX)
#define ID_TIME_BITS 41
#define ID_DIRECTORY_BITS 21

_Static_assert(sizeof(struct log_sequence_key) == 16, "no padding in what is hashed");

static struct slice name_of(const struct log_sequence_key *key)
{
    ASSERT(key->topic_id > 0);
    return slice_make((const uint8_t *)key, sizeof *key);
}

static struct log_sequence_key key_of(uint32_t topic_id, const struct flow_sequence *batch)
{
    ASSERT(batch->producer_id >= 0 && batch->epoch >= 0 && batch->first >= 0);
    return (struct log_sequence_key){batch->producer_id, topic_id, batch->partition};
}

void log_sequences_init(struct log_sequences *sequences, uint64_t seed)
{
    ASSERT(sequences);
    *sequences = (struct log_sequences){.used_max = LOG_SEQUENCES_MAX};
    map_init(&sequences->pairs, seed);
    list_init(&sequences->used);
    list_init(&sequences->fresh);
}

static void free_pairs(struct list *pairs)
{
    struct list *link;
    ASSERT(pairs->next);
    while ((link = list_pop(pairs)))
        mem_free(CONTAINER_OF(link, struct log_sequence, link));
}

void log_sequences_done(struct log_sequences *sequences)
{
    ASSERT(sequences->used.next);
    free_pairs(&sequences->used);
    free_pairs(&sequences->fresh);
    map_done(&sequences->pairs);
    *sequences = (struct log_sequences){0};
}

static void move_list(struct list *to, struct list *from)
{
    struct list *link;
    ASSERT(to != from);
    list_init(to);
    while ((link = list_pop(from)))
        list_add_tail(to, link);
}

void log_sequences_move(struct log_sequences *to, struct log_sequences *from)
{
    ASSERT(from->used.next);
    *to = *from;
    move_list(&to->used, &from->used);
    move_list(&to->fresh, &from->fresh);
}

bool log_sequences_are_none(const struct log_sequences *sequences)
{
    ASSERT(sequences->used.next);
    return sequences->next_id == 0 && list_empty(&sequences->used);
}

static struct log_sequence *find(const struct log_sequences *sequences,
                                 const struct log_sequence_key *key)
{
    struct log_sequence *pair = map_get(&sequences->pairs, name_of(key));
    ASSERT(!pair || pair->key.producer_id == key->producer_id);
    return pair;
}

/* Fresh. NULL without memory. */
static struct log_sequence *new_pair(struct log_sequences *sequences,
                                     const struct log_sequence_key *key)
{
    struct log_sequence *pair = mem_zalloc(1, sizeof *pair);
    if (!pair)
        return NULL;
    pair->key = *key;
    ASSERT(!find(sequences, key));
    if (!err_is_ok(map_put(&sequences->pairs, name_of(&pair->key), pair))) {
        mem_free(pair);
        return NULL;
    }
    list_add_tail(&sequences->fresh, &pair->link);
    return pair;
}

static void drop(struct log_sequences *sequences, struct log_sequence *pair)
{
    ASSERT(pair->on_its_way == 0);
    list_remove(&pair->link);
    map_remove(&sequences->pairs, name_of(&pair->key));
    mem_free(pair);
}

static int32_t wrap(int64_t number)
{
    ASSERT(number >= 0);
    return (int32_t)((uint64_t)number & SEQUENCE_MASK);
}

static int32_t next_of(const struct log_sequence_run *run)
{
    ASSERT(run->batch_count > 0);
    const struct log_sequence_batch *last = &run->batches[run->batch_count - 1];
    return wrap((int64_t)last->first + last->count);
}

static void push(struct log_sequence_run *run, const struct flow_sequence *batch,
                 int64_t base_offset)
{
    bool goes_on =
        run->batch_count > 0 && run->epoch == batch->epoch && next_of(run) == batch->first;
    if (!goes_on)
        *run = (struct log_sequence_run){.epoch = batch->epoch};
    if (run->batch_count == FLOW_SEQUENCE_BATCHES) {
        run->batch_count--;
        memmove(run->batches, run->batches + 1, run->batch_count * sizeof run->batches[0]);
    }
    ASSERT(run->batch_count < FLOW_SEQUENCE_BATCHES);
    run->batches[run->batch_count++] =
        (struct log_sequence_batch){batch->first, batch->count, base_offset};
    run->length += batch->count;
}

/* Among the last ones, with just its numbers; NULL. */
static const struct log_sequence_batch *find_batch(const struct log_sequence_run *run,
                                                   const struct flow_sequence *batch)
{
    ASSERT(run->batch_count <= FLOW_SEQUENCE_BATCHES);
    for (uint32_t i = 0; i < run->batch_count; i++) {
        if (run->batches[i].first == batch->first && run->batches[i].count == batch->count)
            return &run->batches[i];
    }
    return NULL;
}

/* Whether each of the batch's numbers was there, and no later than half a turn of them ago: what
 * is further behind is as near in front. */
static bool was_there(const struct log_sequence_run *run, const struct flow_sequence *batch)
{
    uint32_t age = ((uint32_t)next_of(run) - (uint32_t)batch->first) & SEQUENCE_MASK;
    ASSERT(run->length > 0);
    return age >= batch->count && age <= run->length && age <= SEQUENCE_MASK / 2;
}

/* A batch of the epoch that the partition is in. */
static void decide_in_run(struct log_sequences *sequences, const struct log_sequence_run *run,
                          struct flow_request *request)
{
    const struct log_sequence_batch *known = find_batch(run, &request->batch);
    request->expected = (uint64_t)next_of(run);
    if (known) {
        request->result = FLOW_REQUEST_REPEAT;
        request->base_offset = known->base_offset;
        sequences->counts.repeats++;
    } else if ((uint64_t)request->batch.first == request->expected) {
        request->result = FLOW_REQUEST_FIRST;
    } else if (was_there(run, &request->batch)) {
        request->result = FLOW_REQUEST_REPEAT;
        request->forgotten = true;
        sequences->counts.repeats++;
        sequences->counts.forgotten++;
    } else {
        request->result = FLOW_REQUEST_GAP;
        sequences->counts.gaps++;
    }
    ASSERT(request->result <= FLOW_REQUEST_GAP);
}

/* Both of one data directory. */
static bool same_range(int64_t a, int64_t b)
{
    ASSERT(a >= 0 && b >= 0);
    return a >> ID_TIME_BITS == b >> ID_TIME_BITS;
}

static bool was_given(const struct log_sequences *sequences, int64_t producer_id)
{
    ASSERT(producer_id >= 0);
    return producer_id < sequences->next_id && same_range(producer_id, sequences->next_id);
}

/* What was forgotten in the directory that this one is a copy of does not count. */
static bool may_be_forgotten(const struct log_sequences *sequences, int64_t producer_id)
{
    ASSERT(sequences->forgotten_below >= 0);
    return producer_id < sequences->forgotten_below &&
           same_range(producer_id, sequences->forgotten_below - 1);
}

/* Its first batch of the partition has to be the first one that it sends. */
static bool begins_at_0(const struct log_sequences *sequences, int64_t producer_id)
{
    ASSERT(producer_id >= 0);
    return was_given(sequences, producer_id) && !may_be_forgotten(sequences, producer_id);
}

void log_sequences_decide(struct log_sequences *sequences, struct flow_request *request)
{
    const struct log_sequence_key key = key_of(request->topic_id, &request->batch);
    const struct log_sequence *pair = find(sequences, &key);
    const struct log_sequence_run *run = pair ? &pair->composed : NULL;
    request->result = FLOW_REQUEST_FIRST;
    request->expected = 0;
    request->base_offset = -1;
    request->forgotten = false;
    ASSERT(request->kind == FLOW_REQUEST_SEQUENCED);
    bool known = run && run->batch_count > 0;
    bool was = known && request->batch.epoch == run->epoch && was_there(run, &request->batch);
    if (request->refused && !was)
        return;
    if (known && request->batch.epoch == run->epoch) {
        decide_in_run(sequences, run, request);
    } else if (known && request->batch.epoch < run->epoch) {
        request->result = FLOW_REQUEST_OLD_EPOCH;
        sequences->counts.old_epochs++;
    } else if (request->batch.first != 0 &&
               (known || begins_at_0(sequences, request->batch.producer_id))) {
        request->result = FLOW_REQUEST_GAP;
        sequences->counts.gaps++;
    }
}

err_t log_sequences_add(struct log_sequences *sequences, const struct flow_request *request)
{
    const struct log_sequence_key key = key_of(request->topic_id, &request->batch);
    struct log_sequence *pair = find(sequences, &key);
    ASSERT(request->result == FLOW_REQUEST_FIRST);
    if (!pair)
        pair = new_pair(sequences, &key);
    if (!pair)
        return err_make(ERR_MEMORY);
    push(&pair->composed, &request->batch, request->base_offset);
    pair->on_its_way++;
    return err_ok();
}

void log_sequences_forget(struct log_sequences *sequences)
{
    LIST_EACH_SAFE (link, &sequences->fresh) {
        struct log_sequence *pair = CONTAINER_OF(link, struct log_sequence, link);
        ASSERT(pair->durable.batch_count == 0);
        pair->on_its_way = 0;
        drop(sequences, pair);
    }
    /* All of them: it is rare, and who has something on its way is in no list of its own. */
    LIST_EACH (link, &sequences->used) {
        struct log_sequence *pair = CONTAINER_OF(link, struct log_sequence, link);
        if (pair->on_its_way > 0)
            pair->composed = pair->durable;
        pair->on_its_way = 0;
    }
}

/* What is durable of it is not known any more. */
static void lose(struct log_sequences *sequences, struct log_sequence *pair)
{
    int64_t id = pair->key.producer_id;
    ASSERT(sequences->used_count > 0);
    sequences->used_count--;
    /* One from elsewhere may be larger than all that were given here, and says nothing of them. */
    if (begins_at_0(sequences, id))
        sequences->forgotten_below = id + 1;
    if (pair->on_its_way == 0) {
        drop(sequences, pair);
        return;
    }
    pair->durable = (struct log_sequence_run){0};
    list_remove(&pair->link);
    list_add_tail(&sequences->fresh, &pair->link);
}

static struct log_sequence *oldest(const struct log_sequences *sequences)
{
    ASSERT(!list_empty(&sequences->used));
    return CONTAINER_OF(sequences->used.next, struct log_sequence, link);
}

/* Times come from a disk too: none is so far from another that their difference overflows. */
static bool is_idle(const struct log_sequences *sequences)
{
    const struct log_sequence *pair = oldest(sequences);
    ASSERT(pair->last_ms >= 0 && pair->last_ms <= sequences->newest_ms);
    return (uint64_t)(sequences->newest_ms - pair->last_ms) >= FLOW_SEQUENCE_IDLE_MS;
}

/* As young as what was settled before it, whatever its frame says: the list is walked from its old
 * end. */
static void use(struct log_sequences *sequences, struct log_sequence *pair, int64_t commit_ms)
{
    ASSERT(pair->durable.batch_count > 0);
    if (commit_ms > sequences->newest_ms)
        sequences->newest_ms = commit_ms;
    pair->last_ms = sequences->newest_ms;
    list_remove(&pair->link);
    list_add_tail(&sequences->used, &pair->link);
}

err_t log_sequences_settle(struct log_sequences *sequences, const struct log_entry_sequenced *entry,
                           int64_t commit_ms)
{
    const struct log_sequence_key key = key_of(entry->topic_id, &entry->batch);
    struct log_sequence *pair = find(sequences, &key);
    ASSERT(commit_ms >= 0 || sequences->newest_ms >= 0);
    if (!pair)
        pair = new_pair(sequences, &key);
    if (!pair)
        return err_make(ERR_MEMORY);
    sequences->used_count += pair->durable.batch_count == 0;
    push(&pair->durable, &entry->batch, entry->base_offset);
    if (pair->on_its_way > 0)
        pair->on_its_way--;
    if (pair->on_its_way == 0)
        pair->composed = pair->durable;
    use(sequences, pair, commit_ms);
    while (is_idle(sequences)) {
        sequences->counts.idle++;
        lose(sequences, oldest(sequences));
    }
    while (sequences->used_count > sequences->used_max) {
        sequences->counts.displaced++;
        lose(sequences, oldest(sequences));
    }
    return err_ok();
}

void log_sequences_drop_topic(struct log_sequences *sequences, uint32_t topic_id)
{
    ASSERT(topic_id > 0);
    LIST_EACH_SAFE (link, &sequences->used) {
        struct log_sequence *pair = CONTAINER_OF(link, struct log_sequence, link);
        if (pair->key.topic_id == topic_id)
            lose(sequences, pair);
    }
}

int64_t log_sequences_give_id(struct log_sequences *sequences, uint32_t directory, int64_t now_ms)
{
    uint64_t first = (uint64_t)(directory >> (32 - ID_DIRECTORY_BITS)) << ID_TIME_BITS;
    int64_t least = (int64_t)(first | ((uint64_t)now_ms & ((UINT64_C(1) << ID_TIME_BITS) - 1)));
    /* A copy of another directory goes on in a range of its own: the other one gives the next. */
    bool goes_on = same_range(sequences->next_id_composed, least);
    int64_t id =
        goes_on && sequences->next_id_composed > least ? sequences->next_id_composed : least;
    ASSERT(id >= 0 && id < INT64_MAX);
    sequences->next_id_composed = id + 1;
    return id;
}

void log_sequences_settle_id(struct log_sequences *sequences, int64_t producer_id)
{
    ASSERT(producer_id >= 0 && producer_id < INT64_MAX);
    sequences->next_id = producer_id + 1;
    /* While the log runs it is further already. */
    if (!same_range(sequences->next_id_composed, sequences->next_id) ||
        sequences->next_id_composed < sequences->next_id)
        sequences->next_id_composed = sequences->next_id;
}

static void add_pair(struct buf *out, const struct log_sequence *pair)
{
    const struct log_sequence_run *run = &pair->durable;
    ASSERT(run->batch_count > 0);
    buf_add_u32le(out, pair->key.topic_id);
    buf_add_u32le(out, pair->key.partition);
    buf_add_u64le(out, (uint64_t)pair->key.producer_id);
    buf_add_u64le(out, (uint64_t)pair->last_ms);
    buf_add_u64le(out, run->length);
    buf_add_u16le(out, (uint16_t)run->epoch);
    buf_add_u16le(out, run->batch_count);
    buf_add_u32le(out, 0);
    for (uint32_t i = 0; i < run->batch_count; i++) {
        buf_add_u32le(out, (uint32_t)run->batches[i].first);
        buf_add_u32le(out, run->batches[i].count);
        buf_add_u64le(out, (uint64_t)run->batches[i].base_offset);
    }
}

void log_sequences_encode(const struct log_sequences *sequences, struct buf *out)
{
    ASSERT(sequences->used.next);
    buf_add_u64le(out, (uint64_t)sequences->next_id);
    buf_add_u64le(out, (uint64_t)sequences->forgotten_below);
    buf_add_u32le(out, sequences->used_count);
    buf_add_u32le(out, 0);
    LIST_EACH (link, &sequences->used)
        add_pair(out, CONTAINER_OF(link, struct log_sequence, link));
}

/* In their order, each behind the one before it, or a repeat would be told what never was. */
static void take_batches(struct cursor *c, struct log_sequence_run *run, uint32_t count)
{
    struct log_sequence_run read = {0};
    uint64_t known = 0;
    for (uint32_t i = 0; i < count && cursor_ok(c); i++) {
        struct flow_sequence batch = {
            .first = (int32_t)cursor_u32le(c), .count = cursor_u32le(c), .epoch = run->epoch};
        int64_t base_offset = (int64_t)cursor_u64le(c);
        if (!cursor_ok(c) || batch.first < 0 || batch.count == 0 || batch.count > INT32_MAX ||
            base_offset < -1 || (i > 0 && next_of(&read) != batch.first)) {
            cursor_fail(c);
            return;
        }
        push(&read, &batch, base_offset);
        known += batch.count;
    }
    ASSERT(read.batch_count <= FLOW_SEQUENCE_BATCHES);
    if (run->length < known)
        cursor_fail(c);
    read.length = run->length;
    *run = read;
}

static err_t take_pair(struct log_sequences *sequences, struct cursor *c,
                       bool (*exists)(const void *context, uint32_t topic_id, uint32_t partition),
                       const void *context)
{
    struct log_sequence_key key = {.topic_id = cursor_u32le(c), .partition = cursor_u32le(c)};
    key.producer_id = (int64_t)cursor_u64le(c);
    int64_t ms = (int64_t)cursor_u64le(c);
    struct log_sequence_run run = {.length = cursor_u64le(c), .epoch = (int16_t)cursor_u16le(c)};
    uint32_t count = cursor_u16le(c);
    uint32_t reserved = cursor_u32le(c);
    ASSERT(sequences->newest_ms >= 0);
    /* In the order of time, or the walks from the front would end too soon. */
    if (!cursor_ok(c) || !exists(context, key.topic_id, key.partition) || key.producer_id < 0 ||
        ms < sequences->newest_ms || run.epoch < 0 || count == 0 || count > FLOW_SEQUENCE_BATCHES ||
        reserved != 0 || find(sequences, &key))
        return err_make(ERR_CORRUPT);
    take_batches(c, &run, count);
    if (!cursor_ok(c))
        return err_make(ERR_CORRUPT);
    struct log_sequence *pair = new_pair(sequences, &key);
    if (!pair)
        return err_make(ERR_MEMORY);
    pair->durable = pair->composed = run;
    sequences->used_count++;
    use(sequences, pair, ms);
    return err_ok();
}

err_t log_sequences_decode(struct log_sequences *sequences, struct cursor *c,
                           bool (*exists)(const void *context, uint32_t topic_id,
                                          uint32_t partition),
                           const void *context)
{
    int64_t next_id = (int64_t)cursor_u64le(c);
    int64_t forgotten_below = (int64_t)cursor_u64le(c);
    uint32_t count = cursor_u32le(c);
    uint32_t reserved = cursor_u32le(c);
    ASSERT(log_sequences_are_none(sequences));
    /* So memory that is taken is never much more than the file itself. */
    if (!cursor_ok(c) || next_id < 0 || forgotten_below < 0 || reserved != 0 ||
        count > c->rest.size / (PAIR_SIZE + BATCH_SIZE))
        return err_make(ERR_CORRUPT);
    sequences->next_id = sequences->next_id_composed = next_id;
    sequences->forgotten_below = forgotten_below;
    for (uint32_t i = 0; i < count; i++)
        TRY(take_pair(sequences, c, exists, context));
    return err_ok();
}
