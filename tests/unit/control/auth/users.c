#include "control/auth/users.h"

#include <string.h>

#include "base/alloc.h"
#include "lib/unit.h"

static const uint8_t fake[CONTROL_AUTH_FAKE_SIZE] = {1, 2, 3};
static const uint8_t salts[CONTROL_AUTH_MECHANISMS * CONTROL_AUTH_SALT_SIZE] = {4, 5, 6};

static struct control_auth_users *users_new(void)
{
    struct control_auth_users *users = NULL;
    assert_true(err_is_ok(control_auth_users_new(fake, &users)));
    return users;
}

static void put(struct control_auth_users *users, const char *name, const char *password)
{
    struct control_auth_user user;
    assert_true(err_is_ok(
        control_auth_user_make(slice_string(name), slice_string(password), salts, &user)));
    assert_true(err_is_ok(control_auth_users_put(users, &user)));
}

static bool lets_in(const struct control_auth_users *users, const char *name, const char *password)
{
    struct control_auth_secret secret;
    bool known = false, same = false;
    assert_true(err_is_ok(control_auth_users_secret(users, slice_string(name), CONTROL_AUTH_SHA512,
                                                    &secret, &known)));
    assert_true(
        err_is_ok(control_auth_check(CONTROL_AUTH_SHA512, &secret, slice_string(password), &same)));
    return known && same;
}

static void users_come_change_and_go(void **state)
{
    (void)state;
    struct control_auth_users *users = users_new();
    put(users, "mia", "one");
    put(users, "adam", "two");
    put(users, "zoe", "three");
    assert_int_equal(users->count, 3);
    assert_string_equal(users->items[0].name, "adam");
    assert_string_equal(users->items[2].name, "zoe");
    assert_true(lets_in(users, "mia", "one"));
    assert_false(lets_in(users, "mia", "two"));
    assert_false(lets_in(users, "mi", "one"));
    put(users, "mia", "four");
    assert_int_equal(users->count, 3);
    assert_true(lets_in(users, "mia", "four"));
    assert_true(control_auth_users_remove(users, SLICE_LITERAL("adam")));
    assert_false(control_auth_users_remove(users, SLICE_LITERAL("adam")));
    assert_null(control_auth_users_get(users, SLICE_LITERAL("adam")));
    assert_non_null(control_auth_users_get(users, SLICE_LITERAL("zoe")));
    control_auth_users_free(&users);
    assert_null(users);
}

static void a_copy_is_changed_alone(void **state)
{
    (void)state;
    struct control_auth_users *users = users_new();
    struct control_auth_users *copy = NULL;
    put(users, "mia", "one");
    assert_true(err_is_ok(control_auth_users_copy(users, &copy)));
    put(copy, "adam", "two");
    control_auth_users_remove(copy, SLICE_LITERAL("mia"));
    assert_true(lets_in(users, "mia", "one"));
    assert_false(lets_in(users, "adam", "two"));
    assert_true(lets_in(copy, "adam", "two"));
    control_auth_users_free(&users);
    control_auth_users_free(&copy);
}

/* Asked twice, and by two servers with the same secret, a name that there is not looks the same;
 * every name and mechanism has a salt of its own. */
static void who_there_is_not_looks_like_a_user(void **state)
{
    (void)state;
    struct control_auth_users *users = users_new();
    struct control_auth_users *other = users_new();
    struct control_auth_secret a, b;
    bool known = true;
    struct slice name = SLICE_LITERAL("nobody");
    assert_true(err_is_ok(control_auth_users_secret(users, name, CONTROL_AUTH_SHA256, &a, &known)));
    assert_false(known);
    assert_true(err_is_ok(control_auth_users_secret(other, name, CONTROL_AUTH_SHA256, &b, &known)));
    assert_memory_equal(a.salt, b.salt, CONTROL_AUTH_SALT_SIZE);
    assert_int_equal(a.salt_size, CONTROL_AUTH_SALT_SIZE);
    assert_int_equal(a.iterations, CONTROL_AUTH_ITERATIONS);
    assert_true(err_is_ok(control_auth_users_secret(users, name, CONTROL_AUTH_SHA512, &b, &known)));
    assert_memory_not_equal(a.salt, b.salt, CONTROL_AUTH_SALT_SIZE);
    assert_true(err_is_ok(control_auth_users_secret(users, SLICE_LITERAL("nobody2"),
                                                    CONTROL_AUTH_SHA256, &b, &known)));
    assert_memory_not_equal(a.salt, b.salt, CONTROL_AUTH_SALT_SIZE);
    control_auth_users_free(&users);
    control_auth_users_free(&other);
}

