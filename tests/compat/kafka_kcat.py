"""librdkafka as Debian has it (2.0.2), through kcat: what it writes and reads is what is there."""
import json
import subprocess

import pytest

from lib.kafka_batch import Connection, batch
from lib.server import assert_balanced, run
from lib.wait import until

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}}


def kcat(garner, *words, stdin=b""):
    done = subprocess.run(["kcat", "-b", f"127.0.0.1:{garner.kafka_port}", *map(str, words)],
                          input=stdin, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done
    return done.stdout


def produce(garner, topic, lines, *words):
    kcat(garner, "-P", "-t", topic, "-X", "message.timeout.ms=20000", *words,
         stdin=b"".join(line + b"\n" for line in lines))


def consume(garner, topic, form="%s\n", *words):
    return kcat(garner, "-C", "-t", topic, "-o", "beginning", "-e", "-q", "-f", form,
                *words).splitlines()


def check_schema(make_garner, **contract):
    garner = make_garner(contracts={"events": {
        "schema": {"type": "jsonschema", "file": "s.json"}, **contract}})
    (garner.folder / "contracts" / "s.json").write_text(json.dumps(SCHEMA))
    return garner.start()


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_what_is_produced_is_consumed_with_keys_in_order(make_garner, codec):
    garner = make_garner(contracts={"events": {"partitions": 3}}).start()
    lines = [b"k%d:%s" % (n % 7, b"value %d " % n * 20) for n in range(5000)]
    produce(garner, "events", lines, "-K", ":", "-z", codec)
    read = consume(garner, "events", "%p %o %k:%s\n")
    assert sorted(line.split(b" ", 2)[2] for line in read) == sorted(lines)
    for partition in range(3):
        here = [line.split(b" ", 2) for line in read if line.startswith(b"%d " % partition)]
        assert [int(offset) for _, offset, _ in here] == list(range(len(here)))
        for key in range(7):
            mine = [text for _, _, text in here if text.startswith(b"k%d:" % key)]
            if mine:
                assert mine == [line for line in lines if line.startswith(b"k%d:" % key)]
    ledger = garner.ledger()
    assert_balanced(ledger)
    assert ledger["topics"]["events"]["accepted"] == 5000


def test_what_comes_over_http_is_read_as_kafka_and_the_other_way_round(make_garner):
    garner = make_garner().start()
    with garner.client() as client:
        assert client.post_ndjson("events", [{"n": 1}]).status == 200
    produce(garner, "events", [b'{"n": 2}'])
    assert consume(garner, "events") == [b'{"n": 1}', b'{"n": 2}']
    done = run("consume", "events", "--server", f"127.0.0.1:{garner.admin_port}")
    assert done.stdout.splitlines() == [b'{"n": 1}', b'{"n": 2}']


def test_what_a_contract_refuses_is_a_dead_letter_and_leaves_a_hole(make_garner):
    garner = check_schema(make_garner)
    produce(garner, "events", [b'{"n":1}', b'{"n":"x"}', b"{", b'{"n":4}'])
    assert consume(garner, "events", "%o %s\n") == [b'0 {"n":1}', b'3 {"n":4}']
    assert consume(garner, "events.dlq", "%s %h\n")[0].startswith(
        b'{"n":"x"} garner.reason=schema,garner.detail=/n: expected integer, got string (type)')
    ledger = garner.ledger()
    assert_balanced(ledger)
    assert (ledger["topics"]["events"]["accepted"],
            ledger["topics"]["events"]["dead_lettered"]) == (2, 2)


def test_with_reject_the_batch_is_refused(make_garner):
    garner = check_schema(make_garner, on_invalid="reject")
    done = subprocess.run(["kcat", "-b", f"127.0.0.1:{garner.kafka_port}", "-P", "-t", "events"],
                          input=b'{"n":1}\n{"n":"x"}\n', capture_output=True, timeout=60,
                          check=False)
    assert b"Broker failed to validate record" in done.stderr
    assert consume(garner, "events") == []
    ledger = garner.ledger()
    assert_balanced(ledger)
    assert ledger["topics"]["events"]["refused"] == 2


def test_records_with_a_key_that_was_there_leave_holes(make_garner):
    garner = make_garner(contracts={"events": {"dedup": {"key": "id", "window": "1h"}}}).start()
    lines = [b'{"id":%d}' % n for n in (1, 2, 1, 3)]
    produce(garner, "events", lines)
    produce(garner, "events", lines[:2])
    assert consume(garner, "events", "%o %s\n") == [b'0 {"id":1}', b'1 {"id":2}', b'3 {"id":3}']
    assert garner.ledger()["topics"]["events"]["duplicates"] == 3
    assert_balanced(garner.ledger())


def test_a_consumer_at_the_end_gets_what_comes(make_garner):
    garner = make_garner().start()
    words = ["kcat", "-b", f"127.0.0.1:{garner.kafka_port}", "-C", "-t", "events", "-o",
             "beginning", "-c", "3", "-q"]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as consumer:
        for n in range(3):
            produce(garner, "events", [b"%d" % n])
        out, _ = consumer.communicate(timeout=60)
    assert out.splitlines() == [b"0", b"1", b"2"]
    metrics = garner.metrics()
    assert 'garner_kafka_requests_total{api="fetch"}' in metrics


def test_batches_without_records_end_no_consumer(make_garner):
    """A topic with nothing else; more of them, each alone in an answer; a record; and its end."""
    garner = check_schema(make_garner)
    connection = Connection(garner.kafka_port)
    broken = batch([b'{"n":"x"}'] * 3)
    for n in range(300):
        assert connection.produce("events", 0, broken) == (0, 3 * n)
    assert consume(garner, "events", "%o %s\n", "-X", "fetch.message.max.bytes=1000") == []
    words = ["kcat", "-b", f"127.0.0.1:{garner.kafka_port}", "-C", "-t", "events", "-o",
             "beginning", "-c", "1", "-f", "%o %s\n"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as consumer:
        for n in range(300, 330):
            until(lambda: "garner_kafka_waiting_fetches 1" in garner.metrics(), "kcat to wait")
            assert connection.produce("events", 0, broken) == (0, 3 * n)
        assert connection.produce("events", 0, batch([b'{"n":1}'])) == (0, 990)
        out, said = consumer.communicate(timeout=60)
    assert out == b'990 {"n":1}\n' and b"ERROR" not in said and consumer.returncode == 0, said
    assert connection.produce("events", 0, broken) == (0, 991)
    for start in (450, 990):
        assert kcat(garner, "-C", "-t", "events", "-o", start, "-e", "-q", "-f", "%o\n") == b"990\n"
    for start in (992, 994):
        assert kcat(garner, "-C", "-t", "events", "-o", start, "-e", "-q") == b""
    connection.close()


def test_offsets_are_found_by_time(make_garner):
    garner = make_garner(contracts={"events": {"event_time": "t"}}).start()
    with garner.client() as client:
        client.post_ndjson("events", [{"t": 1700000000000 + n * 1000} for n in range(10)])
    for wanted, offset in ((1700000000000, 0), (1700000004500, 5), (-1, 10), (-2, 0)):
        found = kcat(garner, "-Q", "-t", f"events:0:{wanted}")
        assert found.split()[-1] == b"%d" % offset, wanted


def test_many_small_batches_come_in_one_fetch(make_garner):
    garner = make_garner().start()
    with garner.client() as client:
        for n in range(300):
            assert client.post_ndjson("events", [{"n": n}]).status == 200
    words = ["-X", "fetch.min.bytes=100000", "-X", "fetch.wait.max.ms=1000"]
    read = consume(garner, "events", "%o %s\n", *words)
    assert [line.split(b" ", 1) for line in read] == \
        [[b"%d" % n, json.dumps({"n": n}).encode()] for n in range(300)]
    fetches = [line for line in garner.metrics().splitlines()
               if line.startswith('garner_kafka_requests_total{api="fetch"}')]
    # One with all of them, and those that wait at the end.
    assert int(fetches[0].split()[-1]) < 10


def test_a_message_over_the_limit_is_refused_and_others_pass(make_garner):
    garner = make_garner().start()
    done = subprocess.run(["kcat", "-b", f"127.0.0.1:{garner.kafka_port}", "-P", "-t", "events",
                           "-X", "message.max.bytes=4000000"],
                          input=b"x" * 2000000 + b"\n", capture_output=True, timeout=60,
                          check=False)
    assert b"Message size too large" in done.stderr
    produce(garner, "events", [b"y" * 900000])
    assert consume(garner, "events", "%S\n") == [b"900000"]


@pytest.mark.parametrize("version", ["0.8.2", "0.9.0"])
def test_the_formats_of_old_brokers_are_refused_by_name_and_at_once(make_garner, version):
    garner = make_garner(contracts={"events": {"partitions": 2}}).start()
    done = subprocess.run(["kcat", "-b", f"127.0.0.1:{garner.kafka_port}", "-P", "-t", "events",
                           "-X", "api.version.request=false",
                           "-X", f"broker.version.fallback={version}"],
                          input=b"one\ntwo\n", capture_output=True, timeout=60, check=False)
    assert done.returncode != 0
    assert b"Delivery failed" in done.stderr and b"Message format" in done.stderr, done.stderr
    asked = [line for line in garner.metrics().splitlines()
             if line.startswith('garner_kafka_requests_total{api="produce"}')]
    assert 1 <= int(asked[0].split()[-1]) <= 4
    assert garner.ledger()["topics"]["events"]["accepted"] == 0
    assert_balanced(garner.ledger())


def test_what_takes_nothing_from_outside_is_told_at_once(make_garner):
    garner = check_schema(make_garner)
    done = subprocess.run(["kcat", "-b", f"127.0.0.1:{garner.kafka_port}", "-P", "-t",
                           "events.dlq"], input=b"x\n", capture_output=True, timeout=60,
                          check=False)
    assert b"Invalid topic" in done.stderr


def test_topics_are_listed_with_their_partitions(make_garner):
    garner = make_garner(contracts={"events": {"partitions": 4}}).start()
    listed = json.loads(kcat(garner, "-L", "-J"))
    assert {t["topic"]: len(t["partitions"]) for t in listed["topics"]} == \
        {"events": 4, "events.dlq": 1}
    assert listed["brokers"] == [{"id": 1, "name": f"127.0.0.1:{garner.kafka_port}"}]
