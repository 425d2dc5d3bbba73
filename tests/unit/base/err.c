#include "base/err.h"

#include <errno.h>

#include "lib/unit.h"

static void every_code_has_a_name_and_a_text(void **state)
{
    (void)state;
    for (uint16_t code = 0; code < ERR_COUNT; code++) {
        err_t err = err_make((enum err_code)code);
        assert_true(strlen(err_name(err)) > 0);
        size_t size = strlen(err_string(err));
        assert_true(size > 0);
        assert_int_not_equal(err_string(err)[size - 1], '.');
        for (uint16_t other = 0; other < code; other++)
            assert_string_not_equal(err_name(err), err_name(err_make((enum err_code)other)));
    }
}

static void only_ok_is_ok(void **state)
{
    (void)state;
    assert_true(err_is_ok(err_ok()));
    assert_int_equal(err_class(err_ok()), ERR_CLASS_OK);
    assert_int_equal(err_http_status(err_ok()), 200);
    assert_int_equal(err_kafka_code(err_ok()), 0);
    for (uint16_t code = 1; code < ERR_COUNT; code++) {
        err_t err = err_make((enum err_code)code);
        assert_false(err_is_ok(err));
        assert_int_not_equal(err_class(err), ERR_CLASS_OK);
        assert_in_range(err_http_status(err), 400, 599);
        assert_int_not_equal(err_kafka_code(err), 0);
    }
}

static void pressure_is_always_worth_another_try_and_input_never(void **state)
{
    (void)state;
    for (uint16_t code = 1; code < ERR_COUNT; code++) {
        err_t err = err_make((enum err_code)code);
        if (err_class(err) == ERR_CLASS_PRESSURE)
            assert_true(err_retriable(err));
        if (err_class(err) == ERR_CLASS_INPUT || err_class(err) == ERR_CLASS_CONFIG)
            assert_false(err_retriable(err));
    }
}

static void the_table_says_what_the_doors_say(void **state)
{
    (void)state;
    assert_string_equal(err_name(err_make(ERR_LOG_FULL)), "LOG_FULL");
    assert_int_equal(err_http_status(err_make(ERR_LOG_FULL)), 503);
    assert_int_equal(err_http_status(err_make(ERR_TOO_LARGE)), 413);
    assert_int_equal(err_http_status(err_make(ERR_NOT_FOUND)), 404);
    assert_int_equal(err_http_status(err_make(ERR_RECORD_REFUSED)), 422);
    assert_int_equal(err_kafka_code(err_make(ERR_OFFSET_RANGE)), 1);
    assert_int_equal(err_kafka_code(err_make(ERR_TOO_LARGE)), 10);
}

static void the_systems_errors_find_their_code(void **state)
{
    (void)state;
    static const struct {
        int error;
        enum err_code code;
    } pairs[] = {
        {EINTR, ERR_AGAIN},
        {EAGAIN, ERR_AGAIN},
        {ENOSPC, ERR_NO_SPACE},
        {EDQUOT, ERR_NO_SPACE},
        {EFBIG, ERR_NO_SPACE},
        {EACCES, ERR_PERMISSION},
        {EPERM, ERR_PERMISSION},
        {EROFS, ERR_PERMISSION},
        {ENOENT, ERR_NO_FILE},
        {ENOTDIR, ERR_NO_FILE},
        {EEXIST, ERR_EXISTS},
        {EMFILE, ERR_FD_LIMIT},
        {ENFILE, ERR_FD_LIMIT},
        {EADDRINUSE, ERR_IN_USE},
        {EBUSY, ERR_IN_USE},
        {ENOMEM, ERR_MEMORY},
        {ENOBUFS, ERR_MEMORY},
        {ETIMEDOUT, ERR_TIMEOUT},
        {EPIPE, ERR_CLOSED},
        {ENOTCONN, ERR_CLOSED},
        {ECONNRESET, ERR_CLOSED},
        {ECONNABORTED, ERR_CLOSED},
        {ECANCELED, ERR_CANCELLED},
        {EINVAL, ERR_UNSUPPORTED},
        {ENOSYS, ERR_UNSUPPORTED},
        {EOPNOTSUPP, ERR_UNSUPPORTED},
        {EIO, ERR_IO},
        {ECONNREFUSED, ERR_IO},
        {123456, ERR_IO},
    };
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        assert_int_equal(err_from_errno(pairs[i].error).code, pairs[i].code);
}

