#include "cli/dlq_page.h"

#include "base/alloc.h"
#include "lib/unit.h"

#define STATE(phase, action, dry, why, outcomes)                                                   \
    "{\"number\":3,\"action\":\"" action "\",\"dry_run\":" dry ",\"phase\":\"" phase               \
    "\",\"why\":\"" why "\",\"started\":null,\"offsets\":10,\"offsets_passed\":7,\"matched\":6,"   \
    "\"done\":4,\"bytes\":2048,\"skipped_attempts\":1,\"skipped_sink\":2,\"refused\":5,"           \
    "\"outcomes\":" outcomes "}"
#define OUTCOMES                                                                                   \
    "[{\"name\":\"accepted\",\"count\":3,\"bytes\":40},{\"name\":\"js\\u001bon\",\"count\":1,"     \
    "\"bytes\":4}]"

static bool has(const struct buf *text, const char *part)
{
    return memmem(text->data, text->size, part, strlen(part)) != NULL;
}

static void assert_text(const struct buf *out, const char *text)
{
    if (!slice_equal_string(buf_slice(out), text))
        fail_msg("got:\n%.*s", SLICE_PRINTF(buf_slice(out)));
}

static void what_is_no_printable_ascii_is_escaped(void **state)
{
    (void)state;
    struct buf out = {0};
    cli_dlq_add_safe(&out, SLICE_LITERAL("a\x1b[2J\xc3\xa9\x7f\n~"), 100);
    assert_text(&out, "a\\x1b[2J\\xc3\\xa9\\x7f\\x0a~");
    buf_reset(&out);
    cli_dlq_add_safe(&out, SLICE_LITERAL("abcdef"), 3);
    assert_text(&out, "abc... (6 bytes)");
    buf_reset(&out);
    cli_dlq_add_safe(&out, SLICE_LITERAL("abc"), 3);
    assert_text(&out, "abc");
    buf_done(&out);
}

static void a_list_is_a_row_a_topic(void **state)
{
    (void)state;
    struct buf out = {0};
    assert_true(err_is_ok(cli_dlq_print_list(
        SLICE_LITERAL("{\"topics\":[\n{\"topic\":\"events\",\"held\":4,\"bytes\":2048,\"oldest\":"
                      "\"2026-09-21T14:13:20.123Z\",\"redriven\":1,\"purged\":2,\"expired\":3,"
                      "\"by_reason\":{\"json\":3,\"oversize\":1},\"by_reason_complete\":true,"
                      "\"last\":null},\n{\"topic\":\"old\",\"held\":0,\"bytes\":0,\"oldest\":null,"
                      "\"by_reason\":{},\"by_reason_complete\":true}]}"),
        &out)));
    assert_true(has(&out, "json 3 oversize 1"));
    assert_true(has(&out, "2026-09-21T14:13:20.123Z"));
    assert_true(has(&out, "2.0 KiB"));
    assert_true(has(&out, "\nold "));
    buf_reset(&out);
    assert_true(err_is(cli_dlq_print_list(SLICE_LITERAL("{\"topics\":3}"), &out), ERR_SYNTAX));
    assert_true(
        err_is(cli_dlq_print_list(SLICE_LITERAL("{\"topics\":[{\"held\":1}]}"), &out), ERR_SYNTAX));
    assert_true(err_is(cli_dlq_print_list(SLICE_LITERAL("<html>"), &out), ERR_SYNTAX));
    buf_done(&out);
}

#define LETTER                                                                                     \
    "{\"offset\":17,\"reason\":\"schema\",\"detail\":\"\\/a: \\u202e\",\"stage\":\"intake\","      \
    "\"source\":\"http\",\"attempts\":2,\"received_at\":\"2026-09-21T14:13:20.123Z\",\"bytes\":8," \
    "\"key\":\"k\",\"value\":{\"a\": \"\xc3\xa9\"}}"
#define BROKEN                                                                                     \
    "{\"offset\":18,\"reason\":\"json\",\"detail\":\"bad\",\"stage\":\"intake\",\"source\":null,"  \
    "\"attempts\":1,\"received_at\":null,\"bytes\":3,\"key\":null,\"value_base64\":\"e2E=\"}"

