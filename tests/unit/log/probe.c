#include "log/log_int.h"

#include "unit/log/keys.h"

/* Keys 1 to `count` are in sorted files: with this memory each commit closes a bucket. */
static void begin(struct world *w, uint64_t seed, uint32_t count)
{
    world_init(w, seed);
    world_begin(w);
    assert_code(keys_configure(w, 3600000, UINT64_C(100) << 10), OK);
    assert_int_equal(keyed_run(w, 1, count), 0);
    world_until(w, keys_are_sorted, w);
    assert_true(keys_sorted_count(w) > 0);
}

static void keys_in_files_are_known(void **state)
{
    (void)state;
    struct world w;
    begin(&w, 1, 9000);
    assert_int_equal(keyed_run(&w, 1, 9000), 9000);
    assert_true(w.log->counters.probes >= 4000);
    assert_int_equal(keyed_run(&w, 20000, 1000), 0);
    assert_balanced(&w);
    world_done(&w);
}

static void keys_in_files_are_known_after_a_crash(void **state)
{
    (void)state;
    struct world w;
    begin(&w, 2, 9000);
    world_lose_power(&w);
    world_open(&w);
    assert_int_equal(keyed_run(&w, 1, 9000), 9000);
    world_stop(&w);
    world_open(&w);
    assert_int_equal(keyed_run(&w, 1, 9000), 9000);
    assert_balanced(&w);
    world_done(&w);
}

static void what_waits_behind_is_read_in_the_same_job(void **state)
{
    (void)state;
    struct world w;
    struct keyed three[3];
    begin(&w, 3, 6000);
    w.reader.closed = true;
    for (int i = 0; i < 3; i++) {
        const uint64_t numbers[] = {1, 2, 90000 + (uint64_t)i};
        keyed_init(&three[i], &w, numbers, 3);
        asked_send(&three[i].asked);
    }
    world_deliver(&w);
    /* The first is asked for alone, since it was alone when it came. */
    assert_int_equal(w.reader.held_count, 1);
    gate_open(&w.reader);
    for (int i = 0; i < 3; i++)
        assert_int_equal(keyed_end(&three[i]), 2);
    assert_true(three[0].asked.order < three[1].asked.order);
    assert_true(three[1].asked.order < three[2].asked.order);
    assert_balanced(&w);
    world_done(&w);
}

static void a_file_that_cannot_be_read_is_the_error_of_who_needs_it(void **state)
{
    (void)state;
    struct world w;
    struct keyed keyed;
    begin(&w, 4, 6000);
    keyed_init(&keyed, &w, (const uint64_t[]){1}, 1);
    asked_send(&keyed.asked);
    sim_disk_fail_after(w.disk, 1, ERR_IO);
    assert_code(asked_wait(&keyed.asked), IO);
    asked_done(&keyed.asked);
    sim_disk_fail_after(w.disk, 0, ERR_OK);
    assert_true(world_noted(&w, "log_keys_unreadable"));
    /* It says nothing about the next. */
    assert_int_equal(keyed_commit(&w, (const uint64_t[]){1, 99999}, 2), 1);
    assert_balanced(&w);
    world_done(&w);
}

static void a_fence_while_keys_are_read_leaves_nothing_behind(void **state)
{
    (void)state;
    struct world w;
    struct keyed flushed;
    struct keyed waiting;
    begin(&w, 5, 6000);
    w.flusher.closed = w.reader.closed = true;
    keyed_init(&flushed, &w, (const uint64_t[]){0}, 1);
    asked_send(&flushed.asked);
    world_deliver(&w);
    keyed_init(&waiting, &w, (const uint64_t[]){1, 2}, 2);
    asked_send(&waiting.asked);
    world_deliver(&w);
    sim_disk_fail_after(w.disk, 1, ERR_IO);
    gate_open(&w.flusher);
    assert_code(asked_wait(&flushed.asked), FENCED);
    assert_code(asked_wait(&waiting.asked), FENCED);
    asked_done(&flushed.asked);
    asked_done(&waiting.asked);
    sim_disk_fail_after(w.disk, 0, ERR_OK);
    gate_open(&w.reader);
    world_settle(&w);
    assert_int_equal(keyed_commit(&w, (const uint64_t[]){1, 2}, 2), 2);
    world_done(&w);
}

static void a_topic_can_go_while_its_keys_are_read(void **state)
{
    (void)state;
    struct world w;
    struct keyed keyed;
    begin(&w, 6, 6000);
    w.reader.closed = true;
    keyed_init(&keyed, &w, (const uint64_t[]){1}, 1);
    asked_send(&keyed.asked);
    world_deliver(&w);
    /* As when the window had passed. */
    log_keys_drop(keyed_topic(&w)->keys, 1);
    gate_open(&w.reader);
    assert_int_equal(keyed_end(&keyed), 1);
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_in_files_are_known),
        cmocka_unit_test(keys_in_files_are_known_after_a_crash),
        cmocka_unit_test(what_waits_behind_is_read_in_the_same_job),
        cmocka_unit_test(a_file_that_cannot_be_read_is_the_error_of_who_needs_it),
        cmocka_unit_test(a_fence_while_keys_are_read_leaves_nothing_behind),
        cmocka_unit_test(a_topic_can_go_while_its_keys_are_read),
    };
    return cmocka_run_group_tests_name("log/probe", tests, NULL, NULL);
}
