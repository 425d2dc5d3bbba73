#include "control/suggest.h"

#include "lib/unit.h"

static const char *best(const char *name, const char *const *candidates)
{
    struct control_suggest suggest = control_suggest_for(slice_string(name));
    for (; *candidates; candidates++)
        control_suggest_offer(&suggest, *candidates);
    return suggest.best;
}

static const char *const fields[] = {"listen", "topics", "topic", "type", "path", NULL};

static void one_mistake_of_each_kind_is_forgiven(void **state)
{
    (void)state;
    assert_string_equal(best("lisen", fields), "listen");   /* a letter left out */
    assert_string_equal(best("listten", fields), "listen"); /* one too many */
    assert_string_equal(best("lusten", fields), "listen");  /* a wrong one */
    assert_string_equal(best("litsen", fields), "listen");  /* two swapped */
    assert_string_equal(best("pth", fields), "path");
}

static void the_nearest_wins(void **state)
{
    (void)state;
    assert_string_equal(best("topicss", fields), "topics");
    assert_string_equal(best("topi", fields), "topic");
    assert_string_equal(best("typ", fields), "type");
}

static void what_is_far_is_not_suggested(void **state)
{
    (void)state;
    assert_null(best("xyz", fields));
    assert_null(best("retention", fields));
    assert_null(best("", fields));
    assert_null(best("ab", fields));
}

static void names_of_any_length_are_safe(void **state)
{
    (void)state;
    char name[65 + 1];
    memset(name, 'a', 65);
    name[65] = '\0';
    const char *const same[] = {name, NULL};
    assert_null(best(name, same));
    const char *const shorter[] = {name + 1, NULL};
    assert_string_equal(best(name + 1, shorter), name + 1);
    assert_null(best("listen", same));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_mistake_of_each_kind_is_forgiven),
        cmocka_unit_test(the_nearest_wins),
        cmocka_unit_test(what_is_far_is_not_suggested),
        cmocka_unit_test(names_of_any_length_are_safe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
