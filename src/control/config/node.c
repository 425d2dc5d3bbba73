#include "control/config/node.h"

#include <stdarg.h>

#include "base/assert.h"

/*
 * The tree of a YAML file: what the reader makes, what interpolation changes in place, what
 * decoding reads. Each node knows where it stands, so that every message can name file, line,
 * column and path. Nodes live in the configuration's arena and go with it.
 */

struct control_config_node *control_config_node_get(const struct control_config_node *mapping,
                                                    const char *key)
{
    ASSERT(key);
    if (!mapping || mapping->kind != CONTROL_CONFIG_MAPPING)
        return NULL;
    /* In the order of the file. A key that stands there twice has been reported; the first one
     * counts. */
    for (struct control_config_node *child = mapping->first; child; child = child->next)
        if (strcmp(child->key, key) == 0)
            return child;
    return NULL;
}

/* YAML's core schema, 10.2.1.1; quotes make text of it. `field:` with nothing behind it is how
 * people comment out a mapping's content, and means the default. */
bool control_config_node_is_null(const struct control_config_node *node)
{
    if (node->kind != CONTROL_CONFIG_SCALAR || node->quoted)
        return false;
    return node->text[0] == '\0' || strcmp(node->text, "~") == 0 || strcmp(node->text, "null") == 0;
}

/* Depth first, without a stack: a node knows its parent. */
struct control_config_node *control_config_node_after(const struct control_config_node *node)
{
    if (node->first)
        return node->first;
    while (node && !node->next)
        node = node->parent;
    return node ? node->next : NULL;
}

const char *control_config_node_describe(const struct control_config_node *node,
                                         char room[static CONTROL_CONFIG_DESCRIBE_SIZE])
{
    switch (node->kind) {
    case CONTROL_CONFIG_LIST: return "a list";
    case CONTROL_CONFIG_MAPPING: return "a mapping";
    case CONTROL_CONFIG_SCALAR: break;
    }
    if (control_config_node_is_null(node))
        return "nothing";
    /* A value may be a secret that was pasted in the wrong place; little of it belongs into a
     * log. */
    const char *cut = strlen(node->text) > 60 ? "..." : "";
    snprintf(room, CONTROL_CONFIG_DESCRIBE_SIZE, "'%.60s%s'", node->text, cut);
    return room;
}

/* Root first: the names are written from the end of `path` to its front, since parents are only
 * reached from below. */
static const char *path_of(const struct control_config_node *node, const char *field,
                           char path[static CONTROL_CONFIG_PATH_SIZE])
{
    char *front = path + CONTROL_CONFIG_PATH_SIZE - 1;
    *front = '\0';
    for (; field || node->parent; field = NULL) {
        char part[CONTROL_CONFIG_PATH_SIZE];
        if (field)
            snprintf(part, sizeof(part), ".%s", field);
        else if (node->key)
            snprintf(part, sizeof(part), ".%s", node->key);
        else
            snprintf(part, sizeof(part), "[%u]", node->index);
        size_t size = strlen(part);
        /* No room: the end of the path says more than its front. */
        if (size > (size_t)(front - path))
            break;
        front -= size;
        memcpy(front, part, size);
        if (!field)
            node = node->parent;
    }
    ASSERT(front >= path);
    if (*front == '.')
        front++;
    return *front ? front : "(root)";
}

struct control_place control_config_node_place(const struct control_config_node *node,
                                               const char *field,
                                               char path[static CONTROL_CONFIG_PATH_SIZE])
{
    ASSERT(node->line > 0 && node->column > 0);
    return (struct control_place){node->file, node->line, node->column, path_of(node, field, path)};
}

struct control_place control_config_node_key_place(const struct control_config_node *node,
                                                   char path[static CONTROL_CONFIG_PATH_SIZE])
{
    ASSERT(node->key && node->key_line > 0 && node->key_column > 0);
    return (struct control_place){node->file, node->key_line, node->key_column,
                                  path_of(node, NULL, path)};
}

void control_config_node_error(const struct control_config_node *node,
                               struct control_report *report, const char *text, ...)
{
    char line[ERR_TEXT_SIZE];
    char path[CONTROL_CONFIG_PATH_SIZE];
    va_list arguments;
    va_start(arguments, text);
    vsnprintf(line, sizeof(line), text, arguments);
    va_end(arguments);
    control_report_error(report, control_config_node_place(node, NULL, path), "%s", line);
}

void control_config_node_note(const struct control_config_node *node, struct control_report *report,
                              const char *text, ...)
{
    char line[ERR_TEXT_SIZE];
    char path[CONTROL_CONFIG_PATH_SIZE];
    va_list arguments;
    va_start(arguments, text);
    vsnprintf(line, sizeof(line), text, arguments);
    va_end(arguments);
    control_report_note(report, control_config_node_place(node, NULL, path), "%s", line);
}
