"""What becomes of records: what a contract keeps goes when it says so, is counted, and nothing
else goes with it."""
import json

from lib.server import assert_balanced
from lib.wait import until

FILE_SINK = {"type": "file", "topics": ["events"], "path": "./out", "roll": {"time": "50ms"}}
SMALL = {"wal_limit": "128MiB"}
# More than one file of a small log, so that the first is sealed and its segments may go.
ROUND = 1000
PAD = "x" * 1000


def ledger_where(server, what, text):
    """The ledger, once `what` is true of it; it balances at every look."""
    def look():
        ledger = server.ledger()
        assert ledger["balanced"] is True, ledger
        return what(ledger) and ledger
    return until(look, text)


def fill(server, lines, rounds=60):
    """Some 60 MB of them; the sum of the answers."""
    said = {"accepted": 0, "dead_lettered": 0, "refused": 0}
    with server.client() as client:
        for _ in range(rounds):
            answer = client.post_ndjson("events", lines).json()
            for key in said:
                said[key] += answer[key]
    return said


def good(count=ROUND):
    return [json.dumps({"n": n, "pad": PAD}).encode() for n in range(count)]


def broken(count=ROUND):
    return [b"{" + PAD.encode()] * count


def test_records_go_after_their_time_and_their_row_stays(make_garner):
    server = make_garner(contracts={"events": {"retention": {"time": "1s"}}},
                         sinks={"files": FILE_SINK}, config=SMALL).start()
    accepted = fill(server, good())["accepted"]
    assert accepted == 60 * ROUND
    server.wait_delivered("files")
    until(lambda: start_of(server) > 0, "the first records to go")
    ledger = server.ledger()
    assert_balanced(ledger)
    assert ledger["topics"]["events"]["accepted"] == accepted
    row = ledger["sinks"]["files"]
    assert (row["delivered"], row["expired"]) == (accepted, 0)
    # A restart begins where the log does.
    server.kill()
    server.start()
    assert start_of(server) > 0
    assert server.wait_delivered("files")["sinks"]["files"]["delivered"] == accepted


def start_of(server):
    """The first offset that the only partition of `events` still has."""
    topic = server.get("/v1/topics/events").json()
    return topic["partitions"][0]["start_offset"]


def test_what_a_sink_has_not_delivered_is_held(make_garner):
    contract = {"retention": {"time": "1s", "size": "1MiB"},
                "dlq": {"size": "1MiB", "when_full": "drop_oldest"}}
    server = make_garner(contracts={"events": contract}, sinks={"files": FILE_SINK},
                         config={"wal_limit": "256MiB"})
    in_the_way = server.folder / "out"
    in_the_way.write_text("not a directory")
    server.start()
    until(lambda: "files" in server.ledger()["sinks"], "the sink to be known")
    accepted = fill(server, good())["accepted"]
    fill(server, broken())
    # Dead letters, which no sink reads, came behind them and have gone: so retention has looked.
    ledger = ledger_where(server, lambda ledger: ledger["dlq"]["events"]["expired"] > 0,
                          "dead letters to go")
    row = ledger["sinks"]["files"]
    assert (row["pending"], row["expired"]) == (accepted, 0)
    assert start_of(server) == 0
    in_the_way.unlink()
    assert_balanced(server.wait_delivered("files"))
    assert len(server.sink_lines("out")) == accepted
    until(lambda: start_of(server) > 0, "what was delivered to go")
    assert server.ledger()["sinks"]["files"]["expired"] == 0


def test_expire_undelivered_goes_past_a_sink_and_says_how_many(make_garner):
    contract = {"retention": {"time": "1s", "expire_undelivered": True}}
    server = make_garner(contracts={"events": contract}, sinks={"files": FILE_SINK}, config=SMALL)
    in_the_way = server.folder / "out"
    in_the_way.write_text("not a directory")
    server.start()
    until(lambda: "files" in server.ledger()["sinks"], "the sink to be known")
    accepted = fill(server, good())["accepted"]
    expired = ledger_where(server, lambda ledger: ledger["sinks"]["files"]["expired"] > 0,
                           "records to expire")["sinks"]["files"]["expired"]
    until(lambda: '"event":"sink_expired"' in server.log_text(), "the sink to say so")
    in_the_way.unlink()
    ledger = server.wait_delivered("files")
    assert_balanced(ledger)
    row = ledger["sinks"]["files"]
    assert row["expired"] >= expired
    assert row["delivered"] + row["expired"] == accepted
    assert len(server.sink_lines("out")) == row["delivered"]


def test_a_queue_that_drops_its_oldest_counts_them_as_expired(make_garner):
    contract = {"dlq": {"size": "1MiB", "when_full": "drop_oldest"}}
    server = make_garner(contracts={"events": contract}, config=SMALL).start()
    said = fill(server, broken())
    assert (said["accepted"], said["refused"]) == (0, 0)
    row = ledger_where(server, lambda ledger: ledger["dlq"]["events"]["expired"] > 0,
                       "dead letters to go")["dlq"]["events"]
    assert row["dead_lettered"] == said["dead_lettered"] == row["held"] + row["expired"]
    server.kill()
    server.start()
    row = server.ledger()["dlq"]["events"]
    assert row["dead_lettered"] == row["held"] + row["expired"]


def test_a_full_queue_refuses_what_is_broken_and_takes_what_is_good(make_garner, delivered):
    server = make_garner(contracts={"events": {"dlq": {"size": "64KiB"}}},
                         sinks={"files": FILE_SINK}, config=SMALL).start()
    said = fill(server, broken(100), rounds=1)
    assert (said["dead_lettered"], said["refused"]) == (100, 0)
    mixed = [b'{"n":1}', b"{", b'{"n":2}']
    with server.client() as client:
        def refused():
            answer = client.post_ndjson("events", mixed)
            return answer.status == 422 and answer
        answer = until(refused, "the queue to be known as full")
        body = answer.json()
        assert (body["accepted"], body["dead_lettered"], body["refused"]) == (2, 0, 1)
        assert [(e["index"], e["reason"]) for e in body["errors"]] == [(1, "dlq_full")]
        assert body["errors"][0]["detail"].startswith("json: ")
        assert client.post_ndjson("events", [b'{"n":3}']).status == 200
    until(lambda: 'garner_dlq_full{topic="events"} 1' in server.metrics(), "the metric to say so")
    assert {line["n"] for line in delivered(server)} == {1, 2, 3}
    ledger = server.ledger()
    row = ledger["topics"]["events"]
    assert row["refused"] >= 1
    assert row["dead_lettered"] == ledger["dlq"]["events"]["held"]


def test_a_sinks_dead_letters_pass_the_cap(make_garner):
    # A key that is too long for a directory's name is what this sink refuses.
    server = make_garner(contracts={"events": {"key": "k", "dlq": {"size": "1KiB"}}},
                         sinks={"files": {**FILE_SINK, "path": "./out/{key}"}}, config=SMALL)
    server.start()
    fill(server, broken(10), rounds=1)
    with server.client() as client:
        until(lambda: client.post_ndjson("events", [b"{"]).json()["refused"] == 1,
              "the queue to be known as full")
        held = server.ledger()["dlq"]["events"]["held"]
        lines = [json.dumps({"k": name}).encode() for name in ("short", "long" * 100)]
        assert client.post_ndjson("events", lines).json()["accepted"] == 2
    ledger = server.wait_delivered("files")
    assert_balanced(ledger)
    row = ledger["sinks"]["files"]
    assert (row["delivered"], row["dead_lettered"]) == (1, 1)
    assert ledger["dlq"]["events"]["held"] == held + 1
