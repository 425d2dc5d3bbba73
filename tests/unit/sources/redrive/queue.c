#include "unit/sources/redrive/world.h"

/* A queue as its owner has it. */
struct owner {
    struct redrive_queue queue;
    err_t err;
    bool answered;
    uint32_t shown;
    uint32_t most; /* shown in one step */
};

static void answered(struct redrive_queue *queue, err_t err)
{
    struct owner *owner = queue->owner;
    owner->err = err;
    owner->answered = true;
}

static bool show(struct redrive_queue *queue, const struct flow_letter *letter)
{
    struct owner *owner = queue->owner;
    assert_true(letter->record->value.size > 0);
    return ++owner->shown < owner->most;
}

static void init(struct owner *owner, struct dead *d, const char *topic)
{
    *owner = (struct owner){.most = UINT32_MAX};
    assert_true(redrive_queue_init(&owner->queue, &d->redrive->options, slice_string(topic)));
    owner->queue.owner = owner;
    owner->queue.learned = answered;
    owner->queue.letter = show;
    owner->queue.stepped = answered;
}

static err_t learn(struct owner *owner, struct dead *d)
{
    owner->answered = false;
    redrive_queue_learn(&owner->queue);
    world_until(&d->w, world_is_set, &owner->answered);
    return owner->err;
}

static err_t step(struct owner *owner, struct dead *d)
{
    owner->answered = false;
    redrive_queue_step(&owner->queue, 1 << 20);
    world_until(&d->w, world_is_set, &owner->answered);
    return owner->err;
}

static void steps_show_each_letter_that_was_there(void **state)
{
    (void)state;
    struct dead d;
    struct owner owner;
    dead_init(&d, 30);
    init(&owner, &d, "flights");
    assert_code(learn(&owner, &d), OK);
    assert_int_equal(owner.queue.end, 31);
    /* What comes later is none of it. */
    dead_send(&d, "{broken too");
    owner.most = 10;
    assert_code(step(&owner, &d), OK);
    assert_int_equal(owner.queue.position, 10);
    owner.most = UINT32_MAX;
    while (owner.queue.position < owner.queue.end)
        assert_code(step(&owner, &d), OK);
    assert_int_equal(owner.shown, 31);
    assert_true(owner.queue.read_bytes > 0);
    redrive_queue_done(&owner.queue);
    dead_done(&d);
}

static void settled_letters_are_stepped_over(void **state)
{
    (void)state;
    struct dead d;
    struct owner owner;
    dead_init(&d, 30);
    struct flow_letters_order order = {.action = FLOW_LETTERS_PURGE, .limit = 12};
    (void)dead_run(&d, order);
    init(&owner, &d, "flights");
    assert_code(learn(&owner, &d), OK);
    assert_int_equal(owner.queue.position, 12);
    assert_int_equal(owner.queue.held, 19);
    assert_true(redrive_queue_settled(&owner.queue, 11));
    assert_false(redrive_queue_settled(&owner.queue, 12));
    order = (struct flow_letters_order){.action = FLOW_LETTERS_PURGE,
                                        .filter = {.reason = SLICE_LITERAL("json")}};
    (void)dead_run(&d, order);
    assert_code(learn(&owner, &d), OK);
    while (owner.queue.position < owner.queue.end)
        assert_code(step(&owner, &d), OK);
    assert_int_equal(owner.shown, 18);
    redrive_queue_done(&owner.queue);
    dead_done(&d);
}

static void a_start_that_moved_is_learned_again(void **state)
{
    (void)state;
    struct dead d;
    struct owner owner;
    struct asked asked;
    dead_init(&d, 30);
    init(&owner, &d, "flights");
    assert_code(learn(&owner, &d), OK);
    asked_init(&asked, &d.w);
    asked.topic =
        (struct flow_topic_change){.op = FLOW_TOPIC_LOG_START, .topic_id = 2, .start_offset = 20};
    asked.commit.topics = &asked.topic;
    asked.commit.topic_count = 1;
    assert_code(asked_commit(&asked), OK);
    assert_code(step(&owner, &d), OFFSET_RANGE);
    assert_code(learn(&owner, &d), OK);
    assert_int_equal(owner.queue.position, 20);
    assert_true(redrive_queue_settled(&owner.queue, 19));
    redrive_queue_done(&owner.queue);
    dead_done(&d);
}

static void a_topic_without_letters_is_not_found(void **state)
{
    (void)state;
    struct dead d;
    struct owner owner;
    dead_init(&d, 1);
    init(&owner, &d, "flights.dlq");
    assert_code(learn(&owner, &d), NOT_FOUND);
    redrive_queue_done(&owner.queue);
    dead_done(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_show_each_letter_that_was_there),
        cmocka_unit_test(settled_letters_are_stepped_over),
        cmocka_unit_test(a_start_that_moved_is_learned_again),
        cmocka_unit_test(a_topic_without_letters_is_not_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
