/*
 * Answers that the log has kept for requests with a key. What is decoded fits the list of errors,
 * and is kept again as an answer that is the same.
 */

#include "fuzz/fuzz.h"

#include "pipeline/check/check_int.h"

static void check_again(const struct flow_inlet_request *first)
{
    struct flow_inlet_request again = {0};
    struct buf kept = {0};
    struct pipeline_check_tally tally = {
        .records = {first->accepted, first->dead_lettered, first->refused}};
    FUZZ_EXPECT(err_is_ok(pipeline_check_answer_encode(&tally, first, &kept)));
    FUZZ_EXPECT(kept.size <= FLOW_ANSWER_MAX);
    FUZZ_EXPECT(err_is_ok(pipeline_check_answer_decode(buf_slice(&kept), 0, &again)));
    FUZZ_EXPECT(again.accepted == first->accepted && again.refused == first->refused);
    FUZZ_EXPECT(again.error_count + again.errors_truncated ==
                first->error_count + first->errors_truncated);
    for (uint32_t i = 0; i < again.error_count; i++)
        FUZZ_EXPECT(again.errors[i].index == first->errors[i].index &&
                    strcmp(again.errors[i].detail, first->errors[i].detail) == 0);
    flow_inlet_request_done(&again);
    buf_done(&kept);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct flow_inlet_request first = {0};
    err_t err = pipeline_check_answer_decode(slice_make(data, size), 0, &first);
    FUZZ_EXPECT(err_is_ok(err) || err_is(err, ERR_CORRUPT));
    FUZZ_EXPECT(first.error_count <= FLOW_INLET_ERRORS_MAX);
    if (err_is_ok(err))
        check_again(&first);
    flow_inlet_request_done(&first);
    return 0;
}
