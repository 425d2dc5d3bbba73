#include "cli/verify.h"

#include "base/alloc.h"
#include "lib/unit.h"
#include "sim/disk.h"

#define COUNT 200
#define RUN "00000abc-"
#define assert_ok(expression) assert_string_equal(err_name(expression), "OK")

/* Acknowledgements of COUNT records and a directory that a test fills by hand. */
struct fixture {
    struct sim_disk *sim;
    struct io_disk *disk;
    struct cli_events events;
    struct cli_acks acks;
    struct cli_verify verify;
    struct err_text why;
};

static void begin(struct fixture *f)
{
    const struct cli_events_options options = {
        .run = 0xabc, .size = 100, .batch = 1, .broken = {0, 1}};
    *f = (struct fixture){.sim = sim_disk_new(1)};
    f->disk = sim_disk_io(f->sim);
    assert_ok(cli_events_init(&f->events, &options));
    cli_acks_init(&f->acks, &f->events);
    assert_ok(cli_acks_reserve(&f->acks, COUNT));
    assert_ok(cli_verify_init(&f->verify, f->disk, "/out", &f->acks));
}

static void end(struct fixture *f)
{
    cli_verify_done(&f->verify);
    cli_acks_done(&f->acks);
    cli_events_done(&f->events);
    sim_disk_free(&f->sim);
}

static int set_up(void **state)
{
    begin(*state = calloc(1, sizeof(struct fixture)));
    return 0;
}

static int tear_down(void **state)
{
    end(*state);
    free(*state);
    return 0;
}

/* Records from `first` on were acknowledged, so many times. */
static void acknowledge(struct fixture *f, uint64_t first, uint32_t count, uint32_t times)
{
    struct cli_request request = {.first = first, .fresh = count};
    struct cli_answer answer = {.accepted = count};
    for (uint32_t i = 0; i < times; i++)
        assert_true(cli_acks_answered(&f->acks, &request, &answer));
}

static void lose(struct fixture *f, uint64_t first, uint32_t count)
{
    cli_acks_unanswered(&f->acks, &(struct cli_request){.first = first, .fresh = count});
}

static void put(struct fixture *f, const char *path, struct slice content)
{
    char parent[256];
    snprintf(parent, sizeof(parent), "%s", path);
    *strrchr(parent, '/') = '\0';
    if (parent[0])
        assert_ok(io_disk_make_path(f->disk, parent, &f->why));
    assert_ok(io_disk_write_file(f->disk, path, content, &f->why));
}

static void add_records(struct buf *out, uint64_t first, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        buf_add_format(out, "{\"id\":\"" RUN "%012llu\",\"note\":\"x\"}\n",
                       (unsigned long long)(first + i));
}

static void put_records(struct fixture *f, const char *path, uint64_t first, uint32_t count)
{
    struct buf text = {0};
    add_records(&text, first, count);
    put(f, path, buf_slice(&text));
    buf_done(&text);
}

static uint64_t scan(struct fixture *f)
{
    uint64_t added = 77;
    assert_ok(cli_verify_scan(&f->verify, &added, &f->why));
    return added;
}

static struct cli_verify_result judge(struct fixture *f)
{
    struct cli_verify_result result;
    cli_verify_judge(&f->verify, &result);
    return result;
}

static void expect(struct fixture *f, uint64_t missing, uint64_t repeated, uint64_t explained,
                   uint64_t unexplained)
{
    struct cli_verify_result got = judge(f);
    assert_int_equal(got.missing, missing);
    assert_int_equal(got.repeated, repeated);
    assert_int_equal(got.explained, explained);
    assert_int_equal(got.unexplained, unexplained);
}

static void files_with_what_was_acknowledged_are_right(void **state)
{
    struct fixture *f = *state;
    acknowledge(f, 0, COUNT, 1);
    put_records(f, "/out/a/events-0-0-99.ndjson", 0, 100);
    put_records(f, "/out/events-1-0-99.ndjson", 100, 100);
    assert_int_equal(scan(f), 2);
    expect(f, 0, 0, 0, 0);
    assert_int_equal(f->verify.records, COUNT);
    assert_int_equal(f->verify.foreign, 0);
    assert_string_equal(judge(f).missing_id, "");
    assert_string_equal(judge(f).unexplained_id, "");
}

