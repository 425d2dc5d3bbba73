#pragma once

/*
 * Dead letters of a sink on their way back to it. The runner of each sink exports one of these;
 * sources/redrive hands it letters, a few at a time, and it makes an epoch of them: they are
 * delivered and settled by the same commit, or neither. All on one loop; `done` never comes within
 * a call.
 */

#include "base/buf.h"
#include "base/err.h"
#include "base/list.h"
#include "base/task.h"
#include "flow/commit.h"

struct flow_redelivery_letter {
    int64_t letter_offset; /* in the DLQ */
    uint32_t partition;    /* of the topic: which record it is */
    int64_t offset;
    size_t at; /* of a batch that holds that record alone, in `bytes` */
    size_t size;
    bool refused; /* result: the sink refuses it once more; it stays held */
};

/* Its owner's, with all that it points to; whoever takes it has it until `done`. */
struct flow_redelivery {
    struct task task; /* the taker's, as what follows */
    struct list link;
    bool answered;

    void (*done)(struct flow_redelivery *redelivery);
    const char *topic; /* whose letters they are */
    uint32_t topic_id;
    uint32_t dlq_id;
    uint32_t dlq_partition;
    struct flow_redelivery_letter *letters; /* by rising letter_offset; at least one */
    uint32_t count;
    struct flow_sink_range *ranges; /* room for `count`: the taker's */
    struct buf bytes;

    /* Results. With OK the first `taken` letters are delivered and settled, or refused; the others
     * were not looked at. With ERR_FENCED nobody knows what became of them. With any other error
     * all are as they were: ERR_BUSY, the sink or the log is in trouble, and `why` says which;
     * ERR_CANCELLED; ERR_OFFSET_RANGE, some are settled or gone; what else the log refuses. */
    err_t error;
    struct err_text why;
    uint32_t taken;
};

struct flow_redeliver {
    const char *name; /* the sink's */
    void (*take)(struct flow_redeliver *redeliver, struct flow_redelivery *redelivery);
    /* Makes it come back soon, with ERR_CANCELLED unless it is being delivered already. */
    void (*cancel)(struct flow_redeliver *redeliver, struct flow_redelivery *redelivery);
};
