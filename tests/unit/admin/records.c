#include "unit/admin/door.h"

#include "base/alloc.h"
#include "unit/flow/hollow.h"

/* The topic flights: partition 0 holds the offsets from 10 to 19, partition 1 nothing. */
static void give_topic(struct fixture *f, int64_t start)
{
    assert_int_equal(f->held_count, 1);
    struct flow_snapshot *snapshot = f->held[--f->held_count];
    snapshot->topics = arena_alloc(&snapshot->arena, sizeof(*snapshot->topics));
    int64_t *offsets = arena_alloc(&snapshot->arena, 4 * sizeof(*offsets));
    memcpy(offsets, (int64_t[]){start, 0, 20, 0}, 4 * sizeof(*offsets));
    *snapshot->topics = (struct flow_topic_state){.id = 7,
                                                  .name = "flights",
                                                  .partition_count = 2,
                                                  .start_offset = offsets,
                                                  .end_offset = offsets + 2};
    snapshot->topic_count = 1;
    snapshot->done(snapshot);
}

static const char *read_records(struct fixture *f, const char *query)
{
    char path[600];
    snprintf(path, sizeof(path), "/v1/topics/flights/records%s", query);
    return ask(f, path);
}

/* A batch of the values "0", "1", ... at these offsets. */
struct made {
    struct flow_batch_builder builder;
    struct slice bytes;
};

static void make(struct made *made, int64_t base_offset, uint32_t count, size_t value_size)
{
    char *value = malloc(value_size + 24);
    flow_batch_builder_init(&made->builder);
    for (uint32_t i = 0; i < count; i++) {
        int size = snprintf(value, 24, "%u", i + 1);
        memset(value + size, ' ', value_size);
        assert_true(err_is_ok(
            flow_batch_builder_add(&made->builder, 1772359200000, (struct slice){0},
                                   slice_make(value, (size_t)size + value_size), NULL, 0)));
    }
    free(value);
    made->bytes = flow_batch_builder_finish(&made->builder);
    flow_batch_set_base_offset((uint8_t *)(uintptr_t)made->bytes.data, base_offset);
}

/* Answers the read under way; its batches are released by then. */
static void give_read(struct fixture *f, enum err_code code, const struct made *batches,
                      uint32_t count, int64_t next_offset)
{
    struct flow_read *read = f->read;
    unsigned releases = f->releases;
    assert_non_null(read);
    f->read = NULL;
    read->error = err_make(code);
    for (uint32_t i = 0; i < count; i++)
        read->batches[i] = batches[i].bytes;
    read->batch_count = count;
    read->next_offset = next_offset;
    read->end_offset = 20;
    read->done(read);
    assert_int_equal(f->releases, releases + 1);
}

static void assert_holds(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("expected \"%s\" in:\n%s", part, text);
}

static void records_are_shown_a_line_each_with_where_to_go_on(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct made made;
    make(&made, 10, 2, 0);
    assert_string_equal(read_records(f, ""), "");
    give_topic(f, 10);
    assert_int_equal(f->read->topic_id, 7);
    assert_int_equal(f->read->partition, 0);
    assert_int_equal(f->read->offset, 10);
    assert_false(f->read->wait);
    assert_in_range(f->read->size_max, 1, 4u << 20);
    give_read(f, ERR_OK, &made, 1, 12);
    assert_starts(answer(f), "HTTP/1.1 200 OK\r\n");
    assert_ends(answer(f),
                "\r\n\r\n{\"topic\":\"flights\",\"uuid\":\"00000000-0000-0000-0000-000000000000\","
                "\"partition\":0,\"offset\":10,\"records\":[\n"
                "{\"topic\":\"flights\",\"partition\":0,\"offset\":10,\"timestamp\":1772359200000,"
                "\"key\":null,\"value\":1,\"headers\":[]},\n"
                "{\"topic\":\"flights\",\"partition\":0,\"offset\":11,\"timestamp\":1772359200000,"
                "\"key\":null,\"value\":2,\"headers\":[]}\n"
                "],\"next_offset\":12,\"start_offset\":10,\"end_offset\":20}\n");
    flow_batch_builder_done(&made.builder);
    fixture_free(f);
}

