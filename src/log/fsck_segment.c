#include "base/alloc.h"
#include "base/assert.h"
#include "base/cursor.h"
#include "log/fsck_int.h"

#include <inttypes.h>

/*
 * The happy path: a segment is read from its front, batch behind batch, each checked by its
 * checksum, its offsets rising, and on the way the entries of both indexes are held against the
 * batches that they point at. Then come the partition's batches in the WAL.
 *
 * Failure modes: where a batch is broken the next one is where its own length says, if what stands
 * there is whole; else the first place from there on at which two whole batches follow each other.
 * What lies between is lost. A repair lets the segment end before it, and puts what follows into a
 * segment of its own: so that no segment has a hole inside, from which records could no longer be
 * counted, and so that nothing is changed that the old checkpoint names. Index files follow from
 * the segment and are written again.
 */

#define BATCH_SIZE_MAX LOG_WAL_FILE_SIZE_MAX
#define PENDING_MAX (UINT64_C(4) << 20)
#define INDEX_BYTES_MAX (UINT64_C(32) << 20)

/* A run of bytes that is no batch. */
struct gap {
    uint64_t first_byte;
    uint64_t end_byte;
    int64_t first_offset;
    int64_t end_offset;
    uint64_t good; /* records of the segment before it */
};

/* Entries of an index file, walked beside the batches. */
struct index_walk {
    struct buf have;   /* what the file says */
    struct buf wanted; /* what it should say, for the run at the segment's front */
    uint32_t count;
    uint32_t next;
    bool wrong;
};

struct walk {
    struct log_fsck *f;
    const struct log_topic *topic;
    struct log_segment_place place;
    const struct log_segment *old;
    uint64_t limit; /* of the file, as far as it counts */
    uint64_t search_budget;
    struct index_walk index;
    struct index_walk times;
    int64_t expected; /* offsets below it have passed */
    uint64_t good;    /* records so far */
    struct gap *gaps;
    size_t gap_count;
    size_t gap_capacity;

    struct log_segment front; /* the run at the front: what the segment becomes */
    bool front_open;
    bool changed;
    struct log_segment run; /* a later one, being written */
    struct buf pending;     /* of it, not written yet */
    uint64_t pending_records;
    struct log_segment *kept;
    uint32_t kept_count;
    size_t kept_capacity;
};

static void segment_name(const struct walk *w, enum log_segment_file which,
                         char out[static LOG_SEGMENT_PATH_MAX])
{
    struct log_segment_place place = w->place;
    char path[LOG_SEGMENT_PATH_MAX];
    log_segment_path(&place, w->old->base_offset, which, path);
    size_t skipped = strlen(place.data_directory) + 1;
    ASSERT(strlen(path) > skipped);
    snprintf(out, LOG_SEGMENT_PATH_MAX, "%s", path + skipped);
}

/* The whole batch at `position`, if there is one that can stand there. */
static err_t batch_at(struct walk *w, uint64_t position, bool *found, struct flow_batch *out)
{
    struct slice bytes = {0};
    *found = false;
    ASSERT(position <= w->limit);
    if (w->limit - position < FLOW_BATCH_HEADER_SIZE)
        return err_ok();
    err_t err = log_fsck_window_get(&w->f->window, position, FLOW_BATCH_HEADER_SIZE, &bytes);
    if (err_is(err, ERR_END))
        return err_ok();
    TRY(err);
    int64_t base = (int64_t)get_u64be(bytes.data);
    uint64_t size = UINT64_C(12) + get_u32be(bytes.data + 8);
    if (bytes.data[16] != 2 || size > BATCH_SIZE_MAX || size > w->limit - position ||
        base < w->expected || base >= w->old->end_offset)
        return err_ok();
    err = log_fsck_window_get(&w->f->window, position, size, &bytes);
    if (err_is(err, ERR_END))
        return err_ok();
    TRY(err);
    w->search_budget -= size < w->search_budget ? size : w->search_budget;
    *found = err_is_ok(flow_batch_parse(bytes, out)) && err_is_ok(flow_batch_check(out)) &&
             out->base_offset + out->last_offset_delta < w->old->end_offset;
    return err_ok();
}

