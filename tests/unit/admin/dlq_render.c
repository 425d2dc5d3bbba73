#include "admin/dlq_render.h"

#include "flow/batch.h"
#include "lib/unit.h"

static bool has(const struct buf *text, const char *part)
{
    return memmem(text->data, text->size, part, strlen(part)) != NULL;
}

static void assert_renders(struct buf *out, const char *text)
{
    assert_true(buf_ok(out));
    if (!slice_equal_string(buf_slice(out), text))
        fail_msg("%.*s", SLICE_PRINTF(buf_slice(out)));
    buf_done(out);
}

static void a_state_has_all_that_is_known(void **state)
{
    (void)state;
    struct flow_letters_state s = {.number = 3,
                                   .action = FLOW_LETTERS_REDRIVE,
                                   .phase = FLOW_LETTERS_WAITING,
                                   .started_ms = 1790000000123,
                                   .offsets = 10,
                                   .offsets_passed = 7,
                                   .matched = 6,
                                   .done = 4,
                                   .done_bytes = 44,
                                   .skipped_attempts = 1,
                                   .skipped_sink = 1,
                                   .refused = 2,
                                   .why = "the \"log\""};
    struct buf out = {0};
    flow_letters_count(&s.outcomes, SLICE_LITERAL("accepted"), 40);
    flow_letters_count(&s.outcomes, SLICE_LITERAL("js\"on"), 4);
    admin_dlq_render_state(&s, &out);
    assert_renders(
        &out, "{\"number\":3,\"action\":\"redrive\",\"dry_run\":false,\"phase\":"
              "\"waiting\",\"why\":\"the \\\"log\\\"\",\"started\":"
              "\"2026-09-21T14:13:20.123Z\",\"offsets\":10,\"offsets_passed\":7,"
              "\"matched\":6,\"done\":4,\"bytes\":44,\"skipped_attempts\":1,"
              "\"skipped_sink\":1,\"refused\":2,\"outcomes\":[{\"name\":\"accepted\",\"count\":1,"
              "\"bytes\":40},{\"name\":\"js\\\"on\",\"count\":1,\"bytes\":4}]}");
    s = (struct flow_letters_state){
        .number = 1, .action = FLOW_LETTERS_PURGE, .phase = FLOW_LETTERS_FINISHED, .dry_run = true};
    admin_dlq_render_state(&s, &out);
    assert_renders(&out,
                   "{\"number\":1,\"action\":\"purge\",\"dry_run\":true,\"phase\":\"finished\","
                   "\"why\":\"\",\"started\":null,\"offsets\":0,\"offsets_passed\":0,\"matched\":0,"
                   "\"done\":0,\"bytes\":0,\"skipped_attempts\":0,\"skipped_sink\":0,\"refused\":0,"
                   "\"outcomes\":[]}");
}

static void a_queue_is_a_row(void **state)
{
    (void)state;
    struct flow_topic_state dlq = {.parent_id = 1,
                                   .dlq_held = 3,
                                   .sealed_bytes = 100,
                                   .wal_bytes = 20,
                                   .dlq_oldest_ms = 1790000000123,
                                   .dlq_redriven = 5,
                                   .dlq_purged = 6,
                                   .dlq_expired = 7};
    struct flow_letters_outcomes reasons = {0};
    struct buf out = {0};
    flow_letters_count(&reasons, SLICE_LITERAL("json"), 1);
    admin_dlq_render_topic(&dlq, "flights", &reasons, false, NULL, &out);
    assert_renders(&out, "{\"topic\":\"flights\",\"held\":3,\"bytes\":120,\"oldest\":"
                         "\"2026-09-21T14:13:20.123Z\",\"redriven\":5,\"purged\":6,\"expired\":7,"
                         "\"by_reason\":{\"json\":1},\"by_reason_complete\":false,\"last\":null}");
    struct flow_letters_state last = {.number = 1};
    dlq = (struct flow_topic_state){.parent_id = 1};
    reasons.count = 0;
    admin_dlq_render_topic(&dlq, "flights", &reasons, true, &last, &out);
    assert_true(has(&out, "\"oldest\":null,"));
    assert_true(has(&out, "\"by_reason\":{},\"by_reason_complete\":true,"
                          "\"last\":{\"number\":1,"));
    buf_done(&out);
}

