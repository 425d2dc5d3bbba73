#include "control/catalog/contract.h"

#include "base/assert.h"
#include "flow/commit.h"
#include "format/json/json.h"

/*
 * One contract on its own. The table below is the contract's language: its parser, its messages and
 * its page in the manual all come from it. A field of which this version can do nothing yet stands
 * in the table all the same, so that a file written for a later one is understood, and refused
 * where its absence would break a promise (refuse_unsupported).
 */

_Static_assert(CONTROL_CATALOG_NAME_MAX + 4 == FLOW_TOPIC_NAME_MAX,
               "a topic's name and .dlq are a name of the log's");

/* The order of each list is that of its enum in catalog.h. */
static const char *const on_invalid[] = {"dlq", "reject", NULL};
static const char *const when_full[] = {"refuse", "drop_oldest", NULL};
static const char *const compressions[] = {"none", "gzip", "snappy", "lz4", "zstd", NULL};
static const char *const schema_types[] = {"none", "jsonschema", "avro", "protobuf", NULL};
static const char *const compatibilities[] = {"NONE",
                                              "BACKWARD",
                                              "FORWARD",
                                              "FULL",
                                              "BACKWARD_TRANSITIVE",
                                              "FORWARD_TRANSITIVE",
                                              "FULL_TRANSITIVE",
                                              NULL};

static const struct option schema_options[] = {
    {.name = "type",
     .type = OPTION_ENUM,
     .offset = offsetof(struct control_catalog_schema, type),
     .choices = schema_types,
     .fallback = "none",
     .help = "The schema's language. This version knows `none` and `jsonschema` (drafts 2020-12 "
             "and 7; its `$schema` decides, 2020-12 without one) and refuses the others."},
    {.name = "file",
     .type = OPTION_PATH,
     .offset = offsetof(struct control_catalog_schema, file),
     .help = "The schema. It is read with the contract; nothing that it refers to is fetched."},
    {.name = "format_assertion",
     .type = OPTION_BOOL,
     .offset = offsetof(struct control_catalog_schema, format_assertion),
     .fallback = "false",
     .help = "`true`: the keyword `format` refuses what is not of it. `false`: it says nothing, as "
             "the drafts have it."},
    {0},
};

#define EXAMPLES(field) offsetof(struct control_catalog_examples, field)

static const struct option examples_options[] = {
    {.name = "valid",
     .type = OPTION_STRINGS,
     .offset = EXAMPLES(valid),
     .help = "Files of records that pass, or patterns of files with `*` and `?`: NDJSON, or one "
             "record where the name ends in `.json`."},
    {.name = "invalid",
     .type = OPTION_STRINGS,
     .offset = EXAMPLES(invalid),
     .help = "Files of records that become dead letters (or are refused)."},
    {0},
};

/* A hundred years: a longer time would only be another way to write for ever, and the log subtracts
 * it from a clock. */
#define KEPT_MS_MAX (UINT64_C(36500) * 86400000)

static const struct option dlq_options[] = {
    {.name = "retention",
     .type = OPTION_DURATION,
     .offset = offsetof(struct control_catalog_dlq, retention_ms),
     .fallback = "7d",
     .min = 1,
     .max = KEPT_MS_MAX,
     .help = "How long a dead letter is kept. One that nobody has redriven by then is deleted and "
             "counts as `expired`."},
    {.name = "size",
     .type = OPTION_SIZE,
     .offset = offsetof(struct control_catalog_dlq, size_bytes),
     .fallback = "1GiB",
     .min = 1,
     .help = "How much the dead-letter topic holds on disk."},
    {.name = "when_full",
     .type = OPTION_ENUM,
     .offset = offsetof(struct control_catalog_dlq, when_full),
     .choices = when_full,
     .fallback = "refuse",
     .help = "`refuse`: while the dead-letter topic holds `size`, broken records are refused with "
             "reason `dlq_full`, good ones pass, and what a sink refuses is still kept. "
             "`drop_oldest`: the oldest dead letters make room and count as `expired`, also those "
             "that a sink has not delivered."},
    {0},
};

