#pragma once

/*
 * The reads of the fixture's log: answered with what its partitions hold, at once, when something
 * comes, or when the test lets them go. Part of unit/serve/kafka/fixture.h.
 */

static inline void fixture_read_home(struct task *task)
{
    struct flow_read *read = CONTAINER_OF(task, struct flow_read, task);
    read->done(read);
}

static inline void fixture_read_answer(struct fixture *f, struct flow_read *read, err_t error)
{
    list_remove(&read->link);
    read->error = error;
    read->task.run = fixture_read_home;
    f->reads_held++;
    io_post(read->home, &read->task);
}

static inline void fixture_read_batches(const struct fixture_partition *p, struct flow_read *read)
{
    size_t size = 0;
    for (uint32_t i = 0; i < p->batch_count && read->batch_count < FLOW_READ_BATCHES; i++) {
        if (p->ends[i] <= read->offset)
            continue;
        if (read->batch_count && size + p->batches[i].size > read->size_max)
            break;
        read->batches[read->batch_count++] = p->batches[i];
        read->next_offset = p->ends[i];
        size += p->batches[i].size;
    }
    if (read->batch_count)
        read->lease = &fixture_lease;
    read->lease_bytes = size;
}

static inline void fixture_read(struct flow_log *log, struct flow_read *read)
{
    struct fixture *f = fixture_of(log);
    if (f->hold_reads) {
        list_add_tail(&f->kept, &read->link);
        return;
    }
    assert_in_range(read->topic_id, 1, TOPICS);
    const struct fixture_partition *p = &f->partitions[read->topic_id - 1][read->partition];
    f->reads++;
    assert_true(f->reads < 10000);
    read->batch_count = 0;
    read->end_offset = p->end_offset;
    read->next_offset = read->offset;
    err_t error = p->read_error;
    if (f->deleted[read->topic_id - 1])
        error = err_make(ERR_NOT_FOUND);
    else if (read->offset < p->start_offset || read->offset > p->end_offset)
        error = err_make(ERR_OFFSET_RANGE);
    if (err_is_ok(error))
        fixture_read_batches(p, read);
    if (!err_is_ok(error) || read->batch_count || !read->wait)
        fixture_read_answer(f, read, error);
    else
        list_add_tail(&f->waiting, &read->link);
}

static inline void fixture_let_reads_go(struct fixture *f)
{
    f->hold_reads = false;
    for (struct list *link = list_pop(&f->kept); link; link = list_pop(&f->kept))
        fixture_read(&f->log, CONTAINER_OF(link, struct flow_read, link));
}

static inline void fixture_cancel(struct flow_log *log, struct flow_read *read)
{
    assert_false(read->cancelled);
    read->cancelled = true;
    if (list_linked(&read->link))
        fixture_read_answer(fixture_of(log), read, err_make(ERR_CANCELLED));
}

static inline void fixture_release(struct flow_log *log, struct flow_read *read)
{
    struct fixture *f = fixture_of(log);
    assert_true(f->reads_held > 0);
    f->reads_held--;
    read->batch_count = 0;
    read->lease = NULL;
}
