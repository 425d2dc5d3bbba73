#include "base/alloc.h"
#include "base/assert.h"
#include "base/hash.h"
#include "base/number.h"
#include "log/fsck_int.h"

#include <inttypes.h>

/*
 * The happy path: every file that is not sealed is read block by block, its frames go into a
 * list, and the list is one chain by lsn and by the CRC of the header before; what lies behind the
 * checkpoint is applied to the state.
 *
 * Failure modes: recovery stops at the first frame that does not fit. Here the chain is taken up
 * again at the next frame that was found, whatever is missing between the two; a frame with a good
 * header and broken entries is given to fsck_apply.c to save what can be saved. What a frame of a
 * later epoch has revoked stays revoked. A broken frame at the very end is a torn tail, as it is
 * for recovery, and no damage.
 */

#define WINDOW_SIZE (UINT64_C(4) << 20)
#define FILES_MAX (UINT64_C(1) << 16)

bool log_fsck_grow(void **items, size_t *capacity, size_t count, size_t size)
{
    ASSERT(size > 0 && count <= *capacity);
    if (count < *capacity)
        return true;
    size_t grown = *capacity ? *capacity * 2 : 16;
    void *memory = mem_realloc(*items, grown, size);
    if (!memory)
        return false;
    *items = memory;
    *capacity = grown;
    return true;
}

void log_fsck_window_set(struct log_fsck_window *window, struct io_file *file, uint64_t size)
{
    ASSERT(file || size == 0);
    window->file = file;
    window->size = size;
    window->start = window->filled = 0;
    window->overlay = (struct slice){0};
}

/* A block that the disk refuses is taken for zeros: it holds no frame then, and the blocks
 * around it are still read. */
static void read_block(struct log_fsck_window *w, uint64_t at, uint64_t size)
{
    size_t got = 0;
    ASSERT(at + size <= w->capacity);
    err_t err = io_file_read(w->file, w->data + at, (size_t)size, w->start + at, &got);
    if (!err_is_ok(err))
        got = 0;
    memset(w->data + at + got, 0, (size_t)size - got);
}

/* A disk that refuses some blocks has the others all the same. */
static void fill(struct log_fsck_window *w, uint64_t size)
{
    size_t got = 0;
    ASSERT(size <= w->capacity);
    err_t err = io_file_read(w->file, w->data, (size_t)size, w->start, &got);
    for (uint64_t at = 0; !err_is_ok(err) && at < size; at += IO_BLOCK)
        read_block(w, at, size - at < IO_BLOCK ? size - at : IO_BLOCK);
    w->filled = err_is_ok(err) ? got : size;
    uint64_t first = w->overlay_at > w->start ? w->overlay_at : w->start;
    uint64_t end = w->overlay_at + w->overlay.size;
    end = end < w->start + w->filled ? end : w->start + w->filled;
    if (w->overlay.size > 0 && first < end)
        memcpy(w->data + (first - w->start), w->overlay.data + (first - w->overlay_at),
               (size_t)(end - first));
}

err_t log_fsck_window_get(struct log_fsck_window *window, uint64_t offset, uint64_t size,
                          struct slice *out)
{
    ASSERT(size > 0);
    if (!window->file || offset > window->size || window->size - offset < size)
        return err_make(ERR_END);
    if (offset < window->start || offset + size > window->start + window->filled) {
        uint64_t wanted = size < WINDOW_SIZE ? WINDOW_SIZE : size;
        if (wanted > window->capacity) {
            uint8_t *data = mem_alloc((size_t)wanted);
            if (!data)
                return err_make(ERR_MEMORY);
            mem_free(window->data);
            window->data = data;
            window->capacity = wanted;
        }
        window->start = offset;
        uint64_t left = window->size - offset;
        fill(window, wanted < left ? wanted : left);
        if (window->filled < size)
            return err_make(ERR_END);
    }
    *out = slice_make(window->data + (offset - window->start), (size_t)size);
    return err_ok();
}

struct log_fsck_file *log_fsck_file(const struct log_fsck *f, uint64_t number)
{
    ASSERT(f->files || f->file_count == 0);
    for (size_t i = 0; i < f->file_count; i++) {
        if (f->files[i].number == number)
            return &f->files[i];
    }
    return NULL;
}

