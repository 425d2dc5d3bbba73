"""What keeps a server from starting, each with a clear word and an exit code; nothing is harmed."""
import json
import re
import socket
import subprocess

import pytest

from lib.server import assert_balanced, free_ports

FILE_SINK = {"type": "file", "topics": ["events"], "path": "./out", "roll": {"time": "50ms"}}
SMALL = {"wal_limit": "128MiB"}
UNAVAILABLE, IO, CONFIG = 69, 74, 78


def check_start_fails(garner, code, *words):
    """The server ends by itself with `code`, having said all of `words`."""
    before = len(garner.log_text())
    garner.start(ready=False)
    assert garner.wait_exit() == code
    said = garner.log_text()[before:]
    for word in words:
        assert word in said, said
    return said


@pytest.mark.parametrize("old, new, words", [
    ('"wal_limit"', '"wal_limt"', ["garner.yaml:3:3: wal_limt: unknown field 'wal_limt', did you "
                                   "mean 'wal_limit'?"]),
    ('"128MiB"', '"lots"', ["garner.yaml:3:16: wal_limit: expected a size"]),
    ('"./data"', '"${NOT_SET_ANYWHERE}/d"', ["garner.yaml:2:", "data_dir: expected the environment "
                                             "variable NOT_SET_ANYWHERE"]),
    ('"topics": [', '"topics": [ "other", ', ["sinks.files.topics[0]: expected a topic with a "
                                              "contract"]),
    ('{', '{ [', ["garner.yaml:"]),
], ids=["typo", "value", "unset-variable", "unknown-topic", "not-yaml"])
def test_a_mistake_in_the_configuration_is_told_with_its_place(make_garner, old, new, words):
    garner = make_garner(sinks={"files": FILE_SINK}, config=SMALL)
    text = garner.config_file.read_text()
    assert old in text
    garner.config_file.write_text(text.replace(old, new, 1))
    check_start_fails(garner, CONFIG, *words)
    assert not garner.data_dir.exists()
    garner.config_file.write_text(text)
    garner.start()


def test_a_contract_for_a_dlq_is_refused(make_garner):
    garner = make_garner(contracts={"events": {}, "x.dlq": {}}, config=SMALL)
    check_start_fails(garner, CONFIG, "x.dlq.yaml:2:12: topic: expected a name that does not end "
                                      "in .dlq")


def test_two_contracts_for_one_topic_are_refused_with_both_places(make_garner):
    garner = make_garner(config=SMALL)
    (garner.folder / "contracts" / "again.yaml").write_text("topic: events\n")
    check_start_fails(garner, CONFIG, "topic: expected one contract", "events.yaml:2:12",
                      "again.yaml:1:8")


@pytest.mark.parametrize("path", ["./out", "./out/", "./out/below", "./x/../out/{topic}",
                                  "./out.inprogress"])
def test_two_sinks_on_one_path_are_refused(make_garner, path):
    garner = make_garner(sinks={"one": FILE_SINK, "two": {**FILE_SINK, "path": path}},
                         config=SMALL)
    check_start_fails(garner, CONFIG, "sinks.two: path: ")


def test_partitions_are_raised_and_old_records_stay(make_garner, delivered):
    garner = make_garner(contracts={"events": {"partitions": 1, "key": "k"}},
                         sinks={"files": FILE_SINK}, config=SMALL).start()
    before = [{"k": f"key{n}", "n": n} for n in range(50)]
    after = [{"k": f"key{n}", "n": n} for n in range(50, 100)]
    assert garner.client().post_json("events", before).status == 200
    garner.kill()
    garner.contracts["events"]["partitions"] = 4
    garner.write()
    garner.start()
    assert "topic_partitions_raised" in garner.log_text()
    assert garner.client().post_json("events", after).status == 200
    records = delivered(garner)
    assert sorted(r["n"] for r in records) == list(range(100))
    partitions = {file.name.split("-")[1] for file in garner.sink_files("out")}
    assert partitions == {"0", "1", "2", "3"}


def test_partitions_cannot_be_lowered_and_nothing_is_lost_by_trying(make_garner, delivered):
    garner = make_garner(contracts={"events": {"partitions": 4}}, sinks={"files": FILE_SINK},
                         config=SMALL).start()
    assert garner.client().post_json("events", [{"n": n} for n in range(40)]).status == 200
    assert garner.stop() == 0
    garner.contracts["events"]["partitions"] = 3
    garner.write()
    check_start_fails(garner, CONFIG, "partitions", "events.yaml", "expected at least 4")
    garner.contracts["events"]["partitions"] = 4
    garner.write()
    garner.start()
    assert sorted(r["n"] for r in delivered(garner)) == list(range(40))


@pytest.mark.parametrize("door", ["intake", "admin", "kafka"])
def test_a_port_in_use_is_told_with_its_address(make_garner, door):
    garner = make_garner(config=SMALL)
    port = getattr(garner, f"{door}_port")
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        check_start_fails(garner, UNAVAILABLE, f"serve: {door}", f"127.0.0.1:{port}", "in use")
    garner.start()
    assert garner.client().post_json("events", {}).status == 200


