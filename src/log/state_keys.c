#include "log/state_int.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "log/segment.h"

#include <stdlib.h>

/*
 * What the state does with the keys of its topics beside applying frames: files of keys that come
 * and go. A file that is named by nothing but the checkpoint before the newest has to stay, since
 * that is the one that serves when the newest cannot be read.
 *
 * Failure modes: a bucket whose files cannot be noted as doomed, for want of memory, stays.
 */

static err_t reserve_doomed_keys(struct log_state *state, size_t count)
{
    size_t wanted = state->doomed_keys_count + count;
    ASSERT(state->doomed_keys_count <= state->doomed_keys_capacity);
    if (wanted <= state->doomed_keys_capacity)
        return err_ok();
    size_t capacity = state->doomed_keys_capacity ? state->doomed_keys_capacity * 2 : 16;
    capacity = capacity < wanted ? wanted : capacity;
    struct log_doomed_keys *grown = mem_realloc(state->doomed_keys, capacity, sizeof *grown);
    if (!grown)
        return err_make(ERR_MEMORY);
    state->doomed_keys = grown;
    state->doomed_keys_capacity = capacity;
    return err_ok();
}

static void doom(struct log_state *state, uint32_t topic_id, uint64_t number,
                 enum log_keys_kind kind)
{
    ASSERT(state->doomed_keys_count < state->doomed_keys_capacity);
    state->doomed_keys[state->doomed_keys_count++] =
        (struct log_doomed_keys){.topic_id = topic_id, .number = number, .kind = kind};
}

void log_state_forget_doomed_keys(struct log_state *state, uint32_t topic_id)
{
    size_t kept = 0;
    ASSERT(topic_id > 0);
    for (size_t i = 0; i < state->doomed_keys_count; i++) {
        if (state->doomed_keys[i].topic_id != topic_id)
            state->doomed_keys[kept++] = state->doomed_keys[i];
    }
    state->doomed_keys_count = kept;
}

err_t log_state_drop_keys(struct log_state *state, struct log_topic *topic, uint32_t count)
{
    ASSERT(topic->keys && count <= topic->keys->count);
    TRY(reserve_doomed_keys(state, 2 * (size_t)count));
    for (uint32_t i = 0; i < count; i++) {
        const struct log_keys_bucket *bucket = topic->keys->buckets[i];
        if (bucket->sorted)
            doom(state, topic->id, bucket->number, LOG_KEYS_SORTED);
        /* A checkpoint on its way names it too. */
        else if (bucket->saving > 0)
            doom(state, topic->id, bucket->number, LOG_KEYS_RAW);
    }
    log_keys_drop(topic->keys, count);
    return err_ok();
}

err_t log_state_turn_keys(struct log_state *state, struct log_topic *topic, int64_t now_ms)
{
    ASSERT(topic->keys);
    uint32_t expired = log_keys_expired(topic->keys, &topic->config, now_ms);
    if (expired > 0)
        TRY(log_state_drop_keys(state, topic, expired));
    return log_keys_turn(topic->keys, &topic->config, now_ms);
}

static bool has_bucket(const struct log_topic *topic, const struct log_keys_bucket *bucket)
{
    ASSERT(bucket->refs > 0);
    for (uint32_t i = 0; topic && topic->keys && i < topic->keys->count; i++) {
        if (topic->keys->buckets[i] == bucket)
            return true;
    }
    return false;
}

err_t log_state_install_keys(struct log_state *state, uint32_t topic_id,
                             struct log_keys_bucket *bucket, struct log_keys_file *file)
{
    const struct log_topic *topic = log_state_topic(state, topic_id);
    ASSERT(file->count > 0);
    TRY(reserve_doomed_keys(state, 1));
    if (has_bucket(topic, bucket)) {
        if (bucket->saving > 0)
            doom(state, topic_id, bucket->number, LOG_KEYS_RAW);
        log_keys_install(bucket, file, ++state->keys_installs);
        return err_ok();
    }
    /* A topic that is gone has taken the file with it, or will at the next start. */
    if (topic)
        doom(state, topic_id, bucket->number, LOG_KEYS_SORTED);
    log_keys_file_done(file);
    return err_ok();
}

