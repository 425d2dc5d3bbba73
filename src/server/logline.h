#pragma once

/*
 * The program's log on standard error: a line an event, as JSON for machines or plain for a
 * terminal. Any thread: each line is one write.
 */

#include "base/buf.h"
#include "base/logger.h"
#include "io/loop.h"

struct server_logger {
    struct logger logger;
    struct io_loop *clock; /* any loop */
    bool plain;
};

void server_logger_init(struct server_logger *logger, struct io_loop *clock, bool plain);
/* Renders one line with its line end, for the writer and its tests. */
void server_logline(struct buf *out, bool plain, int64_t now_ms, enum log_level level,
                    const char *event, struct slice text);
