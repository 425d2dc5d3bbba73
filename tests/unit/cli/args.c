#include "unit/cli/capture.h"

#include "base/alloc.h"

struct values {
    bool on;
    bool off;
    uint32_t small;
    uint64_t big;
    uint64_t size_bytes;
    uint64_t wait_ms;
    const char *text;
    const char *path;
    const char *address;
    uint32_t choice;
};

static const char *const choices[] = {"red", "green", NULL};

static const struct option options[] = {
    {.name = "on", .type = OPTION_BOOL, .offset = offsetof(struct values, on), .help = "turns on"},
    {.name = "off",
     .type = OPTION_BOOL,
     .offset = offsetof(struct values, off),
     .fallback = "true",
     .help = "turns off"},
    {.name = "small",
     .type = OPTION_U32,
     .offset = offsetof(struct values, small),
     .fallback = "7",
     .min = 1,
     .max = 10,
     .help = "a few"},
    {.name = "big", .type = OPTION_U64, .offset = offsetof(struct values, big), .help = "many"},
    {.name = "size_bytes",
     .type = OPTION_SIZE,
     .offset = offsetof(struct values, size_bytes),
     .fallback = "4KiB",
     .help = "how large"},
    {.name = "wait_for_it_long",
     .type = OPTION_DURATION,
     .offset = offsetof(struct values, wait_ms),
     .help = "how long"},
    {.name = "text", .type = OPTION_STRING, .offset = offsetof(struct values, text), .help = "t"},
    {.name = "path", .type = OPTION_PATH, .offset = offsetof(struct values, path), .help = "p"},
    {.name = "address",
     .type = OPTION_ADDRESS,
     .offset = offsetof(struct values, address),
     .help = "where"},
    {.name = "choice",
     .type = OPTION_ENUM,
     .offset = offsetof(struct values, choice),
     .fallback = "green",
     .choices = choices,
     .help = "which"},
    {0},
};

static const struct cli_command command = {
    .name = "paint", .arguments = "WALL...", .text = "Paints.\n", .options = options};

/* Parses the words that follow the command's name; what is said on `stream` goes to `c`. */
static int parse(struct capture *c, int stream, struct values *values, struct cli_words *words,
                 const char *const *given)
{
    char *argv[16] = {(char *)(uintptr_t) "paint"};
    int argc = 1;
    for (; given[argc - 1]; argc++)
        argv[argc] = (char *)(uintptr_t)given[argc - 1];
    memset(values, 0xee, sizeof(*values));
    capture_begin(c, stream);
    int code = cli_parse(&command, argc, argv, values, words);
    capture_end(c);
    return code;
}

#define PARSE(c, stream, values, words, ...)                                                       \
    parse(c, stream, values, words, (const char *const[]){__VA_ARGS__, NULL})

static void without_words_all_is_default(void **state)
{
    (void)state;
    struct capture c;
    struct values v;
    struct cli_words words;
    assert_int_equal(parse(&c, 2, &v, &words, (const char *const[]){NULL}), -1);
    assert_false(v.on);
    assert_true(v.off);
    assert_int_equal(v.small, 7);
    assert_int_equal(v.big, 0);
    assert_int_equal(v.size_bytes, 4096);
    assert_int_equal(v.wait_ms, 0);
    assert_null(v.text);
    assert_null(v.path);
    assert_null(v.address);
    assert_int_equal(v.choice, 1);
    assert_int_equal(words.count, 0);
    cli_words_done(&words);
}

static void flags_take_values_behind_them_or_behind_a_sign(void **state)
{
    (void)state;
    struct capture c;
    struct values v;
    struct cli_words words;
    assert_int_equal(PARSE(&c, 2, &v, &words, "--on", "--off=false", "--small", "10", "--big=12",
                           "--size-bytes", "1MiB", "--wait-for-it-long=2s"),
                     -1);
    assert_true(v.on);
    assert_false(v.off);
    assert_int_equal(v.small, 10);
    assert_int_equal(v.big, 12);
    assert_int_equal(v.size_bytes, 1 << 20);
    assert_int_equal(v.wait_ms, 2000);
    cli_words_done(&words);
}

static void texts_are_not_copied_and_may_hold_signs(void **state)
{
    (void)state;
    struct capture c;
    struct values v;
    struct cli_words words;
    const char *text = "a=b";
    assert_int_equal(PARSE(&c, 2, &v, &words, "--text", text, "--path=x=y", "--address",
                           "localhost:80", "--choice", "red"),
                     -1);
    assert_ptr_equal(v.text, text);
    assert_string_equal(v.path, "x=y");
    assert_string_equal(v.address, "localhost:80");
    assert_int_equal(v.choice, 0);
    cli_words_done(&words);
}

