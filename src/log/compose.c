#include "log/log_int.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/cursor.h"
#include "base/hash.h"
#include "flow/batch.h"

/*
 * A commit becomes entries of a frame: batches get their base offsets, new topics and sinks their
 * ids, in the order of arrival. Everything that could be wrong with a commit is looked at before
 * its first byte is written, so that a frame holds whole commits only.
 */

bool log_compose_is_control(const struct flow_commit *commit)
{
    ASSERT(commit->topics || commit->topic_count == 0);
    ASSERT(commit->sinks || commit->sink_count == 0);
    return commit->topic_count > 0 || commit->sink_count > 0 || commit->settle_count > 0;
}

bool log_compose_uses_reserve(const struct flow_commit *commit)
{
    ASSERT(commit->settles || commit->settle_count == 0);
    /* A redrive appends, and waits like any producer; a purge frees, and must get through. */
    return log_compose_is_control(commit) &&
           (commit->settle_count == 0 || commit->append_count + commit->count_count == 0);
}

bool log_compose_stays(const struct flow_append *append)
{
    ASSERT(append->duplicate_count <= append->record_count);
    return append->holes || append->duplicate_count < append->record_count;
}

static err_t check_append(const struct log *log, const struct flow_append *append)
{
    ASSERT(append->batch && append->kind <= FLOW_APPEND_SINK_LETTERS);
    const struct log_topic *topic = log_state_topic(&log->state, append->topic_id);
    struct flow_batch batch;
    /* A deletion that is composed is not applied yet, but what follows it in the log would be for a
     * topic that is gone. */
    if (!topic || append->partition >= topic->partition_count ||
        append->topic_id == log->deleting_topic)
        return err_make(ERR_NOT_FOUND);
    if (append->kind != FLOW_APPEND_RECORDS && (topic->parent_id == 0 || append->holes))
        return err_make(ERR_INVALID);
    /* Whoever built it is one of us; it is parsed all the same, since a batch that does not fit its
     * entry would be durable before anybody noticed, and recovery would refuse the log. */
    err_t parsed = flow_batch_parse(slice_make(append->batch, append->batch_size), &batch);
    bool valid = err_is_ok(parsed) && batch.bytes.size == append->batch_size &&
                 (append->record_count > 0 || append->holes) &&
                 batch.record_count == append->record_count;
    return valid ? err_ok() : err_make(ERR_INVALID);
}

/* Whoever sends keys says who counts what repeats them. */
static err_t check_keys(const struct flow_commit *commit, const struct flow_append *append)
{
    ASSERT(append->keys);
    if (!append->duplicates || append->kind != FLOW_APPEND_RECORDS)
        return err_make(ERR_INVALID);
    for (uint32_t i = 0; i < commit->count_count; i++) {
        if (commit->counts[i].topic_id == append->topic_id)
            return err_ok();
    }
    return err_make(ERR_INVALID);
}

static err_t check_create(const struct log *log, const struct flow_topic_change *change)
{
    ASSERT(change->name.data || change->name.size == 0);
    ASSERT(change->config.codec <= FLOW_CODEC_ZSTD);
    if (change->partition_count == 0 || change->partition_count > FLOW_PARTITIONS_MAX ||
        change->name.size == 0 || change->name.size > FLOW_TOPIC_NAME_MAX ||
        (change->parent_id && !log_state_topic(&log->state, change->parent_id)))
        return err_make(ERR_INVALID);
    /* The state is enough to ask: no other creation is on its way (sequencer.c). */
    return err_make(log_state_topic_named(&log->state, change->name) ? ERR_EXISTS : ERR_OK);
}

/* What a sink is delivering stays until its epoch has ended: ERR_BUSY. */
static err_t check_delete(const struct log *log, const struct log_topic *topic)
{
    ASSERT(!topic->deleted);
    for (uint32_t i = 0; i < log->state.topic_count; i++) {
        const struct log_topic *other = log->state.topics[i];
        /* Dead letters are a part of their parent's ledger: they go first. */
        if (!other->deleted && other->parent_id == topic->id)
            return err_make(ERR_INVALID);
    }
    for (uint32_t i = 0; i < topic->partition_count; i++) {
        if (log_state_held(&log->state, topic->id, i, INT64_MAX))
            return err_make(ERR_BUSY);
    }
    return err_ok();
}

