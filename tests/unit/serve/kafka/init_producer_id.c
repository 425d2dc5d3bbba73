#include "unit/serve/kafka/fixture.h"

typedef struct proto_kafka_init_producer_id_request request_t;
typedef struct proto_kafka_init_producer_id_response response_t;

#define KEY PROTO_KAFKA_INIT_PRODUCER_ID

/* A log that gives the ids 70, 71 ... or fails. */
struct ids {
    struct fixture *f;
    struct flow_log_ops ops;
    enum err_code error;
    int64_t next;
    struct flow_commit *held;
    bool hold;
};

static struct ids ids;

static void home(struct task *task)
{
    struct flow_commit *commit = CONTAINER_OF(task, struct flow_commit, task);
    commit->done(commit);
}

static void answer(struct flow_commit *commit)
{
    commit->error = err_make(ids.error);
    commit->producer_id = ids.error == ERR_OK ? ids.next++ : -5;
    commit->task.run = home;
    io_post(commit->home, &commit->task);
}

static void give(struct flow_log *log, struct flow_commit *commit)
{
    assert_ptr_equal(log, &ids.f->log);
    assert_true(commit->gives_producer_id);
    assert_int_equal(commit->append_count + commit->count_count + commit->topic_count, 0);
    ids.held = commit;
    if (!ids.hold)
        answer(commit);
}

static struct fixture *begin(void)
{
    struct fixture *f = fixture_open(NULL);
    ids = (struct ids){.f = f, .ops = fixture_log_ops, .error = ERR_OK, .next = 70};
    ids.ops.commit = give;
    f->log.ops = &ids.ops;
    return f;
}

static request_t plain(void)
{
    return (request_t){.transaction_timeout_ms = 60000, .producer_id = -1, .producer_epoch = -1};
}

static void assert_refused(struct fixture *f, const request_t *request, int16_t code)
{
    const response_t *response = fixture_ask(f, KEY, 4, request);
    assert_int_equal(response->error_code, code);
    assert_int_equal(response->producer_id, -1);
    assert_int_equal(response->producer_epoch, -1);
    assert_null(ids.held);
}

static void each_one_has_an_id_of_its_own_in_every_version(void **state)
{
    (void)state;
    struct fixture *f = begin();
    const request_t request = plain();
    for (int16_t version = 0; version <= 5; version++) {
        const response_t *response = fixture_ask(f, KEY, version, &request);
        assert_int_equal(response->error_code, SERVE_KAFKA_NONE);
        assert_int_equal(response->producer_id, 70 + version);
        assert_int_equal(response->producer_epoch, 0);
    }
    fixture_free(f);
}

static void whoever_has_one_is_given_another(void **state)
{
    (void)state;
    struct fixture *f = begin();
    request_t request = plain();
    request.producer_id = 12;
    request.producer_epoch = 4;
    const response_t *response = fixture_ask(f, KEY, 3, &request);
    assert_int_equal(response->error_code, SERVE_KAFKA_NONE);
    assert_int_equal(response->producer_id, 70);
    assert_int_equal(response->producer_epoch, 0);
    fixture_free(f);
}

static void half_of_an_id_is_refused(void **state)
{
    (void)state;
    struct fixture *f = begin();
    request_t request = plain();
    request.producer_id = 12;
    assert_refused(f, &request, SERVE_KAFKA_INVALID_REQUEST);
    request.producer_id = -1;
    request.producer_epoch = 0;
    assert_refused(f, &request, SERVE_KAFKA_INVALID_REQUEST);
    fixture_free(f);
}

static void transactions_are_refused(void **state)
{
    (void)state;
    static const struct {
        int32_t timeout_ms;
        int16_t code;
    } rows[] = {
        {1, SERVE_KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED},
        {900000, SERVE_KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED},
        {900001, SERVE_KAFKA_INVALID_TRANSACTION_TIMEOUT},
        {0, SERVE_KAFKA_INVALID_TRANSACTION_TIMEOUT},
        {-1, SERVE_KAFKA_INVALID_TRANSACTION_TIMEOUT},
    };
    struct fixture *f = begin();
    request_t request = plain();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        request.transactional_id = SLICE_LITERAL("t");
        request.transaction_timeout_ms = rows[i].timeout_ms;
        assert_refused(f, &request, rows[i].code);
    }
    request.transactional_id = SLICE_LITERAL("");
    assert_refused(f, &request, SERVE_KAFKA_INVALID_REQUEST);
    fixture_free(f);
}

static void an_id_is_told_when_it_is_on_disk(void **state)
{
    (void)state;
    struct fixture *f = begin();
    const request_t request = plain();
    ids.hold = true;
    fixture_send(f, KEY, 4, &request);
    assert_non_null(ids.held);
    assert_true(fixture_silent(f));
    answer(ids.held);
    fixture_run(f);
    assert_int_equal(((const response_t *)fixture_answer(f, KEY, 4))->producer_id, 70);
    fixture_free(f);
}

static void what_the_log_cannot_do_is_told_as_such(void **state)
{
    (void)state;
    static const struct {
        enum err_code error;
        int16_t code;
    } rows[] = {{ERR_FENCED, 7}, {ERR_LOG_FULL, 56}, {ERR_CANCELLED, 0}};
    struct fixture *f = begin();
    const request_t request = plain();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        ids.error = rows[i].error;
        const response_t *response = fixture_ask(f, KEY, 4, &request);
        int16_t code = rows[i].code ? rows[i].code : serve_kafka_error_code(err_make(ids.error));
        assert_int_equal(response->error_code, code);
        assert_int_not_equal(response->error_code, SERVE_KAFKA_NONE);
        assert_int_equal(response->producer_id, -1);
    }
    fixture_free(f);
}

static void check(struct fixture *f, void *response)
{
    (void)f;
    assert_int_equal(((const response_t *)response)->producer_id, 70);
}

static void any_allocation_may_fail(void **state)
{
    (void)state;
    const request_t request = plain();
    fixture_each_allocation(begin, KEY, 4, &request, check);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_one_has_an_id_of_its_own_in_every_version),
        cmocka_unit_test(whoever_has_one_is_given_another),
        cmocka_unit_test(half_of_an_id_is_refused),
        cmocka_unit_test(transactions_are_refused),
        cmocka_unit_test(an_id_is_told_when_it_is_on_disk),
        cmocka_unit_test(what_the_log_cannot_do_is_told_as_such),
        cmocka_unit_test(any_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("serve/kafka/init_producer_id", tests, NULL, NULL);
}
