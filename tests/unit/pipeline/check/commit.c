#include "pipeline/check/check_int.h"

#include "unit/pipeline/check/fixture.h"

static struct flow_inlet_topic *events(struct fixture *f)
{
    return f->check->topics[0];
}

static struct flow_inlet_topic *orders(struct fixture *f)
{
    return f->check->topics[1];
}

static err_t append(struct fixture *f, struct flow_inlet_topic *topic, uint32_t place,
                    const char *value)
{
    struct flow_record record = {.timestamp_ms = ARRIVAL_MS, .value = slice_string(value)};
    struct pipeline_check_pass pass = {.check = f->check, .topic = topic};
    return pipeline_check_commit_append(&pass, place, &record, NULL, 0, NULL);
}

static void begin(struct fixture *f, struct flow_inlet_topic *topic)
{
    assert_true(err_is_ok(pipeline_check_commit_begin(f->check, topic)));
}

static void add(struct fixture *f, struct flow_inlet_topic *topic, uint32_t place,
                const char *value)
{
    assert_true(err_is_ok(append(f, topic, place, value)));
}

static void keep(struct fixture *f, struct flow_inlet_topic *topic, uint64_t records)
{
    struct pipeline_check_tally tally = {.records = {records}};
    pipeline_check_commit_keep(f->check, topic, records, &tally);
}

/* Takes a commit back as the check does, but counts nothing and answers nobody. */
static void took_back(struct flow_commit *flow)
{
    struct pipeline_check_commit *commit = CONTAINER_OF(flow, struct pipeline_check_commit, flow);
    commit->check->size_under_way -= commit->size;
    list_remove(&commit->link);
    pipeline_check_commit_release(commit);
}

static void hand_over(struct fixture *f)
{
    pipeline_check_commit_hand_over(f->check, took_back);
    assert_null(f->check->open);
    fixture_run(f);
}

static void each_partition_has_one_batch(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.hold = true;
    begin(&f, events(&f));
    add(&f, events(&f), 2, "a");
    add(&f, events(&f), 0, "b");
    add(&f, events(&f), 3, "dead");
    add(&f, events(&f), 2, "c");
    keep(&f, events(&f), 4);
    begin(&f, orders(&f));
    add(&f, orders(&f), 0, "d");
    keep(&f, orders(&f), 1);
    hand_over(&f);
    const struct flow_commit *commit = f.commits[0];
    static const struct flow_append expected[] = {
        {.topic_id = EVENTS, .partition = 2, .record_count = 2},
        {.topic_id = EVENTS, .partition = 0, .record_count = 1},
        {.topic_id = EVENTS_DLQ, .kind = FLOW_APPEND_DEAD_LETTERS, .record_count = 1},
        {.topic_id = ORDERS, .partition = 0, .record_count = 1},
    };
    assert_int_equal(commit->append_count, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(commit->appends[i].topic_id, expected[i].topic_id);
        assert_int_equal(commit->appends[i].partition, expected[i].partition);
        assert_int_equal(commit->appends[i].kind, expected[i].kind);
        assert_int_equal(commit->appends[i].record_count, expected[i].record_count);
    }
    assert_int_equal(commit->count_count, 2);
    assert_int_equal(f.counts[EVENTS].received, 4);
    assert_int_equal(f.counts[ORDERS].received, 1);
    assert_ptr_equal(commit->home, &f.loop);
    fixture_answer(&f, 0, err_ok());
    fixture_done(&f);
}

