#include "log/offsets.h"

#include "base/alloc.h"
#include "base/assert.h"

/*
 * The happy path: each partition of a group has a place. A commit that is composed gets the memory
 * for its value, which waits in the order of the log until its frame is durable and then takes the
 * place of the one before. So a change that is on the disk is applied without anything that can
 * fail.
 *
 * Failure modes: a place without a value is one whose first commit is on its way, or failed; it is
 * let go of when nothing is on its way to it any more, and its group with the last place.
 */

#define OFFSET_SIZE 24u /* in a checkpoint, before the metadata */
#define GROUP_SIZE 8u   /* and before the name */

struct log_group {
    struct list link;
    struct map places; /* by key */
    struct list all;   /* the same in the order in which they came */
    uint32_t count;    /* of them that are durable */
    uint32_t name_size;
    char name[];
};

struct value {
    struct list link; /* of `coming` */
    struct place *place;
    int64_t offset;
    int32_t leader_epoch;
    uint32_t metadata_size;
    uint8_t metadata[];
};

/* The bytes of a key; never written anywhere, so that their order does not matter. */
struct key {
    uint32_t topic_id;
    uint32_t partition;
};

struct place {
    struct list link;
    struct log_group *group;
    struct key key;
    struct value *value; /* NULL: none is durable */
    uint32_t coming;
};

#define PLACE_BYTES (sizeof(struct place) + 2 * sizeof(struct map_entry))

static struct slice name_of(const struct log_group *group)
{
    ASSERT(group->name_size > 0);
    return slice_make(group->name, group->name_size);
}

static struct slice key_of(const struct key *key)
{
    ASSERT(key->topic_id > 0);
    return slice_make(key, sizeof(*key));
}

/* With what the maps take for each, roughly. */
static uint64_t group_bytes(size_t name_size)
{
    ASSERT(name_size <= FLOW_GROUP_NAME_MAX);
    return sizeof(struct log_group) + name_size + 2 * sizeof(struct map_entry);
}

static uint64_t value_bytes(size_t metadata_size)
{
    ASSERT(metadata_size <= FLOW_OFFSET_METADATA_MAX);
    return sizeof(struct value) + metadata_size;
}

void log_offsets_init(struct log_offsets *offsets, uint64_t seed)
{
    ASSERT(offsets);
    *offsets = (struct log_offsets){.bytes_max = LOG_OFFSETS_BYTES, .seed = seed};
    map_init(&offsets->by_name, seed);
    list_init(&offsets->groups);
    list_init(&offsets->coming);
}

/* The neighbours of a head point to where it was; of an empty list they are the head itself. */
static void move_head(struct list *head, bool empty)
{
    ASSERT(head->next && head->prev);
    if (empty)
        list_init(head);
    head->next->prev = head;
    head->prev->next = head;
}

void log_offsets_moved(struct log_offsets *offsets)
{
    ASSERT(offsets->groups.next);
    move_head(&offsets->groups, offsets->by_name.count == 0);
    move_head(&offsets->coming, true);
}

/* Also one that never arrived, so from both lists. */
static void free_value(struct log_offsets *offsets, struct value *value)
{
    if (!value)
        return;
    ASSERT(offsets->bytes >= value_bytes(value->metadata_size));
    list_remove(&value->link);
    offsets->bytes -= value_bytes(value->metadata_size);
    mem_free(value);
}

static void free_group(struct log_offsets *offsets, struct log_group *group)
{
    ASSERT(list_empty(&group->all) && group->count == 0);
    list_remove(&group->link);
    map_remove(&offsets->by_name, name_of(group));
    map_done(&group->places);
    offsets->bytes -= group_bytes(group->name_size);
    mem_free(group);
}

