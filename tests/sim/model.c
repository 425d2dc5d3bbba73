#include "sim/model.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cursor.h"

#define VALUE_HEAD 16u
#define UNPACK_SIZE_MAX (UINT64_C(64) << 20)

void model_init(struct model *model, uint64_t seed)
{
    *model = (struct model){.seed = seed};
    memset(model->loss_allowed_from, -1, sizeof model->loss_allowed_from);
    for (uint32_t t = 0; t < MODEL_TOPICS; t++)
        for (uint32_t p = 0; p < MODEL_PARTITIONS; p++)
            model->partitions[t][p].unreadable_from = -1;
}

void model_done(struct model *model)
{
    for (uint32_t t = 0; t < MODEL_TOPICS; t++)
        for (uint32_t p = 0; p < MODEL_PARTITIONS; p++)
            free(model->partitions[t][p].seen);
    free(model->commits);
    free(model->ids);
    *model = (struct model){0};
}

_Noreturn void model_fail(const struct model *model, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fflush(stdout);
    fprintf(stderr, "seed %" PRIu64 ": ", model->seed);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\nto see it again: log_sim --seed %" PRIu64 "\n", model->seed);
    va_end(arguments);
    exit(1);
}

static void *grow(void *items, size_t count, size_t size)
{
    void *grown = realloc(items, count * size);
    if (!grown)
        abort();
    return grown;
}

uint32_t model_add(struct model *model, uint32_t producer)
{
    if (model->count == model->capacity) {
        model->capacity = model->capacity ? model->capacity * 2 : 256;
        model->commits = grow(model->commits, model->capacity, sizeof *model->commits);
    }
    model->commits[model->count] = (struct model_commit){.producer = producer};
    return model->count++;
}

void model_id(struct model *model, int64_t producer_id)
{
    for (uint32_t i = 0; i < model->id_count; i++)
        if (model->ids[i] == producer_id)
            model_fail(model, "producer id %" PRId64 " was given twice", producer_id);
    model->ids = grow(model->ids, model->id_count + 1u, sizeof *model->ids);
    model->ids[model->id_count++] = producer_id;
}

static uint64_t mix(uint64_t value)
{
    value += UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
    return value ^ value >> 31;
}

/* Bytes that values are pieces of. */
static const uint8_t *pool(void)
{
    static uint8_t bytes[MODEL_VALUE_SIZE_MAX + 8192];
    static bool made;
    for (uint64_t at = 0; !made && at < sizeof bytes; at += 8)
        put_u64le(bytes + at, mix(at));
    made = true;
    return bytes;
}

/* The value of a record, in memory that is used again. */
static struct slice value_of(const struct model *model, uint32_t commit, uint32_t append,
                             uint32_t index)
{
    static uint8_t bytes[VALUE_HEAD + MODEL_VALUE_SIZE_MAX];
    const struct model_append *a = &model->commits[commit].appends[append];
    uint64_t hash = mix(mix(model->seed ^ commit) ^ (uint64_t)append << 32 ^ index);
    size_t size = VALUE_HEAD + hash % (a->value_size_max + 1);
    put_u64le(bytes, commit);
    put_u32le(bytes + 8, append);
    put_u32le(bytes + 12, index);
    /* Whole blocks of zeros are data like any other. */
    if (size > 100000 && (hash & 0x100) != 0)
        memset(bytes + VALUE_HEAD, 0, size - VALUE_HEAD);
    else
        memcpy(bytes + VALUE_HEAD, pool() + (hash >> 40) % 8192, size - VALUE_HEAD);
    return slice_make(bytes, size);
}

static int64_t timestamp_of(uint32_t commit, uint32_t index)
{
    return 1600000000000 + (int64_t)(mix(commit) % 1000000) + index;
}

bool model_build(const struct model *model, uint32_t commit, uint32_t append,
                 struct flow_batch_builder *builder)
{
    const struct model_append *a = &model->commits[commit].appends[append];
    for (uint32_t i = 0; i < a->count; i++) {
        struct slice none = {0};
        err_t err = flow_batch_builder_add(builder, timestamp_of(commit, i), none,
                                           value_of(model, commit, append, i), NULL, 0);
        if (!err_is_ok(err))
            return false;
    }
    return true;
}

