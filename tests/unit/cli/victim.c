#include "cli/victim.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "io/uv/uv.h"
#include "lib/unit.h"

/* Each test has a directory of its own for what a victim leaves behind. */
struct fixture {
    char directory[64];
    struct cli_victim victim;
    char command[512];
};

#define DEADLINE_S 60

static void begin(struct fixture *f)
{
    *f = (struct fixture){.directory = "/tmp/garner-victim-XXXXXX"};
    assert_non_null(mkdtemp(f->directory));
}

static void end(struct fixture *f)
{
    static const char *const names[] = {"a", "b", "c"};
    cli_victim_kill(&f->victim);
    for (size_t i = 0; i < 3; i++) {
        char path[128];
        snprintf(path, sizeof(path), "%s/%s", f->directory, names[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(f->directory), 0);
}

/* Starts `script` with $D standing for the test's directory. */
static void start(struct fixture *f, const char *script)
{
    struct err_text why = {0};
    snprintf(f->command, sizeof(f->command), "D=%s; %s", f->directory, script);
    f->victim.command = f->command;
    assert_true(err_is_ok(cli_victim_start(&f->victim, &why)));
    assert_true(f->victim.group > 0);
}

/* The content of file `name` once it ends in a newline; looked for until a deadline. */
static void await_line(const struct fixture *f, const char *name, char out[static 64])
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", f->directory, name);
    for (time_t until = time(NULL) + DEADLINE_S; time(NULL) < until;) {
        FILE *file = fopen(path, "r");
        if (!file)
            continue;
        size_t size = fread(out, 1, 63, file);
        fclose(file);
        out[size] = '\0';
        if (size > 0 && out[size - 1] == '\n')
            return;
    }
    fail_msg("%s did not come", path);
}

static pid_t await_pid(const struct fixture *f, const char *name)
{
    char line[64];
    await_line(f, name, line);
    return (pid_t)strtol(line, NULL, 10);
}

static void await_end(struct fixture *f)
{
    for (time_t until = time(NULL) + DEADLINE_S; cli_victim_running(&f->victim);)
        assert_true(time(NULL) < until);
}

static bool exists(pid_t pid)
{
    return kill(pid, 0) == 0;
}

static const char *ended_how(const struct fixture *f)
{
    static char text[64];
    cli_victim_describe(&f->victim, text, sizeof(text));
    return text;
}

static void a_command_runs_in_a_group_of_its_own(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    start(&f, "echo $$ >$D/a; exec sleep 1000");
    pid_t pid = await_pid(&f, "a");
    assert_int_equal(pid, f.victim.group);
    assert_int_equal(getpgid(pid), pid);
    assert_int_not_equal(getpgid(0), pid);
    assert_true(cli_victim_running(&f.victim));
    end(&f);
    assert_false(exists(pid));
}

static void it_has_no_input(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    start(&f, "cat >$D/a; echo end >>$D/a");
    char line[64];
    await_line(&f, "a", line);
    assert_string_equal(line, "end\n");
    await_end(&f);
    end(&f);
}

static void a_kill_takes_the_children_of_the_command_too(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    start(&f, "sleep 1000 & echo $! >$D/a; (sleep 1000 & echo $! >$D/b; wait); wait");
    pid_t child = await_pid(&f, "a");
    pid_t grandchild = await_pid(&f, "b");
    assert_true(exists(child) && exists(grandchild));
    cli_victim_kill(&f.victim);
    assert_int_equal(f.victim.group, 0);
    assert_false(exists(child));
    assert_false(exists(grandchild));
    assert_string_equal(ended_how(&f), "by signal 9");
    cli_victim_kill(&f.victim);
    end(&f);
}

static void a_kill_cannot_be_ignored(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    start(&f, "trap '' TERM INT HUP; echo $$ >$D/a; while :; do sleep 1000; done");
    pid_t pid = await_pid(&f, "a");
    cli_victim_terminate(&f.victim);
    assert_true(cli_victim_running(&f.victim));
    cli_victim_kill(&f.victim);
    assert_false(exists(pid));
    end(&f);
}

/* Somebody else's process, of the same program, in no way related but by its parent. */
static void nothing_else_is_killed(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    pid_t other = fork();
    if (other == 0) {
        setpgid(0, 0);
        execl("/bin/sleep", "sleep", "1000", (char *)NULL);
        _exit(127);
    }
    start(&f, "echo $$ >$D/a; exec sleep 1000");
    await_pid(&f, "a");
    cli_victim_kill(&f.victim);
    start(&f, "echo $$ >$D/b; exec sleep 1000");
    await_pid(&f, "b");
    cli_victim_terminate(&f.victim);
    await_end(&f);
    assert_true(exists(other));
    int status = 0;
    assert_int_equal(waitpid(other, &status, WNOHANG), 0);
    kill(other, SIGKILL);
    assert_int_equal(waitpid(other, &status, 0), other);
    end(&f);
}

static void what_left_the_group_lives_on(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    start(&f, "setsid sleep 1000 & echo $! >$D/a; wait");
    pid_t left = await_pid(&f, "a");
    for (time_t until = time(NULL) + DEADLINE_S; getpgid(left) == f.victim.group;)
        assert_true(time(NULL) < until);
    cli_victim_kill(&f.victim);
    assert_true(exists(left));
    kill(left, SIGKILL);
    assert_int_equal(waitpid(left, NULL, 0), left);
    end(&f);
}

static void it_can_be_started_again_after_every_end(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    pid_t last = 0;
    for (int i = 0; i < 5; i++) {
        start(&f, "exec sleep 1000");
        assert_int_not_equal(f.victim.group, last);
        last = f.victim.group;
        cli_victim_kill(&f.victim);
        assert_false(cli_victim_running(&f.victim));
    }
    end(&f);
}

static void its_end_is_told_as_it_was(void **state)
{
    (void)state;
    static const char *const ends[][2] = {
        {"exit 0", "with exit code 0"},
        {"exit 78", "with exit code 78"},
        {"kill -TERM $$", "by signal 15"},
        {"kill -ABRT $$", "by signal 6"},
        {"/no/such/program 2>/dev/null", "with exit code 127"},
    };
    struct fixture f;
    begin(&f);
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        start(&f, ends[i][0]);
        await_end(&f);
        assert_string_equal(ended_how(&f), ends[i][1]);
    }
    end(&f);
}

