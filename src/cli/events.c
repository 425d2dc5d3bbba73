/*
 * A template is made once: a request's body with as many records as a batch has, each of the same
 * size and layout, so that the place of its id, its time and the colon behind its first key are
 * known without looking. Filling it for the next request writes those places and nothing else,
 * which is what lets one core make load for another.
 *
 * What goes wrong: only the template can fail, for want of memory.
 */

#include "cli/events.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/buf.h"
#include "base/number.h"
#include "flow/batch.h"

/* Every record begins alike, so that what is patched has a fixed place. */
#define HEAD "{\"id\":\"rrrrrrrr-000000000000\",\"event_time\":\"0000-00-00T00:00:00.000Z\""
#define COLON_AT 5u
#define RUN_AT 7u
#define SEQUENCE_AT (RUN_AT + CLI_EVENTS_RUN_SIZE + 1)
#define TIME_AT 44u
#define NOTE ",\"note\":\""
#define TAIL "\"}"

_Static_assert(sizeof(HEAD) - 1 + sizeof(NOTE) - 1 + sizeof(TAIL) - 1 == CLI_EVENTS_SIZE_MIN,
               "the smallest record");
_Static_assert(sizeof(HEAD) - 1 == TIME_AT + CLI_EVENTS_TIME_SIZE + 1, "where the time stands");

/* Parts in a million of a percentage with four decimals at the most. */
static err_t parse_percent(struct slice text, uint64_t *out)
{
    struct slice rest = text;
    struct slice whole = slice_split(&rest, '.');
    uint64_t value = 0;
    uint64_t fraction = 0;
    bool has_fraction = rest.data;
    if (!err_is_ok(number_parse_u64(whole, &value)) || value > 100 || rest.size > 4 ||
        (has_fraction && !err_is_ok(number_parse_u64(rest, &fraction))))
        return err_make(ERR_INVALID);
    for (size_t i = rest.size; i < 4; i++)
        fraction *= 10;
    *out = value * 10000 + fraction;
    return err_ok();
}

err_t cli_share_parse(struct slice text, uint64_t count, struct cli_share *out)
{
    struct cli_share share = {0, count};
    if (slice_ends_with(text, SLICE_LITERAL("%"))) {
        share.whole = 1000000;
        TRY(parse_percent(slice_sub(text, 0, text.size - 1), &share.part));
    } else if (count == 0 || !err_is_ok(number_parse_u64(text, &share.part))) {
        return err_make(ERR_INVALID);
    }
    if (share.part > share.whole)
        return err_make(ERR_INVALID);
    *out = share;
    return err_ok();
}

uint64_t cli_share_of(struct cli_share share, uint64_t n)
{
    ASSERT(share.whole > 0 && share.part <= share.whole);
    uint64_t product;
    /* Asked for every record: the short division is several times as fast. */
    if (!__builtin_mul_overflow(n, share.part, &product))
        return product / share.whole;
    return (uint64_t)((unsigned __int128)n * share.part / share.whole);
}

uint64_t cli_draw(uint64_t *state, uint64_t below)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t mixed = (*state ^ *state >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
    return (mixed ^ mixed >> 31) % below;
}

#define PICK(state, list) list[cli_draw(state, sizeof(list) / sizeof(list[0]))]

/* The `index`-th group of fields of an event, empty behind the last. */
static void add_fields(struct buf *out, uint32_t index, uint64_t *state)
{
    static const char *const types[] = {"page.view",    "cart.add", "cart.remove",
                                        "order.placed", "search",   "login"};
    static const char *const names[] = {"Ana Petrova",        "Zoë Müller", "Łukasz Nowak",
                                        "J. \\\"Joe\\\" Doe", "李小龍",     "Fatima Zahra",
                                        "Ola Nordmann",       "Sam O'Neil"};
    static const char *const countries[] = {"SE", "DE", "PL", "US", "TW", "MA", "NO", "IE"};
    static const char *const plans[] = {"free", "pro", "team"};
    static const char *const tags[] = {"spring", "mobile", "returning", "ab-7", "newsletter"};
    static const char *const pages[] = {"products", "orders", "search", "help", "account"};
    switch (index) {
    case 0: buf_add_format(out, ",\"type\":\"%s\"", PICK(state, types)); break;
    case 1:
        buf_add_format(out,
                       ",\"user\":{\"id\":%u,\"name\":\"%s\",\"country\":\"%s\",\"plan\":\"%s\"}",
                       (unsigned)cli_draw(state, 1000000), PICK(state, names),
                       PICK(state, countries), PICK(state, plans));
        break;
    case 2:
        buf_add_format(out,
                       ",\"page\":{\"url\":\"https://shop.example.com/%s/%u\",\"load_ms\":%u.%u}",
                       PICK(state, pages), (unsigned)cli_draw(state, 100000),
                       (unsigned)cli_draw(state, 3000), (unsigned)cli_draw(state, 10));
        break;
    case 3:
        buf_add_format(out, ",\"order\":{\"items\":%u,\"total\":%u.%02u,\"currency\":\"EUR\"}",
                       (unsigned)cli_draw(state, 20), (unsigned)cli_draw(state, 500),
                       (unsigned)cli_draw(state, 100));
        break;
    case 4:
        buf_add_format(out, ",\"tags\":[\"%s\",\"%s\"],\"bot\":%s,\"referrer\":null",
                       PICK(state, tags), PICK(state, tags),
                       cli_draw(state, 10) == 0 ? "true" : "false");
        break;
    default: break;
    }
}