static void file_name(uint64_t number, char out[static 64])
{
    int size = snprintf(out, 64, "wal/%020" PRIu64 ".wal", number);
    ASSERT(size > 0 && size < 64);
}

/* In the order of their numbers. */
static err_t add_file(struct log_fsck *f, const struct log_fsck_file *file)
{
    void *files = f->files;
    ASSERT(file->number > 0);
    if (!log_fsck_grow(&files, &f->file_capacity, f->file_count, sizeof *f->files))
        return err_make(ERR_MEMORY);
    f->files = files;
    size_t at = f->file_count++;
    for (; at > 0 && f->files[at - 1].number > file->number; at--)
        f->files[at] = f->files[at - 1];
    f->files[at] = *file;
    return err_ok();
}

struct listing {
    struct log_fsck *f;
    err_t error;
};

/* What is none of the log's files is named and left alone. */
static int list_name(void *context, const char *name, enum io_kind kind)
{
    struct listing *listing = context;
    ASSERT(name);
    struct slice rest = slice_string(name);
    struct slice digits = slice_split(&rest, '.');
    uint64_t number = 0;
    if (kind == IO_KIND_FILE && digits.size == 20 && slice_equal_string(rest, "wal") &&
        err_is_ok(number_parse_u64(digits, &number)) && number > 0) {
        listing->error = add_file(listing->f, &(struct log_fsck_file){.number = number});
    } else {
        char path[LOG_SEGMENT_PATH_MAX];
        snprintf(path, sizeof path, "wal/%s", name);
        log_fsck_find(listing->f, &(struct log_fsck_finding){.code = "leftover", .path = path},
                      "left behind by something that was not finished; a start sees to it");
    }
    return !err_is_ok(listing->error);
}

static err_t open_file(struct log_fsck *f, struct log_fsck_file *file)
{
    char name[64];
    char path[LOG_SEGMENT_PATH_MAX];
    file_name(file->number, name);
    log_fsck_path(f, name, path);
    ASSERT(!file->file);
    TRY(io_disk_open(f->disk, path, IO_OPEN_READ, &file->file, f->why));
    TRY(io_file_size(file->file, &file->size));
    f->total_bytes += file->size;
    return err_ok();
}

/* What recovery has not finished writing again. */
static err_t read_copy(struct log_fsck *f)
{
    char path[LOG_SEGMENT_PATH_MAX];
    log_fsck_path(f, "wal/last.frame", path);
    enum io_kind kind;
    TRY(io_disk_kind(f->disk, path, &kind, f->why));
    if (kind != IO_KIND_FILE)
        return err_ok();
    TRY(io_disk_read_file(f->disk, path, LOG_WAL_FILE_SIZE_MAX, &f->copy, f->why));
    struct slice copy = buf_slice(&f->copy);
    ASSERT(copy.data || copy.size == 0);
    bool good = err_is_ok(log_frame_decode(copy, &f->copy_header)) &&
                copy.size == log_frame_disk_size(f->copy_header.payload_size) &&
                crc32c(0, copy.data + LOG_FRAME_HEADER_SIZE, f->copy_header.payload_size) ==
                    f->copy_header.payload_crc;
    if (!good)
        buf_reset(&f->copy);
    return err_ok();
}

err_t log_fsck_open_wal(struct log_fsck *f)
{
    char path[LOG_SEGMENT_PATH_MAX];
    log_fsck_path(f, "wal", path);
    enum io_kind kind;
    ASSERT(f->file_count == 0);
    TRY(io_disk_kind(f->disk, path, &kind, f->why));
    if (kind != IO_KIND_DIRECTORY)
        return err_ok();
    struct listing listing = {f, err_ok()};
    TRY(io_disk_list(f->disk, path, list_name, &listing, f->why));
    TRY(listing.error);
    for (size_t i = 0; i < f->file_count; i++)
        TRY(open_file(f, &f->files[i]));
    return read_copy(f);
}

/* What the last start had begun to write again is read as if it had been written: the copy
 * beside the log is the newer truth of that frame. */
static void look_at(struct log_fsck *f, const struct log_fsck_file *file)
{
    ASSERT(file->number > 0);
    log_fsck_window_set(&f->window, file->file, file->size);
    if (f->copy.size == 0 || f->copy_header.file_number != file->number ||
        (f->meta_good && !uuid_equal(&f->copy_header.uuid, &f->uuid)))
        return;
    f->window.overlay = buf_slice(&f->copy);
    f->window.overlay_at = (uint64_t)f->copy_header.block * IO_BLOCK;
}

