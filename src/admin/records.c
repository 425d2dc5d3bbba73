#include "admin/admin_int.h"

#include "admin/query.h"
#include "admin/record.h"
#include "base/alloc.h"
#include "base/assert.h"
#include "flow/batch.h"

/*
 * The happy path: a snapshot says which topic it is and where its partition begins and ends; the
 * start is an offset by then, or found by its time; one read; its records are written into the
 * answer and the log has its memory back before the answer is given to the connection.
 *
 * A read that may wait is cancelled when its time is over, when its peer has gone, and when the
 * door closes; then the answer has no records. Between the snapshot and the read retention can take
 * the records away: everything is asked once more then, so that the answer says where the
 * partition begins.
 *
 * Memory: so many readers, each with one read of READ_SIZE or of one larger batch. What an answer
 * has come to is limited by ANSWER_SIZE and its last record; what peers have not taken yet by
 * UNSENT_MAX, beyond which readers are refused.
 */

#define READERS_MAX 64u
#define READ_SIZE (1u << 20)
#define ANSWER_SIZE (4u << 20)
#define UNSENT_MAX (32u << 20)
/* A batch that unpacks to more is not shown. */
#define UNPACKED_SIZE_MAX (128u << 20)
/* How often the peer of a waiting read is looked at. */
#define LOOK_MS 1000u
/* How often the log may have lost the start of a read to retention before that is the answer. */
#define ATTEMPTS_MAX 3u

struct reader {
    struct list link; /* the door's */
    struct admin *admin;
    struct net_http_request *request;
    struct slice topic; /* in `target` */
    struct admin_target target;
    struct admin_query query;
    struct flow_snapshot snapshot;
    struct flow_find find;
    struct flow_read read;
    struct io_timer timer;
    uint64_t deadline_ns; /* of a read that waits */
    bool waiting;         /* for a record, and not cancelled */
    uint32_t attempts;
    uint32_t topic_id;
    struct uuid uuid;
    int64_t start_offset; /* of the partition, as of the snapshot */
    int64_t end_offset;
    int64_t offset; /* where the answer begins */
};

/* What an answer is made of. */
struct page {
    struct buf text;
    uint32_t count;
    int64_t next_offset;
};

static void ask(struct reader *reader);

static void end(struct reader *reader)
{
    ASSERT(!reader->waiting && reader->admin->reader_count > 0);
    reader->admin->reader_count--;
    list_remove(&reader->link);
    mem_free(reader);
}

static void fail(struct reader *reader, err_t err, const char *what)
{
    admin_reply_failed(reader->request, err, "log", what);
    end(reader);
}

static void begin_page(const struct reader *reader, struct page *page)
{
    char uuid[UUID_TEXT_SIZE + 1];
    uuid_format(&reader->uuid, uuid);
    buf_add_string(&page->text, "{\"topic\":");
    buf_add_json_string(&page->text, reader->topic);
    buf_add_format(&page->text, ",\"uuid\":\"%s\",\"partition\":%u,\"offset\":", uuid,
                   reader->query.partition);
    buf_add_i64(&page->text, reader->offset);
    buf_add_string(&page->text, ",\"records\":[");
}

static void reply_page(struct reader *reader, struct page *page, int64_t end_offset)
{
    struct buf *text = &page->text;
    ASSERT(page->next_offset >= reader->offset);
    buf_add_string(text, "\n],\"next_offset\":");
    buf_add_i64(text, page->next_offset);
    buf_add_string(text, ",\"start_offset\":");
    buf_add_i64(text, reader->start_offset);
    buf_add_string(text, ",\"end_offset\":");
    buf_add_i64(text, end_offset);
    buf_add_string(text, "}\n");
    admin_reply(reader->request, 200, NULL, text);
}

/* True while there is room for another record. */
static bool has_room(const struct reader *reader, const struct page *page)
{
    return page->count < reader->query.limit && page->text.size < ANSWER_SIZE &&
           buf_ok(&page->text);
}

/* Writes a batch's records from the wanted offset on, as far as there is room. */
static err_t add_batch(const struct reader *reader, struct slice bytes, struct buf *unpacked,
                       struct page *page)
{
    struct flow_batch batch;
    struct flow_record record;
    TRY(flow_batch_parse(bytes, &batch));
    TRY(flow_batch_unpack(&batch, UNPACKED_SIZE_MAX, unpacked));
    struct flow_batch_iterator it = flow_batch_records(&batch);
    err_t err = flow_batch_next(&it, &record);
    for (; err_is_ok(err) && has_room(reader, page); err = flow_batch_next(&it, &record)) {
        if (record.offset < page->next_offset)
            continue;
        buf_add_string(&page->text, page->count > 0 ? ",\n" : "\n");
        admin_record_render(&page->text, reader->topic, reader->query.partition, &record);
        page->count++;
        page->next_offset = record.offset + 1;
    }
    /* Behind the last record there may be a hole; with a record left, it is the next. */
    if (err_is(err, ERR_END)) {
        int64_t end = batch.base_offset + batch.last_offset_delta + 1;
        page->next_offset = end > page->next_offset ? end : page->next_offset;
        return err_ok();
    }
    return err;
}

