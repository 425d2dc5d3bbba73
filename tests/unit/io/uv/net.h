#pragma once

/*
 * What the tests of connections and listeners share: one loop that is run until a condition
 * holds, and the address of a port on this machine.
 */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/list.h"
#include "io/uv/uv.h"

#define DEADLINE_NS (60 * IO_SECOND)

struct pump {
    struct task task;
    struct io_loop *loop;
    bool (*reached)(void *context);
    void *context;
    uint64_t deadline_ns;
};

static inline void pump_turn(struct task *task)
{
    struct pump *pump = CONTAINER_OF(task, struct pump, task);
    if (pump->reached(pump->context) || io_now_ns(pump->loop) > pump->deadline_ns)
        io_uv_loop_stop(pump->loop);
    else
        io_defer(pump->loop, &pump->task);
}

/* Runs the loop until `reached`, which is asked once a turn. */
static inline void run_until(struct io_loop *loop, bool (*reached)(void *context), void *context)
{
    struct pump pump = {{.run = pump_turn}, loop, reached, context, 0};
    pump.deadline_ns = io_now_ns(loop) + DEADLINE_NS;
    io_defer(loop, &pump.task);
    io_uv_loop_run(loop);
    assert_true(reached(context));
}

/* For things that must not happen: so many turns without them. */
static inline bool turns_are_over(void *context)
{
    uint32_t *turns = context;
    return *turns == 0 || --*turns == 0;
}

static inline void run_turns(struct io_loop *loop, uint32_t turns)
{
    run_until(loop, turns_are_over, &turns);
}

struct port_text {
    char text[64];
};

static inline struct port_text at_port(const char *host, uint16_t port)
{
    struct port_text address;
    snprintf(address.text, sizeof(address.text), "%s:%u", host, port);
    return address;
}

/* A plain blocking socket connected to 127.0.0.1. */
static inline int connect_plain(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}
