#include "cli/ledger.h"

#include "base/alloc.h"
#include "unit/cli/capture.h"
#include "unit/cli/peer.h"

#define BALANCED                                                                                   \
    "{\"balanced\":true,\"topics\":{\"events\":{\"received\":1234567,\"accepted\":1234560,"        \
    "\"duplicates\":0,\"dead_lettered\":7,\"refused\":0},\"f\":{\"received\":1,\"accepted\":1,"    \
    "\"duplicates\":0,\"dead_lettered\":0,\"refused\":0}},"                                        \
    "\"dlq\":{\"events\":{\"records\":7}},"                                                        \
    "\"sinks\":{\"lake\":{\"topics\":[\"events\", \"f\"],\"delivered\":9,\"pending\":1}}}"

static const char balanced_text[] =
    "balanced: yes\n"
    "\n"
    "topic   received  accepted  duplicates  dead_lettered  refused\n"
    "events   1234567   1234560           0              7        0\n"
    "f              1         1           0              0        0\n"
    "\n"
    "dead letters of  records\n"
    "events                 7\n"
    "\n"
    "sink     topics  delivered  pending\n"
    "lake  events, f          9        1\n";

static void expect(const char *document, int code, const char *text)
{
    struct buf out = {0};
    assert_int_equal(cli_ledger_print(slice_string(document), &out), code);
    assert_slice(buf_slice(&out), text);
    buf_done(&out);
}

static void a_ledger_is_printed_as_tables(void **state)
{
    (void)state;
    expect(BALANCED, CLI_OK, balanced_text);
    expect("{ \"balanced\" : true , \"topics\" : { } }", CLI_OK, "balanced: yes\n");
}

static void one_that_does_not_balance_ends_with_1(void **state)
{
    (void)state;
    expect("{\"balanced\":false,\"topics\":{\"a\":{\"received\":2,\"accepted\":1}}}", CLI_FAILED,
           "balanced: no\n\ntopic  received  accepted\na             2         1\n");
}

static void a_term_that_a_row_lacks_is_a_dash(void **state)
{
    (void)state;
    expect("{\"balanced\":true,\"topics\":{\"a\":{\"x\":1},\"b\":{\"y\":[]},\"c\":5,\"d\":\"e\","
           "\"f\":null,\"g\":{\"x\":22}}}",
           CLI_OK,
           "balanced: yes\n\ntopic   x  y\na       1  -\nb       -   \nc       -  -\n"
           "d       -  -\nf       -  -\ng      22  -\n");
}

static void what_is_no_ledger_prints_nothing(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",
                                        "<html>",
                                        "[]",
                                        "{}",
                                        "7",
                                        "{\"balanced\":1}",
                                        "{\"balanced\":\"true\"}",
                                        "{\"balanced\":null}",
                                        "{\"balanced\":true",
                                        "{\"balanced\":true}x"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        expect(wrong[i], CLI_UNAVAILABLE, "");
}

static void parts_of_another_kind_are_passed_over(void **state)
{
    (void)state;
    expect("{\"balanced\":true,\"topics\":[{\"a\":1}],\"dlq\":7,\"sinks\":\"none\"}", CLI_OK,
           "balanced: yes\n");
}

static void columns_beyond_the_limit_are_left_out(void **state)
{
    (void)state;
    struct buf text = {0};
    struct buf out = {0};
    buf_add_string(&text, "{\"balanced\":true,\"topics\":{\"a\":{\"c0\":1");
    for (int i = 1; i < 40; i++)
        buf_add_format(&text, ",\"c%d\":1", i);
    buf_add_string(&text, "}}}");
    assert_int_equal(cli_ledger_print(buf_slice(&text), &out), CLI_OK);
    buf_add_byte(&out, '\0');
    assert_non_null(strstr((const char *)out.data, " c15\n"));
    assert_null(strstr((const char *)out.data, "c16"));
    buf_done(&text);
    buf_done(&out);
}

