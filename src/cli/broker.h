#pragma once

/*
 * One connection to a Kafka broker, for the commands: it agrees on versions (ApiVersions), says who
 * it is where that is wanted (SASL), learns which partitions a topic has (Metadata), and is then
 * ready for requests about them, several under
 * way at once and answered in their order. Whether the broker is garner or Apache Kafka makes no
 * difference. Single loop.
 *
 * One broker leads all partitions of the topic; one that is led by several is refused and said so.
 */

#include "cli/access.h"
#include "net/kafka/client.h"
#include "proto/kafka/messages.h"

struct cli_broker;

/* Runs on the loop, never inside a call to this header. */
struct cli_broker_events {
    /* Versions and partitions are known. */
    void (*ready)(void *owner);
    /* The answer to the oldest request: the response's struct of `api`, valid during the call. */
    void (*answer)(void *owner, void *tag, const struct proto_kafka_api *api, const void *response);
    /* The connection is gone, or was never ready: OK after cli_broker_close, ERR_NOT_FOUND where
     * there is no such topic, ERR_UNSUPPORTED for a broker that cannot serve us, ERR_PERMISSION for
     * one that does not know our user, ERR_INVALID for one that is not who it should be (TLS), else
     * as net/kafka/client.h says. `why` tells a person. The owner frees the broker here or later.
     */
    void (*closed)(void *owner, err_t err, const struct err_text *why);
};

struct cli_broker_options {
    struct io_loop *loop;
    const char *address; /* "host:port", kept by the caller */
    const char *topic;   /* kept by the caller; NULL: none, and no partitions */
    size_t answer_size_max;
    uint32_t in_flight_max;
    const struct cli_access *access; /* begun on the loop, kept by the caller; NULL: none */
};

/* What the broker is to do with a batch. */
struct cli_broker_produce {
    uint32_t partition;
    int16_t acks; /* 1, or -1: all */
    int32_t timeout_ms;
    struct slice batch; /* needed only during the call */
};

/* Starts to connect. The error has a detail. */
err_t cli_broker_open(const struct cli_broker_options *options,
                      const struct cli_broker_events *events, void *owner, struct cli_broker **out,
                      struct err_text *why);
/* Of the topic, numbered from 0; once it is ready. */
uint32_t cli_broker_partition_count(const struct cli_broker *broker);
/* Whether one more request may be sent: it is ready, and fewer than in_flight_max are under way. */
bool cli_broker_has_room(const struct cli_broker *broker);
/* Sends a request by its api's key and struct, in the highest version that both know; there is
 * room. An error closes the connection. */
err_t cli_broker_send(struct cli_broker *broker, int16_t key, const void *request, void *tag);
/* Sends a produce request of one batch, which is not copied as far as the kernel takes it. The
 * answer's struct is that of Produce. */
err_t cli_broker_produce(struct cli_broker *broker, const struct cli_broker_produce *produce,
                         void *tag);
/* Closes at once; `closed` follows. Harmless when called twice. */
void cli_broker_close(struct cli_broker *broker);
/* Frees a broker whose `closed` was called. */
void cli_broker_free(struct cli_broker **broker);

/* What an error code of the protocol means for whoever sent the request. */
enum cli_broker_verdict {
    CLI_BROKER_DONE,    /* no error */
    CLI_BROKER_LATER,   /* not taken; it may be sent again */
    CLI_BROKER_UNKNOWN, /* it may be sent again, and may have been taken */
    CLI_BROKER_REFUSED, /* not taken, and would not be: its records are why */
    CLI_BROKER_FAILED,  /* not taken, and nothing like it would be */
};
enum cli_broker_verdict cli_broker_verdict(int16_t code);
/* The code of a batch that is larger than the broker takes. */
#define CLI_BROKER_TOO_LARGE 10
/* The one partition that a response to cli_broker_produce is about; NULL when it is about others.
 */
const struct proto_kafka_produce_response_partition *
cli_broker_produced(const struct proto_kafka_produce_response *response);
/* The code's name, as the protocol has it, or "error". */
const char *cli_broker_code_name(int16_t code);
