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


def test_a_topic_takes_any_bytes_over_kafka_and_json_over_http_at_once(server, client):
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
        "packed": {"configs": {"compression.type": "gzip"}},
        "unpacked": {"configs": {"compression.type": "uncompressed"}},
        "nothing": {"configs": {"retention.ms": None}},
    })
    expected = {"good": 0, "placed": 0, "same": 0, "packed": 0,
                "bad name": INVALID_TOPIC, "..": INVALID_TOPIC,
                "x" * 250: INVALID_TOPIC, "events": EXISTS, "events.dlq": EXISTS,
                "other.dlq": POLICY, "_mine": POLICY, "none": PARTITIONS, "many": PARTITIONS,
                "copies": FACTOR, "elsewhere": ASSIGNMENT, "twice": ASSIGNMENT, "both": REQUEST,
                "compact": CONFIG, "unknown": CONFIG, "short": CONFIG, "fixed": CONFIG,
                "unpacked": CONFIG, "nothing": CONFIG}
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


# Kafka's own list (org.apache.kafka.common.config.TopicConfig), without what is deprecated there.
NAMES = """cleanup.policy compression.gzip.level compression.lz4.level compression.type
compression.zstd.level delete.retention.ms file.delete.delay.ms flush.messages flush.ms
follower.replication.throttled.replicas index.interval.bytes leader.replication.throttled.replicas
local.retention.bytes local.retention.ms max.compaction.lag.ms max.message.bytes
message.timestamp.after.max.ms message.timestamp.before.max.ms message.timestamp.type
min.cleanable.dirty.ratio min.compaction.lag.ms min.insync.replicas preallocate
remote.log.copy.disable remote.log.delete.on.disable remote.storage.enable retention.bytes
retention.ms segment.bytes segment.index.bytes segment.jitter.ms segment.ms
unclean.leader.election.enable""".split()
SET = {"retention.ms", "retention.bytes", "compression.type", "max.message.bytes"}


def test_every_setting_is_listed_with_its_default_and_source(client):
    create(client, "made", retention_ms=1000)
    found = settings(client, "made", include_synonyms=True)
    assert sorted(found) == sorted(NAMES)
    assert {name for name, s in found.items() if not s["read_only"]} == SET
    assert {name for name, s in found.items() if s["config_source"] != "DEFAULT_CONFIG"} == {
        "retention.ms"}
    given = found["retention.ms"]
    assert (given["value"], given["config_source"]) == ("1000", "DYNAMIC_TOPIC_CONFIG")
    assert [(s["name"], s["value"], s["source"]) for s in given["synonyms"]] == [
        ("retention.ms", "1000", "DYNAMIC_TOPIC_CONFIG"),
        ("log.retention.ms", "604800000", "DEFAULT_CONFIG")]
    assert found["retention.bytes"]["value"] == "-1"
    assert found["compression.type"]["value"] == "producer"
    assert found["max.message.bytes"]["config_type"] == "INT"
    assert all(s["documentation"] is None for s in found.values())


@pytest.mark.parametrize("version", range(1, 5))
def test_every_version_of_describe_configs_answers(client, version):
    from kafka.protocol.admin import DescribeConfigsRequest
    words = {"include_documentation": True} if version >= 3 else {}
    request = DescribeConfigsRequest(
        resources=[(2, "events", ["retention.ms", "no.such"]), (2, "none", None), (4, "1", None),
                   (4, "7", None), (8, "1", None), (2, "events", [])],
        include_synonyms=True, min_version=version, max_version=version, **words)
    results = client.ask(request).results
    assert [r.error_code for r in results] == [0, UNKNOWN, 0, REQUEST, REQUEST, 0]
    assert [(c.name, c.value, c.read_only) for c in results[0].configs] == [
        ("retention.ms", "604800000", True)]
    broker = {c.name: c for c in results[2].configs}
    assert broker["auto.create.topics.enable"].value == "false"
    assert broker["num.partitions"].value == "4"
    assert "offsets.retention.minutes" in broker
    assert all(c.read_only for c in results[2].configs)
    # No names are all of them, as Kafka's brokers take it.
    assert len(results[5].configs) > 30
    if version >= 3:
        assert results[0].configs[0].config_type == 5
        assert "How long records are kept" in results[0].configs[0].documentation


