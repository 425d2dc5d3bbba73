#include "base/map.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/hash.h"

/*
 * Linear probing: an entry stands at the slot its hash names or in the unbroken run behind it,
 * so that a search ends at the first free slot. Removing closes the gap with later entries of
 * the run instead of leaving a mark, and so a table that is put to and removed from for ever
 * keeps its speed. At most three quarters of the slots are taken: a search always ends.
 */

#define CAPACITY_MIN 16

void map_init(struct map *m, uint64_t seed)
{
    ASSERT(m);
    *m = (struct map){.seed = seed};
}

void map_done(struct map *m)
{
    ASSERT(m->count <= m->capacity);
    mem_free(m->entries);
    *m = (struct map){.seed = m->seed};
}

/* The slot that holds `key`, or the free one where it would be put. */
static size_t find(const struct map *m, struct slice key, uint64_t hash)
{
    ASSERT(m->count < m->capacity);
    ASSERT((m->capacity & (m->capacity - 1)) == 0);
    size_t mask = m->capacity - 1;
    size_t slot = hash & mask;
    while (m->entries[slot].value &&
           (m->entries[slot].hash != hash || !slice_equal(m->entries[slot].key, key)))
        slot = (slot + 1) & mask;
    return slot;
}

void *map_get(const struct map *m, struct slice key)
{
    ASSERT(m);
    if (m->count == 0)
        return NULL;
    return m->entries[find(m, key, hash_bytes(key, m->seed))].value;
}

static err_t grow(struct map *m)
{
    struct map larger = *m;
    larger.capacity = m->capacity ? m->capacity * 2 : CAPACITY_MIN;
    larger.entries = mem_zalloc(larger.capacity, sizeof(struct map_entry));
    if (!larger.entries)
        return err_make(ERR_MEMORY);
    ASSERT(larger.capacity > m->capacity);
    /* The hashes are kept, so that moving an entry does not touch its key. */
    for (size_t i = 0; i < m->capacity; i++) {
        const struct map_entry *entry = &m->entries[i];
        if (entry->value)
            larger.entries[find(&larger, entry->key, entry->hash)] = *entry;
    }
    mem_free(m->entries);
    *m = larger;
    return err_ok();
}

err_t map_put(struct map *m, struct slice key, void *value)
{
    ASSERT(value);
    uint64_t hash = hash_bytes(key, m->seed);
    /* Only a new key needs room: replacing in a full table must not fail for want of memory. */
    if (m->count >= m->capacity / 4 * 3 && !map_get(m, key))
        TRY(grow(m));
    struct map_entry *entry = &m->entries[find(m, key, hash)];
    ASSERT(m->count < m->capacity);
    m->count += entry->value == NULL;
    *entry = (struct map_entry){.key = key, .hash = hash, .value = value};
    return err_ok();
}

void *map_remove(struct map *m, struct slice key)
{
    ASSERT(m);
    if (m->count == 0)
        return NULL;
    size_t mask = m->capacity - 1;
    size_t gap = find(m, key, hash_bytes(key, m->seed));
    void *value = m->entries[gap].value;
    if (!value)
        return NULL;
    for (size_t slot = (gap + 1) & mask; m->entries[slot].value; slot = (slot + 1) & mask) {
        /* An entry whose own slot lies behind the gap stays: before it a search would miss it. */
        size_t distance = (slot - m->entries[slot].hash) & mask;
        if (distance < ((slot - gap) & mask))
            continue;
        m->entries[gap] = m->entries[slot];
        gap = slot;
    }
    ASSERT(m->count > 0);
    m->entries[gap] = (struct map_entry){0};
    m->count--;
    return value;
}

void *map_next(const struct map *m, size_t *position)
{
    ASSERT(position);
    while (*position < m->capacity) {
        void *value = m->entries[(*position)++].value;
        if (value)
            return value;
    }
    return NULL;
}
