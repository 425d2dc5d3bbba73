"""Data directories that older programs have left (tests/data/format-N.tar.xz) are opened by this
one: every record, dead letter and row of the ledger is there, and the directory goes on."""
import collections
import json
import pathlib
import re
import tarfile

import pytest

from lib.server import assert_balanced, run
from lib.wait import until

DATA = pathlib.Path(__file__).resolve().parent.parent / "data"
SINK = {"type": "file", "topics": ["events"], "path": "./out", "roll": {"time": "50ms"}}
# Whenever the test runs, nothing of it has expired.
FOR_EVER = {"time": "36500d"}
CONTRACT = {"partitions": 2, "key": "k", "retention": FOR_EVER,
            "dlq": {"retention": FOR_EVER["time"]}}
BATCHES = {1: 1, 2: 55, 3: 55, 4: 55}
KEYED = {"dedup": {"key": "n", "window": "36500d"}, "retention": FOR_EVER,
         "dlq": {"retention": FOR_EVER["time"]}}
NEWEST = 5  # what every start makes of them


@pytest.fixture(params=BATCHES, ids=lambda number: f"format-{number}")
def old(request, make_garner):
    """A server that is not started yet on an old directory, the ledger that was told then, and
    how many times each record was sent."""
    contracts = {"events": CONTRACT} | ({"keyed": KEYED} if request.param > 2 else {})
    garner = make_garner(contracts=contracts, sinks={"files": SINK},
                         config={"wal_limit": "48MiB"})
    with tarfile.open(DATA / f"format-{request.param}.tar.xz") as tar:
        tar.extractall(garner.folder)
    ledger = garner.data_dir / "ledger.json"
    told = json.loads(ledger.read_text())
    ledger.unlink()
    garner.old_format = request.param
    return garner, told, BATCHES[request.param]


def consumed(garner, topic):
    done = run("consume", topic, "--server", f"127.0.0.1:{garner.admin_port}")
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def meta_format(garner):
    return int(re.search(r"format\D+(\d+)", (garner.data_dir / "garner.meta").read_text())[1])


def same_rows(told, found):
    """Every term that was told then has the value it had."""
    for part in ("topics", "dlq", "sinks"):
        for name, row in told[part].items():
            assert {key: found[part][name][key] for key in row} == row, (part, name)


def test_an_old_directory_has_all_its_records_and_its_ledger(old):
    garner, told, batches = old
    garner.start()
    ledger = garner.ledger()
    assert_balanced(ledger)
    same_rows(told, ledger)
    counts = collections.Counter()
    for line in consumed(garner, "events"):
        record = json.loads(line)
        counts[record["n"], "pad" in record] += 1
    expected = {(n, True): batches for n in range(1000)}
    assert counts == {**expected, (1, False): 1, (2, False): 1}
    assert consumed(garner, "events.dlq") == [b"{broken"]
    assert meta_format(garner) == NEWEST
    raised = f"format {garner.old_format} becomes {NEWEST}" in garner.log_text()
    assert raised == (garner.old_format < NEWEST)


@pytest.mark.parametrize("old", [n for n in BATCHES if n > 2], indirect=True)
def test_keys_and_settled_letters_of_an_old_directory_still_count(old):
    garner, told, _ = old
    garner.start()
    with garner.client() as client:
        said = client.post_ndjson("keyed", [{"n": n} for n in range(501)]).json()
    assert (said["accepted"], said["duplicates"]) == (1, 500)
    assert told["dlq"]["keyed"]["purged"] == 1
    assert garner.ledger()["dlq"]["keyed"] == told["dlq"]["keyed"]


@pytest.mark.parametrize("old", [n for n in BATCHES if n > 3], indirect=True)
def test_requests_of_an_old_directory_still_count_once(old):
    garner, _, _ = old
    garner.start()
    with garner.client() as client:
        def send(number):
            return client.post_ndjson("keyed", [{"n": 1000 + number}],
                                      {"Garner-Producer": "p", "Garner-Sequence": str(number)})
        assert send(1).json()["duplicates"] == 1
        assert send(3).status == 409
        assert send(2).json()["accepted"] == 1
        said = client.post_ndjson("keyed", [{"n": 2000}], {"Idempotency-Key": "k"}).json()
    assert said["accepted"] == 1
    assert_balanced(garner.ledger())


def test_an_old_directory_goes_on_and_is_sealed(old):
    garner, told, _ = old
    garner.start()
    batch = [{"n": n, "k": str(n % 7), "pad": "y" * 1000} for n in range(1000)]
    with garner.client() as client:
        for _ in range(40):
            assert client.post_ndjson("events", batch).json()["accepted"] == 1000
    until(lambda: re.search(r"^garner_log_seal_files_total [1-9]", garner.metrics(), re.M),
          "a file to be sealed")
    garner.kill()
    garner.start()
    assert_balanced(garner.wait_delivered("files"))
    assert garner.ledger()["topics"]["events"]["accepted"] == \
        told["topics"]["events"]["accepted"] + 40000
    assert len(consumed(garner, "events")) == told["topics"]["events"]["accepted"] + 40000
