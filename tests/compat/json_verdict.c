/*
 * What garner's JSON check says of files, a line each: the file, a tab, and `ok` or the reason.
 *
 *     json_verdict FILE...
 */

#include <stdio.h>

#include "base/buf.h"
#include "format/json/json.h"

static bool read_file(const char *path, struct buf *out)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return false;
    uint8_t block[4096];
    size_t size;
    while ((size = fread(block, 1, sizeof(block), file)) > 0)
        buf_add(out, block, size);
    bool good = !ferror(file) && buf_ok(out);
    fclose(file);
    return good;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        struct buf text = {0};
        struct format_json_error why = {0};
        struct err_text detail = {0};
        if (!read_file(argv[i], &text)) {
            fprintf(stderr, "json_verdict: cannot read %s\n", argv[i]);
            return 1;
        }
        err_t err = format_json_check(buf_slice(&text), NULL, FORMAT_JSON_DEPTH_MAX, NULL, &why);
        if (!err_is_ok(err))
            err = format_json_explain(err, &why, &detail);
        printf("%s\t%s\n", argv[i], err_detail(err, &detail));
        buf_done(&text);
    }
    return 0;
}
