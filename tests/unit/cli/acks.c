#include "cli/acks.h"

#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "io/uv/uv.h"
#include "lib/unit.h"
#include "sim/disk.h"

struct fixture {
    struct cli_events events;
    struct cli_acks acks;
    struct format_json_paths *paths;
};

/* A list of `count` records, of which each third is broken on purpose when `broken`. */
static struct fixture *begin(uint64_t count, bool broken)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct cli_events_options options = {
        .run = 1, .size = 100, .batch = 10, .broken = {broken ? 1 : 0, 3}};
    assert_true(err_is_ok(cli_events_init(&f->events, &options)));
    assert_true(err_is_ok(cli_answer_paths(&f->paths)));
    cli_acks_init(&f->acks, &f->events);
    assert_true(err_is_ok(cli_acks_reserve(&f->acks, count)));
    return f;
}

static void end(struct fixture *f)
{
    format_json_paths_free(&f->paths);
    cli_acks_done(&f->acks);
    cli_events_done(&f->events);
    free(f);
}

static bool answered(struct fixture *f, struct cli_request request, const char *body)
{
    struct cli_answer answer;
    assert_true(err_is_ok(cli_answer_parse(f->paths, slice_string(body), &answer)));
    return cli_acks_answered(&f->acks, &request, &answer);
}

static void expect(const struct fixture *f, uint64_t sequence, enum cli_acks_verdict verdict,
                   uint32_t sure, uint32_t maybe)
{
    struct cli_ack ack = cli_acks_get(&f->acks, sequence);
    assert_int_equal(ack.verdict, verdict);
    assert_int_equal(ack.sure, sure);
    assert_int_equal(ack.maybe, maybe);
}

static struct cli_request records(uint64_t first, uint32_t count)
{
    return (struct cli_request){.first = first, .fresh = count};
}

static void an_answer_is_read_with_what_it_leaves_out(void **state)
{
    (void)state;
    struct fixture *f = begin(1, false);
    struct cli_answer answer;
    assert_true(err_is_ok(cli_answer_parse(
        f->paths,
        SLICE_LITERAL("{\"accepted\":1,\"duplicates\":2,\"dead_lettered\":3,\"refused\":4,"
                      "\"errors\":[{}],\"errors_truncated\":5,\"more\":{\"accepted\":9}}\n"),
        &answer)));
    assert_int_equal(answer.accepted, 1);
    assert_int_equal(answer.duplicates, 2);
    assert_int_equal(answer.dead_lettered, 3);
    assert_int_equal(answer.refused, 4);
    assert_int_equal(answer.truncated, 5);
    assert_slice(answer.errors, "[{}]");
    assert_true(err_is_ok(cli_answer_parse(f->paths, SLICE_LITERAL("{\"accepted\":1}"), &answer)));
    assert_int_equal(answer.refused, 0);
    assert_int_equal(answer.errors.size, 0);
    end(f);
}

static void what_is_no_answer_is_refused(void **state)
{
    (void)state;
    static const char *const bodies[] = {"",
                                         "{}",
                                         "[]",
                                         "ok",
                                         "{\"error\":\"busy\"}",
                                         "{\"accepted\":\"1\"}",
                                         "{\"accepted\":-1}",
                                         "{\"accepted\":1.5}",
                                         "{\"accepted\":1,\"refused\":null}",
                                         "{\"accepted\":99999999999999999999}",
                                         "{\"accepted\":1"};
    struct fixture *f = begin(1, false);
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct cli_answer answer;
        err_t err = cli_answer_parse(f->paths, slice_string(bodies[i]), &answer);
        assert_false(err_is_ok(err));
    }
    end(f);
}

static void what_is_accepted_is_there_once(void **state)
{
    (void)state;
    struct fixture *f = begin(10, false);
    assert_true(answered(f, records(2, 5), "{\"accepted\":5}"));
    expect(f, 1, CLI_ACKS_NONE, 0, 0);
    expect(f, 2, CLI_ACKS_NONE, 1, 0);
    expect(f, 6, CLI_ACKS_NONE, 1, 0);
    expect(f, 7, CLI_ACKS_NONE, 0, 0);
    end(f);
}

