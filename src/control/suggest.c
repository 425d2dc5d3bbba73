#include "control/suggest.h"

#include "base/assert.h"

/*
 * "did you mean" for a name that is none. A candidate is offered when it is within a third of the
 * name's length in edits, a swap of neighbours being one: further off the guess would mislead more
 * often than help. The first of equally near ones stays, so that the answer does not depend on
 * chance.
 */

/* Longer names are not compared: the rows below stand on the stack. */
#define NAME_MAX_COMPARED 64u

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Optimal string alignment with three rows: rows[i % 3][j] is the distance between the first i
 * bytes of `a` and the first j of `b`. */
static size_t edit_distance(struct slice a, struct slice b)
{
    size_t rows[3][NAME_MAX_COMPARED + 1];
    ASSERT(a.size <= NAME_MAX_COMPARED && b.size <= NAME_MAX_COMPARED);
    for (size_t j = 0; j <= b.size; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a.size; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i - 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b.size; j++) {
            size_t cost = a.data[i - 1] == b.data[j - 1] ? 0 : 1;
            row[j] = least(least(above[j], row[j - 1]) + 1, above[j - 1] + cost);
            bool swapped =
                i > 1 && j > 1 && a.data[i - 1] == b.data[j - 2] && a.data[i - 2] == b.data[j - 1];
            if (swapped)
                row[j] = least(row[j], rows[(i - 2) % 3][j - 2] + 1);
        }
    }
    return rows[a.size % 3][b.size];
}

struct control_suggest control_suggest_for(struct slice name)
{
    /* One edit even for names of one or two letters. */
    size_t near = name.size / 3 > 0 ? name.size / 3 : 1;
    return (struct control_suggest){.name = name, .distance = near + 1};
}

void control_suggest_offer(struct control_suggest *suggest, const char *candidate)
{
    struct slice other = slice_string(candidate);
    if (suggest->name.size > NAME_MAX_COMPARED || other.size > NAME_MAX_COMPARED)
        return;
    size_t distance = edit_distance(suggest->name, other);
    if (distance < suggest->distance) {
        suggest->distance = distance;
        suggest->best = candidate;
    }
}
