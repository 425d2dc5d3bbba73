/*
 * One request under way at a time, in the order in which a person would ask: who is in the group,
 * what has it committed, where do those partitions begin and end. What is found is kept by topic
 * and partition; tables and JSON are made of the same rows.
 *
 * What goes wrong: a partition that has an error is told and the others go on, exit code 1 then.
 * When the answer to a change is lost nobody knows whether it was made, which is said; to look, or
 * to do it again, is harmless.
 */

#include "cli/groups.h"

#include "base/alloc.h"
#include "base/arena.h"
#include "base/assert.h"
#include "base/cursor.h"
#include "base/list.h"
#include "base/number.h"
#include "base/time.h"
#include "cli/broker.h"
#include "cli/cli.h"
#include "cli/door.h"
#include "cli/sheet.h"
#include "cli/topics.h"
#include "io/uv/uv.h"

/* Subscriptions and assignments of large groups are in the answers, up to what a door sends. */
#define ANSWER_BYTES_MAX ((size_t)96 << 20)
/* A hundred large groups with their members still fit into one answer. */
#define DESCRIBED_AT_ONCE 100u

/* Codes of the protocol that have a remedy. */
#define UNKNOWN_MEMBER_ID 25
#define REBALANCE_IN_PROGRESS 27
#define NON_EMPTY_GROUP 68
#define GROUP_ID_NOT_FOUND 69
/* Of what an answer leaves out. */
#define NOT_TOLD (-1)

/* Times that stand for something else (Kafka protocol, ListOffsets). */
#define LATEST (-1)
#define EARLIEST (-2)

struct flags {
    const char *server;
    const char *topic;
    const char *to;
    struct cli_access_flags access;
    uint64_t timeout_ms;
    bool dry_run;
    bool json;
};

#define FLAG(name_, type_, field_)                                                                 \
    .name = name_, .type = type_, .offset = offsetof(struct flags, field_)

const struct option cli_groups_options[] = {
    {FLAG("server", OPTION_STRING, server),
     .help = "the Kafka door, or any broker; else GARNER_KAFKA, else 127.0.0.1:9092"},
    {FLAG("topic", OPTION_STRING, topic),
     .help = "reset: all partitions of this one; else all that the group has committed"},
    {FLAG("to", OPTION_STRING, to),
     .help = "reset: earliest, latest, an offset, or a time such as 2026-01-31T12:00:00Z"},
    {FLAG("dry_run", OPTION_BOOL, dry_run), .help = "reset: show what would be set"},
    {FLAG("timeout", OPTION_DURATION, timeout_ms), .fallback = "30s", .min = 1, .max = INT32_MAX,
     .help = "for each answer of the broker"},
    CLI_ACCESS_OPTIONS(struct flags, access),
    {FLAG("json", OPTION_BOOL, json), .help = "one JSON object on standard output"},
    {0},
};

const char cli_groups_text[] =
    "  garner groups list              every group with its state, members and protocol\n"
    "  garner groups describe GROUP    what it has committed, and how much is not read yet\n"
    "  garner groups reset GROUP --to earliest\n"
    "  garner groups reset GROUP --topic flights --to 2026-01-31T12:00:00Z --dry-run\n"
    "  garner groups delete GROUP      with its offsets, for ever\n"
    "\n"
    "Over the Kafka protocol, so of any broker. A group is reset or deleted while it has no\n"
    "members: stop its consumers first. A time means the first record from then on, and the end\n"
    "where there is none. \"offset\" is the next record that is read, \"lag\" what is there from\n"
    "it to the end.\n"
    "Exit code 0; 1 when the broker refuses, there is no such group, or a partition was left as\n"
    "it was (each is told); 69 when no broker answers.\n";

/* Which of a partition's offsets. */
enum place { PLACE_START, PLACE_END, PLACE_TIME, PLACES };

struct spot {
    struct slice topic;
    int32_t partition;
    int64_t committed; /* -1: nothing */
    int64_t at[PLACES];
    int64_t target;
    int16_t error;
    struct slice member; /* who reads it, and from where; data NULL: nobody */
    struct slice host;
};

struct groups {
    const struct cli_command *command;
    struct flags flags;
    const char *group;
    char address[CLI_DOOR_ADDRESS_SIZE];
    struct cli_access access;
    struct io_loop *loop;
    struct cli_broker *broker;
    struct io_timer limit;
    struct arena arena; /* what is kept of answers */
    struct cli_sheet sheet;
    void (*take)(struct groups *g, const void *response); /* the answer that is waited for */
    bool waits;
    bool changes; /* what is under way is a change */
    enum place place;
    int64_t to; /* --to: a timestamp of ListOffsets, or the offset itself */
    bool to_offset;
    bool failed; /* in a part, which was told */
    struct slice *names;
    uint32_t name_count;
    struct slice state;
    struct slice protocol;
    uint32_t member_count;
    struct spot *spots;
    uint32_t spot_count;
    uint32_t spot_capacity;
    int code; /* GO_ON, or why it ends */
};

