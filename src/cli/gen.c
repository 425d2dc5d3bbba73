/*
 * A run has phases on one loop. Sending: the load runs, and the server is killed and started again
 * between two ticks of the clock. Echoing: what was sent is read back, where that was asked for,
 * until all of it has come. Comparing: the files are read until they hold everything that was
 * acknowledged, or for as long as was asked. Ending: the server that was started here is asked to
 * stop, and what it put into files meanwhile is compared once more. Then the report.
 *
 * What goes wrong: whatever ends a phase early is kept as the failure of the report, and the next
 * phase follows; a server that was started here never outlives the command.
 */

#include "cli/gen.h"

#include <signal.h>

#include "base/assert.h"
#include "base/list.h"
#include "base/number.h"
#include "cli/cli.h"
#include "cli/door.h"
#include "cli/echo.h"
#include "cli/gen_fetch.h"
#include "cli/load.h"
#include "cli/report.h"
#include "cli/verify.h"
#include "cli/victim.h"
#include "io/uv/uv.h"

#define TICK_NS (10 * IO_MS)
#define PROGRESS_NS IO_SECOND
#define SCAN_NS (250 * IO_MS)
/* Files may follow each other at a distance; when there are none for so long, there will be none.
 */
#define QUIET_NS (1500 * IO_MS)
#define STOP_NS (60 * IO_SECOND)
/* For what was answered to be there for a consumer too. */
#define ECHO_NS (5 * IO_SECOND)
#define DEFAULT_COUNT 1000000u

enum format { FORMAT_AUTO, FORMAT_NDJSON, FORMAT_JSON };
static const char *const formats[] = {"auto", "ndjson", "json", NULL};
/* By enum flow_codec. */
static const char *const codecs[] = {"none", "gzip", "snappy", "lz4", "zstd", NULL};
enum required_acks { ACKS_ALL, ACKS_ONE };
static const char *const required_acks[] = {"all", "1", NULL};
#define IN_FLIGHT_MAX 5

struct flags {
    const char *server;
    const char *topic;
    const char *broken;
    const char *duplicates;
    const char *acks;
    const char *verify;
    const char *restart_cmd;
    struct cli_access_flags access;
    uint64_t count;
    uint64_t seconds;
    uint64_t rate;
    uint64_t size;
    uint64_t seed;
    uint64_t verify_wait_ms;
    uint64_t kill_every_ms;
    uint64_t timeout_ms;
    uint64_t patience_ms;
    uint32_t batch;
    uint32_t connections;
    uint32_t format;
    uint32_t kills;
    uint32_t required_acks;
    uint32_t codec;
    uint32_t in_flight;
    uint32_t partitions;
    bool kafka;
    bool end_to_end;
    bool fetch;
    bool retry;
    bool numbered;
    bool json;
};

#define FLAG(name_, type_, field_)                                                                 \
    .name = name_, .type = type_, .offset = offsetof(struct flags, field_)

