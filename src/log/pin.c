#include "log/pin.h"

#include "base/assert.h"
#include "log/log_int.h"

#include <inttypes.h>

/*
 * The happy path: the current file is ended and sealed with all before it, so that little is in
 * the log alone; a checkpoint is written and from then on held; the holder copies, keeps the lease
 * meanwhile, and gives it back.
 *
 * Failure modes. Sealing that fails or takes too long is not waited for: the checkpoint then names
 * more of the log. A checkpoint that cannot be written fails the asker. A holder who is not heard
 * of, a log that would have to refuse records for want of the files that are held, and a disk
 * without room each end the pin: the holder hears of it with his next call, and his copy does not
 * count.
 */

#define PATIENCE_NS (30 * IO_SECOND)
#define LEASE_NS (FLOW_PIN_LEASE_MS * IO_MS)

static void run_done(struct task *task)
{
    struct flow_pin *pin = CONTAINER_OF(task, struct flow_pin, task);
    ASSERT(pin->done);
    pin->done(pin);
}

static void answer(struct flow_pin *pin, err_t error)
{
    ASSERT(pin->home);
    pin->error = error;
    pin->task.run = run_done;
    io_post(pin->home, &pin->task);
}

static void end(struct log *log)
{
    struct log_pin *pin = &log->pin;
    ASSERT(!pin->asker);
    pin->phase = LOG_PIN_NONE;
    pin->log_held = false;
    pin->id = 0;
    io_timer_stop(log->options.loop, &pin->timer);
}

static void refuse(struct log *log, err_t error)
{
    struct flow_pin *asker = log->pin.asker;
    ASSERT(asker && !err_is_ok(error));
    log->pin.asker = NULL;
    end(log);
    answer(asker, error);
}

static void begin_saving(struct log *log)
{
    ASSERT(log->pin.asker);
    log->pin.phase = LOG_PIN_SAVING;
    io_timer_start(log->options.loop, &log->pin.timer, PATIENCE_NS);
}

/* Whether anything is in the log alone. */
/* A frame on its way counts: what was answered early may be in it. */
static bool has_unsealed(const struct log *log)
{
    for (uint32_t t = 0; t < log->state.topic_count; t++) {
        const struct log_topic *topic = log->state.topics[t];
        for (uint32_t p = 0; p < topic->partition_count; p++) {
            if (topic->partitions[p].index_count > 0)
                return true;
        }
    }
    ASSERT(log->wal.file_count > 0);
    return log->flushing || log->open;
}

static void take(struct log *log, struct flow_pin *asker)
{
    struct log_pin *pin = &log->pin;
    if (log->mode != LOG_RUNNING) {
        answer(asker, err_make(log->mode == LOG_FENCED ? ERR_BUSY : ERR_CANCELLED));
        return;
    }
    if (pin->phase != LOG_PIN_NONE) {
        answer(asker, err_make(ERR_IN_USE));
        return;
    }
    ASSERT(!pin->asker && !pin->log_held);
    pin->asker = asker;
    /* An early answer may be for a frame that is only on its way. */
    pin->lsn_min = log->durable_lsn + (log->flushing ? 1 : 0) + (log->open ? 1 : 0);
    pin->seal_file = log->wal.files[log->wal.current].number;
    begin_saving(log);
    if (has_unsealed(log))
        pin->phase = LOG_PIN_SEALING;
    log_sequencer_pump(log);
}

/* Also who gives back is told whether the pin was still his: a copy that lost it half way is no
 * backup, however whole it looks. */
static void keep(struct log *log, struct flow_pin *asker)
{
    struct log_pin *pin = &log->pin;
    bool known = pin->phase == LOG_PIN_HELD && asker->id == pin->id;
    ASSERT(asker->op != FLOW_PIN_TAKE);
    if (!known) {
        answer(asker, err_make(ERR_NOT_FOUND));
        return;
    }
    if (asker->op == FLOW_PIN_GIVE_BACK) {
        logger_write(log->logger, LOG_LEVEL_INFO, "log_pin_given_back",
                     "the copy of checkpoint %" PRIu64 " is done", pin->lsn);
        end(log);
    } else {
        io_timer_start(log->options.loop, &pin->timer, LEASE_NS);
        pin->log_held = pin->log_held && asker->op == FLOW_PIN_KEEP;
    }
    answer(asker, err_ok());
    log_sequencer_pump(log);
}

static void arrived(struct task *task)
{
    struct flow_pin *pin = CONTAINER_OF(task, struct flow_pin, task);
    struct log *log = pin->log;
    ASSERT(log->options.loop);
    if (pin->op == FLOW_PIN_TAKE)
        take(log, pin);
    else
        keep(log, pin);
}

void log_pin_ask(struct flow_log *flow, struct flow_pin *pin)
{
    struct log *log = CONTAINER_OF(flow, struct log, flow);
    ASSERT(pin->home && pin->done);
    pin->log = log;
    pin->task.run = arrived;
    io_post(log->options.loop, &pin->task);
}

