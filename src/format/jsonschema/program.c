#include "format/jsonschema/program_int.h"

#include "base/assert.h"
#include "format/json/walk.h"
#include "format/jsonschema/check_int.h"

/*
 * A set of schemas is expanded by what its $refs and allOfs lead to and brought into order; a set
 * that was met before has its shape already, so that recursive schemas end. A new shape waits in a
 * line to be filled in: what each keyword says goes where the pass needs it, and the sets of the
 * places below become shapes in turn.
 *
 * A branch (anyOf, oneOf, if, not) makes a choice of a shape: for each schema of the branch there
 * is a shape that is the same with that schema in it and the keyword done. So whichever is taken,
 * the value is held against all that is said of it in one go.
 *
 * What cannot be put into a shape is no failure: it stays a keyword for the span, or the schema has
 * no program, and the plain checker does all.
 */

#define SET_MAX 64
#define SHAPES_MAX 16384
/* Beyond, branches stay keywords: choices within choices multiply. */
#define CHOICE_SHAPES_MAX 8192
#define WORK_MAX (1U << 19)
#define ALL_KINDS                                                                                  \
    (1U << FORMAT_JSON_NULL | 1U << FORMAT_JSON_FALSE | 1U << FORMAT_JSON_TRUE |                   \
     1U << FORMAT_JSON_NUMBER | 1U << FORMAT_JSON_STRING | 1U << FORMAT_JSON_OBJECT |              \
     1U << FORMAT_JSON_ARRAY)

typedef bool check_fn(struct format_jsonschema_run *r, const struct format_jsonschema_keyword *k,
                      const struct format_jsonschema_node *node, size_t seen);

struct builder {
    struct format_jsonschema_compiler *c;
    struct map shapes; /* by the bytes of their set */
    struct format_jsonschema_place *last;
    size_t count;
    size_t work;    /* places below shapes, by the schemas that may speak of each */
    uint32_t slots; /* guesses, of the shapes filled in */
    bool unfit;     /* there will be no program */
};

struct set {
    const struct format_jsonschema_schema *items[SET_MAX];
    uint32_t levels[SET_MAX];
    size_t count;
    const struct format_jsonschema_keyword *made[SET_MAX]; /* choices */
    size_t made_count;
    bool again; /* a level was raised */
};

/* `level`: of how many references and allOfs it is behind. One that is behind itself has no end of
 * them: for the plain checker, which runs out of depth there. */
static void put_at(struct builder *b, struct set *set,
                   const struct format_jsonschema_schema *schema, uint32_t level)
{
    ASSERT(schema);
    size_t i = 0;
    /* A schema that says nothing is no member, so that all places without any are one. */
    if (!schema->keywords && !schema->never)
        return;
    while (i < set->count && set->items[i] != schema)
        i++;
    if (i == SET_MAX || level > SET_MAX) {
        b->unfit = true;
        return;
    }
    if (i == set->count) {
        set->items[set->count++] = schema;
        set->levels[i] = level;
    } else if (level > set->levels[i]) {
        set->levels[i] = level;
        set->again = true;
    }
}

static void put(struct builder *b, struct set *set, const struct format_jsonschema_schema *schema)
{
    put_at(b, set, schema, 0);
}

/* References and allOf say more of the same value: what they lead to joins the set, so that the
 * pass looks at the value once for all of them. Every other branch may fail and the value still
 * be good; those are keywords that are run on the span. */
static void expand_one(struct builder *b, struct set *set, size_t i)
{
    const struct format_jsonschema_schema *schema = set->items[i];
    for (const struct format_jsonschema_keyword *k = schema->keywords; k && !schema->looks_back;
         k = k->next) {
        if (k->word->check == format_jsonschema_check_ref)
            put_at(b, set, k->schema, set->levels[i] + 1);
        else if (k->word->check == format_jsonschema_check_all_of)
            for (size_t j = 0; j < k->part_count; j++)
                put_at(b, set, k->parts[j].schema, set->levels[i] + 1);
    }
}