/* The last place of a group takes it along: names of groups that have nothing are not kept. */
static void free_if_unused(struct log_offsets *offsets, struct place *place)
{
    struct log_group *group = place->group;
    ASSERT(offsets->bytes >= PLACE_BYTES);
    if (place->value || place->coming > 0)
        return;
    map_remove(&group->places, key_of(&place->key));
    list_remove(&place->link);
    mem_free(place);
    offsets->bytes -= PLACE_BYTES;
    if (list_empty(&group->all))
        free_group(offsets, group);
}

/* The place has no durable value any more. It may be gone then, and its group. */
static void clear(struct log_offsets *offsets, struct place *place)
{
    struct log_group *group = place->group;
    if (place->value) {
        ASSERT(group->count > 0 && offsets->count > 0);
        free_value(offsets, place->value);
        place->value = NULL;
        offsets->count--;
        offsets->group_count -= --group->count == 0;
    }
    free_if_unused(offsets, place);
}

/* As far as it is durable: what is on its way comes behind this in the log, and stays. */
static void clear_group(struct log_offsets *offsets, struct log_group *group)
{
    ASSERT(!list_empty(&group->all));
    /* The last place takes the group with it, and the head of this list. */
    struct list *link = group->all.next;
    for (bool last = false; !last;) {
        struct place *place = CONTAINER_OF(link, struct place, link);
        link = link->next;
        last = link == &group->all;
        clear(offsets, place);
    }
}

void log_offsets_done(struct log_offsets *offsets)
{
    ASSERT(offsets->groups.next);
    log_offsets_forget(offsets);
    LIST_EACH_SAFE (link, &offsets->groups)
        clear_group(offsets, CONTAINER_OF(link, struct log_group, link));
    ASSERT(offsets->bytes == 0 && offsets->count == 0);
    map_done(&offsets->by_name);
}

/* NULL without memory. */
static struct log_group *ensure_group(struct log_offsets *offsets, struct slice name)
{
    struct log_group *group = map_get(&offsets->by_name, name);
    ASSERT(name.size > 0 && name.size <= FLOW_GROUP_NAME_MAX);
    if (group)
        return group;
    group = mem_zalloc(1, sizeof(*group) + name.size);
    if (!group)
        return NULL;
    group->name_size = (uint32_t)name.size;
    memcpy(group->name, name.data, name.size);
    if (!err_is_ok(map_put(&offsets->by_name, name_of(group), group))) {
        mem_free(group);
        return NULL;
    }
    map_init(&group->places, offsets->seed);
    list_init(&group->all);
    list_add_tail(&offsets->groups, &group->link);
    offsets->bytes += group_bytes(name.size);
    return group;
}

/* NULL without memory; a group that has been made for it is gone again then. */
static struct place *ensure_place(struct log_offsets *offsets, const struct flow_offset *change)
{
    struct log_group *group = ensure_group(offsets, change->group);
    struct key key = {change->topic_id, change->partition};
    ASSERT(change->op == FLOW_OFFSET_COMMIT);
    if (!group)
        return NULL;
    struct place *place = map_get(&group->places, key_of(&key));
    if (place)
        return place;
    place = mem_zalloc(1, sizeof(*place));
    if (place) {
        place->group = group;
        place->key = key;
    }
    if (!place || !err_is_ok(map_put(&group->places, key_of(&place->key), place))) {
        mem_free(place);
        if (list_empty(&group->all))
            free_group(offsets, group);
        return NULL;
    }
    list_add_tail(&group->all, &place->link);
    offsets->bytes += PLACE_BYTES;
    return place;
}

/* One that is on its way to its place. NULL without memory: nothing is left behind, so that whoever
 * fails half way takes back whole values. */
