/*
 * Idempotency keys: how many a second can be held against all that count, what they take, and how
 * soon a start has them again. Buckets of the default memory are filled, sorted and written as the
 * log does it; then keys come in commits: ones that nobody has sent, ones from a moment ago, old
 * ones that are in files. Then a log takes keys, dies, and is started again.
 *
 * Bounds from the same run: a bare table that keys are inserted in; reads of a line of memory a
 * filter; reads of blocks of the same files at random, one after another.
 *
 *     dedup [KEYS [DIRECTORY]]      default: 10,000,000 keys, in the current directory
 *
 * It says of each floor whether it holds. Those of checks and memory are owed with 100,000,000
 * keys, which take a minute or two.
 */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "flow/batch.h"
#include "io/uv/uv.h"
#include "log/keys.h"
#include "log/log.h"

#define MEMORY_BYTES (UINT64_C(64) << 20)
#define CHECKS 2000000u
#define READS 200000u
#define OWED_KEYS UINT64_C(100000000)
#define RESTART_KEYS UINT64_C(10000000)
#define COMMIT_KEYS 500u
#define KEYS_MAX 50000u /* of commits that wait together */
#define READS_MAX (2 * KEYS_MAX)
#define AHEAD 8u
#define LOG_COMMIT_KEYS 4000u
#define KEYS_MIN UINT64_C(5000000)
#define FLOOR_CHECKS 0.5e6
#define FLOOR_MEMORY 512.0
#define FLOOR_START 3.0

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

