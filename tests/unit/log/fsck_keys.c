#include "unit/log/fsck.h"

#include "unit/log/keys.h"

/* A directory with sorted files of keys and one that is open, named by a checkpoint. */
static void begin(struct world *w, uint64_t seed)
{
    world_init(w, seed);
    world_begin(w);
    assert_code(keys_configure(w, 3600000, UINT64_C(100) << 10), OK);
    assert_int_equal(keyed_run(w, 1, 8000), 0);
    world_until(w, keys_are_sorted, w);
    assert_true(keys_sorted_count(w) > 0);
    world_stop(w);
}

static void path_of(struct world *w, enum log_keys_kind kind, char out[static 512])
{
    char directory[LOG_SEGMENT_PATH_MAX];
    world_open(w);
    const struct log_topic *topic = keyed_topic(w);
    log_state_topic_directory(topic, "data", directory);
    const struct log_keys *keys = topic->keys;
    uint32_t index = kind == LOG_KEYS_SORTED ? 0 : keys->count - 1;
    log_keys_path(directory, keys->buckets[index]->number, kind, out, 512);
    world_stop(w);
}

static void whole_files_are_no_finding(void **state)
{
    (void)state;
    struct world w;
    struct told told;
    begin(&w, 1);
    assert_code(told_try(&w, &told, NULL), OK);
    assert_int_equal(told.result.errors, 0);
    assert_true(told.balanced);
    world_open(&w);
    assert_int_equal(keyed_run(&w, 1, 8000), 8000);
    world_done(&w);
}

static void a_damaged_file_is_told_and_a_repair_goes_on_without_it(void **state)
{
    (void)state;
    for (int kind = LOG_KEYS_RAW; kind <= LOG_KEYS_SORTED; kind++) {
        struct world w;
        struct told told;
        char path[512];
        begin(&w, 2);
        path_of(&w, (enum log_keys_kind)kind, path);
        sim_disk_flip(w.disk, path, kind == LOG_KEYS_SORTED ? 4096 + 70 : 70, 2);
        assert_code(told_try(&w, &told, NULL), OK);
        assert_true(told_has(&told, "keys_damaged"));
        assert_non_null(strstr(told.texts, "accepted again"));
        assert_code(told_try(&w, &told, "aside"), OK);
        assert_true(told.result.repaired);
        world_open(&w);
        uint32_t known = keyed_run(&w, 1, 8000);
        assert_true(known < 8000 && known > 0);
        assert_balanced(&w);
        world_done(&w);
    }
}

static void a_file_that_nobody_names_is_a_leftover(void **state)
{
    (void)state;
    struct world w;
    struct told told;
    char path[512];
    begin(&w, 3);
    path_of(&w, LOG_KEYS_SORTED, path);
    assert_code(told_try(&w, &told, NULL), OK);
    assert_null(strstr(told.notes, "leftover"));
    *strrchr(path, '/') = '\0';
    char stray[600];
    snprintf(stray, sizeof stray, "%s/00000000000000000001.new", path);
    fsck_write(&w, stray, "x", 1, 0);
    assert_code(told_try(&w, &told, NULL), OK);
    assert_non_null(strstr(told.notes, "leftover"));
    assert_int_equal(told.result.errors, 0);
    world_open(&w);
    enum io_kind kind;
    assert_code(io_disk_kind(sim_disk_io(w.disk), stray, &kind, NULL), OK);
    assert_int_equal(kind, IO_KIND_NONE);
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_files_are_no_finding),
        cmocka_unit_test(a_damaged_file_is_told_and_a_repair_goes_on_without_it),
        cmocka_unit_test(a_file_that_nobody_names_is_a_leftover),
    };
    return cmocka_run_group_tests_name("log/fsck_keys", tests, NULL, NULL);
}
