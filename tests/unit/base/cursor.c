#include "base/cursor.h"

#include "base/alloc.h"
#include "lib/unit.h"

static const uint8_t counted[] = {0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0xf8};

static void fixed_fields_are_read_in_their_byte_order(void **state)
{
    (void)state;
    struct slice bytes = slice_make(counted, sizeof(counted));
    struct cursor c = cursor_make(bytes);
    assert_int_equal(cursor_u8(&c), 0x01);
    assert_int_equal(cursor_u16le(&c), 0x0302);
    assert_int_equal(cursor_u32le(&c), 0x07060504);
    assert_int_equal(c.rest.size, 1);
    c = cursor_make(bytes);
    assert_int_equal(cursor_u16be(&c), 0x0102);
    assert_int_equal(cursor_u32be(&c), 0x03040506);
    assert_int_equal(cursor_u16be(&c), 0x07f8);
    c = cursor_make(bytes);
    assert_true(cursor_u64le(&c) == UINT64_C(0xf807060504030201));
    c = cursor_make(bytes);
    assert_true(cursor_u64be(&c) == UINT64_C(0x01020304050607f8));
    assert_true(cursor_ok(&c));
    assert_int_equal(c.rest.size, 0);
}

static void bytes_are_a_view_of_what_is_next(void **state)
{
    (void)state;
    struct cursor c = cursor_make(SLICE_LITERAL("headbody"));
    assert_slice(cursor_bytes(&c, 4), "head");
    assert_slice(cursor_bytes(&c, 0), "");
    assert_slice(cursor_bytes(&c, 4), "body");
    assert_slice(cursor_bytes(&c, 0), "");
    assert_true(cursor_ok(&c));
}

static void reading_nothing_from_nothing_is_fine(void **state)
{
    (void)state;
    struct cursor c = cursor_make(slice_make(NULL, 0));
    assert_int_equal(cursor_bytes(&c, 0).size, 0);
    assert_true(cursor_ok(&c));
    assert_int_equal(cursor_u8(&c), 0);
    assert_false(cursor_ok(&c));
}

static void every_read_beyond_the_end_latches(void **state)
{
    (void)state;
    for (size_t size = 0; size < 8; size++) {
        struct cursor c = cursor_make(slice_make(counted, size));
        assert_int_equal(cursor_u64be(&c), 0);
        assert_false(cursor_ok(&c));
        c = cursor_make(slice_make(counted, size));
        assert_int_equal(cursor_u64le(&c), 0);
        assert_false(cursor_ok(&c));
        c = cursor_make(slice_make(counted, size));
        assert_int_equal(cursor_bytes(&c, SIZE_MAX).size, 0);
        assert_false(cursor_ok(&c));
    }
    for (size_t size = 0; size < 4; size++) {
        struct cursor c = cursor_make(slice_make(counted, size));
        (void)cursor_u32le(&c);
        assert_false(cursor_ok(&c));
        c = cursor_make(slice_make(counted, size));
        (void)cursor_u32be(&c);
        assert_false(cursor_ok(&c));
    }
    struct cursor c = cursor_make(slice_make(counted, 1));
    (void)cursor_u16le(&c);
    assert_false(cursor_ok(&c));
    c = cursor_make(slice_make(counted, 1));
    (void)cursor_u16be(&c);
    assert_false(cursor_ok(&c));
}

static void after_a_failure_every_read_gives_nothing(void **state)
{
    (void)state;
    struct cursor c = cursor_make(slice_make(counted, sizeof(counted)));
    (void)cursor_u8(&c);
    cursor_fail(&c);
    assert_int_equal(cursor_u8(&c), 0);
    assert_int_equal(cursor_u16be(&c), 0);
    assert_int_equal(cursor_u32le(&c), 0);
    assert_int_equal(cursor_uvarint(&c), 0);
    assert_int_equal(cursor_varlong(&c), 0);
    struct slice bytes = cursor_bytes(&c, 0);
    assert_null(bytes.data);
    assert_int_equal(bytes.size, 0);
    assert_false(cursor_ok(&c));
}

static void varints_are_written_and_read_alike(void **state)
{
    (void)state;
    uint64_t random = unit_seed();
    for (uint32_t i = 0; i < 20000; i++) {
        uint64_t value = unit_random(&random) >> unit_random(&random) % 64;
        struct buf b = {0};
        buf_add_uvarint(&b, value);
        buf_add_uvarint(&b, zigzag_encode((int64_t)value));
        buf_add_uvarint(&b, (uint32_t)value);
        buf_add_uvarint(&b, zigzag_encode((int32_t)value));
        assert_int_equal(b.size, uvarint_size(value) + uvarint_size(zigzag_encode((int64_t)value)) +
                                     uvarint_size((uint32_t)value) +
                                     uvarint_size(zigzag_encode((int32_t)value)));
        struct cursor c = cursor_make(buf_slice(&b));
        assert_true(cursor_uvarlong(&c) == value);
        assert_true(cursor_varlong(&c) == (int64_t)value);
        assert_int_equal(cursor_uvarint(&c), (uint32_t)value);
        assert_true(cursor_varint(&c) == (int32_t)value);
        assert_true(cursor_ok(&c));
        assert_int_equal(c.rest.size, 0);
        buf_done(&b);
    }
}

