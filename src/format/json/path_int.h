#pragma once

/*
 * Following paths while the scanner walks: what it tells at each key, value and bracket, and
 * what is kept of that. A compiled schema would be told the same, at the same places.
 *
 * Compiled paths are a tree of keys, the root being the text's value. The watch stands at the
 * node whose container is open at depth `depth`; deeper containers match nothing until that one
 * is left, so they cost one comparison a key. A node knows its parent, thus there is no stack.
 */

#include "base/assert.h"
#include "format/json/json.h"
#include "format/json/string_int.h"

#define FORMAT_JSON_NO_NODE UINT16_MAX

struct format_json_node {
    struct slice key; /* unescaped */
    uint64_t sizes;   /* bit min(size, 63) for the size of each child's key */
    uint16_t ends;    /* bit i: path i ends here */
    uint16_t below;   /* bit i: path i ends here or further down */
    uint16_t parent;  /* indexes in `nodes`, or FORMAT_JSON_NO_NODE */
    uint16_t child;   /* the first one */
    uint16_t sibling; /* the next one with the same parent */
};

struct format_json_paths {
    const struct format_json_node *nodes; /* the root first */
    size_t count;                         /* of paths */
};

/* The node of the text's own value, before any key is added. */
static inline struct format_json_node format_json_node_root(void)
{
    return (struct format_json_node){.parent = FORMAT_JSON_NO_NODE,
                                     .child = FORMAT_JSON_NO_NODE,
                                     .sibling = FORMAT_JSON_NO_NODE};
}

struct format_json_watch {
    const struct format_json_paths *paths;
    struct format_json_value *found;
    const struct format_json_node *node;   /* whose container is open, NULL outside */
    const struct format_json_node *wanted; /* whose value comes next, NULL for no interest */
    uint32_t depth;                        /* of the node's container; 0 outside */
    uint16_t seen;                         /* bit i: found[i] is set */
};

/* Adds `key` (living as long as the tree) under `nodes[parent]`; returns its index, which is that
 * of an equal key where there is one. `*count` nodes are there, and room for one more. */
uint16_t format_json_node_add(struct format_json_node *nodes, size_t *count, uint16_t parent,
                              struct slice key);
/* Lets path `index` (below FORMAT_JSON_PATHS_MAX) end at `nodes[end]`. */
void format_json_node_end(struct format_json_node *nodes, uint16_t end, size_t index);

/* Sets `value` for each path whose bit is in `paths`. Out of line: most values are not looked
 * for. */
void format_json_watch_set(struct format_json_watch *w, uint16_t paths,
                           struct format_json_value value);
/* The child of the open node for a key: `raw` is its inside, `plain` tells that it holds neither
 * escapes nor bytes over 0x7F. What an earlier, equal key led to is forgotten. */
const struct format_json_node *format_json_watch_match(struct format_json_watch *w,
                                                       struct slice raw, bool plain);

/* Before the first byte. `paths` and `found` may be NULL. */
static inline void format_json_watch_init(struct format_json_watch *w,
                                          const struct format_json_paths *paths,
                                          struct format_json_value *found)
{
    ASSERT(!paths == !found);
    *w = (struct format_json_watch){.paths = paths, .found = found};
    if (!paths)
        return;
    w->wanted = &paths->nodes[0];
    for (size_t i = 0; i < paths->count; i++)
        found[i] = (struct format_json_value){.kind = FORMAT_JSON_MISSING};
}

/* At a key's closing quote, in an object at `depth`. */
static inline void format_json_watch_key(struct format_json_watch *w, uint32_t depth,
                                         struct slice raw, bool plain)
{
    if (depth != w->depth)
        return;
    uint64_t bit = UINT64_C(1) << (raw.size < 63 ? raw.size : 63);
    if ((w->node->sizes & bit) || !plain)
        w->wanted = format_json_watch_match(w, raw, plain);
}

/* Behind a string, number or literal. */
static inline void format_json_watch_scalar(struct format_json_watch *w, enum format_json_kind kind,
                                            const uint8_t *start, const uint8_t *end)
{
    if (!w->wanted)
        return;
    struct slice raw = slice_make(start, (size_t)(end - start));
    format_json_watch_set(w, w->wanted->ends, (struct format_json_value){raw, kind});
    w->wanted = NULL;
}

/* At the opening bracket of a container that will be at `depth` (1 for the outermost). */
static inline void format_json_watch_open(struct format_json_watch *w, enum format_json_kind kind,
                                          uint32_t depth, const uint8_t *start)
{
    if (!w->wanted)
        return;
    ASSERT(depth == w->depth + 1);
    w->node = w->wanted;
    w->depth = depth;
    w->wanted = NULL;
    format_json_watch_set(w, w->node->ends, (struct format_json_value){slice_make(start, 0), kind});
}

/* Behind the closing bracket of the container at `depth`. */
static inline void format_json_watch_close(struct format_json_watch *w, uint32_t depth,
                                           const uint8_t *end)
{
    if (depth != w->depth)
        return;
    const struct format_json_node *node = w->node;
    for (unsigned left = node->ends; left != 0; left &= left - 1) {
        struct format_json_value *value = &w->found[__builtin_ctz(left)];
        value->raw.size = (size_t)(end - value->raw.data);
    }
    w->depth--;
    w->node = w->depth > 0 ? &w->paths->nodes[node->parent] : NULL;
}
