"""A garner server of a test's own: its folder, its configuration, its process."""
import json
import os
import pathlib
import random
import signal
import socket
import subprocess

from lib.client import Client
from lib.wait import until

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
LOG_TAIL_BYTES = 8000


def program():
    """The binary under test: GARNER_BIN, else what tools/test or make built last."""
    if "GARNER_BIN" in os.environ:
        return pathlib.Path(os.environ["GARNER_BIN"])
    for kind in ("faults", "release"):
        path = ROOT / "build" / kind / "garner"
        if path.exists():
            return path
    raise FileNotFoundError("no garner in build/: run tools/build faults garner")


def free_ports(count):
    """Ports of the loopback that nobody listens on at this moment, all different. Not of the range
    that the system takes for connections, where one would be gone before the server has it."""
    ports = {}
    try:
        while len(ports) < count:
            port = random.randrange(10000, 32768)
            if port in ports:
                continue
            s = socket.socket()
            ports[port] = s
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                ports.pop(port).close()
        return list(ports)
    finally:
        for s in ports.values():
            s.close()


def run(*arguments, stdin=b"", timeout=60, **options):
    """Runs one command of the program to its end: returncode, stdout, stderr (bytes)."""
    return subprocess.run([program(), *map(str, arguments)], input=stdin, capture_output=True,
                          timeout=timeout, check=False, **options)


