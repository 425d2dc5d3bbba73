/*
 * The configuration is loaded, then the contracts that it names, each by the code that `serve`
 * uses; every mistake of both goes into one report. What there is to say is gathered in two
 * buffers, one a standard stream, so that nothing is printed by halves and tests can look at it.
 *
 * What goes wrong: where the configuration has mistakes the contracts are not read, since where
 * they are may be one of them. Notes (fields that are known and not served) are told, but change
 * neither verdict nor exit code. Without memory the verdict is neither yes nor no.
 */

#include "cli/check.h"

#include "base/assert.h"
#include "base/number.h"
#include "cli/against.h"
#include "cli/cli.h"
#include "cli/reference.h"
#include "control/catalog/change.h"
#include "control/catalog/examples.h"
#include "net/tls/tls.h"

struct flags {
    const char *config; /* NULL: the defaults */
    bool json;
    const char *against;
    const char *reference;
};

const struct option cli_check_options[] = {
    {.name = "config",
     .type = OPTION_STRING,
     .offset = offsetof(struct flags, config),
     .help = "the configuration; without it, the defaults in the current directory"},
    {.name = "json",
     .type = OPTION_BOOL,
     .offset = offsetof(struct flags, json),
     .help = "one JSON object on standard output"},
    {.name = "against",
     .type = OPTION_STRING,
     .offset = offsetof(struct flags, against),
     .help = "also says what a reload would do to the contracts of another directory or "
             "configuration, or to those in force at the admin door of a server"},
    {.name = "reference",
     .type = OPTION_STRING,
     .offset = offsetof(struct flags, reference),
     .help = "checks nothing, prints all options of \"configuration\" or \"contracts\""},
    {0},
};

const char cli_check_text[] =
    "Reads the configuration and all contracts as `garner serve` would and says what is wrong,\n"
    "one `file:line:column: path.to.field: expected ...` a line, with exit code 78. Starts\n"
    "nothing and writes nothing.\n"
    "\n"
    "    garner check --against contracts.main        # contracts in a directory\n"
    "    garner check --against http://127.0.0.1:9600 # those that a server has in force\n"
    "\n"
    "compares with other contracts: what a reload would do to each topic, and what it would\n"
    "refuse (a schema that is not compatible, by its path), with exit code 78. Exit code 69 when\n"
    "no garner answers.\n";

void cli_check_messages(struct buf *out, const struct control_messages *messages)
{
    for (size_t i = 0; i < messages->count; i++) {
        control_report_print(out, &messages->items[i]);
        buf_add_byte(out, '\n');
    }
    if (messages->omitted > 0)
        buf_add_format(out, "and %zu more\n", messages->omitted);
}

/* Says what may be lost, since that is what the choice is about. */
static void add_durability(struct buf *out, const struct control_config_durability *d)
{
    if (d->mode == CONTROL_CONFIG_FSYNC) {
        buf_add_string(out, "fsync: acknowledged means on disk");
        return;
    }
    buf_add_string(out, "interval: acknowledged up to ");
    buf_add_u64(out, d->max_delay_ms);
    buf_add_string(out, " ms and ");
    buf_add_size(out, d->max_bytes);
    buf_add_string(out, " before it is on disk");
}

static void add_kept(struct buf *out, uint64_t ms, uint64_t bytes)
{
    buf_add_duration(out, ms);
    if (bytes == 0)
        return;
    buf_add_string(out, ", ");
    buf_add_size(out, bytes);
    buf_add_string(out, " at the most");
}

/* When records go, and which: what an operator should learn before it happens. */
static void add_retention(struct buf *out, const struct control_catalog_topic *t)
{
    static const char *const compressions[] = {"", ", compressed with gzip",
                                               ", compressed with snappy", ", compressed with lz4",
                                               ", compressed with zstd"};
    buf_add_string(out, "      kept ");
    add_kept(out, t->retention.time_ms, t->retention.size_bytes);
    buf_add_string(out, t->retention.expire_undelivered ? ", delivered or not" : "");
    buf_add_string(out, compressions[t->compression]);
    buf_add_string(out, "; dead letters ");
    add_kept(out, t->dlq.retention_ms, t->dlq.size_bytes);
    buf_add_string(out, t->dlq.when_full == CONTROL_CATALOG_REFUSE
                            ? ", then broken records are refused\n"
                            : ", then the oldest go\n");
}

