"""Dead letters of records that came over Kafka: key, headers, time and partition are the record's,
in the letter, in what is shown of it, and behind a redrive."""
import json
import subprocess

import pytest

from lib.server import assert_balanced, run

STRICT = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
FORM = "%p %T %K:%k %S:%s %h\n"
HEADERS = ["trace=7", "garner.partition=9", "empty=", "none"]


def kcat(garner, *words, stdin=b""):
    return subprocess.run(["kcat", "-b", f"127.0.0.1:{garner.kafka_port}", *map(str, words)],
                          input=stdin, capture_output=True, timeout=60, check=True).stdout


def produce(garner, partition, line, *words):
    """One record: `line` is its key, ":" and its value, or with another -K as kcat has it."""
    kcat(garner, "-P", "-t", "events", "-p", partition, *words, stdin=line)


def consume(garner, topic, form=FORM):
    return sorted(kcat(garner, "-C", "-t", topic, "-o", "beginning", "-e", "-q", "-f",
                       form).splitlines())


def dlq(garner, *words):
    return run("dlq", *words, "--server", f"127.0.0.1:{garner.admin_port}")


def letters(garner):
    shown = dlq(garner, "show", "events", "--json").stdout
    return [json.loads(line) for line in shown.splitlines()]


def set_schema(garner, schema):
    (garner.folder / "contracts" / "s.json").write_text(json.dumps(schema))


@pytest.fixture
def garner(make_garner):
    garner = make_garner(contracts={"events": {
        "partitions": 3, "key": "carrier", "schema": {"type": "jsonschema", "file": "s.json"}}})
    set_schema(garner, STRICT)
    return garner.start()


def relax(garner):
    """The contract takes anything that is JSON."""
    set_schema(garner, True)
    garner.stop()
    garner.start()


def headers(*texts):
    return [word for text in texts for word in ("-H", text)]


def send_all(garner):
    """Each with another key: one, none, an empty one, bytes; to partitions of its own choice."""
    produce(garner, 1, b'k:{"n":"a","carrier":"KL"}', "-K", ":", *headers(*HEADERS))
    produce(garner, 2, b'k:{"n":"b","carrier":"KL"}', "-K", ":", *headers("trace=8"))
    produce(garner, 2, b'{"n":"c","carrier":"LH"}', *headers("trace=9"))
    produce(garner, 0, b':{"n":"d"}', "-K", ":")
    produce(garner, 0, b'\xff\xfe:{"n":"e"}', "-K", ":")
    produce(garner, 1, b'KL:{"n":"f","carrier":"KL"}', "-K", ":")


def test_what_is_redriven_is_what_was_produced(garner):
    # What the same records are where nothing refuses them.
    set_schema(garner, True)
    garner.stop()
    garner.start()
    send_all(garner)
    wanted = consume(garner, "events", "%p %K:%k %S:%s %h\n")
    assert len(wanted) == 6
    set_schema(garner, STRICT)
    garner.stop()
    garner.start()
    send_all(garner)
    assert len(letters(garner)) == 6
    relax(garner)
    done = dlq(garner, "redrive", "events")
    assert done.returncode == 0, done
    assert b"6 accepted" in done.stdout
    assert consume(garner, "events", "%p %K:%k %S:%s %h\n") == sorted(wanted * 2)
    ledger = garner.ledger()
    assert_balanced(ledger)
    assert ledger["dlq"]["events"]["held"] == 0
    garner.kill()
    garner.start()
    assert consume(garner, "events", "%p %K:%k %S:%s %h\n") == sorted(wanted * 2)
    assert_balanced(garner.ledger())


def test_a_letter_keeps_the_time_of_its_record(garner):
    send_all(garner)
    times = {line.split(b" ", 1)[1] for line in consume(garner, "events.dlq", "%s %T\n")}
    assert len(times) >= 1 and all(int(t) > 0 for t in times)
    before = consume(garner, "events.dlq", "%T %s\n")
    relax(garner)
    assert dlq(garner, "redrive", "events").returncode == 0
    assert consume(garner, "events", "%T %s\n") == before


def test_a_letter_shows_key_and_headers(garner):
    send_all(garner)
    shown = letters(garner)
    assert [(row["key"] if "key" in row else row["key_base64"], row.get("contract_key"))
            for row in shown] == [("k", "KL"), ("k", "KL"), (None, "LH"), ("", None),
                                  ("//4=", None), ("KL", None)]
    assert [row["partition"] for row in shown] == [1, 2, 2, 0, 0, 1]
    assert shown[0]["headers"] == [
        {"key": "trace", "value": "7"}, {"key": "garner.partition", "value": "9"},
        {"key": "empty", "value": ""}, {"key": "none", "value": None}]
    assert shown[5]["headers"] == []
    text = dlq(garner, "show", "events", "--limit", "1").stdout.decode()
    assert "  source kafka  attempts 1  partition 1\n" in text
    assert '  key k\n  contract key KL\n  header "trace" "7"\n' in text
    assert '  header "empty" ""\n  header "none" null\n' in text


def test_letters_are_found_by_their_key_and_by_the_contracts(garner):
    send_all(garner)
    with garner.client() as client:
        client.post_ndjson("events", [{"n": "x", "carrier": "KL"}])
    for key, count in (("KL", 4), ("k", 2), ("LH", 1), ("9", 0)):
        found = dlq(garner, "show", "events", "--key", key, "--json").stdout.splitlines()
        assert len(found) == count, key
    assert letters(garner)[6]["headers"] == [] and "partition" not in letters(garner)[6]
    relax(garner)
    assert b"4 accepted" in dlq(garner, "redrive", "events", "--key", "KL").stdout
    assert garner.ledger()["dlq"]["events"]["held"] == 3


def test_what_fails_again_is_the_same_letter_once_more(garner):
    send_all(garner)
    before = letters(garner)
    assert dlq(garner, "redrive", "events", "--dry-run").returncode == 1
    assert dlq(garner, "redrive", "events").returncode == 1
    after = letters(garner)
    assert [row.pop("attempts") for row in before] == [1] * 6
    assert [row.pop("attempts") for row in after] == [2] * 6
    for row in before + after:
        row.pop("offset")
    assert after == before
    relax(garner)
    assert dlq(garner, "redrive", "events").returncode == 0
    assert len(consume(garner, "events")) == 6
    assert_balanced(garner.ledger())


def test_a_sinks_letter_keeps_key_and_headers_too(make_garner):
    long = "k" * 300   # no name of a directory
    garner = make_garner(sinks={"files": {
        "type": "file", "topics": ["events"], "path": "./lake/{key}", "roll": {"time": "50ms"}}})
    garner.start()
    produce(garner, 0, long.encode() + b':{"n":1}', "-K", ":",
            *headers("trace=7", "empty=", "none"))
    garner.wait_delivered("files")
    shown = letters(garner)
    assert [(row["stage"], row["key"], row["value"], row["headers"]) for row in shown] == [
        ("sink:files", long, {"n": 1}, [{"key": "trace", "value": "7"},
                                        {"key": "empty", "value": ""},
                                        {"key": "none", "value": None}])]
    assert dlq(garner, "redrive", "events").returncode == 1
    assert letters(garner) == shown
    assert garner.stop() == 0
    garner.config["sinks"]["files"]["path"] = "./flat"
    garner.write()
    garner.start()
    assert dlq(garner, "redrive", "events").returncode == 0
    assert garner.sink_lines("flat") == [b'{"n":1}']
    assert_balanced(garner.ledger())
