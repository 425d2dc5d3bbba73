#include "base/assert.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/unit.h"

static void break_an_assertion(void)
{
    int two = 2;
    ASSERT(two + two == 5);
}

static void take_the_impossible_branch(void)
{
    UNREACHABLE("never taken");
}

/* Runs `body` in a child process that must abort; its standard error goes to `text`. */
static void last_words(void (*body)(void), char text[static 512])
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)dup2(ends[1], STDERR_FILENO);
        (void)signal(SIGABRT, SIG_DFL);
        body();
        _exit(0);
    }
    (void)close(ends[1]);
    size_t size = 0;
    for (ssize_t got = 1; got > 0 && size < 511; size += (size_t)got)
        got = read(ends[0], text + size, 511 - size);
    text[size] = '\0';
    (void)close(ends[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

static void a_broken_assertion_names_its_place_and_aborts(void **state)
{
    (void)state;
    char text[512];
    last_words(break_an_assertion, text);
    assert_non_null(strstr(text, "assert.c:"));
    assert_non_null(strstr(text, "assertion failed: two + two == 5"));
}

static void an_unreachable_branch_says_why_and_aborts(void **state)
{
    (void)state;
    char text[512];
    last_words(take_the_impossible_branch, text);
    assert_non_null(strstr(text, "never taken"));
}

static void an_assertion_that_holds_is_evaluated_once(void **state)
{
    (void)state;
    int evaluated = 0;
    ASSERT(++evaluated);
    assert_int_equal(evaluated, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_broken_assertion_names_its_place_and_aborts),
        cmocka_unit_test(an_unreachable_branch_says_why_and_aborts),
        cmocka_unit_test(an_assertion_that_holds_is_evaluated_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
