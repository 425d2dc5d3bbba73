#include "sinks/file/file.h"

#include <inttypes.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/map.h"
#include "sinks/file/outputs.h"
#include "sinks/file/publish.h"
#include "sinks/file/template.h"
#include "sinks/file/writer.h"

/*
 * A record goes to the writer of its directory, topic and partition. Which that is, is computed
 * once for records that follow each other in one partition within one period of the template
 * (a day, mostly): for them the cost is a comparison of times and the copy.
 *
 * The epoch is open from the first write to prepare or discard. Any error within leaves writers
 * in an unknown state, and the runner answers each with discard: nothing here repairs. A record
 * whose path cannot be is refused before anything is written.
 */

/* `-<first>-<last>.ndjson`, offsets in 20 digits. */
#define RANGE_FORMAT "-%020" PRIi64 "-%020" PRIi64
#define SUFFIX ".ndjson"
#define RANGE_SIZE (1u + 20u + 1u + 20u + 7u)
/* Redriven records may have the first and the last offset of an epoch's file, which they were left
 * out of: the epoch's number tells them from it, and from what else is ever redriven. */
#define REDRIVEN_FORMAT "-redriven-%020" PRIu64
#define REDRIVEN_SIZE (10u + 20u)

/* The writer of the records that come, as long as they are of one partition and period. */
struct cache {
    struct sinks_file_writer *writer; /* NULL: empty */
    uint32_t topic_id;
    uint32_t partition;
    int64_t time_first_ms;
    int64_t time_last_ms;
};

struct file_sink {
    struct io_disk *disk;
    const struct sinks_file_options *options;
    struct sinks_file_template template;
    struct map writers; /* by key */
    struct list open;   /* writers, the longest open first */
    uint32_t open_count;
    uint32_t next_number;
    bool begun;    /* the epoch */
    bool redriven; /* is of dead letters */
    bool roll;     /* a writer had to be closed for another */
    struct cache cache;
    struct buf key;  /* scratch */
    struct buf path; /* scratch */
};

static const char *const formats[] = {"ndjson", NULL};

static const struct option roll_options[] = {
    {.name = "size",
     .type = OPTION_SIZE,
     .offset = offsetof(struct sinks_file_roll, size_bytes),
     .fallback = "64MiB",
     .min = 1,
     .help = "bytes of a file after which the epoch is closed and its files are published"},
    {.name = "time",
     .type = OPTION_DURATION,
     .offset = offsetof(struct sinks_file_roll, time_ms),
     .fallback = "60s",
     .min = 1,
     .help = "time since the epoch's first record after which it is closed"},
    {0},
};

static const struct option options_table[] = {
    {.name = "path",
     .type = OPTION_PATH,
     .offset = offsetof(struct sinks_file_options, path),
     .required = true,
     .help = "directory of complete files, then templates: {topic} {partition} {key} "
             "{event_time:%Y-%m-%d}"},
    {.name = "format",
     .type = OPTION_ENUM,
     .offset = offsetof(struct sinks_file_options, format),
     .fallback = "ndjson",
     .choices = formats,
     .help = "a record a line"},
    {.name = "roll",
     .type = OPTION_TABLE,
     .offset = offsetof(struct sinks_file_options, roll),
     .table = roll_options,
     .help = "when files are published"},
    {.name = "max_open_files",
     .type = OPTION_U32,
     .offset = offsetof(struct sinks_file_options, max_open_files),
     .fallback = "64",
     .min = 1,
     .max = 1024,
     .help = "files open at once, 256 KiB of memory each; one more closes the epoch"},
    {0},
};

static err_t file_check(const void *options, struct err_text *why)
{
    const struct sinks_file_options *o = options;
    struct sinks_file_template t;
    /* Parsed to see whether it can be: the same way as at the start, so that what `check` lets pass
     * is not refused by `serve`. */
    TRY(sinks_file_template_parse(slice_string(o->path), &t, why));
    sinks_file_template_done(&t);
    return err_ok();
}

