#define PCRE2_CODE_UNIT_WIDTH 8

#include "format/jsonschema/regex_int.h"

#include <pcre2.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "format/jsonschema/ecma_int.h"

/*
 * A match is tried with a small limit first, since that is enough for patterns that find their way
 * without going back. One that is not through then is tried again with a large one, for which
 * steps are spent by what it may do: so a record cannot cause many such searches. PCRE2 counts
 * anew at each place where a match may begin; therefore the limit of a pattern without an anchor
 * goes down with the size of the text, and looking through it costs its square.
 */

#define LIMIT_SMALL 100
#define LIMIT_LARGE 200000
/* The most calls over all places where a match may begin, and how many are a step. */
#define CALLS_MAX 4000000
#define CALLS_A_STEP 16
/* Memory that the interpreter may use where there is no JIT, in KiB. */
#define HEAP_LIMIT_KIB 8192
#define STACK_SIZE_START 32768U
#define STACK_SIZE_MAX 524288U

struct format_jsonschema_regex {
    pcre2_code *code;
    bool anchored;
};

struct format_jsonschema_matcher {
    pcre2_general_context *general;
    pcre2_match_data *data;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
};

static void *allocate(size_t size, void *unused)
{
    (void)unused;
    return mem_alloc(size);
}

static void release(void *block, void *unused)
{
    (void)unused;
    mem_free(block);
}

static err_t explain(int code, size_t offset, struct err_text *why)
{
    if (code == PCRE2_ERROR_NOMEMORY || code == PCRE2_ERROR_HEAP_FAILED)
        return err_make(ERR_MEMORY);
    char message[128];
    if (pcre2_get_error_message(code, (PCRE2_UCHAR *)message, sizeof(message)) < 0)
        message[0] = '\0';
    return err_set(why, ERR_INVALID, "%s (at byte %zu of its translation)", message, offset);
}

/* The options that make PCRE2 as ECMA-262: a missing group matches the empty string, [] matches
 * nothing and [^] anything, $ is the very end, \d, \w and \b are ASCII. */
static err_t compile(struct slice translated, pcre2_general_context *general, pcre2_code **out,
                     struct err_text *why)
{
    int error;
    size_t offset;
    pcre2_compile_context *context = pcre2_compile_context_create(general);
    if (!context)
        return err_make(ERR_MEMORY);
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    pcre2_code *code =
        pcre2_compile(translated.data, translated.size,
                      PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_ALLOW_EMPTY_CLASS |
                          PCRE2_MATCH_UNSET_BACKREF | PCRE2_NEVER_BACKSLASH_C | PCRE2_DUPNAMES,
                      &error, &offset, context);
    pcre2_compile_context_free(context);
    if (!code)
        return explain(error, offset, why);
    *out = code;
    return err_ok();
}

static err_t translate_and_compile(struct slice pattern, pcre2_general_context *general,
                                   pcre2_code **out, struct err_text *why)
{
    struct buf translated = {0};
    err_t err = format_jsonschema_ecma_translate(pattern, &translated, why);
    /* PCRE2 takes no null pointer, not even for an empty pattern. */
    if (err_is_ok(err))
        err = compile(translated.size > 0 ? buf_slice(&translated) : SLICE_LITERAL(""), general,
                      out, why);
    buf_done(&translated);
    return err;
}

/* Puts the compiled code, which is given away, into an object. */
static err_t wrap(pcre2_code *code, struct format_jsonschema_regex **out)
{
    struct format_jsonschema_regex *regex = mem_zalloc(1, sizeof(*regex));
    if (!regex) {
        pcre2_code_free(code);
        return err_make(ERR_MEMORY);
    }
    /* Where there is no JIT, or no memory for it, the interpreter does the same more slowly. */
    (void)pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
    uint32_t options = 0;
    pcre2_pattern_info(code, PCRE2_INFO_ALLOPTIONS, &options);
    regex->code = code;
    regex->anchored = (options & PCRE2_ANCHORED) != 0;
    *out = regex;
    return err_ok();
}

