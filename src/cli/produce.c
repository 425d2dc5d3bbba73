/*
 * Rounds: what one read of standard input brings, cut into lines, is sent and answered before the
 * next one, so that a pipe is written as it comes and a file in large batches. Lines of one
 * partition go in pieces, one under way at a time, which keeps their order; pieces of different
 * partitions are under way together.
 *
 * A broker that refuses a batch for some of its records says which: those lines are told, and the
 * others sent again without them. One that says the batch is too large gets smaller ones, down to
 * the one line that is.
 *
 * What goes wrong: "not now" is tried again for as long as --timeout says, and so long an answer is
 * waited for. When an answer is lost nobody knows whether the lines are there, and sending them
 * again might write them twice: the command ends, and says which lines those are. A connection that
 * the broker closes while standard input brings nothing (it was idle for too long, or the broker
 * was started again) is made again.
 */

#include "cli/produce.h"

#include <errno.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/hash.h"
#include "base/number.h"
#include "cli/broker.h"
#include "cli/cli.h"
#include "cli/door.h"
#include "cli/topics.h"
#include "flow/batch.h"
#include "io/uv/uv.h"

#define BLOCK_SIZE ((size_t)1 << 20)
/* A batch stays below the megabyte that brokers take by default. */
#define PIECE_BYTES_MAX ((size_t)900 << 10)
/* What a record takes beside key and value, at the most, where it has no headers. */
#define RECORD_EXTRA 32u
#define LINE_BYTES_MAX ((size_t)64 << 20)
#define ANSWER_BYTES_MAX ((size_t)4 << 20)
#define IN_FLIGHT 5u
#define PAUSE_NS (100 * IO_MS)
/* Standard input that has kept us waiting for so long: then so long a look costs little. */
#define SILENT_NS (20 * IO_MS)
#define LOOK_NS (10 * IO_MS)
#define REJECTED_SHOWN 100u

/* By enum flow_codec. */
static const char *const codecs[] = {"none", "gzip", "snappy", "lz4", "zstd", NULL};

struct flags {
    const char *server;
    const char *partition;
    const char *key_separator;
    struct cli_access_flags access;
    uint64_t timeout_ms;
    uint32_t codec;
    bool json;
};

#define FLAG(name_, type_, field_)                                                                 \
    .name = name_, .type = type_, .offset = offsetof(struct flags, field_)

const struct option cli_produce_options[] = {
    {FLAG("server", OPTION_STRING, server),
     .help = "the Kafka door, or any broker; else GARNER_KAFKA, else 127.0.0.1:9092"},
    {FLAG("partition", OPTION_STRING, partition),
     .help = "where all lines go; else by their key, and without one to each in turn"},
    {FLAG("key_separator", OPTION_STRING, key_separator),
     .help = "what stands between key and value; a line without it has no key"},
    {FLAG("codec", OPTION_ENUM, codec), .fallback = "none", .choices = codecs,
     .help = "that batches are compressed with"},
    {FLAG("timeout", OPTION_DURATION, timeout_ms), .fallback = "30s", .min = 1, .max = INT32_MAX,
     .help = "for a broker that says \"not now\", or nothing"},
    CLI_ACCESS_OPTIONS(struct flags, access),
    {FLAG("json", OPTION_BOOL, json), .help = "the counts at the end as one JSON object"},
    {0},
};

const char cli_produce_text[] =
    "Reads lines from standard input and writes each as a record, over the Kafka protocol, so to\n"
    "any broker. An answer is waited for before more is read: exit code 0 says that every line is\n"
    "where it should be, with garner on disk. Empty lines are none.\n"
    "\n"
    "  garner produce flights < flights.ndjson\n"
    "  tail -f access.log | garner produce access\n"
    "  echo 'TP:{\"carrier\":\"TP\"}' | garner produce flights --key-separator :\n"
    "\n"
    "A line that the topic refuses is told on standard error with its number and the reason, and\n"
    "the others are written; exit code 1 then. Where an answer is lost, the lines whose outcome "
    "is\n"
    "not known are told and nothing after them is sent; exit code 69, as when no broker answers.\n"
    "What a contract makes a dead letter counts as written: look into TOPIC.dlq.\n";

struct item {
    uint64_t line;
    struct slice key; /* data NULL: none */
    struct slice value;
    uint32_t partition;
    bool rejected;
};

