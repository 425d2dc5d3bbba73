#include "log/checkpoint.h"

#include "base/alloc.h"
#include "base/hash.h"
#include "unit/flow/hollow.h"
#include "unit/log/checkpoint.h"

#define HEADER_SIZE 40u
/* What stands behind the requests, where no topic is open. */
#define OPEN_NONE 4u
/* Behind those, of producers and of groups, when there are none. */
#define SEQUENCES_SIZE 24u
#define OFFSETS_NONE 4u
/* All that version 4 has and the ones before lack, when there is none. */
#define VERSION_4_NONE (OPEN_NONE + SEQUENCES_SIZE + OFFSETS_NONE)
#define AT_STATE (HEADER_SIZE + LOG_FRAME_HEADER_SIZE + 16u)

/* The sums as if the bytes had been written so. */
static void fix_sums(struct buf *bytes)
{
    put_u64le(bytes->data + 8, bytes->size - HEADER_SIZE);
    put_u32le(bytes->data + 32, crc32c(0, bytes->data + HEADER_SIZE, bytes->size - HEADER_SIZE));
    put_u32le(bytes->data + 36, crc32c(0, bytes->data, 36));
}

/* A checkpoint, and what is read of it. */
struct fixture {
    struct held held;
    struct log_state read;
    struct log_checkpoint checkpoint;
};

static int set_up(void **state)
{
    struct fixture *f = *state = calloc(1, sizeof(*f));
    build(&f->held);
    log_state_init(&f->read, 7);
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    log_state_done(&f->read);
    done(&f->held);
    free(f);
    return 0;
}

static void encode(struct held *held)
{
    log_checkpoint_encode(&held->checkpoint, &held->state, &held->bytes);
}

static void read_back(struct fixture *f)
{
    assert_code(log_checkpoint_decode(buf_slice(&f->held.bytes), &f->checkpoint, &f->read), OK);
}

/* What was read is written as the same bytes. */
static void assert_same_again(const struct fixture *f)
{
    struct buf again = {0};
    log_checkpoint_encode(&f->checkpoint, &f->read, &again);
    assert_int_equal(again.size, f->held.bytes.size);
    assert_memory_equal(again.data, f->held.bytes.data, again.size);
    buf_done(&again);
}

/* What becomes of the bytes with sums that fit. */
#define assert_resummed(f, expected)                                                               \
    do {                                                                                           \
        fix_sums(&(f)->held.bytes);                                                                \
        assert_code(decode(buf_slice(&(f)->held.bytes)), expected);                                \
    } while (0)

static void the_header_has_its_bytes_at_fixed_offsets(void **state)
{
    struct fixture *f = *state;
    const uint8_t *b = f->held.bytes.data;
    assert_memory_equal(b, "GCKP", 4);
    assert_int_equal(get_u32le(b + 4), 4);
    assert_int_equal(get_u64le(b + 8), f->held.bytes.size - HEADER_SIZE);
    assert_memory_equal(b + 16, f->held.checkpoint.uuid.bytes, 16);
    assert_int_equal(get_u32le(b + 32),
                     crc32c(0, b + HEADER_SIZE, f->held.bytes.size - HEADER_SIZE));
    assert_int_equal(get_u32le(b + 36), crc32c(0, b, 36));
    assert_memory_equal(b + HEADER_SIZE, "GWAL", 4);
    assert_int_equal(get_u64le(b + HEADER_SIZE + LOG_FRAME_HEADER_SIZE), 1);
    assert_int_equal(get_u32le(b + AT_STATE), 3);
}

static void assert_same_partition(const struct log_partition *a, const struct log_partition *b)
{
    assert_int_equal(a->start_offset, b->start_offset);
    assert_int_equal(a->end_offset, b->end_offset);
    assert_int_equal(b->next_offset, b->end_offset);
    assert_int_equal(a->records, b->records);
    assert_int_equal(a->records_start, b->records_start);
    assert_int_equal(a->sealed_bytes, b->sealed_bytes);
    assert_int_equal(a->wal_bytes, b->wal_bytes);
    assert_int_equal(a->segment_count, b->segment_count);
    assert_int_equal(a->index_count, b->index_count);
    for (size_t i = 0; i < a->index_count; i++)
        assert_memory_equal(&a->index[i], &b->index[i], sizeof a->index[i]);
}

