#pragma once

/*
 * The pin (flow/pin.h): what a backup copies stays as it is. While it is held the checkpoint stays,
 * no file of a segment or topic is removed, and until the holder says that it has what it needs of
 * them, no file of the log that the checkpoint has not sealed is used again. Belongs to the
 * sequencer's loop.
 *
 *          TAKE                 sealed up to there,          a checkpoint
 *   NONE ───────► SEALING ───── or not to be had ──► SAVING ───────────────► HELD
 *    ▲               │                                 │ failed                │ given back,
 *    └───────────────┴────────── stop ─────────────────┴───────────────────────┘ lease over,
 *                                                                                log full, no space
 */

#include "flow/pin.h"
#include "io/loop.h"

struct log;
struct flow_log;

enum log_pin_phase { LOG_PIN_NONE, LOG_PIN_SEALING, LOG_PIN_SAVING, LOG_PIN_HELD };

struct log_pin {
    enum log_pin_phase phase;
    struct flow_pin *asker; /* of TAKE, while it waits */
    struct io_timer timer;  /* SEALING: patience; HELD: the lease */
    uint64_t id;
    uint64_t lsn_min;     /* acknowledged when it was asked for */
    uint64_t seal_file;   /* to be sealed first */
    uint64_t lsn;         /* HELD: the checkpoint */
    uint64_t sealed_file; /* HELD: files up to it are in segments */
    bool log_held;        /* files behind that are not used again */
    uint64_t taken_total;
    uint64_t lost_total;
};

void log_pin_init(struct log *log);
/* flow_log_ops. */
void log_pin_ask(struct flow_log *flow, struct flow_pin *pin);
/* Moves on when sealing has: from each turn of the pump. */
void log_pin_pump(struct log *log);
/* A checkpoint is to be written for it. */
bool log_pin_wants_checkpoint(const struct log *log);
/* One was written; its frame, and the last file that it has sealed. */
void log_pin_saved(struct log *log, uint64_t lsn, uint64_t sealed_file);
/* Sealing (or, with `saving`, writing a checkpoint) has failed. */
void log_pin_failed(struct log *log, err_t error, bool saving);
/* The checkpoint that must not be removed; 0: none. */
uint64_t log_pin_checkpoint(const struct log *log);
/* Files of segments are not removed. */
bool log_pin_holds(const struct log *log);
/* The highest number of a file that the pin lets the log use again. */
uint64_t log_pin_recyclable(const struct log *log);
/* Takes it from its holder, whose next call hears of it; `why` is for the log. */
void log_pin_break(struct log *log, const char *why);
/* Answers who waits with ERR_CANCELLED, and ends it. */
void log_pin_stop(struct log *log);
