#include "base/assert.h"
#include "flow/batch.h"
#include "serve/kafka/fetch_ahead.h"
#include "serve/kafka/fetch_data.h"
#include "serve/kafka/fetch_session.h"

/*
 * Fetch: a round reads the partitions one after the other in the order of the request, until the
 * bytes that the client allows are there (KIP-74), and holds what it has read until it is sent
 * (fetch_data.h). After a round that brings less than min_bytes every partition is
 * watched: what comes is only measured, and once there is enough of it, or the time is up, a second
 * round reads it all. A round that left something unread for want of room is never followed by
 * another: that would bring the same.
 *
 * A fetch gets whole batches, also where its offset lies inside of one, and the first batch of all
 * whatever its size: a client would stand still before it otherwise.
 *
 * Of a session (fetch_session.h) the parts are those that it has, in its order, and only what is
 * new in them is told. Reading begins behind the last one that had something, so that none is last
 * for ever.
 *
 * Failure modes: each partition has its own error. What is fetched at once, and what clients do not
 * take from us, is memory that is gone for the others: a round begins with room for all that it may
 * need, or waits in line for it, and gives it back; when it is clients that hold too much, nobody
 * gets more, and is told to come later. Between two rounds nothing is held.
 */

#define BUSY_MS 100
/* What is held of the log may be so many times what is wanted of it (fetch_data.c). */
#define ROUND_FACTOR 2u
/* One round takes so much of what is left at the most, so that others find something too; but room
 * for a batch of usual size, if there is that. */
#define ROUND_SHARE 2u
#define ROUND_MIN ((uint64_t)1 << 20)
/* Longest that a client waits for records, whatever it asks for; it asks again then. */
#define WAIT_MS_MAX 60000
/* What a watch has the log hold to measure it. */
#define WATCH_BYTES_MAX (1u << 20)
/* Read ahead of one partition, if the client takes so much: less, and threads that wake each other
 * take more time than the bytes. An answer that begins with what was read ahead is not filled up
 * from the disk. */
#define AHEAD_BYTES (4u << 20)
/* Clients know zstd from this version on (KIP-110). */
#define ZSTD_VERSION 10

struct fetching;

/* Measures what a partition has beyond what the last round saw. */
struct watch {
    struct flow_read read;
    struct fetching *fetching;
    bool home;
};

struct part {
    struct slice topic;
    uint32_t topic_id; /* 0: there is none */
    uint32_t partition;
    int64_t offset;
    int32_t leader_epoch; /* as the client believes */
    uint32_t size_max;
    bool read;           /* the last round did */
    int64_t next_offset; /* behind what it read */
    int64_t more_offset; /* the client's next, where there is more; else -1 */
    struct list held;    /* its batches */
    size_t data_size;    /* of those */
    size_t found_size;   /* the same, markers as what they stand for: the limits go by it */
    struct proto_kafka_fetch_response_partition *answer;
    struct serve_kafka_fetch_part *told; /* the session's, while it is as it was; NULL: none */
};

struct fetching {
    struct serve_kafka_call *call;
    struct proto_kafka_fetch_response response;
    struct part *parts;
    struct proto_kafka_fetch_response_partition *answers; /* one a part */
    uint32_t part_count;
    uint32_t first;     /* the part that is read first, in a round */
    uint32_t at;        /* the one whose turn it is, from there */
    int32_t session_id; /* 0: none */
    int32_t session_epoch;
    bool incremental;
    size_t size_max; /* as the client allows */
    size_t room;     /* of that, in this round */
    uint64_t reserved_bytes;
    struct list line_link; /* the door's, while it waits for room */
    size_t data_size;      /* of all parts */
    size_t found_size;     /* the same, as of a part */
    struct flow_read read;
    bool ahead;  /* the last read was one ahead */
    bool failed; /* a partition has an error: the client is to know at once */
    bool full;   /* there is more than there is room for */
    /* Between rounds. */
    struct watch *watches; /* one a part */
    uint32_t watching;     /* that have not come home */
    uint64_t seen;         /* bytes, with those of the last round */
    bool woken;            /* there are enough, or an error */
    bool over;             /* no further wait */
    bool timed;
    struct io_timer timer;
};

static void begin_round(struct fetching *f);

