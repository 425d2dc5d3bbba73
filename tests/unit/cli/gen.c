#include "cli/gen.h"

#include <signal.h>

#include "unit/cli/capture.h"
#include "unit/cli/peer.h"

/*
 * The whole command against a server in this process that writes each request it takes to a file
 * of its own, as a sink would, and misbehaves as a test asks it to.
 */

#define FILES_MAX 1000

struct fixture {
    struct peer peer;
    struct cli cli;
    struct capture seen;
    char directory[64];
    struct net_http_request *held;
    unsigned files;
    unsigned forget_at; /* the request whose file is not written; 1 is the first, 0 none */
    unsigned twice_at;  /* whose file is written twice */
    unsigned hold_at;   /* whose answer comes too late */
    unsigned signal_at; /* with which this process gets SIGINT */
    unsigned later_every;
    unsigned signal_at_victims; /* the same once so many were started */
    bool awaits_victim;         /* no answer before a victim has written its number */
    int status;                 /* of all answers, when not 0 */
};

static void path_of(const struct fixture *f, const char *name, char out[static 128])
{
    snprintf(out, 128, "%s/%s", f->directory, name);
}

static void write_file(struct fixture *f, struct slice body)
{
    char path[128];
    char name[32];
    struct err_text why = {0};
    assert_true(f->files < FILES_MAX);
    snprintf(name, sizeof(name), "%u.ndjson", f->files++);
    path_of(f, name, path);
    assert_true(err_is_ok(io_disk_write_file(io_uv_disk(), path, body, &why)));
}

static void accept_records(struct net_http_request *request, struct slice body)
{
    char text[64];
    unsigned count = 0;
    for (size_t i = 0; i < body.size; i++)
        count += body.data[i] == '\n';
    snprintf(text, sizeof(text), "{\"accepted\":%u}", count);
    peer_reply(request, 200, slice_string(text));
}

/* Lines that victims have written, each its number. */
static unsigned victims_started(const struct fixture *f)
{
    char path[128];
    unsigned count = 0;
    path_of(f, "pids", path);
    FILE *file = fopen(path, "r");
    for (int c; file && (c = fgetc(file)) != EOF;)
        count += c == '\n';
    if (file)
        fclose(file);
    return count;
}

static void await_victim(const struct fixture *f)
{
    time_t until = time(NULL) + 60;
    while (victims_started(f) == 0 && time(NULL) < until)
        ;
}

static void answer(struct peer *peer, struct net_http_request *request, struct slice body)
{
    struct fixture *f = peer->context;
    unsigned n = peer->requests;
    if (f->held)
        peer_reply(f->held, 500, SLICE_LITERAL(""));
    f->held = NULL;
    if (f->awaits_victim)
        await_victim(f);
    /* A few requests more, in which a kill too many would show. */
    if (f->signal_at_victims > 0 && victims_started(f) >= f->signal_at_victims) {
        f->signal_at_victims = 0;
        f->signal_at = n + 20;
    }
    if (n == f->signal_at)
        kill(getpid(), SIGINT);
    if (f->status != 0) {
        peer_reply(request, f->status, SLICE_LITERAL("{\"error\":\"no\"}"));
        return;
    }
    if (f->later_every > 0 && n % f->later_every == 0) {
        net_http_reply_error(request, 503, "busy", "Retry-After: 0\r\n", "later");
        return;
    }
    if (n != f->forget_at)
        write_file(f, body);
    if (n == f->twice_at)
        write_file(f, body);
    if (n == f->hold_at)
        f->held = request;
    else
        accept_records(request, body);
}

