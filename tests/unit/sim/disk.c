#include "sim/disk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/alloc.h"

#define READ_WRITE (IO_OPEN_READ | IO_OPEN_WRITE)
#define SEEDS 200u

static struct io_file *file_open(struct sim_disk *disk, const char *path, unsigned flags)
{
    struct io_file *file = NULL;
    struct err_text why = {0};
    if (!err_is_ok(io_disk_open(sim_disk_io(disk), path, flags, &file, &why)))
        fail_msg("%s", why.text);
    return file;
}

static void file_close(struct io_file *file)
{
    assert_true(err_is_ok(io_file_close(file)));
}

static void file_put(struct io_file *file, const char *text, uint64_t offset)
{
    assert_true(err_is_ok(io_file_write(file, text, strlen(text), offset)));
}

/* A file with its content and its name on the device. */
static void put_synced(struct sim_disk *disk, const char *path, const char *text)
{
    struct io_file *file = file_open(disk, path, READ_WRITE | IO_OPEN_CREATE | IO_OPEN_TRUNCATE);
    file_put(file, text, 0);
    assert_true(err_is_ok(io_file_sync(file)));
    file_close(file);
    assert_true(err_is_ok(io_disk_sync_directory(sim_disk_io(disk), "/", NULL)));
}

static enum io_kind kind_at(struct sim_disk *disk, const char *path)
{
    enum io_kind kind = IO_KIND_OTHER;
    assert_true(err_is_ok(io_disk_kind(sim_disk_io(disk), path, &kind, NULL)));
    return kind;
}

/* The content as a string; NULL when there is no such file. */
static char *text_at(struct sim_disk *disk, const char *path)
{
    static char text[1 << 16];
    if (kind_at(disk, path) != IO_KIND_FILE)
        return NULL;
    struct io_file *file = file_open(disk, path, IO_OPEN_READ);
    size_t got = 0;
    assert_true(err_is_ok(io_file_read(file, text, sizeof(text) - 1, 0, &got)));
    text[got] = '\0';
    file_close(file);
    return text;
}

static bool is_text(struct sim_disk *disk, const char *path, const char *expected)
{
    const char *text = text_at(disk, path);
    return text && strcmp(text, expected) == 0;
}

static void what_is_written_is_read_at_once(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(1);
    struct io_file *file = file_open(disk, "a", READ_WRITE | IO_OPEN_CREATE);
    struct io_file *other = file_open(disk, "./a", IO_OPEN_READ);
    file_put(file, "hello", 5000);
    char text[16] = "";
    size_t got = 0;
    uint64_t size = 0;
    assert_true(err_is_ok(io_file_read(other, text, sizeof(text), 4998, &got)));
    assert_int_equal(got, 7);
    assert_memory_equal(text, "\0\0hello", 7);
    assert_true(err_is_ok(io_file_size(other, &size)));
    assert_int_equal(size, 5005);
    assert_true(err_is_ok(io_file_truncate(file, 5002)));
    assert_true(err_is_ok(io_file_read(other, text, sizeof(text), 5000, &got)));
    assert_int_equal(got, 2);
    assert_true(err_is_ok(io_file_read(other, text, sizeof(text), 9000, &got)));
    assert_int_equal(got, 0);
    file_close(file);
    file_close(other);
    sim_disk_free(&disk);
}

static void flags_say_what_may_be_there(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(2);
    struct io_disk *io = sim_disk_io(disk);
    struct io_file *file = NULL;
    struct err_text why = {0};
    assert_true(err_is(io_disk_open(io, "missing", IO_OPEN_READ, &file, &why), ERR_NO_FILE));
    assert_non_null(strstr(why.text, "missing"));
    assert_true(
        err_is(io_disk_open(io, "d/a", READ_WRITE | IO_OPEN_CREATE, &file, &why), ERR_NO_FILE));
    put_synced(disk, "a", "one");
    assert_true(
        err_is(io_disk_open(io, "a", READ_WRITE | IO_OPEN_CREATE | IO_OPEN_EXCLUSIVE, &file, &why),
               ERR_EXISTS));
    assert_true(err_is(io_disk_open(io, "a/b", IO_OPEN_READ, &file, &why), ERR_NO_FILE));
    assert_true(err_is(io_disk_open(io, "../a", IO_OPEN_READ, &file, &why), ERR_UNSUPPORTED));
    assert_null(file);
    file_close(file_open(disk, "a", READ_WRITE | IO_OPEN_TRUNCATE));
    assert_true(is_text(disk, "a", ""));
    assert_true(err_is_ok(io_disk_make_directory(io, "d", NULL)));
    assert_true(err_is_ok(io_disk_make_directory(io, "d", NULL)));
    assert_true(err_is(io_disk_make_directory(io, "a", &why), ERR_EXISTS));
    assert_true(err_is(io_disk_make_directory(io, "x/y", &why), ERR_NO_FILE));
    assert_false(err_is_ok(io_disk_open(io, "d", READ_WRITE, &file, &why)));
    assert_int_equal(kind_at(disk, "d"), IO_KIND_DIRECTORY);
    assert_int_equal(kind_at(disk, "/"), IO_KIND_DIRECTORY);
    assert_int_equal(kind_at(disk, "x/y"), IO_KIND_NONE);
    sim_disk_free(&disk);
}