static void errors_tell_which_were_not_taken(void **state)
{
    (void)state;
    struct fixture *f = begin(10, false);
    assert_true(answered(f, records(0, 5),
                         "{\"accepted\":3,\"dead_lettered\":2,\"errors\":[{\"index\":1,\"reason\":"
                         "\"json\",\"detail\":\"x\"},{\"index\":4}]}"));
    expect(f, 0, CLI_ACKS_NONE, 1, 0);
    expect(f, 1, CLI_ACKS_DEAD, 0, 0);
    expect(f, 3, CLI_ACKS_NONE, 1, 0);
    expect(f, 4, CLI_ACKS_DEAD, 0, 0);
    assert_true(
        answered(f, records(5, 2), "{\"accepted\":1,\"refused\":1,\"errors\":[{\"index\":0}]}"));
    expect(f, 5, CLI_ACKS_REFUSED, 0, 0);
    expect(f, 6, CLI_ACKS_NONE, 1, 0);
    end(f);
}

static void records_sent_again_on_purpose_are_counted_where_they_belong(void **state)
{
    (void)state;
    struct fixture *f = begin(20, false);
    assert_true(answered(f, records(0, 10), "{\"accepted\":10}"));
    struct cli_request request = {.first = 10, .fresh = 3, .again = 4, .again_count = 2};
    assert_true(
        answered(f, request, "{\"accepted\":4,\"dead_lettered\":1,\"errors\":[{\"index\":4}]}"));
    expect(f, 3, CLI_ACKS_NONE, 1, 0);
    expect(f, 4, CLI_ACKS_NONE, 2, 0);
    expect(f, 5, CLI_ACKS_DEAD, 1, 0);
    expect(f, 12, CLI_ACKS_NONE, 1, 0);
    end(f);
}

static void a_lost_answer_leaves_a_doubt_that_the_next_one_keeps(void **state)
{
    (void)state;
    struct fixture *f = begin(10, false);
    struct cli_request request = records(0, 2);
    cli_acks_unanswered(&f->acks, &request);
    expect(f, 1, CLI_ACKS_NONE, 0, 1);
    assert_true(answered(f, request, "{\"accepted\":2}"));
    expect(f, 1, CLI_ACKS_NONE, 1, 1);
    end(f);
}

static void duplicates_say_that_the_copies_in_doubt_are_the_ones(void **state)
{
    (void)state;
    struct fixture *f = begin(10, false);
    struct cli_request request = records(0, 2);
    cli_acks_unanswered(&f->acks, &request);
    assert_true(answered(f, request, "{\"accepted\":0,\"duplicates\":2}"));
    expect(f, 0, CLI_ACKS_NONE, 1, 0);
    assert_true(answered(f, request, "{\"accepted\":0,\"duplicates\":2}"));
    expect(f, 0, CLI_ACKS_NONE, 1, 0);
    /* Which of the two is the duplicate is not told. */
    request = records(1, 2);
    assert_true(answered(f, request, "{\"accepted\":1,\"duplicates\":1}"));
    expect(f, 1, CLI_ACKS_NONE, 1, 1);
    expect(f, 2, CLI_ACKS_NONE, 1, 0);
    end(f);
}

static void a_repeated_number_was_taken_but_for_its_broken_records(void **state)
{
    (void)state;
    struct fixture *f = begin(6, true);
    assert_true(answered(f, records(0, 6), "{\"accepted\":0,\"duplicates\":6}"));
    for (uint64_t i = 0; i < 6; i++) {
        bool broken = cli_events_is_broken(&f->events, i);
        expect(f, i, broken ? CLI_ACKS_DEAD : CLI_ACKS_NONE, broken ? 0 : 1, 0);
    }
    end(f);
}

static void errors_that_are_not_listed_are_the_broken_records(void **state)
{
    (void)state;
    struct fixture *f = begin(20, true);
    /* 2, 5, 8 and 11 are broken. */
    assert_true(answered(f, records(0, 12),
                         "{\"accepted\":8,\"dead_lettered\":4,\"errors\":[{\"index\":2}],"
                         "\"errors_truncated\":3}"));
    for (uint64_t i = 0; i < 12; i++)
        expect(f, i, i % 3 == 2 ? CLI_ACKS_DEAD : CLI_ACKS_NONE, i % 3 == 2 ? 0 : 1, 0);
    end(f);
}

