#pragma once

/*
 * Calendar time as signed milliseconds since 1970-01-01T00:00:00Z, proleptic Gregorian, years 1
 * to 9999, no leap seconds, UTC only. Pure: nothing here reads a clock.
 */

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

struct time_parts {
    int32_t year;  /* 1 to 9999 */
    uint8_t month; /* 1 to 12 */
    uint8_t day;   /* 1 to 31 */
    uint8_t hour;
    uint8_t minute;
    uint8_t second;
    uint16_t millisecond;
};

/* First and last millisecond of the years 1 and 9999. */
#define TIME_MS_MIN INT64_C(-62135596800000)
#define TIME_MS_MAX INT64_C(253402300799999)

int64_t time_from_parts(const struct time_parts *parts);
/* `ms` is within TIME_MS_MIN and TIME_MS_MAX. */
void time_to_parts(int64_t ms, struct time_parts *out);
/* RFC 3339 date-time, also with a space or a lower-case t; a fraction is cut to milliseconds; a
 * second of 60 counts as the next minute's first. ERR_SYNTAX otherwise. */
err_t time_parse_rfc3339(struct slice text, int64_t *ms);
/* A JSON number's digits as epoch time: below 1e11 seconds, below 1e14 milliseconds, else
 * microseconds; a fraction is used. ERR_SYNTAX when it is no number or outside the years 1 to
 * 9999. */
err_t time_parse_epoch(struct slice number, int64_t *ms);
/* "2026-01-31T23:59:59.123Z". */
void buf_add_time(struct buf *b, int64_t ms);
/* strftime's %Y %m %d %H %M %S %j %% on UTC; ERR_INVALID for any other letter. */
err_t buf_add_time_format(struct buf *b, struct slice format, int64_t ms);
