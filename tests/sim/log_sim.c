/*
 * The log on a simulated disk, scheduled, tortured and judged from a seed. A run is a few lives
 * of a process on one disk: open, read everything back and compare it with what was promised, let
 * producers, sinks and readers work while calls fail and space runs out, end by a clean stop, a
 * kill or a loss of power, often within a call. Some runs end with damage to what was durable,
 * which has to be refused or harmless.
 *
 *     log_sim [COUNT [FIRST]]   runs COUNT seeds (2000)
 *     log_sim --seed SEED       runs one and prints what happens
 *     log_sim --sweep           lets each call of the disk and each allocation fail once
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/damage.h"
#include "sim/sweep.h"
#include "sim/world.h"

#define KIB UINT64_C(1024)
#define MIB (KIB * 1024)

/* What is counted over all seeds, to see that the runs get where they should. */
struct totals {
    uint64_t lives;
    uint64_t power_losses;
    uint64_t deaths_in_open;
    uint64_t commits;
    uint64_t fences;
    uint64_t torn;
    uint64_t recycled;
    uint64_t epochs;
    uint64_t refused;
    uint64_t checkpoints_lost;
    uint64_t checkpoints_refused;
    uint64_t damages;
    uint64_t damages_refused;
    uint64_t pins;
    uint64_t pins_kept;
};

static void draw_options(struct world *w)
{
    struct log_options *options = &w->options;
    options->wal_file_size = (72 + below(w, 184)) * IO_BLOCK;
    options->wal_limit_bytes = options->wal_file_size * (chance(w, 3, 4) ? 4 + below(w, 8) : 60);
    options->early_answers = chance(w, 1, 5);
    options->early_delay_ms = 1 + below(w, 20);
    options->early_bytes = (1 + below(w, 200)) * KIB;
    if (chance(w, 1, 10))
        options->index_bytes = 4 * KIB;
    w->value_size_max = chance(w, 1, 2) ? 2000 : 200;
    for (size_t i = 0; i < WORLD_WORKERS; i++)
        if (chance(w, 1, 3))
            sim_worker_set_latency(w->workers[i], 0, below(w, 20 * IO_MS) + 1);
}

/* How this disk is when all is well. */
static struct sim_disk_options base_options(struct world *w, bool no_direct)
{
    (void)w;
    return (struct sim_disk_options){.no_direct = no_direct};
}

static void set_faults(struct world *w, bool no_direct)
{
    struct sim_disk_options options = base_options(w, no_direct);
    uint32_t ppm = (uint32_t)below(w, 30000);
    if (chance(w, 1, 4))
        options.write_failures_ppm = ppm;
    if (chance(w, 1, 4))
        options.sync_failures_ppm = ppm;
    if (chance(w, 1, 4)) {
        options.read_failures_ppm = ppm;
    }
    w->read_faults = true;
    if (chance(w, 1, 6))
        options.capacity_bytes = w->options.wal_file_size * (1 + below(w, 3));
    sim_disk_set(w->disk, &options);
}

/* Opens the log; the power may fail while it does. */
static void open_log(struct world *w, struct totals *totals)
{
    struct err_text why;
    for (uint64_t left = chance(w, 1, 2) ? 1 + below(w, 3) : 0; left > 0; left--) {
        sim_disk_die_after(w->disk, 1 + below(w, chance(w, 1, 2) ? 6 : 20));
        err_t err = world_open(w, &why);
        if (!sim_disk_is_dead(w->disk)) {
            if (!err_is_ok(err))
                model_fail(&w->model, "the log does not open: %s, %s", err_name(err), why.text);
            sim_disk_die_after(w->disk, 0);
            return;
        }
        totals->deaths_in_open++;
        if (w->log)
            world_lose_power(w);
        else
            sim_disk_crash(w->disk);
    }
    err_t err = world_open(w, &why);
    if (!err_is_ok(err))
        model_fail(&w->model, "the log does not open: %s, %s", err_name(err), why.text);
}

