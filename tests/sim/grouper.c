#include "sim/world.h"

/*
 * Consumer groups that commit and delete offsets, one commit at a time. Every offset is used once,
 * and says whose it is; so what is found after a recovery is what was acknowledged last, or one
 * that was asked for since and not answered for certain. With early answers an older one may come
 * back.
 */

#define STEPS_MAX 5000000u

static struct world_offset *slot_of(struct world *w, const struct flow_offset *change)
{
    uint32_t group = (uint32_t)(change->group.data[0] - 'a');
    return &w->grouper.slots[group][world_topic(w, change->topic_id)][change->partition];
}

static void became(struct world *w, struct world_offset *slot, int64_t offset, err_t err)
{
    if (err_is_ok(err)) {
        slot->known = offset;
        slot->maybe_count = 0;
        slot->any = w->options.early_answers;
    } else if (err_is(err, ERR_FENCED)) {
        slot->any = slot->any || slot->maybe_count == WORLD_MAYBE;
        if (!slot->any)
            slot->maybe[slot->maybe_count++] = offset;
    }
}

/* What a change has done, or may have. */
static void note(struct world *w, const struct flow_offset *change, err_t err)
{
    uint32_t group = (uint32_t)(change->group.data[0] - 'a');
    if (change->op != FLOW_OFFSET_DELETE_GROUP) {
        became(w, slot_of(w, change), change->op == FLOW_OFFSET_COMMIT ? change->offset : -1, err);
        return;
    }
    for (uint32_t t = 0; t < MODEL_STATIC; t++)
        for (uint32_t p = 0; p < MODEL_PARTITIONS; p++)
            became(w, &w->grouper.slots[group][t][p], -1, err);
}

static void note_all(struct world *w, err_t err)
{
    for (uint32_t i = 0; i < w->grouper.commit.offset_count; i++)
        if (w->grouper.changes[i].op == FLOW_OFFSET_DELETE_GROUP ||
            world_topic(w, w->grouper.changes[i].topic_id) < MODEL_STATIC)
            note(w, &w->grouper.changes[i], err);
}

static void rests(struct world_grouper *grouper)
{
    grouper->busy = false;
    world_actor_rests(grouper->world, grouper->loop, &grouper->timer, 20 * IO_MS);
}

static void committed(struct flow_commit *commit)
{
    struct world_grouper *grouper = CONTAINER_OF(commit, struct world_grouper, commit);
    struct world *w = grouper->world;
    world_say(w, "%u offsets: %s", commit->offset_count, err_name(commit->error));
    /* The topic that comes and goes has gone. */
    bool gone = err_is(commit->error, ERR_NOT_FOUND) && grouper->coming;
    if (!gone && !world_expects(w, commit->error))
        model_fail(&w->model, "offsets of a group: %s", err_name(commit->error));
    note_all(w, commit->error);
    rests(grouper);
}

static struct flow_offset draw(struct world *w)
{
    static const char *const names[WORLD_GROUPS] = {"a", "b", "c"};
    struct world_grouper *grouper = &w->grouper;
    uint32_t group = (uint32_t)below(w, WORLD_GROUPS);
    uint32_t t = (uint32_t)below(w, MODEL_STATIC);
    if (w->coming > 0 && chance(w, 1, 6) && w->model.topics[w->coming] == MODEL_TOPIC_LIVE) {
        t = w->coming;
        grouper->coming = true;
    }
    uint64_t what = below(w, 30);
    static const uint8_t said[600];
    return (struct flow_offset){
        .op = what == 0   ? FLOW_OFFSET_DELETE_GROUP
              : what <= 3 ? FLOW_OFFSET_DELETE
                          : FLOW_OFFSET_COMMIT,
        .group = slice_string(names[group]),
        .topic_id = w->topic_ids[t],
        .partition = (uint32_t)below(w, w->partitions[t]),
        .offset = ++grouper->used * WORLD_GROUPS + group,
        .leader_epoch = (int32_t)group,
        .metadata = slice_make(said, below(w, sizeof said)),
    };
}

static void runs(struct io_timer *timer)
{
    struct world_grouper *grouper = CONTAINER_OF(timer, struct world_grouper, timer);
    struct world *w = grouper->world;
    if (!w->acting)
        return;
    grouper->busy = true;
    grouper->coming = false;
    uint32_t count = 1 + (uint32_t)below(w, WORLD_OFFSETS);
    for (uint32_t i = 0; i < count; i++)
        grouper->changes[i] = draw(w);
    grouper->commit = (struct flow_commit){.home = grouper->loop,
                                           .done = committed,
                                           .offsets = grouper->changes,
                                           .offset_count = count};
    flow_log_commit(log_flow(w->log), &grouper->commit);
}

