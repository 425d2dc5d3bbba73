#pragma once

/*
 * A small world for the tests of control: files in memory, an environment, two types of sinks.
 * Relative paths and those below /here are the same files.
 */

#include "base/alloc.h"
#include "base/assert.h"
#include "base/list.h"
#include "control/catalog/catalog.h"
#include "control/config/config.h"
#include "lib/unit.h"

#define WORLD_FILES_MAX 32
#define assert_ok(expression) assert_string_equal(err_name(expression), "OK")

struct world_entry {
    const char *path; /* below /here without it, else absolute */
    struct slice content;
    enum err_code fault; /* of opening it, or of listing it where it is a directory */
};

struct world {
    struct io_disk disk;
    struct world_entry entries[WORLD_FILES_MAX];
    size_t count;
    struct control_config_host host;
    struct control_report report;
    size_t open_files;
};

struct world_file {
    struct io_file file;
    struct world *world;
    struct slice content;
};

/* "./a//b" and "/here/a/b" are "a/b"; "." and "/here" are "". */
static inline void world_normal(const char *path, char out[static 512])
{
    struct slice rest = slice_string(path);
    size_t size = 0;
    bool absolute = path[0] == '/';
    while (rest.size > 0) {
        struct slice part = slice_split(&rest, '/');
        if (part.size == 0 || slice_equal_string(part, "."))
            continue;
        assert_true(size + part.size + 2 < 512);
        if (size > 0 || absolute)
            out[size++] = '/';
        memcpy(out + size, part.data, part.size);
        size += part.size;
    }
    out[size] = '\0';
    if (strcmp(out, "/here") == 0)
        out[0] = '\0';
    else if (strncmp(out, "/here/", 6) == 0)
        memmove(out, out + 6, strlen(out + 6) + 1);
}

/* What is below directory `normal` in `path`, or NULL. */
static inline const char *world_below(const char *normal, const char *path)
{
    size_t size = strlen(normal);
    if (size == 0)
        return path[0] == '/' ? NULL : path;
    return strncmp(path, normal, size) == 0 && path[size] == '/' ? path + size + 1 : NULL;
}

/* Whether an entry before the `index`-th shows the same name in directory `normal`. */
static inline bool world_listed(const struct world *w, const char *normal, size_t index,
                                const char *name)
{
    size_t size = strlen(name);
    for (size_t i = w->count; i-- > index + 1;) {
        const char *below = world_below(normal, w->entries[i].path);
        bool there = below && w->entries[i].content.data;
        if (there && strncmp(below, name, size) == 0 && strchr("/", below[size]))
            return true;
    }
    return false;
}

static inline struct world_entry *world_find(struct io_disk *disk, const char *normal)
{
    struct world *w = CONTAINER_OF(disk, struct world, disk);
    for (size_t i = 0; i < w->count; i++)
        if (strcmp(w->entries[i].path, normal) == 0)
            return &w->entries[i];
    return NULL;
}

static inline err_t world_open(struct io_disk *disk, const char *path, unsigned flags,
                               struct io_file **out, struct err_text *why)
{
    char normal[512];
    world_normal(path, normal);
    struct world *w = CONTAINER_OF(disk, struct world, disk);
    const struct world_entry *entry = world_find(disk, normal);
    assert_int_equal(flags, IO_OPEN_READ);
    if (!entry || !entry->content.data)
        return err_set(why, ERR_NO_FILE, "%s: no such file or directory", path);
    if (entry->fault != ERR_OK)
        return err_set(why, entry->fault, "%s: %s", path, err_string(err_make(entry->fault)));
    struct world_file *file = mem_zalloc(1, sizeof(*file));
    if (!file)
        return err_make(ERR_MEMORY);
    *file = (struct world_file){{disk->ops}, w, entry->content};
    w->open_files++;
    *out = &file->file;
    return err_ok();
}

static inline err_t world_close(struct io_file *file)
{
    struct world_file *f = CONTAINER_OF(file, struct world_file, file);
    f->world->open_files--;
    mem_free(f);
    return err_ok();
}

static inline err_t world_read(struct io_file *file, void *data, size_t size, uint64_t offset,
                               size_t *got)
{
    struct slice part =
        slice_sub(CONTAINER_OF(file, struct world_file, file)->content, (size_t)offset, size);
    if (part.size > 0)
        memcpy(data, part.data, part.size);
    *got = part.size;
    return err_ok();
}

static inline err_t world_size(struct io_file *file, uint64_t *size)
{
    *size = CONTAINER_OF(file, struct world_file, file)->content.size;
    return err_ok();
}

static inline err_t world_list(struct io_disk *disk, const char *path, io_list_fn *each,
                               void *context, struct err_text *why)
{
    char normal[512];
    world_normal(path, normal);
    struct world *w = CONTAINER_OF(disk, struct world, disk);
    const struct world_entry *entry = world_find(disk, normal);
    if (entry && entry->fault != ERR_OK)
        return err_set(why, entry->fault, "%s: %s", path, err_string(err_make(entry->fault)));
    for (size_t i = w->count; i-- > 0;) {
        const char *below = world_below(normal, w->entries[i].path);
        if (!below || !w->entries[i].content.data)
            continue;
        char name[512] = {0};
        memcpy(name, below, strcspn(below, "/"));
        if (!world_listed(w, normal, i, name) && each(context, name, IO_KIND_OTHER) != 0)
            break;
    }
    return err_ok();
}

