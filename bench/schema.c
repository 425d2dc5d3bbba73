/*
 * How fast a record is held against a schema: events of about 500 bytes, on one core. For each
 * schema the bare JSON pass, which is the bound, the pass with the schema in it, and the plain
 * check over a tree, all in one run, in CPU time. `event` and `wide` have 40 properties, which is
 * what the floor of 800 MB/s is about: events that have half of them, with ids, times and a text,
 * and events that have all, of 12 bytes each.
 *
 * The clock is what a chain of additions makes of the processor: on a machine that others use too
 * it says what a figure is worth.
 *
 *     schema [megabytes]
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "format/jsonschema/jsonschema.h"

#define ROUNDS 5
#define FLOOR 800.0

struct run {
    struct format_jsonschema *schema;
    struct format_jsonschema_scratch *scratch;
    struct buf lines;
    size_t count;
};

static uint32_t draw(uint64_t *seed, uint32_t below)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((*seed >> 33) % below);
}

/* Few fields, most of the bytes in one text. */
static void add_small(struct buf *out, uint64_t *seed)
{
    buf_add_format(out, "{\"event_id\":\"%08x-%08x\",\"type\":\"%s\",\"distance\":%u,\"remark\":\"",
                   draw(seed, UINT32_MAX), draw(seed, UINT32_MAX),
                   draw(seed, 2) ? "click" : "page_view", draw(seed, 9000));
    for (int i = 0; i < 410; i++)
        buf_add_byte(out, (uint8_t)('a' + draw(seed, 26)));
    buf_add_string(out, "\"}\n");
}

static const char small_schema[] =
    "{\"type\":\"object\",\"required\":[\"event_id\",\"type\",\"distance\"],"
    "\"additionalProperties\":false,\"properties\":{"
    "\"event_id\":{\"type\":\"string\",\"minLength\":8,\"maxLength\":64},"
    "\"type\":{\"enum\":[\"click\",\"page_view\"]},"
    "\"distance\":{\"type\":\"integer\",\"minimum\":0},\"remark\":{\"type\":\"string\"}}}";

/* One of the forty fields of an event, by its kind. */
static void add_field(struct buf *out, uint64_t *seed, uint32_t i)
{
    switch (i % 8) {
    case 0:
        buf_add_format(out, "\"id_%u\":\"%08x-%04x-4%03x-a%03x-%012x\"", i, draw(seed, UINT32_MAX),
                       draw(seed, 65536), draw(seed, 4096), draw(seed, 4096),
                       draw(seed, UINT32_MAX));
        break;
    case 1:
        buf_add_format(out, "\"time_%u\":\"2026-%02u-%02uT%02u:%02u:%02u.%03uZ\"", i,
                       1 + draw(seed, 12), 1 + draw(seed, 28), draw(seed, 24), draw(seed, 60),
                       draw(seed, 60), draw(seed, 1000));
        break;
    case 2: buf_add_format(out, "\"count_%u\":%u", i, draw(seed, 20000)); break;
    case 3: buf_add_format(out, "\"state_%u\":\"%s\"", i, draw(seed, 2) ? "open" : "closed"); break;
    case 4: buf_add_format(out, "\"price_%u\":%u.%02u", i, draw(seed, 500), draw(seed, 100)); break;
    case 5: buf_add_format(out, "\"flag_%u\":%s", i, draw(seed, 2) ? "true" : "false"); break;
    case 6:
        buf_add_format(out, "\"name_%u\":\"%.*s\"", i, (int)(3 + draw(seed, 20)),
                       "Jacaranda Mimosifolia D. Don");
        break;
    default: buf_add_format(out, "\"ref_%u\":\"%08x\"", i, draw(seed, UINT32_MAX)); break;
    }
}

/* The first eight are always there, the others two times of five. */
static void add_event(struct buf *out, uint64_t *seed)
{
    for (uint32_t i = 0; i < 40; i++) {
        if (i >= 8 && draw(seed, 5) > 1)
            continue;
        buf_add_byte(out, i ? ',' : '{');
        add_field(out, seed, i);
    }
    buf_add_string(out, "}\n");
}

