#pragma once

/*
 * The coordinator of all consumer groups: an actor on the first loop. Calls about groups are handed
 * over to it whole, and go home to be sent when it has answered them, which may be much later (a
 * join waits for the other members). What groups have committed is the log's, which is asked for
 * the names of groups when this starts: a group that is there without a member is empty, and
 * members of before a restart join again.
 *
 * Everything here is called on the coordinator's loop unless it says otherwise.
 */

#include "base/map.h"
#include "serve/kafka/group.h"
#include "serve/kafka/kafka_int.h"

/* An empty group that nobody has used for so long loses its offsets, as Kafka's
 * offsets.retention.minutes. Time before this server started does not count. */
#define SERVE_KAFKA_OFFSETS_KEPT_MS (UINT64_C(7) * 86400000)
/* How often that is looked at. */
#define SERVE_KAFKA_SWEEP_MS UINT64_C(60000)
/* Over it nobody makes another group; those that the log knows are there in any case. */
#define SERVE_KAFKA_GROUPS_MAX 100000u

/* A group with its place in the coordinator. */
struct serve_kafka_entry {
    struct serve_kafka_group group;
    struct serve_kafka_coordinator *coordinator;
    struct io_timer timer; /* for serve_kafka_group_tick */
    struct list link;      /* of those that a sweep ends */
    uint64_t round;        /* the last listing of the log that had it */
    bool kept;             /* it has offsets, as far as is known */
    struct slice name;
    char bytes[];
};

struct serve_kafka_coordinator {
    struct io_loop *loop;
    struct flow_log *log;
    struct map groups; /* struct serve_kafka_entry by name */
    struct serve_kafka_group_budget budget;
    struct list early; /* calls that came before the log has said which groups there are */
    bool loaded;
    struct io_timer sweep;
    struct flow_offsets listing;
    bool listing_asked;
    bool listing_stale; /* a group was deleted since it was asked for */
    uint64_t listing_ms;
    uint64_t round;
    uint64_t commits;        /* of its own, on their way */
    uint64_t groups_expired; /* only grows */
    bool stopping;
    void (*stopped)(void *owner);
    void *owner;
};

/* A call about a group that may have to wait. In the call's arena, as its `work`. */
struct serve_kafka_group_call {
    struct serve_kafka_call *call;
    struct serve_kafka_waiter waiter;
    char client_host[IO_PEER_SIZE + 1]; /* as Kafka writes it: "/" and the address */
    void (*reply)(struct serve_kafka_entry *entry, struct serve_kafka_group_call *waiting);
};

/* coordinator.c */

/* Before the loops run, and when they do not any more. ERR_MEMORY. */
err_t serve_kafka_coordinator_new(struct io_loop *loop, struct flow_log *log,
                                  struct serve_kafka_coordinator **out);
void serve_kafka_coordinator_free(struct serve_kafka_coordinator **coordinator);
/* Asks the log which groups there are; calls wait until it has said so. */
void serve_kafka_coordinator_start(struct serve_kafka_coordinator *coordinator);
/* Answers all that wait, and takes no more. `stopped` is called once nothing of it is on its way.
 */
void serve_kafka_coordinator_stop(struct serve_kafka_coordinator *coordinator,
                                  void (*stopped)(void *owner), void *owner);
/* True for what a group may be called: 1 to FLOW_GROUP_NAME_MAX bytes of UTF-8, and no NUL. On any
 * loop. */
bool serve_kafka_is_group(struct slice name);
/* The code for a group that was asked for by `name` and is not there: `unknown`, unless nothing can
 * be called that. */
int16_t serve_kafka_no_group(struct slice name, int16_t unknown);
/* On the call's own loop: hands it over. `run` is called with it, later. */
void serve_kafka_coordinate(struct serve_kafka_call *call,
                            void (*run)(struct serve_kafka_coordinator *coordinator,
                                        struct serve_kafka_call *call));
/* Ends the call with its api->response's struct, which is encoded here and sent at home. NULL: no
 * memory for it, the connection ends. */
void serve_kafka_send_home(struct serve_kafka_call *call, const void *response);
/* Adds the metrics of groups. */
void serve_kafka_coordinator_report(const struct serve_kafka_coordinator *coordinator,
                                    struct metric_set *set);
uint64_t serve_kafka_coordinator_now_ms(const struct serve_kafka_coordinator *coordinator);
/* The group, or NULL. */
struct serve_kafka_entry *
serve_kafka_coordinator_find(const struct serve_kafka_coordinator *coordinator, struct slice name);
/* The group, made when there is none; NULL when there is no room. */
struct serve_kafka_entry *
serve_kafka_coordinator_ensure(struct serve_kafka_coordinator *coordinator, struct slice name);
/* Sends the answers that the group has given, sets its timer, and lets go of it when there is
 * nothing to keep. After everything that was done with a group. */
void serve_kafka_coordinator_settle(struct serve_kafka_entry *entry);
/* Lets go of an empty group whose offsets the caller has deleted. */
void serve_kafka_coordinator_forget(struct serve_kafka_entry *entry);
