#include "unit/admin/door.h"

#include "base/alloc.h"

static const char post[] = "POST /v1/reload HTTP/1.1\r\nHost: localhost\r\n\r\n";

/* `owner` holds what was asked, and nobody has answered yet. */
static void keep(void *owner, struct admin_reload *reload)
{
    struct admin_reload **asked = owner;
    assert_null(*asked);
    *asked = reload;
}

static struct fixture *fixture_with(struct admin_reload **asked)
{
    struct fixture *f = fixture_prepare();
    struct err_text why = {0};
    struct admin_options options = options_of(f);
    options.reload = keep;
    options.reload_owner = asked;
    assert_true(err_is_ok(admin_new(&options, &f->admin, &why)));
    connect_one(f);
    return f;
}

static void it_is_answered_when_it_is_over(void **state)
{
    (void)state;
    struct admin_reload *asked = NULL;
    struct fixture *f = fixture_with(&asked);
    assert_string_equal(ask_with(f, post), "");
    assert_non_null(asked);
    asked->status = 422;
    buf_add_string(&asked->body, "{\"reloaded\":false}\n");
    asked->done(asked);
    assert_starts(answer(f), "HTTP/1.1 422 ");
    assert_ends(answer(f), "{\"reloaded\":false}\n");
    fixture_free(f);
}

static void only_a_post_asks_for_it(void **state)
{
    (void)state;
    struct admin_reload *asked = NULL;
    struct fixture *f = fixture_with(&asked);
    const char *text = ask(f, "/v1/reload");
    assert_starts(text, "HTTP/1.1 405 ");
    assert_non_null(strstr(text, "\r\nAllow: POST, OPTIONS\r\n"));
    assert_null(asked);
    fixture_free(f);
}

static void a_door_without_it_says_so(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    assert_starts(ask_with(f, post), "HTTP/1.1 503 ");
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_answered_when_it_is_over),
        cmocka_unit_test(only_a_post_asks_for_it),
        cmocka_unit_test(a_door_without_it_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
