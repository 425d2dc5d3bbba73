#pragma once

/*
 * What `garner gen` sends: JSON events as a shop would emit them, all of one size, each with an id
 * of its own. A request's body is copied from a template once; from then on only ids and times
 * are patched in place (and the CRC of a batch with them), which costs a small part of what sending
 * does. Pure; one thread.
 *
 * An id is "<run>-<sequence>": 8 hexadecimal digits that tell runs apart, 12 decimal digits that
 * count records from 0. So a set of ids is an array indexed by the sequence.
 */

#include "base/err.h"
#include "base/slice.h"

#define CLI_EVENTS_RUN_SIZE 8u
#define CLI_EVENTS_SEQUENCE_SIZE 12u
#define CLI_EVENTS_ID_SIZE (CLI_EVENTS_RUN_SIZE + 1 + CLI_EVENTS_SEQUENCE_SIZE)
#define CLI_EVENTS_TIME_SIZE 24u
#define CLI_EVENTS_SIZE_MIN 80u
/* One more than the largest sequence. */
#define CLI_EVENTS_COUNT_MAX UINT64_C(1000000000000)

/* `part` of every `whole`, evenly spread. */
struct cli_share {
    uint64_t part;
    uint64_t whole; /* over 0 */
};

/* Parses "0.1%" or, where `count` is not 0, a number of `count`. ERR_INVALID when it is neither or
 * over the whole. */
err_t cli_share_parse(struct slice text, uint64_t count, struct cli_share *out);
/* How many of the first `n` it takes: n * part / whole. */
uint64_t cli_share_of(struct cli_share share, uint64_t n);

/* The next number, below `below`, of a sequence that begins with any `*state` (splitmix64). */
uint64_t cli_draw(uint64_t *state, uint64_t below);

enum cli_events_form {
    CLI_EVENTS_LINES, /* a line a record */
    CLI_EVENTS_ARRAY, /* a JSON array */
    CLI_EVENTS_BATCH, /* a record batch of Kafka's format (flow/batch.h) */
};

struct cli_events_options {
    uint32_t run;
    size_t size;    /* bytes a record, from CLI_EVENTS_SIZE_MIN */
    uint32_t batch; /* records a body, at the most */
    enum cli_events_form form;
    struct cli_share broken;
    uint64_t seed; /* of what the events say */
};

struct cli_events {
    struct cli_events_options options;
    char run[CLI_EVENTS_RUN_SIZE + 1];
    uint8_t *body; /* the template */
    size_t *ends;  /* BATCH: of so many records and what is in front of them */
};

/* Makes the template. ERR_MEMORY. */
err_t cli_events_init(struct cli_events *events, const struct cli_events_options *options);
void cli_events_done(struct cli_events *events);
/* Bytes of a body of `count` records. */
size_t cli_events_size(const struct cli_events *events, uint32_t count);
/* A copy of the template for cli_events_fill; NULL without memory. Freed with mem_free. */
uint8_t *cli_events_body(const struct cli_events *events);
/* Makes `count` records of `body`, from the `slot`-th on, those from `sequence` on, with `time` as
 * their event_time. */
void cli_events_fill(const struct cli_events *events, uint8_t *body, uint32_t slot, uint32_t count,
                     uint64_t sequence, const char time[static CLI_EVENTS_TIME_SIZE]);
/* Ends `body` behind `count` records; those of a BATCH are of `time_ms`. */
void cli_events_end(const struct cli_events *events, uint8_t *body, uint32_t count,
                    int64_t time_ms);
/* Whether the record is one of the broken ones. */
bool cli_events_is_broken(const struct cli_events *events, uint64_t sequence);
/* Reads the sequence out of a record's value; false when it is none of this run's. */
bool cli_events_sequence(const struct cli_events *events, struct slice value, uint64_t *out);
/* Writes the id, with a zero. */
void cli_events_id(const struct cli_events *events, uint64_t sequence,
                   char out[static CLI_EVENTS_ID_SIZE + 1]);
