#include "base/hash.h"

#include "base/alloc.h"
#include "lib/unit.h"

/* Bit by bit, from the definition. */
static uint32_t crc_oracle(uint32_t crc, const uint8_t *data, size_t size)
{
    crc = ~crc;
    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
    }
    return ~crc;
}

static void crc32c_has_the_values_of_the_specification(void **state)
{
    (void)state;
    uint8_t bytes[32];
    assert_int_equal(crc32c(0, NULL, 0), 0);
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
    memset(bytes, 0, sizeof(bytes));
    assert_int_equal(crc32c(0, bytes, 32), 0x8a9136aa);
    memset(bytes, 0xff, sizeof(bytes));
    assert_int_equal(crc32c(0, bytes, 32), 0x62a8ab43);
    for (uint8_t i = 0; i < 32; i++)
        bytes[i] = i;
    assert_int_equal(crc32c(0, bytes, 32), 0x46dd794e);
    for (uint8_t i = 0; i < 32; i++)
        bytes[i] = (uint8_t)(31 - i);
    assert_int_equal(crc32c(0, bytes, 32), 0x113fdb5c);
}

static uint8_t *random_bytes(uint64_t *random, size_t size)
{
    uint8_t *bytes = mem_alloc(size);
    assert_non_null(bytes);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)unit_random(random);
    return bytes;
}

static void every_size_and_alignment_agrees_with_the_definition(void **state)
{
    (void)state;
    uint64_t random = unit_seed();
    uint8_t *bytes = random_bytes(&random, 1024);
    for (size_t size = 0; size <= 1000; size++) {
        const uint8_t *in = bytes + size % 13;
        uint32_t start = (uint32_t)unit_random(&random);
        uint32_t expected = crc_oracle(start, in, size);
        assert_int_equal(crc32c(start, in, size), expected);
        assert_int_equal(crc32c_portable(start, in, size), expected);
    }
    mem_free(bytes);
}

static void large_inputs_agree_with_the_definition(void **state)
{
    (void)state;
    uint64_t random = unit_seed();
    const size_t size_max = 64 * 1024;
    uint8_t *bytes = random_bytes(&random, size_max);
    for (uint32_t i = 0; i < 100; i++) {
        size_t start = unit_random(&random) % 100;
        size_t size = unit_random(&random) % (size_max - start);
        uint32_t expected = crc_oracle(0, bytes + start, size);
        assert_int_equal(crc32c(0, bytes + start, size), expected);
        assert_int_equal(crc32c_portable(0, bytes + start, size), expected);
    }
    mem_free(bytes);
}

static void a_checksum_continues_over_parts(void **state)
{
    (void)state;
    uint64_t random = unit_seed();
    const size_t size = 20000;
    uint8_t *bytes = random_bytes(&random, size);
    uint32_t whole = crc32c(0, bytes, size);
    for (uint32_t i = 0; i < 200; i++) {
        size_t cut = unit_random(&random) % (size + 1);
        assert_int_equal(crc32c(crc32c(0, bytes, cut), bytes + cut, size - cut), whole);
        uint32_t first = crc32c_portable(0, bytes, cut);
        assert_int_equal(crc32c(first, bytes + cut, size - cut), whole);
    }
    mem_free(bytes);
}

static void any_flipped_bit_changes_the_checksum(void **state)
{
    (void)state;
    uint64_t random = unit_seed();
    const size_t size = 7000;
    uint8_t *bytes = random_bytes(&random, size);
    uint32_t whole = crc32c(0, bytes, size);
    for (uint32_t i = 0; i < 2000; i++) {
        uint64_t at = unit_random(&random);
        bytes[at / 8 % size] ^= (uint8_t)(1 << at % 8);
        assert_int_not_equal(crc32c(0, bytes, size), whole);
        bytes[at / 8 % size] ^= (uint8_t)(1 << at % 8);
    }
    mem_free(bytes);
}

