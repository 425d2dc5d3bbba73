"""Kafka's own DumpLogSegments reads the segments that garner sealed: every record, its offset and
its value, and indexes that point where they should; batches without records are none of its faults.
"""
import json
import re
import shutil
import subprocess

import pytest

from lib.kafka_batch import Connection, batch
from lib.server import ROOT
from lib.wait import until

VERSION = "3.9.1"
JARS = ROOT / "build" / "deps" / f"kafka-{VERSION}"
POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
<modelVersion>4.0.0</modelVersion>
<groupId>tests</groupId><artifactId>kafka-dump-log</artifactId><version>1</version>
<packaging>pom</packaging>
<dependencies><dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId>
<version>{VERSION}</version></dependency></dependencies>
</project>
"""
RECORD = re.compile(r"offset: (\d+) .* valueSize: (\d+) .*payload: (.*)$")
BATCH = re.compile(r"baseOffset: (\d+) lastOffset: (\d+) count: (\d+) .*compresscodec: (\w+) .*"
                   r"isvalid: (\w+)")
# Two batches of a thousand a request, some 60 MB: more than three files of the smallest log.
ROUND = 1000
ROUNDS = 60


def fetch(target):
    """Kafka and what it needs, from Maven's repository and kept for later runs."""
    half = target.with_name(f"{target.name}.half")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(parents=True)
    (half / "pom.xml").write_text(POM)
    subprocess.run(["mvn", "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={half}"],
                   cwd=half, check=True, timeout=600, stdout=subprocess.DEVNULL)
    half.rename(target)


@pytest.fixture(scope="module")
def dump():
    """DumpLogSegments over a file; its lines."""
    if shutil.which("java") is None:
        pytest.skip("java is not installed; tools/setup test installs it")
    if not JARS.exists():
        fetch(JARS)

    def read(path, *options, holes=False):
        done = subprocess.run(
            ["java", "-Xmx256m", "-cp", f"{JARS}/*", "kafka.tools.DumpLogSegments", *options,
             "--files", str(path)], capture_output=True, text=True, check=False, timeout=300)
        # Without a logger for its own messages it says so once, and nothing else.
        said = [line for line in done.stderr.splitlines() if not line.startswith("SLF4J")]
        # As of every compacted log.
        if holes and said and said.pop(0).startswith("Non-consecutive offsets in"):
            said = [line for line in said if not re.fullmatch(r" +\d+ is followed by \d+", line)]
        assert done.returncode == 0 and not said, done.stderr
        return done.stdout.splitlines()
    return read


def seal(make_garner, codec):
    """A server that has sealed a part of what it was sent; and where its segments are."""
    garner = make_garner(contracts={"events": {"compression": codec}},
                         config={"wal_limit": "128MiB"}).start()
    with garner.client() as client:
        for first in range(0, ROUND * ROUNDS, ROUND):
            lines = [value(n) for n in range(first, first + ROUND)]
            assert client.post_ndjson("events", lines).json()["accepted"] == ROUND
    folder = garner.data_dir / "topics"
    until(lambda: garner.get("/v1/topics/events").json()["sealed_bytes"] > 0, "a sealed file")
    garner.stop()
    # A clean stop's checkpoint names all that is in the files.
    logs = sorted(folder.glob("events-*/0/*.log"))
    assert logs
    return garner, logs


def value(n):
    return {"n": n, "pad": "abcdefgh" * 120}


@pytest.mark.parametrize("codec", ["none", "lz4", "zstd"])
def test_kafka_reads_what_was_sealed(make_garner, dump, codec):
    _, logs = seal(make_garner, codec)
    offset = 0
    codecs = set()
    for log in logs:
        assert int(log.stem) == offset
        batches = []
        for line in dump(log, "--deep-iteration", "--print-data-log"):
            assert "corrupt" not in line.lower() and "mismatch" not in line.lower(), line
            if batch := BATCH.match(line):
                batches.append(batch)
                assert batch[5] == "true"
                assert int(batch[2]) - int(batch[1]) + 1 == int(batch[3])
                codecs.add(batch[4])
            elif record := RECORD.search(line):
                assert int(record[1]) == offset, line[:200]
                assert json.loads(record[3]) == value(offset)
                offset += 1
        assert int(batches[-1][2]) == offset - 1
    assert offset > 10 * ROUND
    assert codecs == {codec.upper()} or codecs == {codec}


