#include "control/config/config.h"

#include "unit/control/world.h"

/* Loads garner.yaml with content `text` and expects the errors `errors` (lines), none for "". */
static struct control_config *load(struct world *w, const char *text, const char *errors)
{
    world_put(w, "garner.yaml", text);
    world_again(w);
    struct control_config *config = NULL;
    err_t err = control_config_load(&w->host, "garner.yaml", &config, &w->report);
    world_expect(&w->report.errors, errors);
    assert_true(err_is(err, errors[0] ? ERR_CONFIG : ERR_OK));
    assert_true((config == NULL) == (errors[0] != '\0'));
    return config;
}

static void refuse(const char *text, const char *errors)
{
    struct world w;
    world_init(&w);
    assert_null(load(&w, text, errors));
    world_done(&w);
}

/* Loads `text`, which is right, and lets `look` see it. */
static void accept(const char *text, void (*look)(const struct world *, struct control_config *))
{
    struct world w;
    world_init(&w);
    struct control_config *config = load(&w, text, "");
    look(&w, config);
    control_config_free(&config);
    assert_null(config);
    control_config_free(&config);
    world_done(&w);
}

static void look_at_defaults(const struct world *w, struct control_config *c)
{
    (void)w;
    assert_string_equal(c->data_dir, "/here/garner-data");
    assert_int_equal(c->durability.mode, CONTROL_CONFIG_FSYNC);
    assert_int_equal(c->durability.max_delay_ms, 100);
    assert_int_equal(c->durability.max_bytes, 16 << 20);
    assert_int_equal(c->memory_limit, 512 << 20);
    assert_int_equal(c->wal_limit, UINT64_C(4) << 30);
    assert_int_equal(c->check_every_ms, 3600000);
    assert_string_equal(c->intake.listen, "127.0.0.1:8080");
    assert_int_equal(c->intake.body_bytes_max, 8 << 20);
    assert_int_equal(c->intake.record_bytes_max, 1 << 20);
    assert_string_equal(c->admin.listen, "127.0.0.1:9600");
    assert_string_equal(c->kafka.listen, "127.0.0.1:9092");
    assert_null(c->kafka.advertised);
    assert_string_equal(c->registry.listen, "127.0.0.1:8081");
    assert_false(c->allow_open || c->intake.allow_open || c->admin.allow_open ||
                 c->kafka.allow_open || c->kafka.sasl.enabled);
    assert_int_equal(c->loops, 0);
    assert_int_equal(c->shutdown_timeout_ms, 30000);
    assert_int_equal(c->contracts.count, 1);
    assert_string_equal(c->contracts.items[0], "contracts/*.yaml");
    assert_int_equal(c->sink_count, 0);
}

static void an_empty_file_is_all_defaults(void **state)
{
    (void)state;
    accept("", look_at_defaults);
    accept("# nothing yet\n", look_at_defaults);
    accept("{}\n", look_at_defaults);
    accept("sinks:\nintake:\n", look_at_defaults);
}

static void no_file_is_all_defaults(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_put(&w, "contracts/b.yaml", "");
    world_put(&w, "contracts/a.yaml", "");
    struct control_config *config = NULL;
    assert_ok(control_config_load(&w.host, NULL, &config, &w.report));
    assert_null(config->file);
    look_at_defaults(&w, config);
    assert_int_equal(config->contract_files.count, 2);
    assert_string_equal(config->contract_files.items[0], "contracts/a.yaml");
    control_config_free(&config);
    world_done(&w);
}

static void a_file_that_was_named_must_be_there(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    struct control_config *config = NULL;
    err_t err = control_config_load(&w.host, "x/y.yaml", &config, &w.report);
    assert_true(err_is(err, ERR_CONFIG));
    world_expect(&w.report.errors, "x/y.yaml:1:1: (root): expected a file that can be read: "
                                   "x/y.yaml: no such file or directory\n");
    world_done(&w);
}

