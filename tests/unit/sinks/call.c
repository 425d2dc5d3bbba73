#include "unit/sinks/batches.h"

#include "base/alloc.h"
#include "base/cursor.h"
#include "base/hash.h"
#include "sinks/call.h"

/* Every verb notes its letter; a write notes what it was given. */
struct plug {
    char verbs[16];
    err_t answer;
    int64_t offset_min[8];
    int64_t base_offset[8];
    uint32_t writes;
    int64_t refuse[4]; /* offsets, -1 ends */
    bool roll;
    bool redriven; /* the last write was told so */
};

static err_t note(struct plug *plug, char verb, struct err_text *why)
{
    size_t count = strlen(plug->verbs);
    assert_true(count + 1 < sizeof(plug->verbs));
    plug->verbs[count] = verb;
    if (!err_is_ok(plug->answer))
        return err_set(why, plug->answer.code, "verb %c fails", verb);
    return err_ok();
}

static err_t plug_open(const struct sinks_open *open, void **instance, struct err_text *why)
{
    struct plug *plug = (struct plug *)(uintptr_t)open->options;
    TRY(note(plug, 'o', why));
    *instance = plug;
    return err_ok();
}

static void plug_close(void *instance)
{
    (void)note(instance, 'c', NULL);
}

static err_t plug_write(void *instance, const struct sinks_batch *batch,
                        struct sinks_result *result, struct err_text *why)
{
    struct plug *plug = instance;
    TRY(note(plug, 'w', why));
    plug->offset_min[plug->writes] = batch->offset_min;
    plug->base_offset[plug->writes++] = batch->batch.base_offset;
    result->roll = plug->roll;
    plug->redriven = batch->redriven;
    struct flow_batch_iterator it = flow_batch_records(&batch->batch);
    struct flow_record record;
    const int64_t *refuse = plug->refuse;
    while (err_is_ok(flow_batch_next(&it, &record))) {
        if (record.offset < batch->offset_min)
            continue;
        while (*refuse >= 0 && *refuse < record.offset)
            refuse++;
        if (*refuse == record.offset)
            TRY(sinks_refuse(result, record.offset, "sink", "refused"));
        else
            result->delivered++;
    }
    return err_ok();
}

static err_t plug_prepare(void *instance, uint64_t epoch, const struct flow_sink_range *ranges,
                          uint32_t range_count, struct buf *outputs, struct err_text *why)
{
    assert_int_equal(epoch, 9);
    assert_int_equal(range_count, 1);
    assert_int_equal(ranges[0].end_offset, 5);
    TRY(note(instance, 'p', why));
    buf_add_string(outputs, "made");
    return err_ok();
}

static err_t plug_publish(void *instance, struct slice outputs, struct err_text *why)
{
    assert_slice(outputs, "made");
    return note(instance, 'v', why);
}

static void plug_discard(void *instance)
{
    (void)note(instance, 'd', NULL);
}

static const struct sinks_plugin plugin = {
    .name = "test",
    .open = plug_open,
    .close = plug_close,
    .write = plug_write,
    .prepare = plug_prepare,
    .publish = plug_publish,
    .discard = plug_discard,
};

struct test {
    struct plug plug;
    struct sinks_call call;
    struct buf outputs;
    struct flow_batch_builder letters;
    struct flow_batch_builder builders[3]; /* offsets 0-3, 4-7, 8-11 */
    struct buf packed[3];
    struct slice batches[3];
};

static void run(struct test *t, enum sinks_verb verb)
{
    t->call.verb = verb;
    sinks_call_work(&t->call.job);
}

static int setup(void **state)
{
    struct test *t = calloc(1, sizeof(*t));
    assert_non_null(t);
    static const struct test_record records[] = {
        {0, NULL, "1"}, {0, NULL, "2"}, {0, NULL, "3"}, {0, NULL, "4"}};
    flow_batch_builder_init(&t->letters);
    for (int i = 0; i < 3; i++) {
        flow_batch_builder_init(&t->builders[i]);
        t->batches[i] = make_batch(&t->builders[i], i * 4, records, 4).bytes;
    }
    t->plug.refuse[0] = -1;
    t->call = (struct sinks_call){
        .plugin = &plugin,
        .open = {.name = "s", .options = &t->plug},
        .outputs = &t->outputs,
        .write = {.batches = t->batches,
                  .batch_count = 3,
                  .topic_id = 1,
                  .about = {.sink = "s", .topic = "t", .partition = 2, .attempts = 1},
                  .letters = &t->letters},
    };
    run(t, SINKS_VERB_OPEN);
    assert_true(err_is_ok(t->call.error));
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct test *t = *state;
    buf_done(&t->outputs);
    buf_done(&t->call.unpacked);
    flow_batch_builder_done(&t->letters);
    for (int i = 0; i < 3; i++)
        flow_batch_builder_done(&t->builders[i]);
    for (int i = 0; i < 3; i++)
        buf_done(&t->packed[i]);
    free(t);
    return 0;
}

