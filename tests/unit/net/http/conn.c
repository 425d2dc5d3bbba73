#include "unit/net/http/fixture.h"

static void a_request_is_served_and_the_connection_kept(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(NULL);
    struct io_tcp *tcp = fixture_connect(f);
    for (unsigned i = 1; i <= 3; i++) {
        fixture_send(f, tcp, ECHO_REQUEST);
        assert_int_equal(fake_count(tcp, "HTTP/1.1 200 OK\r\n"), i);
        assert_int_equal(fake_count(tcp, "\r\n\r\nhello"), i);
    }
    assert_false(tcp->closed);
    assert_int_equal(fake_count(tcp, "Connection:"), 0);
    fixture_free(f);
}

static void requests_cut_at_every_byte_are_served_the_same(void **state)
{
    (void)state;
    static const char text[] =
        ECHO_REQUEST "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                     "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\nPOST /none HTTP/1.1\r\nHost: a\r\n"
                     "Content-Length: 3\r\n\r\nxyz" ECHO_REQUEST;
    for (size_t cut = 1; cut < sizeof(text); cut++) {
        struct fixture *f = fixture_new(NULL);
        struct io_tcp *tcp = fixture_connect(f);
        fake_send(tcp, text, cut);
        fake_run(f->fake);
        fake_send(tcp, text + cut, sizeof(text) - 1 - cut);
        fake_run(f->fake);
        assert_int_equal(fake_count(tcp, "HTTP/1.1 200 OK\r\n"), 3);
        assert_int_equal(fake_count(tcp, "\r\n\r\nhello"), 2);
        assert_int_equal(fake_count(tcp, "\r\n\r\nabcde"), 1);
        assert_int_equal(fake_count(tcp, "HTTP/1.1 404 Not Found\r\n"), 1);
        assert_false(tcp->closed);
        fixture_free(f);
    }
    for (size_t piece = 1; piece < 8; piece++) {
        struct fixture *f = fixture_new(NULL);
        struct io_tcp *tcp = fixture_connect(f);
        tcp->piece = piece;
        fixture_send(f, tcp, text);
        assert_int_equal(fake_count(tcp, "HTTP/1.1 200 OK\r\n"), 3);
        assert_int_equal(f->bodies, 3);
        fixture_free(f);
    }
}

static void a_small_body_is_handed_over_where_it_was_read(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(NULL);
    struct io_tcp *tcp = fixture_connect(f);
    fixture_send(f, tcp, ECHO_REQUEST);
    const uint8_t *first = f->body_at;
    mem_fail_after(0);
    fixture_send(f, tcp, ECHO_REQUEST);
    /* The same place again, and no memory taken but what the answer was made of: none. */
    assert_ptr_equal(f->body_at, first);
    assert_int_equal(mem_alloc_count(), 0);
    fixture_free(f);
}

/* A POST to `path` with `size` bytes of body, each its place modulo 251. */
static char *large_request(const char *path, size_t size, size_t *total)
{
    char *text = malloc(size + 256);
    int head = snprintf(text, 256, "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n",
                        path, size);
    for (size_t i = 0; i < size; i++)
        text[(size_t)head + i] = (char)(i % 251);
    *total = (size_t)head + size;
    return text;
}

static void a_large_body_arrives_whole(void **state)
{
    (void)state;
    size_t total;
    char *text = large_request("/later", 1 << 20, &total);
    static const size_t pieces[] = {0, 1000, 65536, 99991};
    for (size_t i = 0; i < 4; i++) {
        struct fixture *f = fixture_new(NULL);
        struct io_tcp *tcp = fixture_connect(f);
        tcp->piece = pieces[i];
        fake_send(tcp, text, total);
        fixture_send(f, tcp, ECHO_REQUEST);
        assert_int_equal(f->later_count, 1);
        assert_int_equal(f->bodies, 2);
        fixture_reply(f, 0, "first");
        assert_non_null(strstr(strstr(fake_written(tcp), "first"), "hello"));
        fixture_free(f);

        f = fixture_new(NULL);
        tcp = fixture_connect(f);
        tcp->piece = pieces[i];
        fake_send(tcp, text, total);
        fake_run(f->fake);
        assert_int_equal(f->last_body.size, 1 << 20);
        assert_memory_equal(f->last_body.data, text + total - (1 << 20), 1 << 20);
        fixture_reply(f, 0, "");
        fixture_free(f);
    }
    free(text);
}

