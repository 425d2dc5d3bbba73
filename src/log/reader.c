#include "log/log_int.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/cursor.h"
#include "flow/batch.h"

/*
 * The happy path: a read finds its first batch in the partition's index and takes as many of the
 * following as it asked for. What is still in the tail is copied out at once; what is not, is
 * read by the reader's worker, one contiguous span of the WAL or of a segment a read, and every
 * batch checked by its CRC. A read that finds nothing waits in the partition's list until a frame
 * adds to it.
 *
 * Failure modes: an offset outside the partition, a failed read, bytes that rotted on disk. Whole
 * batches before those are given as if nothing was wrong; the next read begins with ERR_CORRUPT. A
 * cancel may cross the answer on its way: `done` is called when both have come home, so that the
 * asker can free the read then.
 */

/* Batches of one read from disk lie within so many times the size that was asked for. */
#define SPAN_FACTOR 2u

/* Bytes that an answer points into; and, while it is read from disk, the job. */
struct log_lease {
    struct io_job job;
    struct list link; /* in log->reads */
    struct log *log;
    struct flow_read *read;
    uint8_t *data;
    bool direct;
    /* From the WAL. */
    struct io_file *file;
    uint64_t file_number;
    uint64_t span_start; /* in the file, on a block */
    uint64_t span_size;
    uint32_t count;
    struct log_index_entry entries[FLOW_READ_BATCHES];
    /* From a segment. */
    struct io_disk *disk;
    struct log_segment_place place;
    struct log_segment segment;
    struct io_file *segment_file;   /* through the page cache */
    struct io_file *segment_direct; /* past it; NULL until it is needed */
    uint64_t position;              /* where to begin; 0: the index says */
};

static void answer_home(struct task *task)
{
    struct flow_read *read = CONTAINER_OF(task, struct flow_read, task);
    read->answered = true;
    if (!read->cancelled || read->cancel_returned)
        read->done(read);
}

static void answer(struct flow_read *read, err_t error)
{
    ASSERT(!list_linked(&read->link));
    read->error = error;
    read->task.run = answer_home;
    io_post(read->home, &read->task);
}

static void free_lease(struct log_lease *lease)
{
    ASSERT(lease->log && !list_linked(&lease->link));
    mem_free(lease->data);
    mem_free(lease);
}

static struct log_lease *new_lease(struct log *log, struct flow_read *read, uint64_t size)
{
    ASSERT(size > 0 && !read->lease);
    /* Not zeroed: the entries of a whole answer are most of it, and what is read is set first. */
    struct log_lease *lease = mem_alloc(sizeof *lease);
    if (!lease)
        return NULL;
    lease->link = (struct list){0};
    lease->log = log;
    lease->read = read;
    lease->direct = log->wal.direct;
    read->lease_bytes = (size_t)size;
    lease->data = mem_alloc_aligned(IO_BLOCK, (size_t)size);
    if (lease->data)
        return lease;
    mem_free(lease);
    return NULL;
}

static struct log_position entry_position(const struct log_index_entry *entry)
{
    ASSERT(entry->size > 0);
    return (struct log_position){.file_number = entry->file_number, .offset = entry->file_offset};
}

/* How many entries from `at` on go into one answer, and their bytes: either all from the tail or
 * all within one span of one file. */
static uint32_t choose(const struct log *log, const struct log_partition *partition, size_t at,
                       const struct flow_read *read, bool from_tail, uint64_t *bytes)
{
    const struct log_index_entry *first = &partition->index[at];
    uint32_t count = 0;
    *bytes = 0;
    for (size_t i = at; i < partition->index_count && count < FLOW_READ_BATCHES; i++) {
        const struct log_index_entry *entry = &partition->index[i];
        /* One batch is given whatever its size, or a reader with too little room would never get
         * on. */
        if (count > 0 && *bytes + entry->size > read->size_max)
            break;
        if ((log_tail_find(&log->tail, entry_position(entry), entry->size) != NULL) != from_tail)
            break;
        /* In a busy log a partition's batches lie far apart: what others have between them is read
         * along with a span, so it may only be so much. */
        uint64_t span = entry->file_offset + entry->size - first->file_offset;
        if (!from_tail && count > 0 &&
            (entry->file_number != first->file_number ||
             span > (uint64_t)SPAN_FACTOR * read->size_max))
            break;
        *bytes += entry->size;
        count++;
    }
    ASSERT(count > 0);
    return count;
}