void model_answer(struct model *model, uint32_t number, const struct flow_commit *answer,
                  bool early)
{
    struct model_commit *commit = &model->commits[number];
    MODEL_EXPECT(model, commit->state == MODEL_SENT);
    commit->state = err_is(answer->error, ERR_FENCED) ? MODEL_UNKNOWN : MODEL_NOT;
    if (!err_is_ok(answer->error))
        return;
    commit->state = early ? MODEL_EARLY : MODEL_OK;
    for (uint32_t i = 0; i < commit->append_count; i++)
        commit->appends[i].base_offset = answer->appends[i].base_offset;
}

void model_keys(const struct model *model, uint32_t commit, uint32_t append,
                struct flow_fingerprint *out)
{
    const struct model_append *a = &model->commits[commit].appends[append];
    for (uint32_t i = 0; i < a->count; i++) {
        uint64_t hash = mix(mix(model->seed ^ commit) ^ (uint64_t)append << 32 ^ i);
        out[i] = (struct flow_fingerprint){hash, mix(hash)};
    }
}

void model_fresh(const struct model *model, uint32_t commit, uint32_t duplicates)
{
    if (duplicates > 0)
        model_fail(model, "commit %u: %u keys that nobody had sent were called duplicates", commit,
                   duplicates);
}

static void see(struct model *model, uint32_t topic, uint32_t partition, int64_t offset,
                struct model_seen what)
{
    struct model_partition *p = &model->partitions[topic][partition];
    if (offset >= p->seen_capacity) {
        int64_t capacity = offset * 2 + 64;
        p->seen = grow(p->seen, (size_t)capacity, sizeof *p->seen);
        memset(p->seen + p->seen_capacity, 0,
               (size_t)(capacity - p->seen_capacity) * sizeof *p->seen);
        p->seen_capacity = capacity;
    }
    struct model_seen *seen = &p->seen[offset];
    bool same =
        seen->commit == what.commit && seen->append == what.append && seen->index == what.index;
    if (seen->commit && !same)
        model_fail(model,
                   "topic %u partition %u offset %" PRId64 " was seen as %s, and is %s of commit "
                   "%" PRId64,
                   topic, partition, offset, seen->commit == MODEL_HOLE ? "a hole" : "another",
                   what.commit == MODEL_HOLE ? "a hole" : "one", (int64_t)what.commit - 1);
    *seen = what;
    if (offset >= p->seen_end)
        p->seen_end = offset + 1;
}

static void see_holes(struct model *model, uint32_t topic, uint32_t partition, int64_t first,
                      int64_t end)
{
    for (int64_t offset = first; offset < end; offset++)
        see(model, topic, partition, offset, (struct model_seen){.commit = MODEL_HOLE});
}

/* Of a commit that repeats another nothing is in the log but its counts, which cannot be told from
 * other ones: what is not known of it stays so. */
void model_repeated(struct model *model, uint32_t number, const struct flow_commit *answer,
                    uint32_t duplicates, bool early)
{
    struct model_commit *commit = &model->commits[number];
    struct model_commit *first = &model->commits[commit->repeats - 1];
    MODEL_EXPECT(model, commit->state == MODEL_SENT && first->repeating);
    first->repeating = false;
    commit->state = err_is(answer->error, ERR_FENCED) ? MODEL_HIDDEN : MODEL_NOT;
    first->unsure += commit->state == MODEL_HIDDEN;
    if (!err_is_ok(answer->error))
        return;
    commit->state = early ? MODEL_HIDDEN : MODEL_OK;
    first->unsure += early;
    commit->duplicates = duplicates > 0 ? duplicates : commit->duplicates;
    if (duplicates != 0 && duplicates != commit->received)
        model_fail(model, "commit %u repeats %u: %u of its %" PRIu64 " records are duplicates",
                   number, commit->repeats - 1, duplicates, commit->received);
    if (duplicates == 0 && first->state == MODEL_OK)
        model_fail(model, "commit %u repeats %u, which is there, and was taken for another", number,
                   commit->repeats - 1);
    if (early)
        return;
    /* What is left out of such a batch by its keys keeps its offsets all the same. */
    for (uint32_t i = 0; i < first->append_count && duplicates > 0; i++) {
        const struct model_append *append = &first->appends[i];
        int64_t base = answer->appends[i].base_offset;
        if (append->holed && first->named == MODEL_NAMED_NOT)
            see_holes(model, append->topic, append->partition, base, base + append->count);
    }
    if (first->state == MODEL_HIDDEN)
        return;
    /* With the repeat the first is there, by either of the two. */
    first->state = MODEL_OK;
    if (duplicates == 0)
        first->counts = MODEL_COUNTS_NOT;
    else if (first->counts == MODEL_COUNTS_MAYBE && first->unsure == 0)
        first->counts = MODEL_COUNTS;
    for (uint32_t i = 0; i < first->append_count && duplicates == 0; i++)
        first->appends[i].base_offset = answer->appends[i].base_offset;
}

