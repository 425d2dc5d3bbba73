/*
 * What a file sink's prepared epoch left in the log, from bytes that may be anything: what is
 * accepted stays below its root, is found again when it is encoded again, and is what a plain
 * second reader finds.
 */

#include "fuzz/fuzz.h"

#include <string.h>

#include "sinks/file/outputs.h"

/* The second reader: a byte at a time. */
struct reader {
    const uint8_t *data;
    size_t size;
    size_t at;
};

static uint64_t read_number(struct reader *r)
{
    uint64_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
        FUZZ_EXPECT(r->at < r->size && shift < 70);
        uint8_t byte = r->data[r->at++];
        value |= (uint64_t)(byte & 0x7f) << (shift < 64 ? shift : 63);
        if (byte < 0x80)
            return value;
    }
}

static struct slice read_text(struct reader *r)
{
    uint64_t size = read_number(r);
    FUZZ_EXPECT(size <= r->size - r->at);
    struct slice text = slice_make(r->data + r->at, (size_t)size);
    r->at += (size_t)size;
    return text;
}

static void expect_below_root(struct slice path)
{
    char text[4200];
    FUZZ_EXPECT(path.size > 0 && path.size < 4096);
    (void)snprintf(text, sizeof(text), "/%.*s/", SLICE_PRINTF(path));
    FUZZ_EXPECT(strlen(text) == path.size + 2);
    FUZZ_EXPECT(!strstr(text, "//") && !strstr(text, "/./") && !strstr(text, "/../"));
}

static void expect_same_again(struct slice bytes, struct slice root)
{
    struct sinks_file_outputs again;
    FUZZ_EXPECT(err_is_ok(sinks_file_outputs_open(bytes, &again)));
    FUZZ_EXPECT(slice_equal(again.root, root));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sinks_file_outputs outputs;
    if (!err_is_ok(sinks_file_outputs_open(slice_make(data, size), &outputs)))
        return 0;
    struct reader r = {data, size, 1};
    FUZZ_EXPECT(size > 0 && data[0] == 1);
    FUZZ_EXPECT(slice_equal(read_text(&r), outputs.root));
    uint64_t count = read_number(&r);
    FUZZ_EXPECT(count == outputs.left);
    struct buf encoded = {0};
    struct slice root = outputs.root;
    sinks_file_outputs_begin(&encoded, root, (size_t)count);
    struct sinks_file_output output;
    for (uint64_t i = 0; i < count; i++) {
        FUZZ_EXPECT(sinks_file_outputs_next(&outputs, &output));
        FUZZ_EXPECT(read_number(&r) == output.number);
        FUZZ_EXPECT(slice_equal(read_text(&r), output.path));
        expect_below_root(output.path);
        sinks_file_outputs_add(&encoded, output.number, output.path);
    }
    FUZZ_EXPECT(!sinks_file_outputs_next(&outputs, &output) && r.at == size);
    FUZZ_EXPECT(buf_ok(&encoded));
    expect_same_again(buf_slice(&encoded), root);
    buf_done(&encoded);
    return 0;
}
