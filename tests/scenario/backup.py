"""Backups of a server that runs, and data directories made of them."""
import json
import os
import shutil
import signal
import subprocess
import threading

import pytest

from lib.client import Client
from lib.server import assert_balanced, program, run
from lib.wait import until

SMALL = {"wal_limit": "128MiB"}
SINK = {"files": {"type": "file", "topics": ["events"], "path": "./out", "roll": {"time": "50ms"}}}
OK, FAILED, USAGE, UNAVAILABLE, CANNOT_CREATE = 0, 1, 64, 69, 73
ROUND = 500


def lines(first, count=ROUND):
    return [json.dumps({"n": n, "pad": "x" * 1000}).encode() for n in range(first, first + count)]


class Fixture:
    """A server, a folder of backups, and what is acknowledged."""

    def __init__(self, make_garner, tmp_path, sinks=None):
        self.make = make_garner
        self.garner = make_garner(config=SMALL, sinks=sinks)
        self.folder = tmp_path / "backups"
        self.sent = 0
        self.made = 0

    def start(self, **options):
        self.garner.start(**options)
        return self

    def send(self, rounds=1):
        with self.garner.client() as client:
            for _ in range(rounds):
                answer = client.post_ndjson("events", lines(self.sent))
                assert answer.json()["accepted"] == ROUND
                self.sent += ROUND

    def command(self, *words, env=None, **options):
        address = f"127.0.0.1:{self.garner.admin_port}"
        return run("backup", "--to", self.folder, *words,
                   env={**os.environ, "GARNER_SERVER": address, **(env or {})}, **options)

    def backup(self, *words, code=OK, env=None):
        done = self.command("--json", *words, env=env)
        assert done.returncode == code, done
        return json.loads(done.stdout) if code == OK else done.stderr.decode()

    def list(self):
        done = run("backup", "list", "--to", self.folder, "--json")
        assert done.returncode == OK, done
        return json.loads(done.stdout)["backups"]

    def restore(self, *words, code=OK):
        """A restored data directory in the place of another server's."""
        self.made += 1
        other = self.make(name=f"restored{self.made}", config=SMALL, sinks=SINK)
        done = run("restore", "--from", self.folder, "--to", other.data_dir, "--json", *words)
        assert done.returncode == code, done
        if code != OK:
            assert not other.data_dir.exists()
            assert not other.data_dir.with_name("data.unfinished").exists()
            return done.stderr.decode()
        checked = run("fsck", other.data_dir, "--json")
        assert checked.returncode == 0, checked
        return other


def numbers_of(garner):
    """Serves the directory: the ledger balances, a sink delivers it all; the records."""
    garner.start()
    ledger = garner.wait_delivered("files")
    assert_balanced(ledger)
    numbers = [json.loads(line)["n"] for line in garner.sink_lines("out")]
    assert len(numbers) == len(set(numbers)) == ledger["topics"]["events"]["accepted"]
    with garner.client() as client:
        assert client.post_json("events", [{"n": -1}]).json()["accepted"] == 1
    assert_balanced(garner.wait_delivered("files"))
    garner.kill()
    return numbers


@pytest.fixture
def fixture(make_garner, tmp_path):
    return Fixture(make_garner, tmp_path)


class Load:
    """Somebody sends all the time; knows what was acknowledged at each moment."""

    def __init__(self, fixture):
        self.fixture = fixture
        self.stopping = threading.Event()
        self.refused = 0
        self.thread = threading.Thread(target=self.work)

    def work(self):
        with self.fixture.garner.client() as client:
            while not self.stopping.is_set():
                answer = client.post_ndjson("events", lines(self.fixture.sent))
                if answer.status == 200:
                    self.fixture.sent += ROUND
                else:
                    self.refused += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join(60)


def test_a_backup_under_load_holds_what_was_acknowledged_before_it(fixture):
    fixture.start()
    fixture.send(10)
    moments = []
    with Load(fixture) as load:
        for _ in range(3):
            before = fixture.sent
            said = fixture.backup()
            moments.append((said["name"], before))
            until(lambda: fixture.sent > before + 20 * ROUND, "more records")
    assert load.refused == 0
    assert [b["name"] for b in fixture.list()] == [name for name, _ in moments]
    for name, before in moments:
        numbers = numbers_of(fixture.restore("--backup", name))
        assert set(numbers) >= set(range(before))
        assert sorted(numbers) == list(range(len(numbers)))


def test_the_second_backup_copies_what_is_new(fixture):
    fixture.start()
    fixture.send(40)
    first = fixture.backup()
    assert first["copied_bytes"] == first["bytes"] > 20_000_000
    second = fixture.backup()
    assert second["copied_bytes"] < 100_000
    fixture.send(1)
    third = fixture.backup()
    assert third["copied_bytes"] < 1_500_000
    # Less on the disk than one and a half of them.
    size = sum(p.stat().st_size for p in fixture.folder.rglob("*") if p.is_file())
    assert size < first["bytes"] * 3 / 2
    assert len(numbers_of(fixture.restore("--backup", first["name"]))) == 40 * ROUND
    assert len(numbers_of(fixture.restore())) == 41 * ROUND


