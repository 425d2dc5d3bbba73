#include "control/config/compare.h"

#include "base/assert.h"
#include "control/config/node.h"

/*
 * Along the table of options, so that an option that is added is compared without a change here.
 * What the table leaves to its owner (sinks) is compared as it is written, values put in.
 */

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_strings(const struct option_strings *a, const struct option_strings *b)
{
    bool same = a->count == b->count;
    for (size_t i = 0; i < a->count && same; i++)
        same = same_text(a->items[i], b->items[i]);
    return same;
}

/* Recurses as deep as the file is, which its reader bounds. */
static bool same_nodes(const struct control_config_node *a, const struct control_config_node *b)
{
    if (!a || !b)
        return a == b;
    if (a->kind != b->kind || !same_text(a->text, b->text) || !same_text(a->key, b->key))
        return false;
    const struct control_config_node *x = a->first;
    const struct control_config_node *y = b->first;
    for (; x && y; x = x->next, y = y->next)
        if (!same_nodes(x, y))
            return false;
    return x == y;
}

static const char *text_at(const char *at)
{
    const char *text;
    memcpy(&text, at, sizeof(text));
    return text;
}

static bool same_table(const struct option *options, const char *a, const char *b,
                       const char **name);

static bool same_value(const struct option *option, const char *a, const char *b,
                       const char **within)
{
    struct option_strings list_a;
    struct option_strings list_b;
    switch (option->type) {
    case OPTION_BOOL: return memcmp(a, b, sizeof(bool)) == 0;
    case OPTION_U32:
    case OPTION_ENUM: return memcmp(a, b, sizeof(uint32_t)) == 0;
    case OPTION_U64:
    case OPTION_SIZE:
    case OPTION_DURATION: return memcmp(a, b, sizeof(uint64_t)) == 0;
    case OPTION_STRING:
    case OPTION_PATH:
    case OPTION_ADDRESS: return same_text(text_at(a), text_at(b));
    case OPTION_STRINGS:
        memcpy(&list_a, a, sizeof(list_a));
        memcpy(&list_b, b, sizeof(list_b));
        return same_strings(&list_a, &list_b);
    case OPTION_TABLE: break;
    }
    ASSERT(option->type == OPTION_TABLE);
    if (option->table)
        return same_table(option->table, a, b, within);
    return same_nodes((const void *)text_at(a), (const void *)text_at(b));
}

static bool same_table(const struct option *options, const char *a, const char *b,
                       const char **name)
{
    for (const struct option *o = options; o->name; o++) {
        const char *within = NULL;
        if (strcmp(o->name, "contracts") != 0 &&
            !same_value(o, a + o->offset, b + o->offset, &within)) {
            *name = o->name;
            return false;
        }
    }
    return true;
}

bool control_config_same(const struct option *option, const void *a, const void *b)
{
    const char *within = NULL;
    return same_value(option, a, b, &within);
}

const char *control_config_difference(const struct control_config *a,
                                      const struct control_config *b, char room[static 128])
{
    for (const struct option *o = control_config_options; o->name; o++) {
        const char *within = NULL;
        if (strcmp(o->name, "contracts") == 0 ||
            same_value(o, (const char *)a + o->offset, (const char *)b + o->offset, &within))
            continue;
        int size = snprintf(room, 128, "%s%s%s", o->name, within ? "." : "", within ? within : "");
        ASSERT(size > 0 && size < 128);
        return room;
    }
    return NULL;
}
