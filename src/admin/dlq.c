#include "admin/admin_int.h"

#include "admin/dlq_query.h"
#include "admin/dlq_render.h"
#include "base/alloc.h"
#include "base/assert.h"

/*
 * The list is a snapshot, and a walk over each queue that holds something for its reasons, one
 * after the other; showing is one walk. Redriving and purging are orders: they are answered once
 * they have begun (202), and go on whether or not the one who ordered them is still there; how far
 * they are is another request.
 *
 * Memory: an inquiry each, whose number is limited; an answer has ANSWER_SIZE and its last letter,
 * and what peers have not taken yet is limited as for records.
 */

#define ANSWER_SIZE (4u << 20)
#define UNSENT_MAX (32u << 20)
/* How much of a queue is read for its reasons, and for one answer to a filter that finds little. */
#define REASONS_SIZE (16u << 20)
#define SHOW_SIZE (64u << 20)

/* Of one request. */
struct dlq {
    struct admin *admin;
    struct net_http_request *request;
    struct admin_target target;
    struct admin_dlq_query query;
    struct flow_snapshot snapshot;
    struct flow_letters_walk walk;
    struct flow_letters_begin begin;
    struct flow_letters_outcomes reasons;
    size_t next_topic;                      /* of the list */
    const struct flow_topic_state *current; /* in the snapshot */
    uint64_t count;
    struct buf text;
};

static void end(struct dlq *dlq)
{
    ASSERT(dlq->admin);
    buf_done(&dlq->text);
    flow_snapshot_done(&dlq->snapshot);
    admin_inquiry_end(dlq->admin);
    mem_free(dlq);
}

static struct slice topic_of(const struct admin_target *target)
{
    return slice_make(target->topic, target->topic_size);
}

/* NULL when it has answered. */
static struct dlq *begin_request(struct admin *admin, struct net_http_request *request,
                                 const struct admin_target *target)
{
    struct dlq *dlq = NULL;
    if (!admin->options.letters) {
        net_http_reply_error(request, 503, "dlq", NULL, "this server has no dead letters");
        return NULL;
    }
    if (net_http_server_unsent(admin->server) > UNSENT_MAX) {
        admin_reply_busy(request);
        return NULL;
    }
    if (!admin_inquiry_begin(admin, request))
        return NULL;
    dlq = mem_zalloc(1, sizeof *dlq);
    if (!dlq) {
        admin_reply_busy(request);
        admin_inquiry_end(admin);
        return NULL;
    }
    dlq->admin = admin;
    dlq->request = request;
    dlq->target = *target;
    return dlq;
}

/* As begin_request, with a query for what is asked. */
static struct dlq *begin_query(struct admin *admin, struct net_http_request *request,
                               const struct admin_target *target, enum admin_dlq_asks asks)
{
    struct dlq *dlq = begin_request(admin, request, target);
    struct err_text why = {0};
    if (!dlq)
        return NULL;
    ASSERT(target->topic_size > 0);
    struct slice text = slice_make(target->query_size ? target->query : NULL, target->query_size);
    err_t err =
        admin_dlq_query_parse(text, asks, io_wall_ms(admin->options.loop), &dlq->query, &why);
    if (err_is_ok(err))
        return dlq;
    net_http_reply_error(request, 400, "query", NULL, "%s", err_detail(err, &why));
    end(dlq);
    return NULL;
}

static void list_next(struct dlq *dlq);

static void list_topic(struct dlq *dlq, bool complete)
{
    const struct flow_topic_state *parent =
        flow_snapshot_topic_by_id(&dlq->snapshot, dlq->current->parent_id);
    struct flow_letters_state last;
    ASSERT(parent);
    bool any = flow_letters_state(dlq->admin->options.letters, slice_string(parent->name), &last);
    buf_add_string(&dlq->text, dlq->count++ > 0 ? ",\n" : "\n");
    admin_dlq_render_topic(dlq->current, parent->name, &dlq->reasons, complete, any ? &last : NULL,
                           &dlq->text);
    dlq->reasons = (struct flow_letters_outcomes){0};
}

static bool count_reason(struct flow_letters_walk *walk, const struct flow_letter *letter)
{
    struct dlq *dlq = CONTAINER_OF(walk, struct dlq, walk);
    ASSERT(letter->record);
    flow_letters_count(&dlq->reasons, letter->reason, letter->record->value.size);
    return true;
}

