#pragma once

/*
 * The idempotency keys of one topic that count: buckets by the time of commit, the newest of which
 * is open. A key counts for at least the topic's window and for a bucket longer at the most. A part
 * of the state: what is durable of it is a function of the frames. Belongs to the sequencer's loop.
 *
 * A bucket is a table in memory until it has been closed and written as a sorted file
 * (keys_file.h). Keys go into the open table when their commit is composed, so that what follows is
 * held against them at once; they are durable when their frame is, and are taken out again when it
 * never will be.
 *
 *   OPEN ── old or large ──► CLOSED ── sorted file durable ──► SORTED ── past the window ──► gone
 *
 * The keys of a table go to a file of their own with each checkpoint, which says how many of it
 * count, and with which checksum. A file that no state names any more is doomed, and stays until
 * no checkpoint that is kept names it.
 */

#include "base/buf.h"
#include "log/keys_file.h"
#include "log/keys_table.h"

#define LOG_KEYS_BUCKETS_WINDOW 16u /* of a window, by time alone */

struct log_keys_bucket {
    uint32_t refs;
    uint64_t number;
    int64_t first_ms; /* commit times of its durable keys */
    int64_t last_ms;
    bool sorted;
    /* Not sorted. */
    struct log_keys_table table;
    uint32_t durable;   /* of the table */
    uint32_t saved;     /* by the newest checkpoint, in the file of its own */
    uint32_t saved_crc; /* of those */
    uint32_t saving;    /* as checkpoints name it: those; of a sorted one all */
    uint32_t saving_crc;
    /* Sorted. */
    struct log_keys_file file;
    uint64_t installed;   /* which of all that were sorted since the start */
    uint64_t checked_ns;  /* when the check (scrub.h) had read all of it; 0: not since the start */
    uint32_t differences; /* that it found, and that stand */
};

struct log_keys {
    struct log_keys_bucket **buckets; /* by number */
    uint32_t count;
    uint32_t capacity;
    uint64_t next_number;
};

enum log_keys_kind { LOG_KEYS_RAW, LOG_KEYS_SORTED };

/* What a lookup in memory has found. */
enum log_keys_found { LOG_KEYS_ABSENT, LOG_KEYS_DURABLE, LOG_KEYS_ON_ITS_WAY };

/* An index without keys, whose buckets are numbered from `first_number` on: files of an earlier one
 * of the topic have lower numbers. NULL without memory. */
struct log_keys *log_keys_new(uint64_t first_number);
void log_keys_free(struct log_keys **keys);
/* Adds an empty bucket behind all others. NULL without memory. */
struct log_keys_bucket *log_keys_add_bucket(struct log_keys *keys);
/* Buckets are shared with jobs that read them. */
void log_keys_bucket_hold(struct log_keys_bucket *bucket);
void log_keys_bucket_release(struct log_keys_bucket *bucket);
uint32_t log_keys_bucket_count(const struct log_keys_bucket *bucket);

/* Closes the open bucket when it spans a sixteenth of the window or holds `memory_bytes`; opens the
 * first. ERR_MEMORY. */
err_t log_keys_turn(struct log_keys *keys, const struct flow_topic_config *config, int64_t now_ms);
/* How many of the oldest buckets have nothing any more that counts. */
uint32_t log_keys_expired(const struct log_keys *keys, const struct flow_topic_config *config,
                          int64_t now_ms);
/* Lets go of the oldest buckets. */
void log_keys_drop(struct log_keys *keys, uint32_t count);

/* Brings what log_keys_find looks at first into the processor's cache. */
void log_keys_prefetch(const struct log_keys *keys, struct flow_fingerprint key);
/* Looks in the tables. */
enum log_keys_found log_keys_find(const struct log_keys *keys,
                                  const struct flow_topic_config *config, int64_t now_ms,
                                  struct flow_fingerprint key);
/* Adds a key that was not found, on its way; there is an open bucket. ERR_MEMORY, and ERR_BUSY when
 * the disk does not keep up with sorting and the open one has grown to twice its limit. */
err_t log_keys_add(struct log_keys *keys, const struct flow_topic_config *config,
                   struct flow_fingerprint key);
/* Takes the newest `count` keys of the open bucket out again, which are on their way. */
void log_keys_take_back(struct log_keys *keys, uint32_t count);
/* Takes out all that are on their way. */
void log_keys_forget(struct log_keys *keys);
/* A frame of `commit_ms` with these keys is durable: those on their way are what they were
 * composed as; in recovery they are added. ERR_MEMORY. */
err_t log_keys_settle(struct log_keys *keys, const struct flow_topic_config *config,
                      struct slice fingerprints, int64_t commit_ms);

/* What the filters of sorted files are asked, all keys of a commit at once: those neither none nor
 * marked in `known` (a bit each), for the files that were installed after `since`. */
struct log_keys_question {
    const struct flow_fingerprint *keys;
    const uint8_t *known;
    uint32_t count;
    uint64_t since;
};

/* Key `index` of a question may be in the bucket's file. */
typedef err_t log_keys_passed_fn(void *context, uint32_t index, struct log_keys_bucket *bucket);

/* Calls `passed` for each key and file that a filter does not rule out; the first error of it ends
 * that and is returned. */
err_t log_keys_ask(const struct log_keys *keys, const struct log_keys_question *question,
                   log_keys_passed_fn *passed, void *context);

/* The oldest bucket that is closed, durable and not sorted, or NULL. */
struct log_keys_bucket *log_keys_closed(const struct log_keys *keys);
/* Durable keys that no checkpoint has. */
uint64_t log_keys_unsaved(const struct log_keys *keys);
/* Makes `bucket` one of the file that is handed over. */
void log_keys_install(struct log_keys_bucket *bucket, struct log_keys_file *file,
                      uint64_t installed);

/* `<topic_directory>/keys/<number>.new` or `.sorted`. */
void log_keys_path(const char *topic_directory, uint64_t number, enum log_keys_kind kind, char *out,
                   size_t size);
/* Fixes what a checkpoint says of the bucket; what its file lacks is appended to `out`, and belongs
 * at key `*from`. */
void log_keys_bucket_gather(struct log_keys_bucket *bucket, struct buf *out, uint32_t *from);
/* The checkpoint is durable. */
void log_keys_saved(struct log_keys *keys);
/* Writes keys at place `from` of the raw file, durably. Blocks. */
err_t log_keys_write_raw(struct io_disk *disk, const char *topic_directory, uint64_t number,
                         uint32_t from, struct slice keys, struct err_text *why);
/* Reads what a checkpoint names of the bucket: its `saving` keys of `saving_crc`, or its sorted
 * file. ERR_CORRUPT when that is not on the disk. Blocks. */
err_t log_keys_bucket_load(struct io_disk *disk, const char *topic_directory,
                           const struct uuid *topic, struct log_keys_bucket *bucket,
                           struct err_text *why);
