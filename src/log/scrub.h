#pragma once

/*
 * The check of what is on disk against what the log knows, once every `check_every`: every batch
 * of the segments and of the WAL is read back, its checksum, offsets and count of records compared,
 * the sorted files of idempotency keys, the counts of each partition added up, and the ledger. Slow
 * on purpose (LOG_SCRUB_RATE): it shares the disk with commits. What was found good is not read
 * again for a week, so that a round reads what came since the last one, and a part of what is old.
 *
 *        a round is due    WAL read    files read    all that came is read    all that is due again
 *   IDLE ───────────► WAL ────────► KEYS ──────► NEW ──────────────────► OLD ─────────────────►
 * IDLE ▲                                                  │ the next round is due
 *                      └──────────────────────────────────────────────────┘
 *
 * It looks at copies while sealing, retention and recycling go on; what a look says is believed
 * only of what is still there when it comes back. A difference is an error in the log and a metric,
 * and stays one until the segment reads well again or is gone. Nothing is repaired: garner fsck
 * does that. Belongs to the sequencer's loop, with a worker of its own.
 */

#include "base/buf.h"
#include "io/loop.h"
#include "log/segment.h"
#include "log/state.h"

struct log;

#define LOG_SCRUB_RATE (UINT64_C(8) << 20) /* bytes a second */
/* Read at once, unless a single batch is larger. */
#define LOG_SCRUB_PIECE (UINT64_C(256) << 10)
#define LOG_SCRUB_WINDOW (UINT64_C(4) << 20) /* of the WAL */
#define LOG_SCRUB_AGAIN_NS (UINT64_C(7) * 24 * 3600 * IO_SECOND)
/* Differences of one look that are told one by one. */
#define LOG_SCRUB_FOUND 8u

enum log_scrub_phase {
    LOG_SCRUB_IDLE,
    LOG_SCRUB_WAL,
    LOG_SCRUB_KEYS,
    LOG_SCRUB_NEW,
    LOG_SCRUB_OLD,
};

/* Something on disk that is not what the log knows. */
struct log_scrub_found {
    const char *what;
    uint32_t topic_id;
    uint32_t partition;
    int64_t first_offset;
    int64_t last_offset;
    uint64_t from; /* bytes of the file */
    uint64_t to;
};

/* A batch of the WAL that is to be looked at. */
struct log_scrub_batch {
    uint32_t topic_id;
    uint32_t partition;
    struct log_index_entry entry;
};

/* Where a walk over all segments stands: behind the segment with this base offset. */
struct log_scrub_cursor {
    uint32_t topic; /* index */
    uint32_t partition;
    int64_t base_offset; /* -1: before the first; in the KEYS phase the number of a bucket */
};

struct log_scrub {
    struct io_job job;
    struct io_timer timer; /* the next round, or the next step of this one */
    enum log_scrub_phase phase;
    uint64_t round_ns; /* when the round began */
    struct log_scrub_cursor cursor;
    struct log_scrub_cursor old; /* of the OLD phase: goes on where the last round left it */
    uint32_t told;               /* differences of the round that were logged */

    uint64_t wal_file; /* unsealed files before it, and it up to the offset, are looked at */
    uint64_t wal_offset;
    uint64_t wal_ns;      /* when that began */
    uint64_t wal_window;  /* of the look on its way: where it ends */
    uint32_t wal_found;   /* since wal_ns */
    uint32_t state_found; /* of the round */

    /* A look: the worker's while it runs. */
    bool running;
    uint8_t *data;
    uint64_t data_capacity;
    uint64_t bytes; /* read by it */
    err_t error;    /* nothing could be said */
    struct log_scrub_found found[LOG_SCRUB_FOUND];
    uint32_t found_count; /* may be more than are in `found` */
    struct log_scrub_batch *batches;
    size_t batch_count;
    size_t batch_capacity;
    uint64_t file_number;
    uint32_t topic_id; /* KEYS, NEW and OLD: the file */
    uint32_t partition;
    struct log_segment_place place;
    struct log_segment segment;     /* `checked` moves on with the looks */
    bool more;                      /* the segment is not read to its end */
    bool broken;                    /* no batch can be found behind what was read */
    struct log_keys_bucket *bucket; /* KEYS: held until its file has been read, or NULL */
    uint64_t keys_at;               /* so far; moves on with the looks */
    uint32_t keys_found;

    uint32_t wal_differences; /* standing, as told by metrics */
    uint32_t state_differences;
    uint64_t read_bytes_total;
    int64_t completed_ms; /* the end of the last whole round; 0: none yet */
};

void log_scrub_init(struct log *log);
/* The first round begins one `check_every` from here. */
void log_scrub_start(struct log *log);
/* Ends it: nothing begins any more. True when nothing is on its way. */
bool log_scrub_stop(struct log *log);
/* After the last look has ended, or will never. */
void log_scrub_done(struct log *log);
