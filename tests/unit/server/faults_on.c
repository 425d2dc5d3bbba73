#include "server/faults.h"

#include "lib/unit.h"

#include <sys/wait.h>
#include <unistd.h>

#include "io/fault.h"
#include "io/uv/uv.h"

static const char *no_rule(const char *name)
{
    assert_string_equal(name, "GARNER_FAULT");
    return NULL;
}

static const char *empty_rule(const char *name)
{
    (void)name;
    return "";
}

static const char *failing_list(const char *name)
{
    (void)name;
    return "fail:io:list::1";
}

static const char *slow_list(const char *name)
{
    (void)name;
    return "slow:1ms:list::1";
}

static const char *deadly_list(const char *name)
{
    (void)name;
    return "kill:before:list::2";
}

static const char *nonsense(const char *name)
{
    (void)name;
    return "maim:before:list::1";
}

static int ignore(void *context, const char *name, enum io_kind kind)
{
    (void)context;
    (void)name;
    (void)kind;
    return 0;
}

static err_t list(struct io_disk *disk)
{
    return io_disk_list(disk, "/", ignore, NULL, NULL);
}

static void without_a_rule_nothing_stands_before_the_disk(void **state)
{
    (void)state;
    const char *(*const envs[])(const char *) = {no_rule, empty_rule};
    for (size_t i = 0; i < 2; i++) {
        struct control_config_host host = {.disk = io_uv_disk(), .env = envs[i]};
        struct io_disk *disk = host.disk;
        assert_true(err_is_ok(server_faults_wrap(&host, &disk, NULL)));
        assert_ptr_equal(disk, host.disk);
        server_faults_unwrap(&host, &disk);
        assert_ptr_equal(disk, host.disk);
    }
}

static void a_rule_makes_calls_fail_until_it_is_taken_away(void **state)
{
    (void)state;
    struct control_config_host host = {.disk = io_uv_disk(), .env = failing_list};
    struct io_disk *disk = host.disk;
    assert_true(err_is_ok(server_faults_wrap(&host, &disk, NULL)));
    assert_ptr_not_equal(disk, host.disk);
    assert_string_equal(err_name(list(disk)), "IO");
    assert_true(err_is_ok(list(disk)));
    assert_int_equal(io_fault_disk_count(disk), 1);
    server_faults_unwrap(&host, &disk);
    assert_ptr_equal(disk, host.disk);
}

static void a_slow_call_is_made_all_the_same(void **state)
{
    (void)state;
    struct control_config_host host = {.disk = io_uv_disk(), .env = slow_list};
    struct io_disk *disk = host.disk;
    assert_true(err_is_ok(server_faults_wrap(&host, &disk, NULL)));
    assert_true(err_is_ok(list(disk)));
    assert_int_equal(io_fault_disk_count(disk), 1);
    server_faults_unwrap(&host, &disk);
}

static void a_deadly_call_is_the_last_of_the_process(void **state)
{
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct control_config_host host = {.disk = io_uv_disk(), .env = deadly_list};
        struct io_disk *disk = host.disk;
        bool wrapped = err_is_ok(server_faults_wrap(&host, &disk, NULL));
        bool first = wrapped && err_is_ok(list(disk));
        (void)err_is_ok(list(disk));
        _exit(first ? 1 : 2);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
}

static void a_rule_that_is_wrong_is_named(void **state)
{
    (void)state;
    struct control_config_host host = {.disk = io_uv_disk(), .env = nonsense};
    struct io_disk *disk = host.disk;
    struct err_text why = {0};
    assert_string_equal(err_name(server_faults_wrap(&host, &disk, &why)), "CONFIG");
    assert_non_null(strstr(why.text, "GARNER_FAULT"));
    assert_non_null(strstr(why.text, "maim"));
    assert_ptr_equal(disk, host.disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_rule_nothing_stands_before_the_disk),
        cmocka_unit_test(a_rule_makes_calls_fail_until_it_is_taken_away),
        cmocka_unit_test(a_slow_call_is_made_all_the_same),
        cmocka_unit_test(a_deadly_call_is_the_last_of_the_process),
        cmocka_unit_test(a_rule_that_is_wrong_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
