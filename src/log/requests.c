#include "log/requests.h"

#include "base/alloc.h"
#include "base/assert.h"

/*
 * The happy path: a producer's number is the next one, so its place in the map is told so when the
 * commit is composed, and its frame makes it durable and moves it to the end of those in use. An
 * answer goes to the list of those on their way, and from there to the end of those kept.
 *
 * Failure modes: a frame that fails leaves numbers that were never given and answers that were
 * never sent; both are taken back, and who had left for one of them is back in front. What is
 * settled while the log runs is in its place already, so that a durable frame needs no memory.
 *
 * Forgetting is decided by time twice, when a request is judged and when a frame is applied. The
 * times differ a little, and so may what is forgotten in recovery: only who counts as forgotten
 * in both. Whoever has to make room sooner is named by the entry of the one that takes it.
 */

/* A map's entry, with the free ones beside it. */
#define PLACE_BYTES (2 * sizeof(struct map_entry))

#define PRODUCER_SIZE 32u
#define ANSWER_SIZE 52u

static struct slice name_of(const struct flow_fingerprint *id)
{
    ASSERT(id);
    return slice_make((const uint8_t *)id, sizeof *id);
}

static bool same(const struct flow_fingerprint *a, const struct flow_fingerprint *b)
{
    ASSERT(a && b);
    return a->low == b->low && a->high == b->high;
}

static uint64_t answer_bytes(const struct log_answer *answer)
{
    ASSERT(answer->size <= FLOW_ANSWER_MAX);
    return sizeof *answer + answer->size + PLACE_BYTES;
}

struct log_requests *log_requests_new(uint64_t seed)
{
    struct log_requests *requests = mem_zalloc(1, sizeof *requests);
    if (!requests)
        return NULL;
    map_init(&requests->producers, seed);
    map_init(&requests->answers, seed);
    list_init(&requests->used);
    list_init(&requests->fresh);
    list_init(&requests->leaving);
    list_init(&requests->kept);
    list_init(&requests->coming);
    requests->answers_bytes_max = LOG_ANSWERS_BYTES;
    requests->producers_max = LOG_PRODUCERS_MAX;
    ASSERT(list_empty(&requests->kept));
    return requests;
}

static void free_producers(struct list *producers)
{
    struct list *link;
    ASSERT(producers->next);
    while ((link = list_pop(producers)))
        mem_free(CONTAINER_OF(link, struct log_producer, link));
}

static void free_answers(struct list *answers)
{
    struct list *link;
    ASSERT(answers->next);
    while ((link = list_pop(answers)))
        mem_free(CONTAINER_OF(link, struct log_answer, link));
}

void log_requests_free(struct log_requests **pointer)
{
    ASSERT(pointer);
    struct log_requests *requests = *pointer;
    if (!requests)
        return;
    free_producers(&requests->used);
    free_producers(&requests->fresh);
    free_producers(&requests->leaving);
    free_answers(&requests->kept);
    free_answers(&requests->coming);
    map_done(&requests->producers);
    map_done(&requests->answers);
    mem_free(requests);
    *pointer = NULL;
}

bool log_requests_are_none(const struct log_requests *requests)
{
    ASSERT(requests->used.next && requests->kept.next);
    return list_empty(&requests->used) && list_empty(&requests->leaving) &&
           list_empty(&requests->kept);
}

static void drop_answer(struct log_requests *requests, struct log_answer *answer)
{
    ASSERT(answer->durable && requests->kept_bytes >= answer_bytes(answer));
    requests->kept_bytes -= answer_bytes(answer);
    list_remove(&answer->link);
    map_remove(&requests->answers, name_of(&answer->key));
    mem_free(answer);
}

/* For ever: whoever has something on its way is not let go of. */
static void drop_producer(struct log_requests *requests, struct log_producer *producer)
{
    ASSERT(producer->on_its_way == 0);
    list_remove(&producer->link);
    map_remove(&requests->producers, name_of(&producer->id));
    mem_free(producer);
}

/* Times come from a disk too: none is so far from another that their difference overflows. */
static uint64_t age_ms(int64_t now_ms, int64_t since_ms)
{
    ASSERT(since_ms >= 0);
    return now_ms > since_ms ? (uint64_t)(now_ms - since_ms) : 0;
}

