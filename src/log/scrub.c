#include "log/scrub_int.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/cursor.h"
#include "flow/batch.h"
#include <inttypes.h>

/*
 * The happy path: on the loop the next piece is chosen and what the log knows of it copied; the
 * worker reads it past the page cache and checks it; back on the loop the result is remembered in
 * the segment, and after a pause that keeps to the rate the next piece is chosen. The WAL is read
 * in windows of a file, segments from where the last look at them ended.
 *
 * Failure modes: a segment or a batch that is gone when the worker comes back says nothing,
 * whatever was read; a file of the WAL is not recycled under a look, as under a read. Bytes that
 * make no batch end the look at a segment, since nothing says where the next batch begins. Without
 * memory a piece waits for the next round.
 */

/* What opening a file costs, in bytes of the rate. */
#define LOOK_COST (UINT64_C(64) << 10)
#define PARTITIONS_A_TURN 512u
#define BATCH_SIZE_MAX LOG_WAL_FILE_SIZE_MAX
#define TOLD_MAX 50u

/* The first few are named and the others counted: a disk that has lost much would fill the log
 * of events. */
void log_scrub_add_found(struct log_scrub *scrub, struct log_scrub_found found)
{
    ASSERT(found.what);
    if (scrub->found_count < LOG_SCRUB_FOUND)
        scrub->found[scrub->found_count] = found;
    scrub->found_count++;
}

static err_t reserve(struct log_scrub *scrub, uint64_t size)
{
    ASSERT(size % IO_BLOCK == 0);
    if (size <= scrub->data_capacity)
        return err_ok();
    uint8_t *data = mem_alloc_aligned(IO_BLOCK, (size_t)size);
    if (!data)
        return err_make(ERR_MEMORY);
    mem_free(scrub->data);
    scrub->data = data;
    scrub->data_capacity = size;
    return err_ok();
}

/* Reads [from, to) and somewhat more on both sides; `*out` is what there is of it. */
err_t log_scrub_read(struct log_scrub *scrub, struct io_file *file, uint64_t from, uint64_t to,
                     struct slice *out)
{
    ASSERT(from < to);
    uint64_t start = from / IO_BLOCK * IO_BLOCK;
    uint64_t size = (to - start + IO_BLOCK - 1) / IO_BLOCK * IO_BLOCK;
    size_t got = 0;
    TRY(reserve(scrub, size));
    TRY(io_file_read(file, scrub->data, (size_t)size, start, &got));
    scrub->bytes += got;
    uint64_t end = start + got < to ? start + got : to;
    *out = slice_make(scrub->data + (from - start), end > from ? (size_t)(end - from) : 0);
    return err_ok();
}

/* The bytes from the position on are no batch, or not to be had. */
static void find_broken(struct log_scrub *scrub, const char *what)
{
    const struct log_segment *segment = &scrub->segment;
    ASSERT(segment->checked.end_offset <= segment->end_offset);
    /* Everything behind the position is in doubt, since a batch alone says where the next begins.
     */
    log_scrub_add_found(scrub, (struct log_scrub_found){.what = what,
                                                        .first_offset = segment->checked.end_offset,
                                                        .last_offset = segment->end_offset - 1,
                                                        .from = segment->checked.bytes,
                                                        .to = segment->size});
    scrub->broken = true;
}

/* One whole batch at the position of the segment. Offsets lie outside its checksum. */
static void look_at_batch(struct log_scrub *scrub, const struct flow_batch *batch)
{
    struct log_segment_checked *checked = &scrub->segment.checked;
    int64_t end_offset = batch->base_offset + batch->last_offset_delta + 1;
    bool placed =
        batch->base_offset >= checked->end_offset && end_offset <= scrub->segment.end_offset;
    struct log_scrub_found found = {
        .what = placed ? "the batch does not fit its checksum"
                       : "the offsets are not those that were given",
        .first_offset = placed ? batch->base_offset : checked->end_offset,
        .last_offset = (placed ? end_offset : scrub->segment.end_offset) - 1,
        .from = checked->bytes,
        .to = checked->bytes + batch->bytes.size,
    };
    ASSERT(found.to <= scrub->segment.size);
    if (!placed || !err_is_ok(flow_batch_check(batch)))
        log_scrub_add_found(scrub, found);
    checked->bytes = found.to;
    checked->records += batch->record_count;
    if (placed)
        checked->end_offset = end_offset;
}

