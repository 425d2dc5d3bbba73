#include "format/jsonschema/ecma_int.h"

#include "base/assert.h"
#include "base/number.h"
#include "base/utf8.h"

/*
 * One pass from left to right. It knows whether it stands in a class and whether a quantifier may
 * follow, which is all that tells the dialects' differences apart; everything that means the same
 * in both is copied.
 */

/* White space and line terminators (ECMA-262, 12.2 and 12.3), and all the rest, as the inside of a
 * class. */
#define SPACES                                                                                     \
    "\\t-\\r\\x{20}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}"        \
    "\\x{3000}\\x{feff}"
#define NO_SPACES                                                                                  \
    "\\x{0}-\\x{8}\\x{e}-\\x{1f}\\x{21}-\\x{9f}\\x{a1}-\\x{167f}\\x{1681}-\\x{1fff}"               \
    "\\x{200b}-\\x{2027}\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}"                 \
    "\\x{3001}-\\x{fefe}\\x{ff00}-\\x{10ffff}"

/* General categories by their long names; PCRE2 has only the short ones. */
static const struct {
    const char *name;
    const char *as;
} categories[] = {
    {"Cased_Letter", "L&"},
    {"Close_Punctuation", "Pe"},
    {"Connector_Punctuation", "Pc"},
    {"Control", "Cc"},
    {"Currency_Symbol", "Sc"},
    {"Dash_Punctuation", "Pd"},
    {"Decimal_Number", "Nd"},
    {"Enclosing_Mark", "Me"},
    {"Final_Punctuation", "Pf"},
    {"Format", "Cf"},
    {"Initial_Punctuation", "Pi"},
    {"LC", "L&"},
    {"Letter", "L"},
    {"Letter_Number", "Nl"},
    {"Line_Separator", "Zl"},
    {"Lowercase_Letter", "Ll"},
    {"Mark", "M"},
    {"Math_Symbol", "Sm"},
    {"Modifier_Letter", "Lm"},
    {"Modifier_Symbol", "Sk"},
    {"Nonspacing_Mark", "Mn"},
    {"Number", "N"},
    {"Open_Punctuation", "Ps"},
    {"Other", "C"},
    {"Other_Letter", "Lo"},
    {"Other_Number", "No"},
    {"Other_Punctuation", "Po"},
    {"Other_Symbol", "So"},
    {"Paragraph_Separator", "Zp"},
    {"Private_Use", "Co"},
    {"Punctuation", "P"},
    {"Separator", "Z"},
    {"Space_Separator", "Zs"},
    {"Spacing_Mark", "Mc"},
    {"Surrogate", "Cs"},
    {"Symbol", "S"},
    {"Titlecase_Letter", "Lt"},
    {"Unassigned", "Cn"},
    {"Uppercase_Letter", "Lu"},
    {"cntrl", "Cc"},
    {"digit", "Nd"},
    {"punct", "P"},
};

struct translation {
    struct slice rest;
    struct buf *out;
    struct err_text *why;
    bool in_class;
    bool repeatable; /* what was read last may be repeated */
};

static int look(const struct translation *t, size_t ahead)
{
    return ahead < t->rest.size ? t->rest.data[ahead] : -1;
}

static void skip(struct translation *t, size_t size)
{
    ASSERT(size <= t->rest.size);
    t->rest = slice_sub(t->rest, size, t->rest.size);
}

static void copy(struct translation *t, size_t size)
{
    buf_add_slice(t->out, slice_sub(t->rest, 0, size));
    skip(t, size);
}

static void add_code_point(struct translation *t, uint64_t code_point)
{
    buf_add_format(t->out, "\\x{%llx}", (unsigned long long)code_point);
}

static err_t refuse(struct translation *t, const char *message)
{
    return err_set(t->why, ERR_INVALID, "%s", message);
}

/* `digits` hexadecimal digits at `ahead`. */
static bool read_hex(const struct translation *t, size_t ahead, size_t digits, uint64_t *out)
{
    struct slice s = slice_sub(t->rest, ahead, digits);
    return s.size == digits && err_is_ok(number_parse_hex(s, out));
}