def test_a_second_server_on_a_directory_ends_and_the_first_is_unharmed(make_garner, delivered):
    first = make_garner(sinks={"files": FILE_SINK}, config=SMALL).start()
    second = make_garner(sinks={"files": FILE_SINK}, config={**SMALL,
                                                             "data_dir": str(first.data_dir)})
    with first.client() as client:
        assert client.post_json("events", {"n": 1}).status == 200
        check_start_fails(second, UNAVAILABLE, str(first.data_dir), "server")
        assert client.post_json("events", {"n": 2}).status == 200
    first.kill()
    first.start()
    assert delivered(first) == [{"n": 1}, {"n": 2}]


def test_a_directory_of_a_newer_format_is_refused_untouched(make_garner):
    garner = make_garner(config=SMALL).start()
    assert garner.stop() == 0
    meta = garner.data_dir / "garner.meta"
    text = meta.read_text()
    written = int(re.search(r"^format (\d+)$", text, re.M)[1])
    newer = text.replace(f"format {written}\n", f"format {written + 1}\n")
    meta.write_text(newer)
    check_start_fails(garner, IO, f"format {written + 1}", "newer")
    assert meta.read_text() == newer
    meta.write_text(text)
    garner.start()


@pytest.mark.parametrize("text", ["", "hello\n", "garner data directory\nformat 1\n"],
                         ids=["empty", "strange", "cut"])
def test_a_broken_identity_is_refused(make_garner, text):
    garner = make_garner(config=SMALL).start()
    assert garner.client().post_json("events", {"n": 1}).status == 200
    garner.kill()
    meta = garner.data_dir / "garner.meta"
    whole = meta.read_text()
    meta.write_text(text)
    check_start_fails(garner, IO, "garner.meta", "restore")
    meta.unlink()
    check_start_fails(garner, IO, "garner.meta")
    meta.write_text(whole)
    garner.start()
    assert garner.ledger()["topics"]["events"]["accepted"] == 1


def test_a_directory_that_cannot_be_made_or_written_is_told(make_garner, mount):
    garner = make_garner(config={**SMALL, "data_dir": "/proc/garner"})
    check_start_fails(garner, IO, "/proc/garner")
    folder = mount("read-only", "tmpfs", "size=64m", "ro")
    garner = make_garner(config={**SMALL, "data_dir": str(folder)})
    check_start_fails(garner, IO, str(folder))
    garner = make_garner(config={**SMALL, "data_dir": "./file"})
    (garner.folder / "file").write_text("in the way")
    check_start_fails(garner, IO, "file")


def test_a_disk_too_small_to_start_on_is_told(make_garner, mount):
    folder = mount("tiny", "tmpfs", "size=8m")
    garner = make_garner(config={**SMALL, "data_dir": str(folder)})
    check_start_fails(garner, IO, str(folder), "space")


def test_a_file_system_without_direct_io_serves_and_says_so_once(make_garner, mount, delivered):
    folder = mount("memory", "ramfs")
    garner = make_garner(sinks={"files": FILE_SINK}, config={**SMALL, "data_dir": str(folder)})
    garner.start()
    assert garner.client().post_json("events", {"n": 1}).status == 200
    assert garner.log_text().count("log_no_direct_io") == 1
    garner.kill()
    garner.start()
    assert delivered(garner) == [{"n": 1}]


def test_an_address_for_everybody_needs_a_word(make_garner):
    ports = free_ports(2)
    garner = make_garner(config={**SMALL, "intake": {"listen": f"0.0.0.0:{ports[0]}"}})
    check_start_fails(garner, CONFIG, "intake.listen", "allow_open")
    garner.config["allow_open"] = True
    garner.write()
    garner.start()


def test_kafka_clients_are_told_an_address_of_their_own(make_garner):
    ports = free_ports(1)
    garner = make_garner(config={**SMALL, "kafka": {"listen": f"0.0.0.0:{ports[0]}",
                                                    "allow_open": True}})
    check_start_fails(garner, CONFIG, "kafka.listen", "`advertised`")
    garner.config["kafka"]["advertised"] = "localhost:29092"
    garner.write()
    garner.start()
    listed = subprocess.run(["kcat", "-L", "-J", "-b", f"127.0.0.1:{ports[0]}"],
                            capture_output=True, timeout=30, check=True)
    assert [b["name"] for b in json.loads(listed.stdout)["brokers"]] == ["localhost:29092"]


def test_what_a_fault_says_wrongly_is_told(make_garner):
    """The build with faults only: a test that meant to injure and did not would prove nothing."""
    garner = make_garner(config=SMALL, env={"GARNER_FAULT": "kill:perhaps:write:wal:1"})
    check_start_fails(garner, CONFIG, "GARNER_FAULT", "kill:perhaps:write:wal:1")
    garner.env.clear()
    garner.start()
    assert_balanced(garner.ledger())