/* Records before the unreadable ones are shown; then the error comes when they are asked for. */
static err_t add_batches(const struct reader *reader, struct page *page)
{
    struct buf unpacked = {0};
    err_t err = err_ok();
    for (uint32_t i = 0; i < reader->read.batch_count && err_is_ok(err) && has_room(reader, page);
         i++)
        err = add_batch(reader, reader->read.batches[i], &unpacked, page);
    buf_done(&unpacked);
    /* All of it was shown, and there may be a hole behind it. */
    if (err_is_ok(err) && has_room(reader, page) && reader->read.next_offset > page->next_offset)
        page->next_offset = reader->read.next_offset;
    return page->next_offset > reader->offset ? err_ok() : err;
}

static void reply_read(struct reader *reader)
{
    struct flow_log *log = reader->admin->options.log;
    struct page page = {.next_offset = reader->offset};
    begin_page(reader, &page);
    err_t err = add_batches(reader, &page);
    int64_t end_offset = reader->read.end_offset;
    /* Whatever the peer does from here on, the log waits for nobody. */
    flow_log_release(log, &reader->read);
    if (!err_is_ok(err))
        admin_reply_failed(reader->request, err, "unreadable",
                           "the records at this offset cannot be read");
    else if (net_http_server_unsent(reader->admin->server) > UNSENT_MAX)
        admin_reply_busy(reader->request);
    else
        reply_page(reader, &page, end_offset);
    buf_done(&page.text);
    end(reader);
}

/* Nothing came in time: where the read would have begun is the end. */
static void reply_nothing(struct reader *reader)
{
    struct page page = {.next_offset = reader->offset};
    begin_page(reader, &page);
    reply_page(reader, &page, reader->offset);
    buf_done(&page.text);
    end(reader);
}

static void read_back(struct flow_read *read)
{
    struct reader *reader = CONTAINER_OF(read, struct reader, read);
    struct admin *admin = reader->admin;
    io_timer_stop(admin->options.loop, &reader->timer);
    reader->waiting = false;
    err_t err = read->error;
    if (err_is_ok(err)) {
        reply_read(reader);
        return;
    }
    flow_log_release(admin->options.log, read);
    if (err_is(err, ERR_CANCELLED))
        reply_nothing(reader);
    else if (err_is(err, ERR_OFFSET_RANGE) && ++reader->attempts < ATTEMPTS_MAX)
        ask(reader);
    else if (err_is(err, ERR_NOT_FOUND)) {
        admin_reply_unknown(reader->request, reader->topic);
        end(reader);
    } else
        fail(reader, err, "reading failed");
}

/* The answer comes all the same: with what has crossed the cancel, or with nothing. */
static void stop_waiting(struct reader *reader)
{
    ASSERT(reader->waiting);
    reader->waiting = false;
    io_timer_stop(reader->admin->options.loop, &reader->timer);
    flow_log_cancel(reader->admin->options.log, &reader->read);
}

static void look(struct io_timer *timer)
{
    struct reader *reader = CONTAINER_OF(timer, struct reader, timer);
    struct io_loop *loop = reader->admin->options.loop;
    uint64_t now_ns = io_now_ns(loop);
    if (now_ns >= reader->deadline_ns || net_http_request_aborted(reader->request)) {
        stop_waiting(reader);
        return;
    }
    uint64_t left_ns = reader->deadline_ns - now_ns;
    io_timer_start(loop, timer, left_ns < LOOK_MS * IO_MS ? left_ns : LOOK_MS * IO_MS);
}

static void begin_read(struct reader *reader)
{
    struct admin *admin = reader->admin;
    struct io_loop *loop = admin->options.loop;
    ASSERT(!reader->waiting && reader->offset >= 0);
    reader->read = (struct flow_read){
        .home = loop,
        .done = read_back,
        .topic_id = reader->topic_id,
        .partition = reader->query.partition,
        .offset = reader->offset,
        .size_max = READ_SIZE,
        /* Nobody waits at a door that closes. */
        .wait = reader->query.wait_ms > 0 && !admin->net.stopped,
    };
    if (reader->read.wait) {
        reader->waiting = true;
        reader->deadline_ns = io_now_ns(loop) + reader->query.wait_ms * IO_MS;
        reader->timer.run = look;
        look(&reader->timer);
    }
    flow_log_read(admin->options.log, &reader->read);
}

/* No record of that time or later: the end, where the read finds nothing. */
static void find_back(struct flow_find *find)
{
    struct reader *reader = CONTAINER_OF(find, struct reader, find);
    if (!err_is_ok(find->error)) {
        fail(reader, find->error, "finding the time failed");
        return;
    }
    reader->offset = find->offset;
    begin_read(reader);
}