const struct option cli_gen_options[] = {
    {FLAG("server", OPTION_STRING, server),
     .help = "the intake; else GARNER_INTAKE, else 127.0.0.1:8080. With --kafka a broker; else "
             "GARNER_KAFKA, else 127.0.0.1:9092"},
    {FLAG("kafka", OPTION_BOOL, kafka),
     .help = "over the Kafka protocol, to any broker that speaks it"},
    CLI_ACCESS_OPTIONS(struct flags, access),
    {FLAG("topic", OPTION_STRING, topic), .fallback = "events", .help = "where records go"},
    {FLAG("count", OPTION_U64, count), .max = CLI_EVENTS_COUNT_MAX,
     .help = "records to send; 1000000 where --seconds is not given either"},
    {FLAG("seconds", OPTION_U64, seconds), .max = 1000000, .help = "how long to send"},
    {FLAG("rate", OPTION_U64, rate), .fallback = "0", .max = 1000000000,
     .help = "records a second; 0: as fast as they are taken"},
    {FLAG("size", OPTION_SIZE, size), .fallback = "500", .min = CLI_EVENTS_SIZE_MIN,
     .max = 64u << 20, .help = "bytes a record"},
    {FLAG("batch", OPTION_U32, batch), .fallback = "1000", .min = 1, .max = 1000000,
     .help = "records a request"},
    {FLAG("connections", OPTION_U32, connections), .fallback = "8", .min = 1, .max = 10000,
     .help = "over each, requests go one after the other"},
    {FLAG("in_flight", OPTION_U32, in_flight), .fallback = "1", .min = 1, .max = IN_FLIGHT_MAX,
     .help = "requests under way at once over each connection; above 1 with --kafka"},
    {FLAG("required_acks", OPTION_ENUM, required_acks), .fallback = "all", .choices = required_acks,
     .help = "whose word is waited for, with --kafka"},
    {FLAG("codec", OPTION_ENUM, codec), .fallback = "none", .choices = codecs,
     .help = "that batches are compressed with, with --kafka"},
    {FLAG("partitions", OPTION_U32, partitions), .fallback = "0",
     .help = "the first so many are written to in turn, with --kafka; 0: all"},
    {FLAG("format", OPTION_ENUM, format), .fallback = "auto", .choices = formats,
     .help = "auto is json for a batch of 1, else ndjson"},
    {FLAG("end_to_end", OPTION_BOOL, end_to_end),
     .help = "read back what is sent, and tell how long it took, with --kafka"},
    {FLAG("fetch", OPTION_BOOL, fetch),
     .help = "send nothing: read all that the topic holds, and tell how fast, with --kafka"},
    {FLAG("duplicates", OPTION_STRING, duplicates), .fallback = "0%",
     .help = "of what is sent, up to 50%: records sent before, with the same id"},
    {FLAG("broken", OPTION_STRING, broken), .fallback = "0%",
     .help = "records that are no JSON: a share, or with --count a number"},
    {FLAG("retry", OPTION_BOOL, retry), .fallback = "true",
     .help = "send nothing again that got no answer or a \"later\""},
    {FLAG("numbered", OPTION_BOOL, numbered),
     .help = "each connection is a producer that numbers its requests (Garner-Producer, "
             "Garner-Sequence), so that one that is sent again counts once"},
    {FLAG("timeout", OPTION_DURATION, timeout_ms), .fallback = "30s", .min = 1,
     .help = "for one answer; then the request is sent again"},
    {FLAG("patience", OPTION_DURATION, patience_ms), .fallback = "60s", .min = 1,
     .help = "without any answer; then the run ends"},
    {FLAG("seed", OPTION_U64, seed), .fallback = "0",
     .help = "the same ids and events every time; 0: others every time"},
    {FLAG("acks", OPTION_PATH, acks), .help = "write the list of outcomes there"},
    {FLAG("verify", OPTION_PATH, verify),
     .help = "compare the list with the *.ndjson files below there"},
    {FLAG("verify_wait", OPTION_DURATION, verify_wait_ms), .fallback = "60s",
     .help = "for the files to hold everything"},
    {FLAG("restart_cmd", OPTION_STRING, restart_cmd),
     .help = "start the server with this shell command, and after every kill again"},
    {FLAG("kill_every", OPTION_DURATION, kill_every_ms), .fallback = "0",
     .help = "SIGKILL what --restart-cmd started, on average so often"},
    {FLAG("kills", OPTION_U32, kills), .fallback = "0",
     .help = "so many kills at the most; without --kill-every spread over --count"},
    {FLAG("json", OPTION_BOOL, json), .help = "the report as one JSON object"},
    {0},
};

const char cli_gen_text[] =
    "Sends events with ids of their own and remembers what became of each. A request without an\n"
    "answer is sent again, byte by byte; its records may then be there twice, and are counted as\n"
    "such. With --verify, what was acknowledged is looked for in a file sink's files: exit code 1\n"
    "when a record is missing, or there more often than lost answers explain. With --numbered "
    "none\n"
    "may be there twice, whatever was lost: garner knows a request by its number.\n"
    "\n"
    "Fast:     garner gen --count 2000000\n"
    "Slow:     garner gen --rate 100 --seconds 60 --batch 1\n"
    "Torture:  garner gen --seconds 600 --verify ./out --kill-every 5s \\\n"
    "            --restart-cmd 'exec garner serve --config garner.yaml 2>>server.log'\n"
    "\n"
    "The torture starts the server itself and kills nothing else; at the end it stops it.\n"
    "\n"
    "With --kafka a request is one record batch, encoded beforehand but for ids, times and CRC, "
    "to\n"
    "one partition after the other. A broker answers for the batch: of broken records it does not\n"
    "say what became of them.\n"
    "\n"
    "Kafka:    garner gen --kafka --batch 100 --in-flight 5 --codec lz4\n";