static void look_at_everything(const struct world *w, struct control_config *c)
{
    assert_string_equal(c->file, "garner.yaml");
    assert_string_equal(c->data_dir, "/data");
    assert_int_equal(c->durability.mode, CONTROL_CONFIG_INTERVAL);
    assert_int_equal(c->durability.max_delay_ms, 20);
    assert_int_equal(c->durability.max_bytes, 1 << 20);
    assert_int_equal(c->memory_limit, 64 << 20);
    assert_int_equal(c->wal_limit, 32 << 20);
    assert_int_equal(c->check_every_ms, 90000);
    assert_string_equal(c->intake.listen, "[::1]:0");
    assert_int_equal(c->intake.body_bytes_max, 1 << 20);
    assert_int_equal(c->intake.record_bytes_max, 1 << 10);
    assert_string_equal(c->admin.listen, "localhost:8081");
    assert_int_equal(c->loops, 2);
    assert_int_equal(c->shutdown_timeout_ms, 0);
    assert_int_equal(c->sink_count, 1);
    assert_string_equal(c->sinks[0].name, "lake");
    assert_string_equal(c->sinks[0].type->name, "file");
    assert_int_equal(c->sinks[0].topics.count, 1);
    assert_string_equal(c->sinks[0].topics.items[0], "flights");
    const struct world_sink *sink = c->sinks[0].options;
    assert_string_equal(sink->path, "/here/lake/{topic}/dt={event_time:%Y-%m-%d}");
    assert_string_equal(c->kafka.listen, "127.0.0.1:9093");
    assert_string_equal(c->kafka.advertised, "garner.example.com:19093");
    world_expect(&w->report.notes,
                 "garner.yaml:10:11: registry: known, not served by this version\n");
}

static void every_field_is_read(void **state)
{
    (void)state;
    accept("data_dir: /data\n"
           "durability: {mode: interval, max_delay: 20ms, max_bytes: 1MiB}\n"
           "memory_limit: 64MiB\n"
           "wal_limit: 32MiB\n"
           "check_every: 90s\n"
           "intake: { listen: \"[::1]:0\", body_limit: 1MiB, record_limit: 1KiB }\n"
           "admin:\n"
           "  listen: localhost:${PORT}\n"
           "kafka:    { listen: 127.0.0.1:9093, advertised: garner.example.com:19093 }\n"
           "registry: { listen: 127.0.0.1:8082 }\n"
           "loops: 2\n"
           "shutdown_timeout: 0\n"
           "sinks:\n"
           "  lake: { type: file, topics: [flights], "
           "path: \"./lake/{topic}/dt={event_time:%Y-%m-%d}\" }\n",
           look_at_everything);
}

static void look_at_interval(const struct world *w, struct control_config *c)
{
    (void)w;
    assert_int_equal(c->durability.mode, CONTROL_CONFIG_INTERVAL);
    assert_int_equal(c->durability.max_delay_ms, 100);
}

static void durability_may_be_one_word(void **state)
{
    (void)state;
    accept("durability: interval\n", look_at_interval);
    refuse("durability: never\n",
           "garner.yaml:1:13: durability: expected fsync or interval, got 'never'\n");
    refuse("durability: [fsync]\n",
           "garner.yaml:1:13: durability: expected a mapping, got a list\n");
}

static void limits_of_interval_need_that_mode(void **state)
{
    (void)state;
    refuse("durability: {max_delay: 1s}\n",
           "garner.yaml:1:25: durability.max_delay: expected only with `mode: interval`\n");
    refuse("durability: {mode: interval, max_delay: 2h, max_bytes: 1KiB}\n",
           "garner.yaml:1:41: durability.max_delay: expected a duration such as 30s from 1ms to "
           "1m, got '2h'\n"
           "garner.yaml:1:56: durability.max_bytes: expected a size such as 64MiB from 64KiB to "
           "256MiB, got '1KiB'\n");
}

