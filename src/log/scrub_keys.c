#include "log/scrub_int.h"

#include "base/assert.h"

#include <inttypes.h>

/*
 * Sorted files of idempotency keys are read back as segments are: a block that has rotted is
 * otherwise found out by the record whose key may be in it, which is refused, or by a start, which
 * is. Files of buckets that are not sorted yet are left out: what they hold is in memory, and what
 * becomes of them is made of that.
 *
 * Failure modes: a bucket that has expired when the worker comes back says nothing, whatever was
 * read. Without memory a file waits for the next round.
 */

static bool has_bucket(const struct log *log)
{
    const struct log_scrub *scrub = &log->scrub;
    const struct log_topic *topic = log_state_topic(&log->state, scrub->topic_id);
    ASSERT(scrub->bucket);
    for (uint32_t i = 0; topic && topic->keys && i < topic->keys->count; i++) {
        if (topic->keys->buckets[i] == scrub->bucket)
            return true;
    }
    return false;
}

static void let_go(struct log_scrub *scrub)
{
    ASSERT(!scrub->running);
    log_keys_bucket_release(scrub->bucket);
    scrub->bucket = NULL;
}

/* What had differences is read again once a round, to see if they stand. */
static bool is_due(const struct log *log, const struct log_keys_bucket *bucket)
{
    uint64_t now_ns = io_now_ns(log->options.loop);
    ASSERT(bucket->checked_ns <= now_ns);
    return bucket->sorted && (int64_t)bucket->number > log->scrub.cursor.base_offset &&
           (bucket->checked_ns == 0 || bucket->differences > 0 ||
            now_ns - bucket->checked_ns >= LOG_SCRUB_AGAIN_NS);
}

static bool begin_file(struct log *log, const struct log_topic *topic)
{
    struct log_scrub *scrub = &log->scrub;
    ASSERT(!scrub->bucket);
    for (uint32_t i = 0; topic->keys && i < topic->keys->count; i++) {
        struct log_keys_bucket *bucket = topic->keys->buckets[i];
        if (!is_due(log, bucket))
            continue;
        log_keys_bucket_hold(bucket);
        scrub->bucket = bucket;
        scrub->topic_id = topic->id;
        scrub->place = log_place(log, topic, 0);
        scrub->keys_at = 0;
        scrub->keys_found = 0;
        scrub->cursor.base_offset = (int64_t)bucket->number;
        log_scrub_offload(log);
        return true;
    }
    return false;
}

bool log_scrub_next_keys(struct log *log)
{
    struct log_scrub *scrub = &log->scrub;
    ASSERT(scrub->phase == LOG_SCRUB_KEYS && !scrub->running);
    if (scrub->bucket && has_bucket(log)) {
        log_scrub_offload(log);
        return true;
    }
    if (scrub->bucket)
        let_go(scrub);
    for (; scrub->cursor.topic < log->state.topic_count; scrub->cursor.topic++) {
        if (begin_file(log, log->state.topics[scrub->cursor.topic]))
            return true;
        scrub->cursor.base_offset = -1;
    }
    return false;
}

static bool is_good(const struct log_keys_file *file, struct slice block, uint64_t index)
{
    struct log_keys_head head;
    ASSERT(block.size == IO_BLOCK);
    if (index > 0)
        return err_is_ok(log_keys_block_check(block, file->number, (uint32_t)(index - 1)));
    return err_is_ok(log_keys_head_decode(block, &head)) && head.number == file->number &&
           head.count == file->count;
}

static err_t look_at_piece(struct log_scrub *scrub, struct io_file *file)
{
    const struct log_keys_file *keys = &scrub->bucket->file;
    uint64_t end = log_keys_file_size(keys->count);
    uint64_t to = scrub->keys_at + LOG_SCRUB_PIECE < end ? scrub->keys_at + LOG_SCRUB_PIECE : end;
    struct slice bytes;
    ASSERT(scrub->keys_at < end);
    TRY(log_scrub_read(scrub, file, scrub->keys_at, to, &bytes));
    for (; scrub->keys_at < to; scrub->keys_at += IO_BLOCK) {
        struct log_scrub_found found = {.from = scrub->keys_at, .to = scrub->keys_at + IO_BLOCK};
        if (bytes.size < IO_BLOCK) {
            found.what = "the file was cut";
            found.to = end;
            scrub->broken = true;
            log_scrub_add_found(scrub, found);
            return err_ok();
        }
        found.what = "the block does not fit its checksum";
        if (!is_good(keys, slice_sub(bytes, 0, IO_BLOCK), scrub->keys_at / IO_BLOCK))
            log_scrub_add_found(scrub, found);
        bytes = slice_sub(bytes, IO_BLOCK, SIZE_MAX);
    }
    return err_ok();
}

/* By its name, not as it is open for probes: a file that was removed is as lost as one that rots.
 */
err_t log_scrub_look_at_keys(struct log *log)
{
    struct log_scrub *scrub = &log->scrub;
    char directory[LOG_SEGMENT_PATH_MAX];
    char path[LOG_SEGMENT_PATH_MAX + 64];
    struct io_file *file;
    ASSERT(scrub->running && scrub->bucket->sorted);
    log_segment_topic_path(&scrub->place, directory);
    log_keys_path(directory, scrub->bucket->number, LOG_KEYS_SORTED, path, sizeof path);
    unsigned direct = log->wal.direct ? IO_OPEN_DIRECT : 0;
    err_t err = io_disk_open(log->options.disk, path, IO_OPEN_READ | direct, &file, NULL);
    if (err_is_ok(err)) {
        err = look_at_piece(scrub, file);
        err_t ignored = io_file_close(file);
        (void)ignored;
    }
    if (err_is_ok(err) || err_is(err, ERR_MEMORY))
        return err;
    scrub->broken = true;
    log_scrub_add_found(scrub, (struct log_scrub_found){
                                   .what = err_is(err, ERR_NO_FILE) ? "the file is missing"
                                                                    : "the disk cannot read it",
                                   .from = scrub->keys_at,
                                   .to = log_keys_file_size(scrub->bucket->file.count)});
    return err_ok();
}

static void tell(struct log *log, const struct log_scrub_found *found)
{
    const struct log_topic *topic = log_state_topic(&log->state, log->scrub.topic_id);
    ASSERT(topic && found->what);
    if (log_scrub_may_tell(log))
        logger_write(log->logger, LOG_LEVEL_ERROR, "log_check_failed",
                     "topic %s: %s (bytes %" PRIu64 " to %" PRIu64 " of keys/%020" PRIu64
                     ".sorted); records whose idempotency keys may be there are refused: stop the "
                     "server and run garner fsck",
                     topic->name, found->what, found->from, found->to, log->scrub.bucket->number);
}

void log_scrub_keys_done(struct log *log)
{
    struct log_scrub *scrub = &log->scrub;
    struct log_keys_bucket *bucket = scrub->bucket;
    ASSERT(bucket && !scrub->running);
    if (!err_is_ok(scrub->error) || !has_bucket(log)) {
        let_go(scrub);
        return;
    }
    for (uint32_t i = 0; i < scrub->found_count && i < LOG_SCRUB_FOUND; i++)
        tell(log, &scrub->found[i]);
    scrub->keys_found += scrub->found_count;
    bool more = !scrub->broken && scrub->keys_at < log_keys_file_size(bucket->file.count);
    /* What stood before stands until all has been read again. */
    if (!more || scrub->keys_found > bucket->differences)
        bucket->differences = scrub->keys_found;
    if (more)
        return;
    bucket->checked_ns = io_now_ns(log->options.loop);
    let_go(scrub);
}
