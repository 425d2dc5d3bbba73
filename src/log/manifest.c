#include "log/manifest.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/hash.h"
#include "base/number.h"

/*
 * Strict, so that what is decoded is encoded to the same bytes: every number without a leading
 * zero, every line in its place. The last line has the checksum of all before it.
 */

#define FIRST_LINE "garner backup"

/* The seed of the map is fixed: paths come from this program or are checked before they are put
 * in, and their number is bounded by the text. */
void log_manifest_init(struct log_manifest *manifest)
{
    *manifest = (struct log_manifest){0};
    map_init(&manifest->by_path, 1);
    arena_init(&manifest->arena, 0);
    ASSERT(manifest->file_count == 0);
}

void log_manifest_done(struct log_manifest *manifest)
{
    ASSERT(manifest->files || manifest->file_count == 0);
    mem_free(manifest->files);
    map_done(&manifest->by_path);
    arena_done(&manifest->arena);
    *manifest = (struct log_manifest){0};
}

/* It is put behind a directory's: it must not lead out of it. */
static bool path_is_valid(struct slice path)
{
    struct slice rest = path;
    if (path.size == 0 || path.size > LOG_MANIFEST_PATH_MAX)
        return false;
    for (size_t i = 0; i < path.size; i++) {
        if (path.data[i] < 0x20 || path.data[i] == 0x7f)
            return false;
    }
    ASSERT(rest.data);
    while (rest.data) {
        struct slice name = slice_split(&rest, '/');
        if (name.size == 0 || name.size > 255 || slice_equal_string(name, ".") ||
            slice_equal_string(name, ".."))
            return false;
    }
    return true;
}

static err_t grow(struct log_manifest *manifest)
{
    if (manifest->file_count < manifest->file_capacity)
        return err_ok();
    size_t capacity = manifest->file_capacity ? manifest->file_capacity * 2 : 64;
    ASSERT(capacity > manifest->file_count);
    struct log_manifest_file *files = mem_realloc(manifest->files, capacity, sizeof *files);
    if (!files)
        return err_make(ERR_MEMORY);
    manifest->files = files;
    manifest->file_capacity = capacity;
    return err_ok();
}

/* The map's values are places in the list, from 1, since the list moves as it grows. */
static void *place(size_t index)
{
    ASSERT(index < UINTPTR_MAX);
    return (void *)(uintptr_t)(index + 1);
}

err_t log_manifest_add(struct log_manifest *manifest, const struct log_manifest_file *file)
{
    ASSERT(file->path.data || file->path.size == 0);
    if (!path_is_valid(file->path) || map_get(&manifest->by_path, file->path))
        return err_make(ERR_INVALID);
    TRY(grow(manifest));
    struct log_manifest_file added = *file;
    added.path = arena_slice(&manifest->arena, file->path);
    if (!added.path.data)
        return err_make(ERR_MEMORY);
    TRY(map_put(&manifest->by_path, added.path, place(manifest->file_count)));
    manifest->files[manifest->file_count++] = added;
    return err_ok();
}

const struct log_manifest_file *log_manifest_find(const struct log_manifest *manifest,
                                                  struct slice path)
{
    uintptr_t found = (uintptr_t)map_get(&manifest->by_path, path);
    ASSERT(found <= manifest->file_count);
    return found ? &manifest->files[found - 1] : NULL;
}

uint64_t log_manifest_bytes(const struct log_manifest *manifest)
{
    uint64_t bytes = 0;
    ASSERT(manifest->files || manifest->file_count == 0);
    for (size_t i = 0; i < manifest->file_count; i++)
        bytes += manifest->files[i].size;
    return bytes;
}

static void add_number(struct buf *out, const char *name, uint64_t value, uint8_t behind)
{
    ASSERT(name);
    buf_add_string(out, name);
    buf_add_u64(out, value);
    buf_add_byte(out, behind);
}

void log_manifest_encode(const struct log_manifest *manifest, struct buf *out)
{
    char uuid[UUID_TEXT_SIZE + 1];
    ASSERT(manifest->created_ms > 0);
    buf_reset(out);
    uuid_format(&manifest->uuid, uuid);
    buf_add_format(out, FIRST_LINE "\nformat %u\nuuid %s\n", LOG_MANIFEST_FORMAT, uuid);
    add_number(out, "created ", (uint64_t)manifest->created_ms, '\n');
    add_number(out, "lsn ", manifest->lsn, '\n');
    add_number(out, "copied ", manifest->copied_bytes, '\n');
    for (size_t i = 0; i < manifest->file_count; i++) {
        const struct log_manifest_file *file = &manifest->files[i];
        add_number(out, "file ", file->begun, ' ');
        add_number(out, "", file->size, ' ');
        add_number(out, "", file->crc, ' ');
        buf_add_slice(out, file->path);
        buf_add_byte(out, '\n');
    }
    if (buf_ok(out))
        add_number(out, "end ", crc32c(0, out->data, out->size), '\n');
}