static void what_is_decoded_is_the_state_that_was(void **state)
{
    struct fixture *f = *state;
    read_back(f);
    assert_int_equal(f->checkpoint.last.lsn, 9);
    assert_int_equal(f->checkpoint.sealed_file, 1);
    assert_false(f->checkpoint.clean);
    assert_true(uuid_equal(&f->checkpoint.uuid, &f->held.checkpoint.uuid));
    for (uint32_t p = 0; p < 3; p++)
        assert_same_partition(log_state_partition(&f->held.state, 1, p),
                              log_state_partition(&f->read, 1, p));
    const struct log_topic *topic = log_state_topic_named(&f->read, slice_string("flights"));
    assert_int_equal(topic->config.codec, FLOW_CODEC_ZSTD);
    assert_int_equal(topic->config.retention_bytes, UINT64_C(5) << 32);
    assert_true(topic->config.expire_undelivered);
    assert_int_equal(topic->received, 100);
    assert_int_equal(topic->dead_lettered, 4);
    assert_null(log_state_topic_named(&f->read, slice_string("old")));
    assert_null(log_state_topic(&f->read, 3));
    const struct log_sink *lake = log_state_sink_named(&f->read, slice_string("lake"));
    assert_true(lake->open && lake->prepared);
    assert_int_equal(lake->range_count, 2);
    assert_int_equal(lake->cursors[0].offset, 12);
    assert_int_equal(lake->cursors[0].records, 12);
    assert_true(lake->cursors[0].active && !lake->cursors[0].at_least);
    assert_true(lake->cursors[1].active && lake->cursors[1].at_least);
    assert_memory_equal(lake->outputs.data, "two files", 9);
    assert_false(log_state_sink(&f->read, 2)->open);
    /* The segment that expired, and the deleted topic's all. */
    assert_int_equal(f->read.doomed_count, 2);
    assert_int_equal(f->read.doomed[0].base_offset, -1);
    assert_int_equal(f->read.doomed[1].base_offset, 0);
}

/* A sink that has refused two records of the first partition, and is given one of them again. */
static void redrive(struct log_state *state)
{
    static const uint32_t ids[] = {1};
    struct payload p = {0};
    struct flow_sink_range range = {1, 0, 10, 12, 0, 2};
    struct flow_sink_range letters = {2, 0, 5, 6, 1, 0};
    payload_sink_open(&p, 3, "base", ids, 1);
    payload_sink_prepare(&p, 3, 1, &range, 1, "");
    payload_batch_of(&p, FLOW_APPEND_SINK_LETTERS, 2, 0, 4, 2);
    payload_sink_commit(&p, 3, 1);
    payload_sink_redrive(&p, 3, 2, &letters, 1);
    apply(state, &p, 2);
}

static void letters_on_their_way_to_a_sink_go_on_after_a_start(void **state)
{
    struct fixture *f = *state;
    redrive(&f->held.state);
    buf_reset(&f->held.bytes);
    encode(&f->held);
    read_back(f);
    const struct log_sink *base = log_state_sink(&f->read, 3);
    assert_true(base->prepared && base->redrives);
    assert_false(log_state_sink(&f->read, 1)->redrives);
    assert_true(log_state_held(&f->read, 2, 0, 6));
    struct payload p = {0};
    payload_sink_commit(&p, 3, 2);
    apply(&f->read, &p, 2);
    assert_int_equal(base->delivered, 1);
    assert_int_equal(base->dead_lettered, 1);
    assert_int_equal(log_state_topic(&f->read, 2)->letters.redriven, 1);
}

static void letters_that_cannot_be_redriven_are_damage(void **state)
{
    (void)state;
    static const struct flow_sink_range wrong[] = {
        {2, 0, 5, 7, 2, 0}, /* past the end */
        {2, 0, 3, 6, 3, 0}, /* more than the sink has refused */
        {2, 1, 5, 6, 1, 0}, /* no such partition */
        {1, 0, 12, 13, 1, 0},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct held held;
        build(&held);
        redrive(&held.state);
        log_state_sink(&held.state, 3)->ranges[0] = wrong[i];
        buf_reset(&held.bytes);
        encode(&held);
        assert_code(decode(buf_slice(&held.bytes)), CORRUPT);
        done(&held);
    }
}

static void what_is_encoded_again_is_the_same_bytes(void **state)
{
    struct fixture *f = *state;
    f->held.checkpoint.clean = true;
    encode(&f->held);
    read_back(f);
    assert_true(f->checkpoint.clean);
    assert_same_again(f);
}

