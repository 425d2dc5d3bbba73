/*
 * A write makes a new page for each page it touches, puts it into live and notes it as pending; a
 * sync copies the pointers of the pages that are pending into durable. A crash goes through what
 * is pending in the order of writing and applies to durable what fate lets through, so that of
 * several writes to a sector any one may survive. Sizes are changes among the others: bytes
 * behind the size that survives are gone, whoever wrote them.
 *
 * What goes wrong: memory and space may run out while a write is half done, as on a real disk.
 * Tests that let allocations fail do not do so across a crash, which asserts its memory.
 */

#include "sim/content.h"

#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"

#define SECTORS_PER_PAGE (SIM_PAGE_SIZE / SIM_SECTOR_SIZE)
#define ALL_SECTORS 0xffu

_Static_assert(SECTORS_PER_PAGE == 8, "a page's sectors are the bits of a byte");

/* Shared between live, durable and pending: a page is never changed once it is in any of them. */
struct sim_page {
    uint32_t references;
    uint8_t data[SIM_PAGE_SIZE];
};

static struct sim_page *page_ref(struct sim_page *page)
{
    ASSERT(!page || page->references > 0);
    if (page)
        page->references++;
    return page;
}

static void page_unref(struct sim_page *page)
{
    if (!page)
        return;
    ASSERT(page->references > 0);
    if (--page->references == 0)
        mem_free(page);
}

/* A page of one's own with `data`, or zeros. */
static struct sim_page *page_new(const uint8_t *data)
{
    struct sim_page *page = mem_alloc(sizeof(*page));
    if (!page)
        return NULL;
    page->references = 1;
    if (data)
        memcpy(page->data, data, SIM_PAGE_SIZE);
    else
        memset(page->data, 0, SIM_PAGE_SIZE);
    ASSERT(page->references == 1);
    return page;
}

static struct sim_page *page_copy(const struct sim_page *from)
{
    ASSERT(!from || from->references > 0);
    return page_new(from ? from->data : NULL);
}

/* One page for all that hold the same byte throughout: files that are written full of a filler
 * before use would else take the memory of a real disk. */
static struct sim_page *page_filled(struct sim_store *store, const uint8_t *data)
{
    struct sim_page **fill = &store->fills[data[0]];
    if (!*fill)
        *fill = page_new(data);
    ASSERT(!*fill || (*fill)->data[0] == data[0]);
    return page_ref(*fill);
}

static struct sim_page *get(const struct sim_pages *pages, size_t index)
{
    ASSERT(pages->items || pages->count == 0);
    /* NULL is a hole, which reads as zeros. */
    return index < pages->count ? pages->items[index] : NULL;
}

static bool make_room(struct sim_pages *pages, size_t count)
{
    if (count <= pages->count)
        return true;
    ASSERT(pages->count <= SIZE_MAX / 2);
    /* Doubled: files grow from the front in small steps. */
    size_t wanted = count > 2 * pages->count ? count : 2 * pages->count;
    struct sim_page **items = mem_realloc(pages->items, wanted, sizeof(struct sim_page *));
    if (!items)
        return false;
    memset(items + pages->count, 0, (wanted - pages->count) * sizeof(struct sim_page *));
    pages->items = items;
    pages->count = wanted;
    return true;
}

/* Puts `page`, whose reference it takes over; there is room. */
static void put(struct sim_pages *pages, size_t index, struct sim_page *page)
{
    ASSERT(index < pages->count);
    page_unref(pages->items[index]);
    pages->items[index] = page;
}

/* The same for live pages, which are counted. */
static void put_live(struct sim_content *content, struct sim_store *store, size_t index,
                     struct sim_page *page)
{
    store->page_count += page != NULL;
    store->page_count -= get(&content->live, index) != NULL;
    put(&content->live, index, page);
    ASSERT(store->page_count <= UINT64_MAX / 2);
}

static uint64_t pages_in_use(const struct sim_pages *pages)
{
    uint64_t count = 0;
    ASSERT(pages->items || pages->count == 0);
    for (size_t i = 0; i < pages->count; i++)
        count += pages->items[i] != NULL;
    return count;
}

