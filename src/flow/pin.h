#pragma once

/*
 * A pin: the log's state at one flushed frame, with all files that it names, stays on disk for as
 * long as somebody copies them. Taken, kept and given back by calls of their own, each answered
 * through `done` on the asker's loop. One pin at a time.
 *
 * A pin is a lease: who does not say in time that he still wants it has lost it, and so has who
 * keeps the log from files that it needs to take records. So it never stops intake, and a copy is
 * good only if its last call says so.
 */

#include "base/err.h"
#include "base/task.h"
#include "base/uuid.h"

struct io_loop;

/* How long a pin lasts without a word from its holder. */
#define FLOW_PIN_LEASE_MS 60000u

enum flow_pin_op {
    FLOW_PIN_TAKE, /* once what is acknowledged by now is flushed and, where that goes well, sealed
                    */
    FLOW_PIN_KEEP, /* the lease begins again */
    FLOW_PIN_KEEP_SEGMENTS, /* the same, and the log may have its own files back */
    FLOW_PIN_GIVE_BACK,
};

struct flow_pin {
    struct task task; /* the log's, as `log` */
    struct io_loop *home;
    void (*done)(struct flow_pin *pin);

    enum flow_pin_op op;
    uint64_t id; /* of the pin; result of TAKE: not 0, never the same twice */

    err_t error; /* TAKE: ERR_IN_USE (another one is out), ERR_BUSY, ERR_CANCELLED (stopping), what
                    writing the checkpoint failed with. Else ERR_NOT_FOUND: it was lost, or is of
                    another life of the server. ERR_UNSUPPORTED by a log without files */
    /* Results of TAKE. */
    uint64_t lsn;               /* of the frame, and the checkpoint's name */
    struct uuid log_uuid;       /* of the data directory */
    const char *data_directory; /* lives as long as the log */

    void *log;
};
