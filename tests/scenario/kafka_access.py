"""The commands that speak the Kafka protocol, to listeners with TLS and SASL: they are let in, or
say what to do about it."""
import json
import os
import subprocess

import pytest

from lib.certificates import Authority, openssl
from lib.server import assert_balanced, program, run

SMALL = {"wal_limit": "128MiB"}
MECHANISMS = ["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"]


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def make(make_garner, authority):
    """A server with the one user mia, whose password is secret; `tls` is the name of its pair."""
    def make(tls="server", sasl=True, contracts=None):
        garner = make_garner(config=SMALL, contracts=contracts)
        if tls:
            cert, key = authority.folder / f"{tls}.pem", authority.folder / f"{tls}.key"
            if not cert.exists():
                authority.sign(tls)
            garner.config["kafka"]["tls"] = {"cert": str(cert), "key": str(key)}
        garner.config["kafka"]["sasl"] = {"enabled": sasl}
        garner.write()
        garner.start()
        run("user", "add", "mia", "--server", f"127.0.0.1:{garner.admin_port}", stdin=b"secret\n")
        return garner
    return make


def command(garner, *words, password="secret", stdin=b"", code=0, host="127.0.0.1"):
    """Standard output and what was said."""
    env = {**os.environ, "GARNER_PASSWORD": password} if password else None
    done = subprocess.run([program(), *map(str, words), "--server", f"{host}:{garner.kafka_port}"],
                          input=stdin, env=env, capture_output=True, timeout=120, check=False)
    assert done.returncode == code, done
    return done.stdout, done.stderr.decode()


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_lines_are_produced_and_groups_listed_with_each_mechanism(make, authority, mechanism):
    garner = make()
    known = ["--cacert", authority.certificate, "--user", "mia", "--sasl", mechanism]
    lines = b"".join(b"line %d\n" % n for n in range(5000))
    command(garner, "produce", "events", *known, stdin=lines)
    command(garner, "produce", "events", *known, stdin=b"by name\n", host="localhost")
    out, _ = command(garner, "groups", "list", "--json", *known)
    assert json.loads(out) == {"groups": []}
    assert garner.ledger()["topics"]["events"]["accepted"] == 5001
    assert_balanced(garner.ledger())


def test_a_password_comes_from_a_file_as_well(make, authority):
    garner = make()
    file = garner.folder / "password"
    file.write_text("secret\n")
    command(garner, "produce", "events", "--cacert", authority.certificate, "--user", "mia",
            "--password-file", file, stdin=b"one\n", password=None)
    # The file is what was meant.
    file.write_text("another\n")
    _, said = command(garner, "produce", "events", "--cacert", authority.certificate, "--user",
                      "mia", "--password-file", file, stdin=b"one\n", code=1)
    assert "refuses user mia" in said
    assert garner.ledger()["topics"]["events"]["accepted"] == 1


def test_without_tls_a_user_is_proved_too(make):
    garner = make(tls=None)
    for mechanism in MECHANISMS:
        command(garner, "produce", "events", "--user", "mia", "--sasl", mechanism, stdin=b"x\n")
    assert garner.ledger()["topics"]["events"]["accepted"] == 3


def test_with_tls_alone_nobody_has_to_be_known(make, authority):
    garner = make(sasl=False)
    command(garner, "produce", "events", "--cacert", authority.certificate, stdin=b"x\n")
    _, said = command(garner, "produce", "events", "--cacert", authority.certificate, "--user",
                      "mia", stdin=b"x\n", code=1)
    assert "leave out --user" in said


def test_what_is_wrong_is_told_with_what_to_do(make, authority, tmp_path):
    garner = make()
    plain = make(tls=None, sasl=False)
    ca = ["--cacert", authority.certificate]
    other = ["--cacert", Authority(tmp_path / "other").certificate]

    def produce(*words, to=garner, code=1, password="secret"):
        return command(to, "produce", "events", *words, stdin=b"x\n", code=code,
                       password=password)[1]

    for words in (["--tls"], other):
        said = produce(*words, "--user", "mia")
        assert "signed by nobody who is trusted here" in said and "--cacert" in said
    said = produce(*ca, "--user", "mia", "--server-name", "elsewhere.test")
    assert "is of other names" in said and "--server-name" in said
    for mechanism in MECHANISMS:
        said = produce(*ca, "--user", "mia", "--sasl", mechanism, password="wrong")
        assert "refuses user mia" in said and "password is wrong" in said
        said = produce(*ca, "--user", "zoe", "--sasl", mechanism)
        assert "refuses user zoe" in said
    assert "--user" in produce(*ca, code=69)
    assert "--tls" in produce(code=69)
    assert "--tls" in produce("--user", "mia", code=69)
    assert "leave out --tls" in produce("--tls", to=plain, code=69)
    assert "leave out --user" in produce("--user", "mia", to=plain)
    assert "GARNER_PASSWORD" in produce(*ca, "--user", "mia", password=None, code=64)
    assert "--cacert: /nonexistent" in produce("--cacert", "/nonexistent", code=64)
    for name in ("events", "events.dlq"):
        assert garner.ledger()["topics"].get(name, {"accepted": 0})["accepted"] == 0


