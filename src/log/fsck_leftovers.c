#include "base/assert.h"
#include "log/fsck_int.h"

#include <inttypes.h>

/*
 * Files that nobody names: what a sealing, a removal or a repair that was interrupted has left, or
 * somebody has put there. None of it is damage and none of it is touched here; it is told, since
 * it takes space, and since who looks for something lost will want to know of it.
 */

struct walk {
    struct log_fsck *f;
    const char *directory; /* below the data directory */
    const struct log_topic *topic;
    uint32_t partition;
};

static void say(const struct walk *walk, const char *name, const char *what)
{
    char path[LOG_SEGMENT_PATH_MAX];
    int size =
        snprintf(path, sizeof path, "%s%s%s", walk->directory, walk->directory[0] ? "/" : "", name);
    ASSERT(name[0] && size > 0);
    log_fsck_find(walk->f, &(struct log_fsck_finding){.code = "leftover", .path = path}, "%s",
                  what);
}

bool log_fsck_is_named(const struct log_partition *partition, const char *name)
{
    for (uint32_t i = 0; i < partition->segment_count; i++) {
        char base[32];
        int size =
            snprintf(base, sizeof base, "%020" PRId64 ".", partition->segments[i].base_offset);
        ASSERT(size > 20);
        if (strncmp(name, base, (size_t)size) == 0)
            return true;
    }
    return false;
}

static int see_segment(void *context, const char *name, enum io_kind kind)
{
    const struct walk *walk = context;
    const struct log_partition *partition = &walk->topic->partitions[walk->partition];
    ASSERT(kind != IO_KIND_NONE);
    if (kind != IO_KIND_FILE || !log_fsck_is_named(partition, name))
        say(walk, name, "no segment that counts has this name");
    return 0;
}

static int see_keys(void *context, const char *name, enum io_kind kind)
{
    const struct walk *walk = context;
    ASSERT(kind != IO_KIND_NONE);
    if (kind != IO_KIND_FILE || !log_state_keys_named(&walk->f->state, walk->topic, name))
        say(walk, name, "no idempotency keys that count are in it");
    return 0;
}

static int see_topic(void *context, const char *name, enum io_kind kind)
{
    const struct walk *walk = context;
    struct slice text = slice_string(name);
    struct uuid uuid;
    ASSERT(kind != IO_KIND_NONE);
    bool ours = kind == IO_KIND_DIRECTORY && text.size > UUID_TEXT_SIZE &&
                err_is_ok(uuid_parse(slice_sub(text, text.size - UUID_TEXT_SIZE, SIZE_MAX), &uuid));
    for (uint32_t i = 0; ours && i < walk->f->state.topic_count; i++) {
        const struct log_topic *topic = walk->f->state.topics[i];
        if (!topic->deleted && uuid_equal(&topic->uuid, &uuid))
            return 0;
    }
    say(walk, name, "there is no such topic");
    return 0;
}

static int see_checkpoint(void *context, const char *name, enum io_kind kind)
{
    const struct walk *walk = context;
    struct slice text = slice_string(name);
    ASSERT(kind != IO_KIND_NONE);
    if (text.size != 25 || !slice_ends_with(text, SLICE_LITERAL(".ckpt")))
        say(walk, name, "this is no checkpoint that a start would use");
    return 0;
}

static int see_root(void *context, const char *name, enum io_kind kind)
{
    const struct walk *walk = context;
    ASSERT(kind != IO_KIND_NONE);
    if (kind == IO_KIND_DIRECTORY && slice_starts_with(slice_string(name), SLICE_LITERAL("fsck-")))
        say(walk, name,
            "copies of what an earlier repair has changed; remove them when they are "
            "not needed any more");
    return 0;
}

/* A directory that is not there has nothing in it. */
static err_t see(struct log_fsck *f, struct walk *walk, io_list_fn *each)
{
    char path[LOG_SEGMENT_PATH_MAX];
    enum io_kind kind;
    ASSERT(each);
    if (walk->directory[0])
        log_fsck_path(f, walk->directory, path);
    else
        snprintf(path, sizeof path, "%s", f->directory);
    TRY(io_disk_kind(f->disk, path, &kind, f->why));
    return kind == IO_KIND_DIRECTORY ? io_disk_list(f->disk, path, each, walk, f->why) : err_ok();
}

static err_t see_partitions(struct log_fsck *f, const struct log_topic *topic)
{
    for (uint32_t p = 0; p < topic->partition_count; p++) {
        struct log_segment_place place = log_fsck_place(f, topic, p);
        char path[LOG_SEGMENT_PATH_MAX];
        log_segment_partition_path(&place, path);
        ASSERT(strlen(path) > strlen(f->directory));
        struct walk walk = {
            .f = f, .directory = path + strlen(f->directory) + 1, .topic = topic, .partition = p};
        TRY(see(f, &walk, see_segment));
    }
    return err_ok();
}

static err_t see_topic_keys(struct log_fsck *f, const struct log_topic *topic)
{
    char path[LOG_SEGMENT_PATH_MAX];
    char below[LOG_SEGMENT_PATH_MAX + 8];
    log_state_topic_directory(topic, f->directory, path);
    ASSERT(strlen(path) > strlen(f->directory));
    snprintf(below, sizeof below, "%s/keys", path + strlen(f->directory) + 1);
    struct walk walk = {.f = f, .directory = below, .topic = topic};
    return see(f, &walk, see_keys);
}

err_t log_fsck_leftovers(struct log_fsck *f)
{
    struct walk walk = {.f = f, .directory = ""};
    ASSERT(!f->repair);
    TRY(see(f, &walk, see_root));
    walk.directory = "checkpoint";
    TRY(see(f, &walk, see_checkpoint));
    walk.directory = "topics";
    TRY(see(f, &walk, see_topic));
    for (uint32_t t = 0; t < f->state.topic_count; t++) {
        TRY(see_partitions(f, f->state.topics[t]));
        if (!f->state.topics[t]->deleted)
            TRY(see_topic_keys(f, f->state.topics[t]));
    }
    return err_ok();
}
