/*
 * How fast the records of a file are checked against a schema, on one core: for schema_peers.py,
 * which does the same with other people's checkers.
 *
 *     schema_file SCHEMA NDJSON [SECONDS]      prints: MB/s, and how many of how many records pass
 */

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/buf.h"
#include "format/jsonschema/jsonschema.h"

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void read_file(const char *path, struct buf *out)
{
    FILE *file = fopen(path, "rb");
    char block[65536];
    size_t size;
    while (file && (size = fread(block, 1, sizeof block, file)) > 0)
        buf_add(out, block, size);
    if (!file || ferror(file) || !buf_ok(out)) {
        fprintf(stderr, "schema_file: cannot read %s\n", path);
        exit(1);
    }
    fclose(file);
}

struct run {
    const struct format_jsonschema *schema;
    struct format_jsonschema_scratch *scratch;
    size_t records;
    size_t passed;
};

static void check_all(struct run *run, struct slice lines)
{
    run->records = run->passed = 0;
    for (; lines.size > 0; run->records++) {
        struct slice line = slice_split(&lines, '\n');
        run->passed +=
            err_is_ok(format_jsonschema_check(run->schema, run->scratch, line, NULL)) ? 1 : 0;
    }
}

int main(int argc, char **argv)
{
    struct buf text = {0}, lines = {0};
    struct run run = {0};
    struct format_jsonschema *schema = NULL;
    struct err_text why = {0};
    if (argc < 3) {
        fprintf(stderr, "usage: %s SCHEMA NDJSON [SECONDS]\n", argv[0]);
        return 2;
    }
    read_file(argv[1], &text);
    read_file(argv[2], &lines);
    if (!err_is_ok(format_jsonschema_compile(buf_slice(&text), NULL, &schema, &why)) ||
        !err_is_ok(format_jsonschema_scratch_new(&run.scratch))) {
        fprintf(stderr, "schema_file: %s: %s\n", argv[1], why.text);
        return 1;
    }
    run.schema = schema;
    double seconds = argc > 3 ? strtod(argv[3], NULL) : 2;
    double begin = now_s(), best = 0;
    do {
        double start = now_s();
        check_all(&run, buf_slice(&lines));
        double rate = (double)lines.size / 1e6 / (now_s() - start);
        best = rate > best ? rate : best;
    } while (now_s() - begin < seconds);
    printf("%.1f %zu %zu\n", best, run.passed, run.records);
    format_jsonschema_scratch_free(&run.scratch);
    format_jsonschema_free(&schema);
    buf_done(&text);
    buf_done(&lines);
    return 0;
}