/* What is behind references and allOf joins the set. */
static void expand(struct builder *b, struct set *set)
{
    do {
        set->again = false;
        for (size_t i = 0; i < set->count && !b->unfit; i++)
            expand_one(b, set, i);
    } while (set->again && !b->unfit);
}

/* An order of any kind, so that the same schemas met in another order are the same shape. */
static int by_address(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t) * (const void *const *)a;
    uintptr_t y = (uintptr_t) * (const void *const *)b;
    return x < y ? -1 : x > y;
}

/* What tells a set from others: its members and the choices made, in order. */
static struct slice key_of(struct set *set, const void *room[static 2 * SET_MAX])
{
    qsort(set->items, set->count, sizeof(void *), by_address);
    qsort(set->made, set->made_count, sizeof(void *), by_address);
    memcpy(room, set->items, set->count * sizeof(void *));
    memcpy(room + set->count, set->made, set->made_count * sizeof(void *));
    return slice_make(room, (set->count + set->made_count) * sizeof(void *));
}

/* The shape of a set, to be filled in when its turn comes. */
static err_t shape_of(struct builder *b, struct set *set,
                      const struct format_jsonschema_place **out)
{
    const void *room[2 * SET_MAX];
    expand(b, set);
    struct slice key = key_of(set, room);
    struct format_jsonschema_place *shape = map_get(&b->shapes, key);
    if (!shape) {
        shape = format_jsonschema_alloc(b->c, sizeof(*shape) + key.size);
        if (!shape)
            return err_make(ERR_MEMORY);
        memcpy(shape + 1, room, key.size);
        shape->set = (const struct format_jsonschema_schema **)(void *)(shape + 1);
        shape->set_count = set->count;
        shape->made = (const struct format_jsonschema_keyword **)(void *)(shape->set + set->count);
        shape->made_count = set->made_count;
        TRY(map_put(&b->shapes, slice_make(shape->set, key.size), shape));
        b->unfit = b->unfit || ++b->count > SHAPES_MAX;
        if (b->last)
            b->last->next = shape;
        b->last = shape;
    }
    *out = shape;
    return err_ok();
}

static err_t add_step(struct builder *b, struct format_jsonschema_steps *steps,
                      struct format_jsonschema_step_of step)
{
    /* Doubled at each power of two: a list of an arena has no other way to grow. */
    if ((steps->count & (steps->count - 1)) == 0) {
        size_t capacity = steps->count > 0 ? 2 * steps->count : 1;
        struct format_jsonschema_step_of *grown =
            format_jsonschema_alloc(b->c, capacity * sizeof(*grown));
        if (!grown)
            return err_make(ERR_MEMORY);
        if (steps->count > 0)
            memcpy(grown, steps->items, steps->count * sizeof(*grown));
        steps->items = grown;
    }
    steps->items[steps->count++] = step;
    return err_ok();
}

static err_t add_keyword(struct builder *b, struct format_jsonschema_steps *steps,
                         const struct format_jsonschema_keyword *k)
{
    return add_step(b, steps, (struct format_jsonschema_step_of){.keyword = k});
}

/* enum, const and what else asks for no kind of value is a question to a value of each. */
static err_t add_everywhere(struct builder *b, struct format_jsonschema_place *shape,
                            const struct format_jsonschema_keyword *k)
{
    TRY(add_keyword(b, &shape->strings, k));
    TRY(add_keyword(b, &shape->numbers, k));
    TRY(add_keyword(b, &shape->others, k));
    TRY(add_keyword(b, &shape->objects, k));
    return add_keyword(b, &shape->arrays, k);
}

/* enum, and const as a list of one. Of null, true and false the kind is all that there is. */
static err_t add_values(struct builder *b, struct format_jsonschema_place *shape,
                        const struct format_jsonschema_keyword *k,
                        const struct format_jsonschema_node *const *values, size_t count)
{
    uint32_t kinds = 0;
    for (size_t i = 0; i < count; i++)
        kinds |= 1U << values[i]->kind;
    shape->kinds &= kinds;
    struct format_jsonschema_step_of words = {
        .operation = FORMAT_JSONSCHEMA_DO_WORDS, .keyword = k, .values = values, .count = count};
    TRY(add_step(b, &shape->strings, words));
    TRY(add_keyword(b, &shape->numbers, k));
    TRY(add_keyword(b, &shape->objects, k));
    return add_keyword(b, &shape->arrays, k);
}

