#include "control/config/value.h"

#include <arpa/inet.h>

#include "base/assert.h"
#include "base/number.h"

/*
 * One scalar by one option: text in, the field's bytes out, or what was expected. The words of the
 * message, of the manual and of `--help` are made from the same table row, so a bound that changes
 * changes everywhere.
 *
 * Paths are relative to the file they stand in, not to where the server was started. They are
 * cleaned of "." and doubled slashes, but ".." stays: across a link it is not the directory above.
 */

/* Of a name in the DNS (RFC 1035 section 3.1), as text. */
#define HOST_NAME_SIZE_MAX 253

/* In the largest unit that it is a whole number of: as one would write it in the file. */
static void add_size(struct buf *out, uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    size_t i = 0;
    for (; bytes > 0 && bytes % 1024 == 0 && i < 4; i++)
        bytes /= 1024;
    buf_add_u64(out, bytes);
    buf_add_string(out, units[i]);
}

static void add_bound(struct buf *out, const struct option *option, uint64_t value)
{
    if (option->type == OPTION_SIZE)
        add_size(out, value);
    else if (option->type == OPTION_DURATION)
        buf_add_duration(out, value);
    else
        buf_add_u64(out, value);
}

static void add_range(struct buf *out, const struct option *option)
{
    if (option->min > 0) {
        buf_add_string(out, option->max > 0 ? " from " : " of at least ");
        add_bound(out, option, option->min);
    }
    if (option->max > 0) {
        buf_add_string(out, option->min > 0 ? " to " : " of at most ");
        add_bound(out, option, option->max);
    }
}

static void add_choices(struct buf *out, const struct option *option)
{
    for (size_t i = 0; option->choices[i]; i++) {
        if (i > 0)
            buf_add_string(out, option->choices[i + 1] ? ", " : " or ");
        buf_add_string(out, option->choices[i]);
    }
}

void control_config_expected(const struct option *option, struct buf *out)
{
    switch (option->type) {
    case OPTION_BOOL: buf_add_string(out, "true or false"); break;
    case OPTION_U32:
    case OPTION_U64: buf_add_string(out, "a whole number"); break;
    case OPTION_SIZE: buf_add_string(out, "a size such as 64MiB"); break;
    case OPTION_DURATION: buf_add_string(out, "a duration such as 30s"); break;
    case OPTION_STRING: buf_add_string(out, "text"); break;
    case OPTION_PATH: buf_add_string(out, "a path"); break;
    case OPTION_ADDRESS: buf_add_string(out, "an address such as 127.0.0.1:8080"); break;
    case OPTION_ENUM: add_choices(out, option); break;
    case OPTION_STRINGS: buf_add_string(out, "a list of texts"); break;
    case OPTION_TABLE: buf_add_string(out, "a mapping"); break;
    }
    add_range(out, option);
}

/* ERR_CONFIG with "expected ..." of `option`. */
static err_t unexpected(const struct option *option, struct err_text *why)
{
    struct buf text;
    buf_init(&text, ERR_TEXT_SIZE);
    control_config_expected(option, &text);
    err_t err = buf_error(&text);
    if (err_is_ok(err))
        err = err_set(why, ERR_CONFIG, "expected %.*s", SLICE_PRINTF(buf_slice(&text)));
    buf_done(&text);
    return err;
}

static err_t number(const struct option *option, const char *text, void *field,
                    struct err_text *why)
{
    struct slice digits = slice_string(text);
    uint64_t value = 0;
    err_t err;
    if (option->type == OPTION_SIZE)
        err = number_parse_size(digits, &value);
    else if (option->type == OPTION_DURATION)
        err = number_parse_duration(digits, &value);
    else
        err = number_parse_u64(digits, &value);
    uint64_t max = option->max > 0 ? option->max : UINT64_MAX;
    /* The parser reads 64 bits: what does not fit the field is out of range, never cut off. */
    if (option->type == OPTION_U32 && max > UINT32_MAX)
        max = UINT32_MAX;
    if (!err_is_ok(err) || value < option->min || value > max)
        return unexpected(option, why);
    if (option->type == OPTION_U32)
        *(uint32_t *)field = (uint32_t)value;
    else
        *(uint64_t *)field = value;
    return err_ok();
}