/* Of the processor: what others on the machine take, and waits for the disk, are not in it. */
static double seconds_of_core(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static uint64_t mix(uint64_t value)
{
    value += UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
    return value ^ value >> 31;
}

static struct flow_fingerprint key_of(uint64_t n)
{
    return (struct flow_fingerprint){mix(n), mix(mix(n) + 1)};
}

/* Of the process, MiB. */
static double resident(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    char line[128] = "";
    char *rest = line;
    if (file && fgets(line, sizeof line, file))
        (void)strtol(line, &rest, 10);
    long own = strtol(rest, NULL, 10);
    if (file)
        fclose(file);
    return (double)own * (double)sysconf(_SC_PAGESIZE) / 1048576;
}

static double most_resident(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (double)usage.ru_maxrss / 1024 : 1e9;
}

/* A key that a filter lets pass. */
struct wanted {
    struct log_keys_bucket *bucket;
    uint32_t index;
    struct flow_fingerprint key;
};

struct bench {
    struct io_disk *disk;
    const char *directory;
    struct log_keys *keys;
    struct flow_topic_config config;
    struct uuid topic;
    uint64_t installs;
    double sorting;
    struct flow_fingerprint commit[KEYS_MAX];
    uint8_t known[KEYS_MAX / 8];
    struct wanted reads[READS_MAX];
    uint32_t read_count;
};

static void sort_closed(struct bench *b)
{
    struct log_keys_bucket *bucket = log_keys_closed(b->keys);
    struct log_keys_file file = {0};
    struct err_text why = {0};
    char path[4096];
    if (!bucket)
        return;
    double begin = seconds();
    log_keys_path(b->directory, bucket->number, LOG_KEYS_SORTED, path, sizeof path);
    struct log_keys_head head = {.topic = b->topic,
                                 .number = bucket->number,
                                 .count = bucket->table.count,
                                 .first_ms = bucket->first_ms,
                                 .last_ms = bucket->last_ms};
    must(log_keys_file_write(b->disk, path, &head, &bucket->table, &file, &why), path, &why);
    log_keys_install(bucket, &file, ++b->installs);
    b->sorting += seconds() - begin;
}

/* The filters are not asked: what is added is what nobody has sent. */
static void fill(struct bench *b, uint64_t count)
{
    uint8_t bytes[LOG_KEY_SIZE * COMMIT_KEYS];
    for (uint64_t n = 0; n < count; n += COMMIT_KEYS) {
        must(log_keys_turn(b->keys, &b->config, 1000), "turn", NULL);
        for (uint64_t i = 0; i < COMMIT_KEYS; i++) {
            struct flow_fingerprint key = key_of(n + i);
            if (log_keys_find(b->keys, &b->config, 1000, key) != LOG_KEYS_ABSENT)
                abort();
            must(log_keys_add(b->keys, &b->config, key), "add", NULL);
            log_key_put(bytes + LOG_KEY_SIZE * i, key);
        }
        must(log_keys_settle(b->keys, &b->config, slice_make(bytes, sizeof bytes), 1000), "settle",
             NULL);
        sort_closed(b);
    }
}

static void say(const char *what, bool holds, uint64_t count, uint64_t owed)
{
    printf("%-28s %s%s\n", what, holds ? "holds" : "DOES NOT HOLD",
           count < owed ? ", with fewer keys than it is owed for" : "");
}

static err_t pass_key(void *context, uint32_t index, struct log_keys_bucket *bucket)
{
    struct bench *b = context;
    if (b->read_count == READS_MAX)
        abort();
    b->reads[b->read_count++] = (struct wanted){bucket, index, b->commit[index]};
    return err_ok();
}

static int rising(const void *a, const void *b)
{
    const struct wanted *x = a;
    const struct wanted *y = b;
    if (x->bucket != y->bucket)
        return x->bucket < y->bucket ? -1 : 1;
    return (x->key.high > y->key.high) - (x->key.high < y->key.high);
}

static void read_keys(struct bench *b)
{
    struct log_keys_block last = {0};
    qsort(b->reads, b->read_count, sizeof *b->reads, rising);
    for (uint32_t i = 0; i < b->read_count; i++) {
        bool found = false;
        must(log_keys_file_probe(&b->reads[i].bucket->file, b->reads[i].key, &last, &found),
             "probe", NULL);
        if (found)
            flow_set_bit(b->known, b->reads[i].index);
    }
}

/* The keys of some commits that wait together, as the sequencer and its worker do it: the filters,
 * a read where one lets pass, the tables, and what is in none is added. How many were known. */
static uint32_t commit(struct bench *b, uint32_t count)
{
    static uint8_t bytes[LOG_KEY_SIZE * KEYS_MAX];
    struct log_keys_question question = {.keys = b->commit, .known = b->known, .count = count};
    uint32_t added = 0;
    memset(b->known, 0, sizeof b->known);
    b->read_count = 0;
    must(log_keys_turn(b->keys, &b->config, 1000), "turn", NULL);
    must(log_keys_ask(b->keys, &question, pass_key, b), "ask", NULL);
    read_keys(b);
    for (uint32_t i = 0; i < count; i++) {
        struct flow_fingerprint key = b->commit[i];
        if (i + AHEAD < count)
            log_keys_prefetch(b->keys, b->commit[i + AHEAD]);
        if (flow_bit(b->known, i) ||
            log_keys_find(b->keys, &b->config, 1000, key) != LOG_KEYS_ABSENT)
            continue;
        must(log_keys_add(b->keys, &b->config, key), "add", NULL);
        log_key_put(bytes + (size_t)LOG_KEY_SIZE * added++, key);
    }
    must(
        log_keys_settle(b->keys, &b->config, slice_make(bytes, (size_t)LOG_KEY_SIZE * added), 1000),
        "settle", NULL);
    return count - added;
}

/* Which keys: [first, first + range), in turn or at random. */
struct keys {
    uint64_t first;
    uint64_t range;
    bool random;
    uint32_t together;
    uint32_t count;
};

/* Checks a second. */
static double check(struct bench *b, const char *what, const struct keys *keys)
{
    uint64_t found = 0;
    uint64_t reads = 0;
    double took = 0;
    double core = 0;
    for (uint32_t i = 0; i < keys->count; i += keys->together) {
        for (uint32_t k = 0; k < keys->together; k++)
            b->commit[k] = key_of(
                keys->first + (keys->random ? mix(i + k) % keys->range : (i + k) % keys->range));
        double begin = seconds();
        double core_begin = seconds_of_core();
        found += commit(b, keys->together);
        took += seconds() - begin;
        core += seconds_of_core() - core_begin;
        reads += b->read_count;
        sort_closed(b);
    }
    printf("%-28s %8.3f M/s, %.3f a core; %.3f known, %.4f reads each\n", what,
           keys->count / took / 1e6, keys->count / core / 1e6, (double)found / keys->count,
           (double)reads / keys->count);
    return keys->count / took;
}

static void forget_cached(const struct bench *b)
{
    for (uint32_t i = 0; i < b->keys->count; i++) {
        char path[4096];
        log_keys_path(b->directory, b->keys->buckets[i]->number, LOG_KEYS_SORTED, path,
                      sizeof path);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0 && posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0)
            close(fd);
    }
}

