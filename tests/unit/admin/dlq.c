#include "unit/admin/door.h"

#include "base/alloc.h"

/* Letters that answer when the test says so. */
struct fake_letters {
    struct flow_letters letters;
    struct flow_letters_walk *walk;
    struct flow_letters_begin *begin;
    char topic[32];
    bool has_state;
    bool runs;
    unsigned cancels;
};

static void take_walk(struct flow_letters *letters, struct flow_letters_walk *walk)
{
    CONTAINER_OF(letters, struct fake_letters, letters)->walk = walk;
}

static void take_begin(struct flow_letters *letters, struct flow_letters_begin *begin)
{
    CONTAINER_OF(letters, struct fake_letters, letters)->begin = begin;
}

static bool give_state(struct flow_letters *letters, struct slice topic,
                       struct flow_letters_state *out)
{
    struct fake_letters *l = CONTAINER_OF(letters, struct fake_letters, letters);
    snprintf(l->topic, sizeof l->topic, "%.*s", SLICE_PRINTF(topic));
    *out = (struct flow_letters_state){.number = 7, .done = 5};
    return l->has_state;
}

static bool take_cancel_of(struct flow_letters *letters, struct slice topic)
{
    struct fake_letters *l = CONTAINER_OF(letters, struct fake_letters, letters);
    (void)topic;
    l->cancels++;
    return l->runs;
}

static const struct flow_letters_ops ops = {
    .walk = take_walk, .begin = take_begin, .state = give_state, .cancel = take_cancel_of};

static struct fake_letters *letters_new(struct fixture **out)
{
    struct fake_letters *l = calloc(1, sizeof *l);
    struct fixture *f = fixture_prepare();
    struct err_text why = {0};
    struct admin_options options = options_of(f);
    l->letters.ops = &ops;
    options.letters = &l->letters;
    assert_true(err_is_ok(admin_new(&options, &f->admin, &why)));
    connect_one(f);
    *out = f;
    return l;
}

static void letters_free(struct fake_letters *l, struct fixture *f)
{
    fixture_free(f);
    free(l);
}

static const char *send_to(struct fixture *f, const char *method, const char *target)
{
    char request[1024];
    snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: localhost\r\n\r\n", method, target);
    return ask_with(f, request);
}

/* Shows `count` letters of the walk, or as many as it takes. */
static uint32_t show(struct flow_letters_walk *walk, uint32_t count)
{
    struct flow_record record = {.value = SLICE_LITERAL("{}")};
    struct flow_letter letter = {.record = &record, .reason = SLICE_LITERAL("json")};
    uint32_t shown = 0;
    bool more = true;
    for (; shown < count && more; shown++) {
        record.offset = shown;
        more = walk->letter(walk, &letter);
    }
    walk->next_offset = shown;
    walk->end_offset = count;
    walk->complete = more;
    return shown;
}

static void give_topics(struct fixture *f, uint64_t held)
{
    static int64_t zero[1];
    static const struct flow_topic_state topics[] = {
        {.id = 1, .name = "flights", .partition_count = 1},
        {.id = 2, .name = "flights.dlq", .partition_count = 1, .parent_id = 1},
        {.id = 3, .name = "empty", .partition_count = 1},
        {.id = 4, .name = "empty.dlq", .partition_count = 1, .parent_id = 3}};
    struct flow_snapshot *snapshot = f->held[--f->held_count];
    snapshot->topics = arena_alloc(&snapshot->arena, sizeof topics);
    memcpy(snapshot->topics, topics, sizeof topics);
    snapshot->topic_count = 4;
    snapshot->topics[1].dlq_held = held;
    for (size_t i = 0; i < 4; i++)
        snapshot->topics[i].start_offset = snapshot->topics[i].end_offset = zero;
    snapshot->done(snapshot);
}

