#include "log/offsets.h"

#include "base/alloc.h"
#include "unit/log/payload.h"

static struct flow_offset change(enum flow_offset_op op, const char *group, uint32_t topic_id,
                                 uint32_t partition, int64_t offset)
{
    return (struct flow_offset){.op = op,
                                .group = slice_string(group),
                                .topic_id = topic_id,
                                .partition = partition,
                                .offset = offset,
                                .leader_epoch = 7,
                                .metadata = SLICE_LITERAL("meta")};
}

/* As recovery does. */
static void settle(struct log_offsets *offsets, enum flow_offset_op op, const char *group,
                   uint32_t topic_id, uint32_t partition, int64_t offset)
{
    struct flow_offset one = change(op, group, topic_id, partition, offset);
    assert_code(log_offsets_settle(offsets, &one), OK);
}

/* The offset that the group has, -1 when it has none. */
static int64_t held(const struct log_offsets *offsets, const char *group, uint32_t topic_id,
                    uint32_t partition)
{
    struct flow_offsets answer = {.group = slice_string(group)};
    int64_t found = -1;
    assert_code(log_offsets_answer(offsets, &answer), OK);
    for (uint32_t i = 0; answer.group_count > 0 && i < answer.groups[0].offset_count; i++) {
        const struct flow_group_offset *offset = &answer.groups[0].offsets[i];
        if (offset->topic_id != topic_id || offset->partition != partition)
            continue;
        assert_int_equal(found, -1);
        assert_int_equal(offset->leader_epoch, 7);
        assert_slice(offset->metadata, "meta");
        found = offset->offset;
    }
    flow_offsets_done(&answer);
    return found;
}

static uint32_t group_count(const struct log_offsets *offsets)
{
    struct flow_offsets answer = {.group_count = 9};
    assert_code(log_offsets_answer(offsets, &answer), OK);
    uint32_t count = (uint32_t)answer.group_count;
    for (uint32_t i = 0; i < count; i++) {
        assert_true(answer.groups[i].offset_count > 0);
        assert_null(answer.groups[i].offsets);
    }
    flow_offsets_done(&answer);
    assert_int_equal(count, offsets->group_count);
    return count;
}

static void the_newest_offset_of_a_partition_is_the_groups(void **state)
{
    (void)state;
    struct log_offsets offsets;
    log_offsets_init(&offsets, 1);
    settle(&offsets, FLOW_OFFSET_COMMIT, "a", 1, 0, 5);
    settle(&offsets, FLOW_OFFSET_COMMIT, "a", 1, 1, 6);
    settle(&offsets, FLOW_OFFSET_COMMIT, "b", 1, 0, 7);
    settle(&offsets, FLOW_OFFSET_COMMIT, "a", 1, 0, 3);
    assert_int_equal(held(&offsets, "a", 1, 0), 3);
    assert_int_equal(held(&offsets, "a", 1, 1), 6);
    assert_int_equal(held(&offsets, "b", 1, 0), 7);
    assert_int_equal(held(&offsets, "c", 1, 0), -1);
    assert_int_equal(offsets.count, 3);
    assert_int_equal(group_count(&offsets), 2);
    log_offsets_done(&offsets);
}

static void what_is_on_its_way_counts_when_it_is_durable(void **state)
{
    (void)state;
    struct log_offsets offsets;
    log_offsets_init(&offsets, 1);
    const struct flow_offset changes[] = {change(FLOW_OFFSET_COMMIT, "a", 1, 0, 5),
                                          change(FLOW_OFFSET_COMMIT, "a", 1, 0, 6),
                                          change(FLOW_OFFSET_DELETE, "a", 1, 0, 0)};
    assert_code(log_offsets_add(&offsets, changes, 3), OK);
    assert_int_equal(held(&offsets, "a", 1, 0), -1);
    assert_int_equal(group_count(&offsets), 0);
    /* Nothing that can fail is left to do. */
    mem_fail_after(1);
    assert_code(log_offsets_settle(&offsets, &changes[0]), OK);
    assert_code(log_offsets_settle(&offsets, &changes[1]), OK);
    mem_fail_after(0);
    assert_int_equal(held(&offsets, "a", 1, 0), 6);
    assert_code(log_offsets_settle(&offsets, &changes[2]), OK);
    assert_int_equal(held(&offsets, "a", 1, 0), -1);
    assert_int_equal(offsets.bytes, 0);
    log_offsets_done(&offsets);
}

