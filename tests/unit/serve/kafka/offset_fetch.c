#include "unit/serve/kafka/groups.h"

typedef struct proto_kafka_offset_fetch_response response_t;
typedef struct proto_kafka_offset_fetch_response_group group_t;

/* A request in the shape of its version: one group, of topics with partitions 0 and 1, or all. */
struct ask {
    struct proto_kafka_offset_fetch_request request;
    struct proto_kafka_offset_fetch_request_topic topics[2];
    struct proto_kafka_offset_fetch_request_group_topic group_topics[2];
    struct proto_kafka_offset_fetch_request_group groups[3];
    int32_t partitions[2];
};

static void ask_init(struct ask *ask, const char *group, const char *topic, const char *second)
{
    *ask = (struct ask){.partitions = {0, 1}};
    const char *names[] = {topic, second};
    uint32_t count = (topic ? 1u : 0u) + (second ? 1u : 0u);
    for (uint32_t i = 0; i < count; i++) {
        ask->topics[i].name = ask->group_topics[i].name = slice_string(names[i]);
        ask->topics[i].partition_indexes.items = ask->partitions;
        ask->topics[i].partition_indexes.count = 2;
        ask->group_topics[i].partition_indexes.items = ask->partitions;
        ask->group_topics[i].partition_indexes.count = 2;
    }
    ask->request.group_id = ask->groups[0].group_id = slice_string(group);
    ask->groups[0].member_epoch = -1;
    if (topic) {
        ask->request.topics.items = ask->topics;
        ask->groups[0].topics.items = ask->group_topics;
    }
    ask->request.topics.count = ask->groups[0].topics.count = count;
    ask->request.groups.items = ask->groups;
    ask->request.groups.count = 1;
}

static struct fixture *with_offsets(void)
{
    struct fixture *f = groups_open();
    assert_int_equal(groups_commit(f, 7, "g", NULL, "cars", 1, 11), 0);
    assert_int_equal(groups_commit(f, 7, "g", NULL, "planes", 0, 20), 0);
    assert_int_equal(groups_commit(f, 7, "h", NULL, "cars", 0, 30), 0);
    return f;
}

static void assert_partition(const response_t *response, int16_t version, uint32_t topic,
                             uint32_t partition, int64_t offset)
{
    bool there = offset >= 0;
    if (version < 8) {
        const struct proto_kafka_offset_fetch_response_partition *p =
            &response->topics.items[topic].partitions.items[partition];
        assert_int_equal(p->committed_offset, offset);
        assert_int_equal(p->committed_leader_epoch, there && version >= 5 ? 3 : -1);
        assert_slice(p->metadata, there ? "said" : "");
        assert_int_equal(p->error_code, 0);
        return;
    }
    const struct proto_kafka_offset_fetch_response_group_partition *p =
        &response->groups.items[0].topics.items[topic].partitions.items[partition];
    assert_int_equal(p->committed_offset, offset);
    assert_int_equal(p->committed_leader_epoch, there ? 3 : -1);
    assert_slice(p->metadata, there ? "said" : "");
    assert_int_equal(p->error_code, 0);
}

static void what_was_committed_is_told_in_every_version(void **state)
{
    (void)state;
    struct fixture *f = with_offsets();
    struct ask ask;
    ask_init(&ask, "g", "cars", "none");
    for (int16_t version = 1; version <= 9; version++) {
        const response_t *response =
            fixture_ask(f, PROTO_KAFKA_OFFSET_FETCH, version, &ask.request);
        assert_int_equal(response->error_code, 0);
        assert_partition(response, version, 0, 0, -1);
        assert_partition(response, version, 0, 1, 11);
        /* Of a topic that is not there there is no offset, as of any other. */
        assert_partition(response, version, 1, 0, -1);
    }
    fixture_free(f);
}

static void a_group_without_offsets_has_none(void **state)
{
    (void)state;
    struct fixture *f = with_offsets();
    struct ask ask;
    ask_init(&ask, "nobody", "cars", NULL);
    for (int16_t version = 1; version <= 9; version++) {
        const response_t *response =
            fixture_ask(f, PROTO_KAFKA_OFFSET_FETCH, version, &ask.request);
        assert_partition(response, version, 0, 1, -1);
    }
    fixture_free(f);
}

