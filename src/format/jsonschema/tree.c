#include "format/jsonschema/tree_int.h"

#include "base/assert.h"
#include "format/jsonschema/decimal_int.h"

/*
 * The JSON pass has the first look at a text and all say about its grammar. The reader behind it
 * may therefore be short: commas, colons and white space only separate, a quote begins a string
 * that has an end, and brackets match. It does not recurse: the open containers are the chain of
 * parents.
 */

struct reader {
    const uint8_t *at;
    const uint8_t *end;
    struct arena *arena;
    struct format_jsonschema_budget *budget;
    struct format_jsonschema_node *root;
    struct format_jsonschema_node *open; /* the innermost open container */
    struct slice key;
    bool has_key; /* a key was read whose value comes next */
    size_t values;
    struct buf decoded;
    const struct format_jsonschema_node *twin;
};

static int by_key(const struct format_jsonschema_node *a, const struct format_jsonschema_node *b,
                  struct format_jsonschema_budget *budget)
{
    (void)format_jsonschema_spend(budget, 1 + (a->key.size + b->key.size) / 64);
    return slice_compare(a->key, b->key);
}

void format_jsonschema_tree_sort(struct format_jsonschema_node **items,
                                 struct format_jsonschema_node **spare, size_t count,
                                 format_jsonschema_order order,
                                 struct format_jsonschema_budget *budget)
{
    struct format_jsonschema_node **from = items, **to = spare;
    for (size_t width = 1; width < count && !budget->spent; width *= 2) {
        for (size_t start = 0; start < count; start += 2 * width) {
            size_t middle = start + width < count ? start + width : count;
            size_t end = start + 2 * width < count ? start + 2 * width : count;
            size_t a = start, b = middle;
            for (size_t i = start; i < end; i++) {
                bool left = b == end || (a < middle && order(from[a], from[b], budget) <= 0);
                to[i] = left ? from[a++] : from[b++];
            }
        }
        struct format_jsonschema_node **other = from;
        from = to;
        to = other;
    }
    ASSERT(from == items || from == spare);
    if (from != items && count > 0)
        memcpy(items, from, count * sizeof(struct format_jsonschema_node *));
}

/* The children of the container that ends are put side by side, an object's in order. */
static err_t close_container(struct reader *r)
{
    struct format_jsonschema_node *node = r->open;
    ASSERT(node);
    node->mark = NULL;
    r->open = node->parent;
    if (node->count == 0)
        return err_ok();
    bool object = node->kind == FORMAT_JSON_OBJECT;
    struct format_jsonschema_node **children = arena_alloc(
        r->arena, node->count * (object ? 2 : 1) * sizeof(struct format_jsonschema_node *));
    if (!children)
        return err_make(ERR_MEMORY);
    size_t i = 0;
    for (struct format_jsonschema_node *child = node->first; child; child = child->next)
        children[i++] = child;
    ASSERT(i == node->count);
    node->children = children;
    if (!object)
        return err_ok();
    format_jsonschema_tree_sort(children, children + i, i, by_key, r->budget);
    if (r->budget->spent)
        return err_make(ERR_TOO_LARGE);
    for (size_t j = 1; j < i; j++) {
        if (slice_equal(children[j - 1]->key, children[j]->key)) {
            r->twin = children[j];
            return err_make(ERR_EXISTS);
        }
    }
    return err_ok();
}

/* `r->at` is a quote; moves behind the closing one. Only strings with escapes are copied. */
static err_t read_string(struct reader *r, struct slice *out)
{
    const uint8_t *start = r->at++;
    bool escapes = false;
    while (*r->at != '"') {
        escapes = escapes || *r->at == '\\';
        r->at += *r->at == '\\' ? 2 : 1;
        ASSERT(r->at < r->end);
    }
    r->at++;
    if (!escapes) {
        *out = slice_make(start + 1, (size_t)(r->at - start) - 2);
        return err_ok();
    }
    buf_reset(&r->decoded);
    TRY(format_json_string_decode(slice_make(start, (size_t)(r->at - start)), &r->decoded));
    struct slice copy = arena_slice(r->arena, buf_slice(&r->decoded));
    if (!copy.data && r->decoded.size > 0)
        return err_make(ERR_MEMORY);
    *out = copy;
    return err_ok();
}

static bool ends_scalar(uint8_t byte)
{
    return byte == ',' || byte == ']' || byte == '}' || byte <= ' ';
}

