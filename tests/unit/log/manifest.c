#include "log/manifest.h"

#include "base/alloc.h"
#include "base/hash.h"
#include "lib/unit.h"

#define assert_code(error, expected) assert_string_equal(err_name(error), #expected)

static const char plain[] = "garner backup\n"
                            "format 1\n"
                            "uuid 0f8fad5b-d9cb-469f-a165-70867728950e\n"
                            "created 1772347200000\n"
                            "lsn 41\n"
                            "copied 1200\n"
                            "file 0 1000 77 checkpoint/00000000000000000041.ckpt\n"
                            "file 1772347200000 200 4294967295 topics/a-b/0/0.log\n";

/* With the last line that fits. */
static void with_end(const char *text, struct buf *out)
{
    buf_reset(out);
    buf_add_string(out, text);
    uint32_t crc = crc32c(0, out->data, out->size);
    buf_add_format(out, "end %u\n", crc);
    assert_true(buf_ok(out));
}

static err_t decode(const char *text, struct log_manifest *manifest)
{
    struct buf whole = {0};
    log_manifest_init(manifest);
    with_end(text, &whole);
    err_t err = log_manifest_decode(buf_slice(&whole), manifest);
    buf_done(&whole);
    return err;
}

static void what_is_encoded_is_decoded(void **state)
{
    (void)state;
    struct log_manifest manifest;
    struct buf text = {0};
    struct buf expected = {0};
    assert_code(decode(plain, &manifest), OK);
    assert_int_equal(manifest.lsn, 41);
    assert_int_equal(manifest.created_ms, INT64_C(1772347200000));
    assert_int_equal(manifest.copied_bytes, 1200);
    assert_int_equal(manifest.file_count, 2);
    assert_int_equal(log_manifest_bytes(&manifest), 1200);
    const struct log_manifest_file *file =
        log_manifest_find(&manifest, SLICE_LITERAL("topics/a-b/0/0.log"));
    assert_non_null(file);
    assert_int_equal(file->begun, 1772347200000);
    assert_int_equal(file->size, 200);
    assert_int_equal(file->crc, UINT32_MAX);
    assert_null(log_manifest_find(&manifest, SLICE_LITERAL("topics/a-b/0/1.log")));
    log_manifest_encode(&manifest, &text);
    with_end(plain, &expected);
    assert_true(slice_equal(buf_slice(&text), buf_slice(&expected)));
    log_manifest_done(&manifest);
    buf_done(&text);
    buf_done(&expected);
}

static void any_change_is_noticed(void **state)
{
    (void)state;
    struct buf text = {0};
    with_end(plain, &text);
    for (size_t i = 0; i < text.size; i++) {
        struct log_manifest manifest;
        log_manifest_init(&manifest);
        text.data[i] ^= 1;
        assert_code(log_manifest_decode(buf_slice(&text), &manifest), CORRUPT);
        text.data[i] ^= 1;
        log_manifest_done(&manifest);
        log_manifest_init(&manifest);
        assert_code(log_manifest_decode(slice_make(text.data, i), &manifest), CORRUPT);
        log_manifest_done(&manifest);
    }
    buf_done(&text);
}

static void what_contradicts_itself_is_refused(void **state)
{
    (void)state;
    static const char *const heads[] = {
        "",
        "garner backup\n",
        "garner data directory\nformat 1\n",
        "garner backup\nformat 0\n",
        "garner backup\nformat 01\n",
        "garner backup\nformat 1\nuuid 0F8FAD5B-d9cb-469f-a165-70867728950e\n",
        "garner backup\nformat 1\nuuid 0f8fad5b-d9cb-469f-a165-70867728950e\ncreated 0\n",
        "garner backup\nformat 1\nuuid 0f8fad5b-d9cb-469f-a165-70867728950e\ncreated 5\nlsn\n",
        "garner backup\nformat 1\nuuid 0f8fad5b-d9cb-469f-a165-70867728950e\ncreated 5\nlsn 1\n",
    };
    static const char *const files[] = {
        "file 0 1 2 /etc/passwd\n",
        "file 0 1 2 ../x\n",
        "file 0 1 2 a/../x\n",
        "file 0 1 2 a//b\n",
        "file 0 1 2 a/\n",
        "file 0 1 2 .\n",
        "file 0 1 2 \n",
        "file 0 1 2\n",
        "file 0 1 4294967296 a\n",
        "file 0 -1 2 a\n",
        "file 00 1 2 a\n",
        "file x 1 2 a\n",
        "file 0 1 2 a\x01\n",
        "line 0 1 2 a\n",
        "\n",
        "file 0 1 2 a\nfile 0 1 2 a\n",
        "file 9223372036854775808 1 2 a\n",
    };
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        struct log_manifest manifest;
        assert_code(decode(heads[i], &manifest), CORRUPT);
        log_manifest_done(&manifest);
    }
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char text[1024];
        struct log_manifest manifest;
        int size = snprintf(text, sizeof text, "%s%s", plain, files[i]);
        assert_true(size > 0 && (size_t)size < sizeof text);
        err_t err = decode(text, &manifest);
        if (!err_is(err, ERR_CORRUPT))
            fail_msg("%s: %s", files[i], err_name(err));
        log_manifest_done(&manifest);
    }
}

