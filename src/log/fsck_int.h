#pragma once

/*
 * The inside of the check: what its steps hand on. fsck.c opens, compares and ends, fsck_wal.c
 * reads the frames, fsck_apply.c puts them into the state, fsck_segment.c reads segments,
 * fsck_repair.c writes.
 */

#include "log/checkpoint.h"
#include "log/fsck.h"
#include "log/meta.h"
#include "log/wal.h"

/* Bytes of a file, read through a window that slides. A block that the disk does not give reads as
 * zeros: what lies there is then found to be damaged. */
struct log_fsck_window {
    struct io_file *file;
    uint64_t size; /* of the file */
    uint8_t *data;
    uint64_t capacity;
    uint64_t start;
    uint64_t filled;
    /* Bytes that stand in for those of the file at `overlay_at`. */
    struct slice overlay;
    uint64_t overlay_at;
};

struct log_fsck_file {
    uint64_t number;
    uint64_t size;
    uint64_t made_size; /* as its frames say; 0: it has none */
    bool missing;
    bool foreign;
    bool recycled;
    struct io_file *file; /* NULL when missing */
};

struct log_fsck_frame {
    struct log_frame_header header;
    uint32_t file; /* index */
    bool whole;
    bool counts; /* later epochs let it */
};

/* Damaged bytes of the WAL. */
struct log_fsck_range {
    uint64_t file_number;
    uint64_t first;
    uint64_t end;
    bool unexplained; /* nobody can say what was in it */
};

/* Records that are gone. */
struct log_fsck_loss {
    uint32_t topic_id;
    uint32_t partition;
    int64_t first_offset;
    int64_t end_offset;
    uint64_t records;
    bool at_most;    /* nobody knows better: offsets may have been holes */
    bool numbered;   /* the partition counted them, ... */
    uint64_t number; /* ... so many came before */
};

struct log_fsck {
    const struct log_fsck_options *options;
    struct io_disk *disk;
    const char *directory;
    bool repair;
    struct err_text *why;
    struct log_fsck_result result;
    struct io_file *lock;
    struct io_file *root; /* of a repair, for io_file_sync_all */

    struct log_meta meta;
    bool meta_good;
    struct uuid uuid;
    struct log_state state;
    struct log_checkpoint checkpoint;
    bool has_checkpoint;
    uint64_t bad_checkpoints;
    bool possible; /* a repair */
    bool salvage;  /* the state is made up of the segments: nothing is counted against it */

    struct log_fsck_file *files;
    size_t file_count;
    size_t file_capacity;
    struct log_fsck_frame *frames;
    size_t frame_count;
    size_t frame_capacity;
    struct buf copy; /* last.frame */
    struct log_frame_header copy_header;
    struct log_frame_header last; /* the last frame that counts */
    uint32_t last_file;
    uint64_t tail; /* behind it */
    bool gaps;     /* frames are missing or broken */
    struct log_fsck_range *ranges;
    size_t range_count;
    size_t range_capacity;

    struct log_fsck_loss *losses;
    size_t loss_count;
    size_t loss_capacity;
    /* Damaged batches that had holes: the next batch of the partition tells whether it is true what
     * they say of their last offset. */
    struct log_fsck_loss *holed;
    size_t holed_count;
    size_t holed_capacity;
    uint64_t *on_disk; /* records, a topic each */

    struct log_fsck_window window;
    uint64_t done_bytes;
    uint64_t total_bytes;
};

/* Room for one more of `size` bytes behind `count`. False without memory. */
bool log_fsck_grow(void **items, size_t *capacity, size_t count, size_t size);

/* Starts on another file; NULL for none. */
void log_fsck_window_set(struct log_fsck_window *window, struct io_file *file, uint64_t size);
/* Bytes [offset, offset + size), or ERR_END when the file is shorter; ERR_MEMORY. */
err_t log_fsck_window_get(struct log_fsck_window *window, uint64_t offset, uint64_t size,
                          struct slice *out);
/* Tells how far the reading is. */
void log_fsck_progress(struct log_fsck *f, uint64_t bytes);

/* Tells a finding; `text` as printf. `finding` has everything else. */
void log_fsck_find(struct log_fsck *f, const struct log_fsck_finding *finding, const char *format,
                   ...) __attribute__((format(printf, 3, 4)));
/* Tells what is about to be done. */
void log_fsck_act(struct log_fsck *f, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The path of `name` in the data directory. */
void log_fsck_path(const struct log_fsck *f, const char *name,
                   char out[static LOG_SEGMENT_PATH_MAX]);
struct log_segment_place log_fsck_place(const struct log_fsck *f, const struct log_topic *topic,
                                        uint32_t partition);

/* fsck_wal.c: looks at the files, before garner.meta is known: ERR_IO, ERR_MEMORY. */
err_t log_fsck_open_wal(struct log_fsck *f);
/* The uuid in the first frame of all; false without one. */
bool log_fsck_wal_uuid(struct log_fsck *f, struct uuid *out);
/* Reads all frames, follows their chain, applies what counts to the state. */
err_t log_fsck_read_wal(struct log_fsck *f);
err_t log_fsck_add_range(struct log_fsck *f, const struct log_fsck_range *range);
bool log_fsck_in_range(const struct log_fsck *f, uint64_t file_number, uint64_t first,
                       uint64_t end);
/* How long files are, for those that are not there. */
uint64_t log_fsck_usual_size(const struct log_fsck *f);
struct log_fsck_file *log_fsck_file(const struct log_fsck *f, uint64_t number);

/* fsck_apply.c: applies the entries of a frame. `*explained` says, for a frame that is not whole,
 * that all that is wrong with it is known. ERR_MEMORY, ERR_VERSION. */
err_t log_fsck_apply(struct log_fsck *f, const struct log_fsck_frame *frame, struct slice payload,
                     bool *explained);
err_t log_fsck_add_loss(struct log_fsck *f, const struct log_fsck_loss *loss);
/* Behind the last frame: what nobody has told of the ends of partitions. Moves those behind all
 * that may have been given out in frames that are gone. ERR_MEMORY. */
err_t log_fsck_move_ends(struct log_fsck *f);

/* fsck_segment.c: reads all partitions; with a repair the state's segments and indexes become what
 * is left, and files are written that do not stand in anybody's way. */
err_t log_fsck_read_partitions(struct log_fsck *f);

/* fsck_leftovers.c: tells of files that nobody names. */
err_t log_fsck_leftovers(struct log_fsck *f);
/* Whether a file of the partition's directory belongs to one of its segments. */
bool log_fsck_is_named(const struct log_partition *partition, const char *name);

/* fsck_salvage.c: reads the segments that are there when nobody says which there were. */
err_t log_fsck_salvage(struct log_fsck *f);

/* fsck_keys.c: reads the files of keys that the checkpoint names; lets go of what is damaged. */
err_t log_fsck_load_keys(struct log_fsck *f);
/* Writes what the new checkpoint is going to say of keys. */
err_t log_fsck_save_keys(struct log_fsck *f);

/* fsck_repair.c */
/* Copies [first, end) of a file below the data directory aside; a missing one is fine. */
err_t log_fsck_aside(struct log_fsck *f, const char *name, uint64_t first, uint64_t end);
/* Takes the losses out of the state's counts, so that the ledger balances. */
void log_fsck_settle(struct log_fsck *f);
/* Writes what is left to be written, the checkpoint last of what counts. */
err_t log_fsck_repair(struct log_fsck *f);
