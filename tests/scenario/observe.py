"""What an operator sees: health, readiness, metrics, the ledger, and who may ask."""
import json
import re
import subprocess

import pytest

from lib.client import Client
from lib.server import assert_balanced, run
from lib.wait import until
from lib.wire import Wire


def send_some(server):
    with server.client() as client:
        assert client.post_ndjson("events", [{"n": n} for n in range(8)] + [b"bad"]).status == 200
        assert client.post("events", b"{}", "text/plain").status == 415


def test_the_ledger_has_the_shape_that_is_documented(server):
    send_some(server)
    assert server.wait_delivered("files")
    ledger = server.ledger()
    assert_balanced(ledger)
    assert list(ledger) == ["balanced", "topics", "dlq", "sinks"]
    none = {"duplicates": 0, "refused": 0, "damaged": 0}
    assert ledger["topics"] == {"events": {"received": 9, "accepted": 8, "dead_lettered": 1,
                                           **none}}
    assert ledger["dlq"] == {"events": {"dead_lettered": 1, "held": 1, "redriven": 0, "purged": 0,
                                        "expired": 0, "damaged": 0}}
    assert ledger["sinks"] == {"files": {
        "topics": ["events"], "accepted": 8, "delivered": 8, "dead_lettered": 0, "expired": 0,
        "aborted": 0, "compacted": 0, "damaged": 0, "pending": 0}}


def test_the_ledger_is_the_same_after_a_crash_and_after_a_stop(server):
    send_some(server)
    before = server.wait_delivered("files")
    server.kill()
    server.start()
    assert server.wait_delivered("files") == before
    assert server.stop() == 0
    server.start()
    assert server.wait_delivered("files") == before


def test_what_is_refused_by_its_head_is_counted_beside_the_ledger(server):
    send_some(server)
    assert server.ledger()["topics"]["events"]["received"] == 9
    assert '\ngarner_requests_refused_total{status="415"} 1\n' in server.metrics()


def test_health_and_readiness(server):
    assert server.get("/health").status == 200
    answer = server.get("/ready")
    assert (answer.status, answer.json()) == (200, {"ready": True})
    with Client(server.admin_port) as client:
        assert client.request("HEAD", "/health").body == b""
        answer = client.request("POST", "/health", b"{}")
        assert (answer.status, answer.headers["allow"][:3]) == (405, "GET")
        assert client.get("/v1/nothing").status == 404


