#include "log/log_int.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/hash.h"

/*
 * The happy path: a commit arrives by mail, is composed into the open frame at once, and when no
 * flush is in flight the open frame is sealed and given to the flusher. While it is written, what
 * arrives joins the next frame; nobody waits on a timer. When the flush is done the frame is
 * applied to the state, its commits are answered, readers are woken, and the next frame goes.
 *
 * Failure modes. No room in the WAL: commits wait while the next file is being made, and are
 * refused with ERR_LOG_FULL when none may be made; what sinks need to move on keeps a reserve. A
 * failed write or flush fences the log: nothing is known of that frame, so its commits and all
 * behind it are answered ERR_FENCED, what they had been given (offsets, room) is taken back, and
 * the log goes on in another file with the next epoch, whose first frame declares up to which lsn
 * the old epoch counts. The state needs no repair, since it holds durable frames alone. Until
 * that first frame is durable, new commits are refused and the frame is tried again and again.
 */

#define HEAL_DELAY_MIN_NS (IO_SECOND / 10)
#define HEAL_DELAY_MAX_NS (5 * IO_SECOND)

static void run_done(struct task *task)
{
    struct flow_commit *commit = CONTAINER_OF(task, struct flow_commit, task);
    commit->done(commit);
}

static void answer(struct log *log, struct flow_commit *commit, err_t error)
{
    ASSERT(!list_linked(&commit->link));
    error = err_is_ok(error) && commit->request ? log_compose_verdict(commit) : error;
    commit->error = error;
    commit->task.run = run_done;
    if (err_is_ok(error)) {
        log->counters.commits++;
        histogram_add(&log->counters.commit, io_now_ns(log->options.loop) - commit->started_ns);
    } else if (err_is(error, ERR_LOG_FULL) || err_is(error, ERR_NO_SPACE)) {
        log->counters.refused_full++;
    }
    io_post(commit->home, &commit->task);
}

static void answer_all(struct log *log, struct list *commits, err_t error)
{
    ASSERT(commits->next && commits->prev);
    struct list *link;
    while ((link = list_pop(commits)))
        answer(log, CONTAINER_OF(link, struct flow_commit, link), error);
}

static void drop_frame(struct log_frame *frame)
{
    ASSERT(list_empty(&frame->commits));
    mem_free(frame->own);
    frame->own = NULL;
    frame->data = NULL;
}

/* Early answers promise at most so many bytes and so much time before the flush. */
static bool may_answer_early(const struct log *log, const struct flow_commit *commit, bool waits)
{
    ASSERT(log->open);
    /* Who repeats a record is told so once that is on the disk. */
    if (!log->options.early_answers || log_compose_is_control(commit) || waits)
        return false;
    uint64_t bytes = log->open->payload_size;
    uint64_t since = log->open->composed_ns;
    if (log->flushing) {
        bytes += log->flushing->payload_size;
        since = log->flushing->composed_ns;
    }
    uint64_t age_ms = (io_now_ns(log->options.loop) - since) / IO_MS;
    return bytes <= log->options.early_bytes && age_ms < log->options.early_delay_ms;
}

enum room { ROOM_YES, ROOM_WAIT, ROOM_NO };

/* Whether a frame of `payload_size` will find room in the WAL behind the one in flight. */
static enum room room_for(const struct log *log, uint64_t payload_size, bool reserved)
{
    ASSERT(log->wal.current < log->wal.file_count);
    ASSERT(log->wal.offset % IO_BLOCK == 0);
    const struct log_wal *wal = &log->wal;
    uint64_t size = log_frame_disk_size(payload_size) + (reserved ? LOG_RESERVE_BYTES : 0);
    uint64_t left = wal->files[wal->current].size - wal->offset;
    bool spare = wal->current + 1 < wal->file_count;
    if (wal->offset <= wal->files[wal->current].size && size <= left)
        return ROOM_YES;
    if (spare)
        return size <= wal->files[wal->current + 1].size ? ROOM_YES : ROOM_NO;
    bool comes = log_maker_busy(log) || log_sealer_frees(log);
    return size <= wal->file_size && comes ? ROOM_WAIT : ROOM_NO;
}

static err_t no_room_error(const struct log *log, uint64_t payload_size)
{
    ASSERT(log->wal.file_size > 0);
    if (log_frame_disk_size(payload_size) + LOG_RESERVE_BYTES > log->wal.file_size)
        return err_make(ERR_TOO_LARGE);
    bool disk = !err_is_ok(log->maker.error) && log_wal_may_make(&log->wal);
    return disk ? log->maker.error : err_make(ERR_LOG_FULL);
}