enum phase { SENDING, ECHOING, COMPARING, ENDING, OVER };

struct gen {
    struct cli *cli;
    const struct cli_command *command;
    struct flags flags;
    char address[CLI_DOOR_ADDRESS_SIZE];
    struct cli_access access;
    enum phase phase;
    struct io_loop *loop;
    struct cli_events events;
    struct cli_acks acks;
    struct cli_carrier *carrier;
    struct cli_load *load;
    struct cli_echo *echo;
    bool listening; /* the echo is under way */
    bool loading;   /* the load has begun */
    struct cli_verify verify;
    struct cli_victim victim;
    struct io_timer tick;
    struct task interrupt;
    struct task terminate;
    bool interrupted;
    bool compares;         /* `verify` is initialised */
    bool waits_for_answer; /* since the last start of the server */
    uint64_t started_ns;
    uint64_t phase_ns; /* when the phase began */
    uint64_t next_scan_ns;
    uint64_t quiet_ns;   /* when a file was found last */
    uint64_t restart_ns; /* when the server was started last */
    uint64_t kill_ns;    /* when it is killed next */
    uint64_t random;
    uint64_t progress_ns;
    struct cli_load_stats shown; /* by the last line of progress */
    struct cli_report report;
    struct err_text failure;
    int code;
};

static uint64_t now_ns(const struct gen *gen)
{
    return io_now_ns(gen->loop);
}

/* Keeps the first reason. */
static void fail(struct gen *gen, int code, const char *text)
{
    if (gen->report.failure)
        return;
    snprintf(gen->failure.text, sizeof(gen->failure.text), "%s", text);
    gen->report.failure = gen->failure.text;
    gen->code = code;
}

static void begin_phase(struct gen *gen, enum phase phase)
{
    ASSERT(phase > gen->phase);
    gen->phase = phase;
    gen->phase_ns = gen->quiet_ns = now_ns(gen);
    /* At once: what a phase waits for may be there already. */
    gen->next_scan_ns = 0;
    if (phase == ENDING)
        cli_victim_terminate(&gen->victim);
    if (phase == OVER)
        io_uv_loop_stop(gen->loop);
}

/* A line that is written over by the next; only for a terminal. */
static void say(struct gen *gen, struct buf *line)
{
    if (gen->cli->terminal && buf_ok(line))
        fprintf(stderr, "\r\033[K%.*s", SLICE_PRINTF(buf_slice(line)));
    fflush(stderr);
    buf_done(line);
}

static void show_progress(struct gen *gen, uint64_t now)
{
    struct buf line = {0};
    const struct cli_load_stats *stats = cli_load_stats(gen->load);
    if (now - gen->progress_ns < PROGRESS_NS || !gen->cli->terminal)
        return;
    cli_report_progress(stats, &gen->shown, now - gen->progress_ns, &line);
    if (gen->report.kills > 0)
        buf_add_format(&line, ", %u kills", gen->report.kills);
    gen->shown = *stats;
    gen->progress_ns = now;
    say(gen, &line);
}

/* The load looks for it by itself; only a process that cannot be made at all ends the run. */
static void start_server(struct gen *gen)
{
    struct err_text why = {0};
    err_t err = cli_victim_start(&gen->victim, &why);
    gen->restart_ns = now_ns(gen);
    gen->waits_for_answer = true;
    if (!err_is_ok(err)) {
        fail(gen, CLI_FAILED, err_detail(err, &why));
        /* Without a server every request would go on being sent again until patience ends. */
        cli_load_cancel(gen->load);
    }
}

/* The first answer since the server was started: from here on it may be killed again. */
static void server_is_back(struct gen *gen, uint64_t now)
{
    uint64_t every_ns = gen->flags.kill_every_ms * IO_MS;
    uint64_t took = cli_load_stats(gen->load)->answered_ns - gen->restart_ns;
    gen->waits_for_answer = false;
    /* The first start is no return: nothing had to be recovered. */
    if (gen->report.kills > 0 && took > gen->report.slowest_return_ns)
        gen->report.slowest_return_ns = took;
    /* Half to one and a half times the interval, so that no rhythm of the server's is hit. */
    gen->kill_ns = now + every_ns / 2 + (every_ns > 0 ? cli_draw(&gen->random, every_ns) : 0);
}

