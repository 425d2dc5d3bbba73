"""Sinks that are slow, dead or gone: nobody else waits for them, and they lose nothing."""
import json
import re

from lib.producer import Producers, assert_all_there_once
from lib.server import assert_balanced
from lib.wait import until


def file_sink(path, **more):
    return {"type": "file", "topics": ["events"], "path": path, "roll": {"time": "50ms"}, **more}


def metric(server, name):
    found = re.search(rf"^{name} (\S+)$", server.metrics(), re.M)
    return float(found[1]) if found else 0.0


def keyed(make_garner, **sinks):
    return make_garner(contracts={"events": {"partitions": 3, "key": "worker"}}, sinks=sinks,
                       config={"wal_limit": "128MiB"})


def test_a_dead_sink_delays_nothing_else_and_catches_up(make_garner):
    server = keyed(make_garner, live=file_sink("./live"), dead=file_sink("./dead"))
    in_the_way = server.folder / "dead"
    in_the_way.write_text("not a directory")
    server.start()
    producers = Producers(server.intake_port, broken_every=50).start()
    producers.wait_answers(200)
    producers.stop()
    ledger = assert_all_there_once(server, producers, sink="live", path="live")
    accepted = ledger["topics"]["events"]["accepted"]
    dead = ledger["sinks"].get("dead", {"delivered": 0, "pending": accepted})
    assert (dead["delivered"], dead["pending"]) == (0, accepted)
    assert server.get("/ready").status == 200
    until(lambda: metric(server, r'garner_sink_failures_total\{sink="dead"\}') >= 2,
          "the dead sink to have failed twice")
    server.kill()
    server.start()
    in_the_way.unlink()
    assert_all_there_once(server, producers, sink="dead", path="dead")
    assert_all_there_once(server, producers, sink="live", path="live")


def test_a_directory_that_goes_away_while_serving_is_healed(make_garner):
    server = keyed(make_garner, live=file_sink("./live"), sick=file_sink("./sick"))
    (server.folder / "there").mkdir()

    def lead_to(place):
        """Makes the directory of files in progress another one, in one step."""
        link = server.folder / "link"
        link.symlink_to(server.folder / place)
        link.rename(server.folder / "sick.inprogress")

    lead_to("there")
    server.start()
    producers = Producers(server.intake_port).start()
    producers.wait_answers(50)
    until(lambda: server.ledger()["sinks"]["sick"]["delivered"], "the first delivery")
    lead_to("nowhere")
    failures = r'garner_sink_failures_total\{sink="sick"\}'
    until(lambda: metric(server, failures) >= 2, "the sick sink to have failed twice")
    producers.wait_answers(50)
    lead_to("there")
    producers.stop()
    assert_all_there_once(server, producers, sink="sick", path="sick")
    assert_all_there_once(server, producers, sink="live", path="live")


def test_a_slow_sink_delays_nothing_else(make_garner):
    server = keyed(make_garner, live=file_sink("./live"), slow=file_sink("./slow"))
    server.start(env={"GARNER_FAULT": "slow:60s:sync:slow.inprogress:1+"})
    producers = Producers(server.intake_port).start()
    producers.wait_answers(200)
    producers.stop()
    ledger = assert_all_there_once(server, producers, sink="live", path="live")
    assert ledger["sinks"]["slow"]["delivered"] == 0
    assert server.sink_files("slow") == []
    server.kill()
    server.start()
    assert_all_there_once(server, producers, sink="slow", path="slow")


def test_a_sink_that_does_not_come_back_is_left_behind_in_time(make_garner):
    server = keyed(make_garner, slow=file_sink("./slow"))
    server.config["shutdown_timeout"] = "1s"
    server.write()
    server.start(env={"GARNER_FAULT": "slow:10m:sync:slow.inprogress:1+"})
    producers = Producers(server.intake_port).start()
    producers.wait_answers(20)
    assert server.stop(seconds=20) == 1
    server.start()
    producers.wait_answers(5)
    producers.stop()
    assert_all_there_once(server, producers, sink="slow", path="slow")


def test_a_sink_whose_disk_fails_now_and_then_delivers_all_once(make_garner):
    server = keyed(make_garner, files=file_sink("./out/{topic}/{partition}"))
    faults = [f"fail:io:{call}:/out:{n}" for n, call in
              enumerate(("write", "sync", "rename", "syncdir", "open", "close", "mkdir"), 2)]
    server.start(env={"GARNER_FAULT": ";".join(faults)})
    producers = Producers(server.intake_port).start()
    until(lambda: metric(server, r'garner_sink_failures_total\{sink="files"\}') >= 3,
          "the sink to have failed three times")
    producers.wait_answers(50)
    producers.stop()
    assert_all_there_once(server, producers)


def test_a_sink_added_later_gets_all_from_the_beginning(make_garner):
    server = keyed(make_garner).start()
    producers = Producers(server.intake_port, broken_every=30).start()
    producers.wait_answers(50)
    server.kill()
    server.config["sinks"]["late"] = file_sink("./late")
    server.write()
    server.start()
    producers.wait_answers(20)
    producers.stop()
    assert_all_there_once(server, producers, sink="late", path="late")


def test_a_removed_sink_keeps_its_row(make_garner):
    server = keyed(make_garner, one=file_sink("./one"), two=file_sink("./two")).start()
    with server.client() as client:
        assert client.post_json("events", [{"worker": n} for n in range(10)]).status == 200
    server.wait_delivered("one")
    server.wait_delivered("two")
    assert server.stop() == 0
    del server.config["sinks"]["two"]
    server.write()
    server.start()
    with server.client() as client:
        assert client.post_json("events", [{"worker": n} for n in range(5)]).status == 200
    ledger = server.wait_delivered("one")
    assert ledger["balanced"] is True
    assert ledger["sinks"]["one"]["delivered"] == 15
    assert ledger["sinks"]["two"]["delivered"] == 10


def test_two_topics_go_where_they_belong(make_garner):
    server = make_garner(
        contracts={"a": {"partitions": 2}, "b": {}},
        sinks={"both": {**file_sink("./both/{topic}"), "topics": ["a", "b"]},
               "only": {**file_sink("./only"), "topics": ["b"]}},
        config={"wal_limit": "128MiB"}).start()
    with server.client() as client:
        for n in range(20):
            assert client.post_json("a", {"a": n}).status == 200
            assert client.post_json("b", {"b": n}).status == 200
    assert_balanced(server.wait_delivered("both"))
    assert_balanced(server.wait_delivered("only"))
    of_b = [b'{"b": %d}' % n for n in range(20)]
    assert server.sink_lines("only") == of_b
    assert server.sink_lines("both/b") == of_b
    assert sorted(json.loads(line)["a"] for line in server.sink_lines("both/a")) == list(range(20))


def test_a_file_in_the_way_is_not_overwritten(make_garner):
    server = keyed(make_garner, files=file_sink("./out"))
    foreign = server.folder / "out" / f"events-0-{0:020}-{0:020}.ndjson"
    foreign.parent.mkdir()
    foreign.write_text("mine\n")
    server.contracts["events"] = {}
    server.write()
    server.start()
    with server.client() as client:
        assert client.post_json("events", {"n": 1}).status == 200
    until(lambda: metric(server, r'garner_sink_failures_total\{sink="files"\}') >= 1,
          "the sink to stop at the file")
    assert foreign.read_text() == "mine\n"
    foreign.rename(server.folder / "moved")
    assert_balanced(server.wait_delivered("files"))
    assert server.sink_lines("out") == [b'{"n": 1}']
