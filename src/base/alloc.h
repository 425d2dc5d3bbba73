#pragma once

/*
 * The only door to the heap. Every function may return NULL (or ERR_MEMORY where it returns an
 * error); callers hand that on. Tests make any single allocation fail with `mem_fail_after`.
 * Any thread; a block is freed by any thread.
 */

#include <stddef.h>
#include <stdint.h>

/* `size` bytes, not initialised. NULL when there are none. `size` 0 gives a unique pointer. */
void *mem_alloc(size_t size);
/* `count * size` zeroed bytes; NULL on overflow too. */
void *mem_zalloc(size_t count, size_t size);
/* Grows or shrinks `ptr` (may be NULL) to `count * size` bytes; NULL leaves `ptr` as it was. */
void *mem_realloc(void *ptr, size_t count, size_t size);
/* `size` bytes aligned to `align` (a power of two), for direct I/O. Freed with mem_free. */
void *mem_alloc_aligned(size_t align, size_t size);
/* `size` bytes, aligned to a line of the cache, for a table that is looked into at random: from
 * megabytes on, on large pages where the system has them, so that a look misses the cache alone and
 * not the page table as well. Freed with mem_free. */
void *mem_alloc_table(size_t size);
/* A zero-terminated copy of `size` bytes. */
char *mem_string(const void *data, size_t size);
/* Frees `ptr`; NULL is fine. */
void mem_free(void *ptr);

/* From here on freed memory goes back to the system at once and is not kept for the next who asks,
 * as far as the allocator can: slower, for those who have little. Before threads are made. */
void mem_return_at_once(void);

/* Tests only: the `n`-th allocation from here (1 is the next) fails, once; 0 turns it off. */
void mem_fail_after(uint64_t n);
/* Tests only: allocations made since the last mem_fail_after. */
uint64_t mem_alloc_count(void);
