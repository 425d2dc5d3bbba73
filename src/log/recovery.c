#include "log/recovery.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/hash.h"

#include <inttypes.h>

/*
 * The happy path: files in the order of their numbers, frames in each from the front, every frame
 * fitting the one before it by lsn and by the CRC of its header, up to the first that does not
 * fit; then the same at the front of the next file, since a frame never spans files and the rest
 * of a file may have been too small for it.
 *
 * A fenced log goes on in another file with the next epoch. That file's first frame says up to
 * which lsn earlier epochs count: a frame of theirs behind it was never durable as far as anybody
 * was told, even if its bytes arrived after all, and is passed over.
 *
 * Where the chain ends, two things can have happened. A crash in the middle of the last write:
 * one flush is in flight at a time, so nothing that follows can have been written. Or bytes that
 * were durable are gone: then a later frame, anywhere, says so with its durable lsn. A scan tells
 * them apart. Older frames of recycled files prove nothing: their durable lsn is below.
 */

#define WINDOW_SIZE (UINT64_C(8) << 20)

/* A file read through a sliding window. */
struct window {
    struct io_file *file;
    uint64_t file_size;
    uint8_t *data;
    uint64_t capacity;
    uint64_t start;
    uint64_t size;
};

struct recovery {
    struct log_wal *wal;
    const struct uuid *uuid;
    struct log_state *state;
    struct log_recovery result;
    struct log_frame_header *firsts; /* of each file; lsn 0 when it begins with none of ours */
    struct window window;
    struct log_position last; /* of the last accepted frame */
    uint64_t last_disk_size;
    uint64_t tail_offset; /* in wal->current, behind the last accepted frame */
    struct err_text *why;
};

/* Bytes [offset, offset + size) of the file, or ERR_END when it is shorter. */
static err_t window_get(struct window *w, uint64_t offset, uint64_t size, struct slice *out)
{
    ASSERT(offset % IO_BLOCK == 0);
    if (offset + size > w->file_size)
        return err_make(ERR_END);
    if (offset < w->start || offset + size > w->start + w->size) {
        uint64_t wanted = (size + IO_BLOCK - 1) / IO_BLOCK * IO_BLOCK;
        wanted = wanted < WINDOW_SIZE ? WINDOW_SIZE : wanted;
        if (wanted > w->capacity) {
            uint8_t *data = mem_alloc_aligned(IO_BLOCK, (size_t)wanted);
            if (!data)
                return err_make(ERR_MEMORY);
            mem_free(w->data);
            w->data = data;
            w->capacity = wanted;
        }
        size_t got = 0;
        w->size = 0;
        TRY(io_file_read(w->file, w->data, (size_t)wanted, offset, &got));
        w->start = offset;
        w->size = got;
        if (got < size)
            return err_make(ERR_END);
    }
    *out = slice_make(w->data + (offset - w->start), (size_t)size);
    return err_ok();
}

static void window_set(struct window *w, const struct log_wal_file *file)
{
    ASSERT(file->writer);
    w->file = file->writer;
    w->file_size = file->size;
    w->start = w->size = 0;
}

/* Reads the header at `offset` of file `index` if it is one of ours; lsn 0 when it is not. */
static err_t header_at(struct recovery *r, size_t index, uint64_t offset,
                       struct log_frame_header *out)
{
    struct slice bytes = {0};
    out->lsn = 0;
    err_t err = window_get(&r->window, offset, LOG_FRAME_HEADER_SIZE, &bytes);
    if (err_is(err, ERR_END))
        return err_ok();
    TRY(err);
    struct log_frame_header header;
    err = log_frame_decode(bytes, &header);
    if (err_is(err, ERR_VERSION))
        return err_set(r->why, ERR_VERSION,
                       "the log was written by a newer garner; start that version, or another "
                       "data_dir");
    if (err_is_ok(err) && uuid_equal(&header.uuid, r->uuid) &&
        header.file_number == r->wal->files[index].number)
        *out = header;
    return err_ok();
}

