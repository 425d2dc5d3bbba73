#include "control/config/config.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "control/config/decode.h"
#include "control/config/glob.h"
#include "control/config/read.h"
#include "control/config/sinks.h"
#include "control/config/value.h"

/*
 * The configuration: the tables of what there is, then what a table cannot say. Loading goes on
 * behind mistakes as far as it makes sense, so that one run names all of them; only the verdict at
 * the end decides, and with one mistake there is no configuration at all.
 *
 * The order: the file is read and decoded by the tables, then the sinks by their types' tables,
 * then patterns of contracts are followed, and last come rules over several fields. Those rules
 * look at values that may have been refused already; a refused value is 0 or NULL and passes them,
 * since it has its message.
 */

#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define MEMORY_MIN (32 * MIB)
/* The default of body_limit: one that is not larger becomes less where there is no room for it. */
#define BODY_BYTES (8 * MIB)
/* Of memory_limit, the share of bodies on all loops is one part, and that of the records of one
 * request (server/memory.h) a little more than another. */
#define BODIES_PART 8u
#define REQUEST_PART 11u
#define SECOND UINT64_C(1000)

#define ALLOW_OPEN_HELP                                                                            \
    "Permits an address that other machines can reach, though nobody is asked who they are."

/* The order is that of the enum in config.h. */
static const char *const modes[] = {"fsync", "interval", NULL};

static const struct option durability_options[] = {
    {.name = "mode",
     .type = OPTION_ENUM,
     .offset = offsetof(struct control_config_durability, mode),
     .choices = modes,
     .fallback = "fsync",
     .help = "`fsync`: a record is acknowledged once it is on disk. `interval`: up to "
             "`max_delay` and `max_bytes` earlier, which a power failure may take."},
    {.name = "max_delay",
     .type = OPTION_DURATION,
     .offset = offsetof(struct control_config_durability, max_delay_ms),
     .fallback = "100ms",
     .min = 1,
     .max = 60 * SECOND,
     .help = "With `interval`: the longest time between an answer and its flush."},
    {.name = "max_bytes",
     .type = OPTION_SIZE,
     .offset = offsetof(struct control_config_durability, max_bytes),
     .fallback = "16MiB",
     .min = 64 * KIB,
     .max = 256 * MIB,
     .help = "With `interval`: the most that is acknowledged and not yet flushed."},
    {0},
};

static const struct option intake_options[] = {
    {.name = "listen",
     .type = OPTION_ADDRESS,
     .offset = offsetof(struct control_config_intake, listen),
     .fallback = "127.0.0.1:8080",
     .help = "Where records come in over HTTP. Port 0 takes a free one."},
    {.name = "allow_open",
     .type = OPTION_BOOL,
     .offset = offsetof(struct control_config_intake, allow_open),
     .fallback = "false",
     .help = ALLOW_OPEN_HELP},
    {.name = "body_limit",
     .type = OPTION_SIZE,
     .offset = offsetof(struct control_config_intake, body_bytes_max),
     .fallback = "8MiB",
     .min = 1,
     .max = 64 * MIB,
     .help = "The largest body of a request; a larger one is answered 413. At most a quarter of "
             "`wal_limit`."},
    {.name = "record_limit",
     .type = OPTION_SIZE,
     .offset = offsetof(struct control_config_intake, record_bytes_max),
     .fallback = "1MiB",
     .min = 1,
     .max = 64 * MIB,
     .help = "The largest record; a larger one is a dead letter with reason `oversize`. At most "
             "`body_limit`."},
    {0},
};

static const struct option auto_create_options[] = {
    {.name = "enabled",
     .type = OPTION_BOOL,
     .offset = offsetof(struct control_config_auto_create, enabled),
     .fallback = "false",
     .help = "Makes a topic that a client asks for and that is not there. It has no contract."},
    {.name = "partitions",
     .type = OPTION_U32,
     .offset = offsetof(struct control_config_auto_create, partitions),
     .fallback = "4",
     .min = 1,
     .max = 10000,
     .help = "How many partitions such a topic has, and one that a client makes without saying "
             "how many."},
    {0},
};