/* A queue that cannot be read is shown without its reasons. */
static void counted(struct flow_letters_walk *walk)
{
    struct dlq *dlq = CONTAINER_OF(walk, struct dlq, walk);
    ASSERT(dlq->current);
    list_topic(dlq, err_is_ok(walk->error) && walk->complete);
    list_next(dlq);
}

static void list_end(struct dlq *dlq)
{
    buf_add_string(&dlq->text, "\n]}\n");
    ASSERT(dlq->next_topic == dlq->snapshot.topic_count);
    admin_reply(dlq->request, 200, NULL, &dlq->text);
    end(dlq);
}

static void list_next(struct dlq *dlq)
{
    const struct flow_snapshot *snapshot = &dlq->snapshot;
    while (dlq->next_topic < snapshot->topic_count) {
        dlq->current = &snapshot->topics[dlq->next_topic++];
        const struct flow_topic_state *parent =
            flow_snapshot_topic_by_id(snapshot, dlq->current->parent_id);
        if (!parent)
            continue;
        ASSERT(dlq->current->parent_id > 0);
        if (dlq->current->dlq_held == 0) {
            list_topic(dlq, true);
            continue;
        }
        dlq->walk = (struct flow_letters_walk){.topic = slice_string(parent->name),
                                               .size_max = REASONS_SIZE,
                                               .letter = count_reason,
                                               .done = counted};
        flow_letters_walk(dlq->admin->options.letters, &dlq->walk);
        return;
    }
    list_end(dlq);
}

static void listed(struct flow_snapshot *snapshot)
{
    struct dlq *dlq = CONTAINER_OF(snapshot, struct dlq, snapshot);
    ASSERT(dlq->next_topic == 0);
    if (!err_is_ok(snapshot->error)) {
        admin_reply_failed(dlq->request, snapshot->error, "log",
                           "the log does not name its topics");
        end(dlq);
        return;
    }
    buf_add_string(&dlq->text, "{\"topics\":[");
    list_next(dlq);
}

void admin_dlq_list(struct admin *admin, struct net_http_request *request,
                    const struct admin_target *target)
{
    struct dlq *dlq = begin_request(admin, request, target);
    if (!dlq)
        return;
    ASSERT(admin->options.log);
    dlq->snapshot = (struct flow_snapshot){.home = admin->options.loop, .done = listed};
    flow_log_snapshot(admin->options.log, &dlq->snapshot);
}

static bool show_letter(struct flow_letters_walk *walk, const struct flow_letter *letter)
{
    struct dlq *dlq = CONTAINER_OF(walk, struct dlq, walk);
    ASSERT(dlq->count < dlq->query.limit);
    buf_add_string(&dlq->text, dlq->count++ > 0 ? ",\n" : "\n");
    admin_dlq_render_letter(letter, &dlq->text);
    return dlq->count < dlq->query.limit && dlq->text.size < ANSWER_SIZE && buf_ok(&dlq->text);
}

static void reply_unknown(struct net_http_request *request, struct slice topic)
{
    net_http_reply_error(request, 404, "unknown_topic", NULL,
                         "there is no topic %.*s with dead letters", SLICE_PRINTF(topic));
}

static void shown(struct flow_letters_walk *walk)
{
    struct dlq *dlq = CONTAINER_OF(walk, struct dlq, walk);
    struct buf *out = &dlq->text;
    ASSERT(walk->next_offset >= 0);
    if (err_is(walk->error, ERR_NOT_FOUND)) {
        reply_unknown(dlq->request, walk->topic);
    } else if (!err_is_ok(walk->error) && dlq->count == 0) {
        admin_reply_failed(dlq->request, walk->error, "log", "reading failed");
    } else {
        /* Letters before the unreadable ones are shown; the error comes when those are asked for.
         */
        buf_add_string(out, "\n],\"next_offset\":");
        buf_add_i64(out, walk->next_offset);
        buf_add_string(out, ",\"end_offset\":");
        buf_add_i64(out, walk->end_offset);
        buf_add_format(out, ",\"complete\":%s,\"held\":", walk->complete ? "true" : "false");
        buf_add_u64(out, walk->held);
        buf_add_string(out, "}\n");
        admin_reply(dlq->request, 200, NULL, out);
    }
    end(dlq);
}

