#pragma once

/*
 * What the codecs are tried with, and the tries that are the same for them: any bytes come back,
 * no limit is passed, no allocation that fails and no byte that is wrong leads anywhere but to an
 * error.
 */

#include "base/alloc.h"
#include "base/buf.h"
#include "lib/unit.h"

struct samples_codec {
    err_t (*compress)(struct slice plain, struct buf *out);
    err_t (*decompress)(struct slice packed, size_t size_max, struct buf *out);
};

static inline void samples_assert_code(err_t err, enum err_code code)
{
    assert_string_equal(err_name(err), err_name(err_make(code)));
}

/* Lines that repeat their names and not their numbers. Freed with buf_done. */
static inline struct buf samples_lines(size_t size, uint64_t *random)
{
    struct buf out = {0};
    while (out.size < size)
        buf_add_format(&out, "{\"sensor\":\"north-%u\",\"value\":%u}\n",
                       (unsigned)(unit_random(random) % 50), (unsigned)(unit_random(random)));
    assert_true(buf_ok(&out));
    out.size = size;
    return out;
}

static inline struct buf samples_noise(size_t size, uint64_t *random)
{
    struct buf out = {0};
    while (out.size < size)
        buf_add_byte(&out, (uint8_t)unit_random(random));
    assert_true(buf_ok(&out));
    return out;
}

/* `plain` through both, each behind bytes that are there already. */
static inline void samples_round_trip(const struct samples_codec *codec, struct slice plain)
{
    struct buf packed = {0};
    struct buf out = {0};
    buf_add_string(&packed, "before");
    buf_add_string(&out, "there");
    samples_assert_code(codec->compress(plain, &packed), ERR_OK);
    assert_slice(slice_sub(buf_slice(&packed), 0, 6), "before");
    struct slice frame = slice_sub(buf_slice(&packed), 6, packed.size);
    /* Just as much as it takes is allowed. */
    samples_assert_code(codec->decompress(frame, plain.size, &out), ERR_OK);
    assert_slice(slice_sub(buf_slice(&out), 0, 5), "there");
    assert_true(slice_equal(slice_sub(buf_slice(&out), 5, out.size), plain));
    buf_done(&packed);
    buf_done(&out);
}

static inline void samples_any_size_comes_back(void **state)
{
    const struct samples_codec *codec = *state;
    static const size_t sizes[] = {0, 1, 7, 1000, 65535, 65536, 65537, 131072, 1000000};
    uint64_t random = unit_seed();
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct buf lines = samples_lines(sizes[i], &random);
        struct buf noise = samples_noise(sizes[i], &random);
        samples_round_trip(codec, buf_slice(&lines));
        samples_round_trip(codec, buf_slice(&noise));
        buf_done(&lines);
        buf_done(&noise);
    }
}

static inline void samples_assert_refused(const struct samples_codec *codec, struct slice packed,
                                          size_t size_max, enum err_code code)
{
    struct buf out = {0};
    buf_add_string(&out, "there");
    samples_assert_code(codec->decompress(packed, size_max, &out), code);
    assert_slice(buf_slice(&out), "there");
    /* And can be appended to. */
    buf_add_string(&out, " still");
    assert_slice(buf_slice(&out), "there still");
    buf_done(&out);
}

/* One byte less than it takes, and a bomb: 64 MiB of zeros may not take more than 1 MiB. */
static inline void samples_limits_hold(void **state)
{
    const struct samples_codec *codec = *state;
    uint64_t random = unit_seed();
    struct buf lines = samples_lines(300000, &random);
    struct buf packed = {0};
    samples_assert_code(codec->compress(buf_slice(&lines), &packed), ERR_OK);
    assert_in_range(packed.size, 1, lines.size / 2);
    samples_assert_refused(codec, buf_slice(&packed), lines.size - 1, ERR_TOO_LARGE);
    samples_assert_refused(codec, buf_slice(&packed), 0, ERR_TOO_LARGE);
    buf_reset(&packed);
    size_t bomb_size = (size_t)64 << 20;
    uint8_t *zeros = mem_zalloc(bomb_size, 1);
    assert_non_null(zeros);
    samples_assert_code(codec->compress(slice_make(zeros, bomb_size), &packed), ERR_OK);
    mem_free(zeros);
    struct buf out = {0};
    samples_assert_code(codec->decompress(buf_slice(&packed), 1 << 20, &out), ERR_TOO_LARGE);
    assert_in_range(out.capacity, 0, (1 << 20) + 1);
    buf_done(&out);
    buf_done(&packed);
    buf_done(&lines);
}

