"""More than there is room for, over Kafka: memory is bounded and nothing is lost; a full queue of
dead letters refuses broken batches or drops its oldest letters, and says so."""
import json
import socket
import struct
import threading

import pytest

from lib.pressure import (MIB, TOO_LARGE, Batches, Client, assert_all_there, consume, kcat, memory,
                          packed, produce_at_once, record)
from lib.server import assert_balanced, run
from lib.wait import until

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
NDJSON = "application/x-ndjson"


def strict(make_garner, memory_limit="512MiB", **dlq):
    garner = make_garner(contracts={"events": {
        "schema": {"type": "jsonschema", "file": "s.json"}, "dlq": dlq}},
        config={"wal_limit": "1GiB", "memory_limit": memory_limit})
    (garner.folder / "contracts" / "s.json").write_text(json.dumps(SCHEMA))
    return garner.start()


def with_large_batches(make_garner, wal_limit):
    """Without a contract, since that has batches of a MiB at the most."""
    garner = make_garner(contracts={"other": {}},
                         config={"wal_limit": wal_limit, "memory_limit": "96MiB"}).start()
    done = run("topics", "create", "events", "--batch-size", "16MiB", "--server",
               f"127.0.0.1:{garner.admin_port}")
    assert done.returncode == 0, done
    return garner


def test_memory_stays_below_its_limit_under_more_than_there_is_room_for(make_garner):
    """50 clients with 8 MiB each, four times what all of the server may take: they are read as
    there is room, and what was acknowledged is there once."""
    garner = with_large_batches(make_garner, "1GiB")
    batches = Batches(512, 16 * 1024)
    answers = produce_at_once(garner, [batches.make(n) for n in range(50)])
    assert memory(garner, "VmHWM") < 96 * MIB
    assert_all_there(garner, answers, 512)
    assert memory(garner, "VmHWM") < 96 * MIB


def test_what_unpacks_to_more_than_there_is_room_for_is_refused(make_garner):
    """Batches of a few hundred KiB that unpack to more than all of the memory for records, and
    others that just fit, at the same time."""
    garner = make_garner(config={"wal_limit": "1GiB", "memory_limit": "96MiB"}).start()
    fits, bomb = (packed(b"".join(record(n, b"", b"x" * MIB) for n in range(size)), size)
                  for size in (15, 60))
    answers = produce_at_once(garner, [fits, bomb] * 10)
    assert [code for code, _ in answers] == [0, TOO_LARGE] * 10
    assert sorted(offset for _, offset in answers[::2]) == [n * 15 for n in range(10)]
    assert memory(garner, "VmHWM") < 96 * MIB
    ledger = garner.ledger()
    assert_balanced(ledger)
    assert ledger["topics"]["events"]["accepted"] == 150


def test_a_client_that_sends_far_ahead_is_read_as_it_is_answered(make_garner):
    """Many small requests on one connection before any answer is read, and behind them large ones:
    more than are held in flight, each answered in its turn."""
    garner = with_large_batches(make_garner, "256MiB")
    small, large = Batches(2, 10), Batches(2, 2 * MIB)
    requests = [small.make(n) for n in range(2000)] + [large.make(n) for n in range(2000, 2020)]
    client = Client(garner)
    ahead = threading.Thread(daemon=True, target=lambda: client.socket.sendall(
        b"".join(client.request(batch) for batch in requests)))
    ahead.start()
    answers = [client.answer() for _ in requests]
    ahead.join(60)
    client.close()
    assert answers == [(0, 2 * n) for n in range(len(requests))]
    assert_all_there(garner, answers, 2)
    assert memory(garner, "VmHWM") < 96 * MIB


def test_who_declares_much_and_sends_little_gives_way_to_others(make_garner):
    """All memory of both loops is promised to peers that would take hours to fill it, at a rate
    that is well where nobody waits: they are let go when somebody does."""
    garner = make_garner(config={"memory_limit": "96MiB"}).start()
    hogs = [socket.create_connection(("127.0.0.1", garner.kafka_port)) for _ in range(2)]
    hogs += [socket.create_connection(("127.0.0.1", garner.intake_port)) for _ in range(8)]
    for hog in hogs[:2]:
        hog.sendall(struct.pack(">i", 12 * MIB))
    for hog in hogs[2:]:
        hog.sendall(b"POST /v1/topics/events/records HTTP/1.1\r\nHost: a\r\nContent-Type: "
                    b"application/json\r\nContent-Length: 8388608\r\n\r\n")
    over = threading.Event()

    def trickle():
        while not over.wait(0.5):
            for hog in list(hogs):
                try:
                    hog.sendall(bytes(1024))
                except OSError:
                    hogs.remove(hog)
    thread = threading.Thread(target=trickle, daemon=True)
    thread.start()
    batch = Batches(2, 10).make(1)
    assert [answer[0] for answer in produce_at_once(garner, [batch] * 8)] == [0] * 8
    over.set()
    thread.join()
    for hog in hogs:
        hog.close()


