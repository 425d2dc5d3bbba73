#include "unit/sinks/batches.h"
#include "unit/sinks/file/fixture.h"

#include <inttypes.h>

#include "base/number.h"
#include "sim/disk.h"
#include "sinks/file/file.h"

#define DAY_MS INT64_C(86400000)
/* 2024-01-31T00:00:00Z */
#define DAY_ONE (INT64_C(19753) * DAY_MS)

struct test {
    char sandbox[64];
    char path[256];
    struct faulty faulty;
    struct sinks_file_options options;
    void *sink;
    struct flow_batch_builder builder;
    struct sinks_result result;
    struct buf outputs;
    struct err_text why;
};

static int setup(void **state)
{
    struct test *t = calloc(1, sizeof(*t));
    assert_non_null(t);
    make_sandbox(t->sandbox);
    faulty_init(&t->faulty);
    flow_batch_builder_init(&t->builder);
    t->options = (struct sinks_file_options){
        .path = t->path, .roll = {1 << 20, 60000}, .max_open_files = 64};
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct test *t = *state;
    if (t->sink)
        sinks_file_plugin.close(t->sink);
    flow_batch_builder_done(&t->builder);
    sinks_result_done(&t->result);
    buf_done(&t->outputs);
    remove_sandbox(t->sandbox);
    free(t);
    return 0;
}

static err_t try_open(struct test *t, const char *below)
{
    (void)snprintf(t->path, sizeof(t->path), "%s/%s", t->sandbox, below);
    struct sinks_open open = {"s", &t->options, &t->faulty.disk, 7};
    return sinks_file_plugin.open(&open, &t->sink, &t->why);
}

static void open_sink(struct test *t, const char *below)
{
    err_t err = try_open(t, below);
    if (!err_is_ok(err))
        fail_msg("open: %s", err_detail(err, &t->why));
}

static err_t try_write(struct test *t, const char *topic, uint32_t partition, int64_t base_offset,
                       const struct test_record *records, size_t count)
{
    struct sinks_batch batch = {
        .topic = topic,
        .topic_id = (uint32_t)strlen(topic),
        .partition = partition,
        .offset_min = base_offset,
        .batch = make_batch(&t->builder, base_offset, records, count),
    };
    sinks_result_done(&t->result);
    return sinks_file_plugin.write(t->sink, &batch, &t->result, &t->why);
}

static void write_records(struct test *t, const char *topic, uint32_t partition,
                          int64_t base_offset, const struct test_record *records, size_t count)
{
    assert_ok(try_write(t, topic, partition, base_offset, records, count));
    assert_int_equal(t->result.delivered + t->result.refusal_count, count);
}

static void write_one(struct test *t, const char *topic, uint32_t partition, int64_t offset,
                      struct test_record record)
{
    write_records(t, topic, partition, offset, &record, 1);
}

static struct flow_sink_range range(const char *topic, uint32_t partition, int64_t first,
                                    int64_t end)
{
    return (struct flow_sink_range){
        .topic_id = (uint32_t)strlen(topic),
        .partition = partition,
        .first_offset = first,
        .end_offset = end,
    };
}

static err_t prepare(struct test *t, const struct flow_sink_range *ranges, uint32_t count)
{
    buf_reset(&t->outputs);
    return sinks_file_plugin.prepare(t->sink, 1, ranges, count, &t->outputs, &t->why);
}

static err_t publish(struct test *t)
{
    return sinks_file_plugin.publish(t->sink, buf_slice(&t->outputs), &t->why);
}

static void deliver(struct test *t, const struct flow_sink_range *ranges, uint32_t count)
{
    assert_ok(prepare(t, ranges, count));
    assert_ok(publish(t));
}

static void assert_lake(struct test *t, const char *below, const char *content)
{
    assert_file(at(t->sandbox, below), content);
}

static void files_are_named_by_the_range_of_their_partition(void **state)
{
    struct test *t = *state;
    open_sink(t, "lake/{topic}");
    write_records(t, "flights", 2, 40, (struct test_record[]){{0, NULL, "1"}, {0, NULL, "2"}}, 2);
    write_one(t, "flights", 0, 7, (struct test_record){0, NULL, "3"});
    write_one(t, "cars", 2, 0, (struct test_record){0, NULL, "4"});
    write_one(t, "flights", 2, 43, (struct test_record){0, NULL, "5"});
    struct flow_sink_range ranges[] = {range("cars", 2, 0, 1), range("flights", 0, 5, 8),
                                       range("flights", 2, 40, 44)};
    deliver(t, ranges, 3);
    assert_lake(t, "lake/flights/flights-2-00000000000000000040-00000000000000000043.ndjson",
                "1\n2\n5\n");
    assert_lake(t, "lake/flights/flights-0-00000000000000000005-00000000000000000007.ndjson",
                "3\n");
    assert_lake(t, "lake/cars/cars-2-00000000000000000000-00000000000000000000.ndjson", "4\n");
    assert_int_equal(count_entries(at(t->sandbox, "lake")), 2);
    assert_int_equal(count_entries(at(t->sandbox, "lake.inprogress")), 0);
}

