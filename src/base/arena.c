#include "base/arena.h"

#include <stdalign.h>

#include "base/alloc.h"
#include "base/assert.h"

/*
 * Pieces are cut from the front block until one does not fit; then a new block goes in front. What
 * is left of the old one is lost, at most a piece's size, which is the price of a cut being one
 * addition. A piece larger than a block is alone in a block of its own size. Nothing is freed
 * singly, and a failed allocation changes nothing: what was handed out stays.
 */
#define BLOCK_SIZE_DEFAULT 4096

struct arena_block {
    struct arena_block *next;
    size_t used;
    size_t capacity;
    alignas(max_align_t) uint8_t data[];
};

void arena_init(struct arena *a, size_t block_size)
{
    ASSERT(a);
    *a = (struct arena){.block_size = block_size};
}

void arena_done(struct arena *a)
{
    ASSERT(a);
    struct arena_block *block = a->blocks;
    while (block) {
        struct arena_block *next = block->next;
        mem_free(block);
        block = next;
    }
    a->blocks = NULL;
    a->size = 0;
}

static struct arena_block *block_new(size_t capacity)
{
    ASSERT(capacity > 0);
    if (capacity > SIZE_MAX - sizeof(struct arena_block))
        return NULL;
    struct arena_block *block = mem_alloc(sizeof(struct arena_block) + capacity);
    if (block)
        *block = (struct arena_block){.capacity = capacity};
    return block;
}

/* A block with room for `size` bytes: the first one, or a new one. */
static struct arena_block *block_with_room(struct arena *a, size_t size)
{
    ASSERT(size > 0);
    struct arena_block *first = a->blocks;
    if (first && first->capacity - first->used >= size)
        return first;
    size_t usual = a->block_size ? a->block_size : BLOCK_SIZE_DEFAULT;
    struct arena_block *block = block_new(size > usual ? size : usual);
    if (!block)
        return NULL;
    /* What is alone in its block goes behind the first, whose room stays in use. */
    if (first && size > usual) {
        block->next = first->next;
        first->next = block;
    } else {
        block->next = first;
        a->blocks = block;
    }
    return block;
}

void *arena_alloc(struct arena *a, size_t size)
{
    ASSERT(a);
    const size_t align = alignof(max_align_t);
    if (size > SIZE_MAX - align)
        return NULL;
    /* A piece of no bytes takes room too, so that no two pieces share an address. */
    size_t rounded = size ? (size + align - 1) / align * align : align;
    struct arena_block *block = block_with_room(a, rounded);
    if (!block)
        return NULL;
    uint8_t *ptr = block->data + block->used;
    ASSERT(rounded <= block->capacity - block->used);
    block->used += rounded;
    a->size += rounded;
    /* Here and not for the block as a whole: most of a last block is never handed out. */
    return memset(ptr, 0, rounded);
}

char *arena_string(struct arena *a, struct slice s)
{
    ASSERT(s.size < SIZE_MAX);
    char *text = arena_alloc(a, s.size + 1);
    if (text && s.size)
        memcpy(text, s.data, s.size);
    return text;
}

struct slice arena_slice(struct arena *a, struct slice s)
{
    ASSERT(s.data || s.size == 0);
    uint8_t *data = arena_alloc(a, s.size);
    if (!data)
        return slice_make(NULL, 0);
    if (s.size)
        memcpy(data, s.data, s.size);
    return slice_make(data, s.size);
}