/* The items of one partition in a round. */
struct share {
    uint32_t partition;
    uint32_t at;    /* items before it have their outcome */
    uint32_t end;   /* behind the piece that is under way or was sent last */
    uint32_t count; /* records of that piece */
    bool in_flight;
    bool active; /* there are items left */
};

struct produce {
    const struct cli_command *command;
    struct flags flags;
    const char *topic;
    char address[CLI_DOOR_ADDRESS_SIZE];
    struct cli_access access;
    bool terminal;
    struct io_loop *loop;
    struct cli_broker *broker;
    struct io_timer pause;
    bool pausing;
    bool looking;          /* whether the connection is still there */
    struct io_timer limit; /* of the next answer */
    bool connected;
    uint64_t refused_ns; /* since when it is "not now"; 0: it is not */
    int64_t partition;   /* --partition; -1: none */
    struct buf in;       /* what was read and is not sent */
    uint64_t line;       /* number of the last one that was cut */
    struct item *items;  /* of the round */
    uint32_t item_count;
    uint32_t item_capacity;
    struct share *shares; /* one a partition */
    uint32_t partition_count;
    uint32_t round;
    size_t piece_bytes_max;
    struct flow_batch_builder builder;
    struct buf packed;
    uint64_t written;
    uint64_t rejected;
    int code; /* GO_ON, or why it ends */
};

/* -1 is "go on"; anything else the exit code. */
#define GO_ON (-1)

static void pump(struct produce *p);

/* The first reason stands. */
static void stop(struct produce *p, int code)
{
    if (p->code == GO_ON)
        p->code = code;
    io_uv_loop_stop(p->loop);
}

static bool is_of(const struct share *share, const struct item *item)
{
    return item->partition == share->partition && !item->rejected;
}

/* Goes over what has its outcome. */
static void advance(const struct produce *p, struct share *share)
{
    while (share->at < p->item_count && !is_of(share, &p->items[share->at]))
        share->at++;
    share->active = share->at < p->item_count;
}

static void reject(struct produce *p, struct item *item, const char *code, struct slice detail)
{
    item->rejected = true;
    /* A file of the wrong kind would scroll everything else out of sight. */
    if (p->rejected++ < REJECTED_SHOWN)
        cli_fail(p->command, CLI_OK, "line %llu: %s%s%.*s", (unsigned long long)item->line, code,
                 detail.size > 0 ? ": " : "", SLICE_PRINTF(detail));
    else if (p->rejected == REJECTED_SHOWN + 1)
        cli_fail(p->command, CLI_OK, "more lines are rejected, which are not listed");
}

/* The item of the piece's record number `index`; NULL. */
static struct item *item_at(const struct produce *p, const struct share *share, int32_t index)
{
    for (uint32_t i = share->at; i < share->end; i++)
        if (is_of(share, &p->items[i]) && index-- == 0)
            return &p->items[i];
    return NULL;
}

/* Lines that the broker names are told and left out; where it names none, all of the piece are. */
static void take_rejects(struct produce *p, struct share *share,
                         const struct proto_kafka_produce_response_partition *told)
{
    const char *code = cli_broker_code_name(told->error_code);
    uint32_t found = 0;
    /* From the back, since an item that is rejected counts no more. */
    for (uint32_t i = told->record_errors.count; i > 0; i--) {
        const struct proto_kafka_produce_response_record_error *error =
            &told->record_errors.items[i - 1];
        struct item *item = item_at(p, share, error->batch_index);
        found += item != NULL;
        if (item)
            reject(p, item, code, error->batch_index_error_message);
    }
    for (uint32_t i = share->at; found == 0 && i < share->end; i++)
        if (is_of(share, &p->items[i]))
            reject(p, &p->items[i], code, told->error_message);
}

/* Smaller pieces, down to the one line that is too large. */
static void take_too_large(struct produce *p, struct share *share,
                           const struct proto_kafka_produce_response_partition *told)
{
    if (share->count > 1)
        p->piece_bytes_max /= 2;
    else
        take_rejects(p, share, told);
}

/* Whoever reads this has to look for the lines before they are sent again. */
static void outcome_unknown(struct produce *p, const char *reason)
{
    for (uint32_t i = 0; i < p->partition_count; i++) {
        const struct share *share = &p->shares[i];
        const struct item *first = item_at(p, share, 0);
        if (!share->in_flight || !first)
            continue;
        const struct item *last = item_at(p, share, (int32_t)share->count - 1);
        cli_fail(p->command, CLI_OK,
                 "%u lines from %llu to %llu, for partition %u: it is not known whether they are "
                 "written",
                 share->count, (unsigned long long)first->line,
                 (unsigned long long)(last ? last : first)->line, share->partition);
    }
    stop(p, cli_fail(p->command, CLI_UNAVAILABLE, "%s: %s; nothing behind these lines was sent",
                     p->address, reason));
}

