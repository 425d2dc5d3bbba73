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
};

/* Puts `timer` in, or moves it when it is in. `due_ns` has been set. ERR_MEMORY changes nothing. */
err_t io_heap_put(struct io_heap *heap, struct io_timer *timer);
/* Takes it out; harmless when it is not in. */
void io_heap_remove(struct io_heap *heap, struct io_timer *timer);
/* The one due first, or NULL. */
struct io_timer *io_heap_first(const struct io_heap *heap);
void io_heap_done(struct io_heap *heap);
