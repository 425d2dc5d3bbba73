#include "sources/http/http_int.h"

#include "lib/unit.h"

static struct net_http_fields fields_of(const char *lines)
{
    struct net_http_fields fields = {0};
    struct slice rest = slice_string(lines);
    while (rest.size > 0) {
        struct slice value = slice_split(&rest, '\n');
        struct slice name = slice_split(&value, ':');
        fields.items[fields.count++] = (struct net_http_header){name, value};
    }
    return fields;
}

static const char *parse(const char *lines, struct sources_http_once *once)
{
    struct net_http_fields fields = fields_of(lines);
    return sources_http_once_parse(&fields, once);
}

static void without_a_name_it_counts_each_time(void **state)
{
    (void)state;
    struct sources_http_once once;
    static const char *const lines[] = {"", "Host:x\nContent-Type:a\n", "Garner-Producers:p\n",
                                        "garner_producer:p\n", "X-Idempotent-Ke:k\n"};
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        assert_null(parse(lines[i], &once));
        assert_false(once.given);
    }
}

static void a_numbered_one_has_producer_and_sequence(void **state)
{
    (void)state;
    struct sources_http_once once;
    static const struct {
        const char *text;
        uint64_t number;
    } numbers[] = {{"0", 0}, {"7", 7}, {"9223372036854775807", INT64_MAX}};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        char lines[128];
        snprintf(lines, sizeof(lines), "Host:x\nGarner-Sequence:%s\ngarner-PRODUCER:a/b\n",
                 numbers[i].text);
        assert_null(parse(lines, &once));
        assert_true(once.given);
        assert_int_equal(once.kind, FLOW_REQUEST_NUMBERED);
        assert_slice(once.id, "a/b");
        assert_int_equal(once.sequence, numbers[i].number);
    }
}

static void a_key_is_a_word_or_a_string(void **state)
{
    (void)state;
    static const struct {
        const char *lines;
        const char *key;
    } keys[] = {
        {"Idempotency-Key:8e03978e-40d5-43dd-bc93-6894a57f9324\n",
         "8e03978e-40d5-43dd-bc93-6894a57f9324"},
        {"idempotency-key:\"abc\"\n", "abc"},
        {"idempotency-key:\"a\\\"b\\\\c\"\n", "a\"b\\c"},
        {"idempotency-key:a\"b\\\n", "a\"b\\"},
    };
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        struct sources_http_once once;
        assert_null(parse(keys[i].lines, &once));
        assert_true(once.given);
        assert_int_equal(once.kind, FLOW_REQUEST_KEYED);
        assert_slice(once.id, keys[i].key);
    }
}

static void names_have_a_longest(void **state)
{
    (void)state;
    static const struct {
        const char *format;
        size_t size_max;
    } names[] = {
        {"Idempotency-Key:%s\n", SOURCES_HTTP_KEY_MAX},
        {"Idempotency-Key:\"%s\"\n", SOURCES_HTTP_KEY_MAX},
        {"Garner-Producer:%s\nGarner-Sequence:0\n", SOURCES_HTTP_PRODUCER_MAX},
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        for (size_t over = 0; over < 3; over++) {
            char name[512] = {0};
            char lines[600];
            struct sources_http_once once;
            memset(name, 'x', names[i].size_max + over);
            /* A format of the test's own. */
            const char *at = strchr(names[i].format, '%');
            snprintf(lines, sizeof(lines), "%.*s%s%s", (int)(at - names[i].format), names[i].format,
                     name, at + 2);
            const char *wrong = parse(lines, &once);
            assert_int_equal(wrong == NULL, over == 0);
            if (over == 0)
                assert_int_equal(once.id.size, names[i].size_max);
        }
    }
}

static void what_could_be_meant_in_two_ways_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *lines;
        const char *says;
    } wrongs[] = {
        {"Garner-Producer:p\n", "needs Garner-Sequence"},
        {"Garner-Sequence:1\n", "needs Garner-Producer"},
        {"Garner-Producer:p\nGarner-Sequence:9223372036854775808\n", "decimal number"},
        {"Garner-Producer:p\nGarner-Sequence:-1\n", "decimal number"},
        {"Garner-Producer:p\nGarner-Sequence:+1\n", "decimal number"},
        {"Garner-Producer:p\nGarner-Sequence:1 \n", "decimal number"},
        {"Garner-Producer:p\nGarner-Sequence:0x1\n", "decimal number"},
        {"Garner-Producer:p\nGarner-Sequence:\n", "decimal number"},
        {"Garner-Producer:\nGarner-Sequence:1\n", "Garner-Producer must"},
        {"Garner-Producer:p q\nGarner-Sequence:1\n", "Garner-Producer must"},
        {"Garner-Producer:p\xc3\xa9\nGarner-Sequence:1\n", "Garner-Producer must"},
        {"Garner-Producer:p\nGarner-Sequence:1\nIdempotency-Key:k\n", "not both"},
        {"Garner-Producer:p\nIdempotency-Key:k\n", "not both"},
        {"Garner-Producer:p\nGarner-Producer:p\nGarner-Sequence:1\n", "given once"},
        {"Idempotency-Key:k\nIdempotency-Key:k\n", "given once"},
        {"Idempotency-Key:\n", "Idempotency-Key must"},
        {"Idempotency-Key:\"\"\n", "Idempotency-Key must"},
        {"Idempotency-Key:\"\n", "Idempotency-Key must"},
        {"Idempotency-Key:\"a\n", "Idempotency-Key must"},
        {"Idempotency-Key:\"a\\\n", "Idempotency-Key must"},
        {"Idempotency-Key:\"a\\b\"\n", "Idempotency-Key must"},
        {"Idempotency-Key:\"a\"b\"\n", "Idempotency-Key must"},
        {"Idempotency-Key:\"a\";b=1\n", "Idempotency-Key must"},
        {"Idempotency-Key:a b\n", "Idempotency-Key must"},
        {"Idempotency-Key:\"a b\"\n", "Idempotency-Key must"},
        {"Idempotency-Key:a\x7f\n", "Idempotency-Key must"},
    };
    for (size_t i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++) {
        struct sources_http_once once;
        const char *wrong = parse(wrongs[i].lines, &once);
        if (!wrong || !strstr(wrong, wrongs[i].says))
            fail_msg("%s: %s", wrongs[i].lines, wrong ? wrong : "taken");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_name_it_counts_each_time),
        cmocka_unit_test(a_numbered_one_has_producer_and_sequence),
        cmocka_unit_test(a_key_is_a_word_or_a_string),
        cmocka_unit_test(names_have_a_longest),
        cmocka_unit_test(what_could_be_meant_in_two_ways_is_refused),
    };
    return cmocka_run_group_tests_name("sources/http/once", tests, NULL, NULL);
}
