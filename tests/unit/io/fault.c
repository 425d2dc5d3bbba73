#include "io/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/alloc.h"
#include "sim/disk.h"

#define READ_WRITE (IO_OPEN_READ | IO_OPEN_WRITE)

/* The hooks have no context, as kill has none; tests run one after the other. */
static uint32_t kills;
static uint64_t slept_ns;
static struct sim_disk *watched;
static uint64_t changes_at_kill;

static void count_kill(void)
{
    kills++;
    changes_at_kill = watched ? sim_disk_change_count(watched) : 0;
}

static void count_sleep(uint64_t ns)
{
    slept_ns += ns;
}

static const struct io_fault_hooks hooks = {count_kill, count_sleep};

struct world {
    struct sim_disk *sim;
    struct io_disk *disk;
};

static struct world world_open(const char *spec)
{
    struct world world = {.sim = sim_disk_new(1)};
    struct err_text why = {0};
    kills = 0;
    slept_ns = 0;
    watched = world.sim;
    if (!err_is_ok(io_fault_disk_new(sim_disk_io(world.sim), spec, &hooks, &world.disk, &why)))
        fail_msg("%s", why.text);
    return world;
}

static void world_close(struct world *world)
{
    io_fault_disk_free(&world->disk);
    io_fault_disk_free(&world->disk);
    sim_disk_free(&world->sim);
    watched = NULL;
}

static struct io_file *file_open(struct world *world, const char *path)
{
    struct io_file *file = NULL;
    assert_true(
        err_is_ok(io_disk_open(world->disk, path, READ_WRITE | IO_OPEN_CREATE, &file, NULL)));
    return file;
}

static void rules_that_make_no_sense_are_shown(void **state)
{
    (void)state;
    static const char *const specs[] = {
        "",
        "kill",
        "kill:sometimes:write:a:1",
        "fail:bad:write:a:1",
        "fail:io:fly:a:1",
        "fail:io:write:a:0",
        "fail:io:write:a:",
        "fail:io:write:a",
        "fail:io:write:a:1x0",
        "fail:io:write:a:1x2+",
        "fail:io:write:a:2:3",
        "fail:io:write:a:1x18446744073709551615x",
        "fail:io:write:a:2x18446744073709551615",
        "short:read:a:1",
        "kill:during:sync:a:1",
        "slow:5:write:a:1",
        "slow:fast:write:a:1",
        "halt:io:write:a:1",
        "fail:io:write:a:1;",
        "fail:io:write:a:1;oops:b",
    };
    struct sim_disk *sim = sim_disk_new(1);
    for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
        struct io_disk *disk = NULL;
        struct err_text why = {0};
        err_t err = io_fault_disk_new(sim_disk_io(sim), specs[i], &hooks, &disk, &why);
        if (!err_is(err, ERR_CONFIG))
            fail_msg("%s", specs[i]);
        assert_null(disk);
        const char *last = strrchr(specs[i], ';');
        assert_non_null(strstr(why.text, last ? last + 1 : specs[i]));
    }
    sim_disk_free(&sim);
}

static void only_the_nth_matching_call_fails(void **state)
{
    (void)state;
    struct world world = world_open("fail:space:write:wal/:2");
    assert_true(err_is_ok(io_disk_make_directory(world.disk, "wal", NULL)));
    struct io_file *wal = file_open(&world, "wal/1"), *other = file_open(&world, "lake");
    assert_true(err_is_ok(io_file_write(wal, "a", 1, 0)));
    assert_true(err_is_ok(io_file_write(other, "a", 1, 0)));
    assert_true(err_is_ok(io_file_sync(wal)));
    assert_true(err_is(io_file_write(wal, "b", 1, 0), ERR_NO_SPACE));
    assert_true(err_is_ok(io_file_write(wal, "c", 1, 0)));
    assert_int_equal(io_fault_disk_count(world.disk), 1);
    char byte;
    size_t got;
    assert_true(err_is_ok(io_file_read(wal, &byte, 1, 0, &got)));
    assert_int_equal(byte, 'c');
    assert_true(err_is_ok(io_file_close(wal)));
    assert_true(err_is_ok(io_file_close(other)));
    world_close(&world);
}