static void it_runs_until_the_last_of_its_group_has_ended(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    start(&f, "mkfifo $D/b; (read x <$D/b; exit 3) & echo $! >$D/a; exit 5");
    pid_t child = await_pid(&f, "a");
    /* The shell is gone once its child has another parent. */
    for (time_t until = time(NULL) + DEADLINE_S; exists(f.victim.group);) {
        assert_true(time(NULL) < until);
        assert_true(cli_victim_running(&f.victim));
    }
    assert_true(exists(child));
    assert_true(cli_victim_running(&f.victim));
    char path[128];
    snprintf(path, sizeof(path), "%s/b", f.directory);
    FILE *fifo = fopen(path, "w");
    assert_non_null(fifo);
    fputs("go\n", fifo);
    fclose(fifo);
    await_end(&f);
    assert_string_equal(ended_how(&f), "with exit code 5");
    end(&f);
}

static void one_that_does_not_run_is_neither_killed_nor_running(void **state)
{
    (void)state;
    struct cli_victim victim = {0};
    assert_false(cli_victim_running(&victim));
    cli_victim_kill(&victim);
    cli_victim_terminate(&victim);
    assert_int_equal(victim.group, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_command_runs_in_a_group_of_its_own),
        cmocka_unit_test(it_has_no_input),
        cmocka_unit_test(a_kill_takes_the_children_of_the_command_too),
        cmocka_unit_test(a_kill_cannot_be_ignored),
        cmocka_unit_test(nothing_else_is_killed),
        cmocka_unit_test(what_left_the_group_lives_on),
        cmocka_unit_test(it_can_be_started_again_after_every_end),
        cmocka_unit_test(its_end_is_told_as_it_was),
        cmocka_unit_test(it_runs_until_the_last_of_its_group_has_ended),
        cmocka_unit_test(one_that_does_not_run_is_neither_killed_nor_running),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
