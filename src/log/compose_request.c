#include "log/log_int.h"

#include "base/assert.h"

/*
 * A request that counts once is judged here when its commit is composed: by what is durable and by
 * what is on its way, in the order of the log. So two of its kind that come at the same time are a
 * first one and a repeat, and the repeat's answer is behind the first one's flush.
 *
 * Failure modes: nothing of a first one is known before all of its commit is certain to be
 * composed, so there is nothing to take back but what a fence takes.
 */

static struct log_topic *topic_of(const struct log *log, const struct flow_commit *commit)
{
    struct log_topic *topic = log_state_topic(&log->state, commit->request->topic_id);
    /* log_compose_check has seen it. */
    ASSERT(topic);
    return topic;
}

static int64_t now_of(const struct log *log)
{
    int64_t now_ms = io_wall_ms(log->options.loop);
    ASSERT(log->time_ms >= 0);
    /* A clock that was set back makes nothing young again. */
    return now_ms > log->time_ms ? now_ms : log->time_ms;
}

err_t log_compose_decide(struct log *log, const struct flow_commit *commit)
{
    if (commit->request->kind == FLOW_REQUEST_SEQUENCED) {
        log_sequences_decide(&log->state.sequences, commit->request);
        return err_ok();
    }
    struct log_topic *topic = topic_of(log, commit);
    TRY(log_state_ensure_requests(&log->state, topic));
    ASSERT(topic->requests);
    log_requests_decide(topic->requests, commit->request, now_of(log));
    return err_ok();
}

bool log_compose_is_refused(const struct flow_commit *commit)
{
    ASSERT(commit->done);
    return !err_is_ok(log_compose_verdict(commit));
}

err_t log_compose_verdict(const struct flow_commit *commit)
{
    const struct flow_request *request = commit->request;
    ASSERT(!request || request->result <= FLOW_REQUEST_OLD_EPOCH);
    if (request && request->result == FLOW_REQUEST_GAP)
        return err_make(ERR_SEQUENCE_GAP);
    if (request && request->result == FLOW_REQUEST_OTHER_BODY)
        return err_make(ERR_KEY_REUSED);
    if (request && request->result == FLOW_REQUEST_OLD_EPOCH)
        return err_make(ERR_PRODUCER_EPOCH);
    return err_ok();
}

/* Where the batch is going to lie. */
static int64_t base_offset_of(const struct log *log, const struct flow_commit *commit)
{
    const struct flow_request *request = commit->request;
    ASSERT(request->kind == FLOW_REQUEST_SEQUENCED);
    for (uint32_t i = 0; i < commit->append_count; i++) {
        const struct flow_append *append = &commit->appends[i];
        if (append->kind == FLOW_APPEND_RECORDS)
            return log_state_partition(&log->state, append->topic_id, append->partition)
                ->next_offset;
    }
    UNREACHABLE("a batch without a batch");
}

err_t log_compose_request(struct log *log, const struct flow_commit *commit)
{
    struct flow_request *request = commit->request;
    ASSERT(request->result == FLOW_REQUEST_FIRST);
    if (request->kind == FLOW_REQUEST_SEQUENCED) {
        request->base_offset = base_offset_of(log, commit);
        return log_sequences_add(&log->state.sequences, request);
    }
    /* By the keys of its records; whoever repeats the request is told of them. */
    request->duplicates = 0;
    for (uint32_t i = 0; i < commit->append_count; i++)
        request->duplicates += commit->appends[i].duplicate_count;
    return log_requests_add(topic_of(log, commit)->requests, request, now_of(log));
}
