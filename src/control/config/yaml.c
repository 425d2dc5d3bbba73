#include "control/config/yaml.h"

#include <stdarg.h>

#include <yaml.h>

#include "base/assert.h"

#define TEXT_OF_(number) #number
#define TEXT_OF(number) TEXT_OF_(number)

/*
 * libyaml gives a stream of events; the last of `open` is the mapping or list that the next value
 * belongs to, and `key` its name once it was read. A key given twice is reported and reading goes
 * on; all else that is refused ends it, since what follows may only be a consequence.
 */
struct reader {
    yaml_parser_t parser;
    struct slice text;
    const char *file;
    struct arena *arena;
    struct control_report *report;
    struct control_config_node *root;
    /* What is open is a stack of fixed depth: brackets without end cost no memory of ours. */
    struct control_config_node *open[CONTROL_CONFIG_DEPTH_MAX];
    uint32_t depth;
    const char *key;
    yaml_mark_t key_mark;
    uint32_t node_count;
    bool done;
    bool refused;
};

static struct control_config_node *innermost(const struct reader *r)
{
    ASSERT(r->depth <= CONTROL_CONFIG_DEPTH_MAX);
    return r->depth > 0 ? r->open[r->depth - 1] : NULL;
}

/* Reports at `mark`, under the path of what is open there. */
static void complain(struct reader *r, yaml_mark_t mark, const char *text)
{
    char path[CONTROL_CONFIG_PATH_SIZE];
    struct control_place place = {.path = "(root)"};
    if (r->depth > 0)
        place = control_config_node_place(innermost(r), r->key, path);
    place.file = r->file;
    place.line = (uint32_t)mark.line + 1;
    place.column = (uint32_t)mark.column + 1;
    control_report_error(r->report, place, "%s", text);
}

/* Reports and ends reading. */
static void refuse(struct reader *r, yaml_mark_t mark, const char *text)
{
    complain(r, mark, text);
    r->done = true;
    r->refused = true;
}

static void no_memory(struct reader *r)
{
    control_report_no_memory(r->report);
    r->done = true;
}

/* Where byte `offset` of the text is: libyaml gives no more than that for bytes it cannot read. */
static yaml_mark_t mark_of_byte(struct slice text, size_t offset)
{
    yaml_mark_t mark = {0};
    for (size_t i = 0; i < offset && i < text.size; i++) {
        if (text.data[i] == '\n') {
            mark.line++;
            mark.column = 0;
        } else if ((text.data[i] & 0xc0) != 0x80) {
            mark.column++;
        }
    }
    return mark;
}

/* A reference without quotes in a flow mapping or list: to YAML its brace is one of its own. The
 * mark counts characters, so behind others than ASCII the hint may be missing. */
static bool is_reference(const struct reader *r, const yaml_mark_t *mark)
{
    size_t at = mark->index;
    return at > 0 && at < r->text.size && r->text.data[at] == '{' && r->text.data[at - 1] == '$';
}

/* libyaml's words are kept: they name the token, and people find them on the web. */
static void refuse_syntax(struct reader *r)
{
    const yaml_parser_t *p = &r->parser;
    if (p->error == YAML_MEMORY_ERROR) {
        no_memory(r);
        return;
    }
    bool unreadable = p->error == YAML_READER_ERROR;
    yaml_mark_t mark = unreadable ? mark_of_byte(r->text, p->problem_offset) : p->problem_mark;
    const char *hint = "";
    if (!unreadable && is_reference(r, &mark))
        hint = ", ${...} needs quotes here";
    char text[160];
    snprintf(text, sizeof(text), "expected YAML: %s%s", p->problem ? p->problem : "cannot be read",
             hint);
    refuse(r, mark, text);
}

/* Makes `node` a child of what is open, or the root. */
static void attach(struct reader *r, struct control_config_node *node)
{
    struct control_config_node *parent = innermost(r);
    if (!parent) {
        r->root = node;
        return;
    }
    ASSERT(parent->kind != CONTROL_CONFIG_SCALAR);
    /* YAML forbids it (1.2, section 3.2.1.3), libyaml lets it pass, and the loser of the two would
     * be obeyed by nobody. */
    if (r->key && control_config_node_get(parent, r->key))
        complain(r, r->key_mark, "expected each field once, this one is given twice");
    node->parent = parent;
    node->key = r->key;
    node->key_line = (uint32_t)r->key_mark.line + 1;
    node->key_column = (uint32_t)r->key_mark.column + 1;
    node->index = parent->count++;
    if (parent->last)
        parent->last->next = node;
    else
        parent->first = node;
    parent->last = node;
    r->key = NULL;
}

static struct control_config_node *add(struct reader *r, enum control_config_kind kind,
                                       yaml_mark_t mark)
{
    /* Bounds the memory of a file that is all brackets. */
    if (r->node_count == CONTROL_CONFIG_NODES_MAX) {
        refuse(r, mark, "expected at most " TEXT_OF(CONTROL_CONFIG_NODES_MAX) " values");
        return NULL;
    }
    r->node_count++;
    struct control_config_node *node = arena_alloc(r->arena, sizeof(*node));
    if (!node) {
        no_memory(r);
        return NULL;
    }
    node->kind = kind;
    node->file = r->file;
    node->line = (uint32_t)mark.line + 1;
    node->column = (uint32_t)mark.column + 1;
    attach(r, node);
    return node;
}