static err_t check_log_start(const struct log *log, const struct flow_topic_change *change)
{
    ASSERT(change->op == FLOW_TOPIC_LOG_START);
    const struct log_partition *partition =
        log_state_partition(&log->state, change->topic_id, change->partition);
    if (!partition)
        return err_make(ERR_NOT_FOUND);
    if (change->start_offset < partition->start_offset ||
        change->start_offset > partition->end_offset)
        return err_make(ERR_OFFSET_RANGE);
    bool held =
        log_state_held(&log->state, change->topic_id, change->partition, change->start_offset);
    return err_make(held ? ERR_BUSY : ERR_OK);
}

static err_t check_topic(const struct log *log, const struct flow_topic_change *change)
{
    ASSERT(change->op <= FLOW_TOPIC_LOG_START);
    if (change->op == FLOW_TOPIC_CREATE)
        return check_create(log, change);
    const struct log_topic *topic = log_state_topic(&log->state, change->topic_id);
    if (!topic)
        return err_make(ERR_NOT_FOUND);
    if (change->op == FLOW_TOPIC_DELETE)
        return check_delete(log, topic);
    if (change->op == FLOW_TOPIC_LOG_START)
        return check_log_start(log, change);
    if (change->op == FLOW_TOPIC_CONFIG) {
        ASSERT(change->config.codec <= FLOW_CODEC_ZSTD);
        return err_ok();
    }
    bool valid = change->partition_count <= FLOW_PARTITIONS_MAX &&
                 change->partition_count >= topic->partition_count;
    return err_make(valid ? ERR_OK : ERR_INVALID);
}

static err_t check_range(const struct log *log, const struct log_sink *sink,
                         const struct flow_sink_range *range)
{
    ASSERT(sink->id > 0 && !sink->prepared);
    const struct log_partition *partition =
        log_state_partition(&log->state, range->topic_id, range->partition);
    /* The end that a partition has is durable, so no sink can be ahead of the disk. */
    if (!partition || range->first_offset > range->end_offset ||
        range->end_offset > partition->end_offset)
        return err_make(ERR_INVALID);
    const struct log_cursor *cursor = log_sink_cursor(sink, range->topic_id, range->partition);
    if (!cursor)
        return err_make(ERR_NOT_FOUND);
    /* A range that begins elsewhere would leave records out or deliver them twice. */
    return err_make(cursor->offset == range->first_offset ? ERR_OK : ERR_INVALID);
}

/* With those of other epochs that are on their way, or the pieces of several would pass the limit
 * together, when none of them can be refused any more. */
static err_t check_redrive(const struct log *log, const struct log_sink *sink,
                           const struct flow_sink_change *change)
{
    const struct log_state *state = &log->state;
    ASSERT(change->op == FLOW_SINK_REDRIVE);
    for (uint32_t i = 0; i < change->range_count; i++) {
        if (change->ranges[i].delivered == 0)
            return err_make(ERR_INVALID);
    }
    TRY(log_state_may_redrive(state, sink, change->ranges, change->range_count));
    for (uint32_t i = 0; i < change->range_count; i++) {
        const struct flow_sink_range *range = &change->ranges[i];
        if (range->topic_id == log->deleting_topic)
            return err_make(ERR_NOT_FOUND);
        const struct log_partition *partition =
            log_state_partition(state, range->topic_id, range->partition);
        if (partition->settled.count + change->range_count +
                log_state_redriving_count(state, range->topic_id, range->partition) >
            FLOW_SETTLED_RUNS_MAX)
            return err_make(ERR_TOO_LARGE);
    }
    return err_make(change->range_count > 0 ? ERR_OK : ERR_INVALID);
}

