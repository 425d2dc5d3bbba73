#pragma once

/*
 * The part of the fixture's log that keeps offsets of consumer groups: the real table, with answers
 * that the test may hold back or have fail. Included by fixture.h, which has the struct.
 */

static inline void fixture_offsets_home(struct task *task)
{
    struct flow_offsets *offsets = CONTAINER_OF(task, struct flow_offsets, task);
    offsets->done(offsets);
}

static inline void fixture_offsets_answer(struct fixture *f, struct flow_offsets *offsets)
{
    f->offsets_held = NULL;
    offsets->error = err_make(f->offsets_error);
    if (err_is_ok(offsets->error))
        offsets->error = log_offsets_answer(&f->offsets, offsets);
    offsets->task.run = fixture_offsets_home;
    io_post(offsets->home, &offsets->task);
}

static inline void fixture_offsets(struct flow_log *log, struct flow_offsets *offsets)
{
    struct fixture *f = fixture_of(log);
    if (f->hold_offsets) {
        assert_null(f->offsets_held);
        f->offsets_held = offsets;
    } else {
        fixture_offsets_answer(f, offsets);
    }
}

static inline void fixture_commit_home(struct task *task)
{
    struct flow_commit *commit = CONTAINER_OF(task, struct flow_commit, task);
    commit->done(commit);
}

/* Of offsets alone. */
static inline void fixture_commit(struct flow_log *log, struct flow_commit *commit)
{
    struct fixture *f = fixture_of(log);
    f->commits++;
    commit->error = err_make(f->commit_error);
    assert_true(commit->offset_count > 0);
    for (uint32_t i = 0; err_is_ok(commit->error) && i < commit->offset_count; i++)
        commit->error = log_offsets_settle(&f->offsets, &commit->offsets[i]);
    commit->task.run = fixture_commit_home;
    io_post(commit->home, &commit->task);
}
