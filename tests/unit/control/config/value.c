#include "control/config/value.h"

#include "unit/control/world.h"

/* `text` as `option` says into `field`; "" or the error. */
static void store(const struct option *option, const char *text, void *field, const char *error)
{
    struct arena arena = {0};
    struct err_text why = {0};
    err_t err = control_config_value(option, text, "/here", &arena, field, &why);
    assert_string_equal(why.text, error);
    assert_true(err_is(err, error[0] ? ERR_CONFIG : ERR_OK));
    arena_done(&arena);
}

static void a_boolean_is_true_or_false_and_nothing_else(void **state)
{
    (void)state;
    const struct option o = {.type = OPTION_BOOL};
    bool field = false;
    store(&o, "true", &field, "");
    assert_true(field);
    store(&o, "false", &field, "");
    assert_false(field);
    static const char *const wrong[] = {"yes", "no", "True", "on", "1", "", "true "};
    for (size_t i = 0; i < 7; i++)
        store(&o, wrong[i], &field, "expected true or false");
    store(&o, NULL, &field, "expected true or false");
}

static void a_number_is_held_to_its_range(void **state)
{
    (void)state;
    const struct option o = {.type = OPTION_U32, .min = 1, .max = 10000};
    uint32_t field = 7;
    store(&o, "10000", &field, "");
    assert_int_equal(field, 10000);
    static const char *const wrong[] = {"0",   "10001", "-1", "+1",  "1.0",
                                        "0x1", "",      " 1", "1e3", "99999999999999999999999"};
    for (size_t i = 0; i < 10; i++)
        store(&o, wrong[i], &field, "expected a whole number from 1 to 10000");
    assert_int_equal(field, 10000);
    const struct option wide = {.type = OPTION_U32};
    store(&wide, "4294967295", &field, "");
    store(&wide, "4294967296", &field, "expected a whole number");
    const struct option u64 = {.type = OPTION_U64};
    uint64_t large = 0;
    store(&u64, "18446744073709551615", &large, "");
    assert_true(large == UINT64_MAX);
}

static void a_size_and_a_duration_need_a_unit(void **state)
{
    (void)state;
    const struct option size = {.type = OPTION_SIZE, .min = 1536, .max = UINT64_C(1) << 40};
    const struct option duration = {.type = OPTION_DURATION, .min = 1500, .max = 86400000};
    uint64_t field = 0;
    store(&size, "64MiB", &field, "");
    assert_int_equal(field, 64 << 20);
    store(&size, "1KiB", &field, "expected a size such as 64MiB from 1536B to 1TiB");
    store(&size, "2TiB", &field, "expected a size such as 64MiB from 1536B to 1TiB");
    store(&duration, "60s", &field, "");
    assert_int_equal(field, 60000);
    store(&duration, "60", &field, "expected a duration such as 30s from 1500ms to 1d");
    store(&duration, "25h", &field, "expected a duration such as 30s from 1500ms to 1d");
}

static void a_choice_is_stored_by_its_place(void **state)
{
    (void)state;
    static const char *const choices[] = {"none", "lz4", "zstd", NULL};
    const struct option o = {.type = OPTION_ENUM, .choices = choices};
    uint32_t field = 9;
    store(&o, "zstd", &field, "");
    assert_int_equal(field, 2);
    store(&o, "gzip", &field, "expected none, lz4 or zstd");
    store(&o, "", &field, "expected none, lz4 or zstd");
}

/* A value goes out and comes in again as itself. */
static void round_trip(const struct option *option, const char *text, const char *as_text)
{
    uint64_t field = 0;
    struct arena arena = {0};
    struct err_text why = {0};
    struct buf out = {0};
    assert_ok(control_config_value(option, text, "/here", &arena, &field, &why));
    assert_true(control_config_value_add(option, &field, &out));
    assert_slice(buf_slice(&out), as_text);
    buf_done(&out);
    arena_done(&arena);
}

