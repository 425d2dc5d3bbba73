"""`garner check`: what an operator gets to see of a right and of a wrong configuration."""
import json
import os
import subprocess

import pytest

from lib.server import program, run

CONTRACT = """\
topic: flights
description: one record a scheduled flight
owner: data-platform@example.com
partitions: 3
key: carrier
event_time: departed_at
on_invalid: dlq
"""

CONFIG = """\
data_dir: ./garner-data
durability: fsync
memory_limit: 512MiB
intake:   { listen: 127.0.0.1:8080 }
admin:    { listen: 127.0.0.1:9600 }
contracts: [ contracts/*.yaml ]
sinks:
  lake: { type: file, topics: [flights], path: "./lake/{topic}/dt={event_time:%Y-%m-%d}" }
"""


@pytest.fixture(name="folder")
def make_folder(tmp_path):
    (tmp_path / "contracts").mkdir()
    (tmp_path / "contracts" / "flights.yaml").write_text(CONTRACT)
    (tmp_path / "garner.yaml").write_text(CONFIG)
    return tmp_path


def check(folder, *arguments, env=None):
    """Exit code, standard output, and the lines of standard error, of a check in the folder."""
    done = run("check", "--config", "garner.yaml", *arguments, cwd=folder,
               env={**os.environ, **(env or {})})
    return done.returncode, done.stdout.decode(), done.stderr.decode().splitlines()


def replace(folder, name, old, new):
    """One place of a file is changed; it has to be there."""
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new))


def test_a_right_configuration_is_summed_up(folder):
    code, out, errors = check(folder)
    assert (code, errors) == (0, [])
    for part in ("fsync", "127.0.0.1:8080", "127.0.0.1:9600", "127.0.0.1:9092",
                 "flights: 3 partitions", "lake: file"):
        assert part in out
    assert sorted(p.name for p in folder.iterdir()) == ["contracts", "garner.yaml"]


def test_what_becomes_of_records_is_told_with_the_topic(folder):
    _, out, _ = check(folder)
    assert "kept 7d; dead letters 7d, 1.0 GiB at the most, then broken records are refused" in out
    with (folder / "contracts" / "flights.yaml").open("a") as contract:
        contract.write("retention: { time: 36h, size: 10GiB, expire_undelivered: true }\n"
                       "compression: lz4\ndlq: { size: 2MiB, when_full: drop_oldest }\n")
    code, out, errors = check(folder)
    assert (code, errors) == (0, [])
    assert "kept 36h, 10.0 GiB at the most, delivered or not, compressed with lz4; dead letters " \
           "7d, 2.0 MiB at the most, then the oldest go" in out


def test_json_is_one_object(folder):
    code, out, _ = check(folder, "--json")
    answer = json.loads(out)
    assert code == 0 and answer["ok"] and answer["errors"] == []
    assert answer["data_dir"] == str(folder / "garner-data")
    assert answer["topics"] == [
        {"name": "flights", "partitions": 3, "file": "contracts/flights.yaml",
         "examples": {"valid": 0, "invalid": 0}}]
    assert answer["sinks"] == [{"name": "lake", "type": "file", "topics": ["flights"]}]


