/*
 * The calls of io/disk.h on a simulated tree. Each goes the same way: judge says whether it is
 * made, fails (by number or by chance), is the one in which the power fails, or comes after that;
 * then the tree or the content does what is to be done.
 *
 * What goes wrong is the purpose. A write that fails has written a part from the front, in whole
 * sectors; a sync that fails leaves nothing known; a change of names is done or not. The call in
 * which the power fails does by chance all, a part, or nothing of it, and the caller is never told
 * which: its process is gone.
 *
 * Handles outlive a crash, since the actors that hold them are freed after it, not before; they are
 * stale then, and nothing but closing reaches what is on the disk.
 */

#include "sim/disk.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/list.h"
#include "sim/tree.h"

/* What a disk without a limit says it has: a terabyte, which nothing here can fill. */
#define UNLIMITED_BYTES (UINT64_C(1) << 40)

struct sim_disk {
    struct io_disk io;
    struct sim_tree tree;
    struct list handles;
    struct sim_disk_options options;
    uint64_t calls;
    uint64_t fail_at; /* 0: never */
    enum err_code fail_code;
    uint64_t changes;
    uint64_t die_at; /* 0: never */
    const char *aim; /* part of a path, or NULL for all */
    bool dead;
};

struct sim_handle {
    struct io_file io;
    struct list link;
    struct sim_disk *disk;
    struct sim_node *node;
    char *path;
    unsigned flags;
    bool stale; /* the power has failed since it was opened */
};

/* From CALL_CHANGE on a call changes what a later start may find. */
enum call { CALL_LOOK, CALL_READ, CALL_CHANGE, CALL_WRITE, CALL_SYNC };

/* What becomes of a call. `err` is what it returns when its effect is not the whole one. */
struct verdict {
    enum { VERDICT_RUN, VERDICT_FAIL, VERDICT_DIE, VERDICT_DEAD } kind;
    err_t err;
};

static struct sim_disk *disk_of(struct io_disk *disk)
{
    ASSERT(disk);
    return CONTAINER_OF(disk, struct sim_disk, io);
}

static struct sim_handle *handle_of(struct io_file *file)
{
    ASSERT(file);
    return CONTAINER_OF(file, struct sim_handle, io);
}

static struct sim_random *random_of(struct sim_disk *disk)
{
    ASSERT(disk);
    return &disk->tree.store.random;
}

/* Changes of names do not fail by chance, only by number: the programs under test answer them all
 * in the same few places, and a chance there would drown what is looked for elsewhere. */
static uint32_t failures_ppm(const struct sim_disk *disk, enum call call)
{
    ASSERT(call <= CALL_SYNC);
    switch (call) {
    case CALL_READ: return disk->options.read_failures_ppm;
    case CALL_WRITE: return disk->options.write_failures_ppm;
    case CALL_SYNC: return disk->options.sync_failures_ppm;
    case CALL_LOOK:
    case CALL_CHANGE: break;
    }
    return 0;
}

static struct verdict judge(struct sim_disk *disk, enum call call, const char *path)
{
    ASSERT(disk->calls < UINT64_MAX && path);
    /* First: behind the power loss nothing counts, fails or is drawn, or the seed would depend on
     * it. */
    if (disk->dead)
        return (struct verdict){VERDICT_DEAD, err_make(ERR_IO)};
    if (disk->aim && !strstr(path, disk->aim))
        return (struct verdict){VERDICT_RUN, err_ok()};
    /* Reading cannot be the last thing: it changes nothing that the next start could see. */
    if (call >= CALL_CHANGE && ++disk->changes == disk->die_at) {
        disk->dead = true;
        return (struct verdict){VERDICT_DIE, err_make(ERR_IO)};
    }
    if (++disk->calls == disk->fail_at)
        return (struct verdict){VERDICT_FAIL, err_make(disk->fail_code)};
    uint32_t ppm = failures_ppm(disk, call);
    if (ppm > 0 && sim_random_chance(random_of(disk), ppm, 1000000))
        return (struct verdict){VERDICT_FAIL, err_make(ERR_IO)};
    return (struct verdict){VERDICT_RUN, err_ok()};
}

