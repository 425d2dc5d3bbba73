#include "unit/serve/kafka/admin.h"

/* By CreatePartitions, the smallest of the requests that become a change. */

#define TOPICS_MAX 4

static struct proto_kafka_create_partitions_request_topic asked[TOPICS_MAX];

static struct proto_kafka_create_partitions_request ask_for(const char *const *names,
                                                            uint32_t count)
{
    struct proto_kafka_create_partitions_request request = {0};
    for (uint32_t i = 0; i < count; i++)
        asked[i] = (struct proto_kafka_create_partitions_request_topic){
            .name = slice_string(names[i]), .count = 5};
    request.topics.items = asked;
    request.topics.count = count;
    return request;
}

static void say(struct flow_topics_change *change)
{
    static const enum err_code codes[] = {ERR_NOT_FOUND, ERR_POLICY, ERR_INVALID, ERR_FENCED};
    for (uint32_t i = 0; i < change->item_count; i++)
        if (err_is_ok(change->items[i].error))
            change->items[i].error = err_set(&change->items[i].why, codes[i], "said of %u", i);
}

static void each_item_has_the_answer_that_it_was_given(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "b", "c", "d"};
    static const int16_t codes[] = {SERVE_KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
                                    SERVE_KAFKA_POLICY_VIOLATION, SERVE_KAFKA_INVALID_PARTITIONS,
                                    SERVE_KAFKA_REQUEST_TIMED_OUT};
    struct admin *a = admin_open();
    struct proto_kafka_create_partitions_request request = ask_for(names, 4);
    a->answer = say;
    const struct proto_kafka_create_partitions_response *response =
        admin_ask(a, PROTO_KAFKA_CREATE_PARTITIONS, 3, &request);
    assert_int_equal(response->results.count, 4);
    for (uint32_t i = 0; i < 4; i++) {
        char text[32];
        snprintf(text, sizeof(text), "said of %u", i);
        assert_text(response->results.items[i].name, names[i]);
        assert_int_equal(response->results.items[i].error_code, codes[i]);
        assert_text(response->results.items[i].error_message, text);
    }
    a->answer = NULL;
    response = admin_ask(a, PROTO_KAFKA_CREATE_PARTITIONS, 3, &request);
    assert_int_equal(response->results.items[3].error_code, SERVE_KAFKA_NONE);
    assert_null(response->results.items[3].error_message.data);
    admin_done(a);
}

static void the_second_of_a_name_is_refused_and_the_first_is_done(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "b", "a", "a"};
    struct admin *a = admin_open();
    struct proto_kafka_create_partitions_request request = ask_for(names, 4);
    const struct proto_kafka_create_partitions_response *response =
        admin_ask(a, PROTO_KAFKA_CREATE_PARTITIONS, 0, &request);
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(response->results.items[i].error_code,
                         i < 2 ? SERVE_KAFKA_NONE : SERVE_KAFKA_INVALID_REQUEST);
    assert_text(response->results.items[2].error_message, "a is there twice");
    /* Whoever makes it so is told too. */
    assert_int_equal(a->changes, 1);
    admin_done(a);
}

static void a_request_without_items_is_answered(void **state)
{
    (void)state;
    struct admin *a = admin_open();
    struct proto_kafka_create_partitions_request request = ask_for(NULL, 0);
    const struct proto_kafka_create_partitions_response *response =
        admin_ask(a, PROTO_KAFKA_CREATE_PARTITIONS, 2, &request);
    assert_int_equal(response->results.count, 0);
    admin_done(a);
}

/* An item is larger than its bytes in the request: so many of them are no way to memory that the
 * door has not. */
static void more_items_than_there_is_memory_for_close_the_connection(void **state)
{
    (void)state;
    struct admin *a = admin_open();
    static struct proto_kafka_create_partitions_request_topic many[5000];
    struct proto_kafka_create_partitions_request request = {0};
    for (size_t i = 0; i < 5000; i++)
        many[i].name = SLICE_LITERAL("x");
    request.topics.items = many;
    request.topics.count = 5000;
    admin_send(a, PROTO_KAFKA_CREATE_PARTITIONS, 0, &request);
    fake_run(a->fake);
    assert_true(admin_silent(a));
    assert_true(a->fake->tcps[0]->closed);
    assert_int_equal(a->changes, 0);
    admin_done(a);
}

static void names_are_those_that_kafka_allows(void **state)
{
    (void)state;
    char longest[FLOW_TOPIC_NAME_MAX + 1];
    memset(longest, 'x', sizeof(longest));
    static const char *const good[] = {"a", "a.b-c_D9", "...", "_"};
    static const char *const bad[] = {"", ".", "..", "a b", "a/b", "\xc3\xa4", "a\n"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(serve_kafka_is_name(slice_string(good[i])));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(serve_kafka_is_name(slice_string(bad[i])));
    assert_true(serve_kafka_is_name(slice_make(longest, FLOW_TOPIC_NAME_MAX)));
    assert_false(serve_kafka_is_name(slice_make(longest, FLOW_TOPIC_NAME_MAX + 1)));
    assert_false(serve_kafka_is_name(slice_make("a\0b", 3)));
}

static void any_allocation_may_fail(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "b", "c", "d"};
    struct proto_kafka_create_partitions_request request = ask_for(names, 4);
    admin_each_allocation(PROTO_KAFKA_CREATE_PARTITIONS, 3, &request);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_item_has_the_answer_that_it_was_given),
        cmocka_unit_test(the_second_of_a_name_is_refused_and_the_first_is_done),
        cmocka_unit_test(a_request_without_items_is_answered),
        cmocka_unit_test(more_items_than_there_is_memory_for_close_the_connection),
        cmocka_unit_test(names_are_those_that_kafka_allows),
        cmocka_unit_test(any_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
