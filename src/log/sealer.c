#include "base/alloc.h"
#include "base/assert.h"
#include "flow/merge.h"
#include "log/log_int.h"

#include <inttypes.h>

/*
 * The happy path: a window of the file is read in one go; for each partition the batches that lie
 * in it are checked, small neighbours merged, compressed where the topic says so, and appended to
 * its open segment. After the last window one flush of the file system makes all of it durable;
 * then the partitions' index entries give way to the segments, in one turn of the loop, and a
 * checkpoint is written. Steps are paced: with little to do there is a pause between them, so
 * that the disk is the commits'.
 *
 * Failure modes: whatever fails before the flush came back, nothing has happened: index and
 * segments are as they were, what was written lies behind the segments' ends and is written over,
 * and the file is sealed again from its beginning after a pause. A crash is the same. A batch that
 * does not fit its checksum stops sealing for good, and says so: fsck decides. A deleted topic's
 * part is passed over.
 */

/* A step is a few milliseconds of processor: where there is one core, commits wait for so long. But
 * with very many partitions a window must be large, or each gets a few bytes at a time. */
#define WINDOW_SIZE_MIN (UINT64_C(2) << 20)
#define WINDOW_SIZE_MAX (UINT64_C(16) << 20)
#define WINDOW_PARTITIONS 256u
#define OUT_SIZE (UINT64_C(4) << 20)
#define RETRY_NS (5 * IO_SECOND)
/* With next to nothing waiting, the largest window so often: 64 MB/s. */
#define PACE_NS (250 * IO_MS)
#define SEGMENT_BYTES_MIN (UINT64_C(1) << 20)
/* Retention lets go of whole segments: so many make up what is kept. */
#define SEGMENTS_KEPT 8u
#define GROUP_MAX 256u

uint64_t log_sealer_backlog(const struct log *log)
{
    uint64_t bytes = 0;
    ASSERT(log->wal.current < log->wal.file_count || log->wal.file_count == 0);
    for (size_t i = 0; i < log->wal.current; i++) {
        if (log->wal.files[i].number > log->sealer.sealed_file)
            bytes += log->wal.files[i].size;
    }
    return bytes;
}

uint64_t log_sealer_recyclable(const struct log *log)
{
    const struct log_sealer *sealer = &log->sealer;
    ASSERT(sealer->saved_before <= sealer->saved_sealed);
    uint64_t pinned = log_pin_recyclable(log);
    return sealer->saved_before < pinned ? sealer->saved_before : pinned;
}

/* The oldest file that is full and not sealed, or NULL. The last durable frame lies behind it: a
 * checkpoint says where the log goes on by that frame's place. */
static const struct log_wal_file *next_file(const struct log *log)
{
    const struct log_wal *wal = &log->wal;
    ASSERT(wal->current < wal->file_count);
    for (size_t i = 0; i < wal->current; i++) {
        if (wal->files[i].number > log->sealer.sealed_file)
            return wal->files[i].number < log->last.file_number ? &wal->files[i] : NULL;
    }
    return NULL;
}

static bool grow(void **items, size_t *capacity, size_t wanted, size_t size)
{
    ASSERT(size > 0);
    if (wanted <= *capacity)
        return true;
    size_t grown = *capacity ? *capacity * 2 : 64;
    grown = grown < wanted ? wanted : grown;
    void *memory = mem_realloc(*items, grown, size);
    if (!memory)
        return false;
    *items = memory;
    *capacity = grown;
    return true;
}

static void free_targets(struct log *log)
{
    struct log_sealer *sealer = &log->sealer;
    for (uint32_t i = 0; i < sealer->target_count; i++) {
        const struct log_seal_target *target = &sealer->targets[i];
        struct log_partition *partition =
            log_state_partition(&log->state, target->topic_id, target->place.partition);
        ASSERT(target->topic_id > 0);
        /* Still there: it came to nothing, and may have left something behind. */
        if (partition && partition->seal_target > 0) {
            partition->seal_target = 0;
            partition->swept = false;
        }
        mem_free(target->segments);
    }
    sealer->target_count = 0;
}

/* What a file's sealing holds is given back between two files: it is tens of megabytes. */
static void free_file(struct log *log)
{
    struct log_sealer *sealer = &log->sealer;
    ASSERT(!sealer->running);
    free_targets(log);
    err_t ignored = io_file_close(sealer->wal);
    (void)ignored;
    ignored = io_file_close(sealer->root);
    (void)ignored;
    sealer->wal = sealer->root = NULL;
    mem_free(sealer->targets);
    mem_free(sealer->entries);
    mem_free(sealer->runs);
    mem_free(sealer->data);
    sealer->targets = NULL;
    sealer->entries = NULL;
    sealer->runs = NULL;
    sealer->data = NULL;
    sealer->target_capacity = 0;
    sealer->entry_capacity = sealer->run_capacity = 0;
    sealer->data_capacity = 0;
    buf_done(&sealer->out);
    buf_done(&sealer->merged);
}