/* Whether a change that cannot be done by half is done. */
static bool has_effect(struct sim_disk *disk, const struct verdict *verdict)
{
    ASSERT(verdict->kind == VERDICT_RUN || !err_is_ok(verdict->err));
    if (verdict->kind == VERDICT_DIE)
        return sim_random_chance(random_of(disk), 1, 2);
    return verdict->kind == VERDICT_RUN;
}

static err_t judge_handle(struct sim_handle *handle, enum call call, struct verdict *out)
{
    ASSERT(handle->node->kind == IO_KIND_FILE || !(handle->flags & IO_OPEN_WRITE));
    if (handle->stale)
        return err_make(ERR_IO);
    *out = judge(handle->disk, call, handle->path);
    return err_ok();
}

static err_t named(err_t err, const char *path, struct err_text *why)
{
    ASSERT(path);
    if (err_is_ok(err))
        return err;
    return err_set(why, (enum err_code)err.code, "%s: %s (simulated)", path, err_string(err));
}

/* What the kernel refuses with EINVAL; here it is the caller's mistake. */
static bool fits(const struct sim_handle *handle, const void *data, size_t size, uint64_t offset)
{
    return !(handle->flags & IO_OPEN_DIRECT) ||
           (((uintptr_t)data | size | offset) & (IO_BLOCK - 1)) == 0;
}

static const struct io_disk_ops disk_ops;

/* Makes or empties the file, as the flags say. */
static err_t open_place(struct sim_disk *disk, struct sim_place *place, const char *path,
                        unsigned flags)
{
    ASSERT(flags & (IO_OPEN_READ | IO_OPEN_WRITE));
    if (!place->node && !(flags & IO_OPEN_CREATE))
        return err_make(ERR_NO_FILE);
    if (place->node && (flags & IO_OPEN_CREATE) && (flags & IO_OPEN_EXCLUSIVE))
        return err_make(ERR_EXISTS);
    /* Of a directory there is nothing to write; it can be opened all the same (open(2)). */
    if (place->node && place->node->kind != IO_KIND_FILE && flags != IO_OPEN_READ)
        return err_make(ERR_IO);
    /* As tmpfs and some network file systems do. */
    if ((flags & IO_OPEN_DIRECT) && disk->options.no_direct)
        return err_make(ERR_UNSUPPORTED);
    /* Opening changes something only where it makes or empties a file. */
    bool empties = place->node && (flags & IO_OPEN_TRUNCATE) && place->node->content.live_size > 0;
    struct verdict verdict = judge(disk, !place->node || empties ? CALL_CHANGE : CALL_LOOK, path);
    if (!has_effect(disk, &verdict))
        return verdict.err;
    if (!place->node)
        TRY(sim_tree_make(&disk->tree, place, IO_KIND_FILE));
    else if (empties)
        TRY(sim_content_truncate(&place->node->content, &disk->tree.store, 0));
    return verdict.err;
}

static err_t disk_open(struct io_disk *io, const char *path, unsigned flags, struct io_file **out,
                       struct err_text *why)
{
    struct sim_disk *disk = disk_of(io);
    struct sim_handle *handle = mem_zalloc(1, sizeof(*handle));
    if (handle)
        handle->path = mem_string(path, strlen(path));
    if (!handle || !handle->path) {
        mem_free(handle);
        return err_make(ERR_MEMORY);
    }
    struct sim_place place = {0};
    /* The handle is made first: a file that was created by a call that then failed for want of
     * memory would be a surprise no real disk has. */
    err_t err = disk->dead ? err_make(ERR_IO) : sim_tree_find(&disk->tree, path, &place);
    if (err_is_ok(err))
        err = open_place(disk, &place, path, flags);
    if (!err_is_ok(err)) {
        mem_free(handle->path);
        mem_free(handle);
        return named(err, path, why);
    }
    handle->io.ops = &disk_ops;
    handle->disk = disk;
    handle->node = sim_node_ref(place.node);
    handle->flags = flags;
    list_add_tail(&disk->handles, &handle->link);
    ASSERT(handle->node->references > 1);
    *out = &handle->io;
    return err_ok();
}

