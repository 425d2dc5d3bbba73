/*
 * The rules are parsed once. Each call goes over them, and those that match its operation and
 * path count it; a rule whose number it is takes effect. What delays or kills before the call
 * happens there and then, the rest is noted in a plan that the call follows.
 *
 * Workers call in parallel, so the counts are atomic; which of two calls at the same time is the
 * n-th is then up to the scheduler, as the crash it stands for would be.
 */

#include "io/fault.h"

#include <stdatomic.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/list.h"
#include "base/number.h"

enum op {
    OP_OPEN,
    OP_CLOSE,
    OP_READ,
    OP_WRITE,
    OP_SYNC,
    OP_TRUNCATE,
    OP_RENAME,
    OP_REMOVE,
    OP_MKDIR,
    OP_SYNCDIR,
    OP_LIST,
    OP_WRITE_BEHIND,
    OP_SYNC_ALL,
    OP_ANY,
};

static const char *const op_names[] = {"open",     "close",       "read",    "write", "sync",
                                       "truncate", "rename",      "remove",  "mkdir", "syncdir",
                                       "list",     "writebehind", "syncall", "any",   NULL};

enum effect {
    EFFECT_KILL_BEFORE,
    EFFECT_KILL_AFTER,
    EFFECT_KILL_DURING,
    EFFECT_FAIL,
    EFFECT_SHORT,
    EFFECT_SLOW,
};

/* In the order of the first three effects, so that a name's place is its effect. */
static const char *const kill_moments[] = {"before", "after", "during", NULL};

static const char *const error_names[] = {"io", "space", "permission", "files", "memory", NULL};
static const enum err_code error_codes[] = {ERR_IO, ERR_NO_SPACE, ERR_PERMISSION, ERR_FD_LIMIT,
                                            ERR_MEMORY};

/* Calls are counted from 1. A rule without an end has `last` at the largest number there is. */
struct rule {
    enum effect effect;
    enum op op;
    enum err_code error; /* EFFECT_FAIL */
    uint64_t delay_ns;   /* EFFECT_SLOW */
    struct slice path;   /* in the disk's copy of the specification */
    uint64_t first;
    uint64_t last;
    _Atomic(uint64_t) count;
};

struct fault_disk {
    struct io_disk io;
    struct io_disk *inner;
    struct io_fault_hooks hooks;
    char *spec;
    struct rule *rules;
    size_t rule_count;
    _Atomic(uint64_t) fired;
};

struct fault_file {
    struct io_file io;
    struct io_file *inner;
    struct fault_disk *disk;
    char *path;
};

/* What is left for a call to do once the rules have been asked. */
struct plan {
    err_t error; /* the call is not made */
    bool half;   /* half of the bytes */
    bool kill_during;
    bool kill_after;
};

static struct fault_disk *disk_of(struct io_disk *disk)
{
    ASSERT(disk);
    return CONTAINER_OF(disk, struct fault_disk, io);
}

static struct fault_file *file_of(struct io_file *file)
{
    ASSERT(file);
    return CONTAINER_OF(file, struct fault_file, io);
}

static bool parse_name(struct slice text, const char *const *names, uint32_t *out)
{
    ASSERT(names && out);
    for (uint32_t i = 0; names[i]; i++) {
        if (slice_equal_string(text, names[i])) {
            *out = i;
            return true;
        }
    }
    return false;
}

/* "3", "3+" or "3x5". */
static bool parse_count(struct slice text, struct rule *rule)
{
    ASSERT(rule);
    bool open_ended = slice_ends_with(text, SLICE_LITERAL("+"));
    if (open_ended)
        text.size--;
    struct slice rest = text;
    struct slice first = slice_split(&rest, 'x');
    uint64_t times = 1;
    if (!err_is_ok(number_parse_u64(first, &rule->first)) || rule->first == 0)
        return false;
    /* Without an "x" there is no rest; with one, it has to be a number. */
    if (rest.data && (open_ended || !err_is_ok(number_parse_u64(rest, &times)) || times == 0))
        return false;
    rule->last = open_ended ? UINT64_MAX : rule->first + times - 1;
    return rule->last >= rule->first;
}

