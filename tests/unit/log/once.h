#pragma once

/* What the tests of requests that count once share: commits whose request is named. */

#include "base/cursor.h"
#include "base/hash.h"
#include "unit/log/keys.h"

/* A commit of `count` records whose request counts once. */
struct once {
    struct asked asked;
    struct flow_request request;
    uint8_t kept[FLOW_ANSWER_MAX];
};

static inline void once_init(struct once *once, struct world *w, uint32_t count)
{
    if (count > 0) {
        asked_some(&once->asked, w, count, 10);
    } else {
        asked_init(&once->asked, w);
        asked_count(&once->asked, 1, 0, 0);
    }
    once->asked.commit.request = &once->request;
}

static inline void once_numbered(struct once *once, struct world *w, uint64_t producer,
                                 uint64_t sequence, uint32_t count)
{
    once_init(once, w, count);
    once->request = (struct flow_request){
        .kind = FLOW_REQUEST_NUMBERED, .topic_id = 1, .id = key_of(producer), .sequence = sequence};
}

static inline void once_keyed(struct once *once, struct world *w, uint64_t key, uint64_t body,
                              uint32_t count)
{
    once_init(once, w, count);
    once->request = (struct flow_request){.kind = FLOW_REQUEST_KEYED,
                                          .topic_id = 1,
                                          .id = key_of(key),
                                          .body = key_of(body),
                                          .answer = SLICE_LITERAL("told"),
                                          .kept = once->kept};
}

static inline err_t once_end(struct once *once)
{
    err_t err = asked_wait(&once->asked);
    asked_done(&once->asked);
    return err;
}

static inline err_t once_number(struct world *w, uint64_t producer, uint64_t sequence,
                                uint32_t count, enum flow_request_result *result)
{
    struct once once;
    once_numbered(&once, w, producer, sequence, count);
    asked_send(&once.asked);
    err_t err = once_end(&once);
    *result = once.request.result;
    return err;
}

static inline err_t once_key(struct world *w, uint64_t key, uint64_t body, uint32_t count,
                             enum flow_request_result *result)
{
    struct once once;
    once_keyed(&once, w, key, body, count);
    asked_send(&once.asked);
    err_t err = once_end(&once);
    *result = once.request.result;
    if (*result == FLOW_REQUEST_REPEAT)
        assert_slice(slice_make(once.kept, once.request.kept_size), "told");
    return err;
}

/* A batch of a producer that numbers its records, to partition 0 of topic 1. */
static inline void once_sequenced(struct once *once, struct world *w, int64_t producer,
                                  int16_t epoch, int32_t first, uint32_t count)
{
    once_init(once, w, count);
    struct flow_append *append = &once->asked.appends[0];
    put_u64be(append->batch + 43, (uint64_t)producer);
    put_u16be(append->batch + 51, (uint16_t)epoch);
    put_u32be(append->batch + 53, (uint32_t)first);
    put_u32be(append->batch + 17, crc32c(0, append->batch + 21, append->batch_size - 21));
    append->holes = true;
    once->request = (struct flow_request){.kind = FLOW_REQUEST_SEQUENCED,
                                          .topic_id = 1,
                                          .batch = {.producer_id = producer,
                                                    .partition = append->partition,
                                                    .first = first,
                                                    .count = count,
                                                    .epoch = epoch}};
}

/* Its base offset, or -1 where it was not taken and not known. */
static inline int64_t once_sequence(struct world *w, int64_t producer, int16_t epoch, int32_t first,
                                    uint32_t count, enum flow_request_result *result)
{
    struct once once;
    once_sequenced(&once, w, producer, epoch, first, count);
    asked_send(&once.asked);
    err_t err = once_end(&once);
    *result = once.request.result;
    bool ok = *result == FLOW_REQUEST_FIRST || *result == FLOW_REQUEST_REPEAT;
    assert_int_equal(err_is_ok(err), ok);
    return ok ? once.request.base_offset : -1;
}
