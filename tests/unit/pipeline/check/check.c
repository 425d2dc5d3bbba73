#include "pipeline/check/check.h"

#include "unit/pipeline/check/fixture.h"

#define NDJSON FLOW_FRAMING_NDJSON
#define JSON FLOW_FRAMING_JSON

static struct sent line(struct fixture *f, char letter, const char *topic, const char *text)
{
    return fixture_request(f, letter, topic, NDJSON, slice_string(text));
}

static void assert_answered(struct fixture *f, const char *letters)
{
    assert_true(slice_equal_string(buf_slice(&f->answered), letters));
}

/* `size` bytes of lines of 1,000 bytes each. */
static struct buf many_lines(size_t size)
{
    struct buf body = {0};
    while (body.size < size) {
        uint8_t *room = buf_reserve(&body, 1000);
        memset(room, 'x', 1000);
        room[0] = room[998] = '"';
        room[999] = '\n';
        buf_advance(&body, 1000);
    }
    return body;
}

static void topics_are_found_by_name(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct flow_inlet *inlet = pipeline_check_inlet(f.check);
    assert_non_null(flow_inlet_topic(inlet, SLICE_LITERAL("events")));
    assert_non_null(flow_inlet_topic(inlet, SLICE_LITERAL("orders")));
    assert_ptr_not_equal(flow_inlet_topic(inlet, SLICE_LITERAL("events")),
                         flow_inlet_topic(inlet, SLICE_LITERAL("orders")));
    assert_null(flow_inlet_topic(inlet, SLICE_LITERAL("events.dlq")));
    assert_null(flow_inlet_topic(inlet, SLICE_LITERAL("event")));
    assert_null(flow_inlet_topic(inlet, SLICE_LITERAL("")));
    fixture_done(&f);
}

static void topics_that_cannot_work_are_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        struct pipeline_check_topic topic;
        const char *detail;
    } cases[] = {
        {{.name = "t", .topic_id = 9, .dlq_id = 8, .partition_count = 0}, "topic t: 0 partitions"},
        {{.name = "t", .topic_id = 9, .dlq_id = 8, .partition_count = 10001},
         "topic t: 10001 partitions"},
        {{.name = "events", .topic_id = 9, .dlq_id = 8, .partition_count = 1},
         "topic events: is there twice"},
        {{.name = "t", .topic_id = 9, .dlq_id = 8, .partition_count = 1, .key = "a..b"},
         "topic t: "},
        {{.name = "t", .topic_id = 9, .dlq_id = 8, .partition_count = 1, .event_time = ""},
         "topic t: "},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture f;
        struct pipeline_check_options options = fixture_options(&f);
        const struct pipeline_check_topic topics[] = {fixture_topics[0], cases[i].topic};
        options.topics = topics;
        struct err_text why = {0};
        assert_string_equal(err_name(pipeline_check_new(&options, &f.check, &why)), "INVALID");
        assert_null(f.check);
        assert_ptr_equal(strstr(why.text, cases[i].detail), why.text);
    }
}

static void a_check_without_topics_works(void **state)
{
    (void)state;
    struct fixture f;
    struct pipeline_check_options options = fixture_options(&f);
    options.topic_count = 0;
    fixture_start(&f, &options);
    assert_null(flow_inlet_topic(pipeline_check_inlet(f.check), SLICE_LITERAL("events")));
    fixture_done(&f);
}

static void making_one_survives_any_failed_allocation(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        struct fixture f;
        struct pipeline_check_options options = fixture_options(&f);
        mem_fail_after(n);
        err_t err = pipeline_check_new(&options, &f.check, NULL);
        mem_fail_after(0);
        if (err_is_ok(err)) {
            fixture_done(&f);
            assert_true(n > 5);
            return;
        }
        assert_string_equal(err_name(err), "MEMORY");
        assert_null(f.check);
    }
}

static void a_request_is_answered_when_its_commit_is(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.hold = true;
    struct sent a = line(&f, 'a', "events", "{}\n{}\n{");
    fixture_submit(&f, &a);
    fixture_run(&f);
    assert_int_equal(f.commit_count, 1);
    assert_int_equal(a.answers, 0);
    fixture_answer(&f, 0, err_ok());
    fixture_run(&f);
    assert_int_equal(a.answers, 1);
    assert_counts(&a, 2, 1, 0);
    flow_inlet_request_done(&a.request);
    fixture_done(&f);
}

