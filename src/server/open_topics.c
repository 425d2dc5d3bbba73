#include "base/alloc.h"
#include "base/assert.h"
#include "control/catalog/contract.h"
#include "flow/topics.h"
#include "server/server_int.h"

#include <inttypes.h>

/*
 * One change at a time: a snapshot says what there is; each item is judged by it and is a commit of
 * its own, so that one that the log refuses takes no other with it; another snapshot says what
 * there is then; the inlets of all loops exchange their topics; and only then is the change
 * answered. Who has the answer finds the topic, at every door.
 *
 * What is to be deleted goes the other way: first no inlet takes anything for it any more, then the
 * log forgets it. A record for a topic that is gone would fail the commit that it is in, and with
 * it those of other topics.
 *
 * Failure modes: an item is in the log or it is not, since its commit is one frame; a crash before
 * the answer leaves one or the other. Where there is no memory for the exchange the log has what
 * the inlets do not know: the items say so, and the next change, of whatever topic, makes up for it
 * (`behind`). A topic that could not be deleted comes back with the exchange at the end.
 *
 * Who may change what is decided here and nowhere else, by the contracts in force and by what the
 * log says of a topic: doors pass on what they are asked.
 *
 * A reload and a change never overlap, since both exchange all topics: each waits for the other.
 */

struct server_topics {
    struct flow_topics flow;
    struct server *server;
    struct list waiting; /* struct flow_topics_change */
    struct flow_topics_change *current;
    uint32_t at;
    uint64_t partitions; /* of all topics, with those that the change has made */
    bool behind;         /* the log has what the inlets do not know */
    struct flow_snapshot snapshot;
    struct flow_commit commit;
    struct flow_topic_change change; /* that is under way */
    struct server_exchange exchange;
};

static void begin_next(struct server_topics *topics);

static void answer(struct task *task)
{
    struct flow_topics_change *change = CONTAINER_OF(task, struct flow_topics_change, task);
    change->done(change);
}

/* The change is its asker's again from here on, so what is begun next uses nothing of it. */
static void end(struct server_topics *topics)
{
    struct flow_topics_change *change = topics->current;
    flow_snapshot_done(&topics->snapshot);
    server_exchange_end(&topics->exchange);
    topics->current = NULL;
    change->task.run = answer;
    io_post(change->home, &change->task);
    server_reload_go_on(topics->server);
    begin_next(topics);
}

/* To all that had none: what was done of it stays done. */
static void fail_rest(struct server_topics *topics, err_t err, const char *text)
{
    struct flow_topics_change *change = topics->current;
    for (uint32_t i = 0; i < change->item_count; i++)
        if (err_is_ok(change->items[i].error))
            change->items[i].error = err_set(&change->items[i].why, (enum err_code)err.code,
                                             "%s: %s", text, err_string(err));
}

static void in_force(struct server_exchange *exchange)
{
    struct server_topics *topics = CONTAINER_OF(exchange, struct server_topics, exchange);
    topics->behind = false;
    end(topics);
}

/* The topic that an item means. */
static const struct flow_topic_state *find(const struct server_topics *topics,
                                           const struct flow_topics_item *item)
{
    const struct flow_snapshot *snapshot = &topics->snapshot;
    if (item->name.size > 0)
        return flow_snapshot_topic(snapshot, item->name);
    for (size_t i = 0; i < snapshot->topic_count; i++)
        if (uuid_equal(&snapshot->topics[i].uuid, &item->uuid))
            return &snapshot->topics[i];
    return NULL;
}

/* Left by a start that was killed while a contract took the topic over: what is in there belongs to
 * a ledger that a client does not see. */
static bool has_dlq(const struct flow_snapshot *snapshot, const struct flow_topic_state *topic)
{
    for (size_t i = 0; i < snapshot->topic_count; i++)
        if (snapshot->topics[i].parent_id == topic->id)
            return true;
    return false;
}

/* Only what clients have made is theirs to change. */
static err_t check_policy(const struct server_topics *topics, const struct flow_topic_state *topic,
                          struct err_text *why)
{
    const struct flow_snapshot *snapshot = &topics->snapshot;
    const struct control_catalog_topic *contract =
        control_catalog_find(topics->server->catalog, slice_string(topic->name));
    if (contract)
        return err_set(why, ERR_POLICY,
                       "topic %s is declared by its contract, %s: change it there and reload",
                       topic->name, contract->file);
    if (topic->parent_id)
        return err_set(
            why, ERR_POLICY,
            "topic %s holds dead letters: change `dlq` in the contract of the topic that "
            "they are of",
            topic->name);
    if (topic->name[0] == '_')
        return err_set(why, ERR_POLICY, "topic %s is garner's own", topic->name);
    if (!topic->config.open || has_dlq(snapshot, topic))
        return err_set(why, ERR_POLICY,
                       "topic %s had a contract that is gone: give it one again, or delete it with "
                       "DELETE /v1/topics/%s?confirm=%s at the admin door",
                       topic->name, topic->name, topic->name);
    return err_ok();
}

