#include "serve/kafka/kafka_int.h"

#include <inttypes.h>

#include "base/assert.h"
#include "base/number.h"

/*
 * Kafka's settings, all of them: those that do something here can be set, and the others say what
 * garner does. Setting one of those to just that is no error, since tools set what they are used
 * to; anything else is, since it would be a promise that nobody keeps.
 *
 * The values are texts, as the protocol has them: that of a setting which is always the same is its
 * entry in the table, and that of one that can be set is made from the topic's config, so that what
 * is shown is what holds and never what somebody once wrote.
 */

#define DAY_7 "604800000"
#define FOREVER "9223372036854775807"

const struct serve_kafka_setting serve_kafka_topic_settings[] = {
    {"cleanup.policy", SERVE_KAFKA_LIST, 0, "delete", "log.cleanup.policy",
     "What is beyond retention is deleted. Compaction is not there yet."},
    {"compression.gzip.level", SERVE_KAFKA_INT, 0, "-1", "compression.gzip.level",
     "The level of gzip, with compression.type=gzip."},
    {"compression.lz4.level", SERVE_KAFKA_INT, 0, "1", "compression.lz4.level",
     "The level of lz4, with compression.type=lz4."},
    {"compression.type", SERVE_KAFKA_STRING, FLOW_TOPIC_CODEC, "producer", "compression.type",
     "How records are kept once they are sealed: producer (as they came), gzip, snappy, lz4 or "
     "zstd."},
    {"compression.zstd.level", SERVE_KAFKA_INT, 0, "1", "compression.zstd.level",
     "The level of zstd, with compression.type=zstd."},
    {"delete.retention.ms", SERVE_KAFKA_LONG, 0, "86400000", "log.cleaner.delete.retention.ms",
     "Of compacted topics."},
    {"file.delete.delay.ms", SERVE_KAFKA_LONG, 0, "0", "log.segment.delete.delay.ms",
     "Files go when nobody reads them."},
    {"flush.messages", SERVE_KAFKA_LONG, 0, "1", "log.flush.interval.messages",
     "Every batch is flushed to disk before it is answered."},
    {"flush.ms", SERVE_KAFKA_LONG, 0, "0", "log.flush.interval.ms",
     "Every batch is flushed to disk before it is answered."},
    {"follower.replication.throttled.replicas", SERVE_KAFKA_LIST, 0, "", NULL,
     "There is one broker."},
    {"index.interval.bytes", SERVE_KAFKA_INT, 0, "4096", "log.index.interval.bytes",
     "Bytes between two entries of a segment's index."},
    {"leader.replication.throttled.replicas", SERVE_KAFKA_LIST, 0, "", NULL,
     "There is one broker."},
    {"local.retention.bytes", SERVE_KAFKA_LONG, 0, "-2", "log.local.retention.bytes",
     "There is no remote storage."},
    {"local.retention.ms", SERVE_KAFKA_LONG, 0, "-2", "log.local.retention.ms",
     "There is no remote storage."},
    {"max.compaction.lag.ms", SERVE_KAFKA_LONG, 0, FOREVER, "log.cleaner.max.compaction.lag.ms",
     "Of compacted topics."},
    {"max.message.bytes", SERVE_KAFKA_INT, FLOW_TOPIC_BATCH_BYTES, "1048588", "message.max.bytes",
     "The largest batch that a producer may send."},
    {"message.timestamp.after.max.ms", SERVE_KAFKA_LONG, 0, FOREVER,
     "log.message.timestamp.after.max.ms", "Any time is taken."},
    {"message.timestamp.before.max.ms", SERVE_KAFKA_LONG, 0, FOREVER,
     "log.message.timestamp.before.max.ms", "Any time is taken."},
    {"message.timestamp.type", SERVE_KAFKA_STRING, 0, "CreateTime", "log.message.timestamp.type",
     "Records keep the time that their producer gave them."},
    {"min.cleanable.dirty.ratio", SERVE_KAFKA_DOUBLE, 0, "0.5", "log.cleaner.min.cleanable.ratio",
     "Of compacted topics."},
    {"min.compaction.lag.ms", SERVE_KAFKA_LONG, 0, "0", "log.cleaner.min.compaction.lag.ms",
     "Of compacted topics."},
    {"min.insync.replicas", SERVE_KAFKA_INT, 0, "1", "min.insync.replicas",
     "There is one copy, flushed to disk before it is answered."},
    {"preallocate", SERVE_KAFKA_BOOLEAN, 0, "false", "log.preallocate",
     "Segments grow as they are written."},
    {"remote.log.copy.disable", SERVE_KAFKA_BOOLEAN, 0, "false", NULL,
     "There is no remote storage."},
    {"remote.log.delete.on.disable", SERVE_KAFKA_BOOLEAN, 0, "false", NULL,
     "There is no remote storage."},
    {"remote.storage.enable", SERVE_KAFKA_BOOLEAN, 0, "false", NULL, "There is no remote storage."},
    {"retention.bytes", SERVE_KAFKA_LONG, FLOW_TOPIC_RETENTION_BYTES, "-1", "log.retention.bytes",
     "Bytes of a partition that are kept, on average over the partitions: all of them together "
     "are held to so many times that. -1: any amount."},
    {"retention.ms", SERVE_KAFKA_LONG, FLOW_TOPIC_RETENTION_MS, DAY_7, "log.retention.ms",
     "How long records are kept since they came. -1: for ever."},
    {"segment.bytes", SERVE_KAFKA_INT, 0, "1073741824", "log.segment.bytes",
     "A segment's size at the most; smaller where retention.bytes asks for it."},
    {"segment.index.bytes", SERVE_KAFKA_INT, 0, "10485760", "log.index.size.max.bytes",
     "Indexes are as large as they have to be."},
    {"segment.jitter.ms", SERVE_KAFKA_LONG, 0, "0", "log.roll.jitter.ms",
     "Segments do not roll by time."},
    {"segment.ms", SERVE_KAFKA_LONG, 0, DAY_7, "log.roll.ms",
     "Segments are rolled as retention needs it."},
    {"unclean.leader.election.enable", SERVE_KAFKA_BOOLEAN, 0, "false",
     "unclean.leader.election.enable", "There is one broker."},
};
const size_t serve_kafka_topic_setting_count =
    sizeof(serve_kafka_topic_settings) / sizeof(serve_kafka_topic_settings[0]);

