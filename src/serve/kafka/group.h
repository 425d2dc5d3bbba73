#pragma once

/*
 * One consumer group of the classic protocol, as a state machine: who is in it, which generation it
 * is, who waits for what. No sockets, no clock and no log: time comes with every call, and what is
 * to be answered is put in a list that whoever called takes at once. What protocol types and their
 * bytes mean is the clients' business ("consumer", "connect", ...), here they pass as bytes.
 *
 *            first member       all joined, or time           the leader's assignment
 *   EMPTY ────────────────► PREPARING ───────────► COMPLETING ────────────► STABLE
 *     ▲                       ▲  │                     │                      │
 *     └──── nobody is left ───┼──┘                     │                      │
 *                             └── joins, leaves, dies ─┴──────────────────────┘
 *
 * A group that is let go of is DEAD, which may follow EMPTY alone. Owned by the coordinator; one
 * thread.
 */

#include "base/err.h"
#include "base/list.h"
#include "base/slice.h"
#include "serve/kafka/error.h"

/* What every group may take, and all of them together. */
#define SERVE_KAFKA_GROUP_MEMBERS_MAX 2000u
#define SERVE_KAFKA_GROUP_BYTES_MAX (UINT64_C(16) << 20)
#define SERVE_KAFKA_GROUPS_BYTES_MAX (UINT64_C(64) << 20)
/* Of a session, as Kafka's group.min.session.timeout.ms and group.max.session.timeout.ms. */
#define SERVE_KAFKA_SESSION_MS_MIN 6000
#define SERVE_KAFKA_SESSION_MS_MAX 1800000
/* An id that was given away is kept for the shorter of its session and this: clients come back with
 * it at once, and each may hold the place of a group that nobody is in. */
#define SERVE_KAFKA_PENDING_MS_MAX 10000
/* An empty group waits so long for more members before its first generation. Kafka's
 * group.initial.rebalance.delay.ms is 3000; a second is enough for members of one deployment. */
#define SERVE_KAFKA_GROUP_DELAY_MS 1000

enum serve_kafka_group_state {
    SERVE_KAFKA_GROUP_EMPTY,
    SERVE_KAFKA_GROUP_PREPARING,  /* members join */
    SERVE_KAFKA_GROUP_COMPLETING, /* they have their generation, and wait for assignments */
    SERVE_KAFKA_GROUP_STABLE,
    SERVE_KAFKA_GROUP_DEAD,
};
#define SERVE_KAFKA_GROUP_STATES 5

/* What all groups take together. */
struct serve_kafka_group_budget {
    uint64_t bytes;
    uint64_t bytes_max;
    uint64_t members;
    uint64_t rebalances; /* generations that have begun; only grows */
    uint64_t expired;    /* members that were not heard of in time; only grows */
};

struct serve_kafka_protocol {
    struct slice name;
    struct slice metadata;
};

/* A join or a sync that the group answers, at once or later. The caller's until it is handed over,
 * and again once it is in the group's list of answers. */
struct serve_kafka_waiter {
    struct list link;
    int16_t error;                     /* SERVE_KAFKA_... */
    struct serve_kafka_member *member; /* without an error, and of a MEMBER_ID_REQUIRED NULL */
    struct slice member_id;            /* with an error: to be told; until the next call */
    bool lists;           /* a join: its member leads, and is told who the others are */
    bool skip_assignment; /* and they have their assignments already (KIP-814) */
    bool hides_leader;    /* it leads, and is not to know */
};

struct serve_kafka_member {
    struct list link;
    struct slice id;
    struct slice instance_id; /* data NULL: the member is dynamic */
    struct slice client_id;
    struct slice client_host;               /* of the connection that it has joined over */
    struct serve_kafka_protocol *protocols; /* as the member prefers them; one block with bytes */
    uint32_t protocol_count;
    struct slice assignment; /* owned */
    uint64_t bytes;          /* of the budget */
    uint32_t session_ms;
    uint32_t rebalance_ms;
    uint64_t deadline_ms; /* unless it waits: it is dead if it is not heard of before */
    struct serve_kafka_waiter *join;
    struct serve_kafka_waiter *sync;
    bool synced; /* it has asked for its assignment of this generation, or not heard of it */
    char names[];
};