static void what_is_synced_survives_every_crash(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_disk *disk = sim_disk_new(seed);
        put_synced(disk, "a", "kept");
        struct io_file *file = file_open(disk, "a", READ_WRITE);
        file_put(file, "perhaps", 100000);
        sim_disk_crash(disk);
        char *text = text_at(disk, "a");
        if (!text || memcmp(text, "kept", 4) != 0)
            fail_msg("seed %zu", (size_t)seed);
        file_close(file);
        sim_disk_free(&disk);
    }
}

static void what_is_not_synced_may_be_lost_kept_or_torn(void **state)
{
    (void)state;
    uint32_t lost = 0, kept = 0, torn = 0;
    char old[2049], fresh[2049];
    memset(old, 'o', 2048);
    memset(fresh, 'f', 2048);
    old[2048] = fresh[2048] = '\0';
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_disk *disk = sim_disk_new(seed);
        put_synced(disk, "a", old);
        struct io_file *file = file_open(disk, "a", READ_WRITE);
        file_put(file, fresh, 0);
        assert_true(is_text(disk, "a", fresh));
        sim_disk_crash(disk);
        if (is_text(disk, "a", old))
            lost++;
        else if (is_text(disk, "a", fresh))
            kept++;
        else
            torn++;
        file_close(file);
        sim_disk_free(&disk);
    }
    assert_true(lost > SEEDS / 10 && kept > SEEDS / 10 && torn > SEEDS / 10);
}

static void a_sync_of_all_through_a_directory_covers_every_file(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_disk *disk = sim_disk_new(seed);
        struct io_disk *io = sim_disk_io(disk);
        put_synced(disk, "old", "text");
        assert_true(err_is_ok(io_disk_make_directory(io, "d", NULL)));
        struct io_file *directory = file_open(disk, "d", IO_OPEN_READ);
        struct io_file *a = file_open(disk, "d/a", READ_WRITE | IO_OPEN_CREATE);
        struct io_file *b = file_open(disk, "b", IO_OPEN_WRITE | IO_OPEN_CREATE);
        file_put(a, "one", 0);
        file_put(b, "two", 0);
        assert_true(err_is_ok(io_disk_rename(io, "old", "d/moved", NULL)));
        assert_true(err_is_ok(io_file_sync_all(directory)));
        file_put(a, "perhaps", 100000);
        sim_disk_crash(disk);
        if (!text_at(disk, "d/a") || memcmp(text_at(disk, "d/a"), "one", 3) != 0 ||
            !is_text(disk, "b", "two") || !is_text(disk, "d/moved", "text") ||
            kind_at(disk, "old") != IO_KIND_NONE)
            fail_msg("seed %zu", (size_t)seed);
        assert_true(err_is(io_file_sync_all(directory), ERR_IO));
        file_close(a);
        file_close(b);
        file_close(directory);
        sim_disk_free(&disk);
    }
}

static void a_sync_of_all_fails_and_dies_as_a_sync_does(void **state)
{
    (void)state;
    uint32_t survived[3] = {0};
    for (uint64_t seed = 0; seed < 3 * SEEDS; seed++) {
        struct sim_disk *disk = sim_disk_new(seed);
        put_synced(disk, "a", "old");
        struct io_file *file = file_open(disk, "a", READ_WRITE);
        file_put(file, "new", 0);
        if (seed % 3 == 0)
            sim_disk_fail_after(disk, 1, ERR_IO);
        else if (seed % 3 == 1)
            sim_disk_set(disk, &(struct sim_disk_options){.sync_failures_ppm = 1000000});
        else
            sim_disk_die_after(disk, 1);
        assert_true(err_is(io_file_sync_all(file), ERR_IO));
        assert_int_equal(sim_disk_is_dead(disk), seed % 3 == 2);
        sim_disk_crash(disk);
        survived[seed % 3] += is_text(disk, "a", "new");
        file_close(file);
        sim_disk_free(&disk);
    }
    for (size_t i = 0; i < 3; i++)
        assert_true(survived[i] > SEEDS / 10 && survived[i] < SEEDS);
}