static bool key_is_due(const struct reader *r)
{
    const struct control_config_node *open = innermost(r);
    return open && open->kind == CONTROL_CONFIG_MAPPING && !r->key;
}

/* What no value of ours carries, whatever its kind: anchors make a large tree of a small file, tags
 * make types that no table knows. */
static bool refuse_extras(struct reader *r, const yaml_event_t *event, const yaml_char_t *anchor,
                          const yaml_char_t *tag)
{
    if (anchor)
        refuse(r, event->start_mark, "expected a plain value: anchors are not supported");
    else if (tag)
        refuse(r, event->start_mark, "expected a plain value: tags are not supported");
    return r->done;
}

static void on_scalar(struct reader *r, const yaml_event_t *event)
{
    struct slice value = slice_make(event->data.scalar.value, event->data.scalar.length);
    if (refuse_extras(r, event, event->data.scalar.anchor, event->data.scalar.tag))
        return;
    /* YAML's "\0" puts one into a quoted string; behind it C would see nothing. */
    if (slice_find(value, 0) < value.size) {
        refuse(r, event->start_mark, "expected text without a zero byte");
        return;
    }
    const char *text = arena_string(r->arena, value);
    if (!text) {
        no_memory(r);
        return;
    }
    if (key_is_due(r)) {
        r->key = text;
        r->key_mark = event->start_mark;
        return;
    }
    struct control_config_node *node = add(r, CONTROL_CONFIG_SCALAR, event->start_mark);
    if (!node)
        return;
    node->text = text;
    /* Only for null: "~" in quotes is text. Numbers and booleans are for the option's type to
     * judge, so that `version: 1.10` stays what was written. */
    node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
}

static void on_start(struct reader *r, const yaml_event_t *event)
{
    bool list = event->type == YAML_SEQUENCE_START_EVENT;
    const yaml_char_t *anchor =
        list ? event->data.sequence_start.anchor : event->data.mapping_start.anchor;
    const yaml_char_t *tag = list ? event->data.sequence_start.tag : event->data.mapping_start.tag;
    if (refuse_extras(r, event, anchor, tag))
        return;
    if (key_is_due(r)) {
        refuse(r, event->start_mark, "expected a name, got a list or a mapping");
        return;
    }
    if (r->depth == CONTROL_CONFIG_DEPTH_MAX) {
        refuse(r, event->start_mark,
               "expected at most " TEXT_OF(CONTROL_CONFIG_DEPTH_MAX) " levels");
        return;
    }
    struct control_config_node *node =
        add(r, list ? CONTROL_CONFIG_LIST : CONTROL_CONFIG_MAPPING, event->start_mark);
    if (node)
        r->open[r->depth++] = node;
}

static void on_end(struct reader *r)
{
    ASSERT(r->depth > 0 && !r->key);
    r->depth--;
}

static void on_event(struct reader *r, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_DOCUMENT_END_EVENT: break;
    case YAML_DOCUMENT_START_EVENT:
        if (r->root)
            refuse(r, event->start_mark, "expected one document, a second one begins here");
        break;
    case YAML_STREAM_END_EVENT: r->done = true; break;
    /* An alias is how ten lines become a gigabyte. */
    case YAML_ALIAS_EVENT:
        refuse(r, event->start_mark, "expected a plain value: aliases are not supported");
        break;
    case YAML_SCALAR_EVENT: on_scalar(r, event); break;
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT: on_start(r, event); break;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT: on_end(r); break;
    }
}

static void read_all(struct reader *r)
{
    /* Not guessed from the first bytes: all files of ours are UTF-8. */
    yaml_parser_set_encoding(&r->parser, YAML_UTF8_ENCODING);
    static const uint8_t nothing[] = ""; /* libyaml takes no NULL for an empty text */
    yaml_parser_set_input_string(&r->parser, r->text.data ? r->text.data : nothing, r->text.size);
    while (!r->done) {
        yaml_event_t event;
        if (!yaml_parser_parse(&r->parser, &event)) {
            refuse_syntax(r);
            return;
        }
        on_event(r, &event);
        yaml_event_delete(&event);
    }
}

struct control_config_node *control_config_yaml_parse(struct slice text, const char *file,
                                                      struct arena *arena,
                                                      struct control_report *report)
{
    ASSERT(text.size <= CONTROL_CONFIG_FILE_BYTES_MAX);
    struct reader r = {.text = text, .file = file, .arena = arena, .report = report};
    if (!yaml_parser_initialize(&r.parser)) {
        control_report_no_memory(report);
        return NULL;
    }
    read_all(&r);
    yaml_parser_delete(&r.parser);
    /* A tree that was not read to its end is not handed on: its missing half would be taken for
     * absent. */
    if (r.refused || report->memory_failed)
        return NULL;
    if (r.root && !control_config_node_is_null(r.root))
        return r.root;
    /* An empty file is a configuration of defaults. */
    r.root = NULL;
    return add(&r, CONTROL_CONFIG_MAPPING, (yaml_mark_t){0});
}