/* Whether the round is not over. */
static bool is_busy(const struct produce *p)
{
    for (uint32_t i = 0; i < p->partition_count; i++)
        if (p->shares[i].active)
            return true;
    return false;
}

static void no_broker(struct produce *p, const char *reason)
{
    /* Lines that were read have to be read again: from where on is not to be guessed. */
    if (p->line > 0 && !is_busy(p))
        cli_fail(p->command, CLI_OK, "nothing behind line %llu was sent",
                 (unsigned long long)p->line);
    stop(p, cli_fail(p->command, CLI_UNAVAILABLE,
                     "no broker at %s (%s); start one with `garner serve`, or say where it is "
                     "with --server",
                     p->address, reason));
}

/* A broker that takes a connection and never answers must not hold a script for ever. */
static void expect_answer(struct produce *p)
{
    io_timer_start(p->loop, &p->limit, p->flags.timeout_ms * IO_MS);
}

static void on_limit(struct io_timer *timer)
{
    struct produce *p = CONTAINER_OF(timer, struct produce, limit);
    if (p->connected)
        outcome_unknown(p, "no answer in --timeout");
    else
        no_broker(p, "no answer in --timeout");
}

/* Tried again after a pause, for as long as is allowed. */
static void wait_for_better(struct produce *p, int16_t code)
{
    uint64_t now = io_now_ns(p->loop);
    if (p->refused_ns == 0)
        p->refused_ns = now;
    if (now - p->refused_ns >= p->flags.timeout_ms * IO_MS) {
        stop(p, cli_fail(p->command, CLI_UNAVAILABLE, "%s says %s (%d) for too long", p->address,
                         cli_broker_code_name(code), code));
        return;
    }
    p->pausing = true;
    io_timer_start(p->loop, &p->pause, PAUSE_NS);
}

static void on_pause(struct io_timer *timer)
{
    struct produce *p = CONTAINER_OF(timer, struct produce, pause);
    p->pausing = p->looking = false;
    pump(p);
}

static void on_answer(void *owner, void *tag, const struct proto_kafka_api *api,
                      const void *response)
{
    struct produce *p = owner;
    struct share *share = tag;
    ASSERT(api->key == PROTO_KAFKA_PRODUCE && share->in_flight);
    /* An answer behind the limit is nobody's: its lines were told. */
    if (p->code != GO_ON)
        return;
    expect_answer(p);
    const struct proto_kafka_produce_response_partition *told = cli_broker_produced(response);
    enum cli_broker_verdict verdict =
        told ? cli_broker_verdict(told->error_code) : CLI_BROKER_UNKNOWN;
    if (verdict == CLI_BROKER_UNKNOWN) {
        outcome_unknown(p, told ? cli_broker_code_name(told->error_code) : "no answer to them");
        return;
    }
    share->in_flight = false;
    /* What was sent has its outcome; what follows it in its partition goes out in pump. */
    if (verdict == CLI_BROKER_DONE) {
        p->written += share->count;
        p->refused_ns = 0;
        share->at = share->end;
    } else if (verdict == CLI_BROKER_REFUSED) {
        take_rejects(p, share, told);
    } else if (verdict == CLI_BROKER_LATER) {
        wait_for_better(p, told->error_code);
    } else if (told->error_code == CLI_BROKER_TOO_LARGE) {
        take_too_large(p, share, told);
    } else {
        stop(p, cli_fail(p->command, CLI_FAILED, "%s answers %s (%d) %.*s", p->address,
                         cli_broker_code_name(told->error_code), told->error_code,
                         SLICE_PRINTF(told->error_message)));
    }
    pump(p);
}

