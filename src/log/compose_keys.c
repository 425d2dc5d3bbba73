#include "log/log_int.h"

#include "base/assert.h"

/*
 * Duplicate or accepted: decided here, in the order of the log, and nowhere else. A record whose
 * key its topic has, durable or on its way, in an earlier commit or earlier in this one, repeats
 * it. What the files of closed buckets have is marked before a commit comes here (probe.c).
 *
 * Failure modes: all keys of a commit are added or none. Those that were added before one could
 * not be are taken back from the end of their tables, as all are whose frame fails.
 */

/* Keys whose memory is on its way while one is looked for. */
#define AHEAD 8u

void log_compose_keys_begin(struct flow_commit *commit)
{
    ASSERT(commit->appends || commit->append_count == 0);
    commit->probed = 0;
    commit->probes = 0;
    commit->probe_error = err_ok();
    for (uint32_t i = 0; i < commit->append_count; i++) {
        struct flow_append *append = &commit->appends[i];
        append->duplicate_count = 0;
        if (append->keys && append->duplicates)
            memset(append->duplicates, 0, (append->record_count + 7) / 8);
    }
}

/* What was added is told by what was decided, so that taking back needs no list of its own. */
static uint32_t added_count(const struct flow_append *append, uint32_t end)
{
    uint32_t added = 0;
    ASSERT(end <= append->record_count);
    for (uint32_t i = 0; i < end; i++)
        added += !flow_fingerprint_is_none(&append->keys[i]) && !flow_bit(append->duplicates, i);
    return added;
}

/* Adds the keys of one append. On failure those of it are gone again. */
static err_t decide(struct log_topic *topic, struct flow_append *append, int64_t now_ms,
                    bool *waits)
{
    ASSERT(topic->keys && append->keys);
    for (uint32_t i = 0; i < append->record_count; i++) {
        const struct flow_fingerprint key = append->keys[i];
        if (i + AHEAD < append->record_count)
            log_keys_prefetch(topic->keys, append->keys[i + AHEAD]);
        if (flow_fingerprint_is_none(&key) || flow_bit(append->duplicates, i))
            continue;
        enum log_keys_found found = log_keys_find(topic->keys, &topic->config, now_ms, key);
        if (found == LOG_KEYS_ABSENT) {
            err_t err = log_keys_add(topic->keys, &topic->config, key);
            if (err_is_ok(err))
                continue;
            log_keys_take_back(topic->keys, added_count(append, i));
            return err;
        }
        flow_set_bit(append->duplicates, i);
        *waits = *waits || found == LOG_KEYS_ON_ITS_WAY;
    }
    for (uint32_t i = 0; i < append->record_count; i++)
        append->duplicate_count += flow_bit(append->duplicates, i);
    return err_ok();
}

/* Only what has an index has added anything. */
static struct log_topic *topic_with_keys(const struct log *log, const struct flow_append *append)
{
    struct log_topic *topic = log_state_topic(&log->state, append->topic_id);
    ASSERT(topic);
    return append->keys && topic->keys ? topic : NULL;
}

static void take_back(struct log *log, const struct flow_commit *commit, uint32_t end)
{
    ASSERT(end <= commit->append_count);
    /* From the end: the newest key of a table is the only one that can be taken out. */
    for (uint32_t i = end; i > 0; i--) {
        const struct flow_append *append = &commit->appends[i - 1];
        const struct log_topic *topic = topic_with_keys(log, append);
        if (topic)
            log_keys_take_back(topic->keys, added_count(append, append->record_count));
    }
}

void log_compose_keys_undo(struct log *log, const struct flow_commit *commit)
{
    ASSERT(commit->done);
    take_back(log, commit, commit->append_count);
}

err_t log_compose_keys(struct log *log, struct flow_commit *commit, bool *waits)
{
    int64_t now_ms = io_wall_ms(log->options.loop);
    now_ms = now_ms > log->time_ms ? now_ms : log->time_ms;
    ASSERT(commit->probes == 0);
    *waits = false;
    /* A bucket is closed before a commit and never within one. */
    for (uint32_t i = 0; i < commit->append_count; i++) {
        struct log_topic *topic = topic_with_keys(log, &commit->appends[i]);
        if (topic)
            TRY(log_state_turn_keys(&log->state, topic, now_ms));
    }
    for (uint32_t i = 0; i < commit->append_count; i++) {
        struct log_topic *topic = topic_with_keys(log, &commit->appends[i]);
        err_t err = topic ? decide(topic, &commit->appends[i], now_ms, waits) : err_ok();
        if (!err_is_ok(err)) {
            take_back(log, commit, i);
            return err;
        }
    }
    for (uint32_t i = 0; i < commit->append_count; i++)
        log->counters.duplicates += commit->appends[i].duplicate_count;
    return err_ok();
}
