#include "base/alloc.h"
#include "base/assert.h"
#include "log/copy.h"
#include "log/fsck_int.h"

#include <inttypes.h>

/*
 * The order makes a repair that is interrupted one that can be begun again: first what stands in
 * nobody's way (copies aside, runs of broken segments in files of their own, indexes, files of the
 * log that are missing), then one flush of all of it, then garner.meta and the checkpoint, which
 * is the moment that counts, and at last what nobody names any more is moved aside.
 */

#define COPY_STEP (UINT64_C(1) << 20)
#define FILL_BYTE 0xA5

/* The directories of `path` below the data directory. */
static err_t make_parents(struct log_fsck *f, char *path)
{
    ASSERT(f->repair);
    return log_copy_make_parents(f->disk, path, strlen(f->directory) + 1, f->why);
}

/* Flushed at once: what it was copied from is changed next. */
static err_t copy_bytes(struct log_fsck *f, struct io_file *from, struct io_file *to,
                        uint64_t first, uint64_t end)
{
    uint8_t *data = mem_alloc(COPY_STEP);
    uint64_t written = 0;
    err_t err = err_make(data ? ERR_OK : ERR_MEMORY);
    ASSERT(first <= end && f->repair);
    while (err_is_ok(err) && first + written < end) {
        size_t got = 0;
        uint64_t left = end - first - written;
        err = io_file_read(from, data, (size_t)(left < COPY_STEP ? left : COPY_STEP),
                           first + written, &got);
        if (!err_is_ok(err) || got == 0)
            break;
        err = io_file_write(to, data, got, written);
        written += got;
    }
    mem_free(data);
    return err_is_ok(err) ? io_file_sync(to) : err;
}

err_t log_fsck_aside(struct log_fsck *f, const char *name, uint64_t first, uint64_t end)
{
    char from[LOG_SEGMENT_PATH_MAX];
    char to[LOG_SEGMENT_PATH_MAX];
    char copy[LOG_SEGMENT_PATH_MAX];
    ASSERT(f->repair && name[0]);
    log_fsck_path(f, name, from);
    int size = first > 0 ? snprintf(copy, sizeof copy, "%s/%s.from-byte-%" PRIu64,
                                    f->options->aside, name, first)
                         : snprintf(copy, sizeof copy, "%s/%s", f->options->aside, name);
    ASSERT(size > 0 && (size_t)size < sizeof copy);
    enum io_kind kind;
    TRY(io_disk_kind(f->disk, from, &kind, f->why));
    if (kind != IO_KIND_FILE)
        return err_ok();
    log_fsck_path(f, copy, to);
    TRY(make_parents(f, to));
    log_fsck_act(f, "copying %s aside to %s", name, copy);
    struct io_file *source;
    struct io_file *target;
    TRY(io_disk_open(f->disk, from, IO_OPEN_READ, &source, f->why));
    err_t err = io_disk_open(f->disk, to, IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_TRUNCATE,
                             &target, f->why);
    if (err_is_ok(err)) {
        err = copy_bytes(f, source, target, first, end);
        err_t closed = io_file_close(target);
        err = err_is_ok(err) ? closed : err;
        if (!err_is_ok(err))
            err = err_set(f->why, (enum err_code)err.code, "%s: cannot be copied to %s: %s", name,
                          copy, err_string(err));
    }
    err_t closed = io_file_close(source);
    TRY(err);
    return closed;
}

/* Records that no partition ever counted, in the sinks' rows. */
static void settle_sinks(struct log_fsck *f, const struct log_fsck_loss *loss)
{
    ASSERT(!loss->numbered);
    for (uint32_t i = 0; i < f->state.sink_count; i++) {
        struct log_sink *sink = f->state.sinks[i];
        const struct log_cursor *cursor = log_sink_cursor(sink, loss->topic_id, loss->partition);
        if (!cursor)
            continue;
        sink->lost += loss->records;
        if (cursor->offset <= loss->first_offset)
            sink->damaged += loss->records;
    }
}

/* Letters that are lost are delivered to nobody. */
static uint64_t lost_inside(const struct flow_sink_range *range, const struct log_fsck_loss *loss)
{
    int64_t first =
        range->first_offset > loss->first_offset ? range->first_offset : loss->first_offset;
    int64_t end = range->end_offset < loss->end_offset ? range->end_offset : loss->end_offset;
    ASSERT(range->first_offset <= range->end_offset);
    return first < end ? (uint64_t)(end - first) : 0;
}