def test_promtool_finds_nothing_to_say_of_the_metrics(server, promtool):
    send_some(server)
    server.wait_delivered("files")
    text = server.metrics()
    done = subprocess.run([promtool, "check", "metrics"], input=text.encode(), check=False,
                          capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    for name in ("garner_request_duration_seconds", "garner_log_commit_duration_seconds",
                 "garner_log_flush_duration_seconds"):
        count = float(re.search(rf"^{name}_count(?:\{{[^}}]*\}})? (\S+)$", text, re.M)[1])
        assert count > 0, name
    for name in ("garner_sink_lag_offsets", "garner_log_queue_bytes", "garner_disk_free_bytes",
                 "process_resident_memory_bytes", "garner_build_info"):
        assert re.search(rf"^{name}[{{ ]", text, re.M), name


def test_what_fails_is_counted_by_its_reason(make_garner):
    garner = make_garner(contracts={"events": {}, "strict": {"on_invalid": "reject"}})
    garner.config["intake"]["record_limit"] = "64B"
    garner.write()
    garner.start()
    with garner.client() as client:
        for topic in ("events", "strict"):
            client.post_ndjson(topic, [b"{}", b"bad", b"worse", b'"' + b"x" * 100 + b'"'])
    text = garner.metrics()
    rows = dict(re.findall(r"^(garner_\w+_total\{topic=.*\}) (\S+)$", text, re.M))
    for family, topic, other in (("dead_letters", "events", "strict"),
                                 ("refusals", "strict", "events")):
        row = 'garner_%s_total{topic="%s",reason="%s"}'
        assert [rows[row % (family, topic, reason)]
                for reason in ("json", "oversize", "schema", "complexity")] == ["2", "1", "0", "0"]
        assert {v for k, v in rows.items() if k.startswith(f"garner_{family}_total") and
                f'"{other}"' in k} == {"0"}
    assert rows['garner_records_total{topic="events",outcome="dead_lettered"}'] == "3"
    assert rows['garner_records_total{topic="strict",outcome="refused"}'] == "3"
    assert rows['garner_refusals_total{topic="events",reason="dlq_full"}'] == "0"
    assert garner.ledger()["topics"]["events"]["dead_lettered"] == 3


def test_metrics_only_grow_where_they_say_they_do(server):
    def counters():
        text = server.metrics()
        names = set(re.findall(r"^# TYPE (\S+) counter$", text, re.M))
        rows = re.findall(r"^((\w+)(?:\{.*\})?) (\S+)$", text, re.M)
        return {row: float(value) for row, name, value in rows if name in names}

    send_some(server)
    first = counters()
    send_some(server)
    second = counters()
    assert first and all(second[row] >= value for row, value in first.items())
    accepted = 'garner_records_total{topic="events",outcome="accepted"}'
    assert (first[accepted], second[accepted]) == (8, 16)


@pytest.mark.parametrize("headers, status", [
    ({"Host": "evil.example"}, 403), ({"Host": "127.0.0.1.evil.example"}, 403),
    ({"Origin": "http://evil.example"}, 403), ({"Origin": "null"}, 403),
    ({"Host": "localhost"}, 200), ({"Host": "127.0.0.1:1"}, 200), ({"Host": "[::1]"}, 200),
])
def test_pages_of_other_sites_get_nothing_from_the_admin_door(server, headers, status):
    with Client(server.admin_port) as client:
        for path in ("/health", "/ready", "/metrics", "/v1/ledger"):
            assert client.request("GET", path, None, headers).status == status


def test_a_page_of_this_server_may_ask(server):
    with Client(server.admin_port) as client:
        origin = f"http://localhost:{server.admin_port}"
        answer = client.request("GET", "/v1/ledger", None, {
            "Host": f"localhost:{server.admin_port}", "Origin": origin})
        assert answer.status == 200


def test_the_admin_door_takes_what_is_not_http_like_the_intake(server):
    for data in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET /health\r\n\r\n",
                 b"GET /health HTTP/1.1\r\n\r\n"):
        with Wire(server.admin_port) as wire:
            wire.send(data)
            wire.end()
            assert [a[0] for a in wire.answers()] == [400]
    assert server.get("/health").status == 200


def test_every_line_of_the_log_is_json(server):
    send_some(server)
    assert server.stop() == 0
    events = [json.loads(line) for line in server.log_text().splitlines()]
    assert all(set(event) >= {"time", "level", "event", "text"} for event in events)
    assert [e["event"] for e in events][-2:] == ["stopping", "stopped"]


def test_a_hangup_ends_nothing(server, delivered):
    with server.client() as client:
        assert client.post_json("events", {"n": 1}).status == 200
        server.reload()
        until(lambda: '"event":"reloaded"' in server.log_text(), "the server to have seen it")
        assert client.post_json("events", {"n": 2}).status == 200
    assert delivered(server) == [{"n": 1}, {"n": 2}]


def test_commands_say_what_they_are_for():
    done = run("--help")
    assert done.returncode == 0
    for command in ("serve", "check", "gen", "ledger", "version"):
        assert re.search(rf"^  {command}\b", done.stdout.decode(), re.M), command
        answer = run(command, "--help")
        assert answer.returncode == 0 and b"usage: garner " + command.encode() in answer.stdout


def test_the_ledger_command_prints_what_the_door_says(server):
    send_some(server)
    server.wait_delivered("files")
    done = run("ledger", "--json", "--server", f"127.0.0.1:{server.admin_port}")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == server.ledger()
    # The second is a name that is looked up, and the door answers to it.
    for name in ("localhost", "LOCALHOST"):
        done = run("ledger", "--json", "--server", f"{name}:{server.admin_port}")
        assert json.loads(done.stdout) == server.ledger()
    server.kill()
    done = run("ledger", "--server", f"127.0.0.1:{server.admin_port}")
    assert done.returncode == 69
    assert str(server.admin_port).encode() in done.stderr