/* -1 is "go on"; anything else the exit code. */
#define GO_ON (-1)

/* The first reason stands. */
static int stop(struct groups *g, int code)
{
    if (g->code == GO_ON)
        g->code = code;
    g->waits = false;
    io_uv_loop_stop(g->loop);
    return g->code;
}

/* Nothing is half shown: what was not printed yet is not. */
static int out_of_memory(struct groups *g)
{
    return stop(g, cli_fail(g->command, CLI_INTERNAL, "out of memory"));
}

/* Which code it is depends on the request and on the moment, and the remedy is the same. */
static bool has_members(int16_t code)
{
    return code == NON_EMPTY_GROUP || code == UNKNOWN_MEMBER_ID || code == REBALANCE_IN_PROGRESS;
}

/* What the broker says of the group as a whole, with what to do about it. */
static void refuse(struct groups *g, int16_t code)
{
    if (has_members(code))
        stop(g, cli_fail(g->command, CLI_FAILED,
                         "%s has members; stop its consumers, wait until `garner groups describe "
                         "%s` says Empty, and try again",
                         g->group, g->group));
    else if (code == GROUP_ID_NOT_FOUND)
        stop(g, cli_fail(g->command, CLI_FAILED,
                         "%s has no group %s; `garner groups list` names those it has", g->address,
                         g->group));
    else
        stop(g, cli_fail(g->command, CLI_FAILED, "%s answers %s (%d)", g->address,
                         cli_broker_code_name(code), code));
}

/* A broker that takes a connection and never answers must not hold a script for ever. */
static void begin_wait(struct groups *g)
{
    g->waits = true;
    io_timer_start(g->loop, &g->limit, g->flags.timeout_ms * IO_MS);
}

static int await(struct groups *g)
{
    while (g->waits && g->code == GO_ON)
        io_uv_loop_run(g->loop);
    io_timer_stop(g->loop, &g->limit);
    return g->code;
}

/* Whoever waits for a change has to know that it may have been made. */
static void unreachable(struct groups *g, const char *reason)
{
    if (g->changes)
        stop(g, cli_fail(g->command, CLI_UNAVAILABLE,
                         "%s: %s; it is not known whether %s was changed, look with `garner groups "
                         "describe`",
                         g->address, reason, g->group));
    else
        stop(g, cli_fail(g->command, CLI_UNAVAILABLE,
                         "no broker at %s (%s); start one with `garner serve`, or say where it is "
                         "with --server",
                         g->address, reason));
}

static void on_limit(struct io_timer *timer)
{
    unreachable(CONTAINER_OF(timer, struct groups, limit), "no answer in --timeout");
}

/* Also where a topic was asked about: its partitions are known by then. */
static void on_ready(void *owner)
{
    struct groups *g = owner;
    g->waits = false;
    io_uv_loop_stop(g->loop);
}

static void on_answer(void *owner, void *tag, const struct proto_kafka_api *api,
                      const void *response)
{
    struct groups *g = owner;
    (void)tag;
    (void)api;
    /* An answer behind the limit is nobody's. */
    if (!g->waits)
        return;
    g->waits = false;
    g->take(g, response);
    io_uv_loop_stop(g->loop);
}

static void on_closed(void *owner, err_t err, const struct err_text *why)
{
    struct groups *g = owner;
    struct cli_broker *broker = g->broker;
    g->broker = NULL;
    /* It is there, and lacks what was asked for: to start one would not help. */
    if (g->code == GO_ON && cli_door_is_final(err))
        stop(g, cli_fail(g->command, CLI_FAILED, "%s", why->text));
    else if (g->code == GO_ON)
        unreachable(g, why->text);
    cli_broker_free(&broker);
    io_uv_loop_stop(g->loop);
}

static const struct cli_broker_events broker_events = {
    .ready = on_ready,
    .answer = on_answer,
    .closed = on_closed,
};

/* One at a time, so that each answer may decide what is asked next. The first reason to end stands:
 * a request behind it is not sent. */
static int ask(struct groups *g, int16_t key, const void *request,
               void (*take)(struct groups *g, const void *response))
{
    if (g->code != GO_ON)
        return g->code;
    ASSERT(g->broker && !g->waits);
    g->take = take;
    begin_wait(g);
    /* A failure closes the connection, which is where it is dealt with. */
    (void)cli_broker_send(g->broker, key, request, NULL);
    return await(g);
}

/* Answers are gone when the next one comes. */
static struct slice keep(struct groups *g, struct slice text)
{
    struct slice kept = text.size > 0 ? arena_slice(&g->arena, text) : SLICE_LITERAL("");
    if (!kept.data) {
        out_of_memory(g);
        return SLICE_LITERAL("");
    }
    return kept;
}

