#include "sim/sweep.h"

#include "base/alloc.h"
#include "sim/world.h"

#define STEPS 250u
#define RUNS_OF_A_WORLD 8u

/* One way to make the n-th of something fail. */
struct way {
    void (*arm)(struct world *w, uint64_t n);
    /* True when the one that was to fail has been reached. */
    bool (*disarm)(struct world *w, uint64_t n);
    bool sinks;
};

static void arm_io(struct world *w, uint64_t n)
{
    sim_disk_fail_after(w->disk, n, ERR_IO);
}

static void arm_space(struct world *w, uint64_t n)
{
    sim_disk_fail_after(w->disk, n, ERR_NO_SPACE);
}

static bool disarm_disk(struct world *w, uint64_t n)
{
    bool reached = sim_disk_call_count(w->disk) >= n;
    sim_disk_fail_after(w->disk, 0, ERR_OK);
    return reached;
}

static void arm_memory(struct world *w, uint64_t n)
{
    (void)w;
    mem_fail_after(n);
}

static bool disarm_memory(struct world *w, uint64_t n)
{
    (void)w;
    bool reached = mem_alloc_count() >= n;
    mem_fail_after(0);
    return reached;
}

/* Applying what is durable of an epoch or a topic needs memory, and the program ends without it by
 * design: while allocations fail there are no sinks, and nobody changes topics. */
static const struct way ways[] = {
    {arm_io, disarm_disk, true},
    {arm_space, disarm_disk, true},
    {arm_memory, disarm_memory, false},
};

static void begin(struct world *w, uint64_t seed, const struct way *way)
{
    world_init(w, seed, false);
    /* Small, so that in each life files are sealed, used again, and let go. */
    w->options.wal_file_size = 72 * IO_BLOCK;
    w->options.wal_limit_bytes = 6 * w->options.wal_file_size;
    w->value_size_max = 1000;
    w->no_sinks = !way->sinks;
    for (uint32_t t = 0; t < MODEL_STATIC && w->no_sinks; t++) {
        w->retention[t] = WORLD_KEEPS;
        w->configs[t].retention_ms = w->configs[t].retention_bytes = 0;
    }
    w->read_faults = true;
}

static void open_well(struct world *w)
{
    struct err_text why;
    err_t err = world_open(w, &why);
    if (!err_is_ok(err))
        model_fail(&w->model, "the log does not open: %s, %s", err_name(err), why.text);
}

static bool is_healed(void *context)
{
    const struct world *w = context;
    return w->log->mode == LOG_RUNNING;
}

/* A life in which the n-th fails; false when there is no n-th. */
static bool live(struct world *w, const struct way *way, uint64_t n)
{
    open_well(w);
    world_setup(w);
    way->arm(w, n);
    world_actors_start(w);
    world_run(w, STEPS);
    world_rest(w, 6 * IO_SECOND);
    world_quiesce(w);
    bool reached = way->disarm(w, n);
    if (!sim_run_until(w->sim, is_healed, w, 100000))
        model_fail(&w->model, "failure %llu does not heal", (unsigned long long)n);
    world_verify(w);
    if (n % 3 == 0)
        world_stop(w);
    else if (n % 3 == 1)
        world_kill(w);
    else
        world_lose_power(w);
    return reached;
}

/* An opening in which the n-th fails, and another one after it. */
static bool reopen(struct world *w, const struct way *way, uint64_t n)
{
    struct err_text why;
    way->arm(w, n);
    err_t err = world_open(w, &why);
    bool reached = way->disarm(w, n);
    MODEL_EXPECT(&w->model, reached || err_is_ok(err));
    if (err_is_ok(err))
        world_kill(w);
    else
        MODEL_EXPECT(&w->model,
                     err_is(err, ERR_IO) || err_is(err, ERR_NO_SPACE) || err_is(err, ERR_MEMORY));
    open_well(w);
    world_verify(w);
    world_kill(w);
    return reached;
}

static uint64_t sweep_lives(const struct way *way, uint64_t seed)
{
    static struct world w;
    uint64_t n = 1;
    for (bool reached = true; reached; seed++) {
        begin(&w, seed, way);
        for (uint64_t i = 0; i < RUNS_OF_A_WORLD && reached; i++)
            reached = live(&w, way, n++);
        open_well(&w);
        world_verify(&w);
        world_kill(&w);
        world_done(&w);
    }
    return n - 1;
}

/* Openings of an empty directory, and of one that a power loss left. */
static uint64_t sweep_openings(const struct way *way, uint64_t seed)
{
    static struct world w;
    uint64_t n = 1;
    for (bool reached = true; reached; n++) {
        begin(&w, seed, way);
        reached = reopen(&w, way, n);
        world_done(&w);
    }
    uint64_t failures = n - 1;
    begin(&w, seed, way);
    open_well(&w);
    world_setup(&w);
    world_actors_start(&w);
    world_run(&w, 6 * STEPS);
    world_rest(&w, 6 * IO_SECOND);
    world_actors_start(&w);
    world_run(&w, STEPS);
    world_lose_power(&w);
    n = 1;
    while (reopen(&w, way, n))
        n++;
    world_done(&w);
    return failures + n;
}

uint64_t sweep_failures(uint64_t seed)
{
    uint64_t failures = 0;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        failures += sweep_openings(&ways[i], seed) + sweep_lives(&ways[i], seed);
    return failures;
}