static struct fixture *begin(void)
{
    struct fixture *f = calloc(1, sizeof(*f));
    snprintf(f->directory, sizeof(f->directory), "/tmp/garner-gen-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    f->cli = capture_cli();
    f->peer.answer = answer;
    f->peer.context = f;
    peer_begin(&f->peer);
    return f;
}

static void end(struct fixture *f)
{
    char path[128];
    char name[32];
    if (f->peer.loop)
        peer_end(&f->peer);
    for (unsigned i = 0; i < f->files; i++) {
        snprintf(name, sizeof(name), "%u.ndjson", i);
        path_of(f, name, path);
        unlink(path);
    }
    static const char *const others[] = {"acks", "pids"};
    for (size_t i = 0; i < 2; i++) {
        path_of(f, others[i], path);
        unlink(path);
    }
    assert_int_equal(rmdir(f->directory), 0);
    free(f);
}

/* Runs the command with flags that are cut at spaces; "$D" alone is the test's directory, and what
 * goes to `stream` is kept. Its exit code. */
static int gen(struct fixture *f, int stream, const char *flags)
{
    char text[512];
    const char *words[32] = {"gen", "--server", f->peer.address};
    int count = 3;
    snprintf(text, sizeof(text), "%s", flags);
    for (char *rest = text, *word; (word = strtok_r(rest, " ", &rest));) {
        assert_true(count < 31);
        words[count++] = strcmp(word, "$D") == 0 ? f->directory : word;
    }
    return capture_run(&f->seen, stream, cli_gen, &f->cli, words);
}

static void has(const struct fixture *f, const char *part)
{
    if (!strstr(f->seen.text, part))
        fail_msg("\"%s\" is not in \"%s\"", part, f->seen.text);
}

static void flags_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    static const char *const wrong[][2] = {
        {"--topic a/b", "--topic: 'a/b' is no topic's name"},
        {"--topic a?b", "--topic: 'a?b' is no topic's name"},
        {"--topic \xc3\xa9", "is no topic's name"},
        {"--broken many", "--broken: expected a share such as 0.1%"},
        {"--broken 11 --count 10", "--broken: expected a share"},
        {"--broken 5 --seconds 1", "--broken: expected a share"},
        {"--duplicates 51%", "--duplicates: expected a share such as 1%, up to 50%, got '51%'"},
        {"--duplicates 5", "--duplicates: expected a share"},
        {"--kills 3 --count 10", "kills need --restart-cmd"},
        {"--kill-every 1s", "kills need --restart-cmd"},
        {"--kills 3 --seconds 1 --restart-cmd true", "--kills needs --kill-every or --count"},
        {"--numbered --retry=false", "--numbered goes with neither --retry=false nor --duplicates"},
        {"--numbered --duplicates 1%", "--numbered goes with neither"},
        {"--size 79", "--size: expected"},
        {"--batch 0", "--batch: expected"},
        {"--connections 0", "--connections: expected"},
        {"--tls", "--tls, --cacert and --user need --kafka"},
        {"--cacert ca.pem", "need --kafka"},
        {"--user mia", "need --kafka"},
        {"--kafka --sasl PLAIN", "go with --user"},
        {"--kafka --user mia", "GARNER_PASSWORD"},
        {"--kafka --cacert /nonexistent", "--cacert: /nonexistent"},
        {"--server nowhere", "'nowhere' (--server) is no address"},
    };
    struct fixture *f = begin();
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(gen(f, 2, wrong[i][0]), CLI_USAGE);
        has(f, wrong[i][1]);
    }
    peer_end(&f->peer);
    assert_int_equal(f->peer.requests, 0);
    end(f);
}

static void records_are_sent_and_reported(void **state)
{
    (void)state;
    struct fixture *f = begin();
    assert_int_equal(gen(f, 1, "--count 1050 --batch 100 --connections 3 --topic shop.x"), CLI_OK);
    has(f, "records     1,050 sent, 1,050 accepted\n");
    has(f, "verdict     good\n");
    peer_end(&f->peer);
    assert_int_equal(f->peer.requests, 11);
    assert_string_equal(f->peer.target, "/v1/topics/shop.x/records");
    end(f);
}

static void a_report_can_be_json(void **state)
{
    (void)state;
    struct fixture *f = begin();
    assert_int_equal(gen(f, 1, "--count 10 --batch 1 --json --seed 5"), CLI_OK);
    assert_ptr_equal(strstr(f->seen.text, "{\"good\":true,\"run\":\""), f->seen.text);
    has(f, "\"sent\":10,\"accepted\":10,");
    has(f, "\"requests\":10,");
    end(f);
}

/* The first file and the list of outcomes of a run. */
static void run_of_seed(struct fixture *f, const char *flags, struct buf *file, struct buf *acks)
{
    char path[128];
    char all[256];
    struct err_text why = {0};
    unsigned first = f->files;
    path_of(f, "acks", path);
    snprintf(all, sizeof(all), "--count 3 --batch 3 --acks %s %s", path, flags);
    assert_int_equal(gen(f, 1, all), CLI_OK);
    assert_true(err_is_ok(io_disk_read_file(io_uv_disk(), path, 10000, acks, &why)));
    char name[32];
    snprintf(name, sizeof(name), "%u.ndjson", first);
    path_of(f, name, path);
    assert_true(err_is_ok(io_disk_read_file(io_uv_disk(), path, 10000, file, &why)));
}

