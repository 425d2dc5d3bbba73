#include "unit/admin/door.h"

#include "base/alloc.h"
#include "format/json/json.h"

static int64_t starts[] = {0, 90};
static int64_t ends[] = {10, 100};
static struct flow_topic_state topics[] = {
    {.id = 1, .name = "flights", .partition_count = 2, .start_offset = starts, .end_offset = ends}};

/* Of the topic that is there, and of one that is not any more. */
static struct flow_group_offset offsets[] = {
    {.topic_id = 1, .partition = 0, .offset = 4, .metadata = SLICE_LITERAL("a\"b")},
    {.topic_id = 2, .partition = 0, .offset = 4},
    {.topic_id = 1, .partition = 1, .offset = 7},
    {.topic_id = 1, .partition = 0, .offset = 1000},
    {.topic_id = 1, .partition = 2, .offset = 1},
};
static struct flow_group groups[] = {
    {.name = SLICE_LITERAL("readers"), .offsets = offsets, .offset_count = 5},
    {.name = SLICE_LITERAL("\xff"), .offset_count = 3}};

static void answer_offsets(struct fixture *f, size_t count, enum err_code code)
{
    struct flow_offsets *asked = f->offsets;
    assert_non_null(asked);
    f->offsets = NULL;
    asked->groups = groups;
    asked->group_count = count;
    asked->error = err_make(code);
    asked->done(asked);
    fake_run(f->fake);
}

static void answer_snapshot(struct fixture *f, enum err_code code)
{
    assert_int_equal(f->held_count, 1);
    struct flow_snapshot *snapshot = f->held[--f->held_count];
    snapshot->topics = topics;
    snapshot->topic_count = 1;
    snapshot->error = err_make(code);
    snapshot->done(snapshot);
    fake_run(f->fake);
}

static struct slice body_of(const char *text)
{
    const char *body = strstr(text, "\r\n\r\n");
    assert_non_null(body);
    return slice_string(body + 4);
}

static void all_groups_are_listed_with_how_much_they_have(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    ask(f, "/v1/groups");
    assert_int_equal(f->offsets->group.size, 0);
    answer_offsets(f, 2, ERR_OK);
    assert_starts(answer(f), "HTTP/1.1 200 ");
    assert_slice(body_of(answer(f)), "{\"groups\":[{\"group\":\"readers\",\"offsets\":5},\n"
                                     "{\"group\":\"\xef\xbf\xbd\",\"offsets\":3}]}\n");
    assert_true(err_is_ok(format_json_check(body_of(answer(f)), NULL, 8, NULL, NULL)));
    fixture_free(f);
}

static void a_log_without_groups_is_an_empty_list(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    ask(f, "/v1/groups");
    answer_offsets(f, 0, ERR_OK);
    assert_slice(body_of(answer(f)), "{\"groups\":[]}\n");
    fixture_free(f);
}

static void one_is_told_with_its_lag(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    ask(f, "/v1/groups/readers");
    assert_slice(f->offsets->group, "readers");
    answer_offsets(f, 1, ERR_OK);
    answer_snapshot(f, ERR_OK);
    assert_starts(answer(f), "HTTP/1.1 200 ");
    /* What has expired is not to be read, and no lag is below nothing. */
    assert_slice(body_of(answer(f)),
                 "{\"group\":\"readers\",\"offsets\":["
                 "{\"topic\":\"flights\",\"partition\":0,\"offset\":4,\"end_offset\":10,"
                 "\"lag\":6,\"metadata\":\"a\\\"b\"},\n"
                 "{\"topic\":\"flights\",\"partition\":1,\"offset\":7,\"end_offset\":100,"
                 "\"lag\":10,\"metadata\":\"\"},\n"
                 "{\"topic\":\"flights\",\"partition\":0,\"offset\":1000,\"end_offset\":10,"
                 "\"lag\":0,\"metadata\":\"\"}]}\n");
    assert_true(err_is_ok(format_json_check(body_of(answer(f)), NULL, 8, NULL, NULL)));
    fixture_free(f);
}

static void one_that_is_not_there_is_404(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    ask(f, "/v1/groups/nobody");
    answer_offsets(f, 0, ERR_OK);
    assert_starts(answer(f), "HTTP/1.1 404 ");
    assert_non_null(strstr(answer(f), "\"error\":\"unknown_group\""));
    fixture_free(f);
}

static void a_log_that_cannot_say_it_is_no_empty_list(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    ask(f, "/v1/groups");
    answer_offsets(f, 0, ERR_MEMORY);
    assert_starts(answer(f), "HTTP/1.1 503 ");
    fixture_free(f);
    f = fixture_new();
    ask(f, "/v1/groups/readers");
    answer_offsets(f, 1, ERR_OK);
    answer_snapshot(f, ERR_MEMORY);
    assert_starts(answer(f), "HTTP/1.1 503 ");
    fixture_free(f);
}

static void nothing_else_can_be_done_to_them_here(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    assert_starts(ask_with(f, "DELETE /v1/groups/a HTTP/1.1\r\nHost: localhost\r\n\r\n"),
                  "HTTP/1.1 405 ");
    assert_null(f->offsets);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_groups_are_listed_with_how_much_they_have),
        cmocka_unit_test(a_log_without_groups_is_an_empty_list),
        cmocka_unit_test(one_is_told_with_its_lag),
        cmocka_unit_test(one_that_is_not_there_is_404),
        cmocka_unit_test(a_log_that_cannot_say_it_is_no_empty_list),
        cmocka_unit_test(nothing_else_can_be_done_to_them_here),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
