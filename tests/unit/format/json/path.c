#include "format/json/path_int.h"

#include "base/alloc.h"
#include "format/json/json.h"

#include "lib/unit.h"
#include "unit/format/json/exact.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static struct format_json_paths *compiled(const char *const *texts, size_t count)
{
    struct format_json_paths *paths = NULL;
    struct err_text why = {0};
    if (!err_is_ok(format_json_paths_new(texts, count, &paths, &why)))
        fail_msg("%s: %s", texts[0], why.text);
    assert_int_equal(format_json_paths_count(paths), count);
    return paths;
}

/* Asserts what `path` finds in `text`: `raw`, or nothing where that is NULL. */
static void assert_found(const char *text, const char *path, enum format_json_kind kind,
                         const char *raw)
{
    struct slice exact = exact_text(text);
    struct format_json_paths *paths = compiled(&path, 1);
    struct format_json_value found;
    err_t err = format_json_check(exact, paths, FORMAT_JSON_DEPTH_MAX, &found, NULL);
    assert_true(err_is_ok(err));
    if (found.kind != kind || !slice_equal(found.raw, slice_string(raw ? raw : "")))
        fail_msg("%s in %s: kind %d, %.*s", path, text, (int)found.kind, SLICE_PRINTF(found.raw));
    format_json_paths_free(&paths);
    assert_null(paths);
    exact_free(&exact);
}

static void assert_missing(const char *text, const char *path)
{
    assert_found(text, path, FORMAT_JSON_MISSING, NULL);
}

static void every_kind_of_value_is_found_as_it_is_written(void **state)
{
    (void)state;
    assert_found("{\"a\":null}", "a", FORMAT_JSON_NULL, "null");
    assert_found("{\"a\": false }", "a", FORMAT_JSON_FALSE, "false");
    assert_found("{\"a\" :true}", "a", FORMAT_JSON_TRUE, "true");
    assert_found("{\"a\":-1.50E+3,\"b\":1}", "a", FORMAT_JSON_NUMBER, "-1.50E+3");
    assert_found("{\"b\":1,\"a\":\"x\\n\xC3\xA9\"}", "a", FORMAT_JSON_STRING, "\"x\\n\xC3\xA9\"");
    assert_found("{\"a\":{ \"b\": [1] } }", "a", FORMAT_JSON_OBJECT, "{ \"b\": [1] }");
    assert_found("{\"a\":[1,{\"a\":2}],\"b\":1}", "a", FORMAT_JSON_ARRAY, "[1,{\"a\":2}]");
    assert_found("{\"a\":{}}", "a", FORMAT_JSON_OBJECT, "{}");
    assert_found("{\"a\":[]}", "a", FORMAT_JSON_ARRAY, "[]");
}

static void paths_lead_through_objects(void **state)
{
    (void)state;
    const char *text = "{\"a\":{\"x\":{},\"b\":{\"c\":1,\"d\":2}},\"b\":{\"c\":3},\"c\":4}";
    assert_found(text, "a.b.c", FORMAT_JSON_NUMBER, "1");
    assert_found(text, "a.b.d", FORMAT_JSON_NUMBER, "2");
    assert_found(text, "b.c", FORMAT_JSON_NUMBER, "3");
    assert_found(text, "c", FORMAT_JSON_NUMBER, "4");
    assert_found(text, "a.b", FORMAT_JSON_OBJECT, "{\"c\":1,\"d\":2}");
    assert_missing(text, "d");
    assert_missing(text, "a.c");
    assert_missing(text, "c.a");
    assert_missing(text, "a.b.c.d");
    assert_missing("1", "a");
    assert_missing("\"a\"", "a");
    assert_missing("{}", "a");
}

static void the_same_key_elsewhere_does_not_count(void **state)
{
    (void)state;
    assert_found("{\"x\":{\"a\":1},\"a\":2,\"y\":[{\"a\":3}]}", "a", FORMAT_JSON_NUMBER, "2");
    assert_missing("{\"x\":{\"a\":1},\"y\":[{\"a\":3}],\"z\":\"a\"}", "a");
    assert_found("{\"a\":{\"x\":{\"b\":1},\"b\":2}}", "a.b", FORMAT_JSON_NUMBER, "2");
}

