"""Topics and their settings over the Kafka protocol, as kafka-python's admin client asks for them,
and kcat finds them."""
import uuid

import pytest

from lib.kafka_admin import admin, answers, consume, create, kcat, produce, settings
from lib.server import assert_balanced

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

INVALID_TOPIC, EXISTS, PARTITIONS, FACTOR, ASSIGNMENT, CONFIG, REQUEST, POLICY = (
    17, 36, 37, 38, 39, 40, 42, 44)
UNKNOWN, UNKNOWN_ID, TOO_LARGE = 3, 100, 10
LINES = [b"any \xff bytes", b"{not json", b"3"]


@pytest.fixture
def server(make_garner):
    return make_garner().start()


@pytest.fixture
def client(server):
    with admin(server) as made:
        yield made


def test_a_topic_that_was_made_takes_any_bytes_over_kafka_and_json_over_http_at_once(server, client):
    create(client, "made", 2)
    produce(server, "made", LINES, "-p", 1)
    with server.client() as http:
        assert http.post_ndjson("made", [{"n": 1}]).json()["accepted"] == 1
        # No contract, no dead letters: what is no JSON is refused, and told.
        answer = http.post("made", b"{broken", "application/json")
        assert (answer.status, answer.json()["refused"]) == (422, 1)
    assert sorted(consume(server, "made")) == sorted([*LINES, b'{"n": 1}'])
    assert sorted(client.list_topics()) == ["events", "events.dlq", "made"]
    assert_balanced(server.ledger())


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_it_is_there_after_a_restart(server, end):
    with admin(server) as client:
        create(client, "made", 3, retention_ms=3600000)
        produce(server, "made", LINES, "-p", 0)
    getattr(server, end)()
    server.start()
    assert consume(server, "made") == LINES
    produce(server, "made", [b"more"], "-p", 0)
    assert consume(server, "made") == [*LINES, b"more"]
    with admin(server) as client:
        assert len(client.describe_topics(["made"])[0]["partitions"]) == 3
        assert settings(client, "made")["retention.ms"]["value"] == "3600000"
    # And once more, from the checkpoint of a clean stop.
    server.stop()
    server.start()
    assert len(consume(server, "made")) == 4
    assert_balanced(server.ledger())


def test_a_deleted_topic_is_gone_everywhere_and_made_again_it_is_another(server, client):
    create(client, "made", 2)
    produce(server, "made", LINES)
    first = server.get("/v1/topics/made").json()["uuid"]
    client.delete_topics(["made"])
    assert "made" not in client.list_topics()
    done = kcat(server, "-P", "-t", "made", "-X", "message.timeout.ms=9000", "-X",
                "topic.metadata.propagation.max.ms=0", stdin=b"x\n", check=False)
    assert b"Unknown topic" in done.stderr
    with server.client() as http:
        assert http.post_ndjson("made", [{"n": 1}]).status == 404
    create(client, "made", 1)
    assert server.get("/v1/topics/made").json()["uuid"] != first
    assert consume(server, "made") == []
    produce(server, "made", [b"fresh"])
    assert consume(server, "made") == [b"fresh"]


def test_what_is_wrong_with_a_topic_is_said_of_it_and_the_others_are_made(server, client):
    found = answers(client, {
        "good": {"num_partitions": 1},
        "bad name": {}, "..": {}, "x" * 250: {},
        "events": {}, "events.dlq": {}, "other.dlq": {}, "_mine": {},
        "none": {"num_partitions": 0}, "many": {"num_partitions": 10001},
        "copies": {"replication_factor": 3},
        "placed": {"assignments": {0: [1], 1: [1]}},
        "elsewhere": {"assignments": {0: [2]}},
        "twice": {"assignments": {0: [1, 1]}},
        "both": {"num_partitions": 1, "assignments": {0: [1]}},
        "compact": {"configs": {"cleanup.policy": "compact"}},
        "unknown": {"configs": {"no.such.thing": "1"}},
        "short": {"configs": {"retention.ms": "soon"}},
        "fixed": {"configs": {"min.insync.replicas": "2"}},
        "same": {"configs": {"min.insync.replicas": "1", "cleanup.policy": "delete"}},
        "gzip": {"configs": {"compression.type": "gzip"}},
        "nothing": {"configs": {"retention.ms": None}},
    })
    expected = {"good": 0, "placed": 0, "same": 0, "bad name": INVALID_TOPIC, "..": INVALID_TOPIC,
                "x" * 250: INVALID_TOPIC, "events": EXISTS, "events.dlq": EXISTS,
                "other.dlq": POLICY, "_mine": POLICY, "none": PARTITIONS, "many": PARTITIONS,
                "copies": FACTOR, "elsewhere": ASSIGNMENT, "twice": ASSIGNMENT, "both": REQUEST,
                "compact": CONFIG, "unknown": CONFIG, "short": CONFIG, "fixed": CONFIG,
                "gzip": CONFIG, "nothing": CONFIG}
    assert {name: code for name, (code, _) in found.items()} == expected
    # Each says what to do about it.
    assert all(message for code, message in found.values() if code)
    assert "expected delete, got 'compact'" in found["compact"][1]
    assert "one broker" in found["copies"][1]
    made = sorted(name for name, code in expected.items() if code == 0)
    assert sorted(client.list_topics()) == sorted([*made, "events", "events.dlq"])
    assert len(client.describe_topics(["placed"])[0]["partitions"]) == 2