static void end_life(struct world *w, struct totals *totals)
{
    totals->fences += w->log->counters.fences;
    totals->refused += w->log->counters.refused_full;
    totals->recycled += w->log->counters.recycled;
    uint64_t draw = sim_disk_is_dead(w->disk) ? 10 : below(w, 10);
    if (draw < 2)
        world_stop(w);
    else if (draw < 4)
        world_kill(w);
    else
        world_lose_power(w);
    totals->power_losses += draw >= 4;
    /* The power may have failed while the log stopped. */
    if (sim_disk_is_dead(w->disk))
        sim_disk_crash(w->disk);
}

/* Calls on these paths fail, or are the last: the log does few of them beside its commits. */
static void take_aim(struct world *w)
{
    static const char *const aims[] = {"topics/", "checkpoint", ".wal", "data"};
    sim_disk_aim(w->disk, chance(w, 2, 3) ? aims[below(w, sizeof aims / sizeof *aims)] : NULL);
}

/* Work and rest in turns: retention and pauses need time, and nobody needs many steps for it. */
static void work(struct world *w)
{
    for (uint64_t turns = 1 + below(w, 4); turns > 0; turns--) {
        if (chance(w, 1, 3))
            sim_disk_fail_after(w->disk, 1 + below(w, 40), chance(w, 1, 2) ? ERR_IO : ERR_NO_SPACE);
        world_actors_start(w);
        world_run(w, below(w, 700));
        if (chance(w, 1, 2))
            world_rest(w, (1 + below(w, 25)) * IO_SECOND);
    }
}

static void live(struct world *w, struct totals *totals, bool no_direct)
{
    open_log(w, totals);
    world_check_sizes(w);
    totals->lives++;
    totals->torn += w->log->recovered.torn;
    world_setup(w);
    world_verify(w);
    set_faults(w, no_direct);
    take_aim(w);
    work(w);
    if (chance(w, 1, 3)) {
        /* What failed so far heals. */
        sim_disk_set(w->disk, &(struct sim_disk_options){.no_direct = no_direct});
        work(w);
    }
    if (chance(w, 1, 2)) {
        take_aim(w);
        sim_disk_die_after(w->disk, 1 + below(w, 40));
        work(w);
    }
    end_life(w, totals);
    sim_disk_aim(w->disk, NULL);
    sim_disk_set(w->disk, &(struct sim_disk_options){.no_direct = no_direct});
    sim_disk_die_after(w->disk, 0);
    sim_disk_fail_after(w->disk, 0, ERR_OK);
    w->read_faults = false;
}

/* The checkpoint before the newest serves when that is lost, and the log says so; without any it
 * is read from its beginning, or refused where that is gone. False when it was refused. */
static bool lose_checkpoint(struct world *w, struct totals *totals)
{
    uint32_t good = 0;
    const char *what = damage_checkpoints(w, &good);
    if (!what)
        return true;
    world_say(w, "%s, %u are left", what, good);
    struct err_text why;
    totals->checkpoints_lost++;
    err_t err = world_open(w, &why);
    if (good == 0 && err_is(err, ERR_CORRUPT)) {
        totals->checkpoints_refused++;
        return false;
    }
    if (!err_is_ok(err))
        model_fail(&w->model, "%s, and the log does not open: %s", what, why.text);
    MODEL_EXPECT(&w->model, w->checkpoint_damaged || strstr(what, "gone"));
    world_verify(w);
    end_life(w, totals);
    return true;
}

/* Without faults everything goes on, and is there before and after a clean stop. False when there
 * was no room to say that it was clean. */
static bool live_well(struct world *w, struct totals *totals)
{
    open_log(w, totals);
    world_setup(w);
    world_verify(w);
    world_actors_start(w);
    world_run(w, below(w, 800));
    world_quiesce(w);
    w->fences = 0;
    world_rest(w, 20 * IO_SECOND);
    world_check_files(w);
    world_verify(w);
    bool room_for_mark = log_wal_room(&w->log->wal) >= 2 * IO_BLOCK;
    world_stop(w);
    return room_for_mark;
}

