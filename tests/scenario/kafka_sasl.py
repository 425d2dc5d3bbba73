"""Who is let in at the Kafka door: users, mechanisms, and what others get."""
import base64
import json
import socket
import struct
import subprocess

import pytest

from lib.certificates import Authority
from lib.client import Client
from lib.server import assert_balanced, run

SMALL = {"wal_limit": "128MiB"}
MECHANISMS = ["SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"]
API_VERSIONS, HANDSHAKE, AUTHENTICATE, METADATA = 18, 17, 36, 3


@pytest.fixture
def closed(make_garner):
    def make(**kafka):
        garner = make_garner(config=SMALL)
        garner.config["kafka"].update({"sasl": {"enabled": True}, **kafka})
        garner.write()
        return garner.start()
    return make


def put(garner, name, password, status=200):
    with Client(garner.admin_port, timeout=30) as client:
        answer = client.request("PUT", f"/v1/users/{name}",
                                json.dumps({"password": password}).encode())
        assert answer.status == status, answer
        return answer


def remove(garner, name, status=200):
    with Client(garner.admin_port, timeout=30) as client:
        assert client.request("DELETE", f"/v1/users/{name}").status == status


def kcat(garner, user, password, mechanism, *words, stdin=b"", tls=None, good=True):
    protocol = ["-X", "security.protocol=sasl_plaintext"]
    if tls:
        protocol = ["-X", "security.protocol=sasl_ssl", "-X", f"ssl.ca.location={tls}"]
    done = subprocess.run(
        ["kcat", "-b", f"localhost:{garner.kafka_port}", *protocol,
         "-X", f"sasl.mechanisms={mechanism}", "-X", f"sasl.username={user}",
         "-X", f"sasl.password={password}", *map(str, words)],
        input=stdin, capture_output=True, timeout=60, check=False)
    assert (done.returncode == 0) == good, done
    return done.stdout


def may_list(garner, user, password, mechanism="SCRAM-SHA-256", good=True):
    return kcat(garner, user, password, mechanism, "-L", "-m", "3", good=good)


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_users_produce_and_consume_with_each_mechanism(closed, mechanism):
    garner = closed()
    put(garner, "mia", "it is = a, secret")
    lines = [b"record %d" % n for n in range(1000)]
    kcat(garner, "mia", "it is = a, secret", mechanism, "-P", "-t", "events",
         stdin=b"".join(line + b"\n" for line in lines))
    assert kcat(garner, "mia", "it is = a, secret", mechanism, "-C", "-t", "events", "-o",
                "beginning", "-e", "-q").splitlines() == lines
    may_list(garner, "mia", "another", mechanism, good=False)
    may_list(garner, "nobody", "it is = a, secret", mechanism, good=False)
    metrics = garner.metrics()
    assert 'garner_kafka_authentications_total{outcome="done"}' in metrics
    refused = [line for line in metrics.splitlines()
               if line.startswith('garner_kafka_authentications_total{outcome="refused"}')]
    assert int(refused[0].split()[1]) >= 2
    assert_balanced(garner.ledger())


def test_users_over_tls_on_all_addresses(make_garner, tmp_path):
    authority = Authority(tmp_path / "certificates")
    cert, key = authority.sign("server")
    garner = make_garner(config=SMALL)
    garner.config["kafka"] = {"listen": f"0.0.0.0:{garner.kafka_port}",
                              "advertised": f"localhost:{garner.kafka_port}",
                              "tls": {"cert": str(cert), "key": str(key)},
                              "sasl": {"enabled": True}}
    garner.write()
    garner.start()
    put(garner, "mia", "secret")
    for mechanism in MECHANISMS:
        kcat(garner, "mia", "secret", mechanism, "-L", tls=authority.certificate)


def test_changes_are_in_force_at_once_and_survive_a_crash(closed):
    garner = closed()
    put(garner, "mia", "first")
    put(garner, "zoe", "other")
    may_list(garner, "mia", "first")
    put(garner, "mia", "second")
    may_list(garner, "mia", "first", good=False)
    may_list(garner, "mia", "second")
    remove(garner, "zoe")
    may_list(garner, "zoe", "other", good=False)
    garner.kill()
    garner.start()
    assert [u["name"] for u in garner.get("/v1/users").json()["users"]] == ["mia"]
    may_list(garner, "mia", "first", good=False)
    may_list(garner, "mia", "second", "SCRAM-SHA-512")
    may_list(garner, "zoe", "other", good=False)
    remove(garner, "zoe", 404)


