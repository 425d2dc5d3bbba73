/*
 * A binary heap in an array: a timer's two followers are at 2i + 1 and 2i + 2, and none is due
 * before the one above it. Each timer knows its place, so that stopping one, which is what becomes
 * of most, costs no search. A counter of starts breaks ties, and so keeps equal times in order.
 *
 * What goes wrong: memory for one more may be missing. Starting a timer has no way to fail, so
 * room is made while a quarter is still free.
 */

#include "io/heap.h"

#include "base/alloc.h"
#include "base/assert.h"

#define CAPACITY_MIN 64u

static bool before(const struct io_timer *a, const struct io_timer *b)
{
    ASSERT(a && b);
    return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->order < b->order;
}

static void set(struct io_heap *heap, size_t index, struct io_timer *timer)
{
    ASSERT(index < heap->count);
    heap->timers[index] = timer;
    timer->heap_index = index + 1;
}

static size_t sift_up(struct io_heap *heap, size_t index, const struct io_timer *timer)
{
    while (index > 0 && before(timer, heap->timers[(index - 1) / 2])) {
        set(heap, index, heap->timers[(index - 1) / 2]);
        index = (index - 1) / 2;
    }
    return index;
}

static size_t sift_down(struct io_heap *heap, size_t index, const struct io_timer *timer)
{
    for (;;) {
        size_t child = 2 * index + 1;
        if (child >= heap->count)
            return index;
        if (child + 1 < heap->count && before(heap->timers[child + 1], heap->timers[child]))
            child++;
        if (!before(heap->timers[child], timer))
            return index;
        set(heap, index, heap->timers[child]);
        index = child;
    }
}

/* Puts `timer` where it belongs, given that the place at `index` is free. */
static void settle(struct io_heap *heap, size_t index, struct io_timer *timer)
{
    ASSERT(index < heap->count);
    size_t up = sift_up(heap, index, timer);
    set(heap, up == index ? sift_down(heap, index, timer) : up, timer);
}

static bool is_in(const struct io_heap *heap, const struct io_timer *timer)
{
    if (timer->heap_index == 0)
        return false;
    ASSERT(timer->heap_index <= heap->count);
    ASSERT(heap->timers[timer->heap_index - 1] == timer);
    return true;
}

err_t io_heap_reserve(struct io_heap *heap, size_t count)
{
    ASSERT(heap->count <= heap->capacity);
    if (count <= heap->capacity)
        return err_ok();
    struct io_timer **timers = mem_realloc(heap->timers, count, sizeof(struct io_timer *));
    if (!timers)
        return err_make(ERR_MEMORY);
    heap->timers = timers;
    heap->capacity = count;
    return err_ok();
}

err_t io_heap_put(struct io_heap *heap, struct io_timer *timer)
{
    ASSERT(timer->run);
    if (is_in(heap, timer)) {
        timer->order = ++heap->order;
        settle(heap, timer->heap_index - 1, timer);
        return err_ok();
    }
    /* A failure to grow at three quarters is only an error once the last quarter is full. */
    if (heap->count >= heap->capacity - heap->capacity / 4) {
        size_t wanted = heap->capacity ? 2 * heap->capacity : CAPACITY_MIN;
        err_t err = io_heap_reserve(heap, wanted);
        if (!err_is_ok(err) && heap->count == heap->capacity)
            return err;
    }
    timer->order = ++heap->order;
    heap->count++;
    settle(heap, heap->count - 1, timer);
    return err_ok();
}

void io_heap_remove(struct io_heap *heap, struct io_timer *timer)
{
    if (!is_in(heap, timer))
        return;
    size_t index = timer->heap_index - 1;
    /* The last one fills the gap, and settles upwards or downwards from there. */
    struct io_timer *last = heap->timers[--heap->count];
    timer->heap_index = 0;
    if (last != timer)
        settle(heap, index, last);
}

struct io_timer *io_heap_first(const struct io_heap *heap)
{
    ASSERT(heap->count <= heap->capacity);
    return heap->count ? heap->timers[0] : NULL;
}

void io_heap_done(struct io_heap *heap)
{
    /* Their owners may look at them, or start them elsewhere, after the loop has gone. */
    for (size_t i = 0; i < heap->count; i++)
        heap->timers[i]->heap_index = 0;
    mem_free(heap->timers);
    *heap = (struct io_heap){0};
}