static void after_damage(struct world *w, const char *what, struct totals *totals)
{
    struct err_text why;
    totals->damages++;
    /* What a checkpoint covers is not looked at until it is read: then it has to be told. */
    w->rotten = true;
    err_t err = world_open(w, &why);
    if (!err_is_ok(err)) {
        totals->damages_refused++;
        bool said = err_is(err, ERR_CORRUPT) || err_is(err, ERR_VERSION);
        if (!said || !why.text[0])
            model_fail(&w->model, "%s: the log says %s", what, err_name(err));
        return;
    }
    if (w->log->recovered.lsn + 1 < w->durable_lsn)
        model_fail(&w->model, "%s: frames %" PRIu64 " to %" PRIu64 " are gone unnoticed", what,
                   w->log->recovered.lsn + 1, w->durable_lsn);
    if (w->log->recovered.lsn > w->durable_lsn)
        model_fail(&w->model, "%s: it was taken for one of this log's", what);
    w->lost_last = w->log->recovered.lsn < w->durable_lsn;
    if (w->lost_last)
        memset(w->model.loss_allowed_from, 0, sizeof w->model.loss_allowed_from);
    world_verify(w);
    world_kill(w);
}

/* Damage has to be refused, or to be harmless but for the last frame, which looks like one that
 * was never finished. */
static void live_on_damage(struct world *w, struct totals *totals)
{
    open_log(w, totals);
    world_setup(w);
    world_actors_start(w);
    world_run(w, 200 + below(w, 4000));
    world_quiesce(w);
    world_verify(w);
    bool rots = chance(w, 1, 4);
    if (rots) {
        damage_rot(w);
        world_actors_start(w);
        world_run(w, below(w, 2000));
        world_quiesce(w);
    }
    if (chance(w, 1, 2))
        world_stop(w);
    else
        world_kill(w);
    const char *what = rots ? "bytes rotted" : damage_something(w);
    if (what) {
        world_say(w, "%s", what);
        after_damage(w, what, totals);
    }
}

static void run_seed(uint64_t seed, bool trace, struct totals *totals)
{
    static struct world w;
    world_init(&w, seed, trace);
    draw_options(&w);
    bool no_direct = chance(&w, 1, 5);
    sim_disk_set(w.disk, &(struct sim_disk_options){.no_direct = no_direct});
    for (uint64_t lives = 1 + below(&w, 4); lives > 0; lives--)
        live(&w, totals, no_direct);
    if (chance(&w, 1, 4) && !lose_checkpoint(&w, totals)) {
        world_done(&w);
        return;
    }
    bool clean = live_well(&w, totals);
    struct err_text why;
    err_t err = world_open(&w, &why);
    MODEL_EXPECT(&w.model, err_is_ok(err) && (w.log->recovered.clean || !clean));
    world_verify(&w);
    if (chance(&w, 1, 2))
        world_stop(&w);
    else
        world_kill(&w);
    if (chance(&w, 1, 3) && !w.options.early_answers)
        live_on_damage(&w, totals);
    totals->commits += w.model.count;
    totals->pins += w.pins_taken;
    totals->pins_kept += w.pins_kept;
    totals->epochs += w.sinks[0].epoch + w.sinks[1].epoch;
    world_done(&w);
}

int main(int argc, char **argv)
{
    struct totals totals = {0};
    if (argc == 3 && strcmp(argv[1], "--seed") == 0) {
        run_seed(strtoull(argv[2], NULL, 10), true, &totals);
        printf("seed %s is good\n", argv[2]);
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "--sweep") == 0) {
        printf("%" PRIu64 " failures, one a run\n", sweep_failures(1));
        return 0;
    }
    uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : 2000;
    uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    for (uint64_t seed = first; seed < first + count; seed++)
        run_seed(seed, false, &totals);
    printf("%" PRIu64 " seeds, %" PRIu64 " lives, %" PRIu64 " losses of power (%" PRIu64
           " more while opening), %" PRIu64 " commits, %" PRIu64 " fences, %" PRIu64
           " refused for room, %" PRIu64 " epochs of sinks, %" PRIu64 " torn ends, %" PRIu64
           " files recycled, %" PRIu64 " damages (%" PRIu64 " refused), %" PRIu64
           " checkpoints lost (%" PRIu64 " of them all), %" PRIu64 " pins (looked at %" PRIu64
           " times)\n",
           count, totals.lives, totals.power_losses, totals.deaths_in_open, totals.commits,
           totals.fences, totals.refused, totals.epochs, totals.torn, totals.recycled,
           totals.damages, totals.damages_refused, totals.checkpoints_lost,
           totals.checkpoints_refused, totals.pins, totals.pins_kept);
    return 0;
}
