#include "server/memory.h"

#include "base/assert.h"
#include "pipeline/check/check.h"

#define MIB (UINT64_C(1) << 20)
/* Shares are counted in 32ths of the limit. */
#define UNITS 32u
#define TAIL_UNITS 4u
#define LARGE_UNITS 3u
#define INDEX_UNITS 4u
#define BODIES_UNITS 4u
#define BATCHES_UNITS 6u
#define REDRIVE_UNITS 3u
#define FETCH_UNITS 2u
#define SINKS_UNITS 2u
/* And these in parts of one. */
#define HTTP_HELD_PART 2u
#define KAFKA_HELD_PART 4u
/* A fetch's share is there three times: fetched, not taken, calls. */
#define FETCH_SHARES 3u

/* Sinks that keep up read from the tail; beyond 64 MiB it only holds what nobody reads twice. */
#define TAIL_MAX (64 * MIB)
#define REQUEST_MAX (64 * MIB)
/* A sink holds a batch of usual size at the least. */
#define SINK_MIN MIB
#define SINK_MAX (16 * MIB)
/* Entries of a frame beside its batches. */
#define ENTRIES_BYTES (MIB / 4)

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static size_t loops_of(const struct control_config *config, size_t core_count, uint64_t unit)
{
    if (config->loops > 0)
        return config->loops;
    uint64_t body = config->intake.body_bytes_max;
    if (body < CONTROL_CONFIG_LOOP_BODY_MIN)
        body = CONTROL_CONFIG_LOOP_BODY_MIN;
    uint64_t room = BODIES_UNITS * unit / body;
    return room < 1 ? 1 : (size_t)least(room, core_count);
}

void server_memory_divide(const struct control_config *config, size_t core_count,
                          struct server_memory *out)
{
    uint64_t unit = config->memory_limit / UNITS;
    ASSERT(core_count > 0 && unit >= MIB);
    size_t loops = loops_of(config, core_count, unit);
    uint64_t bodies = BODIES_UNITS * unit / loops;
    uint64_t sink = SINKS_UNITS * unit / (config->sink_count + 1);
    *out = (struct server_memory){
        .loop_count = loops,
        .tail_bytes = least(TAIL_UNITS * unit, TAIL_MAX),
        .large_bytes = LARGE_UNITS * unit + MIB,
        .index_bytes = INDEX_UNITS * unit,
        .redrive_bytes = REDRIVE_UNITS * unit,
        .sink_bytes = sink < SINK_MIN ? SINK_MIN : least(sink, SINK_MAX),
        /* In one frame with what came before it in the same turn. */
        .request_bytes_max = least(
            LARGE_UNITS * unit + MIB - PIPELINE_CHECK_COMMIT_TARGET - ENTRIES_BYTES, REQUEST_MAX),
        .bodies_bytes = bodies,
        .http_held_bytes = unit / HTTP_HELD_PART / loops,
        .kafka_held_bytes = unit / KAFKA_HELD_PART / loops,
        .batches_bytes = BATCHES_UNITS * unit / loops,
        .fetch_bytes = FETCH_UNITS * unit / loops,
        .body_bytes_max = least(config->intake.body_bytes_max, bodies),
    };
    ASSERT(server_memory_sum(out) <= config->memory_limit);
}

uint64_t server_memory_sum(const struct server_memory *memory)
{
    ASSERT(memory->loop_count > 0);
    uint64_t loop = memory->bodies_bytes + memory->http_held_bytes + memory->kafka_held_bytes +
                    memory->batches_bytes + FETCH_SHARES * memory->fetch_bytes;
    return memory->tail_bytes + memory->large_bytes + memory->index_bytes + memory->redrive_bytes +
           memory->loop_count * loop;
}
