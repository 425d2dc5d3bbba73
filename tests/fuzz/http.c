/*
 * The server's reading of requests, judged three ways.
 *
 * A head that is accepted is looked at again by a checker written as plainly as it gets, which
 * knows the forms that are used for smuggling. Where llhttp is at hand, a request that is
 * accepted is one for llhttp too, and both see the same method, target, fields, body and end:
 * garner behind a proxy of Node must never cut the stream elsewhere. (The opposite is not so:
 * llhttp takes a bare CR, folded lines and more, which is why it is not garner's parser.) And a
 * connection gives the same answers however its bytes are cut.
 */

#include "fuzz/fuzz.h"

#include <strings.h>

#include "base/buf.h"
#include "fuzz/http_oracle.h"
#include "net/http/chunk.h"
#include "net/http/server.h"
#include "unit/net/fake_tcp.h"

#define BODY_MAX 4096u

/* How many of the head's lines have this name before their first colon. */
static unsigned count_fields(struct slice head, const char *name)
{
    unsigned count = 0;
    for (size_t at = 0; at + strlen(name) < head.size; at++)
        if (head.data[at] == '\n' && at + 1 + strlen(name) < head.size &&
            strncasecmp((const char *)head.data + at + 1, name, strlen(name)) == 0 &&
            head.data[at + 1 + strlen(name)] == ':')
            count++;
    return count;
}

/* Looks at an accepted head's bytes one by one, knowing nothing of how it was parsed. */
static void check_accepted(struct slice head, uint8_t minor)
{
    bool named = false; /* the line has had its colon */
    size_t line = 0;
    for (size_t at = 0; at < head.size; at++) {
        uint8_t byte = head.data[at];
        uint8_t before = at ? head.data[at - 1] : '\n';
        FUZZ_EXPECT((byte == '\n') == (before == '\r'));
        FUZZ_EXPECT(byte >= ' ' || byte == '\t' || byte == '\r' || byte == '\n');
        FUZZ_EXPECT(byte != 0x7f);
        if (before == '\n')
            FUZZ_EXPECT(byte != ' ' && byte != '\t' && byte != ':');
        if (byte == ':' && line > 0 && !named) {
            FUZZ_EXPECT(before != ' ' && before != '\t');
            named = true;
        }
        if (byte == '\n') {
            FUZZ_EXPECT(line == 0 || named || at + 1 == head.size);
            line += at > 1;
            named = false;
        }
    }
    unsigned lengths = count_fields(head, "content-length");
    unsigned codings = count_fields(head, "transfer-encoding");
    FUZZ_EXPECT(lengths + codings <= 1);
    FUZZ_EXPECT(codings == 0 || minor == 1);
    FUZZ_EXPECT(count_fields(head, "host") + (minor == 0) >= 1);
    FUZZ_EXPECT(count_fields(head, "host") <= 1);
}

/* Ours: the request's body into `body`; `*size` is where it ends. */
static enum net_http_parse take_body(struct slice in, const struct net_http_head *head,
                                     struct buf *body, size_t *size)
{
    struct slice rest = slice_sub(in, head->size, in.size);
    if (!head->fields.chunked) {
        buf_add_slice(body, slice_sub(rest, 0, (size_t)head->fields.length));
        *size = head->size + (size_t)head->fields.length;
        return rest.size < head->fields.length ? NET_HTTP_MORE : NET_HTTP_DONE;
    }
    struct net_http_chunk chunk = {0};
    struct net_http_refusal refusal;
    enum net_http_parse result = NET_HTTP_MORE;
    while (rest.size && result == NET_HTTP_MORE) {
        struct slice data;
        result = net_http_chunk_decode(&chunk, &rest, &data, &refusal);
        buf_add_slice(body, data);
    }
    *size = in.size - rest.size;
    return result;
}

