#pragma once

/*
 * A hash map from bytes to a pointer: open addressing, keys not copied (they live in what the
 * value points to, or elsewhere for as long as the entry is in the map). Hashes are seeded by
 * the owner, so that a peer that chooses keys cannot choose collisions. Single thread.
 */

#include "base/err.h"
#include "base/slice.h"

struct map_entry {
    struct slice key;
    uint64_t hash;
    void *value; /* NULL: free slot */
};

struct map {
    struct map_entry *entries;
    size_t capacity; /* 0 or a power of two */
    size_t count;
    uint64_t seed;
};

/* Empty, allocates nothing. */
void map_init(struct map *m, uint64_t seed);
/* Frees the table, not what it points to. */
void map_done(struct map *m);
/* The value under `key`, or NULL. */
void *map_get(const struct map *m, struct slice key);
/* Puts or replaces; `value` is not NULL. ERR_MEMORY leaves the map as it was. */
err_t map_put(struct map *m, struct slice key, void *value);
/* Removes and returns what was there, NULL when nothing was. */
void *map_remove(struct map *m, struct slice key);
/* Walks all values: `for (size_t i = 0; (value = map_next(m, &i));)`, in no order.
 * The map must not change meanwhile. */
void *map_next(const struct map *m, size_t *position);
