#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "net/http/client.h"
#include "unit/net/fake_tcp.h"

struct fixture {
    struct fake_loop *fake;
    struct net_http_client *client;
    struct io_tcp *tcp;
    unsigned ready;
    unsigned responses;
    unsigned closed;
    bool send_again;
    int status;
    bool persistent;
    char field[32];
    struct fake_bytes body;
    err_t closed_for;
};

static void send_get(struct fixture *f)
{
    struct slice parts[] = {SLICE_LITERAL("GET / HTTP/1.1\r\n"), SLICE_LITERAL("Host: a\r\n\r\n")};
    assert_true(err_is_ok(net_http_client_send(f->client, parts, 2, false)));
    assert_true(net_http_client_busy(f->client));
}

static void on_ready(void *owner)
{
    ((struct fixture *)owner)->ready++;
}

static void on_response(void *owner, const struct net_http_client_response *response)
{
    struct fixture *f = owner;
    f->responses++;
    f->status = response->status;
    f->persistent = response->persistent;
    struct slice field = net_http_fields_get(response->fields, "x-field");
    snprintf(f->field, sizeof(f->field), "%.*s", SLICE_PRINTF(field));
    f->body.size = 0;
    fake_append(&f->body, response->body.data ? (const void *)response->body.data : "",
                response->body.size);
    if (f->send_again)
        send_get(f);
}

static void on_closed(void *owner, err_t err)
{
    struct fixture *f = owner;
    f->closed++;
    f->closed_for = err;
}

static const struct net_http_client_events events = {on_ready, on_response, on_closed};

static struct fixture *begin(size_t response_max)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->fake = fake_loop_new();
    struct err_text why = {0};
    assert_true(err_is_ok(net_http_client_new(&f->fake->loop, "127.0.0.1:80", response_max, &events,
                                              f, &f->client, &why)));
    f->tcp = f->fake->tcps[0];
    fake_run(f->fake);
    assert_int_equal(f->ready, 1);
    return f;
}

static void end(struct fixture *f)
{
    net_http_client_close(f->client);
    net_http_client_close(f->client);
    fake_run(f->fake);
    assert_int_equal(f->closed, 1);
    net_http_client_free(&f->client);
    assert_null(f->client);
    fake_loop_free(f->fake);
    free(f->body.data);
    free(f);
}

static void answer(struct fixture *f, const char *text)
{
    fake_send_text(f->tcp, text);
    fake_run(f->fake);
}