static err_t disk_close(struct io_file *file)
{
    struct sim_handle *handle = handle_of(file);
    ASSERT(handle->node);
    /* A lock lives as long as the handle, and dies with the power. */
    if (handle->node->locked_by == handle)
        handle->node->locked_by = NULL;
    sim_node_unref(&handle->disk->tree, handle->node);
    list_remove(&handle->link);
    mem_free(handle->path);
    mem_free(handle);
    return err_ok();
}

static err_t disk_read(struct io_file *file, void *data, size_t size, uint64_t offset, size_t *got)
{
    struct sim_handle *handle = handle_of(file);
    ASSERT(handle->flags & IO_OPEN_READ);
    ASSERT(fits(handle, data, size, offset));
    struct verdict verdict;
    TRY(judge_handle(handle, CALL_READ, &verdict));
    TRY(verdict.err);
    if (handle->node->kind != IO_KIND_FILE)
        return err_make(ERR_IO);
    *got = sim_content_read(&handle->node->content, data, size, offset);
    return err_ok();
}

static err_t disk_write(struct io_file *file, const void *data, size_t size, uint64_t offset)
{
    struct sim_handle *handle = handle_of(file);
    ASSERT(handle->flags & IO_OPEN_WRITE);
    ASSERT(fits(handle, data, size, offset));
    struct verdict verdict;
    TRY(judge_handle(handle, CALL_WRITE, &verdict));
    if (verdict.kind == VERDICT_DEAD)
        return verdict.err;
    if (verdict.kind != VERDICT_RUN) {
        /* Of what was not written yet, a crash decides about the part as about any other write. */
        size = (size_t)sim_random_between(random_of(handle->disk), 0, size);
        size -= size % SIM_SECTOR_SIZE;
    }
    TRY(sim_content_write(&handle->node->content, &handle->disk->tree.store, data, size, offset));
    return verdict.err;
}

static err_t disk_sync(struct io_file *file)
{
    struct sim_handle *handle = handle_of(file);
    struct sim_store *store = &handle->disk->tree.store;
    ASSERT(handle->flags & IO_OPEN_WRITE);
    struct verdict verdict;
    TRY(judge_handle(handle, CALL_SYNC, &verdict));
    /* What the kernel does since 4.16: the error is told once, the pages count as clean, and some
     * of them have reached the device. A second sync that succeeds proves nothing. */
    struct sim_content *content = &handle->node->content;
    if (verdict.kind == VERDICT_RUN && content->failed) {
        content->failed = false;
        return err_make(ERR_IO);
    }
    if (verdict.kind == VERDICT_FAIL)
        sim_content_sync_failed(&handle->node->content, store);
    else if (has_effect(handle->disk, &verdict))
        TRY(sim_content_sync(&handle->node->content, store));
    return verdict.err;
}

static err_t disk_truncate(struct io_file *file, uint64_t size)
{
    struct sim_handle *handle = handle_of(file);
    ASSERT(handle->flags & IO_OPEN_WRITE);
    struct verdict verdict;
    TRY(judge_handle(handle, CALL_CHANGE, &verdict));
    if (has_effect(handle->disk, &verdict))
        TRY(sim_content_truncate(&handle->node->content, &handle->disk->tree.store, size));
    return verdict.err;
}

static err_t disk_size(struct io_file *file, uint64_t *size)
{
    struct sim_handle *handle = handle_of(file);
    ASSERT(size);
    struct verdict verdict;
    TRY(judge_handle(handle, CALL_LOOK, &verdict));
    TRY(verdict.err);
    *size = handle->node->content.live_size;
    return err_ok();
}

static err_t disk_lock(struct io_file *file)
{
    struct sim_handle *handle = handle_of(file);
    struct verdict verdict;
    TRY(judge_handle(handle, CALL_LOOK, &verdict));
    TRY(verdict.err);
    ASSERT(handle->node);
    /* As flock(2) has it: of the open file, so that a second one of the same process is refused. */
    if (handle->node->locked_by && handle->node->locked_by != handle)
        return err_make(ERR_IN_USE);
    handle->node->locked_by = handle;
    return err_ok();
}

/* Nothing: what was written and not synced may survive a crash by any part as it is, so that a hint
 * could add no outcome, and it takes no number among the calls that may fail. */
