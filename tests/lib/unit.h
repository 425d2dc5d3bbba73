#pragma once

/*
 * What the unit tests share: cmocka with the headers that it wants first, slices compared with
 * strings, and numbers from a seed. The seed is printed, so that a failure shows it, and taken
 * from GARNER_TEST_SEED where that is set, which replays one.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "base/slice.h"

/* A test whose `*state` the file's own set_up makes and tear_down, also after a failure, ends. */
#define fixture_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#define assert_slice(s, text) unit_assert_slice(s, text, __FILE__, __LINE__)

static inline void unit_assert_slice(struct slice s, const char *text, const char *file, int line)
{
    if (slice_equal_string(s, text))
        return;
    print_error("got \"%.*s\", expected \"%s\"\n", SLICE_PRINTF(s), text);
    _fail(file, line);
}

/* The state of a sequence of numbers; one a test. */
static inline uint64_t unit_seed(void)
{
    const char *given = getenv("GARNER_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    print_message("GARNER_TEST_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

/* The next number of the sequence (splitmix64). */
static inline uint64_t unit_random(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t mixed = (*state ^ *state >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ mixed >> 31;
}
