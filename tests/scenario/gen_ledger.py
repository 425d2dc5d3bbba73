"""`garner ledger` and `garner version`: what they print, and how they end."""
import json

from lib.server import run


def ledger(garner, *flags, **options):
    return run("ledger", "--server", f"127.0.0.1:{garner.admin_port}", *flags, **options)


def test_the_ledger_is_a_table_for_people(garner):
    with garner.client() as client:
        client.post_ndjson("events", [{"n": 1}, {"n": 2}, b"broken"])
    garner.wait_delivered("files")
    done = ledger(garner)
    assert done.returncode == 0
    lines = done.stdout.decode().splitlines()
    assert lines[0] == "balanced: yes"
    rows = {line.split()[0]: line.split()[1:] for line in lines if line}
    assert rows["topic"][:3] == ["received", "accepted", "duplicates"]
    assert rows["files"][0] == "events"
    topic = next(line for line in lines if line.startswith("events"))
    assert topic.split()[1:5] == ["3", "2", "0", "1"]
    assert len({len(line) for line in lines[2:4]}) == 1, "columns are aligned"


def test_json_is_what_the_server_says(garner):
    done = ledger(garner, "--json")
    assert done.returncode == 0 and json.loads(done.stdout) == garner.ledger()


def test_the_server_is_found_by_environment_or_url(garner):
    for address in (f"127.0.0.1:{garner.admin_port}", f"http://127.0.0.1:{garner.admin_port}/"):
        done = run("ledger", env={"GARNER_SERVER": address})
        assert done.returncode == 0 and done.stdout.startswith(b"balanced: yes")


def test_without_a_server_it_says_what_to_do():
    done = run("ledger", "--server", "127.0.0.1:1")
    assert done.returncode == 69 and not done.stdout
    assert b"garner serve" in done.stderr and b"GARNER_SERVER" in done.stderr


def test_the_wrong_door_is_told(garner):
    done = run("ledger", "--server", f"127.0.0.1:{garner.intake_port}")
    assert done.returncode == 69 and b"404" in done.stderr


def test_an_address_that_is_none_is_told():
    done = run("ledger", "--server", "here")
    assert done.returncode == 64 and b"'here' (--server) is no address" in done.stderr


def test_version_names_the_program():
    assert run("version").stdout.startswith(b"garner ")
    assert json.loads(run("version", "--json").stdout)["name"] == "garner"
