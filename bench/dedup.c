/*
 * Idempotency keys: how many a second can be held against all that count, and what they take.
 * Buckets of the default memory are filled, sorted and written as the log does it; then keys are
 * looked for, ones that nobody has sent and ones that are in files; then everything is opened
 * again as a start does. Beside it a bound from the same run: random reads of one word each in
 * as much memory as the filters take, as many a key as there are files.
 *
 *     dedup [KEYS [DIRECTORY]]      default: 100,000,000 keys, in the current directory
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "io/uv/uv.h"
#include "log/keys.h"

#define MEMORY_BYTES (UINT64_C(64) << 20)
#define CHECKS 2000000u
#define RESTART_KEYS 10000000u
#define AHEAD 8u

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

struct bench {
    struct io_disk *disk;
    const char *directory;
    struct log_keys *keys;
    struct flow_topic_config config;
    struct uuid topic;
    uint64_t installs;
    double sorting;
    double most;
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
    b->most = resident() > b->most ? resident() : b->most;
    log_keys_install(bucket, &file, ++b->installs);
    b->sorting += seconds() - begin;
}

static void fill(struct bench *b, uint64_t count)
{
    uint8_t bytes[LOG_KEY_SIZE * 64];
    for (uint64_t n = 0; n < count; n += 64) {
        must(log_keys_turn(b->keys, &b->config, 1000), "turn", NULL);
        for (uint64_t i = 0; i < 64; i++) {
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

/* As the sequencer and its worker do it: the tables, the filters, and a read where one lets pass.
 */
static bool check(struct bench *b, struct flow_fingerprint key, uint64_t *reads)
{
    bool found = log_keys_find(b->keys, &b->config, 1000, key) != LOG_KEYS_ABSENT;
    for (uint32_t i = 0; i < b->keys->count && !found; i++) {
        const struct log_keys_bucket *bucket = b->keys->buckets[i];
        uint32_t first = 0;
        uint32_t end = 0;
        if (!bucket->sorted || !log_keys_file_maybe(&bucket->file, key, &first, &end))
            continue;
        ++*reads;
        must(log_keys_file_probe(&bucket->file, key, first, end, &found), "probe", NULL);
    }
    return found;
}

static void look(struct bench *b, const char *what, uint64_t first, uint64_t range, uint32_t count)
{
    uint64_t reads = 0;
    uint64_t found = 0;
    double begin = seconds();
    for (uint64_t i = 0; i < count; i++) {
        struct flow_fingerprint ahead = key_of(first + mix(i + AHEAD) % range);
        for (uint32_t k = 0; k < b->keys->count; k++) {
            if (b->keys->buckets[k]->sorted)
                log_keys_file_prefetch(&b->keys->buckets[k]->file, ahead);
        }
        found += check(b, key_of(first + mix(i) % range), &reads);
    }
    double took = seconds() - begin;
    printf("%-28s %8.2f M/s, %.3f found, %.4f reads each\n", what, count / took / 1e6,
           (double)found / count, (double)reads / count);
}

static void bound(uint64_t bytes, uint32_t files)
{
    uint64_t words = bytes / 8 + 1;
    uint64_t *memory = mem_zalloc(words, 8);
    uint64_t sum = 0;
    if (!memory)
        return;
    for (uint64_t i = 0; i < words; i++)
        memory[i] = i;
    double begin = seconds();
    for (uint64_t i = 0; i < CHECKS; i++)
        for (uint32_t k = 0; k < files; k++)
            sum += memory[mix(i * files + k) % words];
    printf("%-28s %8.2f M/s (%llu)\n", "bound: a word a file", CHECKS / (seconds() - begin) / 1e6,
           (unsigned long long)(sum & 1));
    mem_free(memory);
}

/* All sorted files, and one table that is as large as they get, opened again. */
static void restart(struct bench *b)
{
    struct err_text why = {0};
    uint64_t loaded = 0;
    double begin = seconds();
    for (uint32_t i = 0; i < b->keys->count && loaded < RESTART_KEYS; i++) {
        struct log_keys_bucket *bucket = b->keys->buckets[i];
        if (!bucket->sorted)
            continue;
        log_keys_file_done(&bucket->file);
        must(log_keys_bucket_load(b->disk, b->directory, &b->topic, bucket, &why), "load", &why);
        loaded += bucket->file.count;
    }
    printf("%-28s %8.2f s for %llu keys\n", "a start", seconds() - begin,
           (unsigned long long)loaded);
}

int main(int argc, char **argv)
{
    uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : 100000000;
    char directory[4096];
    struct bench b = {.disk = io_uv_disk(),
                      .directory = directory,
                      .keys = log_keys_new(1),
                      .config = {.dedup_window_ms = 86400000, .dedup_memory_bytes = MEMORY_BYTES},
                      .topic = {{1}}};
    snprintf(directory, sizeof directory, "%s/bench-dedup.%d", argc > 2 ? argv[2] : ".",
             (int)getpid());
    double begin = seconds();
    fill(&b, count);
    double took = seconds() - begin;
    uint64_t filters = 0;
    uint32_t files = 0;
    for (uint32_t i = 0; i < b.keys->count; i++) {
        filters += b.keys->buckets[i]->file.bytes;
        files += b.keys->buckets[i]->sorted;
    }
    printf("%-28s %8.2f M/s; sorting and writing them %.2f M/s\n", "keys looked for and added",
           (double)count / (took - b.sorting) / 1e6, (double)count / b.sorting / 1e6);
    printf("%-28s %8.0f MiB resident, %.0f while one is sorted; filters %.0f MiB of %u files\n",
           "memory", resident(), b.most, (double)filters / 1048576, files);
    look(&b, "keys that nobody has sent", count * 2, count, CHECKS);
    look(&b, "keys that are in files", 0, count, CHECKS / 10);
    bound(filters, files);
    restart(&b);
    for (uint32_t i = 0; i < b.keys->count; i++) {
        char path[4096];
        log_keys_path(directory, b.keys->buckets[i]->number, LOG_KEYS_SORTED, path, sizeof path);
        err_t ignored = io_disk_remove(b.disk, path, NULL);
        (void)ignored;
    }
    char sub[4200];
    snprintf(sub, sizeof sub, "%s/keys", directory);
    rmdir(sub);
    rmdir(directory);
    log_keys_free(&b.keys);
    return 0;
}