/* Reads of one block of those files each, at random. */
static double blocks_alone(const struct bench *b, const char *what)
{
    int files[1024];
    uint32_t count = 0;
    uint8_t block[IO_BLOCK];
    for (uint32_t i = 0; i < b->keys->count && count < 1024; i++) {
        char path[4096];
        log_keys_path(b->directory, b->keys->buckets[i]->number, LOG_KEYS_SORTED, path,
                      sizeof path);
        int fd = b->keys->buckets[i]->sorted ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        if (fd >= 0)
            files[count++] = fd;
    }
    double begin = seconds();
    for (uint32_t i = 0; i < READS && count > 0; i++) {
        off_t end = lseek(files[mix(i) % count], 0, SEEK_END);
        off_t at = (off_t)(mix(i + READS) % (uint64_t)(end / IO_BLOCK)) * IO_BLOCK;
        if (pread(files[mix(i) % count], block, sizeof block, at) != sizeof block)
            abort();
    }
    double rate = READS / (seconds() - begin);
    for (uint32_t i = 0; i < count; i++)
        close(files[i]);
    printf("%-28s %8.2f M/s\n", what, rate / 1e6);
    return rate;
}

/* A table of as many keys as an open bucket has, and nothing else: looked for, inserted. */
static double table_alone(void)
{
    const uint64_t size = UINT64_C(1) << 22;
    const uint64_t count = MEMORY_BYTES / 27;
    struct flow_fingerprint *table = mem_zalloc(size, sizeof *table);
    if (!table)
        exit(1);
    /* Its pages are there. */
    memset(table, 0, size * sizeof *table);
    double begin = seconds();
    for (uint64_t i = 0; i < count; i++) {
        struct flow_fingerprint key = key_of(i);
        uint64_t at = key.low & (size - 1);
        while (table[at].low != 0 && (table[at].low != key.low || table[at].high != key.high))
            at = (at + 1) & (size - 1);
        table[at] = key;
    }
    double rate = (double)count / (seconds() - begin);
    mem_free(table);
    printf("%-28s %8.2f M/s\n", "bound: a bare table", rate / 1e6);
    return rate;
}

static double memory_alone(uint64_t bytes, uint32_t files)
{
    uint64_t words = bytes / 8 + 1;
    uint64_t *memory = mem_zalloc(words, 8);
    uint64_t sum = 0;
    if (!memory)
        exit(1);
    for (uint64_t i = 0; i < words; i++)
        memory[i] = i;
    double begin = seconds();
    for (uint64_t i = 0; i < CHECKS; i++)
        for (uint32_t k = 0; k < files; k++)
            sum += memory[mix(i * files + k) % words];
    double rate = CHECKS / (seconds() - begin);
    printf("%-28s %8.2f M/s (%llu)\n", "bound: a word a filter", rate / 1e6,
           (unsigned long long)(sum & 1));
    mem_free(memory);
    return rate;
}

