#pragma once

/*
 * The admin door: GET /health, /ready, /metrics and /v1/ledger; GET /v1/topics, /v1/topics/{topic}
 * and its /records, and DELETE /v1/topics/{topic}?confirm={topic}; GET /v1/groups and
 * /v1/groups/{group}; GET /v1/contracts and /v1/contracts/{topic}; POST /v1/reload; GET /v1/users,
 * PUT and DELETE /v1/users/{name}; POST
 * /v1/backups, and POST and DELETE /v1/backups/{id}. It asks the other parts through flow/status.h
 * and flow/log.h and never touches their state. Everything runs on one loop, the one given; new,
 * start and free also before that loop runs.
 */

#include "base/buf.h"
#include "base/err.h"
#include "base/logger.h"
#include "control/auth/users.h"
#include "control/catalog/catalog.h"
#include "flow/letters.h"
#include "flow/log.h"
#include "flow/status.h"
#include "flow/topics.h"
#include "io/loop.h"

struct admin;

/* A reload that was asked for: whoever does it fills in the answer and calls `done`, at once or
 * later, on the admin's loop. */
struct admin_reload {
    int status;
    struct buf body; /* JSON */
    void (*done)(struct admin_reload *reload);
};

/* A change of a user that was asked for: as a reload. */
struct admin_user {
    bool remove;
    struct slice name;     /* valid as such */
    struct slice password; /* not kept, and not to be told to anybody */
    int status;
    struct buf body; /* JSON */
    void (*done)(struct admin_user *user);
};

struct admin_options {
    struct io_loop *loop;
    struct flow_log *log;
    const struct control_catalog *catalog; /* what it declares is not deleted; lives as long */
    struct flow_topics *topics;            /* makes and changes topics; NULL: nobody does */
    struct flow_letters *letters; /* on the same loop; NULL: dead letters are not asked for */
    const char *address;          /* "host:port"; its host is allowed in Host */
    struct flow_exporter *const *exporters; /* asked for every scrape; they live until the stop */
    size_t exporter_count;
    void (*reload)(void *owner, struct admin_reload *reload); /* NULL: there is none */
    void *reload_owner;
    void (*user)(void *owner, struct admin_user *user);     /* NULL: there are no users */
    const struct control_auth_users *(*users)(void *owner); /* those in force */
    void *users_owner;
};

/* Listens at once; detail names the option to change when the address is taken. */
err_t admin_new(const struct admin_options *options, struct admin **out, struct err_text *why);
/* Other contracts from here on; `catalog` lives as long as it is in force. */
void admin_set_catalog(struct admin *admin, const struct control_catalog *catalog);
/* The port in host order. */
uint16_t admin_port(const struct admin *admin);
/* Answers no more; `stopped` is called on the loop once nothing is under way, after at most
 * `deadline_ms` and what the parts asked need. */
void admin_stop(struct admin *admin, uint64_t deadline_ms, void (*stopped)(void *owner),
                void *owner);
/* Frees a stopped one. */
void admin_free(struct admin **admin);
