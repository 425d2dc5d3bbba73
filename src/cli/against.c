#include "cli/against.h"

#include "base/assert.h"
#include "cli/check.h"
#include "cli/door.h"
#include "control/catalog/change.h"
#include "control/catalog/document.h"
#include "control/config/glob.h"
#include "control/config/value.h"

/*
 * The other side becomes a catalog, wherever it comes from; from there on a directory and a server
 * are the same. What a reload would refuse is not decided here: cli/check.c asks for it, as the
 * server does. A contract's values that a server sent are shown as JSON strings, so that nothing
 * in them reaches a terminal as it is.
 */

#define TIMEOUT_MS 10000u

/* Says why there is nothing to compare with. */
static int refuse(struct buf *messages, const char *where, int code, const char *text)
{
    ASSERT(code != CLI_OK);
    buf_add_format(messages, "garner check: --against %s: %s\n", where, text);
    return code;
}

int cli_against_read(const char *address, int status, struct slice body,
                     struct control_catalog **out, struct buf *messages)
{
    struct err_text why = {0};
    /* The intake answers too, and an older server: which door was meant is the first guess. */
    if (status != 200) {
        buf_add_format(messages,
                       "garner check: --against %s: answered %d to /v1/contracts; is it "
                       "the admin door of a garner that knows it?\n",
                       address, status);
        return CLI_UNAVAILABLE;
    }
    /* Another server, or one whose contracts say more than is known here: to go on with half of
     * them would be a verdict on something else. */
    err_t err = control_catalog_parse(body, out, &why);
    if (err_is_ok(err))
        return CLI_OK;
    if (err_is(err, ERR_MEMORY))
        return refuse(messages, address, CLI_INTERNAL, "out of memory");
    buf_add_format(messages,
                   "garner check: --against %s: answers, but not with contracts that "
                   "this version can read: %s\n",
                   address, err_detail(err, &why));
    return CLI_UNAVAILABLE;
}

static int ask_server(const char *address, struct control_catalog **out, struct buf *messages)
{
    struct cli_door_answer answer;
    struct err_text why = {0};
    err_t err = cli_door_get(address, "/v1/contracts", TIMEOUT_MS, &answer, &why);
    if (!err_is_ok(err))
        return refuse(messages, address, CLI_UNAVAILABLE, err_detail(err, &why));
    int code = cli_against_read(address, answer.status, buf_slice(&answer.body), out, messages);
    buf_done(&answer.body);
    return code;
}

/* The contracts in a directory, without a configuration: no sink speaks of them. */
static err_t find_contracts(const struct control_config_host *host, const char *directory,
                            struct control_config *config, struct control_report *report)
{
    struct err_text why = {0};
    const struct control_place place = {directory, 1, 1, "(root)"};
    const char *pattern = control_config_path(&config->arena, directory, "*.yaml");
    if (!pattern)
        return err_make(ERR_MEMORY);
    err_t err =
        control_config_glob(host->disk, pattern, &config->arena, &config->contract_files, &why);
    if (err_is(err, ERR_MEMORY))
        return err;
    if (!err_is_ok(err))
        control_report_error(report, place, "expected files that can be read: %s",
                             err_detail(err, &why));
    /* An empty side would call every topic added, which is not what a mistyped name should do. */
    else if (config->contract_files.count == 0)
        control_report_error(report, place,
                             "expected a directory with garner.yaml or with "
                             "contracts (*.yaml), there is neither");
    return control_report_verdict(report);
}

static err_t load_files(const struct control_config_host *host, const char *path, enum io_kind kind,
                        struct control_catalog **out, struct control_report *report)
{
    struct control_config bare = {0};
    struct control_config *config = NULL;
    enum io_kind inner = IO_KIND_FILE;
    /* Only contracts are compared, so the other configuration's own fields do not matter: it may be
     * a checkout elsewhere, with other paths. Its mistakes do: `serve` would not run by it. */
    arena_init(&bare.arena, 0);
    const char *file = path;
    err_t err = err_ok();
    if (kind == IO_KIND_DIRECTORY) {
        file = control_config_path(&bare.arena, path, "garner.yaml");
        err = file ? io_disk_kind(host->disk, file, &inner, NULL) : err_make(ERR_MEMORY);
    }
    if (err_is_ok(err) && inner == IO_KIND_FILE)
        err = control_config_load(host, file, &config, report);
    else if (err_is_ok(err))
        err = find_contracts(host, path, &bare, report);
    if (err_is_ok(err))
        err = control_catalog_load(host, config ? config : &bare, out, report);
    control_config_free(&config);
    arena_done(&bare.arena);
    return err;
}