static void each_day_has_its_directory_and_the_same_name_in_it(void **state)
{
    struct test *t = *state;
    open_sink(t, "lake/{topic}/dt={event_time:%Y-%m-%d}");
    write_records(t, "t", 0, 0,
                  (struct test_record[]){{DAY_ONE, NULL, "a"},
                                         {DAY_ONE + DAY_MS - 1, NULL, "b"},
                                         {DAY_ONE + DAY_MS, NULL, "c"},
                                         {DAY_ONE - 1, NULL, "d"},
                                         {DAY_ONE + 5, NULL, "e"},
                                         {-1, NULL, "f"}},
                  6);
    deliver(t, (struct flow_sink_range[]){range("t", 0, 0, 6)}, 1);
#define NAME "t-0-00000000000000000000-00000000000000000005.ndjson"
    assert_lake(t, "lake/t/dt=2024-01-31/" NAME, "a\nb\ne\n");
    assert_lake(t, "lake/t/dt=2024-02-01/" NAME, "c\n");
    assert_lake(t, "lake/t/dt=2024-01-30/" NAME, "d\n");
    assert_lake(t, "lake/t/dt=1969-12-31/" NAME, "f\n");
#undef NAME
}

static void nothing_is_visible_before_it_is_published(void **state)
{
    struct test *t = *state;
    open_sink(t, "lake");
    write_one(t, "t", 0, 0, (struct test_record){0, NULL, "1"});
    assert_int_equal(count_entries(at(t->sandbox, "lake")), 0);
    assert_ok(prepare(t, (struct flow_sink_range[]){range("t", 0, 0, 1)}, 1));
    assert_int_equal(count_entries(at(t->sandbox, "lake")), 0);
    assert_lake(t, "lake.inprogress/00000000.ndjson", "1\n");
    assert_ok(publish(t));
    assert_lake(t, "lake/t-0-00000000000000000000-00000000000000000000.ndjson", "1\n");
}

static void records_that_are_delivered_already_are_skipped(void **state)
{
    struct test *t = *state;
    open_sink(t, "lake");
    struct test_record records[] = {{0, NULL, "old"}, {0, NULL, "old"}, {0, NULL, "new"}};
    struct sinks_batch batch = {.topic = "t",
                                .topic_id = 1,
                                .offset_min = 12,
                                .batch = make_batch(&t->builder, 10, records, 3)};
    assert_ok(sinks_file_plugin.write(t->sink, &batch, &t->result, &t->why));
    assert_int_equal(t->result.delivered, 1);
    deliver(t, (struct flow_sink_range[]){range("t", 0, 12, 13)}, 1);
    assert_lake(t, "lake/t-0-00000000000000000012-00000000000000000012.ndjson", "new\n");
}

static void keys_make_directories(void **state)
{
    struct test *t = *state;
    open_sink(t, "lake/{key}");
    write_records(
        t, "t", 0, 0,
        (struct test_record[]){
            {0, "a/b", "1"}, {0, NULL, "2"}, {0, "", "3"}, {0, "a/b", "4"}, {0, "..", "5"}},
        5);
    deliver(t, (struct flow_sink_range[]){range("t", 0, 0, 5)}, 1);
#define NAME "t-0-00000000000000000000-00000000000000000004.ndjson"
    assert_lake(t, "lake/a%2Fb/" NAME, "1\n4\n");
    assert_lake(t, "lake/__null__/" NAME, "2\n");
    assert_lake(t, "lake/__empty__/" NAME, "3\n");
    assert_lake(t, "lake/%2E%2E/" NAME, "5\n");
#undef NAME
}

/* Many records over days, hours and partitions, in any order: every line is found again in the
 * file of its own time, in the order of offsets. */