/* Takes `commit` off the queue and answers it. */
static void refuse(struct log *log, struct flow_commit *commit, uint64_t size, err_t error)
{
    ASSERT(log->queue_bytes >= size && !err_is_ok(error));
    list_remove(&commit->link);
    log->queue_bytes -= size;
    log_probe_forget_one(log, commit);
    answer(log, commit, error);
}

/* Keys go into the index that their topic has when they are composed, and are settled in the one
 * that it has when they are durable: no change of configuration comes in between. */
static bool must_wait_for_keys(struct log *log, struct flow_commit *commit)
{
    ASSERT(!list_empty(&log->queue));
    bool configures = false;
    for (uint32_t i = 0; i < commit->topic_count; i++)
        configures = configures || commit->topics[i].op == FLOW_TOPIC_CONFIG;
    if (configures && (log->open || log->flushing))
        return true;
    if (!log_compose_has_keys(commit))
        return false;
    if ((log->open && log->open->configures) || (log->flushing && log->flushing->configures))
        return true;
    return log_probe_must_wait(log, commit);
}

/* Frames that are too large for the tail's ring have memory of their own: one at a time, where
 * there is not enough for two. */
static bool must_wait_for_memory(const struct log *log, uint64_t size)
{
    const struct log_frame *before = log->flushing;
    uint64_t limit = log->options.large_bytes;
    ASSERT(size > 0);
    if (log->open || !before || !before->own || limit == 0)
        return false;
    uint64_t wanted = log_frame_disk_size(size);
    return wanted > log->tail.frame_size && before->disk_size + wanted > limit;
}

/* True when the commit must wait for a flush, for a file or for keys to be read. */
static bool must_wait(struct log *log, struct flow_commit *commit, uint64_t size, enum room room)
{
    ASSERT(size > 0);
    bool fits = !log->open || log->open->payload_size + size <= log->open->capacity;
    bool control_in_flight =
        (log->flushing && log->flushing->control) || (log->open && log->open->control);
    return !fits || room == ROOM_WAIT || (log_compose_is_control(commit) && control_in_flight) ||
           must_wait_for_memory(log, size) || must_wait_for_keys(log, commit);
}

static err_t add_to_open(struct log *log, struct flow_commit *commit, uint64_t size, bool *waits)
{
    ASSERT(size > 0 && !list_empty(&log->queue));
    if (!log->open) {
        struct log_frame *free_frame = &log->frames[log->flushing == &log->frames[0] ? 1 : 0];
        TRY(log_compose_begin(log, free_frame, size));
        log->open = free_frame;
    }
    return log_compose_add(log, log->open, commit, waits);
}

/* What a commit is told because of one that is on its way is not known before that one is durable.
 */
static void answer_behind_all(struct log *log, struct flow_commit *commit, uint64_t size)
{
    struct log_frame *last = log->open ? log->open : log->flushing;
    ASSERT(log->queue_bytes >= size && log_compose_is_refused(commit));
    list_remove(&commit->link);
    log->queue_bytes -= size;
    if (last)
        list_add_tail(&last->commits, &commit->link);
    else
        answer(log, commit, err_ok());
}

/* Composes the first commit of the queue. False when it must stay there. */
static bool compose_first(struct log *log)
{
    ASSERT(!log->epoch_begins && !list_empty(&log->queue));
    struct flow_commit *commit = CONTAINER_OF(log->queue.next, struct flow_commit, link);
    uint64_t size = log_entries_size(commit);
    uint64_t frame_size = size + (log->open ? log->open->payload_size : 0);
    bool intake = !log_compose_uses_reserve(commit);
    bool index_full = intake && log->state.index_bytes >= log->options.index_bytes;
    enum room room = room_for(log, frame_size, intake);
    /* Together with what is in the open frame it is too much; alone it may find room. */
    if (room == ROOM_NO && log->open)
        room = ROOM_WAIT;
    if (!index_full && must_wait(log, commit, size, room))
        return false;
    err_t err = err_make(ERR_LOG_FULL);
    if (room == ROOM_NO)
        err = no_room_error(log, size);
    else if (!index_full)
        err = log_compose_check(log, commit);
    if (err_is_ok(err))
        err = commit->probe_error;
    bool waits = false;
    if (err_is_ok(err) && commit->request)
        err = log_compose_decide(log, commit);
    if (err_is_ok(err) && log_compose_is_refused(commit)) {
        answer_behind_all(log, commit, size);
        return true;
    }
    if (err_is_ok(err))
        err = add_to_open(log, commit, size, &waits);
    if (!err_is_ok(err)) {
        refuse(log, commit, size, err);
        return true;
    }
    list_remove(&commit->link);
    log->queue_bytes -= size;
    if (may_answer_early(log, commit, waits)) {
        log->counters.early_answers++;
        log->open->early_answers++;
        answer(log, commit, err_ok());
    } else {
        list_add_tail(&log->open->commits, &commit->link);
    }
    return true;
}

