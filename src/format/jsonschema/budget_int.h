#pragma once

/*
 * The work that one text may cause. Whoever loops over something that came from outside spends
 * steps first; when there are none left everything winds up and the verdict is `complexity`.
 * One thread.
 */

#include <stdbool.h>
#include <stdint.h>

struct format_jsonschema_budget {
    uint64_t steps; /* what is left */
    bool spent;     /* more was asked for than was left; stays */
};

/* Takes `steps`; false when there were fewer, and from then on. */
static inline bool format_jsonschema_spend(struct format_jsonschema_budget *b, uint64_t steps)
{
    if (b->spent || steps > b->steps) {
        b->spent = true;
        return false;
    }
    b->steps -= steps;
    return true;
}