/* "\uD83D\uDC32" is one code point, \u{1F432} too. */
static err_t translate_u(struct translation *t)
{
    uint64_t unit, low;
    if (look(t, 2) == '{') {
        size_t close = slice_find(t->rest, '}');
        if (close < 4 || close > 18 || close == t->rest.size || !read_hex(t, 3, close - 3, &unit) ||
            unit > 0x10FFFF)
            return refuse(t, "expected a code point in \\u{...}");
        add_code_point(t, unit);
        skip(t, close + 1);
        return err_ok();
    }
    if (!read_hex(t, 2, 4, &unit))
        return refuse(t, "expected four hexadecimal digits after \\u");
    size_t size = 6;
    if (unit >= 0xD800 && unit < 0xDC00 && look(t, 6) == '\\' && look(t, 7) == 'u' &&
        read_hex(t, 8, 4, &low) && low >= 0xDC00 && low < 0xE000) {
        unit = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
        size = 12;
    }
    if (unit >= 0xD800 && unit < 0xE000)
        return refuse(t, "half a surrogate pair, which no text has");
    add_code_point(t, unit);
    skip(t, size);
    return err_ok();
}

/* \p{...} and \P{...}. */
static err_t translate_property(struct translation *t)
{
    size_t close = slice_find(t->rest, '}');
    if (look(t, 2) != '{' || close == t->rest.size || close == 3)
        return refuse(t, "expected a property in \\p{...}");
    struct slice name = slice_sub(t->rest, 3, close - 3);
    size_t equals = slice_find(name, '=');
    buf_add_format(t->out, "\\%c{", look(t, 1));
    if (equals < name.size) {
        struct slice kind = slice_sub(name, 0, equals);
        name = slice_sub(name, equals + 1, name.size);
        if (slice_equal_string(kind, "Script") || slice_equal_string(kind, "sc"))
            buf_add_string(t->out, "sc:");
        else if (slice_equal_string(kind, "Script_Extensions") || slice_equal_string(kind, "scx"))
            buf_add_string(t->out, "scx:");
        else if (!slice_equal_string(kind, "General_Category") && !slice_equal_string(kind, "gc"))
            return refuse(t, "unknown kind of property in \\p{...}");
    }
    for (size_t i = 0; i < sizeof(categories) / sizeof(categories[0]); i++)
        if (slice_equal_string(name, categories[i].name))
            name = slice_string(categories[i].as);
    buf_add_slice(t->out, name);
    buf_add_byte(t->out, '}');
    skip(t, close + 1);
    return err_ok();
}

static void translate_space(struct translation *t, const char *inside)
{
    if (t->in_class)
        buf_add_string(t->out, inside);
    else
        buf_add_format(t->out, "[%s]", inside);
    skip(t, 2);
}

/* \b and \B outside of a class are no characters. */
static err_t translate_boundary(struct translation *t)
{
    if (t->in_class && look(t, 1) == 'B')
        return refuse(t, "\\B in a class");
    t->repeatable = t->in_class;
    copy(t, 2);
    return err_ok();
}

/* \1, \k<name>, \0. */
static err_t translate_reference(struct translation *t)
{
    bool digit_follows = look(t, 2) >= '0' && look(t, 2) <= '9';
    if (look(t, 1) == '0') {
        if (digit_follows)
            return refuse(t, "\\0 followed by a digit");
        add_code_point(t, 0);
        skip(t, 2);
        return err_ok();
    }
    size_t close = slice_find(t->rest, '>');
    if (t->in_class || (look(t, 1) == 'k' && (look(t, 2) != '<' || close == t->rest.size)))
        return refuse(t, "unknown escape");
    if (look(t, 1) == 'k') {
        copy(t, close + 1);
        return err_ok();
    }
    size_t size = 1;
    while (look(t, size) >= '0' && look(t, size) <= '9')
        size++;
    if (size > 4)
        return refuse(t, "reference to a group that is not there");
    /* In braces, so that a digit that follows a quantifier or a reference stays apart. */
    buf_add_string(t->out, "\\g{");
    buf_add_slice(t->out, slice_sub(t->rest, 1, size - 1));
    buf_add_byte(t->out, '}');
    skip(t, size);
    return err_ok();
}

static err_t translate_code(struct translation *t)
{
    uint64_t code;
    int letter = look(t, 2) | 0x20;
    if (look(t, 1) == 'x') {
        if (!read_hex(t, 2, 2, &code))
            return refuse(t, "expected two hexadecimal digits after \\x");
        add_code_point(t, code);
        skip(t, 4);
        return err_ok();
    }
    if (look(t, 2) < 0 || letter < 'a' || letter > 'z')
        return refuse(t, "expected a letter after \\c");
    add_code_point(t, (uint64_t)letter & 31);
    skip(t, 3);
    return err_ok();
}

