#pragma once

/*
 * Contracts that are in force as JSON, and back: what the admin door answers and what a command
 * that compares with a running server reads. Pure.
 *
 * A contract is an object:
 *   topic
 *   since      when it came into force as it is, RFC 3339; null: it is not in force
 *   file       where it stands on the server's machine
 *   contract   each field of the contract's language with its value, written as in a file, null
 *              where none is given and there is no default
 *   schema     null, or fingerprint (SHA-256 of the file, as sha256sum prints it) and document
 *   earlier_schemas   that the topic had before, the oldest first: since, format_assertion and
 *              document, null where it had none. Not there where they are not known
 */

#include "control/catalog/catalog.h"

/* Appends {"contracts":[...]}, a contract a line, sorted by topic, without a line end. */
void control_catalog_render(const struct control_catalog *catalog, struct buf *out);
/* Appends one of them; `topic` is of `catalog`. */
void control_catalog_render_topic(const struct control_catalog *catalog,
                                  const struct control_catalog_topic *topic, struct buf *out);
/* Appends one value of a contract, at the field of `option`, which is no table. */
void control_catalog_render_value(const struct option *option, const void *field, struct buf *out);
/*
 * Makes a catalog of what control_catalog_render wrote, also by another version: fields that are
 * not there have their defaults, those that nobody here knows are left out. Files are not looked
 * at. An error with a detail for what is no such text (ERR_SYNTAX) and for a value or schema that
 * this version cannot take; ERR_MEMORY. `*out` is set on success only.
 */
err_t control_catalog_parse(struct slice document, struct control_catalog **out,
                            struct err_text *why);
