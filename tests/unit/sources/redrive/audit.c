#include "unit/sources/redrive/world.h"

struct owner {
    struct redrive_audit audit;
    err_t err;
    bool written;
};

static void written(struct redrive_audit *audit, err_t err)
{
    struct owner *owner = audit->owner;
    owner->err = err;
    owner->written = true;
}

static void init(struct owner *owner, struct dead *d, const char *text)
{
    *owner = (struct owner){0};
    redrive_audit_init(&owner->audit, &d->redrive->options);
    owner->audit.owner = owner;
    owner->audit.done = written;
    buf_add_string(&owner->audit.text, text);
}

static uint64_t audited(const struct dead *d)
{
    const struct log_topic *topic =
        log_state_topic_named(&d->w.log->state, SLICE_LITERAL("_audit"));
    if (!topic)
        return 0;
    assert_int_equal(topic->received, topic->partitions[0].records);
    return topic->partitions[0].records;
}

static void the_first_record_makes_the_topic(void **state)
{
    (void)state;
    struct dead d;
    struct owner owner;
    dead_init(&d, 0);
    assert_int_equal(audited(&d), 0);
    init(&owner, &d, "{\"a\":1}");
    for (uint64_t i = 1; i <= 2; i++) {
        owner.written = false;
        redrive_audit_write(&owner.audit);
        assert_false(owner.written);
        world_until(&d.w, world_is_set, &owner.written);
        assert_code(owner.err, OK);
        assert_int_equal(audited(&d), i);
    }
    redrive_audit_done(&owner.audit);
    dead_done(&d);
}

static void two_at_once_make_one_topic(void **state)
{
    (void)state;
    struct dead d;
    struct owner one, two;
    dead_init(&d, 0);
    init(&one, &d, "{\"a\":1}");
    init(&two, &d, "{\"a\":2}");
    redrive_audit_write(&one.audit);
    redrive_audit_write(&two.audit);
    world_until(&d.w, world_is_set, &one.written);
    world_until(&d.w, world_is_set, &two.written);
    assert_code(one.err, OK);
    assert_code(two.err, OK);
    assert_int_equal(audited(&d), 2);
    redrive_audit_done(&one.audit);
    redrive_audit_done(&two.audit);
    dead_done(&d);
}

static void what_has_no_memory_is_told(void **state)
{
    (void)state;
    struct dead d;
    struct owner owner;
    dead_init(&d, 0);
    init(&owner, &d, "{}");
    owner.audit.text.failed = true;
    redrive_audit_write(&owner.audit);
    world_until(&d.w, world_is_set, &owner.written);
    assert_false(err_is_ok(owner.err));
    assert_int_equal(audited(&d), 0);
    redrive_audit_done(&owner.audit);
    dead_done(&d);
}

static void a_redrive_is_written_when_it_begins_and_when_it_ends(void **state)
{
    (void)state;
    struct dead d;
    dead_init(&d, 3);
    struct flow_letters_order order = {.action = FLOW_LETTERS_REDRIVE};
    (void)dead_run(&d, order);
    assert_int_equal(audited(&d), 2);
    order.dry_run = true;
    (void)dead_run(&d, order);
    assert_int_equal(audited(&d), 2);
    dead_done(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_record_makes_the_topic),
        cmocka_unit_test(two_at_once_make_one_topic),
        cmocka_unit_test(what_has_no_memory_is_told),
        cmocka_unit_test(a_redrive_is_written_when_it_begins_and_when_it_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
