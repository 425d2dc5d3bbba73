#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "net/http/target.h"

static void escapes_become_bytes(void **state)
{
    (void)state;
    char out[16];
    struct slice decoded;
    assert_true(err_is_ok(
        net_http_percent_decode(SLICE_LITERAL("a%2Fb%20c+%c3%A9"), out, sizeof(out), &decoded)));
    assert_true(slice_equal_string(decoded, "a/b c+\xc3\xa9"));
    assert_true(err_is_ok(net_http_percent_decode(SLICE_LITERAL(""), out, 0, &decoded)));
    assert_int_equal(decoded.size, 0);
}

static void broken_escapes_are_errors(void **state)
{
    (void)state;
    static const char *const texts[] = {"%", "a%2", "%zz", "%2g", "%-1", "%%41"};
    char out[16];
    struct slice decoded;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_true(
            err_is(net_http_percent_decode(slice_string(texts[i]), out, sizeof(out), &decoded),
                   ERR_SYNTAX));
    assert_true(
        err_is(net_http_percent_decode(SLICE_LITERAL("abc"), out, 2, &decoded), ERR_TOO_LARGE));
}

static void a_path_matches_segment_by_segment(void **state)
{
    (void)state;
    const char *pattern = "/v1/topics/{}/records";
    struct slice value = {0};
    assert_true(net_http_path_match(SLICE_LITERAL("/v1/topics/a%2Fb/records"), pattern, &value));
    assert_true(slice_equal_string(value, "a%2Fb"));
    static const char *const others[] = {
        "/v1/topics//records",
        "/v1/topics/a/records/",
        "/v1/topics/a",
        "/v1/topics/a/b/records",
        "/v1/topics/a/Records",
        "//v1/topics/a/records",
        "/",
        "",
        "*",
        "v1/topics/a/records",
    };
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_false(net_http_path_match(slice_string(others[i]), pattern, &value));
    assert_true(net_http_path_match(SLICE_LITERAL("/health"), "/health", NULL));
    assert_false(net_http_path_match(SLICE_LITERAL("/healthy"), "/health", NULL));
    assert_true(net_http_path_match(SLICE_LITERAL("/"), "/", NULL));
}

static void query_parameters_are_found_and_decoded(void **state)
{
    (void)state;
    struct slice query = SLICE_LITERAL("limit=10&name=a+b%2b&flag&empty=&limit=11");
    char out[8];
    struct slice value;
    assert_true(err_is_ok(net_http_query_get(query, "limit", out, sizeof(out), &value)));
    assert_true(slice_equal_string(value, "10"));
    assert_true(err_is_ok(net_http_query_get(query, "name", out, sizeof(out), &value)));
    assert_true(slice_equal_string(value, "a b+"));
    assert_true(err_is_ok(net_http_query_get(query, "flag", out, sizeof(out), &value)));
    assert_int_equal(value.size, 0);
    assert_true(err_is_ok(net_http_query_get(query, "empty", out, sizeof(out), &value)));
    assert_int_equal(value.size, 0);
    assert_true(err_is(net_http_query_get(query, "lim", out, sizeof(out), &value), ERR_NOT_FOUND));
    assert_true(err_is(net_http_query_get((struct slice){0}, "a", out, sizeof(out), &value),
                       ERR_NOT_FOUND));
    assert_true(err_is(net_http_query_get(query, "name", out, 3, &value), ERR_TOO_LARGE));
}

static void hosts_that_a_door_answers_to(void **state)
{
    (void)state;
    static const char *const names[] = {"garner.example", "other"};
    static const char *const good[] = {
        "localhost",    "LOCALHOST:8080",  "127.0.0.1:8080", "10.1.2.3", "[::1]", "[fe80::1]:80",
        "host.example", "Host.Example:81", "garner.example", "other:1",  "",
    };
    static const char *const bad[] = {
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "127.0.0.1evil",
        "1.2.3",
        "1.2.3.256",
        "1.2.3.4.5",
        "[::1",
        "[]",
        "[::1]evil",
        "garner.example.",
        "notother",
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(net_http_host_allowed(slice_string(good[i]), "host.example:8080", names, 2));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(net_http_host_allowed(slice_string(bad[i]), "host.example:8080", names, 2));
    assert_false(net_http_host_allowed(SLICE_LITERAL("other"), "0.0.0.0:8080", NULL, 0));
}

/* Whether a request with these field lines passes. */
static bool origin_allowed(const char *lines)
{
    char text[256] = "GET / HTTP/1.1\r\nHost: localhost:9600\r\n";
    strcat(strcat(text, lines), "\r\n");
    struct net_http_head head;
    size_t scanned = 0;
    struct net_http_refusal refusal;
    assert_int_equal(net_http_head_parse(slice_string(text), &scanned, &head, &refusal),
                     NET_HTTP_DONE);
    return net_http_origin_allowed(&head);
}

static void only_the_same_origin_passes(void **state)
{
    (void)state;
    assert_true(origin_allowed(""));
    assert_true(origin_allowed("Origin: http://localhost:9600\r\n"));
    assert_true(origin_allowed("Origin: https://LOCALHOST:9600\r\n"));
    assert_false(origin_allowed("Origin: http://localhost\r\n"));
    assert_false(origin_allowed("Origin: http://localhost:96000\r\n"));
    assert_false(origin_allowed("Origin: http://evil.example\r\n"));
    assert_false(origin_allowed("Origin: null\r\n"));
    assert_false(origin_allowed("Origin:\r\n"));
    assert_false(origin_allowed("Origin: http://localhost:9600\r\nOrigin: http://b\r\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(escapes_become_bytes),
        cmocka_unit_test(broken_escapes_are_errors),
        cmocka_unit_test(a_path_matches_segment_by_segment),
        cmocka_unit_test(query_parameters_are_found_and_decoded),
        cmocka_unit_test(hosts_that_a_door_answers_to),
        cmocka_unit_test(only_the_same_origin_passes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