static void time_over(struct io_timer *timer)
{
    struct log_pin *pin = CONTAINER_OF(timer, struct log_pin, timer);
    struct log *log = CONTAINER_OF(pin, struct log, pin);
    ASSERT(pin->phase != LOG_PIN_NONE);
    if (pin->phase == LOG_PIN_HELD)
        log_pin_break(log, "its holder has not been heard of for a minute");
    else if (pin->phase == LOG_PIN_SEALING)
        begin_saving(log);
    else
        refuse(log, err_make(ERR_BUSY));
    log_sequencer_pump(log);
}

/* The only thing that keeps the log from its next file is the pin. */
/* Promise 5 before the backup: records that come have the room, and the copy gives way. */
static bool is_in_the_way(const struct log *log)
{
    const struct log_wal *wal = &log->wal;
    ASSERT(wal->current < wal->file_count);
    bool spare = wal->current + 1 < wal->file_count;
    uint64_t first = wal->files[0].number;
    return log->pin.log_held && !spare && !log_wal_may_make(wal) && !log->maker.running &&
           first > log->pin.sealed_file && first <= log->sealer.saved_before;
}

void log_pin_pump(struct log *log)
{
    struct log_pin *pin = &log->pin;
    if (pin->phase == LOG_PIN_HELD && is_in_the_way(log))
        log_pin_break(log, "the log needs the files that it holds to take more records");
    if (pin->phase != LOG_PIN_SEALING)
        return;
    ASSERT(pin->asker);
    if (log->sealer.sealed_file >= pin->seal_file || log->sealer.reported)
        begin_saving(log);
    else if (log->last.file_number <= pin->seal_file)
        log_sealer_end_file(log);
}

bool log_pin_wants_checkpoint(const struct log *log)
{
    ASSERT(log->pin.phase != LOG_PIN_SAVING || log->pin.asker);
    return log->pin.phase == LOG_PIN_SAVING && log->durable_lsn >= log->pin.lsn_min;
}

void log_pin_saved(struct log *log, uint64_t lsn, uint64_t sealed_file)
{
    struct log_pin *pin = &log->pin;
    struct flow_pin *asker = pin->asker;
    ASSERT(lsn > 0);
    /* The checkpoint that ends a sealing serves too. */
    bool sealed = pin->phase == LOG_PIN_SEALING && sealed_file >= pin->seal_file;
    if ((!sealed && pin->phase != LOG_PIN_SAVING) || lsn < pin->lsn_min)
        return;
    /* Random, so that whoever held a pin in an earlier life of the server cannot keep this one. */
    do
        io_random(log->options.loop, &pin->id, sizeof pin->id);
    while (pin->id == 0);
    pin->phase = LOG_PIN_HELD;
    pin->asker = NULL;
    pin->lsn = lsn;
    pin->sealed_file = sealed_file;
    pin->log_held = true;
    pin->taken_total++;
    io_timer_start(log->options.loop, &pin->timer, LEASE_NS);
    asker->id = pin->id;
    asker->lsn = lsn;
    asker->log_uuid = log->meta.uuid;
    asker->data_directory = log->options.data_directory;
    logger_write(log->logger, LOG_LEVEL_INFO, "log_pin_taken",
                 "checkpoint %" PRIu64 " and what it names are held for a copy", lsn);
    answer(asker, err_ok());
}

void log_pin_failed(struct log *log, err_t error, bool saving)
{
    struct log_pin *pin = &log->pin;
    ASSERT(!err_is_ok(error));
    if (pin->phase == LOG_PIN_SAVING && saving)
        refuse(log, error);
    else if (pin->phase == LOG_PIN_SEALING)
        begin_saving(log);
    else if (pin->phase == LOG_PIN_HELD && err_is(error, ERR_NO_SPACE))
        log_pin_break(log, "the disk is full");
}

uint64_t log_pin_checkpoint(const struct log *log)
{
    ASSERT(log->pin.phase != LOG_PIN_HELD || log->pin.lsn > 0);
    return log->pin.phase == LOG_PIN_HELD ? log->pin.lsn : 0;
}

bool log_pin_holds(const struct log *log)
{
    ASSERT(log->pin.phase <= LOG_PIN_HELD);
    return log->pin.phase == LOG_PIN_HELD;
}

uint64_t log_pin_recyclable(const struct log *log)
{
    ASSERT(!log->pin.log_held || log->pin.phase == LOG_PIN_HELD);
    return log->pin.log_held ? log->pin.sealed_file : UINT64_MAX;
}

void log_pin_break(struct log *log, const char *why)
{
    ASSERT(log->pin.phase == LOG_PIN_HELD && why);
    log->pin.lost_total++;
    logger_write(log->logger, LOG_LEVEL_WARNING, "log_pin_lost",
                 "checkpoint %" PRIu64 " is not held any more: %s; the copy that is made of it "
                 "does not count",
                 log->pin.lsn, why);
    end(log);
}

void log_pin_stop(struct log *log)
{
    ASSERT(log->mode >= LOG_STOPPING);
    if (log->pin.asker)
        refuse(log, err_make(ERR_CANCELLED));
    else if (log->pin.phase == LOG_PIN_HELD)
        log_pin_break(log, "the server stops");
}

void log_pin_init(struct log *log)
{
    ASSERT(log->pin.phase == LOG_PIN_NONE);
    log->pin.timer.run = time_over;
}