static void what_a_fence_takes_leaves_what_was_durable(void **state)
{
    (void)state;
    struct log_offsets offsets;
    log_offsets_init(&offsets, 1);
    settle(&offsets, FLOW_OFFSET_COMMIT, "a", 1, 0, 5);
    uint64_t before = offsets.bytes;
    const struct flow_offset changes[] = {change(FLOW_OFFSET_COMMIT, "a", 1, 0, 9),
                                          change(FLOW_OFFSET_COMMIT, "a", 1, 1, 9),
                                          change(FLOW_OFFSET_COMMIT, "b", 1, 1, 9)};
    assert_code(log_offsets_add(&offsets, changes, 3), OK);
    log_offsets_forget(&offsets);
    assert_int_equal(offsets.bytes, before);
    assert_int_equal(held(&offsets, "a", 1, 0), 5);
    assert_int_equal(held(&offsets, "a", 1, 1), -1);
    assert_int_equal(held(&offsets, "b", 1, 1), -1);
    log_offsets_done(&offsets);
}

static void a_commit_behind_a_deletion_stands(void **state)
{
    (void)state;
    struct log_offsets offsets;
    log_offsets_init(&offsets, 1);
    settle(&offsets, FLOW_OFFSET_COMMIT, "a", 1, 0, 5);
    const struct flow_offset later = change(FLOW_OFFSET_COMMIT, "a", 1, 0, 8);
    const struct flow_offset gone = change(FLOW_OFFSET_DELETE_GROUP, "a", 0, 0, 0);
    assert_code(log_offsets_add(&offsets, &gone, 1), OK);
    assert_code(log_offsets_add(&offsets, &later, 1), OK);
    assert_code(log_offsets_settle(&offsets, &gone), OK);
    assert_int_equal(held(&offsets, "a", 1, 0), -1);
    assert_code(log_offsets_settle(&offsets, &later), OK);
    assert_int_equal(held(&offsets, "a", 1, 0), 8);
    log_offsets_done(&offsets);
}

static void deletions_take_what_they_name_and_no_more(void **state)
{
    (void)state;
    struct log_offsets offsets;
    log_offsets_init(&offsets, 1);
    for (uint32_t topic = 1; topic <= 2; topic++) {
        for (uint32_t partition = 0; partition < 3; partition++) {
            settle(&offsets, FLOW_OFFSET_COMMIT, "a", topic, partition, 5);
            settle(&offsets, FLOW_OFFSET_COMMIT, "b", topic, partition, 6);
        }
    }
    settle(&offsets, FLOW_OFFSET_DELETE, "a", 1, 1, 0);
    settle(&offsets, FLOW_OFFSET_DELETE, "a", 1, 9, 0);
    settle(&offsets, FLOW_OFFSET_DELETE, "none", 1, 1, 0);
    settle(&offsets, FLOW_OFFSET_DELETE_GROUP, "none", 0, 0, 0);
    assert_int_equal(held(&offsets, "a", 1, 1), -1);
    assert_int_equal(held(&offsets, "a", 1, 2), 5);
    assert_int_equal(held(&offsets, "b", 1, 1), 6);
    settle(&offsets, FLOW_OFFSET_DELETE_GROUP, "b", 0, 0, 0);
    assert_int_equal(group_count(&offsets), 1);
    assert_int_equal(offsets.count, 5);
    log_offsets_forget_topic(&offsets, 1);
    assert_int_equal(held(&offsets, "a", 1, 0), -1);
    assert_int_equal(held(&offsets, "a", 2, 2), 5);
    log_offsets_forget_topic(&offsets, 2);
    assert_int_equal(group_count(&offsets), 0);
    assert_int_equal(offsets.bytes, 0);
    log_offsets_done(&offsets);
}