static void without_topics_all_are_told(void **state)
{
    (void)state;
    struct fixture *f = with_offsets();
    struct ask ask;
    ask_init(&ask, "g", NULL, NULL);
    for (int16_t version = 2; version <= 9; version++) {
        const response_t *response =
            fixture_ask(f, PROTO_KAFKA_OFFSET_FETCH, version, &ask.request);
        uint32_t count =
            version < 8 ? response->topics.count : response->groups.items[0].topics.count;
        assert_int_equal(count, 2);
        assert_slice(version < 8 ? response->topics.items[0].name
                                 : response->groups.items[0].topics.items[0].name,
                     "cars");
        assert_partition(response, version, 0, 0, 11);
        assert_partition(response, version, 1, 0, 20);
    }
    /* Those of a topic that is deleted are not, though the log may still have them. */
    f->deleted[0] = true;
    const response_t *response = fixture_ask(f, PROTO_KAFKA_OFFSET_FETCH, 8, &ask.request);
    assert_int_equal(response->groups.items[0].topics.count, 1);
    assert_slice(response->groups.items[0].topics.items[0].name, "planes");
    assert_partition(response, 8, 0, 0, 20);
    fixture_free(f);
}

static void many_partitions_are_told_each_with_its_own(void **state)
{
    (void)state;
    struct fixture *f = groups_open();
    for (uint32_t topic = 2; topic >= 1; topic--) {
        for (uint32_t partition = 500; partition > 0; partition--) {
            struct flow_offset change = {.group = SLICE_LITERAL("g"),
                                         .topic_id = topic,
                                         .partition = partition * 7 % 501,
                                         .offset = topic * 1000 + partition * 7 % 501};
            assert_true(err_is_ok(log_offsets_settle(&f->offsets, &change)));
        }
    }
    struct ask ask;
    ask_init(&ask, "g", NULL, NULL);
    const response_t *response = fixture_ask(f, PROTO_KAFKA_OFFSET_FETCH, 9, &ask.request);
    const group_t *group = &response->groups.items[0];
    assert_int_equal(group->topics.count, 2);
    for (uint32_t t = 0; t < 2; t++) {
        assert_slice(group->topics.items[t].name, fixture_names[t]);
        assert_int_equal(group->topics.items[t].partitions.count, 500);
        for (uint32_t p = 0; p < 500; p++) {
            assert_int_equal(group->topics.items[t].partitions.items[p].partition_index, p + 1);
            assert_int_equal(group->topics.items[t].partitions.items[p].committed_offset,
                             (t + 1) * 1000 + p + 1);
        }
    }
    fixture_free(f);
}

static void several_groups_are_told_at_once(void **state)
{
    (void)state;
    struct fixture *f = with_offsets();
    struct ask ask;
    char name[FLOW_GROUP_NAME_MAX + 1];
    memset(name, 'x', sizeof name);
    ask_init(&ask, "g", "cars", NULL);
    ask.groups[1] = ask.groups[2] = ask.groups[0];
    ask.groups[1].group_id = slice_make(name, sizeof name);
    ask.groups[2].group_id = SLICE_LITERAL("h");
    ask.request.groups.count = 3;
    const response_t *response = fixture_ask(f, PROTO_KAFKA_OFFSET_FETCH, 8, &ask.request);
    assert_int_equal(response->groups.count, 3);
    assert_partition(response, 8, 0, 1, 11);
    assert_int_equal(response->groups.items[1].error_code, SERVE_KAFKA_INVALID_GROUP_ID);
    assert_slice(response->groups.items[2].group_id, "h");
    assert_int_equal(response->groups.items[2].topics.items[0].partitions.items[0].committed_offset,
                     30);
    ask.request.groups.count = 0;
    response = fixture_ask(f, PROTO_KAFKA_OFFSET_FETCH, 8, &ask.request);
    assert_int_equal(response->groups.count, 0);
    fixture_free(f);
}