static void murmur2_has_the_values_of_kafkas_own_tests(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        int32_t hash;
    } rows[] = {
        {"21", -973932308},
        {"foobar", -790332482},
        {"a-little-bit-long-string", -985981536},
        {"a-little-bit-longer-string", -1486304829},
        {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
        {"abc", 479470107},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_true((int32_t)hash_murmur2(slice_string(rows[i].key)) == rows[i].hash);
}

static void murmur2_takes_empty_keys_and_high_bytes(void **state)
{
    (void)state;
    assert_int_equal(hash_murmur2(slice_make(NULL, 0)), 275646681);
    /* Bytes over 127 count as unsigned, in the words and in each length of tail. */
    static const uint32_t expected[] = {0xed6f615b, 0xe59b9490, 0x549bff34, 0xdc65c3c9,
                                        0x7843e429, 0xf4a0fc46, 0xee4d49c6};
    static const uint8_t high[] = {0xff, 0x80, 0xc3, 0xa9, 0xfe, 0x81, 0xf0};
    for (size_t size = 1; size <= sizeof(high); size++)
        assert_int_equal(hash_murmur2(slice_make(high, size)), expected[size - 1]);
}

static void a_partition_is_the_positive_hash_modulo_the_count(void **state)
{
    (void)state;
    assert_int_equal(hash_kafka_partition(SLICE_LITERAL("foobar"), 1), 0);
    assert_int_equal(hash_kafka_partition(SLICE_LITERAL("abc"), 10), 7);
    uint32_t positive = (uint32_t)-790332482 & 0x7fffffff;
    assert_int_equal(hash_kafka_partition(SLICE_LITERAL("foobar"), 3), positive % 3);
    assert_int_equal(hash_kafka_partition(SLICE_LITERAL("foobar"), 10000), positive % 10000);
}

static void the_hash_depends_on_key_and_seed(void **state)
{
    (void)state;
    /* XXH3's published value for no bytes and no seed. */
    assert_true(hash_bytes(slice_make(NULL, 0), 0) == UINT64_C(0x2d06800538d394c2));
    uint64_t hash = hash_bytes(SLICE_LITERAL("flights"), 1);
    assert_true(hash == hash_bytes(SLICE_LITERAL("flights"), 1));
    assert_false(hash == hash_bytes(SLICE_LITERAL("flights"), 2));
    assert_false(hash == hash_bytes(SLICE_LITERAL("flight"), 1));
}

static void a_hash_of_128_bits_needs_its_secret(void **state)
{
    (void)state;
    uint8_t one[HASH_SECRET_SIZE], two[HASH_SECRET_SIZE], again[HASH_SECRET_SIZE];
    hash_secret(SLICE_LITERAL("one"), one);
    hash_secret(SLICE_LITERAL("two"), two);
    hash_secret(SLICE_LITERAL("one"), again);
    assert_memory_equal(one, again, sizeof(one));
    assert_true(memcmp(one, two, sizeof(one)) != 0);
    for (size_t size = 0; size < 1000; size += 37) {
        uint8_t key[1000] = {0};
        struct hash128 a = hash_bytes_128(slice_make(key, size), one);
        struct hash128 b = hash_bytes_128(slice_make(key, size), again);
        struct hash128 c = hash_bytes_128(slice_make(key, size), two);
        assert_true(a.low == b.low && a.high == b.high);
        assert_true(a.low != c.low && a.high != c.high);
        if (size == 0)
            continue;
        key[size - 1] = 1;
        c = hash_bytes_128(slice_make(key, size), one);
        assert_true(a.low != c.low && a.high != c.high);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crc32c_has_the_values_of_the_specification),
        cmocka_unit_test(every_size_and_alignment_agrees_with_the_definition),
        cmocka_unit_test(large_inputs_agree_with_the_definition),
        cmocka_unit_test(a_checksum_continues_over_parts),
        cmocka_unit_test(any_flipped_bit_changes_the_checksum),
        cmocka_unit_test(murmur2_has_the_values_of_kafkas_own_tests),
        cmocka_unit_test(murmur2_takes_empty_keys_and_high_bytes),
        cmocka_unit_test(a_partition_is_the_positive_hash_modulo_the_count),
        cmocka_unit_test(the_hash_depends_on_key_and_seed),
        cmocka_unit_test(a_hash_of_128_bits_needs_its_secret),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