def values(client, topic):
    return {name: s["value"] for name, s in settings(client, topic).items() if name in SET}


DEFAULTS = {"retention.ms": "604800000", "retention.bytes": "-1", "compression.type": "producer",
            "max.message.bytes": "1048588"}


@pytest.mark.parametrize("version", range(2))
def test_settings_are_changed_one_by_one_and_go_back_to_their_defaults(server, client, version):
    from kafka.protocol.admin import IncrementalAlterConfigsRequest

    def change(*changes, topic="made", only=False):
        request = IncrementalAlterConfigsRequest(resources=[(2, topic, list(changes))],
                                                 validate_only=only, min_version=version,
                                                 max_version=version)
        answer = client.ask(request).responses[0]
        assert (answer.resource_type, answer.resource_name) == (2, topic)
        return answer.error_code, answer.error_message
    create(client, "made", 3, retention_ms=5000)
    assert change(("retention.bytes", 0, "1000"), ("compression.type", 0, "zstd")) == (0, None)
    assert values(client, "made") == {**DEFAULTS, "retention.ms": "5000", "retention.bytes": "1000",
                                      "compression.type": "zstd"}
    # Of all partitions together, as garner says it.
    assert server.get("/v1/topics/made").json()["retention_bytes"] == 3000
    assert change(("max.message.bytes", 0, "99"), only=True) == (0, None)
    assert change(("retention.ms", 1, None), ("compression.type", 1, None)) == (0, None)
    assert values(client, "made") == {**DEFAULTS, "retention.bytes": "1000"}
    assert change(("retention.ms", 0, "-1"), ("retention.bytes", 0, "-1")) == (0, None)
    assert values(client, "made")["retention.ms"] == "-1"
    # What is always so can be said, and nothing else.
    assert change(("segment.bytes", 0, "1073741824"))[0] == 0
    before = values(client, "made")
    for wrong in (("segment.bytes", 0, "1"), ("cleanup.policy", 2, "compact"),
                  ("retention.ms", 0, "-2"), ("retention.ms", 0, "9223372036854775808"),
                  ("max.message.bytes", 0, "0"), ("no.such", 0, "1"), ("no.such", 1, None),
                  ("retention.ms", 0, None), ("compression.type", 0, "brotli")):
        code, text = change(wrong)
        assert code == CONFIG and text, wrong
    assert change(("retention.ms", 0, "1"), ("retention.ms", 1, None))[0] == REQUEST
    assert change(("retention.ms", 0, "1"), topic="none")[0] == UNKNOWN
    assert values(client, "made") == before
    server.kill()
    server.start()
    with admin(server) as again:
        assert values(again, "made") == before


@pytest.mark.parametrize("version", range(3))
def test_altering_says_all_that_is_set(client, version):
    from kafka.protocol.admin import AlterConfigsRequest
    create(client, "made", 1, retention_ms=5000, max_message_bytes=2000)
    request = AlterConfigsRequest(resources=[(2, "made", [("compression.type", "lz4")]),
                                             (4, "1", [("message.max.bytes", "1")]),
                                             (9, "made", [])],
                                  validate_only=False, min_version=version, max_version=version)
    answers_ = client.ask(request).responses
    assert [a.error_code for a in answers_] == [0, POLICY, REQUEST]
    assert "configuration file" in answers_[1].error_message
    assert values(client, "made") == {**DEFAULTS, "compression.type": "lz4"}


