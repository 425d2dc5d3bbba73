#include "cli/reload.h"

#include "unit/cli/capture.h"
#include "unit/cli/peer.h"

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

static int ask(struct reply reply, const char *flag, int stream, struct capture *c)
{
    struct peer peer = {.answer = answer_reply, .context = &reply};
    struct cli cli = capture_cli();
    peer_begin(&peer);
    const char *const words[] = {"reload", "--server", peer.address, flag, NULL};
    int code = capture_run(c, stream, cli_reload, &cli, words);
    peer_end(&peer);
    assert_string_equal(peer.target, "/v1/reload");
    return code;
}

#define DONE                                                                                       \
    "{\"reloaded\":true,\"topics\":{\"added\":[\"a\",\"b\"],\"changed\":[],\"removed\":[\"c\"]}}"

static void what_has_changed_is_listed(void **state)
{
    (void)state;
    struct capture c;
    struct reply reply = {200, SLICE_LITERAL(DONE "\n")};
    assert_int_equal(ask(reply, NULL, 1, &c), CLI_OK);
    assert_string_equal(c.text, "reloaded\nadded a\nadded b\nremoved c\n");
    assert_int_equal(ask(reply, "--json", 1, &c), CLI_OK);
    assert_string_equal(c.text, DONE "\n");
}

static void a_refusal_ends_with_78_and_tells_each_error(void **state)
{
    (void)state;
    struct capture c;
    struct reply reply = {422, SLICE_LITERAL("{\"reloaded\":false,\"errors\":[\"f:1:2: x\","
                                             "\"f:2:2: y\"],\"omitted\":0}\n")};
    assert_int_equal(ask(reply, NULL, 2, &c), CLI_CONFIG);
    assert_ptr_equal(strstr(c.text, "f:1:2: x\nf:2:2: y\n"), c.text);
    assert_non_null(strstr(c.text, "not reloaded"));
    reply.status = 503;
    assert_int_equal(ask(reply, NULL, 2, &c), CLI_UNAVAILABLE);
}

static void another_answer_is_told(void **state)
{
    (void)state;
    struct capture c;
    struct reply reply = {404, SLICE_LITERAL("hello")};
    assert_int_equal(ask(reply, NULL, 2, &c), CLI_UNAVAILABLE);
    assert_non_null(strstr(c.text, " answered 404: hello\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_has_changed_is_listed),
        cmocka_unit_test(a_refusal_ends_with_78_and_tells_each_error),
        cmocka_unit_test(another_answer_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