static void records_say_all_of_it(void **state)
{
    (void)state;
    struct control_auth_users *users = users_new();
    struct control_auth_users *read = NULL;
    static const uint8_t other[CONTROL_AUTH_FAKE_SIZE] = {9};
    assert_true(err_is_ok(control_auth_users_new(other, &read)));
    put(users, "mia, with = signs \xc3\xa9", "one");
    users->items[0].set_ms = 1700000000123;
    struct buf text = {0};
    control_auth_user_render(&users->items[0], &text);
    /* Neither the password nor the name: that is the key. */
    assert_null(memmem(text.data, text.size, "one", 3));
    struct slice key = slice_string(users->items[0].name);
    assert_true(err_is_ok(control_auth_users_read(read, key, buf_slice(&text))));
    assert_int_equal(read->count, 1);
    assert_int_equal(read->items[0].set_ms, 1700000000123);
    for (size_t i = 0; i < CONTROL_AUTH_MECHANISMS; i++)
        assert_memory_equal(&read->items[0].secrets[i], &users->items[0].secrets[i],
                            sizeof(read->items[0].secrets[i]));
    assert_true(err_is_ok(control_auth_users_read(read, key, slice_make(NULL, 0))));
    assert_int_equal(read->count, 0);
    buf_reset(&text);
    assert_false(read->fake_read);
    control_auth_fake_render(users, &text);
    assert_true(err_is_ok(control_auth_users_read(read, SLICE_LITERAL(""), buf_slice(&text))));
    assert_memory_equal(read->fake, fake, sizeof(fake));
    assert_true(read->fake_read);
    buf_done(&text);
    control_auth_users_free(&users);
    control_auth_users_free(&read);
}

/* Any piece of a record and any change of it: an error or a user, and never the one before. */
static void broken_records_let_nobody_in(void **state)
{
    (void)state;
    uint64_t seed = unit_seed();
    struct control_auth_users *users = users_new();
    struct buf text = {0};
    put(users, "mia", "one");
    control_auth_user_render(&users->items[0], &text);
    struct slice key = SLICE_LITERAL("mia");
    for (size_t cut = 0; cut < text.size; cut += 5) {
        put(users, "mia", "one");
        err_t err = control_auth_users_read(users, key, slice_make(text.data, cut));
        assert_true(err_is(err, ERR_SYNTAX));
        assert_int_equal(users->count, 0);
    }
    for (int i = 0; i < 300; i++) {
        size_t at = unit_random(&seed) % text.size;
        uint8_t was = text.data[at];
        text.data[at] = (uint8_t)unit_random(&seed);
        err_t err = control_auth_users_read(users, key, buf_slice(&text));
        assert_true(err_is_ok(err) || err_is(err, ERR_SYNTAX));
        assert_int_equal(users->count, err_is_ok(err));
        text.data[at] = was;
    }
    static const char *const records[] = {
        "null", "[]", "{}", "{\"SCRAM-SHA-256\":{}}",
        "{\"SCRAM-SHA-256\":{\"salt\":\"\",\"iterations\":4096,\"stored_key\":\"\"}}"};
    for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++)
        assert_true(
            err_is(control_auth_users_read(users, key, slice_string(records[i])), ERR_SYNTAX));
    assert_true(
        err_is(control_auth_users_read(users, SLICE_LITERAL(""), SLICE_LITERAL("{}")), ERR_SYNTAX));
    assert_true(err_is(control_auth_users_read(users, SLICE_LITERAL("a\x01"), buf_slice(&text)),
                       ERR_SYNTAX));
    buf_done(&text);
    control_auth_users_free(&users);
}

static void names_are_text(void **state)
{
    (void)state;
    char name[CONTROL_AUTH_NAME_MAX + 1];
    memset(name, 'x', sizeof(name));
    assert_true(control_auth_name_valid(slice_make(name, CONTROL_AUTH_NAME_MAX)));
    assert_false(control_auth_name_valid(slice_make(name, CONTROL_AUTH_NAME_MAX + 1)));
    assert_false(control_auth_name_valid(SLICE_LITERAL("")));
    assert_false(control_auth_name_valid(SLICE_LITERAL("a\nb")));
    assert_false(control_auth_name_valid(SLICE_LITERAL("a\xff")));
    assert_true(control_auth_name_valid(SLICE_LITERAL("CN=kafka, O=\xc3\xa9")));
}

static void as_many_as_are_kept_and_no_memory_are_errors(void **state)
{
    (void)state;
    struct control_auth_users *users = users_new();
    struct control_auth_users *copy = NULL;
    struct control_auth_user user;
    assert_true(
        err_is_ok(control_auth_user_make(SLICE_LITERAL("0"), SLICE_LITERAL("p"), salts, &user)));
    mem_fail_after(1);
    assert_true(err_is(control_auth_users_put(users, &user), ERR_MEMORY));
    mem_fail_after(0);
    assert_int_equal(users->count, 0);
    for (size_t i = 0; i < CONTROL_AUTH_USERS_MAX; i++) {
        /* In no order, so that places everywhere are made. */
        int size = snprintf(user.name, sizeof(user.name), "%zu", i * 7919 % 10007);
        user.name_size = (size_t)size;
        assert_true(err_is_ok(control_auth_users_put(users, &user)));
    }
    for (size_t i = 1; i < users->count; i++)
        assert_true(strcmp(users->items[i - 1].name, users->items[i].name) < 0);
    strcpy(user.name, "more");
    user.name_size = 4;
    assert_true(err_is(control_auth_users_put(users, &user), ERR_TOO_LARGE));
    for (uint64_t n = 1; n <= 2; n++) {
        mem_fail_after(n);
        assert_true(err_is(control_auth_users_copy(users, &copy), ERR_MEMORY));
    }
    mem_fail_after(0);
    control_auth_users_free(&users);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(users_come_change_and_go),
        cmocka_unit_test(a_copy_is_changed_alone),
        cmocka_unit_test(who_there_is_not_looks_like_a_user),
        cmocka_unit_test(records_say_all_of_it),
        cmocka_unit_test(broken_records_let_nobody_in),
        cmocka_unit_test(names_are_text),
        cmocka_unit_test(as_many_as_are_kept_and_no_memory_are_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
