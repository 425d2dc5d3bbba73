#include "log/backup_int.h"

#include "base/alloc.h"
#include "unit/log/backup.h"

static void write_text(struct world *w, const char *path, const char *text)
{
    char copy[LOG_SEGMENT_PATH_MAX];
    snprintf(copy, sizeof copy, "%s", path);
    assert_code(log_copy_make_parents(sim_disk_io(w->disk), copy, 1, NULL), OK);
    fsck_write(w, path, text, strlen(text), 0);
}

/* A backup of that name that names these shared files. */
static void make_backup(struct world *w, const char *name, const char *const *paths)
{
    char path[LOG_SEGMENT_PATH_MAX];
    struct log_manifest manifest;
    struct buf text = {0};
    log_manifest_init(&manifest);
    manifest.uuid = (struct uuid){{1}};
    manifest.created_ms = 5;
    for (size_t i = 0; paths[i]; i++) {
        struct log_manifest_file file = {.path = slice_string(paths[i]), .begun = 7, .size = 1};
        assert_code(log_manifest_add(&manifest, &file), OK);
        log_backup_file_path("folder", name, &manifest.uuid, &file, path);
        write_text(w, path, "x");
    }
    log_manifest_encode(&manifest, &text);
    buf_add_byte(&text, '\0');
    snprintf(path, sizeof path, "folder/%s/manifest", name);
    write_text(w, path, (const char *)text.data);
    buf_done(&text);
    log_manifest_done(&manifest);
}

#define SHARED "folder/data/01000000-0000-0000-0000-000000000000/"

static void files_lie_with_their_backup_or_with_all(void **state)
{
    (void)state;
    char path[LOG_BACKUP_PATH_MAX];
    struct uuid uuid = {{1}};
    struct log_manifest_file file = {.path = SLICE_LITERAL("wal/1.wal")};
    log_backup_file_path("folder", "20260301T064000Z", &uuid, &file, path);
    assert_string_equal(path, "folder/20260301T064000Z/wal/1.wal");
    file.begun = 7;
    log_backup_file_path("folder", "20260301T064000Z", &uuid, &file, path);
    assert_string_equal(path, SHARED "wal/1.wal.7");
    assert_code(log_backup_check_folder("", NULL), INVALID);
    assert_code(log_backup_check_folder("a", NULL), OK);
}

static void names_are_told_in_order_and_others_passed_over(void **state)
{
    (void)state;
    static const char *const others[] = {"20260301T064000",
                                         "20260301T064000Z.unfinished",
                                         "20260301x064000Z",
                                         "2026030aT064000Z",
                                         "data",
                                         "20260301T064000Zz"};
    static const char *const none[] = {NULL};
    struct world w;
    char(*names)[LOG_BACKUP_NAME_SIZE] = NULL;
    size_t count = 0;
    world_init(&w, 1);
    assert_code(io_disk_make_directory(sim_disk_io(w.disk), "folder", NULL), OK);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        make_backup(&w, others[i], none);
    make_backup(&w, "20260301T064001Z", none);
    make_backup(&w, "20251231T235959Z", none);
    make_backup(&w, "20260301T064000Z", none);
    write_text(&w, "folder/20270301T064000Z", "a file");
    assert_code(log_backup_names(sim_disk_io(w.disk), "folder", &names, &count, NULL), OK);
    assert_int_equal(count, 3);
    assert_string_equal(names[0], "20251231T235959Z");
    assert_string_equal(names[1], "20260301T064000Z");
    assert_string_equal(names[2], "20260301T064001Z");
    mem_free(names);
    assert_code(log_backup_names(sim_disk_io(w.disk), "nowhere", &names, &count, NULL), NO_FILE);
    world_done(&w);
}

static void only_what_was_not_finished_is_cleared(void **state)
{
    (void)state;
    static const char *const none[] = {NULL};
    struct world w;
    world_init(&w, 2);
    make_backup(&w, "20260301T064000Z", none);
    make_backup(&w, "20260301T064001Z.unfinished", none);
    make_backup(&w, "mine.unfinished", none);
    assert_code(log_backup_clear_unfinished(sim_disk_io(w.disk), "folder", NULL), OK);
    assert_int_equal(backup_kind(&w, "folder/20260301T064000Z/manifest"), IO_KIND_FILE);
    assert_int_equal(backup_kind(&w, "folder/20260301T064001Z.unfinished"), IO_KIND_NONE);
    assert_int_equal(backup_kind(&w, "folder/mine.unfinished"), IO_KIND_DIRECTORY);
    world_done(&w);
}