static void bytes_next_to_what_was_written_survive_a_crash(void **state)
{
    (void)state;
    bool lost = false;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_disk *disk = sim_disk_new(seed);
        put_synced(disk, "f", "synced before; ");
        struct io_file *file = file_open(disk, "f", READ_WRITE);
        file_put(file, "appended", strlen("synced before; "));
        file_close(file);
        sim_disk_crash(disk);
        const char *text = text_at(disk, "f");
        assert_non_null(text);
        assert_memory_equal(text, "synced before; ", strlen("synced before; "));
        lost = lost || strcmp(text, "synced before; appended") != 0;
        sim_disk_free(&disk);
    }
    assert_true(lost);
}

static void a_failed_sync_of_all_is_told_to_each_file_too(void **state)
{
    (void)state;
    unsigned told = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_disk *disk = sim_disk_new(seed);
        struct io_file *root = file_open(disk, "/", IO_OPEN_READ);
        struct io_file *file = file_open(disk, "f", READ_WRITE | IO_OPEN_CREATE);
        file_put(file, "text", 0);
        sim_disk_fail_after(disk, 1, ERR_IO);
        assert_true(err_is(io_file_sync_all(root), ERR_IO));
        bool fails = !err_is_ok(io_file_sync(file));
        told += fails;
        /* Once. Who was told nothing has lost nothing. */
        assert_true(err_is_ok(io_file_sync(file)));
        assert_true(err_is_ok(io_disk_sync_directory(sim_disk_io(disk), "/", NULL)));
        file_close(file);
        file_close(root);
        sim_disk_crash(disk);
        if (!fails)
            assert_string_equal(text_at(disk, "f"), "text");
        sim_disk_free(&disk);
    }
    assert_true(told > 0);
}

static void an_aim_spares_the_calls_on_other_paths(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(1);
    struct io_file *aimed = file_open(disk, "aimed", READ_WRITE | IO_OPEN_CREATE);
    struct io_file *other = file_open(disk, "other", READ_WRITE | IO_OPEN_CREATE);
    sim_disk_aim(disk, "aim");
    sim_disk_fail_after(disk, 2, ERR_IO);
    file_put(other, "a", 0);
    file_put(aimed, "b", 0);
    file_put(other, "c", 0);
    assert_int_equal(sim_disk_call_count(disk), 1);
    assert_true(err_is(io_file_write(aimed, "d", 1, 0), ERR_IO));
    sim_disk_die_after(disk, 1);
    file_put(other, "e", 0);
    assert_false(sim_disk_is_dead(disk));
    assert_true(err_is(io_file_sync(aimed), ERR_IO));
    assert_true(sim_disk_is_dead(disk));
    file_close(aimed);
    file_close(other);
    sim_disk_free(&disk);
}

static void nothing_changes_while_it_is_cut_off(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(1);
    put_synced(disk, "f", "text");
    struct io_file *file = file_open(disk, "f", READ_WRITE);
    sim_disk_cut_off(disk, true);
    assert_true(err_is(io_file_write(file, "else", 4, 0), ERR_IO));
    assert_true(err_is(io_disk_remove(sim_disk_io(disk), "f", NULL), ERR_IO));
    file_close(file);
    sim_disk_cut_off(disk, false);
    assert_string_equal(text_at(disk, "f"), "text");
    sim_disk_free(&disk);
}

