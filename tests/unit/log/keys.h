#pragma once

/* What the tests of keys share: keys by number, topics with keys, commits with them. */

#include "base/alloc.h"
#include "unit/log/world.h"

/* Key `n` of a sequence, spread as fingerprints are. */
static inline struct flow_fingerprint key_of(uint64_t n)
{
    uint64_t state = n;
    uint64_t low = unit_random(&state);
    return (struct flow_fingerprint){low, unit_random(&state)};
}

/* Tells topic 1 to know keys. */
static inline err_t keys_configure(struct world *w, uint64_t window_ms, uint64_t memory_bytes)
{
    struct asked asked;
    asked_init(&asked, w);
    asked.topic = (struct flow_topic_change){
        .op = FLOW_TOPIC_CONFIG,
        .topic_id = 1,
        .config = {.dedup_window_ms = window_ms,
                   .dedup_memory_bytes = memory_bytes,
                   .dedup_secret = {{7}}},
    };
    asked.commit.topics = &asked.topic;
    asked.commit.topic_count = 1;
    return asked_commit(&asked);
}

#define KEYED_MAX 64u

/* A commit of records with keys to partition 0 of topic 1. */
struct keyed {
    struct asked asked;
    struct flow_fingerprint keys[KEYED_MAX];
    uint8_t duplicates[KEYED_MAX / 8];
};

static inline void keyed_init(struct keyed *keyed, struct world *w, const uint64_t *numbers,
                              uint32_t count)
{
    assert_true(count <= KEYED_MAX);
    asked_some(&keyed->asked, w, count, 10);
    /* Number 0 stands for a record without a key. */
    for (uint32_t i = 0; i < count; i++)
        keyed->keys[i] = numbers[i] ? key_of(numbers[i]) : (struct flow_fingerprint){0};
    keyed->asked.appends[0].keys = keyed->keys;
    keyed->asked.appends[0].duplicates = keyed->duplicates;
}

/* The number of duplicates; the commit has to be OK. */
static inline uint32_t keyed_end(struct keyed *keyed)
{
    assert_code(asked_wait(&keyed->asked), OK);
    asked_done(&keyed->asked);
    return keyed->asked.appends[0].duplicate_count;
}

static inline uint32_t keyed_commit(struct world *w, const uint64_t *numbers, uint32_t count)
{
    struct keyed keyed;
    keyed_init(&keyed, w, numbers, count);
    asked_send(&keyed.asked);
    return keyed_end(&keyed);
}

/* Keys [first, first + count), in commits of a few. */
static inline uint32_t keyed_run(struct world *w, uint64_t first, uint32_t count)
{
    uint32_t duplicates = 0;
    for (uint32_t done = 0; done < count;) {
        uint64_t numbers[KEYED_MAX];
        uint32_t n = count - done < KEYED_MAX ? count - done : KEYED_MAX;
        for (uint32_t i = 0; i < n; i++)
            numbers[i] = first + done + i;
        duplicates += keyed_commit(w, numbers, n);
        done += n;
    }
    return duplicates;
}

static inline struct log_topic *keyed_topic(const struct world *w)
{
    return log_state_topic(&w->log->state, 1);
}

struct keys_moment {
    struct world *world;
    uint64_t due_ns;
};

static inline bool keys_moment_came(void *context)
{
    const struct keys_moment *moment = context;
    return io_now_ns(moment->world->loop) >= moment->due_ns;
}

/* Lets time pass; retention looks every few seconds, so that there is something to run. */
static inline void keys_pass_time(struct world *w, uint64_t time_ns)
{
    struct keys_moment moment = {w, io_now_ns(w->loop) + time_ns};
    assert_true(sim_run_until(w->sim, keys_moment_came, &moment, UINT64_C(10) * WORLD_STEPS));
}

static inline bool keys_are_sorted(void *context)
{
    const struct world *w = context;
    return w->log->sealer.phase == LOG_SEALER_IDLE && !log_keys_closed(keyed_topic(w)->keys) &&
           world_is_idle(context);
}

static inline uint32_t keys_sorted_count(const struct world *w)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < keyed_topic(w)->keys->count; i++)
        count += keyed_topic(w)->keys->buckets[i]->sorted;
    return count;
}

static inline void assert_balanced(const struct world *w)
{
    const struct log_topic *topic = keyed_topic(w);
    uint64_t accepted = 0;
    for (uint32_t p = 0; p < topic->partition_count; p++)
        accepted += topic->partitions[p].records;
    assert_int_equal(topic->received, accepted + topic->duplicates + topic->refused);
}