static void read_from_tail(struct log *log, struct flow_read *read,
                           const struct log_partition *partition, size_t at, uint32_t count,
                           uint64_t bytes)
{
    struct log_lease *lease = new_lease(log, read, bytes);
    if (!lease) {
        answer(read, err_make(ERR_MEMORY));
        return;
    }
    uint8_t *out = lease->data;
    for (uint32_t i = 0; i < count; i++) {
        const struct log_index_entry *entry = &partition->index[at + i];
        const uint8_t *bytes_at = log_tail_find(&log->tail, entry_position(entry), entry->size);
        ASSERT(bytes_at);
        /* Copied, though it is in memory: the ring is written over when it comes round, and an
         * answer lives as long as its reader likes. */
        memcpy(out, bytes_at, entry->size);
        read->batches[i] = slice_make(out, entry->size);
        out += entry->size;
    }
    read->batch_count = count;
    read->lease = lease;
    log->counters.reads_tail++;
    answer(read, err_ok());
}

static err_t check_batch(const struct log_index_entry *entry, struct slice bytes)
{
    ASSERT(bytes.size == entry->size);
    struct flow_batch batch;
    err_t err = flow_batch_parse(bytes, &batch);
    if (err_is_ok(err))
        err = flow_batch_check(&batch);
    /* Files are used again: a batch of an earlier life has a good checksum too, and another
     * offset. */
    bool same = err_is_ok(err) && batch.bytes.size == entry->size &&
                batch.base_offset == entry->base_offset;
    return same ? err_ok() : err_make(ERR_CORRUPT);
}

static void read_work(struct io_job *job)
{
    struct log_lease *lease = CONTAINER_OF(job, struct log_lease, job);
    struct flow_read *read = lease->read;
    size_t got = 0;
    err_t err =
        io_file_read(lease->file, lease->data, (size_t)lease->span_size, lease->span_start, &got);
    uint32_t good = 0;
    for (; err_is_ok(err) && good < lease->count; good++) {
        const struct log_index_entry *entry = &lease->entries[good];
        uint64_t inside = entry->file_offset - lease->span_start;
        /* Applied means flushed: what the file lacks was taken from it since. */
        if (inside + entry->size > got) {
            err = err_make(ERR_CORRUPT);
            break;
        }
        struct slice bytes = slice_make(lease->data + inside, entry->size);
        err = check_batch(entry, bytes);
        if (!err_is_ok(err))
            break;
        read->batches[good] = bytes;
    }
    read->batch_count = good;
    /* What is good is given. The next read begins at the first that is not, and so fails alone. */
    if (good < lease->count)
        read->next_offset = good > 0 ? lease->entries[good].base_offset : read->offset;
    read->error = good > 0 ? err_ok() : err;
}

static void read_done(struct io_job *job)
{
    struct log_lease *lease = CONTAINER_OF(job, struct log_lease, job);
    struct log *log = lease->log;
    struct flow_read *read = lease->read;
    ASSERT(list_linked(&lease->link));
    list_remove(&lease->link);
    log->counters.reads_disk++;
    struct log_wal_file *file = log_wal_find(&log->wal, lease->file_number);
    /* The count has kept the file from being made into the next one. */
    ASSERT(file && file->reads > 0);
    file->reads--;
    if (err_is(read->error, ERR_CORRUPT))
        logger_write(log->logger, LOG_LEVEL_ERROR, "log_read_corrupt",
                     "topic id %u partition %u offset %lld: the batch at byte %llu of log file %u "
                     "does not fit its checksum; stop the server and run garner fsck",
                     read->topic_id, read->partition, (long long)lease->entries[0].base_offset,
                     (unsigned long long)lease->entries[0].file_offset,
                     lease->entries[0].file_number);
    /* Whatever came of it: the bytes that are good are in it, and it is freed with the answer. */
    read->lease = lease;
    answer(read, read->error);
    if (log->mode == LOG_STOPPING)
        log_sequencer_pump(log);
}

static err_t open_reader(struct log *log, uint32_t file_number, struct log_wal_file **out)
{
    struct log_wal_file *file = log_wal_find(&log->wal, file_number);
    ASSERT(file);
    /* A handle for reads alone, opened at the first one and kept: reads of a file come in
     * swarms. */
    if (!file->reader) {
        char path[LOG_WAL_PATH_MAX];
        log_wal_path(&log->wal, file_number, path);
        unsigned flags = IO_OPEN_READ | (log->wal.direct ? IO_OPEN_DIRECT : 0);
        TRY(io_disk_open(log->options.disk, path, flags, &file->reader, NULL));
    }
    *out = file;
    return err_ok();
}

