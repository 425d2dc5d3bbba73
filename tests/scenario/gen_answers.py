"""`garner gen` against servers that lose answers, ask for patience, or lie: it keeps the books."""
import json
import socket
import threading

import pytest

from lib.server import run

GOOD = 200, "OK", None


class Fake:
    """An intake of one thread a connection that answers as its script says, then well.

    A step is None (close without an answer) or (status, reason, body); body None means that
    everything was accepted. `got` holds the bodies in the order they came.
    """

    def __init__(self, script):
        self.script = list(script)
        self.got = []
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(peer,), daemon=True).start()

    def serve(self, peer):
        with peer, peer.makefile("rb") as stream:
            while True:
                body = self.read(stream)
                if body is None:
                    return
                with self.lock:
                    self.got.append(body)
                    step = self.script.pop(0) if self.script else GOOD
                if step is None:
                    return
                self.answer(peer, body, step)

    @staticmethod
    def read(stream):
        length = 0
        for line in stream:
            if line == b"\r\n":
                return stream.read(length)
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        return None

    @staticmethod
    def answer(peer, body, step):
        status, reason, text = step
        if text is None:
            text = json.dumps({"accepted": body.count(b"\n"), "duplicates": 0, "dead_lettered": 0,
                               "refused": 0, "errors": []})
        extra = "Retry-After: 0\r\n" if status in (429, 503) else ""
        peer.sendall(f"HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\n{extra}"
                     f"Content-Length: {len(text)}\r\n\r\n{text}".encode())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()


def gen(fake, tmp_path, *flags, code=0):
    done = run("gen", "--server", f"127.0.0.1:{fake.port}", "--json", "--connections", 1, "--count",
               30, "--batch", 10, "--acks", "acks", *flags, cwd=tmp_path)
    assert done.returncode == code, (done.stdout, done.stderr)
    rows = (line.split("\t") for line in (tmp_path / "acks").read_text().splitlines())
    return json.loads(done.stdout), [(row[1], int(row[2]), int(row[3])) for row in rows]


def test_an_answer_that_is_lost_is_asked_for_again_with_the_same_bytes(tmp_path):
    with Fake([GOOD, None, None]) as fake:
        report, rows = gen(fake, tmp_path)
        assert fake.got[1] == fake.got[2] == fake.got[3]
    assert (report["accepted"], report["answers_lost"], report["retries"]) == (30, 2, 2)
    assert rows == [("acknowledged", 1, 0)] * 10 + [("acknowledged", 1, 2)] * 10 + \
        [("acknowledged", 1, 0)] * 10


def busy(code, status=503):
    return status, "Later", json.dumps({"error": code, "detail": "later"})


@pytest.mark.parametrize("step, maybe", [
    (busy("busy"), 0), (busy("log_full"), 0), (busy("x", 429), 0), (busy("timeout", 408), 0),
    (busy("fenced"), 1), (busy("x", 500), 1), ((503, "Later", "no JSON"), 1),
    ((502, "Bad Gateway", "<html>"), 1),
])
def test_an_answer_that_says_later_tells_whether_the_outcome_is_known(tmp_path, step, maybe):
    with Fake([step]) as fake:
        report, rows = gen(fake, tmp_path)
        assert fake.got[0] == fake.got[1]
    assert report["accepted"] == 30 and report["statuses"] == {"200": 3, str(step[0]): 1}
    assert report["answers_lost"] == maybe
    assert rows[0] == ("acknowledged", 1, maybe) and rows[10] == ("acknowledged", 1, 0)


def test_without_retry_it_lets_go_and_says_so(tmp_path):
    with Fake([GOOD, busy("busy"), None]) as fake:
        report, rows = gen(fake, tmp_path, "--retry=false")
        assert len(fake.got) == 3
    assert (report["accepted"], report["given_up"], report["retries"]) == (10, 20, 0)
    assert rows[10] == ("not-taken", 0, 0) and rows[20] == ("unanswered", 0, 1)


