#include "serve/kafka/fetch_ahead.h"

#include "base/alloc.h"
#include "base/assert.h"

/*
 * What is read ahead is as old as the read: a client may see for so long that what was deleted is
 * there, or that a partition ends where it does not any more, as it would of an answer that was
 * long on its way. So it is kept for a moment only, in which a client that reads on asks again.
 *
 * What goes wrong: a read that failed, or has brought nothing, is made again when it is asked for,
 * so that the client hears what is so then. A client that takes its time would have everything read
 * twice: behind one that was given up none are begun for a while.
 */

/* For so long it is kept. */
#define KEPT_NS (200 * IO_MS)
/* Of one connection. */
#define AHEADS_MAX 16u
/* Not begun behind one that nobody has asked for. */
#define PAUSE 16u
/* So much of the door's fetch_bytes_max is for answers alone. */
#define ANSWERS_SHARE 2u
/* One takes so much of fetch_bytes_max at the most: a handful of connections has what it needs also
 * where there is little. */
#define ONE_SHARE 16u

struct ahead {
    struct list link;      /* the connection's, until it is taken or given up */
    struct list door_link; /* the door's */
    struct serve_kafka_door *door;
    struct serve_kafka_conn *conn; /* NULL with the first link */
    struct flow_read read;
    struct flow_read *wanted; /* whom it is for, once it is taken */
    struct task deliver_task;
    uint64_t bytes; /* in fetch_bytes */
    uint64_t home_ns;
    bool home;
};

static void check_kept(struct io_timer *timer);

static void set_bytes(struct ahead *ahead, uint64_t bytes)
{
    ASSERT(ahead->door->fetch_bytes >= ahead->bytes);
    ahead->door->fetch_bytes += bytes;
    ahead->door->fetch_bytes -= ahead->bytes;
    ahead->bytes = bytes;
}

static void free_ahead(struct ahead *ahead)
{
    struct serve_kafka_door *door = ahead->door;
    ASSERT(!list_linked(&ahead->link));
    set_bytes(ahead, 0);
    list_remove(&ahead->door_link);
    mem_free(ahead);
    if (list_empty(&door->aheads))
        io_timer_stop(door->loop, &door->ahead_timer);
    serve_kafka_fetch_wake(door);
    serve_kafka_check_stopped(door);
}

/* It is not the connection's any more. */
static void unlink_ahead(struct ahead *ahead)
{
    list_remove(&ahead->link);
    ahead->conn = NULL;
}

/* One that is on its way goes when it comes home. */
static void give_up(struct ahead *ahead)
{
    ASSERT(ahead->conn && !ahead->wanted);
    ahead->conn->ahead_pause = PAUSE;
    unlink_ahead(ahead);
    if (!ahead->home)
        return;
    flow_log_release(ahead->door->kafka->log, &ahead->read);
    free_ahead(ahead);
}

/* `wanted` has the answer, and the lease with it. */
static void deliver(struct ahead *ahead)
{
    struct serve_kafka_door *door = ahead->door;
    struct flow_read *read = &ahead->read;
    struct flow_read *wanted = ahead->wanted;
    bool good = err_is_ok(read->error) && read->batch_count > 0;
    ASSERT(ahead->home && wanted);
    if (good) {
        wanted->error = read->error;
        memcpy(wanted->batches, read->batches, read->batch_count * sizeof(read->batches[0]));
        wanted->batch_count = read->batch_count;
        wanted->next_offset = read->next_offset;
        wanted->end_offset = read->end_offset;
        wanted->commit_time_ms = read->commit_time_ms;
        wanted->lease = read->lease;
        wanted->lease_bytes = read->lease_bytes;
    } else {
        flow_log_release(door->kafka->log, read);
    }
    free_ahead(ahead);
    if (good)
        wanted->done(wanted);
    else
        flow_log_read(door->kafka->log, wanted);
}

static void run_deliver(struct task *task)
{
    deliver(CONTAINER_OF(task, struct ahead, deliver_task));
}

static void come_home(struct flow_read *read)
{
    struct ahead *ahead = CONTAINER_OF(read, struct ahead, read);
    struct serve_kafka_door *door = ahead->door;
    ASSERT(!ahead->home);
    ahead->home = true;
    ahead->home_ns = io_now_ns(door->loop);
    set_bytes(ahead, read->lease_bytes);
    bool good = err_is_ok(read->error) && read->batch_count > 0;
    if (ahead->wanted) {
        deliver(ahead);
    } else if (!ahead->conn || !good) {
        /* No fault of the client's: the next may be begun. */
        if (ahead->conn)
            unlink_ahead(ahead);
        flow_log_release(door->kafka->log, read);
        free_ahead(ahead);
    }
}

