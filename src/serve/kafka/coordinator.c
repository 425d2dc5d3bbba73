/*
 * A call comes by mail, changes one group, and what the group has answered by then goes home. Each
 * group has a timer for the next thing that time does to it; a heartbeat only moves that further
 * away, which the timer finds out when it rings, so that it costs nothing else.
 *
 * Once a minute the log is asked which groups have offsets: what it does not know and nobody uses
 * goes (its topics were deleted), and what nobody has used for a week is deleted there. A deletion
 * is handed to the log in the moment that it is decided, so that a commit behind it stands.
 *
 * Failure modes: a listing that could not be had is asked for again. A deletion that the log
 * refuses is decided again a minute later, since the log still names the group.
 */

#include "serve/kafka/coordinator.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/utf8.h"

#define RETRY_MS 1000u

static const struct metric_family group_count = {"garner_kafka_groups", "Consumer groups by state.",
                                                 METRIC_GAUGE};
static const struct metric_family members = {"garner_kafka_group_members",
                                             "Members of consumer groups.", METRIC_GAUGE};
static const struct metric_family bytes = {
    "garner_kafka_group_bytes",
    "Memory of consumer groups: what members say of themselves, and their assignments.",
    METRIC_GAUGE};
static const struct metric_family bytes_limit = {"garner_kafka_group_bytes_limit",
                                                 "The most that it may be; over it nobody joins.",
                                                 METRIC_GAUGE};
static const struct metric_family rebalances = {"garner_kafka_group_rebalances_total",
                                                "Generations of consumer groups that have begun.",
                                                METRIC_COUNTER};
static const struct metric_family members_expired = {
    "garner_kafka_group_members_expired_total",
    "Members of consumer groups that were not heard of in time.", METRIC_COUNTER};
static const struct metric_family groups_expired = {
    "garner_kafka_groups_expired_total",
    "Consumer groups whose offsets went because nobody used them for a week.", METRIC_COUNTER};

static void ask_for_groups(struct serve_kafka_coordinator *c);

void serve_kafka_coordinator_report(const struct serve_kafka_coordinator *coordinator,
                                    struct metric_set *set)
{
    const struct serve_kafka_group_budget *budget = &coordinator->budget;
    uint64_t counts[SERVE_KAFKA_GROUP_STATES] = {0};
    const struct serve_kafka_entry *entry;
    for (size_t i = 0; (entry = map_next(&coordinator->groups, &i));)
        counts[entry->group.state]++;
    for (int i = 0; i < SERVE_KAFKA_GROUP_DEAD; i++)
        metric_add(set, &group_count, (double)counts[i], "state=\"%s\"",
                   serve_kafka_group_state_name((enum serve_kafka_group_state)i));
    metric_add(set, &members, (double)budget->members, "%s", "");
    metric_add(set, &bytes, (double)budget->bytes, "%s", "");
    metric_add(set, &bytes_limit, (double)budget->bytes_max, "%s", "");
    metric_add(set, &rebalances, (double)budget->rebalances, "%s", "");
    metric_add(set, &members_expired, (double)budget->expired, "%s", "");
    metric_add(set, &groups_expired, (double)coordinator->groups_expired, "%s", "");
}

uint64_t serve_kafka_coordinator_now_ms(const struct serve_kafka_coordinator *c)
{
    return io_now_ns(c->loop) / IO_MS;
}

struct serve_kafka_entry *
serve_kafka_coordinator_find(const struct serve_kafka_coordinator *coordinator, struct slice name)
{
    return map_get(&coordinator->groups, name);
}

/* Names are shown, in metrics and in tables: two of them must not look the same. */
bool serve_kafka_is_group(struct slice name)
{
    if (name.size == 0 || name.size > FLOW_GROUP_NAME_MAX || !utf8_valid(name))
        return false;
    return !memchr(name.data, '\0', name.size);
}

/* Clients that have no group learn that they need one, and not that they have to join again. */
int16_t serve_kafka_no_group(struct slice name, int16_t unknown)
{
    if (!serve_kafka_is_group(name))
        return SERVE_KAFKA_INVALID_GROUP_ID;
    return unknown;
}

