"""Requests that count once: numbered ones (Garner-Producer, Garner-Sequence) and those with an
Idempotency-Key, from outside."""
import json
import re
import subprocess
import threading

import pytest

from lib.server import assert_balanced, run
from lib.wire import Wire

NDJSON = "application/x-ndjson"
BROKEN = b'{"n":1}\n{broken\n{"n":2}\n'


@pytest.fixture
def garner(make_garner):
    server = make_garner(contracts={"events": {}, "others": {}, "strict": {"on_invalid": "reject"},
                                    "keyed": {"dedup": {"key": "n", "window": "1h"}}})
    server.start()
    return server


def send(client, body, topic="events", kind=NDJSON, **names):
    headers = {"Content-Type": kind}
    headers.update({name.replace("_", "-"): str(value) for name, value in names.items()})
    return client.request("POST", f"/v1/topics/{topic}/records", body, headers)


def number(client, producer, sequence, body=b'{"n":1}\n', **more):
    return send(client, body, Garner_Producer=producer, Garner_Sequence=sequence, **more)


def key(client, name, body=b'{"n":1}\n', **more):
    return send(client, body, Idempotency_Key=name, **more)


def counts(answer):
    said = answer.json()
    return said["accepted"], said["duplicates"], said["dead_lettered"], said["refused"]


def row(garner, topic="events"):
    ledger = garner.ledger()
    assert_balanced(ledger)
    found = ledger["topics"][topic]
    return tuple(found[name] for name in ("received", "accepted", "duplicates", "dead_lettered"))


def test_numbers_count_once_and_in_order(garner):
    with garner.client() as client:
        assert counts(number(client, "p", 0, BROKEN)) == (2, 0, 1, 0)
        again = number(client, "p", 0, BROKEN)
        assert (again.status, counts(again), again.json()["errors"]) == (200, (0, 3, 0, 0), [])
        gap = number(client, "p", 2)
        assert (gap.status, gap.json()["expected"], gap.json()["got"]) == (409, 1, 2)
        assert gap.json()["error"] == "sequence_gap"
        assert counts(number(client, "p", 1)) == (1, 0, 0, 0)
        assert counts(number(client, "p", 2)) == (1, 0, 0, 0)
        assert counts(number(client, "p", 0)) == (0, 1, 0, 0)
        # Another producer, and the same one on another topic, count for themselves.
        assert counts(number(client, "q", 0)) == (1, 0, 0, 0)
        assert counts(number(client, "p", 0, topic="others")) == (1, 0, 0, 0)
    assert row(garner) == (10, 5, 4, 1)
    text = garner.metrics()
    assert 'garner_once_gaps_total{topic="events"} 1' in text
    assert 'garner_once_repeats_total{topic="events",by="number"} 2' in text
    assert 'garner_once_producers{topic="events"} 2' in text


def test_a_producer_that_is_not_known_begins_at_0(garner):
    with garner.client() as client:
        answer = number(client, "p", 7)
        assert (answer.status, answer.json()["expected"], answer.json()["got"]) == (409, 0, 7)
        assert "never seen this producer, or has forgotten it" in answer.json()["detail"]
        assert counts(number(client, "p", 0)) == (1, 0, 0, 0)
        big = number(client, "p", 2 ** 63 - 1)
        assert (big.status, big.json()["expected"]) == (409, 1)
    assert row(garner) == (1, 1, 0, 0)


@pytest.mark.parametrize("body", [b"", b"\n", b" \r\n\n"])
def test_an_empty_body_passes_a_number(garner, body):
    with garner.client() as client:
        assert counts(number(client, "p", 0)) == (1, 0, 0, 0)
        assert counts(number(client, "p", 1, body)) == (0, 0, 0, 0)
        assert counts(number(client, "p", 2)) == (1, 0, 0, 0)
        garner.kill()
    garner.start()
    with garner.client() as client:
        assert counts(number(client, "p", 1, body)) == (0, 0, 0, 0)
        assert number(client, "p", 4).json()["expected"] == 3
        # JSON has no text without a value, and a body without a number is none.
        assert number(client, "p", 3, b"", kind="application/json").status == 400
        assert send(client, b"").status == 400
        assert key(client, "k", b"").status == 400
        assert counts(number(client, "p", 3, b"[]", kind="application/json")) == (0, 0, 0, 0)
    assert row(garner) == (2, 2, 0, 0)