static uint64_t segment_bytes_max(const struct log_topic *topic)
{
    ASSERT(topic->partition_count > 0);
    if (topic->config.retention_bytes == 0)
        return LOG_SEGMENT_SIZE_MAX;
    uint64_t bytes = flow_topic_bytes_max(&topic->config, topic->partition_count) /
                     topic->partition_count / SEGMENTS_KEPT;
    bytes = bytes < SEGMENT_BYTES_MIN ? SEGMENT_BYTES_MIN : bytes;
    return bytes > LOG_SEGMENT_SIZE_MAX ? LOG_SEGMENT_SIZE_MAX : bytes;
}

/* The target of a partition, made when it has none: with its open segment, if it has one. */
static struct log_seal_target *target_of(struct log *log, const struct log_topic *topic,
                                         uint32_t number)
{
    struct log_sealer *sealer = &log->sealer;
    struct log_partition *partition = &topic->partitions[number];
    ASSERT(partition->seal_target <= sealer->target_count);
    if (partition->seal_target > 0)
        return &sealer->targets[partition->seal_target - 1];
    size_t capacity = sealer->target_capacity;
    void *targets = sealer->targets;
    if (!grow(&targets, &capacity, sealer->target_count + 1u, sizeof *sealer->targets))
        return NULL;
    sealer->targets = targets;
    sealer->target_capacity = (uint32_t)capacity;
    struct log_seal_target *target = &sealer->targets[sealer->target_count];
    *target = (struct log_seal_target){
        .topic_id = topic->id,
        .place = log_place(log, topic, number),
        .config = topic->config,
        .segment_bytes_max = segment_bytes_max(topic),
        .segments = mem_alloc(sizeof *target->segments),
        .begun = partition->swept,
        .sweeps_all = partition->segment_count > 0 || !log_pin_holds(log),
    };
    if (!target->segments)
        return NULL;
    if (partition->segment_count > 0)
        target->segments[target->segment_count++] =
            partition->segments[partition->segment_count - 1];
    /* Segments that have expired may still be held: they lie before what is sealed next. */
    if (partition->segment_count > 0)
        target->sweep_from = target->segments[0].base_offset + 1;
    else if (!target->sweeps_all)
        target->sweep_from = partition->index[0].base_offset;
    partition->seal_target = ++sealer->target_count;
    return target;
}

/* Copies the entries of one partition that begin in the window. ERR_MEMORY. */
static err_t gather_partition(struct log *log, const struct log_topic *topic, uint32_t number,
                              uint64_t window_end)
{
    struct log_sealer *sealer = &log->sealer;
    const struct log_partition *partition = &topic->partitions[number];
    uint64_t done =
        partition->seal_target ? sealer->targets[partition->seal_target - 1].entries_done : 0;
    size_t count = 0;
    for (size_t i = done; i < partition->index_count; i++, count++) {
        const struct log_index_entry *entry = &partition->index[i];
        ASSERT(entry->file_number >= sealer->file_number);
        if (entry->file_number != sealer->file_number || entry->file_offset >= window_end)
            break;
    }
    if (count == 0)
        return err_ok();
    struct log_seal_target *target = target_of(log, topic, number);
    void *entries = sealer->entries;
    void *runs = sealer->runs;
    bool grown = target && grow(&entries, &sealer->entry_capacity, sealer->entry_count + count,
                                sizeof *sealer->entries);
    sealer->entries = entries;
    grown =
        grown && grow(&runs, &sealer->run_capacity, sealer->run_count + 1, sizeof(*sealer->runs));
    sealer->runs = runs;
    if (!grown)
        return err_make(ERR_MEMORY);
    memcpy(sealer->entries + sealer->entry_count, partition->index + done,
           count * sizeof *sealer->entries);
    sealer->runs[sealer->run_count++] =
        (struct log_seal_run){partition->seal_target - 1, sealer->entry_count, count};
    sealer->entry_count += count;
    target->entries_done += count;
    return err_ok();
}

static err_t gather(struct log *log)
{
    struct log_sealer *sealer = &log->sealer;
    ASSERT(sealer->phase == LOG_SEALER_APPENDING && !sealer->running);
    size_t run_count = sealer->run_count;
    sealer->entry_count = sealer->run_count = 0;
    /* The step before tells what this one will be like. */
    sealer->window_size =
        sealer->window > 0 && run_count > WINDOW_PARTITIONS ? WINDOW_SIZE_MAX : WINDOW_SIZE_MIN;
    uint64_t end = sealer->window + sealer->window_size;
    for (uint32_t t = 0; t < log->state.topic_count; t++) {
        const struct log_topic *topic = log->state.topics[t];
        for (uint32_t p = 0; p < topic->partition_count; p++)
            TRY(gather_partition(log, topic, p, end));
    }
    sealer->window = end;
    return err_ok();
}

/* What is on its way into one target. */
struct seal_append {
    struct log_sealer *sealer;
    struct io_disk *disk;
    struct log_seal_target *target;
    struct flow_batch group[GROUP_MAX]; /* neighbours that become one batch */
    uint32_t group_count;
    uint64_t group_bytes;
    uint64_t records; /* in sealer->out */
    int64_t first_commit_ms;
    int64_t commit_ms;
    int64_t end_offset; /* of the last batch taken */
};

