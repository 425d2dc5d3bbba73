#pragma once

/*
 * The inside of the intake: http.c starts and stops it, intake.c serves requests, once.c reads how
 * they are named, export.c tells of them.
 */

#include "net/doors.h"
#include "sources/http/http.h"

/* What one loop has. Touched on that loop only. */
struct sources_http_door {
    struct net_door net;
    struct sources_http *http;
    struct io_loop *loop;
    struct flow_inlet *inlet;
    struct flow_credit *credit;
    struct net_http_server *server;
};

struct sources_http {
    struct flow_exporter exporter;
    struct net_doors net;
    const char *address;
    const char *const *hosts;
    size_t host_count;
    uint64_t body_max;
    uint64_t credit_wait_ms;
    size_t door_count;
    struct sources_http_door doors[];
};

#define SOURCES_HTTP_PRODUCER_MAX 128u
#define SOURCES_HTTP_KEY_MAX 255u

/* How a head names its request, so that it counts once. */
struct sources_http_once {
    bool given;
    enum flow_request_kind kind;
    struct slice id; /* into the head, or into `text` */
    uint64_t sequence;
    uint8_t text[SOURCES_HTTP_KEY_MAX + 1];
};

/* once.c: reads Garner-Producer and Garner-Sequence, or Idempotency-Key. NULL, or what is wrong
 * with them, for a person. `text` need not be initialised. */
const char *sources_http_once_parse(const struct net_http_fields *fields,
                                    struct sources_http_once *out);

/* intake.c: the server's owner is a struct sources_http_door. */
extern const struct net_http_handler sources_http_handler;

/* export.c: the exporter's collect. */
void sources_http_collect(struct flow_exporter *exporter, struct flow_report *report);
