#pragma once

/*
 * What a prepared epoch of a file sink leaves in the log: which in-progress files become which
 * complete ones. It names all directories in full, so that an epoch is finished where it was
 * begun, whatever the configuration says by then.
 *
 *   0 version = 1 (1)   root: length (uvarint), bytes   count (uvarint)
 *   then for each: number (uvarint)   path: length (uvarint), bytes
 *
 * The in-progress file `number` lies in `<root>.inprogress/`, `path` is relative to the root.
 */

#include "base/buf.h"
#include "base/cursor.h"
#include "base/err.h"

struct sinks_file_output {
    uint32_t number;
    struct slice path;
};

/* Walks outputs that have been checked. */
struct sinks_file_outputs {
    struct slice root;
    uint64_t left;
    struct cursor cursor;
};

/* Appends the head; `count` outputs follow. */
void sinks_file_outputs_begin(struct buf *out, struct slice root, size_t count);
/* Appends one. Those of one directory follow each other: it is then flushed once. */
void sinks_file_outputs_add(struct buf *out, uint32_t number, struct slice path);

/* Checks all of `bytes` and starts a walk over them. ERR_VERSION, or ERR_CORRUPT: cut, or a
 * path that leaves the root or is longer than a path can be. */
err_t sinks_file_outputs_open(struct slice bytes, struct sinks_file_outputs *out);
/* The next one; false after the last. */
bool sinks_file_outputs_next(struct sinks_file_outputs *outputs, struct sinks_file_output *out);

/* Puts the path of a directory into `path`, with a final zero that is not counted; a lack of
 * memory is latched. */
void sinks_file_directory_path(struct buf *path, struct slice directory);
/* The same for the directory of in-progress files. */
void sinks_file_progress_directory(struct buf *path, struct slice root);
/* The same for one in-progress file. */
void sinks_file_progress_path(struct buf *path, struct slice root, uint32_t number);
/* The same for a complete file. */
void sinks_file_final_path(struct buf *path, struct slice root, struct slice relative);
/* True when `name` is one of an in-progress file. */
bool sinks_file_progress_name(struct slice name);
