#pragma once

/*
 * Whether a contract may take another's place, by its own `compatibility`: schemas are compared by
 * Confluent's rules (format/jsonschema/compat.h).
 */

#include "control/catalog/catalog.h"

/*
 * Compares the topics that both catalogs have; each break is an error in `report` at the contract
 * of `to`, with what it breaks, its place in the schema and its code. ERR_MEMORY, or OK also with
 * breaks.
 */
err_t control_catalog_compat(const struct control_catalog *from, const struct control_catalog *to,
                             struct control_report *report);