def test_users_outlive_the_compaction_of_their_topic(closed):
    garner = closed()
    put(garner, "ann", "stays")
    put(garner, "zoe", "goes")

    def held():
        users, = [t for t in garner.get("/v1/topics").json()["topics"] if t["name"] == "_users"]
        assert users["partitions"][0]["start_offset"] > 0 or users["offsets"] < 80
        return users["offsets"]
    for turn in range(3):
        for n in range(50):
            put(garner, "mia", f"{turn}.{n}")
            if n == 30:
                # On, and away again: a name of which the compacted topic has nothing.
                put(garner, "bob", "secret")
                remove(garner, "bob")
        if turn == 1:
            remove(garner, "zoe")
        assert held() < 80
        garner.kill()
        garner.start()
        names = ["ann", "mia"] + (["zoe"] if turn < 1 else [])
        assert [u["name"] for u in garner.get("/v1/users").json()["users"]] == names
    may_list(garner, "ann", "stays")
    may_list(garner, "mia", "2.49", "SCRAM-SHA-512")
    may_list(garner, "mia", "2.48", good=False)
    may_list(garner, "zoe", "goes", good=False)
    events = [(e["event"], e["user"]) for e in garner.values("_audit")]
    assert len(events) == 159 and events.count(("removed", "bob")) == 3
    assert_balanced(garner.ledger())


def test_nothing_that_is_held_of_a_password_is_shown(closed):
    garner = closed()
    put(garner, "mia", "Xsecret0Xsecret")
    may_list(garner, "mia", "Xsecret0Xsecret")
    assert garner.get("/v1/topics/_users/records").status == 403
    listed = kcat(garner, "mia", "Xsecret0Xsecret", "PLAIN", "-L")
    assert b"Xsecret0" not in listed and b"_users" not in listed and b"_audit" in listed
    # Unknown, as far as clients go.
    kcat(garner, "mia", "Xsecret0Xsecret", "PLAIN", "-C", "-t", "_users", "-e", good=False)


def test_the_topic_of_users_is_not_deleted(closed):
    garner = closed()
    put(garner, "mia", "secret")
    with Client(garner.admin_port, timeout=30) as client:
        answer = client.request("DELETE", "/v1/topics/_users?confirm=_users")
        assert answer.status == 409 and b"garner user remove" in answer.body
    garner.kill()
    garner.start()
    may_list(garner, "mia", "secret")
    events = garner.values("_audit")
    assert [(e["what"], e["event"], e["user"]) for e in events] == [("user", "put", "mia")]
    garner.stop()
    assert "Xsecret0" not in garner.log_text()
    for file in garner.data_dir.rglob("*"):
        if file.is_file():
            assert b"Xsecret0" not in file.read_bytes(), file


def test_what_is_asked_wrongly_is_told(closed):
    garner = closed()
    for body in ["", "{}", "[]", '{"password":""}', '{"password":7}', '{"password":"a\\u0000b"}',
                 json.dumps({"password": "x" * 1025})]:
        with Client(garner.admin_port, timeout=30) as client:
            answer = client.request("PUT", "/v1/users/mia", body.encode())
            assert answer.status == 400 and b"password" in answer.body, (body, answer)
    assert put(garner, "a%01b", "secret", 400).json()["error"] == "name"
    assert put(garner, "mia", "x" * 9000, 413)
    assert garner.get("/v1/users").json() == {"users": []}


class Raw:
    """Kafka's requests by hand, as no client would order them."""

    def __init__(self, garner):
        self.socket = socket.create_connection(("127.0.0.1", garner.kafka_port), timeout=30)

    def send(self, key, version, body):
        header = struct.pack(">hhih", key, version, 1, -1)
        self.socket.sendall(struct.pack(">i", len(header) + len(body)) + header + body)

    def receive(self, head=4):
        """The next answer without its header; None when the connection is over."""
        got = b""
        try:
            while len(got) < 4 or len(got) < 4 + struct.unpack(">i", got[:4])[0]:
                part = self.socket.recv(65536)
                if not part:
                    return None
                got += part
        except ConnectionResetError:
            return None
        return got[4 + head:]

    def ask(self, key, version, body=b""):
        self.send(key, version, body)
        return self.receive()

    def choose(self, mechanism, version=1):
        text = mechanism.encode()
        answer = self.ask(HANDSHAKE, version, struct.pack(">h", len(text)) + text)
        return struct.unpack(">h", answer[:2])[0]

    def bare(self, token):
        """A token as it is, behind version 0 of the handshake; its answer, or None."""
        self.socket.sendall(struct.pack(">i", len(token)) + token)
        return self.receive(0)

    def token(self, token):
        """Error code and token of the answer; None where there is none."""
        answer = self.ask(AUTHENTICATE, 0, struct.pack(">i", len(token)) + token)
        if answer is None:
            return None
        code, size = struct.unpack(">hh", answer[:4])
        rest = answer[4 + max(size, 0):]
        return code, rest[4:]


def test_only_who_is_known_is_served_anything(closed):
    garner = closed()
    put(garner, "mia", "secret")
    for key in list(range(17)) + list(range(19, 36)) + [37, 60]:
        raw = Raw(garner)
        assert raw.ask(API_VERSIONS, 0) is not None
        assert raw.ask(key, 4 if key == 1 else 3 if key == 0 else 1, b"\0" * 40) is None, key