/* By the clock, or spread over the count: after each share of the answers, so that the last part is
 * sent to a server that has been killed. */
static bool is_time_to_kill(const struct gen *gen, uint64_t now)
{
    const struct flags *flags = &gen->flags;
    const struct cli_load_stats *stats = cli_load_stats(gen->load);
    uint32_t kills = gen->report.kills;
    if (flags->kills > 0 && kills >= flags->kills)
        return false;
    if (flags->kill_every_ms > 0)
        return now >= gen->kill_ns;
    uint64_t answered = stats->accepted + stats->duplicates + stats->dead_lettered + stats->refused;
    return flags->kills > 0 && answered >= flags->count / (flags->kills + 1) * (kills + 1);
}

/* Not by our hand: what it said of itself is on its own standard error. */
static void server_ended(struct gen *gen)
{
    char how[64];
    char text[128];
    cli_victim_describe(&gen->victim, how, sizeof(how));
    snprintf(text, sizeof(text), "the server that --restart-cmd started ended by itself, %s", how);
    fail(gen, CLI_FAILED, text);
}

/* A kill waits for the first answer after the last one, so that every recovery is put to the proof
 * and none is cut short for ever. */
static void torture(struct gen *gen, uint64_t now)
{
    if (!gen->victim.command || gen->report.failure)
        return;
    if (!cli_victim_running(&gen->victim)) {
        server_ended(gen);
        cli_load_cancel(gen->load);
        return;
    }
    if (gen->waits_for_answer) {
        if (cli_load_stats(gen->load)->answered_ns > gen->restart_ns)
            server_is_back(gen, now);
        return;
    }
    if (!is_time_to_kill(gen, now))
        return;
    cli_victim_kill(&gen->victim);
    /* Killed and started in one turn, so that requests find nobody there for no longer than the
     * start takes. */
    gen->report.kills++;
    start_server(gen);
}

/* Reads files that are new; tells whether nothing is left to wait for. */
static bool compare(struct gen *gen, uint64_t now)
{
    struct err_text why = {0};
    struct buf line = {0};
    uint64_t added = 0;
    err_t err = cli_verify_scan(&gen->verify, &added, &why);
    if (!err_is_ok(err)) {
        fail(gen, CLI_IO, err_detail(err, &why));
        return true;
    }
    /* A file that comes late may hold a repeat, so complete is not enough: it must be quiet too. */
    if (added > 0)
        gen->quiet_ns = now;
    /* After every scan, since the report must be right whenever the wait ends. */
    cli_verify_judge(&gen->verify, &gen->report.verified);
    buf_add_format(&line, "comparing: %llu records in files, %llu still missing",
                   (unsigned long long)gen->verify.records,
                   (unsigned long long)gen->report.verified.missing);
    say(gen, &line);
    return gen->report.verified.missing == 0 && now - gen->quiet_ns >= QUIET_NS;
}

/* A server that ends while its files are awaited has nothing left to deliver. */
static void tick_comparing(struct gen *gen, uint64_t now)
{
    if (gen->victim.command && !gen->report.failure && !cli_victim_running(&gen->victim)) {
        server_ended(gen);
        begin_phase(gen, ENDING);
        return;
    }
    if (now < gen->next_scan_ns)
        return;
    bool waited = now - gen->phase_ns >= gen->flags.verify_wait_ms * IO_MS;
    if (compare(gen, now) || waited)
        begin_phase(gen, ENDING);
    /* Judging millions of records is work too; the server may need the processor. */
    gen->next_scan_ns = now_ns(gen) + SCAN_NS;
}

/* Files that were made while it stopped are the reason for a last look. */
static void tick_ending(struct gen *gen, uint64_t now)
{
    if (cli_victim_running(&gen->victim)) {
        if (now - gen->phase_ns < STOP_NS)
            return;
        fail(gen, CLI_FAILED, "the server did not stop within 60 s of SIGTERM");
        cli_victim_kill(&gen->victim);
    }
    if (gen->compares && gen->victim.command)
        compare(gen, now);
    begin_phase(gen, OVER);
}

/* What follows when nothing is sent or read back any more. */
static void begin_comparing(struct gen *gen)
{
    begin_phase(gen, gen->compares ? COMPARING : ENDING);
}