static struct value *add_value(struct log_offsets *offsets, const struct flow_offset *change)
{
    struct place *place = ensure_place(offsets, change);
    if (!place)
        return NULL;
    struct value *value = mem_zalloc(1, sizeof(*value) + change->metadata.size);
    if (!value) {
        free_if_unused(offsets, place);
        return NULL;
    }
    *value = (struct value){.place = place,
                            .offset = change->offset,
                            .leader_epoch = change->leader_epoch,
                            .metadata_size = (uint32_t)change->metadata.size};
    if (change->metadata.size > 0)
        memcpy(value->metadata, change->metadata.data, change->metadata.size);
    place->coming++;
    list_add_tail(&offsets->coming, &value->link);
    offsets->bytes += value_bytes(value->metadata_size);
    ASSERT(place->coming > 0);
    return value;
}

/* From the end of the line alone, as it was added. */
static void take_back(struct log_offsets *offsets, struct value *value)
{
    struct place *place = value->place;
    ASSERT(place->coming > 0);
    place->coming--;
    free_value(offsets, value);
    free_if_unused(offsets, place);
}

/* What the changes take at the most, as if every place were new, and the group: a bound that needs
 * no look-up. */
static uint64_t bytes_wanted(const struct flow_offset *changes, uint32_t count)
{
    uint64_t bytes = 0;
    ASSERT(changes || count == 0);
    for (uint32_t i = 0; i < count; i++) {
        if (changes[i].op == FLOW_OFFSET_COMMIT)
            bytes += value_bytes(changes[i].metadata.size) + PLACE_BYTES;
    }
    return count > 0 ? bytes + group_bytes(changes[0].group.size) : 0;
}

err_t log_offsets_add(struct log_offsets *offsets, const struct flow_offset *changes,
                      uint32_t count)
{
    uint32_t added = 0;
    bool failed = false;
    bool commits = false;
    for (uint32_t i = 0; i < count; i++)
        commits = commits || changes[i].op == FLOW_OFFSET_COMMIT;
    ASSERT(offsets->bytes_max > 0);
    /* Deletions take nothing and make room. */
    if (commits && offsets->bytes + bytes_wanted(changes, count) > offsets->bytes_max)
        return err_make(ERR_OFFSETS_FULL);
    for (uint32_t i = 0; i < count && !failed; i++) {
        if (changes[i].op != FLOW_OFFSET_COMMIT)
            continue;
        failed = !add_value(offsets, &changes[i]);
        added += !failed;
    }
    for (; failed && added > 0; added--)
        take_back(offsets, CONTAINER_OF(offsets->coming.prev, struct value, link));
    return err_make(failed ? ERR_MEMORY : ERR_OK);
}

void log_offsets_forget(struct log_offsets *offsets)
{
    ASSERT(offsets->coming.next);
    while (!list_empty(&offsets->coming))
        take_back(offsets, CONTAINER_OF(offsets->coming.prev, struct value, link));
}

/* What was on its way has come. The place of the old one is taken in one step: a reader sees one or
 * the other. */
static void arrive(struct log_offsets *offsets, struct value *value)
{
    struct place *place = value->place;
    ASSERT(place->coming > 0);
    list_remove(&value->link);
    place->coming--;
    if (place->value) {
        free_value(offsets, place->value);
    } else {
        offsets->count++;
        offsets->group_count += place->group->count++ == 0;
    }
    place->value = value;
}

/* In recovery nothing is on its way, and a value is made for the entry. */
static err_t settle_commit(struct log_offsets *offsets, const struct flow_offset *change)
{
    ASSERT(change->op == FLOW_OFFSET_COMMIT);
    struct value *value = list_empty(&offsets->coming)
                              ? add_value(offsets, change)
                              : CONTAINER_OF(offsets->coming.next, struct value, link);
    if (!value)
        return err_make(ERR_MEMORY);
    /* Frames become durable in the order in which they were composed. */
    ASSERT(value->place->key.topic_id == change->topic_id &&
           value->place->key.partition == change->partition && value->offset == change->offset);
    arrive(offsets, value);
    return err_ok();
}

