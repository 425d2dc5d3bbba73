#include "base/uuid.h"

#include "lib/unit.h"

static const char text[] = "0123abcd-4567-89ab-cdef-00112233feff";
static const struct uuid id = {{0x01, 0x23, 0xab, 0xcd, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x00,
                                0x11, 0x22, 0x33, 0xfe, 0xff}};

static void random_bytes_become_version_4(void **state)
{
    (void)state;
    uint8_t random[16];
    char out[UUID_TEXT_SIZE + 1];
    memset(random, 0xff, sizeof(random));
    struct uuid ones = uuid_from_random(random);
    uuid_format(&ones, out);
    assert_string_equal(out, "ffffffff-ffff-4fff-bfff-ffffffffffff");
    memset(random, 0, sizeof(random));
    struct uuid zeros = uuid_from_random(random);
    uuid_format(&zeros, out);
    assert_string_equal(out, "00000000-0000-4000-8000-000000000000");
    assert_false(uuid_is_zero(&zeros));
}

static void text_goes_there_and_back(void **state)
{
    (void)state;
    char out[UUID_TEXT_SIZE + 1];
    uuid_format(&id, out);
    assert_string_equal(out, text);
    struct uuid parsed = {0};
    assert_true(err_is_ok(uuid_parse(slice_string(text), &parsed)));
    assert_true(uuid_equal(&parsed, &id));
}

static void upper_case_is_read_too(void **state)
{
    (void)state;
    struct uuid parsed = {0};
    err_t err = uuid_parse(SLICE_LITERAL("0123ABCD-4567-89AB-CDEF-00112233FEFF"), &parsed);
    assert_true(err_is_ok(err));
    assert_true(uuid_equal(&parsed, &id));
}

static void any_broken_character_is_refused_and_nothing_written(void **state)
{
    (void)state;
    static const char wrong[] = {'g', '/', ':', '@', '`', ' ', '\0', '\x80'};
    for (size_t at = 0; at < UUID_TEXT_SIZE; at++) {
        for (size_t i = 0; i < sizeof(wrong); i++) {
            char broken[UUID_TEXT_SIZE + 1];
            memcpy(broken, text, sizeof(broken));
            broken[at] = wrong[i];
            struct uuid out = id;
            err_t err = uuid_parse(slice_make(broken, UUID_TEXT_SIZE), &out);
            assert_true(err_is(err, ERR_SYNTAX));
            assert_true(uuid_equal(&out, &id));
        }
    }
}

static void any_other_length_is_refused(void **state)
{
    (void)state;
    struct uuid out = {0};
    for (size_t size = 0; size < UUID_TEXT_SIZE; size++)
        assert_true(err_is(uuid_parse(slice_make(text, size), &out), ERR_SYNTAX));
    assert_true(err_is(uuid_parse(slice_make(text, sizeof(text)), &out), ERR_SYNTAX));
    err_t braced = uuid_parse(SLICE_LITERAL("{0123abcd-4567-89ab-cdef-00112233feff}"), &out);
    assert_true(err_is(braced, ERR_SYNTAX));
    assert_true(uuid_is_zero(&out));
}

static void one_bit_makes_another_id(void **state)
{
    (void)state;
    for (size_t byte = 0; byte < 16; byte++) {
        struct uuid other = id;
        other.bytes[byte] ^= 1;
        assert_false(uuid_equal(&id, &other));
        struct uuid nearly_zero = {0};
        nearly_zero.bytes[byte] = 1;
        assert_false(uuid_is_zero(&nearly_zero));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_bytes_become_version_4),
        cmocka_unit_test(text_goes_there_and_back),
        cmocka_unit_test(upper_case_is_read_too),
        cmocka_unit_test(any_broken_character_is_refused_and_nothing_written),
        cmocka_unit_test(any_other_length_is_refused),
        cmocka_unit_test(one_bit_makes_another_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
