#pragma once

/*
 * A fuzz target is one file with this one function, which looks at bytes from outside and aborts
 * where something is not as it should be. main.c runs it over a corpus and mutations of that, as
 * a test; libFuzzer runs it where the build has -Dfuzzers=true.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Returns 0. `data` is a block of exactly `size` bytes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Stops the run with the place and the expression, also for libFuzzer and the sanitizers. */
#define FUZZ_EXPECT(expression)                                                                    \
    do {                                                                                           \
        if (!(expression)) {                                                                       \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #expression);               \
            abort();                                                                               \
        }                                                                                          \
    } while (0)