static void a_hint_to_write_back_promises_nothing_and_is_no_call(void **state)
{
    (void)state;
    uint32_t lost = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_disk *disk = sim_disk_new(seed);
        put_synced(disk, "a", "old");
        struct io_file *file = file_open(disk, "a", READ_WRITE);
        file_put(file, "new", 0);
        sim_disk_fail_after(disk, 1, ERR_IO);
        sim_disk_die_after(disk, 1);
        io_file_write_behind(file, 0, 3);
        assert_true(io_file_in_memory(file, 2 * IO_BLOCK, 100));
        assert_false(io_file_in_memory(file, IO_BLOCK + 1, 1));
        assert_int_equal(sim_disk_call_count(disk), 0);
        assert_int_equal(sim_disk_change_count(disk), 0);
        sim_disk_fail_after(disk, 0, ERR_OK);
        sim_disk_crash(disk);
        lost += is_text(disk, "a", "old");
        file_close(file);
        sim_disk_free(&disk);
    }
    assert_true(lost > SEEDS / 10 && lost < SEEDS);
}

static void a_directory_is_opened_to_be_read_only_and_has_no_bytes(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(1);
    struct io_disk *io = sim_disk_io(disk);
    struct io_file *file = NULL;
    assert_true(err_is_ok(io_disk_make_directory(io, "d", NULL)));
    static const unsigned refused[] = {IO_OPEN_WRITE, READ_WRITE, IO_OPEN_READ | IO_OPEN_CREATE,
                                       IO_OPEN_READ | IO_OPEN_TRUNCATE};
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        assert_true(err_is(io_disk_open(io, "d", refused[i], &file, NULL), ERR_IO));
    assert_null(file);
    static const char *const paths[] = {"d", "/", "."};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        char byte;
        size_t got = 9;
        file = file_open(disk, paths[i], IO_OPEN_READ);
        assert_true(err_is(io_file_read(file, &byte, 1, 0, &got), ERR_IO));
        assert_int_equal(got, 9);
        assert_true(err_is_ok(io_file_sync_all(file)));
        file_close(file);
    }
    sim_disk_free(&disk);
}

static void an_open_file_is_read_on_after_its_name_was_removed_moved_or_replaced(void **state)
{
    (void)state;
    static const char *const texts[] = {"removed", "moved", "replaced"};
    struct sim_disk *disk = sim_disk_new(1);
    struct io_disk *io = sim_disk_io(disk);
    struct io_file *files[3];
    for (size_t i = 0; i < 3; i++) {
        put_synced(disk, texts[i], texts[i]);
        files[i] = file_open(disk, texts[i], IO_OPEN_READ);
    }
    put_synced(disk, "other", "other");
    assert_true(err_is_ok(io_disk_remove(io, "removed", NULL)));
    assert_true(err_is_ok(io_disk_rename(io, "moved", "elsewhere", NULL)));
    assert_true(err_is_ok(io_disk_rename(io, "other", "replaced", NULL)));
    put_synced(disk, "removed", "another");
    assert_true(err_is_ok(io_file_sync_all(files[0])));
    for (size_t i = 0; i < 3; i++) {
        char text[16] = "";
        size_t got = 0;
        assert_true(err_is_ok(io_file_read(files[i], text, sizeof(text), 0, &got)));
        assert_int_equal(got, strlen(texts[i]));
        assert_memory_equal(text, texts[i], got);
        file_close(files[i]);
    }
    assert_true(is_text(disk, "removed", "another"));
    assert_true(is_text(disk, "elsewhere", "moved"));
    assert_true(is_text(disk, "replaced", "other"));
    sim_disk_free(&disk);
}

static void a_name_may_be_lost_until_its_directory_is_synced(void **state)
{
    (void)state;
    uint32_t kept = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_disk *disk = sim_disk_new(seed);
        struct io_file *file = file_open(disk, "a", READ_WRITE | IO_OPEN_CREATE);
        file_put(file, "text", 0);
        assert_true(err_is_ok(io_file_sync(file)));
        file_close(file);
        sim_disk_crash(disk);
        assert_true(kind_at(disk, "a") == IO_KIND_NONE || is_text(disk, "a", "text"));
        kept += kind_at(disk, "a") == IO_KIND_FILE;
        sim_disk_free(&disk);
    }
    assert_true(kept > SEEDS / 4 && kept < SEEDS - SEEDS / 4);
}

static void a_file_replaced_the_careful_way_is_the_old_or_the_new_one(void **state)
{
    (void)state;
    uint32_t fresh = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_disk *disk = sim_disk_new(seed);
        put_synced(disk, "a", "old");
        uint64_t changes = seed % 5 + 1;
        sim_disk_die_after(disk, changes);
        err_t err = io_disk_write_file(sim_disk_io(disk), "a", SLICE_LITERAL("fresh"), NULL);
        assert_true(sim_disk_is_dead(disk));
        assert_false(err_is_ok(err));
        sim_disk_crash(disk);
        assert_false(sim_disk_is_dead(disk));
        if (is_text(disk, "a", "fresh"))
            fresh++;
        else if (!is_text(disk, "a", "old"))
            fail_msg("seed %zu", (size_t)seed);
        sim_disk_free(&disk);
    }
    assert_true(fresh > 0 && fresh < SEEDS);
}

