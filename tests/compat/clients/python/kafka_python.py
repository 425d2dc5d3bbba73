"""kafka-python, which is Python all through."""
import time

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import BrokerResponseError, KafkaError, KafkaTimeoutError

from driver import record, serve, unpack, unpack_headers

SIZE_MAX = 64 << 20
WAIT_MS = 2000  # for a topic that is not there


def produce(servers, topic, records, acks="all", codec="none", idempotence=False):
    producer = KafkaProducer(
        bootstrap_servers=servers, acks=acks if acks == "all" else int(acks), linger_ms=5,
        compression_type=None if codec == "none" else codec, enable_idempotence=idempotence,
        max_request_size=SIZE_MAX, batch_size=1 << 18, max_block_ms=WAIT_MS)
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
            results.append({"error": error.errno})
    producer.close()
    return {"results": results}


def consumer_of(servers, group=None, **config):
    return KafkaConsumer(bootstrap_servers=servers, group_id=group, enable_auto_commit=False,
                         auto_offset_reset="earliest", **config)


def polled(consumer, **limits):
    return [record(r.partition, r.offset, r.timestamp, r.key, r.value, r.headers)
            for some in consumer.poll(**limits).values() for r in some]


def consume(servers, topic, offsets, count):
    consumer = consumer_of(servers)
    consumer.assign([TopicPartition(topic, p) for p, _ in offsets])
    for p, offset in offsets:
        consumer.seek(TopicPartition(topic, p), offset)
    found, deadline = [], time.monotonic() + 30
    while len(found) < count and time.monotonic() < deadline:
        found += polled(consumer, timeout_ms=200, max_records=count - len(found))
    consumer.close()
    return {"records": found}


def offsets(servers, topic, partition, times):
    consumer = consumer_of(servers)
    where = TopicPartition(topic, partition)
    asked = [consumer.offsets_for_times({where: t})[where] for t in times]
    answer = {"begin": consumer.beginning_offsets([where])[where],
              "end": consumer.end_offsets([where])[where],
              "times": [found and found.offset for found in asked]}
    consumer.close()
    return answer


def code_of(error):
    if isinstance(error, KafkaTimeoutError):
        return 7
    return error.errno if isinstance(error, BrokerResponseError) else None


serve({"produce": produce, "consume": consume, "offsets": offsets}, code_of)