static void arrays_are_not_gone_into(void **state)
{
    (void)state;
    assert_missing("[{\"a\":1}]", "a");
    assert_missing("{\"a\":[{\"b\":1}]}", "a.b");
    assert_missing("{\"a\":[1]}", "/a/0");
    assert_found("{\"a\":{\"0\":1}}", "/a/0", FORMAT_JSON_NUMBER, "1");
    assert_found("{\"a\":[{\"b\":1}],\"a\":{\"b\":2}}", "a.b", FORMAT_JSON_NUMBER, "2");
}

static void of_duplicate_keys_the_last_counts(void **state)
{
    (void)state;
    assert_found("{\"a\":1,\"b\":0,\"a\":2}", "a", FORMAT_JSON_NUMBER, "2");
    assert_found("{\"a\":{\"b\":1},\"a\":{\"b\":2}}", "a.b", FORMAT_JSON_NUMBER, "2");
    assert_missing("{\"a\":{\"b\":1},\"a\":{\"c\":2}}", "a.b");
    assert_missing("{\"a\":{\"b\":1},\"a\":5}", "a.b");
    assert_missing("{\"a\":{\"b\":1},\"\\u0061\":[]}", "a.b");
    assert_found("{\"a\":5,\"a\":{\"b\":1}}", "a.b", FORMAT_JSON_NUMBER, "1");
    assert_found("{\"a\":{\"b\":1},\"a\":{}}", "a", FORMAT_JSON_OBJECT, "{}");
}

static void keys_compare_by_their_characters(void **state)
{
    (void)state;
    assert_found("{\"\\u0061\":1}", "a", FORMAT_JSON_NUMBER, "1");
    assert_found("{\"a\\u002Eb\":1}", "/a.b", FORMAT_JSON_NUMBER, "1");
    assert_found("{\"stra\\u00dfe\":1}",
                 "stra\xC3\x9F"
                 "e",
                 FORMAT_JSON_NUMBER, "1");
    assert_found("{\"stra\xC3\x9F"
                 "e\":1}",
                 "stra\xC3\x9F"
                 "e",
                 FORMAT_JSON_NUMBER, "1");
    assert_found("{\"\\uD834\\uDD1E\":{\"x\":1}}", "\xF0\x9D\x84\x9E.x", FORMAT_JSON_NUMBER, "1");
    assert_found("{\"a\\\"\\\\\":1}", "a\"\\", FORMAT_JSON_NUMBER, "1");
    assert_missing("{\"\\u0062\":1,\"A\":2,\"a\\u0000\":3,\"aa\":4,\"\":5}", "a");
}

static void a_pointer_reaches_keys_that_dots_cannot(void **state)
{
    (void)state;
    assert_found("{\"a.b\":{\"c\":1}}", "/a.b/c", FORMAT_JSON_NUMBER, "1");
    assert_found("{\"a\":{\"\":1}}", "/a/", FORMAT_JSON_NUMBER, "1");
    assert_found("{\"\":1}", "/", FORMAT_JSON_NUMBER, "1");
    assert_found("{\"\":{\"\":1}}", "//", FORMAT_JSON_NUMBER, "1");
    assert_found("{\"a/b\":{\"m~n\":1}}", "/a~1b/m~0n", FORMAT_JSON_NUMBER, "1");
    assert_found("{\"~1\":1}", "/~01", FORMAT_JSON_NUMBER, "1");
    assert_found("{\"a~1\":{\"b/c\":1}}", "a~1.b/c", FORMAT_JSON_NUMBER, "1");
}

static void keys_of_any_size_are_told_apart(void **state)
{
    (void)state;
    for (size_t size = 1; size < 140; size++) {
        char key[160], text[200];
        memset(key, 'k', size);
        key[size] = 0;
        snprintf(text, sizeof(text), "{\"%s\":1}", key);
        assert_found(text, key, FORMAT_JSON_NUMBER, "1");
        key[size - 1] = 'j';
        assert_missing(text, key);
        key[size - 1] = 'k';
        key[size] = 'k';
        key[size + 1] = 0;
        assert_missing(text, key);
    }
}