void world_grouper_init(struct world *w)
{
    w->grouper = (struct world_grouper){.world = w, .loop = w->loops[1], .timer = {.run = runs}};
    for (uint32_t g = 0; g < WORLD_GROUPS; g++)
        for (uint32_t t = 0; t < MODEL_STATIC; t++)
            for (uint32_t p = 0; p < MODEL_PARTITIONS; p++)
                w->grouper.slots[g][t][p].known = -1;
}

void world_grouper_forget(struct world *w)
{
    /* Nobody was told what became of it. */
    if (w->grouper.busy)
        note_all(w, err_make(ERR_FENCED));
    w->grouper.busy = false;
}

struct asked {
    struct flow_offsets offsets;
    bool answered;
};

static void answered(struct flow_offsets *offsets)
{
    CONTAINER_OF(offsets, struct asked, offsets)->answered = true;
}

static bool is_answered(void *context)
{
    return ((const struct asked *)context)->answered;
}

static void check_offset(struct world *w, uint32_t group, const struct flow_group_offset *offset,
                         bool seen[MODEL_STATIC][MODEL_PARTITIONS])
{
    uint32_t t = world_topic(w, offset->topic_id);
    if (offset->offset % WORLD_GROUPS != group || offset->leader_epoch != (int32_t)group ||
        offset->offset > (w->grouper.used + 1) * WORLD_GROUPS)
        model_fail(&w->model, "group %u has the offset of another", group);
    if (t >= MODEL_STATIC) {
        MODEL_EXPECT(&w->model, w->model.topics[t] != MODEL_TOPIC_GONE);
        return;
    }
    struct world_offset *slot = &w->grouper.slots[group][t][offset->partition];
    bool good = slot->any || slot->known == offset->offset;
    for (uint32_t i = 0; i < slot->maybe_count; i++)
        good = good || slot->maybe[i] == offset->offset;
    if (!good)
        model_fail(&w->model, "group %u has offset %lld of topic %u partition %u, it was told %lld",
                   group, (long long)offset->offset, t, offset->partition, (long long)slot->known);
    MODEL_EXPECT(&w->model, !seen[t][offset->partition]);
    seen[t][offset->partition] = true;
    slot->known = offset->offset;
}

/* What is not there has to be what was said, too; from here on what is there is what is known. */
static void check_missing(struct world *w, uint32_t group,
                          bool seen[MODEL_STATIC][MODEL_PARTITIONS])
{
    for (uint32_t t = 0; t < MODEL_STATIC; t++) {
        for (uint32_t p = 0; p < MODEL_PARTITIONS; p++) {
            struct world_offset *slot = &w->grouper.slots[group][t][p];
            bool good = seen[t][p] || slot->any || slot->known < 0;
            for (uint32_t i = 0; i < slot->maybe_count; i++)
                good = good || slot->maybe[i] < 0;
            if (!good)
                model_fail(&w->model, "group %u has lost %lld of topic %u partition %u", group,
                           (long long)slot->known, t, p);
            slot->known = seen[t][p] ? slot->known : -1;
            slot->maybe_count = 0;
            slot->any = false;
        }
    }
}

void world_groups_check(struct world *w)
{
    static const char *const names[WORLD_GROUPS] = {"a", "b", "c"};
    for (uint32_t g = 0; g < WORLD_GROUPS; g++) {
        bool seen[MODEL_STATIC][MODEL_PARTITIONS] = {0};
        struct asked asked = {
            .offsets = {.home = w->loops[1], .done = answered, .group = slice_string(names[g])}};
        flow_log_offsets(log_flow(w->log), &asked.offsets);
        MODEL_EXPECT(&w->model, sim_run_until(w->sim, is_answered, &asked, STEPS_MAX));
        MODEL_EXPECT(&w->model, err_is_ok(asked.offsets.error));
        uint32_t count = asked.offsets.group_count > 0 ? asked.offsets.groups[0].offset_count : 0;
        for (uint32_t i = 0; i < count; i++)
            check_offset(w, g, &asked.offsets.groups[0].offsets[i], seen);
        check_missing(w, g, seen);
        flow_offsets_done(&asked.offsets);
    }
}
