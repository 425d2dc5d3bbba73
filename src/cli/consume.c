/*
 * Rounds: the description of the topic says where its partitions end, then those that have
 * something are read, a page at a time, one partition after the other. Without --follow there is
 * one round, up to the ends that it began with, so that it is over however fast records come in.
 * With it, rounds follow each other; between them a single partition is asked with a page that
 * waits, and several are looked at again after a moment. So partitions that are added, records that
 * expire and a topic that is made anew are all met in one place.
 *
 * What goes wrong: a server that does not answer ends the command, and with --follow only before
 * its first answer; later it is waited for. Records that have expired before they were read are
 * said, and reading goes on behind them: never without a word. A topic of another uuid is another
 * topic, whose offsets mean nothing here. A reader of our output that has gone is an end like any
 * other.
 */

#include "cli/consume.h"

#include <errno.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/number.h"
#include "base/time.h"
#include "cli/cli.h"
#include "cli/consume_page.h"
#include "cli/door.h"
#include "cli/topics.h"

#define TIMEOUT_MS 10000u
#define PAGE_RECORDS 1000u
/* How long a page waits for a record: as long as a gone reader of our output goes unnoticed. */
#define WAIT_MS 1000u
/* Between rounds over several partitions. */
#define ROUND_MS 100u
/* Between two requests to a server that does not answer. */
#define RETRY_MS 500u
#define TARGET_SIZE 512u

struct flags {
    const char *server;
    const char *partition;
    const char *offset;
    const char *time;
    uint64_t limit;
    bool follow;
    bool json;
};

const struct option cli_consume_options[] = {
    CLI_DOOR_OPTION(struct flags, server),
    {.name = "partition",
     .type = OPTION_STRING,
     .offset = offsetof(struct flags, partition),
     .help = "only this one, a number from 0 on; else all"},
    {.name = "offset",
     .type = OPTION_STRING,
     .offset = offsetof(struct flags, offset),
     .help = "begin at earliest, latest, an offset, or -N: the last N of a partition (earliest)"},
    {.name = "time",
     .type = OPTION_STRING,
     .offset = offsetof(struct flags, time),
     .help = "begin at this time: 2026-03-01T10:00:00Z, or milliseconds since 1970"},
    {.name = "limit",
     .type = OPTION_U64,
     .offset = offsetof(struct flags, limit),
     .help = "end after so many records in all; 0: no limit"},
    {.name = "follow",
     .type = OPTION_BOOL,
     .offset = offsetof(struct flags, follow),
     .help = "at the end wait for more, until interrupted"},
    {.name = "json",
     .type = OPTION_BOOL,
     .offset = offsetof(struct flags, json),
     .help = "whole records: topic, partition, offset, timestamp, key, value, headers"},
    {0},
};

const char cli_consume_text[] =
    "Prints the records of a topic, a line each: the value as it was sent (one that is JSON over\n"
    "several lines is put into one), or with --json the record with all that belongs to it, where\n"
    "bytes that are no JSON or no text are in base64 (\"value_base64\"). A value that is null is\n"
    "printed as null. Partitions come one after the other; within one, records are in their "
    "order.\n"
    "\n"
    "  garner consume flights                               all there is\n"
    "  garner consume flights --follow --offset latest      what comes in from here on\n"
    "  garner consume flights.dlq --json --offset -5        the last dead letters, and why\n"
    "\n"
    "Nothing is remembered between two calls: no consumer group, no cursor. --follow waits for a\n"
    "server that restarts and goes on where it was. Records that expired before they could be\n"
    "printed are said on standard error. Exit code 0; 1 when records had expired (without\n"
    "--follow) or when there is no such topic; 69 when no server answers.\n";

/* Where a partition is read. */
struct position {
    int64_t next;
    int64_t end;  /* read up to here in this round */
    bool by_time; /* `next` is not known before the first page */
};

struct consume {
    const struct cli_command *command;
    struct flags flags;
    const char *topic;
    char address[CLI_DOOR_ADDRESS_SIZE];
    struct cli_door *door;
    bool answered; /* the server has, once */
    struct uuid uuid;
    struct position *positions;
    uint32_t position_count;
    int64_t partition; /* the only one; -1: all */
    int64_t time_ms;
    uint64_t left; /* records that may still be printed */
    bool expired;
    bool read_some; /* in this round */
    struct buf out;
};

/* -1 is "go on"; anything else the exit code. */
#define GO_ON (-1)