static void all_mistakes_are_told_at_once(void **state)
{
    (void)state;
    refuse("data_dirr: x\n"
           "wal_limit: 1MiB\n"
           "intake: { lisen: 127.0.0.1:1, body_limit: big }\n"
           "loops: -1\n"
           "allow_open: yes\n",
           "garner.yaml:1:1: data_dirr: unknown field 'data_dirr', did you mean 'data_dir'?\n"
           "garner.yaml:2:12: wal_limit: expected a size such as 64MiB of at least 32MiB, got "
           "'1MiB'\n"
           "garner.yaml:3:11: intake.lisen: unknown field 'lisen', did you mean 'listen'?\n"
           "garner.yaml:3:43: intake.body_limit: expected a size such as 64MiB from 1B to 64MiB, "
           "got 'big'\n"
           "garner.yaml:4:8: loops: expected a whole number of at most 256, got '-1'\n"
           "garner.yaml:5:13: allow_open: expected true or false, got 'yes'\n");
}

static void an_open_door_is_refused(void **state)
{
    (void)state;
    refuse("intake: { listen: 0.0.0.0:8080 }\n",
           "garner.yaml:1:19: intake.listen: expected a loopback address such as 127.0.0.1:8080, "
           "got '0.0.0.0:8080': whoever reaches it is let in; `allow_open: true` permits that\n");
    refuse("admin: { listen: \"[::]:9600\" }\n",
           "garner.yaml:1:18: admin.listen: expected a loopback address such as 127.0.0.1:8080, "
           "got '[::]:9600': whoever reaches it is let in; `allow_open: true` permits that\n");
}

static void look_at_closed(const struct world *w, struct control_config *c)
{
    (void)w;
    assert_true(c->kafka.sasl.enabled);
    assert_false(c->kafka.allow_open);
}

static void an_open_kafka_door_is_refused(void **state)
{
    (void)state;
    refuse("kafka: { listen: 10.0.0.1:9092, advertised: 10.0.0.1:9092 }\n",
           "garner.yaml:1:18: kafka.listen: expected a loopback address such as 127.0.0.1:8080, "
           "got '10.0.0.1:9092': whoever reaches it is let in; `tls` and `sasl` together, or "
           "`allow_open: true` permits that\n");
    refuse("kafka: { listen: 10.0.0.1:9092, sasl: { enabled: true } }\n",
           "garner.yaml:1:18: kafka.listen: expected a loopback address such as 127.0.0.1:8080, "
           "got '10.0.0.1:9092': whoever reaches it is let in; `tls` and `sasl` together, or "
           "`allow_open: true` permits that\n");
    refuse("kafka: { listen: 10.0.0.1:9092, tls: { cert: a, key: b } }\n",
           "garner.yaml:1:18: kafka.listen: expected a loopback address such as 127.0.0.1:8080, "
           "got '10.0.0.1:9092': whoever reaches it is let in; `tls` and `sasl` together, or "
           "`allow_open: true` permits that\n");
    accept("kafka: { listen: 10.0.0.1:9092, tls: { cert: a, key: b }, sasl: { enabled: true } }\n",
           look_at_closed);
}

static void look_at_kafka(const struct world *w, struct control_config *c)
{
    (void)w;
    assert_true(c->kafka.allow_open);
    assert_string_equal(c->kafka.listen, "0.0.0.0:9092");
    assert_string_equal(c->kafka.advertised, "10.0.0.1:29092");
}