static void a_log_that_cannot_say_it_is_not_a_group_without_offsets(void **state)
{
    (void)state;
    struct fixture *f = with_offsets();
    struct ask ask;
    ask_init(&ask, "g", "cars", NULL);
    f->offsets_error = ERR_MEMORY;
    const response_t *response = fixture_ask(f, PROTO_KAFKA_OFFSET_FETCH, 5, &ask.request);
    assert_int_equal(response->error_code, SERVE_KAFKA_COORDINATOR_NOT_AVAILABLE);
    assert_int_equal(response->topics.count, 0);
    response = fixture_ask(f, PROTO_KAFKA_OFFSET_FETCH, 8, &ask.request);
    assert_int_equal(response->groups.items[0].error_code, SERVE_KAFKA_COORDINATOR_NOT_AVAILABLE);
    fixture_free(f);
}

static void a_name_that_no_group_can_have_is_told_as_such(void **state)
{
    (void)state;
    struct fixture *f = with_offsets();
    char name[FLOW_GROUP_NAME_MAX + 1];
    memset(name, 'x', sizeof name);
    const struct slice names[] = {SLICE_LITERAL(""), slice_make(name, sizeof name),
                                  SLICE_LITERAL("\xff"), slice_make("g\0", 2)};
    struct ask ask;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        ask_init(&ask, "g", "cars", NULL);
        ask.request.group_id = ask.groups[0].group_id = names[i];
        const response_t *response = fixture_ask(f, PROTO_KAFKA_OFFSET_FETCH, 5, &ask.request);
        assert_int_equal(response->error_code, SERVE_KAFKA_INVALID_GROUP_ID);
        response = fixture_ask(f, PROTO_KAFKA_OFFSET_FETCH, 8, &ask.request);
        assert_int_equal(response->groups.items[0].error_code, SERVE_KAFKA_INVALID_GROUP_ID);
    }
    fixture_free(f);
}

static void topics_that_cannot_be_asked_for_are_not_without_offsets(void **state)
{
    (void)state;
    struct fixture *f = with_offsets();
    struct ask ask;
    ask_init(&ask, "g", "cars", NULL);
    f->snapshot_error = ERR_MEMORY;
    const response_t *response = fixture_ask(f, PROTO_KAFKA_OFFSET_FETCH, 5, &ask.request);
    assert_int_equal(response->error_code, SERVE_KAFKA_COORDINATOR_NOT_AVAILABLE);
    f->snapshot_error = ERR_OK;
    response = fixture_ask(f, PROTO_KAFKA_OFFSET_FETCH, 5, &ask.request);
    assert_partition(response, 5, 0, 1, 11);
    fixture_free(f);
}

static void partitions_that_cannot_be_have_no_offset(void **state)
{
    (void)state;
    struct fixture *f = with_offsets();
    struct ask ask;
    ask_init(&ask, "g", "cars", NULL);
    ask.partitions[0] = -1;
    ask.partitions[1] = INT32_MAX;
    const response_t *response = fixture_ask(f, PROTO_KAFKA_OFFSET_FETCH, 3, &ask.request);
    assert_partition(response, 3, 0, 0, -1);
    assert_partition(response, 3, 0, 1, -1);
    fixture_free(f);
}

/* Never an answer that says less than is there, without saying so. */
static void assert_told(struct fixture *f, void *answer)
{
    const response_t *response = answer;
    assert_true(f->kafka->coordinator->loaded);
    if (response->error_code == 0)
        assert_partition(response, 5, 0, 1, 11);
    else
        assert_int_equal(response->error_code, SERVE_KAFKA_COORDINATOR_NOT_AVAILABLE);
}

static void each_allocation_may_fail(void **state)
{
    (void)state;
    struct ask ask;
    ask_init(&ask, "g", "cars", NULL);
    fixture_each_allocation(with_offsets, PROTO_KAFKA_OFFSET_FETCH, 5, &ask.request, assert_told);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_committed_is_told_in_every_version),
        cmocka_unit_test(a_group_without_offsets_has_none),
        cmocka_unit_test(without_topics_all_are_told),
        cmocka_unit_test(many_partitions_are_told_each_with_its_own),
        cmocka_unit_test(several_groups_are_told_at_once),
        cmocka_unit_test(a_log_that_cannot_say_it_is_not_a_group_without_offsets),
        cmocka_unit_test(a_name_that_no_group_can_have_is_told_as_such),
        cmocka_unit_test(topics_that_cannot_be_asked_for_are_not_without_offsets),
        cmocka_unit_test(partitions_that_cannot_be_have_no_offset),
        cmocka_unit_test(each_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