/* What does not fit what is left of the queue is left out, or the epoch could never end. */
static void fit_redrives(struct log_fsck *f)
{
    ASSERT(f->repair);
    for (uint32_t i = 0; i < f->state.sink_count; i++) {
        const struct log_sink *sink = f->state.sinks[i];
        for (uint32_t k = 0; sink->redrives && k < sink->range_count; k++) {
            if (!err_is_ok(log_state_may_redrive(&f->state, sink, &sink->ranges[k], 1)))
                sink->ranges[k].delivered = 0;
        }
    }
}

/* A prepared epoch that is still to be ended counts as delivered what is damaged already. */
static void settle_prepared(struct log_fsck *f, const struct log_fsck_loss *loss)
{
    ASSERT(loss->first_offset <= loss->end_offset);
    for (uint32_t i = 0; i < f->state.sink_count; i++) {
        const struct log_sink *sink = f->state.sinks[i];
        for (uint32_t k = 0; sink->prepared && k < sink->range_count; k++) {
            struct flow_sink_range *range = &sink->ranges[k];
            if (range->topic_id != loss->topic_id || range->partition != loss->partition ||
                (!sink->redrives && (range->first_offset > loss->first_offset ||
                                     range->end_offset <= loss->first_offset)))
                continue;
            uint64_t inside = sink->redrives ? lost_inside(range, loss)
                                             : (uint64_t)(range->end_offset - loss->first_offset);
            inside = inside < loss->records ? inside : loss->records;
            range->delivered -= inside < range->delivered ? inside : range->delivered;
        }
    }
}

static uint64_t accepted_of(const struct log_topic *topic)
{
    uint64_t records = 0;
    for (uint32_t p = 0; p < topic->partition_count; p++) {
        ASSERT(topic->partitions[p].records >= topic->partitions[p].records_start);
        records += topic->partitions[p].records;
    }
    return records;
}

/* Damaged are the letters that were held. What else is lost, and has been redriven, purged or
 * expired already, is counted by no partition any more. */
static void settle_letters(struct log_fsck *f, struct log_topic *topic, uint64_t lost)
{
    uint64_t settled = 0;
    for (size_t i = 0; i < f->loss_count; i++) {
        const struct log_fsck_loss *loss = &f->losses[i];
        if (loss->topic_id == topic->id && loss->partition < topic->partition_count)
            settled += log_settled_remove(&topic->partitions[loss->partition].settled,
                                          loss->first_offset, loss->end_offset);
    }
    topic->damaged += lost > settled ? lost - settled : 0;
    uint64_t total = topic->damaged + topic->letters.lost;
    uint64_t ends =
        topic->damaged + topic->letters.redriven + topic->letters.purged + topic->letters.expired;
    for (uint32_t p = 0; p < topic->partition_count; p++) {
        struct log_partition *partition = &topic->partitions[p];
        uint64_t behind = partition->records - partition->records_start;
        ASSERT(partition->records >= partition->records_start);
        /* More than there are: which of them are left is not known, and all are held again. */
        if (partition->settled.records > behind)
            (void)log_settled_remove(&partition->settled, 0, INT64_MAX);
        total += partition->records;
        ends += behind - partition->settled.records;
    }
    if (ends > total)
        topic->letters.lost += ends - total;
    else
        topic->letters.expired += total - ends;
}

/* What was lost with its counts is counted in, what was lost without them is made up for. */
static void settle_topic(struct log_fsck *f, struct log_topic *topic)
{
    uint64_t lost = 0;
    ASSERT(!topic->deleted);
    for (size_t i = 0; i < f->loss_count; i++)
        lost += f->losses[i].topic_id == topic->id ? f->losses[i].records : 0;
    if (topic->parent_id) {
        settle_letters(f, topic, lost);
        return;
    }
    uint64_t outcomes = accepted_of(topic) + topic->duplicates + topic->dead_lettered +
                        topic->refused + topic->damaged;
    uint64_t missing = topic->received > outcomes ? topic->received - outcomes : 0;
    topic->damaged += lost > missing ? lost : missing;
    outcomes += lost > missing ? lost : missing;
    topic->received = outcomes;
}