static void pages_done(struct sim_pages *pages)
{
    ASSERT(pages->items || pages->count == 0);
    for (size_t i = 0; i < pages->count; i++)
        page_unref(pages->items[i]);
    mem_free(pages->items);
    *pages = (struct sim_pages){0};
}

/* Makes everything from `size` on a hole. */
static bool cut(struct sim_pages *pages, uint64_t size)
{
    size_t index = size / SIM_PAGE_SIZE;
    size_t inside = size % SIM_PAGE_SIZE;
    const struct sim_page *last = get(pages, index);
    if (inside > 0 && last) {
        struct sim_page *page = page_copy(last);
        if (!page)
            return false;
        memset(page->data + inside, 0, SIM_PAGE_SIZE - inside);
        put(pages, index, page);
        ASSERT(last != page);
    }
    for (size_t i = index + (inside > 0); i < pages->count; i++)
        put(pages, i, NULL);
    return true;
}

static void forget_pending(struct sim_content *content)
{
    ASSERT(content->pending_count <= content->pending_capacity);
    for (size_t i = 0; i < content->pending_count; i++)
        page_unref(content->pending[i].page);
    content->pending_count = 0;
}

/* Before anything is changed, so that a change is noted whenever it is made. */
static bool reserve_pending(struct sim_content *content)
{
    ASSERT(content->pending_count <= content->pending_capacity);
    if (content->pending_count < content->pending_capacity)
        return true;
    size_t capacity = content->pending_capacity ? 2 * content->pending_capacity : 16;
    struct sim_change *pending = mem_realloc(content->pending, capacity, sizeof(*pending));
    if (!pending)
        return false;
    content->pending = pending;
    content->pending_capacity = capacity;
    return true;
}

void sim_store_init(struct sim_store *store, uint64_t seed)
{
    *store = (struct sim_store){.random = sim_random_seed(seed)};
    ASSERT(store->page_count == 0);
}

void sim_store_done(struct sim_store *store)
{
    ASSERT(store->page_count == 0);
    for (size_t i = 0; i < 256; i++)
        page_unref(store->fills[i]);
}

void sim_content_done(struct sim_content *content, struct sim_store *store)
{
    uint64_t used = pages_in_use(&content->live);
    ASSERT(used <= store->page_count);
    store->page_count -= used;
    forget_pending(content);
    mem_free(content->pending);
    pages_done(&content->live);
    pages_done(&content->durable);
    *content = (struct sim_content){0};
}

size_t sim_content_read(const struct sim_content *content, void *data, size_t size, uint64_t offset)
{
    if (offset >= content->live_size)
        return 0;
    if (size > content->live_size - offset)
        size = (size_t)(content->live_size - offset);
    uint8_t *out = data;
    for (size_t done = 0; done < size;) {
        size_t inside = (offset + done) % SIM_PAGE_SIZE;
        size_t step = SIM_PAGE_SIZE - inside;
        if (step > size - done)
            step = size - done;
        const struct sim_page *page = get(&content->live, (offset + done) / SIM_PAGE_SIZE);
        if (page)
            memcpy(out + done, page->data + inside, step);
        else
            memset(out + done, 0, step);
        done += step;
    }
    ASSERT(offset + size <= content->live_size);
    return size;
}

/* Compares all bytes with their neighbours; what is not constant is found out at once. */
static bool is_constant(const uint8_t *data, size_t size)
{
    ASSERT(size > 1);
    return data[0] == data[size - 1] && memcmp(data, data + 1, size - 1) == 0;
}

/* The page at `index` with `size` bytes of it replaced. */
static struct sim_page *page_written(const struct sim_content *content, struct sim_store *store,
                                     size_t index, const uint8_t *data, size_t inside, size_t size)
{
    ASSERT(inside + size <= SIM_PAGE_SIZE);
    if (size == SIM_PAGE_SIZE)
        return is_constant(data, size) ? page_filled(store, data) : page_new(data);
    struct sim_page *page = page_copy(get(&content->live, index));
    if (page)
        memcpy(page->data + inside, data, size);
    return page;
}