def test_numbers_that_overtake_each_other_lose_nothing(garner):
    """Four connections of one producer, each with every fourth number, that send again when they
    are too early."""
    def run(worker):
        with garner.client() as client:
            for sequence in range(worker, 200, 4):
                while True:
                    answer = number(client, "p", sequence, b'{"n":%d}\n' % sequence)
                    if answer.status == 200:
                        break
                    assert answer.status == 409 and answer.json()["expected"] < sequence
                assert counts(answer) == (1, 0, 0, 0)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert row(garner) == (200, 200, 0, 0)


def test_a_key_has_one_answer(garner):
    with garner.client() as client:
        first = key(client, "k", BROKEN)
        assert counts(first) == (2, 0, 1, 0)
        assert "idempotency-replayed" not in first.headers
        again = key(client, "k", BROKEN)
        assert (again.status, again.body) == (first.status, first.body)
        assert again.headers["idempotency-replayed"] == "true"
        other = key(client, "k", b'{"n":9}\n')
        assert (other.status, other.json()["error"]) == (422, "key_reused")
        assert "another body" in other.json()["detail"]
        assert counts(key(client, "k", topic="others")) == (1, 0, 0, 0)
        assert counts(key(client, "K")) == (1, 0, 0, 0)
        garner.kill()
    garner.start()
    with garner.client() as client:
        assert key(client, "k", BROKEN).body == first.body
        garner.stop()
    garner.start()
    with garner.client() as client:
        again = key(client, "k", BROKEN)
        assert (again.body, again.headers["idempotency-replayed"]) == (first.body, "true")
        assert key(client, "k", b"{}\n").status == 422
    assert row(garner) == (13, 3, 9, 1)


def test_a_422_is_answered_again_as_one(garner):
    with garner.client() as client:
        first = key(client, "k", BROKEN, topic="strict")
        assert (first.status, counts(first)) == (422, (2, 0, 0, 1))
        again = key(client, "k", BROKEN, topic="strict")
        assert (again.status, again.body) == (422, first.body)
        assert counts(number(client, "p", 0, BROKEN, topic="strict")) == (2, 0, 0, 1)
        again = number(client, "p", 0, BROKEN, topic="strict")
        assert (again.status, counts(again)) == (200, (0, 3, 0, 0))


def test_an_answer_that_is_too_long_is_given_again_without_its_errors(make_garner):
    schema = {"type": "object", "properties": {"n" * 60: {"type": "integer"}}}
    garner = make_garner(contracts={"events": {"schema": {"type": "jsonschema",
                                                          "file": "long.json"}}})
    (garner.folder / "contracts" / "long.json").write_text(json.dumps(schema))
    garner.start()
    body = b'{"%s":"x"}\n' % (b"n" * 60) * 90 + b'{"n":1}\n'
    with garner.client() as client:
        first = key(client, "k", body)
        assert len(first.json()["errors"]) == 90
        again = key(client, "k", body)
        assert counts(again) == counts(first) == (1, 0, 90, 0)
        assert (again.json()["errors"], again.json()["errors_truncated"]) == ([], 90)
    assert row(garner) == (182, 1, 91, 90)


def test_keys_of_records_are_looked_at_as_well(garner):
    body = b'{"n":1}\n{"n":2}\n'
    with garner.client() as client:
        assert counts(send(client, b'{"n":2}\n', topic="keyed")) == (1, 0, 0, 0)
        first = key(client, "k", body, topic="keyed")
        assert counts(first) == (1, 1, 0, 0)
        assert key(client, "k", body, topic="keyed").body == first.body
        assert counts(number(client, "p", 0, body, topic="keyed")) == (0, 2, 0, 0)
        assert counts(number(client, "p", 1, b'{"n":3}\n', topic="keyed")) == (1, 0, 0, 0)
    assert row(garner, "keyed") == (8, 3, 5, 0)


