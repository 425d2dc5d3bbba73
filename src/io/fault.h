#pragma once

/*
 * Faults on purpose: a disk in front of another one that makes single calls fail, stop half way,
 * take long, or be the last thing the process does. For tests of the real program; a server uses
 * it only when it is built with -Dfaults=true.
 *
 * A specification is one or more rules with ";" between them:
 *
 *     kill:before:OP:PATH:N    end the process before the call is made
 *     kill:after:OP:PATH:N     once it is made, before its result is seen
 *     kill:during:write:PATH:N once half of the bytes are written
 *     fail:ERROR:OP:PATH:N     the call is not made and fails; ERROR is io, space, permission,
 *                              files (too many open) or memory
 *     short:write:PATH:N       half of the bytes are written, and the call fails with io
 *     slow:TIME:OP:PATH:N      the call is made after TIME ("50ms", "2s")
 *
 * OP is open, close, read, write, sync, truncate, rename, remove, mkdir, syncdir, list, writebehind
 * (which has no result: one that fails is not made, and nobody is told), syncall, or any.
 * PATH is a part of the path, or of either path of a rename, or of the path that was opened for
 * syncall; empty matches all. N counts the calls that match, from 1: "3" is the third alone, "3+"
 * the third and all after it, "3x5" five from the third on.
 * Example: kill:before:sync:wal/:17;fail:io:write:lake:3+
 *
 * Halves are whole blocks where there are two or more, so that direct I/O can write them. Locks,
 * sizes, kinds and space pass untouched. Any thread.
 */

#include "io/disk.h"

/* What a rule may need from the world. In the program `kill` does not return. */
struct io_fault_hooks {
    void (*kill)(void);
    void (*sleep_ns)(uint64_t ns);
};

/* A disk that passes calls on to `inner`, which outlives it, as `spec` says. ERR_CONFIG with the
 * rule that is wrong, or ERR_MEMORY. */
err_t io_fault_disk_new(struct io_disk *inner, const char *spec, const struct io_fault_hooks *hooks,
                        struct io_disk **out, struct err_text *why);
/* Frees it; its files are closed. */
void io_fault_disk_free(struct io_disk **disk);
/* How often any rule has taken effect. */
uint64_t io_fault_disk_count(struct io_disk *disk);