/* The header at `offset` of the file in the window, whosever it is; lsn 0 without one. */
static err_t header_at(struct log_fsck *f, uint64_t offset, struct log_frame_header *out)
{
    struct slice bytes = {0};
    *out = (struct log_frame_header){0};
    ASSERT(offset % IO_BLOCK == 0);
    err_t err = log_fsck_window_get(&f->window, offset, LOG_FRAME_HEADER_SIZE, &bytes);
    if (err_is(err, ERR_END))
        return err_ok();
    TRY(err);
    err = log_frame_decode(bytes, out);
    if (err_is(err, ERR_VERSION))
        return err_set(f->why, ERR_VERSION,
                       "the log was written by a newer garner; use that version");
    return err_ok();
}

/* Any frame will do, of any age: files of the log never come from another directory. */
bool log_fsck_wal_uuid(struct log_fsck *f, struct uuid *out)
{
    ASSERT(f->files || f->file_count == 0);
    for (size_t i = 0; i < f->file_count; i++) {
        struct log_frame_header header = {0};
        look_at(f, &f->files[i]);
        if (err_is_ok(header_at(f, 0, &header)) && header.lsn > 0) {
            *out = header.uuid;
            return true;
        }
    }
    return false;
}

static err_t add_frame(struct log_fsck *f, uint32_t file, const struct log_frame_header *header,
                       bool whole)
{
    void *frames = f->frames;
    ASSERT(header->lsn > 0);
    if (!log_fsck_grow(&frames, &f->frame_capacity, f->frame_count, sizeof *f->frames))
        return err_make(ERR_MEMORY);
    f->frames = frames;
    f->frames[f->frame_count++] =
        (struct log_fsck_frame){.header = *header, .file = file, .whole = whole};
    return err_ok();
}

/* Whether the payload behind the header fits its CRC. */
static err_t check_payload(struct log_fsck *f, uint64_t offset,
                           const struct log_frame_header *header, bool *whole)
{
    struct slice bytes = {0};
    *whole = false;
    uint64_t size = LOG_FRAME_HEADER_SIZE + (uint64_t)header->payload_size;
    ASSERT(header->lsn > 0);
    /* None is larger than a file. */
    err_t err = size > LOG_WAL_FILE_SIZE_MAX
                    ? err_make(ERR_END)
                    : log_fsck_window_get(&f->window, offset, size, &bytes);
    if (err_is(err, ERR_END))
        return err_ok();
    TRY(err);
    *whole =
        crc32c(0, bytes.data + LOG_FRAME_HEADER_SIZE, header->payload_size) == header->payload_crc;
    return err_ok();
}

/* What the first header of a file says of it. One that is used again has its length. */
static void note_front(const struct log_fsck *f, struct log_fsck_file *file,
                       const struct log_frame_header *header)
{
    ASSERT(header->lsn > 0);
    file->foreign = !uuid_equal(&header->uuid, &f->uuid);
    file->recycled = header->flags & LOG_FRAME_RECYCLED || header->file_number != file->number;
    if (!file->foreign && header->block == 0)
        file->made_size = (uint64_t)header->file_blocks * IO_BLOCK;
}

/* Looks at what is at `offset`; `*next` is where to go on. */
static err_t scan_block(struct log_fsck *f, uint32_t index, uint64_t offset, uint64_t *next)
{
    struct log_fsck_file *file = &f->files[index];
    struct log_frame_header header;
    *next = offset + IO_BLOCK;
    ASSERT(offset < file->size);
    TRY(header_at(f, offset, &header));
    if (offset == 0 && header.lsn > 0)
        note_front(f, file, &header);
    if (header.lsn == 0 || !uuid_equal(&header.uuid, &f->uuid) ||
        header.file_number != file->number || header.block != offset / IO_BLOCK)
        return err_ok();
    bool whole = false;
    TRY(check_payload(f, offset, &header, &whole));
    uint64_t made_size = (uint64_t)header.file_blocks * IO_BLOCK;
    file->made_size = made_size > file->made_size ? made_size : file->made_size;
    if (whole)
        *next = offset + log_frame_disk_size(header.payload_size);
    return add_frame(f, index, &header, whole);
}