def test_a_backup_that_is_removed_takes_along_what_only_it_needed(fixture):
    fixture.start()
    fixture.send(10)
    name = fixture.backup()["name"]
    fixture.garner.stop()
    shutil.rmtree(fixture.garner.data_dir)
    fixture.garner.start()
    fixture.sent = 0
    fixture.send(1)
    shutil.rmtree(fixture.folder / name)
    fixture.backup()
    size = sum(p.stat().st_size for p in fixture.folder.rglob("*") if p.is_file())
    assert size < 2_000_000
    assert len(numbers_of(fixture.restore())) == ROUND


def test_a_stopped_directory_is_backed_up_too(fixture):
    fixture.start()
    fixture.send(40)
    fixture.garner.kill()
    said = fixture.backup("--data-dir", fixture.garner.data_dir)
    assert said["bytes"] > 20_000_000
    assert len(numbers_of(fixture.restore())) == 40 * ROUND
    fixture.garner.start()
    text = fixture.backup("--data-dir", fixture.garner.data_dir, code=FAILED)
    assert "in use by a garner server" in text


@pytest.mark.parametrize("fault", [
    "kill:before:open:/checkpoint/:2", "kill:during:write:.wal:1", "kill:after:write:/data/:3",
    "kill:before:syncall::1", "kill:before:write:manifest:1", "kill:before:rename:unfinished:2",
    "kill:after:rename:unfinished:2"])
def test_a_killed_backup_is_none_and_the_next_one_works(fixture, fault):
    fixture.start()
    fixture.send(20)
    fixture.backup()
    fixture.send(20)
    killed = fixture.command(env={"GARNER_FAULT": fault})
    assert killed.returncode == -signal.SIGKILL, killed
    whole = len(fixture.list())
    assert whole == (2 if fault.startswith("kill:after:rename") else 1)
    assert len(numbers_of(fixture.restore())) == whole * 20 * ROUND
    # Its hold lasts for a minute, or until the server is started again.
    fixture.garner.kill()
    fixture.garner.start()
    fixture.backup()
    assert not list(fixture.folder.glob("*.unfinished"))
    assert len(numbers_of(fixture.restore())) == 40 * ROUND


def test_a_server_that_dies_meanwhile_makes_no_backup_and_starts_again(fixture):
    fixture.start()
    fixture.send(40)
    address = f"127.0.0.1:{fixture.garner.admin_port}"
    process = subprocess.Popen(
        [program(), "backup", "--to", fixture.folder, "--server", address],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "GARNER_FAULT": "slow:3s:open:/topics/:2"})
    until(lambda: "log_pin_taken" in fixture.garner.log_text(), "the pin")
    until(lambda: list(fixture.folder.glob("*.unfinished/wal/*")), "the copy to begin")
    fixture.garner.kill()
    _, said = process.communicate(timeout=60)
    assert process.returncode == FAILED and b"no backup was made" in said, said
    assert fixture.list() == [] and not list(fixture.folder.glob("*.unfinished"))
    fixture.garner.start()
    fixture.send(1)
    fixture.backup()
    assert len(numbers_of(fixture.restore())) == 41 * ROUND


def test_what_expires_meanwhile_stays_until_the_copy_is_done(make_garner, tmp_path):
    fixture = Fixture(make_garner, tmp_path)
    fixture.garner.contracts = {"events": {"retention": {"size": "8MiB"}}}
    fixture.garner.write()
    fixture.start()
    fixture.send(40)
    address = f"127.0.0.1:{fixture.garner.admin_port}"
    process = subprocess.Popen(
        [program(), "backup", "--to", fixture.folder, "--server", address],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "GARNER_FAULT": "slow:2s:open:/topics/:1"})
    until(lambda: "log_pin_taken" in fixture.garner.log_text(), "the pin")
    fixture.send(60)
    _, said = process.communicate(timeout=60)
    assert process.returncode == OK, said
    restored = fixture.restore()
    numbers = numbers_of(restored)
    assert numbers and max(numbers) >= 40 * ROUND - 1

    def removed():
        found = [line for line in fixture.garner.metrics().splitlines()
                 if line.startswith("garner_log_removed_segments_total ")]
        return float(found[0].split()[1]) > 0
    until(removed, "expired segments to go")


