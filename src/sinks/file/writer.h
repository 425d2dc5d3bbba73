#pragma once

/*
 * One in-progress file of a file sink: lines gathered in a buffer and written when it is full.
 * It can be closed in between, when too many are open, and opens itself again when it is written
 * to. Whoever fails here throws the whole epoch away, so a failure leaves nothing to repair.
 */

#include "base/list.h"
#include "io/disk.h"

/* Memory that an open writer holds. */
#define SINKS_FILE_BUFFER_SIZE (UINT32_C(256) << 10)

struct sinks_file_writer {
    struct list link;     /* the owner's, in the list of those that are open */
    struct io_file *file; /* NULL: closed */
    uint8_t *buffer;      /* NULL: closed */
    size_t used;
    uint64_t written; /* bytes in the file, without those in the buffer */
    uint64_t begun;   /* of these, on their way to the device */
    uint32_t topic_id;
    uint32_t partition;
    uint32_t number;      /* of the in-progress file */
    int64_t first_offset; /* of redriven records: the owner's */
    int64_t last_offset;
    size_t key_size;
    uint8_t key[]; /* the path below the root up to the offsets */
};

/* A closed writer for an empty file. NULL without memory. */
struct sinks_file_writer *sinks_file_writer_new(struct slice key, uint32_t topic_id,
                                                uint32_t partition, uint32_t number);
/* Closes without writing the rest, and frees. */
void sinks_file_writer_free(struct sinks_file_writer *writer);
/* Opens a closed writer at `path`; the first time the file begins empty, whatever was there. */
err_t sinks_file_writer_open(struct sinks_file_writer *writer, struct io_disk *disk,
                             const char *path, struct err_text *why);
/* Adds a value and a newline to an open writer; line ends within the value, which in JSON are
 * space between tokens, are left out, and null is `null`. */
err_t sinks_file_writer_add(struct sinks_file_writer *writer, struct slice value);
/* Writes the rest, flushes to the device and closes; nothing for a closed writer. */
err_t sinks_file_writer_close(struct sinks_file_writer *writer);
/* Bytes of the file when all is written. */
static inline uint64_t sinks_file_writer_size(const struct sinks_file_writer *writer)
{
    return writer->written + writer->used;
}