/* Whether `path` is `directory` or below it. */
static bool within(struct slice path, struct slice directory)
{
    ASSERT(path.data && directory.data);
    return slice_starts_with(path, directory) &&
           (path.size == directory.size || path.data[directory.size] == '/');
}

/* Whether a file of one could be taken for a file of the other. */
static bool overlap(struct slice a, struct slice b)
{
    return within(a, b) || within(b, a);
}

static err_t check_roots(struct slice a, struct slice b, struct err_text *why)
{
    struct buf a_progress = {0};
    struct buf b_progress = {0};
    sinks_file_progress_directory(&a_progress, a);
    sinks_file_progress_directory(&b_progress, b);
    err_t err = buf_error(&a_progress);
    if (err_is_ok(err))
        err = buf_error(&b_progress);
    if (err_is_ok(err) &&
        /* Also where one delivers into the directory in which the other one writes. */
        (overlap(a, b) || overlap(buf_slice(&a_progress), b) || overlap(a, buf_slice(&b_progress))))
        err = err_set(why, ERR_CONFIG,
                      "path: \"%.*s\" and \"%.*s\" contain one another; every file sink needs a "
                      "directory of its own",
                      SLICE_PRINTF(a), SLICE_PRINTF(b));
    buf_done(&a_progress);
    buf_done(&b_progress);
    return err;
}

static err_t file_check_pair(const void *a, const void *b, struct err_text *why)
{
    const struct sinks_file_options *of_a = a;
    const struct sinks_file_options *of_b = b;
    struct sinks_file_template template_a;
    struct sinks_file_template template_b;
    TRY(sinks_file_template_parse(slice_string(of_a->path), &template_a, why));
    err_t err = sinks_file_template_parse(slice_string(of_b->path), &template_b, why);
    if (err_is_ok(err)) {
        err = check_roots(template_a.root, template_b.root, why);
        sinks_file_template_done(&template_b);
    }
    sinks_file_template_done(&template_a);
    return err;
}

static uint64_t file_roll_time_ms(const void *options)
{
    const struct sinks_file_options *o = options;
    return o->roll.time_ms;
}

/* Frees every writer; what they wrote stays where it is. */
static void forget_epoch(struct file_sink *sink)
{
    size_t position = 0;
    struct sinks_file_writer *writer = NULL;
    while ((writer = map_next(&sink->writers, &position)))
        sinks_file_writer_free(writer);
    /* Its keys were the writers' own bytes: nothing may be looked up in it any more. */
    map_done(&sink->writers);
    ASSERT(list_empty(&sink->open));
    sink->open_count = 0;
    sink->next_number = 0;
    sink->begun = false;
    sink->roll = false;
    sink->cache.writer = NULL;
}

static void file_close(void *instance)
{
    struct file_sink *sink = instance;
    forget_epoch(sink);
    sinks_file_template_done(&sink->template);
    buf_done(&sink->key);
    buf_done(&sink->path);
    mem_free(sink);
}

static const char *root_of(const struct file_sink *sink)
{
    return (const char *)sink->template.root.data;
}

/* Says where, for an error of a file, which says only what. */
static err_t explain(const struct file_sink *sink, err_t err, struct err_text *why)
{
    /* Who has said more already is not talked over. */
    if (err_is_ok(err) || (why && why->text[0]))
        return err;
    return err_set(why, err.code, "writing below %s.inprogress: %s", root_of(sink),
                   err_string(err));
}

static err_t make_progress_directory(struct file_sink *sink, struct err_text *why)
{
    sinks_file_progress_directory(&sink->path, sink->template.root);
    TRY(buf_error(&sink->path));
    return io_disk_make_path(sink->disk, (const char *)sink->path.data, why);
}

