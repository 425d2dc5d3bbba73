#pragma once

/*
 * Batches for the tests of sinks.
 */

#include "lib/unit.h"

#include "flow/batch.h"

struct test_record {
    int64_t time_ms;
    const char *key; /* NULL: null */
    const char *value;
};

static inline struct slice text_or_null(const char *text)
{
    return text ? slice_string(text) : (struct slice){0};
}

/* A batch of `records` at `base_offset`; its bytes are in `builder`, which is begun again. */
static inline struct flow_batch make_batch(struct flow_batch_builder *builder, int64_t base_offset,
                                           const struct test_record *records, size_t count)
{
    flow_batch_builder_done(builder);
    for (size_t i = 0; i < count; i++) {
        err_t err =
            flow_batch_builder_add(builder, records[i].time_ms, text_or_null(records[i].key),
                                   text_or_null(records[i].value), NULL, 0);
        assert_true(err_is_ok(err));
    }
    struct slice bytes = flow_batch_builder_finish(builder);
    flow_batch_set_base_offset(builder->bytes.data, base_offset);
    struct flow_batch batch;
    assert_true(err_is_ok(flow_batch_parse(bytes, &batch)));
    return batch;
}