static void requests_and_answers_take_turns(void **state)
{
    (void)state;
    struct fixture *f = begin(1000);
    for (unsigned i = 1; i <= 3; i++) {
        send_get(f);
        answer(f, "HTTP/1.1 200 OK\r\nX-Field: a\r\nContent-Length: 5\r\n\r\nhello");
        assert_int_equal(f->responses, i);
        assert_int_equal(f->status, 200);
        assert_true(f->persistent);
        assert_string_equal(f->field, "a");
        assert_int_equal(f->body.size, 5);
        assert_memory_equal(f->body.data, "hello", 5);
        assert_false(net_http_client_busy(f->client));
    }
    assert_int_equal(fake_count(f->tcp, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 3);
    assert_int_equal(f->tcp->writes, 3);
    end(f);
}

static void the_next_request_can_be_sent_from_the_answer(void **state)
{
    (void)state;
    struct fixture *f = begin(1000);
    f->send_again = true;
    send_get(f);
    for (unsigned i = 1; i <= 3; i++) {
        answer(f, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
        assert_int_equal(f->responses, i);
        assert_true(net_http_client_busy(f->client));
    }
    end(f);
}

static void all_framings_are_understood_however_they_are_cut(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *body;
        bool persistent;
        bool ends;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\nX-Field: f\r\nContent-Length: 0\r\n\r\n", "", true, false},
        {"HTTP/1.1 204 No Content\r\nX-Field: f\r\n\r\n", "", true, false},
        {"HTTP/1.1 304 Not Modified\r\nX-Field: f\r\nContent-Length: 5\r\n\r\n", "", true, false},
        {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nX-Field: f\r\nContent-Length: "
         "3\r\n\r\nabc",
         "abc", true, false},
        {"HTTP/1.1 200 OK\r\nX-Field: f\r\nTransfer-Encoding: chunked\r\n\r\n"
         "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
         "abcde", true, false},
        {"HTTP/1.1 200 OK\r\nX-Field: f\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc",
         "abc", false, false},
        {"HTTP/1.0 200 OK\r\nX-Field: f\r\n\r\nto the end", "to the end", false, true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (size_t piece = 0; piece < 4; piece++) {
            struct fixture *f = begin(1000);
            f->tcp->piece = piece;
            send_get(f);
            fake_send_text(f->tcp, cases[i].text);
            if (cases[i].ends)
                fake_end(f->tcp, ERR_END);
            fake_run(f->fake);
            assert_int_equal(f->responses, 1);
            assert_int_equal(f->persistent, cases[i].persistent);
            assert_int_equal(f->body.size, strlen(cases[i].body));
            assert_memory_equal(f->body.data, cases[i].body, f->body.size);
            assert_string_equal(f->field, "f");
            assert_int_equal(f->tcp->closed, !cases[i].persistent);
            end(f);
        }
    }
}

static void an_answer_to_head_has_no_body(void **state)
{
    (void)state;
    struct fixture *f = begin(1000);
    struct slice request = SLICE_LITERAL("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(err_is_ok(net_http_client_send(f->client, &request, 1, true)));
    answer(f, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    assert_int_equal(f->responses, 1);
    assert_int_equal(f->body.size, 0);
    end(f);
}

static void a_body_far_larger_than_the_head_moves_nothing_out_of_view(void **state)
{
    (void)state;
    struct fixture *f = begin(1 << 20);
    send_get(f);
    answer(f, "HTTP/1.1 200 OK\r\nX-Field: here\r\nContent-Length: 500000\r\n\r\n");
    char *bytes = calloc(1, 500000);
    fake_send(f->tcp, bytes, 500000);
    fake_run(f->fake);
    free(bytes);
    assert_int_equal(f->body.size, 500000);
    assert_string_equal(f->field, "here");
    end(f);
}

static void what_is_no_answer_ends_the_connection(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "SSH-2.0-x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct fixture *f = begin(1000);
        send_get(f);
        answer(f, texts[i]);
        assert_int_equal(f->responses, 0);
        assert_int_equal(f->closed, 1);
        assert_true(err_is(f->closed_for, ERR_SYNTAX));
        end(f);
    }
    /* Nor are bytes that nobody asked for. */
    struct fixture *f = begin(1000);
    answer(f, "HTTP/1.1 408 Request Timeout\r\n");
    assert_true(err_is(f->closed_for, ERR_SYNTAX));
    end(f);
}

static void an_answer_over_the_cap_ends_the_connection(void **state)
{
    (void)state;
    static const char *const heads[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4e20\r\n",
    };
    char bytes[20000] = {0};
    for (size_t i = 0; i < 2; i++) {
        struct fixture *f = begin(1000);
        send_get(f);
        answer(f, heads[i]);
        fake_send(f->tcp, bytes, sizeof(bytes));
        fake_run(f->fake);
        assert_int_equal(f->responses, 0);
        assert_true(err_is(f->closed_for, ERR_TOO_LARGE));
        end(f);
    }
}

static void a_peer_that_goes_is_reported(void **state)
{
    (void)state;
    struct fixture *f = begin(1000);
    send_get(f);
    fake_end(f->tcp, ERR_END);
    fake_run(f->fake);
    assert_true(err_is(f->closed_for, ERR_CLOSED));
    assert_true(net_http_client_busy(f->client));
    end(f);

    f = begin(1000);
    send_get(f);
    fake_end(f->tcp, ERR_IO);
    fake_run(f->fake);
    assert_true(err_is(f->closed_for, ERR_IO));
    struct slice request = SLICE_LITERAL("x");
    end(f);

    f = begin(1000);
    f->tcp->write_fails = true;
    assert_true(err_is(net_http_client_send(f->client, &request, 1, false), ERR_CLOSED));
    fake_run(f->fake);
    assert_true(err_is(f->closed_for, ERR_CLOSED));
    assert_true(err_is(net_http_client_send(f->client, &request, 1, false), ERR_CLOSED));
    end(f);
}

static void connecting_that_fails_is_reported(void **state)
{
    (void)state;
    struct fixture f = {.fake = fake_loop_new()};
    struct err_text why = {0};
    assert_true(
        err_is(net_http_client_new(&f.fake->loop, "nowhere", 10, &events, &f, &f.client, &why),
               ERR_INVALID));
    assert_string_equal(why.text, "nowhere is no address");
    assert_true(err_is_ok(
        net_http_client_new(&f.fake->loop, "127.0.0.1:1", 10, &events, &f, &f.client, &why)));
    f.fake->tcps[0]->end_error = err_make(ERR_IO);
    fake_run(f.fake);
    assert_int_equal(f.ready, 0);
    assert_int_equal(f.closed, 1);
    assert_true(err_is(f.closed_for, ERR_IO));
    net_http_client_free(&f.client);
    fake_loop_free(f.fake);
}

static void no_memory_ends_the_connection(void **state)
{
    (void)state;
    bool done = false;
    for (uint64_t n = 1; !done; n++) {
        struct fixture *f = begin(100000);
        send_get(f);
        mem_fail_after(n);
        f->tcp->piece = 9;
        answer(f, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
        done = mem_alloc_count() < n;
        mem_fail_after(0);
        assert_int_equal(f->responses, done);
        if (!done)
            assert_true(err_is(f->closed_for, ERR_MEMORY));
        end(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_and_answers_take_turns),
        cmocka_unit_test(the_next_request_can_be_sent_from_the_answer),
        cmocka_unit_test(all_framings_are_understood_however_they_are_cut),
        cmocka_unit_test(an_answer_to_head_has_no_body),
        cmocka_unit_test(a_body_far_larger_than_the_head_moves_nothing_out_of_view),
        cmocka_unit_test(what_is_no_answer_ends_the_connection),
        cmocka_unit_test(an_answer_over_the_cap_ends_the_connection),
        cmocka_unit_test(a_peer_that_goes_is_reported),
        cmocka_unit_test(connecting_that_fails_is_reported),
        cmocka_unit_test(no_memory_ends_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