def test_a_server_is_reached_by_a_name_and_has_to_be_of_it(make, authority):
    """In capitals localhost is a name like any other, which is looked up."""
    garner = make()
    known = ["--cacert", authority.certificate, "--user", "mia"]
    name = {"host": "LOCALHOST"}
    command(garner, "produce", "events", *known, "--sasl", "PLAIN", stdin=b"one\n", **name)
    out, _ = command(garner, "groups", "list", "--json", *known, **name)
    assert json.loads(out) == {"groups": []}
    # What a name leads to is for others to say, so without TLS it gets no password.
    _, said = command(garner, "produce", "events", "--user", "mia", "--sasl", "PLAIN", stdin=b"x\n",
                      code=64, **name)
    assert "for everybody on the way" in said
    assert garner.ledger()["topics"]["events"]["accepted"] == 1
    # The number stands in that certificate too, but the name does not.
    authority.sign("other", "other.test")
    garner = make(tls="other")
    command(garner, "groups", "list", *known)
    _, said = command(garner, "groups", "list", *known, code=1, **name)
    assert "is of other names" in said


@pytest.mark.parametrize("words", [["produce", "events"], ["groups", "list"],
                                   ["gen", "--kafka", "--count", "1"], ["gen", "--count", "1"],
                                   ["ledger"]])
def test_a_name_that_is_of_no_host_is_told(words):
    done = run(*words, "--server", "nowhere.invalid:9092", stdin=b"x\n")
    assert done.returncode in (1, 69), done
    assert b"nowhere.invalid:9092" in done.stderr and b"IP address" in done.stderr, done


def test_a_certificate_that_has_expired_is_refused(make, authority):
    authority.sign("old")
    openssl(authority.folder, "x509", "-req", "-in", "old.csr", "-CA", "ca.pem", "-CAkey",
            "ca.key", "-CAcreateserial", "-out", "old.pem", "-days", "-1", "-extfile", "names")
    garner = make(tls="old")
    for words in (["produce", "events"], ["groups", "list"], ["gen", "--kafka", "--count", "10"]):
        _, said = command(garner, *words, "--cacert", authority.certificate, "--user", "mia",
                          stdin=b"x\n", code=1)
        assert "has expired" in said, said


def test_a_name_that_this_machine_cannot_be_reached_by_may_be_meant(make, authority):
    authority.sign("named", "kafka.example.com")
    openssl(authority.folder, "x509", "-req", "-in", "named.csr", "-CA", "ca.pem", "-CAkey",
            "ca.key", "-CAcreateserial", "-out", "named.pem", "-days", "1")
    garner = make(tls="named")
    known = ["--cacert", authority.certificate, "--user", "mia"]
    _, said = command(garner, "produce", "events", *known, stdin=b"x\n", code=1)
    assert "is of other names" in said
    command(garner, "produce", "events", *known, "--server-name", "kafka.example.com",
            stdin=b"x\n")
    # The certificate itself is trusted as well, where nobody signed it who is known.
    command(garner, "produce", "events", "--cacert", authority.folder / "named.pem", "--user",
            "mia", "--server-name", "kafka.example.com", stdin=b"x\n")


def test_a_broker_that_wants_a_certificate_of_ours_is_told_of(make, authority):
    garner = make()
    garner.stop()
    garner.config["kafka"]["tls"]["client_ca"] = str(authority.certificate)
    garner.write()
    garner.start()
    done = run("produce", "events", "--cacert", authority.certificate, "--server",
               f"127.0.0.1:{garner.kafka_port}", stdin=b"x\n")
    # The alert that says so, or the end of the connection where that comes first.
    assert done.returncode in (1, 69)
    assert b"certificate required" in done.stderr or b"certificate of its clients" in done.stderr


def test_load_goes_over_tls_and_comes_back(make, authority):
    garner = make(contracts={"events": {"partitions": 3}})
    known = ["--cacert", authority.certificate, "--user", "mia"]
    out, _ = command(garner, "gen", "--kafka", "--count", "20000", "--in-flight", "3",
                     "--end-to-end", "--json", *known)
    assert json.loads(out)["accepted"] == 20000
    out, _ = command(garner, "gen", "--kafka", "--fetch", "--json", *known)
    assert json.loads(out)["records"] == 20000
    _, said = command(garner, "gen", "--kafka", "--count", "10", *known, password="wrong", code=1)
    assert "refuses user mia" in said
    _, said = command(garner, "gen", "--count", "10", "--tls", code=64)
    assert "need --kafka" in said
    assert_balanced(garner.ledger())


def test_load_goes_on_through_kills_of_the_server(make_garner, authority):
    """Each start is another handshake and another proof for every connection."""
    authority.sign("killed")
    garner = make_garner(config=SMALL, contracts={"events": {"partitions": 3}}, sinks={
        "lake": {"type": "file", "topics": ["events"], "path": "./out", "roll": {"time": "50ms"}}})
    garner.config["kafka"].update({
        "tls": {"cert": str(authority.folder / "killed.pem"),
                "key": str(authority.folder / "killed.key")}, "sasl": {"enabled": True}})
    garner.write()
    garner.start()
    run("user", "add", "mia", "--server", f"127.0.0.1:{garner.admin_port}", stdin=b"secret\n")
    garner.stop()
    out, _ = command(garner, "gen", "--kafka", "--cacert", authority.certificate, "--user", "mia",
                     "--count", "60000", "--batch", "100", "--connections", "4", "--kills", "3",
                     "--restart-cmd", f"exec {program()} serve --config {garner.config_file}",
                     "--verify", garner.folder / "out", "--json")
    report = json.loads(out)
    assert report["good"] and report["kills"] == 3 and report["sent"] == 60000
