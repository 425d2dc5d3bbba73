#pragma once

/*
 * The bytes of one simulated file, twice: as programs read them now (live), and as they are after
 * a power loss (durable). What was written since the last sync is kept as a list of changes, each
 * of which a crash keeps, loses or tears, sector by sector. Bytes of a sector that were not written
 * survive what becomes of the others, as those who append to files have to assume.
 *
 *     live     [ page ][ page ][ page' ][ page' ]      page': written since the last sync
 *     durable  [ page ][ page ][ page  ]
 *     pending  write page 2, sectors 0-7; write page 3, sectors 0-1; size 13,312
 *
 * Pages are immutable and shared: between live, durable and pending, and between all pages that
 * are filled with one byte, so that a big file of a pattern costs next to nothing. Single thread.
 */

#include "base/err.h"
#include "sim/random.h"

#define SIM_PAGE_SIZE 4096u
#define SIM_SECTOR_SIZE 512u

struct sim_page;

/* What the files of one disk share. */
struct sim_store {
    struct sim_random random;
    struct sim_page *fills[256]; /* pages of one byte, made when first needed */
    uint64_t page_count;         /* live pages of all files, without holes */
    uint64_t page_count_max;     /* 0: no limit */
};

struct sim_pages {
    struct sim_page **items; /* NULL: a hole, which reads as zeros */
    size_t count;
};

/* A change that no sync has covered: a page written, or (without a page) a new size. */
struct sim_change {
    struct sim_page *page;
    uint64_t size;
    uint32_t index;
    uint16_t first; /* byte in the page that was written, and one past the last */
    uint16_t end;
    uint8_t sectors; /* a bit each */
};

struct sim_content {
    struct sim_pages live;
    struct sim_pages durable;
    uint64_t live_size;
    uint64_t durable_size;
    struct sim_change *pending;
    size_t pending_count;
    size_t pending_capacity;
    bool failed; /* a flush of everything has failed on it: its next sync tells */
};

void sim_store_init(struct sim_store *store, uint64_t seed);
/* All contents are gone. */
void sim_store_done(struct sim_store *store);

/* Frees the bytes; the content is empty and unused afterwards. */
void sim_content_done(struct sim_content *content, struct sim_store *store);
/* Reads what is there of `size` bytes; returns how many. */
size_t sim_content_read(const struct sim_content *content, void *data, size_t size,
                        uint64_t offset);
/* ERR_NO_SPACE and ERR_MEMORY leave a part from the front written. */
err_t sim_content_write(struct sim_content *content, struct sim_store *store, const void *data,
                        size_t size, uint64_t offset);
err_t sim_content_truncate(struct sim_content *content, struct sim_store *store, uint64_t size);
/* Makes all changes durable; ERR_MEMORY leaves some pending. */
err_t sim_content_sync(struct sim_content *content, struct sim_store *store);
/* A sync that failed: each change is durable, or only cached and never written again, or gone
 * from the cache too. Nothing is pending afterwards. */
void sim_content_sync_failed(struct sim_content *content, struct sim_store *store);
/* Power loss: by chance all changes are lost, or all kept, or those up to some point, or each
 * sector meets its own fate, torn and garbled ones among them. Live is durable afterwards. */
void sim_content_crash(struct sim_content *content, struct sim_store *store);
/* Inverts one bit of what is there, live and durable; false past the end. */
bool sim_content_flip(struct sim_content *content, uint64_t offset, unsigned bit);