def counts(accepted, **more):
    return 200, "OK", json.dumps({"accepted": accepted, "duplicates": 0, "dead_lettered": 0,
                                  "refused": 0, "errors": [], **more})


@pytest.mark.parametrize("step", [
    counts(9), counts(11), counts(9, dead_lettered=1),
    counts(9, dead_lettered=1, errors=[{"index": 10}]), counts(10, errors=[{"index": 1}]),
])
def test_a_server_that_miscounts_is_found_out(tmp_path, step):
    with Fake([step]) as fake:
        report, rows = gen(fake, tmp_path, code=1)
    assert report["wrong_answers"] == 1 and not report["good"]
    assert rows[0] == ("unanswered", 0, 1) and rows[10] == ("acknowledged", 1, 0)


def test_duplicates_settle_what_a_lost_answer_left_open(tmp_path):
    with Fake([None, counts(0, duplicates=10)]) as fake:
        report, rows = gen(fake, tmp_path)
    assert (report["accepted"], report["duplicates"]) == (20, 10)
    assert rows[0] == ("acknowledged", 1, 0)


@pytest.mark.parametrize("step, said", [
    ((404, "Not Found", '{"error":"not_found"}'), "404"), ((401, "No", ""), "401"),
    ((200, "OK", "welcome"), "200: welcome"), ((302, "Elsewhere", ""), "302"),
])
def test_an_answer_that_would_be_the_same_again_ends_the_run(tmp_path, step, said):
    with Fake([GOOD, step]) as fake:
        report, rows = gen(fake, tmp_path, code=1)
    assert said in report["failure"]
    assert report["accepted"] == 10 and rows[0] == ("acknowledged", 1, 0)


def test_an_answer_that_never_comes_is_given_up_after_its_time(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        done = run("gen", "--server", f"127.0.0.1:{silent.getsockname()[1]}", "--json", "--count",
                   10, "--connections", 1, "--timeout", "300ms", "--patience", "1s", "--acks",
                   "acks", cwd=tmp_path)
    report = json.loads(done.stdout)
    assert done.returncode == 69 and "no answer" in report["failure"]
    assert report["timeouts"] >= 1 and report["given_up"] == 10
    assert "unanswered" in (tmp_path / "acks").read_text()


@pytest.mark.parametrize("change, verdict", [
    (lambda ids: ids, {}),
    (lambda ids: ids[:7] + ids[8:], {"missing": 1}),
    (lambda ids: ids[3:], {"missing": 3}),
    (lambda ids: ids + ids[:2], {"repeated": 2, "unexplained": 2}),
    (lambda ids: ids + ids[20:22], {"repeated": 2, "explained": 2}),
    (lambda ids: ids + ids[20:22] * 2, {"repeated": 2, "unexplained": 2}),
    (lambda ids: ids + [ids[0][:-2] + "99"], {"never_sent": 1}),
])
def test_files_are_compared_with_what_was_acknowledged(tmp_path, change, verdict):
    flags = ("--seed", 9, "--verify", "files", "--verify-wait", "0")
    script = [GOOD, GOOD, None, GOOD]
    with Fake(script) as fake:
        gen(fake, tmp_path, *flags, code=1)
    ids = [line.split("\t")[0] for line in (tmp_path / "acks").read_text().splitlines()]
    (tmp_path / "files" / "sub").mkdir(parents=True)
    for name, some in (("a", change(ids)[:15]), ("sub/b", change(ids)[15:])):
        lines = "".join(f'{{"id":"{name}"}}\n' for name in some)
        (tmp_path / "files" / f"{name}.ndjson").write_text(lines)
    good = not {"missing", "unexplained", "never_sent"} & set(verdict)
    with Fake(script) as fake:
        report, _ = gen(fake, tmp_path, *flags, code=0 if good else 1)
    found = {key: report["verified"][key] for key in
             ("missing", "repeated", "explained", "unexplained", "never_sent")}
    assert found == {**dict.fromkeys(found, 0), **verdict}