static void requests_of_one_turn_share_a_commit(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct sent a = line(&f, 'a', "events", "{\"key\":\"21\",\"n\":1}");
    struct sent b = line(&f, 'b', "orders", "{\"n\":2}\n{\"n\":3}\nbad");
    struct sent c = line(&f, 'c', "events", "{\"key\":\"21\",\"n\":4}");
    fixture_submit(&f, &a);
    fixture_submit(&f, &b);
    fixture_submit(&f, &c);
    assert_int_equal(f.commit_count, 0);
    fixture_run(&f);
    assert_int_equal(f.commit_count, 1);
    assert_int_equal(f.seen_count, 4);
    assert_seen(&f, 0, EVENTS, "{\"key\":\"21\",\"n\":1}");
    assert_seen(&f, 1, EVENTS, "{\"key\":\"21\",\"n\":4}");
    assert_seen(&f, 2, ORDERS, "{\"n\":2}");
    assert_seen(&f, 3, ORDERS, "{\"n\":3}");
    assert_counts(&a, 1, 0, 0);
    assert_counts(&b, 2, 0, 1);
    assert_counts(&c, 1, 0, 0);
    assert_int_equal(f.counts[EVENTS].received, 2);
    assert_int_equal(f.counts[ORDERS].received, 3);
    assert_int_equal(f.counts[ORDERS].refused, 1);
    assert_answered(&f, "abc");
    flow_inlet_request_done(&b.request);
    fixture_done(&f);
}

static void the_next_turn_has_the_next_commit(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.hold = true;
    struct sent a = line(&f, 'a', "events", "{\"n\":1}"), b = line(&f, 'b', "events", "{\"n\":2}");
    fixture_submit(&f, &a);
    fixture_run(&f);
    fixture_submit(&f, &b);
    fixture_run(&f);
    assert_int_equal(f.commit_count, 2);
    assert_int_equal(f.seen[0].commit, 0);
    assert_int_equal(f.seen[1].commit, 1);
    fixture_answer(&f, 0, err_ok());
    fixture_answer(&f, 1, err_ok());
    fixture_run(&f);
    assert_answered(&f, "ab");
    fixture_done(&f);
}

static void a_mebibyte_is_handed_over_at_once(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct buf half = many_lines(1 << 19);
    struct sent s[4];
    for (size_t i = 0; i < 4; i++) {
        s[i] = fixture_request(&f, (char)('a' + i), "events", NDJSON, buf_slice(&half));
        fixture_submit(&f, &s[i]);
        assert_int_equal(f.commit_count, (i + 1) / 2);
    }
    struct sent last = line(&f, 'e', "events", "{}");
    fixture_submit(&f, &last);
    assert_int_equal(f.commit_count, 2);
    fixture_run(&f);
    assert_int_equal(f.commit_count, 3);
    assert_answered(&f, "abcde");
    buf_done(&half);
    fixture_done(&f);
}

static void a_large_request_is_wholly_in_one_commit(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct buf body = many_lines(8 << 20);
    struct sent small = line(&f, 'a', "orders", "{}");
    struct sent large = fixture_request(&f, 'b', "events", NDJSON, buf_slice(&body));
    fixture_submit(&f, &small);
    fixture_submit(&f, &large);
    assert_int_equal(f.commit_count, 1);
    fixture_run(&f);
    assert_int_equal(f.commit_count, 1);
    assert_counts(&large, body.size / 1000, 0, 0);
    assert_int_equal(f.seen_count, body.size / 1000 + 1);
    buf_done(&body);
    fixture_done(&f);
}

static void a_failed_commit_fails_all_its_requests(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.commit_error = err_make(ERR_FENCED);
    struct sent a = line(&f, 'a', "events", "{}\n{"), b = line(&f, 'b', "orders", "bad");
    fixture_submit(&f, &a);
    fixture_submit(&f, &b);
    fixture_run(&f);
    assert_failed_with(&a, "FENCED");
    assert_failed_with(&b, "FENCED");
    assert_answered(&f, "ab");

    f.commit_error = err_ok();
    struct sent c = line(&f, 'c', "events", "{}");
    fixture_submit(&f, &c);
    fixture_run(&f);
    assert_counts(&c, 1, 0, 0);
    fixture_done(&f);
}

