/*
 * What the checker says of schemas and values, for the Python tests: one order a line on standard
 * input, one answer a line on standard output for each S and V.
 *
 *     D <tab> URI <tab> TEXT              a document that schemas may refer to, from here on
 *     S <tab> 2020-12|7 <tab> FORMATS <tab> TEXT    a schema; FORMATS is 1 where they are asserted
 *     V <tab> TEXT                        a value, checked against the last schema
 *
 * Values are checked by the plain half and the fast one, which has to refuse or leave open what the
 * plain one refuses. At the end, how many it took stands on standard error.
 *
 * Answers are "ok", or "error", a pointer and a message, with tabs between them.
 */

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "format/jsonschema/jsonschema.h"

#define DOCUMENTS_MAX 200

struct tool {
    struct format_jsonschema_document documents[DOCUMENTS_MAX];
    size_t document_count;
    struct format_jsonschema *schema;
    struct format_jsonschema_scratch *scratch;
    bool fits;      /* as the fast half said of the last value */
    unsigned taken; /* values that it found good */
};

static void add_document(struct tool *t, struct slice line)
{
    struct slice uri = slice_split(&line, '\t');
    if (t->document_count == DOCUMENTS_MAX)
        abort();
    t->documents[t->document_count++] =
        (struct format_jsonschema_document){slice_string(mem_string(uri.data, uri.size)),
                                            slice_string(mem_string(line.data, line.size))};
}

static void compile(struct tool *t, struct slice line)
{
    struct slice draft = slice_split(&line, '\t');
    struct slice formats = slice_split(&line, '\t');
    struct format_jsonschema_options options = {
        .draft = slice_equal_string(draft, "7") ? FORMAT_JSONSCHEMA_7 : FORMAT_JSONSCHEMA_2020_12,
        .assert_formats = slice_equal_string(formats, "1"),
        .documents = t->documents,
        .document_count = t->document_count};
    struct err_text why = {0};
    format_jsonschema_free(&t->schema);
    err_t err = format_jsonschema_compile(line, &options, &t->schema, &why);
    if (err_is_ok(err))
        printf("ok\n");
    else
        printf("error\t\t%s\n", err_detail(err, &why));
}

static void check(struct tool *t, struct slice value)
{
    struct format_jsonschema_error why;
    err_t err = err_make(ERR_INVALID);
    t->fits = t->schema && format_jsonschema_fits(t->schema, t->scratch, value, NULL, NULL);
    t->taken += t->fits;
    if (!t->schema)
        printf("error\t\tno schema\n");
    else if (err_is_ok(err = format_jsonschema_check_plainly(t->schema, t->scratch, value, &why)))
        printf("ok\n");
    else if (t->fits)
        printf("the fast pass takes what the plain check refuses: %s\n", why.message);
    else
        printf("error\t%s\t%s\n", why.path, why.message);
}

int main(void)
{
    static struct tool tool;
    char *line = NULL;
    size_t capacity = 0;
    ssize_t size;
    if (!err_is_ok(format_jsonschema_scratch_new(&tool.scratch)))
        return 1;
    while ((size = getline(&line, &capacity, stdin)) > 2) {
        struct slice rest = slice_make(line + 2, (size_t)size - 2);
        if (line[size - 1] == '\n')
            rest.size--;
        switch (line[0]) {
        case 'D': add_document(&tool, rest); break;
        case 'S': compile(&tool, rest); break;
        case 'V': check(&tool, rest); break;
        default: return 2;
        }
    }
    fprintf(stderr, "%u\n", tool.taken);
    free(line);
    return 0;
}
