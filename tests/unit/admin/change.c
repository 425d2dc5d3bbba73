#include "unit/admin/door.h"

#include "base/alloc.h"

/* Whoever makes topics, as the test plays it: it keeps what it is asked for. */
struct maker {
    struct flow_topics topics;
    struct flow_topics_change *asked;
    struct flow_topics_item item; /* as it came */
};

static void take_change(struct flow_topics *topics, struct flow_topics_change *change)
{
    struct maker *maker = CONTAINER_OF(topics, struct maker, topics);
    assert_null(maker->asked);
    assert_int_equal(change->item_count, 1);
    assert_false(change->dry);
    maker->asked = change;
    maker->item = change->items[0];
}

static void give(struct maker *maker, enum err_code code, const char *text)
{
    struct flow_topics_change *change = maker->asked;
    assert_non_null(change);
    maker->asked = NULL;
    change->items[0].error =
        code == ERR_OK ? err_ok() : err_set(&change->items[0].why, code, "%s", text);
    change->done(change);
}

static struct fixture *start(struct maker *maker)
{
    struct fixture *f = fixture_prepare();
    struct err_text why = {0};
    struct admin_options options = options_of(f);
    *maker = (struct maker){.topics = {take_change}};
    options.topics = &maker->topics;
    assert_true(err_is_ok(admin_new(&options, &f->admin, &why)));
    connect_one(f);
    return f;
}

static const char *send(struct fixture *f, const char *method, const char *target)
{
    char request[512];
    snprintf(request, sizeof(request), "%s /v1/topics/%s HTTP/1.1\r\nHost: localhost\r\n\r\n",
             method, target);
    return ask_with(f, request);
}

static void a_topic_is_made_as_the_query_says(void **state)
{
    (void)state;
    struct maker maker;
    struct fixture *f = start(&maker);
    assert_string_equal(send(f, "POST",
                             "new%2Da?partitions=3&retention_ms=0&partition_bytes=77&"
                             "compression=lz4&batch_bytes=99"),
                        "");
    assert_int_equal(maker.asked->op, FLOW_TOPICS_CREATE);
    assert_true(slice_equal_string(maker.item.name, "new-a"));
    assert_int_equal(maker.item.partition_count, 3);
    assert_int_equal(maker.item.config.given, FLOW_TOPIC_GIVEN_ALL);
    assert_int_equal(maker.item.config.retention_ms, 0);
    assert_int_equal(maker.item.config.retention_bytes, 77);
    assert_int_equal(maker.item.config.codec, FLOW_CODEC_LZ4);
    assert_int_equal(maker.item.config.batch_bytes_max, 99);
    give(&maker, ERR_OK, NULL);
    assert_starts(answer(f), "HTTP/1.1 200 OK\r\n");
    assert_ends(answer(f), "\r\n\r\n{\"created\":\"new-a\"}\n");
    (void)send(f, "POST", "plain?");
    assert_int_equal(maker.item.partition_count, 1);
    assert_int_equal(maker.item.config.given, 0);
    give(&maker, ERR_OK, NULL);
    fixture_free(f);
}

static void partitions_come_before_settings(void **state)
{
    (void)state;
    struct maker maker;
    struct fixture *f = start(&maker);
    (void)send(f, "PUT", "old?partitions=9&retention_ms=5&compression=default");
    assert_int_equal(maker.asked->op, FLOW_TOPICS_PARTITIONS);
    assert_int_equal(maker.item.partition_count, 9);
    give(&maker, ERR_OK, NULL);
    assert_string_equal(answer(f), "");
    assert_int_equal(maker.asked->op, FLOW_TOPICS_CONFIG);
    assert_int_equal(maker.item.config.given, FLOW_TOPIC_RETENTION_MS);
    assert_int_equal(maker.item.resets, FLOW_TOPIC_CODEC);
    give(&maker, ERR_OK, NULL);
    assert_ends(answer(f), "\r\n\r\n{\"changed\":\"old\"}\n");
    /* Each can be all there is. */
    (void)send(f, "PUT", "old?partitions=10");
    give(&maker, ERR_OK, NULL);
    assert_ends(answer(f), "{\"changed\":\"old\"}\n");
    (void)send(f, "PUT", "old?batch_bytes=1");
    assert_int_equal(maker.asked->op, FLOW_TOPICS_CONFIG);
    give(&maker, ERR_OK, NULL);
    assert_ends(answer(f), "{\"changed\":\"old\"}\n");
    fixture_free(f);
}