@pytest.mark.parametrize("version", range(4))
def test_partitions_are_added_and_each_topic_is_answered(server, client, version):
    from kafka.protocol.admin import CreatePartitionsRequest
    Topic = CreatePartitionsRequest.CreatePartitionsTopic
    create(client, "made", 1)
    create(client, "placed", 1)
    produce(server, "made", [b"first"])

    def ask(only):
        topics = [Topic("made", 3, None), Topic("made", 4, None), Topic("none", 2, None),
                  Topic("placed", 1, None), Topic("", 10, None)]
        request = CreatePartitionsRequest(topics=topics, timeout_ms=100, validate_only=only,
                                          min_version=version, max_version=version)
        return [(r.name, r.error_code) for r in client.ask(request).results]
    expected = [("made", 0), ("made", REQUEST), ("none", UNKNOWN), ("placed", PARTITIONS),
                ("", UNKNOWN)]
    assert ask(True) == expected
    assert len(client.describe_topics(["made"])[0]["partitions"]) == 1
    assert ask(False) == expected
    assert len(client.describe_topics(["made"])[0]["partitions"]) == 3
    produce(server, "made", [b"third"], "-p", 2)
    assert sorted(consume(server, "made")) == [b"first", b"third"]
    Assignment = Topic.CreatePartitionsAssignment
    for brokers, code in (([2], ASSIGNMENT), ([1], 0)):
        topic = Topic("placed", 2, [Assignment(brokers)])
        request = CreatePartitionsRequest(topics=[topic], timeout_ms=100, validate_only=False,
                                          min_version=version, max_version=version)
        assert client.ask(request).results[0].error_code == code


@pytest.mark.parametrize("version", range(3))
def test_records_before_an_offset_are_deleted(server, client, version):
    from kafka.protocol.admin import DeleteRecordsRequest
    Topic = DeleteRecordsRequest.DeleteRecordsTopic
    create(client, "made", 2)
    for _ in range(3):
        produce(server, "made", [b"a", b"b"], "-p", 0)

    def ask(*offsets):
        partitions = [Topic.DeleteRecordsPartition(p, offset) for p, offset in offsets]
        request = DeleteRecordsRequest(topics=[Topic("made", partitions), Topic("", partitions)],
                                       timeout_ms=100, min_version=version, max_version=version)
        made, none = client.ask(request).topics
        assert all(p.error_code == UNKNOWN for p in none.partitions)
        return [(p.error_code, p.low_watermark) for p in made.partitions]
    assert ask((0, 4), (1, 0), (7, 0), (-1, 0)) == [(0, 4), (0, 0), (UNKNOWN, -1), (UNKNOWN, -1)]
    assert consume(server, "made") == [b"a", b"b"]
    # What is gone already is gone; what has not come yet cannot be deleted.
    assert ask((0, 1), (1, 5), (1, -2)) == [(0, 4), (1, -1), (1, -1)]
    assert ask((0, -1)) == [(0, 6)]
    assert consume(server, "made") == []
    server.kill()
    server.start()
    produce(server, "made", [b"c"], "-p", 0)
    assert kcat(server, "-C", "-t", "made", "-o", "beginning", "-e", "-q", "-f",
                "%o %s\n").stdout == b"6 c\n"


@pytest.mark.parametrize("version", range(2))
def test_the_cluster_is_one_broker(server, client, version):
    from kafka.protocol.admin import DescribeClusterRequest

    def ask(**words):
        return client.ask(DescribeClusterRequest(include_cluster_authorized_operations=False,
                                                 min_version=version, max_version=version, **words))
    answer = ask()
    assert [(b.broker_id, b.host, b.port) for b in answer.brokers] == [
        (1, "127.0.0.1", server.kafka_port)]
    assert (answer.error_code, answer.controller_id) == (0, 1)
    assert answer.cluster_id == client.describe_cluster()["cluster_id"] != ""
    if version > 0:
        assert ask(endpoint_type=2).error_code == 115


def test_a_batch_over_max_message_bytes_is_refused(server, client):
    create(client, "small", 1, max_message_bytes=1000)
    produce(server, "small", [b"x" * 500])
    done = kcat(server, "-P", "-t", "small", "-X", "message.timeout.ms=5000", "-X",
                "message.max.bytes=2000000", stdin=b"x" * 1500 + b"\n", check=False)
    assert b"Message size too large" in done.stderr
    assert consume(server, "small") == [b"x" * 500]
    # Over HTTP there are no batches.
    with server.client() as http:
        assert http.post_ndjson("small", [{"pad": "x" * 1500}]).json()["accepted"] == 1
    assert_balanced(server.ledger())


