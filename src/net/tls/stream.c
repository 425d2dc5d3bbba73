#include <openssl/bio.h>
#include <openssl/err.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/list.h"
#include "net/tls/tls_int.h"

/*
 * A stream stands between a socket of the loop behind and its owner, who sees it as a socket.
 * Cipher text is read into a buffer of the loop's, OpenSSL takes it from there through a BIO of our
 * own, and plain text goes straight into the owner's room; the other way plain text is gathered
 * into whole records, and what OpenSSL makes of them is written at once. So a stream at rest has no
 * buffer, neither here nor, by SSL_MODE_RELEASE_BUFFERS, in OpenSSL.
 *
 * An owner that stops reading leaves cipher text over: at most what one read has brought. It is
 * held here, and the socket is not read until it is used up.
 *
 * Failure modes: a peer that is silent in the handshake meets a timer; what is no TLS is known by
 * its first byte; anything that OpenSSL does not follow ends the stream behind the alert that says
 * so. A stream that is broken is only good for closing, as with any socket.
 *
 * A client's stream is connected when its handshake is done. Its owner is told a code; what was
 * wrong with the server is kept for a person, who is the one to do something about it.
 */

/* Plain text of one record (RFC 8446 section 5.1). */
#define RECORD_SIZE 16384u
/* One read's cipher text. */
#define READ_SIZE 65536u
/* Cipher text is handed on when there is so much: an answer of megabytes needs no more than this
 * twice. */
#define WRITE_SIZE 65536u
#define HANDSHAKE_MS 10000u
/* Every TLS connection begins with a record of this kind. */
#define HANDSHAKE_RECORD 22u
/* Or of this one, from a server that refuses at once. */
#define ALERT_RECORD 21u
#define LOG_EVERY_NS (60 * IO_SECOND)

/* Each may be followed by those below it. */
enum stream_state {
    STREAM_CONNECTING, /* a client's only */
    STREAM_HANDSHAKE,
    STREAM_OPEN,
    STREAM_ENDED,  /* the peer has said that it ends; it can be written to */
    STREAM_BROKEN, /* good for closing only */
    STREAM_CLOSED, /* io_tcp_close was called */
};

struct net_tls_loop {
    struct io_loop loop; /* what its users have */
    struct io_loop *behind;
    SSL_CTX *context;
    BIO_METHOD *method;
    struct logger *logger;
    uint64_t logged_ns; /* 0: not yet */
    uint64_t handshake_ms;
    bool client;
    const char *name;
    struct err_text why;
    size_t stream_count;
    struct net_tls_counters counters;
    struct buf out; /* what OpenSSL has written in this call: empty between calls */
    uint8_t plain[RECORD_SIZE];
    uint8_t cipher[READ_SIZE];
};

struct stream {
    struct net_tls_loop *loop;
    struct io_tcp *behind; /* NULL: closed, and told so */
    SSL *ssl;
    const struct io_tcp_events *events;
    void *owner;
    enum stream_state state;
    bool reading;        /* the owner wants bytes */
    bool behind_reading; /* the socket is read */
    bool begun;          /* a first byte has come */
    bool deferred;       /* `task` is on its way */
    struct slice in;     /* cipher text that OpenSSL may take in this call */
    struct buf held;     /* and that it may take in a later one */
    struct io_timer timer;
    struct task task;
};

/* Users have it as the socket that they asked for. */
static struct stream *stream_of(const struct io_tcp *tcp)
{
    return (struct stream *)(uintptr_t)tcp;
}

static struct net_tls_loop *loop_of(struct io_loop *loop)
{
    return CONTAINER_OF(loop, struct net_tls_loop, loop);
}

