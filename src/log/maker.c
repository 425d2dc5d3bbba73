#include "log/log_int.h"

#include "base/assert.h"

/*
 * The next file is made while the current one fills, a few megabytes a job so that the maker
 * never holds anything up for long. When the disk has no room the log goes on to the end of the
 * current file and then refuses; a try a second notices when there is room again.
 */

#define RETRY_NS IO_SECOND

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
        io_offload(log->options.maker, &maker->job);
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