static struct ahead *find(const struct serve_kafka_conn *conn, uint32_t topic_id,
                          uint32_t partition)
{
    ASSERT(conn->aheads.next);
    LIST_EACH (link, &conn->aheads) {
        struct ahead *ahead = CONTAINER_OF(link, struct ahead, link);
        if (ahead->read.topic_id == topic_id && ahead->read.partition == partition)
            return ahead;
    }
    return NULL;
}

static bool has_room(const struct serve_kafka_door *door, const struct serve_kafka_conn *conn,
                     uint32_t size)
{
    uint64_t held = door->fetch_bytes + net_kafka_server_counters(door->server)->bytes_unsent;
    uint32_t count = 0;
    LIST_EACH (link, &conn->aheads)
        count++;
    return count < AHEADS_MAX && held + size <= door->fetch_bytes_max / ANSWERS_SHARE;
}

void serve_kafka_fetch_ahead_begin(struct serve_kafka_door *door, struct serve_kafka_conn *conn,
                                   uint32_t topic_id, uint32_t partition, int64_t offset,
                                   uint32_t size)
{
    /* A connection begins as zeros. */
    if (!conn->aheads.next)
        list_init(&conn->aheads);
    struct ahead *old = find(conn, topic_id, partition);
    if (old && old->read.offset == offset)
        return;
    if (old)
        give_up(old);
    if (conn->ahead_pause > 0) {
        conn->ahead_pause--;
        return;
    }
    if (size > door->fetch_bytes_max / ONE_SHARE)
        size = (uint32_t)(door->fetch_bytes_max / ONE_SHARE);
    if (door->stopping || size == 0 || !has_room(door, conn, size))
        return;
    struct ahead *ahead = mem_zalloc(1, sizeof(*ahead));
    if (!ahead)
        return;
    ahead->door = door;
    ahead->conn = conn;
    ahead->deliver_task.run = run_deliver;
    ahead->read = (struct flow_read){
        .home = door->loop,
        .done = come_home,
        .topic_id = topic_id,
        .partition = partition,
        .offset = offset,
        .size_max = size,
    };
    if (list_empty(&door->aheads)) {
        door->ahead_timer.run = check_kept;
        io_timer_start(door->loop, &door->ahead_timer, KEPT_NS);
    }
    list_add_tail(&conn->aheads, &ahead->link);
    list_add_tail(&door->aheads, &ahead->door_link);
    set_bytes(ahead, size);
    flow_log_read(door->kafka->log, &ahead->read);
}

bool serve_kafka_fetch_ahead_take(struct serve_kafka_door *door, struct serve_kafka_conn *conn,
                                  struct flow_read *read)
{
    struct ahead *ahead = conn->aheads.next ? find(conn, read->topic_id, read->partition) : NULL;
    ASSERT(read->home == door->loop && read->done);
    if (!ahead || ahead->read.offset != read->offset)
        return false;
    unlink_ahead(ahead);
    ahead->wanted = read;
    if (ahead->home)
        io_defer(door->loop, &ahead->deliver_task);
    return true;
}

void serve_kafka_fetch_ahead_close(struct serve_kafka_door *door, struct serve_kafka_conn *conn)
{
    ASSERT(door->loop);
    if (!conn->aheads.next)
        return;
    LIST_EACH_SAFE (link, &conn->aheads)
        give_up(CONTAINER_OF(link, struct ahead, link));
}

void serve_kafka_fetch_ahead_yield(struct serve_kafka_door *door)
{
    LIST_EACH_SAFE (link, &door->aheads) {
        struct ahead *ahead = CONTAINER_OF(link, struct ahead, door_link);
        if (ahead->home && ahead->conn)
            give_up(ahead);
    }
}

static void check_kept(struct io_timer *timer)
{
    struct serve_kafka_door *door = CONTAINER_OF(timer, struct serve_kafka_door, ahead_timer);
    uint64_t now_ns = io_now_ns(door->loop);
    ASSERT(!list_empty(&door->aheads));
    LIST_EACH_SAFE (link, &door->aheads) {
        struct ahead *ahead = CONTAINER_OF(link, struct ahead, door_link);
        if (ahead->home && ahead->conn && now_ns - ahead->home_ns >= KEPT_NS)
            give_up(ahead);
    }
    if (!list_empty(&door->aheads))
        io_timer_start(door->loop, timer, KEPT_NS);
}
