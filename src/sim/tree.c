/*
 * Every change of a name is made in the live entries and written to the journal. A sync selects
 * the journal's entries that touch the directory, and (walking backwards) those that touch a
 * directory of one already selected, since they have to be durable before it; it applies them to
 * the durable entries in order. A crash applies those that survive and makes live what is durable,
 * from the root down; what is no longer reachable is freed, unless a handle still holds it.
 *
 * What goes wrong: a file whose bytes were synced but whose name was not is gone, with all its
 * bytes; so is everything below a directory whose own name was not synced. Both are what POSIX
 * allows, and both have happened.
 */

#include "sim/tree.h"

#include "base/alloc.h"
#include "base/assert.h"

static struct sim_node *node_new(enum io_kind kind)
{
    ASSERT(kind == IO_KIND_FILE || kind == IO_KIND_DIRECTORY);
    struct sim_node *node = mem_zalloc(1, sizeof(*node));
    if (!node)
        return NULL;
    /* The maker's own, given back once a name holds the node. */
    node->references = 1;
    node->kind = kind;
    return node;
}

struct sim_node *sim_node_ref(struct sim_node *node)
{
    ASSERT(!node || node->references > 0);
    if (node)
        node->references++;
    return node;
}

static struct sim_name *find(const struct sim_names *names, struct slice text)
{
    ASSERT(names->count <= names->capacity);
    for (size_t i = 0; i < names->count; i++)
        if (slice_equal_string(text, names->items[i].text))
            return &names->items[i];
    return NULL;
}

static void names_remove(struct sim_tree *tree, struct sim_names *names, struct sim_name *name)
{
    ASSERT(name >= names->items && name < names->items + names->count);
    struct sim_name gone = *name;
    /* The order of names is nobody's business; that of a real directory is none either. */
    *name = names->items[--names->count];
    mem_free(gone.text);
    sim_node_unref(tree, gone.node);
}

static void names_done(struct sim_tree *tree, struct sim_names *names)
{
    while (names->count > 0)
        names_remove(tree, names, &names->items[names->count - 1]);
    ASSERT(names->count == 0);
    mem_free(names->items);
    *names = (struct sim_names){0};
}

void sim_node_unref(struct sim_tree *tree, struct sim_node *node)
{
    if (!node)
        return;
    ASSERT(node->references > 0);
    /* A file without a name lives as long as somebody has it open, as everywhere. */
    if (--node->references > 0)
        return;
    names_done(tree, &node->live);
    names_done(tree, &node->durable);
    sim_content_done(&node->content, &tree->store);
    mem_free(node);
}

static bool names_reserve(struct sim_names *names)
{
    ASSERT(names->count <= names->capacity);
    if (names->count < names->capacity)
        return true;
    size_t capacity = names->capacity ? 2 * names->capacity : 8;
    struct sim_name *items = mem_realloc(names->items, capacity, sizeof(*items));
    if (!items)
        return false;
    names->items = items;
    names->capacity = capacity;
    return true;
}

/* Gives `node` a name, taking it from another node where it is in use. */
static bool names_put(struct sim_tree *tree, struct sim_names *names, struct slice text,
                      struct sim_node *node)
{
    struct sim_name *name = find(names, text);
    if (!name) {
        char *copy = names_reserve(names) ? mem_string(text.data, text.size) : NULL;
        if (!copy)
            return false;
        name = &names->items[names->count++];
        *name = (struct sim_name){.text = copy};
    }
    ASSERT(name->node != node);
    /* The new one first: the two may be kept alive by one another. */
    struct sim_node *replaced = name->node;
    name->node = sim_node_ref(node);
    sim_node_unref(tree, replaced);
    return true;
}

static void rename_done(struct sim_tree *tree, struct sim_rename *change)
{
    ASSERT(change->from_directory || change->to_directory);
    mem_free(change->from);
    mem_free(change->to);
    sim_node_unref(tree, change->from_directory);
    sim_node_unref(tree, change->to_directory);
    sim_node_unref(tree, change->node);
}

static char *copy_name(const struct sim_place *place)
{
    ASSERT(!place || place->name.size > 0);
    return place ? mem_string(place->name.data, place->name.size) : NULL;
}

