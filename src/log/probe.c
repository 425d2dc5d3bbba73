#include "log/log_int.h"

#include "base/alloc.h"
#include "base/assert.h"

#include <stdlib.h>

/*
 * Keys in the files of closed buckets. Filters are in memory and asked on the sequencer's loop; a
 * key that passes one is read by a worker, in one job with all that the commits behind in the queue
 * need. A commit goes on when the files it was held against are all that there are: one that has
 * come since, in place of a table, is looked into too.
 *
 * Failure modes: a read that fails, or a block that does not fit its checksum, is the error of the
 * commit that needed it. Commits that were answered meanwhile are passed over.
 */

#define PROBES_MAX 65536u

/* As they lie on the disk. */
static int rising(const void *a, const void *b)
{
    const struct log_probe *x = *(const struct log_probe *const *)a;
    const struct log_probe *y = *(const struct log_probe *const *)b;
    if (x->bucket != y->bucket)
        return x->bucket < y->bucket ? -1 : 1;
    return (x->key.high > y->key.high) - (x->key.high < y->key.high);
}

/* The probes themselves stay where they are: the loop takes back what was answered meanwhile. In
 * another order they are only slower, so memory may be lacking. */
static void probe_work(struct io_job *job)
{
    struct log_prober *prober = CONTAINER_OF(job, struct log_prober, job);
    struct log_keys_block last = {0};
    ASSERT(prober->running);
    struct log_probe **order = mem_alloc(prober->count * sizeof(struct log_probe *));
    for (size_t i = 0; order && i < prober->count; i++)
        order[i] = &prober->probes[i];
    if (order)
        qsort(order, prober->count, sizeof(struct log_probe *), rising);
    for (size_t i = 0; i < prober->count; i++) {
        struct log_probe *probe = order ? order[i] : &prober->probes[i];
        probe->error = log_keys_file_probe(&probe->bucket->file, probe->key, &last, &probe->found);
    }
    mem_free(order);
}

static void take_result(struct log *log, const struct log_probe *probe)
{
    struct flow_commit *commit = probe->commit;
    log->counters.probes++;
    log->counters.probes_false += err_is_ok(probe->error) && !probe->found;
    if (!commit)
        return;
    ASSERT(commit->probes > 0);
    commit->probes--;
    if (!err_is_ok(probe->error)) {
        /* Whatever it was: nothing of the commit has happened, and it may be sent again. */
        commit->probe_error = err_make(ERR_IO);
    }
    if (!err_is_ok(probe->error) && !log->prober.reported) {
        log->prober.reported = true;
        logger_write(log->logger, LOG_LEVEL_ERROR, "log_keys_unreadable",
                     "a file of idempotency keys cannot be read (%s): records whose keys may be in "
                     "it are refused; stop the server and run garner fsck",
                     err_string(probe->error));
    }
    if (probe->found)
        flow_set_bit(commit->appends[probe->append].duplicates, probe->record);
}

static void probe_done(struct io_job *job)
{
    struct log_prober *prober = CONTAINER_OF(job, struct log_prober, job);
    struct log *log = CONTAINER_OF(prober, struct log, prober);
    ASSERT(prober->running);
    prober->running = false;
    bool failed = false;
    for (size_t i = 0; i < prober->count; i++)
        failed = failed || !err_is_ok(prober->probes[i].error);
    prober->reported = prober->reported && failed;
    for (size_t i = 0; i < prober->count; i++)
        take_result(log, &prober->probes[i]);
    log_probe_done(log);
    log_sequencer_pump(log);
}

static err_t add_probe(struct log_prober *prober, const struct log_probe *probe)
{
    ASSERT(prober->count <= prober->capacity);
    if (prober->count == prober->capacity) {
        size_t capacity = prober->capacity ? prober->capacity * 2 : 64;
        struct log_probe *grown = mem_realloc(prober->probes, capacity, sizeof *grown);
        if (!grown)
            return err_make(ERR_MEMORY);
        prober->probes = grown;
        prober->capacity = capacity;
    }
    prober->probes[prober->count++] = *probe;
    log_keys_bucket_hold(probe->bucket);
    probe->commit->probes++;
    return err_ok();
}

