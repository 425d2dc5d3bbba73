#include "log/keys.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/hash.h"

#include <inttypes.h>

/*
 * The happy path: a key is looked for in the tables, newest first, and added to the open one. Its
 * frame is written, and it is durable: keys are settled in the order in which they were added,
 * since frames are. A table is closed by its time or its size, and another opened.
 *
 * Failure modes: what a fenced frame held is taken out from the end of the tables, which are what
 * they were before. A closed table that cannot be written stays one, and is looked into like the
 * open one; when that has come to twice its limit, keys are refused until the disk is back.
 */

#define WIDTH_MS_MIN 1000u
/* Keys whose memory is on its way while one is looked at. */
#define AHEAD 16u
/* The file is read in such parts. */
#define LOAD_KEYS (LOG_KEYS_CHUNK * 16u)
#define PATH_SIZE 4096

struct log_keys *log_keys_new(uint64_t first_number)
{
    struct log_keys *keys = mem_zalloc(1, sizeof *keys);
    if (keys)
        keys->next_number = first_number;
    ASSERT(!keys || keys->count == 0);
    return keys;
}

void log_keys_bucket_hold(struct log_keys_bucket *bucket)
{
    ASSERT(bucket->refs > 0);
    bucket->refs++;
}

void log_keys_bucket_release(struct log_keys_bucket *bucket)
{
    ASSERT(bucket->refs > 0);
    if (--bucket->refs > 0)
        return;
    log_keys_table_done(&bucket->table);
    log_keys_file_done(&bucket->file);
    mem_free(bucket);
}

void log_keys_free(struct log_keys **keys)
{
    ASSERT(keys);
    if (!*keys)
        return;
    log_keys_drop(*keys, (*keys)->count);
    mem_free((*keys)->buckets);
    mem_free(*keys);
    *keys = NULL;
}

uint32_t log_keys_bucket_count(const struct log_keys_bucket *bucket)
{
    ASSERT(bucket->durable <= bucket->table.count);
    return bucket->sorted ? bucket->file.count : bucket->durable;
}

struct log_keys_bucket *log_keys_add_bucket(struct log_keys *keys)
{
    ASSERT(keys->count <= keys->capacity);
    if (keys->count == keys->capacity) {
        uint32_t capacity = keys->capacity ? keys->capacity * 2 : 8;
        struct log_keys_bucket **buckets =
            mem_realloc(keys->buckets, capacity, sizeof(struct log_keys_bucket *));
        if (!buckets)
            return NULL;
        keys->buckets = buckets;
        keys->capacity = capacity;
    }
    struct log_keys_bucket *bucket = mem_zalloc(1, sizeof *bucket);
    if (!bucket)
        return NULL;
    bucket->refs = 1;
    bucket->number = keys->next_number++;
    log_keys_table_init(&bucket->table);
    keys->buckets[keys->count++] = bucket;
    return bucket;
}

static struct log_keys_bucket *open_bucket(const struct log_keys *keys)
{
    ASSERT(keys->count <= keys->capacity);
    struct log_keys_bucket *last = keys->count > 0 ? keys->buckets[keys->count - 1] : NULL;
    return last && !last->sorted ? last : NULL;
}

static bool is_past(const struct flow_topic_config *config, int64_t time_ms, int64_t now_ms)
{
    ASSERT(config->dedup_window_ms > 0);
    return now_ms > time_ms && (uint64_t)(now_ms - time_ms) > config->dedup_window_ms;
}

