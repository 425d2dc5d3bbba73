#include "cli/check.h"

#include "cli/cli.h"
#include "unit/control/world.h"

/* Runs the check on garner.yaml and compares what goes where. */
static void check(struct world *w, bool json, int code, const char *out, const char *messages)
{
    struct buf printed = {0};
    struct buf said = {0};
    assert_int_equal(cli_check_run(&w->host, "garner.yaml", &(struct cli_check_how){.json = json},
                                   &printed, &said),
                     code);
    assert_slice(buf_slice(&printed), out);
    assert_slice(buf_slice(&said), messages);
    buf_done(&printed);
    buf_done(&said);
}

static void a_right_configuration(struct world *w)
{
    world_init(w);
    world_put(w, "garner.yaml",
              "data_dir: /data\nregistry: {}\nmemory_limit: 64MiB\n"
              "sinks: { lake: { type: file, topics: [flights, events.dlq], path: x } }\n");
    world_put(w, "contracts/1.yaml",
              "topic: flights\npartitions: 3\nkey: carrier\n"
              "examples: { valid: [v*.ndjson], invalid: [x.json] }\n");
    world_put(w, "contracts/v1.ndjson", "1");
    world_put(w, "contracts/v2.ndjson", "");
    world_put(w, "contracts/x.json", "not looked at");
    world_put(w, "contracts/2.yaml",
              "topic: events\nevent_time: at\non_invalid: reject\ncompression: zstd\n"
              "retention: { time: 36h, size: 10GiB, expire_undelivered: true }\n"
              "dlq: { retention: 90s, size: 2MiB, when_full: drop_oldest }\n");
}

static void a_right_configuration_is_summed_up(void **state)
{
    (void)state;
    struct world w;
    a_right_configuration(&w);
    check(&w, false, CLI_OK,
          "garner.yaml: no mistakes\n"
          "  data        /data\n"
          "  durability  fsync: acknowledged means on disk\n"
          "  memory      64.0 MiB\n"
          "  log         4.0 GiB\n"
          "  intake      127.0.0.1:8080\n"
          "  admin       127.0.0.1:9600\n"
          "  kafka       127.0.0.1:9092\n"
          "  topics      2\n"
          "    events: 1 partition, key none, time at, broken records are refused "
          "(contracts/2.yaml)\n"
          "      kept 36h, 10.0 GiB at the most, delivered or not, compressed with zstd; dead "
          "letters "
          "90s, 2.0 MiB at the most, then the oldest go\n"
          "    flights: 3 partitions, key carrier, time of arrival, broken records become dead "
          "letters (contracts/1.yaml)\n"
          "      examples in files: 2 valid, 1 invalid\n"
          "      kept 7d; dead letters 7d, 1.0 GiB at the most, then broken records are refused\n"
          "  sinks       1\n"
          "    lake: file of flights, events.dlq\n",
          "garner.yaml:2:11: registry: known, not served by this version\n");
    world_done(&w);
}

static void what_keys_take_is_said_for_a_rate(void **state)
{
    (void)state;
    struct world w;
    struct buf printed = {0};
    struct buf said = {0};
    world_init(&w);
    world_put(&w, "garner.yaml", "data_dir: /data\n");
    world_put(&w, "contracts/1.yaml", "topic: a\ndedup: id\n");
    world_put(&w, "contracts/2.yaml",
              "topic: b\ndedup: { key: x.id, window: 24h, memory: 64MiB, rate: 1000 }\n");
    world_put(&w, "contracts/3.yaml", "topic: c\ndedup: { key: y, window: 1h, rate: 100 }\n");
    assert_int_equal(
        cli_check_run(&w.host, "garner.yaml", &(struct cli_check_how){0}, &printed, &said), CLI_OK);
    buf_add_byte(&printed, 0);
    const char *out = (const char *)printed.data;
    assert_non_null(strstr(out, "      once by id for 1d, the newest keys in 64.0 MiB\n"));
    /* 24 h and a sixteenth of it, at 16 bytes on disk and 20 bits in memory. */
    assert_non_null(strstr(out, "once by x.id for 1d, the newest keys in 64.0 MiB; 1000 a second "
                                "are 91817000 keys, most of them in 29 files: 278.2 MiB of memory "
                                "(388.8 MiB for moments), 1.4 GiB of disk\n"));
    /* Tables that never fill up are closed by their time. */
    assert_non_null(strstr(out, "once by y for 1h, the newest keys in 64.0 MiB; 100 a second "
                                "are 384200 keys, most of them in 16 files: 1.4 MiB of memory "
                                "(2.3 MiB for moments), 6.2 MiB of disk\n"));
    buf_done(&printed);
    buf_done(&said);
    world_done(&w);
}

static void examples_that_are_missing_are_no_mistake_of_the_configuration(void **state)
{
    (void)state;
    struct world w;
    for (int json = 0; json < 2; json++) {
        struct buf printed = {0};
        struct buf said = {0};
        world_init(&w);
        world_put(&w, "garner.yaml", "data_dir: /data\n");
        world_put(&w, "contracts/1.yaml", "topic: a\nexamples: { valid: [gone.ndjson] }\n");
        assert_int_equal(cli_check_run(&w.host, "garner.yaml",
                                       &(struct cli_check_how){.json = json}, &printed, &said),
                         CLI_OK);
        assert_int_equal(said.size, 0);
        buf_add_byte(&printed, 0);
        assert_non_null(strstr((const char *)printed.data,
                               json ? ",\"examples\":null}"
                                    : "      examples that cannot be found, see `garner contract "
                                      "test`\n"));
        buf_done(&printed);
        buf_done(&said);
        world_done(&w);
    }
}