/* In the arena, as requests are small beside the answers and all of it goes together. One more than
 * asked for, since nothing at all would look like no memory. */
static void *allocate(struct groups *g, uint32_t count, size_t size)
{
    void *made = arena_alloc(&g->arena, (count + 1u) * size);
    if (!made)
        out_of_memory(g);
    return made;
}

/* NULL without memory, which ends the command. */
static struct spot *add_spot(struct groups *g, struct slice topic, int32_t partition)
{
    if (g->spot_count == g->spot_capacity) {
        uint32_t wanted = g->spot_capacity ? g->spot_capacity * 2 : 64;
        void *grown = mem_realloc(g->spots, wanted, sizeof(*g->spots));
        if (!grown) {
            out_of_memory(g);
            return NULL;
        }
        g->spots = grown;
        g->spot_capacity = wanted;
    }
    ASSERT(g->spot_count < g->spot_capacity);
    struct spot *spot = &g->spots[g->spot_count++];
    *spot = (struct spot){
        .topic = topic, .partition = partition, .committed = -1, .at = {-1, -1, -1}, .target = -1};
    return spot;
}

/* By topic first, so that a request has each topic once. */
static int compare_spots(const void *left, const void *right)
{
    const struct spot *a = left;
    const struct spot *b = right;
    int by_topic = slice_compare(a->topic, b->topic);
    return by_topic ? by_topic : (a->partition > b->partition) - (a->partition < b->partition);
}

/* In order, and what was learned of one partition from two answers is one spot. */
static void merge_spots(struct groups *g)
{
    uint32_t count = 0;
    if (g->spot_count == 0)
        return;
    qsort(g->spots, g->spot_count, sizeof(*g->spots), compare_spots);
    for (uint32_t i = 1; i < g->spot_count; i++) {
        struct spot *last = &g->spots[count];
        const struct spot *next = &g->spots[i];
        if (compare_spots(last, next) != 0) {
            g->spots[++count] = *next;
            continue;
        }
        last->committed = next->committed >= 0 ? next->committed : last->committed;
        if (next->error)
            last->error = next->error;
        last->host = next->member.data ? next->host : last->host;
        last->member = next->member.data ? next->member : last->member;
    }
    g->spot_count = count + 1;
}

/* A broker answers in any order, and may leave out or add what it likes. */
static struct spot *find_spot(const struct groups *g, struct slice topic, int32_t partition)
{
    const struct spot key = {.topic = topic, .partition = partition};
    return bsearch(&key, g->spots, g->spot_count, sizeof(*g->spots), compare_spots);
}

/* Behind the last spot of the topic of the one at `at`. */
static uint32_t topic_end(const struct groups *g, uint32_t at)
{
    uint32_t end = at;
    ASSERT(at < g->spot_count);
    while (end < g->spot_count && slice_equal(g->spots[end].topic, g->spots[at].topic))
        end++;
    return end;
}

/* A consumer's assignment: version, topics with their partitions, and bytes of its own. One of
 * another kind is not understood, which leaves its partitions without a member. */
static void take_assignment(struct groups *g, struct slice member, struct slice host,
                            struct slice assignment)
{
    struct cursor cursor = cursor_make(assignment);
    /* Later versions have more at the end and the same in front. */
    (void)cursor_u16be(&cursor);
    uint32_t topics = cursor_u32be(&cursor);
    for (uint32_t t = 0; t < topics && cursor_ok(&cursor); t++) {
        struct slice name = cursor_bytes(&cursor, cursor_u16be(&cursor));
        uint32_t partitions = cursor_u32be(&cursor);
        if (!cursor_ok(&cursor))
            return;
        /* Once a topic and not once a partition, of which there may be thousands. */
        name = keep(g, name);
        for (uint32_t p = 0; p < partitions; p++) {
            int32_t partition = (int32_t)cursor_u32be(&cursor);
            struct spot *spot = cursor_ok(&cursor) ? add_spot(g, name, partition) : NULL;
            if (!spot)
                return;
            spot->member = member;
            spot->host = host;
        }
    }
}

static void take_member(struct groups *g,
                        const struct proto_kafka_describe_groups_response_member *member)
{
    struct slice host = member->client_host;
    /* Brokers in Java put a slash before it, and one that does not know it says nothing. */
    if (host.size > 0 && host.data[0] == '/')
        host = slice_sub(host, 1, host.size);
    take_assignment(g, keep(g, member->member_id),
                    host.size > 0 ? keep(g, host) : slice_make(NULL, 0), member->member_assignment);
}

