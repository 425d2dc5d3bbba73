#include "admin/ledger.h"

#include "lib/unit.h"

#include "base/alloc.h"

static struct flow_topic_state flights = {
    .id = 1,
    .name = "flights",
    .received = 500,
    .accepted = 480,
    .duplicates = 5,
    .dead_lettered = 9,
    .refused = 4,
    .damaged = 2,
};

static const struct flow_topic_state flights_dlq = {
    .id = 7,
    .name = "flights.dlq",
    .parent_id = 1,
    .dlq_total = 13,
    .dlq_held = 4,
    .dlq_redriven = 3,
    .dlq_purged = 2,
    .dlq_expired = 1,
    .dlq_damaged = 3,
};

static uint32_t lake_topics[] = {1, 9};

static const struct flow_sink_state lake = {
    .id = 1,
    .name = "lake",
    .open = true,
    .topic_count = 1,
    .topic_ids = lake_topics,
    .accepted = 480,
    .delivered = 400,
    .dead_lettered = 10,
    .expired = 9,
    .aborted = 8,
    .compacted = 7,
    .damaged = 6,
    .pending = 40,
};

/* The ledger as text, freed with free. */
static char *render(struct flow_topic_state *topics, size_t topic_count,
                    struct flow_sink_state *sinks, size_t sink_count)
{
    struct flow_snapshot snapshot = {
        .topics = topics, .topic_count = topic_count, .sinks = sinks, .sink_count = sink_count};
    struct buf out = {0};
    admin_ledger_render(&snapshot, &out);
    assert_true(buf_ok(&out));
    char *text = calloc(1, out.size + 1);
    memcpy(text, out.data, out.size);
    buf_done(&out);
    return text;
}

static void an_empty_log_has_empty_tables_and_balances(void **state)
{
    (void)state;
    char *text = render(NULL, 0, NULL, 0);
    assert_string_equal(text, "{\"balanced\":true,\n\"topics\":{},\n\"dlq\":{},\n\"sinks\":{}}");
    free(text);
}

static void every_term_of_every_row_is_there(void **state)
{
    (void)state;
    struct flow_topic_state topics[] = {flights, flights_dlq};
    struct flow_sink_state sinks[] = {lake};
    char *text = render(topics, 2, sinks, 1);
    assert_string_equal(
        text, "{\"balanced\":true,\n\"topics\":{\"flights\":{\"received\":500,\"accepted\":480,"
              "\"duplicates\":5,\"dead_lettered\":9,\"refused\":4,\"damaged\":2}},\n"
              "\"dlq\":{\"flights\":{\"dead_lettered\":13,\"held\":4,\"redriven\":3,"
              "\"purged\":2,\"expired\":1,\"damaged\":3}},\n"
              "\"sinks\":{\"lake\":{\"topics\":[\"flights\"],\"accepted\":480,\"delivered\":400,"
              "\"dead_lettered\":10,\"expired\":9,\"aborted\":8,\"compacted\":7,\"damaged\":6,"
              "\"pending\":40}}}");
    free(text);
}

static void rows_are_parted_by_commas_whatever_stands_between_them(void **state)
{
    (void)state;
    struct flow_topic_state orders = {.id = 9, .name = "orders"};
    struct flow_topic_state orders_dlq = {.id = 12, .name = "orders.dlq", .parent_id = 9};
    struct flow_topic_state topics[] = {flights, flights_dlq, orders, orders_dlq};
    struct flow_sink_state old = lake;
    old.name = "old";
    old.topic_count = 2;
    struct flow_sink_state sinks[] = {old, lake};
    char *text = render(topics, 4, sinks, 2);
    assert_non_null(strstr(text, "\"damaged\":2},\"orders\":{\"received\":0,"));
    assert_non_null(strstr(text, "\"damaged\":3},\"orders\":{\"dead_lettered\":0,"));
    assert_non_null(strstr(text, "{\"old\":{\"topics\":[\"flights\",\"orders\"],\"accepted\""));
    assert_non_null(strstr(text, "},\"lake\":{\"topics\":[\"flights\"],"));
    free(text);
}

