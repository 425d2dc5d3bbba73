#include "format/json/array.h"

#include "lib/unit.h"
#include "unit/format/json/exact.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* All steps of `text` as one line: + good, - broken, ! rest, each followed by its bytes and a
 * newline. */
static void walk_array(struct slice text, struct buf *out)
{
    struct format_json_array a;
    assert_true(err_is_ok(format_json_array_begin(&a, text, NULL)));
    struct format_json_element e;
    enum format_json_step step;
    while ((step = format_json_array_next(&a, NULL, FORMAT_JSON_DEPTH_MAX, NULL, &e))) {
        buf_add_byte(out, (uint8_t) "?+-!"[step]);
        buf_add_slice(out, e.raw);
        buf_add_byte(out, '\n');
        assert_int_equal(err_is_ok(e.err), step == FORMAT_JSON_ARRAY_ELEMENT);
        assert_true(err_is_ok(e.err) || (e.why.message && e.why.offset <= e.raw.size));
    }
    assert_int_equal(format_json_array_next(&a, NULL, 1, NULL, &e), FORMAT_JSON_ARRAY_END);
    buf_add_byte(out, 0);
}

static void assert_steps(const char *text, const char *steps)
{
    struct slice exact = exact_text(text);
    struct buf out = {0};
    walk_array(exact, &out);
    assert_string_equal((const char *)out.data, steps);
    buf_done(&out);
    exact_free(&exact);
}

static void good_elements_come_without_the_space_around_them(void **state)
{
    (void)state;
    assert_steps("[]", "");
    assert_steps(" [ \n] \n", "");
    assert_steps("[1]", "+1\n");
    assert_steps("\n[ {\"a\":[1,2]} ,\t\"x,]\" , null,[[]] ]\r\n",
                 "+{\"a\":[1,2]}\n+\"x,]\"\n+null\n+[[]]\n");
    assert_steps("[1,-2.5e3,true]", "+1\n+-2.5e3\n+true\n");
}

static void a_broken_element_leaves_its_neighbours_alone(void **state)
{
    (void)state;
    assert_steps("[{\"a\":01},{\"b\":2}]", "-{\"a\":01}\n+{\"b\":2}\n");
    assert_steps("[1,tru,3]", "+1\n-tru\n+3\n");
    assert_steps("[1 2 , 3]", "-1 2\n+3\n");
    assert_steps("[{\"a\":1}{\"b\":2},3]", "-{\"a\":1}{\"b\":2}\n+3\n");
    assert_steps("[{\"a\" 1, \"b\":2}, 3]", "-{\"a\" 1, \"b\":2}\n+3\n");
    assert_steps("[{x,y:[1,2]},3]", "-{x,y:[1,2]}\n+3\n");
    assert_steps("[\"\\x\",\"\x01\",\"\xFF\",\"\\uD800\",5]",
                 "-\"\\x\"\n-\"\x01\"\n-\"\xFF\"\n-\"\\uD800\"\n+5\n");
    assert_steps("[\"a\\\"],[\\\\\" x,2]", "-\"a\\\"],[\\\\\" x\n+2\n");
}

static void an_empty_element_is_a_broken_one(void **state)
{
    (void)state;
    assert_steps("[1,,2]", "+1\n-\n+2\n");
    assert_steps("[,1]", "-\n+1\n");
    assert_steps("[1, ]", "+1\n-\n");
    assert_steps("[,]", "-\n-\n");
}

static void where_it_cannot_be_followed_all_is_the_rest(void **state)
{
    (void)state;
    assert_steps("[1,{\"a\":[1},2],3]", "+1\n!{\"a\":[1},2],3]\n");
    assert_steps("[1,\"abc,2,3]", "+1\n!\"abc,2,3]\n");
    assert_steps("[1,{\"a\":1,2]", "+1\n!{\"a\":1,2]\n");
    assert_steps("[1},2]", "!1},2]\n");
    assert_steps("[1,\"a\\", "+1\n!\"a\\\n");
    assert_steps("[[1,[2,3]", "![1,[2,3]\n");
}

static void the_last_element_of_a_torn_array_is_not_trusted(void **state)
{
    (void)state;
    assert_steps("[1,23", "+1\n!23\n");
    assert_steps("[1,23 \n", "+1\n!23 \n\n");
    assert_steps("[{\"a\":1}", "!{\"a\":1}\n");
    assert_steps("[1,", "+1\n!\n");
    assert_steps("[1, ", "+1\n!\n");
    assert_steps("[", "!\n");
}

