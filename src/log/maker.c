#include "log/log_int.h"

#include "base/assert.h"

/*
 * The next file is made while the current one fills, a few megabytes a job, and no faster than it
 * is needed: writing it at once would take the disk away from the flushes that requests wait for.
 * It keeps a third ahead of the filling, and goes on slowly when nothing is filled. Where an old
 * file is sealed and covered by checkpoints it becomes the next one, which costs a rename.
 *
 * Failure modes: when the disk has no room the log goes on to the end of the current file and then
 * refuses; a try a second notices when there is room again.
 */

#define RETRY_NS IO_SECOND
#define PACE_NS (50 * IO_MS)

static void kick_again(struct io_timer *timer)
{
    struct log *log = CONTAINER_OF(timer, struct log, maker.retry);
    log_sequencer_pump(log);
}

static void make_work(struct io_job *job)
{
    struct log_maker *maker = CONTAINER_OF(job, struct log_maker, job);
    maker->error = log_wal_make_step(&maker->making, &maker->why);
    if (maker->making.finished || !err_is_ok(maker->error))
        log_wal_make_done(&maker->making);
}

/* True when somebody waits for the file, or soon would. */
static bool hurried(const struct log *log)
{
    const struct log_wal_file *current = &log->wal.files[log->wal.current];
    bool stuck = !list_empty(&log->queue) && !log->open && !log->flushing;
    ASSERT(log->maker.making.offset <= log->wal.file_size);
    return stuck || log->mode != LOG_RUNNING ||
           log->maker.making.offset * 3 * current->size < log->wal.offset * 4 * log->wal.file_size;
}

static void pace_over(struct io_timer *timer)
{
    struct log *log = CONTAINER_OF(timer, struct log, maker.pace);
    ASSERT(log->maker.running && log->maker.making.wal);
    io_offload(log->options.maker, &log->maker.job);
}

static void make_failed(struct log *log)
{
    struct log_maker *maker = &log->maker;
    ASSERT(!err_is_ok(maker->error));
    if (!maker->reported)
        logger_write(log->logger, LOG_LEVEL_ERROR, "log_file_not_made",
                     "cannot make the next log file: %s; intake goes on until the current one is "
                     "full, then it is refused; trying again every second",
                     err_detail(maker->error, &maker->why));
    maker->reported = true;
    log_pin_failed(log, maker->error, false);
    io_timer_start(log->options.loop, &maker->retry, RETRY_NS);
}

/* The file is there, or (number 0) a superfluous one is gone. */
static err_t made(struct log *log)
{
    struct log_maker *maker = &log->maker;
    bool recycled = maker->old_number > 0;
    ASSERT(!maker->making.wal);
    maker->old_number = 0;
    if (maker->number == 0)
        return err_ok();
    /* On the loop, which the list of files belongs to. */
    TRY(log_wal_add(&log->wal, maker->number, &maker->why));
    log->wal.files[log->wal.file_count - 1].recycled = recycled;
    log->counters.recycled += recycled ? 1 : 0;
    return err_ok();
}

static void make_done(struct io_job *job)
{
    struct log_maker *maker = CONTAINER_OF(job, struct log_maker, job);
    struct log *log = CONTAINER_OF(maker, struct log, maker);
    ASSERT(maker->running);
    bool unfinished = err_is_ok(maker->error) && maker->making.wal;
    /* Who stops and has nothing to write needs no file: log_free takes away what there is of it. */
    bool wanted = log->mode != LOG_STOPPING || !list_empty(&log->queue);
    /* One step a job: whether there is hurry is asked again before each. */
    if (unfinished && wanted) {
        if (hurried(log))
            io_offload(log->options.maker, &maker->job);
        else
            io_timer_start(log->options.loop, &maker->pace, PACE_NS);
        return;
    }
    maker->running = false;
    if (unfinished) {
        log_sequencer_pump(log);
        return;
    }
    if (err_is_ok(maker->error))
        maker->error = made(log);
    if (err_is_ok(maker->error))
        maker->reported = false;
    else
        make_failed(log);
    log_sequencer_pump(log);
}

void log_maker_init(struct log *log)
{
    ASSERT(!log->maker.running);
    log->maker.retry.run = kick_again;
    log->maker.pace.run = pace_over;
    log->maker.job =
        (struct io_job){.home = log->options.loop, .work = make_work, .done = make_done};
}

bool log_maker_busy(const struct log *log)
{
    ASSERT(!log->maker.running || log->maker.job.home);
    return log->maker.running;
}

/* How many files at the front nobody needs any more. */
static size_t count_recyclable(const struct log *log)
{
    const struct log_wal *wal = &log->wal;
    size_t count = 0;
    ASSERT(wal->current < wal->file_count);
    while (count < wal->current && wal->files[count].number <= log_sealer_recyclable(log) &&
           wal->files[count].reads == 0)
        count++;
    return count;
}

/* The log is full to the last block, and all that is missing is a frame for the checkpoint that
 * lets go of files: one more than the limit is made then, and goes again with them. */
static bool is_stuck(const struct log *log)
{
    const struct log_wal *wal = &log->wal;
    ASSERT(wal->current < wal->file_count);
    return log->sealer.saved_sealed > log->sealer.saved_before &&
           wal->offset + IO_BLOCK > wal->files[wal->current].size;
}

/* What is to be made, and of what: the next file of an old one or anew, or nothing of an old one
 * too many. One is kept in store for the next time; what a try that failed took is used first. */
static bool choose(struct log *log)
{
    struct log_maker *maker = &log->maker;
    bool spare = log->wal.current + 1 < log->wal.file_count;
    size_t recyclable = count_recyclable(log);
    ASSERT(!maker->running);
    maker->number = spare ? 0 : log_wal_next_number(&log->wal);
    /* A file that was taken off the list is in nobody's: it is dealt with before another is. */
    if (maker->old_number > 0)
        return true;
    if (spare ? recyclable > 1 : recyclable > 0) {
        maker->old_number = log->wal.files[0].number;
        log_wal_drop_first(&log->wal);
        return true;
    }
    return !spare && (log_wal_may_make(&log->wal) || is_stuck(log));
}

void log_maker_kick(struct log *log)
{
    struct log_maker *maker = &log->maker;
    ASSERT(log->mode != LOG_STOPPED);
    if (maker->running && maker->pace.heap_index > 0 && hurried(log)) {
        io_timer_stop(log->options.loop, &maker->pace);
        io_offload(log->options.maker, &maker->job);
        return;
    }
    if (maker->running || maker->retry.heap_index > 0 || log->mode == LOG_STOPPING)
        return;
    if (!choose(log))
        return;
    maker->why = (struct err_text){0};
    maker->error = log_wal_make_begin(&maker->making, &log->wal, maker->number, maker->old_number);
    if (!err_is_ok(maker->error)) {
        make_failed(log);
        return;
    }
    maker->running = true;
    io_offload(log->options.maker, &maker->job);
}
