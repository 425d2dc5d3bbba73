#include "pipeline/check/check_int.h"

#include "base/hash.h"
#include "base/time.h"

/*
 * A good record is appended as it was sent, with the key and the time that the JSON pass found on
 * its way; nothing is parsed twice. A bad one becomes a dead letter, or a refusal.
 *
 * Failure modes: a time that cannot be read is no reason to refuse a record, the arrival stands in
 * for it; a key that cannot be one is no key. Only memory and the request's limit are errors, and
 * fail the request as a whole.
 */

/* Of ours, in every dead letter. */
#define LETTER_HEADERS 6u

/* The characters of a string value: a view where nothing is escaped, else in the scratch buffer
 * until the next call. */
static err_t string_value(struct pipeline_check *check, struct slice raw, struct slice *out)
{
    ASSERT(raw.size >= 2);
    struct slice inside = slice_sub(raw, 1, raw.size - 2);
    if (!memchr(inside.data, '\\', inside.size)) {
        *out = inside;
        return err_ok();
    }
    buf_reset(&check->scratch);
    TRY(format_json_string_decode(raw, &check->scratch));
    *out = buf_slice(&check->scratch);
    return err_ok();
}

static const struct format_json_value *found_at(const struct pipeline_check_pass *pass, int at)
{
    ASSERT(at < (int)(sizeof(pass->found) / sizeof(pass->found[0])));
    return at < 0 ? NULL : &pass->found[at];
}

/* Data NULL: no key. Any other kind than string and number has no one way to be written, so it
 * cannot promise that equal keys meet in one partition. */
static err_t key_at(struct pipeline_check_pass *pass, int at, struct slice *key)
{
    const struct format_json_value *value = found_at(pass, at);
    *key = slice_make(NULL, 0);
    if (value && value->kind == FORMAT_JSON_STRING)
        return string_value(pass->check, value->raw, key);
    if (value && value->kind == FORMAT_JSON_NUMBER)
        *key = value->raw;
    return err_ok();
}

static err_t record_time(struct pipeline_check_pass *pass, int64_t *ms)
{
    const struct format_json_value *value = found_at(pass, pass->topic->event_time_at);
    err_t parsed = err_make(ERR_SYNTAX);
    if (value && value->kind == FORMAT_JSON_STRING) {
        struct slice text;
        TRY(string_value(pass->check, value->raw, &text));
        parsed = time_parse_rfc3339(text, ms);
    } else if (value && value->kind == FORMAT_JSON_NUMBER) {
        parsed = time_parse_epoch(value->raw, ms);
    }
    if (!err_is_ok(parsed))
        *ms = pass->arrival_ms;
    return err_ok();
}

/* All records without a key of one request go to one partition, the next request's to the next:
 * as round as record by record in the long run, with larger batches. */
uint32_t pipeline_check_record_partition(struct pipeline_check_pass *pass, struct slice key)
{
    struct flow_inlet_topic *topic = pass->topic;
    if (key.data)
        return hash_kafka_partition(key, topic->partition_count);
    if (!pass->partition_chosen) {
        pass->partition_chosen = true;
        pass->partition = topic->next_partition;
        topic->next_partition = (topic->next_partition + 1) % topic->partition_count;
    }
    return pass->partition;
}

static void count(struct pipeline_check_pass *pass, enum pipeline_check_outcome outcome,
                  size_t size)
{
    pass->tally.records[outcome]++;
    pass->tally.bytes[outcome] += size;
}

/* The fingerprint of the idempotency key; all zero for none. */
err_t pipeline_check_record_fingerprint(struct pipeline_check_pass *pass,
                                        struct flow_fingerprint *out)
{
    const struct flow_inlet_topic *topic = pass->topic;
    struct slice key;
    *out = (struct flow_fingerprint){0};
    TRY(key_at(pass, topic->dedup_at, &key));
    if (!key.data)
        return err_ok();
    struct hash128 hash = hash_bytes_128(key, topic->dedup_secret);
    /* Zero stands for none; nobody can find the key that it would be taken from. */
    *out = (struct flow_fingerprint){hash.low, hash.high | (hash.low == 0)};
    return err_ok();
}

err_t pipeline_check_record_accept(struct pipeline_check_pass *pass, struct slice record)
{
    ASSERT(record.size > 0);
    struct flow_record entry = {.value = record};
    if (pass->dry) {
        count(pass, PIPELINE_CHECK_ACCEPTED, record.size);
        return err_ok();
    }
    struct flow_fingerprint fingerprint;
    bool dedup = pass->topic->dedup_at >= 0;
    /* The key last: it may stay in the scratch buffer until it has been appended. */
    TRY(record_time(pass, &entry.timestamp_ms));
    if (dedup)
        TRY(pipeline_check_record_fingerprint(pass, &fingerprint));
    TRY(key_at(pass, pass->topic->key_at, &entry.key));
    uint32_t partition = pipeline_check_record_partition(pass, entry.key);
    TRY(pipeline_check_commit_append(pass, partition, &entry, NULL, 0,
                                     dedup ? &fingerprint : NULL));
    count(pass, PIPELINE_CHECK_ACCEPTED, record.size);
    return err_ok();
}

