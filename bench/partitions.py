#!/usr/bin/env python3
"""What partitions cost: the same load into 1, 100 and 10,000 of them.

usage: bench/partitions.py [--seconds N] [--dir PATH] [COUNT...]

Requests of 1,000 records of 500 bytes, spread over all partitions by their key: with 10,000 of them
a request puts a batch of one record into nearly a tenth of all. The bound of each figure is the
same with one partition, in the same run. An idle partition's memory is what a server that was
started on an empty topic takes more. Sealing counts from the end of the load until nothing waits.
"""
import argparse
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import tempfile
import time
import urllib.request

from server import free_ports, gen, mib, pinned, until

ROOT = pathlib.Path(__file__).resolve().parent.parent
GARNER = pathlib.Path(os.environ.get("GARNER_BIN", ROOT / "build" / "release" / "garner"))


class Server:
    """A garner on the first processor with one topic of `partitions`."""

    def __init__(self, folder, partitions):
        (folder / "contracts").mkdir(parents=True)
        self.folder, self.process = folder, None
        self.intake, self.admin, kafka = free_ports(3)
        contract = {"topic": "events", "partitions": partitions, "key": "user.id"}
        (folder / "contracts" / "events.yaml").write_text(json.dumps(contract))
        config = {"data_dir": "./data", "wal_limit": "1GiB", "check_every": "0s",
                  "memory_limit": "1GiB",
                  "intake": {"listen": f"127.0.0.1:{self.intake}"},
                  "admin": {"listen": f"127.0.0.1:{self.admin}"},
                  "kafka": {"listen": f"127.0.0.1:{kafka}"}}
        (folder / "garner.yaml").write_text(json.dumps(config))

    def start(self):
        """Starts it; the seconds until it is ready."""
        begin = time.monotonic()
        with open(self.folder / "log", "ab") as log:
            self.process = pinned(0, [GARNER, "serve", "--config", self.folder / "garner.yaml"],
                                  stdout=log, stderr=log)
        until(self.is_ready, "ready server", step=0.001)
        return time.monotonic() - begin

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}{path}") as answer:
            return answer.read().decode()

    def is_ready(self):
        try:
            self.get("/ready")
        except OSError:
            return False
        return True

    def metric(self, name):
        return float(re.search(rf"^{name} (\S+)$", self.get("/metrics"), re.M)[1])

    def quantile_ms(self, what, quantile):
        """Upper bound of the bucket in which the quantile of commits or flushes lies."""
        family = f"garner_log_{what}_duration_seconds"
        buckets = re.findall(rf'^{family}_bucket{{.*?le="([^"]+)"}} (\d+)$', self.get("/metrics"),
                             re.M)
        total = int(buckets[-1][1])
        return next(float(le) for le, n in buckets if int(n) >= quantile * total) * 1000

    def resident(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024

    def open_files(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def processor_seconds(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1]
        return sum(map(int, fields.split()[11:13])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def running(folder, partitions):
    server = Server(pathlib.Path(tempfile.mkdtemp(dir=folder)), partitions)
    try:
        server.start()
        yield server
    finally:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()
        shutil.rmtree(server.folder)


def measure(folder, partitions, seconds):
    """One row: everything about so many partitions."""
    with running(folder, partitions) as server:
        time.sleep(1)
        row = {"idle bytes": server.resident()}
        report = gen(server.intake, "--seconds", seconds)
        row["MB/s"] = report["mb_per_second"]
        row["commit p50 ms"], row["commit p99.9 ms"] = (
            server.quantile_ms("commit", q) for q in (.5, .999))
        row["flush p99.9 ms"] = server.quantile_ms("flush", .999)
        row["request p99 ms"] = report["latency_ms"]["p99"]
        row["resident bytes"], row["open files"] = server.resident(), server.open_files()
        sealed = "garner_log_seal_read_bytes_total"
        before, begin, cpu = server.metric(sealed), time.monotonic(), server.processor_seconds()
        until(lambda: server.metric("garner_log_seal_backlog_bytes") == 0, "sealed log", 300)
        took = time.monotonic() - begin
        row["sealing MB/s"] = (server.metric(sealed) - before) / max(took, 1e-3) / 1e6
        row["sealing CPU s"] = server.processor_seconds() - cpu
        server.stop()
        row["clean start ms"] = server.start() * 1000
        row["open files at rest"] = server.open_files()
        server.stop()
        return row


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--dir", type=pathlib.Path, default=ROOT / "build" / "bench")
    parser.add_argument("counts", nargs="*", type=int, metavar="COUNT")
    args = parser.parse_args()
    args.dir.mkdir(parents=True, exist_ok=True)
    first = None
    for count in args.counts or (1, 100, 10000):
        row = measure(args.dir, count, args.seconds)
        first = first or row
        print(f"{count} partitions", flush=True)
        for name, value in row.items():
            shown = f"{mib(value):,.1f} MiB" if name.endswith("bytes") else f"{value:,.1f}"
            ratio = f"{value / first[name]:.2f}" if first[name] else "-"
            print(f"  {name.removesuffix(' bytes'):20}{shown:>14}   {ratio} of the first row")
        if count > 1 and row is not first:
            more = (row["idle bytes"] - first["idle bytes"]) / count
            print(f"  {'an idle partition':20}{more:>8,.0f} bytes   floor 2,048", flush=True)


if __name__ == "__main__":
    main()
