#pragma once

/*
 * One contract, on its own: from the file's tree to a topic. What it says together with others is
 * the catalog's to check.
 */

#include "control/catalog/catalog.h"
#include "control/config/decode.h"

struct control_catalog_contract {
    struct control_catalog_topic topic;
    const struct control_config_node *root;
};

/* Why no topic can be called `name`, as what was expected instead; NULL where one can. */
const char *control_catalog_name_problem(const char *name);
/* Each field by its default; strings live in `arena`. ERR_MEMORY. */
err_t control_catalog_contract_defaults(struct arena *arena, struct control_catalog_contract *out);
/*
 * Decodes and checks `root` into `out`; strings live in the decoder's arena. False where the
 * decoder's report says what is wrong with it.
 */
bool control_catalog_contract_decode(const struct control_config_decoder *decoder,
                                     const struct control_config_node *root,
                                     struct control_catalog_contract *out);