static void a_rollback_takes_out_one_request_alone(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    begin(&f, events(&f));
    add(&f, events(&f), 0, "a");
    add(&f, events(&f), 1, "b");
    keep(&f, events(&f), 2);
    size_t size = f.check->open->size;

    begin(&f, events(&f));
    add(&f, events(&f), 1, "not this");
    add(&f, events(&f), 2, "nor this");
    add(&f, events(&f), 1, "nor that");
    pipeline_check_commit_rollback(f.check);
    begin(&f, orders(&f));
    add(&f, orders(&f), 0, "nor a new topic's");
    pipeline_check_commit_rollback(f.check);
    assert_int_equal(f.check->open->size, size);
    assert_int_equal(events(&f)->slot_at[2], 0);
    assert_int_equal(orders(&f)->part_at, 0);

    begin(&f, events(&f));
    add(&f, events(&f), 2, "c");
    add(&f, events(&f), 1, "d");
    keep(&f, events(&f), 2);
    hand_over(&f);
    assert_int_equal(f.seen_count, 4);
    assert_seen(&f, 0, EVENTS, "a");
    assert_seen(&f, 1, EVENTS, "b");
    assert_seen(&f, 2, EVENTS, "d");
    assert_seen(&f, 3, EVENTS, "c");
    assert_int_equal(f.counts[EVENTS].received, 4);
    assert_int_equal(f.counts[ORDERS].received, 0);
    fixture_done(&f);
}

static void a_rollback_to_nothing_puts_the_commit_away(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    begin(&f, events(&f));
    const struct pipeline_check_commit *commit = f.check->open;
    add(&f, events(&f), 0, "a");
    pipeline_check_commit_rollback(f.check);
    assert_null(f.check->open);
    pipeline_check_commit_rollback(f.check);
    assert_int_equal(f.check->pool_count, 1);
    begin(&f, orders(&f));
    assert_ptr_equal(f.check->open, commit);
    add(&f, orders(&f), 0, "b");
    keep(&f, orders(&f), 1);
    hand_over(&f);
    assert_int_equal(f.seen_count, 1);
    assert_seen(&f, 0, ORDERS, "b");
    fixture_done(&f);
}

/* Builders double: a large one would take three times its size while it does. */
static void a_batch_that_has_grown_large_is_followed_by_another(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    char *text = mem_zalloc(400001, 1);
    memset(text, 'x', 400000);
    begin(&f, events(&f));
    for (int i = 0; i < 5; i++)
        add(&f, events(&f), 0, text);
    add(&f, events(&f), 1, "small");
    keep(&f, events(&f), 6);
    /* What is cut off again takes its batches along; those before it take more. */
    begin(&f, events(&f));
    for (int i = 0; i < 5; i++)
        add(&f, events(&f), 0, text);
    pipeline_check_commit_rollback(f.check);
    begin(&f, events(&f));
    add(&f, events(&f), 0, "last");
    keep(&f, events(&f), 1);
    const struct pipeline_check_commit *commit = f.check->open;
    assert_int_equal(commit->slot_count, 5);
    for (uint32_t i = 0; i < commit->slot_count; i++)
        assert_in_range(commit->slots[i].builder.bytes.capacity, 1, 1 << 20);
    hand_over(&f);
    assert_int_equal(f.seen_count, 7);
    /* Whether the last one lies in the batch that is half full or behind it, the order stays. */
    assert_string_equal(f.seen[6].value, "last");
    mem_free(text);
    fixture_done(&f);
}

static void a_request_that_grows_too_large_is_stopped(void **state)
{
    (void)state;
    struct fixture f;
    struct pipeline_check_options options = fixture_options(&f);
    options.request_size_max = 200;
    fixture_start(&f, &options);
    static const char text[101] = {[0 ... 99] = 'x'};
    begin(&f, events(&f));
    add(&f, events(&f), 0, text);
    keep(&f, events(&f), 1);
    begin(&f, events(&f));
    add(&f, events(&f), 0, text);
    assert_string_equal(err_name(append(&f, events(&f), 1, text)), "TOO_LARGE");
    pipeline_check_commit_rollback(f.check);
    hand_over(&f);
    assert_int_equal(f.seen_count, 1);
    fixture_done(&f);
}

static void a_commit_comes_back_empty_from_the_pool(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    for (int round = 0; round < 3; round++) {
        fixture_forget(&f);
        begin(&f, events(&f));
        for (uint32_t place = 0; place <= 3 - (uint32_t)round; place++)
            add(&f, events(&f), place, "a");
        keep(&f, events(&f), 4 - (uint64_t)round);
        hand_over(&f);
        assert_int_equal(f.seen_count, 4 - round);
        assert_int_equal(f.counts[EVENTS].received, 4 - round);
        assert_int_equal(f.check->pool_count, 1);
        for (uint32_t place = 0; place <= 3; place++)
            assert_int_equal(events(&f)->slot_at[place], 0);
    }
    fixture_done(&f);
}

