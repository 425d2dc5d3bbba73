#pragma once

/*
 * The schema that a contract names: read, compiled, and what is wrong with it said at the contract.
 */

#include "control/catalog/contract.h"
#include "io/disk.h"

/*
 * Compiles `text` by what `schema` says, into it and `*out`, which is freed with
 * format_jsonschema_free; text and fingerprint live in `arena`. The errors of
 * format_jsonschema_compile.
 */
err_t control_catalog_schema_compile(struct slice text, struct arena *arena,
                                     struct control_catalog_schema *schema,
                                     struct format_jsonschema **out, struct err_text *why);
/*
 * Reads and compiles the schema of `contract` into `*out`, NULL where it names none, and into the
 * contract, with its text and fingerprint, which live in `arena`. Blocks on the
 * disk. False where `report` says what is wrong: the place is the contract's `schema.file`, the
 * text names the schema's file and the JSON Pointer in it. `*out` is freed with
 * format_jsonschema_free.
 */
bool control_catalog_schema_load(struct io_disk *disk, struct arena *arena,
                                 struct control_catalog_contract *contract,
                                 struct control_report *report, struct format_jsonschema **out);