/* `t->rest` begins with a backslash. */
static err_t translate_escape(struct translation *t)
{
    t->repeatable = true;
    int letter = look(t, 1);
    switch (letter) {
    case 'u': return translate_u(t);
    case 'p':
    case 'P': return translate_property(t);
    case 's': translate_space(t, SPACES); return err_ok();
    case 'S': translate_space(t, NO_SPACES); return err_ok();
    case 'v':
        add_code_point(t, 0x0B);
        skip(t, 2);
        return err_ok();
    case 'b':
    case 'B': return translate_boundary(t);
    case 'x':
    case 'c': return translate_code(t);
    case 'd':
    case 'D':
    case 'w':
    case 'W':
    case 'f':
    case 'n':
    case 'r':
    case 't': copy(t, 2); return err_ok();
    case -1: return refuse(t, "backslash at the end");
    default: break;
    }
    if (letter == 'k' || (letter >= '0' && letter <= '9'))
        return translate_reference(t);
    if (letter > 0x20 && letter < 0x7F && !((letter | 0x20) >= 'a' && (letter | 0x20) <= 'z')) {
        copy(t, 2);
        return err_ok();
    }
    return refuse(t, "unknown escape");
}

/* The size of a quantifier in braces at the front, 0 when there is none. */
static size_t braces_size(const struct translation *t)
{
    size_t at = 1, digits = 0;
    for (; look(t, at) >= '0' && look(t, at) <= '9'; at++)
        digits++;
    if (digits == 0)
        return 0;
    if (look(t, at) == ',')
        for (at++; look(t, at) >= '0' && look(t, at) <= '9';)
            at++;
    return look(t, at) == '}' ? at + 1 : 0;
}

static err_t translate_quantifier(struct translation *t, size_t size)
{
    if (!t->repeatable)
        return refuse(t, "nothing to repeat");
    copy(t, size);
    if (look(t, 0) == '?')
        copy(t, 1);
    /* A + here would make it possessive in PCRE2 and is nothing in ECMA-262. */
    t->repeatable = false;
    return err_ok();
}

/* `t->rest` begins with an opening parenthesis. */
static err_t translate_group(struct translation *t)
{
    t->repeatable = false;
    if (look(t, 1) != '?') {
        copy(t, 1);
        return err_ok();
    }
    int kind = look(t, 2), after = look(t, 3);
    bool letter = (after | 0x20) >= 'a' && (after | 0x20) <= 'z';
    if (kind == ':' || kind == '=' || kind == '!')
        copy(t, 3);
    else if (kind == '<' && (after == '=' || after == '!'))
        copy(t, 4);
    else if (kind == '<' && (letter || after == '_' || after >= 0x80))
        copy(t, slice_find(t->rest, '>') < t->rest.size ? slice_find(t->rest, '>') + 1 : 3);
    else
        return refuse(t, "unknown kind of group");
    return err_ok();
}

/* Anything but escapes, in a class. */
static void translate_in_class(struct translation *t)
{
    /* A second bracket would begin a POSIX class for PCRE2. */
    if (look(t, 0) == '[')
        buf_add_byte(t->out, '\\');
    if (look(t, 0) == ']') {
        t->in_class = false;
        t->repeatable = true;
    }
    copy(t, 1);
}

static void begin_class(struct translation *t)
{
    t->in_class = true;
    copy(t, look(t, 1) == '^' ? 2 : 1);
}

/* Anything but escapes, outside of a class. */
static err_t translate_outside(struct translation *t)
{
    int byte = look(t, 0);
    size_t braces = byte == '{' ? braces_size(t) : 0;
    if (braces > 0 || byte == '*' || byte == '+' || byte == '?')
        return translate_quantifier(t, braces > 0 ? braces : 1);
    if (byte == '(')
        return translate_group(t);
    t->repeatable = byte != '^' && byte != '$' && byte != '|';
    if (byte == '[') {
        begin_class(t);
    } else if (byte == '.') {
        buf_add_string(t->out, "[^\\n\\r\\x{2028}\\x{2029}]");
        skip(t, 1);
    } else {
        if (byte == '{' || byte == '}' || byte == ']')
            buf_add_byte(t->out, '\\');
        copy(t, 1);
    }
    return err_ok();
}

err_t format_jsonschema_ecma_translate(struct slice pattern, struct buf *out, struct err_text *why)
{
    ASSERT(utf8_valid(pattern));
    struct translation t = {.rest = pattern, .out = out, .why = why};
    while (t.rest.size > 0) {
        if (look(&t, 0) == '\\')
            TRY(translate_escape(&t));
        else if (t.in_class)
            translate_in_class(&t);
        else
            TRY(translate_outside(&t));
    }
    return buf_error(out);
}
