#pragma once

/*
 * Where runs of bytes end: the inner loops of the scanner. Two versions with the same results,
 * one for SSE2 (every x86-64 processor) and one for any machine; the names without a suffix are
 * the better one here. Neither reads outside [at, end). Pure; any thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "format/json/lines.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* True for a byte that stands in a string as it is and needs no second look: ASCII but no
 * control character, quote or backslash (RFC 8259 section 7). */
static inline bool format_json_is_plain(uint8_t byte)
{
    return byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
}

static inline bool format_json_is_digit(uint8_t byte)
{
    return (uint8_t)(byte - '0') < 10;
}

/* The first byte from `at` on that is not plain, or `end`. Eight bytes at a time: a byte of
 * `word ^ pattern` is zero where it equals the pattern, and `(x - ones) & ~x & tops` is not zero
 * if any byte of x is. */
static inline const uint8_t *format_json_plain_end_portable(const uint8_t *at, const uint8_t *end)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    const uint64_t tops = ones << 7;
    while (end - at >= 8) {
        uint64_t word;
        memcpy(&word, at, sizeof(word));
        uint64_t quote = word ^ ones * '"';
        uint64_t backslash = word ^ ones * '\\';
        uint64_t stops = (quote - ones) & ~quote;
        stops |= (backslash - ones) & ~backslash;
        stops |= (word - ones * 0x20) & ~word;
        if (((stops | word) & tops) != 0)
            break;
        at += 8;
    }
    while (at < end && format_json_is_plain(*at))
        at++;
    return at;
}

/* The first byte from `at` on that is not a digit, or `end`. */
static inline const uint8_t *format_json_digits_end_portable(const uint8_t *at, const uint8_t *end)
{
    while (at < end && format_json_is_digit(*at))
        at++;
    return at;
}

#if defined(__SSE2__)

/* As the portable one. Signed comparison puts both control characters and bytes over 0x7F below
 * the space. */
static inline const uint8_t *format_json_plain_end_sse2(const uint8_t *at, const uint8_t *end)
{
    while (end - at >= 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
        __m128i stops = _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')),
                                     _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\')));
        stops = _mm_or_si128(stops, _mm_cmplt_epi8(bytes, _mm_set1_epi8(0x20)));
        unsigned mask = (unsigned)_mm_movemask_epi8(stops);
        if (mask != 0)
            return at + __builtin_ctz(mask);
        at += 16;
    }
    while (at < end && format_json_is_plain(*at))
        at++;
    return at;
}

static inline const uint8_t *format_json_digits_end_sse2(const uint8_t *at, const uint8_t *end)
{
    while (end - at >= 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
        __m128i values = _mm_sub_epi8(bytes, _mm_set1_epi8('0'));
        __m128i digits = _mm_cmpeq_epi8(_mm_min_epu8(values, _mm_set1_epi8(9)), values);
        unsigned mask = ~(unsigned)_mm_movemask_epi8(digits) & 0xFFFF;
        if (mask != 0)
            return at + __builtin_ctz(mask);
        at += 16;
    }
    return format_json_digits_end_portable(at, end);
}

#define format_json_plain_end format_json_plain_end_sse2
#define format_json_digits_end format_json_digits_end_sse2

#else

#define format_json_plain_end format_json_plain_end_portable
#define format_json_digits_end format_json_digits_end_portable

#endif

/* Bytes of the UTF-8 sequence at `at`, whose first byte is over 0x7F: 2 to 4, or 0 when it is
 * none (RFC 3629 section 4). */
static inline size_t format_json_sequence_size(const uint8_t *at, const uint8_t *end)
{
    size_t size = at[0] < 0xE0 ? 2 : at[0] < 0xF0 ? 3 : 4;
    if (at[0] < 0xC2 || at[0] > 0xF4 || (size_t)(end - at) < size)
        return 0;
    uint8_t low = at[0] == 0xE0 ? 0xA0 : at[0] == 0xF0 ? 0x90 : 0x80;
    uint8_t high = at[0] == 0xED ? 0x9F : at[0] == 0xF4 ? 0x8F : 0xBF;
    if (at[1] < low || at[1] > high)
        return 0;
    if (size > 2 && (at[2] & 0xC0) != 0x80)
        return 0;
    if (size > 3 && (at[3] & 0xC0) != 0x80)
        return 0;
    return size;
}
