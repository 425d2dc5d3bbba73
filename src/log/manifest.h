#pragma once

/*
 * What one backup is made of: a text with the backup's name, the frame that it is of, and a line a
 * file with where it lies, how much of it counts and the checksum of that.
 * docs/formats/backup.md has it line by line. What is decoded comes from a disk: it is checked,
 * never asserted. Pure; any thread.
 */

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/map.h"
#include "base/uuid.h"

#define LOG_MANIFEST_FORMAT 1u
#define LOG_MANIFEST_PATH_MAX 1024u

struct log_manifest_file {
    struct slice path; /* below a data directory */
    uint64_t begun;    /* its first bytes came with the backup made then (created_ms), and it is
                          shared; 0: it is this backup's own */
    uint64_t size;
    uint32_t crc; /* CRC-32C of so many bytes from its front */
};

/* Files in the order in which they were added. */
struct log_manifest {
    struct uuid uuid; /* of the data directory */
    int64_t created_ms;
    uint64_t lsn;
    uint64_t copied_bytes; /* written for this backup; the rest was there */
    struct log_manifest_file *files;
    size_t file_count;
    size_t file_capacity;
    struct map by_path;
    struct arena arena; /* of the paths */
};

void log_manifest_init(struct log_manifest *manifest);
void log_manifest_done(struct log_manifest *manifest);
/* Adds a file; the path is copied. ERR_INVALID for a path that no data directory has, or one that
 * is there already; ERR_MEMORY. */
err_t log_manifest_add(struct log_manifest *manifest, const struct log_manifest_file *file);
/* The file of this path, or NULL. */
const struct log_manifest_file *log_manifest_find(const struct log_manifest *manifest,
                                                  struct slice path);
/* Bytes of all files together. */
uint64_t log_manifest_bytes(const struct log_manifest *manifest);
/* The text. ERR_MEMORY by the buffer's latch. */
void log_manifest_encode(const struct log_manifest *manifest, struct buf *out);
/* Reads a text into an empty manifest. ERR_CORRUPT, ERR_VERSION, ERR_MEMORY; then it is only good
 * for being freed. What is decoded is encoded to the same text. */
err_t log_manifest_decode(struct slice text, struct log_manifest *manifest);
