#include "control/catalog/document.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/time.h"
#include "control/catalog/contract.h"
#include "control/catalog/schema.h"
#include "control/catalog/versions.h"
#include "control/config/value.h"
#include "format/json/array.h"

/*
 * Both ways along the table of the contract's language, so that a field that is added there is
 * here too. What is read comes from a peer: every way in which it can be wrong is an error.
 *
 * The schema's text goes out and in as it stands, between the braces of the answer, so that who
 * reads it sees a schema and no string. One that is nested as deep as a text may be is too deep
 * within the answer: that cannot be read back, and is told.
 */

_Static_assert(offsetof(struct control_catalog_contract, topic) == 0,
               "the table's offsets are those of a topic too");

static void add_strings(struct buf *out, const struct option_strings *list)
{
    buf_add_byte(out, '[');
    for (size_t i = 0; i < list->count; i++) {
        buf_add_string(out, i > 0 ? "," : "");
        buf_add_json_string(out, slice_string(list->items[i]));
    }
    buf_add_byte(out, ']');
}

/* Numbers and truths are JSON's own; what has a unit is text, as in a file. */
void control_catalog_render_value(const struct option *option, const void *field, struct buf *out)
{
    bool plain =
        option->type == OPTION_BOOL || option->type == OPTION_U32 || option->type == OPTION_U64;
    struct buf text = {0};
    /* The one kind that control/config does not write: a list is no scalar. */
    if (option->type == OPTION_STRINGS) {
        add_strings(out, field);
        return;
    }
    bool given = control_config_value_add(option, field, &text);
    /* Latched where the caller looks: a value that is left out would be another one. */
    if (!buf_ok(&text))
        out->failed = true;
    else if (!given)
        buf_add_string(out, "null");
    else if (plain)
        buf_add_slice(out, buf_slice(&text));
    else
        buf_add_json_string(out, buf_slice(&text));
    buf_done(&text);
}

static void add_table(struct buf *out, const struct option *options, const void *from)
{
    const char *base = from;
    for (const struct option *o = options; o->name; o++) {
        buf_add_string(out, o == options ? "{" : ",");
        buf_add_format(out, "\"%s\":", o->name);
        if (o->type == OPTION_TABLE)
            add_table(out, o->table, base + o->offset);
        else
            control_catalog_render_value(o, base + o->offset, out);
    }
    buf_add_byte(out, '}');
}

/* The newest is the one in force, which stands under `schema`. */
static void add_earlier(const struct control_catalog_versions *versions, const char *topic,
                        struct buf *out)
{
    const struct control_catalog_version *last = control_catalog_versions_last(versions, topic);
    bool any = false;
    buf_add_string(out, ",\"earlier_schemas\":[");
    for (size_t i = 0; i < versions->count; i++) {
        const struct control_catalog_version *version = &versions->items[i];
        if (version == last || strcmp(version->topic, topic) != 0)
            continue;
        buf_add_string(out, any ? ",{\"since\":\"" : "{\"since\":\"");
        buf_add_time(out, version->since_ms);
        buf_add_format(out, "\",\"format_assertion\":%s,\"document\":",
                       version->format_assertion ? "true" : "false");
        if (version->text.data)
            buf_add_slice(out, slice_trim(version->text));
        else
            buf_add_string(out, "null");
        buf_add_byte(out, '}');
        any = true;
    }
    buf_add_byte(out, ']');
}

void control_catalog_render_topic(const struct control_catalog *catalog,
                                  const struct control_catalog_topic *topic, struct buf *out)
{
    size_t index = (size_t)(topic - catalog->topics);
    ASSERT(index < catalog->topic_count);
    int64_t since = catalog->since_ms ? catalog->since_ms[index] : 0;
    buf_add_string(out, "{\"topic\":");
    buf_add_json_string(out, slice_string(topic->name));
    buf_add_string(out, ",\"since\":");
    buf_add_string(out, since > 0 ? "\"" : "null");
    if (since > 0) {
        buf_add_time(out, since);
        buf_add_byte(out, '"');
    }
    buf_add_string(out, ",\"file\":");
    buf_add_json_string(out, slice_string(topic->file ? topic->file : ""));
    buf_add_string(out, ",\"contract\":");
    add_table(out, control_catalog_options, topic);
    if (topic->schema.json) {
        buf_add_format(
            out, ",\"schema\":{\"fingerprint\":\"%s\",\"document\":", topic->schema.fingerprint);
        /* As it was written: it has been read as JSON, so it cannot end the object early. */
        buf_add_slice(out, slice_trim(topic->schema.text));
        buf_add_byte(out, '}');
    } else {
        buf_add_string(out, ",\"schema\":null");
    }
    if (catalog->versions)
        add_earlier(catalog->versions, topic->name, out);
    buf_add_byte(out, '}');
}