static void each_verb_calls_its_own(void **state)
{
    struct test *t = *state;
    struct flow_sink_range range = {.end_offset = 5};
    t->call.epoch = 9;
    t->call.ranges = &range;
    t->call.range_count = 1;
    run(t, SINKS_VERB_DISCARD);
    run(t, SINKS_VERB_PREPARE);
    run(t, SINKS_VERB_PUBLISH);
    assert_non_null(t->call.instance);
    run(t, SINKS_VERB_CLOSE);
    assert_null(t->call.instance);
    assert_true(err_is_ok(t->call.error));
    assert_string_equal(t->plug.verbs, "odpvc");
}

/* Letters 0, 1 and 2: a batch of one record each. */
static void redelivery_init(struct flow_redelivery *r, struct flow_redelivery_letter *letters)
{
    static const struct test_record record = {0, NULL, "1"};
    struct flow_batch_builder builder;
    flow_batch_builder_init(&builder);
    *r = (struct flow_redelivery){.topic = "t", .topic_id = 1, .letters = letters, .count = 3};
    for (uint32_t i = 0; i < 3; i++) {
        struct slice bytes = make_batch(&builder, 10 + i, &record, 1).bytes;
        letters[i] = (struct flow_redelivery_letter){
            .letter_offset = i, .offset = 10 + i, .at = r->bytes.size, .size = bytes.size};
        buf_add_slice(&r->bytes, bytes);
    }
    flow_batch_builder_done(&builder);
    assert_true(buf_ok(&r->bytes));
}

static void letters_are_written_one_by_one_and_say_so(void **state)
{
    struct test *t = *state;
    struct flow_redelivery r;
    struct flow_redelivery_letter letters[3];
    redelivery_init(&r, letters);
    t->call.redelivery = &r;
    t->plug.refuse[0] = 11;
    t->plug.refuse[1] = -1;
    run(t, SINKS_VERB_REDRIVE);
    assert_true(err_is_ok(t->call.error));
    assert_string_equal(t->plug.verbs, "owww");
    assert_true(t->plug.redriven);
    assert_int_equal(t->plug.base_offset[2], 12);
    assert_int_equal(r.taken, 3);
    assert_int_equal(t->call.redelivered, 2);
    assert_true(!letters[0].refused && letters[1].refused && !letters[2].refused);
    /* A refusal makes no letter. */
    assert_int_equal(t->letters.record_count, 0);
    buf_done(&r.bytes);
}

static void letters_behind_the_end_of_an_epoch_are_not_looked_at(void **state)
{
    struct test *t = *state;
    struct flow_redelivery r;
    struct flow_redelivery_letter letters[3];
    redelivery_init(&r, letters);
    t->call.redelivery = &r;
    t->plug.roll = true;
    run(t, SINKS_VERB_REDRIVE);
    assert_int_equal(r.taken, 1);
    assert_int_equal(t->call.redelivered, 1);
    t->plug.answer = err_make(ERR_IO);
    run(t, SINKS_VERB_REDRIVE);
    assert_true(err_is(t->call.error, ERR_IO));
    t->plug.answer = err_ok();
    r.bytes.data[letters[0].at + 20] ^= 1;
    run(t, SINKS_VERB_REDRIVE);
    assert_true(err_is(t->call.error, ERR_CORRUPT));
    buf_done(&r.bytes);
}

static void an_error_and_its_detail_come_back(void **state)
{
    struct test *t = *state;
    t->plug.answer = err_make(ERR_NO_SPACE);
    run(t, SINKS_VERB_WRITE);
    assert_int_equal(t->call.error.code, ERR_NO_SPACE);
    assert_string_equal(t->call.why.text, "verb w fails");
    t->plug.answer = err_ok();
    run(t, SINKS_VERB_DISCARD);
    assert_true(err_is_ok(t->call.error));
    assert_string_equal(t->call.why.text, "");
}

static void a_failed_open_leaves_no_instance(void **state)
{
    struct test *t = *state;
    run(t, SINKS_VERB_CLOSE);
    t->plug.answer = err_make(ERR_IO);
    run(t, SINKS_VERB_OPEN);
    assert_null(t->call.instance);
    assert_int_equal(t->call.error.code, ERR_IO);
}

static void a_write_gives_all_batches_in_order(void **state)
{
    struct test *t = *state;
    run(t, SINKS_VERB_WRITE);
    assert_int_equal(t->plug.writes, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(t->plug.base_offset[i], i * 4);
        assert_int_equal(t->plug.offset_min[i], i * 4);
    }
    assert_int_equal(t->call.write.delivered, 12);
    assert_int_equal(t->call.write.next_offset, 12);
    assert_false(t->call.write.roll);
    assert_true(err_is_ok(t->call.write.unreadable));
}

