#pragma once

/*
 * The inside of the Kafka door: kafka.c starts and stops it, session.c takes requests and gives
 * answers, view.c knows which topics there are; the rest is a file an API or a family of them.
 *
 * A call is one request on its way. Its message and whatever its answer is made of lie in its
 * arena, which lives until the answer has been encoded.
 */

#include "base/map.h"
#include "flow/topics.h"
#include "net/doors.h"
#include "proto/kafka/messages.h"
#include "serve/kafka/error.h"
#include "serve/kafka/kafka.h"

/* The one broker that there is. */
#define SERVE_KAFKA_NODE_ID 1
/* And which leads every partition for good. */
#define SERVE_KAFKA_LEADER_EPOCH 0
/* Answers hold so many bytes of batches at the most, and one batch more where nothing else fits. */
#define SERVE_KAFKA_FETCH_BYTES_MAX (8u << 20)

struct serve_kafka_door;
struct serve_kafka_call;
struct serve_kafka_fetch_session;

struct serve_kafka_coordinator;

/* What serves one API, in the versions that are advertised. */
struct serve_kafka_service {
    int16_t key;
    int16_t first;
    int16_t last;
    void (*run)(struct serve_kafka_call *call);
};

struct serve_kafka_call {
    struct serve_kafka_door *door;
    struct net_kafka_request *request;
    const struct serve_kafka_service *service;
    const struct proto_kafka_api *api;
    struct proto_kafka_request_header header;
    struct arena arena;
    void *message;           /* api->request's struct */
    uint64_t reserved_bytes; /* of the door's credit, for the request */
    uint64_t charged_bytes;  /* in the door's call_bytes: of its arena */
    uint64_t parked_bytes;   /* and what it had reserved, once it waits */
    struct flow_credit_waiter waiter;
    struct list view_link;
    void (*viewed)(struct serve_kafka_call *call);
    struct list poll_link; /* the door's, while it waits for records */
    struct task refuse_task;
    struct task task; /* on its way to the coordinator of groups, and home */
    struct list early_link;
    void (*coordinated)(struct serve_kafka_coordinator *coordinator, struct serve_kafka_call *call);
    struct buf answer; /* encoded away from home */
    void *work;        /* the service's own */
};

/* How far a connection has come in saying who it is. Each step may be followed by those below. */
enum serve_kafka_sasl_step {
    SERVE_KAFKA_SASL_NOTHING,
    SERVE_KAFKA_SASL_CHOSEN, /* a mechanism */
    SERVE_KAFKA_SASL_ASKED,  /* SCRAM's first messages were exchanged */
    SERVE_KAFKA_SASL_DONE,
    SERVE_KAFKA_SASL_FAILED, /* nothing more is served */
};

struct serve_kafka_sasl {
    enum serve_kafka_sasl_step step;
    size_t mechanism;
    bool bare; /* version 0 of the handshake: until it is DONE, what comes are tokens as they are */
    struct control_auth_exchange *exchange; /* while it is ASKED */
};

/* What a connection has beside its requests. */
struct serve_kafka_conn {
    struct serve_kafka_fetch_session *fetch_session; /* NULL: none */
    struct serve_kafka_sasl sasl;
    struct list aheads;   /* read ahead for it; zeros: none yet */
    uint32_t ahead_pause; /* not begun: one was in vain */
};

/* Topics as the log said last, with where they begin and end. One a loop. */
struct serve_kafka_view {
    struct serve_kafka_door *door;
    struct flow_snapshot snapshot; /* the last answer */
    struct flow_snapshot asked;    /* on its way */
    struct map by_name;            /* of `snapshot`: struct flow_topic_state */
    bool valid;
    bool stale;   /* the last answer could not be had: the one before it serves */
    bool doubted; /* the log has said that something in it is not so any more */
    bool asking;
    struct list waiting; /* calls that wait for the one on its way */
    struct list next;    /* and for the one behind it */
};