static void letters_are_a_few_lines_each_or_one(void **state)
{
    (void)state;
    struct buf out = {0};
    struct cli_dlq_page page;
    struct slice document = SLICE_LITERAL("{\"topic\":\"events\",\"letters\":[\n" LETTER
                                          ",\n" BROKEN "\n],\"next_offset\":19,\"end_offset\":30,"
                                          "\"complete\":false,\"held\":9}\n");
    assert_true(err_is_ok(cli_dlq_print_letters(document, false, &page, &out)));
    assert_int_equal(page.count, 2);
    assert_int_equal(page.next_offset, 19);
    assert_false(page.complete);
    assert_text(&out, "offset 17  schema  2026-09-21T14:13:20.123Z  8 B  stage intake  source http"
                      "  attempts 2\n"
                      "  /a: \\xe2\\x80\\xae\n"
                      "  key k\n"
                      "  {\"a\": \"\\xc3\\xa9\"}\n"
                      "offset 18  json  -  3 B  stage intake  source -  attempts 1\n"
                      "  bad\n"
                      "  base64 e2E=\n");
    buf_reset(&out);
    assert_true(err_is_ok(cli_dlq_print_letters(document, true, &page, &out)));
    assert_text(&out, LETTER "\n" BROKEN "\n");
    buf_reset(&out);
    assert_true(err_is(cli_dlq_print_letters(SLICE_LITERAL("{\"letters\":[]}"), false, &page, &out),
                       ERR_SYNTAX));
    assert_true(err_is(cli_dlq_print_letters(SLICE_LITERAL("{\"letters\":[{}],\"next_offset\":1}"),
                                             false, &page, &out),
                       ERR_SYNTAX));
    buf_done(&out);
}

#define PRODUCED(key, rest)                                                                        \
    "{\"letters\":[{\"offset\":1,\"reason\":\"schema\",\"detail\":\"bad\",\"stage\":\"intake\","   \
    "\"source\":\"kafka\",\"attempts\":1,\"received_at\":null,\"bytes\":2,\"partition\":3,"        \
    "\"" key "," rest ",\"value\":{}}],\"next_offset\":2,\"end_offset\":2,\"complete\":true}"

static void assert_letter(struct slice document, const char *middle)
{
    struct buf out = {0};
    struct buf wanted = {0};
    struct cli_dlq_page page;
    assert_true(err_is_ok(cli_dlq_print_letters(document, false, &page, &out)));
    buf_add_format(&wanted,
                   "offset 1  schema  -  2 B  stage intake  source kafka  attempts 1  "
                   "partition 3\n  bad\n%s  {}\n",
                   middle);
    buf_add_byte(&wanted, 0);
    assert_text(&out, (const char *)wanted.data);
    buf_done(&wanted);
    buf_done(&out);
}

static void a_letter_with_parts_of_its_own_shows_them(void **state)
{
    (void)state;
    assert_letter(SLICE_LITERAL(PRODUCED("key\":\"k\"",
                                         "\"contract_key\":\"KL\",\"headers\":["
                                         "{\"key\":\"trace\",\"value\":\"\\u001b[2J\"},"
                                         "{\"key\":\"empty\",\"value\":\"\"},"
                                         "{\"key\":\"none\",\"value\":null},"
                                         "{\"key_base64\":\"/w==\",\"value_base64\":\"/g==\"}]")),
                  "  key k\n"
                  "  contract key KL\n"
                  "  header \"trace\" \"\\u001b[2J\"\n"
                  "  header \"empty\" \"\"\n"
                  "  header \"none\" null\n"
                  "  header base64 \"/w==\" base64 \"/g==\"\n");
    /* An empty key, none, and one that is no text. */
    assert_letter(SLICE_LITERAL(PRODUCED("key\":\"\"", "\"headers\":[]")), "  key \"\"\n");
    assert_letter(SLICE_LITERAL(PRODUCED("key\":null", "\"headers\":[]")), "");
    assert_letter(SLICE_LITERAL(PRODUCED("key_base64\":\"/w==\"", "\"headers_base64\":\"AA==\"")),
                  "  key base64 /w==\n");
}

