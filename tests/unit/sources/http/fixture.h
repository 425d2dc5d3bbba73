#pragma once

/*
 * The intake on two fake loops, with an inlet that keeps requests until the test answers them and
 * knows one topic, "flights".
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "sources/http/http.h"
#include "unit/net/fake_tcp.h"

#define LOOPS 2
#define SUBMITTED_MAX 64

struct fake_inlet {
    struct flow_inlet inlet;
    struct flow_inlet_request *submitted[SUBMITTED_MAX];
    size_t count;
    struct fake_bytes body; /* of the last one */
};

struct fixture {
    struct fake_loop *fakes[LOOPS];
    struct fake_inlet inlets[LOOPS];
    struct flow_credit credits[LOOPS];
    struct sources_http *http;
    unsigned stopped;
};

static const char fake_topic;

static inline const struct flow_inlet_topic *fixture_topic(struct flow_inlet *inlet,
                                                           struct slice name)
{
    (void)inlet;
    bool known = slice_equal_string(name, "flights");
    return known ? (const struct flow_inlet_topic *)(const void *)&fake_topic : NULL;
}

static inline void fixture_submit(struct flow_inlet *inlet, struct flow_inlet_request *request)
{
    struct fake_inlet *fake = (struct fake_inlet *)(void *)inlet;
    assert_in_range(fake->count, 0, SUBMITTED_MAX - 1);
    assert_ptr_equal(request->topic, &fake_topic);
    assert_string_equal(request->source, "http");
    fake->submitted[fake->count++] = request;
    fake->body.size = 0;
    if (request->body.size > 0)
        fake_append(&fake->body, request->body.data, request->body.size);
}

static inline struct flow_fingerprint fixture_fingerprint(const struct flow_inlet_topic *topic,
                                                          struct slice text)
{
    assert_ptr_equal(topic, &fake_topic);
    return (struct flow_fingerprint){text.size, text.data[0]};
}

static const struct flow_inlet_ops fixture_inlet_ops = {
    .topic = fixture_topic, .submit = fixture_submit, .fingerprint = fixture_fingerprint};

static inline struct fixture *fixture_new(uint64_t body_max, uint64_t credit)
{
    static const char *const hosts[] = {"garner.example"};
    struct fixture *f = calloc(1, sizeof(*f));
    struct sources_http_loop loops[LOOPS];
    for (size_t i = 0; i < LOOPS; i++) {
        f->fakes[i] = fake_loop_new();
        f->inlets[i].inlet.ops = &fixture_inlet_ops;
        flow_credit_init(&f->credits[i], "intake", credit);
        loops[i] =
            (struct sources_http_loop){&f->fakes[i]->loop, &f->inlets[i].inlet, &f->credits[i]};
    }
    struct sources_http_options options = {
        .address = "127.0.0.1:0",
        .loops = loops,
        .loop_count = LOOPS,
        .hosts = hosts,
        .host_count = 1,
        .body_max = body_max,
    };
    assert_true(err_is_ok(sources_http_new(&options, &f->http)));
    return f;
}

static inline void fixture_run(struct fixture *f)
{
    for (int round = 0; round < 4; round++)
        for (size_t i = 0; i < LOOPS; i++)
            fake_run(f->fakes[i]);
}

static inline void fixture_stopped(void *owner)
{
    struct fixture *f = owner;
    f->stopped++;
}

/* Lets what was asked to stop get there. */
static inline void fixture_settle(struct fixture *f)
{
    fixture_run(f);
    struct io_listener *listener = f->fakes[0]->listener;
    if (listener && listener->closed) {
        listener->events->closed(listener->owner);
        free(listener);
        f->fakes[0]->listener = NULL;
    }
    for (int i = 0; i < 5; i++) {
        for (size_t j = 0; j < LOOPS; j++)
            fake_advance(f->fakes[j], 1000);
        fixture_run(f);
    }
}

static inline void fixture_free(struct fixture *f)
{
    if (!f->stopped) {
        sources_http_stop(f->http, 0, fixture_stopped, f);
        fixture_settle(f);
    }
    assert_int_equal(f->stopped, 1);
    sources_http_free(&f->http);
    assert_null(f->http);
    for (size_t i = 0; i < LOOPS; i++) {
        assert_int_equal(f->credits[i].used_bytes, 0);
        assert_true(list_empty(&f->credits[i].waiters));
        fake_loop_free(f->fakes[i]);
        free(f->inlets[i].body.data);
    }
    free(f);
}

/* Listens and takes a connection on each loop, in turn. */
static inline void fixture_open(struct fixture *f)
{
    struct err_text why = {0};
    assert_true(err_is_ok(sources_http_start(f->http, &why)));
    struct io_listener *listener = f->fakes[0]->listener;
    for (int i = 0; i < LOOPS; i++)
        listener->events->accepted(listener->owner, (struct io_socket){.fd = i});
    fixture_run(f);
}

/* A request of `lines` (a request line's begin, field lines) and `body`; returns what was
 * answered so far. */
static inline const char *fixture_ask(struct fixture *f, const char *target, const char *lines,
                                      const char *body)
{
    char text[2048];
    snprintf(text, sizeof(text),
             "%s HTTP/1.1\r\nHost: localhost\r\n%sContent-Length: %zu\r\n\r\n%s", target, lines,
             strlen(body), body);
    struct io_tcp *tcp = f->fakes[0]->tcps[0];
    fake_forget_written(tcp);
    fake_send_text(tcp, text);
    fake_run(f->fakes[0]);
    return fake_written(tcp);
}

/* Finishes the last request submitted on the first loop; returns what was answered. */
static inline const char *fixture_finish(struct fixture *f, struct flow_inlet_request *request)
{
    request->done(request);
    fake_run(f->fakes[0]);
    return fake_written(f->fakes[0]->tcps[0]);
}

#define POST "POST /v1/topics/flights/records"
#define JSON "Content-Type: application/json\r\n"