/* Everything has come back, or what has not will not. */
static void tick_echoing(struct gen *gen, uint64_t now)
{
    bool all = cli_echo_stats(gen->echo)->records >= cli_load_stats(gen->load)->accepted;
    if (gen->listening && (all || now - gen->phase_ns >= ECHO_NS))
        cli_echo_stop(gen->echo);
    if (!gen->listening)
        begin_comparing(gen);
}

/* Everything but sending is looked at here, a hundred times a second. */
static void on_tick(struct io_timer *timer)
{
    struct gen *gen = CONTAINER_OF(timer, struct gen, tick);
    uint64_t now = now_ns(gen);
    if (gen->phase == SENDING && !gen->loading) {
        /* The seconds that were asked for are the load's. */
        gen->started_ns = now;
    } else if (gen->phase == SENDING) {
        if (gen->flags.seconds > 0 && now - gen->started_ns >= gen->flags.seconds * IO_SECOND)
            cli_load_stop(gen->load);
        torture(gen, now);
        show_progress(gen, now);
    } else if (gen->phase == ECHOING) {
        tick_echoing(gen, now);
    } else if (gen->phase == COMPARING) {
        tick_comparing(gen, now);
    } else if (gen->phase == ENDING) {
        tick_ending(gen, now);
    }
    if (gen->phase != OVER)
        io_timer_start(gen->loop, timer, TICK_NS);
}

/* The first time no more is sent, and what was sent is still looked for. */
static void interrupt(struct gen *gen)
{
    if (gen->phase == SENDING && !gen->loading) {
        cli_echo_stop(gen->echo);
    } else if (gen->phase == SENDING && !gen->interrupted) {
        cli_load_stop(gen->load);
    } else if (gen->phase == SENDING) {
        fail(gen, CLI_FAILED, "interrupted");
        cli_load_cancel(gen->load);
    } else if (gen->phase == COMPARING) {
        fail(gen, CLI_FAILED, "interrupted");
        begin_phase(gen, ENDING);
    }
    gen->interrupted = true;
}

static void on_interrupt(struct task *task)
{
    interrupt(CONTAINER_OF(task, struct gen, interrupt));
}

static void on_terminate(struct task *task)
{
    interrupt(CONTAINER_OF(task, struct gen, terminate));
}

/* Before anything is compared: whoever wants to compare by other means has the list in any case. */
static void write_acks(struct gen *gen)
{
    struct err_text why = {0};
    err_t err = cli_acks_write(&gen->acks, gen->cli->disk, gen->flags.acks, &why);
    if (!err_is_ok(err))
        fail(gen, CLI_CANNOT_CREATE, err_detail(err, &why));
}

/* Nothing is under way any more: from here on the list of outcomes does not change. A run that
 * had no answer at all has nothing to compare. */
static void on_sent(void *owner, err_t err, const struct err_text *why)
{
    struct gen *gen = owner;
    const struct cli_load_stats *stats = cli_load_stats(gen->load);
    ASSERT(gen->phase == SENDING);
    if (stats->answered_ns > gen->started_ns)
        gen->report.elapsed_ns = stats->answered_ns - gen->started_ns;
    if (!err_is_ok(err))
        fail(gen, err_is(err, ERR_INVALID) ? CLI_FAILED : CLI_UNAVAILABLE, err_detail(err, why));
    /* Also after a failure: the list is the evidence. */
    if (gen->flags.acks)
        write_acks(gen);
    bool any = stats->requests > 0 && gen->flags.verify;
    if (any) {
        err = cli_verify_init(&gen->verify, gen->cli->disk, gen->flags.verify, &gen->acks);
        gen->compares = err_is_ok(err);
        if (!gen->compares)
            fail(gen, CLI_INTERNAL, err_string(err));
    }
    /* What was answered last may still be on its way back. */
    if (gen->listening)
        begin_phase(gen, ECHOING);
    else
        begin_comparing(gen);
}

static void begin_load(struct gen *gen)
{
    gen->loading = true;
    gen->started_ns = gen->progress_ns = now_ns(gen);
    cli_load_start(gen->load, on_sent, gen);
}

static void on_echo_ready(void *owner)
{
    begin_load(owner);
}