static void a_decoded_state_goes_on_as_the_one_that_was(void **state)
{
    struct fixture *f = *state;
    struct buf one = {0}, two = {0};
    read_back(f);
    struct payload p = {0};
    payload_batch(&p, 1, 0, 25, 4);
    payload_sink_commit(&p, 1, 2);
    payload_topic(&p, 4, "old", 1, 0);
    put_topic(&p, (struct flow_topic_change){
                      .op = FLOW_TOPIC_LOG_START, .topic_id = 1, .start_offset = 29});
    apply(&f->held.state, &p, 2);
    apply(&f->read, &p, 2);
    assert_int_equal(log_state_sink(&f->read, 1)->expired, 4);
    log_checkpoint_encode(&f->checkpoint, &f->held.state, &one);
    log_checkpoint_encode(&f->checkpoint, &f->read, &two);
    assert_int_equal(one.size, two.size);
    assert_memory_equal(one.data, two.data, one.size);
    buf_done(&one);
    buf_done(&two);
}

static void settle_some(struct held *held)
{
    struct payload p = {0};
    payload_settle(&p, FLOW_SETTLE_REDRIVEN, 2, 1, 2);
    payload_settle(&p, FLOW_SETTLE_PURGED, 2, 3, 4);
    apply(&held->state, &p, 2);
    encode(held);
}

static void settled_letters_are_a_part_of_it(void **state)
{
    struct fixture *f = *state;
    settle_some(&f->held);
    read_back(f);
    const struct log_topic *dlq = log_state_topic(&f->read, 2);
    assert_int_equal(dlq->letters.redriven, 1);
    assert_int_equal(dlq->letters.purged, 1);
    assert_int_equal(dlq->partitions[0].settled.count, 2);
    assert_int_equal(dlq->partitions[0].settled.records, 2);
    assert_int_equal(dlq->partitions[0].settled.runs[1].first_offset, 3);
    assert_same_again(f);
}

/* Where nothing is said of letters, what the start has passed had expired. */
static void without_settled_letters_what_is_gone_expired(void **state)
{
    struct fixture *f = *state;
    struct payload p = {0};
    put_topic(&p, (struct flow_topic_change){
                      .op = FLOW_TOPIC_LOG_START, .topic_id = 2, .start_offset = 3});
    apply(&f->held.state, &p, 2);
    encode(&f->held);
    read_back(f);
    assert_int_equal(log_state_topic(&f->read, 2)->letters.expired, 3);
}

static void settled_letters_that_contradict_the_queue_are_corrupt(void **state)
{
    struct fixture *f = *state;
    settle_some(&f->held);
    /* The list ends with two runs of 24 bytes each: first, end, records. Behind it are two that are
     * empty. */
    size_t runs = f->held.bytes.size - VERSION_4_NONE - 4 - 48;
    static const struct {
        size_t at;
        uint64_t value;
    } wrong[] = {{0, 2},  {0, UINT64_MAX}, {8, 5},  {8, 3},          {16, 0},
                 {16, 2}, {24, 1},         {32, 5}, {32, UINT64_MAX}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        uint8_t *at = f->held.bytes.data + runs + wrong[i].at;
        uint64_t good = get_u64le(at);
        put_u64le(at, wrong[i].value);
        assert_resummed(f, CORRUPT);
        put_u64le(at, good);
    }
    assert_resummed(f, OK);
    /* Of a topic that is no queue; version 1 with a list. */
    size_t list = runs - 8 - 40;
    put_u32le(f->held.bytes.data + list, 1);
    assert_resummed(f, CORRUPT);
    put_u32le(f->held.bytes.data + list, 2);
    put_u32le(f->held.bytes.data + 4, 1);
    assert_resummed(f, CORRUPT);
}

static void put_request(struct payload *p, const struct flow_request *request)
{
    p->size += log_entry_put_request(p->bytes + p->size, request);
}

static void send_some(struct held *held)
{
    struct payload p = {0};
    put_request(&p,
                &(struct flow_request){
                    .kind = FLOW_REQUEST_NUMBERED, .topic_id = 1, .id = {1, 2}, .sequence = 77});
    put_request(&p, &(struct flow_request){.kind = FLOW_REQUEST_KEYED,
                                           .topic_id = 1,
                                           .id = {3, 4},
                                           .body = {5, 6},
                                           .duplicates = 2,
                                           .answer = SLICE_LITERAL("told")});
    put_request(&p, &(struct flow_request){.kind = FLOW_REQUEST_NUMBERED, .topic_id = 2});
    apply(&held->state, &p, 2);
    encode(held);
}

