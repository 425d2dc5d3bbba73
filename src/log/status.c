#include "log/log_int.h"

#include "base/assert.h"

/* What the log tells of itself. Everything is counted by the sequencer's loop in plain fields
 * and read there, when somebody asks; a snapshot is of one durable moment, and so are its sums.
 * Metrics are of the moment of asking, and may be ahead of what is on the disk by what is on its
 * way. */
static const struct metric_family commits_total = {"garner_log_commits_total",
                                                   "Commits that are on disk.", METRIC_COUNTER};
static const struct metric_family frames_total = {
    "garner_log_frames_total",
    "Frames flushed; a frame holds the commits that came while the one "
    "before it was flushed.",
    METRIC_COUNTER};
static const struct metric_family frame_bytes_total = {"garner_log_written_bytes_total",
                                                       "Bytes written to the log.", METRIC_COUNTER};
static const struct metric_family fences_total = {
    "garner_log_fences_total", "Failed writes or flushes of the log.", METRIC_COUNTER};
static const struct metric_family refused_total = {
    "garner_log_refused_total", "Commits refused because the log or the disk was full.",
    METRIC_COUNTER};
static const struct metric_family early_lost_total = {
    "garner_log_early_answers_lost_total",
    "Commits answered before their flush (durability: interval) that were lost.", METRIC_COUNTER};
static const struct metric_family reads_total = {
    "garner_log_reads_total", "Reads answered, by where the records were.", METRIC_COUNTER};
static const struct metric_family read_bytes_total = {
    "garner_log_read_bytes_total", "Bytes of batches given to readers.", METRIC_COUNTER};
static const struct metric_family commit_seconds = {
    "garner_log_commit_duration_seconds", "From the arrival of a commit until it is on disk.",
    METRIC_HISTOGRAM};
static const struct metric_family flush_seconds = {
    "garner_log_flush_duration_seconds", "Write and flush of one frame.", METRIC_HISTOGRAM};
static const struct metric_family queue_bytes = {"garner_log_queue_bytes",
                                                 "Commits waiting to be composed.", METRIC_GAUGE};
static const struct metric_family disk_bytes = {"garner_log_disk_bytes", "Size of the log's files.",
                                                METRIC_GAUGE};
static const struct metric_family limit_bytes = {
    "garner_log_limit_bytes", "wal_limit: what the log's files may take together.", METRIC_GAUGE};
static const struct metric_family room_bytes = {
    "garner_log_room_bytes", "Room in the current file and the spare ones.", METRIC_GAUGE};
static const struct metric_family index_bytes = {"garner_log_index_bytes",
                                                 "Memory of the index of batches.", METRIC_GAUGE};
static const struct metric_family tail_bytes = {"garner_log_tail_bytes",
                                                "Memory for the newest frames.", METRIC_GAUGE};
static const struct metric_family durable_lsn = {"garner_log_durable_lsn",
                                                 "Number of the last frame on disk.", METRIC_GAUGE};
static const struct metric_family epoch = {"garner_log_epoch", "Grows with each fence.",
                                           METRIC_GAUGE};

/* Sealing goes on beside commits. That it falls behind shows here, long before wal_limit is reached
 * and intake is refused. */
static const struct metric_family seal_files_total = {
    "garner_log_seal_files_total", "Files of the log whose records went into segments.",
    METRIC_COUNTER};
static const struct metric_family seal_read_total = {
    "garner_log_seal_read_bytes_total", "Bytes read from the log to seal them.", METRIC_COUNTER};
static const struct metric_family seal_written_total = {
    "garner_log_seal_written_bytes_total", "Bytes written into segments.", METRIC_COUNTER};
static const struct metric_family seal_failures_total = {
    "garner_log_seal_failures_total",
    "Tries to seal a file, to write a checkpoint or to remove segments that failed.",
    METRIC_COUNTER};
