#include "log/scrub_int.h"

#include "unit/log/keys.h"

#define EVERY_MS UINT64_C(60000)
#define HOUR_MS UINT64_C(3600000)

struct checked {
    struct world w;
    struct gate checker;
    struct logger logger;
    char told[4096];
    uint32_t told_count;
    char path[256]; /* of the first sorted file */
};

static void note(struct logger *logger, enum log_level level, const char *event, struct slice text)
{
    struct checked *c = CONTAINER_OF(logger, struct checked, logger);
    (void)level;
    if (strcmp(event, "log_check_failed") != 0)
        return;
    c->told_count++;
    snprintf(c->told, sizeof c->told, "%.*s", SLICE_PRINTF(text));
}

static struct log_keys_bucket *first_bucket(const struct checked *c)
{
    return keyed_topic(&c->w)->keys->buckets[0];
}

/* With keys in a file that is more than a piece, and in others. */
static void begin(struct checked *c, uint64_t memory_bytes, uint32_t count)
{
    char directory[LOG_SEGMENT_PATH_MAX];
    *c = (struct checked){.logger.write = note};
    world_init(&c->w, 1);
    gate_init(&c->checker, c->w.sim);
    c->w.options.checker = &c->checker.io;
    c->w.options.check_every_ms = EVERY_MS;
    c->w.options.logger = &c->logger;
    world_begin(&c->w);
    assert_code(keys_configure(&c->w, 24 * HOUR_MS, memory_bytes), OK);
    assert_int_equal(keyed_run(&c->w, 1, count), 0);
    world_until(&c->w, keys_are_sorted, &c->w);
    assert_true(first_bucket(c)->sorted);
    log_state_topic_directory(keyed_topic(&c->w), c->w.options.data_directory, directory);
    log_keys_path(directory, first_bucket(c)->number, LOG_KEYS_SORTED, c->path, sizeof c->path);
}

static bool round_is_over(void *context)
{
    const struct checked *c = context;
    return c->w.log->scrub.completed_ms > 0 && c->w.log->scrub.phase == LOG_SCRUB_IDLE;
}

static void wait_for_round(struct checked *c)
{
    c->w.log->scrub.completed_ms = 0;
    world_until(&c->w, round_is_over, c);
    assert_null(c->w.log->scrub.bucket);
}

static uint32_t differences(const struct checked *c)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < keyed_topic(&c->w)->keys->count; i++)
        sum += keyed_topic(&c->w)->keys->buckets[i]->differences;
    return sum;
}

static void good_files_are_read_whole_and_once(void **state)
{
    (void)state;
    struct checked c;
    begin(&c, UINT64_C(600) << 10, 30000);
    uint64_t size = log_keys_file_size(first_bucket(&c)->file.count);
    assert_true(size > LOG_SCRUB_PIECE);
    uint64_t before = c.w.log->scrub.read_bytes_total;
    wait_for_round(&c);
    assert_int_equal(differences(&c), 0);
    assert_int_equal(c.told_count, 0);
    assert_true(c.w.log->scrub.read_bytes_total - before >= size);
    uint64_t checked_ns = first_bucket(&c)->checked_ns;
    assert_true(checked_ns > 0);
    wait_for_round(&c);
    assert_int_equal(first_bucket(&c)->checked_ns, checked_ns);
    world_done(&c.w);
}

static void a_block_that_rots_is_a_difference_for_as_long_as_it_does(void **state)
{
    (void)state;
    struct checked c;
    begin(&c, UINT64_C(600) << 10, 30000);
    uint64_t size = log_keys_file_size(first_bucket(&c)->file.count);
    /* In the first piece and in the last, each of which a round reaches. */
    sim_disk_flip(c.w.disk, c.path, IO_BLOCK + 100, 1);
    sim_disk_flip(c.w.disk, c.path, size - 100, 2);
    wait_for_round(&c);
    assert_int_equal(differences(&c), 2);
    assert_int_equal(c.told_count, 2);
    assert_non_null(strstr(c.told, "the block does not fit its checksum"));
    assert_non_null(strstr(c.told, strrchr(c.path, '/') + 1));
    sim_disk_flip(c.w.disk, c.path, IO_BLOCK + 100, 1);
    wait_for_round(&c);
    assert_int_equal(differences(&c), 1);
    sim_disk_flip(c.w.disk, c.path, size - 100, 2);
    /* The first block is of the file too. */
    sim_disk_flip(c.w.disk, c.path, 30, 2);
    wait_for_round(&c);
    assert_int_equal(differences(&c), 1);
    sim_disk_flip(c.w.disk, c.path, 30, 2);
    wait_for_round(&c);
    assert_int_equal(differences(&c), 0);
    world_done(&c.w);
}

static void a_file_that_is_missing_or_cut_is_a_difference(void **state)
{
    (void)state;
    struct checked c;
    begin(&c, UINT64_C(100) << 10, 9000);
    struct io_disk *disk = sim_disk_io(c.w.disk);
    uint8_t block[IO_BLOCK] = {0};
    assert_code(io_disk_write_file(disk, c.path, slice_make(block, sizeof block), NULL), OK);
    wait_for_round(&c);
    /* The first block is zeros, and the others are not there. */
    assert_int_equal(first_bucket(&c)->differences, 2);
    assert_non_null(strstr(c.told, "the file was cut"));
    assert_code(io_disk_remove(disk, c.path, NULL), OK);
    wait_for_round(&c);
    assert_int_equal(first_bucket(&c)->differences, 1);
    assert_int_equal(differences(&c), 1);
    assert_non_null(strstr(c.told, "the file is missing"));
    world_done(&c.w);
}

static bool a_look_is_held(void *context)
{
    const struct checked *c = context;
    return c->checker.held_count > 0;
}

static void keys_that_go_while_their_file_is_read_are_no_difference(void **state)
{
    (void)state;
    struct checked c;
    begin(&c, UINT64_C(100) << 10, 9000);
    sim_disk_flip(c.w.disk, c.path, IO_BLOCK + 100, 1);
    do {
        gate_open(&c.checker);
        c.checker.closed = true;
        world_until(&c.w, a_look_is_held, &c);
    } while (!c.w.log->scrub.bucket);
    assert_code(keys_configure(&c.w, 0, 0), OK);
    assert_null(keyed_topic(&c.w)->keys);
    gate_open(&c.checker);
    wait_for_round(&c);
    assert_int_equal(c.told_count, 0);
    world_done(&c.w);
}

static void a_stop_lets_go_of_what_is_read(void **state)
{
    (void)state;
    struct checked c;
    begin(&c, UINT64_C(600) << 10, 30000);
    /* Between two pieces. */
    while (!c.w.log->scrub.bucket || c.w.log->scrub.running)
        assert_true(sim_step(c.w.sim));
    world_stop(&c.w);
    world_open(&c.w);
    assert_int_equal(keyed_run(&c.w, 1, 64), 64);
    world_done(&c.w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_files_are_read_whole_and_once),
        cmocka_unit_test(a_block_that_rots_is_a_difference_for_as_long_as_it_does),
        cmocka_unit_test(a_file_that_is_missing_or_cut_is_a_difference),
        cmocka_unit_test(keys_that_go_while_their_file_is_read_are_no_difference),
        cmocka_unit_test(a_stop_lets_go_of_what_is_read),
    };
    return cmocka_run_group_tests_name("log/scrub_keys", tests, NULL, NULL);
}
