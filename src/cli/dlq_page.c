/*
 * Documents are checked as a whole by the pass that finds their fields; lists are then walked in
 * what is known to be good. Fields that another version of the server does not send are missing,
 * and shown as "-" or 0.
 */

#include "cli/dlq_page.h"

#include "base/arena.h"
#include "base/assert.h"
#include "base/number.h"
#include "cli/table.h"
#include "format/json/array.h"

/* A letter's value may be as deep as a record. */
#define DEPTH_MAX FORMAT_JSON_DEPTH_MAX
#define VALUE_CHARACTERS 400u
#define DETAIL_CHARACTERS 300u
#define FIELDS_MAX 16u

static uint64_t number(const struct format_json_value *value)
{
    uint64_t parsed = 0;
    return value->kind == FORMAT_JSON_NUMBER && err_is_ok(number_parse_u64(value->raw, &parsed))
               ? parsed
               : 0;
}

/* Finds the fields of an object, checking all of it. */
static err_t find(struct slice object, const char *const *names, size_t count,
                  struct format_json_value *found)
{
    struct format_json_paths *paths = NULL;
    ASSERT(count <= FIELDS_MAX);
    TRY(format_json_paths_new(names, count, &paths, NULL));
    err_t err = format_json_check(object, paths, DEPTH_MAX, found, NULL);
    format_json_paths_free(&paths);
    return err_is(err, ERR_TOO_DEEP) ? err_make(ERR_SYNTAX) : err;
}

void cli_dlq_add_safe(struct buf *out, struct slice text, size_t max)
{
    size_t shown = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (shown++ == max) {
            buf_add_format(out, "... (%zu bytes)", text.size);
            return;
        }
        uint8_t byte = text.data[i];
        if (byte >= 0x20 && byte < 0x7f)
            buf_add_byte(out, byte);
        else
            buf_add_format(out, "\\x%02x", byte);
    }
    ASSERT(shown <= max);
}

/* A string's characters, or the raw text of anything else; "-" for nothing. */
static void add_value(struct buf *out, const struct format_json_value *value, size_t max)
{
    struct buf decoded = {0};
    ASSERT(max > 0);
    if (value->kind == FORMAT_JSON_STRING &&
        err_is_ok(format_json_string_decode(value->raw, &decoded)))
        cli_dlq_add_safe(out, buf_slice(&decoded), max);
    else if (value->raw.size > 0 && value->kind != FORMAT_JSON_NULL)
        cli_dlq_add_safe(out, value->raw, max);
    else
        buf_add_byte(out, '-');
    buf_done(&decoded);
}

enum { TOPIC, HELD, BYTES, OLDEST, REDRIVEN, PURGED, EXPIRED, BY_REASON, COMPLETE, ROW_FIELDS };

static const char *const row_fields[ROW_FIELDS] = {
    [TOPIC] = "topic",     [HELD] = "held",           [BYTES] = "bytes",
    [OLDEST] = "oldest",   [REDRIVEN] = "redriven",   [PURGED] = "purged",
    [EXPIRED] = "expired", [BY_REASON] = "by_reason", [COMPLETE] = "by_reason_complete",
};

/* "oversize 3 json 1", with a sign where there may be more. */
static void add_reasons(struct buf *out, const struct format_json_value found[static ROW_FIELDS])
{
    bool any = false;
    for (struct cli_members m = {.rest = found[BY_REASON].raw}; cli_members_next(&m); any = true) {
        buf_add_string(out, any ? " " : "");
        cli_dlq_add_safe(out, m.key, 32);
        buf_add_byte(out, ' ');
        cli_dlq_add_safe(out, m.value.raw, 20);
    }
    ASSERT(found[BY_REASON].raw.data || !any);
    if (found[COMPLETE].kind == FORMAT_JSON_FALSE)
        buf_add_string(out, " and more");
    else if (!any)
        buf_add_byte(out, '-');
}