/* A group that nobody knows is no error here: it may have offsets, or be about to get some. */
static void take_described(struct groups *g, const void *response)
{
    const struct proto_kafka_describe_groups_response *answer = response;
    if (answer->groups.count != 1) {
        refuse(g, NOT_TOLD);
        return;
    }
    const struct proto_kafka_describe_groups_response_group *group = answer->groups.items;
    /* Later versions say so by a code, and earlier ones by the state alone. */
    if (group->error_code != 0 && group->error_code != GROUP_ID_NOT_FOUND) {
        refuse(g, group->error_code);
        return;
    }
    g->state = group->error_code ? SLICE_LITERAL("Dead") : keep(g, group->group_state);
    g->protocol = keep(g, group->protocol_data);
    g->member_count = group->members.count;
    if (slice_equal_string(group->protocol_type, "consumer"))
        for (uint32_t i = 0; i < group->members.count && g->code == GO_ON; i++)
            take_member(g, &group->members.items[i]);
}

static int ask_described(struct groups *g)
{
    struct slice name = slice_string(g->group);
    struct proto_kafka_describe_groups_request request = {.groups = {&name, 1}};
    return ask(g, PROTO_KAFKA_DESCRIBE_GROUPS, &request, take_described);
}

/* An error of the group ends it, one of a partition is that partition's. */
static void take_committed(struct groups *g, const void *response)
{
    const struct proto_kafka_offset_fetch_response *answer = response;
    if (answer->groups.count != 1) {
        stop(g, cli_fail(g->command, CLI_FAILED,
                         "%s answers OffsetFetch as before Kafka 3.0, which is not understood",
                         g->address));
        return;
    }
    const struct proto_kafka_offset_fetch_response_group *group = answer->groups.items;
    if (group->error_code != 0 && group->error_code != GROUP_ID_NOT_FOUND) {
        refuse(g, group->error_code);
        return;
    }
    for (uint32_t t = 0; t < group->topics.count; t++) {
        const struct proto_kafka_offset_fetch_response_group_topic *topic = &group->topics.items[t];
        struct slice name = keep(g, topic->name);
        for (uint32_t p = 0; p < topic->partitions.count && g->code == GO_ON; p++) {
            struct spot *spot = add_spot(g, name, topic->partitions.items[p].partition_index);
            if (!spot)
                return;
            spot->committed = topic->partitions.items[p].committed_offset;
            spot->error = topic->partitions.items[p].error_code;
        }
    }
}

/* Without topics, which means all: a group may have read what it has long left. */
static int ask_committed(struct groups *g)
{
    struct proto_kafka_offset_fetch_request_group group = {.group_id = slice_string(g->group),
                                                           .member_epoch = -1};
    struct proto_kafka_offset_fetch_request request;
    proto_kafka_init(proto_kafka_api(PROTO_KAFKA_OFFSET_FETCH)->request, &request);
    /* Both shapes of the protocol: the version decides which of them is sent. */
    request.group_id = group.group_id;
    request.groups.items = &group;
    request.groups.count = 1;
    return ask(g, PROTO_KAFKA_OFFSET_FETCH, &request, take_committed);
}

/* What an earlier answer said of a partition is nearer to the cause, and stays. */
static void take_place(struct groups *g, const void *response)
{
    const struct proto_kafka_list_offsets_response *answer = response;
    for (uint32_t t = 0; t < answer->topics.count; t++) {
        const struct proto_kafka_list_offsets_response_topic *topic = &answer->topics.items[t];
        for (uint32_t p = 0; p < topic->partitions.count; p++) {
            const struct proto_kafka_list_offsets_response_partition *told =
                &topic->partitions.items[p];
            struct spot *spot = find_spot(g, topic->name, told->partition_index);
            if (!spot)
                continue;
            spot->at[g->place] = told->offset;
            if (!spot->error)
                spot->error = told->error_code;
        }
    }
}

/* Where the partitions are at `timestamp`, into `place`. */
static int ask_place(struct groups *g, enum place place, int64_t timestamp)
{
    struct proto_kafka_list_offsets_request request = {.replica_id = -1};
    struct proto_kafka_list_offsets_request_partition *partitions =
        allocate(g, g->spot_count, sizeof(*partitions));
    request.topics.items = allocate(g, g->spot_count, sizeof(*request.topics.items));
    if (!partitions || !request.topics.items)
        return g->code;
    for (uint32_t i = 0; i < g->spot_count;) {
        uint32_t end = topic_end(g, i);
        struct proto_kafka_list_offsets_request_topic *topic =
            &request.topics.items[request.topics.count++];
        topic->name = g->spots[i].topic;
        topic->partitions.items = partitions + i;
        topic->partitions.count = end - i;
        for (; i < end; i++)
            partitions[i] = (struct proto_kafka_list_offsets_request_partition){
                .partition_index = g->spots[i].partition,
                .current_leader_epoch = -1,
                .timestamp = timestamp};
    }
    g->place = place;
    int code = ask(g, PROTO_KAFKA_LIST_OFFSETS, &request, take_place);
    /* Of a time there may be none; a partition always has a start and an end. */
    for (uint32_t i = 0; i < g->spot_count && place != PLACE_TIME; i++)
        if (!g->spots[i].error && g->spots[i].at[place] < 0)
            g->spots[i].error = NOT_TOLD;
    return code;
}