int cli_against_load(const struct control_config_host *host, const char *where,
                     struct control_catalog **out, struct buf *messages)
{
    char address[CLI_DOOR_ADDRESS_SIZE];
    struct err_text why = {0};
    enum io_kind kind = IO_KIND_NONE;
    /* A directory may be called localhost:80; whoever means the server can write http://. */
    bool url = slice_starts_with(slice_string(where), SLICE_LITERAL("http://"));
    err_t err = url || !where[0] ? err_ok() : io_disk_kind(host->disk, where, &kind, &why);
    if (!err_is_ok(err))
        return refuse(messages, where, CLI_CONFIG, err_detail(err, &why));
    if (kind == IO_KIND_NONE) {
        if (cli_door_parse(where, address))
            return ask_server(address, out, messages);
        return refuse(messages, where, CLI_USAGE,
                      "expected a directory, a configuration, or the admin door of a server such "
                      "as http://127.0.0.1:9600");
    }
    struct control_report report;
    control_report_init(&report);
    err = load_files(host, where, kind, out, &report);
    /* In the form of every other mistake, and then whose they are: both sides are files. */
    cli_check_messages(messages, &report.errors);
    control_report_done(&report);
    if (err_is_ok(err))
        return CLI_OK;
    if (!err_is(err, ERR_CONFIG))
        return refuse(messages, where, CLI_INTERNAL, err_string(err));
    return refuse(messages, where, CLI_CONFIG, "there is nothing to compare with");
}

/* What is put together of a topic's fields. */
struct fields {
    struct buf *out;
    const struct control_catalog_topic *from;
    const struct control_catalog_topic *to;
    size_t count;
    bool json;
};

static void add_fingerprint(struct buf *out, const struct control_catalog_topic *topic)
{
    if (topic->schema.fingerprint)
        buf_add_json_string(out, slice_string(topic->schema.fingerprint));
    else
        buf_add_string(out, "null");
}

/* A person wants to know by which rule it may come, a script which one it is. */
static void add_schema(struct fields *f)
{
    const struct option *rule = control_catalog_options;
    while (strcmp(rule->name, "compatibility") != 0)
        rule++;
    if (f->json) {
        buf_add_string(f->out, "\"from\":");
        add_fingerprint(f->out, f->from);
        buf_add_string(f->out, ",\"to\":");
        add_fingerprint(f->out, f->to);
    } else {
        buf_add_string(f->out, " under ");
        (void)control_config_value_add(rule, (const char *)f->to + rule->offset, f->out);
    }
}

static void add_field(void *context, const struct control_catalog_difference *d)
{
    struct fields *f = context;
    if (f->json)
        buf_add_format(f->out, "%s{\"field\":\"%s\",", f->count > 0 ? "," : "", d->name);
    else
        buf_add_format(f->out, "%s %s", f->count > 0 ? "," : " changes", d->name);
    f->count++;
    if (!d->option) {
        add_schema(f);
    } else {
        buf_add_string(f->out, f->json ? "\"from\":" : " from ");
        control_catalog_render_value(d->option, d->from, f->out);
        buf_add_string(f->out, f->json ? ",\"to\":" : " to ");
        control_catalog_render_value(d->option, d->to, f->out);
    }
    buf_add_string(f->out, f->json ? "}" : "");
}

static void print_change(const struct control_catalog_change *change, struct buf *out)
{
    struct fields fields = {.out = out, .from = change->from, .to = change->to};
    /* A name needs no escape: no catalog has one with other than letters, digits and "._-". */
    buf_add_format(out, "    %s:", change->to ? change->to->name : change->from->name);
    if (!change->from) {
        buf_add_string(out, " is added: topic and DLQ are made, or go on where they stand\n");
        return;
    }
    if (!change->to) {
        buf_add_string(out, " goes: it keeps what it holds and takes nothing more (404)\n");
        return;
    }
    control_catalog_differences(change->from, change->to, add_field, &fields);
    buf_add_string(out,
                   fields.count > 0 ? "; for every request from then on\n" : " stays as it is\n");
}

void cli_against_print(const char *where, const struct control_catalog *from,
                       const struct control_catalog *to, struct buf *out)
{
    struct control_catalog_changes walk = {.from = from, .to = to};
    struct control_catalog_change change;
    buf_add_format(out, "  against     %s: a reload would take it\n", where);
    while (control_catalog_changes_next(&walk, &change))
        print_change(&change, out);
}

static void add_json_change(const struct control_catalog_change *change, struct buf *out)
{
    struct fields fields = {.out = out, .from = change->from, .to = change->to, .json = true};
    ASSERT(change->from || change->to);
    const char *kind = !change->from                                    ? "added"
                       : !change->to                                    ? "removed"
                       : control_catalog_same(change->from, change->to) ? "same"
                                                                        : "changed";
    buf_add_format(out, "{\"name\":\"%s\",\"change\":\"%s\",\"fields\":[",
                   change->to ? change->to->name : change->from->name, kind);
    if (change->from && change->to)
        control_catalog_differences(change->from, change->to, add_field, &fields);
    buf_add_string(out, "]}");
}

void cli_against_json(const char *where, const struct control_catalog *from,
                      const struct control_catalog *to, struct buf *out)
{
    struct control_catalog_changes walk = {.from = from, .to = to};
    struct control_catalog_change change;
    buf_add_string(out, "{\"with\":");
    buf_add_json_string(out, slice_string(where));
    buf_add_string(out, ",\"topics\":[");
    for (bool first = true; control_catalog_changes_next(&walk, &change); first = false) {
        buf_add_string(out, first ? "" : ",");
        add_json_change(&change, out);
    }
    buf_add_string(out, "]}");
}