def harm(path, cut=False):
    with open(path, "r+b") as file:
        size = os.fstat(file.fileno()).st_size
        if cut:
            file.truncate(size // 2)
            return
        file.seek(size // 2)
        byte = file.read(1)[0]
        file.seek(size // 2)
        file.write(bytes([byte ^ 0x20]))


def test_a_damaged_backup_is_refused_with_the_file(fixture):
    fixture.start()
    fixture.send(40)
    name = fixture.backup()["name"]
    segment = sorted(fixture.folder.glob("data/*/topics/*/*/*.log.*"))[0]
    index = sorted(fixture.folder.glob("data/*/topics/*/*/*.index.*"))[0]
    checkpoint = next((fixture.folder / name).glob("checkpoint/*"))
    frames = next((fixture.folder / name).glob("wal/*"))
    manifest = fixture.folder / name / "manifest"
    for path in (segment, index, checkpoint, frames, manifest):
        for how in ("flip", "cut", "gone"):
            whole = path.read_bytes()
            if how == "gone":
                path.unlink()
            else:
                harm(path, cut=how == "cut")
            said = fixture.restore(code=FAILED)
            assert path.name in said, (path, how, said)
            path.write_bytes(whole)
    harm(manifest)
    [row] = fixture.list()
    assert row["whole"] is False and "manifest" in row["error"]


def test_what_is_damaged_at_the_source_is_named_and_not_handed_on(fixture):
    fixture.start()
    fixture.send(20)
    fixture.backup()
    [segment] = fixture.garner.data_dir.glob("topics/events-*/0/*.log")
    copied = segment.stat().st_size
    fixture.send(60)
    until(lambda: segment.stat().st_size > copied + 12_000_000, "more of it to be sealed")
    with open(segment, "r+b") as file:
        file.seek(copied + 1_000_000)
        file.write(b"harm")
    said = fixture.backup(code=FAILED)
    assert f"{segment} is damaged at byte " in said and "garner fsck" in said
    assert len(fixture.list()) == 1
    assert len(numbers_of(fixture.restore())) == 20 * ROUND


def test_the_target_is_not_touched_when_it_is_not_empty(fixture):
    fixture.start()
    fixture.send(1)
    fixture.backup()
    before = sorted(str(p) for p in fixture.garner.data_dir.rglob("*"))
    done = run("restore", "--from", fixture.folder, "--to", fixture.garner.data_dir)
    assert done.returncode == CANNOT_CREATE and b"not an empty directory" in done.stderr
    assert sorted(str(p) for p in fixture.garner.data_dir.rglob("*")) == before


def test_a_full_disk_is_said_and_leaves_nothing_half_done(fixture, mount):
    small = mount("small", "tmpfs", "size=8m")
    fixture.folder = small / "backups"
    fixture.start()
    fixture.send(2)
    fixture.backup()
    fixture.send(40)
    said = fixture.backup(code=CANNOT_CREATE)
    assert "no space left" in said
    assert len(fixture.list()) == 1 and not list(fixture.folder.glob("*.unfinished"))
    assert len(numbers_of(fixture.restore())) == 2 * ROUND


def test_wrong_words_and_no_server_have_exit_codes(fixture):
    assert fixture.command("more").returncode == USAGE
    assert run("backup").returncode == USAGE
    assert run("restore", "--from", fixture.folder).returncode == USAGE
    done = fixture.command()
    assert done.returncode == UNAVAILABLE and b"--data-dir" in done.stderr
    done = run("restore", "--from", fixture.folder, "--to", fixture.folder / "new")
    assert done.returncode == FAILED and b"nothing was restored" in done.stderr


def test_two_at_a_time_and_foreign_pages_are_refused(fixture):
    fixture.start()
    with Client(fixture.garner.admin_port) as door:
        first = door.request("POST", "/v1/backups")
        assert first.status == 200 and first.json()["data_dir"] == str(fixture.garner.data_dir)
        assert door.request("POST", "/v1/backups").status == 409
        assert "another backup of this server" in fixture.backup(code=FAILED)
        assert door.request("GET", "/v1/backups").status == 405
        foreign = door.request("POST", "/v1/backups", headers={"Origin": "http://example.com"})
        assert foreign.status == 403
        gone = door.request("DELETE", f"/v1/backups/{first.json()['id']}")
        assert gone.status == 200 and gone.json() == {"held": False}
        assert door.request("DELETE", f"/v1/backups/{first.json()['id']}").status == 404
    fixture.backup()


def test_a_restored_directory_knows_the_keys(make_garner, tmp_path):
    contracts = {"events": {"dedup": {"key": "n", "window": "1h", "memory": "1MiB"}}}
    garner = make_garner(contracts=contracts).start()
    server = f"127.0.0.1:{garner.admin_port}"
    count, batch = 120000, 4000

    def send(client, first):
        said = client.post_ndjson("events", [{"n": n} for n in range(first, first + batch)]).json()
        return said["accepted"], said["duplicates"]
    with garner.client() as client:
        for first in range(0, count, batch):
            assert send(client, first) == (batch, 0)
        # Some are in a sorted file, some in one that grows with each checkpoint.
        until(lambda: 'garner_log_keys_files{topic="events"} 0' not in garner.metrics(),
              "a file of keys", 30)
    for name in ("one", "two"):
        done = run("backup", "--to", tmp_path / "backups", "--server", server)
        assert done.returncode == OK, done
        other = make_garner(name=name, contracts=contracts)
        done = run("restore", "--from", tmp_path / "backups", "--to", other.data_dir)
        assert done.returncode == OK, done
        other.start()
        with other.client() as client:
            assert send(client, 0) == send(client, count - batch) == (0, batch)
            assert send(client, count) == (batch, 0)
        assert_balanced(other.ledger())
        other.kill()
        with garner.client() as client:
            assert send(client, count) == (batch, 0)
        count += batch
