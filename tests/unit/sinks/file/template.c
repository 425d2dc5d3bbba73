#include "unit/sinks/file/fixture.h"

#include "base/time.h"
#include "sinks/file/template.h"

/* What `path` makes of a record, below its root. */
static void assert_renders_values(const char *path, struct sinks_file_values values,
                                  const char *expected)
{
    struct sinks_file_template t;
    struct err_text why = {0};
    struct buf out = {0};
    assert_ok(sinks_file_template_parse(slice_string(path), &t, &why));
    assert_ok(sinks_file_template_render(&t, &values, &out, &why));
    assert_slice(buf_slice(&out), expected);
    buf_done(&out);
    sinks_file_template_done(&t);
}

static void assert_renders(const char *path, const char *expected)
{
    struct sinks_file_values values = {"flights", 7, SLICE_LITERAL("k1"), INT64_C(1706700000123)};
    assert_renders_values(path, values, expected);
}

static void assert_key_renders(struct slice key, const char *expected)
{
    struct sinks_file_values values = {"t", 0, key, 0};
    assert_renders_values("/r/{key}", values, expected);
}

static void assert_root(const char *path, const char *root)
{
    struct sinks_file_template t;
    struct err_text why = {0};
    assert_ok(sinks_file_template_parse(slice_string(path), &t, &why));
    assert_slice(t.root, root);
    assert_string_equal((const char *)t.root.data, root);
    sinks_file_template_done(&t);
}

static void assert_refused(const char *path, const char *part_of_detail)
{
    struct sinks_file_template t;
    struct err_text why = {0};
    assert_err(sinks_file_template_parse(slice_string(path), &t, &why), CONFIG);
    if (!strstr(why.text, part_of_detail) || strncmp(why.text, "path: ", 6) != 0)
        fail_msg("%s: \"%s\"", path, why.text);
}

static void the_root_ends_before_the_first_template(void **state)
{
    (void)state;
    assert_root("/lake/{topic}/dt={event_time:%Y-%m-%d}", "/lake");
    assert_root("/lake/in/x{topic}y/z", "/lake/in");
    assert_root("/lake", "/lake");
    assert_root("/lake/", "/lake");
    assert_root("lake/{key}", "lake");
}

static void a_root_is_written_in_its_shortest_form(void **state)
{
    (void)state;
    assert_root("/a//b/./c/", "/a/b/c");
    assert_root("/a/b/../c", "/a/c");
    assert_root("/../a", "/a");
    assert_root("/x/../../a/{topic}", "/a");
    assert_root("./lake", "lake");
    assert_root("../lake", "../lake");
    assert_root("../../lake", "../../lake");
    assert_root("a/../../lake", "../lake");
    assert_root("/data/x..", "/data/x..");
}

static void values_stand_where_their_templates_are(void **state)
{
    (void)state;
    assert_renders("/lake/{topic}/dt={event_time:%Y-%m-%d}", "flights/dt=2024-01-31/");
    assert_renders("/l/{topic}-{partition}/{key}", "flights-7/k1/");
    assert_renders("/l/{topic}/plain/{event_time:%H}", "flights/plain/11/");
    assert_renders("/l/{event_time:%Y%j}", "2024031/");
    assert_renders("/l/{topic}//{partition}/./", "flights/7/");
    assert_renders("/lake", "");
}

static void bytes_outside_the_plain_ones_are_percent_encoded(void **state)
{
    (void)state;
    assert_key_renders(SLICE_LITERAL("a-b_c.d=e~F9"), "a-b_c.d=e~F9/");
    assert_key_renders(SLICE_LITERAL("a/b"), "a%2Fb/");
    assert_key_renders(SLICE_LITERAL("../../etc"), "..%2F..%2Fetc/");
    assert_key_renders(SLICE_LITERAL("\xC3\xA9 %"), "%C3%A9%20%25/");
    assert_key_renders(SLICE_LITERAL("a\0b"), "a%00b/");
    assert_renders("/l/{event_time:%H:%M}", "11%3A20/");
    assert_renders("/l/{event_time:%Y%%}", "2024%25/");
}

static void no_value_makes_a_dot_directory(void **state)
{
    (void)state;
    assert_key_renders(SLICE_LITERAL("."), "%2E/");
    assert_key_renders(SLICE_LITERAL(".."), "%2E%2E/");
    assert_key_renders(SLICE_LITERAL("..."), ".../");
    struct sinks_file_values values = {"t", 0, SLICE_LITERAL("."), 0};
    assert_renders_values("/r/.{key}", values, "%2E%2E/");
    assert_renders_values("/r/{key}x", values, ".x/");
}

static void null_and_empty_keys_have_words_of_their_own(void **state)
{
    (void)state;
    assert_key_renders((struct slice){0}, "__null__/");
    assert_key_renders(SLICE_LITERAL(""), "__empty__/");
    assert_key_renders(SLICE_LITERAL("__null__"), "%5F_null__/");
    assert_key_renders(SLICE_LITERAL("__empty__"), "%5F_empty__/");
    assert_key_renders(SLICE_LITERAL("__null__x"), "__null__x/");
}

