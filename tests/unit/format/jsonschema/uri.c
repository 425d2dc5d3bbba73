#include "format/jsonschema/uri_int.h"

#include "lib/unit.h"

static void expect_resolved(const char *base, const char *reference, const char *expected)
{
    struct buf out = {0};
    format_jsonschema_uri_resolve(slice_string(base), slice_string(reference), &out);
    assert_true(buf_ok(&out));
    if (!slice_equal_string(buf_slice(&out), expected))
        fail_msg("%s in %s: %.*s, not %s", reference, base, SLICE_PRINTF(buf_slice(&out)),
                 expected);
    buf_done(&out);
}

/* The examples of RFC 3986 section 5.4, without their fragments. */
static void references_are_resolved_as_in_rfc_3986(void **state)
{
    (void)state;
    static const char *const normal[][2] = {
        {"g:h", "g:h"},
        {"g", "http://a/b/c/g"},
        {"./g", "http://a/b/c/g"},
        {"g/", "http://a/b/c/g/"},
        {"/g", "http://a/g"},
        {"//g", "http://g"},
        {"?y", "http://a/b/c/d;p?y"},
        {"g?y", "http://a/b/c/g?y"},
        {"#s", "http://a/b/c/d;p?q"},
        {"g#s", "http://a/b/c/g"},
        {";x", "http://a/b/c/;x"},
        {"g;x?y#s", "http://a/b/c/g;x?y"},
        {"", "http://a/b/c/d;p?q"},
        {".", "http://a/b/c/"},
        {"./", "http://a/b/c/"},
        {"..", "http://a/b/"},
        {"../", "http://a/b/"},
        {"../g", "http://a/b/g"},
        {"../..", "http://a/"},
        {"../../", "http://a/"},
        {"../../g", "http://a/g"},
        {"../../../g", "http://a/g"},
        {"../../../../g", "http://a/g"},
        {"/./g", "http://a/g"},
        {"/../g", "http://a/g"},
        {"g.", "http://a/b/c/g."},
        {".g", "http://a/b/c/.g"},
        {"g..", "http://a/b/c/g.."},
        {"..g", "http://a/b/c/..g"},
        {"./../g", "http://a/b/g"},
        {"./g/.", "http://a/b/c/g/"},
        {"g/./h", "http://a/b/c/g/h"},
        {"g/../h", "http://a/b/c/h"},
        {"g;x=1/./y", "http://a/b/c/g;x=1/y"},
        {"g;x=1/../y", "http://a/b/c/y"},
        {"g?y/./x", "http://a/b/c/g?y/./x"},
        {"http:g", "http:g"},
    };
    for (size_t i = 0; i < sizeof(normal) / sizeof(normal[0]); i++)
        expect_resolved("http://a/b/c/d;p?q", normal[i][0], normal[i][1]);
}

static void bases_of_other_kinds_do_too(void **state)
{
    (void)state;
    expect_resolved("", "", "");
    expect_resolved("", "a.json", "a.json");
    expect_resolved("", "#/a", "");
    expect_resolved("http://a", "b", "http://a/b");
    expect_resolved("urn:uuid:1", "#x", "urn:uuid:1");
    expect_resolved("urn:a:b", "http://x/y", "http://x/y");
    expect_resolved("file:///a/b", "c", "file:///a/c");
}

static void what_is_percent_encoded_is_decoded(void **state)
{
    (void)state;
    struct buf out = {0};
    assert_true(format_jsonschema_uri_decode(slice_string("a%2Fb%25%c3%a9"), &out));
    assert_slice(buf_slice(&out), "a/b%\xC3\xA9");
    assert_false(format_jsonschema_uri_decode(slice_string("a%"), &out));
    assert_false(format_jsonschema_uri_decode(slice_string("a%2"), &out));
    assert_false(format_jsonschema_uri_decode(slice_string("a%zz"), &out));
    buf_done(&out);
}

static bool uri(const char *text)
{
    return format_jsonschema_uri_valid(slice_string(text), false);
}

static bool reference(const char *text)
{
    return format_jsonschema_uri_valid(slice_string(text), true);
}

