#include <pthread.h>

#include "base/alloc.h"
#include "base/list.h"
#include "io/uv/uv.h"
#include "lib/unit.h"

#define EVENTS_MAX 64u
#define SENDERS 4u
#define TASKS_PER_SENDER 20000u

struct step {
    struct task task;
    struct io_timer timer;
    struct journal *journal;
    char name;
    struct step *defers; /* when run */
    struct step *posts;
    struct step *starts;
    struct step *cancels;
    bool stops;
};

/* What ran, in order, and what may run, by its name. */
struct journal {
    struct io_loop *loop;
    char events[EVENTS_MAX + 1];
    size_t count;
    struct step step['z' + 1];
};

static void note(struct step *step)
{
    struct journal *journal = step->journal;
    assert_true(journal->count < EVENTS_MAX);
    journal->events[journal->count++] = step->name;
    if (step->defers)
        io_defer(journal->loop, &step->defers->task);
    if (step->posts)
        io_post(journal->loop, &step->posts->task);
    if (step->starts)
        io_timer_start(journal->loop, &step->starts->timer, 0);
    if (step->cancels)
        io_timer_stop(journal->loop, &step->cancels->timer);
    if (step->stops)
        io_uv_loop_stop(journal->loop);
}

static void run_task(struct task *task)
{
    note(CONTAINER_OF(task, struct step, task));
}

static void run_timer(struct io_timer *timer)
{
    struct step *step = CONTAINER_OF(timer, struct step, timer);
    assert_true(io_now_ns(step->journal->loop) >= timer->due_ns);
    assert_int_equal(timer->heap_index, 0);
    note(step);
}

static int set_up(void **state)
{
    struct journal *journal = *state = calloc(1, sizeof(*journal));
    for (char name = 'a'; name <= 'z'; name++)
        journal->step[(size_t)name] = (struct step){
            .task.run = run_task, .timer.run = run_timer, .journal = journal, .name = name};
    assert_true(err_is_ok(io_uv_loop_new(&journal->loop)));
    return 0;
}

static int tear_down(void **state)
{
    struct journal *journal = *state;
    io_uv_loop_free(&journal->loop);
    assert_null(journal->loop);
    free(journal);
    return 0;
}

static void journal_expect(struct journal *journal, const char *events)
{
    io_uv_loop_run(journal->loop);
    assert_string_equal(journal->events, events);
}

static void tasks_run_in_the_order_they_were_posted(void **state)
{
    struct journal *j = *state;
    io_post(j->loop, &j->step['a'].task);
    io_post(j->loop, &j->step['b'].task);
    io_post(j->loop, &j->step['c'].task);
    io_uv_loop_stop(j->loop);
    journal_expect(j, "abc");
}

static void a_loop_that_was_stopped_can_run_again(void **state)
{
    struct journal *j = *state;
    io_post(j->loop, &j->step['a'].task);
    io_uv_loop_stop(j->loop);
    io_uv_loop_stop(j->loop);
    io_post(j->loop, &j->step['b'].task);
    io_uv_loop_run(j->loop);
    io_post(j->loop, &j->step['a'].task);
    io_uv_loop_stop(j->loop);
    journal_expect(j, "aba");
}

static void deferred_tasks_run_after_the_turns_mail(void **state)
{
    struct journal *j = *state;
    j->step['a'].defers = &j->step['d'];
    j->step['d'].stops = true;
    io_post(j->loop, &j->step['a'].task);
    io_post(j->loop, &j->step['b'].task);
    journal_expect(j, "abd");
}

static void what_a_deferred_task_defers_waits_for_the_next_turns_mail(void **state)
{
    struct journal *j = *state;
    j->step['d'].defers = &j->step['e'];
    j->step['d'].posts = &j->step['m'];
    j->step['e'].stops = true;
    io_defer(j->loop, &j->step['d'].task);
    journal_expect(j, "dme");
}

static void what_a_timer_defers_does_not_wait_for_an_event(void **state)
{
    struct journal *j = *state;
    j->step['t'].defers = &j->step['d'];
    j->step['d'].stops = true;
    io_timer_start(j->loop, &j->step['t'].timer, IO_MS);
    journal_expect(j, "td");
}

