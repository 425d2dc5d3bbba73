#include "admin/dlq_query.h"

#include "base/assert.h"
#include "base/number.h"
#include "base/time.h"
#include "net/http/target.h"

/*
 * Strict, as every query here: a filter that was misspelt and passed over would purge what it was
 * meant to keep.
 */

struct parameter {
    const char *name;
    unsigned asks; /* bits of enum admin_dlq_asks */
    err_t (*parse)(struct slice value, struct admin_dlq_query *out, struct err_text *why);
};

static err_t parse_reason(struct slice value, struct admin_dlq_query *out, struct err_text *why)
{
    (void)why;
    out->filter.reason = value;
    return err_ok();
}

static err_t parse_source(struct slice value, struct admin_dlq_query *out, struct err_text *why)
{
    (void)why;
    out->filter.source = value;
    return err_ok();
}

static err_t parse_path(struct slice value, struct admin_dlq_query *out, struct err_text *why)
{
    (void)why;
    out->filter.path = value;
    return err_ok();
}

static err_t parse_key(struct slice value, struct admin_dlq_query *out, struct err_text *why)
{
    (void)why;
    out->filter.key = value;
    return err_ok();
}

/* Digits alone are milliseconds, as for records; 2h is so long ago. */
static err_t parse_time(struct slice value, const char *name, int64_t now_ms, int64_t *ms,
                        struct err_text *why)
{
    uint64_t ago_ms = 0;
    err_t err = time_parse_rfc3339(value, ms);
    if (!err_is_ok(err))
        err = number_parse_i64(value, ms);
    if (!err_is_ok(err) && err_is_ok(number_parse_duration(value, &ago_ms)) &&
        ago_ms < (uint64_t)now_ms) {
        *ms = now_ms - (int64_t)ago_ms;
        err = err_ok();
    }
    if (!err_is_ok(err) || *ms <= 0)
        return err_set(why, ERR_INVALID,
                       "%s: expected a time such as 2026-03-01T10:00:00Z, milliseconds since 1970, "
                       "or how long ago: 2h",
                       name);
    return err_ok();
}

static err_t parse_since(struct slice value, struct admin_dlq_query *out, struct err_text *why)
{
    return parse_time(value, "since", out->now_ms, &out->filter.since_ms, why);
}

static err_t parse_until(struct slice value, struct admin_dlq_query *out, struct err_text *why)
{
    return parse_time(value, "until", out->now_ms, &out->filter.until_ms, why);
}

/* Zero is refused where it would mean none or all, whichever the asker does not mean. */
static err_t parse_number(struct slice value, const char *name, uint64_t max, uint64_t *out,
                          struct err_text *why)
{
    uint64_t number = 0;
    if (!err_is_ok(number_parse_u64(value, &number)) || number == 0 || number > max)
        return err_set(why, ERR_INVALID, "%s: expected a number from 1 to %llu", name,
                       (unsigned long long)max);
    *out = number;
    return err_ok();
}

static err_t parse_limit(struct slice value, struct admin_dlq_query *out, struct err_text *why)
{
    return parse_number(value, "limit", UINT32_MAX, &out->limit, why);
}

static err_t parse_rate(struct slice value, struct admin_dlq_query *out, struct err_text *why)
{
    return parse_number(value, "rate", UINT32_MAX, &out->rate, why);
}

static err_t parse_attempts(struct slice value, struct admin_dlq_query *out, struct err_text *why)
{
    uint64_t number = 0;
    TRY(parse_number(value, "max_attempts", 1000000, &number, why));
    out->max_attempts = (uint32_t)number;
    return err_ok();
}

/* A value is wanted: somebody who writes `dry_run` and means it should not redrive for the want
 * of a word. */
static err_t parse_dry_run(struct slice value, struct admin_dlq_query *out, struct err_text *why)
{
    if (!slice_equal_string(value, "true") && !slice_equal_string(value, "false"))
        return err_set(why, ERR_INVALID, "dry_run: expected true or false");
    out->dry_run = slice_equal_string(value, "true");
    return err_ok();
}

