#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/alloc.h"
#include "base/list.h"
#include "io/uv/uv.h"

struct watch {
    struct task task;
    struct task poke;
    struct io_loop *loop;
    uint32_t count;
    uint32_t wanted;
    bool again; /* sends the next one from the task itself */
};

static void send_some(struct task *task)
{
    (void)task;
    for (size_t i = 0; i < 5; i++)
        kill(getpid(), SIGUSR1);
}

static void on_signal(struct task *task)
{
    struct watch *watch = CONTAINER_OF(task, struct watch, task);
    if (++watch->count == watch->wanted)
        io_uv_loop_stop(watch->loop);
    else if (watch->again)
        kill(getpid(), SIGUSR1);
}

static void watch_open(struct watch *watch)
{
    *watch = (struct watch){.task.run = on_signal, .poke.run = send_some};
    assert_true(err_is_ok(io_uv_loop_new(&watch->loop)));
    assert_true(err_is_ok(io_uv_on_signal(watch->loop, SIGUSR1, &watch->task)));
}

static void a_signal_runs_its_task_each_time(void **state)
{
    (void)state;
    struct watch watch;
    watch_open(&watch);
    watch.wanted = 5;
    watch.again = true;
    io_post(watch.loop, &watch.poke);
    io_uv_loop_run(watch.loop);
    assert_true(watch.count >= 5);
    io_uv_loop_free(&watch.loop);
}

static void signals_that_come_together_run_it_without_queueing_it_twice(void **state)
{
    (void)state;
    struct watch watch;
    watch_open(&watch);
    watch.wanted = 1;
    /* A task that is in two places of a queue would make a ring of it, and never end. */
    io_post(watch.loop, &watch.poke);
    io_uv_loop_run(watch.loop);
    assert_true(watch.count >= 1 && watch.count <= 5);
    io_uv_loop_free(&watch.loop);
}

static void two_signals_have_two_tasks(void **state)
{
    (void)state;
    struct watch first, second = {.task.run = on_signal, .wanted = 1};
    watch_open(&first);
    second.loop = first.loop;
    assert_true(err_is_ok(io_uv_on_signal(first.loop, SIGUSR2, &second.task)));
    kill(getpid(), SIGUSR2);
    io_uv_loop_run(first.loop);
    assert_int_equal(first.count, 0);
    assert_int_equal(second.count, 1);
    io_uv_loop_free(&first.loop);
}

static void a_signal_that_cannot_be_watched_is_an_error(void **state)
{
    (void)state;
    struct watch watch;
    watch_open(&watch);
    assert_false(err_is_ok(io_uv_on_signal(watch.loop, SIGKILL, &watch.task)));
    mem_fail_after(1);
    err_t err = io_uv_on_signal(watch.loop, SIGUSR2, &watch.task);
    mem_fail_after(0);
    assert_true(err_is(err, ERR_MEMORY));
    io_uv_loop_free(&watch.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_signal_runs_its_task_each_time),
        cmocka_unit_test(signals_that_come_together_run_it_without_queueing_it_twice),
        cmocka_unit_test(two_signals_have_two_tasks),
        cmocka_unit_test(a_signal_that_cannot_be_watched_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
