#pragma once

/*
 * The inside of the intake: http.c starts and stops it, intake.c serves requests, export.c tells
 * of them.
 */

#include "net/listener.h"
#include "sources/http/http.h"

/* What one loop has. Touched on that loop only. */
struct sources_http_door {
    struct sources_http *http;
    struct io_loop *loop;
    struct flow_inlet *inlet;
    struct flow_credit *credit;
    struct net_http_server *server;
    struct task stop_task;
    struct task stopped_task; /* on the first loop */
};

struct sources_http {
    struct flow_exporter exporter;
    const char *address;
    const char *const *hosts;
    size_t host_count;
    uint64_t body_max;
    uint64_t credit_wait_ms;
    struct net_listener *listener;
    bool listening;
    uint64_t stop_deadline_ms;
    size_t doors_open;
    void (*stopped)(void *owner);
    void *stopped_owner;
    size_t door_count;
    struct sources_http_door doors[];
};

/* intake.c: the server's owner is a struct sources_http_door. */
extern const struct net_http_handler sources_http_handler;

/* export.c: the exporter's collect. */
void sources_http_collect(struct flow_exporter *exporter, struct flow_report *report);
