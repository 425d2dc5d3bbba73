#include "sim/world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEPS_MAX UINT64_C(2000000)
#define REST_STEPS_MAX UINT64_C(20000)
#define DIRECTORY "data"

static const char *const topic_names[MODEL_STATIC] = {"one", "two", "one.dlq", "two.dlq"};

void world_say(const struct world *w, const char *format, ...)
{
    if (!w->trace)
        return;
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    printf("\n");
    va_end(arguments);
}

static void log_line(struct logger *logger, enum log_level level, const char *event,
                     struct slice text)
{
    struct world *w = CONTAINER_OF(logger, struct world, logger);
    w->checkpoint_damaged |= strcmp(event, "log_checkpoint_damaged") == 0;
    world_say(w, "  %s %s: %.*s", log_level_name(level), event, SLICE_PRINTF(text));
}

static void draw_retention(struct world *w)
{
    static const enum flow_codec codecs[] = {FLOW_CODEC_NONE, FLOW_CODEC_LZ4, FLOW_CODEC_ZSTD};
    for (uint32_t t = 0; t < MODEL_STATIC; t++) {
        w->retention[t] = (enum world_retention)below(w, WORLD_BY_HAND + 1);
        /* Of the keyed one: buckets are closed by each commit, by some, or by time alone. */
        static const uint64_t memories[] = {1, UINT64_C(35) << 10, UINT64_C(64) << 20};
        bool keyed = t == WORLD_KEYED;
        w->configs[t] = (struct flow_topic_config){
            .dedup_window_ms = !keyed            ? 0
                               : chance(w, 1, 2) ? 3600000
                                                 : 20000 + below(w, 40000),
            .dedup_memory_bytes = keyed ? memories[below(w, 3)] : 0,
            .dedup_secret = {{keyed}},
            .retention_ms = w->retention[t] == WORLD_BY_TIME ? 25000 + below(w, 30000) : 0,
            .retention_bytes = w->retention[t] == WORLD_BY_SIZE ? 1 + below(w, 2000000) : 0,
            .codec = codecs[below(w, 3)],
            .expire_undelivered = chance(w, 1, 2),
        };
    }
}

void world_init(struct world *w, uint64_t seed, bool trace)
{
    *w = (struct world){.seed = seed, .trace = trace};
    w->random = sim_random_seed(seed);
    w->logger.write = log_line;
    model_init(&w->model, seed);
    draw_retention(w);
    w->sim = sim_new(seed);
    w->disk = sim_disk_new(seed);
    MODEL_EXPECT(&w->model, w->sim && w->disk);
    for (size_t i = 0; i < 3; i++) {
        w->loops[i] = sim_loop_new(w->sim);
        MODEL_EXPECT(&w->model, w->loops[i]);
    }
    for (size_t i = 0; i < WORLD_WORKERS; i++) {
        w->workers[i] = sim_worker_new(w->sim);
        MODEL_EXPECT(&w->model, w->workers[i]);
    }
    w->options = (struct log_options){
        .loop = w->loops[0],
        .flusher = w->workers[0],
        .maker = w->workers[1],
        .reader = w->workers[2],
        .sealer = w->workers[3],
        .disk = sim_disk_io(w->disk),
        .logger = &w->logger,
        .data_directory = DIRECTORY,
        .wal_limit_bytes = UINT64_C(64) << 20,
        .wal_file_size = UINT64_C(1) << 20,
        .tail_bytes = 4 * LOG_FRAME_SIZE_TARGET,
        .index_bytes = UINT64_C(64) << 20,
    };
    w->value_size_max = 200;
    world_actors_init(w);
}

void world_done(struct world *w)
{
    sim_free(&w->sim);
    sim_disk_free(&w->disk);
    model_done(&w->model);
    free(w->settles);
}

err_t world_open(struct world *w, struct err_text *why)
{
    MODEL_EXPECT(&w->model, !w->log);
    *why = (struct err_text){0};
    w->checkpoint_damaged = false;
    err_t err = log_open(&w->options, &w->log, why);
    world_say(w, "open: %s%s%s", err_name(err), why->text[0] ? ", " : "", why->text);
    if (!err_is_ok(err) && !why->text[0] && !err_is(err, ERR_MEMORY))
        model_fail(&w->model, "the log does not open and gives no reason: %s", err_name(err));
    w->is_stopped = false;
    if (err_is_ok(err))
        w->begun_at = (struct log_position){w->log->wal.files[w->log->wal.current].number,
                                            w->log->wal.offset};
    return err;
}