/* The exit code says whether all of it was good, also where what was good is shown. */
static int print(struct groups *g, const char *rows, struct slice head)
{
    if (g->code == GO_ON && !cli_sheet_print(&g->sheet, rows, head))
        return out_of_memory(g);
    if (g->code != GO_ON)
        return g->code;
    return g->failed ? CLI_FAILED : CLI_OK;
}

/* On standard error as it comes, so that the result stays one that a script can read. */
static void tell(struct groups *g, const struct spot *spot)
{
    g->failed = true;
    cli_fail(g->command, CLI_OK, "%.*s partition %d: %s (%d)", SLICE_PRINTF(spot->topic),
             (int)spot->partition, cli_broker_code_name(spot->error), spot->error);
}

/* By bytes: the same everywhere, whatever the language of the terminal. */
static int compare_names(const void *left, const void *right)
{
    return slice_compare(*(const struct slice *)left, *(const struct slice *)right);
}

static void take_names(struct groups *g, const void *response)
{
    const struct proto_kafka_list_groups_response *answer = response;
    if (answer->error_code != 0) {
        refuse(g, answer->error_code);
        return;
    }
    g->names = allocate(g, answer->groups.count, sizeof(*g->names));
    if (!g->names)
        return;
    for (uint32_t i = 0; i < answer->groups.count; i++)
        g->names[g->name_count++] = keep(g, answer->groups.items[i].group_id);
    /* A broker has them in no order. */
    qsort(g->names, g->name_count, sizeof(*g->names), compare_names);
}

/* States come from here and not from the list, which has them only in later versions. */
static void take_listed(struct groups *g, const void *response)
{
    const struct proto_kafka_describe_groups_response *answer = response;
    for (uint32_t i = 0; i < answer->groups.count && g->code == GO_ON; i++) {
        const struct proto_kafka_describe_groups_response_group *group = &answer->groups.items[i];
        struct buf *row = &g->sheet.row;
        if (group->error_code != 0) {
            g->failed = true;
            cli_fail(g->command, CLI_OK, "%.*s: %s (%d)", SLICE_PRINTF(group->group_id),
                     cli_broker_code_name(group->error_code), group->error_code);
            continue;
        }
        /* Gone since it was named. */
        if (slice_equal_string(group->group_state, "Dead"))
            continue;
        cli_sheet_text(&g->sheet, row, "state", group->group_state);
        buf_add_byte(row, ',');
        cli_sheet_number(&g->sheet, row, "members", group->members.count);
        buf_add_byte(row, ',');
        cli_sheet_text(&g->sheet, row, "type", group->protocol_type);
        buf_add_byte(row, ',');
        cli_sheet_text(&g->sheet, row, "protocol", group->protocol_data);
        cli_sheet_end_row(&g->sheet, group->group_id);
    }
}

/* In two steps, since only the second knows members and protocols. */
static int list(struct groups *g)
{
    struct proto_kafka_list_groups_request all = {0};
    g->sheet.key = "group";
    int code = ask(g, PROTO_KAFKA_LIST_GROUPS, &all, take_names);
    /* Not all at once: each answer has the members' subscriptions in it. */
    for (uint32_t i = 0; i < g->name_count && code == GO_ON; i += DESCRIBED_AT_ONCE) {
        uint32_t left = g->name_count - i;
        struct proto_kafka_describe_groups_request some = {
            .groups = {g->names + i, left < DESCRIBED_AT_ONCE ? left : DESCRIBED_AT_ONCE}};
        code = ask(g, PROTO_KAFKA_DESCRIBE_GROUPS, &some, take_listed);
    }
    return print(g, "groups", SLICE_LITERAL(""));
}

/* Without a committed offset there is no lag either: where a consumer would begin is its own
 * choice, and it may begin at the end. */
static void add_described(struct groups *g, const struct spot *spot)
{
    struct buf *row = &g->sheet.row;
    int64_t end = spot->at[PLACE_END];
    bool known = spot->committed >= 0 && end >= 0;
    cli_sheet_number(&g->sheet, row, "partition", spot->partition);
    buf_add_byte(row, ',');
    cli_sheet_number(&g->sheet, row, "offset", spot->committed);
    buf_add_byte(row, ',');
    cli_sheet_number(&g->sheet, row, "end_offset", end);
    buf_add_byte(row, ',');
    /* An offset beyond the end is one of an earlier topic of this name, and nothing waits. */
    int64_t behind = end > spot->committed ? end - spot->committed : 0;
    cli_sheet_number(&g->sheet, row, "lag", known ? behind : -1);
    buf_add_byte(row, ',');
    cli_sheet_text(&g->sheet, row, "member", spot->member);
    buf_add_byte(row, ',');
    cli_sheet_text(&g->sheet, row, "host", spot->host);
    cli_sheet_end_row(&g->sheet, spot->topic);
}