static void records_in_any_order_of_time_find_their_files(void **state)
{
    struct test *t = *state;
    uint64_t seed = unit_seed();
    t->options.max_open_files = 5;
    open_sink(t, "lake/{event_time:%d}/{event_time:%H}");
    struct buf expected[2][3][3] = {0};
    int64_t next[2] = {0};
    for (int round = 0; round < 60; round++) {
        uint32_t partition = (uint32_t)(unit_random(&seed) % 2);
        struct test_record records[20];
        char values[20][32];
        for (size_t i = 0; i < 20; i++) {
            size_t day = unit_random(&seed) % 3;
            size_t hour = unit_random(&seed) % 3;
            (void)snprintf(values[i], sizeof(values[i]), "%" PRId64, next[partition] + (int64_t)i);
            buf_add_format(&expected[partition][day][hour], "%s\n", values[i]);
            int64_t within = (int64_t)(unit_random(&seed) % 3600000);
            records[i] = (struct test_record){DAY_ONE - 30 * DAY_MS + (int64_t)day * DAY_MS +
                                                  (int64_t)hour * 3600000 + within,
                                              NULL, values[i]};
        }
        write_records(t, "t", partition, next[partition], records, 20);
        next[partition] += 20;
    }
    assert_true(t->result.roll);
    struct flow_sink_range ranges[] = {range("t", 0, 0, next[0]), range("t", 1, 0, next[1])};
    deliver(t, ranges, 2);
    for (uint32_t p = 0; p < 2; p++) {
        for (int day = 0; day < 3; day++) {
            for (int hour = 0; hour < 3; hour++) {
                struct buf *content = &expected[p][day][hour];
                char name[128];
                (void)snprintf(name, sizeof(name),
                               "lake/%02d/%02d/t-%u-%020d-%020" PRId64 ".ndjson", day + 1, hour, p,
                               0, next[p] - 1);
                buf_add_byte(content, '\0');
                if (content->size > 1)
                    assert_lake(t, name, (const char *)content->data);
                buf_done(content);
            }
        }
    }
}

static void a_record_whose_path_cannot_be_is_refused_alone(void **state)
{
    struct test *t = *state;
    open_sink(t, "lake/{key}");
    char key[257];
    memset(key, 'k', 256);
    key[256] = '\0';
    write_records(t, "t", 0, 5, (struct test_record[]){{0, "a", "1"}, {0, key, "2"}, {0, "a", "3"}},
                  3);
    assert_int_equal(t->result.delivered, 2);
    assert_int_equal(t->result.refusal_count, 1);
    assert_int_equal(t->result.refusals[0].offset, 6);
    assert_string_equal(t->result.refusals[0].reason, "sink");
    assert_non_null(strstr(t->result.refusals[0].detail, "256 bytes"));
    deliver(t, (struct flow_sink_range[]){range("t", 0, 5, 8)}, 1);
    assert_lake(t, "lake/a/t-0-00000000000000000005-00000000000000000007.ndjson", "1\n3\n");
}

static void a_file_name_or_path_over_its_limit_is_refused(void **state)
{
    struct test *t = *state;
    open_sink(t, "lake/{topic}/{topic}/{topic}/{topic}/{topic}/{topic}/{topic}/{topic}/{topic}/"
                 "{topic}/{topic}/{topic}/{topic}/{topic}/{topic}/{topic}/{topic}/{topic}");
    char topic[250];
    memset(topic, 'n', sizeof(topic));
    topic[210] = '\0';
    write_one(t, topic, 0, 0, (struct test_record){0, NULL, "1"});
    assert_int_equal(t->result.refusal_count, 1);
    assert_non_null(strstr(t->result.refusals[0].detail, "file's name would have 261 bytes"));
    topic[200] = '\0';
    for (uint32_t i = 0; i < 2; i++) {
        write_one(t, topic, 0, i, (struct test_record){0, NULL, "1"});
        assert_int_equal(t->result.refusal_count, 0);
    }
    sinks_file_plugin.close(t->sink);
    open_sink(t, "lake/{topic}/{topic}/{topic}/{topic}/{topic}/{topic}/{topic}/{topic}/{topic}/"
                 "{topic}/{topic}/{topic}/{topic}/{topic}/{topic}/{topic}/{topic}/{topic}/"
                 "{topic}/{topic}/{topic}");
    write_one(t, topic, 0, 0, (struct test_record){0, NULL, "1"});
    assert_int_equal(t->result.refusal_count, 1);
    assert_non_null(strstr(t->result.refusals[0].detail, "path would have"));
}

static void redrive_one(struct test *t, uint32_t partition, int64_t offset,
                        struct test_record record)
{
    struct sinks_batch batch = {
        .topic = "flights",
        .topic_id = 7,
        .partition = partition,
        .offset_min = offset,
        .redriven = true,
        .batch = make_batch(&t->builder, offset, &record, 1),
    };
    sinks_result_done(&t->result);
    assert_ok(sinks_file_plugin.write(t->sink, &batch, &t->result, &t->why));
    assert_int_equal(t->result.delivered + t->result.refusal_count, 1);
}

