#!/usr/bin/env python3
"""Measures the whole server, as its users see it, against bounds measured in the same run.

usage: bench/server.py [--seconds N] [--dir PATH] [ROW...]
rows: ndjson schema sink single latency

The server runs on the first processor, garner gen on the second. The bounds: the same load on
build/release/bench/bare, which reads the bytes and keeps nothing; the JSON pass alone; the same
bytes written to the disk alone. Files of the sink are removed as they come, so that a long run
needs room for the log only (500 bytes a record and a little). A table at the end.
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
import subprocess
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "release"
GARNER = pathlib.Path(os.environ.get("GARNER_BIN", BUILD / "garner"))
WAL_LIMIT = "200GiB"
ROWS = ("ndjson", "schema", "sink", "single", "latency")


def pinned(core, command, **options):
    """Starts `command` on one processor."""
    cores = sorted(os.sched_getaffinity(0))
    core = cores[core % len(cores)]
    return subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL,
                            preexec_fn=lambda: os.sched_setaffinity(0, {core}), **options)


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def until(condition, what, seconds=60, step=0.02):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"bench: no {what} within {seconds} s")
        time.sleep(step)


def connects(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def gen(port, *flags):
    """One run of garner gen on the second processor; its report."""
    command = [GARNER, "gen", "--server", f"127.0.0.1:{port}", "--json", *flags]
    process = pinned(1, command, stdout=subprocess.PIPE)
    out, _ = process.communicate()
    report = json.loads(out)
    if process.returncode != 0 or not report["good"]:
        raise SystemExit(f"bench: garner gen is not content: {report}")
    return report


class Server:
    """A garner on the first processor, in a folder of its own, with or without a file sink."""

    def __init__(self, folder, sink, schema=None):
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "contracts").mkdir(parents=True)
        self.folder = folder
        self.intake, self.admin, kafka = free_ports(3)
        contract = {"topic": "events", "key": "user.id", "event_time": "event_time"}
        if schema:
            (folder / "contracts" / "events.json").write_text(json.dumps(schema))
            contract["schema"] = {"type": "jsonschema", "file": "events.json",
                                  "format_assertion": True}
        (folder / "contracts" / "events.yaml").write_text(json.dumps(contract))
        files = {"type": "file", "topics": ["events"], "path": "./out",
                 "roll": {"size": "64MiB", "time": "1s"}}
        config = {"data_dir": "./data", "wal_limit": WAL_LIMIT,
                  "intake": {"listen": f"127.0.0.1:{self.intake}"},
                  "admin": {"listen": f"127.0.0.1:{self.admin}"},
                  "kafka": {"listen": f"127.0.0.1:{kafka}"},
                  "contracts": ["contracts/*.yaml"], "sinks": {"files": files} if sink else {}}
        (folder / "garner.yaml").write_text(json.dumps(config))
        self.peak = 0
        self.idle = 0

    def __enter__(self):
        with open(self.folder / "log", "wb") as log:
            self.process = pinned(0, [GARNER, "serve", "--config", self.folder / "garner.yaml"],
                                  stdout=log, stderr=log)
        until(self.is_ready, "ready server")
        # The files that the log makes ahead of need are no part of a burst.
        time.sleep(1)
        self.idle = self.resident()
        self.over = threading.Event()
        self.watcher = threading.Thread(target=self.watch)
        self.watcher.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.watcher.join()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()
        shutil.rmtree(self.folder)

    def is_ready(self):
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/ready").status == 200
        except OSError:
            return False

    def resident(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024

    def watch(self):
        """Looks at the memory, and removes what the sink has finished."""
        while not self.over.wait(0.1):
            self.peak = max(self.peak, self.resident())
            for path in (self.folder / "out").rglob("*.ndjson"):
                path.unlink()

    def ledger(self):
        url = f"http://127.0.0.1:{self.admin}/v1/ledger"
        return json.load(urllib.request.urlopen(url))


class Bare:
    """The server that keeps nothing, in the same place."""

    def __enter__(self):
        self.intake, = free_ports(1)
        self.process = pinned(0, [BUILD / "bench" / "bare", self.intake, 500])
        until(lambda: connects(self.intake), "bare server")
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def disk_alone(folder, seconds=3):
    """MB/s of 1 MiB writes past the page cache, each flushed, into a file that is there."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "disk"
    block = mmap.mmap(-1, 1 << 20)
    block.write(os.urandom(1 << 20))
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_DIRECT)
    except OSError:
        fd = os.open(path, os.O_RDWR | os.O_CREAT)
    for i in range(256):
        os.pwrite(fd, block, i << 20)
    os.fsync(fd)
    written = 0
    started = time.monotonic()
    while time.monotonic() - started < seconds:
        os.pwrite(fd, block, written % 256 << 20)
        os.fdatasync(fd)
        written += 1
    took = time.monotonic() - started
    os.close(fd)
    path.unlink()
    return written * (1 << 20) / took / 1e6


def json_alone():
    """MB/s of the JSON pass, as the measurement of the check says it."""
    out = subprocess.run([BUILD / "bench" / "check"], capture_output=True, text=True, check=True)
    return float(re.search(r"JSON pass alone +([\d.]+) MB/s", out.stdout)[1])


