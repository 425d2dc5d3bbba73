"""kafka-python: its consumer (which keeps fetch sessions) and its producer, with every codec that
both have, against the Kafka door."""
import pytest

from lib.kafka_python import load
from lib.server import assert_balanced, run

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def kafka():
    return load()


def address(garner):
    return f"127.0.0.1:{garner.kafka_port}"


def open_producer(kafka, garner, **options):
    return kafka.KafkaProducer(bootstrap_servers=address(garner), acks="all",
                               **{"enable_idempotence": False, **options})


def open_consumer(kafka, garner, *topics, **options):
    consumer = kafka.KafkaConsumer(bootstrap_servers=address(garner), group_id=None,
                                   auto_offset_reset="earliest", enable_auto_commit=False,
                                   consumer_timeout_ms=20000, **options)
    consumer.assign([kafka.TopicPartition(topic, partition) for topic in topics
                     for partition in sorted(consumer.partitions_for_topic(topic))])
    return consumer


def take(consumer, count):
    """So many records; fails when no more come."""
    records = []
    for record in consumer:
        records.append(record)
        if len(records) == count:
            break
    assert len(records) == count
    return records


def metric(garner, name):
    for line in garner.metrics().splitlines():
        if line.startswith(name + " "):
            return int(float(line.split()[-1]))
    raise AssertionError(f"no metric {name}")


@pytest.mark.parametrize("codec", [None, "lz4", "zstd"])
def test_what_is_produced_is_consumed_in_order(make_garner, kafka, codec):
    garner = make_garner(contracts={"events": {"partitions": 3}}).start()
    producer = open_producer(kafka, garner, compression_type=codec, linger_ms=5)
    sent = {}
    for n in range(3000):
        key, value = b"key %d" % (n % 11), b"value %d " % n * 10
        sent.setdefault(key, []).append(value)
        future = producer.send("events", value, key=key, headers=[("n", b"%d" % n)])
    producer.flush()
    assert future.get(20).offset >= 0
    producer.close()
    consumer = open_consumer(kafka, garner, "events")
    read = {}
    for record in take(consumer, 3000):
        read.setdefault(record.key, []).append(record.value)
    assert read == sent
    consumer.close()
    assert_balanced(garner.ledger())


def test_a_consumer_keeps_a_session_while_topics_come_and_go(make_garner, kafka):
    garner = make_garner(contracts={"a": {"partitions": 4}, "b": {"partitions": 2}}).start()
    producer = open_producer(kafka, garner)

    def put(topic, partition, value):
        producer.send(topic, value, partition=partition).get(20)

    consumer = open_consumer(kafka, garner, "a", "b", fetch_max_wait_ms=200)
    for n in range(20):
        topic, partition = [("a", 0), ("b", 1), ("a", 3), ("a", 1)][n % 4]
        put(topic, partition, b"%d" % n)
        record, = take(consumer, 1)
        assert (record.topic, record.partition, record.value) == (topic, partition, b"%d" % n)
    assert metric(garner, "garner_kafka_fetch_sessions") == 1
    assert metric(garner, "garner_kafka_fetch_session_bytes") > 0
    consumer.assign([kafka.TopicPartition("b", 0)])
    consumer.seek_to_beginning()
    put("a", 0, b"not asked for")
    put("b", 0, b"asked for")
    assert take(consumer, 1)[0].value == b"asked for"
    consumer.assign([kafka.TopicPartition("a", 0), kafka.TopicPartition("b", 0)])
    consumer.seek_to_beginning()
    assert sorted(record.value for record in take(consumer, 7)) == \
        sorted([b"0", b"4", b"8", b"12", b"16", b"not asked for", b"asked for"])
    consumer.close()
    producer.close()


def test_a_consumer_goes_on_after_a_kill(make_garner, kafka):
    garner = make_garner().start()
    producer = open_producer(kafka, garner, retries=20, request_timeout_ms=5000)
    consumer = open_consumer(kafka, garner, "events")
    for n in range(3):
        producer.send("events", b"%d" % n).get(60)
        record, = take(consumer, 1)
        assert (record.offset, record.value) == (n, b"%d" % n)
        garner.kill()
        garner.start()
    consumer.close()
    producer.close()


