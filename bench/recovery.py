#!/usr/bin/env python3
"""How long a start takes, and what sealing costs, against bounds measured in the same run.

usage: bench/recovery.py [--gib N] [--dir PATH] [ROW...]        rows: clean crash seal catchup big

  clean    a start after SIGTERM, with 1 and 10,000 partitions; owed: 100 ms
  crash    a start after SIGKILL with N GiB in the log, sealed as it goes and not sealed at all (a
           file lies where the segments would); bound: reading those files once
  seal     sealing N GiB with each codec; bound: the codec alone (its tool with -1 on the same
           bytes), or the disk alone
  catchup  reading everything from its beginning while intake runs; bound: the same when it rests
  big      a start with N times 25 GiB in segments, their memory, and a look at the front of each;
           what lies inside segments is made holes as they fill, so that it takes little disk.
           Only where it is asked for

Needs twice N GiB of disk and somewhat more.
"""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import threading
import time

from partitions import GARNER, ROOT, running
from server import disk_alone, gen, mib, until

ROWS = ("clean", "crash", "seal", "catchup")
HOLE_BLOCK = 1 << 20


def configure(server, compression="none", **fields):
    """Other values than those of the partitions' measurement, before a start."""
    path = server.folder / "garner.yaml"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))
    path = server.folder / "contracts" / "events.yaml"
    path.write_text(json.dumps({**json.loads(path.read_text()), "compression": compression}))


def files(server, pattern):
    return sorted((server.folder / "data").glob(pattern))


def size_of(paths):
    return sum(path.stat().st_size for path in paths)


def read_alone(paths):
    """Seconds to read the files once, past the page cache."""
    begin = time.monotonic()
    for path in paths:
        subprocess.run(["dd", f"if={path}", "of=/dev/null", "bs=4M", "iflag=direct"],
                       stderr=subprocess.DEVNULL, check=True)
    return time.monotonic() - begin


def show(what, value, unit, bound, named):
    ratio = f"{value / bound:.2f} of {named} ({bound:,.1f} {unit})" if bound else ""
    print(f"{what:48}{value:>10,.1f} {unit:5} {ratio}", flush=True)


def clean(folder, _):
    for partitions in (1, 10000):
        with running(folder, partitions) as server:
            gen(server.intake, "--count", 1000000)
            server.stop()
            took = min(start_again(server) for _ in range(3))
            show(f"clean start, {partitions} partitions", took * 1000, "ms", 100, "what is owed")


def start_again(server):
    took = server.start()
    server.stop()
    return took


def kill(server):
    server.process.kill()
    server.process.wait()


def fill(server, gib):
    gen(server.intake, "--count", int(gib * (1 << 30) / 500))


def crash(folder, gib):
    for sealed in (True, False):
        with running(folder, 3) as server:
            server.stop()
            configure(server, wal_limit=f"{int(gib * 1.3 + 1)}GiB")
            if not sealed:
                shutil.rmtree(server.folder / "data" / "topics", ignore_errors=True)
                (server.folder / "data" / "topics").write_text("")
            server.start()
            fill(server, gib)
            kill(server)
            wal = files(server, "wal/*.wal")
            bound = read_alone(wal)
            took = server.start()
            how = "sealed as it goes" if sealed else "not sealed"
            gib_there = mib(size_of(wal)) / 1024
            show(f"start after SIGKILL, {gib_there:.1f} GiB of log, {how}", took, "s", bound,
                 "reading it once")
            kill(server)


def codec_alone(codec, sample):
    """MB/s of the codec's own tool on one core, or 0 where it is not installed."""
    if not shutil.which(codec):
        return 0
    begin = time.monotonic()
    subprocess.run([codec, "-1", "-q", "-c", sample], stdout=subprocess.DEVNULL, check=True,
                   preexec_fn=lambda: os.sched_setaffinity(0, {1}))
    return sample.stat().st_size / (time.monotonic() - begin) / 1e6


