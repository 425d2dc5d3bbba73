#include "base/alloc.h"
#include "base/assert.h"
#include "log/fsck_int.h"

#include <inttypes.h>

/*
 * The happy path: each entry is applied to the state as recovery would, one by one.
 *
 * Failure modes, all of them behind a gap. Offsets jump: what lies between is lost, one record an
 * offset where no damaged batch says how many there were. A topic, its partitions or a sink were
 * made in a frame that is gone: one stands in for it under a name of its own, so that records which
 * are there stay. A sink's epochs have gaps: it is taken on to where its next epoch begins, since
 * it had come there. An entry that still does not fit is left out and told.
 *
 * In a frame whose checksum is wrong, batches have checksums of their own. Where one of them is
 * wrong too, that is what happened to the frame, and everything else in it is taken; where none is,
 * it may be any other byte, and only batches that go on exactly where their partition ends are.
 */

#define STAND_INS_MAX 100000u

struct apply {
    struct log_fsck *f;
    const struct log_fsck_frame *frame;
    bool trusted; /* entries that are no batches */
    bool explained;
    const uint8_t *payload;
};

err_t log_fsck_add_loss(struct log_fsck *f, const struct log_fsck_loss *loss)
{
    void *losses = f->losses;
    ASSERT(loss->topic_id > 0 && loss->first_offset <= loss->end_offset);
    /* Nothing is lost with batches that were nothing but holes. */
    if (loss->records == 0)
        return err_ok();
    if (!log_fsck_grow(&losses, &f->loss_capacity, f->loss_count, sizeof *f->losses))
        return err_make(ERR_MEMORY);
    f->losses = losses;
    f->losses[f->loss_count++] = *loss;
    f->result.lost_records += loss->records;
    const struct log_topic *topic = f->state.topics[loss->topic_id - 1];
    log_fsck_find(f,
                  &(struct log_fsck_finding){.error = true,
                                             .code = "lost",
                                             .topic = topic->name,
                                             .partition = loss->partition,
                                             .first_offset = loss->first_offset,
                                             .end_offset = loss->end_offset,
                                             .records = loss->records,
                                             .at_most = loss->at_most},
                  "offsets %" PRId64 " to %" PRId64 " of topic %s partition %" PRIu32
                  " are lost (%s%" PRIu64 " records)",
                  loss->first_offset, loss->end_offset - 1, topic->name, loss->partition,
                  loss->at_most ? "at most " : "", loss->records);
    return err_ok();
}

static err_t apply_bytes(struct apply *a, struct slice entry, uint64_t offset)
{
    const struct log_frame_header *header = &a->frame->header;
    struct log_position position = {header->file_number, offset, header->commit_time_ms};
    ASSERT(entry.size >= LOG_ENTRY_HEADER_SIZE);
    return log_state_apply(&a->f->state, entry, position);
}

/* A checksum that fits and a content that does not is no rot: it is what a bug wrote, or a frame
 * before it is gone. The rest of the log is not given up for it. */
static err_t refused(struct apply *a, const char *what)
{
    ASSERT(what[0]);
    log_fsck_find(a->f, &(struct log_fsck_finding){.error = true, .code = "entry_refused"},
                  "frame %" PRIu64 ": %s does not fit what comes before it, and is left out",
                  a->frame->header.lsn, what);
    a->explained = false;
    return err_ok();
}

/* Applies what may be refused. */
static err_t try_bytes(struct apply *a, struct slice entry, const char *what)
{
    uint64_t offset = (uint64_t)a->frame->header.block * IO_BLOCK;
    ASSERT(what[0]);
    err_t err = apply_bytes(a, entry, offset);
    return err_is(err, ERR_CORRUPT) ? refused(a, what) : err;
}

static err_t apply_topic_change(struct apply *a, const struct flow_topic_change *change)
{
    uint8_t bytes[512];
    ASSERT(change->name.size <= FLOW_TOPIC_NAME_MAX);
    size_t size = log_entry_put_topic(bytes, change);
    return try_bytes(a, slice_make(bytes, size), "a change of a topic");
}

static err_t apply_sink_change(struct apply *a, const struct flow_sink_change *change)
{
    uint8_t bytes[512];
    ASSERT(change->name.size < 256 && change->range_count == 0);
    size_t size = log_entry_put_sink(bytes, change);
    return try_bytes(a, slice_make(bytes, size), "a change of a sink");
}