/* Appends a record of exactly `size` bytes: as many fields as fit, and a note for the rest. */
static void add_record(struct buf *out, size_t size, uint64_t *state)
{
    static const char words[] = "left at the door, ring twice, no sugar, "
                                "two of the blue ones and one of the green ones, ";
    size_t end = out->size + size;
    size_t reserved = sizeof(NOTE) - 1 + sizeof(TAIL) - 1;
    buf_add_string(out, HEAD);
    for (uint32_t index = 0;; index++) {
        size_t before = out->size;
        add_fields(out, index, state);
        if (out->size == before)
            break;
        /* A field that has no room is left out; a shorter one behind it may still fit. */
        if (out->size + reserved > end)
            out->size = before;
    }
    buf_add_string(out, NOTE);
    for (size_t i = 0; buf_ok(out) && out->size + sizeof(TAIL) - 1 < end; i++)
        buf_add_byte(out, (uint8_t)words[i % (sizeof(words) - 1)]);
    buf_add_string(out, TAIL);
    ASSERT(!buf_ok(out) || out->size == end);
}

/* From one record to the next: a line end, or in an array a comma, follows each. */
static size_t stride(const struct cli_events *events)
{
    ASSERT(events->options.form != CLI_EVENTS_BATCH);
    return events->options.size + 1;
}

/* A byte follows the value in all forms: a separator, or a batch's count of headers, which is 0. */
static uint8_t *value_at(const struct cli_events *events, uint8_t *body, uint32_t slot)
{
    return body + cli_events_size(events, slot + 1) - 1 - events->options.size;
}

/* The template of JSON. */
static err_t add_json(struct buf *body, const struct cli_events_options *options)
{
    uint64_t state = options->seed;
    /* In one piece: growing step by step would copy hundreds of megabytes several times. */
    buf_reserve(body, 1 + options->batch * (options->size + 1));
    if (options->form == CLI_EVENTS_ARRAY)
        buf_add_byte(body, '[');
    for (uint32_t i = 0; buf_ok(body) && i < options->batch; i++) {
        add_record(body, options->size, &state);
        buf_add_byte(body, '\n');
    }
    return buf_error(body);
}

/* The template of a batch. A record in it is as long as its place makes it, so the ends are noted.
 */
static err_t add_batch(struct buf *body, const struct cli_events_options *options, size_t *ends)
{
    struct flow_batch_builder builder;
    struct buf record = {0};
    uint64_t state = options->seed;
    err_t err = err_ok();
    flow_batch_builder_init(&builder);
    /* All of one time: the header alone says which, and is patched alone. */
    ends[0] = FLOW_BATCH_HEADER_SIZE;
    for (uint32_t i = 0; err_is_ok(err) && i < options->batch; i++) {
        buf_reset(&record);
        add_record(&record, options->size, &state);
        err = buf_error(&record);
        if (err_is_ok(err))
            err = flow_batch_builder_add(&builder, 0, slice_make(NULL, 0), buf_slice(&record), NULL,
                                         0);
        ends[i + 1] = builder.bytes.size;
    }
    buf_done(&record);
    if (err_is_ok(err)) {
        flow_batch_builder_finish(&builder);
        *body = builder.bytes;
    } else {
        flow_batch_builder_done(&builder);
    }
    return err;
}

