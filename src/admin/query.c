#include "admin/query.h"

#include "base/assert.h"
#include "base/number.h"
#include "base/time.h"
#include "net/http/target.h"

/*
 * Strict: a misspelt name that was passed over would read from the start of a topic what was meant
 * to begin at its end.
 */

/* Values are short; the longest is a time with its fraction and offset. */
#define VALUE_SIZE 64u

struct parameter {
    const char *name;
    err_t (*parse)(struct slice value, struct admin_query *out, struct err_text *why);
};

static err_t parse_partition(struct slice value, struct admin_query *out, struct err_text *why)
{
    uint64_t number = 0;
    if (!err_is_ok(number_parse_u64(value, &number)) || number > UINT32_MAX)
        return err_set(why, ERR_INVALID, "partition: expected a number from 0 on");
    out->partition = (uint32_t)number;
    return err_ok();
}

static err_t parse_offset(struct slice value, struct admin_query *out, struct err_text *why)
{
    int64_t number = 0;
    if (slice_equal_string(value, "earliest")) {
        out->start = ADMIN_QUERY_EARLIEST;
        return err_ok();
    }
    if (slice_equal_string(value, "latest")) {
        out->start = ADMIN_QUERY_LATEST;
        return err_ok();
    }
    /* The smallest number has no positive one to it. */
    if (!err_is_ok(number_parse_i64(value, &number)) || number == INT64_MIN)
        return err_set(why, ERR_INVALID,
                       "offset: expected earliest, latest, an offset such as 17, or -17 for so "
                       "many before the end");
    out->start = number < 0 ? ADMIN_QUERY_FROM_END : ADMIN_QUERY_OFFSET;
    out->start_value = number < 0 ? -number : number;
    return err_ok();
}

/* Digits alone are milliseconds, never seconds: guessing would find a record of 1970. */
static err_t parse_time(struct slice value, struct admin_query *out, struct err_text *why)
{
    int64_t ms = 0;
    err_t err = time_parse_rfc3339(value, &ms);
    if (!err_is_ok(err))
        err = number_parse_i64(value, &ms);
    if (!err_is_ok(err))
        return err_set(why, ERR_INVALID,
                       "time: expected a time such as 2026-03-01T10:00:00Z, or milliseconds since "
                       "1970");
    out->start = ADMIN_QUERY_TIME;
    out->start_value = ms;
    return err_ok();
}

static err_t parse_limit(struct slice value, struct admin_query *out, struct err_text *why)
{
    uint64_t number = 0;
    if (!err_is_ok(number_parse_u64(value, &number)) || number == 0 ||
        number > ADMIN_QUERY_LIMIT_MAX)
        return err_set(why, ERR_INVALID, "limit: expected a number from 1 to %u",
                       ADMIN_QUERY_LIMIT_MAX);
    out->limit = (uint32_t)number;
    return err_ok();
}

static err_t parse_wait(struct slice value, struct admin_query *out, struct err_text *why)
{
    uint64_t number = 0;
    if (!err_is_ok(number_parse_u64(value, &number)) || number > ADMIN_QUERY_WAIT_MAX)
        return err_set(why, ERR_INVALID, "wait_ms: expected a number from 0 to %u",
                       ADMIN_QUERY_WAIT_MAX);
    out->wait_ms = (uint32_t)number;
    return err_ok();
}

enum { PARTITION, OFFSET, TIME, LIMIT, WAIT, PARAMETERS };

static const struct parameter parameters[PARAMETERS] = {
    [PARTITION] = {"partition", parse_partition},
    [OFFSET] = {"offset", parse_offset},
    [TIME] = {"time", parse_time},
    [LIMIT] = {"limit", parse_limit},
    [WAIT] = {"wait_ms", parse_wait},
};

/* The index of `name`, or PARAMETERS. */
static size_t find(struct slice name)
{
    size_t i = 0;
    while (i < PARAMETERS && !slice_equal_string(name, parameters[i].name))
        i++;
    return i;
}

err_t admin_query_parse(struct slice query, struct admin_query *out, struct err_text *why)
{
    struct admin_query parsed = {.limit = ADMIN_QUERY_LIMIT};
    unsigned seen = 0;
    while (query.data) {
        struct slice pair = slice_split(&query, '&');
        if (pair.size == 0)
            continue;
        size_t i = find(slice_split(&pair, '='));
        if (i == PARAMETERS)
            return err_set(why, ERR_INVALID,
                           "unknown parameter; there are partition, offset, time, limit and "
                           "wait_ms");
        if (seen & 1u << i)
            return err_set(why, ERR_INVALID, "%s stands twice", parameters[i].name);
        seen |= 1u << i;
        uint8_t room[VALUE_SIZE];
        struct slice value = {0};
        /* A plus stays one: the offset of a time has it, and no value has a space. What does not
         * decode, or is too long, is as wrong as any other text. */
        if (!err_is_ok(net_http_percent_decode(pair, room, sizeof room, &value)))
            value = (struct slice){0};
        TRY(parameters[i].parse(value, &parsed, why));
    }
    if ((seen & 1u << OFFSET) && (seen & 1u << TIME))
        return err_set(why, ERR_INVALID, "offset and time are two starts; give one of them");
    *out = parsed;
    return err_ok();
}