static void disk_write_behind(struct io_file *file, uint64_t offset, uint64_t size)
{
    const struct sim_handle *handle = handle_of(file);
    ASSERT(handle->node->kind == IO_KIND_FILE);
    ASSERT(size <= UINT64_MAX - offset);
}

/* Every other block is: so that both ways of reading are gone, and the same ones in every run. */
static bool disk_in_memory(struct io_file *file, uint64_t offset, uint64_t size)
{
    const struct sim_handle *handle = handle_of(file);
    ASSERT(handle->node->kind == IO_KIND_FILE && size > 0);
    return offset / IO_BLOCK % 2 == 0;
}

static err_t disk_sync_all(struct io_file *file)
{
    struct sim_handle *handle = handle_of(file);
    struct sim_disk *disk = handle->disk;
    struct verdict verdict;
    TRY(judge_handle(handle, CALL_SYNC, &verdict));
    ASSERT(verdict.kind != VERDICT_RUN || err_is_ok(verdict.err));
    switch (verdict.kind) {
    /* Cut by a loss of power, some of it is done; failed, some of it is lost besides. */
    case VERDICT_RUN: TRY(sim_tree_sync_all(&disk->tree)); break;
    case VERDICT_FAIL: sim_tree_sync_all_failed(&disk->tree); break;
    case VERDICT_DIE: sim_tree_sync_all_cut(&disk->tree); break;
    case VERDICT_DEAD: break;
    }
    return verdict.err;
}

/* Judges a call about a name, and follows its path. */
static err_t find_place(struct sim_disk *disk, const char *path, enum call call,
                        struct verdict *verdict, struct sim_place *out)
{
    ASSERT(path && out);
    *verdict = judge(disk, call, path);
    if (verdict->kind == VERDICT_FAIL || verdict->kind == VERDICT_DEAD)
        return verdict->err;
    return sim_tree_find(&disk->tree, path, out);
}

static err_t rename_places(struct sim_disk *disk, const char *from, const char *to)
{
    struct verdict verdict;
    struct sim_place source = {0};
    struct sim_place target = {0};
    TRY(find_place(disk, from, CALL_CHANGE, &verdict, &source));
    /* One verdict for both names, since it is one call, which is done or not. */
    TRY(sim_tree_find(&disk->tree, to, &target));
    if (!source.node)
        return err_make(ERR_NO_FILE);
    if (has_effect(disk, &verdict))
        TRY(sim_tree_rename(&disk->tree, &source, &target));
    ASSERT(verdict.kind != VERDICT_DEAD);
    return verdict.err;
}

static err_t disk_rename(struct io_disk *io, const char *from, const char *to, struct err_text *why)
{
    err_t err = named(rename_places(disk_of(io), from, to), to, why);
    ASSERT(from && to);
    if (!err_is_ok(err))
        err_prefix(why, "rename %s", from);
    return err;
}

static err_t disk_remove(struct io_disk *io, const char *path, struct err_text *why)
{
    struct sim_disk *disk = disk_of(io);
    struct verdict verdict;
    struct sim_place place = {0};
    err_t err = find_place(disk, path, CALL_CHANGE, &verdict, &place);
    if (err_is_ok(err) && !place.node)
        err = err_make(ERR_NO_FILE);
    if (err_is_ok(err) && has_effect(disk, &verdict))
        err = sim_tree_remove(&disk->tree, &place);
    ASSERT(path);
    return named(err_is_ok(err) ? verdict.err : err, path, why);
}

static err_t disk_make_directory(struct io_disk *io, const char *path, struct err_text *why)
{
    struct sim_disk *disk = disk_of(io);
    struct verdict verdict;
    struct sim_place place = {0};
    err_t err = find_place(disk, path, CALL_CHANGE, &verdict, &place);
    if (err_is_ok(err) && place.node && place.node->kind != IO_KIND_DIRECTORY)
        err = err_make(ERR_EXISTS);
    /* One that is there already is success, as io/disk.h has it. */
    if (err_is_ok(err) && !place.node && has_effect(disk, &verdict))
        err = sim_tree_make(&disk->tree, &place, IO_KIND_DIRECTORY);
    ASSERT(path);
    return named(err_is_ok(err) ? verdict.err : err, path, why);
}

