/*
 * Checkpoints. Where the lengths and sums do not fit they are made to, so that mutations reach what
 * they cover. What is decoded is encoded again and has to be the same bytes; then it serves as a
 * log's state does: a snapshot adds up, and the start of its first partition moves.
 */

#include "fuzz/fuzz.h"

#include <string.h>

#include "base/alloc.h"
#include "base/cursor.h"
#include "base/hash.h"
#include "log/checkpoint.h"

#define HEADER_SIZE 40u

/* Magic, version, size and the three CRCs as log_checkpoint_encode would have them. */
static void make_fit(uint8_t *bytes, size_t size)
{
    if (size < HEADER_SIZE)
        return;
    if (size >= HEADER_SIZE + LOG_FRAME_HEADER_SIZE) {
        uint8_t *frame = bytes + HEADER_SIZE;
        put_u32le(frame, LOG_FRAME_MAGIC);
        put_u32le(frame + LOG_FRAME_HEADER_SIZE - 4, crc32c(0, frame, LOG_FRAME_HEADER_SIZE - 4));
    }
    put_u32le(bytes, LOG_CHECKPOINT_MAGIC);
    put_u64le(bytes + 8, size - HEADER_SIZE);
    put_u32le(bytes + 32, crc32c(0, bytes + HEADER_SIZE, size - HEADER_SIZE));
    put_u32le(bytes + 36, crc32c(0, bytes, 36));
}

static void check_snapshot(const struct log_state *state)
{
    struct flow_snapshot snapshot = {0};
    FUZZ_EXPECT(err_is_ok(log_state_snapshot(state, &snapshot)));
    for (uint32_t t = 0; t < snapshot.topic_count; t++) {
        const struct flow_topic_state *topic = &snapshot.topics[t];
        for (uint32_t i = 0; i < topic->partition_count; i++)
            FUZZ_EXPECT(topic->start_offset[i] <= topic->end_offset[i]);
    }
    flow_snapshot_done(&snapshot);
}

static void move_start(struct log_state *state)
{
    uint8_t payload[64];
    const struct log_partition *partition = log_state_partition(state, 1, 0);
    if (!partition)
        return;
    struct flow_topic_change change = {
        .op = FLOW_TOPIC_LOG_START, .topic_id = 1, .start_offset = partition->end_offset};
    size_t size = log_entry_put_topic(payload, &change);
    FUZZ_EXPECT(err_is_ok(
        log_state_apply(state, slice_make(payload, size), (struct log_position){1, 0, 0})));
    check_snapshot(state);
}

static void check_decoded(struct slice bytes, const struct log_checkpoint *checkpoint,
                          struct log_state *state)
{
    struct buf again;
    uint64_t sealed = 0;
    buf_init(&again, 0);
    log_checkpoint_encode(checkpoint, state, &again);
    /* The first version ends where the keys begin: without four lists, which are empty. The second
     * is without the last of them. Before the fourth there were no open topics, producers and
     * groups. */
    uint32_t version = get_u32le(bytes.data + 4);
    size_t lacks = (version < 2 ? 16u : version < 3 ? 4u : 0) + (version < 4 ? 4u + 24 + 4 : 0);
    FUZZ_EXPECT(buf_ok(&again) && again.size == bytes.size + lacks);
    /* A frame's header may have bits that nobody knows, and the version may be an older one. */
    size_t known = HEADER_SIZE + LOG_FRAME_HEADER_SIZE;
    FUZZ_EXPECT(memcmp(again.data + known, bytes.data + known, bytes.size - known) == 0);
    FUZZ_EXPECT(lacks > 0 || memcmp(again.data + 8, bytes.data + 8, 24) == 0);
    FUZZ_EXPECT(err_is_ok(log_checkpoint_sealed(bytes, &sealed)));
    FUZZ_EXPECT(sealed == checkpoint->sealed_file);
    buf_done(&again);
    check_snapshot(state);
    move_start(state);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct log_checkpoint checkpoint;
    struct log_state state;
    uint8_t *bytes = mem_alloc(size + 1);
    FUZZ_EXPECT(bytes);
    if (size > 0)
        memcpy(bytes, data, size);
    for (int fit = 0; fit < 2; fit++) {
        log_state_init(&state, 7);
        err_t err = log_checkpoint_decode(slice_make(bytes, size), &checkpoint, &state);
        FUZZ_EXPECT(err_is_ok(err) || err_is(err, ERR_CORRUPT) || err_is(err, ERR_VERSION));
        if (err_is_ok(err))
            check_decoded(slice_make(bytes, size), &checkpoint, &state);
        log_state_done(&state);
        make_fit(bytes, size);
    }
    mem_free(bytes);
    return 0;
}