static void a_state_is_read(void **state)
{
    (void)state;
    struct cli_dlq_state s;
    assert_true(err_is_ok(
        cli_dlq_read_state(SLICE_LITERAL(STATE("running", "redrive", "false", "", OUTCOMES)), &s)));
    assert_false(s.over || s.finished || s.waiting || s.purge || s.dry_run);
    assert_int_equal(s.number, 3);
    assert_int_equal(s.offsets, 10);
    assert_int_equal(s.offsets_passed, 7);
    assert_int_equal(s.done, 4);
    assert_int_equal(s.accepted, 3);
    assert_int_equal(s.skipped_attempts, 1);
    assert_int_equal(s.skipped_sink, 2);
    assert_int_equal(s.refused, 5);
    assert_true(err_is_ok(
        cli_dlq_read_state(SLICE_LITERAL(STATE("waiting", "purge", "true", "", "[]")), &s)));
    assert_true(s.waiting && s.purge && s.dry_run && !s.over);
    assert_true(err_is_ok(
        cli_dlq_read_state(SLICE_LITERAL(STATE("failed", "purge", "true", "", "[]")), &s)));
    assert_true(s.over && !s.finished);
    assert_true(err_is_ok(
        cli_dlq_read_state(SLICE_LITERAL(STATE("finished", "purge", "true", "", "[]")), &s)));
    assert_true(s.over && s.finished);
    assert_true(err_is(cli_dlq_read_state(SLICE_LITERAL("{\"number\":1}"), &s), ERR_SYNTAX));
    assert_true(err_is(cli_dlq_read_state(SLICE_LITERAL("nothing"), &s), ERR_SYNTAX));
}

static void the_end_is_told_in_words(void **state)
{
    (void)state;
    struct buf out = {0};
    struct cli_dlq_state s;
    assert_true(err_is_ok(cli_dlq_read_state(
        SLICE_LITERAL(STATE("failed", "redrive", "false", "no \\u001broom", OUTCOMES)), &s)));
    cli_dlq_print_state(&s, "events", &out);
    assert_text(&out, "4 dead letters of events redriven (2.0 KiB)\n"
                      "           3 accepted\n"
                      "           1 js\\x1bon (dead letters again)\n"
                      "1 skipped: tried too often already; mend the cause and raise "
                      "--max-attempts, or purge them\n"
                      "2 skipped: of a sink that the configuration does not have, or without "
                      "word of which record they are; they stay held\n"
                      "not finished: no \\x1broom; the same command goes on with what is left\n");
    buf_reset(&out);
    assert_true(err_is_ok(cli_dlq_read_state(
        SLICE_LITERAL("{\"number\":1,\"action\":\"purge\",\"dry_run\":true,\"phase\":\"finished\","
                      "\"done\":2,\"outcomes\":[]}"),
        &s)));
    cli_dlq_print_state(&s, "events", &out);
    assert_text(&out, "2 dead letters of events would be purged (0 B)\n");
    buf_done(&out);
}

#define SINKS                                                                                      \
    "[{\"name\":\"sink:lake\",\"count\":3,\"bytes\":9},{\"name\":\"refused:lake\",\"count\":1,"    \
    "\"bytes\":3},{\"name\":\"unknown\",\"count\":1,\"bytes\":3}]"

static void what_became_of_letters_of_sinks_is_told_too(void **state)
{
    (void)state;
    struct buf out = {0};
    struct cli_dlq_state s;
    assert_true(err_is_ok(
        cli_dlq_read_state(SLICE_LITERAL(STATE("running", "redrive", "false", "", SINKS)), &s)));
    assert_int_equal(s.accepted, 3);
    cli_dlq_print_state(&s, "events", &out);
    assert_true(has(&out, "  3 sink:lake (delivered)\n"));
    assert_true(has(&out, "  1 refused:lake (by that sink, once more: still held)\n"));
    assert_true(has(&out, "  1 unknown (settled or still held"));
    buf_reset(&out);
    assert_true(err_is_ok(
        cli_dlq_read_state(SLICE_LITERAL(STATE("finished", "redrive", "true", "", SINKS)), &s)));
    cli_dlq_print_state(&s, "events", &out);
    assert_true(has(&out, "  3 sink:lake (would be handed to it)\n"));
    buf_done(&out);
}

static void want_of_memory_is_an_answer(void **state)
{
    (void)state;
    struct cli_dlq_page page;
    for (uint64_t n = 1; n < 30; n++) {
        struct buf out = {0};
        mem_fail_after(n);
        err_t err = cli_dlq_print_letters(
            SLICE_LITERAL("{\"letters\":[" LETTER "],\"next_offset\":1}"), false, &page, &out);
        mem_fail_after(0);
        assert_true(err_is_ok(err) || err_is(err, ERR_MEMORY));
        buf_done(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_printable_ascii_is_escaped),
        cmocka_unit_test(a_list_is_a_row_a_topic),
        cmocka_unit_test(letters_are_a_few_lines_each_or_one),
        cmocka_unit_test(a_letter_with_parts_of_its_own_shows_them),
        cmocka_unit_test(a_state_is_read),
        cmocka_unit_test(the_end_is_told_in_words),
        cmocka_unit_test(what_became_of_letters_of_sinks_is_told_too),
        cmocka_unit_test(want_of_memory_is_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