#define DEDUP(field) offsetof(struct control_catalog_dedup, field)

static const struct option dedup_options[] = {
    {.name = "key",
     .type = OPTION_STRING,
     .offset = DEDUP(key),
     .help =
         "Path of the idempotency key in a record, as `a.b` or as JSON Pointer `/a/b`. A string "
         "or a number; a record where it is missing, null or anything else has no key and is "
         "never a duplicate. With another path all keys so far count no more."},
    {.name = "window",
     .type = OPTION_DURATION,
     .offset = DEDUP(window_ms),
     .fallback = "24h",
     .min = 1000,
     .max = KEPT_MS_MAX,
     .help = "How long a key counts since its record was committed: at least so long, and a "
             "sixteenth longer at the most. A longer one than before brings no keys back."},
    {.name = "memory",
     .type = OPTION_SIZE,
     .offset = DEDUP(memory_bytes),
     .fallback = "64MiB",
     .min = UINT64_C(1) << 20,
     .max = UINT64_C(1) << 40,
     .help = "Memory for the newest keys, 22 to 27 bytes each. When it is full they go to a sorted "
             "file, for which 2.5 bytes a key stay in memory; while that is written as much again "
             "is in use. Each file is asked for each key that comes: `garner check` says how many "
             "there will be at `dedup.rate`, and more than some dozens take time. Where the disk "
             "cannot keep up, records with keys are refused with 503."},
    {.name = "rate",
     .type = OPTION_U64,
     .offset = DEDUP(rate),
     .min = 1,
     .help = "Records a second that are expected, for `garner check`, which then prints what keys "
             "take of memory and disk. Limits nothing."},
    {0},
};

static const struct option retention_options[] = {
    {.name = "time",
     .type = OPTION_DURATION,
     .offset = offsetof(struct control_catalog_retention, time_ms),
     .fallback = "7d",
     .min = 1,
     .max = KEPT_MS_MAX,
     .help = "How long a record is kept, from its commit on. Records go a segment at a time, once "
             "it is sealed, so some stay longer."},
    {.name = "size",
     .type = OPTION_SIZE,
     .offset = offsetof(struct control_catalog_retention, size_bytes),
     .min = 1,
     .help =
         "How much all partitions together keep in segments: at least so much, and what is more "
         "than a segment beyond it goes, the oldest first. No limit by default."},
    {.name = "expire_undelivered",
     .type = OPTION_BOOL,
     .offset = offsetof(struct control_catalog_retention, expire_undelivered),
     .fallback = "false",
     .help = "`false`: what a sink has not delivered is kept beyond time and size, until it is. "
             "`true`: it goes like the rest, and counts as `expired` of that sink."},
    {0},
};

#define TOPIC(field) offsetof(struct control_catalog_contract, topic.field)

