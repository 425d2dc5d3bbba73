"""Contracts in force: what the admin door says of them, and comparing others with them."""
import hashlib
import http.server
import json
import shutil
import threading

import pytest

from lib.client import Client
from lib.server import free_ports, run

CLOSED = {"type": "object", "additionalProperties": False, "required": ["n"],
          "properties": {"n": {"type": "integer"}}}
WIDER = {**CLOSED, "properties": {"n": {"type": "integer"}, "s": {"type": "string"}}}
NARROWER = {**CLOSED, "properties": {"n": {"type": "integer", "maximum": 9}}}
SCHEMA = {"schema": {"type": "jsonschema", "file": "events.schema.json"}}


def write_schema(garner, schema):
    text = json.dumps(schema, indent=1) + "\n"
    (garner.folder / "contracts" / "events.schema.json").write_text(text)
    return hashlib.sha256(text.encode()).hexdigest()


def door(garner):
    return f"127.0.0.1:{garner.admin_port}"


def reload(garner):
    done = run("reload", "--server", door(garner))
    lines = done.stderr.decode().splitlines()
    # The last line of a refusal only says that what is in force stays.
    return done.returncode, lines[:-1] if done.returncode else lines


def check(garner, against, *arguments):
    """Exit code, standard output, lines of standard error."""
    done = run("check", "--config", garner.config_file, "--against", against, *arguments,
               cwd=garner.folder)
    return done.returncode, done.stdout.decode(), done.stderr.decode().splitlines()


def contract(garner, topic):
    return garner.get(f"/v1/contracts/{topic}").json()


def test_what_is_in_force_is_told_and_follows_a_reload(make_garner):
    garner = make_garner(contracts={"events": {"partitions": 2, "key": "n", **SCHEMA},
                                    "old": {}})
    fingerprint = write_schema(garner, CLOSED)
    garner.start()
    first = contract(garner, "events")
    assert first["contract"]["partitions"] == 2 and first["contract"]["key"] == "n"
    assert first["contract"]["retention"] == {"time": "7d", "size": None,
                                              "expire_undelivered": False}
    assert first["schema"] == {"fingerprint": fingerprint, "document": CLOSED}
    assert contract(garner, "old")["schema"] is None
    assert [c["topic"] for c in garner.get("/v1/contracts").json()["contracts"]] == [
        "events", "old"]
    # A change comes into force with the reload and not with the file.
    wider = write_schema(garner, WIDER)
    garner.contracts["more"] = {}
    garner.write()
    assert contract(garner, "events") == first
    old = contract(garner, "old")
    assert reload(garner) == (0, [])
    second = contract(garner, "events")
    assert second["schema"] == {"fingerprint": wider, "document": WIDER}
    assert second["since"] > first["since"]
    assert contract(garner, "old") == old
    assert contract(garner, "more")["since"] == second["since"]
    # What is refused changes nothing, and what is taken away is gone.
    write_schema(garner, NARROWER)
    assert reload(garner)[0] == 78
    assert contract(garner, "events") == second
    write_schema(garner, WIDER)
    del garner.contracts["old"]
    garner.write()
    assert reload(garner)[0] == 0
    assert garner.get("/v1/contracts/old").status == 404
    assert garner.get("/v1/topics/old").status == 200


@pytest.mark.parametrize("where", ["server", "url", "directory", "configuration"])
def test_breaks_are_named_beforehand_as_the_reload_names_them(make_garner, where):
    garner = make_garner(contracts={"events": {"partitions": 2, **SCHEMA}})
    write_schema(garner, WIDER)
    garner.start()
    shutil.copytree(garner.folder / "contracts", garner.folder / "before" / "contracts")
    shutil.copy(garner.config_file, garner.folder / "before" / "garner.yaml")
    against = {"server": door(garner), "url": f"http://{door(garner)}/",
               "directory": "before/contracts", "configuration": "before"}[where]
    code, out, errors = check(garner, against)
    assert code == 0 and errors == [] and "    events: stays as it is\n" in out
    garner.contracts = {"events": {"partitions": 1, "dedup": "n", **SCHEMA}}
    garner.write()
    write_schema(garner, NARROWER)
    code, out, errors = check(garner, against)
    assert (code, out) == (78, "") and len(errors) == 4
    assert "#/properties/s: PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL" in "".join(errors)
    assert "#/properties/n/maximum: MAXIMUM_ADDED" in "".join(errors)
    code, said = reload(garner)
    # The place is written as each was told where the configuration is.
    assert code == 78 and said == errors
    # Nothing of it came into force by being looked at.
    assert contract(garner, "events")["schema"]["document"] == WIDER


