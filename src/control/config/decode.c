#include "control/config/decode.h"

#include "base/assert.h"
#include "control/config/value.h"
#include "control/suggest.h"

/*
 * A mapping into a struct, by a table of options. Each option takes its node, or, where there is
 * none, its default by the same way as if it had been written in the file; so a default is checked
 * by every test that loads anything, and prints in the manual as one would write it.
 *
 * Failure: what cannot be decoded is reported at its place and leaves its field zeroed; decoding
 * goes on with the next, and the report has the verdict.
 */

static bool is_text(const struct control_config_node *node)
{
    return node->kind == CONTROL_CONFIG_SCALAR && !control_config_node_is_null(node);
}

static void decode_text(const struct control_config_decoder *d, const struct option *option,
                        const struct control_config_node *node, void *field)
{
    struct err_text why = {0};
    char room[CONTROL_CONFIG_DESCRIBE_SIZE];
    const char *text = is_text(node) ? node->text : NULL;
    err_t err = control_config_value(option, text, d->directory, d->arena, field, &why);
    if (err_is(err, ERR_MEMORY))
        control_report_no_memory(d->report);
    else if (!err_is_ok(err))
        /* What was expected is the table's to say, what was found is the file's; together they are
         * one line. */
        control_config_node_error(node, d->report, "%s, got %s", why.text,
                                  control_config_node_describe(node, room));
}

/* A default that does not parse is a mistake in the table, not in the file. */
static void decode_fallback(const struct control_config_decoder *d, const struct option *option,
                            void *field)
{
    struct err_text why = {0};
    err_t err = control_config_value(option, option->fallback, d->directory, d->arena, field, &why);
    ASSERT(err_is_ok(err) || err_is(err, ERR_MEMORY));
    if (!err_is_ok(err))
        control_report_no_memory(d->report);
}

static const struct option item_option = {.name = "item", .type = OPTION_STRING};

static void decode_strings(const struct control_config_decoder *d, const struct option *option,
                           const struct control_config_node *node, struct option_strings *field)
{
    char room[CONTROL_CONFIG_DESCRIBE_SIZE];
    if (node && node->kind != CONTROL_CONFIG_LIST) {
        control_config_node_error(node, d->report, "expected a list such as [a, b], got %s",
                                  control_config_node_describe(node, room));
        return;
    }
    size_t count = node ? node->count : option->fallback ? 1 : 0;
    const char **items = arena_alloc(d->arena, count * sizeof(*items));
    if (!items) {
        control_report_no_memory(d->report);
        return;
    }
    if (!node && count > 0)
        items[0] = option->fallback;
    for (const struct control_config_node *n = node ? node->first : NULL; n; n = n->next)
        decode_text(d, &item_option, n, &items[n->index]);
    *field = (struct option_strings){items, count};
}

static void decode_table(const struct control_config_decoder *d, const struct option *option,
                         const struct control_config_node *node, void *field)
{
    struct control_config_part part = {option->table, field};
    /* `durability: interval` stands for the first field of the table; the others have their
     * defaults. */
    bool shorthand = node && option->shorthand && is_text(node);
    /* First all by their defaults, then the one that was given over its own. */
    control_config_decode(d, shorthand ? NULL : node, &part, 1);
    if (shorthand)
        decode_text(d, option->table, node, (char *)field + option->table->offset);
}

/* A table without options of its own is somebody else's to decode, and is handed on as a node. */
static void decode_field(const struct control_config_decoder *d, const struct option *option,
                         const struct control_config_node *node, void *field)
{
    if (option->type == OPTION_TABLE && option->table)
        decode_table(d, option, node, field);
    else if (option->type == OPTION_TABLE)
        *(const void **)field = node;
    else if (option->type == OPTION_STRINGS)
        decode_strings(d, option, node, field);
    else if (node)
        decode_text(d, option, node, field);
    else if (option->fallback)
        decode_fallback(d, option, field);
}

static bool is_known(const char *name, const struct control_config_part *parts, size_t part_count,
                     struct control_suggest *suggest)
{
    for (size_t i = 0; i < part_count; i++) {
        for (const struct option *option = parts[i].table; option->name; option++) {
            if (strcmp(option->name, name) == 0)
                return true;
            control_suggest_offer(suggest, option->name);
        }
    }
    return false;
}

static void report_unknown(const struct control_config_decoder *d,
                           const struct control_config_node *mapping,
                           const struct control_config_part *parts, size_t part_count)
{
    char path[CONTROL_CONFIG_PATH_SIZE];
    /* A typo must never be a default in silence: what nobody knows is an error. */
    for (const struct control_config_node *n = mapping->first; n; n = n->next) {
        struct control_suggest suggest = control_suggest_for(slice_string(n->key));
        if (is_known(n->key, parts, part_count, &suggest))
            continue;
        struct control_place place = control_config_node_key_place(n, path);
        if (suggest.best)
            control_report_error(d->report, place, "unknown field '%.60s', did you mean '%s'?",
                                 n->key, suggest.best);
        else
            control_report_error(d->report, place, "unknown field '%.60s'", n->key);
    }
}

static void report_missing(const struct control_config_decoder *d, const struct option *option,
                           const struct control_config_node *mapping)
{
    char path[CONTROL_CONFIG_PATH_SIZE];
    struct buf expected;
    buf_init(&expected, ERR_TEXT_SIZE);
    control_config_expected(option, &expected);
    if (buf_ok(&expected))
        control_report_error(d->report, control_config_node_place(mapping, option->name, path),
                             "expected %.*s, the field is required",
                             SLICE_PRINTF(buf_slice(&expected)));
    else
        control_report_no_memory(d->report);
    buf_done(&expected);
}

void control_config_decode(const struct control_config_decoder *decoder,
                           const struct control_config_node *mapping,
                           const struct control_config_part *parts, size_t part_count)
{
    char room[CONTROL_CONFIG_DESCRIBE_SIZE];
    /* `intake:` with nothing behind it says nothing, and nothing is what the defaults are for. */
    if (mapping && control_config_node_is_null(mapping))
        mapping = NULL;
    if (mapping && mapping->kind != CONTROL_CONFIG_MAPPING) {
        control_config_node_error(mapping, decoder->report, "expected a mapping, got %s",
                                  control_config_node_describe(mapping, room));
        mapping = NULL;
    }
    for (size_t i = 0; i < part_count; i++) {
        for (const struct option *option = parts[i].table; option->name; option++) {
            const struct control_config_node *node = control_config_node_get(mapping, option->name);
            /* With no mapping at all there is a message already, or nothing was asked for. */
            if (!node && option->required && mapping)
                report_missing(decoder, option, mapping);
            decode_field(decoder, option, node, (char *)parts[i].out + option->offset);
        }
    }
    if (mapping)
        report_unknown(decoder, mapping, parts, part_count);
}
