"""A log that was cut, zeroed or changed where nobody should: a start refuses with the place, or
what it cuts off is the one frame at the end that nothing behind it proves."""
import json
import os
import random
import re
import shutil

import pytest

from lib.server import Garner, assert_balanced

SEED = int(os.environ.get("GARNER_TEST_SEED", random.randrange(1 << 32)))
SINK = {"files": {"type": "file", "topics": ["events"], "path": "./out", "roll": {"time": "20ms"}}}
BATCHES, BLOCK = 60, 4096
REFUSED = 74
PLACE = re.compile(r"file \d+ .*byte \d+|\d{20}\.wal .*(bytes|empty)")


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A data directory after a crash, whose last frames hold a batch each; the ids of the batches,
    all acknowledged. No sink ran."""
    garner = Garner(tmp_path_factory.mktemp("original"), config={"wal_limit": "128MiB"}).start()
    random_source = random.Random(7)
    batches = []
    with garner.client() as client:
        for batch in range(BATCHES):
            count = random_source.choice((1, 3, 40))
            records = [{"id": f"{batch}/{n}", "pad": "x" * random_source.randrange(600)}
                       for n in range(count)]
            assert client.post_json("events", records).json()["accepted"] == count
            batches.append([r["id"] for r in records])
    garner.kill()
    (wal, *_) = sorted((garner.data_dir / "wal").glob("*.wal"))
    data = wal.read_bytes()
    frames = [at for at in range(0, len(data), BLOCK) if data[at:at + 4] == b"GWAL"]
    return garner, batches, wal.name, frames


class Damaged:
    """A copy of the original, to be harmed and then started."""

    def __init__(self, original, make_garner):
        source, self.batches, self.wal_name, self.frames = original
        self.garner = make_garner(sinks=SINK, config={"wal_limit": "128MiB"})
        shutil.copytree(source.data_dir, self.garner.data_dir)
        self.wal = self.garner.data_dir / "wal" / self.wal_name

    def change(self, offset, data):
        with open(self.wal, "r+b") as file:
            file.seek(offset)
            file.write(data)

    def read(self, offset, size):
        with open(self.wal, "rb") as file:
            file.seek(offset)
            return file.read(size)

    def start(self):
        """"refused", having said where and changed nothing; or how many batches are missing at
        the end, those before being there once and in order."""
        before = self.wal.read_bytes()
        said = len(self.garner.log_text())
        self.garner.start(ready=False)
        try:
            self.garner.wait_ready()
        except AssertionError:
            assert self.garner.wait_exit() == REFUSED
            assert PLACE.search(self.garner.log_text()[said:])
            assert self.wal.read_bytes() == before
            return "refused"
        assert_balanced(self.garner.wait_delivered("files"))
        there = [json.loads(line)["id"] for line in self.garner.sink_lines("out")]
        missing = len(self.batches)
        for batch in self.batches:
            if not there:
                break
            assert there[:len(batch)] == batch
            del there[:len(batch)]
            missing -= 1
        assert not there
        return missing


@pytest.fixture
def damaged(original, make_garner):
    return Damaged(original, make_garner)


def test_without_damage_all_is_there(damaged):
    assert damaged.start() == 0


@pytest.mark.parametrize("frame", [1, 30, -2, -1])
@pytest.mark.parametrize("place", [20, 100], ids=["header", "payload"])
def test_a_flipped_bit_in_a_frame(damaged, frame, place):
    offset = damaged.frames[frame] + place
    byte, = damaged.read(offset, 1)
    damaged.change(offset, bytes([byte ^ 0x10]))
    assert damaged.start() == (1 if frame == -1 else "refused")


@pytest.mark.parametrize("keep", ["nothing", "half", "all-but-the-last", "half-of-the-last",
                                  "all-frames"])
def test_a_file_that_was_cut(damaged, keep):
    size = {"nothing": 0, "half": damaged.frames[len(damaged.frames) // 2],
            "all-but-the-last": damaged.frames[-1], "half-of-the-last": damaged.frames[-1] + 100,
            "all-frames": damaged.frames[-1] + 64 * BLOCK}[keep]
    os.truncate(damaged.wal, size)
    assert damaged.start() == "refused"


def test_a_file_that_is_gone(damaged):
    kept = damaged.wal.rename(damaged.wal.with_suffix(".kept"))
    damaged.garner.start(ready=False)
    assert damaged.garner.wait_exit() == REFUSED
    kept.rename(damaged.wal)
    assert damaged.start() == 0


def test_all_zeros(damaged):
    damaged.change(0, bytes(damaged.wal.stat().st_size))
    assert damaged.start() == "refused"


def test_frames_in_another_order(damaged):
    a, b = damaged.frames[10], damaged.frames[11]
    size = min(b - a, damaged.frames[12] - b)
    first, second = damaged.read(a, size), damaged.read(b, size)
    damaged.change(a, second)
    damaged.change(b, first)
    assert damaged.start() == "refused"


def test_what_lies_behind_the_last_frame_does_not_matter(damaged):
    end = damaged.frames[-1] + 16 * BLOCK
    damaged.change(end, os.urandom(1 << 20))
    damaged.change(end + (1 << 20), damaged.read(damaged.frames[3], 2 * BLOCK))
    assert damaged.start() == 0


@pytest.mark.parametrize("run", range(24))
def test_anywhere(damaged, run):
    """One random harm among the frames. Where a whole frame is left behind it, the start refuses,
    or the harm was in bytes that mean nothing; where none is, nothing can tell it from the end of
    what a crash cut short, and what comes before it is there. Undone, all is there."""
    print(f"GARNER_TEST_SEED={SEED}")
    random_source = random.Random(SEED * 1000 + run)
    end = damaged.frames[-1] + 12 * BLOCK
    offset = random_source.randrange(end)
    size = random_source.choice((1, 1, 1, 16, 512, BLOCK, 5 * BLOCK, end - offset))
    whole = damaged.read(offset, size)
    kind = random_source.choice(("flip", "zero", "noise", "old"))
    if kind == "flip":
        harm = bytes([whole[0] ^ 1 << random_source.randrange(8)])
    elif kind == "zero":
        harm = bytes(size)
    elif kind == "noise":
        harm = random_source.randbytes(size)
    else:
        harm = damaged.read(random_source.choice(damaged.frames), size)
    damaged.change(offset, harm)
    print(f"{kind} of {len(harm)} bytes at {offset}")
    outcome = damaged.start()
    if outcome == "refused":
        damaged.change(offset, whole[:len(harm)])
        assert damaged.start() == 0
    elif outcome > 0:
        first_harmed = max(at for at in damaged.frames if at <= offset)
        assert offset + len(harm) > damaged.frames[-1]
        assert outcome <= sum(at >= first_harmed for at in damaged.frames)