static void what_finds_no_room_is_refused_and_deletions_are_not(void **state)
{
    (void)state;
    struct log_offsets offsets;
    log_offsets_init(&offsets, 1);
    settle(&offsets, FLOW_OFFSET_COMMIT, "a", 1, 0, 5);
    offsets.bytes_max = offsets.bytes;
    const struct flow_offset more = change(FLOW_OFFSET_COMMIT, "a", 1, 1, 8);
    const struct flow_offset gone = change(FLOW_OFFSET_DELETE, "a", 1, 0, 0);
    assert_code(log_offsets_add(&offsets, &more, 1), OFFSETS_FULL);
    assert_code(log_offsets_add(&offsets, &gone, 1), OK);
    assert_code(log_offsets_settle(&offsets, &gone), OK);
    assert_int_equal(offsets.bytes, 0);
    log_offsets_done(&offsets);
}

static void without_memory_nothing_has_happened(void **state)
{
    (void)state;
    struct log_offsets offsets;
    log_offsets_init(&offsets, 1);
    const struct flow_offset changes[] = {change(FLOW_OFFSET_COMMIT, "a", 1, 0, 1),
                                          change(FLOW_OFFSET_COMMIT, "a", 1, 1, 2),
                                          change(FLOW_OFFSET_COMMIT, "b", 1, 0, 3)};
    uint32_t failures = 0;
    for (uint64_t n = 1;; n++) {
        mem_fail_after(n);
        err_t err = log_offsets_add(&offsets, changes, 3);
        mem_fail_after(0);
        if (err_is_ok(err))
            break;
        assert_code(err, MEMORY);
        assert_int_equal(offsets.bytes, 0);
        assert_true(list_empty(&offsets.coming) && list_empty(&offsets.groups));
        failures++;
    }
    assert_true(failures >= 8);
    for (size_t i = 0; i < 3; i++)
        assert_code(log_offsets_settle(&offsets, &changes[i]), OK);
    struct flow_offsets answer = {.group = SLICE_LITERAL("a")};
    mem_fail_after(1);
    assert_code(log_offsets_answer(&offsets, &answer), MEMORY);
    mem_fail_after(0);
    flow_offsets_done(&answer);
    log_offsets_done(&offsets);
}

static void a_copy_elsewhere_goes_on(void **state)
{
    (void)state;
    struct log_offsets first, second;
    log_offsets_init(&first, 1);
    second = first;
    log_offsets_moved(&second);
    settle(&second, FLOW_OFFSET_COMMIT, "a", 1, 0, 5);
    settle(&second, FLOW_OFFSET_COMMIT, "b", 1, 0, 6);
    memcpy(&first, &second, sizeof first);
    memset(&second, 0xff, sizeof second);
    log_offsets_moved(&first);
    settle(&first, FLOW_OFFSET_COMMIT, "c", 1, 0, 7);
    assert_int_equal(group_count(&first), 3);
    settle(&first, FLOW_OFFSET_DELETE_GROUP, "a", 0, 0, 0);
    assert_int_equal(held(&first, "b", 1, 0), 6);
    log_offsets_done(&first);
}

static void what_is_encoded_is_what_is_durable(void **state)
{
    (void)state;
    struct log_offsets offsets, read;
    struct buf bytes = {0}, again = {0};
    log_offsets_init(&offsets, 1);
    log_offsets_init(&read, 2);
    settle(&offsets, FLOW_OFFSET_COMMIT, "a", 1, 0, 5);
    settle(&offsets, FLOW_OFFSET_COMMIT, "a", 2, 1, 6);
    settle(&offsets, FLOW_OFFSET_COMMIT, "b", 1, 0, 7);
    const struct flow_offset coming[] = {change(FLOW_OFFSET_COMMIT, "a", 1, 0, 50),
                                         change(FLOW_OFFSET_COMMIT, "c", 1, 0, 60)};
    assert_code(log_offsets_add(&offsets, coming, 2), OK);
    log_offsets_encode(&offsets, &bytes);
    struct cursor c = cursor_make(buf_slice(&bytes));
    assert_code(log_offsets_decode(&read, &c), OK);
    assert_int_equal(c.rest.size, 0);
    assert_int_equal(held(&read, "a", 1, 0), 5);
    assert_int_equal(held(&read, "a", 2, 1), 6);
    assert_int_equal(held(&read, "b", 1, 0), 7);
    assert_int_equal(group_count(&read), 2);
    log_offsets_encode(&read, &again);
    assert_int_equal(again.size, bytes.size);
    assert_memory_equal(again.data, bytes.data, bytes.size);
    /* Cut anywhere it is not taken for whole. */
    for (size_t size = 0; size < bytes.size; size++) {
        struct log_offsets part;
        log_offsets_init(&part, 3);
        c = cursor_make(slice_make(bytes.data, size));
        assert_code(log_offsets_decode(&part, &c), CORRUPT);
        log_offsets_done(&part);
    }
    buf_done(&bytes);
    buf_done(&again);
    log_offsets_done(&read);
    log_offsets_done(&offsets);
}