void model_crash(struct model *model)
{
    for (uint32_t i = 0; i < model->count; i++)
        if (model->commits[i].state == MODEL_SENT && model->commits[i].repeats)
            model->commits[model->commits[i].repeats - 1].unsure++;
    for (uint32_t i = 0; i < model->count; i++)
        model->commits[i].repeating = false;
    for (uint32_t i = 0; i < model->count; i++)
        if (model->commits[i].state == MODEL_SENT)
            model->commits[i].state = model->commits[i].repeats ? MODEL_HIDDEN : MODEL_UNKNOWN;
}

/* Whose record this is; every byte is compared. */
static struct model_seen identify(const struct model *model, uint32_t topic, uint32_t partition,
                                  const struct flow_record *record)
{
    MODEL_EXPECT(model, record->value.size >= VALUE_HEAD);
    uint64_t commit = get_u64le(record->value.data);
    uint32_t append = get_u32le(record->value.data + 8);
    uint32_t index = get_u32le(record->value.data + 12);
    if (commit >= model->count || append >= model->commits[commit].append_count)
        model_fail(model, "a record of a commit that never was");
    const struct model_append *a = &model->commits[commit].appends[append];
    if (a->topic != topic || a->partition != partition || index >= a->count)
        model_fail(model, "a record of commit %" PRIu64 " is in topic %u partition %u", commit,
                   topic, partition);
    MODEL_EXPECT(model,
                 slice_equal(record->value, value_of(model, (uint32_t)commit, append, index)));
    MODEL_EXPECT(model, record->timestamp_ms == timestamp_of((uint32_t)commit, index));
    if (a->holes >> index & 1)
        model_fail(model, "record %u of commit %" PRIu64 " is there, and was left out", index,
                   commit);
    if (model->commits[commit].state == MODEL_NOT)
        model_fail(model, "commit %" PRIu64 " is there, and was said not to be", commit);
    return (struct model_seen){(uint32_t)commit + 1, append, index};
}

/* The append is found for the first time in this pass, with its first offset there. */
static void pass_append(struct model *model, struct model_partition *p, uint32_t number,
                        struct model_append *append, int64_t base_offset)
{
    const struct model_commit *commit = &model->commits[number];
    uint32_t *last = &p->last_commit[commit->producer];
    append->found_at = base_offset;
    if (number + 1 < *last && !commit->resent)
        model_fail(model, "commits %u and %u of one producer changed places", *last - 1, number);
    *last = number + 1 > *last || !commit->resent ? number + 1 : *last;
}

static void pass_record(struct model *model, uint32_t topic, uint32_t partition,
                        const struct flow_record *record, struct model_seen what)
{
    struct model_commit *commit = &model->commits[what.commit - 1];
    struct model_append *append = &commit->appends[what.append];
    struct model_partition *p = &model->partitions[topic][partition];
    /* A batch may begin before what was asked for. */
    if (record->offset < p->pass_next)
        return;
    if (append->found_at < 0)
        pass_append(model, p, what.commit - 1, append, record->offset - what.index);
    /* Offsets stay apart as they were: so each record is there once, in its order. */
    if (record->offset != append->found_at + what.index)
        model_fail(model, "record %u of commit %u is there twice or out of order", what.index,
                   what.commit - 1);
    append->found++;
}