static void a_newer_format_is_said(void **state)
{
    (void)state;
    struct log_manifest manifest;
    assert_code(decode("garner backup\nformat 2\nsomething else\n", &manifest), VERSION);
    log_manifest_done(&manifest);
}

static void a_path_stands_once_and_within_the_directory(void **state)
{
    (void)state;
    struct log_manifest manifest;
    char longest[LOG_MANIFEST_PATH_MAX + 2];
    log_manifest_init(&manifest);
    struct log_manifest_file file = {.path = SLICE_LITERAL("wal/1.wal"), .size = 4096};
    assert_code(log_manifest_add(&manifest, &file), OK);
    assert_code(log_manifest_add(&manifest, &file), INVALID);
    file.path = SLICE_LITERAL("../wal/1.wal");
    assert_code(log_manifest_add(&manifest, &file), INVALID);
    for (size_t i = 0; i < sizeof longest; i++)
        longest[i] = i % 100 == 99 ? '/' : 'a';
    file.path = slice_make(longest, LOG_MANIFEST_PATH_MAX);
    assert_code(log_manifest_add(&manifest, &file), OK);
    file.path = slice_make(longest, LOG_MANIFEST_PATH_MAX + 1);
    assert_code(log_manifest_add(&manifest, &file), INVALID);
    assert_int_equal(manifest.file_count, 2);
    log_manifest_done(&manifest);
}

static void many_files_are_found_again(void **state)
{
    (void)state;
    struct log_manifest manifest;
    struct log_manifest again;
    struct buf text = {0};
    log_manifest_init(&manifest);
    manifest.created_ms = 1;
    for (uint64_t i = 0; i < 1000; i++) {
        char path[32];
        snprintf(path, sizeof path, "topics/%llu.log", (unsigned long long)i);
        struct log_manifest_file file = {
            .path = slice_string(path), .begun = i, .size = i * 3, .crc = (uint32_t)i};
        assert_code(log_manifest_add(&manifest, &file), OK);
    }
    log_manifest_encode(&manifest, &text);
    log_manifest_init(&again);
    assert_code(log_manifest_decode(buf_slice(&text), &again), OK);
    assert_int_equal(again.file_count, 1000);
    const struct log_manifest_file *file =
        log_manifest_find(&again, SLICE_LITERAL("topics/777.log"));
    assert_true(file && file->begun == 777 && file->size == 777 * 3);
    log_manifest_done(&manifest);
    log_manifest_done(&again);
    buf_done(&text);
}

static void memory_may_be_short_anywhere(void **state)
{
    (void)state;
    struct buf whole = {0};
    with_end(plain, &whole);
    bool failed = true;
    for (uint64_t n = 1; failed; n++) {
        struct log_manifest manifest;
        log_manifest_init(&manifest);
        mem_fail_after(n);
        err_t err = log_manifest_decode(buf_slice(&whole), &manifest);
        failed = !err_is_ok(err);
        mem_fail_after(0);
        if (failed)
            assert_code(err, MEMORY);
        log_manifest_done(&manifest);
        assert_true(n < 100);
    }
    buf_done(&whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_encoded_is_decoded),
        cmocka_unit_test(any_change_is_noticed),
        cmocka_unit_test(what_contradicts_itself_is_refused),
        cmocka_unit_test(a_newer_format_is_said),
        cmocka_unit_test(a_path_stands_once_and_within_the_directory),
        cmocka_unit_test(many_files_are_found_again),
        cmocka_unit_test(memory_may_be_short_anywhere),
    };
    return cmocka_run_group_tests_name("log/manifest", tests, NULL, NULL);
}
