/*
 * Requests of the Kafka protocol as a client sends them, without the size in front: header and
 * message. What can be decoded is encoded again and decoded once more, and both must say the same:
 * a field that one side leaves out, or counts otherwise, would show. Memory stays within what was
 * allowed, whatever counts and lengths say.
 */

#include "fuzz/fuzz.h"

#include <string.h>

#include "proto/kafka/messages.h"

/* What the door allows for a request: so much, or, so that limits are met, little more than its
 * size. */
#define FACTOR 8
#define EXTRA ((size_t)64 << 10)

/* The message in the arena; NULL where there is none. */
static void *decode(const struct proto_kafka_api *api, int16_t version, struct slice bytes,
                    size_t size_max, struct arena *arena)
{
    struct err_text why = {0};
    void *message = arena_alloc(arena, api->request->size);
    FUZZ_EXPECT(message);
    size_t before = arena->size;
    err_t err =
        proto_kafka_decode(api, api->request, version, bytes, arena, size_max, message, &why);
    FUZZ_EXPECT(arena->size - before <= size_max);
    if (err_is_ok(err))
        return message;
    FUZZ_EXPECT(err_is(err, ERR_SYNTAX) || err_is(err, ERR_TOO_LARGE));
    FUZZ_EXPECT(why.text[0]);
    return NULL;
}

static void encode(const struct proto_kafka_api *api, int16_t version, const void *message,
                   struct buf *out)
{
    proto_kafka_encode(api, api->request, version, message, out);
    FUZZ_EXPECT(buf_ok(out));
}

static void there_and_back(const struct proto_kafka_api *api, int16_t version, struct slice bytes,
                           size_t size_max)
{
    struct arena arenas[2] = {{0}, {0}};
    struct buf encoded[2] = {{0}, {0}};
    void *message = decode(api, version, bytes, size_max, &arenas[0]);
    if (message) {
        encode(api, version, message, &encoded[0]);
        /* A tag that is not known is not written again, and nothing else gets longer. */
        FUZZ_EXPECT(encoded[0].size <= bytes.size);
        message = decode(api, version, buf_slice(&encoded[0]), size_max, &arenas[1]);
        FUZZ_EXPECT(message);
        encode(api, version, message, &encoded[1]);
        FUZZ_EXPECT(slice_equal(buf_slice(&encoded[0]), buf_slice(&encoded[1])));
    }
    for (int i = 0; i < 2; i++) {
        buf_done(&encoded[i]);
        arena_done(&arenas[i]);
    }
}

/* The header is read as it was written. */
static void header_again(const struct proto_kafka_api *api,
                         const struct proto_kafka_request_header *header)
{
    struct buf bytes = {0};
    struct proto_kafka_request_header again = {0};
    proto_kafka_write_request_header(api, header, &bytes);
    struct slice at = buf_slice(&bytes);
    FUZZ_EXPECT(err_is_ok(proto_kafka_read_header(&at, &again, NULL)) && at.size == 0);
    FUZZ_EXPECT(again.key == header->key && again.version == header->version);
    FUZZ_EXPECT(again.correlation_id == header->correlation_id);
    FUZZ_EXPECT(slice_equal(again.client_id, header->client_id) &&
                !again.client_id.data == !header->client_id.data);
    buf_done(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice bytes = slice_make(data, size);
    struct proto_kafka_request_header header = {0};
    struct err_text why = {0};
    err_t err = proto_kafka_read_header(&bytes, &header, &why);
    if (!err_is_ok(err)) {
        FUZZ_EXPECT(err_is(err, ERR_SYNTAX) && why.text[0]);
        return 0;
    }
    const struct proto_kafka_api *api = proto_kafka_api(header.key);
    if (!api || !proto_kafka_has_version(api, header.version))
        return 0;
    header_again(api, &header);
    bool little = header.correlation_id % 2 == 0;
    there_and_back(api, header.version, bytes,
                   bytes.size * (little ? 1 : FACTOR) + (little ? 16 : EXTRA));
    return 0;
}