static const struct proto_kafka_fetch_request *request_of(const struct fetching *f)
{
    ASSERT(f->call->header.key == PROTO_KAFKA_FETCH);
    return f->call->message;
}

/* True when the client has to hear of the part; the session remembers what it hears. */
static bool is_told(const struct fetching *f, const struct part *part)
{
    const struct proto_kafka_fetch_response_partition *answer = part->answer;
    struct serve_kafka_fetch_part *told = part->told;
    if (!told)
        return true;
    bool failed = answer->error_code != SERVE_KAFKA_NONE;
    bool moved = part->read && (answer->high_watermark != told->high_watermark ||
                                answer->log_start_offset != told->log_start_offset);
    if (f->incremental && !failed && !moved && part->data_size == 0)
        return false;
    /* Behind an error, and what the view believes, the next answer tells in any case. */
    told->high_watermark = failed || !part->read ? -1 : answer->high_watermark;
    told->log_start_offset = answer->log_start_offset;
    return true;
}

/* Gathers the answers of parts that follow each other under their topic. */
static void gather(struct fetching *f)
{
    struct proto_kafka_fetch_response_topic *topics = f->response.responses.items;
    struct proto_kafka_fetch_response_topic *last = NULL;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < f->part_count; i++) {
        const struct part *part = &f->parts[i];
        if (!is_told(f, part))
            continue;
        if (!last || !slice_equal(last->topic, part->topic)) {
            last = &topics[f->response.responses.count++];
            last->topic = part->topic;
            last->partitions.items = &f->answers[kept];
        }
        last->partitions.count++;
        f->answers[kept] = *part->answer;
        /* Never null, which some clients take for an error. The bytes stand elsewhere. */
        f->answers[kept++].records = slice_make("", part->data_size);
    }
}

enum room { ROOM_TAKEN, ROOM_LATER, ROOM_NONE };

/* Room for a round. It comes when other rounds end; not so what clients do not take. */
static enum room take_room(struct fetching *f)
{
    struct serve_kafka_door *door = f->call->door;
    uint64_t max = door->fetch_bytes_max;
    uint64_t least = ROUND_FACTOR * ROUND_MIN < max ? ROUND_FACTOR * ROUND_MIN : max;
    ASSERT(f->reserved_bytes == 0);
    /* Answers that come of rounds under way go there as well. */
    if (net_kafka_server_counters(door->server)->bytes_unsent >= max - max / ROUND_FACTOR)
        return ROOM_NONE;
    if (door->fetch_bytes + least > max)
        serve_kafka_fetch_ahead_yield(door);
    if (door->fetch_bytes + least > max)
        return ROOM_LATER;
    uint64_t most = (max - door->fetch_bytes) / ROUND_SHARE;
    uint64_t wanted = (uint64_t)f->size_max * ROUND_FACTOR;
    wanted = wanted < most ? wanted : most;
    f->reserved_bytes = wanted > least ? wanted : least;
    f->room = (size_t)(f->reserved_bytes / ROUND_FACTOR);
    f->room = f->room < f->size_max ? f->room : f->size_max;
    door->fetch_bytes += f->reserved_bytes;
    return ROOM_TAKEN;
}

static void give_room(struct fetching *f)
{
    struct serve_kafka_door *door = f->call->door;
    ASSERT(door->fetch_bytes >= f->reserved_bytes);
    door->fetch_bytes -= f->reserved_bytes;
    f->reserved_bytes = 0;
    serve_kafka_fetch_wake(door);
}

static void drop_data(struct fetching *f)
{
    for (uint32_t i = 0; i < f->part_count; i++) {
        serve_kafka_fetch_drop(f->call->door, &f->parts[i].held);
        f->parts[i].data_size = 0;
    }
    f->data_size = 0;
    give_room(f);
}

/* Encodes the answer with its batches left out, and makes a body of those. NULL without memory. */
static struct net_kafka_body *encode(struct fetching *f)
{
    size_t *gap = serve_kafka_try_alloc(f->call, f->part_count, sizeof(*gap));
    struct net_kafka_body *body = gap ? serve_kafka_fetch_body_new(f->call->door) : NULL;
    if (!body)
        return NULL;
    serve_kafka_encode_apart(f->call, &f->response, gap);
    bool added = true;
    for (uint32_t i = 0; added && i < f->part_count; i++)
        if (f->parts[i].data_size > 0)
            added = serve_kafka_fetch_body_add(body, *gap++, &f->parts[i].held);
    if (added)
        return body;
    body->release(body);
    return NULL;
}