static void the_seed_decides_ids_and_none_makes_new_ones(void **state)
{
    (void)state;
    static const char *const flags[] = {"--seed 7", "--seed 7", "--seed 8", "", ""};
    struct fixture *f = begin();
    struct buf files[5] = {0};
    struct buf acks[5] = {0};
    for (int i = 0; i < 5; i++)
        run_of_seed(f, flags[i], &files[i], &acks[i]);
    assert_true(slice_equal(buf_slice(&acks[0]), buf_slice(&acks[1])));
    for (int i = 2; i < 5; i++)
        assert_false(slice_equal(buf_slice(&acks[i - 1]), buf_slice(&acks[i])));
    struct slice rest = buf_slice(&acks[0]);
    for (unsigned i = 0; i < 3; i++) {
        struct slice line = slice_split(&rest, '\n');
        struct slice id = slice_split(&line, '\t');
        char start[64];
        snprintf(start, sizeof(start), "{\"id\":\"%.*s\"", SLICE_PRINTF(id));
        struct slice record = slice_sub(buf_slice(&files[0]), i * 501, 500);
        assert_true(slice_starts_with(record, slice_string(start)));
        assert_slice(line, "acknowledged\t1\t0");
    }
    for (int i = 0; i < 5; i++) {
        buf_done(&files[i]);
        buf_done(&acks[i]);
    }
    end(f);
}

static void a_list_that_cannot_be_written_ends_with_73(void **state)
{
    (void)state;
    struct fixture *f = begin();
    assert_int_equal(gen(f, 2, "--count 1 --acks /no/such/directory/acks"), CLI_CANNOT_CREATE);
    has(f, "/no/such/directory/acks");
    end(f);
}

static void files_that_hold_everything_are_good(void **state)
{
    (void)state;
    struct fixture *f = begin();
    f->later_every = 3;
    assert_int_equal(gen(f, 1, "--count 500 --batch 20 --connections 4 --verify $D"), CLI_OK);
    has(f, "files       500 records in 25 files below /tmp/garner-gen-");
    has(f, "missing     0\nrepeated    0\nunexplained 0\nverdict     good\n");
    has(f, "status 503 ");
    end(f);
}

static void a_record_that_is_in_no_file_ends_with_1(void **state)
{
    (void)state;
    struct fixture *f = begin();
    f->forget_at = 2;
    assert_int_equal(gen(f, 1, "--count 60 --batch 20 --connections 1 --verify $D --verify-wait 0"),
                     CLI_FAILED);
    has(f, "missing     20, the first is ");
    has(f, "-000000000020\n");
    has(f, "verdict     NOT good\n");
    end(f);
}

static void a_record_that_nothing_explains_twice_ends_with_1(void **state)
{
    (void)state;
    struct fixture *f = begin();
    f->twice_at = 3;
    assert_int_equal(gen(f, 1, "--count 60 --batch 20 --connections 1 --verify $D"), CLI_FAILED);
    has(f, "missing     0\nrepeated    20\nunexplained 20, the first is ");
    has(f, "-000000000040\n");
    end(f);
}

static void a_record_whose_answer_was_lost_may_be_there_twice(void **state)
{
    (void)state;
    struct fixture *f = begin();
    f->hold_at = 2;
    assert_int_equal(gen(f, 1, "--count 60 --batch 20 --connections 1 --verify $D --timeout 20ms"),
                     CLI_OK);
    has(f, "retries     1 requests sent again; 1 answers lost, 1 of them waited for too long\n");
    has(f, "repeated    20, sent again since an answer was lost or on purpose: 20\n");
    has(f, "unexplained 0\nverdict     good\n");
    end(f);
}

static void a_refusal_is_told_as_the_server_said_it(void **state)
{
    (void)state;
    struct fixture *f = begin();
    f->status = 404;
    assert_int_equal(gen(f, 2, "--count 10"), CLI_FAILED);
    has(f, " answered 404: {\"error\":\"no\"}\n");
    end(f);
}

static void no_server_ends_with_69(void **state)
{
    (void)state;
    struct fixture *f = begin();
    peer_end(&f->peer);
    assert_int_equal(gen(f, 2, "--count 10 --connections 2"), CLI_UNAVAILABLE);
    has(f, "no server at 127.0.0.1:");
    has(f, "(the connection was refused); start one with `garner serve`");
    assert_int_equal(gen(f, 1, "--count 10"), CLI_UNAVAILABLE);
    assert_string_equal(f->seen.text, "");
    end(f);
}

static void an_interrupt_ends_sending_and_what_was_sent_is_reported(void **state)
{
    (void)state;
    struct fixture *f = begin();
    f->signal_at = 3;
    assert_int_equal(gen(f, 1, "--seconds 1000 --batch 1 --rate 500 --connections 1 --json"),
                     CLI_OK);
    has(f, "{\"good\":true,");
    peer_end(&f->peer);
    assert_true(f->peer.requests >= 3);
    end(f);
}

static void a_time_ends_sending_too(void **state)
{
    (void)state;
    struct fixture *f = begin();
    assert_int_equal(gen(f, 1, "--seconds 1 --batch 5 --rate 50 --connections 1"), CLI_OK);
    has(f, "verdict     good\n");
    end(f);
}

