#include "base/number.h"
#include "sources/http/http_int.h"

/*
 * Idempotency-Key is a string of Structured Fields (RFC 8941 section 3.3.3) by the IETF's draft,
 * and a bare word with most who send it: both are taken, and are the same key. Everything that
 * could be meant in two ways is refused: a key that is taken for another would answer for the wrong
 * request.
 */

#define NAME_SIZE 15u

enum name { PRODUCER, SEQUENCE, KEY, NAMES };

static const struct slice names[NAMES] = {
    [PRODUCER] = SLICE_LITERAL("garner-producer"),
    [SEQUENCE] = SLICE_LITERAL("garner-sequence"),
    [KEY] = SLICE_LITERAL("idempotency-key"),
};

/* The values by name, data NULL where there is none. False when one is there twice. */
static bool find(const struct net_http_fields *fields, struct slice values[static NAMES])
{
    ASSERT(names[PRODUCER].size == NAME_SIZE && names[KEY].size == NAME_SIZE);
    for (uint32_t i = 0; i < fields->count; i++) {
        const struct net_http_header *field = &fields->items[i];
        /* All of a length: where none of them is there, this is all that is done. */
        if (field->name.size != NAME_SIZE)
            continue;
        for (int n = 0; n < NAMES; n++) {
            if (!slice_equal_nocase(field->name, names[n]))
                continue;
            if (values[n].data)
                return false;
            values[n] = field->value;
        }
    }
    return true;
}

/* A space would be lost on the way through some proxies, and other bytes be written in two ways. */
static bool is_visible(struct slice text, size_t size_max)
{
    ASSERT(text.data || text.size == 0);
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] <= 0x20 || text.data[i] >= 0x7f)
            return false;
    }
    return text.size > 0 && text.size <= size_max;
}

/* What stands between quotes, without the backslashes before quotes and backslashes. */
static bool unquote(struct slice quoted, struct sources_http_once *out)
{
    size_t size = 0;
    ASSERT(quoted.size > 0 && quoted.data[0] == '"');
    for (size_t i = 1; i < quoted.size; i++) {
        uint8_t byte = quoted.data[i];
        if (byte == '"') {
            out->id = slice_make(out->text, size);
            return i + 1 == quoted.size;
        }
        if (byte == '\\') {
            byte = ++i < quoted.size ? quoted.data[i] : 0;
            if (byte != '"' && byte != '\\')
                return false;
        }
        if (size == sizeof(out->text))
            return false;
        out->text[size++] = byte;
    }
    return false;
}

static const char *parse_key(struct slice value, struct sources_http_once *out)
{
    out->kind = FLOW_REQUEST_KEYED;
    /* Quotes are how it is written, and no part of the key. */
    out->id = value;
    bool whole = value.size == 0 || value.data[0] != '"' || unquote(value, out);
    ASSERT(out->kind == FLOW_REQUEST_KEYED);
    if (!whole || !is_visible(out->id, SOURCES_HTTP_KEY_MAX))
        return "Idempotency-Key must be 1 to 255 visible ASCII characters without a space, as they "
               "are or as a string in double quotes; use a UUID";
    return NULL;
}

/* Both or none: a number without a name, or the other way round, is a client that believes to be
 * safe and is not. */
static const char *parse_number(struct slice producer, struct slice sequence,
                                struct sources_http_once *out)
{
    ASSERT(producer.data || sequence.data);
    if (!sequence.data)
        return "Garner-Producer needs Garner-Sequence beside it: the request's number, from 0 on";
    if (!producer.data)
        return "Garner-Sequence needs Garner-Producer beside it: a name for whoever counts, which "
               "it keeps";
    if (!is_visible(producer, SOURCES_HTTP_PRODUCER_MAX))
        return "Garner-Producer must be 1 to 128 visible ASCII characters without a space";
    if (!err_is_ok(number_parse_u64(sequence, &out->sequence)) || out->sequence > FLOW_SEQUENCE_MAX)
        return "Garner-Sequence must be a decimal number from 0 to 9223372036854775807: that of "
               "the producer's last request and one";
    out->kind = FLOW_REQUEST_NUMBERED;
    out->id = producer;
    return NULL;
}

const char *sources_http_once_parse(const struct net_http_fields *fields,
                                    struct sources_http_once *out)
{
    struct slice values[NAMES] = {0};
    out->given = false;
    if (!find(fields, values))
        return "Garner-Producer, Garner-Sequence and Idempotency-Key must be given once";
    bool numbered = values[PRODUCER].data || values[SEQUENCE].data;
    ASSERT(fields->count <= NET_HTTP_HEADERS_MAX);
    if (!numbered && !values[KEY].data)
        return NULL;
    out->given = true;
    if (numbered && values[KEY].data)
        return "a request is numbered (Garner-Producer, Garner-Sequence) or has an "
               "Idempotency-Key, not both: leave one of them out";
    return numbered ? parse_number(values[PRODUCER], values[SEQUENCE], out)
                    : parse_key(values[KEY], out);
}
