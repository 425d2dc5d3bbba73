#pragma once

/*
 * A YAML file as a tree: every value knows its file, line and column, and by its parents its
 * path. Nodes live in the arena of what was loaded; after interpolation nobody changes them.
 */

#include "base/arena.h"
#include "base/slice.h"
#include "control/report.h"

enum control_config_kind {
    CONTROL_CONFIG_SCALAR,
    CONTROL_CONFIG_LIST,
    CONTROL_CONFIG_MAPPING,
};

struct control_config_node {
    enum control_config_kind kind;
    bool quoted; /* of a scalar: quoted, or interpolated; then it is never null */
    uint32_t line;
    uint32_t column;
    const char *file;
    const struct control_config_node *parent; /* NULL at the root */
    const char *key;                          /* in a mapping; else NULL */
    uint32_t key_line;
    uint32_t key_column;
    uint32_t index;                    /* among its siblings, from 0 */
    uint32_t count;                    /* of children */
    const char *text;                  /* of a scalar, zero-terminated; else NULL */
    struct control_config_node *first; /* child */
    struct control_config_node *last;
    struct control_config_node *next; /* sibling */
};

/* Longest path that a message shows; what is longer is cut. */
#define CONTROL_CONFIG_PATH_SIZE 256
/* Longest description of a value. */
#define CONTROL_CONFIG_DESCRIBE_SIZE 96

/* The value under `key`, or NULL where there is none, or no mapping at all (NULL is none). */
struct control_config_node *control_config_node_get(const struct control_config_node *mapping,
                                                    const char *key);
/* True for a scalar that says nothing: empty, ~ or null without quotes. */
bool control_config_node_is_null(const struct control_config_node *node);
/* What comes after `node` in the text, its own children first; NULL at the end. */
struct control_config_node *control_config_node_after(const struct control_config_node *node);
/* "a list", "a mapping", "nothing" or the quoted text (cut), for "expected ..., got ...". The
 * text is written to `room` where needed. */
const char *control_config_node_describe(const struct control_config_node *node,
                                         char room[static CONTROL_CONFIG_DESCRIBE_SIZE]);
/* The place of `node`; its path, with `field` of it where that is not NULL, is written to `path`.
 * Valid as long as `path` is. */
struct control_place control_config_node_place(const struct control_config_node *node,
                                               const char *field,
                                               char path[static CONTROL_CONFIG_PATH_SIZE]);
/* The same at the name that `node` stands under in a mapping. */
struct control_place control_config_node_key_place(const struct control_config_node *node,
                                                   char path[static CONTROL_CONFIG_PATH_SIZE]);
/* Adds an error (printf format) at `node`. */
void control_config_node_error(const struct control_config_node *node,
                               struct control_report *report, const char *text, ...)
    __attribute__((format(printf, 3, 4)));
/* Adds a note at `node`. */
void control_config_node_note(const struct control_config_node *node, struct control_report *report,
                              const char *text, ...) __attribute__((format(printf, 3, 4)));
