#include "log/keys_table.h"

#include "base/alloc.h"
#include "base/assert.h"

/*
 * Open addressing with linear probing. A part that is three quarters full is made again twice as
 * large. When the newest key is taken out again, what has passed over its slot moves up: at any
 * time there is no empty slot between where a key's search begins and where it is.
 *
 * Failure modes: memory is asked for before anything is changed.
 */

#define PART_CAPACITY_MIN 16u
#define PLACE_MASK 0xffffffu

void log_keys_table_init(struct log_keys_table *table)
{
    ASSERT(table);
    *table = (struct log_keys_table){0};
}

void log_keys_table_done(struct log_keys_table *table)
{
    ASSERT(table->chunks || table->chunk_count == 0);
    for (uint32_t i = 0; i < table->chunk_count; i++)
        mem_free(table->chunks[i]);
    mem_free(table->chunks);
    for (uint32_t i = 0; i < LOG_KEYS_PARTS; i++)
        mem_free(table->parts[i].slots);
    *table = (struct log_keys_table){0};
}

struct flow_fingerprint log_keys_table_at(const struct log_keys_table *table, uint32_t place)
{
    ASSERT(place < table->count);
    return table->chunks[place / LOG_KEYS_CHUNK][place % LOG_KEYS_CHUNK];
}

/* Parts, so that growing makes one small table anew and not all of them at one moment, while
 * commits wait. */
static uint32_t part_of(struct flow_fingerprint key)
{
    return (uint32_t)(key.low % LOG_KEYS_PARTS);
}

/* Eight bits of the key beside its place: nearly every slot that is not the key's is passed over
 * without a look at the key itself, which lies elsewhere in memory. */
static uint32_t slot_value(struct flow_fingerprint key, uint32_t place)
{
    ASSERT(place < LOG_KEYS_TABLE_MAX);
    return (uint32_t)(key.high >> 56) << 24 | (place + 1);
}

/* Where the key's search begins. */
static uint32_t first_slot(const struct log_keys_part *part, struct flow_fingerprint key)
{
    ASSERT(part->capacity > 0);
    return (uint32_t)(key.low / LOG_KEYS_PARTS) & (part->capacity - 1);
}

static struct flow_fingerprint key_of_slot(const struct log_keys_table *table, uint32_t slot)
{
    ASSERT(slot != 0);
    return log_keys_table_at(table, (slot & PLACE_MASK) - 1);
}

void log_keys_table_prefetch(const struct log_keys_table *table, struct flow_fingerprint key)
{
    const struct log_keys_part *part = &table->parts[part_of(key)];
    ASSERT(part->slots || part->capacity == 0);
    if (part->slots)
        __builtin_prefetch(&part->slots[first_slot(part, key)]);
}

uint32_t log_keys_table_find(const struct log_keys_table *table, struct flow_fingerprint key)
{
    const struct log_keys_part *part = &table->parts[part_of(key)];
    ASSERT(part->used <= part->capacity);
    if (part->used == 0)
        return LOG_KEYS_NONE;
    uint32_t tag = (uint32_t)(key.high >> 56);
    for (uint32_t at = first_slot(part, key);; at = (at + 1) & (part->capacity - 1)) {
        uint32_t slot = part->slots[at];
        if (slot == 0)
            return LOG_KEYS_NONE;
        if (slot >> 24 != tag)
            continue;
        struct flow_fingerprint found = key_of_slot(table, slot);
        if (found.low == key.low && found.high == key.high)
            return (slot & PLACE_MASK) - 1;
    }
}

static void put_slot(struct log_keys_part *part, struct flow_fingerprint key, uint32_t value)
{
    ASSERT(part->used < part->capacity);
    uint32_t at = first_slot(part, key);
    while (part->slots[at] != 0)
        at = (at + 1) & (part->capacity - 1);
    part->slots[at] = value;
    part->used++;
}