def seal(folder, gib):
    for codec in ("none", "lz4", "zstd"):
        with running(folder, 3) as server:
            server.stop()
            configure(server, codec, wal_limit=f"{int(gib * 1.3 + 1)}GiB")
            # Nothing is sealed while records come: a file is where the segments would be.
            topics = server.folder / "data" / "topics"
            shutil.rmtree(topics, ignore_errors=True)
            topics.write_text("")
            server.start()
            fill(server, gib)
            sample = files(server, "wal/*.wal")[0]
            bound = disk_alone(folder) if codec == "none" else codec_alone(codec, sample)
            topics.unlink()
            done = "garner_log_seal_read_bytes_total"
            until(lambda: server.metric(done) > 0, "sealing", 30)
            begin, before = time.monotonic(), server.metric(done)
            backlog = "garner_log_seal_backlog_bytes"
            # From a quarter of the limit on sealing goes as fast as it can; then it takes its time.
            relaxed = (int(gib * 1.3 + 1) << 30) / 4
            until(lambda: server.metric(backlog) < relaxed, "sealed log", 300)
            rate = (server.metric(done) - before) / (time.monotonic() - begin) / 1e6
            show(f"sealing, {codec}", rate, "MB/s", bound,
                 "the disk alone" if codec == "none" else f"{codec} -1 alone")


def read_all(server):
    """MB/s of reading topic events whole, as garner consume does."""
    begin = time.monotonic()
    command = [GARNER, "consume", "events", "--server", f"127.0.0.1:{server.admin}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        size = 0
        while block := process.stdout.read(1 << 20):
            size += len(block)
    return size / (time.monotonic() - begin) / 1e6


def catchup(folder, gib):
    with running(folder, 1) as server:
        fill(server, gib / 4)
        until(lambda: server.metric("garner_log_seal_backlog_bytes") == 0, "sealed log", 300)
        alone = read_all(server)
        report = {}
        load = threading.Thread(target=lambda: report.update(
            gen(server.intake, "--seconds", 15, "--rate", 100000)))
        load.start()
        beside = read_all(server)
        load.join()
        show("catching up", alone, "MB/s", 0, "")
        show("catching up beside 50 MB/s of intake", beside, "MB/s", alone, "it alone")
        show("  p99.9 of a request meanwhile", report["latency_ms"]["p99.9"], "ms", 0, "")


def make_holes(server, done):
    """Leaves of each full segment the first and the last MiB."""
    by_partition = {}
    for path in files(server, "topics/*/*/*.log"):
        by_partition.setdefault(path.parent, []).append(path)
    for paths in by_partition.values():
        for path in set(paths[:-1]) - done:
            size = path.stat().st_size
            subprocess.run(["fallocate", "--punch-hole", "--offset", str(HOLE_BLOCK), "--length",
                            str(size - 2 * HOLE_BLOCK), path], check=True)
            done.add(path)


def first_records(server):
    """The slowest look at the first record of a segment, in milliseconds."""
    slowest = 0
    for path in files(server, "topics/events-*/*/*.log"):
        query = f"partition={path.parent.name}&offset={int(path.stem)}&limit=1"
        begin = time.monotonic()
        answer = json.loads(server.get(f"/v1/topics/events/records?{query}"))
        slowest = max(slowest, time.monotonic() - begin)
        assert answer["records"][0]["offset"] == int(path.stem)
    return slowest * 1000


def big(folder, gib):
    with running(folder, 3) as server:
        done = set()
        while size_of(files(server, "topics/*/*/*.log")) < gib * (25 << 30):
            fill(server, 2)
            make_holes(server, done)
        until(lambda: server.metric("garner_log_seal_backlog_bytes") == 0, "sealed log", 300)
        held = size_of(files(server, "topics/*/*/*.log")) / (1 << 30)
        server.stop()
        took = min(start_again(server) for _ in range(3))
        show(f"clean start, {held:.0f} GiB in segments", took * 1000, "ms", 100, "what is owed")
        server.start()
        show("  memory after it", mib(server.resident()), "MiB", 0, "")
        show("  first record of a segment, the slowest", first_records(server), "ms", 0, "")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--gib", type=float, default=4)
    parser.add_argument("--dir", type=pathlib.Path, default=ROOT / "build" / "bench")
    parser.add_argument("rows", nargs="*", metavar="ROW")
    args = parser.parse_args()
    rows = {row.__name__: row for row in (clean, crash, seal, catchup, big)}
    unknown = set(args.rows) - set(rows)
    if unknown:
        parser.error(f"rows are {' '.join(rows)}, not {' '.join(unknown)}")
    args.dir.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(args.dir).free < args.gib * (3 << 30):
        parser.error(f"needs {args.gib * 3:.0f} GiB on {args.dir}")
    for row in args.rows or ROWS:
        rows[row](args.dir, args.gib)


if __name__ == "__main__":
    main()
