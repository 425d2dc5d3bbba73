/*
 * Every document is checked as a whole before a line of it is printed, by the pass that finds its
 * fields; elements are then walked in what is known to be good. Numbers are those of the server; a
 * page that does not go on, or goes back, would be asked for for ever and is refused.
 */

#include "cli/consume_page.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/base64.h"
#include "base/number.h"
#include "cli/table.h"
#include "format/json/array.h"

#define DEPTH_MAX FORMAT_JSON_DEPTH_MAX
/* As many as an answer can describe. */
#define PARTITIONS_MAX 100000u

/* The member of an object under `key`, which must be of this kind. */
static err_t get(struct slice object, const char *key, enum format_json_kind kind,
                 struct slice *out)
{
    struct format_json_value value = {0};
    TRY(format_json_get(object, key, &value));
    if (value.kind != kind)
        return err_make(ERR_SYNTAX);
    *out = value.raw;
    return err_ok();
}

static err_t parse_uuid(struct slice string, struct uuid *out)
{
    ASSERT(string.size >= 2);
    return uuid_parse(slice_sub(string, 1, string.size - 2), out);
}

/* An offset: not negative. */
static err_t parse_offset(struct slice text, int64_t *out)
{
    int64_t value = 0;
    if (!err_is_ok(number_parse_i64(text, &value)) || value < 0)
        return err_make(ERR_SYNTAX);
    *out = value;
    return err_ok();
}

/* A member of an object, looked for without a check of all of it. */
static err_t member_offset(struct slice object, const char *key, int64_t *out)
{
    for (struct cli_members m = {.rest = object}; cli_members_next(&m);)
        if (slice_equal_string(m.key, key))
            return parse_offset(m.value.raw, out);
    return err_make(ERR_SYNTAX);
}

/* Both ends, the wrong way round in no answer of ours: what is computed from them relies on it. */
static err_t read_ends(struct slice object, struct cli_consume_ends *out)
{
    TRY(member_offset(object, "start_offset", &out->start_offset));
    TRY(member_offset(object, "end_offset", &out->end_offset));
    return out->start_offset <= out->end_offset ? err_ok() : err_make(ERR_SYNTAX);
}

/* Partitions stand in their order, so that the place in the list is the number. */
static err_t read_partitions(struct slice list, struct cli_consume_topic *out)
{
    struct format_json_array walk;
    struct format_json_element element;
    TRY(format_json_array_begin(&walk, list, NULL));
    enum format_json_step step = format_json_array_next(&walk, NULL, DEPTH_MAX, NULL, &element);
    for (; step == FORMAT_JSON_ARRAY_ELEMENT;
         step = format_json_array_next(&walk, NULL, DEPTH_MAX, NULL, &element)) {
        uint32_t count = out->partition_count;
        int64_t number = 0;
        /* Grown by doubling: at each power of two. */
        if ((count & (count - 1)) == 0) {
            size_t capacity = count > 0 ? 2 * (size_t)count : 1;
            void *grown = mem_realloc(out->partitions, capacity, sizeof(*out->partitions));
            if (!grown)
                return err_make(ERR_MEMORY);
            out->partitions = grown;
        }
        TRY(member_offset(element.raw, "partition", &number));
        if (number != count || count == PARTITIONS_MAX)
            return err_make(ERR_SYNTAX);
        TRY(read_ends(element.raw, &out->partitions[count]));
        out->partition_count++;
    }
    return step == FORMAT_JSON_ARRAY_END ? err_ok() : err_make(ERR_SYNTAX);
}

err_t cli_consume_topic_read(struct slice document, struct cli_consume_topic *out)
{
    struct slice uuid;
    struct slice list;
    struct cli_consume_topic topic = {0};
    TRY(get(document, "uuid", FORMAT_JSON_STRING, &uuid));
    TRY(get(document, "partitions", FORMAT_JSON_ARRAY, &list));
    TRY(parse_uuid(uuid, &topic.uuid));
    err_t err = read_partitions(list, &topic);
    if (err_is_ok(err))
        *out = topic;
    else
        cli_consume_topic_done(&topic);
    return err;
}

void cli_consume_topic_done(struct cli_consume_topic *topic)
{
    mem_free(topic->partitions);
    *topic = (struct cli_consume_topic){0};
}

enum { OFFSET, VALUE, VALUE_BASE64, RECORD_PATHS };

static const char *const record_paths[RECORD_PATHS] = {
    [OFFSET] = "offset", [VALUE] = "value", [VALUE_BASE64] = "value_base64"};

