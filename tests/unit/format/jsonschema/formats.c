#include "format/jsonschema/formats_int.h"

#include "base/alloc.h"
#include "lib/unit.h"

/* Asserts that all texts, the last being NULL, are or are not of the format. */
static void expect(const char *name, enum format_jsonschema_truth truth, const char *const *texts)
{
    const struct format_jsonschema_format *format =
        format_jsonschema_format_find(slice_string(name));
    assert_non_null(format);
    for (; *texts; texts++) {
        size_t size = strlen(*texts);
        uint8_t *exact = mem_alloc(size);
        assert_non_null(exact);
        memcpy(exact, *texts, size);
        if (format->is(slice_make(exact, size)) != truth)
            fail_msg("%s: \"%s\" is %s", name, *texts, truth ? "not one" : "one");
        mem_free(exact);
    }
}

#define GOOD(name, ...) expect(name, FORMAT_JSONSCHEMA_YES, (const char *[]){__VA_ARGS__, NULL})
#define BAD(name, ...) expect(name, FORMAT_JSONSCHEMA_NO, (const char *[]){__VA_ARGS__, NULL})

static void dates_are_days_that_exist(void **state)
{
    (void)state;
    GOOD("date", "2024-02-29", "2000-02-29", "0000-01-01", "9999-12-31", "2023-04-30");
    BAD("date", "2023-02-29", "1900-02-29", "2023-13-01", "2023-00-01", "2023-04-31", "2023-01-00",
        "2023-1-1", "20230101", "2023-01-01 ", "2023-01-01T00:00:00Z", "",
        "\xDB\xB2"
        "023-01-01");
}

static void times_have_an_offset_and_leap_seconds_their_place(void **state)
{
    (void)state;
    GOOD("time", "00:00:00Z", "23:59:59.999999999z", "08:30:06+00:20", "23:59:60Z",
         "22:59:60-01:00", "01:29:60+01:30", "23:29:60+23:30");
    BAD("time", "24:00:00Z", "00:60:00Z", "00:00:61Z", "22:59:60Z", "23:59:60+01:00", "08:30:06",
        "08:30:06.Z", "08:30:06+24:00", "08:30:06+00:60", "08:30Z", "8:30:06Z", "08:30:06 Z",
        "08:30:06+0100", "", "08:30:06Zx");
}

static void date_times_are_both(void **state)
{
    (void)state;
    GOOD("date-time", "1963-06-19T08:30:06.283185Z", "1998-12-31T23:59:60Z", "1985-04-12t23:20:50z",
         "1990-12-31T15:59:50.123-08:00", "2026-01-31T23:59:59Z", "2024-02-29T00:00:00Z",
         "2026-04-30T00:00:00.1Z", "2026-12-31T00:00:00.123456789012345678901234Z");
    BAD("date-time", "2026-00-01T00:00:00Z", "2026-13-01T00:00:00Z", "2026-01-00T00:00:00Z",
        "2026-01-32T00:00:00Z", "2026-04-31T00:00:00Z", "2026-02-29T00:00:00Z",
        "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z", "2026-01-01T00:00:60Z",
        "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00.", "2026-01-01T00:00:00ZZ",
        "2026-01-01T00:00:0:Z", "2026/01-01T00:00:00Z", "2026-01/01T00:00:00Z",
        "2026-01-01X00:00:00Z", "2026-01-01T00.00:00Z", "2026-01-01T00:00.00Z",
        "202a-01-01T00:00:00Z", "2026-0a-01T00:00:00Z", "2026-01-0aT00:00:00Z",
        "2026-01-01T0a:00:00Z", "2026-01-01T00:0a:00Z", "1990-02-31T15:59:59.123-08:00",
        "1963-06-19 08:30:06Z", "1963-06-19", "1963-06-19T08:30:06", "T08:30:06Z",
        "1963-06-19T08:30:06Z\n", "");
}

static void durations_name_their_units_in_order(void **state)
{
    (void)state;
    GOOD("duration", "P4DT12H30M5S", "P4Y", "PT0S", "P1M", "PT1M", "P1W", "P1Y2M3D", "PT1H2M",
         "P0D", "PT36H");
    BAD("duration", "P", "PT", "P1YT", "4DT12H", "P2D1Y", "P1D2H", "PT1D", "P1Y2W", "P2S", "P1Y3D",
        "PT1H3S", "P-1D", "P1.5D", "P1", "T1H", "", "p1d", "P1D ");
}

static void hostnames_are_labels(void **state)
{
    (void)state;
    GOOD("hostname", "a", "www.example.com", "1host", "xn--4gbwdl.xn--wgbh1c", "a-b.c-d",
         "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk.com");
    BAD("hostname", "", ".", "-a", "a-", "a..b", "a_b", "a.b.", "a b", "\xC3\xA9",
        "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijkl.com");
}