/* Bytes of a key: in the table of the newest, where that is full; in a file; and in its filter,
 * 81 for 32 keys. */
#define KEY_TABLE_BYTES 27u
#define KEY_TABLE_BYTES_MIN 22u
#define KEY_FILE_BYTES 16u
#define KEY_FILTER_BYTES_32 81u

/* What keys take at the rate that the contract expects: a key counts for a sixteenth of the window
 * longer at the most. A table becomes a file when it spans a sixteenth or is full; meanwhile there
 * are another one and a copy. */
static void add_dedup_cost(struct buf *out, const struct control_catalog_dedup *d)
{
    uint64_t width = d->window_ms / 16000 + 1;
    bool fits = d->rate <= (UINT64_C(1) << 50) / (17 * width);
    uint64_t keys = fits ? d->rate * 17 * width : UINT64_C(1) << 50;
    uint64_t full = d->memory_bytes / KEY_TABLE_BYTES_MIN;
    uint64_t newest = full < keys / 17 ? full : keys / 17;
    uint64_t sorted = keys - newest;
    uint64_t table = newest * KEY_TABLE_BYTES;
    table = table < d->memory_bytes ? table : d->memory_bytes;
    uint64_t memory = table + sorted / 32 * KEY_FILTER_BYTES_32;
    ASSERT(d->rate > 0 && newest > 0);
    buf_add_format(out, "; %llu a second are %llu keys, most of them in %llu files: ",
                   (unsigned long long)d->rate, (unsigned long long)keys,
                   (unsigned long long)(sorted / newest));
    buf_add_size(out, memory);
    buf_add_string(out, " of memory (");
    buf_add_size(out, memory + table + newest * KEY_FILE_BYTES);
    buf_add_string(out, " for moments), ");
    buf_add_size(out, (sorted + 2 * newest) * KEY_FILE_BYTES);
    buf_add_string(out, " of disk");
}

static void add_dedup(struct buf *out, const struct control_catalog_dedup *d)
{
    if (!d->key)
        return;
    ASSERT(d->window_ms > 0);
    buf_add_format(out, "      once by %s for ", d->key);
    buf_add_duration(out, d->window_ms);
    buf_add_string(out, ", the newest keys in ");
    buf_add_size(out, d->memory_bytes);
    if (d->rate > 0)
        add_dedup_cost(out, d);
    buf_add_byte(out, '\n');
}

/* Files of examples by kind; false where they cannot be told. They are neither read nor needed by
 * `serve`, so that is no mistake here; `garner contract test` says what is wrong. */
static bool count_examples(struct buf *out, struct io_disk *disk,
                           const struct control_catalog_topic *t,
                           size_t counts[static CONTROL_CATALOG_EXAMPLE_KINDS])
{
    struct arena arena;
    struct control_report report;
    struct control_catalog_example_files files = {0};
    arena_init(&arena, 0);
    control_report_init(&report);
    bool found = control_catalog_examples_find(disk, t, &arena, &report, &files);
    /* The summary is not whole then. */
    out->failed = out->failed || report.memory_failed;
    for (size_t i = 0; i < CONTROL_CATALOG_EXAMPLE_KINDS; i++)
        counts[i] = files.of[i].count;
    control_report_done(&report);
    arena_done(&arena);
    return found;
}