static void requests_that_count_once_are_a_part_of_it(void **state)
{
    struct fixture *f = *state;
    send_some(&f->held);
    read_back(f);
    const struct log_requests *requests = log_state_topic(&f->read, 1)->requests;
    assert_int_equal(requests->producers.count, 1);
    assert_int_equal(requests->answers.count, 1);
    assert_int_equal(log_state_topic(&f->read, 2)->requests->producers.count, 1);
    assert_same_again(f);
    /* Of topics that fall, of none, and of a version that has no such list. */
    size_t second = f->held.bytes.size - VERSION_4_NONE - 44;
    static const uint32_t wrong[] = {1, 0, 9};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        put_u32le(f->held.bytes.data + second, wrong[i]);
        assert_resummed(f, CORRUPT);
    }
    put_u32le(f->held.bytes.data + second, 2);
    assert_resummed(f, OK);
    put_u32le(f->held.bytes.data + 4, 2);
    assert_resummed(f, CORRUPT);
}

static void a_version_without_requests_is_read(void **state)
{
    struct fixture *f = *state;
    f->held.bytes.size -= VERSION_4_NONE + 4;
    put_u32le(f->held.bytes.data + 4, 2);
    assert_resummed(f, OK);
}

static void open_topics_are_a_part_of_it(void **state)
{
    struct fixture *f = *state;
    struct payload p = {0};
    static const struct flow_topic_config config = {.retention_ms = 60000,
                                                    .retention_bytes = 77,
                                                    .codec = FLOW_CODEC_LZ4,
                                                    .open = true,
                                                    .given = FLOW_TOPIC_RETENTION_BYTES,
                                                    .batch_bytes_max = 999};
    for (uint32_t id = 4; id < 7; id++)
        put_topic(&p, (struct flow_topic_change){.op = FLOW_TOPIC_CREATE,
                                                 .topic_id = id,
                                                 .name = slice_make(&"456"[id - 4], 1),
                                                 .partition_count = 2,
                                                 .config = config});
    put_topic(&p, (struct flow_topic_change){.op = FLOW_TOPIC_DELETE, .topic_id = 5});
    apply(&f->held.state, &p, 2);
    encode(&f->held);
    read_back(f);
    assert_memory_equal(&log_state_topic(&f->read, 6)->config, &config, sizeof config);
    assert_false(log_state_topic(&f->read, 1)->config.open);
    assert_same_again(f);
    /* Of two topics 12 bytes each: one that is deleted, was there before, is none or a contract's
     * that keeps otherwise; given what there is not. */
    size_t second = f->held.bytes.size - OFFSETS_NONE - SEQUENCES_SIZE - 12;
    static const uint32_t wrong[][2] = {{0, 5}, {0, 4}, {0, 0}, {0, 9}, {8, 16}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        uint8_t *at = f->held.bytes.data + second + wrong[i][0];
        uint32_t good = get_u32le(at);
        put_u32le(at, wrong[i][1]);
        assert_resummed(f, CORRUPT);
        put_u32le(at, good);
    }
    put_u32le(f->held.bytes.data + second - 12, 1);
    assert_resummed(f, CORRUPT);
}

static void producers_are_a_part_of_it(void **state)
{
    struct fixture *f = *state;
    struct payload p = {0};
    put_request(&p, &(struct flow_request){
                        .kind = FLOW_REQUEST_SEQUENCED,
                        .topic_id = 1,
                        .base_offset = 7,
                        .batch = {.producer_id = 5, .partition = 2, .first = 9, .count = 3}});
    p.size += log_entry_put_producer_id(p.bytes + p.size, 77);
    apply(&f->held.state, &p, 2);
    encode(&f->held);
    read_back(f);
    assert_int_equal(f->read.sequences.used_count, 1);
    assert_int_equal(f->read.sequences.next_id, 78);
    assert_same_again(f);
    /* Of a partition that is not there, and of a version that has no such list. */
    uint8_t *pair = f->held.bytes.data + f->held.bytes.size - OFFSETS_NONE - 40 - 16;
    put_u32le(pair + 4, 3);
    assert_resummed(f, CORRUPT);
    put_u32le(pair + 4, 2);
    assert_resummed(f, OK);
    put_u32le(f->held.bytes.data + 4, 3);
    assert_resummed(f, CORRUPT);
}