/* Without `text`: known to the door (configs.c). */
const struct serve_kafka_setting serve_kafka_broker_settings[] = {
    {"advertised.listeners", SERVE_KAFKA_STRING, 0, NULL, NULL, "Where clients find the broker."},
    {"auto.create.topics.enable", SERVE_KAFKA_BOOLEAN, 0, NULL, NULL,
     "kafka.auto_create.enabled of the configuration."},
    {"broker.id", SERVE_KAFKA_INT, 0, "1", NULL, "The one broker."},
    {"compression.type", SERVE_KAFKA_STRING, 0, "producer", NULL, "Of topics that say nothing."},
    {"default.replication.factor", SERVE_KAFKA_INT, 0, "1", NULL, "There is one broker."},
    {"delete.topic.enable", SERVE_KAFKA_BOOLEAN, 0, "true", NULL,
     "Topics that clients have made can be deleted by them."},
    {"log.cleanup.policy", SERVE_KAFKA_LIST, 0, "delete", NULL, "Of topics that say nothing."},
    {"log.flush.interval.messages", SERVE_KAFKA_LONG, 0, "1", NULL,
     "Every batch is flushed to disk before it is answered."},
    {"log.message.timestamp.type", SERVE_KAFKA_STRING, 0, "CreateTime", NULL,
     "Records keep the time that their producer gave them."},
    {"log.retention.bytes", SERVE_KAFKA_LONG, 0, "-1", NULL, "Of topics that say nothing."},
    {"log.retention.ms", SERVE_KAFKA_LONG, 0, DAY_7, NULL, "Of topics that say nothing."},
    {"log.segment.bytes", SERVE_KAFKA_INT, 0, "1073741824", NULL, "A segment's size at the most."},
    {"message.max.bytes", SERVE_KAFKA_INT, 0, "1048588", NULL, "Of topics that say nothing."},
    {"min.insync.replicas", SERVE_KAFKA_INT, 0, "1", NULL, "There is one broker."},
    {"num.partitions", SERVE_KAFKA_INT, 0, NULL, NULL,
     "kafka.auto_create.partitions of the configuration."},
    {"offsets.retention.minutes", SERVE_KAFKA_INT, 0, "10080", NULL,
     "How long committed offsets are kept once their group is empty."},
    {"unclean.leader.election.enable", SERVE_KAFKA_BOOLEAN, 0, "false", NULL,
     "There is one broker."},
};
const size_t serve_kafka_broker_setting_count =
    sizeof(serve_kafka_broker_settings) / sizeof(serve_kafka_broker_settings[0]);

/* By Kafka's names. */
static const struct {
    const char *name;
    enum flow_codec codec;
} codecs[] = {{"producer", FLOW_CODEC_NONE},
              {"gzip", FLOW_CODEC_GZIP},
              {"snappy", FLOW_CODEC_SNAPPY},
              {"lz4", FLOW_CODEC_LZ4},
              {"zstd", FLOW_CODEC_ZSTD}};

/* A walk: there are some thirty, and a request has a few. */
const struct serve_kafka_setting *serve_kafka_setting_find(struct slice name)
{
    for (size_t i = 0; i < serve_kafka_topic_setting_count; i++)
        if (slice_equal_string(name, serve_kafka_topic_settings[i].name))
            return &serve_kafka_topic_settings[i];
    return NULL;
}

