#pragma once

/*
 * A schema as a program for the JSON pass: for each place in a record a shape, which is all that
 * the schemas of that place say together, sorted by the kind of value that they say it of. What is
 * behind a $ref or an allOf is part of the shape; what needs a value as a whole (branches,
 * uniqueItems, patternProperties, unevaluated*) stays keywords, which are held against the value's
 * span. Made with the schema, lives in its arena, read-only.
 */

#include "format/jsonschema/schema_int.h"

/* The most properties that a shape knows by name, 64 a word. A schema with more has no program. */
#define FORMAT_JSONSCHEMA_SEEN_WORDS 4
#define FORMAT_JSONSCHEMA_PROPERTIES_MAX (64 * FORMAT_JSONSCHEMA_SEEN_WORDS)

/* A text to be looked for as a record has it, quotes included: the first 16 bytes are compared at
 * once, and so are the last 16 of a longer one. What is longer than `text`, or cannot stand in a
 * string as it is, is never found. */
#define FORMAT_JSONSCHEMA_PATTERN_SIZE 32

struct format_jsonschema_pattern {
    uint8_t text[FORMAT_JSONSCHEMA_PATTERN_SIZE];
    uint32_t size;
    uint32_t mask; /* bit i: byte i has to be equal; none can be where bit 16 is set */
};

/* How many properties in a row may come next, and are looked at. */
#define FORMAT_JSONSCHEMA_AHEAD 4

struct format_jsonschema_property {
    struct format_jsonschema_pattern pattern; /* with the colon */
    const struct format_jsonschema_place *shape;
    uint64_t bit; /* among those seen, in word `word` */
    uint32_t word;
    uint32_t index;
    uint32_t slot; /* of the guess which one comes next */
    struct slice name;
    uint64_t fingerprint;
};

/* What is done about a string or a number. */
enum format_jsonschema_operation {
    FORMAT_JSONSCHEMA_DO_KEYWORD, /* what the plain checker does */
    FORMAT_JSONSCHEMA_DO_LENGTH,  /* `min` to `max` code points */
    FORMAT_JSONSCHEMA_DO_RANGE,   /* a short integer is in `low` to `high`; else the keyword */
    FORMAT_JSONSCHEMA_DO_WORDS,   /* the characters are one of `count` values */
};

struct format_jsonschema_step_of {
    enum format_jsonschema_operation operation;
    const struct format_jsonschema_keyword *keyword;
    int64_t low;
    int64_t high;
    uint64_t min;
    uint64_t max;
    const struct format_jsonschema_node *const *values;
    size_t count;
};

struct format_jsonschema_steps {
    struct format_jsonschema_step_of *items;
    size_t count;
};

/* One of several schemas may be what the value is held against: which, is found out by walking it
 * with one after the other. */
enum format_jsonschema_rule {
    FORMAT_JSONSCHEMA_ANY_OF,
    FORMAT_JSONSCHEMA_ONE_OF,
    FORMAT_JSONSCHEMA_IF, /* `condition` decides between two `branches`; a `not` has the last only
                           */
};

struct format_jsonschema_choice {
    enum format_jsonschema_rule rule;
    const struct format_jsonschema_place *condition;
    /* Each is the place with that branch in it and without the choice. NULL: a refusal. */
    const struct format_jsonschema_place **branches;
    size_t count;
};

/* Which values need no more than a look: of a kind that may be here, and ... */
enum format_jsonschema_quick {
    FORMAT_JSONSCHEMA_QUICK_STRING = 1,  /* as long as it says, and of the format */
    FORMAT_JSONSCHEMA_QUICK_WORDS = 2,   /* one of the words */
    FORMAT_JSONSCHEMA_QUICK_NUMBER = 4,  /* within the range */
    FORMAT_JSONSCHEMA_QUICK_LITERAL = 8, /* null, true or false */
};

/* Bounds of a number that are short integers: of the integers below and above it, or itself. */
struct format_jsonschema_range {
    int64_t floor_min;
    int64_t floor_max;
    int64_t ceiling_min;
    int64_t ceiling_max;
    int64_t integer_min; /* of what is one itself: all of these together */
    uint64_t integer_span;
};

/* The most words that are compared one after the other. */
#define FORMAT_JSONSCHEMA_WORDS_QUICK 8
/* How many properties the guesses of a thread are about; others share theirs. */
#define FORMAT_JSONSCHEMA_GUESSES 4096