static void a_time_outside_the_calendar_is_null(void **state)
{
    (void)state;
    const char *path = "/r/{event_time:%Y-%m-%d}";
    struct sinks_file_values values = {"t", 0, {0}, TIME_MS_MIN};
    assert_renders_values(path, values, "0001-01-01/");
    values.time_ms = TIME_MS_MAX;
    assert_renders_values(path, values, "9999-12-31/");
    values.time_ms = TIME_MS_MIN - 1;
    assert_renders_values(path, values, "__null__/");
    values.time_ms = INT64_MAX;
    assert_renders_values(path, values, "__null__/");
}

static void the_period_is_that_of_the_finest_letter(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        int64_t period_ms;
    } cases[] = {
        {"/r/{topic}", 0},
        {"/r/{event_time:%Y}", 86400000},
        {"/r/{event_time:%Y-%m-%d}", 86400000},
        {"/r/{event_time:%d}/{event_time:%H}", 3600000},
        {"/r/{event_time:%H%M}", 60000},
        {"/r/{event_time:%S}/{event_time:%j}", 1000},
        {"/r/{event_time:%Y%%H}", 86400000},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sinks_file_template t;
        assert_ok(sinks_file_template_parse(slice_string(cases[i].path), &t, NULL));
        assert_int_equal(t.period_ms, cases[i].period_ms);
        assert_false(t.uses_key);
        sinks_file_template_done(&t);
    }
}

static void what_is_wrong_with_a_path_is_said(void **state)
{
    (void)state;
    assert_refused("", "expected a directory");
    assert_refused("/", "directory of its own");
    assert_refused("{topic}", "directory of its own");
    assert_refused("./{topic}", "directory of its own");
    assert_refused("/{topic}", "directory of its own");
    assert_refused("../{topic}", "directory of its own");
    assert_refused("/r/{host}", "{host} is unknown: allowed are {topic}");
    assert_refused("/r/{}", "{} is unknown");
    assert_refused("/r/{event_time}", "{event_time:%Y-%m-%d}");
    assert_refused("/r/{topic", "not closed");
    assert_refused("/r/{event_time:%Y/%m}", "not closed");
    assert_refused("/r/topic}", "without '{'");
    assert_refused("/r/{topic}}", "without '{'");
    assert_refused("/r/{event_time:%Q}", "no time format");
    assert_refused("/r/{event_time:%}", "no time format");
    assert_refused("/r/{event_time:}", "no time format");
    assert_refused("/r/{topic}/../x", "may not follow");
}

static void a_zero_byte_in_a_path_is_refused(void **state)
{
    (void)state;
    struct sinks_file_template t;
    assert_err(sinks_file_template_parse(SLICE_LITERAL("/a\0b"), &t, NULL), CONFIG);
}

static void a_component_over_255_bytes_is_refused(void **state)
{
    (void)state;
    struct sinks_file_template t;
    struct err_text why = {0};
    struct buf out = {0};
    char key[256];
    memset(key, 'k', sizeof(key));
    assert_ok(sinks_file_template_parse(SLICE_LITERAL("/r/{key}/{topic}"), &t, NULL));
    struct sinks_file_values values = {"t", 0, slice_make(key, 255), 0};
    assert_ok(sinks_file_template_render(&t, &values, &out, &why));
    assert_int_equal(out.size, 255 + 1 + 2);
    buf_reset(&out);
    values.key.size = 256;
    assert_err(sinks_file_template_render(&t, &values, &out, &why), TOO_LARGE);
    assert_non_null(strstr(why.text, "256 bytes"));
    buf_done(&out);
    sinks_file_template_done(&t);
}

static void without_memory_nothing_is_parsed_and_nothing_leaks(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        struct sinks_file_template t;
        mem_fail_after(n);
        err_t err = sinks_file_template_parse(
            SLICE_LITERAL("/lake/of/{topic}/dt={event_time:%Y-%m-%d}"), &t, NULL);
        bool over = mem_alloc_count() < n;
        mem_fail_after(0);
        if (err_is_ok(err))
            sinks_file_template_done(&t);
        else
            assert_err(err, MEMORY);
        if (over) {
            assert_ok(err);
            break;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_root_ends_before_the_first_template),
        cmocka_unit_test(a_root_is_written_in_its_shortest_form),
        cmocka_unit_test(values_stand_where_their_templates_are),
        cmocka_unit_test(bytes_outside_the_plain_ones_are_percent_encoded),
        cmocka_unit_test(no_value_makes_a_dot_directory),
        cmocka_unit_test(null_and_empty_keys_have_words_of_their_own),
        cmocka_unit_test(a_time_outside_the_calendar_is_null),
        cmocka_unit_test(the_period_is_that_of_the_finest_letter),
        cmocka_unit_test(what_is_wrong_with_a_path_is_said),
        cmocka_unit_test(a_zero_byte_in_a_path_is_refused),
        cmocka_unit_test(a_component_over_255_bytes_is_refused),
        cmocka_unit_test(without_memory_nothing_is_parsed_and_nothing_leaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
