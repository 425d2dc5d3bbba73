"""Topics are made and deleted over the Kafka protocol while the server dies: what was answered is
so, what was not is one thing or the other, and whatever is there can be used."""
import os
import random
import signal
import threading
import time

import pytest

from lib.kafka_admin import consume, produce
from lib.kafka_topics import Topics
from lib.server import assert_balanced

KILLS = 10
SEED = int(os.environ.get("GARNER_TEST_SEED", random.randrange(1 << 32)))


class Changes(threading.Thread):
    """Makes a topic after the other, with as many partitions and the retention that its number
    says, and deletes every third again, through one life of a server."""

    def __init__(self, garner, first):
        super().__init__(daemon=True)
        self.garner, self.number = garner, first
        self.there, self.gone, self.unknown = set(), set(), set()

    def run(self):
        # The end of its connection is that of the server.
        try:
            with Topics(self.garner.kafka_port) as topics:
                while True:
                    self.change(topics, self.number)
                    self.number += 1
        except OSError:
            pass

    def change(self, topics, number):
        self.unknown = {number}
        assert topics.create(name(number), 1 + number % 3, retention_ms=100000 + number) == 0
        self.there.add(number)
        self.unknown = set()
        if number % 3 == 0:
            self.there.remove(number)
            self.unknown = {number}
            assert topics.delete(name(number)) == 0
            self.gone.add(number)
            self.unknown = set()


def name(number):
    return f"topic-{number}"


def assert_all_as_answered(garner, changes, used=True):
    there = {t["name"]: t for t in garner.get("/v1/topics").json()["topics"]}
    for number in changes.gone:
        assert name(number) not in there
    for number in changes.there:
        topic = there[name(number)]
        assert topic["partition_count"] == 1 + number % 3
        assert topic["retention_ms"] == 100000 + number
    # Made whole or not at all: with its settings, and taking records.
    for number in (n for n in changes.unknown if name(n) in there):
        assert there[name(number)]["retention_ms"] == 100000 + number
        if not used:
            continue
        produce(garner, name(number), [b"any"])
        assert set(consume(garner, name(number))) == {b"any"}


def test_what_was_answered_is_so_after_kills(make_garner):
    print(f"GARNER_TEST_SEED={SEED}")
    source = random.Random(SEED)
    garner = make_garner().start()
    first = answered = 0
    lives = []
    for _ in range(KILLS):
        changes = Changes(garner, first)
        changes.start()
        # Not a wait for anything: it is the moment.
        time.sleep(0.05 + source.random() * 0.3)
        garner.kill()
        changes.join(60)
        assert not changes.is_alive()
        garner.start()
        lives.append(changes)
        first = changes.number + 1
        answered += len(changes.there) + len(changes.gone)
        for life in lives:
            assert_all_as_answered(garner, life, life is changes)
        assert_balanced(garner.ledger())
    assert answered > KILLS


# Behind a start's own writes: the commit that makes the topic, before and after it is on the disk.
@pytest.mark.parametrize("moment", ["before:write", "during:write", "after:write", "before:sync",
                                    "after:sync"])
@pytest.mark.parametrize("number", [1, 2, 4])
def test_a_topic_is_made_whole_or_not_at_all(make_garner, moment, number):
    garner = make_garner().start()
    garner.stop()
    # What comes first in a life is the mark of the clean stop, taken away.
    garner.start(env={"GARNER_FAULT": f"kill:{moment}:wal/:{number + 2}"})
    changes = Changes(garner, 1)
    changes.start()
    assert garner.wait_exit() == -signal.SIGKILL
    changes.join(60)
    garner.start()
    assert_all_as_answered(garner, changes)
    assert_balanced(garner.ledger())
