#include <inttypes.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "control/catalog/change.h"
#include "control/catalog/versions.h"
#include "flow/topics.h"
#include "io/uv/uv.h"
#include "server/plugins.h"
#include "server/server_int.h"

/*
 * Contracts name topics, the log numbers them. At the start the two are brought together: one
 * commit creates every topic that is missing, a second one their DLQs (which name their topic by
 * its number), and partitions are raised where a contract asks for more; a third one says of all
 * whose contract has changed what is kept of them. Nothing is deleted here: that is for the log, by
 * what it was told.
 *
 * A topic whose contract is gone keeps what it was told last. An open topic (open_topics.c), which
 * a contract comes to declare, is that contract's from then on.
 */

#define DLQ_SUFFIX ".dlq"

/* A call to the log that the control loop waits for. */
struct waiting {
    struct flow_commit commit;
    struct io_loop *loop;
};

static void commit_back(struct flow_commit *commit)
{
    io_uv_loop_stop(CONTAINER_OF(commit, struct waiting, commit)->loop);
}

/* Only at the start: the control loop has nothing else to do yet. What the commit points to stays
 * where it is until the answer, since this frame does. */
static err_t commit_and_wait(struct server *server, struct waiting *w)
{
    w->loop = server->control;
    w->commit.home = server->control;
    w->commit.done = commit_back;
    /* Never answered from within the call: the loop is running before it is stopped. */
    flow_log_commit(log_flow(server->log), &w->commit);
    io_uv_loop_run(server->control);
    return w->commit.error;
}

/* The control loop runs for this one answer, as it does for a commit. */
static void snapshot_back(struct flow_snapshot *snapshot)
{
    io_uv_loop_stop(snapshot->home);
}

err_t server_snapshot(struct server *server, struct flow_snapshot *snapshot)
{
    ASSERT(server->log);
    *snapshot = (struct flow_snapshot){.home = server->control, .done = snapshot_back};
    flow_log_snapshot(log_flow(server->log), snapshot);
    io_uv_loop_run(server->control);
    err_t err = snapshot->error;
    /* Whoever gets an error has nothing to free. */
    if (!err_is_ok(err))
        flow_snapshot_done(snapshot);
    return err;
}

/* From the first day, so that a topic that is deleted and made again is another one to whoever
 * stored its offsets. */
static struct uuid random_uuid(struct server *server)
{
    uint8_t random[16];
    io_random(server->control, random, sizeof random);
    return uuid_from_random(random);
}

static bool dlq_name(const char *topic, char out[static FLOW_TOPIC_NAME_MAX + 1])
{
    int size = snprintf(out, FLOW_TOPIC_NAME_MAX + 1, "%s" DLQ_SUFFIX, topic);
    return size > 0 && (unsigned)size <= FLOW_TOPIC_NAME_MAX;
}

/* Names beside the items: a change refers to its name until the log has answered. */
static err_t changes_new(struct server_changes *changes, size_t count)
{
    *changes = (struct server_changes){
        .items = mem_zalloc(count + 1, sizeof *changes->items),
        .names = mem_zalloc(count + 1, sizeof *changes->names),
    };
    return changes->items && changes->names ? err_ok() : err_make(ERR_MEMORY);
}

void server_changes_done(struct server_changes *changes)
{
    mem_free(changes->items);
    mem_free(changes->names);
}

/* The first pass: topics themselves. */
static err_t add_topic(struct server *server, const struct flow_snapshot *snapshot,
                       const struct control_catalog_topic *topic, struct server_changes *changes,
                       struct err_text *why)
{
    const struct flow_topic_state *known = flow_snapshot_topic(snapshot, slice_string(topic->name));
    struct flow_topic_change *change = &changes->items[changes->count];
    if (!known) {
        *change = (struct flow_topic_change){
            .op = FLOW_TOPIC_CREATE,
            .uuid = random_uuid(server),
            .name = slice_string(topic->name),
            .partition_count = topic->partitions,
        };
        changes->count++;
    } else if (known->partition_count > topic->partitions) {
        /* Refused before anything was changed: with other partitions than its contract says a
         * server would misplace keys. */
        err_t err = control_catalog_lowered(topic, known->partition_count, why);
        err_prefix(why, "%s:%u:%u: partitions", topic->file, topic->line, topic->column);
        return err;
    } else if (known->partition_count < topic->partitions) {
        *change = (struct flow_topic_change){.op = FLOW_TOPIC_PARTITIONS,
                                             .topic_id = known->id,
                                             .partition_count = topic->partitions};
        changes->count++;
        logger_write(&server->logger.logger, LOG_LEVEL_WARNING, "topic_partitions_raised",
                     "topic %s: from %u to %u partitions; keys may move to other partitions, so "
                     "order a key holds from here on only",
                     topic->name, known->partition_count, topic->partitions);
    }
    return err_ok();
}