static bool parse_effect(struct slice *rest, struct rule *rule)
{
    ASSERT(rest && rule);
    struct slice name = slice_split(rest, ':');
    uint32_t index = 0;
    uint64_t ms = 0;
    /* The only effect without a detail: what follows its name is the operation. */
    if (slice_equal_string(name, "short")) {
        rule->effect = EFFECT_SHORT;
        return true;
    }
    struct slice detail = slice_split(rest, ':');
    if (slice_equal_string(name, "kill")) {
        bool known = parse_name(detail, kill_moments, &index);
        rule->effect = (enum effect)(EFFECT_KILL_BEFORE + index);
        return known;
    }
    if (slice_equal_string(name, "fail")) {
        bool known = parse_name(detail, error_names, &index);
        rule->effect = EFFECT_FAIL;
        rule->error = error_codes[index];
        return known;
    }
    /* What is none of the above has to be "slow", or the specification is refused: a rule that is
     * spelt wrong would let a test pass that tests nothing. */
    rule->effect = EFFECT_SLOW;
    bool known = slice_equal_string(name, "slow") && err_is_ok(number_parse_duration(detail, &ms));
    rule->delay_ns = ms * UINT64_C(1000000);
    /* What is longer than weeks is a mistake, and would overflow in nanoseconds. */
    return known && ms <= UINT32_MAX;
}

static bool parse_rule(struct slice text, struct rule *rule)
{
    uint32_t op = 0;
    if (!parse_effect(&text, rule) || !parse_name(slice_split(&text, ':'), op_names, &op))
        return false;
    rule->op = (enum op)op;
    rule->path = slice_split(&text, ':');
    /* Nothing but a write can be done by half. */
    bool halves = rule->effect == EFFECT_SHORT || rule->effect == EFFECT_KILL_DURING;
    ASSERT(rule->effect <= EFFECT_SLOW);
    return parse_count(text, rule) && (!halves || rule->op == OP_WRITE);
}

static err_t parse_rules(struct fault_disk *disk, struct err_text *why)
{
    struct slice rest = slice_string(disk->spec);
    for (size_t i = 0; i < disk->rule_count; i++) {
        struct slice text = slice_split(&rest, ';');
        if (!parse_rule(text, &disk->rules[i]))
            return err_set(why, ERR_CONFIG, "fault \"%.*s\": expected ACTION:OP:PATH:N",
                           SLICE_PRINTF(text));
    }
    ASSERT(rest.size == 0);
    return err_ok();
}

static bool contains(const char *text, struct slice part)
{
    ASSERT(text);
    /* An empty path matches all; a part of one is enough, so that a rule needs no directory of the
     * machine's in it. */
    return part.size == 0 || memmem(text, strlen(text), part.data, part.size);
}

/* Counts a call; true when the rule takes effect on it. */
static bool takes_effect(struct rule *rule, enum op op, const char *path, const char *other_path)
{
    ASSERT(op < OP_ANY);
    if (rule->op != op && rule->op != OP_ANY)
        return false;
    if (!contains(path, rule->path) && !(other_path && contains(other_path, rule->path)))
        return false;
    /* Only calls that match are counted, or a rule would mean another call with each change
     * elsewhere. */
    uint64_t number = atomic_fetch_add(&rule->count, 1) + 1;
    return number >= rule->first && number <= rule->last;
}

