#pragma once

/*
 * What becomes of contracts when others take their place: one comparison for the reload, which does
 * it, and for `garner check --against`, which says it beforehand. Pure.
 */

#include "control/catalog/catalog.h"

/* A topic that one of two catalogs has, or both. */
struct control_catalog_change {
    const struct control_catalog_topic *from; /* NULL: it is added */
    const struct control_catalog_topic *to;   /* NULL: it goes */
};

/* A walk over the topics of two catalogs by name; begins as {.from = ..., .to = ...}. */
struct control_catalog_changes {
    const struct control_catalog *from;
    const struct control_catalog *to;
    size_t from_index;
    size_t to_index;
};

/* The next topic; false behind the last. */
bool control_catalog_changes_next(struct control_catalog_changes *walk,
                                  struct control_catalog_change *out);

/* A field of the contract's language that a server works by and that two contracts do not have in
 * common. */
struct control_catalog_difference {
    char name[64];               /* "retention.time"; the schema as a whole is "schema" */
    const struct option *option; /* NULL: the schema */
    const void *from;            /* the option's value in the one, and in the other */
    const void *to;
};

/* Calls `each` for every field that differs; what is only for people (description, owner, a rate
 * that is expected) does not. */
void control_catalog_differences(const struct control_catalog_topic *from,
                                 const struct control_catalog_topic *to,
                                 void (*each)(void *context,
                                              const struct control_catalog_difference *difference),
                                 void *context);
/* True when there is no difference. */
bool control_catalog_same(const struct control_catalog_topic *from,
                          const struct control_catalog_topic *to);

/*
 * Whether a running server takes the contracts `to` in the place of `from`: schemas under the
 * `compatibility` of `to` (compat.h), partitions that are lowered, or raised for a topic that a
 * sink of `config` delivers, and dedup, which does not change while a server runs. Each refusal is
 * an error in `report` at the contract of `to`. ERR_MEMORY, or OK also with refusals.
 */
err_t control_catalog_may_follow(const struct control_catalog *from,
                                 const struct control_catalog *to,
                                 const struct control_config *config,
                                 struct control_report *report);
/* Notes since when the contracts of `catalog`, which come into force at `now_ms`, are: those that
 * `before` (NULL: none) has too, since it had them; and takes over what `before` knows of earlier
 * schemas. Before anybody else has the catalog. */
void control_catalog_come_into_force(struct control_catalog *catalog,
                                     struct control_catalog *before, int64_t now_ms);
/* ERR_CONFIG that says that `topic`, which has `partition_count` partitions, cannot be lowered to
 * those of its contract. */
err_t control_catalog_lowered(const struct control_catalog_topic *topic, uint32_t partition_count,
                              struct err_text *why);
