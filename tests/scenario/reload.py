"""Reloading: contracts change under load, mistakes change nothing, nothing is lost or repeated."""
import json
import threading

import pytest

from lib.server import assert_balanced, run
from lib.wait import until

CLOSED = {"type": "object", "additionalProperties": False, "required": ["n"],
          "properties": {"n": {"type": "integer"}}}


def reload(garner):
    done = run("reload", "--json", "--server", f"127.0.0.1:{garner.admin_port}")
    return done.returncode, done.stdout and json.loads(done.stdout), done.stderr.decode()


def write_schema(garner, schema, topic="events"):
    (garner.folder / "contracts" / f"{topic}.schema.json").write_text(json.dumps(schema))


def with_schema(**fields):
    return {"schema": {"type": "jsonschema", "file": "events.schema.json"}, **fields}


def post(garner, topic, value):
    with garner.client() as client:
        return client.post_json(topic, value)


def consume(garner, topic):
    done = run("consume", topic, "--server", f"127.0.0.1:{garner.admin_port}")
    assert done.returncode == 0, done
    return [json.loads(line)["n"] for line in done.stdout.splitlines()]


def test_topics_come_change_and_go(make_garner):
    garner = make_garner(contracts={"events": {}, "old": {}}).start()
    assert post(garner, "old", {"n": 1}).status == 200
    garner.contracts = {"events": {"partitions": 4, "on_invalid": "reject"}, "more": {}}
    garner.write()
    code, said, _ = reload(garner)
    assert (code, said) == (0, {"reloaded": True, "topics": {
        "added": ["more"], "changed": ["events"], "removed": ["old"]}})
    assert post(garner, "more", {"n": 1}).status == 200
    assert post(garner, "old", {"n": 2}).status == 404
    with garner.client() as client:
        assert client.post("events", b"broken", "application/x-ndjson").status == 422
    assert len(garner.get("/v1/topics/events").json()["partitions"]) == 4
    assert consume(garner, "old") == [1]
    assert 'garner_config_reloads_total{outcome="done"} 1' in garner.metrics()
    # And back: the topic goes on where it stood.
    garner.contracts["old"] = {}
    garner.write()
    assert reload(garner)[1]["topics"]["added"] == ["old"]
    assert post(garner, "old", {"n": 3}).status == 200
    assert consume(garner, "old") == [1, 3]
    assert_balanced(garner.ledger())


def test_a_schema_may_widen_and_may_not_narrow(make_garner):
    garner = make_garner(contracts={"events": with_schema()})
    write_schema(garner, CLOSED)
    garner.start()
    wider = {**CLOSED, "properties": {**CLOSED["properties"], "s": {"type": "string"}}}
    write_schema(garner, wider)
    assert reload(garner)[1]["topics"]["changed"] == ["events"]
    assert post(garner, "events", {"n": 1, "s": "x"}).json()["accepted"] == 1
    write_schema(garner, {**CLOSED, "properties": {"n": {"type": "string"}}})
    code, said, error = reload(garner)
    assert code == 78 and not said["reloaded"]
    assert "events.yaml:" in error and "#/properties/n/type: TYPE_CHANGED" in error
    assert "#/properties/s: PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL" in error
    assert post(garner, "events", {"n": 1, "s": "x"}).json()["accepted"] == 1
    garner.contracts = {"events": with_schema(compatibility="NONE")}
    garner.write()
    assert reload(garner)[0] == 0
    assert post(garner, "events", {"n": "a"}).json()["accepted"] == 1
    assert post(garner, "events", {"n": 1}).json()["dead_lettered"] == 1


def test_transitive_kinds_remember_what_was_in_force_across_restarts(make_garner):
    garner = make_garner(contracts={"events": with_schema(compatibility="NONE")})
    write_schema(garner, {"properties": {"n": {"type": "integer"}}})
    garner.start()
    write_schema(garner, {"properties": {"n": {"type": "string"}}})
    assert reload(garner)[0] == 0
    garner.kill()
    garner.contracts = {"events": with_schema(compatibility="BACKWARD_TRANSITIVE")}
    garner.write()
    garner.start()
    wider = {"properties": {"n": {"type": ["string", "null"]}}}
    write_schema(garner, wider)
    code, _, error = reload(garner)
    assert code == 78
    assert "not BACKWARD with that of 20" in error and "#/properties/n/type: TYPE" in error
    against = run("check", "--config", garner.config_file, "--against",
                  f"127.0.0.1:{garner.admin_port}")
    assert against.returncode == 78 and b"not BACKWARD with that of 20" in against.stderr
    garner.contracts = {"events": with_schema(compatibility="BACKWARD")}
    garner.write()
    assert reload(garner)[0] == 0
    versions = run("consume", "_contracts", "--server", f"127.0.0.1:{garner.admin_port}")
    texts = [json.loads(json.loads(line)["schema"]) for line in versions.stdout.splitlines()]
    assert [t["properties"]["n"]["type"] for t in texts] == \
        ["integer", "string", ["string", "null"]]
    # Nothing is written where nothing changes.
    garner.stop()
    garner.start()
    assert garner.ledger()["topics"]["_contracts"]["accepted"] == 3
    assert_balanced(garner.ledger())