static const struct metric_family seal_failing = {
    "garner_log_seal_failing", "1 while the last such try has failed; /ready says why.",
    METRIC_GAUGE};
static const struct metric_family seal_backlog = {"garner_log_seal_backlog_bytes",
                                                  "Files of the log that are full and not sealed.",
                                                  METRIC_GAUGE};
static const struct metric_family checkpoints_total = {"garner_log_checkpoints_total",
                                                       "Checkpoints written.", METRIC_COUNTER};
static const struct metric_family checkpoint_lsn = {
    "garner_log_checkpoint_lsn",
    "Frame of the newest checkpoint: a start reads the frames from there to "
    "garner_log_durable_lsn.",
    METRIC_GAUGE};
static const struct metric_family recycled_total = {
    "garner_log_recycled_files_total", "Sealed files that became the next ones.", METRIC_COUNTER};
static const struct metric_family segments = {"garner_log_segments",
                                              "Segments that hold sealed records.", METRIC_GAUGE};
static const struct metric_family segment_bytes = {"garner_log_segment_bytes",
                                                   "Size of the segments.", METRIC_GAUGE};
static const struct metric_family removed_total = {
    "garner_log_removed_segments_total",
    "Segments (or, of deleted topics, all at once) whose files were removed.", METRIC_COUNTER};
static const struct metric_family expired_total = {
    "garner_log_expired_records_total",
    "Records that the topic does not hold any more, by its retention or by command.",
    METRIC_COUNTER};

/* By queue: whose letters pile up is what somebody is to be woken for. */
static const struct metric_family dlq_held = {
    "garner_dlq_held_records", "Dead letters that wait for somebody to redrive or purge them.",
    METRIC_GAUGE};
static const struct metric_family dlq_bytes = {
    "garner_dlq_bytes", "What a topic's dead letters take on the disk; `dlq: {size}` caps it.",
    METRIC_GAUGE};
static const struct metric_family dlq_oldest = {
    "garner_dlq_oldest_age_seconds",
    "Since the oldest of them came (once it is sealed, since the first of its segment did); 0: "
    "there is none.",
    METRIC_GAUGE};
static const struct metric_family dlq_redriven = {
    "garner_dlq_redriven_records_total", "Dead letters that were redriven.", METRIC_COUNTER};
static const struct metric_family dlq_purged = {"garner_dlq_purged_records_total",
                                                "Dead letters that were purged.", METRIC_COUNTER};

/* A check that has found nothing and one that does not run look alike but for the time of the last
 * one. */
static const struct metric_family check_differences = {
    "garner_log_check_differences",
    "Differences between the disk and the log that the check (check_every) has found and that "
    "stand; the log names them as log_check_failed.",
    METRIC_GAUGE};
static const struct metric_family check_completed = {
    "garner_log_check_completed_timestamp_seconds",
    "When the check last had read all that was due; 0: not yet.", METRIC_GAUGE};
static const struct metric_family check_read_total = {"garner_log_check_read_bytes_total",
                                                      "Bytes read by the check.", METRIC_COUNTER};
static const struct metric_family check_pending = {
    "garner_log_check_pending_bytes", "Bytes of segments that the check has not read yet.",
    METRIC_GAUGE};

static const struct metric_family duplicates_total = {
    "garner_log_duplicates_total", "Records that repeated a key of their topic, and were left out.",
    METRIC_COUNTER};
static const struct metric_family key_probes_total = {
    "garner_log_key_probes_total",
    "Keys that the filter of a file let pass, by what was then read there.", METRIC_COUNTER};
static const struct metric_family keys_held = {
    "garner_log_keys", "Idempotency keys that count, by where they are.", METRIC_GAUGE};
static const struct metric_family keys_bytes = {
    "garner_log_keys_bytes", "Memory of idempotency keys and of the filters of their files.",
    METRIC_GAUGE};
static const struct metric_family keys_files = {"garner_log_keys_files",
                                                "Sorted files of idempotency keys.", METRIC_GAUGE};