/* Hangs `node` into the tree. */
static void attach(struct reader *r, struct format_jsonschema_node *node)
{
    node->parent = r->open;
    if (r->has_key)
        node->key = r->key;
    r->has_key = false;
    if (!r->open) {
        ASSERT(!r->root);
        r->root = node;
        return;
    }
    /* While a container is open, `mark` is its last child: there is no other use for it yet. */
    struct format_jsonschema_node *before = r->open->mark;
    if (before)
        before->next = node;
    else
        r->open->first = node;
    r->open->mark = node;
    node->index = (uint32_t)r->open->count++;
}

/* A value that is no string; `r->at` is its first byte. */
static err_t read_plain(struct reader *r, struct format_jsonschema_node *node)
{
    if (node->kind == FORMAT_JSON_OBJECT || node->kind == FORMAT_JSON_ARRAY) {
        r->at++;
        r->open = node;
        return err_ok();
    }
    const uint8_t *start = r->at;
    while (r->at < r->end && !ends_scalar(*r->at))
        r->at++;
    node->text = slice_make(start, (size_t)(r->at - start));
    struct format_jsonschema_decimal decimal;
    if (node->kind == FORMAT_JSON_NUMBER && node->text.size > FORMAT_JSONSCHEMA_EXPONENT_DIGITS &&
        !format_jsonschema_decimal_parse(node->text, &decimal))
        return err_make(ERR_TOO_LARGE);
    return err_ok();
}

static err_t read_value(struct reader *r)
{
    if (*r->at == '"' && r->open && r->open->kind == FORMAT_JSON_OBJECT && !r->has_key) {
        r->has_key = true;
        return read_string(r, &r->key);
    }
    if (++r->values > FORMAT_JSONSCHEMA_VALUES_MAX || !format_jsonschema_spend(r->budget, 1))
        return err_make(ERR_TOO_LARGE);
    struct format_jsonschema_node *node = arena_alloc(r->arena, sizeof(*node));
    if (!node)
        return err_make(ERR_MEMORY);
    node->kind = format_json_peek(slice_make(r->at, 1));
    attach(r, node);
    return node->kind == FORMAT_JSON_STRING ? read_string(r, &node->text) : read_plain(r, node);
}

static err_t read_all(struct reader *r)
{
    while (r->at < r->end) {
        uint8_t byte = *r->at;
        if (byte == ',' || byte == ':' || byte <= ' ') {
            r->at++;
        } else if (byte == '}' || byte == ']') {
            r->at++;
            TRY(close_container(r));
        } else {
            TRY(read_value(r));
        }
    }
    ASSERT(!r->open && r->root);
    return err_ok();
}

err_t format_jsonschema_tree_read(struct slice text, struct arena *arena,
                                  struct format_jsonschema_budget *budget,
                                  struct format_jsonschema_node **out,
                                  struct format_jsonschema_tree_error *why)
{
    *why = (struct format_jsonschema_tree_error){0};
    TRY(format_json_check(text, NULL, FORMAT_JSON_DEPTH_MAX, NULL, &why->json));
    struct reader r = {
        .at = text.data, .end = text.data + text.size, .arena = arena, .budget = budget};
    err_t err = read_all(&r);
    buf_done(&r.decoded);
    if (!err_is_ok(err)) {
        why->node = r.twin;
        return err;
    }
    *out = r.root;
    return err_ok();
}