static void timers_run_in_the_order_they_are_due(void **state)
{
    struct journal *j = *state;
    j->step['c'].stops = true;
    io_timer_start(j->loop, &j->step['c'].timer, 9 * IO_MS);
    io_timer_start(j->loop, &j->step['x'].timer, 2 * IO_MS);
    io_timer_start(j->loop, &j->step['b'].timer, 5 * IO_MS);
    io_timer_start(j->loop, &j->step['a'].timer, 20 * IO_SECOND);
    io_timer_start(j->loop, &j->step['a'].timer, IO_MS / 2);
    io_timer_stop(j->loop, &j->step['x'].timer);
    io_timer_stop(j->loop, &j->step['x'].timer);
    journal_expect(j, "abc");
}

static void a_timer_that_is_due_can_be_stopped_by_another(void **state)
{
    struct journal *j = *state;
    j->step['a'].cancels = &j->step['b'];
    j->step['c'].stops = true;
    io_timer_start(j->loop, &j->step['a'].timer, 0);
    io_timer_start(j->loop, &j->step['b'].timer, 0);
    io_timer_start(j->loop, &j->step['c'].timer, IO_MS);
    journal_expect(j, "ac");
}

static void a_timer_without_delay_that_restarts_itself_lets_mail_through(void **state)
{
    struct journal *j = *state;
    j->step['t'].starts = &j->step['t'];
    j->step['m'].stops = true;
    io_timer_start(j->loop, &j->step['t'].timer, 0);
    io_post(j->loop, &j->step['m'].task);
    io_uv_loop_run(j->loop);
    /* In its own turn, in which the timer may come due again behind it. */
    assert_non_null(memchr(j->events, 'm', j->count));
    assert_int_not_equal(j->step['t'].timer.heap_index, 0);
    io_uv_loop_free(&j->loop);
    assert_int_equal(j->step['t'].timer.heap_index, 0);
}

static void a_far_timer_does_not_hide_a_near_one(void **state)
{
    struct journal *j = *state;
    j->step['n'].stops = true;
    io_timer_start(j->loop, &j->step['x'].timer, UINT64_MAX);
    io_timer_start(j->loop, &j->step['f'].timer, 3600 * IO_SECOND);
    io_timer_start(j->loop, &j->step['n'].timer, IO_MS);
    journal_expect(j, "n");
}

struct letter {
    struct task task;
    struct exchange *exchange;
    uint32_t sender;
    uint32_t number;
};

struct exchange {
    struct io_loop *loop;
    uint32_t next[SENDERS];
    uint32_t count;
    bool ordered;
};

struct sender {
    pthread_t thread;
    struct exchange *exchange;
    uint32_t index;
    struct letter *letters;
};

static void take_letter(struct task *task)
{
    struct letter *letter = CONTAINER_OF(task, struct letter, task);
    struct exchange *exchange = letter->exchange;
    if (letter->number != exchange->next[letter->sender]++)
        exchange->ordered = false;
    if (++exchange->count == SENDERS * TASKS_PER_SENDER)
        io_uv_loop_stop(exchange->loop);
}

static void *send_letters(void *argument)
{
    struct sender *sender = argument;
    for (uint32_t i = 0; i < TASKS_PER_SENDER; i++) {
        sender->letters[i] = (struct letter){.task.run = take_letter,
                                             .exchange = sender->exchange,
                                             .sender = sender->index,
                                             .number = i};
        io_post(sender->exchange->loop, &sender->letters[i].task);
    }
    return NULL;
}

static void posts_of_many_threads_all_arrive_each_senders_in_order(void **state)
{
    (void)state;
    struct exchange exchange = {.ordered = true};
    assert_true(err_is_ok(io_uv_loop_new(&exchange.loop)));
    assert_true(err_is_ok(io_uv_loop_start(exchange.loop, "a name longer than fits")));
    struct sender senders[SENDERS];
    for (uint32_t i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){.exchange = &exchange, .index = i};
        senders[i].letters = calloc(TASKS_PER_SENDER, sizeof(struct letter));
        assert_int_equal(pthread_create(&senders[i].thread, NULL, send_letters, &senders[i]), 0);
    }
    for (uint32_t i = 0; i < SENDERS; i++)
        pthread_join(senders[i].thread, NULL);
    io_uv_loop_join(exchange.loop);
    assert_int_equal(exchange.count, SENDERS * TASKS_PER_SENDER);
    assert_true(exchange.ordered);
    io_uv_loop_free(&exchange.loop);
    for (uint32_t i = 0; i < SENDERS; i++)
        free(senders[i].letters);
}

