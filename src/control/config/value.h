#pragma once

/*
 * One written value into one field of a struct, as its option says: the same for what stands in a
 * file and for the defaults of the tables. Pure; strings live in the caller's arena.
 */

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/option.h"

/*
 * Parses `text` and stores it at `field`, which is of the type that `option` says; all types but
 * OPTION_STRINGS and OPTION_TABLE. A path that is relative begins at `directory`. ERR_CONFIG
 * with a detail "expected ..." that does not say what was there, also where `text` is NULL since
 * no text was there; ERR_MEMORY.
 */
err_t control_config_value(const struct option *option, const char *text, const char *directory,
                           struct arena *arena, void *field, struct err_text *why);
/* Appends the value at `field` as one would write it in a file, so that control_config_value reads
 * the same from it: "7d", "64MiB". Returns false and appends nothing where none was given: NULL, or
 * 0 of a number that has no default. */
bool control_config_value_add(const struct option *option, const void *field, struct buf *out);
/* `path` where it is absolute, else below `directory`; "." parts and double slashes are left
 * out. NULL without memory. */
const char *control_config_path(struct arena *arena, const char *directory, const char *path);
/* The directory part of `path`: "/" and "." where it has none. NULL without memory. */
const char *control_config_directory(struct arena *arena, const char *path);
/* True for "host:port" with an IPv4 address, an IPv6 address in brackets or localhost, and a port
 * from 0 to 65535, as io_listen takes it. */
bool control_config_address_valid(const char *address);
/* True when only this machine can reach it: 127.0.0.0/8, ::1, localhost. `address` is valid. */
bool control_config_address_is_loopback(const char *address);
/* True for the address that stands for all of the machine: 0.0.0.0 and [::]. `address` is valid. */
bool control_config_address_is_wildcard(const char *address);
/* True for "host:port" as a client could connect to it: a name or a literal address, which is not
 * the one for all, and a port from 1. Names are not looked up: they are the clients'. */
bool control_config_advertised_valid(const char *text);
/* Appends what `option` takes, for messages and the reference page: "a size such as 64MiB from
 * 32MiB to 1TiB". */
void control_config_expected(const struct option *option, struct buf *out);