/* All whole batches of `bytes`, which begin at the position. ERR_END when not even one is whole:
 * `*wanted` is what it takes. */
static err_t look_at_batches(struct log_scrub *scrub, struct slice bytes, uint64_t *wanted)
{
    bool any = false;
    ASSERT(scrub->segment.checked.bytes < scrub->segment.size);
    while (bytes.size > 0) {
        struct flow_batch batch;
        err_t err = flow_batch_parse(bytes, &batch);
        if (err_is(err, ERR_END) && bytes.size >= 12)
            *wanted = UINT64_C(12) + get_u32be(bytes.data + 8);
        if (err_is(err, ERR_END) && any)
            return err_ok();
        TRY(err);
        look_at_batch(scrub, &batch);
        any = true;
        bytes = slice_sub(bytes, batch.bytes.size, SIZE_MAX);
    }
    return err_ok();
}

static err_t look_at_piece(struct log_scrub *scrub, struct io_file *file)
{
    struct log_segment *segment = &scrub->segment;
    uint64_t left = segment->size - segment->checked.bytes;
    uint64_t size = left < LOG_SCRUB_PIECE ? left : LOG_SCRUB_PIECE;
    for (;;) {
        struct slice bytes;
        TRY(log_scrub_read(scrub, file, segment->checked.bytes, segment->checked.bytes + size,
                           &bytes));
        if (bytes.size < size) {
            find_broken(scrub, "the file was cut");
            return err_ok();
        }
        uint64_t wanted = 0;
        err_t err = look_at_batches(scrub, bytes, &wanted);
        ASSERT(!scrub->broken);
        if (err_is_ok(err))
            return err_ok();
        /* A length is not in the checksum either: it is believed as far as one can be written. */
        if (!err_is(err, ERR_END) || wanted <= size || wanted > left || wanted > BATCH_SIZE_MAX) {
            find_broken(scrub, "what is there is no batch");
            return err_ok();
        }
        size = wanted;
    }
}

/* At the end of a segment in which all batches are good. */
static void compare_totals(struct log_scrub *scrub)
{
    const struct log_segment *segment = &scrub->segment;
    ASSERT(segment->checked.bytes == segment->size);
    if (segment->checked.found > 0 || scrub->found_count > 0 ||
        (segment->checked.records == segment->records &&
         segment->checked.end_offset == segment->end_offset))
        return;
    log_scrub_add_found(
        scrub, (struct log_scrub_found){.what = "there are more or fewer records than were counted",
                                        .first_offset = segment->base_offset,
                                        .last_offset = segment->end_offset - 1,
                                        .to = segment->size});
}

/* The piece is opened anew each time: between two of them the segment may have expired, and an
 * open file would keep its bytes on the disk. */
static err_t look_at_segment(struct log *log)
{
    struct log_scrub *scrub = &log->scrub;
    char path[LOG_SEGMENT_PATH_MAX];
    struct io_file *file;
    log_segment_path(&scrub->place, scrub->segment.base_offset, LOG_SEGMENT_LOG, path);
    unsigned direct = log->wal.direct ? IO_OPEN_DIRECT : 0;
    err_t err = io_disk_open(log->options.disk, path, IO_OPEN_READ | direct, &file, NULL);
    ASSERT(scrub->segment.checked.bytes < scrub->segment.size);
    if (err_is_ok(err)) {
        err = look_at_piece(scrub, file);
        err_t ignored = io_file_close(file);
        (void)ignored;
    }
    if (err_is(err, ERR_MEMORY))
        return err;
    /* Whatever else the disk says: records that it does not give back are as good as lost. */
    if (!err_is_ok(err))
        find_broken(scrub,
                    err_is(err, ERR_NO_FILE) ? "the file is missing" : "the disk cannot read it");
    if (!scrub->broken && scrub->segment.checked.bytes == scrub->segment.size)
        compare_totals(scrub);
    return err_ok();
}

