"""A bare connection, for bytes that no client library would send."""
import json
import socket


class Wire:
    """One TCP connection to a port of the loopback: `send` bytes, take answers off it."""

    def __init__(self, port, timeout=30):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream = self.socket.makefile("rb")

    def send(self, data):
        """False when the server took no more of it, because it has closed."""
        try:
            self.socket.sendall(data)
            return True
        except (BrokenPipeError, ConnectionResetError):
            return False

    def end(self):
        """Says that nothing more will be sent."""
        self.socket.shutdown(socket.SHUT_WR)

    def answer(self):
        """The next answer as (status, headers, body); None at the end of the stream."""
        try:
            line = self.stream.readline()
            if not line:
                return None
            version, status, _ = line.split(b" ", 2)
            assert version == b"HTTP/1.1", line
            headers = {}
            while (field := self.stream.readline()) not in (b"\r\n", b""):
                name, value = field.decode().split(":", 1)
                headers[name.lower()] = value.strip()
            body = self.stream.read(int(headers.get("content-length", 0)))
            return int(status), headers, body
        except ConnectionResetError:
            return None

    def answers(self):
        """All answers until the server closes."""
        return list(iter(self.answer, None))

    def close(self):
        self.stream.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def post(body, topic="events", headers=(), content_type="application/json"):
    """The bytes of a request with one record body."""
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    lines = [f"POST /v1/topics/{topic}/records HTTP/1.1", "Host: localhost",
             f"Content-Type: {content_type}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