/* Topics up to `id` exist, if need be stand-ins. */
static err_t ensure_topics(struct apply *a, uint32_t id)
{
    struct log_fsck *f = a->f;
    ASSERT(f->state.topics || f->state.topic_count == 0);
    if (!f->gaps || id <= f->state.topic_count || id - f->state.topic_count > STAND_INS_MAX)
        return err_ok();
    while (f->state.topic_count < id) {
        uint32_t next = f->state.topic_count + 1;
        char name[64];
        snprintf(name, sizeof name, "lost-topic-%" PRIu32, next);
        struct flow_topic_change change = {.op = FLOW_TOPIC_CREATE,
                                           .topic_id = next,
                                           .uuid = f->uuid,
                                           .name = slice_string(name),
                                           .partition_count = 1};
        for (int i = 0; i < 4; i++)
            change.uuid.bytes[i] ^= (uint8_t)(next >> (8 * i));
        log_fsck_find(
            f, &(struct log_fsck_finding){.error = true, .code = "topic_lost", .topic = name},
            "the creation of topic %" PRIu32 " is lost, with its name; its records are "
            "in %s",
            next, name);
        TRY(apply_topic_change(a, &change));
        if (f->state.topic_count < next)
            return err_ok();
    }
    return err_ok();
}

/* Where frames are missing, a partition that a batch names must have been made by one of them. */
static err_t ensure_partition(struct apply *a, uint32_t topic_id, uint32_t partition)
{
    TRY(ensure_topics(a, topic_id));
    const struct log_topic *topic = log_state_topic(&a->f->state, topic_id);
    ASSERT(!topic || topic->partition_count > 0);
    if (!a->f->gaps || !topic || partition < topic->partition_count ||
        partition >= FLOW_PARTITIONS_MAX)
        return err_ok();
    return apply_topic_change(a, &(struct flow_topic_change){.op = FLOW_TOPIC_PARTITIONS,
                                                             .topic_id = topic_id,
                                                             .partition_count = partition + 1});
}

/* The damaged batch with holes that the partition ends with, or NULL. */
static const struct log_fsck_loss *holed_at(const struct log_fsck *f, uint32_t topic_id,
                                            uint32_t number, int64_t offset)
{
    ASSERT(offset >= 0);
    for (size_t i = f->holed_count; i > 0; i--) {
        const struct log_fsck_loss *holed = &f->holed[i - 1];
        if (holed->topic_id == topic_id && holed->partition == number)
            return holed->first_offset == offset ? holed : NULL;
    }
    return NULL;
}

/* One record an offset at the most; fewer where a batch with holes begins what is lost. Where it
 * also ends there, two batches agree on that, and its count is the true one. */
static void count_lost(const struct log_fsck *f, struct log_fsck_loss *loss)
{
    const struct log_fsck_loss *holed =
        holed_at(f, loss->topic_id, loss->partition, loss->first_offset);
    loss->records = (uint64_t)(loss->end_offset - loss->first_offset);
    loss->at_most = true;
    if (!holed)
        return;
    ASSERT(holed->end_offset > holed->first_offset);
    uint64_t records = holed->records;
    if (loss->end_offset > holed->end_offset)
        records += (uint64_t)(loss->end_offset - holed->end_offset);
    loss->records = records < loss->records ? records : loss->records;
    loss->at_most = loss->end_offset != holed->end_offset;
}

/* The partition's next offset is known to be `offset` at least; what lies between were `records`
 * (UINT64_MAX: nobody knows). */
static err_t raise_end(struct log_fsck *f, uint32_t topic_id, uint32_t number, int64_t offset,
                       uint64_t records)
{
    struct log_partition *partition = log_state_partition(&f->state, topic_id, number);
    if (!partition || offset <= partition->end_offset)
        return err_ok();
    ASSERT(offset > 0);
    struct log_fsck_loss loss = {.topic_id = topic_id,
                                 .partition = number,
                                 .first_offset = partition->end_offset,
                                 .end_offset = offset,
                                 .records = records};
    if (records == UINT64_MAX)
        count_lost(f, &loss);
    partition->end_offset = partition->next_offset = offset;
    return log_fsck_add_loss(f, &loss);
}

/* Where its last offset is one that nothing else says, it is believed only once the next batch
 * begins behind it. */