/* Whether a batch at `position` is followed by another one, or by the end. */
static err_t can_go_on(struct walk *w, uint64_t position, bool *can)
{
    struct flow_batch batch;
    struct flow_batch next;
    TRY(batch_at(w, position, can, &batch));
    ASSERT(position < w->limit || !*can);
    if (!*can || position + batch.bytes.size == w->limit)
        return err_ok();
    TRY(batch_at(w, position + batch.bytes.size, can, &next));
    *can = *can && next.base_offset > batch.base_offset + batch.last_offset_delta;
    return err_ok();
}

/* Where batches go on behind the broken one at `position`; the limit if they do not. */
static err_t find_next(struct walk *w, uint64_t position, uint64_t *next)
{
    struct slice bytes = {0};
    bool can = false;
    *next = w->limit;
    ASSERT(position < w->limit);
    if (w->limit - position >= FLOW_BATCH_HEADER_SIZE) {
        TRY(log_fsck_window_get(&w->f->window, position, FLOW_BATCH_HEADER_SIZE, &bytes));
        uint64_t behind = position + 12 + get_u32be(bytes.data + 8);
        if (behind < w->limit)
            TRY(can_go_on(w, behind, &can));
        if (can || behind == w->limit) {
            *next = behind;
            return err_ok();
        }
    }
    for (uint64_t at = position + 1; at < w->limit && w->search_budget > 0; at++) {
        TRY(can_go_on(w, at, &can));
        if (can) {
            *next = at;
            return err_ok();
        }
    }
    return err_ok();
}

/* A file that cannot be read is wrong: it can be made again. */
static err_t read_index(struct walk *w, enum log_segment_file which, uint32_t count,
                        uint32_t entry_size, struct index_walk *out)
{
    char path[LOG_SEGMENT_PATH_MAX];
    uint64_t size = (uint64_t)count * entry_size;
    ASSERT(entry_size > 0);
    out->count = count;
    log_segment_path(&w->place, w->old->base_offset, which, path);
    enum io_kind kind;
    TRY(io_disk_kind(w->f->disk, path, &kind, w->f->why));
    if (kind != IO_KIND_FILE) {
        out->wrong = count > 0;
        return err_ok();
    }
    err_t err = io_disk_read_file(w->f->disk, path, INDEX_BYTES_MAX, &out->have, NULL);
    if (err_is(err, ERR_MEMORY))
        return err;
    out->wrong = !err_is_ok(err) || out->have.size < size;
    return err_ok();
}

/* Holds the next entry against a batch: it has to be its, if it says so. */
static void match_index(struct walk *w, uint64_t position, int64_t last_offset)
{
    struct index_walk *index = &w->index;
    ASSERT(index->next <= index->count);
    if (index->wrong || index->next == index->count)
        return;
    const uint8_t *entry = index->have.data + (size_t)index->next * LOG_SEGMENT_INDEX_ENTRY;
    uint32_t at = get_u32be(entry + 4);
    if (at < position) {
        index->wrong = true;
    } else if (at == position) {
        index->wrong = get_u32be(entry) != (uint64_t)(last_offset - w->old->base_offset);
        index->next++;
    }
}

/* Entries rise by offset, as batches do: both are gone through once, side by side. */
static void match_times(struct walk *w, const struct flow_batch *batch, int64_t last_offset)
{
    struct index_walk *times = &w->times;
    ASSERT(times->next <= times->count);
    if (times->wrong || times->next == times->count)
        return;
    const uint8_t *entry = times->have.data + (size_t)times->next * LOG_SEGMENT_TIME_ENTRY;
    uint32_t offset = get_u32be(entry + 8);
    uint64_t relative = (uint64_t)(last_offset - w->old->base_offset);
    if (offset < relative) {
        times->wrong = true;
    } else if (offset == relative) {
        times->wrong = (int64_t)get_u64be(entry) != batch->max_timestamp_ms;
        times->next++;
    }
}