/* A bound that a short integer can be compared with at once. */
static bool short_integer(struct slice text, int64_t *out)
{
    bool negative = text.size > 0 && text.data[0] == '-';
    int64_t value = 0;
    if (text.size == negative || text.size > 18)
        return false;
    for (size_t i = negative; i < text.size; i++) {
        if (!(text.data[i] >= '0' && text.data[i] <= '9'))
            return false;
        value = value * 10 + (text.data[i] - '0');
    }
    *out = negative ? -value : value;
    return true;
}

static void at_least(int64_t *min, int64_t bound)
{
    *min = bound > *min ? bound : *min;
}

static void at_most(int64_t *max, int64_t bound)
{
    *max = bound < *max ? bound : *max;
}

/* A number is at least an integer if the integer below it is, and more than it if the one above it
 * is. */
static void narrow_range(struct format_jsonschema_range *range,
                         const struct format_jsonschema_keyword *k,
                         const struct format_jsonschema_step_of *step)
{
    bool inclusive = k->min == 1;
    at_least(inclusive ? &range->floor_min : &range->ceiling_min, step->low);
    at_most(inclusive ? &range->ceiling_max : &range->floor_max, step->high);
}

/* Bounds that are integers and short are compared in registers with numbers that are; anything
 * longer is a decimal, and exact there. An exclusive bound is the next integer, which is why a
 * fraction never comes this way. */
static err_t add_bound(struct builder *b, struct format_jsonschema_place *shape,
                       const struct format_jsonschema_keyword *k)
{
    struct format_jsonschema_step_of step = {.keyword = k, .low = INT64_MIN, .high = INT64_MAX};
    int64_t bound;
    if (short_integer(k->value->text, &bound)) {
        step.operation = FORMAT_JSONSCHEMA_DO_RANGE;
        if (k->word->check == format_jsonschema_check_minimum)
            step.low = bound + (k->min != 1);
        else
            step.high = bound - (k->min != 1);
        narrow_range(&shape->range, k, &step);
    }
    return add_step(b, &shape->numbers, step);
}

static void narrow(uint64_t *min, uint64_t *max, const struct format_jsonschema_keyword *k)
{
    *min = k->min > *min ? k->min : *min;
    *max = k->max < *max ? k->max : *max;
}

/* Apart from the other keywords, since a length needs nothing of the string but a count. */
static err_t add_length(struct builder *b, struct format_jsonschema_place *shape,
                        const struct format_jsonschema_keyword *k)
{
    return add_step(
        b, &shape->strings,
        (struct format_jsonschema_step_of){
            .operation = FORMAT_JSONSCHEMA_DO_LENGTH, .keyword = k, .min = k->min, .max = k->max});
}

/* Several types of one place each allow less. An integer is a number to the tokenizer, and told
 * from others by its value. */
static void add_type(struct format_jsonschema_place *shape,
                     const struct format_jsonschema_keyword *k)
{
    bool any_number = (k->kinds >> FORMAT_JSON_NUMBER & 1) != 0;
    uint32_t kinds = k->kinds | (k->integers ? 1U << FORMAT_JSON_NUMBER : 0);
    shape->kinds &= kinds;
    shape->integers = shape->integers || (k->integers && !any_number);
}

/* Whether `schema` says something of a value that the choice `k` is about to be made for, or one
 * that was made for it: then it leads back to itself. */
static bool leads_back(const struct format_jsonschema_place *shape,
                       const struct format_jsonschema_keyword *k,
                       const struct format_jsonschema_schema *schema)
{
    bool back = k->owner == schema;
    for (size_t i = 0; i < shape->made_count; i++)
        back = back || shape->made[i]->owner == schema;
    return back;
}

