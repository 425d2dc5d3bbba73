#include "control/catalog/catalog.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "control/catalog/contract.h"
#include "control/catalog/schema.h"
#include "control/catalog/versions.h"
#include "control/config/read.h"
#include "control/config/value.h"
#include "control/suggest.h"
#include "flow/commit.h"
#include "format/jsonschema/jsonschema.h"

/*
 * Every contract is decoded on its own, then they are sorted by name, which brings two for one
 * topic together, and then what needs all of them is checked. Where any contract is wrong, the
 * last is left out: an unknown topic may be the one in the broken file.
 */
struct loader {
    const struct control_config_host *host;
    const struct control_config *config;
    struct control_report *report;
    struct control_catalog *catalog;
    struct control_catalog_contract *contracts;
    size_t count;
};

/* A file that cannot be decoded adds no contract; what is wrong with it is in the report. */
static void load_file(struct loader *l, const char *path)
{
    struct arena *arena = &l->catalog->arena;
    const char *directory = control_config_directory(arena, path);
    const char *absolute =
        directory ? control_config_path(arena, l->host->directory, directory) : NULL;
    if (!absolute) {
        control_report_no_memory(l->report);
        return;
    }
    const struct control_config_node *root =
        control_config_read(l->host, path, directory, arena, l->report);
    const struct control_config_decoder decoder = {arena, l->report, absolute};
    struct control_catalog_contract *contract = &l->contracts[l->count];
    if (!root || !control_catalog_contract_decode(&decoder, root, contract))
        return;
    struct format_jsonschema **schema = &l->catalog->schemas[l->catalog->schema_count];
    if (!control_catalog_schema_load(l->host->disk, arena, contract, l->report, schema))
        return;
    l->catalog->schema_count += *schema != NULL;
    l->count++;
}

/* Of two contracts for one topic the one in the file whose name comes first counts as the earlier
 * one, on every machine. */
static int by_name(const void *a, const void *b)
{
    const struct control_catalog_contract *x = a;
    const struct control_catalog_contract *y = b;
    int order = strcmp(x->topic.name, y->topic.name);
    return order != 0 ? order : strcmp(x->topic.file, y->topic.file);
}

static void check_together(const struct loader *l)
{
    uint64_t partitions = 0;
    for (size_t i = 0; i < l->count; i++) {
        const struct control_catalog_contract *c = &l->contracts[i];
        const struct control_catalog_contract *before = i > 0 ? c - 1 : NULL;
        if (before && strcmp(before->topic.name, c->topic.name) == 0) {
            const struct control_config_node *there =
                control_config_node_get(before->root, "topic");
            control_config_node_error(control_config_node_get(c->root, "topic"), l->report,
                                      "expected one contract for a topic, '%.60s' has another in "
                                      "%s:%u:%u",
                                      c->topic.name, there->file, there->line, there->column);
        }
        /* Said once, at the contract that passes the limit. */
        bool fitted = partitions <= FLOW_PARTITIONS_MAX;
        partitions += c->topic.partitions;
        if (fitted && partitions > FLOW_PARTITIONS_MAX)
            control_config_node_error(c->root, l->report,
                                      "expected at most %u partitions in all topics together",
                                      FLOW_PARTITIONS_MAX);
    }
}

static void publish(struct loader *l)
{
    struct control_catalog_topic *topics =
        arena_alloc(&l->catalog->arena, l->count * sizeof(*topics));
    l->catalog->since_ms = arena_alloc(&l->catalog->arena, l->count * sizeof(int64_t));
    if (!topics || !l->catalog->since_ms) {
        control_report_no_memory(l->report);
        return;
    }
    for (size_t i = 0; i < l->count; i++)
        topics[i] = l->contracts[i].topic;
    l->catalog->topics = topics;
    l->catalog->topic_count = l->count;
}

/* A sink may deliver a topic's dead letters too, by the name that their topic will have. */
static bool is_declared(const struct control_catalog *catalog, struct slice name)
{
    struct slice dlq = SLICE_LITERAL(".dlq");
    if (slice_ends_with(name, dlq))
        name.size -= dlq.size;
    return control_catalog_find(catalog, name) != NULL;
}

static void check_sink(const struct loader *l, const struct control_config_sink *sink)
{
    /* There, and a list: a sink without is an error of the configuration, and then nothing is
     * loaded here. */
    const struct control_config_node *list = control_config_node_get(sink->node, "topics");
    for (const struct control_config_node *n = list->first; n; n = n->next) {
        if (is_declared(l->catalog, slice_string(n->text)))
            continue;
        struct control_suggest suggest = control_suggest_for(slice_string(n->text));
        for (size_t i = 0; i < l->catalog->topic_count; i++)
            control_suggest_offer(&suggest, l->catalog->topics[i].name);
        if (suggest.best)
            control_config_node_error(
                n, l->report, "expected a topic with a contract, got '%.60s', did you mean '%s'?",
                n->text, suggest.best);
        else
            control_config_node_error(n, l->report, "expected a topic with a contract, got '%.60s'",
                                      n->text);
    }
}

static void load(struct loader *l)
{
    const struct option_strings *files = &l->config->contract_files;
    /* Room for all, so that a contract never moves: messages refer to its nodes. */
    l->contracts = arena_alloc(&l->catalog->arena, files->count * sizeof(*l->contracts));
    l->catalog->schemas = arena_alloc(&l->catalog->arena, files->count * sizeof(void *));
    if (!l->contracts || !l->catalog->schemas) {
        control_report_no_memory(l->report);
        return;
    }
    for (size_t i = 0; i < files->count && !l->report->memory_failed; i++)
        load_file(l, files->items[i]);
    if (l->count > 1)
        qsort(l->contracts, l->count, sizeof(*l->contracts), by_name);
    check_together(l);
    /* Sinks' topics are compared with a list that is whole, or every topic of a broken file would
     * be called unknown too. */
    if (!err_is_ok(control_report_verdict(l->report)))
        return;
    publish(l);
    for (size_t i = 0; i < l->config->sink_count && !l->report->memory_failed; i++)
        check_sink(l, &l->config->sinks[i]);
}

err_t control_catalog_load(const struct control_config_host *host,
                           const struct control_config *config, struct control_catalog **out,
                           struct control_report *report)
{
    /* The configuration came first and was good: what the report holds at the end is the contracts'
     * own. */
    ASSERT(config && control_report_errors(report) == 0);
    struct control_catalog *catalog = mem_zalloc(1, sizeof(*catalog));
    if (!catalog)
        return err_make(ERR_MEMORY);
    arena_init(&catalog->arena, 0);
    struct loader loader = {.host = host, .config = config, .report = report, .catalog = catalog};
    load(&loader);
    err_t err = control_report_verdict(report);
    if (!err_is_ok(err)) {
        control_catalog_free(&catalog);
        return err;
    }
    *out = catalog;
    return err_ok();
}

void control_catalog_free(struct control_catalog **catalog)
{
    if (!*catalog)
        return;
    for (size_t i = 0; i < (*catalog)->schema_count; i++)
        format_jsonschema_free(&(*catalog)->schemas[i]);
    control_catalog_versions_free(&(*catalog)->versions);
    struct arena arena = (*catalog)->arena;
    arena_done(&arena);
    mem_free(*catalog);
    *catalog = NULL;
}

const struct control_catalog_topic *control_catalog_find(const struct control_catalog *catalog,
                                                         struct slice name)
{
    size_t low = 0;
    size_t high = catalog->topic_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct control_catalog_topic *topic = &catalog->topics[middle];
        int order = slice_compare(name, slice_string(topic->name));
        if (order == 0)
            return topic;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}
