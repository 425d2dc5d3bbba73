"""Producers that remember every answer, and the comparison of what they know with what is there."""
import collections
import http.client
import json
import re
import threading

from lib.client import Client
from lib.server import assert_balanced
from lib.wait import until

FILE_NAME = re.compile(r"(?P<topic>.+)-(?P<partition>\d+)-(?P<first>\d{20})-(?P<last>\d{20})"
                       r"\.ndjson")


class Producers:
    """Threads that each send one batch after another over a connection of their own.

    A batch that got no answer, or a 503, is sent again, unchanged, until it is answered; so its
    records may be in the log more than once. Record ids are `worker/batch/index`; the field
    `worker` is meant to be the topic's key, so that a worker's records keep their order.
    `broken_every`: every n-th record of a worker is a line that is no JSON.
    `once`: the topic's idempotency key is `id`, so that its records are in the log once, however
    often they were sent; every third batch is sent again although it was answered.
    `schema`: the topic has SCHEMA; every second of the broken lines is JSON that does not fit it.
    `named`: the same without a key in the topic, by how requests are named: each worker is a
    producer whose batches are numbered ("number"), or each batch has an Idempotency-Key ("key").
    """

    SCHEMA = {"type": "object", "required": ["id", "worker", "pad"], "additionalProperties": False,
              "properties": {"id": {"type": "string", "pattern": "^[0-9]+/[0-9]+/[0-9]+$"},
                             "worker": {"type": "string"}, "pad": {"type": "string"}}}

    def __init__(self, port, topic="events", workers=4, records=20, pad=100, broken_every=0,
                 once=False, schema=False, named=None):
        self.once = once or named is not None
        self.schema, self.named = schema, named
        self.broken = 0    # in batches that were answered, each counted once
        self.repeated = 0  # duplicates in answers
        self.port, self.topic = port, topic
        self.records, self.pad, self.broken_every = records, "x" * pad, broken_every
        self.sent = collections.Counter()  # id: how often
        self.acknowledged = set()          # ids
        self.broken_sent = 0
        self.broken_acknowledged = 0
        self.answers = 0
        self.unexpected = []
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run, args=(n,), daemon=True)
                        for n in range(workers)]

    def start(self):
        for thread in self.threads:
            thread.start()
        return self

    def wait_answers(self, more, seconds=30):
        """Waits until `more` further batches have been answered."""
        goal = self.answers + more
        until(lambda: self.answers >= goal or self.unexpected, f"{more} more answers", seconds)
        assert not self.unexpected, self.unexpected[0]

    def stop(self, seconds=60):
        """Lets every worker end its batch; the server has to be there. No batch is left open."""
        self.stopping.set()
        for thread in self.threads:
            thread.join(seconds)
            assert not thread.is_alive(), "a producer got no answer to its last batch"
        assert not self.unexpected, self.unexpected[0]

    def make(self, worker, number):
        """The ids and the lines of a batch, and how many of the lines are broken."""
        ids, lines, broken = [], [], 0
        for index in range(self.records):
            name = f"{worker}/{number}/{index}"
            text = json.dumps({"id": name, "worker": str(worker), "pad": self.pad})
            position = number * self.records + index + 1
            if self.broken_every and position % self.broken_every == 0:
                if self.schema and position // self.broken_every % 2:
                    text = json.dumps({"id": name, "worker": str(worker), "pad": position})
                else:
                    text = text[:-2]
                lines.append(text.encode())
                broken += 1
            else:
                ids.append(name)
                lines.append(text.encode())
        return ids, lines, broken

    def run(self, worker):
        with Client(self.port, timeout=20) as client:
            number = 0
            while not self.stopping.is_set() and not self.unexpected:
                ids, lines, broken = self.make(worker, number)
                for _ in range(2 if self.once and number % 3 == 0 else 1):
                    while not self.send(client, ids, lines, broken, self.name(worker, number)):
                        self.stopping.wait(0.003)
                with self.lock:
                    self.broken += broken
                number += 1

    def name(self, worker, number):
        """The header fields that name a batch."""
        if self.named == "number":
            return {"Garner-Producer": f"worker/{worker}", "Garner-Sequence": str(number)}
        return {"Idempotency-Key": f"{worker}-{number}"} if self.named == "key" else {}

    def is_right(self, said, count, broken):
        """Whether it is what may be answered to a batch: it is a commit, so that all of it was
        there before, or nothing."""
        told = said.get("accepted"), said.get("duplicates"), said.get("dead_lettered")
        if self.named == "number":
            return told in ((count, 0, broken), (0, count + broken, 0))
        return told in ((count, 0, broken), (0, count if self.once else 0, broken))

    def send(self, client, ids, lines, broken, name):
        """True when it is answered."""
        with self.lock:
            self.sent.update(ids)
            self.broken_sent += broken
        try:
            answer = client.post_ndjson(self.topic, lines, name)
        except (OSError, http.client.HTTPException):
            return False
        if answer.status == 503:
            return False
        with self.lock:
            said = answer.json() if answer.status == 200 else {}
            self.repeated += said.get("duplicates", 0)
            if not self.is_right(said, len(ids), broken):
                self.unexpected.append(f"batch of {len(ids)} and {broken} broken: {answer}")
            self.acknowledged.update(ids)
            self.broken_acknowledged += broken
            self.answers += 1
        return True