/* What counts once is bounded: each limit has its level and what went because of it. */
static const struct metric_family once_repeats = {
    "garner_once_repeats_total",
    "Requests that repeated a producer's number or an Idempotency-Key, and were not taken again.",
    METRIC_COUNTER};
static const struct metric_family once_gaps = {
    "garner_once_gaps_total", "Numbered requests before which one was missing; answered 409.",
    METRIC_COUNTER};
static const struct metric_family once_reused = {
    "garner_once_keys_reused_total",
    "Requests with an Idempotency-Key that had come with another body; answered 422.",
    METRIC_COUNTER};
static const struct metric_family once_producers = {
    "garner_once_producers", "Producers of numbered requests that are known.", METRIC_GAUGE};
static const struct metric_family once_producers_limit = {
    "garner_once_producers_limit", "Producers that a topic keeps.", METRIC_GAUGE};
static const struct metric_family once_forgotten = {
    "garner_once_producers_forgotten_total",
    "Producers forgotten because they sent nothing for 7 days (idle), or to make room for another "
    "(displaced).",
    METRIC_COUNTER};
static const struct metric_family once_refused = {
    "garner_once_producers_refused_total",
    "Requests of producers for which there was no room; answered 503.", METRIC_COUNTER};
static const struct metric_family group_count = {
    "garner_log_groups", "Consumer groups that have committed offsets.", METRIC_GAUGE};
static const struct metric_family group_offsets = {
    "garner_log_group_offsets", "Offsets that consumer groups have committed.", METRIC_GAUGE};
static const struct metric_family group_offset_bytes = {
    "garner_log_group_offset_bytes", "Memory that offsets of consumer groups take.", METRIC_GAUGE};
static const struct metric_family group_lag = {
    "garner_group_lag_records", "Records that a consumer group has not read yet.", METRIC_GAUGE};
static const struct metric_family sink_lag = {
    "garner_sink_lag_records", "Records that a sink has not delivered yet.", METRIC_GAUGE};
static const struct metric_family sink_oldest_seconds = {
    "garner_sink_oldest_seconds",
    "For how long the first record that a sink has not delivered has been there.", METRIC_GAUGE};
static const struct metric_family group_lag_seconds = {
    "garner_group_lag_seconds",
    "How long the first record that a consumer group has not read yet has been there.",
    METRIC_GAUGE};
static const struct metric_family once_answers = {
    "garner_once_answers", "Answers kept for requests with an Idempotency-Key.", METRIC_GAUGE};
static const struct metric_family once_answers_bytes = {"garner_once_answers_bytes",
                                                        "Memory of those.", METRIC_GAUGE};
static const struct metric_family once_answers_limit = {
    "garner_once_answers_limit_bytes", "Memory at which a topic's oldest answers go.",
    METRIC_GAUGE};
static const struct metric_family once_dropped = {
    "garner_once_answers_dropped_total",
    "Answers that went before their 24 hours to make room for others.", METRIC_COUNTER};

static const struct metric_family sequenced_known = {
    "garner_sequenced_producers",
    "Producers of Kafka's protocol that number their records, each once a partition.",
    METRIC_GAUGE};
static const struct metric_family sequenced_limit = {"garner_sequenced_producers_limit",
                                                     "How many of those are kept.", METRIC_GAUGE};
static const struct metric_family sequenced_forgotten = {
    "garner_sequenced_producers_forgotten_total",
    "Those forgotten because they sent nothing for a day (idle), or to make room for another "
    "(displaced).",
    METRIC_COUNTER};
static const struct metric_family sequenced_repeats = {
    "garner_sequenced_repeats_total",
    "Batches that were there already, by whether their offset was still known.", METRIC_COUNTER};
static const struct metric_family sequenced_refused = {
    "garner_sequenced_refused_total",
    "Batches that were refused because one before them is missing (gap), or because their producer "
    "goes on with a newer epoch (epoch).",
    METRIC_COUNTER};

