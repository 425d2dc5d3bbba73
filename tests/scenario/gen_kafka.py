"""`garner gen --kafka` against a real server: the same accounts over another protocol."""
import collections
import json
import re

from lib.server import assert_balanced, program, run

ID = re.compile(rb'"id"[:;]"([0-9a-f]{8}-[0-9]{12})"')


def gen(garner, *flags, code=0, timeout=120):
    """Runs gen against the server's Kafka door; its report."""
    done = run("gen", "--kafka", "--server", f"127.0.0.1:{garner.kafka_port}", "--json", *flags,
               cwd=garner.folder, timeout=timeout)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return json.loads(done.stdout)


def outcomes(path):
    """{id: (outcome, sure, maybe)} of a list that gen wrote."""
    rows = (line.split("\t") for line in path.read_text().splitlines())
    return {row[0]: (row[1], int(row[2]), int(row[3])) for row in rows}


def ids(garner):
    return collections.Counter(ID.search(line)[1].decode() for line in garner.sink_lines("out"))


def test_everything_sent_is_acknowledged_delivered_and_found(garner):
    report = gen(garner, "--count", 12345, "--batch", 100, "--connections", 3, "--in-flight", 5,
                 "--verify", "out", "--acks", "acks")
    assert report["good"] and report["sent"] == report["accepted"] == 12345
    assert report["verified"]["records"] == 12345
    assert report["verified"]["missing"] == report["verified"]["repeated"] == 0
    assert report["statuses"] == {"0": 124}
    listed = outcomes(garner.folder / "acks")
    assert set(listed.values()) == {("acknowledged", 1, 0)}
    assert ids(garner) == {name: 1 for name in listed}


def test_every_codec_is_taken(make_garner):
    garner = make_garner(contracts={"events": {"partitions": 4}}).start()
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        report = gen(garner, "--count", 2000, "--batch", 100, "--codec", codec)
        assert report["accepted"] == 2000
    ledger = garner.ledger()
    assert_balanced(ledger)
    assert ledger["topics"]["events"]["accepted"] == 10000


def test_records_go_to_each_partition_in_turn(make_garner):
    garner = make_garner(contracts={"events": {"partitions": 4}}).start()
    gen(garner, "--count", 4000, "--batch", 100, "--connections", 1)
    topic = garner.get("/v1/topics/events").json()
    assert [p["end_offset"] - p["start_offset"] for p in topic["partitions"]] == [1000] * 4
    gen(garner, "--count", 2000, "--batch", 100, "--connections", 1, "--partitions", 2)
    topic = garner.get("/v1/topics/events").json()
    assert [p["end_offset"] for p in topic["partitions"]] == [2000, 2000, 1000, 1000]


def test_broken_records_may_be_dead_letters_and_are_not_missed(make_garner):
    schema = {"type": "jsonschema", "file": "any.json"}
    garner = make_garner(contracts={"events": {"schema": schema}}, sinks={
        "files": {"type": "file", "topics": ["events"], "path": "./out",
                  "roll": {"size": "1MiB", "time": "1s"}}})
    (garner.folder / "contracts" / "any.json").write_text('{"type":"object"}')
    garner.start()
    report = gen(garner, "--count", 3000, "--broken", 300, "--batch", 100, "--verify", "out",
                 "--acks", "acks")
    assert report["good"] and report["accepted"] == 3000
    listed = collections.Counter(row for row in outcomes(garner.folder / "acks").values())
    assert listed == {("acknowledged", 1, 0): 2700, ("unanswered", 0, 1): 300}
    ledger = garner.wait_delivered("files")
    assert_balanced(ledger)
    assert ledger["topics"]["events"]["accepted"] == 2700
    assert ledger["topics"]["events"]["dead_lettered"] == 300


def test_a_contract_that_refuses_refuses_the_batch(make_garner):
    schema = {"type": "jsonschema", "file": "any.json"}
    garner = make_garner(contracts={"events": {"schema": schema, "on_invalid": "reject"}})
    (garner.folder / "contracts" / "any.json").write_text('{"type":"object"}')
    garner.start()
    report = gen(garner, "--count", 1000, "--broken", 5, "--batch", 50, "--acks", "acks")
    assert (report["accepted"], report["refused"]) == (750, 250)
    assert report["statuses"] == {"0": 15, "87": 5}
    listed = collections.Counter(row[0] for row in outcomes(garner.folder / "acks").values())
    assert listed == {"acknowledged": 750, "refused": 250}


def test_records_sent_twice_on_purpose_are_expected_twice(garner):
    report = gen(garner, "--count", 5000, "--duplicates", "10%", "--batch", 100, "--verify", "out")
    assert report["sent"] == 5000 and report["sent_again"] > 400
    assert report["accepted"] == 5000 + report["sent_again"]


def test_nothing_is_lost_over_kills(make_garner):
    garner = make_garner(sinks={"files": {"type": "file", "topics": ["events"], "path": "./out",
                                          "roll": {"size": "1MiB", "time": "1s"}}})
    serve = f"exec {program()} serve --config garner.yaml >>server.log 2>&1"
    report = gen(garner, "--count", 60000, "--batch", 50, "--kills", 3, "--in-flight", 3,
                 "--verify", "out", "--restart-cmd", serve)
    assert report["kills"] == 3 and report["sent"] == 60000
    assert report["verified"]["missing"] == report["verified"]["unexplained"] == 0
    assert report["verified"]["repeated"] == report["verified"]["explained"]
    garner.start()
    assert_balanced(garner.wait_delivered("files"))


def test_what_is_sent_is_read_back(garner):
    report = gen(garner, "--count", 3000, "--batch", 10, "--rate", 3000, "--end-to-end")
    echo = report["end_to_end_ms"]
    assert echo["records"] == 3000
    assert 0 < echo["p50"] <= echo["p99"] <= echo["p99.9"]


def test_a_topic_is_read_whole(make_garner):
    garner = make_garner(contracts={"events": {"partitions": 3}}).start()
    gen(garner, "--count", 5000, "--batch", 10)
    report = gen(garner, "--fetch", "--connections", 2)
    assert report["records"] == 5000 and report["batches"] == 500


def test_what_it_cannot_do_is_said(garner):
    server = ("--server", f"127.0.0.1:{garner.kafka_port}")
    done = run("gen", "--kafka", *server, "--topic", "nope")
    assert done.returncode == 1 and b"has no topic nope; declare it in a contract" in done.stderr
    done = run("gen", "--kafka", *server, "--topic", "nope", "--fetch")
    assert done.returncode == 1 and b"has no topic nope" in done.stderr
    done = run("gen", "--kafka", "--server", "127.0.0.1:1")
    assert done.returncode == 69 and b"no server at 127.0.0.1:1" in done.stderr
    done = run("gen", "--kafka", *server, "--size", "2MiB", "--batch", 1, "--count", 1)
    assert done.returncode == 1 and b"MESSAGE_TOO_LARGE" in done.stderr
    for flags in (["--kafka", "--numbered"], ["--kafka", "--format", "json"], ["--codec", "lz4"],
                  ["--in-flight", "2"], ["--end-to-end"], ["--fetch"], ["--partitions", "1"],
                  ["--kafka", "--end-to-end", "--duplicates", "1%"]):
        done = run("gen", *flags)
        assert done.returncode == 64, (flags, done.stderr)