static void a_start_is_an_offset_an_end_or_so_many_before_it(void **state)
{
    (void)state;
    static const struct {
        const char *query;
        int64_t offset;
    } starts[] = {
        {"?offset=earliest", 10}, {"?offset=latest", 20},
        {"?offset=10", 10},       {"?offset=20", 20},
        {"?offset=-1", 19},       {"?offset=-10", 10},
        {"?offset=-11", 10},      {"?offset=-9223372036854775807", 10},
        {"?partition=1", 0},      {"?partition=1&offset=-5", 0},
    };
    for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
        struct fixture *f = fixture_new();
        (void)read_records(f, starts[i].query);
        give_topic(f, 10);
        assert_int_equal(f->read->offset, starts[i].offset);
        give_read(f, ERR_OK, NULL, 0, starts[i].offset);
        char next[64];
        snprintf(next, sizeof(next), "\"records\":[\n],\"next_offset\":%lld,",
                 (long long)starts[i].offset);
        assert_holds(answer(f), next);
        fixture_free(f);
    }
}

static void a_start_by_time_is_found_first(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    (void)read_records(f, "?time=2026-03-01T10:00:00Z");
    give_topic(f, 10);
    assert_null(f->read);
    assert_int_equal(f->find->topic_id, 7);
    assert_int_equal(f->find->partition, 0);
    assert_int_equal(f->find->timestamp_ms, 1772359200000);
    f->find->offset = 15;
    f->find->done(f->find);
    assert_int_equal(f->read->offset, 15);
    give_read(f, ERR_OK, NULL, 0, 15);
    assert_starts(answer(f), "HTTP/1.1 200 OK\r\n");
    (void)read_records(f, "?time=0");
    give_topic(f, 10);
    f->find->error = err_make(ERR_IO);
    f->find->done(f->find);
    assert_starts(answer(f), "HTTP/1.1 503 ");
    fixture_free(f);
}

static void an_offset_outside_says_what_there_is(void **state)
{
    (void)state;
    static const char *const queries[] = {"?offset=9", "?offset=21", "?offset=9223372036854775807"};
    for (size_t i = 0; i < 3; i++) {
        struct fixture *f = fixture_new();
        (void)read_records(f, queries[i]);
        give_topic(f, 10);
        assert_null(f->read);
        assert_starts(answer(f), "HTTP/1.1 416 ");
        assert_holds(answer(f), "{\"error\":\"offset_range\",\"detail\":\"partition 0 has");
        assert_holds(answer(f), "\"start_offset\":10,\"end_offset\":20}");
        fixture_free(f);
    }
}

static void what_is_not_there_is_404_and_what_is_wrong_400(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    (void)read_records(f, "?partition=2");
    give_topic(f, 10);
    assert_starts(answer(f), "HTTP/1.1 404 ");
    assert_holds(answer(f), "flights has 2 partitions, counted from 0; there is no 2");
    (void)ask(f, "/v1/topics/boats/records");
    give_topic(f, 10);
    assert_starts(answer(f), "HTTP/1.1 404 ");
    assert_holds(answer(f), "there is no topic boats");
    assert_starts(read_records(f, "?limit=1001"), "HTTP/1.1 400 ");
    assert_holds(answer(f), "limit: expected a number from 1 to 1000");
    assert_int_equal(f->held_count, 0);
    (void)read_records(f, "");
    give_topic(f, 10);
    give_read(f, ERR_NOT_FOUND, NULL, 0, 0);
    assert_starts(answer(f), "HTTP/1.1 404 ");
    char query[600];
    memset(query, '1', sizeof(query));
    memcpy(query, "?offset=", 8);
    query[530] = '\0';
    assert_starts(read_records(f, query), "HTTP/1.1 400 ");
    fixture_free(f);
}