/* A number as it is written here, up to `most`. */
static bool take_number(struct slice text, uint64_t most, uint64_t *out)
{
    ASSERT(out);
    bool plain = text.size > 0 && (text.size == 1 || text.data[0] != '0');
    return plain && err_is_ok(number_parse_u64(text, out)) && *out <= most;
}

/* The line "<name> <value>" at the front of `*text`, which has to be there. */
static bool take_value(struct slice *text, const char *name, struct slice *value)
{
    struct slice line = slice_split(text, '\n');
    *value = line;
    struct slice word = slice_split(value, ' ');
    ASSERT(name[0]);
    return slice_equal_string(word, name) && value->data;
}

static bool take_number_line(struct slice *text, const char *name, uint64_t most, uint64_t *out)
{
    struct slice value;
    ASSERT(most > 0);
    return take_value(text, name, &value) && take_number(value, most, out);
}

static err_t take_file(struct slice value, struct log_manifest *manifest)
{
    struct log_manifest_file file = {0};
    uint64_t crc = 0;
    ASSERT(value.data);
    bool good = take_number(slice_split(&value, ' '), INT64_MAX, &file.begun) && value.data;
    good = good && take_number(slice_split(&value, ' '), INT64_MAX, &file.size) && value.data;
    good = good && take_number(slice_split(&value, ' '), UINT32_MAX, &crc) && value.data;
    if (!good)
        return err_make(ERR_CORRUPT);
    file.crc = (uint32_t)crc;
    file.path = value;
    err_t err = log_manifest_add(manifest, &file);
    return err_is(err, ERR_INVALID) ? err_make(ERR_CORRUPT) : err;
}

static err_t take_head(struct slice *text, struct log_manifest *manifest)
{
    struct slice value = {0};
    uint64_t format = 0;
    uint64_t created = 0;
    ASSERT(manifest->file_count == 0);
    if (!slice_equal_string(slice_split(text, '\n'), FIRST_LINE) ||
        !take_number_line(text, "format", UINT32_MAX, &format) || format == 0)
        return err_make(ERR_CORRUPT);
    if (format > LOG_MANIFEST_FORMAT)
        return err_make(ERR_VERSION);
    char again[UUID_TEXT_SIZE + 1];
    if (!take_value(text, "uuid", &value) || !err_is_ok(uuid_parse(value, &manifest->uuid)))
        return err_make(ERR_CORRUPT);
    uuid_format(&manifest->uuid, again);
    bool good = slice_equal_string(value, again) &&
                take_number_line(text, "created", INT64_MAX, &created) && created > 0 &&
                take_number_line(text, "lsn", UINT64_MAX, &manifest->lsn) &&
                take_number_line(text, "copied", UINT64_MAX, &manifest->copied_bytes);
    manifest->created_ms = (int64_t)created;
    return err_make(good ? ERR_OK : ERR_CORRUPT);
}

/* The last line, without which or with another sum the text was cut or changed. */
static bool ends_well(struct slice text, struct slice *body)
{
    uint64_t crc = 0;
    if (text.size == 0 || text.data[text.size - 1] != '\n')
        return false;
    size_t at = text.size - 1;
    while (at > 0 && text.data[at - 1] != '\n')
        at--;
    *body = slice_sub(text, 0, at);
    struct slice rest = slice_sub(text, at, SIZE_MAX);
    ASSERT(rest.size > 0);
    return take_number_line(&rest, "end", UINT32_MAX, &crc) && rest.size == 0 &&
           crc == crc32c(0, body->data, body->size);
}

err_t log_manifest_decode(struct slice text, struct log_manifest *manifest)
{
    struct slice body = {0};
    ASSERT(manifest->file_count == 0);
    if (!ends_well(text, &body))
        return err_make(ERR_CORRUPT);
    TRY(take_head(&body, manifest));
    while (body.size > 0) {
        struct slice value;
        if (!take_value(&body, "file", &value))
            return err_make(ERR_CORRUPT);
        TRY(take_file(value, manifest));
    }
    return err_ok();
}