static void deliver_letters(struct test *t, uint64_t epoch)
{
    struct flow_sink_range letters = range("flights.dlq", 0, 0, 9);
    buf_reset(&t->outputs);
    assert_ok(sinks_file_plugin.prepare(t->sink, epoch, &letters, 1, &t->outputs, &t->why));
    assert_ok(publish(t));
}

/* Its ends were dead-lettered, and come back: the same offsets, and another file. */
static void redriven_records_have_files_of_their_own(void **state)
{
    struct test *t = *state;
    open_sink(t, "lake");
    write_one(t, "flights", 0, 5, (struct test_record){0, NULL, "5"});
    deliver(t, (struct flow_sink_range[]){range("flights", 0, 4, 7)}, 1);
    redrive_one(t, 0, 6, (struct test_record){0, NULL, "6"});
    redrive_one(t, 2, 1, (struct test_record){0, NULL, "1"});
    redrive_one(t, 0, 4, (struct test_record){0, NULL, "4"});
    deliver_letters(t, 2);
    assert_lake(t, "lake/flights-0-00000000000000000004-00000000000000000006.ndjson", "5\n");
    assert_lake(t,
                "lake/flights-0-00000000000000000004-00000000000000000006-redriven-"
                "00000000000000000002.ndjson",
                "6\n4\n");
    assert_lake(t,
                "lake/flights-2-00000000000000000001-00000000000000000001-redriven-"
                "00000000000000000002.ndjson",
                "1\n");
    /* What lay between is redriven by another epoch. */
    redrive_one(t, 0, 5, (struct test_record){0, NULL, "again"});
    deliver_letters(t, 3);
    write_one(t, "flights", 0, 7, (struct test_record){0, NULL, "7"});
    deliver(t, (struct flow_sink_range[]){range("flights", 0, 7, 8)}, 1);
    assert_lake(t, "lake/flights-0-00000000000000000007-00000000000000000007.ndjson", "7\n");
    assert_int_equal(count_entries(at(t->sandbox, "lake")), 5);
    assert_int_equal(count_entries(at(t->sandbox, "lake.inprogress")), 0);
}

static void the_longer_name_of_redriven_records_counts(void **state)
{
    struct test *t = *state;
    open_sink(t, "lake/{key}");
    char key[230];
    memset(key, 'k', sizeof(key));
    key[229] = '\0';
    redrive_one(t, 0, 4, (struct test_record){0, key, "4"});
    assert_int_equal(t->result.refusal_count, 0);
    sinks_file_plugin.discard(t->sink);
    char topic[200];
    memset(topic, 'n', sizeof(topic));
    topic[190] = '\0';
    write_one(t, topic, 0, 0, (struct test_record){0, NULL, "1"});
    assert_int_equal(t->result.refusal_count, 0);
    sinks_file_plugin.discard(t->sink);
    struct test_record record = {0, NULL, "1"};
    struct sinks_batch batch = {.topic = topic,
                                .topic_id = 1,
                                .redriven = true,
                                .batch = make_batch(&t->builder, 0, &record, 1)};
    assert_ok(sinks_file_plugin.write(t->sink, &batch, &t->result, &t->why));
    assert_int_equal(t->result.refusal_count, 1);
    assert_non_null(strstr(t->result.refusals[0].detail, "file's name would have 271 bytes"));
}

static void an_epoch_without_records_has_no_files(void **state)
{
    struct test *t = *state;
    open_sink(t, "lake/{key}");
    char key[300];
    memset(key, 'k', sizeof(key));
    key[299] = '\0';
    write_one(t, "t", 0, 0, (struct test_record){0, key, "1"});
    deliver(t, (struct flow_sink_range[]){range("t", 0, 0, 1)}, 1);
    assert_int_equal(count_entries(at(t->sandbox, "lake")), 0);
    /* Nor has one of offsets without records, of which nothing was written. */
    deliver(t, (struct flow_sink_range[]){range("t", 0, 1, 9)}, 1);
    assert_int_equal(count_entries(at(t->sandbox, "lake")), 0);
    assert_int_equal(count_entries(at(t->sandbox, "lake.inprogress")), 0);
}

static void a_full_file_asks_for_the_end_of_the_epoch(void **state)
{
    struct test *t = *state;
    t->options.roll.size_bytes = 10;
    open_sink(t, "lake/{partition}");
    write_one(t, "t", 0, 0, (struct test_record){0, NULL, "12345678"});
    assert_false(t->result.roll);
    write_one(t, "t", 1, 0, (struct test_record){0, NULL, "12345678"});
    assert_false(t->result.roll);
    write_one(t, "t", 0, 1, (struct test_record){0, NULL, ""});
    assert_true(t->result.roll);
}