def test_a_word_and_a_string_are_one_key(garner):
    with garner.client() as client:
        first = key(client, "a-b")
        assert key(client, '"a-b"').headers["idempotency-replayed"] == "true"
        assert counts(key(client, '"a\\"b\\\\"')) == counts(first)
        assert key(client, 'a"b\\').headers["idempotency-replayed"] == "true"
        assert counts(key(client, "x" * 255)) == (1, 0, 0, 0)
        assert key(client, '"' + "x" * 255 + '"').headers["idempotency-replayed"] == "true"


WRONG = [
    ({"Garner-Producer": "p"}, "needs Garner-Sequence"),
    ({"Garner-Sequence": "1"}, "needs Garner-Producer"),
    ({"Garner-Producer": "p", "Garner-Sequence": "-1"}, "decimal number"),
    ({"Garner-Producer": "p", "Garner-Sequence": ""}, "decimal number"),
    ({"Garner-Producer": "p", "Garner-Sequence": "1.0"}, "decimal number"),
    ({"Garner-Producer": "p", "Garner-Sequence": str(2 ** 63)}, "decimal number"),
    ({"Garner-Producer": "p", "Garner-Sequence": str(2 ** 64)}, "decimal number"),
    ({"Garner-Producer": "", "Garner-Sequence": "0"}, "1 to 128"),
    ({"Garner-Producer": "p q", "Garner-Sequence": "0"}, "1 to 128"),
    ({"Garner-Producer": "p" * 129, "Garner-Sequence": "0"}, "1 to 128"),
    ({"Garner-Producer": "p", "Garner-Sequence": "0", "Idempotency-Key": "k"}, "not both"),
    ({"Garner-Sequence": "0", "Idempotency-Key": "k"}, "not both"),
    ({"Idempotency-Key": ""}, "1 to 255"),
    ({"Idempotency-Key": '""'}, "1 to 255"),
    ({"Idempotency-Key": "a b"}, "1 to 255"),
    ({"Idempotency-Key": '"a b"'}, "1 to 255"),
    ({"Idempotency-Key": '"a'}, "1 to 255"),
    ({"Idempotency-Key": '"a"b'}, "1 to 255"),
    ({"Idempotency-Key": '"a"; p=1'}, "1 to 255"),
    ({"Idempotency-Key": '"a\\n"'}, "1 to 255"),
    ({"Idempotency-Key": "k" * 256}, "1 to 255"),
    ({"Idempotency-Key": '"' + "k" * 256 + '"'}, "1 to 255"),
]


@pytest.mark.parametrize("headers, text", WRONG)
def test_wrong_names_are_400_and_say_how_it_is_done(garner, headers, text):
    with garner.client() as client:
        answer = client.request("POST", "/v1/topics/events/records", b"{}\n",
                                {"Content-Type": NDJSON, **headers})
        assert answer.status == 400 and text in answer.json()["detail"], answer
    assert row(garner) == (0, 0, 0, 0)


@pytest.mark.parametrize("line", ["Idempotency-Key: a", "Garner-Producer: a",
                                  "Garner-Sequence: 0"])
def test_a_name_that_is_there_twice_is_400(garner, line):
    done = subprocess.run(
        ["curl", "-s", "-H", f"Content-Type: {NDJSON}", "-H", line, "-H", line, "-d", "{}",
         f"http://127.0.0.1:{garner.intake_port}/v1/topics/events/records"],
        capture_output=True, timeout=30, check=True)
    assert "given once" in json.loads(done.stdout)["detail"]