static void answers_keep_the_order_of_hand_over(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.hold = true;
    struct sent s[3];
    for (size_t i = 0; i < 3; i++) {
        s[i] = line(&f, (char)('a' + i), i == 1 ? "orders" : "events", "{}");
        fixture_submit(&f, &s[i]);
        fixture_run(&f);
    }
    fixture_answer(&f, 2, err_ok());
    fixture_answer(&f, 1, err_make(ERR_LOG_FULL));
    fixture_run(&f);
    assert_answered(&f, "");
    fixture_answer(&f, 0, err_ok());
    fixture_run(&f);
    assert_answered(&f, "abc");
    assert_counts(&s[0], 1, 0, 0);
    assert_failed_with(&s[1], "LOG_FULL");
    assert_counts(&s[2], 1, 0, 0);
    fixture_done(&f);
}

static void a_failed_request_stands_in_line_like_the_others(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.hold = true;
    /* Alone: answered at the end of the turn. */
    struct sent a = fixture_request(&f, 'a', "events", JSON, SLICE_LITERAL(" "));
    fixture_submit(&f, &a);
    fixture_run(&f);
    assert_answered(&f, "a");
    assert_failed_with(&a, "INVALID");
    /* In the middle of an open commit, then behind one that is under way. */
    struct sent b = line(&f, 'b', "events", "{}"), d = line(&f, 'd', "events", "{}");
    struct sent c = fixture_request(&f, 'c', "events", JSON, SLICE_LITERAL(" "));
    struct sent e = fixture_request(&f, 'e', "orders", JSON, SLICE_LITERAL(" "));
    struct sent g = line(&f, 'g', "orders", "\n");
    fixture_submit(&f, &b);
    fixture_submit(&f, &c);
    fixture_submit(&f, &d);
    fixture_run(&f);
    fixture_submit(&f, &e);
    fixture_submit(&f, &g);
    fixture_run(&f);
    assert_answered(&f, "a");
    assert_int_equal(f.commit_count, 1);
    fixture_answer(&f, 0, err_make(ERR_IO));
    fixture_run(&f);
    assert_answered(&f, "abcdeg");
    assert_failed_with(&b, "IO");
    assert_failed_with(&c, "INVALID");
    assert_failed_with(&d, "IO");
    assert_failed_with(&e, "INVALID");
    fixture_done(&f);
}

static void a_request_may_be_submitted_from_an_answer(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct sent c = line(&f, 'c', "events", "{\"n\":3}");
    struct sent b = fixture_request(&f, 'b', "events", JSON, SLICE_LITERAL(""));
    struct sent a = line(&f, 'a', "events", "{\"n\":1}");
    a.next = &b;
    b.next = &c;
    fixture_submit(&f, &a);
    fixture_run(&f);
    assert_answered(&f, "abc");
    assert_int_equal(f.commit_count, 2);
    assert_counts(&c, 1, 0, 0);
    fixture_done(&f);
}

static void short_broken_lines_do_not_grow_without_end(void **state)
{
    (void)state;
    struct fixture f;
    struct pipeline_check_options options = fixture_options(&f);
    options.request_size_max = 1 << 20;
    fixture_start(&f, &options);
    struct buf body = {0};
    for (int i = 0; i < 20000; i++)
        buf_add_string(&body, "x\n");
    struct sent a = line(&f, 'a', "events", "{}\n{");
    struct sent b = fixture_request(&f, 'b', "events", NDJSON, buf_slice(&body));
    struct sent c = line(&f, 'c', "events", "{}");
    fixture_submit(&f, &a);
    fixture_submit(&f, &b);
    fixture_submit(&f, &c);
    fixture_run(&f);
    assert_failed_with(&b, "TOO_LARGE");
    assert_counts(&a, 1, 1, 0);
    assert_counts(&c, 1, 0, 0);
    assert_int_equal(f.seen_count, 3);
    assert_int_equal(f.counts[EVENTS].received, 3);
    assert_answered(&f, "abc");
    flow_inlet_request_done(&a.request);
    buf_done(&body);
    fixture_done(&f);
}

