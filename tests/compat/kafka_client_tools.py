"""Kafka's own command-line tools (4.3), as an operator calls them."""
import re
import subprocess

import pytest

from lib.kafka_batch import Connection, batch
from lib.kafka_clients import DEPS, made

JARS = DEPS / "java" / "4.3.1"
TOOLS = {"topics": "org.apache.kafka.tools.TopicCommand",
         "producer": "org.apache.kafka.tools.ConsoleProducer",
         "consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
         "groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
         "offsets": "org.apache.kafka.tools.GetOffsetShell",
         "configs": "kafka.admin.ConfigCommand"}


@pytest.fixture
def garner(make_garner):
    return make_garner(contracts={
        "kept": {}, "once": {"dedup": {"key": "id", "window": "1h"}}}).start()


@pytest.fixture
def tool(garner):
    """Runs a tool at the server: what it prints."""
    made("java")

    def run(name, *words, stdin=""):
        done = subprocess.run(
            ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp",
             f"{JARS}/*", TOOLS[name], "--bootstrap-server", f"127.0.0.1:{garner.kafka_port}",
             *words], input=stdin, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout
    return run


def test_a_group_is_behind_batches_without_records(tool, garner):
    """Of keys that were there: what a consumer commits is behind them."""
    connection = Connection(garner.kafka_port)
    values = [b'{"id":%d}' % n for n in range(5)]
    for first in (0, 5, 10):
        assert connection.produce("once", 0, batch(values)) == (0, first)
    connection.close()
    read = tool("consumer", "--topic", "once", "--group", "g", "--from-beginning", "--timeout-ms",
                "3000")
    assert read.split() == [value.decode() for value in values]
    described = tool("groups", "--describe", "--group", "g")
    assert re.search(r"g\s+once\s+0\s+\S*\s*15\s+15\s+0\s", described), described
    found = tool("offsets", "--topic", "once", "--time", "max-timestamp")
    assert found.split()[-1] == "once:0:0"


def test_topics_are_made_described_and_removed(tool):
    assert "Created topic made." in tool("topics", "--create", "--topic", "made", "--partitions",
                                         "2", "--config", "retention.ms=3600000")
    tool("topics", "--alter", "--topic", "made", "--partitions", "3")
    said = tool("topics", "--describe", "--topic", "made")
    assert re.search(r"PartitionCount: 3\s+ReplicationFactor: 1\s+Configs: .*retention.ms=3600000",
                     said), said
    assert {"kept", "made"} <= set(tool("topics", "--list").split())
    tool("topics", "--delete", "--topic", "made")
    assert "made" not in tool("topics", "--list").split()


def test_settings_are_changed_and_described(tool):
    tool("topics", "--create", "--topic", "made")
    tool("configs", "--alter", "--topic", "made", "--add-config", "retention.ms=7200000")
    assert "retention.ms=7200000" in tool("configs", "--describe", "--topic", "made")
    said = tool("configs", "--describe", "--topic", "made", "--all")
    assert "cleanup.policy=delete" in said and "DEFAULT_CONFIG" in said
    tool("configs", "--alter", "--topic", "made", "--delete-config", "retention.ms")
    assert "retention.ms=7200000" not in tool("configs", "--describe", "--topic", "made")


def test_records_go_through_the_console_and_groups_are_reset(tool):
    lines = [f"key {n % 5}\tvalue {n}" for n in range(100)]
    # Its producer is idempotent, as all are by default.
    tool("producer", "--topic", "kept", "--reader-property", "parse.key=true",
         stdin="\n".join(lines) + "\n")
    read = ["--topic", "kept", "--group", "g", "--max-messages"]
    said = tool("consumer", *read, "100", "--from-beginning", "--formatter-property",
                "print.key=true")
    assert said.splitlines() == lines
    assert "kept:0:100" in tool("offsets", "--topic", "kept")
    assert tool("groups", "--list").split() == ["g"]
    described = tool("groups", "--describe", "--group", "g")
    assert re.search(r"g\s+kept\s+0\s+\S*\s*100\s+100\s+0\s", described), described
    tool("groups", "--reset-offsets", "--group", "g", "--topic", "kept", "--to-offset", "40",
         "--execute")
    assert tool("consumer", *read, "60").splitlines() == [f"value {n}" for n in range(40, 100)]
    tool("groups", "--delete", "--group", "g")
    assert tool("groups", "--list").split() == []
