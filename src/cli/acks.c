/*
 * A record's byte holds three counts: bits 0 and 1 copies that were acknowledged, bits 2 to 5
 * copies that may exist, bits 6 and 7 the verdict. Both counts stop at their largest value, which
 * then stands for "or more".
 *
 * An answer lists at most 100 of the records it did not take. The rest of a longer list is known
 * only if it can be nothing but the records that were broken on purpose; else those behind the
 * last one listed may exist or not.
 *
 * Where an answer counts duplicates, some copies were there before. That all of them were is the
 * answer to a request that was sent again, and then the copies of the first time are the ones.
 * Where the broken ones are among them, it was known by its number, and they were not taken then
 * either.
 */

#include "cli/acks.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/buf.h"
#include "base/number.h"
#include "format/json/array.h"

#define SURE_MAX 3u
#define MAYBE_MAX 15u
#define SURE(state) ((state)&SURE_MAX)
#define MAYBE(state) ((state) >> 2 & MAYBE_MAX)
#define VERDICT(state) ((state) >> 6)
#define WRITE_BYTES (1u << 20)

static uint8_t pack(uint32_t sure, uint32_t maybe, uint32_t verdict)
{
    ASSERT(sure <= SURE_MAX && maybe <= MAYBE_MAX && verdict <= CLI_ACKS_REFUSED);
    return (uint8_t)(sure | maybe << 2 | verdict << 6);
}

void cli_acks_init(struct cli_acks *acks, const struct cli_events *events)
{
    *acks = (struct cli_acks){.events = events};
}

void cli_acks_done(struct cli_acks *acks)
{
    mem_free(acks->states);
    *acks = (struct cli_acks){0};
}

err_t cli_acks_reserve(struct cli_acks *acks, uint64_t count)
{
    if (count > acks->capacity) {
        uint64_t capacity = count > 2 * acks->capacity ? count : 2 * acks->capacity;
        uint8_t *states = mem_realloc(acks->states, capacity, 1);
        if (!states)
            return err_make(ERR_MEMORY);
        acks->states = states;
        acks->capacity = capacity;
    }
    if (count > acks->count) {
        memset(acks->states + acks->count, 0, count - acks->count);
        acks->count = count;
    }
    return err_ok();
}

enum { ACCEPTED, DUPLICATES, DEAD_LETTERED, REFUSED, TRUNCATED, ERRORS, FIELD_COUNT };

err_t cli_answer_paths(struct format_json_paths **out)
{
    static const char *const fields[FIELD_COUNT] = {
        [ACCEPTED] = "accepted",           [DUPLICATES] = "duplicates",
        [DEAD_LETTERED] = "dead_lettered", [REFUSED] = "refused",
        [TRUNCATED] = "errors_truncated",  [ERRORS] = "errors",
    };
    return format_json_paths_new(fields, FIELD_COUNT, out, NULL);
}

err_t cli_answer_parse(const struct format_json_paths *paths, struct slice body,
                       struct cli_answer *out)
{
    struct format_json_value fields[FIELD_COUNT];
    uint64_t counts[ERRORS] = {0};
    ASSERT(format_json_paths_count(paths) == FIELD_COUNT);
    TRY(format_json_check(body, paths, FORMAT_JSON_DEPTH_MAX, fields, NULL));
    for (size_t i = 0; i < ERRORS; i++) {
        if (fields[i].kind == FORMAT_JSON_MISSING && i != ACCEPTED)
            continue;
        TRY(number_parse_u64(fields[i].raw, &counts[i]));
    }
    *out = (struct cli_answer){
        .accepted = counts[ACCEPTED],
        .duplicates = counts[DUPLICATES],
        .dead_lettered = counts[DEAD_LETTERED],
        .refused = counts[REFUSED],
        .truncated = counts[TRUNCATED],
    };
    if (fields[ERRORS].kind == FORMAT_JSON_ARRAY)
        out->errors = fields[ERRORS].raw;
    return err_ok();
}

/* Answers count records by their place in the request, fresh ones first. */
static uint64_t sequence_at(const struct cli_request *request, uint64_t index)
{
    return index < request->fresh ? request->first + index
                                  : request->again + index - request->fresh;
}

static uint32_t total(const struct cli_request *request)
{
    return request->fresh + request->again_count;
}