static void checks(struct bench *b, uint64_t count)
{
    uint64_t filters = 0;
    uint32_t files = 0;
    uint64_t open = b->keys->buckets[b->keys->count - 1]->durable;
    for (uint32_t i = 0; i < b->keys->count; i++) {
        filters += b->keys->buckets[i]->file.bytes;
        files += b->keys->buckets[i]->sorted;
    }
    /* Here nothing is added while a table is sorted: as much as one more may be. */
    double most = most_resident() + (double)MEMORY_BYTES / 1048576;
    printf("%-28s %8.0f MiB resident, %.0f at most while one is sorted; filters %.0f MiB of %u "
           "files\n",
           "memory", resident(), most, (double)filters / 1048576, files);
    const struct keys old = {0, count - open, true, COMMIT_KEYS, READS};
    const struct keys few = {0, count - open, true, COMMIT_KEYS, READS / 10};
    /* A client that repeats what it sent in a while, many commits at once. */
    const struct keys resent = {0, open, false, KEYS_MAX, READS};
    double recent = check(b, "keys from a moment ago",
                          &(struct keys){count - open, open, true, COMMIT_KEYS, CHECKS});
    double cached = check(b, "old keys, files in memory", &old);
    double reads = blocks_alone(b, "bound: their blocks alone");
    forget_cached(b);
    double cold = check(b, "old keys, from the disk", &few);
    forget_cached(b);
    check(b, "old keys in turn, many", &resent);
    forget_cached(b);
    double disk = blocks_alone(b, "bound: the disk alone");
    double fresh = check(b, "keys that nobody has sent",
                         &(struct keys){count, CHECKS, false, COMMIT_KEYS, CHECKS});
    double lines = memory_alone(filters, files);
    double table = table_alone();
    double bound = 1 / (1 / lines + 1 / table);
    printf("ratios to bounds: nobody's %.2f, of a moment ago %.2f, old %.2f in memory, %.2f on "
           "disk\n",
           fresh / bound, recent / bound, cached / reads, cold / disk);
    say("floor: 0.5 M checks/s", fresh >= FLOOR_CHECKS, count, OWED_KEYS);
    say("floor: 512 MiB", most <= FLOOR_MEMORY, count, OWED_KEYS);
}

struct restart {
    struct io_loop *loop;
    struct io_loop *sequencer;
    struct io_worker *workers[4];
    struct log *log;
    struct flow_topic_change topic;
    struct flow_commit commit;
    struct flow_append append;
    struct flow_count counts;
    struct task stopped;
    uint8_t known[LOG_COMMIT_KEYS / 8];
};

static void committed(struct flow_commit *commit)
{
    must(commit->error, "commit", NULL);
    io_uv_loop_stop(commit->home);
}

static void ask(struct restart *r)
{
    flow_log_commit(log_flow(r->log), &r->commit);
    io_uv_loop_run(r->loop);
}

static void open_log(struct restart *r, const char *directory)
{
    struct err_text why = {0};
    must(io_uv_loop_new(&r->loop), "loop", NULL);
    must(io_uv_loop_new(&r->sequencer), "loop", NULL);
    for (size_t i = 0; i < 4; i++)
        must(io_uv_worker_new("bench", &r->workers[i]), "worker", NULL);
    must(log_open(&(struct log_options){.loop = r->sequencer,
                                        .flusher = r->workers[0],
                                        .maker = r->workers[1],
                                        .reader = r->workers[2],
                                        .sealer = r->workers[3],
                                        .disk = io_uv_disk(),
                                        .data_directory = directory,
                                        .wal_limit_bytes = UINT64_C(4) << 30,
                                        .tail_bytes = 64u << 20,
                                        .index_bytes = 64u << 20},
                  &r->log, &why),
         "open the log", &why);
    must(io_uv_loop_start(r->sequencer, "sequencer"), "thread", NULL);
}

static void create_topic(struct restart *r)
{
    r->topic = (struct flow_topic_change){.op = FLOW_TOPIC_CREATE,
                                          .uuid = {{1}},
                                          .name = SLICE_LITERAL("bench"),
                                          .partition_count = 1};
    r->commit = (struct flow_commit){
        .home = r->loop, .done = committed, .topics = &r->topic, .topic_count = 1};
    ask(r);
    r->topic = (struct flow_topic_change){.op = FLOW_TOPIC_CONFIG,
                                          .topic_id = r->topic.topic_id,
                                          .config = {.dedup_window_ms = 86400000,
                                                     .dedup_memory_bytes = MEMORY_BYTES,
                                                     .dedup_secret = {{7}}}};
    ask(r);
}

/* Records of eight bytes with keys from `first` on. How many were known. */
static uint32_t commit_keys(struct restart *r, uint64_t first)
{
    const uint32_t count = LOG_COMMIT_KEYS;
    struct flow_batch_builder builder;
    struct flow_fingerprint *keys = mem_alloc(count * sizeof *keys);
    if (!keys)
        exit(1);
    flow_batch_builder_init(&builder);
    for (uint32_t i = 0; i < count; i++) {
        keys[i] = key_of(first + i);
        must(flow_batch_builder_add(&builder, 1, (struct slice){0},
                                    slice_make(&keys[i].low, sizeof keys[i].low), NULL, 0),
             "batch", NULL);
    }
    struct slice batch = flow_batch_builder_finish(&builder);
    r->append = (struct flow_append){.topic_id = 1,
                                     .record_count = count,
                                     .batch = builder.bytes.data,
                                     .batch_size = batch.size,
                                     .keys = keys,
                                     .duplicates = r->known};
    r->counts = (struct flow_count){.topic_id = 1, .received = count};
    r->commit = (struct flow_commit){.home = r->loop,
                                     .done = committed,
                                     .appends = &r->append,
                                     .append_count = 1,
                                     .counts = &r->counts,
                                     .count_count = 1};
    ask(r);
    flow_batch_builder_done(&builder);
    mem_free(keys);
    return r->append.duplicate_count;
}

