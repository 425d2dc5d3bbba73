#include "sim/world.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define STEPS_MAX UINT64_C(2000000)
#define DIRECTORY "data"

static const char *const topic_names[MODEL_TOPICS] = {"one", "two", "one.dlq", "two.dlq"};

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
    const struct world *w = CONTAINER_OF(logger, struct world, logger);
    world_say(w, "  %s %s: %.*s", log_level_name(level), event, SLICE_PRINTF(text));
}

void world_init(struct world *w, uint64_t seed, bool trace)
{
    *w = (struct world){.seed = seed, .trace = trace};
    w->random = sim_random_seed(seed);
    w->logger.write = log_line;
    model_init(&w->model, seed);
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
        .tail_bytes = LOG_TAIL_SIZE_MIN,
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
}

err_t world_open(struct world *w, struct err_text *why)
{
    MODEL_EXPECT(&w->model, !w->log);
    *why = (struct err_text){0};
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

struct flow_snapshot world_snapshot(struct world *w)
{
    struct asked_snapshot asked = {.snapshot = {.home = w->loops[1], .done = snapshot_answered}};
    flow_log_snapshot(log_flow(w->log), &asked.snapshot);
    wait_for(w, &asked.answered);
    MODEL_EXPECT(&w->model, err_is_ok(asked.snapshot.error));
    MODEL_EXPECT(&w->model, flow_snapshot_balanced(&asked.snapshot));
    return asked.snapshot;
}

/* Notes ids and partitions of the topics that are there; how many are. */
static uint32_t learn_topics(struct world *w)
{
    uint32_t known = 0;
    struct flow_snapshot snapshot = world_snapshot(w);
    for (uint32_t t = 0; t < MODEL_TOPICS; t++) {
        const struct flow_topic_state *topic =
            flow_snapshot_topic(&snapshot, slice_string(topic_names[t]));
        w->topic_ids[t] = topic ? topic->id : 0;
        w->partitions[t] = topic ? topic->partition_count : 0;
        known += topic != NULL;
    }
    flow_snapshot_done(&snapshot);
    return known;
}

static void make_topic(struct world *w, uint32_t t)
{
    struct flow_topic_change change = {
        .op = FLOW_TOPIC_CREATE,
        .uuid = {{(uint8_t)(t + 1)}},
        .name = slice_string(topic_names[t]),
        .partition_count = t < MODEL_TOPICS / 2 ? (uint32_t)(1 + below(w, 2)) : 1,
        .parent_id = t < MODEL_TOPICS / 2 ? 0 : w->topic_ids[t - MODEL_TOPICS / 2],
    };
    err_t err = world_change_topics(w, &change, 1);
    MODEL_EXPECT(&w->model, err_is_ok(err));
    w->topic_ids[t] = change.topic_id;
}

static void raise_partitions(struct world *w)
{
    uint32_t t = (uint32_t)below(w, MODEL_TOPICS);
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
    for (uint32_t t = 0; learn_topics(w) < MODEL_TOPICS; t = (t + 1) % MODEL_TOPICS)
        if (w->topic_ids[t] == 0)
            make_topic(w, t);
    if (chance(w, 1, 3))
        raise_partitions(w);
    learn_topics(w);
}

struct asked_read {
    struct flow_read read;
    bool answered;
};

static void read_answered(struct flow_read *read)
{
    CONTAINER_OF(read, struct asked_read, read)->answered = true;
}

static void verify_partition(struct world *w, uint32_t t, uint32_t p)
{
    int64_t next = 0;
    int64_t end = 1;
    while (next < end) {
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
        if (!err_is_ok(read->error))
            model_fail(&w->model, "topic %u partition %u offset %lld: %s", t, p, (long long)next,
                       err_name(read->error));
        end = read->end_offset;
        MODEL_EXPECT(&w->model, read->batch_count > 0 || next == end);
        model_pass_batches(&w->model, t, p, read->batches, read->batch_count, &next);
        MODEL_EXPECT(&w->model, next == read->next_offset);
        flow_log_release(log_flow(w->log), read);
    }
    const struct model_partition *known = &w->model.partitions[t][p];
    bool seen_is_there = next >= known->durable_end && next >= known->seen_end;
    MODEL_EXPECT(&w->model, seen_is_there || w->model.loss_allowed_from[t][p] >= 0);
}

void world_verify(struct world *w)
{
    learn_topics(w);
    model_pass_begin(&w->model);
    for (uint32_t t = 0; t < MODEL_TOPICS; t++)
        for (uint32_t p = 0; p < w->partitions[t]; p++)
            verify_partition(w, t, p);
    model_pass_end(&w->model);
    uint64_t may_lose = w->options.early_bytes * (w->fences + 1);
    if (w->model.lost_early_bytes > may_lose)
        model_fail(&w->model,
                   "%llu bytes of early answers are lost, %llu were promised at the most",
                   (unsigned long long)w->model.lost_early_bytes, (unsigned long long)may_lose);
    struct flow_snapshot snapshot = world_snapshot(w);
    model_check_ledger(&w->model, &snapshot, w->topic_ids);
    if (!w->lost_last)
        world_sinks_check(w, &snapshot);
    flow_snapshot_done(&snapshot);
}

void world_run(struct world *w, uint64_t steps)
{
    for (uint64_t i = 0; i < steps && !sim_disk_is_dead(w->disk); i++) {
        if (!sim_step(w->sim))
            return;
        if (chance(w, 1, 4000))
            sim_wall_jump(w->sim, (int64_t)below(w, 20000) - 10000);
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
        model_fail(&w->model, "somebody waits for an answer that does not come");
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