static err_t boolean(const struct option *option, const char *text, bool *field,
                     struct err_text *why)
{
    bool value = strcmp(text, "true") == 0;
    if (!value && strcmp(text, "false") != 0)
        return unexpected(option, why);
    *field = value;
    return err_ok();
}

/* The field is the place in the list, which the enum's order follows. */
static err_t choice(const struct option *option, const char *text, uint32_t *field,
                    struct err_text *why)
{
    for (uint32_t i = 0; option->choices[i]; i++) {
        if (strcmp(option->choices[i], text) == 0) {
            *field = i;
            return err_ok();
        }
    }
    return unexpected(option, why);
}

static err_t string(const struct option *option, const char *text, const char *directory,
                    struct arena *arena, const char **field, struct err_text *why)
{
    const char *copy;
    if (option->type == OPTION_PATH) {
        if (text[0] == '\0')
            return unexpected(option, why);
        copy = control_config_path(arena, directory, text);
    } else {
        if (option->type == OPTION_ADDRESS && !control_config_address_valid(text))
            return unexpected(option, why);
        copy = arena_string(arena, slice_string(text));
    }
    if (!copy)
        return err_make(ERR_MEMORY);
    *field = copy;
    return err_ok();
}

err_t control_config_value(const struct option *option, const char *text, const char *directory,
                           struct arena *arena, void *field, struct err_text *why)
{
    ASSERT(option->type != OPTION_STRINGS && option->type != OPTION_TABLE);
    if (!text)
        /* A mapping, a list or nothing stands where a scalar should: the same message serves. */
        return unexpected(option, why);
    switch (option->type) {
    case OPTION_BOOL: return boolean(option, text, field, why);
    case OPTION_U32:
    case OPTION_U64:
    case OPTION_SIZE:
    case OPTION_DURATION: return number(option, text, field, why);
    case OPTION_ENUM: return choice(option, text, field, why);
    case OPTION_STRING:
    case OPTION_PATH:
    case OPTION_ADDRESS: return string(option, text, directory, arena, field, why);
    case OPTION_STRINGS:
    case OPTION_TABLE: break;
    }
    UNREACHABLE("not a scalar");
}

bool control_config_value_add(const struct option *option, const void *field, struct buf *out)
{
    uint64_t value = 0;
    const char *text = NULL;
    switch (option->type) {
    case OPTION_BOOL: buf_add_string(out, *(const bool *)field ? "true" : "false"); return true;
    case OPTION_ENUM: buf_add_string(out, option->choices[*(const uint32_t *)field]); return true;
    case OPTION_U32: value = *(const uint32_t *)field; break;
    case OPTION_U64:
    case OPTION_SIZE:
    case OPTION_DURATION: value = *(const uint64_t *)field; break;
    case OPTION_STRING:
    case OPTION_PATH:
    case OPTION_ADDRESS:
        text = *(const char *const *)field;
        buf_add_string(out, text ? text : "");
        return text;
    case OPTION_STRINGS:
    case OPTION_TABLE: UNREACHABLE("not a scalar");
    }
    /* Fields without a default begin at 0, and none of them can be given as that. */
    if (value == 0 && !option->fallback)
        return false;
    add_bound(out, option, value);
    return true;
}

const char *control_config_path(struct arena *arena, const char *directory, const char *path)
{
    ASSERT(path[0] != '\0');
    struct buf out;
    buf_init(&out, 0);
    /* An absolute path stands alone; any other continues the directory. */
    const char *given[2] = {path[0] == '/' ? "" : directory, path};
    /* Of the result: a relative directory keeps the path relative to where the server was
     * started. */
    bool absolute = path[0] == '/' || directory[0] == '/';
    for (size_t i = 0; i < 2; i++) {
        struct slice rest = slice_string(given[i]);
        while (rest.size > 0) {
            struct slice part = slice_split(&rest, '/');
            if (part.size == 0 || slice_equal_string(part, "."))
                continue;
            if (absolute || out.size > 0)
                buf_add_byte(&out, '/');
            buf_add_slice(&out, part);
        }
    }
    if (out.size == 0)
        buf_add_string(&out, absolute ? "/" : ".");
    const char *joined = buf_ok(&out) ? arena_string(arena, buf_slice(&out)) : NULL;
    buf_done(&out);
    return joined;
}