/* The second pass: a DLQ for every topic. */
static err_t add_dlq(struct server *server, const struct flow_snapshot *snapshot,
                     const struct control_catalog_topic *topic, struct server_changes *changes,
                     struct err_text *why)
{
    char *name = changes->names[changes->count];
    if (!dlq_name(topic->name, name))
        /* The catalog has refused such a name already; here the buffer is what matters. */
        return err_set(why, ERR_CONFIG, "%s:%u:%u: topic: the name is too long", topic->file,
                       topic->line, topic->column);
    /* Also what a crash between the two commits left: topics without a DLQ get it by the next
     * start, before any door is open. */
    if (flow_snapshot_topic(snapshot, slice_string(name)))
        return err_ok();
    const struct flow_topic_state *parent =
        flow_snapshot_topic(snapshot, slice_string(topic->name));
    /* Only while the server runs: an operator has deleted it since the pass before. */
    if (!parent)
        return err_set(why, ERR_NOT_FOUND, "topic %s was deleted meanwhile; reload again",
                       topic->name);
    changes->items[changes->count++] = (struct flow_topic_change){
        .op = FLOW_TOPIC_CREATE,
        .uuid = random_uuid(server),
        .name = slice_string(name),
        /* One: dead letters are few, and their order is worth more to a person than their speed. */
        .partition_count = 1,
        .parent_id = parent->id,
    };
    return err_ok();
}

static enum flow_codec codec_of(const struct control_catalog_topic *topic)
{
    static const enum flow_codec codecs[] = {
        [CONTROL_CATALOG_NONE] = FLOW_CODEC_NONE,     [CONTROL_CATALOG_GZIP] = FLOW_CODEC_GZIP,
        [CONTROL_CATALOG_SNAPPY] = FLOW_CODEC_SNAPPY, [CONTROL_CATALOG_LZ4] = FLOW_CODEC_LZ4,
        [CONTROL_CATALOG_ZSTD] = FLOW_CODEC_ZSTD,
    };
    ASSERT(topic->compression < sizeof(codecs) / sizeof(codecs[0]));
    return codecs[topic->compression];
}

static struct flow_topic_config topic_config(const struct control_catalog_topic *topic)
{
    return (struct flow_topic_config){
        .retention_ms = topic->retention.time_ms,
        .retention_bytes = topic->retention.size_bytes,
        .codec = codec_of(topic),
        .expire_undelivered = topic->retention.expire_undelivered,
        .dedup_window_ms = topic->dedup.key ? topic->dedup.window_ms : 0,
        .dedup_memory_bytes = topic->dedup.key ? topic->dedup.memory_bytes : 0,
    };
}

/* A cap that refuses is held where records come in (pipeline/check): the log then deletes nothing
 * for the sake of size. */
static struct flow_topic_config dlq_config(const struct control_catalog_topic *topic)
{
    bool drops = topic->dlq.when_full == CONTROL_CATALOG_DROP_OLDEST;
    return (struct flow_topic_config){
        .retention_ms = topic->dlq.retention_ms,
        .retention_bytes = drops ? topic->dlq.size_bytes : 0,
        .codec = codec_of(topic),
        .expire_undelivered = drops,
    };
}

/* Field by field, since a comparison of bytes would see the padding. */
static bool config_equal(const struct flow_topic_config *a, const struct flow_topic_config *b)
{
    return a->retention_ms == b->retention_ms && a->retention_bytes == b->retention_bytes &&
           a->codec == b->codec && a->expire_undelivered == b->expire_undelivered &&
           a->dedup_window_ms == b->dedup_window_ms &&
           a->dedup_memory_bytes == b->dedup_memory_bytes && a->open == b->open;
}

