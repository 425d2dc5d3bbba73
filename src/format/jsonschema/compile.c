#include <stdarg.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "format/jsonschema/program_int.h"
#include "format/jsonschema/uri_int.h"

/*
 * Happy path: the text becomes a tree; a walk over it finds every place where the draft expects a
 * schema, makes one and notes the names that $id and the anchors give; then the schemas are
 * compiled one after the other, in a line. A reference that leads where nobody expected a schema,
 * or into another document, appends what it finds to that line, so that compiling does not
 * recurse. At the end the text is checked against the metaschema of its draft, which says what the
 * compiler has no need to know ("title" is a string).
 *
 * Failure: the first mistake ends it, with its place. What was allocated belongs to the product
 * and goes with it.
 */

#define STEPS_TO_COMPILE (UINT64_C(1) << 24)
#define STEPS_TO_CHECK (UINT64_C(1) << 28)
/* Metaschemas whose metaschema is another one, before it is a circle. */
#define DIALECT_DEPTH_MAX 4
#define VOCABULARY_URI "https://json-schema.org/draft/2020-12/vocab/"

static const uint32_t standard = FORMAT_JSONSCHEMA_CORE | FORMAT_JSONSCHEMA_APPLICATOR |
                                 FORMAT_JSONSCHEMA_UNEVALUATED | FORMAT_JSONSCHEMA_VALIDATION |
                                 FORMAT_JSONSCHEMA_FORMATS;

static const struct {
    const char *name;
    enum format_jsonschema_vocabulary bits;
} vocabularies[] = {
    {"core", FORMAT_JSONSCHEMA_CORE},
    {"applicator", FORMAT_JSONSCHEMA_APPLICATOR},
    {"unevaluated", FORMAT_JSONSCHEMA_UNEVALUATED},
    {"validation", FORMAT_JSONSCHEMA_VALIDATION},
    {"format-annotation", FORMAT_JSONSCHEMA_FORMATS},
    {"format-assertion", FORMAT_JSONSCHEMA_ASSERTION},
    {"meta-data", FORMAT_JSONSCHEMA_DESCRIPTION},
    {"content", FORMAT_JSONSCHEMA_DESCRIPTION},
};

void *format_jsonschema_alloc(struct format_jsonschema_compiler *c, size_t size)
{
    ASSERT(c->product);
    return arena_alloc(&c->product->arena, size);
}

err_t format_jsonschema_refuse(struct format_jsonschema_compiler *c,
                               const struct format_jsonschema_node *node, const char *format, ...)
{
    char message[256];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    struct buf text = {0};
    buf_add_byte(&text, '#');
    format_jsonschema_add_pointer(&text, node, 160);
    buf_add_string(&text, ": ");
    format_jsonschema_add_visible(&text, slice_string(message));
    err_t err = buf_error(&text);
    if (err_is_ok(err))
        err = err_set(c->why, ERR_INVALID, "%.*s", SLICE_PRINTF(buf_slice(&text)));
    buf_done(&text);
    return err;
}

err_t format_jsonschema_pattern(struct format_jsonschema_compiler *c,
                                const struct format_jsonschema_node *node, struct slice pattern,
                                const struct format_jsonschema_regex **out)
{
    struct format_jsonschema *product = c->product;
    if (product->regex_count == product->regex_capacity) {
        size_t capacity = product->regex_capacity * 2 + 8;
        void *grown =
            mem_realloc(product->regexes, capacity, sizeof(struct format_jsonschema_regex *));
        if (!grown)
            return err_make(ERR_MEMORY);
        product->regexes = grown;
        product->regex_capacity = capacity;
    }
    struct err_text why = {0};
    struct format_jsonschema_regex *regex = NULL;
    err_t err = format_jsonschema_regex_new(pattern, true, &regex, &why);
    if (err_is(err, ERR_INVALID))
        return format_jsonschema_refuse(c, node, "expected a pattern of ECMA-262: %s", why.text);
    TRY(err);
    product->regexes[product->regex_count++] = regex;
    *out = regex;
    return err_ok();
}