static void one_file_too_many_asks_for_it_too_and_is_written_all_the_same(void **state)
{
    struct test *t = *state;
    t->options.max_open_files = 2;
    open_sink(t, "lake/{key}");
    write_records(t, "t", 0, 0, (struct test_record[]){{0, "a", "1"}, {0, "b", "2"}}, 2);
    assert_false(t->result.roll);
    write_records(t, "t", 0, 2,
                  (struct test_record[]){
                      {0, "c", "3"}, {0, "a", "4"}, {0, "b", "5"}, {0, "d", "6"}, {0, "a", "7"}},
                  5);
    assert_true(t->result.roll);
    deliver(t, (struct flow_sink_range[]){range("t", 0, 0, 7)}, 1);
#define NAME "t-0-00000000000000000000-00000000000000000006.ndjson"
    assert_lake(t, "lake/a/" NAME, "1\n4\n7\n");
    assert_lake(t, "lake/b/" NAME, "2\n5\n");
    assert_lake(t, "lake/c/" NAME, "3\n");
    assert_lake(t, "lake/d/" NAME, "6\n");
#undef NAME
    write_one(t, "t", 0, 7, (struct test_record){0, "a", "8"});
    assert_false(t->result.roll);
}

static void discard_removes_what_is_in_progress_and_nothing_else(void **state)
{
    struct test *t = *state;
    open_sink(t, "lake");
    write_one(t, "t", 0, 0, (struct test_record){0, NULL, "1"});
    deliver(t, (struct flow_sink_range[]){range("t", 0, 0, 1)}, 1);
    write_one(t, "t", 0, 1, (struct test_record){0, NULL, "2"});
    put_file(at(t->sandbox, "lake.inprogress/00000077.ndjson"), "of a run before");
    put_file(at(t->sandbox, "lake.inprogress/notes.txt"), "somebody's");
    sinks_file_plugin.discard(t->sink);
    assert_int_equal(count_entries(at(t->sandbox, "lake.inprogress")), 1);
    assert_int_equal(count_entries(at(t->sandbox, "lake")), 1);
    write_one(t, "t", 0, 1, (struct test_record){0, NULL, "3"});
    deliver(t, (struct flow_sink_range[]){range("t", 0, 1, 2)}, 1);
    assert_lake(t, "lake/t-0-00000000000000000001-00000000000000000001.ndjson", "3\n");
}

static void a_prepared_epoch_is_published_by_the_next_instance(void **state)
{
    struct test *t = *state;
    open_sink(t, "lake/{topic}");
    write_one(t, "t", 0, 0, (struct test_record){0, NULL, "1"});
    assert_ok(prepare(t, (struct flow_sink_range[]){range("t", 0, 0, 1)}, 1));
    sinks_file_plugin.close(t->sink);
    /* Elsewhere, even: the epoch is finished where it was begun. */
    open_sink(t, "pond/{topic}");
    assert_ok(publish(t));
    assert_lake(t, "lake/t/t-0-00000000000000000000-00000000000000000000.ndjson", "1\n");
}

static void open_makes_its_directories_and_leaves_nothing_in_them(void **state)
{
    struct test *t = *state;
    open_sink(t, "deep/er/lake/{topic}");
    assert_int_equal(count_entries(at(t->sandbox, "deep/er")), 2);
    assert_int_equal(count_entries(at(t->sandbox, "deep/er/lake")), 0);
    assert_int_equal(count_entries(at(t->sandbox, "deep/er/lake.inprogress")), 0);
}

static void open_fails_where_files_could_not_be_moved(void **state)
{
    struct test *t = *state;
    /* Counted by a good open: the rename is the last call but one. */
    open_sink(t, "lake");
    uint64_t calls = t->faulty.calls;
    sinks_file_plugin.close(t->sink);
    t->sink = NULL;
    for (uint64_t n = 1; n <= calls; n++) {
        faulty_fail(&t->faulty, n, false, ERR_PERMISSION);
        remove_sandbox(at(t->sandbox, "lake"));
        remove_sandbox(at(t->sandbox, "lake.inprogress"));
        assert_err(try_open(t, "lake"), PERMISSION);
        assert_null(t->sink);
        faulty_fail(&t->faulty, 0, false, ERR_OK);
        open_sink(t, "lake");
        assert_int_equal(count_entries(at(t->sandbox, "lake")), 0);
        sinks_file_plugin.close(t->sink);
        t->sink = NULL;
    }
    put_file(at(t->sandbox, "file"), "x");
    assert_false(err_is_ok(try_open(t, "file/{topic}")));
    assert_non_null(strstr(t->why.text, "/file"));
}

