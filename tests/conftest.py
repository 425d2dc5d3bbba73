"""Fixtures of the tests that run the real program."""
import shutil
import subprocess

import pytest

from lib.server import ROOT, Garner


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.when == "call":
        item.failed = report.failed


@pytest.fixture
def make_garner(tmp_path, request):
    """Makes servers in folders of their own (lib.server.Garner), kills them after the test.

    A server that ended behind the test's back fails it. When the test failed, the end of each
    server's log is shown and its folder is kept.
    """
    made = []

    def make(name=None, **options):
        garner = Garner(tmp_path / (name or f"garner{len(made)}"), **options)
        made.append(garner)
        return garner

    yield make
    ended = [g for g in made if g.process is not None and not g.running()]
    for garner in made:
        if garner.process is not None and garner.running():
            garner.kill()
    for garner in made:
        if getattr(request.node, "failed", True) or ended:
            print(garner.log_tail())
        else:
            # pytest keeps the folders of three runs, and logs are large.
            shutil.rmtree(garner.folder, ignore_errors=True)
    assert not ended, f"a server ended by itself: {[g.process.returncode for g in ended]}"


@pytest.fixture
def garner(make_garner):
    """One server with the topic `events` and a file sink `files` on ./out, started."""
    sink = {"type": "file", "topics": ["events"], "path": "./out/{topic}", "format": "ndjson",
            "roll": {"size": "64MiB", "time": "1s"}}
    return make_garner(sinks={"files": sink}).start()


@pytest.fixture(scope="session")
def npm_package():
    """The folder of a package of the npm registry; the test is skipped where it can't be had."""
    def fetch(name, version):
        got = subprocess.run([ROOT / "tools" / "npm-package", name, version],
                             capture_output=True, text=True, check=False)
        if got.returncode != 0:
            pytest.skip(got.stderr.strip())
        return ROOT / got.stdout.strip()
    return fetch


@pytest.fixture(scope="session")
def promtool():
    """The path of Prometheus' promtool; the test is skipped where it can't be had."""
    unpacked = ROOT / "build" / "deps" / "promtool" / "usr" / "bin" / "promtool"
    found = subprocess.run(["which", "promtool"], capture_output=True, text=True, check=False)
    if unpacked.exists():
        return unpacked
    if found.returncode != 0:
        pytest.skip("promtool is not installed; tools/setup test unpacks it")
    return found.stdout.strip()
