#pragma once

/*
 * Dead letters: read, redriven, purged. Redriving is a source: it reads the topic's DLQ and hands
 * each letter's original bytes to an inlet as one record, with what it carries on; what becomes of
 * it and the end of the letter are one commit, so that a crash can neither lose nor repeat one. A
 * letter that a sink has refused goes to that sink alone (flow/redeliver.h).
 *
 * An actor on one loop. One redrive or purge a topic at a time; it takes the letters that were
 * there when it began, goes on when nobody watches, and is over when the server stops: what is
 * still held then, the next one takes. Each is written to the topic `_audit` when it begins and
 * when it ends, dry runs not.
 */

#include "base/logger.h"
#include "flow/inlet.h"
#include "flow/letters.h"
#include "flow/log.h"
#include "flow/redeliver.h"
#include "io/loop.h"

struct sources_redrive;

struct sources_redrive_options {
    struct io_loop *loop;
    struct flow_log *log;
    struct flow_inlet *inlet; /* on the same loop, for nothing else (flow/inlet.h) */
    struct logger *logger;
};

/* ERR_MEMORY. */
err_t sources_redrive_new(const struct sources_redrive_options *options,
                          struct sources_redrive **out);
/* The sinks to which letters can go back; copied, once, before anything is asked. They are not
 * used behind a stop, but for what they still have: that is freed when they give it back.
 * ERR_MEMORY. */
err_t sources_redrive_set_sinks(struct sources_redrive *redrive,
                                struct flow_redeliver *const *sinks, uint32_t count);
/* What the admin door asks; as long as the object. */
struct flow_letters *sources_redrive_letters(struct sources_redrive *redrive);
/* Cancels what runs and refuses what comes; `stopped` is called on the loop once nothing is under
 * way, at once (not within the call) when nothing is. */
void sources_redrive_stop(struct sources_redrive *redrive, void (*stopped)(void *owner),
                          void *owner);
/* Frees a stopped one, or one that was never asked. */
void sources_redrive_free(struct sources_redrive **redrive);
