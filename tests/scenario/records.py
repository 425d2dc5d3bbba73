"""Records that are strange, broken or refused: what is said, what is kept, and that their
neighbours are not touched."""
import json

import pytest

from lib.server import assert_balanced
from lib.wire import Wire, post

GOOD = b'{"n":1}'


@pytest.mark.parametrize("line, detail", [
    (b'{"a":"\x00"}', ""), (b"\x00", ""), (b'{"a":"\xff"}', "UTF-8"),
    (b'{"a":"\xed\xa0\x80"}', "UTF-8"), (b'{"a":"\xc0\xaf"}', "UTF-8"),
    (b'{"a":"\\ud800"}', "surrogate"), (b"[" * 10000 + b"]" * 10000, "nested too deep"),
    (b'{"a":' * 10000 + b"1" + b"}" * 10000, "nested too deep"),
    (b"{'a':1}", ""), (b'{"a":1}x', ""),
    (b'{"a":01}', ""), (b'{"a":NaN}', ""), (b'{"a":1,}', ""), (b'"\t"', ""), (b'{"a"', ""),
], ids=["nul-in-string", "nul", "not-utf8", "surrogate-bytes", "overlong", "lone-surrogate",
        "deep-arrays", "deep-objects", "quotes", "rest", "zero-first", "nan", "comma", "tab",
        "cut"])
def test_a_broken_line_is_a_dead_letter_and_its_neighbours_are_not(server, delivered, line, detail):
    with server.client() as client:
        answer = client.post_ndjson("events", [GOOD, line, b'{"n":2}'])
    assert answer.status == 200
    said = answer.json()
    assert (said["accepted"], said["dead_lettered"], said["refused"]) == (2, 1, 0)
    assert [(e["index"], e["reason"]) for e in said["errors"]] == [(1, "json")]
    assert detail in said["errors"][0]["detail"] and said["errors"][0]["detail"]
    assert delivered(server) == [{"n": 1}, {"n": 2}]
    ledger = server.ledger()
    assert ledger["topics"]["events"]["dead_lettered"] == 1
    assert ledger["dlq"]["events"] == {"dead_lettered": 1, "held": 1, "redriven": 0, "purged": 0,
                                       "expired": 0, "damaged": 0}


@pytest.mark.parametrize("body, content_type, accepted", [
    (b"\xef\xbb\xbf" + GOOD, "application/json", 0),
    (b"\xef\xbb\xbf[" + GOOD + b"]", "application/json", 0),
    (b"\xef\xbb\xbf" + GOOD + b"\n" + GOOD, "application/x-ndjson", 1),
], ids=["object", "array", "lines"])
def test_a_byte_order_mark_is_told_by_its_name(server, delivered, body, content_type, accepted):
    with server.client() as client:
        answer = client.post("events", body, content_type).json()
    assert (answer["accepted"], answer["dead_lettered"]) == (accepted, 1)
    assert "byte order mark" in answer["errors"][0]["detail"]
    assert delivered(server) == [{"n": 1}] * accepted


def test_line_ends_blank_lines_and_indexes(server, delivered):
    body = b'{"n":0}\r\n\r\n   \n{"n":1}\nbroken\r\n\n{"n":3}'
    with server.client() as client:
        answer = client.post("events", body, "application/x-ndjson").json()
    assert (answer["accepted"], answer["dead_lettered"]) == (3, 1)
    assert [e["index"] for e in answer["errors"]] == [2]
    assert delivered(server) == [{"n": 0}, {"n": 1}, {"n": 3}]


def test_elements_of_an_array_are_judged_alone(server, delivered):
    body = b'[{"n":0}, 1, "two", {"a":"\xff"}, null, {"n":5}]'
    with server.client() as client:
        answer = client.post("events", body, "application/json").json()
    assert (answer["accepted"], answer["dead_lettered"]) == (5, 1)
    assert [e["index"] for e in answer["errors"]] == [3]
    assert delivered(server) == [{"n": 0}, 1, "two", None, {"n": 5}]


