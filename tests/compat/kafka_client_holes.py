"""Contracts that take records out of batches, and other people's clients: each reads past holes,
also behind the last record, and is told of its own records what became of them."""
import json

import pytest

from lib.kafka_batch import Connection, batch
from lib.kafka_clients import CODECS, DRIVERS
from lib.server import assert_balanced

READERS = [name for name in DRIVERS if name != "kafkajs"]  # which reads in groups only
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

    def put(self, kinds):
        values = [(good if kind == "g" else broken)(self.end + i) for i, kind in enumerate(kinds)]
        assert self.connection.produce("events", 0, batch(values)) == (0, self.end)
        self.there += [(self.end + i, value) for i, value in enumerate(values) if kinds[i] == "g"]
        self.end += len(kinds)


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
