#include "cli/restore.h"

#include "format/json/json.h"
#include "unit/cli/capture.h"
#include "unit/log/backup.h"

/* A folder of backups on the simulated disk, and the command run on it. */
struct fixture {
    struct world w;
    struct cli cli;
    struct capture seen;
};

static void begin(struct fixture *f)
{
    struct backup_watch watch = {0};
    fsck_begin(&f->w, 1);
    backup_make(&f->w, &watch);
    f->cli = (struct cli){.disk = sim_disk_io(f->w.disk), .env = no_env};
}

static void expect(struct fixture *f, int stream, int code, const char *const *words,
                   const char *part)
{
    assert_int_equal(capture_run(&f->seen, stream, cli_restore, &f->cli, words), code);
    if (!strstr(f->seen.text, part))
        fail_msg("'%s' is not in:\n%s", part, f->seen.text);
}

static void the_newest_is_restored_and_counted(void **state)
{
    (void)state;
    static const char *const words[] = {"restore", "--from", "backups", "--to", "new", NULL};
    struct fixture f;
    begin(&f);
    expect(&f, 1, CLI_OK, words, "restored backup 20260301T064000Z to new: 192 records");
    assert_non_null(strstr(f.seen.text, "topic flights: 192 records\n"));
    assert_non_null(strstr(f.seen.text, "its uuid is "));
    expect(&f, 2, CLI_CANNOT_CREATE, words, "nothing was restored: new is there already");
    world_done(&f.w);
}

static void two_restored_ones_differ_in_their_uuids(void **state)
{
    (void)state;
    static const char *const first[] = {"restore", "--from", "backups", "--to", "1", NULL};
    static const char *const second[] = {"restore", "--from", "backups", "--to", "2", NULL};
    struct fixture f;
    struct log_meta metas[2];
    begin(&f);
    expect(&f, 1, CLI_OK, first, "restored");
    expect(&f, 1, CLI_OK, second, "restored");
    assert_code(log_meta_read(f.cli.disk, "1", &metas[0], NULL), OK);
    assert_code(log_meta_read(f.cli.disk, "2", &metas[1], NULL), OK);
    assert_false(uuid_equal(&metas[0].uuid, &metas[1].uuid));
    world_done(&f.w);
}

static void the_document_is_json_and_whole(void **state)
{
    (void)state;
    static const char *const words[] = {
        "restore", "--from=backups", "--to=new", "--backup=20260301T064000Z", "--json", NULL};
    struct fixture f;
    struct format_json_value value = {0};
    begin(&f);
    expect(&f, 1, CLI_OK, words, "\"backup\":\"20260301T064000Z\"");
    struct slice document = slice_trim(slice_string(f.seen.text));
    assert_code(format_json_check(document, NULL, 16, NULL, NULL), OK);
    assert_code(format_json_get(document, "records", &value), OK);
    assert_slice(value.raw, "192");
    assert_code(format_json_get(document, "topics", &value), OK);
    assert_non_null(strstr(f.seen.text, "\"flights\":{\"records\":192,\"balanced\":true}"));
    assert_non_null(strstr(f.seen.text, "\"created\":\"2026-03-01T06:40:00"));
    world_done(&f.w);
}

static void what_cannot_be_done_has_its_exit_code(void **state)
{
    (void)state;
    static const char *const nothing[] = {"restore", NULL};
    static const char *const half[] = {"restore", "--from", "backups", NULL};
    static const char *const more[] = {"restore", "more", NULL};
    static const char *const absent[] = {"restore", "--from", "nowhere", "--to", "new", NULL};
    static const char *const unknown[] = {"restore", "--from",   "backups", "--to",
                                          "new",     "--backup", "x",       NULL};
    static const char *const good[] = {"restore", "--from", "backups", "--to", "new", NULL};
    struct fixture f;
    begin(&f);
    expect(&f, 2, CLI_USAGE, nothing, "are both needed");
    expect(&f, 2, CLI_USAGE, half, "are both needed");
    expect(&f, 2, CLI_USAGE, more, "expected flags only");
    expect(&f, 2, CLI_FAILED, absent, "nothing was restored");
    expect(&f, 2, CLI_FAILED, unknown, "has no backup x");
    fsck_flip(&f.w, "backups/20260301T064000Z/manifest", 30);
    expect(&f, 2, CLI_FAILED, good, "manifest is damaged");
    world_done(&f.w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_is_restored_and_counted),
        cmocka_unit_test(two_restored_ones_differ_in_their_uuids),
        cmocka_unit_test(the_document_is_json_and_whole),
        cmocka_unit_test(what_cannot_be_done_has_its_exit_code),
    };
    return cmocka_run_group_tests_name("cli/restore", tests, NULL, NULL);
}
