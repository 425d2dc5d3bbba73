/*
 * Manifests of backups. Where the sum at the end does not fit it is made to, so that mutations
 * reach what it covers. What is decoded is encoded again and has to be the same bytes; every path
 * stays within its directory and is found again.
 */

#include "fuzz/fuzz.h"

#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "log/manifest.h"

static void check_path(struct slice path)
{
    FUZZ_EXPECT(path.size > 0 && path.size <= LOG_MANIFEST_PATH_MAX);
    FUZZ_EXPECT(path.data[0] != '/' && path.data[path.size - 1] != '/');
    for (struct slice rest = path; rest.data;) {
        struct slice name = slice_split(&rest, '/');
        FUZZ_EXPECT(name.size > 0 && !slice_equal_string(name, ".."));
        FUZZ_EXPECT(!memchr(name.data, 0, name.size));
    }
}

static void check_text(struct slice text)
{
    struct log_manifest manifest;
    struct buf again = {0};
    log_manifest_init(&manifest);
    err_t err = log_manifest_decode(text, &manifest);
    FUZZ_EXPECT(err_is_ok(err) || err_is(err, ERR_CORRUPT) || err_is(err, ERR_VERSION));
    if (err_is_ok(err)) {
        log_manifest_encode(&manifest, &again);
        FUZZ_EXPECT(buf_ok(&again) && slice_equal(buf_slice(&again), text));
        for (size_t i = 0; i < manifest.file_count; i++) {
            check_path(manifest.files[i].path);
            FUZZ_EXPECT(log_manifest_find(&manifest, manifest.files[i].path) == &manifest.files[i]);
        }
    }
    buf_done(&again);
    log_manifest_done(&manifest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf fit = {0};
    check_text(slice_make(data, size));
    /* All up to the last line, and a last line that fits. */
    size_t end = size > 0 ? size - 1 : 0;
    while (end > 0 && data[end - 1] != '\n')
        end--;
    buf_add(&fit, data, end);
    buf_add_format(&fit, "end %u\n", crc32c(0, data, end));
    FUZZ_EXPECT(buf_ok(&fit));
    check_text(buf_slice(&fit));
    buf_done(&fit);
    return 0;
}