static void compare_with_llhttp(struct slice in, const struct net_http_head *head)
{
    static struct fuzz_llhttp_request theirs;
    enum fuzz_llhttp_verdict verdict = fuzz_llhttp(in.data, in.size, &theirs);
    if (verdict == FUZZ_LLHTTP_ABSENT || verdict == FUZZ_LLHTTP_UPGRADE)
        return;
    /* It knows a list of methods, and takes only some with a target that is not a path. */
    if (verdict == FUZZ_LLHTTP_REFUSED && theirs.reason &&
        (strstr(theirs.reason, "method") || strstr(theirs.reason, "url") ||
         strstr(theirs.reason, "URL") || strstr(theirs.reason, "Expected SOURCE")))
        return;
    struct buf body = {0};
    size_t size;
    enum net_http_parse ours = take_body(in, head, &body, &size);
    if (ours == NET_HTTP_DONE) {
        if (verdict != FUZZ_LLHTTP_DONE)
            fprintf(stderr, "llhttp: %d %s\n", (int)verdict, theirs.reason ? theirs.reason : "");
        FUZZ_EXPECT(verdict == FUZZ_LLHTTP_DONE);
        FUZZ_EXPECT(theirs.size == size);
        FUZZ_EXPECT(slice_equal_string(head->method_name, fuzz_llhttp_method(&theirs)));
        FUZZ_EXPECT(slice_equal(head->target, slice_make(theirs.target, theirs.target_size)));
        FUZZ_EXPECT(theirs.minor == head->minor && theirs.chunked == head->fields.chunked);
        FUZZ_EXPECT(slice_equal(buf_slice(&body), slice_make(theirs.body, theirs.body_size)));
        struct buf fields = {0};
        for (uint32_t i = 0; i < head->fields.count; i++) {
            buf_add_slice(&fields, head->fields.items[i].name);
            buf_add_byte(&fields, ':');
            buf_add_slice(&fields, head->fields.items[i].value);
            buf_add_byte(&fields, '\n');
        }
        FUZZ_EXPECT(slice_equal(buf_slice(&fields), slice_make(theirs.fields, theirs.fields_size)));
        buf_done(&fields);
    }
    buf_done(&body);
}

static enum net_http_verdict on_head(void *owner, struct net_http_request *request,
                                     const struct net_http_head *head)
{
    (void)owner;
    if (head->fields.length > BODY_MAX || slice_equal_string(head->path, "/no")) {
        net_http_reply_error(request, 413, NULL, NULL, "%.*s", SLICE_PRINTF(head->path));
        return NET_HTTP_ANSWERED;
    }
    net_http_request_limit(request, BODY_MAX);
    return NET_HTTP_ACCEPT;
}

static void on_body(void *owner, struct net_http_request *request, struct slice body)
{
    (void)owner;
    net_http_reply(request, &(struct net_http_response){.status = 200, .body = body});
}

static const struct net_http_handler handler = {.on_head = on_head, .on_body = on_body};

static void ignore(void *owner)
{
    (void)owner;
}

/* What a connection answers to `in`, in pieces of `piece` bytes (0: as much as fits). */
static void serve(struct slice in, size_t piece, struct buf *out)
{
    static const struct slice go_on = SLICE_LITERAL("HTTP/1.1 100 Continue\r\n\r\n");
    struct fake_loop *fake = fake_loop_new();
    struct net_http_server *server;
    FUZZ_EXPECT(err_is_ok(net_http_server_new(&fake->loop, NULL, &handler, NULL, &server)));
    net_http_server_adopt(server, (struct io_socket){.fd = 0});
    fake->tcps[0]->piece = piece;
    fake_send(fake->tcps[0], in.data, in.size);
    fake_end(fake->tcps[0], ERR_END);
    fake_run(fake);
    struct slice written = slice_make(fake_written(fake->tcps[0]), fake->tcps[0]->out.size);
    /* Whether the body had begun to come is for the pieces to say. */
    while (written.size) {
        if (slice_starts_with(written, go_on)) {
            written = slice_sub(written, go_on.size, written.size);
        } else {
            buf_add_byte(out, written.data[0]);
            written = slice_sub(written, 1, written.size);
        }
    }
    net_http_server_stop(server, 0, ignore, NULL);
    fake_advance(fake, 2000);
    net_http_server_free(&server);
    fake_loop_free(fake);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_make(data, size);
    struct net_http_head head;
    struct net_http_response_head response;
    struct net_http_refusal refusal;
    size_t scanned = 0;
    if (net_http_head_parse(in, &scanned, &head, &refusal) == NET_HTTP_DONE) {
        check_accepted(slice_sub(in, 0, head.size), head.minor);
        compare_with_llhttp(in, &head);
    }
    scanned = 0;
    if (net_http_response_head_parse(in, &scanned, &response, &refusal) == NET_HTTP_DONE)
        FUZZ_EXPECT(response.size <= size && response.status >= 100 && response.status <= 599);
    struct buf whole = {0};
    struct buf pieces = {0};
    serve(in, 0, &whole);
    serve(in, 1 + size % 7, &pieces);
    FUZZ_EXPECT(slice_equal(buf_slice(&whole), buf_slice(&pieces)));
    buf_done(&whole);
    buf_done(&pieces);
    return 0;
}
