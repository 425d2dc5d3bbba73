#include "control/config/glob.h"

#include "unit/control/world.h"

static void assert_match(const char *pattern, const char *name)
{
    if (!control_config_glob_match(pattern, name))
        fail_msg("%s does not match %s", pattern, name);
}

static void assert_no_match(const char *pattern, const char *name)
{
    if (control_config_glob_match(pattern, name))
        fail_msg("%s matches %s", pattern, name);
}

static void a_star_is_any_run_and_a_question_mark_any_one(void **state)
{
    (void)state;
    assert_match("*.yaml", "a.yaml");
    assert_match("*", "a");
    assert_match("a*b*c", "aXbYbZc");
    assert_match("a**", "a");
    assert_match("?.yaml", "a.yaml");
    assert_match("a?c*", "abc");
    assert_match("a", "a");
    assert_no_match("*.yaml", "a.yml");
    assert_no_match("*.yaml", "a.yaml.bak");
    assert_no_match("?.yaml", ".yaml");
    assert_no_match("?", "ab");
    assert_no_match("a*b", "ac");
    assert_no_match("a", "ab");
    assert_no_match("ab", "a");
    assert_no_match("", "a");
}

static void a_dot_at_the_front_matches_only_itself(void **state)
{
    (void)state;
    assert_no_match("*", ".hidden");
    assert_no_match("?hidden", ".hidden");
    assert_match(".*", ".hidden");
}

static void many_stars_take_no_exponential_time(void **state)
{
    (void)state;
    char name[256];
    memset(name, 'a', 255);
    name[255] = '\0';
    assert_no_match("a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", name);
}

/* The paths that `pattern` matches, with a space behind each. */
static void find(struct world *w, const char *pattern, const char *expected)
{
    struct arena arena = {0};
    struct option_strings found = {0};
    struct err_text why = {0};
    assert_ok(control_config_glob(&w->disk, pattern, &arena, &found, &why));
    struct buf text = {0};
    for (size_t i = 0; i < found.count; i++)
        buf_add_format(&text, "%s ", found.items[i]);
    assert_slice(buf_slice(&text), expected);
    buf_done(&text);
    arena_done(&arena);
}

static void a_tree(struct world *w)
{
    world_init(w);
    world_put(w, "c/b.yaml", "");
    world_put(w, "c/a.yaml", "");
    world_put(w, "c/.a.yaml", "");
    world_put(w, "c/a.txt", "");
    world_put(w, "c/d.yaml/x", "");
    world_put(w, "t1/c/y.yaml", "");
    world_put(w, "t2/c/x.yaml", "");
    world_put(w, "t3", "");
    world_put(w, "/etc/z.yaml", "");
}

static void files_are_found_in_order(void **state)
{
    (void)state;
    struct world w;
    a_tree(&w);
    find(&w, "c/*.yaml", "c/a.yaml c/b.yaml ");
    find(&w, "./c/?.yaml", "c/a.yaml c/b.yaml ");
    find(&w, "/etc/*", "/etc/z.yaml ");
    find(&w, "/here/c/*.txt", "/here/c/a.txt ");
    find(&w, "t?/c/*.yaml", "t1/c/y.yaml t2/c/x.yaml ");
    find(&w, "*/*/*", "c/d.yaml/x t1/c/y.yaml t2/c/x.yaml ");
    find(&w, "c/a.yaml", "c/a.yaml ");
    find(&w, "t*", "t3 ");
    world_done(&w);
}

static void what_is_not_there_matches_nothing(void **state)
{
    (void)state;
    struct world w;
    a_tree(&w);
    find(&w, "none/*.yaml", "");
    find(&w, "c/none.yaml", "");
    find(&w, "c", "");
    find(&w, "c/", "");
    find(&w, "c/a.yaml/*", "");
    find(&w, "/", "");
    world_done(&w);
}

static void a_directory_that_cannot_be_read_is_an_error(void **state)
{
    (void)state;
    struct world w;
    a_tree(&w);
    world_fail(&w, "t2/c", ERR_IO);
    struct arena arena = {0};
    struct option_strings found = {0};
    struct err_text why = {0};
    err_t err = control_config_glob(&w.disk, "*/c/*", &arena, &found, &why);
    assert_true(err_is(err, ERR_IO));
    assert_string_equal(why.text, "t2/c: input/output error");
    assert_int_equal(found.count, 0);
    arena_done(&arena);
    world_done(&w);
}

/* A disk whose every directory holds 101 directories. */
static err_t list_101(struct io_disk *disk, const char *path, io_list_fn *each, void *context,
                      struct err_text *why)
{
    (void)disk;
    (void)path;
    (void)why;
    for (int i = 0; i < 101; i++) {
        char name[8];
        snprintf(name, sizeof(name), "%d", i);
        if (each(context, name, IO_KIND_DIRECTORY) != 0)
            break;
    }
    return err_ok();
}

static err_t all_directories(struct io_disk *disk, const char *path, enum io_kind *out,
                             struct err_text *why)
{
    (void)disk;
    (void)path;
    (void)why;
    *out = IO_KIND_DIRECTORY;
    return err_ok();
}

static void the_number_of_files_is_limited(void **state)
{
    (void)state;
    static const struct io_disk_ops ops = {.list = list_101, .kind = all_directories};
    struct io_disk disk = {&ops};
    struct arena arena = {0};
    struct option_strings found = {0};
    struct err_text why = {0};
    assert_true(err_is(control_config_glob(&disk, "*/*/*", &arena, &found, &why), ERR_TOO_LARGE));
    assert_string_equal(why.text, "expected at most 10000 files");
    arena_done(&arena);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    struct world w;
    a_tree(&w);
    err_t err = err_make(ERR_MEMORY);
    for (uint64_t n = 1; err_is(err, ERR_MEMORY); n++) {
        struct arena arena = {.block_size = 32};
        struct option_strings found = {0};
        struct err_text why = {0};
        mem_fail_after(n);
        err = control_config_glob(&w.disk, "*/*/*.yaml", &arena, &found, &why);
        mem_fail_after(0);
        assert_int_equal(found.count, err_is_ok(err) ? 2 : 0);
        arena_done(&arena);
    }
    assert_ok(err);
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_star_is_any_run_and_a_question_mark_any_one),
        cmocka_unit_test(a_dot_at_the_front_matches_only_itself),
        cmocka_unit_test(many_stars_take_no_exponential_time),
        cmocka_unit_test(files_are_found_in_order),
        cmocka_unit_test(what_is_not_there_matches_nothing),
        cmocka_unit_test(a_directory_that_cannot_be_read_is_an_error),
        cmocka_unit_test(the_number_of_files_is_limited),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
