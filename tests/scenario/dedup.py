"""Idempotency keys from outside: what repeats one is counted and stored once."""
from lib.server import assert_balanced
from lib.wait import until

DEDUP = {"key": "event.id", "window": "1h", "memory": "1MiB"}


def start(make_garner, dedup=None):
    garner = make_garner(contracts={"events": {"dedup": dedup or DEDUP}})
    garner.start()
    return garner


def send(client, ids):
    answer = client.post_ndjson("events", [{"event": {"id": n}} for n in ids])
    assert answer.status == 200, answer
    said = answer.json()
    return said["accepted"], said["duplicates"]


def test_lines_requests_and_connections_share_their_keys(make_garner):
    garner = start(make_garner)
    with garner.client() as one, garner.client() as two:
        assert send(one, ["a", "b", "a"]) == (2, 1)
        assert send(two, ["b", "c"]) == (1, 1)
        # A string and a number that are written alike are the same key; what is no key repeats
        # nothing.
        assert send(one, [7, "7", None, None, [1], [1]]) == (5, 1)
    ledger = garner.ledger()
    assert_balanced(ledger)
    row = ledger["topics"]["events"]
    assert (row["received"], row["accepted"], row["duplicates"]) == (11, 8, 3)


def test_a_dead_letter_claims_no_key(make_garner):
    garner = start(make_garner)
    with garner.client() as client:
        answer = client.post_ndjson("events", [b'{"event":{"id":"x"},', b'{"event":{"id":"x"}}'])
        said = answer.json()
        assert (said["accepted"], said["duplicates"], said["dead_lettered"]) == (1, 0, 1)


def test_keys_outlive_kills_and_stops_and_the_files_they_are_moved_to(make_garner):
    garner = start(make_garner)
    with garner.client() as client:
        for first in range(0, 120000, 4000):
            assert send(client, range(first, first + 4000)) == (4000, 0)
        until(lambda: 'garner_log_keys_files{topic="events"} 0' not in garner.metrics(),
              "a file of keys", 30)
    garner.kill()
    garner.start()
    with garner.client() as client:
        assert send(client, range(0, 4000)) == (0, 4000)
        assert send(client, range(118000, 122000)) == (2000, 2000)
    garner.stop()
    garner.start()
    with garner.client() as client:
        assert send(client, range(60000, 64000)) == (0, 4000)
    assert_balanced(garner.ledger())