static void follow(const struct fault_disk *disk, const struct rule *rule, struct plan *plan)
{
    ASSERT(rule->first > 0);
    switch (rule->effect) {
    case EFFECT_KILL_BEFORE: disk->hooks.kill(); break;
    case EFFECT_KILL_AFTER: plan->kill_after = true; break;
    case EFFECT_KILL_DURING: plan->kill_during = plan->half = true; break;
    /* Of several rules for one call the last error stands; whatever else they ask for is done as
     * well. */
    case EFFECT_FAIL: plan->error = err_make(rule->error); break;
    case EFFECT_SHORT: plan->half = true; break;
    case EFFECT_SLOW: disk->hooks.sleep_ns(rule->delay_ns); break;
    }
}

static struct plan begin_two(struct fault_disk *disk, enum op op, const char *path,
                             const char *other_path)
{
    struct plan plan = {.error = err_ok()};
    ASSERT(path);
    for (size_t i = 0; i < disk->rule_count; i++) {
        if (!takes_effect(&disk->rules[i], op, path, other_path))
            continue;
        /* Before the effect, which may be the end of the process. */
        atomic_fetch_add(&disk->fired, 1);
        follow(disk, &disk->rules[i], &plan);
    }
    return plan;
}

static struct plan begin(struct fault_disk *disk, enum op op, const char *path)
{
    ASSERT(op != OP_RENAME);
    return begin_two(disk, op, path, NULL);
}

static err_t finish(const struct fault_disk *disk, const struct plan *plan, err_t err)
{
    ASSERT(disk->hooks.kill);
    /* Behind the call, before its caller is told: a crash in which all was done and nobody knew. */
    if (plan->kill_after)
        disk->hooks.kill();
    return err;
}

/* The plan's own error, with a detail that says where it comes from. */
static err_t injected(const struct plan *plan, const char *path, struct err_text *why)
{
    ASSERT(path);
    if (err_is_ok(plan->error))
        return err_ok();
    return err_set(why, (enum err_code)plan->error.code, "%s: %s (fault on purpose)", path,
                   err_string(plan->error));
}

/* A file's head points to the same calls as the disk's. */
static const struct io_disk_ops fault_ops;

static err_t fault_open(struct io_disk *io, const char *path, unsigned flags, struct io_file **out,
                        struct err_text *why)
{
    struct fault_disk *disk = disk_of(io);
    /* All memory comes first: a file that was made must be given back to the caller. */
    struct fault_file *file = mem_zalloc(1, sizeof(*file));
    char *copy = mem_string(path, strlen(path));
    err_t err = file && copy ? err_ok() : err_make(ERR_MEMORY);
    struct plan plan = {.error = err_ok()};
    if (err_is_ok(err)) {
        plan = begin(disk, OP_OPEN, path);
        err = injected(&plan, path, why);
    }
    if (err_is_ok(err))
        err = io_disk_open(disk->inner, path, flags, &file->inner, why);
    if (!err_is_ok(err)) {
        mem_free(copy);
        mem_free(file);
        return finish(disk, &plan, err);
    }
    ASSERT(file->inner);
    file->io.ops = &fault_ops;
    file->disk = disk;
    file->path = copy;
    *out = &file->io;
    return finish(disk, &plan, err_ok());
}

static err_t fault_close(struct io_file *io)
{
    struct fault_file *file = file_of(io);
    struct plan plan = begin(file->disk, OP_CLOSE, file->path);
    /* Closed in any case, as close(2) does: a file that stayed open would keep its lock. */
    err_t err = io_file_close(file->inner);
    err_t result = finish(file->disk, &plan, err_is_ok(plan.error) ? err : plan.error);
    mem_free(file->path);
    mem_free(file);
    return result;
}

static err_t fault_read(struct io_file *io, void *data, size_t size, uint64_t offset, size_t *got)
{
    struct fault_file *file = file_of(io);
    struct plan plan = begin(file->disk, OP_READ, file->path);
    ASSERT(!plan.half);
    TRY(plan.error);
    return finish(file->disk, &plan, io_file_read(file->inner, data, size, offset, got));
}