static void the_pool_keeps_little(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.hold = true;
    for (int i = 0; i < 10; i++) {
        begin(&f, events(&f));
        add(&f, events(&f), 0, "a");
        keep(&f, events(&f), 1);
        hand_over(&f);
    }
    for (size_t i = 0; i < 10; i++)
        fixture_answer(&f, i, err_ok());
    fixture_run(&f);
    assert_in_range(f.check->pool_count, 1, 4);

    fixture_forget(&f);
    char *large = mem_zalloc(1, (5 << 20) + 1);
    memset(large, 'x', 5 << 20);
    uint32_t pooled = f.check->pool_count;
    begin(&f, events(&f));
    add(&f, events(&f), 0, large);
    keep(&f, events(&f), 1);
    hand_over(&f);
    fixture_answer(&f, 0, err_ok());
    fixture_run(&f);
    assert_int_equal(f.check->pool_count, pooled - 1);
    mem_free(large);
    fixture_done(&f);
}

static void a_commit_holds_ten_thousand_partitions(void **state)
{
    (void)state;
    struct fixture f;
    struct pipeline_check_options options = fixture_options(&f);
    struct pipeline_check_topic topic = fixture_topics[0];
    topic.partition_count = FLOW_PARTITIONS_MAX;
    options.topics = &topic;
    options.topic_count = 1;
    fixture_start(&f, &options);
    begin(&f, events(&f));
    for (uint32_t i = 0; i <= FLOW_PARTITIONS_MAX; i++)
        add(&f, events(&f), i, "a");
    keep(&f, events(&f), FLOW_PARTITIONS_MAX + 1);
    hand_over(&f);
    assert_int_equal(f.seen_count, FLOW_PARTITIONS_MAX + 1);
    assert_int_equal(f.seen[FLOW_PARTITIONS_MAX].topic_id, EVENTS_DLQ);
    assert_int_equal(f.check->pool_count, 0);
    fixture_done(&f);
}

static void any_failed_allocation_leaves_the_kept_requests(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        struct fixture f;
        fixture_init(&f);
        begin(&f, events(&f));
        add(&f, events(&f), 0, "kept");
        keep(&f, events(&f), 1);
        mem_fail_after(n);
        err_t err = pipeline_check_commit_begin(f.check, orders(&f));
        for (uint32_t i = 0; i < 200 && err_is_ok(err); i++)
            err = append(&f, i % 2 ? orders(&f) : events(&f), i % 2, "some value or other");
        mem_fail_after(0);
        if (!err_is_ok(err)) {
            assert_string_equal(err_name(err), "MEMORY");
            pipeline_check_commit_rollback(f.check);
        } else {
            keep(&f, orders(&f), 200);
        }
        hand_over(&f);
        assert_int_equal(f.seen_count, err_is_ok(err) ? 201 : 1);
        assert_seen(&f, 0, EVENTS, "kept");
        fixture_done(&f);
        if (err_is_ok(err)) {
            assert_true(n > 3);
            return;
        }
    }
}

/* A request of `kind` that is handed over and held by the log. */
static void submit_once(struct fixture *f, struct sent *s, enum flow_request_kind kind,
                        const char *body, struct flow_inlet_once *once)
{
    *s = fixture_request(f, 'o', "events", FLOW_FRAMING_NDJSON, slice_string(body));
    *once = (struct flow_inlet_once){kind, {1, 2}, 5};
    s->request.once = once;
    fixture_submit(f, s);
    fixture_run(f);
}