/* One batch of the WAL, of which `bytes` could be read. */
static void look_at_entry(struct log_scrub *scrub, const struct log_scrub_batch *batch,
                          struct slice bytes)
{
    struct flow_batch found;
    const struct log_index_entry *entry = &batch->entry;
    /* As far as its count tells: a batch may end, or be nothing but, holes. */
    int64_t inside = entry->record_count > 0 ? (int64_t)entry->record_count - 1 : 0;
    ASSERT(bytes.size <= entry->size);
    err_t err = flow_batch_parse(bytes, &found);
    if (err_is_ok(err))
        err = flow_batch_check(&found);
    if (err_is_ok(err) && found.bytes.size == entry->size &&
        found.base_offset == entry->base_offset && found.record_count == entry->record_count)
        return;
    log_scrub_add_found(
        scrub, (struct log_scrub_found){.what = "the batch is not the one that was written",
                                        .topic_id = batch->topic_id,
                                        .partition = batch->partition,
                                        .first_offset = entry->base_offset,
                                        .last_offset = entry->base_offset + inside,
                                        .from = entry->file_offset,
                                        .to = (uint64_t)entry->file_offset + entry->size});
}

/* One read for batches that lie side by side, in the order of the file, whichever partitions
 * they are of. */
static err_t look_at_window(struct log *log)
{
    struct log_scrub *scrub = &log->scrub;
    uint64_t low = UINT64_MAX;
    uint64_t high = 0;
    ASSERT(scrub->batch_count > 0);
    for (size_t i = 0; i < scrub->batch_count; i++) {
        const struct log_index_entry *entry = &scrub->batches[i].entry;
        uint64_t end = (uint64_t)entry->file_offset + entry->size;
        low = entry->file_offset < low ? entry->file_offset : low;
        high = end > high ? end : high;
    }
    char path[LOG_WAL_PATH_MAX];
    struct io_file *file;
    struct slice bytes = {0};
    log_wal_path(&log->wal, scrub->file_number, path);
    unsigned direct = log->wal.direct ? IO_OPEN_DIRECT : 0;
    err_t err = io_disk_open(log->options.disk, path, IO_OPEN_READ | direct, &file, NULL);
    if (err_is_ok(err)) {
        err = log_scrub_read(scrub, file, low, high, &bytes);
        err_t ignored = io_file_close(file);
        (void)ignored;
    }
    if (err_is(err, ERR_MEMORY))
        return err;
    /* What cannot be read is as bad as what is wrong. */
    for (size_t i = 0; i < scrub->batch_count; i++) {
        const struct log_index_entry *entry = &scrub->batches[i].entry;
        look_at_entry(scrub, &scrub->batches[i],
                      slice_sub(bytes, (size_t)(entry->file_offset - low), entry->size));
    }
    return err_ok();
}

static void work(struct io_job *job)
{
    struct log_scrub *scrub = CONTAINER_OF(job, struct log_scrub, job);
    struct log *log = CONTAINER_OF(scrub, struct log, scrub);
    ASSERT(scrub->running);
    scrub->error = scrub->phase == LOG_SCRUB_WAL    ? look_at_window(log)
                   : scrub->phase == LOG_SCRUB_KEYS ? log_scrub_look_at_keys(log)
                                                    : look_at_segment(log);
}

/* What the worker finds is its own until it is back: the state may change meanwhile, and says
 * then whether the question still stands. */
void log_scrub_offload(struct log *log)
{
    struct log_scrub *scrub = &log->scrub;
    ASSERT(!scrub->running);
    scrub->running = true;
    scrub->bytes = 0;
    scrub->found_count = 0;
    scrub->broken = false;
    io_offload(log->options.checker, &scrub->job);
}

