#include "admin/admin_int.h"

#include "admin/topics.h"
#include "base/alloc.h"
#include "base/assert.h"
#include "net/http/target.h"

/*
 * The happy path: a snapshot says which topic it is and whether it has a DLQ; the DLQ goes in a
 * commit of its own, then the topic.
 *
 * Nothing is deleted by accident: the name is given twice, in the path and as `confirm`, and a
 * topic that the configuration declares is refused, since the next start would make it again,
 * empty. When the second commit fails the DLQ is gone and the topic is not; the answer says so, and
 * the same request again does the rest.
 */

struct deletion {
    struct admin *admin;
    struct net_http_request *request;
    struct slice name; /* in `target` */
    struct admin_target target;
    struct flow_snapshot snapshot;
    struct flow_commit commit;
    struct flow_topic_change change;
    const struct flow_topic_state *topic; /* both in the snapshot */
    const struct flow_topic_state *dlq;   /* NULL: none, or gone */
    bool dlq_gone;
    struct flow_topics_change flow; /* for an open topic, which doors take records for */
    struct flow_topics_item item;
};

/* Behind every answer. */
static void end(struct deletion *deletion)
{
    flow_snapshot_done(&deletion->snapshot);
    admin_inquiry_end(deletion->admin);
    mem_free(deletion);
}

static void reply_deleted(struct deletion *deletion)
{
    struct buf body = {0};
    buf_add_string(&body, "{\"deleted\":[");
    if (deletion->dlq) {
        buf_add_json_string(&body, slice_string(deletion->dlq->name));
        buf_add_byte(&body, ',');
    }
    buf_add_json_string(&body, deletion->name);
    buf_add_string(&body, "]}\n");
    admin_reply(deletion->request, 200, NULL, &body);
    buf_done(&body);
}

static void delete_one(struct deletion *deletion, const struct flow_topic_state *topic);

/* Of the DLQ, then of the topic. */
static void commit_back(struct flow_commit *commit)
{
    struct deletion *deletion = CONTAINER_OF(commit, struct deletion, commit);
    ASSERT(deletion->topic);
    bool was_dlq = deletion->dlq && !deletion->dlq_gone;
    if (!err_is_ok(commit->error)) {
        admin_reply_failed(deletion->request, commit->error, "log",
                           deletion->dlq_gone
                               ? "its dead letters are deleted, deleting the topic itself failed"
                               : "deleting the topic failed");
    } else if (was_dlq) {
        deletion->dlq_gone = true;
        delete_one(deletion, deletion->topic);
        return;
    } else {
        reply_deleted(deletion);
    }
    end(deletion);
}

static void delete_one(struct deletion *deletion, const struct flow_topic_state *topic)
{
    ASSERT(topic && topic->id > 0);
    deletion->change = (struct flow_topic_change){.op = FLOW_TOPIC_DELETE, .topic_id = topic->id};
    deletion->commit = (struct flow_commit){.home = deletion->admin->options.loop,
                                            .done = commit_back,
                                            .topics = &deletion->change,
                                            .topic_count = 1};
    flow_log_commit(deletion->admin->options.log, &deletion->commit);
}

static void open_one_gone(struct flow_topics_change *flow)
{
    struct deletion *deletion = CONTAINER_OF(flow, struct deletion, flow);
    if (err_is_ok(deletion->item.error))
        reply_deleted(deletion);
    else
        admin_reply_failed(deletion->request, deletion->item.error, "log",
                           "deleting the topic failed");
    end(deletion);
}

/* By whoever has told the doors of it, since they have to be told that it goes. */
static void delete_open(struct deletion *deletion)
{
    deletion->item.name = slice_string(deletion->topic->name);
    deletion->flow = (struct flow_topics_change){.home = deletion->admin->options.loop,
                                                 .done = open_one_gone,
                                                 .op = FLOW_TOPICS_DELETE,
                                                 .items = &deletion->item,
                                                 .item_count = 1};
    flow_topics_change(deletion->admin->options.topics, &deletion->flow);
}

static void snapshot_back(struct flow_snapshot *snapshot)
{
    struct deletion *deletion = CONTAINER_OF(snapshot, struct deletion, snapshot);
    const struct control_catalog *catalog = deletion->admin->options.catalog;
    if (!err_is_ok(snapshot->error)) {
        admin_reply_failed(deletion->request, snapshot->error, "log",
                           "the log does not name its topics");
        end(deletion);
        return;
    }
    deletion->topic = flow_snapshot_topic(snapshot, deletion->name);
    if (!deletion->topic) {
        admin_reply_unknown(deletion->request, deletion->name);
    } else if (admin_topics_declared(snapshot, catalog, deletion->topic)) {
        net_http_reply_error(deletion->request, 409, "contract", NULL,
                             "%s belongs to a contract of the configuration; take that away and "
                             "reload first",
                             deletion->topic->name);
    } else if (slice_equal_string(deletion->name, CONTROL_AUTH_USERS_TOPIC)) {
        /* The server would go on with users that the next start does not know. */
        net_http_reply_error(
            deletion->request, 409, "users", NULL,
            CONTROL_AUTH_USERS_TOPIC
            " keeps who may use the Kafka door; garner user remove takes them out");
    } else {
        deletion->dlq = admin_topics_dlq(snapshot, deletion->topic);
        if (deletion->topic->config.open && !deletion->dlq && deletion->admin->options.topics) {
            delete_open(deletion);
            return;
        }
        delete_one(deletion, deletion->dlq ? deletion->dlq : deletion->topic);
        return;
    }
    end(deletion);
}

/* The same name again, so that no shell loop and no mistyped path deletes anything. */
static bool confirmed(const struct admin_target *target)
{
    uint8_t room[FLOW_TOPIC_NAME_MAX];
    struct slice value;
    err_t err = net_http_query_get(slice_make(target->query, target->query_size), "confirm", room,
                                   sizeof room, &value);
    return err_is_ok(err) && slice_equal(value, slice_make(target->topic, target->topic_size));
}

void admin_deletion_serve(struct admin *admin, struct net_http_request *request,
                          const struct admin_target *target)
{
    ASSERT(target->topic_size > 0);
    if (!confirmed(target)) {
        net_http_reply_error(request, 400, "confirm", NULL,
                             "deleting is for ever; say so with ?confirm= and the topic's name");
        return;
    }
    if (!admin_inquiry_begin(admin, request))
        return;
    struct deletion *deletion = mem_zalloc(1, sizeof *deletion);
    if (!deletion) {
        admin_reply_busy(request);
        admin_inquiry_end(admin);
        return;
    }
    deletion->admin = admin;
    deletion->request = request;
    deletion->target = *target;
    deletion->name = slice_make(deletion->target.topic, target->topic_size);
    deletion->snapshot.home = admin->options.loop;
    deletion->snapshot.done = snapshot_back;
    flow_log_snapshot(admin->options.log, &deletion->snapshot);
}