static err_t check_sink(const struct log *log, const struct flow_sink_change *change)
{
    ASSERT(change->ranges || change->range_count == 0);
    ASSERT(change->topic_ids || change->topic_count == 0);
    if (change->op == FLOW_SINK_OPEN) {
        for (uint32_t i = 0; i < change->topic_count; i++) {
            if (!log_state_topic(&log->state, change->topic_ids[i]))
                return err_make(ERR_NOT_FOUND);
        }
        return err_make(change->name.size == 0 ? ERR_INVALID : ERR_OK);
    }
    const struct log_sink *sink = log_state_sink(&log->state, change->sink_id);
    if (!sink)
        return err_make(ERR_NOT_FOUND);
    /* An epoch that is prepared has to end first: what the target has of it would stay unknown. */
    if (change->op == FLOW_SINK_CLOSE)
        return err_make(sink->prepared ? ERR_INVALID : ERR_OK);
    /* Epochs count without a gap: a change that is sent twice is refused the second time. */
    bool wants_prepared = change->op == FLOW_SINK_COMMIT;
    if (sink->prepared != wants_prepared || change->epoch != sink->epoch + 1)
        return err_make(ERR_INVALID);
    if (change->op == FLOW_SINK_REDRIVE)
        return check_redrive(log, sink, change);
    for (uint32_t i = 0; i < change->range_count; i++)
        TRY(check_range(log, sink, &change->ranges[i]));
    return err_ok();
}

/* The same topic or sink changed twice in one commit would be checked against a state that the
 * first of them changes: one change of each kind that needs the other's result is a commit of its
 * own. Creations of different names are independent, and so are the starts of partitions, which
 * only the log itself moves many of at once. */
static bool same_thing(const struct flow_topic_change *a, const struct flow_topic_change *b)
{
    ASSERT(a != b);
    if (a->op == FLOW_TOPIC_CREATE || b->op == FLOW_TOPIC_CREATE)
        return a->op == b->op && slice_equal(a->name, b->name);
    if (a->op == FLOW_TOPIC_LOG_START && b->op == FLOW_TOPIC_LOG_START)
        return a->topic_id == b->topic_id && a->partition == b->partition;
    return a->topic_id == b->topic_id;
}

static err_t check_repeats(const struct flow_commit *commit)
{
    ASSERT(commit->topics || commit->topic_count == 0);
    for (uint32_t i = 0; i < commit->topic_count; i++) {
        /* Whatever comes behind a deletion, in its frame too, is refused: it stands alone. */
        if (commit->topics[i].op == FLOW_TOPIC_DELETE &&
            (commit->topic_count > 1 || commit->append_count > 0 || commit->count_count > 0 ||
             commit->settle_count > 0))
            return err_make(ERR_INVALID);
        for (uint32_t j = 0; j < i; j++) {
            if (same_thing(&commit->topics[i], &commit->topics[j]))
                return err_make(ERR_INVALID);
        }
    }
    return err_make(commit->sink_count > 1 ? ERR_INVALID : ERR_OK);
}

/* Nothing else that settles is on its way (sequencer.c), so the state is enough to ask. */
static err_t check_settles(const struct log *log, const struct flow_commit *commit)
{
    ASSERT(commit->settles || commit->settle_count == 0);
    for (uint32_t i = 0; i < commit->settle_count; i++) {
        const struct flow_settle *settle = &commit->settles[i];
        if (settle->topic_id == log->deleting_topic)
            return err_make(ERR_NOT_FOUND);
        TRY(log_state_may_settle(&log->state, settle));
        const struct flow_settle *last = i > 0 ? settle - 1 : NULL;
        bool same =
            last && last->topic_id == settle->topic_id && last->partition == settle->partition;
        if (same && last->end_offset > settle->first_offset)
            return err_make(ERR_INVALID);
        const struct log_partition *partition =
            log_state_partition(&log->state, settle->topic_id, settle->partition);
        /* As if none of them joined another: a bound, and far from what is met. */
        if (partition->settled.count + commit->settle_count +
                log_state_redriving_count(&log->state, settle->topic_id, settle->partition) >
            FLOW_SETTLED_RUNS_MAX)
            return err_make(ERR_TOO_LARGE);
    }
    return err_ok();
}

