#pragma once

/*
 * Whether a schema may follow another: the rules of Confluent's Schema Registry for JSON Schema,
 * judged by structure, without looking at any record. A break is something that a record of the
 * old schema may have and the new one does not allow, with its place and a stable code. The codes
 * are Confluent's where it has one.
 *
 * Where Confluent's rules look away (a required name without a property, `const`, `contains`,
 * `if`, `patternProperties`, `propertyNames`, asserted formats) the rule is the one above; where a
 * change only widens what they call a change of type (a keyword beside others removed, `allOf` and
 * `anyOf` by other branches that imply the same) it is allowed. As with Confluent's, a name that
 * becomes required is no break when its property has a `default`.
 *
 * Work is bounded by steps; schemas that need more are no match, with the code TOO_COMPLEX.
 * Pure; any thread.
 */

#include "format/jsonschema/jsonschema.h"

/* Breaks that are told; more are counted. */
#define FORMAT_JSONSCHEMA_BREAKS_MAX 100u

/* code, text */
#define FORMAT_JSONSCHEMA_BREAK_TABLE(X)                                                           \
    X(TYPE_CHANGED, "the types are others")                                                        \
    X(TYPE_NARROWED, "fewer types are allowed")                                                    \
    X(MAX_LENGTH_ADDED, "strings get a longest length")                                            \
    X(MAX_LENGTH_DECREASED, "strings must be shorter")                                             \
    X(MIN_LENGTH_ADDED, "strings get a shortest length")                                           \
    X(MIN_LENGTH_INCREASED, "strings must be longer")                                              \
    X(PATTERN_ADDED, "strings must match a pattern")                                               \
    X(PATTERN_CHANGED, "strings must match another pattern")                                       \
    X(FORMAT_ADDED, "strings must have a format")                                                  \
    X(FORMAT_CHANGED, "strings must have another format")                                          \
    X(MAXIMUM_ADDED, "numbers get an upper bound")                                                 \
    X(MAXIMUM_DECREASED, "the upper bound is lower")                                               \
    X(MINIMUM_ADDED, "numbers get a lower bound")                                                  \
    X(MINIMUM_INCREASED, "the lower bound is higher")                                              \
    X(EXCLUSIVE_MAXIMUM_ADDED, "numbers get an upper bound")                                       \
    X(EXCLUSIVE_MAXIMUM_DECREASED, "the upper bound is lower")                                     \
    X(EXCLUSIVE_MINIMUM_ADDED, "numbers get a lower bound")                                        \
    X(EXCLUSIVE_MINIMUM_INCREASED, "the lower bound is higher")                                    \
    X(MULTIPLE_OF_ADDED, "numbers must be multiples")                                              \
    X(MULTIPLE_OF_EXPANDED, "numbers must be multiples of a multiple")                             \
    X(MULTIPLE_OF_CHANGED, "numbers must be multiples of another number")                          \
    X(REQUIRED_ATTRIBUTE_ADDED, "the name becomes required and has no default")                    \
    X(REQUIRED_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL,                                             \
      "a required property without a default is added")                                            \
    X(PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL,                                                        \
      "a property is added where records may already hold anything under its name")                \
    X(PROPERTY_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL,                                  \
      "a property is added that is narrower than what its name was allowed to hold")               \
    X(PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL,                                                  \
      "a property is removed and no other name is allowed")                                        \
    X(PROPERTY_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL,                                \
      "a property is removed and what else is allowed under its name is narrower")                 \
    X(PATTERN_PROPERTY_ADDED, "names that match a pattern are restricted")                         \
    X(PATTERN_PROPERTY_REMOVED, "names that match a pattern are no longer allowed")                \
    X(PROPERTY_NAMES_ADDED, "names are restricted")                                                \
    X(ADDITIONAL_PROPERTIES_REMOVED, "other names are no longer allowed")                          \
    X(ADDITIONAL_PROPERTIES_NARROWED, "other names no longer hold anything")                       \
    X(MAX_PROPERTIES_ADDED, "objects get a largest size")                                          \
    X(MAX_PROPERTIES_DECREASED, "objects must be smaller")                                         \
    X(MIN_PROPERTIES_ADDED, "objects get a smallest size")                                         \
    X(MIN_PROPERTIES_INCREASED, "objects must be larger")                                          \
    X(DEPENDENCY_ARRAY_ADDED, "a name requires others")                                            \
    X(DEPENDENCY_ARRAY_EXTENDED, "a name requires more others")                                    \
    X(DEPENDENCY_SCHEMA_ADDED, "a name requires a schema")                                         \
    X(ITEM_ADDED_TO_OPEN_CONTENT_MODEL,                                                            \
      "an item is described where records may already hold anything")                              \
    X(ITEM_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL,                                      \
      "an item is described more narrowly than what was allowed there")                            \
    X(ITEM_REMOVED_FROM_CLOSED_CONTENT_MODEL, "an item is removed and no others are allowed")      \
    X(ITEM_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL,                                    \
      "an item is removed and what else is allowed there is narrower")                             \
    X(ADDITIONAL_ITEMS_REMOVED, "further items are no longer allowed")                             \
    X(ADDITIONAL_ITEMS_NARROWED, "items no longer hold anything")                                  \
    X(MAX_ITEMS_ADDED, "arrays get a largest size")                                                \
    X(MAX_ITEMS_DECREASED, "arrays must be smaller")                                               \
    X(MIN_ITEMS_ADDED, "arrays get a smallest size")                                               \
    X(MIN_ITEMS_INCREASED, "arrays must be larger")                                                \
    X(UNIQUE_ITEMS_ADDED, "items must be unique")                                                  \
    X(CONTAINS_ADDED, "arrays must hold certain items")                                            \
    X(CONTAINS_CHANGED, "arrays must hold other items, or other numbers of them")                  \
    X(ENUM_ARRAY_NARROWED, "fewer values are allowed")                                             \
    X(ENUM_ARRAY_CHANGED, "other values are allowed")                                              \
    X(COMBINED_TYPE_CHANGED, "branches are combined otherwise")                                    \
    X(COMBINED_TYPE_SUBSCHEMAS_CHANGED, "the branches are others")                                 \
    X(PRODUCT_TYPE_EXTENDED, "more has to hold")                                                   \
    X(SUM_TYPE_NARROWED, "there are fewer branches to choose from")                                \
    X(NOT_TYPE_EXTENDED, "more is excluded")                                                       \
    X(CONDITION_CHANGED, "a condition is added or another")                                        \
    X(TOO_COMPLEX, "the schemas are too complex to be compared")

