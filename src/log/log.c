#include "log/log.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "log/log_int.h"

/*
 * Opening: lock, read garner.meta, open the WAL, recover, make a first file when there is none.
 * A directory is new until its first frame is durable and garner.meta says so; what a crash left
 * of such a beginning is begun again. A directory that is not new must hold its first frame.
 */

static void commit_arrived(struct task *task)
{
    struct flow_commit *commit = CONTAINER_OF(task, struct flow_commit, task);
    log_sequencer_submit((struct log *)commit->log, commit);
}

static void submit_commit(struct flow_log *flow, struct flow_commit *commit)
{
    struct log *log = CONTAINER_OF(flow, struct log, flow);
    ASSERT(commit->home && commit->done);
    commit->log = log;
    commit->started_ns = io_now_ns(log->options.loop);
    commit->task.run = commit_arrived;
    io_post(log->options.loop, &commit->task);
}

static const struct flow_log_ops log_ops = {
    .commit = submit_commit,
    .read = log_reader_read,
    .cancel = log_reader_cancel,
    .release = log_reader_release,
    .snapshot = log_status_snapshot,
    .offsets = log_status_offsets,
    .find = log_find,
    .pin = log_pin_ask,
};

static void init_state(struct log *log)
{
    uint64_t seed;
    ASSERT(log->options.loop);
    io_random(log->options.loop, &seed, sizeof seed);
    log_state_init(&log->state, seed);
}

static err_t lock_directory(struct log *log, struct err_text *why)
{
    ASSERT(!log->lock && log->options.data_directory);
    const char *directory = log->options.data_directory;
    TRY(io_disk_make_path(log->options.disk, directory, why));
    struct io_space space;
    TRY(io_disk_space(log->options.disk, directory, &space, why));
    if (space.network)
        return err_set(why, ERR_UNSUPPORTED,
                       "%s is on a network file system, where locks and flushes cannot be "
                       "trusted; set data_dir to a local disk",
                       directory);
    char path[LOG_WAL_PATH_MAX];
    int size = snprintf(path, sizeof path, "%s/garner.lock", directory);
    if (size < 0 || (size_t)size >= sizeof path)
        return err_set(why, ERR_CONFIG, "data_dir: the path is too long");
    TRY(io_disk_open(log->options.disk, path, IO_OPEN_READ | IO_OPEN_WRITE | IO_OPEN_CREATE,
                     &log->lock, why));
    err_t err = io_file_lock(log->lock);
    if (err_is(err, ERR_IN_USE))
        return err_set(why, ERR_IN_USE,
                       "%s is in use by another garner server; stop that one, or set another "
                       "data_dir",
                       directory);
    return err;
}

static err_t read_meta(struct log *log, struct err_text *why)
{
    ASSERT(log->lock);
    const struct log_options *options = &log->options;
    err_t err = log_meta_read(options->disk, options->data_directory, &log->meta, why);
    if (!err_is(err, ERR_NO_FILE))
        return err;
    if (why)
        *why = (struct err_text){0};
    uint8_t random[16];
    io_random(options->loop, random, sizeof random);
    log->meta = (struct log_meta){.format = LOG_META_FORMAT, .uuid = uuid_from_random(random)};
    return log_meta_write(options->disk, options->data_directory, &log->meta, why);
}

static err_t make_first_file(struct log *log, struct err_text *why)
{
    ASSERT(log->wal.file_size > 0);
    struct log_wal_making making;
    uint64_t number = log_wal_next_number(&log->wal);
    TRY(log_wal_make_begin(&making, &log->wal, number, 0));
    err_t err = err_ok();
    while (err_is_ok(err) && !making.finished)
        err = log_wal_make_step(&making, why);
    log_wal_make_done(&making);
    TRY(err);
    TRY(log_wal_add(&log->wal, number, why));
    log->wal.current = log->wal.file_count - 1;
    log->wal.offset = 0;
    return err_ok();
}

/* The first frame of all, empty: from here on the directory holds a log. */
static err_t write_first_frame(struct log *log)
{
    struct log_frame *frame = &log->frames[0];
    ASSERT(log->durable_lsn == 0);
    log->epoch = 1;
    log->epoch_begins = true;
    TRY(log_compose_begin(log, frame, 0));
    log_compose_seal(log, frame);
    TRY(io_file_write(frame->file, frame->data, (size_t)frame->disk_size, frame->position.offset));
    TRY(io_file_sync(frame->file));
    log->durable_lsn = frame->header.lsn;
    log->last = frame->header;
    log->epoch_begins = false;
    log_tail_publish(&log->tail, frame->data, frame->disk_size, frame->position);
    frame->data = NULL;
    return err_ok();
}

