/*
 * Redriving and purging are done by the server; the command orders them, shows how far they are
 * and, interrupted, cancels them. One that is lost (killed, cut off) leaves the server at work, and
 * the same command says so.
 */

#include "cli/dlq.h"

#include "base/assert.h"
#include "base/number.h"
#include "cli/cli.h"
#include "cli/dlq_page.h"
#include "cli/door.h"
#include "cli/topics.h"
#include "flow/commit.h"

#define TIMEOUT_MS 60000u
#define POLL_MS 100u
/* A name, and the query that the door takes at the most. */
#define TARGET_SIZE 1024u
#define SHOW_LIMIT 20u
#define PAGE_LIMIT 1000u

struct flags {
    const char *server;
    bool json;
    bool yes;
    bool dry_run;
    const char *reason;
    const char *source;
    const char *path;
    const char *key;
    const char *since;
    const char *until;
    const char *rate;
    uint64_t limit;
    uint64_t max_attempts;
};

const struct option cli_dlq_options[] = {
    CLI_DOOR_OPTION(struct flags, server),
    {.name = "reason",
     .type = OPTION_STRING,
     .offset = offsetof(struct flags, reason),
     .help = "only letters of this reason: json, oversize, schema, ..."},
    {.name = "source",
     .type = OPTION_STRING,
     .offset = offsetof(struct flags, source),
     .help = "only what came by this source: http, sink"},
    {.name = "path",
     .type = OPTION_STRING,
     .offset = offsetof(struct flags, path),
     .help = "only where the detail begins so: /address/zip"},
    {.name = "key",
     .type = OPTION_STRING,
     .offset = offsetof(struct flags, key),
     .help = "only records with this key; what is no JSON, or too large, has none"},
    {.name = "since",
     .type = OPTION_STRING,
     .offset = offsetof(struct flags, since),
     .help = "only what came at this time or later: 2026-03-01T10:00:00Z, or 2h for two hours ago"},
    {.name = "until",
     .type = OPTION_STRING,
     .offset = offsetof(struct flags, until),
     .help = "only what came before this time"},
    {.name = "limit",
     .type = OPTION_U64,
     .offset = offsetof(struct flags, limit),
     .max = UINT32_MAX,
     .help = "so many letters at the most (show: 20; else all)"},
    {.name = "rate",
     .type = OPTION_STRING,
     .offset = offsetof(struct flags, rate),
     .help = "redrive: so many letters a second at the most: 100/s"},
    {.name = "max_attempts",
     .type = OPTION_U64,
     .offset = offsetof(struct flags, max_attempts),
     .max = 1000000,
     .help = "redrive: skip what was tried more often (5)"},
    {.name = "dry_run",
     .type = OPTION_BOOL,
     .offset = offsetof(struct flags, dry_run),
     .help =
         "redrive, purge: write nothing; tell how many, and what today's contract says to each"},
    {.name = "yes",
     .type = OPTION_BOOL,
     .offset = offsetof(struct flags, yes),
     .help = "purge, without asking"},
    {.name = "json",
     .type = OPTION_BOOL,
     .offset = offsetof(struct flags, json),
     .help = "as the server sends it; show: a letter a line"},
    {0},
};

const char cli_dlq_text[] =
    "  garner dlq list               how many letters each topic holds, and why\n"
    "  garner dlq show TOPIC         the letters, oldest first\n"
    "  garner dlq redrive TOPIC      hand them to the topic once more, after its contract was "
    "mended\n"
    "  garner dlq purge TOPIC        take them out for ever\n"
    "\n"
    "TOPIC is the one whose dead letters they are. A letter that fails again is a letter again, "
    "with one\n"
    "attempt more. Ctrl-C cancels; the same command goes on with what is left. Each redrive and "
    "purge is\n"
    "written to the topic _audit (garner consume _audit). Exit code 0; 1 when the server refuses, "
    "or when\n"
    "letters were not accepted or were skipped; 69 when no server answers.\n";

enum verb { VERB_LIST, VERB_SHOW, VERB_REDRIVE, VERB_PURGE, VERBS };

static const char *const verbs[VERBS] = {
    [VERB_LIST] = "list",
    [VERB_SHOW] = "show",
    [VERB_REDRIVE] = "redrive",
    [VERB_PURGE] = "purge",
};

struct call {
    struct cli *cli;
    const struct cli_command *command;
    struct flags flags;
    enum verb verb;
    const char *topic; /* NULL: list */
    char address[CLI_DOOR_ADDRESS_SIZE];
    struct cli_door *door;
    struct buf query;
    bool said; /* a line of progress stands on the terminal */
};

/* A reason, path or key may hold anything; only unreserved bytes stand for themselves (RFC 3986
 * section 2.3). */
