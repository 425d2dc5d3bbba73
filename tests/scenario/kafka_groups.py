"""Clients of the Kafka door that lie about groups, or have thousands of them: each is told, nobody
else is hurt, and what was committed is there."""
import re
import socket
import struct

from lib.server import assert_balanced
from lib.wait import until

OFFSET_COMMIT, OFFSET_FETCH, JOIN, HEARTBEAT, SYNC = 8, 9, 11, 12, 14
GROUP_MAX_SIZE_REACHED, UNKNOWN_MEMBER_ID, ILLEGAL_GENERATION = 81, 25, 22
OFFSET_METADATA_TOO_LARGE, INVALID_GROUP_ID = 12, 24


def text(value):
    data = value.encode()
    return struct.pack(">h", len(data)) + data


class Peer:
    """A connection that sends whatever it is told to."""

    def __init__(self, garner):
        self.socket = socket.create_connection(("127.0.0.1", garner.kafka_port), 60)
        self.sent = 0

    def send(self, key, version, body):
        message = struct.pack(">hhi", key, version, self.sent) + text("peer") + body
        self.sent += 1
        self.socket.sendall(struct.pack(">i", len(message)) + message)

    def take(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            assert more, "the connection was closed"
            data += more
        return data

    def answer(self):
        """The next answer without its correlation id."""
        size, = struct.unpack(">i", self.take(4))
        return self.take(size)[4:]

    def ask(self, *what):
        self.send(*what)
        return self.answer()

    def close(self):
        self.socket.close()


def join(group, member="", metadata=b"", session_ms=30000, protocol_type="consumer"):
    """Version 0, in which no id has to be asked for first."""
    return (text(group) + struct.pack(">i", session_ms) + text(member) + text(protocol_type)
            + struct.pack(">i", 1) + text("range") + struct.pack(">i", len(metadata)) + metadata)


def commit(group, offset, metadata="", generation=-1, member=""):
    """Version 2, of one partition."""
    return (text(group) + struct.pack(">i", generation) + text(member) + struct.pack(">q", -1)
            + struct.pack(">i", 1) + text("events") + struct.pack(">iiq", 1, 0, offset)
            + text(metadata))


def code_of_commit(answer):
    return struct.unpack(">h", answer[-2:])[0]


def fetch(peer, group):
    answer = peer.ask(OFFSET_FETCH, 1, text(group) + struct.pack(">i", 1) + text("events")
                      + struct.pack(">ii", 1, 0))
    at = 4 + 2 + len("events") + 4 + 4
    return struct.unpack(">q", answer[at:at + 8])[0]


def metric(garner, name):
    found = re.search(rf"^{re.escape(name)} (\S+)", garner.metrics(), re.M)
    return int(float(found.group(1)))


def test_thousands_of_groups_commit_and_are_there_after_a_kill(make_garner):
    garner = make_garner().start()
    peer = Peer(garner)
    for first in range(0, 3000, 50):
        for n in range(first, first + 50):
            peer.send(OFFSET_COMMIT, 2, commit(f"group-{n}", n, "said"))
        for _ in range(50):
            assert code_of_commit(peer.answer()) == 0
    peer.close()
    garner.kill()
    garner.start()
    assert metric(garner, "garner_log_groups") == 3000
    until(lambda: metric(garner, 'garner_kafka_groups{state="Empty"}') == 3000, "all groups")
    peer = Peer(garner)
    for n in (0, 1, 1234, 2999):
        assert fetch(peer, f"group-{n}") == n
    assert fetch(peer, "group-3000") == -1
    peer.close()
    assert len(garner.get("/v1/groups").json()["groups"]) == 3000
    one, = garner.get("/v1/groups/group-1234").json()["offsets"]
    assert one == {"topic": "events", "partition": 0, "offset": 1234, "end_offset": 0, "lag": 0,
                   "metadata": "said"}
    assert garner.get("/v1/groups/group-3000").status == 404
    assert_balanced(garner.ledger())


def test_thousands_of_groups_with_members_are_served_and_forgotten(make_garner):
    garner = make_garner().start()
    peers = [Peer(garner) for _ in range(60)]
    for i, peer in enumerate(peers):
        for n in range(50):
            peer.send(JOIN, 0, join(f"group-{i}-{n}", session_ms=6000))
    for peer in peers:
        for _ in range(50):
            assert struct.unpack(">h", peer.answer()[:2])[0] == 0
    assert metric(garner, "garner_kafka_group_members") > 0
    for peer in peers:
        peer.close()
    # Nobody is heard of any more: they and all that was kept for them go.
    until(lambda: metric(garner, "garner_kafka_group_members") == 0, "members to expire", 60)
    assert metric(garner, "garner_kafka_group_bytes") == 0
    assert metric(garner, "garner_kafka_group_members_expired_total") == 3000


def test_what_is_too_large_or_not_true_is_told(make_garner):
    garner = make_garner().start()
    peer = Peer(garner)

    def code(key, version, body):
        return struct.unpack(">h", peer.ask(key, version, body)[:2])[0]

    assert code(JOIN, 0, join("g", metadata=b"x" * (17 << 20))) == GROUP_MAX_SIZE_REACHED
    assert code(JOIN, 0, join("g", member="invented")) == UNKNOWN_MEMBER_ID
    assert code(JOIN, 0, join("")) == INVALID_GROUP_ID
    assert code(JOIN, 0, join("x" * 2000)) == INVALID_GROUP_ID
    assert code(HEARTBEAT, 0, text("g") + struct.pack(">i", 1) + text("invented")) == \
        UNKNOWN_MEMBER_ID
    assert code(SYNC, 0, text("g") + struct.pack(">i", 1) + text("invented")
                + struct.pack(">i", 0)) == UNKNOWN_MEMBER_ID
    assert code_of_commit(peer.ask(OFFSET_COMMIT, 2, commit("g", 1, "x" * 4097))) == \
        OFFSET_METADATA_TOO_LARGE
    assert code_of_commit(peer.ask(OFFSET_COMMIT, 2, commit("g", 1, "", 7, "invented"))) == \
        ILLEGAL_GENERATION
    assert code_of_commit(peer.ask(OFFSET_COMMIT, 2, commit("g", 5, "x" * 4096))) == 0
    assert fetch(peer, "g") == 5
    peer.close()
    assert metric(garner, "garner_kafka_group_bytes") == 0


def test_counts_that_are_not_true_end_the_connection_alone(make_garner):
    garner = make_garner().start()
    for body in (text("g") + struct.pack(">i", 30000) + text("") + text("consumer")
                 + struct.pack(">i", 0x7fffffff),
                 text("g")[:2], b"", struct.pack(">h", -1) + b"x" * 40):
        peer = Peer(garner)
        peer.send(JOIN, 0, body)
        assert peer.socket.recv(1) == b""
        peer.close()
    peer = Peer(garner)
    assert code_of_commit(peer.ask(OFFSET_COMMIT, 2, commit("g", 5))) == 0
    peer.close()


def test_a_member_that_is_gone_does_not_keep_the_server_from_stopping(make_garner):
    garner = make_garner().start()
    peer = Peer(garner)
    peer.send(JOIN, 0, join("g"))
    until(lambda: metric(garner, "garner_kafka_group_members") == 1, "the member to join")
    assert garner.stop() == 0
    peer.close()