static err_t begin_log(struct log *log, struct err_text *why)
{
    ASSERT(log->recovered.lsn == 0 && log->state.topic_count == 0);
    if (log->meta.ready)
        return err_set(
            why, ERR_CORRUPT,
            "%s: the log is gone (no first frame in %s/wal) though garner.meta says "
            "that there was one; run garner fsck, restore it from a copy, or set another data_dir",
            log->options.data_directory, log->options.data_directory);
    if (log->wal.file_count == 0)
        TRY(make_first_file(log, why));
    log->wal.current = 0;
    log->wal.offset = 0;
    err_t err = write_first_frame(log);
    if (!err_is_ok(err))
        return err_set(why, (enum err_code)err.code, "%s: cannot write the log: %s",
                       log->options.data_directory, err_string(err));
    log->meta.ready = true;
    return log_meta_write(log->options.disk, log->options.data_directory, &log->meta, why);
}

static void say_recovered(const struct log *log)
{
    const struct log_recovery *r = &log->recovered;
    ASSERT(r->lsn > 0);
    logger_write(
        log->logger, r->clean ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING, "log_recovered",
        "%llu frames, %llu MiB, %s%s", (unsigned long long)r->frames,
        (unsigned long long)(r->bytes >> 20), r->clean ? "after a clean stop" : "after a crash",
        r->torn ? "; an unfinished frame at the end was cut, it had not been acknowledged" : "");
}

struct log_segment_place log_place(const struct log *log, const struct log_topic *topic,
                                   uint32_t partition)
{
    ASSERT(topic->name && log->options.data_directory);
    return (struct log_segment_place){
        .data_directory = log->options.data_directory,
        .topic = slice_string(topic->name),
        .topic_uuid = topic->uuid,
        .partition = partition,
    };
}

/* Reads the checkpoint of `lsn` into the empty state. */
static err_t load_checkpoint(struct log *log, uint64_t lsn, struct log_checkpoint *out,
                             struct err_text *why)
{
    struct buf bytes;
    ASSERT(log->state.topic_count == 0);
    buf_init(&bytes, 0);
    err_t err =
        log_checkpoint_read(log->options.disk, log->options.data_directory, lsn, &bytes, why);
    if (err_is_ok(err))
        err = log_checkpoint_decode(buf_slice(&bytes), out, &log->state);
    if (err_is_ok(err) && uuid_equal(&out->uuid, &log->meta.uuid))
        err = log_state_load_keys(&log->state, log->options.disk, log->options.data_directory, why);
    buf_done(&bytes);
    if (err_is_ok(err) && !uuid_equal(&out->uuid, &log->meta.uuid))
        err = err_set(why, ERR_CORRUPT, "it is of another data directory");
    if (err_is(err, ERR_VERSION))
        return err_set(why, ERR_VERSION,
                       "checkpoint %llu was written by a newer garner; start that version",
                       (unsigned long long)lsn);
    return err;
}

/* Loads the newest checkpoint that can be read; `*found` is false without one. */
static err_t load_newest(struct log *log, struct log_checkpoint *out, bool *found,
                         struct err_text *why)
{
    uint64_t lsns[LOG_CHECKPOINTS_KEPT + 1];
    size_t count = 0;
    *found = false;
    TRY(log_checkpoint_list(log->options.disk, log->options.data_directory, lsns,
                            sizeof lsns / sizeof lsns[0], &count, why));
    for (size_t i = 0; i < count && !*found; i++) {
        struct err_text detail = {0};
        err_t err = load_checkpoint(log, lsns[i], out, &detail);
        *found = err_is_ok(err);
        if (*found)
            break;
        if (!err_is(err, ERR_CORRUPT))
            return err_set(why, (enum err_code)err.code, "checkpoint %llu: %s",
                           (unsigned long long)lsns[i], err_detail(err, &detail));
        logger_write(log->logger, LOG_LEVEL_ERROR, "log_checkpoint_damaged",
                     "checkpoint %llu is damaged and not used: %s; %s. The disk changed what was "
                     "written: check it, and run garner fsck when the server is stopped",
                     (unsigned long long)lsns[i], err_detail(err, &detail),
                     i + 1 < count ? "the one before it is used"
                                   : "the log is read from its beginning");
        log_state_done(&log->state);
        init_state(log);
    }
    ASSERT(!*found || out->last.lsn > 0);
    return err_ok();
}