/* As many items from `at` on as a piece may have, and one at the least. */
static err_t build(struct produce *p, struct share *share, struct slice *batch)
{
    size_t size = 0;
    share->count = 0;
    flow_batch_builder_reset(&p->builder, PIECE_BYTES_MAX);
    for (share->end = share->at; share->end < p->item_count; share->end++) {
        const struct item *item = &p->items[share->end];
        if (!is_of(share, item))
            continue;
        /* An estimate from above, so that a piece is never larger than it may be. */
        size += item->key.size + item->value.size + RECORD_EXTRA;
        if (share->count > 0 && size > p->piece_bytes_max)
            break;
        TRY(flow_batch_builder_add(&p->builder, io_wall_ms(p->loop), item->key, item->value, NULL,
                                   0));
        share->count++;
    }
    ASSERT(share->count > 0);
    *batch = flow_batch_builder_finish(&p->builder);
    if (p->flags.codec == FLOW_CODEC_NONE)
        return err_ok();
    struct flow_batch plain;
    /* Once a piece: what is sent again after a "not now" is packed again, which is rare. */
    buf_reset(&p->packed);
    TRY(flow_batch_parse(*batch, &plain));
    TRY(flow_batch_pack(&plain, (enum flow_codec)p->flags.codec, &p->packed));
    *batch = buf_slice(&p->packed);
    return err_ok();
}

static void send_piece(struct produce *p, struct share *share)
{
    struct cli_broker_produce request = {
        .partition = share->partition,
        .acks = -1,
        .timeout_ms = (int32_t)p->flags.timeout_ms,
    };
    err_t err = build(p, share, &request.batch);
    if (!err_is_ok(err)) {
        stop(p, cli_fail(p->command, CLI_INTERNAL, "%s", err_string(err)));
        return;
    }
    share->in_flight = true;
    /* A failure closes the connection, which is where it is dealt with. */
    (void)cli_broker_produce(p->broker, &request, share);
}

/* Sends what can be sent; the round is over when nothing is left. */
static void pump(struct produce *p)
{
    for (uint32_t i = 0; i < p->partition_count && p->code == GO_ON; i++) {
        struct share *share = &p->shares[i];
        if (!share->active)
            continue;
        if (!share->in_flight)
            advance(p, share);
        if (share->active && !share->in_flight && !p->pausing && cli_broker_has_room(p->broker))
            send_piece(p, share);
    }
    if (!is_busy(p))
        io_uv_loop_stop(p->loop);
}

static void on_ready(void *owner)
{
    struct produce *p = owner;
    p->connected = true;
    io_uv_loop_stop(p->loop);
}

static void on_closed(void *owner, err_t err, const struct err_text *why)
{
    struct produce *p = owner;
    struct cli_broker *broker = p->broker;
    bool waits = false;
    for (uint32_t i = 0; i < p->partition_count; i++)
        waits = waits || p->shares[i].in_flight;
    p->broker = NULL;
    /* Which of these it is decides what the user has to do; between two rounds nothing. */
    bool matters = p->code == GO_ON && (!p->connected || is_busy(p));
    if (matters && waits)
        outcome_unknown(p, why->text);
    else if (matters && cli_door_is_final(err))
        stop(p, cli_fail(p->command, CLI_FAILED, "%s", why->text));
    else if (matters)
        no_broker(p, why->text);
    cli_broker_free(&broker);
    io_uv_loop_stop(p->loop);
}

static const struct cli_broker_events broker_events = {
    .ready = on_ready,
    .answer = on_answer,
    .closed = on_closed,
};

static int out_of_memory(const struct produce *p)
{
    return cli_fail(p->command, CLI_INTERNAL, "out of memory");
}

/* Connects, and learns the partitions. */
static int reach_broker(struct produce *p)
{
    struct err_text why = {0};
    const struct cli_broker_options options = {
        .loop = p->loop,
        .access = &p->access,
        .address = p->address,
        .topic = p->topic,
        .answer_size_max = ANSWER_BYTES_MAX,
        .in_flight_max = IN_FLIGHT,
    };
    err_t err = cli_broker_open(&options, &broker_events, p, &p->broker, &why);
    if (!err_is_ok(err))
        return cli_fail(p->command, CLI_UNAVAILABLE, "%s", err_detail(err, &why));
    expect_answer(p);
    while (p->code == GO_ON && !p->connected)
        io_uv_loop_run(p->loop);
    io_timer_stop(p->loop, &p->limit);
    if (p->code != GO_ON)
        return p->code;
    uint32_t count = cli_broker_partition_count(p->broker);
    /* Known before anything is read, so that no line is lost to a mistake. */
    if (p->partition >= (int64_t)count)
        return cli_fail(p->command, CLI_FAILED,
                        "%s has %u partitions, counted from 0; there is no %lld", p->topic, count,
                        (long long)p->partition);
    p->shares = mem_zalloc(count, sizeof(*p->shares));
    if (!p->shares)
        return out_of_memory(p);
    p->partition_count = count;
    for (uint32_t i = 0; i < count; i++)
        p->shares[i].partition = i;
    return GO_ON;
}

