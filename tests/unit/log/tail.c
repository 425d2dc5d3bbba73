#include "lib/unit.h"

#include "base/alloc.h"
#include "log/tail.h"

#define TAIL_SIZE (UINT64_C(16) << 20)
#define FRAME (UINT64_C(4) << 20)

/* Composes, seals and publishes a frame of `size` bytes filled with `fill`. */
static const uint8_t *put(struct log_tail *tail, uint64_t size, uint64_t file, uint64_t offset,
                          uint8_t fill)
{
    uint8_t *data = log_tail_reserve(tail, tail->frame_size);
    memset(data, fill, (size_t)size);
    log_tail_seal(tail, data, size);
    log_tail_publish(tail, data, size, (struct log_position){file, offset});
    return data;
}

static const uint8_t *find(const struct log_tail *tail, uint64_t file, uint64_t offset,
                           uint64_t size)
{
    return log_tail_find(tail, (struct log_position){file, offset}, size);
}

static void setup(struct log_tail *tail)
{
    err_t err = log_tail_init(tail, TAIL_SIZE);
    assert_true(err_is_ok(err));
}

static void a_published_frame_is_found_by_any_place_inside(void **state)
{
    (void)state;
    struct log_tail tail;
    setup(&tail);
    const uint8_t *first = put(&tail, 8192, 1, 0, 'a');
    const uint8_t *second = put(&tail, 4096, 1, 8192, 'b');
    const uint8_t *third = put(&tail, 4096, 2, 0, 'c');
    assert_ptr_equal(find(&tail, 1, 0, 8192), first);
    assert_ptr_equal(find(&tail, 1, 100, 10), first + 100);
    assert_ptr_equal(find(&tail, 1, 8191, 1), first + 8191);
    assert_ptr_equal(find(&tail, 1, 8192, 1), second);
    assert_ptr_equal(find(&tail, 2, 4095, 1), third + 4095);
    log_tail_done(&tail);
}

static void what_is_not_there_whole_is_not_found(void **state)
{
    (void)state;
    struct log_tail tail;
    setup(&tail);
    assert_null(find(&tail, 1, 0, 1));
    put(&tail, 8192, 2, 4096, 'a');
    assert_null(find(&tail, 2, 0, 1));
    assert_null(find(&tail, 2, 4095, 1));
    assert_null(find(&tail, 2, 4096, 8193));
    assert_null(find(&tail, 2, 12287, 2));
    assert_null(find(&tail, 2, 12288, 1));
    assert_null(find(&tail, 1, 4096, 1));
    assert_null(find(&tail, 3, 4096, 1));
    log_tail_done(&tail);
}

static void an_unpublished_frame_is_not_found_and_an_unsealed_room_is_given_again(void **state)
{
    (void)state;
    struct log_tail tail;
    setup(&tail);
    uint8_t *data = log_tail_reserve(&tail, FRAME);
    assert_ptr_equal(log_tail_reserve(&tail, FRAME), data);
    log_tail_seal(&tail, data, 4096);
    assert_null(find(&tail, 1, 0, 1));
    assert_ptr_equal(log_tail_reserve(&tail, FRAME), data + 4096);
    log_tail_done(&tail);
}

static void frames_are_a_quarter_of_a_small_ring(void **state)
{
    (void)state;
    struct log_tail tail;
    setup(&tail);
    assert_int_equal(tail.frame_size, LOG_FRAME_SIZE_TARGET);
    log_tail_done(&tail);
    err_t err = log_tail_init(&tail, LOG_TAIL_SIZE_MIN + 5000);
    assert_true(err_is_ok(err));
    assert_int_equal(tail.frame_size, LOG_TAIL_SIZE_MIN / 4);
    for (uint64_t i = 0; i < 9; i++)
        put(&tail, tail.frame_size, 1, i * tail.frame_size, (uint8_t)i);
    assert_int_equal(*find(&tail, 1, 8 * tail.frame_size, 1), 8);
    assert_null(find(&tail, 1, 0, 1));
    log_tail_done(&tail);
}