void log_state_topic_directory(const struct log_topic *topic, const char *data_directory,
                               char out[static LOG_SEGMENT_PATH_MAX])
{
    ASSERT(topic->name);
    log_segment_topic_path(&(struct log_segment_place){.data_directory = data_directory,
                                                       .topic = slice_string(topic->name),
                                                       .topic_uuid = topic->uuid},
                           out);
}

static err_t load_topic(struct log_topic *topic, struct io_disk *disk, const char *data_directory,
                        uint64_t *installs, struct err_text *why)
{
    char directory[LOG_SEGMENT_PATH_MAX];
    ASSERT(topic->keys);
    log_state_topic_directory(topic, data_directory, directory);
    for (uint32_t i = 0; i < topic->keys->count; i++) {
        struct log_keys_bucket *bucket = topic->keys->buckets[i];
        TRY(log_keys_bucket_load(disk, directory, &topic->uuid, bucket, why));
        if (bucket->sorted)
            bucket->installed = ++*installs;
    }
    return err_ok();
}

err_t log_state_load_keys(struct log_state *state, struct io_disk *disk, const char *data_directory,
                          struct err_text *why)
{
    ASSERT(state->topics || state->topic_count == 0);
    for (uint32_t i = 0; i < state->topic_count; i++) {
        if (state->topics[i]->keys)
            TRY(load_topic(state->topics[i], disk, data_directory, &state->keys_installs, why));
    }
    return err_ok();
}

static err_t add_write(struct log_keys_writes *out, const struct log_keys_write *write)
{
    ASSERT(write->size > 0);
    if (out->count == out->capacity) {
        size_t capacity = out->capacity ? out->capacity * 2 : 8;
        struct log_keys_write *grown = mem_realloc(out->items, capacity, sizeof *grown);
        if (!grown)
            return err_make(ERR_MEMORY);
        out->items = grown;
        out->capacity = capacity;
    }
    out->items[out->count++] = *write;
    return err_ok();
}

static err_t gather_topic(const struct log_topic *topic, const char *data_directory,
                          struct log_keys_writes *out)
{
    ASSERT(topic->keys);
    for (uint32_t i = 0; i < topic->keys->count; i++) {
        struct log_keys_bucket *bucket = topic->keys->buckets[i];
        if (bucket->sorted)
            continue;
        struct log_keys_write write = {.place = {.data_directory = data_directory,
                                                 .topic = slice_string(topic->name),
                                                 .topic_uuid = topic->uuid},
                                       .number = bucket->number,
                                       .at = out->bytes.size};
        log_keys_bucket_gather(bucket, &out->bytes, &write.from);
        TRY(buf_error(&out->bytes));
        write.size = out->bytes.size - write.at;
        if (write.size > 0)
            TRY(add_write(out, &write));
    }
    return err_ok();
}

err_t log_state_gather_keys(struct log_state *state, const char *data_directory,
                            struct log_keys_writes *out)
{
    ASSERT(out->count == 0);
    buf_init(&out->bytes, 0);
    for (uint32_t i = 0; i < state->topic_count; i++) {
        if (state->topics[i]->keys)
            TRY(gather_topic(state->topics[i], data_directory, out));
    }
    return err_ok();
}

void log_state_keys_saved(struct log_state *state)
{
    ASSERT(state->topics || state->topic_count == 0);
    for (uint32_t i = 0; i < state->topic_count; i++) {
        if (state->topics[i]->keys)
            log_keys_saved(state->topics[i]->keys);
    }
}

uint64_t log_state_unsaved_keys(const struct log_state *state)
{
    uint64_t count = 0;
    ASSERT(state->topics || state->topic_count == 0);
    for (uint32_t i = 0; i < state->topic_count; i++) {
        if (state->topics[i]->keys)
            count += log_keys_unsaved(state->topics[i]->keys);
    }
    return count;
}

