#include "unit/admin/door.h"

#include "base/alloc.h"
#include "flow/pin.h"

static const char *send(struct fixture *f, const char *method, const char *target,
                        const char *fields)
{
    char request[512];
    snprintf(request, sizeof(request), "%s %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", method,
             target, fields);
    return ask_with(f, request);
}

/* The call under way, which must be this one, comes back. */
static struct flow_pin *give(struct fixture *f, enum flow_pin_op op, enum err_code code)
{
    struct flow_pin *pin = f->pin;
    assert_non_null(pin);
    f->pin = NULL;
    assert_int_equal(pin->op, op);
    pin->error = err_make(code);
    if (op == FLOW_PIN_TAKE && code == ERR_OK) {
        pin->id = 18446744073709551557u;
        pin->lsn = 41;
        pin->log_uuid = (struct uuid){{0xab}};
        pin->data_directory = "/var/lib/\"garner\"";
    }
    pin->done(pin);
    return pin;
}

static void what_is_held_is_told(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    assert_string_equal(send(f, "POST", "/v1/backups", ""), "");
    give(f, FLOW_PIN_TAKE, ERR_OK);
    assert_starts(answer(f), "HTTP/1.1 200 OK\r\n");
    assert_ends(answer(f), "\r\n\r\n{\"id\":\"18446744073709551557\",\"lsn\":41,"
                           "\"uuid\":\"ab000000-0000-0000-0000-000000000000\",\"lease_ms\":60000,"
                           "\"data_dir\":\"/var/lib/\\\"garner\\\"\"}\n");
    fixture_free(f);
}

static void it_is_kept_and_given_back_by_its_id(void **state)
{
    (void)state;
    static const struct {
        const char *method;
        const char *target;
        enum flow_pin_op op;
        const char *end;
    } rows[] = {
        {"POST", "/v1/backups/77", FLOW_PIN_KEEP, "{\"held\":true}\n"},
        {"POST", "/v1/backups/77?log=copied", FLOW_PIN_KEEP_SEGMENTS, "{\"held\":true}\n"},
        {"DELETE", "/v1/backups/77", FLOW_PIN_GIVE_BACK, "{\"held\":false}\n"},
    };
    struct fixture *f = fixture_new();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_string_equal(send(f, rows[i].method, rows[i].target, ""), "");
        assert_int_equal(f->pin->id, 77);
        give(f, rows[i].op, ERR_OK);
        assert_starts(answer(f), "HTTP/1.1 200 OK\r\n");
        assert_ends(answer(f), rows[i].end);
    }
    fixture_free(f);
}

static void each_refusal_says_why(void **state)
{
    (void)state;
    static const struct {
        enum err_code code;
        const char *start;
        const char *part;
    } rows[] = {
        {ERR_IN_USE, "HTTP/1.1 409 ", "\"error\":\"in_use\""},
        {ERR_NOT_FOUND, "HTTP/1.1 404 ", "\"error\":\"unknown_backup\""},
        {ERR_BUSY, "HTTP/1.1 503 ", "Retry-After: 1"},
        {ERR_CANCELLED, "HTTP/1.1 503 ", "the log cannot be held"},
        {ERR_NO_SPACE, "HTTP/1.1 503 ", "no space left"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fixture *f = fixture_new();
        (void)send(f, "POST", "/v1/backups", "");
        give(f, FLOW_PIN_TAKE, rows[i].code);
        assert_starts(answer(f), rows[i].start);
        assert_non_null(strstr(answer(f), rows[i].part));
        fixture_free(f);
    }
}

static void what_is_no_id_and_no_known_word_asks_nothing(void **state)
{
    (void)state;
    static const char *const targets[] = {
        "/v1/backups/x",         "/v1/backups/0",     "/v1/backups/18446744073709551616",
        "/v1/backups/-1",        "/v1/backups/7?log", "/v1/backups/7?log=done",
        "/v1/backups/7?other=1",
    };
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        struct fixture *f = fixture_new();
        const char *said = send(f, "POST", targets[i], "");
        assert_starts(said, i < 4 ? "HTTP/1.1 404 " : "HTTP/1.1 400 ");
        assert_null(f->pin);
        fixture_free(f);
    }
}

static void it_is_changed_by_its_own_methods_from_here_alone(void **state)
{
    (void)state;
    static const struct {
        const char *method;
        const char *target;
        const char *fields;
        const char *start;
    } rows[] = {
        {"GET", "/v1/backups", "", "HTTP/1.1 405 "},
        {"DELETE", "/v1/backups", "", "HTTP/1.1 405 "},
        {"GET", "/v1/backups/7", "", "HTTP/1.1 405 "},
        {"PUT", "/v1/backups/7", "Content-Length: 0\r\n", "HTTP/1.1 405 "},
        {"POST", "/v1/ledger", "", "HTTP/1.1 405 "},
        {"POST", "/v1/backups", "Origin: http://example.com\r\n", "HTTP/1.1 403 "},
        {"POST", "/v1/backups", "Content-Length: 2\r\n", "HTTP/1.1 413 "},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fixture *f = fixture_new();
        assert_starts(send(f, rows[i].method, rows[i].target, rows[i].fields), rows[i].start);
        assert_null(f->pin);
        fixture_free(f);
    }
}

static void without_memory_it_is_refused_and_counted_off(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    bool refused = false;
    for (uint64_t n = 1; n < 20 && !refused; n++) {
        mem_fail_after(n);
        const char *said = send(f, "POST", "/v1/backups", "");
        mem_fail_after(0);
        refused = strncmp(said, "HTTP/1.1 503", 12) == 0;
        if (f->pin)
            give(f, FLOW_PIN_TAKE, ERR_OK);
        else if (!refused)
            connect_one(f);
    }
    assert_true(refused);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_held_is_told),
        cmocka_unit_test(it_is_kept_and_given_back_by_its_id),
        cmocka_unit_test(each_refusal_says_why),
        cmocka_unit_test(what_is_no_id_and_no_known_word_asks_nothing),
        cmocka_unit_test(it_is_changed_by_its_own_methods_from_here_alone),
        cmocka_unit_test(without_memory_it_is_refused_and_counted_off),
    };
    return cmocka_run_group_tests_name("admin/backup", tests, NULL, NULL);
}
