"""The server dies by SIGKILL at a hundred random moments, while producers send."""
import os
import random
import time

from lib.producer import Producers, assert_all_there_once
from lib.server import assert_balanced

KILLS = 100
SEED = int(os.environ.get("GARNER_TEST_SEED", random.randrange(1 << 32)))


def test_a_hundred_random_moments(make_garner):
    print(f"GARNER_TEST_SEED={SEED}")
    random_source = random.Random(SEED)
    sink = {"files": {"type": "file", "topics": ["events"], "path": "./out/{topic}",
                      "roll": {"size": "1MiB", "time": "40ms"}}}
    garner = make_garner(contracts={"events": {"partitions": 2, "key": "worker"}}, sinks=sink,
                         config={"wal_limit": "256MiB"})
    producers = Producers(garner.intake_port, records=10, broken_every=101).start()
    for _ in range(KILLS):
        # A third of the kills falls into the start and its recovery.
        starting = random_source.random() < 1 / 3
        garner.start(ready=not starting)
        if not starting:
            assert_balanced(garner.ledger())
            producers.wait_answers(random_source.randrange(1, 60))
        # Not a wait for anything: it is the moment.
        time.sleep(random_source.random() * 0.04)
        garner.kill()
    garner.start()
    producers.wait_answers(10)
    producers.stop()
    ledger = assert_all_there_once(garner, producers)
    assert ledger["topics"]["events"]["accepted"] >= len(producers.acknowledged) > 0
