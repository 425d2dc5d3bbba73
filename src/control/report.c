#include "control/report.h"

#include <stdarg.h>

#include "base/assert.h"

/*
 * What is wrong with a configuration, gathered: reading goes on behind a mistake, so that one run
 * shows all of them and not the first. A report holds CONTROL_REPORT_MAX messages; the rest is
 * counted, since behind a hundred mistakes nobody reads the next.
 *
 * Failure: memory that runs out is kept as such and outranks every message, because a report that
 * lost some must not pass for one that is whole.
 */

void control_report_init(struct control_report *report)
{
    *report = (struct control_report){0};
    arena_init(&report->arena, 0);
}

void control_report_done(struct control_report *report)
{
    arena_done(&report->arena);
    *report = (struct control_report){0};
}

void control_report_no_memory(struct control_report *report)
{
    report->memory_failed = true;
}

/* A value of the operator's goes into the text as it stands; what would break the line or reach
 * for the terminal does not. */
static char *arena_line(struct arena *arena, const char *text)
{
    char *line = arena_string(arena, slice_string(text));
    for (char *c = line; c && *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    return line;
}

/* Messages of two files keep the order in which the files were read. */
static bool is_before(const struct control_place *a, const struct control_place *b)
{
    if (strcmp(a->file, b->file) != 0)
        return false;
    return a->line != b->line ? a->line < b->line : a->column < b->column;
}

/* Messages of one file stand in its order, whatever was checked first. */
static void insert(struct control_messages *messages, struct control_message message)
{
    size_t at = messages->count++;
    for (; at > 0 && is_before(&message.place, &messages->items[at - 1].place); at--)
        messages->items[at] = messages->items[at - 1];
    messages->items[at] = message;
}

static void add(struct control_report *report, struct control_messages *messages,
                struct control_place place, const char *text, va_list arguments)
    __attribute__((format(printf, 4, 0)));

static void add(struct control_report *report, struct control_messages *messages,
                struct control_place place, const char *text, va_list arguments)
{
    ASSERT(messages->count <= CONTROL_REPORT_MAX);
    /* Every message has a place: editors jump by it, and the manual promises file:line:column. */
    ASSERT(place.file && place.path && place.line > 0 && place.column > 0);
    if (messages->count == CONTROL_REPORT_MAX) {
        messages->omitted++;
        return;
    }
    char line[ERR_TEXT_SIZE * 2];
    vsnprintf(line, sizeof(line), text, arguments);
    /* Copied: the place may point into a buffer of the caller's, and the report outlives the text
     * that was read. */
    place.file = arena_line(&report->arena, place.file);
    place.path = arena_line(&report->arena, place.path);
    const char *copy = arena_line(&report->arena, line);
    if (!place.file || !place.path || !copy) {
        report->memory_failed = true;
        return;
    }
    insert(messages, (struct control_message){place, copy});
}

void control_report_error(struct control_report *report, struct control_place place,
                          const char *text, ...)
{
    va_list arguments;
    va_start(arguments, text);
    add(report, &report->errors, place, text, arguments);
    va_end(arguments);
}

void control_report_note(struct control_report *report, struct control_place place,
                         const char *text, ...)
{
    va_list arguments;
    va_start(arguments, text);
    add(report, &report->notes, place, text, arguments);
    va_end(arguments);
}

/* The ones left out count too: a caller that compares before and after must see them. */
size_t control_report_errors(const struct control_report *report)
{
    return report->errors.count + report->errors.omitted;
}

err_t control_report_verdict(const struct control_report *report)
{
    if (report->memory_failed)
        return err_make(ERR_MEMORY);
    return report->errors.count > 0 ? err_make(ERR_CONFIG) : err_ok();
}

void control_report_print(struct buf *out, const struct control_message *message)
{
    const struct control_place *place = &message->place;
    buf_add_string(out, place->file);
    buf_add_byte(out, ':');
    buf_add_u64(out, place->line);
    buf_add_byte(out, ':');
    buf_add_u64(out, place->column);
    buf_add_string(out, ": ");
    buf_add_string(out, place->path);
    buf_add_string(out, ": ");
    buf_add_string(out, message->text);
}