static void uris_are_told_from_other_texts(void **state)
{
    (void)state;
    assert_true(uri("http://a") && uri("urn:a:b") && uri("a:") && uri("mailto:a@b"));
    assert_true(uri("http://u:p@h:80/%20?a=/?#/?") && uri("http://[::1]:8080/") &&
                uri("x+y-z.1:a"));
    assert_true(uri("http://[v1.a:b]/") && uri("http://h:/") && uri("file:///a"));
    assert_false(uri("a") || uri("/a") || uri("//a/b") || uri("") || uri("1a:b") || uri("a,b:c"));
    assert_false(uri("http://a b") || uri("http://a/%2") || uri("http://a/%zz") || uri("a:\\b"));
    assert_false(uri("http://[::1") || uri("http://[::1]x/") || uri("http://[1]/"));
    assert_false(uri("http://h:8a/") || uri("http://a/#b#c") || uri("http://a/[b]"));
    assert_false(uri("http://[v.a]/") || uri("http://[v1.]/") || uri("http://[vg.a]/"));
    assert_false(uri("http://\xC3\xA9/") || uri("http://a/\"") || uri("http://a/<b>"));
}

static void references_may_be_relative(void **state)
{
    (void)state;
    assert_true(reference("") && reference("a") && reference("/a/b?c#d") && reference("//h/a"));
    assert_true(reference("../a") && reference("#a") && reference("?q") && reference("a/b:c"));
    assert_false(reference("a b") || reference("1a:b") || reference("#a#b") || reference("\\a"));
}

static bool ipv4(const char *text)
{
    return format_jsonschema_ipv4_valid(slice_string(text));
}

static bool ipv6(const char *text)
{
    return format_jsonschema_ipv6_valid(slice_string(text));
}

static void addresses_of_version_4_are_four_numbers(void **state)
{
    (void)state;
    assert_true(ipv4("0.0.0.0") && ipv4("255.255.255.255") && ipv4("10.20.30.1"));
    assert_false(ipv4("") || ipv4("1.2.3") || ipv4("1.2.3.4.5") || ipv4("256.1.1.1"));
    assert_false(ipv4("01.2.3.4") || ipv4("1..2.3") || ipv4("1.2.3.4 ") || ipv4("a.b.c.d"));
    assert_false(ipv4("1.2.3.") || ipv4(".1.2.3") || ipv4("0x1.2.3.4") || ipv4("1.2.3.4444"));
}

static void addresses_of_version_6_have_eight_groups_or_a_gap(void **state)
{
    (void)state;
    assert_true(ipv6("::") && ipv6("::1") && ipv6("1::") && ipv6("1:2:3:4:5:6:7:8"));
    assert_true(ipv6("1::8") && ipv6("::ffff:1.2.3.4") && ipv6("1:2:3:4:5:6:1.2.3.4"));
    assert_true(ipv6("fe80::ABCD") && ipv6("1:2:3:4:5:6:7::") && ipv6("::2:3:4:5:6:7:8"));
    assert_false(ipv6("") || ipv6(":") || ipv6(":::") || ipv6("1:2:3:4:5:6:7") || ipv6("1::2::3"));
    assert_false(ipv6("1:2:3:4:5:6:7:8:9") || ipv6("12345::") || ipv6("g::") || ipv6("1:"));
    assert_false(ipv6("::1.2.3") || ipv6("1.2.3.4::") || ipv6("fe80::1%eth0") || ipv6(":1:2::"));
    assert_false(ipv6("1:2:3:4:5:6:7:1.2.3.4") || ipv6("::1 ") || ipv6("1::2:") || ipv6("1:::2"));
    assert_false(ipv6("1:2:3:4::5:6:7:8"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(references_are_resolved_as_in_rfc_3986),
        cmocka_unit_test(bases_of_other_kinds_do_too),
        cmocka_unit_test(what_is_percent_encoded_is_decoded),
        cmocka_unit_test(uris_are_told_from_other_texts),
        cmocka_unit_test(references_may_be_relative),
        cmocka_unit_test(addresses_of_version_4_are_four_numbers),
        cmocka_unit_test(addresses_of_version_6_have_eight_groups_or_a_gap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
