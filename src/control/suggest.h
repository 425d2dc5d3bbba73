#pragma once

/*
 * "did you mean ...?": of all names offered, the one that a typing mistake is most likely to have
 * turned into the name at hand. One thread; views only, nothing is copied.
 */

#include "base/slice.h"

struct control_suggest {
    struct slice name;
    const char *best; /* the nearest so far, or NULL when none is near */
    size_t distance;
};

/* Starts a search for what `name` was meant to be. */
struct control_suggest control_suggest_for(struct slice name);
/* Considers one more name. Near is: an insertion, a deletion, a replacement or a swap of
 * neighbours for each three characters of `name`, at least one. */
void control_suggest_offer(struct control_suggest *suggest, const char *candidate);