static void event_schema(struct buf *out)
{
    static const char *const kinds[][2] = {
        {"id", "{\"type\":\"string\",\"format\":\"uuid\"}"},
        {"time", "{\"type\":\"string\",\"format\":\"date-time\"}"},
        {"count", "{\"type\":\"integer\",\"minimum\":0,\"maximum\":100000}"},
        {"state", "{\"enum\":[\"open\",\"paid\",\"sent\",\"closed\"]}"},
        {"price", "{\"type\":\"number\",\"minimum\":0,\"exclusiveMaximum\":1000}"},
        {"flag", "{\"type\":\"boolean\"}"},
        {"name", "{\"type\":\"string\",\"minLength\":1,\"maxLength\":64}"},
        {"ref", "{\"type\":[\"string\",\"null\"],\"maxLength\":16}"}};
    buf_add_string(out, "{\"type\":\"object\",\"additionalProperties\":false,\"required\":[");
    for (uint32_t i = 0; i < 8; i++)
        buf_add_format(out, "%s\"%s_%u\"", i ? "," : "", kinds[i][0], i);
    buf_add_string(out, "],\"properties\":{");
    for (uint32_t i = 0; i < 40; i++)
        buf_add_format(out, "%s\"%s_%u\":%s", i ? "," : "", kinds[i % 8][0], i, kinds[i % 8][1]);
    buf_add_string(out, "}}");
}

/* Forty fields with short values. */
static void add_wide(struct buf *out, uint64_t *seed)
{
    buf_add_string(out, "{");
    for (uint32_t i = 0; i < 40; i++) {
        buf_add_format(out, "%s\"%s%02u\":", i ? "," : "", i % 4 ? "f" : "n", i);
        switch (i % 4) {
        case 0: buf_add_format(out, "%u", draw(seed, 100000)); break;
        case 1: buf_add_format(out, "\"%04x\"", draw(seed, 65536)); break;
        case 2: buf_add_string(out, draw(seed, 2) ? "true" : "false"); break;
        default: buf_add_format(out, "\"%s\"", draw(seed, 2) ? "EUR" : "USD"); break;
        }
    }
    buf_add_string(out, "}\n");
}

static void wide_schema(struct buf *out)
{
    buf_add_string(out, "{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"n00\","
                        "\"f01\",\"f02\",\"f03\"],\"properties\":{");
    for (uint32_t i = 0; i < 40; i++) {
        static const char *const kinds[] = {
            "{\"type\":\"integer\",\"minimum\":0,\"maximum\":1000000}",
            "{\"type\":\"string\",\"maxLength\":16}", "{\"type\":\"boolean\"}",
            "{\"enum\":[\"EUR\",\"USD\",\"BRL\"]}"};
        buf_add_format(out, "%s\"%s%02u\":%s", i ? "," : "", i % 4 ? "f" : "n", i, kinds[i % 4]);
    }
    buf_add_string(out, "}}");
}

/* Objects in objects and arrays of objects. */
static void add_nested(struct buf *out, uint64_t *seed)
{
    buf_add_format(out,
                   "{\"order\":{\"id\":%u,\"customer\":{\"name\":\"%08x\",\"address\":{"
                   "\"city\":\"Lisbon\",\"zip\":\"%05u\",\"geo\":[%u.5,-%u.25]}},\"lines\":[",
                   draw(seed, 1000000), draw(seed, UINT32_MAX), draw(seed, 99999), draw(seed, 90),
                   draw(seed, 180));
    for (int i = 0; i < 6; i++)
        buf_add_format(out, "%s{\"sku\":\"%06x\",\"quantity\":%u,\"price\":%u.%02u}", i ? "," : "",
                       draw(seed, 1 << 24), 1 + draw(seed, 9), draw(seed, 100), draw(seed, 100));
    buf_add_string(out, "]}}\n");
}

static const char nested_schema[] =
    "{\"type\":\"object\",\"required\":[\"order\"],\"properties\":{\"order\":{\"type\":\"object\","
    "\"required\":[\"id\",\"lines\"],\"properties\":{\"id\":{\"type\":\"integer\"},"
    "\"customer\":{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\"},"
    "\"address\":{\"type\":\"object\",\"properties\":{\"city\":{\"type\":\"string\"},"
    "\"zip\":{\"type\":\"string\",\"minLength\":5,\"maxLength\":5},\"geo\":{\"type\":\"array\","
    "\"prefixItems\":[{\"type\":\"number\"},{\"type\":\"number\"}],\"items\":false}}}}},"
    "\"lines\":{\"type\":\"array\",\"maxItems\":100,\"items\":{\"$ref\":\"#/$defs/line\"}}}}},"
    "\"$defs\":{\"line\":{\"type\":\"object\",\"required\":[\"sku\",\"quantity\"],\"properties\":{"
    "\"sku\":{\"type\":\"string\"},\"quantity\":{\"type\":\"integer\",\"minimum\":1},"
    "\"price\":{\"type\":\"number\"}},\"additionalProperties\":false}}}";