/* One more copy is certain, unless the answer counted duplicates: then it may be the copy that is
 * known already. */
static void take(uint8_t *state, bool all_duplicates, bool some_duplicates)
{
    uint32_t sure = SURE(*state);
    uint32_t maybe = MAYBE(*state);
    if (!all_duplicates && !(some_duplicates && sure > 0))
        sure += sure < SURE_MAX;
    else if (!all_duplicates)
        maybe += maybe < MAYBE_MAX;
    else if (sure == 0) {
        /* One of those that may have been there is certain. */
        sure = 1;
        maybe -= maybe > 0 && maybe < MAYBE_MAX;
    }
    *state = pack(sure, maybe, VERDICT(*state));
}

/* One more copy may exist; a record that an answer was lost for may still turn up. */
static void doubt(uint8_t *state)
{
    uint32_t maybe = MAYBE(*state);
    maybe += maybe < MAYBE_MAX;
    *state = pack(SURE(*state), maybe, VERDICT(*state));
}

/* What an earlier sending brought about stays: the record may have been taken then. */
static void reject(uint8_t *state, enum cli_acks_verdict verdict)
{
    *state = pack(SURE(*state), MAYBE(*state), verdict);
}

/* The index of the next error, or UINT64_MAX behind the last and for what is none. */
static uint64_t next_error(struct format_json_array *array)
{
    struct format_json_element element;
    uint64_t index = UINT64_MAX;
    if (format_json_array_next(array, NULL, 8, NULL, &element) != FORMAT_JSON_ARRAY_ELEMENT)
        return index;
    struct format_json_value value = {0};
    if (err_is_ok(format_json_get(element.raw, "index", &value)) &&
        !err_is_ok(number_parse_u64(value.raw, &index)))
        index = UINT64_MAX;
    return index;
}

/* Whether the errors that an answer lists are in order, within the request and as many as it
 * counts; `*end` is the index behind the last. */
static bool errors_fit(const struct cli_request *request, const struct cli_answer *answer,
                       uint64_t *end)
{
    struct format_json_array array;
    uint64_t count = 0;
    *end = 0;
    if (answer->errors.size > 0 &&
        !err_is_ok(format_json_array_begin(&array, answer->errors, NULL)))
        return false;
    while (answer->errors.size > 0) {
        uint64_t index = next_error(&array);
        if (index == UINT64_MAX)
            break;
        if (index < *end || index >= total(request))
            return false;
        *end = index + 1;
        count++;
    }
    return count + answer->truncated == answer->dead_lettered + answer->refused;
}

/* Whether the errors that were not listed can only be the broken records from `end` on. */
static bool rest_is_broken(const struct cli_acks *acks, const struct cli_request *request,
                           uint64_t end, uint64_t truncated)
{
    uint64_t broken = 0;
    for (uint64_t i = end; i < total(request) && truncated > 0; i++)
        broken += cli_events_is_broken(acks->events, sequence_at(request, i));
    return broken == truncated;
}

/* Takes in an answer that has been found to fit; `end` is the index behind the last error. */
static void apply(struct cli_acks *acks, const struct cli_request *request,
                  const struct cli_answer *answer, uint64_t end)
{
    struct format_json_array array;
    enum cli_acks_verdict verdict = answer->dead_lettered ? CLI_ACKS_DEAD : CLI_ACKS_REFUSED;
    bool listed =
        answer->errors.size > 0 && err_is_ok(format_json_array_begin(&array, answer->errors, NULL));
    bool known = rest_is_broken(acks, request, end, answer->truncated);
    bool all_duplicates = answer->accepted == 0 && answer->duplicates > 0;
    bool by_number = answer->duplicates == total(request);
    uint64_t error = listed ? next_error(&array) : UINT64_MAX;
    for (uint64_t i = 0; i < total(request); i++) {
        uint64_t sequence = sequence_at(request, i);
        uint8_t *state = &acks->states[sequence];
        bool rest = i >= end && answer->truncated > 0;
        if (by_number && cli_events_is_broken(acks->events, sequence)) {
            reject(state, CLI_ACKS_DEAD);
        } else if (i == error) {
            reject(state, verdict);
            error = next_error(&array);
        } else if (rest && !known) {
            doubt(state);
        } else if (rest && cli_events_is_broken(acks->events, sequence)) {
            reject(state, verdict);
        } else {
            take(state, all_duplicates, answer->duplicates > 0);
        }
    }
}