static uint8_t sectors_between(size_t first_byte, size_t end_byte)
{
    ASSERT(first_byte < end_byte && end_byte <= SIM_PAGE_SIZE);
    unsigned first = (unsigned)(first_byte / SIM_SECTOR_SIZE);
    unsigned end = (unsigned)((end_byte + SIM_SECTOR_SIZE - 1) / SIM_SECTOR_SIZE);
    return (uint8_t)((ALL_SECTORS << first) & (ALL_SECTORS >> (SECTORS_PER_PAGE - end)));
}

static err_t write_page(struct sim_content *content, struct sim_store *store, size_t index,
                        const uint8_t *data, size_t inside, size_t size)
{
    ASSERT(index <= UINT32_MAX);
    /* Space is pages that are live: overwriting needs none, as on a file system that writes in
     * place. */
    bool is_new = !get(&content->live, index);
    if (is_new && store->page_count_max && store->page_count >= store->page_count_max)
        return err_make(ERR_NO_SPACE);
    if (!make_room(&content->live, index + 1) || !reserve_pending(content))
        return err_make(ERR_MEMORY);
    struct sim_page *page = page_written(content, store, index, data, inside, size);
    if (!page)
        return err_make(ERR_MEMORY);
    content->pending[content->pending_count++] =
        (struct sim_change){.page = page_ref(page),
                            .index = (uint32_t)index,
                            .first = (uint16_t)inside,
                            .end = (uint16_t)(inside + size),
                            .sectors = sectors_between(inside, inside + size)};
    put_live(content, store, index, page);
    return err_ok();
}

static err_t grow(struct sim_content *content, uint64_t size)
{
    if (size <= content->live_size)
        return err_ok();
    if (!reserve_pending(content))
        return err_make(ERR_MEMORY);
    content->pending[content->pending_count++] = (struct sim_change){.size = size};
    content->live_size = size;
    ASSERT(content->pending_count <= content->pending_capacity);
    return err_ok();
}

err_t sim_content_write(struct sim_content *content, struct sim_store *store, const void *data,
                        size_t size, uint64_t offset)
{
    ASSERT(data || size == 0);
    const uint8_t *in = data;
    size_t done = 0;
    err_t err = err_ok();
    while (done < size && err_is_ok(err)) {
        size_t inside = (offset + done) % SIM_PAGE_SIZE;
        size_t step = SIM_PAGE_SIZE - inside;
        if (step > size - done)
            step = size - done;
        err = write_page(content, store, (offset + done) / SIM_PAGE_SIZE, in + done, inside, step);
        if (err_is_ok(err))
            done += step;
    }
    /* The size follows the bytes, also where only a part was written. */
    if (done > 0)
        TRY(grow(content, offset + done));
    return err;
}

err_t sim_content_truncate(struct sim_content *content, struct sim_store *store, uint64_t size)
{
    if (!reserve_pending(content))
        return err_make(ERR_MEMORY);
    uint64_t before = pages_in_use(&content->live);
    if (!cut(&content->live, size))
        return err_make(ERR_MEMORY);
    uint64_t after = pages_in_use(&content->live);
    ASSERT(after <= before && before <= store->page_count);
    store->page_count -= before - after;
    content->pending[content->pending_count++] = (struct sim_change){.size = size};
    content->live_size = size;
    return err_ok();
}

/* Applies one change to durable; `page` is what a written page becomes, its reference taken. */
static bool apply(struct sim_content *content, const struct sim_change *change,
                  struct sim_page *page)
{
    if (change->page) {
        if (!make_room(&content->durable, change->index + (size_t)1)) {
            page_unref(page);
            return false;
        }
        put(&content->durable, change->index, page);
        return true;
    }
    ASSERT(!page);
    if (change->size < content->durable_size && !cut(&content->durable, change->size))
        return false;
    content->durable_size = change->size;
    return true;
}

