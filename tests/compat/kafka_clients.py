"""Kafka's clients of other people: what one wrote all read, and each is refused in its own way."""
import json

import pytest

from lib.kafka_clients import CODECS, DRIVERS, Clients
from lib.server import assert_balanced

READERS = [name for name in DRIVERS if name != "kafkajs"]  # which reads in groups only
MESSAGE_TOO_LARGE = 10
UNKNOWN_TOPIC = 3
START_MS = 1_700_000_000_000


@pytest.fixture(scope="module")
def drivers(tmp_path_factory):
    drivers = Clients(tmp_path_factory.mktemp("drivers"))
    yield drivers
    drivers.close()


@pytest.fixture(params=DRIVERS)
def name(request):
    return request.param


@pytest.fixture
def garner(make_garner):
    return make_garner(contracts={"events": {"partitions": 3}, "one": {}}).start()


@pytest.fixture
def client(drivers, garner, name):
    return drivers.at(garner, name)


def all_kinds(count):
    """Records of every shape: null, empty, with and without headers."""
    return [{"partition": 0, "timestamp": START_MS + n * 1000,
             "key": [None, b"key %d" % n, "clé".encode()][n % 3],
             "value": [b"value %d " % n * 50, None, b"\x00\xff" * 9, b""][n % 4 if n % 3 else 0],
             "headers": [("first", b"%d" % n), ("empty", b""), ("nül", bytes(range(256)))][:n % 4]}
            for n in range(count)]


def assert_same(read, written, name):
    assert [r["offset"] for r in read] == list(range(len(written))), name
    for r, w in zip(read, written):
        for part in ("timestamp", "key", "value", "headers"):
            assert r[part] == w[part], (name, part, r, w)


@pytest.mark.parametrize("codec", CODECS)
def test_what_one_client_wrote_all_read(drivers, garner, client, codec):
    written = all_kinds(200)
    assert client.produce("one", written, codec=codec) == [(0, n) for n in range(200)]
    for reader in READERS:
        assert_same(drivers.at(garner, reader).consume("one", 200), written, reader)
    assert garner.ledger()["topics"]["one"]["accepted"] == 200
    assert_balanced(garner.ledger())