err_t format_jsonschema_regex_new(struct slice pattern, bool run,
                                  struct format_jsonschema_regex **out, struct err_text *why)
{
    ASSERT(out || !run);
    if (pattern.size > FORMAT_JSONSCHEMA_PATTERN_SIZE_MAX)
        return err_set(why, ERR_INVALID, "pattern of over %d bytes",
                       FORMAT_JSONSCHEMA_PATTERN_SIZE_MAX);
    pcre2_general_context *general = pcre2_general_context_create(allocate, release, NULL);
    if (!general)
        return err_make(ERR_MEMORY);
    pcre2_code *code = NULL;
    err_t err = translate_and_compile(pattern, general, &code, why);
    /* What is made with the context keeps a copy of it. */
    pcre2_general_context_free(general);
    if (!err_is_ok(err))
        return err;
    if (run)
        return wrap(code, out);
    pcre2_code_free(code);
    return err_ok();
}

void format_jsonschema_regex_free(struct format_jsonschema_regex **regex)
{
    ASSERT(regex);
    if (*regex)
        pcre2_code_free((*regex)->code);
    mem_free(*regex);
    *regex = NULL;
}

err_t format_jsonschema_matcher_new(struct format_jsonschema_matcher **out)
{
    ASSERT(out);
    struct format_jsonschema_matcher *m = mem_zalloc(1, sizeof(*m));
    if (!m)
        return err_make(ERR_MEMORY);
    m->general = pcre2_general_context_create(allocate, release, NULL);
    if (m->general) {
        m->data = pcre2_match_data_create(1, m->general);
        m->context = pcre2_match_context_create(m->general);
        m->stack = pcre2_jit_stack_create(STACK_SIZE_START, STACK_SIZE_MAX, m->general);
    }
    if (!m->data || !m->context) {
        format_jsonschema_matcher_free(&m);
        return err_make(ERR_MEMORY);
    }
    pcre2_set_heap_limit(m->context, HEAP_LIMIT_KIB);
    if (m->stack)
        pcre2_jit_stack_assign(m->context, NULL, m->stack);
    *out = m;
    return err_ok();
}

void format_jsonschema_matcher_free(struct format_jsonschema_matcher **matcher)
{
    struct format_jsonschema_matcher *m = *matcher;
    if (!m)
        return;
    if (m->stack)
        pcre2_jit_stack_free(m->stack);
    pcre2_match_context_free(m->context);
    pcre2_match_data_free(m->data);
    pcre2_general_context_free(m->general);
    mem_free(m);
    *matcher = NULL;
}

static int search(const struct format_jsonschema_regex *regex,
                  struct format_jsonschema_matcher *matcher, struct slice subject, uint64_t limit)
{
    const uint8_t *data = subject.size > 0 ? subject.data : (const uint8_t *)"";
    ASSERT(limit > 0 && limit <= UINT32_MAX);
    pcre2_set_match_limit(matcher->context, (uint32_t)limit);
    /* Records and keys were found to be UTF-8 before. */
    return pcre2_match(regex->code, data, subject.size, 0, PCRE2_NO_UTF_CHECK, matcher->data,
                       matcher->context);
}

err_t format_jsonschema_regex_match(const struct format_jsonschema_regex *regex,
                                    struct format_jsonschema_matcher *matcher, struct slice subject,
                                    struct format_jsonschema_budget *budget, bool *found)
{
    ASSERT(regex && matcher);
    uint64_t squared = regex->anchored ? 0 : (subject.size / 16) * (subject.size / 16);
    if (!format_jsonschema_spend(budget, 1 + subject.size / 8 + squared))
        return err_make(ERR_TOO_LARGE);
    int result = search(regex, matcher, subject, LIMIT_SMALL);
    if (result == PCRE2_ERROR_MATCHLIMIT) {
        uint64_t starts = regex->anchored ? 1 : subject.size + 1;
        uint64_t limit = CALLS_MAX / starts < LIMIT_LARGE ? CALLS_MAX / starts : LIMIT_LARGE;
        /* A text too long for a larger limit keeps the verdict that it has. */
        if (limit > LIMIT_SMALL && format_jsonschema_spend(budget, limit * starts / CALLS_A_STEP))
            result = search(regex, matcher, subject, limit);
    }
    if (result == PCRE2_ERROR_NOMEMORY)
        return err_make(ERR_MEMORY);
    if (result < 0 && result != PCRE2_ERROR_NOMATCH)
        return err_make(ERR_TOO_LARGE);
    *found = result >= 0;
    return err_ok();
}