/* Begins to read what the client will ask for next, as far as the last read says that there is
 * something. */
static void read_ahead(struct fetching *f)
{
    struct serve_kafka_call *call = f->call;
    struct serve_kafka_conn *conn = net_kafka_request_session(call->request);
    for (uint32_t i = 0; i < f->part_count; i++) {
        const struct part *part = &f->parts[i];
        size_t size = part->size_max < f->size_max ? part->size_max : f->size_max;
        if (part->more_offset >= 0)
            serve_kafka_fetch_ahead_begin(call->door, conn, part->topic_id, part->partition,
                                          part->more_offset,
                                          (uint32_t)(size < AHEAD_BYTES ? size : AHEAD_BYTES));
    }
}

static void reply_data(struct fetching *f)
{
    struct serve_kafka_call *call = f->call;
    struct net_kafka_body *body = encode(f);
    if (body) {
        give_room(f);
        if (!net_kafka_request_gone(call->request))
            read_ahead(f);
        serve_kafka_reply_body(call, body);
    } else {
        drop_data(f);
        buf_done(&call->answer);
        serve_kafka_refuse(call);
    }
}

static void answer(struct fetching *f)
{
    struct serve_kafka_call *call = f->call;
    struct serve_kafka_fetch_session *session =
        serve_kafka_fetch_session_of(call, f->session_id, f->session_epoch);
    io_timer_stop(call->door->loop, &f->timer);
    f->response.session_id = f->session_id;
    if (f->session_id != 0 && !session) {
        /* A request that came behind this one has changed it: what is new cannot be said. */
        f->response.error_code = SERVE_KAFKA_INVALID_FETCH_SESSION_EPOCH;
        f->response.session_id = 0;
        drop_data(f);
    } else {
        gather(f);
        for (uint32_t i = 0; session && i < f->part_count; i++)
            if (f->parts[(f->first + i) % f->part_count].data_size > 0)
                session->first = (f->first + i + 1) % f->part_count;
    }
    /* The arena ends in there, and `f` with it. */
    if (f->data_size > 0) {
        reply_data(f);
        return;
    }
    give_room(f);
    serve_kafka_reply(call, &f->response);
}

/* Ends the wait of all that still watch; each comes home. */
static void cancel_watches(struct fetching *f)
{
    for (uint32_t i = 0; i < f->part_count; i++) {
        struct watch *watch = &f->watches[i];
        if (!watch->home && !watch->read.cancelled)
            flow_log_cancel(f->call->door->kafka->log, &watch->read);
    }
}

static size_t min_bytes(const struct fetching *f)
{
    int32_t wanted = request_of(f)->min_bytes;
    return wanted > 0 ? (size_t)wanted : 0;
}

static void begin_watch(struct fetching *f, struct watch *watch, int64_t offset);

static void wait_is_over(struct fetching *f)
{
    list_remove(&f->call->poll_link);
    bool more = f->woken || f->seen > f->data_size;
    if (more && !net_kafka_request_gone(f->call->request))
        begin_round(f);
    else
        answer(f);
}

static void watch_home(struct flow_read *read)
{
    struct watch *watch = CONTAINER_OF(read, struct watch, read);
    struct fetching *f = watch->fetching;
    int64_t next_offset = read->next_offset;
    bool failed = !err_is_ok(read->error) && !err_is(read->error, ERR_CANCELLED);
    bool measured = err_is_ok(read->error);
    ASSERT(!watch->home && f->watching > 0);
    for (uint32_t i = 0; measured && i < read->batch_count; i++)
        f->seen += read->batches[i].size;
    flow_log_release(f->call->door->kafka->log, read);
    f->woken = f->woken || failed || f->seen >= min_bytes(f);
    if (measured && !f->woken && !f->over) {
        begin_watch(f, watch, next_offset);
        return;
    }
    watch->home = true;
    if (--f->watching > 0)
        cancel_watches(f);
    else
        wait_is_over(f);
}