static void a_request_that_counts_once_is_alone_in_its_commit(void **state)
{
    (void)state;
    struct fixture f;
    struct flow_inlet_once name;
    struct sent once;
    fixture_init(&f);
    f.hold = true;
    struct sent before =
        fixture_request(&f, 'a', "events", FLOW_FRAMING_NDJSON, SLICE_LITERAL("{}"));
    struct sent behind = before;
    behind.letter = 'b';
    fixture_submit(&f, &before);
    submit_once(&f, &once, FLOW_REQUEST_NUMBERED, "{}\n{", &name);
    fixture_submit(&f, &behind);
    fixture_run(&f);
    assert_int_equal(f.commit_count, 3);
    assert_null(f.commits[0]->request);
    assert_null(f.commits[2]->request);
    const struct flow_request *request = f.commits[1]->request;
    assert_int_equal(request->kind, FLOW_REQUEST_NUMBERED);
    assert_int_equal(request->topic_id, EVENTS);
    assert_int_equal(request->sequence, 5);
    assert_int_equal(request->id.high, 2);
    assert_int_equal(f.commits[1]->counts[0].received, 2);
    for (size_t i = 0; i < 3; i++)
        fixture_answer(&f, i, err_ok());
    fixture_run(&f);
    assert_slice(buf_slice(&f.answered), "aob");
    assert_counts(&once, 1, 1, 0);
    flow_inlet_request_done(&once.request);
    fixture_done(&f);
}

static void a_repeated_number_is_all_duplicates(void **state)
{
    (void)state;
    struct fixture f;
    struct flow_inlet_once name;
    struct sent once;
    fixture_init(&f);
    f.hold = true;
    submit_once(&f, &once, FLOW_REQUEST_NUMBERED, "{}\n{\n{}", &name);
    f.commits[0]->request->result = FLOW_REQUEST_REPEAT;
    fixture_answer(&f, 0, err_ok());
    fixture_run(&f);
    assert_string_equal(err_name(once.request.error), "OK");
    assert_int_equal(once.request.duplicates, 3);
    assert_int_equal(once.request.accepted + once.request.dead_lettered, 0);
    assert_int_equal(once.request.error_count, 0);
    assert_false(once.request.replayed);
    assert_int_equal(events(&f)->total.records[PIPELINE_CHECK_DUPLICATE], 3);
    assert_int_equal(events(&f)->total.records[PIPELINE_CHECK_ACCEPTED], 0);
    assert_int_equal(events(&f)->total.bytes[PIPELINE_CHECK_DUPLICATE], 5);
    fixture_done(&f);
}

static void a_repeated_key_has_the_answer_that_was_kept(void **state)
{
    (void)state;
    struct fixture f;
    struct flow_inlet_once name;
    struct sent first;
    struct sent again;
    fixture_init(&f);
    f.hold = true;
    submit_once(&f, &first, FLOW_REQUEST_KEYED, "{}\n{\n{}", &name);
    submit_once(&f, &again, FLOW_REQUEST_KEYED, "{}\n{\n{}", &name);
    struct flow_request *one = f.commits[0]->request;
    struct flow_request *two = f.commits[1]->request;
    assert_memory_equal(&one->body, &two->body, sizeof(one->body));
    /* As the log does: it keeps the bytes and gives them to who comes again. */
    two->result = FLOW_REQUEST_REPEAT;
    two->duplicates = 1;
    two->kept_size = one->answer.size;
    memcpy(two->kept, one->answer.data, one->answer.size);
    fixture_answer(&f, 0, err_ok());
    fixture_answer(&f, 1, err_ok());
    fixture_run(&f);
    assert_counts(&first, 2, 1, 0);
    assert_true(again.request.replayed);
    assert_int_equal(again.request.accepted, 1);
    assert_int_equal(again.request.duplicates, 1);
    assert_int_equal(again.request.dead_lettered, 1);
    assert_int_equal(again.request.error_count, 1);
    assert_string_equal(again.request.errors[0].detail, first.request.errors[0].detail);
    assert_int_equal(events(&f)->total.records[PIPELINE_CHECK_DUPLICATE], 3);
    flow_inlet_request_done(&first.request);
    flow_inlet_request_done(&again.request);
    submit_once(&f, &again, FLOW_REQUEST_KEYED, "{}", &name);
    two = f.commits[2]->request;
    assert_memory_not_equal(&one->body, &two->body, sizeof(one->body));
    /* What comes back makes no sense. */
    two->result = FLOW_REQUEST_REPEAT;
    two->kept_size = 0;
    fixture_answer(&f, 2, err_ok());
    fixture_run(&f);
    assert_string_equal(err_name(again.request.error), "CORRUPT");
    fixture_done(&f);
}

