/*
 * Every file is read once, in chunks, and what looks like an id of the run is counted, wherever in
 * the text it stands: no JSON is parsed, so a broken line hides nothing, and nothing is trusted
 * that the server has written about itself. What a chunk's end may have cut is kept in front of
 * the next chunk. Files are known by their paths from then on; complete ones never change.
 *
 * What goes wrong: a file that cannot be read ends the scan, and with it the comparison, since
 * what it holds would be called missing. One that is gone since it was listed is not an error; it
 * is looked for again. A loop of links ends where directories are too deep to be a sink's.
 */

#include "cli/verify.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/number.h"

#define CHUNK_BYTES (1u << 20)
#define SEEN_MAX 255u
#define DEPTH_MAX 32u

err_t cli_verify_init(struct cli_verify *verify, struct io_disk *disk, const char *directory,
                      const struct cli_acks *acks)
{
    ASSERT(acks->states || acks->count == 0);
    *verify = (struct cli_verify){.disk = disk, .directory = directory, .acks = acks};
    map_init(&verify->files, 0);
    verify->seen = mem_zalloc(acks->count + 1, 1);
    uint8_t *room = buf_reserve(&verify->chunk, CHUNK_BYTES + CLI_EVENTS_ID_SIZE);
    if (!verify->seen || !room) {
        cli_verify_done(verify);
        return err_make(ERR_MEMORY);
    }
    return err_ok();
}

void cli_verify_done(struct cli_verify *verify)
{
    char *path;
    for (size_t i = 0; (path = map_next(&verify->files, &i));)
        mem_free(path);
    map_done(&verify->files);
    mem_free(verify->seen);
    buf_done(&verify->chunk);
    *verify = (struct cli_verify){0};
}

/* `digits` is what stands where a sequence would; anything else there is text like any other. */
static void count_id(struct cli_verify *verify, const uint8_t *digits)
{
    uint64_t sequence;
    if (!err_is_ok(number_parse_u64(slice_make(digits, CLI_EVENTS_SEQUENCE_SIZE), &sequence)))
        return;
    verify->records++;
    if (sequence >= verify->acks->count)
        verify->foreign++;
    else if (verify->seen[sequence] < SEEN_MAX)
        verify->seen[sequence]++;
}

/* Counts the ids in `text`; returns how many bytes at its end may be the start of another. */
static size_t count_ids(struct cli_verify *verify, struct slice text)
{
    char prefix[CLI_EVENTS_RUN_SIZE + 2];
    snprintf(prefix, sizeof(prefix), "%s-", verify->acks->events->run);
    const uint8_t *at = text.data;
    const uint8_t *end = text.data + text.size;
    while (at && end - at >= (ptrdiff_t)CLI_EVENTS_ID_SIZE) {
        const uint8_t *found = memmem(at, (size_t)(end - at), prefix, sizeof(prefix) - 1);
        if (!found || end - found < (ptrdiff_t)CLI_EVENTS_ID_SIZE) {
            at = found;
            break;
        }
        /* On behind the prefix alone: an id that is torn may have the next one inside. */
        at = found + sizeof(prefix) - 1;
        count_id(verify, at);
    }
    if (at)
        return (size_t)(end - at);
    return text.size < CLI_EVENTS_RUN_SIZE ? text.size : CLI_EVENTS_RUN_SIZE;
}

static err_t read_file(struct cli_verify *verify, const char *path, struct err_text *why)
{
    struct io_file *file;
    TRY(io_disk_open(verify->disk, path, IO_OPEN_READ, &file, why));
    uint8_t *data = verify->chunk.data;
    size_t kept = 0;
    size_t got = CHUNK_BYTES;
    err_t err = err_ok();
    for (uint64_t offset = 0; err_is_ok(err) && got == CHUNK_BYTES; offset += got) {
        err = io_file_read(file, data + kept, CHUNK_BYTES, offset, &got);
        if (!err_is_ok(err))
            break;
        size_t size = kept + got;
        kept = count_ids(verify, slice_make(data, size));
        ASSERT(kept < CLI_EVENTS_ID_SIZE);
        memmove(data, data + size - kept, kept);
    }
    err_t closed = io_file_close(file);
    if (err_is_ok(err))
        err = closed;
    return err_is_ok(err)
               ? err
               : err_set(why, (enum err_code)err.code, "cannot read %s: %s", path, err_string(err));
}

