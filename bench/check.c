/*
 * How fast the pipeline's check takes records in: NDJSON requests of 500-byte events, with key
 * and event time, into three partitions, against a log that answers at once. Beside it, in the
 * same run, the JSON pass alone with the same paths, and copying all with memcpy.
 *
 *     check [megabytes]
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "format/json/json.h"
#include "pipeline/check/check.h"

#define ROUNDS 5
#define EVENT_SIZE 500

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* A loop and a log in one: what is deferred or committed waits in `tasks`. */
struct world {
    struct io_loop loop;
    struct flow_log log;
    struct task *first;
    struct task **last;
    uint64_t batch_bytes;
};

static void queue(struct world *w, struct task *task)
{
    task->next = NULL;
    *w->last = task;
    w->last = &task->next;
}

static void loop_queue(struct io_loop *loop, struct task *task)
{
    queue(CONTAINER_OF(loop, struct world, loop), task);
}

static uint64_t loop_now_ns(struct io_loop *loop)
{
    (void)loop;
    return now_ns();
}

static int64_t loop_wall_ms(struct io_loop *loop)
{
    (void)loop;
    return INT64_C(1790000000000);
}

static void loop_random(struct io_loop *loop, void *out, size_t size)
{
    (void)loop;
    memset(out, 7, size);
}

static void answer(struct task *task)
{
    struct flow_commit *commit = CONTAINER_OF(task, struct flow_commit, task);
    commit->error = err_ok();
    commit->done(commit);
}

static void log_commit(struct flow_log *log, struct flow_commit *commit)
{
    struct world *w = CONTAINER_OF(log, struct world, log);
    for (uint32_t i = 0; i < commit->append_count; i++)
        w->batch_bytes += commit->appends[i].batch_size;
    commit->task.run = answer;
    queue(w, &commit->task);
}

static void run(struct world *w)
{
    while (w->first) {
        struct task *task = w->first;
        w->first = task->next;
        if (!w->first)
            w->last = &w->first;
        task->run(task);
    }
}

static struct buf make_events(size_t size)
{
    struct buf out = {0};
    uint64_t seed = 1;
    for (uint32_t index = 0; out.size < size; index++) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        uint32_t r = (uint32_t)(seed >> 33);
        size_t start = out.size;
        buf_add_format(&out,
                       "{\"event_id\":\"%08x-0000-4000-8000-%012x\",\"carrier\":\"C%u\","
                       "\"departed_at\":\"2026-03-%02uT%02u:%02u:00.%03uZ\",\"distance\":%u,"
                       "\"origin\":{\"code\":\"LIS\",\"lat\":38.%u,\"lon\":-9.%u},\"note\":null,"
                       "\"delayed\":%s,\"passengers\":[%u,%u,%u],\"remark\":\"",
                       r, index, r % 5000, 1 + r % 28, r % 24, r % 60, r % 1000, r % 9000, r,
                       r % 77777, r % 2 ? "true" : "false", r % 7, r % 11, r % 300);
        while (out.size - start < EVENT_SIZE - 3)
            buf_add_byte(&out, (uint8_t)('a' + out.size % 26));
        buf_add_string(&out, "\"}\n");
    }
    if (!buf_ok(&out))
        exit(1);
    return out;
}

static void done(struct flow_inlet_request *request)
{
    if (!err_is_ok(request->error) || request->dead_lettered || request->refused) {
        fputs("a request went wrong\n", stderr);
        exit(1);
    }
}

/* Hands `events` over in requests of `request_events`, `turn_requests` a turn of the loop. */
static double check_round(struct world *w, struct flow_inlet *inlet, struct slice events,
                          size_t request_events, size_t turn_requests)
{
    static struct flow_inlet_request requests[256];
    const struct flow_inlet_topic *topic = flow_inlet_topic(inlet, SLICE_LITERAL("flights"));
    uint64_t start = now_ns();
    for (size_t at = 0; at < events.size;) {
        for (size_t i = 0; i < turn_requests && at < events.size; i++) {
            struct slice body = slice_sub(events, at, request_events * EVENT_SIZE);
            requests[i] = (struct flow_inlet_request){.topic = topic,
                                                      .source = "bench",
                                                      .framing = FLOW_FRAMING_NDJSON,
                                                      .body = body,
                                                      .done = done};
            flow_inlet_submit(inlet, &requests[i]);
            at += body.size;
        }
        run(w);
    }
    return (double)events.size * 1e3 / (double)(now_ns() - start);
}

