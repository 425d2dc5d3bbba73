#include "log/partition.h"

#include "base/alloc.h"
#include "base/assert.h"

/*
 * The index is a queue: batches come in behind, and go from the front when their file is sealed.
 * Dead entries at the front are only counted, and overwritten when room is wanted; so that
 * dropping costs nothing while commits wait. An index that runs empty is given back: of ten
 * thousand partitions few have something in the WAL.
 */

#define CAPACITY_MIN 8u

void log_partition_done(struct log_partition *partition)
{
    ASSERT(list_empty(&partition->waiters));
    if (partition->index)
        /* The pointer goes along with the live entries; the memory begins before them. */
        mem_free(partition->index - partition->index_dead);
    mem_free(partition->segments);
    log_settled_done(&partition->settled);
    partition->index = NULL;
    partition->segments = NULL;
    partition->index_count = partition->index_dead = partition->index_capacity = 0;
    partition->segment_count = 0;
}

static struct log_index_entry *index_memory(const struct log_partition *partition)
{
    ASSERT(partition->index || partition->index_dead == 0);
    return partition->index ? partition->index - partition->index_dead : NULL;
}

/* Moves the live entries to the front. */
static void compact(struct log_partition *partition)
{
    ASSERT(partition->index_dead > 0);
    struct log_index_entry *memory = index_memory(partition);
    memmove(memory, partition->index, partition->index_count * sizeof *memory);
    partition->index = memory;
    partition->index_dead = 0;
}

err_t log_partition_reserve(struct log_partition *partition, uint64_t *index_bytes)
{
    ASSERT(partition->index || partition->index_capacity == 0);
    /* What is reserved counts as used: frames on their way have been promised it. */
    size_t used = partition->index_count + partition->index_reserved;
    ASSERT(partition->index_dead + used <= partition->index_capacity);
    bool full = partition->index_dead + used == partition->index_capacity;
    /* Entries are moved only where as many dead ones have paid for it, and so at most once each on
     * the average; with fewer the memory grows instead. */
    if (full && partition->index_dead > 0 && partition->index_dead * 2 >= partition->index_capacity)
        compact(partition);
    else if (full) {
        size_t capacity = partition->index_capacity ? partition->index_capacity * 2 : CAPACITY_MIN;
        struct log_index_entry *memory =
            mem_realloc(index_memory(partition), capacity, sizeof *memory);
        if (!memory)
            return err_make(ERR_MEMORY);
        *index_bytes += (capacity - partition->index_capacity) * sizeof *memory;
        partition->index = memory + partition->index_dead;
        partition->index_capacity = capacity;
    }
    partition->index_reserved++;
    return err_ok();
}

err_t log_partition_add(struct log_partition *partition, const struct log_index_entry *entry,
                        uint64_t *index_bytes)
{
    ASSERT(entry->size > 0 && entry->base_offset >= 0);
    /* In recovery nobody has reserved: there running out of memory is an answer. */
    if (partition->index_reserved == 0)
        TRY(log_partition_reserve(partition, index_bytes));
    ASSERT(partition->index_dead + partition->index_count < partition->index_capacity);
    partition->index_reserved--;
    partition->index[partition->index_count++] = *entry;
    partition->wal_bytes += entry->size;
    return err_ok();
}

void log_partition_drop_index(struct log_partition *partition, size_t count, uint64_t *index_bytes)
{
    ASSERT(count <= partition->index_count);
    for (size_t i = 0; i < count; i++)
        partition->wal_bytes -= partition->index[i].size;
    if (count > 0)
        /* Without an index there is nothing to step over: no arithmetic on NULL. */
        partition->index += count;
    partition->index_dead += count;
    partition->index_count -= count;
    /* Memory that was reserved stays: the batch it is for may be on the disk already, and adding it
     * must not fail. */
    if (partition->index_count > 0 || partition->index_reserved > 0 || !partition->index)
        return;
    *index_bytes -= partition->index_capacity * sizeof *partition->index;
    mem_free(index_memory(partition));
    partition->index = NULL;
    partition->index_dead = partition->index_capacity = 0;
}

err_t log_partition_put_segments(struct log_partition *partition,
                                 const struct log_segment *segments, uint32_t count)
{
    ASSERT(segments && count > 0);
    uint32_t kept = partition->segment_count;
    /* The sealer works on copies. The first of them may be the last segment here, grown since. */
    bool goes_on = kept > 0 && partition->segments[kept - 1].base_offset == segments[0].base_offset;
    kept -= goes_on ? 1 : 0;
    struct log_segment *grown =
        mem_realloc(partition->segments, (size_t)kept + count, sizeof *grown);
    if (!grown)
        return err_make(ERR_MEMORY);
    /* Behind the last thing that can fail: from here the partition changes as a whole. */
    struct log_segment_checked checked = {0};
    if (goes_on) {
        partition->sealed_bytes -= grown[kept].size;
        checked = grown[kept].checked;
    }
    for (uint32_t i = 0; i < count; i++) {
        ASSERT(kept + i == 0 || grown[kept + i - 1].end_offset <= segments[i].base_offset);
        grown[kept + i] = segments[i];
        /* A copy that comes back does not know what was looked at meanwhile. */
        grown[kept + i].checked = i == 0 ? checked : (struct log_segment_checked){0};
        partition->sealed_bytes += segments[i].size;
    }
    partition->segments = grown;
    partition->segment_count = kept + count;
    return err_ok();
}

