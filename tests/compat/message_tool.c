/*
 * Kafka's messages decoded and encoded again, for a comparison with another implementation's bytes.
 * Standard input is frames, of which standard output has one for each:
 *
 *     0      1      3          5       9
 *     +------+------+----------+-------+---------+
 *     | kind | key  | version  | size  | message |     big-endian; kind 0: request, 1: response
 *     +------+------+----------+-------+---------+
 *
 * A message that cannot be decoded is empty on standard output, and standard error says why.
 */

#include <stdio.h>
#include <stdlib.h>

#include "base/cursor.h"
#include "proto/kafka/codec.h"

#define HEAD_SIZE 9
#define MEMORY_MAX ((size_t)64 << 20)

static void require(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "message_tool: %s\n", what);
    exit(1);
}

/* Appends what became of the message to `out`, or nothing. */
static void again(bool response, int16_t key, int16_t version, struct slice bytes, struct buf *out)
{
    const struct proto_kafka_api *api = proto_kafka_api(key);
    require(api && proto_kafka_has_version(api, version), "no such API or version");
    const struct proto_kafka_layout *layout = response ? api->response : api->request;
    struct arena arena = {0};
    struct err_text why = {0};
    void *message = arena_alloc(&arena, layout->size);
    require(message != NULL, "no memory");
    if (err_is_ok(
            proto_kafka_decode(api, layout, version, bytes, &arena, MEMORY_MAX, message, &why)))
        proto_kafka_encode(api, layout, version, message, out);
    else
        fprintf(stderr, "%s %s %d: %s\n", api->name, response ? "response" : "request", version,
                why.text);
    arena_done(&arena);
}

static void frame(const uint8_t head[static HEAD_SIZE], struct buf *in, struct buf *out)
{
    struct cursor c = cursor_make(slice_make(head, HEAD_SIZE));
    uint8_t kind = cursor_u8(&c);
    int16_t key = (int16_t)cursor_u16be(&c);
    int16_t version = (int16_t)cursor_u16be(&c);
    uint32_t size = cursor_u32be(&c);
    buf_reset(in);
    uint8_t *space = buf_reserve(in, (size_t)size + 1);
    require(space != NULL, "no memory");
    require(fread(space, 1, size, stdin) == size, "a frame is cut off");
    buf_reset(out);
    buf_add(out, head, HEAD_SIZE);
    again(kind == 1, key, version, slice_make(space, size), out);
    require(buf_ok(out), "no memory");
    put_u32be(out->data + HEAD_SIZE - 4, (uint32_t)(out->size - HEAD_SIZE));
    require(fwrite(out->data, 1, out->size, stdout) == out->size, "cannot write");
}

int main(void)
{
    uint8_t head[HEAD_SIZE];
    struct buf in = {0};
    struct buf out = {0};
    while (fread(head, 1, HEAD_SIZE, stdin) == HEAD_SIZE)
        frame(head, &in, &out);
    require(feof(stdin) && !ferror(stdin), "cannot read");
    buf_done(&in);
    buf_done(&out);
    return 0;
}