/* Renames an empty directory from beside the root into it: a file would be seen by readers. */
static err_t probe_rename(struct file_sink *sink, struct err_text *why)
{
    buf_reset(&sink->key);
    buf_add_format(&sink->key, "%s.inprogress/.probe", root_of(sink));
    buf_add_byte(&sink->key, '\0');
    sinks_file_final_path(&sink->path, sink->template.root, SLICE_LITERAL(".probe"));
    TRY(buf_error(&sink->key));
    TRY(buf_error(&sink->path));
    const char *from = (const char *)sink->key.data;
    const char *to = (const char *)sink->path.data;
    /* At the start rather than at the end of an epoch: the root may be a mount of its own, and
     * nothing can be renamed into another file system. */
    TRY(io_disk_make_directory(sink->disk, from, why));
    err_t err = io_disk_rename(sink->disk, from, to, why);
    if (!err_is_ok(err)) {
        err_prefix(why, "files cannot be moved from %s.inprogress into it", root_of(sink));
        return err;
    }
    return io_disk_remove(sink->disk, to, why);
}

static err_t open_directories(struct file_sink *sink, const char *path, struct err_text *why)
{
    TRY(sinks_file_template_parse(slice_string(path), &sink->template, why));
    TRY(io_disk_make_path(sink->disk, root_of(sink), why));
    TRY(make_progress_directory(sink, why));
    return probe_rename(sink, why);
}

static err_t file_open(const struct sinks_open *open, void **instance, struct err_text *why)
{
    struct file_sink *sink = mem_zalloc(1, sizeof(*sink));
    if (!sink)
        return err_make(ERR_MEMORY);
    sink->disk = open->disk;
    sink->options = open->options;
    map_init(&sink->writers, open->seed);
    list_init(&sink->open);
    err_t err = open_directories(sink, sink->options->path, why);
    if (!err_is_ok(err)) {
        file_close(sink);
        return err;
    }
    *instance = sink;
    return err_ok();
}

/* Puts the key of a record's writer into `sink->key`. ERR_TOO_LARGE: there can be no such path. */
static err_t make_key(struct file_sink *sink, const struct sinks_batch *batch,
                      const struct flow_record *record, struct err_text *why)
{
    struct buf *key = &sink->key;
    struct sinks_file_values values = {batch->topic, batch->partition, record->key,
                                       record->timestamp_ms};
    buf_reset(key);
    TRY(sinks_file_template_render(&sink->template, &values, key, why));
    size_t directories_size = key->size;
    buf_add_string(key, batch->topic);
    buf_add_byte(key, '-');
    buf_add_u64(key, batch->partition);
    TRY(buf_error(key));
    /* With the range that the name gets in the end, though it is not known yet: a file that was
     * written and cannot be named would stop the sink for ever. */
    size_t range_size = RANGE_SIZE + (batch->redriven ? REDRIVEN_SIZE : 0);
    size_t name_size = key->size - directories_size + range_size;
    size_t path_size = sink->template.root.size + 1 + key->size + range_size;
    if (name_size > SINKS_FILE_NAME_MAX)
        return err_set(why, ERR_TOO_LARGE, "the file's name would have %zu bytes, over %u",
                       name_size, SINKS_FILE_NAME_MAX);
    if (path_size > SINKS_FILE_PATH_MAX)
        return err_set(why, ERR_TOO_LARGE, "the path would have %zu bytes, over %u", path_size,
                       SINKS_FILE_PATH_MAX);
    return err_ok();
}

/* Makes room among the open files: closes the one that is open for the longest. */
static err_t close_oldest(struct file_sink *sink)
{
    ASSERT(sink->open_count > 0);
    struct list *link = list_pop(&sink->open);
    sink->open_count--;
    /* Many open files mean records that are spread over many directories: an epoch that goes on
     * would open and close files all the time. It ends with this write. */
    sink->roll = true;
    return sinks_file_writer_close(CONTAINER_OF(link, struct sinks_file_writer, link));
}