/* Whether `schema` can join the set of `shape` once `k` is decided. */
static bool can_join(struct builder *b, const struct format_jsonschema_place *shape,
                     const struct format_jsonschema_keyword *k,
                     const struct format_jsonschema_schema *schema)
{
    struct set set = {.count = 0};
    if (!schema)
        return true;
    put(b, &set, schema);
    expand(b, &set);
    for (size_t i = 0; i < set.count; i++)
        if (leads_back(shape, k, set.items[i]))
            return false;
    return !b->unfit && shape->set_count + set.count <= SET_MAX;
}

static bool can_choose(struct builder *b, const struct format_jsonschema_place *shape,
                       const struct format_jsonschema_keyword *k)
{
    bool can = shape->made_count < SET_MAX && b->count + k->part_count < CHOICE_SHAPES_MAX;
    for (size_t i = 0; can && i < k->part_count; i++)
        can = can_join(b, shape, k, k->parts[i].schema);
    return can && can_join(b, shape, k, k->then_schema) && can_join(b, shape, k, k->else_schema);
}

/* `shape` with `schema`, which may be NULL, in it and `k` decided. */
static err_t branch_of(struct builder *b, const struct format_jsonschema_place *shape,
                       const struct format_jsonschema_keyword *k,
                       const struct format_jsonschema_schema *schema,
                       const struct format_jsonschema_place **out)
{
    struct set set = {.made_count = shape->made_count};
    for (size_t i = 0; i < shape->set_count; i++)
        put(b, &set, shape->set[i]);
    memcpy(set.made, shape->made, shape->made_count * sizeof(void *));
    set.made[set.made_count++] = k;
    if (schema)
        put(b, &set, schema);
    return shape_of(b, &set, out);
}

/* One choice a shape: further ones are left to the shapes of its branches. */
static err_t add_choice(struct builder *b, struct format_jsonschema_place *shape,
                        const struct format_jsonschema_keyword *k)
{
    check_fn *check = k->word->check;
    bool two = check == format_jsonschema_check_if || check == format_jsonschema_check_not;
    size_t count = two ? 2 : k->part_count;
    struct format_jsonschema_choice *choice = format_jsonschema_alloc(b->c, sizeof(*choice));
    const struct format_jsonschema_place **branches =
        format_jsonschema_alloc(b->c, count * sizeof(struct format_jsonschema_place *));
    if (!choice || !branches)
        return err_make(ERR_MEMORY);
    *choice = (struct format_jsonschema_choice){.branches = branches, .count = count};
    choice->rule = two                                       ? FORMAT_JSONSCHEMA_IF
                   : check == format_jsonschema_check_any_of ? FORMAT_JSONSCHEMA_ANY_OF
                                                             : FORMAT_JSONSCHEMA_ONE_OF;
    shape->choice = choice;
    if (two) {
        struct set condition = {.count = 0};
        put(b, &condition, k->schema);
        TRY(shape_of(b, &condition, &choice->condition));
        if (check == format_jsonschema_check_if)
            TRY(branch_of(b, shape, k, k->then_schema, &branches[0]));
        return branch_of(b, shape, k, k->else_schema, &branches[1]);
    }
    for (size_t i = 0; i < count; i++)
        TRY(branch_of(b, shape, k, k->parts[i].schema, &branches[i]));
    return err_ok();
}

static err_t add_branches(struct builder *b, struct format_jsonschema_place *shape,
                          const struct format_jsonschema_keyword *k)
{
    for (size_t i = 0; i < shape->made_count; i++)
        if (shape->made[i] == k)
            return err_ok();
    if (shape->choice)
        return err_ok();
    return can_choose(b, shape, k) ? add_choice(b, shape, k) : add_everywhere(b, shape, k);
}

