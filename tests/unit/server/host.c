#include "server/server.h"

#include "lib/unit.h"

#include <sys/stat.h>
#include <unistd.h>

#include "io/uv/uv.h"

static const char *env(const char *name)
{
    return strcmp(name, "GARNER_TEST") == 0 ? "yes" : NULL;
}

static void the_host_is_this_machine_seen_from_the_current_directory(void **state)
{
    (void)state;
    struct server_host host;
    assert_true(err_is_ok(server_host_init(&host, env)));
    char here[4096];
    assert_non_null(getcwd(here, sizeof(here)));
    assert_string_equal(host.host.directory, here);
    assert_ptr_equal(host.host.disk, io_uv_disk());
    assert_true(host.host.memory_bytes > 1 << 20);
    assert_string_equal(host.host.env("GARNER_TEST"), "yes");
    assert_null(host.host.env("GARNER_OTHER"));
    assert_ptr_equal(host.host.sink_types, host.sink_types);
    assert_string_equal(host.host.sink_types[0].name, "file");
}

static void a_current_directory_that_is_gone_is_an_error(void **state)
{
    (void)state;
    char here[4096];
    assert_non_null(getcwd(here, sizeof(here)));
    char gone[] = "/tmp/garner-host-XXXXXX";
    assert_non_null(mkdtemp(gone));
    assert_int_equal(chdir(gone), 0);
    assert_int_equal(rmdir(gone), 0);
    struct server_host host;
    err_t err = server_host_init(&host, env);
    assert_int_equal(chdir(here), 0);
    assert_string_equal(err_name(err), "NO_FILE");
    assert_int_equal(err_class(err), ERR_CLASS_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_host_is_this_machine_seen_from_the_current_directory),
        cmocka_unit_test(a_current_directory_that_is_gone_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
