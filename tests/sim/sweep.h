#pragma once

#include <stdint.h>

/* Lets each call of the disk, and each allocation, fail once: while the log opens and while it
 * works. Nothing acknowledged is lost, and the log is well again afterwards. Returns how many
 * failures there were. */
uint64_t sweep_failures(uint64_t seed);