/* An end by a signal is what a follower is waiting for; anybody else has not got all. */
static int interrupted(const struct consume *c)
{
    return c->flags.follow ? CLI_OK : cli_fail(c->command, CLI_FAILED, "interrupted");
}

static int out_of_memory(const struct consume *c)
{
    return cli_fail(c->command, CLI_INTERNAL, "out of memory");
}

/* Asks until there is an answer; with --follow a server that was there is waited for. The answer is
 * freed by the caller after GO_ON. */
static int ask(struct consume *c, const char *target, struct cli_door_answer *answer)
{
    for (bool told = false;;) {
        struct err_text why = {0};
        err_t err = cli_door_ask(c->door, "GET", target, TIMEOUT_MS, answer, &why);
        bool good = err_is_ok(err) && answer->status != 503;
        if (good && told)
            cli_fail(c->command, CLI_OK, "%s is back", c->address);
        c->answered = c->answered || good;
        if (good)
            return GO_ON;
        if (cli_door_interrupted(c->door)) {
            buf_done(&answer->body);
            return interrupted(c);
        }
        const enum cli_exit code = CLI_UNAVAILABLE;
        if (!told && err_is_ok(err))
            cli_door_refused(c->command, c->address, answer);
        else if (!told)
            cli_fail(c->command, code, "%s", err_detail(err, &why));
        buf_done(&answer->body);
        if (!c->flags.follow || !c->answered)
            return code;
        if (!told)
            cli_fail(c->command, code, "waiting for %s", c->address);
        told = true;
        if (!err_is_ok(cli_door_wait(c->door, RETRY_MS)))
            return interrupted(c);
    }
}

/* Records between where reading was to go on and where the partition begins are gone. */
static void skip_expired(struct consume *c, uint32_t partition, int64_t start)
{
    struct position *position = &c->positions[partition];
    ASSERT(start > position->next);
    cli_fail(c->command, CLI_FAILED,
             "partition %u: offsets %lld to %lld (%lld) have expired; going on at %lld", partition,
             (long long)position->next, (long long)start - 1, (long long)(start - position->next),
             (long long)start);
    c->expired = true;
    position->next = start;
}

/* Where a partition that was not there in the last round is begun. */
static void begin(struct consume *c, uint32_t partition, struct cli_consume_ends ends, bool first)
{
    struct position *position = &c->positions[partition];
    const char *offset = first && c->flags.offset ? c->flags.offset : "earliest";
    int64_t number = 0;
    position->next = ends.start_offset;
    /* Nothing is there to be found by its time, and all that comes is behind it. */
    position->by_time = first && c->flags.time && ends.start_offset < ends.end_offset;
    if (strcmp(offset, "latest") == 0) {
        position->next = ends.end_offset;
    } else if (strcmp(offset, "earliest") != 0) {
        ASSERT(err_is_ok(number_parse_i64(slice_string(offset), &number)));
        int64_t held = ends.end_offset - ends.start_offset;
        if (number >= 0)
            position->next = number;
        else if (number > -held)
            position->next = ends.end_offset + number;
    }
    if (position->next > ends.end_offset)
        cli_fail(c->command, CLI_OK, "partition %u ends before offset %lld, at %lld", partition,
                 (long long)position->next, (long long)ends.end_offset);
}

/* Brings the positions up to what the topic has. */
static int learn(struct consume *c, const struct cli_consume_topic *topic)
{
    bool first = !c->positions;
    if (!first && !uuid_equal(&topic->uuid, &c->uuid))
        return cli_fail(c->command, CLI_FAILED,
                        "%s was deleted and made anew; start again to read it", c->topic);
    if (c->partition >= topic->partition_count)
        return cli_fail(c->command, CLI_FAILED,
                        "%s has %u partitions, counted from 0; there is no %lld", c->topic,
                        topic->partition_count, (long long)c->partition);
    void *grown =
        mem_realloc(c->positions, (size_t)topic->partition_count + 1, sizeof(*c->positions));
    if (!grown)
        return out_of_memory(c);
    c->uuid = topic->uuid;
    c->positions = grown;
    for (uint32_t i = 0; i < topic->partition_count; i++) {
        struct cli_consume_ends ends = topic->partitions[i];
        bool wanted = c->partition < 0 || c->partition == i;
        bool fresh = i >= c->position_count;
        if (fresh)
            c->positions[c->position_count++] = (struct position){0};
        /* What is not wanted stays at its end, which is 0. */
        if (!wanted)
            continue;
        if (fresh)
            begin(c, i, ends, first);
        c->positions[i].end = ends.end_offset;
        if (!c->positions[i].by_time && c->positions[i].next < ends.start_offset)
            skip_expired(c, i, ends.start_offset);
    }
    return GO_ON;
}