static void a_rule_may_last_for_some_calls_or_for_ever(void **state)
{
    (void)state;
    struct world world = world_open("fail:io:write::2x2;fail:io:sync::2+");
    struct io_file *file = file_open(&world, "a");
    static const bool writes[] = {true, false, false, true, true};
    static const bool syncs[] = {true, false, false, false, false};
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(err_is_ok(io_file_write(file, "a", 1, 0)), writes[i]);
        assert_int_equal(err_is_ok(io_file_sync(file)), syncs[i]);
    }
    assert_int_equal(io_fault_disk_count(world.disk), 6);
    assert_true(err_is_ok(io_file_close(file)));
    world_close(&world);
}

static int list_nothing(void *context, const char *name, enum io_kind kind)
{
    (void)context;
    (void)name;
    (void)kind;
    return 0;
}

/* Makes one call of every kind that has a name; returns which of them failed, a bit each. */
static uint32_t call_all(struct world *world)
{
    struct io_disk *disk = world->disk;
    struct io_file *file = NULL;
    char byte = 'a';
    size_t got;
    uint32_t failed = 0;
    failed |= !err_is_ok(io_disk_open(disk, "f", READ_WRITE, &file, NULL)) ? 1u : 0;
    if (!file)
        assert_true(err_is_ok(io_disk_open(disk, "f", READ_WRITE, &file, NULL)));
    failed |= !err_is_ok(io_file_read(file, &byte, 1, 0, &got)) ? 2u : 0;
    failed |= !err_is_ok(io_file_write(file, &byte, 1, 0)) ? 4u : 0;
    failed |= !err_is_ok(io_file_sync(file)) ? 8u : 0;
    failed |= !err_is_ok(io_file_truncate(file, 5)) ? 16u : 0;
    failed |= !err_is_ok(io_disk_rename(disk, "f", "g", NULL)) ? 32u : 0;
    failed |= !err_is_ok(io_disk_make_directory(disk, "d", NULL)) ? 64u : 0;
    failed |= !err_is_ok(io_disk_sync_directory(disk, ".", NULL)) ? 128u : 0;
    failed |= !err_is_ok(io_disk_list(disk, ".", list_nothing, NULL, NULL)) ? 256u : 0;
    failed |= !err_is_ok(io_disk_remove(disk, failed & 32u ? "f" : "g", NULL)) ? 512u : 0;
    failed |= !err_is_ok(io_file_sync_all(file)) ? 1024u : 0;
    failed |= !err_is_ok(io_file_close(file)) ? 2048u : 0;
    return failed;
}

static void every_operation_can_be_named(void **state)
{
    (void)state;
    static const char *const names[] = {"open",  "read",    "write", "sync",   "truncate", "rename",
                                        "mkdir", "syncdir", "list",  "remove", "syncall",  "close"};
    for (uint32_t i = 0; i < 12; i++) {
        char spec[64];
        snprintf(spec, sizeof(spec), "fail:io:%s::1", names[i]);
        struct world world = world_open(spec);
        struct io_file *file = NULL;
        assert_true(err_is_ok(
            io_disk_open(sim_disk_io(world.sim), "f", READ_WRITE | IO_OPEN_CREATE, &file, NULL)));
        assert_true(err_is_ok(io_file_close(file)));
        uint32_t failed = call_all(&world);
        if (failed != 1u << i)
            fail_msg("%s: %x", names[i], failed);
        assert_int_equal(io_fault_disk_count(world.disk), 1);
        world_close(&world);
    }
}

static void any_counts_every_named_call(void **state)
{
    (void)state;
    for (uint32_t n = 1; n <= 12; n++) {
        char spec[64];
        snprintf(spec, sizeof(spec), "fail:io:any::%u", n);
        struct world world = world_open(spec);
        struct io_file *file = NULL;
        assert_true(err_is_ok(
            io_disk_open(sim_disk_io(world.sim), "f", READ_WRITE | IO_OPEN_CREATE, &file, NULL)));
        assert_true(err_is_ok(io_file_close(file)));
        assert_int_equal(call_all(&world), 1u << (n - 1));
        world_close(&world);
    }
}

/* A file of the simulated disk whose hints are counted, which change nothing there. */
static struct io_disk_ops counting_ops;
static uint32_t hints;

static void count_hint(struct io_file *file, uint64_t offset, uint64_t size)
{
    assert_non_null(file);
    assert_int_equal(offset, 4096);
    assert_int_equal(size, 100);
    hints++;
}

