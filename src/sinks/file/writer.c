#include "sinks/file/writer.h"

#include "base/alloc.h"
#include "base/assert.h"

/*
 * One file of an epoch while it grows. Records gather in a buffer of its own and go out in pieces
 * of that size, each at an offset that is known, so a file that had to be closed to make room is
 * opened again and goes on where it stopped.
 *
 * Failure: after any error the writer is only good for freeing. Nothing that it wrote is seen by a
 * reader: the file stands beside the root until the epoch is published.
 */

#define WRITE_BACK_SIZE (UINT64_C(1) << 20)

struct sinks_file_writer *sinks_file_writer_new(struct slice key, uint32_t topic_id,
                                                uint32_t partition, uint32_t number)
{
    ASSERT(key.size > 0);
    struct sinks_file_writer *writer = mem_alloc(sizeof(*writer) + key.size);
    if (!writer)
        return NULL;
    *writer = (struct sinks_file_writer){
        .topic_id = topic_id, .partition = partition, .number = number, .key_size = key.size};
    memcpy(writer->key, key.data, key.size);
    return writer;
}

/* Gives back what an open writer holds. */
static err_t release(struct sinks_file_writer *writer)
{
    err_t err = io_file_close(writer->file);
    mem_free(writer->buffer);
    writer->file = NULL;
    writer->buffer = NULL;
    writer->used = 0;
    return err;
}

void sinks_file_writer_free(struct sinks_file_writer *writer)
{
    /* Its bytes are given up: an error of closing changes nothing. */
    (void)release(writer);
    list_remove(&writer->link);
    mem_free(writer);
}

err_t sinks_file_writer_open(struct sinks_file_writer *writer, struct io_disk *disk,
                             const char *path, struct err_text *why)
{
    ASSERT(!writer->file && !writer->buffer && writer->used == 0);
    /* A number is used again epoch after epoch: what a crash left under it is cut off. */
    unsigned fresh = writer->written == 0 ? IO_OPEN_CREATE | IO_OPEN_TRUNCATE : 0;
    struct io_file *file = NULL;
    TRY(io_disk_open(disk, path, IO_OPEN_WRITE | fresh, &file, why));
    writer->buffer = mem_alloc(SINKS_FILE_BUFFER_SIZE);
    writer->file = file;
    if (writer->buffer)
        return err_ok();
    (void)release(writer);
    return err_make(ERR_MEMORY);
}

/* Flushed all at once at its end, a file would keep every other flush of the disk waiting, the
 * log's among them. */
static void begin_write_back(struct sinks_file_writer *writer)
{
    ASSERT(writer->written >= writer->begun);
    uint64_t size = writer->written - writer->begun;
    if (size < WRITE_BACK_SIZE)
        return;
    io_file_write_behind(writer->file, writer->begun, size);
    writer->begun = writer->written;
}

static err_t write_buffer(struct sinks_file_writer *writer)
{
    ASSERT(writer->file);
    TRY(io_file_write(writer->file, writer->buffer, writer->used, writer->written));
    writer->written += writer->used;
    writer->used = 0;
    begin_write_back(writer);
    return err_ok();
}

static err_t add_bytes(struct sinks_file_writer *writer, struct slice bytes)
{
    while (bytes.size) {
        if (writer->used == SINKS_FILE_BUFFER_SIZE)
            TRY(write_buffer(writer));
        struct slice part = slice_sub(bytes, 0, SINKS_FILE_BUFFER_SIZE - writer->used);
        memcpy(writer->buffer + writer->used, part.data, part.size);
        writer->used += part.size;
        bytes = slice_sub(bytes, part.size, bytes.size);
    }
    return err_ok();
}

/* A value that spans lines: what lies between its line ends. */
static err_t add_spanning(struct sinks_file_writer *writer, struct slice value)
{
    while (value.size) {
        size_t size = 0;
        /* Between the tokens of a JSON text a line end is white space, and within a string it
         * cannot stand: taking it out changes no value, and a line stays a record. A dead letter
         * may lose line ends of its broken bytes; the log has them. */
        while (size < value.size && value.data[size] != '\n' && value.data[size] != '\r')
            size++;
        TRY(add_bytes(writer, slice_sub(value, 0, size)));
        value = slice_sub(value, size + 1, value.size);
    }
    return err_ok();
}

err_t sinks_file_writer_add(struct sinks_file_writer *writer, struct slice value)
{
    ASSERT(writer->buffer && writer->used <= SINKS_FILE_BUFFER_SIZE);
    /* A tombstone: JSON's null, so that every record has its line. */
    if (!value.data)
        value = SLICE_LITERAL("null");
    if (memchr(value.data, '\n', value.size) || memchr(value.data, '\r', value.size))
        TRY(add_spanning(writer, value));
    else
        TRY(add_bytes(writer, value));
    return add_bytes(writer, SLICE_LITERAL("\n"));
}

err_t sinks_file_writer_close(struct sinks_file_writer *writer)
{
    if (!writer->file)
        return err_ok();
    err_t err = writer->used ? write_buffer(writer) : err_ok();
    if (err_is_ok(err))
        /* Before the epoch is prepared: once that is in the log, the file will be put in place, and
         * must be whole. */
        err = io_file_sync(writer->file);
    writer->begun = writer->written;
    err_t close_err = release(writer);
    return err_is_ok(err) ? close_err : err;
}