static void add_encoded(struct buf *out, const char *text)
{
    for (const char *c = text; *c; c++) {
        bool plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                     (*c >= '0' && *c <= '9') || strchr("-_.~", *c);
        if (plain)
            buf_add_byte(out, (uint8_t)*c);
        else
            buf_add_format(out, "%%%02X", (unsigned)(uint8_t)*c);
    }
}

static void add_parameter(struct buf *query, const char *name, const char *value)
{
    if (!value)
        return;
    buf_add_string(query, query->size > 0 ? "&" : "?");
    buf_add_format(query, "%s=", name);
    add_encoded(query, value);
}

static void add_number(struct buf *query, const char *name, uint64_t value)
{
    char text[24];
    ASSERT(name[0]);
    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    if (value > 0)
        add_parameter(query, name, text);
}

/* "100/s" or "100". False for anything else. */
static bool add_rate(struct buf *query, const char *rate)
{
    if (!rate)
        return true;
    struct slice text = slice_string(rate);
    struct slice digits = slice_split(&text, '/');
    uint64_t number = 0;
    bool valid = err_is_ok(number_parse_u64(digits, &number)) && number > 0 &&
                 number <= UINT32_MAX && (!text.data || slice_equal_string(text, "s"));
    if (valid)
        add_number(query, "rate", number);
    return valid;
}

static int make_query(struct call *call, uint64_t limit, bool dry_run)
{
    const struct flags *flags = &call->flags;
    struct buf *query = &call->query;
    ASSERT(call->verb != VERB_LIST);
    buf_reset(query);
    add_parameter(query, "reason", flags->reason);
    add_parameter(query, "source", flags->source);
    add_parameter(query, "path", flags->path);
    add_parameter(query, "key", flags->key);
    add_parameter(query, "since", flags->since);
    add_parameter(query, "until", flags->until);
    add_number(query, "limit", limit);
    if (call->verb == VERB_REDRIVE) {
        if (!add_rate(query, flags->rate))
            return cli_fail(call->command, CLI_USAGE, "--rate: expected letters a second: 100/s");
        add_number(query, "max_attempts", flags->max_attempts);
    }
    if (dry_run)
        add_parameter(query, "dry_run", "true");
    return buf_ok(query) ? -1 : cli_fail(call->command, CLI_INTERNAL, "out of memory");
}

/* One request; the exit code when it got no answer, else -1. */
static int ask(struct call *call, struct cli_door *door, const char *method, const char *below,
               struct slice query, struct cli_door_answer *answer)
{
    char target[TARGET_SIZE];
    struct err_text why = {0};
    ASSERT(door);
    int size = snprintf(target, sizeof target, "/v1/dlq%s%s%s%.*s", call->topic ? "/" : "",
                        call->topic ? call->topic : "", below, SLICE_PRINTF(query));
    if (size < 0 || (size_t)size >= sizeof target)
        return cli_fail(call->command, CLI_USAGE, "the filters are too long");
    err_t err = cli_door_ask(door, method, target, TIMEOUT_MS, answer, &why);
    if (err_is_ok(err))
        return -1;
    if (cli_door_interrupted(door))
        return CLI_FAILED;
    return cli_fail(call->command, CLI_UNAVAILABLE,
                    "%s; start one with `garner serve`, or say where it is with --server or "
                    "GARNER_SERVER",
                    err_detail(err, &why));
}

/* Prints what `out` holds, or says why not. */
static int print(const struct call *call, err_t err, const struct buf *out)
{
    if (err_is(err, ERR_MEMORY))
        return cli_fail(call->command, CLI_INTERNAL, "out of memory");
    if (!err_is_ok(err))
        return cli_door_strange(call->command, call->address, "dead letters");
    if (out->size > 0)
        fwrite(out->data, 1, out->size, stdout);
    return CLI_OK;
}

static int list(struct call *call)
{
    struct cli_door_answer answer = {0};
    struct buf out = {0};
    int code = ask(call, call->door, "GET", "", (struct slice){0}, &answer);
    if (code >= 0)
        return code;
    if (answer.status != 200) {
        code = cli_door_refused(call->command, call->address, &answer);
    } else {
        err_t err = cli_dlq_print_list(buf_slice(&answer.body), &out);
        if (err_is_ok(err) && call->flags.json) {
            buf_reset(&out);
            buf_add_slice(&out, buf_slice(&answer.body));
        }
        code = print(call, err_is_ok(err) ? buf_error(&out) : err, &out);
    }
    buf_done(&out);
    buf_done(&answer.body);
    return code;
}

