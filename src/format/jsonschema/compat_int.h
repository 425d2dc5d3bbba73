#pragma once

/*
 * A comparison of two schemas from inside. Everywhere `a` is the schema whose records are given
 * and `b` the one that has to allow them. Recursion is as deep as the schemas are, up to a limit.
 * One thread.
 */

#include "format/jsonschema/compat.h"
#include "format/jsonschema/schema_int.h"

/* Bits for types: those of enum format_json_kind, with integers apart from other numbers. */
#define FORMAT_JSONSCHEMA_TYPES_ALL 0xFFu

/* Two schemas that are being compared further up. */
struct format_jsonschema_pair {
    const struct format_jsonschema_schema *a;
    const struct format_jsonschema_schema *b;
    uint32_t types;
    uint32_t level;
    const struct format_jsonschema_pair *above;
};

struct format_jsonschema_compat_run {
    struct format_jsonschema_breaks *out;
    struct format_jsonschema_budget budget;
    struct format_jsonschema_matcher *matcher;
    const struct format_jsonschema_pair *pairs;
    uint32_t depth;
    uint32_t level; /* how deep below the record's root: properties and items passed */
    uint32_t quiet; /* only tried: breaks are found and not told */
    bool broken;    /* while quiet: one was found */
    err_t error;
};

/* Notes a break at `node`, once. */
void format_jsonschema_compat_break(struct format_jsonschema_compat_run *r,
                                    enum format_jsonschema_break_code code,
                                    const struct format_jsonschema_node *node);
/* True when there is nothing more to find: a try has failed, steps are spent, memory is out. */
bool format_jsonschema_compat_over(const struct format_jsonschema_compat_run *r);
/* Compares schemas of the same value. */
void format_jsonschema_compat_schemas(struct format_jsonschema_compat_run *r,
                                      const struct format_jsonschema_schema *a,
                                      const struct format_jsonschema_schema *b);
/* Compares schemas of a value within: a property or an item. */
void format_jsonschema_compat_inner(struct format_jsonschema_compat_run *r,
                                    const struct format_jsonschema_schema *a,
                                    const struct format_jsonschema_schema *b);
/* True when the comparison finds no break; none is told. */
bool format_jsonschema_compat_try(struct format_jsonschema_compat_run *r,
                                  const struct format_jsonschema_schema *a,
                                  const struct format_jsonschema_schema *b);
/* The same of schemas of a value within. */
bool format_jsonschema_compat_try_inner(struct format_jsonschema_compat_run *r,
                                        const struct format_jsonschema_schema *a,
                                        const struct format_jsonschema_schema *b);
/* The keyword called `name`, or NULL. */
const struct format_jsonschema_keyword *
format_jsonschema_compat_find(const struct format_jsonschema_schema *schema, const char *name);
/* True for a schema that allows everything because it says nothing. */
bool format_jsonschema_compat_open(const struct format_jsonschema_schema *schema);

/* compat_types.c: `type` and the keywords that speak of one type. `types` are those of `a` that
 * are looked at. */
void format_jsonschema_compat_types(struct format_jsonschema_compat_run *r,
                                    const struct format_jsonschema_schema *a, uint32_t types,
                                    const struct format_jsonschema_schema *b);
/* True where a schema has such keywords. */
bool format_jsonschema_compat_has_types(const struct format_jsonschema_schema *schema);
/* The types that `type` allows; all where it is not there. */
uint32_t format_jsonschema_compat_types_of(const struct format_jsonschema_schema *schema);
/* compat_object.c, compat_array.c: the keywords of objects and of arrays. */
void format_jsonschema_compat_objects(struct format_jsonschema_compat_run *r,
                                      const struct format_jsonschema_schema *a,
                                      const struct format_jsonschema_schema *b);
void format_jsonschema_compat_arrays(struct format_jsonschema_compat_run *r,
                                     const struct format_jsonschema_schema *a,
                                     const struct format_jsonschema_schema *b);
/* A bound that may be added (`added`) or tightened. An upper one is tightened by being lowered. A
 * lower bound of zero is none where `count` is set. */
struct format_jsonschema_compat_bound {
    const char *name;
    bool upper;
    bool count;
    enum format_jsonschema_break_code added;
    enum format_jsonschema_break_code tightened;
};
void format_jsonschema_compat_bounds(struct format_jsonschema_compat_run *r,
                                     const struct format_jsonschema_schema *a,
                                     const struct format_jsonschema_schema *b,
                                     const struct format_jsonschema_compat_bound *bounds,
                                     size_t count);
