"""Bodies and heads that are too long, end early or never end; connections that only stand there."""
import contextlib
import os
import re
import resource
import socket
import threading

import pytest

from lib.wait import until
from lib.wire import Wire, post

HEAD = b"POST /v1/topics/events/records HTTP/1.1\r\nHost: localhost\r\n"
TYPE = b"Content-Type: application/json\r\n"
MIB = 1 << 20
FILE_SINK = {"type": "file", "topics": ["events"], "path": "./out", "roll": {"time": "50ms"}}


def memory(server, field="VmRSS"):
    """Bytes of the server's memory; VmHWM is the most it ever had."""
    with open(f"/proc/{server.process.pid}/status", encoding="ascii") as status:
        line = next(line for line in status if line.startswith(field + ":"))
    return int(line.split()[1]) * 1024


def connections(server):
    """How many connections the intake says it has."""
    return int(re.search(r"^garner_connections (\d+)$", server.metrics(), re.M)[1])


def send_until_closed(wire, piece, most):
    """Sends `piece` again and again; how many bytes until the server closed."""
    sent = 0
    while sent < most and wire.send(piece):
        sent += len(piece)
    return sent


def test_a_body_of_100_gb_is_refused_by_its_head(server, delivered):
    with Wire(server.intake_port) as wire:
        wire.send(HEAD + TYPE + b"Content-Length: 107374182400\r\n\r\n")
        status, headers, body = wire.answer()
        assert (status, headers["connection"]) == (413, "close")
        assert b"the limit is 8388608" in body
        assert send_until_closed(wire, b"x" * MIB, 256 * MIB) < 64 * MIB
    assert memory(server, "VmHWM") < 128 * MIB
    assert server.client().post_json("events", {"n": 1}).status == 200
    assert delivered(server) == [{"n": 1}]


def test_a_chunked_body_without_an_end_is_refused_at_the_limit(server, delivered):
    before = memory(server)
    with Wire(server.intake_port) as wire:
        wire.send(HEAD + TYPE + b"Transfer-Encoding: chunked\r\n\r\n")
        piece = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
        assert send_until_closed(wire, piece, 256 * MIB) < 64 * MIB
    assert memory(server, "VmHWM") - before < 64 * MIB
    with Wire(server.intake_port) as wire:
        wire.send(HEAD + TYPE + b"Transfer-Encoding: chunked\r\n\r\n800001\r\n")
        wire.send(b"x" * 0x800001)
        assert wire.answer()[0] == 413
    assert server.client().post_json("events", {"n": 1}).status == 200
    assert delivered(server) == [{"n": 1}]


@pytest.mark.parametrize("start, part", [
    (HEAD + TYPE + b"Content-Length: 1000\r\n\r\n", b'[{"n":1},{"n":2},'),
    (HEAD + b"Content-Type: application/x-ndjson\r\nContent-Length: 1000\r\n\r\n",
     b'{"n":1}\n{"n":2}\n'),
    (HEAD + b"Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n",
     b'10\r\n{"n":1}\n{"n":2}\n\r\n'),
], ids=["array", "lines", "chunked"])
@pytest.mark.parametrize("reset", [False, True], ids=["end", "reset"])
def test_a_body_that_stops_half_way_commits_nothing(server, delivered, start, part, reset):
    with Wire(server.intake_port) as wire:
        wire.send(start + part)
        if reset:
            until(lambda: f"\ngarner_received_bytes_total {len(start + part)}\n" in
                  server.metrics(), "the server to have read what there is")
            wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        else:
            wire.end()
            assert [a[0] for a in wire.answers()] == [400]
    until(lambda: "\ngarner_requests_aborted_total 1\n" in server.metrics(),
          "the request to be given up")
    assert server.client().post_json("events", {"n": 3}).status == 200
    assert delivered(server) == [{"n": 3}]
    assert server.ledger()["topics"]["events"]["received"] == 1


def test_a_million_headers_are_refused_in_little_memory(server, delivered):
    with Wire(server.intake_port) as wire:
        wire.send(HEAD)
        sent = send_until_closed(wire, b"X: y\r\n" * 10000, 6_000_000)
        assert sent < 6_000_000
    for fields in (b"X: y\r\n" * 101, b"X: " + b"y" * 17000 + b"\r\n"):
        with Wire(server.intake_port) as wire:
            wire.send(HEAD + TYPE + fields + b"\r\n")
            wire.end()
            assert [a[0] for a in wire.answers()] == [431]
    assert memory(server, "VmHWM") < 128 * MIB
    assert delivered(server) == []


def test_an_empty_body_is_told_apart_from_no_records(server, delivered):
    with server.client() as client:
        assert client.post("events", b"", "application/json").status == 400
        answer = client.post("events", b"\n\r\n\n", "application/x-ndjson")
        assert (answer.status, answer.json()["accepted"]) == (200, 0)
        assert client.post("events", b"[]", "application/json").json()["accepted"] == 0
    assert delivered(server) == []