static void note_time(struct world *w)
{
    int64_t now_ms = io_wall_ms(w->loops[0]);
    if (now_ms > w->newest_ms)
        w->newest_ms = now_ms;
}

static bool is_set(void *context)
{
    return *(const bool *)context;
}

static void wait_for(struct world *w, bool *answered)
{
    if (!sim_run_until(w->sim, is_set, answered, STEPS_MAX))
        model_fail(&w->model, "no answer");
}

struct asked_commit {
    struct flow_commit commit;
    bool answered;
};

static void commit_answered(struct flow_commit *commit)
{
    CONTAINER_OF(commit, struct asked_commit, commit)->answered = true;
}

err_t world_change_topics(struct world *w, struct flow_topic_change *changes, uint32_t count)
{
    struct asked_commit asked = {.commit = {
                                     .home = w->loops[1],
                                     .done = commit_answered,
                                     .topics = changes,
                                     .topic_count = count,
                                 }};
    flow_log_commit(log_flow(w->log), &asked.commit);
    wait_for(w, &asked.answered);
    return asked.commit.error;
}

struct asked_snapshot {
    struct flow_snapshot snapshot;
    bool answered;
};

static void snapshot_answered(struct flow_snapshot *snapshot)
{
    CONTAINER_OF(snapshot, struct asked_snapshot, snapshot)->answered = true;
}

/* With what is settled of the queue of this name, where one is given. */
static struct flow_snapshot snapshot_of(struct world *w, const char *dlq)
{
    struct asked_snapshot asked = {.snapshot = {.home = w->loops[1],
                                                .done = snapshot_answered,
                                                .settled_of = slice_string(dlq)}};
    flow_log_snapshot(log_flow(w->log), &asked.snapshot);
    wait_for(w, &asked.answered);
    MODEL_EXPECT(&w->model, err_is_ok(asked.snapshot.error));
    MODEL_EXPECT(&w->model, flow_snapshot_balanced(&asked.snapshot));
    return asked.snapshot;
}

struct flow_snapshot world_snapshot(struct world *w)
{
    return snapshot_of(w, "");
}

const char *world_topic_name(uint32_t topic)
{
    return topic_names[topic];
}

bool world_may_expire(const struct world *w, uint32_t topic)
{
    bool dlq = topic >= MODEL_PARENTS && topic < MODEL_STATIC;
    return w->retention[topic] != WORLD_KEEPS || (dlq && w->settle_count > 0);
}

uint32_t world_topic(const struct world *w, uint32_t id)
{
    for (uint32_t t = 0; t < MODEL_TOPICS; t++)
        if (w->topic_ids[t] == id)
            return t;
    model_fail(&w->model, "there is a topic of id %u", id);
}

/* What is below `start` was allowed to go. */
static void check_expiry(struct world *w, uint32_t t, uint32_t p, int64_t start,
                         const struct flow_topic_state *topic)
{
    const struct flow_topic_config *config = &w->configs[t];
    /* A queue's start follows what is settled: the rest was allowed to go otherwise. */
    int64_t known = w->model.partitions[t][p].start;
    int64_t rest = start;
    while (rest > known && world_may_be_settled(w, t, rest - 1, rest))
        rest--;
    if (rest == known)
        return;
    bool followed = rest < start;
    start = rest;
    MODEL_EXPECT(&w->model, w->retention[t] != WORLD_KEEPS);
    if (w->retention[t] == WORLD_BY_HAND)
        MODEL_EXPECT(&w->model, start <= w->asked_start[t][p]);
    if (w->retention[t] == WORLD_BY_SIZE && !followed)
        MODEL_EXPECT(&w->model, topic->sealed_bytes + topic->wal_bytes >= config->retention_bytes);
    /* Between a commit's handing over and its frame the wall clock may have been moved back. */
    int64_t since_ms = w->newest_ms - (int64_t)config->retention_ms + w->moved_back_ms;
    if (w->retention[t] == WORLD_BY_TIME)
        MODEL_EXPECT(&w->model, model_all_older(&w->model, t, p, start, since_ms));
}