/* Contracts have no such limit, since who writes them sees what they ask for; here anybody asks. */
static err_t check_room(const struct server_topics *topics, uint64_t added, struct err_text *why)
{
    if (topics->partitions + added > FLOW_PARTITIONS_MAX)
        return err_set(why, ERR_INVALID,
                       "there are %" PRIu64 " partitions, and %u at the most: %" PRIu64
                       " more do not fit; delete topics or ask for fewer",
                       topics->partitions, FLOW_PARTITIONS_MAX, added);
    return err_ok();
}

/* Takes the values of `which` over. */
static void take_values(struct flow_topic_config *into, const struct flow_topic_config *from,
                        unsigned which)
{
    ASSERT(which <= FLOW_TOPIC_GIVEN_ALL);
    if (which & FLOW_TOPIC_RETENTION_MS)
        into->retention_ms = from->retention_ms;
    if (which & FLOW_TOPIC_RETENTION_BYTES)
        into->retention_bytes = from->retention_bytes;
    if (which & FLOW_TOPIC_CODEC)
        into->codec = from->codec;
    if (which & FLOW_TOPIC_BATCH_BYTES)
        into->batch_bytes_max = from->batch_bytes_max;
}

static const struct flow_topic_config defaults = {.retention_ms = FLOW_TOPICS_RETENTION_MS,
                                                  .open = true};

static err_t judge_create(struct server_topics *topics, struct flow_topics_item *item)
{
    char name[FLOW_TOPIC_NAME_MAX + 1];
    ASSERT(item->name.size > 0 && item->name.size <= FLOW_TOPIC_NAME_MAX);
    if (find(topics, item))
        return err_set(&item->why, ERR_EXISTS, "topic %.*s exists already",
                       SLICE_PRINTF(item->name));
    memcpy(name, item->name.data, item->name.size);
    name[item->name.size] = '\0';
    /* The names that contracts may have, so that one can take the topic over. */
    const char *problem = control_catalog_name_problem(name);
    if (problem)
        return err_set(&item->why, ERR_POLICY, "expected %s, got '%s'", problem, name);
    TRY(check_room(topics, item->partition_count, &item->why));
    topics->change = (struct flow_topic_change){
        .op = FLOW_TOPIC_CREATE,
        .name = item->name,
        .partition_count = item->partition_count,
        .config = defaults,
    };
    uint8_t random[16];
    io_random(topics->server->control, random, sizeof random);
    item->uuid = topics->change.uuid = uuid_from_random(random);
    topics->change.config.given = item->config.given;
    take_values(&topics->change.config, &item->config, item->config.given);
    return err_ok();
}

/* The partitions that there are stay what they are: keys may move to others, as with a contract. */
static err_t judge_partitions(struct server_topics *topics, struct flow_topics_item *item,
                              const struct flow_topic_state *topic)
{
    if (item->partition_count <= topic->partition_count)
        return err_set(&item->why, ERR_INVALID,
                       "topic %s has %u partitions: expected more than that, got %u", topic->name,
                       topic->partition_count, item->partition_count);
    uint32_t added = item->partition_count - topic->partition_count;
    item->misplaced = item->placed && item->placed_count != added;
    if (item->misplaced)
        return err_set(&item->why, ERR_INVALID,
                       "topic %s has %u partitions: expected an assignment for each of the %u that "
                       "come, got %u",
                       topic->name, topic->partition_count, added, item->placed_count);
    TRY(check_room(topics, added, &item->why));
    topics->change = (struct flow_topic_change){.op = FLOW_TOPIC_PARTITIONS,
                                                .topic_id = topic->id,
                                                .partition_count = item->partition_count};
    return err_ok();
}

/* From what the topic has at this moment, and not from what a client has read before. */
static err_t judge_config(struct server_topics *topics, const struct flow_topics_item *item,
                          const struct flow_topic_state *topic)
{
    struct flow_topic_config config = topic->config;
    ASSERT((item->config.given & item->resets) == 0);
    take_values(&config, &defaults, item->resets);
    take_values(&config, &item->config, item->config.given);
    config.given = (uint16_t)((config.given & ~(unsigned)item->resets) | item->config.given);
    topics->change = (struct flow_topic_change){
        .op = FLOW_TOPIC_CONFIG, .topic_id = topic->id, .config = config};
    return err_ok();
}