enum format_jsonschema_break_code {
#define FORMAT_JSONSCHEMA_BREAK_ENUM(name, text) FORMAT_JSONSCHEMA_BREAK_##name,
    FORMAT_JSONSCHEMA_BREAK_TABLE(FORMAT_JSONSCHEMA_BREAK_ENUM)
#undef FORMAT_JSONSCHEMA_BREAK_ENUM
        FORMAT_JSONSCHEMA_BREAK_CODES, /* how many there are */
};

struct format_jsonschema_break {
    enum format_jsonschema_break_code code;
    /* A JSON Pointer into the new schema behind a #, cut when long; into the old one where the
     * code says that something was removed. */
    char path[256];
};

/* All that was found; large, so not for the stack of a small thread. */
struct format_jsonschema_breaks {
    struct format_jsonschema_break items[FORMAT_JSONSCHEMA_BREAKS_MAX];
    size_t count;
    size_t omitted; /* found and not told */
};

/*
 * Compares: what `from` allows, `to` has to allow (BACKWARD with `from` the old schema and `to` the
 * new one; FORWARD the other way round). OK also with breaks; ERR_MEMORY.
 */
err_t format_jsonschema_compat(const struct format_jsonschema *from,
                               const struct format_jsonschema *to,
                               struct format_jsonschema_breaks *out);
/* True when the two were written the same, but for white space and the order of members; false also
 * where that takes too many steps. */
bool format_jsonschema_same(const struct format_jsonschema *a, const struct format_jsonschema *b);
/* "TYPE_CHANGED". */
const char *format_jsonschema_break_name(enum format_jsonschema_break_code code);
/* One line for a person. */
const char *format_jsonschema_break_text(enum format_jsonschema_break_code code);