/* Notes a change of `node` from one place to another, either of which may be NULL. */
static err_t journal_add(struct sim_tree *tree, struct sim_node *node, const struct sim_place *from,
                         const struct sim_place *to)
{
    ASSERT(node && (from || to));
    if (tree->journal_count == tree->journal_capacity) {
        size_t capacity = tree->journal_capacity ? 2 * tree->journal_capacity : 16;
        struct sim_rename *journal = mem_realloc(tree->journal, capacity, sizeof(*journal));
        if (!journal)
            return err_make(ERR_MEMORY);
        tree->journal = journal;
        tree->journal_capacity = capacity;
    }
    struct sim_rename change = {
        .node = sim_node_ref(node),
        .from_directory = sim_node_ref(from ? from->directory : NULL),
        .from = copy_name(from),
        .to_directory = sim_node_ref(to ? to->directory : NULL),
        .to = copy_name(to),
    };
    if ((from && !change.from) || (to && !change.to)) {
        rename_done(tree, &change);
        return err_make(ERR_MEMORY);
    }
    tree->journal[tree->journal_count++] = change;
    return err_ok();
}

err_t sim_tree_init(struct sim_tree *tree, uint64_t seed)
{
    *tree = (struct sim_tree){0};
    sim_store_init(&tree->store, seed);
    tree->root = node_new(IO_KIND_DIRECTORY);
    ASSERT(!tree->journal);
    return tree->root ? err_ok() : err_make(ERR_MEMORY);
}

void sim_tree_done(struct sim_tree *tree)
{
    for (size_t i = 0; i < tree->journal_count; i++)
        rename_done(tree, &tree->journal[i]);
    mem_free(tree->journal);
    ASSERT(tree->root->references == 1);
    sim_node_unref(tree, tree->root);
    sim_store_done(&tree->store);
}

err_t sim_tree_find(struct sim_tree *tree, const char *path, struct sim_place *out)
{
    ASSERT(path[0] != '\0');
    struct slice rest = slice_string(path);
    struct sim_place place = {.node = tree->root};
    while (rest.size > 0) {
        struct slice name = slice_split(&rest, '/');
        if (name.size == 0 || slice_equal_string(name, "."))
            continue;
        /* Paths are made by programs, which have no use for it. */
        if (slice_equal_string(name, ".."))
            return err_make(ERR_UNSUPPORTED);
        if (!place.node || place.node->kind != IO_KIND_DIRECTORY)
            return err_make(ERR_NO_FILE);
        const struct sim_name *found = find(&place.node->live, name);
        place.directory = place.node;
        place.name = name;
        place.node = found ? found->node : NULL;
    }
    *out = place;
    return err_ok();
}

err_t sim_tree_make(struct sim_tree *tree, struct sim_place *out, enum io_kind kind)
{
    ASSERT(out->directory && !out->node);
    struct sim_node *node = node_new(kind);
    if (!node)
        return err_make(ERR_MEMORY);
    err_t err = journal_add(tree, node, NULL, out);
    if (err_is_ok(err) && !names_put(tree, &out->directory->live, out->name, node)) {
        /* Not done, so it must not be found in the journal either. */
        rename_done(tree, &tree->journal[--tree->journal_count]);
        err = err_make(ERR_MEMORY);
    }
    if (err_is_ok(err))
        out->node = node;
    sim_node_unref(tree, node);
    return err;
}

err_t sim_tree_remove(struct sim_tree *tree, const struct sim_place *place)
{
    ASSERT(place->node);
    /* The root stays. */
    if (!place->directory || place->node->live.count > 0)
        return err_make(ERR_IN_USE);
    /* Noted before it is done, so that a change that is seen can always be lost. */
    TRY(journal_add(tree, place->node, place, NULL));
    names_remove(tree, &place->directory->live, find(&place->directory->live, place->name));
    return err_ok();
}

/* rename(2) refuses to put a directory below itself; the tree would come loose. */
static bool is_within(const struct sim_node *node, const struct sim_node *directory)
{
    if (node == directory)
        return true;
    ASSERT(directory->references > 0);
    for (size_t i = 0; i < directory->live.count; i++)
        if (is_within(node, directory->live.items[i].node))
            return true;
    return false;
}

