"""`garner produce` against a real server: lines in, records there, and what is refused is told."""
import json
import subprocess

from lib.server import assert_balanced, program, run
from lib.wait import until


def produce(garner, lines, *flags, code=0):
    done = run("produce", "events", "--server", f"127.0.0.1:{garner.kafka_port}", *flags,
               stdin=lines)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done


def consumed(garner, *flags):
    done = run("consume", "events", "--server", f"127.0.0.1:{garner.admin_port}", *flags)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_lines_are_records_and_come_back_as_they_were(garner):
    lines = b"".join(b'{"n":%d}\n' % n for n in range(20000))
    done = produce(garner, lines)
    assert done.stdout == done.stderr == b""
    assert consumed(garner) == lines
    assert_balanced(garner.wait_delivered("files"))


def test_keys_and_values_are_taken_apart(make_garner):
    garner = make_garner(contracts={"events": {"partitions": 5}}).start()
    produce(garner, b"a:1\nb:2\na:3\nnone\n", "--key-separator", ":")
    records = [json.loads(line) for line in consumed(garner, "--json").splitlines()]
    assert sorted((r.get("key"), r["value"]) for r in records if r.get("key")) == [
        ("a", 1), ("a", 3), ("b", 2)]
    assert len({r["partition"] for r in records if r.get("key") == "a"}) == 1
    assert len(records) == 4


def test_every_codec_and_a_partition_of_choice(make_garner):
    garner = make_garner(contracts={"events": {"partitions": 2}}).start()
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        produce(garner, b"".join(b"%d\n" % n for n in range(1000)), "--codec", codec,
                "--partition", 1)
    assert len(consumed(garner, "--partition", 1).splitlines()) == 5000
    assert consumed(garner, "--partition", 0) == b""


def test_lines_that_a_contract_refuses_are_told_with_the_reason(make_garner):
    schema = {"type": "jsonschema", "file": "n.json"}
    garner = make_garner(contracts={"events": {"schema": schema, "on_invalid": "reject"}})
    (garner.folder / "contracts" / "n.json").write_text(
        '{"type":"object","properties":{"n":{"type":"integer"}}}')
    garner.start()
    done = produce(garner, b'{"n":1}\n{"n":"x"}\n\n{"n":2}\nno json\n', "--json", code=1)
    assert json.loads(done.stdout) == {"written": 2, "rejected": 2}
    told = done.stderr.decode().splitlines()
    assert any("line 2: INVALID_RECORD" in line and "integer" in line for line in told), told
    assert any("line 5: INVALID_RECORD" in line for line in told), told
    assert consumed(garner) == b'{"n":1}\n{"n":2}\n'
    assert_balanced(garner.ledger())


def test_many_refused_lines_leave_the_others_written(make_garner):
    schema = {"type": "jsonschema", "file": "n.json"}
    garner = make_garner(contracts={"events": {"schema": schema, "on_invalid": "reject"}})
    (garner.folder / "contracts" / "n.json").write_text('{"type":"object"}')
    garner.start()
    lines = b"".join(b"{}\n" if n % 2 else b"broken\n" for n in range(1000))
    done = produce(garner, lines, "--json", code=1)
    assert json.loads(done.stdout) == {"written": 500, "rejected": 500}
    assert b"more lines are rejected" in done.stderr


def test_what_a_contract_dead_letters_is_written(make_garner):
    schema = {"type": "jsonschema", "file": "n.json"}
    garner = make_garner(contracts={"events": {"schema": schema}})
    (garner.folder / "contracts" / "n.json").write_text('{"type":"object"}')
    garner.start()
    produce(garner, b"{}\nbroken\n")
    ledger = garner.ledger()
    assert_balanced(ledger)
    assert (ledger["topics"]["events"]["accepted"],
            ledger["topics"]["events"]["dead_lettered"]) == (1, 1)


def test_a_line_that_is_too_large_is_rejected_alone(garner):
    done = produce(garner, b"small\n" + b"x" * 2_000_000 + b"\nlast\n", "--json", code=1)
    assert json.loads(done.stdout) == {"written": 2, "rejected": 1}
    assert b"line 2: MESSAGE_TOO_LARGE" in done.stderr
    assert consumed(garner) == b"small\nlast\n"


def test_without_a_topic_or_a_broker_it_says_what_to_do(garner):
    done = run("produce", "nope", "--server", f"127.0.0.1:{garner.kafka_port}", stdin=b"x\n")
    assert done.returncode == 1 and b"declare it in a contract" in done.stderr
    done = run("produce", "events", "--server", "127.0.0.1:1", stdin=b"x\n")
    assert done.returncode == 69 and b"start one with `garner serve`" in done.stderr


def test_after_a_server_that_goes_it_says_which_lines_are_open(garner):
    command = [program(), "produce", "events", "--server", f"127.0.0.1:{garner.kafka_port}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdin.write(b"first\n")
        process.stdin.flush()
        until(lambda: garner.ledger()["topics"]["events"]["accepted"] == 1, "the first line")
        garner.kill()
        _, said = process.communicate(b"second\nthird\n", timeout=60)
    assert process.returncode == 69
    # The answer to the first may have been on its way, and the others on theirs to where nobody is.
    assert (b"nothing behind line 1 was sent" in said
            or b"1 lines from 1 to 1, for partition 0: it is not known" in said
            or b"2 lines from 2 to 3, for partition 0: it is not known" in said)
    garner.start()
    assert consumed(garner) == b"first\n"


def test_a_server_that_is_started_again_while_the_input_is_silent_is_found_again(garner):
    command = [program(), "produce", "events", "--server", f"127.0.0.1:{garner.kafka_port}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdin.write(b"first\n")
        process.stdin.flush()
        until(lambda: garner.ledger()["topics"]["events"]["accepted"] == 1, "the first line")
        # Who is told to stop answers what it has taken first.
        garner.stop()
        garner.start()
        _, said = process.communicate(b"second\nthird\n", timeout=60)
    assert process.returncode == 0, said
    assert sorted(consumed(garner).split()) == [b"first", b"second", b"third"]


def test_lines_that_are_written_are_written_also_when_the_server_goes_before_the_end(garner):
    command = [program(), "produce", "events", "--server", f"127.0.0.1:{garner.kafka_port}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdin.write(b"first\n")
        process.stdin.flush()
        until(lambda: garner.ledger()["topics"]["events"]["accepted"] == 1, "the first line")
        garner.stop()
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
