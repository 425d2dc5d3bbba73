#pragma once

/*
 * Checkpoints: the whole state at one durable frame, in `<data_directory>/checkpoint/<lsn>.ckpt`,
 * so that a start reads the WAL from there on only. They are also the manifest of the segments.
 * docs/formats/checkpoint.md has their bytes. A checkpoint is written beside the last, synced,
 * renamed and read back before an older one goes; two are kept, and the older one serves when the
 * newest cannot be read. So the WAL is kept from the older one on.
 *
 * Encoding is done on the sequencer's loop, from its state; all else blocks and is for a worker,
 * or for whoever opens the log.
 */

#include "base/buf.h"
#include "base/err.h"
#include "io/disk.h"
#include "log/state.h"

#define LOG_CHECKPOINT_MAGIC 0x504b4347u /* "GCKP" */
/* 2: with idempotency keys, and with what became of dead letters. 3: with requests that count once.
 * 4: with open topics, Kafka's producers and offsets of consumer groups. */
#define LOG_CHECKPOINT_VERSION 4u
#define LOG_CHECKPOINTS_KEPT 2u
/* What stands before the topics. */
#define LOG_CHECKPOINT_FRONT_SIZE (40u + LOG_FRAME_HEADER_SIZE + 16u)
#define LOG_CHECKPOINT_UUID_AT 16u /* in the file: whose it is */

/* What a checkpoint says besides the state. */
struct log_checkpoint {
    struct uuid uuid;             /* of the data directory */
    struct log_frame_header last; /* the last frame that the state knows; lsn, epoch, time, place */
    uint64_t sealed_file;         /* every WAL file up to this number is in segments */
    bool clean;                   /* `last` is the mark of a clean stop */
};

/* The file's bytes, CRC included. What it says of keys has been fixed by log_state_gather_keys.
 * ERR_MEMORY by the buffer's latch. */
void log_checkpoint_encode(const struct log_checkpoint *checkpoint, const struct log_state *state,
                           struct buf *out);
/* Reads a file's bytes into `state`, which is empty; log_state_load_keys has then to bring the
 * keys. ERR_CORRUPT, ERR_VERSION, ERR_MEMORY; the
 * state is then only good for being freed. */
err_t log_checkpoint_decode(struct slice bytes, struct log_checkpoint *out,
                            struct log_state *state);
/* ERR_CORRUPT unless length, magic and CRC fit; says nothing about the content. */
err_t log_checkpoint_check(struct slice bytes);
/* The sealed_file by a file's first bytes alone. ERR_CORRUPT, ERR_VERSION. What is behind them may
 * be damaged: such a file serves nobody, so that a wrong number of its does no harm. */
err_t log_checkpoint_sealed(struct slice front, uint64_t *sealed_file);

/* Writes `bytes` as the checkpoint of `lsn`: synced, read back and compared; then removes all but
 * the newest LOG_CHECKPOINTS_KEPT and the one of `held_lsn` (0: none). */
err_t log_checkpoint_write(struct io_disk *disk, const char *data_directory, uint64_t lsn,
                           struct slice bytes, uint64_t held_lsn, struct err_text *why);
/* The path of the checkpoint of `lsn`. */
void log_checkpoint_path(const char *data_directory, uint64_t lsn,
                         char out[static LOG_SEGMENT_PATH_MAX]);
/* Puts the checkpoints newer than `lsn` out of the way, as `<name>.damaged`: left in their place
 * they would push good ones out. */
err_t log_checkpoint_set_aside(struct io_disk *disk, const char *data_directory, uint64_t lsn,
                               struct err_text *why);
/* The lsns of the checkpoints in the directory, newest first; `*count` of them, at the most
 * `capacity`. */
err_t log_checkpoint_list(struct io_disk *disk, const char *data_directory, uint64_t *lsns,
                          size_t capacity, size_t *count, struct err_text *why);
/* log_checkpoint_sealed of the checkpoint of `lsn`, of which no more is read. */
err_t log_checkpoint_read_sealed(struct io_disk *disk, const char *data_directory, uint64_t lsn,
                                 uint64_t *sealed_file);
/* Reads one whole. */
err_t log_checkpoint_read(struct io_disk *disk, const char *data_directory, uint64_t lsn,
                          struct buf *out, struct err_text *why);