/* What sealing would have written for this batch of the run at the front (log/segment.c). */
static void count_front(struct walk *w, const struct flow_batch *batch)
{
    struct log_segment *front = &w->front;
    int64_t last_offset = batch->base_offset + batch->last_offset_delta;
    bool first = front->size == 0;
    ASSERT(last_offset >= front->base_offset);
    if (first || batch->max_timestamp_ms > front->max_timestamp_ms) {
        front->max_timestamp_ms = batch->max_timestamp_ms;
        front->max_timestamp_offset = last_offset;
    }
    if (first) {
        front->next_index = LOG_SEGMENT_INDEX_INTERVAL;
    } else if (front->size >= front->next_index) {
        uint8_t entry[LOG_SEGMENT_TIME_ENTRY];
        put_u32be(entry, (uint32_t)(last_offset - front->base_offset));
        put_u32be(entry + 4, (uint32_t)front->size);
        buf_add(&w->index.wanted, entry, LOG_SEGMENT_INDEX_ENTRY);
        front->index_entries++;
        front->next_index = front->size + LOG_SEGMENT_INDEX_INTERVAL;
        if (log_segment_time_rises(front)) {
            put_u64be(entry, (uint64_t)front->max_timestamp_ms);
            put_u32be(entry + 8, (uint32_t)(front->max_timestamp_offset - front->base_offset));
            buf_add(&w->times.wanted, entry, LOG_SEGMENT_TIME_ENTRY);
            front->time_entries++;
            front->indexed_timestamp_ms = front->max_timestamp_ms;
        }
    }
    front->size += batch->bytes.size;
    front->end_offset = last_offset + 1;
    front->records += batch->record_count;
}

/* A run that became a segment. */
static err_t keep(struct walk *w, const struct log_segment *segment)
{
    void *kept = w->kept;
    ASSERT(segment->size > 0);
    if (!log_fsck_grow(&kept, &w->kept_capacity, w->kept_count, sizeof *w->kept))
        return err_make(ERR_MEMORY);
    w->kept = kept;
    w->kept[w->kept_count++] = *segment;
    return err_ok();
}

static err_t write_pending(struct walk *w)
{
    ASSERT(w->f->repair || w->pending.size == 0);
    if (w->pending.size == 0)
        return err_ok();
    TRY(log_segment_append(w->f->disk, &w->place, &w->run, buf_slice(&w->pending),
                           w->pending_records, w->old->last_commit_ms, w->f->why));
    w->run.first_commit_ms = w->old->first_commit_ms;
    buf_reset(&w->pending);
    w->pending_records = 0;
    return err_ok();
}

/* Whatever was between two runs is lost: what is behind it begins a segment of its own, so that
 * no offset in a segment is a guess. */
static err_t close_run(struct walk *w)
{
    TRY(write_pending(w));
    ASSERT(w->pending_records == 0);
    if (w->run.size > 0)
        TRY(keep(w, &w->run));
    w->run = (struct log_segment){0};
    return err_ok();
}

/* A batch behind a gap goes into a segment that begins with it. */
static err_t add_to_run(struct walk *w, const struct flow_batch *batch)
{
    if (!w->f->repair)
        return err_ok();
    if (w->run.size == 0 && w->pending.size == 0) {
        w->run = (struct log_segment){.base_offset = batch->base_offset,
                                      .end_offset = batch->base_offset,
                                      .records_before = w->old->records_before + w->good};
        log_fsck_act(w->f,
                     "copying what is whole from offset %" PRId64 " on of topic %s partition "
                     "%" PRIu32 " into a segment of its own",
                     batch->base_offset, w->topic->name, w->place.partition);
    }
    ASSERT(batch->base_offset >= w->run.end_offset);
    buf_add_slice(&w->pending, batch->bytes);
    w->pending_records += batch->record_count;
    TRY(buf_error(&w->pending));
    return w->pending.size >= PENDING_MAX ? write_pending(w) : err_ok();
}

