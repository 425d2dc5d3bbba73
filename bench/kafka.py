#!/usr/bin/env python3
"""Measures the Kafka door beside Apache Kafka, with one client, in one run.

usage: bench/kafka.py [--seconds N] [--dir PATH] [--brokers NAME,...] [ROW...]
brokers: kafka (its default: the page cache, flushed when the system likes), kafka-fsync
(log.flush.interval.messages=1), garner      rows: start produce latency fetch

The broker runs on the first processor, `garner gen --kafka` on the second. Batches are encoded
beforehand. produce: acks=all, records of 1000 bytes, 16 and 100 a batch, over 1 connection and 16,
five requests under way on each. latency: from when a record was due to when a consumer had it, at
a fifth of the slower broker's throughput, the same for all. fetch: all of the topic, at once (the
page cache or the log's own memory has the end of it) and again after the system's cache was
dropped, where we may. flush p99: of garner's flushes in that load, to see what is the disk's. The
bound: the disk alone, written and flushed as much at a time as a load has under way.

Apache Kafka comes from Maven Central into build/deps. A table at the end, with ratios to Kafka's
default.
"""
import argparse
import json
import mmap
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
GARNER = pathlib.Path(os.environ.get("GARNER_BIN", ROOT / "build" / "release" / "garner"))
VERSION = "4.3.1"
JARS = ROOT / "build" / "deps" / f"kafka-{VERSION}"
BROKERS = ("kafka", "kafka-fsync", "garner")
ROWS = ("start", "produce", "latency", "fetch")
RECORD = 1000
LOADS = [(connections, batch) for batch in (16, 100) for connections in (1, 16)]
POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
<modelVersion>4.0.0</modelVersion>
<groupId>bench</groupId><artifactId>kafka</artifactId><version>1</version>
<packaging>pom</packaging>
<dependencies><dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId>
<version>{VERSION}</version></dependency></dependencies>
</project>
"""
PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={folder}/data
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
"""


def install():
    """Kafka and what it needs, kept for later runs."""
    if JARS.exists():
        return
    half = JARS.with_name(f"{JARS.name}.half")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(parents=True)
    (half / "pom.xml").write_text(POM)
    subprocess.run(["mvn", "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={half}"],
                   cwd=half, check=True, timeout=900, stdout=subprocess.DEVNULL)
    half.rename(JARS)


def pinned(core):
    cores = sorted(os.sched_getaffinity(0))
    return lambda: os.sched_setaffinity(0, {cores[core % len(cores)]})


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def until(condition, what, seconds=60, step=0.01):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"bench: no {what} within {seconds} s")
        time.sleep(step)


def ask(port, key, version, body):
    """One request of the protocol in a version without tagged fields; its answer."""
    head = struct.pack(">hhih", key, version, 1, -1)
    with socket.create_connection(("127.0.0.1", port), timeout=30) as s:
        s.sendall(struct.pack(">i", len(head) + len(body)) + head + body)
        size, = struct.unpack(">i", s.recv(4, socket.MSG_WAITALL))
        return s.recv(size, socket.MSG_WAITALL)[4:]


def answers(port):
    try:
        return ask(port, 18, 0, b"")[:2] == b"\0\0"
    except (OSError, struct.error):
        return False


def create_topic(port, name):
    """CreateTopics version 2: one partition, one replica."""
    text = struct.pack(">h", len(name)) + name.encode()
    answer = ask(port, 19, 2, struct.pack(">i", 1) + text + struct.pack(">ih", 1, 1) +
                 struct.pack(">ii", 0, 0) + struct.pack(">i?", 30000, False))
    code, = struct.unpack_from(">h", answer, 4 + 4 + len(text))
    if code not in (0, 36):
        raise SystemExit(f"bench: the broker does not create {name}: error {code}")


