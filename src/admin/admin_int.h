#pragma once

/*
 * The inside of the admin door: the routes and the simple answers (admin.c), deleting a topic
 * (deletion.c), reading records (records.c) and holding what is backed up (backup.c), each of which
 * may take several turns of the one loop.
 */

#include "admin/admin.h"
#include "base/list.h"
#include "flow/commit.h"
#include "net/doors.h"
#include "net/http/server.h"

struct admin {
    struct admin_options options;
    struct net_http_server *server;
    struct net_doors net;
    struct net_door door; /* the only one */
    uint32_t inquiries;
    struct list readers; /* records.c: reads under way */
    uint32_t reader_count;
};

/* The longest query of a request, in bytes as sent. */
#define ADMIN_QUERY_SIZE 512u

/* What a request's target says, kept from its head on. */
struct admin_target {
    size_t topic_size;
    size_t query_size;
    uint8_t topic[FLOW_TOPIC_NAME_MAX]; /* decoded */
    uint8_t query[ADMIN_QUERY_SIZE];    /* still encoded */
    struct slice body;                  /* valid while it is served */
};

/* Counts an inquiry; where there are too many it answers 503 and returns false. */
bool admin_inquiry_begin(struct admin *admin, struct net_http_request *request);
void admin_inquiry_end(struct admin *admin);
/* Answers with a body that may have met the end of memory: then with 503. `type` NULL: JSON. */
void admin_reply(struct net_http_request *request, int status, const char *type, struct buf *body);
/* Answers with {"error":code,…} for an error that the log gave; `what` did not work by it. */
void admin_reply_failed(struct net_http_request *request, err_t err, const char *code,
                        const char *what);
/* 404 for the topic of a target. */
void admin_reply_unknown(struct net_http_request *request, struct slice topic);
/* 503, and how it is said everywhere that too much is going on. */
void admin_reply_busy(struct net_http_request *request);

/* records.c: GET /v1/topics/{}/records. Answers, at once or later. */
void admin_records_serve(struct admin *admin, struct net_http_request *request,
                         const struct admin_target *target);
/* Ends the waiting of all reads that wait for records. */
void admin_records_stop(struct admin *admin);

/* backup.c: POST /v1/backups, POST and DELETE /v1/backups/{}. Answer later. */
void admin_backup_take(struct admin *admin, struct net_http_request *request,
                       const struct admin_target *target);
void admin_backup_keep(struct admin *admin, struct net_http_request *request,
                       const struct admin_target *target);
void admin_backup_give_back(struct admin *admin, struct net_http_request *request,
                            const struct admin_target *target);

/* dlq.c: /v1/dlq and what is below it. Each answers, at once or later. */
void admin_dlq_list(struct admin *admin, struct net_http_request *request,
                    const struct admin_target *target);
void admin_dlq_show(struct admin *admin, struct net_http_request *request,
                    const struct admin_target *target);
void admin_dlq_redrive(struct admin *admin, struct net_http_request *request,
                       const struct admin_target *target);
void admin_dlq_purge(struct admin *admin, struct net_http_request *request,
                     const struct admin_target *target);
void admin_dlq_state(struct admin *admin, struct net_http_request *request,
                     const struct admin_target *target);
void admin_dlq_cancel(struct admin *admin, struct net_http_request *request,
                      const struct admin_target *target);

/* reload.c: POST /v1/reload. Answers at once or later. */
void admin_reload_serve(struct admin *admin, struct net_http_request *request,
                        const struct admin_target *target);

/* contracts.c: GET /v1/contracts and /v1/contracts/{}. Answer at once. */
void admin_contracts_serve(struct admin *admin, struct net_http_request *request,
                           const struct admin_target *target);
void admin_contract_serve(struct admin *admin, struct net_http_request *request,
                          const struct admin_target *target);

/* change.c: POST and PUT /v1/topics/{}. Answer later, or at once what is wrong. */
void admin_topic_create(struct admin *admin, struct net_http_request *request,
                        const struct admin_target *target);
void admin_topic_alter(struct admin *admin, struct net_http_request *request,
                       const struct admin_target *target);

/* users.c: GET /v1/users, at once; PUT and DELETE /v1/users/{}, later. */
void admin_users_serve(struct admin *admin, struct net_http_request *request,
                       const struct admin_target *target);
void admin_user_put(struct admin *admin, struct net_http_request *request,
                    const struct admin_target *target);
void admin_user_remove(struct admin *admin, struct net_http_request *request,
                       const struct admin_target *target);

/* groups.c: GET /v1/groups and /v1/groups/{}. Answers later. */
void admin_groups_serve(struct admin *admin, struct net_http_request *request,
                        const struct admin_target *target);

/* deletion.c: DELETE /v1/topics/{}. Answers later. */
void admin_deletion_serve(struct admin *admin, struct net_http_request *request,
                          const struct admin_target *target);
