#include "sim/sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/alloc.h"
#include "base/list.h"

#define LOOPS 3u
#define TASKS 200u
#define STEPS_MAX 100000u

struct world {
    struct sim *sim;
    struct io_loop *loops[LOOPS];
    struct io_worker *workers[2];
    char trace[4 * TASKS + 1];
    size_t count;
    size_t wanted;
};

static void world_open(struct world *world, uint64_t seed)
{
    *world = (struct world){.sim = sim_new(seed)};
    assert_non_null(world->sim);
    for (size_t i = 0; i < LOOPS; i++)
        assert_non_null(world->loops[i] = sim_loop_new(world->sim));
    for (size_t i = 0; i < 2; i++)
        assert_non_null(world->workers[i] = sim_worker_new(world->sim));
}

static bool has_all(void *context)
{
    struct world *world = context;
    return world->count >= world->wanted;
}

static bool never(void *context)
{
    (void)context;
    return false;
}

static void note(struct world *world, char what)
{
    assert_true(world->count < sizeof(world->trace) - 1);
    world->trace[world->count++] = what;
}

struct step {
    struct task task;
    struct io_timer timer;
    struct io_job job;
    struct world *world;
    struct io_loop *loop;
    struct step *defers;
    char name;
    uint32_t number;
    uint32_t *expected; /* the number that comes next in this place */
    bool worked;
};

static void run_step(struct step *step)
{
    note(step->world, step->name);
    if (step->expected)
        assert_int_equal(step->number, (*step->expected)++);
    if (step->defers)
        io_defer(step->loop, &step->defers->task);
}

static void run_task(struct task *task)
{
    run_step(CONTAINER_OF(task, struct step, task));
}

static void run_timer(struct io_timer *timer)
{
    struct step *step = CONTAINER_OF(timer, struct step, timer);
    assert_true(io_now_ns(step->loop) >= timer->due_ns);
    run_step(step);
}

static void run_work(struct io_job *job)
{
    struct step *step = CONTAINER_OF(job, struct step, job);
    assert_false(step->worked);
    step->worked = true;
}

static void run_done(struct io_job *job)
{
    struct step *step = CONTAINER_OF(job, struct step, job);
    assert_true(step->worked);
    run_step(step);
}

static struct step step_named(struct world *world, size_t loop, char name)
{
    struct io_loop *home = world->loops[loop];
    return (struct step){.task.run = run_task,
                         .timer.run = run_timer,
                         .job = {.home = home, .work = run_work, .done = run_done},
                         .world = world,
                         .loop = home,
                         .name = name};
}

static void mail_and_jobs_keep_their_order_on_every_seed(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct world world;
        world_open(&world, seed);
        static struct step posts[TASKS], jobs[TASKS];
        uint32_t next_post[LOOPS] = {0}, next_job[2] = {0};
        for (uint32_t i = 0; i < TASKS; i++) {
            posts[i] = step_named(&world, i % LOOPS, 'p');
            posts[i].number = i / LOOPS;
            posts[i].expected = &next_post[i % LOOPS];
            io_post(world.loops[i % LOOPS], &posts[i].task);
            jobs[i] = step_named(&world, 0, 'j');
            jobs[i].number = i / 2;
            jobs[i].expected = &next_job[i % 2];
            io_offload(world.workers[i % 2], &jobs[i].job);
        }
        world.wanted = 2 * (size_t)TASKS;
        print_message("seed %zu\r", (size_t)seed);
        assert_true(sim_run_until(world.sim, has_all, &world, STEPS_MAX));
        assert_false(sim_step(world.sim));
        sim_free(&world.sim);
    }
}

/* A run of some actors: what happened, as text. */
static void trace_of(uint64_t seed, struct world *world)
{
    static struct step steps[3 * TASKS];
    world_open(world, seed);
    for (size_t i = 0; i < TASKS / 4; i++) {
        struct step *step = &steps[3 * i];
        for (size_t k = 0; k < 3; k++)
            step[k] = step_named(world, k, (char)('a' + 3 * (i % 8) + k));
        io_post(step[0].loop, &step[0].task);
        io_timer_start(step[1].loop, &step[1].timer, i * 40000);
        io_offload(world->workers[i % 2], &step[2].job);
    }
    world->wanted = 3 * (size_t)(TASKS / 4);
    assert_true(sim_run_until(world->sim, has_all, world, STEPS_MAX));
}

