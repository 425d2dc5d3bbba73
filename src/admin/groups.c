#include "admin/admin_int.h"

#include "base/alloc.h"
#include "base/assert.h"

/*
 * Consumer groups by what they have committed, which is the log's: who is a member, and of which
 * generation, is known to the Kafka door alone. The offsets are asked for first, and where
 * partitions end behind them, so that what a group has read is never past an end.
 */

struct inquiry {
    struct admin *admin;
    struct net_http_request *request;
    struct flow_offsets offsets;
    struct flow_snapshot snapshot;
    size_t name_size; /* 0: all groups */
    uint8_t name[FLOW_TOPIC_NAME_MAX];
};

static void end(struct inquiry *inquiry)
{
    struct admin *admin = inquiry->admin;
    ASSERT(admin->inquiries > 0);
    flow_offsets_done(&inquiry->offsets);
    flow_snapshot_done(&inquiry->snapshot);
    mem_free(inquiry);
    admin_inquiry_end(admin);
}

/* One that expired before it was read is not behind: it is not there any more. */
static int64_t lag_of(const struct flow_topic_state *topic, const struct flow_group_offset *offset)
{
    ASSERT(offset->partition < topic->partition_count);
    int64_t end_offset = topic->end_offset[offset->partition];
    int64_t next = offset->offset;
    if (next < topic->start_offset[offset->partition])
        next = topic->start_offset[offset->partition];
    return next < end_offset ? end_offset - next : 0;
}

static void add_offset(struct buf *out, const struct flow_topic_state *topic,
                       const struct flow_group_offset *offset)
{
    ASSERT(topic->id == offset->topic_id);
    buf_add_string(out, "{\"topic\":");
    buf_add_json_string(out, slice_string(topic->name));
    buf_add_format(out, ",\"partition\":%u,\"offset\":", offset->partition);
    buf_add_i64(out, offset->offset);
    buf_add_string(out, ",\"end_offset\":");
    buf_add_i64(out, topic->end_offset[offset->partition]);
    buf_add_string(out, ",\"lag\":");
    buf_add_i64(out, lag_of(topic, offset));
    buf_add_string(out, ",\"metadata\":");
    buf_add_json_string(out, offset->metadata);
    buf_add_byte(out, '}');
}

/* Of topics that are there: one that was deleted meanwhile has no ends. */
static void render_group(const struct inquiry *inquiry, struct buf *out)
{
    const struct flow_group *group = &inquiry->offsets.groups[0];
    bool first = true;
    ASSERT(inquiry->offsets.group_count == 1);
    buf_add_string(out, "{\"group\":");
    buf_add_json_string(out, group->name);
    buf_add_string(out, ",\"offsets\":[");
    for (uint32_t i = 0; i < group->offset_count; i++) {
        const struct flow_group_offset *offset = &group->offsets[i];
        const struct flow_topic_state *topic =
            flow_snapshot_topic_by_id(&inquiry->snapshot, offset->topic_id);
        if (!topic || offset->partition >= topic->partition_count)
            continue;
        if (!first)
            buf_add_string(out, ",\n");
        first = false;
        add_offset(out, topic, offset);
    }
    buf_add_string(out, "]}\n");
}

static void render_all(const struct inquiry *inquiry, struct buf *out)
{
    ASSERT(inquiry->name_size == 0);
    buf_add_string(out, "{\"groups\":[");
    for (size_t i = 0; i < inquiry->offsets.group_count; i++) {
        const struct flow_group *group = &inquiry->offsets.groups[i];
        buf_add_string(out, i > 0 ? ",\n{\"group\":" : "{\"group\":");
        buf_add_json_string(out, group->name);
        buf_add_format(out, ",\"offsets\":%u}", group->offset_count);
    }
    buf_add_string(out, "]}\n");
}

static void snapshot_back(struct flow_snapshot *snapshot)
{
    struct inquiry *inquiry = CONTAINER_OF(snapshot, struct inquiry, snapshot);
    struct buf body = {0};
    if (err_is_ok(snapshot->error)) {
        render_group(inquiry, &body);
        admin_reply(inquiry->request, 200, NULL, &body);
    } else {
        admin_reply_failed(inquiry->request, snapshot->error, "log",
                           "the log does not name its topics");
    }
    buf_done(&body);
    end(inquiry);
}

static void offsets_back(struct flow_offsets *offsets)
{
    struct inquiry *inquiry = CONTAINER_OF(offsets, struct inquiry, offsets);
    struct buf body = {0};
    if (err_is_ok(offsets->error) && inquiry->name_size > 0 && offsets->group_count > 0) {
        inquiry->snapshot.home = inquiry->admin->options.loop;
        inquiry->snapshot.done = snapshot_back;
        flow_log_snapshot(inquiry->admin->options.log, &inquiry->snapshot);
        return;
    }
    if (!err_is_ok(offsets->error)) {
        admin_reply_failed(inquiry->request, offsets->error, "log",
                           "the log does not name the groups");
    } else if (inquiry->name_size > 0) {
        net_http_reply_error(inquiry->request, 404, "unknown_group", NULL,
                             "no group of this name has committed an offset");
    } else {
        render_all(inquiry, &body);
        admin_reply(inquiry->request, 200, NULL, &body);
    }
    buf_done(&body);
    end(inquiry);
}

void admin_groups_serve(struct admin *admin, struct net_http_request *request,
                        const struct admin_target *target)
{
    ASSERT(target->topic_size <= sizeof target->topic);
    if (!admin_inquiry_begin(admin, request))
        return;
    struct inquiry *inquiry = mem_zalloc(1, sizeof *inquiry);
    if (!inquiry) {
        admin_reply_busy(request);
        admin_inquiry_end(admin);
        return;
    }
    inquiry->admin = admin;
    inquiry->request = request;
    inquiry->name_size = target->topic_size;
    memcpy(inquiry->name, target->topic, target->topic_size);
    inquiry->offsets.home = admin->options.loop;
    inquiry->offsets.done = offsets_back;
    inquiry->offsets.group = slice_make(inquiry->name, inquiry->name_size);
    flow_log_offsets(admin->options.log, &inquiry->offsets);
}