def produce(garner, lines, check=True):
    return kcat(garner, "-P", "-t", "events", "-X", "linger.ms=200", "-X",
                "message.timeout.ms=20000", stdin=b"".join(line + b"\n" for line in lines),
                check=check)


def broken(count):
    return [b'{"n":"%d","pad":"%s"}' % (n, b"x" * 1000) for n in range(count)]


@pytest.mark.parametrize("limit", [64, 96])
def test_what_grows_as_dead_letters_stays_below_the_limit_too(make_garner, limit):
    """A dead letter takes many times what a small record does: what a request would grow to is
    held to what there is memory for, through both doors."""
    garner = strict(make_garner, memory_limit=f"{limit}MiB")
    few = packed(b"".join(record(n, b"", b"x") for n in range(30_000)), 30_000)
    many = packed(b"".join(record(n, b"", b"x") for n in range(600_000)), 600_000)
    answers = produce_at_once(garner, [few, many] * 6)
    assert [code for code, _ in answers] == [0, TOO_LARGE] * 6
    with garner.client(timeout=60) as client:
        assert client.post("events", b"x\n" * 30_000, NDJSON).json()["dead_lettered"] == 30_000
        assert client.post("events", b"x\n" * 600_000, NDJSON).status == 413
    assert memory(garner, "VmHWM") < limit * MIB
    ledger = garner.ledger()
    assert_balanced(ledger)
    assert ledger["topics"]["events"]["dead_lettered"] == 7 * 30_000


def test_a_full_queue_refuses_batches_with_a_broken_record_and_takes_good_ones(make_garner):
    garner = strict(make_garner, size="256KiB")
    produce(garner, broken(400))
    assert garner.ledger()["dlq"]["events"]["held"] == 400

    def refused():
        done = produce(garner, [b'{"n":1}', b'{"n":"x"}', b'{"n":2}'], check=False)
        return b"Broker failed to validate record" in done.stderr
    until(refused, "the queue to be known as full")
    before = garner.ledger()
    produce(garner, [b'{"n":3}', b'{"n":4}'])
    assert refused()
    ledger = garner.ledger()
    assert_balanced(ledger)
    row, was = ledger["topics"]["events"], before["topics"]["events"]
    # The batch has one answer: its good records are refused with the broken one.
    assert row["refused"] == was["refused"] + 3
    assert row["accepted"] == was["accepted"] + 2
    assert row["dead_lettered"] == was["dead_lettered"] == ledger["dlq"]["events"]["held"]
    read = consume(garner, "%s\n")
    assert read[-2:] == [b'{"n":3}', b'{"n":4}'] and len(read) == row["accepted"]
    # With room again the same batch is taken, the broken record as a letter.
    done = run("dlq", "purge", "events", "--yes", "--server", f"127.0.0.1:{garner.admin_port}")
    assert done.returncode == 0
    until(lambda: not refused(), "the queue to take letters again")
    assert consume(garner, "%s\n")[-2:] == [b'{"n":1}', b'{"n":2}']
    garner.kill()
    garner.start()
    assert_balanced(garner.ledger())


def test_a_queue_that_drops_its_oldest_takes_every_broken_record(make_garner):
    garner = strict(make_garner, size="1MiB", when_full="drop_oldest")
    total = 0

    def dropped():
        nonlocal total
        produce(garner, broken(2000) + [b'{"n":1}'])
        total += 2000
        return garner.ledger()["dlq"]["events"]["expired"] > 0
    until(dropped, "letters to go", 60)
    ledger = garner.ledger()
    assert_balanced(ledger)
    letters, row = ledger["dlq"]["events"], ledger["topics"]["events"]
    assert (row["dead_lettered"], row["refused"]) == (total, 0)
    assert row["accepted"] == total // 2000
    assert letters["held"] + letters["expired"] == letters["dead_lettered"] == total
    # What is left are the newest.
    newest = kcat(garner, "-C", "-t", "events.dlq", "-o", -1, "-c", 1, "-q", "-f", "%s").stdout
    assert json.loads(newest)["n"] == "1999"
    garner.kill()
    garner.start()
    letters = garner.ledger()["dlq"]["events"]
    assert letters["held"] + letters["expired"] == total
