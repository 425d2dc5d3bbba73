"""`garner gen` with --restart-cmd: it starts the server, kills it, and only it."""
import json
import os
import signal
import subprocess

import pytest

from lib.server import assert_balanced, program, run
from lib.wait import until


@pytest.fixture
def folder(make_garner):
    """The folder of a server that is not started, with a sink on ./out."""
    sink = {"type": "file", "topics": ["events"], "path": "./out",
            "roll": {"size": "1MiB", "time": "1s"}}
    return make_garner(sinks={"files": sink})


def serve(garner, prefix="exec "):
    return f"{prefix}{program()} serve --config garner.yaml >>server.log 2>&1"


def flags(garner, *more):
    return ("gen", "--server", f"127.0.0.1:{garner.intake_port}", "--json", *more)


def test_nothing_is_lost_over_kills(folder):
    done = run(*flags(folder, "--count", 60000, "--batch", 50, "--kills", 3, "--broken", 60,
                      "--verify", "out", "--restart-cmd", serve(folder)),
               cwd=folder.folder, timeout=120)
    report = json.loads(done.stdout)
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert report["kills"] == 3 and report["sent"] == 60000
    assert report["verified"]["missing"] == report["verified"]["unexplained"] == 0
    assert report["verified"]["repeated"] == report["verified"]["explained"]
    folder.start()
    ledger = folder.wait_delivered("files")
    assert_balanced(ledger)
    assert ledger["topics"]["events"]["accepted"] == len(folder.sink_lines("out"))


def test_with_numbers_nothing_is_there_twice(folder):
    """Without any key in the topic: broken records too are counted once."""
    done = run(*flags(folder, "--count", 60000, "--batch", 50, "--kills", 5, "--broken", 60,
                      "--numbered", "--verify", "out", "--restart-cmd", serve(folder)),
               cwd=folder.folder, timeout=120)
    report = json.loads(done.stdout)
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert report["kills"] == 5 and report["sent"] == 60000 and report["answers_lost"] > 0
    assert report["verified"]["missing"] == report["verified"]["repeated"] == 0
    folder.start()
    ledger = folder.wait_delivered("files")
    assert_balanced(ledger)
    row = ledger["topics"]["events"]
    assert (row["accepted"], row["dead_lettered"]) == (60000 - 60, 60)


def test_kills_come_by_the_clock_as_well(folder):
    done = run(*flags(folder, "--seconds", 4, "--rate", 2000, "--batch", 10, "--kill-every",
                      "400ms", "--verify", "out", "--restart-cmd", serve(folder)),
               cwd=folder.folder, timeout=120)
    report = json.loads(done.stdout)
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert report["kills"] >= 2 and report["verified"]["missing"] == 0


def test_a_server_behind_a_shell_is_killed_with_it(folder):
    """Without `exec` the server is the shell's child; it must be gone before the next starts."""
    done = run(*flags(folder, "--count", 20000, "--batch", 50, "--kills", 2, "--verify", "out",
                      "--restart-cmd", serve(folder, prefix="true; ")),
               cwd=folder.folder, timeout=120)
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert "in use" not in folder.log_text()


def test_the_server_does_not_outlive_the_command(folder):
    done = run(*flags(folder, "--count", 100, "--restart-cmd", f"echo $$ >pid; {serve(folder)}"),
               cwd=folder.folder, timeout=60)
    assert done.returncode == 0, (done.stdout, done.stderr)
    pid = int((folder.folder / "pid").read_text())
    assert not os.path.exists(f"/proc/{pid}")
    assert '"stopped"' in folder.log_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_sending_and_still_compares(folder, number):
    process = subprocess.Popen(
        [program(), *map(str, flags(folder, "--seconds", 1000, "--rate", 1000, "--batch", 10,
                                    "--verify", "out", "--restart-cmd", serve(folder)))],
        cwd=folder.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    until(lambda: list(folder.folder.glob("out/*.ndjson")), "a file of the sink")
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    report = json.loads(out)
    assert process.returncode == 0, (out, err)
    assert report["sent"] == report["accepted"] == report["verified"]["records"] > 0


def test_a_server_that_ends_by_itself_is_told(folder):
    done = run(*flags(folder, "--count", 100, "--restart-cmd", "exit 78"), cwd=folder.folder)
    assert done.returncode == 1
    assert b"ended by itself, with exit code 78" in done.stderr


def test_another_server_is_never_killed(make_garner, folder):
    """A server that somebody else runs, and a command that starts nothing of the kind."""
    other = make_garner("other").start()
    done = run("gen", "--server", f"127.0.0.1:{other.intake_port}", "--count", 2000, "--batch", 10,
               "--kills", 2, "--restart-cmd", "exec sleep 1000", cwd=folder.folder, timeout=60)
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert other.running()


@pytest.mark.parametrize("words, said", [
    (["--kills", 3], b"kills need --restart-cmd"),
    (["--kill-every", "1s"], b"kills need --restart-cmd"),
    (["--kills", 3, "--seconds", 5, "--restart-cmd", "true"], b"--kills needs --kill-every"),
    (["--kill-every", "5"], b"expected a duration"),
    (["--broken", "10", "--seconds", 5], b"--broken: expected a share"),
    (["--duplicates", "60%"], b"--duplicates: expected a share such as 1%, up to 50%"),
    (["--topic", "a/b"], b"is no topic's name"),
    (["--server", "example.com"], b"is no address"),
    (["--size", 79], b"--size: expected a size"),
    (["--batch", 0], b"--batch: expected a whole number"),
    (["--conections", 5], b"did you mean --connections?"),
    (["now"], b"expected flags only, got 'now'"),
])
def test_wrong_words_are_answered_with_what_is_right(words, said):
    done = run("gen", *words)
    assert done.returncode == 64 and said in done.stderr and not done.stdout


def test_without_a_server_it_says_what_to_do():
    done = run("gen", "--server", "127.0.0.1:1", "--count", 5)
    assert done.returncode == 69
    assert b"no server at 127.0.0.1:1" in done.stderr and b"garner serve" in done.stderr


def test_help_names_every_flag():
    done = run("gen", "--help")
    assert done.returncode == 0
    for flag in (b"--server", b"--kill-every", b"--restart-cmd", b"--verify-wait", b"--acks"):
        assert flag in done.stdout