struct format_jsonschema_place {
    uint32_t kinds; /* bit k: a value of enum format_json_kind k may be here */
    uint32_t quick; /* bits of enum format_jsonschema_quick */
    /* With one nothing else here is asked for, but for `kinds`. */
    const struct format_jsonschema_choice *choice;
    uint64_t length_min;  /* of a string */
    uint64_t length_span; /* its maximum, less the minimum */
    const struct format_jsonschema_format *format;
    struct format_jsonschema_pattern *words;
    size_t word_count;
    bool all_words; /* a string without escapes that is none of them is refused */
    struct format_jsonschema_range range;
    bool integers; /* a number has to be an integer */
    struct format_jsonschema_steps strings;
    struct format_jsonschema_steps numbers;
    struct format_jsonschema_steps others; /* null, true, false */
    /* Held against the span. */
    struct format_jsonschema_steps objects;
    struct format_jsonschema_steps arrays;
    const struct format_jsonschema_schema **wholes; /* schemas, whatever the value's kind */
    size_t whole_count;
    /* Of an object. */
    struct format_jsonschema_property *properties; /* FORMAT_JSONSCHEMA_AHEAD more, not found */
    uint32_t property_count;
    uint32_t slot;   /* of the guess which one comes first */
    uint16_t *table; /* by fingerprint: index + 1, 0 for none; linear probing */
    uint32_t table_mask;
    const struct format_jsonschema_place *other; /* of a property without a name here */
    uint64_t required[FORMAT_JSONSCHEMA_SEEN_WORDS];
    uint64_t property_min;
    uint64_t property_max;
    /* Of an array. */
    const struct format_jsonschema_place **prefix;
    size_t prefix_count;
    const struct format_jsonschema_place *items;
    uint64_t item_min;
    uint64_t item_max;
    /* While the program is made. */
    const struct format_jsonschema_schema **set; /* what it stands for, expanded, in order */
    size_t set_count;
    const struct format_jsonschema_keyword **made; /* choices that were made on the way here */
    size_t made_count;
    struct format_jsonschema_place *next;
};

static inline uint64_t format_jsonschema_load(const uint8_t *at, size_t size)
{
    uint64_t word = 0;
    if (size >= 8) {
        memcpy(&word, at, 8);
    } else if (size >= 4) {
        uint32_t low, high;
        memcpy(&low, at, 4);
        memcpy(&high, at + size - 4, 4);
        word = low | (uint64_t)high << 32;
    } else if (size > 0) {
        word = at[0] | (uint64_t)at[size / 2] << 8 | (uint64_t)at[size - 1] << 16;
    }
    return word;
}

/* Whether two short texts are equal, without a call for most of them. */
static inline bool format_jsonschema_same(struct slice a, struct slice b)
{
    if (a.size != b.size)
        return false;
    if (a.size > 16)
        return memcmp(a.data, b.data, a.size) == 0;
    if (a.size < 8)
        return format_jsonschema_load(a.data, a.size) == format_jsonschema_load(b.data, b.size);
    size_t last = a.size - 8;
    return format_jsonschema_load(a.data, 8) == format_jsonschema_load(b.data, 8) &&
           format_jsonschema_load(a.data + last, 8) == format_jsonschema_load(b.data + last, 8);
}

/* Of a key's bytes. Equal keys have equal fingerprints. */
static inline uint64_t format_jsonschema_fingerprint(struct slice key)
{
    const uint64_t factor = UINT64_C(0x9E3779B97F4A7C15);
    uint64_t hash = key.size * factor;
    const uint8_t *at = key.data;
    size_t left = key.size;
    for (; left > 8; at += 8, left -= 8) {
        hash = (hash ^ format_jsonschema_load(at, 8)) * factor;
        hash ^= hash >> 32;
    }
    hash = (hash ^ format_jsonschema_load(at, left)) * factor;
    return hash ^ hash >> 32;
}

/* The property of `shape` with this key, NULL where there is none. */
static inline const struct format_jsonschema_property *
format_jsonschema_shape_find(const struct format_jsonschema_place *shape, struct slice key,
                             uint64_t fingerprint)
{
    if (shape->property_count == 0)
        return NULL;
    for (uint32_t at = (uint32_t)fingerprint & shape->table_mask; shape->table[at] != 0;
         at = (at + 1) & shape->table_mask) {
        const struct format_jsonschema_property *p = &shape->properties[shape->table[at] - 1];
        if (p->fingerprint == fingerprint && format_jsonschema_same(p->name, key))
            return p;
    }
    return NULL;
}

/* Makes the program of the product, once its schemas are compiled. A schema that is too large for
 * one, or has a $dynamicRef, has none (`program` stays NULL). ERR_MEMORY. */
err_t format_jsonschema_program_make(struct format_jsonschema_compiler *c);
