/*
 * A loop that runs while something is waited for: an answer, a delay, the end of a connection.
 * Whatever ends the wait stops the loop, the first of several ends it, and the loop is asked again
 * where it stopped for less.
 *
 * What goes wrong: a connection that fails or closes before the answer, an answer that does not
 * come in time, a signal. After each of them the connection is closed, so that a late answer is
 * never taken for that of the next request.
 */

#include "cli/door.h"

#include <signal.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/list.h"
#include "control/config/value.h"
#include "format/json/json.h"
#include "io/uv/uv.h"
#include "net/http/client.h"

#define ANSWER_BYTES_MAX (64u << 20)

bool cli_door_parse(const char *text, char out[static CLI_DOOR_ADDRESS_SIZE])
{
    static const struct slice scheme = SLICE_LITERAL("http://");
    struct slice address = slice_string(text);
    if (slice_starts_with(address, scheme))
        address = slice_sub(address, scheme.size, address.size);
    if (slice_ends_with(address, SLICE_LITERAL("/")))
        address = slice_sub(address, 0, address.size - 1);
    char copy[CLI_DOOR_ADDRESS_SIZE];
    int size = snprintf(copy, sizeof(copy), "%.*s", SLICE_PRINTF(address));
    if (size < 0 || (size_t)size >= sizeof(copy) ||
        (!control_config_address_valid(copy) && !control_config_advertised_valid(copy)))
        return false;
    memcpy(out, copy, (size_t)size + 1);
    return true;
}

err_t cli_door_address(const struct cli *cli, const char *given, const char *variable,
                       const char *fallback, char out[static CLI_DOOR_ADDRESS_SIZE],
                       struct err_text *why)
{
    const char *text = given ? given : cli->env(variable);
    if (!text)
        text = fallback;
    if (cli_door_parse(text, out))
        return err_ok();
    return err_set(why, ERR_INVALID,
                   "'%s' (%s) is no address; give an IP address or the name of a host and a port, "
                   "such as %s",
                   text, given ? "--server" : variable, fallback);
}

struct cli_door {
    struct io_loop *loop;
    const char *address;
    struct net_http_client *client; /* NULL: not connected */
    bool ready;                     /* the client is, to send */
    bool closed;                    /* the client's connection is gone */
    bool persistent;                /* the server keeps it open */
    bool over;                      /* what the loop runs for */
    err_t err;                      /* how it ended */
    struct cli_door_answer *answer; /* of the request under way */
    struct slice head;
    struct io_timer timer;
    struct task interrupt;
    struct task terminate;
    bool interrupted;
};

/* What is waited for has come, or will not. */
static void finish(struct cli_door *door, err_t err)
{
    if (door->over)
        return;
    door->over = true;
    door->err = err;
    io_uv_loop_stop(door->loop);
}

/* A stop of an earlier run may end the loop once more than it should. */
static void run(struct cli_door *door)
{
    while (!door->over)
        io_uv_loop_run(door->loop);
}

static void send_head(struct cli_door *door)
{
    ASSERT(door->ready);
    /* A failure closes the connection, and `closed` says why. */
    (void)net_http_client_send(door->client, &door->head, 1, false);
}

static void on_ready(void *owner)
{
    struct cli_door *door = owner;
    door->ready = true;
    /* Between two requests there is nothing to send. */
    if (door->answer)
        send_head(door);
}

static void on_response(void *owner, const struct net_http_client_response *response)
{
    struct cli_door *door = owner;
    if (!door->answer || door->over)
        return;
    door->answer->status = response->status;
    buf_add_slice(&door->answer->body, response->body);
    door->persistent = response->persistent;
    finish(door, buf_error(&door->answer->body));
}

static void on_closed(void *owner, err_t err)
{
    struct cli_door *door = owner;
    door->closed = true;
    finish(door, err_is_ok(err) ? err_make(ERR_CLOSED) : err);
}

/* As good as an answer: what comes behind it is nobody's. */
static void on_timer(struct io_timer *timer)
{
    finish(CONTAINER_OF(timer, struct cli_door, timer), err_make(ERR_TIMEOUT));
}

static void interrupt(struct cli_door *door)
{
    door->interrupted = true;
    finish(door, err_make(ERR_CANCELLED));
}

