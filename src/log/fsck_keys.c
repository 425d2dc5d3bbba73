#include "base/assert.h"
#include "log/fsck_int.h"

#include <inttypes.h>

/*
 * Files of idempotency keys, as the checkpoint names them. One that is damaged takes no record with
 * it: what is lost is that records of its time would be known if they were sent again. A repair
 * goes on without it, and says so.
 */

static void say_lost(struct log_fsck *f, const struct log_topic *topic,
                     const struct log_keys_bucket *bucket, const struct err_text *why)
{
    char name[64];
    ASSERT(topic->name && why->text[0]);
    snprintf(name, sizeof name, "keys/%020" PRIu64, bucket->number);
    log_fsck_find(f,
                  &(struct log_fsck_finding){
                      .error = true, .code = "keys_damaged", .path = name, .topic = topic->name},
                  "%" PRIu32 " idempotency keys of topic %s are lost, a record that repeats one of "
                  "them would be accepted again: %s",
                  bucket->saving, topic->name, why->text);
}

/* The bucket is let go of; its file stays for whoever wants to look at it. */
static void leave_out(struct log_keys *keys, uint32_t index)
{
    ASSERT(index < keys->count);
    log_keys_bucket_release(keys->buckets[index]);
    keys->count--;
    memmove(keys->buckets + index, keys->buckets + index + 1,
            (keys->count - index) * sizeof(struct log_keys_bucket *));
}

static err_t load_topic(struct log_fsck *f, struct log_topic *topic)
{
    char directory[LOG_SEGMENT_PATH_MAX];
    log_state_topic_directory(topic, f->directory, directory);
    for (uint32_t i = 0; i < topic->keys->count;) {
        struct err_text why = {0};
        struct log_keys_bucket *bucket = topic->keys->buckets[i];
        err_t err = log_keys_bucket_load(f->disk, directory, &topic->uuid, bucket, &why);
        ASSERT(bucket->refs > 0);
        if (err_is_ok(err)) {
            i++;
            continue;
        }
        if (err_is(err, ERR_MEMORY))
            return err;
        if (err_is(err, ERR_VERSION))
            return err_set(f->why, ERR_VERSION, "%s", err_detail(err, &why));
        say_lost(f, topic, bucket, &why);
        leave_out(topic->keys, i);
    }
    return err_ok();
}

err_t log_fsck_load_keys(struct log_fsck *f)
{
    ASSERT(f->has_checkpoint);
    for (uint32_t i = 0; i < f->state.topic_count; i++) {
        if (f->state.topics[i]->keys)
            TRY(load_topic(f, f->state.topics[i]));
    }
    return err_ok();
}

err_t log_fsck_save_keys(struct log_fsck *f)
{
    struct log_keys_writes writes = {0};
    ASSERT(f->repair);
    err_t err = log_state_gather_keys(&f->state, f->directory, &writes);
    if (err_is_ok(err))
        err = log_keys_writes_run(f->disk, &writes, f->why);
    log_keys_writes_done(&writes);
    return err;
}
