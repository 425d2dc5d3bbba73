#include "pipeline/check/check.h"

#include "unit/pipeline/check/fixture.h"

#define CAP 1000

/* "events" with a cap on its DLQ; "orders", which rejects, has one too. */
static void init(struct fixture *f)
{
    struct pipeline_check_topic topics[] = {fixture_topics[0], fixture_topics[1]};
    topics[0].dlq_size_max = CAP;
    topics[1].dlq_size_max = CAP;
    struct pipeline_check_options options = fixture_options(f);
    options.topics = topics;
    fixture_start(f, &options);
}

static void send(struct fixture *f, const char *text, uint64_t accepted, uint64_t dead_lettered,
                 uint64_t refused)
{
    struct sent *s = fixture_send_text(f, "events", FLOW_FRAMING_NDJSON, text);
    assert_counts(s, accepted, dead_lettered, refused);
    sent_done(s);
}

static void ring(struct fixture *f)
{
    struct io_timer *timer = f->timer;
    assert_non_null(timer);
    f->timer = NULL;
    timer->run(timer);
}

static void done(struct fixture *f)
{
    if (f->snapshot)
        fixture_snapshot_answer(f);
    pipeline_check_stop(f->check);
    assert_null(f->timer);
    fixture_done(f);
}

/* A broken record comes, and the log says that the DLQ holds so much. */
static void fill(struct fixture *f, uint64_t sealed, uint64_t wal)
{
    send(f, "{", 0, 1, 0);
    f->dlq_sealed_bytes = sealed;
    f->dlq_wal_bytes = wal;
    fixture_snapshot_answer(f);
}

static void good_records_ask_nothing(void **state)
{
    (void)state;
    struct fixture f;
    init(&f);
    send(&f, "{}\n[]\n", 2, 0, 0);
    assert_int_equal(f.snapshot_count, 0);
    assert_null(f.timer);
    done(&f);
}

static void a_topic_without_a_cap_asks_nothing(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    send(&f, "{\n", 0, 1, 0);
    assert_int_equal(f.snapshot_count, 0);
    fixture_done(&f);
}

static void a_topic_that_rejects_asks_nothing(void **state)
{
    (void)state;
    struct fixture f;
    init(&f);
    struct sent *s = fixture_send_text(&f, "orders", FLOW_FRAMING_NDJSON, "{\n");
    assert_counts(s, 0, 0, 1);
    assert_string_equal(s->request.errors[0].reason, "json");
    sent_done(s);
    assert_int_equal(f.snapshot_count, 0);
    done(&f);
}

static void a_full_queue_refuses_the_broken_and_takes_the_good(void **state)
{
    (void)state;
    struct fixture f;
    init(&f);
    fill(&f, CAP / 2, CAP / 2);
    fixture_forget(&f);
    struct sent *s = fixture_send_text(&f, "events", FLOW_FRAMING_NDJSON, "{}\n{]\n[1]\n");
    assert_counts(s, 2, 0, 1);
    assert_int_equal(s->request.errors[0].index, 1);
    assert_string_equal(s->request.errors[0].reason, "dlq_full");
    /* And what is wrong with it. */
    assert_int_equal(strncmp(s->request.errors[0].detail, "json: ", 6), 0);
    assert_true(strlen(s->request.errors[0].detail) > 6);
    sent_done(s);
    /* Both good ones came to the log, the broken one is a number. */
    assert_int_equal(f.seen_count, 2);
    assert_seen(&f, 0, EVENTS, "{}");
    assert_seen(&f, 1, EVENTS, "[1]");
    assert_int_equal(f.counts[EVENTS].received, 3);
    assert_int_equal(f.counts[EVENTS].refused, 1);
    done(&f);
}

static void one_byte_below_the_cap_is_not_full(void **state)
{
    (void)state;
    struct fixture f;
    init(&f);
    fill(&f, CAP - 1, 0);
    send(&f, "{", 0, 1, 0);
    f.dlq_wal_bytes = 1;
    ring(&f);
    fixture_snapshot_answer(&f);
    send(&f, "{", 0, 0, 1);
    done(&f);
}