static void begin_watch(struct fetching *f, struct watch *watch, int64_t offset)
{
    struct serve_kafka_door *door = f->call->door;
    const struct part *part = &f->parts[watch - f->watches];
    size_t size_max = min_bytes(f) < WATCH_BYTES_MAX ? min_bytes(f) : WATCH_BYTES_MAX;
    watch->fetching = f;
    watch->home = false;
    watch->read = (struct flow_read){
        .home = door->loop,
        .done = watch_home,
        .topic_id = part->topic_id,
        .partition = part->partition,
        .offset = offset,
        .size_max = (uint32_t)size_max,
        .wait = true,
    };
    flow_log_read(door->kafka->log, &watch->read);
}

static void end_wait(struct fetching *f)
{
    f->over = true;
    cancel_watches(f);
}

static void time_is_up(struct io_timer *timer)
{
    struct fetching *f = CONTAINER_OF(timer, struct fetching, timer);
    /* Within a round it is enough that the next wait does not begin. */
    f->over = true;
    if (f->watching > 0)
        cancel_watches(f);
}

/* False when there is nothing to watch, or no memory to do it. */
static bool begin_wait(struct fetching *f)
{
    struct serve_kafka_door *door = f->call->door;
    if (!f->watches)
        f->watches = serve_kafka_try_alloc(f->call, f->part_count, sizeof(*f->watches));
    if (!f->watches || f->part_count == 0 || (!f->timed && !serve_kafka_park(f->call))) {
        /* It would be back at once. */
        f->response.throttle_time_ms = BUSY_MS;
        return false;
    }
    if (!f->timed) {
        int32_t wait_ms = request_of(f)->max_wait_ms;
        f->timed = true;
        f->timer.run = time_is_up;
        io_timer_start(door->loop, &f->timer,
                       (uint64_t)(wait_ms < WAIT_MS_MAX ? wait_ms : WAIT_MS_MAX) * IO_MS);
    }
    f->woken = false;
    /* Held for as long as a client likes to wait, it would be nobody else's: it is read again. */
    f->seen = f->found_size;
    drop_data(f);
    f->watching = f->part_count;
    list_add_tail(&door->polls, &f->call->poll_link);
    for (uint32_t i = 0; i < f->part_count; i++)
        begin_watch(f, &f->watches[i], f->parts[i].next_offset);
    return true;
}

static void end_round(struct fetching *f)
{
    bool enough = f->failed || f->full || f->over || request_of(f)->max_wait_ms <= 0 ||
                  f->found_size >= min_bytes(f);
    if (f->call->door->stopping || net_kafka_request_gone(f->call->request) || enough ||
        !begin_wait(f))
        answer(f);
}

/* How much more of the partition finds room. */
static size_t room_for(const struct fetching *f, const struct part *part)
{
    size_t left = f->found_size < f->room ? f->room - f->found_size : 0;
    size_t part_left = part->found_size < part->size_max ? part->size_max - part->found_size : 0;
    return part_left < left ? part_left : left;
}

static void fail(struct fetching *f, struct part *part, int16_t error_code)
{
    part->answer->error_code = error_code;
    f->failed = true;
}

static bool is_readable(const struct fetching *f, struct slice bytes)
{
    struct flow_batch batch;
    return f->call->header.version >= ZSTD_VERSION || !err_is_ok(flow_batch_parse(bytes, &batch)) ||
           flow_batch_codec(&batch) != FLOW_CODEC_ZSTD;
}

/* Where the client goes on behind `count` batches of the last read. */
static int64_t more_behind(const struct fetching *f, uint32_t count)
{
    const struct flow_read *read = &f->read;
    struct flow_batch batch;
    if (count == read->batch_count)
        return read->next_offset < read->end_offset ? read->next_offset : -1;
    return err_is_ok(flow_batch_parse(read->batches[count], &batch)) ? batch.base_offset : -1;
}