static void the_oldest_frames_make_room(void **state)
{
    (void)state;
    struct log_tail tail;
    setup(&tail);
    uint64_t frames = TAIL_SIZE / FRAME;
    for (uint64_t i = 0; i < frames; i++)
        put(&tail, FRAME, 1, i * FRAME, (uint8_t)i);
    for (uint64_t i = 0; i < frames; i++)
        assert_int_equal(*find(&tail, 1, i * FRAME, FRAME), i);
    put(&tail, FRAME, 1, frames * FRAME, 'z');
    assert_null(find(&tail, 1, 0, 1));
    assert_non_null(find(&tail, 1, FRAME, 1));
    assert_int_equal(*find(&tail, 1, frames * FRAME, 1), 'z');
    log_tail_done(&tail);
}

static void an_end_too_short_for_a_frame_is_skipped(void **state)
{
    (void)state;
    struct log_tail tail;
    setup(&tail);
    /* The last one ends a block behind the place from which a whole frame fits. */
    put(&tail, FRAME, 1, 0, 'a');
    put(&tail, FRAME, 1, FRAME, 'b');
    put(&tail, FRAME, 1, 2 * FRAME, 'c');
    put(&tail, 4096, 1, 3 * FRAME, 'd');
    const uint8_t *wrapped = put(&tail, 4096, 1, 3 * FRAME + 4096, 'e');
    assert_ptr_equal(wrapped, tail.data);
    assert_null(find(&tail, 1, 0, 1));
    assert_int_equal(*find(&tail, 1, FRAME, 1), 'b');
    assert_int_equal(*find(&tail, 1, 3 * FRAME, 1), 'd');
    assert_int_equal(*find(&tail, 1, 3 * FRAME + 4096, 1), 'e');
    log_tail_done(&tail);
}

/* What is found is what was put there, whatever was put since. */
static void a_frame_that_is_found_is_the_one_that_was_put(void **state)
{
    (void)state;
    uint64_t seed = unit_seed();
    struct log_tail tail;
    setup(&tail);
    enum { COUNT = 300 };
    struct {
        uint64_t offset, size;
    } frames[COUNT];
    uint64_t offset = 0;
    uint64_t found = 0;
    for (size_t i = 0; i < COUNT; i++) {
        uint64_t blocks = 1 + unit_random(&seed) % (unit_random(&seed) % 4 ? 8 : FRAME / 4096);
        frames[i].offset = offset;
        frames[i].size = blocks * 4096;
        put(&tail, frames[i].size, 1 + i / 100, offset, (uint8_t)i);
        offset = (i + 1) % 100 ? offset + frames[i].size : 0;
        for (size_t j = i < 50 ? 0 : i - 50; j <= i; j++) {
            const uint8_t *data = find(&tail, 1 + j / 100, frames[j].offset, frames[j].size);
            assert_true(!data || (data[0] == (uint8_t)j && data[frames[j].size - 1] == (uint8_t)j));
            found += data != NULL;
            assert_true(data || j < i);
        }
    }
    assert_true(found > COUNT);
    log_tail_done(&tail);
}

static void without_memory_there_is_no_ring(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 2; n++) {
        struct log_tail tail;
        mem_fail_after(n);
        err_t err = log_tail_init(&tail, TAIL_SIZE);
        mem_fail_after(0);
        assert_true(err_is(err, ERR_MEMORY));
        assert_null(tail.data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_published_frame_is_found_by_any_place_inside),
        cmocka_unit_test(what_is_not_there_whole_is_not_found),
        cmocka_unit_test(an_unpublished_frame_is_not_found_and_an_unsealed_room_is_given_again),
        cmocka_unit_test(frames_are_a_quarter_of_a_small_ring),
        cmocka_unit_test(the_oldest_frames_make_room),
        cmocka_unit_test(an_end_too_short_for_a_frame_is_skipped),
        cmocka_unit_test(a_frame_that_is_found_is_the_one_that_was_put),
        cmocka_unit_test(without_memory_there_is_no_ring),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