static inline err_t world_kind(struct io_disk *disk, const char *path, enum io_kind *out,
                               struct err_text *why)
{
    (void)why;
    char normal[512];
    world_normal(path, normal);
    struct world *w = CONTAINER_OF(disk, struct world, disk);
    const struct world_entry *entry = world_find(disk, normal);
    *out = entry && entry->content.data ? IO_KIND_FILE : IO_KIND_NONE;
    for (size_t i = 0; i < w->count && *out == IO_KIND_NONE; i++)
        if (world_below(normal, w->entries[i].path))
            *out = IO_KIND_DIRECTORY;
    return err_ok();
}

static const struct io_disk_ops world_ops = {.open = world_open,
                                             .close = world_close,
                                             .read = world_read,
                                             .size = world_size,
                                             .list = world_list,
                                             .kind = world_kind};

static inline const char *world_env(const char *name)
{
    static const char *const variables[][2] = {
        {"PORT", "8081"}, {"EMPTY", ""}, {"DIR", "/var/lib"}, {"TRICK", "a: [b]\n\x1b[31m"}};
    for (size_t i = 0; i < 4; i++)
        if (strcmp(variables[i][0], name) == 0)
            return variables[i][1];
    return NULL;
}

struct world_sink {
    const char *path;
    uint32_t parallel;
};

static const struct option world_file_options[] = {
    {.name = "path",
     .type = OPTION_PATH,
     .offset = offsetof(struct world_sink, path),
     .required = true,
     .help = "Where files go."},
    {.name = "parallel",
     .type = OPTION_U32,
     .offset = offsetof(struct world_sink, parallel),
     .fallback = "1",
     .min = 1,
     .max = 8,
     .help = "Workers."},
    {0},
};

static inline err_t world_file_check(const void *options, struct err_text *why)
{
    const struct world_sink *sink = options;
    ASSERT(sink->path);
    if (strstr(sink->path, "{bad}"))
        return err_set(why, ERR_CONFIG, "path: expected a known template");
    return err_ok();
}

static inline err_t world_file_pair(const void *a, const void *b, struct err_text *why)
{
    const struct world_sink *x = a;
    const struct world_sink *y = b;
    if (strcmp(x->path, y->path) == 0)
        return err_set(why, ERR_CONFIG, "path: expected a path of its own");
    return err_ok();
}

static const struct option world_null_options[] = {{0}};
static const struct control_sink_type world_sink_types[] = {
    {.name = "file",
     .help = "Files.",
     .options = world_file_options,
     .options_size = sizeof(struct world_sink),
     .check = world_file_check,
     .check_pair = world_file_pair},
    {.name = "null", .help = "Nowhere.", .options = world_null_options, .options_size = 1},
    {0},
};

static inline void world_init(struct world *w)
{
    *w = (struct world){.disk = {&world_ops}};
    w->host = (struct control_config_host){.disk = &w->disk,
                                           .directory = "/here",
                                           .env = world_env,
                                           .memory_bytes = UINT64_C(1) << 30,
                                           .sink_types = world_sink_types};
    control_report_init(&w->report);
}

static inline void world_done(struct world *w)
{
    assert_int_equal(w->open_files, 0);
    control_report_done(&w->report);
}

/* Starts over with an empty report; files stay. */
static inline void world_again(struct world *w)
{
    control_report_done(&w->report);
    control_report_init(&w->report);
}

/* Puts `text` at `path` ("a/b", or absolute outside /here), in the place of what was there. */
static inline void world_put(struct world *w, const char *path, const char *text)
{
    struct world_entry *entry = world_find(&w->disk, path);
    if (!entry) {
        assert_true(w->count < WORLD_FILES_MAX);
        entry = &w->entries[w->count++];
    }
    *entry = (struct world_entry){path, slice_string(text), ERR_OK};
}

/* Opening the file, or listing the directory, at `path` fails from here on. */
static inline void world_fail(struct world *w, const char *path, enum err_code fault)
{
    struct world_entry *entry = world_find(&w->disk, path);
    if (!entry) {
        assert_true(w->count < WORLD_FILES_MAX);
        entry = &w->entries[w->count++];
        entry->path = path;
    }
    entry->fault = fault;
}

/* All that `messages` says is `expected`: lines with a newline each. */
static inline void world_expect(const struct control_messages *messages, const char *expected)
{
    struct buf text = {0};
    for (size_t i = 0; i < messages->count; i++) {
        control_report_print(&text, &messages->items[i]);
        buf_add_byte(&text, '\n');
    }
    buf_add_byte(&text, '\0');
    assert_true(buf_ok(&text));
    assert_string_equal((const char *)text.data, expected);
    buf_done(&text);
}
