#include "base/logger.h"

#include "lib/unit.h"

/* A logger that keeps its last line. */
struct memory_logger {
    struct logger logger;
    int lines;
    enum log_level level;
    const char *event;
    size_t size;
    char text[4096];
};

static void keep(struct logger *logger, enum log_level level, const char *event, struct slice text)
{
    struct memory_logger *memory = (struct memory_logger *)(void *)logger;
    memory->lines++;
    memory->level = level;
    memory->event = event;
    memory->size = text.size;
    assert_in_range(text.size, 0, sizeof(memory->text) - 1);
    memcpy(memory->text, text.data, text.size);
    memory->text[text.size] = '\0';
}

static void a_line_has_its_level_event_and_text(void **state)
{
    (void)state;
    struct memory_logger memory = {.logger = {keep}};
    logger_write(&memory.logger, LOG_LEVEL_WARNING, "torn_tail", "cut at %d of %s", 4096, "wal");
    assert_int_equal(memory.lines, 1);
    assert_int_equal(memory.level, LOG_LEVEL_WARNING);
    assert_string_equal(memory.event, "torn_tail");
    assert_string_equal(memory.text, "cut at 4096 of wal");
    logger_write(&memory.logger, LOG_LEVEL_INFO, "started", "%s", "");
    assert_int_equal(memory.lines, 2);
    assert_int_equal(memory.size, 0);
}

static void without_a_logger_nothing_is_written(void **state)
{
    (void)state;
    logger_write(NULL, LOG_LEVEL_ERROR, "nobody", "%d listens", 0);
}

static void a_long_line_is_cut_and_never_overruns(void **state)
{
    (void)state;
    for (int width = 1990; width < 2010; width++) {
        struct memory_logger memory = {.logger = {keep}};
        logger_write(&memory.logger, LOG_LEVEL_DEBUG, "long", "%0*d", width, 7);
        assert_int_equal(memory.lines, 1);
        assert_in_range(memory.size, 1990, 2000);
        assert_int_equal(strspn(memory.text, "07"), memory.size);
        if (width < 1999)
            assert_int_equal(memory.size, width);
    }
}

static void levels_have_the_names_that_logs_show(void **state)
{
    (void)state;
    assert_string_equal(log_level_name(LOG_LEVEL_DEBUG), "debug");
    assert_string_equal(log_level_name(LOG_LEVEL_INFO), "info");
    assert_string_equal(log_level_name(LOG_LEVEL_WARNING), "warning");
    assert_string_equal(log_level_name(LOG_LEVEL_ERROR), "error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_its_level_event_and_text),
        cmocka_unit_test(without_a_logger_nothing_is_written),
        cmocka_unit_test(a_long_line_is_cut_and_never_overruns),
        cmocka_unit_test(levels_have_the_names_that_logs_show),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
