#include "base/uuid.h"

#include "base/assert.h"

struct uuid uuid_from_random(const uint8_t random[static 16])
{
    /* Four bits of version and two of variant are fixed; 122 stay random. */
    ASSERT(random);
    struct uuid id;
    memcpy(id.bytes, random, 16);
    id.bytes[6] = (uint8_t)(0x40 | (id.bytes[6] & 0x0f));
    id.bytes[8] = (uint8_t)(0x80 | (id.bytes[8] & 0x3f));
    ASSERT(!uuid_is_zero(&id));
    return id;
}

/* A dash stands before these bytes. */
static bool dash_before(size_t byte)
{
    ASSERT(byte < 16);
    return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

void uuid_format(const struct uuid *id, char text[static UUID_TEXT_SIZE + 1])
{
    ASSERT(id);
    /* The lower case that RFC 9562 asks of writers. */
    static const char digits[] = "0123456789abcdef";
    size_t at = 0;
    for (size_t i = 0; i < 16; i++) {
        if (dash_before(i))
            text[at++] = '-';
        text[at++] = digits[id->bytes[i] >> 4];
        text[at++] = digits[id->bytes[i] & 0x0f];
    }
    ASSERT(at == UUID_TEXT_SIZE);
    text[at] = '\0';
}

/* Upper case is read though never written: other programs' ids come in both.
 * The value of a hexadecimal digit, over 15 when it is none. */
static uint8_t digit_value(uint8_t digit)
{
    if (digit >= '0' && digit <= '9')
        return (uint8_t)(digit - '0');
    /* Folds the case of letters; no digit becomes a letter by it. */
    uint8_t letter = digit | 0x20;
    return letter >= 'a' && letter <= 'f' ? (uint8_t)(letter - 'a' + 10) : 0xff;
}

err_t uuid_parse(struct slice text, struct uuid *out)
{
    ASSERT(out);
    if (text.size != UUID_TEXT_SIZE)
        return err_make(ERR_SYNTAX);
    /* Into a copy: a text that breaks off in the middle leaves `out` as it was. */
    struct uuid id;
    size_t at = 0;
    for (size_t i = 0; i < 16; i++) {
        if (dash_before(i) && text.data[at++] != '-')
            return err_make(ERR_SYNTAX);
        uint8_t high = digit_value(text.data[at++]);
        uint8_t low = digit_value(text.data[at++]);
        if (high > 15 || low > 15)
            return err_make(ERR_SYNTAX);
        id.bytes[i] = (uint8_t)(high << 4 | low);
    }
    ASSERT(at == UUID_TEXT_SIZE);
    *out = id;
    return err_ok();
}

bool uuid_equal(const struct uuid *a, const struct uuid *b)
{
    ASSERT(a && b);
    return memcmp(a->bytes, b->bytes, 16) == 0;
}

bool uuid_is_zero(const struct uuid *id)
{
    ASSERT(id);
    static const struct uuid zero;
    return uuid_equal(id, &zero);
}