/* Where each keyword goes that neither is in the expansion nor leads to the places below. */
static err_t add(struct builder *b, struct format_jsonschema_place *shape,
                 const struct format_jsonschema_keyword *k)
{
    check_fn *check = k->word->check;
    if (check == format_jsonschema_check_type)
        add_type(shape, k);
    else if (check == format_jsonschema_check_enum)
        return add_values(b, shape, k,
                          (const struct format_jsonschema_node *const *)k->value->children,
                          k->value->count);
    else if (check == format_jsonschema_check_const)
        return add_values(b, shape, k, &k->value, 1);
    else if (check == format_jsonschema_check_minimum || check == format_jsonschema_check_maximum)
        return add_bound(b, shape, k);
    else if (check == format_jsonschema_check_multiple_of)
        return add_keyword(b, &shape->numbers, k);
    else if (check == format_jsonschema_check_length)
        return add_length(b, shape, k);
    else if (check == format_jsonschema_check_pattern || check == format_jsonschema_check_format)
        return add_keyword(b, &shape->strings, k);
    else if (check == format_jsonschema_check_item_count)
        narrow(&shape->item_min, &shape->item_max, k);
    else if (check == format_jsonschema_check_property_count)
        narrow(&shape->property_min, &shape->property_max, k);
    else if (check == format_jsonschema_check_unique || check == format_jsonschema_check_contains)
        return add_keyword(b, &shape->arrays, k);
    else if (check == format_jsonschema_check_dependencies ||
             check == format_jsonschema_check_names)
        return add_keyword(b, &shape->objects, k);
    else if (check == format_jsonschema_check_any_of || check == format_jsonschema_check_one_of ||
             check == format_jsonschema_check_not || check == format_jsonschema_check_if)
        return add_branches(b, shape, k);
    return err_ok();
}

static bool is_below_object(const struct format_jsonschema_keyword *k)
{
    return k->word->check == format_jsonschema_check_properties ||
           k->word->check == format_jsonschema_check_patterns ||
           k->word->check == format_jsonschema_check_additional;
}

/* Schemas with patternProperties look at the span: which ones a name has is not known here. */
static bool named_apart(const struct format_jsonschema_schema *schema)
{
    return !schema->looks_back && !schema->patterns;
}

/* `text` in quotes; `behind`: the closing one and what else has to follow. */
static struct format_jsonschema_pattern pattern_of(struct slice text, const char *behind)
{
    struct format_jsonschema_pattern p = {.mask = UINT32_C(1) << 16};
    size_t size = 1 + text.size + strlen(behind);
    bool plain = size <= sizeof(p.text);
    for (size_t i = 0; i < text.size; i++)
        plain = plain && format_json_is_plain(text.data[i]);
    if (!plain)
        return p;
    p.size = (uint32_t)size;
    p.mask = size < 16 ? (UINT32_C(1) << size) - 1 : UINT32_C(0xFFFF);
    p.text[0] = '"';
    memcpy(p.text + 1, text.data, text.size);
    memcpy(p.text + 1 + text.size, behind, strlen(behind));
    return p;
}

/* The index of a property, which is made where it is not there. */
static uint32_t property_at(struct builder *b, struct format_jsonschema_place *shape,
                            struct slice name)
{
    for (uint32_t i = 0; i < shape->property_count; i++)
        if (slice_equal(shape->properties[i].name, name))
            return i;
    if (shape->property_count == FORMAT_JSONSCHEMA_PROPERTIES_MAX) {
        b->unfit = true;
        return 0;
    }
    uint32_t index = shape->property_count++;
    shape->properties[index] = (struct format_jsonschema_property){
        .pattern = pattern_of(name, "\":"),
        .bit = UINT64_C(1) << (index & 63),
        .word = index / 64,
        .index = index,
        .slot = (shape->slot + 1 + index) % FORMAT_JSONSCHEMA_GUESSES,
        .name = name,
        .fingerprint = format_jsonschema_fingerprint(name)};
    return index;
}

/* Names that are only required have a place too: their bit among those seen is how their absence
 * is found. */
static void add_names(struct builder *b, struct format_jsonschema_place *shape,
                      const struct format_jsonschema_schema *schema)
{
    for (const struct format_jsonschema_keyword *k = schema->keywords; k && !b->unfit;
         k = k->next) {
        if (k->word->check == format_jsonschema_check_properties && named_apart(schema)) {
            /* As written, since records tend to have that order too: the pass tries it first. */
            for (const struct format_jsonschema_node *n = k->value->first; n; n = n->next)
                (void)property_at(b, shape, n->key);
        } else if (k->word->check == format_jsonschema_check_required) {
            for (size_t i = 0; i < k->value->count; i++) {
                uint32_t at = property_at(b, shape, k->value->children[i]->text);
                shape->required[at / 64] |= UINT64_C(1) << (at & 63);
            }
        }
    }
}

