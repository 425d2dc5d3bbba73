#include "control/config/sinks.h"

#include "base/assert.h"
#include "control/suggest.h"

/*
 * The sinks of the configuration. Each is decoded in one go by two tables over one mapping, what
 * all sinks have and what its type has; of a sink whose type is unknown only the common part is
 * looked at, since nothing can be said of the rest.
 *
 * What one sink alone cannot know is asked in pairs of one type: two file sinks on one directory
 * would publish over each other's files, and neither would notice.
 */

/* What every sink has, besides its type's own. */
struct common {
    const char *type;
    struct option_strings topics;
};

const struct option control_config_sink_options[] = {
    {.name = "type",
     .type = OPTION_STRING,
     .offset = offsetof(struct common, type),
     .required = true,
     .help = "What kind of sink this is."},
    {.name = "topics",
     .type = OPTION_STRINGS,
     .offset = offsetof(struct common, topics),
     .required = true,
     .help = "The topics it delivers, by name. The dead-letter topic of `t` is `t.dlq`."},
    {0},
};

/* The name becomes a metric's label, a column of the ledger and a key in the log. */
static bool name_valid(const char *name)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t size = strlen(name);
    return size > 0 && size <= CONTROL_CONFIG_SINK_NAME_MAX && strspn(name, allowed) == size;
}

/* The type that `node`, a sink, names. NULL where there is none of that name, which is reported,
 * and where there is no name, which the decoder will report. */
static const struct control_sink_type *type_of(const struct control_config_decoder *d,
                                               const struct control_config_node *node,
                                               const struct control_sink_type *types)
{
    const struct control_config_node *type = control_config_node_get(node, "type");
    if (!type || type->kind != CONTROL_CONFIG_SCALAR || control_config_node_is_null(type))
        return NULL;
    struct control_suggest suggest = control_suggest_for(slice_string(type->text));
    for (const struct control_sink_type *t = types; t->name; t++) {
        if (strcmp(t->name, type->text) == 0)
            return t;
        control_suggest_offer(&suggest, t->name);
    }
    if (suggest.best)
        control_config_node_error(type, d->report,
                                  "expected a type of sink, got '%.60s', did you mean '%s'?",
                                  type->text, suggest.best);
    else
        control_config_node_error(type, d->report, "expected a type of sink, got '%.60s'",
                                  type->text);
    return NULL;
}

static void check_topics(const struct control_config_decoder *d,
                         const struct control_config_node *node)
{
    const struct control_config_node *list = control_config_node_get(node, "topics");
    if (!list || list->kind != CONTROL_CONFIG_LIST)
        return;
    if (list->count == 0)
        control_config_node_error(list, d->report, "expected at least one topic");
    for (const struct control_config_node *n = list->first; n; n = n->next)
        /* By comparing all pairs: the lists are as long as people write them. */
        for (const struct control_config_node *o = list->first; o != n; o = o->next)
            if (n->text && o->text && strcmp(n->text, o->text) == 0)
                control_config_node_error(n, d->report,
                                          "expected each topic once, '%.60s' is twice", n->text);
}

/* Decodes `node` into `sink`, which stays zeroed where anything is wrong. */
static void decode_sink(const struct control_config_decoder *d,
                        const struct control_config_node *node,
                        const struct control_sink_type *types, struct control_config_sink *sink)
{
    size_t errors = control_report_errors(d->report);
    char path[CONTROL_CONFIG_PATH_SIZE];
    if (!name_valid(node->key))
        control_report_error(d->report, control_config_node_key_place(node, path),
                             "expected a name of 1 to %u characters of [a-zA-Z0-9._-]",
                             CONTROL_CONFIG_SINK_NAME_MAX);
    char room[CONTROL_CONFIG_DESCRIBE_SIZE];
    if (node->kind != CONTROL_CONFIG_MAPPING)
        control_config_node_error(node, d->report, "expected a mapping, got %s",
                                  control_config_node_describe(node, room));
    const struct control_sink_type *type = type_of(d, node, types);
    if (control_report_errors(d->report) > errors)
        return;
    struct common common = {0};
    static const struct option no_options[] = {{0}};
    /* Zeroed by the arena: an option that is neither given nor has a default is 0 or NULL. */
    void *options = arena_alloc(d->arena, type ? type->options_size : 1);
    if (!options) {
        control_report_no_memory(d->report);
        return;
    }
    struct control_config_part parts[] = {{control_config_sink_options, &common},
                                          {type ? type->options : no_options, options}};
    control_config_decode(d, node, parts, 2);
    check_topics(d, node);
    if (d->report->memory_failed || control_report_errors(d->report) > errors)
        return;
    ASSERT(type);
    struct err_text why = {0};
    err_t err = type->check ? type->check(options, &why) : err_ok();
    if (err_is(err, ERR_MEMORY))
        control_report_no_memory(d->report);
    else if (!err_is_ok(err))
        control_config_node_error(node, d->report, "%s", err_detail(err, &why));
    else
        *sink = (struct control_config_sink){node->key, type, options, common.topics, node};
}

/* Two sinks of one type that would be in each other's way. */
static void check_pairs(const struct control_config_decoder *d,
                        const struct control_config_sink *sinks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < i; j++) {
            const struct control_sink_type *type = sinks[i].type;
            /* One that was refused has no type here, and is not compared. */
            if (!type || type != sinks[j].type || !type->check_pair)
                continue;
            struct err_text why = {0};
            err_t err = type->check_pair(sinks[i].options, sinks[j].options, &why);
            if (err_is(err, ERR_MEMORY))
                control_report_no_memory(d->report);
            else if (!err_is_ok(err))
                control_config_node_error(sinks[i].node, d->report, "%s (the other is sink '%s')",
                                          err_detail(err, &why), sinks[j].name);
        }
    }
}

void control_config_sinks(const struct control_config_decoder *decoder,
                          const struct control_sink_type *types, struct control_config *config)
{
    ASSERT(types && !config->sinks);
    const struct control_config_node *mapping = config->sinks_node;
    if (!mapping || control_config_node_is_null(mapping))
        return;
    char room[CONTROL_CONFIG_DESCRIBE_SIZE];
    if (mapping->kind != CONTROL_CONFIG_MAPPING) {
        control_config_node_error(mapping, decoder->report,
                                  "expected a mapping from names to sinks, got %s",
                                  control_config_node_describe(mapping, room));
        return;
    }
    struct control_config_sink *sinks =
        arena_alloc(decoder->arena, mapping->count * sizeof(*sinks));
    if (!sinks) {
        control_report_no_memory(decoder->report);
        return;
    }
    for (const struct control_config_node *n = mapping->first; n; n = n->next)
        decode_sink(decoder, n, types, &sinks[n->index]);
    check_pairs(decoder, sinks, mapping->count);
    config->sinks = sinks;
    config->sink_count = mapping->count;
}