def test_from_where_an_array_cannot_be_followed_the_rest_is_one_dead_letter(server, delivered):
    with server.client() as client:
        answer = client.post("events", b'[{"n":0},{"n":1},}{,{"n":2}]', "application/json").json()
    assert (answer["accepted"], answer["dead_lettered"]) == (2, 1)
    assert [e["index"] for e in answer["errors"]] == [2]
    assert delivered(server) == [{"n": 0}, {"n": 1}]


def test_bytes_pass_as_they_came(server):
    line = b'{ "z" : 1.000000000000000000000000000001e+0400 , "a":"\\u00e9\xc3\xa9" , "z":2 }'
    with server.client() as client:
        assert client.post_ndjson("events", [line]).json()["accepted"] == 1
    server.wait_delivered("files")
    assert server.sink_lines("out") == [line]


def test_a_record_over_a_line_is_one_line_in_the_file(server, delivered):
    with server.client() as client:
        answer = client.post("events", b'{\n  "n":\n 1\n}\n', "application/json").json()
    assert answer["accepted"] == 1
    assert delivered(server) == [{"n": 1}]


def test_a_record_over_the_limit_is_a_dead_letter(server, delivered):
    big = b'{"a":"' + b"x" * (1 << 20) + b'"}'
    with server.client() as client:
        answer = client.post_ndjson("events", [GOOD, big, b'{"n":2}']).json()
    assert (answer["accepted"], answer["dead_lettered"]) == (2, 1)
    assert [(e["index"], e["reason"]) for e in answer["errors"]] == [(1, "oversize")]
    assert delivered(server) == [{"n": 1}, {"n": 2}]


def test_errors_are_listed_up_to_a_hundred(server, delivered):
    lines = [b"broken" if n % 2 else b"%d" % n for n in range(500)]
    with server.client() as client:
        answer = client.post_ndjson("events", lines).json()
        assert (answer["accepted"], answer["dead_lettered"]) == (250, 250)
        assert [e["index"] for e in answer["errors"]] == list(range(1, 200, 2))
        assert answer["errors_truncated"] == 150
        answer = client.post_ndjson("events", [b"broken"] * 100).json()
        assert len(answer["errors"]) == 100 and "errors_truncated" not in answer
    assert delivered(server) == list(range(0, 500, 2))


def test_all_broken_is_an_answer_like_any_other(server, delivered):
    with server.client() as client:
        answer = client.post("events", b"{", "application/json")
    assert answer.status == 200
    assert answer.json() == {"accepted": 0, "duplicates": 0, "dead_lettered": 1, "refused": 0,
                             "errors": [{"index": 0, "reason": "json",
                                         "detail": answer.json()["errors"][0]["detail"]}]}
    assert delivered(server) == []


def test_where_the_contract_says_reject_the_producer_keeps_the_broken_ones(make_garner):
    server = make_garner(contracts={"events": {"on_invalid": "reject"}},
                         config={"wal_limit": "128MiB"}).start()
    with server.client() as client:
        answer = client.post_ndjson("events", [GOOD, b"broken", b'{"n":2}'])
        assert answer.status == 422
        said = answer.json()
        assert (said["accepted"], said["dead_lettered"], said["refused"]) == (2, 0, 1)
        assert [e["index"] for e in said["errors"]] == [1]
        assert client.post_ndjson("events", [GOOD]).status == 200
    ledger = server.ledger()
    assert_balanced(ledger)
    row = ledger["topics"]["events"]
    assert (row["received"], row["accepted"], row["refused"]) == (4, 3, 1)
    assert ledger["dlq"]["events"]["held"] == 0


