#include "control/config/compare.h"

#include "unit/control/world.h"

static struct control_config *load(struct world *w, const char *text)
{
    struct control_config *config = NULL;
    world_again(w);
    world_put(w, "garner.yaml", text);
    assert_ok(control_config_load(&w->host, "garner.yaml", &config, &w->report));
    return config;
}

/* What differs between two files; "" for nothing. */
static void expect(const char *a, const char *b, const char *difference)
{
    struct world w;
    char room[128];
    world_init(&w);
    struct control_config *x = load(&w, a);
    struct control_config *y = load(&w, b);
    const char *found = control_config_difference(x, y, room);
    assert_string_equal(found ? found : "", difference);
    control_config_free(&x);
    control_config_free(&y);
    world_done(&w);
}

static void what_is_written_otherwise_and_means_the_same_is_the_same(void **state)
{
    (void)state;
    expect("", "", "");
    expect("", "data_dir: ./garner-data\n", "");
    expect("durability: fsync\n", "durability: { mode: fsync }\n", "");
    expect("wal_limit: 1GiB\n", "wal_limit: 1024MiB\n", "");
}

static void each_option_is_found_by_its_path(void **state)
{
    (void)state;
    expect("", "data_dir: ./x\n", "data_dir");
    expect("", "durability: interval\n", "durability.mode");
    expect("", "loops: 3\n", "loops");
    expect("", "wal_limit: 1GiB\n", "wal_limit");
    expect("", "intake: { listen: 127.0.0.1:1 }\n", "intake.listen");
    expect("", "allow_open: true\n", "allow_open");
    expect("", "shutdown_timeout: 3s\n", "shutdown_timeout");
}

static void one_option_is_compared_by_its_kind(void **state)
{
    (void)state;
    const struct option text = {.type = OPTION_STRING};
    const struct option size = {.type = OPTION_SIZE};
    const struct option list = {.type = OPTION_STRINGS};
    char copy[] = "a";
    const char *a = "a";
    const char *same = copy;
    const char *none = NULL;
    assert_true(control_config_same(&text, &a, &same));
    assert_false(control_config_same(&text, &a, &none));
    assert_true(control_config_same(&text, &none, &none));
    assert_false(control_config_same(&size, &(uint64_t){1}, &(uint64_t){UINT64_C(1) << 32 | 1}));
    const struct option_strings one = {&a, 1};
    const struct option_strings other = {&same, 1};
    assert_true(control_config_same(&list, &one, &other));
    assert_false(control_config_same(&list, &one, &(struct option_strings){0}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_otherwise_and_means_the_same_is_the_same),
        cmocka_unit_test(each_option_is_found_by_its_path),
        cmocka_unit_test(one_option_is_compared_by_its_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
