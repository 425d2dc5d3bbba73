"""The server dies by SIGKILL at named points of its work with the disk, while producers send."""
import signal

import pytest

from lib.producer import Producers, assert_all_there_once
from lib.server import assert_balanced

CONTRACT = {"events": {"partitions": 3, "key": "worker"}}
SINK = {"files": {"type": "file", "topics": ["events"], "path": "./out/{topic}/{partition}",
                  "roll": {"size": "64MiB", "time": "50ms"}}}


def die_and_recover(make_garner, faults, contract=None, **producer):
    """A server that dies at each of `faults` in turn, always on what the one before left; then one
    without. What the producers know is compared with what is there."""
    contracts = {"events": {**CONTRACT["events"], **(contract or {})}}
    garner = make_garner(contracts=contracts, sinks=SINK, config={"wal_limit": "128MiB"})
    producers = Producers(garner.intake_port, broken_every=37, **producer).start()
    for fault in faults:
        garner.start(env={"GARNER_FAULT": fault}, ready=False)
        assert garner.wait_exit() == -signal.SIGKILL, fault
    garner.start()
    assert_balanced(garner.ledger())
    producers.wait_answers(10)
    producers.stop()
    assert_all_there_once(garner, producers)


@pytest.mark.parametrize("moment", ["before:write", "during:write", "after:write",
                                    "before:sync", "after:sync"])
def test_commit(make_garner, moment):
    die_and_recover(make_garner, [f"kill:{moment}:wal/:{n}" for n in (15, 40, 90, 25)])


# A new directory makes its first file and a spare; the third is made once the first is full.
@pytest.mark.parametrize("moment, numbers", [
    ("before:write", (1, 6, 5)), ("during:write", (2, 7, 6)), ("after:write", (4, 5, 8)),
    ("before:sync", (1, 2, 2)), ("after:sync", (1, 2, 2)),
    ("before:rename", (1, 2, 2)), ("after:rename", (1, 2, 2))])
def test_making_the_next_log_file(make_garner, moment, numbers):
    die_and_recover(make_garner, [f"kill:{moment}:.wal.making:{n}" for n in numbers],
                    records=400, pad=1000)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_syncing_the_directory_of_the_log(make_garner, moment):
    die_and_recover(make_garner, [f"kill:{moment}:syncdir:/wal:{n}" for n in (1, 2, 2)],
                    records=400, pad=1000)


@pytest.mark.parametrize("call", ["open", "write", "sync", "rename", "syncdir"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_identity_of_the_data_directory(make_garner, moment, call):
    path = "/data" if call == "syncdir" else "garner.meta"
    die_and_recover(make_garner, [f"kill:{moment}:{call}:{path}:1"] * 2)


@pytest.mark.parametrize("moment", ["before:open", "before:write", "during:write", "after:write",
                                    "before:sync", "after:sync", "after:close"])
def test_a_sink_preparing_an_epoch(make_garner, moment):
    die_and_recover(make_garner, [f"kill:{moment}:out.inprogress/:{n}" for n in (1, 8, 3)])


# Directories are made once, so the third process has few of them left to make.
@pytest.mark.parametrize("moment, numbers", [
    ("before:mkdir", (1, 2, 2)), ("after:mkdir", (1, 1, 1)),
    ("before:rename", (1, 8, 3)), ("after:rename", (1, 8, 3)),
    ("before:syncdir", (1, 8, 3)), ("after:syncdir", (1, 8, 3))])
def test_a_sink_publishing_an_epoch(make_garner, moment, numbers):
    die_and_recover(make_garner, [f"kill:{moment}:/out/:{n}" for n in numbers])


# A file of the log is 16 MiB here and is sealed once it is full. What the one before had not done
# with it the next process does at its start, so that the numbers are small.
@pytest.mark.parametrize("moment, numbers", [
    ("before:mkdir", (1, 2, 2)), ("after:mkdir", (1, 1, 2)), ("before:open", (1, 3, 5)),
    ("before:write", (1, 4, 2)), ("during:write", (1, 3, 2)), ("after:write", (1, 5, 3))])
def test_appending_to_segments(make_garner, moment, numbers):
    die_and_recover(make_garner, [f"kill:{moment}:/topics/:{n}" for n in numbers],
                    contract={"compression": "lz4"}, records=400, pad=1000)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_flushing_segments(make_garner, moment):
    die_and_recover(make_garner, [f"kill:{moment}:syncall::{n}" for n in (1, 1, 2)],
                    records=400, pad=1000)


@pytest.mark.parametrize("moment", ["before:write", "during:write", "after:write", "before:sync",
                                    "after:sync", "before:rename", "after:rename",
                                    "before:syncdir", "after:syncdir"])
def test_writing_a_checkpoint(make_garner, moment):
    die_and_recover(make_garner, [f"kill:{moment}:checkpoint:{n}" for n in (1, 1, 2)],
                    records=400, pad=1000)


# The third checkpoint is the first that takes another's place.
@pytest.mark.parametrize("moment", ["before", "after"])
def test_removing_an_old_checkpoint(make_garner, moment):
    die_and_recover(make_garner, [f"kill:{moment}:remove:.ckpt:{n}" for n in (1, 1, 2)],
                    records=400, pad=1000)


# A file of an old one: files 1 to 3 are made anew, and what is renamed then is used again.
@pytest.mark.parametrize("moment", ["before:rename", "after:rename", "before:syncdir",
                                    "after:syncdir"])
def test_using_a_log_file_again(make_garner, moment):
    die_and_recover(make_garner, [f"kill:{moment}:/wal:{n}" for n in (5, 2, 3, 4)],
                    records=400, pad=1000)


@pytest.mark.parametrize("moment", ["before:remove", "after:remove", "before:syncdir",
                                    "after:syncdir"])
def test_removing_expired_segments(make_garner, moment):
    die_and_recover(make_garner, [f"kill:{moment}:/topics/:{n}" for n in (1, 2)],
                    contract={"retention": {"size": "1MiB"}}, records=400, pad=1000)


def test_recovery_itself(make_garner):
    """Killed by itself, again and again, at each of the calls that a start makes."""
    faults = ["kill:before:sync:wal/:60"]
    for n in range(1, 12):
        faults += [f"kill:{'before' if n % 2 else 'after'}:any:/wal:{n}"]
    die_and_recover(make_garner, faults)
