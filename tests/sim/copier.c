#include "sim/world.h"

#include <stdio.h>
#include "base/alloc.h"

/*
 * Takes a pin and looks again and again at all that its checkpoint names, as a backup would copy
 * it; keeps the pin, lets the log have its files back, gives it back or is not heard of any more.
 * What was looked at before an answer that the pin is held has to have been there.
 */

static void copier_rests(struct world_copier *copier)
{
    copier->busy = false;
    world_actor_rests(copier->world, copier->loop, &copier->timer, 400 * IO_MS);
}

static void say_missing(struct world_copier *copier, const char *path, const char *what)
{
    if (!copier->missing[0])
        snprintf(copier->missing, sizeof copier->missing, "%.180s: %s", path, what);
}

/* A file that is there with `size` bytes at the least. What a faulty disk says is no finding. */
static void look_at(struct world_copier *copier, const char *path, uint64_t size)
{
    struct io_file *file = NULL;
    uint64_t found = 0;
    err_t err = io_disk_open(sim_disk_io(copier->world->disk), path, IO_OPEN_READ, &file, NULL);
    if (err_is(err, ERR_NO_FILE))
        say_missing(copier, path, "it is gone");
    if (!err_is_ok(err))
        return;
    err = io_file_size(file, &found);
    if (err_is_ok(err) && found < size)
        say_missing(copier, path, "it is shorter");
    err = io_file_close(file);
    (void)err;
}

/* The batch that the checkpoint says is in the log alone. */
static void look_at_batch(struct world_copier *copier, const struct log_index_entry *entry)
{
    char path[LOG_WAL_PATH_MAX];
    struct io_file *file = NULL;
    struct flow_batch batch;
    size_t got = 0;
    log_wal_path(&copier->world->log->wal, entry->file_number, path);
    err_t err = io_disk_open(sim_disk_io(copier->world->disk), path, IO_OPEN_READ, &file, NULL);
    if (err_is(err, ERR_NO_FILE))
        say_missing(copier, path, "it was used again");
    if (!err_is_ok(err))
        return;
    uint8_t *bytes = mem_alloc(entry->size);
    if (bytes)
        err = io_file_read(file, bytes, entry->size, entry->file_offset, &got);
    if (bytes && err_is_ok(err)) {
        err = flow_batch_parse(slice_make(bytes, got), &batch);
        if (err_is_ok(err))
            err = flow_batch_check(&batch);
        if (!err_is_ok(err) || batch.base_offset != entry->base_offset)
            say_missing(copier, path, "a batch is not there");
    }
    mem_free(bytes);
    err = io_file_close(file);
    (void)err;
}

static void look_at_partition(struct world_copier *copier, const struct log_topic *topic,
                              uint32_t number)
{
    char path[LOG_SEGMENT_PATH_MAX];
    const struct log_partition *partition = &topic->partitions[number];
    struct log_segment_place place = log_place(copier->world->log, topic, number);
    for (uint32_t i = 0; i < partition->segment_count; i++) {
        const struct log_segment *segment = &partition->segments[i];
        log_segment_path(&place, segment->base_offset, LOG_SEGMENT_LOG, path);
        look_at(copier, path, segment->size);
        log_segment_path(&place, segment->base_offset, LOG_SEGMENT_INDEX, path);
        if (segment->index_entries > 0)
            look_at(copier, path, (uint64_t)segment->index_entries * LOG_SEGMENT_INDEX_ENTRY);
        log_segment_path(&place, segment->base_offset, LOG_SEGMENT_TIMES, path);
        if (segment->time_entries > 0)
            look_at(copier, path, (uint64_t)segment->time_entries * LOG_SEGMENT_TIME_ENTRY);
    }
    for (size_t i = 0; copier->holds_log && i < partition->index_count; i++)
        look_at_batch(copier, &partition->index[i]);
}

