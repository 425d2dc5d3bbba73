/*
 * A schema and a value, with a newline between them: whatever they are, compiling and checking end
 * in bounded time with a verdict, of the fast pass the same as of the plain one, the same for the
 * same value otherwise spaced, and what is said of a refusal is one line of UTF-8 within its room.
 */

#include "fuzz/fuzz.h"

#include <string.h>

#include "base/buf.h"
#include "base/utf8.h"
#include "format/jsonschema/jsonschema.h"

/* Few, so that complexity is met too. */
#define STEPS 20000

static bool is_line(const char *text)
{
    struct slice s = slice_string(text);
    for (size_t i = 0; i < s.size; i++)
        if (s.data[i] < 0x20 || s.data[i] == 0x7F)
            return false;
    return utf8_valid(s);
}

static err_t check(const struct format_jsonschema *schema,
                   struct format_jsonschema_scratch *scratch, struct slice record)
{
    struct format_jsonschema_error why;
    memset(&why, 0xFF, sizeof(why));
    err_t err = format_jsonschema_check(schema, scratch, record, &why);
    if (err_is_ok(err))
        return err;
    FUZZ_EXPECT(err_is(err, ERR_RECORD_REFUSED) || err_is(err, ERR_SYNTAX) ||
                err_is(err, ERR_TOO_DEEP) || err_is(err, ERR_TOO_LARGE));
    FUZZ_EXPECT(memchr(why.path, 0, sizeof(why.path)) && is_line(why.path));
    FUZZ_EXPECT(memchr(why.message, 0, sizeof(why.message)) && is_line(why.message));
    FUZZ_EXPECT(why.keyword && strstr(why.message, why.keyword));
    FUZZ_EXPECT(why.path[0] == '\0' || why.path[0] == '/');
    return err;
}

static void check_twice(const struct format_jsonschema *schema, struct slice record)
{
    struct format_jsonschema_scratch *scratch = NULL;
    struct buf spaced = {0};
    buf_add_string(&spaced, " \n");
    buf_add_slice(&spaced, record);
    buf_add_string(&spaced, "\t ");
    FUZZ_EXPECT(buf_ok(&spaced) && err_is_ok(format_jsonschema_scratch_new(&scratch)));
    err_t plain = format_jsonschema_check_plainly(schema, scratch, record, NULL);
    bool fits = format_jsonschema_fits(schema, scratch, record, NULL, NULL);
    /* The fast pass may do with less work; otherwise it takes nothing that the plain one refuses.
     */
    FUZZ_EXPECT(!fits || err_is_ok(plain) || err_is(plain, ERR_TOO_LARGE));
    err_t first = check(schema, scratch, record);
    FUZZ_EXPECT(fits ? err_is_ok(first) : first.code == plain.code);
    err_t second = check(schema, scratch, buf_slice(&spaced));
    FUZZ_EXPECT(first.code == second.code);
    format_jsonschema_scratch_free(&scratch);
    buf_done(&spaced);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice record = slice_make(data, size);
    struct slice text = slice_split(&record, '\n');
    struct format_jsonschema_options options = {
        .draft = (size & 1) != 0 ? FORMAT_JSONSCHEMA_7 : FORMAT_JSONSCHEMA_2020_12,
        .assert_formats = (size & 2) != 0,
        .steps = STEPS};
    struct format_jsonschema *schema = NULL;
    struct err_text why = {0};
    err_t err = format_jsonschema_compile(text, &options, &schema, &why);
    FUZZ_EXPECT(err_is_ok(err) == (schema != NULL));
    FUZZ_EXPECT(err_is_ok(err) || err_is(err, ERR_INVALID) || err_is(err, ERR_TOO_LARGE));
    FUZZ_EXPECT(is_line(why.text));
    if (schema)
        check_twice(schema, record);
    format_jsonschema_free(&schema);
    return 0;
}
