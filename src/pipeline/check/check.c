#include "pipeline/check/check_int.h"

#include "base/alloc.h"

/*
 * A request is split, judged and appended to the open commit while it is submitted; then it
 * waits in that commit. At the end of the loop's turn, or when the commit is large enough, it is
 * handed to the log. What comes back is answered in the order of hand-over.
 *
 * Failure modes: a request that fails is rolled back and stands in line like the others, with its
 * error; where no commit is there to stand in, it is answered at the end of the turn. A commit
 * that fails fails all requests in it that had not failed by themselves.
 */

#define RECORD_SIZE_MAX (1u << 20)
#define REQUEST_SIZE_MAX (64u << 20)
#define MEMORY_BYTES (256u << 20)

static struct pipeline_check *check_of(struct flow_inlet *inlet)
{
    ASSERT(inlet);
    return CONTAINER_OF(inlet, struct pipeline_check, inlet);
}

/* Makes the request's answer one of failure: nothing of it counts, also not the errors of records
 * whose outcome is undone. */
static void fail_request(struct flow_inlet_request *request, err_t err)
{
    ASSERT(!err_is_ok(err));
    flow_inlet_request_done(request);
    request->error = err;
    request->accepted = 0;
    request->duplicates = 0;
    request->dead_lettered = 0;
    request->refused = 0;
}

/* `done` may submit again, and its request may come to stand in this very list: it is read anew
 * each time. */
static void answer(struct list *requests, err_t err)
{
    struct list *link;
    while ((link = list_pop(requests))) {
        struct flow_inlet_request *request = CONTAINER_OF(link, struct flow_inlet_request, link);
        if (!err_is_ok(err) && err_is_ok(request->error))
            fail_request(request, err);
        request->done(request);
    }
}

static bool is_refusal(err_t err)
{
    return err_is(err, ERR_SEQUENCE_GAP) || err_is(err, ERR_KEY_REUSED) ||
           err_is(err, ERR_PRODUCER_EPOCH);
}

static void count_commit(struct pipeline_check *check, const struct pipeline_check_commit *commit)
{
    ASSERT(check->size_under_way >= commit->size);
    check->size_under_way -= commit->size;
    histogram_add(&check->commit_duration, io_now_ns(check->loop) - commit->handed_over_ns);
    /* What came of a fenced one is not known here; the ledger in the log knows after recovery, and
     * a counter that is too low is the better lie. */
    if (!err_is_ok(commit->flow.error)) {
        /* That a request is out of turn is no failure of the log's. */
        check->commits_failed += !is_refusal(commit->flow.error);
        return;
    }
    for (uint32_t i = 0; i < commit->part_count; i++) {
        const struct pipeline_check_part *part = &commit->parts[i];
        pipeline_check_tally_add(&check->topics[part->topic_index]->total, &part->tally);
    }
}

static void commit_came_back(struct flow_commit *flow)
{
    struct pipeline_check_commit *back = CONTAINER_OF(flow, struct pipeline_check_commit, flow);
    struct pipeline_check *check = back->check;
    ASSERT(!back->came_back && list_linked(&back->link));
    back->came_back = true;
    /* A log answers in order, except for what it refuses out of hand: that waits here for its
     * turn. */
    while (!list_empty(&check->under_way)) {
        struct list *first = check->under_way.next;
        struct pipeline_check_commit *commit =
            CONTAINER_OF(first, struct pipeline_check_commit, link);
        if (!commit->came_back)
            return;
        list_remove(first);
        if (err_is_ok(commit->flow.error))
            pipeline_check_commit_learn(commit);
        else if (is_refusal(commit->flow.error))
            pipeline_check_commit_learn_refusal(commit);
        count_commit(check, commit);
        answer(&commit->requests, commit->flow.error);
        pipeline_check_commit_release(commit);
    }
}

static void turn_end(struct task *task)
{
    struct pipeline_check *check = CONTAINER_OF(task, struct pipeline_check, turn_end);
    ASSERT(check->turn_end_queued);
    check->turn_end_queued = false;
    answer(&check->unplaced, err_ok());
    pipeline_check_flush(check);
}

void pipeline_check_flush(struct pipeline_check *check)
{
    if (check->open)
        pipeline_check_commit_hand_over(check, commit_came_back);
}

