#pragma once

/*
 * Idempotency keys on disk. A bucket that is closed is a file of sorted fingerprints, written once;
 * in memory there is a filter of 20 bits a key, and the first key of each block. Of keys that are
 * not there the filter lets one in four thousand pass, a file. One that is open, or not sorted yet,
 * has a file of its keys in the order in which they came, to which each checkpoint adds.
 * docs/formats/keys.md has the bytes. What is decoded here comes from a disk: it is checked, never
 * asserted.
 *
 * All calls but those of the filter block.
 */

#include "base/err.h"
#include "base/uuid.h"
#include "io/disk.h"
#include "log/frame.h"
#include "log/keys_table.h"

#define LOG_KEYS_MAGIC 0x59454b47u /* "GKEY" */
#define LOG_KEYS_VERSION 1u
#define LOG_KEYS_BLOCK_KEYS 255u
#define LOG_KEYS_HEAD_SIZE 64u

/* What a sorted file says of itself, in its first block. */
struct log_keys_head {
    struct uuid topic;
    uint64_t number; /* of the bucket */
    uint32_t count;
    int64_t first_ms; /* commit times of its keys */
    int64_t last_ms;
};

#define LOG_KEYS_LINE_WORDS 8u /* of 64 bits: what a processor fetches at once */

/* A part of a filter. Each key has a bit in each word of its line. */
struct log_keys_line {
    uint64_t words[LOG_KEYS_LINE_WORDS];
};

/* A sorted file that is open for probes, with its filter. */
struct log_keys_file {
    struct io_file *reader;
    uint64_t number;
    uint32_t count;
    uint32_t line_count;
    struct log_keys_line *lines; /* of all keys there can be, each an even share */
    uint64_t *fences;            /* high half of the first key of each block */
    uint64_t bytes;              /* of memory */
};

/* A block of an open file, which is good. */
struct log_keys_block {
    const struct log_keys_file *file; /* NULL: none */
    uint32_t index;
    uint8_t bytes[IO_BLOCK];
};

/* The first IO_BLOCK bytes of a file. */
void log_keys_head_encode(const struct log_keys_head *head, uint8_t out[static IO_BLOCK]);
/* ERR_CORRUPT, ERR_VERSION. */
err_t log_keys_head_decode(struct slice block, struct log_keys_head *out);
/* Block `index` of bucket `number`, with `count` keys from `keys` on. */
void log_keys_block_encode(const struct flow_fingerprint *keys, uint32_t count, uint64_t number,
                           uint32_t index, uint8_t out[static IO_BLOCK]);
/* ERR_CORRUPT unless the block is what it should be. */
err_t log_keys_block_check(struct slice block, uint64_t number, uint32_t index);
/* Length of a file of so many keys. */
uint64_t log_keys_file_size(uint32_t count);

/* Sorts the keys of the table, writes them durably to `path` and opens that. */
err_t log_keys_file_write(struct io_disk *disk, const char *path, const struct log_keys_head *head,
                          const struct log_keys_table *table, struct log_keys_file *out,
                          struct err_text *why);
/* Reads a whole file, which is to be `head`, checks every byte and opens it. ERR_CORRUPT (also
 * when there is none), ERR_VERSION, ERR_MEMORY, ERR_IO. */
err_t log_keys_file_open(struct io_disk *disk, const char *path, const struct log_keys_head *head,
                         struct log_keys_file *out, struct err_text *why);
void log_keys_file_done(struct log_keys_file *file);

/* Brings what log_keys_file_maybe looks at into the processor's cache. */
void log_keys_file_prefetch(const struct log_keys_file *file, struct flow_fingerprint key);
/* False when the key is not in the file. */
bool log_keys_file_maybe(const struct log_keys_file *file, struct flow_fingerprint key);
/* Whether it is there. `last` is the block that was read last, all zeros at first: where keys are
 * asked for in their order, file by file, no block is read twice. ERR_IO, ERR_CORRUPT. */
err_t log_keys_file_probe(const struct log_keys_file *file, struct flow_fingerprint key,
                          struct log_keys_block *last, bool *found);