static err_t remember_holed(struct log_fsck *f, const struct log_fsck_loss *loss)
{
    void *holed = f->holed;
    ASSERT(loss->first_offset < loss->end_offset);
    if (!log_fsck_grow(&holed, &f->holed_capacity, f->holed_count, sizeof *f->holed))
        return err_make(ERR_MEMORY);
    f->holed = holed;
    f->holed[f->holed_count++] = *loss;
    return err_ok();
}

/* A batch that does not fit its checksum. Its count stands in the entry too. */
static err_t lose_batch(struct apply *a, const struct flow_append *append,
                        const struct log_partition *partition)
{
    struct flow_batch batch;
    struct log_fsck *f = a->f;
    err_t err = flow_batch_parse(slice_make(append->batch, append->batch_size), &batch);
    bool known = err_is_ok(err) && batch.bytes.size == append->batch_size &&
                 batch.record_count == append->record_count;
    ASSERT(append->batch_size >= FLOW_BATCH_HEADER_SIZE);
    /* It begins where another damaged one ended: that is the word of two. */
    const struct log_fsck_loss *before =
        holed_at(f, append->topic_id, append->partition, partition->end_offset);
    if (known && before && before->end_offset == batch.base_offset)
        TRY(raise_end(f, append->topic_id, append->partition, batch.base_offset, UINT64_MAX));
    if (!known || batch.base_offset != partition->end_offset) {
        a->explained = false;
        return err_ok();
    }
    int64_t end = batch.base_offset + batch.last_offset_delta + 1;
    if (end - batch.base_offset == batch.record_count)
        return raise_end(f, append->topic_id, append->partition, end, batch.record_count);
    a->explained = false;
    return remember_holed(f, &(struct log_fsck_loss){.topic_id = append->topic_id,
                                                     .partition = append->partition,
                                                     .first_offset = batch.base_offset,
                                                     .end_offset = end,
                                                     .records = batch.record_count});
}

/* In a whole frame the payload's checksum has spoken for the batch too. */
static bool batch_is_good(const struct apply *a, const struct flow_append *append,
                          struct flow_batch *out)
{
    err_t err = flow_batch_parse(slice_make(append->batch, append->batch_size), out);
    ASSERT(append->batch);
    return err_is_ok(err) && out->bytes.size == append->batch_size &&
           out->record_count == append->record_count &&
           (a->frame->whole || err_is_ok(flow_batch_check(out)));
}

/* What the entry counts as, where the topic that it counts for is not there. */
static enum flow_append_kind kind_of(const struct log_fsck *f, const struct flow_append *append)
{
    const struct log_topic *topic = log_state_topic(&f->state, append->topic_id);
    ASSERT(topic);
    if (append->kind == FLOW_APPEND_RECORDS || !topic->parent_id)
        return FLOW_APPEND_RECORDS;
    return log_state_topic(&f->state, topic->parent_id) ? append->kind : FLOW_APPEND_SINK_LETTERS;
}

/* With another kind than it was written with where its topic is not what the frames that are
 * left make of it. */
static err_t put_batch(struct apply *a, struct slice entry, const struct flow_append *append)
{
    uint64_t offset =
        (uint64_t)a->frame->header.block * IO_BLOCK + (uint64_t)(entry.data - a->payload);
    enum flow_append_kind kind = kind_of(a->f, append);
    ASSERT(entry.size > LOG_ENTRY_HEADER_SIZE);
    if (kind == append->kind)
        return apply_bytes(a, entry, offset);
    uint8_t *changed = mem_alloc(entry.size);
    if (!changed)
        return err_make(ERR_MEMORY);
    memcpy(changed, entry.data, entry.size);
    changed[1] = (uint8_t)kind;
    err_t err = apply_bytes(a, slice_make(changed, entry.size), offset);
    mem_free(changed);
    return err;
}

