#include "unit/cli/capture.h"

static void commands_are_listed_in_order_and_whole(void **state)
{
    (void)state;
    size_t count = 0;
    for (const struct cli_command *command = cli_commands; command->name; command++, count++) {
        assert_ptr_equal(cli_command(command->name), command);
        assert_true(command->run && command->options && command->arguments);
        assert_true(command->summary[0] && command->text[0]);
        assert_int_equal(command->text[strlen(command->text) - 1], '\n');
        if (count > 0)
            assert_true(strcmp(command[-1].name, command->name) < 0);
    }
    assert_int_equal(count, 4);
}

static void every_flag_can_be_explained_and_has_a_right_default(void **state)
{
    (void)state;
    for (const struct cli_command *command = cli_commands; command->name; command++) {
        for (const struct option *option = command->options; option->name; option++) {
            assert_true(option->help && option->help[0]);
            assert_true(option->type != OPTION_TABLE && option->type != OPTION_STRINGS);
            assert_int_equal(option->type == OPTION_ENUM, option->choices != NULL);
        }
    }
}

static void version_says_name_and_number(void **state)
{
    (void)state;
    struct cli cli = {0};
    struct capture seen;
    capture_command(&seen, &cli, "version");
    capture_expect(&seen, CLI_OK, "garner " GARNER_VERSION "\n", "");
    capture_command(&seen, &cli, "version --json");
    capture_expect(&seen, CLI_OK, "{\"name\":\"garner\",\"version\":\"" GARNER_VERSION "\"}\n", "");
}

static void version_refuses_what_it_does_not_know(void **state)
{
    (void)state;
    struct cli cli = {0};
    struct capture seen;
    capture_command(&seen, &cli, "version --jason");
    capture_expect(&seen, CLI_USAGE, "",
                   "garner version: unknown flag --jason, did you mean --json?\n");
}

static void a_failure_names_its_command(void **state)
{
    (void)state;
    struct cli cli = {0};
    struct capture seen;
    capture_command(&seen, &cli, "ledger --server nowhere");
    assert_int_equal(seen.code, CLI_USAGE);
    assert_has(seen.err, "garner ledger: 'nowhere' (--server) is no address");
    assert_string_equal(seen.out, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_are_listed_in_order_and_whole),
        cmocka_unit_test(every_flag_can_be_explained_and_has_a_right_default),
        cmocka_unit_test(version_says_name_and_number),
        cmocka_unit_test(version_refuses_what_it_does_not_know),
        cmocka_unit_test(a_failure_names_its_command),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