static err_t open_writer(struct file_sink *sink, struct sinks_file_writer *writer,
                         struct err_text *why)
{
    if (writer->file)
        return err_ok();
    /* Before the new one, so that the limit is never passed. */
    if (sink->open_count >= sink->options->max_open_files)
        TRY(close_oldest(sink));
    sinks_file_progress_path(&sink->path, sink->template.root, writer->number);
    TRY(buf_error(&sink->path));
    TRY(sinks_file_writer_open(writer, sink->disk, (const char *)sink->path.data, why));
    list_add_tail(&sink->open, &writer->link);
    sink->open_count++;
    return err_ok();
}

/* The writer under `sink->key`, opened. */
static err_t writer_for_key(struct file_sink *sink, const struct sinks_batch *batch,
                            struct sinks_file_writer **out, struct err_text *why)
{
    struct sinks_file_writer *writer = map_get(&sink->writers, buf_slice(&sink->key));
    if (!writer) {
        writer = sinks_file_writer_new(buf_slice(&sink->key), batch->topic_id, batch->partition,
                                       sink->next_number);
        if (!writer)
            return err_make(ERR_MEMORY);
        err_t err = map_put(&sink->writers, slice_make(writer->key, writer->key_size), writer);
        if (!err_is_ok(err)) {
            sinks_file_writer_free(writer);
            return err;
        }
        /* Only with the writer in the map: a number that no writer has would be a file that no one
         * publishes. */
        sink->next_number++;
    }
    TRY(open_writer(sink, writer, why));
    *out = writer;
    return err_ok();
}

/* A comparison of times for most records, in place of a path that is rendered and looked up. */
static bool cache_fits(const struct cache *cache, const struct sinks_batch *batch, int64_t time_ms)
{
    return cache->writer && cache->topic_id == batch->topic_id &&
           cache->partition == batch->partition && time_ms >= cache->time_first_ms &&
           time_ms <= cache->time_last_ms;
}

static void cache_fill(struct file_sink *sink, const struct sinks_batch *batch, int64_t time_ms,
                       struct sinks_file_writer *writer)
{
    struct cache *cache = &sink->cache;
    *cache = (struct cache){writer, batch->topic_id, batch->partition, INT64_MIN, INT64_MAX};
    int64_t period = sink->template.period_ms;
    if (period) {
        /* Rounded down before 1970 as well, where % is below zero. */
        int64_t within_period = (time_ms % period + period) % period;
        /* At either end of time there is no whole period: that record stands alone. */
        bool whole = time_ms > INT64_MIN + period && time_ms < INT64_MAX - period;
        cache->time_first_ms = whole ? time_ms - within_period : time_ms;
        cache->time_last_ms = whole ? cache->time_first_ms + period - 1 : time_ms;
    }
    /* Neighbours have other keys: the cache would be asked for nothing. */
    if (sink->template.uses_key)
        cache->writer = NULL;
}

/* The open writer of a record; NULL when the record was refused. */
static err_t find_writer(struct file_sink *sink, const struct sinks_batch *batch,
                         const struct flow_record *record, struct sinks_result *result,
                         struct sinks_file_writer **out, struct err_text *why)
{
    struct sinks_file_writer *cached = sink->cache.writer;
    if (cache_fits(&sink->cache, batch, record->timestamp_ms) && cached->file) {
        *out = cached;
        return err_ok();
    }
    struct err_text detail = {0};
    err_t err = make_key(sink, batch, record, &detail);
    if (err_is(err, ERR_TOO_LARGE)) {
        *out = NULL;
        return sinks_refuse(result, record->offset, "sink", "%s", err_detail(err, &detail));
    }
    TRY(err);
    TRY(writer_for_key(sink, batch, out, why));
    cache_fill(sink, batch, record->timestamp_ms, *out);
    return err_ok();
}

/* Letters come in the order in which they were refused, which need not be that of their offsets. */
static void note_offset(struct sinks_file_writer *writer, int64_t offset)
{
    bool first = sinks_file_writer_size(writer) == 0;
    ASSERT(offset >= 0);
    if (first || offset < writer->first_offset)
        writer->first_offset = offset;
    if (first || offset > writer->last_offset)
        writer->last_offset = offset;
}

