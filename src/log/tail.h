#pragma once

/*
 * The newest frames in memory: one ring of bytes, allocated once. A frame is composed in place at
 * the ring's head, written to disk from there, and stays readable until younger frames need its
 * room. Readers copy out, so nobody ever holds the ring up. Sequencer's loop only; the bytes of a
 * sealed frame are read by the flusher as well.
 */

#include "base/err.h"
#include "log/state.h"

/* Frames of up to a quarter of the ring go through it: one being flushed, one being composed, and
 * what wrapping wastes must fit. */
#define LOG_TAIL_SIZE_MIN (UINT64_C(4) << 20)

struct log_tail_frame {
    struct log_position position;
    uint64_t start; /* in the ring */
    uint64_t disk_size;
};

struct log_tail {
    uint8_t *data;
    uint64_t size;
    uint64_t frame_size;           /* that frames are meant to have */
    uint64_t head;                 /* where the next frame is composed */
    struct log_tail_frame *frames; /* circular; oldest at `first` */
    size_t capacity;
    size_t first;
    size_t count;
};

/* `size` is at least LOG_TAIL_SIZE_MIN. Memory is touched as it is used. Below four times
 * LOG_FRAME_SIZE_TARGET, frames are meant to be smaller. */
err_t log_tail_init(struct log_tail *tail, uint64_t size);
void log_tail_done(struct log_tail *tail);
/* `size` contiguous bytes at the head, on a block; the frames that lay there are gone. The same
 * room is given again until log_tail_seal. */
uint8_t *log_tail_reserve(struct log_tail *tail, uint64_t size);
/* The first `disk_size` bytes of what was reserved hold a frame: the head moves behind it. */
void log_tail_seal(struct log_tail *tail, const uint8_t *data, uint64_t disk_size);
/* A sealed frame is durable at `position`: readers find it. In the order of sealing. */
void log_tail_publish(struct log_tail *tail, const uint8_t *data, uint64_t disk_size,
                      struct log_position position);
/* The bytes at `position` (inside a frame), or NULL when they are not here. */
const uint8_t *log_tail_find(const struct log_tail *tail, struct log_position position,
                             uint64_t size);