void log_partition_drop_segments(struct log_partition *partition, uint32_t count)
{
    ASSERT(count <= partition->segment_count);
    if (count == 0)
        return;
    for (uint32_t i = 0; i < count; i++)
        partition->sealed_bytes -= partition->segments[i].size;
    /* Not made smaller, since another one will come; a partition without any gives all back. */
    partition->segment_count -= count;
    memmove(partition->segments, partition->segments + count,
            partition->segment_count * sizeof *partition->segments);
    if (partition->segment_count == 0) {
        mem_free(partition->segments);
        partition->segments = NULL;
    }
}

uint32_t log_partition_segments_before(const struct log_partition *partition, int64_t offset)
{
    ASSERT(partition->segments || partition->segment_count == 0);
    uint32_t low = 0;
    uint32_t high = partition->segment_count; /* the first that ends behind `offset` */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (partition->segments[middle].end_offset <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct log_segment *log_partition_segment(const struct log_partition *partition,
                                                int64_t offset)
{
    uint32_t at = log_partition_segments_before(partition, offset);
    ASSERT(at <= partition->segment_count);
    return at < partition->segment_count ? &partition->segments[at] : NULL;
}

size_t log_partition_find(const struct log_partition *partition, int64_t offset)
{
    ASSERT(partition->index || partition->index_count == 0);
    size_t low = 0;
    size_t high = partition->index_count; /* the first entry that begins after `offset` */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (partition->index[middle].base_offset <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 ? low - 1 : 0;
}

uint64_t log_partition_held_wal_bytes(const struct log_partition *partition)
{
    uint64_t bytes = partition->wal_bytes;
    size_t count = partition->index_count;
    ASSERT(partition->index || count == 0);
    /* A batch ends where the next one begins, or before. */
    for (size_t i = 0; i < count; i++) {
        int64_t end = i + 1 < count ? partition->index[i + 1].base_offset : partition->end_offset;
        if (end > partition->start_offset)
            break;
        bytes -= partition->index[i].size;
    }
    return bytes;
}

/* The first batch from `at` on that has a record, or the last one: batches without have as many
 * before them as it has. */
static size_t with_records(const struct log_partition *partition, size_t at)
{
    size_t low = at + 1;
    size_t high = partition->index_count; /* the first with more before it */
    ASSERT(at < high);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (partition->index[middle].records_before <= partition->index[at].records_before)
            low = middle + 1;
        else
            high = middle;
    }
    return low - 1;
}

int64_t log_partition_commit_ms(const struct log_partition *partition, int64_t offset)
{
    ASSERT(offset >= 0);
    if (offset >= partition->end_offset)
        return 0;
    for (uint32_t i = log_partition_segments_before(partition, offset);
         i < partition->segment_count; i++)
        if (partition->segments[i].records > 0)
            return partition->segments[i].first_commit_ms;
    if (partition->index_count == 0)
        return 0;
    size_t at = log_partition_find(partition, offset);
    return partition->index[with_records(partition, at)].commit_time_ms;
}

/* `inside` offsets of `size`, behind `before` records and with `after` at their end: holes may all
 * be on the one side, or on the other. */
static struct log_count count_inside(uint64_t before, int64_t inside, int64_t size, uint64_t after)
{
    ASSERT(inside >= 0 && before <= after);
    uint64_t records = after - before;
    uint64_t front = (uint64_t)inside;
    uint64_t back = size > inside ? (uint64_t)(size - inside) : 0;
    return (struct log_count){after - (back < records ? back : records),
                              before + (front < records ? front : records)};
}

static struct log_count exactly(uint64_t records)
{
    return (struct log_count){records, records};
}

struct log_count log_partition_count_before(const struct log_partition *partition, int64_t offset)
{
    ASSERT(offset <= partition->end_offset);
    /* The end is known as it is. Before it segments come first, since they hold the lower offsets,
     * then the index of what is in the log alone. */
    if (offset >= partition->end_offset)
        return exactly(partition->records);
    const struct log_segment *segment = log_partition_segment(partition, offset);
    if (segment && offset <= segment->base_offset)
        return exactly(segment->records_before);
    if (segment)
        return count_inside(segment->records_before, offset - segment->base_offset,
                            segment->end_offset - segment->base_offset,
                            segment->records_before + segment->records);
    if (partition->index_count == 0)
        /* Behind the last segment, and nothing in the log: a hole at the end, with all records
         * before. */
        return exactly(partition->records);
    size_t at = log_partition_find(partition, offset);
    const struct log_index_entry *entry = &partition->index[at];
    if (offset <= entry->base_offset)
        return exactly(entry->records_before);
    /* A batch ends where the next one begins, or before. */
    int64_t end = at + 1 < partition->index_count ? entry[1].base_offset : partition->end_offset;
    return count_inside(entry->records_before, offset - entry->base_offset,
                        end - entry->base_offset, entry->records_before + entry->record_count);
}

uint64_t log_partition_records_before(const struct log_partition *partition, int64_t offset)
{
    ASSERT(offset <= partition->end_offset);
    if (offset < partition->end_offset && offset <= partition->start_offset)
        return partition->records_start;
    struct log_count count = log_partition_count_before(partition, offset);
    /* In the log alone records come before what is a hole behind them. In a segment the most would
     * be no lag for who has stopped among holes, the least one that never ends for who has stopped
     * in front of some. */
    bool sealed = log_partition_segment(partition, offset) != NULL;
    return sealed ? count.least + (count.most - count.least) / 2 : count.most;
}