static void records_before_the_start_and_beyond_the_limit_are_left_out(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct made made[2];
    make(&made[0], 10, 5, 0);
    make(&made[1], 15, 5, 0);
    (void)read_records(f, "?offset=13&limit=4");
    give_topic(f, 10);
    give_read(f, ERR_OK, made, 2, 20);
    assert_null(strstr(answer(f), "\"offset\":12"));
    assert_holds(answer(f), "\"offset\":13,\"timestamp\":1772359200000,\"key\":null,\"value\":4");
    assert_holds(answer(f), "\"offset\":16,\"timestamp\":1772359200000,\"key\":null,\"value\":2");
    assert_holds(answer(f), "],\"next_offset\":17,");
    flow_batch_builder_done(&made[0].builder);
    flow_batch_builder_done(&made[1].builder);
    fixture_free(f);
}

static void a_hole_is_passed_over(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct made made;
    make(&made, 10, 2, 0);
    (void)read_records(f, "");
    give_topic(f, 10);
    give_read(f, ERR_OK, &made, 1, 18);
    assert_holds(answer(f), "],\"next_offset\":18,");
    (void)read_records(f, "?offset=12");
    give_topic(f, 10);
    give_read(f, ERR_OK, &made, 1, 12);
    assert_holds(answer(f), "\"records\":[\n],\"next_offset\":12,");
    /* A batch of nothing else, in front of what there is and alone. */
    for (uint32_t i = 0; i < 2; i++) {
        struct made parts[2];
        make(&parts[0], 10, 2, 0);
        make(&parts[1], 12, 1, 0);
        parts[0].bytes.size = hollow(parts[0].builder.bytes.data, parts[0].bytes.size);
        (void)read_records(f, "?offset=10");
        give_topic(f, 10);
        give_read(f, ERR_OK, parts, 2 - i, 13 - i);
        const char *text = answer(f);
        assert_int_equal(strstr(text, "\"offset\":12") != NULL, i == 0);
        assert_holds(text, i == 0 ? "\"next_offset\":13," : "\"records\":[\n],\"next_offset\":12,");
        flow_batch_builder_done(&parts[0].builder);
        flow_batch_builder_done(&parts[1].builder);
    }
    flow_batch_builder_done(&made.builder);
    fixture_free(f);
}

static void an_answer_is_bounded_in_bytes_but_has_a_record(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct made made;
    make(&made, 10, 5, 3u << 20);
    (void)read_records(f, "");
    give_topic(f, 10);
    give_read(f, ERR_OK, &made, 1, 15);
    assert_holds(answer(f), "],\"next_offset\":12,");
    flow_batch_builder_done(&made.builder);
    make(&made, 10, 2, 6u << 20);
    (void)read_records(f, "");
    give_topic(f, 10);
    give_read(f, ERR_OK, &made, 1, 12);
    assert_holds(answer(f), "],\"next_offset\":11,");
    flow_batch_builder_done(&made.builder);
    fixture_free(f);
}

static void unreadable_records_are_an_error_when_it_is_their_turn(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct made made[2];
    make(&made[0], 10, 2, 0);
    make(&made[1], 12, 2, 0);
    ((uint8_t *)(uintptr_t)made[1].bytes.data)[61] = 0xFF;
    (void)read_records(f, "");
    give_topic(f, 10);
    give_read(f, ERR_OK, made, 2, 14);
    assert_holds(answer(f), "],\"next_offset\":12,");
    (void)read_records(f, "?offset=12");
    give_topic(f, 10);
    give_read(f, ERR_OK, made + 1, 1, 14);
    assert_starts(answer(f), "HTTP/1.1 500 ");
    assert_holds(answer(f), "\"error\":\"unreadable\"");
    (void)read_records(f, "");
    give_topic(f, 10);
    give_read(f, ERR_CORRUPT, NULL, 0, 10);
    assert_starts(answer(f), "HTTP/1.1 500 ");
    assert_holds(answer(f), "reading failed: corrupt");
    flow_batch_builder_done(&made[0].builder);
    flow_batch_builder_done(&made[1].builder);
    fixture_free(f);
}