static err_t take_batch(struct walk *w, uint64_t position, const struct flow_batch *batch)
{
    struct log_fsck *f = w->f;
    const struct log_fsck_watcher *watcher = &f->options->watcher;
    int64_t last_offset = batch->base_offset + batch->last_offset_delta;
    ASSERT(batch->base_offset >= w->expected);
    match_index(w, position, last_offset);
    match_times(w, batch, last_offset);
    if (w->front_open)
        count_front(w, batch);
    else
        TRY(add_to_run(w, batch));
    w->good += batch->record_count;
    w->expected = last_offset + 1;
    f->result.batches++;
    f->result.records += batch->record_count;
    if (watcher->batch)
        return watcher->batch(watcher->context, slice_string(w->topic->name), w->place.partition,
                              batch);
    return err_ok();
}

/* From here on nothing belongs to the segment's front any more. */
static err_t add_gap(struct walk *w, uint64_t first_byte, uint64_t end_byte)
{
    void *gaps = w->gaps;
    ASSERT(first_byte <= end_byte);
    if (w->gap_count > 0 && w->gaps[w->gap_count - 1].end_byte == first_byte) {
        w->gaps[w->gap_count - 1].end_byte = end_byte;
        return err_ok();
    }
    w->front_open = false;
    TRY(close_run(w));
    if (!log_fsck_grow(&gaps, &w->gap_capacity, w->gap_count, sizeof *w->gaps))
        return err_make(ERR_MEMORY);
    w->gaps = gaps;
    w->gaps[w->gap_count++] = (struct gap){.first_byte = first_byte,
                                           .end_byte = end_byte,
                                           .first_offset = w->expected,
                                           .end_offset = w->old->end_offset,
                                           .good = w->good};
    return err_ok();
}

/* Bytes up to the limit are batches or gaps. */
static err_t walk_batches(struct walk *w)
{
    uint64_t position = 0;
    ASSERT(w->expected == w->old->base_offset);
    while (position < w->limit) {
        struct flow_batch batch;
        bool found = false;
        uint64_t next = 0;
        TRY(batch_at(w, position, &found, &batch));
        if (found) {
            next = position + batch.bytes.size;
            if (w->gap_count > 0 && w->gaps[w->gap_count - 1].end_byte == position)
                w->gaps[w->gap_count - 1].end_offset = batch.base_offset;
            TRY(take_batch(w, position, &batch));
        } else {
            TRY(find_next(w, position, &next));
            TRY(add_gap(w, position, next));
        }
        log_fsck_progress(w->f, next - position);
        position = next;
    }
    return w->limit < w->old->size ? add_gap(w, w->limit, w->old->size) : err_ok();
}

/* What is lost in one gap, where `total` of the segment's records had been, `before` of the
 * partition's before it. What retention has let go of is not lost. */
static err_t say_gap(struct walk *w, const struct gap *gap, const char *name, uint64_t total,
                     uint64_t before)
{
    int64_t start = w->topic->partitions[w->place.partition].start_offset;
    int64_t first = gap->first_offset > start ? gap->first_offset : start;
    ASSERT(gap->first_offset <= gap->end_offset);
    log_fsck_find(w->f,
                  &(struct log_fsck_finding){.error = true,
                                             .code = "segment_damaged",
                                             .path = name,
                                             .first_byte = gap->first_byte,
                                             .end_byte = gap->end_byte,
                                             .topic = w->topic->name,
                                             .partition = w->place.partition},
                  "the bytes are missing or are no whole batches");
    if (first >= gap->end_offset || w->f->salvage)
        return err_ok();
    uint64_t lost = (uint64_t)(gap->end_offset - first);
    lost = lost < total ? lost : total;
    return log_fsck_add_loss(w->f, &(struct log_fsck_loss){.topic_id = w->topic->id,
                                                           .partition = w->place.partition,
                                                           .first_offset = first,
                                                           .end_offset = gap->end_offset,
                                                           .records = lost,
                                                           .numbered = true,
                                                           .number = before + total - lost});
}

/* The gaps share the records that are missing from the segment; the runs behind them are numbered
 * as if they were there. */
