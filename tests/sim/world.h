#pragma once

/*
 * One run of the simulation: the log on its disk, those who use it, and the model of what it owes
 * them. Lives of a process follow each other on the same disk; each begins with world_open and
 * ends with world_stop, world_kill or world_lose_power.
 */

#include "base/logger.h"
#include "log/log_int.h"
#include "sim/disk.h"
#include "sim/model.h"
#include "sim/random.h"
#include "sim/sim.h"

#define WORLD_PRODUCERS 3u
#define WORLD_SLOTS 3u     /* commits of a producer on their way */
#define WORLD_KEYS_MAX 64u /* of an append */
#define WORLD_SINKS 2u
#define WORLD_PROBERS 2u
#define WORLD_COMING_NAME "three" /* of the topic that comes and goes, an open one */

/* What it has in its life `index`: made with it or not at all. */
static inline struct flow_topic_config world_coming_config(uint32_t index)
{
    return (struct flow_topic_config){
        .codec = FLOW_CODEC_LZ4,
        .open = true,
        .given = FLOW_TOPIC_CODEC | FLOW_TOPIC_BATCH_BYTES,
        .batch_bytes_max = 1000 + index,
    };
}

struct world;

/* The topic that has idempotency keys. */
#define WORLD_KEYED 0u
/* The DLQ of a topic that has one: indexes. */
#define WORLD_DLQ(topic) ((topic) + MODEL_PARENTS)

struct world_slot {
    struct flow_commit commit;
    struct flow_append appends[MODEL_APPENDS];
    struct flow_count counts;
    struct flow_batch_builder builders[MODEL_APPENDS];
    struct buf rests[MODEL_APPENDS]; /* what is left of those with holes */
    struct flow_fingerprint keys[MODEL_APPENDS][WORLD_KEYS_MAX];
    uint8_t duplicates[MODEL_APPENDS][WORLD_KEYS_MAX / 8];
    struct flow_request request;
    uint8_t answer[8];
    uint8_t kept[FLOW_ANSWER_MAX];
    struct world_producer *producer;
    uint32_t number; /* in the model */
    bool busy;
};

/* What becomes of a topic's oldest records, by the seed. */
enum world_retention {
    WORLD_KEEPS,
    WORLD_BY_TIME,
    WORLD_BY_SIZE,
    WORLD_BY_HAND, /* somebody moves its start */
};

/* Numbers one after the other, for as long as it is known which ones are there. */
struct world_stream {
    uint32_t stream;
    uint64_t next;
    uint32_t last; /* number + 1 of the commit with the one before; 0: none */
    int64_t id;    /* of batches with sequences */
};

/* Commits records, dead letters and counts, several at a time. */
struct world_producer {
    struct world *world;
    struct io_loop *loop;
    struct io_timer timer;
    uint32_t index;
    struct world_slot slots[WORLD_SLOTS];
    /* Of numbered requests, and of batches with sequences for each partition. */
    struct world_stream numbered;
    struct world_stream sequenced[MODEL_PARTITIONS];
    struct flow_commit id_commit; /* asks for the next stream's producer id */
    bool id_asked;
    int64_t id; /* 0: none is there */
};

/* An epoch of a sink on its way: the same until it is known to be committed. */
struct world_epoch {
    struct flow_sink_range range;
    uint32_t topic; /* index */
    uint8_t outputs[16];
    bool prepared;      /* acknowledged */
    bool prepare_asked; /* it may be there */
    bool commit_asked;
};

/* Reads, prepares an epoch, commits it with the dead letters of its range. */
struct world_sink {
    struct world *world;
    struct io_loop *loop;
    struct io_timer timer;
    uint32_t index;
    struct flow_snapshot snapshot;
    struct flow_read read;
    struct flow_commit commit;
    struct flow_sink_change change;
    uint32_t topic_ids[2];
    uint32_t topics[2]; /* what it was opened with last: indexes */
    uint32_t topic_count;
    struct flow_append append;
    struct flow_batch_builder letters;
    uint32_t number; /* of the commit of letters in the model */
    bool busy;
    /* What it was told. */
    uint32_t id;
    uint64_t epoch;
    uint64_t delivered;
    uint64_t dead_lettered;
    uint64_t expired;
    int64_t cursors[MODEL_TOPICS][MODEL_PARTITIONS];  /* -1: none that is known */
    uint64_t skipped[MODEL_TOPICS][MODEL_PARTITIONS]; /* records that were gone before it came */
    /* It may be more by so much, since nobody has seen where its cursors began and ended. */
    uint64_t skipped_unseen[MODEL_TOPICS][MODEL_PARTITIONS];
    bool closed[MODEL_TOPICS]; /* gone, and counted */
    uint32_t gone_below;       /* lives of the topic that were over when it asked */
    struct world_epoch next;
};

