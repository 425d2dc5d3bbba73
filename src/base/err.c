#include "base/err.h"

#include <errno.h>
#include <stdarg.h>

#include "base/assert.h"

/*
 * Everything that is known of a code is a row of ERR_TABLE, and every function here that answers a
 * question about a code reads a column of it. Adding an error is adding a row.
 */
struct err_row {
    const char *name;
    enum err_class class;
    const char *text;
    bool retriable;
    int http_status;
    int kafka_code;
};

static const struct err_row *row(err_t err)
{
    static const struct err_row rows[] = {
#define X(name, class, text, retriable, http, kafka)                                               \
    {#name, ERR_CLASS_##class, text, retriable, http, kafka},
        ERR_TABLE(X)
#undef X
    };
    /* Codes are made here and never read from a peer or a disk. */
    ASSERT(err.code < ERR_COUNT);
    return &rows[err.code];
}

enum err_class err_class(err_t err)
{
    ASSERT(err_is_ok(err) == (row(err)->class == ERR_CLASS_OK));
    return row(err)->class;
}

const char *err_name(err_t err)
{
    ASSERT(row(err)->name[0]);
    return row(err)->name;
}

const char *err_string(err_t err)
{
    ASSERT(row(err)->text[0]);
    return row(err)->text;
}

bool err_retriable(err_t err)
{
    return row(err)->retriable;
}

int err_http_status(err_t err)
{
    ASSERT(row(err)->http_status >= 200 && row(err)->http_status < 600);
    return row(err)->http_status;
}

int err_kafka_code(err_t err)
{
    ASSERT(err_is_ok(err) == (row(err)->kafka_code == 0));
    return row(err)->kafka_code;
}

/* Errors that callers or the doors treat alike share a code; those that nobody tells apart are IO,
 * of which the retry and the status are the careful ones. */
static enum err_code code_from_errno(int error)
{
    switch (error) {
    case EINTR:
    case EAGAIN: return ERR_AGAIN;
    case ENOSPC:
    case EDQUOT:
    /* The size limit of files is a full disk to whoever has to write on. */
    case EFBIG: return ERR_NO_SPACE;
    case EACCES:
    case EPERM:
    case EROFS: return ERR_PERMISSION;
    case ENOENT:
    case ENOTDIR: return ERR_NO_FILE;
    case EEXIST: return ERR_EXISTS;
    case EMFILE:
    case ENFILE: return ERR_FD_LIMIT;
    case EADDRINUSE:
    case EBUSY: return ERR_IN_USE;
    case ENOMEM:
    case ENOBUFS: return ERR_MEMORY;
    case ETIMEDOUT: return ERR_TIMEOUT;
    case EPIPE:
    case ENOTCONN:
    case ECONNRESET:
    case ECONNABORTED: return ERR_CLOSED;
    case ECANCELED: return ERR_CANCELLED;
    /* The system says EINVAL where a file or a socket cannot do what was asked of it. */
    case EINVAL:
    case ENOSYS:
    case EOPNOTSUPP: return ERR_UNSUPPORTED;
    default: return ERR_IO;
    }
}

err_t err_from_errno(int error)
{
    ASSERT(error > 0);
    return err_make(code_from_errno(error));
}

/* Half a message must not pass for a whole one: who reads it would look in the wrong place.
 * Ends `text` in dots when vsnprintf has reported that `length` bytes did not fit. */
static void mark_cut(char text[static ERR_TEXT_SIZE], int length)
{
    ASSERT(length >= 0);
    if (length >= ERR_TEXT_SIZE)
        memcpy(text + ERR_TEXT_SIZE - 4, "...", 4);
}

err_t err_set(struct err_text *why, enum err_code code, const char *format, ...)
{
    ASSERT(code > ERR_OK && code < ERR_COUNT);
    if (!why)
        return err_make(code);
    /* By way of a copy: the arguments may point into the old detail. */
    struct err_text detail;
    va_list arguments;
    va_start(arguments, format);
    mark_cut(detail.text, vsnprintf(detail.text, sizeof(detail.text), format, arguments));
    va_end(arguments);
    *why = detail;
    return err_make(code);
}

void err_prefix(struct err_text *why, const char *format, ...)
{
    ASSERT(format);
    /* A prefix alone would stand where err_detail gives the code's own text. */
    if (!why || why->text[0] == '\0')
        return;
    struct err_text prefix;
    va_list arguments;
    va_start(arguments, format);
    mark_cut(prefix.text, vsnprintf(prefix.text, sizeof(prefix.text), format, arguments));
    va_end(arguments);
    struct err_text detail = *why;
    ASSERT(memchr(detail.text, 0, sizeof(detail.text)));
    int length = snprintf(why->text, sizeof(why->text), "%s: %s", prefix.text, detail.text);
    mark_cut(why->text, length);
}

const char *err_detail(err_t err, const struct err_text *why)
{
    return why && why->text[0] ? why->text : err_string(err);
}