static void flush_work(struct io_job *job)
{
    ASSERT(job->home);
    struct log_frame *frame = CONTAINER_OF(job, struct log_frame, job);
    uint64_t begin = io_now_ns(job->home);
    frame->error =
        io_file_write(frame->file, frame->data, (size_t)frame->disk_size, frame->position.offset);
    if (err_is_ok(frame->error))
        frame->error = io_file_sync(frame->file);
    frame->flush_ns = io_now_ns(job->home) - begin;
}

static void flush_open(struct log *log)
{
    ASSERT(log->durable_lsn > 0 || log->epoch_begins);
    ASSERT(log->open && !log->flushing);
    log_compose_seal(log, log->open);
    log->flushing = log->open;
    log->open = NULL;
    io_offload(log->options.flusher, &log->flushing->job);
}

void log_sequencer_flush_empty(struct log *log)
{
    ASSERT(!log->epoch_begins);
    if (log->open || log->flushing || room_for(log, 0, false) != ROOM_YES)
        return;
    struct log_frame *frame = &log->frames[0];
    if (!err_is_ok(log_compose_begin(log, frame, 0)))
        return;
    log->open = frame;
    flush_open(log);
}

static void fence(struct log *log, struct log_frame *frame)
{
    ASSERT(!err_is_ok(frame->error) && !log->flushing);
    log->counters.fences++;
    log->counters.early_answers_lost += frame->early_answers;
    if (log->mode == LOG_RUNNING)
        log->mode = LOG_FENCED;
    logger_write(log->logger, LOG_LEVEL_ERROR, "log_fenced",
                 "writing the log failed (%s) at byte %llu of file %llu; requests under way are "
                 "answered 503, the log goes on in another file",
                 err_string(frame->error), (unsigned long long)frame->position.offset,
                 (unsigned long long)frame->position.file_number);
    err_t error = err_make(ERR_FENCED);
    answer_all(log, &frame->commits, error);
    drop_frame(frame);
    if (log->open) {
        log->counters.early_answers_lost += log->open->early_answers;
        answer_all(log, &log->open->commits, error);
        drop_frame(log->open);
        log->open = NULL;
    }
    log_probe_forget(log);
    answer_all(log, &log->queue, error);
    log->queue_bytes = 0;
    log_state_forget_reserved(&log->state);
    log->deleting_topic = 0;
    log->epoch++;
    /* A file whose only frame is the failed first one of an epoch is begun again. */
    if (log->epoch_begins)
        log->wal.offset = 0;
    log->epoch_begins = true;
    io_timer_start(log->options.loop, &log->heal, log->heal_delay_ns);
    log->heal_delay_ns *= 2;
    if (log->heal_delay_ns > HEAL_DELAY_MAX_NS)
        log->heal_delay_ns = HEAL_DELAY_MAX_NS;
}

static void healed(struct log *log)
{
    ASSERT(log->epoch_begins);
    log->epoch_begins = false;
    log->heal_delay_ns = HEAL_DELAY_MIN_NS;
    if (log->mode == LOG_FENCED)
        log->mode = LOG_RUNNING;
    logger_write(log->logger, LOG_LEVEL_INFO, "log_healed",
                 "the log goes on with epoch %u in file %llu", log->epoch,
                 (unsigned long long)log->wal.files[log->wal.current].number);
}

/* Begins the file of the new epoch with an empty frame: if it is durable, the log is back. */
static void try_to_heal(struct io_timer *timer)
{
    struct log *log = CONTAINER_OF(timer, struct log, heal);
    if (log->mode == LOG_STOPPED || log->flushing || !log->epoch_begins)
        return;
    if (log->wal.offset > 0 && !err_is_ok(log_wal_roll(&log->wal))) {
        log_maker_kick(log);
        io_timer_start(log->options.loop, &log->heal, log->heal_delay_ns);
        return;
    }
    ASSERT(!log->open);
    if (err_is_ok(log_compose_begin(log, &log->frames[0], 0))) {
        log->open = &log->frames[0];
        flush_open(log);
    } else {
        io_timer_start(log->options.loop, &log->heal, log->heal_delay_ns);
    }
}