/* What schema `schema` says of a property; `name` NULL: of one that no schema names. */
static void add_below(struct builder *b, struct set *set,
                      const struct format_jsonschema_schema *schema, const struct slice *name)
{
    if (!named_apart(schema))
        return;
    bool named = false;
    for (size_t i = 0; name && schema->properties && i < schema->properties->part_count; i++) {
        if (!slice_equal(schema->properties->parts[i].name, *name))
            continue;
        put(b, set, schema->properties->parts[i].schema);
        named = true;
    }
    for (const struct format_jsonschema_keyword *k = schema->keywords; k && !named; k = k->next)
        if (k->word->check == format_jsonschema_check_additional)
            put(b, set, k->schema);
}

/* Four times as large as the names are many, so that nearly every name is found at the first
 * place, and one that is unknown at an empty one. */
static err_t fill_table(struct builder *b, struct format_jsonschema_place *shape)
{
    uint32_t size = 4;
    while (size < 4 * shape->property_count)
        size *= 2;
    shape->table_mask = size - 1;
    shape->table = format_jsonschema_alloc(b->c, size * sizeof(*shape->table));
    if (!shape->table)
        return err_make(ERR_MEMORY);
    for (uint32_t i = 0; i < shape->property_count; i++) {
        uint32_t at = (uint32_t)shape->properties[i].fingerprint & shape->table_mask;
        while (shape->table[at] != 0)
            at = (at + 1) & shape->table_mask;
        shape->table[at] = (uint16_t)(i + 1);
    }
    return err_ok();
}

/* On the stack first: how many names there are is known at the end, and an arena gives nothing
 * back. One more shape than names is for all that are not listed. */
static err_t fill_object(struct builder *b, struct format_jsonschema_place *shape)
{
    struct format_jsonschema_property room[FORMAT_JSONSCHEMA_PROPERTIES_MAX];
    shape->properties = room;
    for (size_t i = 0; i < shape->set_count; i++)
        add_names(b, shape, shape->set[i]);
    shape->properties = NULL;
    b->work += shape->property_count * shape->set_count;
    b->unfit = b->unfit || b->work > WORK_MAX;
    if (b->unfit)
        return err_ok();
    size_t size = shape->property_count * sizeof(room[0]);
    struct format_jsonschema_property *properties =
        format_jsonschema_alloc(b->c, size + FORMAT_JSONSCHEMA_AHEAD * sizeof(room[0]));
    if (!properties)
        return err_make(ERR_MEMORY);
    if (size > 0)
        memcpy(properties, room, size);
    for (size_t i = 0; i < FORMAT_JSONSCHEMA_AHEAD; i++)
        properties[shape->property_count + i].pattern.mask = UINT32_C(1) << 16;
    shape->properties = properties;
    for (uint32_t i = 0; i <= shape->property_count; i++) {
        bool other = i == shape->property_count;
        struct set set = {.count = 0};
        for (size_t j = 0; j < shape->set_count; j++)
            add_below(b, &set, shape->set[j], other ? NULL : &properties[i].name);
        TRY(shape_of(b, &set, other ? &shape->other : &properties[i].shape));
    }
    return fill_table(b, shape);
}

/* What a schema says of the item at `index`; SIZE_MAX: of those behind all prefixes. */
static void add_item(struct builder *b, struct set *set,
                     const struct format_jsonschema_schema *schema, size_t index)
{
    for (const struct format_jsonschema_keyword *k = schema->keywords; k; k = k->next) {
        if (schema->looks_back)
            return;
        if (k->word->check == format_jsonschema_check_prefix && index < k->part_count)
            put(b, set, k->parts[index].schema);
        else if (k->word->check == format_jsonschema_check_items && index >= k->min)
            put(b, set, k->schema);
    }
}