void admin_dlq_show(struct admin *admin, struct net_http_request *request,
                    const struct admin_target *target)
{
    struct dlq *dlq = begin_query(admin, request, target, ADMIN_DLQ_SHOWS);
    if (!dlq)
        return;
    struct slice topic = topic_of(&dlq->target);
    ASSERT(topic.size > 0);
    buf_add_string(&dlq->text, "{\"topic\":");
    buf_add_json_string(&dlq->text, topic);
    buf_add_string(&dlq->text, ",\"letters\":[");
    dlq->walk = (struct flow_letters_walk){.topic = topic,
                                           .filter = dlq->query.filter,
                                           .offset = dlq->query.offset,
                                           .size_max = SHOW_SIZE,
                                           .letter = show_letter,
                                           .done = shown};
    flow_letters_walk(admin->options.letters, &dlq->walk);
}

static void reply_state(struct net_http_request *request, int status,
                        const struct flow_letters_state *state)
{
    struct buf body = {0};
    ASSERT(state->number > 0);
    admin_dlq_render_state(state, &body);
    buf_add_byte(&body, '\n');
    admin_reply(request, status, NULL, &body);
    buf_done(&body);
}

static void begun(struct flow_letters_begin *begin)
{
    struct dlq *dlq = CONTAINER_OF(begin, struct dlq, begin);
    err_t err = begin->error;
    ASSERT(dlq->request);
    if (err_is_ok(err))
        reply_state(dlq->request, 202, &begin->state);
    else if (err_is(err, ERR_NOT_FOUND))
        reply_unknown(dlq->request, begin->order.topic);
    else if (err_is(err, ERR_EXISTS) || err_is(err, ERR_INVALID))
        net_http_reply_error(dlq->request, 409, err_is(err, ERR_EXISTS) ? "running" : "contract",
                             NULL, "%s", err_detail(err, &begin->why));
    else
        admin_reply_failed(dlq->request, err, "log", "it did not begin");
    end(dlq);
}

static void give_order(struct admin *admin, struct net_http_request *request,
                       const struct admin_target *target, enum flow_letters_action action)
{
    bool purge = action == FLOW_LETTERS_PURGE;
    struct dlq *dlq =
        begin_query(admin, request, target, purge ? ADMIN_DLQ_PURGES : ADMIN_DLQ_REDRIVES);
    if (!dlq)
        return;
    ASSERT(admin->options.letters);
    dlq->begin = (struct flow_letters_begin){
        .order = {.action = action,
                  .topic = topic_of(&dlq->target),
                  .filter = dlq->query.filter,
                  .limit = dlq->query.limit,
                  .rate = dlq->query.rate,
                  .max_attempts = dlq->query.max_attempts,
                  .dry_run = dlq->query.dry_run},
        .done = begun,
    };
    flow_letters_begin(admin->options.letters, &dlq->begin);
}

void admin_dlq_redrive(struct admin *admin, struct net_http_request *request,
                       const struct admin_target *target)
{
    give_order(admin, request, target, FLOW_LETTERS_REDRIVE);
}

void admin_dlq_purge(struct admin *admin, struct net_http_request *request,
                     const struct admin_target *target)
{
    give_order(admin, request, target, FLOW_LETTERS_PURGE);
}

void admin_dlq_state(struct admin *admin, struct net_http_request *request,
                     const struct admin_target *target)
{
    struct flow_letters_state state;
    ASSERT(target->topic_size > 0);
    if (admin->options.letters &&
        flow_letters_state(admin->options.letters, topic_of(target), &state))
        reply_state(request, 200, &state);
    else
        net_http_reply_error(request, 404, "none", NULL,
                             "nothing was redriven or purged of this topic since the server began");
}

void admin_dlq_cancel(struct admin *admin, struct net_http_request *request,
                      const struct admin_target *target)
{
    struct flow_letters_state state;
    struct flow_letters *letters = admin->options.letters;
    ASSERT(target->topic_size > 0);
    if (letters && flow_letters_cancel(letters, topic_of(target)) &&
        flow_letters_state(letters, topic_of(target), &state))
        reply_state(request, 202, &state);
    else
        net_http_reply_error(request, 404, "none", NULL,
                             "no redrive or purge of this topic is running");
}
