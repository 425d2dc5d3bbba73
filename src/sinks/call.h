#pragma once

/*
 * One call of a plug-in's verb, made on the sink's worker: the part of a runner that blocks. The
 * runner fills in the verb and its input, offloads `job`, and reads the result when it is done;
 * in between the call and everything it points to belong to the worker.
 */

#include "flow/batch.h"
#include "flow/redeliver.h"
#include "io/loop.h"
#include "sinks/letter.h"
#include "sinks/sinks.h"

enum sinks_verb {
    SINKS_VERB_OPEN,
    SINKS_VERB_WRITE,
    SINKS_VERB_REDRIVE, /* `write`, with dead letters */
    SINKS_VERB_PREPARE,
    SINKS_VERB_PUBLISH,
    SINKS_VERB_DISCARD,
    SINKS_VERB_CLOSE,
};

/* Batches of one partition, as a read of the log gave them. */
struct sinks_write {
    const struct slice *batches;
    uint32_t batch_count;
    uint32_t topic_id;
    struct sinks_letter about;          /* topic, partition, and what dead letters say */
    struct flow_batch_builder *letters; /* refused records are added */
    int64_t next_offset;                /* in: the first to deliver; result: after the last done */
    uint64_t delivered;                 /* results, of this write alone */
    uint64_t dead_lettered;
    uint64_t letters_size; /* bytes added to `letters` */
    bool roll;
    err_t unreadable; /* not OK: what is at next_offset is no good batch; the call's error is OK */
};

struct sinks_call {
    struct io_job job; /* the runner's, with its `done`; `work` is sinks_call_work */
    const struct sinks_plugin *plugin;
    struct sinks_open open;
    void *instance; /* NULL: not open */
    enum sinks_verb verb;
    struct sinks_write write;
    struct flow_redelivery *redelivery; /* of REDRIVE: fills in `taken` and what is refused */
    uint32_t redelivered;               /* result: letters that were written */
    uint64_t epoch;                     /* of PREPARE, with the next three */
    const struct flow_sink_range *ranges;
    uint32_t range_count;
    struct buf *outputs; /* made by PREPARE, given to PUBLISH */
    struct buf unpacked; /* scratch of WRITE, freed by CLOSE */
    err_t error;
    struct err_text why; /* of `error` or of `unreadable` */
};

/* Does what `verb` says. Every batch is checked, record by record, and unpacked before the plug-in
 * sees it: for that a write takes memory for one batch, FLOW_BATCH_UNPACKED_SIZE_MAX at the most.
 */
void sinks_call_work(struct io_job *job);