static const struct test_record some[] = {
    {DAY_ONE, "a", "1"}, {DAY_ONE, "b", "2"}, {DAY_ONE + DAY_MS, "a", "3"}};

static err_t deliver_some(struct test *t)
{
    TRY(try_write(t, "t", 0, 0, some, 3));
    TRY(prepare(t, (struct flow_sink_range[]){range("t", 0, 0, 3)}, 1));
    return publish(t);
}

static void assert_some_delivered(struct test *t)
{
#define NAME "t-0-00000000000000000000-00000000000000000002.ndjson"
    assert_lake(t, "lake/31/a/" NAME, "1\n");
    assert_lake(t, "lake/31/b/" NAME, "2\n");
    assert_lake(t, "lake/01/a/" NAME, "3\n");
#undef NAME
    assert_int_equal(count_entries(at(t->sandbox, "lake.inprogress")), 0);
}

/* As the runner does it: a prepared epoch is published again, any other discarded and written
 * again. */
static void any_failed_call_is_made_good(struct test *t, bool forever, enum err_code code)
{
    t->options.max_open_files = 2;
    for (uint64_t n = 1;; n++) {
        open_sink(t, "lake/{event_time:%d}/{key}");
        buf_reset(&t->outputs);
        faulty_fail(&t->faulty, n, forever, code);
        err_t err = deliver_some(t);
        bool over = t->faulty.calls < n;
        faulty_fail(&t->faulty, 0, false, ERR_OK);
        if (!err_is_ok(err)) {
            assert_int_equal(err.code, code);
            if (t->outputs.size) {
                assert_ok(publish(t));
            } else {
                sinks_file_plugin.discard(t->sink);
                assert_int_equal(count_entries(at(t->sandbox, "lake")), 0);
                assert_ok(deliver_some(t));
            }
        }
        assert_some_delivered(t);
        sinks_file_plugin.close(t->sink);
        t->sink = NULL;
        remove_sandbox(at(t->sandbox, "lake"));
        if (over) {
            assert_ok(err);
            assert_true(n > 20);
            break;
        }
    }
}

static void any_single_failed_call_is_made_good(void **state)
{
    any_failed_call_is_made_good(*state, false, ERR_IO);
}

static void a_disk_that_fills_up_at_any_call_and_heals_loses_nothing(void **state)
{
    any_failed_call_is_made_good(*state, true, ERR_NO_SPACE);
}

static void a_lack_of_memory_at_any_point_is_made_good(void **state)
{
    struct test *t = *state;
    for (uint64_t n = 1;; n++) {
        open_sink(t, "lake/{event_time:%d}/{key}");
        buf_reset(&t->outputs);
        struct sinks_batch batch = {
            .topic = "t", .topic_id = 1, .batch = make_batch(&t->builder, 0, some, 3)};
        mem_fail_after(n);
        err_t err = sinks_file_plugin.write(t->sink, &batch, &t->result, &t->why);
        if (err_is_ok(err))
            err = prepare(t, (struct flow_sink_range[]){range("t", 0, 0, 3)}, 1);
        bool over = mem_alloc_count() < n;
        mem_fail_after(0);
        if (!err_is_ok(err)) {
            assert_err(err, MEMORY);
            sinks_file_plugin.discard(t->sink);
            assert_ok(deliver_some(t));
        } else {
            assert_ok(publish(t));
        }
        assert_some_delivered(t);
        sinks_file_plugin.close(t->sink);
        t->sink = NULL;
        remove_sandbox(at(t->sandbox, "lake"));
        buf_done(&t->outputs);
        if (over)
            break;
    }
}

/* `some`, on a simulated disk: whole and nowhere else, whatever the power did. */
static void assert_some_survived(struct io_disk *disk)
{
#define NAME "t-0-00000000000000000000-00000000000000000002.ndjson"
    static const char *const files[][2] = {{"/data/lake/31/a/" NAME, "1\n"},
                                           {"/data/lake/31/b/" NAME, "2\n"},
                                           {"/data/lake/01/a/" NAME, "3\n"}};
#undef NAME
    for (size_t i = 0; i < 3; i++) {
        struct buf content = {0};
        struct err_text why = {0};
        if (!err_is_ok(io_disk_read_file(disk, files[i][0], 100, &content, &why)))
            fail_msg("%s: %s", files[i][0], why.text);
        assert_slice(buf_slice(&content), files[i][1]);
        buf_done(&content);
    }
}