static void addresses_of_mail_have_a_mailbox_and_a_place(void **state)
{
    (void)state;
    GOOD("email", "joe.bloggs@example.com", "te~st@example.com", "\"joe bloggs\"@example.com",
         "\"a@b\"@c", "\"a\\\"b\"@c", "a@[127.0.0.1]", "a@[IPv6:::1]", "a+b@c.d");
    BAD("email", "2962", "@a", "a@", ".a@b", "a.@b", "a..b@c", "a b@c", "\"a@c", "\"@c", "a@b=c",
        "a@[127.0.0.300]", "a@[IPv6:x]", "a@[127.0.0.1", "\"a\"b\"@c", "\"a\\\"@c", "a@b@c", "");
}

static void uuids_are_hexadecimal_in_five_groups(void **state)
{
    (void)state;
    const struct format_jsonschema_format *format =
        format_jsonschema_format_find(SLICE_LITERAL("uuid"));
    for (size_t i = 0; i < 36; i++) {
        char text[] = "2eb8aa08-aa98-11ea-b4aa-73b441d16380";
        text[i] = text[i] == '-' ? 'a' : 'g';
        assert_int_equal(format->is(slice_string(text)), FORMAT_JSONSCHEMA_NO);
        text[i] = '-';
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        assert_int_equal(format->is(slice_string(text)),
                         dash ? FORMAT_JSONSCHEMA_YES : FORMAT_JSONSCHEMA_NO);
    }
    GOOD("uuid", "2eb8aa08-aa98-11ea-b4aa-73b441d16380", "2EB8AA08-AA98-11EA-B4AA-73B441D16380",
         "00000000-0000-0000-0000-000000000000");
    BAD("uuid", "2eb8aa08aa9811eab4aa73b441d16380", "2eb8aa08-aa98-11ea-b4aa-73b441d1638",
        "2eb8aa08-aa98-11ea-b4aa-73b441d163800", "2eb8aa08-aa98-11ea-b4aa73b441d16380-",
        "2eb8aa08-aa98-11ea-b4ga-73b441d16380", "");
}

static void pointers_escape_tilde(void **state)
{
    (void)state;
    GOOD("json-pointer", "", "/", "/a~0b/~1", "/a//b", "/a%25");
    BAD("json-pointer", "a", "/~", "/~2", "#/a", "/a~");
}

static void patterns_are_those_of_ecma_262(void **state)
{
    (void)state;
    GOOD("regex", "", "^[a-z]+$", "(?<n>a)\\k<n>", "\\p{Letter}");
    BAD("regex", "(", "[a", "a**", "\\a", "(?i)a", "^(abc]");
}

static void network_formats_are_those_of_the_uri_module(void **state)
{
    (void)state;
    GOOD("ipv4", "127.0.0.1");
    BAD("ipv4", "127.0.0", "::1");
    GOOD("ipv6", "::1");
    BAD("ipv6", "127.0.0.1");
    GOOD("uri", "http://a/b");
    BAD("uri", "/b");
    GOOD("uri-reference", "/b", "http://a");
    BAD("uri-reference", "\\b");
}

static void other_names_are_no_formats(void **state)
{
    (void)state;
    assert_null(format_jsonschema_format_find(slice_string("")));
    assert_null(format_jsonschema_format_find(slice_string("Date")));
    assert_null(format_jsonschema_format_find(slice_string("iri")));
    assert_null(format_jsonschema_format_find(slice_string("date ")));
}

static void a_pattern_without_memory_is_neither(void **state)
{
    (void)state;
    const struct format_jsonschema_format *format =
        format_jsonschema_format_find(slice_string("regex"));
    enum format_jsonschema_truth truth = FORMAT_JSONSCHEMA_MEMORY;
    for (uint64_t n = 1; truth == FORMAT_JSONSCHEMA_MEMORY; n++) {
        mem_fail_after(n);
        truth = format->is(slice_string("a+"));
        mem_fail_after(0);
        assert_true(truth == FORMAT_JSONSCHEMA_YES || n < 100);
    }
    assert_int_equal(truth, FORMAT_JSONSCHEMA_YES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dates_are_days_that_exist),
        cmocka_unit_test(times_have_an_offset_and_leap_seconds_their_place),
        cmocka_unit_test(date_times_are_both),
        cmocka_unit_test(durations_name_their_units_in_order),
        cmocka_unit_test(hostnames_are_labels),
        cmocka_unit_test(addresses_of_mail_have_a_mailbox_and_a_place),
        cmocka_unit_test(uuids_are_hexadecimal_in_five_groups),
        cmocka_unit_test(pointers_escape_tilde),
        cmocka_unit_test(patterns_are_those_of_ecma_262),
        cmocka_unit_test(network_formats_are_those_of_the_uri_module),
        cmocka_unit_test(other_names_are_no_formats),
        cmocka_unit_test(a_pattern_without_memory_is_neither),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