/* Also between two pieces: reading back comes after everything else that wants the disk. */
static void wait(struct log *log, uint64_t delay_ns)
{
    ASSERT(!log->scrub.running);
    io_timer_start(log->options.loop, &log->scrub.timer, delay_ns);
}

/* Adds the batches of one partition that begin in the window. False without memory. */
static bool gather_partition(struct log_scrub *scrub, const struct log_topic *topic,
                             uint32_t number)
{
    const struct log_partition *partition = &topic->partitions[number];
    size_t low = 0;
    size_t high = partition->index_count; /* the first at or past the position */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct log_index_entry *entry = &partition->index[middle];
        if (entry->file_number < scrub->wal_file ||
            (entry->file_number == scrub->wal_file && entry->file_offset < scrub->wal_offset))
            low = middle + 1;
        else
            high = middle;
    }
    for (size_t i = low; i < partition->index_count; i++) {
        const struct log_index_entry *entry = &partition->index[i];
        if (entry->file_number != scrub->wal_file || entry->file_offset >= scrub->wal_window)
            break;
        if (scrub->batch_count == scrub->batch_capacity) {
            size_t capacity = scrub->batch_capacity ? scrub->batch_capacity * 2 : 256;
            struct log_scrub_batch *grown = mem_realloc(scrub->batches, capacity, sizeof *grown);
            if (!grown)
                return false;
            scrub->batches = grown;
            scrub->batch_capacity = capacity;
        }
        ASSERT(scrub->batch_count < scrub->batch_capacity);
        scrub->batches[scrub->batch_count++] = (struct log_scrub_batch){topic->id, number, *entry};
    }
    return true;
}

/* Every partition has its own index of the same file; without memory for all of them there is
 * nothing to compare with. */
static bool gather_window(struct log *log)
{
    struct log_scrub *scrub = &log->scrub;
    ASSERT(!scrub->running);
    scrub->batch_count = 0;
    for (uint32_t t = 0; t < log->state.topic_count; t++) {
        const struct log_topic *topic = log->state.topics[t];
        for (uint32_t p = 0; p < topic->partition_count; p++) {
            if (!gather_partition(scrub, topic, p))
                return false;
        }
    }
    return true;
}

bool log_scrub_may_tell(struct log *log)
{
    struct log_scrub *scrub = &log->scrub;
    ASSERT(!scrub->running);
    scrub->told++;
    if (scrub->told == TOLD_MAX)
        logger_write(log->logger, LOG_LEVEL_ERROR, "log_check_failed",
                     "there are more differences; garner_log_check_differences counts them, garner "
                     "fsck names them");
    return scrub->told < TOLD_MAX;
}

/* Tells of a difference. What has gone meanwhile is none. */
static void tell(struct log *log, const struct log_scrub_found *found, const char *file)
{
    const struct log_topic *topic = log_state_topic(&log->state, found->topic_id);
    ASSERT(topic && found->first_offset >= 0);
    if (log_scrub_may_tell(log))
        logger_write(log->logger, LOG_LEVEL_ERROR, "log_check_failed",
                     "topic %s partition %" PRIu32 " offsets %" PRId64 " to %" PRId64
                     ": %s (bytes %" PRIu64 " to %" PRIu64 " of %s); the disk has changed or lost "
                     "it since it was written: stop the server and run garner fsck",
                     topic->name, found->partition, found->first_offset, found->last_offset,
                     found->what, found->from, found->to, file);
}

/* A batch that was sealed or has expired since the window was read is no loss, whatever its
 * bytes were. */
