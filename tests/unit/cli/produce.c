#include "cli/produce.h"

#include <fcntl.h>

#include "base/hash.h"
#include "unit/cli/capture.h"
#include "unit/cli/fake_broker.h"

/* The command with a file as its standard input, against a broker in this process. */

struct fixture {
    struct broker_peer peer;
    struct cli cli;
    struct capture out;
    struct capture err;
};

static struct fixture *prepare(uint32_t partitions)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->cli = capture_cli();
    f->peer.broker = fake_broker_make("events", partitions);
    return f;
}

static void end(struct fixture *f)
{
    fake_broker_done(&f->peer.broker);
    free(f);
}

/* Runs it with `input`, and ends the peer behind it: what it keeps can be looked at then. */
static int run_with(struct fixture *f, const char *input, size_t size, const char *const *flags)
{
    char *argv[16] = {(char *)(uintptr_t) "produce", (char *)(uintptr_t) "events",
                      (char *)(uintptr_t) "--server", f->peer.address,
                      (char *)(uintptr_t) "--json"};
    int argc = 5;
    for (; *flags; flags++)
        argv[argc++] = (char *)(uintptr_t)*flags;
    FILE *file = tmpfile();
    assert_int_equal(fwrite(input, 1, size, file), size);
    rewind(file);
    int saved = dup(0);
    assert_int_equal(dup2(fileno(file), 0), 0);
    broker_peer_begin(&f->peer);
    capture_begin(&f->out, 1);
    capture_begin(&f->err, 2);
    int code = cli_produce(&f->cli, argc, argv);
    capture_end(&f->err);
    capture_end(&f->out);
    broker_peer_end(&f->peer);
    assert_int_equal(dup2(saved, 0), 0);
    close(saved);
    fclose(file);
    return code;
}

#define RUN(f, input, ...)                                                                         \
    run_with(f, input, strlen(input), (const char *const[]){__VA_ARGS__, NULL})

static void expect(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("'%s' does not say '%s'", text, part);
}

/* The values of a partition, each with its key where it has one, in one text. */
static void read_back(const struct fixture *f, int partition, char out[static 512])
{
    struct slice rest = buf_slice(&f->peer.broker.stored[partition]);
    struct flow_batch batch;
    out[0] = '\0';
    while (err_is_ok(flow_batch_parse(rest, &batch))) {
        struct buf plain = {0};
        struct flow_record record;
        rest = slice_sub(rest, batch.bytes.size, rest.size);
        assert_true(err_is_ok(flow_batch_unpack(&batch, 1 << 24, &plain)));
        struct flow_batch_iterator it = flow_batch_records(&batch);
        while (err_is_ok(flow_batch_next(&it, &record)))
            snprintf(out + strlen(out), 512 - strlen(out), "%.*s%s%.*s|", SLICE_PRINTF(record.key),
                     record.key.data ? "=" : "", SLICE_PRINTF(record.value));
        buf_done(&plain);
    }
}

static void lines_become_records_in_their_order(void **state)
{
    (void)state;
    static const char *const all[] = {"none", "gzip", "snappy", "lz4", "zstd"};
    for (size_t i = 0; i < 5; i++) {
        struct fixture *f = prepare(1);
        char text[512];
        assert_int_equal(RUN(f, "one\n\ntwo\r\nthree", "--codec", all[i]), CLI_OK);
        assert_string_equal(f->out.text, "{\"written\":3,\"rejected\":0}\n");
        assert_string_equal(f->err.text, "");
        read_back(f, 0, text);
        assert_string_equal(text, "one|two|three|");
        assert_int_equal(f->peer.broker.last_acks, -1);
        end(f);
    }
}

static void keys_choose_the_partition_as_kafkas_clients_do(void **state)
{
    (void)state;
    struct fixture *f = prepare(3);
    char text[512];
    char expected[3][64] = {"", "", ""};
    static const char *const keys[] = {"a", "bb", "ccc", "dddd"};
    for (size_t i = 0; i < 4; i++) {
        char *to = expected[hash_kafka_partition(slice_string(keys[i]), 3)];
        snprintf(to + strlen(to), 64 - strlen(to), "%s=v%zu|", keys[i], i);
    }
    assert_int_equal(RUN(f, "a::v0\nbb::v1\nccc::v2\ndddd::v3\n", "--key-separator", "::"), CLI_OK);
    for (int i = 0; i < 3; i++) {
        read_back(f, i, text);
        assert_string_equal(text, expected[i]);
    }
    end(f);
}

