#include "base/cursor.h"

#include "base/assert.h"

/*
 * A peer decides how many bytes there are, so running out is an ordinary outcome and no mistake of
 * ours. A failure empties the cursor: what reads on, a loop over a count that the peer sent for
 * one, finds nothing and ends, and values read after the failure are 0 whatever stood there.
 *
 * The byte order is written out in shifts, which the compilers here turn into one load or store;
 * the fields need no alignment.
 */

void cursor_fail(struct cursor *c)
{
    ASSERT(c);
    /* Emptied as well as marked: bytes that are left could be taken for good ones. */
    c->failed = true;
    c->rest = slice_make(NULL, 0);
}

/* Every read goes through here, so that there is one place where the size is looked at.
 * The next `size` bytes, NULL (and latched) when there are not as many. */
static const uint8_t *take(struct cursor *c, size_t size)
{
    ASSERT(!c->failed || c->rest.size == 0);
    if (c->failed || size > c->rest.size) {
        cursor_fail(c);
        return NULL;
    }
    const uint8_t *data = c->rest.data;
    c->rest = slice_sub(c->rest, size, c->rest.size);
    return data;
}

/* A view into what is read: the caller copies what has to outlive it. */
struct slice cursor_bytes(struct cursor *c, size_t size)
{
    const uint8_t *data = take(c, size);
    ASSERT(data || c->failed || size == 0);
    return slice_make(data, data ? size : 0);
}

/* After a failure every read is 0: callers read all fields and look once, and what they compute of
 * zeros until then has to be harmless. */
uint8_t cursor_u8(struct cursor *c)
{
    ASSERT(c);
    const uint8_t *in = take(c, 1);
    return in ? *in : 0;
}

uint16_t cursor_u16le(struct cursor *c)
{
    ASSERT(c);
    const uint8_t *in = take(c, 2);
    return in ? get_u16le(in) : 0;
}

uint32_t cursor_u32le(struct cursor *c)
{
    ASSERT(c);
    const uint8_t *in = take(c, 4);
    return in ? get_u32le(in) : 0;
}

uint64_t cursor_u64le(struct cursor *c)
{
    ASSERT(c);
    const uint8_t *in = take(c, 8);
    return in ? get_u64le(in) : 0;
}

uint16_t cursor_u16be(struct cursor *c)
{
    ASSERT(c);
    const uint8_t *in = take(c, 2);
    return in ? get_u16be(in) : 0;
}

uint32_t cursor_u32be(struct cursor *c)
{
    ASSERT(c);
    const uint8_t *in = take(c, 4);
    return in ? get_u32be(in) : 0;
}

uint64_t cursor_u64be(struct cursor *c)
{
    ASSERT(c);
    const uint8_t *in = take(c, 8);
    return in ? get_u64be(in) : 0;
}

/* A varint of at most `bits` bits. Bits beyond are a failure, where Kafka's client cuts them off:
 * two texts for one number are a way past whoever looks at the text. A longer text than needed
 * passes, since encoders that fill a length in later write it. */
static uint64_t read_varint(struct cursor *c, unsigned bits)
{
    ASSERT(bits == 32 || bits == 64);
    uint64_t value = 0;
    for (unsigned shift = 0; shift < bits; shift += 7) {
        const uint8_t *in = take(c, 1);
        if (!in)
            return 0;
        /* The last byte has room for one bit of 64, or for four of 32. */
        uint64_t part = *in & 0x7f;
        if (bits - shift < 7 && part >> (bits - shift))
            break;
        value |= part << shift;
        if (*in < 0x80)
            return value;
    }
    cursor_fail(c);
    return 0;
}

uint32_t cursor_uvarint(struct cursor *c)
{
    uint64_t value = read_varint(c, 32);
    ASSERT(value <= UINT32_MAX);
    return (uint32_t)value;
}

uint64_t cursor_uvarlong(struct cursor *c)
{
    ASSERT(c);
    return read_varint(c, 64);
}

