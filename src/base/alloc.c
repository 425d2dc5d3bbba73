#include "base/alloc.h"

#include <stdatomic.h>
#include <stdbool.h>

#include <sys/mman.h>
#include <sys/types.h>

#include "base/assert.h"

#define CACHE_LINE 64u
#define LARGE_PAGE ((size_t)2 << 20)
/* Less is not worth what rounding costs. */
#define LARGE_PAGES_MIN (2 * LARGE_PAGE)

/*
 * The system's allocator, or jemalloc linked over it, behind one gate: `fails`. What asks for
 * nothing gets a byte, since a null pointer means one thing only, that there is no memory.
 *
 * The state of the gate is the one mutable thing here, and atomic because allocations come from
 * every thread. The counters are relaxed: a test that arms them runs what it counts on one
 * thread. Unarmed, as every program starts, they cost a load.
 */
static struct {
    _Atomic bool armed;
    _Atomic uint64_t count;
    _Atomic uint64_t fail_at; /* 0: none fails */
} probe;

/* True when the allocation of `size` bytes is to fail: no object is larger than half the address
 * space, and allocators differ in how they say so. */
static bool fails(size_t size)
{
    if (size > PTRDIFF_MAX)
        return true;
    if (__builtin_expect(!atomic_load_explicit(&probe.armed, memory_order_relaxed), 1))
        return false;
    uint64_t number = atomic_fetch_add_explicit(&probe.count, 1, memory_order_relaxed) + 1;
    return number == atomic_load_explicit(&probe.fail_at, memory_order_relaxed);
}

void *mem_alloc(size_t size)
{
    return fails(size) ? NULL : malloc(size ? size : 1);
}

void *mem_zalloc(size_t count, size_t size)
{
    size_t total = 0;
    if (__builtin_mul_overflow(count, size, &total) || fails(total))
        return NULL;
    return calloc(total ? total : 1, 1);
}

void *mem_realloc(void *ptr, size_t count, size_t size)
{
    size_t total = 0;
    if (__builtin_mul_overflow(count, size, &total) || fails(total))
        return NULL;
    /* realloc to nothing would free and still return NULL. */
    return realloc(ptr, total ? total : 1);
}

void *mem_alloc_aligned(size_t align, size_t size)
{
    ASSERT(align && (align & (align - 1)) == 0);
    if (fails(size))
        return NULL;
    /* posix_memalign refuses less than a pointer's alignment. */
    void *ptr = NULL;
    size_t least = align < sizeof(void *) ? sizeof(void *) : align;
    if (posix_memalign(&ptr, least, size ? size : 1) != 0)
        return NULL;
    ASSERT(((uintptr_t)ptr & (align - 1)) == 0);
    return ptr;
}

void *mem_alloc_table(size_t size)
{
    bool large = size >= LARGE_PAGES_MIN && size <= PTRDIFF_MAX - LARGE_PAGE;
    if (!large)
        return mem_alloc_aligned(CACHE_LINE, size);
    size_t rounded = (size + LARGE_PAGE - 1) / LARGE_PAGE * LARGE_PAGE;
    void *ptr = mem_alloc_aligned(LARGE_PAGE, rounded);
    /* A hint: without large pages it is only slower. */
    if (ptr)
        (void)madvise(ptr, rounded, MADV_HUGEPAGE);
    return ptr;
}

char *mem_string(const void *data, size_t size)
{
    ASSERT(data || size == 0);
    ASSERT(size < SIZE_MAX);
    char *text = mem_alloc(size + 1);
    if (!text)
        return NULL;
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    return text;
}

void mem_free(void *ptr)
{
    free(ptr);
}

/* jemalloc's, where that is linked (jemalloc(3)). */
extern int mallctl(const char *name, void *old, size_t *old_size, void *new, size_t new_size)
    __attribute__((weak));

void mem_return_at_once(void)
{
    /* Of arenas to come, and of the one that there is before there are threads. */
    static const char *const names[] = {"arenas.dirty_decay_ms", "arenas.muzzy_decay_ms",
                                        "arena.0.dirty_decay_ms", "arena.0.muzzy_decay_ms"};
    ssize_t decay_ms = 0;
    for (size_t i = 0; mallctl && i < sizeof(names) / sizeof(names[0]); i++) {
        int failed = mallctl(names[i], NULL, NULL, &decay_ms, sizeof(decay_ms));
        ASSERT(failed == 0);
    }
}

void mem_fail_after(uint64_t n)
{
    atomic_store_explicit(&probe.count, 0, memory_order_relaxed);
    atomic_store_explicit(&probe.fail_at, n, memory_order_relaxed);
    atomic_store_explicit(&probe.armed, true, memory_order_relaxed);
}

uint64_t mem_alloc_count(void)
{
    return atomic_load_explicit(&probe.count, memory_order_relaxed);
}
