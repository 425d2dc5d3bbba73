"""A data directory that was harmed: fsck names the place and what it means, keeps what is whole,
and the server goes on with it."""
import hashlib
import json
import shutil

import pytest

from lib.server import Garner, run
from lib.wait import until

SMALL = {"wal_limit": "128MiB"}
SINK = {"files": {"type": "file", "topics": ["events"], "path": "./out", "roll": {"time": "50ms"}}}
# More than two files of a small log: what is in the first ones is sealed.
ROUNDS, ROUND = 40, 1000
RECORDS = ROUNDS * ROUND
CLEAN, CORRECTED, LEFT, FAILED, USAGE = 0, 1, 4, 8, 64
BLOCK = 4096


def lines(round_number):
    return [json.dumps({"n": round_number * ROUND + n, "pad": "x" * 1000}).encode()
            for n in range(ROUND)]


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A data directory after a crash, with segments, checkpoints and frames behind them."""
    garner = Garner(tmp_path_factory.mktemp("original"), config=SMALL).start()
    with garner.client() as client:
        for number in range(ROUNDS):
            assert client.post_ndjson("events", lines(number)).json()["accepted"] == ROUND
        # One before sealing begins, one for each full file: both that are kept name a segment.
        until(lambda: "garner_log_checkpoints_total 3\n" in garner.metrics(), "checkpoints")
        # What comes behind it is in frames alone.
        for number in range(10):
            assert client.post_json("events", [{"n": RECORDS + number}]).json()["accepted"] == 1
    garner.kill()
    return garner


class Harmed:
    """A copy of the original, to be harmed, checked, repaired and served."""

    def __init__(self, original, make_garner):
        self.garner = make_garner(config=SMALL)
        shutil.copytree(original.data_dir, self.garner.data_dir)
        self.directory = self.garner.data_dir
        self.expected = RECORDS + 10

    def segments(self):
        return sorted(self.directory.glob("topics/*/0/*.log"))

    def frames(self):
        """The places of the newest frames, in their order: (lsn, file, byte)."""
        found = []
        for path in sorted(self.directory.glob("wal/*.wal")):
            data = path.read_bytes()
            for at in range(0, len(data), BLOCK):
                number = int.from_bytes(data[at + 80:at + 88], "little")
                if data[at:at + 4] == b"GWAL" and number == int(path.stem):
                    found.append((int.from_bytes(data[at + 32:at + 40], "little"), path, at))
        return sorted(found)

    @staticmethod
    def flip(path, offset):
        with open(path, "r+b") as file:
            file.seek(offset)
            byte = file.read(1)[0]
            file.seek(offset)
            file.write(bytes([byte ^ 0x10]))

    def fsck(self, *flags, code):
        done = run("fsck", self.directory, "--json", *flags)
        assert done.returncode == code, done
        return json.loads(done.stdout)

    def digest(self):
        return {str(p): hashlib.sha1(p.read_bytes()).hexdigest()
                for p in sorted(self.directory.rglob("*")) if p.is_file()}

    def repair_and_serve(self, lost):
        """The repair, a second look, and a server on it that knows what is gone."""
        said = self.fsck("--repair", code=CORRECTED)
        assert said["repaired"] and said["acts"]
        assert any(self.directory.glob("fsck-*"))
        again = self.fsck(code=CLEAN)
        row = again["topics"]["events"]
        assert row["accepted"] == row["on_disk"] == self.expected - lost
        assert row["damaged"] == lost and row["balanced"]
        self.garner.config["sinks"] = SINK
        self.garner.write()
        self.garner.start()
        with self.garner.client() as client:
            assert client.post_json("events", [{"n": "new"}]).json()["accepted"] == 1
        ledger = self.garner.wait_delivered("files")
        assert ledger["balanced"] is True
        topic = ledger["topics"]["events"]
        assert topic["damaged"] == lost
        assert topic["received"] == topic["accepted"] + lost == self.expected + 1
        there = [json.loads(line)["n"] for line in self.garner.sink_lines("out")]
        assert len(there) == len(set(there)) == self.expected + 1 - lost
        assert [n for n in there if n != "new"] == sorted(n for n in there if n != "new")
        return said


@pytest.fixture
def harmed(original, make_garner):
    return Harmed(original, make_garner)


def test_what_nobody_harmed_is_clean_and_counted_again(harmed):
    before = harmed.digest()
    said = harmed.fsck(code=CLEAN)
    assert said["clean"] and said["errors"] == [] and said["acts"] == []
    assert said["segments"] >= 1 and said["checkpoint_lsn"] > 0
    row = said["topics"]["events"]
    assert row["accepted"] == row["on_disk"] == harmed.expected and row["balanced"]
    done = run("fsck", harmed.directory)
    assert done.returncode == CLEAN and b"nothing is wrong" in done.stdout
    assert harmed.digest() == before


def test_a_byte_of_a_segment_costs_its_batch_and_no_more(harmed):
    segment = harmed.segments()[0]
    harmed.flip(segment, segment.stat().st_size // 2)
    before = harmed.digest()
    said = harmed.fsck(code=LEFT)
    damaged, lost = said["errors"]
    assert damaged["code"] == "segment_damaged" and damaged["path"].endswith(segment.name)
    assert damaged["first_byte"] <= segment.stat().st_size // 2 < damaged["end_byte"]
    assert (lost["code"], lost["topic"], lost["partition"]) == ("lost", "events", 0)
    assert 0 < lost["records"] == lost["end_offset"] - lost["first_offset"] <= ROUND
    assert harmed.digest() == before
    harmed.repair_and_serve(lost["records"])


def test_a_byte_of_a_frame_that_a_start_refuses_costs_its_batch(harmed):
    _, path, at = harmed.frames()[-4]
    harmed.flip(path, at + 190)
    harmed.garner.start(ready=False)
    assert harmed.garner.wait_exit() == 74
    said = harmed.fsck(code=LEFT)
    assert {"wal_damaged", "lost"} == {finding["code"] for finding in said["errors"]}
    assert said["lost_records"] == 1
    harmed.repair_and_serve(1)


def test_garner_meta_an_index_and_a_checkpoint_are_made_again_without_loss(harmed):
    (harmed.directory / "garner.meta").unlink()
    harmed.segments()[0].with_suffix(".index").unlink()
    harmed.flip(sorted(harmed.directory.glob("checkpoint/*.ckpt"))[-1], 200)
    assert {finding["code"] for finding in harmed.fsck(code=LEFT)["errors"]} == \
        {"meta_wrong", "index_wrong", "checkpoint_damaged"}
    harmed.repair_and_serve(0)


def test_what_can_be_read_is_exported_whatever_is_damaged(harmed, tmp_path):
    segment = harmed.segments()[0]
    harmed.flip(segment, 1000)
    before = harmed.digest()
    said = harmed.fsck("--export", tmp_path / "rescued", code=LEFT)
    records = [json.loads(line) for line in
               (tmp_path / "rescued" / "events-0.jsonl").read_text().splitlines()]
    assert len(records) == said["exported_records"] == harmed.expected - said["lost_records"]
    assert [r["offset"] for r in records] == sorted({r["offset"] for r in records})
    assert all(r["value"]["n"] == r["offset"] for r in records)
    assert harmed.digest() == before
    # Not over something that is there.
    done = run("fsck", harmed.directory, "--export", tmp_path / "rescued")
    assert done.returncode == FAILED and b"not empty" in done.stderr


def test_a_directory_that_a_server_has_is_left_alone(make_garner):
    server = make_garner().start()
    for flags in ([], ["--repair"]):
        done = run("fsck", server.data_dir, *flags)
        assert done.returncode == FAILED and b"in use" in done.stderr
    assert server.stop() == 0
    assert run("fsck", server.data_dir).returncode == CLEAN


def test_what_is_no_data_directory_is_said(tmp_path):
    for name in ("missing", "."):
        done = run("fsck", tmp_path / name)
        assert done.returncode == FAILED and done.stderr
    assert list(tmp_path.iterdir()) == []
    assert run("fsck").returncode == USAGE
    assert run("fsck", tmp_path, "--repair", "--export", tmp_path / "x").returncode == USAGE
