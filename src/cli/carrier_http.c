/*
 * A channel is a connection. Answers with counts are those of garner's intake; a status that a
 * later try may change is told as such, with the pause it asks for, and any other is final.
 *
 * What goes wrong: an answer that says "later" leaves it open whether the records are there, unless
 * it says why they are not.
 */

#include "cli/carrier.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/number.h"
#include "cli/door.h"
#include "net/http/client.h"

#define RESPONSE_BYTES_MAX (4u << 20)
#define PAUSE_NS (250 * IO_MS)
#define RETRY_AFTER_MAX_S 10u

struct carrier {
    struct cli_carrier base;
    struct cli_carrier_http_options options;
    struct format_json_paths *paths;
};

struct channel {
    struct cli_channel base;
    const struct cli_carrier_events *events;
    void *owner;
    uint32_t index;
    struct net_http_client *client;
    struct buf head;
    size_t head_size; /* of the body that `head` is for */
};

static struct carrier *carrier_of(struct cli_channel *base)
{
    return CONTAINER_OF(base->carrier, struct carrier, base);
}

static struct channel *channel_of(struct cli_channel *base)
{
    return CONTAINER_OF(base, struct channel, base);
}

/* The statuses that a later try may change (RFC 9110 section 15). Of 5xx all, since a proxy in
 * between may say any of them for a server that is down. */
static bool says_later(int status)
{
    return status == 408 || status == 429 || status >= 500;
}

/* Whether an answer that says "later" says too that nothing was taken. */
static bool says_not_taken(const struct net_http_client_response *response)
{
    struct format_json_value error = {0};
    if (response->status == 408 || response->status == 429)
        return true;
    return response->status == 503 && err_is_ok(format_json_get(response->body, "error", &error)) &&
           error.kind == FORMAT_JSON_STRING && !slice_equal_string(error.raw, "\"fenced\"");
}

static uint64_t pause_ns(const struct net_http_client_response *response)
{
    uint64_t seconds;
    struct slice text = net_http_fields_get(response->fields, "retry-after");
    if (!text.data || !err_is_ok(number_parse_u64(text, &seconds)))
        return PAUSE_NS;
    return (seconds < RETRY_AFTER_MAX_S ? seconds : RETRY_AFTER_MAX_S) * IO_SECOND;
}

static void on_response(void *owner, const struct net_http_client_response *response)
{
    struct channel *channel = owner;
    struct carrier *carrier = carrier_of(&channel->base);
    struct err_text why = {0};
    /* Enough of an error page to know what it is. */
    struct slice body = slice_sub(slice_trim(response->body), 0, 300);
    struct cli_carrier_answer answer = {
        .status = (uint32_t)response->status,
        .persistent = response->persistent,
    };
    bool counts = response->status == 200 || response->status == 422;
    if (counts && err_is_ok(cli_answer_parse(carrier->paths, response->body, &answer.counts))) {
        answer.kind = CLI_CARRIER_COUNTS;
    } else if (says_later(response->status)) {
        answer.kind = CLI_CARRIER_LATER;
        answer.maybe_taken = !says_not_taken(response);
        answer.pause_ns = pause_ns(response);
    } else {
        answer.kind = CLI_CARRIER_FINAL;
        /* Success without counts is no server of ours, and may have taken anything. */
        answer.maybe_taken = response->status < 300;
        (void)err_set(&why, ERR_INVALID, "%s answered %d: %.*s", carrier->options.address,
                      response->status, SLICE_PRINTF(body));
        answer.detail = why.text;
    }
    channel->events->answer(channel->owner, &answer);
}

static void on_ready(void *owner)
{
    struct channel *channel = owner;
    channel->events->ready(channel->owner);
}