static err_t open_counting(struct io_disk *disk, const char *path, unsigned flags,
                           struct io_file **out, struct err_text *why)
{
    (void)disk;
    TRY(io_disk_open(sim_disk_io(watched), path, flags, out, why));
    counting_ops = *(*out)->ops;
    counting_ops.write_behind = count_hint;
    (*out)->ops = &counting_ops;
    return err_ok();
}

static void a_hint_that_fails_is_not_made_and_nobody_is_told(void **state)
{
    (void)state;
    static const char *const specs[] = {"slow:1ms:writebehind:b:1", "fail:io:writebehind:a:2",
                                        "fail:io:any:a:3", "kill:before:writebehind:a:2"};
    static const uint32_t made[] = {3, 2, 2, 3};
    static const uint32_t fired[] = {0, 1, 1, 1};
    for (size_t i = 0; i < 4; i++) {
        struct world world = world_open("slow:1ms:sync::1");
        io_fault_disk_free(&world.disk);
        static const struct io_disk_ops ops = {.open = open_counting};
        struct io_disk inner = {&ops};
        assert_true(err_is_ok(io_fault_disk_new(&inner, specs[i], &hooks, &world.disk, NULL)));
        struct io_file *file = file_open(&world, "a");
        hints = 0;
        for (size_t n = 0; n < 3; n++)
            io_file_write_behind(file, 4096, 100);
        /* A look is not counted, and says what the disk below says. */
        assert_true(io_file_in_memory(file, 0, 1));
        assert_false(io_file_in_memory(file, IO_BLOCK, 1));
        assert_int_equal(hints, made[i]);
        assert_int_equal(io_fault_disk_count(world.disk), fired[i]);
        assert_int_equal(kills, i == 3);
        assert_true(err_is_ok(io_file_close(file)));
        world_close(&world);
    }
}

static void either_path_of_a_rename_matches(void **state)
{
    (void)state;
    struct world world = world_open("fail:permission:rename:new:1x2");
    struct err_text why = {0};
    assert_true(err_is_ok(io_file_close(file_open(&world, "old"))));
    assert_true(err_is(io_disk_rename(world.disk, "old", "new", &why), ERR_PERMISSION));
    assert_non_null(strstr(why.text, "on purpose"));
    assert_true(err_is(io_disk_rename(world.disk, "new", "old", &why), ERR_PERMISSION));
    assert_true(err_is_ok(io_disk_rename(world.disk, "old", "new", &why)));
    world_close(&world);
}

static void errors_have_their_names(void **state)
{
    (void)state;
    struct world world = world_open("fail:io:sync::1;fail:space:sync::2;fail:permission:sync::3;"
                                    "fail:files:sync::4;fail:memory:sync::5");
    static const enum err_code codes[] = {ERR_IO,       ERR_NO_SPACE, ERR_PERMISSION,
                                          ERR_FD_LIMIT, ERR_MEMORY,   ERR_OK};
    struct io_file *file = file_open(&world, "a");
    for (size_t i = 0; i < 6; i++)
        assert_true(err_is(io_file_sync(file), codes[i]));
    assert_true(err_is_ok(io_file_close(file)));
    world_close(&world);
}

static void a_kill_comes_before_during_or_after_the_call(void **state)
{
    (void)state;
    static const char *const specs[] = {"kill:before:write:a:1", "kill:during:write:a:1",
                                        "kill:after:write:a:1"};
    static const uint64_t changes[] = {0, 1, 1};
    static const size_t sizes[] = {10, 5, 10};
    for (size_t i = 0; i < 3; i++) {
        struct world world = world_open(specs[i]);
        struct io_file *file = file_open(&world, "a");
        sim_disk_die_after(world.sim, 0);
        err_t err = io_file_write(file, "0123456789", 10, 0);
        assert_int_equal(kills, 1);
        assert_int_equal(changes_at_kill, changes[i]);
        assert_int_equal(err_is_ok(err), i != 1);
        uint64_t size = 0;
        assert_true(err_is_ok(io_file_size(file, &size)));
        assert_int_equal(size, sizes[i]);
        assert_true(err_is_ok(io_file_close(file)));
        assert_int_equal(kills, 1);
        world_close(&world);
    }
}

