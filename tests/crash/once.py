"""A client that resends everything unanswered, through kills: with an idempotency key every record
is there exactly once, in topic, sink and ledger; what the topic's schema refuses is in its DLQ."""
import json
import os
import random
import signal
import time

import pytest

from lib.producer import Producers, assert_all_there_once
from lib.server import assert_balanced

KILLS = 100
SEED = int(os.environ.get("GARNER_TEST_SEED", random.randrange(1 << 32)))
# A window of so little that buckets are closed, sorted and named by checkpoints meanwhile would
# forget keys; the memory is what makes them close.
DEDUP = {"key": "id", "window": "1h", "memory": "1MiB"}
CONTRACT = {"events": {"partitions": 3, "key": "worker", "dedup": DEDUP,
                       "schema": {"type": "jsonschema", "file": "events.schema.json"}}}
SINK = {"files": {"type": "file", "topics": ["events"], "path": "./out/{topic}/{partition}",
                  "roll": {"size": "64MiB", "time": "50ms"}}}


def make(make_garner, **producer):
    garner = make_garner(contracts=CONTRACT, sinks=SINK, config={"wal_limit": "128MiB"})
    (garner.folder / "contracts" / "events.schema.json").write_text(json.dumps(Producers.SCHEMA))
    producers = Producers(garner.intake_port, broken_every=37, once=True, schema=True, **producer)
    return garner, producers.start()


def end(garner, producers):
    garner.start()
    assert_balanced(garner.ledger())
    producers.wait_answers(10)
    producers.stop()
    ledger = assert_all_there_once(garner, producers)
    assert ledger["topics"]["events"]["duplicates"] > 0


def test_a_hundred_random_moments(make_garner):
    print(f"GARNER_TEST_SEED={SEED}")
    source = random.Random(SEED)
    garner, producers = make(make_garner, records=40)
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


def die(make_garner, faults, **producer):
    garner, producers = make(make_garner, **producer)
    for fault in faults:
        garner.start(env={"GARNER_FAULT": fault}, ready=False)
        assert garner.wait_exit() == -signal.SIGKILL, fault
    end(garner, producers)


@pytest.mark.parametrize("moment", ["before:write", "during:write", "after:write",
                                    "before:sync", "after:sync"])
def test_commit(make_garner, moment):
    die(make_garner, [f"kill:{moment}:wal/:{n}" for n in (15, 40, 90, 25)])


# With each checkpoint keys go to the file of their bucket, and the next one reads them.
@pytest.mark.parametrize("moment", ["before:open", "before:write", "during:write", "after:write",
                                    "before:sync", "after:sync", "before:syncdir",
                                    "after:syncdir", "before:rename", "after:rename"])
def test_files_of_keys(make_garner, moment):
    die(make_garner, [f"kill:{moment}:/keys:{n}" for n in (1, 2, 3)], records=4000, pad=10)


@pytest.mark.parametrize("moment", ["before:write", "after:write", "after:rename",
                                    "after:syncdir"])
def test_a_checkpoint(make_garner, moment):
    die(make_garner, [f"kill:{moment}:checkpoint:{n}" for n in (1, 1, 2)], records=400, pad=1000)