static void errors_that_nobody_can_name_leave_doubts(void **state)
{
    (void)state;
    struct fixture *f = begin(20, true);
    assert_true(answered(f, records(0, 12),
                         "{\"accepted\":9,\"dead_lettered\":3,\"errors\":[{\"index\":2}],"
                         "\"errors_truncated\":2}"));
    expect(f, 1, CLI_ACKS_NONE, 1, 0);
    expect(f, 2, CLI_ACKS_DEAD, 0, 0);
    for (uint64_t i = 3; i < 12; i++)
        expect(f, i, CLI_ACKS_NONE, 0, 1);
    end(f);
}

static void an_answer_that_does_not_add_up_is_found(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{\"accepted\":2}",
        "{\"accepted\":4}",
        "{\"accepted\":2,\"dead_lettered\":1}",
        "{\"accepted\":2,\"dead_lettered\":1,\"errors\":[]}",
        "{\"accepted\":2,\"dead_lettered\":1,\"errors\":[{\"index\":3}]}",
        "{\"accepted\":1,\"dead_lettered\":2,\"errors\":[{\"index\":1},{\"index\":1}]}",
        "{\"accepted\":1,\"dead_lettered\":2,\"errors\":[{\"index\":2},{\"index\":0}]}",
        "{\"accepted\":2,\"dead_lettered\":1,\"errors\":[{\"at\":1}]}",
        "{\"accepted\":3,\"errors\":[{\"index\":1}]}",
        "{\"accepted\":2,\"refused\":1,\"errors_truncated\":1,\"errors\":[{\"index\":1}]}",
        "{\"accepted\":18446744073709551615,\"duplicates\":4}",
        "{\"accepted\":3,\"errors_truncated\":18446744073709551615,\"errors\":[{\"index\":1}]}",
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct fixture *f = begin(3, false);
        assert_false(answered(f, records(0, 3), bodies[i]));
        for (uint64_t sequence = 0; sequence < 3; sequence++)
            expect(f, sequence, CLI_ACKS_NONE, 0, 1);
        end(f);
    }
}

static void counts_stop_where_their_bits_end(void **state)
{
    (void)state;
    struct fixture *f = begin(3, false);
    struct cli_request request = records(0, 1);
    for (int i = 0; i < 20; i++)
        cli_acks_unanswered(&f->acks, &request);
    struct cli_ack ack = cli_acks_get(&f->acks, 0);
    assert_true(ack.unbounded);
    assert_int_equal(ack.maybe, 15);
    assert_int_equal(ack.sure, 0);
    request = records(1, 1);
    assert_false(cli_acks_get(&f->acks, 1).unbounded);
    for (int i = 0; i < 9; i++)
        assert_true(answered(f, request, "{\"accepted\":1}"));
    ack = cli_acks_get(&f->acks, 1);
    assert_true(ack.unbounded);
    assert_int_equal(ack.sure, 3);
    assert_int_equal(ack.verdict, CLI_ACKS_NONE);
    end(f);
}

static void without_a_list_answers_are_still_checked(void **state)
{
    (void)state;
    struct fixture *f = begin(0, false);
    struct cli_request request = records(0, 3);
    assert_true(answered(f, request, "{\"accepted\":3}"));
    assert_false(answered(f, request, "{\"accepted\":2}"));
    cli_acks_unanswered(&f->acks, &request);
    end(f);
}

static void the_list_grows_and_keeps_what_it_has(void **state)
{
    (void)state;
    struct fixture *f = begin(2, false);
    assert_true(answered(f, records(0, 2), "{\"accepted\":2}"));
    mem_fail_after(1);
    assert_true(err_is(cli_acks_reserve(&f->acks, 1000), ERR_MEMORY));
    mem_fail_after(0);
    assert_int_equal(f->acks.count, 2);
    assert_true(err_is_ok(cli_acks_reserve(&f->acks, 1000)));
    assert_true(err_is_ok(cli_acks_reserve(&f->acks, 1500)));
    expect(f, 1, CLI_ACKS_NONE, 1, 0);
    expect(f, 999, CLI_ACKS_NONE, 0, 0);
    expect(f, 1499, CLI_ACKS_NONE, 0, 0);
    end(f);
}

