#pragma once

/*
 * A world for tests of pipeline/check: a loop whose queue runs when told to, a clock that stands
 * still, and a log that keeps what it is given, checks every batch, and answers when told to.
 */

#include "base/alloc.h"
#include "lib/unit.h"
#include "pipeline/check/check_int.h"

#define ARRIVAL_MS INT64_C(1790000000123)
#define ARRIVAL_TEXT "2026-09-21T14:13:20.123Z"
#define EVENTS 1
#define EVENTS_DLQ 2
#define ORDERS 3
#define ORDERS_DLQ 4

/* A record that came to the log. Texts are zero-terminated copies. */
struct seen {
    size_t commit;
    uint32_t topic_id;
    uint32_t partition;
    enum flow_append_kind kind;
    int64_t timestamp_ms;
    char *key; /* NULL: none */
    char *value;
    size_t value_size;
    char *headers; /* "name=value\n" for each */
};

struct fixture {
    struct io_loop loop;
    struct flow_log log;
    struct task *first;
    struct task **last;
    uint64_t now_ns;
    uint64_t tick_ns; /* how far the clock moves when it is read */
    int64_t wall_ms;
    struct pipeline_check *check;
    bool hold;          /* commits wait for fixture_answer */
    err_t commit_error; /* else: what they are answered with */
    struct flow_commit *commits[4096];
    size_t commit_count;
    struct seen *seen;
    size_t seen_count;
    struct flow_count counts[8]; /* by topic id, of all commits */
    struct buf answered;         /* the letters of requests, in the order of their answers */
    struct io_timer *timer;      /* that is started */
    uint64_t timer_delay_ns;
    struct flow_snapshot *snapshot; /* asked for and not answered */
    uint32_t snapshot_count;
    err_t snapshot_error;
    uint64_t dlq_sealed_bytes; /* of events.dlq, as the next snapshot says */
    uint64_t dlq_wal_bytes;
};

struct sent {
    struct flow_inlet_request request;
    struct fixture *fixture;
    char letter;
    unsigned answers;
    struct sent *next; /* submitted from within the answer */
    struct slice own;  /* its body, where it is needed until it is answered, and not longer */
};

static inline void fixture_queue(struct fixture *f, struct task *task)
{
    task->next = NULL;
    *f->last = task;
    f->last = &task->next;
}

static inline void fixture_loop_queue(struct io_loop *loop, struct task *task)
{
    fixture_queue(CONTAINER_OF(loop, struct fixture, loop), task);
}

static inline uint64_t fixture_now_ns(struct io_loop *loop)
{
    struct fixture *f = CONTAINER_OF(loop, struct fixture, loop);
    f->now_ns += f->tick_ns;
    return f->now_ns;
}

static inline int64_t fixture_wall_ms(struct io_loop *loop)
{
    return CONTAINER_OF(loop, struct fixture, loop)->wall_ms;
}

static inline void fixture_random(struct io_loop *loop, void *out, size_t size)
{
    (void)loop;
    memset(out, 0, size);
}

static inline char *fixture_text(struct slice s)
{
    return s.data ? mem_string(s.data, s.size) : NULL;
}

static inline void fixture_see_record(struct fixture *f, const struct flow_append *append,
                                      const struct flow_record *record)
{
    struct buf headers = {0};
    struct slice rest = record->headers;
    struct flow_header h;
    uint32_t count = 0;
    for (; flow_record_header(&rest, &h); count++)
        buf_add_format(&headers, "%.*s=%.*s\n", SLICE_PRINTF(h.key), SLICE_PRINTF(h.value));
    assert_int_equal(count, record->header_count);
    f->seen = mem_realloc(f->seen, f->seen_count + 1, sizeof(*f->seen));
    f->seen[f->seen_count++] = (struct seen){
        .commit = f->commit_count,
        .topic_id = append->topic_id,
        .partition = append->partition,
        .kind = append->kind,
        .timestamp_ms = record->timestamp_ms,
        .key = fixture_text(record->key),
        .value = fixture_text(record->value),
        .value_size = record->value.size,
        .headers = mem_string(headers.data, headers.size),
    };
    buf_done(&headers);
}

static inline void fixture_see_append(struct fixture *f, const struct flow_append *append)
{
    struct flow_batch batch;
    assert_true(err_is_ok(flow_batch_parse(slice_make(append->batch, append->batch_size), &batch)));
    assert_int_equal(batch.bytes.size, append->batch_size);
    assert_true(err_is_ok(flow_batch_check(&batch)));
    assert_int_equal(batch.record_count, append->record_count);
    struct flow_batch_iterator it = flow_batch_records(&batch);
    struct flow_record record;
    while (err_is_ok(flow_batch_next(&it, &record)))
        fixture_see_record(f, append, &record);
    assert_int_equal(it.left, 0);
}

static inline void fixture_answer_task(struct task *task)
{
    struct flow_commit *commit = CONTAINER_OF(task, struct flow_commit, task);
    commit->done(commit);
}

