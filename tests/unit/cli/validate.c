#include "cli/validate.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "unit/cli/capture.h"

static const char schema_text[] = "{\"type\":\"object\",\"required\":[\"n\"],"
                                  "\"properties\":{\"n\":{\"type\":\"integer\"}}}";

struct result {
    int code;
    char text[4096];
};

/* Runs `input` through the schema, from a file. */
static void validate(struct slice input, bool json, struct result *out)
{
    struct format_jsonschema *schema = NULL;
    FILE *in = tmpfile(), *printed = tmpfile();
    assert_true(in && printed);
    assert_int_equal(fwrite(input.data, 1, input.size, in), input.size);
    assert_int_equal(fflush(in), 0);
    assert_int_equal(lseek(fileno(in), 0, SEEK_SET), 0);
    assert_true(
        err_is_ok(format_jsonschema_compile(slice_string(schema_text), NULL, &schema, NULL)));
    out->code = cli_validate_stream(schema, fileno(in), printed, json);
    rewind(printed);
    out->text[fread(out->text, 1, sizeof(out->text) - 1, printed)] = '\0';
    format_jsonschema_free(&schema);
    fclose(in);
    fclose(printed);
}

static void expect(const char *input, bool json, int code, const char *text)
{
    struct result r;
    validate(slice_string(input), json, &r);
    assert_string_equal(r.text, text);
    assert_int_equal(r.code, code);
}

static void every_record_gets_a_verdict(void **state)
{
    (void)state;
    expect("{\"n\":1}\n{\"n\":\"x\"}\n{}\n{\"n\":\n7\n", false, CLI_FAILED,
           "ok\n"
           "error\t/n\texpected integer, got string (type)\n"
           "error\t\texpected property \"n\" (required)\n"
           "error\t\tbyte 5: expected a value (json)\n"
           "error\t\texpected object, got number (type)\n");
    expect("{\"n\":1}\n{\"n\":2.0}\n", false, CLI_OK, "ok\nok\n");
}

static void blank_lines_and_a_missing_newline_are_fine(void **state)
{
    (void)state;
    expect("", false, CLI_OK, "");
    expect("\n\r\n  \n", false, CLI_OK, "");
    expect("{\"n\":1}\r\n\n{\"n\":2}", false, CLI_OK, "ok\nok\n");
}

static void json_tells_line_and_keyword(void **state)
{
    (void)state;
    expect("{\"n\":1}\n\n{\"n\":null}\n", true, CLI_FAILED,
           "{\"line\":1,\"valid\":true}\n"
           "{\"line\":3,\"valid\":false,\"path\":\"/n\",\"keyword\":\"type\","
           "\"message\":\"expected integer, got null (type)\"}\n");
}

static void add_record(struct buf *b, size_t size)
{
    size_t start = b->size;
    buf_add_string(b, "{\"n\":1,\"x\":\"");
    while (b->size - start < size - 2)
        buf_add_byte(b, 'x');
    buf_add_string(b, "\"}");
}

/* Records that begin in one block and end in another, at the limit and over it. */
static void long_records_are_whole_or_refused(void **state)
{
    (void)state;
    struct buf input = {0};
    struct result r;
    add_record(&input, CLI_VALIDATE_RECORD_MAX);
    buf_add_byte(&input, '\n');
    add_record(&input, CLI_VALIDATE_RECORD_MAX + 1);
    buf_add_string(&input, "\n{\"n\":2}\n");
    add_record(&input, 3 * CLI_VALIDATE_RECORD_MAX);
    buf_add_string(&input, "\n{\"n\":3}\n");
    add_record(&input, 2 * CLI_VALIDATE_RECORD_MAX);
    assert_true(buf_ok(&input));
    validate(buf_slice(&input), false, &r);
    assert_int_equal(r.code, CLI_FAILED);
#define OVERSIZE "error\t\texpected a record of at most 1 MiB (oversize)\n"
    assert_string_equal(r.text, "ok\n" OVERSIZE "ok\n" OVERSIZE "ok\n" OVERSIZE);
    buf_done(&input);
}