/* What is settled is as young as what was settled before it, whatever its frame says: the lists
 * are walked from their old ends. */
static int64_t settled_ms(struct log_requests *requests, int64_t commit_ms)
{
    if (commit_ms > requests->newest_ms)
        requests->newest_ms = commit_ms;
    ASSERT(requests->newest_ms >= 0);
    return requests->newest_ms;
}

/* Both lists are in the order of time: the first that stays ends the walk. */
static void expire(struct log_requests *requests, int64_t now_ms)
{
    ASSERT(requests->used.next && requests->kept.next);
    while (!list_empty(&requests->used)) {
        struct log_producer *oldest = CONTAINER_OF(requests->used.next, struct log_producer, link);
        if (oldest->on_its_way > 0 || age_ms(now_ms, oldest->last_ms) < FLOW_PRODUCER_IDLE_MS)
            break;
        requests->counts.idle++;
        drop_producer(requests, oldest);
    }
    while (!list_empty(&requests->kept)) {
        struct log_answer *oldest = CONTAINER_OF(requests->kept.next, struct log_answer, link);
        if (age_ms(now_ms, oldest->commit_ms) < FLOW_ANSWER_KEPT_MS)
            break;
        drop_answer(requests, oldest);
    }
}

static void decide_number(struct log_requests *requests, struct flow_request *request)
{
    const struct log_producer *producer = map_get(&requests->producers, name_of(&request->id));
    /* By what is on its way too: a client may have several requests under way, in their order. */
    uint64_t next = producer ? producer->next_composed : 0;
    ASSERT(request->sequence <= FLOW_SEQUENCE_MAX);
    request->expected = next;
    if (request->sequence > next) {
        request->result = FLOW_REQUEST_GAP;
        requests->counts.gaps++;
    } else if (request->sequence < next) {
        request->result = FLOW_REQUEST_REPEAT;
        requests->counts.repeats[FLOW_REQUEST_NUMBERED]++;
    }
}

static void decide_key(struct log_requests *requests, struct flow_request *request)
{
    const struct log_answer *answer = map_get(&requests->answers, name_of(&request->id));
    ASSERT(request->kept);
    if (!answer)
        return;
    /* A client that draws its keys badly must not be given the answer to something else. */
    if (!same(&answer->body, &request->body)) {
        request->result = FLOW_REQUEST_OTHER_BODY;
        requests->counts.other_bodies++;
        return;
    }
    /* A copy: by the time that the commit comes back the answer may have gone. */
    request->result = FLOW_REQUEST_REPEAT;
    request->duplicates = answer->duplicates;
    request->kept_size = answer->size;
    memcpy(request->kept, answer->bytes, answer->size);
    requests->counts.repeats[FLOW_REQUEST_KEYED]++;
}

void log_requests_decide(struct log_requests *requests, struct flow_request *request,
                         int64_t now_ms)
{
    request->result = FLOW_REQUEST_FIRST;
    request->expected = 0;
    request->kept_size = 0;
    request->duplicates = 0;
    request->forgets = (struct flow_fingerprint){0};
    expire(requests, now_ms);
    ASSERT(request->kind <= FLOW_REQUEST_KEYED);
    if (request->kind == FLOW_REQUEST_NUMBERED)
        decide_number(requests, request);
    else
        decide_key(requests, request);
}

/* Whose place may be taken, or NULL. Who has just come back after a while is passed over: there are
 * few of them. */
static struct log_producer *find_idle(const struct log_requests *requests, int64_t now_ms)
{
    ASSERT(requests->used.next);
    LIST_EACH (link, &requests->used) {
        struct log_producer *producer = CONTAINER_OF(link, struct log_producer, link);
        if (age_ms(now_ms, producer->last_ms) < FLOW_PRODUCER_YIELD_MS)
            return NULL;
        if (producer->on_its_way == 0)
            return producer;
    }
    return NULL;
}

/* Known from here on, at the beginning; in no list. NULL without memory. */
static struct log_producer *new_producer(struct log_requests *requests,
                                         const struct flow_fingerprint *id)
{
    struct log_producer *producer = mem_zalloc(1, sizeof *producer);
    if (!producer)
        return NULL;
    producer->id = *id;
    ASSERT(!map_get(&requests->producers, name_of(id)));
    if (err_is_ok(map_put(&requests->producers, name_of(&producer->id), producer)))
        return producer;
    mem_free(producer);
    return NULL;
}

