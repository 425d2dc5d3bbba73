#include "sim/damage.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/number.h"

#define META "data/garner.meta"
#define BLOCKS_MAX 64u

struct wal_files {
    uint64_t numbers[128];
    uint32_t count;
};

static int note_file(void *context, const char *name, enum io_kind kind)
{
    struct wal_files *files = context;
    uint64_t number;
    struct slice rest = slice_string(name);
    struct slice digits = slice_split(&rest, '.');
    if (kind == IO_KIND_FILE && slice_equal_string(rest, "wal") &&
        err_is_ok(number_parse_u64(digits, &number)) &&
        files->count < sizeof files->numbers / sizeof files->numbers[0])
        files->numbers[files->count++] = number;
    return 0;
}

static struct wal_files list_files(struct world *w)
{
    struct wal_files files = {0};
    err_t err = io_disk_list(sim_disk_io(w->disk), "data/wal", note_file, &files, NULL);
    MODEL_EXPECT(&w->model, err_is_ok(err));
    return files;
}

static void wal_path(char *out, size_t size, uint64_t number)
{
    snprintf(out, size, "data/wal/%020" PRIu64 ".wal", number);
}

static uint64_t size_of(struct world *w, const char *path)
{
    struct io_file *file = NULL;
    uint64_t size = 0;
    err_t err = io_disk_open(sim_disk_io(w->disk), path, IO_OPEN_READ, &file, NULL);
    if (err_is_ok(err))
        err = io_file_size(file, &size);
    MODEL_EXPECT(&w->model, err_is_ok(err));
    err = io_file_close(file);
    MODEL_EXPECT(&w->model, err_is_ok(err));
    return size;
}

static void overwrite(struct world *w, const char *path, uint64_t offset, const uint8_t *bytes,
                      uint64_t size)
{
    struct io_file *file = NULL;
    err_t err = io_disk_open(sim_disk_io(w->disk), path, IO_OPEN_WRITE, &file, NULL);
    if (err_is_ok(err))
        err = io_file_write(file, bytes, (size_t)size, offset);
    if (err_is_ok(err))
        err = io_file_sync(file);
    MODEL_EXPECT(&w->model, err_is_ok(err));
    err = io_file_close(file);
    MODEL_EXPECT(&w->model, err_is_ok(err));
}

static void cut(struct world *w, const char *path, uint64_t size)
{
    struct io_file *file = NULL;
    err_t err = io_disk_open(sim_disk_io(w->disk), path, IO_OPEN_WRITE, &file, NULL);
    if (err_is_ok(err))
        err = io_file_truncate(file, size);
    if (err_is_ok(err))
        err = io_file_sync(file);
    MODEL_EXPECT(&w->model, err_is_ok(err));
    err = io_file_close(file);
    MODEL_EXPECT(&w->model, err_is_ok(err));
}

static void remove_file(struct world *w, const char *path)
{
    err_t err = io_disk_remove(sim_disk_io(w->disk), path, NULL);
    MODEL_EXPECT(&w->model, err_is_ok(err));
}

static const char *damage_meta(struct world *w)
{
    if (chance(w, 1, 2)) {
        remove_file(w, META);
        return "garner.meta is gone";
    }
    sim_disk_flip(w->disk, META, below(w, size_of(w, META)), (unsigned)below(w, 8));
    return "a bit of garner.meta turned over";
}

static const char *damage_blocks(struct world *w, const char *path, uint64_t size, bool recycled)
{
    uint64_t first = below(w, size / IO_BLOCK);
    /* In a file that was used before zeros are like garbage: they may be older records. */
    uint64_t most = recycled ? 1 : size / IO_BLOCK - first;
    uint64_t count = 1 + below(w, most < BLOCKS_MAX ? most : BLOCKS_MAX);
    /* More than a block of garbage at the end looks like a frame that was never finished. */
    bool garbage = chance(w, 1, 2);
    static uint8_t bytes[BLOCKS_MAX * IO_BLOCK];
    memset(bytes, 0, sizeof bytes);
    if (garbage)
        sim_random_bytes(&w->random, bytes, IO_BLOCK);
    overwrite(w, path, first * IO_BLOCK, bytes, (garbage ? 1 : count) * IO_BLOCK);
    return garbage ? "a block was overwritten" : "blocks were zeroed";
}

/* A frame that would fit, but for what it follows: of another life of the same files. */
static const char *forge(struct world *w)
{
    uint8_t block[IO_BLOCK] = {0};
    struct log_frame_header header = w->next_frame;
    if (header.block >= header.file_blocks)
        return NULL;
    header.previous_crc ^= 1;
    log_frame_encode(&header, block);
    char path[64];
    wal_path(path, sizeof path, header.file_number);
    overwrite(w, path, (uint64_t)header.block * IO_BLOCK, block, sizeof block);
    return "a frame of another history follows";
}

static const char *damage_first(struct world *w)
{
    char path[64];
    wal_path(path, sizeof path, w->begun_at.file_number);
    uint64_t offset = w->begun_at.offset + below(w, LOG_FRAME_HEADER_SIZE);
    enum io_kind kind;
    err_t err = io_disk_kind(sim_disk_io(w->disk), path, &kind, NULL);
    MODEL_EXPECT(&w->model, err_is_ok(err));
    if (kind == IO_KIND_NONE)
        return NULL;
    return sim_disk_flip(w->disk, path, offset, (unsigned)below(w, 8))
               ? "a bit of this life's first frame turned over"
               : NULL;
}

#define SEGMENT_FILES_MAX 64u

struct segment_files {
    struct world *w;
    char directory[2][200]; /* of a topic, of a partition */
    char paths[SEGMENT_FILES_MAX][200];
    uint32_t count;
};