struct walk {
    struct io_disk *disk;
    uint32_t files;
    uint32_t directories;
    uint32_t stop_after;
};

static int remove_each(void *context, const char *name, enum io_kind kind)
{
    struct walk *walk = context;
    walk->files += kind == IO_KIND_FILE;
    walk->directories += kind == IO_KIND_DIRECTORY;
    assert_true(err_is_ok(io_disk_remove(walk->disk, name, NULL)));
    return walk->files + walk->directories == walk->stop_after;
}

static void after_the_power_failed_nothing_works_until_it_returns(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(3);
    struct io_disk *io = sim_disk_io(disk);
    put_synced(disk, "a", "text");
    struct io_file *file = file_open(disk, "a", READ_WRITE);
    struct io_file *more = NULL;
    char byte;
    size_t got;
    uint64_t size;
    enum io_kind kind;
    struct io_space space;
    sim_disk_die_after(disk, 1);
    assert_true(err_is(io_file_write(file, "b", 1, 0), ERR_IO));
    assert_int_equal(sim_disk_change_count(disk), 1);
    assert_true(sim_disk_is_dead(disk));
    for (size_t turn = 0; turn < 2; turn++) {
        assert_true(err_is(io_file_read(file, &byte, 1, 0, &got), ERR_IO));
        assert_true(err_is(io_file_write(file, "b", 1, 0), ERR_IO));
        assert_true(err_is(io_file_sync(file), ERR_IO));
        assert_true(err_is(io_file_truncate(file, 0), ERR_IO));
        assert_true(err_is(io_file_size(file, &size), ERR_IO));
        assert_true(err_is(io_file_lock(file), ERR_IO));
        assert_true(err_is(io_file_sync_all(file), ERR_IO));
        if (turn == 0) {
            assert_true(err_is(io_disk_open(io, "a", IO_OPEN_READ, &more, NULL), ERR_IO));
            assert_true(err_is(io_disk_rename(io, "a", "b", NULL), ERR_IO));
            assert_true(err_is(io_disk_remove(io, "a", NULL), ERR_IO));
            assert_true(err_is(io_disk_make_directory(io, "d", NULL), ERR_IO));
            assert_true(err_is(io_disk_sync_directory(io, "/", NULL), ERR_IO));
            assert_true(err_is(io_disk_list(io, "/", remove_each, NULL, NULL), ERR_IO));
            assert_true(err_is(io_disk_kind(io, "a", &kind, NULL), ERR_IO));
            assert_true(err_is(io_disk_space(io, "/", &space, NULL), ERR_IO));
            sim_disk_crash(disk);
            assert_int_equal(kind_at(disk, "a"), IO_KIND_FILE);
        }
    }
    file_close(file);
    sim_disk_free(&disk);
}

static void after_a_failed_sync_nothing_is_known(void **state)
{
    (void)state;
    uint32_t cached_and_lost = 0, evicted = 0, durable = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_disk *disk = sim_disk_new(seed);
        put_synced(disk, "a", "old");
        struct io_file *file = file_open(disk, "a", READ_WRITE);
        file_put(file, "new", 0);
        sim_disk_fail_after(disk, 1, ERR_IO);
        assert_true(err_is(io_file_sync(file), ERR_IO));
        assert_true(err_is_ok(io_file_sync(file)));
        bool cached = is_text(disk, "a", "new");
        assert_true(cached || is_text(disk, "a", "old"));
        sim_disk_crash(disk);
        bool survived = is_text(disk, "a", "new");
        assert_true(survived || is_text(disk, "a", "old"));
        assert_true(cached || !survived);
        durable += survived;
        cached_and_lost += cached && !survived;
        evicted += !cached;
        file_close(file);
        sim_disk_free(&disk);
    }
    assert_true(cached_and_lost > 20 && evicted > 20 && durable > 20);
}

