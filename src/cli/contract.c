/*
 * Configuration and contracts are loaded by the code that `serve` uses, and each example is judged
 * by the code that the intake uses (format/jsonschema/judge.h), with the configuration's limit on
 * records: so an example that passes here is a record that passes there. A failure is a line by
 * itself, in the form that editors jump to; what is wrong with the examples' files themselves is a
 * mistake in the contract, and goes into the report with the others.
 *
 * What goes wrong: a topic without examples is no failure, since most begin like that; one that was
 * asked for by name is. A mistake in one file hides no failure in another. Without memory there is
 * no verdict.
 */

#include "cli/contract.h"

#include "base/assert.h"
#include "cli/check.h"
#include "control/catalog/examples.h"
#include "control/suggest.h"
#include "format/json/lines.h"
#include "format/jsonschema/judge.h"

struct flags {
    const char *config;
    bool json;
};

const struct option cli_contract_options[] = {
    {.name = "config",
     .type = OPTION_STRING,
     .offset = offsetof(struct flags, config),
     .help = "the configuration; without it, the defaults in the current directory"},
    {.name = "json",
     .type = OPTION_BOOL,
     .offset = offsetof(struct flags, json),
     .help = "one JSON object on standard output"},
    {0},
};

const char cli_contract_text[] =
    "Holds the `examples` of each contract, or of the topics that are named, against it, as the\n"
    "server would: what is `valid` has to be accepted, what is `invalid` to be refused. A failure\n"
    "is a line `file:line: expected ...`. Needs no server. Exit code 1 if any example failed, 78\n"
    "for a broken configuration and for examples that are not there.\n"
    "\n"
    "    garner contract test --config garner.yaml flights\n";

struct run {
    struct io_disk *disk;
    struct control_report *report;
    const struct control_config *config;
    const struct control_catalog *catalog;
    struct format_jsonschema_judge judge;
    struct buf *out;
    bool json;
    uint64_t topics; /* told of */
    uint64_t failed; /* examples of all topics */
};

/* What is counted of one topic. */
struct result {
    const struct control_catalog_topic *topic;
    enum control_catalog_example kind; /* of the file that is read */
    const char *file;
    uint64_t records[CONTROL_CATALOG_EXAMPLE_KINDS];
    uint64_t failed;
};

/* `refusal` is NULL for a record that was accepted. */
static void add_json_failure(struct buf *out, const struct result *r, uint64_t line,
                             const struct format_jsonschema_refusal *refusal)
{
    buf_add_string(out, r->failed > 1 ? ",{\"file\":" : "{\"file\":");
    buf_add_json_string(out, slice_string(r->file));
    buf_add_format(out, ",\"line\":%llu,\"expected\":\"%s\"", (unsigned long long)line,
                   r->kind == CONTROL_CATALOG_VALID ? "accepted" : "refused");
    if (refusal) {
        buf_add_format(
            out, ",\"reason\":\"%s\",\"detail\":", format_jsonschema_reason_name(refusal->reason));
        buf_add_json_string(out, slice_string(refusal->detail.text));
    }
    buf_add_byte(out, '}');
}

/* For people in the form of a compiler's messages, with the reason by the name that an answer of
 * the server and a dead letter give it, so that one can be looked up by the other. */
static void add_failure(struct run *run, struct result *r, uint64_t line,
                        const struct format_jsonschema_refusal *refusal)
{
    ASSERT(!refusal == (r->kind == CONTROL_CATALOG_INVALID));
    r->failed++;
    if (run->json) {
        add_json_failure(run->out, r, line, refusal);
        return;
    }
    buf_add_format(run->out, "%s:%llu: expected to be ", r->file, (unsigned long long)line);
    if (refusal)
        buf_add_format(run->out, "accepted, got %s %s\n",
                       format_jsonschema_reason_name(refusal->reason), refusal->detail.text);
    else
        buf_add_string(run->out, "refused, but it is accepted\n");
}

static err_t judge(struct run *run, struct result *r, uint64_t line, struct slice original,
                   struct slice record)
{
    struct format_jsonschema_refusal refusal;
    err_t verdict = format_jsonschema_judge(&run->judge, original, record, NULL, &refusal);
    bool refused = err_is(verdict, ERR_RECORD_REFUSED);
    /* Anything else that is not good is no verdict, and must not pass for one of an invalid
     * example. */
    if (!refused)
        TRY(verdict);
    r->records[r->kind]++;
    if (refused != (r->kind == CONTROL_CATALOG_INVALID))
        add_failure(run, r, line, refused ? &refusal : NULL);
    return err_ok();
}