static void add_examples(struct buf *out, struct io_disk *disk,
                         const struct control_catalog_topic *t)
{
    size_t counts[CONTROL_CATALOG_EXAMPLE_KINDS];
    if (!count_examples(out, disk, t, counts))
        buf_add_string(out, "      examples that cannot be found, see `garner contract test`\n");
    else if (counts[CONTROL_CATALOG_VALID] + counts[CONTROL_CATALOG_INVALID] > 0)
        buf_add_format(out, "      examples in files: %zu valid, %zu invalid\n",
                       counts[CONTROL_CATALOG_VALID], counts[CONTROL_CATALOG_INVALID]);
}

/* What a contract leaves out is said too: people look here for what the defaults mean. */
static void add_topics(struct buf *out, struct io_disk *disk, const struct control_catalog *catalog)
{
    buf_add_format(out, "  topics      %zu\n", catalog->topic_count);
    for (size_t i = 0; i < catalog->topic_count; i++) {
        const struct control_catalog_topic *t = &catalog->topics[i];
        buf_add_format(out, "    %s: %u %s, key %s, time %s, %s (%s)\n", t->name, t->partitions,
                       t->partitions == 1 ? "partition" : "partitions", t->key ? t->key : "none",
                       t->event_time ? t->event_time : "of arrival",
                       t->on_invalid == CONTROL_CATALOG_DLQ ? "broken records become dead letters"
                                                            : "broken records are refused",
                       t->file);
        if (t->schema.file)
            buf_add_format(out, "      schema %s%s\n", t->schema.file,
                           t->schema.format_assertion ? ", with its formats" : "");
        add_examples(out, disk, t);
        add_retention(out, t);
        add_dedup(out, &t->dedup);
    }
}

static void add_sinks(struct buf *out, const struct control_config *config)
{
    buf_add_format(out, "  sinks       %zu\n", config->sink_count);
    for (size_t i = 0; i < config->sink_count; i++) {
        const struct control_config_sink *sink = &config->sinks[i];
        buf_add_format(out, "    %s: %s of", sink->name, sink->type->name);
        for (size_t j = 0; j < sink->topics.count; j++)
            buf_add_format(out, "%s %s", j > 0 ? "," : "", sink->topics.items[j]);
        buf_add_byte(out, '\n');
    }
}

/* For people: what `serve` would do with it. Scripts ask for JSON. */
static void add_summary(struct buf *out, struct io_disk *disk, const struct control_config *config,
                        const struct control_catalog *catalog)
{
    buf_add_format(out, "%s: no mistakes\n", config->file ? config->file : "defaults");
    buf_add_format(out, "  data        %s\n  durability  ", config->data_dir);
    add_durability(out, &config->durability);
    buf_add_string(out, "\n  memory      ");
    buf_add_size(out, config->memory_limit);
    buf_add_string(out, "\n  log         ");
    buf_add_size(out, config->wal_limit);
    buf_add_format(out, "\n  intake      %s\n  admin       %s\n  kafka       %s",
                   config->intake.listen, config->admin.listen, config->kafka.listen);
    if (config->kafka.advertised)
        buf_add_format(out, ", for clients %s", config->kafka.advertised);
    buf_add_byte(out, '\n');
    add_topics(out, disk, catalog);
    add_sinks(out, config);
}

static void add_json_field(struct buf *out, const char *name, const char *value)
{
    buf_add_json_string(out, slice_string(name));
    buf_add_byte(out, ':');
    buf_add_json_string(out, slice_string(value));
}

/* The report keeps only the first so many; how many were left out stands beside them, so that a
 * script does not take a full list for a whole one. */
void cli_check_add_json_messages(struct buf *out, const char *name,
                                 const struct control_messages *messages)
{
    buf_add_format(out, ",\"%s\":[", name);
    for (size_t i = 0; i < messages->count; i++) {
        const struct control_message *m = &messages->items[i];
        buf_add_string(out, i > 0 ? ",{" : "{");
        add_json_field(out, "file", m->place.file);
        buf_add_format(out, ",\"line\":%u,\"column\":%u,", m->place.line, m->place.column);
        add_json_field(out, "path", m->place.path);
        buf_add_byte(out, ',');
        add_json_field(out, "message", m->text);
        buf_add_byte(out, '}');
    }
    buf_add_format(out, "],\"%s_omitted\":%zu", name, messages->omitted);
}