/* Members first: who joins meanwhile is missing, and who leaves was there; neither is an error. */
static int describe(struct groups *g)
{
    struct buf head = {0};
    g->sheet.key = "topic";
    int code = ask_described(g);
    if (code == GO_ON)
        code = ask_committed(g);
    if (code != GO_ON)
        return code;
    merge_spots(g);
    if (slice_equal_string(g->state, "Dead") && g->spot_count == 0) {
        refuse(g, GROUP_ID_NOT_FOUND);
        return g->code;
    }
    if (g->spot_count > 0 && ask_place(g, PLACE_END, LATEST) != GO_ON)
        return g->code;
    /* Shown all the same: what is known of it may be what explains the error. */
    for (uint32_t i = 0; i < g->spot_count; i++) {
        if (g->spots[i].error)
            tell(g, &g->spots[i]);
        add_described(g, &g->spots[i]);
    }
    cli_sheet_text(&g->sheet, &head, "group", slice_string(g->group));
    buf_add_byte(&head, ',');
    cli_sheet_text(&g->sheet, &head, "state", g->state);
    buf_add_byte(&head, ',');
    cli_sheet_text(&g->sheet, &head, "protocol", g->protocol);
    buf_add_format(&head, ",\"members\":%u,", g->member_count);
    if (!buf_ok(&head))
        out_of_memory(g);
    else if (!g->flags.json)
        printf("%s: %.*s, %u members%s%.*s\n", g->group, SLICE_PRINTF(g->state), g->member_count,
               g->protocol.size > 0 ? ", protocol " : "", SLICE_PRINTF(g->protocol));
    code = print(g, "offsets", buf_slice(&head));
    buf_done(&head);
    return code;
}

/* With --topic all of its partitions, whether the group knows them or not, and nothing else. */
static void choose_spots(struct groups *g)
{
    struct slice topic = slice_string(g->flags.topic);
    uint32_t count = 0;
    for (uint32_t i = 0; i < g->spot_count; i++)
        if (slice_equal(g->spots[i].topic, topic))
            g->spots[count++] = g->spots[i];
    g->spot_count = count;
    for (uint32_t i = 0; i < cli_broker_partition_count(g->broker); i++)
        if (!add_spot(g, topic, (int32_t)i))
            return;
}

/* Where each goes. What cannot go there is told and left as it is. */
static void aim(struct groups *g)
{
    for (uint32_t i = 0; i < g->spot_count; i++) {
        struct spot *spot = &g->spots[i];
        int64_t start = spot->at[PLACE_START];
        int64_t end = spot->at[PLACE_END];
        if (spot->error) {
            tell(g, spot);
            continue;
        }
        int64_t at = g->to_offset ? g->to : spot->at[PLACE_TIME];
        if (g->to == EARLIEST)
            at = start;
        else if (!g->to_offset && at < 0)
            at = end; /* Nothing is as late as that: what comes next will be. */
        /* Not moved to the nearest one that there is: who names an offset means that one, and would
         * find out only from records that are missing or come twice. */
        if (at >= start && at <= end) {
            spot->target = at;
            continue;
        }
        g->failed = true;
        cli_fail(g->command, CLI_OK, "%.*s partition %d: it has the offsets %lld to %lld, not %lld",
                 SLICE_PRINTF(spot->topic), (int)spot->partition, (long long)start, (long long)end,
                 (long long)at);
    }
}

/* Partitions without an answer keep NOT_TOLD, and are told as such. */
static void take_reset(struct groups *g, const void *response)
{
    const struct proto_kafka_offset_commit_response *answer = response;
    for (uint32_t t = 0; t < answer->topics.count; t++) {
        const struct proto_kafka_offset_commit_response_topic *topic = &answer->topics.items[t];
        for (uint32_t p = 0; p < topic->partitions.count; p++) {
            struct spot *spot =
                find_spot(g, topic->name, topic->partitions.items[p].partition_index);
            if (!spot)
                continue;
            spot->error = topic->partitions.items[p].error_code;
            /* It is the group's, so each partition would say the same. */
            if (has_members(spot->error)) {
                refuse(g, spot->error);
                return;
            }
        }
    }
}

