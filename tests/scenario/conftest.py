"""What the scenarios share."""
import json
import subprocess

import pytest

from lib.server import assert_balanced

FILE_SINK = {"type": "file", "topics": ["events"], "path": "./out/{topic}",
             "roll": {"size": "64MiB", "time": "50ms"}}
SMALL = {"wal_limit": "128MiB"}


@pytest.fixture
def server(make_garner):
    """A started server with the topic `events` and a sink `files` on ./out, quick to publish."""
    return make_garner(sinks={"files": FILE_SINK}, config=SMALL).start()


@pytest.fixture
def delivered():
    """Waits until all is delivered, checks the ledger, returns the records in the files."""
    def wait(server, sink="files", path="out"):
        ledger = server.wait_delivered(sink)
        assert_balanced(ledger)
        return [json.loads(line) for line in server.sink_lines(path)]
    return wait


@pytest.fixture
def mount(tmp_path):
    """Mounts a file system in memory at a new folder: "tmpfs" is as small as its option `size`
    says, "ramfs" has no direct I/O."""
    mounted = []

    def make(name, kind, *options):
        folder = tmp_path / name
        folder.mkdir()
        command = ["mount", "-t", kind, "-o", ",".join(["rw", *options]), "garner", str(folder)]
        if subprocess.run(command, capture_output=True, check=False).returncode != 0:
            pytest.skip("mounting a file system needs more rights than this test has")
        mounted.append(folder)
        return folder

    yield make
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