/* Reads anywhere, cancels now and then, asks for snapshots. */
struct world_prober {
    struct world *world;
    struct io_loop *loop;
    struct io_timer timer;
    struct io_timer cancel;
    struct flow_read read;
    struct flow_snapshot snapshot;
    uint32_t topic; /* index */
    bool reading;
    bool asking;
    bool cancelled;
};

/* Makes, configures and deletes topics, moves their starts, searches by time. */
struct world_janitor {
    struct world *world;
    struct io_loop *loop;
    struct io_timer timer;
    struct flow_commit commit;
    struct flow_topic_change change;
    struct flow_snapshot snapshot;
    struct flow_find find;
    int64_t seen_end; /* when it was asked */
    uint32_t topic;   /* index */
    bool busy;
};

/* Holds what a checkpoint names, and looks whether it stays. */
struct world_copier {
    struct world *world;
    struct io_loop *loop;
    struct io_timer timer;
    struct flow_pin pin;
    uint64_t id; /* of the pin that it has; 0: none */
    uint64_t lsn;
    bool holds_log;
    char missing[256]; /* what the last look did not find */
    bool busy;
};

/* Letters that somebody has asked to be settled. */
struct world_settle {
    uint32_t topic; /* index of the DLQ */
    struct flow_settle settle;
    uint32_t commit; /* number + 1 in the model of the records that they became; 0: purged */
    enum model_state state;
};

/* Redrives and purges letters, one commit at a time. */
struct world_redriver {
    struct world *world;
    struct io_loop *loop;
    struct io_timer timer;
    struct flow_snapshot snapshot;
    struct flow_commit commit;
    struct flow_append append;
    struct flow_count count;
    struct flow_settle settle;
    struct flow_batch_builder records;
    uint32_t topic;  /* index of the DLQ */
    uint32_t number; /* of the settle */
    bool busy;
};

#define WORLD_GROUPS 3u
#define WORLD_OFFSETS 4u /* changes of a commit at the most */
#define WORLD_MAYBE 8u

/* What a group may have of a partition; -1: nothing. */
struct world_offset {
    int64_t known;              /* acknowledged */
    int64_t maybe[WORLD_MAYBE]; /* asked for since, outcome unknown */
    uint32_t maybe_count;
    bool any; /* nothing is known: answers were early, or too many are unknown */
};

/* Commits and deletes offsets of consumer groups. */
struct world_grouper {
    struct world *world;
    struct io_loop *loop;
    struct io_timer timer;
    struct flow_commit commit;
    struct flow_offset changes[WORLD_OFFSETS];
    struct world_offset slots[WORLD_GROUPS][MODEL_STATIC][MODEL_PARTITIONS];
    int64_t used; /* offsets */
    bool coming;  /* one of the changes is of the topic that comes and goes */
    bool busy;
};

/* The log's: flusher, maker, reader, sealer. */
#define WORLD_WORKERS 4u

struct world {
    uint64_t seed;
    bool trace;
    struct sim_random random;
    struct logger logger;
    struct model model;
    struct sim *sim;
    struct sim_disk *disk;
    struct io_loop *loops[3]; /* the sequencer's, then those of who uses it */
    struct io_worker *workers[WORLD_WORKERS];
    struct log_options options;
    struct log *log; /* NULL between lives */
    uint32_t topic_ids[MODEL_TOPICS];
    uint32_t partitions[MODEL_TOPICS];
    bool acting;             /* actors begin new things */
    bool read_faults;        /* reads may fail */
    bool checkpoint_damaged; /* the log has said so while it opened */
    enum world_retention retention[MODEL_TOPICS];
    struct flow_topic_config configs[MODEL_TOPICS];
    int64_t asked_start[MODEL_TOPICS][MODEL_PARTITIONS]; /* by hand, the highest */
    uint32_t coming;       /* index of the life of the topic that comes and goes; 0: none (yet) */
    int64_t moved_back_ms; /* the wall clock, all in all */
    int64_t newest_ms;     /* the latest that the wall clock has shown */
    bool rotten;           /* bytes on disk have changed */
    bool no_sinks;
    uint32_t value_size_max;
    struct world_producer producers[WORLD_PRODUCERS];
    struct world_sink sinks[WORLD_SINKS];
    struct world_prober probers[WORLD_PROBERS];
    struct world_janitor janitor;
    struct world_copier copier;
    uint64_t pins_taken;
    uint64_t pins_kept; /* looked at, and held all the time */
    struct world_redriver redriver;
    struct world_settle *settles;
    uint32_t settle_count;
    struct world_grouper grouper;
    struct task stopped;
    bool is_stopped;
    struct log_position begun_at; /* where the first frame of this life goes */
    /* Of the life that ended last. */
    uint64_t fences;
    uint64_t durable_lsn;
    uint64_t recycled_file; /* number of its last file where that was used before, or 0 */
    struct log_frame_header next_frame; /* what the next one would have said */
    bool lost_last; /* damage took the last frame: sinks may know more than the log */
};