struct serve_kafka_group {
    enum serve_kafka_group_state state;
    struct serve_kafka_group_budget *budget;
    uint64_t bytes;
    int32_t generation;
    struct slice protocol_type; /* owned */
    struct slice protocol;      /* of the generation, owned; data NULL: none */
    struct serve_kafka_member *leader;
    struct list members; /* the longest there first */
    uint32_t member_count;
    struct list pending; /* ids that were given to members which have not come back with them */
    uint32_t pending_count;
    bool initial; /* PREPARING after EMPTY: members may come until delay_ms */
    bool grew;    /* since that was set */
    uint64_t delay_ms;
    uint64_t join_deadline_ms; /* PREPARING: who is not back then is out */
    uint64_t sync_deadline_ms; /* COMPLETING, STABLE: who has not asked then is out */
    uint64_t touched_ms;       /* when it was last used by somebody */
    struct list answered;      /* struct serve_kafka_waiter */
};

/* What a JoinGroup says; everything lives as long as the call. */
struct serve_kafka_join {
    struct slice member_id;   /* empty: it has none yet */
    struct slice instance_id; /* data NULL: none */
    struct slice client_id;
    struct slice client_host;
    struct slice protocol_type;
    const struct serve_kafka_protocol *protocols;
    uint32_t protocol_count;
    uint32_t session_ms;
    uint32_t rebalance_ms;
    bool knows_required; /* an id is to be had before joining (version 4) */
    bool knows_skipping; /* version 9 */
    struct slice fresh;  /* what makes an id unique */
};

/* What a SyncGroup says. */
struct serve_kafka_sync {
    struct slice member_id;
    struct slice instance_id;
    int32_t generation;
    struct slice protocol_type; /* data NULL: not said */
    struct slice protocol;
    const struct serve_kafka_protocol *assignments; /* by member id, from the leader */
    uint32_t assignment_count;
};

/* group.c */

/* An empty one. */
void serve_kafka_group_init(struct serve_kafka_group *group,
                            struct serve_kafka_group_budget *budget);
/* Of a group with nobody waiting. */
void serve_kafka_group_done(struct serve_kafka_group *group);
/* As clients are told it. */
const char *serve_kafka_group_state_name(enum serve_kafka_group_state state);
/* The member that a request is of, checked as Kafka does: 0, UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID.
 */
int16_t serve_kafka_group_find(const struct serve_kafka_group *group, struct slice member_id,
                               struct slice instance_id, struct serve_kafka_member **out);
/* What the member says under the protocol; empty when it does not speak it. */
struct slice serve_kafka_member_metadata(const struct serve_kafka_member *member,
                                         struct slice protocol);

/* group_join.c */

/* Answers at once, or when the rebalance that this begins or joins is over. */
void serve_kafka_group_join(struct serve_kafka_group *group, const struct serve_kafka_join *join,
                            struct serve_kafka_waiter *waiter, uint64_t now_ms);
/* Members have to join again. The state is not DEAD. */
void serve_kafka_group_rebalance(struct serve_kafka_group *group, uint64_t now_ms);
/* Ends the joining when everybody is back. */
void serve_kafka_group_try_complete(struct serve_kafka_group *group, uint64_t now_ms);
/* Ends it with those who are. */
void serve_kafka_group_complete(struct serve_kafka_group *group, uint64_t now_ms);

/* group_sync.c */

void serve_kafka_group_sync(struct serve_kafka_group *group, const struct serve_kafka_sync *sync,
                            struct serve_kafka_waiter *waiter, uint64_t now_ms);
/* The code to answer with. */
int16_t serve_kafka_group_heartbeat(struct serve_kafka_group *group, struct slice member_id,
                                    struct slice instance_id, int32_t generation, uint64_t now_ms);
int16_t serve_kafka_group_leave(struct serve_kafka_group *group, struct slice member_id,
                                struct slice instance_id, uint64_t now_ms);
/* Whether the member may commit offsets; one that has no generation may when nobody is there. */
int16_t serve_kafka_group_may_commit(struct serve_kafka_group *group, struct slice member_id,
                                     struct slice instance_id, int32_t generation, uint64_t now_ms);
/* Lets time do what is due: members that were not heard of go, rebalances end. */
void serve_kafka_group_tick(struct serve_kafka_group *group, uint64_t now_ms);
/* When the next of that is due; UINT64_MAX: never. A member that was heard of since may have moved
 * it further away. */
uint64_t serve_kafka_group_due_ms(const struct serve_kafka_group *group);
/* Answers all who wait with `error`. */
void serve_kafka_group_cancel(struct serve_kafka_group *group, int16_t error);