static void a_deleted_topic_leaves_its_records_in_the_rows_of_sinks(void **state)
{
    (void)state;
    struct flow_topic_state orders = {.id = 9, .name = "orders"};
    struct flow_topic_state topics[] = {orders};
    struct flow_sink_state both = lake;
    both.topic_count = 2;
    struct flow_sink_state sinks[] = {both, lake};
    sinks[1].name = "only";
    char *text = render(topics, 1, sinks, 2);
    assert_non_null(strstr(text, "{\"balanced\":true,"));
    assert_non_null(strstr(text, "{\"lake\":{\"topics\":[\"orders\"],\"accepted\":480,"));
    assert_non_null(strstr(text, "\"only\":{\"topics\":[],\"accepted\":480,"));
    free(text);
}

static void a_closed_sink_keeps_its_row_and_says_so(void **state)
{
    (void)state;
    struct flow_topic_state topics[] = {flights, flights_dlq};
    struct flow_sink_state sinks[] = {lake};
    sinks[0].open = false;
    char *text = render(topics, 2, sinks, 1);
    assert_non_null(strstr(text, "\"pending\":40,\"closed\":true}}}"));
    free(text);
}

static void one_equation_that_does_not_hold_is_said(void **state)
{
    (void)state;
    for (int wrong = 0; wrong < 3; wrong++) {
        struct flow_topic_state topics[] = {flights, flights_dlq};
        struct flow_sink_state sinks[] = {lake};
        topics[0].received += wrong == 0;
        topics[1].dlq_held += wrong == 1;
        sinks[0].pending += wrong == 2;
        char *text = render(topics, 2, sinks, 1);
        assert_non_null(strstr(text, "{\"balanced\":false,"));
        free(text);
    }
}

static void the_largest_counts_keep_all_their_digits(void **state)
{
    (void)state;
    struct flow_topic_state topics[] = {
        {.id = 1, .name = "t", .received = UINT64_MAX, .accepted = UINT64_MAX - 1, .refused = 1}};
    char *text = render(topics, 1, NULL, 0);
    assert_non_null(strstr(text, "{\"balanced\":true,"));
    assert_non_null(strstr(text, "\"received\":18446744073709551615,\"accepted\":"
                                 "18446744073709551614,"));
    free(text);
}

static void names_are_escaped(void **state)
{
    (void)state;
    struct flow_topic_state topics[] = {flights};
    struct flow_sink_state sinks[] = {lake};
    sinks[0].name = "a\"b\\c\n";
    char *text = render(topics, 1, sinks, 1);
    assert_non_null(strstr(text, "\"sinks\":{\"a\\\"b\\\\c\\n\":{"));
    free(text);
}

static void without_memory_the_text_says_that_it_is_not_whole(void **state)
{
    (void)state;
    struct flow_topic_state topics[] = {flights, flights_dlq};
    struct flow_sink_state sinks[] = {lake};
    struct flow_snapshot snapshot = {
        .topics = topics, .topic_count = 2, .sinks = sinks, .sink_count = 1};
    for (uint64_t n = 1;; n++) {
        assert_in_range(n, 1, 100);
        struct buf out = {0};
        mem_fail_after(n);
        admin_ledger_render(&snapshot, &out);
        bool failed = mem_alloc_count() >= n;
        mem_fail_after(0);
        assert_int_equal(buf_ok(&out), !failed);
        buf_done(&out);
        if (!failed)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_log_has_empty_tables_and_balances),
        cmocka_unit_test(every_term_of_every_row_is_there),
        cmocka_unit_test(rows_are_parted_by_commas_whatever_stands_between_them),
        cmocka_unit_test(a_deleted_topic_leaves_its_records_in_the_rows_of_sinks),
        cmocka_unit_test(a_closed_sink_keeps_its_row_and_says_so),
        cmocka_unit_test(one_equation_that_does_not_hold_is_said),
        cmocka_unit_test(the_largest_counts_keep_all_their_digits),
        cmocka_unit_test(names_are_escaped),
        cmocka_unit_test(without_memory_the_text_says_that_it_is_not_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