/* A sink's equation, where some of its epochs are lost. */
static void balance_sink(struct log_fsck *f, struct log_sink *sink)
{
    uint64_t accepted = sink->lost;
    uint64_t pending = 0;
    for (uint32_t i = 0; i < sink->cursor_count; i++) {
        const struct log_cursor *cursor = &sink->cursors[i];
        const struct log_partition *partition =
            log_state_partition(&f->state, cursor->topic_id, cursor->partition);
        ASSERT(cursor->records >= cursor->records_first);
        accepted += cursor->records - cursor->records_first;
        if (cursor->active && partition)
            pending += partition->records - cursor->records;
    }
    accepted += pending;
    uint64_t outcomes =
        sink->delivered + sink->dead_lettered + sink->expired + sink->damaged + pending;
    if (accepted > outcomes)
        sink->damaged += accepted - outcomes;
    else
        sink->lost += outcomes - accepted;
}

/* Sinks before topics: what a sink has not delivered of the lost is told by the counts as they
 * were. */
void log_fsck_settle(struct log_fsck *f)
{
    ASSERT(f->repair);
    for (size_t i = 0; i < f->loss_count; i++) {
        if (!f->losses[i].numbered)
            settle_sinks(f, &f->losses[i]);
        settle_prepared(f, &f->losses[i]);
    }
    for (uint32_t i = 0; i < f->state.topic_count; i++) {
        if (!f->state.topics[i]->deleted)
            settle_topic(f, f->state.topics[i]);
    }
    fit_redrives(f);
    for (uint32_t i = 0; i < f->state.sink_count; i++)
        balance_sink(f, f->state.sinks[i]);
}

static void wal_name(uint64_t number, char out[static 64])
{
    int size = snprintf(out, 64, "wal/%020" PRIu64 ".wal", number);
    ASSERT(size > 0 && size < 64);
}

/* A file that holds nothing, so that the numbers have no gap. */
static err_t make_file(struct log_fsck *f, uint64_t number, uint64_t size)
{
    struct log_wal wal = {.disk = f->disk, .file_size = size};
    struct log_wal_making making;
    int length = snprintf(wal.directory, sizeof wal.directory, "%s/wal", f->directory);
    ASSERT(length > 0 && (size_t)length < sizeof wal.directory);
    log_fsck_act(f, "making log file %" PRIu64 " in place of the one that is missing", number);
    TRY(io_disk_make_directory(f->disk, wal.directory, f->why));
    TRY(log_wal_make_begin(&making, &wal, number, 0));
    err_t err = err_ok();
    while (err_is_ok(err) && !making.finished)
        err = log_wal_make_step(&making, f->why);
    log_wal_make_done(&making);
    return err;
}

/* Writes the pattern over [first, end), block by block, as long as `only_zeros` allows. */
static err_t fill(struct log_fsck *f, const char *name, uint64_t first, uint64_t end,
                  bool only_zeros)
{
    static const uint8_t zeros[IO_BLOCK];
    uint8_t block[IO_BLOCK];
    char path[LOG_SEGMENT_PATH_MAX];
    struct io_file *file;
    log_fsck_path(f, name, path);
    ASSERT(f->repair);
    TRY(io_disk_open(f->disk, path, IO_OPEN_READ | IO_OPEN_WRITE, &file, f->why));
    err_t err = err_ok();
    for (uint64_t at = first; at < end && err_is_ok(err);) {
        size_t got = 0;
        uint64_t size = end - at < IO_BLOCK ? end - at : IO_BLOCK;
        if (only_zeros)
            err = io_file_read(file, block, (size_t)size, at, &got);
        if (!err_is_ok(err) || (only_zeros && memcmp(block, zeros, got) != 0))
            break;
        memset(block, FILL_BYTE, sizeof block);
        err = io_file_write(file, block, (size_t)size, at);
        at += size;
    }
    if (err_is_ok(err))
        err = io_file_sync(file);
    err_t closed = io_file_close(file);
    TRY(err);
    return closed;
}

/* A rename, which costs no space: for what has no place any more. */
static err_t move_aside(struct log_fsck *f, const char *name)
{
    char from[LOG_SEGMENT_PATH_MAX];
    char to[LOG_SEGMENT_PATH_MAX];
    int size = snprintf(to, sizeof to, "%s/%s/%s", f->directory, f->options->aside, name);
    ASSERT(size > 0);
    if ((size_t)size >= sizeof to)
        return err_ok();
    log_fsck_path(f, name, from);
    TRY(make_parents(f, to));
    log_fsck_act(f, "moving %s to %s", name, f->options->aside);
    return io_disk_rename(f->disk, from, to, f->why);
}