static struct log_segment *open_segment(struct seal_append *a)
{
    struct log_seal_target *target = a->target;
    ASSERT(target->segment_count > 0);
    return &target->segments[target->segment_count - 1];
}

/* Puts what is in `out` into the open segment. */
static err_t write_out(struct seal_append *a)
{
    struct log_sealer *sealer = a->sealer;
    ASSERT(a->group_count == 0);
    if (sealer->out.size == 0)
        return err_ok();
    TRY(log_segment_append(a->disk, &a->target->place, open_segment(a), buf_slice(&sealer->out),
                           a->records, a->commit_ms, &sealer->why));
    sealer->step_written_bytes += sealer->out.size;
    buf_reset(&sealer->out);
    a->records = 0;
    return err_ok();
}

/* Moves the group to `out`, as one batch. */
static err_t close_group(struct seal_append *a)
{
    struct log_sealer *sealer = a->sealer;
    enum flow_codec codec = a->target->config.codec;
    if (a->group_count == 0)
        return err_ok();
    ASSERT(a->group_count <= GROUP_MAX);
    struct flow_batch batch = a->group[0];
    if (a->group_count > 1) {
        buf_reset(&sealer->merged);
        TRY(flow_merge(a->group, a->group_count, &sealer->merged));
        TRY(flow_batch_parse(buf_slice(&sealer->merged), &batch));
    }
    a->group_count = 0;
    a->group_bytes = 0;
    if (codec != FLOW_CODEC_NONE)
        return flow_batch_pack(&batch, codec, &sealer->out);
    buf_add_slice(&sealer->out, batch.bytes);
    return buf_error(&sealer->out);
}

static bool must_roll(struct seal_append *a, const struct flow_batch *next, int64_t commit_ms)
{
    struct log_seal_target *target = a->target;
    if (target->segment_count == 0)
        return true;
    const struct log_segment *segment = open_segment(a);
    ASSERT(next->base_offset >= segment->end_offset);
    uint64_t pending = a->sealer->out.size + a->group_bytes;
    if (segment->size + pending == 0)
        return false;
    uint64_t age_max = target->config.retention_ms / SEGMENTS_KEPT;
    int64_t first_ms = segment->size > 0 ? segment->first_commit_ms : a->first_commit_ms;
    bool old = age_max > 0 && commit_ms > first_ms && (uint64_t)(commit_ms - first_ms) > age_max;
    /* Within a segment records are counted by their offsets (log/partition.h). */
    bool hole = next->base_offset > segment->end_offset && next->base_offset > a->end_offset;
    return old || hole || segment->size + pending + next->bytes.size > target->segment_bytes_max ||
           next->base_offset + next->last_offset_delta - segment->base_offset > INT32_MAX;
}

static err_t roll(struct seal_append *a, const struct flow_batch *next, uint64_t records_before)
{
    struct log_seal_target *target = a->target;
    TRY(close_group(a));
    TRY(write_out(a));
    ASSERT(a->sealer->out.size == 0 && a->records == 0);
    struct log_segment *grown =
        mem_realloc(target->segments, target->segment_count + 1u, sizeof *grown);
    if (!grown)
        return err_make(ERR_MEMORY);
    target->segments = grown;
    grown[target->segment_count++] = (struct log_segment){
        .base_offset = next->base_offset,
        .end_offset = next->base_offset,
        .records_before = records_before,
    };
    return err_ok();
}

static err_t append_batch(struct seal_append *a, const struct log_index_entry *entry,
                          const struct flow_batch *batch)
{
    ASSERT(batch->bytes.size == entry->size);
    if (must_roll(a, batch, entry->commit_time_ms))
        TRY(roll(a, batch, entry->records_before));
    bool mergeable = batch->bytes.size < LOG_SEGMENT_MERGE_SIZE && flow_merge_possible(batch);
    bool joins = mergeable && a->group_count > 0 && a->group_count < GROUP_MAX &&
                 a->group_bytes + batch->bytes.size <= LOG_SEGMENT_MERGE_SIZE;
    if (!joins)
        TRY(close_group(a));
    if (a->sealer->out.size >= OUT_SIZE && !joins)
        TRY(write_out(a));
    if (a->sealer->out.size + a->group_bytes == 0)
        a->first_commit_ms = entry->commit_time_ms;
    a->group[a->group_count++] = *batch;
    a->group_bytes += batch->bytes.size;
    a->records += entry->record_count;
    a->commit_ms = entry->commit_time_ms;
    a->end_offset = batch->base_offset + batch->last_offset_delta + 1;
    return mergeable ? err_ok() : close_group(a);
}