static void a_request_out_of_turn_is_told_the_number_and_is_no_failure(void **state)
{
    (void)state;
    struct fixture f;
    struct flow_inlet_once name;
    struct sent once;
    fixture_init(&f);
    f.hold = true;
    submit_once(&f, &once, FLOW_REQUEST_NUMBERED, "{}\n{", &name);
    f.commits[0]->request->expected = 4;
    fixture_answer(&f, 0, err_make(ERR_SEQUENCE_GAP));
    fixture_run(&f);
    assert_failed_with(&once, "SEQUENCE_GAP");
    assert_int_equal(once.request.expected, 4);
    assert_int_equal(f.check->commits_failed, 0);
    assert_int_equal(events(&f)->total.records[PIPELINE_CHECK_ACCEPTED], 0);
    fixture_done(&f);
}

static void a_number_needs_no_records(void **state)
{
    (void)state;
    struct fixture f;
    struct flow_inlet_once name;
    struct sent once;
    fixture_init(&f);
    submit_once(&f, &once, FLOW_REQUEST_NUMBERED, "\n", &name);
    assert_int_equal(f.commit_count, 1);
    assert_int_equal(f.commits[0]->append_count, 0);
    assert_counts(&once, 0, 0, 0);
    fixture_done(&f);
}

/* A batch with these values, of a producer that numbers its records, handed over and held. */
static void submit_sequenced(struct fixture *f, struct sent *s, const char *topic,
                             const char *const *values, uint32_t count)
{
    struct flow_batch_builder builder;
    flow_batch_builder_init(&builder);
    for (uint32_t i = 0; i < count; i++)
        assert_true(err_is_ok(flow_batch_builder_add(&builder, 1, slice_make(NULL, 0),
                                                     slice_string(values[i]), NULL, 0)));
    const struct flow_inlet_once once = {
        .kind = FLOW_REQUEST_SEQUENCED,
        .batch = {.producer_id = 7, .first = 5, .count = count, .epoch = 2}};
    *s = fixture_request(f, 's', topic, FLOW_FRAMING_BATCH, flow_batch_builder_finish(&builder));
    s->request.once = &once;
    fixture_submit(f, s);
    fixture_run(f);
    flow_batch_builder_done(&builder);
}

static void a_batch_is_handed_over_with_its_numbers(void **state)
{
    (void)state;
    struct fixture f;
    struct sent first;
    struct sent again;
    static const char *const values[] = {"{}", "{}", "{}"};
    fixture_init(&f);
    f.hold = true;
    submit_sequenced(&f, &first, "events", values, 3);
    submit_sequenced(&f, &again, "events", values, 3);
    assert_int_equal(f.commit_count, 2);
    const struct flow_request *request = f.commits[0]->request;
    assert_int_equal(request->kind, FLOW_REQUEST_SEQUENCED);
    assert_int_equal(request->topic_id, EVENTS);
    assert_int_equal(request->batch.producer_id, 7);
    assert_int_equal(request->batch.first, 5);
    assert_int_equal(request->batch.count, 3);
    assert_int_equal(request->batch.epoch, 2);
    assert_true(f.commits[0]->appends[0].holes);
    f.commits[0]->appends[0].base_offset = 40;
    f.commits[1]->request->result = FLOW_REQUEST_REPEAT;
    f.commits[1]->request->base_offset = 40;
    fixture_answer(&f, 0, err_ok());
    fixture_answer(&f, 1, err_ok());
    fixture_run(&f);
    assert_int_equal(first.request.accepted, 3);
    assert_int_equal(first.request.base_offset, 40);
    assert_int_equal(again.request.duplicates, 3);
    assert_int_equal(again.request.accepted, 0);
    assert_int_equal(again.request.base_offset, 40);
    assert_false(again.request.replayed || again.request.forgotten);
    assert_int_equal(events(&f)->total.records[PIPELINE_CHECK_DUPLICATE], 3);
    fixture_done(&f);
}

