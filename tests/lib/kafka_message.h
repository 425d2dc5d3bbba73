#pragma once

/* Messages of Kafka's protocol with random content, made by walking their tables: for tests that
 * hold for every message in every version. */

#include "base/arena.h"
#include "lib/unit.h"
#include "proto/kafka/codec_int.h"
#include "proto/kafka/messages.h"

struct kafka_random {
    uint64_t seed;
    int16_t version;
    struct arena *arena;
};

static inline void kafka_random_struct(struct kafka_random *r,
                                       const struct proto_kafka_layout *layout, uint8_t *out);

static inline void kafka_random_value(struct kafka_random *r, const struct proto_kafka_field *field,
                                      uint8_t *at)
{
    if (field->type == PROTO_KAFKA_STRUCT) {
        kafka_random_struct(r, field->layout, at);
    } else if (field->type == PROTO_KAFKA_BOOL) {
        *(bool *)at = unit_random(&r->seed) & 1;
    } else if (field->type >= PROTO_KAFKA_STRING) {
        bool null = r->version >= field->nullable && unit_random(&r->seed) % 4 == 0;
        size_t size =
            unit_random(&r->seed) % 8 ? unit_random(&r->seed) % 20 : unit_random(&r->seed) % 400;
        uint8_t *bytes = arena_alloc(r->arena, size);
        assert_non_null(bytes);
        for (size_t i = 0; i < size; i++)
            bytes[i] = (uint8_t)unit_random(&r->seed);
        *(struct slice *)(void *)at = null ? slice_make(NULL, 0) : slice_make(bytes, size);
    } else {
        for (size_t i = 0; i < proto_kafka_element_size(field); i++)
            at[i] = (uint8_t)unit_random(&r->seed);
    }
}

static inline void kafka_random_field(struct kafka_random *r, const struct proto_kafka_field *field,
                                      uint8_t *at)
{
    if (!field->array) {
        kafka_random_value(r, field, at);
        return;
    }
    size_t size = proto_kafka_element_size(field);
    uint32_t count = (uint32_t)(unit_random(&r->seed) % 4);
    uint8_t *items = arena_alloc(r->arena, count * size);
    assert_non_null(items);
    for (uint32_t i = 0; i < count; i++)
        kafka_random_value(r, field, items + i * size);
    bool null = r->version >= field->nullable && unit_random(&r->seed) % 4 == 0;
    *(struct proto_kafka_array *)(void *)at =
        null ? (struct proto_kafka_array){0} : (struct proto_kafka_array){items, count};
}

/* Fields that the version lacks, and some of the tagged ones, keep their defaults. */
static inline void kafka_random_struct(struct kafka_random *r,
                                       const struct proto_kafka_layout *layout, uint8_t *out)
{
    proto_kafka_init(layout, out);
    for (uint16_t i = 0; i < layout->count; i++) {
        const struct proto_kafka_field *field = &layout->fields[i];
        if (proto_kafka_field_in(field, r->version) &&
            (field->tag < 0 || unit_random(&r->seed) % 2))
            kafka_random_field(r, field, out + field->offset);
    }
}

/* A message of the api in the version, in the arena. */
static inline void *kafka_random_message(struct kafka_random *r,
                                         const struct proto_kafka_layout *layout)
{
    uint8_t *message = arena_alloc(r->arena, layout->size);
    assert_non_null(message);
    kafka_random_struct(r, layout, message);
    return message;
}

/* Calls `test` for every request and response in every version. */
static inline void kafka_each_message(void (*test)(struct kafka_random *r,
                                                   const struct proto_kafka_api *api,
                                                   const struct proto_kafka_layout *layout))
{
    struct kafka_random r = {.seed = unit_seed()};
    for (size_t i = 0; i < PROTO_KAFKA_APIS; i++) {
        const struct proto_kafka_api *api = &proto_kafka_apis[i];
        for (r.version = api->first; r.version <= api->last; r.version++) {
            struct arena arena = {0};
            r.arena = &arena;
            test(&r, api, api->request);
            test(&r, api, api->response);
            arena_done(&arena);
        }
    }
}