static err_t read_from_disk(struct log *log, struct flow_read *read,
                            const struct log_partition *partition, size_t at, uint32_t count)
{
    ASSERT(count > 0 && count <= FLOW_READ_BATCHES);
    const struct log_index_entry *first = &partition->index[at];
    const struct log_index_entry *last = &partition->index[at + count - 1];
    /* Direct reads are of whole blocks; what lies before and behind the batches comes along. */
    uint64_t start = (uint64_t)first->file_offset / IO_BLOCK * IO_BLOCK;
    uint64_t last_end = (uint64_t)last->file_offset + last->size;
    uint64_t end = (last_end + IO_BLOCK - 1) / IO_BLOCK * IO_BLOCK;
    struct log_wal_file *file;
    TRY(open_reader(log, first->file_number, &file));
    struct log_lease *lease = new_lease(log, read, end - start);
    if (!lease)
        return err_make(ERR_MEMORY);
    lease->file = file->reader;
    lease->file_number = file->number;
    file->reads++;
    lease->span_start = start;
    lease->span_size = end - start;
    lease->count = count;
    /* A copy: while the worker reads the index may move, or give way to a segment. */
    memcpy(lease->entries, first, count * sizeof *first);
    lease->job = (struct io_job){.home = log->options.loop, .work = read_work, .done = read_done};
    list_add_tail(&log->reads, &lease->link);
    io_offload(log->options.reader, &lease->job);
    return err_ok();
}

/* Takes whole batches from `bytes`, which lie at `*position` of the segment, those before the
 * wanted offset apart; `*position` moves behind what was looked at. ERR_END when the next batch
 * goes beyond the bytes: then `*wanted` is its size as far as that is known. */
static err_t take_batches(const struct log_segment *segment, struct flow_read *read,
                          struct slice bytes, uint64_t *position, uint64_t *wanted, bool *led)
{
    uint64_t taken = 0;
    ASSERT(read->batch_count == 0);
    while (bytes.size > 0 && read->batch_count < FLOW_READ_BATCHES) {
        struct flow_batch batch;
        err_t err = flow_batch_parse(bytes, &batch);
        /* A batch's first twelve bytes, base offset and length, say how far it goes. */
        if (err_is(err, ERR_END) && bytes.size >= 12)
            *wanted = UINT64_C(12) + get_u32be(bytes.data + 8);
        TRY(err);
        int64_t last_offset = batch.base_offset + batch.last_offset_delta;
        /* Offsets lie outside a batch's CRC. */
        if (batch.base_offset < segment->base_offset || last_offset >= segment->end_offset ||
            (read->batch_count > 0 && batch.base_offset < read->next_offset))
            return err_make(ERR_CORRUPT);
        /* An index that rotted must not lead past what was wanted: its entries begin no later. */
        if (*led && batch.base_offset > read->offset)
            return err_make(ERR_CORRUPT);
        *led = false;
        bool before = last_offset < read->offset;
        if (!before && read->batch_count > 0 && taken + batch.bytes.size > read->size_max)
            return err_ok();
        if (!before) {
            TRY(flow_batch_check(&batch));
            read->batches[read->batch_count++] = batch.bytes;
            read->next_offset = last_offset + 1;
            taken += batch.bytes.size;
        }
        *position += batch.bytes.size;
        bytes = slice_sub(bytes, batch.bytes.size, SIZE_MAX);
    }
    return read->batch_count > 0 ? err_ok() : err_make(ERR_END);
}

/* Reads `size` bytes at `start` of the segment, both in blocks. What the system has in memory, as
 * it has what was sealed lately, is taken from there. All else is read past the page cache, which
 * belongs to others: who catches up reads everything once. */
static err_t read_blocks(struct log_lease *lease, uint64_t start, size_t size, size_t *got)
{
    ASSERT(start % IO_BLOCK == 0 && size > 0);
    struct io_file *file = lease->segment_file;
    uint64_t end = start + size < lease->segment.size ? start + size : lease->segment.size;
    if (lease->direct && !io_file_in_memory(file, start, end - start)) {
        char path[LOG_SEGMENT_PATH_MAX];
        log_segment_path(&lease->place, lease->segment.base_offset, LOG_SEGMENT_LOG, path);
        if (!lease->segment_direct)
            TRY(io_disk_open(lease->disk, path, IO_OPEN_READ | IO_OPEN_DIRECT,
                             &lease->segment_direct, NULL));
        file = lease->segment_direct;
    }
    return io_file_read(file, lease->data, size, start, got);
}

