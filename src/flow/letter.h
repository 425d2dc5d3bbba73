#pragma once

/*
 * A dead letter as its headers tell of it, and whether it is one that is looked for. Pure; any
 * thread.
 */

#include "flow/record.h"

/* Views into the record. */
struct flow_letter {
    const struct flow_record *record;
    struct slice reason;
    struct slice detail;
    struct slice stage; /* "intake", "sink:<name>" */
    struct slice source;
    struct slice received_at;
    int64_t received_ms; /* the same; the record's time where that cannot be read */
    uint32_t attempts;   /* 1 where it cannot be read */
    bool of_sink;        /* refused by a sink: goes to that alone, and is never appended again */
    struct slice sink;   /* its name, where it is of one */
    /* Of a record that came with key, headers and time of its own, as Kafka's do: the letter has
     * them, and `partition` is where it was sent to; FLOW_PARTITIONS_MAX where that cannot be
     * read. */
    bool produced;
    struct slice contract_key; /* what the contract says, where the record's own is another */
    /* Of a sink's letter: which record it is. */
    bool has_origin; /* all three could be read */
    struct slice topic;
    uint32_t partition;
    int64_t offset;
    /* Of both: the record as it was. */
    struct flow_record original;
};

/* Headers that a sink's letter has before the record's own. */
#define FLOW_LETTER_SINK_HEADERS 9u
/* The last of those that a letter of a record that was produced has before the record's own. */
#define FLOW_LETTER_PRODUCED_LAST "garner.partition"

/* Which letters are meant; what is empty or zero means any. Views. */
struct flow_letter_filter {
    struct slice reason;
    struct slice source;
    struct slice path; /* how the detail begins: the path of what was wrong */
    struct slice key;  /* the letter's own, or what the contract says */
    int64_t since_ms;  /* received at or past it */
    int64_t until_ms;  /* and before it */
};

/* Reads the headers. A header that is missing is empty: the letter is still one. Where a header
 * stands twice, the first counts. */
void flow_letter_parse(const struct flow_record *record, struct flow_letter *out);
bool flow_letter_matches(const struct flow_letter *letter, const struct flow_letter_filter *filter);
