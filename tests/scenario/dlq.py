"""`garner dlq` and /v1/dlq: dead letters are listed, redriven once each, purged, written down."""
import json
import signal
import subprocess
import time

import pytest

from lib.client import Client
from lib.server import assert_balanced, program, run
from lib.wait import until

SMALL_RECORDS = {"record_limit": "64B"}


def dlq(garner, *words):
    return run("dlq", *words, "--server", f"127.0.0.1:{garner.admin_port}")


def admin(garner, method, path):
    with Client(garner.admin_port) as client:
        return client.request(method, path)


def big(n):
    return {"n": n, "pad": "x" * 80}


def set_record_limit(garner, limit):
    """The contract is mended, or not yet: what was too large is not any more."""
    if limit is None:
        garner.config["intake"].pop("record_limit", None)
    else:
        garner.config["intake"]["record_limit"] = limit
    garner.write()


@pytest.fixture
def letters(make_garner):
    """A server with `count` letters that are too large, and `broken` that are no JSON."""
    def make(count=100, broken=1, **options):
        garner = make_garner(**options)
        set_record_limit(garner, "64B")
        garner.start()
        with garner.client() as client:
            for first in range(0, count, 1000):
                client.post_ndjson("events", map(big, range(first, min(first + 1000, count))))
            if broken:
                client.post_ndjson("events", [b"{broken %d" % n for n in range(broken)])
        return garner
    return make


def mend(garner):
    assert garner.stop() == 0
    set_record_limit(garner, None)
    garner.start()


def row(garner, topic="events"):
    return garner.ledger()["dlq"][topic]


def values(garner):
    """The numbers of all records of the topic."""
    return [value["n"] for value in garner.values("events")]


def audit(garner):
    known = garner.get("/v1/topics/_audit").status == 200
    return garner.values("_audit") if known else []


def test_letters_are_listed_and_shown_with_what_was_wrong(letters):
    garner = letters(count=30, broken=2)
    done = dlq(garner, "list")
    assert done.returncode == 0 and not done.stderr
    line = done.stdout.decode().splitlines()[1]
    assert line.split()[:2] == ["events", "32"] and "oversize 30 json 2" in line
    listed = json.loads(dlq(garner, "list", "--json").stdout)["topics"][0]
    assert listed["by_reason"] == {"oversize": 30, "json": 2} and listed["by_reason_complete"]
    assert listed["oldest"] and listed["last"] is None
    shown = dlq(garner, "show", "events", "--reason", "json", "--json")
    shown = [json.loads(line) for line in shown.stdout.splitlines()]
    assert [letter["offset"] for letter in shown] == [30, 31]
    assert shown[0]["attempts"] == 1 and shown[0]["source"] == "http"
    assert shown[0]["stage"] == "intake" and "value_base64" in shown[0]
    text = dlq(garner, "show", "events", "--limit", "1").stdout.decode()
    assert text.startswith("offset 0  oversize  ") and "the limit is 64" in text


def test_what_a_letter_holds_drives_no_terminal(make_garner):
    garner = make_garner().start()
    with garner.client() as client:
        client.post_ndjson("events", [b"\x1b]0;title\x07\x1b[2J", b'"\\u001b[31m" \xe2\x80\xae'])
    shown = dlq(garner, "show", "events")
    assert shown.returncode == 0 and shown.stdout.count(b"offset ") == 2
    assert all(byte == 10 or 32 <= byte < 127 for byte in shown.stdout)


def test_a_mended_contract_takes_each_letter_once(letters):
    garner = letters(count=2500, broken=3)
    mend(garner)
    done = dlq(garner, "redrive", "events")
    assert done.returncode == 1, "three are dead letters again"
    text = done.stdout.decode()
    assert "2503 dead letters of events redriven" in text
    assert "2500 accepted" in text and "3 json (dead letters again)" in text
    assert sorted(values(garner)) == list(range(2500))
    ledger = garner.ledger()
    assert_balanced(ledger)
    assert ledger["topics"]["events"]["received"] == 2 * 2503
    assert row(garner)["held"] == 3 and row(garner)["redriven"] == 2503
    garner.kill()
    garner.start()
    assert_balanced(garner.ledger())
    assert row(garner)["held"] == 3 and row(garner)["redriven"] == 2503
    assert sorted(values(garner)) == list(range(2500))
    shown = dlq(garner, "show", "events", "--json").stdout
    again = [json.loads(line) for line in shown.splitlines()]
    assert [letter["attempts"] for letter in again] == [2, 2, 2]
    assert {letter["source"] for letter in again} == {"http"}