static err_t say_gaps(struct walk *w)
{
    uint64_t missing = w->old->records > w->good ? w->old->records - w->good : 0;
    uint64_t passed = 0;
    char name[LOG_SEGMENT_PATH_MAX];
    segment_name(w, LOG_SEGMENT_LOG, name);
    for (size_t i = 0; i < w->gap_count; i++) {
        const struct gap *gap = &w->gaps[i];
        uint64_t total = (uint64_t)(gap->end_offset - gap->first_offset);
        total = total < missing - passed ? total : missing - passed;
        ASSERT(passed + total <= missing);
        TRY(say_gap(w, gap, name, total, w->old->records_before + gap->good + passed));
        passed += total;
        for (uint32_t k = 0; k < w->kept_count; k++) {
            if (w->kept[k].base_offset == gap->end_offset)
                w->kept[k].records_before += passed;
        }
    }
    return err_ok();
}

/* Nothing is lost with an index, since it is made from the batches; the old one is put aside all
 * the same, as everything is that a repair changes. */
static err_t write_index(struct walk *w, enum log_segment_file which,
                         const struct index_walk *index)
{
    char name[LOG_SEGMENT_PATH_MAX];
    char path[LOG_SEGMENT_PATH_MAX];
    segment_name(w, which, name);
    TRY(buf_error(&index->wanted));
    TRY(log_fsck_aside(w->f, name, 0, UINT64_MAX));
    log_fsck_act(w->f, "writing %s again", name);
    log_segment_path(&w->place, w->old->base_offset, which, path);
    ASSERT(w->f->repair);
    return io_disk_write_file(w->f->disk, path, buf_slice(&index->wanted), w->f->why);
}

/* Missing is as wrong as false: a read by offset would begin at the front and take long. */
static void say_index(struct walk *w, enum log_segment_file which, struct index_walk *index)
{
    char name[LOG_SEGMENT_PATH_MAX];
    index->wrong = index->wrong || index->next != index->count;
    ASSERT(index->next <= index->count);
    if (!index->wrong)
        return;
    segment_name(w, which, name);
    log_fsck_find(w->f,
                  &(struct log_fsck_finding){.error = true,
                                             .code = "index_wrong",
                                             .path = name,
                                             .topic = w->topic->name,
                                             .partition = w->place.partition},
                  "the index does not agree with its segment, or is missing; nothing is lost");
}

/* What becomes of the segment: itself, or the runs that are left of it. */
static err_t end_segment(struct walk *w)
{
    bool damaged = w->gap_count > 0;
    ASSERT(w->pending.size == 0 || w->f->repair);
    TRY(close_run(w));
    TRY(say_gaps(w));
    if (!damaged) {
        say_index(w, LOG_SEGMENT_INDEX, &w->index);
        say_index(w, LOG_SEGMENT_TIMES, &w->times);
    }
    if (!damaged && w->good != w->old->records && !w->f->salvage)
        log_fsck_find(w->f,
                      &(struct log_fsck_finding){.error = true,
                                                 .code = "segment_count",
                                                 .topic = w->topic->name,
                                                 .partition = w->place.partition},
                      "a segment holds %" PRIu64 " records and should hold %" PRIu64, w->good,
                      w->old->records);
    w->changed = damaged || w->index.wrong || w->times.wrong || w->good != w->old->records;
    if (!w->f->repair || !w->changed || w->front.size == 0)
        return err_ok();
    if (damaged) {
        char name[LOG_SEGMENT_PATH_MAX];
        segment_name(w, LOG_SEGMENT_LOG, name);
        TRY(log_fsck_aside(w->f, name, w->front.size, UINT64_MAX));
    }
    TRY(write_index(w, LOG_SEGMENT_INDEX, &w->index));
    return write_index(w, LOG_SEGMENT_TIMES, &w->times);
}

/* A missing file is one of no bytes: then all that the checkpoint says of it is lost, and is
 * named as such. */