static err_t read_firsts(struct recovery *r)
{
    ASSERT(!r->firsts);
    r->firsts = mem_zalloc(r->wal->file_count + 1, sizeof *r->firsts);
    if (!r->firsts)
        return err_make(ERR_MEMORY);
    for (size_t i = 0; i < r->wal->file_count; i++) {
        window_set(&r->window, &r->wal->files[i]);
        TRY(header_at(r, i, 0, &r->firsts[i]));
    }
    return err_ok();
}

/* The last lsn of `epoch` that later epochs let count. */
static uint64_t epoch_end(const struct recovery *r, uint32_t epoch)
{
    uint64_t end = UINT64_MAX;
    for (size_t i = 0; i < r->wal->file_count; i++) {
        const struct log_frame_header *first = &r->firsts[i];
        if (first->lsn > 0 && (first->flags & LOG_FRAME_EPOCH_START) && first->epoch > epoch &&
            first->valid_to_lsn < end)
            end = first->valid_to_lsn;
    }
    return end;
}

static bool continues_chain(const struct recovery *r, const struct log_frame_header *header,
                            uint64_t offset)
{
    const struct log_recovery *last = &r->result;
    if (header->lsn != last->lsn + 1 || header->previous_crc != last->last_crc ||
        header->lsn > epoch_end(r, header->epoch))
        return false;
    if (header->flags & LOG_FRAME_EPOCH_START)
        return offset == 0 && header->epoch > last->epoch && header->valid_to_lsn == last->lsn;
    return header->epoch == last->epoch;
}

static err_t apply_frame(struct recovery *r, const struct log_frame_header *header,
                         struct slice payload, struct log_position position)
{
    err_t err = log_state_apply(r->state, payload, position);
    if (err_is(err, ERR_CORRUPT))
        return err_set(r->why, ERR_CORRUPT,
                       "frame %" PRIu64 " in file %" PRIu64 " at byte %" PRIu64
                       " is whole but says what cannot be",
                       header->lsn, position.file_number, position.offset);
    if (err_is(err, ERR_VERSION))
        return err_set(r->why, ERR_VERSION,
                       "frame %" PRIu64 " holds an entry of a newer garner; start that version",
                       header->lsn);
    TRY(err);
    r->last = position;
    r->last_disk_size = log_frame_disk_size(header->payload_size);
    r->result.lsn = header->lsn;
    r->result.last_crc = header->header_crc;
    r->result.epoch = header->epoch;
    r->result.time_ms = header->commit_time_ms;
    r->result.frames++;
    r->result.bytes += r->last_disk_size;
    return err_ok();
}

/* Accepts the frame at `offset` when it goes on with the chain; `*next` is behind it, or
 * `offset` itself when it does not. */
static err_t try_frame(struct recovery *r, size_t index, uint64_t offset, uint64_t *next)
{
    *next = offset;
    struct log_frame_header header = {0};
    TRY(header_at(r, index, offset, &header));
    if (header.lsn == 0 || !continues_chain(r, &header, offset))
        return err_ok();
    struct slice bytes = {0};
    uint64_t size = LOG_FRAME_HEADER_SIZE + (uint64_t)header.payload_size;
    err_t err = window_get(&r->window, offset, size, &bytes);
    if (err_is(err, ERR_END))
        return err_ok();
    TRY(err);
    struct slice payload = slice_sub(bytes, LOG_FRAME_HEADER_SIZE, SIZE_MAX);
    if (crc32c(0, payload.data, payload.size) != header.payload_crc)
        return err_ok();
    struct log_position position = {r->wal->files[index].number, offset};
    TRY(apply_frame(r, &header, payload, position));
    *next = offset + r->last_disk_size;
    return err_ok();
}

