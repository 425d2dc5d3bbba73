#include "log/log_int.h"

#include "base/assert.h"

/*
 * The next file is made while the current one fills, a few megabytes a job, and no faster than it
 * is needed: writing it at once would take the disk away from the flushes that requests wait for.
 * It keeps a third ahead of the filling, and goes on slowly when nothing is filled.
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
    io_timer_start(log->options.loop, &maker->retry, RETRY_NS);
}

static void make_done(struct io_job *job)
{
    struct log_maker *maker = CONTAINER_OF(job, struct log_maker, job);
    struct log *log = CONTAINER_OF(maker, struct log, maker);
    ASSERT(maker->running);
    bool unfinished = err_is_ok(maker->error) && maker->making.wal;
    /* Who stops and has nothing to write needs no file: log_free takes away what there is of it. */
    bool wanted = log->mode != LOG_STOPPING || !list_empty(&log->queue);
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
        maker->error = log_wal_add(&log->wal, log_wal_next_number(&log->wal), &maker->why);
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

void log_maker_kick(struct log *log)
{
    struct log_maker *maker = &log->maker;
    ASSERT(log->mode != LOG_STOPPED);
    if (maker->running && maker->pace.heap_index > 0 && hurried(log)) {
        io_timer_stop(log->options.loop, &maker->pace);
        io_offload(log->options.maker, &maker->job);
        return;
    }
    bool spare = log->wal.current + 1 < log->wal.file_count;
    if (maker->running || spare || maker->retry.heap_index > 0 || !log_wal_may_make(&log->wal) ||
        log->mode == LOG_STOPPING)
        return;
    maker->why = (struct err_text){0};
    maker->error = log_wal_make_begin(&maker->making, &log->wal, log_wal_next_number(&log->wal));
    if (!err_is_ok(maker->error)) {
        make_failed(log);
        return;
    }
    maker->running = true;
    io_offload(log->options.maker, &maker->job);
}
