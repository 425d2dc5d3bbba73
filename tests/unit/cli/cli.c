#include "unit/cli/capture.h"

/* The command's line, at the most three words, prints `out` and `err` and ends with `code`. */
static void expect(const char *const *words, int code, const char *out, const char *err)
{
    struct cli cli = capture_cli();
    struct capture seen;
    int (*run)(struct cli *, int, char **) = cli_command(words[0])->run;
    assert_int_equal(capture_run(&seen, 1, run, &cli, words), code);
    assert_string_equal(seen.text, out);
    assert_int_equal(capture_run(&seen, 2, run, &cli, words), code);
    assert_string_equal(seen.text, err);
}

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
    assert_int_equal(count, 16);
}

static void every_flag_can_be_explained(void **state)
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
    expect((const char *[]){"version", NULL}, CLI_OK, "garner " GARNER_VERSION "\n", "");
    expect((const char *[]){"version", "--json", NULL}, CLI_OK,
           "{\"name\":\"garner\",\"version\":\"" GARNER_VERSION "\"}\n", "");
}

static void version_refuses_what_it_does_not_know(void **state)
{
    (void)state;
    expect((const char *[]){"version", "--jason", NULL}, CLI_USAGE, "",
           "garner version: unknown flag --jason, did you mean --json?\n");
    expect((const char *[]){"version", "1", NULL}, CLI_USAGE, "",
           "garner version: expected flags only, got '1'\n");
}

/* Every command can tell about itself and each of its flags. */
static void every_command_explains_itself(void **state)
{
    (void)state;
    for (const struct cli_command *command = cli_commands; command->name; command++) {
        struct cli cli = capture_cli();
        struct capture seen;
        char usage[128];
        const char *const words[] = {command->name, "--help", NULL};
        snprintf(usage, sizeof(usage), "usage: garner %s [FLAGS]%s%s\n\n", command->name,
                 command->arguments[0] ? " " : "", command->arguments);
        assert_int_equal(capture_run(&seen, 1, command->run, &cli, words), CLI_OK);
        assert_ptr_equal(strstr(seen.text, usage), seen.text);
        assert_non_null(strstr(seen.text, command->text));
        for (const struct option *option = command->options; option->name; option++)
            assert_non_null(strstr(seen.text, option->help));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_are_listed_in_order_and_whole),
        cmocka_unit_test(every_flag_can_be_explained),
        cmocka_unit_test(version_says_name_and_number),
        cmocka_unit_test(version_refuses_what_it_does_not_know),
        cmocka_unit_test(every_command_explains_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
