"""`garner consume` and /v1/topics/{topic}/records: the records as they are in the log."""
import base64
import json
import signal
import subprocess

from lib.server import program, run
from lib.wait import until


def consume(garner, topic, *flags):
    return run("consume", topic, "--server", f"127.0.0.1:{garner.admin_port}", *flags)


def values(done, code=0):
    assert done.returncode == code, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


class Follower:
    """`garner consume --follow` in the background; what it prints goes to files."""

    def __init__(self, garner, topic, *flags):
        self.out = garner.folder / "consumed"
        self.err = garner.folder / "consumed.err"
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.process = subprocess.Popen(
                [program(), "consume", topic, "--follow", "--server",
                 f"127.0.0.1:{garner.admin_port}", *flags], stdout=out, stderr=err)

    def lines(self):
        return self.out.read_bytes().splitlines()

    def wait_lines(self, count):
        def enough():
            assert self.process.poll() is None, self.err.read_text()
            return len(self.lines()) >= count
        until(enough, f"{count} lines of {self.out}")

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(30)


def test_values_are_lines_in_the_order_of_the_log(garner):
    with garner.client() as client:
        client.post_ndjson("events", [{"n": n} for n in range(2500)])
    assert values(consume(garner, "events")) == [{"n": n} for n in range(2500)]
    assert values(consume(garner, "events", "--limit", "1001"))[-1] == {"n": 1000}
    assert values(consume(garner, "events", "--offset", "2498")) == [{"n": 2498}, {"n": 2499}]
    assert values(consume(garner, "events", "--offset", "-1")) == [{"n": 2499}]
    assert values(consume(garner, "events", "--offset", "latest")) == []


def test_a_value_over_several_lines_is_one_line(garner):
    with garner.client() as client:
        client.post("events", b'{\n  "a": [1,\r\n 2.50]\n}', "application/json")
    done = consume(garner, "events")
    assert done.stdout.count(b"\n") == 1 and values(done) == [{"a": [1, 2.5]}]
    assert b"2.50" in done.stdout, "numbers stay as they were written"


def test_records_have_all_that_belongs_to_them(make_garner):
    garner = make_garner(contracts={"events": {"partitions": 4, "key": "k", "event_time": "t"}})
    garner.start()
    sent = [{"k": f"key {n % 7}", "t": "2026-03-01T10:00:00.250Z", "n": n} for n in range(200)]
    with garner.client() as client:
        client.post_ndjson("events", sent)
    records = values(consume(garner, "events", "--json"))
    assert sorted(r["value"]["n"] for r in records) == list(range(200))
    for record in records:
        assert record["topic"] == "events" and record["headers"] == []
        assert record["key"] == record["value"]["k"]
        assert record["timestamp"] == 1772359200250
    for partition in range(4):
        held = [r for r in records if r["partition"] == partition]
        assert [r["offset"] for r in held] == list(range(len(held)))
        alone = values(consume(garner, "events", "--json", "--partition", partition))
        assert alone == held


def test_dead_letters_come_with_their_bytes_and_the_reason(garner):
    broken = b'{"a": \xff\x00 not JSON'
    with garner.client() as client:
        client.post_ndjson("events", [broken, {"n": 1}])
    assert consume(garner, "events.dlq").stdout == broken + b"\n"
    record, = values(consume(garner, "events.dlq", "--json"))
    assert base64.b64decode(record["value_base64"]) == broken and "value" not in record
    headers = {h["key"]: h["value"] for h in record["headers"]}
    assert headers["garner.reason"] == "json" and "byte" in headers["garner.detail"]


def test_a_start_by_time_is_the_first_record_of_that_time(make_garner):
    garner = make_garner(contracts={"events": {"event_time": "t"}}).start()
    with garner.client() as client:
        client.post_ndjson("events", [{"t": f"2026-03-01T10:00:{n:02}Z"} for n in range(60)])
    for start in ("2026-03-01T10:00:57Z", "2026-03-01T12:00:57+02:00", "1772359257000"):
        done = consume(garner, "events", "--time", start)
        assert [v["t"][-3:-1] for v in values(done)] == ["57", "58", "59"]
    assert values(consume(garner, "events", "--time", "2026-03-01T10:01:00Z")) == []


