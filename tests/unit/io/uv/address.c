#include "io/uv/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static void ipv4_addresses_and_localhost_are_understood(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t address;
        uint16_t port;
    } cases[] = {
        {"127.0.0.1:8080", 0x7f000001, 8080},
        {"0.0.0.0:0", 0, 0},
        {"255.255.255.255:65535", 0xffffffff, 65535},
        {"localhost:1", 0x7f000001, 1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct io_uv_address parsed;
        assert_true(err_is_ok(io_uv_address_parse(cases[i].text, &parsed, NULL)));
        struct sockaddr_in address;
        assert_int_equal(parsed.size, sizeof(address));
        memcpy(&address, &parsed.storage, sizeof(address));
        assert_int_equal(address.sin_family, AF_INET);
        assert_int_equal(ntohl(address.sin_addr.s_addr), cases[i].address);
        assert_int_equal(ntohs(address.sin_port), cases[i].port);
    }
}

static void ipv6_addresses_stand_in_brackets(void **state)
{
    (void)state;
    struct io_uv_address parsed;
    assert_true(err_is_ok(io_uv_address_parse("[fe80::1]:443", &parsed, NULL)));
    struct sockaddr_in6 address;
    assert_int_equal(parsed.size, sizeof(address));
    memcpy(&address, &parsed.storage, sizeof(address));
    assert_int_equal(address.sin6_family, AF_INET6);
    assert_int_equal(address.sin6_addr.s6_addr[0], 0xfe);
    assert_int_equal(address.sin6_addr.s6_addr[15], 1);
    assert_int_equal(ntohs(address.sin6_port), 443);
}

static void what_is_no_address_is_shown(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        ":",
        ":80",
        "localhost",
        "localhost:",
        "localhost:65536",
        "localhost:-1",
        "localhost: 80",
        "localhost:80x",
        "LOCALHOST:80",
        "example.com:80",
        "127.0.0.1.5:80",
        "127.0.1:80",
        "127.0.0.256:80",
        "::1:80",
        "[::1]",
        "[::1:80",
        "[]:80",
        "[127.0.0.1]:80",
        "[::1%lo]:80",
        "[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]:80",
        "1111111111111111111111111111111111111111111111111111111111111111:80",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct io_uv_address parsed = {.size = 77};
        struct err_text why = {0};
        err_t err = io_uv_address_parse(texts[i], &parsed, &why);
        if (!err_is(err, ERR_INVALID))
            fail_msg("%s", texts[i]);
        assert_non_null(strstr(why.text, texts[i]));
        assert_non_null(strstr(why.text, "expected"));
        assert_int_equal(parsed.size, 77);
    }
}

static void a_host_that_is_no_number_is_a_name(void **state)
{
    (void)state;
    static const char *const names[] = {"example.com:80", "LOCALHOST:65535", "a_b-c:0",
                                        "127.0.0.1.5:80"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct io_uv_name name;
        const char *colon = strchr(names[i], ':');
        assert_true(io_uv_address_is_name(names[i], &name));
        assert_int_equal(strlen(name.host), (size_t)(colon - names[i]));
        assert_memory_equal(name.host, names[i], strlen(name.host));
        assert_string_equal(name.port, colon + 1);
    }
}

static void numbers_and_what_is_no_address_are_no_names(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "127.0.0.1:80", "[::1]:80",       "localhost:80", "",          ":80",    "example.com",
        "[::1:80",      "example.com:-1", "::1:80",       "[name]:80", "host:x",
    };
    struct io_uv_name name = {.host = "kept"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (io_uv_address_is_name(texts[i], &name))
            fail_msg("a name: %s", texts[i]);
    char longest[300];
    memset(longest, 'a', sizeof(longest));
    memcpy(longest + 254, ":80", sizeof(":80"));
    assert_false(io_uv_address_is_name(longest, &name));
    assert_string_equal(name.host, "kept");
    memcpy(longest + 253, ":80", sizeof(":80"));
    assert_true(io_uv_address_is_name(longest, &name));
    assert_int_equal(strlen(name.host), 253);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ipv4_addresses_and_localhost_are_understood),
        cmocka_unit_test(ipv6_addresses_stand_in_brackets),
        cmocka_unit_test(what_is_no_address_is_shown),
        cmocka_unit_test(a_host_that_is_no_number_is_a_name),
        cmocka_unit_test(numbers_and_what_is_no_address_are_no_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
