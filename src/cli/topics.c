/*
 * Tables are made of what the server sends, with numbers as people read them: sizes, durations,
 * "-" where there is no limit. --json is the document itself.
 */

#include "cli/topics.h"

#include "base/alloc.h"
#include "base/arena.h"
#include "base/assert.h"
#include "base/number.h"
#include "cli/cli.h"
#include "cli/door.h"
#include "cli/table.h"
#include "flow/commit.h"
#include "format/json/array.h"

/* Deleting waits for two commits, and a log that is being healed takes its time. */
#define TIMEOUT_MS 60000u
/* Two names of a topic, of 249 bytes at the most, and the words around them. */
#define TARGET_SIZE 768u
/* Far beyond what the door sends: an answer of somebody else's must not cost the stack. */
#define DEPTH_MAX 64u

struct flags {
    const char *server;
    const char *partitions;
    const char *retention;
    const char *partition_size;
    const char *compression;
    const char *batch_size;
    bool json;
    bool yes;
};

const struct option cli_topics_options[] = {
    CLI_DOOR_OPTION(struct flags, server),
    {.name = "partitions",
     .type = OPTION_STRING,
     .offset = offsetof(struct flags, partitions),
     .help = "create (1 by default), or alter: more than before"},
    {.name = "retention",
     .type = OPTION_STRING,
     .offset = offsetof(struct flags, retention),
     .help = "how long records are kept, such as 7d; 0: for ever"},
    {.name = "partition_size",
     .type = OPTION_STRING,
     .offset = offsetof(struct flags, partition_size),
     .help = "how much of a partition is kept on average, such as 1GiB; 0: any amount"},
    {.name = "compression",
     .type = OPTION_STRING,
     .offset = offsetof(struct flags, compression),
     .help = "of sealed segments: none, gzip, snappy, lz4 or zstd"},
    {.name = "batch_size",
     .type = OPTION_STRING,
     .offset = offsetof(struct flags, batch_size),
     .help = "the largest batch of a Kafka producer, such as 1MiB"},
    {.name = "json",
     .type = OPTION_BOOL,
     .offset = offsetof(struct flags, json),
     .help = "the document as the server sends it"},
    {.name = "yes",
     .type = OPTION_BOOL,
     .offset = offsetof(struct flags, yes),
     .help = "delete, without asking"},
    {0},
};

const char cli_topics_text[] =
    "  garner topics list              every topic, dead-letter topics too\n"
    "  garner topics describe TOPIC    one of them, with its partitions\n"
    "  garner topics create TOPIC      one without a contract, as a Kafka client makes it\n"
    "  garner topics alter TOPIC       such a one; `default` takes a setting back\n"
    "  garner topics delete TOPIC --yes\n"
    "\n"
    "A topic comes from a contract and is changed there, or is made here. Deleting one is for "
    "ever, and its dead letters go with it; "
    "one\n"
    "that a contract of the running server declares is refused. What its sinks had not delivered\n"
    "counts as expired in the ledger. \"offsets\" is end minus start: as many records at the "
    "most.\n"
    "Exit code 0; 1 when the server refuses or there is no such topic; 69 when no server "
    "answers.\n";

/* Looked at here, since what reaches the server goes into a URL as it is. */
bool cli_topics_name_valid(struct slice name)
{
    for (size_t i = 0; i < name.size; i++) {
        uint8_t byte = name.data[i];
        bool letter = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
        if (!letter && !(byte >= '0' && byte <= '9') && byte != '.' && byte != '_' && byte != '-')
            return false;
    }
    return name.size > 0 && name.size <= FLOW_TOPIC_NAME_MAX && !slice_equal_string(name, ".") &&
           !slice_equal_string(name, "..");
}

/* What is read of a topic. A field that another version of the server does not send is missing,
 * and one that it sends besides is passed over; --json shows that too. */
