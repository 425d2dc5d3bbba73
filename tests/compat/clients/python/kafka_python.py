"""kafka-python, which is Python all through."""
import time

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from kafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from kafka.errors import BrokerResponseError, KafkaError, KafkaTimeoutError
from kafka.structs import OffsetAndMetadata

from driver import record, say, serve, told, unpack, unpack_headers

SIZE_MAX = 64 << 20
BYTES_MAX = 1 << 20
SESSION_MS = 6000
ASSIGNORS = {"range": RangePartitionAssignor, "roundrobin": RoundRobinPartitionAssignor,
             "sticky": StickyPartitionAssignor, "cooperative": CooperativeStickyAssignor}


def produce(servers, topic, records, acks="all", codec="none", idempotence=False,
            wait_ms=30_000):
    producer = KafkaProducer(
        bootstrap_servers=servers, acks=acks if acks == "all" else int(acks), linger_ms=5,
        compression_type=None if codec == "none" else codec, enable_idempotence=idempotence,
        max_request_size=SIZE_MAX, batch_size=1 << 18, max_block_ms=wait_ms)
    sent = [producer.send(topic, unpack(r["value"]), unpack(r["key"]),
                          unpack_headers(r.get("headers", [])), r.get("partition"),
                          r.get("timestamp"))
            for r in records]
    producer.flush(60)
    results = []
    for future in sent:
        try:
            answer = future.get(10)
            results.append({"partition": answer.partition, "offset": answer.offset})
        except KafkaError as error:
            # Beside one that was refused, it has no code of its own.
            results.append({"error": getattr(error, "errno", -1)})
    producer.close()
    return {"results": results}


def consumer_of(servers, group=None, **config):
    return KafkaConsumer(bootstrap_servers=servers, group_id=group, enable_auto_commit=False,
                         auto_offset_reset="earliest", **config)


def as_record(r):
    return record(r.partition, r.offset, r.timestamp, r.key, r.value, r.headers)


def consume(servers, topic, offsets, count=None, bytes_max=BYTES_MAX):
    consumer = consumer_of(servers, max_partition_fetch_bytes=bytes_max)
    consumer.assign([TopicPartition(topic, p) for p, _ in offsets])
    for p, offset in offsets:
        consumer.seek(TopicPartition(topic, p), offset)
    ends = consumer.end_offsets([TopicPartition(topic, p) for p, _ in offsets])
    at = lambda: {part: consumer.position(part) for part in ends}
    found, deadline = [], time.monotonic() + 30
    wants = lambda: at() != ends if count is None else len(found) < count
    while wants() and time.monotonic() < deadline:
        some = consumer.poll(timeout_ms=200,
                             max_records=1000 if count is None else count - len(found))
        found += [as_record(r) for records in some.values() for r in records]
    positions = sorted((part.partition, offset) for part, offset in at().items())
    consumer.close()
    return {"records": found, "positions": positions}


def offsets(servers, topic, partition, times):
    consumer = consumer_of(servers)
    where = TopicPartition(topic, partition)
    asked = [consumer.offsets_for_times({where: t})[where] for t in times]
    answer = {"begin": consumer.beginning_offsets([where])[where],
              "end": consumer.end_offsets([where])[where],
              "times": [found and found.offset for found in asked]}
    consumer.close()
    return answer


def member(servers, group, topics, assignor="range", instance=None):
    consumer = consumer_of(servers, group, partition_assignment_strategy=[ASSIGNORS[assignor]],
                           group_instance_id=instance, session_timeout_ms=SESSION_MS,
                           heartbeat_interval_ms=200)
    consumer.subscribe(topics)
    had = None
    while not told():
        found = consumer.poll(timeout_ms=100)
        has = sorted([part.topic, part.partition] for part in consumer.assignment())
        if has != had:
            had = has
            say({"assigned": has})
        if found:
            say({"records": [as_record(r) for some in found.values() for r in some]})
            keep(consumer, {where: OffsetAndMetadata(some[-1].offset + 1, "of a member", -1)
                            for where, some in found.items()})
    consumer.close()
    return {"left": True}


def keep(consumer, places):
    try:
        consumer.commit(places)
    except BrokerResponseError as error:
        say({"refused": error.errno})


def commit(servers, group, topic, places):
    consumer = consumer_of(servers, group)
    consumer.commit({TopicPartition(topic, p): OffsetAndMetadata(offset, metadata, -1)
                     for p, offset, metadata in places})
    consumer.close()


def committed(servers, group, topic, partitions):
    consumer = consumer_of(servers, group)
    found = [consumer.committed(TopicPartition(topic, p), metadata=True) for p in partitions]
    consumer.close()
    return {"offsets": [[p, place and place.offset, place.metadata if place else ""]
                        for p, place in zip(partitions, found)]}


def code_of(error):
    if isinstance(error, KafkaTimeoutError):
        return 7
    return error.errno if isinstance(error, BrokerResponseError) else None


serve({"produce": produce, "consume": consume, "offsets": offsets, "member": member,
       "commit": commit, "committed": committed}, code_of)