/* A batch of which nothing is left says by its numbers whose it is. */
static void check_empty(struct model *model, uint32_t topic, uint32_t partition,
                        const struct flow_batch *batch, bool pass)
{
    struct model_partition *p = &model->partitions[topic][partition];
    int64_t end = batch->base_offset + batch->last_offset_delta + 1;
    MODEL_EXPECT(model, batch->max_timestamp_ms == -1);
    for (uint32_t i = model->count; batch->producer_id >= 0 && i > 0; i--) {
        struct model_commit *commit = &model->commits[i - 1];
        struct model_append *append = &commit->appends[0];
        if (commit->named != MODEL_NAMED_BY_SEQUENCE || commit->repeats ||
            commit->producer_id != batch->producer_id ||
            commit->sequence != (uint64_t)batch->base_sequence)
            continue;
        bool same = append->topic == topic && append->partition == partition &&
                    append->count == (uint32_t)(end - batch->base_offset);
        if (!same || model_left(append) > 0 || commit->state == MODEL_NOT)
            model_fail(model, "commit %u is not the empty batch that is there of it", i - 1);
        if (pass && end > p->pass_next && append->found_at < 0)
            pass_append(model, p, i - 1, append, batch->base_offset);
        if (pass && end > p->pass_next && append->found_at != batch->base_offset)
            model_fail(model, "commit %u is there twice", i - 1);
        return;
    }
    if (batch->producer_id >= 0)
        model_fail(model, "an empty batch of a commit that never was");
}

static int64_t each_record(struct model *model, uint32_t topic, uint32_t partition,
                           struct slice bytes, bool pass)
{
    struct flow_batch batch;
    struct flow_record record;
    err_t err = flow_batch_parse(bytes, &batch);
    MODEL_EXPECT(model, err_is_ok(err));
    err = flow_batch_check(&batch);
    MODEL_EXPECT(model, err_is_ok(err));
    struct buf unpacked;
    buf_init(&unpacked, 0);
    err = flow_batch_unpack(&batch, UNPACK_SIZE_MAX, &unpacked);
    if (err_is(err, ERR_MEMORY)) {
        /* The allocation that was to fail was this one. */
        buf_done(&unpacked);
        buf_init(&unpacked, 0);
        err = flow_batch_unpack(&batch, UNPACK_SIZE_MAX, &unpacked);
    }
    MODEL_EXPECT(model, err_is_ok(err));
    struct flow_batch_iterator it = flow_batch_records(&batch);
    int64_t next = batch.base_offset;
    int64_t end = next + batch.last_offset_delta + 1;
    while (err_is_ok(err = flow_batch_next(&it, &record))) {
        struct model_seen what = identify(model, topic, partition, &record);
        see_holes(model, topic, partition, next, record.offset);
        see(model, topic, partition, record.offset, what);
        next = record.offset + 1;
        if (pass)
            pass_record(model, topic, partition, &record, what);
    }
    MODEL_EXPECT(model, err_is(err, ERR_END) && next <= end);
    see_holes(model, topic, partition, next, end);
    if (batch.record_count == 0)
        check_empty(model, topic, partition, &batch, pass);
    buf_done(&unpacked);
    return end;
}

/* Batches without gaps, the first of which holds the wanted offset: holes lie within batches. */
static void check_read(struct model *model, uint32_t topic, const struct flow_read *read, bool pass)
{
    int64_t next = read->offset;
    for (uint32_t i = 0; i < read->batch_count; i++) {
        struct flow_batch batch;
        err_t err = flow_batch_parse(read->batches[i], &batch);
        MODEL_EXPECT(model, err_is_ok(err));
        bool follows = i == 0 ? batch.base_offset <= next : batch.base_offset == next;
        if (!follows || batch.base_offset + batch.last_offset_delta < next)
            model_fail(model,
                       "topic %u partition %u: a batch at offset %" PRId64 " where offset %" PRId64
                       " was wanted",
                       topic, read->partition, batch.base_offset, next);
        next = each_record(model, topic, read->partition, read->batches[i], pass);
    }
    MODEL_EXPECT(model, next == read->next_offset);
}