static void many_paths_are_found_in_one_pass(void **state)
{
    (void)state;
    static const char *const texts[FORMAT_JSON_PATHS_MAX] = {
        "a", "a.b", "a.b.c", "/a/b/c", "a.d", "e", "e.f",  "none",
        "g", "h",   "i",     "j.k.l",  "j.k", "j", "/x.y", "a.none",
    };
    static const char *const raws[FORMAT_JSON_PATHS_MAX] = {
        "{\"d\":[0],\"b\":{\"c\":1}}",
        "{\"c\":1}",
        "1",
        "1",
        "[0]",
        "2",
        "",
        "",
        "\"g\"",
        "null",
        "true",
        "{}",
        "{\"l\":{}}",
        "{\"k\":{\"l\":{}}}",
        "-9",
        "",
    };
    struct slice text =
        exact_text("{\"e\":2,\"a\":{\"d\":[0],\"b\":{\"c\":1}},\"x.y\":-9,\"i\":true,\"h\":null,"
                   "\"g\":\"g\",\"j\":{\"k\":{\"l\":{}}}}");
    struct format_json_paths *paths = compiled(texts, FORMAT_JSON_PATHS_MAX);
    struct format_json_value found[FORMAT_JSON_PATHS_MAX];
    /* Twice: the compiled paths are only read. */
    for (int round = 0; round < 2; round++) {
        memset(found, 0xA5, sizeof(found));
        assert_true(err_is_ok(format_json_check(text, paths, 4, found, NULL)));
        for (size_t i = 0; i < FORMAT_JSON_PATHS_MAX; i++) {
            assert_true(slice_equal_string(found[i].raw, raws[i]));
            assert_int_equal(found[i].kind == FORMAT_JSON_MISSING, raws[i][0] == 0);
        }
    }
    format_json_paths_free(&paths);
    exact_free(&text);
}

static void a_path_as_long_as_allowed_is_followed(void **state)
{
    (void)state;
    struct buf path = {0}, text = {0};
    for (int i = 0; i < FORMAT_JSON_PATH_KEYS_MAX; i++) {
        buf_add_string(&path, i ? ".k" : "k");
        buf_add_string(&text, "{\"k\":");
    }
    buf_add_byte(&path, 0);
    buf_add_string(&text, "7");
    for (int i = 0; i < FORMAT_JSON_PATH_KEYS_MAX; i++)
        buf_add_byte(&text, '}');
    buf_add_byte(&text, 0);
    assert_found((const char *)text.data, (const char *)path.data, FORMAT_JSON_NUMBER, "7");
    path.data[path.size - 1] = '.';
    buf_add(&path, "k", 2);
    struct format_json_paths *paths = NULL;
    const char *longer = (const char *)path.data;
    assert_true(err_is(format_json_paths_new(&longer, 1, &paths, NULL), ERR_INVALID));
    buf_done(&path);
    buf_done(&text);
}

static void a_malformed_path_is_refused_with_its_reason(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *detail;
    } cases[] = {
        {"", "the path is empty"},
        {".", "empty key"},
        {".a", "empty key"},
        {"a.", "empty key"},
        {"a..b", "empty key"},
        {"/a~", "~0"},
        {"/a~2", "~0"},
        {"/~/a", "~0"},
        {"a\xFF", "not UTF-8"},
        {"/\xED\xA0\x80", "not UTF-8"},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct format_json_paths *paths = NULL;
        struct err_text why = {0};
        const char *texts[] = {"good.one", cases[i].text};
        assert_true(err_is(format_json_paths_new(texts, 2, &paths, &why), ERR_INVALID));
        assert_non_null(strstr(why.text, cases[i].detail));
        assert_null(paths);
        assert_true(err_is(format_json_paths_new(texts, 2, &paths, NULL), ERR_INVALID));
    }
}

static void without_memory_nothing_is_compiled(void **state)
{
    (void)state;
    struct format_json_paths *paths = NULL;
    const char *text = "a.b";
    mem_fail_after(1);
    assert_true(err_is(format_json_paths_new(&text, 1, &paths, NULL), ERR_MEMORY));
    mem_fail_after(0);
    assert_null(paths);
    format_json_paths_free(&paths);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_value_is_found_as_it_is_written),
        cmocka_unit_test(paths_lead_through_objects),
        cmocka_unit_test(the_same_key_elsewhere_does_not_count),
        cmocka_unit_test(arrays_are_not_gone_into),
        cmocka_unit_test(of_duplicate_keys_the_last_counts),
        cmocka_unit_test(keys_compare_by_their_characters),
        cmocka_unit_test(a_pointer_reaches_keys_that_dots_cannot),
        cmocka_unit_test(keys_of_any_size_are_told_apart),
        cmocka_unit_test(many_paths_are_found_in_one_pass),
        cmocka_unit_test(a_path_as_long_as_allowed_is_followed),
        cmocka_unit_test(a_malformed_path_is_refused_with_its_reason),
        cmocka_unit_test(without_memory_nothing_is_compiled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
