#include "flow/merge.h"

#include "base/hash.h"
#include "unit/flow/batches.h"
#include "unit/flow/hollow.h"

#define PARTS_MAX 20

/* Batches that follow each other, with gaps, and what they were made of. */
struct parts {
    struct flow_batch_builder builders[PARTS_MAX];
    struct flow_batch batches[PARTS_MAX];
    uint32_t count;
};

/* One batch more, `gap` offsets behind the last. */
static void parts_add(struct parts *p, uint32_t records, int64_t gap, int64_t around_ms,
                      uint64_t *random)
{
    int64_t offset = BATCHES_BASE_OFFSET;
    if (p->count) {
        const struct flow_batch *last = &p->batches[p->count - 1];
        offset = last->base_offset + last->last_offset_delta + 1 + gap;
    }
    p->batches[p->count] =
        batches_random(&p->builders[p->count], records, offset, around_ms, random);
    p->count++;
}

static void parts_done(struct parts *p)
{
    for (uint32_t i = 0; i < p->count; i++)
        flow_batch_builder_done(&p->builders[i]);
}

/* Changes the header of a finished batch, with a CRC that fits again. */
static void parts_patch(struct parts *p, uint32_t i, size_t at, const void *bytes, size_t size)
{
    uint8_t *batch = p->builders[i].bytes.data;
    memcpy(batch + at, bytes, size);
    put_u32be(batch + 17, crc32c(0, batch + 21, p->batches[i].bytes.size - 21));
    p->batches[i] = batches_parse(p->batches[i].bytes);
}

/* `bytes` is one batch that holds the records of all parts and nothing else. */
static void assert_merged(struct slice bytes, const struct parts *p)
{
    struct flow_batch merged = batches_parse(bytes);
    assert_int_equal(merged.bytes.size, bytes.size);
    const struct flow_batch *last = &p->batches[p->count - 1];
    assert_int_equal(merged.base_offset, p->batches[0].base_offset);
    assert_int_equal(merged.base_offset + merged.last_offset_delta,
                     last->base_offset + last->last_offset_delta);
    assert_int_equal(merged.first_timestamp_ms, p->batches[0].first_timestamp_ms);
    struct flow_batch_iterator it = flow_batch_records(&merged);
    uint32_t count = 0;
    int64_t max_ms = INT64_MIN;
    for (uint32_t i = 0; i < p->count; i++) {
        count += batches_assert_records(&it, &p->batches[i]);
        if (p->batches[i].record_count && p->batches[i].max_timestamp_ms > max_ms)
            max_ms = p->batches[i].max_timestamp_ms;
    }
    batches_assert_end(&it);
    assert_int_equal(merged.record_count, count);
    assert_int_equal(merged.max_timestamp_ms, max_ms);
}

static void any_batches_become_one_with_the_same_records(void **state)
{
    (void)state;
    uint64_t random = unit_seed();
    for (int round = 0; round < 100; round++) {
        struct parts p = {0};
        uint32_t count = 1 + (uint32_t)(unit_random(&random) % PARTS_MAX);
        for (uint32_t i = 0; i < count; i++) {
            uint32_t records = 1 + (uint32_t)(unit_random(&random) % 100);
            int64_t gap = unit_random(&random) % 3 ? 0 : (int64_t)(unit_random(&random) % 100000);
            /* A batch may be older than the one before it. */
            int64_t ms = 1700000000000 + (int64_t)(unit_random(&random) % 100000000);
            parts_add(&p, records, gap, ms, &random);
        }
        struct buf out = {0};
        buf_add_string(&out, "before");
        batches_assert_code(flow_merge(p.batches, p.count, &out), ERR_OK);
        assert_slice(slice_sub(buf_slice(&out), 0, 6), "before");
        assert_merged(slice_sub(buf_slice(&out), 6, out.size), &p);
        buf_done(&out);
        parts_done(&p);
    }
}

