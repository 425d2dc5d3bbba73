#pragma once

/*
 * A record as every stage sees it: views into a batch's bytes. Any thread, while the batch lives.
 */

#include "base/slice.h"

struct flow_header {
    struct slice key;
    struct slice value; /* data NULL: null */
};

struct flow_record {
    int64_t offset;
    int64_t timestamp_ms; /* event time */
    struct slice key;     /* data NULL: no key */
    struct slice value;   /* data NULL: null */
    uint32_t header_count;
    struct slice headers; /* encoded; walk with flow_record_header */
};