@pytest.mark.parametrize("codec", ["none", "zstd"])
def test_the_indexes_pass_kafkas_checks(make_garner, dump, codec):
    _, logs = seal(make_garner, codec)
    for log in logs:
        for suffix in (".index", ".timeindex"):
            index = log.with_suffix(suffix)
            for option in ("--index-sanity-check", "--verify-index-only"):
                text = "\n".join(dump(index, option))
                assert "mismatch" not in text.lower() and "corrupt" not in text.lower(), text
                assert "not found" not in text.lower() and "out of order" not in text.lower(), text
            # An index without a file, or without entries, would pass all of that.
            assert index.stat().st_size > 0


def seal_holes(make_garner, codec):
    """The same where nothing is left of many batches: of so many in front that the first entries of
    the indexes lie among them."""
    garner = make_garner(
        contracts={"events": {"compression": codec, "dedup": {"key": "id", "window": "1h"},
                              "schema": {"type": "jsonschema", "file": "s.json"}}},
        config={"wal_limit": "32MiB"})
    (garner.folder / "contracts" / "s.json").write_text(
        '{"type": "object", "properties": {"n": {"type": "integer"}}}')
    garner.start()
    connection = Connection(garner.kafka_port)
    _, producer, epoch = connection.init_producer_id()
    there, end, sequence = {}, 0, 0

    def put(turns, good):
        nonlocal end, sequence
        for turn in range(turns):
            values = [json.dumps({"id": end + i, "n": end + i if good else "x",
                                  "pad": "x" * 900 * good}).encode() for i in range(2)]
            # Every other one is of the producer.
            numbers = (producer, epoch, sequence) if turn % 2 else (-1, -1, -1)
            connection.send_batch("events", 0, batch(values, *numbers))
            there.update({end + i: value for i, value in enumerate(values) if good})
            sequence += 2 * (turn % 2)
            end += 2
        for _ in range(turns):
            assert connection.receive_batch()[0] == 0

    put(3000, False)
    for _ in range(3):
        put(50, True)
        put(1200, False)
    # What moves the log on, so that all of this is sealed.
    with garner.client() as client:
        for first in range(0, 24000, 1000):
            lines = [{"id": -1 - n, "n": n, "pad": "x" * 900} for n in range(first, first + 1000)]
            assert client.post_ndjson("events", lines).json()["accepted"] == 1000
    until(lambda: garner.get("/v1/topics/events").json()["sealed_bytes"] > 0, "a sealed file")
    garner.stop()
    connection.close()
    log, *_ = sorted((garner.data_dir / "topics").glob("events-*/0/*.log"))
    return log, there, end


def test_batches_without_records_are_read_and_their_indexes_pass(make_garner, dump):
    log, there, end = seal_holes(make_garner, "zstd")
    found, offset, empty = {}, 0, 0
    for line in dump(log, "--deep-iteration", "--print-data-log", holes=True):
        assert "corrupt" not in line.lower() and "mismatch" not in line.lower(), line
        if one := BATCH.match(line):
            first, last, count = int(one[1]), int(one[2]), int(one[3])
            assert one[5] == "true" and first == offset, line
            offset = last + 1
            empty += count == 0
        elif (record := RECORD.search(line)) and int(record[1]) < end:
            found[int(record[1])] = record[3].encode()
    assert found == there
    assert offset > end
    # Those of the producer are one each; its neighbours may have been joined.
    assert empty >= (3000 + 3 * 1200) / 2
    indexes = [log.with_suffix(suffix) for suffix in (".index", ".timeindex")]
    for option, passed in (("--index-sanity-check", 2), ("--verify-index-only", 0)):
        text = "\n".join(dump(",".join(map(str, indexes)), option))
        assert text.count("passed sanity check") == passed, text
        for fault in ("mismatch", "corrupt", "not found", "out of order"):
            assert fault not in text.lower(), text
    # The first of its entries is of a record.
    first = int.from_bytes(indexes[1].read_bytes()[8:12], "big")
    assert first > 6000 and indexes[0].read_bytes()[:4] < first.to_bytes(4, "big")
