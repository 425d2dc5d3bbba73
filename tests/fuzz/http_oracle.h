#pragma once

/*
 * Node's HTTP parser as a second opinion, where Debian's package node-llhttp has put its sources;
 * else none (http_oracle_none.c).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FUZZ_LLHTTP_BYTES_MAX 70000

enum fuzz_llhttp_verdict {
    FUZZ_LLHTTP_ABSENT,
    FUZZ_LLHTTP_REFUSED,
    FUZZ_LLHTTP_MORE,
    FUZZ_LLHTTP_DONE,
    FUZZ_LLHTTP_UPGRADE, /* it takes the message for the begin of another protocol */
};

/* One request as it was understood. */
struct fuzz_llhttp_request {
    const char *reason; /* of a refusal */
    uint8_t method;
    uint8_t minor;
    bool persistent;
    bool chunked;
    uint32_t field_count;
    size_t size; /* bytes used, body included */
    size_t target_size;
    size_t fields_size;
    size_t body_size;
    char target[FUZZ_LLHTTP_BYTES_MAX];
    char fields[FUZZ_LLHTTP_BYTES_MAX]; /* "name:value\n" each */
    char body[FUZZ_LLHTTP_BYTES_MAX];
};

/* The first request in `data`. */
enum fuzz_llhttp_verdict fuzz_llhttp(const uint8_t *data, size_t size,
                                     struct fuzz_llhttp_request *request);
/* The method's name; "" where it has another number of its own. */
const char *fuzz_llhttp_method(const struct fuzz_llhttp_request *request);