static void detail_is_kept_and_the_code_returned(void **state)
{
    (void)state;
    struct err_text why = {0};
    err_t err = err_set(&why, ERR_CONFIG, "line %d: %s", 7, "expected a number");
    assert_true(err_is(err, ERR_CONFIG));
    assert_string_equal(why.text, "line 7: expected a number");
    assert_string_equal(err_detail(err, &why), "line 7: expected a number");
    assert_true(err_is(err_set(NULL, ERR_IO, "nobody %s", "listens"), ERR_IO));
}

static void without_detail_the_codes_own_text_stands_in(void **state)
{
    (void)state;
    struct err_text why = {0};
    assert_string_equal(err_detail(err_make(ERR_MEMORY), &why), "out of memory");
    assert_string_equal(err_detail(err_make(ERR_MEMORY), NULL), "out of memory");
}

static void prefixes_pile_up_from_the_inside_out(void **state)
{
    (void)state;
    struct err_text why = {0};
    (void)err_set(&why, ERR_IO, "no such device");
    err_prefix(&why, "segment %d", 12);
    err_prefix(&why, "log");
    assert_string_equal(why.text, "log: segment 12: no such device");
    err_prefix(NULL, "nobody listens");
}

static void a_prefix_without_detail_does_not_hide_the_codes_text(void **state)
{
    (void)state;
    struct err_text why = {0};
    err_prefix(&why, "segment 12");
    assert_string_equal(err_detail(err_make(ERR_MEMORY), &why), "out of memory");
}

static void detail_that_is_too_long_ends_in_dots(void **state)
{
    (void)state;
    char long_text[2 * ERR_TEXT_SIZE];
    memset(long_text, 'x', sizeof(long_text));
    for (size_t size = ERR_TEXT_SIZE - 3; size < ERR_TEXT_SIZE + 3; size++) {
        struct err_text why = {0};
        (void)err_set(&why, ERR_IO, "%.*s", (int)size, long_text);
        size_t kept = size < ERR_TEXT_SIZE ? size : ERR_TEXT_SIZE - 1;
        assert_int_equal(strlen(why.text), kept);
        bool cut = strcmp(why.text + kept - 3, "...") == 0;
        assert_int_equal(cut, size >= ERR_TEXT_SIZE);
    }
    struct err_text why = {0};
    (void)err_set(&why, ERR_IO, "%.*s", ERR_TEXT_SIZE - 2, long_text);
    err_prefix(&why, "outer");
    assert_memory_equal(why.text, "outer: xxx", 10);
    assert_string_equal(why.text + ERR_TEXT_SIZE - 4, "...");
}

static void detail_may_be_made_of_the_old_detail(void **state)
{
    (void)state;
    struct err_text why = {0};
    (void)err_set(&why, ERR_IO, "inner");
    (void)err_set(&why, ERR_CONFIG, "outer (%s)", why.text);
    assert_string_equal(why.text, "outer (inner)");
    err_prefix(&why, "[%s]", why.text);
    assert_string_equal(why.text, "[outer (inner)]: outer (inner)");
}

static err_t pass_on(err_t given, int *reached)
{
    TRY(given);
    (*reached)++;
    return err_make(ERR_END);
}

static void try_returns_a_failure_and_only_a_failure(void **state)
{
    (void)state;
    int reached = 0;
    assert_true(err_is(pass_on(err_make(ERR_BUSY), &reached), ERR_BUSY));
    assert_int_equal(reached, 0);
    assert_true(err_is(pass_on(err_ok(), &reached), ERR_END));
    assert_int_equal(reached, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_a_name_and_a_text),
        cmocka_unit_test(only_ok_is_ok),
        cmocka_unit_test(pressure_is_always_worth_another_try_and_input_never),
        cmocka_unit_test(the_table_says_what_the_doors_say),
        cmocka_unit_test(the_systems_errors_find_their_code),
        cmocka_unit_test(detail_is_kept_and_the_code_returned),
        cmocka_unit_test(without_detail_the_codes_own_text_stands_in),
        cmocka_unit_test(prefixes_pile_up_from_the_inside_out),
        cmocka_unit_test(a_prefix_without_detail_does_not_hide_the_codes_text),
        cmocka_unit_test(detail_that_is_too_long_ends_in_dots),
        cmocka_unit_test(detail_may_be_made_of_the_old_detail),
        cmocka_unit_test(try_returns_a_failure_and_only_a_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