static err_t take_batch(struct apply *a, struct slice entry, const struct flow_append *append)
{
    struct flow_batch batch;
    ASSERT(entry.size > 0);
    bool good = batch_is_good(a, append, &batch);
    if (a->trusted && good)
        TRY(ensure_partition(a, append->topic_id, append->partition));
    const struct log_partition *partition =
        log_state_partition(&a->f->state, append->topic_id, append->partition);
    if (!partition)
        return refused(a, "a batch of a topic or partition that is not known");
    if (!good)
        return lose_batch(a, append, partition);
    if (batch.base_offset < partition->end_offset)
        return refused(a, "a batch with offsets that were given before");
    int64_t jump = batch.base_offset - partition->end_offset;
    if (!a->trusted && jump > 0) {
        a->explained = false;
        return err_ok();
    }
    if (a->f->gaps && jump > 0)
        TRY(raise_end(a->f, append->topic_id, append->partition, batch.base_offset, UINT64_MAX));
    err_t err = put_batch(a, entry, append);
    return err_is(err, ERR_CORRUPT) ? refused(a, "a batch") : err;
}

/* Ids are given in the order of creation: those that are missing before this one get topics
 * without a name of their own, so that what is behind keeps its numbers. */
static err_t take_topic(struct apply *a, struct slice entry, const struct flow_topic_change *change)
{
    struct log_state *state = &a->f->state;
    ASSERT(change->topic_id > 0);
    if (change->op == FLOW_TOPIC_CREATE) {
        TRY(ensure_topics(a, change->topic_id - 1));
        const struct log_topic *same = log_state_topic_named(state, change->name);
        /* A name is free again only once its topic was deleted. */
        if (same && a->f->gaps)
            TRY(apply_topic_change(
                a, &(struct flow_topic_change){.op = FLOW_TOPIC_DELETE, .topic_id = same->id}));
    } else {
        TRY(ensure_topics(a, change->topic_id));
    }
    if (change->op == FLOW_TOPIC_LOG_START && a->f->gaps) {
        TRY(ensure_partition(a, change->topic_id, change->partition));
        TRY(raise_end(a->f, change->topic_id, change->partition, change->start_offset, 0));
    }
    return try_bytes(a, entry, "a change of a topic");
}

/* Sinks up to `id` exist; those that stand in for one are closed. */
static err_t ensure_sinks(struct apply *a, uint32_t id)
{
    struct log_state *state = &a->f->state;
    ASSERT(state->sinks || state->sink_count == 0);
    if (!a->f->gaps || id <= state->sink_count || id - state->sink_count > STAND_INS_MAX)
        return err_ok();
    while (state->sink_count < id) {
        uint32_t next = state->sink_count + 1;
        char name[64];
        snprintf(name, sizeof name, "lost-sink-%" PRIu32, next);
        struct flow_sink_change change = {
            .op = FLOW_SINK_OPEN, .sink_id = next, .name = slice_string(name)};
        TRY(apply_sink_change(a, &change));
        if (state->sink_count < next)
            return err_ok();
        TRY(apply_sink_change(a,
                              &(struct flow_sink_change){.op = FLOW_SINK_CLOSE, .sink_id = next}));
    }
    return err_ok();
}

/* The topics first: the state takes a sink's old ones away before it looks at the new. */
static err_t open_sink(struct apply *a, struct slice bytes, const struct log_entry *entry)
{
    ASSERT(entry->kind == LOG_ENTRY_SINK_OPEN);
    TRY(ensure_sinks(a, entry->sink.sink_id - 1));
    for (uint32_t i = 0; i < entry->sink.topic_count; i++) {
        uint32_t id = log_entry_topic_id(entry, i);
        TRY(ensure_topics(a, id));
        if (!log_state_topic(&a->f->state, id))
            return refused(a, "a sink of a topic that is not known");
    }
    return try_bytes(a, bytes, "the opening of a sink");
}

static void say_resumed(struct apply *a, const struct log_sink *sink, const char *what)
{
    ASSERT(sink->name);
    log_fsck_find(a->f, &(struct log_fsck_finding){.error = true, .code = "sink_epoch_lost"},
                  "sink %s: %s", sink->name, what);
}

/* The sink had come to where this epoch begins. */
static err_t move_cursor(struct apply *a, struct log_sink *sink,
                         const struct flow_sink_range *range)
{
    struct log_cursor *cursor = log_sink_cursor(sink, range->topic_id, range->partition);
    TRY(raise_end(a->f, range->topic_id, range->partition, range->end_offset, UINT64_MAX));
    const struct log_partition *partition =
        log_state_partition(&a->f->state, range->topic_id, range->partition);
    ASSERT(sink->id > 0);
    if (!cursor || !partition || cursor->offset >= range->first_offset)
        return err_ok();
    cursor->offset = range->first_offset;
    uint64_t records = log_partition_records_before(partition, range->first_offset);
    if (records > cursor->records)
        sink->damaged += records - cursor->records;
    cursor->records = records > cursor->records ? records : cursor->records;
    return err_ok();
}

