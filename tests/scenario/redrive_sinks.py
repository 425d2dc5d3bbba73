"""Dead letters of sinks go back to their sink alone: once each, and no record of the topic more."""
import collections
import json

from lib.client import Client
from lib.server import assert_balanced, run
from lib.wait import until

LONG = "k" * 300   # no name of a directory


def file_sink(path, **more):
    return {"type": "file", "topics": ["events"], "path": path, "roll": {"time": "50ms"}, **more}


def with_sinks(make_garner, **sinks):
    return make_garner(contracts={"events": {"key": "k", "partitions": 2}}, sinks=sinks)


def dlq(garner, *words):
    return run("dlq", *words, "--server", f"127.0.0.1:{garner.admin_port}")


def order(garner, action="redrive", query=""):
    with Client(garner.admin_port) as client:
        return client.request("POST", f"/v1/dlq/events/{action}?{query}")


def state(garner):
    return garner.get("/v1/dlq/events/redrive").json()


def send(garner, first, count, every=3):
    """Every third record has a key that no directory can be called."""
    with garner.client() as client:
        answer = client.post_ndjson("events", [
            {"n": n, "k": LONG + str(n % 7) if n % every == 0 else f"key{n % 5}"}
            for n in range(first, first + count)])
    assert answer.json()["accepted"] == count


def numbers(garner, path):
    return sorted(json.loads(line)["n"] for line in garner.sink_lines(path))


def restart(garner, **paths):
    assert garner.stop() == 0
    for name, path in paths.items():
        garner.config["sinks"][name]["path"] = path
    garner.write()
    garner.start()


def test_a_mended_sink_takes_each_letter_once(make_garner):
    garner = with_sinks(make_garner, lake=file_sink("./lake/{key}")).start()
    send(garner, 0, 300)
    ledger = garner.wait_delivered("lake")
    assert_balanced(ledger)
    assert ledger["sinks"]["lake"]["dead_lettered"] == 100
    # Nothing is mended: the sink says no once more, and nothing has happened.
    done = dlq(garner, "redrive", "events")
    assert done.returncode == 1
    assert b"100 refused:lake (by that sink, once more: still held)" in done.stdout
    assert_balanced(garner.ledger())
    assert garner.ledger()["dlq"]["events"]["held"] == 100

    restart(garner, lake="./lake")
    before = garner.ledger()
    done = dlq(garner, "redrive", "events", "--dry-run")
    assert done.returncode == 0
    assert b"100 sink:lake (would be handed to it)" in done.stdout
    assert garner.ledger() == before
    done = dlq(garner, "redrive", "events")
    assert done.returncode == 0, done.stdout + done.stderr
    assert b"100 dead letters of events redriven" in done.stdout
    assert b"100 sink:lake (delivered)" in done.stdout
    assert numbers(garner, "lake") == list(range(300))
    ledger = garner.ledger()
    assert_balanced(ledger)
    row = ledger["sinks"]["lake"]
    assert (row["delivered"], row["dead_lettered"], row["pending"]) == (300, 0, 0)
    assert ledger["topics"]["events"]["received"] == ledger["topics"]["events"]["accepted"] == 300
    queue = ledger["dlq"]["events"]
    assert (queue["held"], queue["redriven"], queue["dead_lettered"]) == (0, 100, 100)
    listed = dlq(garner, "list").stdout.decode().splitlines()
    assert listed[1].split()[:2] == ["events", "0"]
    assert dlq(garner, "show", "events").stdout == b""
    ended = garner.values("_audit")[-1]
    assert ended["redriven"] == 100 and ended["became"] == {"sink:lake": 100}
    names = [f.name for f in garner.sink_files("lake") if "-redriven-" in f.name]
    assert names and all(name.startswith("events-") for name in names)

    garner.kill()
    garner.start()
    assert garner.ledger()["sinks"] == ledger["sinks"] and garner.ledger()["dlq"] == ledger["dlq"]
    assert dlq(garner, "redrive", "events").returncode == 0
    assert numbers(garner, "lake") == list(range(300))
    assert garner.stop() == 0
    fsck = run("fsck", garner.data_dir)
    assert fsck.returncode == 0, fsck.stdout + fsck.stderr


def test_each_letter_goes_to_the_sink_that_refused_it(make_garner):
    garner = with_sinks(make_garner, one=file_sink("./one/{key}"), two=file_sink("./two/{key}"),
                        good=file_sink("./good")).start()
    send(garner, 0, 60)
    with garner.client() as client:
        client.post_ndjson("events", [b"{broken"])
    for name in ("one", "two", "good"):
        garner.wait_delivered(name)
    restart(garner, one="./one")
    done = dlq(garner, "redrive", "events")
    assert done.returncode == 1
    text = done.stdout.decode()
    assert "20 sink:one (delivered)" in text and "20 refused:two" in text
    assert "1 json (dead letters again)" in text
    assert numbers(garner, "one") == numbers(garner, "good") == list(range(60))
    assert len(numbers(garner, "two")) == 40
    assert_balanced(garner.ledger())
    restart(garner, two="./two")
    assert dlq(garner, "redrive", "events", "--reason", "sink").returncode == 0
    assert numbers(garner, "two") == numbers(garner, "one") == list(range(60))
    assert garner.ledger()["dlq"]["events"]["held"] == 1
    assert_balanced(garner.ledger())


