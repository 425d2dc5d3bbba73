#include "unit/serve/kafka/admin.h"

static void the_cluster_is_one_broker_in_every_version(void **state)
{
    (void)state;
    struct admin *a = admin_open();
    struct proto_kafka_describe_cluster_request request = {.endpoint_type = 1};
    for (int16_t version = 0; version <= 1; version++) {
        const struct proto_kafka_describe_cluster_response *response =
            admin_ask(a, PROTO_KAFKA_DESCRIBE_CLUSTER, version, &request);
        assert_int_equal(response->error_code, SERVE_KAFKA_NONE);
        assert_int_equal(response->controller_id, SERVE_KAFKA_NODE_ID);
        assert_text(response->cluster_id, "07070707-0707-0707-0707-070707070707");
        assert_int_equal(response->brokers.count, 1);
        assert_int_equal(response->brokers.items[0].broker_id, SERVE_KAFKA_NODE_ID);
        assert_text(response->brokers.items[0].host, "127.0.0.1");
        assert_int_equal(response->brokers.items[0].port, serve_kafka_port(a->kafka));
    }
    admin_done(a);
}

static void there_are_no_controllers(void **state)
{
    (void)state;
    struct admin *a = admin_open();
    struct proto_kafka_describe_cluster_request request = {.endpoint_type = 2};
    const struct proto_kafka_describe_cluster_response *response =
        admin_ask(a, PROTO_KAFKA_DESCRIBE_CLUSTER, 1, &request);
    assert_int_equal(response->error_code, SERVE_KAFKA_UNSUPPORTED_ENDPOINT_TYPE);
    assert_text(response->error_message, "expected endpoint type 1");
    assert_int_equal(response->brokers.count, 0);
    admin_done(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_cluster_is_one_broker_in_every_version),
        cmocka_unit_test(there_are_no_controllers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