/* What is JSON has the key that its path leads to, by which it can be found among the letters; what
 * is none has no path that could be trusted. */
static err_t letter_key(struct pipeline_check_pass *pass, enum format_jsonschema_reason reason,
                        struct slice *key)
{
    bool is_json = reason == FORMAT_JSONSCHEMA_SCHEMA || reason == FORMAT_JSONSCHEMA_COMPLEXITY;
    return key_at(pass, is_json ? pass->topic->key_at : -1, key);
}

static err_t dead_letter(struct pipeline_check_pass *pass, struct slice original,
                         const struct format_jsonschema_refusal *refusal)
{
    struct pipeline_check *check = pass->check;
    const char *reason = format_jsonschema_reason_name(refusal->reason);
    const struct flow_inlet_history *history = pass->request->history;
    char attempts[12];
    char partition[12];
    snprintf(attempts, sizeof(attempts), "%u", history ? history->attempts : 1u);
    snprintf(partition, sizeof(partition), "%u", pass->request->partition);
    /* The text is the same for all dead letters of the request. */
    if (check->time.size == 0 && !history) {
        buf_add_time(&check->time, pass->arrival_ms);
        err_t err = buf_error(&check->time);
        if (!err_is_ok(err)) {
            buf_reset(&check->time);
            return err;
        }
    }
    struct flow_header headers[LETTER_HEADERS + 2] = {
        {SLICE_LITERAL("garner.reason"), slice_string(reason)},
        {SLICE_LITERAL("garner.detail"), slice_string(refusal->detail.text)},
        {SLICE_LITERAL("garner.stage"), SLICE_LITERAL("intake")},
        {SLICE_LITERAL("garner.source"),
         history ? history->source : slice_string(pass->request->source)},
        {SLICE_LITERAL("garner.attempts"), slice_string(attempts)},
        {SLICE_LITERAL("garner.received_at"),
         history ? history->received_at : buf_slice(&check->time)},
    };
    struct slice key;
    TRY(letter_key(pass, refusal->reason, &key));
    uint32_t count = LETTER_HEADERS;
    struct flow_record letter = {.timestamp_ms = pass->arrival_ms, .key = key, .value = original};
    if (pass->produced)
        letter =
            pipeline_check_produced_letter(pass, key, slice_string(partition), headers, &count);
    return pipeline_check_commit_append(pass, pass->topic->partition_count, &letter, headers, count,
                                        NULL);
}

/* What is wrong with the record is told too: once it is mended, the queue does not matter. */
static void add_full_error(struct pipeline_check_pass *pass, const char *reason, const char *detail)
{
    ASSERT(pass->received > 0);
    struct err_text text;
    (void)err_set(&text, ERR_INVALID, "%s: %s", reason, detail);
    flow_inlet_add_error(pass->request, pass->received - 1, "dlq_full", slice_string(text.text));
}

err_t pipeline_check_record_fail(struct pipeline_check_pass *pass, struct slice original,
                                 const struct format_jsonschema_refusal *refusal)
{
    ASSERT(pass->received > 0);
    const char *reason = format_jsonschema_reason_name(refusal->reason);
    const char *detail = refusal->detail.text;
    enum pipeline_check_outcome outcome = PIPELINE_CHECK_REFUSED;
    /* A redriven letter takes its own place: refused it would be lost. */
    bool again = pass->request->history;
    bool wanted = again || pass->topic->on_invalid == PIPELINE_CHECK_DEAD_LETTER;
    bool full = wanted && !again && !pass->dry && pipeline_check_cap_full(pass->check, pass->topic);
    if (wanted && !full) {
        outcome = PIPELINE_CHECK_DEAD_LETTERED;
        if (!pass->dry)
            TRY(dead_letter(pass, original, refusal));
    }
    count(pass, outcome, original.size);
    if (outcome == PIPELINE_CHECK_DEAD_LETTERED)
        pass->tally.dead_letters[refusal->reason]++;
    else
        pass->tally.refusals[full ? PIPELINE_CHECK_DLQ_FULL : refusal->reason]++;
    /* The one thing that may be missing for want of memory: it is counted then. */
    if (full)
        add_full_error(pass, reason, detail);
    else
        flow_inlet_add_error(pass->request, pass->received - 1, reason, slice_string(detail));
    return err_ok();
}