err_t sim_tree_rename(struct sim_tree *tree, const struct sim_place *from,
                      const struct sim_place *to)
{
    ASSERT(from->node);
    struct sim_node *node = from->node;
    /* Renaming a file to itself does nothing (rename(2)). */
    if (to->node == node)
        return err_ok();
    if (!from->directory || !to->directory || is_within(to->directory, node))
        return err_make(ERR_INVALID);
    if (to->node && to->node->kind != node->kind)
        return err_make(ERR_INVALID);
    if (to->node && to->node->live.count > 0)
        return err_make(ERR_IN_USE);
    TRY(journal_add(tree, node, from, to));
    if (!names_put(tree, &to->directory->live, to->name, node)) {
        rename_done(tree, &tree->journal[--tree->journal_count]);
        return err_make(ERR_MEMORY);
    }
    names_remove(tree, &from->directory->live, find(&from->directory->live, from->name));
    return err_ok();
}

/* Makes one change durable. */
static bool apply(struct sim_tree *tree, const struct sim_rename *change)
{
    ASSERT(change->node);
    if (change->to_directory &&
        !names_put(tree, &change->to_directory->durable, slice_string(change->to), change->node))
        return false;
    if (!change->from_directory)
        return true;
    struct sim_names *names = &change->from_directory->durable;
    struct sim_name *name = find(names, slice_string(change->from));
    /* Changes are applied together with all they depend on, so the name is there and its own. */
    ASSERT(name && name->node == change->node);
    names_remove(tree, names, name);
    return true;
}

static bool touches_marked(const struct sim_rename *change)
{
    ASSERT(change->from_directory || change->to_directory);
    return (change->from_directory && change->from_directory->marked) ||
           (change->to_directory && change->to_directory->marked);
}

static void mark(struct sim_rename *change, bool marked)
{
    ASSERT(change->from_directory || change->to_directory);
    if (change->from_directory)
        change->from_directory->marked = marked;
    if (change->to_directory)
        change->to_directory->marked = marked;
}

/* A sync of a directory makes all changes of its names durable, and every earlier change that one
 * of these builds on: from the last to the first, each selected change marks its directories. */
static void select_touching(struct sim_tree *tree, struct sim_node *directory)
{
    ASSERT(directory->kind == IO_KIND_DIRECTORY);
    directory->marked = true;
    for (size_t i = tree->journal_count; i-- > 0;) {
        struct sim_rename *change = &tree->journal[i];
        change->selected = touches_marked(change);
        if (change->selected)
            mark(change, true);
    }
    for (size_t i = 0; i < tree->journal_count; i++)
        mark(&tree->journal[i], false);
    directory->marked = false;
}

static err_t apply_selected(struct sim_tree *tree)
{
    ASSERT(tree->journal_count <= tree->journal_capacity);
    size_t kept = 0;
    bool failed = false;
    for (size_t i = 0; i < tree->journal_count; i++) {
        struct sim_rename change = tree->journal[i];
        /* After a failure the rest stays in the journal, in order. */
        failed = failed || (change.selected && !apply(tree, &change));
        if (change.selected && !failed)
            rename_done(tree, &change);
        else
            tree->journal[kept++] = change;
    }
    tree->journal_count = kept;
    return failed ? err_make(ERR_MEMORY) : err_ok();
}

err_t sim_tree_sync(struct sim_tree *tree, struct sim_node *directory)
{
    ASSERT(directory->kind == IO_KIND_DIRECTORY);
    select_touching(tree, directory);
    return apply_selected(tree);
}

static err_t sync_names(struct sim_tree *tree)
{
    ASSERT(tree->root);
    for (size_t i = 0; i < tree->journal_count; i++)
        tree->journal[i].selected = true;
    return apply_selected(tree);
}

/* Syncs each file below `directory` with a chance of `percent`. Of one that has lost its name
 * nothing survives a crash, whatever is durable. */
static err_t sync_files(struct sim_tree *tree, struct sim_node *directory, uint64_t percent)
{
    ASSERT(directory->kind == IO_KIND_DIRECTORY);
    for (size_t i = 0; i < directory->live.count; i++) {
        struct sim_node *node = directory->live.items[i].node;
        if (node->kind == IO_KIND_DIRECTORY)
            TRY(sync_files(tree, node, percent));
        else if (sim_random_chance(&tree->store.random, percent, 100))
            TRY(sim_content_sync(&node->content, &tree->store));
    }
    return err_ok();
}