err_t log_keys_turn(struct log_keys *keys, const struct flow_topic_config *config, int64_t now_ms)
{
    ASSERT(config->dedup_window_ms > 0);
    const struct log_keys_bucket *open = open_bucket(keys);
    bool due = !open;
    if (open && open->durable > 0) {
        uint64_t width = config->dedup_window_ms / LOG_KEYS_BUCKETS_WINDOW;
        width = width < WIDTH_MS_MIN ? WIDTH_MS_MIN : width;
        due = now_ms > open->first_ms && (uint64_t)(now_ms - open->first_ms) >= width;
        /* One at a time is sorted: while another waits for that, this one goes on. */
        due = due || (open->table.bytes >= config->dedup_memory_bytes && !log_keys_closed(keys)) ||
              open->table.count >= LOG_KEYS_TABLE_MAX - LOG_KEYS_TABLE_SPARE;
    }
    return due && !log_keys_add_bucket(keys) ? err_make(ERR_MEMORY) : err_ok();
}

uint32_t log_keys_expired(const struct log_keys *keys, const struct flow_topic_config *config,
                          int64_t now_ms)
{
    uint32_t count = 0;
    ASSERT(keys->buckets || keys->count == 0);
    for (; count < keys->count; count++) {
        const struct log_keys_bucket *bucket = keys->buckets[count];
        bool on_their_way = !bucket->sorted && bucket->durable < bucket->table.count;
        if (on_their_way || log_keys_bucket_count(bucket) == 0 ||
            !is_past(config, bucket->last_ms, now_ms))
            break;
    }
    return count;
}

void log_keys_drop(struct log_keys *keys, uint32_t count)
{
    ASSERT(count <= keys->count);
    for (uint32_t i = 0; i < count; i++)
        log_keys_bucket_release(keys->buckets[i]);
    keys->count -= count;
    if (keys->count > 0)
        memmove(keys->buckets, keys->buckets + count, keys->count * sizeof(void *));
}

void log_keys_prefetch(const struct log_keys *keys, struct flow_fingerprint key)
{
    ASSERT(keys->buckets || keys->count == 0);
    for (uint32_t i = 0; i < keys->count; i++) {
        if (!keys->buckets[i]->sorted)
            log_keys_table_prefetch(&keys->buckets[i]->table, key);
    }
}

enum log_keys_found log_keys_find(const struct log_keys *keys,
                                  const struct flow_topic_config *config, int64_t now_ms,
                                  struct flow_fingerprint key)
{
    ASSERT(!flow_fingerprint_is_none(&key));
    for (uint32_t i = keys->count; i > 0; i--) {
        const struct log_keys_bucket *bucket = keys->buckets[i - 1];
        if (bucket->sorted)
            continue;
        uint32_t place = log_keys_table_find(&bucket->table, key);
        if (place == LOG_KEYS_NONE)
            continue;
        if (place >= bucket->durable)
            return LOG_KEYS_ON_ITS_WAY;
        if (!is_past(config, bucket->last_ms, now_ms))
            return LOG_KEYS_DURABLE;
    }
    return LOG_KEYS_ABSENT;
}

err_t log_keys_add(struct log_keys *keys, const struct flow_topic_config *config,
                   struct flow_fingerprint key)
{
    struct log_keys_bucket *open = open_bucket(keys);
    ASSERT(open);
    if (open->table.bytes >= 2 * config->dedup_memory_bytes && log_keys_closed(keys))
        return err_make(ERR_BUSY);
    err_t err = log_keys_table_add(&open->table, key);
    return err_is(err, ERR_TOO_LARGE) ? err_make(ERR_BUSY) : err;
}

void log_keys_take_back(struct log_keys *keys, uint32_t count)
{
    struct log_keys_bucket *open = open_bucket(keys);
    if (count == 0)
        return;
    ASSERT(open && open->table.count - open->durable >= count);
    log_keys_table_cut(&open->table, open->table.count - count);
}

void log_keys_forget(struct log_keys *keys)
{
    for (uint32_t i = 0; i < keys->count; i++) {
        struct log_keys_bucket *bucket = keys->buckets[i];
        ASSERT(bucket->durable <= bucket->table.count);
        if (!bucket->sorted)
            log_keys_table_cut(&bucket->table, bucket->durable);
    }
}

