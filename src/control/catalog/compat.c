#include "control/catalog/compat.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/buf.h"
#include "base/time.h"
#include "control/catalog/schema.h"
#include "control/catalog/versions.h"
#include "format/jsonschema/compat.h"

/*
 * A schema where there was none narrows, and one that goes widens: no schema is one that allows
 * everything. The transitive kinds compare with all schemas that the topic has had, as far as the
 * catalog in force knows them.
 */

static void report_break(const struct control_catalog_topic *topic, const char *direction,
                         const char *place, const char *name, const char *text,
                         struct control_report *report)
{
    control_report_error(
        report,
        (struct control_place){
            .file = topic->file, .line = topic->line, .column = topic->column, .path = "schema"},
        "topic %.80s: not %s: %s: %s: %s", topic->name, direction, place, name, text);
}

static err_t compare(const struct control_catalog_topic *topic, const char *direction,
                     const struct format_jsonschema *from, const struct format_jsonschema *to,
                     struct control_report *report)
{
    if (!to)
        return err_ok();
    if (!from) {
        report_break(topic, direction, "#", "SCHEMA_ADDED", "what was any JSON gets a schema",
                     report);
        return err_ok();
    }
    struct format_jsonschema_breaks *breaks = mem_zalloc(1, sizeof(*breaks));
    if (!breaks)
        return err_make(ERR_MEMORY);
    err_t err = format_jsonschema_compat(from, to, breaks);
    for (size_t i = 0; i < breaks->count; i++) {
        const struct format_jsonschema_break *item = &breaks->items[i];
        report_break(topic, direction, item->path, format_jsonschema_break_name(item->code),
                     format_jsonschema_break_text(item->code), report);
    }
    mem_free(breaks);
    return err;
}

struct kind {
    bool backward;
    bool forward;
    bool transitive;
};

static const struct kind kinds[] = {
    [CONTROL_CATALOG_ANY] = {false, false, false},
    [CONTROL_CATALOG_BACKWARD] = {true, false, false},
    [CONTROL_CATALOG_FORWARD] = {false, true, false},
    [CONTROL_CATALOG_FULL] = {true, true, false},
    [CONTROL_CATALOG_BACKWARD_TRANSITIVE] = {true, false, true},
    [CONTROL_CATALOG_FORWARD_TRANSITIVE] = {false, true, true},
    [CONTROL_CATALOG_FULL_TRANSITIVE] = {true, true, true},
};

/* `with`: which of the earlier ones it is; empty for the one in force. */
static err_t compare_schemas(const struct control_catalog_topic *to, struct slice with,
                             const struct format_jsonschema *from, struct control_report *report)
{
    const struct kind *kind = &kinds[to->compatibility];
    char direction[80];
    if (kind->backward) {
        snprintf(direction, sizeof(direction), "BACKWARD%.*s", SLICE_PRINTF(with));
        TRY(compare(to, direction, from, to->schema.json, report));
    }
    if (kind->forward) {
        snprintf(direction, sizeof(direction), "FORWARD%.*s", SLICE_PRINTF(with));
        TRY(compare(to, direction, to->schema.json, from, report));
    }
    return err_ok();
}

/* Compiled for this one comparison: it took its place in force once, so it can be. */
static err_t compare_version(const struct control_catalog_topic *to,
                             const struct control_catalog_version *version,
                             struct control_report *report)
{
    struct control_catalog_schema schema = {.type = CONTROL_CATALOG_SCHEMA_JSON,
                                            .format_assertion = version->format_assertion};
    struct format_jsonschema *from = NULL;
    struct arena arena = {0};
    struct buf with = {0};
    err_t err = err_ok();
    buf_add_string(&with, " with that of ");
    buf_add_time(&with, version->since_ms);
    if (version->text.data)
        err = control_catalog_schema_compile(version->text, &arena, &schema, &from, NULL);
    if (err_is_ok(err))
        err = buf_error(&with);
    if (err_is_ok(err))
        err = compare_schemas(to, buf_slice(&with), from, report);
    format_jsonschema_free(&from);
    arena_done(&arena);
    buf_done(&with);
    return err;
}

/* With what the topic had before the one in force. */
static err_t compare_versions(const struct control_catalog_versions *versions,
                              const struct control_catalog_topic *to, struct control_report *report)
{
    const struct control_catalog_version *last = control_catalog_versions_last(versions, to->name);
    for (size_t i = 0; i < versions->count; i++) {
        const struct control_catalog_version *version = &versions->items[i];
        if (version != last && strcmp(version->topic, to->name) == 0)
            TRY(compare_version(to, version, report));
    }
    return err_ok();
}

static err_t compare_topics(const struct control_catalog *from,
                            const struct control_catalog_topic *was,
                            const struct control_catalog_topic *to, struct control_report *report)
{
    ASSERT(to->compatibility < sizeof(kinds) / sizeof(kinds[0]));
    TRY(compare_schemas(to, SLICE_LITERAL(""), was->schema.json, report));
    /* One that stays as it is was held against the earlier ones when it came. */
    bool stays = slice_equal(was->schema.text, to->schema.text) &&
                 was->schema.format_assertion == to->schema.format_assertion;
    if (!kinds[to->compatibility].transitive || !from->versions || stays)
        return err_ok();
    return compare_versions(from->versions, to, report);
}

err_t control_catalog_compat(const struct control_catalog *from, const struct control_catalog *to,
                             struct control_report *report)
{
    ASSERT(from && to && report);
    for (size_t i = 0; i < to->topic_count; i++) {
        const struct control_catalog_topic *topic = &to->topics[i];
        const struct control_catalog_topic *was =
            control_catalog_find(from, slice_string(topic->name));
        if (was)
            TRY(compare_topics(from, was, topic, report));
    }
    return err_ok();
}
