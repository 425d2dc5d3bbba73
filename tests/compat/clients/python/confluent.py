"""confluent-kafka: librdkafka as it is published today."""
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin import NewPartitions, NewTopic

from driver import record, say, serve, told, unpack, unpack_headers

SIZE_MAX = 64 << 20
BYTES_MAX = 1 << 20
SESSION_MS = 6000
ASSIGNORS = {"cooperative": "cooperative-sticky"}


def at(servers):
    return {"bootstrap.servers": servers, "broker.address.family": "v4"}


def produce(servers, topic, records, acks="all", codec="none", idempotence=False,
            wait_ms=30_000):
    producer = Producer({**at(servers), "acks": acks, "compression.type": codec,
                         "enable.idempotence": idempotence, "message.max.bytes": SIZE_MAX,
                         "linger.ms": 5, "topic.metadata.propagation.max.ms": wait_ms,
                         "queue.buffering.max.messages": 1_000_000})
    results = [None] * len(records)

    def delivered(number):
        def keep(error, message):
            results[number] = {"error": error.code()} if error else \
                {"partition": message.partition(), "offset": message.offset()}
        return keep

    for number, r in enumerate(records):
        producer.produce(topic, unpack(r["value"]), unpack(r["key"]),
                         partition=r.get("partition", -1), timestamp=r.get("timestamp", 0),
                         headers=unpack_headers(r.get("headers", [])),
                         on_delivery=delivered(number))
        producer.poll(0)
    producer.flush(60)
    return {"results": results}


def as_record(message):
    return record(message.partition(), message.offset(), message.timestamp()[1], message.key(),
                  message.value(), message.headers())


def consumer_of(servers, group, **config):
    return Consumer({**at(servers), "group.id": group, "enable.auto.commit": False,
                     "auto.offset.reset": "earliest", "check.crcs": True, **config})


def consume(servers, topic, offsets, count=None, bytes_max=BYTES_MAX):
    consumer = consumer_of(servers, "none", **{"max.partition.fetch.bytes": bytes_max,
                                               "enable.partition.eof": count is None})
    consumer.assign([TopicPartition(topic, p, offset) for p, offset in offsets])
    found, ends, deadline = [], {}, time.monotonic() + 30
    wants = lambda: len(ends) < len(offsets) if count is None else len(found) < count
    while wants() and time.monotonic() < deadline:
        for message in consumer.consume(1000 if count is None else count - len(found), 0.2):
            if not message.error():
                found.append(as_record(message))
            elif message.error().code() == KafkaError._PARTITION_EOF:
                ends[message.partition()] = message.offset()
            else:
                raise KafkaException(message.error())
    consumer.close()
    return {"records": found, "positions": sorted(ends.items())}


def offsets(servers, topic, partition, times):
    consumer = consumer_of(servers, "none")
    begin, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), 10)
    asked = [consumer.offsets_for_times([TopicPartition(topic, partition, t)], 10)[0]
             for t in times]
    consumer.close()
    for answer in asked:
        if answer.error:
            raise KafkaException(answer.error)
    return {"begin": begin, "end": end,
            "times": [answer.offset if answer.offset >= 0 else None for answer in asked]}


def member(servers, group, topics, assignor="range", instance=None):
    static = {"group.instance.id": instance} if instance else {}
    consumer = consumer_of(servers, group, **static, **{
        "partition.assignment.strategy": ASSIGNORS.get(assignor, assignor),
        "session.timeout.ms": SESSION_MS, "heartbeat.interval.ms": 200})
    consumer.subscribe(topics)
    had = None
    while not told():
        found = consumer.consume(1000, 0.1)
        # Those of its own, which are negative, are of a server that is away for a moment.
        for message in found:
            if message.error() and message.error().code() > 0:
                raise KafkaException(message.error())
        has = sorted([part.topic, part.partition] for part in consumer.assignment())
        if has != had:
            had = has
            say({"assigned": has})
        read = [message for message in found if not message.error()]
        if read:
            say({"records": [as_record(message) for message in read]})
            last = {(m.topic(), m.partition()): m.offset() for m in read}
            keep(consumer, [TopicPartition(*where, offset + 1, "of a member")
                            for where, offset in last.items()])
    consumer.close()
    return {"left": True}


def keep(consumer, places):
    try:
        consumer.commit(offsets=places, asynchronous=False)
    except KafkaException as error:
        say({"refused": code_of(error)})


def commit(servers, group, topic, places):
    consumer = consumer_of(servers, group)
    done = consumer.commit(offsets=[TopicPartition(topic, *place) for place in places],
                           asynchronous=False)
    consumer.close()
    for place in done:
        if place.error:
            raise KafkaException(place.error)


def told_by(place):
    """What was committed beside an offset, where it ends with the null byte it is read up to."""
    try:
        return place.metadata or ""
    except UnicodeDecodeError:
        return None


def committed(servers, group, topic, partitions):
    consumer = consumer_of(servers, group)
    found = consumer.committed([TopicPartition(topic, p) for p in partitions], 10)
    consumer.close()
    return {"offsets": [[place.partition, place.offset if place.offset >= 0 else None,
                         told_by(place)] for place in found]}


def administer(servers, call, *arguments):
    """What one call of the admin client gives of its only subject."""
    admin = AdminClient(at(servers))
    future, = getattr(admin, call)(*arguments).values()
    return future.result(30)


def create(servers, topic, count, configs):
    administer(servers, "create_topics", [NewTopic(topic, count, 1, config=configs)])


def grow(servers, topic, count):
    administer(servers, "create_partitions", [NewPartitions(topic, count)])


def trim(servers, topic, offsets):
    administer(servers, "delete_records", [TopicPartition(topic, *place) for place in offsets])


def delete(servers, topic):
    administer(servers, "delete_topics", [topic])


def configs(servers, topic):
    found = administer(servers, "describe_configs",
                       [ConfigResource(ConfigResource.Type.TOPIC, topic)])
    return {"configs": {name: entry.value for name, entry in found.items()}}


def alter(servers, topic, name, value):
    entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    administer(servers, "incremental_alter_configs",
               [ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])])


def topics(servers):
    admin = AdminClient(at(servers))
    found = admin.list_topics(timeout=10).topics
    return {"topics": {name: len(topic.partitions) for name, topic in found.items()}}


def groups(servers):
    admin = AdminClient(at(servers))
    found = admin.list_consumer_groups().result(30)
    return {"groups": [group.group_id for group in found.valid]}


def code_of(error):
    return error.args[0].code() if isinstance(error, KafkaException) else None


serve({"produce": produce, "consume": consume, "offsets": offsets, "member": member,
       "commit": commit, "committed": committed, "create": create, "grow": grow, "trim": trim,
       "delete": delete, "configs": configs, "alter": alter, "topics": topics, "groups": groups},
      code_of)