/* The oldest bucket with keys on their way: an entry's keys are all in it, as a bucket is never
 * closed between them. */
static struct log_keys_bucket *waiting_bucket(const struct log_keys *keys)
{
    ASSERT(keys->buckets || keys->count == 0);
    for (uint32_t i = 0; i < keys->count; i++) {
        struct log_keys_bucket *bucket = keys->buckets[i];
        if (!bucket->sorted && bucket->durable < bucket->table.count)
            return bucket;
    }
    return NULL;
}

static void settle_time(struct log_keys_bucket *bucket, int64_t commit_ms)
{
    if (bucket->durable == 0)
        bucket->first_ms = bucket->last_ms = commit_ms;
    bucket->last_ms = commit_ms > bucket->last_ms ? commit_ms : bucket->last_ms;
    ASSERT(bucket->first_ms <= bucket->last_ms);
}

err_t log_keys_settle(struct log_keys *keys, const struct flow_topic_config *config,
                      struct slice fingerprints, int64_t commit_ms)
{
    ASSERT(fingerprints.size % LOG_KEY_SIZE == 0);
    struct log_keys_bucket *bucket = waiting_bucket(keys);
    bool recovers = !bucket;
    if (recovers) {
        TRY(log_keys_turn(keys, config, commit_ms));
        bucket = open_bucket(keys);
    }
    ASSERT(bucket);
    settle_time(bucket, commit_ms);
    for (size_t at = 0; at < fingerprints.size; at += LOG_KEY_SIZE) {
        struct flow_fingerprint key = log_key_get(fingerprints.data + at);
        /* From a disk: one that could not have been written is no reason to die. */
        if (flow_fingerprint_is_none(&key))
            return err_make(ERR_CORRUPT);
        if (recovers)
            TRY(log_keys_table_add(&bucket->table, key));
        struct flow_fingerprint own = log_keys_table_at(&bucket->table, bucket->durable);
        ASSERT(own.low == key.low && own.high == key.high);
        bucket->durable++;
    }
    return err_ok();
}

static bool is_asked(const struct log_keys_question *question, uint32_t index)
{
    ASSERT(index < question->count);
    return !flow_fingerprint_is_none(&question->keys[index]) && !flow_bit(question->known, index);
}

static err_t ask_file(struct log_keys_bucket *bucket, const struct log_keys_question *question,
                      log_keys_passed_fn *passed, void *context)
{
    uint32_t ahead = 0;
    ASSERT(bucket->sorted);
    for (uint32_t i = 0; i < question->count; i++) {
        for (; ahead < question->count && ahead <= i + AHEAD; ahead++)
            log_keys_file_prefetch(&bucket->file, question->keys[ahead]);
        if (is_asked(question, i) && log_keys_file_maybe(&bucket->file, question->keys[i]))
            TRY(passed(context, i, bucket));
    }
    return err_ok();
}

/* Filters are some hundred megabytes, and each look waits for memory: it has been on its way while
 * others were looked at. File by file, because the processor remembers where so many pages are and
 * no more: half the time of key by key. */
err_t log_keys_ask(const struct log_keys *keys, const struct log_keys_question *question,
                   log_keys_passed_fn *passed, void *context)
{
    ASSERT(question->known || question->count == 0);
    for (uint32_t i = 0; i < keys->count; i++) {
        struct log_keys_bucket *bucket = keys->buckets[i];
        if (bucket->sorted && bucket->installed > question->since)
            TRY(ask_file(bucket, question, passed, context));
    }
    return err_ok();
}

struct log_keys_bucket *log_keys_closed(const struct log_keys *keys)
{
    ASSERT(keys->buckets || keys->count == 0);
    for (uint32_t i = 0; i + 1 < keys->count; i++) {
        struct log_keys_bucket *bucket = keys->buckets[i];
        if (!bucket->sorted && bucket->durable > 0 && bucket->durable == bucket->table.count)
            return bucket;
    }
    return NULL;
}

