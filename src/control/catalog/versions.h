#pragma once

/*
 * The schemas that topics have had: what the transitive kinds of `compatibility` are held against.
 * Each is a record of the internal topic CONTROL_CATALOG_VERSIONS_TOPIC, in the order in which they
 * came into force:
 *
 *   {"topic":"flights","topic_uuid":"…","time":"…","format_assertion":false,"schema":"…"}
 *
 * with the schema's file as a string, null where the topic got none. A catalog in force owns them,
 * and hands them on to the one that takes its place. One thread.
 */

#include "control/catalog/catalog.h"
#include "base/uuid.h"

#define CONTROL_CATALOG_VERSIONS_TOPIC "_contracts"

/* What a topic had from `since_ms` on. */
struct control_catalog_version {
    const char *topic;
    struct uuid topic_uuid; /* a topic that was deleted and made again is another one */
    int64_t since_ms;
    bool format_assertion;
    struct slice text; /* data NULL: no schema */
};

struct control_catalog_versions {
    struct control_catalog_version *items;
    size_t count;
    size_t capacity;
    struct arena arena; /* holds what they point to */
};

/* None. ERR_MEMORY. */
err_t control_catalog_versions_new(struct control_catalog_versions **out);
/* Frees and clears `*versions`; NULL in it is fine. */
void control_catalog_versions_free(struct control_catalog_versions **versions);
/* Adds a copy as the newest of its topic; what the name had under another uuid is forgotten.
 * ERR_MEMORY. */
err_t control_catalog_versions_add(struct control_catalog_versions *versions,
                                   const struct control_catalog_version *version);
/* Adds what a record says. ERR_SYNTAX for what is none; ERR_MEMORY. */
err_t control_catalog_versions_read(struct control_catalog_versions *versions, struct slice record);
/* The newest of the topic, or NULL. */
const struct control_catalog_version *
control_catalog_versions_last(const struct control_catalog_versions *versions, const char *topic);
/* What `topic`, which has this uuid, gets with its contract in force: a version, if it is not the
 * newest already; false where it is, or where there never was a schema. `out` views the topic. */
bool control_catalog_versions_next(const struct control_catalog_versions *versions,
                                   const struct control_catalog_topic *topic,
                                   const struct uuid *topic_uuid, int64_t now_ms,
                                   struct control_catalog_version *out);
/* Appends the record that says so. */
void control_catalog_version_render(const struct control_catalog_version *version, struct buf *out);
