"""Admin calls of other people's Kafka clients."""
import pytest

from lib.kafka_clients import DRIVERS

UNKNOWN_TOPIC, TOPIC_EXISTS, INVALID_CONFIG, POLICY_VIOLATION = 3, 36, 40, 44


# kafka-python's own admin calls are in kafka_admin.py.
@pytest.fixture(params=[name for name in DRIVERS if name != "kafka-python"])
def client(request, drivers, make_garner):
    return drivers.at(make_garner(contracts={"kept": {}}).start(), request.param)


def test_topics_are_made_changed_and_removed(client):
    client.ask("create", topic="made", count=2, configs={"retention.ms": "3600000"})
    assert client.ask("topics")["topics"]["made"] == 2
    assert client.call("create", topic="made", count=2, configs={})["error"] == TOPIC_EXISTS
    client.produce("made", [{"partition": 1, "value": b"%d" % n} for n in range(10)])
    client.ask("grow", topic="made", count=5)
    assert client.ask("topics")["topics"]["made"] == 5
    client.ask("trim", topic="made", offsets=[[1, 7]])
    answer = client.ask("offsets", topic="made", partition=1, times=[])
    assert (answer["begin"], answer["end"]) == (7, 10)
    client.ask("delete", topic="made")
    assert "made" not in client.ask("topics")["topics"]
    assert client.call("delete", topic="made")["error"] == UNKNOWN_TOPIC


def test_settings_are_told_and_changed(client):
    client.ask("create", topic="made", count=1, configs={"retention.ms": "3600000"})
    found = client.ask("configs", topic="made")["configs"]
    assert found["retention.ms"] == "3600000"
    assert found["cleanup.policy"] == "delete" and len(found) > 20
    client.ask("alter", topic="made", name="retention.ms", value="7200000")
    assert client.ask("configs", topic="made")["configs"]["retention.ms"] == "7200000"
    assert client.call("alter", topic="made", name="retention.ms", value="soon")["error"] == \
        INVALID_CONFIG
    assert client.ask("configs", topic="made")["configs"]["retention.ms"] == "7200000"


def test_what_has_a_contract_is_its_files(client):
    for do, fields in (("delete", {}), ("grow", {"count": 3}),
                       ("alter", {"name": "retention.ms", "value": "3600000"})):
        assert client.call(do, topic="kept", **fields)["error"] == POLICY_VIOLATION, do
    assert client.ask("topics")["topics"]["kept"] == 1