/* Without it the figures that were asked for would not be; a load that runs gives up. */
static void on_echo_ended(void *owner, err_t err, const struct err_text *why)
{
    struct gen *gen = owner;
    gen->listening = false;
    if (!err_is_ok(err))
        fail(gen, err_class(err) == ERR_CLASS_STATE ? CLI_UNAVAILABLE : CLI_FAILED,
             err_detail(err, why));
    if (!gen->loading)
        begin_phase(gen, ENDING);
    else if (gen->phase == SENDING)
        cli_load_cancel(gen->load);
}

static const struct cli_echo_events echo_events = {
    .ready = on_echo_ready,
    .ended = on_echo_ended,
};

static bool sends_json(const struct flags *flags)
{
    bool single = flags->batch == 1 && flags->format != FORMAT_NDJSON;
    return single || flags->format == FORMAT_JSON;
}

static err_t make_carrier(struct gen *gen, uint32_t channels)
{
    const struct flags *flags = &gen->flags;
    const struct cli_carrier_kafka_options kafka = {
        .loop = gen->loop,
        .access = &gen->access,
        .address = gen->address,
        .topic = flags->topic,
        .acks = flags->required_acks == ACKS_ALL ? -1 : 1,
        .codec = (enum flow_codec)flags->codec,
        .channels = channels,
        .in_flight = flags->in_flight,
        .partitions_max = flags->partitions,
        .timeout_ms = flags->timeout_ms < INT32_MAX ? flags->timeout_ms : INT32_MAX,
    };
    struct cli_carrier_http_options http = {
        .loop = gen->loop,
        .address = gen->address,
        .topic = flags->topic,
        .content_type = sends_json(flags) ? "application/json" : "application/x-ndjson",
        .numbered = flags->numbered,
    };
    /* Also with a seed: the next run's producers are others, and begin at 0. */
    io_random(gen->loop, &http.producers, sizeof(http.producers));
    return flags->kafka ? cli_carrier_kafka(&kafka, &gen->carrier)
                        : cli_carrier_http(&http, &gen->carrier);
}

static enum cli_events_form form_of(const struct flags *flags)
{
    if (flags->kafka)
        return CLI_EVENTS_BATCH;
    return sends_json(flags) && flags->batch > 1 ? CLI_EVENTS_ARRAY : CLI_EVENTS_LINES;
}

/* One random state gives run, events and order, in this sequence, so that a seed repeats all. */
static err_t make_load(struct gen *gen)
{
    struct flags *flags = &gen->flags;
    uint32_t run = (uint32_t)cli_draw(&gen->random, UINT64_C(1) << 32);
    struct cli_events_options events = {
        .size = flags->size,
        .batch = flags->batch,
        .form = form_of(flags),
        .seed = gen->random,
        .run = run,
    };
    struct cli_load_options load = {
        .loop = gen->loop,
        .address = gen->address,
        .events = &gen->events,
        .acks = &gen->acks,
        .keeps_acks = flags->acks || flags->verify,
        .connections = flags->connections * flags->in_flight,
        .count = flags->count,
        .rate = flags->rate,
        .seed = gen->random,
        .retry = flags->retry,
        .numbered = flags->numbered,
        .keeps_due = flags->end_to_end,
        .waits_for_server = flags->restart_cmd,
        .timeout_ms = flags->timeout_ms,
        .patience_ms = flags->patience_ms,
    };
    err_t err = cli_share_parse(slice_string(flags->broken), flags->count, &events.broken);
    if (err_is_ok(err))
        err = cli_share_parse(slice_string(flags->duplicates), 0, &load.duplicates);
    ASSERT(err_is_ok(err));
    TRY(cli_events_init(&gen->events, &events));
    cli_acks_init(&gen->acks, &gen->events);
    TRY(make_carrier(gen, load.connections));
    load.carrier = gen->carrier;
    TRY(cli_load_new(&load, &gen->load));
    const struct cli_echo_options echo = {
        .loop = gen->loop,
        .access = &gen->access,
        .address = gen->address,
        .topic = flags->topic,
        .events = &gen->events,
        .load = gen->load,
    };
    return flags->end_to_end ? cli_echo_new(&echo, &echo_events, gen, &gen->echo) : err_ok();
}