/* A file that is one record is one whatever it holds, an array too. */
static err_t judge_text(struct run *run, struct result *r, struct slice text)
{
    struct slice line;
    struct slice record = format_json_trim(text);
    if (slice_ends_with(slice_string(r->file), SLICE_LITERAL(".json")))
        return record.size > 0 ? judge(run, r, 1, text, record) : err_ok();
    for (uint64_t number = 1; format_json_next_line(&text, &line, &record); number++)
        if (record.size > 0)
            TRY(judge(run, r, number, line, record));
    return err_ok();
}

/* Read whole: examples are written by hand, and a limit is kinder than a machine without memory. */
static err_t judge_file(struct run *run, struct result *r)
{
    struct buf text;
    struct err_text why = {0};
    uint64_t before = r->records[r->kind];
    buf_init(&text, 0);
    err_t err = io_disk_read_file(run->disk, r->file, CLI_CONTRACT_FILE_MAX, &text, &why);
    if (!err_is_ok(err) && !err_is(err, ERR_MEMORY)) {
        control_catalog_examples_error(r->topic, r->kind, run->report,
                                       "expected files that can be read: %s",
                                       err_detail(err, &why));
        err = err_ok();
    } else if (err_is_ok(err)) {
        err = judge_text(run, r, buf_slice(&text));
        if (err_is_ok(err) && r->records[r->kind] == before)
            /* Emptied by mistake, it would be a test that cannot fail. */
            control_catalog_examples_error(r->topic, r->kind, run->report,
                                           "expected records in %s, there are none", r->file);
    }
    buf_done(&text);
    return err;
}

static void begin_topic(struct run *run, const struct control_catalog_topic *topic)
{
    run->judge.schema = topic->schema.json;
    if (!run->json)
        return;
    buf_add_string(run->out, run->topics > 0 ? ",{\"topic\":" : "{\"topic\":");
    buf_add_json_string(run->out, slice_string(topic->name));
    buf_add_string(run->out, ",\"failures\":[");
}

static void end_topic(struct run *run, const struct result *r)
{
    unsigned long long valid = r->records[CONTROL_CATALOG_VALID];
    unsigned long long invalid = r->records[CONTROL_CATALOG_INVALID];
    unsigned long long failed = r->failed;
    run->topics++;
    run->failed += r->failed;
    if (run->json)
        buf_add_format(run->out, "],\"valid\":%llu,\"invalid\":%llu,\"failed\":%llu}", valid,
                       invalid, failed);
    else if (valid + invalid == 0)
        buf_add_format(run->out, "%s: no examples\n", r->topic->name);
    else
        buf_add_format(run->out, "%s: %llu valid, %llu invalid, %llu failed\n", r->topic->name,
                       valid, invalid, failed);
}

/* `named`: somebody asked for this one. */
static err_t test_topic(struct run *run, const struct control_catalog_topic *topic, bool named)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct control_catalog_example_files files = {0};
    struct result r = {.topic = topic};
    err_t err = err_ok();
    bool found = control_catalog_examples_find(run->disk, topic, &arena, run->report, &files);
    size_t count = files.of[CONTROL_CATALOG_VALID].count + files.of[CONTROL_CATALOG_INVALID].count;
    begin_topic(run, topic);
    /* With a pattern that matches nothing there are no files, and the topic fails by that alone. */
    for (r.kind = 0; r.kind < CONTROL_CATALOG_EXAMPLE_KINDS && err_is_ok(err); r.kind++) {
        const struct option_strings *of = &files.of[r.kind];
        for (size_t i = 0; i < of->count && err_is_ok(err); i++) {
            r.file = of->items[i];
            err = judge_file(run, &r);
        }
    }
    if (found && named && count == 0)
        control_catalog_examples_error(topic, CONTROL_CATALOG_VALID, run->report,
                                       "expected { valid: [ file ], invalid: [ file ] }, there are "
                                       "no examples");
    end_topic(run, &r);
    arena_done(&arena);
    return err;
}

/* In the order of the command line, or of the catalog, which is sorted. */
static err_t test_topics(struct run *run, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        TRY(test_topic(run, control_catalog_find(run->catalog, slice_string(names[i])), true));
    for (size_t i = 0; i < run->catalog->topic_count && count == 0; i++)
        TRY(test_topic(run, &run->catalog->topics[i], false));
    return err_ok();
}