static void a_start_that_expires_meanwhile_is_looked_up_again(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    (void)read_records(f, "?offset=earliest");
    give_topic(f, 10);
    give_read(f, ERR_OFFSET_RANGE, NULL, 0, 0);
    give_topic(f, 12);
    assert_int_equal(f->read->offset, 12);
    give_read(f, ERR_OK, NULL, 0, 12);
    assert_starts(answer(f), "HTTP/1.1 200 OK\r\n");
    (void)read_records(f, "?offset=11");
    give_topic(f, 10);
    give_read(f, ERR_OFFSET_RANGE, NULL, 0, 0);
    give_topic(f, 12);
    assert_starts(answer(f), "HTTP/1.1 416 ");
    assert_holds(answer(f), "\"start_offset\":12,");
    (void)read_records(f, "");
    for (int64_t start = 10; start < 13; start++) {
        give_topic(f, start);
        give_read(f, ERR_OFFSET_RANGE, NULL, 0, 0);
    }
    assert_starts(answer(f), "HTTP/1.1 416 ");
    fixture_free(f);
}

static void a_read_may_wait_for_a_record(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct made made;
    make(&made, 20, 1, 0);
    (void)read_records(f, "?offset=latest&wait_ms=30000");
    give_topic(f, 10);
    assert_true(f->read->wait);
    fake_advance(f->fake, 29000);
    assert_int_equal(f->cancels, 0);
    give_read(f, ERR_OK, &made, 1, 21);
    assert_holds(answer(f), "],\"next_offset\":21,");
    /* Its timer has gone with it. */
    fake_advance(f->fake, 5000);
    assert_int_equal(f->cancels, 0);
    flow_batch_builder_done(&made.builder);
    fixture_free(f);
}

static void a_wait_that_is_over_answers_with_nothing(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    (void)read_records(f, "?offset=latest&wait_ms=1500");
    give_topic(f, 10);
    fake_advance(f->fake, 1000);
    assert_int_equal(f->cancels, 0);
    fake_advance(f->fake, 500);
    assert_int_equal(f->cancels, 1);
    assert_string_equal(answer(f), "");
    give_read(f, ERR_CANCELLED, NULL, 0, 0);
    assert_starts(answer(f), "HTTP/1.1 200 OK\r\n");
    assert_holds(answer(f), "\"offset\":20,\"records\":[\n],\"next_offset\":20,"
                            "\"start_offset\":10,\"end_offset\":20}");
    fixture_free(f);
}

static void a_record_that_crosses_the_end_of_the_wait_is_shown(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct made made;
    make(&made, 20, 1, 0);
    (void)read_records(f, "?offset=latest&wait_ms=1000");
    give_topic(f, 10);
    fake_advance(f->fake, 1000);
    assert_int_equal(f->cancels, 1);
    give_read(f, ERR_OK, &made, 1, 21);
    assert_holds(answer(f), "],\"next_offset\":21,");
    flow_batch_builder_done(&made.builder);
    fixture_free(f);
}

static void nothing_waits_for_a_peer_that_has_gone(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    (void)read_records(f, "?offset=latest&wait_ms=30000");
    give_topic(f, 10);
    fake_end(f->fake->tcps[0], ERR_CLOSED);
    fake_run(f->fake);
    fake_advance(f->fake, 1000);
    assert_int_equal(f->cancels, 1);
    give_read(f, ERR_CANCELLED, NULL, 0, 0);
    fixture_free(f);
}