enum {
    NAME,
    UUID,
    CONTRACT,
    DLQ_OF,
    DLQ,
    PARTITION_COUNT,
    OFFSETS,
    SEALED,
    WAL,
    RETENTION_MS,
    RETENTION_BYTES,
    COMPRESSION,
    BATCH_BYTES,
    PARTITIONS,
    FIELDS
};

static const char *const fields[FIELDS] = {
    [NAME] = "name",
    [UUID] = "uuid",
    [CONTRACT] = "contract",
    [DLQ_OF] = "dlq_of",
    [DLQ] = "dlq",
    [PARTITION_COUNT] = "partition_count",
    [OFFSETS] = "offsets",
    [SEALED] = "sealed_bytes",
    [WAL] = "wal_bytes",
    [RETENTION_MS] = "retention_ms",
    [RETENTION_BYTES] = "retention_bytes",
    [COMPRESSION] = "compression",
    [BATCH_BYTES] = "batch_bytes",
    [PARTITIONS] = "partitions",
};

/* 0 for what is no number: it is shown, not computed with. */
static uint64_t number(const struct format_json_value *value)
{
    uint64_t parsed = 0;
    return err_is_ok(number_parse_u64(value->raw, &parsed)) ? parsed : 0;
}

/* Without quotes; "-" for null and what is missing. Names of topics have no escapes. */
static struct slice text(const struct format_json_value *value)
{
    if (value->kind == FORMAT_JSON_STRING)
        return slice_sub(value->raw, 1, value->raw.size - 2);
    return value->kind == FORMAT_JSON_NUMBER ? value->raw : SLICE_LITERAL("-");
}

static void add_retention(struct buf *out, const struct format_json_value found[static FIELDS])
{
    uint64_t ms = number(&found[RETENTION_MS]);
    uint64_t bytes = number(&found[RETENTION_BYTES]);
    if (ms > 0)
        buf_add_duration(out, ms);
    if (ms > 0 && bytes > 0)
        buf_add_string(out, ", ");
    if (bytes > 0)
        buf_add_size(out, bytes);
    if (ms == 0 && bytes == 0)
        buf_add_string(out, "for ever");
}

/* The row as an object, since that is what a table is made of. */
static void add_row(struct buf *out, const struct format_json_value found[static FIELDS])
{
    buf_add_format(out, "{\"partitions\":\"%.*s\",\"offsets\":\"%.*s\",\"size\":\"",
                   SLICE_PRINTF(text(&found[PARTITION_COUNT])),
                   SLICE_PRINTF(text(&found[OFFSETS])));
    buf_add_size(out, number(&found[SEALED]) + number(&found[WAL]));
    buf_add_string(out, "\",\"retention\":\"");
    add_retention(out, found);
    buf_add_format(out, "\",\"compression\":\"%.*s\"}", SLICE_PRINTF(text(&found[COMPRESSION])));
}

/* Rows are views, so each row's text is kept until the table is printed. */
static err_t add_topic(struct cli_table *table, struct arena *arena,
                       const struct format_json_value found[static FIELDS])
{
    struct buf row = {0};
    if (found[NAME].kind != FORMAT_JSON_STRING)
        return err_make(ERR_SYNTAX);
    add_row(&row, found);
    /* The row's buffer goes on growing and moving; what the table keeps must not. */
    struct slice kept = buf_ok(&row) ? arena_slice(arena, buf_slice(&row)) : (struct slice){0};
    buf_done(&row);
    bool added = kept.data && cli_table_add(table, text(&found[NAME]), kept);
    return added ? err_ok() : err_make(ERR_MEMORY);
}

/* Elements are walked in a list that is known to be good, so a walk that stops has seen all. */
static err_t add_topics(struct cli_table *table, struct arena *arena, struct slice list)
{
    struct format_json_paths *paths = NULL;
    struct format_json_array walk;
    struct format_json_element element;
    struct format_json_value found[FIELDS];
    TRY(format_json_array_begin(&walk, list, NULL));
    /* Compiled once for the whole list, which may have thousands of topics. */
    TRY(format_json_paths_new(fields, FIELDS, &paths, NULL));
    err_t err = err_ok();
    while (err_is_ok(err) && format_json_array_next(&walk, paths, DEPTH_MAX, found, &element) ==
                                 FORMAT_JSON_ARRAY_ELEMENT)
        err = add_topic(table, arena, found);
    format_json_paths_free(&paths);
    return err;
}