/* What one loop has. Touched on that loop only. */
struct serve_kafka_door {
    struct net_door net;
    struct serve_kafka *kafka;
    struct io_loop *loop;
    struct flow_inlet *inlet;
    struct flow_credit *credit;
    struct net_tls_loop *tls; /* NULL: sockets do not speak TLS */
    struct net_kafka_server *server;
    struct serve_kafka_view view;
    struct list polls;        /* calls that wait for records */
    uint64_t call_bytes;      /* what calls take that are larger than usual, or wait */
    uint64_t fetch_bytes;     /* reserved for, or in, answers that are being made; or read ahead */
    uint64_t fetch_bytes_max; /* of those; of answers that the peers have not taken, at which
                                 nothing more is fetched; and of call_bytes */
    struct list fetch_line;   /* fetches that wait for some of those */
    struct task fetch_line_task;
    bool fetch_line_due;
    struct list aheads; /* fetch_ahead.c's */
    struct io_timer ahead_timer;
    struct list fetch_sessions;
    int32_t fetch_session_id; /* the last */
    uint64_t fetch_session_bytes;
    uint64_t fetch_session_bytes_max;
    uint64_t fetch_sessions_evicted;
    const struct control_auth_users *users; /* NULL: everybody is served */
    uint64_t authenticated;
    uint64_t refused; /* who was not who they said */
    bool stopping;
    bool server_stopped;
    uint64_t requests[PROTO_KAFKA_APIS];              /* by their place in proto_kafka_apis */
    uint64_t batches_refused[SERVE_KAFKA_ERRORS + 1]; /* of producers, by code + 1 */
};

struct serve_kafka {
    struct flow_exporter exporter;
    struct net_doors net;
    const char *address;
    const char *advertised;
    char host[256]; /* that clients are told */
    int32_t port;
    struct flow_log *log;
    size_t message_bytes_max;
    struct flow_topics *topics;
    bool auto_create;
    uint32_t partitions; /* of topics that are made without saying how many */
    struct serve_kafka_coordinator *coordinator; /* of groups; on the first loop */
    bool plain;
    size_t door_count;
    struct serve_kafka_door doors[];
};

/* kafka.c: the door reports that it has stopped, if it has: something that it waited for is gone.
 */
void serve_kafka_check_stopped(struct serve_kafka_door *door);

/* session.c */

/* The server's owner is a struct serve_kafka_door. */
extern const struct net_kafka_handler serve_kafka_handler;
/* Answers the call with its api->response's struct, and ends it. */
void serve_kafka_reply(struct serve_kafka_call *call, const void *response);
/* The same in two halves: the first on whichever loop has the call, the second at home. */
void serve_kafka_encode(struct serve_kafka_call *call, const void *response);
void serve_kafka_reply_encoded(struct serve_kafka_call *call);
/* The same, with the records of the answer left out (proto_kafka_encode_apart) and given in `body`,
 * which is taken over. */
void serve_kafka_encode_apart(struct serve_kafka_call *call, const void *response, size_t *gaps);
void serve_kafka_reply_body(struct serve_kafka_call *call, struct net_kafka_body *body);
/* The same, and the connection closes behind the answer. */
void serve_kafka_reply_last(struct serve_kafka_call *call, const void *response);
/* Ends the call, to which there is no answer. */
void serve_kafka_reply_none(struct serve_kafka_call *call);
/* Ends the call without an answer: the connection closes. */
void serve_kafka_refuse(struct serve_kafka_call *call);
/* `count` zeroed structs of `size` in the call's arena; NULL when there is no memory, or no more
 * for such calls: the call is refused at the end of this turn, and is not the caller's any more. */
void *serve_kafka_alloc(struct serve_kafka_call *call, size_t count, size_t size);
/* The same for the `n` items of a message's `list`; false when the call is refused. */
#define SERVE_KAFKA_ALLOC_LIST(call, list, n)                                                      \
    ((list)->count = (uint32_t)(n),                                                                \
     ((list)->items = serve_kafka_alloc((call), (n), sizeof(*(list)->items))) != NULL)
/* The same where the call can do without. */
void *serve_kafka_try_alloc(struct serve_kafka_call *call, size_t count, size_t size);
/* The call is going to wait for something other than the log's next answer, for as long as its
 * client likes: what it reserved is given back to those who come in. Once a call. False when as
 * many wait as may: then it does not. */
