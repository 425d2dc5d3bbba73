#include "flow/credit.h"

#include "base/assert.h"

/*
 * Happy path: take, use, give. When it is all taken, who asks stands in line and is served in the
 * order of coming, each as soon as it fits.
 *
 * Failure modes: a large one at the head holds up small ones behind it, on purpose; who can never
 * be served is not let into the line; who goes away leaves it by itself.
 */

void flow_credit_init(struct flow_credit *credit, const char *name, uint64_t limit_bytes)
{
    ASSERT(name);
    *credit = (struct flow_credit){.name = name, .limit_bytes = limit_bytes};
    list_init(&credit->waiters);
}

static bool fits(const struct flow_credit *credit, uint64_t bytes)
{
    ASSERT(credit->used_bytes <= credit->limit_bytes);
    return bytes <= credit->limit_bytes - credit->used_bytes;
}

bool flow_credit_take(struct flow_credit *credit, uint64_t bytes)
{
    /* Small ones do not overtake a large one: it would starve. */
    if (!list_empty(&credit->waiters) || !fits(credit, bytes))
        return false;
    credit->used_bytes += bytes;
    ASSERT(credit->used_bytes <= credit->limit_bytes);
    return true;
}

void flow_credit_wait(struct flow_credit *credit, struct flow_credit_waiter *waiter)
{
    ASSERT(waiter->granted && waiter->bytes <= credit->limit_bytes);
    ASSERT(!list_linked(&waiter->link));
    /* Only a give wakes the line, so what could be taken at once would wait for nothing. */
    ASSERT(!list_empty(&credit->waiters) || !fits(credit, waiter->bytes));
    list_add_tail(&credit->waiters, &waiter->link);
    credit->waits_total++;
}

/* Grants from the front of the line as far as it fits. The head is read anew each time, since
 * `granted` may take, give and cancel. */
static void serve(struct flow_credit *credit)
{
    while (!list_empty(&credit->waiters)) {
        struct list *link = credit->waiters.next;
        struct flow_credit_waiter *waiter = CONTAINER_OF(link, struct flow_credit_waiter, link);
        if (!fits(credit, waiter->bytes))
            return;
        list_remove(&waiter->link);
        credit->used_bytes += waiter->bytes;
        ASSERT(credit->used_bytes <= credit->limit_bytes);
        waiter->granted(waiter);
    }
}

bool flow_credit_is_awaited(const struct flow_credit *credit)
{
    ASSERT(credit->name);
    return !list_empty(&credit->waiters);
}

void flow_credit_cancel(struct flow_credit_waiter *waiter)
{
    ASSERT(waiter);
    list_remove(&waiter->link);
}

void flow_credit_give(struct flow_credit *credit, uint64_t bytes)
{
    ASSERT(bytes <= credit->used_bytes);
    credit->used_bytes -= bytes;
    serve(credit);
}