/* The row as an object, since that is what a table is made of. */
static err_t add_row(struct cli_table *table, struct arena *arena,
                     const struct format_json_value found[static ROW_FIELDS])
{
    struct buf row = {0};
    if (found[TOPIC].kind != FORMAT_JSON_STRING)
        return err_make(ERR_SYNTAX);
    buf_add_string(&row, "{\"held\":");
    buf_add_u64(&row, number(&found[HELD]));
    buf_add_string(&row, ",\"size\":\"");
    buf_add_size(&row, number(&found[BYTES]));
    buf_add_string(&row, "\",\"oldest\":\"");
    add_value(&row, &found[OLDEST], 40);
    buf_add_string(&row, "\",\"redriven\":");
    buf_add_u64(&row, number(&found[REDRIVEN]));
    buf_add_string(&row, ",\"purged\":");
    buf_add_u64(&row, number(&found[PURGED]));
    buf_add_string(&row, ",\"expired\":");
    buf_add_u64(&row, number(&found[EXPIRED]));
    buf_add_string(&row, ",\"by reason\":\"");
    add_reasons(&row, found);
    buf_add_string(&row, "\"}");
    struct slice kept = buf_ok(&row) ? arena_slice(arena, buf_slice(&row)) : (struct slice){0};
    buf_done(&row);
    struct slice name = slice_sub(found[TOPIC].raw, 1, found[TOPIC].raw.size - 2);
    return err_make(kept.data && cli_table_add(table, name, kept) ? ERR_OK : ERR_MEMORY);
}

err_t cli_dlq_print_list(struct slice document, struct buf *out)
{
    struct format_json_value list = {0};
    struct format_json_array walk;
    struct format_json_element element;
    struct cli_table table = {0};
    struct arena arena = {0};
    TRY(format_json_get(document, "topics", &list));
    if (list.kind != FORMAT_JSON_ARRAY)
        return err_make(ERR_SYNTAX);
    TRY(format_json_array_begin(&walk, list.raw, NULL));
    err_t err = err_ok();
    while (err_is_ok(err) && format_json_array_next(&walk, NULL, DEPTH_MAX, NULL, &element) ==
                                 FORMAT_JSON_ARRAY_ELEMENT) {
        struct format_json_value found[ROW_FIELDS];
        err = find(element.raw, row_fields, ROW_FIELDS, found);
        if (err_is_ok(err))
            err = add_row(&table, &arena, found);
    }
    if (err_is_ok(err))
        cli_table_print(&table, "topic", out);
    cli_table_done(&table);
    arena_done(&arena);
    return err_is_ok(err) ? buf_error(out) : err;
}

enum {
    OFFSET,
    REASON,
    DETAIL,
    STAGE,
    SOURCE,
    ATTEMPTS,
    RECEIVED_AT,
    SIZE,
    PARTITION,
    KEY,
    KEY_BASE64,
    CONTRACT_KEY,
    HEADERS,
    VALUE,
    VALUE_BASE64,
    LETTER_FIELDS
};

static const char *const letter_fields[LETTER_FIELDS] = {
    [OFFSET] = "offset",
    [REASON] = "reason",
    [DETAIL] = "detail",
    [STAGE] = "stage",
    [SOURCE] = "source",
    [ATTEMPTS] = "attempts",
    [RECEIVED_AT] = "received_at",
    [SIZE] = "bytes",
    [PARTITION] = "partition",
    [KEY] = "key",
    [KEY_BASE64] = "key_base64",
    [CONTRACT_KEY] = "contract_key",
    [HEADERS] = "headers",
    [VALUE] = "value",
    [VALUE_BASE64] = "value_base64",
};

static void add_key(struct buf *out, const char *name, const struct format_json_value *key)
{
    ASSERT(name[0]);
    if (key->kind != FORMAT_JSON_STRING)
        return;
    buf_add_format(out, "\n  %s ", name);
    /* An empty key is not the same as none. */
    if (key->raw.size > 2)
        add_value(out, key, DETAIL_CHARACTERS);
    else
        buf_add_slice(out, key->raw);
}