static err_t add_producer(struct log_requests *requests, struct flow_request *request,
                          int64_t now_ms, struct log_producer **out)
{
    struct log_producer *idle = NULL;
    ASSERT(request->sequence == 0);
    if (requests->producers.count >= requests->producers_max) {
        idle = find_idle(requests, now_ms);
        requests->counts.refused += !idle;
        if (!idle)
            return err_make(ERR_PRODUCERS_FULL);
    }
    *out = new_producer(requests, &request->id);
    if (!*out)
        return err_make(ERR_MEMORY);
    list_add_tail(&requests->fresh, &(*out)->link);
    /* Not freed before the frame is durable: until then it may have to come back. */
    if (idle) {
        request->forgets = idle->id;
        list_remove(&idle->link);
        list_add_tail(&requests->leaving, &idle->link);
        map_remove(&requests->producers, name_of(&idle->id));
    }
    return err_ok();
}

static err_t add_number(struct log_requests *requests, struct flow_request *request, int64_t now_ms)
{
    struct log_producer *producer = map_get(&requests->producers, name_of(&request->id));
    if (!producer)
        TRY(add_producer(requests, request, now_ms, &producer));
    ASSERT(producer->next_composed == request->sequence);
    producer->next_composed = request->sequence + 1;
    producer->on_its_way++;
    return err_ok();
}

/* In the map from here on, in no list. NULL without memory. */
static struct log_answer *new_answer(struct log_requests *requests,
                                     const struct log_entry_answer *from)
{
    /* One piece of memory each, since most of them are small and all go one by one. */
    struct log_answer *answer = mem_alloc(sizeof *answer + from->answer.size);
    if (!answer)
        return NULL;
    *answer = (struct log_answer){.key = from->key,
                                  .body = from->body,
                                  .duplicates = from->duplicates,
                                  .size = (uint32_t)from->answer.size};
    ASSERT(from->answer.size <= FLOW_ANSWER_MAX);
    if (from->answer.size > 0)
        memcpy(answer->bytes, from->answer.data, from->answer.size);
    if (err_is_ok(map_put(&requests->answers, name_of(&answer->key), answer)))
        return answer;
    mem_free(answer);
    return NULL;
}

err_t log_requests_add(struct log_requests *requests, struct flow_request *request, int64_t now_ms)
{
    ASSERT(request->result == FLOW_REQUEST_FIRST);
    if (request->kind == FLOW_REQUEST_NUMBERED)
        return add_number(requests, request, now_ms);
    struct log_answer *answer =
        new_answer(requests, &(struct log_entry_answer){.key = request->id,
                                                        .body = request->body,
                                                        .duplicates = request->duplicates,
                                                        .answer = request->answer});
    if (!answer)
        return err_make(ERR_MEMORY);
    list_add_tail(&requests->coming, &answer->link);
    return err_ok();
}

/* Who left comes back to the front, where the longest idle stand, the last of them first. */
static void bring_back(struct log_requests *requests)
{
    while (!list_empty(&requests->leaving)) {
        struct list *link = requests->leaving.prev;
        struct log_producer *producer = CONTAINER_OF(link, struct log_producer, link);
        list_remove(link);
        list_add_head(&requests->used, link);
        err_t put = map_put(&requests->producers, name_of(&producer->id), producer);
        /* The one for which it left is out again, and a map does not shrink. */
        ASSERT(err_is_ok(put));
    }
}

void log_requests_forget(struct log_requests *requests)
{
    LIST_EACH_SAFE (link, &requests->coming) {
        struct log_answer *answer = CONTAINER_OF(link, struct log_answer, link);
        map_remove(&requests->answers, name_of(&answer->key));
        list_remove(link);
        mem_free(answer);
    }
    LIST_EACH_SAFE (link, &requests->fresh) {
        struct log_producer *producer = CONTAINER_OF(link, struct log_producer, link);
        ASSERT(producer->next == 0);
        producer->on_its_way = 0;
        drop_producer(requests, producer);
    }
    /* All of them: it is rare, and who has something on its way is in no list of its own. */
    LIST_EACH (link, &requests->used) {
        struct log_producer *producer = CONTAINER_OF(link, struct log_producer, link);
        producer->on_its_way = 0;
        producer->next_composed = producer->next;
    }
    bring_back(requests);
}