static void a_letter_is_shown_whatever_its_bytes(void **state)
{
    (void)state;
    struct flow_record record = {.offset = 17, .value = SLICE_LITERAL("{\"a\":\n1}")};
    struct flow_letter letter = {.record = &record,
                                 .reason = SLICE_LITERAL("schema"),
                                 .detail = SLICE_LITERAL("/a: \"x\""),
                                 .stage = SLICE_LITERAL("intake"),
                                 .source = SLICE_LITERAL("\xff"),
                                 .received_ms = 1790000000123,
                                 .attempts = 2};
    struct buf out = {0};
    admin_dlq_render_letter(&letter, &out);
    assert_renders(&out, "{\"offset\":17,\"reason\":\"schema\",\"detail\":\"/a: \\\"x\\\"\","
                         "\"stage\":\"intake\",\"source_base64\":\"/w==\",\"attempts\":2,"
                         "\"received_at\":\"2026-09-21T14:13:20.123Z\",\"bytes\":8,\"key\":null,"
                         "\"headers\":[],\"value\":{\"a\": 1}}");
    record.value = SLICE_LITERAL("{broken");
    record.key = SLICE_LITERAL("k");
    admin_dlq_render_letter(&letter, &out);
    assert_true(has(&out, "\"key\":\"k\",\"headers\":[],\"value_base64\":\"e2Jyb2tlbg==\"}"));
    buf_done(&out);
}

static void what_was_produced_is_shown_with_its_own_parts(void **state)
{
    (void)state;
    struct flow_header headers[] = {{SLICE_LITERAL("trace"), SLICE_LITERAL("")},
                                    {SLICE_LITERAL("none"), {0}},
                                    {SLICE_LITERAL("bytes"), SLICE_LITERAL("\xff")}};
    struct flow_batch_builder builder;
    struct flow_batch batch;
    struct flow_record record;
    struct buf out = {0};
    flow_batch_builder_init(&builder);
    assert_true(err_is_ok(
        flow_batch_builder_add(&builder, 1, SLICE_LITERAL(""), SLICE_LITERAL("{}"), headers, 3)));
    assert_true(err_is_ok(flow_batch_parse(flow_batch_builder_finish(&builder), &batch)));
    struct flow_batch_iterator it = flow_batch_records(&batch);
    assert_true(err_is_ok(flow_batch_next(&it, &record)));
    struct flow_letter letter = {.record = &record,
                                 .produced = true,
                                 .partition = 2,
                                 .contract_key = SLICE_LITERAL("KL"),
                                 .original = record};
    admin_dlq_render_letter(&letter, &out);
    assert_true(has(&out, "\"partition\":2,\"key\":\"\",\"contract_key\":\"KL\",\"headers\":["
                          "{\"key\":\"trace\",\"value\":\"\"},{\"key\":\"none\",\"value\":null},"
                          "{\"key\":\"bytes\",\"value_base64\":\"/w==\"}],\"value\":{}}"));
    buf_reset(&out);
    letter.partition = FLOW_PARTITIONS_MAX;
    letter.original.header_count = 9;
    admin_dlq_render_letter(&letter, &out);
    assert_false(has(&out, "\"partition\""));
    assert_true(has(&out, "\"headers_base64\":\""));
    flow_batch_builder_done(&builder);
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_state_has_all_that_is_known),
        cmocka_unit_test(a_queue_is_a_row),
        cmocka_unit_test(a_letter_is_shown_whatever_its_bytes),
        cmocka_unit_test(what_was_produced_is_shown_with_its_own_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
