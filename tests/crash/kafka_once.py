"""Producers that number their records, through kills of the server: every batch that was answered
is there once, in the order of its numbers, however often it was sent."""
import collections
import json
import os
import random
import signal
import subprocess
import threading
import time

import pytest

from lib import rdkafka
from lib.kafka_batch import Connection, batch
from lib.server import assert_balanced, run
from lib.wait import until

KILLS = 40
PARTITIONS = 3
IN_FLIGHT = 5
DUPLICATE = 46
# Later, with the same bytes: the log is fenced, full or busy, or a batch before it met that.
AGAIN = {7, 45, 56, 89}
SEED = int(os.environ.get("GARNER_TEST_SEED", random.randrange(1 << 32)))


class Producer(threading.Thread):
    """One producer on one partition, with IN_FLIGHT batches on their way, each made once and sent
    until it is answered; some are sent again although they were."""

    def __init__(self, garner, name, partition):
        super().__init__(daemon=True)
        self.garner, self.name, self.partition = garner, f"{name}", partition
        self.source = random.Random(f"{SEED}/{name}")
        self.id = None
        self.sequence, self.number = 0, 0
        self.waiting = collections.deque()  # (first number, values, bytes)
        self.offsets = {}                   # by the first value: what was answered
        self.acknowledged = []
        self.answers, self.unexpected = 0, []
        self.over = threading.Event()

    def value(self, number):
        return f'{{"p":"{self.name}","n":{number}}}'

    def connect(self):
        connection = Connection(self.garner.kafka_port)
        while self.id is None:
            error, producer_id, _ = connection.init_producer_id()
            if error == 0:
                self.id = producer_id
        return connection

    def fill(self):
        while len(self.waiting) < IN_FLIGHT and not self.over.is_set():
            count = self.source.randrange(1, 8)
            values = [self.value(self.number + i) for i in range(count)]
            data = batch([value.encode() for value in values], self.id, 0, self.sequence)
            self.waiting.append((self.number, values, data))
            self.number += count
            self.sequence += count

    def answered(self, answer):
        """False when all that waits has to be sent again."""
        first, values, _ = self.waiting[0]
        error, offset = answer
        if error in AGAIN:
            return False
        if error not in (0, DUPLICATE):
            self.unexpected.append(answer)
        known = self.offsets.setdefault(first, offset)
        if error == 0 and known != offset:
            self.unexpected.append((first, known, offset))
        self.acknowledged += values
        self.answers += 1
        self.waiting.popleft()
        return True

    def turn(self, connection):
        """All that waits is sent, and answered in that order."""
        self.fill()
        sent = list(self.waiting)
        again = sent[-1] if sent and self.source.random() < 0.2 else None
        for _, _, data in sent + ([again] if again else []):
            connection.send_batch("events", self.partition, data)
        answers = [connection.receive_batch() for _ in sent]
        for answer in answers:
            if not self.answered(answer):
                break
        if again:
            error, offset = connection.receive_batch()
            if error == 0 and offset != self.offsets.setdefault(again[0], offset):
                self.unexpected.append(("again", again[0], offset))

    def run(self):
        connection = None
        while not (self.over.is_set() and not self.waiting) and not self.unexpected:
            try:
                connection = connection or self.connect()
                self.turn(connection)
            except OSError:
                if connection:
                    connection.close()
                connection = None

    def stop(self):
        self.over.set()
        self.join(60)
        assert not self.is_alive() and not self.unexpected, self.unexpected


class Careless(Producer):
    """Some of what it sends is broken, some repeats a key, and some batches are nothing else."""

    @staticmethod
    def is_broken(number):
        return number % 5 == 3 or number % 60 > 50

    def is_repeat(self, number):
        return number % 7 == 6 and not self.is_broken(number - 1) and not self.is_broken(number)

    def value(self, number):
        if self.is_broken(number):
            return f"broken/{self.name}/{number}"
        key = number - self.is_repeat(number)
        return f'{{"p":"{self.name}","n":{number},"id":"{self.name}/{key}"}}'

    def places(self):
        """Base offset and numbers of each batch that was told where it lies: one with an answer,
        which each has unless five others were sent after it."""
        ends = sorted(self.offsets)[1:] + [self.number]
        return [(self.offsets[first], range(first, end))
                for first, end in zip(sorted(self.offsets), ends) if self.offsets[first] >= 0]

    def left(self):
        return [n for n in range(self.number) if not self.is_broken(n) and not self.is_repeat(n)]

    def broken(self):
        return [self.value(n) for n in range(self.number) if self.is_broken(n)]


def begin(make_garner, kind=Producer, **contract):
    garner = make_garner(contracts={"events": {"partitions": PARTITIONS, **contract}},
                         config={"wal_limit": "128MiB"})
    # Two of them share a partition.
    producers = [kind(garner, n, n % PARTITIONS) for n in range(PARTITIONS + 1)]
    for producer in producers:
        producer.start()
    return garner, producers


def wait_answers(producers, more):
    """Until `more` further batches have been answered."""
    def answers():
        return sum(producer.answers for producer in producers)
    goal = answers() + more
    until(lambda: answers() >= goal or any(p.unexpected for p in producers), f"{more} answers")


def end(garner, producers):
    """Everything that was answered is there once and in order, and nothing else is."""
    garner.start()
    wait_answers(producers, 20)
    for producer in producers:
        producer.stop()
    there = [garner.values("events", partition) for partition in range(PARTITIONS)]
    for producer in producers:
        mine = [value["n"] for value in there[producer.partition] if value["p"] == producer.name]
        assert mine == list(range(producer.number)), producer.name
        assert len(producer.acknowledged) == producer.number
    ledger = garner.ledger()
    assert_balanced(ledger)
    row = ledger["topics"]["events"]
    assert row["accepted"] == sum(producer.number for producer in producers)
    assert row["duplicates"] > 0
    garner.stop()
    done = run("fsck", garner.data_dir)
    assert done.returncode == 0, done


