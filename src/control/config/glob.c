#include "control/config/glob.h"

#include "base/assert.h"
#include "control/config/value.h"

/*
 * A pattern is followed part by part: `found` holds what its front matches, at first the
 * directory where it begins, and each part replaces it by what is below. Only parts with a wild
 * card read directories.
 */
struct walk {
    struct io_disk *disk;
    struct arena *arena;
    const char **found;
    size_t count;
    size_t capacity;
    bool no_memory;
};

struct listing {
    struct walk *walk;
    const char *directory;
    const char *part;
};

bool control_config_glob_match(const char *pattern, const char *name)
{
    /* The shell's rule. Editors leave `.contract.yaml.swp` behind. */
    if (name[0] == '.' && pattern[0] != '.')
        return false;
    const char *star = NULL; /* the last one, and how much of the name it takes so far */
    const char *taken = NULL;
    while (*name) {
        if (*pattern == '*') {
            star = pattern++;
            taken = name;
        } else if (*pattern == '?' || *pattern == *name) {
            pattern++;
            name++;
        } else if (star) {
            /* Back to the last star, which takes one byte more. Earlier stars need no second try,
             * so a pattern of many stars cannot take exponential time. */
            pattern = star + 1;
            name = ++taken;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

static void add(struct walk *w, const char *directory, const char *name)
{
    ASSERT(w->count <= w->capacity);
    if (w->count == w->capacity) {
        size_t capacity = w->capacity > 0 ? w->capacity * 2 : 16;
        const char **larger = arena_alloc(w->arena, capacity * sizeof(*larger));
        if (!larger) {
            w->no_memory = true;
            return;
        }
        if (w->count > 0)
            memcpy(larger, w->found, w->count * sizeof(*larger));
        w->found = larger;
        w->capacity = capacity;
    }
    const char *path = control_config_path(w->arena, directory, name);
    if (path)
        w->found[w->count++] = path;
    else
        w->no_memory = true;
}

static int on_name(void *context, const char *name, enum io_kind kind)
{
    (void)kind; /* of a link, not of what it leads to */
    const struct listing *listing = context;
    if (control_config_glob_match(listing->part, name))
        add(listing->walk, listing->directory, name);
    /* Not 0 ends the listing: one over the limit is enough to know. */
    return listing->walk->no_memory || listing->walk->count > CONTROL_CONFIG_GLOB_MAX;
}

/* Keeps what is of `kind`. */
static err_t keep(struct walk *w, enum io_kind kind, struct err_text *why)
{
    size_t kept = 0;
    for (size_t i = 0; i < w->count; i++) {
        enum io_kind is;
        /* Through links: a contract mounted by Kubernetes is a link to a file in a directory that
         * is one. */
        TRY(io_disk_kind(w->disk, w->found[i], &is, why));
        if (is == kind)
            w->found[kept++] = w->found[i];
    }
    w->count = kept;
    return err_ok();
}

static err_t follow(struct walk *w, const char *part, struct err_text *why)
{
    TRY(keep(w, IO_KIND_DIRECTORY, why));
    const char **from = w->found;
    size_t count = w->count;
    w->found = NULL;
    w->count = w->capacity = 0;
    bool wild = strpbrk(part, "*?") != NULL;
    for (size_t i = 0; i < count; i++) {
        struct listing listing = {w, from[i], part};
        if (wild)
            TRY(io_disk_list(w->disk, from[i], on_name, &listing, why));
        else
            add(w, from[i], part);
        if (w->no_memory)
            return err_make(ERR_MEMORY);
        if (w->count > CONTROL_CONFIG_GLOB_MAX)
            return err_set(why, ERR_TOO_LARGE, "expected at most %u files",
                           CONTROL_CONFIG_GLOB_MAX);
    }
    return err_ok();
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

err_t control_config_glob(struct io_disk *disk, const char *pattern, struct arena *arena,
                          struct option_strings *out, struct err_text *why)
{
    ASSERT(pattern[0] != '\0');
    struct walk w = {.disk = disk, .arena = arena};
    struct slice rest = slice_string(pattern);
    add(&w, pattern[0] == '/' ? "/" : ".", ".");
    if (w.no_memory)
        return err_make(ERR_MEMORY);
    while (rest.size > 0) {
        struct slice part = slice_split(&rest, '/');
        if (part.size == 0)
            continue;
        const char *text = arena_string(arena, part);
        if (!text)
            return err_make(ERR_MEMORY);
        TRY(follow(&w, text, why));
    }
    TRY(keep(&w, IO_KIND_FILE, why));
    if (w.count > 1)
        /* The order in which a directory lists its names differs from machine to machine. */
        qsort(w.found, w.count, sizeof(*w.found), by_name);
    *out = (struct option_strings){w.found, w.count};
    return err_ok();
}
