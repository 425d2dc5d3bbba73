#pragma once

/*
 * A piece of work that can wait in a queue or a mailbox without an allocation: it is embedded in
 * what it is about (use CONTAINER_OF in `run`). It is in one queue at a time and belongs to that
 * queue until `run` is called, on the thread that the queue stands for.
 */

struct task {
    struct task *next; /* the queue's */
    void (*run)(struct task *task);
};
