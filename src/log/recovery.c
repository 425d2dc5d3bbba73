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
 * were durable are gone: then a later frame, anywhere, says so with its durable lsn, or by being
 * in an epoch whose beginning is missing. A scan tells them apart. Older frames of recycled files
 * prove nothing: their durable lsn is below. A file that is shorter than its frames say, or zero
 * where the next frame belongs, was damaged too, since files are made whole and never of zeros.
 *
 * The last frame is written again, since it may have been read from a cache that a failed flush
 * left behind; a copy beside the log makes that safe, because losing power in the middle may
 * destroy what is overwritten. Once the copy is durable its frame is part of the log for good: the
 * next recovery puts it back. The mark of a clean stop spares the scan and is taken away, so that
 * it says nothing about what is written after it.
 */

#define WINDOW_SIZE_MIN (UINT64_C(64) << 10)
#define WINDOW_SIZE_MAX (UINT64_C(8) << 20)
#define COPY_NAME "last.frame"

/* A file read through a sliding window: little at first, since of most files a start looks at the
 * front alone, and more with each step. */
struct window {
    struct io_file *file;
    uint64_t file_number;
    uint64_t file_size;
    uint8_t *data;
    uint64_t capacity;
    uint64_t start;
    uint64_t size;
    uint64_t step; /* to be read the next time, at the least */
};

struct recovery {
    struct log_wal *wal;
    const struct uuid *uuid;
    struct log_state *state;
    struct log_recovery result;
    struct log_frame_header *firsts; /* of each file; lsn 0 when it begins with none of ours */
    struct window window;
    uint64_t tail_offset; /* in wal->current, behind the last accepted frame */
    bool marked;          /* the checkpoint's last frame still is the mark of a clean stop */
    struct err_text *why;
};

/* Room for `size` bytes; what was in the window is forgotten. */
static err_t window_reserve(struct window *w, uint64_t size)
{
    ASSERT(size % IO_BLOCK == 0);
    w->size = 0;
    if (size <= w->capacity)
        return err_ok();
    uint8_t *data = mem_alloc_aligned(IO_BLOCK, (size_t)size);
    if (!data)
        return err_make(ERR_MEMORY);
    mem_free(w->data);
    w->data = data;
    w->capacity = size;
    return err_ok();
}

/* Bytes [offset, offset + size) of the file, or ERR_END when it is shorter. */
static err_t window_get(struct window *w, uint64_t offset, uint64_t size, struct slice *out)
{
    ASSERT(offset % IO_BLOCK == 0);
    if (offset + size > w->file_size)
        return err_make(ERR_END);
    if (offset < w->start || offset + size > w->start + w->size) {
        uint64_t wanted = (size + IO_BLOCK - 1) / IO_BLOCK * IO_BLOCK;
        wanted = wanted < w->step ? w->step : wanted;
        w->step = w->step < WINDOW_SIZE_MAX ? w->step * 2 : WINDOW_SIZE_MAX;
        TRY(window_reserve(w, wanted));
        size_t got = 0;
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
    w->file_number = file->number;
    w->file_size = file->size;
    w->start = w->size = 0;
    w->step = WINDOW_SIZE_MIN;
}

/* Reads the header at `offset` of the file in the window, whosever it is; lsn 0 without one. */
static err_t any_header_at(struct recovery *r, uint64_t offset, struct log_frame_header *out)
{
    struct slice bytes = {0};
    *out = (struct log_frame_header){0};
    err_t err = window_get(&r->window, offset, LOG_FRAME_HEADER_SIZE, &bytes);
    if (err_is(err, ERR_END))
        return err_ok();
    if (!err_is_ok(err))
        return err_set(r->why, (enum err_code)err.code,
                       "log file %" PRIu64 " cannot be read at byte %" PRIu64 ": %s",
                       r->window.file_number, offset, err_string(err));
    err = log_frame_decode(bytes, out);
    if (err_is(err, ERR_VERSION))
        return err_set(r->why, ERR_VERSION,
                       "the log was written by a newer garner; start that version, or another "
                       "data_dir");
    ASSERT(!err_is_ok(err) || out->lsn > 0);
    return err_ok();
}

/* The same for frames that belong where they stand. */
static err_t header_at(struct recovery *r, uint64_t offset, struct log_frame_header *out)
{
    ASSERT(offset % IO_BLOCK == 0);
    const struct window *w = &r->window;
    struct log_frame_header header;
    *out = (struct log_frame_header){0};
    TRY(any_header_at(r, offset, &header));
    if (header.lsn == 0 || !uuid_equal(&header.uuid, r->uuid) ||
        header.file_number != w->file_number || header.block != offset / IO_BLOCK)
        return err_ok();
    uint64_t made_size = (uint64_t)header.file_blocks * IO_BLOCK;
    if (w->file_size < made_size)
        return err_set(r->why, ERR_CORRUPT,
                       "log file %" PRIu64 " was cut: it ends at byte %" PRIu64
                       " and was made with %" PRIu64
                       " bytes; run garner fsck, or restore it from a copy",
                       w->file_number, w->file_size, made_size);
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
        struct log_frame_header header;
        TRY(any_header_at(r, 0, &header));
        if (header.lsn > 0 && !uuid_equal(&header.uuid, r->uuid))
            return err_set(r->why, ERR_CORRUPT,
                           "log file %" PRIu64 " does not belong to this garner.meta: one of the "
                           "two is missing or from another directory; run garner fsck, or restore "
                           "it from a copy",
                           r->wal->files[i].number);
        TRY(header_at(r, 0, &r->firsts[i]));
        r->wal->files[i].recycled = header.lsn > 0 && (header.flags & LOG_FRAME_RECYCLED ||
                                                       header.file_number != r->window.file_number);
    }
    return err_ok();
}