static err_t grow_part(struct log_keys_table *table, struct log_keys_part *part)
{
    uint32_t capacity = part->capacity ? part->capacity * 2 : PART_CAPACITY_MIN;
    uint32_t *slots = mem_zalloc(capacity, sizeof *slots);
    if (!slots)
        return err_make(ERR_MEMORY);
    struct log_keys_part old = *part;
    *part = (struct log_keys_part){.slots = slots, .capacity = capacity};
    for (uint32_t i = 0; i < old.capacity; i++) {
        if (old.slots[i] != 0)
            put_slot(part, key_of_slot(table, old.slots[i]), old.slots[i]);
    }
    ASSERT(part->used == old.used);
    table->bytes += (capacity - old.capacity) * sizeof *slots;
    mem_free(old.slots);
    return err_ok();
}

static err_t grow_chunks(struct log_keys_table *table)
{
    ASSERT(table->count <= table->chunk_count * LOG_KEYS_CHUNK);
    if (table->count < table->chunk_count * LOG_KEYS_CHUNK)
        return err_ok();
    if (table->chunk_count == table->chunk_capacity) {
        uint32_t capacity = table->chunk_capacity ? table->chunk_capacity * 2 : 8;
        struct flow_fingerprint **chunks =
            mem_realloc(table->chunks, capacity, sizeof(struct flow_fingerprint *));
        if (!chunks)
            return err_make(ERR_MEMORY);
        table->bytes += (capacity - table->chunk_capacity) * sizeof(struct flow_fingerprint *);
        table->chunks = chunks;
        table->chunk_capacity = capacity;
    }
    struct flow_fingerprint *chunk = mem_alloc(LOG_KEYS_CHUNK * sizeof *chunk);
    if (!chunk)
        return err_make(ERR_MEMORY);
    table->chunks[table->chunk_count++] = chunk;
    table->bytes += LOG_KEYS_CHUNK * sizeof *chunk;
    return err_ok();
}

err_t log_keys_table_add(struct log_keys_table *table, struct flow_fingerprint key)
{
    ASSERT(!flow_fingerprint_is_none(&key));
    struct log_keys_part *part = &table->parts[part_of(key)];
    if (table->count == LOG_KEYS_TABLE_MAX)
        return err_make(ERR_TOO_LARGE);
    TRY(grow_chunks(table));
    if ((part->used + 1) * UINT64_C(4) > part->capacity * UINT64_C(3))
        TRY(grow_part(table, part));
    table->chunks[table->count / LOG_KEYS_CHUNK][table->count % LOG_KEYS_CHUNK] = key;
    put_slot(part, key, slot_value(key, table->count));
    table->count++;
    return err_ok();
}

static void empty_slot(const struct log_keys_table *table, struct log_keys_part *part, uint32_t at)
{
    uint32_t mask = part->capacity - 1;
    ASSERT(part->used > 0 && part->slots[at] != 0);
    for (uint32_t next = (at + 1) & mask; part->slots[next] != 0; next = (next + 1) & mask) {
        uint32_t from = first_slot(part, key_of_slot(table, part->slots[next]));
        /* One whose search begins behind the slot stays where it is. */
        if (((next - from) & mask) < ((next - at) & mask))
            continue;
        part->slots[at] = part->slots[next];
        at = next;
    }
    part->slots[at] = 0;
    part->used--;
}

void log_keys_table_cut(struct log_keys_table *table, uint32_t count)
{
    ASSERT(count <= table->count);
    while (table->count > count) {
        struct flow_fingerprint key = log_keys_table_at(table, table->count - 1);
        struct log_keys_part *part = &table->parts[part_of(key)];
        uint32_t value = slot_value(key, table->count - 1);
        uint32_t at = first_slot(part, key);
        while (part->slots[at] != value)
            at = (at + 1) & (part->capacity - 1);
        empty_slot(table, part, at);
        table->count--;
    }
}