/* Late is harmless: what is due is told by the time, and not by which timer rang. */
static void ring(struct io_timer *timer)
{
    struct serve_kafka_entry *entry = CONTAINER_OF(timer, struct serve_kafka_entry, timer);
    serve_kafka_group_tick(&entry->group, serve_kafka_coordinator_now_ms(entry->coordinator));
    serve_kafka_coordinator_settle(entry);
}

/* Without a budget of its own: those that the log has must find their place, and are bounded there.
 */
static struct serve_kafka_entry *make(struct serve_kafka_coordinator *c, struct slice name)
{
    struct serve_kafka_entry *entry = mem_zalloc(1, sizeof(*entry) + name.size);
    if (!entry)
        return NULL;
    serve_kafka_group_init(&entry->group, &c->budget);
    entry->coordinator = c;
    entry->timer.run = ring;
    memcpy(entry->bytes, name.data, name.size);
    entry->name = slice_make(entry->bytes, name.size);
    entry->group.touched_ms = serve_kafka_coordinator_now_ms(c);
    if (err_is_ok(map_put(&c->groups, entry->name, entry)))
        return entry;
    mem_free(entry);
    return NULL;
}

struct serve_kafka_entry *
serve_kafka_coordinator_ensure(struct serve_kafka_coordinator *coordinator, struct slice name)
{
    struct serve_kafka_entry *entry = serve_kafka_coordinator_find(coordinator, name);
    ASSERT(name.size > 0);
    if (entry || coordinator->groups.count >= SERVE_KAFKA_GROUPS_MAX)
        return entry;
    return make(coordinator, name);
}

/* Whoever waited has been answered. */
static void free_entry(struct serve_kafka_entry *entry)
{
    io_timer_stop(entry->coordinator->loop, &entry->timer);
    serve_kafka_group_done(&entry->group);
    mem_free(entry);
}

void serve_kafka_coordinator_forget(struct serve_kafka_entry *entry)
{
    ASSERT(entry->group.state == SERVE_KAFKA_GROUP_EMPTY && list_empty(&entry->group.answered));
    map_remove(&entry->coordinator->groups, entry->name);
    free_entry(entry);
}

/* An id that was given away is a member that is about to come. */
static bool is_unused(const struct serve_kafka_entry *entry)
{
    return entry->group.state == SERVE_KAFKA_GROUP_EMPTY && entry->group.pending_count == 0;
}

/* The last thing that is done with a group in a turn: it may be gone behind this. */
void serve_kafka_coordinator_settle(struct serve_kafka_entry *entry)
{
    struct serve_kafka_coordinator *c = entry->coordinator;
    struct list *link;
    while ((link = list_pop(&entry->group.answered))) {
        struct serve_kafka_waiter *waiter = CONTAINER_OF(link, struct serve_kafka_waiter, link);
        struct serve_kafka_group_call *waiting =
            CONTAINER_OF(waiter, struct serve_kafka_group_call, waiter);
        waiting->reply(entry, waiting);
    }
    if (is_unused(entry) && !entry->kept) {
        serve_kafka_coordinator_forget(entry);
        return;
    }
    uint64_t due_ms = serve_kafka_group_due_ms(&entry->group);
    uint64_t now_ms = serve_kafka_coordinator_now_ms(c);
    if (due_ms == UINT64_MAX || c->stopping)
        io_timer_stop(c->loop, &entry->timer);
    else
        io_timer_start(c->loop, &entry->timer, due_ms > now_ms ? (due_ms - now_ms) * IO_MS : 0);
}

static void deliver(struct task *task)
{
    struct serve_kafka_call *call = CONTAINER_OF(task, struct serve_kafka_call, task);
    serve_kafka_reply_encoded(call);
}

void serve_kafka_send_home(struct serve_kafka_call *call, const void *response)
{
    ASSERT(call->answer.size == 0);
    if (response)
        serve_kafka_encode(call, response);
    call->task.run = deliver;
    io_post(call->door->loop, &call->task);
}

