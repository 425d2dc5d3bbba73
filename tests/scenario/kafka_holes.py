"""Batches with holes, from the door through segments: what is left of them is there once, under the
offsets that it came with, for every reader and after every start."""
import json
import subprocess

import pytest

from lib.kafka_batch import Connection, batch
from lib.server import assert_balanced, run
from lib.wait import until

FILE_SINK = {"type": "file", "topics": ["events"], "path": "./out", "roll": {"time": "50ms"}}
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}}
# Files of the log are small, so that some are sealed while others are written.
SMALL = {"wal_limit": "32MiB", "check_every": "1s"}
PAD = "x" * 400
COUNT = 60000
BROKEN = json.dumps({"n": "x", "pad": PAD}).encode() + b"\n"


def kcat(garner, *words, stdin=b""):
    return subprocess.run(["kcat", "-b", f"127.0.0.1:{garner.kafka_port}", *map(str, words)],
                          input=stdin, capture_output=True, timeout=120, check=True).stdout


def line(n):
    """Each fifth has no integer, each seventh repeats the key of the one before."""
    value = str(n) if n % 5 == 3 else n
    return json.dumps({"id": n - (n % 7 == 6), "n": value, "pad": PAD}).encode()


def is_left(n):
    """Broken ones claim no key: what repeats the key of one is the first of it."""
    return n % 5 != 3 and not (n % 7 == 6 and (n - 1) % 5 != 3)


def produce(garner, numbers, codec):
    kcat(garner, "-P", "-t", "events", "-p", 0, "-z", codec,
         stdin=b"".join(line(n) + b"\n" for n in numbers))


def check(garner, wanted):
    """All readers have these numbers; each stands at its own offset."""
    text = kcat(garner, "-C", "-t", "events", "-o", "beginning", "-e", "-q", "-f", "%o %s\n")
    read = [(int(offset), int(json.loads(value)["n"])) for offset, value in
            (row.split(b" ", 1) for row in text.splitlines())]
    assert read == [(n, n) for n in wanted]
    lines = run("consume", "events", "--server", f"127.0.0.1:{garner.admin_port}").stdout
    assert [json.loads(row)["n"] for row in lines.splitlines()] == wanted
    # From a hole on, the next one that is there is read.
    for hole in (3, 6, 33333, COUNT - 2):
        row = kcat(garner, "-C", "-t", "events", "-o", hole, "-c", 1, "-q", "-f", "%o\n")
        assert int(row) == next(n for n in wanted if n >= hole)
    ledger = garner.wait_delivered("files")
    assert_balanced(ledger)
    assert ledger["topics"]["events"] | {"damaged": 0} == {
        "received": COUNT, "accepted": len(wanted), "damaged": 0, "refused": 0,
        "duplicates": sum(not is_left(n) and n % 5 != 3 for n in range(COUNT)),
        "dead_lettered": sum(n % 5 == 3 for n in range(COUNT))}
    assert sorted(json.loads(row)["n"] for row in garner.sink_lines("out")) == wanted


def metric(garner, name):
    return next(float(row.split()[1]) for row in garner.metrics().splitlines()
                if row.startswith(name + " "))


def wait_checked(garner):
    """The log has looked at all that it holds, and it is what was written."""
    seen = metric(garner, "garner_log_check_completed_timestamp_seconds")
    until(lambda: metric(garner, "garner_log_check_completed_timestamp_seconds") > seen,
          "a whole check", 60)
    assert metric(garner, "garner_log_check_differences") == 0


