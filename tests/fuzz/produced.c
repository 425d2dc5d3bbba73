/*
 * A record batch that a producer sent, on its way through the check: behind the first byte, which
 * says what kind of topic it is for. Whatever the bytes, what comes to the log is a batch that
 * every reader can walk, with as many records as are counted; all records are accounted for; a
 * topic that has nothing to say of records has the bytes that came; and a dead letter that is
 * redriven to such a topic is the record that it was, in every part.
 */

#include "fuzz/fuzz.h"

#include <stdbool.h>
#include <string.h>

#include "flow/batch.h"
#include "flow/letter.h"
#include "format/jsonschema/jsonschema.h"
#include "pipeline/check/check.h"

#define TOPICS 4
#define REDRIVEN_MAX 8
#define REQUEST_SIZE_MAX ((size_t)1 << 20)
/* Of a batch's header, what is put right where it lies: the CRC and the largest time. */
#define AT_CRC 17
#define AT_ATTRIBUTES 21
#define AT_MAX_TIMESTAMP 35
#define AT_PRODUCER_ID 43

/* A loop and a log that do everything at once. */
struct world {
    struct io_loop loop;
    struct flow_log log;
    struct task *tasks;
    struct pipeline_check *check;
    struct slice sent;
    bool plain; /* the topic has nothing to say */
    uint64_t records;
    uint64_t letters;
    struct buf dead;                    /* the batch of letters */
    const struct flow_record *redriven; /* what is to come to the log */
};

static void run_later(struct io_loop *loop, struct task *task)
{
    struct world *w = CONTAINER_OF(loop, struct world, loop);
    task->next = w->tasks;
    w->tasks = task;
}

static uint64_t now_ns(struct io_loop *loop)
{
    (void)loop;
    return 0;
}

static int64_t wall_ms(struct io_loop *loop)
{
    (void)loop;
    return INT64_C(1790000000123);
}

static void no_random(struct io_loop *loop, void *out, size_t size)
{
    (void)loop;
    memset(out, 0, size);
}

static uint32_t walk_headers(struct slice rest)
{
    struct flow_header header;
    uint32_t count = 0;
    while (flow_record_header(&rest, &header))
        count++;
    FUZZ_EXPECT(rest.size == 0);
    return count;
}

static void walk(const struct flow_append *append, struct flow_batch batch)
{
    struct buf unpacked = {0};
    struct flow_record record;
    FUZZ_EXPECT(err_is_ok(flow_batch_unpack(&batch, REQUEST_SIZE_MAX, &unpacked)));
    struct flow_batch_iterator it = flow_batch_records(&batch);
    int64_t last_offset = batch.base_offset - 1;
    int64_t latest = INT64_MIN;
    err_t err;
    while (err_is_ok(err = flow_batch_next(&it, &record))) {
        FUZZ_EXPECT(record.offset > last_offset);
        FUZZ_EXPECT(walk_headers(record.headers) == record.header_count);
        last_offset = record.offset;
        latest = record.timestamp_ms > latest ? record.timestamp_ms : latest;
    }
    /* Of no record there is none. */
    latest = append->record_count > 0 ? latest : -1;
    FUZZ_EXPECT(err_is(err, ERR_END) && batch.max_timestamp_ms == latest);
    FUZZ_EXPECT(append->holes || last_offset == batch.base_offset + batch.last_offset_delta);
    buf_done(&unpacked);
}

static bool same(struct slice a, struct slice b)
{
    return (a.data == NULL) == (b.data == NULL) && slice_equal(a, b);
}

static void look_at_redriven(const struct flow_record *wanted, const struct flow_batch *batch)
{
    struct flow_record record;
    struct flow_batch_iterator it = flow_batch_records(batch);
    FUZZ_EXPECT(batch->record_count == 1 && err_is_ok(flow_batch_next(&it, &record)));
    FUZZ_EXPECT(same(record.key, wanted->key) && same(record.value, wanted->value));
    FUZZ_EXPECT(record.timestamp_ms == wanted->timestamp_ms);
    FUZZ_EXPECT(record.header_count == wanted->header_count);
    FUZZ_EXPECT(slice_equal(record.headers, wanted->headers));
}

static void look_at_append(struct world *w, const struct flow_append *append)
{
    struct flow_batch batch;
    struct slice bytes = slice_make(append->batch, append->batch_size);
    FUZZ_EXPECT(err_is_ok(flow_batch_parse(bytes, &batch)) && batch.bytes.size == bytes.size);
    FUZZ_EXPECT(batch.record_count == append->record_count);
    FUZZ_EXPECT(append->record_count > 0 || append->holes);
    bool letters = append->kind == FLOW_APPEND_DEAD_LETTERS;
    *(letters ? &w->letters : &w->records) += append->record_count;
    walk(append, batch);
    if (letters)
        buf_add_slice(&w->dead, bytes);
    if (w->redriven)
        look_at_redriven(w->redriven, &batch);
    if (letters || !w->plain || w->redriven)
        return;
    const uint8_t *sent = w->sent.data;
    FUZZ_EXPECT(bytes.size == w->sent.size && memcmp(bytes.data, sent, AT_CRC) == 0);
    FUZZ_EXPECT(memcmp(bytes.data + AT_ATTRIBUTES, sent + AT_ATTRIBUTES,
                       AT_MAX_TIMESTAMP - AT_ATTRIBUTES) == 0);
    FUZZ_EXPECT(memcmp(bytes.data + AT_PRODUCER_ID, sent + AT_PRODUCER_ID,
                       bytes.size - AT_PRODUCER_ID) == 0);
}

