#pragma once

/*
 * Kafka's messages between bytes and structs (https://kafka.apache.org/protocol). The structs and
 * the tables that say how they look in each version come from messages.txt (proto/kafka/messages.h,
 * made by tools/kafka-gen); what is here walks the tables. No sockets and no meaning: frames are
 * net/kafka's, what an answer says is serve/kafka's. Any thread.
 *
 * A decoded message points into its bytes (strings, bytes, records) and into the arena it was given
 * (arrays); both have to outlive it. Bytes are a peer's: whatever they are, decoding ends in a
 * message or an error, within the memory that was allowed.
 */

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

enum proto_kafka_type {
    PROTO_KAFKA_BOOL,
    PROTO_KAFKA_INT8,
    PROTO_KAFKA_INT16,
    PROTO_KAFKA_UINT16,
    PROTO_KAFKA_INT32,
    PROTO_KAFKA_UINT32,
    PROTO_KAFKA_INT64,
    PROTO_KAFKA_FLOAT64,
    PROTO_KAFKA_UUID,
    PROTO_KAFKA_STRING,
    PROTO_KAFKA_BYTES,
    PROTO_KAFKA_RECORDS,
    PROTO_KAFKA_STRUCT,
};

/* A version that no message has. */
#define PROTO_KAFKA_NEVER 127

struct proto_kafka_layout;

/* A field of a struct. */
struct proto_kafka_field {
    uint16_t offset;
    uint8_t type; /* enum proto_kafka_type; of its elements, where it is an array */
    bool array;
    int8_t first; /* versions that have it */
    int8_t last;
    int8_t nullable;  /* null is a value from this version on */
    int8_t tag;       /* -1: not a tagged field */
    int64_t fallback; /* what it is in versions that lack it, and where a tagged one is not sent */
    const struct proto_kafka_layout *layout; /* of a STRUCT */
};

struct proto_kafka_layout {
    const struct proto_kafka_field *fields;
    uint16_t count;
    uint16_t size; /* of the struct */
};

/* Every array field has this shape, with a type of its own. */
struct proto_kafka_array {
    void *items; /* NULL: null */
    uint32_t count;
};

struct proto_kafka_api {
    int16_t key;
    int8_t first; /* versions that are known */
    int8_t last;
    int8_t flexible; /* compact lengths and tagged fields from this version on */
    const char *name;
    const struct proto_kafka_layout *request;
    const struct proto_kafka_layout *response;
};

/* What stands in front of every request (KIP-482: versions 1 and 2 of the header). */
struct proto_kafka_request_header {
    int16_t key;
    int16_t version;
    int32_t correlation_id;
    struct slice client_id; /* data NULL: null */
};

/* The API of a key, or NULL. */
const struct proto_kafka_api *proto_kafka_api(int16_t key);
static inline bool proto_kafka_has_version(const struct proto_kafka_api *api, int16_t version)
{
    return version >= api->first && version <= api->last;
}
static inline bool proto_kafka_is_flexible(const struct proto_kafka_api *api, int16_t version)
{
    return version >= api->flexible;
}

/* Takes the header off the front of a request; `*bytes` is then the message. Of an API or version
 * that is not known, only what all versions share is read: there `*bytes` means nothing.
 * ERR_SYNTAX. */
err_t proto_kafka_read_header(struct slice *bytes, struct proto_kafka_request_header *out,
                              struct err_text *why);
/* Decodes a whole message: `layout` is the api's request or response, `version` one that it has,
 * `out` its struct. Bytes behind the message are passed over. ERR_SYNTAX for bytes that are no such
 * message; ERR_TOO_LARGE when the arena would hold more than `size_max` bytes; ERR_MEMORY. */
err_t proto_kafka_decode(const struct proto_kafka_api *api, const struct proto_kafka_layout *layout,
                         int16_t version, struct slice bytes, struct arena *arena, size_t size_max,
                         void *out, struct err_text *why);
/* Appends the message (latched, as every append). Fields that the version lacks are left out; null
 * where it may not be null yet becomes empty. */
void proto_kafka_encode(const struct proto_kafka_api *api, const struct proto_kafka_layout *layout,
                        int16_t version, const void *in, struct buf *out);
/* The same, but records are left out: for each that is not empty the next of `gaps` is where in
 * `out` it belongs. Only the size of its slice is looked at. */
void proto_kafka_encode_apart(const struct proto_kafka_api *api,
                              const struct proto_kafka_layout *layout, int16_t version,
                              const void *in, struct buf *out, size_t *gaps);
/* Appends a response's header, which an ApiVersions response has without tagged fields in every
 * version. */
void proto_kafka_write_response_header(const struct proto_kafka_api *api, int16_t version,
                                       int32_t correlation_id, struct buf *out);
/* Takes the header off the front of a response to `api` in `version`; `*bytes` is then the message.
 * ERR_SYNTAX. For clients. */
err_t proto_kafka_read_response_header(const struct proto_kafka_api *api, int16_t version,
                                       struct slice *bytes, int32_t *correlation_id,
                                       struct err_text *why);
/* Appends a request's header, for clients. */
void proto_kafka_write_request_header(const struct proto_kafka_api *api,
                                      const struct proto_kafka_request_header *header,
                                      struct buf *out);
/* Fills a message's struct with the defaults of its fields: what a sender begins with. */
void proto_kafka_init(const struct proto_kafka_layout *layout, void *out);