struct format_jsonschema_node *
format_jsonschema_tree_get(const struct format_jsonschema_node *object, struct slice key)
{
    if (object->kind != FORMAT_JSON_OBJECT)
        return NULL;
    size_t low = 0, high = object->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = slice_compare(object->children[middle]->key, key);
        if (order == 0)
            return object->children[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

struct format_jsonschema_node *
format_jsonschema_tree_find(const struct format_jsonschema_node *object, const char *key)
{
    return format_jsonschema_tree_get(object, slice_string(key));
}

static int compare_numbers(struct slice a, struct slice b)
{
    struct format_jsonschema_decimal x, y;
    bool fits = format_jsonschema_decimal_parse(a, &x) && format_jsonschema_decimal_parse(b, &y);
    ASSERT(fits);
    return format_jsonschema_decimal_compare(&x, &y);
}

static int compare_children(const struct format_jsonschema_node *a,
                            const struct format_jsonschema_node *b,
                            struct format_jsonschema_budget *budget)
{
    if (a->count != b->count)
        return a->count < b->count ? -1 : 1;
    for (size_t i = 0; i < a->count; i++) {
        const struct format_jsonschema_node *x = a->children[i], *y = b->children[i];
        int order = a->kind == FORMAT_JSON_OBJECT ? slice_compare(x->key, y->key) : 0;
        if (order == 0)
            order = format_jsonschema_tree_compare(x, y, budget);
        if (order != 0)
            return order;
    }
    return 0;
}

/* Recurses as deep as texts are: FORMAT_JSON_DEPTH_MAX. */
int format_jsonschema_tree_compare(const struct format_jsonschema_node *a,
                                   const struct format_jsonschema_node *b,
                                   struct format_jsonschema_budget *budget)
{
    if (!format_jsonschema_spend(budget, 1 + (a->text.size + b->text.size) / 64))
        return 0;
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    switch (a->kind) {
    case FORMAT_JSON_NUMBER: return compare_numbers(a->text, b->text);
    case FORMAT_JSON_STRING: return slice_compare(a->text, b->text);
    case FORMAT_JSON_OBJECT:
    case FORMAT_JSON_ARRAY: return compare_children(a, b, budget);
    case FORMAT_JSON_MISSING:
    case FORMAT_JSON_NULL:
    case FORMAT_JSON_FALSE:
    case FORMAT_JSON_TRUE: break;
    }
    return 0;
}

void format_jsonschema_add_visible(struct buf *out, struct slice s)
{
    for (size_t i = 0; i < s.size; i++) {
        uint8_t byte = s.data[i];
        size_t left = s.size - i;
        if (byte < 0x20 || byte == 0x7F) {
            buf_add_format(out, "\\u%04x", byte);
        } else if (byte == 0xC2 && left > 1 && s.data[i + 1] < 0xA0) {
            buf_add_format(out, "\\u%04x", s.data[++i]);
        } else if (byte == 0xE2 && left > 2 && s.data[i + 1] == 0x80 &&
                   (s.data[i + 2] == 0xA8 || s.data[i + 2] == 0xA9)) {
            buf_add_format(out, "\\u20%02x", s.data[i + 2] - 0x80U);
            i += 2;
        } else {
            buf_add_byte(out, byte);
        }
    }
}

struct slice format_jsonschema_clip(struct slice s, size_t size_max)
{
    ASSERT(s.data || s.size == 0);
    size_t size = s.size <= size_max ? s.size : size_max;
    while (size < s.size && size > 0 && (s.data[size] & 0xC0) == 0x80)
        size--;
    return slice_sub(s, 0, size);
}

static void add_token(struct buf *out, const struct format_jsonschema_node *node, size_t size_max)
{
    buf_add_byte(out, '/');
    if (node->parent->kind == FORMAT_JSON_ARRAY) {
        buf_add_u64(out, node->index);
        return;
    }
    struct slice rest = format_jsonschema_clip(node->key, size_max);
    bool cut = rest.size < node->key.size;
    while (rest.size > 0) {
        size_t size = 0;
        while (size < rest.size && rest.data[size] != '~' && rest.data[size] != '/')
            size++;
        format_jsonschema_add_visible(out, slice_sub(rest, 0, size));
        if (size < rest.size)
            buf_add_string(out, rest.data[size] == '~' ? "~0" : "~1");
        rest = slice_sub(rest, size + 1, rest.size);
    }
    if (cut)
        buf_add_string(out, "...");
}

/* The innermost nodes of a path, as many as are shown where it is too deep. */
#define TOKENS_SHOWN 24

void format_jsonschema_add_pointer(struct buf *out, const struct format_jsonschema_node *node,
                                   size_t size_max)
{
    const struct format_jsonschema_node *path[TOKENS_SHOWN];
    size_t depth = 0, size = 0;
    for (; node->parent && depth < TOKENS_SHOWN && size < size_max; node = node->parent) {
        size_t key = node->key.size < size_max / 2 ? node->key.size : size_max / 2;
        size += key + 1;
        path[depth++] = node;
    }
    if (node->parent)
        buf_add_string(out, "/...");
    while (depth > 0)
        add_token(out, path[--depth], size_max / 2);
}

const char *format_jsonschema_kind_name(enum format_json_kind kind)
{
    switch (kind) {
    case FORMAT_JSON_NULL: return "null";
    case FORMAT_JSON_FALSE:
    case FORMAT_JSON_TRUE: return "boolean";
    case FORMAT_JSON_NUMBER: return "number";
    case FORMAT_JSON_STRING: return "string";
    case FORMAT_JSON_OBJECT: return "object";
    case FORMAT_JSON_ARRAY: return "array";
    case FORMAT_JSON_MISSING: break;
    }
    UNREACHABLE("a node is always of a kind");
}