@pytest.mark.parametrize("stored", ["none", "zstd"])
def test_what_is_left_of_batches_is_there_once_under_its_offset(make_garner, stored):
    garner = make_garner(sinks={"files": FILE_SINK}, config=SMALL, contracts={"events": {
        "schema": {"type": "jsonschema", "file": "s.json"}, "compression": stored,
        "dedup": {"key": "id", "window": "1h"}}})
    (garner.folder / "contracts" / "s.json").write_text(json.dumps(SCHEMA))
    garner.start()
    wanted = [n for n in range(COUNT) if is_left(n)]
    codecs = ["none", "lz4", "zstd"]
    for i in range(6):
        produce(garner, range(i * COUNT // 6, (i + 1) * COUNT // 6), codecs[i % 3])
        if i == 2:
            garner.kill()
            garner.start()
    check(garner, wanted)
    garner.kill()
    garner.start()
    check(garner, wanted)
    assert metric(garner, "garner_log_segments") > 0
    wait_checked(garner)
    garner.stop()
    found = run("fsck", garner.data_dir)
    assert found.returncode == 0, found.stdout
    garner.start()
    check(garner, wanted)


def test_a_damaged_batch_with_holes_is_written_off_by_its_true_count(make_garner):
    garner = make_garner(contracts={"events": {
        "schema": {"type": "jsonschema", "file": "s.json"}}}, config={"wal_limit": "128MiB"})
    (garner.folder / "contracts" / "s.json").write_text(json.dumps(SCHEMA))
    garner.start()
    kcat(garner, "-P", "-t", "events", "-X", "linger.ms=500",
         stdin=b'{"n":1,"here":"it breaks"}\n{"n":"x"}\n{"n":3}\n')
    kcat(garner, "-P", "-t", "events", stdin=b'{"n":4}\n')
    garner.kill()
    path = min(garner.data_dir.glob("wal/*.wal"))
    data = bytearray(path.read_bytes())
    data[data.index(b"it breaks")] ^= 1
    path.write_bytes(data)
    found = run("fsck", garner.data_dir, "--json")
    lost, = [row for row in json.loads(found.stdout)["errors"] if row["code"] == "lost"]
    assert (lost["first_offset"], lost["end_offset"], lost["records"]) == (0, 3, 2)
    assert "at_most" not in lost
    assert run("fsck", garner.data_dir, "--repair").returncode == 1
    assert run("fsck", garner.data_dir).returncode == 0
    garner.start()
    ledger = garner.ledger()
    assert_balanced(ledger)
    assert ledger["topics"]["events"] == {"received": 4, "accepted": 1, "duplicates": 0,
                                          "dead_lettered": 1, "refused": 0, "damaged": 2}
    assert kcat(garner, "-C", "-t", "events", "-o", "beginning", "-e", "-q",
                "-f", "%o %s\n") == b'3 {"n":4}\n'


def test_the_ledger_balances_while_a_sink_is_among_holes(make_garner):
    """In segments nobody knows from memory which offsets are holes; the sink does."""
    garner = make_garner(config=SMALL, contracts={"events": {
        "schema": {"type": "jsonschema", "file": "s.json"}}})
    (garner.folder / "contracts" / "s.json").write_text(json.dumps(SCHEMA))
    garner.start()
    good = b"".join(json.dumps({"n": n, "pad": PAD}).encode() + b"\n" for n in range(20000))
    for text in (BROKEN * 20000, good, BROKEN * 20000, good):
        kcat(garner, "-P", "-t", "events", "-p", 0, stdin=text)
    until(lambda: metric(garner, "garner_log_segments") > 0, "a segment", 60)
    garner.stop()
    garner.config["sinks"] = {"files": FILE_SINK | {"roll": {"size": "100KiB"}}}
    garner.write()
    garner.start()
    rows = []

    def is_drained():
        ledger = garner.ledger()
        assert_balanced(ledger)
        rows.append(ledger["sinks"].get("files", {"pending": 1})["pending"])
        return rows[-1] == 0
    until(is_drained, "all to be delivered", 120)
    assert any(0 < pending < 40000 for pending in rows)
    assert len(garner.sink_lines("out")) == 40000


class Producer:
    """An idempotent producer that is told where its batches lie, holes and all."""

    def __init__(self, garner):
        self.connection = Connection(garner.kafka_port)
        _, self.id, self.epoch = self.connection.init_producer_id()
        self.sequence, self.end, self.there, self.sent = 0, 0, [], []

    def put(self, kinds, named=True):
        """g is good, b has no integer, k repeats the key of the first that was good."""
        values = [json.dumps({"id": self.there[0] if kind == "k" else self.end + i,
                              "n": "x" if kind == "b" else self.end + i}).encode()
                  for i, kind in enumerate(kinds)]
        numbers = (self.id, self.epoch, self.sequence) if named else (-1, -1, -1)
        data = batch(values, *numbers)
        assert self.connection.produce("events", 0, data) == (0, self.end)
        if named:
            self.sent = (self.sent + [(data, self.end)])[-5:]
            self.sequence += len(kinds)
        self.there += [self.end + i for i, kind in enumerate(kinds) if kind == "g"]
        self.end += len(kinds)

    def repeat(self, garner):
        """What was answered is answered again, over another connection."""
        self.connection.close()
        self.connection = Connection(garner.kafka_port)
        for data, base in self.sent:
            assert self.connection.produce("events", 0, data) == (0, base)


def ends(garner):
    """Latest and earliest, as ListOffsets has them."""
    return [int(kcat(garner, "-Q", "-t", f"events:0:{at}").split()[-1]) for at in (-1, -2)]


def check_there(garner, producer):
    text = kcat(garner, "-C", "-t", "events", "-o", "beginning", "-e", "-q", "-f", "%o %s\n")
    read = [(int(offset), json.loads(value)["n"]) for offset, value in
            (row.split(b" ", 1) for row in text.splitlines())]
    assert read == [(n, n) for n in producer.there]
    assert garner.values("events") == [{"id": n, "n": n} for n in producer.there]
    assert ends(garner) == [producer.end, 0]
    ledger = garner.wait_delivered("files")
    assert_balanced(ledger)
    assert ledger["topics"]["events"]["accepted"] == len(producer.there)
    assert sorted(json.loads(row)["n"] for row in garner.sink_lines("out")) == producer.there


@pytest.mark.parametrize("stored", ["none", "zstd"])
def test_a_batch_of_which_nothing_is_left_keeps_its_offsets_and_numbers(make_garner, stored):
    garner = make_garner(sinks={"files": FILE_SINK}, config=SMALL, contracts={"events": {
        "schema": {"type": "jsonschema", "file": "s.json"}, "compression": stored,
        "dedup": {"key": "id", "window": "1h"}}})
    (garner.folder / "contracts" / "s.json").write_text(json.dumps(SCHEMA))
    garner.start()
    producer = Producer(garner)
    # Nothing at all but holes, then holes before, between and behind what is there.
    for kinds in ("bbb", "b", "g", "kk", "kb", "bkb", "ggg", "b", "bb"):
        producer.put(kinds)
        producer.put("bb", named=False)
    check_there(garner, producer)
    for way in (garner.kill, garner.stop, garner.kill):
        producer.repeat(garner)
        way()
        garner.start()
        producer.repeat(garner)
        check_there(garner, producer)
        producer.put("bk")
        producer.put("gb")
        producer.put("k")
    # Enough for the log to be sealed, and not all of it at once.
    for _ in range(4):
        kcat(garner, "-P", "-t", "events", "-p", 0, "-z", "lz4", stdin=BROKEN * 20000)
        producer.end += 20000
        producer.put("bkgbg")
    until(lambda: metric(garner, "garner_log_segments") > 0, "a segment", 60)
    check_there(garner, producer)
    garner.kill()
    garner.start()
    producer.repeat(garner)
    check_there(garner, producer)
    wait_checked(garner)
    producer.connection.close()
    garner.stop()
    found = run("fsck", garner.data_dir)
    assert found.returncode == 0, found.stdout
