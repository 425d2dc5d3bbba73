#include "control/report.h"

#include "unit/control/world.h"

static void a_message_is_one_line_with_its_place(void **state)
{
    (void)state;
    struct control_report report;
    control_report_init(&report);
    struct control_place place = {"a.yaml", 3, 7, "sinks.lake"};
    control_report_error(&report, place, "expected %d, got '%s'", 1, "two");
    world_expect(&report.errors, "a.yaml:3:7: sinks.lake: expected 1, got 'two'\n");
    world_expect(&report.notes, "");
    control_report_done(&report);
}

static void control_characters_cannot_reach_the_terminal(void **state)
{
    (void)state;
    struct control_report report;
    control_report_init(&report);
    control_report_error(&report, (struct control_place){"a\n.yaml", 1, 1, "x\x7f"}, "got '%s'",
                         "\x1b[31m\nred");
    world_expect(&report.errors, "a?.yaml:1:1: x?: got '?[31m?red'\n");
    control_report_done(&report);
}

static void the_report_owns_copies(void **state)
{
    (void)state;
    struct control_report report;
    control_report_init(&report);
    char path[] = "intake";
    control_report_note(&report, (struct control_place){path, 1, 2, path}, "%s", path);
    memset(path, 'x', sizeof(path) - 1);
    world_expect(&report.notes, "intake:1:2: intake: intake\n");
    assert_true(err_is_ok(control_report_verdict(&report)));
    control_report_done(&report);
}

static void twenty_errors_are_kept_and_the_rest_counted(void **state)
{
    (void)state;
    struct control_report report;
    control_report_init(&report);
    for (uint32_t i = 1; i <= 23; i++)
        control_report_error(&report, (struct control_place){"f", i, 1, "p"}, "e");
    assert_int_equal(report.errors.count, CONTROL_REPORT_MAX);
    assert_int_equal(report.errors.omitted, 3);
    assert_int_equal(control_report_errors(&report), 23);
    assert_int_equal(report.errors.items[19].place.line, 20);
    assert_true(err_is(control_report_verdict(&report), ERR_CONFIG));
    control_report_done(&report);
}

static void messages_of_a_file_stand_in_its_order(void **state)
{
    (void)state;
    struct control_report report;
    control_report_init(&report);
    control_report_error(&report, (struct control_place){"b", 9, 1, "p"}, "1");
    control_report_error(&report, (struct control_place){"a", 5, 2, "p"}, "2");
    control_report_error(&report, (struct control_place){"a", 5, 1, "p"}, "3");
    control_report_error(&report, (struct control_place){"a", 1, 8, "p"}, "4");
    control_report_error(&report, (struct control_place){"a", 5, 2, "p"}, "5");
    world_expect(&report.errors,
                 "b:9:1: p: 1\na:1:8: p: 4\na:5:1: p: 3\na:5:2: p: 2\na:5:2: p: 5\n");
    control_report_done(&report);
}

static void a_long_text_is_cut(void **state)
{
    (void)state;
    struct control_report report;
    control_report_init(&report);
    char text[4000];
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    control_report_error(&report, (struct control_place){"f", 1, 1, "p"}, "%s", text);
    assert_true(strlen(report.errors.items[0].text) < 1000);
    control_report_done(&report);
}

static void without_memory_the_verdict_is_no_memory(void **state)
{
    (void)state;
    struct control_report report;
    control_report_init(&report);
    mem_fail_after(1);
    control_report_error(&report, (struct control_place){"f", 1, 1, "p"}, "e");
    mem_fail_after(0);
    assert_int_equal(report.errors.count, 0);
    assert_true(err_is(control_report_verdict(&report), ERR_MEMORY));
    control_report_done(&report);
    control_report_init(&report);
    control_report_no_memory(&report);
    assert_true(err_is(control_report_verdict(&report), ERR_MEMORY));
    control_report_done(&report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_is_one_line_with_its_place),
        cmocka_unit_test(control_characters_cannot_reach_the_terminal),
        cmocka_unit_test(the_report_owns_copies),
        cmocka_unit_test(twenty_errors_are_kept_and_the_rest_counted),
        cmocka_unit_test(messages_of_a_file_stand_in_its_order),
        cmocka_unit_test(a_long_text_is_cut),
        cmocka_unit_test(without_memory_the_verdict_is_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
