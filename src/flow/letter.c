#include "flow/letters.h"

#include "base/assert.h"
#include "base/number.h"
#include "base/time.h"
#include "flow/batch.h"

/*
 * A letter of an older program, or one whose record brought headers of the same names, is read as
 * far as it goes: ours stand first.
 */

#define SINK_STAGE SLICE_LITERAL("sink:")

static bool take(struct slice *into, const struct flow_header *header, const char *key)
{
    ASSERT(header->key.data || header->key.size == 0);
    if (into->data || !slice_equal_string(header->key, key))
        return false;
    *into = header->value;
    return true;
}

/* The record's own headers are the last `count` of the letter's. */
static void set_original(struct flow_letter *out, struct slice headers, uint32_t count)
{
    ASSERT(count <= out->record->header_count);
    out->original = *out->record;
    out->original.offset = out->offset;
    out->original.headers = headers;
    out->original.header_count = count;
}

static bool begins_with(struct slice text, struct slice with)
{
    ASSERT(with.data || with.size == 0);
    return slice_equal(slice_sub(text, 0, with.size), with);
}

/* Which record a sink has refused. The headers behind ours are the record's, whatever they are
 * called. */
static void parse_origin(const struct flow_record *record, struct flow_letter *out,
                         struct slice partition, struct slice offset)
{
    uint64_t at = 0;
    uint64_t number = 0;
    ASSERT(out->of_sink);
    out->sink = slice_sub(out->stage, SINK_STAGE.size, SIZE_MAX);
    bool known = err_is_ok(number_parse_u64(partition, &number)) && number < FLOW_PARTITIONS_MAX &&
                 err_is_ok(number_parse_u64(offset, &at)) && at < INT64_MAX;
    out->has_origin = known && out->topic.size > 0 && out->sink.size > 0;
    out->partition = (uint32_t)number;
    out->offset = (int64_t)at;
    struct flow_header header;
    struct slice rest = record->headers;
    struct slice own = rest;
    uint32_t ours = 0;
    while (ours < FLOW_LETTER_SINK_HEADERS && ours < record->header_count &&
           flow_record_header(&rest, &header) &&
           begins_with(header.key, SLICE_LITERAL("garner."))) {
        own = rest;
        ours++;
    }
    set_original(out, own, record->header_count - ours);
}

/* A partition that cannot be read is one that no topic has. */
static void parse_produced(struct flow_letter *out, struct slice partition, struct slice headers,
                           uint32_t header_count)
{
    uint64_t number = 0;
    ASSERT(!out->of_sink);
    out->produced = true;
    if (!err_is_ok(number_parse_u64(partition, &number)) || number > FLOW_PARTITIONS_MAX)
        number = FLOW_PARTITIONS_MAX;
    out->partition = (uint32_t)number;
    set_original(out, headers, header_count);
}

void flow_letter_parse(const struct flow_record *record, struct flow_letter *out)
{
    ASSERT(record && out);
    struct slice attempts = {0};
    struct slice partition = {0};
    struct slice offset = {0};
    struct slice rest = record->headers;
    struct flow_header header;
    uint64_t number = 0;
    *out =
        (struct flow_letter){.record = record, .received_ms = record->timestamp_ms, .attempts = 1};
    for (uint32_t i = 0; i < record->header_count && flow_record_header(&rest, &header); i++) {
        (void)(take(&out->reason, &header, "garner.reason") ||
               take(&out->detail, &header, "garner.detail") ||
               take(&out->stage, &header, "garner.stage") ||
               take(&out->source, &header, "garner.source") ||
               take(&attempts, &header, "garner.attempts") ||
               take(&out->topic, &header, "garner.topic") ||
               take(&partition, &header, "garner.partition") ||
               take(&offset, &header, "garner.offset") ||
               take(&out->contract_key, &header, "garner.key") ||
               take(&out->received_at, &header, "garner.received_at"));
        /* What is behind it is the record's, whatever it is called. */
        if (slice_equal_string(out->stage, "intake") &&
            slice_equal_string(header.key, FLOW_LETTER_PRODUCED_LAST)) {
            parse_produced(out, header.value, rest, record->header_count - i - 1);
            break;
        }
    }
    if (!out->produced)
        out->contract_key = (struct slice){0};
    if (err_is_ok(number_parse_u64(attempts, &number)) && number > 0 && number < UINT32_MAX)
        out->attempts = (uint32_t)number;
    int64_t ms = 0;
    if (err_is_ok(time_parse_rfc3339(out->received_at, &ms)))
        out->received_ms = ms;
    out->of_sink = begins_with(out->stage, SINK_STAGE);
    if (out->of_sink)
        parse_origin(record, out, partition, offset);
}

bool flow_letter_matches(const struct flow_letter *letter, const struct flow_letter_filter *filter)
{
    ASSERT(letter->record);
    if ((filter->since_ms != 0 && letter->received_ms < filter->since_ms) ||
        (filter->until_ms != 0 && letter->received_ms >= filter->until_ms))
        return false;
    return (filter->reason.size == 0 || slice_equal(letter->reason, filter->reason)) &&
           (filter->source.size == 0 || slice_equal(letter->source, filter->source)) &&
           (filter->path.size == 0 || begins_with(letter->detail, filter->path)) &&
           (filter->key.size == 0 || slice_equal(letter->record->key, filter->key) ||
            slice_equal(letter->contract_key, filter->key));
}

void flow_letters_count(struct flow_letters_outcomes *outcomes, struct slice name, uint64_t bytes)
{
    ASSERT(outcomes->count <= FLOW_LETTERS_OUTCOMES);
    struct slice cut = slice_sub(name, 0, FLOW_LETTERS_REASON_SIZE - 1);
    uint32_t at = 0;
    while (at < outcomes->count && !slice_equal_string(cut, outcomes->items[at].name))
        at++;
    if (at == FLOW_LETTERS_OUTCOMES) {
        at--;
        memcpy(outcomes->items[at].name, "other", sizeof "other");
    } else if (at == outcomes->count) {
        outcomes->items[outcomes->count++] = (struct flow_letters_outcome){0};
        if (cut.size > 0)
            memcpy(outcomes->items[at].name, cut.data, cut.size);
    }
    outcomes->items[at].count++;
    outcomes->items[at].bytes += bytes;
}
