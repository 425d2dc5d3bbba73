#include "control/catalog/versions.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/time.h"
#include "format/json/json.h"

/*
 * A list, since a topic has a handful of them: whoever looks for one walks over all. Texts are kept
 * as they were and compiled by whoever compares, which happens once a reload.
 *
 * Failure modes: a record comes from a log that may have been repaired, or was written by another
 * version; one that cannot be read is an error, and its reader goes on without it.
 */

err_t control_catalog_versions_new(struct control_catalog_versions **out)
{
    *out = mem_zalloc(1, sizeof(**out));
    if (!*out)
        return err_make(ERR_MEMORY);
    arena_init(&(*out)->arena, 0);
    return err_ok();
}

void control_catalog_versions_free(struct control_catalog_versions **versions)
{
    if (!*versions)
        return;
    mem_free((*versions)->items);
    arena_done(&(*versions)->arena);
    mem_free(*versions);
    *versions = NULL;
}

static err_t make_room(struct control_catalog_versions *versions)
{
    ASSERT(versions->count <= versions->capacity);
    if (versions->count < versions->capacity)
        return err_ok();
    size_t capacity = versions->capacity ? versions->capacity * 2 : 16;
    void *grown = mem_realloc(versions->items, capacity, sizeof(*versions->items));
    if (!grown)
        return err_make(ERR_MEMORY);
    versions->items = grown;
    versions->capacity = capacity;
    return err_ok();
}

/* Their texts stay in the arena: a topic is seldom made again. */
static void forget_others(struct control_catalog_versions *versions, const char *topic,
                          const struct uuid *uuid)
{
    size_t kept = 0;
    ASSERT(topic);
    for (size_t i = 0; i < versions->count; i++) {
        const struct control_catalog_version *item = &versions->items[i];
        if (strcmp(item->topic, topic) != 0 || uuid_equal(&item->topic_uuid, uuid))
            versions->items[kept++] = *item;
    }
    versions->count = kept;
}

err_t control_catalog_versions_add(struct control_catalog_versions *versions,
                                   const struct control_catalog_version *version)
{
    struct control_catalog_version copy = *version;
    TRY(make_room(versions));
    copy.topic = arena_string(&versions->arena, slice_string(version->topic));
    if (version->text.data)
        copy.text = arena_slice(&versions->arena, version->text);
    if (!copy.topic || (version->text.data && !copy.text.data))
        return err_make(ERR_MEMORY);
    forget_others(versions, copy.topic, &copy.topic_uuid);
    versions->items[versions->count++] = copy;
    return err_ok();
}

const struct control_catalog_version *
control_catalog_versions_last(const struct control_catalog_versions *versions, const char *topic)
{
    for (size_t i = versions->count; i > 0; i--)
        if (strcmp(versions->items[i - 1].topic, topic) == 0)
            return &versions->items[i - 1];
    return NULL;
}

static bool same(const struct control_catalog_version *a, const struct control_catalog_version *b)
{
    if (!uuid_equal(&a->topic_uuid, &b->topic_uuid) || a->format_assertion != b->format_assertion)
        return false;
    if (!a->text.data || !b->text.data)
        return a->text.data == b->text.data;
    return slice_equal(a->text, b->text);
}

bool control_catalog_versions_next(const struct control_catalog_versions *versions,
                                   const struct control_catalog_topic *topic,
                                   const struct uuid *topic_uuid, int64_t now_ms,
                                   struct control_catalog_version *out)
{
    const struct control_catalog_version *last =
        control_catalog_versions_last(versions, topic->name);
    *out = (struct control_catalog_version){
        .topic = topic->name,
        .topic_uuid = *topic_uuid,
        .since_ms = now_ms,
        .format_assertion = topic->schema.json && topic->schema.format_assertion,
        .text = topic->schema.json ? topic->schema.text : slice_make(NULL, 0),
    };
    /* That a topic never had one need not be told. */
    return last ? !same(last, out) : out->text.data != NULL;
}

void control_catalog_version_render(const struct control_catalog_version *version, struct buf *out)
{
    char uuid[UUID_TEXT_SIZE + 1];
    uuid_format(&version->topic_uuid, uuid);
    buf_add_string(out, "{\"topic\":");
    buf_add_json_string(out, slice_string(version->topic));
    buf_add_format(out, ",\"topic_uuid\":\"%s\",\"time\":\"", uuid);
    buf_add_time(out, version->since_ms);
    buf_add_format(out, "\",\"format_assertion\":%s,\"schema\":",
                   version->format_assertion ? "true" : "false");
    if (version->text.data)
        buf_add_json_string(out, version->text);
    else
        buf_add_string(out, "null");
    buf_add_byte(out, '}');
}

/* The string under `key`, unescaped, with a zero that is not counted; data NULL: it is null. */
static err_t get_string(struct slice record, const char *key, struct buf *room, struct slice *out)
{
    struct format_json_value value = {0};
    TRY(format_json_get(record, key, &value));
    *out = slice_make(NULL, 0);
    if (value.kind == FORMAT_JSON_NULL)
        return err_ok();
    if (value.kind != FORMAT_JSON_STRING)
        return err_make(ERR_SYNTAX);
    buf_reset(room);
    TRY(format_json_string_decode(value.raw, room));
    buf_add_byte(room, '\0');
    TRY(buf_error(room));
    *out = slice_make(room->data, room->size - 1);
    return err_ok();
}

static err_t read_record(struct control_catalog_versions *versions, struct slice record,
                         struct buf *name, struct buf *room)
{
    struct control_catalog_version version = {0};
    struct format_json_value value = {0};
    struct slice text;
    TRY(get_string(record, "topic", name, &text));
    /* It is compared as a string and printed: nothing that no contract could say. */
    if (!text.data || text.size == 0 || memchr(text.data, '\0', text.size))
        return err_make(ERR_SYNTAX);
    version.topic = (const char *)text.data;
    TRY(get_string(record, "topic_uuid", room, &text));
    if (!text.data || !err_is_ok(uuid_parse(text, &version.topic_uuid)))
        return err_make(ERR_SYNTAX);
    TRY(get_string(record, "time", room, &text));
    if (!text.data || !err_is_ok(time_parse_rfc3339(text, &version.since_ms)))
        return err_make(ERR_SYNTAX);
    TRY(format_json_get(record, "format_assertion", &value));
    version.format_assertion = slice_equal_string(value.raw, "true");
    TRY(get_string(record, "schema", room, &version.text));
    return control_catalog_versions_add(versions, &version);
}

err_t control_catalog_versions_read(struct control_catalog_versions *versions, struct slice record)
{
    struct buf name = {0};
    struct buf room = {0};
    err_t err = read_record(versions, record, &name, &room);
    buf_done(&name);
    buf_done(&room);
    return err_is(err, ERR_TOO_DEEP) ? err_make(ERR_SYNTAX) : err;
}
