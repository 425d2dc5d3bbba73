#include "unit/serve/kafka/fixture.h"

static const struct proto_kafka_metadata_request everything = {0};

static void put_metadata(struct fixture *f)
{
    fixture_put(f, PROTO_KAFKA_METADATA, 5, &everything);
}

static uint32_t topics_told(struct fixture *f)
{
    const struct proto_kafka_metadata_response *response =
        fixture_answer(f, PROTO_KAFKA_METADATA, 5);
    return response->topics.count;
}

static void release(struct fixture *f)
{
    fixture_snapshot_answer(f, f->held);
    fixture_run(f);
}

/* The first question is of a moment before the others came, so they have the one behind it. */
static void many_who_ask_at_once_share_a_later_question(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    f->hold_snapshots = true;
    put_metadata(f);
    fixture_run(f);
    for (int i = 0; i < 20; i++)
        put_metadata(f);
    fixture_run(f);
    assert_int_equal(f->snapshots, 1);
    f->deleted[1] = true;
    release(f);
    assert_int_equal(topics_told(f), TOPICS - 1);
    assert_true(fixture_silent(f));
    assert_int_equal(f->snapshots, 2);
    f->deleted[2] = true;
    release(f);
    for (int i = 0; i < 20; i++)
        assert_int_equal(topics_told(f), TOPICS - 2);
    assert_int_equal(f->snapshots, 2);
    fixture_free(f);
}

static void what_the_log_does_not_answer_is_as_it_was(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    put_metadata(f);
    fixture_run(f);
    assert_int_equal(topics_told(f), TOPICS);
    f->snapshot_error = ERR_MEMORY;
    f->deleted[0] = true;
    put_metadata(f);
    fixture_run(f);
    assert_int_equal(topics_told(f), TOPICS);
    f->snapshot_error = ERR_OK;
    put_metadata(f);
    fixture_run(f);
    assert_int_equal(topics_told(f), TOPICS - 1);
    fixture_free(f);
}

/* That there are no topics would be believed. */
static void who_asks_before_anything_is_known_has_no_answer(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    f->snapshot_error = ERR_MEMORY;
    put_metadata(f);
    fixture_run(f);
    assert_true(fixture_silent(f));
    assert_true(fixture_tcp(f)->closed);
    fixture_free(f);
}

static struct fixture *prepare(void)
{
    return fixture_open(NULL);
}

static void check_all(struct fixture *f, void *response)
{
    (void)f;
    const struct proto_kafka_metadata_response *metadata = response;
    assert_int_equal(metadata->topics.count, TOPICS);
}

static void any_allocation_may_fail(void **state)
{
    (void)state;
    fixture_each_allocation(prepare, PROTO_KAFKA_METADATA, 9, &everything, check_all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_who_ask_at_once_share_a_later_question),
        cmocka_unit_test(what_the_log_does_not_answer_is_as_it_was),
        cmocka_unit_test(who_asks_before_anything_is_known_has_no_answer),
        cmocka_unit_test(any_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
