#pragma once

/*
 * Assertions about our own mistakes. They stay on in every build: a program that went on with a
 * broken invariant would acknowledge what it cannot keep. Bytes from a peer or a disk are never
 * asserted; they get an error.
 */

#include <stdbool.h>

/* Prints the place and the expression on standard error and aborts. */
_Noreturn void assert_failed(const char *file, int line, const char *expression);

#define ASSERT(expression)                                                                         \
    do {                                                                                           \
        if (__builtin_expect(!(expression), 0))                                                    \
            assert_failed(__FILE__, __LINE__, #expression);                                        \
    } while (0)

/* For the branch that cannot be taken. */
#define UNREACHABLE(why) assert_failed(__FILE__, __LINE__, why)
