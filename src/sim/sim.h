#pragma once

/*
 * The simulated world: loops, workers and a clock, all run on the calling thread by a scheduler
 * that takes every choice from a seed. The same seed and the same actors give the same run.
 *
 * A step is one turn of one loop or one job of one worker, chosen at random among those that
 * have something to do. A turn runs the timers that are due, mail (all that is there, or a random
 * part of it from the front) and then what was deferred. A job runs at a random moment after it
 * came to the front of its worker; `done` is then posted to its home. The clock moves a little
 * with each step, seldom a lot, and jumps to the next event where nothing can run. What io/loop.h
 * promises about order holds; nothing else can be relied on.
 *
 * Files are in sim/disk.h; there are no sockets (io_loop.tcp is NULL).
 */

#include "io/loop.h"

struct sim;

/* A world without actors. NULL when there is no memory. */
struct sim *sim_new(uint64_t seed);
/* Frees it with its loops and workers; what waits in them is forgotten. */
void sim_free(struct sim **sim);
/* A loop of this world, which owns it. NULL when there is no memory. */
struct io_loop *sim_loop_new(struct sim *sim);
/* A worker of this world, which owns it. Its jobs take up to 1 ms. NULL when there is no
 * memory. */
struct io_worker *sim_worker_new(struct sim *sim);
/* Jobs that come to the front from here on take `min_ns` to `max_ns`. */
void sim_worker_set_latency(struct io_worker *worker, uint64_t min_ns, uint64_t max_ns);

/* One step. False when nothing will ever happen again: no task, no timer, no job. */
bool sim_step(struct sim *sim);
/* Steps until `reached`, asked before each step, says so; false when it does not within
 * `steps_max` or nothing will happen any more. */
bool sim_run_until(struct sim *sim, bool (*reached)(void *context), void *context,
                   uint64_t steps_max);
/* Stops the world, as kill -9 does: forgets all tasks, timers and jobs without running them. Their
 * owners may then be freed, and new actors use the same loops and workers. Between steps. */
void sim_drop_all(struct sim *sim);
/* Moves the wall clock, and it alone, by `ms`. */
void sim_wall_jump(struct sim *sim, int64_t ms);