def test_states_and_mechanisms_have_their_codes(closed):
    garner = closed()
    put(garner, "mia", "secret")
    raw = Raw(garner)
    assert raw.token(b"\0mia\0secret")[0] == 34
    assert raw.receive() is None
    raw = Raw(garner)
    answer = raw.ask(HANDSHAKE, 1, b"\0\6GSSAPI")
    assert struct.unpack(">h", answer[:2])[0] == 33
    assert all(name.encode() in answer for name in MECHANISMS)
    assert raw.receive() is None
    raw = Raw(garner)
    assert raw.choose("PLAIN") == 0
    assert raw.choose("PLAIN") == 34
    assert raw.token(b"\0mia\0secret") == (0, b"")
    assert raw.ask(METADATA, 0, struct.pack(">i", 0)) is not None
    # Who is known already need not say so again.
    assert raw.choose("PLAIN") == 34


@pytest.mark.parametrize("token", [b"", b"\0", b"\0mia\0wrong", b"zoe\0mia\0secret",
                                   b"\0zoe\0secret", b"x" * 5000])
def test_a_wrong_password_is_one_answer_and_the_end(closed, token):
    garner = closed()
    put(garner, "mia", "secret")
    raw = Raw(garner)
    assert raw.choose("PLAIN") == 0
    # What is behind it is not answered, whatever it is.
    raw.send(AUTHENTICATE, 0, struct.pack(">i", len(token)) + token)
    raw.send(AUTHENTICATE, 0, struct.pack(">i", 11) + b"\0mia\0secret")
    raw.send(METADATA, 0, struct.pack(">i", 0))
    answer = raw.receive()
    assert struct.unpack(">h", answer[:2])[0] == 58
    assert raw.receive() is None


def test_behind_version_0_tokens_are_bare_and_so_are_their_answers(closed):
    garner = closed()
    put(garner, "mia", "secret")
    raw = Raw(garner)
    assert raw.choose("PLAIN", 0) == 0
    assert raw.bare(b"\0mia\0secret") == b""
    assert raw.ask(METADATA, 0, struct.pack(">i", 0)) is not None
    for token in (b"\0mia\0wrong", b"\0zoe\0secret", b"", b"x" * 5000):
        raw = Raw(garner)
        assert raw.choose("PLAIN", 0) == 0
        assert raw.bare(token) is None
    # More than anybody may send who is not known.
    raw = Raw(garner)
    assert raw.choose("PLAIN", 0) == 0
    raw.socket.sendall(struct.pack(">i", (512 << 10) + 1))
    assert raw.receive() is None


def test_who_there_is_not_looks_like_who_there_is(closed):
    garner = closed()
    put(garner, "mia", "secret")

    def first(name):
        raw = Raw(garner)
        assert raw.choose("SCRAM-SHA-256") == 0
        code, token = raw.token(b"n,,n=" + name + b",r=abc")
        assert code == 0
        fields = dict(part.split(b"=", 1) for part in token.split(b","))
        last = b"c=biws,r=" + fields[b"r"] + b",p=" + base64.b64encode(b"x" * 32)
        return len(base64.b64decode(fields[b"s"])), fields[b"i"], fields[b"s"], raw.token(last)

    salts = {}
    for name in (b"mia", b"zoe", b"nobody"):
        size, iterations, salts[name], end = first(name)
        assert (size, iterations, end) == (24, b"4096", (58, b""))
        assert first(name)[2] == salts[name]
    garner.kill()
    garner.start()
    for name, salt in salts.items():
        assert first(name)[2] == salt, name
    assert len(set(salts.values())) == 3


def test_without_sasl_nobody_has_to_say_who_they_are(make_garner):
    garner = make_garner(config=SMALL).start()
    raw = Raw(garner)
    assert raw.choose("PLAIN") == 34
    assert raw.ask(METADATA, 0, struct.pack(">i", 0)) is not None
    put(garner, "mia", "secret")
    assert [u["name"] for u in garner.get("/v1/users").json()["users"]] == ["mia"]


def test_the_command_adds_lists_and_removes(closed):
    garner = closed()

    def user(*words, stdin=b"", code=0):
        done = run("user", *words, "--server", f"127.0.0.1:{garner.admin_port}", stdin=stdin)
        assert done.returncode == code, done
        return done.stdout

    user("add", "mia.mai/1", stdin=b"secret\n")
    file = garner.folder / "password"
    file.write_text("other one\nnot this\n")
    user("add", "zoe", "--password-file", file)
    assert user("list") == b"mia.mai/1\nzoe\n"
    may_list(garner, "mia.mai/1", "secret")
    may_list(garner, "zoe", "other one")
    user("remove", "mia.mai/1")
    user("remove", "mia.mai/1", code=1)
    assert user("list") == b"zoe\n"
    may_list(garner, "mia.mai/1", "secret", good=False)
    user("add", "zoe", stdin=b"", code=64)
    garner.kill()
    user("list", code=69)