err_t cli_topics_print(struct slice document, struct buf *out)
{
    struct format_json_value list = {0};
    struct cli_table table = {0};
    struct arena arena = {0};
    TRY(format_json_get(document, "topics", &list));
    if (list.kind != FORMAT_JSON_ARRAY)
        return err_make(ERR_SYNTAX);
    err_t err = add_topics(&table, &arena, list.raw);
    if (err_is_ok(err))
        cli_table_print(&table, "topic", out);
    cli_table_done(&table);
    arena_done(&arena);
    return err_is_ok(err) ? buf_error(out) : err;
}

static void add_field(struct buf *out, const char *name, struct slice value)
{
    buf_add_format(out, "%-13s", name);
    buf_add_slice(out, value);
    buf_add_byte(out, '\n');
}

/* Dead letters and whose they are: a topic has one of the two at the most. An older server says
 * nothing of batches. */
static void add_fields(struct buf *out, const struct format_json_value found[static FIELDS])
{
    bool contract = found[CONTRACT].kind == FORMAT_JSON_TRUE;
    add_field(out, "topic", text(&found[NAME]));
    add_field(out, "uuid", text(&found[UUID]));
    add_field(out, "contract", contract ? SLICE_LITERAL("yes") : SLICE_LITERAL("no"));
    if (found[DLQ].kind == FORMAT_JSON_STRING)
        add_field(out, "dead letters", text(&found[DLQ]));
    if (found[DLQ_OF].kind == FORMAT_JSON_STRING)
        add_field(out, "of topic", text(&found[DLQ_OF]));
    add_field(out, "offsets", text(&found[OFFSETS]));
    buf_add_format(out, "%-13s", "size");
    buf_add_size(out, number(&found[SEALED]) + number(&found[WAL]));
    buf_add_string(out, ", ");
    buf_add_size(out, number(&found[WAL]));
    buf_add_format(out, " of it not sealed yet\n%-13s", "retention");
    add_retention(out, found);
    buf_add_byte(out, '\n');
    add_field(out, "compression", text(&found[COMPRESSION]));
    if (found[BATCH_BYTES].kind != FORMAT_JSON_NUMBER)
        return;
    buf_add_format(out, "%-13s", "batch size");
    buf_add_size(out, number(&found[BATCH_BYTES]));
    buf_add_byte(out, '\n');
}

/* The partition's number is the row's name and no column. */
static err_t add_partitions(struct slice list, struct buf *out)
{
    struct cli_table table = {0};
    struct format_json_array walk;
    struct format_json_element element;
    TRY(format_json_array_begin(&walk, list, NULL));
    bool good = true;
    while (good && format_json_array_next(&walk, NULL, DEPTH_MAX, NULL, &element) ==
                       FORMAT_JSON_ARRAY_ELEMENT) {
        struct cli_members first = {.rest = element.raw};
        /* The server writes it first. A row without it is one of a later version, and left out. */
        if (cli_members_next(&first) && slice_equal_string(first.key, "partition"))
            good = cli_table_add(&table, first.value.raw, first.rest);
    }
    if (good && table.row_count > 0) {
        buf_add_byte(out, '\n');
        cli_table_print(&table, "partition", out);
    }
    cli_table_done(&table);
    return good ? buf_error(out) : err_make(ERR_MEMORY);
}

err_t cli_topics_print_one(struct slice document, struct buf *out)
{
    struct format_json_paths *paths = NULL;
    struct format_json_value found[FIELDS];
    TRY(format_json_paths_new(fields, FIELDS, &paths, NULL));
    err_t err = format_json_check(document, paths, DEPTH_MAX, found, NULL);
    format_json_paths_free(&paths);
    TRY(err);
    if (found[NAME].kind != FORMAT_JSON_STRING || found[PARTITIONS].kind != FORMAT_JSON_ARRAY)
        return err_make(ERR_SYNTAX);
    add_fields(out, found);
    return add_partitions(found[PARTITIONS].raw, out);
}