static void what_cannot_be_read_has_no_verdict(void **state)
{
    (void)state;
    struct format_jsonschema *schema = NULL;
    assert_true(
        err_is_ok(format_jsonschema_compile(slice_string(schema_text), NULL, &schema, NULL)));
    FILE *out = tmpfile();
    assert_non_null(out);
    assert_int_equal(cli_validate_stream(schema, -1, out, false), CLI_IO);
    fclose(out);
    format_jsonschema_free(&schema);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    struct format_jsonschema *schema = NULL;
    assert_true(
        err_is_ok(format_jsonschema_compile(slice_string(schema_text), NULL, &schema, NULL)));
    int code = CLI_INTERNAL;
    for (uint64_t n = 1; code == CLI_INTERNAL; n++) {
        FILE *in = tmpfile(), *out = tmpfile();
        assert_true(in && out);
        fputs("{\"n\":1}\n{\"n\":\"\\n\"}\n{\"", in);
        fflush(in);
        assert_int_equal(lseek(fileno(in), 0, SEEK_SET), 0);
        mem_fail_after(n);
        code = cli_validate_stream(schema, fileno(in), out, true);
        mem_fail_after(0);
        fclose(in);
        fclose(out);
    }
    assert_int_equal(code, CLI_FAILED);
    format_jsonschema_free(&schema);
}

/* Writes a schema to a file of the test's own; returns its name. */
static const char *schema_file(char *path, size_t capacity, const char *text)
{
    snprintf(path, capacity, "/tmp/unit_validate_%d.json", (int)getpid());
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    return path;
}

/* The command with this schema prints `err` on standard error and ends with `code`. */
static void expect_command(const char *text, int code, const char *err)
{
    char path[64], expected[512];
    struct cli cli = capture_cli();
    struct capture seen;
    schema_file(path, sizeof(path), text);
    const char *words[] = {"validate", "--schema", path, NULL};
    assert_int_equal(capture_run(&seen, 2, cli_validate, &cli, words), code);
    snprintf(expected, sizeof(expected), "garner validate: %s: %s\n", path, err);
    assert_string_equal(seen.text, expected);
    remove(path);
}

static void a_wrong_schema_is_a_wrong_configuration(void **state)
{
    (void)state;
    expect_command("{\"minLength\":-1}", CLI_CONFIG,
                   "#/minLength: expected an integer that is not negative");
    expect_command("{", CLI_CONFIG, "#: byte 1: expected a key");
    expect_command("{\"$schema\":\"http://json-schema.org/draft-04/schema#\"}", CLI_CONFIG,
                   "#/$schema: expected https://json-schema.org/draft/2020-12/schema or "
                   "http://json-schema.org/draft-07/schema#");
}

static void a_schema_that_is_not_there_is_said(void **state)
{
    (void)state;
    struct cli cli = capture_cli();
    struct capture seen;
    const char *words[] = {"validate", "--schema", "/nowhere/s.json", NULL};
    assert_int_equal(capture_run(&seen, 2, cli_validate, &cli, words), CLI_CONFIG);
    assert_string_equal(seen.text, "garner validate: /nowhere/s.json: no such file or directory\n");
    const char *none[] = {"validate", NULL};
    assert_int_equal(capture_run(&seen, 2, cli_validate, &cli, none), CLI_USAGE);
    const char *draft[] = {"validate", "--schema", "x", "--draft", "4", NULL};
    assert_int_equal(capture_run(&seen, 2, cli_validate, &cli, draft), CLI_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_record_gets_a_verdict),
        cmocka_unit_test(blank_lines_and_a_missing_newline_are_fine),
        cmocka_unit_test(json_tells_line_and_keyword),
        cmocka_unit_test(long_records_are_whole_or_refused),
        cmocka_unit_test(what_cannot_be_read_has_no_verdict),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(a_wrong_schema_is_a_wrong_configuration),
        cmocka_unit_test(a_schema_that_is_not_there_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
