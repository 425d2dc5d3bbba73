// kafkajs. It reads as a member of a group and in no other way.
"use strict";
const readline = require("node:readline");
const { CompressionCodecs, CompressionTypes, ConfigResourceTypes, Kafka,
        logLevel } = require("kafkajs");
const lz4 = require("lz4js");
const xxh32 = require("lz4js/xxh32.js");
const snappy = require("snappyjs");
const zstd = require("@bokuweb/zstd-wasm");

const CODECS = { none: CompressionTypes.None, gzip: CompressionTypes.GZIP,
                 snappy: CompressionTypes.Snappy, lz4: CompressionTypes.LZ4,
                 zstd: CompressionTypes.ZSTD };
const ACKS = { all: -1, 1: 1, 0: 0 };
const DEADLINE_MS = 30000;
const SEND_MAX = 2000;
const BYTES_MAX = 1 << 20;
const SESSION_MS = 6000;
const TOPIC_EXISTS = 36;

const pack = (data) => (data == null ? null : Buffer.from(data).toString("base64"));
const unpack = (text) => (text == null ? null : Buffer.from(text, "base64"));

// Java's clients cut snappy into blocks behind a head of 16 bytes, each with its size in front.
function unsnap(data) {
  if (data.subarray(1, 7).toString() !== "SNAPPY") return snappy.uncompress(data);
  const parts = [];
  for (let at = 16; at < data.length;) {
    const size = data.readUInt32BE(at);
    parts.push(snappy.uncompress(data.subarray(at + 4, at + 4 + size)));
    at += 4 + size;
  }
  return Buffer.concat(parts);
}

// lz4js does not say that its blocks stand alone, without which Java's clients read none. One block
// does; its flag is under the head's checksum.
function lz4Frame(data) {
  if (data.length > 4 << 20) throw new Error("lz4: more than one block");
  const frame = Buffer.from(lz4.compress(data));
  frame[4] |= 0x20;
  frame[6] = xxh32.hash(0, frame, 4, 2) >> 8;
  return frame;
}

const codec = (compress, decompress) => () => ({
  compress: async (encoder) => Buffer.from(compress(encoder.buffer)),
  decompress: async (data) => Buffer.from(decompress(data)),
});
CompressionCodecs[CompressionTypes.Snappy] = codec(snappy.compress, unsnap);
CompressionCodecs[CompressionTypes.LZ4] = codec(lz4Frame, lz4.decompress);
CompressionCodecs[CompressionTypes.ZSTD] = codec(zstd.compress, zstd.decompress);

const at = (servers) => new Kafka({ clientId: "kafkajs", brokers: [servers],
                                    logLevel: logLevel.NOTHING, retry: { retries: 3 } });

const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = (answer) => process.stdout.write(JSON.stringify(answer) + "\n");

async function closing(client, work) {
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.disconnect();
  }
}

function toMessage({ key, value, headers, partition, timestamp }) {
  const message = { key: unpack(key), value: unpack(value),
                    headers: Object.fromEntries((headers || []).map(([n, v]) => [n, unpack(v)])) };
  if (partition !== undefined) message.partition = partition;
  if (timestamp !== undefined) message.timestamp = String(timestamp);
  return message;
}

// The answer to a send has each partition's first offset only. Which partition a record went to is
// what the partitioner said, in the records' order.
function produce({ servers, topic, records, acks = "all", codec: name = "none",
                   idempotence = false }) {
  const { DefaultPartitioner } = require("kafkajs").Partitioners;
  const went = [];
  const createPartitioner = () => {
    const choose = DefaultPartitioner();
    return (about) => {
      went.push(about.message.partition ?? choose(about));
      return went[went.length - 1];
    };
  };
  const options = { createPartitioner, idempotent: idempotence };
  if (idempotence) options.maxInFlightRequests = 1;
  return closing(at(servers).producer(options), async (producer) => {
    const results = [];
    // A send is one batch a partition, which takes kafkajs time by the square of its records.
    for (let at = 0; at < records.length; at += SEND_MAX) {
      const messages = records.slice(at, at + SEND_MAX).map(toMessage);
      let answers;
      try {
        answers = await producer.send({ topic, acks: ACKS[acks], messages,
                                        compression: CODECS[name] });
      } catch (error) {
        if (codeOf(error) === undefined) throw error;
        messages.forEach(() => results.push({ error: codeOf(error) }));
        continue;
      }
      const next = {};
      for (const { partition, baseOffset } of answers) next[partition] = Number(baseOffset);
      // Where it sent again, it asked the partitioner again.
      for (const partition of went.splice(0).slice(-messages.length))
        results.push({ partition, offset: partition in next ? next[partition]++ : -1 });
    }
    return { results };
  });
}

function record(partition, { offset, timestamp, key, value, headers }) {
  return { partition, offset: Number(offset), timestamp: Number(timestamp), key: pack(key),
           value: pack(value),
           headers: Object.entries(headers || {}).map(([name, data]) => [name, pack(data)]) };
}

async function consume({ servers, topic, offsets: from, count, bytes_max: bytesMax = BYTES_MAX }) {
  const first = new Map(from);
  const consumer = at(servers).consumer({ groupId: `kafkajs-${Date.now()}-${process.pid}`,
                                          maxWaitTimeInMs: 100, maxBytesPerPartition: bytesMax });
  const found = [];
  return closing(consumer, async () => {
    await consumer.subscribe({ topics: [topic], fromBeginning: true });
    await new Promise((done, fail) => {
      const timer = setTimeout(done, DEADLINE_MS);
      consumer.on(consumer.events.CRASH, ({ payload }) => fail(payload.error));
      consumer.run({ autoCommit: false, eachMessage: async ({ partition, message }) => {
        if (found.length < count && Number(message.offset) >= (first.get(partition) ?? Infinity))
          found.push(record(partition, message));
        if (found.length === count) {
          clearTimeout(timer);
          done();
        }
      } }).catch(fail);
      for (const [partition, offset] of from)
        consumer.seek({ topic, partition, offset: String(offset) });
    });
    return { records: found };
  });
}

