#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "net/http/head.h"

#define HOST "Host: example.com\r\n"

/* The status that a head is refused with, 200 when it is accepted, 0 when it is not whole. The
 * bytes lie in a block of their own, so that reading past them is found. */
static int judge_bytes(const char *text, size_t size, struct net_http_head *head)
{
    size_t scanned = 0;
    struct net_http_refusal refusal = {0};
    switch (net_http_head_parse(slice_make(text, size), &scanned, head, &refusal)) {
    case NET_HTTP_MORE: return 0;
    case NET_HTTP_DONE: return 200;
    case NET_HTTP_REFUSED: assert_non_null(refusal.detail); return refusal.status;
    }
    return -1;
}

static int judge(const char *text)
{
    struct net_http_head head;
    char *copy = malloc(strlen(text) + 1);
    memcpy(copy, text, strlen(text));
    int status = judge_bytes(copy, strlen(text), &head);
    free(copy);
    return status;
}

static void a_plain_request_is_taken_apart(void **state)
{
    (void)state;
    const char *text = "POST /v1/topics/a%20b/records?x=1&y HTTP/1.1\r\nHost: example.com:8080\r\n"
                       "content-LENGTH:  12 \r\nAccept:\r\nX-A: a  b \t\r\n\r\n{\"a\":1}";
    struct net_http_head head;
    assert_int_equal(judge_bytes(text, strlen(text), &head), 200);
    assert_int_equal(head.method, NET_HTTP_POST);
    assert_true(slice_equal_string(head.method_name, "POST"));
    assert_true(slice_equal_string(head.target, "/v1/topics/a%20b/records?x=1&y"));
    assert_true(slice_equal_string(head.path, "/v1/topics/a%20b/records"));
    assert_true(slice_equal_string(head.query, "x=1&y"));
    assert_true(slice_equal_string(head.host, "example.com:8080"));
    assert_int_equal(head.minor, 1);
    assert_true(head.persistent);
    assert_true(head.fields.has_length);
    assert_false(head.fields.chunked);
    assert_int_equal(head.fields.length, 12);
    assert_int_equal(head.fields.count, 4);
    assert_int_equal(head.size, strlen(text) - 7);
    assert_true(slice_equal_string(net_http_fields_get(&head.fields, "x-a"), "a  b"));
    struct slice empty = net_http_fields_get(&head.fields, "accept");
    assert_non_null(empty.data);
    assert_int_equal(empty.size, 0);
    assert_null(net_http_fields_get(&head.fields, "x-b").data);
}

static void what_is_fed_in_pieces_is_judged_as_what_comes_at_once(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "GET / HTTP/1.1\r\n" HOST "\r\n",
        "\r\nGET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n",
        "\x16\x03\x01\x02",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        int whole = judge(texts[i]);
        struct net_http_head head;
        struct net_http_refusal refusal;
        size_t scanned = 0;
        int status = 0;
        size_t size = 0;
        while (status == 0 && ++size <= strlen(texts[i])) {
            char *copy = malloc(size);
            memcpy(copy, texts[i], size);
            enum net_http_parse result =
                net_http_head_parse(slice_make(copy, size), &scanned, &head, &refusal);
            if (result != NET_HTTP_MORE)
                status = result == NET_HTTP_DONE ? 200 : refusal.status;
            free(copy);
        }
        assert_int_equal(status, whole);
        if (whole == 200)
            assert_int_equal(size, strlen(texts[i]));
    }
}

static void every_prefix_of_a_good_head_asks_for_more(void **state)
{
    (void)state;
    const char *text = "\r\nDELETE http://example.com?q HTTP/1.1\r\n" HOST "A: b\r\n\r\n";
    struct net_http_head head;
    for (size_t size = 0; size < strlen(text); size++) {
        char *copy = malloc(size + 1);
        memcpy(copy, text, size);
        assert_int_equal(judge_bytes(copy, size, &head), 0);
        free(copy);
    }
    assert_int_equal(judge_bytes(text, strlen(text), &head), 200);
    assert_true(slice_equal_string(head.path, "/"));
    assert_true(slice_equal_string(head.query, "q"));
}

