#pragma once

/* The inside of a group, shared by its files: members come and go, the state changes, waiters get
 * their answers. */

#include "serve/kafka/group.h"

/* Codes are small and positive; there is none. */
#define SERVE_KAFKA_GROUP_OK 0

/* An id that was given away. */
struct serve_kafka_pending {
    struct list link;
    uint64_t deadline_ms;
    struct slice id;
    char name[];
};

/* One of the arrows in group.h; asserted. */
void serve_kafka_group_move(struct serve_kafka_group *group, enum serve_kafka_group_state state);
/* Takes bytes of the budget; false when there are not so many left. */
bool serve_kafka_group_take(struct serve_kafka_group *group, uint64_t bytes);
void serve_kafka_group_give(struct serve_kafka_group *group, uint64_t bytes);
/* A copy that is the group's, for which bytes of the budget were taken. False without memory. */
bool serve_kafka_group_own(struct slice from, struct slice *out);
void serve_kafka_group_disown(struct slice *owned);

/* Puts the waiter in the list of answers. */
void serve_kafka_group_answer(struct serve_kafka_group *group, struct serve_kafka_waiter *waiter,
                              int16_t error, struct slice member_id);
void serve_kafka_group_answer_member(struct serve_kafka_group *group,
                                     struct serve_kafka_waiter *waiter,
                                     struct serve_kafka_member *member);

/* A member of what the join says, called `id`; NULL, with a code, when there is no room. Whether
 * the group has too many is the caller's to say: one that takes another's place is not one more. */
struct serve_kafka_member *serve_kafka_group_add(struct serve_kafka_group *group,
                                                 const struct serve_kafka_join *join,
                                                 struct slice id, int16_t *error);
/* It says something else than it did. The code when there is no room, and nothing has changed. */
int16_t serve_kafka_group_update(struct serve_kafka_group *group, struct serve_kafka_member *member,
                                 const struct serve_kafka_join *join);
/* What waits for it is told that nobody knows it, or is told `error`. */
void serve_kafka_group_remove(struct serve_kafka_group *group, struct serve_kafka_member *member,
                              int16_t error);
/* The member of an instance id, or NULL. */
struct serve_kafka_member *serve_kafka_group_instance(const struct serve_kafka_group *group,
                                                      struct slice instance_id);
struct serve_kafka_member *serve_kafka_group_member(const struct serve_kafka_group *group,
                                                    struct slice id);

struct serve_kafka_pending *serve_kafka_group_pending(const struct serve_kafka_group *group,
                                                      struct slice id);
/* NULL, with a code, when there is no room. */
struct serve_kafka_pending *serve_kafka_group_add_pending(struct serve_kafka_group *group,
                                                          struct slice id, int16_t *error);
void serve_kafka_group_remove_pending(struct serve_kafka_group *group,
                                      struct serve_kafka_pending *pending);
/* It was heard of. */
void serve_kafka_member_touch(struct serve_kafka_member *member, uint64_t now_ms);