static void add_sequences(const struct log_sequences *sequences, struct metric_set *set)
{
    const struct log_sequences_counts *c = &sequences->counts;
    ASSERT(c->forgotten <= c->repeats);
    metric_add(set, &sequenced_known, (double)sequences->pairs.count, "%s", "");
    metric_add(set, &sequenced_limit, sequences->used_max, "%s", "");
    metric_add(set, &sequenced_forgotten, (double)c->idle, "why=\"idle\"");
    metric_add(set, &sequenced_forgotten, (double)c->displaced, "why=\"displaced\"");
    metric_add(set, &sequenced_repeats, (double)(c->repeats - c->forgotten), "offset=\"known\"");
    metric_add(set, &sequenced_repeats, (double)c->forgotten, "offset=\"forgotten\"");
    metric_add(set, &sequenced_refused, (double)c->gaps, "why=\"gap\"");
    metric_add(set, &sequenced_refused, (double)c->old_epochs, "why=\"epoch\"");
}

/* Only of topics that have seen one: most never do, and each would have a dozen lines of zeros. */
static void add_requests(const struct log_topic *topic, struct metric_set *set)
{
    const struct log_requests *r = topic->requests;
    const struct log_requests_counts *c = &r->counts;
    const struct {
        const struct metric_family *family;
        uint64_t value;
    } rows[] = {
        {&once_gaps, c->gaps},
        {&once_reused, c->other_bodies},
        {&once_producers, r->producers.count},
        {&once_producers_limit, r->producers_max},
        {&once_refused, c->refused},
        {&once_answers, r->answers.count},
        {&once_answers_bytes, r->kept_bytes},
        {&once_answers_limit, r->answers_bytes_max},
        {&once_dropped, c->dropped},
    };
    ASSERT(!topic->deleted);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        metric_add(set, rows[i].family, (double)rows[i].value, "topic=\"%s\"", topic->name);
    metric_add(set, &once_repeats, (double)c->repeats[FLOW_REQUEST_NUMBERED],
               "topic=\"%s\",by=\"number\"", topic->name);
    metric_add(set, &once_repeats, (double)c->repeats[FLOW_REQUEST_KEYED],
               "topic=\"%s\",by=\"key\"", topic->name);
    metric_add(set, &once_forgotten, (double)c->idle, "topic=\"%s\",why=\"idle\"", topic->name);
    metric_add(set, &once_forgotten, (double)c->displaced, "topic=\"%s\",why=\"displaced\"",
               topic->name);
}

static void add_topic_keys(const struct log_topic *topic, struct metric_set *set)
{
    uint64_t held[2] = {0};
    uint64_t bytes = 0;
    uint64_t files = 0;
    for (uint32_t i = 0; i < topic->keys->count; i++) {
        const struct log_keys_bucket *bucket = topic->keys->buckets[i];
        ASSERT(bucket->refs > 0);
        held[bucket->sorted] += log_keys_bucket_count(bucket);
        bytes += bucket->table.bytes + bucket->file.bytes;
        files += bucket->sorted;
    }
    metric_add(set, &keys_held, (double)held[0], "topic=\"%s\",in=\"memory\"", topic->name);
    metric_add(set, &keys_held, (double)held[1], "topic=\"%s\",in=\"file\"", topic->name);
    metric_add(set, &keys_bytes, (double)bytes, "topic=\"%s\"", topic->name);
    metric_add(set, &keys_files, (double)files, "topic=\"%s\"", topic->name);
}

static void add_keys(const struct log *log, struct metric_set *set)
{
    const struct log_counters *c = &log->counters;
    ASSERT(c->probes_false <= c->probes);
    metric_add(set, &duplicates_total, (double)c->duplicates, "%s", "");
    metric_add(set, &key_probes_total, (double)(c->probes - c->probes_false), "found=\"true\"");
    metric_add(set, &key_probes_total, (double)c->probes_false, "found=\"false\"");
    for (uint32_t t = 0; t < log->state.topic_count; t++) {
        if (log->state.topics[t]->keys)
            add_topic_keys(log->state.topics[t], set);
        if (log->state.topics[t]->requests)
            add_requests(log->state.topics[t], set);
    }
    add_sequences(&log->state.sequences, set);
}