/* One page of letters; -1 to go on. */
static int show_page(struct call *call, int64_t *offset, uint64_t *left)
{
    struct cli_door_answer answer = {0};
    struct cli_dlq_page page = {0};
    struct buf out = {0};
    int code = make_query(call, *left < PAGE_LIMIT ? *left : PAGE_LIMIT, false);
    if (code >= 0)
        return code;
    add_number(&call->query, "offset", (uint64_t)*offset);
    code = ask(call, call->door, "GET", "", buf_slice(&call->query), &answer);
    if (code >= 0)
        return code;
    if (answer.status != 200) {
        code = cli_door_refused(call->command, call->address, &answer);
    } else {
        err_t err = cli_dlq_print_letters(buf_slice(&answer.body), call->flags.json, &page, &out);
        code = print(call, err, &out);
        /* A page that does not go on would be asked for for ever. */
        bool more = !page.complete && page.count < *left && page.next_offset > *offset;
        if (code == CLI_OK && more) {
            *left -= page.count;
            *offset = page.next_offset;
            code = -1;
        }
    }
    buf_done(&out);
    buf_done(&answer.body);
    return code;
}

/* Page by page, since the door bounds what one answer holds. */
static int show(struct call *call)
{
    uint64_t left = call->flags.limit > 0 ? call->flags.limit : SHOW_LIMIT;
    int64_t offset = 0;
    int code = -1;
    while (code < 0)
        code = show_page(call, &offset, &left);
    return code;
}

/* Percent of offsets and not of letters: how many letters a filter leaves is known at the end
 * only. */
static void say_progress(struct call *call, const struct cli_dlq_state *state)
{
    if (!call->cli->terminal || state->over)
        return;
    uint64_t percent = state->offsets > 0 ? state->offsets_passed * 100 / state->offsets : 100;
    fprintf(stderr, "\r%3llu%% of %s, %llu letters %s%s    ", (unsigned long long)percent,
            call->topic, (unsigned long long)state->done, state->purge ? "purged" : "redriven",
            state->waiting ? ", waiting for the log" : "");
    call->said = true;
}

static void end_progress(struct call *call)
{
    if (call->said)
        fputc('\n', stderr);
    call->said = false;
}

/* Interrupted: says so to the server, by another connection, since this one waits no more. */
static int cancel(struct call *call)
{
    struct cli_door *door = NULL;
    struct cli_door_answer answer = {0};
    end_progress(call);
    if (!err_is_ok(cli_door_open(call->address, &door)))
        return CLI_FAILED;
    int code = ask(call, door, "DELETE", "/redrive", (struct slice){0}, &answer);
    cli_door_close(&door);
    buf_done(&answer.body);
    if (code >= 0)
        return code;
    return cli_fail(call->command, CLI_FAILED,
                    "cancelled; the same command goes on with what is left");
}

/* Exit code 1 where something is left to do: letters that were skipped, or that are dead again. */
static int finish(struct call *call, const struct cli_dlq_state *state, struct slice document)
{
    struct buf out = {0};
    end_progress(call);
    if (call->flags.json)
        buf_add_slice(&out, document);
    else
        cli_dlq_print_state(state, call->topic, &out);
    int code = print(call, buf_error(&out), &out);
    buf_done(&out);
    bool all = state->finished &&
               state->skipped_attempts + state->skipped_sink + state->refused == 0 &&
               (state->purge || state->accepted == state->done);
    return code == CLI_OK && !all ? CLI_FAILED : code;
}

/* Watches what has begun until it is over; `answer` is the first state, and then the last one. */
static int watch(struct call *call, struct cli_door_answer *answer, struct cli_dlq_state *last)
{
    uint64_t number = 0;
    for (;;) {
        struct cli_dlq_state state;
        if (answer->status != 200 && answer->status != 202)
            return cli_door_refused(call->command, call->address, answer);
        struct buf none = {0};
        err_t err = cli_dlq_read_state(buf_slice(&answer->body), &state);
        if (!err_is_ok(err))
            return print(call, err, &none);
        if (number != 0 && state.number != number)
            return cli_fail(call->command, CLI_FAILED,
                            "the server has begun another one meanwhile, or was restarted; see "
                            "garner dlq list");
        number = state.number;
        say_progress(call, &state);
        *last = state;
        if (state.over)
            return -1;
        buf_done(&answer->body);
        if (!err_is_ok(cli_door_wait(call->door, POLL_MS)))
            return cancel(call);
        int code = ask(call, call->door, "GET", "/redrive", (struct slice){0}, answer);
        if (cli_door_interrupted(call->door))
            return cancel(call);
        if (code >= 0)
            return code;
    }
}

