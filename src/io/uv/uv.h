#pragma once

/*
 * The real world: io's interfaces on libuv, pthreads and the system's files. The only folder
 * that knows threads, atomics, clocks and sockets. Functions that make or end a thread are called
 * from the thread that owns the program (main).
 */

#include "io/disk.h"
#include "io/loop.h"
#include "io/tcp.h"

/* A loop, not running yet. Posts to it are kept until it runs. */
err_t io_uv_loop_new(struct io_loop **out);
/* Runs the loop on the calling thread until io_uv_loop_stop. */
void io_uv_loop_run(struct io_loop *loop);
/* Starts a thread, named `name`, that runs the loop. */
err_t io_uv_loop_start(struct io_loop *loop, const char *name);
/* Asks the loop to end after the tasks that were posted before. From any thread. */
void io_uv_loop_stop(struct io_loop *loop);
/* Waits for the thread of io_uv_loop_start to end. */
void io_uv_loop_join(struct io_loop *loop);
/* Frees a loop that does not run; sockets that are still open are closed without a callback, tasks
 * and timers that still wait are forgotten. Every thread that posts to it has ended: workers are
 * freed, and all loops joined, before the first loop is freed. */
void io_uv_loop_free(struct io_loop **loop);

/* A worker and its thread, named `name`. */
err_t io_uv_worker_new(const char *name, struct io_worker **out);
/* Finishes the jobs that were submitted, ends the thread, frees. */
void io_uv_worker_free(struct io_worker **worker);

/* The system's files. One constant object; nothing to free. */
struct io_disk *io_uv_disk(void);

/* Posts `task` to `loop` each time the process gets `signal_number`; the task is not queued twice
 * while it waits. Loop's thread, before it runs. */
err_t io_uv_on_signal(struct io_loop *loop, int signal_number, struct task *task);

/* Processors this process may use: affinity and cgroup quota, at least 1. */
uint32_t io_uv_cpu_count(void);
/* Bytes of memory this process may use: the machine's or the cgroup's limit. */
uint64_t io_uv_memory_bytes(void);
/* Resident memory of this process now, in bytes; 0 when unknown. */
uint64_t io_uv_resident_bytes(void);
/* Raises the soft limit of open files to the hard one; returns the limit in force. */
uint64_t io_uv_raise_file_limit(void);