def test_the_first_arrival_stays_with_a_letter_that_fails_again(letters):
    garner = letters(count=0, broken=1)
    first = garner.get("/v1/dlq/events").json()["letters"][0]
    assert dlq(garner, "redrive", "events").returncode == 1
    second = garner.get("/v1/dlq/events").json()["letters"][0]
    assert second["offset"] == first["offset"] + 1
    assert second["received_at"] == first["received_at"]
    assert second["value_base64"] == first["value_base64"]


def test_a_dry_run_tells_what_would_be_and_writes_nothing(letters):
    garner = letters(count=200, broken=2)
    mend(garner)
    before = garner.ledger()
    done = dlq(garner, "redrive", "events", "--dry-run")
    assert done.returncode == 1 and b"202 dead letters of events would be redriven" in done.stdout
    assert b"200 accepted" in done.stdout and b"2 json (would be dead letters again)" in done.stdout
    assert garner.ledger() == before and audit(garner) == [] and values(garner) == []
    done = dlq(garner, "purge", "events", "--dry-run")
    assert done.returncode == 0 and b"202 dead letters of events would be purged" in done.stdout
    assert garner.ledger() == before


def test_filters_choose(letters):
    garner = letters(count=20, broken=5)
    mend(garner)
    for words, count in ((["--reason", "json"], 5), (["--reason", "schema"], 0),
                         (["--source", "http"], 25), (["--source", "kafka"], 0),
                         (["--path", "100 bytes"], 10), (["--path", "9 bytes"], 0),
                         (["--key", "k"], 0), (["--since", "1h"], 25), (["--until", "1h"], 0),
                         (["--since", "2000-01-01T00:00:00Z"], 25), (["--limit", "7"], 7)):
        state = json.loads(dlq(garner, "redrive", "events", "--dry-run", "--json", *words).stdout)
        assert state["done"] == count, words
    assert dlq(garner, "redrive", "events", "--reason", "oversize").returncode == 0
    assert row(garner)["held"] == 5 and sorted(values(garner)) == list(range(20))


def test_a_limit_and_the_next_one_goes_on(letters):
    garner = letters(count=1000, broken=0)
    mend(garner)
    for step in (300, 700):
        done = dlq(garner, "redrive", "events", "--limit", "300" if step == 300 else "5000")
        assert done.returncode == 0 and f"{step} dead letters".encode() in done.stdout
    assert sorted(values(garner)) == list(range(1000)) and row(garner)["held"] == 0
    assert_balanced(garner.ledger())


def test_a_letter_that_was_tried_too_often_is_skipped_and_said(letters):
    garner = letters(count=0, broken=1)
    for attempt in range(2, 7):
        assert b"1 json" in dlq(garner, "redrive", "events").stdout
        assert garner.get("/v1/dlq/events").json()["letters"][0]["attempts"] == attempt
    done = dlq(garner, "redrive", "events")
    assert done.returncode == 1 and b"1 skipped: tried too often already" in done.stdout
    assert row(garner)["held"] == 1 and row(garner)["redriven"] == 5
    assert b"1 json" in dlq(garner, "redrive", "events", "--max-attempts", "6").stdout


def test_letters_that_fail_again_do_not_go_round(letters):
    garner = letters(count=700, broken=0)
    done = dlq(garner, "redrive", "events")
    assert done.returncode == 1 and b"700 oversize (dead letters again)" in done.stdout
    assert row(garner) == {"dead_lettered": 1400, "held": 700, "redriven": 700, "purged": 0,
                           "expired": 0, "damaged": 0}


