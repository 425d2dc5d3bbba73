#pragma once

/*
 * The files of examples that a contract names. A catalog holds their patterns only: a server runs
 * without the files, which are for whoever tests the contract.
 */

#include "control/catalog/catalog.h"
#include "io/disk.h"

enum control_catalog_example {
    CONTROL_CATALOG_VALID,
    CONTROL_CATALOG_INVALID,
    CONTROL_CATALOG_EXAMPLE_KINDS, /* how many there are */
};

/* The paths, by kind; as they are in the contract, below its own directory. */
struct control_catalog_example_files {
    struct option_strings of[CONTROL_CATALOG_EXAMPLE_KINDS];
};

/* "valid" or "invalid", as the contract has it. */
const char *control_catalog_example_name(enum control_catalog_example kind);
/*
 * Finds the files of `topic`, whose catalog is still there; paths live in `arena`. Blocks on the
 * disk. False where `report` says what is wrong, each at its place in the contract: a pattern that
 * no file matches, a directory that cannot be read.
 */
bool control_catalog_examples_find(struct io_disk *disk, const struct control_catalog_topic *topic,
                                   struct arena *arena, struct control_report *report,
                                   struct control_catalog_example_files *out);
/* Adds an error (printf format) at the list of `kind` in the contract, or where there is none at
 * the topic. */
void control_catalog_examples_error(const struct control_catalog_topic *topic,
                                    enum control_catalog_example kind,
                                    struct control_report *report, const char *text, ...)
    __attribute__((format(printf, 4, 5)));
