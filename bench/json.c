/*
 * How fast JSON is checked: 200 MB of events of about 513 bytes, made from a fixed seed, on one
 * core. Beside it, in the same run, what the machine could do at best (touching each byte once
 * with memchr, copying all with memcpy) and, where it was there at build time, yajl.
 *
 *     json [megabytes]
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "format/json/json.h"

#ifdef BENCH_YAJL
#include <yajl/yajl_parse.h>
#endif

#define ROUNDS 5

struct events {
    struct buf bytes; /* a line each */
    size_t count;
};

static uint32_t draw(uint64_t *seed, uint32_t below)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((*seed >> 33) % below);
}

static const char *pick(uint64_t *seed, const char *const *words, uint32_t count)
{
    return words[draw(seed, count)];
}

#define PICK(seed, ...)                                                                            \
    pick(seed, (const char *const[]){__VA_ARGS__},                                                 \
         (uint32_t)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)))

static void add_tags(struct buf *out, uint64_t *seed)
{
    uint32_t count = draw(seed, 4);
    buf_add_string(out, "\"tags\":[");
    for (uint32_t i = 0; i < count; i++)
        buf_add_format(out, "%s\"%s\"", i ? "," : "",
                       PICK(seed, "mobile", "beta", "returning", "eu-west", "campaign"));
    buf_add_string(out, "],");
}

/* Identifiers, numbers of all kinds, literals, an address two levels deep, text with escapes and
 * with letters outside ASCII: what clickstreams and order systems send. */
static void add_event(struct buf *out, uint64_t *seed, uint64_t index)
{
    uint32_t hour = draw(seed, 24), minute = draw(seed, 60);
    buf_add_format(out, "{\"event_id\":\"%08x-%04x-4%03x-%08x\",\"type\":\"%s\",",
                   draw(seed, UINT32_MAX), draw(seed, 65536), draw(seed, 4096),
                   draw(seed, UINT32_MAX), PICK(seed, "order.created", "page_view", "click"));
    buf_add_format(out, "\"occurred_at\":\"2026-03-%02uT%02u:%02u:%02u.%03uZ\",\"sequence\":%lu,",
                   1 + draw(seed, 28), hour, minute, draw(seed, 60), draw(seed, 1000),
                   (unsigned long)index);
    buf_add_format(out,
                   "\"source\":\"shop-web\",\"customer\":{\"id\":%u,\"name\":\"%s\",\"vip\":%s,"
                   "\"score\":%u.%u,",
                   draw(seed, 5000000), PICK(seed, "Jürgen Müller", "Ana Souza", "李小龙", "Bob"),
                   PICK(seed, "true", "false"), draw(seed, 100), draw(seed, 1000));
    buf_add_format(out,
                   "\"address\":{\"street\":\"%u %s\",\"city\":\"%s\",\"zip\":\"%05u\","
                   "\"geo\":[%d.%06u,-%u.%06u]}},",
                   1 + draw(seed, 400),
                   PICK(seed, "Main Street", "Rue de la Paix", "Fifth Avenue, North"),
                   PICK(seed, "Lisbon", "Z\u00fcrich", "New York", "Osaka"), draw(seed, 99999),
                   (int)draw(seed, 90), draw(seed, 1000000), draw(seed, 180), draw(seed, 1000000));
    add_tags(out, seed);
    buf_add_format(out, "\"amount\":%u.%02u,\"currency\":\"%s\",\"quantity\":%u,\"discount\":%s,",
                   draw(seed, 2000), draw(seed, 100), PICK(seed, "EUR", "USD", "BRL"),
                   1 + draw(seed, 9), PICK(seed, "null", "0.05", "null", "1e-1"));
    buf_add_format(out, "\"note\":\"%s\",\"user_agent\":\"%s\"}\n",
                   PICK(seed, "said \\\"call me\\\" before noon", "first line\\nsecond line", "",
                        "path C:\\\\data\\\\in, kept"),
                   PICK(seed, "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/122.0",
                        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_3 like Mac OS X) Safari/604.1"));
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Each returns how many lines it took. */
typedef size_t pass_fn(struct slice lines, void *arg);

static size_t pass_memchr(struct slice lines, void *arg)
{
    (void)arg;
    size_t count = 0;
    for (; lines.size > 0; count++)
        (void)slice_split(&lines, '\n');
    return count;
}

static size_t pass_memcpy(struct slice lines, void *arg)
{
    size_t count = 0;
    struct slice line;
    for (; lines.size > 0; count++) {
        line = slice_split(&lines, '\n');
        memcpy(arg, line.data, line.size);
        __asm__ volatile("" : : "r"(arg) : "memory");
    }
    return count;
}

static size_t pass_check(struct slice lines, void *arg)
{
    struct format_json_value found[3];
    size_t count = 0;
    while (lines.size > 0) {
        struct slice line = slice_split(&lines, '\n');
        count += err_is_ok(
            format_json_check(line, arg, FORMAT_JSON_DEPTH_MAX, arg ? found : NULL, NULL));
    }
    return count;
}

#ifdef BENCH_YAJL
static size_t pass_yajl(struct slice lines, void *arg)
{
    static const yajl_callbacks none;
    (void)arg;
    size_t count = 0;
    while (lines.size > 0) {
        struct slice line = slice_split(&lines, '\n');
        yajl_handle h = yajl_alloc(&none, NULL, NULL);
        count += yajl_parse(h, line.data, line.size) == yajl_status_ok &&
                 yajl_complete_parse(h) == yajl_status_ok;
        yajl_free(h);
    }
    return count;
}
#endif

/* The best of some rounds, in MB (10^6 bytes) a second. */
static double measure(const struct events *e, const char *name, pass_fn *pass, void *arg)
{
    double best = 0;
    for (int i = 0; i < ROUNDS; i++) {
        double start = now_s();
        if (pass(buf_slice(&e->bytes), arg) != e->count) {
            fprintf(stderr, "%s: not all events were taken\n", name);
            exit(1);
        }
        double rate = (double)e->bytes.size / 1e6 / (now_s() - start);
        best = rate > best ? rate : best;
    }
    printf("json: %-22s %7.0f MB/s\n", name, best);
    return best;
}

int main(int argc, char **argv)
{
    size_t size = (size_t)(argc > 1 ? strtoul(argv[1], NULL, 10) : 200) * 1000000;
    struct events e = {0};
    uint64_t seed = 20260301;
    do {
        add_event(&e.bytes, &seed, e.count++);
    } while (e.bytes.size < size && buf_ok(&e.bytes));
    static const char *const texts[] = {"event_id", "occurred_at", "customer.id"};
    struct format_json_paths *paths;
    struct err_text why = {0};
    if (!buf_ok(&e.bytes) || !err_is_ok(format_json_paths_new(texts, 3, &paths, &why))) {
        fprintf(stderr, "json: no memory\n");
        return 1;
    }
    printf("json: %zu events of %zu bytes\n", e.count, e.bytes.size / e.count);
    char scratch[4096];
    double bound = measure(&e, "memchr (bound)", pass_memchr, NULL);
    measure(&e, "memcpy (bound)", pass_memcpy, scratch);
    double plain = measure(&e, "check", pass_check, NULL);
    double found = measure(&e, "check, 3 paths", pass_check, paths);
#ifdef BENCH_YAJL
    double peer = measure(&e, "yajl", pass_yajl, NULL);
    printf("json: check is %.1f times yajl\n", plain / peer);
#endif
    printf("json: check with 3 paths is %.2f of the memchr bound, %.2f of check\n", found / bound,
           found / plain);
    format_json_paths_free(&paths);
    buf_done(&e.bytes);
    return 0;
}