/* A directory being walked. */
struct walk {
    struct cli_verify *verify;
    const char *directory;
    uint32_t depth;
    err_t err;
    struct err_text *why;
};

static err_t scan(struct cli_verify *verify, const char *directory, uint32_t depth,
                  struct err_text *why);

/* Takes over the path, as the key of a file that was read. */
static err_t visit_file(struct walk *walk, char **path)
{
    struct cli_verify *verify = walk->verify;
    if (map_get(&verify->files, slice_string(*path)))
        return err_ok();
    TRY(map_put(&verify->files, slice_string(*path), *path));
    err_t err = read_file(verify, *path, walk->why);
    if (err_is(err, ERR_NO_FILE)) {
        /* Moved away since it was listed: it may come back. */
        map_remove(&verify->files, slice_string(*path));
        return err_ok();
    }
    *path = NULL;
    return err;
}

static err_t visit(struct walk *walk, const char *name, enum io_kind kind)
{
    struct slice text = slice_string(name);
    struct buf joined = {0};
    buf_add_format(&joined, "%s/%s", walk->directory, name);
    char *path = buf_ok(&joined) ? mem_string(joined.data, joined.size) : NULL;
    buf_done(&joined);
    err_t err = path ? err_ok() : err_make(ERR_MEMORY);
    if (err_is_ok(err) && kind == IO_KIND_OTHER)
        err = io_disk_kind(walk->verify->disk, path, &kind, walk->why);
    if (err_is_ok(err) && kind == IO_KIND_DIRECTORY &&
        !slice_ends_with(text, SLICE_LITERAL(".inprogress")))
        err = scan(walk->verify, path, walk->depth + 1, walk->why);
    else if (err_is_ok(err) && kind == IO_KIND_FILE &&
             slice_ends_with(text, SLICE_LITERAL(".ndjson")))
        err = visit_file(walk, &path);
    mem_free(path);
    return err;
}

static int on_name(void *context, const char *name, enum io_kind kind)
{
    struct walk *walk = context;
    walk->err = visit(walk, name, kind);
    return !err_is_ok(walk->err);
}

static err_t scan(struct cli_verify *verify, const char *directory, uint32_t depth,
                  struct err_text *why)
{
    if (depth > DEPTH_MAX)
        return err_set(why, ERR_TOO_DEEP, "%s: more than %u directories deep", directory,
                       DEPTH_MAX);
    struct walk walk = {verify, directory, depth, err_ok(), why};
    TRY(io_disk_list(verify->disk, directory, on_name, &walk, why));
    return walk.err;
}

err_t cli_verify_scan(struct cli_verify *verify, uint64_t *added, struct err_text *why)
{
    enum io_kind kind;
    size_t before = verify->files.count;
    *added = 0;
    TRY(io_disk_kind(verify->disk, verify->directory, &kind, why));
    /* A sink makes its directory with its first file, and an operator's mistake may hide it. */
    if (kind != IO_KIND_DIRECTORY)
        return err_ok();
    err_t err = scan(verify, verify->directory, 0, why);
    *added = verify->files.count - before;
    return err;
}

void cli_verify_judge(const struct cli_verify *verify, struct cli_verify_result *out)
{
    *out = (struct cli_verify_result){0};
    for (uint64_t i = 0; i < verify->acks->count; i++) {
        struct cli_ack ack = cli_acks_get(verify->acks, i);
        uint32_t seen = verify->seen[i];
        bool too_many = seen > ack.sure + ack.maybe && !ack.unbounded;
        if (seen < ack.sure) {
            if (out->missing++ == 0)
                cli_events_id(verify->acks->events, i, out->missing_id);
        } else if (too_many) {
            if (out->unexplained++ == 0)
                cli_events_id(verify->acks->events, i, out->unexplained_id);
        }
        /* Copies that nobody has counted exactly are taken for explained. */
        out->repeated += seen > 1;
        out->explained += seen > 1 && !too_many;
    }
}
