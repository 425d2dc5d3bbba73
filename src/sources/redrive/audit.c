#include "sources/redrive/redrive_int.h"

#include "base/assert.h"

/*
 * The topic is made when the first record wants it, by whoever comes first; who comes second finds
 * it. It has no contract: nobody writes to it from outside, and it keeps its records for ever.
 */

void redrive_audit_init(struct redrive_audit *audit, const struct sources_redrive_options *options)
{
    *audit = (struct redrive_audit){.loop = options->loop, .log = options->log};
    ASSERT(audit->loop && audit->log);
    flow_batch_builder_init(&audit->builder);
}

void redrive_audit_done(struct redrive_audit *audit)
{
    ASSERT(audit->log || audit->text.size == 0);
    buf_done(&audit->text);
    flow_batch_builder_done(&audit->builder);
}

static void written(struct flow_commit *commit)
{
    struct redrive_audit *audit = CONTAINER_OF(commit, struct redrive_audit, commit);
    err_t err = commit->error;
    ASSERT(audit->done);
    flow_batch_builder_reset(&audit->builder, 0);
    audit->done(audit, err);
}

static void append(struct redrive_audit *audit, uint32_t topic_id)
{
    struct slice none = {0};
    ASSERT(topic_id > 0);
    err_t err = buf_error(&audit->text);
    if (err_is_ok(err))
        err = flow_batch_builder_add(&audit->builder, io_wall_ms(audit->loop), none,
                                     buf_slice(&audit->text), NULL, 0);
    if (!err_is_ok(err)) {
        audit->done(audit, err);
        return;
    }
    struct slice batch = flow_batch_builder_finish(&audit->builder);
    audit->append = (struct flow_append){.topic_id = topic_id,
                                         .kind = FLOW_APPEND_RECORDS,
                                         .record_count = 1,
                                         .batch = audit->builder.bytes.data,
                                         .batch_size = batch.size};
    audit->count = (struct flow_count){.topic_id = topic_id, .received = 1};
    audit->commit = (struct flow_commit){.home = audit->loop,
                                         .done = written,
                                         .appends = &audit->append,
                                         .append_count = 1,
                                         .counts = &audit->count,
                                         .count_count = 1};
    flow_log_commit(audit->log, &audit->commit);
}

static void made(struct flow_commit *commit)
{
    struct redrive_audit *audit = CONTAINER_OF(commit, struct redrive_audit, commit);
    err_t err = commit->error;
    ASSERT(audit->change.op == FLOW_TOPIC_CREATE);
    if (err_is_ok(err) || err_is(err, ERR_EXISTS))
        redrive_audit_write(audit);
    else
        audit->done(audit, err);
}

static void make_topic(struct redrive_audit *audit)
{
    uint8_t random[16];
    io_random(audit->loop, random, sizeof random);
    audit->change = (struct flow_topic_change){.op = FLOW_TOPIC_CREATE,
                                               .uuid = uuid_from_random(random),
                                               .name = SLICE_LITERAL(REDRIVE_AUDIT_TOPIC),
                                               .partition_count = 1};
    ASSERT(audit->done);
    audit->commit = (struct flow_commit){
        .home = audit->loop, .done = made, .topics = &audit->change, .topic_count = 1};
    flow_log_commit(audit->log, &audit->commit);
}

static void snapshot_back(struct flow_snapshot *snapshot)
{
    struct redrive_audit *audit = CONTAINER_OF(snapshot, struct redrive_audit, snapshot);
    err_t err = snapshot->error;
    ASSERT(audit->done);
    const struct flow_topic_state *topic =
        err_is_ok(err) ? flow_snapshot_topic(snapshot, SLICE_LITERAL(REDRIVE_AUDIT_TOPIC)) : NULL;
    uint32_t topic_id = topic ? topic->id : 0;
    /* First: `done` may free all of it. */
    flow_snapshot_done(snapshot);
    if (!err_is_ok(err))
        audit->done(audit, err);
    else if (topic_id > 0)
        append(audit, topic_id);
    else
        make_topic(audit);
}

void redrive_audit_write(struct redrive_audit *audit)
{
    ASSERT(audit->done && audit->builder.record_count == 0);
    audit->snapshot = (struct flow_snapshot){.home = audit->loop, .done = snapshot_back};
    flow_log_snapshot(audit->log, &audit->snapshot);
}