/* Up to which file the checkpoint before `newest` has sealed: from there on files are kept for it.
 * Without one that can be read there is nothing to keep them for. */
static err_t sealed_before(const struct log *log, const struct log_checkpoint *newest,
                           uint64_t *sealed, struct err_text *why)
{
    const struct log_options *options = &log->options;
    uint64_t lsns[LOG_CHECKPOINTS_KEPT + 1];
    size_t count = 0;
    TRY(log_checkpoint_list(options->disk, options->data_directory, lsns,
                            sizeof lsns / sizeof lsns[0], &count, why));
    size_t at = 0;
    while (at < count && lsns[at] >= newest->last.lsn)
        at++;
    ASSERT(count <= sizeof lsns / sizeof lsns[0]);
    *sealed = newest->sealed_file;
    if (at == count)
        return err_ok();
    uint64_t found = 0;
    err_t err =
        log_checkpoint_read_sealed(options->disk, options->data_directory, lsns[at], &found);
    if (err_is(err, ERR_CORRUPT))
        return err_ok();
    /* One that cannot be read today may be the one that is left tomorrow: 0 keeps all for it. */
    if (!err_is_ok(err) || found < *sealed)
        *sealed = found;
    return err_ok();
}

static bool topic_is_live(void *context, const struct uuid *uuid)
{
    const struct log_state *state = context;
    ASSERT(state->topics || state->topic_count == 0);
    for (uint32_t i = 0; i < state->topic_count; i++) {
        if (!state->topics[i]->deleted && uuid_equal(&state->topics[i]->uuid, uuid))
            return true;
    }
    return false;
}

/* After a crash segments may be longer than the checkpoint says: they are made what it says, and
 * what is behind it is sealed again. */
static err_t cut_segments(struct log *log, struct err_text *why)
{
    struct io_disk *disk = log->options.disk;
    TRY(log_segment_sweep_topics(disk, log->options.data_directory, topic_is_live, &log->state,
                                 why));
    for (uint32_t t = 0; t < log->state.topic_count; t++) {
        const struct log_topic *topic = log->state.topics[t];
        ASSERT(topic->partitions || topic->partition_count == 0);
        for (uint32_t p = 0; p < topic->partition_count; p++) {
            const struct log_partition *partition = &topic->partitions[p];
            struct log_segment_place place = log_place(log, topic, p);
            if (partition->segment_count > 0)
                TRY(log_segment_cut(disk, &place,
                                    &partition->segments[partition->segment_count - 1], why));
        }
    }
    return err_ok();
}

static err_t recover_log(struct log *log, struct err_text *why)
{
    ASSERT(log->lock && log->tail.data);
    struct log_checkpoint checkpoint = {0};
    bool found = false;
    TRY(load_newest(log, &checkpoint, &found, why));
    TRY(log_recover(&log->wal, &log->meta.uuid, found ? &checkpoint : NULL, &log->state,
                    &log->recovered, why));
    if (!log->recovered.clean)
        TRY(cut_segments(log, why));
    /* Also behind a clean stop, before which something may have failed half way. */
    TRY(log_state_sweep_keys(&log->state, log->options.disk, log->options.data_directory, why));
    TRY(log_checkpoint_set_aside(log->options.disk, log->options.data_directory,
                                 found ? checkpoint.last.lsn : 0, why));
    if (found) {
        uint64_t before = 0;
        TRY(sealed_before(log, &checkpoint, &before, why));
        log_sealer_loaded(log, &checkpoint, before);
    }
    if (log->recovered.lsn == 0)
        return begin_log(log, why);
    say_recovered(log);
    log->durable_lsn = log->recovered.lsn;
    log->last = log->recovered.last;
    ASSERT(log->last.header_crc == log->recovered.last_crc);
    log->epoch = log->recovered.epoch;
    log->time_ms = log->recovered.time_ms;
    if (log->meta.ready)
        return err_ok();
    log->meta.ready = true;
    return log_meta_write(log->options.disk, log->options.data_directory, &log->meta, why);
}

/* A directory of an older format becomes one of this before anything is written that an older
 * program could not read. */