static void a_record_that_is_not_there_is_missing_and_named(void **state)
{
    struct fixture *f = *state;
    acknowledge(f, 0, COUNT, 1);
    put_records(f, "/out/1.ndjson", 0, 57);
    put_records(f, "/out/2.ndjson", 58, 100);
    assert_int_equal(scan(f), 2);
    expect(f, 43, 0, 0, 0);
    assert_string_equal(judge(f).missing_id, RUN "000000000057");
}

static void a_directory_that_is_not_there_holds_nothing(void **state)
{
    struct fixture *f = *state;
    acknowledge(f, 3, 2, 1);
    assert_int_equal(scan(f), 0);
    expect(f, 2, 0, 0, 0);
    assert_string_equal(judge(f).missing_id, RUN "000000000003");
    /* Nor does a file in its place. */
    put(f, "/out", SLICE_LITERAL(RUN "000000000003 " RUN "000000000004"));
    assert_int_equal(scan(f), 0);
    expect(f, 2, 0, 0, 0);
}

static void a_repeat_without_a_lost_answer_is_unexplained_and_named(void **state)
{
    struct fixture *f = *state;
    acknowledge(f, 0, 10, 1);
    put_records(f, "/out/1.ndjson", 0, 10);
    put_records(f, "/out/2.ndjson", 4, 3);
    scan(f);
    expect(f, 0, 3, 0, 3);
    assert_string_equal(judge(f).unexplained_id, RUN "000000000004");
}

static void a_lost_answer_explains_one_more_copy(void **state)
{
    struct fixture *f = *state;
    lose(f, 0, 10);
    acknowledge(f, 0, 10, 1);
    put_records(f, "/out/1.ndjson", 0, 10);
    put_records(f, "/out/2.ndjson", 0, 10);
    scan(f);
    expect(f, 0, 10, 10, 0);
    put_records(f, "/out/3.ndjson", 9, 1);
    scan(f);
    expect(f, 0, 10, 9, 1);
}

static void what_was_never_answered_may_be_there_or_not(void **state)
{
    struct fixture *f = *state;
    lose(f, 0, 10);
    put_records(f, "/out/1.ndjson", 0, 5);
    scan(f);
    expect(f, 0, 0, 0, 0);
}

static void records_sent_twice_on_purpose_must_be_there_twice(void **state)
{
    struct fixture *f = *state;
    acknowledge(f, 0, 10, 2);
    put_records(f, "/out/1.ndjson", 0, 10);
    scan(f);
    expect(f, 10, 0, 0, 0);
    put_records(f, "/out/2.ndjson", 0, 9);
    scan(f);
    expect(f, 1, 9, 9, 0);
}

static void copies_that_nobody_counted_are_not_called_unexplained(void **state)
{
    struct fixture *f = *state;
    acknowledge(f, 0, 1, 3);
    for (int i = 0; i < 300; i++) {
        char path[64];
        snprintf(path, sizeof(path), "/out/%d.ndjson", i);
        put_records(f, path, 0, 2);
    }
    assert_int_equal(scan(f), 300);
    /* The first was acknowledged three times or more often; the second never. */
    expect(f, 0, 2, 1, 1);
    assert_string_equal(judge(f).unexplained_id, RUN "000000000001");
    assert_int_equal(f->verify.records, 600);
}

static void a_dead_letter_that_was_delivered_is_unexplained(void **state)
{
    struct fixture *f = *state;
    struct cli_request request = {.first = 5, .fresh = 1};
    struct cli_answer answer = {.dead_lettered = 1, .errors = SLICE_LITERAL("[{\"index\":0}]")};
    assert_true(cli_acks_answered(&f->acks, &request, &answer));
    expect(f, 0, 0, 0, 0);
    put_records(f, "/out/1.ndjson", 5, 1);
    scan(f);
    expect(f, 0, 0, 0, 1);
}