static err_t find_directory(struct sim_disk *disk, const char *path, enum call call,
                            struct verdict *verdict, struct sim_place *out)
{
    TRY(find_place(disk, path, call, verdict, out));
    ASSERT(out->node || out->directory);
    return out->node && out->node->kind == IO_KIND_DIRECTORY ? err_ok() : err_make(ERR_NO_FILE);
}

static err_t disk_sync_directory(struct io_disk *io, const char *path, struct err_text *why)
{
    struct sim_disk *disk = disk_of(io);
    struct verdict verdict;
    struct sim_place place = {0};
    err_t err = find_directory(disk, path, CALL_CHANGE, &verdict, &place);
    if (err_is_ok(err) && has_effect(disk, &verdict))
        err = sim_tree_sync(&disk->tree, place.node);
    ASSERT(path);
    return named(err_is_ok(err) ? verdict.err : err, path, why);
}

struct listed {
    char *text;
    enum io_kind kind;
};

static bool copy_names(const struct sim_names *names, struct listed *copy)
{
    for (size_t i = 0; i < names->count; i++) {
        const char *text = names->items[i].text;
        copy[i].text = mem_string(text, strlen(text));
        copy[i].kind = names->items[i].node->kind;
        if (!copy[i].text)
            return false;
    }
    ASSERT(names->count <= names->capacity);
    return true;
}

/* Walks a copy: the callback may remove what it is called with. */
static err_t list_names(const struct sim_names *names, io_list_fn *each, void *context)
{
    ASSERT(each);
    size_t count = names->count;
    struct listed *copy = mem_zalloc(count, sizeof(*copy));
    if (!copy)
        return err_make(ERR_MEMORY);
    bool copied = copy_names(names, copy);
    bool stopped = !copied;
    for (size_t i = 0; i < count; i++) {
        stopped = stopped || each(context, copy[i].text, copy[i].kind) != 0;
        mem_free(copy[i].text);
    }
    mem_free(copy);
    return copied ? err_ok() : err_make(ERR_MEMORY);
}

static err_t disk_list(struct io_disk *io, const char *path, io_list_fn *each, void *context,
                       struct err_text *why)
{
    struct verdict verdict;
    struct sim_place place = {0};
    err_t err = find_directory(disk_of(io), path, CALL_LOOK, &verdict, &place);
    if (err_is_ok(err))
        err = list_names(&place.node->live, each, context);
    ASSERT(path);
    return named(err, path, why);
}

static err_t disk_kind(struct io_disk *io, const char *path, enum io_kind *out,
                       struct err_text *why)
{
    struct verdict verdict;
    struct sim_place place = {0};
    err_t err = find_place(disk_of(io), path, CALL_LOOK, &verdict, &place);
    /* A path through nothing leads to nothing, which is an answer; a fault is not. */
    bool missing = err_is(err, ERR_NO_FILE) && verdict.kind == VERDICT_RUN;
    if (!err_is_ok(err) && !missing)
        return named(err, path, why);
    *out = !missing && place.node ? place.node->kind : IO_KIND_NONE;
    ASSERT(*out != IO_KIND_OTHER);
    return err_ok();
}

static err_t disk_space(struct io_disk *io, const char *path, struct io_space *out,
                        struct err_text *why)
{
    struct sim_disk *disk = disk_of(io);
    struct verdict verdict;
    struct sim_place place = {0};
    err_t err = find_place(disk, path, CALL_LOOK, &verdict, &place);
    if (err_is_ok(err) && !place.node)
        err = err_make(ERR_NO_FILE);
    if (!err_is_ok(err))
        return named(err, path, why);
    uint64_t total = disk->options.capacity_bytes ? disk->options.capacity_bytes : UNLIMITED_BYTES;
    /* Removed files count until they are closed, as everywhere. */
    uint64_t used = disk->tree.store.page_count * SIM_PAGE_SIZE;
    *out = (struct io_space){.total_bytes = total,
                             .free_bytes = used < total ? total - used : 0,
                             .network = disk->options.network};
    ASSERT(out->free_bytes <= out->total_bytes);
    return err_ok();
}