/* The order is that of the page in the manual: what nobody can do without comes first. */
const struct option control_catalog_options[] = {
    {.name = "topic",
     .type = OPTION_STRING,
     .offset = TOPIC(name),
     .required = true,
     .help = "The topic's name: up to 245 of `a-z A-Z 0-9 . _ -`, not beginning with `_`, not "
             "ending in `.dlq`."},
    {.name = "description",
     .type = OPTION_STRING,
     .offset = TOPIC(description),
     .help = "What a record is, for people."},
    {.name = "owner",
     .type = OPTION_STRING,
     .offset = TOPIC(owner),
     .help = "Whom to ask, for people."},
    {.name = "partitions",
     .type = OPTION_U32,
     .offset = TOPIC(partitions),
     .fallback = "1",
     .min = 1,
     .max = FLOW_PARTITIONS_MAX,
     .help = "How many partitions; can be raised later, never lowered."},
    {.name = "key",
     .type = OPTION_STRING,
     .offset = TOPIC(key),
     .help = "Path of the key in a record, as `a.b` or as JSON Pointer `/a/b`. Records of one key "
             "keep their order. Without it, records go round robin."},
    {.name = "event_time",
     .type = OPTION_STRING,
     .offset = TOPIC(event_time),
     .help = "Path of the record's time: RFC 3339, or seconds, milliseconds or microseconds since "
             "1970. Without it, the time of arrival."},
    {.name = "schema",
     .type = OPTION_TABLE,
     .offset = TOPIC(schema),
     .table = schema_options,
     .shorthand = true,
     .help = "What records must look like, beyond being JSON. With a schema two equal keys in an "
             "object are an error too."},
    {.name = "compatibility",
     .type = OPTION_ENUM,
     .offset = TOPIC(compatibility),
     .choices = compatibilities,
     .fallback = "BACKWARD",
     .help = "What a schema that a reload brings must keep to, held against the one in force and, "
             "`_TRANSITIVE`, all that were before it: `BACKWARD`, what was good stays good; "
             "`FORWARD`, what is good would have been; `FULL`, both."},
    {.name = "on_invalid",
     .type = OPTION_ENUM,
     .offset = TOPIC(on_invalid),
     .choices = on_invalid,
     .fallback = "dlq",
     .help = "`dlq`: a broken record becomes a dead letter. `reject`: it is refused, and the "
             "request is answered 422."},
    {.name = "examples",
     .type = OPTION_TABLE,
     .offset = TOPIC(examples),
     .table = examples_options,
     .help = "Records for `garner contract test`, which holds them against the contract as the "
             "server would. The server does not read them."},
    {.name = "dedup",
     .type = OPTION_TABLE,
     .offset = TOPIC(dedup),
     .table = dedup_options,
     .shorthand = true,
     .help = "Records that repeat a key of the topic count as duplicates and are stored once."},
    {.name = "dlq",
     .type = OPTION_TABLE,
     .offset = TOPIC(dlq),
     .table = dlq_options,
     .help = "The dead-letter topic, called `<topic>.dlq`."},
    {.name = "retention",
     .type = OPTION_TABLE,
     .offset = TOPIC(retention),
     .table = retention_options,
     .help = "What is kept. Both limits hold at once."},
    {.name = "compression",
     .type = OPTION_ENUM,
     .offset = TOPIC(compression),
     .choices = compressions,
     .fallback = "none",
     .help = "Of sealed segments; what is in the write-ahead log alone is not compressed."},
    {0},
};

/* The name becomes a directory, a label and a part of a URL: nothing that any of them would have to
 * escape. "." and ".." would be directories; the rest is Kafka's rule. */
const char *control_catalog_name_problem(const char *name)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    struct slice s = slice_string(name);
    if (s.size == 0 || s.size > CONTROL_CATALOG_NAME_MAX || strspn(name, allowed) != s.size)
        return "1 to 245 characters of [a-zA-Z0-9._-]";
    /* Both pass the test of characters, and neither is a name. */
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return "a name other than . and ..";
    /* Kept for topics of the server's own, as Kafka keeps two underscores for its. */
    if (name[0] == '_')
        return "a name that does not begin with _, as garner's own topics do";
    if (slice_ends_with(s, SLICE_LITERAL(".dlq")))
        return "a name that does not end in .dlq, as dead-letter topics do";
    return NULL;
}

static void check_name(const struct control_config_decoder *d,
                       const struct control_config_node *root, const char *name)
{
    /* A name that is missing has its message already. */
    const char *problem = name ? control_catalog_name_problem(name) : NULL;
    if (problem)
        control_config_node_error(control_config_node_get(root, "topic"), d->report,
                                  "expected %s, got '%.60s'", problem, name);
}

static void check_path(const struct control_config_decoder *d,
                       const struct control_config_node *root, const char *field, const char *path)
{
    if (!path)
        return;
    /* Compiled to see whether it can be, and thrown away: each loop compiles its own. */
    struct format_json_paths *paths = NULL;
    struct err_text why = {0};
    err_t err = format_json_paths_new(&path, 1, &paths, &why);
    format_json_paths_free(&paths);
    if (err_is(err, ERR_MEMORY))
        control_report_no_memory(d->report);
    else if (!err_is_ok(err))
        control_config_node_error(control_config_node_get(root, field), d->report,
                                  "expected a path such as a.b or /a/b, got '%.60s': %s", path,
                                  err_detail(err, &why));
}