static void json_says_the_same(void **state)
{
    (void)state;
    struct world w;
    a_right_configuration(&w);
    check(&w, true, CLI_OK,
          "{\"ok\":true,\"errors\":[],\"errors_omitted\":0,"
          "\"notes\":[{\"file\":\"garner.yaml\",\"line\":2,\"column\":11,\"path\":\"registry\","
          "\"message\":\"known, not served by this version\"}],\"notes_omitted\":0,"
          "\"data_dir\":\"/data\",\"durability\":\"fsync\",\"memory_limit\":67108864,"
          "\"wal_limit\":4294967296,"
          "\"doors\":{\"intake\":\"127.0.0.1:8080\",\"admin\":\"127.0.0.1:9600\","
          "\"kafka\":\"127.0.0.1:9092\"},"
          "\"topics\":[{\"name\":\"events\",\"partitions\":1,\"file\":\"contracts/2.yaml\","
          "\"examples\":{\"valid\":0,\"invalid\":0}},"
          "{\"name\":\"flights\",\"partitions\":3,\"file\":\"contracts/1.yaml\","
          "\"examples\":{\"valid\":2,\"invalid\":1}}],"
          "\"sinks\":[{\"name\":\"lake\",\"type\":\"file\","
          "\"topics\":[\"flights\",\"events.dlq\"]}]}\n",
          "garner.yaml:2:11: registry: known, not served by this version\n");
    world_done(&w);
}

static void durability_by_interval_says_what_may_be_lost(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_put(&w, "garner.yaml", "durability: interval\n");
    struct buf out = {0};
    struct buf messages = {0};
    assert_int_equal(
        cli_check_run(&w.host, "garner.yaml", &(struct cli_check_how){0}, &out, &messages), CLI_OK);
    buf_add_byte(&out, '\0');
    assert_non_null(strstr((const char *)out.data,
                           "  durability  interval: acknowledged up to 100 ms and 16.0 MiB before "
                           "it is on disk\n"));
    buf_done(&out);
    buf_done(&messages);
    world_done(&w);
}

static void mistakes_end_with_78_and_their_places(void **state)
{
    (void)state;
    struct world w;
    a_right_configuration(&w);
    world_put(&w, "contracts/1.yaml", "topic: flights\npartitions: 0\n");
    const char *messages = "contracts/1.yaml:2:13: partitions: expected a whole number from 1 to "
                           "10000, got '0'\n"
                           "garner.yaml:2:11: registry: known, not served by this version\n";
    check(&w, false, 78, "", messages);
    check(&w, true, 78,
          "{\"ok\":false,\"errors\":[{\"file\":\"contracts/1.yaml\",\"line\":2,\"column\":13,"
          "\"path\":\"partitions\",\"message\":\"expected a whole number from 1 to 10000, got "
          "'0'\"}],\"errors_omitted\":0,\"notes\":[{\"file\":\"garner.yaml\",\"line\":2,"
          "\"column\":11,\"path\":\"registry\",\"message\":\"known, not served by this version\"}],"
          "\"notes_omitted\":0}\n",
          messages);
    world_done(&w);
}

static void what_is_beyond_twenty_is_counted(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    struct buf text = {0};
    for (int i = 0; i < 25; i++)
        buf_add_format(&text, "x%d: 1\n", i);
    buf_add_byte(&text, '\0');
    world_put(&w, "garner.yaml", (const char *)text.data);
    struct buf out = {0};
    struct buf messages = {0};
    assert_int_equal(
        cli_check_run(&w.host, "garner.yaml", &(struct cli_check_how){0}, &out, &messages), 78);
    assert_true(slice_ends_with(buf_slice(&messages),
                                SLICE_LITERAL("x19: unknown field 'x19'\nand 5 more\n")));
    buf_done(&out);
    buf_done(&messages);
    buf_done(&text);
    world_done(&w);
}

static void without_a_file_the_defaults_are_checked(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    struct buf out = {0};
    struct buf messages = {0};
    assert_int_equal(cli_check_run(&w.host, NULL, &(struct cli_check_how){0}, &out, &messages),
                     CLI_OK);
    assert_true(slice_starts_with(buf_slice(&out), SLICE_LITERAL("defaults: no mistakes\n")));
    buf_done(&out);
    buf_done(&messages);
    world_done(&w);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    struct world w;
    a_right_configuration(&w);
    int code = CLI_INTERNAL;
    for (uint64_t n = 1; code == CLI_INTERNAL; n++) {
        struct buf out = {0};
        struct buf messages = {0};
        mem_fail_after(n);
        code = cli_check_run(&w.host, "garner.yaml", &(struct cli_check_how){.json = true}, &out,
                             &messages);
        mem_fail_after(0);
        buf_done(&out);
        buf_done(&messages);
    }
    assert_int_equal(code, CLI_OK);
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_right_configuration_is_summed_up),
        cmocka_unit_test(what_keys_take_is_said_for_a_rate),
        cmocka_unit_test(examples_that_are_missing_are_no_mistake_of_the_configuration),
        cmocka_unit_test(json_says_the_same),
        cmocka_unit_test(durability_by_interval_says_what_may_be_lost),
        cmocka_unit_test(mistakes_end_with_78_and_their_places),
        cmocka_unit_test(what_is_beyond_twenty_is_counted),
        cmocka_unit_test(without_a_file_the_defaults_are_checked),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