uint64_t log_keys_unsaved(const struct log_keys *keys)
{
    uint64_t count = 0;
    ASSERT(keys->buckets || keys->count == 0);
    for (uint32_t i = 0; i < keys->count; i++) {
        if (!keys->buckets[i]->sorted)
            count += keys->buckets[i]->durable - keys->buckets[i]->saved;
    }
    return count;
}

void log_keys_install(struct log_keys_bucket *bucket, struct log_keys_file *file,
                      uint64_t installed)
{
    ASSERT(!bucket->sorted && file->count == bucket->table.count);
    log_keys_table_done(&bucket->table);
    bucket->file = *file;
    *file = (struct log_keys_file){0};
    bucket->sorted = true;
    bucket->installed = installed;
    bucket->durable = bucket->saved = 0;
    bucket->saving = bucket->file.count;
}

void log_keys_path(const char *topic_directory, uint64_t number, enum log_keys_kind kind, char *out,
                   size_t size)
{
    int written = snprintf(out, size, "%s/keys/%020" PRIu64 "%s", topic_directory, number,
                           kind == LOG_KEYS_RAW ? ".new" : ".sorted");
    ASSERT(written > 0 && (size_t)written < size);
}

static size_t chunk_part(const struct log_keys_bucket *bucket, uint32_t at,
                         const struct flow_fingerprint **out)
{
    uint32_t in_chunk = at % LOG_KEYS_CHUNK;
    uint32_t count = LOG_KEYS_CHUNK - in_chunk;
    ASSERT(at < bucket->durable);
    count = count > bucket->durable - at ? bucket->durable - at : count;
    *out = &bucket->table.chunks[at / LOG_KEYS_CHUNK][in_chunk];
    return count;
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ &&
                   sizeof(struct flow_fingerprint) == LOG_KEY_SIZE &&
                   offsetof(struct flow_fingerprint, high) == 8,
               "keys lie in memory as in the file");

void log_keys_bucket_gather(struct log_keys_bucket *bucket, struct buf *out, uint32_t *from)
{
    ASSERT(bucket->saved <= bucket->durable);
    *from = bucket->saved;
    uint32_t crc = bucket->saved_crc;
    for (uint32_t at = bucket->saved; at < bucket->durable;) {
        const struct flow_fingerprint *keys;
        uint32_t count = (uint32_t)chunk_part(bucket, at, &keys);
        crc = crc32c(crc, keys, (size_t)count * LOG_KEY_SIZE);
        buf_add(out, keys, (size_t)count * LOG_KEY_SIZE);
        at += count;
    }
    bucket->saving = bucket->durable;
    bucket->saving_crc = crc;
}

void log_keys_saved(struct log_keys *keys)
{
    for (uint32_t i = 0; i < keys->count; i++) {
        struct log_keys_bucket *bucket = keys->buckets[i];
        ASSERT(bucket->saving >= bucket->saved);
        bucket->saved = bucket->saving;
        bucket->saved_crc = bucket->saving_crc;
    }
}

/* What lies there was left by a crash, or by a flush that failed: the system may take it for
 * written, and never write it. Cut off first, the bytes and the size are to be flushed like any
 * other. */
static err_t cut_behind(struct io_file *file, uint64_t at)
{
    uint64_t size = 0;
    ASSERT(at % LOG_KEY_SIZE == 0);
    TRY(io_file_size(file, &size));
    return size > at ? io_file_truncate(file, at) : err_ok();
}

