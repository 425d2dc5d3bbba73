#include "cli/gen_fetch.h"

#include "base/assert.h"
#include "cli/door.h"
#include "cli/tap.h"
#include "io/uv/uv.h"

/* The time is that from the first fetch to the last answer: how long it takes to connect, and to
 * learn where the topic ends, is no part of it. */

struct fetching {
    struct io_loop *loop;
    bool ended;
    err_t error;
    struct err_text why;
};

static void on_ready(void *owner)
{
    (void)owner;
}

static void on_batch(void *owner, const struct flow_batch *batch)
{
    (void)owner;
    (void)batch;
}

static void on_ended(void *owner, err_t err, const struct err_text *why)
{
    struct fetching *f = owner;
    ASSERT(!f->ended);
    f->ended = true;
    f->error = err;
    f->why = *why;
    io_uv_loop_stop(f->loop);
}

static const struct cli_tap_events tap_events = {
    .ready = on_ready,
    .batch = on_batch,
    .ended = on_ended,
};

/* In the words of a report on a load, where it tells the same. */
static void print(const struct cli_tap_stats *stats, bool json)
{
    uint64_t ns = stats->last_ns > stats->first_ns ? stats->last_ns - stats->first_ns : 0;
    double seconds = (double)ns / 1e9;
    double rate = ns > 0 ? (double)stats->bytes / seconds / 1e6 : 0;
    if (json)
        printf("{\"records\":%llu,\"batches\":%llu,\"bytes\":%llu,\"seconds\":%.3f,"
               "\"mb_per_second\":%.3f}\n",
               (unsigned long long)stats->records, (unsigned long long)stats->batches,
               (unsigned long long)stats->bytes, seconds, rate);
    else
        printf("records     %llu in %llu batches, %llu bytes\nfetched     %.1f MB/s in %.2f s\n",
               (unsigned long long)stats->records, (unsigned long long)stats->batches,
               (unsigned long long)stats->bytes, rate, seconds);
}

int cli_gen_fetch(const struct cli_command *command, const struct cli_gen_fetch *fetch)
{
    struct fetching f = {0};
    struct cli_tap *tap = NULL;
    err_t err = io_uv_loop_new(&f.loop);
    const struct cli_tap_options options = {
        .loop = f.loop,
        .access = fetch->access,
        .address = fetch->address,
        .topic = fetch->topic,
        .connections = fetch->connections,
    };
    if (err_is_ok(err))
        err = cli_access_begin(fetch->access, f.loop);
    if (err_is_ok(err))
        err = cli_tap_new(&options, &tap_events, &f, &tap);
    if (!err_is_ok(err)) {
        io_uv_loop_free(&f.loop);
        return cli_fail(command, CLI_INTERNAL, "%s", err_string(err));
    }
    cli_tap_start(tap);
    io_uv_loop_run(f.loop);
    int code = CLI_OK;
    /* A broker that has answered no is there. */
    bool said = err_class(f.error) == ERR_CLASS_INPUT || err_class(f.error) == ERR_CLASS_MISSING;
    if (err_is_ok(f.error))
        print(cli_tap_stats(tap), fetch->json);
    else if (cli_door_is_final(f.error))
        code = cli_fail(command, CLI_FAILED, "%s", err_detail(f.error, &f.why));
    else
        code = cli_fail(command, said ? CLI_FAILED : CLI_UNAVAILABLE, "%s: %s", fetch->address,
                        err_detail(f.error, &f.why));
    cli_tap_free(&tap);
    io_uv_loop_free(&f.loop);
    return code;
}
