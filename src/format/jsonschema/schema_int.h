#pragma once

/*
 * A compiled schema from inside. Every subschema is a chain of keywords in the order of the table
 * of words; a keyword holds what its word made of its value. All of it lives in the arena of
 * struct format_jsonschema and is read-only once compiled.
 */

#include "base/arena.h"
#include "base/map.h"
#include "format/jsonschema/decimal_int.h"
#include "format/jsonschema/formats_int.h"
#include "format/jsonschema/jsonschema.h"
#include "format/jsonschema/regex_int.h"
#include "format/jsonschema/tree_int.h"

/* Vocabularies of draft 2020-12 that a metaschema can leave out. */
enum format_jsonschema_vocabulary {
    FORMAT_JSONSCHEMA_CORE = 1,
    FORMAT_JSONSCHEMA_APPLICATOR = 2,
    FORMAT_JSONSCHEMA_UNEVALUATED = 4,
    FORMAT_JSONSCHEMA_VALIDATION = 8,
    FORMAT_JSONSCHEMA_FORMATS = 16, /* annotation or assertion */
    FORMAT_JSONSCHEMA_ASSERTION = 32,
    FORMAT_JSONSCHEMA_DESCRIPTION = 64, /* meta-data and content: nothing to check */
};

struct format_jsonschema_dialect {
    enum format_jsonschema_draft draft;
    uint32_t vocabularies;
};

/* A name that $dynamicAnchor gives to a schema within a resource. */
struct format_jsonschema_anchor {
    struct slice name;
    const struct format_jsonschema_schema *schema;
    const struct format_jsonschema_anchor *next;
};

/* A schema with an identifier, and what lies in it up to the next one. */
struct format_jsonschema_resource {
    struct slice uri; /* without fragment; what references are resolved against */
    struct format_jsonschema_dialect dialect;
    const struct format_jsonschema_anchor *dynamic;
};

struct format_jsonschema_schema {
    struct format_jsonschema_node *node;
    struct format_jsonschema_resource *resource;
    const struct format_jsonschema_keyword *keywords;
    const struct format_jsonschema_keyword *properties; /* what additionalProperties looks at */
    const struct format_jsonschema_keyword *patterns;
    bool never;                            /* the schema `false` */
    bool looks_back;                       /* has unevaluatedProperties or unevaluatedItems */
    struct format_jsonschema_schema *next; /* in the order in which they are compiled */
};

/* One of several: a property, a pattern, a branch, a dependency. */
struct format_jsonschema_part {
    struct slice name;
    const struct format_jsonschema_regex *regex;
    const struct format_jsonschema_schema *schema;
    const struct format_jsonschema_node *names; /* an array of strings */
};

struct format_jsonschema_keyword {
    const struct format_jsonschema_word *word;
    const struct format_jsonschema_schema *owner;
    const struct format_jsonschema_node *value; /* in the schema's tree */
    const struct format_jsonschema_schema *schema;
    const struct format_jsonschema_schema *then_schema; /* NULL: none */
    const struct format_jsonschema_schema *else_schema;
    const struct format_jsonschema_part *parts; /* by name, or as written */
    size_t part_count;
    uint64_t min;
    uint64_t max;
    uint32_t kinds;       /* bit k: enum format_json_kind k is allowed */
    bool integers;        /* and integers */
    struct slice dynamic; /* the anchor of a $dynamicRef; data NULL: as a $ref */
    struct format_jsonschema_decimal decimal;
    const struct format_jsonschema_format *format;
    const struct format_jsonschema_regex *regex;
    const struct format_jsonschema_keyword *next;
};

/* What a keyword's value looks like as far as schemas are to be found in it. */
enum format_jsonschema_shape {
    FORMAT_JSONSCHEMA_NO_SCHEMAS,
    FORMAT_JSONSCHEMA_ONE,   /* a schema */
    FORMAT_JSONSCHEMA_LIST,  /* an array of schemas, not empty */
    FORMAT_JSONSCHEMA_MAP,   /* an object of schemas */
    FORMAT_JSONSCHEMA_ITEMS, /* of draft 7: a schema or an array of them */
    FORMAT_JSONSCHEMA_MIXED, /* of draft 7: an object of schemas and arrays of strings */
};

struct format_jsonschema_compiler;
struct format_jsonschema_run;

struct format_jsonschema_word {
    const char *name;
    uint8_t drafts; /* bit d: known to enum format_jsonschema_draft d */
    uint8_t vocabulary;
    enum format_jsonschema_shape shape;
    /* Fills in what `check` needs from `value`. NULL: the keyword only holds schemas. */
    err_t (*compile)(struct format_jsonschema_compiler *c, struct format_jsonschema_schema *owner,
                     struct format_jsonschema_keyword *k);
    /* True when `node` satisfies the keyword, or it has nothing to say of it. `seen` as in
     * check_int.h. NULL: nothing to check. */
    bool (*check)(struct format_jsonschema_run *r, const struct format_jsonschema_keyword *k,
                  const struct format_jsonschema_node *node, size_t seen);
};

/* All keywords that check something or hold schemas, in the order in which they are checked; ends
 * with a NULL name. */
extern const struct format_jsonschema_word format_jsonschema_words[];

struct format_jsonschema_place;

struct format_jsonschema {
    struct arena arena;
    const struct format_jsonschema_schema *root;
    const struct format_jsonschema_place *program; /* of the root; NULL: there is none */
    uint64_t steps;
    struct format_jsonschema_regex **regexes; /* all of them, to be freed */
    size_t regex_count;
    size_t regex_capacity;
};

/* While a schema is compiled. */
struct format_jsonschema_compiler {
    struct format_jsonschema *product;
    const struct format_jsonschema_options *options;
    struct format_jsonschema_budget budget;
    struct map resources; /* URI to schema */
    struct map anchors;   /* URI#name to schema */
    struct format_jsonschema_schema *first;
    struct format_jsonschema_schema *last;
    struct err_text *why;
};

/* Zeroed memory of the product's arena, NULL when there is none. */
void *format_jsonschema_alloc(struct format_jsonschema_compiler *c, size_t size);
/* ERR_INVALID: "#/where/node/is: message". */
err_t format_jsonschema_refuse(struct format_jsonschema_compiler *c,
                               const struct format_jsonschema_node *node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The schema that `reference` in `from` leads to; what it leads into is loaded and put in the
 * line of those to be compiled. `*dynamic` is set where the fragment names a $dynamicAnchor. */
err_t format_jsonschema_follow(struct format_jsonschema_compiler *c,
                               const struct format_jsonschema_schema *from,
                               const struct format_jsonschema_node *reference,
                               const struct format_jsonschema_schema **out, struct slice *dynamic);
/* A regex that the product owns. */
err_t format_jsonschema_pattern(struct format_jsonschema_compiler *c,
                                const struct format_jsonschema_node *node, struct slice pattern,
                                const struct format_jsonschema_regex **out);

/* A metaschema or one of its parts by its URI, without a fragment; size 0 when there is none. */
struct slice format_jsonschema_metaschema(struct slice uri);
#define FORMAT_JSONSCHEMA_URI_2020_12 "https://json-schema.org/draft/2020-12/schema"
#define FORMAT_JSONSCHEMA_URI_7 "http://json-schema.org/draft-07/schema"
