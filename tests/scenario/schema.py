"""Contracts with a schema: what does not fit is a dead letter or refused, its neighbours pass."""
import json

import pytest

from lib.server import assert_balanced, run

SCHEMA = {
    "type": "object",
    "required": ["id", "distance"],
    "properties": {"id": {"type": "string", "minLength": 2}, "distance": {"type": "integer"},
                   "at": {"format": "date-time"}, "tags": {"uniqueItems": True}},
}
GOOD = b'{"id":"ab","distance":1}'
WRONG = b'{"id":"ab", "distance":"far"}'
DETAIL = "/distance: expected integer, got string (type)"


@pytest.fixture
def start(make_garner):
    """Starts a server whose topic `events` has a schema."""
    def make(schema=None, fields=None, **contract):
        garner = make_garner(contracts={"events": {
            "schema": {"type": "jsonschema", "file": "events.schema.json", **(fields or {})},
            **contract}})
        (garner.folder / "contracts" / "events.schema.json").write_text(
            json.dumps(SCHEMA if schema is None else schema))
        return garner.start()
    return make


def consume(garner, topic, *words):
    done = run("consume", topic, *words, "--server", f"127.0.0.1:{garner.admin_port}")
    assert done.returncode == 0, done
    return done.stdout


@pytest.mark.parametrize("body, content_type, index", [
    (GOOD + b"\n" + WRONG + b"\n" + GOOD, "application/x-ndjson", 1),
    (b"[" + GOOD + b", " + GOOD + b"," + WRONG + b"]", "application/json", 2),
], ids=["lines", "array"])
def test_a_wrong_record_is_a_dead_letter_with_its_bytes(start, body, content_type, index):
    garner = start()
    with garner.client() as client:
        answer = client.post("events", body, content_type)
    assert answer.status == 200
    said = answer.json()
    assert (said["accepted"], said["dead_lettered"], said["refused"]) == (2, 1, 0)
    assert said["errors"] == [{"index": index, "reason": "schema", "detail": DETAIL}]
    assert consume(garner, "events") == (GOOD + b"\n") * 2
    assert consume(garner, "events.dlq") == WRONG + b"\n"
    letter = json.loads(consume(garner, "events.dlq", "--json"))
    headers = {h["key"]: h["value"] for h in letter["headers"]}
    assert headers["garner.reason"] == "schema"
    assert headers["garner.detail"] == DETAIL
    assert 'garner_records_total{topic="events",outcome="dead_lettered"} 1' in garner.metrics()
    ledger = garner.ledger()
    assert_balanced(ledger)
    assert ledger["topics"]["events"]["dead_lettered"] == 1


def test_with_reject_it_is_refused_and_kept_nowhere(start):
    garner = start(on_invalid="reject")
    with garner.client() as client:
        single = client.post("events", WRONG, "application/json")
        both = client.post_ndjson("events", [GOOD, WRONG])
    assert single.status == both.status == 422
    assert single.json()["errors"] == [{"index": 0, "reason": "schema", "detail": DETAIL}]
    assert (both.json()["accepted"], both.json()["refused"]) == (1, 1)
    assert consume(garner, "events") == GOOD + b"\n"
    assert consume(garner, "events.dlq") == b""
    ledger = garner.ledger()
    assert_balanced(ledger)
    row = ledger["topics"]["events"]
    assert (row["received"], row["refused"]) == (3, 2)


def test_equal_keys_are_an_error_only_with_a_schema(start, make_garner):
    twice = b'{"id":"ab","distance":1,"x":{"y":1,"\\u0079":2}}'
    garner = start()
    with garner.client() as client:
        said = client.post("events", twice, "application/json").json()
    assert [(e["reason"], e["detail"]) for e in said["errors"]] == [
        ("schema", "/x/y: expected each key once (duplicate)")]
    bare = make_garner().start()
    with bare.client() as client:
        assert client.post("events", twice, "application/json").json()["accepted"] == 1


@pytest.mark.parametrize("asserted, accepted", [(False, 1), (True, 0)])
def test_formats_say_something_where_the_contract_says_so(start, asserted, accepted):
    garner = start(fields={"format_assertion": asserted})
    with garner.client() as client:
        said = client.post("events", b'{"id":"ab","distance":1,"at":"noon"}',
                           "application/json").json()
    assert said["accepted"] == accepted


def test_what_takes_too_much_work_is_a_dead_letter_of_its_own_kind(start):
    garner = start({"pattern": "^(a|a)*$"})
    with garner.client() as client:
        said = client.post_ndjson("events", ["ok", "a" * 5000 + "b", "aa"]).json()
    assert [(e["index"], e["reason"]) for e in said["errors"]] == [(0, "schema"),
                                                                   (1, "complexity")]
    assert said["accepted"] == 1 and garner.get("/health").status == 200


@pytest.mark.parametrize("schema, message", [
    ('{"properties":{"a":{"type":"int"}}}', "events.schema.json#/properties/a/type: expected"),
    ('{"type":', "events.schema.json#: byte 8"),
    (None, "No such file"),
])
def test_a_wrong_schema_is_told_by_check_and_no_server_starts(make_garner, schema, message):
    garner = make_garner(contracts={"events": {
        "schema": {"type": "jsonschema", "file": "events.schema.json"}}})
    if schema is not None:
        (garner.folder / "contracts" / "events.schema.json").write_text(schema)
    done = run("check", "--config", garner.config_file, cwd=garner.folder)
    assert done.returncode == 78
    assert b"contracts/events.yaml:" in done.stderr and message.encode() in done.stderr
    assert garner.start(ready=False).wait_exit() == 78


def test_letters_of_records_that_are_json_are_found_by_their_key(start):
    garner = start(key="id")
    with garner.client() as client:
        client.post_ndjson("events", [WRONG, b'{"id":"cd","distance":1.5}', b'{"id":"ab"', GOOD])
    for key, count in (("ab", 1), ("cd", 1), ("ef", 0)):
        done = run("dlq", "redrive", "events", "--dry-run", "--json", "--key", key, "--server",
                   f"127.0.0.1:{garner.admin_port}")
        assert json.loads(done.stdout)["done"] == count
    letters = consume(garner, "events.dlq", "--json").splitlines()
    assert [json.loads(line)["key"] for line in letters] == ["ab", "cd", None]