/* Answers a held commit: in the queue, as a log would. */
static inline void fixture_answer(struct fixture *f, size_t index, err_t err)
{
    f->commits[index]->error = err;
    f->commits[index]->task.run = fixture_answer_task;
    fixture_queue(f, &f->commits[index]->task);
}

/* Looks at all of the commit. Tests arm failing allocations around a submission alone; where that
 * hands over at once, they are over here. */
static inline void fixture_commit(struct flow_log *log, struct flow_commit *commit)
{
    mem_fail_after(0);
    struct fixture *f = CONTAINER_OF(log, struct fixture, log);
    assert_true(commit->append_count + commit->count_count > 0);
    assert_int_equal(commit->topic_count + commit->sink_count, 0);
    for (uint32_t i = 0; i < commit->append_count; i++)
        fixture_see_append(f, &commit->appends[i]);
    for (uint32_t i = 0; i < commit->count_count; i++) {
        const struct flow_count *count = &commit->counts[i];
        assert_in_range(count->topic_id, 1, 7);
        assert_true(count->received > 0 || commit->request);
        f->counts[count->topic_id].received += count->received;
        f->counts[count->topic_id].duplicates += count->duplicates;
        f->counts[count->topic_id].refused += count->refused;
    }
    assert_true(f->commit_count < sizeof(f->commits) / sizeof(f->commits[0]));
    f->commits[f->commit_count++] = commit;
    if (!f->hold)
        fixture_answer(f, f->commit_count - 1, f->commit_error);
}

static inline void fixture_timer_start(struct io_loop *loop, struct io_timer *timer,
                                       uint64_t delay_ns)
{
    struct fixture *f = CONTAINER_OF(loop, struct fixture, loop);
    assert_true(!f->timer || f->timer == timer);
    f->timer = timer;
    f->timer_delay_ns = delay_ns;
}

static inline void fixture_timer_stop(struct io_loop *loop, struct io_timer *timer)
{
    struct fixture *f = CONTAINER_OF(loop, struct fixture, loop);
    if (f->timer == timer)
        f->timer = NULL;
}

/* Held until fixture_snapshot_answer. */
static inline void fixture_snapshot(struct flow_log *log, struct flow_snapshot *snapshot)
{
    struct fixture *f = CONTAINER_OF(log, struct fixture, log);
    assert_null(f->snapshot);
    f->snapshot = snapshot;
    f->snapshot_count++;
}

static inline void fixture_snapshot_answer(struct fixture *f)
{
    struct flow_snapshot *snapshot = f->snapshot;
    assert_non_null(snapshot);
    f->snapshot = NULL;
    arena_init(&snapshot->arena, 0);
    snapshot->error = f->snapshot_error;
    if (err_is_ok(snapshot->error)) {
        snapshot->topics = arena_alloc(&snapshot->arena, sizeof(*snapshot->topics));
        assert_non_null(snapshot->topics);
        snapshot->topic_count = 1;
        snapshot->topics[0] = (struct flow_topic_state){.id = EVENTS_DLQ,
                                                        .name = "events.dlq",
                                                        .sealed_bytes = f->dlq_sealed_bytes,
                                                        .wal_bytes = f->dlq_wal_bytes};
    }
    snapshot->done(snapshot);
}

static inline void fixture_run(struct fixture *f)
{
    while (f->first) {
        struct task *task = f->first;
        f->first = task->next;
        if (!f->first)
            f->last = &f->first;
        task->run(task);
    }
}

static const struct io_loop_ops fixture_loop_ops = {
    .post = fixture_loop_queue,
    .defer = fixture_loop_queue,
    .now_ns = fixture_now_ns,
    .wall_ms = fixture_wall_ms,
    .random = fixture_random,
    .timer_start = fixture_timer_start,
    .timer_stop = fixture_timer_stop,
};

static const struct flow_log_ops fixture_log_ops = {.commit = fixture_commit,
                                                    .snapshot = fixture_snapshot};

/* "events": 3 partitions, key `key`, event time `at`, dead letters. "orders": 1 partition,
 * rejects. */
static const struct pipeline_check_topic fixture_topics[] = {
    {"events", EVENTS, EVENTS_DLQ, 3, PIPELINE_CHECK_DEAD_LETTER, "key", "at", 0},
    {"orders", ORDERS, ORDERS_DLQ, 1, PIPELINE_CHECK_REJECT, NULL, NULL, 0},
};

static inline struct pipeline_check_options fixture_options(struct fixture *f)
{
    *f = (struct fixture){
        .loop.ops = &fixture_loop_ops, .log.ops = &fixture_log_ops, .wall_ms = ARRIVAL_MS};
    f->last = &f->first;
    return (struct pipeline_check_options){
        .loop = &f->loop, .log = &f->log, .topics = fixture_topics, .topic_count = 2};
}

