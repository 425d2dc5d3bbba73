#include "server/faults.h"

#include "lib/unit.h"

#include "io/uv/uv.h"

static const char *env(const char *name)
{
    (void)name;
    return "kill:before:any::1";
}

static void without_the_build_option_the_variable_means_nothing(void **state)
{
    (void)state;
    struct control_config_host host = {.disk = io_uv_disk(), .env = env};
    struct io_disk *disk = host.disk;
    struct err_text why = {0};
    assert_true(err_is_ok(server_faults_wrap(&host, &disk, &why)));
    assert_ptr_equal(disk, io_uv_disk());
    assert_string_equal(why.text, "");
    enum io_kind kind;
    assert_true(err_is_ok(io_disk_kind(disk, "/", &kind, NULL)));
    server_faults_unwrap(&host, &disk);
    assert_ptr_equal(disk, io_uv_disk());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_the_build_option_the_variable_means_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