static void a_log_that_does_not_answer_makes_the_intake_busy(void **state)
{
    (void)state;
    struct fixture f;
    struct pipeline_check_options options = fixture_options(&f);
    options.memory_bytes = 4 << 20;
    fixture_start(&f, &options);
    f.hold = true;
    struct buf body = many_lines(1 << 20);
    struct sent s[5];
    for (size_t i = 0; i < 5; i++) {
        s[i] = fixture_request(&f, (char)('a' + i), "events", NDJSON, buf_slice(&body));
        fixture_submit(&f, &s[i]);
        fixture_run(&f);
    }
    assert_int_equal(f.commit_count, 3);
    fixture_answer(&f, 0, err_ok());
    fixture_answer(&f, 1, err_ok());
    fixture_answer(&f, 2, err_ok());
    fixture_run(&f);
    assert_answered(&f, "abcde");
    assert_counts(&s[2], body.size / 1000, 0, 0);
    assert_failed_with(&s[3], "BUSY");
    assert_failed_with(&s[4], "BUSY");
    f.hold = false;
    struct sent again = fixture_request(&f, 'f', "events", NDJSON, buf_slice(&body));
    fixture_submit(&f, &again);
    fixture_run(&f);
    assert_counts(&again, body.size / 1000, 0, 0);
    buf_done(&body);
    fixture_done(&f);
}

static void a_busy_answer_leaves_what_waits_in_the_open_commit(void **state)
{
    (void)state;
    struct fixture f;
    struct pipeline_check_options options = fixture_options(&f);
    options.memory_bytes = 8 << 10;
    fixture_start(&f, &options);
    struct buf body = many_lines(8 << 10);
    struct sent a = line(&f, 'a', "events", "{\"n\":1}");
    struct sent b = line(&f, 'b', "events", "{\"n\":2}");
    struct sent c = fixture_request(&f, 'c', "events", NDJSON, buf_slice(&body));
    fixture_submit(&f, &a);
    fixture_submit(&f, &b);
    fixture_submit(&f, &c);
    fixture_run(&f);
    assert_failed_with(&c, "BUSY");
    assert_counts(&a, 1, 0, 0);
    assert_counts(&b, 1, 0, 0);
    assert_int_equal(f.seen_count, 2);
    assert_seen(&f, 0, EVENTS, "{\"n\":1}");
    assert_seen(&f, 1, EVENTS, "{\"n\":2}");
    assert_int_equal(f.counts[EVENTS].received, 2);
    assert_answered(&f, "abc");
    /* Alone it does not find room either, and never will. */
    struct sent d = fixture_request(&f, 'd', "events", NDJSON, buf_slice(&body));
    fixture_submit(&f, &d);
    fixture_run(&f);
    assert_failed_with(&d, "TOO_LARGE");
    struct sent e = line(&f, 'e', "events", "{\"n\":5}");
    fixture_submit(&f, &e);
    fixture_run(&f);
    assert_counts(&e, 1, 0, 0);
    assert_int_equal(f.counts[EVENTS].received, 3);
    buf_done(&body);
    fixture_done(&f);
}

/* What others had is kept for those that come, but not from those that need it. */
static void memory_of_the_pool_is_there_for_whoever_needs_it(void **state)
{
    (void)state;
    struct fixture f;
    struct pipeline_check_options options = fixture_options(&f);
    options.memory_bytes = 4 << 20;
    fixture_start(&f, &options);
    struct buf small = many_lines(900 << 10);
    struct buf large = many_lines(2800 << 10);
    const struct buf *bodies[] = {&small, &large, &small, &large};
    for (size_t i = 0; i < 4; i++) {
        struct sent s = fixture_request(&f, 'a', "events", NDJSON, buf_slice(bodies[i]));
        fixture_submit(&f, &s);
        assert_in_range(f.check->budget.used_bytes, 1, 4 << 20);
        fixture_run(&f);
        assert_counts(&s, bodies[i]->size / 1000, 0, 0);
    }
    buf_done(&small);
    buf_done(&large);
    fixture_done(&f);
}

static const char all_kinds[] = "{\"key\":\"LH\",\"at\":1}\n{bad}\n{}\n"
                                "{\"key\":\"\\u0061\",\"at\":\"1970\\u002d01-01T00:00:00Z\"}\n"
                                "{\"key\":7}\n{\"key\":\"foobar\"}\n{\"a\":\n";