class Table:
    def __init__(self):
        self.rows = []

    def add(self, what, value, unit, floor="", bounds=()):
        ratios = ", ".join(f"{value / bound:.2f} of {name} ({bound:,.0f})"
                           for name, bound in bounds)
        self.rows.append((what, f"{value:,.1f} {unit}", floor, ratios))
        print("  ".join(part for part in self.rows[-1] if part), flush=True)

    def show(self):
        heads = ("what", "measured", "floor / goal", "ratios to bounds of this run")
        widths = [max(len(row[i]) for row in [heads, *self.rows]) for i in range(4)]
        print()
        for row in [heads, ["-" * width for width in widths], *self.rows]:
            print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |")


def mib(size):
    return size / (1 << 20)


def ndjson(table, folder, seconds, sink, bounds):
    with Server(folder, sink) as server:
        report = gen(server.intake, "--seconds", seconds)
        ledger = server.ledger()
        if not ledger["balanced"]:
            raise SystemExit(f"bench: the ledger is not balanced: {ledger}")
        table.add(f"NDJSON, {seconds} s{', with a file sink' if sink else ''}",
                  report["mb_per_second"], "MB/s", "" if sink else "250 / 500", bounds)
        if sink:
            pending = ledger["sinks"]["files"]["pending"] / report["accepted"]
            table.add("  of it not yet delivered at the end", 100 * pending, "%")
        table.add("  p99 of a request", report["latency_ms"]["p99"], "ms")
        table.add("  resident memory, idle", mib(server.idle), "MiB", "- / 64")
        table.add("  resident memory, at most", mib(server.peak), "MiB")
    return report


def schema_of_40():
    """What garner gen sends, and properties that other events would have."""
    text = {"type": "string", "maxLength": 1000}
    count, number = {"type": "integer", "minimum": 0}, {"type": "number", "minimum": 0}
    currency = {"enum": ["EUR", "USD", "BRL"]}

    def record(**properties):
        return {"type": "object", "required": list(properties), "properties": properties}
    named = {"id": {"type": "string", "minLength": 8, "maxLength": 36},
             "event_time": {"type": "string", "format": "date-time"}, "type": text,
             "user": record(id=count, name=text, country=text, plan=text),
             "page": record(url=text, load_ms=number),
             "order": record(items=count, total=number, currency=currency),
             "tags": {"type": "array", "items": text}, "bot": {"type": "boolean"},
             "referrer": {"type": ["string", "null"]}, "note": text}
    others = (count, {"type": "boolean"}, currency, number, text)
    named |= {f"field_{i}": others[i % len(others)] for i in range(40 - len(named))}
    return {"type": "object", "required": ["id", "event_time"], "properties": named}


def schema(table, folder, seconds):
    """With a schema and without, in turns, so that both see the same machine."""
    rates = {False: [], True: []}
    for checked in (False, True) * 3:
        with Server(folder, False, schema_of_40() if checked else None) as server:
            report = gen(server.intake, "--seconds", max(1, seconds // 3))
            ledger = server.ledger()
            if not ledger["balanced"] or report["accepted"] == 0:
                raise SystemExit(f"bench: refused by the schema, or not balanced: {ledger}")
            rates[checked].append(report["mb_per_second"])
    unchecked, checked = max(rates[False]), max(rates[True])
    table.add("NDJSON under a schema of 40 properties", checked, "MB/s", "0.75 of unchecked",
              [("unchecked", unchecked)])


def single(table, folder, seconds):
    flags = ("--seconds", seconds, "--batch", 1, "--connections", 256)
    with Bare() as bare:
        bound = gen(bare.intake, *flags)["requests_per_second"]
    with Server(folder, False) as server:
        report = gen(server.intake, *flags)
        table.add("single records, 256 connections", report["requests_per_second"], "requests/s",
                  "80,000 / 120,000", [("bare sockets", bound)])
        table.add("  p99 of a request", report["latency_ms"]["p99"], "ms")
        table.add("  resident memory, at most", mib(server.peak), "MiB")
    return report


def latency(table, folder, seconds, full):
    """At half of what single records reached."""
    rate = int(full / 2)
    with Server(folder, False) as server:
        report = gen(server.intake, "--seconds", seconds, "--batch", 1, "--connections", 256,
                     "--rate", rate)
        table.add(f"p99 of a request at half load ({rate:,}/s)", report["latency_ms"]["p99"], "ms",
                  "10 / 2 flushes + 2 ms")
        table.add("  p50", report["latency_ms"]["p50"], "ms")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seconds", type=int, default=15)
    parser.add_argument("--dir", type=pathlib.Path, default=ROOT / "build" / "bench")
    parser.add_argument("rows", nargs="*", metavar="ROW")
    args = parser.parse_args()
    unknown = set(args.rows) - set(ROWS)
    if unknown:
        parser.error(f"rows are {' '.join(ROWS)}, not {' '.join(unknown)}")
    rows = args.rows or ROWS
    table = Table()
    bounds = []
    if "ndjson" in rows or "sink" in rows:
        with Bare() as bare:
            bounds.append(("bare sockets", gen(bare.intake, "--seconds", 5)["mb_per_second"]))
        bounds += [("JSON pass", json_alone()), ("disk", disk_alone(args.dir))]
    if "ndjson" in rows:
        ndjson(table, args.dir, args.seconds, False, bounds)
    if "schema" in rows:
        schema(table, args.dir, args.seconds)
    if "sink" in rows:
        ndjson(table, args.dir, args.seconds, True, bounds)
    full = 160000
    if "single" in rows:
        full = single(table, args.dir, args.seconds)["requests_per_second"]
    if "latency" in rows:
        latency(table, args.dir, args.seconds, full)
    table.show()


if __name__ == "__main__":
    main()
