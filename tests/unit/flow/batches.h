#pragma once

/*
 * Batches for the tests of packing and merging, and the way to see whether two say the same.
 */

#include "base/alloc.h"
#include "base/cursor.h"
#include "flow/batch.h"
#include "lib/unit.h"

#define BATCHES_BASE_OFFSET INT64_C(5000000000)

static inline void batches_assert_code(err_t err, enum err_code code)
{
    assert_string_equal(err_name(err), err_name(err_make(code)));
}

/* The batch at the front of `bytes`, header and CRC checked. */
static inline struct flow_batch batches_parse(struct slice bytes)
{
    struct flow_batch batch;
    batches_assert_code(flow_batch_parse(bytes, &batch), ERR_OK);
    batches_assert_code(flow_batch_check(&batch), ERR_OK);
    return batch;
}

/* Any record: keys and values may be null, half of them have headers. */
static inline void batches_add_random(struct flow_batch_builder *b, int64_t around_ms,
                                      uint64_t *random)
{
    static const char text[] =
        "{\"sensor\":\"north\",\"value\":17,\"sensor\":\"south\",\"value\":4}";
    struct slice words[4];
    for (int i = 0; i < 4; i++) {
        size_t start = (size_t)(unit_random(random) % 20);
        words[i] = slice_make(text + start, (size_t)(unit_random(random) % 36));
        if (i < 3 && unit_random(random) % 5 == 0)
            words[i] = slice_make(NULL, 0);
    }
    const struct flow_header headers[] = {{words[3], words[2]}, {words[3], words[3]}};
    int64_t ms = around_ms + (int64_t)(unit_random(random) % 1000) - 500;
    err_t err = flow_batch_builder_add(b, ms, words[0], words[1], headers,
                                       (uint32_t)(unit_random(random) % 3));
    batches_assert_code(err, ERR_OK);
}

/* A batch of `count` records; its bytes are the builder's, who is to be initialised. */
static inline struct flow_batch batches_random(struct flow_batch_builder *b, uint32_t count,
                                               int64_t base_offset, int64_t around_ms,
                                               uint64_t *random)
{
    flow_batch_builder_init(b);
    for (uint32_t i = 0; i < count; i++)
        batches_add_random(b, around_ms, random);
    struct slice bytes = flow_batch_builder_finish(b);
    flow_batch_set_base_offset(b->bytes.data, base_offset);
    return batches_parse(bytes);
}

static inline void batches_assert_bytes(struct slice got, struct slice expected)
{
    assert_int_equal(got.data == NULL, expected.data == NULL);
    assert_int_equal(got.size, expected.size);
    assert_true(slice_equal(got, expected));
}

/* The next record of `it` is `expected`, in everything. */
static inline void batches_assert_next(struct flow_batch_iterator *it,
                                       const struct flow_record *expected)
{
    struct flow_record got;
    batches_assert_code(flow_batch_next(it, &got), ERR_OK);
    assert_int_equal(got.offset, expected->offset);
    assert_int_equal(got.timestamp_ms, expected->timestamp_ms);
    assert_int_equal(got.header_count, expected->header_count);
    batches_assert_bytes(got.key, expected->key);
    batches_assert_bytes(got.value, expected->value);
    batches_assert_bytes(got.headers, expected->headers);
}

/* The records of `expected` come next in `it`; returns how many there were. */
static inline uint32_t batches_assert_records(struct flow_batch_iterator *it,
                                              const struct flow_batch *expected)
{
    struct flow_batch_iterator walk = flow_batch_records(expected);
    struct flow_record record;
    uint32_t count = 0;
    err_t err;
    for (; err_is_ok(err = flow_batch_next(&walk, &record)); count++)
        batches_assert_next(it, &record);
    batches_assert_code(err, ERR_END);
    return count;
}

static inline void batches_assert_end(struct flow_batch_iterator *it)
{
    struct flow_record record;
    batches_assert_code(flow_batch_next(it, &record), ERR_END);
}