/* World of `seed`; prints what happens when `trace`. */
void world_init(struct world *w, uint64_t seed, bool trace);
void world_done(struct world *w);
void world_say(const struct world *w, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Opens the log on what the disk holds. On failure there is no life. */
err_t world_open(struct world *w, struct err_text *why);
/* Makes what topics and sinks are missing, learns ids. Without faults. */
void world_setup(struct world *w);
/* Compares what lies on the disk with what the log says: nothing is left over, nothing is missing.
 * Without faults, everybody at rest. */
void world_check_files(struct world *w);
/* Right after a start that followed a crash: segments hold what counts and nothing behind it. */
void world_check_sizes(struct world *w);
/* Reads everything and compares it with the model. Without faults. */
void world_verify(struct world *w);
/* Runs some steps of everybody. */
void world_run(struct world *w, uint64_t steps);
/* Nobody begins anything for a while; what runs by itself goes on. */
void world_rest(struct world *w, uint64_t time_ns);
/* Lets everybody come to an end: all commits, reads and snapshots are answered, and flushed. */
void world_quiesce(struct world *w);
/* Ends of a life. */
void world_stop(struct world *w);
void world_kill(struct world *w);
void world_lose_power(struct world *w);

/* Ask and run until it is answered. The snapshot is the caller's to free. */
err_t world_change_topics(struct world *w, struct flow_topic_change *changes, uint32_t count);
struct flow_snapshot world_snapshot(struct world *w);

/* actors.c: readies the actors for a life; starts them; frees what they hold after it. */
void world_actors_init(struct world *w);
void world_actors_start(struct world *w);
bool world_actors_idle(const struct world *w);
void world_actors_forget(struct world *w);
/* Topics in a snapshot: what is there, where it begins. `settled`: what was answered as unknown is
 * known by it. */
void world_learn(struct world *w, const struct flow_snapshot *snapshot, bool settled);
/* The index of the topic with this id. */
uint32_t world_topic(const struct world *w, uint32_t id);
/* The start of the topic's partitions may move. */
bool world_may_expire(const struct world *w, uint32_t topic);
/* Lives of the topic that comes and goes below this index are over. */
uint32_t world_gone_below(const struct world *w);
/* True when a commit may be answered so, whatever it holds. */
bool world_expects(const struct world *w, err_t err);
/* Checks how a read was answered. */
void world_check_read(struct world *w, uint32_t topic, const struct flow_read *read);
void world_actor_rests(struct world *w, struct io_loop *loop, struct io_timer *timer,
                       uint64_t most_ns);
/* A sink's name in the log. */
const char *world_sink_name(const struct world_sink *sink);
/* The name of a topic that is never deleted. */
const char *world_topic_name(uint32_t topic);
/* producer.c */
void world_producers_init(struct world *w);
void world_producers_forget(struct world *w);
/* Another append of a commit, to one of the topic's partitions. */
struct model_append *world_add_append(struct world *w, struct model_commit *commit, uint32_t topic,
                                      enum flow_append_kind kind, uint32_t count);
/* redriver.c */
void world_redriver_init(struct world *w);
void world_redriver_forget(struct world *w);
/* Somebody has asked for each of these offsets to be settled, and was not refused. */
bool world_may_be_settled(const struct world *w, uint32_t topic, int64_t first, int64_t end);
/* What is settled of a DLQ after a recovery is what was answered. */
void world_settles_check(struct world *w, uint32_t topic, const struct flow_snapshot *snapshot);
/* grouper.c */
void world_grouper_init(struct world *w);
void world_grouper_forget(struct world *w);
/* What groups have committed is what they were told, or may be. Without faults. */
void world_groups_check(struct world *w);
/* janitor.c */
void world_janitor_init(struct world *w);
/* copier.c */
void world_copier_init(struct world *w);
/* The state of the sinks after a recovery fits what they were told. */
void world_sinks_check(struct world *w, const struct flow_snapshot *snapshot);

static inline uint64_t below(struct world *w, uint64_t limit)
{
    return sim_random_below(&w->random, limit);
}

static inline bool chance(struct world *w, uint64_t part, uint64_t whole)
{
    return sim_random_chance(&w->random, part, whole);
}