static void the_nth_call_fails_once(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(4);
    struct io_disk *io = sim_disk_io(disk);
    put_synced(disk, "a", "old");
    sim_disk_fail_after(disk, 3, ERR_NO_SPACE);
    struct io_file *file = file_open(disk, "a", READ_WRITE);
    file_put(file, "one", 0);
    struct err_text why = {0};
    assert_true(err_is(io_disk_rename(io, "a", "b", &why), ERR_NO_SPACE));
    assert_non_null(strstr(why.text, "rename a"));
    assert_int_equal(kind_at(disk, "a"), IO_KIND_FILE);
    assert_true(err_is_ok(io_disk_rename(io, "a", "b", &why)));
    assert_int_equal(sim_disk_call_count(disk), 5);
    sim_disk_fail_after(disk, 0, ERR_OK);
    assert_int_equal(sim_disk_call_count(disk), 0);
    file_close(file);
    sim_disk_free(&disk);
}

static void a_write_that_fails_has_written_some_sectors_from_the_front(void **state)
{
    (void)state;
    uint32_t part = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_disk *disk = sim_disk_new(seed);
        struct io_file *file = file_open(disk, "a", READ_WRITE | IO_OPEN_CREATE);
        char data[4000];
        memset(data, 'x', sizeof(data));
        sim_disk_fail_after(disk, 1, ERR_IO);
        assert_true(err_is(io_file_write(file, data, sizeof(data), 0), ERR_IO));
        uint64_t size = 0;
        assert_true(err_is_ok(io_file_size(file, &size)));
        assert_true(size % 512 == 0 && size < sizeof(data));
        part += size > 0;
        file_close(file);
        sim_disk_free(&disk);
    }
    assert_true(part > SEEDS / 2 && part < SEEDS);
}

static void failures_come_at_the_rate_that_was_set(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(5);
    put_synced(disk, "a", "old");
    struct io_file *file = file_open(disk, "a", READ_WRITE);
    sim_disk_set(disk, &(struct sim_disk_options){.read_failures_ppm = 100000,
                                                  .write_failures_ppm = 200000,
                                                  .sync_failures_ppm = 300000});
    uint32_t reads = 0, writes = 0, syncs = 0;
    for (uint32_t i = 0; i < 2000; i++) {
        char byte;
        size_t got;
        reads += !err_is_ok(io_file_read(file, &byte, 1, 0, &got));
        writes += !err_is_ok(io_file_write(file, "x", 1, 0));
        syncs += !err_is_ok(io_file_sync(file));
    }
    assert_true(reads > 140 && reads < 260);
    assert_true(writes > 320 && writes < 480);
    assert_true(syncs > 500 && syncs < 700);
    file_close(file);
    sim_disk_free(&disk);
}

static void a_full_disk_takes_no_more_but_lets_overwrite(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(6);
    sim_disk_set(disk, &(struct sim_disk_options){.capacity_bytes = 8 * IO_BLOCK});
    struct io_file *file = file_open(disk, "a", READ_WRITE | IO_OPEN_CREATE);
    char *data = calloc(1, 10 * IO_BLOCK);
    assert_true(err_is(io_file_write(file, data, 10 * IO_BLOCK, 0), ERR_NO_SPACE));
    uint64_t size = 0;
    assert_true(err_is_ok(io_file_size(file, &size)));
    assert_int_equal(size, 8 * IO_BLOCK);
    struct io_space space;
    assert_true(err_is_ok(io_disk_space(sim_disk_io(disk), "a", &space, NULL)));
    assert_int_equal(space.total_bytes, 8 * IO_BLOCK);
    assert_int_equal(space.free_bytes, 0);
    assert_true(err_is_ok(io_file_write(file, data, 8 * IO_BLOCK, 0)));
    assert_true(err_is_ok(io_file_truncate(file, 6 * IO_BLOCK)));
    assert_true(err_is_ok(io_disk_space(sim_disk_io(disk), "/", &space, NULL)));
    assert_int_equal(space.free_bytes, 2 * IO_BLOCK);
    assert_true(err_is_ok(io_file_sync(file)));
    sim_disk_crash(disk);
    file_close(file);
    assert_true(err_is(io_disk_space(sim_disk_io(disk), "z", &space, NULL), ERR_NO_FILE));
    free(data);
    sim_disk_free(&disk);
}