def test_what_was_not_committed_keeps_nothing(garner):
    with Wire(garner.intake_port) as wire:
        wire.send(b"POST /v1/topics/events/records HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
                  b"application/x-ndjson\r\nContent-Length: 9000000\r\nIdempotency-Key: k\r\n\r\n")
        assert wire.answer()[0] == 413
    with garner.client() as client:
        assert key(client, "k", kind="text/plain").status == 415
        assert number(client, "p", 0, topic="none").status == 404
        assert key(client, "k", b" ", kind="application/json").status == 400
        assert counts(key(client, "k")) == (1, 0, 0, 0)
        assert counts(number(client, "p", 0)) == (1, 0, 0, 0)


def test_a_failed_flush_is_503_and_all_may_be_sent_again(make_garner):
    garner = make_garner(contracts={"events": {}})
    garner.start(env={"GARNER_FAULT": "fail:io:sync:wal/:12"}, ready=False)
    garner.wait_ready()
    seen = set()
    with garner.client() as client:
        for sequence in range(30):
            body = b'{"n":%d}\n' % sequence
            for send_one in (lambda: number(client, "p", sequence, body),
                             lambda: key(client, f"k{sequence}", body)):
                while True:
                    answer = send_one()
                    seen.add(answer.status)
                    if answer.status == 200:
                        break
                    assert answer.status == 503, answer
                said = answer.json()
                assert said["accepted"] + said["duplicates"] == 1
    assert 503 in seen
    received, accepted, duplicates, _ = row(garner)
    assert accepted == 60 and received == accepted + duplicates


def test_two_of_a_key_at_the_same_time_have_one_answer(garner):
    answers = []

    def run():
        with garner.client() as client:
            for n in range(50):
                answers.append((n, key(client, f"k{n}", b'{"n":%d}\n{broken\n' % n)))

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    bodies = {(n, answer.status, answer.body) for n, answer in answers}
    assert len(answers) == 150 and len(bodies) == 50
    replays = sum("idempotency-replayed" in answer.headers for _, answer in answers)
    assert replays == 100
    assert row(garner) == (300, 50, 200, 50)


def test_metrics_say_what_is_kept_and_its_limits(garner):
    with garner.client() as client:
        key(client, "k")
        key(client, "k")
        key(client, "k", b"{}\n")
    text = garner.metrics()
    assert 'garner_once_answers{topic="events"} 1' in text
    assert 'garner_once_answers_limit_bytes{topic="events"} 33554432' in text
    assert 'garner_once_producers_limit{topic="events"} 65536' in text
    assert 'garner_once_keys_reused_total{topic="events"} 1' in text
    assert 'garner_once_repeats_total{topic="events",by="key"} 1' in text
    assert not re.search(r'garner_commits_failed_total [1-9]', text)
    # Topics that have seen none of it say nothing of it.
    assert not re.search(r'garner_once.*topic="others"', text)


def test_fsck_a_backup_and_a_repair_know_them(garner, make_garner, tmp_path):
    with garner.client() as client:
        for sequence in range(5):
            number(client, "p", sequence)
        first = key(client, "k", BROKEN)
    copied = run("backup", "--to", tmp_path / "backups", "--server",
                 f"127.0.0.1:{garner.admin_port}")
    assert copied.returncode == 0, copied
    garner.stop()
    assert run("fsck", garner.data_dir).returncode == 0
    other = make_garner(name="restored", contracts=garner.contracts)
    restored = run("restore", "--from", tmp_path / "backups", "--to", other.data_dir)
    assert restored.returncode == 0, restored
    # A repair writes a checkpoint of what it has read.
    for checkpoint in (garner.data_dir / "checkpoint").iterdir():
        checkpoint.unlink()
    (garner.data_dir / "garner.meta").unlink()
    assert run("fsck", garner.data_dir, "--repair").returncode == 1
    for server in (garner, other):
        server.start()
        with server.client() as client:
            assert counts(number(client, "p", 4)) == (0, 1, 0, 0)
            assert number(client, "p", 6).json()["expected"] == 5
            assert key(client, "k", BROKEN).body == first.body
            assert key(client, "k", b"{}\n").status == 422
        assert row(server)[1] == 7
        server.kill()
