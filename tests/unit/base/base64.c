#include "base/base64.h"

#include "lib/unit.h"

#include "base/alloc.h"

/* RFC 4648 section 10, and the letters at the end of the alphabet. */
static const struct {
    const char *bytes, *text;
} pairs[] = {
    {"", ""},
    {"f", "Zg=="},
    {"fo", "Zm8="},
    {"foo", "Zm9v"},
    {"foob", "Zm9vYg=="},
    {"fooba", "Zm9vYmE="},
    {"foobar", "Zm9vYmFy"},
    {"\xFB\xEF\xBE\xFF", "++++/w=="},
};

static void bytes_become_the_text_of_the_standard_and_come_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        struct buf text = {0}, bytes = {0};
        buf_add_base64(&text, slice_string(pairs[i].bytes));
        assert_slice(buf_slice(&text), pairs[i].text);
        assert_true(err_is_ok(base64_decode(buf_slice(&text), &bytes)));
        assert_slice(buf_slice(&bytes), pairs[i].bytes);
        buf_done(&text);
        buf_done(&bytes);
    }
}

static void every_byte_survives_at_every_place(void **state)
{
    (void)state;
    uint8_t all[259];
    for (size_t i = 0; i < sizeof(all); i++)
        all[i] = (uint8_t)(i * 7);
    for (size_t size = 0; size <= sizeof(all); size++) {
        struct buf text = {0}, bytes = {0};
        buf_add_base64(&text, slice_make(all, size));
        assert_int_equal(text.size, (size + 2) / 3 * 4);
        assert_true(err_is_ok(base64_decode(buf_slice(&text), &bytes)));
        assert_true(slice_equal(buf_slice(&bytes), slice_make(all, size)));
        buf_done(&text);
        buf_done(&bytes);
    }
}

static void what_the_encoder_would_not_write_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "A",        "AA",   "AAA",  "AAAAA",  "====",  "A===", "=AAA",     "AA=A",
        "Zg==Zg==", "Zh==", "Zm9=", "Zm9v\n", "Zm 9v", "Zm-_", "Zm9v====", "\xFFZm9"};
    struct buf out = {0};
    buf_add_string(&out, "before");
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        if (!err_is(base64_decode(slice_string(wrong[i]), &out), ERR_SYNTAX))
            fail_msg("taken: %s", wrong[i]);
        assert_slice(buf_slice(&out), "before");
    }
    buf_done(&out);
}

static void what_has_no_room_fails(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 4);
    assert_true(err_is(base64_decode(slice_string("Zm9vYmFy"), &out), ERR_TOO_LARGE));
    buf_done(&out);
    buf_reset(&out);
    buf_add_base64(&out, slice_string("foobar"));
    assert_false(buf_ok(&out));
    buf_done(&out);
    struct buf none = {0};
    mem_fail_after(1);
    assert_true(err_is(base64_decode(slice_string("Zm9v"), &none), ERR_MEMORY));
    mem_fail_after(0);
    buf_done(&none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_become_the_text_of_the_standard_and_come_back),
        cmocka_unit_test(every_byte_survives_at_every_place),
        cmocka_unit_test(what_the_encoder_would_not_write_is_refused),
        cmocka_unit_test(what_has_no_room_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