/* False where a name is not that of a topic, which `messages` says. */
static bool know_all(const struct control_catalog *catalog, const char *const *names, size_t count,
                     struct buf *messages)
{
    bool known = true;
    for (size_t i = 0; i < count; i++) {
        struct slice name = slice_string(names[i]);
        if (control_catalog_find(catalog, name))
            continue;
        known = false;
        struct control_suggest suggest = control_suggest_for(name);
        for (size_t j = 0; j < catalog->topic_count; j++)
            control_suggest_offer(&suggest, catalog->topics[j].name);
        buf_add_format(messages, "expected a topic with a contract, got '%.60s'", names[i]);
        if (suggest.best)
            buf_add_format(messages, ", did you mean '%s'?", suggest.best);
        buf_add_byte(messages, '\n');
    }
    return known;
}

/* Behind a catalog that is good: the exit code, or CLI_INTERNAL. */
static int test(struct run *run, const char *const *names, size_t count, struct buf *messages)
{
    /* Before any is tested: a slip in the last name should not cost the wait for the others. */
    if (!know_all(run->catalog, names, count, messages))
        return CLI_USAGE;
    run->judge.size_max = run->config->intake.record_bytes_max;
    err_t err = format_jsonschema_scratch_new(&run->judge.scratch);
    if (err_is_ok(err))
        err = test_topics(run, names, count);
    format_jsonschema_scratch_free(&run->judge.scratch);
    if (!err_is_ok(err) || run->report->memory_failed)
        return CLI_INTERNAL;
    /* Before failures: what could not be tested weighs more than what was and failed. */
    if (control_report_errors(run->report) > 0)
        return CLI_CONFIG;
    return run->failed > 0 ? CLI_FAILED : CLI_OK;
}

int cli_contract_test(const struct control_config_host *host, const char *path,
                      const char *const *topics, size_t count, bool json, struct buf *out,
                      struct buf *messages)
{
    struct control_report report;
    control_report_init(&report);
    struct control_config *config = NULL;
    struct control_catalog *catalog = NULL;
    if (json)
        buf_add_string(out, "{\"topics\":[");
    err_t err = control_config_load(host, path, &config, &report);
    if (err_is_ok(err))
        err = control_catalog_load(host, config, &catalog, &report);
    int code = err_is(err, ERR_MEMORY) ? CLI_INTERNAL : CLI_CONFIG;
    if (err_is_ok(err)) {
        struct run run = {.disk = host->disk,
                          .report = &report,
                          .config = config,
                          .catalog = catalog,
                          .out = out,
                          .json = json};
        code = test(&run, topics, count, messages);
    }
    cli_check_messages(messages, &report.errors);
    if (json) {
        /* Behind the topics, since the files' own mistakes are known only then. */
        buf_add_byte(out, ']');
        cli_check_add_json_messages(out, "errors", &report.errors);
        buf_add_format(out, ",\"ok\":%s}\n", code == CLI_OK ? "true" : "false");
    }
    /* In the reverse order of their making. */
    control_catalog_free(&catalog);
    control_config_free(&config);
    control_report_done(&report);
    return buf_ok(out) && buf_ok(messages) ? code : CLI_INTERNAL;
}

int cli_contract(struct cli *cli, int argc, char **argv)
{
    const struct cli_command *command = cli_command("contract");
    struct flags flags;
    struct cli_words words;
    int code = cli_parse(command, argc, argv, &flags, &words);
    if (code >= 0)
        return code;
    if (words.count == 0 || strcmp(words.items[0], "test") != 0) {
        code = cli_fail(command, CLI_USAGE, "expected test, got %s",
                        words.count > 0 ? words.items[0] : "nothing");
        cli_words_done(&words);
        return code;
    }
    struct buf out = {0};
    struct buf messages = {0};
    code = cli_contract_test(cli->host, flags.config, words.items + 1, (size_t)words.count - 1,
                             flags.json, &out, &messages);
    cli_words_done(&words);
    if (code == CLI_INTERNAL)
        /* What was put together by then is no verdict. */
        buf_reset(&out);
    cli_check_print(&messages, stderr);
    cli_check_print(&out, stdout);
    if (code == CLI_INTERNAL)
        return cli_fail(command, CLI_INTERNAL, "out of memory");
    return code;
}
