"""`garner contract test`: the examples of contracts, judged as the server judges records."""
import json

import pytest

from lib.server import ROOT, run

SCHEMA = {
    "type": "object",
    "required": ["id"],
    "properties": {"id": {"type": "string", "minLength": 2}, "at": {"format": "date-time"},
                   "tags": {"uniqueItems": True, "items": {"pattern": "^[a-z]+$"}}},
}
VALID = [b'{"id":"ab"}', b' {"id":"abc","at":"2026-03-01T06:40:00Z","tags":["x","y"]} ']
INVALID = [b'{"id":"ab",', b'{"id":7}', b'{"id":"ab","id":"cd"}', b'{"id":"ab","tags":["x","x"]}',
           b'{"id":"ab","at":"noon"}', b'[{"id":"ab"}]', b'"\xff"',
           b'{"id":"' + b"x" * 2000 + b'"}']
CONTRACT = """\
topic: events
schema: { type: jsonschema, file: events.schema.json, format_assertion: true }
"""


@pytest.fixture(name="folder")
def make_folder(tmp_path):
    contracts = tmp_path / "contracts"
    contracts.mkdir()
    (tmp_path / "garner.yaml").write_text("intake: { record_limit: 1KiB }\n")
    (contracts / "events.schema.json").write_text(json.dumps(SCHEMA))
    (contracts / "events.yaml").write_text(
        CONTRACT + "examples: { valid: [v.ndjson], invalid: [x.ndjson] }\n")
    (contracts / "v.ndjson").write_bytes(b"\n".join(VALID))
    (contracts / "x.ndjson").write_bytes(b"\r\n\n".join(INVALID))
    return tmp_path


def contract_test(folder, *words):
    done = run("contract", "test", "--config", "garner.yaml", *words, cwd=folder)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_the_examples_of_the_tour_pass():
    flights = ROOT / "examples" / "flights"
    assert contract_test(flights) == (0, "flights: 4 valid, 7 invalid, 0 failed\n", "")
    checked = run("check", "--config", "garner.yaml", cwd=flights)
    assert checked.returncode == 0
    assert b"      examples in files: 2 valid, 1 invalid\n" in checked.stdout


def test_examples_that_pass(folder):
    assert contract_test(folder) == (0, "events: 2 valid, 8 invalid, 0 failed\n", "")


def test_the_verdicts_are_those_of_the_server(folder, make_garner):
    """Every record stands for the wrong verdict, so that each is told; then a server gets them."""
    contracts = folder / "contracts"
    (contracts / "v.ndjson").write_bytes(b"\n".join(INVALID))
    (contracts / "x.ndjson").write_bytes(b"\n".join(VALID))
    code, out, err = contract_test(folder, "--json")
    assert (code, err) == (1, "")
    told = json.loads(out)
    assert told["ok"] is False
    topic = told["topics"][0]
    assert (topic["valid"], topic["invalid"], topic["failed"]) == (8, 2, 10)
    refused = [f for f in topic["failures"] if f["expected"] == "accepted"]
    accepted = [f for f in topic["failures"] if f["expected"] == "refused"]
    assert [f["line"] for f in refused] == list(range(1, 9))
    assert [f["line"] for f in accepted] == [1, 2]

    garner = make_garner(contracts={"events": {
        "schema": {"type": "jsonschema", "file": "events.schema.json", "format_assertion": True}}})
    garner.config["intake"]["record_limit"] = "1KiB"
    garner.write()
    (garner.folder / "contracts" / "events.schema.json").write_text(json.dumps(SCHEMA))
    garner.start()
    with garner.client() as client:
        answer = client.post("events", b"\n".join(INVALID + VALID), "application/x-ndjson").json()
    assert (answer["accepted"], answer["dead_lettered"]) == (len(VALID), len(INVALID))
    assert [(e["index"] + 1, e["reason"], e["detail"]) for e in answer["errors"]] == [
        (f["line"], f["reason"], f["detail"]) for f in refused]
    assert {f["reason"] for f in refused} == {"json", "schema", "oversize"}


def test_a_failure_is_told_by_its_place(folder):
    contracts = folder / "contracts"
    (contracts / "v.ndjson").write_bytes(b'{"id":"ab"}\n\n{"id":"a"}\n')
    (contracts / "x.ndjson").write_bytes(b'{"id":"ab"}\n')
    assert contract_test(folder, "events") == (1, (
        "contracts/v.ndjson:3: expected to be accepted, got schema /id: expected at least 2 "
        "characters, got 1 (minLength)\n"
        "contracts/x.ndjson:1: expected to be refused, but it is accepted\n"
        "events: 2 valid, 1 invalid, 2 failed\n"), "")


def test_the_contract_decides_and_not_the_examples(folder):
    """A schema that refuses less than before makes the test fail that would have seen it."""
    (folder / "contracts" / "events.schema.json").write_text("{}")
    code, out, _ = contract_test(folder)
    assert code == 1
    assert out.count("expected to be refused, but it is accepted") == 4


@pytest.mark.parametrize("break_it, message", [
    (lambda c: (c / "v.ndjson").unlink(),
     "contracts/events.yaml:3:21: examples.valid[0]: expected a pattern that matches a file, got "
     "'v.ndjson'\n"),
    (lambda c: (c / "x.ndjson").write_bytes(b"\n \n"),
     "contracts/events.yaml:3:41: examples.invalid: expected records in contracts/x.ndjson, there "
     "are none\n"),
    (lambda c: (c / "events.yaml").write_text(CONTRACT + "examples: [v.ndjson]\n"),
     "contracts/events.yaml:3:11: examples: expected a mapping, got a list\n"),
    (lambda c: (c / "events.schema.json").write_text("{"),
     "contracts/events.yaml:2:35: schema.file: expected a JSON Schema: events.schema.json"),
], ids=["missing", "empty", "no mapping", "no schema"])
def test_what_is_broken_has_its_place_and_exit_code(folder, break_it, message):
    break_it(folder / "contracts")
    code, _, err = contract_test(folder)
    assert code == 78
    assert err.startswith(message)


def test_missing_examples_do_not_keep_a_server_from_starting(make_garner):
    garner = make_garner(contracts={"events": {"examples": {"valid": ["gone.ndjson"]}}}).start()
    with garner.client() as client:
        assert client.post("events", b"{}", "application/json").json()["accepted"] == 1


@pytest.mark.parametrize("words, message", [
    (["contract"], "garner contract: expected test, got nothing\n"),
    (["contract", "tset"], "garner contract: expected test, got tset\n"),
    (["contract", "test", "--jsn"], "garner contract: unknown flag --jsn, did you mean --json?\n"),
    (["contract", "test", "--config", "garner.yaml", "event"],
     "expected a topic with a contract, got 'event', did you mean 'events'?\n"),
])
def test_wrong_words_are_refused_with_what_is_right(folder, words, message):
    done = run(*words, cwd=folder)
    assert (done.returncode, done.stderr.decode()) == (64, message)


def test_help_says_what_it_does(folder):
    done = run("contract", "--help", cwd=folder)
    assert done.returncode == 0
    assert done.stdout.startswith(b"usage: garner contract [FLAGS] test [TOPIC...]\n")
