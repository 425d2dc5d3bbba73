#pragma once

/*
 * The configuration file (design: Program and configuration), read whole, checked whole and then
 * never changed: a struct that every stage may read from any thread until it is freed. `serve`
 * and `check` load it by the same call, so that what one accepts the other runs.
 */

#include "base/arena.h"
#include "base/option.h"
#include "control/report.h"
#include "control/sink_type.h"
#include "io/disk.h"

/* A loop that has no room for a body of this size is of no use; server/memory.h divides. */
#define CONTROL_CONFIG_LOOP_BODY_MIN (UINT64_C(4) << 20)

struct control_config_node;

enum control_config_durability_mode {
    CONTROL_CONFIG_FSYNC,    /* answered after the flush */
    CONTROL_CONFIG_INTERVAL, /* answered up to max_delay or max_bytes before it */
};

struct control_config_durability {
    uint32_t mode;
    uint64_t max_delay_ms;
    uint64_t max_bytes;
};

struct control_config_intake {
    const char *listen; /* "host:port" */
    bool allow_open;
    uint64_t body_bytes_max;
    uint64_t record_bytes_max;
};

/* What becomes of a topic that a Kafka client asks for and that is not there. */
struct control_config_auto_create {
    bool enabled;
    uint32_t partitions; /* also of topics that are made without saying how many */
};

/* PEM files; NULL: not given. Without a certificate there is no TLS. */
struct control_config_tls {
    const char *cert;
    const char *key;
    const char *client_ca;
};

struct control_config_sasl {
    bool enabled;
};

struct control_config_kafka {
    const char *listen;
    bool allow_open;
    const char *advertised; /* "host:port" that clients are told; NULL: where it listens */
    struct control_config_auto_create auto_create;
    struct control_config_tls tls;
    struct control_config_sasl sasl;
};

/* A door without limits of its own. */
struct control_config_door {
    const char *listen;
    bool allow_open;
};

struct control_config_sink {
    const char *name;
    const struct control_sink_type *type;
    const void *options; /* the struct of the type's options */
    struct option_strings topics;
    const struct control_config_node *node; /* where it stands, for messages */
};

struct control_config {
    const char *file; /* as given; NULL when there was none and all is default */
    const char *data_dir;
    struct control_config_durability durability;
    uint64_t memory_limit;   /* bytes, never 0 */
    uint64_t wal_limit;      /* bytes */
    uint64_t check_every_ms; /* between two checks of the disk; 0: none */
    struct control_config_intake intake;
    struct control_config_door admin;
    struct control_config_kafka kafka;
    struct control_config_door registry;
    bool allow_open;
    uint32_t loops; /* 0: one a core */
    uint64_t shutdown_timeout_ms;
    struct option_strings contracts;      /* the patterns */
    struct option_strings contract_files; /* what they match, sorted, each once */
    const struct control_config_sink *sinks;
    size_t sink_count;

    const void *sinks_node;
    const void *contracts_node;
    struct arena arena; /* holds all of the above */
};

/* What the program brings along: its world, and the sinks that it was built with. */
struct control_config_host {
    struct io_disk *disk;
    const char *directory;                      /* the current one, absolute */
    const char *(*env)(const char *name);       /* for ${NAME}; NULL when unset */
    uint64_t memory_bytes;                      /* of the machine or the cgroup, the smaller */
    const struct control_sink_type *sink_types; /* ends with a NULL name */
};

/* The options of the file and of every sink, for the reference page; end with a NULL name. */
extern const struct option control_config_options[];
extern const struct option control_config_sink_options[];

/*
 * Reads and checks the file at `path`; NULL takes the defaults, with contracts in `contracts`
 * and data in `garner-data` of the current directory. Relative paths in the file start at its own
 * directory. Blocks on the disk. ERR_CONFIG when `report` holds errors, also for a file that is not
 * there; ERR_MEMORY. `*out` is set on success only and freed with control_config_free.
 */
err_t control_config_load(const struct control_config_host *host, const char *path,
                          struct control_config **out, struct control_report *report);
/* Frees and clears `*config`; NULL in it is fine. */
void control_config_free(struct control_config **config);
