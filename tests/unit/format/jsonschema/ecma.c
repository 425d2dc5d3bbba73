#include "format/jsonschema/ecma_int.h"

#include "base/alloc.h"
#include "lib/unit.h"

static void expect(const char *pattern, const char *translated)
{
    struct buf out = {0};
    struct err_text why = {0};
    err_t err = format_jsonschema_ecma_translate(slice_string(pattern), &out, &why);
    if (!err_is_ok(err))
        fail_msg("%s: %s", pattern, why.text);
    if (!slice_equal_string(buf_slice(&out), translated))
        fail_msg("%s is %.*s, not %s", pattern, SLICE_PRINTF(buf_slice(&out)), translated);
    buf_done(&out);
}

static void refuse(const char *pattern, const char *reason)
{
    struct buf out = {0};
    struct err_text why = {0};
    err_t err = format_jsonschema_ecma_translate(slice_string(pattern), &out, &why);
    if (!err_is(err, ERR_INVALID) || strcmp(why.text, reason) != 0)
        fail_msg("%s: %s: %s", pattern, err_name(err), why.text);
    buf_done(&out);
}

static void what_means_the_same_is_copied(void **state)
{
    (void)state;
    static const char *const same[] = {
        "",
        "^abc$",
        "a|b",
        "(?:a)(?=b)(?!c)(?<=d)(?<!e)",
        "[a-z^-]",
        "[^\\d]",
        "\\w\\W\\D",
        "a*b+?",
        "c{2}d?",
        "a{2,}?b{1,3}",
        "(?<year>\\d{4})\\k<year>",
        "\\b\\.\\/\\-\\$",
        "[\\b]",
        "\\n\\r\\t\\f",
        "\xC3\xA9+",
        "[^]",
        "[]",
        "(?<\xC3\xA9>a)",
        "[{}().*+?]",
        "\\_\\@",
    };
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
        expect(same[i], same[i]);
}

static void what_differs_is_rewritten(void **state)
{
    (void)state;
    expect("a.b", "a[^\\n\\r\\x{2028}\\x{2029}]b");
    expect("[.]", "[.]");
    expect("\\v\\0", "\\x{b}\\x{0}");
    expect("\\cA\\cz[\\cJ]", "\\x{1}\\x{1a}[\\x{a}]");
    expect("\\x41\\u00e9\\u{1F600}", "\\x{41}\\x{e9}\\x{1f600}");
    expect("\\uD83D\\uDE00", "\\x{1f600}");
    expect("[[:alpha:]]", "[\\[:alpha:]\\]");
    expect("a{b}c{,2}{1", "a\\{b\\}c\\{,2\\}\\{1");
    expect("(a)\\10", "(a)\\g{10}");
    expect("]", "\\]");
}

static void white_space_is_that_of_ecma(void **state)
{
    (void)state;
    struct buf out = {0};
    assert_true(err_is_ok(format_jsonschema_ecma_translate(slice_string("\\s"), &out, NULL)));
    assert_true(slice_starts_with(buf_slice(&out), SLICE_LITERAL("[\\t-\\r\\x{20}")));
    assert_true(slice_ends_with(buf_slice(&out), SLICE_LITERAL("\\x{feff}]")));
    buf_reset(&out);
    assert_true(err_is_ok(format_jsonschema_ecma_translate(slice_string("[a\\S]"), &out, NULL)));
    assert_true(slice_starts_with(buf_slice(&out), SLICE_LITERAL("[a\\x{0}-\\x{8}")));
    assert_true(slice_ends_with(buf_slice(&out), SLICE_LITERAL("-\\x{10ffff}]")));
    buf_done(&out);
}