static void add_json_topics(struct buf *out, struct io_disk *disk,
                            const struct control_catalog *catalog)
{
    buf_add_string(out, ",\"topics\":[");
    for (size_t i = 0; i < catalog->topic_count; i++) {
        buf_add_string(out, i > 0 ? ",{" : "{");
        add_json_field(out, "name", catalog->topics[i].name);
        buf_add_format(out, ",\"partitions\":%u,", catalog->topics[i].partitions);
        add_json_field(out, "file", catalog->topics[i].file);
        size_t counts[CONTROL_CATALOG_EXAMPLE_KINDS];
        if (count_examples(out, disk, &catalog->topics[i], counts))
            buf_add_format(out, ",\"examples\":{\"valid\":%zu,\"invalid\":%zu}}",
                           counts[CONTROL_CATALOG_VALID], counts[CONTROL_CATALOG_INVALID]);
        else
            buf_add_string(out, ",\"examples\":null}");
    }
    buf_add_byte(out, ']');
}

static void add_json_sinks(struct buf *out, const struct control_config *config)
{
    buf_add_string(out, ",\"sinks\":[");
    for (size_t i = 0; i < config->sink_count; i++) {
        const struct control_config_sink *sink = &config->sinks[i];
        buf_add_string(out, i > 0 ? ",{" : "{");
        add_json_field(out, "name", sink->name);
        buf_add_byte(out, ',');
        add_json_field(out, "type", sink->type->name);
        buf_add_string(out, ",\"topics\":[");
        for (size_t j = 0; j < sink->topics.count; j++) {
            buf_add_string(out, j > 0 ? "," : "");
            buf_add_json_string(out, slice_string(sink->topics.items[j]));
        }
        buf_add_string(out, "]}");
    }
    buf_add_byte(out, ']');
}

/* Values as they are after defaults and interpolation, in base units; only those that others need
 * to find the server and its limits. */
static void add_json_config(struct buf *out, const struct control_config *config)
{
    buf_add_byte(out, ',');
    add_json_field(out, "data_dir", config->data_dir);
    buf_add_byte(out, ',');
    add_json_field(out, "durability",
                   config->durability.mode == CONTROL_CONFIG_FSYNC ? "fsync" : "interval");
    buf_add_format(out, ",\"memory_limit\":%llu,\"wal_limit\":%llu,\"doors\":{",
                   (unsigned long long)config->memory_limit, (unsigned long long)config->wal_limit);
    add_json_field(out, "intake", config->intake.listen);
    buf_add_byte(out, ',');
    add_json_field(out, "admin", config->admin.listen);
    buf_add_byte(out, ',');
    add_json_field(out, "kafka", config->kafka.listen);
    buf_add_byte(out, '}');
}

static void add_json(struct buf *out, struct io_disk *disk, const struct control_config *config,
                     const struct control_catalog *catalog, const struct control_report *report,
                     const struct cli_check_how *how)
{
    buf_add_format(out, "{\"ok\":%s", config ? "true" : "false");
    cli_check_add_json_messages(out, "errors", &report->errors);
    cli_check_add_json_messages(out, "notes", &report->notes);
    /* With mistakes there is nothing that `serve` would run with, and nothing to show. */
    if (config) {
        add_json_config(out, config);
        add_json_topics(out, disk, catalog);
        add_json_sinks(out, config);
        if (how->against) {
            buf_add_string(out, ",\"against\":");
            cli_against_json(how->against, how->catalog, catalog, out);
        }
    }
    buf_add_string(out, "}\n");
}

