"""Idempotent producers of other people's clients: what they send is there once, whatever they send
twice."""
from concurrent.futures import ThreadPoolExecutor

import pytest

from lib.kafka_clients import CODECS, DRIVERS
from lib.server import assert_balanced
from lib.wait import until

# kafkajs gives up a batch whose connection broke, when it is to be idempotent.
PATIENT = [name for name in DRIVERS if name != "kafkajs"]


@pytest.fixture
def garner(make_garner):
    return make_garner(contracts={"events": {"partitions": 3}}).start()


def values(drivers, garner, count):
    read = drivers.at(garner, "franz-go").consume("events", count, [(p, 0) for p in range(3)])
    return [(r["partition"], r["value"]) for r in read]


@pytest.mark.parametrize("name", DRIVERS)
def test_an_idempotent_producer_writes_with_every_codec(drivers, garner, name):
    client = drivers.at(garner, name)
    written = [{"partition": n % 3, "value": b"%d" % n} for n in range(300)]
    for codec in CODECS:
        client.produce("events", written, codec=codec, idempotence=True)
    read = values(drivers, garner, 1500)
    assert sorted(read) == sorted(5 * [(w["partition"], w["value"]) for w in written])
    row = garner.ledger()["topics"]["events"]
    assert (row["accepted"], row["duplicates"]) == (1500, 0)
    assert_balanced(garner.ledger())


@pytest.mark.parametrize("name", PATIENT)
def test_what_an_idempotent_producer_sends_through_a_kill_is_there_once(drivers, garner, name):
    client = drivers.at(garner, name)
    written = [{"partition": n % 3, "value": b"%d " % n + b"x" * 200} for n in range(60_000)]
    with ThreadPoolExecutor() as threads:
        sent = threads.submit(client.produce, "events", written, idempotence=True)
        until(lambda: garner.ledger()["topics"]["events"]["accepted"] > 0, "the first records")
        garner.kill()
        garner.start()
        assert len(sent.result(120)) == len(written)
    read = values(drivers, garner, len(written))
    for partition in range(3):
        assert [value for p, value in read if p == partition] == \
            [w["value"] for w in written if w["partition"] == partition]
    # One that was there, and sent again, may have been counted as a duplicate.
    assert garner.ledger()["topics"]["events"]["accepted"] == len(written)
    assert_balanced(garner.ledger())