static void a_line_without_the_separator_has_no_key(void **state)
{
    (void)state;
    struct fixture *f = prepare(2);
    char text[512];
    assert_int_equal(RUN(f, "plain\n:empty key\n", "--key-separator", ":", "--partition", "1"),
                     CLI_OK);
    read_back(f, 1, text);
    assert_string_equal(text, "plain|=empty key|");
    end(f);
}

static void much_goes_in_batches_below_a_megabyte(void **state)
{
    (void)state;
    struct fixture *f = prepare(3);
    size_t size = 6u << 20;
    char *input = malloc(size);
    for (size_t i = 0; i < size; i++)
        input[i] = i % 64 == 63 ? '\n' : 'x';
    f->peer.broker.batch_size_max = 1000000;
    assert_int_equal(run_with(f, input, size, (const char *const[]){NULL}), CLI_OK);
    assert_int_equal(f->peer.broker.records, size / 64);
    assert_true(f->peer.broker.produced >= 6);
    for (int i = 0; i < 3; i++)
        assert_true(f->peer.broker.ends[i] > 0);
    free(input);
    end(f);
}

static void lines_that_are_refused_are_told_and_the_others_written(void **state)
{
    (void)state;
    struct fixture *f = prepare(1);
    char text[512];
    f->peer.broker.refused = "bad";
    assert_int_equal(RUN(f, "one\nbad\n\ntwo\nso bad\n", "--partition", "0"), CLI_FAILED);
    assert_string_equal(f->out.text, "{\"written\":2,\"rejected\":2}\n");
    expect(f->err.text, "garner produce: line 2: INVALID_RECORD: not liked\n");
    expect(f->err.text, "line 5: INVALID_RECORD: not liked\n");
    read_back(f, 0, text);
    assert_string_equal(text, "one|two|");
    end(f);
}

static void a_batch_that_is_refused_without_a_word_is_rejected_whole(void **state)
{
    (void)state;
    struct fixture *f = prepare(1);
    f->peer.broker.produce_code = 32;
    assert_int_equal(RUN(f, "one\ntwo\n", "--partition", "0"), CLI_FAILED);
    expect(f->out.text, "\"written\":0,\"rejected\":2");
    expect(f->err.text, "line 1: INVALID_TIMESTAMP\n");
    expect(f->err.text, "line 2: INVALID_TIMESTAMP\n");
    end(f);
}

static void what_is_too_large_together_goes_in_pieces_and_alone_is_rejected(void **state)
{
    (void)state;
    struct fixture *f = prepare(1);
    char input[4096] = "";
    for (int i = 0; i < 20; i++)
        snprintf(input + strlen(input), 64, "line %d %s\n", i, "..............................");
    snprintf(input + strlen(input), 600, "%0500d\n", 7);
    strcat(input, "last\n");
    f->peer.broker.batch_size_max = 300;
    assert_int_equal(RUN(f, input, "--partition", "0"), CLI_FAILED);
    expect(f->out.text, "\"written\":21,\"rejected\":1");
    expect(f->err.text, "line 21: MESSAGE_TOO_LARGE\n");
    assert_int_equal(f->peer.broker.ends[0], 21);
    end(f);
}

static void not_now_is_tried_again(void **state)
{
    (void)state;
    struct fixture *f = prepare(2);
    f->peer.broker.produce_code = 6;
    f->peer.broker.produce_code_first = 1;
    f->peer.broker.produce_code_count = 2;
    assert_int_equal(RUN(f, "a\nb\nc\n", "--partition", "1"), CLI_OK);
    assert_int_equal(f->peer.broker.ends[1], 3);
    assert_int_equal(f->peer.broker.produced, 3);
    end(f);
}

static void not_now_for_too_long_is_an_end(void **state)
{
    (void)state;
    struct fixture *f = prepare(1);
    f->peer.broker.produce_code = 19;
    assert_int_equal(RUN(f, "a\n", "--timeout", "1s"), CLI_UNAVAILABLE);
    expect(f->err.text, "NOT_ENOUGH_REPLICAS (19) for too long");
    end(f);
}

static void an_outcome_that_is_not_known_is_told_and_nothing_follows(void **state)
{
    (void)state;
    struct fixture *f = prepare(1);
    f->peer.broker.produce_code = 56;
    assert_int_equal(RUN(f, "a\nb\n", "--partition", "0"), CLI_UNAVAILABLE);
    expect(f->err.text, "2 lines from 1 to 2, for partition 0: it is not known");
    expect(f->err.text, "KAFKA_STORAGE_ERROR");
    end(f);
    f = prepare(1);
    f->peer.broker.close_at = 3;
    assert_int_equal(RUN(f, "\na\n", "--partition", "0"), CLI_UNAVAILABLE);
    expect(f->err.text, "1 lines from 2 to 2");
    expect(f->err.text, "closed by the peer; nothing behind these lines was sent");
    end(f);
}

