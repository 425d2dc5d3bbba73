#include "admin/dlq_render.h"

#include "admin/record.h"
#include "base/assert.h"
#include "base/time.h"
#include "format/json/member.h"

/*
 * Headers are shown as they are when they are UTF-8, since a letter may come from an older program
 * or bring headers of its own.
 */

static void add_number(struct buf *out, const char *name, uint64_t value)
{
    buf_add_format(out, ",\"%s\":", name);
    buf_add_u64(out, value);
}

static void add_time(struct buf *out, const char *name, int64_t ms)
{
    buf_add_format(out, ",\"%s\":", name);
    if (ms == 0) {
        buf_add_string(out, "null");
        return;
    }
    buf_add_byte(out, '"');
    buf_add_time(out, ms);
    buf_add_byte(out, '"');
}

void admin_dlq_render_state(const struct flow_letters_state *state, struct buf *out)
{
    static const char *const phases[] = {
        [FLOW_LETTERS_RUNNING] = "running",   [FLOW_LETTERS_WAITING] = "waiting",
        [FLOW_LETTERS_FINISHED] = "finished", [FLOW_LETTERS_CANCELLED] = "cancelled",
        [FLOW_LETTERS_FAILED] = "failed",
    };
    ASSERT(state->phase <= FLOW_LETTERS_FAILED);
    buf_add_string(out, "{\"number\":");
    buf_add_u64(out, state->number);
    buf_add_format(out, ",\"action\":\"%s\",\"dry_run\":%s,\"phase\":\"%s\",\"why\":",
                   state->action == FLOW_LETTERS_PURGE ? "purge" : "redrive",
                   state->dry_run ? "true" : "false", phases[state->phase]);
    buf_add_json_string(out, slice_string(state->why));
    add_time(out, "started", state->started_ms);
    add_number(out, "offsets", state->offsets);
    add_number(out, "offsets_passed", state->offsets_passed);
    add_number(out, "matched", state->matched);
    add_number(out, "done", state->done);
    add_number(out, "bytes", state->done_bytes);
    add_number(out, "skipped_attempts", state->skipped_attempts);
    add_number(out, "skipped_sink", state->skipped_sink);
    add_number(out, "refused", state->refused);
    buf_add_string(out, ",\"outcomes\":[");
    for (uint32_t i = 0; i < state->outcomes.count; i++) {
        const struct flow_letters_outcome *outcome = &state->outcomes.items[i];
        buf_add_string(out, i > 0 ? ",{" : "{");
        format_json_add_text(out, "name", slice_string(outcome->name));
        add_number(out, "count", outcome->count);
        add_number(out, "bytes", outcome->bytes);
        buf_add_byte(out, '}');
    }
    buf_add_string(out, "]}");
}

void admin_dlq_render_topic(const struct flow_topic_state *dlq, const char *topic,
                            const struct flow_letters_outcomes *reasons, bool complete,
                            const struct flow_letters_state *last, struct buf *out)
{
    ASSERT(dlq->parent_id > 0);
    buf_add_byte(out, '{');
    format_json_add_text(out, "topic", slice_string(topic));
    add_number(out, "held", dlq->dlq_held);
    add_number(out, "bytes", dlq->sealed_bytes + dlq->wal_bytes);
    add_time(out, "oldest", dlq->dlq_oldest_ms);
    add_number(out, "redriven", dlq->dlq_redriven);
    add_number(out, "purged", dlq->dlq_purged);
    add_number(out, "expired", dlq->dlq_expired);
    buf_add_string(out, ",\"by_reason\":{");
    for (uint32_t i = 0; i < reasons->count; i++) {
        buf_add_string(out, i > 0 ? "," : "");
        buf_add_json_string(out, slice_string(reasons->items[i].name));
        buf_add_byte(out, ':');
        buf_add_u64(out, reasons->items[i].count);
    }
    buf_add_format(out, "},\"by_reason_complete\":%s,\"last\":", complete ? "true" : "false");
    if (last)
        admin_dlq_render_state(last, out);
    else
        buf_add_string(out, "null");
    buf_add_byte(out, '}');
}

void admin_dlq_render_letter(const struct flow_letter *letter, struct buf *out)
{
    const struct flow_record *record = letter->record;
    ASSERT(record);
    buf_add_string(out, "{\"offset\":");
    buf_add_i64(out, record->offset);
    buf_add_byte(out, ',');
    format_json_add_text(out, "reason", letter->reason);
    buf_add_byte(out, ',');
    format_json_add_text(out, "detail", letter->detail);
    buf_add_byte(out, ',');
    format_json_add_text(out, "stage", letter->stage);
    buf_add_byte(out, ',');
    format_json_add_text(out, "source", letter->source);
    add_number(out, "attempts", letter->attempts);
    add_time(out, "received_at", letter->received_ms);
    add_number(out, "bytes", record->value.size);
    /* Where it was sent to, which is where it goes again. */
    if (letter->produced && letter->partition < FLOW_PARTITIONS_MAX)
        add_number(out, "partition", letter->partition);
    buf_add_byte(out, ',');
    format_json_add_text(out, "key", record->key);
    if (letter->contract_key.data) {
        buf_add_byte(out, ',');
        format_json_add_text(out, "contract_key", letter->contract_key);
    }
    buf_add_byte(out, ',');
    admin_record_add_headers(out, &letter->original);
    buf_add_byte(out, ',');
    format_json_add_value(out, "value", record->value);
    buf_add_byte(out, '}');
}
