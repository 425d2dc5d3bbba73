"""Topics that come and go over the Kafka protocol, beside records for others."""
import threading

from lib.kafka_topics import Topics
from lib.server import assert_balanced

ROUNDS = 60


class Poster(threading.Thread):
    """Posts to one topic until told to stop; how often each status came."""

    def __init__(self, garner, topic):
        super().__init__(daemon=True)
        self.garner, self.topic, self.over, self.statuses = garner, topic, False, {}

    def run(self):
        with self.garner.client() as client:
            while not self.over:
                status = client.post_ndjson(self.topic, [{"n": 1}]).status
                self.statuses[status] = self.statuses.get(status, 0) + 1


def churn(garner, delete):
    """What was posted beside a topic that came and went, by its producers and those of another."""
    posters = [Poster(garner, topic) for topic in ["events", "made"] * 8]
    for poster in posters:
        poster.start()
    with Topics(garner.kafka_port) as topics:
        for _ in range(ROUNDS):
            assert topics.create("made", 1) == 0
            delete(topics)
    for poster in posters:
        poster.over = True
    for poster in posters:
        poster.join(30)
    kept = [poster.statuses for poster in posters if poster.topic == "events"]
    gone = [poster.statuses for poster in posters if poster.topic == "made"]
    assert_balanced(garner.ledger())
    return kept, gone


def test_a_topic_that_goes_takes_nobody_with_it(make_garner):
    # One loop, so that records of both topics are in one commit.
    garner = make_garner(config={"loops": 1}).start()
    kept, gone = churn(garner, lambda topics: topics.delete("made"))
    assert all(list(statuses) == [200] for statuses in kept), kept
    assert all(set(statuses) <= {200, 404} for statuses in gone), gone


def test_nor_does_one_that_an_operator_deletes(make_garner):
    garner = make_garner(config={"loops": 1}).start()

    def delete(_):
        with garner.client() as client:
            client.connection.port = garner.admin_port
            assert client.request("DELETE", "/v1/topics/made?confirm=made").status == 200
    kept, gone = churn(garner, delete)
    assert all(list(statuses) == [200] for statuses in kept), kept
    assert all(set(statuses) <= {200, 404} for statuses in gone), gone
