#pragma once

/*
 * A doubly linked list whose links are embedded in what it lists. A head is initialised with
 * list_init; a link that is in no list is either zeroed or list_init'ed. Single thread.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/assert.h"

struct list {
    struct list *next;
    struct list *prev;
};

/* The struct of type `type` whose member `member` is at `ptr`. */
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
/* Walks `link` over the list; the body must not remove `link`. */
#define LIST_EACH(link, head)                                                                      \
    for (struct list *link = (head)->next; link != (head); link = link->next)
/* The same where the body may remove or free `link`. */
#define LIST_EACH_SAFE(link, head)                                                                 \
    for (struct list *link = (head)->next, *link##_next = link->next; link != (head);              \
         link = link##_next, link##_next = link->next)

/* Makes `head` an empty list, or a link that is in none. */
static inline void list_init(struct list *head)
{
    ASSERT(head);
    head->next = head->prev = head;
}

static inline bool list_empty(const struct list *head)
{
    ASSERT(head->next);
    return head->next == head;
}

/* True when `link` is in a list. */
static inline bool list_linked(const struct list *link)
{
    return link->next && link->next != link;
}

/* Puts `link`, which is in no list, at the end. */
static inline void list_add_tail(struct list *head, struct list *link)
{
    ASSERT(head->next && head->prev);
    ASSERT(!list_linked(link));
    link->prev = head->prev;
    link->next = head;
    head->prev->next = link;
    head->prev = link;
}

/* Puts `link`, which is in no list, at the front. */
static inline void list_add_head(struct list *head, struct list *link)
{
    ASSERT(head->next);
    list_add_tail(head->next, link);
}

/* Takes `link` out of its list and leaves it alone in its own; harmless when it is in none. */
static inline void list_remove(struct list *link)
{
    if (!link->next)
        return;
    ASSERT(link->prev->next == link && link->next->prev == link);
    link->prev->next = link->next;
    link->next->prev = link->prev;
    list_init(link);
}

/* Takes the first link out, NULL when there is none. */
static inline struct list *list_pop(struct list *head)
{
    struct list *first = head->next;
    ASSERT(first);
    if (first == head)
        return NULL;
    list_remove(first);
    return first;
}