static void nothing_waits_at_a_door_that_closes(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    (void)read_records(f, "?offset=latest&wait_ms=30000");
    give_topic(f, 10);
    connect_one(f);
    (void)read_records(f, "?offset=latest&wait_ms=30000");
    struct flow_read *first = f->read;
    admin_stop(f->admin, 60000, on_stopped, f);
    assert_int_equal(f->cancels, 1);
    give_topic(f, 10);
    assert_ptr_not_equal(f->read, first);
    assert_false(f->read->wait);
    give_read(f, ERR_OK, NULL, 0, 20);
    f->read = first;
    give_read(f, ERR_CANCELLED, NULL, 0, 0);
    assert_holds(answer(f), "\"next_offset\":20");
    fake_end(f->fake->tcps[0], ERR_END);
    fake_end(f->fake->tcps[1], ERR_END);
    settle(f);
    fixture_free(f);
}

static void readers_are_limited_and_leave_room_for_others(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct flow_read *reads[64];
    for (int i = 0; i < 64; i++) {
        assert_string_equal(read_records(f, "?offset=latest&wait_ms=30000"), "");
        give_topic(f, 10);
        reads[i] = f->read;
    }
    connect_one(f);
    assert_starts(read_records(f, ""), "HTTP/1.1 503 ");
    assert_holds(answer(f), "Retry-After: 1\r\n");
    assert_string_equal(ask(f, "/metrics"), "");
    report(&f->parts[0], 1, "");
    report(&f->parts[1], 1, "");
    assert_starts(answer(f), "HTTP/1.1 200 OK\r\n");
    for (int i = 0; i < 64; i++) {
        f->read = reads[i];
        give_read(f, ERR_OK, NULL, 0, 20);
    }
    fixture_free(f);
}

static void peers_that_take_nothing_cannot_fill_the_memory(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct made made;
    make(&made, 10, 1, 6u << 20);
    int served = 0;
    for (int i = 0; i < 20; i++) {
        connect_one(f);
        f->fake->tcps[f->fake->tcp_count - 1]->stuck = true;
        const char *text = read_records(f, "");
        if (*text) {
            assert_starts(text, "HTTP/1.1 503 ");
            continue;
        }
        give_topic(f, 10);
        give_read(f, ERR_OK, &made, 1, 11);
        served += strncmp(answer(f), "HTTP/1.1 200 ", 13) == 0;
    }
    assert_in_range(served, 5, 7);
    flow_batch_builder_done(&made.builder);
    fixture_free(f);
}

static void an_answer_is_refused_when_others_have_filled_the_memory_meanwhile(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct made made;
    struct flow_read *reads[10];
    make(&made, 10, 1, 6u << 20);
    for (int i = 0; i < 10; i++) {
        connect_one(f);
        f->fake->tcps[f->fake->tcp_count - 1]->stuck = true;
        assert_string_equal(read_records(f, ""), "");
        give_topic(f, 10);
        reads[i] = f->read;
    }
    int served = 0;
    for (int i = 0; i < 10; i++) {
        f->read = reads[i];
        give_read(f, ERR_OK, &made, 1, 11);
        fake_run(f->fake);
        const char *text = fake_written(f->fake->tcps[f->fake->tcp_count - 10 + i]);
        served += strncmp(text, "HTTP/1.1 200 ", 13) == 0;
    }
    assert_in_range(served, 5, 7);
    flow_batch_builder_done(&made.builder);
    fixture_free(f);
}

static void a_log_without_an_answer_is_an_error(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    (void)read_records(f, "");
    struct flow_snapshot *snapshot = f->held[--f->held_count];
    snapshot->error = err_make(ERR_MEMORY);
    snapshot->done(snapshot);
    assert_starts(answer(f), "HTTP/1.1 503 ");
    (void)read_records(f, "");
    give_topic(f, 10);
    give_read(f, ERR_IO, NULL, 0, 0);
    assert_starts(answer(f), "HTTP/1.1 503 ");
    assert_holds(answer(f), "reading failed: input/output error");
    fixture_free(f);
}