static void space_comes_back_with_the_last_handle(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(7);
    struct io_disk *io = sim_disk_io(disk);
    sim_disk_set(disk, &(struct sim_disk_options){.capacity_bytes = IO_BLOCK});
    struct io_file *file = file_open(disk, "a", READ_WRITE | IO_OPEN_CREATE);
    struct io_space space;
    file_put(file, "x", 0);
    assert_true(err_is_ok(io_disk_remove(io, "a", NULL)));
    assert_true(err_is(io_disk_remove(io, "a", NULL), ERR_NO_FILE));
    file_put(file, "y", 0);
    assert_true(err_is_ok(io_disk_sync_directory(io, "/", NULL)));
    assert_true(err_is_ok(io_disk_space(io, "/", &space, NULL)));
    assert_int_equal(space.free_bytes, 0);
    file_close(file);
    assert_true(err_is_ok(io_disk_space(io, "/", &space, NULL)));
    assert_int_equal(space.free_bytes, IO_BLOCK);
    sim_disk_free(&disk);
}

static void direct_files_are_refused_where_there_are_none(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(8);
    struct io_file *file = file_open(disk, "a", READ_WRITE | IO_OPEN_CREATE | IO_OPEN_DIRECT);
    static _Alignas(4096) char block[IO_BLOCK];
    size_t got = 0;
    assert_true(err_is_ok(io_file_write(file, block, IO_BLOCK, IO_BLOCK)));
    assert_true(err_is_ok(io_file_read(file, block, IO_BLOCK, 0, &got)));
    assert_int_equal(got, IO_BLOCK);
    file_close(file);
    struct io_file *none = NULL;
    sim_disk_set(disk, &(struct sim_disk_options){.no_direct = true, .network = true});
    assert_true(err_is(io_disk_open(sim_disk_io(disk), "b",
                                    READ_WRITE | IO_OPEN_CREATE | IO_OPEN_DIRECT, &none, NULL),
                       ERR_UNSUPPORTED));
    assert_int_equal(kind_at(disk, "b"), IO_KIND_NONE);
    struct io_space space;
    assert_true(err_is_ok(io_disk_space(sim_disk_io(disk), "/", &space, NULL)));
    assert_true(space.network);
    sim_disk_free(&disk);
}

static void a_lock_keeps_others_out_until_it_is_closed_or_the_power_fails(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(9);
    put_synced(disk, "lock", "");
    struct io_file *a = file_open(disk, "lock", READ_WRITE);
    struct io_file *b = file_open(disk, "lock", READ_WRITE);
    assert_true(err_is_ok(io_file_lock(a)));
    assert_true(err_is_ok(io_file_lock(a)));
    assert_true(err_is(io_file_lock(b), ERR_IN_USE));
    file_close(a);
    assert_true(err_is_ok(io_file_lock(b)));
    sim_disk_crash(disk);
    a = file_open(disk, "lock", READ_WRITE);
    assert_true(err_is_ok(io_file_lock(a)));
    file_close(b);
    b = file_open(disk, "lock", READ_WRITE);
    assert_true(err_is(io_file_lock(b), ERR_IN_USE));
    /* Files left open are freed with the disk. */
    sim_disk_free(&disk);
}

static void one_bit_rots_and_stays_rotten(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(10);
    put_synced(disk, "a", "aaa");
    assert_true(sim_disk_flip(disk, "a", 1, 1));
    assert_true(is_text(disk, "a", "aca"));
    sim_disk_crash(disk);
    assert_true(is_text(disk, "a", "aca"));
    assert_false(sim_disk_flip(disk, "a", 3, 1));
    struct io_file *file = file_open(disk, "a", READ_WRITE);
    assert_true(err_is_ok(io_file_truncate(file, 9000)));
    assert_false(sim_disk_flip(disk, "a", 8000, 1));
    file_close(file);
    sim_disk_free(&disk);
}

static void names_may_be_removed_while_they_are_listed(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(11);
    struct io_disk *io = sim_disk_io(disk);
    put_synced(disk, "a", "");
    put_synced(disk, "b", "");
    put_synced(disk, "c", "");
    assert_true(err_is_ok(io_disk_make_directory(io, "d", NULL)));
    struct walk walk = {.disk = io, .stop_after = 1};
    assert_true(err_is_ok(io_disk_list(io, "/", remove_each, &walk, NULL)));
    assert_int_equal(walk.files + walk.directories, 1);
    walk.stop_after = 0;
    assert_true(err_is_ok(io_disk_list(io, ".", remove_each, &walk, NULL)));
    assert_int_equal(walk.files, 3);
    assert_int_equal(walk.directories, 1);
    assert_true(err_is_ok(io_disk_list(io, ".", remove_each, &walk, NULL)));
    assert_true(err_is(io_disk_list(io, "a", remove_each, &walk, NULL), ERR_NO_FILE));
    sim_disk_free(&disk);
}

