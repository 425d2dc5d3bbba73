#include "format/json/member.h"

#include "base/base64.h"
#include "base/utf8.h"
#include "format/json/json.h"

/*
 * Nothing that is stored is trusted to be what it mostly is: a value goes into the line as it
 * stands only after a whole check, so that no record can break the line it is shown in, or forge
 * another one.
 */

/* Deeper values are shown in base64: whoever reads the line may have the same limit, and what it
 * stands in adds levels of its own. */
#define VALUE_DEPTH_MAX (FORMAT_JSON_DEPTH_MAX - 8)

/* The name, and all of a value that is not there or not `plain`. */
static void begin(struct buf *out, const char *name, struct slice bytes, bool plain)
{
    buf_add_format(out, plain || !bytes.data ? "\"%s\":" : "\"%s_base64\":\"", name);
    if (!bytes.data) {
        buf_add_string(out, "null");
    } else if (!plain) {
        buf_add_base64(out, bytes);
        buf_add_byte(out, '"');
    }
}

void format_json_add_text(struct buf *out, const char *name, struct slice text)
{
    bool plain = utf8_valid(text);
    begin(out, name, text, plain);
    if (plain && text.data)
        buf_add_json_string(out, text);
}

void format_json_add_value(struct buf *out, const char *name, struct slice value)
{
    bool json =
        value.data && err_is_ok(format_json_check(value, NULL, VALUE_DEPTH_MAX, NULL, NULL));
    begin(out, name, value, json);
    size_t start = out->size;
    if (json)
        buf_add_slice(out, value);
    /* Within a string JSON has no line ends, so each one is space between tokens. */
    for (size_t i = start; i < out->size; i++)
        if (out->data[i] == '\n' || out->data[i] == '\r')
            out->data[i] = ' ';
}
