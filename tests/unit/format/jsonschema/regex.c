#include "format/jsonschema/regex_int.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "lib/unit.h"

#define STEPS 4000000

static struct format_jsonschema_regex *compiled(const char *pattern)
{
    struct format_jsonschema_regex *regex = NULL;
    struct err_text why = {0};
    if (!err_is_ok(format_jsonschema_regex_new(slice_string(pattern), true, &regex, &why)))
        fail_msg("%s: %s", pattern, why.text);
    return regex;
}

/* Searches a block of exactly the subject's size. */
static err_t search(const char *pattern, struct slice subject,
                    struct format_jsonschema_budget *budget, bool *found)
{
    struct format_jsonschema_regex *regex = compiled(pattern);
    struct format_jsonschema_matcher *matcher = NULL;
    uint8_t *exact = mem_alloc(subject.size);
    assert_non_null(exact);
    memcpy(exact, subject.data, subject.size);
    assert_true(err_is_ok(format_jsonschema_matcher_new(&matcher)));
    err_t err = format_jsonschema_regex_match(regex, matcher, slice_make(exact, subject.size),
                                              budget, found);
    mem_free(exact);
    format_jsonschema_matcher_free(&matcher);
    format_jsonschema_regex_free(&regex);
    assert_true(!matcher && !regex);
    return err;
}

static bool matches(const char *pattern, const char *subject)
{
    struct format_jsonschema_budget budget = {STEPS, false};
    bool found = false;
    err_t err = search(pattern, slice_string(subject), &budget, &found);
    if (!err_is_ok(err))
        fail_msg("%s: %s", pattern, err_name(err));
    return found;
}

static void patterns_match_anywhere(void **state)
{
    (void)state;
    assert_true(matches("b", "abc") && matches("", "") && matches("", "a") && matches("c$", "abc"));
    assert_true(matches("^a.c$", "a\xC3\xA9"
                                 "c") &&
                matches("^\\p{Lu}", "\xC3\x89"));
    assert_false(matches("d", "abc") || matches("^b", "abc") || matches("a", ""));
}

static void the_dialect_is_that_of_ecma(void **state)
{
    (void)state;
    assert_false(matches("^abc$", "abc\n") || matches("^.$", "\n") ||
                 matches("^.$", "\xE2\x80\xA8"));
    assert_false(matches("^\\d$", "\xDF\x80") || matches("^\\w$", "\xC3\xA9"));
    assert_true(matches("^\\s$", "\xEF\xBB\xBF") && matches("^\\s$", "\xC2\xA0"));
    assert_false(matches("^\\s$", "\xC2\x85") || matches("^\\S$", "\xEF\xBB\xBF"));
    assert_true(matches("^[^]$", "\n") && matches("^[\\s\\S]$", "\n") && matches("^\\cC$", "\x03"));
    assert_false(matches("[]", "a") || matches("^[\\S]$", " "));
    assert_true(matches("^\\uD83D\\uDC32*$", "\xF0\x9F\x90\xB2\xF0\x9F\x90\xB2"));
    assert_true(matches("^(a)?\\1b$", "b") && matches("^(?:(a)|b)\\1c$", "bc"));
    assert_true(matches("^(?<x>a|b)\\k<x>$", "bb") && matches("(?<=a)b(?!c)", "abd"));
    assert_true(matches("^[[:]+$", "[:") && matches("^a{,2}$", "a{,2}"));
}

static void what_is_no_pattern_is_refused_with_a_reason(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "(", ")", "[a", "(?i)a", "a{2,1}", "\\p{Nonsense}", "(?<=a*)b", "[b-a]", "\\1", "\\k<x>"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct format_jsonschema_regex *regex = NULL;
        struct err_text why = {0};
        err_t err = format_jsonschema_regex_new(slice_string(wrong[i]), true, &regex, &why);
        if (!err_is(err, ERR_INVALID) || regex || why.text[0] == '\0')
            fail_msg("%s is taken for a pattern", wrong[i]);
        err = format_jsonschema_regex_new(slice_string(wrong[i]), false, NULL, NULL);
        assert_true(err_is(err, ERR_INVALID));
    }
    assert_true(err_is_ok(format_jsonschema_regex_new(slice_string("a+"), false, NULL, NULL)));
}

static void patterns_have_a_longest(void **state)
{
    (void)state;
    static uint8_t text[FORMAT_JSONSCHEMA_PATTERN_SIZE_MAX + 1];
    memset(text, 'a', sizeof(text));
    err_t err = format_jsonschema_regex_new(slice_make(text, sizeof(text) - 1), false, NULL, NULL);
    assert_true(err_is_ok(err));
    err = format_jsonschema_regex_new(slice_make(text, sizeof(text)), false, NULL, NULL);
    assert_true(err_is(err, ERR_INVALID));
}

static void a_search_without_an_end_is_ended(void **state)
{
    (void)state;
    static const char *const bad[] = {"(a+)+$", "^(a+)+$", "(a|aa)+$", "^(a|a)*[bc]"};
    char subject[52];
    memset(subject, 'a', 50);
    memcpy(subject + 50, "!", 2);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct format_jsonschema_budget budget = {STEPS, false};
        bool found = false;
        err_t err = search(bad[i], slice_string(subject), &budget, &found);
        if (!err_is(err, ERR_TOO_LARGE))
            fail_msg("%s: %s", bad[i], err_name(err));
        /* Dear, but not all that there is: what else the record has is still checked. */
        assert_true(!budget.spent && budget.steps < STEPS - 5000);
    }
}

static void long_texts_cost_more_where_a_match_may_begin_anywhere(void **state)
{
    (void)state;
    struct buf text = {0};
    for (int i = 0; i < 10000; i++)
        buf_add_string(&text, "abcdefghij");
    struct format_jsonschema_budget anchored = {STEPS, false}, other = {STEPS, false};
    bool found = false;
    assert_true(err_is_ok(search("^[a-j]*$", buf_slice(&text), &anchored, &found)));
    assert_true(found && anchored.steps > STEPS / 2);
    assert_true(err_is(search("[a-j]$", buf_slice(&text), &other, &found), ERR_TOO_LARGE));
    assert_true(other.spent);
    buf_done(&text);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    bool failed = true;
    size_t refused = 0;
    for (uint64_t n = 1; failed; n++) {
        struct format_jsonschema_regex *regex = NULL;
        struct format_jsonschema_matcher *matcher = NULL;
        mem_fail_after(n);
        err_t err = format_jsonschema_regex_new(slice_string("^a.\\p{Letter}"), true, &regex, NULL);
        if (err_is_ok(err))
            err = format_jsonschema_matcher_new(&matcher);
        failed = mem_alloc_count() >= n;
        mem_fail_after(0);
        /* Where it is the JIT that gets no memory, it works without. */
        assert_true(err_is_ok(err) || (failed && err_is(err, ERR_MEMORY)));
        refused += !err_is_ok(err);
        format_jsonschema_matcher_free(&matcher);
        format_jsonschema_regex_free(&regex);
    }
    assert_true(refused > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_match_anywhere),
        cmocka_unit_test(the_dialect_is_that_of_ecma),
        cmocka_unit_test(what_is_no_pattern_is_refused_with_a_reason),
        cmocka_unit_test(patterns_have_a_longest),
        cmocka_unit_test(a_search_without_an_end_is_ended),
        cmocka_unit_test(long_texts_cost_more_where_a_match_may_begin_anywhere),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