static inline void samples_parts_and_more_than_a_frame_are_corrupt(void **state)
{
    const struct samples_codec *codec = *state;
    uint64_t random = unit_seed();
    struct buf lines = samples_lines(700, &random);
    struct buf packed = {0};
    samples_assert_code(codec->compress(buf_slice(&lines), &packed), ERR_OK);
    for (size_t size = 0; size < packed.size; size++) {
        /* A block of its own size, so that the sanitizer sees a read past its end. */
        uint8_t *part = mem_alloc(size);
        memcpy(part, packed.data, size);
        samples_assert_refused(codec, slice_make(part, size), 1000, ERR_CORRUPT);
        mem_free(part);
    }
    size_t size = packed.size;
    buf_add_byte(&packed, 0);
    samples_assert_refused(codec, buf_slice(&packed), 1000, ERR_CORRUPT);
    packed.size = size;
    samples_assert_code(codec->compress(buf_slice(&lines), &packed), ERR_OK);
    samples_assert_refused(codec, buf_slice(&packed), 10000, ERR_CORRUPT);
    buf_done(&packed);
    buf_done(&lines);
}

/* There is no checksum: a flip may give other bytes. But it stays within the limit, and gives
 * nothing or all. */
static inline void samples_damage_does_no_harm(void **state)
{
    const struct samples_codec *codec = *state;
    uint64_t random = unit_seed();
    struct buf lines = samples_lines(3000, &random);
    struct buf packed = {0};
    samples_assert_code(codec->compress(buf_slice(&lines), &packed), ERR_OK);
    uint32_t refused = 0;
    for (int round = 0; round < 20000; round++) {
        uint8_t *bytes = mem_alloc(packed.size);
        memcpy(bytes, packed.data, packed.size);
        for (uint64_t n = 1 + unit_random(&random) % 3; n > 0; n--)
            bytes[unit_random(&random) % packed.size] = (uint8_t)unit_random(&random);
        struct buf out = {0};
        err_t err = codec->decompress(slice_make(bytes, packed.size), 4000, &out);
        assert_true(err_is_ok(err) || err_is(err, ERR_CORRUPT) || err_is(err, ERR_TOO_LARGE));
        assert_in_range(out.size, 0, err_is_ok(err) ? 4000 : 0);
        refused += !err_is_ok(err);
        buf_done(&out);
        mem_free(bytes);
    }
    assert_in_range(refused, 1, 20000);
    buf_done(&packed);
    buf_done(&lines);
}

/* Each allocation of either way is the one that fails, until none is left to fail. */
static inline void samples_failed_allocations_leave_all_as_it_was(void **state)
{
    const struct samples_codec *codec = *state;
    uint64_t random = unit_seed();
    struct buf lines = samples_lines(200000, &random);
    struct buf packed = {0};
    err_t err = err_make(ERR_MEMORY);
    uint64_t failed = 0;
    for (; err_is(err, ERR_MEMORY); failed++) {
        buf_done(&packed);
        mem_fail_after(failed + 1);
        err = codec->compress(buf_slice(&lines), &packed);
        assert_int_equal(packed.size == 0, !err_is_ok(err));
    }
    samples_assert_code(err, ERR_OK);
    assert_in_range(failed, 2, 20);
    struct buf out = {0};
    err = err_make(ERR_MEMORY);
    for (failed = 0; err_is(err, ERR_MEMORY); failed++) {
        buf_done(&out);
        mem_fail_after(failed + 1);
        err = codec->decompress(buf_slice(&packed), lines.size, &out);
        assert_true(buf_ok(&out) && (err_is_ok(err) || out.size == 0));
    }
    mem_fail_after(0);
    samples_assert_code(err, ERR_OK);
    assert_in_range(failed, 3, 40);
    assert_true(slice_equal(buf_slice(&out), buf_slice(&lines)));
    buf_done(&out);
    buf_done(&packed);
    buf_done(&lines);
}

static inline void samples_a_cap_of_the_result_holds(void **state)
{
    const struct samples_codec *codec = *state;
    struct buf out;
    buf_init(&out, 8);
    buf_add_string(&out, "there");
    samples_assert_code(codec->compress(SLICE_LITERAL("too much"), &out), ERR_TOO_LARGE);
    buf_add_string(&out, "!");
    assert_slice(buf_slice(&out), "there!");
    buf_done(&out);
}

#define SAMPLES_TEST(name, codec) cmocka_unit_test_prestate(name, (void *)(uintptr_t)(codec))
/* The tries of a codec, for the table of its tests. */
#define SAMPLES_TESTS(codec)                                                                       \
    SAMPLES_TEST(samples_any_size_comes_back, codec), SAMPLES_TEST(samples_limits_hold, codec),    \
        SAMPLES_TEST(samples_parts_and_more_than_a_frame_are_corrupt, codec),                      \
        SAMPLES_TEST(samples_damage_does_no_harm, codec),                                          \
        SAMPLES_TEST(samples_failed_allocations_leave_all_as_it_was, codec),                       \
        SAMPLES_TEST(samples_a_cap_of_the_result_holds, codec)
