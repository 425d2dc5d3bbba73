#include "admin/topics.h"

#include "base/assert.h"
#include "flow/topics.h"

/*
 * Every field is written also when it is 0 or null, so that a table made from the answer has the
 * same columns whatever there is.
 */

/* As contracts write them. */
static const char *const codec_names[] = {
    [FLOW_CODEC_NONE] = "none", [FLOW_CODEC_GZIP] = "gzip", [FLOW_CODEC_SNAPPY] = "snappy",
    [FLOW_CODEC_LZ4] = "lz4",   [FLOW_CODEC_ZSTD] = "zstd",
};

const struct flow_topic_state *admin_topics_dlq(const struct flow_snapshot *snapshot,
                                                const struct flow_topic_state *topic)
{
    for (size_t i = 0; i < snapshot->topic_count; i++)
        if (snapshot->topics[i].parent_id == topic->id)
            return &snapshot->topics[i];
    return NULL;
}

bool admin_topics_declared(const struct flow_snapshot *snapshot,
                           const struct control_catalog *catalog,
                           const struct flow_topic_state *topic)
{
    /* A DLQ is in no catalog by its own name. */
    const struct flow_topic_state *owner =
        topic->parent_id ? flow_snapshot_topic_by_id(snapshot, topic->parent_id) : topic;
    return owner && control_catalog_find(catalog, slice_string(owner->name));
}

static void add_name(struct buf *out, const char *field, const struct flow_topic_state *topic)
{
    buf_add_format(out, ",\"%s\":", field);
    if (topic)
        buf_add_json_string(out, slice_string(topic->name));
    else
        buf_add_string(out, "null");
}

/* A comma in front: the name comes before every other field. */
static void add_number(struct buf *out, const char *field, uint64_t number)
{
    buf_add_format(out, ",\"%s\":", field);
    buf_add_u64(out, number);
}

static void add_bool(struct buf *out, const char *field, bool value)
{
    buf_add_format(out, ",\"%s\":%s", field, value ? "true" : "false");
}

/* Ten thousand of them in an answer is allowed, so each is short. */
static void add_partitions(struct buf *out, const struct flow_topic_state *topic)
{
    buf_add_string(out, ",\"partitions\":[");
    for (uint32_t i = 0; i < topic->partition_count; i++) {
        buf_add_string(out, i > 0 ? ",{\"partition\":" : "{\"partition\":");
        buf_add_u64(out, i);
        buf_add_string(out, ",\"start_offset\":");
        buf_add_i64(out, topic->start_offset[i]);
        buf_add_string(out, ",\"end_offset\":");
        buf_add_i64(out, topic->end_offset[i]);
        buf_add_byte(out, '}');
    }
    buf_add_string(out, "]}");
}

void admin_topic_render(const struct flow_snapshot *snapshot, const struct control_catalog *catalog,
                        const struct flow_topic_state *topic, struct buf *out)
{
    char uuid[UUID_TEXT_SIZE + 1];
    uuid_format(&topic->uuid, uuid);
    uint64_t offsets = 0;
    for (uint32_t i = 0; i < topic->partition_count; i++) {
        ASSERT(topic->start_offset[i] <= topic->end_offset[i]);
        offsets += (uint64_t)(topic->end_offset[i] - topic->start_offset[i]);
    }
    const struct flow_topic_config *config = &topic->config;
    ASSERT(config->codec < sizeof codec_names / sizeof codec_names[0]);
    buf_add_string(out, "{\"name\":");
    buf_add_json_string(out, slice_string(topic->name));
    buf_add_format(out, ",\"uuid\":\"%s\"", uuid);
    add_bool(out, "contract", admin_topics_declared(snapshot, catalog, topic));
    add_name(out, "dlq_of",
             topic->parent_id ? flow_snapshot_topic_by_id(snapshot, topic->parent_id) : NULL);
    add_name(out, "dlq", admin_topics_dlq(snapshot, topic));
    add_number(out, "partition_count", topic->partition_count);
    add_number(out, "offsets", offsets);
    add_number(out, "sealed_bytes", topic->sealed_bytes);
    add_number(out, "wal_bytes", topic->wal_bytes);
    add_number(out, "retention_ms", config->retention_ms);
    add_number(out, "retention_bytes", flow_topic_bytes_max(config, topic->partition_count));
    add_bool(out, "expire_undelivered", config->expire_undelivered);
    buf_add_format(out, ",\"compression\":\"%s\"", codec_names[config->codec]);
    add_number(out, "batch_bytes", flow_topics_batch_bytes_max(config));
    add_partitions(out, topic);
}

void admin_topics_render(const struct flow_snapshot *snapshot,
                         const struct control_catalog *catalog, struct buf *out)
{
    ASSERT(err_is_ok(snapshot->error));
    buf_add_string(out, "{\"topics\":[");
    for (size_t i = 0; i < snapshot->topic_count; i++) {
        buf_add_string(out, i > 0 ? ",\n" : "\n");
        admin_topic_render(snapshot, catalog, &snapshot->topics[i], out);
    }
    buf_add_string(out, "\n]}");
}