static err_t check_entry(struct log_sealer *sealer, const struct log_index_entry *entry,
                         struct slice bytes, struct flow_batch *out)
{
    ASSERT(bytes.size == entry->size);
    err_t err = flow_batch_parse(bytes, out);
    if (err_is_ok(err))
        err = flow_batch_check(out);
    if (err_is_ok(err) && out->bytes.size == entry->size && out->base_offset == entry->base_offset)
        return err_ok();
    return err_set(&sealer->why, ERR_CORRUPT,
                   "the batch at byte %" PRIu32 " of log file %" PRIu32 " (offset %" PRId64
                   ") does not fit its checksum; stop the server and run garner fsck",
                   entry->file_offset, entry->file_number, entry->base_offset);
}

static err_t append_run(struct log *log, const struct log_seal_run *run, uint64_t span_start)
{
    struct log_sealer *sealer = &log->sealer;
    struct log_seal_target *target = &sealer->targets[run->target];
    ASSERT(run->count > 0);
    struct seal_append a = {.sealer = sealer, .disk = log->options.disk, .target = target};
    if (!target->begun) {
        TRY(log_segment_make_directories(a.disk, &target->place, &sealer->why));
        TRY(log_segment_sweep(a.disk, &target->place, target->sweep_from, &sealer->why));
        /* What a try that failed left behind its end goes too, so that nobody takes it for more. */
        if (target->segment_count > 0)
            TRY(log_segment_cut(a.disk, &target->place, &target->segments[0], &sealer->why));
        target->begun = true;
    }
    buf_reset(&sealer->out);
    for (size_t i = run->first; i < run->first + run->count; i++) {
        const struct log_index_entry *entry = &sealer->entries[i];
        struct flow_batch batch;
        struct slice bytes =
            slice_make(sealer->data + (entry->file_offset - span_start), entry->size);
        TRY(check_entry(sealer, entry, bytes, &batch));
        TRY(append_batch(&a, entry, &batch));
    }
    TRY(close_group(&a));
    return write_out(&a);
}

static err_t open_files(struct log *log)
{
    struct log_sealer *sealer = &log->sealer;
    char path[LOG_WAL_PATH_MAX];
    ASSERT(!sealer->wal && !sealer->root);
    log_wal_path(&log->wal, sealer->file_number, path);
    /* Before the first byte is written: io_file_sync_all answers for what comes after. */
    TRY(io_disk_open(log->options.disk, log->options.data_directory, IO_OPEN_READ, &sealer->root,
                     &sealer->why));
    return io_disk_open(log->options.disk, path,
                        IO_OPEN_READ | (log->wal.direct ? IO_OPEN_DIRECT : 0), &sealer->wal,
                        &sealer->why);
}

/* Reads all that the entries lie in; `*start` is where that begins. */
static err_t read_window(struct log *log, uint64_t *start)
{
    struct log_sealer *sealer = &log->sealer;
    uint64_t low = UINT64_MAX;
    uint64_t high = 0;
    for (size_t i = 0; i < sealer->entry_count; i++) {
        const struct log_index_entry *entry = &sealer->entries[i];
        uint64_t end = (uint64_t)entry->file_offset + entry->size;
        low = entry->file_offset < low ? entry->file_offset : low;
        high = end > high ? end : high;
    }
    ASSERT(low < high);
    low = low / IO_BLOCK * IO_BLOCK;
    uint64_t size = (high - low + IO_BLOCK - 1) / IO_BLOCK * IO_BLOCK;
    if (size > sealer->data_capacity) {
        uint64_t capacity = size < WINDOW_SIZE_MIN ? WINDOW_SIZE_MIN : size;
        uint8_t *data = mem_alloc_aligned(IO_BLOCK, (size_t)capacity);
        if (!data)
            return err_make(ERR_MEMORY);
        mem_free(sealer->data);
        sealer->data = data;
        sealer->data_capacity = capacity;
    }
    size_t got = 0;
    TRY(io_file_read(sealer->wal, sealer->data, (size_t)size, low, &got));
    if (got < high - low)
        return err_set(&sealer->why, ERR_CORRUPT, "log file %" PRIu64 " was cut",
                       sealer->file_number);
    sealer->step_read_bytes += size;
    *start = low;
    return err_ok();
}

static err_t append_window(struct log *log)
{
    struct log_sealer *sealer = &log->sealer;
    ASSERT(sealer->phase == LOG_SEALER_APPENDING);
    if (!sealer->wal)
        TRY(open_files(log));
    if (sealer->entry_count == 0)
        return err_ok();
    uint64_t start = 0;
    TRY(read_window(log, &start));
    for (size_t i = 0; i < sealer->run_count; i++)
        TRY(append_run(log, &sealer->runs[i], start));
    return err_ok();
}

static bool same_directory(const struct log_seal_removal *a, const struct log_seal_removal *b)
{
    ASSERT(a != b);
    if (a->base_offset < 0 || b->base_offset < 0)
        return a->base_offset < 0 && b->base_offset < 0;
    return uuid_equal(&a->place.topic_uuid, &b->place.topic_uuid) &&
           a->place.partition == b->place.partition;
}