static void a_document_cut_anywhere_is_no_ledger(void **state)
{
    (void)state;
    for (size_t size = 0; size < sizeof(BALANCED) - 1; size++) {
        struct buf out = {0};
        char *copy = malloc(size + 1);
        memcpy(copy, BALANCED, size);
        assert_int_equal(cli_ledger_print(slice_make(copy, size), &out), CLI_UNAVAILABLE);
        assert_int_equal(out.size, 0);
        free(copy);
        buf_done(&out);
    }
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    int code = CLI_INTERNAL;
    uint64_t n = 0;
    while (code == CLI_INTERNAL) {
        struct buf out = {0};
        mem_fail_after(++n);
        code = cli_ledger_print(SLICE_LITERAL(BALANCED), &out);
        mem_fail_after(0);
        buf_done(&out);
    }
    assert_int_equal(code, CLI_OK);
    assert_true(n > 4);
}

struct reply {
    int status;
    struct slice body;
};

static void answer_reply(struct peer *peer, struct net_http_request *request, struct slice body)
{
    (void)body;
    const struct reply *reply = peer->context;
    peer_reply(request, reply->status, reply->body);
}

/* Runs the command against a server that gives `reply`; what it prints on `stream` is in `c`. */
static int ask(struct reply reply, const char *flag, int stream, struct capture *c)
{
    struct peer peer = {.answer = answer_reply, .context = &reply};
    struct cli cli = capture_cli();
    peer_begin(&peer);
    const char *const words[] = {"ledger", "--server", peer.address, flag, NULL};
    int code = capture_run(c, stream, cli_ledger, &cli, words);
    peer_end(&peer);
    assert_string_equal(peer.target, "/v1/ledger");
    return code;
}

static void the_command_asks_the_admin_door(void **state)
{
    (void)state;
    struct capture c;
    struct reply reply = {200, SLICE_LITERAL(BALANCED "\n")};
    assert_int_equal(ask(reply, NULL, 1, &c), CLI_OK);
    assert_string_equal(c.text, balanced_text);
    assert_int_equal(ask(reply, "--json", 1, &c), CLI_OK);
    assert_string_equal(c.text, BALANCED "\n");
    reply.body = SLICE_LITERAL("{\"balanced\":false}");
    assert_int_equal(ask(reply, NULL, 1, &c), CLI_FAILED);
    assert_string_equal(c.text, "balanced: no\n");
}

static void answers_that_are_no_ledger_are_told_on_standard_error(void **state)
{
    (void)state;
    struct capture c;
    struct reply reply = {503, SLICE_LITERAL("{\"error\":\"starting\"}\n")};
    assert_int_equal(ask(reply, NULL, 2, &c), CLI_UNAVAILABLE);
    assert_non_null(strstr(c.text, " answered 503: {\"error\":\"starting\"}\n"));
    assert_int_equal(ask(reply, "--json", 1, &c), CLI_UNAVAILABLE);
    assert_string_equal(c.text, "");
    reply = (struct reply){200, SLICE_LITERAL("hello")};
    assert_int_equal(ask(reply, NULL, 2, &c), CLI_UNAVAILABLE);
    assert_non_null(strstr(c.text, "is it the admin door, not the intake?\n"));
}

static void no_server_ends_with_69_and_says_how_to_start_one(void **state)
{
    (void)state;
    struct peer peer = {.answer = answer_reply};
    struct cli cli = capture_cli();
    struct capture c;
    peer_begin(&peer);
    peer_end(&peer);
    const char *const words[] = {"ledger", "--server", peer.address, NULL};
    assert_int_equal(capture_run(&c, 2, cli_ledger, &cli, words), CLI_UNAVAILABLE);
    assert_non_null(strstr(c.text, "the connection was refused; start one with `garner serve`"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ledger_is_printed_as_tables),
        cmocka_unit_test(one_that_does_not_balance_ends_with_1),
        cmocka_unit_test(a_term_that_a_row_lacks_is_a_dash),
        cmocka_unit_test(what_is_no_ledger_prints_nothing),
        cmocka_unit_test(parts_of_another_kind_are_passed_over),
        cmocka_unit_test(columns_beyond_the_limit_are_left_out),
        cmocka_unit_test(a_document_cut_anywhere_is_no_ledger),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(the_command_asks_the_admin_door),
        cmocka_unit_test(answers_that_are_no_ledger_are_told_on_standard_error),
        cmocka_unit_test(no_server_ends_with_69_and_says_how_to_start_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