def test_other_changes_are_told_and_a_reload_does_them(make_garner):
    garner = make_garner(contracts={"events": {}, "old": {}}).start()
    garner.contracts = {"events": {"partitions": 3, "on_invalid": "reject"}, "more": {}}
    garner.write()
    code, out, _ = check(garner, door(garner))
    assert code == 0
    assert ("    events: changes partitions from 1 to 3, on_invalid from \"dlq\" to \"reject\";"
            in out)
    assert "    more: is added:" in out and "    old: goes:" in out
    code, out, _ = check(garner, door(garner), "--json")
    topics = {t["name"]: t["change"] for t in json.loads(out)["against"]["topics"]}
    assert code == 0 and topics == {"events": "changed", "more": "added", "old": "removed"}
    assert reload(garner)[0] == 0
    code, out, _ = check(garner, door(garner))
    assert code == 0 and out.count("stays as it is") == 2


def test_check_and_reload_never_disagree(make_garner):
    garner = make_garner(contracts={"events": {"partitions": 2, **SCHEMA}, "keyed": {"dedup": "n"}})
    write_schema(garner, CLOSED)
    garner.start()
    none, full = {"compatibility": "NONE"}, {"compatibility": "FULL"}
    steps = [  # fields of `events`, its schema, fields of `keyed`, whether a reload takes it
        ({"partitions": 2, **SCHEMA}, CLOSED, {"dedup": "n"}, True),
        ({"partitions": 3, "owner": "me", **SCHEMA}, WIDER, {"dedup": "n"}, True),
        ({"partitions": 3, **SCHEMA}, CLOSED, {"dedup": "n"}, False),
        ({"partitions": 3, **SCHEMA, **full}, WIDER, {"dedup": "n"}, True),
        ({"partitions": 3, **SCHEMA, **full}, CLOSED, {"dedup": "n"}, False),
        ({"partitions": 3, **SCHEMA, **none}, NARROWER, {"dedup": "n"}, True),
        ({"partitions": 3, **none}, NARROWER, {"dedup": "n"}, True),
        ({"partitions": 3, **SCHEMA}, CLOSED, {"dedup": "n"}, False),
        ({"partitions": 2, **SCHEMA}, CLOSED, {"dedup": {"key": "n", "window": "1h"}}, False),
        ({"partitions": 3}, CLOSED, {"dedup": {"key": "n", "rate": 7}}, True),
        ({"partitions": 3}, CLOSED, {}, False),
    ]
    for events, schema, keyed, taken in steps:
        garner.contracts = {"events": events, "keyed": keyed}
        garner.write()
        write_schema(garner, schema)
        code, _, errors = check(garner, door(garner))
        assert (code, errors == []) == ((0, True) if taken else (78, False)), errors
        assert reload(garner) == (code, errors)


def test_partitions_of_a_topic_with_a_sink_are_seen_beforehand(make_garner):
    garner = make_garner(sinks={"lake": {"type": "file", "topics": ["events"], "path": "./lake"}})
    garner.start()
    garner.contracts = {"events": {"partitions": 3}}
    garner.write()
    code, _, errors = check(garner, door(garner))
    assert code == 78 and "sink lake delivers topic events" in errors[0]
    assert reload(garner) == (78, errors)


class Stranger(http.server.BaseHTTPRequestHandler):
    """Something that speaks HTTP and is no garner."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "15")
        self.end_headers()
        self.wfile.write(b"<html>hi</html>")

    def log_message(self, *_):
        pass


def test_what_cannot_be_compared_with_is_told(make_garner):
    garner = make_garner()
    nobody = free_ports(1)[0]
    code, out, errors = check(garner, f"127.0.0.1:{nobody}")
    assert (code, out) == (69, "") and "the connection was refused" in errors[0]
    with http.server.HTTPServer(("127.0.0.1", 0), Stranger) as stranger:
        thread = threading.Thread(target=stranger.handle_request)
        thread.start()
        code, out, errors = check(garner, f"http://127.0.0.1:{stranger.server_port}")
        thread.join()
    assert (code, out) == (69, "") and "answers, but not with contracts" in errors[0]
    (garner.folder / "empty").mkdir()
    code, out, errors = check(garner, "empty")
    assert (code, out) == (78, "")
    assert errors[0].startswith("empty:1:1: (root): expected a directory")
    assert check(garner, "nowhere")[0] == 64
    garner.start()
    # The intake is no admin door, and says so.
    code, _, errors = check(garner, f"127.0.0.1:{garner.intake_port}")
    assert code == 69 and "answered 404 to /v1/contracts" in errors[0]
    with Client(garner.admin_port) as client:
        assert client.request("POST", "/v1/contracts").status == 405