static err_t fill_array(struct builder *b, struct format_jsonschema_place *shape)
{
    for (size_t i = 0; i < shape->set_count; i++)
        for (const struct format_jsonschema_keyword *k = shape->set[i]->keywords; k; k = k->next) {
            size_t count = k->word->check == format_jsonschema_check_prefix ? k->part_count : 0;
            /* The items that it leaves to another keyword have a place each, too. */
            if (k->word->check == format_jsonschema_check_items)
                count = (size_t)k->min;
            shape->prefix_count = count > shape->prefix_count ? count : shape->prefix_count;
        }
    b->work += shape->prefix_count * shape->set_count;
    if (b->work > WORK_MAX) {
        b->unfit = true;
        return err_ok();
    }
    shape->prefix = format_jsonschema_alloc(
        b->c, shape->prefix_count * sizeof(struct format_jsonschema_place *) + 1);
    if (!shape->prefix)
        return err_make(ERR_MEMORY);
    for (size_t i = 0; i <= shape->prefix_count; i++) {
        bool behind = i == shape->prefix_count;
        struct set set = {.count = 0};
        for (size_t j = 0; j < shape->set_count; j++)
            add_item(b, &set, shape->set[j], behind ? SIZE_MAX : i);
        TRY(shape_of(b, &set, behind ? &shape->items : &shape->prefix[i]));
    }
    return err_ok();
}

/* A schema of the set: what it says of the value itself. */
static err_t fill_schema(struct builder *b, struct format_jsonschema_place *shape,
                         const struct format_jsonschema_schema *schema)
{
    if (schema->never)
        shape->kinds = 0;
    if (schema->looks_back) {
        shape->wholes[shape->whole_count++] = schema;
        return err_ok();
    }
    for (const struct format_jsonschema_keyword *k = schema->keywords; k; k = k->next) {
        b->unfit = b->unfit || k->dynamic.data;
        if (is_below_object(k) && !named_apart(schema))
            TRY(add_keyword(b, &shape->objects, k));
        else
            TRY(add(b, shape, k));
    }
    return err_ok();
}

/* The words as patterns, where they are few. */
static err_t fill_words(struct builder *b, struct format_jsonschema_place *shape,
                        const struct format_jsonschema_step_of *step)
{
    if (step->count > FORMAT_JSONSCHEMA_WORDS_QUICK)
        return err_ok();
    shape->words = format_jsonschema_alloc(b->c, step->count * sizeof(shape->words[0]) + 1);
    if (!shape->words)
        return err_make(ERR_MEMORY);
    shape->all_words = true;
    for (size_t i = 0; i < step->count; i++) {
        if (step->values[i]->kind != FORMAT_JSON_STRING)
            continue;
        struct format_jsonschema_pattern word = pattern_of(step->values[i]->text, "\"");
        if (word.size > 0 && word.size <= 16)
            shape->words[shape->word_count++] = word;
        else
            shape->all_words = false;
    }
    shape->quick |= FORMAT_JSONSCHEMA_QUICK_WORDS;
    return err_ok();
}

/* Whether strings of the place are good if their length and format are. */
static bool fill_lengths(struct format_jsonschema_place *shape)
{
    uint64_t max = UINT64_MAX;
    for (size_t i = 0; i < shape->strings.count; i++) {
        const struct format_jsonschema_step_of *step = &shape->strings.items[i];
        if (step->operation == FORMAT_JSONSCHEMA_DO_LENGTH)
            narrow(&shape->length_min, &max, step->keyword);
        else if (step->keyword->word->check == format_jsonschema_check_format && !shape->format &&
                 step->keyword->format->steps == 0) /* one that costs some is paid for elsewhere */
            shape->format = step->keyword->format;
        else
            return false;
    }
    shape->length_span = max - shape->length_min;
    return max >= shape->length_min;
}