static void a_trickle_is_no_longer_mostly_headers(void **state)
{
    (void)state;
    uint64_t random = unit_seed();
    struct parts p = {0};
    size_t size = 0;
    for (uint32_t i = 0; i < PARTS_MAX; i++) {
        parts_add(&p, 1, 0, 1700000000000, &random);
        size += p.batches[i].bytes.size;
    }
    struct buf out = {0};
    batches_assert_code(flow_merge(p.batches, p.count, &out), ERR_OK);
    assert_merged(buf_slice(&out), &p);
    /* Each record may take some bytes more than in a batch of its own. */
    assert_in_range(out.size, 0, size - (PARTS_MAX - 1) * (FLOW_BATCH_HEADER_SIZE - 6));
    buf_done(&out);
    parts_done(&p);
}

static void holes_stay_holes(void **state)
{
    (void)state;
    uint64_t random = unit_seed();
    struct parts p = {0};
    parts_add(&p, 3, 0, 0, &random);
    /* Of ten offsets the first three have records. */
    parts_patch(&p, 0, 23, "\0\0\0\x09", 4);
    parts_add(&p, 2, 5, 0, &random);
    parts_patch(&p, 1, 23, "\0\0\0\x63", 4);
    struct buf out = {0};
    batches_assert_code(flow_merge(p.batches, p.count, &out), ERR_OK);
    assert_merged(buf_slice(&out), &p);
    struct flow_batch merged = batches_parse(buf_slice(&out));
    assert_int_equal(merged.record_count, 5);
    assert_int_equal(merged.last_offset_delta, 9 + 1 + 5 + 99);
    buf_done(&out);
    parts_done(&p);
}

/* All its records taken out, its offsets not. */
static void a_batch_without_records_leaves_its_offsets(void **state)
{
    (void)state;
    uint64_t random = unit_seed();
    struct parts p = {0};
    parts_add(&p, 4, 0, 0, &random);
    parts_add(&p, 1, 0, 0, &random);
    uint8_t *bytes = p.builders[1].bytes.data;
    put_u32be(bytes + 8, FLOW_BATCH_HEADER_SIZE - 12);
    p.batches[1].bytes.size = FLOW_BATCH_HEADER_SIZE;
    parts_patch(&p, 1, 57, "\0\0\0\0", 4);
    struct buf out = {0};
    batches_assert_code(flow_merge(p.batches, 2, &out), ERR_OK);
    assert_merged(buf_slice(&out), &p);
    assert_int_equal(batches_parse(buf_slice(&out)).last_offset_delta, 4);
    /* And alone. */
    buf_reset(&out);
    batches_assert_code(flow_merge(&p.batches[1], 1, &out), ERR_OK);
    batches_assert_bytes(buf_slice(&out), p.batches[1].bytes);
    buf_done(&out);
    parts_done(&p);
}

/* Wherever they stand; of nothing but such there is one, and it has no time. */
static void batches_of_nothing_but_holes_take_their_places(void **state)
{
    (void)state;
    uint64_t random = unit_seed();
    static const char *const kinds[] = {"-", "--", "-g", "g-", "--g-", "g--g", "-----"};
    for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
        struct parts p = {0};
        for (const char *kind = kinds[k]; *kind; kind++) {
            parts_add(&p, 3, 0, -5000, &random);
            struct flow_batch *batch = &p.batches[p.count - 1];
            size_t size = batch->bytes.size;
            if (*kind == '-')
                size = hollow(p.builders[p.count - 1].bytes.data, size);
            *batch = batches_parse(slice_sub(batch->bytes, 0, size));
        }
        struct buf out = {0};
        batches_assert_code(flow_merge(p.batches, p.count, &out), ERR_OK);
        if (strchr(kinds[k], 'g'))
            assert_merged(buf_slice(&out), &p);
        struct flow_batch merged = batches_parse(buf_slice(&out));
        assert_int_equal(merged.last_offset_delta, 3 * p.count - 1);
        assert_true(strchr(kinds[k], 'g') ||
                    (merged.record_count == 0 && merged.max_timestamp_ms == -1 &&
                     out.size == FLOW_BATCH_HEADER_SIZE));
        buf_done(&out);
        parts_done(&p);
    }
}