/* Both ends are those of the snapshot, and the log looks again: its start only rises. */
static err_t judge_start(struct server_topics *topics, struct flow_topics_item *item,
                         const struct flow_topic_state *topic)
{
    if (item->partition >= topic->partition_count)
        return err_set(&item->why, ERR_NOT_FOUND, "topic %s has %u partitions", topic->name,
                       topic->partition_count);
    int64_t start = topic->start_offset[item->partition];
    int64_t last = topic->end_offset[item->partition];
    int64_t wanted = item->start_offset == -1 ? last : item->start_offset;
    if (wanted < 0 || wanted > last)
        return err_set(&item->why, ERR_OFFSET_RANGE, "partition %u of topic %s ends at %" PRId64,
                       item->partition, topic->name, last);
    /* What is gone already is gone. */
    item->start_offset = wanted > start ? wanted : start;
    topics->change = (struct flow_topic_change){.op = FLOW_TOPIC_LOG_START,
                                                .topic_id = topic->id,
                                                .partition = item->partition,
                                                .start_offset = item->start_offset};
    return err_ok();
}

/* Whether the item can be done, and what is to be committed for it. */
static err_t judge(struct server_topics *topics, struct flow_topics_item *item)
{
    enum flow_topics_op op = topics->current->op;
    if (op == FLOW_TOPICS_CREATE)
        return judge_create(topics, item);
    const struct flow_topic_state *topic = find(topics, item);
    if (!topic)
        return err_set(&item->why, ERR_NOT_FOUND, "there is no such topic");
    TRY(check_policy(topics, topic, &item->why));
    switch (op) {
    case FLOW_TOPICS_PARTITIONS: return judge_partitions(topics, item, topic);
    case FLOW_TOPICS_CONFIG: return judge_config(topics, item, topic);
    case FLOW_TOPICS_LOG_START: return judge_start(topics, item, topic);
    case FLOW_TOPICS_CREATE:
    case FLOW_TOPICS_DELETE: break;
    }
    ASSERT(op == FLOW_TOPICS_DELETE);
    topics->change = (struct flow_topic_change){.op = FLOW_TOPIC_DELETE, .topic_id = topic->id};
    return err_ok();
}

static void step(struct server_topics *topics);

static void commit_back(struct flow_commit *commit)
{
    struct server_topics *topics = CONTAINER_OF(commit, struct server_topics, commit);
    struct flow_topics_item *item = &topics->current->items[topics->at++];
    item->error = commit->error;
    if (!err_is_ok(commit->error))
        (void)err_set(&item->why, (enum err_code)commit->error.code, "the log: %s",
                      err_string(commit->error));
    /* Also where the outcome is not known. Of a topic that is gone they know already. */
    bool known = topics->current->op == FLOW_TOPICS_LOG_START ||
                 (topics->current->op == FLOW_TOPICS_DELETE && err_is_ok(commit->error));
    topics->behind = topics->behind || !known;
    if (err_is_ok(commit->error) && topics->current->op == FLOW_TOPICS_CREATE)
        topics->partitions += item->partition_count;
    step(topics);
}

static void after_snapshot(struct flow_snapshot *snapshot)
{
    struct server_topics *topics = CONTAINER_OF(snapshot, struct server_topics, snapshot);
    struct err_text why = {0};
    err_t err = snapshot->error;
    if (err_is_ok(err))
        err = server_exchange_prepare(&topics->exchange, topics->server, topics->server->catalog,
                                      snapshot, &why);
    if (err_is_ok(err)) {
        server_exchange_begin(&topics->exchange, in_force);
        return;
    }
    fail_rest(topics, err, "it is in the log, and not known to all doors; try another change");
    end(topics);
}

/* The one before is let go: an item that is judged by it would be judged by what was. */
static void ask_log(struct server_topics *topics, void (*done)(struct flow_snapshot *snapshot))
{
    flow_snapshot_done(&topics->snapshot);
    topics->snapshot = (struct flow_snapshot){.home = topics->server->control, .done = done};
    flow_log_snapshot(log_flow(topics->server->log), &topics->snapshot);
}

