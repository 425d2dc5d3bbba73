"""memory_limit, from the least that there is on: whatever comes in, it is held, nothing is lost,
and what is refused is told so that it can be sent again."""
import json
import socket
import struct
import threading

import pytest
from lib.pressure import (MIB, TOO_LARGE, Batches, assert_all_there, memory, packed,
                          produce_at_once, record, text)
from lib.server import assert_balanced, run
from lib.wait import until

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
NDJSON = "application/x-ndjson"
LIMITS = [32, 96]


def limited(make_garner, limit, **options):
    return make_garner(config={"wal_limit": "1GiB", "memory_limit": f"{limit}MiB"},
                       **options).start()


def at_once(count, work):
    """Runs `work` so many times at the same time; what each returned."""
    results = {}

    def run_one(number):
        results[number] = work(number)
    threads = [threading.Thread(target=run_one, args=(n,), daemon=True) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(results) == count
    return [results[n] for n in range(count)]


def post_until_taken(garner, body, topic="events"):
    """The answer, once it is none that says later; and how often it did."""
    busy = 0
    with garner.client(timeout=60) as client:
        while True:
            answer = client.post(topic, body, NDJSON)
            if answer.status != 503:
                return answer, busy
            busy += 1


@pytest.mark.parametrize("limit", LIMITS)
def test_many_producers_with_a_mebibyte_each(make_garner, limit):
    garner = limited(make_garner, limit)
    batches = Batches(62, 16 * 1024)
    answers = produce_at_once(garner, [batches.make(n) for n in range(150)])
    assert memory(garner, "VmHWM") < limit * MIB
    assert_all_there(garner, answers, 62)
    assert memory(garner, "VmHWM") < limit * MIB


@pytest.mark.parametrize("limit", LIMITS)
def test_batches_that_unpack_to_all_there_is_and_to_more(make_garner, limit):
    garner = limited(make_garner, limit)
    fits, bomb = (packed(b"".join(record(n, b"", b"x" * MIB) for n in range(size)), size)
                  for size in (limit // 8, limit))
    answers = produce_at_once(garner, [fits, bomb] * 10)
    assert [code for code, _ in answers] == [0, TOO_LARGE] * 10
    assert memory(garner, "VmHWM") < limit * MIB
    ledger = garner.ledger()
    assert_balanced(ledger)
    assert ledger["topics"]["events"]["accepted"] == 10 * (limit // 8)


@pytest.mark.parametrize("limit", LIMITS)
def test_letters_through_both_doors_at_once(make_garner, limit):
    """Some 190 bytes a letter: those of the small requests fit, those of the large never do, and
    good records pass among them."""
    garner = make_garner(contracts={"events": {
        "partitions": 3, "schema": {"type": "jsonschema", "file": "s.json"}}},
        config={"wal_limit": "1GiB", "memory_limit": f"{limit}MiB"})
    (garner.folder / "contracts" / "s.json").write_text(json.dumps(SCHEMA))
    garner.start()
    small, large = limit * 200, 600_000
    good = b'{"n":1,"pad":"' + b"x" * 1000 + b'"}\n'
    bodies = [b"x\n" * small, b"x\n" * large, good * 1000]
    answers = at_once(18, lambda n: post_until_taken(garner, bodies[n % 3])[0])
    batches = [packed(b"".join(record(n, b"", b"x") for n in range(count)), count)
               for count in (small, large)]
    codes = [code for code, _ in produce_at_once(garner, batches * 6)]
    assert codes == [0, TOO_LARGE] * 6
    assert [answer.status for answer in answers] == [200, 413, 200] * 6
    assert memory(garner, "VmHWM") < limit * MIB
    ledger = garner.ledger()
    assert_balanced(ledger)
    assert ledger["topics"]["events"]["dead_lettered"] == 12 * small
    assert ledger["topics"]["events"]["accepted"] == 6000


@pytest.mark.parametrize("limit", LIMITS)
def test_many_uploads_that_stand_still_half_way(make_garner, limit):
    """More bodies than there is memory for begin and stop; those that hold none wait, and are told
    to come later; once the others have gone there is room again."""
    garner = limited(make_garner, limit)
    body = (b'{"n":1,"pad":"' + b"x" * 1000 + b'"}\n') * 2500
    head = (b"POST /v1/topics/events/records HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            b"Content-Type: application/x-ndjson\r\nContent-Length: %d\r\n\r\n" % len(body))
    uploads = [socket.create_connection(("127.0.0.1", garner.intake_port), 60)
               for _ in range(100)]
    for upload in uploads:
        upload.setblocking(False)
        rest = memoryview(head + body)[:len(head) + len(body) // 2]
        try:
            while rest:
                rest = rest[upload.send(rest):]
        except BlockingIOError:
            pass
    until(lambda: "garner_intake_memory_waits_total 0\n" not in garner.metrics(),
          "uploads to wait for memory")
    for upload in uploads:
        upload.close()
    answer, _ = post_until_taken(garner, body[:limit * 20_000])
    assert answer.status == 200 and answer.json()["accepted"] > 0
    assert memory(garner, "VmHWM") < limit * MIB
    assert_balanced(garner.ledger())


def fetch(partition_bytes, number):
    request = (struct.pack(">hhi", 1, 4, number) + text(b"slow")
               + struct.pack(">iiiib", -1, 100, 1, 50 * MIB, 0) + struct.pack(">i", 1)
               + text(b"events") + struct.pack(">iiqi", 1, 0, 0, partition_bytes))
    return struct.pack(">i", len(request)) + request


def sample(garner, name):
    return sum(float(line.split()[-1]) for line in garner.metrics().splitlines()
               if line.startswith(name))


@pytest.mark.parametrize("limit", LIMITS)
def test_many_clients_fetch_much_and_take_nothing(make_garner, limit):
    """64 connections ask three times for 50 MiB each, at once, and read nothing: what they do not
    take bounds what is read for them. When they have gone, others are served."""
    garner = limited(make_garner, limit)
    batches = Batches(62, 16 * 1024)
    answers = produce_at_once(garner, [batches.make(n) for n in range(60)])
    before = sample(garner, "garner_kafka_requests_total")
    clients = []
    for _ in range(64):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", garner.kafka_port))
        client.sendall(b"".join(fetch(50 * MIB, n) for n in range(3)))
        clients.append(client)
    until(lambda: sample(garner, "garner_kafka_requests_total") - before >= 64,
          "all of them to have asked")
    until(lambda: sample(garner, "garner_kafka_fetch_bytes") == 0, "all to be answered")
    assert memory(garner, "VmHWM") < limit * MIB
    for client in clients:
        client.close()
    assert_all_there(garner, answers, 62)
    assert memory(garner, "VmHWM") < limit * MIB


@pytest.mark.parametrize("limit", LIMITS)
def test_letters_that_go_back_all_at_once_and_sinks_behind_them(make_garner, limit):
    sinks = {f"s{n}": {"type": "file", "topics": ["events"], "path": f"./out{n}",
                       "roll": {"time": "100ms"}} for n in range(3)}
    garner = make_garner(
        contracts={"events": {"schema": {"type": "jsonschema", "file": "s.json"}}}, sinks=sinks,
        config={"wal_limit": "1GiB", "memory_limit": f"{limit}MiB"})
    schema = garner.folder / "contracts" / "s.json"
    schema.write_text(json.dumps(SCHEMA))
    garner.start()
    body = (b'{"n":"x","pad":"' + b"y" * 9000 + b'"}\n') * 100
    for _ in range(20):
        assert post_until_taken(garner, body)[0].json()["dead_lettered"] == 100
    schema.write_text("{}")
    garner.reload()
    until(lambda: '"event":"reloaded"' in garner.log_text(), "the server to have seen it")
    done = run("dlq", "redrive", "events", "--server", f"127.0.0.1:{garner.admin_port}")
    assert done.returncode == 0, done
    until(lambda: garner.ledger()["dlq"]["events"]["held"] == 0, "no letter to be held", 60)
    for sink in sinks:
        assert_balanced(garner.wait_delivered(sink))
    assert garner.ledger()["topics"]["events"]["accepted"] == 2000
    assert memory(garner, "VmHWM") < (limit + 24) * MIB


@pytest.mark.parametrize("config,needed", [
    ({"memory_limit": "64MiB", "loops": 4}, b"need at least 128MiB"),
    ({"memory_limit": "128MiB", "intake": {"body_limit": "64MiB"}}, b"need at least 704MiB"),
])
def test_a_limit_that_has_no_room_for_what_is_promised_is_refused(tmp_path, config, needed):
    file = tmp_path / "garner.yaml"
    file.write_text(json.dumps({"contracts": [], **config}))
    done = run("serve", "--config", file)
    assert done.returncode != 0 and needed in done.stderr + done.stdout


def test_a_body_that_a_small_server_never_has_room_for_is_told_so(make_garner):
    garner = limited(make_garner, 32)
    assert "body_limit_lowered" in garner.log_text()
    with socket.create_connection(("127.0.0.1", garner.intake_port), 60) as client:
        client.sendall(b"POST /v1/topics/events/records HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                       b"Content-Type: application/x-ndjson\r\nContent-Length: 5000000\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 413 ")
    assert_balanced(garner.ledger())
