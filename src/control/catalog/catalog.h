#pragma once

/*
 * The contracts of all topics (design: Contracts), loaded whole or not at all, and then never
 * changed: read from any thread until it is freed.
 */

#include "base/arena.h"
#include "base/option.h"
#include "base/slice.h"
#include "control/config/config.h"
#include "control/report.h"

struct control_config_node;
struct format_jsonschema;

/* Longest name of a topic that is declared: its dead-letter topic is four bytes longer, and that
 * is the log's limit (flow/commit.h). */
#define CONTROL_CATALOG_NAME_MAX 245u

enum control_catalog_on_invalid { CONTROL_CATALOG_DLQ, CONTROL_CATALOG_REJECT };
enum control_catalog_when_full { CONTROL_CATALOG_REFUSE, CONTROL_CATALOG_DROP_OLDEST };
enum control_catalog_schema_type {
    CONTROL_CATALOG_SCHEMA_NONE,
    CONTROL_CATALOG_SCHEMA_JSON,
};
enum control_catalog_compatibility {
    CONTROL_CATALOG_ANY,
    CONTROL_CATALOG_BACKWARD,
    CONTROL_CATALOG_FORWARD,
    CONTROL_CATALOG_FULL,
    CONTROL_CATALOG_BACKWARD_TRANSITIVE,
    CONTROL_CATALOG_FORWARD_TRANSITIVE,
    CONTROL_CATALOG_FULL_TRANSITIVE,
};
enum control_catalog_compression {
    CONTROL_CATALOG_NONE,
    CONTROL_CATALOG_GZIP,
    CONTROL_CATALOG_SNAPPY,
    CONTROL_CATALOG_LZ4,
    CONTROL_CATALOG_ZSTD,
};

/* How long and how much is kept. */
struct control_catalog_retention {
    uint64_t time_ms;
    uint64_t size_bytes;     /* 0: no limit */
    bool expire_undelivered; /* also what a sink has not delivered yet */
};

/* What records must look like. The file is read and compiled with the catalog, which owns the
 * product: whoever keeps it longer keeps the catalog. */
struct control_catalog_schema {
    uint32_t type;    /* enum control_catalog_schema_type */
    const char *file; /* absolute; NULL: none */
    bool format_assertion;
    const struct format_jsonschema *json; /* NULL: none */
    struct slice text;                    /* the file's bytes */
    const char *fingerprint;              /* of them: SHA-256 in hexadecimal digits */
};

/* Patterns of files with records that the contract lets pass and that it does not
 * (control/catalog/examples.h). */
struct control_catalog_examples {
    struct option_strings valid;
    struct option_strings invalid;
    const struct control_config_node *node; /* where they stand, for messages; NULL: none given */
};

struct control_catalog_dlq {
    uint64_t retention_ms;
    uint64_t size_bytes;
    uint32_t when_full; /* enum control_catalog_when_full */
};

struct control_catalog_dedup {
    const char *key; /* path of the idempotency key in a record; NULL: records have none */
    uint64_t window_ms;
    uint64_t memory_bytes;
    uint64_t rate; /* records with a key a second, that are expected; 0: not said */
};

struct control_catalog_topic {
    const char *name;
    const char *description; /* NULL: none given */
    const char *owner;       /* NULL: none given */
    uint32_t partitions;
    const char *key;        /* path of the key in a record; NULL: round robin */
    const char *event_time; /* path; NULL: time of arrival */
    struct control_catalog_schema schema;
    uint32_t compatibility; /* enum control_catalog_compatibility */
    uint32_t on_invalid;    /* enum control_catalog_on_invalid */
    struct control_catalog_examples examples;
    struct control_catalog_dedup dedup;
    struct control_catalog_dlq dlq;
    struct control_catalog_retention retention;
    uint32_t compression; /* enum control_catalog_compression */
    const char *file;     /* the contract */
    uint32_t line;        /* where in it `partitions` stands, or the name where it does not: for */
    uint32_t column;      /* who finds that the log cannot follow */
};

struct control_catalog_versions;

struct control_catalog {
    const struct control_catalog_topic *topics; /* sorted by name */
    size_t topic_count;
    struct format_jsonschema **schemas; /* of all contracts, to be freed */
    size_t schema_count;
    int64_t *since_ms; /* of each topic: when it came into force as it is, 0: it did not yet */
    struct control_catalog_versions *versions; /* what topics had (versions.h); NULL: not known */
    struct arena arena;                        /* holds the rest */
};

/* The options of a contract, for the reference page; end with a NULL name. */
extern const struct option control_catalog_options[];

/*
 * Reads the contracts that `config` names and checks them, alone and together, and that every
 * sink's topics are declared. Blocks on the disk. ERR_CONFIG when `report` holds errors,
 * ERR_MEMORY. `*out` is set on success only and freed with control_catalog_free; it does not
 * need `config` any longer.
 */
err_t control_catalog_load(const struct control_config_host *host,
                           const struct control_config *config, struct control_catalog **out,
                           struct control_report *report);
/* Frees and clears `*catalog`; NULL in it is fine. */
void control_catalog_free(struct control_catalog **catalog);
/* The topic called `name`, or NULL. A dead-letter topic is not in the catalog by its own name. */
const struct control_catalog_topic *control_catalog_find(const struct control_catalog *catalog,
                                                         struct slice name);