/* Less than before, so that records will go that were promised to stay: worth a line. 0 is no
 * limit. */
static bool keeps_less(const struct flow_topic_state *state, const struct flow_topic_config *to)
{
    const struct flow_topic_config *from = &state->config;
    uint64_t none = UINT64_MAX;
    uint64_t from_bytes = flow_topic_bytes_max(from, state->partition_count);
    return (to->retention_ms ? to->retention_ms : none) <
               (from->retention_ms ? from->retention_ms : none) ||
           (to->retention_bytes ? to->retention_bytes : none) < (from_bytes ? from_bytes : none) ||
           (to->expire_undelivered && !from->expire_undelivered);
}

static void configure(struct server *server, const struct flow_topic_state *state,
                      struct flow_topic_config config, struct server_changes *changes)
{
    if (config_equal(&state->config, &config))
        return;
    /* Kept for as long as the topic has keys: fingerprints of another would be of other keys. */
    if (config.dedup_window_ms > 0)
        config.dedup_secret =
            state->config.dedup_window_ms > 0 ? state->config.dedup_secret : random_uuid(server);
    changes->items[changes->count++] = (struct flow_topic_change){
        .op = FLOW_TOPIC_CONFIG, .topic_id = state->id, .config = config};
    /* All zeros is a topic that has just been made. */
    static const struct flow_topic_config fresh;
    if (!config_equal(&state->config, &fresh) && keeps_less(state, &config))
        logger_write(&server->logger.logger, LOG_LEVEL_WARNING, "topic_keeps_less",
                     "topic %s: its contract keeps less than before, what is beyond that will be "
                     "deleted: %" PRIu64 " ms and %" PRIu64 " bytes (0: no limit)%s",
                     state->name, config.retention_ms, config.retention_bytes,
                     config.expire_undelivered ? ", delivered or not" : "");
}

/* The third pass: what is kept. */
static err_t add_config(struct server *server, const struct flow_snapshot *snapshot,
                        const struct control_catalog_topic *topic, struct server_changes *changes,
                        struct err_text *why)
{
    char name[FLOW_TOPIC_NAME_MAX + 1];
    bool named = dlq_name(topic->name, name);
    const struct flow_topic_state *state = flow_snapshot_topic(snapshot, slice_string(topic->name));
    const struct flow_topic_state *dlq = flow_snapshot_topic(snapshot, slice_string(name));
    ASSERT(named);
    if (!state || !dlq)
        return err_set(why, ERR_NOT_FOUND, "topic %s was deleted meanwhile; reload again",
                       topic->name);
    configure(server, state, topic_config(topic), changes);
    configure(server, dlq, dlq_config(topic), changes);
    return err_ok();
}

/* With the first schema: it keeps what schemas topics had, for ever. */
static void add_versions_topic(struct server *server, const struct control_catalog *catalog,
                               const struct flow_snapshot *snapshot, struct server_changes *changes)
{
    struct slice name = SLICE_LITERAL(CONTROL_CATALOG_VERSIONS_TOPIC);
    if (catalog->schema_count > 0 && !flow_snapshot_topic(snapshot, name))
        changes->items[changes->count++] = (struct flow_topic_change){.op = FLOW_TOPIC_CREATE,
                                                                      .uuid = random_uuid(server),
                                                                      .name = name,
                                                                      .partition_count = 1};
}

typedef err_t add_fn(struct server *server, const struct flow_snapshot *snapshot,
                     const struct control_catalog_topic *topic, struct server_changes *changes,
                     struct err_text *why);

/* What a pass adds is decided by what the log says it has, and not by what the pass before has
 * asked for: a start that was killed in between goes on where it was. */
err_t server_topics_pass(struct server *server, const struct control_catalog *catalog,
                         unsigned pass, const struct flow_snapshot *snapshot,
                         struct server_changes *out, struct err_text *why)
{
    static add_fn *const passes[SERVER_TOPIC_PASSES] = {add_topic, add_dlq, add_config};
    ASSERT(pass < SERVER_TOPIC_PASSES);
    /* A topic's and its DLQ's, and one that has no contract. */
    err_t err = changes_new(out, 2 * catalog->topic_count + 1);
    if (err_is_ok(err) && pass == 0)
        add_versions_topic(server, catalog, snapshot, out);
    for (size_t i = 0; i < catalog->topic_count && err_is_ok(err); i++)
        err = passes[pass](server, snapshot, &catalog->topics[i], out, why);
    return err;
}

