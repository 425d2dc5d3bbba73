#include "sinks/letter.h"

#include "base/assert.h"
#include "base/time.h"

/*
 * A dead letter of a sink is the record as it was, key, value and headers, behind nine headers of
 * ours that say where it came from and why it is here. Topic, partition and offset are what a
 * redrive goes by: the record itself stays where it is in its topic and is never appended there
 * again.
 *
 * Failure modes: without memory the letter is not added and the epoch fails. The record's own
 * headers were checked with its batch; a count that promises more than the bytes hold is met by
 * stopping at what is there.
 */

#define OWN_HEADERS 9u

/* The values that are made here, one after the other in `text`. */
struct values {
    struct buf text;
    size_t ends[OWN_HEADERS];
    uint32_t count;
};

static void end_value(struct values *v)
{
    ASSERT(v->count < OWN_HEADERS);
    v->ends[v->count++] = v->text.size;
}

/* In the order of the keys below. */
static void make_values(struct values *v, const struct sinks_letter *about,
                        const struct flow_record *record, const struct sinks_refusal *refusal)
{
    buf_add_string(&v->text, refusal->reason);
    end_value(v);
    buf_add_string(&v->text, refusal->detail);
    end_value(v);
    buf_add_string(&v->text, "sink:");
    buf_add_string(&v->text, about->sink);
    end_value(v);
    buf_add_string(&v->text, "sink");
    end_value(v);
    buf_add_u64(&v->text, about->attempts);
    end_value(v);
    buf_add_time(&v->text, about->wall_ms);
    end_value(v);
    buf_add_string(&v->text, about->topic);
    end_value(v);
    buf_add_u64(&v->text, about->partition);
    end_value(v);
    buf_add_i64(&v->text, record->offset);
    end_value(v);
}

static void make_headers(struct flow_header headers[static OWN_HEADERS], const struct values *v)
{
    static const char *const keys[OWN_HEADERS] = {
        "garner.reason", "garner.detail",    "garner.stage",
        "garner.source", "garner.attempts",  "garner.received_at",
        "garner.topic",  "garner.partition", "garner.offset",
    };
    ASSERT(v->count == OWN_HEADERS);
    size_t start = 0;
    for (uint32_t i = 0; i < OWN_HEADERS; i++) {
        struct slice value = slice_sub(buf_slice(&v->text), start, v->ends[i] - start);
        headers[i] = (struct flow_header){slice_string(keys[i]), value};
        start = v->ends[i];
    }
}

/* Ours first: who looks for "garner.reason" finds ours even if the record brought one, as a letter
 * that is refused once more does. */
err_t sinks_letter_add(struct flow_batch_builder *letters, const struct sinks_letter *about,
                       const struct flow_record *record, const struct sinks_refusal *refusal)
{
    ASSERT(record->offset == refusal->offset && refusal->reason);
    struct values v = {0};
    struct flow_header headers[OWN_HEADERS];
    make_values(&v, about, record, refusal);
    err_t err = buf_error(&v.text);
    if (err_is_ok(err)) {
        make_headers(headers, &v);
        err = flow_batch_builder_add_record(letters, record, headers, OWN_HEADERS);
    }
    buf_done(&v.text);
    return err;
}
