#pragma once

/*
 * A server that this program has started itself, through a shell command, and may therefore kill.
 * The command gets a process group of its own, and only that group is ever signalled, so nothing
 * that somebody else runs can be hit. One thread; the program may have one victim and no other
 * children.
 */

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

struct cli_victim {
    const char *command;
    pid_t group; /* 0: not running */
    int status;  /* of the shell, as waitpid gave it, once it has ended */
};

/* Starts `command` with /bin/sh -c; its output goes where ours goes, its input is empty. ERR_IO
 * and the like, with a detail, when there can be no process. */
err_t cli_victim_start(struct cli_victim *victim, struct err_text *why);
/* SIGKILL to all of it, and waits until it is gone. Harmless when it is not running. */
void cli_victim_kill(struct cli_victim *victim);
/* SIGTERM to all of it; cli_victim_running tells when it is gone. */
void cli_victim_terminate(struct cli_victim *victim);
/* False once every process of it is gone. Never blocks. */
bool cli_victim_running(struct cli_victim *victim);
/* How the shell ended, for a person: "with exit code 78". `victim` has been started and is gone. */
void cli_victim_describe(const struct cli_victim *victim, char *out, size_t size);