static void open_on(struct test *t, struct io_disk *disk)
{
    (void)snprintf(t->path, sizeof(t->path), "/data/lake/{event_time:%%d}/{key}");
    struct sinks_open open = {"s", &t->options, disk, 7};
    assert_ok(sinks_file_plugin.open(&open, &t->sink, &t->why));
}

static void close_sink(struct test *t)
{
    sinks_file_plugin.close(t->sink);
    t->sink = NULL;
}

/* Prepares, loses power in the `n`-th change of publishing (0: before it), and publishes in the
 * next life until nothing fails; true when there were fewer changes than that. */
static bool lose_power_while_publishing(struct test *t, uint64_t seed, uint64_t n)
{
    struct sim_disk *sim = sim_disk_new(seed);
    struct io_disk *disk = sim_disk_io(sim);
    open_on(t, disk);
    assert_ok(try_write(t, "t", 0, 0, some, 3));
    assert_ok(prepare(t, (struct flow_sink_range[]){range("t", 0, 0, 3)}, 1));
    sim_disk_die_after(sim, n);
    err_t err = n ? publish(t) : err_ok();
    bool over = n && err_is_ok(err);
    close_sink(t);
    sim_disk_crash(sim);
    open_on(t, disk);
    assert_ok(publish(t));
    /* What is published stays. */
    close_sink(t);
    sim_disk_crash(sim);
    assert_some_survived(disk);
    sim_disk_free(&sim);
    return over;
}

static void a_power_loss_after_prepare_loses_nothing(void **state)
{
    struct test *t = *state;
    uint64_t seed = unit_seed();
    for (int round = 0; round < 12; round++) {
        uint64_t of_round = unit_random(&seed);
        uint64_t n = 0;
        while (!lose_power_while_publishing(t, of_round, n))
            n++;
        assert_true(n > 10);
    }
}

static void a_power_loss_before_that_leaves_nothing_visible(void **state)
{
    struct test *t = *state;
    uint64_t seed = unit_seed();
    for (int round = 0; round < 40; round++) {
        struct sim_disk *sim = sim_disk_new(unit_random(&seed));
        struct io_disk *disk = sim_disk_io(sim);
        open_on(t, disk);
        sim_disk_die_after(sim, 1 + unit_random(&seed) % 8);
        err_t err = try_write(t, "t", 0, 0, some, 3);
        if (err_is_ok(err))
            err = prepare(t, (struct flow_sink_range[]){range("t", 0, 0, 3)}, 1);
        close_sink(t);
        sim_disk_crash(sim);
        open_on(t, disk);
        sinks_file_plugin.discard(t->sink);
        enum io_kind kind = IO_KIND_OTHER;
        assert_ok(io_disk_kind(disk, "/data/lake/31", &kind, NULL));
        assert_int_equal(kind, IO_KIND_NONE);
        assert_ok(deliver_some(t));
        assert_some_survived(disk);
        close_sink(t);
        sim_disk_free(&sim);
    }
}

static void an_unusable_directory_blocks_and_heals(void **state)
{
    struct test *t = *state;
    open_sink(t, "lake/{topic}");
    write_one(t, "t", 0, 0, (struct test_record){0, NULL, "1"});
    assert_ok(prepare(t, (struct flow_sink_range[]){range("t", 0, 0, 1)}, 1));
    assert_int_equal(rmdir(at(t->sandbox, "lake")), 0);
    put_file(at(t->sandbox, "lake"), "in the way");
    assert_false(err_is_ok(publish(t)));
    assert_non_null(strstr(t->why.text, "/lake"));
    assert_int_equal(unlink(at(t->sandbox, "lake")), 0);
    assert_ok(publish(t));
    assert_lake(t, "lake/t/t-0-00000000000000000000-00000000000000000000.ndjson", "1\n");
}

static void a_removed_directory_is_made_again_for_the_next_epoch(void **state)
{
    struct test *t = *state;
    open_sink(t, "lake/{topic}");
    assert_int_equal(rmdir(at(t->sandbox, "lake.inprogress")), 0);
    assert_int_equal(rmdir(at(t->sandbox, "lake")), 0);
    write_one(t, "t", 0, 0, (struct test_record){0, NULL, "1"});
    deliver(t, (struct flow_sink_range[]){range("t", 0, 0, 1)}, 1);
    assert_lake(t, "lake/t/t-0-00000000000000000000-00000000000000000000.ndjson", "1\n");
}

