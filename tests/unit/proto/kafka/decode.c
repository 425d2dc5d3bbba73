#include "base/alloc.h"
#include "lib/kafka_message.h"

#define DECODED_MAX ((size_t)1 << 16)

/* Decodes into memory of its own, so that reading past the end is seen. */
static err_t decode(const struct proto_kafka_api *api, const struct proto_kafka_layout *layout,
                    int16_t version, const void *bytes, size_t size, size_t size_max,
                    struct err_text *why)
{
    struct arena arena = {0};
    void *message = mem_alloc(layout->size);
    void *copy = mem_alloc(size ? size : 1);
    assert_true(message && copy);
    if (size)
        memcpy(copy, bytes, size);
    err_t err = proto_kafka_decode(api, layout, version, slice_make(copy, size), &arena, size_max,
                                   message, why);
    assert_true(arena.size <= size_max);
    arena_done(&arena);
    mem_free(copy);
    mem_free(message);
    return err;
}

static void cut_and_damage(struct kafka_random *r, const struct proto_kafka_api *api,
                           const struct proto_kafka_layout *layout)
{
    struct buf bytes = {0};
    proto_kafka_encode(api, layout, r->version, kafka_random_message(r, layout), &bytes);
    assert_true(buf_ok(&bytes));
    for (size_t size = 0; size < bytes.size; size++) {
        struct err_text why = {0};
        err_t err = decode(api, layout, r->version, bytes.data, size, DECODED_MAX, &why);
        assert_true(err_is(err, ERR_SYNTAX));
        assert_true(why.text[0]);
    }
    buf_add_byte(&bytes, 0);
    assert_true(
        err_is_ok(decode(api, layout, r->version, bytes.data, bytes.size, DECODED_MAX, NULL)));
    for (int times = 0; times < 50 && bytes.size > 1; times++) {
        size_t at = unit_random(&r->seed) % (bytes.size - 1);
        uint8_t was = bytes.data[at];
        bytes.data[at] = (uint8_t)unit_random(&r->seed);
        err_t err = decode(api, layout, r->version, bytes.data, bytes.size - 1, DECODED_MAX, NULL);
        assert_true(err_is_ok(err) || err_is(err, ERR_SYNTAX) || err_is(err, ERR_TOO_LARGE));
        bytes.data[at] = was;
    }
    buf_done(&bytes);
}

static void what_is_cut_off_or_damaged_is_an_error_and_what_is_behind_is_not(void **state)
{
    (void)state;
    kafka_each_message(cut_and_damage);
}

static const struct proto_kafka_api *metadata(void)
{
    return proto_kafka_api(PROTO_KAFKA_METADATA);
}

static void assert_refused(int16_t version, const void *bytes, size_t size, enum err_code code,
                           const char *text)
{
    struct err_text why = {0};
    err_t err = decode(metadata(), metadata()->request, version, bytes, size, DECODED_MAX, &why);
    assert_int_equal(err.code, code);
    assert_string_equal(why.text, text);
}

static void counts_and_lengths_that_lie_allocate_nothing(void **state)
{
    (void)state;
    uint8_t many[4100] = {0, 0, 0x10, 0};
    assert_refused(4, "\x7f\xff\xff\xff", 4, ERR_SYNTAX,
                   "metadata version 4: a count is larger than the message");
    assert_refused(4, "\xff\xff\xff\xfe\1", 5, ERR_SYNTAX,
                   "metadata version 4: a count is negative");
    assert_refused(4, "\0\0\0\1\xff\xfe\1", 7, ERR_SYNTAX,
                   "metadata version 4: a length is negative");
    assert_refused(4, "\0\0\0\1\xff\xff\1", 7, ERR_SYNTAX,
                   "metadata version 4: null where a value has to be");
    struct err_text why = {0};
    assert_true(err_is(decode(metadata(), metadata()->request, 4, many, sizeof(many), 1000, &why),
                       ERR_TOO_LARGE));
    assert_string_equal(why.text, "metadata version 4: the message would take too much memory");
}