static void the_ends_of_time_share_a_batch(void **state)
{
    (void)state;
    static const int64_t times[] = {INT64_MAX, INT64_MIN, 0, -1, INT64_MAX - 1, INT64_MIN + 1};
    struct parts p = {0};
    for (uint32_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        struct flow_batch_builder *b = &p.builders[i];
        flow_batch_builder_init(b);
        batches_assert_code(
            flow_batch_builder_add(b, times[i], SLICE_LITERAL("k"), SLICE_LITERAL(""), NULL, 0),
            ERR_OK);
        struct slice bytes = flow_batch_builder_finish(b);
        flow_batch_set_base_offset(b->bytes.data, i * INT64_C(100000000));
        p.batches[i] = batches_parse(bytes);
        p.count++;
    }
    struct buf out = {0};
    batches_assert_code(flow_merge(p.batches, p.count, &out), ERR_OK);
    assert_merged(buf_slice(&out), &p);
    buf_done(&out);
    parts_done(&p);
}

static void what_a_record_says_of_itself_stays(void **state)
{
    (void)state;
    struct parts p = {.count = 1};
    flow_batch_builder_init(&p.builders[0]);
    batches_assert_code(
        flow_batch_builder_add(&p.builders[0], 5, SLICE_LITERAL("k"), SLICE_LITERAL("v"), NULL, 0),
        ERR_OK);
    p.batches[0] = batches_parse(flow_batch_builder_finish(&p.builders[0]));
    /* The attributes of the record, behind its length. */
    parts_patch(&p, 0, 62, "\x5a", 1);
    struct buf out = {0};
    batches_assert_code(flow_merge(p.batches, 1, &out), ERR_OK);
    batches_assert_bytes(buf_slice(&out), p.batches[0].bytes);
    buf_done(&out);
    parts_done(&p);
}

static void only_plain_batches_of_nobody_may_be_merged(void **state)
{
    (void)state;
    uint64_t random = unit_seed();
    struct parts p = {0};
    parts_add(&p, 3, 0, 0, &random);
    assert_true(flow_merge_possible(&p.batches[0]));
    for (unsigned bit = 0; bit < 16; bit++) {
        uint8_t attributes[2];
        put_u16be(attributes, (uint16_t)(1u << bit));
        parts_patch(&p, 0, 21, attributes, 2);
        assert_false(flow_merge_possible(&p.batches[0]));
    }
    parts_patch(&p, 0, 21, "\0\0", 2);
    assert_true(flow_merge_possible(&p.batches[0]));
    parts_patch(&p, 0, 43, "\0\0\0\0\0\0\0\0", 8);
    assert_false(flow_merge_possible(&p.batches[0]));
    parts_done(&p);
}

/* Merges, which gives `code` and leaves what was there. */
static void assert_refused(const struct parts *p, enum err_code code)
{
    struct buf out = {0};
    buf_add_string(&out, "before");
    batches_assert_code(flow_merge(p->batches, p->count, &out), code);
    assert_slice(buf_slice(&out), "before");
    assert_true(buf_ok(&out));
    buf_done(&out);
}