static err_t raise_format(struct log *log, struct err_text *why)
{
    ASSERT(log->meta.format <= LOG_META_FORMAT);
    if (log->meta.format == LOG_META_FORMAT)
        return err_ok();
    logger_write(log->logger, LOG_LEVEL_INFO, "log_format_raised",
                 "%s: format %u becomes %u; an older garner cannot open it any more",
                 log->options.data_directory, log->meta.format, LOG_META_FORMAT);
    log->meta.format = LOG_META_FORMAT;
    return log_meta_write(log->options.disk, log->options.data_directory, &log->meta, why);
}

static err_t open_log(struct log *log, struct err_text *why)
{
    ASSERT(log->mode == LOG_RUNNING && !log->open && !log->flushing);
    const struct log_options *options = &log->options;
    TRY(lock_directory(log, why));
    TRY(read_meta(log, why));
    TRY(log_tail_init(&log->tail, options->tail_bytes));
    TRY(log_wal_open(&log->wal, options->disk, log->logger, options->data_directory,
                     options->wal_limit_bytes, options->wal_file_size, why));
    err_t err = recover_log(log, why);
    if (err_is_ok(err))
        err = raise_format(log, why);
    if (!err_is_ok(err))
        err_prefix(why, "data_dir %s", options->data_directory);
    return err;
}

err_t log_open(const struct log_options *options, struct log **out, struct err_text *why)
{
    ASSERT(options->loop && options->flusher && options->maker);
    ASSERT(options->reader && options->sealer);
    struct log *log = mem_zalloc(1, sizeof *log);
    if (!log)
        return err_make(ERR_MEMORY);
    log->flow.ops = &log_ops;
    log->exporter = (struct flow_exporter){.name = "log", .collect = log_status_collect};
    log->options = *options;
    log->logger = options->logger;
    init_state(log);
    log_sequencer_init(log);
    log_maker_init(log);
    log_sealer_init(log);
    log_retention_init(log);
    log_scrub_init(log);
    log_pin_init(log);
    log_probe_init(log);
    struct err_text detail = {0};
    err_t err = open_log(log, &detail);
    if (!err_is_ok(err)) {
        if (detail.text[0])
            err = err_set(why, (enum err_code)err.code, "%s", detail.text);
        else
            err = err_set(why, (enum err_code)err.code, "%s: the log cannot be opened: %s",
                          options->data_directory, err_string(err));
        log->mode = LOG_STOPPED;
        log_free(&log);
        return err;
    }
    log_retention_start(log);
    log_scrub_start(log);
    *out = log;
    return err_ok();
}

struct flow_log *log_flow(struct log *log)
{
    ASSERT(log->flow.ops == &log_ops);
    return &log->flow;
}

struct flow_exporter *log_exporter(struct log *log)
{
    ASSERT(log->exporter.collect);
    return &log->exporter;
}

uint64_t log_commit_size_max(const struct log *log)
{
    /* What entries and their headers take beside the batches is little; this is plenty for it. */
    uint64_t taken = LOG_RESERVE_BYTES + log->wal.file_size / 16;
    ASSERT(taken < log->wal.file_size);
    return log->wal.file_size - taken;
}

static void stop_arrived(struct task *task)
{
    struct log *log = CONTAINER_OF(task, struct log, stop_task);
    ASSERT(log->mode < LOG_STOPPING);
    log->mode = LOG_STOPPING;
    log_reader_cancel_all(log);
    log_pin_stop(log);
    log_sequencer_pump(log);
}

void log_stop(struct log *log, struct io_loop *home, struct task *stopped)
{
    ASSERT(home && stopped && !log->stopped);
    log->stop_home = home;
    log->stopped = stopped;
    log->stop_task.run = stop_arrived;
    io_post(log->options.loop, &log->stop_task);
}

void log_free(struct log **log)
{
    struct log *l = *log;
    if (!l)
        return;
    /* A simulated power loss ends an actor where it stands; a server frees a stopped one. */
    for (size_t i = 0; i < 2; i++)
        mem_free(l->frames[i].own);
    /* One that was opened and never ran still waits for these. */
    io_timer_stop(l->options.loop, &l->retention.timer);
    io_timer_stop(l->options.loop, &l->scrub.timer);
    io_timer_stop(l->options.loop, &l->pin.timer);
    log_find_forget_all(l);
    log_reader_forget_all(l);
    log_sealer_done(l);
    log_scrub_done(l);
    log_probe_done(l);
    if (l->maker.making.wal)
        log_wal_make_done(&l->maker.making);
    log_wal_done(&l->wal);
    log_tail_done(&l->tail);
    log_state_done(&l->state);
    err_t ignored = io_file_close(l->lock);
    (void)ignored;
    mem_free(l);
    *log = NULL;
}