static const struct io_disk_ops disk_ops = {
    .open = disk_open,
    .close = disk_close,
    .read = disk_read,
    .write = disk_write,
    .sync = disk_sync,
    .truncate = disk_truncate,
    .size = disk_size,
    .lock = disk_lock,
    .write_behind = disk_write_behind,
    .in_memory = disk_in_memory,
    .sync_all = disk_sync_all,
    .rename = disk_rename,
    .remove = disk_remove,
    .make_directory = disk_make_directory,
    .sync_directory = disk_sync_directory,
    .list = disk_list,
    .kind = disk_kind,
    .space = disk_space,
};

struct sim_disk *sim_disk_new(uint64_t seed)
{
    struct sim_disk *disk = mem_zalloc(1, sizeof(*disk));
    if (!disk)
        return NULL;
    if (!err_is_ok(sim_tree_init(&disk->tree, seed))) {
        mem_free(disk);
        return NULL;
    }
    disk->io.ops = &disk_ops;
    list_init(&disk->handles);
    ASSERT(!disk->dead);
    return disk;
}

void sim_disk_free(struct sim_disk **disk)
{
    if (!*disk)
        return;
    LIST_EACH_SAFE (link, &(*disk)->handles) {
        err_t err = disk_close(&CONTAINER_OF(link, struct sim_handle, link)->io);
        ASSERT(err_is_ok(err));
    }
    sim_tree_done(&(*disk)->tree);
    mem_free(*disk);
    *disk = NULL;
}

struct io_disk *sim_disk_io(struct sim_disk *disk)
{
    ASSERT(disk);
    return &disk->io;
}

void sim_disk_set(struct sim_disk *disk, const struct sim_disk_options *options)
{
    ASSERT(options);
    disk->options = *options;
    /* What is there stays, even if it is more: a disk can shrink only for what is still to come. */
    disk->tree.store.page_count_max = options->capacity_bytes / SIM_PAGE_SIZE;
    /* Less than a page is no room at all, not no limit. */
    if (options->capacity_bytes > 0 && disk->tree.store.page_count_max == 0)
        disk->tree.store.page_count_max = 1;
}

void sim_disk_fail_after(struct sim_disk *disk, uint64_t n, enum err_code code)
{
    ASSERT(n == 0 || code != ERR_OK);
    /* From here on, so that a test counts what it is about and not what led there. */
    disk->calls = 0;
    disk->fail_at = n;
    disk->fail_code = code;
}

uint64_t sim_disk_call_count(const struct sim_disk *disk)
{
    ASSERT(disk);
    return disk->calls;
}

void sim_disk_die_after(struct sim_disk *disk, uint64_t n)
{
    ASSERT(!disk->dead);
    disk->changes = 0;
    disk->die_at = n;
}

uint64_t sim_disk_change_count(const struct sim_disk *disk)
{
    ASSERT(disk);
    return disk->changes;
}

bool sim_disk_is_dead(const struct sim_disk *disk)
{
    ASSERT(disk);
    return disk->dead;
}

void sim_disk_aim(struct sim_disk *disk, const char *part)
{
    ASSERT(!part || part[0]);
    disk->aim = part;
}

void sim_disk_cut_off(struct sim_disk *disk, bool cut_off)
{
    ASSERT(cut_off || disk->dead);
    /* As if the cable was pulled: unlike a crash, nothing that was written is lost by it. */
    disk->dead = cut_off;
}

void sim_disk_crash(struct sim_disk *disk)
{
    /* The handles first: what their nodes are after the crash is none of theirs. */
    LIST_EACH (link, &disk->handles) {
        struct sim_handle *handle = CONTAINER_OF(link, struct sim_handle, link);
        ASSERT(handle->node);
        handle->stale = true;
        handle->node->locked_by = NULL;
    }
    sim_tree_crash(&disk->tree);
    disk->dead = false;
    /* The next start lives, unless the test says otherwise. */
    disk->die_at = 0;
}

/* Under every cache: the next read sees it, durable or not. */
bool sim_disk_flip(struct sim_disk *disk, const char *path, uint64_t offset, unsigned bit)
{
    struct sim_place place = {0};
    err_t err = sim_tree_find(&disk->tree, path, &place);
    ASSERT(err_is_ok(err) && place.node && place.node->kind == IO_KIND_FILE);
    return sim_content_flip(&place.node->content, offset, bit);
}