struct ball {
    struct task task;
    struct io_loop *sides[2];
    uint32_t bounces;
};

static void bounce(struct task *task)
{
    struct ball *ball = CONTAINER_OF(task, struct ball, task);
    if (++ball->bounces == 2000) {
        io_uv_loop_stop(ball->sides[0]);
        io_uv_loop_stop(ball->sides[1]);
        return;
    }
    io_post(ball->sides[ball->bounces % 2], &ball->task);
}

static void a_task_goes_back_and_forth_between_two_loops(void **state)
{
    (void)state;
    struct ball ball = {.task.run = bounce};
    for (size_t i = 0; i < 2; i++) {
        assert_true(err_is_ok(io_uv_loop_new(&ball.sides[i])));
        assert_true(err_is_ok(io_uv_loop_start(ball.sides[i], "side")));
    }
    struct io_loop *sides[2] = {ball.sides[0], ball.sides[1]};
    io_post(sides[0], &ball.task);
    io_uv_loop_join(sides[0]);
    io_uv_loop_join(sides[1]);
    assert_int_equal(ball.bounces, 2000);
    io_uv_loop_free(&sides[0]);
    io_uv_loop_free(&sides[1]);
}

static void a_loop_that_is_freed_forgets_what_waits(void **state)
{
    struct journal *j = *state;
    io_post(j->loop, &j->step['a'].task);
    io_defer(j->loop, &j->step['b'].task);
    io_timer_start(j->loop, &j->step['c'].timer, 0);
    io_uv_loop_free(&j->loop);
    io_uv_loop_free(&j->loop);
    assert_int_equal(j->count, 0);
    assert_int_equal(j->step['c'].timer.heap_index, 0);
}

static void a_loop_without_memory_is_an_error(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        struct io_loop *loop = NULL;
        mem_fail_after(n);
        err_t err = io_uv_loop_new(&loop);
        bool failed = mem_alloc_count() >= n;
        mem_fail_after(0);
        assert_int_equal(err_is(err, ERR_MEMORY), failed);
        assert_int_equal(loop == NULL, failed);
        io_uv_loop_free(&loop);
        if (!failed)
            return;
    }
}

static void clocks_and_random_bytes_come_from_the_system(void **state)
{
    (void)state;
    struct io_loop *loop = NULL;
    assert_true(err_is_ok(io_uv_loop_new(&loop)));
    uint64_t before = io_now_ns(loop);
    assert_true(io_now_ns(loop) >= before);
    int64_t earliest = (int64_t)time(NULL) * 1000;
    int64_t wall = io_wall_ms(loop);
    assert_true(wall >= earliest && wall <= ((int64_t)time(NULL) + 1) * 1000);
    uint8_t bytes[2][64] = {{0}};
    io_random(loop, bytes[0], sizeof(bytes[0]));
    io_random(loop, bytes[1], sizeof(bytes[1]));
    assert_memory_not_equal(bytes[0], bytes[1], sizeof(bytes[0]));
    io_random(loop, NULL, 0);
    io_uv_loop_free(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(tasks_run_in_the_order_they_were_posted),
        fixture_test(a_loop_that_was_stopped_can_run_again),
        fixture_test(deferred_tasks_run_after_the_turns_mail),
        fixture_test(what_a_deferred_task_defers_waits_for_the_next_turns_mail),
        fixture_test(what_a_timer_defers_does_not_wait_for_an_event),
        fixture_test(timers_run_in_the_order_they_are_due),
        fixture_test(a_timer_that_is_due_can_be_stopped_by_another),
        fixture_test(a_timer_without_delay_that_restarts_itself_lets_mail_through),
        fixture_test(a_far_timer_does_not_hide_a_near_one),
        cmocka_unit_test(posts_of_many_threads_all_arrive_each_senders_in_order),
        cmocka_unit_test(a_task_goes_back_and_forth_between_two_loops),
        fixture_test(a_loop_that_is_freed_forgets_what_waits),
        cmocka_unit_test(a_loop_without_memory_is_an_error),
        cmocka_unit_test(clocks_and_random_bytes_come_from_the_system),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
