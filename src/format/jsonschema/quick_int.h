#pragma once

/*
 * Values and keys that a look is enough for: short numbers, literals, words and keys that are
 * compared 16 bytes at a time. Whatever these do not take is walked byte by byte; so each may
 * decline what it likes, and takes nothing but what is right. They read 16 bytes from where they
 * look, which the caller knows to be there. Pure; any thread.
 */

#include "format/json/walk.h"
#include "format/jsonschema/program_int.h"

#if defined(__SSE2__)

/* Bit i: byte i at `at` is that of the pattern. */
static inline uint32_t format_jsonschema_equal_bytes(const uint8_t *at, const uint8_t *pattern)
{
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
    __m128i wanted = _mm_loadu_si128((const __m128i *)(const void *)pattern);
    return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, wanted));
}

#else

static inline uint32_t format_jsonschema_equal_bytes(const uint8_t *at, const uint8_t *pattern)
{
    uint32_t equal = 0;
    for (uint32_t i = 0; i < 16; i++)
        equal |= (uint32_t)(at[i] == pattern[i]) << i;
    return equal;
}

#endif

/* Whether the first 16 bytes of the pattern, or all if it is shorter, are at `at`. */
static inline bool format_jsonschema_begins(const uint8_t *at,
                                            const struct format_jsonschema_pattern *p)
{
    return (~format_jsonschema_equal_bytes(at, p->text) & p->mask) == 0;
}

/* Whether the pattern whose first bytes are at `at` is there as a whole. */
static inline bool format_jsonschema_goes_on(const uint8_t *at, const uint8_t *end,
                                             const struct format_jsonschema_pattern *p)
{
    uint32_t last = p->size - 16;
    return p->size <= 16 || ((size_t)(end - at) >= p->size &&
                             format_jsonschema_equal_bytes(at + last, p->text + last) == 0xFFFF);
}

/* The byte behind the string at `at` if it is one of the words. No loop is left early: which word
 * it will be is nothing that a processor could guess. */
static inline const uint8_t *format_jsonschema_quick_word(const struct format_jsonschema_place *p,
                                                          const uint8_t *at)
{
    uint32_t size = 0;
    for (size_t i = 0; i < p->word_count; i++)
        size |= (0U - format_jsonschema_begins(at, &p->words[i])) & p->words[i].size;
    return at + size;
}

/* Four bytes as a number that can be compared. */
static inline uint32_t format_jsonschema_four(const void *at)
{
    uint32_t four;
    memcpy(&four, at, 4);
    return four;
}

/* null, true and false, where the place allows them; the byte behind, else `at`. Without a branch,
 * since most booleans are either. */
static inline const uint8_t *format_jsonschema_quick_literal(uint32_t kinds, const uint8_t *at)
{
    uint32_t four = format_jsonschema_four(at);
    bool is_true = four == format_jsonschema_four("true");
    bool is_false = (four == format_jsonschema_four("fals")) & (at[4] == 'e');
    bool is_null = four == format_jsonschema_four("null");
    uint32_t kind = (uint32_t)is_true << FORMAT_JSON_TRUE | (uint32_t)is_null << FORMAT_JSON_NULL |
                    (uint32_t)is_false << FORMAT_JSON_FALSE;
    return (kinds & kind) != 0 ? at + 4 + is_false : at;
}

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__

/* How many of the eight bytes are digits, from the first on; `*word` is their difference from 0,
 * a digit's value where it is one. */
static inline uint32_t format_jsonschema_eight_digits(const uint8_t *at, uint64_t *word)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    memcpy(word, at, 8);
    *word ^= ones * '0';
    /* The top bit of a byte that is no value of a digit; no sum leaves its byte. */
    uint64_t others = ((*word & ones * 0x7F) + ones * (0x7F - 9)) | *word;
    others &= ones << 7;
    return others != 0 ? (uint32_t)__builtin_ctzll(others) / 8 : 8;
}

/* The value of the first `count` bytes of `word`, 1 to 7 of them. */
static inline int64_t format_jsonschema_digits_value(uint64_t word, uint32_t count)
{
    /* Zeros in front of it, and then pairs, pairs of pairs, and the halves. */
    word <<= 64 - 8 * count;
    word = (word * 10 + (word >> 8)) & UINT64_C(0x00FF00FF00FF00FF);
    word = (word * 100 + (word >> 16)) & UINT64_C(0x0000FFFF0000FFFF);
    return (int64_t)((word * 10000 + (word >> 32)) & UINT32_MAX);
}

/* A number of at most seven digits before the point and seven behind it, without an exponent, that
 * the place's range allows: the byte behind it, else `at`. */
static inline const uint8_t *format_jsonschema_quick_number(const struct format_jsonschema_place *p,
                                                            const uint8_t *at, const uint8_t *end)
{
    const uint8_t *start = at;
    uint64_t word, fraction = 0;
    bool negative = *at == '-';
    at += negative;
    uint32_t count = format_jsonschema_eight_digits(at, &word);
    if (count - 1 > 6 || ((word & 0xFF) == 0 && count > 1))
        return start;
    int64_t value = format_jsonschema_digits_value(word, count);
    value = negative ? -value : value;
    at += count;
    const struct format_jsonschema_range *r = &p->range;
    if (*at != '.' && (*at | 0x20) != 'e')
        return (uint64_t)value - (uint64_t)r->integer_min <= r->integer_span ? at : start;
    if (*at != '.' || p->integers || end - at < 10)
        return start;
    uint32_t behind = format_jsonschema_eight_digits(at + 1, &fraction);
    if (behind - 1 > 6)
        return start;
    fraction <<= 64 - 8 * behind;
    at += 1 + behind;
    int64_t floor = value - (negative && fraction != 0);
    int64_t ceiling = floor + (fraction != 0);
    bool good = (floor >= r->floor_min) & (floor <= r->floor_max) & (ceiling >= r->ceiling_min) &
                (ceiling <= r->ceiling_max) & ((*at | 0x20) != 'e');
    return good ? at : start;
}

#else

static inline const uint8_t *format_jsonschema_quick_number(const struct format_jsonschema_place *p,
                                                            const uint8_t *at, const uint8_t *end)
{
    (void)p;
    (void)end;
    return at;
}

#endif

/* The string, number or literal at `at`, if a look is enough to see that the place allows it: the
 * byte behind it. Otherwise `at`. */
static inline __attribute__((always_inline)) const uint8_t *
format_jsonschema_quick_value(const struct format_jsonschema_place *p, const uint8_t *at,
                              const uint8_t *end)
{
    if (end - at < 16)
        return at;
    if (*at == '"') {
        if ((p->quick & FORMAT_JSONSCHEMA_QUICK_WORDS) != 0)
            return format_jsonschema_quick_word(p, at);
        if ((p->quick & FORMAT_JSONSCHEMA_QUICK_STRING) == 0)
            return at;
        const uint8_t *stop = format_json_plain_end(at + 1, end);
        size_t size = (size_t)(stop - at) - 1;
        bool good = stop < end && *stop == '"' && size - p->length_min <= p->length_span;
        if (good && p->format)
            good = p->format->is((struct slice){at + 1, size}) == FORMAT_JSONSCHEMA_YES;
        return good ? stop + 1 : at;
    }
    if (format_json_is_digit(*at) || *at == '-')
        return (p->quick & FORMAT_JSONSCHEMA_QUICK_NUMBER) != 0
                   ? format_jsonschema_quick_number(p, at, end)
                   : at;
    return (p->quick & FORMAT_JSONSCHEMA_QUICK_LITERAL) != 0
               ? format_jsonschema_quick_literal(p->kinds, at)
               : at;
}
