"""Contracts that take records out of batches, or all of them, and other people's clients: each
reads past holes, also behind the last record, and is told of its own records what became of them.
"""
import json
import time

import pytest

from lib.kafka_batch import Connection, batch
from lib.kafka_clients import CODECS, DRIVERS
from lib.server import assert_balanced, run
from lib.wait import until

READERS = [name for name in DRIVERS if name != "kafkajs"]  # which reads in groups only
TELLING = [name for name in READERS if name not in ("franz-go", "sarama")]  # where they are
INVALID_RECORD = 87
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}}


def good(number):
    return b'{"n":%d}' % number


def broken(number):
    return b'{"n":"%d"}' % number


def with_contract(make_garner, **fields):
    garner = make_garner(contracts={"events": {
        "schema": {"type": "jsonschema", "file": "s.json"}, **fields}})
    (garner.folder / "contracts" / "s.json").write_text(json.dumps(SCHEMA))
    return garner.start()


class Log:
    """Batches of one partition by what their records are: g is good, b is broken."""

    def __init__(self, garner):
        self.connection = Connection(garner.kafka_port)
        self.there, self.end = [], 0

    def put(self, *batches):
        for kinds in batches:
            values = [(good if kind == "g" else broken)(self.end + i)
                      for i, kind in enumerate(kinds)]
            self.connection.send_batch("events", 0, batch(values))
            self.there += [(self.end + i, value) for i, value in enumerate(values)
                           if kinds[i] == "g"]
            self.end += len(kinds)
        answers = [self.connection.receive_batch() for _ in batches]
        assert answers[-1] == (0, self.end - len(batches[-1])), answers


def metric(garner, name):
    found = [line for line in garner.metrics().splitlines() if line.startswith(name + " ")]
    return int(float(found[0].split()[-1])) if found else 0


def fetches(garner):
    return metric(garner, 'garner_kafka_requests_total{api="fetch"}')


def kept(records):
    return [(r["offset"], r["value"]) for r in records]


def test_every_client_reads_past_holes(drivers, make_garner):
    garner = with_contract(make_garner)
    log = Log(garner)
    for kinds in ("gbg", "bgg", "ggb", "bbb", "gbb", "bbg"):
        log.put(kinds)
    for name in READERS:
        client = drivers.at(garner, name)
        log.put("gb")
        hole = log.end - 1
        for start in (0, 1, 5):
            wanted = [w for w in log.there if w[0] >= start]
            read = client.consume("events", len(wanted), offsets=[(0, start)])
            assert [(r["offset"], r["value"]) for r in read] == wanted, (name, start)
        # What comes behind the hole is read by who begins in it.
        assert client.produce("events", [{"partition": 0, "value": good(log.end)}]) == \
            [(0, log.end)], name
        read = client.consume("events", 1, offsets=[(0, hole)])
        assert [(r["offset"], r["value"]) for r in read] == [(log.end, good(log.end))], name
        log.there.append((log.end, good(log.end)))
        log.end += 1
    log.connection.close()
    assert_balanced(garner.ledger())


@pytest.mark.parametrize("name", DRIVERS)
def test_broken_records_of_an_idempotent_producer_are_letters(drivers, make_garner, name):
    """With every codec; the good ones are there once, where their producer was told."""
    garner = with_contract(make_garner)
    client = drivers.at(garner, name)
    records = [{"partition": 0, "value": (broken if n % 3 == 1 else good)(n)} for n in range(300)]
    told = []
    for codec in CODECS:
        told += client.produce("events", records, codec=codec, idempotence=True)
    values = [r["value"] for r in records] * len(CODECS)
    read = drivers.at(garner, "franz-go").consume("events", 1000)
    wanted = [(offset, value) for (_, offset), value in zip(told, values) if b'"' not in value[5:]]
    assert [(r["offset"], r["value"]) for r in read] == wanted
    ledger = garner.ledger()
    assert_balanced(ledger)
    row = ledger["topics"]["events"]
    assert (row["accepted"], row["dead_lettered"], row["duplicates"]) == (1000, 500, 0)


@pytest.mark.parametrize("idempotence", [False, True])
@pytest.mark.parametrize("name", DRIVERS)
def test_a_contract_that_rejects_tells_each_record(drivers, make_garner, name, idempotence):
    """What a producer was told was taken is there, in order, and nothing else; after a refusal it
    goes on."""
    garner = with_contract(make_garner, on_invalid="reject")
    client = drivers.at(garner, name)
    taken = []
    for turn in range(4):
        values = [good(turn * 50 + n) for n in range(50)]
        if turn == 1:
            values[7] = broken(57)
        results = client.results("events", [{"partition": 0, "value": v} for v in values],
                                 idempotence=idempotence)
        taken += [v for v, result in zip(values, results) if "error" not in result]
        if turn == 1:
            assert results[7].get("error") == INVALID_RECORD
    assert 150 <= len(taken) < 200
    there = [json.dumps(v, separators=(",", ":")).encode() for v in garner.values("events")]
    assert there == taken
    ledger = garner.ledger()
    assert_balanced(ledger)
    assert ledger["topics"]["events"]["accepted"] == len(taken)


