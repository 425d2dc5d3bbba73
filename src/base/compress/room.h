#pragma once

/*
 * Room in a buffer for what a codec writes, and the buffer as it was when the codec fails: nothing
 * is latched, since who appends goes on. For the codecs of this folder. Any thread.
 */

#include "base/buf.h"

/* `size` bytes behind the content, for buf_advance. ERR_MEMORY, or ERR_TOO_LARGE by the cap. */
err_t compress_room(struct buf *out, size_t size, uint8_t **room);

/* A result whose size shows only as it comes: begun, given room step by step, ended. */
struct compress_result {
    struct buf *out;
    size_t size_before;
};

/* `out` has no cap, and takes `size_max` bytes more at the most. */
struct compress_result compress_begin(struct buf *out, size_t size_max);
/* Room for the next step: `*size` bytes at `*room`, for buf_advance. ERR_TOO_LARGE when there is
 * more than the result may have, ERR_MEMORY. */
err_t compress_step(const struct compress_result *result, uint8_t **room, size_t *size);
/* Ends it with what became of it. Returns that, or ERR_TOO_LARGE; the content is as it was after
 * any failure. */
err_t compress_end(const struct compress_result *result, err_t err);

/* The program's memory as libraries ask for it: `context` is not looked at. */
void *compress_allocate(void *context, size_t size);
void compress_release(void *context, void *block);
