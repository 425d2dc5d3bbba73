"""A log or a disk that is full, slow or failing: intake is refused and says when to come again,
everything else goes on, and it heals by itself."""
import http.client
import json
import re
import signal
import subprocess

import pytest

from lib.producer import Producers, assert_all_there_once
from lib.server import assert_balanced
from lib.wait import until

FILE_SINK = {"type": "file", "topics": ["events"], "path": "./out/{topic}",
             "roll": {"time": "50ms"}}
KILOBYTE = "x" * 1000


def metric(server, name):
    return float(re.search(rf"^{name} (\S+)$", server.metrics(), re.M)[1])


def fill(client, most=300):
    """Sends batches until one is refused; that answer, and how many records were accepted."""
    accepted = 0
    for n in range(most):
        records = [{"n": accepted + i, "pad": KILOBYTE} for i in range(1000)]
        answer = client.post_ndjson("events", records)
        if answer.status != 200:
            return answer, accepted
        assert answer.json()["accepted"] == 1000
        accepted += 1000
    raise AssertionError(f"{most} MB were accepted and nothing was refused")


def check_refused_for_a_while(server, answer, reason):
    assert answer.status == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.json()["detail"]
    ready = server.get("/ready")
    assert ready.status == 503
    assert reason in ready.json()["reason"]
    assert server.get("/health").status == 200


def test_at_wal_limit_sealing_makes_room_and_nothing_is_refused(make_garner, delivered):
    server = make_garner(sinks={"files": FILE_SINK}, config={"wal_limit": "32MiB"}).start()
    with server.client() as client:
        for n in range(0, 100_000, 1000):
            records = [{"n": n + i, "pad": KILOBYTE} for i in range(1000)]
            assert client.post_ndjson("events", records).status == 200
    assert [r["n"] for r in delivered(server)] == list(range(100_000))
    assert sum(f.stat().st_size for f in (server.data_dir / "wal").iterdir()) <= 48 << 20


def test_where_nothing_can_be_sealed_wal_limit_refuses_and_the_sinks_go_on(make_garner, delivered):
    server = make_garner(sinks={"files": FILE_SINK}, config={"wal_limit": "32MiB"}).start()
    # A file is where the directory of the segments would be.
    topics = server.data_dir / "topics"
    topics.write_text("")
    with server.client() as client:
        answer, accepted = fill(client)
        check_refused_for_a_while(server, answer, "topics")
    assert accepted > 10_000
    assert [r["n"] for r in delivered(server)] == list(range(accepted))
    server.kill()
    server.start(ready=False)
    until(lambda: server.get("/ready").status == 503, "the server to say why it is not ready")
    assert_balanced(server.wait_delivered("files"))
    assert server.ledger()["topics"]["events"]["accepted"] == accepted
    topics.unlink()
    server.wait_ready()
    with server.client() as client:
        assert client.post_json("events", {"n": accepted}).status == 200
    assert [r["n"] for r in delivered(server)] == list(range(accepted + 1))


def test_a_full_disk_refuses_intake_and_heals_by_itself(make_garner, mount, delivered):
    folder = mount("disk", "tmpfs", "size=52m")
    server = make_garner(sinks={"files": FILE_SINK},
                         config={"wal_limit": "128MiB", "data_dir": str(folder)}).start()
    with server.client() as client:
        answer, accepted = fill(client)
        check_refused_for_a_while(server, answer, "")
        assert [r["n"] for r in delivered(server)] == list(range(accepted))
        subprocess.run(["mount", "-o", "remount,size=200m", str(folder)], check=True)
        server.wait_ready()
        assert client.post_json("events", {"n": accepted, "pad": ""}).status == 200
    server.kill()
    server.start()
    assert [r["n"] for r in delivered(server)] == list(range(accepted + 1))


def test_a_full_disk_of_a_sink_leaves_the_intake_alone(make_garner, mount, delivered):
    folder = mount("lake", "tmpfs", "size=1m")
    server = make_garner(sinks={"files": {**FILE_SINK, "path": str(folder / "out")}},
                         config={"wal_limit": "128MiB"}).start()
    records = [{"n": n, "pad": KILOBYTE} for n in range(3000)]
    with server.client() as client:
        assert client.post_ndjson("events", records).status == 200
        until(lambda: metric(server, r'garner_sink_failures_total\{sink="files"\}') >= 2,
              "the sink to have failed twice")
        assert client.post_ndjson("events", [{"n": 3000}]).status == 200
    assert server.get("/ready").status == 200
    assert_balanced(server.ledger())
    subprocess.run(["mount", "-o", "remount,size=50m", str(folder)], check=True)
    assert [r["n"] for r in delivered(server, path=str(folder / "out"))] == list(range(3001))


@pytest.mark.parametrize("fault", ["fail:io:write:wal/:{n}", "fail:io:sync:wal/:{n}",
                                   "fail:space:write:wal/:{n}", "short:write:wal/:{n}",
                                   "fail:io:sync:wal/:{n}x2", "fail:space:any:.making:{n}x3"])
