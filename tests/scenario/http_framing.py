"""Bytes that are no request, or one that two parsers could read in two ways."""
import pytest

from lib.wire import Wire, post

SMUGGLED = post({"n": "smuggled"})
HEAD = b"POST /v1/topics/events/records HTTP/1.1\r\nHost: localhost\r\n"
TYPE = b"Content-Type: application/json\r\n"
CHUNKED = HEAD + TYPE + b"Transfer-Encoding: chunked\r\n\r\n"


def check_refused(server, delivered, data, status):
    """`data` behind a good request on one connection gets `status` and ends the connection; good
    records before, behind and beside it are there once, and nothing else is."""
    with Wire(server.intake_port) as wire, server.client() as other:
        wire.send(post({"n": "before"}) + data + SMUGGLED)
        wire.end()
        answers = wire.answers()
        assert other.post_json("events", {"n": "beside"}).status == 200
    assert [a[0] for a in answers] == [200, status]
    _, headers, body = answers[1]
    assert headers["connection"] == "close"
    assert b'"detail":"' in body
    assert sorted(r["n"] for r in delivered(server)) == ["before", "beside"]
    ledger = server.ledger()["topics"]["events"]
    assert (ledger["received"], ledger["accepted"]) == (2, 2)


@pytest.mark.parametrize("data", [
    b"GARBAGE\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"\x00\x00\x00\x14\x00\x12\x00\x00\x00\x00\x00\x01", b"{\"a\":1}\r\n\r\n", b"\x00" * 64,
    b"GET /v1/topics\r\n\r\n", b" POST / HTTP/1.1\r\n\r\n",
], ids=["text", "ssh", "tls", "kafka", "json", "zeros", "http-0.9", "space-first"])
def test_what_is_not_http_is_answered_400(server, delivered, data):
    check_refused(server, delivered, data, 400)


@pytest.mark.parametrize("data, status", [
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    (b"GET / HTTP/3.0\r\nHost: localhost\r\n\r\n", 505),
    (b"CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\n", 501),
    (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414),
])
def test_a_request_line_that_is_not_served_says_why(server, delivered, data, status):
    check_refused(server, delivered, data, status)


@pytest.mark.parametrize("fields", [
    b"Content-Length: 2\n", b"Content-Length: 2\r", b"X: a\rb\r\nContent-Length: 2\r\n",
    b"X: a\x00b\r\nContent-Length: 2\r\n", b"X: a\r\n b\r\nContent-Length: 2\r\n",
    b"Content-Length : 2\r\n", b" Content-Length: 2\r\n", b": 2\r\n",
    b"Host: localhost\r\nContent-Length: 2\r\n",
    b"Content-Length: 2\r\nContent-Length: 2\r\n", b"Content-Length: 2\r\nContent-Length: 90\r\n",
    b"Content-Length: 2, 2\r\n", b"Content-Length: +2\r\n", b"Content-Length: -2\r\n",
    b"Content-Length: 0x2\r\n", b"Content-Length: 2 \x0b\r\n", b"Content-Length:\r\n",
    b"Content-Length: 99999999999999999999999\r\n",
    b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: chunked, identity\r\n", b"Transfer-Encoding: identity\r\n",
    b"Transfer-Encoding: \x0bchunked\r\n", b"Transfer-Encoding: xchunked\r\n",
], ids=["lf", "cr", "cr-in-value", "nul", "fold", "space-colon", "space-first", "no-name",
        "two-hosts", "two-lengths", "unequal-lengths", "length-list", "plus", "minus", "hex",
        "vertical-tab", "no-length", "overflow", "length-and-coding", "coding-and-length",
        "two-codings", "not-last", "identity", "coding-tab", "xchunked"])
def test_a_head_with_two_readings_is_refused(server, delivered, fields):
    check_refused(server, delivered, HEAD + TYPE + fields + b"\r\n{}", 400)


def test_a_head_without_a_host_is_refused(server, delivered):
    check_refused(server, delivered, b"POST /v1/topics/events/records HTTP/1.1\r\n" + TYPE +
                  b"Content-Length: 2\r\n\r\n{}", 400)


def test_a_coding_beside_chunked_is_not_implemented(server, delivered):
    check_refused(server, delivered,
                  HEAD + TYPE + b"Transfer-Encoding: gzip, chunked\r\n\r\n"
                  b"2\r\n{}\r\n0\r\n\r\n", 501)


@pytest.mark.parametrize("body", [
    b"2;a=b\r\n{}\r\n0\r\n\r\n", b"0x2\r\n{}\r\n0\r\n\r\n", b"+2\r\n{}\r\n0\r\n\r\n",
    b" 2\r\n{}\r\n0\r\n\r\n", b"2 \r\n{}\r\n0\r\n\r\n", b"2\n{}\r\n0\r\n\r\n",
    b"2\r\n{}}\r\n0\r\n\r\n", b"2\r\n{}0\r\n\r\n", b"-2\r\n{}\r\n0\r\n\r\n",
    b"00000000000000002\r\n{}\r\n0\r\n\r\n", b"\r\n", b"2\r\n{}\r\n0\r\nX: trailer\r\n\r\n",
    b"2\r\n{}\r\n0\r\n\n",
], ids=["extension", "hex-prefix", "plus", "space-first", "space-behind", "lf", "too-long",
        "no-end", "minus", "many-digits", "no-size", "trailer", "lf-at-the-end"])
def test_a_chunked_body_with_two_readings_is_refused(server, delivered, body):
    check_refused(server, delivered, CHUNKED + body, 400)


def test_ended_within_a_head_commits_nothing(server, delivered):
    with Wire(server.intake_port) as wire:
        wire.send(HEAD + TYPE)
        wire.end()
        assert [a[0] for a in wire.answers()] == [400]
    assert delivered(server) == []