static void window_done(struct log *log)
{
    struct log_scrub *scrub = &log->scrub;
    struct log_wal_file *wal_file = log_wal_find(&log->wal, scrub->file_number);
    ASSERT(wal_file && wal_file->reads > 0);
    /* The maker may have waited for this to recycle it. */
    wal_file->reads--;
    char file[48];
    int size = snprintf(file, sizeof file, "log file %" PRIu64, scrub->file_number);
    ASSERT(size > 0);
    uint32_t named = scrub->found_count < LOG_SCRUB_FOUND ? scrub->found_count : LOG_SCRUB_FOUND;
    uint32_t gone = 0;
    for (uint32_t i = 0; i < named; i++) {
        const struct log_scrub_found *found = &scrub->found[i];
        const struct log_partition *partition =
            log_state_partition(&log->state, found->topic_id, found->partition);
        if (!partition || found->last_offset < partition->start_offset ||
            log_partition_segment(partition, found->first_offset))
            gone++;
        else
            tell(log, found, file);
    }
    scrub->wal_found += scrub->found_count - gone;
    if (err_is_ok(scrub->error))
        scrub->wal_offset = scrub->wal_window;
}

/* The segment as it is there, or NULL. */
static struct log_segment *live_segment(const struct log *log)
{
    const struct log_scrub *scrub = &log->scrub;
    const struct log_partition *partition =
        log_state_partition(&log->state, scrub->topic_id, scrub->partition);
    if (!partition)
        return NULL;
    uint32_t at = log_partition_segments_before(partition, scrub->segment.base_offset);
    ASSERT(at <= partition->segment_count);
    /* Base offsets are never given twice, and a segment only grows: it is the one that was read. */
    bool there = at < partition->segment_count &&
                 partition->segments[at].base_offset == scrub->segment.base_offset &&
                 partition->segments[at].end_offset > partition->start_offset;
    return there ? &partition->segments[at] : NULL;
}

/* By what is live: a segment that was removed while it was read has no finding to keep. */
static void segment_done(struct log *log)
{
    struct log_scrub *scrub = &log->scrub;
    struct log_segment_checked *checked = &scrub->segment.checked;
    struct log_segment *live = live_segment(log);
    if (!live || !err_is_ok(scrub->error))
        return;
    ASSERT(live->size >= scrub->segment.size);
    char file[64];
    int size = snprintf(file, sizeof file, "segment %020" PRId64 ".log", live->base_offset);
    ASSERT(size > 0);
    for (uint32_t i = 0; i < scrub->found_count && i < LOG_SCRUB_FOUND; i++) {
        scrub->found[i].topic_id = scrub->topic_id;
        scrub->found[i].partition = scrub->partition;
        tell(log, &scrub->found[i], file);
    }
    checked->found += scrub->found_count;
    scrub->more = !scrub->broken && checked->bytes < scrub->segment.size;
    /* What stood before stands until all has been read again. */
    if (!scrub->more || checked->found > checked->differences)
        checked->differences = checked->found;
    live->checked = *checked;
}

/* Records before and of each part of a partition, one behind the other, are those of the whole. */
static bool adds_up(const struct log_partition *partition)
{
    uint64_t count = partition->records_start;
    bool good = partition->records_start <= partition->records;
    ASSERT(partition->segments || partition->segment_count == 0);
    for (uint32_t i = 0; i < partition->segment_count; i++) {
        const struct log_segment *segment = &partition->segments[i];
        good =
            good && (i == 0 ? segment->records_before <= count : segment->records_before == count);
        count = segment->records_before + segment->records;
    }
    for (size_t i = 0; i < partition->index_count; i++) {
        const struct log_index_entry *entry = &partition->index[i];
        bool first = i == 0 && partition->segment_count == 0;
        good = good && (first ? entry->records_before <= count : entry->records_before == count);
        count = entry->records_before + entry->record_count;
    }
    return good && count == partition->records;
}

/* The ledger is derived from these counts: where they do not add up, a bug or a flipped bit of
 * memory has been at work, and the disk may be right. */
static void look_at_partition(struct log *log, const struct log_topic *topic, uint32_t number)
{
    const struct log_partition *partition = &topic->partitions[number];
    ASSERT(number < topic->partition_count);
    if (adds_up(partition))
        return;
    log->scrub.state_found++;
    logger_write(log->logger, LOG_LEVEL_ERROR, "log_check_failed",
                 "topic %s partition %" PRIu32 " offsets %" PRId64 " to %" PRId64
                 ": the records of its parts do not add up to the %" PRIu64
                 " of the ledger; stop the server and run garner fsck",
                 topic->name, number, partition->start_offset, partition->end_offset - 1,
                 partition->records);
}