static uint32_t choose(const struct produce *p, struct slice key)
{
    if (p->partition >= 0)
        return (uint32_t)p->partition;
    if (key.data)
        return hash_kafka_partition(key, p->partition_count);
    /* The same for a round: large batches serve everybody better than an even spread at once. */
    return p->round % p->partition_count;
}

/* The key in front of the separator, where there is one. */
static struct slice split_key(const struct produce *p, struct slice *line)
{
    /* Without the flag a line is a value, whatever it holds. */
    if (!p->flags.key_separator)
        return slice_make(NULL, 0);
    struct slice separator = slice_string(p->flags.key_separator);
    for (size_t at = 0; at + separator.size <= line->size; at++) {
        if (memcmp(line->data + at, separator.data, separator.size) != 0)
            continue;
        struct slice key = slice_make(line->data, at);
        *line = slice_make(line->data + at + separator.size, line->size - at - separator.size);
        return key;
    }
    return slice_make(NULL, 0);
}

static err_t add_line(struct produce *p, struct slice line)
{
    p->line++;
    /* Files from elsewhere end their lines with both. */
    if (line.size > 0 && line.data[line.size - 1] == '\r')
        line.size--;
    if (line.size == 0)
        return err_ok();
    if (p->item_count == p->item_capacity) {
        uint32_t wanted = p->item_capacity ? p->item_capacity * 2 : 1024;
        void *grown = mem_realloc(p->items, wanted, sizeof(*p->items));
        if (!grown)
            return err_make(ERR_MEMORY);
        p->items = grown;
        p->item_capacity = wanted;
    }
    struct slice key = split_key(p, &line);
    struct item *item = &p->items[p->item_count++];
    *item = (struct item){p->line, key, line, choose(p, key), false};
    p->shares[item->partition].active = true;
    return err_ok();
}

/* Sends the lines that are whole, and at the end of the input what is left too. */
static int send_round(struct produce *p, bool at_end)
{
    struct slice rest = buf_slice(&p->in);
    size_t used = 0;
    err_t err = err_ok();
    p->item_count = 0;
    p->round++;
    for (uint32_t i = 0; i < p->partition_count; i++)
        p->shares[i].at = 0;
    while (err_is_ok(err) && rest.size > 0) {
        size_t size = slice_find(rest, '\n');
        if (size == rest.size && !at_end)
            break;
        err = add_line(p, slice_make(rest.data, size));
        size_t step = size + (size < rest.size);
        used += step;
        rest = slice_make(rest.data + step, rest.size - step);
    }
    if (!err_is_ok(err))
        return out_of_memory(p);
    if (p->item_count > 0) {
        expect_answer(p);
        pump(p);
    }
    while (p->code == GO_ON && is_busy(p))
        io_uv_loop_run(p->loop);
    io_timer_stop(p->loop, &p->limit);
    /* Behind the answers: until then the items are views into it. */
    buf_consume(&p->in, used);
    if (p->terminal && p->code == GO_ON)
        fprintf(stderr, "\r\033[K%llu lines written", (unsigned long long)p->written);
    return p->code;
}

/* While standard input was waited for nobody saw what the broker did, and lines that are sent into
 * a connection that is gone are lines of which nobody knows whether they are written. */
static void look(struct produce *p)
{
    p->looking = true;
    io_timer_start(p->loop, &p->pause, LOOK_NS);
    while (p->looking)
        io_uv_loop_run(p->loop);
}

/* Connects again where the broker has closed since the last round. */
static int ensure_broker(struct produce *p)
{
    if (p->broker)
        return GO_ON;
    mem_free(p->shares);
    p->shares = NULL;
    p->partition_count = 0;
    p->connected = false;
    return reach_broker(p);
}

