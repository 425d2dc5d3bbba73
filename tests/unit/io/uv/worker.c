#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "base/alloc.h"
#include "base/list.h"
#include "io/uv/uv.h"

#define JOBS 500u

struct work {
    struct io_job job;
    struct office *office;
    uint32_t number;
    pthread_t worked_on;
};

struct office {
    struct io_loop *loop;
    struct io_worker *worker;
    struct work work[JOBS];
    uint32_t worked; /* by the worker alone */
    uint32_t done;   /* by the loop alone */
    bool ordered;
};

static void do_work(struct io_job *job)
{
    struct work *work = CONTAINER_OF(job, struct work, job);
    work->worked_on = pthread_self();
    if (work->number != work->office->worked++)
        work->office->ordered = false;
}

static void work_done(struct io_job *job)
{
    struct work *work = CONTAINER_OF(job, struct work, job);
    struct office *office = work->office;
    assert_false(pthread_equal(work->worked_on, pthread_self()));
    assert_int_equal(work->number, office->done);
    if (++office->done == JOBS)
        io_uv_loop_stop(office->loop);
}

static void office_open(struct office *office)
{
    *office = (struct office){.ordered = true};
    assert_true(err_is_ok(io_uv_loop_new(&office->loop)));
    assert_true(err_is_ok(io_uv_worker_new("worker", &office->worker)));
    for (uint32_t i = 0; i < JOBS; i++)
        office->work[i] = (struct work){.job.home = office->loop,
                                        .job.work = do_work,
                                        .job.done = work_done,
                                        .office = office,
                                        .number = i};
}

static void jobs_run_in_order_and_are_done_at_home(void **state)
{
    (void)state;
    struct office office;
    office_open(&office);
    for (uint32_t i = 0; i < JOBS; i++)
        io_offload(office.worker, &office.work[i].job);
    io_uv_loop_run(office.loop);
    io_uv_worker_free(&office.worker);
    assert_null(office.worker);
    assert_true(office.ordered);
    assert_int_equal(office.done, JOBS);
    io_uv_loop_free(&office.loop);
}

static void a_worker_finishes_what_was_submitted_before_it_ends(void **state)
{
    (void)state;
    struct office office;
    office_open(&office);
    for (uint32_t i = 0; i < JOBS; i++)
        io_offload(office.worker, &office.work[i].job);
    io_uv_worker_free(&office.worker);
    assert_int_equal(office.worked, JOBS);
    assert_int_equal(office.done, 0);
    io_uv_loop_run(office.loop);
    assert_int_equal(office.done, JOBS);
    io_uv_loop_free(&office.loop);
}

static void resubmit(struct io_job *job)
{
    struct office *office = CONTAINER_OF(job, struct work, job)->office;
    if (++office->done == JOBS)
        io_uv_loop_stop(office->loop);
    else
        io_offload(office->worker, job);
}

static void no_work(struct io_job *job)
{
    assert_non_null(job->home);
}

static void a_job_can_be_submitted_again_when_it_is_done(void **state)
{
    (void)state;
    struct office office;
    office_open(&office);
    office.work[0].job.work = no_work;
    office.work[0].job.done = resubmit;
    io_offload(office.worker, &office.work[0].job);
    io_uv_loop_run(office.loop);
    assert_int_equal(office.done, JOBS);
    io_uv_worker_free(&office.worker);
    io_uv_loop_free(&office.loop);
}

static void an_idle_worker_ends(void **state)
{
    (void)state;
    struct io_worker *worker = NULL;
    io_uv_worker_free(&worker);
    assert_true(err_is_ok(io_uv_worker_new("a name longer than fits", &worker)));
    io_uv_worker_free(&worker);
    assert_null(worker);
}

static void a_worker_without_memory_is_an_error(void **state)
{
    (void)state;
    struct io_worker *worker = NULL;
    mem_fail_after(1);
    assert_true(err_is(io_uv_worker_new("worker", &worker), ERR_MEMORY));
    mem_fail_after(0);
    assert_null(worker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_run_in_order_and_are_done_at_home),
        cmocka_unit_test(a_worker_finishes_what_was_submitted_before_it_ends),
        cmocka_unit_test(a_job_can_be_submitted_again_when_it_is_done),
        cmocka_unit_test(an_idle_worker_ends),
        cmocka_unit_test(a_worker_without_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