bool serve_kafka_park(struct serve_kafka_call *call);
/* The code that says `err` to a client. */
int16_t serve_kafka_error_code(err_t err);

/* view.c */

void serve_kafka_view_init(struct serve_kafka_view *view, struct serve_kafka_door *door);
/* Nothing is asked any more. */
void serve_kafka_view_done(struct serve_kafka_view *view);
/* Has `viewed` called with a view of a moment behind this call, on this loop, not within; without
 * memory it is the last one, or, where there is none, the call is refused. */
void serve_kafka_view_refresh(struct serve_kafka_call *call,
                              void (*viewed)(struct serve_kafka_call *call));
/* The topic, as far as the view knows; NULL. */
const struct flow_topic_state *serve_kafka_view_topic(const struct serve_kafka_view *view,
                                                      struct slice name);

/* One a service. */
void serve_kafka_api_versions(struct serve_kafka_call *call);
void serve_kafka_metadata(struct serve_kafka_call *call);
void serve_kafka_list_offsets(struct serve_kafka_call *call);
void serve_kafka_offset_for_leader_epoch(struct serve_kafka_call *call);
void serve_kafka_fetch(struct serve_kafka_call *call);
void serve_kafka_produce(struct serve_kafka_call *call);
void serve_kafka_init_producer_id(struct serve_kafka_call *call);

void serve_kafka_create_topics(struct serve_kafka_call *call);
void serve_kafka_delete_topics(struct serve_kafka_call *call);
void serve_kafka_create_partitions(struct serve_kafka_call *call);
void serve_kafka_delete_records(struct serve_kafka_call *call);
void serve_kafka_describe_configs(struct serve_kafka_call *call);
void serve_kafka_alter_configs(struct serve_kafka_call *call);
void serve_kafka_incremental_alter_configs(struct serve_kafka_call *call);
void serve_kafka_describe_cluster(struct serve_kafka_call *call);

/* change.c: a change of topics that a call asks for, with an answer for each of its items. */
struct serve_kafka_change {
    struct flow_topics_change flow;
    struct serve_kafka_call *call;
    void (*done)(struct serve_kafka_call *call);
    int16_t *codes; /* of each item that is refused before it is asked for; 0: it was not */
};

/* Room for `count` items, zeroed, as call->work; NULL, with the call refused, without memory. */
struct serve_kafka_change *serve_kafka_change_new(struct serve_kafka_call *call,
                                                  enum flow_topics_op op, uint32_t count);
/* Item `index` is not asked for: that is its answer. The text is printf's. */
void serve_kafka_change_refuse(struct serve_kafka_change *change, uint32_t index, int16_t code,
                               const char *format, ...) __attribute__((format(printf, 4, 5)));
/* Every item that is there by the same name as one before it is refused. */
void serve_kafka_change_refuse_repeats(struct serve_kafka_change *change);
/* Refuses a name that no topic can have. */
void serve_kafka_change_check_name(struct serve_kafka_change *change, uint32_t index);
/* Asks for it; `done` is called with the answer in call->work, on this loop, not within. */
void serve_kafka_change_run(struct serve_kafka_change *change,
                            void (*done)(struct serve_kafka_call *call));
/* The answer of an item: its code, and its text or null, which lives as long as the call. */
int16_t serve_kafka_change_code(const struct serve_kafka_change *change, uint32_t index);
struct slice serve_kafka_change_text(const struct serve_kafka_change *change, uint32_t index);
/* True for what Kafka allows as a topic's name. */
bool serve_kafka_is_name(struct slice name);

/* settings.c: Kafka's names for what topics and the broker are set to. */
struct serve_kafka_setting {
    const char *name;
    int8_t type;        /* enum serve_kafka_setting_type */
    uint16_t given;     /* enum flow_topic_given: what it sets; 0: always the same */
    const char *text;   /* its default, or what it always is */
    const char *broker; /* the broker's setting that the default is; NULL: none */
    const char *help;
};