def test_a_client_that_stalls_within_a_message_is_ended(server, delivered):
    """All at once, since each has the time that the server gives: ten seconds and more."""
    starts = [b"POST /v1/top", HEAD + TYPE, HEAD + TYPE + b"Content-Length: 1000\r\n\r\n{",
              HEAD + TYPE + b"Transfer-Encoding: chunked\r\n\r\n3e8\r\n{"]
    wires = [Wire(server.intake_port, timeout=60) for _ in starts]
    for wire, start in zip(wires, starts):
        wire.send(start)
    with server.client() as client:
        assert client.post_json("events", {"n": 1}).status == 200
    answers = []
    threads = [threading.Thread(target=lambda w=w: answers.append(w.answers())) for w in wires]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for wire in wires:
        wire.close()
    assert [[a[0] for a in each] for each in answers] == [[408]] * len(starts)
    assert delivered(server) == [{"n": 1}]


def test_a_client_that_reads_no_answers_is_not_kept_fed(server, delivered):
    """It stops being read, and what waits for it is bounded; others are served meanwhile."""
    before = memory(server)
    with Wire(server.intake_port, timeout=2) as wire:
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        piece = b"GET /v1/nothing HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2000
        with pytest.raises(TimeoutError):
            send_until_closed(wire, piece, 256 * MIB)
        with server.client() as client:
            assert client.post_json("events", {"n": 1}).status == 200
        assert memory(server, "VmHWM") - before < 16 * MIB
    assert delivered(server) == [{"n": 1}]


def test_memory_for_bodies_is_promised_before_they_are_read(make_garner, delivered):
    """Clients that announce more than there is memory for stand in line, then are told when to
    come again; the memory stays bounded, and what is given back is used again."""
    server = make_garner(sinks={"files": FILE_SINK},
                         config={"wal_limit": "128MiB", "memory_limit": "64MiB"}).start()
    announced = HEAD + TYPE + b"Content-Length: 8000000\r\n\r\n[" + b" " * MIB
    wires = [Wire(server.intake_port) for _ in range(12)]
    for wire in wires:
        wire.socket.setblocking(False)
        try:
            wire.socket.send(announced)
        except BlockingIOError:
            pass
        wire.socket.settimeout(30)
    answers = []

    def take(wire):
        answers.append(wire.answer())

    threads = [threading.Thread(target=take, args=(wire,), daemon=True) for wire in wires]
    for thread in threads:
        thread.start()
    until(lambda: len([a for a in answers if a and a[0] == 503]) >= 8, "those in line to be told")
    assert all(int(headers["retry-after"]) >= 1 for status, headers, _ in answers if status == 503)
    assert memory(server, "VmHWM") < 64 * MIB
    assert server.get("/health").status == 200
    for wire in wires:
        with contextlib.suppress(OSError):
            wire.socket.shutdown(socket.SHUT_RDWR)
    for thread in threads:
        thread.join()
    for wire in wires:
        wire.close()
    with server.client() as client:
        assert client.post("events", b"[" + b" " * 7_000_000 + b'{"n":1}]',
                           "application/json").json()["accepted"] == 1
    assert delivered(server) == [{"n": 1}]


def test_ten_thousand_idle_connections_cost_little(server, delivered):
    count = 10_000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count + 1000:
        pytest.skip(f"only {hard} open files are permitted here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (count + 1000, hard))
    idle = []
    try:
        assert server.client().post_json("events", {"n": 0}).status == 200
        before = memory(server)
        while len(idle) < count - 100:
            idle.append(socket.create_connection(("127.0.0.1", server.intake_port)))
        until(lambda: connections(server) >= len(idle), "all connections to be taken")
        grown = memory(server) - before
        assert grown <= 4096 * len(idle), f"{grown / len(idle):.0f} bytes a connection"
        with server.client() as client:
            for n in range(100):
                assert client.post_json("events", {"n": n}).status == 200
        for connection in idle[::1000]:
            connection.sendall(post({"n": "idle no more"}))
            assert connection.recv(12) == b"HTTP/1.1 200"
    finally:
        for connection in idle:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(delivered(server)) == 1 + 100 + 10


def test_at_the_limit_of_open_files_the_server_goes_on(server, delivered):
    assert server.client().post_json("events", {"n": 0}).status == 200
    delivered(server)
    limit = len(os.listdir(f"/proc/{server.process.pid}/fd")) + 20
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (limit, limit))
    with server.client() as early:
        assert early.post_json("events", {"n": 1}).status == 200
        crowd = [socket.create_connection(("127.0.0.1", server.intake_port)) for _ in range(60)]
        assert early.post_json("events", {"n": 2}).status == 200
        for connection in crowd:
            connection.close()
    with server.client() as late:
        assert late.post_json("events", {"n": 3}).status == 200
    assert sorted(r["n"] for r in delivered(server)) == [0, 1, 2, 3]
    assert "garner_accept_failures_total 0\n" not in server.metrics()