/* Commits as a consumer without a group would, which is taken while there are no members. */
static int commit(struct groups *g)
{
    struct proto_kafka_offset_commit_request request;
    struct proto_kafka_offset_commit_request_partition *partitions =
        allocate(g, g->spot_count, sizeof(*partitions));
    proto_kafka_init(proto_kafka_api(PROTO_KAFKA_OFFSET_COMMIT)->request, &request);
    request.topics.items = allocate(g, g->spot_count, sizeof(*request.topics.items));
    if (!partitions || !request.topics.items)
        return g->code;
    request.group_id = slice_string(g->group);
    request.generation_id_or_member_epoch = -1;
    request.member_id = SLICE_LITERAL("");
    for (uint32_t i = 0; i < g->spot_count;) {
        uint32_t end = topic_end(g, i);
        struct proto_kafka_offset_commit_request_topic topic = {.name = g->spots[i].topic,
                                                                .partitions = {partitions + i, 0}};
        for (; i < end; i++) {
            if (g->spots[i].target < 0)
                continue;
            /* Until the answer says otherwise. */
            g->spots[i].error = NOT_TOLD;
            topic.partitions.items[topic.partitions.count++] =
                (struct proto_kafka_offset_commit_request_partition){
                    .partition_index = g->spots[i].partition,
                    .committed_offset = g->spots[i].target,
                    .committed_leader_epoch = -1,
                    .committed_metadata = SLICE_LITERAL("")};
        }
        if (topic.partitions.count > 0)
            request.topics.items[request.topics.count++] = topic;
    }
    /* An empty commit would make the group where there is none. */
    if (request.topics.count == 0)
        return GO_ON;
    g->changes = true;
    int code = ask(g, PROTO_KAFKA_OFFSET_COMMIT, &request, take_reset);
    g->changes = false;
    return code;
}

/* Who is left as it was has no "after", and was told. */
static int print_reset(struct groups *g)
{
    struct buf head = {0};
    for (uint32_t i = 0; i < g->spot_count; i++) {
        struct spot *spot = &g->spots[i];
        struct buf *row = &g->sheet.row;
        if (spot->target >= 0 && spot->error)
            tell(g, spot);
        cli_sheet_number(&g->sheet, row, "partition", spot->partition);
        buf_add_byte(row, ',');
        cli_sheet_number(&g->sheet, row, "before", spot->committed);
        buf_add_byte(row, ',');
        cli_sheet_number(&g->sheet, row, "after", spot->error ? -1 : spot->target);
        cli_sheet_end_row(&g->sheet, spot->topic);
    }
    cli_sheet_text(&g->sheet, &head, "group", slice_string(g->group));
    buf_add_format(&head, ",\"dry_run\":%s,", g->flags.dry_run ? "true" : "false");
    int code = buf_ok(&head) ? print(g, "offsets", buf_slice(&head)) : out_of_memory(g);
    buf_done(&head);
    return code;
}

static int reset(struct groups *g)
{
    g->sheet.key = "topic";
    /* The commit is what decides; asked before too, since a dry run makes none. */
    if (ask_described(g) != GO_ON)
        return g->code;
    /* Told here in the words that the commit would be refused with. */
    if (g->member_count > 0) {
        refuse(g, NON_EMPTY_GROUP);
        return g->code;
    }
    if (ask_committed(g) != GO_ON)
        return g->code;
    if (g->flags.topic)
        choose_spots(g);
    merge_spots(g);
    if (g->code == GO_ON && g->spot_count == 0)
        return cli_fail(g->command, CLI_FAILED,
                        "%s has no offsets; name a topic with --topic to set some", g->group);
    if (ask_place(g, PLACE_START, EARLIEST) != GO_ON || ask_place(g, PLACE_END, LATEST) != GO_ON)
        return g->code;
    if (!g->to_offset && g->to >= 0 && ask_place(g, PLACE_TIME, g->to) != GO_ON)
        return g->code;
    aim(g);
    if (!g->flags.dry_run && commit(g) != GO_ON)
        return g->code;
    return print_reset(g);
}

/* One was asked about; an answer about more or none is about something else. */
static void take_deleted(struct groups *g, const void *response)
{
    const struct proto_kafka_delete_groups_response *answer = response;
    int16_t code = NOT_TOLD;
    if (answer->results.count == 1)
        code = answer->results.items[0].error_code;
    if (code != 0)
        refuse(g, code);
}

/* Nothing is asked before: whether the group may go is decided where it is deleted. */
static int delete_group(struct groups *g)
{
    struct slice name = slice_string(g->group);
    struct proto_kafka_delete_groups_request request = {.groups_names = {&name, 1}};
    /* For good: nothing is asked behind it. */
    g->changes = true;
    if (ask(g, PROTO_KAFKA_DELETE_GROUPS, &request, take_deleted) != GO_ON)
        return g->code;
    struct buf out = {0};
    cli_sheet_text(&g->sheet, &out, "deleted", name);
    bool good = buf_ok(&out);
    if (good && g->flags.json)
        printf("{%.*s}\n", SLICE_PRINTF(buf_slice(&out)));
    else if (good)
        printf("deleted %s\n", g->group);
    buf_done(&out);
    return good ? CLI_OK : out_of_memory(g);
}

