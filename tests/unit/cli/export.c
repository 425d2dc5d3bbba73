#include "cli/export.h"

#include "base/alloc.h"
#include "lib/unit.h"
#include "sim/disk.h"

#define assert_code(error, expected) assert_string_equal(err_name(error), #expected)

static struct slice text(const char *string)
{
    return string ? slice_string(string) : slice_make(NULL, 0);
}

/* The line of a record. */
static void expect(const char *key, struct slice value, const char *line)
{
    struct flow_record record = {.offset = 7, .timestamp_ms = -3, .key = text(key), .value = value};
    struct buf out = {0};
    cli_export_render(&out, &record);
    assert_slice(buf_slice(&out), line);
    buf_done(&out);
}

static void every_record_is_one_line_of_json(void **state)
{
    (void)state;
    expect("k", text("{\"a\":\n1}"),
           "{\"offset\":7,\"timestamp\":-3,\"key\":\"k\",\"value\":{\"a\": 1},\"headers\":[]}\n");
    expect(NULL, text(NULL),
           "{\"offset\":7,\"timestamp\":-3,\"key\":null,\"value\":null,\"headers\":[]}\n");
    expect("\xff", text("no json"),
           "{\"offset\":7,\"timestamp\":-3,\"key_base64\":\"/w==\","
           "\"value_base64\":\"bm8ganNvbg==\",\"headers\":[]}\n");
    expect("", slice_make("", 0),
           "{\"offset\":7,\"timestamp\":-3,\"key\":\"\",\"value_base64\":\"\",\"headers\":[]}\n");
}

static struct slice build(struct flow_batch_builder *builder, uint32_t count)
{
    struct flow_header header = {text("h"), text("v")};
    flow_batch_builder_init(builder);
    for (uint32_t i = 0; i < count; i++)
        assert_code(flow_batch_builder_add(builder, i, text("k"), text("1"), &header, 1), OK);
    return flow_batch_builder_finish(builder);
}

static void export_of(struct sim_disk *disk, enum flow_codec codec, err_t *err)
{
    struct cli_export export;
    struct flow_batch_builder builder;
    struct flow_batch batch;
    struct buf packed = {0};
    struct slice bytes = build(&builder, 200);
    assert_code(flow_batch_parse(bytes, &batch), OK);
    assert_code(flow_batch_pack(&batch, codec, &packed), OK);
    assert_code(flow_batch_parse(buf_slice(&packed), &batch), OK);
    *err = cli_export_begin(&export, sim_disk_io(disk), "out/deep", NULL);
    if (err_is_ok(*err))
        *err = cli_export_batch(&export, text("t"), 0, &batch, NULL);
    if (err_is_ok(*err))
        *err = cli_export_batch(&export, text("t"), 1, &batch, NULL);
    if (err_is_ok(*err))
        *err = cli_export_batch(&export, text("t"), 1, &batch, NULL);
    err_t ended = cli_export_end(&export, NULL);
    *err = err_is_ok(*err) ? ended : *err;
    if (err_is_ok(*err)) {
        assert_int_equal(export.files, 2);
        assert_int_equal(export.records, 600);
        assert_int_equal(export.skipped, 0);
    }
    flow_batch_builder_done(&builder);
    buf_done(&packed);
}

static void each_partition_has_its_file_whatever_its_batches_are_packed_with(void **state)
{
    (void)state;
    static const enum flow_codec codecs[] = {FLOW_CODEC_NONE, FLOW_CODEC_LZ4, FLOW_CODEC_ZSTD};
    for (size_t i = 0; i < 3; i++) {
        struct sim_disk *disk = sim_disk_new(1);
        struct buf content = {0};
        err_t err;
        export_of(disk, codecs[i], &err);
        assert_code(err, OK);
        assert_code(
            io_disk_read_file(sim_disk_io(disk), "out/deep/t-1.jsonl", 1 << 20, &content, NULL),
            OK);
        size_t lines = 0;
        for (struct slice rest = buf_slice(&content); rest.size > 0; lines++) {
            struct slice line = slice_split(&rest, '\n');
            assert_true(slice_ends_with(
                line, SLICE_LITERAL("\"headers\":[{\"key\":\"h\",\"value\":\"v\"}]}")));
        }
        assert_int_equal(lines, 400);
        buf_done(&content);
        sim_disk_free(&disk);
    }
}

static void nothing_is_written_over(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(1);
    err_t err;
    export_of(disk, FLOW_CODEC_NONE, &err);
    assert_code(err, OK);
    export_of(disk, FLOW_CODEC_NONE, &err);
    assert_code(err, EXISTS);
    sim_disk_free(&disk);
}

static void a_batch_that_cannot_be_walked_is_counted_and_passed(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(1);
    struct flow_batch_builder builder;
    struct flow_batch batch;
    struct cli_export export;
    struct slice bytes = build(&builder, 3);
    builder.bytes.data[FLOW_BATCH_HEADER_SIZE] = 0x7f;
    assert_code(flow_batch_parse(bytes, &batch), OK);
    assert_code(cli_export_begin(&export, sim_disk_io(disk), "out", NULL), OK);
    assert_code(cli_export_batch(&export, text("t"), 0, &batch, NULL), OK);
    assert_int_equal(export.skipped, 1);
    assert_int_equal(export.records, 0);
    assert_code(cli_export_end(&export, NULL), OK);
    flow_batch_builder_done(&builder);
    sim_disk_free(&disk);
}

static void each_failure_of_disk_and_memory_is_returned(void **state)
{
    (void)state;
    err_t err = err_make(ERR_IO);
    for (uint64_t n = 1; !err_is_ok(err); n++) {
        struct sim_disk *disk = sim_disk_new(n);
        sim_disk_fail_after(disk, n, ERR_IO);
        export_of(disk, FLOW_CODEC_LZ4, &err);
        assert_true(err_is_ok(err) || err_is(err, ERR_IO));
        sim_disk_free(&disk);
        assert_true(n < 200);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_record_is_one_line_of_json),
        cmocka_unit_test(each_partition_has_its_file_whatever_its_batches_are_packed_with),
        cmocka_unit_test(nothing_is_written_over),
        cmocka_unit_test(a_batch_that_cannot_be_walked_is_counted_and_passed),
        cmocka_unit_test(each_failure_of_disk_and_memory_is_returned),
    };
    return cmocka_run_group_tests_name("cli/export", tests, NULL, NULL);
}
