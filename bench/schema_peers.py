#!/usr/bin/env python3
"""Checking records against a JSON Schema, beside other people's checkers in the same run.

usage: bench/schema_peers.py [--seconds N] [ROW...]        rows: events github

  events   events of about 500 bytes with 40 properties
  github   the GitHub webhook examples (npm @octokit/webhooks-examples) against their published
           schema (npm @octokit/webhooks-schemas)

Peers are ajv (npm), which compiles a schema to JavaScript, and jsonschema-rs (PyPI), in Rust, both
fetched once into build/deps/peers; without npm or pip a peer is left out, and that is said. All run
on one processor, from the bytes of a record to its verdict, and are measured in its time; what the
peers take for a value that is parsed already stands beside it. Verdicts have to agree.
"""
import argparse
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PEERS = ROOT / "build" / "deps" / "peers"
PACKAGES = ("ajv@8", "@octokit/webhooks-examples@7", "@octokit/webhooks-schemas@7")
RUST = "jsonschema-rs"


def fetch(what, command, there):
    """True when it is there, or could be fetched."""
    if there.exists():
        return True
    PEERS.mkdir(parents=True, exist_ok=True)
    if not shutil.which(command[0]):
        print(f"schema_peers: {what} left out: there is no {command[0]}", flush=True)
        return False
    done = subprocess.run(command, cwd=PEERS, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, check=False)
    if done.returncode != 0:
        print(f"schema_peers: {what} left out: {done.stderr.strip().splitlines()[-1:]}", flush=True)
    return done.returncode == 0


def fetch_npm():
    return fetch("npm packages", ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund",
                                  "--prefix", str(PEERS), *PACKAGES],
                 PEERS / "node_modules" / "ajv")


def fetch_rust():
    return fetch(RUST, [sys.executable, "-m", "pip", "install", "-q", "--target",
                        str(PEERS / "python"), RUST], PEERS / "python" / "jsonschema_rs")


def events():
    """Forty properties of all kinds, each with what a contract would say of it."""
    rng = random.Random(20260301)
    kinds = {
        "id": ({"type": "string", "minLength": 8, "maxLength": 36},
               lambda: f"{rng.getrandbits(64):016x}"),
        "count": ({"type": "integer", "minimum": 0, "maximum": 100000},
                  lambda: rng.randrange(1000)),
        "state": ({"enum": ["open", "paid", "sent", "done"]},
                  lambda: rng.choice(["open", "paid", "sent", "done"])),
        "ratio": ({"type": "number", "exclusiveMinimum": -1}, lambda: round(rng.random(), 3)),
        "flag": ({"type": "boolean"}, lambda: rng.random() < .5),
    }
    names = [f"{kind}_{i}" for i in range(8) for kind in kinds]
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object",
              "required": names[:20], "additionalProperties": False,
              "properties": {name: kinds[name.split("_")[0]][0] for name in names}}
    # Optional ones are there half of the time: about 500 bytes.
    def make(_):
        return {name: kinds[name.split("_")[0]][1]() for i, name in enumerate(names)
                if i < 20 or rng.random() < .6}
    return schema, [make(i) for i in range(20000)]


def github():
    if not fetch_npm():
        return None
    folder = PEERS / "node_modules" / "@octokit"
    schema = json.loads((folder / "webhooks-schemas" / "schema.json").read_text())
    hooks = json.loads((folder / "webhooks-examples" / "api.github.com" / "index.json").read_text())
    return schema, [example for hook in hooks for example in hook["examples"]]


def on_one_processor(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True,
                          preexec_fn=lambda: os.sched_setaffinity(0, {0}))
    return done.stdout.split()


def rust_rates(schema, lines, seconds):
    """MB/s from text, MB/s of a parsed value, and how many pass; in this process."""
    sys.path.insert(0, str(PEERS / "python"))
    import jsonschema_rs  # pylint: disable=import-error,import-outside-toplevel
    validator = jsonschema_rs.validator_for(schema, validate_formats=False)
    values = [json.loads(line) for line in lines]
    size = sum(len(line) + 1 for line in lines) / 1e6

    def best(work):
        rate, begin = 0, time.process_time()
        while rate == 0 or time.process_time() - begin < seconds:
            start = time.process_time()
            passed = sum(work())
            rate = max(rate, size / (time.process_time() - start))
        return rate, passed
    whole, passed = best(lambda: (validator.is_valid(json.loads(line)) for line in lines))
    alone, _ = best(lambda: (validator.is_valid(value) for value in values))
    return whole, alone, passed


def measure(name, made, seconds):
    schema, records = made
    folder = PEERS / name
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode()
             for record in records]
    (folder / "schema.json").write_text(json.dumps(schema))
    (folder / "records.ndjson").write_bytes(b"\n".join(lines) + b"\n")
    files = [str(folder / "schema.json"), str(folder / "records.ndjson"), str(seconds)]
    rate, passed, count = on_one_processor([ROOT / "build/release/bench/schema_file", *files])
    rate, verdicts = float(rate), {"garner": int(passed)}
    print(f"{name}: {count} records of {sum(map(len, lines)) // len(lines)} bytes, {passed} pass")
    print(f"  {'garner':15}{rate:8.1f} MB/s", flush=True)

    def show(peer, whole, alone):
        print(f"  {peer:15}{whole:8.1f} MB/s   garner is {rate / whole:.1f} times as fast "
              f"({alone:.1f} MB/s where the value is parsed already)", flush=True)
    if fetch_npm() and shutil.which("node"):
        whole, alone, passed, _ = on_one_processor(
            ["node", ROOT / "bench/schema_peers.js", PEERS / "node_modules", *files])
        show("ajv", float(whole), float(alone))
        verdicts["ajv"] = int(passed)
    if fetch_rust():
        whole, alone, verdicts[RUST] = rust_rates(schema, lines, seconds)
        show(RUST, whole, alone)
    if len(set(verdicts.values())) > 1:
        raise SystemExit(f"schema_peers: verdicts differ: {verdicts}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("rows", nargs="*", metavar="ROW")
    args = parser.parse_args()
    rows = {"events": events, "github": github}
    if unknown := set(args.rows) - set(rows):
        parser.error(f"rows are {' '.join(rows)}, not {' '.join(unknown)}")
    os.sched_setaffinity(0, {0})
    for name in args.rows or rows:
        if made := rows[name]():
            measure(name, made, args.seconds)


if __name__ == "__main__":
    main()
