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


def topic(garner, name):
    return garner.get(f"/v1/topics/{name}").json()


def test_a_topic_without_a_contract_is_made_and_altered(make_garner):
    garner = make_garner(contracts=CONTRACTS).start()
    done = topics(garner, "create", "made", "--partitions", "2", "--retention", "12h",
                  "--partition-size", "1GiB", "--compression", "zstd", "--batch-size", "2MiB")
    assert (done.returncode, done.stdout) == (0, b"created made\n")
    made = topic(garner, "made")
    assert (made["partition_count"], made["retention_ms"]) == (2, 12 * 3600 * 1000)
    assert (made["retention_bytes"], made["compression"]) == (2 * 2 ** 30, "zstd")
    assert made["batch_bytes"] == 2 * 2 ** 20
    assert b"batch size   2.0 MiB\n" in topics(garner, "describe", "made").stdout
    assert made["contract"] is False and made["dlq"] is None
    with garner.client() as client:
        assert client.post_ndjson("made", [{"n": 1}]).json()["accepted"] == 1
    done = topics(garner, "alter", "made", "--partitions", "3", "--retention", "0",
                  "--compression", "default", "--batch-size", "default")
    assert (done.returncode, done.stdout) == (0, b"changed made\n")
    made = topic(garner, "made")
    assert (made["partition_count"], made["retention_ms"]) == (3, 0)
    assert (made["retention_bytes"], made["compression"]) == (3 * 2 ** 30, "none")
    assert made["batch_bytes"] == 1048588
    garner.kill()
    garner.start()
    assert {**topic(garner, "made"), "wal_bytes": made["wal_bytes"]} == made
    done = topics(garner, "delete", "made", "--yes")
    assert (done.returncode, done.stdout) == (0, b"deleted made\n")
    with garner.client() as client:
        assert client.post_ndjson("made", [{"n": 1}]).status == 404
    assert topics(garner, "create", "made").returncode == 0
    assert topic(garner, "made")["partition_count"] == 1
    with garner.client() as client:
        assert client.post_ndjson("made", [{"n": 1}]).json()["accepted"] == 1
    assert_balanced(garner.ledger())


def test_what_cannot_be_made_or_altered_says_why(make_garner):
    garner = make_garner().start()
    for words, code, told in (
            (("create", "events"), 1, b"exists already"),
            (("create", "new.dlq"), 1, b"does not end in .dlq"),
            (("create", "new", "--partitions", "0"), 1, b"a number from 1 to 10000"),
            (("create", "new", "--partitions", "many"), 64, b"--partitions: expected a number"),
            (("create", "new", "--retention", "7"), 64, b"expected a time such as 7d"),
            (("create", "new", "--partition-size", "x"), 64, b"expected a size such as 1GiB"),
            (("create", "new", "--batch-size", "x"), 64, b"expected a size such as 1MiB"),
            (("create", "new", "--compression", "brotli"), 1, b"none, gzip, snappy, lz4, zstd"),
            (("create", "new", "--compression", "a&b"), 64, b"--compression: expected"),
            (("alter", "events", "--partitions", "9"), 1, b"is declared by its contract"),
            (("alter", "none", "--partitions", "9"), 1, b"no such topic"),
            (("alter", "events"), 64, b"expected what is to be altered")):
        done = topics(garner, *words)
        assert (done.returncode, told in done.stderr) == (code, True), (words, done)
    assert sorted(names(garner)) == ["events", "events.dlq"]


def test_partitions_that_are_there_do_not_keep_settings_from_being_tried_again(make_garner):
    garner = make_garner(contracts=CONTRACTS).start()
    with garner.client() as client:
        client.connection.port = garner.admin_port
        assert client.request("POST", "/v1/topics/made?partitions=2").json() == {"created": "made"}
        for query, told in (("partitions=2&retention_ms=1", "expected more than that"),
                            ("retention=1", "each once at the most"),
                            ("retention_ms=1&retention_ms=2", "each once at the most"),
                            ("retention_ms=-1", "retention_ms: expected"),
                            ("batch_bytes=0", "batch_bytes: expected"),
                            ("partitions=default", "partitions: expected")):
            answer = client.request("PUT", f"/v1/topics/made?{query}")
            assert (answer.status, told in answer.json()["detail"]) == (400, True), query
        assert topic(garner, "made")["retention_ms"] == 7 * 86400000
        answer = client.request("PUT", "/v1/topics/made?partitions=3&retention_ms=5000")
        assert answer.json() == {"changed": "made"}
    assert topic(garner, "made")["retention_ms"] == 5000