void model_end(struct model *model, uint32_t topic, uint32_t partition, int64_t end_offset)
{
    struct model_partition *p = &model->partitions[topic][partition];
    if (end_offset > p->durable_end)
        p->durable_end = end_offset;
}

void model_read(struct model *model, uint32_t topic, const struct flow_read *read)
{
    check_read(model, topic, read, false);
    model_end(model, topic, read->partition, read->end_offset);
}

int64_t model_some_time(const struct model *model, uint64_t draw)
{
    if (model->count == 0 || draw % 8 == 0)
        return 1600000000000 + (int64_t)(draw % 1100000);
    return timestamp_of((uint32_t)(draw / 8 % model->count), 0) + (int64_t)(draw % 3) - 1;
}

static bool is_seen_with(const struct model *model, const struct model_partition *p, int64_t offset,
                         int64_t *timestamp_ms)
{
    if (offset >= p->seen_end || !p->seen[offset].commit || p->seen[offset].commit == MODEL_HOLE)
        return false;
    (void)model;
    *timestamp_ms = timestamp_of(p->seen[offset].commit - 1, p->seen[offset].index);
    return true;
}

void model_found(struct model *model, uint32_t topic, const struct flow_find *find,
                 int64_t seen_end)
{
    const struct model_partition *p = &model->partitions[topic][find->partition];
    int64_t timestamp_ms = 0;
    bool highest = find->timestamp_ms == FLOW_FIND_MAX;
    /* In front of the first of the highest all are lower. */
    int64_t wanted_ms = find->timestamp_ms;
    if (highest)
        wanted_ms = find->found_timestamp_ms >= 0 ? find->found_timestamp_ms : 0;
    MODEL_EXPECT(model, find->found_timestamp_ms == -1 || find->found_timestamp_ms >= wanted_ms);
    if (find->found_timestamp_ms >= 0 && is_seen_with(model, p, find->offset, &timestamp_ms))
        MODEL_EXPECT(model, timestamp_ms == find->found_timestamp_ms);
    for (int64_t offset = p->start; offset < find->offset; offset++)
        if (is_seen_with(model, p, offset, &timestamp_ms) && timestamp_ms >= wanted_ms)
            model_fail(model,
                       "topic %u partition %u: offset %" PRId64 " has time %" PRId64
                       ", and a search for %" PRId64 " has found offset %" PRId64,
                       topic, find->partition, offset, timestamp_ms, find->timestamp_ms,
                       find->offset);
    for (int64_t offset = p->start; highest && offset < seen_end; offset++)
        if (is_seen_with(model, p, offset, &timestamp_ms))
            MODEL_EXPECT(model, timestamp_ms <= find->found_timestamp_ms);
}

void model_start(struct model *model, uint32_t topic, uint32_t partition, int64_t start)
{
    struct model_partition *p = &model->partitions[topic][partition];
    if (start < p->start || start < p->start_claimed)
        model_fail(
            model, "topic %u partition %u begins at offset %" PRId64 ", and at %" PRId64 " before",
            topic, partition, start, p->start > p->start_claimed ? p->start : p->start_claimed);
    p->start = start;
}

bool model_all_older(const struct model *model, uint32_t topic, uint32_t partition, int64_t start,
                     int64_t since_ms)
{
    for (uint32_t i = 0; i < model->count; i++) {
        const struct model_commit *commit = &model->commits[i];
        for (uint32_t a = 0; a < commit->append_count; a++) {
            const struct model_append *append = &commit->appends[a];
            if (append->topic == topic && append->partition == partition &&
                commit->state == MODEL_OK && append->base_offset >= 0 &&
                append->base_offset < start && commit->sent_ms >= since_ms)
                return false;
        }
    }
    return true;
}