function offsets({ servers, topic, partition, times }) {
  return closing(at(servers).admin(), async (admin) => {
    const ours = (list) => list.find((entry) => entry.partition === partition);
    const { low, high } = ours(await admin.fetchTopicOffsets(topic));
    const found = [];
    for (const time of times) {
      const { offset } = ours(await admin.fetchTopicOffsetsByTimestamp(topic, time));
      // Where there is none, kafkajs answers with the end.
      found.push(offset === high || offset === "-1" ? null : Number(offset));
    }
    return { begin: Number(low), end: Number(high), times: found };
  });
}

async function member({ servers, group, topics }) {
  const consumer = at(servers).consumer({ groupId: group, sessionTimeout: SESSION_MS,
                                          heartbeatInterval: 200, maxWaitTimeInMs: 100 });
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    const pairs = Object.entries(payload.memberAssignment).flatMap(([topic, partitions]) =>
      partitions.map((partition) => [topic, partition]));
    say({ assigned: pairs.sort((a, b) => a[1] - b[1]) });
  });
  await closing(consumer, async () => {
    await consumer.subscribe({ topics, fromBeginning: true });
    await consumer.run({ autoCommit: false, eachBatch: async ({ batch }) => {
      say({ records: batch.messages.map((message) => record(batch.partition, message)) });
      const offset = String(Number(batch.lastOffset()) + 1);
      try {
        await consumer.commitOffsets([{ topic: batch.topic, partition: batch.partition, offset,
                                        metadata: "of a member" }]);
      } catch (error) {
        if (codeOf(error) === undefined) throw error;
        say({ refused: codeOf(error) });
      }
    } });
    await lines.next();
  });
  return { left: true };
}

function commit({ servers, group, topic, places }) {
  const partitions = places.map(([partition, offset, metadata]) =>
    ({ partition, offset: String(offset), metadata }));
  return closing(at(servers).admin(), (admin) =>
    admin.setOffsets({ groupId: group, topic, partitions }));
}

function committed({ servers, group, topic, partitions }) {
  return closing(at(servers).admin(), async (admin) => {
    const [answer] = await admin.fetchOffsets({ groupId: group, topics: [topic] });
    return { offsets: partitions.map((p) => {
      const { offset, metadata } = answer.partitions.find(({ partition }) => partition === p);
      return [p, offset === "-1" ? null : Number(offset), metadata || ""];
    }) };
  });
}

const asAdmin = (work) => (command) =>
  closing(at(command.servers).admin(), (admin) => work(admin, command));

const { TOPIC } = ConfigResourceTypes;
const create = asAdmin((admin, { topic, count, configs }) => admin.createTopics({ topics: [
  { topic, numPartitions: count, replicationFactor: 1,
    configEntries: Object.entries(configs).map(([name, value]) => ({ name, value })) }] })
  .then((made) => (made ? undefined : { error: TOPIC_EXISTS })));  // which it says as false
const grow = asAdmin((admin, { topic, count }) =>
  admin.createPartitions({ topicPartitions: [{ topic, count }] }).then(() => undefined));
const trim = asAdmin(async (admin, { topic, offsets: places }) => {
  await admin.fetchTopicOffsets(topic); // without which it does not know the topic
  await admin.deleteTopicRecords({ topic, partitions: places.map(
    ([partition, offset]) => ({ partition, offset: String(offset) })) });
});
const remove = asAdmin((admin, { topic }) => admin.deleteTopics({ topics: [topic] }));
const configs = asAdmin(async (admin, { topic }) => {
  const { resources: [{ configEntries }] } = await admin.describeConfigs(
    { includeSynonyms: false, resources: [{ type: TOPIC, name: topic }] });
  return { configs: Object.fromEntries(configEntries.map(
    ({ configName, configValue }) => [configName, configValue])) };
});
const alter = asAdmin((admin, { topic, name, value }) => admin.alterConfigs({ validateOnly: false,
  resources: [{ type: TOPIC, name: topic, configEntries: [{ name, value }] }] })
  .then(() => undefined));
const topics = asAdmin(async (admin) => ({ topics: Object.fromEntries(
  (await admin.fetchTopicMetadata()).topics.map(
    ({ name, partitions }) => [name, partitions.length])) }));
const groups = asAdmin(async (admin) => ({ groups: (await admin.listGroups()).groups.map(
  ({ groupId }) => groupId) }));

function codeOf(error) {
  const inner = (e) => e.cause || e.originalError || (e.errors && e.errors[0]);
  for (let e = error; e; e = inner(e)) if (e.code >= 0) return e.code;
  return undefined;
}

const COMMANDS = { produce, consume, offsets, member, commit, committed, create, grow, trim,
                   delete: remove, configs, alter, topics, groups };

async function main() {
  await zstd.init();
  for await (const line of lines) {
    const command = JSON.parse(line);
    let answer;
    try {
      answer = (await COMMANDS[command.do](command)) || {};
    } catch (error) {
      if (codeOf(error) === undefined) throw error;
      answer = { error: codeOf(error), detail: String(error) };
    }
    say(answer);
  }
}

main().then(() => process.exit(0));
