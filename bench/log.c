/*
 * How fast the log takes commits, beside the disk alone: the same number of bytes in writes of
 * the same size, each flushed, into a file written before, with nothing else in the way. Commits
 * come from one loop, two of them under way, so that one is composed while the other is flushed.
 *
 *     log [DIRECTORY]      default: a directory of its own in the current one, removed afterwards
 */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "flow/batch.h"
#include "io/uv/uv.h"
#include "log/log.h"

#define RECORD_SIZE 500u
#define UNDER_WAY 2u
#define ROUND_BYTES (UINT64_C(768) << 20)
#define COMMITS_MAX 4000u
#define WAL_LIMIT (UINT64_C(12) << 30)

static void must(err_t err, const char *what, const struct err_text *why)
{
    if (err_is_ok(err))
        return;
    fprintf(stderr, "%s: %s\n", what, err_detail(err, why));
    exit(1);
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Writes of `size` bytes, each flushed; MB/s. */
static double disk_alone(const char *directory, size_t size, uint32_t count)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/disk-alone", directory);
    uint8_t *bytes = mem_alloc_aligned(4096, 4u << 20);
    int fd = open(path, O_CREAT | O_RDWR | O_DIRECT | O_CLOEXEC, 0600);
    if (fd < 0)
        fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0 || !bytes)
        exit(1);
    memset(bytes, 0xa5, 4u << 20);
    for (off_t at = 0; at < 256 << 20; at += 4 << 20)
        if (pwrite(fd, bytes, 4u << 20, at) != 4 << 20)
            exit(1);
    fsync(fd);
    size_t whole = (size + 4095) / 4096 * 4096;
    double start = seconds();
    for (uint32_t i = 0; i < count; i++) {
        off_t at = (off_t)((uint64_t)i * whole % ((256u << 20) - whole) / 4096 * 4096);
        if (pwrite(fd, bytes, whole, at) != (ssize_t)whole || fdatasync(fd) != 0)
            exit(1);
    }
    double took = seconds() - start;
    close(fd);
    unlink(path);
    mem_free(bytes);
    return (double)size * count / took / 1e6;
}

struct bench;

/* One commit, sent again and again. */
struct lane {
    struct bench *bench;
    struct flow_commit commit;
    struct flow_append append;
    struct flow_count counts;
    struct flow_batch_builder builder;
};

struct bench {
    struct io_loop *loop;
    struct io_loop *sequencer;
    struct io_worker *workers[4];
    struct log *log;
    struct lane lanes[UNDER_WAY];
    struct flow_commit create;
    struct flow_topic_change topic;
    struct task stopped;
    uint32_t left;
    uint32_t under_way;
};

static void send(struct lane *lane)
{
    lane->bench->left--;
    lane->bench->under_way++;
    flow_log_commit(log_flow(lane->bench->log), &lane->commit);
}

static void committed(struct flow_commit *commit)
{
    struct lane *lane = CONTAINER_OF(commit, struct lane, commit);
    must(commit->error, "commit", NULL);
    lane->bench->under_way--;
    if (lane->bench->left > 0)
        send(lane);
    else if (lane->bench->under_way == 0)
        io_uv_loop_stop(lane->bench->loop);
}

static void fill_lane(struct bench *bench, struct lane *lane, size_t size)
{
    char value[RECORD_SIZE];
    memset(value, 'v', sizeof value);
    lane->bench = bench;
    flow_batch_builder_init(&lane->builder);
    uint32_t count = (uint32_t)(size / RECORD_SIZE);
    for (uint32_t i = 0; i < count; i++)
        must(flow_batch_builder_add(&lane->builder, 1, (struct slice){0},
                                    slice_make(value, sizeof value), NULL, 0),
             "batch", NULL);
    struct slice batch = flow_batch_builder_finish(&lane->builder);
    lane->append = (struct flow_append){.topic_id = bench->topic.topic_id,
                                        .record_count = count,
                                        .batch = lane->builder.bytes.data,
                                        .batch_size = batch.size};
    lane->counts = (struct flow_count){.topic_id = bench->topic.topic_id, .received = count};
    lane->commit = (struct flow_commit){.home = bench->loop,
                                        .done = committed,
                                        .appends = &lane->append,
                                        .append_count = 1,
                                        .counts = &lane->counts,
                                        .count_count = 1};
}