static void on_interrupt(struct task *task)
{
    interrupt(CONTAINER_OF(task, struct cli_door, interrupt));
}

static void on_terminate(struct task *task)
{
    interrupt(CONTAINER_OF(task, struct cli_door, terminate));
}

static const struct net_http_client_events door_events = {
    .ready = on_ready,
    .response = on_response,
    .closed = on_closed,
};

/* Where nothing more is expected of it. */
static void hang_up(struct cli_door *door)
{
    if (!door->client)
        return;
    net_http_client_close(door->client);
    while (!door->closed) {
        door->over = false;
        run(door);
    }
    net_http_client_free(&door->client);
}

err_t cli_door_open(const char *address, struct cli_door **out)
{
    struct cli_door *door = mem_zalloc(1, sizeof(*door));
    if (!door)
        return err_make(ERR_MEMORY);
    door->address = address;
    door->timer.run = on_timer;
    door->interrupt.run = on_interrupt;
    door->terminate.run = on_terminate;
    err_t err = io_uv_loop_new(&door->loop);
    if (!err_is_ok(err)) {
        mem_free(door);
        return err;
    }
    *out = door;
    return err_ok();
}

void cli_door_close(struct cli_door **pointer)
{
    struct cli_door *door = *pointer;
    if (!door)
        return;
    hang_up(door);
    io_uv_loop_free(&door->loop);
    mem_free(door);
    *pointer = NULL;
}

/* A pipe that closes is met where it is written to, with what else can go wrong there. */
err_t cli_door_watch_signals(struct cli_door *door)
{
    signal(SIGPIPE, SIG_IGN);
    TRY(io_uv_on_signal(door->loop, SIGINT, &door->interrupt));
    return io_uv_on_signal(door->loop, SIGTERM, &door->terminate);
}

bool cli_door_interrupted(const struct cli_door *door)
{
    return door->interrupted;
}

/* Runs the loop until something is over, at the most for `timeout_ms`. */
static err_t run_for(struct cli_door *door, uint64_t timeout_ms)
{
    io_timer_start(door->loop, &door->timer, timeout_ms * IO_MS);
    run(door);
    io_timer_stop(door->loop, &door->timer);
    return door->err;
}

err_t cli_door_wait(struct cli_door *door, uint64_t delay_ms)
{
    if (door->interrupted)
        return err_make(ERR_CANCELLED);
    for (;;) {
        /* The connection may end while nobody uses it, which is no reason to wake. */
        door->over = false;
        err_t err = run_for(door, delay_ms);
        if (err_is(err, ERR_TIMEOUT))
            return err_ok();
        if (err_is(err, ERR_CANCELLED))
            return err;
    }
}

/* Sends the request on the connection that there is, or on a new one. */
static err_t attempt(struct cli_door *door, uint64_t timeout_ms, struct err_text *why)
{
    door->over = false;
    door->err = err_ok();
    if (door->client) {
        send_head(door);
    } else {
        door->ready = door->closed = false;
        TRY(net_http_client_new(door->loop, door->address, ANSWER_BYTES_MAX, &door_events, door,
                                &door->client, why));
    }
    return run_for(door, timeout_ms);
}

err_t cli_door_ask(struct cli_door *door, const char *method, const char *target,
                   uint64_t timeout_ms, struct cli_door_answer *answer, struct err_text *why)
{
    return cli_door_send(door, method, target, slice_make(NULL, 0), timeout_ms, answer, why);
}

err_t cli_door_send(struct cli_door *door, const char *method, const char *target,
                    struct slice body, uint64_t timeout_ms, struct cli_door_answer *answer,
                    struct err_text *why)
{
    *answer = (struct cli_door_answer){0};
    if (door->interrupted)
        return err_make(ERR_CANCELLED);
    struct buf head = {0};
    buf_add_format(&head, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, target, door->address);
    if (body.size > 0)
        buf_add_format(&head, "Content-Type: application/json\r\nContent-Length: %zu\r\n",
                       body.size);
    buf_add_string(&head, "\r\n");
    buf_add_slice(&head, body);
    if (door->closed)
        hang_up(door);
    bool reused = door->client;
    door->head = buf_slice(&head);
    door->answer = answer;
    err_t err = buf_error(&head);
    if (err_is_ok(err))
        err = attempt(door, timeout_ms, why);
    if (reused && door->closed && answer->status == 0 && !door->interrupted) {
        /* It had ended before the request came. */
        hang_up(door);
        err = attempt(door, timeout_ms, why);
    }
    door->answer = NULL;
    buf_done(&head);
    /* Whatever is still under way on it must not meet the next request. */
    if (!err_is_ok(err) || !door->persistent)
        hang_up(door);
    if (err_is_ok(err))
        return err;
    buf_done(&answer->body);
    answer->status = 0;
    return err_set(why, (enum err_code)err.code, "no answer from %s: %s", door->address,
                   cli_door_reason(err));
}