static void ids_that_were_never_sent_and_other_runs_are_told_apart(void **state)
{
    struct fixture *f = *state;
    acknowledge(f, 0, 1, 1);
    put_records(f, "/out/1.ndjson", 0, 1);
    put_records(f, "/out/2.ndjson", COUNT, 3);
    put(f, "/out/3.ndjson", SLICE_LITERAL("{\"id\":\"00000abd-000000000000\"}\n"));
    assert_int_equal(scan(f), 3);
    assert_int_equal(f->verify.foreign, 3);
    assert_int_equal(f->verify.records, 4);
    expect(f, 0, 0, 0, 0);
}

static void only_complete_files_are_read(void **state)
{
    struct fixture *f = *state;
    acknowledge(f, 0, 4, 1);
    put_records(f, "/out/events.inprogress/1.ndjson", 0, 1);
    put_records(f, "/out/deep/.inprogress/1.ndjson", 1, 1);
    put_records(f, "/out/1.ndjson.tmp", 2, 1);
    put_records(f, "/out/1.json", 3, 1);
    put_records(f, "/out.inprogress/1.ndjson", 3, 1);
    assert_int_equal(scan(f), 0);
    expect(f, 4, 0, 0, 0);
}

static void a_file_is_read_once_and_a_new_one_later(void **state)
{
    struct fixture *f = *state;
    acknowledge(f, 0, 20, 1);
    put_records(f, "/out/a/1.ndjson", 0, 10);
    assert_int_equal(scan(f), 1);
    assert_int_equal(scan(f), 0);
    put_records(f, "/out/b/1.ndjson", 10, 10);
    assert_int_equal(scan(f), 1);
    expect(f, 0, 0, 0, 0);
    assert_int_equal(f->verify.records, 20);
}

/* An id is found wherever a read of the file cuts it. */
static void ids_across_the_chunks_of_a_large_file_count_once(void **state)
{
    struct fixture *f = *state;
    acknowledge(f, 0, 25, 1);
    for (uint32_t cut = 0; cut < 25; cut++) {
        struct buf text = {0};
        char path[64];
        uint8_t *room = buf_reserve(&text, (1u << 20) - cut);
        memset(room, ' ', (1u << 20) - cut);
        buf_advance(&text, (1u << 20) - cut);
        buf_add_format(&text, RUN "%012u\n", cut);
        snprintf(path, sizeof(path), "/out/%u.ndjson", cut);
        put(f, path, buf_slice(&text));
        buf_done(&text);
    }
    assert_int_equal(scan(f), 25);
    expect(f, 0, 0, 0, 0);
    assert_int_equal(f->verify.records, 25);
}

static void a_file_that_ends_at_a_chunk_is_read_to_its_end(void **state)
{
    struct fixture *f = *state;
    acknowledge(f, 0, 2, 1);
    struct buf text = {0};
    buf_add_string(&text, RUN "000000000000");
    while (text.size < (1u << 20) - CLI_EVENTS_ID_SIZE)
        buf_add_byte(&text, '-');
    buf_add_string(&text, RUN "000000000001");
    assert_int_equal(text.size, 1u << 20);
    put(f, "/out/1.ndjson", buf_slice(&text));
    buf_done(&text);
    assert_int_equal(scan(f), 1);
    expect(f, 0, 0, 0, 0);
    assert_int_equal(f->verify.records, 2);
}