/* Nobody has checked yet what the state only checks against its cursors. */
static bool ranges_make_sense(const struct log_entry *entry)
{
    ASSERT(entry->kind == LOG_ENTRY_SINK_PREPARE || entry->kind == LOG_ENTRY_SINK_REDRIVE);
    for (uint32_t i = 0; i < entry->sink.range_count; i++) {
        struct flow_sink_range range = log_entry_range(entry, i);
        if (range.first_offset < 0 || range.end_offset < range.first_offset)
            return false;
    }
    return true;
}

/* An epoch's ranges begin where the sink's cursors are; those of letters say nothing of cursors. */
static err_t prepare_sink(struct apply *a, struct slice bytes, const struct log_entry *entry)
{
    struct log_sink *sink = log_state_sink(&a->f->state, entry->sink.sink_id);
    if (!sink || !ranges_make_sense(entry))
        return refused(a, "an epoch of a sink");
    ASSERT(sink->name);
    /* Nobody prepares before the last epoch is committed. */
    if (a->f->gaps && sink->prepared && entry->sink.epoch > sink->epoch + 1)
        TRY(apply_sink_change(a, &(struct flow_sink_change){.op = FLOW_SINK_COMMIT,
                                                            .sink_id = sink->id,
                                                            .epoch = sink->epoch + 1}));
    if (a->f->gaps && !sink->prepared && entry->sink.epoch > sink->epoch) {
        if (entry->sink.epoch > sink->epoch + 1)
            say_resumed(a, sink,
                        "what became of the records of some epochs is lost; it goes on behind "
                        "them");
        sink->epoch = entry->sink.epoch - 1;
        bool moves = entry->kind == LOG_ENTRY_SINK_PREPARE;
        for (uint32_t i = 0; moves && i < entry->sink.range_count; i++) {
            struct flow_sink_range range = log_entry_range(entry, i);
            TRY(move_cursor(a, sink, &range));
        }
    }
    if (sink->prepared)
        return refused(a, "an epoch of a sink");
    return try_bytes(a, bytes, "an epoch of a sink");
}

/* Its ranges stand in the entry that prepared it; if that is lost, they are. */
static err_t commit_sink(struct apply *a, struct slice bytes, const struct log_entry *entry)
{
    struct log_sink *sink = log_state_sink(&a->f->state, entry->sink.sink_id);
    uint64_t epoch = entry->sink.epoch;
    if (!sink)
        return refused(a, "the end of a sink's epoch");
    ASSERT(sink->name);
    if (a->f->gaps && sink->prepared && epoch > sink->epoch + 1)
        TRY(apply_sink_change(a, &(struct flow_sink_change){.op = FLOW_SINK_COMMIT,
                                                            .sink_id = sink->id,
                                                            .epoch = sink->epoch + 1}));
    if (!a->f->gaps || sink->prepared || epoch <= sink->epoch)
        return try_bytes(a, bytes, "the end of a sink's epoch");
    say_resumed(a, sink,
                "how far its last epoch went is lost; unless a later one says so, it delivers "
                "those records again");
    sink->epoch = epoch;
    return err_ok();
}

/* In a frame that is not whole a record may be lost whose key is there: sent again it has to be
 * taken, and one that is there may be there twice. */
static err_t take_keys(struct apply *a, struct slice bytes, const struct log_entry_keys *keys)
{
    ASSERT(keys->fingerprints.size > 0);
    if (!a->frame->whole) {
        log_fsck_find(a->f, &(struct log_fsck_finding){.error = true, .code = "keys_lost"},
                      "frame %" PRIu64 ": %zu idempotency keys are left out, a record that repeats "
                      "one of them would be accepted again",
                      a->frame->header.lsn, keys->fingerprints.size / LOG_KEY_SIZE);
        return err_ok();
    }
    TRY(ensure_topics(a, keys->topic_id));
    if (log_state_topic(&a->f->state, keys->topic_id))
        TRY(ensure_partition(a, keys->topic_id, keys->partition));
    return try_bytes(a, bytes, "idempotency keys");
}

