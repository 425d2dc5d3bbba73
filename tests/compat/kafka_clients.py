"""Kafka's clients of other people: what one wrote all read, and each is refused in its own way."""
import json

import pytest

from lib.kafka_clients import CODECS, DRIVERS
from lib.server import assert_balanced
from lib.wait import until

READERS = [name for name in DRIVERS if name != "kafkajs"]  # which reads in groups only
MESSAGE_TOO_LARGE = 10
UNKNOWN_TOPIC = 3
TIMED_OUT = 7
# Clients that wait for a topic to appear, and say only that they did.
NO_TOPIC = {"kafka-python": TIMED_OUT, "java-3.9": TIMED_OUT, "java-4.3": TIMED_OUT}
START_MS = 1_700_000_000_000


@pytest.fixture(params=DRIVERS)
def name(request):
    return request.param


@pytest.fixture
def garner(make_garner):
    return make_garner(contracts={"events": {"partitions": 3}, "one": {}}).start()


@pytest.fixture
def client(drivers, garner, name):
    return drivers.at(garner, name)


def all_kinds(count):
    """Records of every shape: null, empty, with and without headers."""
    return [{"partition": 0, "timestamp": START_MS + n * 1000,
             "key": [None, b"key %d" % n, "clé".encode()][n % 3],
             "value": [b"value %d " % n * 50, None, b"\x00\xff" * 9, b""][n % 4 if n % 3 else 0],
             "headers": [("first", b"%d" % n), ("empty", b""), ("nül", bytes(range(256)))][:n % 4]}
            for n in range(count)]


def assert_same(read, written, name):
    assert [r["offset"] for r in read] == list(range(len(written))), name
    for r, w in zip(read, written):
        for part in ("timestamp", "key", "value", "headers"):
            assert r[part] == w[part], (name, part, r, w)


@pytest.mark.parametrize("codec", CODECS)
def test_what_one_client_wrote_all_read(drivers, garner, client, codec):
    written = all_kinds(200)
    assert client.produce("one", written, codec=codec) == [(0, n) for n in range(200)]
    for reader in READERS:
        assert_same(drivers.at(garner, reader).consume("one", 200), written, reader)
    assert garner.ledger()["topics"]["one"]["accepted"] == 200
    assert_balanced(garner.ledger())


def test_what_came_over_http_all_read(drivers, make_garner):
    garner = make_garner(contracts={"one": {"key": "k", "event_time": "t"}}).start()
    sent = [{"k": f"key {n % 3}", "t": START_MS + n, "n": n} for n in range(300)]
    with garner.client() as http:
        assert http.post_ndjson("one", sent).json()["accepted"] == 300
    for reader in READERS:
        read = drivers.at(garner, reader).consume("one", 300)
        assert [json.loads(r["value"]) for r in read] == sent, reader
        assert [(r["key"].decode(), r["timestamp"]) for r in read] == \
            [(s["k"], s["t"]) for s in sent], reader


def test_records_of_a_key_keep_their_order(drivers, garner, client):
    written = [{"key": b"key %d" % (n % 10), "value": b"%d" % n} for n in range(2000)]
    went = client.produce("events", written)
    read = drivers.at(garner, "librdkafka").consume("events", 2000, [(p, 0) for p in range(3)])
    values = {(r["partition"], r["offset"]): (r["key"], r["value"]) for r in read}
    partitions = {}
    for record, where in zip(written, went):
        assert values[where] == (record["key"], record["value"])
        partitions.setdefault(record["key"], []).append(where)
    for places in partitions.values():
        assert len({partition for partition, _ in places}) == 1
        assert places == sorted(places)


# kafka-python has names only; Sarama asks for their settings, too (kafka_client_admin.py).
@pytest.mark.parametrize("name", ["librdkafka", "kafkajs", "franz-go", "java-3.9", "java-4.3"],
                         indirect=True)
def test_topics_are_listed_with_their_partitions(client):
    assert client.ask("topics")["topics"] == {"events": 3, "events.dlq": 1, "one": 1, "one.dlq": 1}


@pytest.mark.parametrize("acks", ["0", "1", "all"])
def test_what_is_sent_is_taken_however_much_is_acknowledged(drivers, garner, client, acks):
    written = [{"partition": 0, "value": b"%d" % n} for n in range(500)]
    went = client.produce("one", written, acks=acks)
    if acks != "0":
        assert went == [(0, n) for n in range(500)]
    until(lambda: garner.ledger()["topics"]["one"]["accepted"] == 500, "all to be accepted")
    read = drivers.at(garner, "librdkafka").consume("one", 500)
    assert [r["value"] for r in read] == [w["value"] for w in written]
    assert_balanced(garner.ledger())


def test_offsets_are_found_by_time(client):
    client.produce("one", [{"partition": 0, "value": b"x", "timestamp": START_MS + n * 1000}
                           for n in range(100)])
    answer = client.ask("offsets", topic="one", partition=0, times=[
        START_MS - 1, START_MS, START_MS + 41_000, START_MS + 41_001, START_MS + 99_001])
    assert answer == {"begin": 0, "end": 100, "times": [0, 0, 41, 42, None]}


@pytest.mark.parametrize("name", READERS, indirect=True)
def test_reading_begins_in_the_middle_of_a_batch(drivers, garner, client):
    written = all_kinds(200)
    drivers.at(garner, "java-4.3").produce("one", written, codec="zstd")
    read = client.consume("one", 143, offsets=[(0, 57)])
    assert [(r["offset"], r["value"]) for r in read] == \
        [(n, written[n]["value"]) for n in range(57, 200)]


def test_a_batch_that_is_too_large_is_refused_and_said_so(garner, client):
    large, small = b"x" * (3 << 19), b"y"
    result, = client.results("one", [{"partition": 0, "value": large}])
    assert result.get("error") == MESSAGE_TOO_LARGE
    assert client.produce("one", [{"partition": 0, "value": small}]) == [(0, 0)]
    # Small enough once it is packed.
    assert client.produce("one", [{"partition": 0, "value": large[:1 << 20]}], codec="gzip") == \
        [(0, 1)]
    row = garner.ledger()["topics"]["one"]
    assert (row["accepted"], row["dead_lettered"]) == (2, 0)
    assert_balanced(garner.ledger())


def test_a_topic_that_is_not_there_is_an_error(garner, client):
    answer = client.call("produce", topic="nowhere", wait_ms=2000,
                         records=[{"partition": 0, "key": None, "value": "eA=="}])
    error = answer["error"] if "error" in answer else answer["results"][0]["error"]
    assert error == NO_TOPIC.get(client.name, UNKNOWN_TOPIC)
    assert "nowhere" not in garner.ledger()["topics"]


def test_a_hundred_thousand_records_are_all_there_once(drivers, garner, client):
    written = [{"key": b"key %d" % (n % 1000), "value": b'{"n":%d,"pad":"%s"}' % (n, b"x" * 80)}
               for n in range(100_000)]
    went = client.produce("events", written, codec="zstd")
    ledger = garner.ledger()
    assert_balanced(ledger)
    assert ledger["topics"]["events"]["accepted"] == 100_000
    reader = client if client.name in READERS else drivers.at(garner, "franz-go")
    read = reader.consume("events", 100_000, [(p, 0) for p in range(3)])
    there = {(r["partition"], r["offset"]): (r["key"], r["value"]) for r in read}
    assert len(there) == 100_000
    for record, where in zip(written, went):
        assert there[where] == (record["key"], record["value"])