static err_t read_segment(struct walk *w)
{
    struct log_fsck *f = w->f;
    char path[LOG_SEGMENT_PATH_MAX];
    struct io_file *file = NULL;
    uint64_t size = 0;
    log_segment_path(&w->place, w->old->base_offset, LOG_SEGMENT_LOG, path);
    enum io_kind kind;
    TRY(io_disk_kind(f->disk, path, &kind, f->why));
    if (kind == IO_KIND_FILE) {
        TRY(io_disk_open(f->disk, path, IO_OPEN_READ, &file, f->why));
        err_t err = io_file_size(file, &size);
        if (!err_is_ok(err)) {
            err_t ignored = io_file_close(file);
            (void)ignored;
            return err;
        }
    }
    ASSERT(w->old->size > 0);
    w->limit = size < w->old->size ? size : w->old->size;
    /* Reading it all once, and searching. */
    w->search_budget = 8 * w->limit;
    log_fsck_window_set(&f->window, file, w->limit);
    err_t err =
        read_index(w, LOG_SEGMENT_INDEX, w->old->index_entries, LOG_SEGMENT_INDEX_ENTRY, &w->index);
    if (err_is_ok(err))
        err = read_index(w, LOG_SEGMENT_TIMES, w->old->time_entries, LOG_SEGMENT_TIME_ENTRY,
                         &w->times);
    if (err_is_ok(err))
        err = walk_batches(w);
    if (err_is_ok(err))
        err = end_segment(w);
    log_fsck_window_set(&f->window, NULL, 0);
    err_t closed = io_file_close(file);
    TRY(err);
    return closed;
}

/* The segments that a partition has afterwards, and what it has lost on the way. */
struct partition_walk {
    const struct log_topic *topic;
    uint32_t number;
    size_t first_loss;
    uint64_t counted; /* records on disk */
    struct log_segment *kept;
    size_t kept_count;
    size_t kept_capacity;
};

static err_t keep_all(struct partition_walk *pw, const struct log_segment *segments, size_t count)
{
    ASSERT(segments || count == 0);
    for (size_t i = 0; i < count; i++) {
        void *kept = pw->kept;
        if (!log_fsck_grow(&kept, &pw->kept_capacity, pw->kept_count, sizeof *pw->kept))
            return err_make(ERR_MEMORY);
        pw->kept = kept;
        pw->kept[pw->kept_count++] = segments[i];
    }
    return err_ok();
}

static err_t take_segment(struct log_fsck *f, struct partition_walk *pw,
                          const struct log_segment *segment)
{
    struct walk w = {
        .f = f,
        .topic = pw->topic,
        .place = log_fsck_place(f, pw->topic, pw->number),
        .old = segment,
        .expected = segment->base_offset,
        .front_open = true,
        .front = {.base_offset = segment->base_offset,
                  .end_offset = segment->base_offset,
                  .records_before = segment->records_before,
                  .first_commit_ms = segment->first_commit_ms,
                  .last_commit_ms = segment->last_commit_ms},
    };
    ASSERT(segment->size > 0);
    err_t err = read_segment(&w);
    f->result.segments++;
    pw->counted += w.good;
    if (err_is_ok(err) && w.front.size > 0)
        err = keep_all(pw, w.changed ? &w.front : segment, 1);
    if (err_is_ok(err))
        err = keep_all(pw, w.kept, w.kept_count);
    buf_done(&w.index.have);
    buf_done(&w.index.wanted);
    buf_done(&w.times.have);
    buf_done(&w.times.wanted);
    buf_done(&w.pending);
    mem_free(w.gaps);
    mem_free(w.kept);
    return err;
}

/* Reads a batch of the WAL. */
static err_t read_entry(struct log_fsck *f, const struct log_index_entry *entry, struct buf *out,
                        bool *good, struct flow_batch *batch)
{
    const struct log_fsck_file *file = log_fsck_file(f, entry->file_number);
    *good = false;
    ASSERT(entry->size > 0);
    if (!file || !file->file || file->foreign || entry->size > BATCH_SIZE_MAX)
        return err_ok();
    buf_reset(out);
    uint8_t *data = buf_reserve(out, entry->size);
    if (!data)
        return err_make(ERR_MEMORY);
    size_t got = 0;
    err_t err = io_file_read(file->file, data, entry->size, entry->file_offset, &got);
    *good = err_is_ok(err) && got == entry->size &&
            err_is_ok(flow_batch_parse(slice_make(data, got), batch)) &&
            batch->bytes.size == entry->size && batch->base_offset == entry->base_offset &&
            batch->record_count == entry->record_count && err_is_ok(flow_batch_check(batch));
    return err_ok();
}