err_t log_keys_writes_run(struct io_disk *disk, const struct log_keys_writes *writes,
                          struct err_text *why)
{
    ASSERT(writes->items || writes->count == 0);
    for (size_t i = 0; i < writes->count; i++) {
        const struct log_keys_write *write = &writes->items[i];
        char directory[LOG_SEGMENT_PATH_MAX];
        log_segment_topic_path(&write->place, directory);
        TRY(log_keys_write_raw(disk, directory, write->number, write->from,
                               slice_make(writes->bytes.data + write->at, write->size), why));
    }
    return err_ok();
}

void log_keys_writes_done(struct log_keys_writes *writes)
{
    ASSERT(writes->items || writes->count == 0);
    mem_free(writes->items);
    buf_done(&writes->bytes);
    *writes = (struct log_keys_writes){0};
}

static bool is_doomed(const struct log_state *state, const struct log_topic *topic, uint64_t number,
                      enum log_keys_kind kind)
{
    ASSERT(state->doomed_keys || state->doomed_keys_count == 0);
    for (size_t i = 0; i < state->doomed_keys_count; i++) {
        const struct log_doomed_keys *doomed = &state->doomed_keys[i];
        if (doomed->topic_id == topic->id && doomed->number == number && doomed->kind == kind)
            return true;
    }
    return false;
}

bool log_state_keys_named(const struct log_state *state, const struct log_topic *topic,
                          const char *name)
{
    ASSERT(name[0]);
    for (int kind = LOG_KEYS_RAW; kind <= LOG_KEYS_SORTED; kind++) {
        char path[64];
        uint64_t number = strtoull(name, NULL, 10);
        log_keys_path(".", number, (enum log_keys_kind)kind, path, sizeof path);
        if (strcmp(path + strlen("./keys/"), name) != 0)
            continue;
        if (is_doomed(state, topic, number, (enum log_keys_kind)kind))
            return true;
        for (uint32_t i = 0; topic->keys && i < topic->keys->count; i++) {
            const struct log_keys_bucket *bucket = topic->keys->buckets[i];
            if (bucket->number == number && bucket->saving > 0 &&
                bucket->sorted == (kind == LOG_KEYS_SORTED))
                return true;
        }
    }
    return false;
}

struct sweep {
    const struct log_state *state;
    const struct log_topic *topic;
    struct io_disk *disk;
    const char *directory;
    err_t error;
    struct err_text *why;
};

static int sweep_file(void *context, const char *name, enum io_kind kind)
{
    struct sweep *sweep = context;
    char path[LOG_SEGMENT_PATH_MAX + 256];
    ASSERT(err_is_ok(sweep->error));
    if (kind != IO_KIND_FILE || log_state_keys_named(sweep->state, sweep->topic, name))
        return 0;
    int size = snprintf(path, sizeof path, "%s/%s", sweep->directory, name);
    if (size > 0 && (size_t)size < sizeof path)
        sweep->error = io_disk_remove(sweep->disk, path, sweep->why);
    return !err_is_ok(sweep->error);
}

err_t log_state_sweep_keys(const struct log_state *state, struct io_disk *disk,
                           const char *data_directory, struct err_text *why)
{
    ASSERT(state->topics || state->topic_count == 0);
    for (uint32_t i = 0; i < state->topic_count; i++) {
        char directory[LOG_SEGMENT_PATH_MAX + 8];
        char of_topic[LOG_SEGMENT_PATH_MAX];
        enum io_kind kind;
        if (state->topics[i]->deleted)
            continue;
        log_state_topic_directory(state->topics[i], data_directory, of_topic);
        snprintf(directory, sizeof directory, "%s/keys", of_topic);
        TRY(io_disk_kind(disk, directory, &kind, why));
        if (kind != IO_KIND_DIRECTORY)
            continue;
        struct sweep sweep = {state, state->topics[i], disk, directory, err_ok(), why};
        TRY(io_disk_list(disk, directory, sweep_file, &sweep, why));
        TRY(sweep.error);
    }
    return err_ok();
}