uint64_t model_records(const struct model *model, uint32_t topic, uint32_t partition, int64_t first,
                       int64_t end)
{
    const struct model_partition *p = &model->partitions[topic][partition];
    uint64_t records = p->holed ? 0 : (uint64_t)(end - first);
    for (int64_t offset = first; p->holed && offset < end && offset < p->seen_end; offset++)
        records += p->seen[offset].commit != 0 && p->seen[offset].commit != MODEL_HOLE;
    return records;
}

int64_t model_records_max(const struct model *model, uint32_t topic, uint32_t partition)
{
    int64_t records = 0;
    for (uint32_t i = 0; i < model->count; i++) {
        const struct model_commit *commit = &model->commits[i];
        for (uint32_t a = 0; a < commit->append_count && commit->state != MODEL_NOT; a++) {
            const struct model_append *append = &commit->appends[a];
            if (append->topic == topic && append->partition == partition)
                records += model_left(append);
        }
    }
    return records;
}

void model_pass_begin(struct model *model)
{
    for (uint32_t i = 0; i < model->count; i++)
        for (uint32_t a = 0; a < model->commits[i].append_count; a++) {
            model->commits[i].appends[a].found = 0;
            model->commits[i].appends[a].found_at = -1;
        }
    for (uint32_t t = 0; t < MODEL_TOPICS; t++)
        for (uint32_t p = 0; p < MODEL_PARTITIONS; p++) {
            struct model_partition *partition = &model->partitions[t][p];
            memset(partition->last_commit, 0, sizeof partition->last_commit);
            partition->pass_next = partition->start;
        }
}

void model_pass_read(struct model *model, uint32_t topic, const struct flow_read *read)
{
    check_read(model, topic, read, true);
    model->partitions[topic][read->partition].pass_next = read->next_offset;
}

/* What a pass says of an append. */
enum trace {
    TRACE_FOUND,   /* what has not expired is there, whole */
    TRACE_EXPIRED, /* all of it is known to have been there, and has expired */
    TRACE_HIDDEN,  /* it may have been there, and would have expired */
    TRACE_MISSING,
};

static bool is_seen_as_hole(const struct model_partition *p, int64_t offset)
{
    return offset < p->seen_end && p->seen[offset].commit == MODEL_HOLE;
}

/* How many records of the append, or holes of it, have not expired with its first offset there. */
static uint32_t not_expired(const struct model_partition *p, const struct model_append *append,
                            int64_t base, bool holes)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < append->count; i++)
        count += base + i >= p->start && (append->holes >> i & 1) == holes;
    return count;
}

/* What was a hole is nobody's, ever. */
static bool keeps_holes(const struct model_partition *p, const struct model_append *append,
                        int64_t base)
{
    for (uint32_t i = 0; i < append->count; i++)
        if ((append->holes >> i & 1) && base + i >= p->start && !is_seen_as_hole(p, base + i))
            return false;
    return true;
}

/* Nothing in the log says whose such a batch is. */
static bool is_nameless(const struct model_commit *commit, const struct model_append *append)
{
    return model_left(append) == 0 && commit->named != MODEL_NAMED_BY_SEQUENCE;
}

static enum trace trace_of_nameless(const struct model_commit *commit,
                                    const struct model_append *append,
                                    const struct model_partition *p)
{
    if (append->base_offset < 0 || commit->state != MODEL_OK)
        return TRACE_HIDDEN;
    if (not_expired(p, append, append->base_offset, true) == 0)
        return TRACE_EXPIRED;
    return keeps_holes(p, append, append->base_offset) ? TRACE_FOUND : TRACE_MISSING;
}

