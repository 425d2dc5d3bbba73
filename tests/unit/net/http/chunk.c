#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "net/http/chunk.h"

struct outcome {
    enum net_http_parse result;
    char body[256];
    size_t body_size;
};

/* Decodes `text` in pieces of `piece` bytes. */
static struct outcome decode(const char *text, size_t piece)
{
    struct outcome o = {.result = NET_HTTP_MORE};
    struct net_http_chunk chunk = {0};
    struct net_http_refusal refusal = {0};
    struct slice all = slice_string(text);
    for (size_t at = 0; at < all.size && o.result == NET_HTTP_MORE; at += piece) {
        struct slice in = slice_sub(all, at, piece);
        while (in.size && o.result == NET_HTTP_MORE) {
            struct slice data;
            o.result = net_http_chunk_decode(&chunk, &in, &data, &refusal);
            memcpy(o.body + o.body_size, data.data ? (const char *)data.data : "", data.size);
            o.body_size += data.size;
        }
    }
    if (o.result == NET_HTTP_REFUSED) {
        assert_int_equal(refusal.status, 400);
        assert_non_null(refusal.detail);
    }
    return o;
}

static void a_body_is_the_same_however_it_is_cut(void **state)
{
    (void)state;
    const char *text = "5\r\nhello\r\n001\r\n \r\nA\r\nworld56789\r\n0\r\n\r\n";
    for (size_t piece = 1; piece <= strlen(text); piece++) {
        struct outcome o = decode(text, piece);
        assert_int_equal(o.result, NET_HTTP_DONE);
        assert_int_equal(o.body_size, 16);
        assert_memory_equal(o.body, "hello world56789", 16);
    }
}

static void what_follows_the_last_chunk_is_left(void **state)
{
    (void)state;
    struct slice in = SLICE_LITERAL("0\r\n\r\nGET /");
    struct net_http_chunk chunk = {0};
    struct slice data;
    struct net_http_refusal refusal;
    assert_int_equal(net_http_chunk_decode(&chunk, &in, &data, &refusal), NET_HTTP_DONE);
    assert_true(slice_equal_string(in, "GET /"));
}

static void a_body_that_stops_asks_for_more(void **state)
{
    (void)state;
    const char *text = "5\r\nhello\r\n0\r\n\r\n";
    char part[32];
    for (size_t size = 0; size < strlen(text); size++) {
        memcpy(part, text, size);
        part[size] = '\0';
        assert_int_equal(decode(part, 100).result, NET_HTTP_MORE);
    }
}

static void forms_that_two_parsers_may_read_differently_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "\r\n",
        "g\r\n",
        "0x5\r\nhello\r\n",
        "-1\r\n",
        " 5\r\nhello\r\n",
        "5 \r\nhello\r\n",
        "5\nhello\r\n",
        "5\r\r\nhello\r\n",
        "5\rhello",
        "5;a=b\r\nhello\r\n",
        "5;\r\nhello\r\n",
        "5\r\nhelloX",
        "5\r\nhello\nX",
        "5\r\nhello\rX",
        "0\r\nTrailer: a\r\n\r\n",
        "0\r\n\n",
        "0\r\n\rX",
        "0\n\n",
        "0000000000000001\r\n",
        "ffffffffffffffff\r\n",
        "10000000000000005\r\nhello\r\n",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        for (size_t piece = 1; piece < 4; piece++)
            assert_int_equal(decode(texts[i], piece).result, NET_HTTP_REFUSED);
    }
}

static void bytes_of_a_chunk_can_be_counted_without_being_seen(void **state)
{
    (void)state;
    struct slice in = SLICE_LITERAL("a\r\nab");
    struct net_http_chunk chunk = {0};
    struct slice data;
    struct net_http_refusal refusal;
    assert_int_equal(net_http_chunk_pending(&chunk), 0);
    assert_int_equal(net_http_chunk_decode(&chunk, &in, &data, &refusal), NET_HTTP_MORE);
    assert_int_equal(data.size, 2);
    assert_int_equal(net_http_chunk_pending(&chunk), 8);
    net_http_chunk_advance(&chunk, 3);
    assert_int_equal(net_http_chunk_pending(&chunk), 5);
    net_http_chunk_advance(&chunk, 5);
    assert_int_equal(net_http_chunk_pending(&chunk), 0);
    in = SLICE_LITERAL("\r\n0\r\n\r\n");
    assert_int_equal(net_http_chunk_decode(&chunk, &in, &data, &refusal), NET_HTTP_DONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_is_the_same_however_it_is_cut),
        cmocka_unit_test(what_follows_the_last_chunk_is_left),
        cmocka_unit_test(a_body_that_stops_asks_for_more),
        cmocka_unit_test(forms_that_two_parsers_may_read_differently_are_refused),
        cmocka_unit_test(bytes_of_a_chunk_can_be_counted_without_being_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