static void learn_topic(struct world *w, uint32_t t, const struct flow_topic_state *topic)
{
    w->topic_ids[t] = topic->id;
    w->partitions[t] = topic->partition_count;
    for (uint32_t p = 0; p < topic->partition_count; p++) {
        int64_t start = topic->start_offset[p];
        if (start > w->model.partitions[t][p].start)
            check_expiry(w, t, p, start, topic);
        model_start(&w->model, t, p, start);
        model_end(&w->model, t, p, topic->end_offset[p]);
    }
}

/* The topic that comes and goes. */
static void learn_coming(struct world *w, const struct flow_snapshot *snapshot, bool settled)
{
    const struct flow_topic_state *topic =
        flow_snapshot_topic(snapshot, slice_string(WORLD_COMING_NAME));
    enum model_topic *known = &w->model.topics[w->coming];
    if (topic) {
        if (topic->uuid.bytes[0] != w->coming + 1 || w->coming == 0 || *known == MODEL_TOPIC_GONE)
            model_fail(&w->model, "life %u of a topic is there, and life %u had begun or ended",
                       topic->uuid.bytes[0] - 1u, w->coming);
        struct flow_topic_config config = world_coming_config(w->coming);
        if (!topic->config.open || topic->config.codec != config.codec ||
            topic->config.given != config.given ||
            topic->config.batch_bytes_max != config.batch_bytes_max)
            model_fail(&w->model, "life %u of a topic has another config", w->coming);
        learn_topic(w, w->coming, topic);
        if (settled || *known == MODEL_TOPIC_ASKED)
            *known = MODEL_TOPIC_LIVE;
    } else if (w->coming > 0) {
        if (*known == MODEL_TOPIC_LIVE)
            model_fail(&w->model, "life %u of a topic is gone", w->coming);
        if (*known == MODEL_TOPIC_LEAVING || settled)
            *known = MODEL_TOPIC_GONE;
    }
}

uint32_t world_gone_below(const struct world *w)
{
    if (w->coming == 0)
        return MODEL_STATIC;
    return w->model.topics[w->coming] == MODEL_TOPIC_GONE ? w->coming + 1 : w->coming;
}

void world_learn(struct world *w, const struct flow_snapshot *snapshot, bool settled)
{
    note_time(w);
    for (uint32_t t = 0; t < MODEL_STATIC; t++) {
        const struct flow_topic_state *topic =
            flow_snapshot_topic(snapshot, slice_string(topic_names[t]));
        if (topic)
            learn_topic(w, t, topic);
    }
    learn_coming(w, snapshot, settled);
}

static void learn(struct world *w)
{
    struct flow_snapshot snapshot = world_snapshot(w);
    world_learn(w, &snapshot, true);
    flow_snapshot_done(&snapshot);
}

static void make_topic(struct world *w, uint32_t t)
{
    struct flow_topic_change change = {
        .op = FLOW_TOPIC_CREATE,
        .uuid = {{(uint8_t)(t + 1)}},
        .name = slice_string(topic_names[t]),
        .partition_count = t < MODEL_PARENTS ? (uint32_t)(1 + below(w, 2)) : 1,
        .parent_id = t < MODEL_PARENTS ? 0 : w->topic_ids[t - MODEL_PARENTS],
    };
    err_t err = world_change_topics(w, &change, 1);
    MODEL_EXPECT(&w->model, err_is_ok(err));
    w->topic_ids[t] = change.topic_id;
    w->partitions[t] = change.partition_count;
}

static void configure_topic(struct world *w, uint32_t t)
{
    struct flow_topic_change change = {
        .op = FLOW_TOPIC_CONFIG, .topic_id = w->topic_ids[t], .config = w->configs[t]};
    err_t err = world_change_topics(w, &change, 1);
    MODEL_EXPECT(&w->model, err_is_ok(err));
}

static void open_sink(struct world *w, struct world_sink *sink)
{
    sink->topics[0] = sink->index;
    sink->topic_count = 1;
    struct flow_sink_change change = {
        .op = FLOW_SINK_OPEN,
        .name = slice_string(world_sink_name(sink)),
        .topic_ids = &w->topic_ids[sink->index],
        .topic_count = 1,
    };
    struct asked_commit asked = {.commit = {
                                     .home = w->loops[1],
                                     .done = commit_answered,
                                     .sinks = &change,
                                     .sink_count = 1,
                                 }};
    flow_log_commit(log_flow(w->log), &asked.commit);
    wait_for(w, &asked.answered);
    MODEL_EXPECT(&w->model, err_is_ok(asked.commit.error));
    sink->id = change.sink_id;
}