struct gathering {
    struct log_prober *prober;
    struct flow_commit *commit;
    uint32_t append;
};

/* A key can be in one file only, but filters err: each that does not rule it out is asked. */
static err_t passed(void *context, uint32_t index, struct log_keys_bucket *bucket)
{
    const struct gathering *g = context;
    ASSERT(bucket->sorted);
    return add_probe(g->prober, &(struct log_probe){
                                    .commit = g->commit,
                                    .append = g->append,
                                    .record = index,
                                    .bucket = bucket,
                                    .key = g->commit->appends[g->append].keys[index],
                                    .error = err_ok(),
                                });
}

/* Asks the filters for one commit; files that it was held against before are left out. */
static err_t gather(struct log *log, struct flow_commit *commit)
{
    struct gathering g = {&log->prober, commit, 0};
    ASSERT(commit->probes == 0);
    for (; g.append < commit->append_count; g.append++) {
        const struct flow_append *append = &commit->appends[g.append];
        const struct log_topic *topic = log_state_topic(&log->state, append->topic_id);
        /* One without a topic, or without room for the answer, is refused when its turn comes. */
        if (!append->keys || !append->duplicates || !topic || !topic->keys)
            continue;
        TRY(log_keys_ask(topic->keys,
                         &(struct log_keys_question){.keys = append->keys,
                                                     .known = append->duplicates,
                                                     .count = append->record_count,
                                                     .since = commit->probed},
                         passed, &g));
    }
    commit->probed = log->state.keys_installs;
    return err_ok();
}

/* The commit's own probes are taken back. */
static void take_probes_back(struct log_prober *prober, struct flow_commit *commit)
{
    ASSERT(!prober->running);
    while (prober->count > 0 && prober->probes[prober->count - 1].commit == commit)
        log_keys_bucket_release(prober->probes[--prober->count].bucket);
    commit->probes = 0;
}

bool log_probe_must_wait(struct log *log, struct flow_commit *first)
{
    struct log_prober *prober = &log->prober;
    ASSERT(!list_empty(&log->queue));
    if (first->probed == log->state.keys_installs || !log_compose_has_keys(first))
        return first->probes > 0;
    if (prober->running)
        return true;
    for (struct list *link = log->queue.next; link != &log->queue && prober->count < PROBES_MAX;
         link = link->next) {
        struct flow_commit *commit = CONTAINER_OF(link, struct flow_commit, link);
        if (commit->probed == log->state.keys_installs)
            continue;
        err_t err = gather(log, commit);
        if (err_is_ok(err))
            continue;
        /* The others behind may do better in their turn. */
        take_probes_back(prober, commit);
        if (commit == first) {
            commit->probe_error = err;
            commit->probed = log->state.keys_installs;
        }
        break;
    }
    if (prober->count == 0)
        return false;
    prober->running = true;
    io_offload(log->options.reader, &prober->job);
    return first->probes > 0;
}

void log_probe_forget_one(struct log *log, struct flow_commit *commit)
{
    ASSERT(log->prober.running || commit->probes == 0);
    for (size_t i = 0; i < log->prober.count && commit->probes > 0; i++) {
        if (log->prober.probes[i].commit != commit)
            continue;
        log->prober.probes[i].commit = NULL;
        commit->probes--;
    }
}

void log_probe_forget(struct log *log)
{
    ASSERT(log->prober.probes || log->prober.count == 0);
    for (size_t i = 0; i < log->prober.count; i++)
        log->prober.probes[i].commit = NULL;
}

void log_probe_done(struct log *log)
{
    struct log_prober *prober = &log->prober;
    ASSERT(prober->probes || prober->count == 0);
    for (size_t i = 0; i < prober->count; i++)
        log_keys_bucket_release(prober->probes[i].bucket);
    mem_free(prober->probes);
    prober->probes = NULL;
    prober->count = prober->capacity = 0;
}

void log_probe_init(struct log *log)
{
    ASSERT(!log->prober.running);
    log->prober.job =
        (struct io_job){.home = log->options.loop, .work = probe_work, .done = probe_done};
}