static void check_dedup(const struct control_config_decoder *d,
                        const struct control_config_node *root, const char *key)
{
    const struct control_config_node *dedup = control_config_node_get(root, "dedup");
    if (!dedup)
        return;
    if (key)
        check_path(d, dedup->kind == CONTROL_CONFIG_MAPPING ? dedup : root,
                   dedup->kind == CONTROL_CONFIG_MAPPING ? "key" : "dedup", key);
    else if (dedup->kind == CONTROL_CONFIG_MAPPING)
        control_config_node_error(dedup, d->report,
                                  "expected key, the path of what makes a record the same as "
                                  "another");
}

/* What would be a broken promise if it were accepted. */
static void refuse_unsupported(const struct control_config_decoder *d,
                               const struct control_config_node *root,
                               const struct control_catalog_contract *contract)
{
    const struct control_config_node *schema = control_config_node_get(root, "schema");
    /* `schema: none` stands for its type alone, and is then the place of the message. */
    const struct control_config_node *type = schema;
    const struct control_config_node *file = NULL;
    if (schema && schema->kind == CONTROL_CONFIG_MAPPING) {
        type = control_config_node_get(schema, "type");
        file = control_config_node_get(schema, "file");
    }
    uint32_t given = contract->topic.schema.type;
    if (given > CONTROL_CATALOG_SCHEMA_JSON)
        control_config_node_error(
            type, d->report,
            "expected none or jsonschema, '%s' is not supported by this version yet",
            schema_types[given]);
    else if (given == CONTROL_CATALOG_SCHEMA_JSON && !file)
        control_config_node_error(type, d->report,
                                  "expected a file too: { type: jsonschema, file: ... }");
    else if (given == CONTROL_CATALOG_SCHEMA_NONE && file)
        control_config_node_error(file, d->report, "expected only with a schema's type");
}

err_t control_catalog_contract_defaults(struct arena *arena, struct control_catalog_contract *out)
{
    struct control_report report;
    control_report_init(&report);
    *out = (struct control_catalog_contract){0};
    /* No default is a relative path, so it does not matter where they would begin. */
    const struct control_config_decoder decoder = {arena, &report, "/"};
    struct control_config_part part = {control_catalog_options, out};
    control_config_decode(&decoder, NULL, &part, 1);
    /* The table's own values are right; what is left is a lack of memory. */
    ASSERT(control_report_errors(&report) == 0);
    err_t err = control_report_verdict(&report);
    control_report_done(&report);
    return err;
}

bool control_catalog_contract_decode(const struct control_config_decoder *decoder,
                                     const struct control_config_node *root,
                                     struct control_catalog_contract *out)
{
    ASSERT(root && !root->parent);
    /* Only this file's errors decide whether this contract is there. */
    size_t errors = control_report_errors(decoder->report);
    *out = (struct control_catalog_contract){.root = root, .topic.file = root->file};
    struct control_config_part part = {control_catalog_options, out};
    control_config_decode(decoder, root, &part, 1);
    if (root->kind != CONTROL_CONFIG_MAPPING)
        return false;
    check_name(decoder, root, out->topic.name);
    check_path(decoder, root, "key", out->topic.key);
    check_path(decoder, root, "event_time", out->topic.event_time);
    check_dedup(decoder, root, out->topic.dedup.key);
    refuse_unsupported(decoder, root, out);
    out->topic.examples.node = control_config_node_get(root, "examples");
    /* Kept for messages that come after the tree is gone: partitions are compared with the log's,
     * which is not open yet. */
    const struct control_config_node *place = control_config_node_get(root, "partitions");
    place = place ? place : control_config_node_get(root, "topic");
    out->topic.line = place ? place->line : root->line;
    out->topic.column = place ? place->column : root->column;
    return !decoder->report->memory_failed && control_report_errors(decoder->report) == errors;
}
