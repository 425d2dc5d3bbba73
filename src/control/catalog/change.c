#include "control/catalog/change.h"

#include "base/assert.h"
#include "control/catalog/compat.h"
#include "control/catalog/contract.h"
#include "control/config/compare.h"
#include "format/jsonschema/compat.h"

/*
 * Fields are compared along the table of the contract's language: one that is added there counts
 * here, and has to be named below only where a server does nothing by it.
 */

/* By the table's order: both catalogs are sorted by name. */
bool control_catalog_changes_next(struct control_catalog_changes *walk,
                                  struct control_catalog_change *out)
{
    const struct control_catalog_topic *from =
        walk->from_index < walk->from->topic_count ? &walk->from->topics[walk->from_index] : NULL;
    const struct control_catalog_topic *to =
        walk->to_index < walk->to->topic_count ? &walk->to->topics[walk->to_index] : NULL;
    if (!from && !to)
        return false;
    /* Where one side has come to its end, all that is left is the other's. */
    int order = !from ? 1 : !to ? -1 : strcmp(from->name, to->name);
    *out = (struct control_catalog_change){order <= 0 ? from : NULL, order >= 0 ? to : NULL};
    walk->from_index += out->from != NULL;
    walk->to_index += out->to != NULL;
    return true;
}

/* For people, or what the walk is along. */
static bool has_no_effect(const char *name)
{
    static const char *const names[] = {"topic",      "description",    "owner",
                                        "dedup.rate", "examples.valid", "examples.invalid"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

/* By what it says and not by its file: another name, or another white space, checks no record
 * otherwise. */
static bool same_schema(const struct control_catalog_schema *a,
                        const struct control_catalog_schema *b)
{
    if (!a->json || !b->json)
        return a->json == b->json;
    return a->format_assertion == b->format_assertion && format_jsonschema_same(a->json, b->json);
}

struct walk {
    void (*each)(void *context, const struct control_catalog_difference *difference);
    void *context;
};

static void compare_table(const struct walk *w, const struct option *options, const char *within,
                          const char *from, const char *to)
{
    for (const struct option *o = options; o->name; o++) {
        struct control_catalog_difference found = {
            .option = o, .from = from + o->offset, .to = to + o->offset};
        int size = snprintf(found.name, sizeof(found.name), "%s%s%s", within, within[0] ? "." : "",
                            o->name);
        ASSERT(size > 0 && (size_t)size < sizeof(found.name));
        /* A table by its fields, but for this one: whether its file has another name says nothing,
         * and what stands in the file is in none of its fields. */
        if (strcmp(found.name, "schema") == 0) {
            found.option = NULL;
            if (!same_schema(found.from, found.to))
                w->each(w->context, &found);
        } else if (o->type == OPTION_TABLE) {
            compare_table(w, o->table, found.name, found.from, found.to);
        } else if (!has_no_effect(found.name) && !control_config_same(o, found.from, found.to)) {
            w->each(w->context, &found);
        }
    }
}

void control_catalog_differences(
    const struct control_catalog_topic *from, const struct control_catalog_topic *to,
    void (*each)(void *context, const struct control_catalog_difference *difference), void *context)
{
    ASSERT(from && to);
    const struct walk walk = {each, context};
    compare_table(&walk, control_catalog_options, "", (const char *)from, (const char *)to);
}

static void note(void *context, const struct control_catalog_difference *difference)
{
    bool *found = context;
    /* The walk could end here; contracts have two dozen fields, so it goes on. */
    ASSERT(difference->name[0]);
    *found = true;
}

bool control_catalog_same(const struct control_catalog_topic *from,
                          const struct control_catalog_topic *to)
{
    bool differs = false;
    control_catalog_differences(from, to, note, &differs);
    return !differs;
}

static void note_dedup(void *context, const struct control_catalog_difference *difference)
{
    if (slice_starts_with(slice_string(difference->name), SLICE_LITERAL("dedup.")))
        note(context, difference);
}

/* Where `partitions` stands is all of the contract that outlives its tree. */
static struct control_place place(const struct control_catalog_topic *topic, const char *path)
{
    return (struct control_place){topic->file, topic->line, topic->column, path};
}

err_t control_catalog_lowered(const struct control_catalog_topic *topic, uint32_t partition_count,
                              struct err_text *why)
{
    ASSERT(topic->partitions < partition_count);
    return err_set(why, ERR_CONFIG,
                   "topic %s has %u partitions and cannot be lowered to %u, their records would be "
                   "lost; expected at least %u",
                   topic->name, partition_count, topic->partitions, partition_count);
}

static void check_lowered(const struct control_catalog_topic *from,
                          const struct control_catalog_topic *to, struct control_report *report)
{
    struct err_text why = {0};
    if (to->partitions >= from->partitions)
        return;
    err_t err = control_catalog_lowered(to, from->partitions, &why);
    control_report_error(report, place(to, "partitions"), "%s", err_detail(err, &why));
}

/* A sink learns its topics' partitions when it starts, and would leave further ones lying. */
static void check_sinks(const struct control_config *config,
                        const struct control_catalog_topic *topic, struct control_report *report)
{
    /* Of either side's configuration: sinks do not change in a reload. */
    for (size_t i = 0; i < config->sink_count; i++) {
        const struct control_config_sink *sink = &config->sinks[i];
        for (size_t j = 0; j < sink->topics.count; j++)
            if (strcmp(sink->topics.items[j], topic->name) == 0)
                control_report_error(report, place(topic, "partitions"),
                                     "sink %.80s delivers topic %.80s and takes further partitions "
                                     "at a start only, so this needs a restart",
                                     sink->name, topic->name);
    }
}

/* Fingerprints of keys are made on all loops and compared in the log, which do not change over at
 * one moment: a key could count under both of two rules, or under none. */
static void check_dedup(const struct control_catalog_topic *from,
                        const struct control_catalog_topic *to, struct control_report *report)
{
    bool differs = false;
    control_catalog_differences(from, to, note_dedup, &differs);
    if (differs)
        control_report_error(report, place(to, "dedup"),
                             "dedup of topic %.80s has changed, which needs a restart", to->name);
}

err_t control_catalog_may_follow(const struct control_catalog *from,
                                 const struct control_catalog *to,
                                 const struct control_config *config, struct control_report *report)
{
    struct control_catalog_changes walk = {.from = from, .to = to};
    struct control_catalog_change change;
    while (control_catalog_changes_next(&walk, &change)) {
        /* What comes or goes is compared with nothing: a topic outlives its contract, and the log
         * knows what it has of it. */
        if (!change.from || !change.to)
            continue;
        check_lowered(change.from, change.to, report);
        if (change.to->partitions > change.from->partitions)
            check_sinks(config, change.to, report);
        check_dedup(change.from, change.to, report);
    }
    /* Last, since schemas may have many breaks, and a report keeps only so many lines. */
    return control_catalog_compat(from, to, report);
}

void control_catalog_come_into_force(struct control_catalog *catalog,
                                     struct control_catalog *before, int64_t now_ms)
{
    /* A catalog that was read from a server has no times, and never comes into force. */
    ASSERT(catalog->topic_count == 0 || catalog->since_ms);
    for (size_t i = 0; i < catalog->topic_count; i++) {
        const struct control_catalog_topic *topic = &catalog->topics[i];
        const struct control_catalog_topic *was =
            before ? control_catalog_find(before, slice_string(topic->name)) : NULL;
        bool stays = was && control_catalog_same(was, topic);
        catalog->since_ms[i] = stays ? before->since_ms[was - before->topics] : now_ms;
    }
    if (!before)
        return;
    ASSERT(!catalog->versions);
    catalog->versions = before->versions;
    before->versions = NULL;
}
