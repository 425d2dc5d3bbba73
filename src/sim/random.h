#pragma once

/*
 * Reproducible randomness for simulations and tests (xoshiro256**, seeded by splitmix64): one
 * seed gives one sequence on every machine. Not for secrets. Single thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sim_random {
    uint64_t state[4];
};

/* Any seed is good, 0 too; neighbouring seeds give unrelated sequences. */
struct sim_random sim_random_seed(uint64_t seed);
uint64_t sim_random_next(struct sim_random *random);
/* A number below `limit`, which is not 0. */
uint64_t sim_random_below(struct sim_random *random, uint64_t limit);
/* A number from `min` to `max`, both included. */
uint64_t sim_random_between(struct sim_random *random, uint64_t min, uint64_t max);
/* True in `part` of `whole` cases. */
bool sim_random_chance(struct sim_random *random, uint64_t part, uint64_t whole);
void sim_random_bytes(struct sim_random *random, void *out, size_t size);