static void words_keep_their_order_and_two_dashes_end_flags(void **state)
{
    (void)state;
    struct capture c;
    struct values v;
    struct cli_words words;
    assert_int_equal(PARSE(&c, 2, &v, &words, "north", "--on", "-", "--", "--text", "-x"), -1);
    assert_int_equal(words.count, 4);
    assert_string_equal(words.items[0], "north");
    assert_string_equal(words.items[1], "-");
    assert_string_equal(words.items[2], "--text");
    assert_string_equal(words.items[3], "-x");
    assert_true(v.on);
    assert_null(v.text);
    cli_words_done(&words);
}

static void a_wrong_word_is_answered_with_what_is_right(void **state)
{
    (void)state;
    static const struct {
        const char *words[3];
        const char *said;
    } cases[] = {
        {{"--smal", "3"}, "garner paint: unknown flag --smal, did you mean --small?\n"},
        {{"--size_byte", "3"},
         "garner paint: unknown flag --size_byte, did you mean "
         "--size-bytes?\n"},
        {{"--zebra"}, "garner paint: unknown flag --zebra; all flags: garner paint --help\n"},
        {{"--small", "11"},
         "garner paint: --small: expected a whole number from 1 to 10, got "
         "'11'\n"},
        {{"--small"}, "garner paint: --small: expected a whole number from 1 to 10\n"},
        {{"--on=maybe"}, "garner paint: --on: expected true or false, got 'maybe'\n"},
        {{"--choice", "blue"}, "garner paint: --choice: expected red or green, got 'blue'\n"},
        {{"--address", "here"},
         "garner paint: --address: expected an address such as "
         "127.0.0.1:8080, got 'here'\n"},
        {{"--text="}, "garner paint: --text: expected a text that is not empty, got ''\n"},
        {{"--wait-for-it-long", "5"},
         "garner paint: --wait-for-it-long: expected a duration such "
         "as 30s, got '5'\n"},
        {{"-v"}, "garner paint: flags begin with two dashes, got '-v'\n"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct capture c;
        struct values v;
        struct cli_words words;
        assert_int_equal(parse(&c, 2, &v, &words, cases[i].words), CLI_USAGE);
        assert_string_equal(c.text, cases[i].said);
    }
}

static void words_are_wrong_where_a_command_takes_none(void **state)
{
    (void)state;
    struct capture c;
    struct cli_words words;
    struct values v;
    struct cli_command bare = command;
    bare.arguments = "";
    char *argv[] = {(char *)(uintptr_t) "paint", (char *)(uintptr_t) "north"};
    capture_begin(&c, 2);
    assert_int_equal(cli_parse(&bare, 2, argv, &v, &words), CLI_USAGE);
    assert_string_equal(capture_end(&c), "garner paint: expected flags only, got 'north'\n");
}

static void help_lists_every_flag_with_its_default(void **state)
{
    (void)state;
    struct capture c;
    struct values v;
    struct cli_words words;
    assert_int_equal(PARSE(&c, 1, &v, &words, "--help"), CLI_OK);
    assert_string_equal(c.text, "usage: garner paint [FLAGS] WALL...\n\n"
                                "Paints.\n\n"
                                "  --on                     turns on\n"
                                "  --off=false              turns off\n"
                                "  --small NUMBER           a few (7)\n"
                                "  --big NUMBER             many\n"
                                "  --size-bytes SIZE        how large (4KiB)\n"
                                "  --wait-for-it-long DURATION\n"
                                "                           how long\n"
                                "  --text TEXT              t\n"
                                "  --path PATH              p\n"
                                "  --address HOST:PORT      where\n"
                                "  --choice red|green       which (green)\n"
                                "  --help                   prints this\n");
    assert_int_equal(PARSE(&c, 1, &v, &words, "north", "-h", "--zebra"), CLI_OK);
}

static void no_memory_is_said(void **state)
{
    (void)state;
    struct capture c;
    struct values v;
    struct cli_words words;
    mem_fail_after(1);
    assert_int_equal(PARSE(&c, 2, &v, &words, "north"), CLI_INTERNAL);
    mem_fail_after(0);
    assert_string_equal(c.text, "garner paint: out of memory\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_words_all_is_default),
        cmocka_unit_test(flags_take_values_behind_them_or_behind_a_sign),
        cmocka_unit_test(texts_are_not_copied_and_may_hold_signs),
        cmocka_unit_test(words_keep_their_order_and_two_dashes_end_flags),
        cmocka_unit_test(a_wrong_word_is_answered_with_what_is_right),
        cmocka_unit_test(words_are_wrong_where_a_command_takes_none),
        cmocka_unit_test(help_lists_every_flag_with_its_default),
        cmocka_unit_test(no_memory_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