def assert_ranges_whole(garner, path):
    """The files' names leave no offset out and none is in two; each holds as many lines as its
    name says. Returns the lines of each partition in the order of their offsets."""
    found = collections.defaultdict(list)
    for file in garner.sink_files(path):
        name = FILE_NAME.fullmatch(file.name)
        assert name, f"{file}: not a name of a complete file"
        found[name["topic"], int(name["partition"])].append(
            (int(name["first"]), int(name["last"]), file))
    lines = {}
    for place, files in found.items():
        following, lines[place] = 0, []
        for first, last, file in sorted(files):
            assert first == following, f"{file}: expected to begin at {following}"
            data = file.read_bytes()
            assert data.endswith(b"\n"), f"{file} does not end with a newline"
            here = data[:-1].split(b"\n")
            assert len(here) == last - first + 1, f"{file} holds {len(here)} lines"
            lines[place] += here
            following = last + 1
    return lines


def assert_all_there_once(garner, producers, sink="files", path="out"):
    """What stopped producers know against the sink's files and the ledger: nothing acknowledged is
    missing, nothing is there that was not sent, nothing more often than it was sent, and files
    and ledger count the same, so that what the log has once, the files have once."""
    ledger = garner.wait_delivered(sink)
    assert_balanced(ledger)
    by_partition = assert_ranges_whole(garner, path)
    there = collections.Counter()
    for place, lines in by_partition.items():
        at = collections.defaultdict(lambda: (-1, -1))
        for line in lines:
            record = json.loads(line)
            there[record["id"]] += 1
            worker, batch, index = record["id"].split("/")
            assert record["worker"] == worker
            assert int(batch) >= at[worker][0], f"{place}: {record['id']} comes late"
            at[worker] = (int(batch), int(index))
    missing = producers.acknowledged - there.keys()
    assert not missing, f"{len(missing)} acknowledged and missing: {sorted(missing)[:5]}"
    strange = {n: count for n, count in there.items() if count > producers.sent[n]}
    assert not strange, f"more often there than sent: {list(strange.items())[:5]}"
    if producers.once:
        again = {n: count for n, count in there.items() if count != 1}
        assert not again, f"more than once there: {list(again.items())[:5]}"
        assert there.keys() == set(producers.sent), "every batch was answered in the end"
    row = ledger["topics"][producers.topic]
    assert row["duplicates"] >= producers.repeated
    assert producers.once or row["duplicates"] == 0
    assert row["accepted"] == sum(there.values())
    if producers.named:
        assert row["dead_lettered"] == producers.broken
    else:
        assert producers.broken_acknowledged <= row["dead_lettered"] <= producers.broken_sent
    assert ledger["dlq"][producers.topic]["held"] == row["dead_lettered"]
    return ledger