/* Where frames that are not in segments begin. */
static uint64_t first_file(const struct log_fsck *f)
{
    ASSERT(!f->has_checkpoint || f->checkpoint.last.lsn > 0);
    return f->has_checkpoint ? f->checkpoint.sealed_file + 1 : 1;
}

/* Of a sealed file a start looks at the first header only. */
static err_t scan_front(struct log_fsck *f, struct log_fsck_file *file)
{
    struct log_frame_header header;
    ASSERT(file->number < first_file(f));
    look_at(f, file);
    TRY(header_at(f, 0, &header));
    if (header.lsn > 0)
        note_front(f, file, &header);
    return err_ok();
}

/* Block by block, and not from frame to frame: behind a broken one the next may begin anywhere. */
static err_t scan_file(struct log_fsck *f, uint32_t index)
{
    const struct log_fsck_file *file = &f->files[index];
    uint64_t offset = 0;
    ASSERT(index < f->file_count);
    look_at(f, file);
    while (offset + LOG_FRAME_HEADER_SIZE <= file->size) {
        uint64_t next = 0;
        TRY(scan_block(f, index, offset, &next));
        log_fsck_progress(f, next - offset);
        offset = next;
    }
    return err_ok();
}

/* Frames lie in the order of their epochs; those of an epoch count up to where the next one says,
 * or, if that was lost, to two before the first frame of it that is left. */
static void judge_epochs(struct log_fsck *f)
{
    uint32_t epoch = UINT32_MAX;
    uint64_t bound = UINT64_MAX;
    uint64_t earlier = UINT64_MAX; /* the bound of epochs before the one at hand */
    ASSERT(f->frames || f->frame_count == 0);
    for (size_t i = f->frame_count; i-- > 0;) {
        const struct log_frame_header *header = &f->frames[i].header;
        if (header->epoch > epoch)
            continue;
        if (header->epoch < epoch) {
            bound = earlier;
            epoch = header->epoch;
        }
        f->frames[i].counts = header->lsn <= bound;
        uint64_t end = header->flags & LOG_FRAME_EPOCH_START ? header->valid_to_lsn
                       : header->lsn > 2                     ? header->lsn - 2
                                                             : 0;
        earlier = end < earlier ? end : earlier;
    }
}

err_t log_fsck_add_range(struct log_fsck *f, const struct log_fsck_range *range)
{
    void *ranges = f->ranges;
    ASSERT(range->first <= range->end);
    if (!log_fsck_grow(&ranges, &f->range_capacity, f->range_count, sizeof *f->ranges))
        return err_make(ERR_MEMORY);
    f->ranges = ranges;
    f->ranges[f->range_count++] = *range;
    return err_ok();
}

bool log_fsck_in_range(const struct log_fsck *f, uint64_t file_number, uint64_t first, uint64_t end)
{
    ASSERT(first < end);
    for (size_t i = 0; i < f->range_count; i++) {
        const struct log_fsck_range *range = &f->ranges[i];
        if (range->file_number == file_number && first < range->end && end > range->first)
            return true;
    }
    return false;
}

uint64_t log_fsck_usual_size(const struct log_fsck *f)
{
    uint64_t size = 0;
    for (size_t i = 0; i < f->file_count; i++) {
        ASSERT(f->files[i].number > 0);
        size = f->files[i].size > size ? f->files[i].size : size;
        size = f->files[i].made_size > size ? f->files[i].made_size : size;
    }
    size = size / IO_BLOCK * IO_BLOCK;
    return size > 0 ? size : LOG_WAL_FILE_SIZE_MIN;
}

/* Whether what is wrong needs a repair. Below the checkpoint bytes count only where a batch lies in
 * them that is in no segment, and then it is told by the batch. */
enum weight { WEIGHT_NOTE, WEIGHT_ERROR, WEIGHT_UNEXPLAINED };

static err_t add_damage(struct log_fsck *f, const struct log_fsck_range *range, enum weight weight,
                        const char *what)
{
    const struct log_fsck_file *there = log_fsck_file(f, range->file_number);
    char name[64];
    ASSERT(range->first < range->end);
    TRY(log_fsck_add_range(f, range));
    /* That it is missing has been told. */
    if (there && there->missing)
        return err_ok();
    file_name(range->file_number, name);
    log_fsck_find(f,
                  &(struct log_fsck_finding){.error = weight > WEIGHT_NOTE,
                                             .code = "wal_damaged",
                                             .path = name,
                                             .first_byte = range->first,
                                             .end_byte = range->end},
                  "%s%s", what,
                  weight > WEIGHT_NOTE ? "" : "; checkpoint and segments have what was in it");
    return err_ok();
}