/* A value that is no JSON is printed as its bytes are, line ends and all: a dead letter is of use
 * only as it came. */
static err_t print_record(const struct cli_consume_page *page, struct slice record,
                          const struct format_json_value *found, struct buf *out)
{
    if (page->json) {
        buf_add_slice(out, record);
    } else if (found[VALUE].kind != FORMAT_JSON_MISSING) {
        buf_add_slice(out, found[VALUE].raw);
    } else if (found[VALUE_BASE64].kind == FORMAT_JSON_STRING) {
        struct slice text = found[VALUE_BASE64].raw;
        TRY(base64_decode(slice_sub(text, 1, text.size - 2), out));
    } else {
        return err_make(ERR_SYNTAX);
    }
    buf_add_byte(out, '\n');
    return buf_error(out);
}

/* The records in turn, until there are no more or no more are wanted. */
static err_t print_records(struct cli_consume_page *page, struct slice list,
                           const struct format_json_paths *paths, struct buf *out)
{
    struct format_json_array walk;
    struct format_json_element element;
    struct format_json_value found[RECORD_PATHS];
    TRY(format_json_array_begin(&walk, list, NULL));
    enum format_json_step step = format_json_array_next(&walk, paths, DEPTH_MAX, found, &element);
    int64_t behind = 0;
    for (; step == FORMAT_JSON_ARRAY_ELEMENT;
         step = format_json_array_next(&walk, paths, DEPTH_MAX, found, &element)) {
        int64_t offset = 0;
        TRY(parse_offset(found[OFFSET].raw, &offset));
        /* Nothing may come twice, and the next offset has to be a number too. */
        if (offset < behind || offset == INT64_MAX)
            return err_make(ERR_SYNTAX);
        if (offset >= page->end_offset || page->record_count == page->record_max) {
            page->next_offset = offset;
            return err_ok();
        }
        TRY(print_record(page, element.raw, found, out));
        page->record_count++;
        behind = offset + 1;
    }
    if (step != FORMAT_JSON_ARRAY_END || behind > page->next_offset)
        return err_make(ERR_SYNTAX);
    return err_ok();
}

enum { PAGE_UUID, PAGE_NEXT, PAGE_RECORDS, PAGE_PATHS };

static const char *const page_paths[PAGE_PATHS] = {
    [PAGE_UUID] = "uuid", [PAGE_NEXT] = "next_offset", [PAGE_RECORDS] = "records"};

/* In one pass, since a page can be megabytes. */
static err_t find_parts(struct slice document, struct format_json_value found[static PAGE_PATHS])
{
    struct format_json_paths *paths = NULL;
    TRY(format_json_paths_new(page_paths, PAGE_PATHS, &paths, NULL));
    err_t err = format_json_check(document, paths, DEPTH_MAX, found, NULL);
    format_json_paths_free(&paths);
    TRY(err);
    bool good = found[PAGE_UUID].kind == FORMAT_JSON_STRING &&
                found[PAGE_NEXT].kind == FORMAT_JSON_NUMBER &&
                found[PAGE_RECORDS].kind == FORMAT_JSON_ARRAY;
    return good ? err_ok() : err_make(ERR_SYNTAX);
}

err_t cli_consume_page_print(struct slice document, struct cli_consume_page *page, struct buf *out)
{
    struct format_json_value found[PAGE_PATHS];
    struct format_json_paths *paths = NULL;
    struct uuid uuid;
    ASSERT(page->record_max > 0);
    page->record_count = 0;
    TRY(find_parts(document, found));
    TRY(parse_uuid(found[PAGE_UUID].raw, &uuid));
    if (!uuid_equal(&uuid, &page->uuid))
        return err_make(ERR_NOT_FOUND);
    TRY(parse_offset(found[PAGE_NEXT].raw, &page->next_offset));
    TRY(format_json_paths_new(record_paths, RECORD_PATHS, &paths, NULL));
    err_t err = print_records(page, found[PAGE_RECORDS].raw, paths, out);
    format_json_paths_free(&paths);
    return err;
}

err_t cli_consume_page_range(struct slice document, struct cli_consume_ends *out)
{
    struct cli_consume_ends ends;
    /* The walk over members takes for granted that it is JSON. */
    TRY(format_json_check(document, NULL, DEPTH_MAX, NULL, NULL));
    TRY(read_ends(document, &ends));
    *out = ends;
    return err_ok();
}