static void look(struct world_copier *copier)
{
    struct buf bytes = {0};
    struct log_state state;
    struct log_checkpoint checkpoint;
    log_state_init(&state, 1);
    copier->missing[0] = '\0';
    err_t err =
        log_checkpoint_read(sim_disk_io(copier->world->disk), "data", copier->lsn, &bytes, NULL);
    if (err_is(err, ERR_NO_FILE))
        say_missing(copier, "the checkpoint", "it is gone");
    bool read = err_is_ok(err);
    if (read)
        err = log_checkpoint_decode(buf_slice(&bytes), &checkpoint, &state);
    if (read && err_is(err, ERR_CORRUPT))
        say_missing(copier, "the checkpoint", "it is damaged");
    for (uint32_t t = 0; read && err_is_ok(err) && t < state.topic_count; t++)
        for (uint32_t p = 0; p < state.topics[t]->partition_count; p++)
            look_at_partition(copier, state.topics[t], p);
    log_state_done(&state);
    buf_done(&bytes);
}

static bool may_fail(const struct world_copier *copier, err_t err)
{
    if (copier->pin.op != FLOW_PIN_TAKE)
        return err_is(err, ERR_NOT_FOUND);
    return err_is(err, ERR_IN_USE) || err_is(err, ERR_BUSY) || err_is(err, ERR_CANCELLED) ||
           err_is(err, ERR_MEMORY) || err_is(err, ERR_CORRUPT) || err_class(err) == ERR_CLASS_IO;
}

static void answered(struct flow_pin *pin)
{
    struct world_copier *copier = CONTAINER_OF(pin, struct world_copier, pin);
    struct world *w = copier->world;
    world_say(w, "pin %d of checkpoint %llu: %s", (int)pin->op,
              (unsigned long long)(pin->op == FLOW_PIN_TAKE ? pin->lsn : copier->lsn),
              err_name(pin->error));
    if (!err_is_ok(pin->error) && !may_fail(copier, pin->error))
        model_fail(&w->model, "pin %d: %s", (int)pin->op, err_name(pin->error));
    bool held = err_is_ok(pin->error);
    if (held && pin->op != FLOW_PIN_TAKE && copier->missing[0] && !w->rotten)
        model_fail(&w->model, "checkpoint %llu was held, and %s", (unsigned long long)copier->lsn,
                   copier->missing);
    w->pins_kept += held && pin->op != FLOW_PIN_TAKE;
    if (held && pin->op == FLOW_PIN_TAKE) {
        copier->id = pin->id;
        copier->lsn = pin->lsn;
        copier->holds_log = true;
        w->pins_taken++;
    }
    if (!held || pin->op == FLOW_PIN_GIVE_BACK)
        copier->id = 0;
    if (pin->op == FLOW_PIN_KEEP_SEGMENTS)
        copier->holds_log = false;
    copier_rests(copier);
}

static void copier_runs(struct io_timer *timer)
{
    struct world_copier *copier = CONTAINER_OF(timer, struct world_copier, timer);
    struct world *w = copier->world;
    if (!w->acting)
        return;
    enum flow_pin_op op = FLOW_PIN_TAKE;
    if (copier->id != 0 && chance(w, 1, 20)) {
        /* Gone without a word. */
        copier->id = 0;
    }
    if (copier->id != 0) {
        look(copier);
        op = chance(w, 1, 4)   ? FLOW_PIN_GIVE_BACK
             : chance(w, 1, 3) ? FLOW_PIN_KEEP_SEGMENTS
                               : FLOW_PIN_KEEP;
    }
    copier->busy = true;
    copier->pin =
        (struct flow_pin){.home = copier->loop, .done = answered, .op = op, .id = copier->id};
    flow_log_pin(log_flow(w->log), &copier->pin);
}

void world_copier_init(struct world *w)
{
    w->copier =
        (struct world_copier){.world = w, .loop = w->loops[1], .timer = {.run = copier_runs}};
}
