#pragma once

/* Damage to what is on the simulated disk, done while nobody has it open. */

#include "sim/world.h"

/* What was done, for a person; NULL when there was nothing to damage. */
const char *damage_something(struct world *w);
/* A bit of what the log has written so far turns over, while it runs. */
void damage_rot(struct world *w);
/* The newest checkpoint, seldom all of them; `*good` others can be read. NULL when there is none.
 */
const char *damage_checkpoints(struct world *w, uint32_t *good);
