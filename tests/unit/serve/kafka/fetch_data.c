#include "serve/kafka/fetch_data.h"

#include "unit/serve/kafka/fixture.h"

#define LARGE ((size_t)20 << 10)

static void unexpected(struct flow_read *read)
{
    (void)read;
    fail();
}

/* A read that was answered with pieces of `bytes`, `gap` bytes apart. */
static struct flow_read read_of(struct fixture *f, const uint8_t *bytes, uint32_t count,
                                size_t size, size_t gap)
{
    struct flow_read read = {.lease = &fixture_lease, .lease_bytes = count * (size + gap)};
    read.home = f->kafka->doors[0].loop;
    read.done = unexpected;
    for (uint32_t i = 0; i < count; i++)
        read.batches[read.batch_count++] = slice_make(bytes + i * (size + gap), size);
    f->reads_held++;
    return read;
}

static uint8_t *some_bytes(struct fixture *f, size_t size)
{
    uint8_t *bytes = arena_alloc(&f->arena, size);
    assert_non_null(bytes);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(i * 7 + i / 256);
    return bytes;
}

static void assert_piece(const struct net_kafka_piece *piece, size_t at, const uint8_t *bytes,
                         size_t size)
{
    assert_int_equal(piece->at, at);
    assert_true(slice_equal(piece->bytes, slice_make(bytes, size)));
}

static void neighbours_are_one_piece_and_the_lease_is_held(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct serve_kafka_door *door = &f->kafka->doors[0];
    const uint8_t *bytes = some_bytes(f, 3 * LARGE);
    struct flow_read read = read_of(f, bytes, 3, LARGE, 0);
    struct list held;
    list_init(&held);
    assert_true(serve_kafka_fetch_hold(door, &read, 2, &held));
    assert_null(read.lease);
    assert_int_equal(f->reads_held, 1);
    assert_int_equal(door->fetch_bytes, 3 * LARGE);
    struct net_kafka_body *body = serve_kafka_fetch_body_new(door);
    assert_true(serve_kafka_fetch_body_add(body, 17, &held));
    assert_true(list_empty(&held));
    assert_int_equal(door->fetch_bytes, 0);
    assert_int_equal(body->memory_bytes, 3 * LARGE);
    assert_int_equal(body->count, 1);
    assert_int_equal(body->size, 2 * LARGE);
    /* The very bytes. */
    assert_ptr_equal(body->pieces[0].bytes.data, bytes);
    assert_piece(&body->pieces[0], 17, bytes, 2 * LARGE);
    body->release(body);
    assert_int_equal(f->reads_held, 0);
    fixture_free(f);
}

static void what_lies_apart_goes_out_without_what_is_between(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct serve_kafka_door *door = &f->kafka->doors[0];
    const uint8_t *bytes = some_bytes(f, 3 * (LARGE + 100));
    struct flow_read read = read_of(f, bytes, 3, LARGE, 100);
    struct list held;
    list_init(&held);
    assert_true(serve_kafka_fetch_hold(door, &read, 3, &held));
    assert_int_equal(f->reads_held, 1);
    struct net_kafka_body *body = serve_kafka_fetch_body_new(door);
    assert_true(serve_kafka_fetch_body_add(body, 0, &held));
    assert_int_equal(body->count, 3);
    for (size_t i = 0; i < 3; i++)
        assert_piece(&body->pieces[i], 0, bytes + i * (LARGE + 100), LARGE);
    body->release(body);
    fixture_free(f);
}