static void without_memory_an_answer_is_whole_or_refused(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        assert_in_range(n, 1, 100);
        struct fixture *f = fixture_new();
        struct made made;
        make(&made, 10, 40, 0);
        mem_fail_after(n);
        bool failed = false;
        (void)read_records(f, "");
        if (f->held_count > 0) {
            uint64_t left = n - mem_alloc_count();
            failed = mem_alloc_count() >= n;
            mem_fail_after(0);
            give_topic(f, 10);
            mem_fail_after(failed ? 0 : left);
            give_read(f, ERR_OK, &made, 1, 50);
            fake_run(f->fake);
            failed = failed || mem_alloc_count() >= left;
        } else {
            failed = true;
        }
        mem_fail_after(0);
        const char *text = answer(f);
        bool whole = strstr(text, "],\"next_offset\":50,");
        if (!whole && strncmp(text, "HTTP/1.1 503 ", 13) != 0 && !f->fake->tcps[0]->closed)
            fail_msg("without memory: %s", text);
        flow_batch_builder_done(&made.builder);
        fixture_free(f);
        if (!failed) {
            assert_true(whole && n > 3);
            break;
        }
    }
}

static void topics_are_listed_and_described(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    (void)ask(f, "/v1/topics");
    give_topic(f, 10);
    assert_starts(answer(f), "HTTP/1.1 200 OK\r\n");
    assert_holds(answer(f), "{\"topics\":[\n{\"name\":\"flights\",");
    (void)ask(f, "/v1/topics/fli%67hts");
    give_topic(f, 10);
    assert_holds(answer(f), "\r\n\r\n{\"name\":\"flights\",\"uuid\":");
    assert_ends(answer(f), "{\"partition\":1,\"start_offset\":0,\"end_offset\":0}]}\n");
    (void)ask(f, "/v1/topics/boats");
    give_topic(f, 10);
    assert_starts(answer(f), "HTTP/1.1 404 ");
    (void)ask(f, "/v1/topics/flights");
    struct flow_snapshot *snapshot = f->held[--f->held_count];
    snapshot->error = err_make(ERR_MEMORY);
    snapshot->done(snapshot);
    assert_starts(answer(f), "HTTP/1.1 503 ");
    assert_holds(answer(f), "the log does not name its topics: out of memory");
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_are_shown_a_line_each_with_where_to_go_on),
        cmocka_unit_test(a_start_is_an_offset_an_end_or_so_many_before_it),
        cmocka_unit_test(a_start_by_time_is_found_first),
        cmocka_unit_test(an_offset_outside_says_what_there_is),
        cmocka_unit_test(what_is_not_there_is_404_and_what_is_wrong_400),
        cmocka_unit_test(records_before_the_start_and_beyond_the_limit_are_left_out),
        cmocka_unit_test(a_hole_is_passed_over),
        cmocka_unit_test(an_answer_is_bounded_in_bytes_but_has_a_record),
        cmocka_unit_test(unreadable_records_are_an_error_when_it_is_their_turn),
        cmocka_unit_test(a_start_that_expires_meanwhile_is_looked_up_again),
        cmocka_unit_test(a_read_may_wait_for_a_record),
        cmocka_unit_test(a_wait_that_is_over_answers_with_nothing),
        cmocka_unit_test(a_record_that_crosses_the_end_of_the_wait_is_shown),
        cmocka_unit_test(nothing_waits_for_a_peer_that_has_gone),
        cmocka_unit_test(nothing_waits_at_a_door_that_closes),
        cmocka_unit_test(readers_are_limited_and_leave_room_for_others),
        cmocka_unit_test(peers_that_take_nothing_cannot_fill_the_memory),
        cmocka_unit_test(an_answer_is_refused_when_others_have_filled_the_memory_meanwhile),
        cmocka_unit_test(a_log_without_an_answer_is_an_error),
        cmocka_unit_test(without_memory_an_answer_is_whole_or_refused),
        cmocka_unit_test(topics_are_listed_and_described),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