/* The one batch of records, which what is refused has not, is what the numbers say. */
static bool sequence_fits(const struct flow_commit *commit)
{
    const struct flow_sequence *said = &commit->request->batch;
    uint32_t batches = 0;
    bool fits = said->producer_id >= 0 && said->epoch >= 0 && said->first >= 0 && said->count > 0 &&
                said->count <= INT32_MAX && !(commit->request->refused && commit->append_count > 0);
    ASSERT(commit->request->kind == FLOW_REQUEST_SEQUENCED);
    for (uint32_t i = 0; i < commit->append_count && fits; i++) {
        const struct flow_append *append = &commit->appends[i];
        struct flow_batch batch;
        if (append->kind != FLOW_APPEND_RECORDS)
            continue;
        fits = err_is_ok(flow_batch_parse(slice_make(append->batch, append->batch_size), &batch)) &&
               append->partition == said->partition && append->holes && batches++ == 0 &&
               batch.producer_id == said->producer_id && batch.producer_epoch == said->epoch &&
               batch.base_sequence == said->first &&
               (uint32_t)batch.last_offset_delta + 1 == said->count;
    }
    return fits && batches == (commit->request->refused ? 0 : 1);
}

/* Whose count is told to be all duplicates has one count, and of everything else nothing. */
static err_t check_request(const struct log *log, const struct flow_commit *commit)
{
    const struct flow_request *request = commit->request;
    ASSERT(request->kind <= FLOW_REQUEST_SEQUENCED);
    bool alone = commit->offset_count == 0 && commit->count_count == 1 &&
                 commit->counts[0].topic_id == request->topic_id && commit->settle_count == 0 &&
                 !log_compose_is_control(commit);
    for (uint32_t i = 0; i < commit->append_count && alone; i++) {
        const struct log_topic *topic = log_state_topic(&log->state, commit->appends[i].topic_id);
        alone = topic && (topic->id == request->topic_id || topic->parent_id == request->topic_id);
    }
    if (request->kind == FLOW_REQUEST_SEQUENCED) {
        bool there = log_state_partition(&log->state, request->topic_id, request->batch.partition);
        return err_make(!alone || !sequence_fits(commit) ? ERR_INVALID
                        : there                          ? ERR_OK
                                                         : ERR_NOT_FOUND);
    }
    bool numbered = request->kind == FLOW_REQUEST_NUMBERED;
    bool fits = numbered ? request->sequence <= FLOW_SEQUENCE_MAX && request->answer.size == 0
                         : request->kept && request->answer.size <= FLOW_ANSWER_MAX;
    return err_make(alone && fits ? ERR_OK : ERR_INVALID);
}

static err_t check_offset(const struct log *log, const struct flow_offset *offset)
{
    ASSERT(offset->op <= FLOW_OFFSET_DELETE_GROUP);
    if (offset->group.size == 0 || offset->group.size > FLOW_GROUP_NAME_MAX ||
        offset->metadata.size > FLOW_OFFSET_METADATA_MAX || offset->offset < 0)
        return err_make(ERR_INVALID);
    /* What is deleted may be gone already. */
    if (offset->op != FLOW_OFFSET_COMMIT)
        return err_make(offset->op == FLOW_OFFSET_DELETE && offset->topic_id == 0 ? ERR_INVALID
                                                                                  : ERR_OK);
    bool there = log_state_partition(&log->state, offset->topic_id, offset->partition) &&
                 offset->topic_id != log->deleting_topic;
    return err_make(there ? ERR_OK : ERR_NOT_FOUND);
}