/* What such a server would tell its clients is an address that leads each of them to itself. */
static void all_addresses_need_one_that_clients_are_told(void **state)
{
    (void)state;
    refuse("kafka: { listen: 0.0.0.0:9092, allow_open: true }\n",
           "garner.yaml:1:18: kafka.listen: expected `advertised` beside '0.0.0.0:9092': clients "
           "are told where to connect to, and no client can connect to all addresses\n");
    refuse("kafka: { listen: \"[0:0::0]:9092\", allow_open: true }\n",
           "garner.yaml:1:18: kafka.listen: expected `advertised` beside '[0:0::0]:9092': clients "
           "are told where to connect to, and no client can connect to all addresses\n");
    refuse("kafka: { listen: 0.0.0.0:9092, allow_open: true, advertised: 0.0.0.0:9092 }\n",
           "garner.yaml:1:62: kafka.advertised: expected a host and a port that clients can "
           "connect to, such as garner.example.com:9092, got '0.0.0.0:9092'\n");
    refuse("kafka: { advertised: garner.example.com }\n",
           "garner.yaml:1:22: kafka.advertised: expected a host and a port that clients can "
           "connect to, such as garner.example.com:9092, got 'garner.example.com'\n");
    accept("kafka: { listen: 0.0.0.0:9092, allow_open: true, advertised: 10.0.0.1:29092 }\n",
           look_at_kafka);
}

static void look_at_tls(const struct world *w, struct control_config *c)
{
    (void)w;
    assert_string_equal(c->kafka.tls.cert, "/here/tls/server.pem");
    assert_string_equal(c->kafka.tls.key, "/etc/server.key");
    assert_string_equal(c->kafka.tls.client_ca, "/here/clients.pem");
}

static void tls_has_both_of_its_files_or_none(void **state)
{
    (void)state;
    refuse("kafka: { tls: { cert: server.pem } }\n",
           "garner.yaml:1:15: kafka.tls: expected both `cert` and `key`, got `cert` only\n");
    refuse("kafka: { tls: { key: server.key } }\n",
           "garner.yaml:1:15: kafka.tls: expected both `cert` and `key`, got `key` only\n");
    refuse("kafka: { tls: { client_ca: clients.pem } }\n",
           "garner.yaml:1:15: kafka.tls: expected `cert` and `key` beside `client_ca`\n");
    accept(
        "kafka:\n  tls: { cert: tls/server.pem, key: /etc/server.key, client_ca: clients.pem }\n",
        look_at_tls);
}

static void look_at_open(const struct world *w, struct control_config *c)
{
    (void)w;
    assert_string_equal(c->intake.listen, "0.0.0.0:8080");
}

static void an_open_door_can_be_allowed(void **state)
{
    (void)state;
    accept("intake: { listen: 0.0.0.0:8080, allow_open: true }\n", look_at_open);
    accept("allow_open: true\nintake: { listen: 0.0.0.0:8080 }\n", look_at_open);
    refuse("intake: { listen: 0.0.0.0:8080, allow_open: true }\n"
           "admin: { listen: 10.0.0.1:1 }\n",
           "garner.yaml:2:18: admin.listen: expected a loopback address such as 127.0.0.1:8080, "
           "got '10.0.0.1:1': whoever reaches it is let in; `allow_open: true` permits that\n");
}

static void look_at_nothing(const struct world *w, struct control_config *c)
{
    (void)w;
    (void)c;
}

static void two_doors_cannot_share_an_address(void **state)
{
    (void)state;
    refuse("intake: { listen: 127.0.0.1:9600 }\n",
           "garner.yaml:1:1: (root): expected different addresses for intake and admin, got "
           "'127.0.0.1:9600' twice\n");
    accept("intake: { listen: 127.0.0.1:0 }\nadmin: { listen: 127.0.0.1:0 }\n", look_at_nothing);
}

static void a_body_must_fit_the_log_and_a_record_the_body(void **state)
{
    (void)state;
    refuse("wal_limit: 32MiB\nintake: { body_limit: 9MiB, record_limit: 10MiB }\n",
           "garner.yaml:2:23: intake.body_limit: expected at most a quarter of wal_limit, since a "
           "body is written to the log at once\n"
           "garner.yaml:2:43: intake.record_limit: expected at most body_limit\n");
    refuse("intake: { body_limit: 1KiB }\n",
           "garner.yaml:1:9: intake: expected at most body_limit\n");
}

