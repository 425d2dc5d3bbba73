#pragma once

/*
 * Memory that is freed all at once: one arena a request, a batch or a loaded configuration.
 * Owned by one thread at a time. Initialise with {0} or arena_init.
 */

#include "base/slice.h"

struct arena_block;

struct arena {
    struct arena_block *blocks;
    size_t block_size;
    size_t size; /* bytes handed out, without the blocks' own overhead */
};

/* `block_size` 0 takes the default of 4 KiB. Allocates nothing. */
void arena_init(struct arena *a, size_t block_size);
/* Frees everything; the arena can be used again. */
void arena_done(struct arena *a);
/* `size` zeroed bytes aligned for any type; NULL when there is no memory. */
void *arena_alloc(struct arena *a, size_t size);
/* A zero-terminated copy of `s`. */
char *arena_string(struct arena *a, struct slice s);
/* A copy of the bytes of `s`; data is NULL when there is no memory. */
struct slice arena_slice(struct arena *a, struct slice s);
