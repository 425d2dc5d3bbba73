#pragma once

/*
 * The door on a fake loop, with two parts and a log that answer when the test says so.
 */

#include "admin/admin.h"

#include "lib/unit.h"
#include "unit/net/fake_tcp.h"

#define PARTS 2
#define HELD_MAX 80

struct part {
    struct flow_exporter exporter;
    struct flow_report *held[HELD_MAX];
    size_t count;
};

struct fixture {
    struct fake_loop *fake;
    struct flow_log log;
    struct flow_snapshot *held[HELD_MAX];
    size_t held_count;
    struct flow_read *read; /* the last that was asked for and has no answer */
    struct flow_find *find;
    struct flow_pin *pin; /* as `read` */
    struct flow_offsets *offsets;
    struct flow_commit *commits[HELD_MAX];
    size_t commit_count; /* not answered */
    unsigned cancels;
    unsigned releases;
    struct part parts[PARTS];
    struct flow_exporter *exporters[PARTS];
    struct admin *admin;
    unsigned stopped;
};

static const struct metric_family depth = {"garner_depth", "How deep it is.", METRIC_GAUGE};

static inline void collect(struct flow_exporter *exporter, struct flow_report *report)
{
    struct part *part = CONTAINER_OF(exporter, struct part, exporter);
    assert_in_range(part->count, 0, HELD_MAX - 1);
    assert_string_equal(report->not_ready, "");
    part->held[part->count++] = report;
}

static inline void take_snapshot(struct flow_log *log, struct flow_snapshot *snapshot)
{
    struct fixture *f = CONTAINER_OF(log, struct fixture, log);
    assert_in_range(f->held_count, 0, HELD_MAX - 1);
    f->held[f->held_count++] = snapshot;
}

static inline void take_read(struct flow_log *log, struct flow_read *read)
{
    struct fixture *f = CONTAINER_OF(log, struct fixture, log);
    assert_ptr_equal(read->home, &f->fake->loop);
    f->read = read;
}

static inline void take_cancel(struct flow_log *log, struct flow_read *read)
{
    struct fixture *f = CONTAINER_OF(log, struct fixture, log);
    assert_true(read->wait && !read->cancelled);
    read->cancelled = true;
    f->cancels++;
}

static inline void take_release(struct flow_log *log, struct flow_read *read)
{
    struct fixture *f = CONTAINER_OF(log, struct fixture, log);
    (void)read;
    f->releases++;
}

static inline void take_find(struct flow_log *log, struct flow_find *find)
{
    struct fixture *f = CONTAINER_OF(log, struct fixture, log);
    assert_ptr_equal(find->home, &f->fake->loop);
    f->find = find;
}

static inline void take_commit(struct flow_log *log, struct flow_commit *commit)
{
    struct fixture *f = CONTAINER_OF(log, struct fixture, log);
    assert_ptr_equal(commit->home, &f->fake->loop);
    f->commits[f->commit_count++] = commit;
}

static inline void take_pin(struct flow_log *log, struct flow_pin *pin)
{
    struct fixture *f = CONTAINER_OF(log, struct fixture, log);
    assert_ptr_equal(pin->home, &f->fake->loop);
    assert_null(f->pin);
    f->pin = pin;
}

static inline void take_offsets(struct flow_log *log, struct flow_offsets *offsets)
{
    struct fixture *f = CONTAINER_OF(log, struct fixture, log);
    assert_ptr_equal(offsets->home, &f->fake->loop);
    assert_null(f->offsets);
    f->offsets = offsets;
}

static const struct flow_log_ops log_ops = {
    .offsets = take_offsets,
    .snapshot = take_snapshot,
    .read = take_read,
    .cancel = take_cancel,
    .release = take_release,
    .find = take_find,
    .commit = take_commit,
    .pin = take_pin,
};

/* What the configuration declares; names are sorted. */
static const struct control_catalog_topic declared[] = {{.name = "flights"}, {.name = "other"}};
static const struct control_catalog catalog = {.topics = declared, .topic_count = 2};

static inline struct admin_options options_of(struct fixture *f)
{
    return (struct admin_options){
        .loop = &f->fake->loop,
        .log = &f->log,
        .catalog = &catalog,
        .address = "127.0.0.1:9600",
        .exporters = f->exporters,
        .exporter_count = PARTS,
    };
}

static inline struct fixture *fixture_prepare(void)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->fake = fake_loop_new();
    f->log.ops = &log_ops;
    for (size_t i = 0; i < PARTS; i++) {
        f->parts[i].exporter = (struct flow_exporter){.name = "part", .collect = collect};
        f->exporters[i] = &f->parts[i].exporter;
    }
    return f;
}

static inline void connect_one(struct fixture *f)
{
    struct io_listener *listener = f->fake->listener;
    listener->events->accepted(listener->owner, (struct io_socket){.fd = f->fake->tcp_count});
    fake_run(f->fake);
}

/* Listens, with one connection. */
static inline struct fixture *fixture_new(void)
{
    struct fixture *f = fixture_prepare();
    struct err_text why = {0};
    struct admin_options options = options_of(f);
    assert_true(err_is_ok(admin_new(&options, &f->admin, &why)));
    assert_int_equal(admin_port(f->admin), 4711);
    connect_one(f);
    return f;
}

static inline void on_stopped(void *owner)
{
    struct fixture *f = owner;
    f->stopped++;
}

static inline void settle(struct fixture *f)
{
    fake_run(f->fake);
    struct io_listener *listener = f->fake->listener;
    if (listener && listener->closed) {
        f->fake->listener = NULL;
        listener->events->closed(listener->owner);
        free(listener);
    }
    for (int i = 0; i < 5; i++)
        fake_advance(f->fake, 1000);
}

static inline void fixture_free(struct fixture *f)
{
    if (!f->stopped) {
        admin_stop(f->admin, 0, on_stopped, f);
        settle(f);
    }
    assert_int_equal(f->stopped, 1);
    admin_free(&f->admin);
    assert_null(f->admin);
    admin_free(&f->admin);
    fake_loop_free(f->fake);
    free(f);
}

static const char *ask_with(struct fixture *f, const char *request)
{
    struct io_tcp *tcp = f->fake->tcps[f->fake->tcp_count - 1];
    fake_forget_written(tcp);
    fake_send_text(tcp, request);
    fake_run(f->fake);
    return fake_written(tcp);
}

static inline const char *ask(struct fixture *f, const char *path)
{
    char request[1024];
    snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: localhost:9600\r\n\r\n", path);
    return ask_with(f, request);
}

static inline const char *answer(const struct fixture *f)
{
    fake_run(f->fake);
    return fake_written(f->fake->tcps[f->fake->tcp_count - 1]);
}

static inline void assert_starts(const char *text, const char *start)
{
    if (!text || strncmp(text, start, strlen(start)) != 0)
        fail_msg("expected \"%s\", got:\n%s", start, text ? text : "nothing");
}

static inline void assert_ends(const char *text, const char *end)
{
    size_t size = strlen(text), end_size = strlen(end);
    if (size < end_size || strcmp(text + size - end_size, end) != 0)
        fail_msg("expected the end \"%s\", got:\n%s", end, text);
}

/* The oldest report that a part holds goes home. */
static inline void report(struct part *part, double value, const char *not_ready)
{
    assert_true(part->count > 0);
    struct flow_report *held = part->held[0];
    memmove(part->held, part->held + 1, --part->count * sizeof(part->held[0]));
    metric_add(&held->metrics, &depth, value, "%s", "");
    snprintf(held->not_ready, sizeof(held->not_ready), "%s", not_ready);
    held->done(held);
}