static void the_list_counts_the_reasons_of_what_is_held(void **state)
{
    (void)state;
    struct fixture *f;
    struct fake_letters *l = letters_new(&f);
    assert_string_equal(send_to(f, "GET", "/v1/dlq"), "");
    give_topics(f, 3);
    assert_true(slice_equal_string(l->walk->topic, "flights"));
    assert_int_equal(show(l->walk, 3), 3);
    l->walk->done(l->walk);
    const char *text = answer(f);
    assert_starts(text, "HTTP/1.1 200 OK\r\n");
    assert_non_null(strstr(text, "{\"topic\":\"flights\",\"held\":3,"));
    assert_non_null(strstr(text, "\"by_reason\":{\"json\":3},\"by_reason_complete\":true"));
    assert_non_null(strstr(text, "{\"topic\":\"empty\",\"held\":0,"));
    letters_free(l, f);
}

static void a_queue_that_cannot_be_read_is_listed_without_reasons(void **state)
{
    (void)state;
    struct fixture *f;
    struct fake_letters *l = letters_new(&f);
    l->has_state = true;
    (void)send_to(f, "GET", "/v1/dlq");
    give_topics(f, 3);
    l->walk->error = err_make(ERR_CORRUPT);
    l->walk->done(l->walk);
    assert_non_null(strstr(answer(f), "\"by_reason\":{},\"by_reason_complete\":false,\"last\":{"));
    (void)send_to(f, "GET", "/v1/dlq");
    f->held[0]->error = err_make(ERR_MEMORY);
    f->held[--f->held_count]->done(f->held[0]);
    assert_starts(answer(f), "HTTP/1.1 503 ");
    letters_free(l, f);
}

static void letters_are_shown_up_to_the_limit(void **state)
{
    (void)state;
    struct fixture *f;
    struct fake_letters *l = letters_new(&f);
    (void)send_to(f, "GET", "/v1/dlq/flights?reason=json&limit=2&offset=9");
    assert_true(slice_equal_string(l->walk->topic, "flights"));
    assert_true(slice_equal_string(l->walk->filter.reason, "json"));
    assert_int_equal(l->walk->offset, 9);
    assert_int_equal(show(l->walk, 5), 2);
    l->walk->held = 5;
    l->walk->done(l->walk);
    const char *text = answer(f);
    assert_starts(text, "HTTP/1.1 200 OK\r\n");
    assert_non_null(strstr(text, "{\"topic\":\"flights\",\"letters\":[\n{\"offset\":0,"));
    assert_ends(text, "\n],\"next_offset\":2,\"end_offset\":5,\"complete\":false,\"held\":5}\n");
    letters_free(l, f);
}

static void what_cannot_be_shown_is_told(void **state)
{
    (void)state;
    static const struct {
        enum err_code code;
        const char *start;
    } cases[] = {{ERR_NOT_FOUND, "HTTP/1.1 404 "},
                 {ERR_CORRUPT, "HTTP/1.1 500 "},
                 {ERR_CANCELLED, "HTTP/1.1 503 "}};
    struct fixture *f;
    struct fake_letters *l = letters_new(&f);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        (void)send_to(f, "GET", "/v1/dlq/flights");
        l->walk->error = err_make(cases[i].code);
        l->walk->done(l->walk);
        assert_starts(answer(f), cases[i].start);
        if (f->fake->tcps[f->fake->tcp_count - 1]->closed)
            connect_one(f);
    }
    assert_starts(send_to(f, "GET", "/v1/dlq/flights?nope=1"), "HTTP/1.1 400 ");
    letters_free(l, f);
}