static void put_offset(struct payload *p, const char *group, uint32_t partition, int64_t offset)
{
    struct flow_offset change = {.group = slice_string(group),
                                 .topic_id = 1,
                                 .partition = partition,
                                 .offset = offset,
                                 .leader_epoch = -1,
                                 .metadata = SLICE_LITERAL("m")};
    p->size += log_entry_put_offset(p->bytes + p->size, &change);
}

static void offsets_of_groups_are_a_part_of_it(void **state)
{
    struct fixture *f = *state;
    struct payload p = {0};
    put_offset(&p, "a", 0, 3);
    put_offset(&p, "a", 2, 4);
    put_offset(&p, "b", 0, 5);
    apply(&f->held.state, &p, 2);
    encode(&f->held);
    read_back(f);
    assert_int_equal(f->read.offsets.count, 3);
    assert_int_equal(f->read.offsets.group_count, 2);
    assert_same_again(f);
    /* The last one: topic, partition, offset, ... Of no topic, one that is not there, no partition
     * of it, before the beginning. */
    size_t last = f->held.bytes.size - 25;
    static const struct {
        size_t at;
        uint32_t value;
    } wrong[] = {{0, 0}, {0, 9}, {4, 3}, {12, UINT32_MAX}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        uint8_t *at = f->held.bytes.data + last + wrong[i].at;
        uint32_t good = get_u32le(at);
        put_u32le(at, wrong[i].value);
        assert_resummed(f, CORRUPT);
        put_u32le(at, good);
    }
    /* A group that is there twice. */
    f->held.bytes.data[last - 1] = 'a';
    assert_resummed(f, CORRUPT);
    f->held.bytes.data[last - 1] = 'b';
    assert_resummed(f, OK);
}

static void a_version_without_open_topics_producers_and_offsets_is_read(void **state)
{
    struct fixture *f = *state;
    f->held.bytes.size -= VERSION_4_NONE;
    put_u32le(f->held.bytes.data + 4, 3);
    assert_resummed(f, OK);
}

static void any_flipped_bit_is_corrupt(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < f->held.bytes.size; i++) {
        uint8_t bit = (uint8_t)(1u << i % 8);
        f->held.bytes.data[i] ^= bit;
        assert_code(log_checkpoint_check(buf_slice(&f->held.bytes)), CORRUPT);
        assert_code(decode(buf_slice(&f->held.bytes)), CORRUPT);
        f->held.bytes.data[i] ^= bit;
    }
    assert_code(decode(buf_slice(&f->held.bytes)), OK);
}

static void a_checkpoint_cut_short_is_corrupt(void **state)
{
    struct fixture *f = *state;
    for (size_t size = 0; size < f->held.bytes.size; size++)
        assert_code(decode(slice_make(f->held.bytes.data, size)), CORRUPT);
    /* Also where the sums were made of what is left. */
    for (size_t size = f->held.bytes.size - 1; size > HEADER_SIZE; size--) {
        f->held.bytes.size = size;
        assert_resummed(f, CORRUPT);
    }
}

static void bytes_behind_the_end_are_corrupt(void **state)
{
    struct fixture *f = *state;
    buf_add_byte(&f->held.bytes, 0);
    assert_resummed(f, CORRUPT);
}

static void a_newer_version_is_told_from_damage(void **state)
{
    struct fixture *f = *state;
    uint64_t sealed = 77;
    put_u32le(f->held.bytes.data + 4, LOG_CHECKPOINT_VERSION + 1);
    assert_resummed(f, VERSION);
    assert_code(log_checkpoint_sealed(buf_slice(&f->held.bytes), &sealed), VERSION);
    assert_int_equal(sealed, 77);
}

/* Whatever stands there, with sums that fit: refused, or taken and good to be used. */
static void random_content_is_refused_or_whole(void **state)
{
    struct fixture *f = *state;
    uint64_t seed = unit_seed();
    uint32_t refused = 0;
    for (int i = 0; i < 3000; i++) {
        struct buf bytes = {0};
        buf_add_slice(&bytes, buf_slice(&f->held.bytes));
        size_t at = HEADER_SIZE + unit_random(&seed) % (bytes.size - HEADER_SIZE);
        bytes.data[at] = (uint8_t)unit_random(&seed);
        fix_sums(&bytes);
        struct log_state read;
        struct log_checkpoint checkpoint;
        log_state_init(&read, 7);
        err_t err = log_checkpoint_decode(buf_slice(&bytes), &checkpoint, &read);
        assert_true(err_is_ok(err) || err_is(err, ERR_CORRUPT) || err_is(err, ERR_VERSION));
        refused += err_is_ok(err) ? 0 : 1;
        if (err_is_ok(err)) {
            struct buf again = {0};
            log_checkpoint_encode(&checkpoint, &read, &again);
            assert_int_equal(again.size, bytes.size);
            buf_done(&again);
        }
        log_state_done(&read);
        buf_done(&bytes);
    }
    assert_true(refused > 300);
}