/* Each with whether it is about one group. */
static const struct action {
    const char *name;
    int (*run)(struct groups *g);
    bool group;
} actions[] = {
    {"list", list, false},
    {"describe", describe, true},
    {"reset", reset, true},
    {"delete", delete_group, true},
};

/* A number is an offset: times are never without a dash. */
static int take_to(struct groups *g)
{
    struct slice text = slice_string(g->flags.to ? g->flags.to : "");
    if (slice_equal_string(text, "earliest")) {
        g->to = EARLIEST;
    } else if (slice_equal_string(text, "latest")) {
        g->to = LATEST;
    } else if (err_is_ok(number_parse_i64(text, &g->to)) && g->to >= 0) {
        g->to_offset = true;
        /* Below 0 the protocol has other meanings for times. */
    } else if (!err_is_ok(time_parse_rfc3339(text, &g->to)) || g->to < 0) {
        return cli_fail(g->command, CLI_USAGE,
                        "--to: expected earliest, latest, an offset or a time such as "
                        "2026-01-31T12:00:00Z, got '%s'",
                        g->flags.to ? g->flags.to : "");
    }
    return GO_ON;
}

/* NULL where a word is missing or too many: a group's name must not be taken from a slip. */
static const struct action *take_words(struct groups *g, const struct cli_words *words)
{
    for (size_t i = 0; words->count > 0 && i < sizeof(actions) / sizeof(actions[0]); i++) {
        if (strcmp(words->items[0], actions[i].name) != 0)
            continue;
        g->group = words->count > 1 ? words->items[1] : NULL;
        return words->count == 1 + actions[i].group ? &actions[i] : NULL;
    }
    return NULL;
}

static void finish(struct groups *g)
{
    /* What the closing would say is no reason of anything. */
    stop(g, CLI_OK);
    if (g->broker)
        cli_broker_close(g->broker);
    while (g->broker)
        io_uv_loop_run(g->loop);
    io_uv_loop_free(&g->loop);
    cli_sheet_done(&g->sheet);
    arena_done(&g->arena);
    mem_free(g->spots);
}

static int run(struct groups *g, const struct action *action)
{
    struct err_text why = {0};
    err_t err = io_uv_loop_new(&g->loop);
    if (!err_is_ok(err))
        return cli_fail(g->command, CLI_INTERNAL, "%s", err_string(err));
    const struct cli_broker_options options = {
        .loop = g->loop,
        .access = &g->access,
        .address = g->address,
        /* With a topic it learns the partitions, and says by itself when there is none. */
        .topic = g->flags.topic,
        .answer_size_max = ANSWER_BYTES_MAX,
        /* Each answer may be as large as is allowed, so there is never a second one. */
        .in_flight_max = 1,
    };
    g->limit.run = on_limit;
    err = cli_access_begin(&g->access, g->loop);
    if (err_is_ok(err))
        err = cli_broker_open(&options, &broker_events, g, &g->broker, &why);
    int code = CLI_UNAVAILABLE;
    if (!err_is_ok(err)) {
        cli_fail(g->command, CLI_UNAVAILABLE, "%s", err_detail(err, &why));
    } else {
        begin_wait(g);
        code = await(g);
    }
    if (code == GO_ON)
        code = action->run(g);
    finish(g);
    return code;
}

int cli_groups(struct cli *cli, int argc, char **argv)
{
    struct groups g = {.command = cli_command("groups"), .code = GO_ON};
    struct cli_words words;
    struct err_text why = {0};
    int code = cli_parse(g.command, argc, argv, &g.flags, &words);
    if (code >= 0)
        return code;
    const struct action *action = take_words(&g, &words);
    cli_words_done(&words);
    if (!action)
        return cli_fail(g.command, CLI_USAGE,
                        "expected list, describe GROUP, reset GROUP or delete GROUP");
    g.sheet.json = g.flags.json;
    bool resets = action->run == reset;
    /* A flag that does nothing would be taken for one that did. */
    if (!resets && (g.flags.topic || g.flags.to || g.flags.dry_run))
        return cli_fail(g.command, CLI_USAGE, "--topic, --to and --dry-run are flags of reset");
    if (g.flags.topic && !cli_topics_name_valid(slice_string(g.flags.topic)))
        return cli_fail(g.command, CLI_USAGE, "'%s' is no name of a topic", g.flags.topic);
    code = resets ? take_to(&g) : GO_ON;
    if (code != GO_ON)
        return code;
    if (!err_is_ok(cli_door_address(cli, g.flags.server, "GARNER_KAFKA", "127.0.0.1:9092",
                                    g.address, &why)))
        return cli_fail(g.command, CLI_USAGE, "%s", why.text);
    code = cli_access_take(cli, g.command, &g.flags.access, g.address, &g.access);
    if (code == GO_ON)
        code = run(&g, action);
    cli_access_done(&g.access);
    return code;
}
