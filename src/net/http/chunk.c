/*
 * A chunk is its size in hexadecimal, CRLF, its bytes, CRLF; one of size 0 and an empty line end
 * the body. Bytes of the frame are looked at one by one, those of the body are only counted.
 *
 * A size of more than 15 digits cannot be meant and is refused before it could overflow, which
 * bounds leading zeros too.
 */

#include "net/http/chunk.h"

#include "base/assert.h"

enum state {
    IN_SIZE,
    SIZE_LF, /* behind the CR of a size */
    IN_DATA,
    DATA_CR,
    DATA_LF,
    END_CR, /* behind the size 0: only an empty line may follow */
    END_LF,
};

#define SIZE_DIGITS_MAX 15u

static enum net_http_parse refuse(struct net_http_refusal *refusal, const char *detail)
{
    *refusal = (struct net_http_refusal){400, detail};
    return NET_HTTP_REFUSED;
}

static int hex_digit(uint8_t byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    uint8_t lower = byte | 0x20;
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* RFC 9112 section 7.1. Extensions are refused: they mean nothing to us, and parsers have differed
 * over where one ends, which makes two requests of one. */
static enum net_http_parse size_byte(struct net_http_chunk *chunk, uint8_t byte,
                                     struct net_http_refusal *refusal)
{
    int digit = hex_digit(byte);
    if (digit >= 0) {
        if (chunk->digits == SIZE_DIGITS_MAX)
            return refuse(refusal, "a chunk size has more than 15 digits");
        chunk->left = chunk->left << 4 | (uint64_t)digit;
        chunk->digits++;
        return NET_HTTP_MORE;
    }
    if (chunk->digits == 0)
        return refuse(refusal, "a chunk does not begin with its size");
    if (byte == ';')
        return refuse(refusal, "chunk extensions are not accepted");
    if (byte != '\r')
        return refuse(refusal, "a chunk size is not followed by CRLF");
    chunk->state = SIZE_LF;
    return NET_HTTP_MORE;
}

/* One byte that is not the body's. */
static enum net_http_parse frame_byte(struct net_http_chunk *chunk, uint8_t byte,
                                      struct net_http_refusal *refusal)
{
    switch ((enum state)chunk->state) {
    case IN_SIZE: return size_byte(chunk, byte, refusal);
    case SIZE_LF:
        if (byte != '\n')
            return refuse(refusal, "a chunk size is not followed by CRLF");
        chunk->state = chunk->left ? IN_DATA : END_CR;
        return NET_HTTP_MORE;
    case DATA_CR:
    case DATA_LF:
        if (byte != (chunk->state == DATA_CR ? '\r' : '\n'))
            return refuse(refusal, "a chunk is longer than its size");
        /* `left` is 0 here; the next size is gathered in it from there. */
        chunk->state = chunk->state == DATA_CR ? DATA_LF : IN_SIZE;
        chunk->digits = 0;
        return NET_HTTP_MORE;
    case END_CR:
        /* Trailer fields (section 7.1.2) could only be dropped, and a field that one hop drops and
         * another obeys is a way to smuggle. */
        if (byte != '\r')
            return refuse(refusal, "trailers are not accepted");
        chunk->state = END_LF;
        return NET_HTTP_MORE;
    case END_LF:
        if (byte != '\n')
            return refuse(refusal, "the last chunk is not followed by an empty line");
        return NET_HTTP_DONE;
    case IN_DATA: break;
    }
    UNREACHABLE("body bytes are not the frame's");
}

void net_http_chunk_advance(struct net_http_chunk *chunk, size_t size)
{
    ASSERT(chunk->state == IN_DATA && size <= chunk->left);
    chunk->left -= size;
    if (chunk->left == 0)
        chunk->state = DATA_CR;
}

size_t net_http_chunk_pending(const struct net_http_chunk *chunk)
{
    return chunk->state == IN_DATA ? (size_t)chunk->left : 0;
}

enum net_http_parse net_http_chunk_decode(struct net_http_chunk *chunk, struct slice *in,
                                          struct slice *data, struct net_http_refusal *refusal)
{
    *data = (struct slice){0};
    while (in->size) {
        if (chunk->state == IN_DATA) {
            *data = slice_sub(*in, 0, net_http_chunk_pending(chunk));
            *in = slice_sub(*in, data->size, in->size);
            net_http_chunk_advance(chunk, data->size);
            return NET_HTTP_MORE;
        }
        uint8_t byte = in->data[0];
        *in = slice_sub(*in, 1, in->size);
        enum net_http_parse result = frame_byte(chunk, byte, refusal);
        if (result != NET_HTTP_MORE)
            return result;
    }
    return NET_HTTP_MORE;
}