static void a_checkpoint_that_says_its_own_file_is_sealed_is_corrupt(void **state)
{
    struct fixture *f = *state;
    f->held.checkpoint.sealed_file = 2;
    encode(&f->held);
    assert_code(decode(buf_slice(&f->held.bytes)), CORRUPT);
}

static void any_allocation_may_fail(void **state)
{
    struct fixture *f = *state;
    bool failed = true;
    for (uint64_t n = 1; failed; n++) {
        mem_fail_after(n);
        err_t err = decode(buf_slice(&f->held.bytes));
        failed = mem_alloc_count() >= n;
        mem_fail_after(0);
        assert_string_equal(err_name(err), failed ? "MEMORY" : "OK");
    }
    buf_done(&f->held.bytes);
    mem_fail_after(1);
    encode(&f->held);
    mem_fail_after(0);
    assert_code(buf_error(&f->held.bytes), MEMORY);
}

/* In front of others, and last. */
static void batches_of_nothing_but_holes_are_in_the_index(void **state)
{
    struct fixture *f = *state;
    static const int64_t bases[] = {0, 3, 6};
    for (size_t i = 0; i < 3; i++) {
        struct payload p = {0};
        struct flow_batch_builder builder;
        struct slice batch = payload_build(&builder, 3, 1);
        size_t size = batch.size;
        if (i != 1)
            size = hollow(builder.bytes.data, size);
        flow_batch_set_base_offset(builder.bytes.data, bases[i]);
        struct flow_append append = {.topic_id = 1,
                                     .partition = 1,
                                     .record_count = i == 1 ? 3 : 0,
                                     .batch = builder.bytes.data,
                                     .batch_size = size};
        p.size = log_entry_put_batch_head(p.bytes, &append);
        memcpy(p.bytes + p.size, append.batch, size);
        p.size += size;
        apply(&f->held.state, &p, 2);
        flow_batch_builder_done(&builder);
    }
    encode(&f->held);
    read_back(f);
    const struct log_partition *partition = log_state_partition(&f->read, 1, 1);
    assert_same_partition(log_state_partition(&f->held.state, 1, 1), partition);
    assert_int_equal(partition->index_count, 3);
    assert_int_equal(partition->records, 3);
    assert_int_equal(partition->end_offset, 9);
    assert_same_again(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(the_header_has_its_bytes_at_fixed_offsets),
        fixture_test(what_is_decoded_is_the_state_that_was),
        fixture_test(letters_on_their_way_to_a_sink_go_on_after_a_start),
        cmocka_unit_test(letters_that_cannot_be_redriven_are_damage),
        fixture_test(batches_of_nothing_but_holes_are_in_the_index),
        fixture_test(what_is_encoded_again_is_the_same_bytes),
        fixture_test(a_decoded_state_goes_on_as_the_one_that_was),
        fixture_test(settled_letters_are_a_part_of_it),
        fixture_test(without_settled_letters_what_is_gone_expired),
        fixture_test(settled_letters_that_contradict_the_queue_are_corrupt),
        fixture_test(requests_that_count_once_are_a_part_of_it),
        fixture_test(a_version_without_requests_is_read),
        fixture_test(open_topics_are_a_part_of_it),
        fixture_test(producers_are_a_part_of_it),
        fixture_test(offsets_of_groups_are_a_part_of_it),
        fixture_test(a_version_without_open_topics_producers_and_offsets_is_read),
        fixture_test(any_flipped_bit_is_corrupt),
        fixture_test(a_checkpoint_cut_short_is_corrupt),
        fixture_test(bytes_behind_the_end_are_corrupt),
        fixture_test(a_newer_version_is_told_from_damage),
        fixture_test(random_content_is_refused_or_whole),
        fixture_test(a_checkpoint_that_says_its_own_file_is_sealed_is_corrupt),
        fixture_test(any_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("log/checkpoint", tests, NULL, NULL);
}
