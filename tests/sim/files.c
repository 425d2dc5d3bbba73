#include "sim/world.h"

#include <stdio.h>
#include <string.h>

#include "base/number.h"

/* One directory held against what the log says of it. */
struct walk {
    struct world *w;
    const struct log_topic *topic;
    const struct log_partition *partition;
    uint32_t number; /* of the partition */
    uint32_t files;
};

static const struct log_topic *topic_with(const struct log *log, const struct uuid *uuid)
{
    for (uint32_t i = 0; i < log->state.topic_count; i++)
        if (!log->state.topics[i]->deleted && uuid_equal(&log->state.topics[i]->uuid, uuid))
            return log->state.topics[i];
    return NULL;
}

/* Behind what counts lies nothing, or other people's tools would read it. What a clean stop has
 * given up half way is only cut by the next sealing. */
static void check_size(struct walk *walk, const char *name, uint32_t index)
{
    char path[LOG_SEGMENT_PATH_MAX];
    struct world *w = walk->w;
    const struct log_segment *segment = &walk->partition->segments[index];
    struct log_segment_place place = log_place(w->log, walk->topic, walk->number);
    log_segment_path(&place, segment->base_offset, LOG_SEGMENT_LOG, path);
    struct io_file *file = NULL;
    uint64_t size = 0;
    err_t err = io_disk_open(sim_disk_io(w->disk), path, IO_OPEN_READ, &file, NULL);
    if (err_is_ok(err))
        err = io_file_size(file, &size);
    MODEL_EXPECT(&w->model, err_is_ok(err));
    err = io_file_close(file);
    MODEL_EXPECT(&w->model, err_is_ok(err));
    bool open = index + 1 == walk->partition->segment_count;
    if (size != segment->size && !(open && w->log->recovered.clean && size > segment->size))
        model_fail(&w->model, "topic %s: %s has %llu bytes instead of %llu", walk->topic->name,
                   name, (unsigned long long)size, (unsigned long long)segment->size);
}

static int check_name(void *context, const char *name, enum io_kind kind)
{
    struct walk *walk = context;
    struct slice rest = slice_string(name);
    struct slice digits = slice_split(&rest, '.');
    uint64_t base = 0;
    bool known = kind == IO_KIND_FILE && err_is_ok(number_parse_u64(digits, &base));
    bool found = false;
    for (uint32_t i = 0; known && !found && i < walk->partition->segment_count; i++) {
        found = (uint64_t)walk->partition->segments[i].base_offset == base;
        if (found && slice_equal_string(rest, "log"))
            check_size(walk, name, i);
    }
    if (!found)
        model_fail(&walk->w->model, "topic %s: a file %s is left over", walk->topic->name, name);
    walk->files += slice_equal_string(rest, "log");
    return 0;
}

static void check_partition(struct world *w, const struct log_topic *topic, uint32_t partition)
{
    char path[LOG_SEGMENT_PATH_MAX];
    struct walk walk = {
        .w = w, .topic = topic, .partition = &topic->partitions[partition], .number = partition};
    struct log_segment_place place = log_place(w->log, topic, partition);
    log_segment_partition_path(&place, path);
    enum io_kind kind;
    err_t err = io_disk_kind(sim_disk_io(w->disk), path, &kind, NULL);
    if (err_is_ok(err) && kind == IO_KIND_DIRECTORY)
        err = io_disk_list(sim_disk_io(w->disk), path, check_name, &walk, NULL);
    MODEL_EXPECT(&w->model, err_is_ok(err) && walk.files == walk.partition->segment_count);
}

static int check_topic_name(void *context, const char *name, enum io_kind kind)
{
    struct walk *walk = context;
    struct slice text = slice_string(name);
    struct uuid uuid;
    bool ours = kind == IO_KIND_DIRECTORY && text.size > UUID_TEXT_SIZE &&
                err_is_ok(uuid_parse(slice_sub(text, text.size - UUID_TEXT_SIZE, SIZE_MAX), &uuid));
    if (!ours || !topic_with(walk->w->log, &uuid))
        model_fail(&walk->w->model, "the directory %s of a topic is left over", name);
    return 0;
}

static int check_keys_name(void *context, const char *name, enum io_kind kind)
{
    const struct walk *walk = context;
    struct world *w = walk->w;
    if (kind != IO_KIND_FILE || !log_state_keys_named(&w->log->state, walk->topic, name))
        model_fail(&w->model, "topic %s: a file of keys %s is left over", walk->topic->name, name);
    return 0;
}

static void check_keys(struct world *w, const struct log_topic *topic)
{
    char of_topic[LOG_SEGMENT_PATH_MAX];
    char path[LOG_SEGMENT_PATH_MAX + 8];
    struct walk walk = {.w = w, .topic = topic};
    log_state_topic_directory(topic, "data", of_topic);
    snprintf(path, sizeof path, "%s/keys", of_topic);
    enum io_kind kind;
    err_t err = io_disk_kind(sim_disk_io(w->disk), path, &kind, NULL);
    if (err_is_ok(err) && kind == IO_KIND_DIRECTORY)
        err = io_disk_list(sim_disk_io(w->disk), path, check_keys_name, &walk, NULL);
    MODEL_EXPECT(&w->model, err_is_ok(err));
}

static bool removable_keys(const struct log_state *state)
{
    for (size_t i = 0; i < state->doomed_keys_count; i++)
        if (state->doomed_keys[i].age >= LOG_CHECKPOINTS_KEPT)
            return true;
    return false;
}

static bool is_at_rest(void *context)
{
    const struct log *log = ((const struct world *)context)->log;
    return log->sealer.phase == LOG_SEALER_IDLE && !log->sealer.running && !log->maker.running &&
           log->state.doomed_count == 0 && !removable_keys(&log->state) &&
           log->sealer.removal_count == 0 && !log->flushing;
}

void world_check_files(struct world *w)
{
    if (!sim_run_until(w->sim, is_at_rest, w, 100000))
        model_fail(&w->model, "sealing does not come to an end");
    struct walk walk = {.w = w};
    enum io_kind kind;
    err_t err = io_disk_kind(sim_disk_io(w->disk), "data/topics", &kind, NULL);
    if (err_is_ok(err) && kind == IO_KIND_DIRECTORY)
        err = io_disk_list(sim_disk_io(w->disk), "data/topics", check_topic_name, &walk, NULL);
    MODEL_EXPECT(&w->model, err_is_ok(err));
    for (uint32_t t = 0; t < w->log->state.topic_count; t++)
        if (!w->log->state.topics[t]->deleted)
            check_keys(w, w->log->state.topics[t]);
    for (uint32_t t = 0; t < w->log->state.topic_count; t++)
        for (uint32_t p = 0; p < w->log->state.topics[t]->partition_count; p++)
            check_partition(w, w->log->state.topics[t], p);
}

void world_check_sizes(struct world *w)
{
    for (uint32_t t = 0; t < w->log->state.topic_count && !w->log->recovered.clean; t++) {
        const struct log_topic *topic = w->log->state.topics[t];
        for (uint32_t p = 0; p < topic->partition_count; p++) {
            struct walk walk = {
                .w = w, .topic = topic, .partition = &topic->partitions[p], .number = p};
            for (uint32_t i = 0; i < walk.partition->segment_count; i++)
                check_size(&walk, "a segment", i);
        }
    }
}