static err_t fault_write(struct io_file *io, const void *data, size_t size, uint64_t offset)
{
    struct fault_file *file = file_of(io);
    struct plan plan = begin(file->disk, OP_WRITE, file->path);
    /* An error is made without the call: what a disk has done of a write that failed, the half
     * write shows. */
    TRY(plan.error);
    if (!plan.half)
        return finish(file->disk, &plan, io_file_write(file->inner, data, size, offset));
    size_t half = size / 2;
    /* A direct write of anything but blocks would be refused instead of cut. */
    if (size >= IO_BLOCK)
        half -= half % IO_BLOCK;
    ASSERT(half <= size);
    /* Less than a block is cut in the middle, so that small files are torn too. */
    err_t err = io_file_write(file->inner, data, half, offset);
    if (plan.kill_during)
        file->disk->hooks.kill();
    return finish(file->disk, &plan, err_is_ok(err) ? err_make(ERR_IO) : err);
}

static err_t fault_sync(struct io_file *io)
{
    struct fault_file *file = file_of(io);
    struct plan plan = begin(file->disk, OP_SYNC, file->path);
    ASSERT(!plan.half);
    TRY(plan.error);
    return finish(file->disk, &plan, io_file_sync(file->inner));
}

static err_t fault_truncate(struct io_file *io, uint64_t size)
{
    struct fault_file *file = file_of(io);
    struct plan plan = begin(file->disk, OP_TRUNCATE, file->path);
    ASSERT(!plan.half);
    TRY(plan.error);
    return finish(file->disk, &plan, io_file_truncate(file->inner, size));
}

/* Neither looks nor locks fail on purpose: an error of theirs ends a start, and nothing comes of it
 * that a test could look for. */
static err_t fault_size(struct io_file *io, uint64_t *size)
{
    ASSERT(size);
    return io_file_size(file_of(io)->inner, size);
}

static err_t fault_lock(struct io_file *io)
{
    ASSERT(file_of(io)->inner);
    return io_file_lock(file_of(io)->inner);
}

static void fault_write_behind(struct io_file *io, uint64_t offset, uint64_t size)
{
    struct fault_file *file = file_of(io);
    struct plan plan = begin(file->disk, OP_WRITE_BEHIND, file->path);
    ASSERT(!plan.half);
    if (err_is_ok(plan.error))
        io_file_write_behind(file->inner, offset, size);
    /* The call has no result for an error to be in. */
    (void)finish(file->disk, &plan, err_ok());
}

/* What it answers changes only how long a read takes. */
static bool fault_in_memory(struct io_file *io, uint64_t offset, uint64_t size)
{
    ASSERT(size > 0);
    return io_file_in_memory(file_of(io)->inner, offset, size);
}

static err_t fault_sync_all(struct io_file *io)
{
    struct fault_file *file = file_of(io);
    struct plan plan = begin(file->disk, OP_SYNC_ALL, file->path);
    ASSERT(!plan.half);
    TRY(plan.error);
    return finish(file->disk, &plan, io_file_sync_all(file->inner));
}

static err_t fault_rename(struct io_disk *io, const char *from, const char *to,
                          struct err_text *why)
{
    struct fault_disk *disk = disk_of(io);
    struct plan plan = begin_two(disk, OP_RENAME, from, to);
    ASSERT(!plan.half);
    TRY(injected(&plan, to, why));
    return finish(disk, &plan, io_disk_rename(disk->inner, from, to, why));
}

static err_t fault_remove(struct io_disk *io, const char *path, struct err_text *why)
{
    struct fault_disk *disk = disk_of(io);
    struct plan plan = begin(disk, OP_REMOVE, path);
    ASSERT(!plan.half);
    TRY(injected(&plan, path, why));
    return finish(disk, &plan, io_disk_remove(disk->inner, path, why));
}

