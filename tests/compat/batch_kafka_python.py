"""Record batches as kafka-python writes and reads them: what either writes, the other reads."""
import random
import subprocess
import sys

import pytest

from lib.server import ROOT, program

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

PACKAGE = "kafka-python"
VERSION = "3.0.12"
DEPS = ROOT / "build" / "deps" / f"{PACKAGE}-{VERSION}"


@pytest.fixture(scope="module")
def records_module():
    """kafka.record.default_records, from the package index, kept for later runs."""
    if not DEPS.exists():
        half = DEPS.with_suffix(".half")
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps",
                        "--disable-pip-version-check", "--upgrade", "--target", half,
                        f"{PACKAGE}=={VERSION}"], check=True)
        half.rename(DEPS)
    sys.path.insert(0, str(DEPS))
    try:
        from kafka.record import default_records
        yield default_records
    finally:
        sys.path.remove(str(DEPS))


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


def written(records_module, records):
    """The batch that kafka-python makes of the records."""
    builder = records_module.DefaultRecordBatchBuilder(
        magic=2, compression_type=0, is_transactional=0, producer_id=-1, producer_epoch=-1,
        base_sequence=-1, batch_size=1 << 30)
    for offset, (ms, key, value, headers) in enumerate(records):
        assert builder.append(offset, ms, key, value, headers)
    return bytes(builder.build())


@pytest.fixture(params=range(10))
def records(request):
    return random_records(random.Random(request.param))


def test_kafka_python_reads_what_garner_writes(records_module, tool, records):
    base_offset = 123_456_789_012
    text = "\n".join(map(line, records)).encode()
    batch = records_module.DefaultRecordBatch(tool("encode", base_offset, data=text))
    assert batch.validate_crc()
    assert batch.base_offset == base_offset
    assert batch.compression_type == 0
    read = list(batch)
    assert [record.offset for record in read] == list(range(base_offset,
                                                            base_offset + len(records)))
    assert [(r.timestamp, r.key, r.value, r.headers) for r in read] == records


def test_garner_reads_what_kafka_python_writes(records_module, tool, records):
    read = tool("decode", data=written(records_module, records)).decode().splitlines()
    assert read == [f"{offset} {line(record)}" for offset, record in enumerate(records)]


def test_both_write_the_same_bytes(records_module, tool, records):
    text = "\n".join(map(line, records)).encode()
    assert tool("encode", 0, data=text) == written(records_module, records)