/* Once nothing speaks of them any more, a file that came back would stay for ever. */
static err_t remove_files(struct log *log)
{
    struct log_sealer *sealer = &log->sealer;
    struct io_disk *disk = log->options.disk;
    ASSERT(sealer->removal_count > 0 || sealer->key_removal_count > 0);
    TRY(log_sealer_remove_keys(log));
    for (size_t i = 0; i < sealer->removal_count; i++) {
        const struct log_seal_removal *removal = &sealer->removals[i];
        if (removal->base_offset < 0)
            TRY(log_segment_remove_topic(disk, &removal->place, &sealer->why));
        else
            TRY(log_segment_remove(disk, &removal->place, removal->base_offset, &sealer->why));
        if (i + 1 == sealer->removal_count || !same_directory(removal, removal + 1))
            TRY(log_segment_sync_removal(disk, &removal->place, removal->base_offset,
                                         &sealer->why));
    }
    return err_ok();
}

/* What the checkpoint says of keys has to be on the disk before it. */
static err_t write_checkpoint(struct log *log)
{
    struct log_sealer *sealer = &log->sealer;
    ASSERT(sealer->phase == LOG_SEALER_SAVING);
    TRY(log_keys_writes_run(log->options.disk, &sealer->keys, &sealer->why));
    return log_checkpoint_write(log->options.disk, log->options.data_directory,
                                sealer->checkpoint_lsn, buf_slice(&sealer->checkpoint),
                                sealer->checkpoint_held, &sealer->why);
}

static void work(struct io_job *job)
{
    struct log_sealer *sealer = CONTAINER_OF(job, struct log_sealer, job);
    struct log *log = CONTAINER_OF(sealer, struct log, sealer);
    sealer->why = (struct err_text){0};
    switch (sealer->phase) {
    case LOG_SEALER_APPENDING: sealer->error = append_window(log); break;
    case LOG_SEALER_SYNCING: sealer->error = io_file_sync_all(sealer->root); break;
    case LOG_SEALER_SAVING: sealer->error = write_checkpoint(log); break;
    case LOG_SEALER_REMOVING: sealer->error = remove_files(log); break;
    case LOG_SEALER_SORTING: sealer->error = log_sealer_sort_bucket(log); break;
    case LOG_SEALER_IDLE:
    default: UNREACHABLE("no work to do");
    }
}

static void offload(struct log *log, enum log_sealer_phase phase)
{
    struct log_sealer *sealer = &log->sealer;
    ASSERT(!sealer->running);
    sealer->phase = phase;
    sealer->running = true;
    io_offload(log->options.sealer, &sealer->job);
}

/* What failed, and what that means for whoever runs the server. */
static void report_failure(const struct log *log)
{
    static const char *const what[] = {
        [LOG_SEALER_SYNCING] = "cannot seal a log file into segments",
        [LOG_SEALER_SAVING] = "cannot write a checkpoint",
        [LOG_SEALER_REMOVING] = "cannot remove expired segments",
        [LOG_SEALER_SORTING] = "cannot write a file of idempotency keys",
    };
    static const char *const consequence[] = {
        [LOG_SEALER_SYNCING] = "until it works, intake goes on up to wal_limit and is then refused",
        [LOG_SEALER_SAVING] = "until it works, no log file is used again: intake goes on up to "
                              "wal_limit and is then refused",
        [LOG_SEALER_REMOVING] = "until it works, what expired still takes its room on the disk",
        [LOG_SEALER_SORTING] = "until it works, keys are kept in memory: records with keys go on "
                               "up to twice dedup.memory and are then refused",
    };
    const struct log_sealer *sealer = &log->sealer;
    ASSERT(what[sealer->failed_phase]);
    logger_write(log->logger, LOG_LEVEL_ERROR, "log_seal_failed",
                 "%s: %s; it is tried again every %u s; %s", what[sealer->failed_phase],
                 err_detail(sealer->failed_error, &sealer->failed_why),
                 (unsigned)(RETRY_NS / IO_SECOND), consequence[sealer->failed_phase]);
}

static void failed(struct log *log)
{
    struct log_sealer *sealer = &log->sealer;
    ASSERT(!err_is_ok(sealer->error) && !sealer->running);
    sealer->failures_total++;
    sealer->failed_phase =
        sealer->phase == LOG_SEALER_APPENDING ? LOG_SEALER_SYNCING : sealer->phase;
    sealer->failed_error = sealer->error;
    sealer->failed_why = sealer->why;
    sealer->removal_failed = sealer->phase == LOG_SEALER_REMOVING;
    if (!sealer->reported)
        report_failure(log);
    sealer->reported = true;
    log_pin_failed(log, sealer->error, sealer->phase == LOG_SEALER_SAVING);
    sealer->phase = LOG_SEALER_IDLE;
    free_file(log);
    log_sealer_keys_done(sealer);
    io_timer_start(log->options.loop, &sealer->pace, RETRY_NS);
}

