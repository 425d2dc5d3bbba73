#include "base/utf8.h"

#include "base/assert.h"

/*
 * Nearly all text here is ASCII, so that is skipped by words, and what is not is judged a character
 * at a time by its lead byte. A failure is a place and not only a verdict: who replaces broken
 * bytes goes on behind it.
 */

/* Bytes of the plain ASCII at the front, eight at a time. */
static size_t ascii_prefix(const uint8_t *data, size_t size)
{
    size_t at = 0;
    while (size - at >= 8) {
        uint64_t word = 0;
        memcpy(&word, data + at, 8);
        if (word & UINT64_C(0x8080808080808080))
            break;
        at += 8;
    }
    while (at < size && data[at] < 0x80)
        at++;
    ASSERT(at <= size);
    return at;
}

static bool is_continuation(uint8_t byte)
{
    return (byte & 0xc0) == 0x80;
}

/* The size of the sequence of two to four bytes at `in`, 0 when it is none. The second byte's
 * range excludes overlong forms, surrogates and what is over U+10FFFF (RFC 3629 section 4). */
static size_t sequence_size(const uint8_t *in, size_t size)
{
    ASSERT(size > 0);
    uint8_t lead = in[0];
    if (lead < 0xc2 || lead > 0xf4)
        return 0;
    size_t length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    ASSERT(length >= 2 && length <= 4);
    if (size < length)
        return 0;
    uint8_t least = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    uint8_t most = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (in[1] < least || in[1] > most)
        return 0;
    for (size_t i = 2; i < length; i++)
        if (!is_continuation(in[i]))
            return 0;
    return length;
}

size_t utf8_valid_prefix(struct slice s)
{
    ASSERT(s.data || s.size == 0);
    size_t at = 0;
    while (at < s.size) {
        at += ascii_prefix(s.data + at, s.size - at);
        while (at < s.size && s.data[at] >= 0x80) {
            size_t length = sequence_size(s.data + at, s.size - at);
            if (length == 0)
                return at;
            at += length;
        }
    }
    ASSERT(at == s.size);
    return at;
}

bool utf8_valid(struct slice s)
{
    ASSERT(s.data || s.size == 0);
    return utf8_valid_prefix(s) == s.size;
}

size_t utf8_encode(uint32_t code_point, uint8_t out[static 4])
{
    ASSERT(out);
    if (code_point < 0x80) {
        out[0] = (uint8_t)code_point;
        return 1;
    }
    if (code_point < 0x800) {
        out[0] = (uint8_t)(0xc0 | code_point >> 6);
        out[1] = (uint8_t)(0x80 | (code_point & 0x3f));
        return 2;
    }
    if (code_point > 0x10ffff || (code_point >= 0xd800 && code_point <= 0xdfff))
        return 0;
    if (code_point < 0x10000) {
        out[0] = (uint8_t)(0xe0 | code_point >> 12);
        out[1] = (uint8_t)(0x80 | (code_point >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (code_point & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | code_point >> 18);
    out[1] = (uint8_t)(0x80 | (code_point >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (code_point >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (code_point & 0x3f));
    return 4;
}