/* A copy of `uri` resolved against `base`. */
static err_t resolve(struct format_jsonschema_compiler *c, struct slice base, struct slice uri,
                     struct slice *out)
{
    struct buf text = {0};
    format_jsonschema_uri_resolve(base, uri, &text);
    err_t err = buf_error(&text);
    if (err_is_ok(err)) {
        char *copy = arena_string(&c->product->arena, buf_slice(&text));
        if (copy)
            *out = slice_make(copy, text.size);
        else
            err = err_make(ERR_MEMORY);
    }
    buf_done(&text);
    return err;
}

/* The key of an anchor in the table. */
static err_t anchor_key(struct format_jsonschema_compiler *c, struct slice uri, struct slice name,
                        struct slice *out)
{
    uint8_t *key = format_jsonschema_alloc(c, uri.size + 1 + name.size);
    if (!key)
        return err_make(ERR_MEMORY);
    if (uri.size > 0)
        memcpy(key, uri.data, uri.size);
    key[uri.size] = '#';
    if (name.size > 0)
        memcpy(key + uri.size + 1, name.data, name.size);
    *out = slice_make(key, uri.size + 1 + name.size);
    return err_ok();
}

/* Puts `schema` under a name that nothing else has. */
static err_t name_schema(struct format_jsonschema_compiler *c, struct map *names, struct slice key,
                         struct format_jsonschema_schema *schema,
                         const struct format_jsonschema_node *node)
{
    const struct format_jsonschema_schema *there = map_get(names, key);
    if (there && there != schema)
        return format_jsonschema_refuse(c, node, "expected a name that no other schema has");
    return map_put(names, key, schema);
}

/* The string under `key`; NULL data where there is none. */
static err_t string_of(struct format_jsonschema_compiler *c,
                       const struct format_jsonschema_node *object, const char *key,
                       struct slice *out)
{
    const struct format_jsonschema_node *node = format_jsonschema_tree_find(object, key);
    *out = (struct slice){NULL, 0};
    if (!node)
        return err_ok();
    if (node->kind != FORMAT_JSON_STRING)
        return format_jsonschema_refuse(c, node, "expected a string, got %s",
                                        format_jsonschema_kind_name(node->kind));
    *out = node->text;
    return err_ok();
}

/* `#name` or `uri#`, apart. */
static struct slice without_fragment(struct slice uri)
{
    return slice_sub(uri, 0, slice_find(uri, '#'));
}

static struct slice document(const struct format_jsonschema_compiler *c, struct slice uri)
{
    for (size_t i = 0; i < c->options->document_count; i++)
        if (slice_equal(c->options->documents[i].uri, uri))
            return c->options->documents[i].text;
    return format_jsonschema_metaschema(uri);
}

static err_t read_tree(struct format_jsonschema_compiler *c, struct slice text,
                       struct format_jsonschema_node **out)
{
    if (text.size > FORMAT_JSONSCHEMA_SIZE_MAX)
        return err_set(c->why, ERR_TOO_LARGE, "a schema of over %u bytes",
                       FORMAT_JSONSCHEMA_SIZE_MAX);
    char *copy = arena_string(&c->product->arena, text);
    if (!copy)
        return err_make(ERR_MEMORY);
    struct format_jsonschema_tree_error why;
    err_t err = format_jsonschema_tree_read(slice_make(copy, text.size), &c->product->arena,
                                            &c->budget, out, &why);
    if (err_is(err, ERR_EXISTS))
        return format_jsonschema_refuse(c, why.node, "expected each key once");
    if (err_is(err, ERR_TOO_LARGE))
        return err_set(c->why, ERR_TOO_LARGE, "too many values, or a number too long");
    if (err_is(err, ERR_MEMORY) || err_is_ok(err))
        return err;
    return err_set(c->why, ERR_INVALID, "#: byte %zu: %s", why.json.offset, why.json.message);
}