/* What failed last is done; that other things go well says nothing of it. */
static void worked(struct log *log, enum log_sealer_phase phase)
{
    struct log_sealer *sealer = &log->sealer;
    ASSERT(phase != LOG_SEALER_IDLE);
    if (!sealer->reported || sealer->failed_phase != phase)
        return;
    sealer->reported = false;
    logger_write(log->logger, LOG_LEVEL_INFO, "log_seal_works", "%s again",
                 phase == LOG_SEALER_SAVING     ? "checkpoints can be written"
                 : phase == LOG_SEALER_REMOVING ? "expired segments can be removed"
                 : phase == LOG_SEALER_SORTING  ? "files of idempotency keys can be written"
                                                : "log files can be sealed");
}

/* The state as it is, on its way to the disk. */
static void save(struct log *log)
{
    struct log_sealer *sealer = &log->sealer;
    ASSERT(log->last.lsn == log->durable_lsn);
    struct log_checkpoint checkpoint = {
        .uuid = log->meta.uuid,
        .last = log->last,
        .sealed_file = sealer->sealed_file,
        .clean = log->state.clean_stop,
    };
    log_sealer_keys_age(log);
    sealer->error = log_state_gather_keys(&log->state, log->options.data_directory, &sealer->keys);
    if (err_is_ok(sealer->error)) {
        log_checkpoint_encode(&checkpoint, &log->state, &sealer->checkpoint);
        sealer->error = buf_error(&sealer->checkpoint);
    }
    sealer->checkpoint_lsn = log->last.lsn;
    sealer->checkpoint_file = log->last.file_number;
    sealer->checkpoint_sealed = sealer->sealed_file;
    sealer->checkpoint_clean = checkpoint.clean;
    sealer->checkpoint_held = log_pin_checkpoint(log);
    if (err_is_ok(sealer->error)) {
        offload(log, LOG_SEALER_SAVING);
    } else {
        sealer->phase = LOG_SEALER_SAVING;
        failed(log);
    }
}

static void saved(struct log *log)
{
    struct log_sealer *sealer = &log->sealer;
    ASSERT(sealer->checkpoint_sealed >= sealer->saved_sealed);
    log_sealer_keys_saved(log);
    /* A checkpoint of the same frame takes the place of the one before. */
    if (sealer->checkpoint_lsn != sealer->saved_lsn)
        sealer->saved_before = sealer->saved_sealed;
    sealer->saved_sealed = sealer->checkpoint_sealed;
    sealer->saved_file = sealer->checkpoint_file;
    sealer->saved_lsn = sealer->checkpoint_lsn;
    sealer->removal_failed = false;
    sealer->checkpoints_total++;
    worked(log, LOG_SEALER_SAVING);
    buf_done(&sealer->checkpoint);
    log_keys_writes_done(&sealer->keys);
    sealer->phase = LOG_SEALER_IDLE;
    log_pin_saved(log, sealer->saved_lsn, sealer->saved_sealed);
}

/* Everything of the file is durable in segments: reads go there from here on. */
static err_t install(struct log *log)
{
    struct log_sealer *sealer = &log->sealer;
    ASSERT(sealer->phase == LOG_SEALER_SYNCING);
    for (uint32_t i = 0; i < sealer->target_count; i++) {
        const struct log_seal_target *target = &sealer->targets[i];
        struct log_partition *partition =
            log_state_partition(&log->state, target->topic_id, target->place.partition);
        if (!partition)
            continue;
        TRY(log_partition_put_segments(partition, target->segments, target->segment_count));
        log_partition_drop_index(partition, target->entries_done, &log->state.index_bytes);
        partition->seal_target = 0;
        partition->swept = partition->swept || target->sweeps_all;
        TRY(log_state_drop_expired(&log->state, target->topic_id, target->place.partition));
    }
    return err_ok();
}

static void synced(struct log *log)
{
    struct log_sealer *sealer = &log->sealer;
    /* What could not be put in place stays in the index, and is sealed again with its file. */
    sealer->error = install(log);
    if (!err_is_ok(sealer->error)) {
        failed(log);
        return;
    }
    ASSERT(sealer->file_number > sealer->sealed_file);
    sealer->sealed_file = sealer->file_number;
    sealer->files_total++;
    worked(log, LOG_SEALER_SYNCING);
    free_file(log);
    save(log);
}

/* The more waits, the shorter the pause; none from a quarter of the limit on. */
static uint64_t pause_ns(const struct log *log)
{
    uint64_t relaxed = log->wal.limit_bytes / 4;
    uint64_t backlog = log_sealer_backlog(log);
    ASSERT(relaxed > 0);
    if (backlog >= relaxed)
        return 0;
    uint64_t pause = PACE_NS / (WINDOW_SIZE_MAX / log->sealer.window_size);
    return pause / 1024 * ((relaxed - backlog) * 1024 / relaxed);
}

static void append_more(struct log *log)
{
    struct log_sealer *sealer = &log->sealer;
    ASSERT(sealer->phase == LOG_SEALER_APPENDING && !sealer->running);
    sealer->error = gather(log);
    if (err_is_ok(sealer->error))
        offload(log, LOG_SEALER_APPENDING);
    else
        failed(log);
}

static void pace_over(struct io_timer *timer)
{
    struct log_sealer *sealer = CONTAINER_OF(timer, struct log_sealer, pace);
    struct log *log = CONTAINER_OF(sealer, struct log, sealer);
    ASSERT(!sealer->running);
    if (sealer->phase == LOG_SEALER_APPENDING)
        append_more(log);
    else
        log_sealer_kick(log);
}