static void broken_text_hides_no_id_behind_it(void **state)
{
    struct fixture *f = *state;
    acknowledge(f, 0, 5, 1);
    put(f, "/out/1.ndjson", SLICE_LITERAL(RUN "00000000000x\n" RUN "000000000000"));
    put(f, "/out/2.ndjson", SLICE_LITERAL(RUN "0000\n" RUN "000000000001"));
    put(f, "/out/3.ndjson", SLICE_LITERAL(RUN RUN "000000000002\xff\xfe" RUN));
    put(f, "/out/4.ndjson", SLICE_LITERAL(RUN "000000000003" RUN "000000000004" RUN "1"));
    put(f, "/out/5.ndjson", SLICE_LITERAL(""));
    put(f, "/out/6.ndjson", SLICE_LITERAL("0"));
    assert_int_equal(scan(f), 6);
    expect(f, 0, 0, 0, 0);
    assert_int_equal(f->verify.records, 5);
}

static void a_file_that_was_moved_away_meanwhile_is_looked_for_again(void **state)
{
    struct fixture *f = *state;
    acknowledge(f, 0, 10, 1);
    put_records(f, "/out/1.ndjson", 0, 10);
    uint64_t added = 0;
    /* After the directory's kind and its list comes the opening of the file. */
    sim_disk_fail_after(f->sim, 3, ERR_NO_FILE);
    assert_int_equal(scan(f), 0);
    sim_disk_fail_after(f->sim, 0, ERR_OK);
    expect(f, 10, 0, 0, 0);
    assert_ok(cli_verify_scan(&f->verify, &added, &f->why));
    assert_int_equal(added, 1);
    expect(f, 0, 0, 0, 0);
}

static void files_torn_anywhere_lose_only_what_was_cut_off(void **state)
{
    struct fixture *f = *state;
    struct buf text = {0};
    add_records(&text, 0, 3);
    size_t line = text.size / 3;
    acknowledge(f, 0, 3, 1);
    for (size_t size = 0; size <= text.size; size++) {
        struct cli_verify verify;
        struct cli_verify_result result;
        uint64_t added;
        put(f, "/torn/1.ndjson", slice_sub(buf_slice(&text), 0, size));
        assert_ok(cli_verify_init(&verify, f->disk, "/torn", &f->acks));
        assert_ok(cli_verify_scan(&verify, &added, &f->why));
        cli_verify_judge(&verify, &result);
        /* The id ends before the line does. */
        size_t whole = size / line + (size % line >= 7 + CLI_EVENTS_ID_SIZE);
        assert_int_equal(result.missing, 3 - whole);
        cli_verify_done(&verify);
    }
    buf_done(&text);
}

static void directories_deeper_than_the_limit_are_an_error(void **state)
{
    struct fixture *f = *state;
    struct buf path = {0};
    uint64_t added;
    buf_add_string(&path, "/out");
    for (int i = 0; i < 40; i++)
        buf_add_string(&path, "/d");
    buf_add_byte(&path, '\0');
    assert_ok(io_disk_make_path(f->disk, (const char *)path.data, &f->why));
    assert_true(err_is(cli_verify_scan(&f->verify, &added, &f->why), ERR_TOO_DEEP));
    assert_non_null(strstr(f->why.text, "more than 32 directories deep"));
    buf_done(&path);
}

static void every_call_of_the_disk_may_fail(void **state)
{
    struct fixture *f = *state;
    acknowledge(f, 0, 20, 1);
    put_records(f, "/out/a/1.ndjson", 0, 10);
    put_records(f, "/out/b/1.ndjson", 10, 10);
    err_t err = err_make(ERR_IO);
    uint64_t n = 0;
    while (err_is(err, ERR_IO)) {
        struct cli_verify verify;
        struct err_text why = {0};
        uint64_t added;
        assert_ok(cli_verify_init(&verify, f->disk, "/out", &f->acks));
        sim_disk_fail_after(f->sim, ++n, ERR_IO);
        err = cli_verify_scan(&verify, &added, &why);
        sim_disk_fail_after(f->sim, 0, ERR_IO);
        if (!err_is_ok(err))
            assert_non_null(strstr(why.text, "/out"));
        cli_verify_done(&verify);
    }
    assert_ok(err);
    assert_true(n > 6);
}

