"""Clients that name their requests (numbers of a producer, or an Idempotency-Key) and resend
everything unanswered, through kills: every record is there exactly once, in topic, sink and
ledger, broken ones too, without a key in the topic."""
import os
import random
import signal
import time

import pytest

from lib.producer import Producers, assert_all_there_once
from lib.server import assert_balanced

KILLS = 30
SEED = int(os.environ.get("GARNER_TEST_SEED", random.randrange(1 << 32)))
CONTRACT = {"events": {"partitions": 3, "key": "worker"}}
SINK = {"files": {"type": "file", "topics": ["events"], "path": "./out/{topic}/{partition}",
                  "roll": {"size": "64MiB", "time": "50ms"}}}


@pytest.fixture(params=["number", "key"])
def start(request, make_garner):
    """Makes a server, not started, and producers that name their batches."""
    def make(**producer):
        garner = make_garner(contracts=CONTRACT, sinks=SINK, config={"wal_limit": "128MiB"})
        return garner, Producers(garner.intake_port, broken_every=7, named=request.param,
                                 **producer).start()
    return make


def end(garner, producers):
    garner.start()
    assert_balanced(garner.ledger())
    producers.wait_answers(10)
    producers.stop()
    ledger = assert_all_there_once(garner, producers)
    assert ledger["topics"]["events"]["duplicates"] > 0


def test_random_moments(start):
    print(f"GARNER_TEST_SEED={SEED}")
    source = random.Random(SEED)
    garner, producers = start(records=20)
    for _ in range(KILLS):
        # A third of the kills falls into the start and its recovery.
        starting = source.random() < 1 / 3
        garner.start(ready=not starting)
        if not starting:
            assert_balanced(garner.ledger())
            producers.wait_answers(source.randrange(1, 60))
        # Not a wait for anything: it is the moment.
        time.sleep(source.random() * 0.04)
        garner.kill()
    end(garner, producers)


def die(start, faults, **producer):
    garner, producers = start(**producer)
    for fault in faults:
        garner.start(env={"GARNER_FAULT": fault}, ready=False)
        assert garner.wait_exit() == -signal.SIGKILL, fault
    end(garner, producers)


@pytest.mark.parametrize("moment", ["before:write", "during:write", "after:write",
                                    "before:sync", "after:sync"])
def test_commit(start, moment):
    die(start, [f"kill:{moment}:wal/:{n}" for n in (15, 40, 90, 25)])


@pytest.mark.parametrize("moment", ["before:write", "after:write", "after:rename",
                                    "after:syncdir"])
def test_a_checkpoint(start, moment):
    die(start, [f"kill:{moment}:checkpoint:{n}" for n in (1, 1, 2)], records=400, pad=1000)


def test_failed_flushes(start):
    """The log is fenced again and again: what it answers 503 may be sent again, and what was
    answered is there."""
    garner, producers = start()
    garner.start(env={"GARNER_FAULT": "fail:io:sync:wal/:20x2;fail:io:write:wal/:90;"
                                      "fail:io:sync:wal/:150"}, ready=False)
    garner.wait_ready()
    producers.wait_answers(400)
    assert "log_fenced" in garner.log_text()
    garner.kill()
    end(garner, producers)