/* Offsets whose lag is told: beyond it whoever collects would have more series than he can use. */
#define LAGS_MAX 10000u
#define LAG_LABELS "group=\"%s\",topic=\"%s\",partition=\"%u\""
#define SINK_LABELS "sink=\"%s\",topic=\"%s\",partition=\"%u\""
#define LABEL_SIZE 512

/* How long the record has been there. 0 where there is none. */
static double age_s(const struct log_partition *partition, int64_t offset, int64_t now_ms)
{
    int64_t since_ms = log_partition_commit_ms(partition, offset);
    ASSERT(offset <= partition->end_offset);
    return since_ms > 0 && now_ms > since_ms ? (double)(now_ms - since_ms) / 1e3 : 0;
}

struct lags {
    const struct log *log;
    struct metric_set *set;
    int64_t now_ms;
    uint32_t count;
};

static bool add_lag(void *owner, struct slice group, const struct flow_group_offset *offset)
{
    struct lags *lags = owner;
    const struct log_topic *topic = log_state_topic(&lags->log->state, offset->topic_id);
    char name[FLOW_GROUP_NAME_MAX];
    ASSERT(topic && offset->partition < topic->partition_count);
    const struct log_partition *partition = &topic->partitions[offset->partition];
    /* What has expired is not there to be read, and a group may say any number. */
    int64_t next = offset->offset;
    next = next < partition->start_offset ? partition->start_offset : next;
    next = next > partition->end_offset ? partition->end_offset : next;
    uint64_t left = partition->records - log_partition_records_before(partition, next);
    double seconds = left > 0 ? age_s(partition, next, lags->now_ms) : 0;
    metric_label(name, sizeof name, group);
    metric_add(lags->set, &group_lag, (double)left, LAG_LABELS, name, topic->name,
               offset->partition);
    metric_add(lags->set, &group_lag_seconds, seconds, LAG_LABELS, name, topic->name,
               offset->partition);
    return ++lags->count == LAGS_MAX;
}

static void add_sink_lags(const struct log *log, const struct log_sink *sink,
                          struct metric_set *set)
{
    char name[LABEL_SIZE];
    int64_t now_ms = io_wall_ms(log->options.loop);
    metric_label(name, sizeof name, slice_string(sink->name));
    for (uint32_t i = 0; i < sink->cursor_count; i++) {
        const struct log_cursor *cursor = &sink->cursors[i];
        if (!cursor->active)
            continue;
        const struct log_topic *topic = log_state_topic(&log->state, cursor->topic_id);
        ASSERT(topic && cursor->partition < topic->partition_count);
        const struct log_partition *partition = &topic->partitions[cursor->partition];
        uint64_t left = partition->records - cursor->records;
        int64_t next =
            cursor->offset < partition->start_offset ? partition->start_offset : cursor->offset;
        metric_add(set, &sink_lag, (double)left, SINK_LABELS, name, topic->name, cursor->partition);
        metric_add(set, &sink_oldest_seconds, left > 0 ? age_s(partition, next, now_ms) : 0,
                   SINK_LABELS, name, topic->name, cursor->partition);
    }
}

/* Here and not by the sink, which counts offsets and knows an end only when it has read up to it.
 */
static void add_sinks(const struct log *log, struct metric_set *set)
{
    for (uint32_t i = 0; i < log->state.sink_count; i++)
        if (log->state.sinks[i]->open)
            add_sink_lags(log, log->state.sinks[i], set);
}