static void raise_partitions(struct world *w)
{
    uint32_t t = (uint32_t)below(w, MODEL_STATIC);
    if (w->partitions[t] == MODEL_PARTITIONS)
        return;
    struct flow_topic_change change = {
        .op = FLOW_TOPIC_PARTITIONS,
        .topic_id = w->topic_ids[t],
        .partition_count = w->partitions[t] + 1,
    };
    err_t err = world_change_topics(w, &change, 1);
    if (!err_is_ok(err) && !err_is(err, ERR_LOG_FULL))
        model_fail(&w->model, "raising partitions: %s", err_name(err));
}

void world_setup(struct world *w)
{
    learn(w);
    if (w->topic_ids[0] == 0) {
        for (uint32_t t = 0; t < MODEL_STATIC; t++)
            make_topic(w, t);
        for (uint32_t i = 0; i < WORLD_SINKS && !w->no_sinks; i++)
            open_sink(w, &w->sinks[i]);
        for (uint32_t t = 0; t < MODEL_STATIC; t++)
            configure_topic(w, t);
    }
    if (chance(w, 1, 3))
        raise_partitions(w);
    learn(w);
}

struct asked_read {
    struct flow_read read;
    bool answered;
};

static void read_answered(struct flow_read *read)
{
    CONTAINER_OF(read, struct asked_read, read)->answered = true;
}

/* False when the partition's start has moved meanwhile. */
static bool verify_partition(struct world *w, uint32_t t, uint32_t p)
{
    struct model_partition *known = &w->model.partitions[t][p];
    int64_t end = known->start + 1;
    for (int64_t next = known->start; next < end;) {
        struct asked_read asked = {.read = {
                                       .home = w->loops[1],
                                       .done = read_answered,
                                       .topic_id = w->topic_ids[t],
                                       .partition = p,
                                       .offset = next,
                                       .size_max = 1u << (10 + below(w, 11)),
                                   }};
        flow_log_read(log_flow(w->log), &asked.read);
        wait_for(w, &asked.answered);
        struct flow_read *read = &asked.read;
        world_check_read(w, t, read);
        end = read->end_offset;
        if (err_is(read->error, ERR_OFFSET_RANGE))
            return false;
        if (!err_is_ok(read->error)) {
            /* It is rotten, and says so. */
            if (known->unreadable_from < 0 || known->unreadable_from > next)
                known->unreadable_from = next;
            flow_log_release(log_flow(w->log), read);
            return true;
        }
        MODEL_EXPECT(&w->model, read->batch_count > 0 || next == end);
        model_pass_read(&w->model, t, read);
        next = read->next_offset;
        flow_log_release(log_flow(w->log), read);
    }
    bool seen_is_there = end >= known->durable_end && end >= known->seen_end;
    MODEL_EXPECT(&w->model, seen_is_there || w->model.loss_allowed_from[t][p] >= 0);
    return true;
}

static bool verify_partitions(struct world *w)
{
    model_pass_begin(&w->model);
    for (uint32_t t = 0; t < MODEL_TOPICS; t++)
        for (uint32_t p = 0; p < w->partitions[t]; p++)
            if ((t < MODEL_STATIC || w->model.topics[t] == MODEL_TOPIC_LIVE) &&
                !verify_partition(w, t, p))
                return false;
    return true;
}

static bool same_starts(struct world *w)
{
    int64_t starts[MODEL_TOPICS][MODEL_PARTITIONS];
    bool same = true;
    for (uint32_t t = 0; t < MODEL_TOPICS; t++)
        for (uint32_t p = 0; p < MODEL_PARTITIONS; p++)
            starts[t][p] = w->model.partitions[t][p].start;
    learn(w);
    for (uint32_t t = 0; t < MODEL_TOPICS; t++)
        for (uint32_t p = 0; p < MODEL_PARTITIONS; p++)
            same = same && starts[t][p] == w->model.partitions[t][p].start;
    return same;
}

/* A snapshot has what is settled of one queue. */
static void check_settles(struct world *w)
{
    for (uint32_t t = MODEL_PARENTS; t < MODEL_STATIC; t++) {
        struct flow_snapshot snapshot = snapshot_of(w, topic_names[t]);
        world_settles_check(w, t, &snapshot);
        flow_snapshot_done(&snapshot);
    }
}

