#include "server/logline.h"

#include "lib/unit.h"

#include <unistd.h>

#include "base/alloc.h"
#include "io/uv/uv.h"

#define NOON 1445428800000 /* 2015-10-21T12:00:00Z */

static void assert_line(bool plain, enum log_level level, struct slice text, const char *expected)
{
    struct buf line = {0};
    server_logline(&line, plain, NOON, level, "stopped", text);
    assert_true(buf_ok(&line));
    assert_slice(buf_slice(&line), expected);
    buf_done(&line);
}

static void a_line_for_machines_is_one_json_object(void **state)
{
    (void)state;
    assert_line(false, LOG_LEVEL_INFO, SLICE_LITERAL("all is on disk"),
                "{\"time\":\"2015-10-21T12:00:00.000Z\",\"level\":\"info\",\"event\":\"stopped\","
                "\"text\":\"all is on disk\"}\n");
    assert_line(false, LOG_LEVEL_ERROR, SLICE_LITERAL("\"a\"\n\x01\xff"),
                "{\"time\":\"2015-10-21T12:00:00.000Z\",\"level\":\"error\",\"event\":\"stopped\","
                "\"text\":\"\\\"a\\\"\\n\\u0001\xef\xbf\xbd\"}\n");
}

static void a_line_for_a_person_is_short(void **state)
{
    (void)state;
    assert_line(true, LOG_LEVEL_WARNING, SLICE_LITERAL("the disk is full"),
                "2015-10-21T12:00:00.000Z warning stopped: the disk is full\n");
    assert_line(true, LOG_LEVEL_INFO, SLICE_LITERAL(""),
                "2015-10-21T12:00:00.000Z info    stopped: \n");
}

static void a_text_cannot_begin_a_line_of_its_own(void **state)
{
    (void)state;
    assert_line(true, LOG_LEVEL_INFO, SLICE_LITERAL("a\r\nb\x1b[2Jc\x7f\xc3\xa4"),
                "2015-10-21T12:00:00.000Z info    stopped: a??b?[2Jc?\xc3\xa4\n");
}

static void without_memory_a_line_is_not_whole_and_says_so(void **state)
{
    (void)state;
    for (int plain = 0; plain < 2; plain++) {
        struct buf line = {0};
        mem_fail_after(1);
        server_logline(&line, plain, NOON, LOG_LEVEL_INFO, "stopped", SLICE_LITERAL("text"));
        mem_fail_after(0);
        assert_false(buf_ok(&line));
        buf_done(&line);
    }
}

/* Standard error while `write` is made; freed with free. */
static char *printed(struct logger *logger, const char *text, uint64_t fail_after)
{
    char path[] = "/tmp/garner-logline-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    int saved = dup(STDERR_FILENO);
    assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
    mem_fail_after(fail_after);
    logger_write(logger, LOG_LEVEL_INFO, "serving", "%s", text);
    mem_fail_after(0);
    assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
    close(saved);
    char *got = calloc(1, 8192);
    assert_true(pread(fd, got, 8191, 0) >= 0);
    close(fd);
    unlink(path);
    return got;
}

static void the_logger_writes_to_standard_error(void **state)
{
    (void)state;
    struct io_loop *loop;
    assert_true(err_is_ok(io_uv_loop_new(&loop)));
    struct server_logger logger;
    server_logger_init(&logger, loop, false);
    char *got = printed(&logger.logger, "ready \"here\"", 0);
    assert_int_equal(strncmp(got, "{\"time\":\"2", 10), 0);
    const char *rest = strstr(got, "\",\"level\"");
    assert_non_null(rest);
    assert_string_equal(rest, "\",\"level\":\"info\",\"event\":\"serving\",\"text\":"
                              "\"ready \\\"here\\\"\"}\n");
    free(got);
    server_logger_init(&logger, loop, true);
    got = printed(&logger.logger, "ready", 0);
    assert_non_null(strstr(got, "Z info    serving: ready\n"));
    free(got);
    got = printed(&logger.logger, "lost", 1);
    assert_string_equal(got, "");
    free(got);
    io_uv_loop_free(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_for_machines_is_one_json_object),
        cmocka_unit_test(a_line_for_a_person_is_short),
        cmocka_unit_test(a_text_cannot_begin_a_line_of_its_own),
        cmocka_unit_test(without_memory_a_line_is_not_whole_and_says_so),
        cmocka_unit_test(the_logger_writes_to_standard_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
