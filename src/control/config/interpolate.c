#include "control/config/interpolate.h"

#include "base/assert.h"
#include "control/config/value.h"

/*
 * `${...}` is replaced in the strings of the tree, after parsing: a value with a colon, a quote or
 * a line end can therefore change nothing but the one string that it stands in, whatever the
 * environment holds.
 *
 * Failure modes: a variable that is not set is an error and not an empty text, because an empty
 * password or path is a valid value of the wrong kind; a file that cannot be read names itself. The
 * text that is put in is not looked at again: a secret may hold "${".
 */

struct context {
    const struct control_config_host *host;
    const char *directory;
    struct arena *arena;
    struct control_report *report;
};

/* POSIX's rule for names of environment variables (XBD 8.1), in either case of letters. */
static bool name_valid(struct slice name)
{
    for (size_t i = 0; i < name.size; i++) {
        uint8_t c = name.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && !(i > 0 && c >= '0' && c <= '9'))
            return false;
    }
    return name.size > 0;
}

static err_t add_file(struct context *c, struct slice path, struct buf *out, struct err_text *why)
{
    char *given = arena_string(c->arena, path);
    const char *full = given ? control_config_path(c->arena, c->directory, given) : NULL;
    if (!full)
        return err_make(ERR_MEMORY);
    struct buf content;
    buf_init(&content, 0);
    err_t err =
        io_disk_read_file(c->host->disk, full, CONTROL_CONFIG_VALUE_BYTES_MAX, &content, why);
    struct slice text = buf_slice(&content);
    /* Text of a configuration ends with a zero: what follows one would be cut off without a
     * word. */
    if (err_is_ok(err) && slice_find(text, 0) < text.size)
        err = err_set(why, ERR_CONFIG, "%s holds a zero byte", full);
    if (err_is_ok(err)) {
        /* Editors and `echo` end a file with a line end, which is not meant as part of a secret. */
        if (slice_ends_with(text, SLICE_LITERAL("\n")))
            text.size--;
        buf_add_slice(out, text);
    }
    buf_done(&content);
    if (!err_is_ok(err))
        err_prefix(why, "expected a file that can be read");
    return err;
}

/* Appends what `${reference}` stands for. */
static err_t add_reference(struct context *c, struct slice reference, struct buf *out,
                           struct err_text *why)
{
    if (slice_starts_with(reference, SLICE_LITERAL("file:")) && reference.size > 5)
        return add_file(c, slice_sub(reference, 5, reference.size), out, why);
    size_t colon = slice_find(reference, ':');
    struct slice name = slice_sub(reference, 0, colon);
    struct slice rest = slice_sub(reference, colon, reference.size);
    bool has_default = slice_starts_with(rest, SLICE_LITERAL(":-"));
    /* The first } ends a reference, so a nested one would be cut in half. Refused rather than
     * guessed. */
    bool nested = memmem(reference.data, reference.size, "${", 2) != NULL;
    if (!name_valid(name) || nested || (rest.size > 0 && !has_default))
        return err_set(why, ERR_CONFIG,
                       "expected ${NAME}, ${NAME:-default} or ${file:PATH}, got ${%.*s}",
                       SLICE_PRINTF(slice_sub(reference, 0, 60)));
    char *zero_terminated = arena_string(c->arena, name);
    if (!zero_terminated)
        return err_make(ERR_MEMORY);
    const char *value = c->host->env(zero_terminated);
    /* The shell's rule for `:-`: set and empty takes the default too. */
    if (has_default && (!value || value[0] == '\0'))
        buf_add_slice(out, slice_sub(rest, 2, rest.size));
    else if (value)
        buf_add_string(out, value);
    else
        return err_set(why, ERR_CONFIG,
                       "expected the environment variable %.60s, it is not set (${%.60s:-default} "
                       "gives a default)",
                       zero_terminated, zero_terminated);
    return err_ok();
}

static err_t expand(struct context *c, struct slice text, struct buf *out, struct err_text *why)
{
    while (text.size > 0) {
        size_t dollar = slice_find(text, '$');
        buf_add_slice(out, slice_sub(text, 0, dollar));
        text = slice_sub(text, dollar, text.size);
        if (slice_starts_with(text, SLICE_LITERAL("$${"))) {
            buf_add_string(out, "${");
            text = slice_sub(text, 3, text.size);
        } else if (slice_starts_with(text, SLICE_LITERAL("${"))) {
            size_t end = slice_find(text, '}');
            if (end == text.size)
                return err_set(why, ERR_CONFIG, "expected } after ${ ($${ stands for ${ itself)");
            TRY(add_reference(c, slice_sub(text, 2, end - 2), out, why));
            text = slice_sub(text, end + 1, text.size);
        } else if (text.size > 0) {
            buf_add_byte(out, '$');
            text = slice_sub(text, 1, text.size);
        }
    }
    err_t err = buf_error(out);
    if (err_is(err, ERR_TOO_LARGE))
        return err_set(why, ERR_TOO_LARGE, "expected a value of at most %u bytes",
                       CONTROL_CONFIG_VALUE_BYTES_MAX);
    return err;
}

static void interpolate(struct context *c, struct control_config_node *node)
{
    ASSERT(node->text);
    struct buf out;
    buf_init(&out, CONTROL_CONFIG_VALUE_BYTES_MAX);
    struct err_text why = {0};
    err_t err = expand(c, slice_string(node->text), &out, &why);
    const char *text = err_is_ok(err) ? arena_string(c->arena, buf_slice(&out)) : NULL;
    buf_done(&out);
    if (text) {
        node->text = text;
        /* What a variable gives is text: an empty one must not turn into "nothing was said". */
        node->quoted = true;
    } else if (err_is_ok(err) || err_is(err, ERR_MEMORY)) {
        control_report_no_memory(c->report);
    } else {
        control_config_node_error(node, c->report, "%s", err_detail(err, &why));
    }
}

void control_config_interpolate(struct control_config_node *root,
                                const struct control_config_host *host, const char *directory,
                                struct arena *arena, struct control_report *report)
{
    ASSERT(root && !root->parent);
    struct context c = {host, directory, arena, report};
    for (struct control_config_node *n = root; n; n = control_config_node_after(n))
        if (n->kind == CONTROL_CONFIG_SCALAR && strstr(n->text, "${"))
            interpolate(&c, n);
}