/* The same records, with a branch at every step. */
static const char any_of_schema[] =
    "{\"type\":\"object\",\"properties\":{\"order\":{\"type\":\"object\",\"properties\":{"
    "\"id\":{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"integer\"}]},"
    "\"customer\":{\"anyOf\":[{\"type\":\"null\"},{\"type\":\"object\",\"required\":[\"name\"],"
    "\"properties\":{\"address\":{\"anyOf\":[{\"type\":\"null\"},{\"type\":\"object\"}]}}}]},"
    "\"lines\":{\"type\":\"array\",\"items\":{\"oneOf\":[{\"required\":[\"gift\"]},"
    "{\"required\":[\"sku\",\"quantity\"],\"properties\":{\"quantity\":{\"anyOf\":["
    "{\"type\":\"integer\"},{\"type\":\"null\"}]}}}]}}}}}}";

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

typedef bool check_fn(struct run *r, struct slice line);

static bool bare(struct run *r, struct slice line)
{
    (void)r;
    return err_is_ok(format_json_check(line, NULL, FORMAT_JSON_DEPTH_MAX, NULL, NULL));
}

static bool in_the_pass(struct run *r, struct slice line)
{
    return format_jsonschema_fits(r->schema, r->scratch, line, NULL, NULL);
}

static bool plainly(struct run *r, struct slice line)
{
    return err_is_ok(format_jsonschema_check_plainly(r->schema, r->scratch, line, NULL));
}

/* Additions a nanosecond, each waiting for the one before. */
static double clock_ghz(void)
{
    uint64_t sum = 0;
    double start = now_s();
    for (uint32_t i = 0; i < 100000000; i++)
        __asm__ volatile("add $1, %0" : "+r"(sum));
    return (double)sum / 1e9 / (now_s() - start);
}

/* The best of some rounds, in MB (10^6 bytes) a second, over a part of the lines. */
static double measure(struct run *r, check_fn *check, size_t part)
{
    double best = 0;
    for (int i = 0; i < ROUNDS; i++) {
        struct slice lines = slice_sub(buf_slice(&r->lines), 0, r->lines.size / part);
        size_t size = lines.size;
        double start = now_s();
        while (lines.size > 0) {
            struct slice line = slice_split(&lines, '\n');
            if (lines.size > 0 && !check(r, line)) {
                fprintf(stderr, "schema: a record was not taken: %.*s\n", SLICE_PRINTF(line));
                exit(1);
            }
        }
        double rate = (double)size / 1e6 / (now_s() - start);
        best = rate > best ? rate : best;
    }
    return best;
}

static void run(const char *name, void (*add)(struct buf *, uint64_t *), struct slice schema,
                size_t size, double floor)
{
    const struct format_jsonschema_options options = {.assert_formats = true};
    struct run r = {0};
    uint64_t seed = 20260301;
    struct err_text why = {0};
    while (r.lines.size < size && buf_ok(&r.lines)) {
        add(&r.lines, &seed);
        r.count++;
    }
    if (!buf_ok(&r.lines) || !err_is_ok(format_jsonschema_scratch_new(&r.scratch)) ||
        !err_is_ok(format_jsonschema_compile(schema, &options, &r.schema, &why))) {
        fprintf(stderr, "schema: %s\n", why.text);
        exit(1);
    }
    double bound = measure(&r, bare, 1);
    double fast = measure(&r, in_the_pass, 1);
    double plain = measure(&r, plainly, 8);
    printf("schema: %-8s %4zu bytes: bare pass %5.0f MB/s, with the schema %5.0f (%.2f of it), "
           "plain check %4.0f",
           name, r.lines.size / r.count, bound, fast, fast / bound, plain);
    if (floor > 0)
        printf(", %.2f of the floor: %s", fast / floor, fast >= floor ? "holds" : "missed");
    printf(" (%.1f GHz)\n", clock_ghz());
    format_jsonschema_free(&r.schema);
    format_jsonschema_scratch_free(&r.scratch);
    buf_done(&r.lines);
}

int main(int argc, char **argv)
{
    size_t size = (size_t)(argc > 1 ? strtoul(argv[1], NULL, 10) : 100) * 1000000;
    struct buf event = {0}, wide = {0};
    event_schema(&event);
    wide_schema(&wide);
    run("event", add_event, buf_slice(&event), size, FLOOR);
    run("wide", add_wide, buf_slice(&wide), size, FLOOR);
    run("small", add_small, slice_string(small_schema), size, 0);
    run("nested", add_nested, slice_string(nested_schema), size, 0);
    run("anyOf", add_nested, slice_string(any_of_schema), size, 0);
    buf_done(&event);
    buf_done(&wide);
    return 0;
}