/* Bytes of the segment from `position` on: some more than `wanted`. */
static err_t read_span(struct log_lease *lease, uint64_t position, uint64_t wanted,
                       struct slice *out)
{
    uint64_t start = position / IO_BLOCK * IO_BLOCK;
    uint64_t end = position + wanted;
    end = end > lease->segment.size ? lease->segment.size : end;
    uint64_t size = (end - start + IO_BLOCK - 1) / IO_BLOCK * IO_BLOCK;
    ASSERT(position < lease->segment.size);
    /* Nothing is carried over: the span is read again from its first byte, which happens only where
     * a batch turns out to be larger than was asked for. */
    if (size > lease->span_size) {
        mem_free(lease->data);
        lease->data = mem_alloc_aligned(IO_BLOCK, (size_t)size);
        lease->span_size = lease->data ? size : 0;
        lease->read->lease_bytes = (size_t)lease->span_size;
        if (!lease->data)
            return err_make(ERR_MEMORY);
    }
    size_t got = 0;
    TRY(read_blocks(lease, start, (size_t)size, &got));
    /* The segment's size is from a checkpoint, behind a sync: no crash makes it shorter. */
    if (got < end - start)
        return err_make(ERR_CORRUPT);
    *out = slice_make(lease->data + (position - start), (size_t)(end - position));
    return err_ok();
}

static err_t read_segment(struct log_lease *lease)
{
    struct flow_read *read = lease->read;
    uint64_t position = lease->position;
    /* What was asked for, and the way to it: the index leads to within an interval and a batch. */
    uint64_t way = 2 * LOG_SEGMENT_INDEX_INTERVAL;
    if (position == 0)
        TRY(log_segment_find_offset(lease->disk, &lease->place, &lease->segment, read->offset,
                                    &position));
    else
        way = 0;
    ASSERT(read->batch_count == 0);
    uint64_t wanted = (uint64_t)read->size_max + way;
    wanted = wanted < IO_BLOCK ? IO_BLOCK : wanted;
    /* By the index, to the first batch. Where the last read ended there may be a hole in the
     * offsets. */
    bool led = position > 0 && way > 0;
    while (position < lease->segment.size) {
        struct slice bytes;
        TRY(read_span(lease, position, wanted, &bytes));
        uint64_t more = wanted;
        uint64_t before = position;
        err_t err = take_batches(&lease->segment, read, bytes, &position, &more, &led);
        lease->position = position;
        /* What there is, is given; what comes behind it is the next read's to stumble on. */
        if (read->batch_count > 0)
            return err_ok();
        if (!err_is(err, ERR_END))
            return err;
        /* All that is left was looked at, and no batch ends in it. */
        if (position == before && position + wanted >= lease->segment.size)
            break;
        wanted = more > wanted ? more : wanted;
    }
    return err_make(ERR_CORRUPT);
}

static void read_sealed_work(struct io_job *job)
{
    struct log_lease *lease = CONTAINER_OF(job, struct log_lease, job);
    ASSERT(lease->segment.size > 0);
    char path[LOG_SEGMENT_PATH_MAX];
    log_segment_path(&lease->place, lease->segment.base_offset, LOG_SEGMENT_LOG, path);
    err_t err = io_disk_open(lease->disk, path, IO_OPEN_READ, &lease->segment_file, NULL);
    if (err_is_ok(err)) {
        err = read_segment(lease);
        err_t ignored = io_file_close(lease->segment_file);
        err_t ignored_too = io_file_close(lease->segment_direct);
        (void)ignored;
        (void)ignored_too;
    }
    lease->read->error = err;
}