static void every_allocation_may_fail(void **state)
{
    struct fixture *f = *state;
    acknowledge(f, 0, 20, 1);
    put_records(f, "/out/a/1.ndjson", 0, 10);
    put_records(f, "/out/b/1.ndjson", 10, 10);
    err_t err = err_make(ERR_MEMORY);
    uint64_t n = 0;
    while (err_is(err, ERR_MEMORY)) {
        struct cli_verify verify;
        uint64_t added;
        mem_fail_after(++n);
        err = cli_verify_init(&verify, f->disk, "/out", &f->acks);
        if (err_is_ok(err)) {
            err = cli_verify_scan(&verify, &added, &f->why);
            mem_fail_after(0);
            cli_verify_done(&verify);
        }
        mem_fail_after(0);
    }
    assert_ok(err);
    assert_true(n > 6);
}

/* Random copies of random records, in random files, against a count kept apart. */
static void the_verdict_agrees_with_a_plain_count(void **state)
{
    (void)state;
    uint64_t seed = unit_seed();
    for (int round = 0; round < 30; round++) {
        struct fixture f;
        uint32_t sure[COUNT] = {0};
        uint32_t maybe[COUNT] = {0};
        uint32_t seen[COUNT] = {0};
        struct cli_verify_result expected = {0};
        begin(&f);
        for (int i = 0; i < 300; i++) {
            uint64_t sequence = unit_random(&seed) % COUNT;
            bool lost = unit_random(&seed) % 4 == 0;
            if (lost)
                lose(&f, sequence, 1);
            else if (sure[sequence] < 2)
                acknowledge(&f, sequence, 1, 1);
            maybe[sequence] += lost;
            sure[sequence] += !lost && sure[sequence] < 2;
        }
        for (int i = 0; i < 100; i++) {
            char path[64];
            uint64_t first = unit_random(&seed) % COUNT;
            uint32_t count = (uint32_t)(unit_random(&seed) % 4);
            count = first + count > COUNT ? 0 : count;
            snprintf(path, sizeof(path), "/out/%d/%d.ndjson", i % 7, i);
            put_records(&f, path, first, count);
            for (uint32_t k = 0; k < count; k++)
                seen[first + k]++;
        }
        scan(&f);
        for (int i = 0; i < COUNT; i++) {
            expected.missing += seen[i] < sure[i];
            expected.repeated += seen[i] > 1;
            expected.unexplained += seen[i] > sure[i] + maybe[i];
            expected.explained += seen[i] > 1 && seen[i] <= sure[i] + maybe[i];
        }
        expect(&f, expected.missing, expected.repeated, expected.explained, expected.unexplained);
        end(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(files_with_what_was_acknowledged_are_right),
        fixture_test(a_record_that_is_not_there_is_missing_and_named),
        fixture_test(a_directory_that_is_not_there_holds_nothing),
        fixture_test(a_repeat_without_a_lost_answer_is_unexplained_and_named),
        fixture_test(a_lost_answer_explains_one_more_copy),
        fixture_test(what_was_never_answered_may_be_there_or_not),
        fixture_test(records_sent_twice_on_purpose_must_be_there_twice),
        fixture_test(copies_that_nobody_counted_are_not_called_unexplained),
        fixture_test(a_dead_letter_that_was_delivered_is_unexplained),
        fixture_test(ids_that_were_never_sent_and_other_runs_are_told_apart),
        fixture_test(only_complete_files_are_read),
        fixture_test(a_file_is_read_once_and_a_new_one_later),
        fixture_test(ids_across_the_chunks_of_a_large_file_count_once),
        fixture_test(a_file_that_ends_at_a_chunk_is_read_to_its_end),
        fixture_test(broken_text_hides_no_id_behind_it),
        fixture_test(a_file_that_was_moved_away_meanwhile_is_looked_for_again),
        fixture_test(files_torn_anywhere_lose_only_what_was_cut_off),
        fixture_test(directories_deeper_than_the_limit_are_an_error),
        fixture_test(every_call_of_the_disk_may_fail),
        fixture_test(every_allocation_may_fail),
        cmocka_unit_test(the_verdict_agrees_with_a_plain_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
