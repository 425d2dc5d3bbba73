"""`garner gen` against a real server: what it sends, what it remembers, what it finds."""
import collections
import json
import re

from lib.server import assert_balanced, run

ID = re.compile(rb'"id"[:;]"([0-9a-f]{8}-[0-9]{12})"')


def gen(garner, *flags, code=0, timeout=120):
    """Runs gen against the server's intake; its report."""
    done = run("gen", "--server", f"127.0.0.1:{garner.intake_port}", "--json", *flags,
               cwd=garner.folder, timeout=timeout)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return json.loads(done.stdout)


def outcomes(path):
    """{id: (outcome, sure, maybe)} of a list that gen wrote."""
    rows = (line.split("\t") for line in path.read_text().splitlines())
    return {row[0]: (row[1], int(row[2]), int(row[3])) for row in rows}


def ids(garner):
    return collections.Counter(ID.search(line)[1].decode() for line in garner.sink_lines("out"))


def test_everything_sent_is_acknowledged_delivered_and_found(garner):
    report = gen(garner, "--count", 12345, "--batch", 100, "--verify", "out", "--acks", "acks")
    assert report["good"] and report["sent"] == report["accepted"] == 12345
    assert report["verified"]["records"] == 12345
    assert report["verified"]["missing"] == report["verified"]["repeated"] == 0
    assert report["statuses"] == {"200": 124}
    listed = outcomes(garner.folder / "acks")
    assert set(listed.values()) == {("acknowledged", 1, 0)}
    assert ids(garner) == {name: 1 for name in listed}


def test_broken_records_become_dead_letters_and_are_listed_as_such(garner):
    report = gen(garner, "--count", 3000, "--broken", 300, "--batch", 1000, "--verify", "out",
                 "--acks", "acks")
    assert (report["accepted"], report["dead_lettered"]) == (2700, 300)
    listed = outcomes(garner.folder / "acks")
    dead = {name for name, row in listed.items() if row[0] == "dead-lettered"}
    assert len(dead) == 300
    assert set(ids(garner)) == set(listed) - dead
    ledger = garner.wait_delivered("files")
    assert_balanced(ledger)
    assert ledger["topics"]["events"]["dead_lettered"] == 300


def test_broken_records_of_an_array_leave_their_neighbours_alone(garner):
    report = gen(garner, "--count", 500, "--broken", "10%", "--batch", 50, "--format", "json",
                 "--verify", "out")
    assert (report["accepted"], report["dead_lettered"]) == (450, 50)


def test_single_records_go_as_json_objects(garner):
    report = gen(garner, "--count", 300, "--batch", 1, "--connections", 20, "--verify", "out")
    assert report["requests"] == report["accepted"] == 300


def test_records_sent_twice_on_purpose_are_expected_twice(garner):
    report = gen(garner, "--count", 5000, "--duplicates", "10%", "--batch", 100, "--verify", "out",
                 "--acks", "acks")
    assert report["sent"] == 5000 and report["sent_again"] > 400
    assert report["accepted"] == 5000 + report["sent_again"]
    listed = outcomes(garner.folder / "acks")
    # The list counts to three, and that stands for more.
    found = {name: min(copies, 3) for name, copies in ids(garner).items()}
    assert found == {name: row[1] for name, row in listed.items()}


def test_records_have_the_size_that_was_asked_for(garner):
    gen(garner, "--count", 50, "--size", 333, "--batch", 7, "--verify", "out")
    lines = garner.sink_lines("out")
    assert len(lines) == 50
    assert {len(line) for line in lines} == {333}
    for line in lines:
        json.loads(line)


def test_the_same_seed_sends_the_same_ids(garner):
    for name in ("a", "b"):
        gen(garner, "--count", 20, "--seed", 7, "--acks", name)
    a, b = ((garner.folder / name).read_text() for name in ("a", "b"))
    assert a == b


def test_a_rate_is_kept(garner):
    report = gen(garner, "--count", 600, "--rate", 300, "--batch", 10)
    assert report["seconds"] >= 1.9


def test_files_that_never_come_are_missed(garner):
    report = gen(garner, "--count", 100, "--verify", "nowhere", "--verify-wait", "1s", code=1)
    assert report["verified"]["missing"] == 100 and not report["good"]


def test_an_unknown_topic_ends_the_run_with_what_the_server_said(garner):
    done = run("gen", "--server", f"127.0.0.1:{garner.intake_port}", "--topic", "nope")
    assert done.returncode == 1
    assert b"404" in done.stderr and b"is not declared" in done.stderr
    assert done.stdout == b""


def test_records_over_the_limit_are_dead_letters(garner):
    report = gen(garner, "--count", 3, "--size", "1200KiB", "--batch", 1)
    assert (report["accepted"], report["dead_lettered"]) == (0, 3)


def test_a_body_over_the_limit_ends_the_run(garner):
    # Ten times over: the answer comes while most of the body is still to be sent.
    done = run("gen", "--server", f"127.0.0.1:{garner.intake_port}", "--size", "1MiB",
               "--batch", 10, "--count", 100)
    assert done.returncode == 1 and b"413" in done.stderr


def test_a_contract_that_refuses_is_not_a_fault(make_garner):
    garner = make_garner(contracts={"events": {"on_invalid": "reject"}}).start()
    report = gen(garner, "--count", 1000, "--broken", 200, "--batch", 50, "--acks", "acks")
    assert (report["accepted"], report["refused"], report["given_up"]) == (800, 200, 0)
    listed = collections.Counter(row[0] for row in outcomes(garner.folder / "acks").values())
    assert listed == {"acknowledged": 800, "refused": 200}
