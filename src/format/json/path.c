#include "format/json/path_int.h"

#include "base/alloc.h"
#include "base/utf8.h"

/*
 * Happy path: each text is cut into keys, the keys are put into one tree that all paths share,
 * and the handle, the tree and the unescaped keys live in one block of memory.
 *
 * All texts are looked at before the block is made, so a refused one leaves nothing behind, and
 * filling the block cannot fail: it has a node for every key of every text, and no key is longer
 * than its text.
 */

struct builder {
    struct format_json_node *nodes;
    size_t node_count;
    uint8_t *keys; /* where the next key's bytes go */
};

static bool is_pointer(struct slice text)
{
    return text.size > 0 && text.data[0] == '/';
}

static size_t count_keys(struct slice text)
{
    size_t count = is_pointer(text) ? 0 : 1;
    for (size_t i = 0; i < text.size; i++)
        count += text.data[i] == (is_pointer(text) ? '/' : '.');
    return count;
}

/* RFC 6901 section 3: "~" is followed by 0 or 1. */
static err_t check_pointer(struct slice text, struct err_text *why)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] != '~')
            continue;
        if (i + 1 == text.size || (text.data[i + 1] != '0' && text.data[i + 1] != '1'))
            return err_set(why, ERR_INVALID, "\"~\" in a JSON Pointer is written ~0");
    }
    return err_ok();
}

static err_t check_dotted(struct slice text, struct err_text *why)
{
    for (size_t i = 0; i < text.size; i++) {
        bool last = i + 1 == text.size;
        if (text.data[i] == '.' && (i == 0 || last || text.data[i + 1] == '.'))
            return err_set(why, ERR_INVALID, "empty key: write the path as a JSON Pointer (/a//b)");
    }
    return err_ok();
}

static err_t check_text(struct slice text, struct err_text *why)
{
    if (text.size == 0)
        return err_set(why, ERR_INVALID, "the path is empty");
    if (!utf8_valid(text))
        return err_set(why, ERR_INVALID, "the path is not UTF-8");
    if (count_keys(text) > FORMAT_JSON_PATH_KEYS_MAX)
        return err_set(why, ERR_INVALID, "the path has more than %d keys",
                       FORMAT_JSON_PATH_KEYS_MAX);
    return is_pointer(text) ? check_pointer(text, why) : check_dotted(text, why);
}

uint16_t format_json_node_add(struct format_json_node *nodes, size_t *count, uint16_t parent,
                              struct slice key)
{
    ASSERT(*count < FORMAT_JSON_NO_NODE && parent < *count);
    for (uint16_t i = nodes[parent].child; i != FORMAT_JSON_NO_NODE; i = nodes[i].sibling)
        if (slice_equal(nodes[i].key, key))
            return i;
    uint16_t index = (uint16_t)(*count)++;
    nodes[index] = (struct format_json_node){
        .key = key, .parent = parent, .child = FORMAT_JSON_NO_NODE, .sibling = nodes[parent].child};
    nodes[parent].child = index;
    /* A filter by length: in the pass most keys are refused by one bit, without a comparison. */
    nodes[parent].sizes |= UINT64_C(1) << (key.size < 63 ? key.size : 63);
    return index;
}

void format_json_node_end(struct format_json_node *nodes, uint16_t end, size_t index)
{
    ASSERT(index < FORMAT_JSON_PATHS_MAX);
    uint16_t bit = (uint16_t)(1U << index);
    nodes[end].ends |= bit;
    for (uint16_t i = end; i != FORMAT_JSON_NO_NODE; i = nodes[i].parent)
        nodes[i].below |= bit;
}

/* Copies one key's characters to where the block keeps them, with a pointer's ~0 and ~1 undone. */
static struct slice keep_key(struct builder *b, struct slice written, bool pointer)
{
    uint8_t *start = b->keys;
    for (size_t i = 0; i < written.size; i++) {
        if (pointer && written.data[i] == '~')
            *b->keys++ = written.data[++i] == '0' ? '~' : '/';
        else
            *b->keys++ = written.data[i];
    }
    return slice_make(start, (size_t)(b->keys - start));
}

static void add_path(struct builder *b, size_t index, struct slice text)
{
    bool pointer = is_pointer(text);
    struct slice rest = pointer ? slice_make(text.data + 1, text.size - 1) : text;
    uint16_t node = 0;
    while (rest.data) {
        struct slice key = keep_key(b, slice_split(&rest, pointer ? '/' : '.'), pointer);
        node = format_json_node_add(b->nodes, &b->node_count, node, key);
    }
    format_json_node_end(b->nodes, node, index);
}

err_t format_json_paths_new(const char *const *texts, size_t count, struct format_json_paths **out,
                            struct err_text *why)
{
    ASSERT(count > 0 && count <= FORMAT_JSON_PATHS_MAX);
    size_t nodes = 1, bytes = 0;
    for (size_t i = 0; i < count; i++) {
        struct slice text = slice_string(texts[i]);
        TRY(check_text(text, why));
        nodes += count_keys(text);
        bytes += text.size;
    }
    struct format_json_paths *paths =
        mem_alloc(sizeof(*paths) + nodes * sizeof(struct format_json_node) + bytes);
    if (!paths)
        return err_make(ERR_MEMORY);
    struct builder b = {.nodes = (struct format_json_node *)(void *)(paths + 1), .node_count = 1};
    b.keys = (uint8_t *)(b.nodes + nodes);
    b.nodes[0] = format_json_node_root();
    for (size_t i = 0; i < count; i++)
        add_path(&b, i, slice_string(texts[i]));
    ASSERT(b.node_count <= nodes);
    *paths = (struct format_json_paths){.nodes = b.nodes, .count = count};
    *out = paths;
    return err_ok();
}

void format_json_paths_free(struct format_json_paths **paths)
{
    mem_free(*paths);
    *paths = NULL;
}

size_t format_json_paths_count(const struct format_json_paths *paths)
{
    return paths->count;
}

/* One value can be the end of several paths that were written differently. */
void format_json_watch_set(struct format_json_watch *w, uint16_t paths,
                           struct format_json_value value)
{
    for (unsigned left = paths; left != 0; left &= left - 1)
        w->found[__builtin_ctz(left)] = value;
    w->seen |= paths;
}

const struct format_json_node *format_json_watch_match(struct format_json_watch *w,
                                                       struct slice raw, bool plain)
{
    const struct format_json_node *nodes = w->paths->nodes;
    for (uint16_t i = w->node->child; i != FORMAT_JSON_NO_NODE; i = nodes[i].sibling) {
        struct slice key = nodes[i].key;
        if (plain ? !slice_equal(raw, key) : !format_json_string_equal(raw, key))
            continue;
        /* A key that comes again replaces the first one, with all that was found below it: the last
         * one counts, as in every common parser, so that a contract and a reader see the same
         * value. */
        struct format_json_value missing = {.kind = FORMAT_JSON_MISSING};
        format_json_watch_set(w, w->seen & nodes[i].below, missing);
        w->seen &= (uint16_t)~nodes[i].below;
        return &nodes[i];
    }
    return NULL;
}
