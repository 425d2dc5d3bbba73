"""The server dies by SIGKILL while dead letters go back to their sink: before the epoch is
prepared, behind it, between its files, before its end. None is lost, none is delivered twice."""
import http.client
import json
import os
import random
import signal
import time

import pytest

from lib.client import Client
from lib.server import assert_balanced, run
from lib.wait import until

LETTERS = 400
RECORDS = 600
SEED = int(os.environ.get("GARNER_TEST_SEED", random.randrange(1 << 32)))


def order(garner, query=""):
    with Client(garner.admin_port) as client:
        return client.request("POST", f"/v1/dlq/events/redrive?{query}")


def phase(garner):
    return garner.get("/v1/dlq/events/redrive").json()["phase"]


def fill(make_garner):
    """A sink that has refused two records of three, by keys that no directory can be called, and
    that would take them from the next start on."""
    garner = make_garner(
        contracts={"events": {"key": "k", "partitions": 2}},
        sinks={"lake": {"type": "file", "topics": ["events"], "path": "./lake/{key}",
                        "roll": {"time": "50ms"}}}).start()
    with garner.client() as client:
        client.post_ndjson("events", [
            {"n": n, "k": "x" if n % 3 == 0 else "k" * 300 + str(n)} for n in range(RECORDS)])
    ledger = garner.wait_delivered("lake")
    assert ledger["sinks"]["lake"]["dead_lettered"] == LETTERS
    assert garner.stop() == 0
    # Two directories, so that an epoch has two files to move.
    garner.config["sinks"]["lake"]["path"] = "./lake/{partition}"
    garner.write()
    return garner


def numbers(garner):
    return [json.loads(line)["n"] for line in garner.sink_lines("lake")]


def check(garner):
    """The ledger and the files agree, whatever happened; returns how many letters are settled."""
    def quiet():
        ledger, found = garner.ledger(), numbers(garner)
        row = ledger["sinks"].get("lake")
        # An epoch that was prepared ends first: its files may be there already, or come meanwhile.
        held = ledger["dlq"]["events"]["held"]
        return row and row["delivered"] == len(found) == RECORDS - held and (ledger, found)
    ledger, found = until(quiet, "the ledger to say what the files hold")
    assert_balanced(ledger)
    queue, row = ledger["dlq"]["events"], ledger["sinks"]["lake"]
    assert queue["held"] + queue["redriven"] == LETTERS == queue["dead_lettered"]
    assert row["dead_lettered"] == queue["held"]
    assert len(found) == len(set(found))
    return queue["redriven"]


def finish(garner):
    check(garner)
    assert order(garner, "max_attempts=1000").status == 202
    until(lambda: phase(garner) == "finished", "the redrive to end", 60)
    assert check(garner) == LETTERS
    assert sorted(numbers(garner)) == list(range(RECORDS))
    garner.kill()
    garner.start()
    assert check(garner) == LETTERS
    assert garner.stop() == 0
    fsck = run("fsck", garner.data_dir)
    assert fsck.returncode == 0, fsck.stdout + fsck.stderr


def die(garner, fault, query):
    """Starts with the fault and orders; True when it died of it."""
    garner.start(env={"GARNER_FAULT": fault}, ready=False)
    try:
        garner.wait_ready()
        order(garner, query)
        until(lambda: not garner.running() or phase(garner) == "finished", "the redrive to end")
    except (OSError, http.client.HTTPException, AssertionError):
        pass  # it died before it was ready, or in the midst
    if garner.running():
        garner.kill()
        return False
    assert garner.wait_exit() == -signal.SIGKILL
    return True


@pytest.mark.parametrize("moment", ["before", "during", "after"])
def test_named_points_of_the_log(make_garner, moment):
    garner = fill(make_garner)
    deaths, settled = 0, []
    for number in (1, 2, 3, 4, 5, 6, 7, 9, 11, 14, 18):
        deaths += die(garner, f"kill:{moment}:write:wal/:{number}", "limit=8&max_attempts=1000")
        garner.start()
        settled.append(check(garner))
        garner.kill()
    assert settled == sorted(settled), "what was settled stays so"
    assert deaths > 4 and 0 < settled[-1] < LETTERS
    garner.start()
    finish(garner)


@pytest.mark.parametrize("point", [
    "before:write:lake.inprogress:1", "before:sync:lake.inprogress:1",
    "after:sync:lake.inprogress:2", "before:syncdir:lake.inprogress:1",
    "before:rename:/lake/:1", "after:rename:/lake/:1", "before:rename:/lake/:2",
    "after:rename:/lake/:2", "after:rename:/lake/:3", "before:syncdir:/lake:1",
    "after:syncdir:/lake:1", "after:syncdir:/lake:2", "after:syncdir:/lake:4"])
def test_named_points_of_the_files(make_garner, point):
    garner = fill(make_garner)
    settled = 0
    for _ in range(2):
        die(garner, f"kill:{point}", "limit=30&max_attempts=1000")
        garner.start()
        now = check(garner)
        assert now >= settled
        settled = now
        garner.kill()
    garner.start()
    finish(garner)


def test_random_moments(make_garner):
    print(f"GARNER_TEST_SEED={SEED}")
    source = random.Random(SEED)
    garner = fill(make_garner)
    settled, midst = 0, 0
    for _ in range(15):
        garner.start()
        now = check(garner)
        assert now >= settled
        settled = now
        midst += 0 < settled < LETTERS
        assert order(garner, "max_attempts=1000&rate=400&limit=60").status == 202
        # Not a wait for anything: it is the moment.
        time.sleep(source.random() * 0.05)
        garner.kill()
    garner.start()
    finish(garner)
    assert midst > 3, "too few of the deaths were in the midst"
