#include "cli/fsck.h"

#include "format/json/json.h"
#include "unit/cli/capture.h"
#include "unit/log/fsck.h"

/* A harmed directory on the simulated disk, and the command run on it. */
struct fixture {
    struct world w;
    struct cli cli;
    struct capture seen;
};

static void begin(struct fixture *f, bool harmed)
{
    char path[LOG_SEGMENT_PATH_MAX];
    fsck_begin(&f->w, 1);
    f->cli = (struct cli){.disk = sim_disk_io(f->w.disk), .env = no_env};
    fsck_segment_path(&f->w, 0, LOG_SEGMENT_LOG, path);
    if (harmed)
        fsck_flip(&f->w, path, 400000);
}

static void expect(struct fixture *f, int stream, int code, const char *flag, const char *value,
                   const char *part)
{
    const char *words[] = {"fsck", "data", flag, value, NULL};
    assert_int_equal(capture_run(&f->seen, stream, cli_fsck, &f->cli, words), code);
    if (!strstr(f->seen.text, part))
        fail_msg("'%s' is not in:\n%s", part, f->seen.text);
}

static void the_exit_code_is_the_verdict(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, false);
    expect(&f, 1, CLI_FSCK_CLEAN, NULL, NULL, "nothing is wrong");
    world_done(&f.w);
    begin(&f, true);
    expect(&f, 1, CLI_FSCK_LEFT, NULL, NULL, "--repair keeps all that is whole");
    expect(&f, 1, CLI_FSCK_CORRECTED, "--repair", NULL, "repaired: 2 errors, 4 records are lost");
    expect(&f, 1, CLI_FSCK_CLEAN, NULL, NULL, "4 written off as damaged");
    world_done(&f.w);
}

static void bytes_and_offsets_are_named_for_people(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, true);
    expect(&f, 1, CLI_FSCK_LEFT, NULL, NULL, "/0/00000000000000000000.log: bytes ");
    assert_non_null(strstr(f.seen.text, "of topic flights partition 0 are lost (4 records)"));
    expect(&f, 1, CLI_FSCK_CORRECTED, "--repair", NULL, "repair: copying topics/flights-");
    world_done(&f.w);
}

static void the_document_is_json_and_whole(void **state)
{
    (void)state;
    struct fixture f;
    struct format_json_value value = {0};
    begin(&f, true);
    expect(&f, 1, CLI_FSCK_LEFT, "--json", NULL, "\"code\":\"segment_damaged\"");
    struct slice document = slice_trim(slice_string(f.seen.text));
    assert_code(format_json_check(document, NULL, 16, NULL, NULL), OK);
    assert_code(format_json_get(document, "lost_records", &value), OK);
    assert_slice(value.raw, "4");
    assert_code(format_json_get(document, "errors", &value), OK);
    assert_code(format_json_get(document, "topics", &value), OK);
    world_done(&f.w);
}

static void what_can_be_read_is_exported(void **state)
{
    (void)state;
    struct fixture f;
    enum io_kind kind;
    begin(&f, true);
    expect(&f, 1, CLI_FSCK_LEFT, "--export", "rescued", "records were written to 2 files");
    assert_code(io_disk_kind(f.cli.disk, "rescued/flights-0.jsonl", &kind, NULL), OK);
    assert_int_equal(kind, IO_KIND_FILE);
    expect(&f, 2, CLI_FSCK_FAILED, "--export", "rescued", "not empty");
    world_done(&f.w);
}

static void what_cannot_be_done_is_said(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, false);
    expect(&f, 2, CLI_USAGE, "more", NULL, "expected one data directory");
    expect(&f, 2, CLI_USAGE, "--repair", "--export=x", "two steps");
    world_open(&f.w);
    expect(&f, 2, CLI_FSCK_FAILED, NULL, NULL, "stop it first");
    world_done(&f.w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_exit_code_is_the_verdict),
        cmocka_unit_test(bytes_and_offsets_are_named_for_people),
        cmocka_unit_test(the_document_is_json_and_whole),
        cmocka_unit_test(what_can_be_read_is_exported),
        cmocka_unit_test(what_cannot_be_done_is_said),
    };
    return cmocka_run_group_tests_name("cli/fsck", tests, NULL, NULL);
}