static void a_broker_that_says_nothing_is_not_waited_for_for_ever(void **state)
{
    (void)state;
    static const char *const told[] = {"no broker at 127.0.0.1", "no broker at 127.0.0.1",
                                       "2 lines from 1 to 2, for partition 0: it is not known"};
    /* Versions, partitions, and what becomes of the lines. */
    for (unsigned i = 0; i < 3; i++) {
        struct fixture *f = prepare(1);
        f->peer.broker.silent_at = i + 1;
        assert_int_equal(RUN(f, "a\nb\n", "--timeout", "300ms"), CLI_UNAVAILABLE);
        expect(f->err.text, told[i]);
        expect(f->err.text, "no answer in --timeout");
        end(f);
    }
}

static void what_would_never_be_taken_is_an_end(void **state)
{
    (void)state;
    struct fixture *f = prepare(1);
    f->peer.broker.produce_code = 29;
    assert_int_equal(RUN(f, "a\n", "--partition", "0"), CLI_FAILED);
    expect(f->err.text, "TOPIC_AUTHORIZATION_FAILED (29)");
    end(f);
    f = prepare(1);
    f->peer.broker.metadata_code = 3;
    assert_int_equal(RUN(f, "a\n", "--partition", "0"), CLI_FAILED);
    expect(f->err.text, "has no topic events");
    end(f);
    f = prepare(2);
    assert_int_equal(RUN(f, "a\n", "--partition", "2"), CLI_FAILED);
    expect(f->err.text, "events has 2 partitions, counted from 0; there is no 2");
    end(f);
}

static void an_empty_input_writes_nothing(void **state)
{
    (void)state;
    struct fixture *f = prepare(1);
    assert_int_equal(RUN(f, "", "--partition", "0"), CLI_OK);
    assert_string_equal(f->out.text, "{\"written\":0,\"rejected\":0}\n");
    assert_int_equal(f->peer.broker.produced, 0);
    end(f);
}

static int run_words(struct fixture *f, const char *const *words)
{
    char *argv[8];
    int argc = 0;
    for (; *words; words++)
        argv[argc++] = (char *)(uintptr_t)*words;
    capture_begin(&f->err, 2);
    int code = cli_produce(&f->cli, argc, argv);
    capture_end(&f->err);
    return code;
}

#define WORDS(f, ...) run_words(f, (const char *const[]){"produce", __VA_ARGS__, NULL})

static void wrong_words_are_said(void **state)
{
    (void)state;
    struct fixture *f = prepare(1);
    assert_int_equal(WORDS(f, "--codec", "none"), CLI_USAGE);
    expect(f->err.text, "expected one topic");
    assert_int_equal(WORDS(f, "a/b"), CLI_USAGE);
    expect(f->err.text, "'a/b' is no name of a topic");
    assert_int_equal(WORDS(f, "a", "--partition", "x"), CLI_USAGE);
    expect(f->err.text, "--partition: expected a number");
    assert_int_equal(WORDS(f, "a", "--server", "nowhere"), CLI_USAGE);
    assert_int_equal(WORDS(f, "a", "--server", "127.0.0.1:1"), CLI_UNAVAILABLE);
    expect(f->err.text, "no broker at 127.0.0.1:1 (the connection was refused)");
    end(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_become_records_in_their_order),
        cmocka_unit_test(keys_choose_the_partition_as_kafkas_clients_do),
        cmocka_unit_test(a_line_without_the_separator_has_no_key),
        cmocka_unit_test(much_goes_in_batches_below_a_megabyte),
        cmocka_unit_test(lines_that_are_refused_are_told_and_the_others_written),
        cmocka_unit_test(a_batch_that_is_refused_without_a_word_is_rejected_whole),
        cmocka_unit_test(what_is_too_large_together_goes_in_pieces_and_alone_is_rejected),
        cmocka_unit_test(not_now_is_tried_again),
        cmocka_unit_test(not_now_for_too_long_is_an_end),
        cmocka_unit_test(an_outcome_that_is_not_known_is_told_and_nothing_follows),
        cmocka_unit_test(a_broker_that_says_nothing_is_not_waited_for_for_ever),
        cmocka_unit_test(what_would_never_be_taken_is_an_end),
        cmocka_unit_test(an_empty_input_writes_nothing),
        cmocka_unit_test(wrong_words_are_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
