#include "sim/model.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"

#define VALUE_HEAD 16u

void model_init(struct model *model, uint64_t seed)
{
    *model = (struct model){.seed = seed};
    memset(model->loss_allowed_from, -1, sizeof model->loss_allowed_from);
}

void model_done(struct model *model)
{
    for (uint32_t t = 0; t < MODEL_TOPICS; t++)
        for (uint32_t p = 0; p < MODEL_PARTITIONS; p++)
            free(model->partitions[t][p].seen);
    free(model->commits);
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

void model_crash(struct model *model)
{
    for (uint32_t i = 0; i < model->count; i++)
        if (model->commits[i].state == MODEL_SENT)
            model->commits[i].state = MODEL_UNKNOWN;
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
    if (model->commits[commit].state == MODEL_NOT)
        model_fail(model, "commit %" PRIu64 " is there, and was said not to be", commit);
    return (struct model_seen){(uint32_t)commit + 1, append, index};
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
        model_fail(model, "topic %u partition %u offset %" PRId64 " was seen as another record",
                   topic, partition, offset);
    *seen = what;
    if (offset >= p->seen_end)
        p->seen_end = offset + 1;
}

static void pass_record(struct model *model, uint32_t topic, uint32_t partition,
                        const struct flow_record *record, struct model_seen what)
{
    struct model_commit *commit = &model->commits[what.commit - 1];
    struct model_append *append = &commit->appends[what.append];
    struct model_partition *p = &model->partitions[topic][partition];
    if (what.index != append->found)
        model_fail(model, "record %u of commit %u is there twice or out of order", what.index,
                   what.commit - 1);
    if (append->found++ == 0) {
        append->found_at = record->offset;
        uint32_t *last = &p->last_commit[commit->producer];
        if (what.commit < *last)
            model_fail(model, "commits %u and %u of one producer changed places", *last - 1,
                       what.commit - 1);
        *last = what.commit;
    }
    MODEL_EXPECT(model, record->offset == append->found_at + what.index);
}

typedef void record_fn(struct model *model, uint32_t topic, uint32_t partition,
                       const struct flow_record *record, struct model_seen what);

static int64_t each_record(struct model *model, uint32_t topic, uint32_t partition,
                           struct slice bytes, record_fn *more)
{
    struct flow_batch batch;
    struct flow_record record;
    err_t err = flow_batch_parse(bytes, &batch);
    MODEL_EXPECT(model, err_is_ok(err));
    err = flow_batch_check(&batch);
    MODEL_EXPECT(model, err_is_ok(err));
    struct flow_batch_iterator it = flow_batch_records(&batch);
    while (err_is_ok(err = flow_batch_next(&it, &record))) {
        struct model_seen what = identify(model, topic, partition, &record);
        see(model, topic, partition, record.offset, what);
        if (more)
            more(model, topic, partition, &record, what);
    }
    MODEL_EXPECT(model, err_is(err, ERR_END));
    return batch.base_offset + batch.last_offset_delta + 1;
}

void model_batches(struct model *model, uint32_t topic, uint32_t partition,
                   const struct slice *batches, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        each_record(model, topic, partition, batches[i], NULL);
}

void model_end(struct model *model, uint32_t topic, uint32_t partition, int64_t end_offset)
{
    struct model_partition *p = &model->partitions[topic][partition];
    if (end_offset > p->durable_end)
        p->durable_end = end_offset;
}

void model_pass_begin(struct model *model)
{
    for (uint32_t i = 0; i < model->count; i++)
        for (uint32_t a = 0; a < model->commits[i].append_count; a++)
            model->commits[i].appends[a].found = 0;
    for (uint32_t t = 0; t < MODEL_TOPICS; t++)
        for (uint32_t p = 0; p < MODEL_PARTITIONS; p++)
            memset(model->partitions[t][p].last_commit, 0,
                   sizeof model->partitions[t][p].last_commit);
}

void model_pass_batches(struct model *model, uint32_t topic, uint32_t partition,
                        const struct slice *batches, uint32_t count, int64_t *next_offset)
{
    for (uint32_t i = 0; i < count; i++) {
        struct flow_batch batch;
        err_t err = flow_batch_parse(batches[i], &batch);
        MODEL_EXPECT(model, err_is_ok(err) && batch.base_offset == *next_offset);
        *next_offset = each_record(model, topic, partition, batches[i], pass_record);
    }
}

/* Appends of the commit that are there, whole. */
static uint32_t found_appends(const struct model *model, uint32_t number)
{
    uint32_t found = 0;
    const struct model_commit *commit = &model->commits[number];
    for (uint32_t i = 0; i < commit->append_count; i++) {
        const struct model_append *append = &commit->appends[i];
        if (append->found != 0 && append->found != append->count)
            model_fail(model, "commit %u: %u of %u records are there", number, append->found,
                       append->count);
        found += append->found != 0;
        if (append->found != 0 && append->base_offset >= 0 && commit->state == MODEL_OK)
            MODEL_EXPECT(model, append->found_at == append->base_offset);
    }
    return found;
}

static bool loss_allowed(const struct model *model, const struct model_commit *commit)
{
    for (uint32_t i = 0; i < commit->append_count; i++) {
        const struct model_append *append = &commit->appends[i];
        int64_t from = model->loss_allowed_from[append->topic][append->partition];
        if (from < 0 || append->base_offset < from)
            return false;
    }
    return commit->append_count > 0;
}

static void settle(struct model *model, uint32_t number)
{
    struct model_commit *commit = &model->commits[number];
    uint32_t found = found_appends(model, number);
    if (commit->append_count == 0)
        return;
    if (found != 0 && found != commit->append_count)
        model_fail(model, "commit %u: %u of its %u batches are there", number, found,
                   commit->append_count);
    if (found == 0 && commit->state == MODEL_OK && !loss_allowed(model, commit))
        model_fail(model, "commit %u was acknowledged and is gone", number);
    if (found == 0 && commit->state == MODEL_EARLY)
        model->lost_early_bytes += commit->size;
    commit->state = found != 0 ? MODEL_OK : MODEL_NOT;
    for (uint32_t i = 0; found != 0 && i < commit->append_count; i++)
        commit->appends[i].base_offset = commit->appends[i].found_at;
}

void model_pass_end(struct model *model)
{
    model->lost_early_bytes = 0;
    for (uint32_t i = 0; i < model->count; i++)
        settle(model, i);
}

uint32_t model_letters(const struct model *model, uint32_t sink, uint64_t epoch)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < model->count; i++) {
        const struct model_commit *commit = &model->commits[i];
        found +=
            commit->sink == sink + 1 && commit->sink_epoch == epoch && commit->state == MODEL_OK;
    }
    return found;
}

