#include "flow/letter.h"
#include "pipeline/check/check_int.h"

/*
 * A record that was part of a batch has a key, a time and headers of its own, which nobody else
 * knows: where it is appended, and where it becomes a dead letter, all of them go along. Redriven
 * it is what it was, whatever the contract says of records that bring nothing but a body.
 *
 * Failure modes: as those of other records (record.c).
 */

err_t pipeline_check_produced_judge(struct pipeline_check_pass *pass,
                                    const struct flow_record *record, bool *taken,
                                    struct flow_fingerprint *key)
{
    struct format_jsonschema_refusal refusal;
    pass->received++;
    pass->produced = record;
    *key = (struct flow_fingerprint){0};
    err_t verdict = err_ok();
    bool dedup = pass->topic->dedup_at >= 0;
    bool judged = pass->topic->schema || dedup;
    if (judged)
        verdict = format_jsonschema_judge(&pass->judge, record->value, record->value,
                                          pass->judge.paths ? pass->found : NULL, &refusal);
    bool refused = err_is(verdict, ERR_RECORD_REFUSED);
    if (!refused)
        TRY(verdict);
    /* For its key alone it need not be JSON. */
    *taken = !refused || !pass->topic->schema;
    if (!*taken)
        return pipeline_check_record_fail(pass, record->value, &refusal);
    pass->tally.records[PIPELINE_CHECK_ACCEPTED]++;
    pass->tally.bytes[PIPELINE_CHECK_ACCEPTED] += record->value.size;
    return dedup && !refused ? pipeline_check_record_fingerprint(pass, key) : err_ok();
}

struct flow_record pipeline_check_produced_letter(const struct pipeline_check_pass *pass,
                                                  struct slice key, struct slice partition,
                                                  struct flow_header *headers,
                                                  uint32_t *header_count)
{
    const struct flow_record *produced = pass->produced;
    bool same = produced->key.data && slice_equal(produced->key, key);
    ASSERT(partition.size > 0);
    if (key.data && !same)
        headers[(*header_count)++] = (struct flow_header){SLICE_LITERAL("garner.key"), key};
    headers[(*header_count)++] =
        (struct flow_header){SLICE_LITERAL(FLOW_LETTER_PRODUCED_LAST), partition};
    return *produced;
}

/* Alone, it needs no batch of its own: it goes where records over HTTP go, with all that it had.
 * The partition that it was sent to is kept, since producers choose by rules of their own, and
 * records of one key belong together. */
err_t pipeline_check_produced_redrive(struct pipeline_check_pass *pass)
{
    const struct flow_record *record = pass->request->history->produced;
    struct flow_fingerprint key;
    bool taken = false;
    ASSERT(pass->received == 0 && pass->request->framing == FLOW_FRAMING_RECORD);
    TRY(pipeline_check_produced_judge(pass, record, &taken, &key));
    if (!taken || pass->dry)
        return err_ok();
    uint32_t partition = pass->request->partition;
    if (partition >= pass->topic->partition_count)
        partition = pipeline_check_record_partition(pass, record->key);
    return pipeline_check_commit_append(pass, partition, record, NULL, 0,
                                        pass->topic->dedup_at >= 0 ? &key : NULL);
}