void world_verify(struct world *w)
{
    learn(w);
    /* Retention goes on meanwhile; it comes to an end. */
    for (uint32_t i = 0; !verify_partitions(w) || !same_starts(w); i++) {
        MODEL_EXPECT(&w->model, i < 1000);
        learn(w);
    }
    model_pass_end(&w->model);
    uint64_t may_lose = w->options.early_bytes * (w->fences + 1);
    if (w->model.lost_early_bytes > may_lose)
        model_fail(&w->model,
                   "%llu bytes of early answers are lost, %llu were promised at the most",
                   (unsigned long long)w->model.lost_early_bytes, (unsigned long long)may_lose);
    struct flow_snapshot snapshot = world_snapshot(w);
    model_check_ledger(&w->model, &snapshot, w->topic_ids);
    if (!w->lost_last) {
        world_sinks_check(w, &snapshot);
        check_settles(w);
        world_groups_check(w);
    }
    flow_snapshot_done(&snapshot);
}

static void step_noted(struct world *w)
{
    note_time(w);
    if (!chance(w, 1, 8000))
        return;
    int64_t jump_ms = (int64_t)below(w, 20000) - 10000;
    w->moved_back_ms += jump_ms < 0 ? -jump_ms : 0;
    sim_wall_jump(w->sim, jump_ms);
}

void world_run(struct world *w, uint64_t steps)
{
    for (uint64_t i = 0; i < steps && !sim_disk_is_dead(w->disk); i++) {
        if (!sim_step(w->sim))
            return;
        step_noted(w);
    }
}

void world_rest(struct world *w, uint64_t time_ns)
{
    w->acting = false;
    uint64_t until = io_now_ns(w->loops[0]) + time_ns;
    for (uint64_t i = 0; i < REST_STEPS_MAX && io_now_ns(w->loops[0]) < until; i++) {
        if (sim_disk_is_dead(w->disk) || !sim_step(w->sim))
            return;
        note_time(w);
    }
}

/* Early answers come before their flush. */
static bool is_idle(void *context)
{
    const struct world *w = context;
    return world_actors_idle(w) && !w->log->open && !w->log->flushing;
}

void world_quiesce(struct world *w)
{
    w->acting = false;
    if (!sim_run_until(w->sim, is_idle, w, STEPS_MAX))
        model_fail(&w->model,
                   "somebody waits for an answer that does not come (janitor %d, sinks %d %d, "
                   "readers %d %d, queue %llu bytes)",
                   w->janitor.busy, w->sinks[0].busy, w->sinks[1].busy, w->probers[0].reading,
                   w->probers[1].reading, (unsigned long long)w->log->queue_bytes);
}

static void note_stopped(struct task *task)
{
    CONTAINER_OF(task, struct world, stopped)->is_stopped = true;
}

static void end_life(struct world *w)
{
    w->fences = w->log->counters.fences;
    w->durable_lsn = w->log->durable_lsn;
    const struct log_wal *wal = &w->log->wal;
    const struct log_wal_file *file = &wal->files[wal->current];
    w->recycled_file = file->recycled ? file->number : 0;
    w->next_frame = (struct log_frame_header){
        .uuid = w->log->meta.uuid,
        .epoch = w->log->epoch,
        .lsn = w->durable_lsn + 1,
        .durable_lsn = w->durable_lsn,
        .previous_crc = w->log->last.header_crc,
        .commit_time_ms = w->log->time_ms,
        .file_number = file->number,
        .block = (uint32_t)(wal->offset / IO_BLOCK),
        .file_blocks = (uint32_t)(file->size / IO_BLOCK),
    };
    log_free(&w->log);
    world_actors_forget(w);
}

void world_stop(struct world *w)
{
    world_say(w, "stop");
    w->acting = false;
    w->stopped.run = note_stopped;
    log_stop(w->log, w->loops[1], &w->stopped);
    wait_for(w, &w->is_stopped);
    world_quiesce(w);
    sim_drop_all(w->sim);
    end_life(w);
}

void world_kill(struct world *w)
{
    world_say(w, "kill");
    sim_drop_all(w->sim);
    sim_disk_cut_off(w->disk, true);
    end_life(w);
    sim_disk_cut_off(w->disk, false);
    model_crash(&w->model);
}

void world_lose_power(struct world *w)
{
    world_say(w, "power loss");
    sim_drop_all(w->sim);
    sim_disk_cut_off(w->disk, true);
    end_life(w);
    sim_disk_crash(w->disk);
    model_crash(&w->model);
}
