#include "server/logline.h"

#include "base/assert.h"
#include "base/time.h"

/*
 * A line of the log: JSON for machines, or text where a person watches. Loops and workers all log,
 * each line in one call, so that lines do not run into each other; standard error is not buffered.
 *
 * Failure: a line that finds no memory is left out. Logging never stops what is logged.
 */

/* Names of files and answers of peers end up in texts: they must not begin a line of their own or
 * move a terminal's cursor. */
static void add_plain(struct buf *out, struct slice text)
{
    for (size_t i = 0; i < text.size; i++)
        buf_add_byte(out, text.data[i] < 0x20 || text.data[i] == 0x7f ? '?' : text.data[i]);
}

void server_logline(struct buf *out, bool plain, int64_t now_ms, enum log_level level,
                    const char *event, struct slice text)
{
    if (plain) {
        buf_add_time(out, now_ms);
        buf_add_format(out, " %-7s %s: ", log_level_name(level), event);
        add_plain(out, text);
    } else {
        buf_add_string(out, "{\"time\":\"");
        buf_add_time(out, now_ms);
        buf_add_format(out, "\",\"level\":\"%s\",\"event\":\"%s\",\"text\":", log_level_name(level),
                       event);
        buf_add_json_string(out, text);
        buf_add_byte(out, '}');
    }
    buf_add_byte(out, '\n');
}

static void write_line(struct logger *logger, enum log_level level, const char *event,
                       struct slice text)
{
    struct server_logger *self = (struct server_logger *)logger;
    struct buf line;
    buf_init(&line, 0);
    server_logline(&line, self->plain, io_wall_ms(self->clock), level, event, text);
    if (buf_ok(&line))
        fwrite(line.data, 1, line.size, stderr);
    buf_done(&line);
}

void server_logger_init(struct server_logger *logger, struct io_loop *clock, bool plain)
{
    ASSERT(clock);
    *logger = (struct server_logger){.logger.write = write_line, .clock = clock, .plain = plain};
    ASSERT((void *)logger == (void *)&logger->logger);
}
