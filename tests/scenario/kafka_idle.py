"""What a connection costs the Kafka door that has asked its questions and says nothing more."""
import pathlib
import re
import resource
import socket
import struct

import pytest

from lib.wait import until

COUNT = 10_000
# ApiVersions, version 0, of nobody.
QUESTION = struct.pack(">ihhih", 10, 18, 0, 7, -1)


def memory(server):
    status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024


def connections(server):
    return int(re.search(r"^garner_kafka_connections (\d+)$", server.metrics(), re.M)[1])


def ask(connection):
    connection.sendall(QUESTION)
    size, = struct.unpack(">i", connection.recv(4, socket.MSG_WAITALL))
    answer = connection.recv(size, socket.MSG_WAITALL)
    assert struct.unpack(">ih", answer[:6]) == (7, 0)


def test_ten_thousand_idle_connections_stay_within_64_mib(make_garner):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < COUNT + 1000:
        pytest.skip(f"only {hard} open files are permitted here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (COUNT + 1000, hard))
    idle = []
    garner = make_garner()
    try:
        garner.start()
        before = memory(garner)
        while len(idle) < COUNT:
            connection = socket.create_connection(("127.0.0.1", garner.kafka_port))
            idle.append(connection)
            ask(connection)
        until(lambda: connections(garner) >= COUNT, "all connections to be taken")
        after = memory(garner)
        each = (after - before) / COUNT
        print(f"{each:.0f} bytes a connection, {after >> 20} MiB in all")
        assert after <= 64 << 20, f"{after >> 20} MiB, {each:.0f} bytes a connection"
        for connection in idle[::500]:
            ask(connection)
    finally:
        for connection in idle:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    until(lambda: connections(garner) == 0, "the connections to be gone")