/* Puts a request where it will be answered after all that came before it. */
static void stand_in_line(struct pipeline_check *check, struct flow_inlet_request *request)
{
    struct list *line = &check->unplaced;
    if (check->open) {
        line = &check->open->requests;
    } else if (!list_empty(&check->under_way)) {
        struct list *last = check->under_way.prev;
        /* Nothing of it is in that commit; it only waits there for the same moment. */
        line = &CONTAINER_OF(last, struct pipeline_check_commit, link)->requests;
    }
    list_add_tail(line, &request->link);
    if (check->open && (check->open->size >= PIPELINE_CHECK_COMMIT_TARGET || check->open->once))
        pipeline_check_commit_hand_over(check, commit_came_back);
    bool waits_for_turn_end = check->open || !list_empty(&check->unplaced);
    if (waits_for_turn_end && !check->turn_end_queued) {
        check->turn_end_queued = true;
        io_defer(check->loop, &check->turn_end);
    }
}

static err_t pass_request(struct pipeline_check_pass *pass)
{
    struct pipeline_check *check = pass->check;
    /* Its contract went away between the request's head and its body. */
    if (pass->topic->gone)
        return err_make(ERR_NOT_FOUND);
    /* Before the work is done: a server that cannot keep up should not parse what it refuses. */
    size_t open_size = check->open ? check->open->size : 0;
    if (check->size_under_way + open_size >= check->memory_bytes)
        return err_make(ERR_BUSY);
    err_t err = pipeline_check_commit_begin(check, pass->topic);
    if (err_is_ok(err))
        err = pipeline_check_split(pass);
    if (err_is_ok(err) && pass->request->history)
        err = pipeline_check_commit_settle(check, &pass->request->history->settle);
    if (err_is_ok(err) && pass->request->once)
        err = pipeline_check_commit_once(pass);
    /* What failed, and what has nothing to count and nothing to keep, leaves the open commit as it
     * found it. Only what has begun may be rolled back: before that the marks are those of the
     * last request, which has been kept. */
    bool nothing = pass->received == 0 && !pass->request->once;
    if (!err_is_ok(err) || nothing)
        pipeline_check_commit_rollback(check);
    else
        pipeline_check_commit_keep(check, pass->topic, pass->received, &pass->tally);
    return err;
}

static struct pipeline_check_pass begin_pass(struct pipeline_check *check,
                                             struct flow_inlet_request *request)
{
    ASSERT(request->topic && request->topic->index < check->topic_count);
    ASSERT(!list_linked(&request->link) && request->error_count == 0);
    buf_reset(&check->time);
    struct flow_inlet_topic *topic = check->topics[request->topic->index];
    return (struct pipeline_check_pass){
        .check = check,
        .topic = topic,
        .request = request,
        .judge = {.schema = topic->schema,
                  .scratch = check->schema_scratch,
                  .paths = topic->paths,
                  .size_max = check->record_size_max},
        /* A record that comes again arrived when it first came. */
        .arrival_ms = request->history ? request->history->received_ms : io_wall_ms(check->loop),
    };
}

static void fill_answer(const struct pipeline_check_pass *pass, err_t err)
{
    struct flow_inlet_request *request = pass->request;
    if (!err_is_ok(err)) {
        fail_request(request, err);
        return;
    }
    ASSERT(pass->received > 0 || pass->tally.records[PIPELINE_CHECK_ACCEPTED] == 0);
    request->error = err;
    request->replayed = false;
    request->forgotten = false;
    request->base_offset = -1;
    request->accepted = pass->tally.records[PIPELINE_CHECK_ACCEPTED];
    request->duplicates = 0;
    request->dead_lettered = pass->tally.records[PIPELINE_CHECK_DEAD_LETTERED];
    request->refused = pass->tally.records[PIPELINE_CHECK_REFUSED];
}

/* What did not fit is tried again without what is kept for speed alone. What needs more than is
 * there when nobody else has any would never be taken. */
static err_t pass_again(struct pipeline_check_pass *pass)
{
    struct pipeline_check *check = pass->check;
    struct flow_inlet_request *request = pass->request;
    if (pipeline_check_commit_drain(check)) {
        flow_inlet_request_done(request);
        *pass = begin_pass(check, request);
        check->budget.refused = false;
        err_t err = pass_request(pass);
        if (!err_is(err, ERR_MEMORY) || !check->budget.refused)
            return err;
        (void)pipeline_check_commit_drain(check);
    }
    return err_make(check->open || !list_empty(&check->under_way) ? ERR_BUSY : ERR_TOO_LARGE);
}