/* Whether the end of the file was found to be of zeros, and from where on. */
static bool is_zeroed(const struct log_fsck *f, const struct log_fsck_file *file, uint64_t *first)
{
    for (size_t i = 0; i < f->range_count; i++) {
        const struct log_fsck_range *range = &f->ranges[i];
        ASSERT(range->first <= range->end);
        if (range->file_number == file->number && range->end == file->size && range->unexplained &&
            file->number >= f->last.file_number) {
            *first = range->first;
            return true;
        }
    }
    return false;
}

/* The log's files as recovery wants them: none missing, none short, none of zeros. */
static err_t mend_file(struct log_fsck *f, struct log_fsck_file *file, uint64_t usual)
{
    char name[64];
    uint64_t first = f->has_checkpoint ? f->checkpoint.sealed_file + 1 : 1;
    uint64_t zeros_at = 0;
    wal_name(file->number, name);
    ASSERT(usual % IO_BLOCK == 0);
    uint64_t made = file->made_size > 0 ? file->made_size : usual;
    if (file->foreign || (file->size < IO_BLOCK && !file->missing)) {
        TRY(move_aside(f, name));
        file->missing = true;
    }
    /* Those that are sealed are for nobody any more. */
    if (file->missing && file->number < first)
        return err_ok();
    if (file->missing)
        return make_file(f, file->number, made);
    if (file->size < file->made_size) {
        log_fsck_act(f, "making %s as long again as it was, from byte %" PRIu64 " on", name,
                     file->size);
        return fill(f, name, file->size, file->made_size, false);
    }
    if (!is_zeroed(f, file, &zeros_at))
        return err_ok();
    TRY(log_fsck_aside(f, name, zeros_at, UINT64_MAX));
    log_fsck_act(f, "clearing the zeros in %s from byte %" PRIu64 " on", name, zeros_at);
    return fill(f, name, zeros_at, file->size, true);
}

static err_t mend_files(struct log_fsck *f)
{
    uint64_t usual = log_fsck_usual_size(f);
    ASSERT(f->files || f->file_count == 0);
    for (size_t i = 0; i < f->file_count; i++)
        TRY(mend_file(f, &f->files[i], usual));
    return err_ok();
}

/* Checkpoints that are not `kept` go; those that cannot be read first, since they push the new one
 * out of the number that is kept. */
static err_t drop_checkpoints(struct log_fsck *f, uint64_t kept, bool readable)
{
    uint64_t lsns[64];
    size_t count = 0;
    TRY(log_checkpoint_list(f->disk, f->directory, lsns, sizeof lsns / sizeof lsns[0], &count,
                            f->why));
    ASSERT(count <= sizeof lsns / sizeof lsns[0]);
    for (size_t i = 0; i < count; i++) {
        struct buf bytes = {0};
        if (lsns[i] == kept)
            continue;
        err_t err = log_checkpoint_read(f->disk, f->directory, lsns[i], &bytes, NULL);
        if (err_is_ok(err))
            err = log_checkpoint_check(buf_slice(&bytes));
        buf_done(&bytes);
        if (err_is(err, ERR_MEMORY))
            return err;
        if (err_is_ok(err) != readable)
            continue;
        char name[64];
        snprintf(name, sizeof name, "checkpoint/%020" PRIu64 ".ckpt", lsns[i]);
        TRY(move_aside(f, name));
    }
    return err_ok();
}

/* It says nothing of a clean stop: the next start looks at what is behind it. */
static err_t write_checkpoint(struct log_fsck *f)
{
    struct log_checkpoint checkpoint = {
        .uuid = f->uuid,
        .last = f->last,
        .sealed_file = f->has_checkpoint ? f->checkpoint.sealed_file : 0,
    };
    struct buf bytes = {0};
    char name[64];
    ASSERT(f->last.lsn > 0);
    snprintf(name, sizeof name, "checkpoint/%020" PRIu64 ".ckpt", f->last.lsn);
    TRY(log_fsck_aside(f, name, 0, UINT64_MAX));
    log_fsck_act(f, "writing checkpoint %" PRIu64 " with what is left", f->last.lsn);
    TRY(log_fsck_save_keys(f));
    log_checkpoint_encode(&checkpoint, &f->state, &bytes);
    err_t err = buf_error(&bytes);
    if (err_is_ok(err))
        err =
            log_checkpoint_write(f->disk, f->directory, f->last.lsn, buf_slice(&bytes), 0, f->why);
    buf_done(&bytes);
    return err;
}

