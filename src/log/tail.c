#include "log/tail.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "io/disk.h"
#include "log/frame.h"

/*
 * A ring of bytes in which frames are composed, written from, and then kept for readers until the
 * head comes round again. So the newest frames are in memory without a copy, and most readers, who
 * follow the end, never touch the disk. A frame lies in one piece, since it is written in one: what
 * does not fit before the end begins at the front.
 *
 * Only what is durable is published: a frame that is composed, or being flushed, lies there already
 * and is found by nobody. After a fence such bytes are written over like any others.
 */

err_t log_tail_init(struct log_tail *tail, uint64_t size)
{
    ASSERT(size >= LOG_TAIL_SIZE_MIN);
    *tail = (struct log_tail){.size = size / IO_BLOCK * IO_BLOCK};
    tail->capacity = (size_t)(tail->size / IO_BLOCK);
    tail->frame_size = tail->size / 4 / IO_BLOCK * IO_BLOCK;
    if (tail->frame_size > LOG_FRAME_SIZE_TARGET)
        tail->frame_size = LOG_FRAME_SIZE_TARGET;
    tail->data = mem_alloc_aligned(IO_BLOCK, (size_t)tail->size);
    tail->frames = mem_zalloc(tail->capacity, sizeof *tail->frames);
    if (tail->data && tail->frames)
        return err_ok();
    log_tail_done(tail);
    return err_make(ERR_MEMORY);
}

void log_tail_done(struct log_tail *tail)
{
    mem_free(tail->data);
    mem_free(tail->frames);
    *tail = (struct log_tail){0};
}

static struct log_tail_frame *frame_at(const struct log_tail *tail, size_t index)
{
    ASSERT(index < tail->count);
    size_t at = tail->first + index;
    return &tail->frames[at < tail->capacity ? at : at - tail->capacity];
}

static void evict_oldest(struct log_tail *tail)
{
    ASSERT(tail->count > 0);
    tail->first = tail->first + 1 == tail->capacity ? 0 : tail->first + 1;
    tail->count--;
}

uint8_t *log_tail_reserve(struct log_tail *tail, uint64_t size)
{
    ASSERT(size > 0 && size <= tail->size / 4 && tail->head % IO_BLOCK == 0);
    if (tail->head + size > tail->size) {
        /* What lies between the head and the end is the oldest there is. */
        while (tail->count > 0 && frame_at(tail, 0)->start >= tail->head)
            evict_oldest(tail);
        tail->head = 0;
    }
    while (tail->count > 0) {
        const struct log_tail_frame *oldest = frame_at(tail, 0);
        bool overlaps =
            oldest->start < tail->head + size && oldest->start + oldest->disk_size > tail->head;
        if (!overlaps)
            break;
        evict_oldest(tail);
    }
    return tail->data + tail->head;
}

void log_tail_seal(struct log_tail *tail, const uint8_t *data, uint64_t disk_size)
{
    ASSERT(data == tail->data + tail->head);
    ASSERT(disk_size % IO_BLOCK == 0 && tail->head + disk_size <= tail->size);
    tail->head += disk_size;
}

void log_tail_publish(struct log_tail *tail, const uint8_t *data, uint64_t disk_size,
                      struct log_position position)
{
    ASSERT(data >= tail->data && data + disk_size <= tail->data + tail->size);
    ASSERT(tail->count < tail->capacity);
    tail->count++;
    *frame_at(tail, tail->count - 1) = (struct log_tail_frame){
        .position = position,
        .start = (uint64_t)(data - tail->data),
        .disk_size = disk_size,
    };
}

static bool position_before(struct log_position a, struct log_position b)
{
    return a.file_number != b.file_number ? a.file_number < b.file_number : a.offset < b.offset;
}

const uint8_t *log_tail_find(const struct log_tail *tail, struct log_position position,
                             uint64_t size)
{
    ASSERT(size > 0);
    size_t low = 0;
    size_t high = tail->count; /* the first frame that begins behind `position` */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (position_before(position, frame_at(tail, middle)->position))
            high = middle;
        else
            low = middle + 1;
    }
    if (low == 0)
        return NULL;
    const struct log_tail_frame *frame = frame_at(tail, low - 1);
    if (frame->position.file_number != position.file_number)
        return NULL;
    uint64_t inside = position.offset - frame->position.offset;
    return inside + size <= frame->disk_size ? tail->data + frame->start + inside : NULL;
}