static void a_batch_whose_offset_is_forgotten_says_so(void **state)
{
    (void)state;
    struct fixture f;
    struct sent again;
    static const char *const values[] = {"{}"};
    fixture_init(&f);
    f.hold = true;
    submit_sequenced(&f, &again, "events", values, 1);
    f.commits[0]->request->result = FLOW_REQUEST_REPEAT;
    f.commits[0]->request->base_offset = -1;
    f.commits[0]->request->forgotten = true;
    fixture_answer(&f, 0, err_ok());
    fixture_run(&f);
    assert_true(again.request.forgotten);
    assert_int_equal(again.request.base_offset, -1);
    assert_int_equal(again.request.duplicates, 1);
    /* An answer is made anew each time. */
    submit_sequenced(&f, &again, "events", values, 1);
    fixture_answer(&f, 1, err_ok());
    fixture_run(&f);
    assert_false(again.request.forgotten);
    fixture_done(&f);
}

static void a_batch_of_an_old_epoch_is_no_failure(void **state)
{
    (void)state;
    struct fixture f;
    struct sent old;
    static const char *const values[] = {"{}"};
    fixture_init(&f);
    f.hold = true;
    submit_sequenced(&f, &old, "events", values, 1);
    fixture_answer(&f, 0, err_make(ERR_PRODUCER_EPOCH));
    fixture_run(&f);
    assert_failed_with(&old, "PRODUCER_EPOCH");
    assert_int_equal(f.check->commits_failed, 0);
    assert_int_equal(events(&f)->total.records[PIPELINE_CHECK_ACCEPTED], 0);
    fixture_done(&f);
}

static void any_failed_allocation_fails_the_one_request(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        struct fixture f;
        struct flow_inlet_once name = {FLOW_REQUEST_KEYED, {1, 2}, 0};
        fixture_init(&f);
        struct sent once =
            fixture_request(&f, 'o', "events", FLOW_FRAMING_NDJSON, SLICE_LITERAL("{}\n{}"));
        once.request.once = &name;
        mem_fail_after(n);
        flow_inlet_submit(pipeline_check_inlet(f.check), &once.request);
        mem_fail_after(0);
        bool failed = f.commit_count == 0;
        fixture_run(&f);
        assert_int_equal(once.answers, 1);
        assert_string_equal(err_name(once.request.error), failed ? "MEMORY" : "OK");
        /* The commit goes back to the pool, and serves a plain request. */
        struct sent *plain = fixture_send(&f, "events", FLOW_FRAMING_NDJSON, SLICE_LITERAL("{}"));
        assert_null(f.commits[f.commit_count - 1]->request);
        assert_counts(plain, 1, 0, 0);
        sent_done(plain);
        fixture_done(&f);
        if (!failed)
            return;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_partition_has_one_batch),
        cmocka_unit_test(a_rollback_takes_out_one_request_alone),
        cmocka_unit_test(a_rollback_to_nothing_puts_the_commit_away),
        cmocka_unit_test(a_batch_that_has_grown_large_is_followed_by_another),
        cmocka_unit_test(a_request_that_grows_too_large_is_stopped),
        cmocka_unit_test(a_commit_comes_back_empty_from_the_pool),
        cmocka_unit_test(the_pool_keeps_little),
        cmocka_unit_test(a_commit_holds_ten_thousand_partitions),
        cmocka_unit_test(any_failed_allocation_leaves_the_kept_requests),
        cmocka_unit_test(a_request_that_counts_once_is_alone_in_its_commit),
        cmocka_unit_test(a_repeated_number_is_all_duplicates),
        cmocka_unit_test(a_repeated_key_has_the_answer_that_was_kept),
        cmocka_unit_test(a_request_out_of_turn_is_told_the_number_and_is_no_failure),
        cmocka_unit_test(a_number_needs_no_records),
        cmocka_unit_test(any_failed_allocation_fails_the_one_request),
        cmocka_unit_test(a_batch_is_handed_over_with_its_numbers),
        cmocka_unit_test(a_batch_whose_offset_is_forgotten_says_so),
        cmocka_unit_test(a_batch_of_an_old_epoch_is_no_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
