#include "cli/backup.h"

#include "format/json/json.h"
#include "unit/cli/capture.h"
#include "unit/cli/peer.h"
#include "unit/log/backup.h"

/* A data directory on the simulated disk, and somebody who answers as its server does. */
struct fixture {
    struct world w;
    struct cli cli;
    struct capture seen;
    struct peer peer;
    struct held_pin held;
    char taken[256];
    const char *refusal; /* of the first call, of the last one */
    bool refuses_end;
    bool served;
    char calls[512];
};

static void answer_call(struct peer *peer, struct net_http_request *request, struct slice body)
{
    struct fixture *f = peer->context;
    assert_int_equal(body.size, 0);
    size_t used = strlen(f->calls);
    snprintf(f->calls + used, sizeof f->calls - used, "%s ", peer->target);
    bool taking = strcmp(peer->target, "/v1/backups") == 0;
    bool ending = strstr(f->calls, "log=copied") && !strstr(peer->target, "log=copied");
    if (taking && f->refusal)
        peer_reply(request, 409, slice_string(f->refusal));
    else if (taking)
        peer_reply(request, 200, slice_string(f->taken));
    else if (ending && f->refuses_end)
        peer_reply(request, 404,
                   SLICE_LITERAL("{\"error\":\"unknown_backup\",\"detail\":\"it is gone\"}"));
    else
        peer_reply(request, 200, SLICE_LITERAL("{\"held\":true}\n"));
}

/* A log that runs, and holds what it would hold for the command. */
static void begin(struct fixture *f)
{
    char uuid[UUID_TEXT_SIZE + 1];
    *f = (struct fixture){.peer = {.answer = answer_call}, .served = true};
    f->peer.context = f;
    world_init(&f->w, 1);
    world_begin(&f->w);
    fsck_fill(&f->w, 30);
    assert_code(held_ask(&f->w, &f->held, FLOW_PIN_TAKE), OK);
    uuid_format(&f->held.pin.log_uuid, uuid);
    snprintf(f->taken, sizeof f->taken,
             "{\"id\":\"77\",\"lsn\":%llu,\"uuid\":\"%s\",\"data_dir\":\"data\"}",
             (unsigned long long)f->held.pin.lsn, uuid);
    f->cli = (struct cli){.disk = sim_disk_io(f->w.disk), .env = no_env};
    /* For its address, which it keeps. */
    peer_begin(&f->peer);
    peer_end(&f->peer);
}

static void expect(struct fixture *f, int stream, int code, const char *const *words,
                   const char *part)
{
    if (f->served)
        peer_begin(&f->peer);
    int got = capture_run(&f->seen, stream, cli_backup, &f->cli, words);
    if (f->served)
        peer_end(&f->peer);
    if (got != code || !strstr(f->seen.text, part))
        fail_msg("exit %d, '%s' is not in:\n%s", got, part, f->seen.text);
}

static void it_is_held_copied_and_given_back(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    const char *const words[] = {"backup", "--to", "backups", "--server", f.peer.address, NULL};
    expect(&f, 1, CLI_OK, words, " of it copied\n");
    assert_string_equal(f.calls, "/v1/backups /v1/backups/77?log=copied /v1/backups/77 ");
    const char *const again[] = {"backup",       "--to",   "backups", "--server",
                                 f.peer.address, "--json", NULL};
    expect(&f, 1, CLI_OK, again, "{\"name\":\"");
    struct format_json_value value = {0};
    struct slice document = slice_trim(slice_string(f.seen.text));
    assert_code(format_json_check(document, NULL, 16, NULL, NULL), OK);
    assert_code(format_json_get(document, "copied_bytes", &value), OK);
    world_done(&f.w);
}

static void what_the_server_lost_is_no_backup(void **state)
{
    (void)state;
    static const char *const list[] = {"backup", "list", "--to", "backups", "--json", NULL};
    struct fixture f;
    begin(&f);
    const char *const words[] = {"backup", "--to", "backups", "--server", f.peer.address, NULL};
    f.refuses_end = true;
    expect(&f, 2, CLI_FAILED, words, "no backup was made: ");
    assert_non_null(strstr(f.seen.text, "answered 404: it is gone"));
    expect(&f, 1, CLI_OK, list, "{\"backups\":[]}");
    world_done(&f.w);
}

static void a_refusal_and_strange_answers_are_told(void **state)
{
    (void)state;
    static const char *const answers[] = {"{}",
                                          "[]",
                                          "x",
                                          "{\"id\":\"x\",\"lsn\":1}",
                                          "{\"id\":\"7\",\"data_dir\":\"d\",\"lsn\":0}",
                                          "{\"id\":\"7\",\"lsn\":5,\"uuid\":\"y\"}"};
    struct fixture f;
    begin(&f);
    const char *const words[] = {"backup", "--to", "backups", "--server", f.peer.address, NULL};
    f.refusal = "{\"error\":\"in_use\",\"detail\":\"another one is under way\"}";
    expect(&f, 2, CLI_FAILED, words, "another one is under way");
    f.refusal = NULL;
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        snprintf(f.taken, sizeof f.taken, "%s", answers[i]);
        expect(&f, 2, CLI_UNAVAILABLE, words, "not as the admin door");
    }
    /* Of another machine, or of one that has another directory there. */
    snprintf(f.taken, sizeof f.taken,
             "{\"id\":\"77\",\"lsn\":%llu,\"uuid\":\"0f8fad5b-d9cb-469f-a165-70867728950e\","
             "\"data_dir\":\"data\"}",
             (unsigned long long)f.held.pin.lsn);
    expect(&f, 2, CLI_FAILED, words, "is it on this machine?");
    /* It was given back all the same. */
    assert_non_null(strstr(f.calls, "/v1/backups /v1/backups/77 "));
    world_done(&f.w);
}

