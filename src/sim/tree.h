#pragma once

/*
 * The names of a simulated disk: directories whose entries exist twice, as programs see them (live)
 * and as they are after a power loss (durable), and one journal of the changes between the two.
 * Syncing a directory makes durable the changes that touch it, with those they depend on; a crash
 * keeps some of the others. A rename is one change: it never leaves both names, or neither. Single
 * thread.
 */

#include "base/err.h"
#include "base/slice.h"
#include "io/disk.h"
#include "sim/content.h"

struct sim_node;

struct sim_name {
    char *text;
    struct sim_node *node;
};

struct sim_names {
    struct sim_name *items;
    size_t count;
    size_t capacity;
};

/* A file or a directory; it lives as long as a name, a change or a handle refers to it. */
struct sim_node {
    uint32_t references;
    enum io_kind kind;
    struct sim_content content; /* of a file */
    struct sim_names live;      /* of a directory */
    struct sim_names durable;
    const void *locked_by; /* the handle, NULL for none */
    bool marked;           /* used within one call */
};

/* A name taken away, given, or both at once. */
struct sim_rename {
    struct sim_node *node;
    struct sim_node *from_directory; /* NULL: the node is new */
    char *from;
    struct sim_node *to_directory; /* NULL: the node is removed */
    char *to;
    bool selected; /* used within one call */
};

struct sim_tree {
    struct sim_store store;
    struct sim_node *root;
    struct sim_rename *journal;
    size_t journal_count;
    size_t journal_capacity;
};

/* Where a path leads: `node` is NULL when its last name is missing in `directory`. For the root
 * itself `directory` is NULL. `name` points into the path. */
struct sim_place {
    struct sim_node *directory;
    struct slice name;
    struct sim_node *node;
};

/* An empty root. ERR_MEMORY leaves nothing to free. */
err_t sim_tree_init(struct sim_tree *tree, uint64_t seed);
/* Frees all nodes; nobody refers to one any more. */
void sim_tree_done(struct sim_tree *tree);

struct sim_node *sim_node_ref(struct sim_node *node);
void sim_node_unref(struct sim_tree *tree, struct sim_node *node);

/* Follows `path`; empty names and "." are skipped, relative paths start at the root. ERR_NO_FILE
 * when a directory on the way is missing, ERR_UNSUPPORTED for "..". */
err_t sim_tree_find(struct sim_tree *tree, const char *path, struct sim_place *out);
/* Makes a node at a place that has none; `out->node` is set. */
err_t sim_tree_make(struct sim_tree *tree, struct sim_place *out, enum io_kind kind);
/* Removes a file or an empty directory (ERR_IN_USE when it is not empty). */
err_t sim_tree_remove(struct sim_tree *tree, const struct sim_place *place);
/* Moves what is at `from` to `to`, replacing a file or an empty directory there. ERR_INVALID when
 * the two are not of a kind, or `to` lies within `from`. */
err_t sim_tree_rename(struct sim_tree *tree, const struct sim_place *from,
                      const struct sim_place *to);
/* Makes the changes that touch `directory` durable. */
err_t sim_tree_sync(struct sim_tree *tree, struct sim_node *directory);
/* Makes all names and the content of every file durable. */
err_t sim_tree_sync_all(struct sim_tree *tree);
/* The same, failed: the names are durable or as before, and each file is durable, or as before, or
 * as after a failed sync of its own. */
void sim_tree_sync_all_failed(struct sim_tree *tree);
/* The same, ended by a power loss: it came to the names or not, and to all, some, or none of the
 * files. */
void sim_tree_sync_all_cut(struct sim_tree *tree);
/* Power loss, for the names and for the content of every file that is left. By chance the journal
 * survives up to some point, or each change by itself, as far as the earlier ones of the same node
 * and those that made its name free have survived. */
void sim_tree_crash(struct sim_tree *tree);