@pytest.mark.parametrize("change, message", [
    ({"data_dir": "./other"}, "data_dir"), ({"wal_limit": "256MiB"}, "wal_limit"),
    ({"memory_limit": "64MiB"}, "memory_limit"), ({"loops": 1}, "loops"),
    ({"durability": "interval"}, "durability.mode"),
    ({"shutdown_timeout": "9s"}, "shutdown_timeout"),
    ({"intake": {"listen": "127.0.0.1:1"}}, "intake.listen"),
    ({"admin": {"listen": "127.0.0.1:1"}}, "admin.listen"), ({"check_every": "2h"}, "check_every"),
    ({"kafka": {"listen": "127.0.0.1:1"}}, "kafka.listen"),
    ({"sinks": {"lake": {"type": "file", "topics": ["events"], "path": "./lake"}}}, "sinks"),
])
def test_what_needs_a_restart_is_refused_by_name(make_garner, change, message):
    garner = make_garner().start()
    garner.config.update(change)
    garner.contracts["more"] = {}
    garner.write()
    code, said, error = reload(garner)
    assert code == 78 and not said["reloaded"]
    assert f"{message} has changed, which needs a restart" in error
    assert post(garner, "more", {}).status == 404
    assert 'garner_config_reloads_total{outcome="refused"} 1' in garner.metrics()


def test_mistakes_are_told_with_their_place(make_garner):
    garner = make_garner(contracts={"events": {"partitions": 2}}).start()
    garner.contracts = {"events": {"partitions": 1}}
    garner.write()
    code, _, error = reload(garner)
    assert code == 78 and "events.yaml:3:17: partitions: topic events has 2" in error
    garner.contracts = {"events": {"partitons": 2}}
    garner.write()
    code, _, error = reload(garner)
    assert code == 78 and "events.yaml:3:" in error and "did you mean" in error
    garner.reload()
    until(lambda: garner.log_text().count("reload_refused") >= 5, "the log to say so")
    assert post(garner, "events", {}).status == 200


def test_partitions_of_a_topic_with_a_sink_need_a_restart(make_garner):
    garner = make_garner(sinks={"lake": {"type": "file", "topics": ["events"], "path": "./lake"}})
    garner.start()
    garner.contracts = {"events": {"partitions": 3}}
    garner.write()
    code, _, error = reload(garner)
    assert code == 78 and "events.yaml:3:17: partitions: sink lake delivers topic events" in error


class Sender(threading.Thread):
    """Sends numbers without a pause; what was acknowledged is in `acked`."""

    def __init__(self, garner):
        super().__init__()
        self.garner, self.acked, self.failed, self.halt = garner, [], [], threading.Event()

    def run(self):
        with self.garner.client() as client:
            n = 0
            while not self.halt.is_set():
                answer = client.post_json("events", {"n": n})
                (self.acked if answer.status == 200 and answer.json()["accepted"] == 1
                 else self.failed).append(n)
                n += 1


def test_twenty_reloads_under_load_lose_and_repeat_nothing(make_garner):
    garner = make_garner(contracts={"events": with_schema(partitions=1)}, sinks={
        "lake": {"type": "file", "topics": ["events"], "path": "./lake", "roll": {"time": "1s"}}})
    write_schema(garner, CLOSED)
    garner.start()
    sender = Sender(garner)
    sender.start()
    for i in range(20):
        sent = len(sender.acked)
        until(lambda seen=sent: len(sender.acked) > seen + 20, "records to be sent")
        garner.contracts = {"events": with_schema(partitions=1, key=["n", "m"][i % 2],
                                                 on_invalid=["dlq", "reject"][i % 2]), f"t{i}": {}}
        garner.write()
        if i % 5 == 4:
            (garner.folder / "contracts" / "broken.yaml").write_text("topic: [")
        assert reload(garner)[0] == (78 if i % 5 == 4 else 0)
    sender.halt.set()
    sender.join()
    assert not sender.failed
    ledger = garner.wait_delivered("lake")
    assert_balanced(ledger)
    assert ledger["topics"]["events"]["accepted"] == len(sender.acked)
    assert garner.stop() == 0
    delivered = sorted(json.loads(line)["n"] for line in garner.sink_lines("lake"))
    assert delivered == sender.acked


def test_a_kill_in_the_middle_of_reloads_leaves_a_log_that_starts(make_garner):
    garner = make_garner(contracts={"events": {}}).start()
    for i in range(6):
        assert post(garner, "events", {"n": i}).status == 200
        garner.contracts[f"t{i}"] = {"partitions": i + 1}
        garner.write()
        garner.reload()
        garner.kill()
        garner.start()
        assert post(garner, f"t{i}", {"n": i}).status == 200
    assert consume(garner, "events") == list(range(6))
    assert_balanced(garner.ledger())


def test_letters_are_redriven_by_the_contract_in_force(make_garner):
    garner = make_garner(contracts={"events": with_schema()})
    write_schema(garner, CLOSED)
    garner.start()
    assert post(garner, "events", {"n": 1, "s": "x"}).json()["dead_lettered"] == 1
    write_schema(garner, {**CLOSED, "properties": {**CLOSED["properties"], "s": {}}})
    assert reload(garner)[0] == 0
    done = run("dlq", "redrive", "events", "--server", f"127.0.0.1:{garner.admin_port}")
    assert done.returncode == 0, done
    assert consume(garner, "events") == [1]
    ledger = garner.ledger()
    assert_balanced(ledger)
    assert ledger["dlq"]["events"]["redriven"] == 1


def test_dedup_changes_with_a_restart(make_garner):
    garner = make_garner(contracts={"events": {"dedup": {"key": "n"}}}).start()
    garner.contracts["events"] = {"dedup": {"key": "m"}}
    garner.write()
    code, _, error = reload(garner)
    assert code == 78 and "dedup of topic events has changed, which needs a restart" in error
    assert post(garner, "events", {"n": 1}).json()["accepted"] == 1
    assert post(garner, "events", {"n": 1}).json()["duplicates"] == 1
    garner.stop()
    garner.start()
    assert post(garner, "events", {"n": 1}).json()["accepted"] == 1