/* What a metaschema's $vocabulary leaves of the standard. */
static err_t read_vocabulary(struct format_jsonschema_compiler *c,
                             const struct format_jsonschema_node *metaschema,
                             struct format_jsonschema_dialect *out)
{
    const struct format_jsonschema_node *listed =
        format_jsonschema_tree_find(metaschema, "$vocabulary");
    if (!listed || out->draft != FORMAT_JSONSCHEMA_2020_12)
        return err_ok();
    out->vocabularies = FORMAT_JSONSCHEMA_CORE;
    for (size_t i = 0; i < listed->count; i++) {
        const struct format_jsonschema_node *entry = listed->children[i];
        struct slice name = entry->key;
        uint32_t bits = 0;
        if (slice_starts_with(name, SLICE_LITERAL(VOCABULARY_URI)))
            name = slice_sub(name, sizeof(VOCABULARY_URI) - 1, name.size);
        for (size_t j = 0; j < sizeof(vocabularies) / sizeof(vocabularies[0]); j++)
            if (slice_equal_string(name, vocabularies[j].name))
                bits = vocabularies[j].bits;
        if (bits == 0 && entry->kind == FORMAT_JSON_TRUE)
            return format_jsonschema_refuse(c, entry, "vocabulary that is not known");
        out->vocabularies |= bits;
    }
    if (out->vocabularies & FORMAT_JSONSCHEMA_ASSERTION)
        out->vocabularies |= FORMAT_JSONSCHEMA_FORMATS;
    return err_ok();
}

/* By the $schema of `node`; without one, `*out` stays. A metaschema of somebody else's is followed
 * to the draft that it is written in. */
static err_t read_dialect(struct format_jsonschema_compiler *c,
                          const struct format_jsonschema_node *node, int depth,
                          struct format_jsonschema_dialect *out)
{
    struct slice uri;
    TRY(string_of(c, node, "$schema", &uri));
    if (!uri.data)
        return err_ok();
    const struct format_jsonschema_node *place = format_jsonschema_tree_find(node, "$schema");
    uri = without_fragment(uri);
    if (slice_equal_string(uri, FORMAT_JSONSCHEMA_URI_2020_12)) {
        *out = (struct format_jsonschema_dialect){FORMAT_JSONSCHEMA_2020_12, standard};
        return err_ok();
    }
    if (slice_equal_string(uri, FORMAT_JSONSCHEMA_URI_7)) {
        *out = (struct format_jsonschema_dialect){FORMAT_JSONSCHEMA_7, standard};
        return err_ok();
    }
    struct slice text = document(c, uri);
    if (text.size == 0 || depth == DIALECT_DEPTH_MAX)
        return format_jsonschema_refuse(
            c, place, "expected " FORMAT_JSONSCHEMA_URI_2020_12 " or " FORMAT_JSONSCHEMA_URI_7 "#");
    struct format_jsonschema_node *metaschema = NULL;
    TRY(read_tree(c, text, &metaschema));
    ASSERT(metaschema);
    TRY(read_dialect(c, metaschema, depth + 1, out));
    return read_vocabulary(c, metaschema, out);
}

static err_t add_anchor(struct format_jsonschema_compiler *c,
                        struct format_jsonschema_schema *schema, struct slice name, bool dynamic)
{
    struct slice key;
    if (name.size == 0)
        return format_jsonschema_refuse(c, schema->node, "expected a name for an anchor");
    TRY(anchor_key(c, schema->resource->uri, name, &key));
    TRY(name_schema(c, &c->anchors, key, schema, schema->node));
    if (!dynamic)
        return err_ok();
    struct format_jsonschema_anchor *anchor = format_jsonschema_alloc(c, sizeof(*anchor));
    if (!anchor)
        return err_make(ERR_MEMORY);
    *anchor = (struct format_jsonschema_anchor){name, schema, schema->resource->dynamic};
    schema->resource->dynamic = anchor;
    return err_ok();
}

static err_t begin_resource(struct format_jsonschema_compiler *c,
                            struct format_jsonschema_schema *schema, struct slice id)
{
    struct format_jsonschema_resource *resource = format_jsonschema_alloc(c, sizeof(*resource));
    if (!resource)
        return err_make(ERR_MEMORY);
    resource->dialect = schema->resource->dialect;
    TRY(read_dialect(c, schema->node, 0, &resource->dialect));
    TRY(resolve(c, schema->resource->uri, id, &resource->uri));
    schema->resource = resource;
    return name_schema(c, &c->resources, resource->uri, schema, schema->node);
}