/* Here and not where groups are kept: where partitions end, and since when, is known here. */
static void add_offsets(const struct log *log, struct metric_set *set)
{
    const struct log_offsets *offsets = &log->state.offsets;
    ASSERT(offsets->group_count <= offsets->count);
    metric_add(set, &group_count, (double)offsets->group_count, "%s", "");
    metric_add(set, &group_offsets, (double)offsets->count, "%s", "");
    metric_add(set, &group_offset_bytes, (double)offsets->bytes, "%s", "");
    struct lags lags = {log, set, io_wall_ms(log->options.loop), 0};
    (void)log_offsets_any(offsets, add_lag, &lags);
}

static void add_counters(const struct log *log, struct metric_set *set)
{
    ASSERT(log->counters.frames <= log->durable_lsn);
    const struct log_counters *c = &log->counters;
    metric_add(set, &commits_total, (double)c->commits, "%s", "");
    metric_add(set, &frames_total, (double)c->frames, "%s", "");
    metric_add(set, &frame_bytes_total, (double)c->frame_bytes, "%s", "");
    metric_add(set, &fences_total, (double)c->fences, "%s", "");
    metric_add(set, &refused_total, (double)c->refused_full, "%s", "");
    metric_add(set, &early_lost_total, (double)c->early_answers_lost, "%s", "");
    metric_add(set, &reads_total, (double)c->reads_tail, "from=\"memory\"");
    metric_add(set, &reads_total, (double)c->reads_disk, "from=\"wal\"");
    metric_add(set, &reads_total, (double)c->reads_sealed, "from=\"segment\"");
    metric_add(set, &read_bytes_total, (double)c->read_bytes, "%s", "");
    metric_add_histogram(set, &commit_seconds, &c->commit, "%s", "");
    metric_add_histogram(set, &flush_seconds, &c->flush, "%s", "");
}

static void add_gauges(const struct log *log, struct metric_set *set)
{
    ASSERT(log->wal.file_count > 0);
    metric_add(set, &queue_bytes, (double)log->queue_bytes, "%s", "");
    metric_add(set, &disk_bytes, (double)log_wal_bytes(&log->wal), "%s", "");
    metric_add(set, &limit_bytes, (double)log->wal.limit_bytes, "%s", "");
    metric_add(set, &room_bytes, (double)log_wal_room(&log->wal), "%s", "");
    metric_add(set, &index_bytes, (double)log->state.index_bytes, "%s", "");
    metric_add(set, &tail_bytes, (double)log->tail.size, "%s", "");
    metric_add(set, &durable_lsn, (double)log->durable_lsn, "%s", "");
    metric_add(set, &epoch, (double)log->epoch, "%s", "");
}

static void add_sealing(const struct log *log, struct metric_set *set)
{
    const struct log_sealer *s = &log->sealer;
    ASSERT(s->saved_lsn <= log->durable_lsn);
    metric_add(set, &seal_files_total, (double)s->files_total, "%s", "");
    metric_add(set, &seal_read_total, (double)s->read_bytes_total, "%s", "");
    metric_add(set, &seal_written_total, (double)s->written_bytes_total, "%s", "");
    metric_add(set, &seal_failures_total, (double)s->failures_total, "%s", "");
    metric_add(set, &seal_failing, s->reported ? 1 : 0, "%s", "");
    metric_add(set, &seal_backlog, (double)log_sealer_backlog(log), "%s", "");
    metric_add(set, &checkpoints_total, (double)s->checkpoints_total, "%s", "");
    metric_add(set, &checkpoint_lsn, (double)s->saved_lsn, "%s", "");
    metric_add(set, &recycled_total, (double)log->counters.recycled, "%s", "");
    metric_add(set, &removed_total, (double)s->removed_total, "%s", "");
}

/* Of one partition's segments. */
static void add_checked(const struct log_partition *partition, uint64_t *differences,
                        uint64_t *pending)
{
    ASSERT(partition->segments || partition->segment_count == 0);
    for (uint32_t i = 0; i < partition->segment_count; i++) {
        const struct log_segment *segment = &partition->segments[i];
        *differences += segment->checked.differences;
        *pending += segment->size - segment->checked.bytes;
    }
}