/* Goes through the items up to the next that has something to commit. */
static void step(struct server_topics *topics)
{
    struct flow_topics_change *change = topics->current;
    for (; topics->at < change->item_count; topics->at++) {
        struct flow_topics_item *item = &change->items[topics->at];
        if (err_is_ok(item->error))
            item->error = judge(topics, item);
        if (!err_is_ok(item->error))
            continue;
        if (change->dry) {
            topics->partitions += change->op == FLOW_TOPICS_CREATE ? item->partition_count : 0;
            continue;
        }
        topics->commit = (struct flow_commit){.home = topics->server->control,
                                              .done = commit_back,
                                              .topics = &topics->change,
                                              .topic_count = 1};
        flow_log_commit(log_flow(topics->server->log), &topics->commit);
        return;
    }
    if (topics->behind)
        ask_log(topics, after_snapshot);
    else
        end(topics);
}

static void forgotten(struct server_exchange *exchange)
{
    struct server_topics *topics = CONTAINER_OF(exchange, struct server_topics, exchange);
    server_exchange_end(exchange);
    step(topics);
}

/* Says of the topics that are meant whether they are open, in the snapshot that is ours. */
static void set_open(struct server_topics *topics, bool open)
{
    struct flow_snapshot *snapshot = &topics->snapshot;
    for (uint32_t i = 0; i < topics->current->item_count; i++) {
        const struct flow_topics_item *item = &topics->current->items[i];
        const struct flow_topic_state *topic = find(topics, item);
        if (err_is_ok(item->error) && topic)
            snapshot->topics[topic - snapshot->topics].config.open = open;
    }
}

/* Takes what is to be deleted away from all inlets, and goes on when that is so. */
static void forget(struct server_topics *topics)
{
    struct flow_topics_change *change = topics->current;
    struct err_text why = {0};
    bool any = false;
    for (uint32_t i = 0; i < change->item_count; i++) {
        if (err_is_ok(change->items[i].error))
            change->items[i].error = judge(topics, &change->items[i]);
        any = any || err_is_ok(change->items[i].error);
    }
    if (!any) {
        step(topics);
        return;
    }
    set_open(topics, false);
    err_t err = server_exchange_prepare(&topics->exchange, topics->server, topics->server->catalog,
                                        &topics->snapshot, &why);
    set_open(topics, true);
    if (err_is_ok(err)) {
        server_exchange_begin(&topics->exchange, forgotten);
        return;
    }
    fail_rest(topics, err, "not all doors can be told of it; try again");
    end(topics);
}

static void before_snapshot(struct flow_snapshot *snapshot)
{
    struct server_topics *topics = CONTAINER_OF(snapshot, struct server_topics, snapshot);
    if (!err_is_ok(snapshot->error)) {
        fail_rest(topics, snapshot->error, "the log does not name its topics");
        end(topics);
        return;
    }
    topics->partitions = 0;
    for (size_t i = 0; i < snapshot->topic_count; i++)
        topics->partitions += snapshot->topics[i].partition_count;
    if (topics->current->op == FLOW_TOPICS_DELETE && !topics->current->dry)
        forget(topics);
    else
        step(topics);
}

static void begin_next(struct server_topics *topics)
{
    if (topics->current || topics->server->reload || list_empty(&topics->waiting))
        return;
    topics->current = CONTAINER_OF(list_pop(&topics->waiting), struct flow_topics_change, link);
    topics->at = 0;
    ask_log(topics, before_snapshot);
}

/* On the control loop. */
static void arrived(struct task *task)
{
    struct flow_topics_change *change = CONTAINER_OF(task, struct flow_topics_change, task);
    struct server_topics *topics = change->topics;
    list_add_tail(&topics->waiting, &change->link);
    begin_next(topics);
}

/* Bounded by the doors: whoever asks holds a request meanwhile. */
static void change_topics(struct flow_topics *flow, struct flow_topics_change *change)
{
    struct server_topics *topics = CONTAINER_OF(flow, struct server_topics, flow);
    change->topics = topics;
    change->task.run = arrived;
    io_post(topics->server->control, &change->task);
}

err_t server_topics_new(struct server *server)
{
    struct server_topics *topics = mem_zalloc(1, sizeof *topics);
    if (!topics)
        return err_make(ERR_MEMORY);
    topics->flow.change = change_topics;
    topics->server = server;
    list_init(&topics->waiting);
    server->topics = topics;
    return err_ok();
}

void server_topics_free(struct server *server)
{
    if (!server->topics)
        return;
    flow_snapshot_done(&server->topics->snapshot);
    server_exchange_end(&server->topics->exchange);
    mem_free(server->topics);
    server->topics = NULL;
}

struct flow_topics *server_topics_flow(struct server *server)
{
    ASSERT(server->topics);
    return &server->topics->flow;
}

bool server_topics_busy(const struct server *server)
{
    return server->topics && server->topics->current;
}

void server_topics_go_on(struct server *server)
{
    if (server->topics)
        begin_next(server->topics);
}