static err_t parse_codec(struct slice text, struct flow_topic_config *config, struct err_text *why)
{
    for (size_t i = 0; i < sizeof(codecs) / sizeof(codecs[0]); i++) {
        if (slice_equal_string(text, codecs[i].name)) {
            config->codec = codecs[i].codec;
            return err_ok();
        }
    }
    return err_set(why, ERR_INVALID,
                   "compression.type: expected producer, gzip, snappy, lz4 or zstd, got '%.*s'",
                   SLICE_PRINTF(slice_sub(text, 0, 60)));
}

/* With the bounds in the message: Kafka's clients show it to people as it is. */
static err_t parse_number(const struct serve_kafka_setting *setting, struct slice text,
                          int64_t least, int64_t most, int64_t *out, struct err_text *why)
{
    if (err_is_ok(number_parse_i64(text, out)) && *out >= least && *out <= most)
        return err_ok();
    return err_set(why, ERR_INVALID,
                   "%s: expected a number from %" PRId64 " to %" PRId64 ", got '%.*s'",
                   setting->name, least, most, SLICE_PRINTF(slice_sub(text, 0, 60)));
}

/* What Kafka writes as -1 is 0 here; what it writes as 0 is the least that is more than that. */
static uint64_t or_any(int64_t number)
{
    if (number < 0)
        return 0;
    return number == 0 ? 1 : (uint64_t)number;
}

/* By its text: "01" is not 1. No tool writes that, and two ways to say one thing would be two
 * values to compare. */
static err_t check_fixed(const struct serve_kafka_setting *setting, struct slice text,
                         struct err_text *why)
{
    if (slice_equal_string(text, setting->text))
        return err_ok();
    if (strcmp(setting->name, "cleanup.policy") == 0)
        return err_set(why, ERR_INVALID,
                       "cleanup.policy: expected delete, got '%.*s': compacted topics are not "
                       "there yet",
                       SLICE_PRINTF(slice_sub(text, 0, 60)));
    return err_set(why, ERR_INVALID, "%s: it is '%s' and cannot be set, got '%.*s'. %s",
                   setting->name, setting->text, SLICE_PRINTF(slice_sub(text, 0, 60)),
                   setting->help);
}

/* Into a config of its own, so that an error half way leaves no topic half changed. */
err_t serve_kafka_setting_parse(struct slice name, struct slice text,
                                struct flow_topic_config *config, struct err_text *why)
{
    const struct serve_kafka_setting *setting = serve_kafka_setting_find(name);
    int64_t number = 0;
    if (!setting)
        return err_set(why, ERR_INVALID, "there is no setting '%.*s'",
                       SLICE_PRINTF(slice_sub(name, 0, 60)));
    if (!text.data)
        return err_set(why, ERR_INVALID, "%s: null is no value", setting->name);
    switch (setting->given) {
    case FLOW_TOPIC_RETENTION_MS:
        TRY(parse_number(setting, text, -1, INT64_MAX, &number, why));
        config->retention_ms = or_any(number);
        break;
    case FLOW_TOPIC_RETENTION_BYTES:
        TRY(parse_number(setting, text, -1, INT64_MAX, &number, why));
        config->retention_bytes = or_any(number);
        break;
    case FLOW_TOPIC_BATCH_BYTES:
        TRY(parse_number(setting, text, 1, INT32_MAX, &number, why));
        config->batch_bytes_max = (uint32_t)number;
        break;
    case FLOW_TOPIC_CODEC: TRY(parse_codec(text, config, why)); break;
    default: return check_fixed(setting, text, why);
    }
    config->given |= setting->given;
    return err_ok();
}

/* Kafka's numbers have a sign. */
static const char *number(uint64_t value, char room[static SERVE_KAFKA_SETTING_SIZE])
{
    snprintf(room, SERVE_KAFKA_SETTING_SIZE, "%" PRIu64,
             value > INT64_MAX ? (uint64_t)INT64_MAX : value);
    return room;
}

const char *serve_kafka_setting_render(const struct serve_kafka_setting *setting,
                                       const struct flow_topic_config *config,
                                       uint32_t partition_count,
                                       char room[static SERVE_KAFKA_SETTING_SIZE])
{
    ASSERT(partition_count > 0);
    uint64_t bytes = flow_topic_bytes_max(config, partition_count);
    switch (setting->given) {
    case FLOW_TOPIC_RETENTION_MS:
        return config->retention_ms ? number(config->retention_ms, room) : "-1";
    case FLOW_TOPIC_RETENTION_BYTES: return bytes ? number(bytes / partition_count, room) : "-1";
    case FLOW_TOPIC_BATCH_BYTES:
        return config->batch_bytes_max ? number(config->batch_bytes_max, room) : setting->text;
    case FLOW_TOPIC_CODEC:
        for (size_t i = 0; i < sizeof(codecs) / sizeof(codecs[0]); i++)
            if (codecs[i].codec == config->codec)
                return codecs[i].name;
        return setting->text;
    default: return setting->text;
    }
}