static void forms_used_for_smuggling_are_refused(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *text;
    } cases[] = {
        {400, "GET / HTTP/1.1\r\n" HOST "A: b\rc\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" HOST "A: b\nC: d\r\n\r\n"},
        {400, "GET / HTTP/1.1\n" HOST "\r\n"},
        {400, "GET / HTTP/1.1\r\n" HOST "A: b\r\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" HOST "A: b\r\n folded\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" HOST "A: b\r\n\tfolded\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n Host: a\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost : a\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n: a\r\n" HOST "\r\n"},
        {400, "GET / HTTP/1.1\r\n" HOST "nocolon\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" HOST "A\x01: b\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" HOST "A: b\x7f\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" HOST HOST "\r\n"},
        {400, "GET / HTTP/1.1\r\nHost:\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: user@a\r\n\r\n"},
        {400, "GET http://other/ HTTP/1.1\r\n" HOST "\r\n"},
        {400, "GET http:///x HTTP/1.1\r\n" HOST "\r\n"},
        {400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 1\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 2\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 1, 1\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\n" HOST "Content-Length: +1\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\n" HOST "Content-Length: -1\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 0x10\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 1\t\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 1 \t \r\n\r\n"},
        {400, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked \t\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 18446744073709551616\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: "
              "chunked\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: identity\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked, gzip\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding:\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\v\r\n\r\n"},
        {501, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n"},
        {400, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {417, "POST / HTTP/1.1\r\n" HOST "Expect: 200-ok\r\n\r\n"},
        {417, "POST / HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nExpect: 100-continue\r\n\r\n"},
        {400, "GET /\r\n\r\n"},
        {400, "GET  / HTTP/1.1\r\n" HOST "\r\n"},
        {400, "GET / HTTP/1.1 \r\n" HOST "\r\n"},
        {400, "GET / http/1.1\r\n" HOST "\r\n"},
        {400, "GET / HTTP/1.10\r\n" HOST "\r\n"},
        {400, "GET / HTTP/11\r\n" HOST "\r\n"},
        {505, "GET / HTTP/2.0\r\n" HOST "\r\n"},
        {505, "GET / HTTP/1.2\r\n" HOST "\r\n"},
        {505, "GET / HTTP/0.9\r\n" HOST "\r\n"},
        {400, "G(T / HTTP/1.1\r\n" HOST "\r\n"},
        {400, "GET /a#b HTTP/1.1\r\n" HOST "\r\n"},
        {400, "GET /\"a\" HTTP/1.1\r\n" HOST "\r\n"},
        {400, "GET /\xc3\xa9 HTTP/1.1\r\n" HOST "\r\n"},
        {400, "GET a HTTP/1.1\r\n" HOST "\r\n"},
        {400, "GET * HTTP/1.1\r\n" HOST "\r\n"},
        {400, "GET ftp://example.com/ HTTP/1.1\r\n" HOST "\r\n"},
        {501, "CONNECT a:1 HTTP/1.1\r\n" HOST "\r\n"},
        {400, " GET / HTTP/1.1\r\n" HOST "\r\n"},
        {400, "\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n"},
        {400, "\rGET / HTTP/1.1\r\n" HOST "\r\n"},
        {400, "\n"},
        {400, "{\"a\":1}"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int status = judge(cases[i].text);
        if (status != cases[i].status)
            print_error("case %zu: %s\n", i, cases[i].text);
        assert_int_equal(status, cases[i].status);
    }
}

static void a_zero_byte_is_refused_anywhere(void **state)
{
    (void)state;
    const char text[] = "GET /abc HTTP/1.1\r\nHost: example.com\r\nA: bcd\r\n\r\n";
    struct net_http_head head;
    for (size_t i = 0; i < sizeof(text) - 1; i++) {
        char copy[sizeof(text)];
        memcpy(copy, text, sizeof(text));
        copy[i] = '\0';
        assert_in_set((unsigned)judge_bytes(copy, sizeof(text) - 1, &head),
                      ((const unsigned long[]){0, 400}), 2);
        /* The bytes that end the head are the only ones without which it is not whole. */
        if (i < sizeof(text) - 4)
            assert_int_equal(judge_bytes(copy, sizeof(text) - 1, &head), 400);
    }
}

static void forms_that_the_rfc_wants_accepted_are(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.0\r\nExpect: something\r\n\r\n",
        "\r\nGET / HTTP/1.1\r\n" HOST "\r\n",
        "OPTIONS * HTTP/1.1\r\n" HOST "\r\n",
        "PROPFIND / HTTP/1.1\r\n" HOST "\r\n",
        "GET http://example.com/a?b HTTP/1.1\r\n" HOST "\r\n",
        "GET HTTPS://Example.com HTTP/1.1\r\n" HOST "\r\n",
        "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: Chunked\r\n\r\n",
        "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding:\tchunked  \r\n\r\n",
        "POST / HTTP/1.1\r\n" HOST "Expect: 100-Continue\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n",
        "GET / HTTP/1.1\r\n" HOST "A: \xc3\xa9\t\"\\{}<>|^` b\r\n\r\n",
        "GET / HTTP/1.1\r\n" HOST "!#$%&'*+-.^_`|~9aZ:\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        int status = judge(texts[i]);
        if (status != 200)
            print_error("%s\n", texts[i]);
        assert_int_equal(status, 200);
    }
}

static bool persistent(const char *text)
{
    struct net_http_head head;
    assert_int_equal(judge_bytes(text, strlen(text), &head), 200);
    return head.persistent;
}

static void connection_options_are_lists_in_any_case(void **state)
{
    (void)state;
    assert_true(persistent("GET / HTTP/1.1\r\n" HOST "\r\n"));
    assert_false(persistent("GET / HTTP/1.0\r\n\r\n"));
    assert_true(persistent("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"));
    assert_false(persistent("GET / HTTP/1.1\r\n" HOST "Connection: TE , Close\r\n\r\n"));
    assert_false(
        persistent("GET / HTTP/1.1\r\n" HOST "Connection: TE\r\nConnection: close\r\n\r\n"));
    assert_false(persistent("GET / HTTP/1.1\r\n" HOST "Connection: keep-alive, close\r\n\r\n"));
    assert_true(persistent("GET / HTTP/1.1\r\n" HOST "Connection: closed\r\n\r\n"));
}

/* "GET /aaa... HTTP/1.1" of `size` bytes with its CRLF, and a Host. */
static char *long_line(size_t size)
{
    char *text = malloc(size + sizeof(HOST) + 2);
    memset(text, 'a', size);
    memcpy(text, "GET /", 5);
    memcpy(text + size - 11, " HTTP/1.1\r\n", 11);
    memcpy(text + size, HOST "\r\n", sizeof(HOST) + 2);
    return text;
}

static void a_request_line_over_its_limit_is_414(void **state)
{
    (void)state;
    char *text = long_line(NET_HTTP_LINE_MAX);
    assert_int_equal(judge(text), 200);
    free(text);
    text = long_line(NET_HTTP_LINE_MAX + 1);
    assert_int_equal(judge(text), 414);
    struct net_http_head head;
    assert_int_equal(judge_bytes(text, NET_HTTP_LINE_MAX - 1, &head), 0);
    assert_int_equal(judge_bytes(text, NET_HTTP_LINE_MAX, &head), 414);
    free(text);
}

static void a_head_over_its_limit_is_431(void **state)
{
    (void)state;
    const char begin[] = "GET / HTTP/1.1\r\n" HOST "A: ";
    for (size_t over = 0; over < 2; over++) {
        size_t size = NET_HTTP_HEAD_MAX + over;
        char *text = malloc(size);
        memset(text, 'a', size);
        memcpy(text, begin, sizeof(begin) - 1);
        memcpy(text + size - 4, "\r\n\r\n", 4);
        struct net_http_head head;
        assert_int_equal(judge_bytes(text, size, &head), over ? 431 : 200);
        assert_int_equal(judge_bytes(text, NET_HTTP_HEAD_MAX - 1, &head), 0);
        free(text);
    }
}

static void more_than_100_fields_are_431(void **state)
{
    (void)state;
    char text[2048];
    for (int count = 99; count <= 100; count++) {
        int size = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n" HOST);
        for (int i = 0; i < count; i++)
            size += snprintf(text + size, sizeof(text) - (size_t)size, "a:b\r\n");
        snprintf(text + size, sizeof(text) - (size_t)size, "\r\n");
        assert_int_equal(judge(text), count == 99 ? 200 : 431);
    }
}

static void fields_that_repeat_are_found_in_their_order(void **state)
{
    (void)state;
    const char *text = "GET / HTTP/1.1\r\n" HOST "A: 1\r\nb: 2\r\na: 3\r\n\r\n";
    struct net_http_head head;
    assert_int_equal(judge_bytes(text, strlen(text), &head), 200);
    uint32_t index = 0;
    assert_true(slice_equal_string(net_http_fields_next(&head.fields, "A", &index), "1"));
    assert_true(slice_equal_string(net_http_fields_next(&head.fields, "A", &index), "3"));
    assert_null(net_http_fields_next(&head.fields, "A", &index).data);
    assert_null(net_http_fields_next(&head.fields, "A", &index).data);
}

static enum net_http_parse parse_response(const char *text, struct net_http_response_head *head)
{
    size_t scanned = 0;
    struct net_http_refusal refusal;
    return net_http_response_head_parse(slice_string(text), &scanned, head, &refusal);
}

static void response_heads_are_taken_apart(void **state)
{
    (void)state;
    struct net_http_response_head head;
    const char *text = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 2\r\n"
                       "\r\n{}";
    assert_int_equal(parse_response(text, &head), NET_HTTP_DONE);
    assert_int_equal(head.status, 503);
    assert_true(head.persistent);
    assert_int_equal(head.fields.length, 2);
    assert_int_equal(head.size, strlen(text) - 2);
    assert_true(slice_equal_string(net_http_fields_get(&head.fields, "retry-after"), "1"));
    assert_int_equal(parse_response("HTTP/1.1 200\r\n\r\n", &head), NET_HTTP_DONE);
    assert_int_equal(parse_response("HTTP/1.0 200 OK\r\n\r\n", &head), NET_HTTP_DONE);
    assert_false(head.persistent);
    assert_int_equal(parse_response("HTTP/1.1 200 OK\r\n", &head), NET_HTTP_MORE);
}

static void response_heads_that_are_none_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 600 No\r\n\r\n",
        "HTTP/1.1 099 No\r\n\r\n",
        "HTTP/1.1  200 OK\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 O\x01K\r\n\r\n",
        "HTTP/1.1\r\n\r\n",
        "HTTP/1.1 200 OK\r\na\r\n\r\n",
        "HTTP/1.1 2x0 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    };
    struct net_http_response_head head;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_int_equal(parse_response(texts[i], &head), NET_HTTP_REFUSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_request_is_taken_apart),
        cmocka_unit_test(what_is_fed_in_pieces_is_judged_as_what_comes_at_once),
        cmocka_unit_test(every_prefix_of_a_good_head_asks_for_more),
        cmocka_unit_test(forms_used_for_smuggling_are_refused),
        cmocka_unit_test(a_zero_byte_is_refused_anywhere),
        cmocka_unit_test(forms_that_the_rfc_wants_accepted_are),
        cmocka_unit_test(connection_options_are_lists_in_any_case),
        cmocka_unit_test(a_request_line_over_its_limit_is_414),
        cmocka_unit_test(a_head_over_its_limit_is_431),
        cmocka_unit_test(more_than_100_fields_are_431),
        cmocka_unit_test(fields_that_repeat_are_found_in_their_order),
        cmocka_unit_test(response_heads_are_taken_apart),
        cmocka_unit_test(response_heads_that_are_none_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