static void the_list_is_written_a_line_a_record(void **state)
{
    (void)state;
    char directory[] = "/tmp/garner-acks-XXXXXX";
    char path[64];
    struct buf text = {0};
    struct err_text why = {0};
    struct fixture *f = begin(6, false);
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/acks", directory);
    struct cli_request request = records(0, 2);
    cli_acks_unanswered(&f->acks, &request);
    assert_true(answered(f, records(1, 3),
                         "{\"accepted\":2,\"dead_lettered\":1,\"errors\":[{\"index\":2}]}"));
    assert_true(
        answered(f, records(4, 1), "{\"accepted\":0,\"refused\":1,\"errors\":[{\"index\":0}]}"));
    assert_true(err_is_ok(cli_acks_write(&f->acks, io_uv_disk(), path, &why)));
    assert_true(err_is_ok(io_disk_read_file(io_uv_disk(), path, 10000, &text, NULL)));
    assert_slice(buf_slice(&text), "00000001-000000000000\tunanswered\t0\t1\n"
                                   "00000001-000000000001\tacknowledged\t1\t1\n"
                                   "00000001-000000000002\tacknowledged\t1\t0\n"
                                   "00000001-000000000003\tdead-lettered\t0\t0\n"
                                   "00000001-000000000004\trefused\t0\t0\n"
                                   "00000001-000000000005\tnot-taken\t0\t0\n");
    unlink(path);
    rmdir(directory);
    assert_false(err_is_ok(cli_acks_write(&f->acks, io_uv_disk(), path, &why)));
    assert_non_null(strstr(why.text, path));
    buf_done(&text);
    end(f);
}

/* Whatever the order of answers and losses, each is counted where it belongs. */
static void the_list_agrees_with_a_plain_count(void **state)
{
    (void)state;
    uint64_t seed = unit_seed();
    struct fixture *f = begin(500, false);
    uint32_t accepted[500] = {0};
    uint32_t lost[500] = {0};
    for (int step = 0; step < 1000; step++) {
        uint32_t count = 1 + (uint32_t)(unit_random(&seed) % 5);
        struct cli_request request = records(unit_random(&seed) % (500 - count), count);
        struct cli_answer answer = {.accepted = count};
        bool is_lost = unit_random(&seed) % 3 == 0;
        if (is_lost)
            cli_acks_unanswered(&f->acks, &request);
        else
            assert_true(cli_acks_answered(&f->acks, &request, &answer));
        for (uint32_t i = 0; i < count; i++)
            (is_lost ? lost : accepted)[request.first + i]++;
    }
    for (uint64_t i = 0; i < 500; i++)
        expect(f, i, CLI_ACKS_NONE, accepted[i] < 3 ? accepted[i] : 3, lost[i] < 15 ? lost[i] : 15);
    end(f);
}

static void a_long_list_is_written_in_pieces(void **state)
{
    (void)state;
    struct fixture *f = begin(60000, false);
    struct sim_disk *disk = sim_disk_new(1);
    struct err_text why = {0};
    struct buf text = {0};
    assert_true(err_is_ok(cli_acks_write(&f->acks, sim_disk_io(disk), "/acks", &why)));
    assert_true(err_is_ok(io_disk_read_file(sim_disk_io(disk), "/acks", 10000000, &text, &why)));
    struct slice rest = buf_slice(&text);
    for (uint64_t i = 0; i < 60000; i++) {
        char id[CLI_EVENTS_ID_SIZE + 1];
        struct slice line = slice_split(&rest, '\n');
        cli_events_id(&f->events, i, id);
        assert_slice(slice_split(&line, '\t'), id);
        assert_slice(line, "not-taken\t0\t0");
    }
    assert_int_equal(rest.size, 0);
    buf_done(&text);
    sim_disk_free(&disk);
    end(f);
}

