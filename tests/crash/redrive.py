"""The server dies by SIGKILL in the midst of a redrive, again and again; each letter is accepted
once all the same, and the ledger balances behind every death."""
import http.client
import os
import random
import signal
import time

import pytest

from lib.client import Client
from lib.server import assert_balanced
from lib.wait import until

LETTERS = 10_000
SEED = int(os.environ.get("GARNER_TEST_SEED", random.randrange(1 << 32)))


def order(garner, action="redrive", query=""):
    with Client(garner.admin_port) as client:
        return client.request("POST", f"/v1/dlq/events/{action}?{query}")


def phase(garner):
    return garner.get("/v1/dlq/events/redrive").json()["phase"]


def row(garner):
    ledger = garner.ledger()
    assert_balanced(ledger)
    dlq = ledger["dlq"]["events"]
    assert dlq["dead_lettered"] == sum(dlq[k] for k in ("held", "redriven", "purged", "expired"))
    return dlq


def fill(make_garner, count=LETTERS, **options):
    """Letters that are too large for the first start, and not for those behind it."""
    garner = make_garner(**options)
    garner.config["intake"]["record_limit"] = "64B"
    garner.write()
    garner.start()
    with garner.client() as client:
        for first in range(0, count, 1000):
            client.post_ndjson("events", [{"n": n, "pad": "x" * 80}
                                          for n in range(first, min(first + 1000, count))])
        client.post_ndjson("events", [b"broken %d" % n for n in range(5)])
    assert garner.stop() == 0
    del garner.config["intake"]["record_limit"]
    garner.write()
    return garner


def finish(garner, count=LETTERS):
    """Runs a last redrive to its end and counts."""
    assert order(garner, query="max_attempts=1000").status == 202
    until(lambda: phase(garner) == "finished", "the redrive to end", 60)
    numbers = [value["n"] for p in range(garner.contracts["events"].get("partitions", 1))
               for value in garner.values("events", p)]
    assert len(numbers) == count and set(numbers) == set(range(count))
    dlq = row(garner)
    assert dlq["held"] == 5, "those that are no JSON"
    assert dlq["redriven"] >= count + 5 and dlq["expired"] == 0
    garner.kill()
    garner.start()
    assert row(garner) == dlq


def test_random_moments_of_a_redrive(make_garner):
    print(f"GARNER_TEST_SEED={SEED}")
    source = random.Random(SEED)
    garner = fill(make_garner, contracts={"events": {"partitions": 2}})
    redriven, midst = 0, 0
    for _ in range(30):
        garner.start()
        dlq = row(garner)
        assert dlq["redriven"] >= redriven, "what was settled stays so"
        redriven = dlq["redriven"]
        midst += dlq["held"] > 5 and redriven > 0
        assert order(garner, query="max_attempts=1000&rate=20000").status == 202
        # Not a wait for anything: it is the moment.
        time.sleep(source.random() * 0.04)
        garner.kill()
    garner.start()
    finish(garner)
    assert midst > 3, "too few of the deaths were in the midst"


@pytest.mark.parametrize("moment", ["before:write", "during:write", "after:write", "before:sync",
                                    "after:sync"])
def test_named_points_of_a_redrive(make_garner, moment):
    garner = fill(make_garner)
    for number in (9, 3, 17, 6):
        garner.start(env={"GARNER_FAULT": f"kill:{moment}:wal/:{number}"}, ready=False)
        try:
            garner.wait_ready()
            order(garner, query="max_attempts=1000")
        except (OSError, http.client.HTTPException, AssertionError):
            pass  # it died before it was ready, or before it could answer
        assert garner.wait_exit() == -signal.SIGKILL
    garner.start()
    row(garner)
    finish(garner)


def test_a_log_that_fails_now_and_then_is_waited_for(make_garner):
    garner = fill(make_garner, count=3000)
    garner.start(env={"GARNER_FAULT": "fail:io:sync:wal/:9;fail:io:sync:wal/:14"})
    assert order(garner, query="max_attempts=1000").status == 202
    until(lambda: phase(garner) == "finished", "the redrive to end", 60)
    assert "log_fenced" in garner.log_text()
    finish(garner, 3000)


def test_a_purge_dies_and_nothing_is_purged_twice(make_garner):
    garner = fill(make_garner, count=5000)
    for number in (6, 4, 8):
        garner.start(env={"GARNER_FAULT": f"kill:after:write:wal/:{number}"}, ready=False)
        try:
            garner.wait_ready()
            order(garner, "purge", "reason=oversize&limit=1500")
        except (OSError, http.client.HTTPException, AssertionError):
            pass
        if garner.running():
            garner.kill()
        else:
            assert garner.wait_exit() == -signal.SIGKILL
    garner.start()
    row(garner)
    assert order(garner, "purge", "reason=oversize").status == 202
    until(lambda: phase(garner) == "finished", "the purge to end")
    dlq = row(garner)
    assert dlq["purged"] == 5000 and dlq["held"] == 5
