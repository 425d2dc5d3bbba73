#include "control/catalog/compat.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "format/jsonschema/compat.h"

/*
 * A schema where there was none narrows, and one that goes widens: no schema is one that allows
 * everything. The transitive kinds compare with all earlier schemas, of which the one in force is
 * the only one known.
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

static err_t compare_topics(const struct control_catalog_topic *from,
                            const struct control_catalog_topic *to, struct control_report *report)
{
    static const struct {
        bool backward;
        bool forward;
    } kinds[] = {
        [CONTROL_CATALOG_ANY] = {false, false},
        [CONTROL_CATALOG_BACKWARD] = {true, false},
        [CONTROL_CATALOG_FORWARD] = {false, true},
        [CONTROL_CATALOG_FULL] = {true, true},
        [CONTROL_CATALOG_BACKWARD_TRANSITIVE] = {true, false},
        [CONTROL_CATALOG_FORWARD_TRANSITIVE] = {false, true},
        [CONTROL_CATALOG_FULL_TRANSITIVE] = {true, true},
    };
    ASSERT(to->compatibility < sizeof(kinds) / sizeof(kinds[0]));
    if (kinds[to->compatibility].backward)
        TRY(compare(to, "BACKWARD", from->schema.json, to->schema.json, report));
    if (kinds[to->compatibility].forward)
        TRY(compare(to, "FORWARD", to->schema.json, from->schema.json, report));
    return err_ok();
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
            TRY(compare_topics(was, topic, report));
    }
    return err_ok();
}