/* How many batches of the last read are the client's, which are found with that. */
static uint32_t choose(struct fetching *f, struct part *part)
{
    size_t room = room_for(f, part);
    size_t size = 0;
    uint32_t count = 0;
    for (; count < f->read.batch_count; count++) {
        struct slice batch = f->read.batches[count];
        if (!is_readable(f, batch))
            break;
        /* One without records may be the end of a marker. */
        size_t needed = batch.size > FLOW_BATCH_HEADER_SIZE ? batch.size : FLOW_BATCH_MARKER_SIZE;
        /* The first of all takes what it needs. */
        bool fits = f->found_size + size == 0 || (size <= room && needed <= room - size);
        f->full = f->full || !fits;
        if (!fits)
            break;
        size += needed;
    }
    f->found_size += size;
    part->found_size += size;
    return count;
}

/* The first `count` batches of the last read, in what was reserved; their bytes, as
 * serve_kafka_fetch_hold has them. */
static size_t hold(struct fetching *f, uint32_t count, struct list *held)
{
    struct serve_kafka_door *door = f->call->door;
    uint64_t before = door->fetch_bytes;
    size_t size = serve_kafka_fetch_hold(door, &f->read, count, held);
    uint64_t added = door->fetch_bytes - before;
    uint64_t reserved = added < f->reserved_bytes ? added : f->reserved_bytes;
    f->reserved_bytes -= reserved;
    door->fetch_bytes -= reserved;
    return size;
}

/* Holds the batches of the last read as far as they are the client's; false when it gets no more.
 */
static bool keep_batches(struct fetching *f, struct part *part)
{
    struct serve_kafka_door *door = f->call->door;
    uint32_t offered = f->read.batch_count;
    size_t size = 0;
    uint32_t count = choose(f, part);
    int64_t more_offset = more_behind(f, count);
    if (count == 0) {
        flow_log_release(door->kafka->log, &f->read);
    } else if ((size = hold(f, count, &part->held)) == 0) {
        /* What was read is read again when the client asks again. */
        fail(f, part, SERVE_KAFKA_KAFKA_STORAGE_ERROR);
        return false;
    }
    f->data_size += size;
    part->data_size += size;
    part->next_offset = f->read.next_offset;
    part->more_offset = more_offset;
    /* Behind those that it can read it is told by the next fetch. */
    if (count < offered && !f->full && part->data_size == 0)
        fail(f, part, SERVE_KAFKA_UNSUPPORTED_COMPRESSION_TYPE);
    if (f->ahead && f->found_size >= min_bytes(f))
        return false;
    return count > 0 && count == offered && f->read.next_offset < f->read.end_offset;
}

static struct part *turn_of(const struct fetching *f)
{
    ASSERT(f->at < f->part_count && f->first < f->part_count);
    return &f->parts[(f->first + f->at) % f->part_count];
}

static void read_next(struct fetching *f);

static void was_read(struct flow_read *read)
{
    struct fetching *f = CONTAINER_OF(read, struct fetching, read);
    struct part *part = turn_of(f);
    bool goes_on = false;
    if (err_is_ok(read->error)) {
        part->answer->high_watermark = read->end_offset;
        part->answer->last_stable_offset = read->end_offset;
        goes_on = keep_batches(f, part);
    } else {
        if (part->data_size == 0)
            fail(f, part, serve_kafka_error_code(read->error));
        /* A topic that was deleted may be there again, as another. */
        f->call->door->view.doubted |= err_is(read->error, ERR_NOT_FOUND);
        flow_log_release(f->call->door->kafka->log, read);
    }
    /* One read brings so many batches and no more. */
    goes_on = goes_on && room_for(f, part) > 0;
    f->full = f->full || (part->data_size > 0 && room_for(f, part) == 0);
    f->at += !goes_on;
    read_next(f);
}

static void read_next(struct fetching *f)
{
    struct serve_kafka_door *door = f->call->door;
    while (f->at < f->part_count && turn_of(f)->topic_id == 0)
        f->at++;
    /* What finds no room is at the front the next time, if the client does as Kafka's does. */
    if (f->at == f->part_count || f->found_size >= f->room) {
        end_round(f);
        return;
    }
    struct part *part = turn_of(f);
    part->read = true;
    f->read = (struct flow_read){
        .home = door->loop,
        .done = was_read,
        .topic_id = part->topic_id,
        .partition = part->partition,
        .offset = part->next_offset,
        .size_max = (uint32_t)room_for(f, part),
    };
    f->ahead =
        serve_kafka_fetch_ahead_take(door, net_kafka_request_session(f->call->request), &f->read);
    if (!f->ahead)
        flow_log_read(door->kafka->log, &f->read);
}