/* Walks the frames of one file; true in `*any` when it held at least one of the chain. */
static err_t walk_file(struct recovery *r, size_t index)
{
    window_set(&r->window, &r->wal->files[index]);
    uint64_t offset = 0;
    for (;;) {
        uint64_t next;
        TRY(try_frame(r, index, offset, &next));
        if (next == offset)
            break;
        offset = next;
    }
    if (offset > 0) {
        r->wal->current = index;
        r->tail_offset = offset;
    }
    return err_ok();
}

static err_t damaged(const struct recovery *r, const struct log_frame_header *proof,
                     uint64_t file_number, uint64_t offset)
{
    const struct log_wal *wal = r->wal;
    uint64_t at = wal->file_count ? wal->files[wal->current].number : 1;
    return err_set(r->why, ERR_CORRUPT,
                   "the log is damaged: frame %" PRIu64 " should begin in file %" PRIu64
                   " at byte %" PRIu64 " and is missing or broken, but frame %" PRIu64
                   " in file %" PRIu64 " at byte %" PRIu64
                   " proves that frames up to %" PRIu64
                   " had been acknowledged; nothing was changed, restore the file from a copy",
                   r->result.lsn + 1, at, r->tail_offset, proof->lsn, file_number, offset,
                   proof->durable_lsn);
}

/* Looks behind the chain for a frame that proves that something of it is gone. */
static err_t scan_rest(struct recovery *r)
{
    uint64_t offset = r->tail_offset;
    for (size_t i = r->wal->current; i < r->wal->file_count; i++, offset = 0) {
        window_set(&r->window, &r->wal->files[i]);
        for (; offset < r->wal->files[i].size; offset += IO_BLOCK) {
            struct log_frame_header header = {0};
            TRY(header_at(r, i, offset, &header));
            if (header.lsn == 0 || header.lsn <= r->result.lsn)
                continue;
            if (header.durable_lsn > r->result.lsn)
                return damaged(r, &header, r->wal->files[i].number, offset);
            r->result.torn = true;
        }
    }
    return err_ok();
}

/* The last frame may have been read from a cache that a failed flush left behind: it is written
 * again and flushed before anybody is told that it is there. */
static err_t rewrite_last(struct recovery *r)
{
    if (r->result.lsn == 0)
        return err_ok();
    struct log_wal_file *file = log_wal_find(r->wal, r->last.file_number);
    ASSERT(file && file->writer);
    window_set(&r->window, file);
    struct slice bytes = {0};
    TRY(window_get(&r->window, r->last.offset, r->last_disk_size, &bytes));
    TRY(io_file_write(file->writer, bytes.data, bytes.size, r->last.offset));
    return io_file_sync(file->writer);
}

/* Readers come through handles of their own; only files that are still written keep a writer. */
static err_t close_old_writers(struct log_wal *wal)
{
    ASSERT(wal->file_count == 0 || wal->current < wal->file_count);
    for (size_t i = 0; i < wal->current; i++) {
        struct io_file *writer = wal->files[i].writer;
        wal->files[i].writer = NULL;
        TRY(io_file_close(writer));
    }
    return err_ok();
}

static err_t recover(struct recovery *r)
{
    TRY(read_firsts(r));
    for (size_t i = 0; i < r->wal->file_count; i++)
        TRY(walk_file(r, i));
    r->result.clean = r->state->clean_stop;
    if (!r->result.clean)
        TRY(scan_rest(r));
    TRY(rewrite_last(r));
    r->wal->offset = r->tail_offset;
    return close_old_writers(r->wal);
}

err_t log_recover(struct log_wal *wal, const struct uuid *uuid, struct log_state *state,
                  struct log_recovery *out, struct err_text *why)
{
    ASSERT(wal->current == 0 && wal->offset == 0);
    struct recovery r = {.wal = wal, .uuid = uuid, .state = state, .why = why};
    err_t err = recover(&r);
    mem_free(r.firsts);
    mem_free(r.window.data);
    if (err_is_ok(err))
        *out = r.result;
    return err;
}
