"""kafka-python's admin client against a server of a test's own, and kcat beside it."""
import contextlib
import subprocess

from lib.kafka_python import load


@contextlib.contextmanager
def admin(garner):
    """A KafkaAdminClient, with `ask(request)` for requests that it has no call for."""
    client = load("kafka.admin").KafkaAdminClient(
        bootstrap_servers=f"127.0.0.1:{garner.kafka_port}", request_timeout_ms=20000)
    client.ask = lambda request: client._manager.run(client._send_request_to_controller, request)
    try:
        yield client
    finally:
        client.close()


def create(client, name, partitions=1, **configs):
    """Makes one topic; configs have _ for the dots of Kafka's names."""
    configs = {key.replace("_", "."): str(value) for key, value in configs.items()}
    return client.create_topics({name: {"num_partitions": partitions, "replication_factor": 1,
                                        "configs": configs}})


def answers(client, topics, **words):
    """What CreateTopics says of each of `topics` ({name: fields}): its error code and message."""
    found = client.create_topics(topics, raise_errors=False, **words)["topics"]
    return {topic["name"]: (topic["error_code"], topic["error_message"]) for topic in found}


def settings(client, topic, **words):
    """What DescribeConfigs says of a topic, all of it: {name: {value, ...}}."""
    from kafka.admin import ConfigResource, ConfigResourceType
    resource = ConfigResource(ConfigResourceType.TOPIC, topic)
    return client.describe_configs([resource], config_filter="all", **words)["topic"][topic]


def kcat(garner, *words, stdin=b"", check=True):
    done = subprocess.run(["kcat", "-b", f"127.0.0.1:{garner.kafka_port}", *map(str, words)],
                          input=stdin, capture_output=True, timeout=60, check=False)
    assert not check or done.returncode == 0, done
    return done


def produce(garner, topic, lines, *words):
    kcat(garner, "-P", "-t", topic, "-X", "message.timeout.ms=20000", *words,
         stdin=b"".join(line + b"\n" for line in lines))


def consume(garner, topic, *words):
    done = kcat(garner, "-C", "-t", topic, "-o", "beginning", "-e", "-q", *words)
    return done.stdout.splitlines()