static enum trace trace_of(const struct model *model, uint32_t number, uint32_t index)
{
    const struct model_commit *commit = &model->commits[number];
    const struct model_append *append = &commit->appends[index];
    const struct model_partition *p = &model->partitions[append->topic][append->partition];
    int64_t end = append->base_offset + append->count;
    bool unreadable =
        p->unreadable_from >= 0 && (append->base_offset < 0 || end > p->unreadable_from);
    if (unreadable || model->topics[append->topic] == MODEL_TOPIC_GONE)
        return commit->state == MODEL_OK ? TRACE_EXPIRED : TRACE_HIDDEN;
    if (is_nameless(commit, append))
        return trace_of_nameless(commit, append, p);
    if (append->found_at >= 0) {
        if (append->found != not_expired(p, append, append->found_at, false))
            model_fail(model, "commit %u: %u of %u records are there", number, append->found,
                       model_left(append));
        if (!keeps_holes(p, append, append->found_at))
            model_fail(model, "commit %u: one of its holes is gone", number);
        if (append->base_offset >= 0 && commit->state == MODEL_OK)
            MODEL_EXPECT(model, append->found_at == append->base_offset);
        return TRACE_FOUND;
    }
    if (append->base_offset < 0)
        return commit->state == MODEL_OK || p->start > p->pass_end ? TRACE_HIDDEN : TRACE_MISSING;
    if (not_expired(p, append, append->base_offset, model_left(append) == 0) > 0)
        return TRACE_MISSING;
    bool seen =
        append->base_offset < p->seen_end && p->seen[append->base_offset].commit == number + 1;
    return commit->state == MODEL_OK || seen ? TRACE_EXPIRED : TRACE_HIDDEN;
}

static bool loss_allowed(const struct model *model, const struct model_append *append)
{
    int64_t from = model->loss_allowed_from[append->topic][append->partition];
    return from >= 0 && (append->base_offset < 0 || append->base_offset + append->count > from);
}

static void settle(struct model *model, uint32_t number)
{
    struct model_commit *commit = &model->commits[number];
    uint32_t traces[TRACE_MISSING + 1] = {0};
    bool early = commit->state == MODEL_EARLY;
    if (commit->state == MODEL_NOT || commit->state == MODEL_HIDDEN)
        return;
    /* Counts alone leave no trace by which to tell whether they were in the frame that is gone. */
    if (commit->append_count == 0) {
        bool any = model->loss_allowed_from[commit->topic][0] >= 0;
        commit->state = commit->state == MODEL_OK && any ? MODEL_HIDDEN : commit->state;
        return;
    }
    bool may_lose = true;
    for (uint32_t i = 0; i < commit->append_count; i++) {
        struct model_append *append = &commit->appends[i];
        enum trace trace = trace_of(model, number, i);
        traces[trace]++;
        may_lose = may_lose && (trace != TRACE_MISSING || loss_allowed(model, append));
    }
    uint32_t there = traces[TRACE_FOUND] + traces[TRACE_EXPIRED];
    uint32_t missing = traces[TRACE_MISSING];
    if (missing > 0 && there > 0)
        model_fail(model, "commit %u: %u of its %u batches are there", number, there,
                   commit->append_count);
    if (missing > 0 && commit->state == MODEL_OK && !may_lose)
        model_fail(model, "commit %u was acknowledged and is gone", number);
    if (missing > 0 && commit->state == MODEL_EARLY)
        model->lost_early_bytes += commit->size;
    commit->state = there > 0 ? MODEL_OK : missing > 0 ? MODEL_NOT : MODEL_HIDDEN;
    for (uint32_t i = 0; i < commit->append_count; i++) {
        struct model_append *append = &commit->appends[i];
        if (append->found_at >= 0)
            append->base_offset = append->found_at;
        else if (early && is_nameless(commit, append))
            append->base_offset = -1;
    }
}

void model_pass_end(struct model *model)
{
    model->lost_early_bytes = 0;
    for (uint32_t i = 0; i < model->count; i++)
        settle(model, i);
    for (uint32_t t = 0; t < MODEL_TOPICS; t++)
        for (uint32_t p = 0; p < MODEL_PARTITIONS; p++)
            model->partitions[t][p].pass_end = model->partitions[t][p].pass_next;
}

bool model_letters(const struct model *model, uint32_t sink, uint64_t epoch, uint32_t count)
{
    uint32_t found = 0;
    uint32_t hidden = 0;
    for (uint32_t i = 0; i < model->count; i++) {
        const struct model_commit *commit = &model->commits[i];
        bool ends = commit->sink == sink + 1 && commit->sink_epoch == epoch;
        found += ends && commit->state == MODEL_OK;
        hidden += ends && commit->state == MODEL_HIDDEN;
    }
    return found <= count && count <= found + hidden;
}