static void properties_have_long_names(void **state)
{
    (void)state;
    expect("\\p{Letter}\\P{L}", "\\p{L}\\P{L}");
    expect("\\p{General_Category=Uppercase_Letter}", "\\p{Lu}");
    expect("\\p{gc=digit}", "\\p{Nd}");
    expect("\\p{Script=Greek}[\\p{sc=Latin}]", "\\p{sc:Greek}[\\p{sc:Latin}]");
    expect("\\p{Script_Extensions=Greek}\\p{scx=Latin}", "\\p{scx:Greek}\\p{scx:Latin}");
    expect("\\p{Alphabetic}", "\\p{Alphabetic}");
    refuse("\\p", "expected a property in \\p{...}");
    refuse("\\pL", "expected a property in \\p{...}");
    refuse("\\p{}", "expected a property in \\p{...}");
    refuse("\\p{L", "expected a property in \\p{...}");
    refuse("\\p{Block=Greek}", "unknown kind of property in \\p{...}");
}

static void what_only_pcre_knows_is_refused(void **state)
{
    (void)state;
    static const char *const escapes[] = {"\\A", "\\Z", "\\z", "\\a", "\\e", "\\Q", "\\E",
                                          "\\h", "\\R", "\\K", "\\G", "\\X", "\\N", "\\g{1}"};
    static const char *const groups[] = {"(?i)a", "(?>a)", "(?#a)", "(?|a)", "(?P<a>b)",
                                         "(?R)",  "(?1)",  "(?&a)", "(?",    "(?<1>a)"};
    for (size_t i = 0; i < sizeof(escapes) / sizeof(escapes[0]); i++)
        refuse(escapes[i], "unknown escape");
    for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
        refuse(groups[i], "unknown kind of group");
    refuse("(*UTF)a", "nothing to repeat");
    refuse("a++", "nothing to repeat");
    refuse("a{2}+", "nothing to repeat");
    refuse("a??+", "nothing to repeat");
}

static void what_nobody_knows_is_refused(void **state)
{
    (void)state;
    refuse("*", "nothing to repeat");
    refuse("^*", "nothing to repeat");
    refuse("a|*", "nothing to repeat");
    refuse("(+a)", "nothing to repeat");
    refuse("\\b+", "nothing to repeat");
    refuse("a**", "nothing to repeat");
    refuse("{2}", "nothing to repeat");
    refuse("\\", "backslash at the end");
    refuse("\\u12", "expected four hexadecimal digits after \\u");
    refuse("\\uD83D", "half a surrogate pair, which no text has");
    refuse("\\uDE00\\uD83D", "half a surrogate pair, which no text has");
    refuse("\\u{110000}", "expected a code point in \\u{...}");
    refuse("\\u{}", "expected a code point in \\u{...}");
    refuse("\\u{12", "expected a code point in \\u{...}");
    refuse("\\xg1", "expected two hexadecimal digits after \\x");
    refuse("\\c1", "expected a letter after \\c");
    refuse("\\c", "expected a letter after \\c");
    refuse("\\01", "\\0 followed by a digit");
    refuse("[\\B]", "\\B in a class");
    refuse("[\\1]", "unknown escape");
    refuse("\\k", "unknown escape");
    refuse("\\k<a", "unknown escape");
    refuse("\\12345", "reference to a group that is not there");
    refuse("\\\xC3\xA9", "unknown escape");
}

static void without_memory_there_is_no_translation(void **state)
{
    (void)state;
    struct buf out = {0};
    mem_fail_after(1);
    err_t err = format_jsonschema_ecma_translate(slice_string("a.b"), &out, NULL);
    mem_fail_after(0);
    assert_true(err_is(err, ERR_MEMORY));
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_means_the_same_is_copied),
        cmocka_unit_test(what_differs_is_rewritten),
        cmocka_unit_test(white_space_is_that_of_ecma),
        cmocka_unit_test(properties_have_long_names),
        cmocka_unit_test(what_only_pcre_knows_is_refused),
        cmocka_unit_test(what_nobody_knows_is_refused),
        cmocka_unit_test(without_memory_there_is_no_translation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
