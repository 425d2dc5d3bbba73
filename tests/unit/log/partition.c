#include "log/partition.h"

#include "base/alloc.h"
#include "unit/log/payload.h"

static void init(struct log_partition *partition)
{
    *partition = (struct log_partition){0};
    list_init(&partition->waiters);
}

/* Adds batches of ten records from the partition's end on. */
static void add(struct log_partition *p, uint32_t count, uint64_t *bytes)
{
    for (uint32_t i = 0; i < count; i++) {
        struct log_index_entry entry = {.base_offset = p->end_offset,
                                        .records_before = p->records,
                                        .file_number = 1,
                                        .size = 100,
                                        .record_count = 10};
        assert_code(log_partition_reserve(p, bytes), OK);
        assert_code(log_partition_add(p, &entry, bytes), OK);
        p->end_offset += 10;
        p->records += 10;
    }
}

static struct log_segment segment(int64_t base, int64_t end)
{
    return (struct log_segment){.base_offset = base,
                                .end_offset = end,
                                .records_before = (uint64_t)base,
                                .records = (uint64_t)(end - base),
                                .size = 1000};
}

static void what_is_dropped_gives_its_room_to_what_comes(void **state)
{
    (void)state;
    struct log_partition p;
    uint64_t bytes = 0;
    init(&p);
    add(&p, 8, &bytes);
    uint64_t full = bytes;
    assert_int_equal(full, 8 * sizeof(struct log_index_entry));
    for (int round = 0; round < 50; round++) {
        log_partition_drop_index(&p, 5, &bytes);
        assert_int_equal(p.index_count, 3);
        assert_int_equal(p.index[0].base_offset, 50 * (round + 1));
        add(&p, 5, &bytes);
    }
    assert_int_equal(bytes, full);
    assert_int_equal(p.wal_bytes, 800);
    log_partition_done(&p);
}

static void an_index_that_runs_empty_takes_no_memory(void **state)
{
    (void)state;
    struct log_partition p;
    uint64_t bytes = 0;
    init(&p);
    add(&p, 100, &bytes);
    log_partition_drop_index(&p, 99, &bytes);
    assert_true(bytes > 0);
    log_partition_drop_index(&p, 1, &bytes);
    assert_int_equal(bytes, 0);
    assert_null(p.index);
    assert_int_equal(p.wal_bytes, 0);
    add(&p, 1, &bytes);
    assert_int_equal(p.index[0].base_offset, 1000);
    log_partition_done(&p);
}

static void room_that_was_reserved_stays_when_the_index_runs_empty(void **state)
{
    (void)state;
    struct log_partition p;
    uint64_t bytes = 0;
    init(&p);
    add(&p, 3, &bytes);
    assert_code(log_partition_reserve(&p, &bytes), OK);
    log_partition_drop_index(&p, 3, &bytes);
    mem_fail_after(1);
    struct log_index_entry entry = {.base_offset = 30, .size = 1, .record_count = 1};
    assert_code(log_partition_add(&p, &entry, &bytes), OK);
    mem_fail_after(0);
    assert_int_equal(p.index_count, 1);
    log_partition_done(&p);
}

static void a_failed_reservation_changes_nothing(void **state)
{
    (void)state;
    struct log_partition p;
    uint64_t bytes = 0;
    init(&p);
    add(&p, 8, &bytes);
    uint64_t before = bytes;
    mem_fail_after(1);
    assert_code(log_partition_reserve(&p, &bytes), MEMORY);
    mem_fail_after(0);
    assert_int_equal(bytes, before);
    assert_int_equal(p.index_reserved, 0);
    add(&p, 1, &bytes);
    assert_int_equal(p.index[8].base_offset, 80);
    log_partition_done(&p);
}

