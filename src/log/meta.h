#pragma once

/*
 * `garner.meta`: what a data directory is. A small text file, replaced as a whole; written before
 * the first frame (state new) and once it is durable (state ready), so that a directory whose log
 * has vanished is told from a new one. Blocks.
 */

#include "base/err.h"
#include "base/uuid.h"
#include "io/disk.h"

/* 1: a write-ahead log alone. 2: segments, checkpoints, recycled log files. 3: idempotency keys,
 * and what became of dead letters. 4: requests that count once. 5: open topics, Kafka's producers,
 * offsets of consumer groups. */
#define LOG_META_FORMAT 5u

struct log_meta {
    uint32_t format;
    struct uuid uuid;
    bool ready; /* the first frame is durable: a log without it is damaged */
};

/* Reads it. ERR_NO_FILE when there is none, ERR_VERSION for a newer format, ERR_CORRUPT. */
err_t log_meta_read(struct io_disk *disk, const char *directory, struct log_meta *out,
                    struct err_text *why);
/* Replaces it, durably. */
err_t log_meta_write(struct io_disk *disk, const char *directory, const struct log_meta *meta,
                     struct err_text *why);
/* Parses the text, for the reader and its tests. */
err_t log_meta_parse(struct slice text, struct log_meta *out, struct err_text *why);