static void submit(struct flow_inlet *inlet, struct flow_inlet_request *request)
{
    struct pipeline_check *check = check_of(inlet);
    ASSERT(!request->history || request->framing == FLOW_FRAMING_RECORD);
    /* One that may turn out to be a repeat takes no neighbours with it. */
    if (request->once)
        pipeline_check_flush(check);
    struct pipeline_check_pass pass = begin_pass(check, request);
    check->budget.refused = false;
    err_t err = pass_request(&pass);
    if (err_is(err, ERR_MEMORY) && check->budget.refused)
        err = pass_again(&pass);
    fill_answer(&pass, err);
    stand_in_line(check, request);
}

static void judge(struct flow_inlet *inlet, struct flow_inlet_request *request)
{
    struct pipeline_check *check = check_of(inlet);
    struct pipeline_check_pass pass = begin_pass(check, request);
    ASSERT(!pass.dry);
    pass.dry = true;
    err_t err = pipeline_check_split(&pass);
    fill_answer(&pass, err);
}

static const struct flow_inlet_topic *find_topic(struct flow_inlet *inlet, struct slice name)
{
    struct pipeline_check *check = check_of(inlet);
    ASSERT(check->topic_count > 0 || check->topics_by_name.count == 0);
    const struct flow_inlet_topic *topic = map_get(&check->topics_by_name, name);
    return topic && !topic->gone ? topic : NULL;
}

static struct flow_fingerprint fingerprint(const struct flow_inlet_topic *topic, struct slice text)
{
    ASSERT(topic);
    struct hash128 hash = hash_bytes_128(text, topic->request_secret);
    return (struct flow_fingerprint){hash.low, hash.high};
}

static const struct flow_inlet_ops inlet_ops = {
    .topic = find_topic, .submit = submit, .judge = judge, .fingerprint = fingerprint};

/* Compiles the paths of a topic that has any. */
static err_t compile_paths(struct flow_inlet_topic *topic, const struct pipeline_check_topic *given,
                           struct err_text *why)
{
    const char *texts[3];
    int count = 0;
    topic->key_at = given->key ? count : -1;
    if (given->key)
        texts[count++] = given->key;
    topic->event_time_at = given->event_time ? count : -1;
    if (given->event_time)
        texts[count++] = given->event_time;
    topic->dedup_at = given->dedup ? count : -1;
    if (given->dedup)
        texts[count++] = given->dedup;
    ASSERT(topic->key_at < count && topic->event_time_at < count && topic->dedup_at < count);
    return count ? format_json_paths_new(texts, (size_t)count, &topic->paths, why) : err_ok();
}

/* With the path, so that keys of one path are never taken for those of another. */
static err_t make_secret(struct flow_inlet_topic *topic, const struct pipeline_check_topic *given)
{
    struct buf seed;
    buf_init(&seed, 0);
    buf_add(&seed, given->dedup_secret.bytes, sizeof(given->dedup_secret.bytes));
    buf_add_string(&seed, given->dedup);
    err_t err = buf_error(&seed);
    if (err_is_ok(err))
        hash_secret(buf_slice(&seed), topic->dedup_secret);
    buf_done(&seed);
    return err;
}

static err_t topic_init(struct io_loop *loop, const struct pipeline_check_topic *given,
                        struct flow_inlet_topic *topic, struct err_text *why)
{
    if (given->partition_count == 0 || given->partition_count > FLOW_PARTITIONS_MAX)
        return err_set(why, ERR_INVALID, "%u partitions", given->partition_count);
    ASSERT(given->dlq_id || given->on_invalid == PIPELINE_CHECK_REJECT);
    topic->topic_id = given->topic_id;
    topic->dlq_id = given->dlq_id;
    topic->partition_count = given->partition_count;
    topic->on_invalid = given->on_invalid;
    topic->batch_bytes_max = given->batch_bytes_max;
    topic->dlq_size_max = given->dlq_size_max;
    topic->schema = given->schema;
    TRY(compile_paths(topic, given, why));
    if (given->dedup)
        TRY(make_secret(topic, given));
    hash_secret(slice_make(given->uuid.bytes, sizeof(given->uuid.bytes)), topic->request_secret);
    topic->name = mem_string(given->name, strlen(given->name));
    topic->slot_at = mem_zalloc((size_t)given->partition_count + 1, sizeof(*topic->slot_at));
    if (!topic->name || !topic->slot_at)
        return err_make(ERR_MEMORY);
    /* Each loop begins elsewhere, or a few requests a loop would all meet in partition 0. */
    io_random(loop, &topic->next_partition, sizeof(topic->next_partition));
    topic->next_partition %= topic->partition_count;
    return err_ok();
}