/* A segment that went while it was read has expired: the read is looked at again, and told so. */
static void read_sealed_done(struct io_job *job)
{
    struct log_lease *lease = CONTAINER_OF(job, struct log_lease, job);
    struct log *log = lease->log;
    struct flow_read *read = lease->read;
    ASSERT(list_linked(&lease->link));
    list_remove(&lease->link);
    log->counters.reads_sealed++;
    struct log_partition *partition =
        log_state_partition(&log->state, read->topic_id, read->partition);
    /* The state is asked again: retention may have gone by while the worker read. */
    bool gone = !partition || read->offset < partition->start_offset;
    if (!err_is_ok(read->error) && gone) {
        read->error = err_make(partition ? ERR_OFFSET_RANGE : ERR_NOT_FOUND);
    } else if (err_is(read->error, ERR_CORRUPT) || err_is(read->error, ERR_NO_FILE)) {
        read->error = err_make(ERR_CORRUPT);
        logger_write(log->logger, LOG_LEVEL_ERROR, "log_read_corrupt",
                     "topic %.*s partition %u offset %lld: the segment that begins at offset %lld "
                     "is damaged; stop the server and run garner fsck",
                     SLICE_PRINTF(lease->place.topic), read->partition, (long long)read->offset,
                     (long long)lease->segment.base_offset);
    }
    for (uint32_t i = 0; i < read->batch_count; i++)
        log->counters.read_bytes += read->batches[i].size;
    if (partition)
        partition->read_on = (struct log_read_on){
            .segment = lease->segment.base_offset,
            .offset = read->next_offset,
            .position = err_is_ok(read->error) ? lease->position : 0,
        };
    read->lease = lease;
    answer(read, read->error);
    if (log->mode == LOG_STOPPING)
        log_sequencer_pump(log);
}

static err_t read_from_segment(struct log *log, struct flow_read *read,
                               const struct log_partition *partition,
                               const struct log_segment *segment)
{
    /* A block to begin with: how much is needed the worker finds out, from the index on disk. */
    struct log_lease *lease = new_lease(log, read, IO_BLOCK);
    if (!lease)
        return err_make(ERR_MEMORY);
    ASSERT(segment->size > 0 && read->offset < segment->end_offset);
    lease->span_size = IO_BLOCK;
    lease->disk = log->options.disk;
    lease->place = log_place(log, log_state_topic(&log->state, read->topic_id), read->partition);
    /* A copy: the state's own grows, moves and goes while the worker reads. */
    lease->segment = *segment;
    lease->segment_file = lease->segment_direct = NULL;
    const struct log_read_on *on = &partition->read_on;
    bool reads_on = on->segment == segment->base_offset && on->offset == read->offset &&
                    on->position < segment->size;
    lease->position = reads_on ? on->position : 0;
    lease->job = (struct io_job){
        .home = log->options.loop, .work = read_sealed_work, .done = read_sealed_done};
    read->commit_time_ms = segment->last_commit_ms;
    list_add_tail(&log->reads, &lease->link);
    io_offload(log->options.reader, &lease->job);
    return err_ok();
}

/* Answers a read that has something to find. */
static void serve(struct log *log, struct flow_read *read, const struct log_partition *partition)
{
    /* Nothing is in both a segment and the index: sealing swaps one for the other in one turn of
     * the loop. */
    const struct log_segment *segment = log_partition_segment(partition, read->offset);
    if (segment) {
        err_t err = read_from_segment(log, read, partition, segment);
        if (!err_is_ok(err))
            answer(read, err);
        return;
    }
    size_t at = log_partition_find(partition, read->offset);
    ASSERT(at < partition->index_count);
    const struct log_index_entry *entry = &partition->index[at];
    bool from_tail = log_tail_find(&log->tail, entry_position(entry), entry->size) != NULL;
    uint64_t bytes;
    uint32_t count = choose(log, partition, at, read, from_tail, &bytes);
    size_t next = at + count;
    read->next_offset =
        next < partition->index_count ? partition->index[next].base_offset : partition->end_offset;
    read->commit_time_ms = entry->commit_time_ms;
    log->counters.read_bytes += bytes;
    if (from_tail) {
        read_from_tail(log, read, partition, at, count, bytes);
        return;
    }
    err_t err = read_from_disk(log, read, partition, at, count);
    if (!err_is_ok(err))
        answer(read, err);
}