static void a_value_is_written_as_one_would_write_it(void **state)
{
    (void)state;
    static const char *const choices[] = {"none", "lz4", NULL};
    round_trip(&(struct option){.type = OPTION_BOOL}, "true", "true");
    round_trip(&(struct option){.type = OPTION_BOOL}, "false", "false");
    round_trip(&(struct option){.type = OPTION_U32}, "7", "7");
    round_trip(&(struct option){.type = OPTION_U64}, "18446744073709551615",
               "18446744073709551615");
    round_trip(&(struct option){.type = OPTION_SIZE}, "1024MiB", "1GiB");
    round_trip(&(struct option){.type = OPTION_SIZE}, "1025B", "1025B");
    round_trip(&(struct option){.type = OPTION_DURATION}, "36h", "36h");
    round_trip(&(struct option){.type = OPTION_DURATION}, "24h", "1d");
    round_trip(&(struct option){.type = OPTION_ENUM, .choices = choices}, "lz4", "lz4");
    round_trip(&(struct option){.type = OPTION_STRING}, "a.b", "a.b");
    round_trip(&(struct option){.type = OPTION_PATH}, "x", "/here/x");
    round_trip(&(struct option){.type = OPTION_ADDRESS}, "[::1]:1", "[::1]:1");
}

static void what_was_not_given_is_not_written(void **state)
{
    (void)state;
    uint64_t zero = 0;
    struct buf out = {0};
    assert_false(control_config_value_add(&(struct option){.type = OPTION_STRING}, &zero, &out));
    assert_false(control_config_value_add(&(struct option){.type = OPTION_SIZE}, &zero, &out));
    assert_int_equal(out.size, 0);
    /* With a default 0 is a value, which somebody gave. */
    assert_true(control_config_value_add(&(struct option){.type = OPTION_U32, .fallback = "0"},
                                         &zero, &out));
    assert_slice(buf_slice(&out), "0");
    buf_done(&out);
}

static void texts_are_copied(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct err_text why = {0};
    const struct option o = {.type = OPTION_STRING};
    char text[] = "abc";
    const char *field = NULL;
    assert_ok(control_config_value(&o, text, "/", &arena, (void *)&field, &why));
    text[0] = 'x';
    assert_string_equal(field, "abc");
    assert_ok(control_config_value(&o, "", "/", &arena, (void *)&field, &why));
    assert_string_equal(field, "");
    arena_done(&arena);
}

static void a_path_begins_at_its_directory(void **state)
{
    (void)state;
    static const char *const paths[][3] = {
        {"/here", "a/b", "/here/a/b"},
        {"/here", "./a//b/", "/here/a/b"},
        {"/here", "/a", "/a"},
        {"/here/", "../a", "/here/../a"},
        {"/", "a", "/a"},
        {"/here", ".", "/here"},
        {"/", ".", "/"},
        {".", "a", "a"},
        {".", ".", "."},
        {"x/.", "a", "x/a"},
        {"x", "{t}/%Y-%m", "x/{t}/%Y-%m"},
        {"/here", "//a", "/a"},
    };
    struct arena arena = {0};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        assert_string_equal(control_config_path(&arena, paths[i][0], paths[i][1]), paths[i][2]);
    arena_done(&arena);
    const struct option o = {.type = OPTION_PATH};
    const char *field = NULL;
    store(&o, "", (void *)&field, "expected a path");
}

static void a_directory_is_what_stands_before_the_last_slash(void **state)
{
    (void)state;
    struct arena arena = {0};
    assert_string_equal(control_config_directory(&arena, "a.yaml"), ".");
    assert_string_equal(control_config_directory(&arena, "/a.yaml"), "/");
    assert_string_equal(control_config_directory(&arena, "x/y/a.yaml"), "x/y");
    assert_string_equal(control_config_directory(&arena, "./a.yaml"), ".");
    arena_done(&arena);
}

static void an_address_is_a_literal_and_a_port(void **state)
{
    (void)state;
    static const char *const right[] = {"127.0.0.1:8080", "0.0.0.0:0",    "localhost:65535",
                                        "[::1]:1",        "[fe80::1]:80", "[::]:9092"};
    static const char *const wrong[] = {
        "",
        ":",
        ":80",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:x",
        "1.2.3:1",
        "1.2.3.4:-1",
        "::1:80",
        "[::1]",
        "[127.0.0.1]:1",
        "[localhost]:1",
        "host:80",
        "1.2.3.4:65536",
        "1.2.3.4: 1",
        "[]:1",
        "[:1",
        "256.1.1.1:1",
        "example.com:80",
        "[::1]80",
        "[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:00001]:1"};
    const struct option o = {.type = OPTION_ADDRESS};
    for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++)
        assert_true(control_config_address_valid(right[i]));
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        const char *field = NULL;
        store(&o, wrong[i], (void *)&field, "expected an address such as 127.0.0.1:8080");
        assert_null(field);
    }
}

