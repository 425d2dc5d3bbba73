#include "log/fsck.h"

#include "unit/log/fsck.h"

static void what_nobody_harmed_is_clean_and_every_record_is_counted(void **state)
{
    (void)state;
    struct world w;
    struct told told;
    fsck_begin(&w, 1);
    told_clean(&w, &told);
    assert_int_equal(told.records, FSCK_RECORDS);
    assert_int_equal(told.accepted, FSCK_RECORDS);
    assert_int_equal(told.on_disk, FSCK_RECORDS);
    assert_int_equal(told.next_offset[0], FSCK_RECORDS / 2);
    assert_true(told.balanced && told.result.segments >= 2 && told.result.checkpoint_lsn > 0);
    assert_true(told.progress > 0 && told.result.frames > 0);
    assert_false(told.result.repaired);
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_nobody_harmed_is_clean_and_every_record_is_counted),
    };
    return cmocka_run_group_tests_name("log/fsck", tests, NULL, NULL);
}
