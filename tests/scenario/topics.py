"""`garner topics` and /v1/topics: what there is, and that only what nobody declares can go."""
import json

from lib.server import assert_balanced, run
from lib.wait import until

CONTRACTS = {"events": {"partitions": 3, "retention": {"time": "12h", "size": "1GiB"},
                        "compression": "zstd"},
             "old": {}}


def topics(garner, *words):
    return run("topics", *words, "--server", f"127.0.0.1:{garner.admin_port}")


def delete(garner, path):
    with garner.client() as client:
        client.connection.port = garner.admin_port
        return client.request("DELETE", path)


def names(garner):
    return [topic["name"] for topic in garner.get("/v1/topics").json()["topics"]]


def test_topics_are_listed_with_what_becomes_of_them(make_garner):
    garner = make_garner(contracts=CONTRACTS).start()
    with garner.client() as client:
        client.post_ndjson("events", [{"n": n} for n in range(30)] + [b"broken"])
    events = garner.get("/v1/topics/events").json()
    assert events in garner.get("/v1/topics").json()["topics"]
    assert events["offsets"] == sum(p["end_offset"] for p in events["partitions"]) == 30
    assert [p["partition"] for p in events["partitions"]] == [0, 1, 2]
    assert events["contract"] is True and events["dlq"] == "events.dlq"
    assert events["compression"] == "zstd" and events["retention_bytes"] == 2 ** 30
    assert events["retention_ms"] == 12 * 3600 * 1000 and events["wal_bytes"] > 30 * 7
    dlq = garner.get("/v1/topics/events.dlq").json()
    assert dlq["dlq_of"] == "events" and dlq["offsets"] == 1
    assert sorted(names(garner)) == ["events", "events.dlq", "old", "old.dlq"]


def test_the_list_is_a_table_for_people(make_garner):
    garner = make_garner(contracts=CONTRACTS).start()
    done = topics(garner, "list")
    assert done.returncode == 0 and not done.stderr
    rows = {line.split()[0]: line.split()[1:] for line in done.stdout.decode().splitlines()}
    assert rows["topic"] == ["partitions", "offsets", "size", "retention", "compression"]
    assert rows["events"] == ["3", "0", "0", "B", "12h,", "1.0", "GiB", "zstd"]
    assert json.loads(topics(garner, "list", "--json").stdout) == garner.get("/v1/topics").json()
    done = topics(garner, "describe", "events")
    assert done.returncode == 0 and b"dead letters events.dlq\n" in done.stdout
    assert done.stdout.decode().splitlines()[-1].split() == ["2", "0", "0"]


def test_a_topic_that_is_not_there_is_told(garner):
    done = topics(garner, "describe", "boats")
    assert done.returncode == 1 and done.stderr == b"garner topics: there is no topic boats\n"
    assert garner.get("/v1/topics/boats").status == 404
    assert delete(garner, "/v1/topics/boats?confirm=boats").status == 404


def test_what_a_contract_declares_is_not_deleted(garner):
    for topic in ("events", "events.dlq"):
        done = topics(garner, "delete", topic, "--yes")
        assert done.returncode == 1 and b"belongs to a contract" in done.stderr
        assert delete(garner, f"/v1/topics/{topic}?confirm={topic}").status == 409
    assert sorted(names(garner)) == ["events", "events.dlq"]


def test_a_topic_without_a_contract_goes_with_its_dead_letters_for_ever(make_garner):
    garner = make_garner(contracts=CONTRACTS).start()
    with garner.client() as client:
        client.post_ndjson("old", [{"n": 1}, b"broken"])
        client.post_ndjson("events", [{"n": 2}])
    uuid = garner.get("/v1/topics/old").json()["uuid"]
    assert garner.stop() == 0
    del garner.contracts["old"]
    garner.write()
    garner.start()
    assert delete(garner, "/v1/topics/old").status == 400, "its name is asked for twice"
    assert topics(garner, "delete", "old").returncode == 64
    assert "old" in names(garner)
    done = topics(garner, "delete", "old", "--yes")
    assert done.returncode == 0 and done.stdout == b"deleted old.dlq\ndeleted old\n"
    for _ in range(2):
        assert sorted(names(garner)) == ["events", "events.dlq"]
        assert garner.get("/v1/topics/old/records").status == 404
        assert_balanced(garner.ledger())
        garner.kill()
        garner.start()
    garner.stop()
    garner.contracts["old"] = {}
    garner.write()
    garner.start()
    again = garner.get("/v1/topics/old").json()
    assert again["uuid"] != uuid and again["offsets"] == 0


def test_a_sink_goes_on_when_one_of_its_topics_is_deleted(make_garner):
    sink = {"type": "file", "topics": ["events", "old"], "path": "./out/{topic}",
            "roll": {"size": "64MiB", "time": "50ms"}}
    garner = make_garner(contracts=CONTRACTS, sinks={"files": sink}).start()
    with garner.client() as client:
        client.post_ndjson("old", [{"n": 1}])
    garner.wait_delivered("files")
    garner.stop()
    del garner.contracts["old"]
    garner.config["sinks"]["files"]["topics"] = ["events"]
    garner.write()
    garner.start()
    assert topics(garner, "delete", "old", "--yes").returncode == 0
    with garner.client() as client:
        client.post_ndjson("events", [{"n": 2}])
    until(lambda: len(garner.sink_lines("out")) == 2, "the record behind the deletion")
    assert garner.ledger()["balanced"] is True