err_t log_keys_write_raw(struct io_disk *disk, const char *topic_directory, uint64_t number,
                         uint32_t from, struct slice keys, struct err_text *why)
{
    char path[PATH_SIZE];
    char directory[PATH_SIZE];
    struct io_file *file;
    ASSERT(keys.size > 0 && keys.size % LOG_KEY_SIZE == 0);
    log_keys_path(topic_directory, number, LOG_KEYS_RAW, path, sizeof path);
    snprintf(directory, sizeof directory, "%s/keys", topic_directory);
    unsigned flags = IO_OPEN_WRITE;
    if (from == 0) {
        TRY(io_disk_make_path(disk, directory, why));
        /* What is there under this name was written behind the last checkpoint before a crash. */
        flags |= IO_OPEN_CREATE | IO_OPEN_TRUNCATE;
    }
    TRY(io_disk_open(disk, path, flags, &file, why));
    uint64_t at = (uint64_t)from * LOG_KEY_SIZE;
    err_t err = cut_behind(file, at);
    if (err_is_ok(err))
        err = io_file_write(file, keys.data, keys.size, at);
    if (err_is_ok(err))
        err = io_file_sync(file);
    err_t closed = io_file_close(file);
    err = err_is_ok(err) ? closed : err;
    if (!err_is_ok(err))
        return err_set(why, (enum err_code)err.code, "%s: %s", path, err_string(err));
    return from == 0 ? io_disk_sync_directory(disk, directory, why) : err_ok();
}

static err_t load_raw(struct io_file *file, struct log_keys_bucket *bucket, uint8_t *copy)
{
    uint32_t crc = 0;
    ASSERT(bucket->table.count == 0);
    for (uint32_t at = 0; at < bucket->saving;) {
        uint32_t left = bucket->saving - at;
        size_t size = (size_t)(left > LOAD_KEYS ? LOAD_KEYS : left) * LOG_KEY_SIZE;
        size_t got = 0;
        TRY(io_file_read(file, copy, size, (uint64_t)at * LOG_KEY_SIZE, &got));
        if (got != size)
            return err_make(ERR_CORRUPT);
        crc = crc32c(crc, copy, size);
        for (size_t i = 0; i < size; i += LOG_KEY_SIZE) {
            struct flow_fingerprint key = log_key_get(copy + i);
            if (flow_fingerprint_is_none(&key))
                return err_make(ERR_CORRUPT);
            TRY(log_keys_table_add(&bucket->table, key));
        }
        at += (uint32_t)(size / LOG_KEY_SIZE);
    }
    return err_make(crc == bucket->saving_crc ? ERR_OK : ERR_CORRUPT);
}

err_t log_keys_bucket_load(struct io_disk *disk, const char *topic_directory,
                           const struct uuid *topic, struct log_keys_bucket *bucket,
                           struct err_text *why)
{
    char path[PATH_SIZE];
    ASSERT(bucket->table.count == 0 && !bucket->file.reader);
    log_keys_path(topic_directory, bucket->number, bucket->sorted ? LOG_KEYS_SORTED : LOG_KEYS_RAW,
                  path, sizeof path);
    if (bucket->sorted) {
        struct log_keys_head head = {.topic = *topic,
                                     .number = bucket->number,
                                     .count = bucket->saving,
                                     .first_ms = bucket->first_ms,
                                     .last_ms = bucket->last_ms};
        return log_keys_file_open(disk, path, &head, &bucket->file, why);
    }
    if (bucket->saving == 0)
        return err_ok();
    struct io_file *file;
    err_t err = io_disk_open(disk, path, IO_OPEN_READ, &file, why);
    if (err_is(err, ERR_NO_FILE))
        return err_set(why, ERR_CORRUPT, "%s is missing", path);
    TRY(err);
    uint8_t *copy = mem_alloc((size_t)LOAD_KEYS * LOG_KEY_SIZE);
    err = copy ? load_raw(file, bucket, copy) : err_make(ERR_MEMORY);
    mem_free(copy);
    err_t closed = io_file_close(file);
    err = err_is_ok(err) ? closed : err;
    if (!err_is_ok(err))
        return err_set(why, (enum err_code)err.code, "%s: %s", path, err_string(err));
    bucket->durable = bucket->saved = bucket->saving;
    bucket->saved_crc = bucket->saving_crc;
    return err_ok();
}
