"""kafka-python in consumer groups: commits with metadata, members that come and go, and its admin
client, which lists, describes, resets and deletes groups."""
import threading

import pytest

from lib.kafka_python import load
from lib.wait import until

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def kafka():
    return load()


def address(garner):
    return f"127.0.0.1:{garner.kafka_port}"


def open_consumer(kafka, garner, group, **options):
    return kafka.KafkaConsumer("events", bootstrap_servers=address(garner), group_id=group,
                               auto_offset_reset="earliest", session_timeout_ms=10000,
                               heartbeat_interval_ms=300,
                               **{"enable_auto_commit": False, **options})


def put(garner, values):
    with garner.client() as client:
        assert client.post_ndjson("events", [{"n": n} for n in values]).status == 200


def poll_until(consumer, reached, what):
    def polled():
        consumer.poll(timeout_ms=100)
        return reached()
    return until(polled, what, 60)


def read(consumer, count):
    values = []

    def more():
        for records in consumer.poll(timeout_ms=100).values():
            values.extend(record.offset for record in records)
        return len(values) >= count
    until(more, f"{count} records", 60)
    return values


def test_offsets_come_back_with_what_was_said_of_them(make_garner, kafka):
    garner = make_garner(contracts={"events": {"partitions": 2}}).start()
    put(garner, range(40))
    consumer = open_consumer(kafka, garner, "g")
    read(consumer, 40)
    partition = kafka.TopicPartition("events", 1)
    said = "x" * 4000
    consumer.commit({partition: kafka.OffsetAndMetadata(7, said, -1)})
    assert consumer.committed(partition, metadata=True).metadata == said
    consumer.close()
    garner.kill()
    garner.start()
    other = open_consumer(kafka, garner, "g")
    found = other.committed(partition, metadata=True)
    assert (found.offset, found.metadata) == (7, said)
    assert other.committed(kafka.TopicPartition("events", 0)) is None
    with pytest.raises(kafka.errors.KafkaError):
        other.commit({partition: kafka.OffsetAndMetadata(7, "x" * 5000, -1)})
    other.close()


def test_members_that_come_and_go_at_once_leave_no_partition_behind(make_garner, kafka):
    garner = make_garner(contracts={"events": {"partitions": 6}}).start()
    stop, consumers, failures = threading.Event(), [], []

    def consume():
        try:
            consumer = open_consumer(kafka, garner, "g")
            consumers.append(consumer)
            while not stop.is_set():
                consumer.poll(timeout_ms=50)
            consumer.close()
        except Exception as error:  # pylint: disable=broad-except
            failures.append(error)

    def is_shared():
        parts = [sorted(p.partition for p in consumer.assignment()) for consumer in consumers]
        return all(parts) and sorted(sum(parts, [])) == list(range(6))

    threads = [threading.Thread(target=consume) for _ in range(3)]
    for thread in threads:
        thread.start()
    until(lambda: failures or (len(consumers) == 3 and is_shared()), "three to share", 60)
    stop.set()
    for thread in threads:
        thread.join(30)
    assert not failures
    # All have left in good order: another one has everything without waiting for their sessions.
    last = open_consumer(kafka, garner, "g")
    poll_until(last, lambda: len(last.assignment()) == 6, "one to have all")
    last.close()


def test_groups_are_listed_described_and_deleted(make_garner, kafka):
    garner = make_garner(contracts={"events": {"partitions": 2}}).start()
    put(garner, range(10))
    admin = kafka.KafkaAdminClient(bootstrap_servers=address(garner))
    consumer = open_consumer(kafka, garner, "g", client_id="reader")
    read(consumer, 10)
    consumer.commit()

    def listed():
        return {entry["group_id"] if isinstance(entry, dict) else entry[0]
                for entry in admin.list_groups()}
    assert listed() == {"g"}
    described = str(admin.describe_groups(["g"]))
    assert "Stable" in described and "reader" in described
    offsets = admin.list_group_offsets("g")
    assert "events" in str(offsets)
    consumer.close()
    admin.delete_groups(["g"])
    until(lambda: listed() == set(), "the group to be gone")
    admin.close()