err_t log_offsets_settle(struct log_offsets *offsets, const struct flow_offset *change)
{
    if (change->op == FLOW_OFFSET_COMMIT)
        return settle_commit(offsets, change);
    struct log_group *group = map_get(&offsets->by_name, change->group);
    if (!group)
        return err_ok();
    if (change->op == FLOW_OFFSET_DELETE_GROUP) {
        clear_group(offsets, group);
        return err_ok();
    }
    ASSERT(change->op == FLOW_OFFSET_DELETE);
    struct key key = {change->topic_id, change->partition};
    struct place *place = map_get(&group->places, key_of(&key));
    if (place)
        clear(offsets, place);
    return err_ok();
}

/* The walk ends by its own count, since the last place takes the group with it. */
static void forget_topic_of(struct log_offsets *offsets, struct log_group *group, uint32_t topic_id)
{
    ASSERT(!list_empty(&group->all));
    struct list *link = group->all.next;
    for (bool last = false; !last;) {
        struct place *place = CONTAINER_OF(link, struct place, link);
        link = link->next;
        last = link == &group->all;
        if (place->key.topic_id == topic_id)
            clear(offsets, place);
    }
}

/* A walk over all of them: topics are deleted by hand. */
void log_offsets_forget_topic(struct log_offsets *offsets, uint32_t topic_id)
{
    ASSERT(topic_id > 0);
    LIST_EACH_SAFE (link, &offsets->groups)
        forget_topic_of(offsets, CONTAINER_OF(link, struct log_group, link), topic_id);
}

static struct flow_group_offset view_of(const struct place *place)
{
    ASSERT(place->value);
    return (struct flow_group_offset){
        .topic_id = place->key.topic_id,
        .partition = place->key.partition,
        .offset = place->value->offset,
        .leader_epoch = place->value->leader_epoch,
        .metadata = slice_make(place->value->metadata, place->value->metadata_size),
    };
}

/* Copies: the answer goes to another loop, and the group goes on. */
static err_t answer_group(const struct log_group *group, bool whole, struct arena *arena,
                          struct flow_group *out)
{
    *out = (struct flow_group){.name = arena_slice(arena, name_of(group)),
                               .offset_count = group->count};
    ASSERT(group->count > 0);
    if (whole)
        out->offsets = arena_alloc(arena, group->count * sizeof(*out->offsets));
    if (!out->name.data || (whole && !out->offsets))
        return err_make(ERR_MEMORY);
    uint32_t at = 0;
    for (struct list *link = group->all.next; whole && link != &group->all; link = link->next) {
        const struct place *place = CONTAINER_OF(link, struct place, link);
        if (!place->value)
            continue;
        struct flow_group_offset *offset = &out->offsets[at++];
        *offset = view_of(place);
        offset->metadata = arena_slice(arena, offset->metadata);
        if (!offset->metadata.data && place->value->metadata_size > 0)
            return err_make(ERR_MEMORY);
    }
    ASSERT(!whole || at == group->count);
    return err_ok();
}

/* Names alone where all groups are asked for: nobody needs millions of offsets at once. */
err_t log_offsets_answer(const struct log_offsets *offsets, struct flow_offsets *out)
{
    bool whole = out->group.size > 0;
    arena_init(&out->arena, 0);
    out->group_count = 0;
    out->groups = arena_alloc(&out->arena, (offsets->group_count + 1u) * sizeof(*out->groups));
    if (!out->groups)
        return err_make(ERR_MEMORY);
    if (whole) {
        const struct log_group *group = map_get(&offsets->by_name, out->group);
        out->group_count = group && group->count > 0;
        return out->group_count > 0 ? answer_group(group, true, &out->arena, out->groups)
                                    : err_ok();
    }
    LIST_EACH (link, &offsets->groups) {
        const struct log_group *group = CONTAINER_OF(link, struct log_group, link);
        if (group->count == 0)
            continue;
        ASSERT(out->group_count < offsets->group_count);
        TRY(answer_group(group, false, &out->arena, &out->groups[out->group_count]));
        out->group_count++;
    }
    return err_ok();
}