/* Each takes room in the arena, though it has no element. */
static void many_empty_arrays_stay_within_the_memory_allowed(void **state)
{
    (void)state;
    const struct proto_kafka_api *api = proto_kafka_api(PROTO_KAFKA_LIST_OFFSETS);
    /* Topics, of which each has no name and no partition. */
    uint8_t bytes[8 + 100 * 6] = {[7] = 100};
    size_t topics = 100 * sizeof(struct proto_kafka_list_offsets_request_topic);
    enum err_code code = ERR_TOO_LARGE;
    size_t size_max = topics;
    for (; code != ERR_OK; size_max += 8) {
        err_t err = decode(api, api->request, 1, bytes, sizeof(bytes), size_max, NULL);
        assert_true(err_is_ok(err) || err_is(err, ERR_TOO_LARGE));
        code = err.code;
    }
    assert_in_range(size_max, topics + 100 * 16, topics + 102 * 16);
}

/* What comes in is echoed in answers, some of which have two bytes for a length. */
static void a_string_is_never_longer_than_an_answer_could_say(void **state)
{
    (void)state;
    const struct proto_kafka_api *api = metadata();
    static uint8_t bytes[4 + 32768 + 5] = {2, 0x81, 0x80, 2};
    struct err_text why = {0};
    assert_true(
        err_is(decode(api, api->request, 9, bytes, sizeof(bytes), DECODED_MAX, &why), ERR_SYNTAX));
    assert_string_equal(why.text, "metadata version 9: a string is too long");
    bytes[1] = 0x80;
    assert_true(
        err_is_ok(decode(api, api->request, 9, bytes, sizeof(bytes) - 1, DECODED_MAX, NULL)));
}

static void tagged_fields_that_are_not_known_are_passed_over(void **state)
{
    (void)state;
    assert_true(err_is_ok(
        decode(metadata(), metadata()->request, 9, "\0\1\0\0\2\0\2ab\5\0", 11, DECODED_MAX, NULL)));
    assert_refused(9, "\0\1\0\0\2\5\2ab\5\0", 11, ERR_SYNTAX,
                   "metadata version 9: tagged fields are not in order");
    const struct proto_kafka_api *api = proto_kafka_api(PROTO_KAFKA_API_VERSIONS);
    struct err_text why = {0};
    assert_true(
        err_is(decode(api, api->response, 3, "\0\0\1\0\0\0\0\1\3\2\1\1", 12, DECODED_MAX, &why),
               ERR_SYNTAX));
    assert_string_equal(why.text, "api_versions version 3: a tagged field is longer than what it "
                                  "holds");
}

/* As librdkafka 2.16 sends it for list_topics(). */
static void librdkafkas_request_for_all_topics_is_read(void **state)
{
    (void)state;
    assert_true(err_is_ok(
        decode(metadata(), metadata()->request, 9, "\0\0\0\0\1\0\0\0", 8, DECODED_MAX, NULL)));
}

static void fields_of_other_versions_have_their_defaults(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct proto_kafka_metadata_request request;
    assert_true(err_is_ok(proto_kafka_decode(metadata(), metadata()->request, 1,
                                             slice_make("\xff\xff\xff\xff", 4), &arena, 100,
                                             &request, NULL)));
    assert_true(request.allow_auto_topic_creation);
    assert_null(request.topics.items);
    assert_true(
        err_is_ok(proto_kafka_decode(metadata(), metadata()->request, 1, slice_make("\0\0\0\0", 4),
                                     &arena, 100, &request, NULL)));
    assert_non_null(request.topics.items);
    arena_done(&arena);
}

static void without_memory_it_says_so(void **state)
{
    (void)state;
    mem_fail_after(1);
    err_t err = proto_kafka_decode(metadata(), metadata()->request, 1, slice_make("\0\0\0\0", 4),
                                   &(struct arena){0}, 100,
                                   &(struct proto_kafka_metadata_request){0}, NULL);
    mem_fail_after(0);
    assert_true(err_is(err, ERR_MEMORY));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_cut_off_or_damaged_is_an_error_and_what_is_behind_is_not),
        cmocka_unit_test(librdkafkas_request_for_all_topics_is_read),
        cmocka_unit_test(counts_and_lengths_that_lie_allocate_nothing),
        cmocka_unit_test(many_empty_arrays_stay_within_the_memory_allowed),
        cmocka_unit_test(a_string_is_never_longer_than_an_answer_could_say),
        cmocka_unit_test(tagged_fields_that_are_not_known_are_passed_over),
        cmocka_unit_test(fields_of_other_versions_have_their_defaults),
        cmocka_unit_test(without_memory_it_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