/* Draft 7: an $id may be an anchor, and beside a $ref it is nothing (core, section 8.3). */
static err_t identify_7(struct format_jsonschema_compiler *c,
                        struct format_jsonschema_schema *schema)
{
    struct slice id;
    TRY(string_of(c, schema->node, "$id", &id));
    if (!id.data || format_jsonschema_tree_find(schema->node, "$ref"))
        return err_ok();
    if (without_fragment(id).size > 0)
        TRY(begin_resource(c, schema, without_fragment(id)));
    size_t hash = slice_find(id, '#');
    if (hash + 1 < id.size)
        return add_anchor(c, schema, slice_sub(id, hash + 1, id.size), false);
    return err_ok();
}

/* Core, sections 8.2.1 and 8.2.2. */
static err_t identify_2020_12(struct format_jsonschema_compiler *c,
                              struct format_jsonschema_schema *schema)
{
    struct slice id, anchor, dynamic;
    TRY(string_of(c, schema->node, "$id", &id));
    if (id.data && slice_find(id, '#') + 1 < id.size)
        return format_jsonschema_refuse(c, format_jsonschema_tree_find(schema->node, "$id"),
                                        "expected a URI without a fragment");
    if (id.data)
        TRY(begin_resource(c, schema, without_fragment(id)));
    TRY(string_of(c, schema->node, "$anchor", &anchor));
    TRY(string_of(c, schema->node, "$dynamicAnchor", &dynamic));
    if (anchor.data)
        TRY(add_anchor(c, schema, anchor, false));
    return dynamic.data ? add_anchor(c, schema, dynamic, true) : err_ok();
}

static err_t scan(struct format_jsonschema_compiler *c, struct format_jsonschema_node *node,
                  struct format_jsonschema_resource *resource);

/* The schemas in the value of a keyword. */
static err_t scan_value(struct format_jsonschema_compiler *c,
                        const struct format_jsonschema_word *word,
                        struct format_jsonschema_node *value,
                        struct format_jsonschema_resource *resource)
{
    bool map = word->shape == FORMAT_JSONSCHEMA_MAP || word->shape == FORMAT_JSONSCHEMA_MIXED;
    bool list = word->shape == FORMAT_JSONSCHEMA_LIST ||
                (word->shape == FORMAT_JSONSCHEMA_ITEMS && value->kind == FORMAT_JSON_ARRAY);
    if (map && value->kind != FORMAT_JSON_OBJECT)
        return format_jsonschema_refuse(c, value, "expected an object, got %s",
                                        format_jsonschema_kind_name(value->kind));
    if (word->shape == FORMAT_JSONSCHEMA_LIST &&
        (value->kind != FORMAT_JSON_ARRAY || value->count == 0))
        return format_jsonschema_refuse(c, value, "expected an array of schemas, not empty");
    if (!map && !list)
        return scan(c, value, resource);
    for (size_t i = 0; i < value->count; i++) {
        struct format_jsonschema_node *child = value->children[i];
        if (word->shape != FORMAT_JSONSCHEMA_MIXED || child->kind != FORMAT_JSON_ARRAY)
            TRY(scan(c, child, resource));
    }
    return err_ok();
}

/* True when the keyword is one in this dialect. */
static bool is_known(const struct format_jsonschema_word *word,
                     const struct format_jsonschema_dialect *dialect)
{
    return (word->drafts >> dialect->draft & 1) != 0 &&
           (word->vocabulary & dialect->vocabularies) != 0;
}

