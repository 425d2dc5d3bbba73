#include "base/hash.h"

#include <xxhash.h>

#include "base/assert.h"
#include "base/cursor.h"
#include "base/hash_tables.h"

/*
 * CRC32C. The instruction takes eight bytes a cycle but answers after three, so a long input is
 * cut into three streams of equal size, whose registers are joined at the end: the register of
 * what stands before n bytes is multiplied by x^(8n) modulo the polynomial, which is a carry-less
 * multiplication by a constant and one more instruction. Short rests go through one stream, and
 * so does everything through the tables where the processor has neither instruction.
 */

/* The register (not yet inverted) after `size` more bytes. */
static uint32_t crc_tables(uint32_t crc, const uint8_t *in, size_t size)
{
    ASSERT(in || size == 0);
    /* The register is of 32 bits: it meets the first four of the eight bytes. */
    for (; size >= 8; in += 8, size -= 8) {
        uint64_t word = get_u64le(in) ^ crc;
        crc = 0;
        for (unsigned i = 0; i < 8; i++)
            crc ^= crc32c_tables[7 - i][word >> 8 * i & 0xff];
    }
    for (; size; in++, size--)
        crc = crc >> 8 ^ crc32c_tables[0][(crc ^ *in) & 0xff];
    return crc;
}

uint32_t crc32c_portable(uint32_t crc, const void *data, size_t size)
{
    ASSERT(data || size == 0);
    return ~crc_tables(~crc, data, size);
}

#if defined(__x86_64__)

#include <immintrin.h>

#define CRC_TARGET __attribute__((target("sse4.2,pclmul")))

/* A stream's size in bytes, and x^(16 * size - 33) and x^(8 * size - 33) modulo the polynomial,
 * reflected: they move a register over the two streams behind it, and over one. */
struct crc_stride {
    size_t size;
    uint32_t over_two;
    uint32_t over_one;
};

static uint64_t load_word(const uint8_t *in)
{
    uint64_t word = 0;
    memcpy(&word, in, 8);
    return word;
}

CRC_TARGET static uint64_t crc_move(uint64_t crc, uint32_t factor)
{
    ASSERT(crc <= UINT32_MAX);
    __m128i product =
        _mm_clmulepi64_si128(_mm_cvtsi64_si128((int64_t)crc), _mm_cvtsi64_si128(factor), 0);
    return _mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(product));
}

/* Takes three streams at a time off the front of `*rest` for as long as there are three. */
CRC_TARGET static uint64_t crc_streams(uint64_t crc, struct slice *rest, struct crc_stride stride)
{
    ASSERT(stride.size % 8 == 0);
    ASSERT(rest->data);
    const uint8_t *in = rest->data;
    size_t left = rest->size;
    for (; left >= 3 * stride.size; in += 3 * stride.size, left -= 3 * stride.size) {
        uint64_t second = 0;
        uint64_t third = 0;
        for (size_t i = 0; i < stride.size; i += 8) {
            crc = _mm_crc32_u64(crc, load_word(in + i));
            second = _mm_crc32_u64(second, load_word(in + stride.size + i));
            third = _mm_crc32_u64(third, load_word(in + 2 * stride.size + i));
        }
        crc = crc_move(crc, stride.over_two) ^ crc_move(second, stride.over_one) ^ third;
    }
    ASSERT(left < 3 * stride.size);
    *rest = slice_make(in, left);
    return crc;
}

CRC_TARGET static uint32_t crc_instruction(uint32_t start, const uint8_t *in, size_t size)
{
    /* Long strides spread the cost of joining, short ones take most of what is left of it. */
    ASSERT(in);
    struct slice rest = slice_make(in, size);
    uint64_t crc = start;
    crc = crc_streams(crc, &rest, (struct crc_stride){2048, 0x82f89c77, 0xa51b6135});
    crc = crc_streams(crc, &rest, (struct crc_stride){128, 0xb9e02b86, 0x0d3b6092});
    for (; rest.size >= 8; rest.data += 8, rest.size -= 8)
        crc = _mm_crc32_u64(crc, load_word(rest.data));
    for (; rest.size; rest.data++, rest.size--)
        crc = _mm_crc32_u8((uint32_t)crc, *rest.data);
    ASSERT(crc <= UINT32_MAX);
    return (uint32_t)crc;
}

static bool crc_instruction_there(void)
{
    return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul");
}

#else

static uint32_t crc_instruction(uint32_t start, const uint8_t *in, size_t size)
{
    return crc_tables(start, in, size);
}

static bool crc_instruction_there(void)
{
    return false;
}

#endif

uint32_t crc32c(uint32_t crc, const void *data, size_t size)
{
    ASSERT(data || size == 0);
    if (size == 0)
        return crc;
    if (!crc_instruction_there())
        return crc32c_portable(crc, data, size);
    return ~crc_instruction(~crc, data, size);
}

/* Austin Appleby's MurmurHash2. Which partition a key goes to is seen by Kafka's clients, so that
 * every bit is as they compute it: bytes unsigned, words little-endian, sizes of 32 bits. */
uint32_t hash_murmur2(struct slice key)
{
    ASSERT(key.data || key.size == 0);
    const uint32_t factor = 0x5bd1e995;
    uint32_t hash = 0x9747b28c ^ (uint32_t)key.size;
    for (; key.size >= 4; key = slice_sub(key, 4, key.size)) {
        uint32_t word = get_u32le(key.data) * factor;
        hash = (hash * factor) ^ ((word ^ word >> 24) * factor);
    }
    if (key.size) {
        for (size_t i = 0; i < key.size; i++)
            hash ^= (uint32_t)key.data[i] << 8 * i;
        hash *= factor;
    }
    hash = (hash ^ hash >> 13) * factor;
    return hash ^ hash >> 15;
}

uint32_t hash_kafka_partition(struct slice key, uint32_t partition_count)
{
    ASSERT(partition_count > 0);
    return (hash_murmur2(key) & 0x7fffffff) % partition_count;
}

uint64_t hash_bytes(struct slice key, uint64_t seed)
{
    ASSERT(key.data || key.size == 0);
    /* The library is given no null pointer even where it would not look at it. */
    return XXH3_64bits_withSeed(key.data ? key.data : (const uint8_t *)"", key.size, seed);
}

void hash_secret(struct slice seed, uint8_t secret[static HASH_SECRET_SIZE])
{
    ASSERT(seed.data && seed.size > 0);
    for (uint64_t i = 0; i < HASH_SECRET_SIZE / 8; i++)
        put_u64le(secret + 8 * i, XXH3_64bits_withSeed(seed.data, seed.size, i));
}

struct hash128 hash_bytes_128(struct slice key, const uint8_t secret[static HASH_SECRET_SIZE])
{
    ASSERT(key.data || key.size == 0);
    XXH128_hash_t hash = XXH3_128bits_withSecret(key.data, key.size, secret, HASH_SECRET_SIZE);
    return (struct hash128){hash.low64, hash.high64};
}
