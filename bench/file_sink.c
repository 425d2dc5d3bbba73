/*
 * How fast the file sink delivers: batches of 500-byte records in memory, given to the worker's
 * part of a sink (check of each batch, write, prepare, publish) in epochs of 64 MiB. Beside it, in
 * the same run, a plain loop of write(2) and fdatasync of the same bytes in files of the same
 * size. Rounds take turns, the best of each counts.
 *
 *     file_sink [directory [megabytes]]
 */

#include <ftw.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "io/uv/uv.h"
#include "sinks/call.h"
#include "sinks/file/file.h"

#define ROUNDS 3
#define VALUE_SIZE 499u
#define BATCH_RECORDS 2000u
#define EPOCH_SIZE (UINT64_C(64) << 20)
#define WRITE_SIZE (256u << 10)

static void require(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "file_sink: %s failed\n", what);
    exit(1);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* One batch, written again and again with other offsets. */
static struct slice make_batch(struct flow_batch_builder *builder)
{
    char value[VALUE_SIZE + 1];
    flow_batch_builder_init(builder);
    for (uint32_t i = 0; i < BATCH_RECORDS; i++) {
        int size = snprintf(value, sizeof(value), "{\"id\":%u,\"text\":\"", i);
        memset(value + size, 'x', VALUE_SIZE - (size_t)size - 2);
        value[VALUE_SIZE - 2] = '"';
        value[VALUE_SIZE - 1] = '}';
        int64_t time_ms = INT64_C(1706700000000) + i;
        require(err_is_ok(flow_batch_builder_add(builder, time_ms, (struct slice){0},
                                                 slice_make(value, VALUE_SIZE), NULL, 0)),
                "making a batch");
    }
    return flow_batch_builder_finish(builder);
}

static void run(struct sinks_call *call, enum sinks_verb verb)
{
    call->verb = verb;
    sinks_call_work(&call->job);
    require(err_is_ok(call->error) && err_is_ok(call->write.unreadable), call->why.text);
}

/* An epoch from `first` on; returns the offset behind it. */
static int64_t deliver_epoch(struct sinks_call *call, struct flow_batch_builder *builder,
                             struct slice batch, int64_t first)
{
    int64_t next = first;
    struct buf outputs = {0};
    do {
        flow_batch_set_base_offset(builder->bytes.data, next);
        call->write = (struct sinks_write){.batches = &batch,
                                           .batch_count = 1,
                                           .topic_id = 1,
                                           .about = {.sink = "bench", .topic = "events"},
                                           .next_offset = next};
        run(call, SINKS_VERB_WRITE);
        next = call->write.next_offset;
    } while (!call->write.roll);
    struct flow_sink_range range = {.topic_id = 1, .first_offset = first, .end_offset = next};
    call->ranges = &range;
    call->range_count = 1;
    call->outputs = &outputs;
    run(call, SINKS_VERB_PREPARE);
    run(call, SINKS_VERB_PUBLISH);
    buf_done(&outputs);
    return next;
}

/* Returns MB/s of delivered lines. */
static double measure_sink(const char *directory, uint64_t bytes)
{
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/lake/{topic}/dt={event_time:%%Y-%%m-%%d}", directory);
    struct sinks_file_options options = {
        .path = path, .roll = {EPOCH_SIZE, 60000}, .max_open_files = 64};
    struct flow_batch_builder builder;
    struct slice batch = make_batch(&builder);
    struct sinks_call call = {.plugin = &sinks_file_plugin,
                              .open = {"bench", &options, io_uv_disk(), 1}};
    run(&call, SINKS_VERB_OPEN);
    double start = now();
    int64_t offset = 0;
    while ((uint64_t)offset * (VALUE_SIZE + 1) < bytes)
        offset = deliver_epoch(&call, &builder, batch, offset);
    double seconds = now() - start;
    run(&call, SINKS_VERB_CLOSE);
    flow_batch_builder_done(&builder);
    return (double)offset * (VALUE_SIZE + 1) / 1e6 / seconds;
}

static void write_file(const char *path, const char *data)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    require(fd >= 0, path);
    for (uint64_t done = 0; done < EPOCH_SIZE; done += WRITE_SIZE)
        require(write(fd, data, WRITE_SIZE) == (ssize_t)WRITE_SIZE, path);
    require(fdatasync(fd) == 0 && close(fd) == 0, path);
}

/* Returns MB/s of plain writing. */
static double measure_plain(const char *directory, uint64_t bytes)
{
    static char data[WRITE_SIZE];
    char path[4096];
    memset(data, 'x', sizeof(data));
    double start = now();
    uint64_t written = 0;
    for (int i = 0; written < bytes; i++, written += EPOCH_SIZE) {
        (void)snprintf(path, sizeof(path), "%s/plain-%d", directory, i);
        write_file(path, data);
    }
    return (double)written / 1e6 / (now() - start);
}

/* Removes what is below the directory, not the directory. */
static int remove_one(const char *path, const struct stat *about, int type, struct FTW *place)
{
    (void)about;
    (void)type;
    return place->level == 0 ? 0 : remove(path);
}

static void clean(const char *directory)
{
    require(nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0, directory);
}

int main(int argc, char **argv)
{
    char directory[4000];
    (void)snprintf(directory, sizeof(directory), "%s/garner-bench-XXXXXX",
                   argc > 1 ? argv[1] : "/var/tmp");
    uint64_t bytes = (argc > 2 ? strtoull(argv[2], NULL, 10) : 2000) * 1000000;
    require(mkdtemp(directory) != NULL, "making a directory");
    double sink = 0;
    double plain = 0;
    for (int i = 0; i < ROUNDS; i++) {
        double of_plain = measure_plain(directory, bytes);
        clean(directory);
        double of_sink = measure_sink(directory, bytes);
        clean(directory);
        plain = of_plain > plain ? of_plain : plain;
        sink = of_sink > sink ? of_sink : sink;
    }
    require(rmdir(directory) == 0, "removing the directory");
    printf("file sink       %7.0f MB/s   floor 500, goal 1000\n", sink);
    printf("write and flush %7.0f MB/s   the same bytes without garner\n", plain);
    printf("ratio           %7.2f\n", sink / plain);
    return 0;
}