def test_topics_are_made_by_asking_for_them_where_that_is_allowed(make_garner):
    server = make_garner(config={"kafka": None}, name="auto")
    server.config["kafka"] = {"listen": f"127.0.0.1:{server.kafka_port}",
                              "auto_create": {"enabled": True, "partitions": 2}}
    server.write()
    server.start()
    produce(server, "made", LINES)
    assert sorted(consume(server, "made")) == sorted(LINES)
    with admin(server) as client:
        from kafka.protocol.metadata import MetadataRequest

        def ask(name, allow):
            topic = MetadataRequest.MetadataRequestTopic(name=name)
            return client.ask(MetadataRequest(topics=[topic], allow_auto_topic_creation=allow,
                                              min_version=4, max_version=9)).topics[0]
        assert len(client.describe_topics(["made"])[0]["partitions"]) == 2
        # Who only looks makes nothing, nor does who asks for what cannot be.
        assert ask("other", False).error_code == UNKNOWN
        assert "other" not in client.list_topics()
        assert ask("_mine", True).error_code == UNKNOWN
        assert ask("bad name", True).error_code in (UNKNOWN, INVALID_TOPIC)
        found = ask("third", True)
        assert (found.error_code, len(found.partitions)) == (0, 2)
        assert create(client, "counted", -1)["topics"][0]["num_partitions"] == 2
        broker = {c.name: c.value for c in describe_broker(client)}
        assert (broker["auto.create.topics.enable"], broker["num.partitions"]) == ("true", "2")
    server.kill()
    server.start()
    assert sorted(consume(server, "made")) == sorted(LINES)


def describe_broker(client):
    from kafka.protocol.admin import DescribeConfigsRequest
    request = DescribeConfigsRequest(resources=[(4, "1", None)], include_synonyms=False)
    return client.ask(request).results[0].configs


def test_without_that_asking_makes_nothing(server, client):
    done = kcat(server, "-P", "-t", "made", "-X", "message.timeout.ms=9000", "-X",
                "topic.metadata.propagation.max.ms=0", stdin=b"x\n", check=False)
    assert done.returncode != 0
    assert client.list_topics() == ["events", "events.dlq"]


def test_a_contract_takes_a_topic_over_at_a_reload(server, client):
    create(client, "made", 2, retention_ms=5000, max_message_bytes=500)
    create(client, "other", 1)
    produce(server, "made", LINES, "-p", 0)
    server.contracts["made"] = {"partitions": 2, "schema": {"type": "jsonschema", "file": "s.json"},
                                "retention": {"time": "30d"}}
    server.write()
    (server.folder / "contracts" / "s.json").write_text('{"type":"object"}')
    with server.client() as http:
        answer = post_reload(server)
        assert answer == {"added": ["made"], "changed": [], "removed": []}
        assert http.post_ndjson("made", [{"n": 1}]).json()["accepted"] == 1
        assert http.post("made", b"7", "application/json").json()["dead_lettered"] == 1
        assert http.post_ndjson("other", [{"n": 1}]).json()["accepted"] == 1
    # What it had stays, and from here on it is the contract's.
    assert consume(server, "made", "-p", 0)[:3] == LINES
    produce(server, "made", [b"7" * 1000])
    assert server.ledger()["topics"]["made"]["dead_lettered"] == 2
    from kafka.protocol.admin import DeleteTopicsRequest
    state = DeleteTopicsRequest.DeleteTopicState(name="made")
    answer = client.ask(DeleteTopicsRequest(topics=[state], timeout_ms=1)).responses[0]
    assert (answer.error_code, "made.yaml" in answer.error_message) == (POLICY, True)
    found = settings(client, "made")
    assert found["retention.ms"]["value"] == "2592000000"
    assert found["max.message.bytes"]["value"] == "1048588"
    # Gone with its contract it is nobody's, and says so.
    del server.contracts["made"]
    server.write()
    assert post_reload(server)["removed"] == ["made"]
    answer = client.ask(DeleteTopicsRequest(topics=[state], timeout_ms=1)).responses[0]
    assert (answer.error_code, "had a contract" in answer.error_message) == (POLICY, True)
    produce(server, "other", [b"{}"])
    assert_balanced(server.ledger())


def post_reload(server):
    from lib.client import Client
    with Client(server.admin_port, timeout=20) as door:
        answer = door.request("POST", "/v1/reload")
    assert answer.status == 200, answer
    return answer.json()["topics"]
