#include "base/alloc.h"
#include "base/assert.h"
#include "flow/batch.h"
#include "log/log_int.h"

/*
 * The happy path: the first segment, or else the first batch in the index, that has a timestamp
 * high enough is known from memory; a segment's time index then says where in it to begin; from
 * there batches are read as any reader reads them, until a record has the timestamp.
 *
 * The highest timestamp is known from memory too and is then searched for like any other. It may be
 * that of a record before the partition's start, in a segment or batch that the start lies in: then
 * nothing has it, and all that is left is read once.
 *
 * Failure modes: those of a read. When the segment that was searched has expired meanwhile, the
 * search begins again; it then begins in a later one, so it ends.
 */

#define READ_SIZE (UINT32_C(256) << 10)
/* Of the records of one compressed batch. */
#define UNPACK_SIZE_MAX (UINT64_C(128) << 20)

struct log_finding {
    struct list link; /* in log->finds */
    struct log *log;
    struct flow_find *find;
    struct io_job job;
    struct flow_read read;
    struct log_segment_place place;
    struct log_segment segment;
    int64_t timestamp_ms; /* wanted */
    bool scanning;        /* for one that is higher than the last found */
    int64_t offset;
    err_t error;
};

static void find_home(struct task *task)
{
    struct flow_find *find = CONTAINER_OF(task, struct flow_find, task);
    find->done(find);
}

static void answer(struct flow_find *find, err_t error)
{
    ASSERT(find->home);
    find->error = error;
    find->task.run = find_home;
    io_post(find->home, &find->task);
}

static void finish(struct log_finding *finding, err_t error)
{
    struct log *log = finding->log;
    ASSERT(list_linked(&finding->link));
    list_remove(&finding->link);
    answer(finding->find, error);
    mem_free(finding);
    /* A stop waits until nothing is being looked for. */
    if (log->mode == LOG_STOPPING)
        log_sequencer_pump(log);
}

static void search(struct log_finding *finding);

static void read_on(struct log_finding *finding, int64_t offset)
{
    struct log *log = finding->log;
    ASSERT(offset >= 0);
    finding->read.offset = offset;
    log_reader_begin(log, &finding->read);
    log_reader_submit(log, &finding->read);
}

/* The first record of the batch with the timestamp; ERR_END when it has none, or a scan goes on. */
static err_t look_into(struct log_finding *finding, struct flow_batch *batch, struct buf *unpacked)
{
    struct flow_find *find = finding->find;
    struct flow_record record;
    ASSERT(batch->max_timestamp_ms >= finding->timestamp_ms);
    TRY(flow_batch_unpack(batch, UNPACK_SIZE_MAX, unpacked));
    /* Within a batch times come in any order, so each record is looked at; those before the offset
     * where the search may begin are passed over. */
    struct flow_batch_iterator it = flow_batch_records(batch);
    for (;;) {
        TRY(flow_batch_next(&it, &record));
        if (record.timestamp_ms < finding->timestamp_ms || record.offset < finding->read.offset)
            continue;
        find->offset = record.offset;
        find->found_timestamp_ms = record.timestamp_ms;
        if (!finding->scanning || record.timestamp_ms == INT64_MAX)
            return err_ok();
        finding->timestamp_ms = record.timestamp_ms + 1;
    }
}

static err_t look_at_read(struct log_finding *finding)
{
    const struct flow_read *read = &finding->read;
    struct buf unpacked;
    /* ERR_END is what goes on: nothing in this batch, nothing in this read. */
    err_t err = err_make(ERR_END);
    ASSERT(read->batch_count <= FLOW_READ_BATCHES);
    buf_init(&unpacked, 0);
    for (uint32_t i = 0; i < read->batch_count && err_is(err, ERR_END); i++) {
        struct flow_batch batch;
        err = flow_batch_parse(read->batches[i], &batch);
        if (err_is_ok(err) && batch.max_timestamp_ms < finding->timestamp_ms)
            err = err_make(ERR_END);
        else if (err_is_ok(err))
            err = look_into(finding, &batch, &unpacked);
    }
    buf_done(&unpacked);
    return err;
}