/* Makes a schema of `node` and of all below it. Recurses as deep as the text is. */
static err_t scan(struct format_jsonschema_compiler *c, struct format_jsonschema_node *node,
                  struct format_jsonschema_resource *resource)
{
    bool boolean = node->kind == FORMAT_JSON_TRUE || node->kind == FORMAT_JSON_FALSE;
    if (node->mark)
        return err_ok();
    if (node->kind != FORMAT_JSON_OBJECT && !boolean)
        return format_jsonschema_refuse(c, node,
                                        "expected a schema (an object or a boolean), got %s",
                                        format_jsonschema_kind_name(node->kind));
    struct format_jsonschema_schema *schema = format_jsonschema_alloc(c, sizeof(*schema));
    if (!schema)
        return err_make(ERR_MEMORY);
    *schema = (struct format_jsonschema_schema){
        .node = node, .resource = resource, .never = node->kind == FORMAT_JSON_FALSE};
    node->mark = schema;
    if (c->last)
        c->last->next = schema;
    else
        c->first = schema;
    c->last = schema;
    if (boolean)
        return err_ok();
    if (resource->dialect.draft == FORMAT_JSONSCHEMA_7)
        TRY(identify_7(c, schema));
    else
        TRY(identify_2020_12(c, schema));
    for (const struct format_jsonschema_word *word = format_jsonschema_words; word->name; word++) {
        struct format_jsonschema_node *value = format_jsonschema_tree_find(node, word->name);
        if (value && word->shape != FORMAT_JSONSCHEMA_NO_SCHEMAS &&
            is_known(word, &schema->resource->dialect))
            TRY(scan_value(c, word, value, schema->resource));
    }
    return err_ok();
}

/* Reads a document and makes its schemas. */
static err_t load(struct format_jsonschema_compiler *c, struct slice text, struct slice uri,
                  struct format_jsonschema_dialect dialect, struct format_jsonschema_schema **out)
{
    struct format_jsonschema_node *tree = NULL;
    struct format_jsonschema_resource *resource = format_jsonschema_alloc(c, sizeof(*resource));
    if (!resource)
        return err_make(ERR_MEMORY);
    TRY(read_tree(c, text, &tree));
    ASSERT(tree);
    *resource = (struct format_jsonschema_resource){.uri = uri, .dialect = dialect};
    TRY(read_dialect(c, tree, 0, &resource->dialect));
    TRY(scan(c, tree, resource));
    struct format_jsonschema_schema *schema = tree->mark;
    TRY(name_schema(c, &c->resources, uri, schema, tree));
    *out = schema;
    return err_ok();
}

/* The schema of a document by its URI. */
static err_t find_resource(struct format_jsonschema_compiler *c,
                           const struct format_jsonschema_schema *from,
                           const struct format_jsonschema_node *reference, struct slice uri,
                           struct format_jsonschema_schema **out)
{
    struct format_jsonschema_schema *schema = map_get(&c->resources, uri);
    if (!schema) {
        struct slice text = document(c, uri);
        if (text.size == 0)
            return format_jsonschema_refuse(c, reference,
                                            "refers to %.*s, which is not here; nothing is fetched",
                                            SLICE_PRINTF(format_jsonschema_clip(uri, 160)));
        err_t err = load(c, text, uri, from->resource->dialect, &schema);
        if (!err_is_ok(err)) {
            err_prefix(c->why, "%.*s", SLICE_PRINTF(format_jsonschema_clip(uri, 160)));
            return err;
        }
    }
    *out = schema;
    return err_ok();
}

/* One token of a JSON Pointer, unescaped in place. */
static struct slice next_token(struct slice *rest, uint8_t *room)
{
    ASSERT(rest->size > 0);
    *rest = slice_sub(*rest, 1, rest->size);
    struct slice token = slice_sub(*rest, 0, slice_find(*rest, '/'));
    *rest = slice_sub(*rest, token.size, rest->size);
    size_t size = 0;
    for (size_t i = 0; i < token.size; i++) {
        bool escaped = token.data[i] == '~' && i + 1 < token.size;
        i += escaped;
        room[size++] = !escaped ? token.data[i] : token.data[i] == '0' ? '~' : '/';
    }
    return slice_make(room, size);
}

static struct format_jsonschema_node *child_of(const struct format_jsonschema_node *node,
                                               struct slice token)
{
    if (node->kind != FORMAT_JSON_ARRAY)
        return format_jsonschema_tree_get(node, token);
    size_t index = 0;
    for (size_t i = 0; i < token.size; i++) {
        uint8_t digit = (uint8_t)(token.data[i] - '0');
        if (digit > 9 || index > node->count)
            return NULL;
        index = index * 10 + digit;
    }
    return token.size > 0 && index < node->count ? node->children[index] : NULL;
}

/* Goes from the root of a resource to where `pointer` leads. What is found where no schema was
 * expected is one from here on; it belongs to the resource around it. */