/* What is still pending below `directory` meets a failed sync, file by file and by chance. */
static void fail_files(struct sim_tree *tree, struct sim_node *directory)
{
    ASSERT(directory->kind == IO_KIND_DIRECTORY);
    for (size_t i = 0; i < directory->live.count; i++) {
        struct sim_node *node = directory->live.items[i].node;
        if (node->kind == IO_KIND_DIRECTORY)
            fail_files(tree, node);
        else if (sim_random_chance(&tree->store.random, 1, 2)) {
            /* Whoever wrote the file is told too, by its own next sync. */
            node->content.failed = node->content.failed || node->content.pending_count > 0;
            sim_content_sync_failed(&node->content, &tree->store);
        }
    }
}

err_t sim_tree_sync_all(struct sim_tree *tree)
{
    TRY(sync_names(tree));
    ASSERT(tree->journal_count == 0);
    return sync_files(tree, tree->root, 100);
}

void sim_tree_sync_all_cut(struct sim_tree *tree)
{
    struct sim_random *random = &tree->store.random;
    bool with_names = sim_random_chance(random, 1, 2);
    uint64_t percent = 50 * sim_random_below(random, 3);
    ASSERT(percent <= 100);
    /* Memory that runs out on the way is one more reason for not coming to all. */
    err_t err = with_names ? sync_names(tree) : err_ok();
    if (err_is_ok(err))
        (void)err_is_ok(sync_files(tree, tree->root, percent));
}

void sim_tree_sync_all_failed(struct sim_tree *tree)
{
    ASSERT(tree->root);
    sim_tree_sync_all_cut(tree);
    fail_files(tree, tree->root);
}

/* The name that change `index` gives is still another node's where an earlier change that takes
 * it away did not survive. */
static bool is_name_taken(const struct sim_tree *tree, size_t index)
{
    const struct sim_rename *change = &tree->journal[index];
    ASSERT(index < tree->journal_count);
    for (size_t i = 0; change->to_directory && i < index; i++) {
        const struct sim_rename *earlier = &tree->journal[i];
        if (!earlier->selected && earlier->from_directory == change->to_directory &&
            strcmp(earlier->from, change->to) == 0)
            return true;
    }
    return false;
}

/* Selects what survives: up to a point, or one by one with `marked` on nodes that lost one. */
static void select_survivors(struct sim_tree *tree)
{
    struct sim_random *random = &tree->store.random;
    /* A journal keeps the order; POSIX promises none. */
    bool in_order = sim_random_chance(random, 1, 2);
    uint64_t point = sim_random_between(random, 0, tree->journal_count);
    for (size_t i = 0; i < tree->journal_count; i++) {
        struct sim_rename *change = &tree->journal[i];
        bool lucky = in_order ? i < point : sim_random_chance(random, 1, 2);
        /* A node that lost a change loses all later ones too: they begin at a name that it does not
         * have. */
        change->selected = lucky && !change->node->marked && !is_name_taken(tree, i);
        if (!change->selected)
            change->node->marked = true;
    }
    for (size_t i = 0; i < tree->journal_count; i++)
        tree->journal[i].node->marked = false;
    ASSERT(point <= tree->journal_count);
}

/* Makes live what is durable, from `directory` down. */
static void restore(struct sim_tree *tree, struct sim_node *directory)
{
    ASSERT(directory->kind == IO_KIND_DIRECTORY);
    /* Names that did not survive go; nodes that only they held go with them. */
    names_done(tree, &directory->live);
    for (size_t i = 0; i < directory->durable.count; i++) {
        const struct sim_name *name = &directory->durable.items[i];
        bool done = names_put(tree, &directory->live, slice_string(name->text), name->node);
        ASSERT(done);
        if (name->node->kind == IO_KIND_DIRECTORY)
            restore(tree, name->node);
        else
            sim_content_crash(&name->node->content, &tree->store);
    }
}

void sim_tree_crash(struct sim_tree *tree)
{
    select_survivors(tree);
    for (size_t i = 0; i < tree->journal_count; i++) {
        bool done = !tree->journal[i].selected || apply(tree, &tree->journal[i]);
        ASSERT(done);
    }
    for (size_t i = 0; i < tree->journal_count; i++)
        rename_done(tree, &tree->journal[i]);
    tree->journal_count = 0;
    restore(tree, tree->root);
}
