#include "control/catalog/examples.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"
#include "control/config/glob.h"
#include "control/config/node.h"
#include "control/config/value.h"

/*
 * Patterns begin at the contract's directory, like its schema. Each must match: a name with a slip
 * in it would else be a test that never fails. So a file that is not there and a pattern that
 * matches nothing are the same mistake.
 */

static const char *const names[CONTROL_CATALOG_EXAMPLE_KINDS] = {"valid", "invalid"};

struct search {
    struct io_disk *disk;
    struct arena *arena;
    struct control_report *report;
    const char *directory; /* of the contract */
};

const char *control_catalog_example_name(enum control_catalog_example kind)
{
    ASSERT(kind < CONTROL_CATALOG_EXAMPLE_KINDS);
    return names[kind];
}

/* The files that one pattern matches, which are none for an empty one. */
static err_t match(const struct search *s, const char *pattern, struct option_strings *found,
                   struct err_text *why)
{
    if (!pattern[0])
        return err_ok();
    const char *path = control_config_path(s->arena, s->directory, pattern);
    return path ? control_config_glob(s->disk, path, s->arena, found, why) : err_make(ERR_MEMORY);
}

static bool add(const struct search *s, const struct control_config_node *node,
                struct option_strings *files)
{
    struct option_strings found = {0};
    struct err_text why = {0};
    err_t err = match(s, node->text, &found, &why);
    if (err_is_ok(err) && found.count == 0)
        err = err_set(&why, ERR_NO_FILE, "expected a pattern that matches a file, got '%.60s'",
                      node->text);
    else if (!err_is_ok(err))
        err_prefix(&why, "expected files that can be read");
    /* Copied for each pattern: an arena takes nothing back, and patterns are few. */
    const char **all = arena_alloc(s->arena, (files->count + found.count) * sizeof(*all));
    if (err_is(err, ERR_MEMORY) || !all) {
        control_report_no_memory(s->report);
        return false;
    }
    if (!err_is_ok(err)) {
        control_config_node_error(node, s->report, "%s", err_detail(err, &why));
        return false;
    }
    if (files->count > 0)
        memcpy(all, files->items, files->count * sizeof(*all));
    if (found.count > 0)
        memcpy(all + files->count, found.items, found.count * sizeof(*all));
    *files = (struct option_strings){all, files->count + found.count};
    return true;
}

bool control_catalog_examples_find(struct io_disk *disk, const struct control_catalog_topic *topic,
                                   struct arena *arena, struct control_report *report,
                                   struct control_catalog_example_files *out)
{
    ASSERT(topic->file);
    const struct search search = {disk, arena, report,
                                  control_config_directory(arena, topic->file)};
    if (!search.directory) {
        control_report_no_memory(report);
        return false;
    }
    bool right = true;
    /* Apart from `out` until all is known: half of the examples would pass for all of them. */
    struct control_catalog_example_files files = {0};
    for (int kind = 0; kind < CONTROL_CATALOG_EXAMPLE_KINDS; kind++) {
        const struct control_config_node *list =
            control_config_node_get(topic->examples.node, names[kind]);
        /* All of them, so that one look shows all that is wrong. */
        for (const struct control_config_node *n = list ? list->first : NULL; n; n = n->next)
            right = add(&search, n, &files.of[kind]) && right;
    }
    if (right)
        *out = files;
    return right;
}

void control_catalog_examples_error(const struct control_catalog_topic *topic,
                                    enum control_catalog_example kind,
                                    struct control_report *report, const char *text, ...)
{
    const struct control_config_node *list =
        control_config_node_get(topic->examples.node, control_catalog_example_name(kind));
    struct err_text message;
    va_list args;
    va_start(args, text);
    vsnprintf(message.text, sizeof(message.text), text, args);
    va_end(args);
    /* A contract without the list has no better place than the topic itself. */
    const struct control_place place = {topic->file, topic->line, topic->column, "examples"};
    if (list)
        control_config_node_error(list, report, "%s", message.text);
    else
        control_report_error(report, place, "%s", message.text);
}
