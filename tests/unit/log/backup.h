#pragma once

/*
 * Backups of a data directory on the simulated disk: of a log that runs, held by a pin, or of one
 * that does not; and what is restored of them.
 */

#include "log/backup.h"
#include "log/restore.h"
#include "unit/log/fsck.h"

#define BACKUP_NOW INT64_C(1772347200000) /* 2026-03-01T06:40:00Z */

struct held_pin {
    struct flow_pin pin;
    bool answered;
};

static inline void held_answered(struct flow_pin *pin)
{
    CONTAINER_OF(pin, struct held_pin, pin)->answered = true;
}

static inline err_t held_ask(struct world *w, struct held_pin *held, enum flow_pin_op op)
{
    held->answered = false;
    held->pin.home = w->loop;
    held->pin.done = held_answered;
    held->pin.op = op;
    flow_log_pin(log_flow(w->log), &held->pin);
    world_until(w, world_is_set, &held->answered);
    return held->pin.error;
}

/* What happens while a backup is made. */
struct backup_watch {
    struct world *w;
    struct held_pin held;
    int64_t moment;      /* of the backup */
    uint64_t calls;      /* of progress */
    uint64_t stop_after; /* then ERR_CANCELLED */
    uint64_t log_copied;
    uint64_t copied;
    bool busy; /* the log takes records meanwhile */
    struct log_backup_result result;
    struct err_text why;
};

static inline err_t watch_progress(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
    struct backup_watch *watch = context;
    assert_true(done_bytes <= total_bytes);
    if (watch->busy)
        fsck_fill(watch->w, 1);
    return err_make(++watch->calls == watch->stop_after ? ERR_CANCELLED : ERR_OK);
}

static inline err_t watch_log_copied(void *context)
{
    struct backup_watch *watch = context;
    watch->log_copied++;
    return watch->w->log ? held_ask(watch->w, &watch->held, FLOW_PIN_KEEP_SEGMENTS) : err_ok();
}

static inline err_t watch_copied(void *context)
{
    struct backup_watch *watch = context;
    watch->copied++;
    return watch->w->log ? held_ask(watch->w, &watch->held, FLOW_PIN_GIVE_BACK) : err_ok();
}

/* Of the running log, or, without one, of the directory as it lies there. */
static inline err_t backup_try(struct world *w, struct backup_watch *watch)
{
    watch->w = w;
    watch->why = (struct err_text){0};
    watch->calls = 0;
    uint64_t lsn = 0;
    if (w->log) {
        assert_code(held_ask(w, &watch->held, FLOW_PIN_TAKE), OK);
        lsn = watch->held.pin.lsn;
    }
    struct log_backup_options options = {
        .disk = sim_disk_io(w->disk),
        .data_directory = "data",
        .folder = "backups",
        .lsn = lsn,
        .uuid = watch->held.pin.log_uuid,
        .now_ms = BACKUP_NOW + watch->moment,
        .watcher = {watch, watch_progress, watch_log_copied, watch_copied},
    };
    return log_backup(&options, &watch->result, &watch->why);
}

static inline void backup_make(struct world *w, struct backup_watch *watch)
{
    err_t err = backup_try(w, watch);
    if (!err_is_ok(err))
        fail_msg("%s: %s", err_name(err), watch->why.text);
}

struct restored {
    struct log_restore_result result;
    struct err_text why;
    uint64_t calls;
    uint64_t stop_after;
    uint64_t topics;
    uint64_t records; /* of topic flights */
};

static inline err_t restored_progress(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
    struct restored *restored = context;
    assert_true(done_bytes <= total_bytes);
    return err_make(++restored->calls == restored->stop_after ? ERR_CANCELLED : ERR_OK);
}

static inline void restored_topic(void *context, const struct log_fsck_topic *topic)
{
    struct restored *restored = context;
    assert_true(topic->balanced);
    restored->topics++;
    if (strcmp(topic->name, "flights") == 0)
        restored->records = topic->on_disk;
}

static inline err_t restore_try(struct world *w, struct restored *restored, const char *name,
                                const char *to)
{
    uint64_t stop_after = restored->stop_after;
    *restored = (struct restored){.stop_after = stop_after};
    struct log_restore_options options = {.disk = sim_disk_io(w->disk),
                                          .folder = "backups",
                                          .name = name,
                                          .to = to,
                                          .uuid = {{9, 9, 9}},
                                          .context = restored,
                                          .progress = restored_progress,
                                          .topic = restored_topic};
    return log_restore(&options, &restored->result, &restored->why);
}

static inline void restore_make(struct world *w, struct restored *restored, const char *name,
                                const char *to)
{
    err_t err = restore_try(w, restored, name, to);
    if (!err_is_ok(err))
        fail_msg("%s: %s", err_name(err), restored->why.text);
}

static inline enum io_kind backup_kind(const struct world *w, const char *path)
{
    enum io_kind kind;
    assert_code(io_disk_kind(sim_disk_io(w->disk), path, &kind, NULL), OK);
    return kind;
}

/* Opens what was restored in place of the data directory: all records can be read, and it goes
 * on. */
static inline void restored_serves(struct world *w, const char *to, uint64_t records)
{
    assert_null(w->log);
    w->options.data_directory = to;
    world_open(w);
    assert_int_equal(w->log->meta.uuid.bytes[0], 9);
    struct flow_snapshot snapshot = {0};
    arena_init(&snapshot.arena, 0);
    assert_code(log_state_snapshot(&w->log->state, &snapshot), OK);
    assert_true(flow_snapshot_balanced(&snapshot));
    assert_int_equal(snapshot.topics[0].accepted, records);
    flow_snapshot_done(&snapshot);
    int64_t end = world_end(w, 1, 0);
    struct asked_read read;
    for (int64_t at = 0; at < end;) {
        assert_code(world_read(w, &read, at, 200000), OK);
        assert_true(read.read.next_offset > at);
        at = read.read.next_offset;
        world_release(w, &read);
    }
    fsck_fill(w, 20);
    assert_true(world_end(w, 1, 0) == end + 40);
    world_settle(w);
    world_kill(w);
    world_open(w);
    assert_true(world_end(w, 1, 0) == end + 40);
    world_kill(w);
    w->options.data_directory = "data";
}
