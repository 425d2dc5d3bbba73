#include "log/settled.h"

#include "base/alloc.h"
#include "base/assert.h"

/*
 * Letters are settled in the order of their offsets mostly, so that runs join behind the last one
 * and a queue that is redriven whole is one run. Filters leave pieces; their number is limited by
 * whoever checks a commit (FLOW_SETTLED_RUNS_MAX).
 */

#define CAPACITY_MIN 8u

void log_settled_done(struct log_settled *settled)
{
    ASSERT(settled->runs || settled->count == 0);
    mem_free(settled->runs);
    *settled = (struct log_settled){0};
}

/* Room is taken when a commit is composed, so that nothing can fail any more when its frame is
 * durable. */
err_t log_settled_reserve(struct log_settled *settled, uint32_t count)
{
    ASSERT(settled->count <= settled->capacity);
    uint32_t wanted = settled->count + count;
    if (wanted <= settled->capacity)
        return err_ok();
    uint32_t capacity = settled->capacity ? settled->capacity * 2 : CAPACITY_MIN;
    capacity = capacity < wanted ? wanted : capacity;
    struct flow_settled_run *grown = mem_realloc(settled->runs, capacity, sizeof *grown);
    if (!grown)
        return err_make(ERR_MEMORY);
    settled->runs = grown;
    settled->capacity = capacity;
    return err_ok();
}

bool log_settled_overlaps(const struct log_settled *settled, int64_t first, int64_t end)
{
    ASSERT(first < end);
    uint32_t at = flow_settled_place(settled->runs, settled->count, first);
    return at < settled->count && settled->runs[at].first_offset < end;
}

/* The room stays: what a filter has left in pieces is redriven later, and the runs that come
 * then need it again. */
static void take_out(struct log_settled *settled, uint32_t at, uint32_t count)
{
    ASSERT(at + count <= settled->count);
    if (count == 0)
        return;
    settled->count -= count;
    memmove(settled->runs + at, settled->runs + at + count,
            (settled->count - at) * sizeof *settled->runs);
}

err_t log_settled_add(struct log_settled *settled, const struct flow_settled_run *run)
{
    ASSERT(run);
    /* The run may be of a frame or a checkpoint read from a disk, which is believed no more than
     * any peer. A letter that is settled twice would count twice. */
    if (run->first_offset < 0 || run->first_offset >= run->end_offset || run->record_count == 0 ||
        run->record_count > (uint64_t)(run->end_offset - run->first_offset) ||
        log_settled_overlaps(settled, run->first_offset, run->end_offset))
        return err_make(ERR_CORRUPT);
    TRY(log_settled_reserve(settled, 1));
    uint32_t at = flow_settled_place(settled->runs, settled->count, run->first_offset);
    struct flow_settled_run *runs = settled->runs;
    bool before = at > 0 && runs[at - 1].end_offset == run->first_offset;
    bool behind = at < settled->count && runs[at].first_offset == run->end_offset;
    settled->records += run->record_count;
    if (before) {
        runs[at - 1].end_offset = run->end_offset;
        runs[at - 1].record_count += run->record_count;
        if (behind) {
            runs[at - 1].end_offset = runs[at].end_offset;
            runs[at - 1].record_count += runs[at].record_count;
            take_out(settled, at, 1);
        }
    } else if (behind) {
        runs[at].first_offset = run->first_offset;
        runs[at].record_count += run->record_count;
    } else {
        memmove(runs + at + 1, runs + at, (settled->count - at) * sizeof *runs);
        runs[at] = *run;
        settled->count++;
    }
    return err_ok();
}

/* `inside` offsets of a run, as records: no more than there are. */
static uint64_t part(const struct flow_settled_run *run, int64_t inside)
{
    ASSERT(inside >= 0);
    return (uint64_t)inside < run->record_count ? (uint64_t)inside : run->record_count;
}

/* The range lies within the run, with something on both sides. */
static uint64_t cut_in_two(struct log_settled *settled, uint32_t at, int64_t first, int64_t end)
{
    struct flow_settled_run *run = &settled->runs[at];
    ASSERT(run->first_offset < first && end < run->end_offset);
    uint64_t before = part(run, first - run->first_offset);
    struct flow_settled_run rest = {.first_offset = end, .end_offset = run->end_offset};
    uint64_t left = run->record_count - before;
    uint64_t gone = (uint64_t)(end - first) < left ? (uint64_t)(end - first) : left;
    rest.record_count = left - gone;
    run->end_offset = first;
    run->record_count = before;
    /* Nothing of it can fail for want of room but this, and then too much is taken out. */
    if (rest.record_count > 0 && err_is_ok(log_settled_reserve(settled, 1))) {
        memmove(settled->runs + at + 2, settled->runs + at + 1,
                (settled->count - at - 1) * sizeof rest);
        settled->runs[at + 1] = rest;
        settled->count++;
        return gone;
    }
    return left;
}

/* Letters that a repair has written off were somewhere inside of runs. Which of a run's offsets
 * were holes is not known: what is counted out is never more than there are offsets. */
uint64_t log_settled_remove(struct log_settled *settled, int64_t first, int64_t end)
{
    ASSERT(first <= end);
    uint64_t gone = 0;
    uint32_t at = flow_settled_place(settled->runs, settled->count, first);
    if (at < settled->count && settled->runs[at].first_offset < first &&
        settled->runs[at].end_offset > end) {
        gone = cut_in_two(settled, at, first, end);
    } else {
        if (at < settled->count && settled->runs[at].first_offset < first) {
            struct flow_settled_run *run = &settled->runs[at++];
            uint64_t kept = part(run, first - run->first_offset);
            gone += run->record_count - kept;
            run->record_count = kept;
            run->end_offset = first;
        }
        uint32_t whole = at;
        while (whole < settled->count && settled->runs[whole].end_offset <= end)
            gone += settled->runs[whole++].record_count;
        take_out(settled, at, whole - at);
        if (at < settled->count && settled->runs[at].first_offset < end) {
            struct flow_settled_run *run = &settled->runs[at];
            uint64_t cut = part(run, end - run->first_offset);
            gone += cut;
            run->record_count -= cut;
            run->first_offset = end;
            /* Holes alone are nothing that is settled. */
            if (run->record_count == 0)
                take_out(settled, at, 1);
        }
    }
    ASSERT(settled->records >= gone);
    settled->records -= gone;
    return gone;
}

/* A start that moves over settled letters frees their room; it stops in front of the first that
 * is held. */
int64_t log_settled_end(const struct log_settled *settled, int64_t offset)
{
    uint32_t at = flow_settled_place(settled->runs, settled->count, offset);
    ASSERT(at <= settled->count);
    bool inside = at < settled->count && settled->runs[at].first_offset <= offset;
    return inside ? settled->runs[at].end_offset : offset;
}