/* Once a round: where partitions end, whether there are more of them, and whether it is still the
 * same topic. */
static int describe(struct consume *c)
{
    char target[TARGET_SIZE];
    struct cli_door_answer answer;
    struct cli_consume_topic topic;
    snprintf(target, sizeof(target), "/v1/topics/%s", c->topic);
    int code = ask(c, target, &answer);
    if (code != GO_ON)
        return code;
    err_t err = err_make(ERR_SYNTAX);
    if (answer.status != 200)
        code = cli_door_refused(c->command, c->address, &answer);
    else
        err = cli_consume_topic_read(buf_slice(&answer.body), &topic);
    buf_done(&answer.body);
    if (code != GO_ON)
        return code;
    if (!err_is_ok(err))
        return err_is(err, ERR_MEMORY) ? out_of_memory(c)
                                       : cli_door_strange(c->command, c->address, "a topic");
    code = learn(c, &topic);
    cli_consume_topic_done(&topic);
    return code;
}

/* What was gathered goes out whole, so that an interruption never leaves half a line. */
static int write_out(struct consume *c)
{
    size_t size = c->out.size;
    bool good = fwrite(c->out.data, 1, size, stdout) == size && fflush(stdout) == 0;
    int error = errno;
    buf_reset(&c->out);
    if (good)
        return GO_ON;
    /* Whoever reads has had enough. */
    if (error == EPIPE)
        return CLI_OK;
    return cli_fail(c->command, CLI_IO, "standard output: %s", err_string(err_from_errno(error)));
}

/* Prints an answer with records. */
static int print(struct consume *c, uint32_t partition, struct slice document)
{
    struct position *position = &c->positions[partition];
    struct cli_consume_page page = {
        .uuid = c->uuid,
        .json = c->flags.json,
        .end_offset = c->flags.follow ? INT64_MAX : position->end,
        .record_max = c->left,
    };
    err_t err = cli_consume_page_print(document, &page, &c->out);
    if (err_is(err, ERR_NOT_FOUND))
        return cli_fail(c->command, CLI_FAILED, "%s was deleted and made anew", c->topic);
    if (err_is(err, ERR_MEMORY))
        return out_of_memory(c);
    if (!err_is_ok(err) || (!position->by_time && page.next_offset < position->next))
        return cli_door_strange(c->command, c->address, "records");
    /* A page that does not move, and is not at the end, would be asked for for ever. */
    bool moved = position->by_time || page.next_offset > position->next;
    if (!moved && position->next < position->end)
        return cli_fail(c->command, CLI_UNAVAILABLE, "%s does not go on behind offset %lld",
                        c->address, (long long)position->next);
    position->by_time = false;
    position->next = page.next_offset;
    c->left -= page.record_count;
    c->read_some = c->read_some || page.record_count > 0;
    return page.record_count > 0 ? write_out(c) : GO_ON;
}

/* One page of a partition; with `wait_ms` it may take that long. */
static int read_page(struct consume *c, uint32_t partition, uint32_t wait_ms)
{
    struct position *position = &c->positions[partition];
    char target[TARGET_SIZE];
    struct cli_door_answer answer;
    struct cli_consume_ends ends;
    uint64_t count = c->left < PAGE_RECORDS ? c->left : PAGE_RECORDS;
    snprintf(target, sizeof(target),
             "/v1/topics/%s/records?partition=%u&limit=%u&wait_ms=%u&%s=%lld", c->topic, partition,
             (unsigned)count, wait_ms, position->by_time ? "time" : "offset",
             (long long)(position->by_time ? c->time_ms : position->next));
    int code = ask(c, target, &answer);
    if (code != GO_ON)
        return code;
    if (answer.status == 200)
        code = print(c, partition, buf_slice(&answer.body));
    else if (answer.status == 416 &&
             err_is_ok(cli_consume_page_range(buf_slice(&answer.body), &ends)) &&
             ends.start_offset > position->next)
        skip_expired(c, partition, ends.start_offset);
    else
        code = cli_door_refused(c->command, c->address, &answer);
    buf_done(&answer.body);
    return code;
}