static err_t parse_offset(struct slice value, struct admin_dlq_query *out, struct err_text *why)
{
    int64_t number = 0;
    if (!err_is_ok(number_parse_i64(value, &number)) || number < 0)
        return err_set(why, ERR_INVALID, "offset: expected an offset such as 17");
    out->offset = number;
    return err_ok();
}

#define SHOWS (1u << ADMIN_DLQ_SHOWS)
#define REDRIVES (1u << ADMIN_DLQ_REDRIVES)
#define PURGES (1u << ADMIN_DLQ_PURGES)
#define ALL (SHOWS | REDRIVES | PURGES)

static const struct parameter parameters[] = {
    {"reason", ALL, parse_reason},
    {"source", ALL, parse_source},
    {"path", ALL, parse_path},
    {"key", ALL, parse_key},
    {"since", ALL, parse_since},
    {"until", ALL, parse_until},
    {"limit", ALL, parse_limit},
    {"offset", SHOWS, parse_offset},
    {"rate", REDRIVES, parse_rate},
    {"max_attempts", REDRIVES, parse_attempts},
    {"dry_run", REDRIVES | PURGES, parse_dry_run},
};

#define PARAMETERS (sizeof parameters / sizeof parameters[0])

/* A parameter that the path does not know is refused and not passed over: a filter with a
 * mistake in its name would purge everything. */
static size_t find(struct slice name, enum admin_dlq_asks asks)
{
    size_t i = 0;
    while (i < PARAMETERS &&
           !(slice_equal_string(name, parameters[i].name) && (parameters[i].asks & 1u << asks)))
        i++;
    return i;
}

static err_t unknown(enum admin_dlq_asks asks, struct err_text *why)
{
    static const char *const more[] = {
        [ADMIN_DLQ_SHOWS] = "limit and offset",
        [ADMIN_DLQ_REDRIVES] = "limit, rate, max_attempts and dry_run",
        [ADMIN_DLQ_PURGES] = "limit and dry_run",
    };
    ASSERT(asks <= ADMIN_DLQ_PURGES);
    return err_set(why, ERR_INVALID,
                   "unknown parameter; there are reason, source, path, key, since, until, %s",
                   more[asks]);
}

err_t admin_dlq_query_parse(struct slice query, enum admin_dlq_asks asks, int64_t now_ms,
                            struct admin_dlq_query *out, struct err_text *why)
{
    ASSERT(now_ms > 0);
    *out = (struct admin_dlq_query){.now_ms = now_ms,
                                    .limit = asks == ADMIN_DLQ_SHOWS ? ADMIN_DLQ_LIMIT : 0,
                                    .max_attempts = FLOW_LETTERS_ATTEMPTS};
    unsigned seen = 0;
    while (query.data) {
        struct slice pair = slice_split(&query, '&');
        if (pair.size == 0)
            continue;
        size_t i = find(slice_split(&pair, '='), asks);
        if (i == PARAMETERS)
            return unknown(asks, why);
        if (seen & 1u << i)
            return err_set(why, ERR_INVALID, "%s stands twice", parameters[i].name);
        seen |= 1u << i;
        struct slice value = {0};
        uint8_t *room = out->text + out->text_size;
        if (!err_is_ok(
                net_http_percent_decode(pair, room, sizeof out->text - out->text_size, &value)) ||
            value.size == 0)
            return err_set(why, ERR_INVALID, "%s: expected a value", parameters[i].name);
        out->text_size += value.size;
        TRY(parameters[i].parse(value, out, why));
    }
    if (asks == ADMIN_DLQ_SHOWS && out->limit > ADMIN_DLQ_LIMIT_MAX)
        return err_set(why, ERR_INVALID, "limit: expected a number from 1 to %u",
                       ADMIN_DLQ_LIMIT_MAX);
    return err_ok();
}