@pytest.mark.parametrize("name, old, new, expected", [
    ("garner.yaml", "intake:   { listen", "intake:   { lisen",
     "garner.yaml:4:13: intake.lisen: unknown field 'lisen', did you mean 'listen'?"),
    ("garner.yaml", "512MiB", "lots", "garner.yaml:3:15: memory_limit: expected a size"),
    ("garner.yaml", "127.0.0.1:8080", "0.0.0.0:8080",
     "garner.yaml:4:21: intake.listen: expected a loopback address"),
    ("garner.yaml", "[flights]", "[flihgts]",
     "garner.yaml:8:32: sinks.lake.topics[0]: expected a topic with a contract, got 'flihgts', "
     "did you mean 'flights'?"),
    ("garner.yaml", "./garner-data", "${NOT_SET_ANYWHERE}/x",
     "garner.yaml:1:11: data_dir: expected the environment variable NOT_SET_ANYWHERE"),
    ("garner.yaml", "contracts/*.yaml", "contract/*.yaml",
     "garner.yaml:6:14: contracts[0]: expected a pattern that matches a file"),
    ("garner.yaml", "durability: fsync", "\tdurability: fsync", "garner.yaml:2:1: "),
    ("contracts/flights.yaml", "topic: flights", "topic: flights.dlq",
     "contracts/flights.yaml:1:8: topic: expected a name that does not end in .dlq"),
    ("contracts/flights.yaml", "partitions: 3", "partitions: three",
     "contracts/flights.yaml:4:13: partitions: expected a whole number from 1 to 10000"),
    ("contracts/flights.yaml", "on_invalid: dlq", "retention: { time: 7d, sise: 10GiB }",
     "contracts/flights.yaml:7:24: retention.sise: unknown field 'sise', did you mean 'size'?"),
    ("contracts/flights.yaml", "on_invalid: dlq", "retention: { expire_undelivered: 1 }",
     "contracts/flights.yaml:7:34: retention.expire_undelivered: expected true or false"),
    ("contracts/flights.yaml", "on_invalid: dlq", "dlq: { when_full: stop }",
     "contracts/flights.yaml:7:19: dlq.when_full: expected refuse or drop_oldest, got 'stop'"),
    ("contracts/flights.yaml", "on_invalid: dlq", "compression: brotli",
     "contracts/flights.yaml:7:14: compression: expected none, gzip, snappy, lz4 or "
     "zstd, got 'brotli'"),
])
def test_a_mistake_is_told_with_its_place(folder, name, old, new, expected):
    replace(folder, name, old, new)
    code, out, errors = check(folder)
    assert (code, out) == (78, "")
    assert errors[0].startswith(expected)


def test_two_contracts_for_one_topic_name_both_files(folder):
    (folder / "contracts" / "other.yaml").write_text("topic: flights\n")
    code, _, errors = check(folder)
    assert code == 78
    assert errors[0].startswith("contracts/other.yaml:1:8: topic: expected one contract")
    assert "contracts/flights.yaml:1:8" in errors[0]


def test_two_sinks_on_one_path_are_refused(folder):
    with (folder / "garner.yaml").open("a") as config:
        config.write("  twin: { type: file, topics: [flights], path: lake }\n")
    code, _, errors = check(folder)
    assert code == 78
    assert errors[0].startswith("garner.yaml:9:9: sinks.twin: path: ")


def test_several_mistakes_are_told_at_once(folder):
    replace(folder, "garner.yaml", "fsync", "sometimes")
    replace(folder, "garner.yaml", "type: file", "type: fil")
    code, out, errors = check(folder, "--json")
    assert code == 78
    answer = json.loads(out)
    assert not answer["ok"]
    assert [(e["line"], e["path"]) for e in answer["errors"]] == [
        (2, "durability"), (8, "sinks.lake.type")]
    assert len(errors) == 2


def test_values_come_from_the_environment_and_from_files(folder):
    (folder / "dir").write_text("/var/lib/garner\n")
    replace(folder, "garner.yaml", "./garner-data", "${file:dir}/data")
    replace(folder, "garner.yaml", "127.0.0.1:8080", '"127.0.0.1:${PORT}"')
    code, out, _ = check(folder, "--json", env={"PORT": "18080"})
    answer = json.loads(out)
    assert code == 0
    assert answer["data_dir"] == "/var/lib/garner/data"
    assert answer["doors"] == {"intake": "127.0.0.1:18080", "admin": "127.0.0.1:9600",
                               "kafka": "127.0.0.1:9092"}


def test_without_a_file_the_defaults_of_the_directory_are_checked(tmp_path):
    done = subprocess.run([program(), "check", "--json"], cwd=tmp_path, capture_output=True,
                          timeout=60, check=False)
    assert done.returncode == 0
    assert json.loads(done.stdout)["data_dir"] == str(tmp_path / "garner-data")


def test_a_file_that_was_named_must_be_there(tmp_path):
    done = run("check", "--config", "none.yaml", cwd=tmp_path)
    assert done.returncode == 78
    assert done.stderr.startswith(b"none.yaml:1:1: (root): expected a file that can be read")