def test_a_sink_that_is_not_configured_any_more_keeps_its_letters(make_garner):
    garner = with_sinks(make_garner, lake=file_sink("./lake/{key}")).start()
    send(garner, 0, 30)
    garner.wait_delivered("lake")
    assert garner.stop() == 0
    lake = garner.config["sinks"].pop("lake")
    garner.write()
    garner.start()
    done = dlq(garner, "redrive", "events")
    assert done.returncode == 1
    assert b"10 skipped: of a sink that the configuration does not have" in done.stdout
    assert state(garner)["skipped_sink"] == 10
    assert garner.ledger()["dlq"]["events"]["held"] == 10
    garner.config["sinks"]["lake"] = {**lake, "path": "./lake"}
    assert garner.stop() == 0
    garner.write()
    garner.start()
    assert dlq(garner, "redrive", "events").returncode == 0
    assert numbers(garner, "lake") == list(range(30))
    assert_balanced(garner.ledger())


def test_a_dead_sink_keeps_nobody_elses_letters_waiting(make_garner):
    garner = with_sinks(make_garner, dead=file_sink("./dead/{key}"), live=file_sink("./live/{key}"))
    garner.config["intake"]["record_limit"] = "1KiB"
    garner.write()
    garner.start()
    send(garner, 0, 60)
    with garner.client() as client:
        client.post_ndjson("events", [{"n": 1000, "k": "big", "pad": "x" * 2000}])
    garner.wait_delivered("dead")
    garner.wait_delivered("live")
    del garner.config["intake"]["record_limit"]
    (garner.folder / "in-the-way").write_text("not a directory")
    restart(garner, dead="./in-the-way/dead", live="./live")
    assert order(garner).status == 202
    until(lambda: state(garner)["phase"] == "waiting", "the job to wait for the dead sink")
    known = until(lambda: state(garner)["done"] == 21 and state(garner), "all others' letters")
    assert {o["name"]: o["count"] for o in known["outcomes"]} == {"sink:live": 20, "accepted": 1}
    assert "sink dead: " in until(lambda: state(garner)["why"], "the reason")
    assert set(range(60)) <= set(numbers(garner, "live"))
    (garner.folder / "in-the-way").unlink()
    until(lambda: state(garner)["phase"] == "finished", "the dead sink to be redriven", 60)
    garner.wait_delivered("dead")
    found = numbers(garner, "dead") + numbers(garner, "in-the-way/dead")
    assert collections.Counter(found) == collections.Counter([*range(60), 1000])
    assert_balanced(garner.ledger())
    assert garner.ledger()["dlq"]["events"]["held"] == 0


def test_a_job_that_waits_for_a_dead_sink_can_be_cancelled(make_garner):
    garner = with_sinks(make_garner, dead=file_sink("./dead/{key}")).start()
    send(garner, 0, 30)
    garner.wait_delivered("dead")
    (garner.folder / "in-the-way").write_text("not a directory")
    restart(garner, dead="./in-the-way/dead")
    assert order(garner).status == 202
    until(lambda: state(garner)["phase"] == "waiting", "the job to wait for the dead sink")
    with Client(garner.admin_port) as client:
        assert client.request("DELETE", "/v1/dlq/events/redrive").status == 202
    until(lambda: state(garner)["phase"] == "cancelled", "the end")
    assert garner.ledger()["dlq"]["events"]["held"] == 10
    assert order(garner).status == 202
    assert garner.stop() == 0, "a stop does not wait for the dead sink"


def test_limits_and_filters_hold_for_letters_of_sinks(make_garner):
    garner = with_sinks(make_garner, lake=file_sink("./lake/{key}")).start()
    send(garner, 0, 90)
    garner.wait_delivered("lake")
    restart(garner, lake="./lake")
    assert dlq(garner, "redrive", "events", "--limit", "7", "--rate", "1000/s").returncode == 0
    assert state(garner)["done"] == 7 and len(numbers(garner, "lake")) == 67
    assert dlq(garner, "redrive", "events", "--key", LONG + "3").returncode == 0
    by_key = state(garner)["done"]
    assert 0 < by_key < 10 and len(numbers(garner, "lake")) == 67 + by_key
    done = dlq(garner, "redrive", "events", "--reason", "json")
    assert b"0 dead letters of events redriven" in done.stdout
    assert dlq(garner, "purge", "events", "--limit", "3", "--yes").returncode == 0
    assert dlq(garner, "redrive", "events").returncode == 0
    found = numbers(garner, "lake")
    assert len(found) == len(set(found)) == 87
    ledger = garner.ledger()
    assert_balanced(ledger)
    assert ledger["sinks"]["lake"]["dead_lettered"] == 3 == ledger["dlq"]["events"]["purged"]


def test_records_are_delivered_while_letters_are(make_garner):
    garner = with_sinks(make_garner, lake=file_sink("./lake/{key}")).start()
    for first in range(0, 12000, 1000):
        send(garner, first, 1000, every=1)
    garner.wait_delivered("lake")
    restart(garner, lake="./lake")
    assert order(garner).status == 202
    for first in range(12000, 15000, 100):
        send(garner, first, 100, every=2)
    until(lambda: state(garner)["phase"] == "finished", "the redrive to end", 60)
    garner.wait_delivered("lake")
    assert numbers(garner, "lake") == list(range(15000))
    assert_balanced(garner.ledger())