/* Before the checkpoint, whose uuid a start holds against it. */
static err_t write_meta(struct log_fsck *f)
{
    struct log_meta meta = {.format = LOG_META_FORMAT, .uuid = f->uuid, .ready = true};
    bool same = f->meta_good && f->meta.format == meta.format && f->meta.ready &&
                uuid_equal(&f->meta.uuid, &meta.uuid);
    ASSERT(!uuid_is_zero(&f->uuid));
    if (same)
        return err_ok();
    TRY(log_fsck_aside(f, "garner.meta", 0, UINT64_MAX));
    log_fsck_act(f, "writing garner.meta again");
    return log_meta_write(f->disk, f->directory, &meta, f->why);
}

/* Segments are as long as the checkpoint says. */
static err_t cut_segments(struct log_fsck *f)
{
    for (uint32_t t = 0; t < f->state.topic_count; t++) {
        const struct log_topic *topic = f->state.topics[t];
        for (uint32_t p = 0; p < topic->partition_count; p++) {
            const struct log_partition *partition = &topic->partitions[p];
            struct log_segment_place place = log_fsck_place(f, topic, p);
            for (uint32_t i = 0; i < partition->segment_count; i++)
                TRY(log_segment_cut(f->disk, &place, &partition->segments[i], f->why));
            ASSERT(partition->segments || partition->segment_count == 0);
        }
    }
    return err_ok();
}

struct sweep {
    struct log_fsck *f;
    const struct log_partition *partition;
    const char *directory; /* below the data directory */
    char found[LOG_SEGMENT_PATH_MAX];
};

/* One a call, since a directory that is changed while it is listed may leave names out. */
static int find_unnamed(void *context, const char *name, enum io_kind kind)
{
    struct sweep *sweep = context;
    ASSERT(name[0]);
    if (kind != IO_KIND_FILE || log_fsck_is_named(sweep->partition, name))
        return 0;
    int size = snprintf(sweep->found, sizeof sweep->found, "%s/%s", sweep->directory, name);
    return size > 0 && (size_t)size < sizeof sweep->found;
}

/* What is left of segments that no one names any more. */
static err_t sweep_partition(struct log_fsck *f, const struct log_topic *topic, uint32_t number)
{
    struct log_segment_place place = log_fsck_place(f, topic, number);
    char path[LOG_SEGMENT_PATH_MAX];
    log_segment_partition_path(&place, path);
    struct sweep sweep = {.f = f,
                          .partition = &topic->partitions[number],
                          .directory = path + strlen(f->directory) + 1};
    enum io_kind kind;
    ASSERT(number < topic->partition_count);
    TRY(io_disk_kind(f->disk, path, &kind, f->why));
    if (kind != IO_KIND_DIRECTORY)
        return err_ok();
    for (;;) {
        sweep.found[0] = '\0';
        TRY(io_disk_list(f->disk, path, find_unnamed, &sweep, f->why));
        if (!sweep.found[0])
            return err_ok();
        TRY(move_aside(f, sweep.found));
    }
}

/* Only where something was lost: anywhere else what a directory holds beside its segments is a
 * start's to clear away. */
static err_t sweep_partitions(struct log_fsck *f)
{
    ASSERT(f->repair);
    for (size_t i = 0; i < f->loss_count; i++) {
        const struct log_fsck_loss *loss = &f->losses[i];
        const struct log_topic *topic = log_state_topic(&f->state, loss->topic_id);
        if (topic && loss->numbered)
            TRY(sweep_partition(f, topic, loss->partition));
    }
    return err_ok();
}

err_t log_fsck_repair(struct log_fsck *f)
{
    ASSERT(f->repair && f->root);
    log_fsck_settle(f);
    TRY(mend_files(f));
    TRY(io_file_sync_all(f->root));
    TRY(write_meta(f));
    TRY(drop_checkpoints(f, 0, false));
    /* The one that this began with stays until the one that replaces it is there. */
    if (f->has_checkpoint)
        TRY(drop_checkpoints(f, f->result.checkpoint_lsn, true));
    TRY(write_checkpoint(f));
    TRY(drop_checkpoints(f, f->last.lsn, true));
    TRY(cut_segments(f));
    TRY(sweep_partitions(f));
    TRY(io_file_sync_all(f->root));
    f->result.repaired = true;
    return err_ok();
}