int32_t cursor_varint(struct cursor *c)
{
    int64_t value = zigzag_decode(read_varint(c, 32));
    ASSERT(value >= INT32_MIN && value <= INT32_MAX);
    return (int32_t)value;
}

int64_t cursor_varlong(struct cursor *c)
{
    ASSERT(c);
    return zigzag_decode(read_varint(c, 64));
}

size_t uvarint_size(uint64_t value)
{
    /* As if 0 had a bit: it takes a byte too. */
    unsigned bits = 64 - (unsigned)__builtin_clzll(value | 1);
    ASSERT(bits >= 1 && bits <= 64);
    return (bits + 6) / 7;
}

size_t uvarint_put(uint8_t *out, uint64_t value)
{
    ASSERT(out);
    size_t size = 0;
    while (value >= 0x80) {
        out[size++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    out[size++] = (uint8_t)value;
    ASSERT(size <= 10);
    return size;
}

void put_u16le(uint8_t *out, uint16_t value)
{
    ASSERT(out);
    out[0] = (uint8_t)value;
    out[1] = (uint8_t)(value >> 8);
}

void put_u32le(uint8_t *out, uint32_t value)
{
    ASSERT(out);
    put_u16le(out, (uint16_t)value);
    put_u16le(out + 2, (uint16_t)(value >> 16));
}

void put_u64le(uint8_t *out, uint64_t value)
{
    ASSERT(out);
    put_u32le(out, (uint32_t)value);
    put_u32le(out + 4, (uint32_t)(value >> 32));
}

void put_u16be(uint8_t *out, uint16_t value)
{
    ASSERT(out);
    put_u16le(out, __builtin_bswap16(value));
}

void put_u32be(uint8_t *out, uint32_t value)
{
    ASSERT(out);
    put_u32le(out, __builtin_bswap32(value));
}

void put_u64be(uint8_t *out, uint64_t value)
{
    ASSERT(out);
    put_u64le(out, __builtin_bswap64(value));
}

/* Byte by byte, since bytes from a peer lie where they lie; compilers make one load of it. */
uint16_t get_u16le(const uint8_t *in)
{
    ASSERT(in);
    return (uint16_t)(in[0] | in[1] << 8);
}

uint32_t get_u32le(const uint8_t *in)
{
    ASSERT(in);
    return get_u16le(in) | (uint32_t)get_u16le(in + 2) << 16;
}

uint64_t get_u64le(const uint8_t *in)
{
    ASSERT(in);
    return get_u32le(in) | (uint64_t)get_u32le(in + 4) << 32;
}

uint16_t get_u16be(const uint8_t *in)
{
    ASSERT(in);
    return __builtin_bswap16(get_u16le(in));
}

uint32_t get_u32be(const uint8_t *in)
{
    ASSERT(in);
    return __builtin_bswap32(get_u32le(in));
}

uint64_t get_u64be(const uint8_t *in)
{
    ASSERT(in);
    return __builtin_bswap64(get_u64le(in));
}

void buf_add_u16le(struct buf *b, uint16_t value)
{
    ASSERT(b);
    uint8_t bytes[2];
    put_u16le(bytes, value);
    buf_add(b, bytes, sizeof(bytes));
}

void buf_add_u32le(struct buf *b, uint32_t value)
{
    ASSERT(b);
    uint8_t bytes[4];
    put_u32le(bytes, value);
    buf_add(b, bytes, sizeof(bytes));
}

void buf_add_u64le(struct buf *b, uint64_t value)
{
    ASSERT(b);
    uint8_t bytes[8];
    put_u64le(bytes, value);
    buf_add(b, bytes, sizeof(bytes));
}

void buf_add_uvarint(struct buf *b, uint64_t value)
{
    ASSERT(b);
    uint8_t bytes[10];
    buf_add(b, bytes, uvarint_put(bytes, value));
}