static void begin_reading(struct fetching *f, enum room room)
{
    if (room == ROOM_TAKEN) {
        read_next(f);
        return;
    }
    f->response.throttle_time_ms = BUSY_MS;
    answer(f);
}

static void begin_round(struct fetching *f)
{
    ASSERT(f->data_size == 0 && f->reserved_bytes == 0);
    f->at = 0;
    f->found_size = 0;
    f->full = false;
    for (uint32_t i = 0; i < f->part_count; i++) {
        f->parts[i].next_offset = f->parts[i].offset;
        f->parts[i].more_offset = -1;
        f->parts[i].found_size = 0;
        f->parts[i].read = false;
    }
    struct list *line = &f->call->door->fetch_line;
    enum room room = list_empty(line) ? take_room(f) : ROOM_LATER;
    if (room == ROOM_LATER)
        list_add_tail(line, &f->line_link);
    else
        begin_reading(f, room);
}

void serve_kafka_fetch_wake(struct serve_kafka_door *door)
{
    if (list_empty(&door->fetch_line) || door->fetch_line_due)
        return;
    door->fetch_line_due = true;
    io_defer(door->loop, &door->fetch_line_task);
}

void serve_kafka_fetch_line(struct task *task)
{
    struct serve_kafka_door *door = CONTAINER_OF(task, struct serve_kafka_door, fetch_line_task);
    door->fetch_line_due = false;
    while (!list_empty(&door->fetch_line)) {
        struct fetching *f = CONTAINER_OF(door->fetch_line.next, struct fetching, line_link);
        bool gone = net_kafka_request_gone(f->call->request);
        enum room room = gone ? ROOM_NONE : take_room(f);
        if (room == ROOM_LATER)
            return;
        list_remove(&f->line_link);
        begin_reading(f, room);
    }
}

static uint32_t positive(int32_t value)
{
    return value > 0 ? (uint32_t)value : 1;
}

/* False when the view lacks the topic or the partition. What it says of the ends is for parts that
 * are not read, and may be old: nobody has read behind the true end. */
