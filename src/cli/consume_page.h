#pragma once

/*
 * What `garner consume` does with one answer of the admin API: the ends of partitions out of the
 * description of a topic, and lines out of a page of records. Pure; nothing of the server is
 * believed but what has been looked at.
 */

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"
#include "base/uuid.h"

/* Of one partition. */
struct cli_consume_ends {
    int64_t start_offset;
    int64_t end_offset;
};

/* Of a topic; free with cli_consume_topic_done. */
struct cli_consume_topic {
    struct uuid uuid;
    struct cli_consume_ends *partitions;
    uint32_t partition_count;
};

/* Reads the answer of GET /v1/topics/{topic}. ERR_SYNTAX when it is none, ERR_MEMORY. */
err_t cli_consume_topic_read(struct slice document, struct cli_consume_topic *out);
void cli_consume_topic_done(struct cli_consume_topic *topic);

/* A page of records: which of them are wanted, and what became of them. */
struct cli_consume_page {
    struct uuid uuid;    /* wanted: of this topic */
    bool json;           /* wanted: whole records, else values alone */
    int64_t end_offset;  /* wanted: records before this one */
    uint64_t record_max; /* wanted: at the most so many */
    uint64_t record_count;
    int64_t next_offset; /* where the next page begins: behind the last one that was printed, when
                            not all were wanted */
};

/* Appends the wanted records of an answer of GET /v1/topics/{topic}/records to `out`, a line each;
 * a value that is no JSON is printed as its bytes are. ERR_NOT_FOUND when it is of
 * another topic, ERR_SYNTAX when it is no such answer, ERR_MEMORY. */
err_t cli_consume_page_print(struct slice document, struct cli_consume_page *page, struct buf *out);
/* Reads both ends of the partition out of an answer with status 416. */
err_t cli_consume_page_range(struct slice document, struct cli_consume_ends *out);