static void a_batch_that_is_delivered_already_is_not_given(void **state)
{
    struct test *t = *state;
    t->call.write.next_offset = 6;
    run(t, SINKS_VERB_WRITE);
    assert_int_equal(t->plug.writes, 2);
    assert_int_equal(t->plug.base_offset[0], 4);
    assert_int_equal(t->plug.offset_min[0], 6);
    assert_int_equal(t->call.write.delivered, 6);
    assert_int_equal(t->call.write.next_offset, 12);
}

static void a_wish_to_roll_is_passed_on(void **state)
{
    struct test *t = *state;
    t->plug.roll = true;
    run(t, SINKS_VERB_WRITE);
    assert_true(t->call.write.roll);
}

static void refused_records_become_letters(void **state)
{
    struct test *t = *state;
    memcpy(t->plug.refuse, (int64_t[]){1, 3, 8, -1}, sizeof(t->plug.refuse));
    run(t, SINKS_VERB_WRITE);
    assert_int_equal(t->call.write.delivered, 9);
    assert_int_equal(t->call.write.dead_lettered, 3);
    assert_int_equal(t->letters.record_count, 3);
    assert_int_equal(t->call.write.letters_size, t->letters.bytes.size);
    struct flow_batch batch;
    assert_true(err_is_ok(flow_batch_parse(flow_batch_builder_finish(&t->letters), &batch)));
    struct flow_batch_iterator it = flow_batch_records(&batch);
    struct flow_record record;
    static const char *const values[] = {"2", "4", "1"};
    for (int i = 0; i < 3; i++) {
        assert_true(err_is_ok(flow_batch_next(&it, &record)));
        assert_slice(record.value, values[i]);
    }
}

static void a_batch_with_a_flipped_bit_is_never_given(void **state)
{
    struct test *t = *state;
    uint8_t *bytes = t->builders[1].bytes.data;
    for (size_t i = 8; i < t->batches[1].size; i++) {
        bytes[i] ^= 0x10;
        t->plug.writes = 0;
        memset(t->plug.verbs, 0, sizeof(t->plug.verbs));
        t->call.write.next_offset = 0;
        t->call.write.delivered = 0;
        t->call.write.unreadable = err_ok();
        run(t, SINKS_VERB_WRITE);
        bytes[i] ^= 0x10;
        /* The partition leader epoch lies outside the CRC and means nothing here. */
        if (i >= 12 && i < 16) {
            assert_int_equal(t->plug.writes, 3);
            continue;
        }
        assert_int_equal(t->plug.writes, 1);
        assert_true(err_is_ok(t->call.error));
        assert_false(err_is_ok(t->call.write.unreadable));
        assert_int_equal(t->call.write.next_offset, 4);
        assert_int_equal(t->call.write.delivered, 4);
        assert_non_null(strstr(t->call.why.text, "t 2 at offset 4"));
    }
}

static void a_batch_that_is_cut_is_never_given(void **state)
{
    struct test *t = *state;
    t->batches[0].size--;
    run(t, SINKS_VERB_WRITE);
    assert_int_equal(t->plug.writes, 0);
    assert_false(err_is_ok(t->call.write.unreadable));
    assert_int_equal(t->call.write.next_offset, 0);
}

/* Makes batch `i` one that is worth packing, of the same four offsets, and packs it. */
static void pack(struct test *t, int i, enum flow_codec codec, size_t value_size)
{
    char *value = calloc(1, value_size + 1);
    assert_non_null(value);
    memset(value, 'v', value_size);
    const struct test_record records[] = {
        {0, NULL, value}, {0, NULL, value}, {0, NULL, "last but one"}, {0, NULL, "last"}};
    struct flow_batch batch = make_batch(&t->builders[i], i * 4, records, 4);
    assert_true(err_is_ok(flow_batch_pack(&batch, codec, &t->packed[i])));
    assert_in_range(t->packed[i].size, 1, batch.bytes.size / 2);
    t->batches[i] = buf_slice(&t->packed[i]);
    free(value);
}

