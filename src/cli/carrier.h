#pragma once

/*
 * How the requests of a load (cli/load.h) reach a server: what differs between HTTP and the Kafka
 * protocol, and nothing else. A channel carries one request at a time; several may share a
 * connection, and then live and die with it. A carrier is made by the function of its kind,
 * outlives its channels, and is freed by whoever made it. Single loop.
 */

#include "cli/access.h"
#include "cli/acks.h"
#include "flow/commit.h"
#include "io/loop.h"

struct cli_carrier;
struct cli_channel;

/* A request, composed; the same each time it is sent. */
struct cli_carrier_request {
    struct slice body;
    uint32_t count;  /* of its records */
    uint64_t number; /* among those of the channel's index, where requests are numbered */
};

enum cli_carrier_kind {
    CLI_CARRIER_COUNTS, /* what became of each record */
    CLI_CARRIER_WHOLE,  /* the same, for all of them together */
    CLI_CARRIER_LATER,  /* it may be sent again */
    CLI_CARRIER_FINAL,  /* the same request would be answered so again */
};

struct cli_carrier_answer {
    enum cli_carrier_kind kind;
    bool maybe_taken;         /* LATER, FINAL: the records may be there all the same */
    bool persistent;          /* the channel can be used again */
    uint32_t status;          /* the protocol's code */
    struct cli_answer counts; /* COUNTS, WHOLE */
    uint64_t pause_ns;        /* LATER: not before that */
    const char *detail;       /* FINAL: for a person */
};

/* All run on the loop, never inside a call to this header. */
struct cli_carrier_events {
    void (*ready)(void *owner);
    void (*answer)(void *owner, const struct cli_carrier_answer *answer);
    /* The connection is gone. A request without an answer will get none. The owner frees the
     * channel here. */
    void (*closed)(void *owner, err_t err, const char *detail);
};

/* What a kind of carrier is. */
struct cli_carrier_ops {
    err_t (*open)(struct cli_carrier *carrier, uint32_t index,
                  const struct cli_carrier_events *events, void *owner, struct cli_channel **out,
                  struct err_text *why);
    void (*send)(struct cli_channel *channel, const struct cli_carrier_request *request);
    void (*close)(struct cli_channel *channel);
    void (*free_channel)(struct cli_channel **channel);
    void (*free)(struct cli_carrier **carrier);
};

struct cli_carrier {
    const struct cli_carrier_ops *ops;
};

/* The head of every kind's channel. */
struct cli_channel {
    struct cli_carrier *carrier;
};

struct cli_carrier_http_options {
    struct io_loop *loop;
    const char *address; /* of the intake, "host:port" */
    const char *topic;
    const char *content_type;
    bool numbered;      /* each index is a producer that numbers its requests */
    uint64_t producers; /* what their names have in common, and no other run's have */
};

struct cli_carrier_kafka_options {
    struct io_loop *loop;
    const char *address; /* of a broker, "host:port" */
    const char *topic;
    int16_t acks;                    /* 1, or -1: all */
    enum flow_codec codec;           /* that bodies are compressed with, each time they are sent */
    uint32_t channels;               /* indices are below it */
    uint32_t in_flight;              /* channels a connection */
    uint32_t partitions_max;         /* the first so many are written to; 0: all */
    uint64_t timeout_ms;             /* that the broker may take */
    const struct cli_access *access; /* as cli/broker.h has it */
};

/* Bodies are JSON or NDJSON, answers those of garner's intake. ERR_MEMORY. */
err_t cli_carrier_http(const struct cli_carrier_http_options *options, struct cli_carrier **out);
/* Bodies are record batches, each sent to the next partition in turn. ERR_MEMORY. */
err_t cli_carrier_kafka(const struct cli_carrier_kafka_options *options, struct cli_carrier **out);

/* Connects; `ready` or `closed` follows. Indices run from 0. The error has a detail. */
static inline err_t cli_channel_open(struct cli_carrier *carrier, uint32_t index,
                                     const struct cli_carrier_events *events, void *owner,
                                     struct cli_channel **out, struct err_text *why)
{
    return carrier->ops->open(carrier, index, events, owner, out, why);
}

/* Sends; none is under way. A failure closes the channel. */
static inline void cli_channel_send(struct cli_channel *channel,
                                    const struct cli_carrier_request *request)
{
    channel->carrier->ops->send(channel, request);
}

/* Closes the connection, with all of its channels; `closed` follows. Harmless when called twice. */
static inline void cli_channel_close(struct cli_channel *channel)
{
    channel->carrier->ops->close(channel);
}

/* Frees a channel whose `closed` was called. */
static inline void cli_channel_free(struct cli_channel **channel)
{
    if (*channel)
        (*channel)->carrier->ops->free_channel(channel);
}

/* Frees a carrier without channels. */
static inline void cli_carrier_free(struct cli_carrier **carrier)
{
    if (*carrier)
        (*carrier)->ops->free(carrier);
}