static void a_stopped_directory_needs_no_server(void **state)
{
    (void)state;
    static const char *const words[] = {"backup", "--to", "backups", "--data-dir", "data", NULL};
    static const char *const absent[] = {"backup", "--to", "backups", "--data-dir", "none", NULL};
    struct fixture f;
    begin(&f);
    expect(&f, 2, CLI_FAILED, words, "in use by a garner server");
    world_kill(&f.w);
    expect(&f, 1, CLI_OK, words, "backup 2");
    expect(&f, 2, CLI_FAILED, absent, "no backup was made: ");
    assert_string_equal(f.calls, "");
    world_done(&f.w);
}

static void backups_are_a_row_each(void **state)
{
    (void)state;
    static const char *const list[] = {"backup", "list", "--to", "backups", NULL};
    static const char *const json[] = {"backup", "list", "--to", "backups", "--json", NULL};
    struct fixture f;
    struct backup_watch watch = {0};
    char path[128];
    begin(&f);
    world_kill(&f.w);
    for (int i = 0; i < 2; i++) {
        watch.moment = i * 5000;
        backup_make(&f.w, &watch);
    }
    snprintf(path, sizeof path, "backups/%s/manifest", watch.result.name);
    expect(&f, 1, CLI_OK, list, "20260301T064000Z  ");
    assert_non_null(strstr(f.seen.text, "whole\n20260301T064005Z"));
    assert_null(strstr(f.seen.text, "damaged"));
    fsck_flip(&f.w, path, 30);
    expect(&f, 1, CLI_OK, list, "damaged\n");
    expect(&f, 2, CLI_OK, list, "manifest is damaged: the backup cannot be used");
    expect(&f, 1, CLI_OK, json, "\"name\":\"20260301T064000Z\",\"whole\":true,\"uuid\":\"");
    assert_non_null(strstr(f.seen.text, "\"whole\":false,\"error\":\"backups/"));
    struct slice document = slice_trim(slice_string(f.seen.text));
    assert_code(format_json_check(document, NULL, 16, NULL, NULL), OK);
    world_done(&f.w);
}

static void wrong_words_are_usage_and_no_server_is_unavailable(void **state)
{
    (void)state;
    static const char *const nothing[] = {"backup", NULL};
    static const char *const more[] = {"backup", "more", "--to", "x", NULL};
    static const char *const both[] = {"backup",      "--to",       "x", "--server",
                                       "localhost:1", "--data-dir", "d", NULL};
    static const char *const bad[] = {"backup", "--to", "x", "--server", "nowhere", NULL};
    static const char *const absent[] = {"backup", "list", "--to", "nowhere", NULL};
    struct fixture f;
    begin(&f);
    f.served = false;
    const char *const words[] = {"backup", "--to", "backups", "--server", f.peer.address, NULL};
    expect(&f, 2, CLI_USAGE, nothing, "--to is missing");
    expect(&f, 2, CLI_USAGE, more, "expected flags, or list");
    expect(&f, 2, CLI_USAGE, both, "give one");
    expect(&f, 2, CLI_USAGE, bad, "is no address");
    expect(&f, 2, CLI_FAILED, absent, "nowhere");
    expect(&f, 2, CLI_UNAVAILABLE, words, "--data-dir");
    world_done(&f.w);
}

static void errors_have_stable_exit_codes(void **state)
{
    (void)state;
    static const struct {
        enum err_code err;
        enum cli_exit code;
    } rows[] = {
        {ERR_CORRUPT, CLI_FAILED},
        {ERR_CANCELLED, CLI_FAILED},
        {ERR_VERSION, CLI_FAILED},
        {ERR_IN_USE, CLI_FAILED},
        {ERR_NO_FILE, CLI_FAILED},
        {ERR_NOT_FOUND, CLI_FAILED},
        {ERR_INVALID, CLI_FAILED},
        {ERR_EXISTS, CLI_CANNOT_CREATE},
        {ERR_NO_SPACE, CLI_CANNOT_CREATE},
        {ERR_PERMISSION, CLI_CANNOT_CREATE},
        {ERR_IO, CLI_IO},
        {ERR_MEMORY, CLI_IO},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(cli_backup_exit(err_make(rows[i].err)), rows[i].code);
}

static void the_line_is_for_terminals_and_changes_by_the_percent(void **state)
{
    (void)state;
    struct capture seen;
    struct cli_backup_line line = {.shown = true};
    capture_begin(&seen, 2);
    cli_backup_line_show(&line, "backup", 0, 1000);
    cli_backup_line_show(&line, "backup", 1, 1000);
    cli_backup_line_show(&line, "backup", 500, 1000);
    cli_backup_line_clear(&line);
    cli_backup_line_clear(&line);
    line.shown = false;
    cli_backup_line_show(&line, "backup", 700, 1000);
    assert_string_equal(capture_end(&seen), "\r\033[Kbackup: 0 % of 1000 B"
                                            "\r\033[Kbackup: 50 % of 1000 B\r\033[K");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_held_copied_and_given_back),
        cmocka_unit_test(what_the_server_lost_is_no_backup),
        cmocka_unit_test(a_refusal_and_strange_answers_are_told),
        cmocka_unit_test(a_stopped_directory_needs_no_server),
        cmocka_unit_test(backups_are_a_row_each),
        cmocka_unit_test(wrong_words_are_usage_and_no_server_is_unavailable),
        cmocka_unit_test(errors_have_stable_exit_codes),
        cmocka_unit_test(the_line_is_for_terminals_and_changes_by_the_percent),
    };
    return cmocka_run_group_tests_name("cli/backup", tests, NULL, NULL);
}