static err_t fault_make_directory(struct io_disk *io, const char *path, struct err_text *why)
{
    struct fault_disk *disk = disk_of(io);
    struct plan plan = begin(disk, OP_MKDIR, path);
    ASSERT(!plan.half);
    TRY(injected(&plan, path, why));
    return finish(disk, &plan, io_disk_make_directory(disk->inner, path, why));
}

static err_t fault_sync_directory(struct io_disk *io, const char *path, struct err_text *why)
{
    struct fault_disk *disk = disk_of(io);
    struct plan plan = begin(disk, OP_SYNCDIR, path);
    ASSERT(!plan.half);
    TRY(injected(&plan, path, why));
    return finish(disk, &plan, io_disk_sync_directory(disk->inner, path, why));
}

static err_t fault_list(struct io_disk *io, const char *path, io_list_fn *each, void *context,
                        struct err_text *why)
{
    struct fault_disk *disk = disk_of(io);
    struct plan plan = begin(disk, OP_LIST, path);
    ASSERT(!plan.half);
    TRY(injected(&plan, path, why));
    return finish(disk, &plan, io_disk_list(disk->inner, path, each, context, why));
}

static err_t fault_kind(struct io_disk *io, const char *path, enum io_kind *out,
                        struct err_text *why)
{
    ASSERT(out);
    return io_disk_kind(disk_of(io)->inner, path, out, why);
}

static err_t fault_space(struct io_disk *io, const char *path, struct io_space *out,
                         struct err_text *why)
{
    ASSERT(out);
    return io_disk_space(disk_of(io)->inner, path, out, why);
}

static const struct io_disk_ops fault_ops = {
    .open = fault_open,
    .close = fault_close,
    .read = fault_read,
    .write = fault_write,
    .sync = fault_sync,
    .truncate = fault_truncate,
    .size = fault_size,
    .lock = fault_lock,
    .write_behind = fault_write_behind,
    .in_memory = fault_in_memory,
    .sync_all = fault_sync_all,
    .rename = fault_rename,
    .remove = fault_remove,
    .make_directory = fault_make_directory,
    .sync_directory = fault_sync_directory,
    .list = fault_list,
    .kind = fault_kind,
    .space = fault_space,
};

static size_t count_rules(const char *spec)
{
    ASSERT(spec);
    size_t count = 1;
    /* One more than separators: an empty specification is one rule, which is refused. */
    for (const char *at = spec; *at; at++)
        count += *at == ';';
    return count;
}

err_t io_fault_disk_new(struct io_disk *inner, const char *spec, const struct io_fault_hooks *hooks,
                        struct io_disk **out, struct err_text *why)
{
    ASSERT(inner && hooks->kill && hooks->sleep_ns);
    struct fault_disk *disk = mem_zalloc(1, sizeof(*disk));
    if (!disk)
        return err_make(ERR_MEMORY);
    /* Freed by the same function as a complete one, which takes what is missing as NULL. */
    struct io_disk *made = &disk->io;
    disk->io.ops = &fault_ops;
    disk->inner = inner;
    disk->hooks = *hooks;
    disk->rule_count = count_rules(spec);
    disk->spec = mem_string(spec, strlen(spec));
    disk->rules = mem_zalloc(disk->rule_count, sizeof(*disk->rules));
    err_t err = disk->spec && disk->rules ? parse_rules(disk, why) : err_make(ERR_MEMORY);
    if (err_is_ok(err))
        *out = made;
    else
        io_fault_disk_free(&made);
    return err;
}

void io_fault_disk_free(struct io_disk **io)
{
    if (!*io)
        return;
    struct fault_disk *disk = disk_of(*io);
    ASSERT(disk->io.ops == &fault_ops);
    mem_free(disk->rules);
    mem_free(disk->spec);
    mem_free(disk);
    *io = NULL;
}

uint64_t io_fault_disk_count(struct io_disk *disk)
{
    ASSERT(disk->ops == &fault_ops);
    return atomic_load(&disk_of(disk)->fired);
}