@pytest.mark.parametrize("idempotence", [False, True])
@pytest.mark.parametrize("name", DRIVERS)
def test_a_producer_of_nothing_that_is_left_is_told_its_offsets(drivers, make_garner, name,
                                                                idempotence):
    """All broken, all with a key that was there, some that are neither, and again."""
    garner = with_contract(make_garner, dedup={"key": "id", "window": "1h"})
    client = drivers.at(garner, name)
    kinds = {"good": b'{"id":%d,"n":1}', "broken": b'{"id":%d,"n":"x"}'}
    end, there = 0, []
    for turn, kind in enumerate(["broken", "good", "repeated", "broken", "repeated", "good"]):
        first = turn * 50 if kind != "repeated" else 50
        values = [kinds["broken" if kind == "broken" else "good"] % (first + n) for n in range(50)]
        told = client.produce("events", [{"partition": 0, "value": v} for v in values],
                              idempotence=idempotence)
        assert told == [(0, end + n) for n in range(50)], kind
        there += [(end + n, v) for n, v in enumerate(values) if kind == "good"]
        end += 50
    assert kept(drivers.at(garner, "franz-go").consume("events", len(there))) == there
    ends = client.ask("offsets", topic="events", partition=0, times=[])
    assert (ends["begin"], ends["end"]) == (0, end)
    ledger = garner.ledger()
    assert_balanced(ledger)
    row = ledger["topics"]["events"]
    # Nothing came twice: it would be a duplicate, or a letter, once more.
    assert (row["received"], row["accepted"], row["dead_lettered"], row["duplicates"]) == \
        (300, 100, 100, 100)


@pytest.mark.parametrize("name", DRIVERS)
def test_runs_of_batches_without_records_are_passed_over(drivers, make_garner, name):
    """In front, between, behind; several fetches long where these are small."""
    garner = with_contract(make_garner)
    log, client = Log(garner), drivers.at(garner, name)
    log.put(*["bbb"] * 300, "g", *["b"] * 300, "gbg", *["bb"] * 300)
    trailing = log.end - 300
    log.put("g", *["bb"] * 200)
    # A fetch of 1000 bytes brings a marker of 78 at the least, which stands for 61 bytes or more.
    small = 1000 // 78
    for start in (1, 904):
        wanted = [w for w in log.there if w[0] >= start]
        before = fetches(garner)
        assert kept(client.consume("events", len(wanted), [(0, start)], bytes_max=1000)) == wanted
        # One more than there are fetches' worth of batches, as many again that were on their way,
        # and what a client asks of an end while it waits.
        assert fetches(garner) - before <= 2 * (1200 // small) + 40, start
    if name in TELLING:
        for start in (0, 1, trailing + 1, log.end - 1, log.end):
            read, position = client.consume_to_end("events", start, bytes_max=1000)
            assert kept(read) == [w for w in log.there if w[0] >= start]
            assert position == log.end
    log.connection.close()
    assert_balanced(garner.ledger())


@pytest.mark.parametrize("name", DRIVERS)
def test_a_member_waits_behind_batches_without_records(drivers, make_garner, name):
    """Where its group goes on, behind the last; those that come while it waits; and what comes
    then."""
    garner = with_contract(make_garner)
    log = Log(garner)
    log.put("g", *["bb"] * 50)
    drivers.at(garner, name).ask("commit", group="g", topic="events", places=[[0, log.end, ""]])
    described = run("groups", "describe", "g", "--json", "--server",
                    f"127.0.0.1:{garner.kafka_port}")
    row, = json.loads(described.stdout)["offsets"]
    assert (row["offset"], row["end_offset"], row["lag"]) == (log.end, log.end, 0)
    log.put("bb", "b")
    waiting = lambda: metric(garner, "garner_kafka_waiting_fetches") > 0
    began = time.monotonic()
    member = drivers.member(garner, name, "g", topics=["events"])
    try:
        # Each alone in an answer: a client may not take so many for something that is amiss.
        for _ in range(12):
            until(waiting, "the member to wait at the end")
            before = fetches(garner)
            log.put("bb")
            until(lambda: fetches(garner) > before, "the next fetch")
        for kinds in ("g", "bgb", "b", "gb"):
            log.put("bbb", kinds)
            there = [w for w in log.there if w[0] > 0]
            until(lambda: len(member.records) >= len(there), "what is there")
            assert [(offset, value) for _, offset, value in member.records] == there
            until(waiting, "the member to be at the end again")
        # Two for each that came, at the most, and those that wait: a tenth of a second, as all of
        # the drivers ask for, or longer.
        assert fetches(garner) <= 40 + 2 * (time.monotonic() - began) / 0.1
        member.leave()
    finally:
        drivers.end_members()
    log.connection.close()
    assert_balanced(garner.ledger())


@pytest.mark.parametrize("name", DRIVERS)
def test_times_pass_over_batches_without_records(drivers, make_garner, name):
    garner = with_contract(make_garner)
    client = drivers.at(garner, name)
    at = 1_700_000_000_000
    kinds = ["b", "g", "b", "b", "g", "b"]
    for n, kind in enumerate(kinds):
        told = client.produce("events", [{"partition": 0, "timestamp": at + 1000 * n + i,
                                          "value": (good if kind == "g" else broken)(n)}
                                         for i in range(10)])
        assert told == [(0, 10 * n + i) for i in range(10)]
    # By what is there: batches 1 and 4.
    ask = {0: 10, at: 10, at + 1003: 13, at + 1009: 19, at + 1010: 40, at + 2000: 40,
           at + 4009: 49, at + 4010: None, at + 5000: None}
    answer = client.ask("offsets", topic="events", partition=0, times=list(ask))
    assert answer == {"begin": 0, "end": 60, "times": list(ask.values())}
    assert_balanced(garner.ledger())