/* Nothing is late enough: the record after the last may be. */
static void find_nothing(struct log_finding *finding, int64_t end_offset)
{
    ASSERT(end_offset >= 0);
    finding->find->offset = end_offset;
    finding->find->found_timestamp_ms = -1;
    finish(finding, err_ok());
}

/* Behind the last record that could have it. */
static void find_no_more(struct log_finding *finding, int64_t end_offset)
{
    const struct log_partition *partition = log_state_partition(
        &finding->log->state, finding->find->topic_id, finding->find->partition);
    bool scans = finding->find->timestamp_ms == FLOW_FIND_MAX;
    if (finding->scanning && finding->find->found_timestamp_ms >= 0) {
        finish(finding, err_ok());
    } else if (scans && !finding->scanning && partition && partition->start_offset < end_offset) {
        finding->scanning = true;
        finding->timestamp_ms = 0;
        finding->find->found_timestamp_ms = -1;
        read_on(finding, partition->start_offset);
    } else {
        find_nothing(finding, end_offset);
    }
}

static void read_done(struct flow_read *read)
{
    struct log_finding *finding = CONTAINER_OF(read, struct log_finding, read);
    ASSERT(finding->find);
    err_t err = read->error;
    if (err_is_ok(err) && read->batch_count > 0)
        err = look_at_read(finding);
    int64_t next = read->next_offset;
    bool at_end = err_is_ok(read->error) && read->batch_count == 0;
    log_reader_release(&finding->log->flow, read);
    if (at_end)
        /* All was read from where the time could first be: only what lies before the start has it,
         * in the same batch or segment. */
        find_no_more(finding, next);
    else if (err_is(err, ERR_OFFSET_RANGE))
        search(finding);
    else if (err_is(err, ERR_END))
        read_on(finding, next);
    else
        finish(finding, err);
}

static void index_work(struct io_job *job)
{
    struct log_finding *finding = CONTAINER_OF(job, struct log_finding, job);
    ASSERT(finding->segment.size > 0);
    finding->error =
        log_segment_find_time(finding->log->options.disk, &finding->place, &finding->segment,
                              finding->timestamp_ms, &finding->offset);
}

static void index_done(struct io_job *job)
{
    struct log_finding *finding = CONTAINER_OF(job, struct log_finding, job);
    const struct log_partition *partition = log_state_partition(
        &finding->log->state, finding->find->topic_id, finding->find->partition);
    ASSERT(finding->find);
    if (finding->log->mode >= LOG_STOPPING)
        finish(finding, err_make(ERR_CANCELLED));
    else if (!partition || finding->segment.end_offset <= partition->start_offset)
        /* Asked before the error is: a segment that has expired meanwhile may have lost its files
         * under the worker, and that is no damage. */
        search(finding);
    else if (!err_is_ok(finding->error))
        finish(finding,
               err_is(finding->error, ERR_NO_FILE) ? err_make(ERR_CORRUPT) : finding->error);
    else
        /* The start may lie within the segment. */
        read_on(finding, finding->offset > partition->start_offset ? finding->offset
                                                                   : partition->start_offset);
}

/* The first segment that has the timestamp. */
static const struct log_segment *segment_with(const struct log_partition *partition,
                                              int64_t timestamp_ms)
{
    ASSERT(partition->segments || partition->segment_count == 0);
    uint32_t first = log_partition_segments_before(partition, partition->start_offset);
    /* From memory: a segment that cannot have the time costs no read. In order and not by halving,
     * since times need not rise along with offsets. */
    for (uint32_t i = first; i < partition->segment_count; i++) {
        if (partition->segments[i].max_timestamp_ms >= timestamp_ms)
            return &partition->segments[i];
    }
    return NULL;
}