static void encode_offset(const struct place *place, struct buf *out)
{
    ASSERT(place->value);
    buf_add_u32le(out, place->key.topic_id);
    buf_add_u32le(out, place->key.partition);
    buf_add_u64le(out, (uint64_t)place->value->offset);
    buf_add_u32le(out, (uint32_t)place->value->leader_epoch);
    buf_add_u32le(out, place->value->metadata_size);
    buf_add(out, place->value->metadata, place->value->metadata_size);
}

/* In the order of the lists, so that what is decoded is encoded to the same bytes. */
void log_offsets_encode(const struct log_offsets *offsets, struct buf *out)
{
    ASSERT(offsets->group_count <= offsets->count);
    buf_add_u32le(out, offsets->group_count);
    LIST_EACH (link, &offsets->groups) {
        const struct log_group *group = CONTAINER_OF(link, struct log_group, link);
        /* What is on its way is in no durable frame, and so in no checkpoint. */
        if (group->count == 0)
            continue;
        buf_add_u32le(out, group->name_size);
        buf_add_u32le(out, group->count);
        buf_add_slice(out, name_of(group));
        LIST_EACH (at, &group->all) {
            const struct place *place = CONTAINER_OF(at, struct place, link);
            if (place->value)
                encode_offset(place, out);
        }
    }
}

/* A file is believed no more than a peer is. */
static err_t decode_offset(struct log_offsets *offsets, struct cursor *c, struct slice group)
{
    struct flow_offset change = {.group = group,
                                 .topic_id = cursor_u32le(c),
                                 .partition = cursor_u32le(c),
                                 .offset = (int64_t)cursor_u64le(c),
                                 .leader_epoch = (int32_t)cursor_u32le(c)};
    uint32_t size = cursor_u32le(c);
    change.metadata = cursor_bytes(c, size <= FLOW_OFFSET_METADATA_MAX ? size : SIZE_MAX);
    uint64_t before = offsets->count;
    ASSERT(list_empty(&offsets->coming));
    if (!cursor_ok(c) || change.topic_id == 0 || change.offset < 0)
        return err_make(ERR_CORRUPT);
    TRY(settle_commit(offsets, &change));
    /* Nothing is there twice. */
    return err_make(offsets->count == before + 1 ? ERR_OK : ERR_CORRUPT);
}

err_t log_offsets_decode(struct log_offsets *offsets, struct cursor *c)
{
    uint32_t groups = cursor_u32le(c);
    ASSERT(offsets->count == 0);
    /* So memory that is taken is never much more than the file itself. */
    if (!cursor_ok(c) || groups > c->rest.size / (GROUP_SIZE + OFFSET_SIZE))
        return err_make(ERR_CORRUPT);
    for (uint32_t i = 0; i < groups; i++) {
        uint32_t name_size = cursor_u32le(c);
        uint32_t count = cursor_u32le(c);
        struct slice name = cursor_bytes(c, name_size);
        if (!cursor_ok(c) || name.size == 0 || name.size > FLOW_GROUP_NAME_MAX || count == 0 ||
            map_get(&offsets->by_name, name))
            return err_make(ERR_CORRUPT);
        for (uint32_t n = 0; n < count; n++)
            TRY(decode_offset(offsets, c, name));
    }
    return err_ok();
}

bool log_offsets_any(const struct log_offsets *offsets,
                     bool (*visit)(void *owner, struct slice group,
                                   const struct flow_group_offset *offset),
                     void *owner)
{
    ASSERT(visit);
    LIST_EACH (link, &offsets->groups) {
        const struct log_group *group = CONTAINER_OF(link, struct log_group, link);
        LIST_EACH (at, &group->all) {
            const struct place *place = CONTAINER_OF(at, struct place, link);
            if (!place->value)
                continue;
            struct flow_group_offset offset = view_of(place);
            if (visit(owner, name_of(group), &offset))
                return true;
        }
    }
    return false;
}