static void what_comes_within_a_second_of_asking_passes_the_cap(void **state)
{
    (void)state;
    struct fixture f;
    init(&f);
    send(&f, "{", 0, 1, 0);
    f.dlq_sealed_bytes = CAP;
    /* Not answered yet, and then answered: only then it is known. */
    send(&f, "{\n{\n{\n", 0, 3, 0);
    fixture_snapshot_answer(&f);
    send(&f, "{", 0, 0, 1);
    assert_int_equal(f.snapshot_count, 1);
    done(&f);
}

static void the_log_is_asked_once_a_second_and_no_longer_than_needed(void **state)
{
    (void)state;
    struct fixture f;
    init(&f);
    fill(&f, 0, 100);
    send(&f, "{\n{\n", 0, 2, 0);
    assert_int_equal(f.snapshot_count, 1);
    assert_int_equal(f.timer_delay_ns, IO_SECOND);
    /* Two more: the first may have been made before the records' commit. */
    ring(&f);
    fixture_snapshot_answer(&f);
    ring(&f);
    fixture_snapshot_answer(&f);
    assert_int_equal(f.snapshot_count, 3);
    ring(&f);
    assert_null(f.snapshot);
    assert_null(f.timer);
    /* And from the beginning. */
    send(&f, "{", 0, 1, 0);
    assert_int_equal(f.snapshot_count, 4);
    done(&f);
}

static void a_full_queue_is_looked_after_until_it_has_room(void **state)
{
    (void)state;
    struct fixture f;
    init(&f);
    fill(&f, CAP, CAP);
    for (int i = 0; i < 10; i++) {
        ring(&f);
        fixture_snapshot_answer(&f);
    }
    send(&f, "{", 0, 0, 1);
    ring(&f);
    f.dlq_sealed_bytes = 0;
    f.dlq_wal_bytes = CAP - 1;
    fixture_snapshot_answer(&f);
    send(&f, "{", 0, 1, 0);
    done(&f);
}

static void a_snapshot_that_fails_leaves_what_is_known(void **state)
{
    (void)state;
    struct fixture f;
    init(&f);
    fill(&f, CAP, 0);
    f.snapshot_error = err_make(ERR_MEMORY);
    f.dlq_sealed_bytes = 0;
    ring(&f);
    fixture_snapshot_answer(&f);
    send(&f, "{", 0, 0, 1);
    f.snapshot_error = err_ok();
    ring(&f);
    fixture_snapshot_answer(&f);
    send(&f, "{", 0, 1, 0);
    done(&f);
}

static void after_the_stop_nothing_is_asked_and_an_answer_may_come(void **state)
{
    (void)state;
    struct fixture f;
    init(&f);
    send(&f, "{", 0, 1, 0);
    assert_non_null(f.snapshot);
    pipeline_check_stop(f.check);
    fixture_snapshot_answer(&f);
    assert_null(f.timer);
    send(&f, "{", 0, 1, 0);
    assert_int_equal(f.snapshot_count, 1);
    fixture_done(&f);

    /* Also while it rests, or has done nothing at all. */
    init(&f);
    fill(&f, 0, 0);
    assert_non_null(f.timer);
    done(&f);
    init(&f);
    done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_records_ask_nothing),
        cmocka_unit_test(a_topic_without_a_cap_asks_nothing),
        cmocka_unit_test(a_topic_that_rejects_asks_nothing),
        cmocka_unit_test(a_full_queue_refuses_the_broken_and_takes_the_good),
        cmocka_unit_test(one_byte_below_the_cap_is_not_full),
        cmocka_unit_test(what_comes_within_a_second_of_asking_passes_the_cap),
        cmocka_unit_test(the_log_is_asked_once_a_second_and_no_longer_than_needed),
        cmocka_unit_test(a_full_queue_is_looked_after_until_it_has_room),
        cmocka_unit_test(a_snapshot_that_fails_leaves_what_is_known),
        cmocka_unit_test(after_the_stop_nothing_is_asked_and_an_answer_may_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
