"""`garner groups` against a real server, with real consumers: what they have read is shown, set
back and forward while nobody is in the group, and deleted."""
import contextlib
import json
import subprocess

import pytest

from lib.server import assert_balanced, run
from lib.wait import until


def groups(garner, *words, code=0):
    done = run("groups", *words, "--server", f"127.0.0.1:{garner.kafka_port}")
    assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
    return done


def listed(garner):
    found = json.loads(groups(garner, "list", "--json").stdout)["groups"]
    return {one["group"]: one for one in found}


def described(garner, group="readers", code=0):
    return json.loads(groups(garner, "describe", group, "--json", code=code).stdout)


def offsets(garner, group="readers"):
    return {(one["topic"], one["partition"]): one["offset"]
            for one in described(garner, group)["offsets"]}


def produce(garner, count, topic="events", *flags):
    lines = b"".join(b"%d\n" % n for n in range(count))
    done = run("produce", topic, *flags, "--server", f"127.0.0.1:{garner.kafka_port}", stdin=lines)
    assert done.returncode == 0, done.stderr


def consumer(garner, *words):
    return ["kcat", "-b", f"127.0.0.1:{garner.kafka_port}", "-G", "readers", "-q", "-X",
            "auto.offset.reset=earliest", "-X", "heartbeat.interval.ms=500", *words]


def read(garner, count, *topics):
    """A consumer of the group that reads so many records and leaves."""
    done = subprocess.run(consumer(garner, "-c", str(count), *(topics or ["events"])),
                          capture_output=True, timeout=60, check=True)
    assert len(done.stdout.splitlines()) == count, done.stderr
    until(lambda: listed(garner)["readers"]["state"] == "Empty", "the consumer has left")
    return done.stdout.split()


@contextlib.contextmanager
def member(garner):
    """A consumer of the group that stays."""
    with subprocess.Popen(consumer(garner, "events"), stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as process:
        try:
            until(lambda: listed(garner).get("readers", {}).get("state") == "Stable", "a member")
            yield
        finally:
            process.terminate()
            process.wait(60)


@pytest.fixture
def two(make_garner):
    """Two partitions with 10 records each."""
    garner = make_garner(contracts={"events": {"partitions": 2}}).start()
    for partition in ("0", "1"):
        produce(garner, 10, "events", "--partition", partition)
    return garner


def test_a_server_without_groups_lists_none(garner):
    assert listed(garner) == {}
    assert groups(garner, "list").stdout == b""
    said = groups(garner, "describe", "readers", code=1).stderr
    assert b"has no group readers; `garner groups list` names" in said
    assert b"has no group readers" in groups(garner, "delete", "readers", code=1).stderr


def test_a_group_with_a_member_is_shown_and_neither_reset_nor_deleted(two):
    with member(two):
        one = listed(two)["readers"]
        assert (one["state"], one["members"], one["type"]) == ("Stable", 1, "consumer")
        assert one["protocol"] == "range"
        until(lambda: [o["lag"] for o in described(two)["offsets"]] == [0, 0], "all is committed")
        shown = described(two)
        assert (shown["state"], shown["members"]) == ("Stable", 1)
        assert len({o["member"] for o in shown["offsets"]}) == 1
        assert shown["offsets"][0]["member"]
        assert {o["host"] for o in shown["offsets"]} == {"127.0.0.1"}
        table = groups(two, "describe", "readers").stdout.decode()
        assert "readers: Stable, 1 members, protocol range" in table and "end_offset" in table
        for words in (["reset", "readers", "--to", "earliest"],
                      ["reset", "readers", "--to", "earliest", "--dry-run"],
                      ["delete", "readers"]):
            said = groups(two, *words, code=1)
            assert b"readers has members; stop its consumers" in said.stderr
            assert said.stdout == b""
        assert set(offsets(two).values()) == {10}


def test_a_reset_is_where_consumers_go_on_also_after_a_kill(two):
    read(two, 20)
    assert offsets(two) == {("events", 0): 10, ("events", 1): 10}
    shown = json.loads(groups(two, "reset", "readers", "--to", "7", "--dry-run", "--json").stdout)
    assert shown["dry_run"] and {(o["before"], o["after"]) for o in shown["offsets"]} == {(10, 7)}
    assert set(offsets(two).values()) == {10}
    shown = json.loads(groups(two, "reset", "readers", "--to", "7", "--json").stdout)
    assert not shown["dry_run"]
    assert {(o["before"], o["after"]) for o in shown["offsets"]} == {(10, 7)}
    two.kill()
    two.start()
    assert set(offsets(two).values()) == {7}
    assert sorted(read(two, 6)) == [b"7", b"7", b"8", b"8", b"9", b"9"]
    groups(two, "reset", "readers", "--to", "earliest")
    assert set(offsets(two).values()) == {0}
    groups(two, "reset", "readers", "--to", "latest")
    assert set(offsets(two).values()) == {10}
    assert_balanced(two.ledger())


def test_a_reset_to_a_time(two):
    read(two, 20)
    groups(two, "reset", "readers", "--to", "2001-01-01T00:00:00Z")
    assert set(offsets(two).values()) == {0}
    groups(two, "reset", "readers", "--to", "2199-01-01T00:00:00Z")
    assert set(offsets(two).values()) == {10}


def test_an_offset_that_one_partition_lacks_is_told_and_the_other_set(two):
    read(two, 20)
    produce(two, 5, "events", "--partition", "1")
    done = groups(two, "reset", "readers", "--to", "12", "--json", code=1)
    assert b"events partition 0: it has the offsets 0 to 10, not 12" in done.stderr
    assert [o["after"] for o in json.loads(done.stdout)["offsets"]] == [None, 12]
    assert offsets(two) == {("events", 0): 10, ("events", 1): 12}
    assert [o["lag"] for o in described(two)["offsets"]] == [0, 3]


def test_one_topic_of_several_is_reset(make_garner):
    garner = make_garner(contracts={"events": {}, "flights": {}}).start()
    produce(garner, 4)
    produce(garner, 3, "flights")
    read(garner, 7, "events", "flights")
    assert offsets(garner) == {("events", 0): 4, ("flights", 0): 3}
    groups(garner, "reset", "readers", "--topic", "flights", "--to", "earliest")
    assert offsets(garner) == {("events", 0): 4, ("flights", 0): 0}
    groups(garner, "reset", "others", "--topic", "events", "--to", "2")
    assert offsets(garner, "others") == {("events", 0): 2}
    assert set(listed(garner)) == {"others", "readers"}
    said = groups(garner, "reset", "readers", "--topic", "nope", "--to", "latest", code=1).stderr
    assert b"has no topic nope" in said


def test_a_group_is_deleted_with_its_offsets(two):
    read(two, 20)
    assert groups(two, "delete", "readers").stdout == b"deleted readers\n"
    assert listed(two) == {}
    groups(two, "describe", "readers", code=1)
    assert len(read(two, 20)) == 20


def test_many_groups_are_listed_in_order(garner):
    produce(garner, 1)
    names = [f"group-{n:03}" for n in range(120)]
    for name in names:
        groups(garner, "reset", name, "--topic", "events", "--to", "latest")
    assert list(listed(garner)) == names
    assert {one["state"] for one in listed(garner).values()} == {"Empty"}
    assert len(groups(garner, "list").stdout.splitlines()) == 121