static void one_seed_is_one_run_and_others_are_others(void **state)
{
    (void)state;
    struct world first, again;
    uint32_t different = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        trace_of(seed, &first);
        trace_of(seed, &again);
        assert_string_equal(first.trace, again.trace);
        assert_true(io_now_ns(first.loops[0]) == io_now_ns(again.loops[0]));
        uint64_t bytes[2];
        io_random(first.loops[0], &bytes[0], 8);
        io_random(again.loops[0], &bytes[1], 8);
        assert_true(bytes[0] == bytes[1]);
        sim_free(&again.sim);
        trace_of(seed + 1000, &again);
        different += strcmp(first.trace, again.trace) != 0;
        sim_free(&first.sim);
        sim_free(&again.sim);
    }
    assert_int_equal(different, 20);
}

static void any_actor_that_can_run_may_be_the_first(void **state)
{
    (void)state;
    uint32_t first[LOOPS] = {0};
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct world world;
        struct step steps[LOOPS];
        world_open(&world, seed);
        for (size_t i = 0; i < LOOPS; i++) {
            steps[i] = step_named(&world, i, (char)('0' + i));
            io_post(world.loops[i], &steps[i].task);
        }
        assert_false(sim_run_until(world.sim, never, NULL, STEPS_MAX));
        first[world.trace[0] - '0']++;
        sim_free(&world.sim);
    }
    for (size_t i = 0; i < LOOPS; i++)
        assert_true(first[i] > 15);
}

static void timers_run_in_the_order_they_are_due(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct world world;
        world_open(&world, seed);
        struct step a = step_named(&world, 0, 'a'), b = step_named(&world, 0, 'b');
        struct step c = step_named(&world, 0, 'c'), x = step_named(&world, 0, 'x');
        uint64_t start = io_now_ns(world.loops[0]);
        io_timer_start(world.loops[0], &c.timer, 3600 * IO_SECOND);
        io_timer_start(world.loops[0], &b.timer, 5 * IO_MS);
        io_timer_start(world.loops[0], &x.timer, 5 * IO_MS);
        io_timer_start(world.loops[0], &a.timer, 60 * IO_MS);
        io_timer_start(world.loops[0], &a.timer, 5 * IO_MS - 1);
        io_timer_stop(world.loops[0], &x.timer);
        assert_false(sim_run_until(world.sim, never, NULL, STEPS_MAX));
        assert_string_equal(world.trace, "abc");
        assert_true(io_now_ns(world.loops[0]) >= start + 3600 * IO_SECOND);
        assert_true(io_now_ns(world.loops[0]) < start + 3601 * IO_SECOND);
        sim_free(&world.sim);
    }
}

static void what_is_deferred_runs_at_the_end_of_the_turn(void **state)
{
    (void)state;
    bool gathered = false, alone = false;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct world world;
        world_open(&world, seed);
        struct step a = step_named(&world, 0, 'a'), b = step_named(&world, 0, 'b');
        struct step d = step_named(&world, 0, 'd'), e = step_named(&world, 0, 'e');
        a.defers = &d;
        d.defers = &e;
        io_post(world.loops[0], &a.task);
        io_post(world.loops[0], &b.task);
        assert_false(sim_run_until(world.sim, never, NULL, STEPS_MAX));
        gathered = gathered || strcmp(world.trace, "abde") == 0;
        alone = alone || strcmp(world.trace, "adbe") == 0;
        assert_true(strcmp(world.trace, "abde") == 0 || strcmp(world.trace, "adbe") == 0);
        sim_free(&world.sim);
    }
    assert_true(gathered && alone);
}