static void a_failed_write_says_where(void **state)
{
    struct test *t = *state;
    open_sink(t, "lake");
    write_one(t, "t", 0, 0, (struct test_record){0, NULL, "1"});
    faulty_fail(&t->faulty, 1, true, ERR_NO_SPACE);
    t->why = (struct err_text){0};
    assert_err(prepare(t, (struct flow_sink_range[]){range("t", 0, 0, 1)}, 1), NO_SPACE);
    assert_non_null(strstr(t->why.text, "lake.inprogress"));
    assert_non_null(strstr(t->why.text, "no space left"));
}

static void options_are_checked_alone(void **state)
{
    (void)state;
    struct err_text why = {0};
    struct sinks_file_options options = {.path = "/lake/{topic}"};
    assert_ok(sinks_file_plugin.check(&options, &why));
    options.path = "/lake/{host}";
    assert_err(sinks_file_plugin.check(&options, &why), CONFIG);
    assert_non_null(strstr(why.text, "path: {host}"));
}

static err_t check_pair(const char *a, const char *b)
{
    struct err_text why = {0};
    struct sinks_file_options of_a = {.path = a};
    struct sinks_file_options of_b = {.path = b};
    err_t err = sinks_file_plugin.check_pair(&of_a, &of_b, &why);
    err_t other = sinks_file_plugin.check_pair(&of_b, &of_a, NULL);
    assert_int_equal(err.code, other.code);
    assert_true(err_is_ok(err) || strncmp(why.text, "path: ", 6) == 0);
    return err;
}

static void two_sinks_need_directories_of_their_own(void **state)
{
    (void)state;
    assert_err(check_pair("/lake/{topic}", "/lake/{topic}"), CONFIG);
    assert_err(check_pair("/lake/{topic}", "/./lake//{key}"), CONFIG);
    assert_err(check_pair("/lake/{topic}", "/lake/x"), CONFIG);
    assert_err(check_pair("/lake", "/lake.inprogress/{topic}"), CONFIG);
    assert_err(check_pair("/lake", "/a/../lake"), CONFIG);
    assert_ok(check_pair("/lake/a/{topic}", "/lake/b/{topic}"));
    assert_ok(check_pair("/lake", "/lakes"));
    assert_ok(check_pair("/lake", "/lake2.inprogress"));
}

static void defaults_can_be_parsed(void **state)
{
    (void)state;
    const struct option *roll = sinks_file_plugin.options;
    while (strcmp(roll->name, "roll") != 0)
        roll++;
    roll = roll->table;
    uint64_t value = 0;
    assert_ok(number_parse_size(slice_string(roll[0].fallback), &value));
    assert_int_equal(value, 64 << 20);
    assert_ok(number_parse_duration(slice_string(roll[1].fallback), &value));
    assert_int_equal(value, 60000);
    struct sinks_file_options options = {.roll = {.time_ms = 1234}};
    assert_int_equal(sinks_file_plugin.roll_time_ms(&options), 1234);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(files_are_named_by_the_range_of_their_partition),
        TEST(each_day_has_its_directory_and_the_same_name_in_it),
        TEST(nothing_is_visible_before_it_is_published),
        TEST(records_that_are_delivered_already_are_skipped),
        TEST(keys_make_directories),
        TEST(records_in_any_order_of_time_find_their_files),
        TEST(a_record_whose_path_cannot_be_is_refused_alone),
        TEST(a_file_name_or_path_over_its_limit_is_refused),
        TEST(redriven_records_have_files_of_their_own),
        TEST(the_longer_name_of_redriven_records_counts),
        TEST(an_epoch_without_records_has_no_files),
        TEST(a_full_file_asks_for_the_end_of_the_epoch),
        TEST(one_file_too_many_asks_for_it_too_and_is_written_all_the_same),
        TEST(discard_removes_what_is_in_progress_and_nothing_else),
        TEST(a_prepared_epoch_is_published_by_the_next_instance),
        TEST(open_makes_its_directories_and_leaves_nothing_in_them),
        TEST(open_fails_where_files_could_not_be_moved),
        TEST(any_single_failed_call_is_made_good),
        TEST(a_disk_that_fills_up_at_any_call_and_heals_loses_nothing),
        TEST(a_lack_of_memory_at_any_point_is_made_good),
        TEST(a_power_loss_after_prepare_loses_nothing),
        TEST(a_power_loss_before_that_leaves_nothing_visible),
        TEST(an_unusable_directory_blocks_and_heals),
        TEST(a_removed_directory_is_made_again_for_the_next_epoch),
        TEST(a_failed_write_says_where),
        TEST(options_are_checked_alone),
        TEST(two_sinks_need_directories_of_their_own),
        TEST(defaults_can_be_parsed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