err_t sim_content_sync(struct sim_content *content, struct sim_store *store)
{
    ASSERT(store);
    for (size_t i = 0; i < content->pending_count; i++) {
        const struct sim_change *change = &content->pending[i];
        if (!apply(content, change, page_ref(change->page)))
            return err_make(ERR_MEMORY);
    }
    forget_pending(content);
    /* Changes that an earlier failed sync left cached only are no longer pending: the two differ
     * there, and stay so. */
    ASSERT(content->pending_count == 0);
    return err_ok();
}

void sim_content_sync_failed(struct sim_content *content, struct sim_store *store)
{
    for (size_t i = 0; i < content->pending_count; i++) {
        const struct sim_change *change = &content->pending[i];
        /* Written after all, dropped from the cache, or still cached and never to be written: a
         * reader of this process cannot tell the first from the last. */
        uint64_t fate = sim_random_below(&store->random, 3);
        if (fate == 0) {
            bool applied = apply(content, change, page_ref(change->page));
            ASSERT(applied);
        } else if (fate == 1 && change->page && get(&content->live, change->index)) {
            /* Evicted: the next read comes from the device, which has the old bytes. */
            put_live(content, store, change->index,
                     page_ref(get(&content->durable, change->index)));
        }
    }
    forget_pending(content);
}

enum fate { FATE_LOST, FATE_KEPT, FATE_TORN, FATE_GARBLED };

/* How one file meets a power loss. */
struct doom {
    enum { DOOM_NONE_KEPT, DOOM_ALL_KEPT, DOOM_PREFIX, DOOM_MIXED } kind;
    uint64_t kept_percent; /* DOOM_MIXED */
    uint64_t sectors_left; /* DOOM_PREFIX: so many are kept, the next is torn */
};

static uint64_t pending_sectors(const struct sim_content *content)
{
    uint64_t count = 0;
    for (size_t i = 0; i < content->pending_count; i++)
        count += (uint64_t)__builtin_popcount(content->pending[i].sectors);
    ASSERT(count <= content->pending_count * SECTORS_PER_PAGE);
    return count;
}

static struct doom draw_doom(const struct sim_content *content, struct sim_random *random)
{
    /* Nearly nothing, half, most, all but a few: even chances would make every crash look the
     * same. */
    static const uint64_t percents[] = {5, 50, 80, 98};
    struct doom doom = {.kind = DOOM_MIXED};
    /* The clean ends are common on purpose: a bug that needs a whole file lost would hardly be met
     * by drawing sector for sector. */
    uint64_t draw = sim_random_below(random, 10);
    if (draw < 2)
        doom.kind = DOOM_NONE_KEPT;
    else if (draw < 4)
        doom.kind = DOOM_ALL_KEPT;
    else if (draw < 7)
        doom.kind = DOOM_PREFIX;
    doom.kept_percent = percents[sim_random_below(random, 4)];
    doom.sectors_left = sim_random_between(random, 0, pending_sectors(content));
    ASSERT(doom.kept_percent <= 100);
    return doom;
}

static enum fate draw_fate(struct doom *doom, struct sim_random *random)
{
    ASSERT(doom->kept_percent <= 100);
    switch (doom->kind) {
    case DOOM_NONE_KEPT: return FATE_LOST;
    case DOOM_ALL_KEPT: return FATE_KEPT;
    /* As a device that writes in order. */
    case DOOM_PREFIX:
        if (doom->sectors_left > 0) {
            doom->sectors_left--;
            return FATE_KEPT;
        }
        /* The one that was under way; behind it nothing. */
        doom->kind = DOOM_NONE_KEPT;
        return FATE_TORN;
    case DOOM_MIXED: break;
    }
    if (!sim_random_chance(random, doom->kept_percent, 100))
        return FATE_LOST;
    if (!sim_random_chance(random, 1, 16))
        return FATE_KEPT;
    return sim_random_chance(random, 1, 4) ? FATE_GARBLED : FATE_TORN;
}