static double measure_check(struct slice events, size_t request_events, size_t turn_requests)
{
    static const struct io_loop_ops loop_ops = {.post = loop_queue,
                                                .defer = loop_queue,
                                                .now_ns = loop_now_ns,
                                                .wall_ms = loop_wall_ms,
                                                .random = loop_random};
    static const struct flow_log_ops log_ops = {.commit = log_commit};
    struct world w = {.loop.ops = &loop_ops, .log.ops = &log_ops, .last = &w.first};
    const struct pipeline_check_topic topic = {.name = "flights",
                                               .topic_id = 1,
                                               .dlq_id = 2,
                                               .partition_count = 3,
                                               .key = "carrier",
                                               .event_time = "departed_at"};
    const struct pipeline_check_options options = {
        .loop = &w.loop, .log = &w.log, .topics = &topic, .topic_count = 1};
    struct pipeline_check *check;
    if (!err_is_ok(pipeline_check_new(&options, &check, NULL)))
        exit(1);
    double best = 0;
    for (int i = 0; i < ROUNDS; i++) {
        double rate =
            check_round(&w, pipeline_check_inlet(check), events, request_events, turn_requests);
        best = rate > best ? rate : best;
    }
    pipeline_check_free(&check);
    return best;
}

static double measure_json(struct slice events)
{
    static const char *const texts[] = {"carrier", "departed_at"};
    struct format_json_paths *paths;
    if (!err_is_ok(format_json_paths_new(texts, 2, &paths, NULL)))
        exit(1);
    double best = 0;
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t start = now_ns();
        struct format_json_value found[2];
        for (struct slice rest = events; rest.size > 0;)
            if (!err_is_ok(format_json_check(slice_split(&rest, '\n'), paths, FORMAT_JSON_DEPTH_MAX,
                                             found, NULL)))
                exit(1);
        double rate = (double)events.size * 1e3 / (double)(now_ns() - start);
        best = rate > best ? rate : best;
    }
    format_json_paths_free(&paths);
    return best;
}

static double measure_copy(struct slice events)
{
    static uint8_t target[1 << 20];
    double best = 0;
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t start = now_ns();
        for (size_t at = 0; at < events.size; at += sizeof(target)) {
            struct slice part = slice_sub(events, at, sizeof(target));
            memcpy(target, part.data, part.size);
            __asm__ volatile("" : : "r"(target) : "memory");
        }
        double rate = (double)events.size * 1e3 / (double)(now_ns() - start);
        best = rate > best ? rate : best;
    }
    return best;
}

int main(int argc, char **argv)
{
    size_t megabytes = argc > 1 ? strtoul(argv[1], NULL, 10) : 200;
    struct buf made = make_events(megabytes * 1000000);
    struct slice events = buf_slice(&made);
    double copy = measure_copy(events);
    double json = measure_json(events);
    printf("check, %zu MB of %d-byte events\n", megabytes, EVENT_SIZE);
    printf("  %-34s %7.0f MB/s\n", "memcpy", copy);
    printf("  %-34s %7.0f MB/s\n", "JSON pass alone", json);
    static const struct {
        const char *name;
        size_t request_events, turn_requests;
    } shapes[] = {
        {"requests of 8 MB", 16000, 1},
        {"requests of 1 MB, 4 a turn", 2000, 4},
        {"requests of 64 KB, 16 a turn", 128, 16},
        {"requests of one record, 64 a turn", 1, 64},
        {"requests of one record, 1 a turn", 1, 1},
    };
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        double rate = measure_check(events, shapes[i].request_events, shapes[i].turn_requests);
        printf("  %-34s %7.0f MB/s, %.2f of the JSON pass, %.2f M records/s\n", shapes[i].name,
               rate, rate / json, rate / EVENT_SIZE);
    }
    buf_done(&made);
    return 0;
}