/* Its offsets end where the next batch begins, or by its count. */
static err_t lose_entry(struct log_fsck *f, const struct partition_walk *pw, size_t index)
{
    const struct log_partition *partition = &pw->topic->partitions[pw->number];
    const struct log_index_entry *entry = &partition->index[index];
    ASSERT(index < partition->index_count);
    /* Holes inside of it are not known any more. */
    int64_t end = entry->base_offset + (int64_t)entry->record_count;
    if (index + 1 < partition->index_count && entry[1].base_offset < end)
        end = entry[1].base_offset;
    end = end < partition->end_offset ? end : partition->end_offset;
    char name[64];
    snprintf(name, sizeof name, "wal/%020" PRIu32 ".wal", entry->file_number);
    log_fsck_find(f,
                  &(struct log_fsck_finding){.error = true,
                                             .code = "wal_damaged",
                                             .path = name,
                                             .first_byte = entry->file_offset,
                                             .end_byte = (uint64_t)entry->file_offset + entry->size,
                                             .topic = pw->topic->name,
                                             .partition = pw->number},
                  "a batch that is in no segment yet is missing or broken");
    return log_fsck_add_loss(f, &(struct log_fsck_loss){.topic_id = pw->topic->id,
                                                        .partition = pw->number,
                                                        .first_offset = entry->base_offset,
                                                        .end_offset = end,
                                                        .records = entry->record_count,
                                                        .numbered = true,
                                                        .number = entry->records_before});
}

/* Those of the partition's batches that are in the WAL alone. */
static err_t take_entries(struct log_fsck *f, struct partition_walk *pw, struct buf *bytes)
{
    const struct log_fsck_watcher *watcher = &f->options->watcher;
    struct log_partition *partition = &pw->topic->partitions[pw->number];
    size_t kept = 0;
    ASSERT(bytes->data || bytes->size == 0);
    for (size_t i = 0; i < partition->index_count; i++) {
        struct log_index_entry entry = partition->index[i];
        struct flow_batch batch = {0};
        bool good = true;
        bool doubtful = log_fsck_in_range(f, entry.file_number, entry.file_offset,
                                          (uint64_t)entry.file_offset + entry.size);
        if (doubtful || watcher->batch)
            TRY(read_entry(f, &entry, bytes, &good, &batch));
        if (!good) {
            TRY(lose_entry(f, pw, i));
            if (f->repair) {
                partition->wal_bytes -= entry.size;
                continue;
            }
        } else {
            pw->counted += entry.record_count;
            f->result.batches++;
            f->result.records += entry.record_count;
            if (watcher->batch)
                TRY(watcher->batch(watcher->context, slice_string(pw->topic->name), pw->number,
                                   &batch));
        }
        partition->index[kept++] = entry;
    }
    partition->index_count = kept;
    return err_ok();
}

/* A number of records, without those of the partition that are gone. */
static uint64_t shifted(const struct log_fsck *f, size_t first_loss, uint64_t number)
{
    uint64_t gone = 0;
    ASSERT(first_loss <= f->loss_count);
    for (size_t i = first_loss; i < f->loss_count; i++) {
        const struct log_fsck_loss *loss = &f->losses[i];
        uint64_t behind = number > loss->number ? number - loss->number : 0;
        gone += behind < loss->records ? behind : loss->records;
    }
    return number - gone;
}

/* What a sink had passed stays delivered, what it had not is damaged; both are no longer counted by
 * the partition. */
static void shift_cursors(struct log_fsck *f, const struct partition_walk *pw)
{
    const struct log_partition *partition = &pw->topic->partitions[pw->number];
    for (uint32_t i = 0; i < f->state.sink_count; i++) {
        struct log_sink *sink = f->state.sinks[i];
        struct log_cursor *cursor = log_sink_cursor(sink, pw->topic->id, pw->number);
        if (!cursor)
            continue;
        uint64_t passed = cursor->records - cursor->records_first;
        uint64_t pending = partition->records - cursor->records;
        cursor->records = shifted(f, pw->first_loss, cursor->records);
        cursor->records_first = shifted(f, pw->first_loss, cursor->records_first);
        ASSERT(cursor->records >= cursor->records_first);
        sink->lost += passed - (cursor->records - cursor->records_first);
        if (!cursor->active)
            continue;
        pending -= shifted(f, pw->first_loss, partition->records) - cursor->records;
        sink->lost += pending;
        sink->damaged += pending;
    }
}