static inline void fixture_start(struct fixture *f, const struct pipeline_check_options *options)
{
    struct err_text why = {0};
    assert_true(err_is_ok(pipeline_check_new(options, &f->check, &why)));
}

static inline void fixture_init(struct fixture *f)
{
    struct pipeline_check_options options = fixture_options(f);
    fixture_start(f, &options);
}

/* Forgets what came to the log. */
static inline void fixture_forget(struct fixture *f)
{
    for (size_t i = 0; i < f->seen_count; i++) {
        mem_free(f->seen[i].key);
        mem_free(f->seen[i].value);
        mem_free(f->seen[i].headers);
    }
    mem_free(f->seen);
    f->seen = NULL;
    f->seen_count = 0;
    f->commit_count = 0;
    memset(f->counts, 0, sizeof(f->counts));
    buf_done(&f->answered);
}

static inline void fixture_done(struct fixture *f)
{
    fixture_run(f);
    pipeline_check_free(&f->check);
    fixture_forget(f);
}

static inline void fixture_answered(struct flow_inlet_request *request)
{
    struct sent *s = CONTAINER_OF(request, struct sent, request);
    s->answers++;
    mem_free((void *)(uintptr_t)s->own.data);
    s->own = slice_make(NULL, 0);
    buf_add_byte(&s->fixture->answered, (uint8_t)s->letter);
    if (s->next)
        flow_inlet_submit(pipeline_check_inlet(s->fixture->check), &s->next->request);
}

/* A request that is not handed over yet. `body` stays the caller's. */
static inline struct sent fixture_request(struct fixture *f, char letter, const char *topic,
                                          enum flow_framing framing, struct slice body)
{
    struct flow_inlet *inlet = pipeline_check_inlet(f->check);
    return (struct sent){
        .request = {.topic = flow_inlet_topic(inlet, slice_string(topic)),
                    .source = "http",
                    .framing = framing,
                    .body = body,
                    .done = fixture_answered},
        .fixture = f,
        .letter = letter,
    };
}

static inline void fixture_submit(struct fixture *f, struct sent *s)
{
    unsigned answers = s->answers;
    flow_inlet_submit(pipeline_check_inlet(f->check), &s->request);
    assert_int_equal(s->answers, answers);
}

/* Hands one request over, runs until it is answered. Free its errors with sent_done. */
static inline struct sent *fixture_send(struct fixture *f, const char *topic,
                                        enum flow_framing framing, struct slice body)
{
    struct sent *s = mem_alloc(sizeof(*s));
    *s = fixture_request(f, 'x', topic, framing, body);
    assert_non_null(s->request.topic);
    fixture_submit(f, s);
    fixture_run(f);
    assert_int_equal(s->answers, 1);
    return s;
}

static inline void sent_done(struct sent *s)
{
    flow_inlet_request_done(&s->request);
    mem_free(s);
}

static inline void assert_counts(const struct sent *s, uint64_t accepted, uint64_t dead_lettered,
                                 uint64_t refused)
{
    assert_string_equal(err_name(s->request.error), "OK");
    assert_int_equal(s->request.accepted, accepted);
    assert_int_equal(s->request.duplicates, 0);
    assert_int_equal(s->request.dead_lettered, dead_lettered);
    assert_int_equal(s->request.refused, refused);
    assert_int_equal(s->request.error_count + s->request.errors_truncated, dead_lettered + refused);
}

static inline void assert_failed_with(const struct sent *s, const char *name)
{
    assert_string_equal(err_name(s->request.error), name);
    assert_int_equal(s->request.accepted + s->request.dead_lettered + s->request.refused, 0);
    assert_int_equal(s->request.error_count, 0);
}

/* The `index`-th record that came to the log has this value. */
static inline const struct seen *assert_seen(const struct fixture *f, size_t index,
                                             uint32_t topic_id, const char *value)
{
    assert_true(index < f->seen_count);
    assert_int_equal(f->seen[index].topic_id, topic_id);
    assert_string_equal(f->seen[index].value, value);
    return &f->seen[index];
}

/* A block of its own for a body, so that the sanitizers see every read past its end. */
static inline struct slice body_alloc(const char *text, size_t size)
{
    uint8_t *data = mem_alloc(size);
    if (size > 0)
        memcpy(data, text, size);
    return slice_make(data, size);
}

static inline void body_free(struct slice body)
{
    mem_free((void *)(uintptr_t)body.data);
}

/* Sends `text` and frees its copy before anything is answered: a body is needed during the
 * submission only. */
static inline struct sent *fixture_send_text(struct fixture *f, const char *topic,
                                             enum flow_framing framing, const char *text)
{
    struct slice body = body_alloc(text, strlen(text));
    struct sent *s = mem_alloc(sizeof(*s));
    *s = fixture_request(f, 'x', topic, framing, body);
    fixture_submit(f, s);
    body_free(body);
    fixture_run(f);
    assert_int_equal(s->answers, 1);
    return s;
}