static void loopback_is_what_only_this_machine_reaches(void **state)
{
    (void)state;
    assert_true(control_config_address_is_loopback("127.0.0.1:1"));
    assert_true(control_config_address_is_loopback("127.255.0.9:1"));
    assert_true(control_config_address_is_loopback("localhost:1"));
    assert_true(control_config_address_is_loopback("[::1]:1"));
    assert_true(control_config_address_is_loopback("[0:0::0:1]:1"));
    assert_false(control_config_address_is_loopback("0.0.0.0:1"));
    assert_false(control_config_address_is_loopback("128.0.0.1:1"));
    assert_false(control_config_address_is_loopback("[::]:1"));
    assert_false(control_config_address_is_loopback("[::ffff:127.0.0.1]:1"));
    assert_false(control_config_address_is_loopback("[fe80::1]:1"));
}

static void all_addresses_of_the_machine_are_one_of_zeros(void **state)
{
    (void)state;
    assert_true(control_config_address_is_wildcard("0.0.0.0:1"));
    assert_true(control_config_address_is_wildcard("[::]:1"));
    assert_true(control_config_address_is_wildcard("[0:0::0]:1"));
    assert_true(control_config_address_is_wildcard("[::0.0.0.0]:1"));
    assert_false(control_config_address_is_wildcard("localhost:1"));
    assert_false(control_config_address_is_wildcard("127.0.0.1:1"));
    assert_false(control_config_address_is_wildcard("0.0.0.1:1"));
    assert_false(control_config_address_is_wildcard("[::1]:1"));
    assert_false(control_config_address_is_wildcard("[1::]:1"));
}

static void advertised_is_what_a_client_could_connect_to(void **state)
{
    (void)state;
    static const char *const right[] = {
        "localhost:9092", "garner:1", "garner.example.com:65535", "10.0.0.1:9092", "[fe80::1]:9092",
        "my_host:80",     "a-b.c:80",
    };
    static const char *const wrong[] = {
        "",      ":",      ":9092", "garner",     "garner:",    "garner:0", "g:65536",
        "g:+1",  "g: 1",   "a b:1", "a/b:1",      "http://g:1", "[::]:1",   "0.0.0.0:1",
        "::1:1", "[::1:1", "[x]:1", "\xc3\xa4:1", "a:1:2",      "a\tb:1",
    };
    for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++)
        assert_true(control_config_advertised_valid(right[i]));
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_false(control_config_advertised_valid(wrong[i]));
    char name[260];
    for (size_t size = 253; size <= 254; size++) {
        memset(name, 'a', size);
        memcpy(name + size, ":9", 3);
        /* As long as a name in the DNS can be, and no longer. */
        assert_true(control_config_advertised_valid(name) == (size == 253));
    }
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    static const enum option_type types[] = {OPTION_STRING, OPTION_PATH, OPTION_ADDRESS};
    for (size_t i = 0; i < 3; i++) {
        const struct option o = {.type = types[i]};
        err_t err = err_make(ERR_MEMORY);
        for (uint64_t n = 1; err_is(err, ERR_MEMORY); n++) {
            struct arena arena = {0};
            struct err_text why = {0};
            const char *field = NULL;
            mem_fail_after(n);
            err = control_config_value(&o, "127.0.0.1:1", "/", &arena, (void *)&field, &why);
            mem_fail_after(0);
            assert_true(err_is_ok(err) == (field != NULL));
            arena_done(&arena);
        }
        assert_ok(err);
    }
    struct err_text why = {0};
    const struct option o = {.type = OPTION_BOOL};
    bool field = false;
    mem_fail_after(1);
    err_t err = control_config_value(&o, "x", "/", NULL, &field, &why);
    mem_fail_after(0);
    assert_true(err_is(err, ERR_MEMORY));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_boolean_is_true_or_false_and_nothing_else),
        cmocka_unit_test(a_number_is_held_to_its_range),
        cmocka_unit_test(a_size_and_a_duration_need_a_unit),
        cmocka_unit_test(a_choice_is_stored_by_its_place),
        cmocka_unit_test(a_value_is_written_as_one_would_write_it),
        cmocka_unit_test(what_was_not_given_is_not_written),
        cmocka_unit_test(texts_are_copied),
        cmocka_unit_test(a_path_begins_at_its_directory),
        cmocka_unit_test(a_directory_is_what_stands_before_the_last_slash),
        cmocka_unit_test(an_address_is_a_literal_and_a_port),
        cmocka_unit_test(loopback_is_what_only_this_machine_reaches),
        cmocka_unit_test(all_addresses_of_the_machine_are_one_of_zeros),
        cmocka_unit_test(advertised_is_what_a_client_could_connect_to),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