static void a_large_chunk_is_read_straight_into_its_body(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(NULL);
    struct io_tcp *tcp = fixture_connect(f);
    char *body = malloc(300000);
    for (size_t i = 0; i < 300000; i++)
        body[i] = (char)('a' + i % 23);
    fixture_send(f, tcp, "POST /later HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    fixture_send(f, tcp, "493e0\r\n");
    fake_send(tcp, body, 300000);
    fake_run(f->fake);
    fixture_send(f, tcp, "\r\n3\r\nend\r\n0\r\n\r\n" ECHO_REQUEST);
    assert_int_equal(f->bodies, 2);
    assert_int_equal(f->last_body.size, 5);
    fixture_reply(f, 0, "ok");
    assert_int_equal(fake_count(tcp, "200 OK"), 2);
    free(body);
    fixture_free(f);
}

static void pipelined_answers_keep_the_order_of_their_requests(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(NULL);
    struct io_tcp *tcp = fixture_connect(f);
    fixture_send(f, tcp, LATER_REQUEST LATER_REQUEST ECHO_REQUEST LATER_REQUEST);
    assert_int_equal(f->later_count, 3);
    assert_int_equal(tcp->out.size, 0);
    fixture_reply(f, 2, "third");
    fixture_reply(f, 1, "second");
    assert_int_equal(tcp->out.size, 0);
    fixture_reply(f, 0, "first");
    const char *at = strstr(fake_written(tcp), "first");
    at = strstr(at, "second");
    at = strstr(at, "hello");
    assert_non_null(strstr(at, "third"));
    assert_int_equal(tcp->writes, 1);
    fixture_free(f);
}

static void too_many_pipelined_requests_wait_unread(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(NULL);
    struct io_tcp *tcp = fixture_connect(f);
    for (int i = 0; i < 200; i++)
        fake_send_text(tcp, LATER_REQUEST);
    fake_run(f->fake);
    assert_int_equal(f->later_count, 64);
    assert_false(tcp->reading);
    /* Being blocked is not being slow. */
    fake_advance(f->fake, 200000);
    assert_false(tcp->closed);
    for (size_t i = 0; i < 200; i++)
        fixture_reply(f, i, "x");
    assert_int_equal(f->later_count, 200);
    assert_int_equal(fake_count(tcp, "200 OK"), 200);
    assert_true(tcp->reading);
    fixture_free(f);
}

static void continue_is_sent_when_the_body_will_be_read(void **state)
{
    (void)state;
    static const char expect[] = "HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
                                 "Expect: 100-continue\r\n\r\n";
    char text[256];
    struct fixture *f = fixture_new(NULL);
    struct io_tcp *tcp = fixture_connect(f);
    snprintf(text, sizeof(text), "POST /echo %s", expect);
    fixture_send(f, tcp, text);
    assert_string_equal(fake_written(tcp), "HTTP/1.1 100 Continue\r\n\r\n");
    fixture_send(f, tcp, "hello");
    assert_int_equal(fake_count(tcp, "200 OK"), 1);
    /* Not when the body is here already, nor when it will not be read. */
    fake_forget_written(tcp);
    strcat(text, "hello");
    fixture_send(f, tcp, text);
    assert_int_equal(fake_count(tcp, "100 Continue"), 0);
    assert_int_equal(fake_count(tcp, "200 OK"), 1);
    snprintf(text, sizeof(text), "POST /none %s", expect);
    fixture_send(f, tcp, text);
    assert_int_equal(fake_count(tcp, "100 Continue"), 0);
    assert_int_equal(fake_count(tcp, "404 Not Found"), 1);
    assert_int_equal(fake_count(tcp, "Connection: close"), 1);
    assert_true(tcp->shut);
    fixture_free(f);
}

static void continue_waits_for_the_answers_before_it(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(NULL);
    struct io_tcp *tcp = fixture_connect(f);
    fixture_send(f, tcp,
                 LATER_REQUEST "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
                               "Expect: 100-continue\r\n\r\n");
    assert_int_equal(tcp->out.size, 0);
    /* The peer may not send its body yet, so it is not slow. */
    fake_advance(f->fake, 60000);
    assert_int_equal(tcp->out.size, 0);
    fixture_reply(f, 0, "first");
    assert_non_null(strstr(strstr(fake_written(tcp), "first"), "100 Continue"));
    fixture_send(f, tcp, "hello");
    assert_int_equal(fake_count(tcp, "200 OK"), 2);
    fixture_free(f);
}

static void what_cannot_be_framed_is_answered_and_the_connection_ended(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *status;
        unsigned aborts;
    } cases[] = {
        {"GET / HTTP/1.1\r\n\r\n", "400 Bad Request", 0},
        {"GET / HTTP/1.1\nHost: a\n\n", "400 Bad Request", 0},
        {"GET / HTTP/3.0\r\nHost: a\r\n\r\n", "505 HTTP Version", 0},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
         "501 Not Implemented", 0},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n", "417 Expectation", 0},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;x\r\n",
         "400 Bad Request", 1},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\n",
         "400 Bad Request", 1},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n100001\r\n",
         "413 Content Too Large", 1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture *f = fixture_new(NULL);
        struct io_tcp *tcp = fixture_connect(f);
        fake_send_text(tcp, LATER_REQUEST);
        fake_send_text(tcp, cases[i].text);
        fixture_send(f, tcp, ECHO_REQUEST);
        assert_int_equal(tcp->out.size, 0);
        fixture_reply(f, 0, "first");
        assert_non_null(strstr(strstr(fake_written(tcp), "first"), cases[i].status));
        assert_int_equal(fake_count(tcp, "{\"error\":\""), 1);
        assert_int_equal(fake_count(tcp, "HTTP/1.1 "), 2);
        assert_int_equal(fake_count(tcp, "Connection: close\r\n"), 1);
        assert_int_equal(f->aborts, cases[i].aborts);
        assert_true(tcp->shut && !tcp->closed);
        fake_end(tcp, ERR_END);
        fake_run(f->fake);
        assert_true(tcp->closed);
        fixture_free(f);
    }
}

