#include "base/alloc.h"
#include "base/assert.h"
#include "log/log_int.h"
#include "log/state_int.h"

/*
 * What sealing does for idempotency keys, on the same worker: a closed table becomes a sorted file;
 * files that no checkpoint names go; and a checkpoint is due when many keys are in none, since a
 * start has to insert all of those again.
 *
 * Failure modes: a bucket that cannot be written stays a table. A file that cannot be removed stays
 * doomed, which checkpoints know.
 */

#define UNSAVED_KEYS_MAX (UINT64_C(8) << 20 >> 4) /* 8 MiB of them */
/* Of the checkpoints that are kept, none names a file of this age. */
#define GONE_AGE LOG_CHECKPOINTS_KEPT

bool log_sealer_keys_lag(const struct log *log)
{
    ASSERT(log->mode != LOG_STOPPED);
    return log_state_unsaved_keys(&log->state) >= UNSAVED_KEYS_MAX &&
           log->durable_lsn > log->sealer.saved_lsn;
}

bool log_sealer_take_bucket(struct log *log)
{
    struct log_seal_keys *sorting = &log->sealer.sorting;
    ASSERT(!sorting->bucket);
    for (uint32_t i = 0; i < log->state.topic_count && !sorting->bucket; i++) {
        const struct log_topic *topic = log->state.topics[i];
        struct log_keys_bucket *bucket = topic->keys ? log_keys_closed(topic->keys) : NULL;
        if (!bucket)
            continue;
        log_keys_bucket_hold(bucket);
        *sorting = (struct log_seal_keys){
            .bucket = bucket, .topic_id = topic->id, .place = log_place(log, topic, 0)};
    }
    return sorting->bucket != NULL;
}

/* The bucket's table does not change any more, and its times do not either. */
err_t log_sealer_sort_bucket(struct log *log)
{
    struct log_seal_keys *sorting = &log->sealer.sorting;
    const struct log_keys_bucket *bucket = sorting->bucket;
    char directory[LOG_SEGMENT_PATH_MAX];
    char path[LOG_SEGMENT_PATH_MAX + 64];
    ASSERT(bucket && !bucket->sorted);
    log_segment_topic_path(&sorting->place, directory);
    log_keys_path(directory, bucket->number, LOG_KEYS_SORTED, path, sizeof path);
    struct log_keys_head head = {.topic = sorting->place.topic_uuid,
                                 .number = bucket->number,
                                 .count = bucket->table.count,
                                 .first_ms = bucket->first_ms,
                                 .last_ms = bucket->last_ms};
    return log_keys_file_write(log->options.disk, path, &head, &bucket->table, &sorting->file,
                               &log->sealer.why);
}

err_t log_sealer_keys_sorted(struct log *log)
{
    struct log_seal_keys *sorting = &log->sealer.sorting;
    ASSERT(sorting->bucket && sorting->file.count > 0);
    uint32_t count = sorting->file.count;
    TRY(log_state_install_keys(&log->state, sorting->topic_id, sorting->bucket, &sorting->file));
    log->sealer.sorted_keys_total += count;
    return err_ok();
}

/* One of the same frame as the newest takes its place, and adds to nothing. */
void log_sealer_keys_age(struct log *log)
{
    bool another = log->last.lsn != log->sealer.saved_lsn;
    ASSERT(log->last.lsn > 0);
    for (size_t i = 0; i < log->state.doomed_keys_count; i++) {
        struct log_doomed_keys *doomed = &log->state.doomed_keys[i];
        bool older = doomed->age < GONE_AGE && (another || doomed->age == 0);
        doomed->saving_age = doomed->age + older;
    }
}

void log_sealer_keys_saved(struct log *log)
{
    ASSERT(log->sealer.phase == LOG_SEALER_SAVING);
    log_state_keys_saved(&log->state);
    for (size_t i = 0; i < log->state.doomed_keys_count; i++) {
        struct log_doomed_keys *doomed = &log->state.doomed_keys[i];
        /* 0: doomed since it was encoded. */
        if (doomed->saving_age > 0)
            doomed->age = doomed->saving_age;
    }
}

bool log_sealer_take_doomed_keys(struct log *log)
{
    struct log_sealer *sealer = &log->sealer;
    const struct log_state *state = &log->state;
    size_t count = 0;
    ASSERT(sealer->key_removal_count == 0);
    for (size_t i = 0; i < state->doomed_keys_count; i++)
        count += state->doomed_keys[i].age >= GONE_AGE;
    if (count == 0)
        return false;
    sealer->key_removals = mem_alloc(count * sizeof *sealer->key_removals);
    if (!sealer->key_removals)
        return false;
    for (size_t i = 0; i < state->doomed_keys_count; i++) {
        const struct log_doomed_keys *doomed = &state->doomed_keys[i];
        const struct log_topic *topic = state->topics[doomed->topic_id - 1];
        if (doomed->age >= GONE_AGE)
            sealer->key_removals[sealer->key_removal_count++] =
                (struct log_keys_removal){log_place(log, topic, 0), doomed->number, doomed->kind};
    }
    return true;
}

err_t log_sealer_remove_keys(struct log *log)
{
    struct log_sealer *sealer = &log->sealer;
    ASSERT(sealer->key_removals || sealer->key_removal_count == 0);
    for (size_t i = 0; i < sealer->key_removal_count; i++) {
        const struct log_keys_removal *removal = &sealer->key_removals[i];
        char directory[LOG_SEGMENT_PATH_MAX];
        char path[LOG_SEGMENT_PATH_MAX + 64];
        log_segment_topic_path(&removal->place, directory);
        log_keys_path(directory, removal->number, removal->kind, path, sizeof path);
        err_t err = io_disk_remove(log->options.disk, path, &sealer->why);
        if (!err_is_ok(err) && !err_is(err, ERR_NO_FILE))
            return err;
        /* Once nothing speaks of it any more, a file that came back would stay for ever. */
        *strrchr(path, '/') = '\0';
        err = io_disk_sync_directory(log->options.disk, path, &sealer->why);
        if (!err_is_ok(err) && !err_is(err, ERR_NO_FILE))
            return err;
    }
    return err_ok();
}

/* The list may have grown since, at its end, and lost what a deleted topic had in it. */
void log_sealer_keys_removed(struct log *log)
{
    struct log_sealer *sealer = &log->sealer;
    struct log_state *state = &log->state;
    size_t kept = 0;
    for (size_t i = 0; i < state->doomed_keys_count; i++) {
        if (sealer->key_removal_count == 0 || state->doomed_keys[i].age < GONE_AGE)
            state->doomed_keys[kept++] = state->doomed_keys[i];
    }
    ASSERT(kept <= state->doomed_keys_count);
    state->doomed_keys_count = kept;
    log_sealer_keys_done(sealer);
}

void log_sealer_keys_done(struct log_sealer *sealer)
{
    ASSERT(!sealer->running);
    log_keys_writes_done(&sealer->keys);
    mem_free(sealer->key_removals);
    sealer->key_removals = NULL;
    sealer->key_removal_count = 0;
    log_keys_file_done(&sealer->sorting.file);
    if (sealer->sorting.bucket)
        log_keys_bucket_release(sealer->sorting.bucket);
    sealer->sorting = (struct log_seal_keys){0};
}