const char *control_config_directory(struct arena *arena, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return arena_string(arena, SLICE_LITERAL("."));
    size_t size = slash == path ? 1 : (size_t)(slash - path);
    return arena_string(arena, slice_make(path, size));
}

/* Copies the host of `address`, without brackets; false where there is none or it is too long. */
static bool host_of(const char *address, char host[static INET6_ADDRSTRLEN], bool *bracketed)
{
    const char *colon = strrchr(address, ':');
    if (!colon)
        return false;
    struct slice name = slice_make(address, (size_t)(colon - address));
    *bracketed = slice_starts_with(name, SLICE_LITERAL("[")) && name.data[name.size - 1] == ']';
    if (*bracketed)
        name = slice_sub(name, 1, name.size - 2);
    /* Longer than any address: a name, which is not looked up here. */
    if (name.size >= INET6_ADDRSTRLEN)
        return false;
    memcpy(host, name.data, name.size);
    host[name.size] = '\0';
    return true;
}

bool control_config_address_valid(const char *address)
{
    char host[INET6_ADDRSTRLEN];
    bool bracketed;
    uint64_t port;
    if (!host_of(address, host, &bracketed))
        return false;
    if (!err_is_ok(number_parse_u64(slice_string(strrchr(address, ':') + 1), &port)))
        return false;
    uint8_t bytes[16];
    /* Names other than localhost are refused: what they resolve to may change between the check for
     * loopback and the listen. */
    bool known = bracketed ? inet_pton(AF_INET6, host, bytes) == 1
                           : inet_pton(AF_INET, host, bytes) == 1 || strcmp(host, "localhost") == 0;
    return known && port <= UINT16_MAX;
}

bool control_config_address_is_loopback(const char *address)
{
    char host[INET6_ADDRSTRLEN];
    bool bracketed;
    uint8_t bytes[16];
    ASSERT(control_config_address_valid(address));
    if (!host_of(address, host, &bracketed))
        return false;
    if (!bracketed)
        /* All of 127.0.0.0/8 is loopback (RFC 6890 section 2.2.2); of IPv6 it is one address (RFC
         * 4291 section 2.5.3). */
        return strcmp(host, "localhost") == 0 ||
               (inet_pton(AF_INET, host, bytes) == 1 && bytes[0] == 127);
    static const uint8_t loopback[16] = {[15] = 1};
    return inet_pton(AF_INET6, host, bytes) == 1 && memcmp(bytes, loopback, sizeof(bytes)) == 0;
}

bool control_config_address_is_wildcard(const char *address)
{
    char host[INET6_ADDRSTRLEN];
    bool bracketed;
    uint8_t bytes[16] = {0};
    static const uint8_t all[16] = {0};
    ASSERT(control_config_address_valid(address));
    if (!host_of(address, host, &bracketed))
        return false;
    return inet_pton(bracketed ? AF_INET6 : AF_INET, host, bytes) == 1 &&
           memcmp(bytes, all, sizeof(bytes)) == 0;
}

/* Letters, digits, hyphens and dots (RFC 1123 section 2.1), and the underscore, which networks of
 * containers have in their names. */
static bool host_name_valid(struct slice name)
{
    if (name.size == 0 || name.size > HOST_NAME_SIZE_MAX)
        return false;
    for (size_t i = 0; i < name.size; i++) {
        char c = (char)name.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && !strchr("-._", c))
            return false;
    }
    return true;
}

bool control_config_advertised_valid(const char *text)
{
    const char *colon = strrchr(text, ':');
    uint64_t port;
    if (!colon || !err_is_ok(number_parse_u64(slice_string(colon + 1), &port)) || port == 0 ||
        port > UINT16_MAX)
        return false;
    if (control_config_address_valid(text))
        return !control_config_address_is_wildcard(text);
    return host_name_valid(slice_make(text, (size_t)(colon - text)));
}