void log_reader_submit(struct log *log, struct flow_read *read)
{
    ASSERT(!list_linked(&read->link) && !read->lease);
    read->link = (struct list){0};
    struct log_partition *partition =
        log_state_partition(&log->state, read->topic_id, read->partition);
    read->end_offset = partition ? partition->end_offset : 0;
    read->next_offset = read->offset;
    if (log->mode >= LOG_STOPPING)
        answer(read, err_make(ERR_CANCELLED));
    else if (!partition)
        answer(read, err_make(ERR_NOT_FOUND));
    else if (read->offset < partition->start_offset || read->offset > partition->end_offset)
        answer(read, err_make(ERR_OFFSET_RANGE));
    else if (read->offset < partition->end_offset)
        serve(log, read, partition);
    else if (read->wait)
        /* Exactly at the end: not a mistake, only early. */
        list_add_tail(&partition->waiters, &read->link);
    else
        answer(read, err_ok());
}

void log_reader_wake(struct log *log)
{
    ASSERT(log->mode != LOG_STOPPED);
    struct list *link;
    /* Submitted like any other: a read that woke for a partition that was deleted or cut is told
     * that. */
    while ((link = list_pop(&log->state.ready)))
        log_reader_submit(log, CONTAINER_OF(link, struct flow_read, link));
}

/* Takes a waiting read out of its partition's list; NULL when none waits any more. At a stop only,
 * so each look begins at the first topic again. */
static struct flow_read *take_waiter(struct log *log)
{
    for (uint32_t t = 0; t < log->state.topic_count; t++) {
        const struct log_topic *topic = log->state.topics[t];
        ASSERT(topic->partitions || topic->partition_count == 0);
        for (uint32_t p = 0; p < topic->partition_count; p++) {
            struct list *link = list_pop(&topic->partitions[p].waiters);
            if (link)
                return CONTAINER_OF(link, struct flow_read, link);
        }
    }
    return NULL;
}

void log_reader_cancel_all(struct log *log)
{
    ASSERT(log->mode >= LOG_STOPPING);
    struct flow_read *read;
    while ((read = take_waiter(log)))
        answer(read, err_make(ERR_CANCELLED));
}

void log_reader_forget_all(struct log *log)
{
    ASSERT(list_empty(&log->state.ready));
    while (take_waiter(log)) {
    }
    struct list *link;
    while ((link = list_pop(&log->reads)))
        free_lease(CONTAINER_OF(link, struct log_lease, link));
}

static void read_arrived(struct task *task)
{
    struct flow_read *read = CONTAINER_OF(task, struct flow_read, task);
    log_reader_submit((struct log *)read->log, read);
}

void log_reader_begin(struct log *log, struct flow_read *read)
{
    ASSERT(read->home && read->done && read->size_max > 0);
    read->error = err_ok();
    read->batch_count = 0;
    read->lease = NULL;
    read->lease_bytes = 0;
    read->log = log;
    /* The asker may use one read again and again; nothing of the last time counts. */
    read->answered = read->cancelled = read->cancel_returned = false;
}

void log_reader_read(struct flow_log *flow, struct flow_read *read)
{
    struct log *log = CONTAINER_OF(flow, struct log, flow);
    ASSERT(!list_linked(&read->link));
    log_reader_begin(log, read);
    read->task.run = read_arrived;
    io_post(log->options.loop, &read->task);
}

static void cancel_home(struct task *task)
{
    struct flow_read *read = CONTAINER_OF(task, struct flow_read, cancel_task);
    read->cancel_returned = true;
    if (read->answered)
        read->done(read);
}

static void cancel_arrived(struct task *task)
{
    struct flow_read *read = CONTAINER_OF(task, struct flow_read, cancel_task);
    /* A read that is in no list is being served: its answer is on the way, and the cancel that goes
     * home beside it changes nothing about that. */
    if (list_linked(&read->link)) {
        list_remove(&read->link);
        answer(read, err_make(ERR_CANCELLED));
    }
    read->cancel_task.run = cancel_home;
    io_post(read->home, &read->cancel_task);
}

void log_reader_cancel(struct flow_log *flow, struct flow_read *read)
{
    struct log *log = CONTAINER_OF(flow, struct log, flow);
    ASSERT(!read->cancelled);
    /* Set on the asker's thread, where answer_home looks at it. */
    read->cancelled = true;
    read->cancel_task.run = cancel_arrived;
    io_post(log->options.loop, &read->cancel_task);
}

void log_reader_release(struct flow_log *flow, struct flow_read *read)
{
    /* On the asker's thread, without a message: by now the lease is memory that nobody else
     * knows. */
    (void)flow;
    struct log_lease *lease = read->lease;
    read->lease = NULL;
    read->batch_count = 0;
    if (lease)
        free_lease(lease);
}
