#include "base/assert.h"
#include "control/catalog/versions.h"
#include "io/uv/uv.h"
#include "server/server_int.h"

/*
 * The topic of schemas' versions is read from its beginning at each start: it has a record a
 * change, which a person made. A record that cannot be read is told of and left out; a server that
 * did not start because of what once was would help nobody.
 */

#define READ_BYTES (1u << 20)

static void read_back(struct flow_read *read)
{
    io_uv_loop_stop(read->home);
}

static err_t take_version(struct server *server, const struct flow_record *record)
{
    err_t err = control_catalog_versions_read(server->catalog->versions, record->value);
    if (err_is(err, ERR_MEMORY))
        return err;
    if (!err_is_ok(err))
        logger_write(&server->logger.logger, LOG_LEVEL_WARNING, "schema_version_unreadable",
                     CONTROL_CATALOG_VERSIONS_TOPIC
                     " offset %lld: schemas are not held against what it says",
                     (long long)record->offset);
    return err_ok();
}

static err_t read_batch(struct server *server, struct slice bytes, server_take_fn *take)
{
    struct flow_batch batch;
    struct flow_record record;
    TRY(flow_batch_parse(bytes, &batch));
    struct flow_batch_iterator it = flow_batch_records(&batch);
    err_t err = flow_batch_next(&it, &record);
    while (err_is_ok(err)) {
        TRY(take(server, &record));
        err = flow_batch_next(&it, &record);
    }
    return err_is(err, ERR_END) ? err_ok() : err;
}

/* Batch by batch, on this thread, which waits for each answer. */
err_t server_read_topic(struct server *server, const struct flow_topic_state *topic,
                        server_take_fn *take)
{
    struct flow_read read = {.home = server->control,
                             .done = read_back,
                             .topic_id = topic->id,
                             .offset = topic->start_offset[0],
                             .size_max = READ_BYTES};
    err_t err = err_ok();
    while (err_is_ok(err) && read.offset < topic->end_offset[0]) {
        flow_log_read(log_flow(server->log), &read);
        io_uv_loop_run(server->control);
        err = read.error;
        for (uint32_t i = 0; i < read.batch_count && err_is_ok(err); i++)
            err = read_batch(server, read.batches[i], take);
        /* Nothing there before the end that the log told: it is not to be waited for. */
        if (err_is_ok(err) && read.next_offset <= read.offset)
            err = err_make(ERR_CORRUPT);
        read.offset = read.next_offset;
        flow_log_release(log_flow(server->log), &read);
    }
    return err;
}

void server_versions_done(struct server_versions *versions)
{
    flow_batch_builder_done(&versions->builder);
    buf_done(&versions->text);
}

/* What `topic` has that is not noted; false where there is none, or the log does not have it. */
static bool next(const struct server *server, const struct control_catalog_topic *topic,
                 const struct flow_snapshot *snapshot, struct control_catalog_version *out)
{
    const struct flow_topic_state *state = flow_snapshot_topic(snapshot, slice_string(topic->name));
    ASSERT(server->catalog->versions);
    return state && control_catalog_versions_next(server->catalog->versions, topic, &state->uuid,
                                                  io_wall_ms(server->control), out);
}

err_t server_versions_collect(const struct server *server, const struct control_catalog *catalog,
                              const struct flow_snapshot *snapshot, struct server_versions *out,
                              struct flow_commit *commit, bool *any)
{
    const struct flow_topic_state *home =
        flow_snapshot_topic(snapshot, SLICE_LITERAL(CONTROL_CATALOG_VERSIONS_TOPIC));
    *any = false;
    flow_batch_builder_init(&out->builder);
    for (size_t i = 0; i < catalog->topic_count; i++) {
        struct control_catalog_version version;
        if (!next(server, &catalog->topics[i], snapshot, &version))
            continue;
        /* Made with the first schema, before this; an operator may delete it meanwhile. */
        if (!home)
            return err_make(ERR_NOT_FOUND);
        buf_reset(&out->text);
        control_catalog_version_render(&version, &out->text);
        TRY(buf_error(&out->text));
        TRY(flow_batch_builder_add(&out->builder, version.since_ms, slice_string(version.topic),
                                   buf_slice(&out->text), NULL, 0));
        *any = true;
    }
    if (!*any)
        return err_ok();
    struct slice batch = flow_batch_builder_finish(&out->builder);
    out->append = (struct flow_append){.topic_id = home->id,
                                       .kind = FLOW_APPEND_RECORDS,
                                       .record_count = out->builder.record_count,
                                       .batch = out->builder.bytes.data,
                                       .batch_size = batch.size};
    out->count = (struct flow_count){.topic_id = home->id, .received = out->builder.record_count};
    commit->appends = &out->append;
    commit->append_count = 1;
    commit->counts = &out->count;
    commit->count_count = 1;
    return err_ok();
}

err_t server_versions_note(struct server *server, const struct control_catalog *catalog,
                           const struct flow_snapshot *snapshot)
{
    for (size_t i = 0; i < catalog->topic_count; i++) {
        struct control_catalog_version version;
        if (next(server, &catalog->topics[i], snapshot, &version))
            TRY(control_catalog_versions_add(server->catalog->versions, &version));
    }
    return err_ok();
}

struct waiting {
    struct flow_commit commit;
    struct io_loop *loop;
};

static void commit_back(struct flow_commit *commit)
{
    io_uv_loop_stop(CONTAINER_OF(commit, struct waiting, commit)->loop);
}

static err_t write_all(struct server *server, const struct flow_snapshot *snapshot)
{
    struct server_versions versions = {0};
    struct waiting w = {.commit = {.home = server->control, .done = commit_back},
                        .loop = server->control};
    bool any = false;
    err_t err =
        server_versions_collect(server, server->catalog, snapshot, &versions, &w.commit, &any);
    if (err_is_ok(err) && any) {
        flow_log_commit(log_flow(server->log), &w.commit);
        io_uv_loop_run(server->control);
        err = w.commit.error;
    }
    server_versions_done(&versions);
    return err_is_ok(err) ? server_versions_note(server, server->catalog, snapshot) : err;
}

err_t server_learn_versions(struct server *server, struct err_text *why)
{
    struct flow_snapshot snapshot;
    TRY(control_catalog_versions_new(&server->catalog->versions));
    TRY(server_snapshot(server, &snapshot));
    const struct flow_topic_state *home =
        flow_snapshot_topic(&snapshot, SLICE_LITERAL(CONTROL_CATALOG_VERSIONS_TOPIC));
    err_t err = home ? server_read_topic(server, home, take_version) : err_ok();
    if (err_is_ok(err))
        err = write_all(server, &snapshot);
    flow_snapshot_done(&snapshot);
    if (!err_is_ok(err))
        return err_set(why, (enum err_code)err.code, "the versions of schemas in topic %s: %s",
                       CONTROL_CATALOG_VERSIONS_TOPIC, err_string(err));
    return err;
}