static void commit_done(struct task *task)
{
    struct flow_commit *commit = CONTAINER_OF(task, struct flow_commit, task);
    commit->done(commit);
}

static void commit(struct flow_log *log, struct flow_commit *commit)
{
    struct world *w = CONTAINER_OF(log, struct world, log);
    for (uint32_t i = 0; i < commit->append_count; i++)
        look_at_append(w, &commit->appends[i]);
    commit->error = err_ok();
    commit->task.run = commit_done;
    run_later(commit->home, &commit->task);
}

static const struct io_loop_ops loop_ops = {.post = run_later,
                                            .defer = run_later,
                                            .now_ns = now_ns,
                                            .wall_ms = wall_ms,
                                            .random = no_random};
static const struct flow_log_ops log_ops = {.commit = commit};

static void answered(struct flow_inlet_request *request)
{
    (void)request;
}

static void start(struct world *w)
{
    static const char numbers[] =
        "{\"required\":[\"n\"],\"properties\":{\"n\":{\"type\":\"integer\"}}}";
    static struct format_jsonschema *schema;
    const struct format_jsonschema_options how = {0};
    struct err_text why = {0};
    FUZZ_EXPECT(err_is_ok(format_jsonschema_compile(slice_string(numbers), &how, &schema, &why)));
    const struct pipeline_check_topic topics[TOPICS] = {
        {"plain", 1, 5, 1, PIPELINE_CHECK_DEAD_LETTER, NULL, NULL, 0},
        {"keyed", 2, 6, 1, PIPELINE_CHECK_DEAD_LETTER, NULL, NULL, .dedup = "n"},
        {"numbers", 3, 7, 1, PIPELINE_CHECK_DEAD_LETTER, "n", NULL, .schema = schema},
        {"strict", 4, 8, 1, PIPELINE_CHECK_REJECT, NULL, NULL, .dedup = "n", .schema = schema},
    };
    *w = (struct world){.loop.ops = &loop_ops, .log.ops = &log_ops};
    const struct pipeline_check_options options = {.loop = &w->loop,
                                                   .log = &w->log,
                                                   .topics = topics,
                                                   .topic_count = TOPICS,
                                                   .record_size_max = 1000,
                                                   .request_size_max = REQUEST_SIZE_MAX};
    FUZZ_EXPECT(err_is_ok(pipeline_check_new(&options, &w->check, &why)));
}

static void run(struct world *w)
{
    while (w->tasks) {
        struct task *task = w->tasks;
        w->tasks = task->next;
        task->run(task);
    }
}

static void redrive(struct world *w, const struct flow_letter *letter)
{
    struct flow_inlet *inlet = pipeline_check_inlet(w->check);
    const struct flow_inlet_history history = {.settle = {1, 0, FLOW_SETTLE_REDRIVEN, 1, 0, 1},
                                               .produced = &letter->original};
    struct flow_inlet_request request = {
        .topic = flow_inlet_topic(inlet, SLICE_LITERAL("plain")),
        .source = "redrive",
        .framing = FLOW_FRAMING_RECORD,
        .partition = letter->partition,
        .body = letter->original.value,
        .history = &history,
        .done = answered,
    };
    FUZZ_EXPECT(letter->produced && letter->partition == 0);
    w->redriven = &letter->original;
    flow_inlet_submit(inlet, &request);
    run(w);
    w->redriven = NULL;
    FUZZ_EXPECT(err_is_ok(request.error) && request.accepted == 1);
    flow_inlet_request_done(&request);
}

static void redrive_all(struct world *w)
{
    struct buf dead = w->dead;
    struct flow_batch batch;
    struct flow_record record;
    w->dead = (struct buf){0};
    if (dead.size > 0) {
        FUZZ_EXPECT(err_is_ok(flow_batch_parse(buf_slice(&dead), &batch)));
        struct flow_batch_iterator it = flow_batch_records(&batch);
        for (int i = 0; i < REDRIVEN_MAX && err_is_ok(flow_batch_next(&it, &record)); i++) {
            struct flow_letter letter;
            flow_letter_parse(&record, &letter);
            redrive(w, &letter);
        }
    }
    buf_done(&dead);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[TOPICS] = {"plain", "keyed", "numbers", "strict"};
    static struct world w;
    if (!w.check)
        start(&w);
    if (size == 0)
        return 0;
    struct flow_inlet *inlet = pipeline_check_inlet(w.check);
    struct flow_inlet_request request = {
        .topic = flow_inlet_topic(inlet, slice_string(names[data[0] % TOPICS])),
        .source = "fuzz",
        .framing = FLOW_FRAMING_BATCH,
        .body = slice_make(data + 1, size - 1),
        .done = answered,
    };
    w.sent = request.body;
    w.plain = data[0] % TOPICS == 0;
    w.records = w.letters = 0;
    flow_inlet_submit(inlet, &request);
    run(&w);
    err_t err = request.error;
    FUZZ_EXPECT(err_is_ok(err) || err_is(err, ERR_CORRUPT) || err_is(err, ERR_TOO_LARGE) ||
                err_is(err, ERR_UNSUPPORTED));
    if (err_is_ok(err)) {
        struct flow_batch batch;
        FUZZ_EXPECT(err_is_ok(flow_batch_parse(request.body, &batch)));
        FUZZ_EXPECT(request.accepted + request.dead_lettered + request.refused ==
                    batch.record_count);
        FUZZ_EXPECT(request.refused == 0 || request.refused == batch.record_count);
        FUZZ_EXPECT(w.records == request.accepted && w.letters == request.dead_lettered);
    } else {
        FUZZ_EXPECT(w.records + w.letters == 0);
    }
    flow_inlet_request_done(&request);
    redrive_all(&w);
    return 0;
}