static const struct option tls_options[] = {
    {.name = "cert",
     .type = OPTION_PATH,
     .offset = offsetof(struct control_config_tls, cert),
     .help = "The server's certificate in PEM, followed by those between it and its authority."},
    {.name = "key",
     .type = OPTION_PATH,
     .offset = offsetof(struct control_config_tls, key),
     .help = "The certificate's private key in PEM, without a passphrase."},
    {.name = "client_ca",
     .type = OPTION_PATH,
     .offset = offsetof(struct control_config_tls, client_ca),
     .help = "With it, clients need a certificate that one of these (PEM) has signed."},
    {0},
};

static const struct option sasl_options[] = {
    {.name = "enabled",
     .type = OPTION_BOOL,
     .offset = offsetof(struct control_config_sasl, enabled),
     .fallback = "false",
     .help = "Clients say who they are, with SCRAM-SHA-256, SCRAM-SHA-512 or, over TLS or on a "
             "loopback address, PLAIN. Users are added by `garner user`."},
    {0},
};

static const struct option kafka_options[] = {
    {.name = "listen",
     .type = OPTION_ADDRESS,
     .offset = offsetof(struct control_config_kafka, listen),
     .fallback = "127.0.0.1:9092",
     .help = "Where the Kafka protocol is served. Port 0 takes a free one."},
    {.name = "allow_open",
     .type = OPTION_BOOL,
     .offset = offsetof(struct control_config_kafka, allow_open),
     .fallback = "false",
     .help = ALLOW_OPEN_HELP},
    {.name = "advertised",
     .type = OPTION_STRING,
     .offset = offsetof(struct control_config_kafka, advertised),
     .help = "Host and port that clients are told to connect to, such as garner.example.com:9092; "
             "where it listens by default. Needed where that is all addresses of the machine."},
    {.name = "auto_create",
     .type = OPTION_TABLE,
     .offset = offsetof(struct control_config_kafka, auto_create),
     .table = auto_create_options,
     .help = "Topics that clients make by asking for them."},
    {.name = "tls",
     .type = OPTION_TABLE,
     .offset = offsetof(struct control_config_kafka, tls),
     .table = tls_options,
     .help = "With a certificate, the door speaks TLS 1.2 and 1.3 and nothing else. A reload reads "
             "the files again."},
    {.name = "sasl",
     .type = OPTION_TABLE,
     .offset = offsetof(struct control_config_kafka, sasl),
     .table = sasl_options,
     .help = "Who is let in. An address that other machines can reach needs this and `tls`, or "
             "`allow_open`."},
    {0},
};