static void what_is_refused_is_said_with_its_status(void **state)
{
    (void)state;
    static const struct {
        enum err_code code;
        const char *status;
    } refusals[] = {{ERR_EXISTS, "HTTP/1.1 409 "},
                    {ERR_POLICY, "HTTP/1.1 409 "},
                    {ERR_INVALID, "HTTP/1.1 400 "},
                    {ERR_NOT_FOUND, "HTTP/1.1 404 "},
                    {ERR_FENCED, "HTTP/1.1 503 "}};
    struct maker maker;
    struct fixture *f = start(&maker);
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        (void)send(f, "POST", "new");
        give(&maker, refusals[i].code, "because of that");
        assert_starts(answer(f), refusals[i].status);
        assert_non_null(strstr(answer(f), "because of that"));
    }
    (void)send(f, "PUT", "old?partitions=9&retention_ms=5");
    give(&maker, ERR_INVALID, "no more fit");
    assert_non_null(strstr(answer(f), "\"no more fit\""));
    (void)send(f, "PUT", "old?partitions=9&retention_ms=5");
    give(&maker, ERR_OK, NULL);
    give(&maker, ERR_IO, "no disk");
    assert_non_null(strstr(answer(f), "the partitions are there, and then: no disk"));
    fixture_free(f);
}

static void a_query_that_says_anything_else_asks_nobody(void **state)
{
    (void)state;
    static const char *const queries[] = {
        "partitions=0",
        "partitions=10001",
        "partitions=",
        "partitions=x",
        "partitions=default",
        "retention_ms=-1",
        "retention_ms=%",
        "retention_ms=9223372036854775808",
        "batch_bytes=0",
        "batch_bytes=2147483648",
        "compression=best",
        "retention=1",
        "retention_ms=1&retention_ms=1",
        "partition_bytes=123456789012345678901234567890",
    };
    struct maker maker;
    struct fixture *f = start(&maker);
    for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
        char target[128];
        snprintf(target, sizeof(target), "old?%s", queries[i]);
        assert_starts(send(f, "PUT", target), "HTTP/1.1 400 ");
        assert_non_null(strstr(answer(f), "\"error\":\"query\""));
        assert_null(maker.asked);
    }
    fixture_free(f);
}

static void a_server_that_makes_none_says_so(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    assert_starts(send(f, "POST", "new"), "HTTP/1.1 503 ");
    assert_non_null(strstr(answer(f), "makes no topics"));
    fixture_free(f);
}

static void a_stop_waits_for_the_answer(void **state)
{
    (void)state;
    struct maker maker;
    struct fixture *f = start(&maker);
    (void)send(f, "POST", "new");
    fake_end(f->fake->tcps[0], ERR_CLOSED);
    admin_stop(f->admin, 0, on_stopped, f);
    settle(f);
    assert_int_equal(f->stopped, 0);
    give(&maker, ERR_OK, NULL);
    settle(f);
    fixture_free(f);
}

static void without_memory_nobody_is_asked(void **state)
{
    (void)state;
    struct maker maker;
    struct fixture *f = start(&maker);
    char request[] = "POST /v1/topics/new HTTP/1.1\r\nHost: localhost\r\n\r\n";
    fake_send_text(f->fake->tcps[0], request);
    mem_fail_after(1);
    fake_run(f->fake);
    mem_fail_after(0);
    assert_null(maker.asked);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_topic_is_made_as_the_query_says),
        cmocka_unit_test(partitions_come_before_settings),
        cmocka_unit_test(what_is_refused_is_said_with_its_status),
        cmocka_unit_test(a_query_that_says_anything_else_asks_nobody),
        cmocka_unit_test(a_server_that_makes_none_says_so),
        cmocka_unit_test(a_stop_waits_for_the_answer),
        cmocka_unit_test(without_memory_nobody_is_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