def test_at_random_moments(make_garner):
    print(f"GARNER_TEST_SEED={SEED}")
    source = random.Random(SEED)
    garner, producers = begin(make_garner)
    for _ in range(KILLS):
        # A third of the kills falls into the start and its recovery.
        starting = source.random() < 1 / 3
        garner.start(ready=not starting)
        if not starting:
            assert_balanced(garner.ledger())
            wait_answers(producers, source.randrange(1, 40))
        # Not a wait for anything: it is the moment.
        time.sleep(source.random() * 0.04)
        garner.kill()
    end(garner, producers)


@pytest.mark.parametrize("moment", ["before:write", "during:write", "after:write",
                                    "before:sync", "after:sync"])
def test_commit(make_garner, moment):
    garner, producers = begin(make_garner)
    for n in (15, 40, 90, 25):
        garner.start(env={"GARNER_FAULT": f"kill:{moment}:wal/:{n}"}, ready=False)
        assert garner.wait_exit() == -signal.SIGKILL
    end(garner, producers)


def consume(garner, topic, shape, partition=0):
    done = subprocess.run(["kcat", "-b", f"127.0.0.1:{garner.kafka_port}", "-C", "-t", topic, "-p",
                           f"{partition}", "-o", "beginning", "-e", "-q", "-f", shape],
                          capture_output=True, timeout=60, check=True)
    return done.stdout.decode().splitlines()


def check_places(garner, producers):
    """What is left is there once and in order, each record under its batch's offset and its place
    in it; what is not leaves its offset to nobody."""
    some, nothing = 0, 0
    for partition in range(PARTITIONS):
        rows = [row.split(" ", 1) for row in consume(garner, "events", "%o %s\n", partition)]
        there = {int(offset): value for offset, value in rows}
        assert len(there) == len(rows)
        taken = set()
        for producer in (p for p in producers if p.partition == partition):
            read = [json.loads(value) for _, value in rows]
            mine = [value["n"] for value in read if value["p"] == producer.name]
            left = producer.left()
            assert mine == left, producer.name
            left = set(left)
            for base, numbers in producer.places():
                offsets = range(base, base + len(numbers))
                assert taken.isdisjoint(offsets)
                taken.update(offsets)
                for offset, number in zip(offsets, numbers):
                    value = producer.value(number) if number in left else None
                    assert there.get(offset) == value, (producer.name, number, offset)
                kept = left.intersection(numbers)
                nothing += not kept
                some += 0 < len(kept) < len(numbers)
    assert some > 0 and nothing > 0


def test_batches_of_which_only_some_is_taken(make_garner):
    """What becomes a dead letter or repeats a key leaves holes: each record has the one outcome
    that it had, however often its batch was sent, and between whichever starts."""
    print(f"GARNER_TEST_SEED={SEED}")
    source = random.Random(SEED)
    garner, producers = begin(make_garner, Careless, dedup={"key": "id", "window": "1h"},
                              schema={"type": "jsonschema", "file": "s.json"})
    (garner.folder / "contracts" / "s.json").write_text('{"type":"object"}')
    for n in range(KILLS // 2):
        garner.start()
        assert_balanced(garner.ledger())
        wait_answers(producers, source.randrange(1, 60))
        # Not a wait for anything: it is the moment.
        time.sleep(source.random() * 0.04)
        if n % 4 == 3:
            garner.stop()
        else:
            garner.kill()
    garner.start()
    wait_answers(producers, 20)
    for producer in producers:
        producer.stop()
    check_places(garner, producers)
    letters = [value for producer in producers for value in producer.broken()]
    assert sorted(consume(garner, "events.dlq", "%s\n")) == sorted(letters)
    ledger = garner.ledger()
    assert_balanced(ledger)
    row = ledger["topics"]["events"]
    assert row["accepted"] == sum(len(producer.left()) for producer in producers)
    assert row["dead_lettered"] == len(letters) == ledger["dlq"]["events"]["held"]
    assert row["received"] == (row["accepted"] + row["duplicates"] + row["dead_lettered"] +
                               row["refused"])
    garner.stop()
    done = run("fsck", garner.data_dir)
    assert done.returncode == 0, done


def test_librdkafka(make_garner):
    """One producer of librdkafka, whose records and their numbers outlive the server."""
    print(f"GARNER_TEST_SEED={SEED}")
    garner = make_garner(config={"wal_limit": "128MiB"}).start()
    producer = rdkafka.Producer(garner.kafka_port, "events", **{
        "enable.idempotence": "true", "batch.num.messages": 20, "message.timeout.ms": 60000,
        "reconnect.backoff.ms": 10, "reconnect.backoff.max.ms": 50})
    source = random.Random(SEED)
    sent = 0
    for _ in range(15):
        for _ in range(1000):
            producer.produce(b"%d" % sent)
            sent += 1
        # Not a wait for anything: it is the moment.
        time.sleep(source.random() * 0.05)
        garner.kill()
        garner.start()
    producer.flush(60)
    assert producer.fatal() is None
    assert producer.failed == {}
    # One that was there already is told so, with an offset or without.
    assert all(offset in (-1, -1001, int(payload))
               for payload, offset in producer.delivered.items())
    assert len(producer.delivered) == sent
    producer.close()
    assert garner.values("events") == list(range(sent))
    ledger = garner.ledger()
    assert_balanced(ledger)
    assert ledger["topics"]["events"]["accepted"] == sent
