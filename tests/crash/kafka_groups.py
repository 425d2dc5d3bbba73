"""A consumer group through kills of the server: it goes on at what it had committed. Nothing that
was produced is left out, nothing before what was committed is read again."""
import os
import random
import subprocess
import time

from lib.server import assert_balanced
from lib.wait import until

KILLS = 12
SEED = int(os.environ.get("GARNER_TEST_SEED", random.randrange(1 << 32)))
PARTITIONS = 3


def produce(garner, numbers):
    subprocess.run(["kcat", "-b", f"127.0.0.1:{garner.kafka_port}", "-P", "-t", "events", "-X",
                    "partitioner=consistent", "-K", ":", "-X", "message.timeout.ms=20000"],
                   input=b"".join(b"%d:%d\n" % (n, n) for n in numbers), timeout=60, check=True)


class Reader:
    """Members of a group that read one after the other, each in a life of the server."""

    def __init__(self, garner):
        self.garner, self.process, self.lives = garner, None, []

    def start(self):
        out = open(self.garner.folder / f"reader-{len(self.lives)}.out", "wb")
        err = open(self.garner.folder / f"reader-{len(self.lives)}.err", "wb")
        self.process = subprocess.Popen(
            ["kcat", "-b", f"127.0.0.1:{self.garner.kafka_port}", "-G", "readers", "-u", "-X",
             "auto.offset.reset=earliest", "-X", "session.timeout.ms=6000", "-X",
             "auto.commit.interval.ms=50", "-f", "%p %o %s\n", "events"], stdout=out, stderr=err)
        self.lives.append(out.name)
        out.close()
        err.close()

    def read(self, life):
        """(partition, offset, value) of whole lines."""
        with open(self.lives[life], "rb") as file:
            return [tuple(map(int, line.split())) for line in file if line.endswith(b"\n")]

    def kill(self):
        self.process.kill()
        self.process.wait()


def test_a_group_goes_on_at_what_it_had_committed(make_garner):
    print(f"GARNER_TEST_SEED={SEED}")
    source = random.Random(SEED)
    garner = make_garner(contracts={"events": {"partitions": PARTITIONS}})
    garner.start()
    reader, sent = Reader(garner), 0
    reached = [0] * PARTITIONS
    for life in range(KILLS):
        produce(garner, range(sent, sent + 60))
        sent += 60
        reader.start()
        until(lambda: reader.read(life), "the group to read", 60)
        # Not a wait for anything: it is the moment, within reading, committing, or behind it.
        time.sleep(source.random() * 0.3)
        garner.kill()
        reader.kill()
        garner.start()
        assert_balanced(garner.ledger())
        starts = {}
        for partition, offset, _ in reader.read(life):
            starts.setdefault(partition, offset)
        for partition, start in starts.items():
            # Where the group begins is where it had come to, at the most: none is left out.
            assert start <= reached[partition]
        for partition, offset, _ in reader.read(life):
            reached[partition] = max(reached[partition], offset + 1)
    reader.start()
    until(lambda: {value for life in range(len(reader.lives))
                   for _, _, value in reader.read(life)} == set(range(sent)),
          "everything to be read by some life of the group", 60)
    reader.kill()


def test_what_was_committed_before_a_kill_is_not_read_again(make_garner):
    garner = make_garner(contracts={"events": {"partitions": PARTITIONS}})
    garner.start()
    reader = Reader(garner)
    for life in range(4):
        produce(garner, range(life * 50, life * 50 + 50))
        reader.start()
        until(lambda: len(reader.read(life)) == 50, "the group to read", 60)
        # A member that leaves in good order has committed all, and had its answer.
        reader.process.terminate()
        assert reader.process.wait(30) == 0
        garner.kill()
        garner.start()
        assert sorted(value for _, _, value in reader.read(life)) == \
            list(range(life * 50, life * 50 + 50))