static void shared_files_go_with_the_last_backup_that_names_them(void **state)
{
    (void)state;
    static const char *const first[] = {"topics/a/0/1.log", "topics/a/1/1.log", NULL};
    static const char *const second[] = {"topics/a/0/1.log", "topics/b/0/1.log", NULL};
    struct world w;
    struct io_disk *disk;
    world_init(&w, 3);
    disk = sim_disk_io(w.disk);
    make_backup(&w, "20260301T064000Z", first);
    make_backup(&w, "20260301T064001Z", second);
    write_text(&w, SHARED "topics/a/0/2.log.7", "left over");
    write_text(&w, "folder/data/other/topics/a/0/1.log.7", "left over");
    assert_code(log_backup_clear_unnamed(disk, "folder", NULL), OK);
    assert_int_equal(backup_kind(&w, SHARED "topics/a/0/1.log.7"), IO_KIND_FILE);
    assert_int_equal(backup_kind(&w, SHARED "topics/a/1/1.log.7"), IO_KIND_FILE);
    assert_int_equal(backup_kind(&w, SHARED "topics/b/0/1.log.7"), IO_KIND_FILE);
    assert_int_equal(backup_kind(&w, SHARED "topics/a/0/2.log.7"), IO_KIND_NONE);
    assert_int_equal(backup_kind(&w, "folder/data/other"), IO_KIND_NONE);
    assert_code(log_copy_remove_tree(disk, "folder/20260301T064000Z", NULL), OK);
    assert_code(log_backup_clear_unnamed(disk, "folder", NULL), OK);
    assert_int_equal(backup_kind(&w, SHARED "topics/a/0/1.log.7"), IO_KIND_FILE);
    assert_int_equal(backup_kind(&w, SHARED "topics/a/1"), IO_KIND_NONE);
    assert_int_equal(backup_kind(&w, SHARED "topics/b/0/1.log.7"), IO_KIND_FILE);
    assert_code(log_copy_remove_tree(disk, "folder/20260301T064001Z", NULL), OK);
    assert_code(log_backup_clear_unnamed(disk, "folder", NULL), OK);
    assert_int_equal(backup_kind(&w, SHARED "topics"), IO_KIND_NONE);
    world_done(&w);
}

static void a_backup_that_cannot_be_read_keeps_everything(void **state)
{
    (void)state;
    static const char *const files[] = {"topics/a/0/1.log", NULL};
    struct world w;
    struct err_text why = {0};
    world_init(&w, 4);
    make_backup(&w, "20260301T064000Z", files);
    write_text(&w, SHARED "topics/a/0/2.log.7", "left over, or not");
    fsck_flip(&w, "folder/20260301T064000Z/manifest", 20);
    assert_code(log_backup_clear_unnamed(sim_disk_io(w.disk), "folder", &why), CORRUPT);
    assert_non_null(strstr(why.text, "folder/20260301T064000Z/manifest is damaged"));
    assert_int_equal(backup_kind(&w, SHARED "topics/a/0/2.log.7"), IO_KIND_FILE);
    world_done(&w);
}

struct listed {
    char text[512];
};

static err_t note(void *context, const char *name, const struct log_manifest *manifest,
                  const char *why)
{
    struct listed *listed = context;
    size_t used = strlen(listed->text);
    snprintf(listed->text + used, sizeof listed->text - used, "%s %s %s\n", name,
             manifest ? "whole" : "damaged", why);
    return err_make(used > 100 ? ERR_CANCELLED : ERR_OK);
}

static void all_are_listed_with_what_is_wrong(void **state)
{
    (void)state;
    static const char *const none[] = {NULL};
    struct world w;
    struct listed listed = {""};
    world_init(&w, 5);
    make_backup(&w, "20260301T064000Z", none);
    make_backup(&w, "20260301T064001Z", none);
    fsck_truncate(&w, "folder/20260301T064001Z/manifest", 30);
    assert_code(log_backup_list(sim_disk_io(w.disk), "folder", note, &listed, NULL), OK);
    assert_string_equal(listed.text,
                        "20260301T064000Z whole \n20260301T064001Z damaged "
                        "folder/20260301T064001Z/manifest is damaged: the backup cannot be used\n");
    assert_code(log_backup_list(sim_disk_io(w.disk), "folder", note, &listed, NULL), CANCELLED);
    assert_code(log_backup_list(sim_disk_io(w.disk), "", note, &listed, NULL), INVALID);
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_lie_with_their_backup_or_with_all),
        cmocka_unit_test(names_are_told_in_order_and_others_passed_over),
        cmocka_unit_test(only_what_was_not_finished_is_cleared),
        cmocka_unit_test(shared_files_go_with_the_last_backup_that_names_them),
        cmocka_unit_test(a_backup_that_cannot_be_read_keeps_everything),
        cmocka_unit_test(all_are_listed_with_what_is_wrong),
    };
    return cmocka_run_group_tests_name("log/backup_folder", tests, NULL, NULL);
}