/* All bytes from (file, at) up to (to_file, to_at). */
static err_t add_gap(struct log_fsck *f, uint64_t file, uint64_t at, uint64_t to_file,
                     uint64_t to_at, enum weight weight, const char *what)
{
    ASSERT(file <= to_file);
    f->gaps = f->gaps || weight > WEIGHT_NOTE;
    for (uint64_t number = file; number <= to_file; number++, at = 0) {
        const struct log_fsck_file *there = log_fsck_file(f, number);
        uint64_t size = !there || there->missing         ? log_fsck_usual_size(f)
                        : there->made_size > there->size ? there->made_size
                                                         : there->size;
        uint64_t end = number == to_file ? to_at : size;
        struct log_fsck_range range = {number, at, end, weight == WEIGHT_UNEXPLAINED};
        if (end > at)
            TRY(add_damage(f, &range, weight, what));
    }
    return err_ok();
}

static uint64_t end_of(const struct log_frame_header *header)
{
    ASSERT(header->lsn > 0);
    return (uint64_t)header->block * IO_BLOCK + log_frame_disk_size(header->payload_size);
}

/* The chain has come to this frame. */
static void advance(struct log_fsck *f, const struct log_frame_header *header)
{
    ASSERT(header->lsn > f->last.lsn);
    f->last = *header;
    f->tail = end_of(header);
}

/* Frames `from` to `to` are not where they should be: behind the last one, before `at`. */
static err_t say_missing(struct log_fsck *f, uint64_t from, uint64_t to, uint64_t to_file,
                         uint64_t to_at, enum weight weight)
{
    char what[160];
    ASSERT(from <= to);
    snprintf(what, sizeof what,
             "frames %" PRIu64 " to %" PRIu64 ", which had been acknowledged, are missing or "
             "broken",
             from, to);
    uint64_t file = f->last.lsn > 0 ? f->last.file_number : first_file(f);
    uint64_t at = f->last.lsn > 0 ? f->tail : 0;
    if (file > to_file || (file == to_file && at >= to_at)) {
        file = to_file;
        at = to_at > IO_BLOCK ? to_at - IO_BLOCK : 0;
    }
    return add_gap(f, file, at, to_file, to_at, weight, what);
}

/* The chain has come to where the checkpoint's last frame was, or past it. */
static err_t pass_checkpoint(struct log_fsck *f)
{
    const struct log_frame_header *last = &f->checkpoint.last;
    if (!f->has_checkpoint || f->last.lsn >= last->lsn)
        return err_ok();
    ASSERT(last->lsn > 0);
    const struct log_fsck_file *file = log_fsck_file(f, last->file_number);
    if (file && !file->missing) {
        uint64_t from = f->last.lsn > 0 ? f->last.lsn + 1 : last->lsn;
        TRY(say_missing(f, from, last->lsn, last->file_number, end_of(last), WEIGHT_NOTE));
    }
    advance(f, last);
    return err_ok();
}

/* Each frame names the one before it by its CRC. */
static err_t check_link(struct log_fsck *f, const struct log_frame_header *header)
{
    ASSERT(header->lsn == f->last.lsn + 1);
    /* The mark of a clean stop is taken away in its place, which the checkpoint has not seen. */
    bool after_mark = f->checkpoint.clean && f->last.lsn == f->checkpoint.last.lsn;
    if (header->previous_crc == f->last.header_crc || f->last.lsn == 0 || after_mark)
        return err_ok();
    char name[64];
    file_name(header->file_number, name);
    f->gaps = true;
    log_fsck_find(f,
                  &(struct log_fsck_finding){.error = true,
                                             .code = "wal_chain",
                                             .path = name,
                                             .first_byte = (uint64_t)header->block * IO_BLOCK,
                                             .end_byte = end_of(header)},
                  "frame %" PRIu64 " was written behind another frame than the one before it",
                  header->lsn);
    return err_ok();
}