/* Commits of about `size` bytes; MB/s. */
static double log_round(struct bench *bench, size_t size, uint32_t count)
{
    for (uint32_t i = 0; i < UNDER_WAY; i++)
        fill_lane(bench, &bench->lanes[i], size);
    bench->left = count;
    double start = seconds();
    for (uint32_t i = 0; i < UNDER_WAY; i++)
        send(&bench->lanes[i]);
    io_uv_loop_run(bench->loop);
    double took = seconds() - start;
    double bytes = (double)bench->lanes[0].append.batch_size * count;
    for (uint32_t i = 0; i < UNDER_WAY; i++)
        flow_batch_builder_done(&bench->lanes[i].builder);
    return bytes / took / 1e6;
}

static void created(struct flow_commit *commit)
{
    must(commit->error, "create a topic", NULL);
    io_uv_loop_stop(commit->home);
}

static void open_bench(struct bench *bench, const char *directory)
{
    struct err_text why = {0};
    must(io_uv_loop_new(&bench->loop), "loop", NULL);
    must(io_uv_loop_new(&bench->sequencer), "loop", NULL);
    for (size_t i = 0; i < 4; i++)
        must(io_uv_worker_new("bench", &bench->workers[i]), "worker", NULL);
    must(log_open(&(struct log_options){.loop = bench->sequencer,
                                        .flusher = bench->workers[0],
                                        .maker = bench->workers[1],
                                        .reader = bench->workers[2],
                                        .sealer = bench->workers[3],
                                        .disk = io_uv_disk(),
                                        .data_directory = directory,
                                        .wal_limit_bytes = WAL_LIMIT,
                                        .tail_bytes = 64u << 20,
                                        .index_bytes = 64u << 20},
                  &bench->log, &why),
         "open the log", &why);
    must(io_uv_loop_start(bench->sequencer, "sequencer"), "thread", NULL);
    uint8_t random[16];
    io_random(bench->loop, random, sizeof random);
    bench->topic = (struct flow_topic_change){.op = FLOW_TOPIC_CREATE,
                                              .uuid = uuid_from_random(random),
                                              .name = SLICE_LITERAL("bench"),
                                              .partition_count = 1};
    bench->create = (struct flow_commit){
        .home = bench->loop, .done = created, .topics = &bench->topic, .topic_count = 1};
    flow_log_commit(log_flow(bench->log), &bench->create);
    io_uv_loop_run(bench->loop);
}

static void stopped(struct task *task)
{
    io_uv_loop_stop(CONTAINER_OF(task, struct bench, stopped)->loop);
}

static void close_bench(struct bench *bench)
{
    bench->stopped.run = stopped;
    log_stop(bench->log, bench->loop, &bench->stopped);
    io_uv_loop_run(bench->loop);
    io_uv_loop_stop(bench->sequencer);
    io_uv_loop_join(bench->sequencer);
    for (size_t i = 0; i < 4; i++)
        io_uv_worker_free(&bench->workers[i]);
    log_free(&bench->log);
    io_uv_loop_free(&bench->sequencer);
    io_uv_loop_free(&bench->loop);
}

static int remove_name(void *context, const char *name, enum io_kind kind)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", (const char *)context, name);
    if (kind == IO_KIND_DIRECTORY)
        must(io_disk_list(io_uv_disk(), path, remove_name, path, NULL), "list", NULL);
    must(io_disk_remove(io_uv_disk(), path, NULL), "remove", NULL);
    return 0;
}

int main(int argc, char **argv)
{
    static const size_t sizes[] = {500, 4000, 64000, 256000, 1000000, 4000000};
    char directory[] = "./bench-log-XXXXXX";
    char *where = argc > 1 ? argv[1] : mkdtemp(directory);
    if (!where)
        return 1;
    struct bench bench = {0};
    open_bench(&bench, where);
    printf("%10s %12s %12s %8s\n", "commit", "log MB/s", "disk MB/s", "ratio");
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint64_t fits = ROUND_BYTES / sizes[i];
        uint32_t count = fits < COMMITS_MAX ? (uint32_t)fits : COMMITS_MAX;
        double disk = disk_alone(where, sizes[i], count);
        double log = log_round(&bench, sizes[i], count);
        printf("%10zu %12.1f %12.1f %8.2f\n", sizes[i], log, disk, log / disk);
        fflush(stdout);
    }
    close_bench(&bench);
    if (argc > 1)
        return 0;
    must(io_disk_list(io_uv_disk(), where, remove_name, where, NULL), "list", NULL);
    return rmdir(where);
}