/* Sector `index` of a page: `sector` is as it was. */
static void crash_sector(uint8_t *sector, const struct sim_change *change, size_t index,
                         enum fate fate, struct sim_random *random)
{
    size_t start = index * SIM_SECTOR_SIZE;
    const uint8_t *written = change->page->data + start;
    ASSERT(sector != written);
    size_t first = change->first > start ? change->first - start : 0;
    size_t end = change->end < start + SIM_SECTOR_SIZE ? change->end - start : SIM_SECTOR_SIZE;
    if (fate == FATE_KEPT)
        memcpy(sector, written, SIM_SECTOR_SIZE);
    else if (fate == FATE_TORN)
        memcpy(sector, written, sim_random_below(random, SIM_SECTOR_SIZE));
    else if (fate == FATE_GARBLED)
        sim_random_bytes(random, sector + first, end - first);
}

/* The durable page after the crash has dealt with one write to it. */
static struct sim_page *crash_page(const struct sim_content *content,
                                   const struct sim_change *change, struct doom *doom,
                                   struct sim_random *random)
{
    enum fate fates[SECTORS_PER_PAGE] = {FATE_LOST};
    unsigned lost = 0;
    unsigned kept = 0;
    for (unsigned i = 0; i < SECTORS_PER_PAGE; i++) {
        if (change->sectors & (1u << i))
            fates[i] = draw_fate(doom, random);
        lost += fates[i] == FATE_LOST;
        kept += fates[i] == FATE_KEPT;
    }
    struct sim_page *old = get(&content->durable, change->index);
    /* Most pages are kept or lost whole, and need no copy. */
    if (lost == SECTORS_PER_PAGE)
        return page_ref(old);
    if (kept == SECTORS_PER_PAGE)
        return page_ref(change->page);
    struct sim_page *page = page_copy(old);
    ASSERT(page);
    for (size_t i = 0; i < SECTORS_PER_PAGE; i++)
        crash_sector(page->data + i * SIM_SECTOR_SIZE, change, i, fates[i], random);
    return page;
}

static void copy_durable_to_live(struct sim_content *content)
{
    bool room = make_room(&content->live, content->durable.count);
    ASSERT(room);
    for (size_t i = 0; i < content->live.count; i++) {
        struct sim_page *page = get(&content->durable, i);
        if (content->live.items[i] != page)
            put(&content->live, i, page_ref(page));
    }
    content->live_size = content->durable_size;
}

void sim_content_crash(struct sim_content *content, struct sim_store *store)
{
    struct doom doom = draw_doom(content, &store->random);
    /* Drawn once a file: devices lose a moment, or nothing, or (seldom) this and that. */
    uint64_t before = pages_in_use(&content->live);
    for (size_t i = 0; i < content->pending_count; i++) {
        const struct sim_change *change = &content->pending[i];
        bool done = true;
        if (change->page)
            done = apply(content, change, crash_page(content, change, &doom, &store->random));
        else if (draw_fate(&doom, &store->random) == FATE_KEPT)
            done = apply(content, change, NULL);
        ASSERT(done);
    }
    /* Bytes whose size did not survive are out of the file, and must be zeros if it grows again. */
    bool done = cut(&content->durable, content->durable_size);
    ASSERT(done);
    forget_pending(content);
    copy_durable_to_live(content);
    store->page_count += pages_in_use(&content->live) - before;
}

static void flip_in(struct sim_pages *pages, uint64_t offset, unsigned bit)
{
    /* A copy, since other places share the page. */
    struct sim_page *page = page_copy(get(pages, offset / SIM_PAGE_SIZE));
    ASSERT(page && bit < 8);
    page->data[offset % SIM_PAGE_SIZE] ^= (uint8_t)(1u << bit);
    put(pages, offset / SIM_PAGE_SIZE, page);
}

bool sim_content_flip(struct sim_content *content, uint64_t offset, unsigned bit)
{
    if (offset >= content->live_size)
        return false;
    ASSERT(bit < 8);
    size_t index = offset / SIM_PAGE_SIZE;
    if (!get(&content->live, index))
        return false;
    flip_in(&content->live, offset, bit);
    if (get(&content->durable, index))
        flip_in(&content->durable, offset, bit);
    return true;
}