/* Reads what is there, adds what is missing, in one commit: all of it or nothing. */
static err_t run_pass(struct server *server, unsigned pass, struct err_text *why)
{
    struct flow_snapshot snapshot;
    struct server_changes changes;
    TRY(server_snapshot(server, &snapshot));
    err_t err = server_topics_pass(server, server->catalog, pass, &snapshot, &changes, why);
    /* Mostly nothing is to be done, and then nothing is written: a start leaves the log as it
     * was. */
    if (err_is_ok(err) && changes.count > 0) {
        struct waiting w = {.commit = {.topics = changes.items, .topic_count = changes.count}};
        err = commit_and_wait(server, &w);
    }
    server_changes_done(&changes);
    flow_snapshot_done(&snapshot);
    return err;
}

/* The topic's DLQ, or NULL. */
static const struct flow_topic_state *dlq_of(const struct flow_snapshot *snapshot,
                                             const char *topic)
{
    char name[FLOW_TOPIC_NAME_MAX + 1];
    return dlq_name(topic, name) ? flow_snapshot_topic(snapshot, slice_string(name)) : NULL;
}

static struct pipeline_check_topic describe(const struct control_catalog_topic *topic,
                                            const struct flow_topic_state *state,
                                            const struct flow_topic_state *dlq)
{
    return (struct pipeline_check_topic){
        .name = topic->name,
        .topic_id = state->id,
        .uuid = state->uuid,
        .dlq_id = dlq->id,
        /* The log's and not the contract's: this is where the records are. */
        .partition_count = state->partition_count,
        .on_invalid = topic->on_invalid == CONTROL_CATALOG_REJECT ? PIPELINE_CHECK_REJECT
                                                                  : PIPELINE_CHECK_DEAD_LETTER,
        .key = topic->key,
        .event_time = topic->event_time,
        .schema = topic->schema.json,
        .dedup = topic->dedup.key,
        .dedup_secret = state->config.dedup_secret,
        .dlq_size_max = topic->dlq.when_full == CONTROL_CATALOG_REFUSE ? topic->dlq.size_bytes : 0,
        .batch_bytes_max = FLOW_TOPICS_BATCH_BYTES_MAX,
    };
}

/* Without a contract nothing of it is a dead letter: what is no JSON over HTTP is refused. */
static struct pipeline_check_topic describe_open(const struct flow_topic_state *state)
{
    return (struct pipeline_check_topic){
        .name = state->name,
        .topic_id = state->id,
        .uuid = state->uuid,
        .partition_count = state->partition_count,
        .on_invalid = PIPELINE_CHECK_REJECT,
        .batch_bytes_max = flow_topics_batch_bytes_max(&state->config),
    };
}

err_t server_topics_describe(const struct control_catalog *catalog,
                             const struct flow_snapshot *snapshot,
                             struct pipeline_check_topic **out, size_t *count)
{
    struct pipeline_check_topic *topics =
        mem_zalloc(catalog->topic_count + snapshot->topic_count + 1, sizeof *topics);
    size_t n = 0;
    if (!topics)
        return err_make(ERR_MEMORY);
    for (size_t i = 0; i < catalog->topic_count; i++) {
        const struct control_catalog_topic *topic = &catalog->topics[i];
        const struct flow_topic_state *state =
            flow_snapshot_topic(snapshot, slice_string(topic->name));
        const struct flow_topic_state *dlq = dlq_of(snapshot, topic->name);
        /* The passes came before, but an operator may delete a topic that is not in force yet. */
        if (!state || !dlq) {
            mem_free(topics);
            return err_make(ERR_NOT_FOUND);
        }
        topics[n++] = describe(topic, state, dlq);
    }
    for (size_t i = 0; i < snapshot->topic_count; i++) {
        const struct flow_topic_state *state = &snapshot->topics[i];
        if (state->config.open && !control_catalog_find(catalog, slice_string(state->name)))
            topics[n++] = describe_open(state);
    }
    *out = topics;
    *count = n;
    return err_ok();
}

