#pragma once

/*
 * Sinks: what records are pushed to. A sink is a plug-in: encode and send, nothing else. The
 * runner (sinks/runner.h) owns everything around it: cursors, epochs, retry, breaker, dead
 * letters, memory.
 *
 * An epoch is what a sink delivers at once: for each of its partitions a range of offsets. The
 * runner writes batches to the plug-in, then closes the epoch in two steps that survive a crash
 * at any moment: `prepare` makes the epoch's bytes durable where readers do not look and tells
 * under which names; the runner commits that to the log; `publish` makes them visible; the
 * runner commits the end, with the cursors. After a restart a prepared epoch is published
 * (again), never rebuilt; one that was not prepared is discarded and read again.
 *
 * All verbs block, run on the sink's own worker, one at a time, and leave the instance usable
 * when they fail with a retriable error. An instance belongs to that worker from open to close.
 */

#include "base/buf.h"
#include "base/err.h"
#include "base/option.h"
#include "flow/batch.h"
#include "flow/commit.h"
#include "io/disk.h"
#include "io/loop.h"

struct sinks_open {
    const char *name;    /* the sink's, from the configuration */
    const void *options; /* as the plug-in's table describes; lives as long as the instance */
    struct io_disk *disk;
    uint64_t seed; /* random, for hash tables whose keys come from records */
};

/* A batch to write, with where it comes from. */
struct sinks_batch {
    const char *topic;
    uint32_t topic_id;
    uint32_t partition;
    int64_t offset_min; /* records before it in the batch are delivered already: skip them */
    bool redriven;      /* a dead letter of this sink, which alone is in its batch. Such batches
                           make an epoch of their own, whose ranges are of the DLQ */
    struct flow_batch batch; /* checked, not compressed */
};

/* A record that the sink will never take, and why (not retriable). */
struct sinks_refusal {
    int64_t offset;
    const char *reason; /* stable code, static */
    char detail[160];
};

/* What `write` did: `delivered` records are in the open epoch; refused ones are listed, in the
 * order of their offsets (grown with sinks_refuse). */
struct sinks_result {
    uint64_t delivered;
    struct sinks_refusal *refusals;
    size_t refusal_count;
    size_t refusal_capacity;
    bool roll; /* the sink wants the epoch closed (size reached, too many files) */
};

struct sinks_plugin {
    const char *name;             /* as in `type: file` */
    const char *help;             /* one line for the reference page */
    const struct option *options; /* besides `type` and `topics`, which every sink has */
    size_t options_size;
    /* Checks values that a table cannot express; detail says what to write instead. May be NULL. */
    err_t (*check)(const void *options, struct err_text *why);
    /* Checks two sinks of this type against each other (one path twice). May be NULL. */
    err_t (*check_pair)(const void *a, const void *b, struct err_text *why);
    /* Milliseconds after its first record at which an epoch is closed; not 0. Any thread. */
    uint64_t (*roll_time_ms)(const void *options);
    err_t (*open)(const struct sinks_open *open, void **instance, struct err_text *why);
    void (*close)(void *instance);
    /* Appends one batch to the open epoch, begun by the first write. Every record from
     * `offset_min` on is either delivered or refused. On an error nothing of the batch counts and
     * the runner calls `discard` and starts the epoch again, whether the error is retriable or
     * not: a record that can never be taken is a refusal, not an error. */
    err_t (*write)(void *instance, const struct sinks_batch *batch, struct sinks_result *result,
                   struct err_text *why);
    /* Makes everything written since the epoch began durable and appends to `outputs` all that
     * `publish` needs, in the plug-in's own encoding. Epochs have numbers of their own, which rise
     * and are never given twice to what is published. */
    err_t (*prepare)(void *instance, uint64_t epoch, const struct flow_sink_range *ranges,
                     uint32_t range_count, struct buf *outputs, struct err_text *why);
    /* Makes a prepared epoch visible, durably. Called again after a failure or a crash: what is
     * done already is success. */
    err_t (*publish)(void *instance, struct slice outputs, struct err_text *why);
    /* Forgets the open epoch and removes what is left of it and of earlier ones that were never
     * prepared. Called before the first write and after failures, never while a prepared epoch
     * waits to be published. Cannot fail; what it leaves behind is for the next call. */
    void (*discard)(void *instance);
};

/* Adds a refusal with a printf detail. ERR_MEMORY. */
err_t sinks_refuse(struct sinks_result *result, int64_t offset, const char *reason,
                   const char *format, ...) __attribute__((format(printf, 4, 5)));
void sinks_result_done(struct sinks_result *result);