@pytest.mark.parametrize("headers, status, hint", [
    ([], 415, b"application/json"),
    (["Content-Type: application/x-www-form-urlencoded"], 415, b"-H 'Content-Type: "),
    (["Content-Type: text/plain"], 415, b"application/x-ndjson"),
    (["Content-Type: application/json; charset=latin1"], 415, b"utf-8"),
    (["Content-Type: application/json", "Content-Type: application/json"], 415, b"once"),
    (["Content-Type: application/json", "Content-Encoding: gzip"], 415, b"gzip"),
    (["Content-Type: application/json; charset=UTF-8"], 200, b""),
    (["Content-Type: APPLICATION/JSON"], 200, b""),
], ids=["none", "form", "text", "charset", "twice", "coding", "utf-8", "upper-case"])
def test_the_type_of_a_body_is_asked_for(server, delivered, headers, status, hint):
    head = ["POST /v1/topics/events/records HTTP/1.1", "Host: localhost",
            f"Content-Length: {len(GOOD)}", *headers]
    with Wire(server.intake_port) as wire:
        wire.send("\r\n".join(head).encode() + b"\r\n\r\n" + GOOD + post({"n": 2}))
        answer = wire.answer()
        assert answer[0] == status
        assert hint in answer[2]
        assert wire.answer()[0] == 200
    assert delivered(server) == ([{"n": 1}] if status == 200 else []) + [{"n": 2}]


@pytest.mark.parametrize("topic", ["unknown", "events.dlq", "", "%2e%2e", "events%00", "x" * 300])
def test_a_topic_that_is_not_declared_is_404_with_what_to_do(server, delivered, topic):
    with server.client() as client:
        answer = client.post(topic, GOOD, "application/json")
        assert answer.status == 404
        if topic == "unknown":
            assert "topic: unknown" in answer.json()["detail"]
        assert client.post_json("events", {"n": 2}).status == 200
    assert delivered(server) == [{"n": 2}]


def test_other_methods_and_paths_are_told(server):
    with server.client() as client:
        answer = client.get("/v1/topics/events/records")
        assert (answer.status, answer.headers["allow"]) == (405, "POST, OPTIONS")
        assert client.get("/").status == 404
        answer = client.request("POST", "/v1/topics/events/records", GOOD,
                                {"Host": "evil.example", "Content-Type": "application/json"})
        assert answer.status == 403
    assert server.ledger()["topics"]["events"]["received"] == 0


def test_times_of_the_years_1_and_9999_find_their_directories(make_garner, delivered):
    sink = {"type": "file", "topics": ["events"], "path": "./out/dt={event_time:%Y-%m-%d}",
            "roll": {"time": "50ms"}}
    server = make_garner(contracts={"events": {"event_time": "at"}}, sinks={"files": sink},
                         config={"wal_limit": "128MiB"}).start()
    times = ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z", "1969-12-31T23:59:59Z",
             "2024-02-29T12:00:00+01:00", 0, -1]
    with server.client() as client:
        answer = client.post_json("events", [{"at": t} for t in times]).json()
    assert (answer["accepted"], answer["dead_lettered"]) == (len(times), 0)
    assert sorted(map(str, (r["at"] for r in delivered(server)))) == sorted(map(str, times))
    found = {file.parent.name: file.read_bytes().count(b"\n")
             for file in server.sink_files("out")}
    assert found == {"dt=0001-01-01": 1, "dt=9999-12-31": 1, "dt=1969-12-31": 2,
                     "dt=2024-02-29": 1, "dt=1970-01-01": 1}


def test_a_key_keeps_its_order_through_partitions_and_restarts(make_garner):
    sink = {"type": "file", "topics": ["events"], "path": "./out", "roll": {"time": "50ms"}}
    server = make_garner(contracts={"events": {"partitions": 5, "key": "k"}},
                         sinks={"files": sink}, config={"wal_limit": "128MiB"}).start()
    for part in range(3):
        with server.client() as client:
            for n in range(part * 20, part * 20 + 20):
                records = [{"k": f"key{k}", "n": n} for k in range(12)] + [{"k": 7, "n": n}]
                assert client.post_json("events", records).json()["accepted"] == 13
        server.kill()
        server.start()
    assert_balanced(server.wait_delivered("files"))
    order = {}
    for file in server.sink_files("out"):
        partition = int(file.name.split("-")[1])
        for line in file.read_bytes().splitlines():
            record = json.loads(line)
            order.setdefault(record["k"], []).append((partition, record["n"]))
    assert len(order) == 13
    for key, seen in order.items():
        assert [n for _, n in seen] == list(range(60)), key
        assert len({partition for partition, _ in seen}) == 1, key
