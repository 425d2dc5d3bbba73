/*
 * One request on a loop that lives as long as the request does: connect, send, wait for the answer
 * or the timer, close. The loop is stopped where the connection has closed and nowhere else, so
 * that nothing is left on it when it is freed.
 *
 * What goes wrong: a connection that fails or closes before the answer, and an answer that does
 * not come in time. An answer that has come wins over all that follows it.
 */

#include "cli/door.h"

#include "base/assert.h"
#include "base/list.h"
#include "control/config/value.h"
#include "io/uv/uv.h"
#include "net/http/client.h"

#define ANSWER_BYTES_MAX (64u << 20)

err_t cli_door_address(const struct cli *cli, const char *given, const char *variable,
                       const char *fallback, char out[static CLI_DOOR_ADDRESS_SIZE],
                       struct err_text *why)
{
    const char *text = given ? given : cli->env(variable);
    if (!text)
        text = fallback;
    static const struct slice scheme = SLICE_LITERAL("http://");
    struct slice address = slice_string(text);
    if (slice_starts_with(address, scheme))
        address = slice_sub(address, scheme.size, address.size);
    if (slice_ends_with(address, SLICE_LITERAL("/")))
        address = slice_sub(address, 0, address.size - 1);
    char copy[CLI_DOOR_ADDRESS_SIZE];
    int size = snprintf(copy, sizeof(copy), "%.*s", SLICE_PRINTF(address));
    if (size < 0 || (size_t)size >= sizeof(copy) || !control_config_address_valid(copy))
        return err_set(why, ERR_INVALID,
                       "'%s' (%s) is no address; give an IP address or localhost and a port, such "
                       "as %s",
                       text, given ? "--server" : variable, fallback);
    memcpy(out, copy, (size_t)size + 1);
    return err_ok();
}

/* One request under way. */
struct get {
    struct io_loop *loop;
    struct net_http_client *client;
    struct cli_door_answer *answer;
    struct io_timer timer;
    struct slice head;
    err_t err; /* how it ends, unless the answer has come */
};

static void on_ready(void *owner)
{
    struct get *get = owner;
    /* A failure closes the connection, and `closed` says why. */
    (void)net_http_client_send(get->client, &get->head, 1, false);
}

static void on_response(void *owner, const struct net_http_client_response *response)
{
    struct get *get = owner;
    get->answer->status = response->status;
    buf_add_slice(&get->answer->body, response->body);
    get->err = buf_error(&get->answer->body);
    net_http_client_close(get->client);
}

static void on_closed(void *owner, err_t err)
{
    struct get *get = owner;
    if (get->answer->status == 0 && !err_is(get->err, ERR_TIMEOUT))
        get->err = err_is_ok(err) ? err_make(ERR_CLOSED) : err;
    io_uv_loop_stop(get->loop);
}

static void on_timeout(struct io_timer *timer)
{
    struct get *get = CONTAINER_OF(timer, struct get, timer);
    ASSERT(get->client);
    if (get->answer->status == 0)
        get->err = err_make(ERR_TIMEOUT);
    net_http_client_close(get->client);
}

static const struct net_http_client_events get_events = {
    .ready = on_ready,
    .response = on_response,
    .closed = on_closed,
};

/* Everything between making the loop and freeing it. */
static err_t run(struct get *get, const char *address, uint64_t timeout_ms, struct err_text *why)
{
    TRY(net_http_client_new(get->loop, address, ANSWER_BYTES_MAX, &get_events, get, &get->client,
                            why));
    get->timer.run = on_timeout;
    io_timer_start(get->loop, &get->timer, timeout_ms * IO_MS);
    io_uv_loop_run(get->loop);
    io_timer_stop(get->loop, &get->timer);
    net_http_client_free(&get->client);
    if (!err_is_ok(get->err))
        return err_set(why, (enum err_code)get->err.code, "no answer from %s: %s", address,
                       cli_door_reason(get->err));
    return err_ok();
}

err_t cli_door_get(const char *address, const char *target, uint64_t timeout_ms,
                   struct cli_door_answer *answer, struct err_text *why)
{
    *answer = (struct cli_door_answer){0};
    struct buf head = {0};
    buf_add_format(&head, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", target,
                   address);
    struct get get = {.answer = answer, .head = buf_slice(&head)};
    err_t err = buf_error(&head);
    if (err_is_ok(err))
        err = io_uv_loop_new(&get.loop);
    if (err_is_ok(err))
        err = run(&get, address, timeout_ms, why);
    io_uv_loop_free(&get.loop);
    buf_done(&head);
    if (!err_is_ok(err))
        buf_done(&answer->body);
    return err;
}

const char *cli_door_reason(err_t err)
{
    return err_is(err, ERR_IO) ? "the connection was refused" : err_string(err);
}