/* As JSON writes them, in quotes: so a text is told from base64, and both from null. */
static err_t add_headers(struct buf *out, const struct format_json_value *headers)
{
    enum { KEY_TEXT, KEY_BYTES, VALUE_TEXT, VALUE_BYTES, HEADER_FIELDS };
    static const char *const names[HEADER_FIELDS] = {
        [KEY_TEXT] = "key",
        [KEY_BYTES] = "key_base64",
        [VALUE_TEXT] = "value",
        [VALUE_BYTES] = "value_base64",
    };
    struct format_json_array walk;
    struct format_json_element element;
    ASSERT(headers);
    if (headers->kind != FORMAT_JSON_ARRAY)
        return err_ok();
    TRY(format_json_array_begin(&walk, headers->raw, NULL));
    while (format_json_array_next(&walk, NULL, DEPTH_MAX, NULL, &element) ==
           FORMAT_JSON_ARRAY_ELEMENT) {
        struct format_json_value found[HEADER_FIELDS];
        TRY(find(element.raw, names, HEADER_FIELDS, found));
        buf_add_string(out, "\n  header");
        for (int text = KEY_TEXT; text <= VALUE_TEXT; text += VALUE_TEXT - KEY_TEXT) {
            bool readable = found[text + 1].kind != FORMAT_JSON_STRING;
            buf_add_string(out, readable ? " " : " base64 ");
            cli_dlq_add_safe(out, found[readable ? text : text + 1].raw, DETAIL_CHARACTERS);
        }
    }
    return err_ok();
}

static err_t print_letter(struct slice letter, struct buf *out)
{
    struct format_json_value found[LETTER_FIELDS];
    TRY(find(letter, letter_fields, LETTER_FIELDS, found));
    if (found[OFFSET].kind != FORMAT_JSON_NUMBER)
        return err_make(ERR_SYNTAX);
    buf_add_format(out, "offset %.*s  ", SLICE_PRINTF(found[OFFSET].raw));
    add_value(out, &found[REASON], 40);
    buf_add_string(out, "  ");
    add_value(out, &found[RECEIVED_AT], 40);
    buf_add_string(out, "  ");
    buf_add_size(out, number(&found[SIZE]));
    buf_add_string(out, "  stage ");
    add_value(out, &found[STAGE], 80);
    buf_add_string(out, "  source ");
    add_value(out, &found[SOURCE], 40);
    buf_add_format(out, "  attempts %llu", (unsigned long long)number(&found[ATTEMPTS]));
    if (found[PARTITION].kind == FORMAT_JSON_NUMBER)
        buf_add_format(out, "  partition %llu", (unsigned long long)number(&found[PARTITION]));
    buf_add_string(out, "\n  ");
    add_value(out, &found[DETAIL], DETAIL_CHARACTERS);
    add_key(out, "key", &found[KEY]);
    add_key(out, "key base64", &found[KEY_BASE64]);
    add_key(out, "contract key", &found[CONTRACT_KEY]);
    TRY(add_headers(out, &found[HEADERS]));
    bool readable = found[VALUE_BASE64].kind != FORMAT_JSON_STRING;
    buf_add_string(out, readable ? "\n  " : "\n  base64 ");
    add_value(out, &found[readable ? VALUE : VALUE_BASE64], VALUE_CHARACTERS);
    buf_add_byte(out, '\n');
    return buf_error(out);
}

