#include "base/base64.h"

/*
 * Three bytes are four letters. Decoding is strict, so that bytes have one text only: whoever
 * compares texts compares bytes.
 */

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void buf_add_base64(struct buf *b, struct slice bytes)
{
    ASSERT(bytes.data || bytes.size == 0);
    size_t size = (bytes.size + 2) / 3 * 4;
    uint8_t *out = buf_reserve(b, size);
    if (!out)
        return;
    for (size_t i = 0; i < bytes.size; i += 3) {
        size_t left = bytes.size - i;
        uint32_t group = (uint32_t)bytes.data[i] << 16;
        if (left > 1)
            group |= (uint32_t)bytes.data[i + 1] << 8;
        if (left > 2)
            group |= bytes.data[i + 2];
        *out++ = (uint8_t)letters[group >> 18];
        *out++ = (uint8_t)letters[group >> 12 & 63];
        *out++ = (uint8_t)(left > 1 ? letters[group >> 6 & 63] : '=');
        *out++ = (uint8_t)(left > 2 ? letters[group & 63] : '=');
    }
    buf_advance(b, size);
}

/* What a letter counts; 64 for any other byte. */
static uint32_t letter_value(uint8_t byte)
{
    if (byte >= 'A' && byte <= 'Z')
        return byte - (uint32_t)'A';
    if (byte >= 'a' && byte <= 'z')
        return byte - (uint32_t)'a' + 26;
    if (byte >= '0' && byte <= '9')
        return byte - (uint32_t)'0' + 52;
    if (byte == '+')
        return 62;
    return byte == '/' ? 63 : 64;
}

/* One group of four letters, of which the last `padding` are "="; false when it is none. */
static bool decode_group(const uint8_t *text, size_t padding, uint8_t *out)
{
    ASSERT(padding <= 2);
    uint32_t group = 0;
    for (size_t i = 0; i < 4; i++) {
        uint32_t value = i < 4 - padding ? letter_value(text[i]) : 0;
        if (value > 63)
            return false;
        group = group << 6 | value;
    }
    /* What padding cuts off must be zero, or two texts would stand for the same bytes. */
    if (group & ((UINT32_C(1) << 8 * padding) - 1))
        return false;
    for (size_t i = 0; i < 3 - padding; i++)
        out[i] = (uint8_t)(group >> (16 - 8 * i));
    return true;
}

err_t base64_decode(struct slice text, struct buf *out)
{
    ASSERT(text.data || text.size == 0);
    if (text.size % 4 != 0)
        return err_make(ERR_SYNTAX);
    size_t padding = 0;
    while (padding < 2 && padding < text.size && text.data[text.size - 1 - padding] == '=')
        padding++;
    size_t size = text.size / 4 * 3 - padding;
    uint8_t *bytes = buf_reserve(out, size);
    if (!bytes)
        return buf_error(out);
    for (size_t i = 0; i < text.size; i += 4) {
        bool last = i + 4 == text.size;
        if (!decode_group(text.data + i, last ? padding : 0, bytes + i / 4 * 3))
            return err_make(ERR_SYNTAX);
    }
    buf_advance(out, size);
    return err_ok();
}