/* Two doors, one language: what is said of one goes for both. */
#define DOOR_OPTIONS(address, text)                                                                \
    {                                                                                              \
        {.name = "listen",                                                                         \
         .type = OPTION_ADDRESS,                                                                   \
         .offset = offsetof(struct control_config_door, listen),                                   \
         .fallback = address,                                                                      \
         .help = text},                                                                            \
            {.name = "allow_open",                                                                 \
             .type = OPTION_BOOL,                                                                  \
             .offset = offsetof(struct control_config_door, allow_open),                           \
             .fallback = "false",                                                                  \
             .help = ALLOW_OPEN_HELP},                                                             \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

static const struct option admin_options[] =
    DOOR_OPTIONS("127.0.0.1:9600", "Where health, metrics and the admin API are served.");
static const struct option registry_options[] =
    DOOR_OPTIONS("127.0.0.1:8081", "Where the schema registry will be served.");

const struct option control_config_options[] = {
    {.name = "data_dir",
     .type = OPTION_PATH,
     .offset = offsetof(struct control_config, data_dir),
     .fallback = "./garner-data",
     .help = "Where everything is kept. One server at a time."},
    {.name = "durability",
     .type = OPTION_TABLE,
     .offset = offsetof(struct control_config, durability),
     .table = durability_options,
     .shorthand = true,
     .help = "What an acknowledgement promises."},
    {.name = "memory_limit",
     .type = OPTION_SIZE,
     .offset = offsetof(struct control_config, memory_limit),
     .min = MEMORY_MIN,
     .help = "What the server may hold in memory beside its code. Half of the machine's or "
             "cgroup's by default. At least 32MiB a loop where `loops` is given, 8 times "
             "`body_limit` a loop and 11 times in all where that is more than 8MiB; a smaller "
             "`body_limit` becomes less where there is no room for it."},
    {.name = "wal_limit",
     .type = OPTION_SIZE,
     .offset = offsetof(struct control_config, wal_limit),
     .fallback = "4GiB",
     .min = 32 * MIB,
     .help = "How large the write-ahead log may become before producers are told to wait."},
    {.name = "check_every",
     .type = OPTION_DURATION,
     .offset = offsetof(struct control_config, check_every_ms),
     .fallback = "1h",
     .max = SECOND * 3600 * 24 * 7,
     .help = "How often what came to the disk is read back and compared with the ledger, slowly, "
             "and what is older once a week. A difference is the event `log_check_failed` and the "
             "metric `garner_log_check_differences`. At least 1s; 0s is never."},
    {.name = "intake",
     .type = OPTION_TABLE,
     .offset = offsetof(struct control_config, intake),
     .table = intake_options,
     .help = "The door for records over HTTP."},
    {.name = "admin",
     .type = OPTION_TABLE,
     .offset = offsetof(struct control_config, admin),
     .table = admin_options,
     .help = "The door for operators."},
    {.name = "kafka",
     .type = OPTION_TABLE,
     .offset = offsetof(struct control_config, kafka),
     .table = kafka_options,
     .help = "The door for Kafka clients."},
    {.name = "registry",
     .type = OPTION_TABLE,
     .offset = offsetof(struct control_config, registry),
     .table = registry_options,
     .help = "Known and checked, not served by this version."},
    {.name = "allow_open",
     .type = OPTION_BOOL,
     .offset = offsetof(struct control_config, allow_open),
     .fallback = "false",
     .help = "The same for all doors."},
    {.name = "loops",
     .type = OPTION_U32,
     .offset = offsetof(struct control_config, loops),
     .fallback = "0",
     .max = 256,
     .help = "Event loops that serve connections; 0 is one a core."},
    {.name = "shutdown_timeout",
     .type = OPTION_DURATION,
     .offset = offsetof(struct control_config, shutdown_timeout_ms),
     .fallback = "30s",
     .max = 3600 * SECOND,
     .help = "How long SIGTERM waits for requests and sinks before the server stops anyway."},
    {.name = "contracts",
     .type = OPTION_STRINGS,
     .offset = offsetof(struct control_config, contracts),
     .fallback = "contracts/*.yaml",
     .help = "Files with one contract each. `*` and `?` match within a name. A pattern given "
             "here must match a file."},
    {.name = "sinks",
     .type = OPTION_TABLE,
     .offset = offsetof(struct control_config, sinks_node),
     .help = "Where records are delivered: a mapping from a name to the sink's options."},
    {0},
};

/* A door with what messages about it need. */
struct door {
    const char *name;
    const char *listen;
    bool allow_open;
    const char *closed_by; /* what else permits an address that others can reach */
};

struct loader {
    const struct control_config_host *host;
    struct control_config *config;
    struct control_report *report;
    const char *directory;                  /* of the file, as given */
    const struct control_config_node *root; /* NULL: no file */
};

/* What stands at `outer`, or at `outer`.`inner`; the nearest there is for messages. */
static const struct control_config_node *node_at(const struct loader *l, const char *outer,
                                                 const char *inner)
{
    /* A message needs a line that exists: a field that was left to its default is reported where
     * its section is, or at the file's beginning. */
    const struct control_config_node *node = control_config_node_get(l->root, outer);
    if (!node)
        return l->root;
    if (!inner || node->kind != CONTROL_CONFIG_MAPPING)
        return node;
    const struct control_config_node *field = control_config_node_get(node, inner);
    return field ? field : node;
}

static void check_doors(const struct loader *l)
{
    const struct control_config *c = l->config;
    const struct door doors[] = {
        {"intake", c->intake.listen, c->intake.allow_open, ""},
        {"admin", c->admin.listen, c->admin.allow_open, ""},
        {"kafka", c->kafka.listen,
         c->kafka.allow_open || (c->kafka.tls.cert && c->kafka.sasl.enabled),
         "`tls` and `sasl` together, or "},
        {"registry", c->registry.listen, c->registry.allow_open, ""},
    };
    for (size_t i = 0; i < sizeof(doors) / sizeof(doors[0]); i++) {
        const struct door *door = &doors[i];
        if (!door->listen)
            continue;
        const struct control_config_node *node = node_at(l, door->name, "listen");
        /* Whoever reaches the address may write and read. A person has to say once that this is
         * meant. */
        if (!control_config_address_is_loopback(door->listen) && !door->allow_open &&
            !c->allow_open)
            control_config_node_error(node, l->report,
                                      "expected a loopback address such as 127.0.0.1:8080, got "
                                      "'%s': whoever reaches it is let in; %s`allow_open: true` "
                                      "permits that",
                                      door->listen, door->closed_by);
        /* Found here rather than as "address in use" by the second door, which does not say by
         * whom. */
        for (size_t j = 0; j < i; j++)
            if (doors[j].listen && strcmp(doors[j].listen, door->listen) == 0 &&
                !slice_ends_with(slice_string(door->listen), SLICE_LITERAL(":0")))
                control_config_node_error(node, l->report,
                                          "expected different addresses for %s and %s, got '%s' "
                                          "twice",
                                          doors[j].name, door->name, door->listen);
    }
    const struct control_config_node *registry = control_config_node_get(l->root, "registry");
    if (registry)
        control_config_node_note(registry, l->report, "known, not served by this version");
}

/* A client asks any broker for the addresses of all, and goes on with those: what it cannot reach
 * looks to it like a server that is down. */
static void check_advertised(const struct loader *l)
{
    const struct control_config_kafka *kafka = &l->config->kafka;
    if (kafka->advertised && !control_config_advertised_valid(kafka->advertised))
        control_config_node_error(node_at(l, "kafka", "advertised"), l->report,
                                  "expected a host and a port that clients can connect to, such "
                                  "as garner.example.com:9092, got '%.300s'",
                                  kafka->advertised);
    if (kafka->listen && !kafka->advertised && control_config_address_is_wildcard(kafka->listen))
        control_config_node_error(node_at(l, "kafka", "listen"), l->report,
                                  "expected `advertised` beside '%s': clients are told where to "
                                  "connect to, and no client can connect to all addresses",
                                  kafka->listen);
}

/* Half of a pair would look like TLS and be none. */
static void check_tls(const struct loader *l)
{
    const struct control_config_tls *tls = &l->config->kafka.tls;
    const struct control_config_node *kafka = control_config_node_get(l->root, "kafka");
    const struct control_config_node *node =
        kafka ? control_config_node_get(kafka, "tls") : l->root;
    if (!tls->cert != !tls->key)
        control_config_node_error(node, l->report, "expected both `cert` and `key`, got `%s` only",
                                  tls->cert ? "cert" : "key");
    else if (tls->client_ca && !tls->cert)
        control_config_node_error(node, l->report, "expected `cert` and `key` beside `client_ca`");
}

/* What each loop and each request is promised has to be there. */
static void check_memory(const struct loader *l)
{
    const struct control_config *c = l->config;
    uint64_t body = c->intake.body_bytes_max;
    uint64_t loops = c->loops > 0 ? c->loops : 1;
    bool large = body > BODY_BYTES;
    uint64_t needed = BODIES_PART * loops * (large ? body : CONTROL_CONFIG_LOOP_BODY_MIN);
    if (large && needed < REQUEST_PART * body)
        needed = REQUEST_PART * body;
    if (c->memory_limit == 0 || c->memory_limit >= needed)
        return;
    const struct control_config_node *node = node_at(l, "memory_limit", NULL);
    if (node == l->root)
        node = large ? node_at(l, "intake", "body_limit") : node_at(l, "loops", NULL);
    control_config_node_error(
        node, l->report,
        "memory_limit is %lluMiB, and bodies of up to %lluMiB on %llu "
        "loop%s need at least %lluMiB",
        (unsigned long long)(c->memory_limit / MIB),
        (unsigned long long)((large ? body : CONTROL_CONFIG_LOOP_BODY_MIN) / MIB),
        (unsigned long long)loops, loops == 1 ? "" : "s",
        (unsigned long long)((needed + MIB - 1) / MIB));
}

static void check_limits(const struct loader *l)
{
    const struct control_config *c = l->config;
    check_memory(l);
    /* What was refused is still 0, and not worth a second message. */
    bool body_known = c->intake.body_bytes_max > 0;
    /* A request is one frame, and the files of the log get smaller with wal_limit: a body that fits
     * no file could never be accepted, however often it is sent. */
    if (c->wal_limit > 0 && c->intake.body_bytes_max > c->wal_limit / 4)
        control_config_node_error(node_at(l, "intake", "body_limit"), l->report,
                                  "expected at most a quarter of wal_limit, since a body is "
                                  "written to the log at once");
    /* A record larger than a body could never come. */
    if (body_known && c->intake.record_bytes_max > c->intake.body_bytes_max)
        control_config_node_error(node_at(l, "intake", "record_limit"), l->report,
                                  "expected at most body_limit");
    /* A bound with a hole in it, at 0, is what the table cannot say. */
    if (c->check_every_ms > 0 && c->check_every_ms < SECOND)
        control_config_node_error(node_at(l, "check_every", NULL), l->report,
                                  "expected at least 1s, or 0s for never");
    const struct control_config_node *durability = control_config_node_get(l->root, "durability");
    /* Limits without the mode would look like a promise to lose at most so much, where nothing is
     * lost. */
    if (c->durability.mode == CONTROL_CONFIG_INTERVAL || !durability ||
        durability->kind != CONTROL_CONFIG_MAPPING)
        return;
    for (const struct control_config_node *n = durability->first; n; n = n->next)
        if (strcmp(n->key, "mode") != 0)
            control_config_node_error(n, l->report, "expected only with `mode: interval`");
}

/* The files that one pattern matches are added to the others'. */
static void add_contracts(const struct loader *l, const char *pattern,
                          const struct control_config_node *node)
{
    struct arena *arena = &l->config->arena;
    struct option_strings *files = &l->config->contract_files;
    struct option_strings found = {0};
    struct err_text why = {0};
    const char *path = control_config_path(arena, l->directory, pattern);
    err_t err =
        path ? control_config_glob(l->host->disk, path, arena, &found, &why) : err_make(ERR_MEMORY);
    /* Copied for each pattern: an arena takes nothing back, and patterns are few. */
    const char **all = arena_alloc(arena, (files->count + found.count) * sizeof(*all));
    if (err_is(err, ERR_MEMORY) || !all) {
        control_report_no_memory(l->report);
        return;
    }
    const struct control_place place = {l->config->file ? l->config->file : pattern, 1, 1,
                                        "contracts"};
    if (!err_is_ok(err) && node)
        control_config_node_error(node, l->report, "expected files that can be read: %s",
                                  err_detail(err, &why));
    else if (!err_is_ok(err))
        control_report_error(l->report, place, "expected files that can be read: %s",
                             err_detail(err, &why));
    /* Only a pattern that somebody wrote must match; the default may find nothing in a fresh
     * directory. */
    else if (found.count == 0 && node)
        control_config_node_error(node, l->report,
                                  "expected a pattern that matches a file, got "
                                  "'%.60s'",
                                  pattern);
    if (files->count > 0)
        memcpy(all, files->items, files->count * sizeof(*all));
    if (found.count > 0)
        memcpy(all + files->count, found.items, found.count * sizeof(*all));
    *files = (struct option_strings){all, files->count + found.count};
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void find_contracts(const struct loader *l)
{
    struct control_config *config = l->config;
    const struct control_config_node *list = control_config_node_get(l->root, "contracts");
    const struct control_config_node *node = list ? list->first : NULL;
    for (size_t i = 0; i < config->contracts.count; i++) {
        const char *pattern = config->contracts.items[i];
        if (pattern && pattern[0] != '\0')
            add_contracts(l, pattern, node);
        else if (pattern)
            control_config_node_error(node, l->report, "expected a path or a pattern of paths");
        node = node ? node->next : NULL;
    }
    struct option_strings *files = &config->contract_files;
    if (files->count < 2)
        return;
    /* Messages come in the same order on every machine, and what two patterns match stands
     * together. */
    qsort(files->items, files->count, sizeof(*files->items), by_name);
    size_t kept = 1;
    for (size_t i = 1; i < files->count; i++)
        /* Two patterns may match one file; it is one contract. */
        if (strcmp(files->items[i], files->items[kept - 1]) != 0)
            files->items[kept++] = files->items[i];
    files->count = kept;
}

static void decode(struct loader *l)
{
    struct control_config *config = l->config;
    /* The directory is absolute: paths are used for as long as the server runs. */
    struct control_config_decoder decoder = {
        .arena = &config->arena,
        .report = l->report,
        .directory = control_config_path(&config->arena, l->host->directory, l->directory),
    };
    if (!decoder.directory) {
        control_report_no_memory(l->report);
        return;
    }
    /* Also with no file: the defaults go the same way. */
    struct control_config_part part = {control_config_options, config};
    control_config_decode(&decoder, l->root, &part, 1);
    if (config->memory_limit == 0)
        /* The rest is the page cache's and the allocator's slack. */
        config->memory_limit =
            l->host->memory_bytes / 2 < MEMORY_MIN ? MEMORY_MIN : l->host->memory_bytes / 2;
    control_config_sinks(&decoder, l->host->sink_types, config);
    find_contracts(l);
    /* Rules over several fields make sense only of a file that could be read; all else has its
     * message. */
    bool readable = l->root && l->root->kind == CONTROL_CONFIG_MAPPING && !l->report->memory_failed;
    if (readable) {
        check_doors(l);
        check_advertised(l);
        check_tls(l);
        check_limits(l);
    }
}

static void load(struct loader *l, const char *path)
{
    struct control_config *config = l->config;
    l->directory = ".";
    if (path) {
        config->file = arena_string(&config->arena, slice_string(path));
        l->directory = control_config_directory(&config->arena, path);
        if (!config->file || !l->directory) {
            control_report_no_memory(l->report);
            return;
        }
        l->root = control_config_read(l->host, path, l->directory, &config->arena, l->report);
        if (!l->root)
            /* The reader has said why; defaults in place of a file that was asked for would be the
             * worst answer. */
            return;
    }
    decode(l);
}

err_t control_config_load(const struct control_config_host *host, const char *path,
                          struct control_config **out, struct control_report *report)
{
    ASSERT(host->disk && host->directory && host->env && host->sink_types);
    ASSERT(host->memory_bytes > 0 && control_report_errors(report) == 0);
    struct control_config *config = mem_zalloc(1, sizeof(*config));
    if (!config)
        return err_make(ERR_MEMORY);
    arena_init(&config->arena, 0);
    struct loader loader = {.host = host, .config = config, .report = report};
    load(&loader, path);
    err_t err = control_report_verdict(report);
    if (!err_is_ok(err)) {
        control_config_free(&config);
        return err;
    }
    /* Every field has its value from here on; nobody behind this asks whether something was
     * given. */
    ASSERT(config->data_dir && config->memory_limit > 0);
    *out = config;
    return err_ok();
}

void control_config_free(struct control_config **config)
{
    if (!*config)
        return;
    struct arena arena = (*config)->arena;
    arena_done(&arena);
    mem_free(*config);
    *config = NULL;
}