static void appended(struct log *log)
{
    struct log_sealer *sealer = &log->sealer;
    ASSERT(sealer->phase == LOG_SEALER_APPENDING);
    if (sealer->window >= sealer->file_size) {
        offload(log, LOG_SEALER_SYNCING);
        return;
    }
    uint64_t pause = pause_ns(log);
    if (pause > 0)
        io_timer_start(log->options.loop, &sealer->pace, pause);
    else
        append_more(log);
}

static void removed(struct log *log)
{
    struct log_sealer *sealer = &log->sealer;
    ASSERT(sealer->phase == LOG_SEALER_REMOVING);
    struct log_state *state = &log->state;
    ASSERT(sealer->removal_count <= state->doomed_count);
    state->doomed_count -= sealer->removal_count;
    if (sealer->removal_count > 0)
        memmove(state->doomed, state->doomed + sealer->removal_count,
                state->doomed_count * sizeof *state->doomed);
    sealer->removed_total += sealer->removal_count;
    mem_free(sealer->removals);
    sealer->removals = NULL;
    sealer->removal_count = 0;
    log_sealer_keys_removed(log);
    worked(log, LOG_SEALER_REMOVING);
    sealer->phase = LOG_SEALER_IDLE;
}

static void sorted(struct log *log)
{
    struct log_sealer *sealer = &log->sealer;
    ASSERT(sealer->phase == LOG_SEALER_SORTING);
    sealer->error = log_sealer_keys_sorted(log);
    if (!err_is_ok(sealer->error)) {
        failed(log);
        return;
    }
    worked(log, LOG_SEALER_SORTING);
    log_sealer_keys_done(sealer);
    sealer->phase = LOG_SEALER_IDLE;
}

static void done(struct io_job *job)
{
    struct log_sealer *sealer = CONTAINER_OF(job, struct log_sealer, job);
    struct log *log = CONTAINER_OF(sealer, struct log, sealer);
    ASSERT(sealer->running && sealer->phase != LOG_SEALER_IDLE);
    sealer->running = false;
    sealer->read_bytes_total += sealer->step_read_bytes;
    sealer->written_bytes_total += sealer->step_written_bytes;
    sealer->step_read_bytes = sealer->step_written_bytes = 0;
    if (!err_is_ok(sealer->error)) {
        failed(log);
    } else if (sealer->phase == LOG_SEALER_APPENDING && log->mode == LOG_STOPPING) {
        free_file(log);
        sealer->phase = LOG_SEALER_IDLE;
    } else if (sealer->phase == LOG_SEALER_APPENDING) {
        appended(log);
    } else if (sealer->phase == LOG_SEALER_SYNCING) {
        synced(log);
    } else if (sealer->phase == LOG_SEALER_SAVING) {
        saved(log);
    } else if (sealer->phase == LOG_SEALER_SORTING) {
        sorted(log);
    } else {
        removed(log);
    }
    log_sequencer_pump(log);
}

/* Segments and topics that the state has let go of; they stay in its list, which checkpoints have,
 * until they are gone. Without the memory, a later time. */
static bool take_doomed(struct log *log)
{
    struct log_sealer *sealer = &log->sealer;
    struct log_state *state = &log->state;
    if (sealer->removal_count > 0 || state->doomed_count == 0)
        return sealer->removal_count > 0;
    sealer->removals = mem_alloc(state->doomed_count * sizeof *sealer->removals);
    if (!sealer->removals)
        return false;
    for (size_t i = 0; i < state->doomed_count; i++) {
        const struct log_doomed *doomed = &state->doomed[i];
        const struct log_topic *topic = state->topics[doomed->topic_id - 1];
        sealer->removals[i] = (struct log_seal_removal){
            .place = log_place(log, topic, doomed->partition),
            .base_offset = doomed->base_offset,
        };
    }
    sealer->removal_count = state->doomed_count;
    ASSERT(sealer->removal_count > 0);
    return true;
}

static void begin_file(struct log *log, const struct log_wal_file *file)
{
    struct log_sealer *sealer = &log->sealer;
    ASSERT(sealer->target_count == 0 && !sealer->wal);
    sealer->file_number = file->number;
    sealer->file_size = file->size;
    sealer->window = 0;
    sealer->phase = LOG_SEALER_APPENDING;
    append_more(log);
}

/* The log is full of files that are sealed, which a second checkpoint frees: one of another frame
 * than the first. No commit finds room, so that frame is made for it. */
static bool wants_second_checkpoint(const struct log *log)
{
    const struct log_wal *wal = &log->wal;
    const struct log_sealer *sealer = &log->sealer;
    ASSERT(sealer->saved_before <= sealer->saved_sealed);
    bool full = wal->current + 1 == wal->file_count && !log_wal_may_make(wal);
    uint64_t first = wal->files[0].number;
    return full && wal->current > 0 && first > sealer->saved_before &&
           first <= sealer->saved_sealed && !log->epoch_begins;
}