static void a_slow_worker_takes_its_time(void **state)
{
    (void)state;
    struct world world;
    world_open(&world, 3);
    sim_worker_set_latency(world.workers[0], 2 * IO_SECOND, 3 * IO_SECOND);
    struct step first = step_named(&world, 0, '1'), second = step_named(&world, 0, '2');
    struct step fast = step_named(&world, 0, 'f');
    uint64_t start = io_now_ns(world.loops[0]);
    io_offload(world.workers[0], &first.job);
    io_offload(world.workers[0], &second.job);
    io_offload(world.workers[1], &fast.job);
    world.wanted = 3;
    assert_true(sim_run_until(world.sim, has_all, &world, STEPS_MAX));
    assert_string_equal(world.trace, "f12");
    uint64_t took = io_now_ns(world.loops[0]) - start;
    assert_true(took >= 4 * IO_SECOND && took < 7 * IO_SECOND);
    sim_free(&world.sim);
}

static void what_was_dropped_never_runs_and_its_place_can_be_used_again(void **state)
{
    (void)state;
    struct world world;
    world_open(&world, 4);
    struct step a = step_named(&world, 0, 'a'), b = step_named(&world, 1, 'b');
    struct step c = step_named(&world, 2, 'c'), d = step_named(&world, 0, 'd');
    io_post(world.loops[0], &a.task);
    io_timer_start(world.loops[1], &b.timer, 0);
    io_offload(world.workers[0], &c.job);
    io_defer(world.loops[0], &d.task);
    sim_drop_all(world.sim);
    assert_int_equal(b.timer.heap_index, 0);
    assert_false(sim_step(world.sim));
    assert_int_equal(world.count, 0);
    io_post(world.loops[0], &d.task);
    io_offload(world.workers[0], &a.job);
    io_timer_start(world.loops[1], &b.timer, IO_SECOND);
    world.wanted = 3;
    assert_true(sim_run_until(world.sim, has_all, &world, STEPS_MAX));
    sim_free(&world.sim);
}

static void steps_are_limited(void **state)
{
    (void)state;
    struct world world;
    world_open(&world, 5);
    struct step a = step_named(&world, 0, 'a');
    a.defers = &a;
    io_defer(world.loops[0], &a.task);
    assert_false(sim_run_until(world.sim, never, NULL, 10));
    assert_int_equal(world.count, 10);
    assert_true(sim_step(world.sim));
    sim_free(&world.sim);
}

static void the_wall_clock_jumps_alone(void **state)
{
    (void)state;
    struct world world;
    world_open(&world, 6);
    uint64_t now = io_now_ns(world.loops[0]);
    int64_t wall = io_wall_ms(world.loops[0]);
    sim_wall_jump(world.sim, -5000);
    assert_true(io_wall_ms(world.loops[1]) == wall - 5000);
    sim_wall_jump(world.sim, 7000);
    assert_true(io_wall_ms(world.loops[1]) == wall + 2000);
    assert_true(io_now_ns(world.loops[0]) == now);
    sim_free(&world.sim);
    sim_free(&world.sim);
}

static void without_memory_there_is_no_world(void **state)
{
    (void)state;
    mem_fail_after(1);
    assert_null(sim_new(1));
    mem_fail_after(0);
    struct sim *sim = sim_new(1);
    for (uint64_t n = 1; n <= 2; n++) {
        mem_fail_after(n);
        assert_null(sim_loop_new(sim));
    }
    mem_fail_after(1);
    assert_null(sim_worker_new(sim));
    mem_fail_after(0);
    assert_false(sim_step(sim));
    sim_free(&sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mail_and_jobs_keep_their_order_on_every_seed),
        cmocka_unit_test(one_seed_is_one_run_and_others_are_others),
        cmocka_unit_test(any_actor_that_can_run_may_be_the_first),
        cmocka_unit_test(timers_run_in_the_order_they_are_due),
        cmocka_unit_test(what_is_deferred_runs_at_the_end_of_the_turn),
        cmocka_unit_test(a_slow_worker_takes_its_time),
        cmocka_unit_test(what_was_dropped_never_runs_and_its_place_can_be_used_again),
        cmocka_unit_test(steps_are_limited),
        cmocka_unit_test(the_wall_clock_jumps_alone),
        cmocka_unit_test(without_memory_there_is_no_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
