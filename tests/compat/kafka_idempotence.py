"""Producers that number their records (enable.idempotence): librdkafka through kcat, and batches
that are sent again byte by byte."""
import json
import subprocess

import pytest

from lib.kafka_batch import Connection, batch
from lib.server import assert_balanced

LAST = 0x7FFFFFFF
OUT_OF_ORDER, DUPLICATE, OLD_EPOCH, INVALID_RECORD = 45, 46, 47, 87


class Producer(Connection):
    def __init__(self, garner, epoch=0):
        super().__init__(garner.kafka_port)
        error, self.id, given = self.init_producer_id()
        assert (error, given) == (0, 0)
        self.epoch = epoch

    def put(self, sequence, values, epoch=0, topic="events", partition=0):
        values = [b"%d" % v if isinstance(v, int) else v for v in values]
        return self.produce(topic, partition, batch(values, self.id, epoch, sequence))


def counts(garner, topic="events"):
    ledger = garner.ledger()
    assert_balanced(ledger)
    row = ledger["topics"][topic]
    return row["accepted"], row["duplicates"], row["dead_lettered"], row["refused"]


def test_kcat_with_idempotence_writes_each_record_once(make_garner):
    garner = make_garner(contracts={"events": {"partitions": 3}}).start()
    lines = [b"%d" % n for n in range(20000)]
    done = subprocess.run(
        ["kcat", "-b", f"127.0.0.1:{garner.kafka_port}", "-P", "-t", "events", "-X",
         "enable.idempotence=true", "-X", "message.timeout.ms=20000", "-X",
         "batch.num.messages=50"],
        input=b"\n".join(lines) + b"\n", capture_output=True, timeout=60, check=False)
    assert done.returncode == 0 and not done.stderr, done
    there = [value for p in range(3) for value in garner.values("events", p)]
    assert sorted(there) == sorted(int(line) for line in lines)
    assert counts(garner) == (20000, 0, 0, 0)
    assert 'garner_kafka_requests_total{api="init_producer_id"} 1' in garner.metrics()


def test_a_batch_that_comes_again_is_told_its_offset_and_is_there_once(make_garner):
    garner = make_garner().start()
    producer = Producer(garner)
    for n in range(7):
        assert producer.put(n * 2, [n, n]) == (0, n * 2)
    # The last five are known, of older ones only that they were there.
    for n in range(2, 7):
        assert producer.put(n * 2, [n, n]) == (0, n * 2)
    for n in range(2):
        assert producer.put(n * 2, [n, n]) == (DUPLICATE, -1)
    assert counts(garner) == (14, 14, 0, 0)
    garner.stop()
    garner.start()
    again = Connection(garner.kafka_port)
    assert again.produce("events", 0, batch([b"6", b"6"], producer.id, 0, 12)) == (0, 12)
    assert again.produce("events", 0, batch([b"0", b"0"], producer.id, 0, 0)) == (DUPLICATE, -1)
    assert again.produce("events", 0, batch([b"7"], producer.id, 0, 14)) == (0, 14)
    assert counts(garner) == (15, 18, 0, 0)


def test_what_does_not_follow_is_refused_and_changes_nothing(make_garner):
    garner = make_garner(contracts={"events": {"partitions": 2}}).start()
    producer = Producer(garner)
    assert producer.put(0, [0, 1]) == (0, 0)
    assert producer.put(3, [3]) == (OUT_OF_ORDER, -1)
    assert producer.put(1, [1, 2]) == (OUT_OF_ORDER, -1)
    assert producer.put(1, [1], epoch=1) == (OUT_OF_ORDER, -1)
    assert producer.put(0, [2], epoch=1) == (0, 2)
    assert producer.put(2, [3], epoch=0) == (OLD_EPOCH, -1)
    assert producer.put(1, [3], epoch=1) == (0, 3)
    # Numbers are a partition's own, and begin at 0. An id from elsewhere may have a past that
    # nobody knows: it begins anywhere, as in Kafka.
    assert producer.put(2, [4], partition=1) == (OUT_OF_ORDER, -1)
    producer.id ^= 1 << 45
    assert producer.put(500, [4], partition=1) == (0, 0)
    assert producer.put(502, [5], partition=1) == (OUT_OF_ORDER, -1)
    # What was before the first one that was seen may never have been there.
    assert producer.put(499, [5], partition=1) == (OUT_OF_ORDER, -1)
    assert counts(garner) == (5, 0, 0, 0)
    metrics = garner.metrics()
    assert 'garner_sequenced_refused_total{why="gap"} 6' in metrics
    assert 'garner_sequenced_refused_total{why="epoch"} 1' in metrics


def test_numbers_go_on_at_0_behind_the_last(make_garner):
    garner = make_garner().start()
    producer = Producer(garner)
    producer.id ^= 1 << 45
    assert producer.put(LAST - 1, [1, 2, 3]) == (0, 0)
    assert producer.put(1, [4]) == (0, 3)
    assert producer.put(LAST - 1, [1, 2, 3]) == (0, 0)
    assert producer.put(LAST, [2, 3]) == (DUPLICATE, -1)
    assert counts(garner) == (4, 5, 0, 0)


