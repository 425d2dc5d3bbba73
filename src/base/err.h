#pragma once

/*
 * Errors of the whole program. An `err_t` is a code and nothing else: returned by value, never
 * kept in a thread or a global. What the code means (its class, text, whether trying again can
 * help, and how the doors say it) is one table, `ERR_TABLE`. Callers branch on the class or on a
 * single code, never on text. Detail for a human goes into a caller-owned `struct err_text`.
 * Any thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"

#if defined(__clang__)
#define ERR_MUST_USE __attribute__((warn_unused_result))
#else
#define ERR_MUST_USE
#endif

/* A one-field struct, so that neither an integer nor a bool passes for it by accident. */
typedef struct ERR_MUST_USE err {
    uint16_t code;
} err_t;

enum err_class {
    ERR_CLASS_OK,
    ERR_CLASS_INPUT,    /* the peer sent something that we refuse */
    ERR_CLASS_LIMIT,    /* allowed in kind, too much in size */
    ERR_CLASS_MISSING,  /* names something that is not there */
    ERR_CLASS_PRESSURE, /* later it may go through */
    ERR_CLASS_CONFIG,   /* the operator's files */
    ERR_CLASS_IO,       /* the system said no */
    ERR_CLASS_CORRUPT,  /* bytes read back are not those written */
    ERR_CLASS_STATE,    /* not possible in this state: closed, cancelled, wrong version */
};

/* name, class, text, retriable, HTTP status, Kafka error code (KIP-less protocol guide) */
#define ERR_TABLE(X)                                                                               \
    X(OK, OK, "ok", 0, 200, 0)                                                                     \
    X(INVALID, INPUT, "invalid input", 0, 400, 42)                                                 \
    X(SYNTAX, INPUT, "malformed", 0, 400, 87)                                                      \
    X(UNSUPPORTED, INPUT, "not supported", 0, 415, 35)                                             \
    X(RECORD_REFUSED, INPUT, "record refused by its contract", 0, 422, 87)                         \
    X(KEY_REUSED, INPUT, "the idempotency key came with another body", 0, 422, 42)                 \
    X(PRODUCER_EPOCH, INPUT, "the producer goes on elsewhere, with a newer epoch", 0, 409, 47)     \
    X(SEQUENCE_GAP, INPUT, "a request before this one is missing", 0, 409, 45)                     \
    X(TOO_LARGE, LIMIT, "too large", 0, 413, 10)                                                   \
    X(TOO_DEEP, LIMIT, "nested too deep", 0, 400, 87)                                              \
    X(NOT_FOUND, MISSING, "not found", 0, 404, 3)                                                  \
    X(EXISTS, MISSING, "exists already", 0, 409, 36)                                               \
    X(POLICY, STATE, "is decided elsewhere", 0, 409, 44)                                           \
    X(OFFSET_RANGE, MISSING, "offset out of range", 0, 416, 1)                                     \
    X(END, MISSING, "end of input", 0, 500, -1)                                                    \
    X(AGAIN, PRESSURE, "not ready, try again", 1, 503, 7)                                          \
    X(BUSY, PRESSURE, "too busy, try again later", 1, 503, 89)                                     \
    X(LOG_FULL, PRESSURE, "the log has no room, try again later", 1, 503, 56)                      \
    X(PRODUCERS_FULL, PRESSURE, "as many producers as are kept, try again later", 1, 503, 89)      \
    X(OFFSETS_FULL, PRESSURE, "as many offsets of groups as are kept", 1, 503, 28)                 \
    X(FENCED, PRESSURE, "the log was fenced, outcome unknown", 1, 503, 56)                         \
    X(TIMEOUT, PRESSURE, "timed out", 1, 408, 7)                                                   \
    X(CONFIG, CONFIG, "configuration error", 0, 500, -1)                                           \
    X(MEMORY, IO, "out of memory", 1, 503, -1)                                                     \
    X(IO, IO, "input/output error", 1, 503, 56)                                                    \
    X(NO_SPACE, IO, "no space left on device", 1, 503, 56)                                         \
    X(PERMISSION, IO, "permission denied", 1, 500, 56)                                             \
    X(NO_FILE, IO, "no such file or directory", 0, 500, 56)                                        \
    X(FD_LIMIT, IO, "too many open files", 1, 503, 56)                                             \
    X(IN_USE, IO, "in use already", 0, 500, -1)                                                    \
    X(CLOSED, STATE, "closed by the peer", 1, 500, -1)                                             \
    X(CANCELLED, STATE, "cancelled", 0, 503, -1)                                                   \
    X(VERSION, STATE, "written by a newer version", 0, 500, 35)                                    \
    X(CORRUPT, CORRUPT, "corrupt", 0, 500, 2)

enum err_code {
#define X(name, class, text, retriable, http, kafka) ERR_##name,
    ERR_TABLE(X)
#undef X
        ERR_COUNT
};

/* The longest detail kept; what is longer ends in "...". */
#define ERR_TEXT_SIZE 480

/* Detail of one failure, owned by the caller. Zero-initialise: `struct err_text why = {0};` */
struct err_text {
    char text[ERR_TEXT_SIZE];
};

static inline err_t err_ok(void)
{
    return (err_t){ERR_OK};
}

static inline err_t err_make(enum err_code code)
{
    ASSERT(code < ERR_COUNT);
    return (err_t){(uint16_t)code};
}

static inline bool err_is_ok(err_t err)
{
    return err.code == ERR_OK;
}

static inline bool err_is(err_t err, enum err_code code)
{
    return err.code == (uint16_t)code;
}

/* The class of `err`. */
enum err_class err_class(err_t err);
/* Upper-case name ("LOG_FULL"), for logs and tests. */
const char *err_name(err_t err);
/* A short text for a person, without a full stop. */
const char *err_string(err_t err);
/* True where the same call may succeed later without a change by the caller. */
bool err_retriable(err_t err);
/* The HTTP status of a response that fails with `err`. */
int err_http_status(err_t err);
/* The Kafka protocol error code that stands for `err`. */
int err_kafka_code(err_t err);
/* The code that stands for an errno value of the system, which is over 0: `EINTR` and `EAGAIN`
 * become AGAIN, `EINVAL` UNSUPPORTED, and one not known IO. */
err_t err_from_errno(int error);

/* Writes detail (printf format) and returns `code`: `return err_set(why, ERR_CONFIG, "...")`.
 * `why` may be NULL. */
err_t err_set(struct err_text *why, enum err_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Puts "prefix: " before the detail that is there; without any, nothing. `why` may be NULL. */
void err_prefix(struct err_text *why, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The detail, or the code's own text where no detail was given. */
const char *err_detail(err_t err, const struct err_text *why);

/* The one macro that returns: passes a failure on to the caller. */
#define TRY(expression)                                                                            \
    do {                                                                                           \
        err_t try_err_ = (expression);                                                             \
        if (!err_is_ok(try_err_))                                                                  \
            return try_err_;                                                                       \
    } while (0)