static void little_is_copied_and_the_lease_given_back(void **state)
{
    (void)state;
    static const struct {
        uint32_t count;
        size_t size;
        size_t gap;
    } cases[] = {
        {1, 100, 0},          /* few bytes */
        {40, 500, 12},        /* many pieces */
        {2, LARGE, 3 * LARGE} /* among what others have */
    };
    struct fixture *f = fixture_open(NULL);
    struct serve_kafka_door *door = &f->kafka->doors[0];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t step = cases[i].size + cases[i].gap;
        size_t size = cases[i].count * cases[i].size;
        uint8_t *bytes = some_bytes(f, cases[i].count * step);
        uint8_t *wanted = arena_alloc(&f->arena, size);
        for (size_t j = 0; j < cases[i].count; j++)
            memcpy(wanted + j * cases[i].size, bytes + j * step, cases[i].size);
        struct flow_read read = read_of(f, bytes, cases[i].count, cases[i].size, cases[i].gap);
        struct list held;
        list_init(&held);
        assert_true(serve_kafka_fetch_hold(door, &read, cases[i].count, &held));
        assert_int_equal(f->reads_held, 0);
        assert_int_equal(door->fetch_bytes, size);
        /* It is the log's again. */
        memset(bytes, 0, cases[i].count * step);
        struct net_kafka_body *body = serve_kafka_fetch_body_new(door);
        assert_true(serve_kafka_fetch_body_add(body, 1, &held));
        assert_int_equal(body->count, 1);
        assert_piece(&body->pieces[0], 1, wanted, size);
        body->release(body);
    }
    fixture_free(f);
}

static void what_is_dropped_is_given_back(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct serve_kafka_door *door = &f->kafka->doors[0];
    struct list held;
    list_init(&held);
    struct flow_read large = read_of(f, some_bytes(f, LARGE), 1, LARGE, 0);
    struct flow_read small = read_of(f, some_bytes(f, 10), 1, 10, 0);
    assert_true(serve_kafka_fetch_hold(door, &large, 1, &held));
    assert_true(serve_kafka_fetch_hold(door, &small, 1, &held));
    assert_int_equal(door->fetch_bytes, LARGE + 10);
    serve_kafka_fetch_drop(door, &held);
    assert_true(list_empty(&held));
    assert_int_equal(door->fetch_bytes, 0);
    assert_int_equal(f->reads_held, 0);
    fixture_free(f);
}

static void pieces_of_many_reads_stay_in_order(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct serve_kafka_door *door = &f->kafka->doors[0];
    const uint8_t *bytes = some_bytes(f, 100);
    struct net_kafka_body *body = serve_kafka_fetch_body_new(door);
    for (size_t i = 0; i < 100; i++) {
        struct list held;
        list_init(&held);
        struct flow_read read = read_of(f, bytes + i, 1, 1, 0);
        assert_true(serve_kafka_fetch_hold(door, &read, 1, &held));
        assert_true(serve_kafka_fetch_body_add(body, i / 2, &held));
    }
    assert_int_equal(body->count, 100);
    assert_int_equal(body->size, 100);
    for (size_t i = 0; i < 100; i++)
        assert_piece(&body->pieces[i], i / 2, bytes + i, 1);
    body->release(body);
    fixture_free(f);
}

/* A read of batches of three offsets: of those that are not g none is left. */
static struct flow_read read_of_batches(struct fixture *f, uint8_t *bytes, const char *kinds)
{
    struct flow_read read = read_of(f, bytes, 0, 0, 0);
    for (uint32_t i = 0; kinds[i]; i++) {
        struct flow_batch batch;
        uint8_t left_out = kinds[i] == 'g' ? 0 : UINT8_MAX;
        assert_true(err_is_ok(flow_batch_parse(fixture_batch(f, "value", 3), &batch)));
        size_t size = flow_batch_without(&batch, &left_out, true, bytes);
        flow_batch_set_base_offset(bytes, 3 * i);
        read.batches[read.batch_count++] = slice_make(bytes, size);
        bytes += size;
    }
    return read;
}