static void make_second_checkpoint(struct log *log)
{
    ASSERT(log->sealer.saved_lsn <= log->durable_lsn);
    if (log->sealer.saved_lsn == log->durable_lsn)
        log_sequencer_flush_empty(log);
    else
        save(log);
}

bool log_sealer_frees(const struct log *log)
{
    const struct log_sealer *sealer = &log->sealer;
    ASSERT(log->wal.current < log->wal.file_count);
    return !sealer->reported && log->mode == LOG_RUNNING &&
           (sealer->phase != LOG_SEALER_IDLE || next_file(log) || wants_second_checkpoint(log));
}

void log_sealer_end_file(struct log *log)
{
    struct log_wal *wal = &log->wal;
    ASSERT(wal->current < wal->file_count);
    bool spare = wal->current + 1 < wal->file_count;
    if (!spare || log->epoch_begins || log->mode != LOG_RUNNING)
        return;
    if (log->last.file_number == wal->files[wal->current].number) {
        err_t rolled = log_wal_roll(wal);
        ASSERT(err_is_ok(rolled));
    }
    log_sequencer_flush_empty(log);
}

void log_sealer_kick(struct log *log)
{
    struct log_sealer *sealer = &log->sealer;
    ASSERT(log->mode != LOG_STOPPED);
    if (sealer->phase != LOG_SEALER_IDLE || sealer->pace.heap_index > 0 ||
        log->mode == LOG_STOPPING)
        return;
    const struct log_wal_file *file = next_file(log);
    /* A start reads what is behind the checkpoint: not much more than a file, also when sealing
     * does not get on. */
    bool lags = log->last.file_number > sealer->saved_file + 1;
    bool must_save =
        sealer->saved_sealed < sealer->sealed_file || (file && lags) || log_sealer_keys_lag(log);
    /* A removal that fails lets sealing have its turn: expired files in the way are no reason to
     * refuse records. */
    bool gives_way = sealer->removal_failed && (must_save || file);
    /* Both are asked: what is doomed goes together. */
    gives_way = gives_way || log_pin_holds(log);
    bool removes = !gives_way && log_sealer_take_doomed_keys(log);
    removes = (!gives_way && take_doomed(log)) || removes;
    if (removes)
        offload(log, LOG_SEALER_REMOVING);
    else if (must_save || log_pin_wants_checkpoint(log))
        save(log);
    else if (log_sealer_take_bucket(log))
        offload(log, LOG_SEALER_SORTING);
    else if (file)
        begin_file(log, file);
    else if (wants_second_checkpoint(log))
        make_second_checkpoint(log);
    /* A full index stops intake, and only what is in a full file can be sealed. */
    else if (log->state.index_bytes >= log->options.index_bytes)
        log_sealer_end_file(log);
}

bool log_sealer_stop(struct log *log)
{
    struct log_sealer *sealer = &log->sealer;
    ASSERT(log->mode == LOG_STOPPING);
    if (sealer->pace.heap_index > 0) {
        io_timer_stop(log->options.loop, &sealer->pace);
        free_file(log);
        sealer->phase = LOG_SEALER_IDLE;
    }
    if (sealer->running)
        return false;
    if (sealer->phase == LOG_SEALER_IDLE && !sealer->final_saved) {
        sealer->final_saved = true;
        if (log->last.lsn == log->durable_lsn && log->last.lsn > 0 && !log->epoch_begins)
            save(log);
    }
    /* Without the memory for it, nobody comes back to try again. */
    if (!sealer->running)
        io_timer_stop(log->options.loop, &sealer->pace);
    return !sealer->running;
}

void log_sealer_init(struct log *log)
{
    struct log_sealer *sealer = &log->sealer;
    ASSERT(sealer->phase == LOG_SEALER_IDLE);
    sealer->job = (struct io_job){.home = log->options.loop, .work = work, .done = done};
    sealer->pace.run = pace_over;
    buf_init(&sealer->out, 0);
    buf_init(&sealer->merged, 0);
    buf_init(&sealer->checkpoint, 0);
}

void log_sealer_done(struct log *log)
{
    struct log_sealer *sealer = &log->sealer;
    ASSERT(log->options.loop);
    /* A simulated loss of power ends an actor where it stands: its job does not run any more. */
    sealer->running = false;
    free_file(log);
    mem_free(sealer->removals);
    log_sealer_keys_done(sealer);
    buf_done(&sealer->checkpoint);
}

void log_sealer_loaded(struct log *log, const struct log_checkpoint *checkpoint,
                       uint64_t sealed_before)
{
    struct log_sealer *sealer = &log->sealer;
    ASSERT(sealer->checkpoints_total == 0 && sealed_before <= checkpoint->sealed_file);
    sealer->sealed_file = checkpoint->sealed_file;
    sealer->saved_sealed = checkpoint->sealed_file;
    sealer->saved_file = checkpoint->last.file_number;
    sealer->saved_lsn = checkpoint->last.lsn;
    sealer->saved_before = sealed_before;
}