static int note_segment(void *context, const char *name, enum io_kind kind)
{
    struct segment_files *files = context;
    if (kind == IO_KIND_FILE && files->count < SEGMENT_FILES_MAX)
        snprintf(files->paths[files->count++], sizeof files->paths[0], "%.150s/%.40s",
                 files->directory[1], name);
    return 0;
}

static void list_in(struct segment_files *files, const char *path, io_list_fn *each)
{
    enum io_kind kind;
    err_t err = io_disk_kind(sim_disk_io(files->w->disk), path, &kind, NULL);
    if (err_is_ok(err) && kind == IO_KIND_DIRECTORY)
        err = io_disk_list(sim_disk_io(files->w->disk), path, each, files, NULL);
    MODEL_EXPECT(&files->w->model, err_is_ok(err));
}

static int note_partition(void *context, const char *name, enum io_kind kind)
{
    struct segment_files *files = context;
    (void)kind;
    snprintf(files->directory[1], sizeof files->directory[1], "%.140s/%.8s", files->directory[0],
             name);
    list_in(files, files->directory[1], note_segment);
    return 0;
}

static int note_topic(void *context, const char *name, enum io_kind kind)
{
    struct segment_files *files = context;
    (void)kind;
    snprintf(files->directory[0], sizeof files->directory[0], "data/topics/%.120s", name);
    list_in(files, files->directory[0], note_partition);
    return 0;
}

static void list_segments(struct segment_files *files)
{
    list_in(files, "data/topics", note_topic);
}

/* Turns over a bit of one of the segments' files, or cuts it, or takes it away; NULL without one.
 */
static const char *damage_segment(struct world *w, bool running)
{
    char path[LOG_SEGMENT_PATH_MAX];
    struct segment_files files = {.w = w};
    list_segments(&files);
    if (files.count == 0)
        return NULL;
    memcpy(path, files.paths[below(w, files.count)], sizeof files.paths[0]);
    uint64_t size = size_of(w, path);
    uint64_t draw = running ? 0 : below(w, 6);
    world_say(w, "damaging %s", path);
    if (draw == 4) {
        remove_file(w, path);
        return "a file of a segment is gone";
    }
    if (size == 0)
        return NULL;
    if (draw == 5)
        cut(w, path, below(w, size));
    else
        sim_disk_flip(w->disk, path, below(w, size), (unsigned)below(w, 8));
    return draw == 5 ? "a file of a segment was cut" : "a bit of a segment turned over";
}

const char *damage_something(struct world *w)
{
    char path[64];
    struct wal_files files = list_files(w);
    if (files.count == 0)
        return NULL;
    uint32_t chosen = (uint32_t)below(w, files.count);
    wal_path(path, sizeof path, files.numbers[chosen]);
    uint64_t size = size_of(w, path);
    bool last = true;
    world_say(w, "damaging %s of %u files", path, files.count);
    switch (below(w, 11)) {
    case 8:
    case 9:
    case 10: return damage_segment(w, false);
    case 0: return damage_meta(w);
    case 1: cut(w, path, below(w, size)); return "a file was cut";
    case 2:
        /* Nothing tells that the last one was there. */
        for (uint32_t i = 0; i < files.count; i++)
            last = last && files.numbers[i] <= files.numbers[chosen];
        if (last)
            return NULL;
        remove_file(w, path);
        return "a file is gone";
    case 3:
    case 4:
        sim_disk_flip(w->disk, path, below(w, size), (unsigned)below(w, 8));
        return "a bit turned over";
    case 5: return forge(w);
    case 6: return damage_first(w);
    default: return damage_blocks(w, path, size, files.numbers[chosen] == w->recycled_file);
    }
}

void damage_rot(struct world *w)
{
    char path[64];
    w->rotten = true;
    if (chance(w, 1, 2) && damage_segment(w, true))
        return;
    const struct log_wal *wal = &w->log->wal;
    size_t index = below(w, wal->current + 1);
    uint64_t end = index == wal->current ? wal->offset : wal->files[index].size;
    if (end == 0)
        return;
    wal_path(path, sizeof path, wal->files[index].number);
    sim_disk_flip(w->disk, path, below(w, end), (unsigned)below(w, 8));
}

const char *damage_checkpoints(struct world *w, uint32_t *good)
{
    uint64_t lsns[4];
    size_t count = 0;
    char path[64];
    struct io_disk *disk = sim_disk_io(w->disk);
    err_t err = log_checkpoint_list(disk, "data", lsns, 4, &count, NULL);
    MODEL_EXPECT(&w->model, err_is_ok(err));
    *good = 0;
    if (count == 0)
        return NULL;
    size_t damaged = chance(w, 1, 6) ? count : 1;
    bool gone = chance(w, 1, 3);
    for (size_t i = 0; i < damaged; i++) {
        snprintf(path, sizeof path, "data/checkpoint/%020" PRIu64 ".ckpt", lsns[i]);
        /* For good: a later loss of power does not bring it back. */
        if (gone)
            remove_file(w, path);
        else
            sim_disk_flip(w->disk, path, below(w, size_of(w, path)), (unsigned)below(w, 8));
    }
    err = io_disk_sync_directory(disk, "data/checkpoint", NULL);
    MODEL_EXPECT(&w->model, err_is_ok(err));
    for (size_t i = damaged; i < count; i++) {
        struct buf bytes;
        buf_init(&bytes, 0);
        err = log_checkpoint_read(disk, "data", lsns[i], &bytes, NULL);
        *good += err_is_ok(err) && err_is_ok(log_checkpoint_check(buf_slice(&bytes)));
        buf_done(&bytes);
    }
    return gone ? "the newest checkpoint is gone" : "a bit of the newest checkpoint turned over";
}