static void every_call_of_the_disk_may_fail_while_the_list_is_written(void **state)
{
    (void)state;
    struct fixture *f = begin(10, false);
    struct sim_disk *disk = sim_disk_new(1);
    err_t err = err_make(ERR_NO_SPACE);
    uint64_t n = 0;
    while (err_is(err, ERR_NO_SPACE)) {
        struct err_text why = {0};
        sim_disk_fail_after(disk, ++n, ERR_NO_SPACE);
        err = cli_acks_write(&f->acks, sim_disk_io(disk), "/acks", &why);
        if (!err_is_ok(err))
            assert_non_null(strstr(why.text, "/acks"));
    }
    assert_true(err_is_ok(err));
    assert_true(n > 2);
    sim_disk_free(&disk);
    end(f);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    struct fixture *f = begin(10, false);
    struct sim_disk *disk = sim_disk_new(1);
    err_t err = err_make(ERR_MEMORY);
    uint64_t n = 0;
    while (err_is(err, ERR_MEMORY)) {
        struct err_text why = {0};
        mem_fail_after(++n);
        err = cli_acks_write(&f->acks, sim_disk_io(disk), "/acks", &why);
        mem_fail_after(0);
    }
    assert_true(err_is_ok(err));
    assert_true(n > 1);
    struct format_json_paths *paths = NULL;
    mem_fail_after(1);
    assert_true(err_is(cli_answer_paths(&paths), ERR_MEMORY));
    mem_fail_after(0);
    assert_null(paths);
    sim_disk_free(&disk);
    end(f);
}

/* A broker says of a batch that it was taken, and not what it made of its records. */
static void an_answer_for_the_whole_leaves_the_broken_in_doubt(void **state)
{
    (void)state;
    struct fixture *f = begin(9, true);
    struct cli_request request = records(0, 6);
    cli_acks_whole(&f->acks, &request, true);
    for (uint64_t i = 0; i < 6; i++) {
        bool broken = cli_events_is_broken(&f->events, i);
        expect(f, i, CLI_ACKS_NONE, !broken, broken);
    }
    request = (struct cli_request){.first = 6, .fresh = 3, .again = 0, .again_count = 2};
    cli_acks_whole(&f->acks, &request, false);
    for (uint64_t i = 6; i < 9; i++)
        expect(f, i, CLI_ACKS_REFUSED, 0, 0);
    assert_int_equal(cli_acks_get(&f->acks, 0).verdict, CLI_ACKS_REFUSED);
    assert_int_equal(cli_acks_get(&f->acks, 0).sure, !cli_events_is_broken(&f->events, 0));
    end(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_read_with_what_it_leaves_out),
        cmocka_unit_test(what_is_no_answer_is_refused),
        cmocka_unit_test(what_is_accepted_is_there_once),
        cmocka_unit_test(errors_tell_which_were_not_taken),
        cmocka_unit_test(records_sent_again_on_purpose_are_counted_where_they_belong),
        cmocka_unit_test(a_lost_answer_leaves_a_doubt_that_the_next_one_keeps),
        cmocka_unit_test(duplicates_say_that_the_copies_in_doubt_are_the_ones),
        cmocka_unit_test(a_repeated_number_was_taken_but_for_its_broken_records),
        cmocka_unit_test(errors_that_are_not_listed_are_the_broken_records),
        cmocka_unit_test(errors_that_nobody_can_name_leave_doubts),
        cmocka_unit_test(an_answer_that_does_not_add_up_is_found),
        cmocka_unit_test(counts_stop_where_their_bits_end),
        cmocka_unit_test(without_a_list_answers_are_still_checked),
        cmocka_unit_test(the_list_grows_and_keeps_what_it_has),
        cmocka_unit_test(the_list_is_written_a_line_a_record),
        cmocka_unit_test(the_list_agrees_with_a_plain_count),
        cmocka_unit_test(a_long_list_is_written_in_pieces),
        cmocka_unit_test(every_call_of_the_disk_may_fail_while_the_list_is_written),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(an_answer_for_the_whole_leaves_the_broken_in_doubt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