/* The producer whose place is taken goes: it waits for that, or, in recovery, is in its place. */
static void displace(struct log_requests *requests, const struct flow_fingerprint *id)
{
    struct log_producer *producer = NULL;
    if (flow_fingerprint_is_none(id))
        return;
    if (!list_empty(&requests->leaving))
        producer = CONTAINER_OF(requests->leaving.next, struct log_producer, link);
    if (producer && same(&producer->id, id)) {
        list_remove(&producer->link);
        mem_free(producer);
    } else {
        /* Forgotten by time, perhaps, which goes by the frames here and by the clock there. */
        producer = map_get(&requests->producers, name_of(id));
        if (!producer)
            return;
        ASSERT(producer->on_its_way == 0);
        drop_producer(requests, producer);
    }
    requests->counts.displaced++;
}

err_t log_requests_settle_number(struct log_requests *requests,
                                 const struct log_entry_sequence *entry, int64_t commit_ms)
{
    ASSERT(entry->sequence <= FLOW_SEQUENCE_MAX);
    displace(requests, &entry->forgets);
    struct log_producer *producer = map_get(&requests->producers, name_of(&entry->producer));
    if (!producer)
        producer = new_producer(requests, &entry->producer);
    if (!producer)
        return err_make(ERR_MEMORY);
    /* As the entry says, and not one more than it was: it may have been forgotten in between. */
    producer->next = entry->sequence + 1;
    if (producer->on_its_way > 0)
        producer->on_its_way--;
    if (producer->on_its_way == 0)
        producer->next_composed = producer->next;
    producer->last_ms = settled_ms(requests, commit_ms);
    list_remove(&producer->link);
    list_add_tail(&requests->used, &producer->link);
    expire(requests, commit_ms);
    return err_ok();
}

static void keep(struct log_requests *requests, struct log_answer *answer, int64_t commit_ms)
{
    ASSERT(!answer->durable);
    list_remove(&answer->link);
    list_add_tail(&requests->kept, &answer->link);
    answer->durable = true;
    answer->commit_ms = commit_ms;
    requests->kept_bytes += answer_bytes(answer);
}

err_t log_requests_settle_answer(struct log_requests *requests,
                                 const struct log_entry_answer *entry, int64_t commit_ms)
{
    struct log_answer *answer = map_get(&requests->answers, name_of(&entry->key));
    ASSERT(entry->answer.size <= FLOW_ANSWER_MAX);
    /* Forgotten when the entry was composed, and not yet by the times of the frames before it. */
    if (answer && answer->durable) {
        drop_answer(requests, answer);
        answer = NULL;
    }
    if (!answer)
        answer = new_answer(requests, entry);
    if (!answer)
        return err_make(ERR_MEMORY);
    keep(requests, answer, settled_ms(requests, commit_ms));
    expire(requests, commit_ms);
    /* By durable ones alone, so that recovery lets go of the same. */
    while (requests->kept_bytes > requests->answers_bytes_max &&
           requests->kept.next != &answer->link) {
        requests->counts.dropped++;
        drop_answer(requests, CONTAINER_OF(requests->kept.next, struct log_answer, link));
    }
    return err_ok();
}

static void add_key(struct buf *out, struct flow_fingerprint key)
{
    uint8_t bytes[LOG_KEY_SIZE];
    log_key_put(bytes, key);
    ASSERT(out);
    buf_add(out, bytes, sizeof bytes);
}

static uint32_t add_producers(struct buf *out, const struct list *producers)
{
    uint32_t count = 0;
    LIST_EACH (link, producers) {
        const struct log_producer *producer = CONTAINER_OF(link, struct log_producer, link);
        ASSERT(producer->next > 0);
        add_key(out, producer->id);
        buf_add_u64le(out, producer->next - 1);
        buf_add_u64le(out, (uint64_t)producer->last_ms);
        count++;
    }
    return count;
}