static void the_open_segment_is_replaced_and_others_follow(void **state)
{
    (void)state;
    struct log_partition p;
    init(&p);
    struct log_segment first = segment(0, 10);
    assert_code(log_partition_put_segments(&p, &first, 1), OK);
    struct log_segment grown[] = {segment(0, 15), segment(15, 30), segment(40, 50)};
    mem_fail_after(1);
    assert_code(log_partition_put_segments(&p, grown, 3), MEMORY);
    mem_fail_after(0);
    assert_int_equal(p.segments[0].end_offset, 10);
    assert_code(log_partition_put_segments(&p, grown, 3), OK);
    assert_int_equal(p.segment_count, 3);
    assert_int_equal(p.sealed_bytes, 3000);
    assert_int_equal(p.segments[0].end_offset, 15);
    log_partition_drop_segments(&p, 2);
    assert_int_equal(p.segment_count, 1);
    assert_int_equal(p.segments[0].base_offset, 40);
    assert_int_equal(p.sealed_bytes, 1000);
    log_partition_drop_segments(&p, 0);
    log_partition_drop_segments(&p, 1);
    assert_null(p.segments);
    assert_int_equal(p.sealed_bytes, 0);
    log_partition_done(&p);
}

static void an_offset_is_found_in_its_segment_in_the_next_behind_a_hole_or_in_the_wal(void **state)
{
    (void)state;
    struct log_partition p;
    init(&p);
    struct log_segment segments[] = {segment(0, 15), segment(15, 30), segment(40, 50)};
    assert_null(log_partition_segment(&p, 0));
    assert_code(log_partition_put_segments(&p, segments, 3), OK);
    static const struct {
        int64_t offset, base;
        uint32_t before;
    } cases[] = {{0, 0, 0}, {14, 0, 0}, {15, 15, 1}, {29, 15, 1}, {30, 40, 2}, {49, 40, 2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(log_partition_segment(&p, cases[i].offset)->base_offset, cases[i].base);
        assert_int_equal(log_partition_segments_before(&p, cases[i].offset), cases[i].before);
    }
    assert_null(log_partition_segment(&p, 50));
    assert_int_equal(log_partition_segments_before(&p, INT64_MAX), 3);
    log_partition_done(&p);
}

static void records_before_an_offset_never_fall_and_are_exact_at_edges(void **state)
{
    (void)state;
    struct log_partition p;
    uint64_t bytes = 0;
    init(&p);
    /* [0, 15), a hole that a repair left, [20, 30) of 6 records, then two batches in the WAL. */
    struct log_segment segments[] = {segment(0, 15), segment(20, 30)};
    segments[1].records_before = 15;
    segments[1].records = 6;
    assert_code(log_partition_put_segments(&p, segments, 2), OK);
    p.end_offset = 30;
    p.records = 21;
    p.start_offset = 4;
    p.records_start = 4;
    add(&p, 2, &bytes);
    static const struct {
        int64_t offset;
        uint64_t records;
    } edges[] = {{0, 4},   {4, 4},   {7, 7},   {15, 15}, {18, 15},
                 {20, 15}, {25, 18}, {30, 21}, {40, 31}, {50, 41}};
    for (size_t i = 0; i < sizeof edges / sizeof *edges; i++)
        assert_int_equal(log_partition_records_before(&p, edges[i].offset), edges[i].records);
    for (int64_t offset = 1; offset <= 50; offset++)
        assert_true(log_partition_records_before(&p, offset) >=
                    log_partition_records_before(&p, offset - 1));
    /* Of the 6 in ten offsets none or all may be in front. */
    static const struct {
        int64_t offset;
        struct log_count count;
    } counts[] = {{7, {7, 7}},    {18, {15, 15}}, {20, {15, 15}}, {21, {15, 16}}, {24, {15, 19}},
                  {29, {20, 21}}, {30, {21, 21}}, {33, {24, 24}}, {50, {41, 41}}};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct log_count count = log_partition_count_before(&p, counts[i].offset);
        assert_int_equal(count.least, counts[i].count.least);
        assert_int_equal(count.most, counts[i].count.most);
    }
    /* One of nothing but holes has none in front. */
    p.index[1].record_count = 0;
    p.records = 31;
    assert_int_equal(log_partition_records_before(&p, 45), 31);
    assert_int_equal(log_partition_count_before(&p, 45).least, 31);
    p.index[1].record_count = 10;
    p.records = 41;
    log_partition_drop_index(&p, 2, &bytes);
    assert_int_equal(log_partition_records_before(&p, 45), 41);
    log_partition_done(&p);
}