static err_t write_records(struct file_sink *sink, const struct sinks_batch *batch,
                           struct sinks_result *result, struct err_text *why)
{
    uint64_t size_largest = 0;
    struct flow_batch_iterator it = flow_batch_records(&batch->batch);
    struct flow_record record;
    err_t err = flow_batch_next(&it, &record);
    for (; err_is_ok(err); err = flow_batch_next(&it, &record)) {
        /* Delivered by an earlier epoch; a batch is stored whole, and a range may begin within
         * it. */
        if (record.offset < batch->offset_min)
            continue;
        struct sinks_file_writer *writer = NULL;
        TRY(find_writer(sink, batch, &record, result, &writer, why));
        if (!writer)
            /* Refused, and in the result as such: one record without a possible path must not hold
             * up the others. */
            continue;
        if (batch->redriven)
            note_offset(writer, record.offset);
        TRY(sinks_file_writer_add(writer, record.value));
        result->delivered++;
        /* The largest decides: files of one epoch are published together. */
        uint64_t size = sinks_file_writer_size(writer);
        size_largest = size > size_largest ? size : size_largest;
    }
    result->roll = result->roll || sink->roll || size_largest >= sink->options->roll.size_bytes;
    return err_is(err, ERR_END) ? err_ok() : err;
}

static err_t file_write(void *instance, const struct sinks_batch *batch,
                        struct sinks_result *result, struct err_text *why)
{
    struct file_sink *sink = instance;
    /* Each epoch, since an operator may have cleaned up; the directory is all that he can take away
     * without harm. */
    if (!sink->begun)
        TRY(make_progress_directory(sink, why));
    ASSERT(!sink->begun || sink->redriven == batch->redriven || sink->writers.count == 0);
    sink->begun = true;
    sink->redriven = batch->redriven;
    return explain(sink, write_records(sink, batch, result, why), why);
}

/* A walk over the partitions, once a file at the end of an epoch. */
static const struct flow_sink_range *range_of(const struct sinks_file_writer *writer,
                                              const struct flow_sink_range *ranges,
                                              uint32_t range_count)
{
    for (uint32_t i = 0; i < range_count; i++)
        if (ranges[i].topic_id == writer->topic_id && ranges[i].partition == writer->partition)
            return &ranges[i];
    UNREACHABLE("a partition that was written is in no range");
}

static int compare_keys(const void *a, const void *b)
{
    const struct sinks_file_writer *const *left = a;
    const struct sinks_file_writer *const *right = b;
    return slice_compare(slice_make((*left)->key, (*left)->key_size),
                         slice_make((*right)->key, (*right)->key_size));
}

/* All writers, those of one directory together; freed with mem_free. */
static struct sinks_file_writer **sorted_writers(const struct file_sink *sink)
{
    size_t count = sink->writers.count;
    struct sinks_file_writer **sorted = mem_zalloc(count, sizeof(struct sinks_file_writer *));
    if (!sorted)
        return NULL;
    size_t position = 0;
    for (size_t i = 0; i < count; i++)
        sorted[i] = map_next(&sink->writers, &position);
    /* By directory, so that publishing syncs each directory once. */
    qsort(sorted, count, sizeof(struct sinks_file_writer *), compare_keys);
    return sorted;
}

/* Puts the name that a writer's file gets into `sink->key`. */
static void make_name(struct file_sink *sink, const struct sinks_file_writer *writer,
                      uint64_t epoch, const struct flow_sink_range *ranges, uint32_t range_count)
{
    buf_reset(&sink->key);
    buf_add(&sink->key, writer->key, writer->key_size);
    if (sink->redriven) {
        buf_add_format(&sink->key, RANGE_FORMAT, writer->first_offset, writer->last_offset);
        buf_add_format(&sink->key, REDRIVEN_FORMAT SUFFIX, epoch);
        return;
    }
    /* The partition's range, not this file's: all files of an epoch and partition share it, and no
     * two epochs do, so a name is never used twice. */
    const struct flow_sink_range *range = range_of(writer, ranges, range_count);
    buf_add_format(&sink->key, RANGE_FORMAT SUFFIX, range->first_offset, range->end_offset - 1);
}