err_t log_compose_check(const struct log *log, const struct flow_commit *commit)
{
    ASSERT(commit->done && commit->home);
    for (uint32_t i = 0; i < commit->append_count; i++) {
        TRY(check_append(log, &commit->appends[i]));
        if (commit->appends[i].keys)
            TRY(check_keys(commit, &commit->appends[i]));
    }
    for (uint32_t i = 0; i < commit->count_count; i++) {
        uint32_t topic_id = commit->counts[i].topic_id;
        if (!log_state_topic(&log->state, topic_id) || topic_id == log->deleting_topic)
            return err_make(ERR_NOT_FOUND);
    }
    if (commit->request)
        TRY(check_request(log, commit));
    for (uint32_t i = 0; i < commit->offset_count; i++)
        TRY(check_offset(log, &commit->offsets[i]));
    for (uint32_t i = 0; i < commit->topic_count; i++)
        TRY(check_topic(log, &commit->topics[i]));
    for (uint32_t i = 0; i < commit->sink_count; i++)
        TRY(check_sink(log, &commit->sinks[i]));
    TRY(check_settles(log, commit));
    return check_repeats(commit);
}

err_t log_compose_begin(struct log *log, struct log_frame *frame, uint64_t payload_size)
{
    ASSERT(!frame->data && list_empty(&frame->commits));
    uint64_t size = log_frame_disk_size(payload_size);
    /* A commit larger than a frame is meant to be has memory of its own, and is not kept for
     * readers: a few of them would push everything else out of the ring. */
    if (size > log->tail.frame_size) {
        frame->own = mem_alloc_aligned(IO_BLOCK, (size_t)size);
        if (!frame->own)
            return err_make(ERR_MEMORY);
        frame->data = frame->own;
    } else {
        size = log->tail.frame_size;
        frame->data = log_tail_reserve(&log->tail, size);
    }
    frame->capacity = size - LOG_FRAME_HEADER_SIZE;
    frame->payload_size = 0;
    frame->payload_crc = 0;
    frame->control = false;
    frame->configures = false;
    frame->early_answers = 0;
    frame->composed_ns = io_now_ns(log->options.loop);
    return err_ok();
}

/* Where the next entry of `size` bytes goes. */
static uint8_t *entry_room(struct log_frame *frame, size_t size)
{
    ASSERT(frame->payload_size + size <= frame->capacity);
    return frame->data + LOG_FRAME_HEADER_SIZE + frame->payload_size;
}

static void entry_added(struct log_frame *frame, size_t size)
{
    ASSERT(size >= LOG_ENTRY_HEADER_SIZE);
    const uint8_t *entry = entry_room(frame, size);
    /* Along the way, while the bytes are in the processor's cache: sealing then has the header
     * alone to look at. */
    frame->payload_crc = crc32c(frame->payload_crc, entry, size);
    frame->payload_size += size;
}

/* The batch goes to its place without what repeats keys; the asker's own stays as it is. */
static void add_rest(struct log_frame *frame, const struct flow_append *append,
                     const struct flow_batch *batch)
{
    struct flow_append rest = *append;
    size_t head = LOG_ENTRY_HEADER_SIZE + LOG_ENTRY_BATCH_SIZE;
    uint8_t *room = entry_room(frame, head + append->batch_size);
    ASSERT(log_compose_stays(append));
    rest.batch_size = flow_batch_without(batch, append->duplicates, append->holes, room + head);
    rest.record_count = append->record_count - append->duplicate_count;
    entry_added(frame, log_entry_put_batch_head(room, &rest) + rest.batch_size);
}

/* Of the records that stay and have one. */
static void add_keys(struct log_frame *frame, const struct flow_append *append)
{
    size_t head = LOG_ENTRY_HEADER_SIZE + LOG_ENTRY_KEYS_SIZE;
    uint8_t *room = entry_room(frame, head);
    uint32_t count = 0;
    ASSERT(append->keys && append->duplicates);
    for (uint32_t i = 0; i < append->record_count; i++) {
        if (!flow_fingerprint_is_none(&append->keys[i]) && !flow_bit(append->duplicates, i))
            log_key_put(room + head + (size_t)LOG_KEY_SIZE * count++, append->keys[i]);
    }
    if (count == 0)
        return;
    head = log_entry_put_keys_head(room, append->topic_id, append->partition, count);
    entry_added(frame, head + (size_t)LOG_KEY_SIZE * count);
}