static void batches_out_of_order_or_too_far_apart_are_corrupt(void **state)
{
    (void)state;
    uint64_t random = unit_seed();
    struct parts p = {0};
    parts_add(&p, 3, 0, 0, &random);
    parts_add(&p, 3, 0, 0, &random);
    static const struct {
        int64_t offset;
        enum err_code code;
    } seconds[] = {
        {BATCHES_BASE_OFFSET, ERR_CORRUPT},
        {BATCHES_BASE_OFFSET + 2, ERR_CORRUPT},
        {0, ERR_CORRUPT},
        {BATCHES_BASE_OFFSET + INT32_MAX - 1, ERR_CORRUPT},
        {INT64_MAX - 3, ERR_CORRUPT},
    };
    for (size_t i = 0; i < sizeof(seconds) / sizeof(seconds[0]); i++) {
        flow_batch_set_base_offset(p.builders[1].bytes.data, seconds[i].offset);
        p.batches[1] = batches_parse(p.batches[1].bytes);
        assert_refused(&p, seconds[i].code);
    }
    flow_batch_set_base_offset(p.builders[1].bytes.data, BATCHES_BASE_OFFSET + INT32_MAX - 2);
    p.batches[1] = batches_parse(p.batches[1].bytes);
    struct buf out = {0};
    batches_assert_code(flow_merge(p.batches, p.count, &out), ERR_OK);
    assert_merged(buf_slice(&out), &p);
    buf_done(&out);
    parts_done(&p);
}

/* What no reader could read may not take the records of others with it. */
static void a_malformed_record_ends_the_merge(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        uint8_t byte;
    } lies[] = {
        {61, 0x7e}, /* a length past the batch's end */
        {61, 0x01}, /* no record at all */
        {64, 0x02}, /* an offset delta past the last */
        {64, 0x01}, /* a negative one */
        {65, 0x7e}, /* a key past the record's end */
        {67, 0x7e}, /* a value past it */
        {69, 0x01}, /* a negative count of headers */
        {61, 0x0e}, /* a byte behind the last record */
    };
    uint64_t random = unit_seed();
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        struct parts p = {0};
        parts_add(&p, 3, 0, 0, &random);
        flow_batch_builder_init(&p.builders[1]);
        batches_assert_code(flow_batch_builder_add(&p.builders[1], 5, SLICE_LITERAL("k"),
                                                   SLICE_LITERAL("v"), NULL, 0),
                            ERR_OK);
        (void)flow_batch_builder_finish(&p.builders[1]);
        flow_batch_set_base_offset(p.builders[1].bytes.data, BATCHES_BASE_OFFSET + 3);
        p.batches[1] = batches_parse(buf_slice(&p.builders[1].bytes));
        p.count = 2;
        parts_patch(&p, 1, lies[i].at, &lies[i].byte, 1);
        assert_refused(&p, ERR_CORRUPT);
        parts_done(&p);
    }
}

static void failed_allocations_leave_the_buffer_as_it_was(void **state)
{
    (void)state;
    uint64_t random = unit_seed();
    struct parts p = {0};
    for (uint32_t i = 0; i < PARTS_MAX; i++)
        parts_add(&p, 40, 0, 0, &random);
    struct buf out = {0};
    err_t err = err_make(ERR_MEMORY);
    uint64_t failed = 0;
    for (; err_is(err, ERR_MEMORY); failed++) {
        buf_done(&out);
        mem_fail_after(failed + 1);
        err = flow_merge(p.batches, p.count, &out);
        assert_true(buf_ok(&out) && (out.size == 0) == !err_is_ok(err));
    }
    mem_fail_after(0);
    batches_assert_code(err, ERR_OK);
    assert_in_range(failed, 3, 20);
    assert_merged(buf_slice(&out), &p);
    buf_done(&out);
    parts_done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_batches_become_one_with_the_same_records),
        cmocka_unit_test(a_trickle_is_no_longer_mostly_headers),
        cmocka_unit_test(holes_stay_holes),
        cmocka_unit_test(a_batch_without_records_leaves_its_offsets),
        cmocka_unit_test(batches_of_nothing_but_holes_take_their_places),
        cmocka_unit_test(the_ends_of_time_share_a_batch),
        cmocka_unit_test(what_a_record_says_of_itself_stays),
        cmocka_unit_test(only_plain_batches_of_nobody_may_be_merged),
        cmocka_unit_test(batches_out_of_order_or_too_far_apart_are_corrupt),
        cmocka_unit_test(a_malformed_record_ends_the_merge),
        cmocka_unit_test(failed_allocations_leave_the_buffer_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