static int bio_read(BIO *bio, char *out, size_t size, size_t *got)
{
    struct stream *stream = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (stream->in.size == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    struct slice part = slice_sub(stream->in, 0, size);
    memcpy(out, part.data, part.size);
    stream->in = slice_sub(stream->in, part.size, stream->in.size);
    *got = part.size;
    return 1;
}

static int bio_write(BIO *bio, const char *data, size_t size, size_t *written)
{
    struct stream *stream = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    /* All of it or a failure for good: OpenSSL never has to come back with the rest. */
    buf_add(&stream->loop->out, data, size);
    *written = size;
    return buf_ok(&stream->loop->out);
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static int bio_create(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

static BIO_METHOD *make_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "net/tls");
    if (!method)
        return NULL;
    BIO_meth_set_read_ex(method, bio_read);
    BIO_meth_set_write_ex(method, bio_write);
    BIO_meth_set_ctrl(method, bio_control);
    BIO_meth_set_create(method, bio_create);
    return method;
}

static void enter(struct stream *stream, enum stream_state state)
{
    ASSERT(state > stream->state);
    if (stream->state == STREAM_HANDSHAKE)
        io_timer_stop(stream->loop->behind, &stream->timer);
    stream->state = state;
}

/* Hands on what OpenSSL has written. */
static err_t flush(struct stream *stream)
{
    struct buf *out = &stream->loop->out;
    err_t err = buf_error(out);
    struct slice part = buf_slice(out);
    if (err_is_ok(err) && part.size > 0)
        err = io_tcp_write(stream->loop->behind, stream->behind, &part, 1);
    buf_reset(out);
    return err;
}

static void update_reading(struct stream *stream)
{
    bool wanted = stream->state == STREAM_HANDSHAKE ||
                  (stream->state == STREAM_OPEN && stream->reading && stream->held.size == 0);
    /* A socket that is closed takes no more calls. */
    if (wanted == stream->behind_reading || stream->state == STREAM_CLOSED)
        return;
    stream->behind_reading = wanted;
    if (wanted)
        io_tcp_read_start(stream->loop->behind, stream->behind);
    else
        io_tcp_read_stop(stream->loop->behind, stream->behind);
}

/* Last of what is done in a callback: the owner may close in here. */
static void end(struct stream *stream, err_t err)
{
    ASSERT(!err_is_ok(err) && stream->state < STREAM_CLOSED);
    bool begins = stream->state <= STREAM_HANDSHAKE;
    /* Peers that connect and go count too: what they were is not known. */
    stream->loop->counters.failures += stream->state == STREAM_HANDSHAKE;
    if (stream->state < STREAM_BROKEN)
        enter(stream, err_is(err, ERR_END) ? STREAM_ENDED : STREAM_BROKEN);
    stream->reading = false;
    stream->in = slice_make(NULL, 0);
    buf_done(&stream->held);
    update_reading(stream);
    if (begins && stream->loop->client)
        stream->events->connected(stream->owner, err);
    else
        stream->events->ended(stream->owner, err);
}

/* What a call of OpenSSL that did not succeed means; OK: it needs more bytes. */
static err_t why_not(const struct stream *stream, int result)
{
    switch (SSL_get_error(stream->ssl, result)) {
    case SSL_ERROR_WANT_READ: return err_ok();
    case SSL_ERROR_ZERO_RETURN: return err_make(ERR_END);
    default: break;
    }
    bool memory = ERR_GET_REASON(ERR_peek_last_error()) == ERR_R_MALLOC_FAILURE ||
                  !buf_ok(&stream->loop->out);
    if (!memory && stream->loop->client)
        net_tls_trust_why(stream->ssl, &stream->loop->why);
    return err_make(memory ? ERR_MEMORY : ERR_INVALID);
}

/* The client's settings are wrong mostly, and it sees a connection that closes: told here. */
static void refuse_plain(struct stream *stream)
{
    struct net_tls_loop *loop = stream->loop;
    uint64_t now_ns = io_now_ns(loop->behind);
    loop->counters.plain++;
    if (loop->client) {
        (void)err_set(&loop->why, ERR_INVALID, "the server does not speak TLS on this port");
    } else if (loop->logged_ns == 0 || now_ns - loop->logged_ns >= LOG_EVERY_NS) {
        loop->logged_ns = now_ns;
        logger_write(loop->logger, LOG_LEVEL_WARNING, "tls_expected",
                     "a client does not speak TLS on an address that does (Kafka clients: "
                     "security.protocol=SSL or SASL_SSL); %llu so far",
                     (unsigned long long)loop->counters.plain);
    }
    end(stream, err_make(ERR_INVALID));
}

static bool is_tls(const struct stream *stream)
{
    uint8_t kind = stream->in.data[0];
    return kind == HANDSHAKE_RECORD || (kind == ALERT_RECORD && stream->loop->client);
}

/* True once it is done; else it waits for bytes or has ended. */
static bool shake_hands(struct stream *stream)
{
    if (!stream->begun && stream->in.size > 0) {
        stream->begun = true;
        if (!is_tls(stream)) {
            refuse_plain(stream);
            return false;
        }
    }
    ERR_clear_error();
    int result = SSL_do_handshake(stream->ssl);
    err_t err = result == 1 ? err_ok() : why_not(stream, result);
    /* Also behind a failure: the alert tells the peer. */
    err_t sent = flush(stream);
    if (err_is_ok(err))
        err = sent;
    if (!err_is_ok(err)) {
        end(stream, err);
        return false;
    }
    if (result != 1)
        return false;
    stream->loop->counters.handshakes++;
    enter(stream, STREAM_OPEN);
    if (stream->loop->client)
        stream->events->connected(stream->owner, err_ok());
    return true;
}

/* Takes `in` as far as the owner reads. */
static void run(struct stream *stream)
{
    if (stream->state == STREAM_HANDSHAKE && !shake_hands(stream))
        return;
    while (stream->state == STREAM_OPEN && stream->reading) {
        struct io_room room = stream->events->room(stream->owner);
        ASSERT(room.data && room.size > 0);
        size_t got = 0;
        ERR_clear_error();
        int result = SSL_read_ex(stream->ssl, room.data, room.size, &got);
        err_t err = result == 1 ? err_ok() : why_not(stream, result);
        /* Answers to changes of keys, and alerts. */
        err_t sent = flush(stream);
        if (err_is_ok(err))
            err = sent;
        if (!err_is_ok(err)) {
            end(stream, err);
            return;
        }
        if (result != 1)
            return;
        stream->events->read(stream->owner, got);
    }
}

/* Holds what was not taken. The loop's buffer is another stream's from here on. */
static void hold(struct stream *stream)
{
    if (stream->state > STREAM_OPEN)
        return;
    buf_add_slice(&stream->held, stream->in);
    stream->in = slice_make(NULL, 0);
    if (!buf_ok(&stream->held))
        end(stream, err_make(ERR_MEMORY));
    else
        update_reading(stream);
}

static void finish(struct stream *stream)
{
    ASSERT(stream->state == STREAM_CLOSED && !stream->behind && !stream->deferred);
    SSL_free(stream->ssl);
    buf_done(&stream->held);
    stream->loop->stream_count--;
    /* The owner may free itself in here, and the stream is nobody's after it. */
    stream->events->closed(stream->owner);
    mem_free(stream);
}

/* The owner reads again, and there may be bytes that need no socket. */
static void resume(struct task *task)
{
    struct stream *stream = CONTAINER_OF(task, struct stream, task);
    stream->deferred = false;
    if (stream->state == STREAM_OPEN) {
        struct buf held = stream->held;
        stream->held = (struct buf){0};
        stream->in = buf_slice(&held);
        run(stream);
        hold(stream);
        buf_done(&held);
    } else if (!stream->behind) {
        finish(stream);
    }
}

static struct io_room on_room(void *owner)
{
    struct stream *stream = owner;
    return (struct io_room){stream->loop->cipher, READ_SIZE};
}

static void on_read(void *owner, size_t size)
{
    struct stream *stream = owner;
    ASSERT(stream->held.size == 0 && size <= READ_SIZE);
    if (stream->state > STREAM_OPEN)
        return;
    stream->in = slice_make(stream->loop->cipher, size);
    run(stream);
    hold(stream);
}

static void on_ended(void *owner, err_t err)
{
    struct stream *stream = owner;
    stream->behind_reading = false;
    if (stream->state >= STREAM_BROKEN)
        return;
    /* Bytes that stop without a word may have been cut off by anybody on the way. */
    end(stream, err_is(err, ERR_END) ? err_make(ERR_CLOSED) : err);
}

static void on_drained(void *owner)
{
    const struct stream *stream = owner;
    bool written = stream->state == STREAM_OPEN || stream->state == STREAM_ENDED;
    if (written && stream->events->drained)
        stream->events->drained(stream->owner);
}

static void on_closed(void *owner)
{
    struct stream *stream = owner;
    stream->behind = NULL;
    if (!stream->deferred)
        finish(stream);
}

/* The handshake is not the owner's: it neither waits for it to read nor to be told. */
static void begin_handshake(struct stream *stream)
{
    io_timer_start(stream->loop->behind, &stream->timer, stream->loop->handshake_ms * IO_MS);
    update_reading(stream);
}

static void on_connected(void *owner, err_t err)
{
    struct stream *stream = owner;
    if (!err_is_ok(err)) {
        end(stream, err);
        return;
    }
    enter(stream, STREAM_HANDSHAKE);
    begin_handshake(stream);
    /* The client speaks first. */
    run(stream);
}

static const struct io_tcp_events behind_events = {
    .connected = on_connected,
    .room = on_room,
    .read = on_read,
    .ended = on_ended,
    .drained = on_drained,
    .closed = on_closed,
};

static void run_timer(struct io_timer *timer)
{
    struct stream *stream = CONTAINER_OF(timer, struct stream, timer);
    ASSERT(stream->state == STREAM_HANDSHAKE);
    stream->loop->counters.timeouts++;
    end(stream, err_make(ERR_TIMEOUT));
}

static SSL *new_ssl(struct net_tls_loop *loop, struct stream *stream)
{
    SSL *ssl = SSL_new(loop->context);
    BIO *bio = ssl ? BIO_new(loop->method) : NULL;
    if (!bio) {
        SSL_free(ssl);
        return NULL;
    }
    BIO_set_data(bio, stream);
    /* One for both directions; OpenSSL counts it once then. */
    SSL_set_bio(ssl, bio, bio);
    if (loop->client)
        SSL_set_connect_state(ssl);
    else
        SSL_set_accept_state(ssl);
    return ssl;
}

/* NULL without memory. */
static struct stream *new_stream(struct net_tls_loop *loop, enum stream_state state,
                                 const struct io_tcp_events *events, void *owner)
{
    struct stream *stream = mem_zalloc(1, sizeof(*stream));
    SSL *ssl = stream ? new_ssl(loop, stream) : NULL;
    if (!ssl) {
        mem_free(stream);
        return NULL;
    }
    *stream = (struct stream){.loop = loop,
                              .ssl = ssl,
                              .events = events,
                              .owner = owner,
                              .state = state,
                              .timer = {.run = run_timer},
                              .task = {.run = resume}};
    return stream;
}

/* What its socket came to: it is counted, and the owner's, or nobody's. */
static err_t hand_out(struct stream *stream, err_t err, struct io_tcp **out)
{
    if (!err_is_ok(err)) {
        SSL_free(stream->ssl);
        mem_free(stream);
        return err;
    }
    stream->loop->stream_count++;
    *out = (struct io_tcp *)(void *)stream;
    return err_ok();
}

static err_t stream_open(struct io_loop *io, struct io_socket socket,
                         const struct io_tcp_events *events, void *owner, struct io_tcp **out)
{
    struct net_tls_loop *loop = loop_of(io);
    ASSERT(!loop->client);
    struct stream *stream = new_stream(loop, STREAM_HANDSHAKE, events, owner);
    if (!stream) {
        io_socket_close(loop->behind, socket);
        return err_make(ERR_MEMORY);
    }
    TRY(hand_out(stream, io_tcp_open(loop->behind, socket, &behind_events, stream, &stream->behind),
                 out));
    begin_handshake(stream);
    return err_ok();
}

static err_t stream_connect(struct io_loop *io, const char *address,
                            const struct io_tcp_events *events, void *owner, struct io_tcp **out,
                            struct err_text *why)
{
    struct net_tls_loop *loop = loop_of(io);
    char host[NET_TLS_HOST_SIZE];
    ASSERT(loop->client && events->connected);
    TRY(net_tls_trust_host(address, host, why));
    struct stream *stream = new_stream(loop, STREAM_CONNECTING, events, owner);
    if (!stream)
        return err_make(ERR_MEMORY);
    err_t err = net_tls_trust_expect(stream->ssl, loop->name ? loop->name : host);
    if (err_is_ok(err))
        err = io_tcp_connect(loop->behind, address, &behind_events, stream, &stream->behind, why);
    return hand_out(stream, err, out);
}

static void stream_read_start(struct io_tcp *tcp)
{
    struct stream *stream = stream_of(tcp);
    if (stream->reading || stream->state > STREAM_OPEN)
        return;
    stream->reading = true;
    /* Never from within this call, though the bytes are there. */
    bool left = stream->held.size > 0 || SSL_has_pending(stream->ssl);
    if (left && stream->state == STREAM_OPEN && !stream->deferred) {
        stream->deferred = true;
        io_defer(stream->loop->behind, &stream->task);
    }
    update_reading(stream);
}

/* The socket goes on being read until it brings something that nobody wants, as its own does. */
static void stream_read_stop(struct io_tcp *tcp)
{
    stream_of(tcp)->reading = false;
    update_reading(stream_of(tcp));
}

/* A record of what has been gathered. */
static bool seal(struct stream *stream, size_t size)
{
    size_t written = 0;
    if (size == 0)
        return true;
    ERR_clear_error();
    bool done = SSL_write_ex(stream->ssl, stream->loop->plain, size, &written) == 1;
    ASSERT(!done || written == size);
    if (stream->loop->out.size >= WRITE_SIZE)
        done = done && err_is_ok(flush(stream));
    return done;
}

static bool write_parts(struct stream *stream, const struct slice *parts, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        for (struct slice rest = parts[i]; rest.size > 0;) {
            struct slice part = slice_sub(rest, 0, RECORD_SIZE - size);
            memcpy(stream->loop->plain + size, part.data, part.size);
            size += part.size;
            rest = slice_sub(rest, part.size, rest.size);
            if (size < RECORD_SIZE)
                continue;
            if (!seal(stream, size))
                return false;
            size = 0;
        }
    return seal(stream, size);
}

static err_t stream_write(struct io_tcp *tcp, const struct slice *parts, size_t count)
{
    struct stream *stream = stream_of(tcp);
    if (stream->state != STREAM_OPEN && stream->state != STREAM_ENDED)
        return err_make(ERR_CLOSED);
    bool done = write_parts(stream, parts, count);
    /* Before it is emptied: what failed is told apart. */
    bool memory = !buf_ok(&stream->loop->out);
    if (err_is_ok(flush(stream)) && done)
        return err_ok();
    enter(stream, STREAM_BROKEN);
    stream->reading = false;
    update_reading(stream);
    return err_make(memory ? ERR_MEMORY : ERR_CLOSED);
}

static size_t stream_write_queued(const struct io_tcp *tcp)
{
    const struct stream *stream = stream_of(tcp);
    return stream->behind ? io_tcp_write_queued(stream->loop->behind, stream->behind) : 0;
}

/* Says that no more comes, where there is somebody to say it to. */
static void say_end(struct stream *stream)
{
    if (stream->state != STREAM_OPEN && stream->state != STREAM_ENDED)
        return;
    ERR_clear_error();
    (void)SSL_shutdown(stream->ssl);
    /* A peer that has gone need not be told. */
    (void)flush(stream);
}

static void stream_shutdown(struct io_tcp *tcp)
{
    struct stream *stream = stream_of(tcp);
    say_end(stream);
    io_tcp_shutdown(stream->loop->behind, stream->behind);
}

static void stream_close(struct io_tcp *tcp)
{
    struct stream *stream = stream_of(tcp);
    if (stream->state == STREAM_CLOSED)
        return;
    if (!(SSL_get_shutdown(stream->ssl) & SSL_SENT_SHUTDOWN))
        say_end(stream);
    stream->reading = false;
    enter(stream, STREAM_CLOSED);
    io_tcp_close(stream->loop->behind, stream->behind);
}

static err_t pass_listen(struct io_loop *io, const char *address,
                         const struct io_listener_events *events, void *owner,
                         struct io_listener **out, struct err_text *why)
{
    return io_listen(loop_of(io)->behind, address, events, owner, out, why);
}

static void pass_socket_close(struct io_loop *io, struct io_socket socket)
{
    io_socket_close(loop_of(io)->behind, socket);
}

static void pass_post(struct io_loop *io, struct task *task)
{
    io_post(loop_of(io)->behind, task);
}

static void pass_defer(struct io_loop *io, struct task *task)
{
    io_defer(loop_of(io)->behind, task);
}

static uint64_t pass_now_ns(struct io_loop *io)
{
    return io_now_ns(loop_of(io)->behind);
}

static int64_t pass_wall_ms(struct io_loop *io)
{
    return io_wall_ms(loop_of(io)->behind);
}

static void pass_random(struct io_loop *io, void *out, size_t size)
{
    io_random(loop_of(io)->behind, out, size);
}

static void pass_timer_start(struct io_loop *io, struct io_timer *timer, uint64_t delay_ns)
{
    io_timer_start(loop_of(io)->behind, timer, delay_ns);
}

static void pass_timer_stop(struct io_loop *io, struct io_timer *timer)
{
    io_timer_stop(loop_of(io)->behind, timer);
}

static const struct io_loop_ops loop_ops = {
    .post = pass_post,
    .defer = pass_defer,
    .now_ns = pass_now_ns,
    .wall_ms = pass_wall_ms,
    .random = pass_random,
    .timer_start = pass_timer_start,
    .timer_stop = pass_timer_stop,
};

/* Listeners are those of the loop behind, in the calls that have no loop too: who listens there
 * calls them there. */
static const struct io_tcp_ops tcp_ops = {
    .listen = pass_listen,
    .open = stream_open,
    .connect = stream_connect,
    .socket_close = pass_socket_close,
    .read_start = stream_read_start,
    .read_stop = stream_read_stop,
    .write = stream_write,
    .write_queued = stream_write_queued,
    .shutdown = stream_shutdown,
    .close = stream_close,
};

err_t net_tls_loop_new(const struct net_tls_options *options, struct net_tls_loop **out)
{
    ASSERT(options->loop && options->tls);
    struct net_tls_loop *loop = mem_zalloc(1, sizeof(*loop));
    BIO_METHOD *method = loop ? make_method() : NULL;
    if (!method) {
        mem_free(loop);
        return err_make(ERR_MEMORY);
    }
    loop->loop = (struct io_loop){&loop_ops, &tcp_ops};
    loop->behind = options->loop;
    loop->method = method;
    loop->logger = options->logger;
    loop->client = options->tls->client;
    loop->name = options->name;
    loop->handshake_ms = options->handshake_ms ? options->handshake_ms : HANDSHAKE_MS;
    net_tls_loop_use(loop, options->tls);
    *out = loop;
    return err_ok();
}

void net_tls_loop_free(struct net_tls_loop **pointer)
{
    struct net_tls_loop *loop = *pointer;
    if (!loop)
        return;
    /* A socket behind would call a stream that is gone. */
    ASSERT(loop->stream_count == 0);
    buf_done(&loop->out);
    SSL_CTX_free(loop->context);
    BIO_meth_free(loop->method);
    mem_free(loop);
    *pointer = NULL;
}

struct io_loop *net_tls_loop_io(struct net_tls_loop *loop)
{
    return &loop->loop;
}

void net_tls_loop_use(struct net_tls_loop *loop, const struct net_tls *tls)
{
    /* Counted before the other is let go: both may be the same. */
    int counted = SSL_CTX_up_ref(tls->context);
    ASSERT(counted && tls->client == loop->client);
    SSL_CTX_free(loop->context);
    loop->context = tls->context;
}

const char *net_tls_loop_why(const struct net_tls_loop *loop)
{
    return loop->why.text;
}

const struct net_tls_counters *net_tls_loop_counters(const struct net_tls_loop *loop)
{
    return &loop->counters;
}

void net_tls_counters_merge(struct net_tls_counters *into, const struct net_tls_counters *from)
{
    into->handshakes += from->handshakes;
    into->failures += from->failures;
    into->plain += from->plain;
    into->timeouts += from->timeouts;
}