static void varints_have_the_bytes_of_the_specification(void **state)
{
    (void)state;
    static const struct {
        uint64_t value;
        const char *bytes;
        size_t size;
    } rows[] = {
        {0, "\0", 1},
        {1, "\x01", 1},
        {127, "\x7f", 1},
        {128, "\x80\x01", 2},
        {150, "\x96\x01", 2},
        {300, "\xac\x02", 2},
        {16383, "\xff\x7f", 2},
        {16384, "\x80\x80\x01", 3},
        {UINT32_MAX, "\xff\xff\xff\xff\x0f", 5},
        {UINT64_MAX, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t out[10];
        assert_int_equal(uvarint_size(rows[i].value), rows[i].size);
        assert_int_equal(uvarint_put(out, rows[i].value), rows[i].size);
        assert_memory_equal(out, rows[i].bytes, rows[i].size);
        struct cursor c = cursor_make(slice_make(rows[i].bytes, rows[i].size));
        assert_true(cursor_uvarlong(&c) == rows[i].value);
        assert_true(cursor_ok(&c));
    }
}

static void zigzag_puts_small_numbers_of_both_signs_first(void **state)
{
    (void)state;
    assert_int_equal(zigzag_encode(0), 0);
    assert_int_equal(zigzag_encode(-1), 1);
    assert_int_equal(zigzag_encode(1), 2);
    assert_int_equal(zigzag_encode(-2), 3);
    assert_true(zigzag_encode(INT64_MAX) == UINT64_MAX - 1);
    assert_true(zigzag_encode(INT64_MIN) == UINT64_MAX);
    assert_true(zigzag_decode(UINT64_MAX) == INT64_MIN);
    assert_true(zigzag_decode(UINT64_MAX - 1) == INT64_MAX);
}

static void the_edges_of_signed_varints_survive(void **state)
{
    (void)state;
    static const int32_t edges[] = {INT32_MIN, INT32_MAX, -1, 0, 1, -64, 64};
    for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
        uint8_t out[10];
        size_t size = uvarint_put(out, zigzag_encode(edges[i]));
        struct cursor c = cursor_make(slice_make(out, size));
        assert_true(cursor_varint(&c) == edges[i]);
        assert_true(cursor_ok(&c));
    }
}

static void a_varint_that_is_too_long_or_too_large_fails(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
        bool as_32;
        bool as_64;
    } rows[] = {
        {"", 0, false, false},
        {"\x80", 1, false, false},
        {"\xff\xff\xff\xff\x0f", 5, true, true},
        {"\xff\xff\xff\xff\x10", 5, false, true},
        {"\x80\x80\x80\x80\x80\x00", 6, false, true},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10, false, true},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10, false, false},
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 11, false, false},
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x80", 9, false, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct cursor c = cursor_make(slice_make(rows[i].bytes, rows[i].size));
        uint32_t as_32 = cursor_uvarint(&c);
        assert_int_equal(cursor_ok(&c), rows[i].as_32);
        assert_true(cursor_ok(&c) || as_32 == 0);
        c = cursor_make(slice_make(rows[i].bytes, rows[i].size));
        uint64_t as_64 = cursor_uvarlong(&c);
        assert_int_equal(cursor_ok(&c), rows[i].as_64);
        assert_true(cursor_ok(&c) || as_64 == 0);
    }
}

static void what_is_put_is_got(void **state)
{
    (void)state;
    uint64_t random = unit_seed();
    for (uint32_t i = 0; i < 1000; i++) {
        uint64_t value = unit_random(&random);
        uint8_t bytes[9];
        uint8_t *odd = bytes + 1;
        put_u64le(odd, value);
        assert_true(get_u64le(odd) == value);
        assert_true(get_u64be(odd) == __builtin_bswap64(value));
        put_u64be(odd, value);
        assert_true(get_u64be(odd) == value);
        put_u32le(odd, (uint32_t)value);
        assert_int_equal(get_u32le(odd), (uint32_t)value);
        assert_int_equal(odd[0], (uint8_t)value);
        put_u32be(odd, (uint32_t)value);
        assert_int_equal(get_u32be(odd), (uint32_t)value);
        assert_int_equal(odd[3], (uint8_t)value);
        put_u16le(odd, (uint16_t)value);
        assert_int_equal(get_u16le(odd), (uint16_t)value);
        assert_int_equal(odd[0], (uint8_t)value);
        put_u16be(odd, (uint16_t)value);
        assert_int_equal(get_u16be(odd), (uint16_t)value);
        assert_int_equal(odd[1], (uint8_t)value);
    }
}

static void buffers_take_fields_little_end_first(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_add_u16le(&b, 0x0201);
    buf_add_u32le(&b, 0x06050403);
    buf_add_u64le(&b, UINT64_C(0x0e0d0c0b0a090807));
    buf_add_uvarint(&b, 300);
    assert_true(buf_ok(&b));
    assert_int_equal(b.size, 16);
    assert_memory_equal(b.data, "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\xac\x02",
                        16);
    buf_done(&b);
    mem_fail_after(1);
    buf_add_u64le(&b, 1);
    mem_fail_after(0);
    assert_true(err_is(buf_error(&b), ERR_MEMORY));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fixed_fields_are_read_in_their_byte_order),
        cmocka_unit_test(bytes_are_a_view_of_what_is_next),
        cmocka_unit_test(reading_nothing_from_nothing_is_fine),
        cmocka_unit_test(every_read_beyond_the_end_latches),
        cmocka_unit_test(after_a_failure_every_read_gives_nothing),
        cmocka_unit_test(varints_are_written_and_read_alike),
        cmocka_unit_test(varints_have_the_bytes_of_the_specification),
        cmocka_unit_test(zigzag_puts_small_numbers_of_both_signs_first),
        cmocka_unit_test(the_edges_of_signed_varints_survive),
        cmocka_unit_test(a_varint_that_is_too_long_or_too_large_fails),
        cmocka_unit_test(what_is_put_is_got),
        cmocka_unit_test(buffers_take_fields_little_end_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
