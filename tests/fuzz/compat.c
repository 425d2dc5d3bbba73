/*
 * Two schemas, with a newline between them: comparing them either way ends in bounded time, says
 * the same twice, and tells each break as one line with a known code.
 */

#include "fuzz/fuzz.h"

#include <string.h>

#include "base/alloc.h"
#include "base/utf8.h"
#include "format/jsonschema/compat.h"

static void expect_lines(const struct format_jsonschema_breaks *breaks)
{
    FUZZ_EXPECT(breaks->count <= FORMAT_JSONSCHEMA_BREAKS_MAX);
    for (size_t i = 0; i < breaks->count; i++) {
        const struct format_jsonschema_break *item = &breaks->items[i];
        FUZZ_EXPECT(memchr(item->path, 0, sizeof(item->path)) && item->path[0] == '#');
        FUZZ_EXPECT(utf8_valid(slice_string(item->path)));
        for (const char *c = item->path; *c; c++)
            FUZZ_EXPECT((unsigned char)*c >= 0x20 && *c != 0x7F);
        FUZZ_EXPECT(format_jsonschema_break_name(item->code)[0] != '\0');
    }
}

static void compare(const struct format_jsonschema *a, const struct format_jsonschema *b,
                    struct format_jsonschema_breaks *breaks)
{
    FUZZ_EXPECT(err_is_ok(format_jsonschema_compat(a, b, breaks)));
    expect_lines(breaks);
    size_t count = breaks->count + breaks->omitted;
    FUZZ_EXPECT(err_is_ok(format_jsonschema_compat(a, b, breaks)));
    FUZZ_EXPECT(breaks->count + breaks->omitted == count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = slice_make(data, size);
    struct slice first = slice_split(&rest, '\n');
    struct slice second = slice_split(&rest, '\n');
    struct format_jsonschema_options options = {
        .draft = (size & 1) != 0 ? FORMAT_JSONSCHEMA_7 : FORMAT_JSONSCHEMA_2020_12,
        .assert_formats = (size & 2) != 0};
    struct format_jsonschema *a = NULL;
    struct format_jsonschema *b = NULL;
    struct err_text why = {0};
    struct format_jsonschema_breaks *breaks = mem_zalloc(1, sizeof(*breaks));
    FUZZ_EXPECT(breaks);
    if (err_is_ok(format_jsonschema_compile(first, &options, &a, &why)) &&
        err_is_ok(format_jsonschema_compile(second, &options, &b, &why))) {
        compare(a, b, breaks);
        compare(b, a, breaks);
    }
    format_jsonschema_free(&a);
    format_jsonschema_free(&b);
    mem_free(breaks);
    return 0;
}