static err_t follow_pointer(struct format_jsonschema_compiler *c,
                            const struct format_jsonschema_schema *from,
                            const struct format_jsonschema_node *reference, struct slice pointer,
                            struct format_jsonschema_schema **out)
{
    struct format_jsonschema_node *node = from->node;
    struct format_jsonschema_resource *resource = from->resource;
    uint8_t *room = format_jsonschema_alloc(c, pointer.size);
    if (!room)
        return err_make(ERR_MEMORY);
    while (node && pointer.size > 0) {
        node = child_of(node, next_token(&pointer, room));
        const struct format_jsonschema_schema *passed = node ? node->mark : NULL;
        resource = passed ? passed->resource : resource;
    }
    if (!node)
        return format_jsonschema_refuse(c, reference, "refers to nothing");
    TRY(scan(c, node, resource));
    *out = node->mark;
    return err_ok();
}

static err_t follow_fragment(struct format_jsonschema_compiler *c,
                             const struct format_jsonschema_schema *root,
                             const struct format_jsonschema_node *reference, struct slice fragment,
                             struct format_jsonschema_schema **out, struct slice *dynamic)
{
    ASSERT(root && fragment.data);
    if (fragment.data[0] == '/')
        return follow_pointer(c, root, reference, fragment, out);
    struct slice key;
    TRY(anchor_key(c, root->resource->uri, fragment, &key));
    struct format_jsonschema_schema *schema = map_get(&c->anchors, key);
    if (!schema)
        return format_jsonschema_refuse(c, reference, "refers to an anchor that is not there");
    for (const struct format_jsonschema_anchor *a = schema->resource->dynamic; a; a = a->next)
        if (slice_equal(a->name, fragment) && a->schema == schema)
            *dynamic = a->name;
    *out = schema;
    return err_ok();
}

err_t format_jsonschema_follow(struct format_jsonschema_compiler *c,
                               const struct format_jsonschema_schema *from,
                               const struct format_jsonschema_node *reference,
                               const struct format_jsonschema_schema **out, struct slice *dynamic)
{
    if (reference->kind != FORMAT_JSON_STRING)
        return format_jsonschema_refuse(c, reference, "expected a string, got %s",
                                        format_jsonschema_kind_name(reference->kind));
    struct slice uri, fragment = format_jsonschema_uri_split(reference->text).fragment;
    struct format_jsonschema_schema *schema = NULL;
    TRY(resolve(c, from->resource->uri, reference->text, &uri));
    TRY(find_resource(c, from, reference, uri, &schema));
    ASSERT(schema);
    if (fragment.size > 0) {
        struct buf decoded = {0};
        err_t err = format_jsonschema_uri_decode(fragment, &decoded) ? buf_error(&decoded)
                                                                     : err_make(ERR_INVALID);
        if (err_is(err, ERR_INVALID))
            err = format_jsonschema_refuse(c, reference, "expected %% before two digits");
        else if (err_is_ok(err))
            err = follow_fragment(c, schema, reference, buf_slice(&decoded), &schema, dynamic);
        buf_done(&decoded);
        TRY(err);
    }
    *out = schema;
    return err_ok();
}

static err_t compile_keyword(struct format_jsonschema_compiler *c,
                             struct format_jsonschema_schema *schema,
                             const struct format_jsonschema_word *word,
                             const struct format_jsonschema_keyword ***end)
{
    const struct format_jsonschema_node *value =
        format_jsonschema_tree_find(schema->node, word->name);
    if (!value || !word->compile || !is_known(word, &schema->resource->dialect))
        return err_ok();
    struct format_jsonschema_keyword *k = format_jsonschema_alloc(c, sizeof(*k));
    if (!k)
        return err_make(ERR_MEMORY);
    *k = (struct format_jsonschema_keyword){.word = word, .owner = schema, .value = value};
    TRY(word->compile(c, schema, k));
    if (!k->word)
        return err_ok();
    **end = k;
    *end = &k->next;
    return err_ok();
}