void model_check_ledger(const struct model *model, const struct flow_snapshot *snapshot,
                        const uint32_t topic_ids[static MODEL_TOPICS])
{
    for (uint32_t t = 0; t < MODEL_TOPICS; t++) {
        const struct flow_topic_state *topic = flow_snapshot_topic_by_id(snapshot, topic_ids[t]);
        if (!topic)
            continue;
        uint64_t received = 0, duplicates = 0, refused = 0, records = 0, letters = 0;
        for (uint32_t i = 0; i < model->count; i++) {
            const struct model_commit *commit = &model->commits[i];
            if (commit->state != MODEL_OK)
                continue;
            bool counted = commit->topic == t;
            received += counted ? commit->received : 0;
            duplicates += counted ? commit->duplicates : 0;
            refused += counted ? commit->refused : 0;
            for (uint32_t a = 0; a < commit->append_count; a++) {
                const struct model_append *append = &commit->appends[a];
                records += append->topic == t ? append->count : 0;
                bool letter = append->topic == t + MODEL_TOPICS / 2 &&
                              append->kind == FLOW_APPEND_DEAD_LETTERS;
                letters += letter ? append->count : 0;
            }
        }
        bool dlq = t >= MODEL_TOPICS / 2;
        if (topic->received != received || topic->duplicates != duplicates ||
            topic->refused != refused || topic->dead_lettered != letters)
            model_fail(model,
                       "topic %u: the log received %" PRIu64 " (%" PRIu64 " duplicates, %" PRIu64
                       " refused, %" PRIu64 " dead letters), those who sent %" PRIu64 " (%" PRIu64
                       ", %" PRIu64 ", %" PRIu64 ")",
                       t, topic->received, topic->duplicates, topic->refused, topic->dead_lettered,
                       received, duplicates, refused, letters);
        MODEL_EXPECT(model, (dlq ? topic->dlq_total : topic->accepted) == records);
    }
}
