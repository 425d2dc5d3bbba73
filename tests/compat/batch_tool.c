/*
 * Record batches to and from text, for a comparison with another implementation. A record is a
 * line of words: its time in ms, key, value, then a name and a value for each header. Bytes are
 * hexadecimal with an x in front; null is a dash.
 *
 *     batch_tool encode BASE_OFFSET [CODEC]
 *                          lines on standard input, a batch on standard output; CODEC is Kafka's
 *                          number, without it the batch is not compressed
 *     batch_tool merge BASE_OFFSET SIZE
 *                          the same with batches of SIZE records, merged into one
 *     batch_tool decode    a batch on standard input, lines on standard output; each line begins
 *                          with the record's offset
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/number.h"
#include "flow/merge.h"

#define HEADERS_MAX 16
#define PARTS_MAX 1000

static void require(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "batch_tool: %s\n", what);
    exit(1);
}

static struct buf read_all(FILE *in)
{
    struct buf out = {0};
    uint8_t block[4096];
    size_t size;
    while ((size = fread(block, 1, sizeof(block), in)) > 0)
        buf_add(&out, block, size);
    require(!ferror(in) && buf_ok(&out), "cannot read");
    return out;
}

/* The bytes of a word, kept in `store`, which has room for them. */
static struct slice bytes_of(struct slice word, struct buf *store)
{
    if (slice_equal_string(word, "-"))
        return slice_make(NULL, 0);
    require(word.size % 2 == 1 && word.data[0] == 'x', "bytes are x and pairs of digits");
    size_t start = store->size;
    for (size_t i = 1; i < word.size; i += 2) {
        uint64_t byte;
        require(err_is_ok(number_parse_hex(slice_sub(word, i, 2), &byte)), "no such digit");
        buf_add_byte(store, (uint8_t)byte);
    }
    return slice_make(store->data + start, store->size - start);
}

static void add_line(struct flow_batch_builder *builder, struct slice line)
{
    struct buf store = {0};
    require(buf_reserve(&store, line.size + 1) != NULL, "no memory");
    int64_t ms;
    require(err_is_ok(number_parse_i64(slice_split(&line, ' '), &ms)), "no such time");
    struct slice key = bytes_of(slice_split(&line, ' '), &store);
    struct slice value = bytes_of(slice_split(&line, ' '), &store);
    struct flow_header headers[HEADERS_MAX];
    uint32_t count = 0;
    for (; line.data; count++) {
        require(count < HEADERS_MAX, "too many headers");
        headers[count].key = bytes_of(slice_split(&line, ' '), &store);
        headers[count].value = bytes_of(slice_split(&line, ' '), &store);
    }
    require(err_is_ok(flow_batch_builder_add(builder, ms, key, value, headers, count)),
            "no memory");
    buf_done(&store);
}

static void print_batch(const struct buf *batch)
{
    require(fwrite(batch->data, 1, batch->size, stdout) == batch->size, "cannot write");
}

/* Reads up to `count_max` lines off `*rest` into a batch of `builder`, which is begun. */
static struct flow_batch build(struct flow_batch_builder *builder, struct slice *rest,
                               uint32_t count_max, int64_t base_offset)
{
    flow_batch_builder_init(builder);
    for (uint32_t i = 0; i < count_max && rest->size > 0; i++)
        add_line(builder, slice_split(rest, '\n'));
    struct slice bytes = flow_batch_builder_finish(builder);
    flow_batch_set_base_offset(builder->bytes.data, base_offset);
    struct flow_batch batch;
    require(err_is_ok(flow_batch_parse(bytes, &batch)), "not a batch");
    return batch;
}

static void encode(int64_t base_offset, enum flow_codec codec)
{
    struct buf text = read_all(stdin);
    struct flow_batch_builder builder;
    struct slice rest = buf_slice(&text);
    struct flow_batch batch = build(&builder, &rest, UINT32_MAX, base_offset);
    struct buf out = {0};
    require(err_is_ok(flow_batch_pack(&batch, codec, &out)), "cannot pack");
    print_batch(&out);
    buf_done(&out);
    flow_batch_builder_done(&builder);
    buf_done(&text);
}

static void merge(int64_t base_offset, uint32_t size)
{
    static struct flow_batch_builder builders[PARTS_MAX];
    static struct flow_batch batches[PARTS_MAX];
    struct buf text = read_all(stdin);
    struct slice rest = buf_slice(&text);
    uint32_t count = 0;
    for (; rest.size > 0; count++) {
        require(count < PARTS_MAX, "too many batches");
        batches[count] =
            build(&builders[count], &rest, size, base_offset + (int64_t)count * (int64_t)size);
    }
    struct buf out = {0};
    require(err_is_ok(flow_merge(batches, count, &out)), "cannot merge");
    print_batch(&out);
    buf_done(&out);
    for (uint32_t i = 0; i < count; i++)
        flow_batch_builder_done(&builders[i]);
    buf_done(&text);
}

static void print_bytes(struct slice bytes)
{
    if (!bytes.data) {
        fputs(" -", stdout);
        return;
    }
    fputs(" x", stdout);
    for (size_t i = 0; i < bytes.size; i++)
        printf("%02x", bytes.data[i]);
}

static void decode(void)
{
    struct buf input = read_all(stdin);
    struct flow_batch batch;
    require(err_is_ok(flow_batch_parse(buf_slice(&input), &batch)), "not a batch");
    require(err_is_ok(flow_batch_check(&batch)), "the CRC does not fit");
    struct buf unpacked = {0};
    require(err_is_ok(flow_batch_unpack(&batch, FLOW_BATCH_UNPACKED_SIZE_MAX, &unpacked)),
            "cannot unpack");
    struct flow_batch_iterator it = flow_batch_records(&batch);
    struct flow_record record;
    err_t err;
    while (err_is_ok(err = flow_batch_next(&it, &record))) {
        printf("%" PRId64 " %" PRId64, record.offset, record.timestamp_ms);
        print_bytes(record.key);
        print_bytes(record.value);
        struct flow_header header;
        while (flow_record_header(&record.headers, &header)) {
            print_bytes(header.key);
            print_bytes(header.value);
        }
        putchar('\n');
    }
    require(err_is(err, ERR_END), "a record is malformed");
    buf_done(&unpacked);
    buf_done(&input);
}

static int64_t number(const char *text)
{
    int64_t value;
    require(err_is_ok(number_parse_i64(slice_string(text), &value)), "no such number");
    return value;
}

int main(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "";
    if ((argc == 3 || argc == 4) && strcmp(verb, "encode") == 0)
        encode(number(argv[2]), argc == 4 ? (enum flow_codec)number(argv[3]) : FLOW_CODEC_NONE);
    else if (argc == 4 && strcmp(verb, "merge") == 0)
        merge(number(argv[2]), (uint32_t)number(argv[3]));
    else if (argc == 2 && strcmp(verb, "decode") == 0)
        decode();
    else
        require(false, "usage: batch_tool encode BASE_OFFSET [CODEC] | merge BASE_OFFSET SIZE | "
                       "decode");
    return 0;
}