static void packed_batches_are_given_unpacked(void **state)
{
    struct test *t = *state;
    pack(t, 0, FLOW_CODEC_LZ4, 1000);
    pack(t, 2, FLOW_CODEC_ZSTD, 1000);
    memcpy(t->plug.refuse, (int64_t[]){3, 5, 10, -1}, sizeof(t->plug.refuse));
    run(t, SINKS_VERB_WRITE);
    assert_true(err_is_ok(t->call.error));
    assert_true(err_is_ok(t->call.write.unreadable));
    assert_int_equal(t->plug.writes, 3);
    assert_int_equal(t->call.write.delivered, 9);
    assert_int_equal(t->call.write.next_offset, 12);
    struct flow_batch batch;
    assert_true(err_is_ok(flow_batch_parse(flow_batch_builder_finish(&t->letters), &batch)));
    struct flow_batch_iterator it = flow_batch_records(&batch);
    struct flow_record record;
    static const char *const values[] = {"last", "2", "last but one"};
    for (int i = 0; i < 3; i++) {
        assert_true(err_is_ok(flow_batch_next(&it, &record)));
        assert_slice(record.value, values[i]);
    }
}

static void memory_of_a_large_packed_batch_is_given_back(void **state)
{
    struct test *t = *state;
    pack(t, 0, FLOW_CODEC_LZ4, 1000);
    run(t, SINKS_VERB_WRITE);
    assert_non_null(t->call.unpacked.data);
    t->call.write.next_offset = 0;
    t->plug.writes = 0;
    buf_reset(&t->packed[0]);
    pack(t, 0, FLOW_CODEC_ZSTD, 3000000);
    run(t, SINKS_VERB_WRITE);
    assert_int_equal(t->plug.writes, 3);
    assert_null(t->call.unpacked.data);
}

static void an_instance_that_is_closed_leaves_no_memory(void **state)
{
    struct test *t = *state;
    pack(t, 0, FLOW_CODEC_LZ4, 1000);
    run(t, SINKS_VERB_WRITE);
    assert_non_null(t->call.unpacked.data);
    run(t, SINKS_VERB_CLOSE);
    assert_null(t->call.unpacked.data);
}

static void a_packed_batch_that_cannot_be_unpacked_stops_its_partition(void **state)
{
    struct test *t = *state;
    pack(t, 1, FLOW_CODEC_LZ4, 1000);
    uint8_t *bytes = t->packed[1].data;
    static const struct {
        uint8_t codec;
        enum err_code code;
    } wrong[] = {{FLOW_CODEC_ZSTD, ERR_CORRUPT}, {7, ERR_UNSUPPORTED}};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        bytes[22] = wrong[i].codec;
        put_u32be(bytes + 17, crc32c(0, bytes + 21, t->packed[1].size - 21));
        t->call.write.next_offset = 0;
        t->plug.writes = 0;
        run(t, SINKS_VERB_WRITE);
        assert_true(err_is_ok(t->call.error));
        assert_int_equal(t->call.write.unreadable.code, wrong[i].code);
        assert_int_equal(t->plug.writes, 1);
        assert_int_equal(t->call.write.next_offset, 4);
    }
}

static void without_memory_to_unpack_the_write_fails(void **state)
{
    struct test *t = *state;
    pack(t, 0, FLOW_CODEC_ZSTD, 1000);
    mem_fail_after(1);
    run(t, SINKS_VERB_WRITE);
    mem_fail_after(0);
    assert_int_equal(t->call.error.code, ERR_MEMORY);
    assert_true(err_is_ok(t->call.write.unreadable));
    assert_int_equal(t->plug.writes, 0);
}

static void without_memory_a_refusal_fails_the_write(void **state)
{
    struct test *t = *state;
    memcpy(t->plug.refuse, (int64_t[]){1, -1}, 2 * sizeof(int64_t));
    uint64_t n = 0;
    do {
        t->call.write.next_offset = 0;
        t->plug.writes = 0;
        memset(t->plug.verbs, 0, sizeof(t->plug.verbs));
        mem_fail_after(++n);
        run(t, SINKS_VERB_WRITE);
        mem_fail_after(0);
        assert_true(err_is_ok(t->call.error) || err_is(t->call.error, ERR_MEMORY));
    } while (!err_is_ok(t->call.error));
    assert_true(n > 3);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(each_verb_calls_its_own),
        TEST(letters_are_written_one_by_one_and_say_so),
        TEST(letters_behind_the_end_of_an_epoch_are_not_looked_at),
        TEST(an_error_and_its_detail_come_back),
        TEST(a_failed_open_leaves_no_instance),
        TEST(a_write_gives_all_batches_in_order),
        TEST(a_batch_that_is_delivered_already_is_not_given),
        TEST(a_wish_to_roll_is_passed_on),
        TEST(refused_records_become_letters),
        TEST(a_batch_with_a_flipped_bit_is_never_given),
        TEST(a_batch_that_is_cut_is_never_given),
        TEST(packed_batches_are_given_unpacked),
        TEST(memory_of_a_large_packed_batch_is_given_back),
        TEST(an_instance_that_is_closed_leaves_no_memory),
        TEST(a_packed_batch_that_cannot_be_unpacked_stops_its_partition),
        TEST(without_memory_to_unpack_the_write_fails),
        TEST(without_memory_a_refusal_fails_the_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