static bool is_due(const struct log_scrub *scrub, const struct log_segment *segment,
                   uint64_t now_ns)
{
    const struct log_segment_checked *checked = &segment->checked;
    ASSERT(checked->bytes <= segment->size);
    /* What has differences is read from the front again, once a round, to see if they stand. */
    if (scrub->phase == LOG_SCRUB_NEW)
        return checked->bytes < segment->size && checked->differences == 0;
    return now_ns - checked->at_ns >= LOG_SCRUB_AGAIN_NS ||
           (checked->differences > 0 && checked->at_ns < scrub->round_ns);
}

/* The next segment of the partition that is due, or NULL. */
static const struct log_segment *next_segment(const struct log *log,
                                              const struct log_partition *partition)
{
    const struct log_scrub *scrub = &log->scrub;
    uint64_t now_ns = io_now_ns(log->options.loop);
    uint32_t at = log_partition_segments_before(partition, partition->start_offset);
    ASSERT(at <= partition->segment_count);
    for (; at < partition->segment_count; at++) {
        const struct log_segment *segment = &partition->segments[at];
        if (segment->base_offset > scrub->cursor.base_offset && is_due(scrub, segment, now_ns))
            return segment;
    }
    return NULL;
}

static void begin_segment(struct log *log, const struct log_topic *topic,
                          const struct log_segment *segment)
{
    struct log_scrub *scrub = &log->scrub;
    scrub->topic_id = topic->id;
    scrub->partition = scrub->cursor.partition;
    scrub->place = log_place(log, topic, scrub->partition);
    scrub->segment = *segment;
    scrub->cursor.base_offset = segment->base_offset;
    if (scrub->phase == LOG_SCRUB_OLD || segment->checked.bytes == 0)
        scrub->segment.checked = (struct log_segment_checked){
            .end_offset = segment->base_offset,
            .at_ns = io_now_ns(log->options.loop),
            .differences = segment->checked.differences,
        };
    ASSERT(scrub->segment.checked.bytes < segment->size);
    log_scrub_offload(log);
}

/* Moves the cursor to the next segment that is due, and begins with it. False when there is none;
 * a turn of the loop looks at so many partitions only. */
static bool next_piece(struct log *log)
{
    struct log_scrub *scrub = &log->scrub;
    struct log_scrub_cursor *cursor = &scrub->cursor;
    ASSERT(scrub->phase >= LOG_SCRUB_NEW && !scrub->running);
    for (uint32_t looked = 0; cursor->topic < log->state.topic_count;) {
        const struct log_topic *topic = log->state.topics[cursor->topic];
        if (cursor->partition >= topic->partition_count) {
            *cursor = (struct log_scrub_cursor){.topic = cursor->topic + 1, .base_offset = -1};
            continue;
        }
        if (looked++ == PARTITIONS_A_TURN) {
            wait(log, IO_MS);
            return true;
        }
        const struct log_partition *partition = &topic->partitions[cursor->partition];
        if (scrub->phase == LOG_SCRUB_NEW && cursor->base_offset < 0)
            look_at_partition(log, topic, cursor->partition);
        const struct log_segment *segment = next_segment(log, partition);
        if (segment) {
            begin_segment(log, topic, segment);
            return true;
        }
        cursor->partition++;
        cursor->base_offset = -1;
    }
    return false;
}

/* The ledger adds up too: what is counted at the door, by partitions, and by sinks. */
static void look_at_ledger(struct log *log)
{
    /* As everybody is told it, so that both are right or wrong together. */
    struct flow_snapshot snapshot = {0};
    err_t err = log_state_snapshot(&log->state, &snapshot);
    ASSERT(err_is_ok(err) || err_is(err, ERR_MEMORY));
    if (err_is_ok(err) && !flow_snapshot_balanced(&snapshot)) {
        log->scrub.state_found++;
        logger_write(log->logger, LOG_LEVEL_ERROR, "log_check_failed",
                     "the ledger does not balance; garner ledger shows which row");
    }
    flow_snapshot_done(&snapshot);
}