err_t server_bind_topics(struct server *server, struct flow_snapshot *snapshot,
                         struct err_text *why)
{
    for (unsigned pass = 0; pass < SERVER_TOPIC_PASSES; pass++)
        TRY(run_pass(server, pass, why));
    return server_snapshot(server, snapshot);
}

static bool configured(const struct control_config *config, const char *name)
{
    for (size_t i = 0; i < config->sink_count; i++) {
        if (strcmp(config->sinks[i].name, name) == 0)
            return true;
    }
    return false;
}

/* Publishing what a removed sink had prepared is its own work: such a sink stays open. */
static err_t close_sink(struct server *server, const struct flow_sink_state *sink)
{
    /* A sink is its name: one that comes back under it goes on where it stopped. */
    if (!sink->open || configured(server->config, sink->name))
        return err_ok();
    if (sink->prepared) {
        logger_write(&server->logger.logger, LOG_LEVEL_WARNING, "sink_left_unfinished",
                     "sink %s was removed from the configuration while an epoch was being "
                     "delivered; put it back to finish it",
                     sink->name);
        return err_ok();
    }
    struct flow_sink_change change = {.op = FLOW_SINK_CLOSE, .sink_id = sink->id};
    struct waiting w = {.commit = {.sinks = &change, .sink_count = 1}};
    return commit_and_wait(server, &w);
}

err_t server_close_removed_sinks(struct server *server, struct err_text *why)
{
    struct flow_snapshot snapshot;
    TRY(server_snapshot(server, &snapshot));
    err_t err = err_ok();
    for (size_t i = 0; i < snapshot.sink_count && err_is_ok(err); i++)
        err = close_sink(server, &snapshot.sinks[i]);
    flow_snapshot_done(&snapshot);
    if (!err_is_ok(err))
        return err_set(why, (enum err_code)err.code, "cannot close a removed sink: %s",
                       err_string(err));
    return err;
}

static err_t new_sink(struct server *server, const struct flow_snapshot *snapshot,
                      const struct control_config_sink *sink, struct server_sink *out)
{
    uint32_t *ids = mem_zalloc(sink->topics.count + 1, sizeof *ids);
    if (!ids)
        return err_make(ERR_MEMORY);
    for (size_t i = 0; i < sink->topics.count; i++) {
        const struct flow_topic_state *topic =
            flow_snapshot_topic(snapshot, slice_string(sink->topics.items[i]));
        ASSERT(topic);
        ids[i] = topic->id;
    }
    /* A thread a sink, since a plug-in may block: a dead mount stops this one and no other. */
    err_t err = io_uv_worker_new(sink->name, &out->worker);
    if (err_is_ok(err))
        err = sinks_runner_new(
            &(struct sinks_runner_options){.loop = server->control,
                                           .worker = out->worker,
                                           .disk = server->disk,
                                           .log = log_flow(server->log),
                                           .logger = &server->logger.logger,
                                           .plugin = server_sink_plugin(sink->type->name),
                                           .plugin_options = sink->options,
                                           .name = sink->name,
                                           .topic_ids = ids,
                                           .topic_count = (uint32_t)sink->topics.count,
                                           .memory_limit = server->memory.sink_bytes},
            &out->runner);
    mem_free(ids);
    return err;
}

err_t server_new_sinks(struct server *server, struct err_text *why)
{
    struct flow_snapshot snapshot;
    size_t count = server->config->sink_count;
    server->sinks = mem_zalloc(count + 1, sizeof *server->sinks);
    if (!server->sinks)
        return err_make(ERR_MEMORY);
    TRY(server_snapshot(server, &snapshot));
    err_t err = err_ok();
    for (size_t i = 0; i < count && err_is_ok(err); i++) {
        err = new_sink(server, &snapshot, &server->config->sinks[i], &server->sinks[i]);
        /* Also the one that failed: it may have its worker already, and is freed with the
         * others. */
        server->sink_count = i + 1;
    }
    flow_snapshot_done(&snapshot);
    if (!err_is_ok(err))
        return err_set(why, (enum err_code)err.code, "cannot start the sinks: %s", err_string(err));
    return err;
}