static void search_segment(struct log_finding *finding, const struct log_segment *segment)
{
    struct log *log = finding->log;
    const struct flow_find *find = finding->find;
    ASSERT(segment->size > 0);
    /* Copies: the state's own may move or go while the worker reads. The topic's name that the
     * place points to stays, for deleted topics too. */
    finding->segment = *segment;
    finding->place = log_place(log, log_state_topic(&log->state, find->topic_id), find->partition);
    finding->job =
        (struct io_job){.home = log->options.loop, .work = index_work, .done = index_done};
    io_offload(log->options.reader, &finding->job);
}

/* Of all that is known in memory; 0 where no record has one. */
static int64_t highest_timestamp(const struct log_partition *partition)
{
    int64_t highest_ms = 0;
    uint32_t first = log_partition_segments_before(partition, partition->start_offset);
    ASSERT(first <= partition->segment_count);
    for (uint32_t i = first; i < partition->segment_count; i++)
        if (partition->segments[i].max_timestamp_ms > highest_ms)
            highest_ms = partition->segments[i].max_timestamp_ms;
    for (size_t i = 0; i < partition->index_count; i++)
        if (partition->index[i].max_timestamp_ms > highest_ms)
            highest_ms = partition->index[i].max_timestamp_ms;
    return highest_ms;
}

static void search(struct log_finding *finding)
{
    struct log *log = finding->log;
    struct flow_find *find = finding->find;
    const struct log_partition *partition =
        log_state_partition(&log->state, find->topic_id, find->partition);
    if (!partition || log->mode >= LOG_STOPPING) {
        finish(finding, err_make(partition ? ERR_CANCELLED : ERR_NOT_FOUND));
        return;
    }
    finding->scanning = false;
    finding->timestamp_ms =
        find->timestamp_ms == FLOW_FIND_MAX ? highest_timestamp(partition) : find->timestamp_ms;
    const struct log_segment *segment = segment_with(partition, finding->timestamp_ms);
    if (segment) {
        search_segment(finding, segment);
        return;
    }
    for (size_t i = 0; i < partition->index_count; i++) {
        ASSERT(partition->index[i].size > 0);
        if (partition->index[i].max_timestamp_ms >= finding->timestamp_ms) {
            int64_t base = partition->index[i].base_offset;
            read_on(finding, base > partition->start_offset ? base : partition->start_offset);
            return;
        }
    }
    find_nothing(finding, partition->end_offset);
}

static void find_arrived(struct task *task)
{
    struct flow_find *find = CONTAINER_OF(task, struct flow_find, task);
    struct log *log = find->log;
    struct log_finding *finding = mem_zalloc(1, sizeof *finding);
    ASSERT(log && find->done);
    /* The find itself is the asker's memory, so it can always be answered. */
    if (!finding) {
        answer(find, err_make(ERR_MEMORY));
        return;
    }
    finding->log = log;
    finding->find = find;
    finding->read = (struct flow_read){
        .home = log->options.loop,
        .done = read_done,
        .topic_id = find->topic_id,
        .partition = find->partition,
        .size_max = READ_SIZE,
    };
    list_add_tail(&log->finds, &finding->link);
    search(finding);
}

void log_find(struct flow_log *flow, struct flow_find *find)
{
    struct log *log = CONTAINER_OF(flow, struct log, flow);
    ASSERT(find->home && find->done);
    find->log = log;
    find->task.run = find_arrived;
    io_post(log->options.loop, &find->task);
}

void log_find_forget_all(struct log *log)
{
    ASSERT(log->finds.next);
    struct list *link;
    while ((link = list_pop(&log->finds))) {
        struct log_finding *finding = CONTAINER_OF(link, struct log_finding, link);
        if (finding->read.lease)
            log_reader_release(&log->flow, &finding->read);
        mem_free(finding);
    }
}
