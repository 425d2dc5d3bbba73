"""Consumer groups with librdkafka as Debian has it (2.0.2), through kcat: members share partitions,
take over from one that died, and go on where their group was."""
import os
import pathlib
import re
import signal
import subprocess

from lib.wait import until

ASSIGNED = re.compile(rb"assigned: (.*)")


class Member:
    """A `kcat -G`. What it reads and says goes to files, since it lives while the test does."""

    def __init__(self, garner, group, *words, topic="events"):
        self.folder = pathlib.Path(garner.folder)
        self.name = f"member-{len(list(self.folder.glob('member-*.out')))}"
        self.out, self.err = (self.folder / f"{self.name}.{end}" for end in ("out", "err"))
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.process = subprocess.Popen(
                ["kcat", "-b", f"127.0.0.1:{garner.kafka_port}", "-G", group, "-u", "-X",
                 "auto.offset.reset=earliest", "-X", "session.timeout.ms=6000", "-X",
                 "heartbeat.interval.ms=200", "-X", "auto.commit.interval.ms=100",
                 *map(str, words), topic],
                stdout=out, stderr=err)

    def lines(self):
        return self.out.read_bytes().splitlines()

    def assigned(self):
        """The partitions that it has, as it last said."""
        said = [line for line in self.err.read_bytes().splitlines() if b" rebalanced " in line]
        found = ASSIGNED.search(said[-1]) if said else None
        return {int(n) for n in re.findall(rb"\[(\d+)\]", found.group(1))} if found else set()

    def kill(self):
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self):
        os.kill(self.process.pid, signal.SIGTERM)
        self.process.wait(30)


def produce(garner, numbers, topic="events"):
    subprocess.run(["kcat", "-b", f"127.0.0.1:{garner.kafka_port}", "-P", "-t", topic, "-K", ":",
                    "-X", "message.timeout.ms=20000"],
                   input=b"".join(b"%d:%d\n" % (n, n) for n in numbers), timeout=60, check=True)


def wait_shared(members, partitions):
    def shared():
        parts = [member.assigned() for member in members]
        return all(parts) and sorted(n for part in parts for n in part) == list(range(partitions))
    until(shared, f"{len(members)} members to share {partitions} partitions", 60)


def committed(garner):
    found = re.search(r"^garner_log_group_offsets (\d+)", garner.metrics(), re.M)
    return int(found.group(1))


def numbers_of(*members):
    return [int(line) for member in members for line in member.lines()]


def test_members_share_partitions_and_take_over_from_one_that_was_killed(make_garner):
    garner = make_garner(contracts={"events": {"partitions": 4}}).start()
    first, second = Member(garner, "g"), Member(garner, "g")
    wait_shared([first, second], 4)
    produce(garner, range(100))
    until(lambda: len(numbers_of(first, second)) == 100, "all records to be read", 60)
    assert sorted(numbers_of(first, second)) == list(range(100))
    assert first.lines() and second.lines()
    first.kill()
    wait_shared([second], 4)
    produce(garner, range(100, 200))
    until(lambda: set(range(100, 200)) <= set(numbers_of(second)), "the rest to be read", 60)
    second.stop()


def test_one_that_leaves_is_replaced_at_once(make_garner):
    garner = make_garner(contracts={"events": {"partitions": 4}}).start()
    members = [Member(garner, "g") for _ in range(3)]
    wait_shared(members, 4)
    members.pop().stop()
    wait_shared(members, 4)
    members.append(Member(garner, "g"))
    wait_shared(members, 4)
    for member in members:
        member.stop()


def test_a_group_goes_on_where_it_was_when_server_and_members_are_gone(make_garner):
    garner = make_garner(contracts={"events": {"partitions": 2}}).start()
    produce(garner, range(50))
    member = Member(garner, "g")
    until(lambda: len(member.lines()) == 50, "all records to be read", 60)
    member.stop()
    assert committed(garner) >= 1
    garner.kill()
    garner.start()
    produce(garner, range(50, 80))
    other = Member(garner, "g")
    until(lambda: len(other.lines()) >= 30, "the rest to be read", 60)
    other.stop()
    assert sorted(numbers_of(other)) == list(range(50, 80))
    # Another group begins at the beginning.
    third = Member(garner, "another")
    until(lambda: len(third.lines()) == 80, "all to be read by another group", 60)
    third.stop()


def test_members_join_again_when_the_server_comes_back(make_garner):
    garner = make_garner(contracts={"events": {"partitions": 4}}).start()
    # kcat ends itself when all brokers are away, unless there is one that it has never seen.
    members = [Member(garner, "g", "-X", "reconnect.backoff.max.ms=200") for _ in range(2)]
    wait_shared(members, 4)
    produce(garner, range(40))
    until(lambda: len(numbers_of(*members)) == 40, "all records to be read", 60)
    garner.stop()
    garner.start()
    produce(garner, range(40, 80))
    alive = [member for member in members if member.process.poll() is None]
    alive += [Member(garner, "g") for _ in range(2 - len(alive))]
    until(lambda: set(range(80)) <= set(numbers_of(*members, *alive)), "the rest to be read", 60)
    for member in alive:
        member.stop()


def test_cooperative_and_static_members_are_served(make_garner):
    garner = make_garner(contracts={"events": {"partitions": 4}}).start()
    words = ["-X", "partition.assignment.strategy=cooperative-sticky"]
    static = Member(garner, "g", *words, "-X", "group.instance.id=one")
    produce(garner, range(20))
    until(lambda: len(static.lines()) == 20, "all records to be read", 60)
    static.kill()
    # It comes back in its own place, without waiting for the session of the old one to end.
    again = Member(garner, "g", *words, "-X", "group.instance.id=one")
    produce(garner, range(20, 40))
    until(lambda: set(range(20, 40)) <= set(numbers_of(again)), "the rest to be read", 60)
    again.stop()