static void run_call(struct serve_kafka_coordinator *c, struct serve_kafka_call *call)
{
    /* Without an answer the connection closes, as the server is about to in any case. */
    if (c->stopping)
        serve_kafka_send_home(call, NULL);
    else
        call->coordinated(c, call);
}

/* Before the groups are known, one that has offsets would be taken for a new one. */
static void arrive(struct task *task)
{
    struct serve_kafka_call *call = CONTAINER_OF(task, struct serve_kafka_call, task);
    struct serve_kafka_coordinator *c = call->door->kafka->coordinator;
    if (c->loaded || c->stopping)
        run_call(c, call);
    else
        list_add_tail(&c->early, &call->early_link);
}

void serve_kafka_coordinate(struct serve_kafka_call *call,
                            void (*run)(struct serve_kafka_coordinator *coordinator,
                                        struct serve_kafka_call *call))
{
    call->coordinated = run;
    call->task.run = arrive;
    io_post(call->door->kafka->coordinator->loop, &call->task);
}

/* What is on its way points into the coordinator, so it ends behind that. */
static void check_stopped(struct serve_kafka_coordinator *c)
{
    if (!c->stopped || c->listing_asked || c->commits > 0)
        return;
    void (*stopped)(void *) = c->stopped;
    c->stopped = NULL;
    stopped(c->owner);
}

/* A group's offsets on their way out. */
struct expiry {
    struct flow_commit commit;
    struct flow_offset change;
    struct serve_kafka_coordinator *coordinator;
    char name[];
};

static void expired(struct flow_commit *commit)
{
    struct expiry *expiry = CONTAINER_OF(commit, struct expiry, commit);
    struct serve_kafka_coordinator *c = expiry->coordinator;
    ASSERT(c->commits > 0);
    c->commits--;
    mem_free(expiry);
    check_stopped(c);
}

/* Without memory for it the next sweep decides again. */
static void expire(struct serve_kafka_coordinator *c, struct serve_kafka_entry *entry)
{
    struct expiry *expiry = mem_zalloc(1, sizeof(*expiry) + entry->name.size);
    if (!expiry)
        return;
    memcpy(expiry->name, entry->name.data, entry->name.size);
    expiry->coordinator = c;
    expiry->change = (struct flow_offset){.op = FLOW_OFFSET_DELETE_GROUP,
                                          .group = slice_make(expiry->name, entry->name.size)};
    expiry->commit = (struct flow_commit){
        .home = c->loop, .done = expired, .offsets = &expiry->change, .offset_count = 1};
    c->commits++;
    c->groups_expired++;
    flow_log_commit(c->log, &expiry->commit);
    serve_kafka_coordinator_forget(entry);
}

/* What the log does not have any more, or has had for too long. */
static bool is_over(const struct serve_kafka_coordinator *c, const struct serve_kafka_entry *entry,
                    uint64_t now_ms)
{
    /* What was used since it was asked may have committed since. */
    if (!is_unused(entry) || entry->group.touched_ms >= c->listing_ms)
        return false;
    return entry->round != c->round ||
           now_ms - entry->group.touched_ms >= SERVE_KAFKA_OFFSETS_KEPT_MS;
}

static void drop_what_is_over(struct serve_kafka_coordinator *c)
{
    uint64_t now_ms = serve_kafka_coordinator_now_ms(c);
    struct serve_kafka_entry *entry;
    struct list over, *link;
    list_init(&over);
    /* The map must not change while it is walked. */
    for (size_t i = 0; (entry = map_next(&c->groups, &i));)
        if (is_over(c, entry, now_ms))
            list_add_tail(&over, &entry->link);
    while ((link = list_pop(&over))) {
        entry = CONTAINER_OF(link, struct serve_kafka_entry, link);
        if (entry->round == c->round)
            expire(c, entry);
        else
            serve_kafka_coordinator_forget(entry);
    }
}

/* Marked with the round and not compared: so one walk over the listing and one over the groups is
 * enough. */