static void add_append(struct log *log, struct log_frame *frame, struct flow_append *append)
{
    struct log_partition *partition =
        log_state_partition(&log->state, append->topic_id, append->partition);
    struct flow_batch batch;
    err_t parsed = flow_batch_parse(slice_make(append->batch, append->batch_size), &batch);
    ASSERT(partition && err_is_ok(parsed));
    /* Offsets are given here and nowhere else, in the order of the log. It costs eight bytes, since
     * a batch's CRC leaves them out. If the frame fails they are given again. */
    append->base_offset = partition->next_offset;
    flow_batch_set_base_offset(append->batch, append->base_offset);
    if (!log_compose_stays(append))
        return;
    size_t size = LOG_ENTRY_HEADER_SIZE + LOG_ENTRY_BATCH_SIZE + append->batch_size;
    if (append->duplicate_count > 0) {
        add_rest(frame, append, &batch);
        partition->next_offset += append->holes ? (int64_t)batch.last_offset_delta + 1
                                                : append->record_count - append->duplicate_count;
    } else {
        entry_added(frame, log_entry_put_batch(entry_room(frame, size), append));
        partition->next_offset += (int64_t)batch.last_offset_delta + 1;
    }
    if (append->keys)
        add_keys(frame, append);
}

static void add_topics(struct log *log, struct log_frame *frame, struct flow_commit *commit)
{
    /* Ids follow the state, which nothing else on its way is going to change. */
    uint32_t next_id = log->state.topic_count + 1;
    for (uint32_t i = 0; i < commit->topic_count; i++) {
        struct flow_topic_change *change = &commit->topics[i];
        if (change->op == FLOW_TOPIC_CREATE)
            change->topic_id = next_id++;
        if (change->op == FLOW_TOPIC_DELETE)
            /* Until the frame is applied: then the state itself says that the topic is gone. */
            log->deleting_topic = change->topic_id;
        ASSERT(change->topic_id > 0);
        entry_added(frame, log_entry_put_topic(entry_room(frame, LOG_ENTRY_HEADER_SIZE), change));
    }
}

static void add_sinks(struct log *log, struct log_frame *frame, struct flow_commit *commit)
{
    ASSERT(commit->sink_count <= 1);
    for (uint32_t i = 0; i < commit->sink_count; i++) {
        struct flow_sink_change *change = &commit->sinks[i];
        if (change->op == FLOW_SINK_OPEN) {
            const struct log_sink *known = log_state_sink_named(&log->state, change->name);
            /* A name that was open before goes on with its id, and so with its cursors. */
            change->sink_id = known ? known->id : log->state.sink_count + 1;
        }
        entry_added(frame, log_entry_put_sink(entry_room(frame, LOG_ENTRY_HEADER_SIZE), change));
    }
}

/* The end of an epoch settles the letters that it has redriven. */
static err_t reserve_redriven(struct log *log, const struct flow_sink_change *change)
{
    const struct log_sink *sink = log_state_sink(&log->state, change->sink_id);
    ASSERT(change->op == FLOW_SINK_COMMIT && sink);
    for (uint32_t i = 0; sink->redrives && i < sink->range_count; i++) {
        const struct flow_sink_range *range = &sink->ranges[i];
        TRY(log_settled_reserve(
            &log_state_partition(&log->state, range->topic_id, range->partition)->settled,
            sink->range_count));
    }
    return err_ok();
}