static void bytes_after_the_array_are_a_rest_of_their_own(void **state)
{
    (void)state;
    assert_steps("[1,2] 3", "+1\n+2\n!3\n");
    assert_steps("[] []", "![]\n");
    assert_steps("[1]]", "+1\n!]\n");
    assert_steps("[x] y", "-x\n!y\n");
}

static void a_text_that_is_no_array_is_not_begun(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "  ", "{}", "1", "]", "\xEF\xBB\xBF[]", "x["};
    for (size_t i = 0; i < LENGTH(texts); i++) {
        struct slice text = exact_text(texts[i]);
        struct format_json_array a;
        struct format_json_error why;
        assert_true(err_is(format_json_array_begin(&a, text, &why), ERR_SYNTAX));
        assert_string_equal(why.message, "expected '['");
        assert_int_equal(why.offset, i == 1 ? 2 : 0);
        assert_true(err_is(format_json_array_begin(&a, text, NULL), ERR_SYNTAX));
        exact_free(&text);
    }
}

static void a_refusal_counts_from_the_element(void **state)
{
    (void)state;
    struct format_json_array a;
    struct format_json_element e;
    assert_true(
        err_is_ok(format_json_array_begin(&a, SLICE_LITERAL("[ 1, {\"a\":x}, 1 2, 3"), NULL)));
    assert_int_equal(format_json_array_next(&a, NULL, 9, NULL, &e), FORMAT_JSON_ARRAY_ELEMENT);
    assert_int_equal(format_json_array_next(&a, NULL, 9, NULL, &e), FORMAT_JSON_ARRAY_BROKEN);
    assert_int_equal(e.why.offset, 5);
    assert_string_equal(e.why.message, "expected a value");
    assert_int_equal(format_json_array_next(&a, NULL, 9, NULL, &e), FORMAT_JSON_ARRAY_BROKEN);
    assert_int_equal(e.why.offset, 2);
    assert_string_equal(e.why.message, "expected ',' or ']' after the element");
    assert_int_equal(format_json_array_next(&a, NULL, 9, NULL, &e), FORMAT_JSON_ARRAY_REST);
    assert_int_equal(e.why.offset, 1);
    assert_int_equal(format_json_array_next(&a, NULL, 9, NULL, &e), FORMAT_JSON_ARRAY_END);
}

static void depth_counts_from_the_element(void **state)
{
    (void)state;
    struct format_json_array a;
    struct format_json_element e;
    assert_true(err_is_ok(format_json_array_begin(&a, SLICE_LITERAL("[[1],[[1]],[]]"), NULL)));
    assert_int_equal(format_json_array_next(&a, NULL, 1, NULL, &e), FORMAT_JSON_ARRAY_ELEMENT);
    assert_int_equal(format_json_array_next(&a, NULL, 1, NULL, &e), FORMAT_JSON_ARRAY_BROKEN);
    assert_true(err_is(e.err, ERR_TOO_DEEP));
    assert_int_equal(e.why.offset, 1);
    assert_int_equal(format_json_array_next(&a, NULL, 1, NULL, &e), FORMAT_JSON_ARRAY_ELEMENT);
}

/* Two elements, the first `depth` deep with the closing bracket at level `wrong` of the other
 * kind (`depth`: none). Returns the first step. */
static enum format_json_step step_of_deep_element(size_t depth, size_t wrong, size_t *size)
{
    struct buf text = {0};
    buf_add_byte(&text, '[');
    for (size_t i = 0; i < depth; i++)
        buf_add_byte(&text, i % 3 ? '[' : '{');
    for (size_t i = depth; i-- > 0;)
        buf_add_byte(&text, (i % 3 == 0) == (i != wrong) ? '}' : ']');
    buf_add_string(&text, ",2]");
    struct format_json_array a;
    struct format_json_element e;
    assert_true(err_is_ok(format_json_array_begin(&a, buf_slice(&text), NULL)));
    enum format_json_step step = format_json_array_next(&a, NULL, FORMAT_JSON_DEPTH_MAX, NULL, &e);
    *size = e.raw.size;
    buf_done(&text);
    return step;
}