err_t cli_events_init(struct cli_events *events, const struct cli_events_options *options)
{
    ASSERT(options->size >= CLI_EVENTS_SIZE_MIN && options->batch > 0);
    struct buf body = {0};
    err_t err;
    *events = (struct cli_events){.options = *options};
    snprintf(events->run, sizeof(events->run), "%08x", options->run);
    if (options->form == CLI_EVENTS_BATCH) {
        events->ends = mem_alloc((options->batch + (size_t)1) * sizeof(*events->ends));
        err = events->ends ? add_batch(&body, options, events->ends) : err_make(ERR_MEMORY);
    } else {
        err = add_json(&body, options);
    }
    if (!err_is_ok(err)) {
        buf_done(&body);
        cli_events_done(events);
        return err;
    }
    events->body = body.data;
    for (uint32_t i = 0; i < options->batch; i++)
        memcpy(value_at(events, events->body, i) + RUN_AT, events->run, CLI_EVENTS_RUN_SIZE);
    return err_ok();
}

void cli_events_done(struct cli_events *events)
{
    mem_free(events->body);
    mem_free(events->ends);
    *events = (struct cli_events){0};
}

size_t cli_events_size(const struct cli_events *events, uint32_t count)
{
    ASSERT(count <= events->options.batch);
    if (events->options.form == CLI_EVENTS_BATCH)
        return events->ends[count];
    return (events->options.form == CLI_EVENTS_ARRAY) + count * stride(events);
}

uint8_t *cli_events_body(const struct cli_events *events)
{
    size_t size = cli_events_size(events, events->options.batch);
    uint8_t *body = mem_alloc(size);
    if (body)
        memcpy(body, events->body, size);
    return body;
}

/* Twelve digits, two at a time. */
static void put_sequence(uint8_t *out, uint64_t sequence)
{
    static const char pairs[] = "00010203040506070809101112131415161718192021222324"
                                "25262728293031323334353637383940414243444546474849"
                                "50515253545556575859606162636465666768697071727374"
                                "75767778798081828384858687888990919293949596979899";
    ASSERT(sequence < CLI_EVENTS_COUNT_MAX);
    for (size_t at = CLI_EVENTS_SEQUENCE_SIZE; at > 0; at -= 2) {
        memcpy(out + at - 2, pairs + sequence % 100 * 2, 2);
        sequence /= 100;
    }
}

/* Where the share, rounded down, grows: evenly spread, exact in number at every length, and known
 * again from the sequence alone. */
bool cli_events_is_broken(const struct cli_events *events, uint64_t sequence)
{
    struct cli_share share = events->options.broken;
    return share.part > 0 && cli_share_of(share, sequence + 1) > cli_share_of(share, sequence);
}

void cli_events_fill(const struct cli_events *events, uint8_t *body, uint32_t slot, uint32_t count,
                     uint64_t sequence, const char time[static CLI_EVENTS_TIME_SIZE])
{
    ASSERT(slot + count <= events->options.batch);
    static const uint8_t separators[] = {
        [CLI_EVENTS_LINES] = '\n', [CLI_EVENTS_ARRAY] = ',', [CLI_EVENTS_BATCH] = 0};
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *record = value_at(events, body, slot + i);
        put_sequence(record + SEQUENCE_AT, sequence + i);
        memcpy(record + TIME_AT, time, CLI_EVENTS_TIME_SIZE);
        /* A break that leaves brackets and quotes as they are does not reach an array's next
         * element. */
        record[COLON_AT] = cli_events_is_broken(events, sequence + i) ? ';' : ':';
        record[events->options.size] = separators[events->options.form];
    }
}

void cli_events_end(const struct cli_events *events, uint8_t *body, uint32_t count, int64_t time_ms)
{
    ASSERT(count > 0);
    if (events->options.form == CLI_EVENTS_ARRAY)
        body[cli_events_size(events, count) - 1] = ']';
    else if (events->options.form == CLI_EVENTS_BATCH)
        flow_batch_end(body, cli_events_size(events, count), count, time_ms);
}

bool cli_events_sequence(const struct cli_events *events, struct slice value, uint64_t *out)
{
    ASSERT(events && out);
    struct slice run = slice_sub(value, RUN_AT, CLI_EVENTS_RUN_SIZE);
    struct slice sequence = slice_sub(value, SEQUENCE_AT, CLI_EVENTS_SEQUENCE_SIZE);
    return slice_equal_string(run, events->run) && sequence.size == CLI_EVENTS_SEQUENCE_SIZE &&
           err_is_ok(number_parse_u64(sequence, out));
}

void cli_events_id(const struct cli_events *events, uint64_t sequence,
                   char out[static CLI_EVENTS_ID_SIZE + 1])
{
    memcpy(out, events->run, CLI_EVENTS_RUN_SIZE);
    out[CLI_EVENTS_RUN_SIZE] = '-';
    put_sequence((uint8_t *)out + CLI_EVENTS_RUN_SIZE + 1, sequence);
    out[CLI_EVENTS_ID_SIZE] = '\0';
}