/* As with keys: a request whose records may be lost has to be taken when it is sent again. */
static err_t take_request(struct apply *a, struct slice bytes, uint32_t topic_id)
{
    ASSERT(topic_id > 0);
    if (!a->frame->whole) {
        log_fsck_find(a->f, &(struct log_fsck_finding){.error = true, .code = "request_lost"},
                      "frame %" PRIu64 ": that a request counts once is left out; sent again it "
                      "would be taken again, or its producer be told of a gap",
                      a->frame->header.lsn);
        return err_ok();
    }
    TRY(ensure_topics(a, topic_id));
    return try_bytes(a, bytes, "a request that counts once");
}

static err_t take_sequenced(struct apply *a, struct slice bytes,
                            const struct log_entry_sequenced *entry)
{
    ASSERT(entry->batch.count > 0);
    if (a->frame->whole) {
        TRY(ensure_topics(a, entry->topic_id));
        if (log_state_topic(&a->f->state, entry->topic_id))
            TRY(ensure_partition(a, entry->topic_id, entry->batch.partition));
    }
    return take_request(a, bytes, entry->topic_id);
}

/* Older than what was lost, a group's offset has records read again, and loses none: it is kept
 * where its topic is. */
static err_t take_offset(struct apply *a, struct slice bytes, const struct flow_offset *offset)
{
    ASSERT(offset->group.size > 0);
    if (!a->frame->whole) {
        log_fsck_find(a->f, &(struct log_fsck_finding){.error = true, .code = "offset_lost"},
                      "frame %" PRIu64 ": what group %.*s has committed is left out; it would go "
                      "on from where it was before",
                      a->frame->header.lsn, SLICE_PRINTF(offset->group));
        return err_ok();
    }
    if (offset->topic_id > 0)
        TRY(ensure_topics(a, offset->topic_id));
    if (log_state_topic(&a->f->state, offset->topic_id))
        TRY(ensure_partition(a, offset->topic_id, offset->partition));
    return try_bytes(a, bytes, "an offset of a group");
}

/* From a frame that is not whole nothing is believed but its batches, which have checksums of
 * their own. */
static err_t take_entry(struct apply *a, struct slice bytes, const struct log_entry *entry)
{
    ASSERT(bytes.size >= LOG_ENTRY_HEADER_SIZE);
    if (entry->kind == LOG_ENTRY_BATCH)
        return take_batch(a, bytes, &entry->append);
    if (!a->trusted) {
        a->explained = false;
        return err_ok();
    }
    switch ((int)entry->kind) {
    case LOG_ENTRY_COUNTS: TRY(ensure_topics(a, entry->counts.topic_id)); break;
    case LOG_ENTRY_TOPIC_CREATE:
    case LOG_ENTRY_TOPIC_PARTITIONS:
    case LOG_ENTRY_TOPIC_CONFIG:
    case LOG_ENTRY_TOPIC_OPEN:
    case LOG_ENTRY_TOPIC_DELETE:
    case LOG_ENTRY_LOG_START: return take_topic(a, bytes, &entry->topic);
    case LOG_ENTRY_SINK_OPEN: return open_sink(a, bytes, entry);
    case LOG_ENTRY_SINK_PREPARE:
    case LOG_ENTRY_SINK_REDRIVE: return prepare_sink(a, bytes, entry);
    case LOG_ENTRY_SINK_COMMIT: return commit_sink(a, bytes, entry);
    case LOG_ENTRY_KEYS: return take_keys(a, bytes, &entry->keys);
    case LOG_ENTRY_SEQUENCE: return take_request(a, bytes, entry->sequence.topic_id);
    case LOG_ENTRY_ANSWER: return take_request(a, bytes, entry->answer.topic_id);
    case LOG_ENTRY_SEQUENCED: return take_sequenced(a, bytes, &entry->sequenced);
    case LOG_ENTRY_OFFSET:
    case LOG_ENTRY_OFFSET_DELETE: return take_offset(a, bytes, &entry->offset);
    default: break;
    }
    return try_bytes(a, bytes, "an entry");
}

/* Whether a batch with a wrong checksum, and nothing else that can be seen, is what is wrong with
 * the frame. */