static void a_call_that_fails_by_itself_can_be_killed_after_too(void **state)
{
    (void)state;
    struct world world = world_open("kill:after:open:none:1;kill:after:remove:none:1");
    struct io_file *file = NULL;
    assert_true(err_is(io_disk_open(world.disk, "none", IO_OPEN_READ, &file, NULL), ERR_NO_FILE));
    assert_int_equal(kills, 1);
    assert_true(err_is(io_disk_remove(world.disk, "none", NULL), ERR_NO_FILE));
    assert_int_equal(kills, 2);
    world_close(&world);
}

static void a_short_write_leaves_whole_blocks_where_there_are_some(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 9, 2 * IO_BLOCK, 3 * IO_BLOCK, 5 * IO_BLOCK};
    static const size_t halves[] = {0, 4, IO_BLOCK, IO_BLOCK, 2 * IO_BLOCK};
    char *data = calloc(5, IO_BLOCK);
    for (size_t i = 0; i < 5; i++) {
        struct world world = world_open("short:write::1");
        struct io_file *file = file_open(&world, "a");
        assert_true(err_is(io_file_write(file, data, sizes[i], 0), ERR_IO));
        uint64_t size = 0;
        assert_true(err_is_ok(io_file_size(file, &size)));
        assert_int_equal(size, halves[i]);
        assert_int_equal(kills, 0);
        assert_true(err_is_ok(io_file_close(file)));
        world_close(&world);
    }
    free(data);
}

static void a_slow_call_waits_and_is_made(void **state)
{
    (void)state;
    struct world world = world_open("slow:50ms:sync::1x2;slow:2s:write::1");
    struct io_file *file = file_open(&world, "a");
    for (size_t i = 0; i < 3; i++)
        assert_true(err_is_ok(io_file_sync(file)));
    assert_int_equal(slept_ns, 100000000);
    assert_true(err_is_ok(io_file_write(file, "a", 1, 0)));
    assert_int_equal(slept_ns, 2100000000);
    assert_true(err_is_ok(io_file_close(file)));
    world_close(&world);
}

static void what_has_no_name_passes(void **state)
{
    (void)state;
    struct world world = world_open("fail:io:any::2+");
    struct io_file *file = file_open(&world, "a");
    enum io_kind kind;
    struct io_space space;
    uint64_t size;
    assert_true(err_is_ok(io_disk_kind(world.disk, "a", &kind, NULL)));
    assert_true(err_is_ok(io_disk_space(world.disk, "a", &space, NULL)));
    assert_true(err_is_ok(io_file_size(file, &size)));
    assert_true(err_is_ok(io_file_lock(file)));
    /* Closed all the same, as close(2) does. */
    assert_true(err_is(io_file_close(file), ERR_IO));
    world_close(&world);
}

static void any_allocation_may_fail(void **state)
{
    (void)state;
    struct sim_disk *sim = sim_disk_new(1);
    for (uint64_t n = 1;; n++) {
        struct io_disk *disk = NULL;
        struct io_file *file = NULL;
        mem_fail_after(n);
        err_t err = io_fault_disk_new(sim_disk_io(sim), "fail:io:sync::9", &hooks, &disk, NULL);
        if (err_is_ok(err))
            err = io_disk_open(disk, "a", READ_WRITE | IO_OPEN_CREATE, &file, NULL);
        bool failed = mem_alloc_count() >= n;
        mem_fail_after(0);
        assert_int_equal(err_is(err, ERR_MEMORY), failed);
        assert_true(err_is_ok(io_file_close(file)));
        io_fault_disk_free(&disk);
        if (!failed)
            break;
    }
    sim_disk_free(&sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_that_make_no_sense_are_shown),
        cmocka_unit_test(only_the_nth_matching_call_fails),
        cmocka_unit_test(a_rule_may_last_for_some_calls_or_for_ever),
        cmocka_unit_test(every_operation_can_be_named),
        cmocka_unit_test(any_counts_every_named_call),
        cmocka_unit_test(a_hint_that_fails_is_not_made_and_nobody_is_told),
        cmocka_unit_test(either_path_of_a_rename_matches),
        cmocka_unit_test(errors_have_their_names),
        cmocka_unit_test(a_kill_comes_before_during_or_after_the_call),
        cmocka_unit_test(a_call_that_fails_by_itself_can_be_killed_after_too),
        cmocka_unit_test(a_short_write_leaves_whole_blocks_where_there_are_some),
        cmocka_unit_test(a_slow_call_waits_and_is_made),
        cmocka_unit_test(what_has_no_name_passes),
        cmocka_unit_test(any_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