static err_t compile_schema(struct format_jsonschema_compiler *c,
                            struct format_jsonschema_schema *schema)
{
    const struct format_jsonschema_keyword **end = &schema->keywords;
    ASSERT(!schema->keywords);
    /* In draft 7 a $ref stands alone, whatever is beside it (core, section 8.3). It is the first
     * of the words. */
    bool alone = schema->resource->dialect.draft == FORMAT_JSONSCHEMA_7 &&
                 format_jsonschema_tree_find(schema->node, "$ref");
    for (const struct format_jsonschema_word *word = format_jsonschema_words;
         word->name && (!alone || word == format_jsonschema_words); word++)
        TRY(compile_keyword(c, schema, word, &end));
    return err_ok();
}

static err_t compile_all(struct format_jsonschema_compiler *c, struct slice text)
{
    struct format_jsonschema_schema *root;
    TRY(load(c, text, SLICE_LITERAL(""),
             (struct format_jsonschema_dialect){c->options->draft, standard}, &root));
    for (struct format_jsonschema_schema *schema = c->first; schema; schema = schema->next)
        TRY(compile_schema(c, schema));
    c->product->root = root;
    return format_jsonschema_program_make(c);
}

static err_t compile_text(struct slice text, const struct format_jsonschema_options *options,
                          struct format_jsonschema **out, struct err_text *why)
{
    struct format_jsonschema *product = mem_zalloc(1, sizeof(*product));
    if (!product)
        return err_make(ERR_MEMORY);
    arena_init(&product->arena, 16384);
    product->steps = options->steps > 0 ? options->steps : FORMAT_JSONSCHEMA_STEPS;
    struct format_jsonschema_compiler c = {
        .product = product, .options = options, .why = why, .budget = {STEPS_TO_COMPILE, false}};
    map_init(&c.resources, 0);
    map_init(&c.anchors, 0);
    err_t err = compile_all(&c, text);
    map_done(&c.resources);
    map_done(&c.anchors);
    if (err_is_ok(err))
        *out = product;
    else
        format_jsonschema_free(&product);
    return err;
}

/* What the draft's own schema of schemas has to say of `text`. */
static err_t check_schema(enum format_jsonschema_draft draft, struct slice text,
                          struct err_text *why)
{
    static const struct format_jsonschema_options defaults = {0};
    const char *uri =
        draft == FORMAT_JSONSCHEMA_7 ? FORMAT_JSONSCHEMA_URI_7 : FORMAT_JSONSCHEMA_URI_2020_12;
    struct format_jsonschema *metaschema = NULL;
    struct format_jsonschema_scratch *scratch = NULL;
    struct format_jsonschema_error error;
    err_t err =
        compile_text(format_jsonschema_metaschema(slice_string(uri)), &defaults, &metaschema, NULL);
    ASSERT(!err_is(err, ERR_INVALID));
    if (err_is_ok(err))
        err = format_jsonschema_scratch_new(&scratch);
    if (err_is_ok(err))
        err = format_jsonschema_check(metaschema, scratch, text, &error);
    format_jsonschema_scratch_free(&scratch);
    format_jsonschema_free(&metaschema);
    if (err_is_ok(err) || err_is(err, ERR_MEMORY))
        return err;
    return err_set(why, ERR_INVALID, "#%s: %s", error.path, error.message);
}

err_t format_jsonschema_compile(struct slice text, const struct format_jsonschema_options *options,
                                struct format_jsonschema **out, struct err_text *why)
{
    static const struct format_jsonschema_options defaults = {0};
    struct format_jsonschema *product = NULL;
    ASSERT(out);
    options = options ? options : &defaults;
    TRY(compile_text(text, options, &product, why));
    /* A dialect of somebody's own has its own rules. */
    const struct format_jsonschema_dialect *dialect = &product->root->resource->dialect;
    err_t err =
        dialect->vocabularies == standard ? check_schema(dialect->draft, text, why) : err_ok();
    if (err_is_ok(err))
        *out = product;
    else
        format_jsonschema_free(&product);
    return err;
}

void format_jsonschema_free(struct format_jsonschema **schema)
{
    struct format_jsonschema *product = *schema;
    if (!product)
        return;
    for (size_t i = 0; i < product->regex_count; i++)
        format_jsonschema_regex_free(&product->regexes[i]);
    mem_free(product->regexes);
    arena_done(&product->arena);
    mem_free(product);
    *schema = NULL;
}
