#include "cli/gen_fetch.h"

#include "unit/cli/capture.h"
#include "unit/cli/fake_broker.h"

/* Against a broker in this process that holds a topic. */

static void store(struct fake_broker *b, int32_t partition, uint32_t count)
{
    struct flow_batch_builder builder;
    flow_batch_builder_init(&builder);
    for (uint32_t i = 0; i < count; i++)
        assert_true(err_is_ok(flow_batch_builder_add(&builder, 1, slice_make(NULL, 0),
                                                     SLICE_LITERAL("a value"), NULL, 0)));
    fake_broker_store(b, partition, flow_batch_builder_finish(&builder));
    flow_batch_builder_done(&builder);
}

static int fetch(const char *address, bool json, int stream, struct capture *seen)
{
    struct cli_access access = {0};
    const struct cli_gen_fetch options = {address, "events", 2, json, &access};
    capture_begin(seen, stream);
    int code = cli_gen_fetch(cli_command("gen"), &options);
    capture_end(seen);
    cli_access_done(&access);
    return code;
}

static void what_is_there_is_read_and_told(void **state)
{
    (void)state;
    struct broker_peer peer = {.broker = fake_broker_make("events", 3)};
    struct capture seen;
    for (int i = 0; i < 6; i++)
        store(&peer.broker, i % 3, 10);
    broker_peer_begin(&peer);
    assert_int_equal(fetch(peer.address, true, 1, &seen), CLI_OK);
    assert_non_null(strstr(seen.text, "{\"records\":60,\"batches\":6,\"bytes\":"));
    assert_non_null(strstr(seen.text, "\"mb_per_second\":"));
    assert_int_equal(fetch(peer.address, false, 1, &seen), CLI_OK);
    assert_non_null(strstr(seen.text, "records     60 in 6 batches"));
    assert_non_null(strstr(seen.text, "MB/s"));
    broker_peer_end(&peer);
    fake_broker_done(&peer.broker);
}

static void what_cannot_be_read_is_said(void **state)
{
    (void)state;
    struct broker_peer peer = {.broker = fake_broker_make("events", 1)};
    struct capture seen;
    peer.broker.metadata_code = 3;
    broker_peer_begin(&peer);
    assert_int_equal(fetch(peer.address, false, 2, &seen), CLI_FAILED);
    assert_non_null(strstr(seen.text, "has no topic events"));
    broker_peer_end(&peer);
    fake_broker_done(&peer.broker);
    assert_int_equal(fetch(peer.address, false, 2, &seen), CLI_UNAVAILABLE);
    assert_non_null(strstr(seen.text, peer.address));
    assert_int_equal(fetch("no address", false, 2, &seen), CLI_FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_there_is_read_and_told),
        cmocka_unit_test(what_cannot_be_read_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
