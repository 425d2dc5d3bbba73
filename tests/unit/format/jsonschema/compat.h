#pragma once

/* What the tests of compatibility share: two schemas, and the breaks between them. */

#include "format/jsonschema/compat.h"
#include "unit/format/jsonschema/schema.h"

/* "#/path CODE" of each break, with semicolons between. */
static inline void add_breaks(struct buf *out, const char *from, const char *to,
                              const struct format_jsonschema_options *options)
{
    struct format_jsonschema *a = schema_with(from, options);
    struct format_jsonschema *b = schema_with(to, options);
    struct format_jsonschema_breaks *breaks = mem_zalloc(1, sizeof(*breaks));
    assert_non_null(breaks);
    assert_true(err_is_ok(format_jsonschema_compat(a, b, breaks)));
    for (size_t i = 0; i < breaks->count; i++)
        buf_add_format(out, "%s%s %s", i > 0 ? "; " : "", breaks->items[i].path,
                       format_jsonschema_break_name(breaks->items[i].code));
    buf_add_byte(out, '\0');
    assert_true(buf_ok(out));
    mem_free(breaks);
    format_jsonschema_free(&a);
    format_jsonschema_free(&b);
}

static inline void expect_breaks_with(const char *from, const char *to, const char *expected,
                                      const struct format_jsonschema_options *options)
{
    struct buf text = {0};
    add_breaks(&text, from, to, options);
    if (strcmp((const char *)text.data, expected) != 0)
        fail_msg("%s -> %s: \"%s\"", from, to, (const char *)text.data);
    buf_done(&text);
}

static inline void expect_breaks(const char *from, const char *to, const char *expected)
{
    expect_breaks_with(from, to, expected, NULL);
}

/* The change is allowed, and the way back is not, for this reason. */
static inline void expect_widens(const char *from, const char *to, const char *back)
{
    expect_breaks(from, to, "");
    expect_breaks(to, from, back);
}