def test_a_contract_that_rejects_keeps_what_it_cannot_take(letters):
    garner = letters(count=10, broken=2)
    garner.stop()
    set_record_limit(garner, None)
    garner.contracts["events"] = {"on_invalid": "reject"}
    garner.write()
    garner.start()
    done = dlq(garner, "redrive", "events")
    assert b"10 accepted" in done.stdout and b"2 json (dead letters again)" in done.stdout
    assert row(garner)["held"] == 2
    assert_balanced(garner.ledger())


def test_purged_letters_are_gone_and_written_down(letters):
    garner = letters(count=50, broken=4)
    done = dlq(garner, "purge", "events", "--reason", "json")
    assert done.returncode == 64 and b"--yes" in done.stderr and row(garner)["held"] == 54
    done = dlq(garner, "purge", "events", "--reason", "json", "--yes")
    assert done.returncode == 0 and b"4 dead letters of events purged" in done.stdout
    assert row(garner)["purged"] == 4 and row(garner)["held"] == 50
    begun, ended = audit(garner)
    assert begun["what"] == ended["what"] == "dlq_purge"
    assert (begun["event"], ended["event"]) == ("begun", "ended")
    assert begun["reason"] == "json" and ended["purged"] == 4 and ended["outcome"] == "finished"
    printed = run("consume", "_audit", "--server", f"127.0.0.1:{garner.admin_port}").stdout
    assert printed.count(b"dlq_purge") == 2
    assert dlq(garner, "purge", "events", "--yes").returncode == 0
    assert row(garner)["held"] == 0
    assert_balanced(garner.ledger())


def test_an_empty_queue_leaves_the_disk_and_opens_again(letters):
    """`when_full: refuse`: full, then purged, then letters are taken again."""
    contracts = {"events": {"dlq": {"size": "256KiB"}}}
    garner = letters(count=4000, broken=0, contracts=contracts)

    def outcome():
        with garner.client() as client:
            return client.post_ndjson("events", [b"broken"]).json()

    until(lambda: outcome()["refused"] == 1, "the queue to be full")
    assert dlq(garner, "purge", "events", "--yes").returncode == 0
    until(lambda: outcome()["dead_lettered"] == 1, "the queue to take letters again", 30)
    until(lambda: garner.get("/v1/topics/events.dlq").json()["partitions"][0]["start_offset"] > 0,
          "the queue to begin behind what was purged")
    assert_balanced(garner.ledger())


