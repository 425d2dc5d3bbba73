#pragma once

/*
 * Texts for the JSON tests, each in a heap block of exactly its size, so that the sanitizer sees a
 * read behind its end.
 */

#include <stdlib.h>
#include <string.h>

#include "base/slice.h"

static inline struct slice exact_bytes(const void *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy)
        abort();
    if (size > 0)
        memcpy(copy, data, size);
    return slice_make(copy, size);
}

static inline struct slice exact_text(const char *text)
{
    return exact_bytes(text, strlen(text));
}

static inline void exact_free(struct slice *s)
{
    free((void *)(uintptr_t)s->data);
    *s = slice_make(NULL, 0);
}
