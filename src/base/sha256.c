#include "base/sha256.h"

#include "base/assert.h"

/*
 * The standard's own steps and letters (section 6.2), so that the two can be read side by side.
 * Plain on purpose: it runs over schemas, once when they are read.
 */

#define BLOCK 64u

/* Section 4.2.2: the fractional parts of the cube roots of the first 64 primes. */
static const uint32_t k[BLOCK] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotate(uint32_t x, unsigned bits)
{
    ASSERT(bits > 0 && bits < 32);
    return x >> bits | x << (32 - bits);
}

static void schedule(const uint8_t block[static BLOCK], uint32_t w[static BLOCK])
{
    ASSERT(block && w);
    /* Big-endian, whatever the machine is. */
    for (size_t t = 0; t < 16; t++)
        w[t] = (uint32_t)block[4 * t] << 24 | (uint32_t)block[4 * t + 1] << 16 |
               (uint32_t)block[4 * t + 2] << 8 | block[4 * t + 3];
    for (size_t t = 16; t < BLOCK; t++) {
        uint32_t s0 = rotate(w[t - 15], 7) ^ rotate(w[t - 15], 18) ^ w[t - 15] >> 3;
        uint32_t s1 = rotate(w[t - 2], 17) ^ rotate(w[t - 2], 19) ^ w[t - 2] >> 10;
        w[t] = w[t - 16] + s0 + w[t - 7] + s1;
    }
}

static void take_block(uint32_t h[static 8], const uint8_t block[static BLOCK])
{
    uint32_t w[BLOCK];
    uint32_t v[8];
    ASSERT(h && block);
    schedule(block, w);
    memcpy(v, h, sizeof(v));
    for (size_t t = 0; t < BLOCK; t++) {
        uint32_t s1 = rotate(v[4], 6) ^ rotate(v[4], 11) ^ rotate(v[4], 25);
        uint32_t choice = (v[4] & v[5]) ^ (~v[4] & v[6]);
        uint32_t t1 = v[7] + s1 + choice + k[t] + w[t];
        uint32_t s0 = rotate(v[0], 2) ^ rotate(v[0], 13) ^ rotate(v[0], 22);
        uint32_t majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
        memmove(v + 1, v, 7 * sizeof(v[0]));
        v[4] += t1;
        v[0] = t1 + s0 + majority;
    }
    for (size_t i = 0; i < 8; i++)
        h[i] += v[i];
}

/* The rest, a one, and the length in bits at the end of a block: of the next one where this one
 * has no room for it. */
static void take_end(uint32_t h[static 8], struct slice rest, uint64_t size)
{
    /* Two, since the length may need a block of its own; the second is used only then. */
    uint8_t blocks[2 * BLOCK] = {0};
    ASSERT(rest.size < BLOCK);
    if (rest.size > 0)
        memcpy(blocks, rest.data, rest.size);
    blocks[rest.size] = 0x80;
    size_t end = rest.size + 9 > BLOCK ? 2 * BLOCK : BLOCK;
    for (size_t i = 0; i < 8; i++)
        blocks[end - 1 - i] = (uint8_t)(size * 8 >> 8 * i);
    take_block(h, blocks);
    if (end > BLOCK)
        take_block(h, blocks + BLOCK);
}

void sha256(struct slice data, uint8_t out[static SHA256_SIZE])
{
    uint32_t h[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                     0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    size_t at = 0;
    ASSERT(data.data || data.size == 0);
    /* The letters a to h of the standard are v[0] to v[7], and h here is its H. */
    for (; data.size - at >= BLOCK; at += BLOCK)
        take_block(h, data.data + at);
    take_end(h, slice_sub(data, at, data.size), data.size);
    for (size_t i = 0; i < SHA256_SIZE; i++)
        out[i] = (uint8_t)(h[i / 4] >> (24 - 8 * (i % 4)));
}

void sha256_text(struct slice data, char out[static SHA256_TEXT_SIZE])
{
    uint8_t digest[SHA256_SIZE];
    sha256(data, digest);
    for (size_t i = 0; i < SHA256_SIZE; i++) {
        out[2 * i] = "0123456789abcdef"[digest[i] >> 4];
        out[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
    }
    out[SHA256_TEXT_SIZE - 1] = '\0';
    ASSERT(strlen(out) == SHA256_TEXT_SIZE - 1);
}