/* Whether each record of the request is counted once. */
static bool counts_fit(const struct cli_request *request, const struct cli_answer *answer)
{
    const uint64_t counts[] = {answer->accepted, answer->duplicates, answer->dead_lettered,
                               answer->refused};
    uint64_t rest = total(request);
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        /* Taken away rather than added up: what a peer says may overflow. */
        if (counts[i] > rest)
            return false;
        rest -= counts[i];
    }
    return rest == 0 && answer->truncated <= total(request);
}

bool cli_acks_answered(struct cli_acks *acks, const struct cli_request *request,
                       const struct cli_answer *answer)
{
    uint64_t end = 0;
    if (!counts_fit(request, answer) || !errors_fit(request, answer, &end)) {
        cli_acks_unanswered(acks, request);
        return false;
    }
    if (acks->states)
        apply(acks, request, answer, end);
    return true;
}

void cli_acks_whole(struct cli_acks *acks, const struct cli_request *request, bool taken)
{
    for (uint64_t i = 0; acks->states && i < total(request); i++) {
        uint64_t sequence = sequence_at(request, i);
        uint8_t *state = &acks->states[sequence];
        if (!taken)
            reject(state, CLI_ACKS_REFUSED);
        else if (cli_events_is_broken(acks->events, sequence))
            doubt(state);
        else
            take(state, false, false);
    }
}

void cli_acks_unanswered(struct cli_acks *acks, const struct cli_request *request)
{
    for (uint64_t i = 0; acks->states && i < total(request); i++)
        doubt(&acks->states[sequence_at(request, i)]);
}

struct cli_ack cli_acks_get(const struct cli_acks *acks, uint64_t sequence)
{
    ASSERT(sequence < acks->count);
    uint8_t state = acks->states[sequence];
    return (struct cli_ack){
        .verdict = VERDICT(state),
        .sure = SURE(state),
        .maybe = MAYBE(state),
        .unbounded = SURE(state) == SURE_MAX || MAYBE(state) == MAYBE_MAX,
    };
}

/* Copies are told apart from the outcome: a record may be dead-lettered once and accepted another
 * time. */
static void add_line(struct buf *out, const struct cli_acks *acks, uint64_t sequence)
{
    struct cli_ack ack = cli_acks_get(acks, sequence);
    char id[CLI_EVENTS_ID_SIZE + 1];
    const char *outcome = "not-taken";
    if (ack.sure > 0)
        outcome = "acknowledged";
    else if (ack.verdict != CLI_ACKS_NONE)
        outcome = ack.verdict == CLI_ACKS_DEAD ? "dead-lettered" : "refused";
    else if (ack.maybe > 0)
        outcome = "unanswered";
    cli_events_id(acks->events, sequence, id);
    buf_add_string(out, id);
    buf_add_byte(out, '\t');
    buf_add_string(out, outcome);
    buf_add_byte(out, '\t');
    buf_add_u64(out, ack.sure);
    buf_add_byte(out, '\t');
    buf_add_u64(out, ack.maybe);
    buf_add_byte(out, '\n');
}

static err_t write_lines(const struct cli_acks *acks, struct io_file *file)
{
    struct buf out = {0};
    uint64_t offset = 0;
    err_t err = err_ok();
    for (uint64_t i = 0; i < acks->count && err_is_ok(err); i++) {
        add_line(&out, acks, i);
        if (out.size < WRITE_BYTES && i + 1 < acks->count && buf_ok(&out))
            continue;
        err = buf_error(&out);
        if (err_is_ok(err))
            err = io_file_write(file, out.data, out.size, offset);
        offset += out.size;
        buf_reset(&out);
    }
    buf_done(&out);
    return err;
}

err_t cli_acks_write(const struct cli_acks *acks, struct io_disk *disk, const char *path,
                     struct err_text *why)
{
    struct io_file *file;
    TRY(io_disk_open(disk, path, IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_TRUNCATE, &file, why));
    err_t err = write_lines(acks, file);
    err_t closed = io_file_close(file);
    if (err_is_ok(err))
        err = closed;
    if (!err_is_ok(err))
        return err_set(why, (enum err_code)err.code, "cannot write %s: %s", path, err_string(err));
    return err_ok();
}