/* What belongs to one protocol is not taken for another. */
static int check_protocol(struct gen *gen)
{
    const struct flags *flags = &gen->flags;
    const struct cli_command *command = gen->command;
    if (flags->kafka && flags->numbered)
        return cli_fail(command, CLI_USAGE, "--numbered is of the intake, not of --kafka");
    if (flags->kafka && flags->format != FORMAT_AUTO)
        return cli_fail(command, CLI_USAGE, "--format goes without --kafka, which sends batches");
    /* The frame of a request has 31 bits, and brokers take 1 MB by default. */
    if (flags->kafka && flags->batch * flags->size > (uint64_t)INT32_MAX / 2)
        return cli_fail(command, CLI_USAGE, "--batch and --size make a batch of over 1 GiB");
    if (flags->end_to_end && (strcmp(flags->duplicates, "0%") != 0 || flags->restart_cmd))
        return cli_fail(command, CLI_USAGE,
                        "--end-to-end goes with neither --duplicates nor --restart-cmd");
    if (!flags->kafka && (flags->access.tls || flags->access.cacert || flags->access.user))
        return cli_fail(command, CLI_USAGE, "--tls, --cacert and --user need --kafka");
    if (!flags->kafka && (flags->fetch || flags->end_to_end))
        return cli_fail(command, CLI_USAGE, "--end-to-end and --fetch need --kafka");
    if (!flags->kafka && (flags->in_flight > 1 || flags->codec != FLOW_CODEC_NONE ||
                          flags->required_acks != ACKS_ALL || flags->partitions > 0))
        return cli_fail(command, CLI_USAGE,
                        "--in-flight, --codec, --required-acks and --partitions need --kafka");
    return -1;
}

/* Wrong flags in what a table cannot say; -1 when all is right. */
static int check_flags(struct gen *gen)
{
    struct flags *flags = &gen->flags;
    struct cli_share share;
    struct slice topic = slice_string(flags->topic);
    /* Without a limit it would fill a disk while nobody looks. */
    if (flags->count == 0 && flags->seconds == 0)
        flags->count = DEFAULT_COUNT;
    /* It becomes a part of a path; whether there is such a topic is for the server to say. */
    for (size_t i = 0; i < topic.size; i++)
        if (topic.data[i] <= ' ' || topic.data[i] >= 0x7f || strchr("/?#%", topic.data[i]))
            return cli_fail(gen->command, CLI_USAGE, "--topic: '%s' is no topic's name",
                            flags->topic);
    if (!err_is_ok(cli_share_parse(slice_string(flags->broken), flags->count, &share)))
        return cli_fail(gen->command, CLI_USAGE,
                        "--broken: expected a share such as 0.1%% or, with --count, a number up to "
                        "it, got '%s'",
                        flags->broken);
    if (!err_is_ok(cli_share_parse(slice_string(flags->duplicates), 0, &share)) ||
        share.part > share.whole / 2)
        return cli_fail(gen->command, CLI_USAGE,
                        "--duplicates: expected a share such as 1%%, up to 50%%, got '%s'",
                        flags->duplicates);
    /* A number that is left out holds up those behind it; one that is there twice is a repeat. */
    if (flags->numbered && (!flags->retry || share.part > 0))
        return cli_fail(
            gen->command, CLI_USAGE,
            "--numbered goes with neither --retry=false nor --duplicates: a number is sent "
            "until it is answered, and its records once");
    /* No flag names a process to be killed: what somebody else has started is out of reach. */
    bool kills = flags->kill_every_ms > 0 || flags->kills > 0;
    if (kills && !flags->restart_cmd)
        return cli_fail(gen->command, CLI_USAGE,
                        "kills need --restart-cmd: only a server that was started here is killed");
    if (flags->kills > 0 && flags->kill_every_ms == 0 && flags->count == 0)
        return cli_fail(gen->command, CLI_USAGE, "--kills needs --kill-every or --count");
    return check_protocol(gen);
}

static void watch_signals(struct gen *gen)
{
    gen->interrupt.run = on_interrupt;
    gen->terminate.run = on_terminate;
    /* Without them the command ends at once, as any other. */
    err_t err = io_uv_on_signal(gen->loop, SIGINT, &gen->interrupt);
    if (err_is_ok(err))
        err = io_uv_on_signal(gen->loop, SIGTERM, &gen->terminate);
    (void)err;
}