def test_several_batches_on_their_way_keep_their_order(make_garner):
    garner = make_garner().start()
    producer = Producer(garner)
    batches = [batch([b"%d" % n], producer.id, 0, n) for n in range(200)]
    for n in range(0, 200, 5):
        for data in batches[n:n + 5] + batches[n:n + 5]:
            producer.send_batch("events", 0, data)
        answers = [producer.receive_batch() for _ in range(10)]
        assert answers == [(0, n + i) for i in range(5)] * 2
    assert garner.values("events") == list(range(200))
    assert counts(garner) == (200, 200, 0, 0)


def test_dead_letters_and_keys_that_were_there_leave_the_numbers_as_they_came(make_garner):
    garner = make_garner(contracts={"events": {
        "schema": {"type": "jsonschema", "file": "s.json"},
        "dedup": {"key": "id", "window": "1h"}}})
    (garner.folder / "contracts" / "s.json").write_text(json.dumps({"type": "object"}))
    garner.start()
    producer = Producer(garner)
    first = [b'{"id":1}', b"x", b'{"id":2}']
    assert producer.put(0, first) == (0, 0)
    assert producer.put(0, first) == (0, 0)
    # Nothing is left of these two but their places.
    assert producer.put(3, [b"y", b"z"]) == (0, 3)
    assert producer.put(3, [b"y", b"z"]) == (0, 3)
    assert producer.put(5, [b'{"id":2}', b'{"id":1}']) == (0, 5)
    assert producer.put(7, [b'{"id":1}', b'{"id":3}']) == (0, 7)
    assert producer.put(7, [b'{"id":1}', b'{"id":3}']) == (0, 7)
    assert garner.values("events") == [{"id": 1}, {"id": 2}, {"id": 3}]
    assert counts(garner) == (3, 3 + 2 + 2 + 1 + 2, 3, 0)


def test_a_batch_that_is_refused_takes_no_numbers(make_garner):
    garner = make_garner(contracts={"events": {
        "on_invalid": "reject", "schema": {"type": "jsonschema", "file": "s.json"}}})
    (garner.folder / "contracts" / "s.json").write_text(json.dumps({"type": "object"}))
    garner.start()
    producer = Producer(garner)
    assert producer.put(0, [b"{}"]) == (0, 0)
    for _ in range(2):
        assert producer.put(1, [b"{}", b"1"]) == (INVALID_RECORD, -1)
    assert producer.put(1, [b"{}"]) == (0, 1)
    assert counts(garner) == (2, 0, 0, 4)


def test_what_was_taken_is_not_refused_when_it_comes_again(make_garner):
    """Its producer has got no answer; meanwhile the contract has become stricter. Told that it was
    refused, it would use the numbers for other records, which would be taken for repeats."""
    garner = make_garner().start()
    producer = Producer(garner)
    assert producer.put(0, [b"any", b"thing"]) == (0, 0)
    assert producer.put(2, [b"more"]) == (0, 2)
    for on_invalid in ("reject", "dlq"):
        garner.contracts["events"] = {
            "on_invalid": on_invalid, "schema": {"type": "jsonschema", "file": "s.json"}}
        garner.write()
        (garner.folder / "contracts" / "s.json").write_text(json.dumps({"type": "object"}))
        garner.kill()
        garner.start()
        again = Connection(garner.kafka_port)
        assert again.produce("events", 0, batch([b"any", b"thing"], producer.id, 0, 0)) == (0, 0)
        assert again.produce("events", 0, batch([b"any"], producer.id, 0, 0)) == (DUPLICATE, -1)
        told = (INVALID_RECORD, -1) if on_invalid == "reject" else (0, 3)
        assert again.produce("events", 0, batch([b"next"], producer.id, 0, 3)) == told
    assert counts(garner) == (3, 6, 1, 1)


@pytest.mark.parametrize("fields", [{"epoch": -1, "sequence": 0}, {"epoch": 0, "sequence": -1}])
def test_an_id_without_numbers_is_refused(make_garner, fields):
    garner = make_garner().start()
    producer = Producer(garner)
    assert producer.produce("events", 0, batch([b"1"], producer.id, **fields))[0] == INVALID_RECORD
    assert counts(garner) == (0, 0, 0, 0)


def test_a_count_that_lies_takes_no_numbers(make_garner):
    garner = make_garner().start()
    producer = Producer(garner)
    assert producer.produce("events", 0, batch([b"1"], producer.id, 0, 0, count=2))[0] != 0
    assert producer.put(0, [1]) == (0, 0)
    assert counts(garner) == (1, 0, 0, 0)


def test_ids_are_never_given_twice(make_garner):
    garner = make_garner().start()
    seen = []
    for n in range(4):
        with_one = Connection(garner.kafka_port)
        seen += [with_one.init_producer_id() for _ in range(20)]
        with_one.close()
        if n % 2:
            garner.stop()
        else:
            garner.kill()
        garner.start()
    assert all(error == 0 and epoch == 0 for error, _, epoch in seen)
    assert len({producer_id for _, producer_id, _ in seen}) == 80


def test_transactions_are_refused_for_good(make_garner):
    garner = make_garner().start()
    connection = Connection(garner.kafka_port)
    assert connection.init_producer_id(b"t") == (53, -1, -1)
    assert connection.init_producer_id(b"t", timeout_ms=900001)[0] == 50
    assert connection.init_producer_id(b"t", timeout_ms=0)[0] == 50
    assert connection.init_producer_id(b"")[0] == 42
    assert connection.init_producer_id()[0] == 0