void control_catalog_render(const struct control_catalog *catalog, struct buf *out)
{
    buf_add_string(out, "{\"contracts\":[");
    for (size_t i = 0; i < catalog->topic_count; i++) {
        buf_add_string(out, i > 0 ? ",\n" : "\n");
        control_catalog_render_topic(catalog, &catalog->topics[i], out);
    }
    buf_add_string(out, "\n]}");
}

/* One answer as it is read. */
struct reader {
    struct control_catalog *catalog;
    struct control_catalog_topic *topics;
    struct err_text *why;
    struct buf text; /* a value, unescaped, with a zero */
};

/* The value's text as it would stand in a file. */
static err_t unescape(struct reader *r, const struct format_json_value *value)
{
    buf_reset(&r->text);
    if (value->kind == FORMAT_JSON_STRING)
        TRY(format_json_string_decode(value->raw, &r->text));
    else
        buf_add_slice(&r->text, value->raw);
    /* A zero within would cut the text off where nobody sees it. */
    if (r->text.size > 0 && memchr(r->text.data, '\0', r->text.size))
        return err_set(r->why, ERR_SYNTAX, "a value holds a zero");
    buf_add_byte(&r->text, '\0');
    return buf_error(&r->text);
}

static err_t read_table(struct reader *r, struct slice object, const struct option *options,
                        char *base);

static err_t read_strings(struct reader *r, struct slice list, struct option_strings *field)
{
    struct format_json_array array;
    struct format_json_element element;
    struct arena *arena = &r->catalog->arena;
    /* Two bytes an item at the least, so this is room enough. */
    const char **items = arena_alloc(arena, (list.size / 2 + 1) * sizeof(*items));
    size_t count = 0;
    if (!items)
        return err_make(ERR_MEMORY);
    TRY(format_json_array_begin(&array, list, NULL));
    while (format_json_array_next(&array, NULL, FORMAT_JSON_DEPTH_MAX, NULL, &element) ==
           FORMAT_JSON_ARRAY_ELEMENT) {
        struct format_json_value value = {element.raw, format_json_peek(element.raw)};
        TRY(unescape(r, &value));
        items[count] = arena_string(arena, slice_string((const char *)r->text.data));
        if (!items[count++])
            return err_make(ERR_MEMORY);
    }
    *field = (struct option_strings){items, count};
    return err_ok();
}

/* The table's levels are the program's and not the text's, so this recurses as deep as they do. */
static err_t read_field(struct reader *r, const struct format_json_value *value,
                        const struct option *option, char *field)
{
    /* Not given, or not known to who wrote it: the default is there already. */
    if (value->kind == FORMAT_JSON_MISSING || value->kind == FORMAT_JSON_NULL)
        return err_ok();
    if (option->type == OPTION_TABLE)
        return read_table(r, value->raw, option->table, field);
    if (option->type == OPTION_STRINGS)
        return read_strings(r, value->raw, (void *)field);
    TRY(unescape(r, value));
    return control_config_value(option, (const char *)r->text.data, "/", &r->catalog->arena, field,
                                r->why);
}

static err_t read_table(struct reader *r, struct slice object, const struct option *options,
                        char *base)
{
    for (const struct option *o = options; o->name; o++) {
        struct format_json_value value = {0};
        TRY(format_json_get(object, o->name, &value));
        err_t err = read_field(r, &value, o, base + o->offset);
        if (!err_is_ok(err)) {
            err_prefix(r->why, "%s", o->name);
            return err;
        }
    }
    return err_ok();
}

static err_t read_schema(struct reader *r, struct slice element, struct control_catalog_topic *t)
{
    struct format_json_value part = {0};
    struct format_json_value text = {0};
    if (t->schema.type == CONTROL_CATALOG_SCHEMA_NONE)
        return err_ok();
    if (t->schema.type != CONTROL_CATALOG_SCHEMA_JSON)
        return err_set(r->why, ERR_CONFIG, "its kind of schema is not known to this version");
    TRY(format_json_get(element, "schema", &part));
    if (part.kind == FORMAT_JSON_OBJECT)
        TRY(format_json_get(part.raw, "document", &text));
    if (text.kind == FORMAT_JSON_MISSING)
        return err_set(r->why, ERR_SYNTAX, "its schema is not there");
    TRY(control_catalog_schema_compile(text.raw, &r->catalog->arena, &t->schema,
                                       &r->catalog->schemas[r->catalog->schema_count], r->why));
    r->catalog->schema_count++;
    return err_ok();
}

static err_t read_earlier_one(struct reader *r, struct slice element, const char *topic)
{
    struct control_catalog_version version = {.topic = topic};
    struct format_json_value value = {0};
    TRY(format_json_get(element, "since", &value));
    TRY(unescape(r, &value));
    if (!err_is_ok(time_parse_rfc3339(slice_string((const char *)r->text.data), &version.since_ms)))
        return err_set(r->why, ERR_SYNTAX, "an earlier schema has no time");
    TRY(format_json_get(element, "format_assertion", &value));
    version.format_assertion = slice_equal_string(value.raw, "true");
    TRY(format_json_get(element, "document", &value));
    if (value.kind != FORMAT_JSON_MISSING && value.kind != FORMAT_JSON_NULL)
        version.text = value.raw;
    return control_catalog_versions_add(r->catalog->versions, &version);
}