/* The load begins first, so that a server that cannot be started has something to cancel. */
static void run(struct gen *gen)
{
    /* Ten thousand connections are more than most shells allow. */
    io_uv_raise_file_limit();
    watch_signals(gen);
    gen->started_ns = gen->progress_ns = now_ns(gen);
    gen->tick.run = on_tick;
    gen->victim.command = gen->flags.restart_cmd;
    /* Listening comes first: what is written before nobody would read back. */
    gen->listening = gen->echo;
    if (gen->echo)
        cli_echo_start(gen->echo);
    else
        begin_load(gen);
    if (gen->victim.command)
        start_server(gen);
    io_timer_start(gen->loop, &gen->tick, TICK_NS);
    io_uv_loop_run(gen->loop);
}

/* Text is left out where no request was answered: the failure says all there is. */
static int print_report(struct gen *gen)
{
    struct cli_report *report = &gen->report;
    struct buf out = {0};
    report->run = gen->events.run;
    report->stats = cli_load_stats(gen->load);
    report->echo = gen->echo ? cli_echo_stats(gen->echo) : NULL;
    report->tortured = gen->flags.kill_every_ms > 0 || gen->flags.kills > 0;
    if (gen->compares) {
        report->directory = gen->flags.verify;
        report->files = gen->verify.files.count;
        report->file_records = gen->verify.records;
        report->foreign = gen->verify.foreign;
    }
    if (gen->cli->terminal)
        fprintf(stderr, "\r\033[K");
    if (gen->flags.json)
        cli_report_json(report, &out);
    else if (report->stats->requests > 0)
        cli_report_text(report, &out);
    if (out.size > 0)
        fwrite(out.data, 1, out.size, stdout);
    buf_done(&out);
    if (report->failure)
        return cli_fail(gen->command, (enum cli_exit)gen->code, "%s", report->failure);
    /* A report is printed whatever the verdict, and scripts look at the code alone. */
    return cli_report_good(report) ? CLI_OK : CLI_FAILED;
}

/* What is made is freed in the reverse order, whichever of it there is. */
static int prepare_and_run(struct gen *gen)
{
    err_t err = io_uv_loop_new(&gen->loop);
    if (!err_is_ok(err))
        return cli_fail(gen->command, CLI_INTERNAL, "%s", err_string(err));
    gen->random = gen->flags.seed;
    if (gen->random == 0)
        io_random(gen->loop, &gen->random, sizeof(gen->random));
    err = cli_access_begin(&gen->access, gen->loop);
    if (err_is_ok(err))
        err = make_load(gen);
    int code;
    if (err_is_ok(err)) {
        run(gen);
        code = print_report(gen);
    } else {
        code = cli_fail(gen->command, CLI_INTERNAL, "%s", err_string(err));
    }
    cli_echo_free(&gen->echo);
    cli_load_free(&gen->load);
    cli_carrier_free(&gen->carrier);
    if (gen->compares)
        cli_verify_done(&gen->verify);
    cli_acks_done(&gen->acks);
    cli_events_done(&gen->events);
    io_uv_loop_free(&gen->loop);
    return code;
}

int cli_gen(struct cli *cli, int argc, char **argv)
{
    struct gen gen = {.cli = cli, .command = cli_command("gen")};
    struct cli_words words;
    struct err_text why = {0};
    int code = cli_parse(gen.command, argc, argv, &gen.flags, &words);
    if (code >= 0)
        return code;
    cli_words_done(&words);
    code = check_flags(&gen);
    if (code >= 0)
        return code;
    bool kafka = gen.flags.kafka;
    if (!err_is_ok(cli_door_address(cli, gen.flags.server, kafka ? "GARNER_KAFKA" : "GARNER_INTAKE",
                                    kafka ? "127.0.0.1:9092" : "127.0.0.1:8080", gen.address,
                                    &why)))
        return cli_fail(gen.command, CLI_USAGE, "%s", why.text);
    code = cli_access_take(cli, gen.command, &gen.flags.access, gen.address, &gen.access);
    const struct cli_gen_fetch fetch = {gen.address, gen.flags.topic, gen.flags.connections,
                                        gen.flags.json, &gen.access};
    if (code < 0)
        code = gen.flags.fetch ? cli_gen_fetch(gen.command, &fetch) : prepare_and_run(&gen);
    cli_access_done(&gen.access);
    return code;
}
