/*
 * A configuration file and a contract of any bytes: loading ends with a verdict, every message has
 * a place within the text, and what is accepted keeps what the tables promise. The text is used
 * three ways: as configuration, as contract, and as what a reference to a file brings in.
 */

#include "fuzz/fuzz.h"

#include <string.h>

#include "base/alloc.h"
#include "base/list.h"
#include "control/catalog/catalog.h"
#include "control/config/config.h"
#include "control/config/value.h"

/* A disk that holds one text under every name but a few. */
struct disk {
    struct io_disk disk;
    struct slice text;
    const char *role; /* the file that is the text */
};

struct file {
    struct io_file file;
    struct slice content;
};

static err_t disk_open(struct io_disk *disk, const char *path, unsigned flags, struct io_file **out,
                       struct err_text *why)
{
    (void)flags;
    struct disk *d = CONTAINER_OF(disk, struct disk, disk);
    struct slice content = SLICE_LITERAL("{}");
    if (strcmp(path, d->role) == 0 || strncmp(path, "/secret", 7) == 0)
        content = d->text;
    else if (strcmp(path, "contract.yaml") == 0)
        content = SLICE_LITERAL("topic: t\n");
    else if (strcmp(path, "garner.yaml") == 0)
        content = SLICE_LITERAL("contracts: [ contract.yaml ]\n");
    else
        return err_set(why, ERR_NO_FILE, "%s: no such file", path);
    struct file *file = mem_zalloc(1, sizeof(*file));
    FUZZ_EXPECT(file);
    *file = (struct file){{disk->ops}, content};
    *out = &file->file;
    return err_ok();
}

static err_t disk_close(struct io_file *file)
{
    mem_free(CONTAINER_OF(file, struct file, file));
    return err_ok();
}

static err_t disk_read(struct io_file *file, void *data, size_t size, uint64_t offset, size_t *got)
{
    struct slice part =
        slice_sub(CONTAINER_OF(file, struct file, file)->content, (size_t)offset, size);
    if (part.size > 0)
        memcpy(data, part.data, part.size);
    *got = part.size;
    return err_ok();
}

static err_t disk_size(struct io_file *file, uint64_t *size)
{
    *size = CONTAINER_OF(file, struct file, file)->content.size;
    return err_ok();
}

static err_t disk_list(struct io_disk *disk, const char *path, io_list_fn *each, void *context,
                       struct err_text *why)
{
    (void)disk;
    (void)path;
    (void)why;
    each(context, "contract.yaml", IO_KIND_FILE);
    return err_ok();
}

static err_t disk_kind(struct io_disk *disk, const char *path, enum io_kind *out,
                       struct err_text *why)
{
    (void)disk;
    (void)why;
    size_t size = strlen(path);
    bool file = size > 5 && strcmp(path + size - 5, ".yaml") == 0;
    *out = file ? IO_KIND_FILE : IO_KIND_DIRECTORY;
    return err_ok();
}

static const struct io_disk_ops disk_ops = {.open = disk_open,
                                            .close = disk_close,
                                            .read = disk_read,
                                            .size = disk_size,
                                            .list = disk_list,
                                            .kind = disk_kind};

struct file_sink {
    const char *path;
};

static const struct option file_options[] = {
    {.name = "path",
     .type = OPTION_PATH,
     .offset = offsetof(struct file_sink, path),
     .required = true,
     .help = "Where."},
    {0},
};

/* Broken options never come this far. */
static err_t file_check(const void *options, struct err_text *why)
{
    const struct file_sink *sink = options;
    FUZZ_EXPECT(sink->path && sink->path[0] == '/');
    return strstr(sink->path, "{}") ? err_set(why, ERR_CONFIG, "path: empty") : err_ok();
}

static err_t file_check_pair(const void *a, const void *b, struct err_text *why)
{
    const struct file_sink *x = a;
    const struct file_sink *y = b;
    return strcmp(x->path, y->path) == 0 ? err_set(why, ERR_CONFIG, "path: twice") : err_ok();
}