/* Frames between the last one and this one had been acknowledged: this one came behind them. */
static err_t check_gap(struct log_fsck *f, const struct log_fsck_frame *frame)
{
    const struct log_frame_header *header = &frame->header;
    uint64_t at = (uint64_t)header->block * IO_BLOCK;
    if (f->last.lsn == 0 && f->has_checkpoint) {
        bool first = header->file_number == first_file(f) && at == 0;
        if (first || header->lsn > f->checkpoint.last.lsn)
            return err_ok();
        return say_missing(f, 0, header->lsn - 1, header->file_number, at, WEIGHT_NOTE);
    }
    ASSERT(header->lsn > f->last.lsn);
    if (header->lsn == f->last.lsn + 1)
        return check_link(f, header);
    bool covered = f->has_checkpoint && header->lsn <= f->checkpoint.last.lsn;
    return say_missing(f, f->last.lsn + 1, header->lsn - 1, header->file_number, at,
                       covered ? WEIGHT_NOTE : WEIGHT_UNEXPLAINED);
}

/* As much of the payload as there is. */
static err_t read_payload(struct log_fsck *f, const struct log_fsck_frame *frame, struct slice *out)
{
    uint64_t offset = (uint64_t)frame->header.block * IO_BLOCK + LOG_FRAME_HEADER_SIZE;
    const struct log_fsck_file *file = &f->files[frame->file];
    ASSERT(frame->header.lsn > 0);
    if (f->window.file != file->file)
        look_at(f, file);
    *out = (struct slice){0};
    if (frame->header.payload_size == 0 || frame->header.payload_size > LOG_WAL_FILE_SIZE_MAX)
        return err_ok();
    uint64_t left = file->size > offset ? file->size - offset : 0;
    uint64_t size = frame->header.payload_size < left ? frame->header.payload_size : left;
    return size == 0 ? err_ok() : log_fsck_window_get(&f->window, offset, size, out);
}

/* Puts what a frame says into the state: all of it, or what can be saved. */
static err_t take_frame(struct log_fsck *f, const struct log_fsck_frame *frame)
{
    struct slice payload = {0};
    bool explained = true;
    bool covered = f->has_checkpoint && frame->header.lsn <= f->checkpoint.last.lsn;
    struct log_fsck_range range = {frame->header.file_number,
                                   (uint64_t)frame->header.block * IO_BLOCK, end_of(&frame->header),
                                   false};
    ASSERT(frame->counts);
    f->gaps = f->gaps || (!frame->whole && !covered);
    if (!covered) {
        TRY(read_payload(f, frame, &payload));
        TRY(log_fsck_apply(f, frame, payload, &explained));
        f->result.frames++;
    }
    if (frame->whole)
        return err_ok();
    range.unexplained = !explained;
    return add_damage(f, &range, covered ? WEIGHT_NOTE : WEIGHT_ERROR,
                      "the entries of a frame do not fit their checksum");
}

/* The last frame of all, if it is broken and stands right behind the chain: an unfinished write.
 * One that does not is behind frames that are missing, which it proves. */
static bool is_torn_tail(const struct log_fsck *f, size_t index)
{
    ASSERT(index < f->frame_count);
    if (f->frames[index].whole || f->frames[index].header.lsn != f->last.lsn + 1)
        return false;
    for (size_t i = index + 1; i < f->frame_count; i++) {
        if (f->frames[i].counts)
            return false;
    }
    return !f->has_checkpoint || f->frames[index].header.lsn > f->checkpoint.last.lsn;
}

/* From frame to frame, whatever is missing between them. */
static err_t follow_chain(struct log_fsck *f)
{
    ASSERT(f->last.lsn == 0);
    for (size_t i = 0; i < f->frame_count; i++) {
        const struct log_fsck_frame *frame = &f->frames[i];
        if (!frame->counts || frame->header.lsn <= f->last.lsn)
            continue;
        if (f->has_checkpoint && frame->header.lsn > f->checkpoint.last.lsn)
            TRY(pass_checkpoint(f));
        if (is_torn_tail(f, i)) {
            char name[64];
            file_name(frame->header.file_number, name);
            log_fsck_find(
                f,
                &(struct log_fsck_finding){.code = "wal_torn",
                                           .path = name,
                                           .first_byte = (uint64_t)frame->header.block * IO_BLOCK,
                                           .end_byte = end_of(&frame->header)},
                "frame %" PRIu64 " at the end was not finished and never acknowledged; "
                "a start cuts it",
                frame->header.lsn);
            break;
        }
        TRY(check_gap(f, frame));
        advance(f, &frame->header);
        TRY(take_frame(f, frame));
    }
    return pass_checkpoint(f);
}