/* Runs with a shell command as the server; what it is started for is written by itself. */
static int torture(struct fixture *f, int stream, const char *command, const char *flags)
{
    char script[256];
    char text[256];
    const char *words[32] = {"gen", "--server", f->peer.address, "--restart-cmd", script};
    int count = 5;
    snprintf(script, sizeof(script), "echo $$ >>%s/pids; %s", f->directory, command);
    snprintf(text, sizeof(text), "%s", flags);
    for (char *rest = text, *word; (word = strtok_r(rest, " ", &rest));)
        words[count++] = word;
    return capture_run(&f->seen, stream, cli_gen, &f->cli, words);
}

/* How many processes were started; none of them is left. */
static unsigned victims(struct fixture *f)
{
    char path[128];
    struct buf text = {0};
    struct err_text why = {0};
    unsigned count = 0;
    path_of(f, "pids", path);
    assert_true(err_is_ok(io_disk_read_file(io_uv_disk(), path, 10000, &text, &why)));
    struct slice rest = buf_slice(&text);
    while (rest.size > 0) {
        char line[32];
        struct slice pid = slice_split(&rest, '\n');
        snprintf(line, sizeof(line), "%.*s", SLICE_PRINTF(pid));
        assert_int_not_equal(kill((pid_t)strtol(line, NULL, 10), 0), 0);
        count++;
    }
    buf_done(&text);
    return count;
}

static void what_was_started_is_killed_again_and_again_and_stopped_at_the_end(void **state)
{
    (void)state;
    struct fixture *f = begin();
    f->signal_at_victims = 3;
    assert_int_equal(torture(f, 1, "exec sleep 1000",
                             "--seconds 1000 --batch 1 --rate 200 --connections 1 "
                             "--kill-every 20ms --json"),
                     CLI_OK);
    has(f, "{\"good\":true,");
    has(f, "\"kills\":");
    has(f, "\"slowest_return_ms\":");
    assert_null(strstr(f->seen.text, "\"kills\":0"));
    assert_null(strstr(f->seen.text, "\"kills\":1,"));
    assert_true(victims(f) >= 3);
    end(f);
}

static void kills_stop_at_their_number(void **state)
{
    (void)state;
    struct fixture *f = begin();
    f->awaits_victim = true;
    f->signal_at_victims = 2;
    assert_int_equal(torture(f, 1, "exec sleep 1000",
                             "--seconds 1000 --batch 1 --rate 200 --connections 1 "
                             "--kill-every 1ms --kills 1 --json"),
                     CLI_OK);
    has(f, "\"kills\":1,");
    assert_int_equal(victims(f), 2);
    end(f);
}

static void a_server_that_ends_by_itself_ends_the_run(void **state)
{
    (void)state;
    struct fixture *f = begin();
    assert_int_equal(torture(f, 2, "exit 3", "--seconds 1000 --batch 1 --rate 10"), CLI_FAILED);
    has(f, "the server that --restart-cmd started ended by itself, with exit code 3\n");
    assert_int_equal(victims(f), 1);
    end(f);
}

static void a_server_that_was_started_does_not_outlive_a_failure(void **state)
{
    (void)state;
    struct fixture *f = begin();
    f->status = 400;
    f->awaits_victim = true;
    assert_int_equal(torture(f, 2, "exec sleep 1000", "--count 10"), CLI_FAILED);
    has(f, " answered 400: ");
    assert_int_equal(victims(f), 1);
    end(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flags_that_make_no_sense_are_refused),
        cmocka_unit_test(records_are_sent_and_reported),
        cmocka_unit_test(a_report_can_be_json),
        cmocka_unit_test(the_seed_decides_ids_and_none_makes_new_ones),
        cmocka_unit_test(a_list_that_cannot_be_written_ends_with_73),
        cmocka_unit_test(files_that_hold_everything_are_good),
        cmocka_unit_test(a_record_that_is_in_no_file_ends_with_1),
        cmocka_unit_test(a_record_that_nothing_explains_twice_ends_with_1),
        cmocka_unit_test(a_record_whose_answer_was_lost_may_be_there_twice),
        cmocka_unit_test(a_refusal_is_told_as_the_server_said_it),
        cmocka_unit_test(no_server_ends_with_69),
        cmocka_unit_test(an_interrupt_ends_sending_and_what_was_sent_is_reported),
        cmocka_unit_test(a_time_ends_sending_too),
        cmocka_unit_test(what_was_started_is_killed_again_and_again_and_stopped_at_the_end),
        cmocka_unit_test(kills_stop_at_their_number),
        cmocka_unit_test(a_server_that_ends_by_itself_ends_the_run),
        cmocka_unit_test(a_server_that_was_started_does_not_outlive_a_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