static void look_at_no_check(const struct world *w, struct control_config *c)
{
    (void)w;
    assert_int_equal(c->check_every_ms, 0);
}

static void a_check_is_no_more_often_than_every_second_or_never(void **state)
{
    (void)state;
    refuse("check_every: 999ms\n",
           "garner.yaml:1:14: check_every: expected at least 1s, or 0s for never\n");
    refuse("check_every: 8d\n", "garner.yaml:1:14: check_every: expected a duration such as 30s of "
                                "at most 7d, got '8d'\n");
    accept("check_every: 0s\n", look_at_no_check);
}

static void look_at_memory(const struct world *w, struct control_config *c)
{
    (void)w;
    assert_true(c->memory_limit >= 8 * (c->loops ? c->loops : 1) * CONTROL_CONFIG_LOOP_BODY_MIN);
}

static void what_is_promised_needs_its_memory(void **state)
{
    (void)state;
    refuse("memory_limit: 64MiB\nloops: 4\n",
           "garner.yaml:1:15: memory_limit: memory_limit is 64MiB, and bodies of up to 4MiB on 4 "
           "loops need at least 128MiB\n");
    refuse("intake: { body_limit: 64MiB }\nmemory_limit: 703MiB\n",
           "garner.yaml:2:15: memory_limit: memory_limit is 703MiB, and bodies of up to 64MiB on 1 "
           "loop need at least 704MiB\n");
    refuse(
        "memory_limit: 1023MiB\nloops: 2\nintake: { body_limit: 64MiB }\n",
        "garner.yaml:1:15: memory_limit: memory_limit is 1023MiB, and bodies of up to 64MiB on 2 "
        "loops need at least 1024MiB\n");
    /* Half of the machine's. */
    refuse("intake: { body_limit: 64MiB }\n",
           "garner.yaml:1:23: intake.body_limit: memory_limit is 512MiB, and bodies of up to 64MiB "
           "on 1 loop need at least 704MiB\n");
    refuse("loops: 17\n", "garner.yaml:1:8: loops: memory_limit is 512MiB, and bodies of up to "
                          "4MiB on 17 loops need at least 544MiB\n");
    accept("memory_limit: 32MiB\n", look_at_memory);
    accept("memory_limit: 64MiB\nloops: 2\nintake: { body_limit: 8MiB }\n", look_at_memory);
    accept("memory_limit: 704MiB\nintake: { body_limit: 64MiB }\n", look_at_memory);
}

static void a_small_machine_has_the_least_that_is_worked_with(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    w.host.memory_bytes = 40 << 20;
    struct control_config *config = NULL;
    assert_ok(control_config_load(&w.host, NULL, &config, &w.report));
    assert_int_equal(config->memory_limit, 32 << 20);
    control_config_free(&config);
    world_done(&w);
}

static void a_contract_pattern_that_was_given_must_match(void **state)
{
    (void)state;
    refuse("contracts: [ a.yaml, 'nothing/*.yaml', '' ]\n",
           "garner.yaml:1:14: contracts[0]: expected a pattern that matches a file, got 'a.yaml'\n"
           "garner.yaml:1:22: contracts[1]: expected a pattern that matches a file, got "
           "'nothing/*.yaml'\n"
           "garner.yaml:1:40: contracts[2]: expected a path or a pattern of paths\n");
    refuse("contracts: contracts/*.yaml\n",
           "garner.yaml:1:12: contracts: expected a list such as [a, b], got "
           "'contracts/*.yaml'\n");
}