def test_validating_makes_nothing_and_says_what_making_would(server, client):
    found = answers(client, {"made": {"num_partitions": 3}, "events": {}}, validate_only=True)
    assert (found["made"][0], found["events"][0]) == (0, EXISTS)
    assert "made" not in client.list_topics()


def test_all_partitions_together_are_limited(server, client):
    found = answers(client, {"big": {"num_partitions": 9990}, "over": {"num_partitions": 100},
                             "fits": {"num_partitions": 5}})
    assert [found[name][0] for name in ("big", "over", "fits")] == [0, PARTITIONS, 0]
    assert "10000" in found["over"][1]


@pytest.mark.parametrize("version", range(2, 8))
def test_every_version_of_create_topics_answers(client, version):
    from kafka.protocol.admin import CreateTopicsRequest
    topic = CreateTopicsRequest.CreatableTopic(
        name="made", num_partitions=2 if version < 4 else -1,
        replication_factor=1 if version < 4 else -1, assignments=[],
        configs=[CreateTopicsRequest.CreatableTopic.CreatableTopicConfig("retention.ms", "1000")])
    response = client.ask(CreateTopicsRequest(topics=[topic], timeout_ms=1000, validate_only=False,
                                              min_version=version, max_version=version))
    answer = response.topics[0]
    assert (answer.name, answer.error_code) == ("made", 0)
    if version >= 5:
        configs = {c.name: (c.value, c.config_source, c.read_only) for c in answer.configs}
        assert configs["retention.ms"] == ("1000", 1, False)
        assert configs["cleanup.policy"] == ("delete", 5, True)
        assert answer.num_partitions == (2 if version < 4 else 4)
    if version >= 7:
        assert answer.topic_id != uuid.UUID(int=0)


@pytest.mark.parametrize("version", range(1, 7))
def test_every_version_of_delete_topics_answers(server, client, version):
    from kafka.protocol.admin import DeleteTopicsRequest
    create(client, "made")
    words = {"min_version": version, "max_version": version, "timeout_ms": 1000}
    if version < 6:
        request = DeleteTopicsRequest(topic_names=["made", "none", "events"], **words)
    else:
        state = DeleteTopicsRequest.DeleteTopicState
        request = DeleteTopicsRequest(topics=[state(name="made"), state(name="none"),
                                              state(name="events"),
                                              state(topic_id=uuid.uuid4())], **words)
    response = client.ask(request)
    codes = [answer.error_code for answer in response.responses]
    assert codes[:3] == [0, UNKNOWN, POLICY]
    assert version < 6 or codes[3] == UNKNOWN_ID
    assert client.list_topics() == ["events", "events.dlq"]


def test_a_topic_is_deleted_by_its_id(server, client):
    create(client, "made")
    client.delete_topics([uuid.UUID(server.get("/v1/topics/made").json()["uuid"])])
    assert "made" not in client.list_topics()


def test_what_a_contract_declares_is_changed_in_its_file_only(server, client):
    from kafka.protocol.admin import (AlterConfigsRequest, CreatePartitionsRequest,
                                      DeleteRecordsRequest, DeleteTopicsRequest)
    produce(server, "events", [b"{}"])
    for topic in ("events", "events.dlq"):
        state = DeleteTopicsRequest.DeleteTopicState(name=topic)
        answer = client.ask(DeleteTopicsRequest(topics=[state], timeout_ms=1)).responses[0]
        assert answer.error_code == POLICY
        assert ("events.yaml" if topic == "events" else "dead letters") in answer.error_message
        more = CreatePartitionsRequest.CreatePartitionsTopic(topic, 5, None)
        answer = client.ask(CreatePartitionsRequest(topics=[more], timeout_ms=1,
                                                    validate_only=False)).results[0]
        assert (answer.name, answer.error_code) == (topic, POLICY)
        answer = client.ask(AlterConfigsRequest(resources=[(2, topic, [("retention.ms", "1")])],
                                                validate_only=False)).responses[0]
        assert answer.error_code == POLICY
    gone = DeleteRecordsRequest.DeleteRecordsTopic(
        "events", [DeleteRecordsRequest.DeleteRecordsTopic.DeleteRecordsPartition(0, -1)])
    answer = client.ask(DeleteRecordsRequest(topics=[gone], timeout_ms=1)).topics[0].partitions[0]
    assert (answer.error_code, answer.low_watermark) == (POLICY, -1)
    assert consume(server, "events") == [b"{}"]
    assert settings(client, "events")["retention.ms"]["read_only"] is True
