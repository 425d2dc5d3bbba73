#pragma once

/*
 * Checksums and hashes. Pure.
 */

#include "base/slice.h"

/* CRC32C (Castagnoli, RFC 3720 appendix B.4) of `size` bytes, continuing `crc`; start with 0.
 * The instruction where the processor has it, tables where not. */
uint32_t crc32c(uint32_t crc, const void *data, size_t size);
/* The table version, for tests against the fast one. */
uint32_t crc32c_portable(uint32_t crc, const void *data, size_t size);
/* Murmur2 with Kafka's seed, as the Java client's partitioner computes it. */
uint32_t hash_murmur2(struct slice key);
/* The partition of Kafka's default partitioner: (murmur2 & 0x7fffffff) % count. */
uint32_t hash_kafka_partition(struct slice key, uint32_t partition_count);
/* XXH3 64 bits with a seed. */
uint64_t hash_bytes(struct slice key, uint64_t seed);

#define HASH_SECRET_SIZE 192u

struct hash128 {
    uint64_t low;
    uint64_t high;
};

/* Spreads `seed` over what XXH3 mixes keys with: whoever does not know the seed cannot choose keys
 * of one hash. */
void hash_secret(struct slice seed, uint8_t secret[static HASH_SECRET_SIZE]);
/* XXH3 128 bits with a secret. */
struct hash128 hash_bytes_128(struct slice key, const uint8_t secret[static HASH_SECRET_SIZE]);