static uint32_t add_answers(struct buf *out, const struct list *answers)
{
    uint32_t count = 0;
    LIST_EACH (link, answers) {
        const struct log_answer *answer = CONTAINER_OF(link, struct log_answer, link);
        ASSERT(answer->durable);
        add_key(out, answer->key);
        add_key(out, answer->body);
        buf_add_u64le(out, answer->duplicates);
        buf_add_u64le(out, (uint64_t)answer->commit_ms);
        buf_add_u32le(out, answer->size);
        buf_add(out, answer->bytes, answer->size);
        count++;
    }
    return count;
}

void log_requests_encode(const struct log_requests *requests, struct buf *out)
{
    ASSERT(!log_requests_are_none(requests));
    size_t at = out->size;
    /* Filled in below: lists do not know their length. */
    buf_add_u32le(out, 0);
    buf_add_u32le(out, 0);
    /* Who leaves has not left by any durable frame. */
    uint32_t producers = add_producers(out, &requests->leaving);
    producers += add_producers(out, &requests->used);
    uint32_t answers = add_answers(out, &requests->kept);
    if (!buf_ok(out))
        return;
    put_u32le(out->data + at, producers);
    put_u32le(out->data + at + 4, answers);
}

static struct flow_fingerprint take_key(struct cursor *c)
{
    struct slice bytes = cursor_bytes(c, LOG_KEY_SIZE);
    ASSERT(bytes.size == 0 || bytes.size == LOG_KEY_SIZE);
    return cursor_ok(c) ? log_key_get(bytes.data) : (struct flow_fingerprint){0};
}

static err_t take_producer(struct log_requests *requests, struct cursor *c, int64_t *last_ms)
{
    struct log_entry_sequence entry = {.producer = take_key(c), .sequence = cursor_u64le(c)};
    int64_t ms = (int64_t)cursor_u64le(c);
    ASSERT(requests->producers.count <= UINT32_MAX);
    /* In the order of time, or the walks from the front would end too soon. */
    if (!cursor_ok(c) || entry.sequence > FLOW_SEQUENCE_MAX || ms < *last_ms ||
        map_get(&requests->producers, name_of(&entry.producer)))
        return err_make(ERR_CORRUPT);
    struct log_producer *producer = new_producer(requests, &entry.producer);
    if (!producer)
        return err_make(ERR_MEMORY);
    producer->next = producer->next_composed = entry.sequence + 1;
    producer->last_ms = *last_ms = ms;
    (void)settled_ms(requests, ms);
    list_add_tail(&requests->used, &producer->link);
    return err_ok();
}

static err_t take_answer(struct log_requests *requests, struct cursor *c, int64_t *last_ms)
{
    struct log_entry_answer entry = {
        .key = take_key(c), .body = take_key(c), .duplicates = cursor_u64le(c)};
    int64_t ms = (int64_t)cursor_u64le(c);
    uint32_t size = cursor_u32le(c);
    entry.answer = cursor_bytes(c, size <= FLOW_ANSWER_MAX ? size : SIZE_MAX);
    ASSERT(requests->kept_bytes < UINT64_MAX / 2);
    if (!cursor_ok(c) || ms < *last_ms || map_get(&requests->answers, name_of(&entry.key)))
        return err_make(ERR_CORRUPT);
    struct log_answer *answer = new_answer(requests, &entry);
    if (!answer)
        return err_make(ERR_MEMORY);
    keep(requests, answer, ms);
    (void)settled_ms(requests, ms);
    *last_ms = ms;
    return err_ok();
}

err_t log_requests_decode(struct log_requests *requests, struct cursor *c)
{
    uint32_t producers = cursor_u32le(c);
    uint32_t answers = cursor_u32le(c);
    int64_t last_ms = 0;
    ASSERT(log_requests_are_none(requests));
    /* So memory that is taken is never much more than the file itself. */
    if (!cursor_ok(c) || (uint64_t)producers + answers == 0 ||
        producers > c->rest.size / PRODUCER_SIZE || answers > c->rest.size / ANSWER_SIZE)
        return err_make(ERR_CORRUPT);
    for (uint32_t i = 0; i < producers; i++)
        TRY(take_producer(requests, c, &last_ms));
    last_ms = 0;
    for (uint32_t i = 0; i < answers; i++)
        TRY(take_answer(requests, c, &last_ms));
    return err_ok();
}
