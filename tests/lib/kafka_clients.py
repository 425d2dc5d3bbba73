"""Real Kafka clients, each behind a driver program of its own (tests/compat/clients)."""
import base64
import itertools
import json
import os
import shutil
import subprocess
import sys
import threading

import pytest

from lib.server import ROOT

DEPS = ROOT / "build" / "deps" / "kafka-clients"
SOURCES = ROOT / "tests" / "compat" / "clients"
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]


def python_driver(name):
    return "python", [sys.executable, SOURCES / "python" / f"{name}.py"]


def java_driver(version):
    jars = DEPS / "java" / version
    return "java", ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp",
                    f"{jars}/*:{jars}/driver", "Driver"]


# A client's name, the language that tools/kafka-clients makes it with, and its driver.
DRIVERS = {
    "librdkafka": python_driver("confluent"),
    "kafka-python": python_driver("kafka_python"),
    "kafkajs": ("node", ["node", SOURCES / "node" / "kafkajs.js"]),
    "franz-go": ("go", [DEPS / "go" / "franz"]),
    "sarama": ("go", [DEPS / "go" / "sarama"]),
    "java-3.9": java_driver("3.9.2"),
    "java-4.3": java_driver("4.3.1"),
}


def pack(data):
    return None if data is None else base64.b64encode(data).decode()


def unpack(text):
    return None if text is None else base64.b64decode(text)


def made(language):
    """Skips the test when tools/kafka-clients could not have the clients of a language."""
    if not (DEPS / language / "made").exists():
        pytest.skip(f"the clients of {language} are not there; tools/kafka-clients makes them")


class Driver:
    """A process that does what it is told, one command after the other."""

    def __init__(self, name, log):
        language, words = DRIVERS[name]
        made(language)
        self.name, self.log = name, log
        env = {**os.environ, "PYTHONPATH": str(DEPS / "python"), "NODE_PATH": str(DEPS / "node"),
               "PYTHONDONTWRITEBYTECODE": "1"}
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=open(log, "wb"), env=env)

    def tell(self, **command):
        self.process.stdin.write(json.dumps(command).encode() + b"\n")
        self.process.stdin.flush()

    def hear(self):
        line = self.process.stdout.readline()
        assert line, f"the driver of {self.name} ended:\n{self.log.read_text()[-4000:]}"
        return json.loads(line)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class Client:
    """One client at one server. Keys, values and headers are bytes, or None for null."""

    def __init__(self, driver, garner):
        self.driver, self.name = driver, driver.name
        self.servers = f"127.0.0.1:{garner.kafka_port}"

    def call(self, do, **command):
        """The answer to a command; {"error": Kafka's number} where the server refused."""
        self.driver.tell(do=do, servers=self.servers, **command)
        return self.driver.hear()

    def ask(self, do, **command):
        """The same where an error is not expected."""
        answer = self.call(do, **command)
        assert "error" not in answer, (self.name, do, answer)
        return answer

    def results(self, topic, records, **options):
        """What became of each record: partition and offset, or error."""
        packed = [{**r, "key": pack(r.get("key")), "value": pack(r.get("value")),
                   "headers": [[name, pack(data)] for name, data in r.get("headers", [])]}
                  for r in records]
        return self.ask("produce", topic=topic, records=packed, **options)["results"]

    def produce(self, topic, records, **options):
        """(partition, offset) of each record, all of which have to be taken."""
        results = self.results(topic, records, **options)
        assert not [r for r in results if "error" in r], (self.name, results[:3])
        return [(r["partition"], r["offset"]) for r in results]

    def consume(self, topic, count, offsets=((0, 0),), **options):
        """`count` records from partitions' offsets on."""
        return self.unpacked(self.ask("consume", topic=topic, count=count, offsets=list(offsets),
                                      **options))

    def consume_to_end(self, topic, offset, **options):
        """All records of partition 0 from there on, and where the client is then."""
        answer = self.ask("consume", topic=topic, offsets=[(0, offset)], **options)
        return self.unpacked(answer), dict(answer["positions"])[0]

    @staticmethod
    def unpacked(answer):
        return [{**r, "key": unpack(r["key"]), "value": unpack(r["value"]),
                 "headers": [(name, unpack(data)) for name, data in r["headers"]]}
                for r in answer["records"]]


class Clients:
    """Drivers that are started when first asked for, and kept."""

    def __init__(self, folder):
        self.folder, self.drivers, self.members = folder, {}, []
        self.count = itertools.count()

    def at(self, garner, name):
        driver = self.drivers.get(name)
        # One that ended in a test before this one has failed that test.
        if driver is None or driver.process.poll() is not None:
            driver = self.drivers[name] = Driver(name, self.folder / f"{name}.log")
        return Client(driver, garner)

    def member(self, garner, name, group, **options):
        """A member of a group, which lives until `end_members`."""
        self.members.append(Member(self, garner, name, group, **options))
        return self.members[-1]

    def end_members(self):
        for member in self.members:
            member.kill()
        self.members.clear()

    def close(self):
        for driver in self.drivers.values():
            driver.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class Member:
    """A client that shares topics with the others of its group; a process of its own. What it
    says is kept by a thread, as members say it when they like."""

    def __init__(self, clients, garner, name, group, **options):
        log = clients.folder / f"member-{next(clients.count)}-{name}.log"
        self.driver, self.name = Driver(name, log), name
        self.assigned, self.history, self.records, self.refused, self.left = None, [], [], [], False
        self.driver.tell(do="member", servers=f"127.0.0.1:{garner.kafka_port}", group=group,
                         **options)
        self.listener = threading.Thread(target=self.listen, daemon=True)
        self.listener.start()

    def listen(self):
        for line in self.driver.process.stdout:
            said = json.loads(line)
            if "assigned" in said:
                self.assigned = {partition for _, partition in said["assigned"]}
                self.history.append(self.assigned)
            self.records += [(r["partition"], r["offset"], unpack(r["value"]))
                             for r in said.get("records", [])]
            if "refused" in said:
                self.refused.append(said["refused"])
            self.left = self.left or "left" in said

    def leave(self):
        """Ends as a client should."""
        self.driver.tell()
        self.driver.process.stdin.close()
        self.driver.process.wait(30)
        self.listener.join(30)
        assert self.left, f"{self.name} did not leave:\n{self.driver.log.read_text()[-4000:]}"

    def kill(self):
        self.driver.process.kill()
        self.driver.process.wait(30)
        self.listener.join(30)
