#include "unit/admin/door.h"

#include "format/json/json.h"

/* What stands behind the head. */
static struct slice body_of(const char *text)
{
    const char *body = strstr(text, "\r\n\r\n");
    assert_non_null(body);
    return slice_string(body + 4);
}

static void all_contracts_in_force_are_listed(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    const char *text = ask(f, "/v1/contracts");
    assert_starts(text, "HTTP/1.1 200 ");
    assert_true(err_is_ok(format_json_check(body_of(text), NULL, 8, NULL, NULL)));
    assert_non_null(strstr(text, "{\"contracts\":[\n{\"topic\":\"flights\",\"since\":null,"));
    assert_non_null(strstr(text, ",\n{\"topic\":\"other\","));
    assert_ends(text, "\n]}\n");
    fixture_free(f);
}

static void one_is_asked_for_by_its_topic(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    const char *text = ask(f, "/v1/contracts/other");
    assert_starts(text, "HTTP/1.1 200 ");
    assert_true(slice_starts_with(body_of(text), SLICE_LITERAL("{\"topic\":\"other\",")));
    assert_ends(text, "\"schema\":null}\n");
    fixture_free(f);
}

static void others_come_into_force(void **state)
{
    (void)state;
    static const struct control_catalog_topic topics[] = {{.name = "more", .partitions = 7}};
    static const struct control_catalog more = {.topics = topics, .topic_count = 1};
    struct fixture *f = fixture_new();
    admin_set_catalog(f->admin, &more);
    assert_non_null(strstr(ask(f, "/v1/contracts/more"), "\"partitions\":7,"));
    assert_starts(ask(f, "/v1/contracts/other"), "HTTP/1.1 404 ");
    fixture_free(f);
}

static void a_topic_without_a_contract_is_told(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    const char *text = ask(f, "/v1/contracts/none");
    assert_starts(text, "HTTP/1.1 404 ");
    assert_non_null(strstr(text, "\"error\":\"unknown_topic\""));
    assert_non_null(strstr(text, "no contract in force declares a topic none"));
    /* A dead-letter topic has none of its own. */
    assert_starts(ask(f, "/v1/contracts/flights.dlq"), "HTTP/1.1 404 ");
    fixture_free(f);
}

static void they_are_only_read(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    assert_starts(ask_with(f, "POST /v1/contracts HTTP/1.1\r\nHost: localhost\r\n\r\n"),
                  "HTTP/1.1 405 ");
    assert_starts(ask_with(f, "DELETE /v1/contracts/other HTTP/1.1\r\nHost: localhost\r\n\r\n"),
                  "HTTP/1.1 405 ");
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_contracts_in_force_are_listed),
        cmocka_unit_test(one_is_asked_for_by_its_topic),
        cmocka_unit_test(others_come_into_force),
        cmocka_unit_test(a_topic_without_a_contract_is_told),
        cmocka_unit_test(they_are_only_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