static void end_round(struct log *log)
{
    struct log_scrub *scrub = &log->scrub;
    uint64_t every_ns = log->options.check_every_ms * IO_MS;
    uint64_t took_ns = io_now_ns(log->options.loop) - scrub->round_ns;
    ASSERT(!scrub->running);
    /* A round that took longer than its time does not make up for it: the disk is the commits'. */
    scrub->completed_ms = io_wall_ms(log->options.loop);
    scrub->phase = LOG_SCRUB_IDLE;
    scrub->old = (struct log_scrub_cursor){.base_offset = -1};
    wait(log, took_ns < every_ns ? every_ns - took_ns : IO_MS);
}

/* The window of the WAL that comes next. False when all of it has been looked at. */
static bool next_window(struct log *log)
{
    struct log_scrub *scrub = &log->scrub;
    uint64_t end_file = log->last.file_number;
    uint64_t end_offset = (uint64_t)log->last.block * IO_BLOCK;
    ASSERT(!scrub->running && scrub->wal_file > 0);
    /* What was sealed meanwhile was checked by that. */
    if (scrub->wal_file <= log->sealer.sealed_file) {
        scrub->wal_file = log->sealer.sealed_file + 1;
        scrub->wal_offset = 0;
    }
    while (scrub->wal_file < end_file ||
           (scrub->wal_file == end_file && scrub->wal_offset <= end_offset)) {
        struct log_wal_file *file = log_wal_find(&log->wal, scrub->wal_file);
        if (!file || scrub->wal_offset >= file->size) {
            scrub->wal_file++;
            scrub->wal_offset = 0;
            continue;
        }
        uint64_t window = scrub->wal_offset + LOG_SCRUB_WINDOW;
        uint64_t behind_last = end_offset + log_frame_disk_size(log->last.payload_size);
        scrub->wal_window =
            scrub->wal_file == end_file && window > behind_last ? behind_last : window;
        scrub->file_number = file->number;
        if (!gather_window(log))
            return false;
        if (scrub->batch_count > 0) {
            file->reads++;
            log_scrub_offload(log);
        } else {
            /* All of it is sealed or gone; but looking at every partition took its time. */
            scrub->wal_offset = scrub->wal_window;
            wait(log, IO_MS);
        }
        return true;
    }
    return false;
}

/* The log first: what is in it alone has no second copy, and is gone from it soon. */
static void begin_round(struct log *log)
{
    struct log_scrub *scrub = &log->scrub;
    uint64_t now_ns = io_now_ns(log->options.loop);
    ASSERT(!scrub->running);
    scrub->round_ns = now_ns;
    scrub->phase = LOG_SCRUB_WAL;
    scrub->told = 0;
    scrub->state_found = 0;
    if (scrub->wal_file > 0 && scrub->wal_found == 0 && now_ns - scrub->wal_ns < LOG_SCRUB_AGAIN_NS)
        return;
    /* From the front: a week is over, or something was wrong and may be right by now. */
    scrub->wal_file = log->sealer.sealed_file + 1;
    scrub->wal_offset = 0;
    scrub->wal_ns = now_ns;
    scrub->wal_found = 0;
}

/* With the segment that was begun. False when it is gone. */
static bool go_on(struct log *log)
{
    ASSERT(log->scrub.more && log->scrub.phase >= LOG_SCRUB_NEW);
    if (!live_segment(log))
        return false;
    log->scrub.more = false;
    log_scrub_offload(log);
    return true;
}

/* From the first topic on. */
static void begin_phase(struct log_scrub *scrub, enum log_scrub_phase phase)
{
    ASSERT(!scrub->running && phase > scrub->phase);
    scrub->phase = phase;
    scrub->cursor = (struct log_scrub_cursor){.base_offset = -1};
}