def test_offsets_are_found_by_time_and_at_both_ends(make_garner, kafka):
    garner = make_garner().start()
    producer = open_producer(kafka, garner)
    for n in range(10):
        producer.send("events", b"x", timestamp_ms=1700000000000 + n * 1000).get(20)
    partition = kafka.TopicPartition("events", 0)
    consumer = open_consumer(kafka, garner, "events")
    found = consumer.offsets_for_times({partition: 1700000004500})[partition]
    assert (found.offset, found.timestamp) == (5, 1700000005000)
    assert consumer.offsets_for_times({partition: 1800000000000})[partition] is None
    assert consumer.beginning_offsets([partition]) == {partition: 0}
    assert consumer.end_offsets([partition]) == {partition: 10}
    consumer.close()
    producer.close()


def test_a_refused_record_is_an_error_of_its_own(make_garner, kafka):
    garner = make_garner(contracts={"events": {
        "schema": {"type": "jsonschema", "file": "s.json"}, "on_invalid": "reject"}})
    (garner.folder / "contracts" / "s.json").write_text(
        '{"type": "object", "properties": {"n": {"type": "integer"}}}')
    garner.start()
    producer = open_producer(kafka, garner)
    with pytest.raises(kafka.errors.KafkaError) as caught:
        producer.send("events", b'{"n":"x"}').get(20)
    assert "InvalidRecord" in repr(caught.value)
    assert producer.send("events", b'{"n":1}').get(20).offset == 0
    producer.close()
    assert_balanced(garner.ledger())


def test_an_idempotent_producer_goes_on_through_kills(make_garner, kafka):
    garner = make_garner().start()
    producer = open_producer(kafka, garner, enable_idempotence=True, linger_ms=2, batch_size=500,
                             delivery_timeout_ms=60000, reconnect_backoff_ms=10,
                             reconnect_backoff_max_ms=50, retry_backoff_ms=10)
    answers = []
    for n in range(3000):
        answers.append(producer.send("events", b"%d" % n))
        if n % 500 == 499:
            answers[-50].get(60)
            garner.kill()
            garner.start()
    producer.flush(60)
    assert all(answer.succeeded() for answer in answers)
    producer.close()
    assert garner.values("events") == list(range(3000))
    ledger = garner.ledger()
    assert_balanced(ledger)
    assert ledger["topics"]["events"]["accepted"] == 3000


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_a_client_of_version_0_of_the_handshake_is_let_in(kafka, make_garner, mechanism):
    garner = make_garner()
    garner.config["kafka"]["sasl"] = {"enabled": True}
    garner.write()
    garner.start()
    run("user", "add", "mia", "--server", f"127.0.0.1:{garner.admin_port}", stdin=b"secret\n")
    # What a broker of 0.11 has: version 0 of SaslHandshake, and tokens without requests.
    known = {"api_version": (0, 11), "security_protocol": "SASL_PLAINTEXT",
             "sasl_mechanism": mechanism, "sasl_plain_username": "mia"}
    with pytest.raises(kafka.errors.KafkaError):
        open_producer(kafka, garner, **known, sasl_plain_password="wrong", max_block_ms=3000).send(
            "events", b"x").get(timeout=20)
    producer = open_producer(kafka, garner, **known, sasl_plain_password="secret")
    sent = [producer.send("events", b"%d" % n, partition=0) for n in range(500)]
    assert [future.get(timeout=20).offset for future in sent] == list(range(500))
    producer.close()
    consumer = open_consumer(kafka, garner, "events", **known, sasl_plain_password="secret")
    assert [record.value for record in take(consumer, 500)] == [b"%d" % n for n in range(500)]
    consumer.close()
    # It came by that way and no other.
    assert metric(garner, 'garner_kafka_requests_total{api="sasl_handshake"}') > 2
    assert 'api="sasl_authenticate"' not in garner.metrics()
    assert_balanced(garner.ledger())