static bool resolve(struct fetching *f, struct part *part)
{
    const struct flow_topic_state *topic =
        serve_kafka_view_topic(&f->call->door->view, part->topic);
    bool there = topic && part->partition < topic->partition_count;
    part->topic_id = 0;
    part->answer->error_code = SERVE_KAFKA_NONE;
    if (!there) {
        fail(f, part, SERVE_KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    } else if (part->leader_epoch > SERVE_KAFKA_LEADER_EPOCH) {
        fail(f, part, SERVE_KAFKA_UNKNOWN_LEADER_EPOCH);
    } else {
        int64_t end_offset = topic->end_offset[part->partition];
        part->topic_id = topic->id;
        part->answer->high_watermark = part->answer->last_stable_offset =
            part->offset > end_offset ? part->offset : end_offset;
        part->answer->log_start_offset = topic->start_offset[part->partition];
    }
    return there;
}

/* True when all are known. */
static bool resolve_all(struct fetching *f)
{
    bool known = true;
    f->failed = false;
    for (uint32_t i = 0; i < f->part_count; i++)
        known = resolve(f, &f->parts[i]) && known;
    return known;
}

static void viewed(struct serve_kafka_call *call)
{
    struct fetching *f = call->work;
    resolve_all(f);
    begin_round(f);
}

static void add_part(struct fetching *f, struct slice topic,
                     const struct serve_kafka_fetch_part *want, struct serve_kafka_fetch_part *told)
{
    struct proto_kafka_fetch_response_partition *out = &f->answers[f->part_count];
    *out = (struct proto_kafka_fetch_response_partition){
        .partition_index = want->partition,
        .high_watermark = -1,
        .last_stable_offset = -1,
        .log_start_offset = -1,
        .diverging_epoch = {-1, -1},
        .current_leader = {-1, -1},
        .preferred_read_replica = -1,
    };
    f->parts[f->part_count++] = (struct part){
        .topic = topic,
        .partition = want->partition >= 0 ? (uint32_t)want->partition : UINT32_MAX,
        .offset = want->offset,
        .leader_epoch = want->leader_epoch,
        .size_max = positive(want->bytes_max),
        .answer = out,
        .told = told,
    };
    list_init(&f->parts[f->part_count - 1].held);
}

static void add_asked(struct fetching *f)
{
    const struct proto_kafka_fetch_request *request = request_of(f);
    for (uint32_t t = 0; t < request->topics.count; t++) {
        const struct proto_kafka_fetch_request_topic *topic = &request->topics.items[t];
        for (uint32_t i = 0; i < topic->partitions.count; i++) {
            const struct proto_kafka_fetch_request_partition *asked = &topic->partitions.items[i];
            const struct serve_kafka_fetch_part want = {
                .partition = asked->partition,
                .leader_epoch = asked->current_leader_epoch,
                .bytes_max = asked->partition_max_bytes,
                .offset = asked->fetch_offset,
            };
            add_part(f, topic->topic, &want, NULL);
        }
    }
}

/* False when the call has been refused. Names are copied: the session may end before the call. */
static bool add_of_session(struct fetching *f, const struct serve_kafka_fetch_session *session)
{
    LIST_EACH (link, &session->topics) {
        const struct serve_kafka_fetch_topic *topic =
            CONTAINER_OF(link, struct serve_kafka_fetch_topic, link);
        char *name = serve_kafka_alloc(f->call, topic->name_size + 1, 1);
        if (!name)
            return false;
        memcpy(name, topic->name, topic->name_size);
        for (uint32_t i = 0; i < topic->part_count; i++)
            add_part(f, slice_make(name, topic->name_size), &topic->parts[i], &topic->parts[i]);
    }
    f->session_id = session->id;
    f->session_epoch = session->epoch;
    f->first = session->first % session->part_count;
    return true;
}

/* Room for every answer, so that only batches need more behind this. */
static struct fetching *begin(struct serve_kafka_call *call,
                              const struct serve_kafka_fetch_session *session)
{
    const struct proto_kafka_fetch_request *request = call->message;
    uint32_t part_count = session ? session->part_count : 0;
    for (uint32_t i = 0; !session && i < request->topics.count; i++)
        part_count += request->topics.items[i].partitions.count;
    struct fetching *f = serve_kafka_alloc(call, 1, sizeof(*f));
    if (!f)
        return NULL;
    call->work = f;
    f->call = call;
    f->room = f->size_max = positive(request->max_bytes);
    if (f->size_max > SERVE_KAFKA_FETCH_BYTES_MAX)
        f->size_max = SERVE_KAFKA_FETCH_BYTES_MAX;
    f->incremental = request->session_epoch > 0;
    proto_kafka_init(call->api->response, &f->response);
    f->parts = serve_kafka_alloc(call, part_count, sizeof(*f->parts));
    if (!f->parts)
        return NULL;
    f->answers = serve_kafka_alloc(call, part_count, sizeof(*f->answers));
    if (!f->answers)
        return NULL;
    f->response.responses.items =
        serve_kafka_alloc(call, part_count, sizeof(*f->response.responses.items));
    if (!f->response.responses.items)
        return NULL;
    if (session)
        return add_of_session(f, session) ? f : NULL;
    add_asked(f);
    return f;
}

static void reply_error(struct serve_kafka_call *call, int16_t error_code)
{
    struct proto_kafka_fetch_response response;
    proto_kafka_init(call->api->response, &response);
    response.error_code = error_code;
    serve_kafka_reply(call, &response);
}

void serve_kafka_fetch(struct serve_kafka_call *call)
{
    struct serve_kafka_fetch_session *session = NULL;
    int16_t code = serve_kafka_fetch_session_take(call, &session);
    if (code != SERVE_KAFKA_NONE) {
        reply_error(call, code);
        return;
    }
    struct fetching *f = begin(call, session);
    if (!f)
        return;
    if (resolve_all(f) && !call->door->view.doubted)
        begin_round(f);
    else
        serve_kafka_view_refresh(call, viewed);
}

void serve_kafka_fetch_gone(struct serve_kafka_call *call)
{
    ASSERT(list_linked(&call->poll_link));
    end_wait(call->work);
}

void serve_kafka_fetch_stop(struct serve_kafka_door *door)
{
    LIST_EACH (link, &door->polls)
        end_wait(CONTAINER_OF(link, struct serve_kafka_call, poll_link)->work);
}