static const struct control_sink_type sink_types[] = {
    {.name = "file",
     .options = file_options,
     .options_size = sizeof(struct file_sink),
     .check = file_check,
     .check_pair = file_check_pair},
    {0},
};

static const char *env(const char *name)
{
    return strcmp(name, "A") == 0 ? "value" : NULL;
}

static void expect_places(const struct control_messages *messages, const struct disk *d)
{
    size_t lines = 2;
    for (size_t i = 0; i < d->text.size; i++)
        lines += d->text.data[i] == '\n' || d->text.data[i] == '\r' || d->text.data[i] >= 0x80;
    for (size_t i = 0; i < messages->count; i++) {
        const struct control_message *m = &messages->items[i];
        FUZZ_EXPECT(m->place.file[0] && m->place.path[0] && m->text[0]);
        FUZZ_EXPECT(m->place.line > 0 && m->place.column > 0);
        FUZZ_EXPECT(m->place.line <= lines && m->place.column <= d->text.size + 40);
        struct buf line = {0};
        control_report_print(&line, m);
        FUZZ_EXPECT(buf_ok(&line) && slice_find(buf_slice(&line), '\n') == line.size);
        buf_done(&line);
    }
}

static void expect_config(const struct control_config *c)
{
    FUZZ_EXPECT(c->data_dir[0] == '/' && c->memory_limit > 0);
    FUZZ_EXPECT(c->intake.record_bytes_max <= c->intake.body_bytes_max);
    FUZZ_EXPECT(c->intake.body_bytes_max <= c->wal_limit / 4);
    FUZZ_EXPECT(c->allow_open || c->intake.allow_open ||
                control_config_address_is_loopback(c->intake.listen));
    FUZZ_EXPECT(c->kafka.advertised ? control_config_advertised_valid(c->kafka.advertised)
                                    : !control_config_address_is_wildcard(c->kafka.listen));
    for (size_t i = 0; i < c->sink_count; i++)
        FUZZ_EXPECT(c->sinks[i].type == sink_types && c->sinks[i].topics.count > 0);
}

static void expect_catalog(const struct control_catalog *c)
{
    for (size_t i = 0; i < c->topic_count; i++) {
        const struct control_catalog_topic *t = &c->topics[i];
        FUZZ_EXPECT(t->partitions >= 1 && t->partitions <= 10000);
        FUZZ_EXPECT(strlen(t->name) <= CONTROL_CATALOG_NAME_MAX && t->name[0] != '_');
        FUZZ_EXPECT(control_catalog_find(c, slice_string(t->name)) == t);
    }
}

/* Loads all with the text in the place of file `role`. */
static void load(struct slice text, const char *role)
{
    struct disk d = {{&disk_ops}, text, role};
    const struct control_config_host host = {.disk = &d.disk,
                                             .directory = "/here",
                                             .env = env,
                                             .memory_bytes = 1u << 30,
                                             .sink_types = sink_types};
    struct control_report report;
    control_report_init(&report);
    struct control_config *config = NULL;
    struct control_catalog *catalog = NULL;
    err_t err = control_config_load(&host, "garner.yaml", &config, &report);
    if (err_is_ok(err)) {
        expect_config(config);
        err = control_catalog_load(&host, config, &catalog, &report);
    }
    FUZZ_EXPECT(err_is(err, ERR_OK) || err_is(err, ERR_CONFIG));
    FUZZ_EXPECT(err_is_ok(err) == (report.errors.count == 0));
    if (catalog)
        expect_catalog(catalog);
    expect_places(&report.errors, &d);
    expect_places(&report.notes, &d);
    control_catalog_free(&catalog);
    control_config_free(&config);
    control_report_done(&report);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    load(slice_make(data, size), "garner.yaml");
    load(slice_make(data, size), "contract.yaml");
    return 0;
}
