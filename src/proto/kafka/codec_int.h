#pragma once

/* The inside of the codec: what reading and writing share. */

#include "base/assert.h"
#include "proto/kafka/codec.h"

/* A field's size in its struct, or that of an element of an array. */
static inline size_t proto_kafka_element_size(const struct proto_kafka_field *field)
{
    static const uint8_t sizes[] = {
        [PROTO_KAFKA_BOOL] = sizeof(bool),
        [PROTO_KAFKA_INT8] = 1,
        [PROTO_KAFKA_INT16] = 2,
        [PROTO_KAFKA_UINT16] = 2,
        [PROTO_KAFKA_INT32] = 4,
        [PROTO_KAFKA_UINT32] = 4,
        [PROTO_KAFKA_INT64] = 8,
        [PROTO_KAFKA_FLOAT64] = 8,
        [PROTO_KAFKA_UUID] = 16,
        [PROTO_KAFKA_STRING] = sizeof(struct slice),
        [PROTO_KAFKA_BYTES] = sizeof(struct slice),
        [PROTO_KAFKA_RECORDS] = sizeof(struct slice),
    };
    ASSERT(field->type <= PROTO_KAFKA_STRUCT);
    return field->type == PROTO_KAFKA_STRUCT ? field->layout->size : sizes[field->type];
}

static inline bool proto_kafka_field_in(const struct proto_kafka_field *field, int16_t version)
{
    return version >= field->first && version <= field->last;
}