/* Against a plain table, with frames that fail now and then. */
static void a_long_run_is_what_a_plain_table_says(void **state)
{
    (void)state;
    enum { GROUPS = 3, TOPICS = 3, PARTITIONS = 4 };
    static const char *const names[GROUPS] = {"a", "b", "c"};
    int64_t table[GROUPS][TOPICS][PARTITIONS];
    struct log_offsets offsets;
    uint64_t seed = 11;
    memset(table, 0xff, sizeof table);
    log_offsets_init(&offsets, 1);
    for (int step = 0; step < 20000; step++) {
        uint32_t g = (uint32_t)(unit_random(&seed) % GROUPS);
        uint32_t t = (uint32_t)(unit_random(&seed) % TOPICS);
        uint32_t p = (uint32_t)(unit_random(&seed) % PARTITIONS);
        uint32_t what = (uint32_t)(unit_random(&seed) % 40);
        enum flow_offset_op op = what == 0  ? FLOW_OFFSET_DELETE_GROUP
                                 : what < 6 ? FLOW_OFFSET_DELETE
                                            : FLOW_OFFSET_COMMIT;
        struct flow_offset one = change(op, names[g], t + 1, p, step);
        assert_code(log_offsets_add(&offsets, &one, 1), OK);
        if (unit_random(&seed) % 5 == 0) {
            log_offsets_forget(&offsets);
            continue;
        }
        assert_code(log_offsets_settle(&offsets, &one), OK);
        if (op == FLOW_OFFSET_DELETE_GROUP)
            memset(table[g], 0xff, sizeof table[g]);
        else
            table[g][t][p] = op == FLOW_OFFSET_COMMIT ? step : -1;
        assert_int_equal(held(&offsets, names[g], t + 1, p), table[g][t][p]);
    }
    for (uint32_t g = 0; g < GROUPS; g++)
        for (uint32_t t = 0; t < TOPICS; t++)
            for (uint32_t p = 0; p < PARTITIONS; p++)
                assert_int_equal(held(&offsets, names[g], t + 1, p), table[g][t][p]);
    log_offsets_done(&offsets);
}

static bool is_of_topic(void *owner, struct slice group, const struct flow_group_offset *offset)
{
    assert_int_equal(group.size, 1);
    const uint32_t *topic_id = owner;
    return offset->topic_id == *topic_id;
}

static void any_offset_is_looked_at(void **state)
{
    (void)state;
    uint32_t two = 2;
    struct log_offsets offsets;
    log_offsets_init(&offsets, 1);
    settle(&offsets, FLOW_OFFSET_COMMIT, "a", 1, 0, 5);
    assert_false(log_offsets_any(&offsets, is_of_topic, &two));
    settle(&offsets, FLOW_OFFSET_COMMIT, "b", 2, 0, 5);
    assert_true(log_offsets_any(&offsets, is_of_topic, &two));
    log_offsets_done(&offsets);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_offset_of_a_partition_is_the_groups),
        cmocka_unit_test(what_is_on_its_way_counts_when_it_is_durable),
        cmocka_unit_test(what_a_fence_takes_leaves_what_was_durable),
        cmocka_unit_test(a_commit_behind_a_deletion_stands),
        cmocka_unit_test(deletions_take_what_they_name_and_no_more),
        cmocka_unit_test(what_finds_no_room_is_refused_and_deletions_are_not),
        cmocka_unit_test(without_memory_nothing_has_happened),
        cmocka_unit_test(a_copy_elsewhere_goes_on),
        cmocka_unit_test(what_is_encoded_is_what_is_durable),
        cmocka_unit_test(a_long_run_is_what_a_plain_table_says),
        cmocka_unit_test(any_offset_is_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
