"""Other people's HTTP clients at the intake: curl, Node's fetch, Python's client and urllib."""
import json
import shutil
import subprocess
import urllib.request

import pytest

from lib.server import assert_balanced
from lib.wire import Wire, post

SINK = {"files": {"type": "file", "topics": ["events"], "path": "./out", "roll": {"time": "50ms"}}}


@pytest.fixture
def server(make_garner):
    return make_garner(sinks=SINK, config={"wal_limit": "128MiB"}).start()


def records(server):
    assert_balanced(server.wait_delivered("files"))
    return [json.loads(line) for line in server.sink_lines("out")]


def url(server, topic="events"):
    return f"http://127.0.0.1:{server.intake_port}/v1/topics/{topic}/records"


@pytest.fixture
def curl():
    """Runs curl to its end: its output and, one a line, what `-w` asked for."""
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")

    def call(*arguments, stdin=b""):
        command = ["curl", "-sS", "--max-time", "30", *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return call


JSON = ["-H", "Content-Type: application/json"]
NDJSON = ["-H", "Content-Type: application/x-ndjson"]


def test_curl_posts_a_record(server, curl):
    assert json.loads(curl(*JSON, "-d", '{"n":1}', url(server)))["accepted"] == 1
    assert records(server) == [{"n": 1}]


def test_curl_without_a_header_is_told_which_one(server, curl):
    said = curl("-d", '{"n":1}', "-w", "\n%{http_code}", url(server)).decode()
    body, status = said.rsplit("\n", 1)
    assert status == "415"
    assert "-H 'Content-Type: application/json'" in json.loads(body)["detail"]
    assert records(server) == []


def test_curl_json_as_it_sends_it(server, curl):
    assert json.loads(curl("--json", '[{"n":1},{"n":2}]', url(server)))["accepted"] == 2
    assert records(server) == [{"n": 1}, {"n": 2}]


def test_curl_waits_for_100_continue_with_a_large_body(server, curl, tmp_path):
    body = tmp_path / "body"
    body.write_bytes(b"".join(b'{"n":%d,"pad":"%s"}\n' % (n, b"x" * 1000) for n in range(4000)))
    said = curl(*NDJSON, "-H", "Expect: 100-continue", "--expect100-timeout", "20", "-v", "-w",
                "%{http_code} %{time_total}", "--data-binary", f"@{body}", "--stderr", "-",
                url(server)).decode()
    assert "HTTP/1.1 100 Continue" in said
    assert '"accepted":4000' in said
    assert [r["n"] for r in records(server)] == list(range(4000))


def test_curl_does_not_send_a_body_that_is_refused_by_its_head(server, curl, tmp_path):
    body = tmp_path / "body"
    body.write_bytes(b"x" * (20 << 20))
    said = curl(*NDJSON, "-H", "Expect: 100-continue", "--expect100-timeout", "20", "-w",
                "\n%{http_code} %{size_upload}", "--data-binary", f"@{body}", url(server)).decode()
    assert said.rsplit("\n", 1)[1] == "413 0"


def test_curl_streams_in_chunks(server, curl):
    lines = b"".join(b'{"n":%d}\n' % n for n in range(5000))
    said = curl(*NDJSON, "-H", "Transfer-Encoding: chunked", "-X", "POST", "-T", "-", url(server),
                stdin=lines)
    assert json.loads(said)["accepted"] == 5000
    assert [r["n"] for r in records(server)] == list(range(5000))


def test_curl_keeps_its_connection(server, curl):
    one = [*JSON, "-d", '{"n":1}', "-o", "/dev/null", "-w", "%{http_code} %{num_connects}\n",
           url(server)]
    said = curl(*one, "--next", "-sS", *one, "--next", "-sS", *one).decode().split("\n")
    assert said[:3] == ["200 1", "200 0", "200 0"]
    assert records(server) == [{"n": 1}] * 3


def test_curl_speaks_http_1_0(server, curl):
    assert json.loads(curl("--http1.0", *JSON, "-d", '{"n":1}', url(server)))["accepted"] == 1
    assert records(server) == [{"n": 1}]


def test_curl_asking_for_http_2_gets_1_1(server, curl):
    said = curl("--http2", *JSON, "-d", '{"n":1}', "-w", "\n%{http_version}", url(server)).decode()
    assert said.rsplit("\n", 1)[1] == "1.1"
    assert records(server) == [{"n": 1}]


def test_curl_sends_many_at_once(server, curl, tmp_path):
    config = tmp_path / "requests"
    config.write_text("next\n".join(
        f'url = "{url(server)}"\nheader = "Content-Type: application/json"\n'
        f'data = "{{\\"n\\":{n}}}"\noutput = "/dev/null"\n' for n in range(200)))
    curl("--parallel", "--parallel-max", "50", "-K", str(config))
    assert sorted(r["n"] for r in records(server)) == list(range(200))


def test_node_fetches_over_kept_connections(server):
    if not shutil.which("node"):
        pytest.skip("Node.js is not installed")
    script = """
        const [url] = process.argv.slice(1);
        const send = async (n) => {
          const answer = await fetch(url, {method: "POST", body: JSON.stringify({n}),
                                           headers: {"Content-Type": "application/json"}});
          const said = await answer.json();
          if (answer.status !== 200 || said.accepted !== 1) throw new Error(JSON.stringify(said));
        };
        (async () => {
          for (let round = 0; round < 10; round++)
            await Promise.all([...Array(20).keys()].map((i) => send(round * 20 + i)));
          const body = new ReadableStream({start(stream) {
            for (let n = 200; n < 300; n++)
              stream.enqueue(new TextEncoder().encode(JSON.stringify({n}) + "\\n"));
            stream.close();
          }});
          const answer = await fetch(url, {method: "POST", body, duplex: "half",
                                           headers: {"Content-Type": "application/x-ndjson"}});
          if ((await answer.json()).accepted !== 100) throw new Error("stream");
        })();
    """
    done = subprocess.run(["node", "-e", script, url(server)], capture_output=True, check=False,
                          timeout=60)
    assert done.returncode == 0, done.stderr
    assert sorted(r["n"] for r in records(server)) == list(range(300))


def test_pythons_urllib_posts_a_record(server):
    request = urllib.request.Request(url(server), b'{"n":1}', {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert json.load(answer)["accepted"] == 1
    assert records(server) == [{"n": 1}]


def test_pythons_client_sends_an_iterator_in_chunks(server):
    with server.client() as client:
        answer = client.request("POST", "/v1/topics/events/records",
                                (b'{"n":%d}\n' % n for n in range(100)),
                                {"Content-Type": "application/x-ndjson"})
    assert answer.json()["accepted"] == 100
    assert [r["n"] for r in records(server)] == list(range(100))


def test_pipelined_requests_are_answered_in_their_order(server):
    count = 300
    pieces = []
    for n in range(count):
        if n % 7 == 3:
            pieces.append(post(b"{broken"))
        elif n % 11 == 5:
            pieces.append(post({"n": n}, topic="unknown"))
        elif n % 13 == 1:
            body = b'[{"n":%d}]' % n
            pieces.append(b"POST /v1/topics/events/records HTTP/1.1\r\nHost: localhost\r\n"
                          b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
                          b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
        else:
            pieces.append(post({"n": n}))
    sent = b"".join(pieces)
    with Wire(server.intake_port) as wire:
        # Cut where no message ends.
        for at in range(0, len(sent), 1009):
            wire.send(sent[at:at + 1009])
        answers = [wire.answer() for _ in range(count)]
    good = []
    for n, (status, _, body) in enumerate(answers):
        said = json.loads(body)
        if n % 7 == 3:
            assert (status, said["dead_lettered"]) == (200, 1)
        elif n % 11 == 5:
            assert status == 404
        else:
            assert (status, said["accepted"]) == (200, 1)
            good.append(n)
    assert [r["n"] for r in records(server)] == good


def test_a_message_cut_between_any_two_bytes_is_the_same_message(server):
    message = post({"n": 1})
    with Wire(server.intake_port) as wire:
        for at in range(1, len(message)):
            wire.send(message[:at])
            wire.send(message[at:])
            assert wire.answer()[0] == 200
    assert records(server) == [{"n": 1}] * (len(message) - 1)


def test_connection_close_is_kept(server):
    with Wire(server.intake_port) as wire:
        wire.send(post({"n": 1}, headers=["Connection: close"]))
        (status, headers, _), = wire.answers()
    assert (status, headers["connection"]) == (200, "close")
    assert records(server) == [{"n": 1}]
