"""Record batches as kafka-python writes and reads them: what either writes, the other reads."""
import random
import subprocess

import pytest

from lib.kafka_python import load
from lib.server import program

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

# Kafka's numbers; by name, for the tests' output.
CODECS = {"lz4": 3, "zstd": 4}


@pytest.fixture(scope="module")
def records_module():
    return load("kafka.record.default_records")


@pytest.fixture(scope="module")
def tool():
    build = program().parent
    target = "tests/compat/batch_tool"
    subprocess.run(["ninja", "-C", build, target], check=True, stdout=subprocess.DEVNULL)

    def run(*arguments, data):
        return subprocess.run([build / target, *map(str, arguments)], input=data, check=True,
                              stdout=subprocess.PIPE).stdout
    return run


def word(data):
    return "-" if data is None else "x" + data.hex()


def line(record):
    ms, key, value, headers = record
    parts = [word(part) for name, data in headers for part in (name.encode(), data)]
    return " ".join([str(ms), word(key), word(value), *parts])


def random_records(draw):
    def some(size_max, null):
        return None if null and draw.random() < 0.2 else draw.randbytes(draw.randint(0, size_max))

    def header(number):
        return f"header-{number}-é", some(300, True)

    start = draw.choice([0, 1_700_000_000_000, 253_402_300_000_000])
    return [(start + draw.randint(-10**6, 10**9), some(200, True), some(20_000, True),
             [header(n) for n in range(draw.choice([0, 0, 1, 6]))])
            for _ in range(draw.randint(1, 300))]


def written(records_module, records, codec=0):
    """The batch that kafka-python makes of the records."""
    builder = records_module.DefaultRecordBatchBuilder(
        magic=2, compression_type=codec, is_transactional=0, producer_id=-1, producer_epoch=-1,
        base_sequence=-1, batch_size=1 << 30)
    for offset, (ms, key, value, headers) in enumerate(records):
        assert builder.append(offset, ms, key, value, headers)
    return bytes(builder.build())


@pytest.fixture(params=range(10))
def records(request):
    return random_records(random.Random(request.param))


@pytest.fixture(params=CODECS)
def codec(request):
    return CODECS[request.param]


@pytest.fixture
def packable(records):
    """The records with a value that repeats itself: what is not worth packing stays plain."""
    return [(ms, key, b"value " * 1000, headers) for ms, key, _, headers in records]


def assert_read(records_module, data, base_offset, records):
    """kafka-python finds exactly the records in the batch."""
    batch = records_module.DefaultRecordBatch(data)
    assert batch.validate_crc()
    assert batch.base_offset == base_offset
    read = list(batch)
    assert [record.offset for record in read] == list(range(base_offset,
                                                            base_offset + len(records)))
    assert [(r.timestamp, r.key, r.value, r.headers) for r in read] == records


def test_kafka_python_reads_what_garner_writes(records_module, tool, records):
    base_offset = 123_456_789_012
    data = tool("encode", base_offset, data="\n".join(map(line, records)).encode())
    assert records_module.DefaultRecordBatch(data).compression_type == 0
    assert_read(records_module, data, base_offset, records)


def test_kafka_python_reads_what_garner_packs(records_module, tool, packable, codec):
    data = tool("encode", 99, codec, data="\n".join(map(line, packable)).encode())
    assert records_module.DefaultRecordBatch(data).compression_type == codec
    assert_read(records_module, data, 99, packable)


def test_kafka_python_reads_what_is_not_worth_packing(records_module, tool, codec):
    records = [(1, None, b"x", [])]
    data = tool("encode", 7, codec, data=line(records[0]).encode())
    assert records_module.DefaultRecordBatch(data).compression_type == 0
    assert_read(records_module, data, 7, records)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_kafka_python_reads_what_garner_merges(records_module, tool, records, size):
    text = "\n".join(map(line, records)).encode()
    data = tool("merge", 5, size, data=text)
    assert_read(records_module, data, 5, records)
    # A record's place in its batch is all that merging changes.
    assert data == tool("encode", 5, data=text)


def assert_decoded(text, records):
    assert text.decode().splitlines() == [f"{offset} {line(record)}"
                                          for offset, record in enumerate(records)]


def test_garner_reads_what_kafka_python_writes(records_module, tool, records):
    assert_decoded(tool("decode", data=written(records_module, records)), records)


def test_garner_reads_what_kafka_python_packs(records_module, tool, packable, codec):
    data = written(records_module, packable, codec)
    assert records_module.DefaultRecordBatch(data).compression_type == codec
    assert_decoded(tool("decode", data=data), packable)


def test_both_write_the_same_bytes(records_module, tool, records):
    text = "\n".join(map(line, records)).encode()
    assert tool("encode", 0, data=text) == written(records_module, records)