/* One call: what is asked, and how its answer is shown. */
struct call {
    const struct cli_command *command;
    const char *method;
    char target[TARGET_SIZE];
    err_t (*print)(struct slice document, struct buf *out);
};

static err_t print_made(struct slice document, struct buf *out)
{
    static const char *const kinds[] = {"created", "changed"};
    struct format_json_value name;
    for (size_t i = 0; i < 2; i++) {
        TRY(format_json_get(document, kinds[i], &name));
        if (name.kind == FORMAT_JSON_STRING) {
            buf_add_format(out, "%s %.*s\n", kinds[i], SLICE_PRINTF(text(&name)));
            return buf_error(out);
        }
    }
    return err_make(ERR_SYNTAX);
}

/* A line each, in the order in which they went. */
static err_t print_deleted(struct slice document, struct buf *out)
{
    struct format_json_value deleted = {0};
    struct format_json_array walk;
    struct format_json_element element;
    TRY(format_json_get(document, "deleted", &deleted));
    TRY(format_json_array_begin(&walk, deleted.raw, NULL));
    while (format_json_array_next(&walk, NULL, DEPTH_MAX, NULL, &element) ==
           FORMAT_JSON_ARRAY_ELEMENT) {
        struct format_json_value name = {element.raw, format_json_peek(element.raw)};
        buf_add_format(out, "deleted %.*s\n", SLICE_PRINTF(text(&name)));
    }
    return buf_error(out);
}

static int make_call(struct cli *cli, const struct flags *flags, const struct call *call)
{
    char address[CLI_DOOR_ADDRESS_SIZE];
    struct err_text why = {0};
    struct cli_door *door = NULL;
    struct cli_door_answer answer = {0};
    if (!err_is_ok(
            cli_door_address(cli, flags->server, "GARNER_SERVER", "127.0.0.1:9600", address, &why)))
        return cli_fail(call->command, CLI_USAGE, "%s", why.text);
    err_t err = cli_door_open(address, &door);
    if (err_is_ok(err))
        err = cli_door_ask(door, call->method, call->target, TIMEOUT_MS, &answer, &why);
    cli_door_close(&door);
    if (!err_is_ok(err))
        return cli_fail(call->command, CLI_UNAVAILABLE,
                        "%s; start one with `garner serve`, or say where it is with --server or "
                        "GARNER_SERVER",
                        err_detail(err, &why));
    int code = cli_door_show(call->command, address, &answer, "topics", call->print, flags->json);
    buf_done(&answer.body);
    return code;
}

/* The door's word for it, which is passed on. */
static bool is_default(const char *text)
{
    return strcmp(text, "default") == 0;
}

static err_t size_of(struct slice text, uint64_t *out)
{
    return number_parse_size(text, out);
}

/* Adds a parameter of the query, as a number; false when the flag is none. */
static bool add_number(struct buf *query, const char *name, const char *given,
                       err_t (*parse)(struct slice text, uint64_t *out))
{
    uint64_t value = 0;
    if (!given)
        return true;
    if (!is_default(given) && !err_is_ok(parse(slice_string(given), &value)))
        return false;
    buf_add_format(query, "%s%s=", query->size > 0 ? "&" : "?", name);
    if (is_default(given))
        buf_add_string(query, given);
    else
        buf_add_u64(query, value);
    return true;
}

