/*
 * xoshiro256** by Blackman and Vigna: small, fast and good enough that no test depends on its
 * flaws. The state comes from splitmix64, as they advise, because seeds are small numbers here.
 */

#include "sim/random.h"

#include <string.h>

#include "base/assert.h"

static uint64_t splitmix(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint64_t rotate(uint64_t x, unsigned bits)
{
    return (x << bits) | (x >> (64 - bits));
}

struct sim_random sim_random_seed(uint64_t seed)
{
    struct sim_random random;
    for (size_t i = 0; i < 4; i++)
        random.state[i] = splitmix(&seed);
    /* The one state that never changes again. */
    ASSERT(random.state[0] | random.state[1] | random.state[2] | random.state[3]);
    return random;
}

/* As published (prng.di.unimi.it/xoshiro256starstar.c): a seed in a report of last year finds the
 * same run. */
uint64_t sim_random_next(struct sim_random *random)
{
    uint64_t *s = random->state;
    uint64_t result = rotate(s[1] * 5, 7) * 9;
    uint64_t shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate(s[3], 45);
    return result;
}

uint64_t sim_random_below(struct sim_random *random, uint64_t limit)
{
    ASSERT(limit > 0);
    /* The upper half of the product: even enough, and without a loop (Lemire). */
    return (uint64_t)(((unsigned __int128)sim_random_next(random) * limit) >> 64);
}

uint64_t sim_random_between(struct sim_random *random, uint64_t min, uint64_t max)
{
    ASSERT(min <= max);
    if (max - min == UINT64_MAX)
        return sim_random_next(random);
    return min + sim_random_below(random, max - min + 1);
}

bool sim_random_chance(struct sim_random *random, uint64_t part, uint64_t whole)
{
    ASSERT(part <= whole);
    return sim_random_below(random, whole) < part;
}

void sim_random_bytes(struct sim_random *random, void *out, size_t size)
{
    uint8_t *bytes = out;
    ASSERT(out || size == 0);
    while (size > 0) {
        uint64_t word = sim_random_next(random);
        size_t step = size < sizeof(word) ? size : sizeof(word);
        /* In the machine's byte order; seeds are told between machines of one kind only. */
        memcpy(bytes, &word, step);
        bytes += step;
        size -= step;
    }
}