/* The last lsn of `epoch` that later epochs let count. */
static uint64_t epoch_end(const struct recovery *r, uint32_t epoch)
{
    ASSERT(r->firsts);
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
    ASSERT(header->lsn > 0 && offset % IO_BLOCK == 0);
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
    ASSERT(header->lsn == r->result.lsn + 1);
    ASSERT(header->epoch >= r->result.epoch);
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
    r->result.last = *header;
    r->result.lsn = header->lsn;
    r->result.last_crc = header->header_crc;
    r->result.epoch = header->epoch;
    r->result.time_ms = header->commit_time_ms;
    r->result.frames++;
    r->result.bytes += log_frame_disk_size(header->payload_size);
    return err_ok();
}

/* Accepts the frame at `offset` when it goes on with the chain; `*next` is behind it, or
 * `offset` itself when it does not. */
static err_t try_frame(struct recovery *r, uint64_t offset, uint64_t *next)
{
    *next = offset;
    struct log_frame_header header;
    TRY(header_at(r, offset, &header));
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
    struct log_position position = {header.file_number, offset, header.commit_time_ms};
    TRY(apply_frame(r, &header, payload, position));
    *next = offset + log_frame_disk_size(header.payload_size);
    return err_ok();
}

/* Walks the frames of one file from `offset` on. */
static err_t walk_file(struct recovery *r, size_t index, uint64_t offset)
{
    ASSERT(index < r->wal->file_count);
    window_set(&r->window, &r->wal->files[index]);
    for (;;) {
        uint64_t next = offset;
        TRY(try_frame(r, offset, &next));
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

static err_t damaged(const struct recovery *r, const struct log_frame_header *proof)
{
    const struct log_wal *wal = r->wal;
    ASSERT(wal->current < wal->file_count);
    return err_set(
        r->why, ERR_CORRUPT,
        "the log is damaged: frame %" PRIu64 " should begin in file %" PRIu64 " at byte %" PRIu64
        " and is missing or broken, but frame %" PRIu64 " in file %" PRIu64 " at byte %" PRIu64
        " was written after it had been "
        "acknowledged; nothing was changed, run garner fsck or restore the file from a copy",
        r->result.lsn + 1, wal->files[wal->current].number, r->tail_offset, proof->lsn,
        proof->file_number, (uint64_t)proof->block * IO_BLOCK);
}

/* A frame that cannot be where it is without one that recovery has not found. */
static bool proves_damage(const struct recovery *r, const struct log_frame_header *header)
{
    ASSERT(header->lsn > 0);
    if (header->epoch > r->result.epoch && !(header->flags & LOG_FRAME_EPOCH_START))
        return true;
    return header->lsn > r->result.lsn && header->durable_lsn > r->result.lsn;
}

/* Files are filled with a pattern before they are used: where the next frame belongs there is
 * the pattern, an older frame or a torn one, and behind a torn one the pattern or an older one. */
static err_t check_not_zeroed(struct recovery *r, uint64_t offset, bool recycled)
{
    static const uint8_t zeros[IO_BLOCK];
    struct log_frame_header torn;
    TRY(header_at(r, offset, &torn));
    if (torn.lsn > r->result.lsn)
        offset += log_frame_disk_size(torn.payload_size);
    /* What lies behind the front of a file that was used before may be anything that was in it. */
    if (recycled && offset > 0)
        return err_ok();
    struct slice block = {0};
    err_t err = window_get(&r->window, offset, IO_BLOCK, &block);
    if (err_is(err, ERR_END))
        return err_ok();
    TRY(err);
    ASSERT(block.size == sizeof zeros);
    if (memcmp(block.data, zeros, sizeof zeros) != 0)
        return err_ok();
    return err_set(r->why, ERR_CORRUPT,
                   "log file %" PRIu64 " holds zeros from byte %" PRIu64
                   " on, which garner never writes there: frames from %" PRIu64
                   " on may be missing; run garner fsck, or restore it from a copy",
                   r->window.file_number, offset, r->result.lsn + 1);
}

/* Looks behind the chain for a sign that something of it is gone. */
static err_t scan_rest(struct recovery *r)
{
    ASSERT(r->tail_offset % IO_BLOCK == 0);
    uint64_t offset = r->tail_offset;
    for (size_t i = r->wal->current; i < r->wal->file_count; i++, offset = 0) {
        window_set(&r->window, &r->wal->files[i]);
        struct log_wal_file *file = &r->wal->files[i];
        /* Also by its last frame: the file may have come to its second use in the middle. */
        bool recycled = file->recycled || (r->result.last.file_number == file->number &&
                                           (r->result.last.flags & LOG_FRAME_RECYCLED));
        TRY(check_not_zeroed(r, offset, recycled));
        /* What was cut here lies behind the frames to come, and may be anything. */
        file->recycled = true;
        for (; offset < r->wal->files[i].size; offset += IO_BLOCK) {
            struct log_frame_header header;
            TRY(header_at(r, offset, &header));
            if (header.lsn > 0 && proves_damage(r, &header))
                return damaged(r, &header);
            r->result.torn = r->result.torn || header.lsn > r->result.lsn;
        }
    }
    return err_ok();
}

static void copy_path(const struct log_wal *wal, char out[static LOG_WAL_PATH_MAX])
{
    int size = snprintf(out, LOG_WAL_PATH_MAX, "%s/" COPY_NAME, wal->directory);
    ASSERT(size > 0 && size < LOG_WAL_PATH_MAX);
}

static err_t remove_copy(const struct log_wal *wal, struct err_text *why)
{
    char path[LOG_WAL_PATH_MAX];
    copy_path(wal, path);
    err_t err = io_disk_remove(wal->disk, path, why);
    ASSERT(wal->file_count > 0);
    return err_is(err, ERR_NO_FILE) ? err_ok() : err;
}

/* Reads the copy into the window. ERR_NO_FILE when there is none. */
static err_t read_copy(struct recovery *r, struct slice *out)
{
    char path[LOG_WAL_PATH_MAX];
    copy_path(r->wal, path);
    enum io_kind kind = IO_KIND_NONE;
    TRY(io_disk_kind(r->wal->disk, path, &kind, r->why));
    if (kind != IO_KIND_FILE)
        return err_make(ERR_NO_FILE);
    struct io_file *file = NULL;
    TRY(io_disk_open(r->wal->disk, path, IO_OPEN_READ, &file, r->why));
    uint64_t size = 0;
    size_t got = 0;
    err_t err = io_file_size(file, &size);
    if (err_is_ok(err))
        err = window_reserve(&r->window, (size + IO_BLOCK - 1) / IO_BLOCK * IO_BLOCK);
    if (err_is_ok(err) && size > 0)
        err = io_file_read(file, r->window.data, (size_t)size, 0, &got);
    err_t closed = io_file_close(file);
    TRY(err);
    *out = slice_make(r->window.data, got);
    return closed;
}

/* The place of the frame in `copy`, or NULL when it is none of this log's. */
static struct log_wal_file *place_of_copy(const struct recovery *r, struct slice copy,
                                          struct log_frame_header *header)
{
    if (!err_is_ok(log_frame_decode(copy, header)) || !uuid_equal(&header->uuid, r->uuid) ||
        copy.size != log_frame_disk_size(header->payload_size))
        return NULL;
    const uint8_t *payload = copy.data + LOG_FRAME_HEADER_SIZE;
    if (crc32c(0, payload, header->payload_size) != header->payload_crc)
        return NULL;
    struct log_wal_file *file = log_wal_find(r->wal, header->file_number);
    uint64_t offset = (uint64_t)header->block * IO_BLOCK;
    return file && offset + copy.size <= file->size ? file : NULL;
}

/* What the last recovery did not finish. */
static err_t put_copy_back(struct recovery *r)
{
    ASSERT(r->result.lsn == 0);
    struct slice copy = {0};
    err_t err = read_copy(r, &copy);
    if (err_is(err, ERR_NO_FILE))
        return err_ok();
    TRY(err);
    struct log_frame_header header;
    const struct log_wal_file *file = place_of_copy(r, copy, &header);
    if (!file)
        return err_ok();
    TRY(io_file_write(file->writer, copy.data, copy.size, (uint64_t)header.block * IO_BLOCK));
    return io_file_sync(file->writer);
}

static err_t rewrite_last(struct recovery *r)
{
    struct log_wal_file *file = log_wal_find(r->wal, r->result.last.file_number);
    ASSERT(file && file->writer);
    uint64_t offset = (uint64_t)r->result.last.block * IO_BLOCK;
    window_set(&r->window, file);
    struct slice bytes = {0};
    TRY(window_get(&r->window, offset, log_frame_disk_size(r->result.last.payload_size), &bytes));
    char path[LOG_WAL_PATH_MAX];
    copy_path(r->wal, path);
    TRY(io_disk_write_file(r->wal->disk, path, bytes, r->why));
    TRY(io_file_write(file->writer, bytes.data, bytes.size, offset));
    return io_file_sync(file->writer);
}

/* The frame that the mark of a clean stop becomes when it is taken away. */
static void without_mark(struct log_frame_header *header)
{
    uint8_t bytes[LOG_FRAME_HEADER_SIZE];
    header->payload_size = 0;
    header->payload_crc = 0;
    log_frame_encode(header, bytes);
    ASSERT(header->header_crc != 0 || header->lsn > 0);
}

/* The frame that said so stays, without saying so. It holds nothing else: losing it loses nothing,
 * so that it needs no copy. */
static err_t take_stop_mark_away(struct recovery *r)
{
    ASSERT(r->result.last.payload_size <= LOG_ENTRY_HEADER_SIZE);
    struct log_wal_file *file = log_wal_find(r->wal, r->result.last.file_number);
    TRY(window_reserve(&r->window, IO_BLOCK));
    memset(r->window.data, 0, IO_BLOCK);
    without_mark(&r->result.last);
    log_frame_encode(&r->result.last, r->window.data);
    TRY(io_file_write(file->writer, r->window.data, IO_BLOCK,
                      (uint64_t)r->result.last.block * IO_BLOCK));
    TRY(io_file_sync(file->writer));
    r->result.last_crc = r->result.last.header_crc;
    return err_ok();
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

/* The chain goes on behind the checkpoint's last frame. Where that was the mark of a clean stop and
 * is not there any more, it is what it became that the next frame names. */
static err_t begin_behind(struct recovery *r, const struct log_checkpoint *checkpoint)
{
    const struct log_frame_header *last = &checkpoint->last;
    struct log_wal_file *file = log_wal_find(r->wal, last->file_number);
    if (!file)
        return err_set(r->why, ERR_CORRUPT,
                       "log file %" PRIu64 " is missing, in which the log goes on behind "
                       "checkpoint %" PRIu64 "; run garner fsck, or restore it from a copy",
                       last->file_number, last->lsn);
    ASSERT(r->wal->files <= file);
    r->wal->current = (size_t)(file - r->wal->files);
    r->tail_offset = (uint64_t)last->block * IO_BLOCK + log_frame_disk_size(last->payload_size);
    r->result.last = *last;
    if (checkpoint->clean) {
        struct log_frame_header found;
        window_set(&r->window, file);
        TRY(header_at(r, (uint64_t)last->block * IO_BLOCK, &found));
        r->marked = found.lsn == last->lsn && found.header_crc == last->header_crc;
        if (!r->marked)
            without_mark(&r->result.last);
    }
    r->result.lsn = last->lsn;
    r->result.last_crc = r->result.last.header_crc;
    r->result.epoch = last->epoch;
    r->result.time_ms = last->commit_time_ms;
    return err_ok();
}

static err_t walk(struct recovery *r)
{
    struct log_wal *wal = r->wal;
    uint64_t offset = r->tail_offset;
    for (size_t i = wal->current; i < wal->file_count; i++, offset = 0)
        TRY(walk_file(r, i, offset));
    ASSERT(wal->file_count == 0 || wal->current < wal->file_count);
    bool last_is_mark =
        r->state->clean_stop && r->result.last.payload_size == LOG_ENTRY_HEADER_SIZE;
    r->result.clean = r->result.frames > 0 ? last_is_mark : r->marked;
    return err_ok();
}

/* What is taken away was there, or is what is left of it. A frame that a checkpoint covers was
 * durable before that was written, and needs no rewriting. */
static err_t settle(struct recovery *r, const struct log_checkpoint *checkpoint)
{
    if (!r->result.clean)
        TRY(scan_rest(r));
    ASSERT(r->result.clean || r->result.last.lsn == r->result.lsn);
    bool mark = r->result.clean || (checkpoint && checkpoint->clean && r->result.frames == 0);
    if (mark)
        return take_stop_mark_away(r);
    return r->result.frames > 0 ? rewrite_last(r) : err_ok();
}

/* From the first file that a checkpoint has not sealed on, none may be missing. */
static err_t check_files(const struct recovery *r, const struct log_checkpoint *checkpoint)
{
    const struct log_wal *wal = r->wal;
    uint64_t first = checkpoint ? checkpoint->sealed_file + 1 : 1;
    ASSERT(first > 0);
    if (wal->file_count == 0 || wal->contiguous_from <= first)
        return err_ok();
    return err_set(r->why, ERR_CORRUPT,
                   "log file %" PRIu64
                   " is missing from %s; run garner fsck, or restore it from a copy",
                   wal->contiguous_from - 1, wal->directory);
}

static err_t recover(struct recovery *r, const struct log_checkpoint *checkpoint)
{
    ASSERT(!r->firsts && r->result.lsn == 0);
    struct log_wal *wal = r->wal;
    TRY(check_files(r, checkpoint));
    TRY(put_copy_back(r));
    TRY(read_firsts(r));
    if (checkpoint)
        TRY(begin_behind(r, checkpoint));
    TRY(walk(r));
    TRY(settle(r, checkpoint));
    wal->offset = r->tail_offset;
    TRY(close_old_writers(wal));
    return wal->file_count > 0 ? remove_copy(wal, r->why) : err_ok();
}

err_t log_recover(struct log_wal *wal, const struct uuid *uuid,
                  const struct log_checkpoint *checkpoint, struct log_state *state,
                  struct log_recovery *out, struct err_text *why)
{
    ASSERT(wal->current == 0 && wal->offset == 0);
    struct recovery r = {.wal = wal, .uuid = uuid, .state = state, .why = why};
    err_t err = recover(&r, checkpoint);
    mem_free(r.firsts);
    mem_free(r.window.data);
    if (err_is_ok(err))
        *out = r.result;
    return err;
}