/* Reads what the topic has of every partition, once. */
static int read_round(struct consume *c)
{
    int code = describe(c);
    c->read_some = false;
    for (uint32_t i = 0; i < c->position_count && code == GO_ON; i++)
        while (code == GO_ON && c->left > 0 && c->positions[i].next < c->positions[i].end)
            code = read_page(c, i, 0);
    return code;
}

/* Where nothing was there to read. */
static int wait_for_more(struct consume *c)
{
    /* Which one can be waited for: the only one that is read. */
    int64_t only = c->position_count == 1 ? 0 : c->partition;
    if (only >= 0 && c->positions[only].next == c->positions[only].end)
        return read_page(c, (uint32_t)only, WAIT_MS);
    return err_is_ok(cli_door_wait(c->door, ROUND_MS)) ? GO_ON : interrupted(c);
}

static int consume(struct consume *c)
{
    int code = read_round(c);
    while (code == GO_ON && c->flags.follow && c->left > 0) {
        if (!c->read_some)
            code = wait_for_more(c);
        if (code == GO_ON && c->left > 0)
            code = read_round(c);
    }
    if (code != GO_ON)
        return code;
    return c->expired && !c->flags.follow ? CLI_FAILED : CLI_OK;
}

/* What the flags say, where it takes more than their types. */
static int take_flags(struct consume *c)
{
    const struct flags *flags = &c->flags;
    int64_t number = 0;
    uint64_t partition = 0;
    /* Wrong words are said before anybody is asked. */
    c->partition = -1;
    c->left = flags->limit ? flags->limit : UINT64_MAX;
    if (flags->partition) {
        if (!err_is_ok(number_parse_u64(slice_string(flags->partition), &partition)) ||
            partition > UINT32_MAX)
            return cli_fail(c->command, CLI_USAGE,
                            "--partition: expected a number from 0 on, got '%s'", flags->partition);
        c->partition = (int64_t)partition;
    }
    if (flags->offset && flags->time)
        return cli_fail(c->command, CLI_USAGE, "--offset and --time are two starts; give one");
    if (flags->offset && strcmp(flags->offset, "earliest") != 0 &&
        strcmp(flags->offset, "latest") != 0 &&
        (!err_is_ok(number_parse_i64(slice_string(flags->offset), &number)) || number == INT64_MIN))
        return cli_fail(c->command, CLI_USAGE,
                        "--offset: expected earliest, latest, an offset such as 17, or -17 for the "
                        "last 17, got '%s'",
                        flags->offset);
    if (flags->time && !err_is_ok(time_parse_rfc3339(slice_string(flags->time), &c->time_ms)) &&
        !err_is_ok(number_parse_i64(slice_string(flags->time), &c->time_ms)))
        return cli_fail(c->command, CLI_USAGE,
                        "--time: expected a time such as 2026-03-01T10:00:00Z, or milliseconds "
                        "since 1970, got '%s'",
                        flags->time);
    return GO_ON;
}

/* With a topic and good flags. */
static int run(struct cli *cli, struct consume *c)
{
    struct err_text why = {0};
    int code = take_flags(c);
    if (code != GO_ON)
        return code;
    if (!err_is_ok(cli_door_address(cli, c->flags.server, "GARNER_SERVER", "127.0.0.1:9600",
                                    c->address, &why)))
        return cli_fail(c->command, CLI_USAGE, "%s", why.text);
    err_t err = cli_door_open(c->address, &c->door);
    if (err_is_ok(err))
        err = cli_door_watch_signals(c->door);
    code = err_is_ok(err) ? consume(c) : cli_fail(c->command, CLI_INTERNAL, "%s", err_string(err));
    cli_door_close(&c->door);
    buf_done(&c->out);
    mem_free(c->positions);
    return code;
}

int cli_consume(struct cli *cli, int argc, char **argv)
{
    struct consume c = {.command = cli_command("consume")};
    struct cli_words words;
    int code = cli_parse(c.command, argc, argv, &c.flags, &words);
    if (code >= 0)
        return code;
    const char *topic = words.count == 1 ? words.items[0] : NULL;
    cli_words_done(&words);
    if (!topic)
        return cli_fail(c.command, CLI_USAGE, "expected one topic: garner consume TOPIC");
    if (!cli_topics_name_valid(slice_string(topic)))
        return cli_fail(c.command, CLI_USAGE, "'%s' is no name of a topic", topic);
    c.topic = topic;
    return run(cli, &c);
}