static void begin_find(struct reader *reader)
{
    reader->find = (struct flow_find){
        .home = reader->admin->options.loop,
        .done = find_back,
        .topic_id = reader->topic_id,
        .partition = reader->query.partition,
        .timestamp_ms = reader->query.start_value,
    };
    flow_log_find(reader->admin->options.log, &reader->find);
}

/* With both ends, so that whoever asked can go on without a second request. */
static void reply_range(struct reader *reader)
{
    struct buf body = {0};
    buf_add_format(
        &body,
        "{\"error\":\"offset_range\",\"detail\":\"partition %u has the offsets from %lld "
        "on, and ends before %lld\",\"start_offset\":%lld,\"end_offset\":%lld}\n",
        reader->query.partition, (long long)reader->start_offset, (long long)reader->end_offset,
        (long long)reader->start_offset, (long long)reader->end_offset);
    admin_reply(reader->request, 416, NULL, &body);
    buf_done(&body);
    end(reader);
}

static void begin_at_start(struct reader *reader)
{
    int64_t value = reader->query.start_value;
    int64_t start = reader->start_offset;
    int64_t last = reader->end_offset;
    ASSERT(start <= last);
    switch (reader->query.start) {
    case ADMIN_QUERY_EARLIEST: reader->offset = start; break;
    case ADMIN_QUERY_LATEST: reader->offset = last; break;
    case ADMIN_QUERY_OFFSET: reader->offset = value; break;
    case ADMIN_QUERY_FROM_END: reader->offset = value < last - start ? last - value : start; break;
    case ADMIN_QUERY_TIME: begin_find(reader); return;
    }
    if (reader->offset < start || reader->offset > last)
        reply_range(reader);
    else
        begin_read(reader);
}

/* Keeps what is needed of the snapshot; false when it has answered. */
static bool learn(struct reader *reader)
{
    const struct flow_topic_state *topic = flow_snapshot_topic(&reader->snapshot, reader->topic);
    uint32_t partition = reader->query.partition;
    if (!topic) {
        admin_reply_unknown(reader->request, reader->topic);
        return false;
    }
    if (partition >= topic->partition_count) {
        net_http_reply_error(reader->request, 404, "unknown_partition", NULL,
                             "%s has %u partitions, counted from 0; there is no %u", topic->name,
                             topic->partition_count, partition);
        return false;
    }
    reader->topic_id = topic->id;
    reader->uuid = topic->uuid;
    reader->start_offset = topic->start_offset[partition];
    reader->end_offset = topic->end_offset[partition];
    return true;
}

static void snapshot_back(struct flow_snapshot *snapshot)
{
    struct reader *reader = CONTAINER_OF(snapshot, struct reader, snapshot);
    err_t err = snapshot->error;
    bool known = err_is_ok(err) && learn(reader);
    flow_snapshot_done(snapshot);
    if (!err_is_ok(err))
        fail(reader, err, "the log does not name its topics");
    else if (known)
        begin_at_start(reader);
    else
        end(reader);
}

static void ask(struct reader *reader)
{
    reader->snapshot =
        (struct flow_snapshot){.home = reader->admin->options.loop, .done = snapshot_back};
    flow_log_snapshot(reader->admin->options.log, &reader->snapshot);
}

void admin_records_serve(struct admin *admin, struct net_http_request *request,
                         const struct admin_target *target)
{
    struct admin_query query;
    struct err_text why = {0};
    ASSERT(target->topic_size > 0);
    /* With what is held of passwords they can be guessed. */
    if (slice_equal_string(slice_make(target->topic, target->topic_size),
                           CONTROL_AUTH_USERS_TOPIC)) {
        net_http_reply_error(request, 403, "secret", NULL,
                             CONTROL_AUTH_USERS_TOPIC " is not shown; /v1/users has the names");
        return;
    }
    struct slice text = slice_make(target->query_size ? target->query : NULL, target->query_size);
    err_t err = admin_query_parse(text, &query, &why);
    if (!err_is_ok(err)) {
        net_http_reply_error(request, 400, "query", NULL, "%s", err_detail(err, &why));
        return;
    }
    struct reader *reader = NULL;
    if (admin->reader_count < READERS_MAX && net_http_server_unsent(admin->server) <= UNSENT_MAX)
        reader = mem_zalloc(1, sizeof *reader);
    if (!reader) {
        admin_reply_busy(request);
        return;
    }
    reader->admin = admin;
    reader->request = request;
    reader->target = *target;
    reader->topic = slice_make(reader->target.topic, target->topic_size);
    reader->query = query;
    admin->reader_count++;
    list_add_tail(&admin->readers, &reader->link);
    ask(reader);
}

void admin_records_stop(struct admin *admin)
{
    ASSERT(admin->net.stopped);
    LIST_EACH (link, &admin->readers) {
        struct reader *reader = CONTAINER_OF(link, struct reader, link);
        if (reader->waiting)
            stop_waiting(reader);
    }
}