err_t cli_dlq_print_letters(struct slice document, bool json, struct cli_dlq_page *page,
                            struct buf *out)
{
    enum { LETTERS, NEXT, WHOLE, PAGE_FIELDS };
    static const char *const names[PAGE_FIELDS] = {
        [LETTERS] = "letters", [NEXT] = "next_offset", [WHOLE] = "complete"};
    struct format_json_value found[PAGE_FIELDS];
    struct format_json_array walk;
    struct format_json_element element;
    TRY(find(document, names, PAGE_FIELDS, found));
    *page = (struct cli_dlq_page){.complete = found[WHOLE].kind == FORMAT_JSON_TRUE};
    if (found[LETTERS].kind != FORMAT_JSON_ARRAY ||
        !err_is_ok(number_parse_i64(found[NEXT].raw, &page->next_offset)))
        return err_make(ERR_SYNTAX);
    TRY(format_json_array_begin(&walk, found[LETTERS].raw, NULL));
    while (format_json_array_next(&walk, NULL, DEPTH_MAX, NULL, &element) ==
           FORMAT_JSON_ARRAY_ELEMENT) {
        page->count++;
        if (!json) {
            TRY(print_letter(element.raw, out));
            continue;
        }
        buf_add_slice(out, element.raw);
        buf_add_byte(out, '\n');
    }
    return buf_error(out);
}

enum {
    NUMBER,
    ACTION,
    DRY_RUN,
    PHASE,
    WHY,
    OFFSETS,
    PASSED,
    DONE,
    DONE_BYTES,
    SKIPPED_ATTEMPTS,
    SKIPPED_SINK,
    REFUSED,
    OUTCOMES,
    STATE_FIELDS
};

static const char *const state_fields[STATE_FIELDS] = {
    [NUMBER] = "number",
    [ACTION] = "action",
    [DRY_RUN] = "dry_run",
    [PHASE] = "phase",
    [WHY] = "why",
    [OFFSETS] = "offsets",
    [PASSED] = "offsets_passed",
    [DONE] = "done",
    [DONE_BYTES] = "bytes",
    [SKIPPED_ATTEMPTS] = "skipped_attempts",
    [SKIPPED_SINK] = "skipped_sink",
    [REFUSED] = "refused",
    [OUTCOMES] = "outcomes",
};

static bool is_text(const struct format_json_value *value, const char *text)
{
    ASSERT(value->raw.size >= 2 || value->kind != FORMAT_JSON_STRING);
    return value->kind == FORMAT_JSON_STRING &&
           slice_equal_string(slice_sub(value->raw, 1, value->raw.size - 2), text);
}

static bool begins_with(const struct format_json_value *value, const char *text)
{
    struct slice with = slice_string(text);
    ASSERT(value->raw.size >= 2);
    return slice_equal(slice_sub(value->raw, 1, with.size), with);
}

/* Nothing is left to do for these letters. */
static bool is_good(const struct format_json_value *name)
{
    return is_text(name, "accepted") || is_text(name, "duplicate") || begins_with(name, "sink:");
}

enum { NAME, COUNT, OUTCOME_FIELDS };

static const char *const outcome_fields[OUTCOME_FIELDS] = {[NAME] = "name", [COUNT] = "count"};

/* The outcomes one by one; false behind the last. */
static bool next_outcome(struct format_json_array *walk,
                         struct format_json_value found[static OUTCOME_FIELDS])
{
    struct format_json_element element;
    ASSERT(walk);
    return format_json_array_next(walk, NULL, DEPTH_MAX, NULL, &element) ==
               FORMAT_JSON_ARRAY_ELEMENT &&
           err_is_ok(find(element.raw, outcome_fields, OUTCOME_FIELDS, found)) &&
           found[NAME].kind == FORMAT_JSON_STRING;
}