static void chunks_add_up_to_the_limit_and_no_further(void **state)
{
    (void)state;
    for (size_t over = 0; over < 2; over++) {
        struct fixture *f = fixture_new(NULL);
        f->body_max = 5 - over;
        struct io_tcp *tcp = fixture_connect(f);
        fixture_send(f, tcp,
                     "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                     "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
        assert_int_equal(fake_count(tcp, over ? "413 Content" : "200 OK"), 1);
        if (over)
            assert_int_equal(fake_count(tcp, "larger than 4 bytes"), 1);
        fixture_free(f);
    }
}

static void a_small_body_behind_an_early_answer_is_skipped(void **state)
{
    (void)state;
    for (size_t piece = 0; piece < 5; piece++) {
        struct fixture *f = fixture_new(NULL);
        struct io_tcp *tcp = fixture_connect(f);
        tcp->piece = piece;
        fixture_send(f, tcp,
                     "POST /none HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
                     "GET /" ECHO_REQUEST);
        assert_int_equal(fake_count(tcp, "404 Not Found"), 1);
        assert_int_equal(fake_count(tcp, "200 OK"), 1);
        assert_int_equal(fake_count(tcp, "Connection: close"), 0);
        fixture_free(f);
    }
}

static void a_large_body_behind_an_early_answer_ends_the_connection(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(NULL);
    struct io_tcp *tcp = fixture_connect(f);
    size_t total;
    char *text = large_request("/none", 1 << 20, &total);
    fake_send(tcp, text, 40000);
    fake_run(f->fake);
    assert_int_equal(fake_count(tcp, "404 Not Found"), 1);
    assert_int_equal(fake_count(tcp, "Connection: close"), 1);
    /* The peer may read the answer while some of what it sends is dropped, but not all: then it is
     * waited for without reading, since a close would be a reset, which could take the answer. */
    assert_true(tcp->shut && tcp->reading && !tcp->closed);
    fake_send(tcp, text + 40000, 60000);
    fake_run(f->fake);
    assert_true(tcp->reading && !tcp->closed);
    fake_send(tcp, text + 100000, 60000);
    fake_run(f->fake);
    assert_true(!tcp->reading && !tcp->closed);
    fake_advance(f->fake, 900);
    assert_false(tcp->closed);
    fake_advance(f->fake, 300);
    assert_true(tcp->closed);
    free(text);
    fixture_free(f);
}

static void a_request_that_waits_is_not_read(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(NULL);
    struct io_tcp *tcp = fixture_connect(f);
    fixture_send(f, tcp, "POST /wait HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello");
    assert_non_null(f->waiting);
    assert_false(tcp->reading);
    fixture_send(f, tcp, "world" ECHO_REQUEST);
    fake_advance(f->fake, 300000);
    assert_int_equal(f->bodies, 0);
    net_http_body_start(f->waiting);
    assert_int_equal(f->bodies, 0);
    fake_run(f->fake);
    assert_int_equal(f->bodies, 2);
    assert_non_null(strstr(strstr(fake_written(tcp), "helloworld"), "hello"));
    fixture_free(f);
}

static void who_waits_begins_when_another_is_let_go(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(NULL);
    struct io_tcp *slow = fixture_connect(f);
    struct io_tcp *waits = fixture_connect(f);
    f->grants = true;
    fixture_send(f, slow, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello");
    fixture_send(f, waits, "POST /wait HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello");
    assert_non_null(f->waiting);
    fake_advance(f->fake, 12000);
    assert_int_equal(fake_count(slow, "408 Request Timeout"), 1);
    assert_int_equal(waits->out.size, 0);
    fixture_send(f, waits, "world");
    assert_non_null(strstr(fake_written(waits), "helloworld"));
    fixture_free(f);
}

static void a_request_that_waits_can_be_answered(void **state)
{
    (void)state;
    static const char *const sizes[] = {"5", "100000"};
    for (size_t i = 0; i < 2; i++) {
        struct fixture *f = fixture_new(NULL);
        struct io_tcp *tcp = fixture_connect(f);
        char text[128];
        snprintf(text, sizeof(text),
                 "POST /wait HTTP/1.1\r\nHost: a\r\nContent-Length: %s\r\n\r\n"
                 "hello",
                 sizes[i]);
        fixture_send(f, tcp, text);
        f->held_requests--;
        net_http_reply_error(f->waiting, 503, "busy", "Retry-After: 1\r\n", "later");
        fake_run(f->fake);
        assert_int_equal(fake_count(tcp, "503 Service"), 1);
        assert_int_equal(fake_count(tcp, "Connection: close"), i);
        assert_int_equal(tcp->shut, i);
        if (i == 0) {
            fixture_send(f, tcp, ECHO_REQUEST);
            assert_int_equal(fake_count(tcp, "200 OK"), 1);
        }
        assert_int_equal(f->aborts, 0);
        fixture_free(f);
    }
}

static void a_peer_that_goes_aborts_what_it_had_begun(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(NULL);
    struct io_tcp *tcp = fixture_connect(f);
    fixture_send(f, tcp,
                 LATER_REQUEST "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhel");
    fake_end(tcp, ERR_CLOSED);
    fake_run(f->fake);
    assert_true(tcp->closed);
    assert_int_equal(f->aborts, 1);
    assert_true(net_http_request_aborted(f->later[0]));
    assert_int_equal(net_http_server_counters(f->server)->aborted, 1);
    fixture_reply(f, 0, "to nobody");
    assert_int_equal(tcp->out.size, 0);
    fixture_free(f);
}

static void a_peer_that_only_ends_gets_its_answers(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(NULL);
    struct io_tcp *tcp = fixture_connect(f);
    fake_send_text(tcp, LATER_REQUEST);
    fake_end(tcp, ERR_END);
    fake_run(f->fake);
    assert_false(tcp->closed);
    fixture_reply(f, 0, "first");
    assert_int_equal(fake_count(tcp, "first"), 1);
    assert_true(tcp->closed);
    fixture_free(f);
}

static void what_stops_half_way_commits_nothing(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "POST /echo HT",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhello",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct fixture *f = fixture_new(NULL);
        struct io_tcp *tcp = fixture_connect(f);
        fake_send_text(tcp, texts[i]);
        fake_end(tcp, ERR_END);
        fake_run(f->fake);
        assert_int_equal(f->bodies, 0);
        assert_int_equal(f->aborts, i > 0);
        assert_int_equal(fake_count(tcp, "400 Bad Request"), 1);
        assert_true(tcp->closed);
        fixture_free(f);
    }
}

static void a_slow_head_is_408(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(NULL);
    struct io_tcp *tcp = fixture_connect(f);
    fake_advance(f->fake, 60000);
    /* A byte a second does not help. */
    for (int i = 0; i < 9; i++) {
        fixture_send(f, tcp, i ? "a" : "GET /");
        fake_advance(f->fake, 1000);
        assert_int_equal(tcp->out.size, 0);
    }
    fixture_send(f, tcp, "a");
    fake_advance(f->fake, 2000);
    assert_int_equal(fake_count(tcp, "408 Request Timeout"), 1);
    fake_advance(f->fake, 2000);
    assert_true(tcp->closed);
    assert_int_equal(net_http_server_counters(f->server)->net.timeouts, 1);
    fixture_free(f);
}

static void a_slow_body_is_408(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(NULL);
    struct io_tcp *slow = fixture_connect(f);
    struct io_tcp *steady = fixture_connect(f);
    static const char head[] = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n";
    static const char bytes[1100] = {0};
    fixture_send(f, slow, head);
    fixture_send(f, steady, head);
    for (int i = 0; i < 60; i++) {
        fake_send(slow, bytes, 900);
        fake_send(steady, bytes, sizeof(bytes));
        if (slow->closed || slow->shut)
            break;
        fake_advance(f->fake, 1000);
    }
    assert_int_equal(fake_count(slow, "408 Request Timeout"), 1);
    assert_int_equal(steady->out.size, 0);
    assert_int_equal(f->aborts, 1);
    fixture_free(f);
}

/* A MiB in a minute are 174763 bytes in the window of ten seconds; a chunked body may be one. */
static void a_body_whose_memory_others_wait_for_has_to_be_quick(void **state)
{
    (void)state;
    static const char declared[] =
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1048576\r\n\r\n";
    static const char chunked[] =
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n";
    static const char bytes[18000] = {0};
    const char *const heads[] = {declared, declared, chunked, chunked};
    struct fixture *f = fixture_new(NULL);
    struct io_tcp *peers[4];
    for (int i = 0; i < 4; i++) {
        peers[i] = fixture_connect(f);
        fixture_send(f, peers[i], heads[i]);
    }
    for (int s = 0; s < 45; s++) {
        /* For as long as nobody waits it may take its time. */
        f->pressed = s >= 30;
        for (int i = 0; i < 4; i++)
            if (!peers[i]->closed && !peers[i]->shut)
                fake_send(peers[i], bytes, i % 2 ? sizeof(bytes) : 17000);
        fake_advance(f->fake, 1000);
        for (int i = 0; i < 4; i++)
            assert_int_equal(fake_count(peers[i], "408 Request Timeout"), s >= 39 && i % 2 == 0);
    }
    assert_int_equal(f->aborts, 2);
    fixture_free(f);
}

static void an_idle_connection_is_closed_without_a_word(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(NULL);
    struct io_tcp *tcp = fixture_connect(f);
    fixture_send(f, tcp, ECHO_REQUEST);
    fake_forget_written(tcp);
    fake_advance(f->fake, 74000);
    assert_false(tcp->closed);
    fake_advance(f->fake, 3000);
    assert_true(tcp->closed);
    assert_int_equal(tcp->out.size, 0);
    fixture_free(f);
}

static void a_request_in_the_handlers_hands_is_not_idle(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(NULL);
    struct io_tcp *tcp = fixture_connect(f);
    fixture_send(f, tcp, LATER_REQUEST);
    fake_advance(f->fake, 600000);
    assert_false(tcp->closed);
    fixture_reply(f, 0, "at last");
    assert_int_equal(fake_count(tcp, "at last"), 1);
    fixture_free(f);
}

static void a_peer_that_does_not_read_is_not_read_from_and_then_closed(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(NULL);
    struct io_tcp *tcp = fixture_connect(f);
    tcp->stuck = true;
    for (int i = 0; i < 30; i++)
        fake_send_text(tcp, "POST /large HTTP/1.1\r\nHost: a\r\n\r\n");
    tcp->piece = 40;
    fake_run(f->fake);
    assert_false(tcp->reading);
    assert_in_range(f->bodies, 4, 8);
    fake_advance(f->fake, 20000);
    tcp->queued -= 1000;
    fake_advance(f->fake, 20000);
    assert_false(tcp->closed);
    fake_advance(f->fake, 15000);
    assert_true(tcp->closed);
    fixture_free(f);
}

static void a_peer_that_reads_again_is_served_again(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(NULL);
    struct io_tcp *tcp = fixture_connect(f);
    tcp->stuck = true;
    for (int i = 0; i < 30; i++)
        fake_send_text(tcp, "POST /large HTTP/1.1\r\nHost: a\r\n\r\n");
    fake_run(f->fake);
    for (int i = 0; i < 30; i++) {
        fake_drain(tcp);
        fake_run(f->fake);
    }
    assert_int_equal(fake_count(tcp, "200 OK"), 30);
    fixture_free(f);
}

static void what_is_held_is_bounded_over_all_connections(void **state)
{
    (void)state;
    struct net_http_limits limits;
    net_http_limits_init(&limits);
    limits.held_bytes_max = 100;
    struct fixture *f = fixture_new(&limits);
    struct io_tcp *first = fixture_connect(f);
    struct io_tcp *second = fixture_connect(f);
    char text[64];
    snprintf(text, sizeof(text), "GET /%050d", 0);
    fixture_send(f, first, text);
    fixture_send(f, second, text);
    assert_int_equal(first->out.size, 0);
    assert_int_equal(fake_count(second, "503 Service Unavailable"), 1);
    fixture_send(f, first, " HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(fake_count(first, "404 Not Found"), 1);
    struct io_tcp *third = fixture_connect(f);
    fixture_send(f, third, text);
    assert_int_equal(third->out.size, 0);
    fixture_free(f);
}

static void no_memory_ends_a_request_and_not_the_server(void **state)
{
    (void)state;
    static const char text[] = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
                               "\r\n5\r\nhello\r\n0\r\n\r\nPOST /large HTTP/1.1\r\nHost: a\r\n"
                               "\r\n" ECHO_REQUEST;
    unsigned good = 0;
    for (uint64_t n = 1; good < 3; n++) {
        assert_in_range(n, 1, 100);
        struct fixture *f = fixture_new(NULL);
        struct io_tcp *tcp = fixture_connect(f);
        mem_fail_after(n);
        tcp->piece = 7;
        fixture_send(f, tcp, text);
        bool failed = mem_alloc_count() >= n;
        mem_fail_after(0);
        assert_true(tcp->shut || !failed || fake_count(tcp, "HTTP/1.1") == 3);
        good += !failed;
        if (!failed)
            assert_int_equal(fake_count(tcp, "200 OK"), 3);
        struct io_tcp *other = fixture_connect(f);
        fixture_send(f, other, ECHO_REQUEST);
        assert_int_equal(fake_count(other, "200 OK"), 1);
        fixture_free(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_served_and_the_connection_kept),
        cmocka_unit_test(requests_cut_at_every_byte_are_served_the_same),
        cmocka_unit_test(a_small_body_is_handed_over_where_it_was_read),
        cmocka_unit_test(a_large_body_arrives_whole),
        cmocka_unit_test(a_large_chunk_is_read_straight_into_its_body),
        cmocka_unit_test(pipelined_answers_keep_the_order_of_their_requests),
        cmocka_unit_test(too_many_pipelined_requests_wait_unread),
        cmocka_unit_test(continue_is_sent_when_the_body_will_be_read),
        cmocka_unit_test(continue_waits_for_the_answers_before_it),
        cmocka_unit_test(what_cannot_be_framed_is_answered_and_the_connection_ended),
        cmocka_unit_test(chunks_add_up_to_the_limit_and_no_further),
        cmocka_unit_test(a_small_body_behind_an_early_answer_is_skipped),
        cmocka_unit_test(a_large_body_behind_an_early_answer_ends_the_connection),
        cmocka_unit_test(a_request_that_waits_is_not_read),
        cmocka_unit_test(who_waits_begins_when_another_is_let_go),
        cmocka_unit_test(a_request_that_waits_can_be_answered),
        cmocka_unit_test(a_peer_that_goes_aborts_what_it_had_begun),
        cmocka_unit_test(a_peer_that_only_ends_gets_its_answers),
        cmocka_unit_test(what_stops_half_way_commits_nothing),
        cmocka_unit_test(a_slow_head_is_408),
        cmocka_unit_test(a_slow_body_is_408),
        cmocka_unit_test(a_body_whose_memory_others_wait_for_has_to_be_quick),
        cmocka_unit_test(an_idle_connection_is_closed_without_a_word),
        cmocka_unit_test(a_request_in_the_handlers_hands_is_not_idle),
        cmocka_unit_test(a_peer_that_does_not_read_is_not_read_from_and_then_closed),
        cmocka_unit_test(a_peer_that_reads_again_is_served_again),
        cmocka_unit_test(what_is_held_is_bounded_over_all_connections),
        cmocka_unit_test(no_memory_ends_a_request_and_not_the_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
