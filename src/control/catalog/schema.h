#pragma once

/*
 * The schema that a contract names: read, compiled, and what is wrong with it said at the contract.
 */

#include "control/catalog/contract.h"
#include "io/disk.h"

/*
 * Reads and compiles the schema of `contract` into `*out`, NULL where it names none. Blocks on the
 * disk. False where `report` says what is wrong: the place is the contract's `schema.file`, the
 * text names the schema's file and the JSON Pointer in it. `*out` is freed with
 * format_jsonschema_free.
 */
bool control_catalog_schema_load(struct io_disk *disk,
                                 const struct control_catalog_contract *contract,
                                 struct control_report *report, struct format_jsonschema **out);
