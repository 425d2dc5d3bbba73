"""TLS on the Kafka door: who speaks it is served, who does not is told and harms nobody."""
import socket
import ssl
import struct
import subprocess

import pytest

from lib.certificates import Authority
from lib.server import assert_balanced, run
from lib.wait import until

CONFIG = 78
SMALL = {"wal_limit": "128MiB"}
# ApiVersions version 0, correlation 7, no client id.
API_VERSIONS = struct.pack(">ihhih", 10, 18, 0, 7, -1)


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "certificates")


@pytest.fixture
def secure(make_garner, authority):
    def make(**tls):
        cert, key = authority.sign("server")
        garner = make_garner(config=SMALL)
        garner.config["kafka"]["tls"] = {"cert": str(cert), "key": str(key), **tls}
        garner.write()
        return garner
    return make


def connect(garner, authority, **changes):
    context = ssl.create_default_context(cafile=authority.certificate)
    for name, value in changes.items():
        setattr(context, name, value)
    plain = socket.create_connection(("127.0.0.1", garner.kafka_port), timeout=30)
    return context.wrap_socket(plain, server_hostname="localhost")


def ask(connection):
    """One request and its answer, whose size and correlation are right."""
    connection.sendall(API_VERSIONS)
    got = b""
    while len(got) < 8 or len(got) < 4 + struct.unpack(">i", got[:4])[0]:
        part = connection.recv(65536)
        assert part, got
        got += part
    assert struct.unpack(">i", got[4:8])[0] == 7
    return got


def kcat(garner, authority, *words, stdin=b"", good=True):
    done = subprocess.run(
        ["kcat", "-b", f"localhost:{garner.kafka_port}", "-X", "security.protocol=ssl",
         "-X", f"ssl.ca.location={authority.certificate}", *map(str, words)],
        input=stdin, capture_output=True, timeout=60, check=False)
    assert (done.returncode == 0) == good, done
    return done.stdout


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_requests_are_answered_in_both_versions(secure, authority, version):
    garner = secure().start()
    with connect(garner, authority, minimum_version=version, maximum_version=version) as c:
        assert c.getpeercert()["subject"]
        for _ in range(3):
            ask(c)


def test_kcat_produces_and_consumes(secure, authority):
    garner = secure().start()
    lines = [b"record %d " % n * 100 for n in range(20000)]
    kcat(garner, authority, "-P", "-t", "events", stdin=b"".join(x + b"\n" for x in lines))
    read = kcat(garner, authority, "-C", "-t", "events", "-o", "beginning", "-e", "-q")
    assert read.splitlines() == lines
    assert_balanced(garner.ledger())


def test_plain_text_is_told_and_others_are_served(secure, authority):
    garner = secure().start()
    with connect(garner, authority) as good:
        with socket.create_connection(("127.0.0.1", garner.kafka_port), timeout=30) as plain:
            plain.sendall(API_VERSIONS)
            try:
                assert plain.recv(100) == b""
            except ConnectionResetError:
                pass
        ask(good)
    until(lambda: 'garner_kafka_tls_failures_total{reason="plain"} 1' in garner.metrics(),
          "the plain client to be counted")
    until(lambda: "security.protocol=SSL" in garner.log_text(), "a line that says so")


def test_clients_need_a_certificate_where_one_is_asked_for(secure, authority):
    garner = secure(client_ca=str(authority.certificate)).start()
    cert, key = authority.sign("client")
    kcat(garner, authority, "-L", "-X", "socket.timeout.ms=3000", good=False)
    kcat(garner, authority, "-L", "-X", f"ssl.certificate.location={cert}",
         "-X", f"ssl.key.location={key}")


def test_half_dead_peers_hold_nobody_up(secure, authority):
    garner = secure().start()
    silent = [socket.create_connection(("127.0.0.1", garner.kafka_port)) for _ in range(50)]
    for n, peer in enumerate(silent):
        # Some say nothing, some a part of a first message, some one byte.
        peer.sendall(b"\x16\x03\x01\x02\x00\x01\x00"[:n % 8])
    with connect(garner, authority) as good:
        ask(good)
    for peer in silent:
        peer.close()
    with connect(garner, authority) as good:
        ask(good)
        assert garner.stop() == 0


def test_files_that_do_not_fit_are_told_before_anything_is_made(secure, authority):
    garner = secure()
    authority.sign("server")
    _, other = authority.sign("other")
    garner.config["kafka"]["tls"]["key"] = str(other)
    garner.write()
    done = run("serve", "--config", garner.config_file, cwd=garner.folder)
    assert done.returncode != 0
    assert b"other.key" in done.stderr and b"does not belong" in done.stderr, done
    assert not garner.data_dir.exists()
    done = run("check", "--config", garner.config_file, cwd=garner.folder)
    assert done.returncode == CONFIG
    assert b"kafka.tls" in done.stderr and b"does not belong" in done.stderr, done


def test_a_renewed_certificate_comes_with_a_reload(secure, authority):
    garner = secure().start()
    with connect(garner, authority) as before:
        old = before.getpeercert()["serialNumber"]
        authority.sign("server")
        garner.reload()

        def renewed():
            with connect(garner, authority) as after:
                return after.getpeercert()["serialNumber"] != old
        until(renewed, "the renewed certificate")
        ask(before)
