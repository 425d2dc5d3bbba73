#pragma once

/*
 * Idempotency keys in memory: fingerprints in the order in which they came, and where each is. A
 * key takes 16 bytes in a chunk of 4096, and 5 to 11 in a table of places that is kept in 64
 * parts, so that no insertion has to move more than a part. Owned by one actor; a table that is not
 * added to any more may be read by others.
 */

#include "base/err.h"
#include "flow/commit.h"

#define LOG_KEYS_CHUNK 4096u
#define LOG_KEYS_PARTS 64u
/* Places are 24 bits, with 0 for none. */
#define LOG_KEYS_TABLE_MAX ((1u << 24) - 1)
/* Room that is left for the largest commit when a table is closed for its size. */
#define LOG_KEYS_TABLE_SPARE (1u << 20)
#define LOG_KEYS_NONE UINT32_MAX

struct log_keys_part {
    uint32_t *slots; /* eight bits of the key, then its place + 1; 0: empty */
    uint32_t capacity;
    uint32_t used;
};

struct log_keys_table {
    struct flow_fingerprint **chunks;
    uint32_t chunk_count;
    uint32_t chunk_capacity;
    uint32_t count;
    uint64_t bytes; /* of memory */
    struct log_keys_part parts[LOG_KEYS_PARTS];
};

void log_keys_table_init(struct log_keys_table *table);
void log_keys_table_done(struct log_keys_table *table);
/* Brings what log_keys_table_find looks at first into the processor's cache. */
void log_keys_table_prefetch(const struct log_keys_table *table, struct flow_fingerprint key);
/* The place of the key, or LOG_KEYS_NONE. */
uint32_t log_keys_table_find(const struct log_keys_table *table, struct flow_fingerprint key);
/* Adds a key that is not there, as place `count`. ERR_MEMORY leaves it as it was, ERR_TOO_LARGE
 * when there are LOG_KEYS_TABLE_MAX. */
err_t log_keys_table_add(struct log_keys_table *table, struct flow_fingerprint key);
struct flow_fingerprint log_keys_table_at(const struct log_keys_table *table, uint32_t place);
/* Takes the newest keys out again, so that `count` are left. Cannot fail. */
void log_keys_table_cut(struct log_keys_table *table, uint32_t count);