static void batches_are_found_behind_dead_entries(void **state)
{
    (void)state;
    struct log_partition p;
    uint64_t bytes = 0;
    init(&p);
    assert_int_equal(log_partition_find(&p, 5), 0);
    add(&p, 20, &bytes);
    log_partition_drop_index(&p, 7, &bytes);
    assert_int_equal(log_partition_find(&p, 0), 0);
    for (int64_t offset = 70; offset < 200; offset++)
        assert_int_equal(log_partition_find(&p, offset), (size_t)(offset - 70) / 10);
    assert_int_equal(log_partition_find(&p, 1000), 12);
    log_partition_done(&p);
}

static void batches_below_the_start_hold_nothing(void **state)
{
    (void)state;
    struct log_partition p;
    uint64_t bytes = 0;
    init(&p);
    assert_int_equal(log_partition_held_wal_bytes(&p), 0);
    add(&p, 3, &bytes);
    assert_int_equal(log_partition_held_wal_bytes(&p), 300);
    p.start_offset = 9;
    assert_int_equal(log_partition_held_wal_bytes(&p), 300);
    p.start_offset = 10;
    assert_int_equal(log_partition_held_wal_bytes(&p), 200);
    p.start_offset = 30;
    assert_int_equal(log_partition_held_wal_bytes(&p), 0);
    log_partition_done(&p);
}

static void when_a_record_was_committed_is_known_by_its_place(void **state)
{
    (void)state;
    struct log_partition p;
    uint64_t bytes = 0;
    init(&p);
    assert_int_equal(log_partition_commit_ms(&p, 0), 0);
    struct log_segment sealed = segment(0, 20);
    sealed.first_commit_ms = 5;
    assert_code(log_partition_put_segments(&p, &sealed, 1), OK);
    p.end_offset = 20;
    p.records = 20;
    add(&p, 2, &bytes);
    p.index[0].commit_time_ms = 7;
    p.index[1].commit_time_ms = 8;
    assert_int_equal(log_partition_commit_ms(&p, 0), 5);
    assert_int_equal(log_partition_commit_ms(&p, 19), 5);
    assert_int_equal(log_partition_commit_ms(&p, 20), 7);
    assert_int_equal(log_partition_commit_ms(&p, 39), 8);
    assert_int_equal(log_partition_commit_ms(&p, 40), 0);
    /* What has no records is passed over. */
    p.index[0].record_count = 0;
    p.index[1].records_before = p.index[0].records_before;
    assert_int_equal(log_partition_commit_ms(&p, 20), 8);
    p.segments[0].records = 0;
    assert_int_equal(log_partition_commit_ms(&p, 0), 8);
    log_partition_done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_below_the_start_hold_nothing),
        cmocka_unit_test(when_a_record_was_committed_is_known_by_its_place),
        cmocka_unit_test(what_is_dropped_gives_its_room_to_what_comes),
        cmocka_unit_test(an_index_that_runs_empty_takes_no_memory),
        cmocka_unit_test(room_that_was_reserved_stays_when_the_index_runs_empty),
        cmocka_unit_test(a_failed_reservation_changes_nothing),
        cmocka_unit_test(the_open_segment_is_replaced_and_others_follow),
        cmocka_unit_test(an_offset_is_found_in_its_segment_in_the_next_behind_a_hole_or_in_the_wal),
        cmocka_unit_test(records_before_an_offset_never_fall_and_are_exact_at_edges),
        cmocka_unit_test(batches_are_found_behind_dead_entries),
    };
    return cmocka_run_group_tests_name("log/partition", tests, NULL, NULL);
}