/* Everything a disk does, once; false when a call failed. */
static bool use_all(struct sim_disk *disk)
{
    struct io_disk *io = sim_disk_io(disk);
    struct buf content = {0};
    struct walk walk = {.disk = io, .stop_after = 0};
    bool ok = err_is_ok(io_disk_make_path(io, "x/y/z", NULL)) &&
              err_is_ok(io_disk_write_file(io, "x/y/z/f", SLICE_LITERAL("text"), NULL)) &&
              err_is_ok(io_disk_read_file(io, "x/y/z/f", 100, &content, NULL)) &&
              err_is_ok(io_disk_rename(io, "x/y/z/f", "g", NULL)) &&
              err_is_ok(io_disk_remove(io, "x/y/z", NULL)) &&
              err_is_ok(io_disk_remove(io, "x/y", NULL)) &&
              err_is_ok(io_disk_list(io, "x", remove_each, &walk, NULL)) &&
              err_is_ok(io_disk_sync_directory(io, "/", NULL));
    buf_done(&content);
    return ok;
}

static void any_allocation_may_fail(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        struct sim_disk *disk = sim_disk_new(12);
        mem_fail_after(n);
        bool ok = use_all(disk);
        bool failed = mem_alloc_count() >= n;
        mem_fail_after(0);
        assert_int_equal(ok, !failed);
        sim_disk_crash(disk);
        sim_disk_free(&disk);
        if (!failed)
            break;
    }
    mem_fail_after(1);
    assert_null(sim_disk_new(1));
    mem_fail_after(2);
    assert_null(sim_disk_new(1));
    mem_fail_after(0);
}

static void any_call_may_fail(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        struct sim_disk *disk = sim_disk_new(13);
        sim_disk_fail_after(disk, n, ERR_IO);
        bool ok = use_all(disk);
        bool failed = sim_disk_call_count(disk) >= n;
        assert_int_equal(ok, !failed);
        sim_disk_free(&disk);
        if (!failed)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_at_once),
        cmocka_unit_test(flags_say_what_may_be_there),
        cmocka_unit_test(what_is_synced_survives_every_crash),
        cmocka_unit_test(what_is_not_synced_may_be_lost_kept_or_torn),
        cmocka_unit_test(a_sync_of_all_through_a_directory_covers_every_file),
        cmocka_unit_test(a_sync_of_all_fails_and_dies_as_a_sync_does),
        cmocka_unit_test(bytes_next_to_what_was_written_survive_a_crash),
        cmocka_unit_test(a_failed_sync_of_all_is_told_to_each_file_too),
        cmocka_unit_test(an_aim_spares_the_calls_on_other_paths),
        cmocka_unit_test(nothing_changes_while_it_is_cut_off),
        cmocka_unit_test(a_hint_to_write_back_promises_nothing_and_is_no_call),
        cmocka_unit_test(a_directory_is_opened_to_be_read_only_and_has_no_bytes),
        cmocka_unit_test(an_open_file_is_read_on_after_its_name_was_removed_moved_or_replaced),
        cmocka_unit_test(a_name_may_be_lost_until_its_directory_is_synced),
        cmocka_unit_test(a_file_replaced_the_careful_way_is_the_old_or_the_new_one),
        cmocka_unit_test(after_the_power_failed_nothing_works_until_it_returns),
        cmocka_unit_test(after_a_failed_sync_nothing_is_known),
        cmocka_unit_test(the_nth_call_fails_once),
        cmocka_unit_test(a_write_that_fails_has_written_some_sectors_from_the_front),
        cmocka_unit_test(failures_come_at_the_rate_that_was_set),
        cmocka_unit_test(a_full_disk_takes_no_more_but_lets_overwrite),
        cmocka_unit_test(space_comes_back_with_the_last_handle),
        cmocka_unit_test(direct_files_are_refused_where_there_are_none),
        cmocka_unit_test(a_lock_keeps_others_out_until_it_is_closed_or_the_power_fails),
        cmocka_unit_test(one_bit_rots_and_stays_rotten),
        cmocka_unit_test(names_may_be_removed_while_they_are_listed),
        cmocka_unit_test(any_allocation_may_fail),
        cmocka_unit_test(any_call_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
