#pragma once

/*
 * The timers of a loop, ordered by when they are due: a binary heap of pointers, shared by every
 * implementation of a loop. Equal times run in the order of starting. Single thread.
 */

#include "io/loop.h"

struct io_heap {
    struct io_timer **timers;
    size_t count;
    size_t capacity;
    uint64_t order; /* of the last put */
};

/* Makes room for `count` timers in all. ERR_MEMORY changes nothing. */
err_t io_heap_reserve(struct io_heap *heap, size_t count);
/* Puts `timer` in, or moves it when it is in. `due_ns` has been set. Room is made ahead of need,
 * so that only a lasting lack of memory is ERR_MEMORY, which changes nothing. */
err_t io_heap_put(struct io_heap *heap, struct io_timer *timer);
/* Takes it out; harmless when it is not in. */
void io_heap_remove(struct io_heap *heap, struct io_timer *timer);
/* The one due first, or NULL. */
struct io_timer *io_heap_first(const struct io_heap *heap);
void io_heap_done(struct io_heap *heap);
