#pragma once

/*
 * A JSON text as a tree, for the slow path: schemas are compiled from one, records are checked
 * against one. Nodes live in an arena and view the text, which therefore has to outlive them.
 * Once read a tree is only read, except for `mark`.
 */

#include "base/arena.h"
#include "base/buf.h"
#include "format/json/json.h"
#include "format/jsonschema/budget_int.h"

/* The most values that a text may have: bounds the memory of its tree to some 28 MiB. */
#define FORMAT_JSONSCHEMA_VALUES_MAX (1U << 18)

struct format_jsonschema_node {
    enum format_json_kind kind;
    uint32_t index;    /* among its parent's children, as they are written */
    size_t count;      /* of children */
    struct slice key;  /* of a member, unescaped */
    struct slice text; /* a string unescaped, a number as written */
    struct format_jsonschema_node *parent;
    struct format_jsonschema_node *first; /* child, as written; `next` leads on */
    struct format_jsonschema_node *next;
    struct format_jsonschema_node **children; /* an object's by key, an array's as written */
    void *mark;                               /* whatever the owner of the tree hangs there */
};

/* What reading a tree found wrong beyond the grammar of JSON. */
struct format_jsonschema_tree_error {
    struct format_json_error json; /* with ERR_SYNTAX and ERR_TOO_DEEP from the grammar */
    const struct format_jsonschema_node *node; /* with ERR_EXISTS: the second of two equal keys */
};

/*
 * Reads all of `text`, which lives as long as `arena`. ERR_SYNTAX, ERR_TOO_DEEP (over
 * FORMAT_JSON_DEPTH_MAX); ERR_EXISTS for two equal keys in an object; ERR_TOO_LARGE for more than
 * FORMAT_JSONSCHEMA_VALUES_MAX values or a number whose exponent has too many digits; ERR_MEMORY.
 * Spends a step a value, and what sorting keys takes.
 */
err_t format_jsonschema_tree_read(struct slice text, struct arena *arena,
                                  struct format_jsonschema_budget *budget,
                                  struct format_jsonschema_node **out,
                                  struct format_jsonschema_tree_error *why);
/* The member called `key`, NULL where there is none or `object` is no object. */
struct format_jsonschema_node *
format_jsonschema_tree_get(const struct format_jsonschema_node *object, struct slice key);
/* The same for a key from our own code. */
struct format_jsonschema_node *
format_jsonschema_tree_find(const struct format_jsonschema_node *object, const char *key);
/* Orders all values: equal are those that JSON Schema calls equal (core, section 4.2.2), numbers
 * by their value and objects whatever the order of their members. Meaningless once the budget is
 * spent. */
int format_jsonschema_tree_compare(const struct format_jsonschema_node *a,
                                   const struct format_jsonschema_node *b,
                                   struct format_jsonschema_budget *budget);

typedef int (*format_jsonschema_order)(const struct format_jsonschema_node *a,
                                       const struct format_jsonschema_node *b,
                                       struct format_jsonschema_budget *budget);
/* Sorts `items`, with room for as many in `spare`; equal ones keep their order. Ends early, with
 * the items in any order, once the budget is spent. */
void format_jsonschema_tree_sort(struct format_jsonschema_node **items,
                                 struct format_jsonschema_node **spare, size_t count,
                                 format_jsonschema_order order,
                                 struct format_jsonschema_budget *budget);

/* Appends `s` with everything that could end or hide a line (C0, DEL, C1, U+2028, U+2029) as \u
 * escapes. */
void format_jsonschema_add_visible(struct buf *out, struct slice s);
/* The front of `s`, which is UTF-8, at most `size_max` bytes, cut between code points. */
struct slice format_jsonschema_clip(struct slice s, size_t size_max);
/* Appends where `node` is, as a JSON Pointer (RFC 6901) in one line. At most some `size_max`
 * bytes: of a longer one the middle is left out. */
void format_jsonschema_add_pointer(struct buf *out, const struct format_jsonschema_node *node,
                                   size_t size_max);
/* "an object", "a string", ...: for messages. */
const char *format_jsonschema_kind_name(enum format_json_kind kind);