enum serve_kafka_setting_type {
    SERVE_KAFKA_BOOLEAN = 1,
    SERVE_KAFKA_STRING = 2,
    SERVE_KAFKA_INT = 3,
    SERVE_KAFKA_LONG = 5,
    SERVE_KAFKA_DOUBLE = 6,
    SERVE_KAFKA_LIST = 7,
};

extern const struct serve_kafka_setting serve_kafka_topic_settings[];
extern const size_t serve_kafka_topic_setting_count;
extern const struct serve_kafka_setting serve_kafka_broker_settings[];
extern const size_t serve_kafka_broker_setting_count;

/* Puts the value that `text` says into `config` (and its `given`), or finds that it is what it
 * always is. ERR_INVALID with a detail that says what it may be. `text` without data is null. */
err_t serve_kafka_setting_parse(struct slice name, struct slice text,
                                struct flow_topic_config *config, struct err_text *why);
/* The topic's setting called `name`, or NULL. */
const struct serve_kafka_setting *serve_kafka_setting_find(struct slice name);
#define SERVE_KAFKA_SETTING_SIZE 24u
/* The value of a topic's setting; `room` holds it where it is not constant. */
const char *serve_kafka_setting_render(const struct serve_kafka_setting *setting,
                                       const struct flow_topic_config *config,
                                       uint32_t partition_count,
                                       char room[static SERVE_KAFKA_SETTING_SIZE]);

/* configs.c: the same as an answer's text; false when the call has been refused. */
bool serve_kafka_setting_answer(struct serve_kafka_call *call,
                                const struct serve_kafka_setting *setting,
                                const struct flow_topic_config *config, uint32_t partition_count,
                                struct slice *out);
/* Where the value of an open topic's setting comes from, as Kafka numbers it. */
int8_t serve_kafka_setting_source(const struct serve_kafka_setting *setting,
                                  const struct flow_topic_config *config);

void serve_kafka_find_coordinator(struct serve_kafka_call *call);
void serve_kafka_join_group(struct serve_kafka_call *call);
void serve_kafka_sync_group(struct serve_kafka_call *call);
void serve_kafka_heartbeat(struct serve_kafka_call *call);
void serve_kafka_leave_group(struct serve_kafka_call *call);
void serve_kafka_offset_commit(struct serve_kafka_call *call);
void serve_kafka_offset_fetch(struct serve_kafka_call *call);
void serve_kafka_describe_groups(struct serve_kafka_call *call);
void serve_kafka_list_groups(struct serve_kafka_call *call);
void serve_kafka_delete_groups(struct serve_kafka_call *call);
void serve_kafka_offset_delete(struct serve_kafka_call *call);

/* sasl.c: true when the call may be served to who has asked for it. */
bool serve_kafka_sasl_permits(const struct serve_kafka_call *call);
/* True when a request of so many bytes may be read from who sends it. */
bool serve_kafka_sasl_permits_size(const struct serve_kafka_call *call, uint32_t size);
/* Serves the call, whose bytes are no request but a token as it is; false: they are a request. */
bool serve_kafka_sasl_take(struct serve_kafka_call *call, struct slice bytes);
void serve_kafka_sasl_done(struct serve_kafka_sasl *sasl);
void serve_kafka_sasl_handshake(struct serve_kafka_call *call);
void serve_kafka_sasl_authenticate(struct serve_kafka_call *call);

/* fetch.c: the peer of a call that waits has gone: it ends soon. */
void serve_kafka_fetch_gone(struct serve_kafka_call *call);
/* Less of fetch_bytes is in use: those who wait for some are served, soon. */
void serve_kafka_fetch_wake(struct serve_kafka_door *door);
/* A door's fetch_line_task: serves fetches that wait for room. */
void serve_kafka_fetch_line(struct task *task);
/* Has every waiting fetch answered with what there is. */
void serve_kafka_fetch_stop(struct serve_kafka_door *door);

/* fetch_session.c: ends the connection's, if it has one. */
void serve_kafka_fetch_session_close(struct serve_kafka_conn *conn);

/* export.c: the exporter's collect. */
void serve_kafka_collect(struct flow_exporter *exporter, struct flow_report *report);
