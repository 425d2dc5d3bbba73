#!/usr/bin/env python3
"""How the server holds out: NDJSON at a steady rate for minutes, with a file sink running.

usage: bench/steady.py [SECONDS [MB_A_SECOND]]        default: 600 seconds at 125 MB/s

The server has one processor and the load generator another. The log is sealed into segments, of
which retention keeps 4 GiB; its files are recycled. Delivered files are counted and removed as they
come, as a consumer would. At the end: throughput, the commit latency that the server measured, the
generator's view, memory, what the log takes on disk, and the ledger.
"""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
GARNER = pathlib.Path(os.environ.get("GARNER_BIN", ROOT / "build" / "garner")).resolve()
RECORD_BYTES = 500
INTAKE, ADMIN, KAFKA = "127.0.0.1:18180", "127.0.0.1:19700", "127.0.0.1:19192"


DISK_BYTES = 14 << 30     # the log, its segments, files on their way


def write_config(folder):
    (folder / "contracts").mkdir()
    (folder / "contracts/events.yaml").write_text(
        "topic: events\npartitions: 3\nkey: user\nevent_time: time\nretention: { size: 4GiB }\n")
    (folder / "garner.yaml").write_text(f"""
data_dir: ./data
memory_limit: 512MiB
intake: {{ listen: {INTAKE} }}
admin: {{ listen: {ADMIN} }}
kafka: {{ listen: {KAFKA} }}
contracts: [ contracts/*.yaml ]
sinks:
  lake: {{ type: file, topics: [ events ], path: ./lake, roll: {{ size: 64MiB, time: 10s }} }}
""")


def pinned(cpu):
    return lambda: os.sched_setaffinity(0, {cpu})


def metrics():
    with urllib.request.urlopen(f"http://{ADMIN}/metrics", timeout=10) as answer:
        return answer.read().decode()


def quantile(text, family, q):
    """Upper bound of the bucket in which quantile q lies, in milliseconds."""
    buckets = [(float(le) if le != "+Inf" else float("inf"), int(n)) for le, n in
               re.findall(rf'^{family}_bucket{{.*?le="([^"]+)"}} (\d+)$', text, re.M)]
    total = buckets[-1][1]
    return next(le for le, n in buckets if n >= total * q) * 1000


class Consumer(threading.Thread):
    """Takes delivered files away."""

    def __init__(self, folder):
        super().__init__(daemon=True)
        self.folder, self.bytes, self.files, self.over = folder, 0, 0, False

    def run(self):
        while not self.over:
            for path in self.folder.glob("*.ndjson"):
                self.bytes += path.stat().st_size
                self.files += 1
                path.unlink()
            time.sleep(0.5)


def resident(pid):
    return int(re.search(r"VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1])


def report(seconds, gen, consumer, memory_kib, disk_bytes, text, ledger):
    sink = ledger["sinks"]["lake"]
    print(f"seconds                {seconds:.0f}")
    print(f"accepted               {ledger['topics']['events']['accepted']} records")
    print(f"throughput             {gen['mb_per_second']:.1f} MB/s")
    for q in (0.5, 0.99, 0.999):
        print(f"commit p{q * 100:<5g}          "
              f"{quantile(text, 'garner_log_commit_duration_seconds', q):.2f} ms at the most")
    print(f"flush p99.9            "
          f"{quantile(text, 'garner_log_flush_duration_seconds', 0.999):.2f} ms at the most")
    print(f"request p50 p99 p99.9  {gen['latency_ms']['p50']:.1f} {gen['latency_ms']['p99']:.1f} "
          f"{gen['latency_ms']['p99.9']:.1f} ms")
    print(f"delivered              {sink['delivered']} records, {consumer.files} files, "
          f"{consumer.bytes / 1e9:.1f} GB; {sink['pending']} pending")
    print(f"on disk                {disk_bytes / 2**30:.1f} GiB in the data directory")
    print(f"memory at its highest  {memory_kib / 1024:.0f} MiB")
    print(f"ledger                 {'balanced' if ledger['balanced'] else 'NOT balanced'}")
    return ledger["balanced"]


def measure(folder, seconds, rate_mb):
    if shutil.disk_usage(folder).free < DISK_BYTES:
        sys.exit(f"steady: needs {DISK_BYTES >> 30} GiB on {folder}")
    write_config(folder)
    (folder / "lake").mkdir()
    server = subprocess.Popen([GARNER, "serve", "--config", "garner.yaml"], cwd=folder,
                              stderr=subprocess.DEVNULL, preexec_fn=pinned(0))
    consumer = Consumer(folder / "lake")
    try:
        time.sleep(2)
        consumer.start()
        out = subprocess.run(
            [GARNER, "gen", "--server", INTAKE, "--seconds", str(int(seconds)), "--rate",
             str(int(rate_mb * 1e6 / RECORD_BYTES)), "--batch", "1000", "--connections", "8",
             "--json"], preexec_fn=pinned(1), capture_output=True, check=True, text=True)
        text, memory = metrics(), resident(server.pid)
        disk = sum(path.stat().st_size for path in (folder / "data").rglob("*") if path.is_file())
        time.sleep(15)
        with urllib.request.urlopen(f"http://{ADMIN}/v1/ledger", timeout=10) as answer:
            ledger = json.load(answer)
        consumer.over = True
        return report(seconds, json.loads(out.stdout), consumer, memory, disk, text, ledger)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 600
    rate_mb = float(sys.argv[2]) if len(sys.argv) > 2 else 125
    with tempfile.TemporaryDirectory(prefix="bench-steady-", dir=".") as folder:
        sys.exit(0 if measure(pathlib.Path(folder).resolve(), seconds, rate_mb) else 1)


if __name__ == "__main__":
    main()
