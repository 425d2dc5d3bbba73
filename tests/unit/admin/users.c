#include "admin/admin_int.h"

#include "unit/admin/door.h"

static struct admin_user *asked;
static struct control_auth_users *users;

static void take(void *owner, struct admin_user *user)
{
    assert_ptr_equal(owner, &asked);
    asked = user;
}

static const struct control_auth_users *list(void *owner)
{
    assert_ptr_equal(owner, &asked);
    return users;
}

static struct fixture *door_new(void)
{
    struct fixture *f = fixture_new();
    asked = NULL;
    f->admin->options.user = take;
    f->admin->options.users = list;
    f->admin->options.users_owner = &asked;
    return f;
}

static const char *send(struct fixture *f, const char *method, const char *name, const char *body)
{
    char request[16384];
    snprintf(request, sizeof(request),
             "%s /v1/users/%s HTTP/1.1\r\nHost: localhost:9600\r\nContent-Length: %zu\r\n\r\n%s",
             method, name, strlen(body), body);
    return ask_with(f, request);
}

static void done(int status, const char *body)
{
    asked->status = status;
    buf_add_string(&asked->body, body);
    asked->done(asked);
    asked = NULL;
}

static void changes_are_handed_over_and_answered(void **state)
{
    (void)state;
    struct fixture *f = door_new();
    assert_string_equal(send(f, "PUT", "mia%20mai", "{\"password\":\"a\\u00e9\\\"\"}"), "");
    assert_non_null(asked);
    assert_false(asked->remove);
    assert_slice(asked->name, "mia mai");
    assert_slice(asked->password, "a\xc3\xa9\"");
    done(200, "{\"added\":\"mia mai\"}\n");
    assert_starts(answer(f), "HTTP/1.1 200");
    assert_non_null(strstr(answer(f), "{\"added\":\"mia mai\"}"));
    assert_string_equal(send(f, "DELETE", "mia", ""), "");
    assert_true(asked->remove);
    assert_int_equal(asked->password.size, 0);
    done(404, "{}\n");
    assert_starts(answer(f), "HTTP/1.1 404");
    fixture_free(f);
}

static void what_is_wrong_is_told_without_the_password(void **state)
{
    (void)state;
    static const char *const bodies[] = {"",
                                         "{",
                                         "{\"password\":[\"hidden\"]}",
                                         "{\"pass\":\"hidden\"}",
                                         "{\"password\":\"\"}",
                                         "{\"password\":\"hidden\\u0000\"}"};
    struct fixture *f = door_new();
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        const char *told = send(f, "PUT", "mia", bodies[i]);
        assert_starts(told, "HTTP/1.1 400");
        assert_null(strstr(told, "hidden"));
    }
    assert_starts(send(f, "PUT", "a%01b", "{\"password\":\"x\"}"), "HTTP/1.1 400");
    assert_starts(send(f, "PATCH", "mia", ""), "HTTP/1.1 405");
    assert_starts(send(f, "DELETE", "mia", "{}"), "HTTP/1.1 413");
    assert_null(asked);
    fixture_free(f);
}

static void a_body_that_is_too_large_is_not_read(void **state)
{
    (void)state;
    struct fixture *f = door_new();
    char body[8300];
    memset(body, 'x', sizeof(body) - 1);
    body[sizeof(body) - 1] = '\0';
    assert_starts(send(f, "PUT", "mia", body), "HTTP/1.1 413");
    assert_null(asked);
    fixture_free(f);
}

static void users_are_listed_with_nothing_that_is_secret(void **state)
{
    (void)state;
    static const uint8_t random[64] = {7};
    struct control_auth_user user;
    struct fixture *f = door_new();
    assert_non_null(strstr(ask(f, "/v1/users"), "{\"users\":[]}"));
    assert_true(err_is_ok(control_auth_users_new(random, &users)));
    assert_true(err_is_ok(
        control_auth_user_make(SLICE_LITERAL("a\"b"), SLICE_LITERAL("secret"), random, &user)));
    assert_true(err_is_ok(control_auth_users_put(users, &user)));
    assert_non_null(strstr(ask(f, "/v1/users"),
                           "{\"users\":[{\"name\":\"a\\\"b\",\"mechanisms\":[\"SCRAM-SHA-256\","
                           "\"SCRAM-SHA-512\"]}]}"));
    assert_starts(ask(f, "/v1/topics/_users/records"), "HTTP/1.1 403");
    control_auth_users_free(&users);
    fixture_free(f);
}

static void a_server_without_users_says_so(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    assert_starts(send(f, "PUT", "mia", "{\"password\":\"x\"}"), "HTTP/1.1 503");
    assert_starts(send(f, "DELETE", "mia", ""), "HTTP/1.1 503");
    assert_starts(ask(f, "/v1/users"), "HTTP/1.1 200");
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_are_handed_over_and_answered),
        cmocka_unit_test(what_is_wrong_is_told_without_the_password),
        cmocka_unit_test(a_body_that_is_too_large_is_not_read),
        cmocka_unit_test(users_are_listed_with_nothing_that_is_secret),
        cmocka_unit_test(a_server_without_users_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