def test_a_disk_that_fails_now_and_then_loses_nothing(make_garner, fault):
    server = make_garner(contracts={"events": {"partitions": 3, "key": "worker"}},
                         sinks={"files": FILE_SINK}, config={"wal_limit": "128MiB"})
    rules = ";".join(fault.format(n=n) for n in (20, 60, 130))
    server.start(env={"GARNER_FAULT": rules})
    # Large enough for the log to need its next files.
    producers = Producers(server.intake_port, records=100, pad=1000, broken_every=50).start()
    producers.wait_answers(250)
    producers.stop()
    if "making" not in fault:
        assert metric(server, "garner_log_fences_total") >= 1
    assert_all_there_once(server, producers)
    server.kill()
    server.start()
    assert_all_there_once(server, producers)


def test_a_failed_flush_is_answered_503_and_the_log_goes_on(make_garner, delivered):
    server = make_garner(sinks={"files": FILE_SINK}, config={"wal_limit": "128MiB"})
    server.start(env={"GARNER_FAULT": "fail:io:sync:wal/:12x3"})
    answers = []
    with server.client() as client:
        for n in range(30):
            answer = client.post_json("events", {"n": n})
            answers.append(answer.status)
            if answer.status == 503:
                assert "retry-after" in answer.headers
                break
        assert 503 in answers
        server.wait_ready()
        assert client.post_json("events", {"n": "healed"}).status == 200
    records = [r["n"] for r in delivered(server)]
    # What was answered 503 may be there or not, but once at most.
    assert records in ([*range(len(answers) - 1), "healed"], [*range(len(answers)), "healed"])


def test_a_slow_disk_takes_many_requests_a_flush(make_garner):
    server = make_garner(contracts={"events": {"partitions": 2, "key": "worker"}},
                         sinks={"files": FILE_SINK}, config={"wal_limit": "128MiB"})
    server.start(env={"GARNER_FAULT": "slow:20ms:sync:wal/:1+"})
    producers = Producers(server.intake_port, workers=64, records=2).start()
    producers.wait_answers(640)
    producers.stop()
    frames = metric(server, "garner_log_frames_total")
    assert producers.answers / frames > 8, f"{producers.answers} answers with {frames} flushes"
    assert_all_there_once(server, producers)


def test_durability_interval_answers_before_the_flush_and_says_so(make_garner, delivered):
    interval = {"mode": "interval", "max_delay": "30s", "max_bytes": "16MiB"}
    server = make_garner(sinks={"files": FILE_SINK},
                         config={"wal_limit": "128MiB", "durability": interval})
    server.start()
    assert server.log_text().count('"event":"durability_interval"') == 1
    assert server.stop() == 0
    server.start(env={"GARNER_FAULT": "slow:2s:sync:wal/:2"})
    with server.client() as client:
        for n in range(3):
            assert client.post_json("events", {"n": n}).json()["accepted"] == 1
        # Readers see flushed records only, and no flush has ended yet.
        assert server.ledger()["topics"]["events"]["accepted"] < 3
    until(lambda: server.ledger()["topics"]["events"]["accepted"] == 3, "the flush")
    assert [r["n"] for r in delivered(server)] == [0, 1, 2]
    assert server.stop() == 0
    server.start()
    assert [r["n"] for r in delivered(server)] == [0, 1, 2]


def test_durability_fsync_answers_behind_the_flush(make_garner):
    server = make_garner(config={"wal_limit": "128MiB"})
    server.start(env={"GARNER_FAULT": "kill:before:write:wal/:30"})
    assert '"event":"durability_interval"' not in server.log_text()
    answered = 0
    with server.client() as client, pytest.raises((OSError, http.client.HTTPException)):
        while client.post_json("events", {"n": answered}).status == 200:
            answered += 1
    assert server.wait_exit() == -signal.SIGKILL
    server.start()
    assert server.ledger()["topics"]["events"]["accepted"] == answered > 0


def test_sigterm_delivers_all_that_was_acknowledged(make_garner):
    sink = {**FILE_SINK, "roll": {"size": "64MiB", "time": "10m"}}
    server = make_garner(contracts={"events": {"partitions": 3, "key": "worker"}},
                         sinks={"files": sink},
                         config={"wal_limit": "256MiB", "shutdown_timeout": "20s"}).start()
    producers = Producers(server.intake_port, records=50, broken_every=99).start()
    producers.wait_answers(100)
    assert server.stop() == 0
    there = {json.loads(line)["id"] for line in server.sink_lines("out")}
    assert producers.acknowledged <= there
    assert not list((server.folder / "out.inprogress").iterdir())
    server.config["sinks"]["files"]["roll"]["time"] = "50ms"
    server.write()
    server.start()
    assert "after a crash" not in server.log_text()
    producers.wait_answers(10)
    producers.stop()
    assert_all_there_once(server, producers)


def test_a_second_sigterm_ends_at_once_and_nothing_is_lost(make_garner, delivered):
    sink = {**FILE_SINK, "roll": {"time": "10m"}}
    server = make_garner(sinks={"files": sink}, config={"wal_limit": "128MiB"})
    server.start(env={"GARNER_FAULT": "slow:60s:sync:out.inprogress:1+"})
    with server.client() as client:
        assert client.post_json("events", {"n": 1}).status == 200
    server.process.terminate()
    until(lambda: '"stopping"' in server.log_text(), "the server to be stopping")
    server.process.terminate()
    assert server.wait_exit() == 1
    server.config["sinks"]["files"]["roll"]["time"] = "50ms"
    server.write()
    server.start()
    assert delivered(server) == [{"n": 1}]
