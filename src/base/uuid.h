#pragma once

/*
 * UUIDs (RFC 9562) as 16 bytes. Random bytes come from the caller (io_random), since base is
 * pure.
 */

#include "base/err.h"
#include "base/slice.h"

#define UUID_TEXT_SIZE 36

struct uuid {
    uint8_t bytes[16];
};

/* Version 4 from 16 random bytes. */
struct uuid uuid_from_random(const uint8_t random[static 16]);
/* Lower-case text with dashes and a final zero. */
void uuid_format(const struct uuid *id, char text[static UUID_TEXT_SIZE + 1]);
err_t uuid_parse(struct slice text, struct uuid *out);
bool uuid_equal(const struct uuid *a, const struct uuid *b);
bool uuid_is_zero(const struct uuid *id);