def resident(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024


class Broker:
    """One of the three, on the first processor, in a folder of its own."""

    def __init__(self, name, folder):
        self.name, self.folder = name, folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.port, self.other = free_ports(2)
        if name == "garner":
            self.command = self.prepare_garner()
        else:
            self.command = self.prepare_kafka()

    def prepare_garner(self):
        intake, = free_ports(1)
        (self.folder / "contracts").mkdir()
        (self.folder / "contracts" / "events.yaml").write_text("topic: events\npartitions: 1\n")
        (self.folder / "garner.yaml").write_text(json.dumps({
            "data_dir": "./data", "kafka": {"listen": f"127.0.0.1:{self.port}"},
            "intake": {"listen": f"127.0.0.1:{intake}"},
            "admin": {"listen": f"127.0.0.1:{self.other}"}, "contracts": ["contracts/*.yaml"]}))
        return [GARNER, "serve", "--config", self.folder / "garner.yaml"]

    def prepare_kafka(self):
        java = ["java", "-Xmx1g", "-Xms1g", "-cp", f"{JARS}/*"]
        config = self.folder / "server.properties"
        text = PROPERTIES.format(port=self.port, controller=self.other, folder=self.folder)
        if self.name == "kafka-fsync":
            text += "log.flush.interval.messages=1\n"
        config.write_text(text)
        subprocess.run([*java, "kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qg",
                        "-c", config], check=True, capture_output=True)
        return [*java, "kafka.Kafka", config]

    def __enter__(self):
        began = time.monotonic()
        with open(self.folder / "log", "wb") as log:
            self.process = subprocess.Popen([str(word) for word in self.command], stdout=log,
                                            stderr=log, stdin=subprocess.DEVNULL,
                                            preexec_fn=pinned(0))
        until(lambda: answers(self.port), f"{self.name} that answers", step=0.002)
        if self.name != "garner":
            until(lambda: create_topic(self.port, "events") is None, "topic")
        self.start_s = time.monotonic() - began
        time.sleep(2)
        self.idle = resident(self.process.pid)
        return self

    def __exit__(self, *_):
        self.peak = resident(self.process.pid)
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(120)
        shutil.rmtree(self.folder)

    def flushes(self):
        """How many of garner's flushes took up to so many seconds, by that; else {}."""
        if self.name != "garner":
            return {}
        with urllib.request.urlopen(f"http://127.0.0.1:{self.other}/metrics") as answer:
            return {float(le): float(count) for le, count in re.findall(
                r'garner_log_flush_duration_seconds_bucket{le="(.*?)"} (\S+)',
                answer.read().decode())}

    def gen(self, *flags):
        """One run of garner gen on the second processor; its report."""
        command = [GARNER, "gen", "--kafka", "--server", f"127.0.0.1:{self.port}", "--json",
                   *map(str, flags)]
        done = subprocess.run(command, stdout=subprocess.PIPE, preexec_fn=pinned(1), check=False)
        report = json.loads(done.stdout) if done.stdout else {}
        if done.returncode != 0 or not report.get("good", True):
            raise SystemExit(f"bench: garner gen is not content with {self.name}: {report}")
        return report

    def produce(self, connections, batch, *flags):
        return self.gen("--size", RECORD, "--batch", batch, "--connections", connections,
                        "--in-flight", 5, *flags)


def disk_alone(folder, size, seconds=2):
    """MB/s of writing `size` bytes at a time past the page cache over a file that is there, flushed
    each, as garner does; and the p99 of one."""
    block = mmap.mmap(-1, size)
    block.write(os.urandom(size))
    path = folder / "alone"
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_DIRECT | os.O_DSYNC, 0o600)
    count = max(1, (64 << 20) // size)
    for _ in range(count):
        os.write(file, block)
    times = [time.monotonic()]
    while times[-1] - times[0] < seconds:
        os.pwrite(file, block, (len(times) % count) * size)
        times.append(time.monotonic())
    os.close(file)
    path.unlink()
    took = sorted(after - before for before, after in zip(times, times[1:]))
    return (len(took) * size / (times[-1] - times[0]) / 1e6,
            took[len(took) * 99 // 100] * 1000)


def drop_cache():
    os.sync()
    try:
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("3")
    except OSError:
        return False
    return True


def measure(broker, rows, seconds, rate):
    """{what: figure} of one broker."""
    out = {}
    with broker:
        if "start" in rows:
            out["start s"] = broker.start_s
            out["memory idle MiB"] = broker.idle
        if "produce" in rows:
            broker.produce(16, 100, "--seconds", 3)     # a virtual machine compiles what it runs
            for connections, batch in LOADS:
                flushes = broker.flushes()
                report = broker.produce(connections, batch, "--seconds", seconds)
                key = f"{connections} producer{'s' if connections > 1 else ''}, {batch} a batch"
                out[f"{key} MB/s"] = report["mb_per_second"]
                out[f"{key} p99 ms"] = report["latency_ms"]["p99"]
                if flushes:
                    out[f"{key} flush p99"] = p99_ms(flushes, broker.flushes())
        if "fetch" in rows:
            if "produce" not in rows:
                broker.produce(16, 100, "--seconds", seconds)
            out["fetch fresh MB/s"] = broker.gen("--fetch", "--connections", 1)["mb_per_second"]
            if drop_cache():
                out["fetch old MB/s"] = broker.gen("--fetch", "--connections", 1)["mb_per_second"]
        if "latency" in rows:
            taken = out.get("16 producers, 16 a batch MB/s", 0) if broker.name == "kafka" else 0
            rate = int(taken * 1e6 / RECORD / 5) or rate
            flushes = broker.flushes()
            report = broker.produce(16, 16, "--seconds", seconds, "--rate", rate, "--end-to-end")
            for q in ("p50", "p99", "p99.9"):
                out[f"end to end {q} ms"] = report["end_to_end_ms"][q]
            if flushes:
                out["end to end flush p99"] = p99_ms(flushes, broker.flushes())
        out["memory at most MiB"] = resident(broker.process.pid)
    return out


def p99_ms(before, after):
    """Of what two looks at a histogram have between them; the upper end of its bucket."""
    counts = {le: after[le] - before.get(le, 0) for le in after}
    return next(le * 1000 for le in sorted(counts) if counts[le] >= 0.99 * max(counts.values()))


def table(results):
    names = list(results)
    keys = list(dict.fromkeys(key for result in results.values() for key in result))
    base = results.get("kafka")
    print(f"{'':32}" + "".join(f"{name:>14}" for name in names) +
          ("   garner to kafka" if base and "garner" in results else ""))
    for key in keys:
        line = f"{key:32}" + "".join(f"{results[name].get(key, float('nan')):14.2f}"
                                     for name in names)
        if base and base.get(key) and results.get("garner", {}).get(key):
            line += f"{results['garner'][key] / base[key]:17.2f}x"
        print(line)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", metavar="ROW", default=ROWS)
    parser.add_argument("--seconds", type=int, default=8, help="of each load")
    parser.add_argument("--dir", default=".", type=pathlib.Path)
    parser.add_argument("--brokers", default=",".join(BROKERS))
    parser.add_argument("--rate", type=int, default=0,
                        help="records a second of the latency row; 20000 where Kafka's default is "
                             "not measured for it")
    options = parser.parse_args()
    rows = options.rows or ROWS
    unknown = set(rows) - set(ROWS) | set(options.brokers.split(",")) - set(BROKERS)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    if options.brokers != "garner":
        install()
    results = {}
    for name in options.brokers.split(","):
        folder = options.dir.resolve() / f"bench-kafka-{name}"
        known = results.get("kafka", {}).get("16 producers, 16 a batch MB/s", 0)
        rate = options.rate or int(known * 1e6 / RECORD / 5) or 20000
        results[name] = measure(Broker(name, folder), rows, options.seconds, rate)
        print(f"{name}: {json.dumps(results[name])}", flush=True)
    # What the loads have under way at once, from the smallest to the largest.
    for size in (5 * 16 * RECORD, 5 * 100 * RECORD, 16 * 5 * 100 * RECORD):
        size = -(-size // 4096) * 4096
        rate, p99 = disk_alone(options.dir, size)
        print(f"the disk alone: {rate:.0f} MB/s, p99 {p99:.1f} ms, flushed every {size >> 10} KiB")
    table(results)


if __name__ == "__main__":
    main()
