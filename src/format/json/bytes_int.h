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

/* Bit i: byte i of the 16 at `at` is a decimal digit. */
static inline uint32_t format_json_digits_16_portable(const uint8_t *at)
{
    uint32_t digits = 0;
    for (uint32_t i = 0; i < 16; i++)
        digits |= (uint32_t)format_json_is_digit(at[i]) << i;
    return digits;
}

/* Bit i: byte i of the 16 at `at` is a hexadecimal digit, of either case. */
static inline uint32_t format_json_hex_16_portable(const uint8_t *at)
{
    uint32_t letters = 0;
    for (uint32_t i = 0; i < 16; i++)
        letters |= (uint32_t)((uint8_t)((at[i] | 0x20) - 'a') < 6) << i;
    return letters | format_json_digits_16_portable(at);
}

#if defined(__SSE2__)

/* Bit i: byte i less `from`, modulo 256, is at most `span`. */
static inline uint32_t format_json_within_16(__m128i bytes, char from, char span)
{
    __m128i values = _mm_sub_epi8(bytes, _mm_set1_epi8(from));
    __m128i within = _mm_cmpeq_epi8(_mm_min_epu8(values, _mm_set1_epi8(span)), values);
    return (uint32_t)_mm_movemask_epi8(within);
}

static inline uint32_t format_json_digits_16_sse2(const uint8_t *at)
{
    return format_json_within_16(_mm_loadu_si128((const __m128i *)(const void *)at), '0', 9);
}

static inline uint32_t format_json_hex_16_sse2(const uint8_t *at)
{
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
    __m128i small = _mm_or_si128(bytes, _mm_set1_epi8(0x20));
    return format_json_within_16(bytes, '0', 9) | format_json_within_16(small, 'a', 5);
}

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
        unsigned mask = ~format_json_digits_16_sse2(at) & 0xFFFF;
        if (mask != 0)
            return at + __builtin_ctz(mask);
        at += 16;
    }
    return format_json_digits_end_portable(at, end);
}

#define format_json_plain_end format_json_plain_end_sse2
#define format_json_digits_end format_json_digits_end_sse2
#define format_json_digits_16 format_json_digits_16_sse2
#define format_json_hex_16 format_json_hex_16_sse2

#else

#define format_json_plain_end format_json_plain_end_portable
#define format_json_digits_end format_json_digits_end_portable
#define format_json_digits_16 format_json_digits_16_portable
#define format_json_hex_16 format_json_hex_16_portable

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