static void any_failed_allocation_fails_one_request_whole(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        struct fixture f;
        fixture_init(&f);
        struct sent a = line(&f, 'a', "events", n % 2 ? "{\"n\":1}" : "\n");
        struct sent b = line(&f, 'b', "events", all_kinds);
        struct sent c = line(&f, 'c', "events", "{\"n\":3}");
        fixture_submit(&f, &a);
        mem_fail_after(n);
        flow_inlet_submit(pipeline_check_inlet(f.check), &b.request);
        bool failed = mem_alloc_count() >= n;
        mem_fail_after(0);
        fixture_submit(&f, &c);
        fixture_run(&f);
        size_t others = 1 + n % 2;
        if (err_is_ok(b.request.error)) {
            /* An error entry is all that may be missing; it is counted then. */
            assert_counts(&b, 5, 2, 0);
            assert_int_equal(f.seen_count, others + 7);
            assert_int_equal(f.counts[EVENTS].received, others + 7);
        } else {
            assert_failed_with(&b, "MEMORY");
            assert_int_equal(f.seen_count, others);
            assert_int_equal(f.counts[EVENTS].received, others);
        }
        assert_counts(&a, n % 2, 0, 0);
        assert_counts(&c, 1, 0, 0);
        /* Where nothing was open, what came before is answered without waiting for a commit. */
        assert_answered(&f, "abc");
        flow_inlet_request_done(&b.request);
        fixture_done(&f);
        if (!failed) {
            assert_true(n > 10);
            return;
        }
    }
}

/* A check of one topic with idempotency keys, in front of a log that holds what it is given. */
static void start_dedup(struct fixture *f, uint32_t partitions, uint8_t secret)
{
    static struct pipeline_check_topic topic;
    struct pipeline_check_options options = fixture_options(f);
    topic = fixture_topics[0];
    topic.partition_count = partitions;
    topic.dedup = "id";
    topic.dedup_secret.bytes[0] = secret;
    options.topics = &topic;
    options.topic_count = 1;
    fixture_start(f, &options);
    f->hold = true;
}

/* Says that a record of an append was a duplicate, as a log would. */
static void call_duplicate(struct flow_commit *commit, uint32_t append, uint32_t record)
{
    flow_set_bit(commit->appends[append].duplicates, record);
    commit->appends[append].duplicate_count++;
}

static void keys_are_handed_over_with_their_records(void **state)
{
    (void)state;
    struct fixture f, other;
    static const char body[] = "{\"id\":\"a\"}\n{\"id\":7}\n{\"id\":null}\n{\"x\":1}\n"
                               "{\"id\":\"\\u0061\"}\n{\"id\":\"7\"}\n{\"id\":[1]}\n";
    start_dedup(&f, 1, 1);
    start_dedup(&other, 1, 2);
    struct fixture *both[] = {&f, &other};
    for (int i = 0; i < 2; i++) {
        struct sent s = fixture_request(both[i], 'a', "events", NDJSON, slice_string(body));
        fixture_submit(both[i], &s);
        fixture_run(both[i]);
        const struct flow_append *append = &both[i]->commits[0]->appends[0];
        assert_int_equal(append->record_count, 7);
        const struct flow_fingerprint *k = append->keys;
        assert_non_null(append->duplicates);
        /* Bytes are what counts: escapes are undone, a number is as it is written. */
        assert_memory_equal(&k[0], &k[4], sizeof(*k));
        assert_memory_equal(&k[1], &k[5], sizeof(*k));
        assert_true(k[0].low != k[1].low && !flow_fingerprint_is_none(&k[0]));
        assert_true(flow_fingerprint_is_none(&k[2]) && flow_fingerprint_is_none(&k[3]));
        assert_true(flow_fingerprint_is_none(&k[6]));
        if (i == 1)
            assert_true(k[0].low != f.commits[0]->appends[0].keys[0].low);
        memset(append->duplicates, 0, 1);
        fixture_answer(both[i], 0, err_ok());
        fixture_run(both[i]);
        assert_int_equal(s.request.accepted, 7);
        assert_int_equal(s.request.duplicates, 0);
        if (i == 0)
            continue;
        fixture_done(&f);
        fixture_done(&other);
    }
}