/* What the flags ask for, as the door takes it. -1, or the exit code. */
static int add_query(const struct flags *flags, struct call *call, struct buf *query)
{
    const struct cli_command *command = call->command;
    if (!add_number(query, "partitions", flags->partitions, number_parse_u64))
        return cli_fail(command, CLI_USAGE, "--partitions: expected a number, got '%s'",
                        flags->partitions);
    if (!add_number(query, "retention_ms", flags->retention, number_parse_duration))
        return cli_fail(command, CLI_USAGE, "--retention: expected a time such as 7d, got '%s'",
                        flags->retention);
    if (!add_number(query, "partition_bytes", flags->partition_size, size_of))
        return cli_fail(command, CLI_USAGE,
                        "--partition-size: expected a size such as 1GiB, got '%s'",
                        flags->partition_size);
    if (!add_number(query, "batch_bytes", flags->batch_size, size_of))
        return cli_fail(command, CLI_USAGE, "--batch-size: expected a size such as 1MiB, got '%s'",
                        flags->batch_size);
    /* It goes into a URL as it is. */
    if (flags->compression && !cli_topics_name_valid(slice_string(flags->compression)))
        return cli_fail(command, CLI_USAGE,
                        "--compression: expected none, gzip, snappy, lz4 or zstd, got '%s'",
                        flags->compression);
    if (flags->compression)
        buf_add_format(query, "%scompression=%s", query->size > 0 ? "&" : "?", flags->compression);
    if (strcmp(call->method, "PUT") == 0 && query->size == 0)
        return cli_fail(command, CLI_USAGE, "expected what is to be altered; --help lists it");
    return -1;
}

/* A line each; what is sent is a method and a path, and what comes back is printed. */
struct verb {
    const char *name;
    const char *method;
    err_t (*print)(struct slice document, struct buf *out);
    bool topic;
};

static const struct verb verbs[] = {
    {"list", "GET", cli_topics_print, false},  {"describe", "GET", cli_topics_print_one, true},
    {"create", "POST", print_made, true},      {"alter", "PUT", print_made, true},
    {"delete", "DELETE", print_deleted, true},
};

/* A delete says the topic's name again: it is the confirmation that the door asks for, and --yes is
 * ours. */
static int make_target(const struct flags *flags, struct call *call, const char *topic)
{
    struct buf query = {0};
    bool deletes = strcmp(call->method, "DELETE") == 0;
    int code = -1;
    if (deletes)
        buf_add_format(&query, "?confirm=%s", topic);
    else if (strcmp(call->method, "GET") != 0)
        code = add_query(flags, call, &query);
    snprintf(call->target, sizeof(call->target), "/v1/topics%s%s%.*s", topic ? "/" : "",
             topic ? topic : "", SLICE_PRINTF(buf_slice(&query)));
    buf_done(&query);
    return code;
}

/* Which call the words ask for; -1, or the exit code when they ask for none. */
static int take_words(const struct cli_words *words, const struct flags *flags, struct call *call)
{
    const char *topic = words->count == 2 ? words->items[1] : NULL;
    const struct verb *verb = NULL;
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
        if (words->count == (verbs[i].topic ? 2 : 1) && strcmp(words->items[0], verbs[i].name) == 0)
            verb = &verbs[i];
    if (!verb)
        return cli_fail(call->command, CLI_USAGE,
                        "expected list, describe TOPIC, create TOPIC, alter TOPIC or "
                        "delete TOPIC --yes");
    if (topic && !cli_topics_name_valid(slice_string(topic)))
        return cli_fail(call->command, CLI_USAGE, "'%s' is no name of a topic", topic);
    call->method = verb->method;
    call->print = verb->print;
    if (verb->print == print_deleted && !flags->yes)
        return cli_fail(call->command, CLI_USAGE,
                        "deleting %s is for ever, with its records and dead letters; say --yes to "
                        "do it",
                        topic);
    return make_target(flags, call, topic);
}

int cli_topics(struct cli *cli, int argc, char **argv)
{
    struct call call = {.command = cli_command("topics"), .print = cli_topics_print};
    struct flags flags;
    struct cli_words words;
    int code = cli_parse(call.command, argc, argv, &flags, &words);
    if (code >= 0)
        return code;
    /* Nothing is sent before the words are understood: a delete cannot be taken back. */
    code = take_words(&words, &flags, &call);
    cli_words_done(&words);
    return code >= 0 ? code : make_call(cli, &flags, &call);
}