/* Where the files stand is known only to be in the configuration: they are no part of it. */
static void check_tls(struct io_disk *disk, const struct control_config *config,
                      struct control_report *report)
{
    const struct control_config_tls *tls = &config->kafka.tls;
    struct net_tls_files files = {
        .certificate_name = tls->cert, .key_name = tls->key, .client_ca_name = tls->client_ca};
    struct net_tls *made = NULL;
    struct err_text why = {0};
    err_t err = tls->cert ? net_tls_read(disk, &files, &made, &why) : err_ok();
    net_tls_free(&made);
    if (!err_is_ok(err))
        control_report_error(report, (struct control_place){config->file, 1, 1, "kafka.tls"}, "%s",
                             err_detail(err, &why));
}

int cli_check_run(const struct control_config_host *host, const char *path,
                  const struct cli_check_how *how, struct buf *out, struct buf *messages)
{
    struct control_report report;
    control_report_init(&report);
    struct control_config *config = NULL;
    struct control_catalog *catalog = NULL;
    ASSERT(!how->against || how->catalog);
    err_t err = control_config_load(host, path, &config, &report);
    if (err_is_ok(err))
        /* Contracts are looked at only with a good configuration, which says where they are. */
        err = control_catalog_load(host, config, &catalog, &report);
    if (err_is_ok(err))
        check_tls(host->disk, config, &report);
    if (err_is_ok(err) && how->against)
        /* Held against others only when they are good by themselves. */
        err = control_catalog_may_follow(how->catalog, catalog, config, &report);
    if (err_is_ok(err))
        err = control_report_verdict(&report);
    cli_check_messages(messages, &report.errors);
    cli_check_messages(messages, &report.notes);
    bool good = err_is_ok(err);
    if (how->json)
        add_json(out, host->disk, good ? config : NULL, catalog, &report, how);
    else if (good)
        add_summary(out, host->disk, config, catalog);
    if (good && how->against && !how->json)
        cli_against_print(how->against, how->catalog, catalog, out);
    /* In the reverse order of their making. */
    control_catalog_free(&catalog);
    control_config_free(&config);
    control_report_done(&report);
    /* A half-made summary must not pass for a verdict. */
    if (err_is(err, ERR_MEMORY) || !buf_ok(out) || !buf_ok(messages))
        return CLI_INTERNAL;
    return good ? CLI_OK : CLI_CONFIG;
}

/* Empties `text` to `stream`. */
void cli_check_print(struct buf *text, FILE *stream)
{
    if (text->size > 0)
        fwrite(text->data, 1, text->size, stream);
    buf_done(text);
}

/* The page goes to standard output alone, since it is redirected into a file of the manual. */
static int print_reference(const struct cli_command *command, const struct cli *cli,
                           const char *page)
{
    struct buf out = {0};
    if (!cli_reference(&out, page, cli->host->sink_types))
        return cli_fail(command, CLI_USAGE, "expected configuration or contracts, got '%s'", page);
    int code = buf_ok(&out) ? CLI_OK : CLI_INTERNAL;
    cli_check_print(&out, stdout);
    return code;
}

int cli_check(struct cli *cli, int argc, char **argv)
{
    const struct cli_command *command = cli_command("check");
    struct flags flags;
    struct cli_words words;
    int code = cli_parse(command, argc, argv, &flags, &words);
    if (code >= 0)
        return code;
    cli_words_done(&words);
    if (flags.reference)
        return print_reference(command, cli, flags.reference);
    struct buf out = {0};
    struct buf messages = {0};
    /* The other side first: without it there is no answer to what was asked. */
    struct control_catalog *against = NULL;
    code = flags.against ? cli_against_load(cli->host, flags.against, &against, &messages) : CLI_OK;
    if (code == CLI_OK)
        code = cli_check_run(cli->host, flags.config,
                             &(struct cli_check_how){flags.json, flags.against, against}, &out,
                             &messages);
    control_catalog_free(&against);
    /* Mistakes first: on a terminal, where both streams meet, the summary is then the last word. */
    cli_check_print(&messages, stderr);
    cli_check_print(&out, stdout);
    return code;
}