err_t cli_dlq_read_state(struct slice document, struct cli_dlq_state *out)
{
    struct format_json_value found[STATE_FIELDS];
    struct format_json_value outcome[OUTCOME_FIELDS];
    struct format_json_array walk;
    TRY(find(document, state_fields, STATE_FIELDS, found));
    if (found[NUMBER].kind != FORMAT_JSON_NUMBER || found[PHASE].kind != FORMAT_JSON_STRING ||
        found[OUTCOMES].kind != FORMAT_JSON_ARRAY)
        return err_make(ERR_SYNTAX);
    *out = (struct cli_dlq_state){
        .number = number(&found[NUMBER]),
        .purge = is_text(&found[ACTION], "purge"),
        .dry_run = found[DRY_RUN].kind == FORMAT_JSON_TRUE,
        .waiting = is_text(&found[PHASE], "waiting"),
        .finished = is_text(&found[PHASE], "finished"),
        .offsets = number(&found[OFFSETS]),
        .offsets_passed = number(&found[PASSED]),
        .done = number(&found[DONE]),
        .bytes = number(&found[DONE_BYTES]),
        .skipped_attempts = number(&found[SKIPPED_ATTEMPTS]),
        .skipped_sink = number(&found[SKIPPED_SINK]),
        .refused = number(&found[REFUSED]),
        .why = found[WHY].kind == FORMAT_JSON_STRING ? found[WHY].raw : SLICE_LITERAL("\"\""),
        .outcomes = found[OUTCOMES].raw,
    };
    out->over = !out->waiting && !is_text(&found[PHASE], "running");
    TRY(format_json_array_begin(&walk, out->outcomes, NULL));
    while (next_outcome(&walk, outcome)) {
        if (is_good(&outcome[NAME]))
            out->accepted += number(&outcome[COUNT]);
    }
    return err_ok();
}

/* An outcome's name is for programs; a person reads behind it what is still to be done. */
static const char *what_it_means(const struct format_json_value *name, bool dry_run)
{
    ASSERT(name->kind == FORMAT_JSON_STRING);
    if (is_text(name, "unknown"))
        return " (settled or still held: the log or a sink failed meanwhile)";
    if (begins_with(name, "sink:"))
        return dry_run ? " (would be handed to it)" : " (delivered)";
    if (begins_with(name, "refused:"))
        return " (by that sink, once more: still held)";
    if (is_good(name))
        return "";
    return dry_run ? " (would be dead letters again)" : " (dead letters again)";
}

static void add_outcomes(const struct cli_dlq_state *state, struct buf *out)
{
    struct format_json_array walk;
    struct format_json_value found[OUTCOME_FIELDS];
    if (!err_is_ok(format_json_array_begin(&walk, state->outcomes, NULL)))
        return;
    while (next_outcome(&walk, found)) {
        ASSERT(found[NAME].raw.size >= 2);
        buf_add_format(out, "  %10llu ", (unsigned long long)number(&found[COUNT]));
        add_value(out, &found[NAME], 40);
        buf_add_string(out, what_it_means(&found[NAME], state->dry_run));
        buf_add_byte(out, '\n');
    }
}

void cli_dlq_print_state(const struct cli_dlq_state *state, const char *topic, struct buf *out)
{
    const char *verb = state->purge ? "purged" : "redriven";
    const char *would = state->purge ? "would be purged" : "would be redriven";
    struct format_json_value why = {state->why, FORMAT_JSON_STRING};
    ASSERT(topic[0]);
    buf_add_format(out, "%llu dead letters of %s %s (", (unsigned long long)state->done, topic,
                   state->dry_run ? would : verb);
    buf_add_size(out, state->bytes);
    buf_add_string(out, ")\n");
    if (!state->purge)
        add_outcomes(state, out);
    if (state->skipped_attempts > 0)
        buf_add_format(out,
                       "%llu skipped: tried too often already; mend the cause and raise "
                       "--max-attempts, or purge them\n",
                       (unsigned long long)state->skipped_attempts);
    if (state->skipped_sink > 0)
        buf_add_format(out,
                       "%llu skipped: of a sink that the configuration does not have, or without "
                       "word of which record they are; they stay held\n",
                       (unsigned long long)state->skipped_sink);
    if (state->over && !state->finished) {
        buf_add_string(out, "not finished");
        if (state->why.size > 2) {
            buf_add_string(out, ": ");
            add_value(out, &why, DETAIL_CHARACTERS);
        }
        buf_add_string(out, "; the same command goes on with what is left\n");
    }
}