/* By the topic whose letters they are, as everywhere else. */
static void add_letters(const struct log *log, const struct log_topic *topic,
                        struct metric_set *set)
{
    const struct log_topic *parent = log_state_topic(&log->state, topic->parent_id);
    uint64_t held = 0;
    uint64_t bytes = 0;
    int64_t oldest_ms = 0;
    ASSERT(!topic->deleted && topic->parent_id > 0);
    for (uint32_t p = 0; p < topic->partition_count; p++) {
        const struct log_partition *partition = &topic->partitions[p];
        uint64_t here = partition->records - partition->records_start - partition->settled.records;
        held += here;
        bytes += partition->sealed_bytes + log_partition_held_wal_bytes(partition);
        int64_t first = log_settled_end(&partition->settled, partition->start_offset);
        int64_t ms = here > 0 ? log_partition_commit_ms(partition, first) : 0;
        if (ms > 0 && (oldest_ms == 0 || ms < oldest_ms))
            oldest_ms = ms;
    }
    const char *name = parent ? parent->name : topic->name;
    int64_t now_ms = io_wall_ms(log->options.loop);
    double age = oldest_ms > 0 && now_ms > oldest_ms ? (double)(now_ms - oldest_ms) / 1e3 : 0;
    metric_add(set, &dlq_held, (double)held, "topic=\"%s\"", name);
    metric_add(set, &dlq_bytes, (double)bytes, "topic=\"%s\"", name);
    metric_add(set, &dlq_oldest, age, "topic=\"%s\"", name);
    metric_add(set, &dlq_redriven, (double)topic->letters.redriven, "topic=\"%s\"", name);
    metric_add(set, &dlq_purged, (double)topic->letters.purged, "topic=\"%s\"", name);
}

/* A walk over all partitions: the price of not counting in ten places, paid only when asked. */
static void add_topics(const struct log *log, struct metric_set *set)
{
    uint64_t count = 0;
    uint64_t bytes = 0;
    uint64_t differences = log->scrub.wal_differences + log->scrub.state_differences;
    uint64_t pending = 0;
    for (uint32_t t = 0; t < log->state.topic_count; t++) {
        const struct log_topic *topic = log->state.topics[t];
        uint64_t expired = topic->letters.expired;
        for (uint32_t i = 0; topic->keys && i < topic->keys->count; i++)
            differences += topic->keys->buckets[i]->differences;
        for (uint32_t p = 0; p < topic->partition_count; p++) {
            const struct log_partition *partition = &topic->partitions[p];
            ASSERT(partition->records_start <= partition->records);
            expired += topic->parent_id > 0 ? 0 : partition->records_start;
            count += partition->segment_count;
            bytes += partition->sealed_bytes;
            add_checked(partition, &differences, &pending);
        }
        /* A name has only letters that need no escape in a label. */
        if (!topic->deleted)
            metric_add(set, &expired_total, (double)expired, "topic=\"%s\"", topic->name);
        if (!topic->deleted && topic->parent_id > 0)
            add_letters(log, topic, set);
    }
    metric_add(set, &segments, (double)count, "%s", "");
    metric_add(set, &segment_bytes, (double)bytes, "%s", "");
    metric_add(set, &check_differences, (double)differences, "%s", "");
    metric_add(set, &check_pending, (double)pending, "%s", "");
    metric_add(set, &check_read_total, (double)log->scrub.read_bytes_total, "%s", "");
    metric_add(set, &check_completed, (double)log->scrub.completed_ms / 1e3, "%s", "");
}

