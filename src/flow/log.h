#pragma once

/*
 * The log as every stage sees it. The engine on local disk is log/; another transport implements
 * the same operations. All calls come from the loop named `home` in what they hand over, and are
 * answered there. Calls never fail: what cannot be done is said in the answer.
 */

#include "base/assert.h"
#include "flow/commit.h"
#include "flow/find.h"
#include "flow/offsets.h"
#include "flow/pin.h"
#include "flow/reader.h"
#include "flow/snapshot.h"

struct flow_log;

struct flow_log_ops {
    void (*commit)(struct flow_log *log, struct flow_commit *commit);
    void (*read)(struct flow_log *log, struct flow_read *read);
    void (*cancel)(struct flow_log *log, struct flow_read *read);
    void (*release)(struct flow_log *log, struct flow_read *read);
    void (*snapshot)(struct flow_log *log, struct flow_snapshot *snapshot);
    void (*find)(struct flow_log *log, struct flow_find *find);
    void (*pin)(struct flow_log *log, struct flow_pin *pin);
    void (*offsets)(struct flow_log *log, struct flow_offsets *offsets);
};

struct flow_log {
    const struct flow_log_ops *ops;
};

/* Hands a commit over (flow/commit.h). */
static inline void flow_log_commit(struct flow_log *log, struct flow_commit *commit)
{
    ASSERT(commit->home && commit->done);
    log->ops->commit(log, commit);
}

/* Asks for batches (flow/reader.h). */
static inline void flow_log_read(struct flow_log *log, struct flow_read *read)
{
    ASSERT(read->home && read->done);
    log->ops->read(log, read);
}

/* Makes a waiting read answer soon, with ERR_CANCELLED unless it is answered already. `done` is
 * still called, once; `read` must live until then. At most one cancel a read. */
static inline void flow_log_cancel(struct flow_log *log, struct flow_read *read)
{
    ASSERT(read->home && read->done);
    log->ops->cancel(log, read);
}

/* Gives the batches of an answered read back; after it `read` can be used again at once. Must be
 * called for every answer, also one without batches. */
static inline void flow_log_release(struct flow_log *log, struct flow_read *read)
{
    ASSERT(read->home && read->done);
    log->ops->release(log, read);
}

/* Asks for the state (flow/snapshot.h). */
static inline void flow_log_snapshot(struct flow_log *log, struct flow_snapshot *snapshot)
{
    ASSERT(snapshot->home && snapshot->done);
    log->ops->snapshot(log, snapshot);
}

/* Asks for an offset by time (flow/find.h). */
static inline void flow_log_find(struct flow_log *log, struct flow_find *find)
{
    ASSERT(find->home && find->done);
    log->ops->find(log, find);
}

/* Takes, keeps or gives back a pin (flow/pin.h). */
static inline void flow_log_pin(struct flow_log *log, struct flow_pin *pin)
{
    ASSERT(pin->home && pin->done);
    log->ops->pin(log, pin);
}

/* Asks for what consumer groups have committed (flow/offsets.h). */
static inline void flow_log_offsets(struct flow_log *log, struct flow_offsets *offsets)
{
    ASSERT(offsets->home && offsets->done);
    log->ops->offsets(log, offsets);
}
