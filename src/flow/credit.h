#pragma once

/*
 * Memory in credits: a named budget in bytes. What takes bytes in asks first and gives back when
 * they are gone; who cannot be served waits in line or is refused by its owner. One thread.
 */

#include "base/list.h"
#include "base/slice.h"

struct flow_credit {
    const char *name;
    uint64_t limit_bytes;
    uint64_t used_bytes;
    struct list waiters; /* struct flow_credit_waiter, first come first served */
    uint64_t waits_total;
};

struct flow_credit_waiter {
    struct list link;
    uint64_t bytes;
    /* Called from flow_credit_give once the bytes have been taken for the waiter. */
    void (*granted)(struct flow_credit_waiter *waiter);
};

void flow_credit_init(struct flow_credit *credit, const char *name, uint64_t limit_bytes);
/* Takes `bytes` when they are there and nobody waits; more than the whole limit never is. */
bool flow_credit_take(struct flow_credit *credit, uint64_t bytes);
/* Stands in line for `waiter->bytes`, which is within the limit. */
void flow_credit_wait(struct flow_credit *credit, struct flow_credit_waiter *waiter);
/* True while somebody stands in line. */
bool flow_credit_is_awaited(const struct flow_credit *credit);
/* Leaves the line; harmless when it was served or does not wait. */
void flow_credit_cancel(struct flow_credit_waiter *waiter);
/* Gives `bytes` back and serves those who wait. */
void flow_credit_give(struct flow_credit *credit, uint64_t bytes);
