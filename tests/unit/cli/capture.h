#pragma once

/*
 * What a command prints: standard output or standard error goes to a temporary file while a test
 * runs it. And the program that commands are run in, on the real disk.
 */

#include <unistd.h>

#include "cli/cli.h"
#include "io/uv/uv.h"
#include "lib/unit.h"

struct capture {
    int stream; /* 1 or 2 */
    int saved;
    FILE *file;
    char text[16384];
};

static inline void capture_begin(struct capture *c, int stream)
{
    fflush(NULL);
    c->stream = stream;
    c->saved = dup(stream);
    c->file = tmpfile();
    assert_true(c->saved >= 0 && c->file);
    assert_true(dup2(fileno(c->file), stream) == stream);
}

/* Puts the stream back; what was printed is in `text`. */
static inline const char *capture_end(struct capture *c)
{
    fflush(NULL);
    assert_true(dup2(c->saved, c->stream) == c->stream);
    close(c->saved);
    rewind(c->file);
    size_t size = fread(c->text, 1, sizeof(c->text) - 1, c->file);
    c->text[size] = '\0';
    fclose(c->file);
    return c->text;
}

static inline const char *no_env(const char *name)
{
    (void)name;
    return NULL;
}

static inline struct cli capture_cli(void)
{
    return (struct cli){.disk = io_uv_disk(), .env = no_env};
}

/* Runs a command with these words and returns its exit code; what went to `stream` is in `c`. */
static inline int capture_run(struct capture *c, int stream,
                              int (*run)(struct cli *cli, int argc, char **argv), struct cli *cli,
                              const char *const *words)
{
    char *argv[32];
    int argc = 0;
    for (; words[argc]; argc++)
        argv[argc] = (char *)(uintptr_t)words[argc];
    capture_begin(c, stream);
    int code = run(cli, argc, argv);
    capture_end(c);
    return code;
}