/* The partition is what is left of it. */
static void settle_partition(struct log_fsck *f, struct partition_walk *pw)
{
    struct log_partition *partition = &pw->topic->partitions[pw->number];
    ASSERT(f->repair);
    mem_free(partition->segments);
    partition->segments = pw->kept;
    partition->segment_count = (uint32_t)pw->kept_count;
    pw->kept = NULL;
    partition->sealed_bytes = 0;
    for (uint32_t i = 0; i < partition->segment_count; i++) {
        struct log_segment *segment = &partition->segments[i];
        segment->records_before = shifted(f, pw->first_loss, segment->records_before);
        partition->sealed_bytes += segment->size;
    }
    for (size_t i = 0; i < partition->index_count; i++)
        partition->index[i].records_before =
            shifted(f, pw->first_loss, partition->index[i].records_before);
    shift_cursors(f, pw);
    partition->records_start = shifted(f, pw->first_loss, partition->records_start);
    partition->records = shifted(f, pw->first_loss, partition->records);
}

/* What was counted is what the partition says that it has, less what is lost. */
static void compare_counts(struct log_fsck *f, const struct partition_walk *pw, uint64_t before)
{
    const struct log_partition *partition = &pw->topic->partitions[pw->number];
    uint64_t derived = before + pw->counted;
    f->on_disk[pw->topic->id - 1] += derived;
    ASSERT(pw->first_loss <= f->loss_count);
    for (size_t i = pw->first_loss; i < f->loss_count; i++)
        derived += f->losses[i].records;
    /* Below the start segments may have lost records that count no more. */
    if (derived == partition->records || partition->start_offset > 0 || f->salvage)
        return;
    log_fsck_find(f,
                  &(struct log_fsck_finding){.error = true,
                                             .code = "count_differs",
                                             .topic = pw->topic->name,
                                             .partition = pw->number},
                  "%" PRIu64 " records are counted on disk and %" PRIu64 " by the ledger", derived,
                  partition->records);
}

/* Segments before the log's own entries: offsets rise from the one to the other, and a gap
 * between them is a loss like any other. */
static err_t read_partition(struct log_fsck *f, const struct log_topic *topic, uint32_t number,
                            struct buf *bytes)
{
    const struct log_partition *partition = &topic->partitions[number];
    struct partition_walk pw = {.topic = topic, .number = number, .first_loss = f->loss_count};
    uint64_t before = partition->segment_count > 0 ? partition->segments[0].records_before
                      : partition->index_count > 0 ? partition->index[0].records_before
                                                   : partition->records;
    err_t err = err_ok();
    ASSERT(before <= partition->records);
    for (uint32_t i = 0; i < partition->segment_count && err_is_ok(err); i++)
        err = take_segment(f, &pw, &partition->segments[i]);
    if (err_is_ok(err))
        err = take_entries(f, &pw, bytes);
    if (err_is_ok(err)) {
        compare_counts(f, &pw, before);
        if (f->repair)
            settle_partition(f, &pw);
    }
    mem_free(pw.kept);
    return err;
}

err_t log_fsck_read_partitions(struct log_fsck *f)
{
    struct buf bytes = {0};
    err_t err = err_ok();
    ASSERT(!f->on_disk);
    f->on_disk = mem_zalloc(f->state.topic_count + 1u, sizeof *f->on_disk);
    if (!f->on_disk)
        return err_make(ERR_MEMORY);
    for (uint32_t t = 0; t < f->state.topic_count && err_is_ok(err); t++) {
        const struct log_topic *topic = f->state.topics[t];
        for (uint32_t p = 0; p < topic->partition_count && err_is_ok(err); p++)
            err = read_partition(f, topic, p, &bytes);
    }
    buf_done(&bytes);
    return err;
}