/* Orders and watches; -1 when it is over, with its last state in `answer`. */
static int order(struct call *call, bool dry_run, struct cli_door_answer *answer,
                 struct cli_dlq_state *state)
{
    int code = make_query(call, call->flags.limit, dry_run);
    if (code >= 0)
        return code;
    const char *below = call->verb == VERB_PURGE ? "/purge" : "/redrive";
    code = ask(call, call->door, "POST", below, buf_slice(&call->query), answer);
    if (code >= 0)
        return cli_door_interrupted(call->door) ? cancel(call) : code;
    return watch(call, answer, state);
}

/* Asks on the terminal, after counting. -1 to go on. */
static int confirm(struct call *call)
{
    struct cli_door_answer answer = {0};
    struct cli_dlq_state state = {0};
    char word[8] = "";
    if (call->flags.yes || call->flags.dry_run)
        return -1;
    if (!call->cli->terminal)
        return cli_fail(call->command, CLI_USAGE,
                        "purging is for ever; say --yes to do it, or --dry-run to count");
    int code = order(call, true, &answer, &state);
    buf_done(&answer.body);
    end_progress(call);
    if (code >= 0)
        return code;
    fprintf(stderr,
            "purge %llu dead letters of %s, for ever? yes or no: ", (unsigned long long)state.done,
            call->topic);
    if (!fgets(word, sizeof word, stdin) || strcmp(word, "yes\n") != 0)
        return cli_fail(call->command, CLI_FAILED, "nothing was purged");
    return -1;
}

static int change(struct call *call)
{
    struct cli_door_answer answer = {0};
    struct cli_dlq_state state = {0};
    int code = call->verb == VERB_PURGE ? confirm(call) : -1;
    if (code < 0)
        code = order(call, call->flags.dry_run, &answer, &state);
    if (code < 0)
        code = finish(call, &state, buf_slice(&answer.body));
    end_progress(call);
    buf_done(&answer.body);
    return code;
}

/* A flag that has no effect is a misunderstanding, and where letters are purged a dear one. */
static int check_flags(const struct call *call)
{
    const struct flags *flags = &call->flags;
    const char *wrong = NULL;
    bool filtered = flags->reason || flags->source || flags->path || flags->key || flags->since ||
                    flags->until || flags->limit > 0;
    if (call->verb != VERB_REDRIVE && (flags->rate || flags->max_attempts > 0))
        wrong = "--rate and --max-attempts are for redrive";
    else if (call->verb != VERB_PURGE && flags->yes)
        wrong = "--yes is for purge";
    else if (call->verb < VERB_REDRIVE && flags->dry_run)
        wrong = "--dry-run is for redrive and purge";
    else if (call->verb == VERB_LIST && filtered)
        wrong = "list has no filters; show has";
    return wrong ? cli_fail(call->command, CLI_USAGE, "%s", wrong) : -1;
}

static int take_words(struct call *call, const struct cli_words *words)
{
    const char *verb = words->count > 0 ? words->items[0] : "";
    while (call->verb < VERBS && strcmp(verb, verbs[call->verb]) != 0)
        call->verb++;
    bool complete = call->verb < VERBS && words->count == (call->verb == VERB_LIST ? 1 : 2);
    if (!complete)
        return cli_fail(call->command, CLI_USAGE,
                        "expected list, show TOPIC, redrive TOPIC or purge TOPIC");
    call->topic = words->count == 2 ? words->items[1] : NULL;
    if (call->topic && !cli_topics_name_valid(slice_string(call->topic)))
        return cli_fail(call->command, CLI_USAGE, "'%s' is no name of a topic", call->topic);
    return check_flags(call);
}

int cli_dlq(struct cli *cli, int argc, char **argv)
{
    struct call call = {.cli = cli, .command = cli_command("dlq")};
    struct cli_words words;
    struct err_text why = {0};
    int code = cli_parse(call.command, argc, argv, &call.flags, &words);
    if (code >= 0)
        return code;
    code = take_words(&call, &words);
    cli_words_done(&words);
    if (code >= 0)
        return code;
    if (!err_is_ok(cli_door_address(cli, call.flags.server, "GARNER_SERVER", "127.0.0.1:9600",
                                    call.address, &why)))
        return cli_fail(call.command, CLI_USAGE, "%s", why.text);
    err_t err = cli_door_open(call.address, &call.door);
    if (err_is_ok(err))
        err = cli_door_watch_signals(call.door);
    if (err_is_ok(err))
        code = call.verb == VERB_LIST   ? list(&call)
               : call.verb == VERB_SHOW ? show(&call)
                                        : change(&call);
    else
        code = cli_fail(call.command, CLI_INTERNAL, "%s", err_string(err));
    cli_door_close(&call.door);
    buf_done(&call.query);
    return code;
}