static void frame_durable(struct log *log, struct log_frame *frame)
{
    ASSERT(frame->header.previous_crc == log->last.header_crc);
    ASSERT(frame->header.epoch == log->epoch);
    ASSERT(frame->header.lsn == log->durable_lsn + 1);
    log->durable_lsn = frame->header.lsn;
    log->last = frame->header;
    if (frame->control)
        log->deleting_topic = 0;
    log->counters.frames++;
    log->counters.frame_bytes += frame->disk_size;
    histogram_add(&log->counters.flush, frame->flush_ns);
    struct slice payload =
        slice_make(frame->data + LOG_FRAME_HEADER_SIZE, (size_t)frame->payload_size);
    err_t applied = log_state_apply(&log->state, payload, frame->position);
    /* What is durable cannot be taken back: without the memory to go on, a restart recovers it. */
    ASSERT(err_is_ok(applied));
    if (!frame->own)
        log_tail_publish(&log->tail, frame->data, frame->disk_size, frame->position);
    answer_all(log, &frame->commits, err_ok());
    drop_frame(frame);
    if (log->epoch_begins)
        healed(log);
}

static void flush_done(struct io_job *job)
{
    struct log_frame *frame = CONTAINER_OF(job, struct log_frame, job);
    struct log *log = frame->log;
    ASSERT(log->flushing == frame);
    log->flushing = NULL;
    if (err_is_ok(frame->error))
        frame_durable(log, frame);
    else
        fence(log, frame);
    log_reader_wake(log);
    log_sequencer_pump(log);
}

/* The last frame says that nothing is behind it. */
static void write_stop_mark(struct log *log)
{
    ASSERT(!log->open && !log->flushing);
    log->stop_marked = true;
    if (log->epoch_begins || room_for(log, LOG_ENTRY_HEADER_SIZE, false) != ROOM_YES ||
        !err_is_ok(log_compose_begin(log, &log->frames[0], LOG_ENTRY_HEADER_SIZE)))
        return;
    log->open = &log->frames[0];
    log_compose_add_stop(log->open);
    flush_open(log);
}

static void move_stop(struct log *log)
{
    ASSERT(log->mode == LOG_STOPPING);
    if (log->epoch_begins && !log->flushing) {
        log_probe_forget(log);
        answer_all(log, &log->queue, err_make(ERR_FENCED));
        log->queue_bytes = 0;
        log->stop_marked = true;
    }
    bool idle = list_empty(&log->queue) && !log->open && !log->flushing;
    if (idle && !log->stop_marked)
        write_stop_mark(log);
    if (!list_empty(&log->queue) || log->open || log->flushing || log->maker.running ||
        log->prober.running || !list_empty(&log->reads) || !list_empty(&log->finds) ||
        !log_scrub_stop(log) || !log_sealer_stop(log))
        return;
    log->mode = LOG_STOPPED;
    log_retention_stop(log);
    io_timer_stop(log->options.loop, &log->heal);
    io_timer_stop(log->options.loop, &log->maker.retry);
    io_post(log->stop_home, log->stopped);
}

void log_sequencer_pump(struct log *log)
{
    if (log->mode == LOG_STOPPED)
        return;
    log_pin_pump(log);
    log_sealer_kick(log);
    log_maker_kick(log);
    if (!log->epoch_begins) {
        while (!list_empty(&log->queue) && compose_first(log)) {
        }
        if (log->open && !log->flushing)
            flush_open(log);
    }
    if (log->mode == LOG_STOPPING)
        move_stop(log);
}

void log_sequencer_submit(struct log *log, struct flow_commit *commit)
{
    commit->link = (struct list){0};
    if (log->mode != LOG_RUNNING) {
        answer(log, commit, err_make(log->mode == LOG_FENCED ? ERR_BUSY : ERR_CANCELLED));
        return;
    }
    ASSERT(commit->append_count > 0 || commit->count_count > 0 || commit->gives_producer_id ||
           commit->offset_count > 0 || log_compose_is_control(commit));
    log_compose_keys_begin(commit);
    list_add_tail(&log->queue, &commit->link);
    log->queue_bytes += log_entries_size(commit);
    log_sequencer_pump(log);
}

void log_sequencer_init(struct log *log)
{
    ASSERT(!log->open && !log->flushing);
    list_init(&log->queue);
    list_init(&log->reads);
    list_init(&log->finds);
    log->heal.run = try_to_heal;
    log->heal_delay_ns = HEAL_DELAY_MIN_NS;
    for (size_t i = 0; i < 2; i++) {
        struct log_frame *frame = &log->frames[i];
        *frame = (struct log_frame){.log = log};
        list_init(&frame->commits);
        frame->job =
            (struct io_job){.home = log->options.loop, .work = flush_work, .done = flush_done};
    }
}