/* The next thing to do, in the order of the phases. */
static void step(struct log *log)
{
    struct log_scrub *scrub = &log->scrub;
    uint64_t every_ns = log->options.check_every_ms * IO_MS;
    ASSERT(!scrub->running);
    bool late =
        scrub->phase == LOG_SCRUB_OLD && io_now_ns(log->options.loop) - scrub->round_ns >= every_ns;
    if (late)
        scrub->old = scrub->cursor;
    else if (scrub->more && go_on(log))
        return;
    scrub->more = false;
    if (late || scrub->phase == LOG_SCRUB_IDLE)
        begin_round(log);
    if (scrub->phase == LOG_SCRUB_WAL) {
        if (next_window(log))
            return;
        scrub->wal_differences = scrub->wal_found;
        begin_phase(scrub, LOG_SCRUB_KEYS);
    }
    if (scrub->phase == LOG_SCRUB_KEYS) {
        if (log_scrub_next_keys(log))
            return;
        begin_phase(scrub, LOG_SCRUB_NEW);
    }
    if (scrub->phase == LOG_SCRUB_NEW) {
        if (next_piece(log))
            return;
        look_at_ledger(log);
        scrub->state_differences = scrub->state_found;
        scrub->phase = LOG_SCRUB_OLD;
        scrub->cursor = scrub->old;
    }
    if (!next_piece(log))
        end_round(log);
}

static void done(struct io_job *job)
{
    struct log_scrub *scrub = CONTAINER_OF(job, struct log_scrub, job);
    struct log *log = CONTAINER_OF(scrub, struct log, scrub);
    ASSERT(scrub->running && scrub->phase != LOG_SCRUB_IDLE);
    scrub->running = false;
    scrub->read_bytes_total += scrub->bytes;
    uint64_t cost = scrub->bytes > LOOK_COST ? scrub->bytes : LOOK_COST;
    if (scrub->phase == LOG_SCRUB_WAL)
        window_done(log);
    else if (scrub->phase == LOG_SCRUB_KEYS)
        log_scrub_keys_done(log);
    else
        segment_done(log);
    if (log->mode >= LOG_STOPPING) {
        log_sequencer_pump(log);
        return;
    }
    /* A window for which there is no memory is left for the next round. */
    if (!err_is_ok(scrub->error) && scrub->phase == LOG_SCRUB_WAL)
        begin_phase(scrub, LOG_SCRUB_KEYS);
    wait(log, cost * IO_SECOND / LOG_SCRUB_RATE);
}

static void timer_over(struct io_timer *timer)
{
    struct log_scrub *scrub = CONTAINER_OF(timer, struct log_scrub, timer);
    struct log *log = CONTAINER_OF(scrub, struct log, scrub);
    ASSERT(!scrub->running);
    if (log->mode < LOG_STOPPING)
        step(log);
}

void log_scrub_init(struct log *log)
{
    struct log_scrub *scrub = &log->scrub;
    ASSERT(scrub->phase == LOG_SCRUB_IDLE);
    scrub->job = (struct io_job){.home = log->options.loop, .work = work, .done = done};
    scrub->timer.run = timer_over;
    scrub->old.base_offset = -1;
}

void log_scrub_start(struct log *log)
{
    ASSERT(log->scrub.timer.run);
    if (log->options.checker && log->options.check_every_ms > 0)
        wait(log, log->options.check_every_ms * IO_MS);
}

/* A read that is on its way ends by itself; the stop waits for it, since it holds a file of the
 * log. */
bool log_scrub_stop(struct log *log)
{
    ASSERT(log->mode >= LOG_STOPPING);
    io_timer_stop(log->options.loop, &log->scrub.timer);
    return !log->scrub.running;
}

void log_scrub_done(struct log *log)
{
    ASSERT(log->scrub.data || log->scrub.data_capacity == 0);
    if (log->scrub.bucket)
        log_keys_bucket_release(log->scrub.bucket);
    log->scrub.bucket = NULL;
    mem_free(log->scrub.data);
    mem_free(log->scrub.batches);
    log->scrub.data = NULL;
    log->scrub.batches = NULL;
}