static void an_order_is_answered_once_it_has_begun(void **state)
{
    (void)state;
    struct fixture *f;
    struct fake_letters *l = letters_new(&f);
    assert_string_equal(
        send_to(f, "POST", "/v1/dlq/flights/redrive?limit=3&rate=9&max_attempts=2&dry_run=true"),
        "");
    assert_int_equal(l->begin->order.action, FLOW_LETTERS_REDRIVE);
    assert_int_equal(l->begin->order.limit, 3);
    assert_int_equal(l->begin->order.rate, 9);
    assert_int_equal(l->begin->order.max_attempts, 2);
    assert_true(l->begin->order.dry_run);
    l->begin->state = (struct flow_letters_state){.number = 1};
    l->begin->done(l->begin);
    assert_starts(answer(f), "HTTP/1.1 202 ");
    assert_string_equal(send_to(f, "POST", "/v1/dlq/flights/purge?reason=json"), "");
    assert_int_equal(l->begin->order.action, FLOW_LETTERS_PURGE);
    assert_int_equal(l->begin->order.limit, 0);
    l->begin->state = (struct flow_letters_state){.number = 2, .action = FLOW_LETTERS_PURGE};
    l->begin->done(l->begin);
    assert_non_null(strstr(answer(f), "\"action\":\"purge\""));
    letters_free(l, f);
}

static void an_order_that_cannot_begin_says_why(void **state)
{
    (void)state;
    static const struct {
        enum err_code code;
        const char *start, *code_text;
    } cases[] = {{ERR_NOT_FOUND, "HTTP/1.1 404 ", "unknown_topic"},
                 {ERR_EXISTS, "HTTP/1.1 409 ", "running"},
                 {ERR_INVALID, "HTTP/1.1 409 ", "contract"},
                 {ERR_LOG_FULL, "HTTP/1.1 503 ", "log"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture *f;
        struct fake_letters *l = letters_new(&f);
        (void)send_to(f, "POST", "/v1/dlq/flights/redrive");
        l->begin->error = err_set(&l->begin->why, cases[i].code, "because");
        l->begin->done(l->begin);
        const char *text = answer(f);
        assert_starts(text, cases[i].start);
        assert_non_null(strstr(text, cases[i].code_text));
        letters_free(l, f);
    }
    struct fixture *f;
    struct fake_letters *l = letters_new(&f);
    assert_starts(send_to(f, "POST", "/v1/dlq/flights/purge?rate=3"), "HTTP/1.1 400 ");
    assert_null(l->begin);
    letters_free(l, f);
}

static void how_far_it_is_can_be_asked_and_it_can_be_ended(void **state)
{
    (void)state;
    struct fixture *f;
    struct fake_letters *l = letters_new(&f);
    assert_starts(send_to(f, "GET", "/v1/dlq/flights/redrive"), "HTTP/1.1 404 ");
    assert_starts(send_to(f, "DELETE", "/v1/dlq/flights/redrive"), "HTTP/1.1 404 ");
    l->has_state = l->runs = true;
    const char *text = send_to(f, "GET", "/v1/dlq/flights/purge");
    assert_starts(text, "HTTP/1.1 200 OK\r\n");
    assert_non_null(strstr(text, "{\"number\":7,"));
    assert_string_equal(l->topic, "flights");
    assert_starts(send_to(f, "DELETE", "/v1/dlq/flights/purge"), "HTTP/1.1 202 ");
    assert_int_equal(l->cancels, 2);
    assert_starts(send_to(f, "PUT", "/v1/dlq/flights/redrive"), "HTTP/1.1 405 ");
    letters_free(l, f);
}

static void a_door_without_letters_says_so(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    assert_starts(send_to(f, "GET", "/v1/dlq"), "HTTP/1.1 503 ");
    assert_starts(send_to(f, "GET", "/v1/dlq/flights/redrive"), "HTTP/1.1 404 ");
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_list_counts_the_reasons_of_what_is_held),
        cmocka_unit_test(a_queue_that_cannot_be_read_is_listed_without_reasons),
        cmocka_unit_test(letters_are_shown_up_to_the_limit),
        cmocka_unit_test(what_cannot_be_shown_is_told),
        cmocka_unit_test(an_order_is_answered_once_it_has_begun),
        cmocka_unit_test(an_order_that_cannot_begin_says_why),
        cmocka_unit_test(how_far_it_is_can_be_asked_and_it_can_be_ended),
        cmocka_unit_test(a_door_without_letters_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