/* Numbers from the first file that is not sealed on. */
static err_t note_missing(struct log_fsck *f)
{
    uint64_t end = f->file_count > 0 ? f->files[f->file_count - 1].number + 1 : 1;
    if (f->has_checkpoint && f->checkpoint.last.file_number >= end)
        end = f->checkpoint.last.file_number + 1;
    ASSERT(end > 0);
    if (end - first_file(f) > FILES_MAX && end > first_file(f))
        return err_set(f->why, ERR_CORRUPT, "the numbers of the log's files make no sense");
    for (uint64_t number = first_file(f); number < end; number++) {
        if (log_fsck_file(f, number))
            continue;
        char name[64];
        file_name(number, name);
        log_fsck_find(
            f, &(struct log_fsck_finding){.error = true, .code = "wal_missing", .path = name},
            "a file of the log is missing");
        f->gaps = true;
        TRY(add_file(f, &(struct log_fsck_file){.number = number, .missing = true}));
        bool open_end = f->has_checkpoint && number >= f->checkpoint.last.file_number;
        TRY(log_fsck_add_range(
            f, &(struct log_fsck_range){number, 0, log_fsck_usual_size(f), open_end}));
    }
    return err_ok();
}

/* As recovery sees it: a block of zeros where the pattern or an older frame should be. */
static err_t check_zeros(struct log_fsck *f, const struct log_fsck_file *file, uint64_t at)
{
    static const uint8_t zeros[IO_BLOCK];
    struct slice block = {0};
    struct log_frame_header torn;
    ASSERT(at % IO_BLOCK == 0);
    look_at(f, file);
    TRY(header_at(f, at, &torn));
    if (torn.lsn > f->last.lsn && torn.file_number == file->number &&
        uuid_equal(&torn.uuid, &f->uuid))
        at += log_frame_disk_size(torn.payload_size);
    if (file->recycled && at > 0)
        return err_ok();
    err_t err = log_fsck_window_get(&f->window, at, IO_BLOCK, &block);
    if (err_is(err, ERR_END))
        return err_ok();
    TRY(err);
    if (memcmp(block.data, zeros, sizeof zeros) != 0)
        return err_ok();
    return add_gap(f, file->number, at, file->number, file->size, WEIGHT_UNEXPLAINED,
                   "the file holds zeros, which garner never writes there: frames that had been "
                   "acknowledged may be missing");
}

/* What recovery would refuse besides: files that were cut, zeroed or brought from elsewhere. */
static err_t check_rest(struct log_fsck *f)
{
    uint64_t from = f->last.lsn > 0 ? f->last.file_number : 1;
    ASSERT(f->files || f->file_count == 0);
    for (size_t i = 0; i < f->file_count; i++) {
        struct log_fsck_file *file = &f->files[i];
        char name[64];
        file_name(file->number, name);
        if (file->missing)
            continue;
        if (file->foreign)
            log_fsck_find(
                f, &(struct log_fsck_finding){.error = true, .code = "wal_foreign", .path = name},
                "the file is of another data directory");
        else if (file->size < file->made_size || file->size < IO_BLOCK)
            TRY(add_gap(f, file->number, file->size, file->number,
                        file->size < file->made_size ? file->made_size : log_fsck_usual_size(f),
                        file->number == f->last.file_number ? WEIGHT_UNEXPLAINED : WEIGHT_ERROR,
                        "the file was cut"));
        else if (file->number >= from)
            TRY(check_zeros(f, file, file->number == from ? f->tail : 0));
    }
    return err_ok();
}

err_t log_fsck_read_wal(struct log_fsck *f)
{
    TRY(note_missing(f));
    ASSERT(f->frame_count == 0);
    for (size_t i = 0; i < f->file_count; i++) {
        if (f->files[i].number < first_file(f))
            TRY(scan_front(f, &f->files[i]));
        else if (!f->files[i].missing)
            TRY(scan_file(f, (uint32_t)i));
    }
    judge_epochs(f);
    TRY(follow_chain(f));
    TRY(check_rest(f));
    f->result.last_lsn = f->last.lsn;
    return log_fsck_move_ends(f);
}