static void duplicates_are_answered_to_whose_they_are(void **state)
{
    (void)state;
    struct fixture f;
    start_dedup(&f, 1, 1);
    for (int round = 0; round < 3; round++) {
        struct sent s[3];
        static const char *const bodies[] = {"{\"id\":1}\n{\"id\":2}\n", "{\"id\":3}\nbroken\n",
                                             "{\"id\":4}\n{\"id\":5}\n{\"id\":6}\n"};
        for (int i = 0; i < 3; i++) {
            s[i] = fixture_request(&f, (char)('a' + i), "events", NDJSON, slice_string(bodies[i]));
            fixture_submit(&f, &s[i]);
        }
        fixture_run(&f);
        struct flow_commit *commit = f.commits[round];
        assert_int_equal(commit->appends[0].record_count, 6);
        memset(commit->appends[0].duplicates, 0, 1);
        call_duplicate(commit, 0, 1);
        call_duplicate(commit, 0, 3);
        call_duplicate(commit, 0, 5);
        fixture_answer(&f, (size_t)round, err_ok());
        fixture_run(&f);
        static const uint64_t accepted[] = {1, 1, 1};
        static const uint64_t duplicates[] = {1, 0, 2};
        for (int i = 0; i < 3; i++) {
            assert_int_equal(s[i].request.accepted, accepted[i]);
            assert_int_equal(s[i].request.duplicates, duplicates[i]);
            flow_inlet_request_done(&s[i].request);
        }
        assert_int_equal(s[1].request.dead_lettered, 1);
    }
    const struct pipeline_check_tally *total = &f.check->topics[0]->total;
    assert_int_equal(total->records[PIPELINE_CHECK_DUPLICATE], 9);
    assert_int_equal(total->bytes[PIPELINE_CHECK_DUPLICATE], 9 * strlen("{\"id\":1}"));
    assert_int_equal(total->records[PIPELINE_CHECK_ACCEPTED], 9);
    fixture_done(&f);
}

static void a_request_that_fails_takes_its_keys_along(void **state)
{
    (void)state;
    for (uint64_t n = 1; n < 40; n++) {
        struct fixture f;
        struct sent s[3];
        start_dedup(&f, 2, 1);
        for (int i = 0; i < 3; i++) {
            s[i] = fixture_request(&f, 'a', "events", NDJSON,
                                   slice_string("{\"id\":1,\"key\":\"a\"}\n{\"id\":2,"
                                                "\"key\":\"b\"}\n{\"id\":3,\"key\":\"c\"}\n"));
            mem_fail_after(i == 1 ? n : 0);
            fixture_submit(&f, &s[i]);
            mem_fail_after(0);
        }
        fixture_run(&f);
        struct flow_commit *commit = f.commits[0];
        uint32_t records = 0;
        for (uint32_t a = 0; a < commit->append_count; a++) {
            struct flow_append *append = &commit->appends[a];
            for (uint32_t r = 0; r < append->record_count; r++)
                assert_false(flow_fingerprint_is_none(&append->keys[r]));
            memset(append->duplicates, 0, (append->record_count + 7) / 8);
            /* The last of each is of the last request. */
            call_duplicate(commit, a, append->record_count - 1);
            records += append->record_count;
        }
        fixture_answer(&f, 0, err_ok());
        fixture_run(&f);
        assert_int_equal(records, err_is_ok(s[1].request.error) ? 9 : 6);
        assert_int_equal(s[0].request.accepted, 3);
        assert_int_equal(s[2].request.duplicates, commit->append_count);
        fixture_done(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(topics_are_found_by_name),
        cmocka_unit_test(topics_that_cannot_work_are_refused_by_name),
        cmocka_unit_test(a_check_without_topics_works),
        cmocka_unit_test(making_one_survives_any_failed_allocation),
        cmocka_unit_test(a_request_is_answered_when_its_commit_is),
        cmocka_unit_test(requests_of_one_turn_share_a_commit),
        cmocka_unit_test(the_next_turn_has_the_next_commit),
        cmocka_unit_test(a_mebibyte_is_handed_over_at_once),
        cmocka_unit_test(a_large_request_is_wholly_in_one_commit),
        cmocka_unit_test(a_failed_commit_fails_all_its_requests),
        cmocka_unit_test(answers_keep_the_order_of_hand_over),
        cmocka_unit_test(a_failed_request_stands_in_line_like_the_others),
        cmocka_unit_test(a_request_may_be_submitted_from_an_answer),
        cmocka_unit_test(short_broken_lines_do_not_grow_without_end),
        cmocka_unit_test(a_log_that_does_not_answer_makes_the_intake_busy),
        cmocka_unit_test(a_busy_answer_leaves_what_waits_in_the_open_commit),
        cmocka_unit_test(memory_of_the_pool_is_there_for_whoever_needs_it),
        cmocka_unit_test(any_failed_allocation_fails_one_request_whole),
        cmocka_unit_test(keys_are_handed_over_with_their_records),
        cmocka_unit_test(duplicates_are_answered_to_whose_they_are),
        cmocka_unit_test(a_request_that_fails_takes_its_keys_along),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
