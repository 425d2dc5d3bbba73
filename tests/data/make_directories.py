#!/usr/bin/env python3
"""Makes data/format-N.tar.xz: the data directory that the program in GARNER_BIN leaves.

usage: GARNER_BIN=... tests/data/make_directories.py N

Format 1 is what commit 251c348 writes (no sealing yet), format 2 what seals, format 3 (commit
29780ae) has idempotency keys and settled dead letters too, format 4 (commit a7644eb) requests that
count once. Records repeat themselves, so that what
lies on the disk is small once it is packed. A format that the program writes no more is never made
again: its file is what old directories look like.
"""
import json
import pathlib
import re
import sys
import tarfile
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lib.server import Garner, run  # noqa: E402
from lib.wait import until  # noqa: E402

SINK = {"type": "file", "topics": ["events"], "path": "./out", "roll": {"time": "50ms"}}
CONTRACTS = {"events": {"partitions": 2, "key": "k"}}
KEYED = {"keyed": {"dedup": {"key": "n", "window": "36500d"}, "retention": {"time": "36500d"}}}
KEYS = 500


def records(count):
    return [{"n": n, "k": str(n % 7), "pad": "x" * 1000} for n in range(count)]


def fill(garner, batches):
    garner.start()
    with garner.client() as client:
        for _ in range(batches):
            assert client.post_ndjson("events", records(1000)).json()["accepted"] == 1000
        assert client.post("events", b'{"n":1}\n{broken\n{"n":2}\n',
                           "application/x-ndjson").json()["dead_lettered"] == 1
    garner.wait_delivered("files")


def fill_keyed(garner):
    """Records with keys, and two dead letters of which one is purged."""
    with garner.client() as client:
        assert client.post_ndjson("keyed", [{"n": n} for n in range(KEYS)]).status == 200
        assert client.post("keyed", b'{"n":1,\n{broken\n', "application/x-ndjson").status == 200
    server = f"127.0.0.1:{garner.admin_port}"
    done = run("dlq", "purge", "keyed", "--limit", "1", "--yes", "--server", server)
    assert done.returncode == 0, done


def fill_once(garner):
    """Two numbered requests, and one with an Idempotency-Key."""
    with garner.client() as client:
        for n in range(2):
            said = client.post_ndjson("keyed", [{"n": 1000 + n}],
                                      {"Garner-Producer": "p", "Garner-Sequence": str(n)})
            assert said.json()["accepted"] == 1
        said = client.post_ndjson("keyed", [{"n": 2000}], {"Idempotency-Key": "k"})
        assert said.json()["accepted"] == 1


def anonymous(member):
    member.uname = member.gname = ""
    member.uid = member.gid = 0
    return member


def is_sealed(garner):
    return re.search(r"^garner_log_recycled_files_total [1-9]", garner.metrics(), re.M)


def main():
    number = int(sys.argv[1])
    here = pathlib.Path(__file__).resolve().parent
    with tempfile.TemporaryDirectory() as folder:
        contracts = CONTRACTS
        if number > 1:
            contracts = {"events": {**CONTRACTS["events"], "compression": "zstd"}}
        if number > 2:
            contracts = {**contracts, **KEYED}
        garner = Garner(pathlib.Path(folder) / "g", contracts=contracts, sinks={"files": SINK},
                        config={"wal_limit": "48MiB"})
        try:
            fill(garner, 1 if number == 1 else 55)
            if number > 2:
                fill_keyed(garner)
            if number > 3:
                fill_once(garner)
            if number > 1:
                until(lambda: is_sealed(garner), "a file to be recycled")
            ledger = garner.ledger()
        finally:
            garner.kill()
        (garner.data_dir / "ledger.json").write_text(json.dumps(ledger))
        with tarfile.open(here / f"format-{number}.tar.xz", "w:xz", preset=9) as tar:
            tar.add(garner.data_dir, "data", filter=anonymous)


if __name__ == "__main__":
    main()