/* For the whole commit first: behind this nothing can fail, and no frame holds half of one. */
static err_t reserve(struct log *log, struct flow_commit *commit)
{
    ASSERT(commit->appends || commit->append_count == 0);
    for (uint32_t i = 0; i < commit->append_count; i++) {
        const struct flow_append *append = &commit->appends[i];
        if (!log_compose_stays(append))
            continue;
        /* A reservation too many, when a later one fails, is only room that is used later. */
        TRY(log_state_reserve(
            &log->state, log_state_partition(&log->state, append->topic_id, append->partition)));
    }
    for (uint32_t i = 0; i < commit->settle_count; i++) {
        const struct flow_settle *settle = &commit->settles[i];
        TRY(log_settled_reserve(
            &log_state_partition(&log->state, settle->topic_id, settle->partition)->settled,
            commit->settle_count));
    }
    for (uint32_t i = 0; i < commit->sink_count; i++) {
        if (commit->sinks[i].op == FLOW_SINK_COMMIT)
            TRY(reserve_redriven(log, &commit->sinks[i]));
    }
    return err_ok();
}

/* The count of a topic in its entry, with the duplicates that were found. */
static struct flow_count with_duplicates(const struct flow_commit *commit, uint32_t index)
{
    struct flow_count count = commit->counts[index];
    ASSERT(index < commit->count_count);
    /* The first count of the topic has them all. */
    for (uint32_t i = 0; i < index; i++) {
        if (commit->counts[i].topic_id == count.topic_id)
            return count;
    }
    for (uint32_t i = 0; i < commit->append_count; i++) {
        if (commit->appends[i].topic_id == count.topic_id)
            count.duplicates += commit->appends[i].duplicate_count;
    }
    return count;
}

bool log_compose_has_keys(const struct flow_commit *commit)
{
    ASSERT(commit->appends || commit->append_count == 0);
    for (uint32_t i = 0; i < commit->append_count; i++) {
        if (commit->appends[i].keys)
            return true;
    }
    return false;
}

static bool configures(const struct flow_commit *commit)
{
    ASSERT(commit->topics || commit->topic_count == 0);
    for (uint32_t i = 0; i < commit->topic_count; i++) {
        if (commit->topics[i].op == FLOW_TOPIC_CONFIG)
            return true;
    }
    return false;
}

static void add_producer_id(struct log *log, struct log_frame *frame, struct flow_commit *commit)
{
    /* Random in every kind of uuid. */
    const uint8_t *last = log->meta.uuid.bytes + sizeof log->meta.uuid.bytes - 4;
    commit->producer_id = log_sequences_give_id(&log->state.sequences, get_u32le(last),
                                                io_wall_ms(log->options.loop));
    ASSERT(commit->producer_id >= 0);
    entry_added(frame, log_entry_put_producer_id(entry_room(frame, LOG_ENTRY_HEADER_SIZE),
                                                 commit->producer_id));
}

/* What was there already is counted, and nothing else of it is taken. */
static void add_repeat(struct log_frame *frame, const struct flow_commit *commit)
{
    struct flow_count count = {.topic_id = commit->counts[0].topic_id,
                               .received = commit->counts[0].received,
                               .duplicates = commit->counts[0].received};
    ASSERT(commit->count_count == 1);
    entry_added(frame, log_entry_put_counts(entry_room(frame, LOG_ENTRY_HEADER_SIZE), &count));
}