static void depth_alone_breaks_only_its_own_element(void **state)
{
    (void)state;
    static const size_t depths[] = {1, 64, 65, 511, 512, 513, 10000};
    for (size_t i = 0; i < LENGTH(depths); i++) {
        size_t size;
        assert_int_equal(step_of_deep_element(depths[i], depths[i], &size),
                         depths[i] == 1 ? FORMAT_JSON_ARRAY_ELEMENT : FORMAT_JSON_ARRAY_BROKEN);
        assert_int_equal(size, 2 * depths[i]);
    }
}

static void brackets_are_matched_by_kind_down_to_the_limit(void **state)
{
    (void)state;
    for (size_t wrong = 0; wrong < FORMAT_JSON_DEPTH_MAX; wrong++) {
        size_t size;
        assert_int_equal(step_of_deep_element(600, wrong, &size), FORMAT_JSON_ARRAY_REST);
    }
    size_t size;
    assert_int_equal(step_of_deep_element(600, 512, &size), FORMAT_JSON_ARRAY_BROKEN);
}

static void paths_are_found_in_each_element(void **state)
{
    (void)state;
    struct format_json_paths *paths = NULL;
    assert_true(err_is_ok(format_json_paths_new((const char *const[]){"id"}, 1, &paths, NULL)));
    struct format_json_array a;
    struct format_json_element e;
    struct format_json_value id;
    struct slice text = SLICE_LITERAL("[{\"id\":1},{\"x\":2},{\"id\":]},{\"id\":\"3\"}]");
    assert_true(err_is_ok(format_json_array_begin(&a, text, NULL)));
    assert_int_equal(format_json_array_next(&a, paths, 9, &id, &e), FORMAT_JSON_ARRAY_ELEMENT);
    assert_true(slice_equal_string(id.raw, "1"));
    assert_int_equal(format_json_array_next(&a, paths, 9, &id, &e), FORMAT_JSON_ARRAY_ELEMENT);
    assert_int_equal(id.kind, FORMAT_JSON_MISSING);
    assert_int_equal(format_json_array_next(&a, paths, 9, &id, &e), FORMAT_JSON_ARRAY_REST);
    text = SLICE_LITERAL("[{\"id\":x},{\"id\":\"3\"}]");
    assert_true(err_is_ok(format_json_array_begin(&a, text, NULL)));
    assert_int_equal(format_json_array_next(&a, paths, 9, &id, &e), FORMAT_JSON_ARRAY_BROKEN);
    assert_int_equal(format_json_array_next(&a, paths, 9, &id, &e), FORMAT_JSON_ARRAY_ELEMENT);
    assert_true(slice_equal_string(id.raw, "\"3\""));
    format_json_paths_free(&paths);
}

static void every_byte_of_a_cut_array_goes_somewhere(void **state)
{
    (void)state;
    static const char text[] = "[{\"a\":[1,{}]},\"b\\\\\\\"]\",{\"c\":x},,-1.5e3,[[2]]] tail";
    for (size_t size = 1; size < sizeof(text); size++) {
        struct slice cut = exact_bytes(text, size);
        struct buf out = {0};
        walk_array(cut, &out);
        size_t kept = 0, steps = 0;
        for (size_t i = 0; i + 1 < out.size; i++)
            steps += out.data[i] == '\n';
        kept = out.size - 1 - 2 * steps;
        /* What is not in an element is the brackets, commas and the space before the tail. */
        assert_in_range(size - kept, 1, steps + 3);
        buf_done(&out);
        exact_free(&cut);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_elements_come_without_the_space_around_them),
        cmocka_unit_test(a_broken_element_leaves_its_neighbours_alone),
        cmocka_unit_test(an_empty_element_is_a_broken_one),
        cmocka_unit_test(where_it_cannot_be_followed_all_is_the_rest),
        cmocka_unit_test(the_last_element_of_a_torn_array_is_not_trusted),
        cmocka_unit_test(bytes_after_the_array_are_a_rest_of_their_own),
        cmocka_unit_test(a_text_that_is_no_array_is_not_begun),
        cmocka_unit_test(a_refusal_counts_from_the_element),
        cmocka_unit_test(depth_counts_from_the_element),
        cmocka_unit_test(depth_alone_breaks_only_its_own_element),
        cmocka_unit_test(brackets_are_matched_by_kind_down_to_the_limit),
        cmocka_unit_test(paths_are_found_in_each_element),
        cmocka_unit_test(every_byte_of_a_cut_array_goes_somewhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