/* Sums over what is in the log, and what may be: from the first to the second. */
struct sums {
    uint64_t received[2];
    uint64_t duplicates[2];
    uint64_t refused[2];
    uint64_t records[2];
    uint64_t letters[2];
};

static void add(uint64_t sum[static 2], uint64_t value, bool sure)
{
    sum[0] += sure ? value : 0;
    sum[1] += value;
}

static struct sums sum_up(const struct model *model, uint32_t t)
{
    struct sums sums = {0};
    for (uint32_t i = 0; i < model->count; i++) {
        const struct model_commit *commit = &model->commits[i];
        bool sure = commit->state == MODEL_OK;
        if (!sure && commit->state != MODEL_HIDDEN)
            continue;
        if (commit->topic == t && commit->counts != MODEL_COUNTS_NOT) {
            sure = sure && commit->counts == MODEL_COUNTS;
            add(sums.received, commit->received, sure);
            add(sums.duplicates, sure || !commit->repeats ? commit->duplicates : commit->received,
                sure);
            add(sums.refused, commit->refused, sure);
            sure = commit->state == MODEL_OK;
        }
        for (uint32_t a = 0; a < commit->append_count; a++) {
            const struct model_append *append = &commit->appends[a];
            if (append->topic == t)
                add(sums.records, model_left(append), sure);
            if (t < MODEL_PARENTS && append->topic == t + MODEL_PARENTS &&
                append->kind == FLOW_APPEND_DEAD_LETTERS)
                add(sums.letters, append->count, sure);
        }
    }
    return sums;
}

static bool within(uint64_t value, const uint64_t sum[static 2])
{
    return sum[0] <= value && value <= sum[1];
}

static bool is_dlq(uint32_t t)
{
    return t >= MODEL_PARENTS && t < MODEL_STATIC;
}

void model_check_ledger(const struct model *model, const struct flow_snapshot *snapshot,
                        const uint32_t topic_ids[static MODEL_TOPICS])
{
    for (uint32_t t = 0; t < MODEL_TOPICS; t++) {
        const struct flow_topic_state *topic = flow_snapshot_topic_by_id(snapshot, topic_ids[t]);
        if (!topic)
            continue;
        struct sums sums = sum_up(model, t);
        if (!within(topic->received, sums.received) ||
            !within(topic->duplicates, sums.duplicates) || !within(topic->refused, sums.refused) ||
            !within(topic->dead_lettered, sums.letters))
            model_fail(model,
                       "topic %u: the log received %" PRIu64 " (%" PRIu64 " duplicates, %" PRIu64
                       " refused, %" PRIu64 " dead letters), those who sent %" PRIu64 " (%" PRIu64
                       ", %" PRIu64 ", %" PRIu64 ")",
                       t, topic->received, topic->duplicates, topic->refused, topic->dead_lettered,
                       sums.received[0], sums.duplicates[0], sums.refused[0], sums.letters[0]);
        uint64_t records = is_dlq(t) ? topic->dlq_total : topic->accepted;
        MODEL_EXPECT(model, within(records, sums.records));
        uint64_t starts = 0;
        uint64_t ends = 0;
        bool holed = false;
        for (uint32_t p = 0; p < topic->partition_count; p++) {
            starts += (uint64_t)topic->start_offset[p];
            ends += (uint64_t)topic->end_offset[p];
            holed |= model->partitions[t][p].holed;
        }
        MODEL_EXPECT(model, holed ? records <= ends : records == ends);
        /* What is settled may lie on either side of the start. */
        uint64_t settled = topic->dlq_redriven + topic->dlq_purged;
        MODEL_EXPECT(model, !is_dlq(t) || (topic->dlq_expired <= starts &&
                                           starts <= topic->dlq_expired + settled));
        MODEL_EXPECT(model, !is_dlq(t) || topic->dlq_held + topic->dlq_expired + settled == ends);
    }
}