static void batches_without_records_at_the_end_are_one_marker(void **state)
{
    (void)state;
    static const struct {
        const char *batches; /* as read_of_batches has them */
        uint32_t count;      /* of them are held */
        uint32_t whole;      /* are held as they are */
    } cases[] = {{"h", 1, 0},   {"hhhh", 4, 0}, {"ghh", 3, 1},  {"hg", 2, 2},
                 {"hgh", 3, 2}, {"hgh", 2, 2},  {"hhgh", 2, 0}, {"ggg", 3, 3}};
    struct fixture *f = fixture_open(NULL);
    struct serve_kafka_door *door = &f->kafka->doors[0];
    uint8_t bytes[1000], marker[FLOW_BATCH_MARKER_SIZE];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint32_t whole = cases[i].whole;
        bool marked = whole < cases[i].count;
        struct flow_read read = read_of_batches(f, bytes, cases[i].batches);
        size_t size = 0;
        for (uint32_t b = 0; b < whole; b++)
            size += read.batches[b].size;
        struct list held;
        list_init(&held);
        size_t wanted = size + (marked ? sizeof(marker) : 0);
        assert_int_equal(serve_kafka_fetch_hold(door, &read, cases[i].count, &held), wanted);
        assert_int_equal(f->reads_held, 0);
        assert_int_equal(door->fetch_bytes, wanted);
        struct net_kafka_body *body = serve_kafka_fetch_body_new(door);
        assert_true(serve_kafka_fetch_body_add(body, 4, &held));
        assert_int_equal(body->size, wanted);
        assert_int_equal(body->memory_bytes, wanted);
        assert_int_equal(body->count, (whole > 0) + marked);
        if (whole > 0)
            assert_piece(&body->pieces[0], 4, bytes, size);
        flow_batch_put_marker(marker, 3 * (int64_t)cases[i].count - 1);
        if (marked)
            assert_piece(&body->pieces[whole > 0], 4, marker, sizeof(marker));
        body->release(body);
    }
    fixture_free(f);
}

static void without_memory_for_a_marker_nothing_is_held(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct serve_kafka_door *door = &f->kafka->doors[0];
    uint8_t bytes[1000];
    struct list held;
    list_init(&held);
    for (uint64_t fail = 1; fail <= 2; fail++) {
        struct flow_read read = read_of_batches(f, bytes, "gh");
        mem_fail_after(fail);
        assert_int_equal(serve_kafka_fetch_hold(door, &read, 2, &held), 0);
        mem_fail_after(0);
        assert_true(list_empty(&held));
        assert_int_equal(f->reads_held, 0);
        assert_int_equal(door->fetch_bytes, 0);
    }
    fixture_free(f);
}

static void without_memory_nothing_is_lost(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    struct serve_kafka_door *door = &f->kafka->doors[0];
    struct list held;
    list_init(&held);
    struct flow_read read = read_of(f, some_bytes(f, LARGE), 1, LARGE, 0);
    mem_fail_after(1);
    assert_false(serve_kafka_fetch_hold(door, &read, 1, &held));
    assert_int_equal(f->reads_held, 0);
    read = read_of(f, some_bytes(f, LARGE), 1, LARGE, 0);
    assert_true(serve_kafka_fetch_hold(door, &read, 1, &held));
    mem_fail_after(1);
    assert_null(serve_kafka_fetch_body_new(door));
    struct net_kafka_body *body = serve_kafka_fetch_body_new(door);
    mem_fail_after(1);
    assert_false(serve_kafka_fetch_body_add(body, 0, &held));
    mem_fail_after(0);
    assert_int_equal(door->fetch_bytes, LARGE);
    assert_int_equal(body->size, 0);
    assert_true(serve_kafka_fetch_body_add(body, 0, &held));
    assert_int_equal(body->size, LARGE);
    body->release(body);
    assert_int_equal(f->reads_held, 0);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(neighbours_are_one_piece_and_the_lease_is_held),
        cmocka_unit_test(what_lies_apart_goes_out_without_what_is_between),
        cmocka_unit_test(little_is_copied_and_the_lease_given_back),
        cmocka_unit_test(what_is_dropped_is_given_back),
        cmocka_unit_test(pieces_of_many_reads_stay_in_order),
        cmocka_unit_test(batches_without_records_at_the_end_are_one_marker),
        cmocka_unit_test(without_memory_for_a_marker_nothing_is_held),
        cmocka_unit_test(without_memory_nothing_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