def test_an_answer_says_where_to_go_on(garner):
    with garner.client() as client:
        client.post_ndjson("events", [{"n": n} for n in range(5)])
    answer = garner.get("/v1/topics/events/records?offset=1&limit=2")
    page = answer.json()
    assert [r["offset"] for r in page["records"]] == [1, 2]
    assert (page["next_offset"], page["start_offset"], page["end_offset"]) == (3, 0, 5)
    assert page["uuid"] == garner.get("/v1/topics/events").json()["uuid"]
    assert answer.body.count(b"\n") == 4, "a record a line"
    outside = garner.get("/v1/topics/events/records?offset=6")
    assert outside.status == 416 and outside.json()["end_offset"] == 5
    assert garner.get("/v1/topics/events/records?offset=5").json()["records"] == []
    for query, status in (("offset=x", 400), ("limit=1001", 400), ("ofset=1", 400),
                          ("partition=1", 404), ("wait_ms=30001", 400)):
        assert garner.get(f"/v1/topics/events/records?{query}").status == status


def test_an_answer_waits_for_a_record(garner):
    with garner.client() as admin, garner.client() as client:
        admin.connection.port = garner.admin_port
        admin.connection.connect()
        admin.connection.request("GET", "/v1/topics/events/records?offset=latest&wait_ms=30000")
        client.post_ndjson("events", [{"n": 1}])
        page = json.loads(admin.connection.getresponse().read())
    assert [r["value"] for r in page["records"]] == [{"n": 1}]


def test_following_goes_on_with_what_comes_and_ends_by_a_signal(make_garner):
    garner = make_garner(contracts={"events": {"partitions": 3}}).start()
    for number in (signal.SIGINT, signal.SIGTERM):
        follower = Follower(garner, "events")
        before = garner.get("/v1/topics/events").json()["offsets"]
        follower.wait_lines(before)
        with garner.client() as client:
            for n in range(10):
                client.post_json("events", {"n": n})
        follower.wait_lines(before + 10)
        assert follower.end(number) == 0
        assert follower.err.read_bytes() == b""
        assert len(follower.lines()) == before + 10


def test_following_survives_a_restart_of_the_server(garner):
    with garner.client() as client:
        client.post_ndjson("events", [{"n": n} for n in range(100)])
    follower = Follower(garner, "events")
    follower.wait_lines(100)
    for kill in (garner.kill, garner.stop):
        told = follower.err.read_bytes().count(b" is back\n")
        kill()
        until(lambda: follower.err.read_bytes().count(b"waiting for") == told + 1, "it is said")
        garner.start()
        with garner.client() as client:
            client.post_ndjson("events", [{"n": 100 + told}])
        follower.wait_lines(101 + told)
    assert follower.end() == 0
    assert [json.loads(line)["n"] for line in follower.lines()] == list(range(102))
    assert follower.err.read_bytes().count(b" is back\n") == 2


def test_a_closed_pipe_ends_it(garner):
    with garner.client() as client:
        client.post_ndjson("events", [{"n": n, "pad": "x" * 500} for n in range(5000)])
    with subprocess.Popen([program(), "consume", "events", "--follow", "--server",
                           f"127.0.0.1:{garner.admin_port}"], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as process:
        assert json.loads(process.stdout.readline())["n"] == 0
        process.stdout.close()
        assert process.wait(30) == 0
        assert process.stderr.read() == b""


def test_without_a_topic_or_a_server_it_says_so(garner):
    done = consume(garner, "boats")
    assert done.returncode == 1 and done.stderr == b"garner consume: there is no topic boats\n"
    done = consume(garner, "events", "--partition", "1")
    assert done.returncode == 1 and b"there is no 1" in done.stderr
    done = run("consume", "events", "--server", "127.0.0.1:1")
    assert done.returncode == 69 and b"127.0.0.1:1" in done.stderr
    done = run("consume", "events", "--server", f"127.0.0.1:{garner.intake_port}")
    assert done.returncode == 69 and b"404" in done.stderr
    assert run("consume").returncode == 64


def test_what_has_expired_is_said_and_passed(make_garner):
    garner = make_garner(contracts={"events": {"retention": {"size": "1MiB"}}},
                         config={"wal_limit": "64MiB"}).start()
    records = [{"n": n, "pad": "x" * 1000} for n in range(4000)]
    with garner.client() as client:
        def start():
            # Only what is sealed expires, and only a full file of the log is sealed.
            assert client.post_ndjson("events", records).status in (200, 503)
            return garner.get("/v1/topics/events").json()["partitions"][0]["start_offset"]
        until(start, "the first records to expire")
    done = consume(garner, "events", "--offset", "3", "--json", "--limit", "10")
    first, *_ = values(done, code=1)
    assert done.stderr.startswith(b"garner consume: partition 0: offsets 3 to ")
    assert done.stderr.endswith(f" have expired; going on at {first['offset']}\n".encode())
    answer = garner.get("/v1/topics/events/records?offset=3")
    assert answer.status == 416 and answer.json()["start_offset"] >= first["offset"]