err_t log_compose_add(struct log *log, struct log_frame *frame, struct flow_commit *commit,
                      bool *waits)
{
    ASSERT(frame->data);
    ASSERT(frame->payload_size + log_entries_size(commit) <= frame->capacity);
    if (commit->request && commit->request->result == FLOW_REQUEST_REPEAT) {
        add_repeat(frame, commit);
        *waits = true;
        return err_ok();
    }
    TRY(log_compose_keys(log, commit, waits));
    err_t err = reserve(log, commit);
    bool named = commit->request && !commit->request->refused;
    if (err_is_ok(err) && named)
        err = log_compose_request(log, commit);
    if (err_is_ok(err))
        err = log_offsets_add(&log->state.offsets, commit->offsets, commit->offset_count);
    if (!err_is_ok(err)) {
        log_compose_keys_undo(log, commit);
        return err;
    }
    add_topics(log, frame, commit);
    for (uint32_t i = 0; i < commit->append_count; i++)
        add_append(log, frame, &commit->appends[i]);
    for (uint32_t i = 0; i < commit->count_count; i++) {
        size_t size = LOG_ENTRY_HEADER_SIZE;
        struct flow_count count = with_duplicates(commit, i);
        entry_added(frame, log_entry_put_counts(entry_room(frame, size), &count));
    }
    for (uint32_t i = 0; i < commit->settle_count; i++) {
        size_t size = LOG_ENTRY_HEADER_SIZE;
        entry_added(frame, log_entry_put_settle(entry_room(frame, size), &commit->settles[i]));
    }
    if (named)
        entry_added(frame, log_entry_put_request(entry_room(frame, LOG_ENTRY_HEADER_SIZE),
                                                 commit->request));
    if (commit->gives_producer_id) {
        add_producer_id(log, frame, commit);
        /* Nobody has one that a crash could give again. */
        *waits = true;
    }
    for (uint32_t i = 0; i < commit->offset_count; i++)
        entry_added(frame, log_entry_put_offset(entry_room(frame, LOG_ENTRY_HEADER_SIZE),
                                                &commit->offsets[i]));
    add_sinks(log, frame, commit);
    frame->control = frame->control || log_compose_is_control(commit);
    frame->configures = frame->configures || configures(commit);
    return err_ok();
}

void log_compose_add_stop(struct log_frame *frame)
{
    ASSERT(frame->data);
    entry_added(frame, log_entry_put_clean_stop(entry_room(frame, LOG_ENTRY_HEADER_SIZE)));
}

static void zero_padding(struct log_frame *frame)
{
    uint64_t used = LOG_FRAME_HEADER_SIZE + frame->payload_size;
    ASSERT(used <= frame->disk_size && frame->disk_size - used < IO_BLOCK);
    /* The ring's memory held other frames, and what follows this one on the disk must not look like
     * one. */
    memset(frame->data + used, 0, (size_t)(frame->disk_size - used));
}

void log_compose_seal(struct log *log, struct log_frame *frame)
{
    ASSERT(frame->payload_size <= frame->capacity);
    ASSERT(frame->data && frame->capacity > 0);
    frame->disk_size = log_frame_disk_size(frame->payload_size);
    /* The sequencer has looked for room before it let the frame come this far. */
    err_t placed = log_wal_place(&log->wal, frame->disk_size, &frame->position);
    ASSERT(err_is_ok(placed));
    /* Recovery looks for the frame that begins an epoch at the front of a file and nowhere else. */
    ASSERT(!log->epoch_begins || frame->position.offset == 0);
    const struct log_wal_file *file = log_wal_find(&log->wal, frame->position.file_number);
    /* The wall clock may be set back. The log's time is not: what lies further in front is older,
     * as retention has it. */
    int64_t now_ms = io_wall_ms(log->options.loop);
    log->time_ms = now_ms > log->time_ms ? now_ms : log->time_ms;
    frame->position.commit_time_ms = log->time_ms;
    frame->header = (struct log_frame_header){
        .flags = (uint16_t)((log->epoch_begins ? LOG_FRAME_EPOCH_START : 0) |
                            (file->recycled ? LOG_FRAME_RECYCLED : 0)),
        .uuid = log->meta.uuid,
        .epoch = log->epoch,
        .lsn = log->durable_lsn + 1,
        .durable_lsn = log->durable_lsn,
        .payload_size = (uint32_t)frame->payload_size,
        .payload_crc = frame->payload_crc,
        .previous_crc = log->last.header_crc,
        .commit_time_ms = log->time_ms,
        /* Frames behind that lsn which a failed flush may have left on the disk do not count. */
        .valid_to_lsn = log->epoch_begins ? log->durable_lsn : 0,
        .file_number = file->number,
        .block = (uint32_t)(frame->position.offset / IO_BLOCK),
        .file_blocks = (uint32_t)(file->size / IO_BLOCK),
    };
    log_frame_encode(&frame->header, frame->data);
    zero_padding(frame);
    frame->file = file->writer;
    ASSERT(frame->file);
    if (!frame->own)
        log_tail_seal(&log->tail, frame->data, frame->disk_size);
}