def watch_one(garner, *words):
    """The command at work, and its first letters redriven."""
    process = subprocess.Popen([program(), "dlq", "redrive", "events", *words, "--server",
                                f"127.0.0.1:{garner.admin_port}"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    until(lambda: row(garner)["redriven"] > 0, "the redrive to begin")
    return process


def test_an_interrupted_redrive_is_cancelled_and_goes_on(letters):
    garner = letters(count=3000, broken=0)
    mend(garner)
    process = watch_one(garner, "--rate", "200/s")
    assert dlq(garner, "redrive", "events").returncode == 1, "one at a time"
    assert admin(garner, "POST", "/v1/dlq/events/purge").status == 409
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 1 and b"goes on with what is left" in stderr
    until(lambda: admin(garner, "GET", "/v1/dlq/events/redrive").json()["phase"] == "cancelled",
          "the redrive to end")
    some = row(garner)["redriven"]
    assert 0 < some < 3000 and len(values(garner)) == some
    assert audit(garner)[-1]["outcome"] == "cancelled"
    done = dlq(garner, "redrive", "events")
    assert done.returncode == 0 and sorted(values(garner)) == list(range(3000))
    assert_balanced(garner.ledger())


def test_a_redrive_goes_on_when_its_client_is_gone(letters):
    garner = letters(count=1000, broken=0)
    mend(garner)
    process = watch_one(garner, "--rate", "2000/s")
    process.kill()
    process.communicate()
    until(lambda: row(garner)["held"] == 0, "the redrive to end")
    assert sorted(values(garner)) == list(range(1000))


def test_a_stop_ends_a_redrive_between_two_letters(letters):
    garner = letters(count=3000, broken=0)
    mend(garner)
    process = watch_one(garner, "--rate", "200/s")
    assert garner.stop() == 0
    process.communicate(timeout=30)
    assert process.returncode in (1, 69)
    garner.start()
    assert_balanced(garner.ledger())
    assert dlq(garner, "redrive", "events").returncode == 0
    assert sorted(values(garner)) == list(range(3000))
    assert [entry["event"] for entry in audit(garner)] == ["begun", "ended"] * 2


def test_a_rate_holds_back(letters):
    """At 100 a second, fifty letters take half a second at the least: no upper bound is tested."""
    garner = letters(count=50, broken=0)
    mend(garner)
    begun = time.monotonic()
    assert dlq(garner, "redrive", "events", "--rate", "100/s").returncode == 0
    assert time.monotonic() - begun >= 0.3
    assert sorted(values(garner)) == list(range(50))


def test_an_empty_queue_is_finished_at_once(make_garner):
    garner = make_garner().start()
    assert dlq(garner, "redrive", "events").returncode == 0, "nothing is held"
    state = admin(garner, "GET", "/v1/dlq/events/redrive").json()
    assert state["phase"] == "finished" and state["skipped_sink"] == 0


@pytest.mark.parametrize("words", [["list", "events"], ["show"], ["redrive"], ["purge"], ["mend"],
                                   ["show", "a/b"], ["show", "events", "--yes"],
                                   ["show", "events", "--dry-run"], ["list", "--reason", "json"],
                                   ["purge", "events", "--rate", "5/s", "--yes"],
                                   ["redrive", "events", "--rate", "5/m"],
                                   ["redrive", "events", "--rate", "0"],
                                   ["redrive", "events", "--nope"]])
def test_wrong_words_are_refused_before_anything_is_sent(words):
    done = run("dlq", *words, "--server", "127.0.0.1:1")
    assert done.returncode == 64 and done.stderr


def test_what_is_not_there_is_told(garner):
    for verb in (["show"], ["redrive"], ["purge", "--yes"]):
        done = dlq(garner, verb[0], "boats", *verb[1:])
        assert done.returncode == 1 and b"no topic boats with dead letters" in done.stderr
    assert admin(garner, "GET", "/v1/dlq/events/redrive").status == 404
    assert admin(garner, "DELETE", "/v1/dlq/events/redrive").status == 404
    assert admin(garner, "POST", "/v1/dlq/events/redrive?limit=none").status == 400
    assert admin(garner, "POST", "/v1/dlq/events/purge?rate=5").status == 400
    assert admin(garner, "PUT", "/v1/dlq/events/purge").status == 405
    assert admin(garner, "GET", "/v1/dlq/events?since=yesterday").status == 400
    done = run("dlq", "list", "--server", "127.0.0.1:1")
    assert done.returncode == 69


def test_letters_of_a_topic_without_a_contract_can_be_purged_only(letters):
    garner = letters(count=3, broken=0, contracts={"events": {}, "other": {}})
    garner.stop()
    del garner.contracts["events"]
    garner.write()
    garner.start()
    done = dlq(garner, "redrive", "events")
    assert done.returncode == 1 and b"no contract of the running server declares" in done.stderr
    assert dlq(garner, "purge", "events", "--yes").returncode == 0
    assert row(garner)["purged"] == 3


def test_the_metrics_follow(letters):
    garner = letters(count=10, broken=1)
    assert 'garner_dlq_held_records{topic="events"} 11' in garner.metrics()
    mend(garner)
    dlq(garner, "redrive", "events", "--reason", "oversize")
    dlq(garner, "purge", "events", "--yes")
    metrics = garner.metrics()
    assert 'garner_dlq_held_records{topic="events"} 0' in metrics
    assert 'garner_dlq_redriven_records_total{topic="events"} 10' in metrics
    assert 'garner_dlq_purged_records_total{topic="events"} 1' in metrics
    assert 'garner_dlq_oldest_age_seconds{topic="events"} 0' in metrics
    assert 'garner_dlq_bytes{topic="events"}' in metrics