/* Standard input, to its end. */
static int produce(struct produce *p)
{
    for (;;) {
        uint8_t *room = buf_reserve(&p->in, BLOCK_SIZE);
        if (!room)
            return out_of_memory(p);
        uint64_t since_ns = io_now_ns(p->loop);
        ssize_t size = read(STDIN_FILENO, room, BLOCK_SIZE);
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0)
            return cli_fail(p->command, CLI_IO, "standard input: %s",
                            err_string(err_from_errno(errno)));
        buf_advance(&p->in, (size_t)size);
        /* All is written: whether the broker is still there is of no interest. */
        if (size == 0 && p->in.size == 0)
            return GO_ON;
        if (io_now_ns(p->loop) - since_ns >= SILENT_NS)
            look(p);
        int code = ensure_broker(p);
        if (code == GO_ON)
            code = send_round(p, size == 0);
        if (code != GO_ON || size == 0)
            return code;
        if (p->in.size > LINE_BYTES_MAX)
            return cli_fail(p->command, CLI_FAILED, "line %llu is over 64 MiB",
                            (unsigned long long)p->line + 1);
    }
}

static int report(const struct produce *p, int code)
{
    if (p->terminal)
        fprintf(stderr, "\r\033[K");
    if (p->flags.json)
        printf("{\"written\":%llu,\"rejected\":%llu}\n", (unsigned long long)p->written,
               (unsigned long long)p->rejected);
    else if (p->rejected > 0 || code != GO_ON)
        cli_fail(p->command, CLI_OK, "%llu lines written, %llu rejected",
                 (unsigned long long)p->written, (unsigned long long)p->rejected);
    if (code != GO_ON)
        return code;
    return p->rejected > 0 ? CLI_FAILED : CLI_OK;
}

/* What the flags say, where it takes more than their types. */
static int take_flags(struct produce *p)
{
    uint64_t partition = 0;
    p->partition = -1;
    if (!p->flags.partition)
        return GO_ON;
    if (!err_is_ok(number_parse_u64(slice_string(p->flags.partition), &partition)) ||
        partition > INT32_MAX)
        return cli_fail(p->command, CLI_USAGE, "--partition: expected a number from 0 on, got '%s'",
                        p->flags.partition);
    p->partition = (int64_t)partition;
    return GO_ON;
}

/* Closes what is open, and waits for that. */
static void finish(struct produce *p)
{
    if (p->code == GO_ON)
        p->code = CLI_OK;
    io_timer_stop(p->loop, &p->pause);
    io_timer_stop(p->loop, &p->limit);
    if (p->broker)
        cli_broker_close(p->broker);
    while (p->broker)
        io_uv_loop_run(p->loop);
    io_uv_loop_free(&p->loop);
    flow_batch_builder_done(&p->builder);
    buf_done(&p->packed);
    buf_done(&p->in);
    mem_free(p->items);
    mem_free(p->shares);
}

static int run(struct produce *p)
{
    err_t err = io_uv_loop_new(&p->loop);
    if (!err_is_ok(err))
        return cli_fail(p->command, CLI_INTERNAL, "%s", err_string(err));
    p->pause.run = on_pause;
    p->limit.run = on_limit;
    flow_batch_builder_init(&p->builder);
    err = cli_access_begin(&p->access, p->loop);
    int code = err_is_ok(err) ? reach_broker(p) : out_of_memory(p);
    if (code == GO_ON)
        code = report(p, produce(p));
    finish(p);
    return code;
}

int cli_produce(struct cli *cli, int argc, char **argv)
{
    struct produce p = {.command = cli_command("produce"),
                        .terminal = cli->terminal,
                        .piece_bytes_max = PIECE_BYTES_MAX,
                        .code = GO_ON};
    struct cli_words words;
    struct err_text why = {0};
    int code = cli_parse(p.command, argc, argv, &p.flags, &words);
    if (code >= 0)
        return code;
    p.topic = words.count == 1 ? words.items[0] : NULL;
    cli_words_done(&words);
    if (!p.topic)
        return cli_fail(p.command, CLI_USAGE, "expected one topic: garner produce TOPIC");
    if (!cli_topics_name_valid(slice_string(p.topic)))
        return cli_fail(p.command, CLI_USAGE, "'%s' is no name of a topic", p.topic);
    code = take_flags(&p);
    if (code != GO_ON)
        return code;
    if (!err_is_ok(cli_door_address(cli, p.flags.server, "GARNER_KAFKA", "127.0.0.1:9092",
                                    p.address, &why)))
        return cli_fail(p.command, CLI_USAGE, "%s", why.text);
    code = cli_access_take(cli, p.command, &p.flags.access, p.address, &p.access);
    if (code == GO_ON)
        code = run(&p);
    cli_access_done(&p.access);
    return code;
}
