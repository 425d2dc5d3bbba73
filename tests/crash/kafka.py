"""A verifying producer over the Kafka protocol, through kills of the server: what was acknowledged
is read once it is back, each partition keeps its order, and who has read all along has read the
same."""
import os
import random
import subprocess
import threading
import time

from lib.server import assert_balanced
from lib.wait import until

KILLS = 20
SEED = int(os.environ.get("GARNER_TEST_SEED", random.randrange(1 << 32)))


class Producer(threading.Thread):
    """Sends numbered records, a batch a process; what kcat says was delivered is acknowledged."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.acknowledged, self.sent, self.over = port, set(), 0, False

    def run(self):
        while not self.over:
            numbers = range(self.sent, self.sent + 200)
            self.sent += 200
            done = subprocess.run(
                ["kcat", "-b", f"127.0.0.1:{self.port}", "-P", "-t", "events", "-p", "0", "-X",
                 "message.timeout.ms=20000", "-X", "max.in.flight=1"],
                input=b"".join(b"%d\n" % n for n in numbers), capture_output=True, timeout=60,
                check=False)
            if done.returncode == 0 and b"failed" not in done.stderr:
                self.acknowledged.update(numbers)


def consume(garner, *words, **options):
    return subprocess.Popen(["kcat", "-b", f"127.0.0.1:{garner.kafka_port}", "-C", "-t", "events",
                             "-o", "beginning", "-q", "-u", "-E", "-f", "%o %s\n", *words],
                            **options)


def run_through_kills(garner, source, producer):
    """Kills and starts the server while the producer works; what is read when it has stopped."""
    for _ in range(KILLS):
        # Not a wait for anything: it is the moment.
        time.sleep(0.05 + source.random() * 0.3)
        garner.kill()
        garner.start()
        assert_balanced(garner.ledger())
    producer.over = True
    producer.join(90)
    with consume(garner, "-e", stdout=subprocess.PIPE) as reader:
        read, _ = reader.communicate(timeout=60)
    assert reader.returncode == 0
    return read


def test_what_was_acknowledged_is_there_after_kills(make_garner):
    print(f"GARNER_TEST_SEED={SEED}")
    source = random.Random(SEED)
    garner = make_garner()
    garner.start()
    producer = Producer(garner.kafka_port)
    producer.start()
    with open(garner.folder / "consumer.txt", "w+b") as seen:
        consumer = consume(garner, "-X", "reconnect.backoff.max.ms=200", stdout=seen,
                           stderr=subprocess.DEVNULL)
        try:
            read = run_through_kills(garner, source, producer)
            until(lambda: (garner.folder / "consumer.txt").read_bytes() == read,
                  "the consumer to have read what a new one reads", 60)
        finally:
            consumer.kill()
            consumer.wait()
    there = [int(line.split()[1]) for line in read.splitlines()]
    assert producer.acknowledged and producer.acknowledged <= set(there)
    # Sent again after a lost answer a record may be there again, and only behind itself.
    firsts = list(dict.fromkeys(there))
    assert firsts == sorted(firsts)
    assert_balanced(garner.ledger())