static void contracts_are_found_once_each_beside_the_file(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_put(&w, "etc/garner.yaml", "contracts: [ b/*.yaml, a.yaml, b/1.yaml, /abs/z.yaml ]\n");
    world_put(&w, "etc/a.yaml", "");
    world_put(&w, "etc/b/1.yaml", "");
    world_put(&w, "etc/b/2.yaml", "");
    world_put(&w, "/abs/z.yaml", "");
    struct control_config *config = NULL;
    assert_ok(control_config_load(&w.host, "./etc/garner.yaml", &config, &w.report));
    const struct option_strings *files = &config->contract_files;
    assert_int_equal(files->count, 4);
    assert_string_equal(files->items[0], "/abs/z.yaml");
    assert_string_equal(files->items[1], "etc/a.yaml");
    assert_string_equal(files->items[2], "etc/b/1.yaml");
    assert_string_equal(files->items[3], "etc/b/2.yaml");
    assert_string_equal(config->data_dir, "/here/etc/garner-data");
    control_config_free(&config);
    world_done(&w);
}

static void a_directory_that_cannot_be_read_is_an_error(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_put(&w, "contracts/a.yaml", "");
    world_fail(&w, "contracts", ERR_PERMISSION);
    assert_null(load(&w, "contracts: [ contracts/*.yaml ]",
                     "garner.yaml:1:14: contracts[0]: expected files that can be read: contracts: "
                     "permission denied\n"));
    world_again(&w);
    struct control_config *config = NULL;
    assert_true(err_is(control_config_load(&w.host, NULL, &config, &w.report), ERR_CONFIG));
    world_expect(&w.report.errors, "contracts/*.yaml:1:1: contracts: expected files that can be "
                                   "read: contracts: permission denied\n");
    world_done(&w);
}

static void a_list_is_no_configuration(void **state)
{
    (void)state;
    refuse("- a\n", "garner.yaml:1:1: (root): expected a mapping, got a list\n");
    refuse("hello\n", "garner.yaml:1:1: (root): expected a mapping, got 'hello'\n");
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_put(&w, "contracts/a.yaml", "");
    world_put(
        &w, "garner.yaml",
        "data_dir: ${DIR}/x\n"
        "registry: {}\n"
        "contracts: [ contracts/*.yaml ]\n"
        "sinks: { a: { type: file, topics: [t], path: p }, b: { type: null_, topics: [] } }\n");
    err_t err = err_make(ERR_MEMORY);
    uint64_t n = 1;
    for (; err_is(err, ERR_MEMORY); n++) {
        struct control_config *config = NULL;
        world_again(&w);
        mem_fail_after(n);
        err = control_config_load(&w.host, "garner.yaml", &config, &w.report);
        mem_fail_after(0);
        assert_null(config);
    }
    assert_true(err_is(err, ERR_CONFIG));
    assert_true(n > 10);
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_file_is_all_defaults),
        cmocka_unit_test(no_file_is_all_defaults),
        cmocka_unit_test(a_file_that_was_named_must_be_there),
        cmocka_unit_test(every_field_is_read),
        cmocka_unit_test(durability_may_be_one_word),
        cmocka_unit_test(limits_of_interval_need_that_mode),
        cmocka_unit_test(all_mistakes_are_told_at_once),
        cmocka_unit_test(an_open_door_is_refused),
        cmocka_unit_test(an_open_kafka_door_is_refused),
        cmocka_unit_test(tls_has_both_of_its_files_or_none),
        cmocka_unit_test(all_addresses_need_one_that_clients_are_told),
        cmocka_unit_test(an_open_door_can_be_allowed),
        cmocka_unit_test(two_doors_cannot_share_an_address),
        cmocka_unit_test(a_body_must_fit_the_log_and_a_record_the_body),
        cmocka_unit_test(a_check_is_no_more_often_than_every_second_or_never),
        cmocka_unit_test(what_is_promised_needs_its_memory),
        cmocka_unit_test(a_small_machine_has_the_least_that_is_worked_with),
        cmocka_unit_test(a_contract_pattern_that_was_given_must_match),
        cmocka_unit_test(contracts_are_found_once_each_beside_the_file),
        cmocka_unit_test(a_directory_that_cannot_be_read_is_an_error),
        cmocka_unit_test(a_list_is_no_configuration),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