err_t cli_door_get(const char *address, const char *target, uint64_t timeout_ms,
                   struct cli_door_answer *answer, struct err_text *why)
{
    struct cli_door *door = NULL;
    *answer = (struct cli_door_answer){0};
    TRY(cli_door_open(address, &door));
    err_t err = cli_door_ask(door, "GET", target, timeout_ms, answer, why);
    cli_door_close(&door);
    return err;
}

/* The string under `key`, unescaped; empty where there is none. */
static void get_text(struct slice document, const char *key, struct buf *out)
{
    struct format_json_value value = {0};
    if (err_is_ok(format_json_get(document, key, &value)) && value.kind == FORMAT_JSON_STRING &&
        !err_is_ok(format_json_string_decode(value.raw, out)))
        buf_reset(out);
}

int cli_door_refused(const struct cli_command *command, const char *address,
                     const struct cli_door_answer *answer)
{
    struct slice document = buf_slice(&answer->body);
    struct buf error = {0};
    struct buf detail = {0};
    get_text(document, "error", &error);
    get_text(document, "detail", &detail);
    /* "not_found" is a path that there is not: another door, or an older server. */
    bool refused = answer->status >= 400 && answer->status < 500 && error.size > 0 &&
                   detail.size > 0 && !slice_equal_string(buf_slice(&error), "not_found");
    int code = refused ? cli_fail(command, CLI_FAILED, "%.*s", SLICE_PRINTF(buf_slice(&detail)))
                       : cli_fail(command, CLI_UNAVAILABLE, "%s answered %d: %.*s", address,
                                  answer->status, SLICE_PRINTF(slice_trim(document)));
    buf_done(&error);
    buf_done(&detail);
    return code;
}

int cli_door_strange(const struct cli_command *command, const char *address, const char *what)
{
    return cli_fail(command, CLI_UNAVAILABLE,
                    "%s answers, but not with %s: is it the admin door, not the intake?", address,
                    what);
}

/* --json too is printed only once the answer was found to be what was asked for: a script that
 * pipes it on gets that or nothing. */
int cli_door_show(const struct cli_command *command, const char *address,
                  const struct cli_door_answer *answer, const char *what,
                  err_t (*print)(struct slice document, struct buf *out), bool json)
{
    struct slice document = buf_slice(&answer->body);
    struct buf out = {0};
    ASSERT(answer->status > 0);
    /* A refusal has a text of the server's own, which says more than could be said here. */
    if (answer->status != 200)
        return cli_door_refused(command, address, answer);
    int code = CLI_OK;
    err_t err = print(document, &out);
    if (err_is(err, ERR_MEMORY))
        code = cli_fail(command, CLI_INTERNAL, "out of memory");
    else if (!err_is_ok(err))
        code = cli_door_strange(command, address, what);
    else if (json)
        printf("%.*s\n", SLICE_PRINTF(slice_trim(document)));
    else if (out.size > 0)
        fwrite(out.data, 1, out.size, stdout);
    buf_done(&out);
    return code;
}

const char *cli_door_reason(err_t err)
{
    if (err_is(err, ERR_NOT_FOUND))
        return "there is no host of that name; is it spelt right? Else give its IP address";
    if (err_is(err, ERR_AGAIN))
        return "the name cannot be looked up at the moment; give the IP address";
    return err_is(err, ERR_IO) ? "the connection was refused" : err_string(err);
}

bool cli_door_is_final(err_t err)
{
    return err_is(err, ERR_NOT_FOUND) || err_is(err, ERR_UNSUPPORTED) || err_is(err, ERR_INVALID) ||
           err_is(err, ERR_PERMISSION);
}