static err_t add_outputs(struct file_sink *sink, uint64_t epoch,
                         const struct flow_sink_range *ranges, uint32_t range_count,
                         struct buf *outputs)
{
    struct sinks_file_writer **sorted = sorted_writers(sink);
    if (!sorted)
        return err_make(ERR_MEMORY);
    sinks_file_outputs_begin(outputs, sink->template.root, sink->writers.count);
    for (size_t i = 0; i < sink->writers.count; i++) {
        const struct sinks_file_writer *writer = sorted[i];
        make_name(sink, writer, epoch, ranges, range_count);
        if (!buf_ok(&sink->key))
            break;
        sinks_file_outputs_add(outputs, writer->number, buf_slice(&sink->key));
    }
    mem_free(sorted);
    TRY(buf_error(&sink->key));
    return buf_error(outputs);
}

static err_t close_writers(struct file_sink *sink)
{
    while (sink->open_count) {
        struct list *link = list_pop(&sink->open);
        sink->open_count--;
        TRY(sinks_file_writer_close(CONTAINER_OF(link, struct sinks_file_writer, link)));
    }
    return err_ok();
}

static err_t file_prepare(void *instance, uint64_t epoch, const struct flow_sink_range *ranges,
                          uint32_t range_count, struct buf *outputs, struct err_text *why)
{
    struct file_sink *sink = instance;
    TRY(explain(sink, close_writers(sink), why));
    /* Names first, then what the log says of them: after a power loss a prepared epoch finds its
     * files. */
    if (sink->writers.count) {
        sinks_file_progress_directory(&sink->path, sink->template.root);
        TRY(buf_error(&sink->path));
        TRY(io_disk_sync_directory(sink->disk, (const char *)sink->path.data, why));
    }
    TRY(add_outputs(sink, epoch, ranges, range_count, outputs));
    forget_epoch(sink);
    return err_ok();
}

static err_t file_publish(void *instance, struct slice outputs, struct err_text *why)
{
    const struct file_sink *sink = instance;
    return sinks_file_publish(sink->disk, outputs, why);
}

static int collect_name(void *context, const char *name, enum io_kind kind)
{
    struct buf *names = context;
    struct slice text = slice_string(name);
    if (kind == IO_KIND_FILE && sinks_file_progress_name(text))
        buf_add(names, name, text.size + 1);
    return buf_ok(names) ? 0 : 1;
}

static void file_discard(void *instance)
{
    struct file_sink *sink = instance;
    forget_epoch(sink);
    sinks_file_progress_directory(&sink->path, sink->template.root);
    if (!buf_ok(&sink->path))
        return;
    struct buf names = {0};
    err_t err = io_disk_list(sink->disk, (const char *)sink->path.data, collect_name, &names, NULL);
    struct slice rest = err_is_ok(err) && buf_ok(&names) ? buf_slice(&names) : (struct slice){0};
    while (rest.size) {
        struct slice name = slice_split(&rest, '\0');
        buf_reset(&sink->path);
        buf_add_format(&sink->path, "%s.inprogress/%s", root_of(sink), (const char *)name.data);
        buf_add_byte(&sink->path, '\0');
        /* One that stays is opened empty, or removed by the next discard. */
        if (buf_ok(&sink->path))
            (void)io_disk_remove(sink->disk, (const char *)sink->path.data, NULL);
    }
    buf_done(&names);
}

const struct sinks_plugin sinks_file_plugin = {
    .name = "file",
    .help = "complete files of a record a line below a directory",
    .options = options_table,
    .options_size = sizeof(struct sinks_file_options),
    .check = file_check,
    .check_pair = file_check_pair,
    .roll_time_ms = file_roll_time_ms,
    .open = file_open,
    .close = file_close,
    .write = file_write,
    .prepare = file_prepare,
    .publish = file_publish,
    .discard = file_discard,
};
