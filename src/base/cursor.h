#pragma once

/*
 * Reading and writing fixed-layout bytes. A cursor walks over a slice with a latched error: read
 * all fields, look once with cursor_ok. After a failure every read gives 0 and an empty slice.
 * Suffix le/be names the byte order; Kafka's fields are big-endian, our own little-endian.
 * Varints are Kafka's (and Protocol Buffers'): base 128, zigzag where signed.
 */

#include "base/buf.h"
#include "base/slice.h"

struct cursor {
    struct slice rest;
    bool failed;
};

/* A cursor at the front of `s`. */
static inline struct cursor cursor_make(struct slice s)
{
    return (struct cursor){s, false};
}

/* True while all reads found what they wanted. */
static inline bool cursor_ok(const struct cursor *c)
{
    return !c->failed;
}

/* Latches a failure, for what the caller finds wrong itself. */
void cursor_fail(struct cursor *c);
/* The next `size` bytes. */
struct slice cursor_bytes(struct cursor *c, size_t size);
uint8_t cursor_u8(struct cursor *c);
uint16_t cursor_u16le(struct cursor *c);
uint32_t cursor_u32le(struct cursor *c);
uint64_t cursor_u64le(struct cursor *c);
uint16_t cursor_u16be(struct cursor *c);
uint32_t cursor_u32be(struct cursor *c);
uint64_t cursor_u64be(struct cursor *c);
/* Unsigned varint of 32 / 64 bits; a longer one fails. */
uint32_t cursor_uvarint(struct cursor *c);
uint64_t cursor_uvarlong(struct cursor *c);
/* Zigzag varint of 32 / 64 bits. */
int32_t cursor_varint(struct cursor *c);
int64_t cursor_varlong(struct cursor *c);

/* Signed to unsigned so that small numbers of both signs stay small: 0, -1, 1, -2 are 0 to 3. */
static inline uint64_t zigzag_encode(int64_t value)
{
    return ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
}

static inline int64_t zigzag_decode(uint64_t value)
{
    return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

/* Bytes that `value` takes as an unsigned varint: 1 to 10. */
size_t uvarint_size(uint64_t value);
/* Writes it to `out` (room for 10 bytes) and returns its size. */
size_t uvarint_put(uint8_t *out, uint64_t value);

/* A field at `out`, which needs no alignment. */
void put_u16le(uint8_t *out, uint16_t value);
void put_u32le(uint8_t *out, uint32_t value);
void put_u64le(uint8_t *out, uint64_t value);
void put_u16be(uint8_t *out, uint16_t value);
void put_u32be(uint8_t *out, uint32_t value);
void put_u64be(uint8_t *out, uint64_t value);
/* The field at `in`, of which the caller knows that it is there. */
uint16_t get_u16le(const uint8_t *in);
uint32_t get_u32le(const uint8_t *in);
uint64_t get_u64le(const uint8_t *in);
uint16_t get_u16be(const uint8_t *in);
uint32_t get_u32be(const uint8_t *in);
uint64_t get_u64be(const uint8_t *in);

/* Appends a field, latched as every append. */
void buf_add_u16le(struct buf *b, uint16_t value);
void buf_add_u32le(struct buf *b, uint32_t value);
void buf_add_u64le(struct buf *b, uint64_t value);
void buf_add_uvarint(struct buf *b, uint64_t value);