static bool blames_a_batch(struct slice payload)
{
    struct log_entry entry;
    bool found = false;
    ASSERT(payload.data || payload.size == 0);
    err_t err;
    while (err_is_ok(err = log_entry_next(&payload, &entry))) {
        struct flow_batch batch;
        if (entry.kind != LOG_ENTRY_BATCH)
            continue;
        struct slice bytes = slice_make(entry.append.batch, entry.append.batch_size);
        found = found || !err_is_ok(flow_batch_parse(bytes, &batch)) ||
                !err_is_ok(flow_batch_check(&batch));
    }
    return found && err_is(err, ERR_END);
}

err_t log_fsck_apply(struct log_fsck *f, const struct log_fsck_frame *frame, struct slice payload,
                     bool *explained)
{
    struct apply a = {.f = f, .frame = frame, .explained = true, .payload = payload.data};
    struct log_entry entry;
    a.trusted = frame->whole || blames_a_batch(payload);
    a.explained = a.trusted && payload.size == frame->header.payload_size;
    f->state.clean_stop = false;
    struct slice rest = payload;
    for (;;) {
        struct slice before = rest;
        err_t err = log_entry_next(&rest, &entry);
        ASSERT(rest.size <= before.size);
        if (err_is(err, ERR_END))
            break;
        if (frame->whole && err_is(err, ERR_VERSION))
            return err_set(f->why, ERR_VERSION,
                           "frame %" PRIu64 " holds an entry of a newer garner; use that version",
                           frame->header.lsn);
        if (!err_is_ok(err)) {
            a.explained = false;
            if (frame->whole)
                TRY(refused(&a, "the rest of it"));
            break;
        }
        TRY(take_entry(&a, slice_sub(before, 0, before.size - rest.size), &entry));
    }
    *explained = a.explained || frame->whole;
    return err_ok();
}

/* Bytes whose content nobody knows, at or behind the place of the partition's newest batch. */
static uint64_t unknown_behind(const struct log_fsck *f, const struct log_partition *partition)
{
    uint64_t bytes = 0;
    uint64_t file = 0;
    uint64_t at = 0;
    ASSERT(partition->end_offset >= 0);
    if (partition->index_count > 0) {
        const struct log_index_entry *entry = &partition->index[partition->index_count - 1];
        file = entry->file_number;
        at = entry->file_offset;
    }
    for (size_t i = 0; i < f->range_count; i++) {
        const struct log_fsck_range *range = &f->ranges[i];
        bool behind = range->file_number > file || (range->file_number == file && range->end > at);
        if (range->unexplained && behind)
            bytes += range->end - range->first;
    }
    return bytes;
}

/* Of partitions that no frame goes on with. */
static err_t lose_holed(struct log_fsck *f)
{
    for (size_t i = 0; i < f->holed_count; i++) {
        const struct log_fsck_loss *holed = &f->holed[i];
        const struct log_partition *partition =
            log_state_partition(&f->state, holed->topic_id, holed->partition);
        ASSERT(holed->end_offset > holed->first_offset);
        if (partition && partition->end_offset == holed->first_offset)
            TRY(raise_end(f, holed->topic_id, holed->partition, holed->end_offset, holed->records));
    }
    return err_ok();
}

/* An offset that somebody may have been told is never given to another record, which costs
 * nothing but a hole. */
err_t log_fsck_move_ends(struct log_fsck *f)
{
    uint32_t moved = 0;
    uint64_t most = 0;
    TRY(lose_holed(f));
    for (uint32_t t = 0; f->range_count > 0 && t < f->state.topic_count; t++) {
        const struct log_topic *topic = f->state.topics[t];
        for (uint32_t p = 0; p < topic->partition_count; p++) {
            struct log_partition *partition = &topic->partitions[p];
            uint64_t bytes = unknown_behind(f, partition);
            /* No record takes less than a byte. */
            if (bytes == 0 || bytes > (uint64_t)(INT64_MAX / 2 - partition->end_offset))
                continue;
            ASSERT(partition->end_offset >= 0);
            partition->end_offset += (int64_t)bytes;
            partition->next_offset = partition->end_offset;
            most = bytes > most ? bytes : most;
            moved++;
        }
    }
    if (moved > 0)
        log_fsck_find(f, &(struct log_fsck_finding){.code = "ends_unknown"},
                      "what is lost may have given out offsets: those of %" PRIu32
                      " partitions have to go on up to %" PRIu64 " further on, so that none is "
                      "given twice",
                      moved, most);
    return err_ok();
}