/* Whether there is an integer within all bounds. */
static bool fill_integers(struct format_jsonschema_range *r)
{
    int64_t max = r->floor_max < r->ceiling_max ? r->floor_max : r->ceiling_max;
    r->integer_min = r->floor_min > r->ceiling_min ? r->floor_min : r->ceiling_min;
    r->integer_span = (uint64_t)max - (uint64_t)r->integer_min;
    return max >= r->integer_min;
}

/* What of the place can be found out by a look. What it leaves is not refused by it, so that words
 * which are no pattern cost time and nothing else. */
static err_t fill_quick(struct builder *b, struct format_jsonschema_place *shape)
{
    const struct format_jsonschema_steps *strings = &shape->strings;
    bool ranges = true;
    if (shape->whole_count > 0 || shape->choice)
        return err_ok();
    for (size_t i = 0; i < shape->numbers.count; i++)
        ranges = ranges && shape->numbers.items[i].operation == FORMAT_JSONSCHEMA_DO_RANGE;
    if ((shape->kinds >> FORMAT_JSON_STRING & 1) != 0 && fill_lengths(shape))
        shape->quick |= FORMAT_JSONSCHEMA_QUICK_STRING;
    if (ranges && (shape->kinds >> FORMAT_JSON_NUMBER & 1) != 0 && fill_integers(&shape->range))
        shape->quick |= FORMAT_JSONSCHEMA_QUICK_NUMBER;
    if (shape->others.count == 0)
        shape->quick |= FORMAT_JSONSCHEMA_QUICK_LITERAL;
    bool words = strings->count == 1 && (shape->kinds >> FORMAT_JSON_STRING & 1) != 0 &&
                 strings->items[0].operation == FORMAT_JSONSCHEMA_DO_WORDS;
    return words ? fill_words(b, shape, &strings->items[0]) : err_ok();
}

static err_t fill(struct builder *b, struct format_jsonschema_place *shape)
{
    shape->kinds = ALL_KINDS;
    shape->length_span = UINT64_MAX;
    shape->property_max = UINT64_MAX;
    shape->item_max = UINT64_MAX;
    shape->range =
        (struct format_jsonschema_range){INT64_MIN, INT64_MAX, INT64_MIN, INT64_MAX, 0, 0};
    shape->slot = b->slots;
    shape->wholes = format_jsonschema_alloc(
        b->c, shape->set_count * sizeof(struct format_jsonschema_schema *) + 1);
    if (!shape->wholes)
        return err_make(ERR_MEMORY);
    for (size_t i = 0; i < shape->set_count; i++)
        TRY(fill_schema(b, shape, shape->set[i]));
    TRY(fill_quick(b, shape));
    /* With a choice, the shapes of its branches are what a value is walked with. */
    if (shape->choice)
        return err_ok();
    TRY(fill_object(b, shape));
    b->slots += shape->property_count + 1;
    return b->unfit ? err_ok() : fill_array(b, shape);
}

/* A reference that depends on the way to it has no place in a shape, wherever it stands. */
static bool has_dynamic(const struct format_jsonschema_compiler *c)
{
    for (const struct format_jsonschema_schema *s = c->first; s; s = s->next)
        for (const struct format_jsonschema_keyword *k = s->keywords; k; k = k->next)
            if (k->dynamic.data)
                return true;
    return false;
}

/* Shapes are filled in the order in which they were found, and find further ones; a shape that
 * refers to itself is there already when it is met again. Without a program the plain checker
 * does all the work, which is no error. */
err_t format_jsonschema_program_make(struct format_jsonschema_compiler *c)
{
    struct builder b = {.c = c, .unfit = has_dynamic(c)};
    const struct format_jsonschema_place *first = NULL;
    struct set set = {.count = 0};
    ASSERT(c->product->root && !c->product->program);
    if (b.unfit)
        return err_ok();
    map_init(&b.shapes, 0);
    put(&b, &set, c->product->root);
    err_t err = shape_of(&b, &set, &first);
    struct format_jsonschema_place *shape = b.last;
    for (; err_is_ok(err) && shape && !b.unfit; shape = shape->next)
        err = fill(&b, shape);
    map_done(&b.shapes);
    if (err_is_ok(err) && !b.unfit)
        c->product->program = first;
    return err;
}