static void on_closed(void *owner, err_t err)
{
    struct channel *channel = owner;
    struct err_text why = {0};
    /* Where there is no server its address is told by who looked for it. */
    if (cli_door_is_final(err))
        (void)err_set(&why, (enum err_code)err.code, "%s: %s",
                      carrier_of(&channel->base)->options.address, cli_door_reason(err));
    net_http_client_free(&channel->client);
    channel->events->closed(channel->owner, err, why.text[0] ? why.text : cli_door_reason(err));
}

static const struct net_http_client_events client_events = {
    .ready = on_ready,
    .response = on_response,
    .closed = on_closed,
};

static err_t open_channel(struct cli_carrier *base, uint32_t index,
                          const struct cli_carrier_events *events, void *owner,
                          struct cli_channel **out, struct err_text *why)
{
    struct carrier *carrier = CONTAINER_OF(base, struct carrier, base);
    struct channel *channel = mem_zalloc(1, sizeof(*channel));
    if (!channel)
        return err_make(ERR_MEMORY);
    *channel = (struct channel){{base}, events, owner, .index = index};
    err_t err =
        net_http_client_new(carrier->options.loop, carrier->options.address, RESPONSE_BYTES_MAX,
                            &client_events, channel, &channel->client, why);
    if (err_is_ok(err))
        *out = &channel->base;
    else
        mem_free(channel);
    return err;
}

/* Requests differ in their length at most, or in their number, so the head is made again only for
 * another one. */
static void make_head(struct channel *channel, const struct cli_carrier_request *request)
{
    const struct cli_carrier_http_options *options = &carrier_of(&channel->base)->options;
    if (request->body.size == channel->head_size && !options->numbered)
        return;
    channel->head_size = request->body.size;
    buf_reset(&channel->head);
    buf_add_format(&channel->head,
                   "POST /v1/topics/%s/records HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\n"
                   "Content-Length: %zu\r\n",
                   options->topic, options->address, options->content_type, request->body.size);
    /* A connection that is made anew goes on as the same producer. */
    if (options->numbered)
        buf_add_format(&channel->head,
                       "Garner-Producer: gen-%016llx-%u\r\nGarner-Sequence: %llu\r\n",
                       (unsigned long long)options->producers, channel->index,
                       (unsigned long long)request->number);
    buf_add_string(&channel->head, "\r\n");
}

static void send_request(struct cli_channel *base, const struct cli_carrier_request *request)
{
    struct channel *channel = channel_of(base);
    make_head(channel, request);
    const struct slice parts[] = {buf_slice(&channel->head), request->body};
    /* A failure closes the connection, which is where it is dealt with. */
    if (buf_ok(&channel->head))
        (void)net_http_client_send(channel->client, parts, 2, false);
    else
        net_http_client_close(channel->client);
}

static void close_channel(struct cli_channel *base)
{
    struct channel *channel = channel_of(base);
    ASSERT(channel->client);
    net_http_client_close(channel->client);
}

static void free_channel(struct cli_channel **pointer)
{
    struct channel *channel = channel_of(*pointer);
    ASSERT(!channel->client);
    buf_done(&channel->head);
    mem_free(channel);
    *pointer = NULL;
}

static void free_carrier(struct cli_carrier **pointer)
{
    struct carrier *carrier = CONTAINER_OF(*pointer, struct carrier, base);
    format_json_paths_free(&carrier->paths);
    mem_free(carrier);
    *pointer = NULL;
}

static const struct cli_carrier_ops http_ops = {
    .open = open_channel,
    .send = send_request,
    .close = close_channel,
    .free_channel = free_channel,
    .free = free_carrier,
};

err_t cli_carrier_http(const struct cli_carrier_http_options *options, struct cli_carrier **out)
{
    ASSERT(options->loop && options->topic && options->content_type);
    struct carrier *carrier = mem_zalloc(1, sizeof(*carrier));
    if (!carrier)
        return err_make(ERR_MEMORY);
    carrier->base.ops = &http_ops;
    carrier->options = *options;
    err_t err = cli_answer_paths(&carrier->paths);
    if (err_is_ok(err))
        *out = &carrier->base;
    else
        mem_free(carrier);
    return err;
}