static void take_listing(struct serve_kafka_coordinator *c)
{
    c->round++;
    for (size_t i = 0; i < c->listing.group_count; i++) {
        struct slice name = c->listing.groups[i].name;
        struct serve_kafka_entry *entry = serve_kafka_coordinator_find(c, name);
        if (!entry)
            entry = make(c, name);
        /* Without memory it is not listed until the next time, and nothing is lost. */
        if (!entry)
            continue;
        entry->round = c->round;
        entry->kept = true;
    }
    drop_what_is_over(c);
}

/* In the order in which they came. */
static void load(struct serve_kafka_coordinator *c)
{
    struct list *link;
    c->loaded = true;
    while ((link = list_pop(&c->early)))
        run_call(c, CONTAINER_OF(link, struct serve_kafka_call, early_link));
}

static void listed(struct flow_offsets *listing)
{
    struct serve_kafka_coordinator *c =
        CONTAINER_OF(listing, struct serve_kafka_coordinator, listing);
    bool good = err_is_ok(listing->error) && !c->listing_stale;
    ASSERT(c->listing_asked);
    c->listing_asked = false;
    if (good && !c->stopping)
        take_listing(c);
    flow_offsets_done(listing);
    if (good && !c->loaded && !c->stopping)
        load(c);
    if (c->stopping)
        check_stopped(c);
    else
        io_timer_start(c->loop, &c->sweep, (good ? SERVE_KAFKA_SWEEP_MS : RETRY_MS) * IO_MS);
}

/* The time is noted first: what is used from here on may be in the log and not in the answer. */
static void ask_for_groups(struct serve_kafka_coordinator *c)
{
    ASSERT(!c->listing_asked && !c->stopping);
    c->listing_asked = true;
    c->listing_stale = false;
    c->listing_ms = serve_kafka_coordinator_now_ms(c);
    c->listing = (struct flow_offsets){.home = c->loop, .done = listed};
    flow_log_offsets(c->log, &c->listing);
}

static void sweep(struct io_timer *timer)
{
    ask_for_groups(CONTAINER_OF(timer, struct serve_kafka_coordinator, sweep));
}

err_t serve_kafka_coordinator_new(struct io_loop *loop, struct flow_log *log,
                                  struct serve_kafka_coordinator **out)
{
    struct serve_kafka_coordinator *c = mem_zalloc(1, sizeof(*c));
    uint64_t seed;
    if (!c)
        return err_make(ERR_MEMORY);
    /* Names are the clients' to choose. */
    io_random(loop, &seed, sizeof(seed));
    c->loop = loop;
    c->log = log;
    c->budget.bytes_max = SERVE_KAFKA_GROUPS_BYTES_MAX;
    c->sweep.run = sweep;
    map_init(&c->groups, seed);
    list_init(&c->early);
    *out = c;
    return err_ok();
}

void serve_kafka_coordinator_start(struct serve_kafka_coordinator *coordinator)
{
    ask_for_groups(coordinator);
}

/* Doors stop when they have no request left, and some of those are here. */
void serve_kafka_coordinator_stop(struct serve_kafka_coordinator *coordinator,
                                  void (*stopped)(void *owner), void *owner)
{
    struct serve_kafka_entry *entry;
    ASSERT(!coordinator->stopping);
    coordinator->stopping = true;
    coordinator->stopped = stopped;
    coordinator->owner = owner;
    io_timer_stop(coordinator->loop, &coordinator->sweep);
    load(coordinator);
    /* Kept, or the walk would lose its place. */
    for (size_t i = 0; (entry = map_next(&coordinator->groups, &i));) {
        entry->kept = true;
        serve_kafka_group_cancel(&entry->group, SERVE_KAFKA_COORDINATOR_NOT_AVAILABLE);
        serve_kafka_coordinator_settle(entry);
    }
    check_stopped(coordinator);
}

void serve_kafka_coordinator_free(struct serve_kafka_coordinator **pointer)
{
    struct serve_kafka_coordinator *c = *pointer;
    struct serve_kafka_entry *entry;
    if (!c)
        return;
    ASSERT(!c->listing_asked && c->commits == 0 && list_empty(&c->early));
    for (size_t i = 0; (entry = map_next(&c->groups, &i));)
        free_entry(entry);
    map_done(&c->groups);
    mem_free(c);
    *pointer = NULL;
}