/* In a process of its own, which ends without stopping anything. */
static void fill_and_die(const char *directory, uint64_t count)
{
    struct restart r = {0};
    open_log(&r, directory);
    create_topic(&r);
    double begin = seconds();
    for (uint64_t n = 0; n < count; n += LOG_COMMIT_KEYS)
        (void)commit_keys(&r, n);
    printf("%-28s %8.2f M/s through a log\n", "keys", (double)count / (seconds() - begin) / 1e6);
    fflush(stdout);
    _exit(0);
}

static void stopped(struct task *task)
{
    io_uv_loop_stop(CONTAINER_OF(task, struct restart, stopped)->loop);
}

static void close_log(struct restart *r)
{
    r->stopped.run = stopped;
    log_stop(r->log, r->loop, &r->stopped);
    io_uv_loop_run(r->loop);
    io_uv_loop_stop(r->sequencer);
    io_uv_loop_join(r->sequencer);
    for (size_t i = 0; i < 4; i++)
        io_uv_worker_free(&r->workers[i]);
    log_free(&r->log);
    io_uv_loop_free(&r->sequencer);
    io_uv_loop_free(&r->loop);
}

/* Until the log is open; the first and the last keys are known then. */
static double start(const char *directory, const char *what, uint64_t count)
{
    struct restart r = {0};
    double begin = seconds();
    open_log(&r, directory);
    double took = seconds() - begin;
    printf("%-28s %8.2f s with %llu keys\n", what, took, (unsigned long long)count);
    if (commit_keys(&r, 0) != LOG_COMMIT_KEYS ||
        commit_keys(&r, count - LOG_COMMIT_KEYS) != LOG_COMMIT_KEYS)
        abort();
    close_log(&r);
    return took;
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

static void restarts(const char *directory, uint64_t count)
{
    count = (count < RESTART_KEYS ? count : RESTART_KEYS) / LOG_COMMIT_KEYS * LOG_COMMIT_KEYS;
    pid_t child = fork();
    if (child == 0)
        fill_and_die(directory, count);
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        abort();
    double crash = start(directory, "a start after a crash", count);
    double clean = start(directory, "a start after a stop", count);
    say("floor: a start in 3 s", crash <= FLOOR_START && clean <= FLOOR_START, count, RESTART_KEYS);
}

int main(int argc, char **argv)
{
    uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : 10000000;
    char directory[4096];
    struct bench b = {.disk = io_uv_disk(),
                      .directory = directory,
                      .config = {.dedup_window_ms = 86400000, .dedup_memory_bytes = MEMORY_BYTES},
                      .topic = {{1}}};
    count = (count < KEYS_MIN ? KEYS_MIN : count) / COMMIT_KEYS * COMMIT_KEYS;
    snprintf(directory, sizeof directory, "%s/bench-dedup.%d", argc > 2 ? argv[2] : ".",
             (int)getpid());
    must(io_disk_make_path(b.disk, directory, NULL), directory, NULL);
    setvbuf(stdout, NULL, _IOLBF, 0);
    /* Before there is anything that the other process would have a copy of. */
    restarts(directory, count);
    b.keys = log_keys_new(1);
    double begin = seconds();
    fill(&b, count);
    double took = seconds() - begin;
    printf("%-28s %8.2f M/s; sorting and writing them %.2f M/s\n", "keys looked for and added",
           (double)count / (took - b.sorting) / 1e6, (double)count / b.sorting / 1e6);
    checks(&b, count);
    log_keys_free(&b.keys);
    must(io_disk_list(b.disk, directory, remove_name, directory, NULL), "list", NULL);
    return rmdir(directory);
}