static int say_full(const struct log *log, char *out, size_t size)
{
    const struct log_sealer *sealer = &log->sealer;
    ASSERT(size > 0);
    if (log_wal_may_make(&log->wal))
        return snprintf(out, size, "the log is full: %s", err_string(log->maker.error));
    if (sealer->reported)
        return snprintf(out, size, "the log is full, as sealing fails: %s",
                        err_detail(sealer->failed_error, &sealer->failed_why));
    return snprintf(out, size, "the log is full: wal_limit is reached");
}

/* Why the log takes no records, for /ready. */
static void say_not_ready(const struct log *log, char *out, size_t size)
{
    bool spare = log->wal.current + 1 < log->wal.file_count;
    int written = 0;
    if (log->mode == LOG_FENCED)
        written = snprintf(out, size, "the log is fenced after a failed write; trying to go on");
    else if (log->mode >= LOG_STOPPING)
        written = snprintf(out, size, "the server is stopping");
    else if (!spare && !log->maker.running && log_wal_room(&log->wal) < LOG_FRAME_SIZE_TARGET)
        written = say_full(log, out, size);
    ASSERT(written >= 0);
}

static void report_arrived(struct task *task)
{
    struct flow_report *report = CONTAINER_OF(task, struct flow_report, task);
    ASSERT(report->home && report->exporter_data);
    const struct log *log = report->exporter_data;
    add_counters(log, &report->metrics);
    add_gauges(log, &report->metrics);
    add_sealing(log, &report->metrics);
    add_topics(log, &report->metrics);
    add_keys(log, &report->metrics);
    add_offsets(log, &report->metrics);
    add_sinks(log, &report->metrics);
    say_not_ready(log, report->not_ready, sizeof report->not_ready);
    io_post(report->home, flow_report_filled(report));
}

void log_status_collect(struct flow_exporter *exporter, struct flow_report *report)
{
    struct log *log = CONTAINER_OF(exporter, struct log, exporter);
    ASSERT(report->home && report->done);
    report->exporter_data = log;
    report->task.run = report_arrived;
    io_post(log->options.loop, &report->task);
}

static void snapshot_home(struct task *task)
{
    struct flow_snapshot *snapshot = CONTAINER_OF(task, struct flow_snapshot, task);
    snapshot->done(snapshot);
}

static void snapshot_arrived(struct task *task)
{
    struct flow_snapshot *snapshot = CONTAINER_OF(task, struct flow_snapshot, task);
    ASSERT(snapshot->home && snapshot->log);
    const struct log *log = snapshot->log;
    snapshot->log_uuid = log->meta.uuid;
    snapshot->durable_lsn = log->durable_lsn;
    snapshot->epoch = log->epoch;
    snapshot->error = log_state_snapshot(&log->state, snapshot);
    task->run = snapshot_home;
    io_post(snapshot->home, task);
}

void log_status_snapshot(struct flow_log *flow, struct flow_snapshot *snapshot)
{
    struct log *log = CONTAINER_OF(flow, struct log, flow);
    ASSERT(snapshot->home && snapshot->done);
    snapshot->log = log;
    snapshot->task.run = snapshot_arrived;
    io_post(log->options.loop, &snapshot->task);
}

static void offsets_home(struct task *task)
{
    struct flow_offsets *offsets = CONTAINER_OF(task, struct flow_offsets, task);
    ASSERT(offsets->done);
    offsets->done(offsets);
}

static void offsets_arrived(struct task *task)
{
    struct flow_offsets *offsets = CONTAINER_OF(task, struct flow_offsets, task);
    ASSERT(offsets->home && offsets->log);
    const struct log *log = offsets->log;
    offsets->error = log_offsets_answer(&log->state.offsets, offsets);
    task->run = offsets_home;
    io_post(offsets->home, task);
}

void log_status_offsets(struct flow_log *flow, struct flow_offsets *offsets)
{
    struct log *log = CONTAINER_OF(flow, struct log, flow);
    ASSERT(offsets->home && offsets->done);
    offsets->log = log;
    offsets->task.run = offsets_arrived;
    io_post(log->options.loop, &offsets->task);
}