class Garner:
    """One server, started and killed as often as the test likes, on one folder.

    contracts  {topic: other fields of its contract}
    sinks      {name: its configuration}; a relative path lies in the folder
    config     further top-level fields, which win over those made here
    env        environment variables of the server, on top of the test's own
    """

    memory_max_kib = 256 << 10  # of any server in any test
    code_kib = 24 << 10  # beside memory_limit: code, stacks, topics, files that sinks have open

    def __init__(self, folder, contracts=None, sinks=None, config=None, env=None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log = self.folder / "server.log"
        self.config_file = self.folder / "garner.yaml"
        self.data_dir = self.folder / "data"
        self.env = dict(env or {})
        self.process = None
        self.intake_port, self.admin_port, self.kafka_port = free_ports(3)
        self.config = {
            "data_dir": "./data",
            "wal_limit": "512MiB",
            "intake": {"listen": f"127.0.0.1:{self.intake_port}"},
            "admin": {"listen": f"127.0.0.1:{self.admin_port}"},
            "kafka": {"listen": f"127.0.0.1:{self.kafka_port}"},
            "contracts": ["contracts/*.yaml"],
            "sinks": sinks or {},
            **(config or {}),
        }
        self.contracts = {"events": {}} if contracts is None else contracts
        self.write()

    def write(self):
        """Writes configuration and contracts as they stand. JSON is YAML enough."""
        directory = self.folder / "contracts"
        directory.mkdir(exist_ok=True)
        for old in directory.glob("*.yaml"):
            old.unlink()
        for topic, fields in self.contracts.items():
            text = json.dumps({"topic": topic, **fields}, indent=2)
            (directory / f"{topic}.yaml").write_text(text)
        self.config_file.write_text(json.dumps(self.config, indent=2))

    def start(self, env=None, ready=True, seconds=30):
        """Starts the server; with `ready`, returns when it says so. Its log is appended to."""
        assert not self.running(), "the server runs already"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [program(), "serve", "--config", self.config_file], cwd=self.folder,
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                env={**os.environ, **self.env, **(env or {})})
        if ready:
            self.wait_ready(seconds)
        return self

    def running(self):
        return self.process is not None and self.process.poll() is None

    def wait_ready(self, seconds=30):
        """Waits until /ready is 200; fails at once when the server ended instead."""
        def ready():
            if not self.running():
                raise AssertionError(f"the server ended with {self.process.returncode} before "
                                     f"it was ready\n{self.log_tail()}")
            return self.get("/ready").status == 200
        until(ready, "the server to be ready", seconds)

    def wait_exit(self, seconds=30):
        """Waits for the process to end by itself; its exit status (-N: by signal N)."""
        status = self.process.wait(seconds)
        self.process = None
        return status

    def peak_kib(self):
        """The memory that it has taken at most, so far; 0 of a process that has ended."""
        if not self.running():
            return 0
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return sum(int(line.split()[1]) for line in status.splitlines()
                   if line.startswith("VmHWM"))

    def memory_limit_kib(self):
        """What its configuration allows."""
        limit = str(self.config.get("memory_limit", ""))
        return int(limit[:-3]) << 10 if limit.endswith("MiB") else self.memory_max_kib

    def assert_small(self, peak_kib):
        """Whatever a test does to a server, it stays small."""
        most = min(self.memory_max_kib, self.memory_limit_kib() + self.code_kib)
        assert peak_kib <= most, f"the server took {peak_kib} KiB of memory, {most} at the most"

    def kill(self):
        """SIGKILL: what a crash of the process leaves."""
        if self.process is not None:
            peak_kib = self.peak_kib()
            self.process.kill()
            self.wait_exit()
            self.assert_small(peak_kib)

    def stop(self, seconds=60):
        """SIGTERM, and waits until it has drained; its exit status."""
        peak_kib = self.peak_kib()
        self.process.send_signal(signal.SIGTERM)
        status = self.wait_exit(seconds)
        self.assert_small(peak_kib)
        return status

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def client(self, **options):
        """A new connection to the intake."""
        return Client(self.intake_port, **options)

    def get(self, path):
        """One request to the admin door."""
        with Client(self.admin_port, timeout=10) as client:
            return client.get(path)

    def values(self, topic, partition=0):
        """What all records of a topic's partition hold, in their order."""
        found = []
        offset = "earliest"
        while True:
            page = self.get(f"/v1/topics/{topic}/records?partition={partition}&offset={offset}"
                            "&limit=1000").json()
            found += [record["value"] for record in page["records"]]
            if page["next_offset"] >= page["end_offset"]:
                return found
            offset = page["next_offset"]

    def ledger(self):
        answer = self.get("/v1/ledger")
        assert answer.status == 200, answer
        return answer.json()

    def metrics(self):
        answer = self.get("/metrics")
        assert answer.status == 200, answer
        return answer.body.decode()

    def wait_delivered(self, sink, seconds=60):
        """Waits until nothing is pending for `sink`; the ledger of that moment."""
        def drained():
            ledger = self.ledger()
            # A sink has its row once it is opened, which a start does not wait for.
            row = ledger["sinks"].get(sink)
            return row is not None and row["pending"] == 0 and ledger
        return until(drained, f"the sink {sink} to have nothing pending", seconds)

    def sink_files(self, path):
        """The complete files below a file sink's `path`, none of those in progress."""
        base = self.folder / path
        return sorted(p for p in base.rglob("*.ndjson") if ".inprogress" not in str(p))

    def sink_lines(self, path):
        """Every line of those files, as bytes. A file without its last newline is an error."""
        lines = []
        for file in self.sink_files(path):
            data = file.read_bytes()
            assert data.endswith(b"\n"), f"{file} does not end with a newline"
            lines += data[:-1].split(b"\n")
        return lines

    def log_text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def log_tail(self):
        text = self.log_text()
        return f"--- the end of {self.log}\n{text[-LOG_TAIL_BYTES:]}\n---"


def assert_balanced(ledger):
    """Adds up both equations of the ledger; does not believe its own verdict alone.

    The second holds for sinks that began with their topics' first record, as in the tests.
    """
    assert ledger["balanced"] is True, ledger
    topics = ledger["topics"]
    for name, row in topics.items():
        outcomes = sum(row[key] for key in ("accepted", "duplicates", "dead_lettered", "refused"))
        assert row["received"] == outcomes + row.get("damaged", 0), (name, row)
    for name, row in ledger["sinks"].items():
        if not all(topic in topics for topic in row["topics"]):
            continue
        accepted = sum(topics[topic]["accepted"] for topic in row["topics"])
        outcomes = sum(row[key] for key in ("delivered", "dead_lettered", "expired", "aborted",
                                            "compacted", "pending"))
        assert accepted == outcomes + row.get("damaged", 0), (name, row, accepted)