err_t pipeline_check_topic_new(struct io_loop *loop, const struct pipeline_check_topic *given,
                               struct flow_inlet_topic **out, struct err_text *why)
{
    ASSERT(!*out);
    *out = mem_zalloc(1, sizeof(**out));
    err_t err = *out ? topic_init(loop, given, *out, why) : err_make(ERR_MEMORY);
    if (!err_is_ok(err))
        err_prefix(why, "topic %s", given->name);
    return err;
}

void pipeline_check_topic_free(struct flow_inlet_topic **topic)
{
    ASSERT(topic);
    if (!*topic)
        return;
    mem_free((*topic)->name);
    mem_free((*topic)->slot_at);
    format_json_paths_free(&(*topic)->paths);
    mem_free(*topic);
    *topic = NULL;
}

static err_t topics_init(struct pipeline_check *check, const struct pipeline_check_options *options,
                         struct err_text *why)
{
    uint64_t seed;
    io_random(check->loop, &seed, sizeof(seed));
    map_init(&check->topics_by_name, seed);
    ASSERT(options->topics || options->topic_count == 0);
    check->topics = mem_zalloc(options->topic_count, sizeof(struct flow_inlet_topic *));
    if (!check->topics)
        return err_make(ERR_MEMORY);
    for (size_t i = 0; i < options->topic_count; i++) {
        /* Counted at once, so that freeing finds what was made when a step fails. */
        struct flow_inlet_topic **topic = &check->topics[check->topic_count++];
        TRY(pipeline_check_topic_new(check->loop, &options->topics[i], topic, why));
        (*topic)->index = (uint32_t)i;
        if (map_get(&check->topics_by_name, slice_string((*topic)->name)))
            return err_set(why, ERR_INVALID, "topic %s: is there twice", (*topic)->name);
        TRY(map_put(&check->topics_by_name, slice_string((*topic)->name), *topic));
    }
    return err_ok();
}

static uint64_t or_default(uint64_t given, uint64_t otherwise)
{
    return given ? given : otherwise;
}

err_t pipeline_check_new(const struct pipeline_check_options *options, struct pipeline_check **out,
                         struct err_text *why)
{
    ASSERT(options->loop && options->log);
    struct pipeline_check *check = mem_zalloc(1, sizeof(*check));
    if (!check)
        return err_make(ERR_MEMORY);
    check->inlet.ops = &inlet_ops;
    check->loop = options->loop;
    check->log = options->log;
    check->record_size_max = or_default(options->record_size_max, RECORD_SIZE_MAX);
    check->request_size_max = or_default(options->request_size_max, REQUEST_SIZE_MAX);
    check->memory_bytes = or_default(options->memory_bytes, MEMORY_BYTES);
    check->budget.limit_bytes = check->memory_bytes;
    check->unpacked.budget = &check->budget;
    check->left_out.budget = &check->budget;
    check->rest.budget = &check->budget;
    check->keys.budget = &check->budget;
    check->turn_end.run = turn_end;
    pipeline_check_cap_init(check);
    list_init(&check->under_way);
    list_init(&check->pool);
    list_init(&check->unplaced);
    err_t err = format_jsonschema_scratch_new(&check->schema_scratch);
    if (err_is_ok(err))
        err = topics_init(check, options, why);
    if (!err_is_ok(err)) {
        pipeline_check_free(&check);
        return err;
    }
    *out = check;
    return err_ok();
}

void pipeline_check_free(struct pipeline_check **check_pointer)
{
    struct pipeline_check *check = *check_pointer;
    if (!check)
        return;
    ASSERT(!check->open && !check->turn_end_queued);
    ASSERT(check->cap_state != PIPELINE_CHECK_CAP_ASKED);
    ASSERT(list_empty(&check->under_way) && list_empty(&check->unplaced));
    (void)pipeline_check_commit_drain(check);
    for (uint32_t i = 0; i < check->topic_count; i++)
        pipeline_check_topic_free(&check->topics[i]);
    mem_free(check->topics);
    map_done(&check->topics_by_name);
    format_jsonschema_scratch_free(&check->schema_scratch);
    buf_done(&check->scratch);
    buf_done(&check->unpacked);
    buf_done(&check->left_out);
    buf_done(&check->rest);
    buf_done(&check->keys);
    buf_done(&check->time);
    mem_free(check);
    *check_pointer = NULL;
}

struct flow_inlet *pipeline_check_inlet(struct pipeline_check *check)
{
    ASSERT(check);
    return &check->inlet;
}