/* And, behind them, the one in force. */
static err_t read_earlier(struct reader *r, struct slice contract,
                          const struct control_catalog_topic *t)
{
    struct format_json_array array;
    struct format_json_element element;
    struct format_json_value list = {0};
    TRY(format_json_get(contract, "earlier_schemas", &list));
    if (list.kind != FORMAT_JSON_ARRAY)
        return err_ok();
    if (!r->catalog->versions)
        TRY(control_catalog_versions_new(&r->catalog->versions));
    TRY(format_json_array_begin(&array, list.raw, NULL));
    while (format_json_array_next(&array, NULL, FORMAT_JSON_DEPTH_MAX, NULL, &element) ==
           FORMAT_JSON_ARRAY_ELEMENT)
        TRY(read_earlier_one(r, element.raw, t->name));
    struct control_catalog_version version = {.topic = t->name, .text = t->schema.text};
    return control_catalog_versions_add(r->catalog->versions, &version);
}

static err_t read_contract(struct reader *r, struct slice element)
{
    struct control_catalog *catalog = r->catalog;
    struct control_catalog_contract contract = {0};
    struct control_catalog_topic *t = &contract.topic;
    struct format_json_value value = {0};
    TRY(format_json_get(element, "contract", &value));
    if (value.kind != FORMAT_JSON_OBJECT)
        return err_set(r->why, ERR_SYNTAX, "what should be a contract is none");
    /* First the defaults: a server of an earlier version does not know every field. */
    TRY(control_catalog_contract_defaults(&catalog->arena, &contract));
    TRY(read_table(r, value.raw, control_catalog_options, (char *)&contract));
    /* It is printed as it is, so it has to be one that a contract could give. */
    if (!t->name || control_catalog_name_problem(t->name))
        return err_set(r->why, ERR_SYNTAX, "a topic has no name that it could have");
    /* They are found by halving, and no two are one topic's. */
    size_t count = catalog->topic_count;
    if (count > 0 && strcmp(r->topics[count - 1].name, t->name) >= 0)
        return err_set(r->why, ERR_SYNTAX, "topics are not in the order of their names");
    err_t err = read_schema(r, element, t);
    if (!err_is_ok(err)) {
        err_prefix(r->why, "%s", t->name);
        return err;
    }
    TRY(read_earlier(r, element, t));
    TRY(format_json_get(element, "file", &value));
    TRY(unescape(r, &value));
    t->file = arena_string(&catalog->arena, slice_string((const char *)r->text.data));
    if (!t->file)
        return err_make(ERR_MEMORY);
    r->topics[catalog->topic_count++] = *t;
    return err_ok();
}

static err_t read_contracts(struct reader *r, struct slice list)
{
    struct format_json_array array;
    struct format_json_element element;
    size_t count = 0;
    TRY(format_json_array_begin(&array, list, NULL));
    while (format_json_array_next(&array, NULL, FORMAT_JSON_DEPTH_MAX, NULL, &element) ==
           FORMAT_JSON_ARRAY_ELEMENT)
        count++;
    /* Both have their places before the first is read: topics are found by their address. */
    r->topics = arena_alloc(&r->catalog->arena, (count + 1) * sizeof(*r->topics));
    r->catalog->schemas = arena_alloc(&r->catalog->arena, (count + 1) * sizeof(void *));
    if (!r->topics || !r->catalog->schemas)
        return err_make(ERR_MEMORY);
    r->catalog->topics = r->topics;
    TRY(format_json_array_begin(&array, list, NULL));
    while (format_json_array_next(&array, NULL, FORMAT_JSON_DEPTH_MAX, NULL, &element) ==
           FORMAT_JSON_ARRAY_ELEMENT)
        TRY(read_contract(r, element.raw));
    return err_ok();
}

err_t control_catalog_parse(struct slice document, struct control_catalog **out,
                            struct err_text *why)
{
    struct format_json_value list = {0};
    err_t err = format_json_get(document, "contracts", &list);
    if (!err_is_ok(err))
        return err_set(why, (enum err_code)err.code, "it cannot be read as JSON");
    if (list.kind != FORMAT_JSON_ARRAY)
        return err_set(why, ERR_SYNTAX, "there is no list of contracts");
    struct control_catalog *catalog = mem_zalloc(1, sizeof(*catalog));
    if (!catalog)
        return err_make(ERR_MEMORY);
    arena_init(&catalog->arena, 0);
    struct reader reader = {.catalog = catalog, .why = why};
    err = read_contracts(&reader, list.raw);
    buf_done(&reader.text);
    if (!err_is_ok(err)) {
        control_catalog_free(&catalog);
        return err;
    }
    *out = catalog;
    return err_ok();
}
